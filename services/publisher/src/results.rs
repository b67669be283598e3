use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pipeline::{Rejected, Restore, Stage};
use schemas::{EventTime, ModelRef, Partition, ResultRow, ResultV1, SCHEMA_VERSION, ScoreBatch, Symbol};

/// What waits for a refresh is published in so many steps, spread over its period: thousands of results at once would
/// keep the processor from a bar that arrives meanwhile.
pub const RESULTS_REFRESH_STEPS: u32 = 128;

/// Version of the snapshot bytes; it names their layout.
const SNAPSHOT_VERSION: u64 = 1;

/// Keeps the newest result of every symbol for those who watch by name.
///
/// The result of a new bar is published as soon as nothing more is waiting. A result that only moved because others did
/// waits for the refresh or for a quiet moment: under load only the newest of a symbol is worth publishing.
#[derive(Debug, Default)]
pub struct ResultsStage {
    pending: BTreeMap<Symbol, Pending>,
    /// Whose bar is new.
    urgent: BTreeSet<Symbol>,
    /// The bar and revision that each symbol's newest result stands on.
    positions: BTreeMap<Symbol, (EventTime, u32)>,
    /// Where the refresh under way goes on.
    next: Option<Symbol>,
    /// Results in each of its steps that are left.
    n_per_step: usize,
    n_steps_left: u32,
    /// As the newest batch had it.
    models: Arc<[ModelRef]>,
    source: Arc<str>,
}

#[derive(Debug, Clone)]
struct Pending {
    source: Arc<str>,
    epoch: u64,
    seq: u64,
    models: Arc<[ModelRef]>,
    row: Option<ResultRow>,
}

impl ResultsStage {
    fn put(&mut self, symbol: Symbol, pending: Pending) {
        let is_newer = |known: &Pending| (pending.epoch, pending.seq) > (known.epoch, known.seq);
        if !self.pending.get(&symbol).is_none_or(is_newer) {
            return;
        }
        let position = pending.row.as_ref().map(ResultRow::position);
        let known = match position {
            Some(position) => self.positions.insert(symbol, position),
            None => self.positions.remove(&symbol),
        };
        if known != position {
            self.urgent.insert(symbol);
        }
        self.pending.insert(symbol, pending);
    }

    fn all(&mut self, out: &mut Vec<ResultV1>) {
        self.urgent.clear();
        out.extend(std::mem::take(&mut self.pending).into_iter().map(|(symbol, pending)| pending.into_result(symbol)));
    }
}

impl Pending {
    fn into_result(self, symbol: Symbol) -> ResultV1 {
        let Self { source, epoch, seq, models, row } = self;
        let (source, models) = (source.to_string(), models.to_vec());
        ResultV1 { schema: SCHEMA_VERSION, symbol, source, epoch, seq, models, row }
    }
}

impl Stage for ResultsStage {
    type Input = ScoreBatch;
    type Output = ResultV1;

    fn on_batch(&mut self, batch: ScoreBatch, _: &mut Vec<ResultV1>) -> Result<(), Rejected> {
        let ScoreBatch { header, models, rows, removed, market: _ } = batch;
        if *self.models != *models {
            self.models = models.into();
        }
        if *self.source != *header.source {
            self.source = header.source.as_str().into();
        }
        let rows = rows.into_iter().map(|row| (row.symbol, Some(row)));
        for (symbol, row) in removed.into_iter().map(|symbol| (symbol, None)).chain(rows) {
            let (source, models) = (Arc::clone(&self.source), Arc::clone(&self.models));
            self.put(symbol, Pending { source, epoch: header.epoch, seq: header.seq, models, row });
        }
        Ok(())
    }

    fn on_idle(&mut self, out: &mut Vec<ResultV1>) {
        for symbol in std::mem::take(&mut self.urgent) {
            out.extend(self.pending.remove(&symbol).map(|pending| pending.into_result(symbol)));
        }
    }

    fn on_quiet(&mut self, out: &mut Vec<ResultV1>) {
        self.all(out);
    }

