//! What becomes of a plan as bars arrive, and where its stop should move.

use serde::{Deserialize, Serialize};

use crate::trade_plan::{Direction, Levels};

/// Bars that an armed plan waits for its entry.
pub const ARMED_BARS_MAX: u32 = 5;
/// Bars that a triggered plan waits for its target.
pub const HELD_BARS_MAX: u32 = 20;

/// Share of the way to the target from which a young trade may no longer lose.
const PROTECT_SHARE: f64 = 0.8;
const PROTECT_DAYS_MAX: u32 = 7;
/// Share of the way that stays locked in beyond the target.
const LOCKED_SHARE: f64 = 0.25;
/// Share of the way below which an old trade goes nowhere.
const STALE_SHARE: f64 = 0.25;
const STALE_DAYS_MIN: u32 = 10;
/// What a stale or failing trade may lose, as a fraction of the entry, and how close the stop of a failing one follows.
const LOSS_MAX: f64 = 0.03;
const FAILING_DISTANCE: f64 = 0.01;

/// Where a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PlanState {
    /// Waits for its entry.
    Armed,
    /// Bought, or sold short.
    Triggered,
    /// Closed at the stop.
    Stopped,
    /// Closed at the target.
    TargetHit,
    /// Never entered, or held too long.
    Expired,
}

impl PlanState {
    pub fn is_over(self) -> bool {
        matches!(self, Self::Stopped | Self::TargetHit | Self::Expired)
    }

    /// The published text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Triggered => "triggered",
            Self::Stopped => "stopped",
            Self::TargetHit => "target",
            Self::Expired => "expired",
        }
    }
}

/// A plan entered a state at a price (USD): the fill where there is one, else the close.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PlanEvent {
    pub state: PlanState,
    pub price: f64,
}

/// A bar as a plan sees it, in USD.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanBar {
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
}

/// A plan and what happened to it so far.
///
/// # Shape
/// A value: apply a forming bar to the plan of the last final bar and keep the result only for show; keep it for good
/// when the bar is final.
///
/// # Source
/// Ours; the reference only advises on stops (§13.5, [`advise`]).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LivePlan {
    levels: Levels,
    /// Whether the entry is better than the price at planning, so that the price has to come back for it.
    waits_for_pullback: bool,
    state: PlanState,
    /// Bars since the state began.
    n_bars: u32,
}

impl LivePlan {
    /// Arms a plan at the close it was made from.
    pub fn arm(levels: Levels, close: f64) -> Self {
        let seen = Seen { direction: levels.direction };
        let waits_for_pullback = seen.price(levels.entry) < seen.price(close);
        Self { levels, waits_for_pullback, state: PlanState::Armed, n_bars: 0 }
    }

    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    pub fn state(&self) -> PlanState {
        self.state
    }

    /// Bars since the state began.
    pub fn n_bars(&self) -> u32 {
        self.n_bars
    }

    /// The same plan with another stop, for a trade that is [`advise`]d.
    #[must_use]
    pub fn with_stop(self, stop: f64) -> Self {
        Self { levels: Levels { stop, ..self.levels }, ..self }
    }

    /// The plan after one more bar, and what happened in it, in order.
    ///
    /// # Shape
    /// Within a bar the order of prices is unknown, so the worse one is taken: a bar that reaches stop and target
    /// stops. A price that opens beyond a level fills at the open. An armed plan whose stop is reached before its entry
    /// expires: what it bet on has failed.
    #[must_use]
    pub fn after(mut self, bar: &PlanBar) -> (Self, Vec<PlanEvent>) {
        let mut events = Vec::new();
        if self.state.is_over() {
            return (self, events);
        }
        let seen = Seen { direction: self.levels.direction };
        let bar = seen.bar(bar);
        let [entry, stop, target] =
            [self.levels.entry, self.levels.stop, self.levels.target].map(|price| seen.price(price));
        let mut enter = |plan: &mut Self, state, price| {
            plan.state = state;
            plan.n_bars = 0;
            events.push(PlanEvent { state, price: seen.price(price) });
        };

        let n_bars = self.n_bars + 1;
        self.n_bars = n_bars;
        let mut may_reach_target = true;
        if self.state == PlanState::Armed {
            let fill = if self.waits_for_pullback {
                (bar.low <= entry).then_some(entry.min(bar.open))
            } else {
                (bar.high >= entry).then_some(entry.max(bar.open))
            };
            let opens_failed = bar.open <= stop;
            match fill {
                Some(fill) if !opens_failed => {
                    enter(&mut self, PlanState::Triggered, fill);
                    // The high of the bar may lie before a pullback to the entry.
                    may_reach_target = !self.waits_for_pullback;
                }
                _ if opens_failed || bar.low <= stop || n_bars >= ARMED_BARS_MAX => {
                    enter(&mut self, PlanState::Expired, bar.close);
                }
                _ => {}
            }
        }
        if self.state == PlanState::Triggered {
            let entered_now = self.n_bars == 0;
            if bar.low <= stop {
                let fill = if entered_now { stop } else { stop.min(bar.open) };
                enter(&mut self, PlanState::Stopped, fill);
            } else if bar.high >= target && may_reach_target {
                let fill = if entered_now { target } else { target.max(bar.open) };
                enter(&mut self, PlanState::TargetHit, fill);
            } else if self.n_bars >= HELD_BARS_MAX {
                enter(&mut self, PlanState::Expired, bar.close);
            }
        }
        (self, events)
    }
}

