//! What a pass over the table wants to tell, by partition.

use schemas::{EventTime, N_PARTITIONS, Partition, ResultRow, Symbol};

/// Rows in one message: some 150 KB, well below the limit of a payload.
pub(crate) const ROWS_PER_BATCH: usize = 128;

/// Changes by partition, in the order they were found. Kept from pass to pass: a lone bar must not pay for 64 of them.
#[derive(Debug)]
pub(crate) struct Outbox {
    parcels: Vec<Parcel>,
}

/// The changes of one partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parcel {
    pub(crate) rows: Vec<ResultRow>,
    pub(crate) removed: Vec<Symbol>,
    pub(crate) watermark: Option<EventTime>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { parcels: vec![Parcel::default(); usize::from(N_PARTITIONS)] }
    }
}

impl Outbox {
    /// Makes room for a batch of rows in each partition: growing would copy them several times.
    pub(crate) fn expect_all(&mut self) {
        for parcel in &mut self.parcels {
            parcel.rows.reserve_exact(ROWS_PER_BATCH);
        }
    }

    pub(crate) fn push(&mut self, partition: Partition, row: ResultRow) {
        self.parcels[partition.index()].rows.push(row);
    }

    pub(crate) fn remove(&mut self, partition: Partition, symbol: Symbol) {
        self.parcels[partition.index()].removed.push(symbol);
    }

    pub(crate) fn mark(&mut self, partition: Partition, watermark: Option<EventTime>) {
        self.parcels[partition.index()].watermark = watermark;
    }

    /// What there is to tell, partition by partition; nothing is left.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (Partition, Parcel)> {
        let is_empty =
            |parcel: &Parcel| parcel.rows.is_empty() && parcel.removed.is_empty() && parcel.watermark.is_none();
        let parcels = Partition::all().zip(&mut self.parcels).filter(move |(_, parcel)| !is_empty(parcel));
        parcels.map(|(partition, parcel)| (partition, std::mem::take(parcel)))
    }
}
