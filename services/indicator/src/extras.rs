//! The columns beyond the native ones, for one symbol at one timeframe.

use std::sync::Arc;

use schemas::{Bar, BarFlags, F64Column, Timeframe};
use serde::{Deserialize, Serialize};

use crate::intraday::Intraday;
use crate::ohlcv::{Field, Ohlcv};
use crate::single::Live;
use crate::spec::{Extra, Kind};
use crate::talib::N_OUTPUTS_MAX;

/// The state of an average that never forgets is that of this many times its warm-up, and of so many bars at least: what
/// came before has faded, `exp(−30)` of it at most for Wilder's averages. Adaptive ones fade slower when nothing moves.
const N_WARM_UPS: usize = 30;
const N_FADED_MIN: usize = 1024;
const N_FADED_MAX: usize = 4096;
/// A window has forgotten what came before it. More only makes starting again rarer.
const N_WINDOW_MIN: usize = 64;

/// What the extras of a plan are before the first bar.
#[derive(Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
    n_columns: usize,
    /// Bars that a formula starts again on; 0 when there is no formula.
    n_retained: usize,
    /// What is kept of a bar: what any of the formulas reads.
    fields: Vec<Field>,
}

#[derive(Debug, Clone)]
enum Part {
    Formula { formula: Box<dyn Live>, n_columns: usize },
    Intraday(Intraday),
}

impl Template {
    pub(crate) fn new(extras: &[Extra]) -> Self {
        let part = |extra: &Extra| match &extra.kind {
            Kind::Native => None,
            Kind::Formula(formula) => Some(Part::Formula { formula: formula.clone(), n_columns: extra.columns.len() }),
            Kind::Intraday(intraday) => Some(Part::Intraday(intraday.clone())),
        };
        let parts: Vec<Part> = extras.iter().filter_map(part).collect();
        let n_retained = parts.iter().map(Part::n_retained).max().unwrap_or(0);
        let n_columns = parts.iter().map(Part::n_columns).sum();
        let is_read = |field: &Field| {
            parts.iter().any(|part| matches!(part, Part::Formula { formula, .. } if formula.fields().contains(field)))
        };
        let fields = Field::ALL.into_iter().filter(is_read).collect();
        Self { parts, n_columns, n_retained, fields }
    }

    pub(crate) fn n_columns(&self) -> usize {
        self.n_columns
    }
}

impl Part {
    fn n_retained(&self) -> usize {
        match self {
            Self::Intraday(_) => 0,
            Self::Formula { formula, .. } if formula.is_window() => (2 * formula.warm_up()).max(N_WINDOW_MIN),
            Self::Formula { formula, .. } => {
                (N_WARM_UPS * formula.warm_up()).clamp(N_FADED_MIN, N_FADED_MAX).max(formula.warm_up())
            }
        }
    }

    fn n_columns(&self) -> usize {
        match self {
            Self::Formula { n_columns, .. } => *n_columns,
            Self::Intraday(_) => 1,
        }
    }
}

/// The state: formulas that cannot be written down, and the bars that lead to them again.
///
/// A formula is what the live bars, in their order, make of a fresh one. That is all of its state: a snapshot holds the
/// bars, an undo drops the newest one, and a split rescales them; each then starts the formulas again. So that the bars
/// are bounded, only the newest half is live once there are twice as many as are retained, whatever the stage was doing:
/// which bars are live depends on the bars alone. An average that never forgets differs from one that saw all bars by less
/// than rounding then.
#[derive(Debug, Clone)]
pub(crate) struct Extras {
    template: Arc<Template>,
    timeframe: Timeframe,
    parts: Vec<Part>,
    /// The fields of bar after bar.
    bars: Vec<f64>,
    /// Bars at the beginning that are not live; they are kept for an undo of the newest bar.
    n_stale: usize,
}

impl Extras {
    pub(crate) fn new(template: Arc<Template>, timeframe: Timeframe) -> Self {
        let parts = template.parts.clone();
        Self { template, timeframe, parts, bars: Vec::new(), n_stale: 0 }
    }

    /// Appends the columns as if the bar closed now. Changes nothing.
    pub(crate) fn amend(&self, bar: &Bar, row: &mut Vec<f64>) {
        if bar.check().is_err() {
            row.resize(row.len() + self.template.n_columns, f64::NAN);
            return;
        }
        let is_start = bar.flags.contains(BarFlags::SEGMENT_START);
        let ohlcv = Ohlcv::from(bar);
        let fresh = &self.template.parts;
        for (part, fresh) in self.parts.iter().zip(fresh) {
            match (part, fresh) {
                (Part::Intraday(intraday), _) => row.push(intraday.amend(bar, self.timeframe)),
                (Part::Formula { formula, n_columns }, Part::Formula { formula: fresh, .. }) => {
                    let formula = if is_start { fresh } else { formula };
                    let values = if lacks(formula.as_ref(), &ohlcv) { None } else { formula.amend(&ohlcv) };
                    push(row, values, *n_columns);
                }
                (Part::Formula { .. }, Part::Intraday(_)) => unreachable!("the parts are those of the template"),
            }
        }
    }

