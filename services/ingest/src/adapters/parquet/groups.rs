use std::ops::Range;
use std::path::Path;

use polars::prelude::*;
use rayon::prelude::*;

use super::columns::{Columns, Part, Slices};
use super::order::{is_sorted, runs};
use super::rows::Context;
use super::{DailyBars, ReadOptions, Source, Table, symbols_of};
use crate::IngestError;

/// Rows of one task: small enough to share out, large enough to amortise the slicing.
const TASK_ROWS_MIN: usize = 1 << 16;

/// Collects the bars of a table whose symbols are in order. `order` names the row in the file of each of its rows.
pub(super) fn collect_table(file: &Path, table: &Table, order: &[IdxSize], options: &ReadOptions) -> DailyBars {
    let context = Context { file, table, start: 0, order: Some(order), options };
    let mut columns = Columns::zeroed(table.n_rows());
    let parts = collect(&context, &runs(symbols_of(table)), columns.as_mut());
    columns.merge(parts)
}

/// Collects the bars of a file, a row group at a time: its columns are still in the cache when the rows are checked,
/// and its memory serves the next group. `None` when the symbols are not in order.
pub(super) fn collect_file(source: &Source, options: &ReadOptions) -> Result<Option<DailyBars>, IngestError> {
    let lens = source.group_lens();
    let mut columns = Columns::zeroed(lens.iter().sum());
    let mut tasks = Vec::with_capacity(lens.len());
    let (mut rest, mut start) = (columns.as_mut(), 0);
    for (index, &len) in lens.iter().enumerate() {
        let (out, tail) = rest.split_at(len);
        tasks.push((index, start, out));
        (rest, start) = (tail, start + len);
    }
    let is_few = lens.len() < 2 * rayon::current_num_threads();
    let strategy = if is_few { ParallelStrategy::Columns } else { ParallelStrategy::None };
    let groups = tasks
        .into_par_iter()
        .map(|(index, start, out)| {
            let table = source.read_group(index, strategy)?;
            let context = Context { file: source.file(), table: &table, start, order: None, options };
            Ok(Group::collect(&context, index > 0, index + 1 < lens.len(), out))
        })
        .collect::<Result<Vec<Group>, IngestError>>()?;

    let is_sorted = groups.iter().all(|group| group.is_sorted)
        && groups.is_sorted_by(|earlier, later| earlier.last_name <= later.first_name);
    if !is_sorted {
        return Ok(None);
    }
    let mut parts = Vec::new();
    let mut across: Vec<Piece> = Vec::new();
    for group in groups {
        across.extend(group.head);
        if !group.is_passed_through {
            parts.extend(collect_across(source.file(), options, std::mem::take(&mut across)));
        }
        parts.extend(group.parts);
        across.extend(group.tail);
    }
    Ok(Some(columns.merge(parts)))
}

/// Rows of a group whose symbol may go on in the next or come from the one before.
struct Piece {
    /// Rows of the file before it.
    start: usize,
    table: Table,
}

/// What became of a row group.
struct Group {
    is_sorted: bool,
    first_name: Option<String>,
    last_name: Option<String>,
    head: Option<Piece>,
    parts: Vec<Part>,
    tail: Option<Piece>,
    /// All rows are of one symbol and in `head`, and it may go on in the next group.
    is_passed_through: bool,
}

impl Group {
    fn collect(context: &Context<'_>, has_previous: bool, has_next: bool, out: Slices<'_>) -> Self {
        let symbols = symbols_of(context.table);
        let runs = runs(symbols);
        let name = |run: Option<&Range<usize>>| run.and_then(|run| symbols.get(run.start)).map(str::to_owned);
        let piece =
            |run: &Range<usize>| Piece { start: context.start + run.start, table: context.table.copied(run.clone()) };
        let (mut inner, mut head, mut tail) = (&runs[..], None, None);
        if has_previous && let Some((first, others)) = inner.split_first() {
            (head, inner) = (Some(piece(first)), others);
        }
        if has_next && let Some((last, others)) = inner.split_last() {
            (tail, inner) = (Some(piece(last)), others);
        }
        Self {
            is_sorted: is_sorted(symbols, &runs),
            first_name: name(runs.first()),
            last_name: name(runs.last()),
            is_passed_through: has_next && tail.is_none(),
            head,
            parts: collect(context, inner, out),
            tail,
        }
    }
}

/// Collects runs of a table in parallel. `out` has a place for every row of the table.
fn collect(context: &Context<'_>, runs: &[Range<usize>], out: Slices<'_>) -> Vec<Part> {
    let mut tasks = Vec::new();
    let (mut rest, mut n_rows_passed) = (out, 0);
    for runs in cut(runs) {
        let rows = runs[0].start..runs[runs.len() - 1].end;
        let (_, tail) = rest.split_at(rows.start - n_rows_passed);
        let (out, tail) = tail.split_at(rows.len());
        tasks.push((runs, rows.clone(), out));
        (rest, n_rows_passed) = (tail, rows.end);
    }
    tasks.into_par_iter().map(|(runs, rows, out)| context.collect(runs, rows, out)).collect()
}

/// Cuts runs into tasks of consecutive ones.
fn cut(runs: &[Range<usize>]) -> impl Iterator<Item = &[Range<usize>]> {
    let mut rest = runs;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let n_runs = rest.partition_point(|run| run.start < first.start + TASK_ROWS_MIN);
        let (task, tail) = rest.split_at(n_runs);
        rest = tail;
        Some(task)
    })
}

/// Collects the rows on both sides of a boundary between groups.
fn collect_across(file: &Path, options: &ReadOptions, pieces: Vec<Piece>) -> Option<Part> {
    let start = pieces.first()?.start;
    let table = Table::joined(pieces.into_iter().map(|piece| piece.table))?;
    let context = Context { file, table: &table, start, order: None, options };
    let mut columns = Columns::zeroed(table.n_rows());
    let part = context.collect(&runs(symbols_of(&table)), 0..table.n_rows(), columns.as_mut());
    Some(Part { own: Some(columns), ..part })
}