    /// Called [`RESULTS_REFRESH_STEPS`] times in a refresh period. A result waits for two periods at most.
    fn on_refresh(&mut self, out: &mut Vec<ResultV1>) {
        if self.n_steps_left == 0 {
            self.n_steps_left = RESULTS_REFRESH_STEPS;
            self.n_per_step = self.pending.len().div_ceil(RESULTS_REFRESH_STEPS as usize);
        }
        self.n_steps_left -= 1;
        for _ in 0..self.n_per_step {
            // Round and round, so that none is overtaken by those before it.
            let following = self.next.and_then(|next| self.pending.range(next..).next());
            let Some((&symbol, _)) = following.or_else(|| self.pending.first_key_value()) else { return };
            out.extend(self.pending.remove(&symbol).map(|pending| pending.into_result(symbol)));
            self.urgent.remove(&symbol);
            self.next = Some(symbol);
        }
    }

    fn needs_refresh(&self) -> bool {
        !self.pending.is_empty()
    }
}

impl Restore for ResultsStage {
    fn layout(&self) -> u64 {
        SNAPSHOT_VERSION
    }

    fn snapshot(&self, partition: Partition) -> Vec<u8> {
        let waiting = self.pending.iter().filter(|(symbol, _)| Partition::of(**symbol) == partition);
        let waiting: Vec<ResultV1> = waiting.map(|(&symbol, pending)| pending.clone().into_result(symbol)).collect();
        serde_json::to_vec(&waiting).expect("a result serialises to JSON")
    }

    fn restore(&mut self, _: Partition, bytes: &[u8]) -> Result<(), Rejected> {
        let waiting: Vec<ResultV1> =
            serde_json::from_slice(bytes).map_err(|error| Rejected::new("snapshot", error.to_string()))?;
        for ResultV1 { symbol, source, epoch, seq, models, row, .. } in waiting {
            self.put(symbol, Pending { source: source.into(), epoch, seq, models: models.into(), row });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Header, Timeframe};

    use super::*;

    fn left(seq: u64) -> ScoreBatch {
        left_of("TEST", seq)
    }

    fn left_of(symbol: &str, seq: u64) -> ScoreBatch {
        let symbol = Symbol::new(symbol).unwrap();
        let header = Header {
            timeframe: Timeframe::D1,
            partition: Partition::of(symbol),
            epoch: 1,
            seq,
            event_time: EventTime(0),
            ingest_time: EventTime(0),
            source: "test".to_owned(),
            watermark: None,
        };
        ScoreBatch { header, models: Vec::new(), rows: Vec::new(), removed: vec![symbol], market: None }
    }

    #[test]
    fn a_refresh_is_spread_and_reaches_all_whatever_arrives_meanwhile() {
        let (mut stage, mut out) = (ResultsStage::default(), Vec::new());
        let n_symbols = 5 * RESULTS_REFRESH_STEPS as usize;
        for n in 0..n_symbols {
            stage.on_batch(left_of(&format!("S{n}"), 1), &mut out).unwrap();
        }
        let mut published = BTreeSet::new();
        for step in 0..2 * RESULTS_REFRESH_STEPS as usize {
            // The first ones change all the time.
            stage.on_batch(left_of(&format!("S{}", step % 10), 2 + step as u64), &mut out).unwrap();
            stage.on_refresh(&mut out);
            assert!(out.len() <= 6, "{} at once", out.len());
            published.extend(out.drain(..).map(|result| result.symbol));
        }
        assert_eq!(published.len(), n_symbols);
    }

    #[test]
    fn only_the_newest_result_is_published_and_a_snapshot_keeps_what_waits() {
        let (mut stage, mut out) = (ResultsStage::default(), Vec::new());
        for seq in [1, 3, 2] {
            stage.on_batch(left(seq), &mut out).unwrap();
        }
        assert!(out.is_empty() && stage.needs_refresh());
        let partition = Partition::of(Symbol::new("TEST").unwrap());
        let mut restored = ResultsStage::default();
        restored.restore(partition, &stage.snapshot(partition)).unwrap();
        for mut stage in [stage, restored] {
            let mut out = Vec::new();
            stage.on_refresh(&mut out);
            assert_eq!(out.iter().map(|result| result.seq).collect::<Vec<_>>(), [3]);
            assert!(!stage.needs_refresh());
        }
        assert_eq!(ResultsStage::default().restore(partition, b"rubbish").unwrap_err().reason, "snapshot");
    }
}
