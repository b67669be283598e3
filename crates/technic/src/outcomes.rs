//! Results of the past and what became of them: `technic outcomes` records them, a scan and the line read them (ADR 0015).

use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;
use inference::Manifest;
use ingest::{DailyBars, ReadOptions};
use polars::prelude::{
    Column, DataFrame, DataType, IntoColumn as _, NamedFrom as _, ParquetReader, ParquetWriter, PolarsError,
    SerReader as _, Series,
};
use schemas::{BarFlags, EventTime, Symbol, Timeframe};
use scoring::OutcomeHistory;
use scoring::drift::PlayStyle;
use scoring::meta_experience::{HORIZONS, Sample};

use crate::cli::OutcomesArgs;
use crate::config::Config;
use crate::error::{BadData, Usage};
use crate::progress::Progress;
use crate::{models, new_file, recompute};

/// Sessions after which an outcome is complete.
const SESSIONS_MAX: usize = HORIZONS[HORIZONS.len() - 1] as usize;

/// Scores every `--every`th session as it was known then, and measures what followed.
pub(crate) fn record(args: &OutcomesArgs) -> anyhow::Result<()> {
    let config = models::config(args.config.as_deref(), &args.models)?;
    // Outcomes of the recording itself must not depend on an older one.
    let config = Config { scoring: scoring::ScoringOptions { outcomes: None, ..config.scoring }, ..config };
    let bars = ingest::read_daily(&args.data.join("daily_bars.parquet"), &ReadOptions::default())?;
    let sessions = sampled(&bars, args)?;
    warn_of_learnt(&config, &bars, &sessions)?;
    let progress = Progress::bar(sessions.len(), "sessions");
    let quiet = Progress::hidden();
    let mut rows = Rows::default();
    for &session in &sessions {
        let as_of = bars.sessions[session];
        let scan = recompute::scan(&args.data, Some(as_of), &config, &quiet)?;
        let known_on = bars.sessions[session + SESSIONS_MAX];
        for row in &scan.results {
            // A row of an older bar says nothing about what followed this session.
            if row.position().0 == as_of {
                let returns = HORIZONS.map(|days| forward_return(&bars, row.symbol, session, days as usize));
                rows.push((as_of, known_on), row, returns);
            }
        }
        progress.add(1);
    }
    drop(progress);
    let n_rows = rows.symbol.len();
    rows.write(&args.output)?;
    let day = |session: usize| bars.sessions[session].display(Timeframe::D1);
    let (first, last) = (sessions[0], sessions[sessions.len() - 1]);
    eprintln!(
        "technic: {n_rows} results of {} sessions from {} to {} in `{}`",
        sessions.len(),
        day(first),
        day(last),
        args.output.display()
    );
    Ok(())
}

/// Says on stderr which models learnt from sessions that are to be scored.
fn warn_of_learnt(config: &Config, bars: &DailyBars, sessions: &[usize]) -> anyhow::Result<()> {
    for model in models::load(config, indicator::plan())?.models() {
        let Manifest { name, training, .. } = model.manifest();
        let (Some(from), Some(to)) = (EventTime::parse_date(&training.from), EventTime::parse_date(&training.to))
        else {
            continue;
        };
        let n_learnt = sessions.iter().filter(|&&session| (from..=to).contains(&bars.sessions[session])).count();
        if n_learnt > 0 {
            let n_all = sessions.len();
            eprintln!(
                "technic: `{name}` learnt from {n_learnt} of the {n_all} sessions, whose outcomes therefore flatter"
            );
        }
    }
    Ok(())
}

/// The sessions to score, by their place: those whose outcomes the folder knows.
fn sampled(bars: &DailyBars, args: &OutcomesArgs) -> Result<Vec<usize>, Usage> {
    let n_known = bars.sessions.len().saturating_sub(SESSIONS_MAX);
    let is_wanted = |session: &usize| {
        let time = bars.sessions[*session];
        args.from.is_none_or(|from| time >= from) && args.to.is_none_or(|to| time <= to)
    };
    let sessions: Vec<usize> = (0..n_known).filter(is_wanted).step_by(args.every).collect();
    if sessions.is_empty() {
        let folder = args.data.display();
        return Err(Usage(format!("`{folder}` has no session in that range with {SESSIONS_MAX} more behind it")));
    }
    Ok(sessions)
}

/// From close to close, adjusted; `None` when the symbol has no bar on both sessions, or is another instrument by then.
fn forward_return(bars: &DailyBars, symbol: Symbol, session: usize, n_sessions: usize) -> Option<f64> {
    let place = bars.symbols.binary_search_by_key(&symbol, |(known, _)| *known).ok()?;
    let rows = bars.symbols[place].1.clone();
    let from = row_of(bars, &rows, bars.sessions[session])?;
    let to = row_of(bars, &rows, *bars.sessions.get(session + n_sessions)?)?;
    let is_same = !bars.flags[from + 1..=to].iter().any(|flags| flags.contains(BarFlags::SEGMENT_START));
    is_same.then(|| bars.close[to] / bars.close[from] - 1.0)
}

