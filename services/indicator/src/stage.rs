use std::collections::HashMap;

use pipeline::{Rejected, Restore, Stage};
use schemas::{Bar, BarBatch, BarBatchBuilder, FeatureBatch, Partition, Symbol, Timeframe};

use crate::builder::IndicatorPlan;
use crate::extras::{Extras, ExtrasState};
use crate::selection::Selection;
use crate::slot::Slot;
use crate::snapshot::{LAYOUT_VERSION, PartitionState, SlotFault, Stamp, TrackState};
use crate::values::Values;

/// Bars in, bars with their columns out: a [`Slot`] per symbol and timeframe.
///
/// # Shape
/// One batch for each batch, also for an empty one, because it carries a watermark; one row for each row that is newer
/// than what its symbol has. Rows that are not are left out and counted in [`Dropped`].
#[derive(Debug)]
pub struct IndicatorStage {
    shards: Vec<Shard>,
    plan: IndicatorPlan,
    dropped: Dropped,
    /// What of it was reported already.
    reported: Dropped,
}

/// Rows that were left out, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The symbol has this bar in this or a higher revision.
    pub duplicate: u64,
    /// The bar is older than one that the symbol has, or forming although it is closed.
    pub time_went_back: u64,
    /// A revised final bar older than the last closed one: the symbol must be seeded again to take it in.
    pub correction_too_deep: u64,
}

/// The symbols of one partition.
#[derive(Debug, Default)]
struct Shard {
    index: HashMap<Key, usize>,
    /// In the order of first sight.
    tracks: Vec<Track>,
}

type Key = (Timeframe, Symbol);

/// One symbol at one timeframe.
#[derive(Debug, Clone)]
struct Track {
    key: Key,
    slot: Slot,
    /// `None` when the plan has native columns only.
    extras: Option<Box<Extras>>,
    /// The newest final bar.
    closed: Option<Stamp>,
    /// The newest forming bar; always newer than `closed`.
    forming: Option<Stamp>,
}

/// What to do with a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Close,
    Correct,
    Amend,
    Duplicate,
    TimeWentBack,
    CorrectionTooDeep,
}

impl Default for IndicatorStage {
    fn default() -> Self {
        Self::with_plan(IndicatorPlan::default())
    }
}

impl IndicatorStage {
    /// With every native column and no other.
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_plan(plan: IndicatorPlan) -> Self {
        Self {
            shards: Partition::all().map(|_| Shard::default()).collect(),
            plan,
            dropped: Dropped::default(),
            reported: Dropped::default(),
        }
    }

    /// What the columns of the output are.
    pub fn plan(&self) -> &IndicatorPlan {
        &self.plan
    }

    /// Since the stage was made.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }
}

impl Stage for IndicatorStage {
    type Input = BarBatch;
    type Output = FeatureBatch;

    fn on_batch(&mut self, input: BarBatch, out: &mut Vec<FeatureBatch>) -> Result<(), Rejected> {
        let timeframe = input.header().timeframe;
        let shard = &mut self.shards[input.header().partition.index()];
        let mut extras = Vec::new();
        let selection = self.plan.selection();
        let results: Vec<Option<Values>> = input
            .rows()
            .iter()
            .map(|&(symbol, ref bar)| {
                shard.track((timeframe, symbol), &self.plan).apply(bar, selection, &mut extras, &mut self.dropped)
            })
            .collect();
        let rows: Vec<Values> = results.iter().copied().flatten().collect();
        let bars = if rows.len() == input.len() { input } else { keep(&input, &results) };
        let features = FeatureBatch::new(bars, self.plan.columns().hash(), column_major(&self.plan, &rows, &extras));
        out.push(features.expect("a row has all columns, and its numbers are finite or missing"));
        Ok(())
    }

    fn on_idle(&mut self, _: &mut Vec<FeatureBatch>) {}

    fn on_refresh(&mut self, _: &mut Vec<FeatureBatch>) {}

