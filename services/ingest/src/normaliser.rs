use std::collections::BTreeMap;

use fnv::FnvHashMap;
use schemas::{Bar, BarBatch, BarBatchBuilder, EventTime, Header, N_PARTITIONS, Partition, Symbol, Timeframe};

use crate::Step;

/// Checks bars, refuses what was seen before, and packs the rest into batches of one partition each. Pure.
#[derive(Debug)]
pub struct Normaliser {
    timeframe: Timeframe,
    source: String,
    epoch: u64,
    newest: FnvHashMap<Symbol, Newest>,
    partitions: Vec<PartitionState>,
    watermark: Option<EventTime>,
    counters: Counters,
}

/// What became of the bars so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    pub n_bars_in: u64,
    pub n_bars_out: u64,
    pub n_batches_out: u64,
    /// Reasons are those of [`schemas::BarFault`] and `duplicate`, `time_went_back`, `forming_after_final`.
    pub rejected: BTreeMap<&'static str, u64>,
}

/// The newest bar of a symbol.
#[derive(Debug, Clone, Copy)]
struct Newest {
    partition: Partition,
    open_time: EventTime,
    revision: u32,
    is_final: bool,
}

#[derive(Debug)]
struct PartitionState {
    partition: Partition,
    /// Of the last batch; 0 before the first.
    seq: u64,
    /// Rows of the current step with their closes as traded; empty between steps.
    rows: Vec<(Symbol, Bar, f64)>,
}

