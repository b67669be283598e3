//! The cold scan: the stages of the live line, driven once over the newest bar of every symbol.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicator::Values;
use inference::InferenceStage;
use ingest::{DailyBars, ReadOptions, Reference, Rejections};
use pipeline::Stage as _;
use rayon::prelude::*;
use runtime::clock;
use schemas::{
    Bar, BarBatchBuilder, BarFlags, EventTime, FeatureBatch, Header, Market, ModelRef, Partition, Plan, ResultRow,
    Symbol, Timeframe,
};
use scoring::{ScoringInput, ScoringSetup, ScoringStage};

use crate::config::Config;
use crate::progress::Progress;

/// Symbols that are computed side by side; of similar length, no lane waits for another.
const SYMBOLS_PER_GROUP: usize = 256;

/// The newest bar of a symbol with its indicators.
type Latest = (Symbol, Bar, Values);

/// Every symbol's result at one moment, and how it came about.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The newest bar of all.
    pub(crate) as_of: EventTime,
    /// How many symbols have bars.
    pub(crate) n_symbols: usize,
    /// Best first.
    pub(crate) results: Vec<ResultRow>,
    /// `None` when the folder has no closes of its index.
    pub(crate) market: Option<Market>,
    /// How many results a profile took out, by the limit of the profile that each broke first.
    pub(crate) removed_by_profile: BTreeMap<String, usize>,
    pub(crate) models: Vec<ModelRef>,
    pub(crate) rejections: Rejections,
    /// The bars have no open, high and low.
    pub(crate) is_close_only: bool,
    /// Files that the folder lacks; what they would tell is missing in the results.
    pub(crate) missing_files: Vec<&'static str>,
    /// How long each stage took, in order.
    pub(crate) stages: Vec<(&'static str, Duration)>,
    pub(crate) elapsed: Duration,
}

/// Ranks every symbol of a folder as of a session.
pub(crate) fn scan(dir: &Path, as_of: Option<EventTime>, config: &Config, progress: &Progress) -> anyhow::Result<Scan> {
    let mut watch = StopWatch::start();
    let timeframe = Timeframe::D1;

    progress.stage("reading");
    let bars_path = dir.join("daily_bars.parquet");
    let bars = ingest::read_daily(&bars_path, &ReadOptions { to: as_of, ..ReadOptions::default() })?;
    let Reference { instruments, missing_files } = ingest::read_reference(dir)?;
    watch.lap("read");

    progress.stage("indicators");
    let latest = latest(&bars);
    let newest = latest.iter().map(|(_, bar, _)| bar.open_time).max().unwrap_or_default();
    watch.lap("indicator");

    progress.stage("inference");
    let plan = indicator::plan();
    let mut inference = InferenceStage::new(plan.clone(), &config.inference)?;
    let mut predictions = Vec::new();
    for features in feature_batches(timeframe, &plan, &latest) {
        inference.on_batch(features, &mut predictions).context("inference refused its own features")?;
    }
    let models = predictions.first().map(|batch| batch.models().to_vec()).unwrap_or_default();
    watch.lap("inference");

    progress.stage("scoring");
    let setup = ScoringSetup { options: config.scoring.clone(), timeframe, plan, epoch: 0 };
    let mut scoring = ScoringStage::new(setup)?;
    let mut out = Vec::new();
    for instrument in instruments {
        scoring.on_batch(ScoringInput::Instrument(instrument), &mut out).context("scoring refused an instrument")?;
    }
    for batch in predictions {
        scoring.on_batch(ScoringInput::Predictions(batch), &mut out).context("scoring refused its own input")?;
    }
    scoring.settle(&mut out);
    let market = out.iter().rev().find_map(|batch| batch.market.clone());
    let mut results: Vec<ResultRow> = out.into_iter().flat_map(|batch| batch.rows).collect();
    results.sort_unstable_by(ResultRow::rank_order);
    watch.lap("scoring");

    Ok(Scan {
        as_of: newest,
        n_symbols: bars.symbols.len(),
        results,
        market,
        removed_by_profile: BTreeMap::new(),
        models,
        is_close_only: bars.is_close_only(),
        rejections: bars.rejections,
        missing_files,
        elapsed: watch.elapsed(),
        stages: watch.laps,
    })
}

/// The indicators at each symbol's newest bar, over the bars of its newest segment.
fn latest(bars: &DailyBars) -> Vec<Latest> {
    let of_group = |group: &[(Symbol, Range<usize>)]| -> Vec<Latest> {
        let segments: Vec<Vec<Bar>> = group
            .iter()
            .map(|(_, rows)| {
                let starts_segment = |row: &usize| bars.flags[*row].contains(BarFlags::SEGMENT_START);
                let first = rows.clone().rev().find(starts_segment).unwrap_or(rows.start);
                (first..rows.end).map(|row| bars.bar(row)).collect()
            })
            .collect();
        let slices: Vec<&[Bar]> = segments.iter().map(Vec::as_slice).collect();
        let found = indicator::recompute_many(&slices);
        let rows = group.iter().zip(&segments).zip(found);
        rows.filter_map(|(((symbol, _), segment), values)| Some((*symbol, *segment.last()?, values?))).collect()
    };
    bars.symbols.par_chunks(SYMBOLS_PER_GROUP).flat_map_iter(of_group).collect()
}

/// The messages that the indicator stage would have published for these rows.
fn feature_batches(timeframe: Timeframe, plan: &Plan, latest: &[Latest]) -> Vec<FeatureBatch> {
    let mut by_partition: Vec<Vec<&Latest>> = Partition::all().map(|_| Vec::new()).collect();
    for row in latest {
        by_partition[Partition::of(row.0).index()].push(row);
    }
    let mut batches = Vec::new();
    for (partition, rows) in Partition::all().zip(by_partition) {
        for (seq, rows) in (1..).zip(rows.chunks(schemas::ROWS_MAX)) {
            let mut builder = BarBatchBuilder::new(partition);
            for &&(symbol, bar, _) in rows {
                builder.push(symbol, bar);
            }
            let bars = builder.finish(Header {
                timeframe,
                partition,
                epoch: 0,
                seq,
                event_time: EventTime::default(),
                ingest_time: EventTime::default(),
                source: "replay".to_owned(),
                watermark: None,
            });
            let column = |column: usize| rows.iter().map(move |(_, _, values)| values.as_slice()[column]);
            let matrix = (0..plan.len()).flat_map(column).collect();
            batches.push(FeatureBatch::new(bars, plan.hash(), matrix).expect("indicators are finite or missing"));
        }
    }
    batches
}

struct StopWatch {
    started: Instant,
    lap_started: Instant,
    laps: Vec<(&'static str, Duration)>,
}

impl StopWatch {
    fn start() -> Self {
        let now = clock::monotonic();
        Self { started: now, lap_started: now, laps: Vec::new() }
    }

    fn lap(&mut self, name: &'static str) {
        let now = clock::monotonic();
        self.laps.push((name, now - self.lap_started));
        self.lap_started = now;
    }

    fn elapsed(&self) -> Duration {
        self.lap_started - self.started
    }
}
