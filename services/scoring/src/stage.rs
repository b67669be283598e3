use std::sync::Arc;

use pipeline::{Rejected, Restore, Stage, Watermarks};
use schemas::{
    EventTime, Header, Instrument, Market, ModelRef, N_PARTITIONS, Partition, PredictionBatch, ScoreBatch, Symbol,
};
use serde::{Deserialize, Serialize};

use crate::config::ScoringSetup;
use crate::entry::{FeatureColumns, MissingColumn, RowInputs};
use crate::outbox::{Models, Outbox, Parcel, ROWS_PER_BATCH};
use crate::outcomes::OutcomeHistory;
use crate::plan_life::PlanLife;
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
const SNAPSHOT_VERSION: u64 = 5;

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
    /// With what was followed before, and what made the predictions, by its place in `models`.
    rows: Vec<(RowInputs, PlanLife, u32)>,
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

    /// Tells every row what became of its like.
    #[must_use]
    pub fn with_outcomes(mut self, outcomes: OutcomeHistory) -> Self {
        self.table.set_outcomes(outcomes);
        self
    }

    /// How many symbols have been seen, ranked or not.
    pub fn n_symbols(&self) -> usize {
        self.table.n_symbols()
    }

    /// Tells what a symbol followed before its newest bar, where the stage has not seen the bars before that.
    pub fn set_life_before(&mut self, symbol: Symbol, life: PlanLife) {
        self.table.set_life_before(symbol, life, &self.setup.options);
        self.is_unsettled = true;
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
        let rows =
            self.table.inputs_of(partition).map(|(inputs, life, models)| (*inputs, *life, place_of(models))).collect();
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
        if let Some((stray, ..)) = snapshot.rows.iter().find(|(row, ..)| Partition::of(row.symbol) != partition) {
            return Err(Rejected::new("snapshot", format!("{} is not of partition {partition}", stray.symbol)));
        }
        let models: Vec<Models> = snapshot.models.into_iter().map(Models::from).collect();
        let models_of = |place: u32| models.get(usize::try_from(place).ok()?);
        if let Some((row, _, place)) = snapshot.rows.iter().find(|(_, _, place)| models_of(*place).is_none()) {
            return Err(Rejected::new(
                "snapshot",
                format!("{} has the models {place} of {}", row.symbol, models.len()),
            ));
        }
        for (row, life, place) in &snapshot.rows {
            let models = models_of(*place).expect("it was checked above");
            self.table.update(row, models, &self.setup.options);
            self.table.set_life_before(row.symbol, *life, &self.setup.options);
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
mod tests;
