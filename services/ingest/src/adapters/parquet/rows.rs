use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use polars::prelude::*;
use schemas::{Bar, BarFlags, EventTime, Symbol};

use super::columns::{Part, Slices};
use super::days::{DAYS_MAX, Days};
use super::{ReadOptions, Table, symbols_of};
use crate::{Rejections, RowFault};

/// What all rows of a table share.
pub(super) struct Context<'a> {
    pub(super) file: &'a Path,
    pub(super) table: &'a Table,
    /// Rows of the file before the table.
    pub(super) start: usize,
    /// The row in the file of each row of the table, where they differ by more than `start`.
    pub(super) order: Option<&'a [IdxSize]>,
    pub(super) options: &'a ReadOptions,
}

impl Context<'_> {
    /// Checks the rows of some runs, adjusts what is good, and writes it to the front of `out`.
    pub(super) fn collect(&self, runs: &[Range<usize>], rows: Range<usize>, out: Slices<'_>) -> Part {
        let numbers = |name| self.table.numbers(name).map(|column| plain(column, &rows));
        let required = |name| numbers(name).expect("a required column");
        let (open, high, low, close) = (numbers("open"), numbers("high"), numbers("low"), required("close"));
        let (volume, split_factor, seg) = (required("volume"), numbers("split_factor"), numbers("seg"));
        let days = plain(self.table.days("date").expect("a required column"), &rows);
        let input = Input {
            days: slice(&days),
            range: open.as_deref().zip(high.as_deref()).zip(low.as_deref()).map(|((open, high), low)| Ranges {
                open: slice(open),
                high: slice(high),
                low: slice(low),
            }),
            close: slice(&close),
            volume: slice(&volume),
            split_factor: split_factor.as_deref().map(slice),
            seg: seg.as_deref().map(slice),
        };
        let part = Part {
            start: self.start + rows.start,
            own: None,
            n_bars: 0,
            symbols: Vec::with_capacity(runs.len()),
            days: Days::of(input.days),
            rejections: Rejections::default(),
            n_rows_skipped: 0,
        };
        let mut task = Task { context: self, input, out, part, pending: Vec::new() };
        for run in runs {
            task.collect_run(symbols_of(self.table).get(run.start), run.start - rows.start..run.end - rows.start);
        }
        task.part
    }
}

/// The rows of a column in one piece.
fn plain<'a, T: PolarsNumericType>(column: &'a ChunkedArray<T>, rows: &Range<usize>) -> Cow<'a, ChunkedArray<T>> {
    let start = i64::try_from(rows.start).expect("polars counts rows in this type");
    Cow::Owned(column.slice(start, rows.len()).rechunk().into_owned())
}

fn slice<T: PolarsNumericType>(column: &ChunkedArray<T>) -> &[T::Native] {
    column.cont_slice().expect("in one piece and without nulls")
}

/// The columns of a task, as read.
struct Input<'a> {
    days: &'a [i32],
    /// `None`: the file has closes only.
    range: Option<Ranges<'a>>,
    close: &'a [f64],
    volume: &'a [f64],
    split_factor: Option<&'a [f64]>,
    seg: Option<&'a [f64]>,
}

struct Ranges<'a> {
    open: &'a [f64],
    high: &'a [f64],
    low: &'a [f64],
}

/// A row that is good in itself; its prices wait for the basis of its segment.
struct Pending {
    row: usize,
    factor: f64,
}

struct Task<'a, 'b> {
    context: &'a Context<'a>,
    input: Input<'b>,
    out: Slices<'b>,
    part: Part,
    /// Rows of the current segment.
    pending: Vec<Pending>,
}

impl Task<'_, '_> {
    fn collect_run(&mut self, name: Option<&str>, rows: Range<usize>) {
        let options = self.context.options;
        let symbol = name.map(Symbol::new);
        let is_selected = |symbol: &Symbol| options.symbols.as_ref().is_none_or(|wanted| wanted.contains(symbol));
        let symbol = match symbol {
            Some(Ok(symbol)) if is_selected(&symbol) => symbol,
            _ if options.symbols.is_some() => {
                self.part.n_rows_skipped += rows.len();
                return;
            }
            Some(Err(error)) => return rows.for_each(|row| self.reject(name, row, "symbol", || error.to_string())),
            _ => return rows.for_each(|row| self.reject(name, row, "symbol", || "symbol is missing".to_owned())),
        };

        let start = self.part.n_bars;
        let from = options.from.map_or(i64::MIN, EventTime::as_ns);
        let to = options.to.map_or(i64::MAX, EventTime::as_ns);
        let mut newest_day = None;
        let mut segment = None;
        for row in rows {
            let day = self.input.days[row];
            if !(-DAYS_MAX..=DAYS_MAX).contains(&day) {
                self.reject(name, row, "date", || "date is missing or out of range".to_owned());
                continue;
            }
            let open_time = EventTime::from_days(day).as_ns();
            if open_time < from || open_time > to {
                self.part.n_rows_skipped += 1;
                continue;
            }
            match self.check(row, newest_day) {
                Ok(factor) => {
                    newest_day = Some(day);
                    let seg = self.input.seg.map(|seg| seg[row].to_bits());
                    if segment.is_some_and(|segment| segment != seg) {
                        self.finish_segment(name);
                    }
                    segment = Some(seg);
                    self.pending.push(Pending { row, factor });
                }
                Err((reason, detail)) => self.reject(name, row, reason, || detail),
            }
        }
        self.finish_segment(name);
        if start < self.part.n_bars {
            self.part.symbols.push((symbol, start..self.part.n_bars));
        }
    }

