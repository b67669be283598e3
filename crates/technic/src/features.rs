use std::fs::{File, Permissions};
use std::io::BufWriter;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use indicator::Slot;
use inference::{InferenceStage, TableHistory};
use ingest::{DailyBars, ReadOptions};
use polars::prelude::{
    BatchedWriter, Column, DataFrame, DataType, IntoColumn as _, NamedFrom as _, ParquetWriter, Series,
};
use rayon::prelude::*;
use schemas::{
    BarBatchBuilder, EventTime, FeatureBatch, Header, Partition, Plan, Predictions, ROWS_MAX, Symbol, Timeframe,
};

use crate::cli::FeaturesArgs;
use crate::error::Usage;
use crate::models;
use crate::progress::Progress;

/// Symbols whose rows are computed together and written as one row group.
const SYMBOLS_PER_GROUP: usize = 512;

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
    // Written beside the target and renamed, so that nobody ever reads half a file.
    let folder = args.output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        // As any new file: the umask decides. A temporary file would be the owner's alone.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(context)?;
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
    let mut writer: Option<BatchedWriter<BufWriter<&File>>> = None;
    let mut n_rows = 0;
    for group in bars.symbols.chunks(SYMBOLS_PER_GROUP) {
        let mut frame = frame(bars, plan, from, inference.as_deref_mut(), group)?;
        n_rows += frame.height();
        if writer.is_none() {
            writer = Some(ParquetWriter::new(BufWriter::new(file)).batched(frame.schema())?);
        }
        let writer = writer.as_mut().expect("it was made above");
        frame.rechunk_mut();
        writer.write_batch(&frame)?;
        progress.add(group.len());
    }
    if let Some(writer) = writer {
        writer.finish()?;
    }
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
    let number = |name: &str, values: &[f64]| {
        Column::from(Series::new(name.into(), rows.iter().map(|&row| values[row]).collect::<Vec<_>>()))
    };
    let mut columns = vec![
        Column::from(Series::new("symbol".into(), symbols)),
        Series::new("date".into(), days).cast(&DataType::Date)?.into_column(),
        number("close", &bars.close),
        number("volume", &bars.volume),
    ];
    for (at, name) in plan.columns().iter().enumerate() {
        let values = per_symbol.iter().flat_map(|(_, columns)| columns[at].iter());
        let values: Vec<Option<f64>> = values.map(|value| (!value.is_nan()).then_some(*value)).collect();
        columns.push(Column::from(Series::new(name.as_str().into(), values)));
    }
    if let Some(inference) = inference {
        let mut predictions = Vec::with_capacity(rows.len());
        for ((symbol, _), (kept, columns)) in group.iter().zip(&per_symbol) {
            for features in batches(bars, plan, *symbol, kept, columns) {
                let predicted = inference.predict(features).context("inference refused its own features")?;
                predictions.extend_from_slice(predicted.rows());
            }
        }
        for (name, value) in PREDICTIONS {
            let values: Vec<Option<f64>> = predictions.iter().map(value).collect();
            columns.push(Column::from(Series::new(name.into(), values)));
        }
    }
    Ok(DataFrame::new(rows.len(), columns)?)
}

/// Every column of some symbols' bars, and the rows they stand in.
fn compute(
    bars: &DailyBars,
    plan: &Plan,
    from: Option<EventTime>,
    group: &[(Symbol, Range<usize>)],
) -> Vec<(Vec<usize>, Columns)> {
    let of_symbol = |(_, rows): &(Symbol, Range<usize>)| {
        let mut slot = Slot::default();
        let mut kept = Vec::with_capacity(rows.len());
        let mut columns: Columns = vec![Vec::with_capacity(rows.len()); plan.len()];
        for row in rows.clone() {
            let values = slot.close(&bars.bar(row));
            if from.is_none_or(|from| bars.open_time[row] >= from) {
                kept.push(row);
                for (column, value) in columns.iter_mut().zip(values.as_slice()) {
                    column.push(*value);
                }
            }
        }
        (kept, columns)
    };
    group.par_iter().map(of_symbol).collect()
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
