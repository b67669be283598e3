use std::collections::BTreeMap;
use std::sync::Arc;

use pipeline::{Rejected, Restore, Stage};
use schemas::{Bar, BarFlags, EventTime, FeatureBatch, Partition, Plan, Symbol, Timeframe};
use serde::{Deserialize, Serialize};

use crate::event::{BarUpdate, IndicatorUpdate};
use crate::history::History;

/// Version of the snapshot bytes; part of the layout that names them.
const SNAPSHOT_VERSION: u64 = 2;

/// Most symbols that are known.
const SYMBOLS_MAX: usize = 65_536;

/// Follows bars and their indicator columns for the channels `AM` and `IN`. A row applies when it is newer than what is
/// known of its symbol. The history of what is drawn comes along.
#[derive(Debug)]
pub struct FactsStage {
    plan: Arc<Plan>,
    history: History,
    newest: BTreeMap<Symbol, IndicatorUpdate>,
    /// What was restored and nobody was told of.
    restored: Vec<IndicatorUpdate>,
}

/// One partition, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct StoredFacts {
    newest: Vec<StoredFact>,
    history: Vec<u8>,
}

/// A row, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct StoredFact {
    symbol: Symbol,
    timeframe: Timeframe,
    open_time_ns: i64,
    /// Open, high, low, close, volume.
    numbers: [f64; 5],
    revision: u32,
    flags: u8,
    values: Box<[f64]>,
}

impl FactsStage {
    /// `plan` names the columns that arrive.
    pub fn new(plan: Plan, history: History) -> Self {
        Self { plan: Arc::new(plan), history, newest: BTreeMap::new(), restored: Vec::new() }
    }

    fn put(&mut self, update: IndicatorUpdate) -> Option<&IndicatorUpdate> {
        let position = |update: &IndicatorUpdate| (update.bar.bar.open_time, update.bar.bar.revision);
        let symbol = update.bar.symbol;
        if self.newest.get(&symbol).is_some_and(|known| position(known) >= position(&update)) {
            return None;
        }
        self.newest.insert(symbol, update);
        self.newest.get(&symbol)
    }
}

impl Stage for FactsStage {
    type Input = FeatureBatch;
    type Output = IndicatorUpdate;

    fn on_batch(&mut self, batch: FeatureBatch, out: &mut Vec<IndicatorUpdate>) -> Result<(), Rejected> {
        let bars = batch.bars();
        if bars.is_empty() {
            return Ok(());
        }
        if batch.plan() != self.plan.hash() || batch.n_columns() != self.plan.len() {
            let detail = format!("feature plan {:016x} where {:016x} is published", batch.plan(), self.plan.hash());
            return Err(Rejected::new("plan", detail));
        }
        let n_new = bars.rows().iter().filter(|(symbol, _)| !self.newest.contains_key(symbol)).count();
        if self.newest.len() + n_new > SYMBOLS_MAX {
            return Err(Rejected::new("universe_full", format!("more than {SYMBOLS_MAX} symbols")));
        }
        self.history.take_in(&batch)?;
        for (row, &(symbol, bar)) in bars.rows().iter().enumerate() {
            let values = (0..self.plan.len()).map(|column| batch.column(column)[row]).collect();
            let bar = BarUpdate { symbol, timeframe: batch.header().timeframe, bar };
            out.extend(self.put(IndicatorUpdate { bar, plan: Arc::clone(&self.plan), values }).cloned());
        }
        Ok(())
    }

    fn on_idle(&mut self, out: &mut Vec<IndicatorUpdate>) {
        out.append(&mut self.restored);
    }

    fn on_refresh(&mut self, out: &mut Vec<IndicatorUpdate>) {
        self.on_idle(out);
    }

    fn needs_refresh(&self) -> bool {
        !self.restored.is_empty()
    }
}

impl Restore for FactsStage {
    fn layout(&self) -> u64 {
        self.history.layout() ^ SNAPSHOT_VERSION << 32
    }

