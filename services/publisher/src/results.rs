use std::collections::BTreeMap;

use pipeline::{Rejected, Restore, Stage};
use schemas::{Partition, ResultV1, SCHEMA_VERSION, ScoreBatch, Symbol};

/// Version of the snapshot bytes; it names their layout.
const SNAPSHOT_VERSION: u64 = 1;

/// Keeps the newest result of every symbol for those who watch by name.
///
/// Under load only the newest result of a symbol is worth publishing, so results wait until nothing more arrives, or the
/// refresh period is over.
#[derive(Debug, Default)]
pub struct ResultsStage {
    pending: BTreeMap<Symbol, ResultV1>,
}

impl ResultsStage {
    fn put(&mut self, result: ResultV1) {
        let is_newer = |known: &ResultV1| (result.epoch, result.seq) > (known.epoch, known.seq);
        if self.pending.get(&result.symbol).is_none_or(is_newer) {
            self.pending.insert(result.symbol, result);
        }
    }
}

impl Stage for ResultsStage {
    type Input = ScoreBatch;
    type Output = ResultV1;

    fn on_batch(&mut self, batch: ScoreBatch, _: &mut Vec<ResultV1>) -> Result<(), Rejected> {
        let ScoreBatch { header, models, rows, removed, market: _ } = batch;
        let rows = rows.into_iter().map(|row| (row.symbol, Some(row)));
        for (symbol, row) in removed.into_iter().map(|symbol| (symbol, None)).chain(rows) {
            self.put(ResultV1 {
                schema: SCHEMA_VERSION,
                symbol,
                source: header.source.clone(),
                epoch: header.epoch,
                seq: header.seq,
                models: models.clone(),
                row,
            });
        }
        Ok(())
    }

    fn on_idle(&mut self, out: &mut Vec<ResultV1>) {
        out.extend(std::mem::take(&mut self.pending).into_values());
    }

    fn on_refresh(&mut self, out: &mut Vec<ResultV1>) {
        self.on_idle(out);
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
        let waiting: Vec<&ResultV1> =
            self.pending.values().filter(|result| Partition::of(result.symbol) == partition).collect();
        serde_json::to_vec(&waiting).expect("a result serialises to JSON")
    }

    fn restore(&mut self, _: Partition, bytes: &[u8]) -> Result<(), Rejected> {
        let waiting: Vec<ResultV1> =
            serde_json::from_slice(bytes).map_err(|error| Rejected::new("snapshot", error.to_string()))?;
        for result in waiting {
            self.put(result);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use schemas::{EventTime, Header, Timeframe};

    use super::*;

    fn left(seq: u64) -> ScoreBatch {
        let symbol = Symbol::new("TEST").unwrap();
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
            stage.on_idle(&mut out);
            assert_eq!(out.iter().map(|result| result.seq).collect::<Vec<_>>(), [3]);
            assert!(!stage.needs_refresh());
        }
        assert_eq!(ResultsStage::default().restore(partition, b"rubbish").unwrap_err().reason, "snapshot");
    }
}