    /// The split factor of a row that is good in itself.
    fn check(&self, row: usize, newest_day: Option<i32>) -> Result<f64, (&'static str, String)> {
        let bar = self.raw(row);
        if !is_possible(&bar) {
            let fault = bar.check().expect_err("the quick test refuses what the full one refuses");
            return Err((fault.reason(), fault.to_string()));
        }
        let factor = self.input.split_factor.map_or(1.0, |factors| factors[row]);
        if !(factor.is_finite() && factor > 0.0) {
            return Err(("split_factor", format!("split_factor {factor} is not a finite number above zero")));
        }
        let day = self.input.days[row];
        let date = |day| EventTime::from_days(day).display(schemas::Timeframe::D1);
        match newest_day {
            Some(newest) if newest == day => Err(("duplicate", format!("a second row for {}", date(day)))),
            Some(newest) if newest > day => {
                Err(("time_went_back", format!("{} comes after {}", date(day), date(newest))))
            }
            _ => Ok(factor),
        }
    }

    #[inline]
    fn raw(&self, row: usize) -> Bar {
        let input = &self.input;
        let flags = BarFlags::FINAL.with(BarFlags::REPLAYED);
        let (open, high, low, flags) = match &input.range {
            Some(range) => (range.open[row], range.high[row], range.low[row], flags),
            None => (f64::NAN, f64::NAN, f64::NAN, flags.with(BarFlags::CLOSE_ONLY)),
        };
        let open_time = EventTime::from_days(input.days[row]);
        Bar { open_time, open, high, low, close: input.close[row], volume: input.volume[row], revision: 0, flags }
    }

    /// Brings the pending rows onto the basis of the last one and writes them out.
    fn finish_segment(&mut self, name: Option<&str>) {
        let Some(basis) = self.pending.last().map(|last| last.factor) else { return };
        let pending = std::mem::take(&mut self.pending);
        let mut is_first = true;
        for &Pending { row, factor } in &pending {
            let factor = factor / basis;
            let raw = self.raw(row);
            let bar = Bar {
                open: raw.open * factor,
                high: raw.high * factor,
                low: raw.low * factor,
                close: raw.close * factor,
                volume: raw.volume / factor,
                ..raw
            };
            if !is_possible(&bar) {
                let detail = || format!("adjusting by {factor:e} leaves the range of numbers");
                self.reject(name, row, "out_of_range", detail);
                continue;
            }
            let flags = if is_first { bar.flags.with(BarFlags::SEGMENT_START) } else { bar.flags };
            is_first = false;

            let (at, out) = (self.part.n_bars, &mut self.out);
            out.open_time_ns[at] = bar.open_time.as_ns();
            out.open[at] = bar.open;
            out.high[at] = bar.high;
            out.low[at] = bar.low;
            out.close[at] = bar.close;
            out.volume[at] = bar.volume;
            out.traded_close[at] = raw.close;
            out.flags[at] = flags;
            self.part.n_bars += 1;
        }
        self.pending = pending;
        self.pending.clear();
    }

    fn reject(&mut self, name: Option<&str>, row: usize, reason: &'static str, detail: impl FnOnce() -> String) {
        let in_table = self.part.start + row;
        let in_file = self.context.order.map_or(in_table, |order| order[in_table] as usize);
        self.part.rejections.add(reason, || RowFault {
            file: self.context.file.to_owned(),
            row: in_file,
            symbol: name.unwrap_or_default().to_owned(),
            reason,
            detail: detail(),
        });
    }
}

/// [`Bar::check`] without the reason; NaN fails every comparison.
#[inline]
fn is_possible(bar: &Bar) -> bool {
    let is_ordered = bar.low <= bar.open && bar.open <= bar.high && bar.low <= bar.close && bar.close <= bar.high;
    let is_in_range = is_ordered && bar.low > 0.0 && bar.high < f64::INFINITY;
    let is_close_only = bar.flags.contains(BarFlags::CLOSE_ONLY) && bar.close > 0.0 && bar.close < f64::INFINITY;
    (is_in_range || is_close_only) && bar.volume >= 0.0 && bar.volume < f64::INFINITY
}
