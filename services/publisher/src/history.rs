use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use pipeline::{Rejected, Restore};
use schemas::{Bar, BarFlags, EventTime, FeatureBatch, Partition, Plan, Symbol};
use serde::{Deserialize, Serialize};

/// Most symbols whose bars are kept.
const SYMBOLS_MAX: usize = 65_536;

/// Columns that are kept with every bar, because a chart draws them. Of the others only the newest value is.
const CHARTED: [&str; 4] = ["sma20", "sma50", "sma200", "rsi14"];

/// Version of the snapshot bytes; it names their layout.
const SNAPSHOT_VERSION: u64 = 1;

/// The newest bars and indicators of every symbol, for those who look at one symbol.
///
/// It comes with the feature stream, which the publisher reads beside the scores (ADR 0009).
#[derive(Clone)]
pub struct History(Arc<Mutex<Kept>>);

struct Kept {
    plan: Plan,
    /// Where the charted columns are in the plan; `None` when the plan lacks one.
    charted: [Option<usize>; CHARTED.len()],
    bars_max: usize,
    trails: BTreeMap<Symbol, Trail>,
}

/// What is kept of one symbol.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Trail {
    /// Of one segment, oldest first.
    points: VecDeque<Point>,
    /// Of the newest bar, by column of the plan; NaN is missing.
    indicators: Vec<f64>,
}

/// A bar and what is drawn with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub open_time: EventTime,
    /// NaN for open, high and low where the source knows closes only.
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
    pub revision: u32,
    pub is_final: bool,
    /// By [`Series`]; NaN is missing. Single precision: they are drawn, nothing is computed from them.
    charted: [f32; CHARTED.len()],
}

/// What the history has of one symbol.
#[derive(Debug, Clone)]
pub struct SymbolHistory {
    /// Oldest first.
    pub points: Vec<Point>,
    /// Name and newest value of every indicator; `None` is missing.
    pub indicators: Vec<(String, Option<f64>)>,
}

impl History {
    /// `plan` names the columns of the feature stream; `bars_max` bars of each symbol are kept, the newest.
    pub fn new(plan: Plan, bars_max: usize) -> Self {
        let charted = CHARTED.map(|name| plan.index_of(name));
        Self(Arc::new(Mutex::new(Kept { plan, charted, bars_max, trails: BTreeMap::new() })))
    }

    /// The newest `n_max` bars of a symbol; `None` when nothing was heard of it.
    pub fn of(&self, symbol: Symbol, n_max: usize) -> Option<SymbolHistory> {
        let kept = self.kept();
        let trail = kept.trails.get(&symbol)?;
        let skipped = trail.points.len().saturating_sub(n_max);
        let values = trail.indicators.iter().map(|value| (!value.is_nan()).then_some(*value));
        Some(SymbolHistory {
            points: trail.points.iter().skip(skipped).copied().collect(),
            indicators: kept.plan.columns().iter().cloned().zip(values).collect(),
        })
    }

    /// The final closes of a symbol, oldest first, as far as they are kept.
    pub fn closes(&self, symbol: Symbol) -> Vec<(EventTime, f64)> {
        let kept = self.kept();
        let points = kept.trails.get(&symbol).into_iter().flat_map(|trail| &trail.points);
        points.filter(|point| point.is_final).map(|point| (point.open_time, point.close)).collect()
    }

    /// How many bars of a symbol are kept.
    pub fn bars_max(&self) -> usize {
        self.kept().bars_max
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("nothing panics while it holds the history")
    }
}

impl Point {
    /// The columns that every bar has with it, by name; `None` is missing.
    pub fn series(&self) -> impl Iterator<Item = (&'static str, Option<f32>)> {
        CHARTED.into_iter().zip(self.charted).map(|(name, value)| (name, (!value.is_nan()).then_some(value)))
    }

    fn position(&self) -> (EventTime, u32) {
        (self.open_time, self.revision)
    }
}

