use std::sync::Arc;

use pipeline::{Rejected, Restore, Stage, Watermarks};
use schemas::{EventTime, Header, Instrument, Market, ModelRef, N_PARTITIONS, Partition, PredictionBatch, ScoreBatch};
use serde::{Deserialize, Serialize};

use crate::config::ScoringSetup;
use crate::entry::{FeatureColumns, MissingColumn, RowInputs};
use crate::outbox::{Models, Outbox, Parcel, ROWS_PER_BATCH};
use crate::table::Table;

/// A burst is a change of at least this share of the rows.
const BURST_SHARE: f64 = 0.1;

/// The rows of a partition are refreshed in so many steps: some fifty rows of a whole market each.
const STEPS_PER_PARTITION: u16 = 2;

/// A refresh is done in so many steps, spread over its period: a bar that arrives meanwhile waits for one step, in every
/// service behind this one, and not for all rows.
pub const REFRESH_STEPS: u16 = N_PARTITIONS as u16 * STEPS_PER_PARTITION;

/// Refresh periods without news after which the table is at rest, although little changed and no watermark moved: a
/// trickle of lone bars must not publish the whole universe every time it pauses.
const QUIET_PERIODS: u32 = 8;

/// Version of the snapshot bytes; part of the layout that names them.
const SNAPSHOT_VERSION: u64 = 4;

/// What the scorer listens to.
#[derive(Debug, Clone, PartialEq)]
pub enum ScoringInput {
    Predictions(PredictionBatch),
    Instrument(Instrument),
}

/// Ranks all symbols against each other and explains each rank.
///
/// It has exactly one owner, because a rank needs the whole universe.
#[derive(Debug)]
pub struct ScoringStage {
    setup: ScoringSetup,
    columns: FeatureColumns,
    table: Table,
    outbox: Outbox,
    watermarks: Watermarks,
    lines: Vec<Line>,
    /// As of when the table was last at rest.
    market: Option<Market>,
    /// Something arrived since the refresh under way began.
    has_news: bool,
    /// The next step of the refresh under way.
    step: u16,
    /// Whether there was news for it.
    is_refreshing: bool,
    /// Refresh periods since something arrived.
    n_quiet_periods: u32,
    /// Rows that arrived since the table was last at rest.
    n_rows_unsettled: usize,
    /// What all partitions had reached when the table was last at rest.
    settled_watermark: Option<EventTime>,
    /// The published table may differ from a full recompute.
    is_unsettled: bool,
}

/// What the headers of one partition need.
#[derive(Debug, Clone, Default)]
struct Line {
    seq: u64,
    source: String,
    ingest_time: EventTime,
    /// What predicted the newest batch.
    models: Models,
    /// The watermark that the published rows already carry.
    watermark: Option<EventTime>,
}

/// One partition's state at rest.
#[derive(Debug, Serialize, Deserialize)]
struct Snapshot {
    /// With what made the predictions, by its place in `models`.
    rows: Vec<(RowInputs, u32)>,
    watermark: Option<EventTime>,
    source: String,
    /// First those of the newest batch.
    models: Vec<Vec<ModelRef>>,
}

impl ScoringStage {
    /// # Errors
    /// When the feature plan lacks a column that scoring reads.
    pub fn new(setup: ScoringSetup) -> Result<Self, MissingColumn> {
        let columns = FeatureColumns::of(&setup.plan)?;
        Ok(Self {
            setup,
            columns,
            table: Table::default(),
            outbox: Outbox::default(),
            watermarks: Watermarks::default(),
            lines: vec![Line::default(); usize::from(N_PARTITIONS)],
            market: None,
            has_news: false,
            step: 0,
            is_refreshing: false,
            n_quiet_periods: 0,
            n_rows_unsettled: 0,
            settled_watermark: None,
            is_unsettled: false,
        })
    }

    /// How many symbols have been seen, ranked or not.
    pub fn n_symbols(&self) -> usize {
        self.table.n_symbols()
    }

