//! Daily bars from Parquet: read in parallel, checked row by row, adjusted to the basis of the as-of row.

mod columns;
mod days;
mod groups;
mod order;
mod rows;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use schemas::{Bar, BarFlags, EventTime, Symbol};

use crate::{IngestError, Rejections};

pub(crate) use table::{Kind, Source, Table, Wanted};

/// Which rows of a file to read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadOptions {
    /// First session, inclusive; `None` is the first one there is.
    pub from: Option<EventTime>,
    /// Last session, inclusive; prices are on the basis of it, and nothing later has any influence.
    pub to: Option<EventTime>,
    /// `None` is every symbol.
    pub symbols: Option<BTreeSet<Symbol>>,
}

/// Daily bars of many symbols, a column a field, sorted by symbol and date. Every row passes [`Bar::check`].
///
/// # Units
/// Prices and volume are split-adjusted to the basis of the newest row of the (symbol, segment) that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DailyBars {
    /// The rows of each symbol.
    pub symbols: Vec<(Symbol, Range<usize>)>,
    pub open_time: Vec<EventTime>,
    pub open: Vec<f64>,
    pub high: Vec<f64>,
    pub low: Vec<f64>,
    pub close: Vec<f64>,
    pub volume: Vec<f64>,
    /// The close as it was traded that day, whatever was split later.
    pub traded_close: Vec<f64>,
    /// `FINAL`, `REPLAYED`; `CLOSE_ONLY` when the file has no open, high and low; `SEGMENT_START` on the first row of a segment; `GAP_BEFORE` where the file has a session
    /// between the row and the one before.
    pub flags: Vec<BarFlags>,
    /// Every session with a bar, ascending.
    pub sessions: Vec<EventTime>,
    pub rejections: Rejections,
    /// Rows that the [`ReadOptions`] leave out.
    pub n_rows_skipped: usize,
    /// Rows in the file: bars, rejections and skipped ones.
    pub n_rows_read: usize,
}

impl DailyBars {
    pub fn n_bars(&self) -> usize {
        self.open_time.len()
    }

    /// Whether the source has no open, high and low.
    pub fn is_close_only(&self) -> bool {
        self.flags.first().is_some_and(|flags| flags.contains(BarFlags::CLOSE_ONLY))
    }

    pub fn bar(&self, row: usize) -> Bar {
        Bar {
            open_time: self.open_time[row],
            open: self.open[row],
            high: self.high[row],
            low: self.low[row],
            close: self.close[row],
            volume: self.volume[row],
            revision: 0,
            flags: self.flags[row],
        }
    }
}

const COLUMNS: [Wanted; 9] = [
    Wanted::required("symbol", Kind::Text),
    Wanted::required("date", Kind::Date),
    Wanted::optional("open", Kind::Number),
    Wanted::optional("high", Kind::Number),
    Wanted::optional("low", Kind::Number),
    Wanted::required("close", Kind::Number),
    Wanted::required("volume", Kind::Number),
    Wanted::optional("split_factor", Kind::Number),
    Wanted::optional("seg", Kind::Number),
];

/// Present together or not at all; then the bars have closes only.
const RANGE_COLUMNS: [&str; 3] = ["open", "high", "low"];

/// Reads daily bars. Rows that are bad in themselves are refused one by one and never stop the rest; a file whose
/// symbols are not in order is sorted first.
///
/// # Errors
/// When the file is no Parquet, holds no rows, or a column is missing or of another kind. A file without open, high
/// and low is none of these: its bars are [`BarFlags::CLOSE_ONLY`].
pub fn read_daily(path: &Path, options: &ReadOptions) -> Result<DailyBars, IngestError> {
    let source = Source::open(path, &COLUMNS)?;
    if let Some(column) = RANGE_COLUMNS.into_iter().find(|column| !source.has(column))
        && RANGE_COLUMNS.into_iter().any(|column| source.has(column))
    {
        return Err(IngestError::MissingColumn { file: path.to_owned(), column, expected: Kind::Number.expected() });
    }
    if let Some(bars) = groups::collect_file(&source, options)? {
        return Ok(bars);
    }
    let table = source.read_all()?;
    let order = order::sorted(&table);
    Ok(groups::collect_table(path, &table.reordered(&order), &order, options))
}

fn symbols_of(table: &Table) -> &polars::prelude::StringChunked {
    table.texts("symbol").expect("a required column")
}