impl Trail {
    /// Takes in a bar, unless it is known already. Whether it is the newest now.
    fn put(&mut self, bar: &Bar, charted: [f32; CHARTED.len()], bars_max: usize) -> bool {
        let point = Point {
            open_time: bar.open_time,
            open: bar.open,
            high: bar.high,
            low: bar.low,
            close: bar.close,
            volume: bar.volume,
            revision: bar.revision,
            is_final: bar.flags.contains(BarFlags::FINAL),
            charted,
        };
        let newest = self.points.back().map(Point::position);
        if newest.is_none_or(|newest| point.open_time > newest.0) {
            // Bars before it are of another instrument, or of one that does not compare.
            if bar.flags.contains(BarFlags::SEGMENT_START) {
                self.points.clear();
            }
            self.points.push_back(point);
            while self.points.len() > bars_max {
                self.points.pop_front();
            }
            return true;
        }
        // A new revision of a bar that is there already.
        let place = self.points.binary_search_by_key(&point.open_time, |known| known.open_time);
        if let Ok(place) = place
            && point.revision > self.points[place].revision
        {
            self.points[place] = point;
            return place + 1 == self.points.len();
        }
        false
    }
}

impl History {
    /// Takes in a batch. Rows that are not news change nothing.
    ///
    /// # Errors
    /// When the columns are others, or there are too many symbols. Nothing is changed then.
    #[expect(clippy::cast_possible_truncation, reason = "what is drawn needs seven digits")]
    pub fn take_in(&self, batch: &FeatureBatch) -> Result<(), Rejected> {
        let mut kept = self.kept();
        let Kept { plan, charted, bars_max, trails } = &mut *kept;
        if batch.plan() != plan.hash() && !batch.bars().is_empty() {
            return Err(Rejected::new("plan", format!("columns {:x} instead of {:x}", batch.plan(), plan.hash())));
        }
        if *bars_max == 0 {
            return Ok(());
        }
        let n_new = batch.bars().rows().iter().filter(|(symbol, _)| !trails.contains_key(symbol)).count();
        if trails.len() + n_new > SYMBOLS_MAX {
            return Err(Rejected::new("universe_full", format!("more than {SYMBOLS_MAX} symbols")));
        }
        for (row, (symbol, bar)) in batch.bars().rows().iter().enumerate() {
            let values = charted.map(|column| column.map_or(f32::NAN, |column| batch.column(column)[row] as f32));
            let trail = trails.entry(*symbol).or_default();
            if trail.put(bar, values, *bars_max) {
                trail.indicators.clear();
                trail.indicators.extend((0..batch.n_columns()).map(|column| batch.column(column)[row]));
            }
        }
        Ok(())
    }
}

impl Restore for History {
    fn layout(&self) -> u64 {
        self.kept().plan.hash() ^ SNAPSHOT_VERSION
    }

    fn snapshot(&self, partition: Partition) -> Vec<u8> {
        let kept = self.kept();
        let trails: Vec<(&Symbol, &Trail)> =
            kept.trails.iter().filter(|(symbol, _)| Partition::of(**symbol) == partition).collect();
        rmp_serde::to_vec(&trails).expect("plain data serialises to MessagePack")
    }