    fn snapshot(&self, partition: Partition) -> Vec<u8> {
        let facts = self.newest.values().filter(|update| Partition::of(update.bar.symbol) == partition);
        let stored =
            facts.map(|IndicatorUpdate { bar: BarUpdate { symbol, timeframe, bar }, values, .. }| StoredFact {
                symbol: *symbol,
                timeframe: *timeframe,
                open_time_ns: bar.open_time.as_ns(),
                numbers: [bar.open, bar.high, bar.low, bar.close, bar.volume],
                revision: bar.revision,
                flags: bar.flags.bits(),
                values: values.clone(),
            });
        let stored = StoredFacts { newest: stored.collect(), history: self.history.snapshot(partition) };
        rmp_serde::to_vec(&stored).expect("plain data serialises to MessagePack")
    }

    fn restore(&mut self, partition: Partition, bytes: &[u8]) -> Result<(), Rejected> {
        let rejected = |detail: String| Rejected::new("snapshot", detail);
        let StoredFacts { newest, history } =
            rmp_serde::from_slice(bytes).map_err(|error| rejected(error.to_string()))?;
        let mut updates = Vec::with_capacity(newest.len());
        for StoredFact { symbol, timeframe, open_time_ns, numbers, revision, flags, values } in newest {
            let [open, high, low, close, volume] = numbers;
            let flags = BarFlags::from_bits(flags).ok_or_else(|| rejected(format!("unknown flags of {symbol}")))?;
            if Partition::of(symbol) != partition || values.len() != self.plan.len() {
                return Err(rejected(format!("{symbol} is not of partition {partition} or of this plan")));
            }
            let bar = Bar { open_time: EventTime(open_time_ns), open, high, low, close, volume, revision, flags };
            let bar = BarUpdate { symbol, timeframe, bar };
            updates.push(IndicatorUpdate { bar, plan: Arc::clone(&self.plan), values });
        }
        self.history.restore(partition, &history)?;
        for update in updates {
            let fresh = self.put(update).cloned();
            self.restored.extend(fresh);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use schemas::{BarBatchBuilder, Header};

    use super::*;

    fn batch(close: f64, revision: u32, plan: &Plan) -> FeatureBatch {
        let symbol = Symbol::new("TEST").unwrap();
        let partition = Partition::of(symbol);
        let mut bars = BarBatchBuilder::new(partition);
        let (open_time, flags) = (EventTime::from_days(20_000), BarFlags::FINAL);
        bars.push(symbol, Bar { open_time, open: 1.0, high: 9.0, low: 1.0, close, volume: 5.0, revision, flags });
        let header = Header {
            timeframe: Timeframe::D1,
            partition,
            epoch: 1,
            seq: 1,
            event_time: open_time,
            ingest_time: EventTime(0),
            source: "test".to_owned(),
            watermark: None,
        };
        FeatureBatch::new(bars.finish(header), plan.hash(), vec![close / 2.0, f64::NAN]).unwrap()
    }

    fn new(plan: Plan) -> FactsStage {
        FactsStage::new(plan.clone(), History::new(plan, 9))
    }

    #[test]
    fn only_newer_rows_are_told_and_a_restored_stage_tells_what_it_knows() {
        let plan = Plan::new(["rsi14", "sma20"]);
        let partition = Partition::of(Symbol::new("TEST").unwrap());
        let (mut stage, mut out) = (new(plan.clone()), Vec::new());
        for (close, revision) in [(2.0, 1), (3.0, 1), (4.0, 2)] {
            stage.on_batch(batch(close, revision, &plan), &mut out).unwrap();
        }
        assert_eq!(out.iter().map(|update| update.bar.bar.close).collect::<Vec<_>>(), [2.0, 4.0]);
        let mut restored = new(plan.clone());
        restored.restore(partition, &stage.snapshot(partition)).unwrap();
        let mut told = Vec::new();
        restored.on_idle(&mut told);
        // NaN differs from itself, so the text is compared.
        assert_eq!(format!("{told:?}"), format!("{:?}", &out[1..]));
        assert!(!restored.needs_refresh());

        let other = new(Plan::new(["rsi14"])).restore(partition, &stage.snapshot(partition));
        assert_eq!(other.unwrap_err().reason, "snapshot");
        assert_eq!(stage.on_batch(batch(1.0, 9, &Plan::new(["a", "b"])), &mut out).unwrap_err().reason, "plan");
    }
}