    fn needs_refresh(&self) -> bool {
        false
    }

    fn take_refused(&mut self, report: &mut dyn FnMut(&'static str, usize)) {
        let Dropped { duplicate, time_went_back, correction_too_deep } = self.dropped;
        let counts = [
            ("duplicate", duplicate, self.reported.duplicate),
            ("time_went_back", time_went_back, self.reported.time_went_back),
            ("correction_too_deep", correction_too_deep, self.reported.correction_too_deep),
        ];
        for (reason, now, before) in counts {
            if now > before {
                report(reason, usize::try_from(now - before).unwrap_or(usize::MAX));
            }
        }
        self.reported = self.dropped;
    }
}

impl Restore for IndicatorStage {
    fn layout(&self) -> u64 {
        // The multiplier spreads small versions over all bits; any odd number would do.
        self.plan.formula_hash() ^ LAYOUT_VERSION.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn snapshot(&self, partition: Partition) -> Vec<u8> {
        let mut tracks: Vec<&Track> = self.shards[partition.index()].tracks.iter().collect();
        tracks.sort_unstable_by_key(|track| track.key);
        let state =
            PartitionState { layout: self.layout(), tracks: tracks.into_iter().map(TrackState::from).collect() };
        rmp_serde::to_vec(&state).expect("plain data serialises to MessagePack")
    }

    fn restore(&mut self, partition: Partition, bytes: &[u8]) -> Result<(), Rejected> {
        self.shards[partition.index()] = read(partition, self.layout(), &self.plan, bytes)?;
        Ok(())
    }
}

impl Shard {
    fn track(&mut self, key: Key, plan: &IndicatorPlan) -> &mut Track {
        let place = *self.index.entry(key).or_insert(self.tracks.len());
        if place == self.tracks.len() {
            let extras = plan.extras(key.0);
            self.tracks.push(Track { key, slot: Slot::default(), extras, closed: None, forming: None });
        }
        &mut self.tracks[place]
    }
}

impl Track {
    /// Appends the extra columns, if there are any, to those of the rows before.
    fn apply(
        &mut self,
        bar: &Bar,
        selection: Selection,
        extras: &mut Vec<f64>,
        dropped: &mut Dropped,
    ) -> Option<Values> {
        let stamp = Some(Stamp { open_time: bar.open_time, revision: bar.revision });
        let counter = match self.judge(bar) {
            Verdict::Amend => {
                self.forming = stamp;
                if let Some(own) = &self.extras {
                    own.amend(bar, extras);
                }
                return Some(self.slot.amend_selected(bar, selection));
            }
            Verdict::Close => {
                self.closed = stamp;
                self.forming = self.forming.filter(|forming| forming.open_time > bar.open_time);
                if let Some(own) = &mut self.extras {
                    own.close(bar, extras);
                }
                return Some(self.slot.close_selected(bar, selection));
            }
            Verdict::Correct => {
                self.closed = stamp;
                if let Some(own) = &mut self.extras {
                    own.correct(bar, extras);
                }
                return Some(self.slot.correct_selected(bar, selection));
            }
            Verdict::Duplicate => &mut dropped.duplicate,
            Verdict::TimeWentBack => &mut dropped.time_went_back,
            Verdict::CorrectionTooDeep => &mut dropped.correction_too_deep,
        };
        *counter += 1;
        None
    }

