use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pipeline::{Rejected, Restore, Stage};
use schemas::{EventTime, ModelRef, Partition, ResultRow, ResultV1, SCHEMA_VERSION, ScoreBatch, SmolStr, Symbol};

/// What waits for a refresh is published in so many steps, spread over its period: thousands of results at once would
/// keep the processor from a bar that arrives meanwhile.
pub const RESULTS_REFRESH_STEPS: u32 = 128;

/// Results that a quiet moment is used for: a pause of a busy bus looks like one, too, and all that waits at once would
/// make the next pause.
const RESULTS_PER_QUIET: usize = 64;

/// Version of the snapshot bytes; it names their layout.
const SNAPSHOT_VERSION: u64 = 1;

/// Keeps the newest result of every symbol for those who watch by name.
///
/// A new bar, or another band, tier, signal or flag, is published as soon as nothing more is waiting. A result whose
/// numbers moved a little because others did waits for the refresh or for a quiet moment: under load only the newest of
/// a symbol is worth a message.
#[derive(Debug, Default)]
pub struct ResultsStage {
    pending: BTreeMap<Symbol, Pending>,
    /// Whose bar or verdict is new.
    urgent: BTreeSet<Symbol>,
    /// What each symbol's newest result stands on and says.
    verdicts: BTreeMap<Symbol, Verdict>,
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
    why_not: Option<Cow<'static, str>>,
}

/// What watchers want to know at once: a new bar, or that the row is judged differently.
#[derive(Debug, Clone, PartialEq)]
struct Verdict {
    position: (EventTime, u32),
    band: Cow<'static, str>,
    signal: Cow<'static, str>,
    result_tier: Cow<'static, str>,
    investor_tier: Cow<'static, str>,
    flags: SmolStr,
}

impl Verdict {
    fn of(row: &ResultRow) -> Self {
        Self {
            position: row.position(),
            band: row.merit_band.clone(),
            signal: row.signal.clone(),
            result_tier: row.result_tier.clone(),
            investor_tier: row.investor_tier.clone(),
            flags: row.merit_flags.clone(),
        }
    }
}

impl ResultsStage {
    fn put(&mut self, symbol: Symbol, pending: Pending) {
        let is_newer = |known: &Pending| (pending.epoch, pending.seq) > (known.epoch, known.seq);
        if !self.pending.get(&symbol).is_none_or(is_newer) {
            return;
        }
        let verdict = pending.row.as_ref().map(Verdict::of);
        if self.verdicts.get(&symbol) != verdict.as_ref() {
            self.urgent.insert(symbol);
            match verdict {
                Some(verdict) => self.verdicts.insert(symbol, verdict),
                None => self.verdicts.remove(&symbol),
            };
        }
        self.pending.insert(symbol, pending);
    }

    /// Publishes so many of those that wait, round and round, so that none is overtaken by those before it.
    fn publish_next(&mut self, n_results: usize, out: &mut Vec<ResultV1>) {
        for _ in 0..n_results {
            let following = self.next.and_then(|next| self.pending.range(next..).next());
            let Some((&symbol, _)) = following.or_else(|| self.pending.first_key_value()) else { return };
            out.extend(self.pending.remove(&symbol).map(|pending| pending.into_result(symbol)));
            self.urgent.remove(&symbol);
            self.next = Some(symbol);
        }
    }
}

impl Pending {
    fn into_result(self, symbol: Symbol) -> ResultV1 {
        let Self { source, epoch, seq, models, row, why_not } = self;
        let (source, models) = (source.to_string(), models.to_vec());
        ResultV1 { schema: SCHEMA_VERSION, symbol, source, epoch, seq, models, row, why_not }
    }
}

impl Stage for ResultsStage {
    type Input = ScoreBatch;
    type Output = ResultV1;

    fn on_batch(&mut self, batch: ScoreBatch, _: &mut Vec<ResultV1>) -> Result<(), Rejected> {
        let ScoreBatch { header, models, rows, removed, why_not, market: _ } = batch;
        if *self.models != *models {
            self.models = models.into();
        }
        if *self.source != *header.source {
            self.source = header.source.as_str().into();
        }
        let mut reasons: BTreeMap<Symbol, Cow<'static, str>> =
            why_not.into_iter().map(|why_not| (why_not.symbol, why_not.condition)).collect();
        let rows = rows.into_iter().map(|row| (row.symbol, Some(row)));
        for (symbol, row) in removed.into_iter().map(|symbol| (symbol, None)).chain(rows) {
            let why_not = if row.is_none() { reasons.remove(&symbol) } else { None };
            let (source, models) = (Arc::clone(&self.source), Arc::clone(&self.models));
            self.put(symbol, Pending { source, epoch: header.epoch, seq: header.seq, models, row, why_not });
        }
        Ok(())
    }

    fn on_idle(&mut self, out: &mut Vec<ResultV1>) {
        for symbol in std::mem::take(&mut self.urgent) {
            out.extend(self.pending.remove(&symbol).map(|pending| pending.into_result(symbol)));
        }
    }

    fn on_quiet(&mut self, out: &mut Vec<ResultV1>) {
        self.publish_next(RESULTS_PER_QUIET, out);
    }

    /// Called [`RESULTS_REFRESH_STEPS`] times in a refresh period. A result waits for two periods at most.
    fn on_refresh(&mut self, out: &mut Vec<ResultV1>) {
        if self.n_steps_left == 0 {
            self.n_steps_left = RESULTS_REFRESH_STEPS;
            self.n_per_step = self.pending.len().div_ceil(RESULTS_REFRESH_STEPS as usize);
        }
        self.n_steps_left -= 1;
        self.publish_next(self.n_per_step, out);
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
        for ResultV1 { symbol, source, epoch, seq, models, row, why_not, .. } in waiting {
            self.put(symbol, Pending { source: source.into(), epoch, seq, models: models.into(), row, why_not });
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
        ScoreBatch {
            header,
            models: Vec::new(),
            rows: Vec::new(),
            removed: vec![symbol],
            why_not: Vec::new(),
            market: None,
        }
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
    fn a_quiet_moment_is_used_for_a_few_and_the_next_one_for_the_next() {
        let (mut stage, mut out) = (ResultsStage::default(), Vec::new());
        let n_symbols = 2 * RESULTS_PER_QUIET + 1;
        for n in 0..n_symbols {
            stage.on_batch(left_of(&format!("S{n}"), 1), &mut out).unwrap();
        }
        let mut published = BTreeSet::new();
        for n_expected in [RESULTS_PER_QUIET, RESULTS_PER_QUIET, 1] {
            assert!(stage.needs_refresh());
            stage.on_quiet(&mut out);
            assert_eq!(out.len(), n_expected);
            published.extend(out.drain(..).map(|result| result.symbol));
        }
        assert!(!stage.needs_refresh());
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
