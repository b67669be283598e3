use std::ops::Range;

use polars::prelude::*;

use super::{Table, symbols_of};

/// The stretches of rows with one symbol.
pub(super) fn runs(symbols: &StringChunked) -> Vec<Range<usize>> {
    let mut starts = Vec::new();
    if symbols.null_count() == 0 {
        // A short text lies within its view, so equal views are equal texts; long ones are compared below.
        let mut previous = None;
        for (row, view) in symbols.downcast_iter().flat_map(|array| array.views().iter()).enumerate() {
            if previous != Some(view) {
                starts.push(row);
                previous = Some(view);
            }
        }
    } else {
        let mut previous = None;
        for (row, symbol) in symbols.iter().enumerate() {
            if previous != Some(symbol) {
                starts.push(row);
                previous = Some(symbol);
            }
        }
    }
    starts.dedup_by(|later, earlier| symbols.get(*later) == symbols.get(*earlier));
    let ends = starts.iter().skip(1).copied().chain([symbols.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Whether the symbols of the runs ascend, so that each has one run.
pub(super) fn is_sorted(symbols: &StringChunked, runs: &[Range<usize>]) -> bool {
    runs.iter().map(|run| symbols.get(run.start)).is_sorted_by(|earlier, later| earlier < later)
}

/// The order of rows that brings each symbol together and the symbols into order.
///
/// While each symbol is in one piece its rows stay as they are, so that a date that goes back shows as a fault.
/// A file in pieces (by date, or shuffled) makes no such promise: it is sorted by date too.
pub(super) fn sorted(table: &Table) -> Vec<IdxSize> {
    let symbols = symbols_of(table);
    let mut runs: Vec<(Option<&str>, Range<usize>)> =
        runs(symbols).into_iter().map(|run| (symbols.get(run.start), run)).collect();
    runs.sort_by_key(|(name, _)| *name);
    let index = |row: usize| IdxSize::try_from(row).expect("polars counts rows in this type");
    let mut order: Vec<IdxSize> = runs.iter().flat_map(|(_, run)| run.clone().map(index)).collect();
    if runs.is_sorted_by(|(earlier, _), (later, _)| earlier < later) {
        return order;
    }
    let days: Vec<i32> = table.days("date").expect("a required column").iter().flatten().collect();
    let mut start = 0;
    for same in runs.chunk_by(|(name, _), (next, _)| name == next) {
        let end = start + same.iter().map(|(_, run)| run.len()).sum::<usize>();
        order[start..end].sort_by_key(|&row| days[row as usize]);
        start = end;
    }
    order
}
