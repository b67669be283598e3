use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;

use anyhow::Context as _;
use inference::{InferenceStage, TableHistory};
use ingest::{DailyBars, ReadOptions};
use polars::prelude::{
    Column, DataFrame, DataType, Float64Chunked, IntoColumn as _, IntoSeries as _, NamedFrom as _, ParquetCompression,
    ParquetWriter, PolarsResult, Series, StatisticsOptions,
};
use rayon::prelude::*;
use schemas::{
    Bar, BarBatchBuilder, EventTime, FeatureBatch, Header, Partition, Plan, Predictions, ROWS_MAX, Symbol, Timeframe,
};

use crate::cli::FeaturesArgs;
use crate::error::Usage;
use crate::progress::Progress;
use crate::{models, new_file};

/// Symbols whose rows are computed together and written as one row group.
const SYMBOLS_PER_GROUP: usize = 128;

/// Symbols that a thread computes side by side.
const SYMBOLS_PER_TASK: usize = 32;

/// One column of every bar, symbol by symbol.
type Columns = Vec<Vec<f64>>;

/// A column of predictions and where it is.
type PredictionColumn = (&'static str, fn(&Predictions) -> Option<f64>);

const PREDICTIONS: [PredictionColumn; 7] = [
    ("alpha_5d", |row| row.alpha_5d),
    ("alpha_5d_low", |row| Some(row.alpha_5d_range?.0)),
    ("alpha_5d_high", |row| Some(row.alpha_5d_range?.1)),
    ("alpha_10d", |row| row.alpha_10d),
    ("alpha_10d_low", |row| Some(row.alpha_10d_range?.0)),
    ("alpha_10d_high", |row| Some(row.alpha_10d_range?.1)),
    ("win_prob_10d", |row| row.win_prob_10d),
];

pub(crate) fn features(args: &FeaturesArgs) -> anyhow::Result<()> {
    let path = match (&args.input.bars, &args.input.data) {
        (Some(file), _) => file.clone(),
        (None, Some(dir)) => dir.join("daily_bars.parquet"),
        (None, None) => unreachable!("the command line asks for one of them"),
    };
    let bars = ingest::read_daily(&path, &ReadOptions { to: args.to, ..ReadOptions::default() })?;
    if bars.rejections.total() > 0 {
        eprintln!("technic: {} rows of `{}` rejected", bars.rejections.total(), path.display());
        bars.rejections.samples.iter().for_each(|fault| eprintln!("technic: rejected {fault}"));
    }
    if bars.is_close_only() {
        eprintln!("technic: `{}` has no open, high and low; the columns that need them are null", path.display());
    }
    let plan = indicator::plan();
    let mut inference = if args.predict { Some(predictor(args, &bars, &plan)?) } else { None };
    let progress = Progress::bar(bars.symbols.len(), "symbols");
    let context = || format!("cannot write `{}`", args.output.display());
    let temporary = new_file::beside(&args.output).with_context(context)?;
    let n_rows =
        write(&bars, &plan, args.from, inference.as_mut(), temporary.as_file(), &progress).with_context(context)?;
    temporary.persist(&args.output).with_context(context)?;
    drop(progress);
    let n_columns = plan.len() + 4 + if args.predict { PREDICTIONS.len() } else { 0 };
    eprintln!("technic: {n_rows} rows of {n_columns} columns in `{}`", args.output.display());
    Ok(())
}

fn write(
    bars: &DailyBars,
    plan: &Plan,
    from: Option<EventTime>,
    mut inference: Option<&mut InferenceStage>,
    file: &File,
    progress: &Progress,
) -> anyhow::Result<usize> {
    let empty = frame(bars, plan, from, inference.as_deref_mut(), &[])?;
    // Indicators hardly compress, and nobody looks for a range of one; both would take most of the time.
    let writer = ParquetWriter::new(BufWriter::new(file))
        .with_compression(ParquetCompression::Uncompressed)
        .with_statistics(StatisticsOptions::empty())
        .batched(empty.schema())?;
    let mut n_rows = 0;
    let mut encoded = Vec::new();
    let groups: Vec<&[(Symbol, Range<usize>)]> = bars.symbols.chunks(SYMBOLS_PER_GROUP).collect();
    for groups in groups.chunks(rayon::current_num_threads()) {
        let frames = || -> anyhow::Result<Vec<DataFrame>> {
            match inference.as_deref_mut() {
                // Models predict one batch after the other.
                Some(inference) => {
                    groups.iter().map(|group| frame(bars, plan, from, Some(&mut *inference), group)).collect()
                }
                None => groups.par_iter().map(|group| frame(bars, plan, from, None, group)).collect(),
            }
        };
        // What is ready is written while the next groups are computed.
        let (written, frames) = rayon::join(|| writer.write_row_groups(std::mem::take(&mut encoded)), frames);
        written?;
        let frames = frames?;
        n_rows += frames.iter().map(DataFrame::height).sum::<usize>();
        encoded = frames
            .par_iter()
            .map(|frame| writer.encode_and_compress(frame).collect())
            .collect::<PolarsResult<Vec<Vec<_>>>>()?
            .into_iter()
            .flatten()
            .collect();
        progress.add(groups.iter().map(|group| group.len()).sum());
    }
    writer.write_row_groups(encoded)?;
    writer.finish()?;
    Ok(n_rows)
}

/// The rows of some symbols: what they are named by, and every column of the plan; missing is null.
fn frame(
    bars: &DailyBars,
    plan: &Plan,
    from: Option<EventTime>,
    inference: Option<&mut InferenceStage>,
    group: &[(Symbol, Range<usize>)],
) -> anyhow::Result<DataFrame> {
    let per_symbol = compute(bars, plan, from, group);
    let rows: Vec<usize> = per_symbol.iter().flat_map(|(kept, _)| kept.iter().copied()).collect();
    let symbols: Vec<&str> = group
        .iter()
        .zip(&per_symbol)
        .flat_map(|((symbol, _), (kept, _))| std::iter::repeat_n(symbol.as_str(), kept.len()))
        .collect();
    let days: Vec<i32> = rows.iter().map(|&row| bars.open_time[row].days()).collect();
    let of_bars = |name: &str, values: &[f64]| numbers(name, rows.iter().map(|&row| values[row]).collect());
    let mut columns = vec![
        Column::from(Series::new("symbol".into(), symbols)),
        Series::new("date".into(), days).cast(&DataType::Date)?.into_column(),
        of_bars("close", &bars.close),
        of_bars("volume", &bars.volume),
    ];
    if let Some(inference) = inference {
        let mut predictions = Vec::with_capacity(rows.len());
        for ((symbol, _), (kept, columns)) in group.iter().zip(&per_symbol) {
            for features in batches(bars, plan, *symbol, kept, columns) {
                let predicted = inference.predict(features).context("inference refused its own features")?;
                predictions.extend_from_slice(predicted.rows());
            }
        }
        let of_predictions = PREDICTIONS.map(|(name, value)| {
            let values: Vec<Option<f64>> = predictions.iter().map(value).collect();
            Column::from(Series::new(name.into(), values))
        });
        columns.extend(of_plan(plan, &per_symbol, rows.len()));
        columns.extend(of_predictions);
    } else {
        columns.extend(of_plan(plan, &per_symbol, rows.len()));
    }
    Ok(DataFrame::new(rows.len(), columns)?)
}

fn of_plan<'a>(
    plan: &'a Plan,
    per_symbol: &'a [(Vec<usize>, Columns)],
    n_rows: usize,
) -> impl Iterator<Item = Column> + 'a {
    plan.columns().iter().enumerate().map(move |(at, name)| {
        let mut values = Vec::with_capacity(n_rows);
        for (_, columns) in per_symbol {
            values.extend_from_slice(&columns[at]);
        }
        numbers(name, values)
    })
}