    fn on_predictions(&mut self, batch: &PredictionBatch) -> Result<(), Rejected> {
        let header = batch.header();
        if header.timeframe != self.setup.timeframe {
            let detail = format!("timeframe {} where {} is scored", header.timeframe, self.setup.timeframe);
            return Err(Rejected::new("timeframe", detail));
        }
        let features = batch.features();
        if !features.bars().is_empty() {
            let (found, expected) = (features.plan(), self.setup.plan.hash());
            if found != expected || features.n_columns() != self.setup.plan.len() {
                let detail = format!("feature plan {found:016x} where {expected:016x} is scored");
                return Err(Rejected::new("plan", detail));
            }
        }
        let line = &mut self.lines[header.partition.index()];
        if *line.models != *batch.models() {
            line.models = batch.models().into();
        }
        for (row, (&bar, &predictions)) in features.bars().rows().iter().zip(batch.rows()).enumerate() {
            let inputs = RowInputs::new(&self.columns, features, row, bar, predictions);
            self.n_rows_unsettled += usize::from(self.table.update(&inputs, &line.models, &self.setup.options));
        }
        if let Some(watermark) = header.watermark {
            self.watermarks.observe(header.partition, watermark);
            self.table.set_watermark(self.watermarks.min());
        }
        line.ingest_time = line.ingest_time.max(header.ingest_time);
        line.source.clone_from(&header.source);
        self.has_news = true;
        self.is_unsettled = true;
        Ok(())
    }

    /// Publishes every row that differs from what was published: the table at rest.
    pub fn settle(&mut self, out: &mut Vec<ScoreBatch>) {
        self.table.refresh(self.setup.timeframe, &self.setup.options, &mut self.outbox);
        for partition in Partition::all() {
            let watermark = self.watermarks.of(partition);
            if watermark > self.lines[partition.index()].watermark {
                self.lines[partition.index()].watermark = watermark;
                self.outbox.mark(partition, watermark);
            }
        }
        self.market = self.table.market();
        (self.is_unsettled, self.has_news, self.is_refreshing, self.step) = (false, false, false, 0);
        self.n_rows_unsettled = 0;
        self.settled_watermark = self.watermarks.min();
        self.send(out);
    }

    /// One step of a coarse refresh: some rows of one partition.
    fn refresh_step(&mut self, out: &mut Vec<ScoreBatch>) {
        let partition = u8::try_from(self.step / STEPS_PER_PARTITION).ok().and_then(Partition::new);
        let Some(partition) = partition else { return };
        let share = (usize::from(self.step % STEPS_PER_PARTITION), usize::from(STEPS_PER_PARTITION));
        let Self { table, setup, outbox, .. } = self;
        table.refresh_partition(partition, share, setup.timeframe, &setup.options, outbox);
        self.send(out);
    }

    /// Whether the end of something has come: of a burst, of a session, or of a trickle.
    fn is_at_rest(&self) -> bool {
        self.n_rows_unsettled as f64 >= BURST_SHARE * self.table.n_symbols() as f64
            || self.watermarks.min() > self.settled_watermark
            || self.n_quiet_periods >= QUIET_PERIODS
    }

    /// Turns what a pass found into batches, each of rows that the same models predicted.
    fn send(&mut self, out: &mut Vec<ScoreBatch>) {
        for (partition, Parcel { by_models, mut removed, watermark }) in self.outbox.drain() {
            let line = &mut self.lines[partition.index()];
            let mut groups = by_models.into_iter();
            let (mut models, mut rows) = groups.next().unwrap_or_else(|| (Arc::clone(&line.models), Vec::new()));
            loop {
                let later_rows = rows.split_off(rows.len().min(ROWS_PER_BATCH));
                let later_removed = removed.split_off(removed.len().min(ROWS_PER_BATCH - rows.len()));
                let next = if later_rows.is_empty() { groups.next() } else { Some((Arc::clone(&models), later_rows)) };
                let is_last = next.is_none() && later_removed.is_empty();
                line.seq += 1;
                let newest = rows.iter().map(|row| row.freshness.open_time_ns).max();
                out.push(ScoreBatch {
                    header: Header {
                        timeframe: self.setup.timeframe,
                        partition,
                        epoch: self.setup.epoch,
                        seq: line.seq,
                        event_time: newest.map_or(self.table.newest(), EventTime),
                        ingest_time: line.ingest_time,
                        source: line.source.clone(),
                        watermark: if is_last { watermark } else { None },
                    },
                    models: models.to_vec(),
                    rows: std::mem::take(&mut rows),
                    removed: removed.iter().map(|why_not| why_not.symbol).collect(),
                    why_not: std::mem::replace(&mut removed, later_removed),
                    market: if self.is_unsettled { None } else { self.market.clone() },
                });
                if is_last {
                    break;
                }
                if let Some((next_models, next_rows)) = next {
                    (models, rows) = (next_models, next_rows);
                }
            }
        }
    }
}

