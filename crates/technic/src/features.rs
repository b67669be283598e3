use std::fs::{File, Permissions};
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use indicator::Slot;
use ingest::{DailyBars, ReadOptions};
use polars::prelude::{
    BatchedWriter, Column, DataFrame, DataType, IntoColumn as _, NamedFrom as _, ParquetWriter, Series,
};
use rayon::prelude::*;
use schemas::{EventTime, Plan};

use crate::cli::FeaturesArgs;
use crate::progress::Progress;

/// Symbols whose rows are computed together and written as one row group.
const SYMBOLS_PER_GROUP: usize = 512;

/// One column of every bar, symbol by symbol.
type Columns = Vec<Vec<f64>>;

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
    let progress = Progress::bar(bars.symbols.len(), "symbols");
    let context = || format!("cannot write `{}`", args.output.display());
    // Written beside the target and renamed, so that nobody ever reads half a file.
    let folder = args.output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        // As any new file: the umask decides. A temporary file would be the owner's alone.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(context)?;
    let n_rows = write(&bars, &plan, args.from, temporary.as_file(), &progress).with_context(context)?;
    temporary.persist(&args.output).with_context(context)?;
    drop(progress);
    eprintln!("technic: {n_rows} rows of {} columns in `{}`", plan.len() + 4, args.output.display());
    Ok(())
}

fn write(
    bars: &DailyBars,
    plan: &Plan,
    from: Option<EventTime>,
    file: &File,
    progress: &Progress,
) -> anyhow::Result<usize> {
    let mut writer: Option<BatchedWriter<BufWriter<&File>>> = None;
    let mut n_rows = 0;
    for group in bars.symbols.chunks(SYMBOLS_PER_GROUP) {
        let mut frame = frame(bars, plan, from, group)?;
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
    group: &[(schemas::Symbol, std::ops::Range<usize>)],
) -> anyhow::Result<DataFrame> {
    let per_symbol: Vec<(Vec<usize>, Columns)> = group
        .par_iter()
        .map(|(_, rows)| {
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
        })
        .collect();
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
    Ok(DataFrame::new(rows.len(), columns)?)
}