fn row_of(bars: &DailyBars, rows: &Range<usize>, session: EventTime) -> Option<usize> {
    let found = bars.open_time[rows.clone()].binary_search(&session).ok()?;
    Some(rows.start + found)
}

/// Columns of the file.
#[derive(Debug, Default)]
struct Rows {
    as_of: Vec<i32>,
    symbol: Vec<Symbol>,
    merit: Vec<f64>,
    play_style: Vec<String>,
    returns: [Vec<Option<f64>>; HORIZONS.len()],
    known_on: Vec<i32>,
}

impl Rows {
    fn push(
        &mut self,
        (as_of, known_on): (EventTime, EventTime),
        row: &schemas::ResultRow,
        returns: [Option<f64>; HORIZONS.len()],
    ) {
        self.as_of.push(as_of.days());
        self.symbol.push(row.symbol);
        self.merit.push(row.merit);
        self.play_style.push(row.play_style.to_string());
        for (column, value) in self.returns.iter_mut().zip(returns) {
            column.push(value);
        }
        self.known_on.push(known_on.days());
    }

    fn write(self, path: &Path) -> anyhow::Result<()> {
        let n_rows = self.symbol.len();
        let date = |name: &str, days: Vec<i32>| -> anyhow::Result<Column> {
            Ok(Series::new(name.into(), days).cast(&DataType::Date)?.into_column())
        };
        let symbols: Vec<&str> = self.symbol.iter().map(Symbol::as_str).collect();
        let mut columns = vec![
            date("as_of", self.as_of)?,
            Column::from(Series::new("symbol".into(), symbols)),
            Column::from(Series::new("merit".into(), self.merit)),
            Column::from(Series::new("play_style".into(), self.play_style)),
        ];
        for (days, values) in HORIZONS.iter().zip(self.returns) {
            columns.push(Column::from(Series::new(return_column(*days).into(), values)));
        }
        columns.push(date("known_on", self.known_on)?);
        let mut frame = DataFrame::new(n_rows, columns)?;
        let context = || format!("cannot write `{}`", path.display());
        let temporary = new_file::beside(path).with_context(context)?;
        ParquetWriter::new(BufWriter::new(temporary.as_file())).finish(&mut frame).with_context(context)?;
        temporary.persist(path).with_context(context)?;
        Ok(())
    }
}

fn return_column(days: u32) -> String {
    format!("fwd_ret_{days}d")
}

/// Reads what [`record`] wrote.
///
/// # Errors
/// When the file is something else; the error names it, and the column or row at fault.
pub(crate) fn read(path: &Path) -> anyhow::Result<OutcomeHistory> {
    let samples = samples(path).map_err(|fault| BadData(format!("outcomes `{}`: {fault}", path.display())))?;
    Ok(OutcomeHistory::new(samples))
}

fn samples(path: &Path) -> Result<Vec<Sample>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let frame = ParquetReader::new(file).finish().map_err(|error| format!("no Parquet: {error}"))?;
    let column = |name: &str, kind: &DataType| {
        let column = frame.column(name).map_err(|_| format!("column `{name}` is missing"))?;
        if column.dtype() != kind {
            return Err(format!("column `{name}` is {} instead of {kind}", column.dtype()));
        }
        Ok(column.as_materialized_series().clone())
    };
    let unreadable = |error: PolarsError| error.to_string();
    let numbers = |name: &str| column(name, &DataType::Float64)?.f64().cloned().map_err(unreadable);
    let scores = numbers("merit")?;
    let (short, long) = (numbers(&return_column(HORIZONS[0]))?, numbers(&return_column(HORIZONS[1]))?);
    let styles = column("play_style", &DataType::String)?;
    let styles = styles.str().map_err(unreadable)?;
    let days = column("known_on", &DataType::Date)?.cast(&DataType::Int32).map_err(unreadable)?;
    let days = days.i32().map_err(unreadable)?;

    let mut samples = Vec::with_capacity(frame.height());
    for row in 0..frame.height() {
        let wrong = |column: &str| format!("row {}: `{column}` is no possible value", row + 1);
        let returns = [short.get(row), long.get(row)];
        let is_possible = |value: &Option<f64>| value.is_none_or(|value| value.is_finite() && value >= -1.0);
        if let Some(place) = returns.iter().position(|value| !is_possible(value)) {
            return Err(wrong(&return_column(HORIZONS[place])));
        }
        samples.push(Sample {
            score: scores.get(row).filter(|score| (0.0..=100.0).contains(score)).ok_or_else(|| wrong("merit"))?,
            style: Some(styles.get(row).and_then(PlayStyle::named).ok_or_else(|| wrong("play_style"))?),
            returns,
            known_on: days.get(row).map(EventTime::from_days).ok_or_else(|| wrong("known_on"))?,
        });
    }
    Ok(samples)
}