/// Prices in the direction of a bet: a short is the long of the mirrored prices.
#[derive(Clone, Copy)]
struct Seen {
    direction: Direction,
}

impl Seen {
    fn price(self, price: f64) -> f64 {
        match self.direction {
            Direction::Long => price,
            Direction::Short => -price,
        }
    }

    fn bar(self, bar: &PlanBar) -> PlanBar {
        match self.direction {
            Direction::Long => *bar,
            Direction::Short => PlanBar { open: -bar.open, high: -bar.low, low: -bar.high, close: -bar.close },
        }
    }
}

/// Why a stop should move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdviceNote {
    /// Most of the way is done: do not let it become a loss.
    ProtectEntry,
    /// The target is reached: take part of the gain.
    TakePartialProfit,
    /// It goes nowhere: give it less room.
    Stale,
    /// It fails: follow it closely.
    Failing,
}

impl AdviceNote {
    /// The advice in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProtectEntry => "most of the way to the target: raise the stop to the entry",
            Self::TakePartialProfit => "target reached: take partial profit and lock in a quarter of the move",
            Self::Stale => "little progress: tighten the stop",
            Self::Failing => "well below the entry: keep the stop close",
        }
    }
}

/// Where the stop of an open trade should be, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// USD.
    pub stop: f64,
    pub notes: Vec<AdviceNote>,
}