impl Stage for ScoringStage {
    type Input = ScoringInput;
    type Output = ScoreBatch;

    fn on_batch(&mut self, input: ScoringInput, _: &mut Vec<ScoreBatch>) -> Result<(), Rejected> {
        match input {
            ScoringInput::Predictions(batch) => self.on_predictions(&batch)?,
            ScoringInput::Instrument(instrument) => {
                if self.table.update_instrument(instrument) {
                    self.has_news = true;
                    self.is_unsettled = true;
                }
            }
        }
        Ok(())
    }

    fn on_idle(&mut self, out: &mut Vec<ScoreBatch>) {
        // The rows that moved because others changed are left to the refresh: in a burst they would all move each time.
        self.table.publish_changed(self.setup.timeframe, &self.setup.options, &mut self.outbox);
        self.send(out);
    }

    fn on_quiet(&mut self, out: &mut Vec<ScoreBatch>) {
        if self.is_at_rest() {
            self.settle(out);
        }
    }

    /// Called [`REFRESH_STEPS`] times in a refresh period.
    fn on_refresh(&mut self, out: &mut Vec<ScoreBatch>) {
        if self.has_news && !self.is_refreshing {
            // Nothing was under way, so it need not wait for the end of that.
            self.step = 0;
        }
        if self.step == 0 {
            self.is_refreshing = std::mem::take(&mut self.has_news);
            if self.is_refreshing {
                self.n_quiet_periods = 0;
                self.table.update_membership(&self.setup.options);
                self.on_idle(out);
            } else {
                self.n_quiet_periods += 1;
                if self.is_at_rest() {
                    return self.settle(out);
                }
            }
        }
        if self.is_refreshing {
            self.refresh_step(out);
        }
        self.step = (self.step + 1) % REFRESH_STEPS;
        if self.step == 0 {
            self.is_refreshing = false;
        }
    }

    fn needs_refresh(&self) -> bool {
        self.is_unsettled
    }
}

impl Restore for ScoringStage {
    fn layout(&self) -> u64 {
        self.setup.plan.hash() ^ SNAPSHOT_VERSION
    }

    fn snapshot(&self, partition: Partition) -> Vec<u8> {
        let line = &self.lines[partition.index()];
        let mut models: Vec<&Models> = vec![&line.models];
        let mut place_of = |of_row| {
            let known = models.iter().position(|known| Arc::ptr_eq(known, of_row) || *known == of_row);
            let place = known.unwrap_or_else(|| {
                models.push(of_row);
                models.len() - 1
            });
            u32::try_from(place).expect("a partition has fewer rows than that")
        };
        let rows = self.table.inputs_of(partition).map(|(inputs, models)| (*inputs, place_of(models))).collect();
        let snapshot = Snapshot {
            rows,
            watermark: self.watermarks.of(partition),
            source: line.source.clone(),
            models: models.into_iter().map(|models| models.to_vec()).collect(),
        };
        rmp_serde::to_vec(&snapshot).expect("plain data serialises to MessagePack")
    }