    fn judge(&self, bar: &Bar) -> Verdict {
        let is_newer = |than: Option<Stamp>| than.is_none_or(|stamp| bar.open_time > stamp.open_time);
        let same = |other: Option<Stamp>| other.filter(|stamp| stamp.open_time == bar.open_time);
        if let Some(closed) = same(self.closed) {
            match (bar.is_final(), bar.revision > closed.revision) {
                (true, true) => Verdict::Correct,
                (false, true) => Verdict::TimeWentBack,
                (_, false) => Verdict::Duplicate,
            }
        } else if !is_newer(self.closed) {
            // A final bar that was never revised is late or a repeat, not a correction.
            if bar.is_final() && bar.revision > 0 { Verdict::CorrectionTooDeep } else { Verdict::TimeWentBack }
        } else if bar.is_final() {
            Verdict::Close
        } else if let Some(forming) = same(self.forming) {
            if bar.revision > forming.revision { Verdict::Amend } else { Verdict::Duplicate }
        } else if is_newer(self.forming) {
            Verdict::Amend
        } else {
            Verdict::TimeWentBack
        }
    }
}

impl From<&Track> for TrackState {
    fn from(track: &Track) -> Self {
        let (timeframe, symbol) = track.key;
        let extras = track.extras.as_deref().map(ExtrasState::from);
        Self { timeframe, symbol, closed: track.closed, forming: track.forming, slot: (&track.slot).into(), extras }
    }
}

impl Track {
    fn restore(state: TrackState, plan: &IndicatorPlan) -> Result<Self, SlotFault> {
        let key = (state.timeframe, state.symbol);
        let extras = match (state.extras, plan.n_extras() > 0) {
            (None, false) => None,
            (Some(extras), true) => Some(Box::new(extras.restore(plan.template(), key.0).ok_or(SlotFault::Extras)?)),
            (None, true) | (Some(_), false) => return Err(SlotFault::Extras),
        };
        Ok(Self { key, slot: state.slot.try_into()?, extras, closed: state.closed, forming: state.forming })
    }
}

/// The rows that have a result.
fn keep(input: &BarBatch, results: &[Option<Values>]) -> BarBatch {
    let mut builder = BarBatchBuilder::new(input.header().partition);
    for (row, (&(symbol, bar), result)) in input.rows().iter().zip(results).enumerate() {
        if result.is_some() {
            builder.push_adjusted(symbol, bar, input.traded_close(row));
        }
    }
    builder.finish(input.header().clone())
}

/// `extras` has the extra columns of row after row.
fn column_major(plan: &IndicatorPlan, rows: &[Values], extras: &[f64]) -> Vec<f64> {
    let mut matrix = Vec::with_capacity(rows.len() * plan.columns().len());
    for column in plan.natives() {
        matrix.extend(rows.iter().map(|row| row.as_slice()[column]));
    }
    for column in 0..plan.n_extras() {
        matrix.extend(extras.iter().skip(column).step_by(plan.n_extras()));
    }
    matrix
}

fn read(partition: Partition, layout: u64, plan: &IndicatorPlan, mut bytes: &[u8]) -> Result<Shard, Rejected> {
    let malformed = |detail: String| Rejected::new("snapshot_malformed", detail);
    let state: PartitionState = rmp_serde::from_read(&mut bytes)
        .map_err(|error| malformed(format!("snapshot of {partition} is not readable: {error}")))?;
    if !bytes.is_empty() {
        return Err(malformed(format!("snapshot of {partition} has {} bytes too many", bytes.len())));
    }
    if state.layout != layout {
        let detail = format!("snapshot of {partition} has layout {:#x}, this build reads {layout:#x}", state.layout);
        return Err(Rejected::new("snapshot_layout", detail));
    }
    let invalid = |detail: String| Rejected::new("snapshot_invalid", detail);
    let mut shard = Shard::default();
    for track in state.tracks {
        let symbol = track.symbol;
        let track = Track::restore(track, plan).map_err(|fault| invalid(format!("snapshot of {symbol}: {fault}")))?;
        if Partition::of(symbol) != partition {
            return Err(invalid(format!("snapshot of {partition} holds {symbol} of another partition")));
        }
        if shard.index.insert(track.key, shard.tracks.len()).is_some() {
            return Err(invalid(format!("snapshot of {partition} holds {symbol} twice")));
        }
        shard.tracks.push(track);
    }
    Ok(shard)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::{BarFlags, EventTime, Header, Message};

    use super::*;
    use crate::plan::{N_COLUMNS, plan};
    use crate::testing::{any_bar, any_bars, bar, bars, value_bits};

    const TIMEFRAME: Timeframe = Timeframe::D1;

    fn symbol() -> Symbol {
        Symbol::new("AAA").unwrap()
    }

    fn batch_at(timeframe: Timeframe, rows: &[Bar]) -> BarBatch {
        let partition = Partition::of(symbol());
        let mut builder = BarBatchBuilder::new(partition);
        for &bar in rows {
            builder.push(symbol(), bar);
        }
        builder.finish(Header {
            timeframe,
            partition,
            epoch: 1,
            seq: 1,
            event_time: EventTime(0),
            ingest_time: EventTime(7),
            source: "test".to_owned(),
            watermark: Some(EventTime(5)),
        })
    }

    /// What a batch of these rows gives.
    fn feed(stage: &mut IndicatorStage, rows: &[Bar]) -> FeatureBatch {
        feed_at(stage, TIMEFRAME, rows)
    }

    fn feed_at(stage: &mut IndicatorStage, timeframe: Timeframe, rows: &[Bar]) -> FeatureBatch {
        let mut out = Vec::new();
        stage.on_batch(batch_at(timeframe, rows), &mut out).unwrap();
        assert_eq!(out.len(), 1, "one batch for one batch");
        out.pop().expect("its length was checked")
    }

    fn fed(rows: &[Bar]) -> IndicatorStage {
        let mut stage = IndicatorStage::new();
        rows.chunks(100).for_each(|rows| drop(feed(&mut stage, rows)));
        stage
    }

    fn state(stage: &IndicatorStage) -> Vec<u8> {
        stage.snapshot(Partition::of(symbol()))
    }

    fn forming(day: i32, price: f64, revision: u32) -> Bar {
        Bar { revision, flags: BarFlags::empty(), ..bar(day, price) }
    }

    fn revised(day: i32, price: f64, revision: u32) -> Bar {
        Bar { revision, ..bar(day, price) }
    }

    #[test]
    fn an_empty_batch_passes_with_its_watermark() {
        let features = feed(&mut IndicatorStage::new(), &[]);
        assert_eq!(features.header(), batch_at(TIMEFRAME, &[]).header());
        assert!(features.bars().is_empty());
    }

    #[test]
    fn a_row_has_the_columns_of_the_plan() {
        let plan = plan();
        let mut stage = fed(&bars((1..=30).map(f64::from)));
        let features = feed(&mut stage, &[forming(30, 31.0, 0), forming(30, 62.0, 1), bar(30, 33.0)]);
        assert_eq!((features.plan(), features.n_columns()), (plan.hash(), plan.len()));
        let column = |row, name| features.value(row, plan.index_of(name).expect("is a column"));
        for (row, ret_1d) in [(0, 1.0 / 30.0), (1, 32.0 / 30.0), (2, 3.0 / 30.0)] {
            assert_eq!(column(row, "n_bars"), Some(31.0));
            let found: f64 = column(row, "ret_1d").expect("there is a bar before");
            assert!((found - ret_1d).abs() < 1e-15, "{found} {ret_1d}");
            assert_eq!(column(row, "sma50"), None);
        }
        assert_eq!(FeatureBatch::decode(&features.encode()).unwrap().bars(), features.bars());
    }

    #[test]
    fn each_row_is_judged_by_what_its_symbol_has() {
        let check = |before: &[Bar], row: Bar, expected: Verdict| {
            let mut stage = fed(before);
            let dropped = stage.dropped();
            let shard = &mut stage.shards[Partition::of(symbol()).index()];
            let track = shard.track((TIMEFRAME, symbol()), &stage.plan).clone();
            assert_eq!(track.judge(&row), expected, "{row:?} after {before:?}");
            let state_before = state(&stage);
            let features = feed(&mut stage, &[row]);
            let Dropped { duplicate, time_went_back, correction_too_deep } = stage.dropped();
            let counts = [
                duplicate - dropped.duplicate,
                time_went_back - dropped.time_went_back,
                correction_too_deep - dropped.correction_too_deep,
            ];
            let expected_counts = [Verdict::Duplicate, Verdict::TimeWentBack, Verdict::CorrectionTooDeep]
                .map(|verdict| u64::from(verdict == expected));
            assert_eq!(counts, expected_counts, "{row:?}");
            let is_dropped = counts.contains(&1);
            assert_eq!(features.bars().is_empty(), is_dropped);
            assert_eq!(state(&stage) == state_before, is_dropped, "{row:?}");
        };
        let two = [bar(1, 10.0), revised(2, 11.0, 3)];
        check(&[], bar(1, 10.0), Verdict::Close);
        check(&[], forming(1, 10.0, 0), Verdict::Amend);
        check(&two, bar(3, 12.0), Verdict::Close);
        check(&two, forming(3, 12.0, 0), Verdict::Amend);
        check(&two, revised(2, 12.0, 4), Verdict::Correct);
        check(&two, revised(2, 12.0, 3), Verdict::Duplicate);
        check(&two, forming(2, 12.0, 2), Verdict::Duplicate);
        check(&two, forming(2, 12.0, 4), Verdict::TimeWentBack);
        check(&two, bar(1, 10.0), Verdict::TimeWentBack);
        check(&two, revised(1, 10.0, 1), Verdict::CorrectionTooDeep);
        check(&two, forming(1, 10.0, 1), Verdict::TimeWentBack);

        let while_forming = [bar(1, 10.0), forming(3, 11.0, 4)];
        check(&while_forming, forming(3, 12.0, 5), Verdict::Amend);
        check(&while_forming, forming(3, 12.0, 4), Verdict::Duplicate);
        check(&while_forming, forming(2, 12.0, 9), Verdict::TimeWentBack);
        check(&while_forming, bar(2, 12.0), Verdict::Close);
        check(&while_forming, revised(3, 12.0, 4), Verdict::Close);
        check(&while_forming, revised(1, 12.0, 1), Verdict::Correct);
    }

    #[test]
    fn dropped_rows_are_left_out_and_the_others_stay() {
        let mut stage = fed(&[bar(1, 10.0), bar(2, 11.0)]);
        let features = feed(&mut stage, &[bar(2, 11.0), bar(3, 12.0), bar(1, 10.0), forming(4, 13.0, 0)]);
        let rows: Vec<i32> = features.bars().rows().iter().map(|(_, bar)| bar.open_time.days()).collect();
        assert_eq!(rows, [3, 4]);
        assert_eq!(features.header().watermark, Some(EventTime(5)));
        let n_bars = plan().index_of("n_bars").expect("is a column");
        assert_eq!([features.value(0, n_bars), features.value(1, n_bars)], [Some(3.0), Some(4.0)]);
        assert_eq!(stage.dropped(), Dropped { duplicate: 1, time_went_back: 1, correction_too_deep: 0 });
    }

    #[test]
    fn timeframes_of_a_symbol_do_not_mix() {
        let mut stage = fed(&[bar(1, 10.0), bar(2, 11.0)]);
        let n_bars = plan().index_of("n_bars").expect("is a column");
        let features = feed_at(&mut stage, Timeframe::M1, &[bar(1, 10.0)]);
        assert_eq!(features.value(0, n_bars), Some(1.0));
        assert_eq!(feed(&mut stage, &[bar(3, 12.0)]).value(0, n_bars), Some(3.0));
    }

    #[test]
    fn a_snapshot_that_does_not_fit_is_refused_and_changes_nothing() {
        let mut stage = fed(&bars([1.0, 2.0, 3.0]));
        let good = state(&stage);
        let partition = Partition::of(symbol());
        let other = Partition::new((partition.get() + 1) % 64).unwrap();
        let layout = stage.layout();
        let rewritten = |change: fn(&mut PartitionState)| {
            let mut content: PartitionState = rmp_serde::from_slice(&good).unwrap();
            change(&mut content);
            rmp_serde::to_vec(&content).unwrap()
        };
        let mut check = |partition: Partition, bytes: &[u8], reason: &str| {
            assert_eq!(stage.restore(partition, bytes).unwrap_err().reason, reason);
            assert_eq!(state(&stage), good);
            assert_eq!(stage.snapshot(other), IndicatorStage::new().snapshot(other));
        };
        check(partition, b"", "snapshot_malformed");
        check(partition, b"nonsense", "snapshot_malformed");
        check(partition, &good[..good.len() - 1], "snapshot_malformed");
        check(partition, &[&good[..], b"\0"].concat(), "snapshot_malformed");
        check(partition, &rewritten(|state| state.layout ^= 1), "snapshot_layout");
        check(other, &good, "snapshot_invalid");
        check(partition, &rewritten(|state| state.tracks[0].slot.n_bars[0] = u32::MAX), "snapshot_invalid");
        check(partition, &rewritten(|state| state.tracks[0].slot.offset[0] = 9), "snapshot_invalid");
        check(partition, &rewritten(|state| state.tracks[0].slot.offset[1] = 253), "snapshot_invalid");
        check(partition, &rewritten(|state| state.tracks[0].slot.numbers.0.push(0.0)), "snapshot_invalid");
        check(partition, &rewritten(|state| state.tracks[0].slot.numbers.0.clear()), "snapshot_invalid");
        let twice = rewritten(|state| {
            let again: PartitionState = rmp_serde::from_slice(&rmp_serde::to_vec(&*state).unwrap()).unwrap();
            state.tracks.extend(again.tracks);
        });
        check(partition, &twice, "snapshot_invalid");
        assert_ne!(layout, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_restored_stage_goes_on_as_if_nothing_had_happened(
            before in any_bars(0..260),
            rest in any_bars(1..40),
            correction in any_bar(),
        ) {
            let rest: Vec<Bar> = (before.len()..).zip(rest).map(|(day, bar)| {
                Bar { open_time: EventTime::from_days(i32::try_from(day).unwrap()), ..bar }
            }).collect();
            let mut whole = fed(&before);
            let partition = Partition::of(symbol());
            let mut restored = IndicatorStage::new();
            restored.restore(partition, &whole.snapshot(partition)).unwrap();
            let correction = before.last().map(|last| Bar { open_time: last.open_time, revision: 1, ..correction });
            for rows in correction.iter().map(std::slice::from_ref).chain(rest.chunks(7)) {
                prop_assert_eq!(feed(&mut restored, rows).encode(), feed(&mut whole, rows).encode());
            }
            prop_assert_eq!(state(&restored), state(&whole));
        }

        #[test]
        fn a_message_again_changes_nothing(history in any_bars(1..120), n_rows in 1..20_usize) {
            let mut stage = IndicatorStage::new();
            for rows in history.chunks(n_rows) {
                prop_assert_eq!(feed(&mut stage, rows).bars().len(), rows.len());
                let state_before = state(&stage);
                prop_assert!(feed(&mut stage, rows).bars().is_empty());
                prop_assert_eq!(&state(&stage), &state_before);
            }
            prop_assert_eq!(state(&stage), state(&fed(&history)));
        }

        #[test]
        fn forming_bars_leave_no_trace_in_the_columns(history in any_bars(1..80), shown in any_bars(80)) {
            let mut stage = IndicatorStage::new();
            let mut slot = Slot::default();
            for (bar, shown) in history.iter().zip(&shown) {
                feed(&mut stage, &[Bar { open_time: bar.open_time, flags: BarFlags::empty(), ..*shown }]);
                let features = feed(&mut stage, &[*bar]);
                let row: Vec<u64> = (0..N_COLUMNS)
                    .map(|column| features.value(0, column).unwrap_or(f64::NAN).to_bits())
                    .collect();
                prop_assert_eq!(row, value_bits(&slot.close(bar)));
            }
        }
    }
}