    /// Takes in a final bar and appends its columns.
    pub(crate) fn close(&mut self, bar: &Bar, row: &mut Vec<f64>) {
        if bar.check().is_err() {
            row.resize(row.len() + self.template.n_columns, f64::NAN);
            return;
        }
        self.bars.drain(..std::mem::take(&mut self.n_stale) * self.template.fields.len());
        if bar.flags.contains(BarFlags::SEGMENT_START) {
            self.n_stale = self.n_bars();
            self.start_formulas();
        }
        let ohlcv = Ohlcv::from(bar);
        for (part, fresh) in self.parts.iter_mut().zip(&self.template.parts) {
            match part {
                Part::Intraday(intraday) => row.push(intraday.close(bar, self.timeframe)),
                Part::Formula { formula, n_columns } => push(row, step(formula, fresh, &ohlcv), *n_columns),
            }
        }
        let n_retained = self.template.n_retained;
        if n_retained > 0 {
            self.bars.extend(self.template.fields.iter().map(|field| ohlcv.get(*field)));
            if self.n_bars() - self.n_stale >= 2 * n_retained {
                self.n_stale = self.n_bars() - n_retained;
                self.replay();
            }
        }
    }

    /// Takes in another version of the newest bar in its place; on its own when there is none.
    pub(crate) fn correct(&mut self, bar: &Bar, row: &mut Vec<f64>) {
        if bar.check().is_ok() {
            self.bars.truncate(self.bars.len().saturating_sub(self.template.fields.len()));
            // The bar that made them stale is gone.
            self.n_stale = 0;
            self.replay();
            for part in &mut self.parts {
                if let Part::Intraday(intraday) = part {
                    intraday.undo();
                }
            }
        }
        self.close(bar, row);
    }

    /// See [`Slot::rescale`](crate::Slot::rescale).
    pub(crate) fn rescale(&mut self, price_factor: f64) {
        for bar in self.bars.chunks_exact_mut(self.template.fields.len().max(1)) {
            for (number, field) in bar.iter_mut().zip(&self.template.fields) {
                *number = if *field == Field::Volume { *number / price_factor } else { *number * price_factor };
            }
        }
        for part in &mut self.parts {
            if let Part::Intraday(intraday) = part {
                intraday.rescale(price_factor);
            }
        }
        self.replay();
    }

    fn n_bars(&self) -> usize {
        self.bars.len() / self.template.fields.len().max(1)
    }

    fn start_formulas(&mut self) {
        for (part, fresh) in self.parts.iter_mut().zip(&self.template.parts) {
            if let (Part::Formula { formula, .. }, Part::Formula { formula: fresh, .. }) = (part, fresh) {
                formula.clone_from(fresh);
            }
        }
    }

    /// Makes the formulas what the live bars make of them.
    fn replay(&mut self) {
        self.start_formulas();
        for (part, fresh) in self.parts.iter_mut().zip(&self.template.parts) {
            if let Part::Formula { formula, .. } = part {
                let fields = &self.template.fields;
                for bar in self.bars.chunks_exact(fields.len()).skip(self.n_stale) {
                    step(formula, fresh, &Ohlcv::partial(fields, bar));
                }
            }
        }
    }
}

/// A bar that knows its close only is a hole to a formula that needs more: it starts again behind it.
fn step(formula: &mut Box<dyn Live>, fresh: &Part, bar: &Ohlcv) -> Option<crate::talib::Row> {
    if lacks(formula.as_ref(), bar) {
        if let Part::Formula { formula: fresh, .. } = fresh {
            formula.clone_from(fresh);
        }
        return None;
    }
    formula.update(bar)
}

/// Whether the bar has not all that a formula reads.
fn lacks(formula: &dyn Live, bar: &Ohlcv) -> bool {
    formula.fields().iter().any(|field| bar.get(*field).is_nan())
}

fn push(row: &mut Vec<f64>, values: Option<[f64; N_OUTPUTS_MAX]>, n_columns: usize) {
    let values = values.unwrap_or([f64::NAN; N_OUTPUTS_MAX]);
    row.extend(values[..n_columns].iter().map(|value| if value.is_finite() { *value } else { f64::NAN }));
}

/// What outlives the process.
#[derive(Serialize, Deserialize)]
pub(crate) struct ExtrasState {
    /// What the plan reads of bar after bar.
    bars: F64Column,
    n_stale: u64,
    intraday: Vec<Intraday>,
}

impl From<&Extras> for ExtrasState {
    fn from(extras: &Extras) -> Self {
        let intraday = extras.parts.iter().filter_map(|part| match part {
            Part::Intraday(intraday) => Some(intraday.clone()),
            Part::Formula { .. } => None,
        });
        Self { bars: extras.bars.clone().into(), n_stale: extras.n_stale as u64, intraday: intraday.collect() }
    }
}

impl ExtrasState {
    /// `None` when no sequence of bars leads to it.
    pub(crate) fn restore(self, template: &Arc<Template>, timeframe: Timeframe) -> Option<Extras> {
        let mut extras = Extras::new(Arc::clone(template), timeframe);
        extras.bars = self.bars.0;
        extras.n_stale = usize::try_from(self.n_stale).ok()?;
        let is_whole = extras.bars.len() == extras.n_bars() * template.fields.len();
        if !is_whole || extras.n_stale > extras.n_bars() || extras.n_bars() > 2 * template.n_retained {
            return None;
        }
        let mut intraday = self.intraday.into_iter();
        for part in &mut extras.parts {
            if let Part::Intraday(own) = part {
                *own = intraday.next().filter(|restored| restored.is_like(own))?;
            }
        }
        if intraday.next().is_some() {
            return None;
        }
        extras.replay();
        Some(extras)
    }
}