/// Advises on the stop of an open long trade at a close, `n_days` after its entry; `None` for a short.
///
/// # Source
/// §13.5: of several rules the later one has the stop. A stop never lies above the close ("do instead": the reference
/// may put it there, where it sells at once).
pub fn advise(levels: &Levels, close: f64, n_days: u32) -> Option<Advice> {
    if levels.direction == Direction::Short {
        return None;
    }
    let Levels { entry, stop, target, .. } = *levels;
    let (move_so_far, move_wanted) = (close - entry, target - entry);
    let mut advice = Advice { stop, notes: Vec::new() };
    let mut raise = |to: f64, note| {
        advice.stop = stop.max(to);
        advice.notes.push(note);
    };
    if move_wanted.abs() > 0.0 && move_so_far >= PROTECT_SHARE * move_wanted && n_days <= PROTECT_DAYS_MAX {
        raise(entry, AdviceNote::ProtectEntry);
    }
    if close >= target {
        raise(entry + LOCKED_SHARE * move_wanted, AdviceNote::TakePartialProfit);
    }
    if n_days >= STALE_DAYS_MIN && move_so_far < STALE_SHARE * move_wanted {
        raise((1.0 - LOSS_MAX) * entry, AdviceNote::Stale);
    }
    if close < (1.0 - LOSS_MAX) * entry {
        raise((1.0 - FAILING_DISTANCE) * close, AdviceNote::Failing);
    }
    advice.stop = advice.stop.min(close);
    Some(advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONG: Levels = Levels { direction: Direction::Long, entry: 100.0, stop: 95.0, target: 110.0 };
    const SHORT: Levels = Levels { direction: Direction::Short, entry: 100.0, stop: 105.0, target: 90.0 };

    /// Bars as "open high low close"; events as "state price".
    fn check(levels: Levels, close: f64, bars: &[[f64; 4]], expected: &[&str]) {
        let mut plan = LivePlan::arm(levels, close);
        let mut found = Vec::new();
        for &[open, high, low, close] in bars {
            let (next, events) = plan.after(&PlanBar { open, high, low, close });
            found.extend(events.iter().map(|event| format!("{} {}", event.state.as_str(), event.price)));
            plan = next;
        }
        assert_eq!(found, expected, "{bars:?}");
    }

    #[test]
    fn a_plan_runs_from_entry_to_target_or_stop() {
        check(LONG, 99.0, &[[99.0, 99.5, 98.0, 99.0], [99.5, 101.0, 99.0, 100.5]], &["triggered 100"]);
        check(
            LONG,
            99.0,
            &[[99.0, 101.0, 98.0, 101.0], [101.0, 111.0, 100.0, 111.0]],
            &["triggered 100", "target 110"],
        );
        check(LONG, 99.0, &[[99.0, 101.0, 98.0, 101.0], [94.0, 96.0, 93.0, 95.0]], &["triggered 100", "stopped 94"]);
        check(SHORT, 101.0, &[[101.0, 102.0, 99.0, 99.5], [99.0, 99.0, 89.0, 90.0]], &["triggered 100", "target 90"]);
        check(
            SHORT,
            101.0,
            &[[101.0, 102.0, 99.0, 99.5], [106.0, 107.0, 104.0, 106.0]],
            &["triggered 100", "stopped 106"],
        );
    }

    #[test]
    fn within_a_bar_the_worse_comes_first() {
        check(LONG, 99.0, &[[99.0, 111.0, 94.0, 100.0]], &["triggered 100", "stopped 95"]);
        check(LONG, 99.0, &[[99.0, 111.0, 98.0, 110.5]], &["triggered 100", "target 110"]);
    }

    #[test]
    fn gaps_fill_at_the_open() {
        check(LONG, 99.0, &[[102.0, 103.0, 101.0, 102.0]], &["triggered 102"]);
        check(LONG, 104.0, &[[99.0, 103.0, 98.0, 102.0]], &["triggered 99"]);
        check(
            LONG,
            99.0,
            &[[99.0, 101.0, 98.0, 101.0], [112.0, 113.0, 111.0, 112.0]],
            &["triggered 100", "target 112"],
        );
    }

    #[test]
    fn a_pullback_to_the_entry_does_not_count_the_high_before_it() {
        check(LONG, 104.0, &[[104.0, 111.0, 99.0, 101.0]], &["triggered 100"]);
    }

    #[test]
    fn a_plan_expires_unentered_failed_or_forgotten() {
        let quiet = [99.0, 99.5, 98.5, 99.0];
        check(LONG, 99.0, &[quiet; 4], &[]);
        check(LONG, 99.0, &[quiet; 9], &["expired 99"]);
        check(LONG, 99.0, &[[96.0, 97.0, 94.0, 94.5]], &["expired 94.5"]);
        check(LONG, 104.0, &[[94.0, 101.0, 93.0, 100.0]], &["expired 100"]);
        let mut held = vec![[99.0, 101.0, 99.0, 101.0]];
        held.extend([[101.0, 102.0, 100.0, 101.0]; 25]);
        check(LONG, 99.0, &held, &["triggered 100", "expired 101"]);
    }

    #[test]
    fn advice_follows_the_trade() {
        let check = |close, n_days, stop: f64, notes: &[AdviceNote]| {
            let advice = advise(&LONG, close, n_days).unwrap();
            assert!((advice.stop - stop).abs() < 1e-9, "{close} {n_days}: {advice:?}");
            assert_eq!(advice.notes, notes, "{close} {n_days}");
        };
        check(103.0, 3, 95.0, &[]);
        check(108.0, 7, 100.0, &[AdviceNote::ProtectEntry]);
        check(108.0, 8, 95.0, &[]);
        check(110.0, 7, 102.5, &[AdviceNote::ProtectEntry, AdviceNote::TakePartialProfit]);
        check(102.0, 10, 97.0, &[AdviceNote::Stale]);
        check(96.5, 2, 95.535, &[AdviceNote::Failing]);
        assert_eq!(advise(&SHORT, 99.0, 1), None);
    }

    /// The reference leaves the stop at 95, above the close of 94, where it would sell at once.
    #[test]
    fn a_stop_is_never_above_the_close() {
        let advice = advise(&LONG, 94.0, 12).unwrap();
        assert!((advice.stop - 94.0).abs() < 1e-9, "{advice:?}");
    }

    proptest! {
        #[test]
        fn a_plan_that_is_over_stays_over(prices in prop::collection::vec(80.0_f64..120.0, 4..120)) {
            let mut plan = LivePlan::arm(LONG, 99.0);
            let mut states = Vec::new();
            for price in prices {
                let was_over = plan.state().is_over();
                let bar = PlanBar { open: price, high: price + 2.0, low: price - 2.0, close: price };
                let (next, events) = plan.after(&bar);
                prop_assert!(!was_over || events.is_empty());
                states.extend(events.into_iter().map(|event| event.state));
                plan = next;
            }
            prop_assert!(states.len() <= 2, "{states:?}");
            prop_assert!(states.iter().rev().skip(1).all(|state| *state == PlanState::Triggered), "{states:?}");
        }
    }
}
