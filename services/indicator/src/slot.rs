use pulp::{Simd, WithSimd};
use schemas::{Bar, BarFlags};

use crate::channel::{Channel, N_YEAR, range};
use crate::engine::{Hot, Scene, Step, step};
use crate::input::{Input, N_CLOSES, Past};
use crate::kama::{Paths, near_path};
use crate::plan::NEED_MAX;
use crate::selection::{Parts, Selection};
use crate::state::{State, Unit};
use crate::stochastic::{RsiPlaces, last_rsis, rsi_places};
use crate::tapes::{Entry, Offset, Tapes};
use crate::target::dispatch;
use crate::terms::NewTerms;
use crate::values::Values;
use crate::windows::{Known, Windows};

/// Everything the columns need to know of one symbol's past bars: plain data of a fixed size.
///
/// A bar with [`BarFlags::SEGMENT_START`] begins a fresh history. A bar that cannot be (see [`Bar::check`]) is refused: it
/// has no values and leaves the slot as it is, to the bit. Whether a possible bar may be applied is the stage's business.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    pub(crate) head: Head,
    /// As it was before the newest bar. The tapes need no copy: what the newest bar added stands behind the older window.
    pub(crate) before: Head,
    pub(crate) tapes: Tapes,
    /// What the tapes hold, as long as it is fresh: then a bar need not look at them.
    pub(crate) windows: Windows<f64>,
}

/// The part of a slot that every bar changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Bars of the current segment.
    pub(crate) n_bars: u32,
    pub(crate) offset: Offset,
    /// Of what the windows are those of this head.
    pub(crate) fresh: Parts,
    pub(crate) hot: Hot<f64>,
}

impl Default for Head {
    fn default() -> Self {
        Self { n_bars: 0, offset: Offset::default(), fresh: Parts::NONE, hot: Hot::filled(0.0) }
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
        self.head = self.before;
        self.head.fresh = Parts::NONE;
        self.close_selected(bar, selection)
    }

    /// Makes the past comparable with prices that a split has multiplied by `price_factor`, and share counts that it has
    /// divided by it: exact for a power of two, to rounding else.
    ///
    /// # Panics
    /// When the factor is not a positive number.
    pub fn rescale(&mut self, price_factor: f64) {
        assert!(price_factor.is_finite() && price_factor > 0.0, "a split by {price_factor} cannot be");
        for head in [&mut self.head, &mut self.before] {
            head.hot.visit(Unit::Plain, &mut |number, unit| match unit {
                Unit::Price => *number *= price_factor,
                Unit::Shares => *number /= price_factor,
                Unit::Plain => {}
            });
        }
        self.tapes.rescale(price_factor);
        self.head.fresh = Parts::NONE;
    }

    /// Bars of the current segment.
    pub fn n_bars(&self) -> u32 {
        self.head.n_bars
    }

    /// The one body behind amend and close, so that they cannot disagree. After `n_before` bars of the segment, or any
    /// number of them behind which nothing warms up any more.
    #[inline(always)]
    fn calc<S: Simd>(&self, simd: S, bar: &Bar, n_before: u32, parts: Parts, values: &mut Values) -> Stepped {
        let past = self.past(simd);
        let found;
        let windows = if self.head.fresh.has(parts) {
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
        let mut hot = if n_before == 0 { Hot::filled(0.0) } else { self.head.hot };
        let input = Input::from(bar);
        let step = step(&mut hot, past, &input, n_before, paths, last_13);
        let n_bars = if n_before == 0 { 1 } else { self.head.n_bars + 1 };
        Stepped { n_bars, hot, input, step, places: [0.0; 2] }
    }

    /// The bars of the segment before this one.
    #[inline(always)]
    fn n_before(&self, bar: &Bar) -> u32 {
        if bar.flags.contains(BarFlags::SEGMENT_START) { 0 } else { self.head.n_bars }
    }

    #[inline(always)]
    pub(crate) fn past<S>(&self, simd: S) -> Past<'_, S, f64> {
        self.tapes.past(simd, self.head.offset)
    }

    #[inline(always)]
    fn take_in(&mut self, n_bars: u32, hot: &Hot<f64>, entry: &Entry) {
        self.head.offset = self.tapes.make_room(self.head.offset);
        self.before = self.head;
        let offset = self.tapes.put(self.head.offset, entry);
        self.head = Head { n_bars, offset, fresh: Parts::NONE, hot: *hot };
    }

    /// Whether the windows of all of these parts are known.
    #[inline(always)]
    pub(crate) fn is_fresh(&self, parts: Parts) -> bool {
        self.head.fresh.has(parts)
    }

