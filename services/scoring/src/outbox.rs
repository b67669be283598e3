//! What a pass over the table wants to tell, by partition.

use std::sync::Arc;

use schemas::{EventTime, ModelRef, N_PARTITIONS, Partition, ResultRow, Symbol, WhyNot};

use crate::universe::Exclusion;

/// What made a row's predictions, shared by the rows that came together.
pub(crate) type Models = Arc<[ModelRef]>;

/// Rows in one message: some 150 KB, well below the limit of a payload.
pub(crate) const ROWS_PER_BATCH: usize = 128;

/// Changes by partition, in the order they were found. Kept from pass to pass: a lone bar must not pay for 64 of them.
#[derive(Debug)]
pub(crate) struct Outbox {
    parcels: Vec<Parcel>,
    /// Rows that the first of each group makes room for.
    room: usize,
}

/// The changes of one partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parcel {
    /// Grouped by what made their predictions: nearly always one group, more between a change of models and the next bar
    /// of every symbol.
    pub(crate) by_models: Vec<(Models, Vec<ResultRow>)>,
    pub(crate) removed: Vec<WhyNot>,
    pub(crate) watermark: Option<EventTime>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { parcels: vec![Parcel::default(); usize::from(N_PARTITIONS)], room: 0 }
    }
}

impl Outbox {
    /// Makes room for a batch of rows in each partition: growing would copy them several times.
    pub(crate) fn expect_all(&mut self) {
        self.room = ROWS_PER_BATCH;
    }

    pub(crate) fn push(&mut self, partition: Partition, models: &Models, row: ResultRow) {
        let groups = &mut self.parcels[partition.index()].by_models;
        let is_theirs = |known: &Models| Arc::ptr_eq(known, models) || known == models;
        if let Some((_, rows)) = groups.iter_mut().find(|(known, _)| is_theirs(known)) {
            rows.push(row);
        } else {
            let mut rows = Vec::with_capacity(self.room.max(1));
            rows.push(row);
            groups.push((Arc::clone(models), rows));
        }
    }

    pub(crate) fn remove(&mut self, partition: Partition, symbol: Symbol, why: Exclusion) {
        let why_not = WhyNot { symbol, condition: why.as_str().into() };
        self.parcels[partition.index()].removed.push(why_not);
    }

    pub(crate) fn mark(&mut self, partition: Partition, watermark: Option<EventTime>) {
        self.parcels[partition.index()].watermark = watermark;
    }

    /// What there is to tell, partition by partition; nothing is left.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (Partition, Parcel)> {
        self.room = 0;
        let is_empty =
            |parcel: &Parcel| parcel.by_models.is_empty() && parcel.removed.is_empty() && parcel.watermark.is_none();
        let parcels = Partition::all().zip(&mut self.parcels).filter(move |(_, parcel)| !is_empty(parcel));
        parcels.map(|(partition, parcel)| (partition, std::mem::take(parcel)))
    }
}