/// A column in which NaN is null.
fn numbers(name: &str, values: Vec<f64>) -> Column {
    let column = Float64Chunked::from_vec(name.into(), values);
    let is_shown = column.is_not_nan();
    let mask = is_shown.downcast_iter().next().map(|mask| mask.values().clone());
    let array = column.downcast_as_array().clone().with_validity(mask.filter(|mask| mask.unset_bits() > 0));
    Float64Chunked::with_chunk(name.into(), array).into_series().into_column()
}

/// Every column of some symbols' bars, and the rows they stand in.
fn compute(
    bars: &DailyBars,
    plan: &Plan,
    from: Option<EventTime>,
    group: &[(Symbol, Range<usize>)],
) -> Vec<(Vec<usize>, Columns)> {
    let of_some = |group: &[(Symbol, Range<usize>)]| -> Vec<(Vec<usize>, Columns)> {
        let histories: Vec<Vec<Bar>> =
            group.iter().map(|(_, rows)| rows.clone().map(|row| bars.bar(row)).collect()).collect();
        let slices: Vec<&[Bar]> = histories.iter().map(Vec::as_slice).collect();
        let mut all: Vec<Columns> =
            slices.iter().map(|history| vec![vec![f64::NAN; history.len()]; plan.len()]).collect();
        indicator::recompute_columns(&slices, 0..plan.len(), &mut |block| {
            for (at, column) in all[block.symbol()].iter_mut().enumerate() {
                for (place, value) in block.places().zip(block.column(at)) {
                    column[place] = value;
                }
            }
        });
        let kept = |((_, rows), mut columns): (&(Symbol, Range<usize>), Columns)| {
            // The rows of a symbol are in the order of time.
            let n_early = from.map_or(0, |from| rows.clone().take_while(|&row| bars.open_time[row] < from).count());
            for column in &mut columns {
                column.drain(..n_early);
            }
            (rows.clone().skip(n_early).collect(), columns)
        };
        group.iter().zip(all).map(kept).collect()
    };
    group.par_chunks(SYMBOLS_PER_TASK).flat_map_iter(of_some).collect()
}

