//! The columns of every symbol's newest bars from its history, and the plan that was followed until then.

use std::collections::BTreeSet;
use std::ops::Range;

use indicator::Values;
use inference::TableHistory;
use ingest::DailyBars;
use rayon::prelude::*;
use schemas::{Bar, BarFlags, EventTime, Plan, Symbol};
use scoring::{PlanHistory, PlanLife};

/// Symbols that are computed side by side; of similar length, no lane waits for another.
const SYMBOLS_PER_GROUP: usize = 256;

/// Bars that nearly always tell which plan is followed; a symbol for which they do not is asked for all of its segment.
const PLAN_BARS: usize = 64;

/// A symbol's bar, its close as it was traded, and its indicators.
pub(crate) struct Latest {
    pub(crate) symbol: Symbol,
    pub(crate) bar: Bar,
    pub(crate) traded_close: f64,
    pub(crate) values: Values,
    /// The plan that was followed before the newest bar.
    pub(crate) life: PlanLife,
}

/// The indicators at each symbol's newest bar, and at the bars of some sessions before.
pub(crate) struct Recomputed {
    pub(crate) latest: Vec<Latest>,
    pub(crate) earlier: Vec<Latest>,
}

/// The session before that of each symbol's newest bar, for those that are not older than `oldest`: older ones are not
/// ranked.
pub(crate) fn sessions_before(bars: &DailyBars, oldest: EventTime) -> BTreeSet<EventTime> {
    let newest = bars.symbols.iter().filter_map(|(_, rows)| rows.clone().last().map(|row| bars.open_time[row]));
    let newest: BTreeSet<EventTime> = newest.filter(|session| *session >= oldest).collect();
    let before = |session: EventTime| {
        let at = bars.sessions.partition_point(|other| *other < session);
        at.checked_sub(1).map(|at| bars.sessions[at])
    };
    newest.into_iter().filter_map(before).collect()
}

/// `follower` tells the plans of the symbols whose newest bar is not older than the time beside it.
pub(crate) fn recompute(
    bars: &DailyBars,
    sessions: &BTreeSet<EventTime>,
    plan: &Plan,
    follower: Option<(&PlanHistory, EventTime)>,
) -> Recomputed {
    let task = Task { bars, sessions, tables: TableHistory::new(plan), follower };
    let groups: Vec<Recomputed> = bars.symbols.par_chunks(SYMBOLS_PER_GROUP).map(|group| task.group(group)).collect();
    let mut all = Recomputed { latest: Vec::with_capacity(bars.symbols.len()), earlier: Vec::new() };
    for Recomputed { latest, earlier } in groups {
        all.latest.extend(latest);
        all.earlier.extend(earlier);
    }
    all
}

struct Task<'a> {
    bars: &'a DailyBars,
    sessions: &'a BTreeSet<EventTime>,
    tables: TableHistory,
    follower: Option<(&'a PlanHistory<'a>, EventTime)>,
}

/// A symbol's bars as far as they are needed.
struct History {
    symbol: Symbol,
    /// The row of the first bar.
    first: usize,
    bars: Vec<Bar>,
}

impl History {
    fn newest(&self) -> Option<EventTime> {
        self.bars.last().map(|bar| bar.open_time)
    }
}

