//! The plan that is followed for each symbol: armed at a bar, and moved on by the bars after it.

use schemas::{Bar, BarFlags, EventTime, Plan, PlanChange, Predictions, StopAdvice, Symbol};
use serde::{Deserialize, Serialize};

use crate::config::ScoringOptions;
use crate::entry::{Entry, FeatureColumns, MissingColumn, RowInputs};
use crate::facts::Facts;
use crate::idea;
use crate::trade_management::{ARMED_BARS_MAX, HELD_BARS_MAX, LivePlan, PlanBar, PlanEvent, PlanState, advise};
use crate::trade_plan::{Direction, Levels};

/// A plan that was armed so many bars ago is over, whatever happened.
const LIFE_BARS_MAX: usize = (ARMED_BARS_MAX + HELD_BARS_MAX) as usize;

/// What is followed for a symbol, as of its newest final bar.
///
/// # Shape
/// One plan at a time. While none is followed, a bar whose row has a plan arms it; it then lives by the bars after that
/// one until it is over, and the bar after its end may arm the next. A new segment starts with none. So the state follows
/// from the symbol's own bars and columns, not from other symbols.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanLife {
    /// The last bar that moved it on.
    until: Option<EventTime>,
    followed: Option<Followed>,
}

/// A plan and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Followed {
    plan: LivePlan,
    armed_at: EventTime,
    /// When its state began.
    since: EventTime,
    fill: Option<f64>,
    exit: Option<f64>,
    /// What the last bar did to it: it can trigger and end in one.
    events: [Option<PlanEvent>; 2],
}

impl PlanLife {
    /// The state after a bar. `offered` is the plan of the bar's row.
    pub(crate) fn after(&self, step: &Step, offered: impl FnOnce() -> Option<Levels>) -> Self {
        let Step { at, starts_anew, bar } = step;
        let followed = self.followed.filter(|followed| !starts_anew && !followed.plan.state().is_over());
        let followed = match followed {
            Some(followed) => Some(followed.after(*at, bar)),
            None => offered().map(|levels| Followed::arm(levels, *at, bar.close)),
        };
        Self { until: Some(*at), followed }
    }

    /// Whether it has been moved on by this bar or a later one.
    pub(crate) fn has_seen(&self, at: EventTime) -> bool {
        self.until.is_some_and(|until| at <= until)
    }

    /// What clients see; `None` while nothing is followed.
    pub(crate) fn view(&self, close: f64) -> Option<schemas::LivePlan> {
        let Followed { plan, armed_at, since, fill, exit, events } = self.followed.as_ref()?;
        let levels = plan.levels();
        let advice = (plan.state() == PlanState::Triggered).then(|| advise(levels, close, plan.n_bars())).flatten();
        let advice = advice.filter(|advice| advice.stop > levels.stop).map(|advice| StopAdvice {
            stop: advice.stop,
            notes: advice.notes.into_iter().map(|note| note.as_str().into()).collect(),
        });
        Some(schemas::LivePlan {
            state: plan.state().as_str().into(),
            direction: levels.direction.as_str().into(),
            entry: levels.entry,
            stop: levels.stop,
            target: levels.target,
            armed_ns: armed_at.as_ns(),
            since_ns: since.as_ns(),
            n_bars: plan.n_bars(),
            fill: *fill,
            exit: *exit,
            advice,
            changes: events
                .iter()
                .flatten()
                .map(|event| PlanChange { state: event.state.as_str().into(), price: event.price })
                .collect(),
        })
    }
}

impl Followed {
    fn arm(levels: Levels, at: EventTime, close: f64) -> Self {
        let armed = PlanEvent { state: PlanState::Armed, price: close };
        Self {
            plan: LivePlan::arm(levels, close),
            armed_at: at,
            since: at,
            fill: None,
            exit: None,
            events: [Some(armed), None],
        }
    }

    fn after(&self, at: EventTime, bar: &PlanBar) -> Self {
        let (plan, happened) = self.plan.after(bar);
        let mut next = Self { plan, events: [None; 2], ..*self };
        for (place, event) in next.events.iter_mut().zip(happened) {
            *place = Some(event);
            next.since = at;
            if event.state == PlanState::Triggered {
                next.fill = Some(event.price);
            } else {
                next.exit = Some(event.price);
            }
        }
        next
    }
}

