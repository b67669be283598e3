use std::ops::Range;

use schemas::{BarFlags, EventTime, Symbol};

use super::DailyBars;
use super::days::Days;
use crate::Rejections;

/// The columns to fill, one value per row of the file; compacted at the end when rows were left out.
pub(super) struct Columns {
    open_time_ns: Vec<i64>,
    open: Vec<f64>,
    high: Vec<f64>,
    low: Vec<f64>,
    close: Vec<f64>,
    volume: Vec<f64>,
    traded_close: Vec<f64>,
    flags: Vec<BarFlags>,
}

/// What became of some consecutive rows of the file.
pub(super) struct Part {
    /// Rows of the file before it.
    pub(super) start: usize,
    /// Where its bars are when they are not in the shared [`Columns`].
    pub(super) own: Option<Columns>,
    pub(super) n_bars: usize,
    /// Rows counted from the start of the part.
    pub(super) symbols: Vec<(Symbol, Range<usize>)>,
    /// Of all rows, whatever became of them.
    pub(super) days: Days,
    pub(super) rejections: Rejections,
    pub(super) n_rows_skipped: usize,
}

impl Columns {
    pub(super) fn zeroed(n_rows: usize) -> Self {
        let zeros = || vec![0.0; n_rows];
        Self {
            open_time_ns: vec![0; n_rows],
            open: zeros(),
            high: zeros(),
            low: zeros(),
            close: zeros(),
            volume: zeros(),
            traded_close: zeros(),
            flags: vec![BarFlags::empty(); n_rows],
        }
    }

    pub(super) fn as_mut(&mut self) -> Slices<'_> {
        Slices {
            open_time_ns: &mut self.open_time_ns,
            open: &mut self.open,
            high: &mut self.high,
            low: &mut self.low,
            close: &mut self.close,
            volume: &mut self.volume,
            traded_close: &mut self.traded_close,
            flags: &mut self.flags,
        }
    }

    /// Joins the parts, which are in the order of the file and cover it, and looks for gaps.
    pub(super) fn merge(mut self, parts: Vec<Part>) -> DailyBars {
        let mut bars = DailyBars { n_rows_read: self.open_time_ns.len(), ..DailyBars::default() };
        let days = Days::union(parts.iter().map(|part| &part.days));
        let mut n_bars = 0;
        for part in parts {
            self.take(&part, n_bars);
            let moved = part.symbols.into_iter().map(|(symbol, rows)| (symbol, rows.start + n_bars..rows.end + n_bars));
            bars.symbols.extend(moved);
            bars.rejections.append(part.rejections);
            bars.n_rows_skipped += part.n_rows_skipped;
            n_bars += part.n_bars;
        }
        let Self { mut open_time_ns, mut open, mut high, mut low, mut close, mut volume, mut traded_close, mut flags } =
            self;
        for column in [&mut open, &mut high, &mut low, &mut close, &mut volume, &mut traded_close] {
            column.truncate(n_bars);
        }
        open_time_ns.truncate(n_bars);
        flags.truncate(n_bars);
        let open_time: Vec<EventTime> = open_time_ns.into_iter().map(EventTime).collect();
        bars.sessions = days.calendar().flag_gaps(&bars.symbols, &open_time, &mut flags);
        DailyBars { open_time, open, high, low, close, volume, traded_close, flags, ..bars }
    }

    /// Moves the bars of a part to row `at`, which is never behind where they are.
    fn take(&mut self, part: &Part, at: usize) {
        if let Some(own) = &part.own {
            let rows = at..at + part.n_bars;
            self.open_time_ns[rows.clone()].copy_from_slice(&own.open_time_ns[..part.n_bars]);
            self.open[rows.clone()].copy_from_slice(&own.open[..part.n_bars]);
            self.high[rows.clone()].copy_from_slice(&own.high[..part.n_bars]);
            self.low[rows.clone()].copy_from_slice(&own.low[..part.n_bars]);
            self.close[rows.clone()].copy_from_slice(&own.close[..part.n_bars]);
            self.volume[rows.clone()].copy_from_slice(&own.volume[..part.n_bars]);
            self.traded_close[rows.clone()].copy_from_slice(&own.traded_close[..part.n_bars]);
            self.flags[rows].copy_from_slice(&own.flags[..part.n_bars]);
        } else if at < part.start {
            let rows = part.start..part.start + part.n_bars;
            self.open_time_ns.copy_within(rows.clone(), at);
            let prices = [&mut self.open, &mut self.high, &mut self.low, &mut self.close, &mut self.traded_close];
            for column in prices.into_iter().chain([&mut self.volume]) {
                column.copy_within(rows.clone(), at);
            }
            self.flags.copy_within(rows, at);
        }
    }
}

/// Some consecutive rows of [`Columns`].
pub(super) struct Slices<'a> {
    pub(super) open_time_ns: &'a mut [i64],
    pub(super) open: &'a mut [f64],
    pub(super) high: &'a mut [f64],
    pub(super) low: &'a mut [f64],
    pub(super) close: &'a mut [f64],
    pub(super) volume: &'a mut [f64],
    pub(super) traded_close: &'a mut [f64],
    pub(super) flags: &'a mut [BarFlags],
}

impl<'a> Slices<'a> {
    pub(super) fn split_at(self, at: usize) -> (Self, Self) {
        let (open_time_ns, open_time_ns_tail) = self.open_time_ns.split_at_mut(at);
        let (open, open_tail) = self.open.split_at_mut(at);
        let (high, high_tail) = self.high.split_at_mut(at);
        let (low, low_tail) = self.low.split_at_mut(at);
        let (close, close_tail) = self.close.split_at_mut(at);
        let (volume, volume_tail) = self.volume.split_at_mut(at);
        let (traded_close, traded_close_tail) = self.traded_close.split_at_mut(at);
        let (flags, flags_tail) = self.flags.split_at_mut(at);
        let head: Slices<'a> = Slices { open_time_ns, open, high, low, close, volume, traded_close, flags };
        let tail = Slices {
            open_time_ns: open_time_ns_tail,
            open: open_tail,
            high: high_tail,
            low: low_tail,
            close: close_tail,
            volume: volume_tail,
            traded_close: traded_close_tail,
            flags: flags_tail,
        };
        (head, tail)
    }
}
