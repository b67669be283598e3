use pulp::Simd;
use schemas::{Bar, BarFlags};

use crate::channel::{Channel, N_YEAR};
use crate::engine::{Hot, Scene, Step, step};
use crate::input::{Input, N_CLOSES, Past};
use crate::kama::{Paths, near_path};
use crate::selection::{Parts, Selection};
use crate::state::{State, Unit};
use crate::stochastic::{RsiPlaces, last_rsis, rsi_places};
use crate::tapes::{Entry, Offset, Spare, Tapes};
use crate::target::dispatch;
use crate::terms::NewTerms;
use crate::values::Values;
use crate::windows::{Known, WindowExtremes, Windows};

mod operations;

pub(crate) use operations::{Amend, Close, TakeIn, WARM};
use operations::{FindAll, Push};

/// Everything the columns need to know of one symbol's past bars: plain data of a fixed size.
///
/// A bar with [`BarFlags::SEGMENT_START`] begins a fresh history. A bar that cannot be (see [`Bar::check`]) is refused: it
/// has no values and leaves the slot as it is, to the bit. Whether a possible bar may be applied is the stage's business.
#[derive(Debug, Clone, Default)]
// What a forming bar reads stands together, so that it is few cache lines.
#[repr(C)]
pub struct Slot {
    /// Of the newest bar.
    pub(crate) offset: Offset,
    newest: Newest,
    /// The state after the newest bar and that before it, in turns: a bar writes one and reads the other. The tapes need no
    /// such copy: what the newest bar added stands behind the older windows.
    heads: [Head; 2],
    /// What the tapes hold, as long as it is fresh: then a bar need not look at them.
    pub(crate) windows: Windows<f64>,
    pub(crate) tapes: Tapes,
}

/// Which of the heads is that of the newest bar.
#[derive(Debug, Clone, Copy, Default)]
enum Newest {
    #[default]
    First,
    Second,
}

/// The part of a slot that every bar changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Bars of the current segment.
    pub(crate) n_bars: u32,
    /// Of what the windows are those of this head.
    pub(crate) fresh: Parts,
    pub(crate) hot: Hot<f64>,
}

impl Default for Head {
    fn default() -> Self {
        Self { n_bars: 0, fresh: Parts::NONE, hot: Hot::filled(0.0) }
    }
}

impl Slot {
    /// The columns as if the bar closed now. Changes nothing.
    #[must_use]
    pub fn amend(&self, bar: &Bar) -> Values {
        self.amend_selected(bar, Selection::all())
    }

    /// As [`amend`](Self::amend), some columns only; others may be missing.
    #[must_use]
    pub fn amend_selected(&self, bar: &Bar, selection: Selection) -> Values {
        let mut values = Values::missing();
        if !is_impossible(bar) {
            dispatch(Amend { slot: self, bar, parts: selection.parts(), values: &mut values });
        }
        values
    }

    /// Takes in a final bar.
    pub fn close(&mut self, bar: &Bar) -> Values {
        self.close_selected(bar, Selection::all())
    }

    /// As [`close`](Self::close), some columns only; others may be missing.
    ///
    /// What follows is fastest for columns that were among those of the bar before; any others can be asked for.
    pub fn close_selected(&mut self, bar: &Bar, selection: Selection) -> Values {
        let mut values = Values::missing();
        if !is_impossible(bar) {
            dispatch(Close { slot: self, bar, parts: selection.parts(), values: &mut values });
        }
        values
    }

    /// Takes in a final bar as [`close`](Self::close) does, without computing the columns.
    pub fn push(&mut self, bar: &Bar) {
        if is_impossible(bar) {
            return;
        }
        dispatch(Push { slot: self, bar });
    }

    /// Takes in another version of the newest bar in its place.
    ///
    /// On an empty slot it closes the bar. One bar deep: the versions of the newest bar may follow each other, the bars
    /// before it are settled.
    pub fn correct(&mut self, bar: &Bar) -> Values {
        self.correct_selected(bar, Selection::all())
    }

    /// As [`correct`](Self::correct), some columns only; others may be missing.
    pub fn correct_selected(&mut self, bar: &Bar, selection: Selection) -> Values {
        if is_impossible(bar) {
            return Values::missing();
        }
        self.undo();
        self.close_selected(bar, selection)
    }