    fn restore(&mut self, partition: Partition, bytes: &[u8]) -> Result<(), Rejected> {
        let snapshot: Snapshot =
            rmp_serde::from_slice(bytes).map_err(|error| Rejected::new("snapshot", error.to_string()))?;
        if let Some((stray, _)) = snapshot.rows.iter().find(|(row, _)| Partition::of(row.symbol) != partition) {
            return Err(Rejected::new("snapshot", format!("{} is not of partition {partition}", stray.symbol)));
        }
        let models: Vec<Models> = snapshot.models.into_iter().map(Models::from).collect();
        let models_of = |place: u32| models.get(usize::try_from(place).ok()?);
        if let Some((row, place)) = snapshot.rows.iter().find(|(_, place)| models_of(*place).is_none()) {
            return Err(Rejected::new(
                "snapshot",
                format!("{} has the models {place} of {}", row.symbol, models.len()),
            ));
        }
        for (row, place) in &snapshot.rows {
            let models = models_of(*place).expect("it was checked above");
            self.table.update(row, models, &self.setup.options);
        }
        if let Some(newest) = models.first() {
            self.lines[partition.index()].models = Arc::clone(newest);
        }
        if let Some(watermark) = snapshot.watermark {
            self.watermarks.observe(partition, watermark);
            self.table.set_watermark(self.watermarks.min());
        }
        self.lines[partition.index()].source = snapshot.source;
        self.has_news = true;
        self.is_unsettled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use schemas::{Bar, BarBatchBuilder, BarFlags, FeatureBatch, Plan, Predictions, ResultRow, Symbol, Timeframe};

    use super::*;
    use crate::config::ScoringOptions;

    const COLUMNS: [&str; 16] = [
        "n_bars",
        "sma20",
        "sma50",
        "sma200",
        "rsi14",
        "macd_hist",
        "pct_from_high20",
        "vol_spike_ratio",
        "atr_pct_14",
        "ret_5d",
        "dollar_vol_20",
        "bb_upper20",
        "high_5",
        "low_5",
        "high_10",
        "low_10",
    ];

    fn stage() -> ScoringStage {
        ScoringStage::new(ScoringSetup {
            options: ScoringOptions::default(),
            timeframe: Timeframe::D1,
            plan: Plan::new(COLUMNS),
            epoch: 1,
        })
        .unwrap()
    }

    #[derive(Debug, Clone)]
    struct Update {
        symbol: u8,
        day: i32,
        revision: u32,
        close: f64,
        volume: f64,
        n_bars: u32,
        rsi: Option<f64>,
        atr: Option<f64>,
        alpha: Option<f64>,
    }

    fn updates(n_max: usize) -> impl Strategy<Value = Vec<Update>> {
        let update = (
            (0_u8..40, 0_i32..14, 0_u32..3, 15_u32..200),
            (
                1_i32..50,
                0_i32..5,
                prop::option::of(20_i32..80),
                prop::option::of(1_i32..12),
                prop::option::of(-5_i32..5),
            ),
        )
            .prop_map(|((symbol, day, revision, n_bars), (close, volume, rsi, atr, alpha))| Update {
                symbol,
                day,
                revision,
                n_bars,
                close: f64::from(close),
                volume: f64::from(volume) * 1e5,
                rsi: rsi.map(f64::from),
                atr: atr.map(|atr| f64::from(atr) / 100.0),
                alpha: alpha.map(|alpha| f64::from(alpha) / 100.0),
            });
        prop::collection::vec(update, 1..n_max)
    }

    fn symbol(number: u8) -> Symbol {
        Symbol::new(&format!("T{number}")).unwrap()
    }

    fn input(update: &Update, seq: u64) -> ScoringInput {
        let symbol = symbol(update.symbol);
        let partition = Partition::of(symbol);
        let mut bars = BarBatchBuilder::new(partition);
        bars.push(
            symbol,
            Bar {
                open_time: EventTime::from_days(17_000 + update.day),
                open: update.close,
                high: update.close,
                low: update.close,
                close: update.close,
                volume: update.volume,
                revision: update.revision,
                flags: BarFlags::FINAL,
            },
        );
        let header = Header {
            timeframe: Timeframe::D1,
            partition,
            epoch: 9,
            seq,
            event_time: EventTime(0),
            ingest_time: EventTime(0),
            source: "test".to_owned(),
            watermark: None,
        };
        let matrix = COLUMNS
            .iter()
            .map(|&column| match column {
                "n_bars" => f64::from(update.n_bars),
                "sma20" => update.close * 0.9,
                "rsi14" => update.rsi.unwrap_or(f64::NAN),
                "atr_pct_14" => update.atr.unwrap_or(f64::NAN),
                _ => f64::NAN,
            })
            .collect();
        let features = FeatureBatch::new(bars.finish(header), Plan::new(COLUMNS).hash(), matrix).unwrap();
        let predictions = Predictions { alpha_5d: update.alpha, ..Predictions::default() };
        ScoringInput::Predictions(PredictionBatch::new(features, vec![predictions], Vec::new()).unwrap())
    }

    fn apply(published: &mut BTreeMap<Symbol, ResultRow>, out: &mut Vec<ScoreBatch>) {
        for batch in out.drain(..) {
            for row in batch.rows {
                published.insert(row.symbol, row);
            }
            for symbol in batch.removed {
                published.remove(&symbol);
            }
        }
    }

    /// Equal to the last bit: the JSON of a float names exactly one float.
    fn bytes(table: &BTreeMap<Symbol, ResultRow>) -> Vec<u8> {
        rmp_serde::to_vec_named(&table.values().collect::<Vec<_>>()).unwrap()
    }

    /// The newest update of each symbol, all at once, in a fresh stage.
    fn full_recompute(updates: &[Update]) -> BTreeMap<Symbol, ResultRow> {
        let mut newest: BTreeMap<u8, &Update> = BTreeMap::new();
        for update in updates {
            let entry = newest.entry(update.symbol).or_insert(update);
            if (update.day, update.revision) > (entry.day, entry.revision) {
                *entry = update;
            }
        }
        let (mut stage, mut out, mut published) = (stage(), Vec::new(), BTreeMap::new());
        for (seq, update) in (1..).zip(newest.into_values()) {
            stage.on_batch(input(update, seq), &mut out).unwrap();
        }
        stage.settle(&mut out);
        apply(&mut published, &mut out);
        published
    }

    proptest! {
        #[test]
        fn the_table_at_rest_equals_a_full_recompute(updates in updates(200), calls in prop::collection::vec(0_u8..4, 200)) {
            let (mut stage, mut out, mut published) = (stage(), Vec::new(), BTreeMap::new());
            for ((seq, update), call) in (1..).zip(&updates).zip(calls) {
                stage.on_batch(input(update, seq), &mut out).unwrap();
                match call {
                    0 => stage.on_idle(&mut out),
                    1 => stage.on_refresh(&mut out),
                    _ => {}
                }
                apply(&mut published, &mut out);
            }
            while stage.needs_refresh() {
                stage.on_refresh(&mut out);
            }
            apply(&mut published, &mut out);
            prop_assert_eq!(bytes(&published), bytes(&full_recompute(&updates)));
        }

        #[test]
        fn a_restored_stage_goes_on_as_if_it_had_never_stopped(updates in updates(80), stop in 0_usize..80) {
            let (mut stage, mut out) = (self::stage(), Vec::new());
            let stop = stop.min(updates.len());
            for (seq, update) in (1..).zip(&updates[..stop]) {
                stage.on_batch(input(update, seq), &mut out).unwrap();
            }
            let mut restored = self::stage();
            for partition in Partition::all() {
                restored.restore(partition, &stage.snapshot(partition)).unwrap();
            }
            for (seq, update) in (1..).zip(&updates[stop..]) {
                restored.on_batch(input(update, seq), &mut out).unwrap();
            }
            let mut published = BTreeMap::new();
            restored.settle(&mut out);
            apply(&mut published, &mut out);
            prop_assert_eq!(bytes(&published), bytes(&full_recompute(&updates)));
        }

        #[test]
        fn every_breakdown_sums_to_its_score(updates in updates(60)) {
            for row in full_recompute(&updates).into_values() {
                let parts = row.breakdown.merit;
                let sum = parts.tech + parts.alpha + parts.win + parts.ics + parts.quality + parts.liquidity
                    + parts.vol_safety + parts.confluence + parts.penalty_earnings + parts.penalty_liquidity
                    + parts.penalty_atr + parts.penalty_cap + parts.penalty_ultra_risk + parts.clip;
                prop_assert!((sum - row.merit).abs() < 1e-9, "{sum} {}", row.merit);
                let parts = row.breakdown.ics;
                let sum = parts.tech + parts.alpha + parts.quality + parts.stability + parts.liquidity + parts.event
                    + parts.clip;
                prop_assert!((sum - row.ics).abs() < 1e-9, "{sum} {}", row.ics);
                prop_assert_eq!(row.tech_rating.is_some(), row.breakdown.tech_rating.is_some());
            }
        }
    }

    #[test]
    fn a_lone_change_is_published_at_once_and_the_others_at_the_refresh() {
        let update = |symbol, day, close| Update {
            symbol,
            day,
            revision: 0,
            close,
            volume: 1e6,
            n_bars: 100,
            rsi: Some(60.0),
            atr: Some(0.01),
            alpha: None,
        };
        let (mut stage, mut out) = (stage(), Vec::new());
        for number in 0..10 {
            stage.on_batch(input(&update(number, 0, 10.0 + f64::from(number)), 1), &mut out).unwrap();
        }
        stage.settle(&mut out);
        out.clear();
        stage.on_batch(input(&update(3, 1, 100.0), 2), &mut out).unwrap();
        stage.on_idle(&mut out);
        let symbols = |out: &[ScoreBatch]| -> Vec<Symbol> {
            out.iter().flat_map(|batch| batch.rows.iter().map(|row| row.symbol)).collect()
        };
        assert_eq!(symbols(&out), [symbol(3)]);
        assert!(stage.needs_refresh());
        out.clear();
        stage.settle(&mut out);
        // Rows 4 to 9 lost a place in liquidity; 0 to 2 kept theirs.
        let mut moved = symbols(&out);
        moved.sort();
        assert_eq!(moved, (4..10).map(symbol).collect::<Vec<_>>());
        assert!(!stage.needs_refresh());
    }

    /// Two symbols of one partition, and one of another.
    fn neighbours() -> [u8; 3] {
        let of = |number: u8| Partition::of(symbol(number));
        let pairs = (0..=u8::MAX).flat_map(|a| (0..a).map(move |b| (a, b)));
        let (a, b) = pairs.into_iter().find(|(a, b)| of(*a) == of(*b)).expect("there are 64 partitions");
        [a, b, (0..=u8::MAX).find(|other| of(*other) != of(a)).expect("there are 64 partitions")]
    }

    #[test]
    fn a_batch_names_the_models_that_made_its_rows_predictions() {
        let [first, second, other] = neighbours();
        let predicted = |number: u8, day: i32, version: &str| {
            let update = Update {
                symbol: number,
                day,
                revision: 0,
                close: 10.0 + f64::from(number) + f64::from(day),
                volume: 1e6,
                n_bars: 100,
                rsi: Some(60.0),
                atr: Some(0.01),
                alpha: Some(0.02),
            };
            let ScoringInput::Predictions(batch) = input(&update, 1) else { panic!("predictions") };
            let model = ModelRef { name: "alpha_5d".into(), version: version.into(), hash: "0".into() };
            ScoringInput::Predictions(
                PredictionBatch::new(batch.features().clone(), batch.rows().to_vec(), vec![model]).unwrap(),
            )
        };
        let named = |out: &mut Vec<ScoreBatch>| -> BTreeMap<Symbol, String> {
            let batches = out.drain(..);
            let rows = batches.flat_map(|batch| {
                let version = batch.models[0].version.clone();
                batch.rows.into_iter().map(move |row| (row.symbol, version.clone()))
            });
            rows.collect()
        };
        let versions =
            |of: [(u8, &str); 3]| BTreeMap::from(of.map(|(number, version)| (symbol(number), version.to_owned())));
        let (mut before, mut out) = (stage(), Vec::new());
        for number in [first, second, other] {
            before.on_batch(predicted(number, 0, "1"), &mut out).unwrap();
        }
        before.settle(&mut out);
        assert_eq!(named(&mut out), versions([(first, "1"), (second, "1"), (other, "1")]));

        // Everybody's place may move; only one row has predictions of the new version.
        before.on_batch(predicted(first, 1, "2"), &mut out).unwrap();
        let mixed = versions([(first, "2"), (second, "1"), (other, "1")]);
        let mut again = stage();
        for partition in Partition::all() {
            again.restore(partition, &before.snapshot(partition)).unwrap();
        }
        before.on_idle(&mut out);
        let found = named(&mut out);
        assert_eq!(found.get(&symbol(first)), mixed.get(&symbol(first)));
        before.settle(&mut out);
        let moved = named(&mut out);
        assert!(moved.iter().all(|(symbol, version)| mixed[symbol] == *version), "{moved:?}");

        // What starts from the snapshots knows it, too, and says it of every row.
        again.settle(&mut out);
        assert!(out.iter().all(|batch| batch.models.len() == 1));
        assert_eq!(named(&mut out), mixed);
        let (partition, bytes) = (Partition::of(symbol(first)), before.snapshot(Partition::of(symbol(first))));
        let mut damaged: Snapshot = rmp_serde::from_slice(&bytes).unwrap();
        damaged.models.truncate(1);
        let error = stage().restore(partition, &rmp_serde::to_vec(&damaged).unwrap()).unwrap_err();
        assert_eq!(error.reason, "snapshot");
    }

    #[test]
    fn a_batch_of_another_plan_is_refused() {
        let mut setup = stage().setup;
        setup.plan = Plan::new(COLUMNS.into_iter().chain(["one_more"]));
        let mut stage = ScoringStage::new(setup).unwrap();
        let update = Update {
            symbol: 1,
            day: 0,
            revision: 0,
            close: 1.0,
            volume: 1.0,
            n_bars: 30,
            rsi: None,
            atr: None,
            alpha: None,
        };
        let rejected = stage.on_batch(input(&update, 1), &mut Vec::new()).unwrap_err();
        assert_eq!(rejected.reason, "plan");
        assert_eq!(stage.n_symbols(), 0);
    }
}