/// The models, and the tables of every session that a row to be written is predicted with.
fn predictor(args: &FeaturesArgs, bars: &DailyBars, plan: &Plan) -> anyhow::Result<InferenceStage> {
    let config = models::config(args.models.config.as_deref(), &args.models.models)?;
    let models = models::load(&config, plan.clone())?;
    if models.is_empty() {
        return Err(Usage("`--predict` needs models".to_owned()).into());
    }
    // One session more than is written.
    let first = args.from.map(|from| bars.sessions.partition_point(|session| *session < from).saturating_sub(1));
    let from = first.and_then(|first| bars.sessions.get(first).copied());
    let progress = Progress::bar(bars.symbols.len(), "symbols");
    let mut history = TableHistory::new(plan);
    for group in bars.symbols.chunks(SYMBOLS_PER_GROUP) {
        for ((symbol, _), (kept, columns)) in group.iter().zip(compute(bars, plan, from, group)) {
            for features in batches(bars, plan, *symbol, &kept, &columns) {
                history.add(&features);
            }
        }
        progress.add(group.len());
    }
    Ok(InferenceStage::new(plan.clone(), models).with_history(history))
}

/// The messages that the indicator stage would have published for these rows of a symbol, as far as models read them.
fn batches<'a>(
    bars: &'a DailyBars,
    plan: &'a Plan,
    symbol: Symbol,
    rows: &'a [usize],
    columns: &'a Columns,
) -> impl Iterator<Item = FeatureBatch> + 'a {
    let partition = Partition::of(symbol);
    rows.chunks(ROWS_MAX).enumerate().map(move |(chunk, chunk_rows)| {
        let mut builder = BarBatchBuilder::new(partition);
        for &row in chunk_rows {
            builder.push_adjusted(symbol, bars.bar(row), bars.traded_close[row]);
        }
        let header = Header {
            timeframe: Timeframe::D1,
            partition,
            epoch: 0,
            seq: 1,
            event_time: EventTime::default(),
            ingest_time: EventTime::default(),
            source: "replay".to_owned(),
            watermark: None,
        };
        let first = chunk * ROWS_MAX;
        let matrix = columns.iter().flat_map(|column| &column[first..first + chunk_rows.len()]).copied().collect();
        FeatureBatch::new(builder.finish(header), plan.hash(), matrix).expect("indicators are finite or missing")
    })
}