    fn restore(&mut self, partition: Partition, bytes: &[u8]) -> Result<(), Rejected> {
        let stored: Vec<(Symbol, Trail)> =
            rmp_serde::from_slice(bytes).map_err(|error| Rejected::new("snapshot", error.to_string()))?;
        if let Some((stray, _)) = stored.iter().find(|(symbol, _)| Partition::of(*symbol) != partition) {
            return Err(Rejected::new("snapshot", format!("{stray} is not of partition {partition}")));
        }
        let mut kept = self.kept();
        let bars_max = kept.bars_max;
        kept.trails.retain(|symbol, _| Partition::of(*symbol) != partition);
        for (symbol, mut trail) in stored {
            // The limit may be another one than it was.
            let excess = trail.points.len().saturating_sub(bars_max);
            trail.points.drain(..excess);
            if !trail.points.is_empty() {
                kept.trails.insert(symbol, trail);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_struct("History").field("bars_max", &kept.bars_max).field("n_symbols", &kept.trails.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use schemas::{BarBatchBuilder, Header, Timeframe};

    use super::*;

    const A: &str = "A";

    fn history(bars_max: usize) -> History {
        History::new(Plan::new(["n_bars", "sma20"]), bars_max)
    }

    fn batch(bars: &[(i32, u32, BarFlags)]) -> FeatureBatch {
        let symbol = Symbol::new(A).unwrap();
        let partition = Partition::of(symbol);
        let mut builder = BarBatchBuilder::new(partition);
        for &(day, revision, flags) in bars {
            let close = f64::from(day) + f64::from(revision) / 10.0;
            builder.push(
                symbol,
                Bar {
                    open_time: EventTime::from_days(day),
                    open: close,
                    high: close,
                    low: close,
                    close,
                    volume: 1.0,
                    revision,
                    flags,
                },
            );
        }
        let header = Header {
            timeframe: Timeframe::D1,
            partition,
            epoch: 1,
            seq: 1,
            event_time: EventTime(0),
            ingest_time: EventTime(0),
            source: "test".to_owned(),
            watermark: None,
        };
        let bars = builder.finish(header);
        let matrix = bars.rows().iter().map(|(_, bar)| bar.close).chain(bars.rows().iter().map(|_| f64::NAN)).collect();
        FeatureBatch::new(bars, Plan::new(["n_bars", "sma20"]).hash(), matrix).unwrap()
    }

    fn closes(history: &History) -> Vec<f64> {
        let known = history.of(Symbol::new(A).unwrap(), usize::MAX);
        known.map_or_else(Vec::new, |known| known.points.iter().map(|point| point.close).collect())
    }

    fn apply(history: &History, bars: &[(i32, u32, BarFlags)]) {
        history.take_in(&batch(bars)).unwrap();
    }

    const FINAL: BarFlags = BarFlags::FINAL;

    #[test]
    fn keeps_the_newest_bars_and_replaces_revisions() {
        let history = history(3);
        apply(&history, &[(1, 0, FINAL), (2, 0, FINAL), (3, 0, FINAL), (4, 0, BarFlags::empty())]);
        assert_eq!(closes(&history), [2.0, 3.0, 4.0]);
        apply(&history, &[(4, 2, FINAL), (4, 1, FINAL), (3, 1, FINAL), (1, 9, FINAL), (2, 0, FINAL)]);
        assert_eq!(closes(&history), [2.0, 3.1, 4.2]);
        let known = history.of(Symbol::new(A).unwrap(), 2).unwrap();
        assert_eq!(known.points.len(), 2);
        assert_eq!(known.indicators, [("n_bars".to_owned(), Some(4.2)), ("sma20".to_owned(), None)]);
        assert_eq!(known.points[0].series().next(), Some(("sma20", None)));
    }

    #[test]
    fn a_segment_begins_an_empty_history() {
        let history = history(9);
        apply(&history, &[(1, 0, FINAL), (2, 0, FINAL.with(BarFlags::SEGMENT_START)), (3, 0, FINAL)]);
        assert_eq!(closes(&history), [2.0, 3.0]);
        // A repeat changes nothing.
        apply(&history, &[(2, 0, FINAL.with(BarFlags::SEGMENT_START))]);
        assert_eq!(closes(&history), [2.0, 3.0]);
    }

    #[test]
    fn a_snapshot_restores_what_was_kept_and_a_limit_of_none_keeps_none() {
        let mut full = history(9);
        apply(&full, &[(1, 0, FINAL), (2, 0, FINAL)]);
        let partition = Partition::of(Symbol::new(A).unwrap());
        let bytes = full.snapshot(partition);
        for (bars_max, expected) in [(9, vec![1.0, 2.0]), (1, vec![2.0]), (0, vec![])] {
            let mut restored = history(bars_max);
            restored.restore(partition, &bytes).unwrap();
            assert_eq!(closes(&restored), expected);
        }
        assert_eq!(full.restore(partition, b"rubbish").unwrap_err().reason, "snapshot");
        assert_eq!(closes(&full), [1.0, 2.0]);
        let none = history(0);
        apply(&none, &[(1, 0, FINAL)]);
        assert_eq!(closes(&none), Vec::<f64>::new());
    }

    #[test]
    fn columns_of_another_plan_are_refused() {
        let other = History::new(Plan::new(["rsi14"]), 9);
        assert_eq!(other.take_in(&batch(&[(1, 0, FINAL)])).unwrap_err().reason, "plan");
    }
}