impl Normaliser {
    pub fn new(timeframe: Timeframe, source: impl Into<String>, epoch: u64) -> Self {
        Self {
            timeframe,
            source: source.into(),
            epoch,
            newest: FnvHashMap::default(),
            partitions: Partition::all()
                .map(|partition| PartitionState { partition, seq: 0, rows: Vec::new() })
                .collect(),
            watermark: None,
            counters: Counters::default(),
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Appends the batches of a step to `out`, by partition.
    ///
    /// A watermark goes to every partition, on its last batch of the step, in an empty one where there are no rows.
    /// One that does not move forward is no news and is left out.
    pub fn on_step(&mut self, step: &Step, ingest_time: EventTime, out: &mut Vec<BarBatch>) {
        self.counters.n_bars_in += step.bars.len() as u64;
        for raw in &step.bars {
            let accepted = raw
                .unchecked()
                .check()
                .map_err(|fault| fault.reason())
                .and_then(|bar| Ok((self.admit(raw.symbol, &bar)?, bar)));
            match accepted {
                Ok((partition, bar)) => {
                    let traded_close = raw.traded_close.unwrap_or(bar.close);
                    self.partitions[partition.index()].rows.push((raw.symbol, bar, traded_close));
                }
                Err(reason) => *self.counters.rejected.entry(reason).or_default() += 1,
            }
        }

        let watermark = step.watermark.filter(|&watermark| self.watermark.is_none_or(|current| current < watermark));
        self.watermark = watermark.or(self.watermark);
        out.reserve(usize::from(N_PARTITIONS));
        for state in &mut self.partitions {
            let mut builder = BarBatchBuilder::new(state.partition);
            let mut finish = |builder: &mut BarBatchBuilder, watermark: Option<EventTime>| {
                state.seq += 1;
                let batch = builder.finish(Header {
                    timeframe: self.timeframe,
                    partition: state.partition,
                    epoch: self.epoch,
                    seq: state.seq,
                    event_time: watermark.unwrap_or_default(),
                    ingest_time,
                    source: self.source.clone(),
                    watermark,
                });
                self.counters.n_bars_out += batch.len() as u64;
                self.counters.n_batches_out += 1;
                out.push(batch);
            };
            for (symbol, bar, traded_close) in state.rows.drain(..) {
                if builder.is_full() {
                    finish(&mut builder, None);
                }
                builder.push_adjusted(symbol, bar, traded_close);
            }
            if !builder.is_empty() || watermark.is_some() {
                finish(&mut builder, watermark);
            }
        }
    }

    /// Whether a bar is news; if so, it becomes the newest of its symbol.
    fn admit(&mut self, symbol: Symbol, bar: &Bar) -> Result<Partition, &'static str> {
        let newest = self.newest.entry(symbol);
        let partition = match &newest {
            std::collections::hash_map::Entry::Vacant(_) => Partition::of(symbol),
            std::collections::hash_map::Entry::Occupied(entry) => {
                let newest = entry.get();
                if bar.open_time < newest.open_time {
                    return Err("time_went_back");
                }
                if bar.open_time == newest.open_time {
                    if bar.revision <= newest.revision {
                        return Err("duplicate");
                    }
                    if newest.is_final && !bar.is_final() {
                        return Err("forming_after_final");
                    }
                }
                newest.partition
            }
        };
        let now = Newest { partition, open_time: bar.open_time, revision: bar.revision, is_final: bar.is_final() };
        newest.insert_entry(now);
        Ok(partition)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use schemas::{BarFlags, Message, ROWS_MAX};

    use super::*;
    use crate::RawBar;

    const FORMING: BarFlags = BarFlags::empty();

    fn raw(symbol: &str, day: i32, revision: u32, flags: BarFlags) -> RawBar {
        RawBar {
            symbol: Symbol::new(symbol).unwrap(),
            open_time: EventTime::from_days(day),
            open: 10.0,
            high: 12.0,
            low: 9.0,
            close: 11.0,
            volume: f64::from(revision),
            traded_close: None,
            revision,
            flags,
        }
    }

    fn step(bars: Vec<RawBar>, watermark_day: Option<i32>) -> Step {
        Step { bars, watermark: watermark_day.map(EventTime::from_days), wait: Duration::ZERO }
    }

    fn run(steps: &[Step]) -> (Vec<BarBatch>, Counters) {
        let mut normaliser = Normaliser::new(Timeframe::D1, "test", 7);
        let mut out = Vec::new();
        for step in steps {
            normaliser.on_step(step, EventTime(5), &mut out);
        }
        (out, normaliser.counters().clone())
    }

    /// Rows in the order of the batches.
    fn rows(batches: &[BarBatch]) -> Vec<(Symbol, Bar)> {
        batches.iter().flat_map(|batch| batch.rows().iter().copied()).collect()
    }

    #[test]
    fn only_what_is_newer_passes() {
        let check = |bars: &[(i32, u32, BarFlags)], expected: &[Option<&str>]| {
            let mut normaliser = Normaliser::new(Timeframe::D1, "test", 7);
            for (&(day, revision, flags), expected) in bars.iter().zip(expected) {
                let bar = raw("A", day, revision, flags).unchecked();
                let refused = normaliser.admit(Symbol::new("A").unwrap(), &bar).err();
                assert_eq!(refused, *expected, "day {day} revision {revision} of {bars:?}");
            }
        };
        let last = BarFlags::FINAL;
        check(&[(1, 0, last), (2, 0, last), (4, 0, last)], &[None; 3]);
        check(&[(1, 0, last), (1, 0, last)], &[None, Some("duplicate")]);
        check(&[(2, 0, last), (1, 9, last)], &[None, Some("time_went_back")]);
        check(&[(1, 1, FORMING), (1, 2, FORMING), (1, 2, FORMING)], &[None, None, Some("duplicate")]);
        check(&[(1, 2, FORMING), (1, 2, last), (1, 3, last)], &[None, Some("duplicate"), None]);
        check(&[(1, 0, last), (1, 1, last)], &[None, None]);
        check(&[(1, 0, last), (1, 1, FORMING)], &[None, Some("forming_after_final")]);
    }

    #[test]
    fn a_bar_that_cannot_be_is_counted_and_leaves_no_trace() {
        let bad = RawBar { high: f64::NAN, ..raw("A", 1, 0, BarFlags::FINAL) };
        let good = raw("A", 1, 0, BarFlags::FINAL);
        let (batches, counters) = run(&[step(vec![bad, good, good], None)]);
        assert_eq!(rows(&batches), [(good.symbol, good.unchecked())]);
        assert_eq!((counters.n_bars_in, counters.n_bars_out, counters.n_batches_out), (3, 1, 1));
        assert_eq!(counters.rejected, [("duplicate", 1), ("not_finite", 1)].into());
    }

    #[test]
    fn a_watermark_reaches_every_partition_once_behind_its_rows() {
        let symbol = Symbol::new("A").unwrap();
        let home = Partition::of(symbol);
        let n_bars = i32::try_from(ROWS_MAX).unwrap() + 1;
        let bars: Vec<RawBar> = (0..n_bars).map(|day| raw("A", day, 0, BarFlags::FINAL)).collect();
        let (batches, _) = run(&[step(bars.clone(), Some(n_bars)), step(bars, Some(n_bars))]);
        assert_eq!(batches.len(), usize::from(N_PARTITIONS) + 1, "a repeated watermark is no news");
        for batch in &batches {
            let header = batch.header();
            let is_overflow = header.partition == home && batch.len() == ROWS_MAX;
            assert_eq!(header.watermark, (!is_overflow).then(|| EventTime::from_days(n_bars)), "{header:?}");
            assert_eq!(header.seq, if header.partition == home && !is_overflow { 2 } else { 1 });
            assert_eq!((header.epoch, header.ingest_time, header.source.as_str()), (7, EventTime(5), "test"));
        }
    }

    fn bars() -> impl Strategy<Value = Vec<RawBar>> {
        let bar = (0..400_u32, 0..5_i32, 0..3_u32, any::<bool>()).prop_map(|(number, day, revision, is_final)| {
            let flags = if is_final { BarFlags::FINAL } else { FORMING };
            raw(&format!("S{number}"), day, revision, flags)
        });
        prop::collection::vec(bar, 0..900)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn duplicates_change_nothing(bars in bars()) {
            let once = run(&[step(bars.clone(), None)]);
            let doubled: Vec<RawBar> = bars.iter().flat_map(|&bar| [bar, bar]).collect();
            let twice = run(&[step(doubled, None), step(bars, None)]);
            prop_assert_eq!(once.0, twice.0);
        }

        #[test]
        fn batches_are_bounded_of_one_partition_in_order_and_complete(bars in bars(), day in prop::option::of(5..9_i32)) {
            let (batches, counters) = run(&[step(bars, day)]);
            let keys: Vec<_> = batches.iter().map(|batch| (batch.header().partition, batch.header().seq)).collect();
            prop_assert!(keys.is_sorted());
            for batch in &batches {
                prop_assert!(batch.len() <= ROWS_MAX);
                prop_assert_eq!(&BarBatch::from_wire(batch.to_wire()).unwrap(), batch);
            }
            let n_out = rows(&batches).len() as u64;
            prop_assert_eq!(n_out, counters.n_bars_out);
            prop_assert_eq!(n_out + counters.rejected.values().sum::<u64>(), counters.n_bars_in);
        }
    }
}