    /// Makes the past comparable with prices that a split has multiplied by `price_factor`, and share counts that it has
    /// divided by it: exact for a power of two, to rounding else.
    ///
    /// # Panics
    /// When the factor is not a positive number.
    pub fn rescale(&mut self, price_factor: f64) {
        assert!(price_factor.is_finite() && price_factor > 0.0, "a split by {price_factor} cannot be");
        for head in &mut self.heads {
            head.hot.visit(Unit::Plain, &mut |number, unit| match unit {
                Unit::Price => *number *= price_factor,
                Unit::Shares => *number /= price_factor,
                Unit::Plain => {}
            });
        }
        self.tapes.rescale(price_factor);
        self.head_mut().fresh = Parts::NONE;
    }

    /// Bars of the current segment.
    pub fn n_bars(&self) -> u32 {
        self.head().n_bars
    }

    /// The one body behind amend and close, so that they cannot disagree. After `n_before` bars of the segment, or any
    /// number of them behind which nothing warms up any more.
    #[inline(always)]
    fn calc<S: Simd>(&self, simd: S, bar: &Bar, n_before: u32, parts: Parts, values: &mut Values) -> Stepped {
        let mut spare = Spare::new();
        let past = self.past(simd, &mut spare);
        let found;
        let windows = if self.head().fresh.has(parts) {
            &self.windows
        } else {
            found = simd.vectorize(FindAll { slot: self, parts });
            &found
        };
        let paths = Paths { of_9: near_path(&past), of_29: windows.path29 };
        let mut stepped = self.step(&past, bar, n_before, paths, windows.extremes.channels.last_13);
        let Stepped { hot, input, step, n_bars, .. } = &stepped;
        let n_bars = *n_bars;
        let terms = NewTerms::new(&past, input);
        let places = if parts.has(Parts::RSIS) { rsi_places(last_rsis(&past, 0), step.rsi) } else { [0.0; 2] };
        values.set(
            n_bars,
            #[inline(always)]
            |row| {
                Scene { hot, step, windows, past: &past, bar: input, terms: &terms, places, n_bars, parts }
                    .columns(row);
            },
        );
        stepped.places = places;
        stepped
    }

    #[inline(always)]
    fn step<S: Simd>(
        &self,
        past: &Past<S, f64>,
        bar: &Bar,
        n_before: u32,
        paths: Paths<f64>,
        last_13: Channel<f64>,
    ) -> Stepped {
        let mut hot = if n_before == 0 { Hot::filled(0.0) } else { self.head().hot };
        let input = Input::from(bar);
        let step = step(&mut hot, past, &input, n_before, paths, last_13);
        let n_bars = if n_before == 0 { 1 } else { self.head().n_bars + 1 };
        Stepped { n_bars, hot, input, step, places: [0.0; 2] }
    }

    /// The bars of the segment before this one.
    #[inline(always)]
    fn n_before(&self, bar: &Bar) -> u32 {
        if bar.flags.contains(BarFlags::SEGMENT_START) { 0 } else { self.head().n_bars }
    }

    #[inline(always)]
    pub(crate) fn past<'a, S>(&'a self, simd: S, spare: &'a mut Spare) -> Past<'a, S, f64> {
        self.tapes.past(simd, self.offset, spare)
    }

    /// See [`Tapes::load`].
    #[inline(always)]
    pub(crate) fn load(&self) {
        self.tapes.load(self.offset);
    }

    /// After the newest bar.
    #[inline(always)]
    pub(crate) fn head(&self) -> &Head {
        let [first, second] = &self.heads;
        match self.newest {
            Newest::First => first,
            Newest::Second => second,
        }
    }

    #[inline(always)]
    fn head_mut(&mut self) -> &mut Head {
        let [first, second] = &mut self.heads;
        match self.newest {
            Newest::First => first,
            Newest::Second => second,
        }
    }

    #[inline(always)]
    fn swap(&mut self) {
        self.newest = match self.newest {
            Newest::First => Newest::Second,
            Newest::Second => Newest::First,
        };
    }

    /// Goes back to before the newest bar, if there is one.
    fn undo(&mut self) {
        if let Some(offset) = self.offset.before() {
            self.offset = offset;
            self.swap();
        }
        self.head_mut().fresh = Parts::NONE;
    }

