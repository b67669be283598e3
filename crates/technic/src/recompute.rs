//! The cold scan: the stages of the live line, driven once over the newest bar of every symbol.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use inference::{ExplainedPrediction, InferenceStage, TableHistory};
use ingest::{DailyBars, ReadOptions, Reference, Rejections};
use pipeline::Stage as _;
use runtime::clock;
use schemas::{
    BarBatchBuilder, EventTime, FeatureBatch, Header, Market, ModelRef, Partition, Plan, ResultRow, Symbol, Timeframe,
};
use scoring::profiles::Strategy;
use scoring::{PlanHistory, ScoringInput, ScoringSetup, ScoringStage};

use crate::config::Config;
use crate::error::Usage;
use crate::models;
use crate::newest::{self, Latest, Recomputed};
use crate::outcomes;
use crate::progress::Progress;

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
    /// Symbols with bars and without a result, with the first condition that each fails; `None` where the newest bar is
    /// impossible.
    pub(crate) unranked: BTreeMap<Symbol, Option<Cow<'static, str>>>,
    pub(crate) models: Vec<ModelRef>,
    /// What the plans are made for.
    pub(crate) strategy: Strategy,
    pub(crate) rejections: Rejections,
    /// What it was read from, until [`Self::as_of`].
    pub(crate) bars: DailyBars,
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
    let mut bars = ingest::read_daily(&bars_path, &ReadOptions { to: as_of, ..ReadOptions::default() })?;
    if let Some(as_of) = as_of.filter(|_| bars.symbols.is_empty()) {
        let as_of = as_of.display(timeframe);
        return Err(Usage(format!("`{}` has no bars up to {as_of}", bars_path.display())).into());
    }
    let Reference { instruments, missing_files } = ingest::read_reference(dir, as_of)?;
    watch.lap("read");

    progress.stage("indicators");
    let plan = indicator::plan();
    let models = models::load(config, plan.clone())?;
    let newest = bars.sessions.last().copied().unwrap_or_default();
    let oldest = EventTime(newest.as_ns().saturating_sub_unsigned(whole_ns(config.scoring.max_age)));
    let before = if models.is_empty() { BTreeSet::new() } else { newest::sessions_before(&bars, oldest) };
    let follower = PlanHistory::new(&plan, &config.scoring)?;
    let Recomputed { latest, earlier } = newest::recompute(&bars, &before, &plan, Some((&follower, oldest)));
    watch.lap("indicator");

    progress.stage("inference");
    let mut inference = InferenceStage::new(plan.clone(), models).with_history(history(timeframe, &plan, &earlier));
    let mut predictions = Vec::new();
    for features in feature_batches(timeframe, &plan, &latest) {
        predictions.push(inference.predict(features).context("inference refused its own features")?);
    }
    let models = predictions.first().map(|batch| batch.models().to_vec()).unwrap_or_default();
    watch.lap("inference");

    progress.stage("scoring");
    let setup = ScoringSetup { options: config.scoring.clone(), timeframe, plan, epoch: 0 };
    let mut scoring = ScoringStage::new(setup)?;
    if let Some(path) = &config.scoring.outcomes {
        scoring = scoring.with_outcomes(outcomes::read(path)?);
    }
    let mut out = Vec::new();
    for instrument in instruments {
        scoring.on_batch(ScoringInput::Instrument(instrument), &mut out).context("scoring refused an instrument")?;
    }
    for batch in predictions {
        scoring.on_batch(ScoringInput::Predictions(batch), &mut out).context("scoring refused its own input")?;
    }
    for row in &latest {
        scoring.set_life_before(row.symbol, row.life);
    }
    scoring.settle(&mut out);
    let market = out.iter().rev().find_map(|batch| batch.market.clone());
    let (mut results, mut why_not) = (Vec::new(), BTreeMap::new());
    for batch in out {
        why_not.extend(batch.why_not.into_iter().map(|why_not| (why_not.symbol, why_not.condition)));
        results.extend(batch.rows);
    }
    let ranked: BTreeSet<Symbol> = results.iter().map(|row: &ResultRow| row.symbol).collect();
    let unranked = bars.symbols.iter().map(|(symbol, _)| *symbol).filter(|symbol| !ranked.contains(symbol));
    let unranked = unranked.map(|symbol| (symbol, why_not.remove(&symbol))).collect();
    results.sort_unstable_by(ResultRow::rank_order);
    watch.lap("scoring");

    Ok(Scan {
        as_of: newest,
        n_symbols: bars.symbols.len(),
        results,
        market,
        unranked,
        models,
        strategy: config.scoring.strategy,
        rejections: std::mem::take(&mut bars.rejections),
        bars,
        missing_files,
        elapsed: watch.elapsed(),
        stages: watch.laps,
    })
}

/// What the models say of a symbol's newest bar, and why; and the row they read.
pub(crate) fn explain(
    dir: &Path,
    as_of: Option<EventTime>,
    symbol: Symbol,
    config: &Config,
    progress: &Progress,
) -> anyhow::Result<(FeatureBatch, Vec<ExplainedPrediction>)> {
    let timeframe = Timeframe::D1;
    progress.stage("reading");
    let mut bars =
        ingest::read_daily(&dir.join("daily_bars.parquet"), &ReadOptions { to: as_of, ..ReadOptions::default() })?;
    progress.stage("indicators");
    let plan = indicator::plan();
    let models = models::load(config, plan.clone())?;
    let rows = bars.symbols.iter().find(|(known, _)| *known == symbol).map(|(_, rows)| rows.clone());
    let Some(last) = rows.and_then(Iterator::last) else {
        return Err(Usage(format!("{symbol} has no bars in `{}`", dir.display())).into());
    };
    let session = bars.open_time[last];
    let before = bars.sessions.iter().copied().rfind(|before| *before < session).into_iter().collect();
    let Recomputed { latest, earlier } = newest::recompute(&bars, &before, &plan, None);
    bars.symbols.clear();
    let mut inference = InferenceStage::new(plan.clone(), models).with_history(history(timeframe, &plan, &earlier));
    let latest: Vec<Latest> = latest.into_iter().filter(|latest| latest.symbol == symbol).collect();
    let mut batches = feature_batches(timeframe, &plan, &latest);
    let features = batches.pop().ok_or_else(|| Usage(format!("the last bar of {symbol} is impossible")))?;
    let explained = inference.explain(&features, 0)?;
    Ok((features, explained))
}

/// The quantile tables of the sessions of these rows.
fn history(timeframe: Timeframe, plan: &Plan, rows: &[Latest]) -> TableHistory {
    let mut history = TableHistory::new(plan);
    for features in feature_batches(timeframe, plan, rows) {
        history.add(&features);
    }
    history
}

fn whole_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The messages that the indicator stage would have published for these rows.
pub(crate) fn feature_batches(timeframe: Timeframe, plan: &Plan, latest: &[Latest]) -> Vec<FeatureBatch> {
    let mut by_partition: Vec<Vec<&Latest>> = Partition::all().map(|_| Vec::new()).collect();
    for row in latest {
        by_partition[Partition::of(row.symbol).index()].push(row);
    }
    let mut batches = Vec::new();
    for (partition, rows) in Partition::all().zip(by_partition) {
        for (seq, rows) in (1..).zip(rows.chunks(schemas::ROWS_MAX)) {
            let mut builder = BarBatchBuilder::new(partition);
            for row in rows {
                builder.push_adjusted(row.symbol, row.bar, row.traded_close);
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
            let column = |column: usize| rows.iter().map(move |row| row.values.as_slice()[column]);
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