    /// Finds what the windows hold, without looking for what is known from the bar before; `year` are the extremes before
    /// it, `places` those of its RSI.
    #[inline(always)]
    fn roll<S: Simd>(&mut self, simd: S, parts: Parts, places: [f64; 2]) {
        let was_fresh = self.before.fresh.has(parts);
        let past = self.tapes.past(simd, self.head.offset);
        let year = self.windows.extremes.year;
        let n_bars = self.head.n_bars as usize;
        let (leaving, newest) = (past.close_before(N_CLOSES), past.close());
        let known_year = match n_bars {
            0..N_YEAR => Some(Channel::default()),
            // A year of closes is looked through only when an extreme leaves it that the newest does not replace.
            _ if was_fresh
                && n_bars > N_YEAR
                && (leaving < year.high || newest >= year.high)
                && (leaving > year.low || newest <= year.low) =>
            {
                Some(year.with(newest, newest))
            }
            _ => None,
        };
        let older = self.windows.extremes.rsis.newer;
        let rsis = was_fresh.then_some(RsiPlaces { older, newer: places });
        self.windows.find(&past, parts, Known { year: known_year, rsis });
        self.head.fresh = parts;
    }

    /// Finds what all windows hold.
    pub(crate) fn refresh(&mut self) {
        self.windows = Simd::vectorize(pulp::Scalar, FindAll { slot: self, parts: Parts::ALL });
        self.head.fresh = Parts::ALL;
    }
}

/// What the windows hold. A function of its own: it is as large as everything else, and rarely needed.
struct FindAll<'a> {
    slot: &'a Slot,
    parts: Parts,
}

impl WithSimd for FindAll<'_> {
    type Output = Windows<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Windows<f64> {
        let Self { slot, parts } = self;
        let mut windows = slot.windows;
        let is_short = (slot.head.n_bars as usize) < N_YEAR;
        let year = is_short.then(Channel::default);
        windows.find(&slot.past(simd), parts, Known { year, rsis: None });
        windows
    }
}

pub(crate) struct Amend<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) bar: &'a Bar,
    pub(crate) parts: Parts,
    pub(crate) values: &'a mut Values,
}

impl WithSimd for Amend<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { slot, bar, parts, values } = self;
        slot.tapes.load();
        let n_before = slot.n_before(bar);
        if n_before < NEED_MAX {
            simd.vectorize(Cold { slot, bar, parts, values });
        } else {
            slot.calc(simd, bar, WARM, parts, values);
        }
    }
}

/// The bars before one that is not warm yet, and so needs a branch for every indicator.
struct Cold<'a> {
    slot: &'a Slot,
    bar: &'a Bar,
    parts: Parts,
    values: &'a mut Values,
}

impl WithSimd for Cold<'_> {
    type Output = Stepped;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Stepped {
        let Self { slot, bar, parts, values } = self;
        slot.calc(simd, bar, slot.n_before(bar), parts, values)
    }
}

/// More bars than any indicator needs to warm up: the compiler knows the number, and leaves out what is for fewer.
pub(crate) const WARM: u32 = 2 * NEED_MAX;

pub(crate) struct Close<'a> {
    pub(crate) slot: &'a mut Slot,
    pub(crate) bar: &'a Bar,
    pub(crate) parts: Parts,
    pub(crate) values: &'a mut Values,
}

impl WithSimd for Close<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { slot, bar, parts, values } = self;
        slot.tapes.load();
        let n_before = slot.n_before(bar);
        let stepped = if n_before < NEED_MAX {
            simd.vectorize(Cold { slot, bar, parts, values })
        } else {
            slot.calc(simd, bar, WARM, parts, values)
        };
        // Behind a row they are carried by, they need not be found again.
        let places = stepped.places;
        slot.take_in(stepped.n_bars, &stepped.hot, &entry(&stepped.input, &stepped.step));
        simd.vectorize(Roll { slot, parts, places });
    }
}

/// What a bar made of a slot beside others.
pub(crate) struct Made {
    pub(crate) hot: Hot<f64>,
    pub(crate) entry: Entry,
    /// Of its RSI.
    pub(crate) places: [f64; 2],
}

/// Takes in what a bar made of a warm slot, in its segment.
pub(crate) struct TakeIn<'a> {
    pub(crate) slot: &'a mut Slot,
    pub(crate) made: &'a Made,
    pub(crate) parts: Parts,
}

impl WithSimd for TakeIn<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { slot, made, parts } = self;
        slot.take_in(slot.head.n_bars + 1, &made.hot, &made.entry);
        slot.roll(simd, parts, made.places);
    }
}

/// A function of its own: together with the columns it is more than the compiler finds registers for.
struct Roll<'a> {
    slot: &'a mut Slot,
    parts: Parts,
    places: [f64; 2],
}

impl WithSimd for Roll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.slot.roll(simd, self.parts, self.places);
    }
}

struct Push<'a> {
    slot: &'a mut Slot,
    bar: &'a Bar,
}

impl WithSimd for Push<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let slot = self.slot;
        let past = slot.past(simd);
        let n_before = slot.n_before(self.bar);
        let stepped = slot.step(&past, self.bar, n_before, Paths::of(&past), range::<S, f64, 13>(&past));
        slot.take_in(stepped.n_bars, &stepped.hot, &entry(&stepped.input, &stepped.step));
    }
}

/// What the tapes keep of a bar.
#[inline(always)]
fn entry(input: &Input<f64>, step: &Step<f64>) -> Entry {
    let Input { close, high, low, volume, .. } = *input;
    Entry { close, high, low, volume, gap: step.gap_size, rsi: step.rsi }
}

/// A bar and what it makes of the state before it, not yet stored.
struct Stepped {
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