    /// The heads after and before the newest bar.
    pub(crate) fn both(&self) -> [Head; 2] {
        let [first, second] = self.heads;
        match self.newest {
            Newest::First => [first, second],
            Newest::Second => [second, first],
        }
    }

    /// From what outlives the process: the heads after and before the newest bar.
    pub(crate) fn restored(heads: &[Head; 2], offset: Offset, tapes: Tapes) -> Self {
        let mut slot = Self { offset, newest: Newest::First, heads: *heads, windows: Windows::default(), tapes };
        slot.windows = Simd::vectorize(pulp::Scalar, FindAll { slot: &slot, parts: Parts::ALL });
        slot.head_mut().fresh = Parts::ALL;
        slot
    }

    /// Takes in a bar; `set` sets the state after it. Whether the windows were known before it.
    #[inline(always)]
    fn take_in(&mut self, n_bars: u32, entry: &Entry, parts: Parts, set: impl FnOnce(&mut Hot<f64>)) -> bool {
        let was_fresh = self.head().fresh.has(parts);
        self.swap();
        let head = self.head_mut();
        set(&mut head.hot);
        (head.n_bars, head.fresh) = (n_bars, Parts::NONE);
        let offset = self.tapes.make_room(self.offset);
        self.offset = self.tapes.put(offset, entry);
        was_fresh
    }

    /// Whether the windows of all of these parts are known.
    #[inline(always)]
    pub(crate) fn is_fresh(&self, parts: Parts) -> bool {
        self.head().fresh.has(parts)
    }

    /// Finds what the windows hold, without looking for what is known from the bar before; `year` are the extremes before
    /// it, `places` those of its RSI.
    #[inline(always)]
    fn roll<S: Simd>(&mut self, simd: S, parts: Parts, was_fresh: bool, places: [f64; 2]) {
        let mut spare = Spare::new();
        let past = self.tapes.past(simd, self.offset, &mut spare);
        let n_bars = self.head().n_bars as usize;
        let known = if was_fresh {
            let WindowExtremes { channels, rsis, year } = &self.windows.extremes;
            let (leaving, newest) = (past.close_before(N_CLOSES), past.close());
            let [left_high, left_low] = self.tapes.left(self.offset);
            Known {
                year: year.next([leaving; 2], [newest; 2]).filter(|_| n_bars > N_YEAR),
                last_51: channels.last_51.next([left_high, left_low], [past.high(), past.low()]),
                rsis: Some(RsiPlaces { older: rsis.newer, newer: places }),
            }
        } else {
            Known { year: None, last_51: None, rsis: None }
        };
        let year = if n_bars < N_YEAR { Some(Channel::default()) } else { known.year };
        self.windows.find(&past, parts, Known { year, ..known });
        self.head_mut().fresh = parts;
    }
}

/// What the tapes keep of a bar.
#[inline(always)]
fn entry(input: &Input<f64>, step: &Step<f64>) -> Entry {
    let Input { close, high, low, volume, .. } = *input;
    Entry { close, high, low, volume, gap: step.gap_size, rsi: step.rsi }
}

/// A bar and what it makes of the state before it, not yet stored.
pub(crate) struct Stepped {
    /// Bars of the segment with it.
    n_bars: u32,
    hot: Hot<f64>,
    input: Input<f64>,
    step: Step<f64>,
    /// Of its RSI.
    places: [f64; 2],
}

/// What [`Bar::check`] says, without a branch for the bars that usually come.
#[inline(always)]
#[expect(clippy::needless_bitwise_bool, clippy::manual_range_contains, reason = "no branches, and one form for all")]
pub(crate) fn is_impossible(bar: &Bar) -> bool {
    let Bar { open, high, low, close, volume, flags, .. } = *bar;
    let is_possible = (low > 0.0)
        & (low <= open)
        & (low <= close)
        & (open <= high)
        & (close <= high)
        & (high <= f64::MAX)
        & (volume >= 0.0)
        & (volume <= f64::MAX)
        & !flags.contains(BarFlags::CLOSE_ONLY);
    !is_possible && bar.check().is_err()
}

#[cfg(test)]
mod tests;