/// What moves a plan on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    at: EventTime,
    starts_anew: bool,
    bar: PlanBar,
}

impl Step {
    /// A bar that is no more than a close traded there, as far as anybody knows.
    pub(crate) fn of(inputs: &RowInputs) -> Self {
        let (open, (low, high)) =
            inputs.range.map_or((inputs.close, (inputs.close, inputs.close)), |range| (inputs.open, range));
        Self {
            at: inputs.open_time,
            starts_anew: inputs.flags().contains(BarFlags::SEGMENT_START),
            bar: PlanBar { open, high, low, close: inputs.close },
        }
    }
}

/// The plan that a row offers: none before it is ranked.
pub(crate) fn offered(entry: &Entry, options: &ScoringOptions) -> Option<Levels> {
    if entry.inputs.n_bars < options.min_bars {
        return None;
    }
    let inputs = idea::plan_inputs(entry, options).ok()?;
    Levels::new(&inputs, &options.trading_account()).and_then(|levels| levels.on_ticks()).ok()
}

/// Bars of a symbol with what scoring reads of their columns: the plans of a symbol from its history.
///
/// What is followed follows from all bars of a segment, but a plan is over after at most 25 bars, and what was followed
/// before them is soon forgotten: whichever plan was live some way back, the bars since lead to the same one. So some of
/// the newest bars are nearly always enough, and [`Self::life`] knows when they are not.
#[derive(Debug, Clone)]
pub struct PlanHistory<'a> {
    columns: FeatureColumns,
    options: &'a ScoringOptions,
    /// The first bar is the first of its segment.
    is_whole: bool,
    bars: Vec<(Step, Option<Levels>)>,
}

impl<'a> PlanHistory<'a> {
    /// # Errors
    /// When the feature plan lacks a column that scoring reads.
    pub fn new(plan: &Plan, options: &'a ScoringOptions) -> Result<Self, MissingColumn> {
        Ok(Self { columns: FeatureColumns::of(plan)?, options, is_whole: false, bars: Vec::new() })
    }

    /// The same without bars.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self { is_whole: false, bars: Vec::new(), ..self.clone() }
    }

    /// Says that the bars are all of their segment so far.
    pub fn set_whole(&mut self) {
        self.is_whole = true;
    }

    pub fn n_bars(&self) -> usize {
        self.bars.len()
    }

    /// The next final bar of one segment, and its columns.
    pub fn push(&mut self, symbol: Symbol, bar: Bar, feature: impl Fn(usize) -> Option<f64>) {
        let inputs = RowInputs::of(&self.columns, feature, (symbol, bar), Predictions::default());
        let entry = Entry::new(&inputs, Facts::default());
        self.bars.push((Step::of(&inputs), offered(&entry, self.options)));
    }

    /// What is followed after the bars; `None` when older ones decide.
    pub fn life(&self) -> Option<PlanLife> {
        if self.is_whole || self.bars.is_empty() {
            return Some(self.run(0, |_, _| false));
        }
        // Nothing, or a plan that one of these bars armed, is followed after the last of them.
        let first = LIFE_BARS_MAX + 1;
        if self.bars.len() <= first {
            return None;
        }
        let mut trace = Vec::with_capacity(self.bars.len() - first);
        let life = self.run(first, |_, life| {
            trace.push(life.followed);
            false
        });
        let joins = |start: usize| {
            let mut has_joined = false;
            self.run(start, |at, life| {
                // Equal lives stay equal.
                has_joined = at >= first && trace[at - first] == life.followed;
                has_joined
            });
            has_joined
        };
        let mut starts = (0..first).filter(|&at| self.bars[at].1.is_some());
        starts.all(joins).then_some(life)
    }

    /// Moves on from nothing at a bar, until `stop` says so.
    fn run(&self, first: usize, mut stop: impl FnMut(usize, &PlanLife) -> bool) -> PlanLife {
        let mut life = PlanLife::default();
        for (at, (step, offered)) in self.bars.iter().enumerate().skip(first) {
            life = life.after(step, || *offered);
            if stop(at, &life) {
                break;
            }
        }
        life
    }
}

impl Direction {
    fn as_str(self) -> &'static str {
        match self {
            Self::Long => "long",
            Self::Short => "short",
        }
    }
}

#[cfg(test)]
mod tests;