impl Task<'_> {
    fn group(&self, group: &[(Symbol, Range<usize>)]) -> Recomputed {
        let histories: Vec<History> = group.iter().map(|(symbol, rows)| self.history(*symbol, rows)).collect();
        let wanted = self.wanted(&histories);
        let follows_from = self.follower.map(|(_, oldest)| oldest);
        let is_followed = |history: &History| follows_from.is_some_and(|from| history.newest() >= Some(from));
        // One pass over the bars gives the newest rows, those of the sessions before, and those that plans follow from.
        let n_since = |first: EventTime| {
            let of = |bars: &[Bar]| bars.len() - bars.partition_point(|bar| bar.open_time < first);
            histories.iter().map(|history| of(&history.bars)).max()
        };
        let n_sessions = self.sessions.first().copied().and_then(n_since).unwrap_or(0);
        let n_rows = n_sessions.max(if follows_from.is_some() { PLAN_BARS + 1 } else { 1 });
        let with_rows: BTreeSet<usize> = wanted.iter().map(|(symbol, _)| *symbol).collect();
        let has_many = |at: usize| is_followed(&histories[at]) || with_rows.contains(&at);
        let slices = |of_many: bool| -> Vec<&[Bar]> {
            let of = |(at, history): (usize, &'_ History)| if has_many(at) == of_many { history.bars.len() } else { 0 };
            histories.iter().enumerate().map(|(at, history)| &history.bars[..of((at, history))]).collect()
        };
        let mut values: Vec<Option<Values>> = indicator::recompute_many(&slices(false));
        let mut plans: Vec<Option<PlanHistory>> = histories
            .iter()
            .map(|history| self.follower.filter(|_| is_followed(history)).map(|(follower, _)| follower.clone()))
            .collect();
        let mut earlier = Vec::new();
        indicator::recompute_newest(&slices(true), n_rows, &mut |symbol, place, row| {
            let history = &histories[symbol];
            if place + 1 == history.bars.len() {
                values[symbol] = Some(row.values());
            } else if let Some(plans) = &mut plans[symbol] {
                plans.push(history.symbol, history.bars[place], |column| row.get(column));
            }
            if wanted.contains(&(symbol, place)) {
                earlier.push((symbol, place, row.values()));
            }
        });
        // Bars of a segment before the newest, or of a symbol whose newest bar is impossible.
        let found: BTreeSet<(usize, usize)> = earlier.iter().map(|&(symbol, place, _)| (symbol, place)).collect();
        for &(symbol, place) in wanted.difference(&found) {
            let values = indicator::recompute_many(&[&histories[symbol].bars[..=place]]).pop().flatten();
            earlier.extend(values.map(|values| (symbol, place, values)));
        }
        earlier.sort_unstable_by_key(|&(symbol, place, _)| (histories[symbol].bars[place].open_time, symbol));

        let row = |symbol: usize, place: usize, values, life| {
            let History { symbol, first, bars } = &histories[symbol];
            Latest {
                symbol: *symbol,
                bar: bars[place],
                traded_close: self.bars.traded_close[first + place],
                values,
                life,
            }
        };
        let latest = values.into_iter().zip(plans).enumerate().filter_map(|(symbol, (values, plans))| {
            let life = plans.map_or_else(PlanLife::default, |plans| life(plans, n_rows, &histories[symbol]));
            Some(row(symbol, histories[symbol].bars.len().checked_sub(1)?, values?, life))
        });
        Recomputed {
            latest: latest.collect(),
            earlier: earlier
                .into_iter()
                .map(|(symbol, place, values)| row(symbol, place, values, PlanLife::default()))
                .collect(),
        }
    }

    /// The newest segment, and what the oldest session that is asked for needs.
    fn history(&self, symbol: Symbol, rows: &Range<usize>) -> History {
        let Self { bars, sessions, .. } = self;
        let oldest = sessions.first().and_then(|first| rows.clone().rev().find(|&row| bars.open_time[row] <= *first));
        let oldest = oldest.unwrap_or(rows.end.saturating_sub(1));
        let starts_segment = |row: &usize| bars.flags[*row].contains(BarFlags::SEGMENT_START);
        let first = (rows.start..=oldest).rev().find(starts_segment).unwrap_or(rows.start);
        History { symbol, first, bars: (first..rows.end).map(|row| bars.bar(row)).collect() }
    }

    /// Which bars of the sessions before may belong to their tables: by symbol and place.
    fn wanted(&self, histories: &[History]) -> BTreeSet<(usize, usize)> {
        let of_session = |session: EventTime| {
            histories.iter().enumerate().filter_map(move |(symbol, History { first, bars, .. })| {
                let place = bars.partition_point(|bar| bar.open_time < session);
                bars.get(place).filter(|bar| bar.open_time == session)?;
                let traded_close = self.bars.traded_close[first + place];
                self.tables.may_be_member(&bars[..=place], traded_close).then_some((symbol, place))
            })
        };
        self.sessions.iter().copied().flat_map(of_session).collect()
    }
}

/// What was followed before the newest bar: from the bars at hand if they are enough, else from all of the segment.
fn life(mut plans: PlanHistory, n_rows: usize, history: &History) -> PlanLife {
    if plans.n_bars() + 1 < n_rows {
        plans.set_whole();
    }
    plans.life().unwrap_or_else(|| {
        let mut whole = plans.emptied();
        let n_bars = history.bars.len();
        indicator::recompute_newest(&[&history.bars], n_bars, &mut |_, place, row| {
            if place + 1 < n_bars {
                whole.push(history.symbol, history.bars[place], |column| row.get(column));
            }
        });
        whole.set_whole();
        whole.life().expect("a whole segment tells")
    })
}
