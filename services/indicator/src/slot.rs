use pulp::{Simd, WithSimd};
use schemas::{Bar, BarFlags};

use crate::channel::{Channel, Channels, N_YEAR, range13, year};
use crate::engine::{Hot, Scene, Step, step};
use crate::input::{Input, N_CLOSES, Past};
use crate::kama::Paths;
use crate::near::{Near, NearExtremes};
use crate::plan::N_COLUMNS;
use crate::state::{State, Unit};
use crate::stochastic::RsiPlaces;
use crate::tapes::{Entry, Offset, Tapes};
use crate::target::dispatch;
use crate::terms::NewTerms;
use crate::values::Values;
use crate::windows::{WindowExtremes, Windows};

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
    windows: Windows<f64>,
}

/// The part of a slot that every bar changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Bars of the current segment.
    pub(crate) n_bars: u32,
    pub(crate) offset: Offset,
    /// Whether the windows are those of this head.
    pub(crate) is_fresh: bool,
    pub(crate) hot: Hot<f64>,
}

impl Default for Head {
    fn default() -> Self {
        Self { n_bars: 0, offset: Offset::default(), is_fresh: false, hot: Hot::filled(0.0) }
    }
}

impl Slot {
    /// The columns as if the bar closed now. Changes nothing.
    #[must_use]
    pub fn amend(&self, bar: &Bar) -> Values {
        if is_impossible(bar) {
            return Values::missing();
        }
        dispatch(Amend { slot: self, bar })
    }

    /// Takes in a final bar.
    pub fn close(&mut self, bar: &Bar) -> Values {
        if is_impossible(bar) {
            return Values::missing();
        }
        dispatch(Close { slot: self, bar })
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
        if is_impossible(bar) {
            return Values::missing();
        }
        self.head = self.before;
        self.head.is_fresh = false;
        self.close(bar)
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
        self.head.is_fresh = false;
    }

    /// Bars of the current segment.
    pub fn n_bars(&self) -> u32 {
        self.head.n_bars
    }

    /// As [`close`](Self::close), inside a dispatch. The bar must be possible.
    #[inline(always)]
    pub(crate) fn close_with<S: Simd>(&mut self, simd: S, bar: &Bar) -> Values {
        let (stepped, carried, values) = self.calc(simd, bar);
        self.take_in(&stepped);
        self.refresh(simd, Some(carried));
        values
    }

    /// The one body behind amend and close, so that they cannot disagree.
    #[inline(always)]
    fn calc<S: Simd>(&self, simd: S, bar: &Bar) -> (Stepped, Carried, Values) {
        self.tapes.load();
        let past = self.past(simd);
        let found;
        let windows = if self.head.is_fresh {
            &self.windows
        } else {
            found = simd.vectorize(FindWindows { past: &past, of_year: None, rsis: None });
            &found
        };
        let near = Near::of(&past, NearExtremes::of(&past));
        let paths = Paths { of_9: near.path9, of_29: windows.path29 };
        let stepped = self.step(&past, bar, paths, windows.extremes.channels.last_13);
        let Stepped { n_before, ref hot, ref input, ref step } = stepped;
        let terms = NewTerms::new(&past, near.extremes.rsis, input, step);
        let n_bars = n_before + 1;
        let mut row = [0.0; N_COLUMNS];
        Scene { hot, step, windows, near: &near, past: &past, bar: input, terms: &terms, n_bars }.columns(&mut row);
        let [_, before] = windows.extremes.rsis.0;
        let carried = Carried { year: windows.extremes.year, rsis: RsiPlaces([before, terms.rsi_places]) };
        (stepped, carried, Values::new(row, n_bars))
    }

    #[inline(always)]
    fn step<S: Simd>(&self, past: &Past<S, f64>, bar: &Bar, paths: Paths<f64>, last_13: Channel<f64>) -> Stepped {
        let (n_before, mut hot) = self.start(bar);
        let input = Input::from(bar);
        let step = step(&mut hot, past, &input, n_before, paths, last_13);
        Stepped { n_before, hot, input, step }
    }

    /// What the bar builds on.
    #[inline(always)]
    fn start(&self, bar: &Bar) -> (u32, Hot<f64>) {
        if bar.flags.contains(BarFlags::SEGMENT_START) {
            (0, Hot::filled(0.0))
        } else {
            (self.head.n_bars, self.head.hot)
        }
    }

    #[inline(always)]
    pub(crate) fn past<S>(&self, simd: S) -> Past<'_, S, f64> {
        self.tapes.past(simd, self.head.offset)
    }

    #[inline(always)]
    fn take_in(&mut self, stepped: &Stepped) {
        let n_bars = stepped.n_before + 1;
        self.head.offset = self.tapes.make_room(self.head.offset);
        self.before = self.head;
        let offset = self.tapes.put(self.head.offset, &entry(&stepped.input, &stepped.step));
        self.head = Head { n_bars, offset, is_fresh: false, hot: stepped.hot };
    }

    /// Finds what the windows hold, without looking for what is known from the bar before.
    #[inline(always)]
    pub(crate) fn refresh<S: Simd>(&mut self, simd: S, carried: Option<Carried>) {
        let past = self.tapes.past(simd, self.head.offset);
        let n_bars = self.head.n_bars as usize;
        let (leaving, newest) = (past.close_before(N_CLOSES), past.close());
        let of_year = match carried {
            // A year of closes is looked through only when an extreme leaves it that the newest does not replace.
            Some(Carried { year, .. })
                if n_bars > N_YEAR
                    && (leaving < year.high || newest >= year.high)
                    && (leaving > year.low || newest <= year.low) =>
            {
                Some(year.with(newest, newest))
            }
            _ if n_bars >= N_YEAR => None,
            _ => Some(Channel::default()),
        };
        let rsis = carried.map(|carried| carried.rsis);
        self.windows = simd.vectorize(FindWindows { past: &past, of_year, rsis });
        self.head.is_fresh = true;
    }
}

/// What the windows after a bar have of those before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carried {
    /// Before the bar.
    year: Channel<f64>,
    /// With that of the bar.
    rsis: RsiPlaces<f64>,
}

/// What the windows hold; some of it may be known. A function of its own: it is as large as everything else.
struct FindWindows<'a, S> {
    past: &'a Past<'a, S, f64>,
    of_year: Option<Channel<f64>>,
    rsis: Option<RsiPlaces<f64>>,
}

impl<S: Simd> WithSimd for FindWindows<'_, S> {
    type Output = Windows<f64>;

    #[inline(always)]
    fn with_simd<T: Simd>(self, _: T) -> Windows<f64> {
        let year = if let Some(known) = self.of_year { known } else { year(self.past) };
        let rsis = if let Some(known) = self.rsis { known } else { RsiPlaces::of(self.past) };
        Windows::of(self.past, WindowExtremes { channels: Channels::of(self.past), rsis, year })
    }
}

struct Amend<'a> {
    slot: &'a Slot,
    bar: &'a Bar,
}

impl WithSimd for Amend<'_> {
    type Output = Values;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Values {
        self.slot.calc(simd, self.bar).2
    }
}

struct Close<'a> {
    slot: &'a mut Slot,
    bar: &'a Bar,
}

impl WithSimd for Close<'_> {
    type Output = Values;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Values {
        self.slot.close_with(simd, self.bar)
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
        let stepped = slot.step(&past, self.bar, Paths::of(&past), range13(&past));
        slot.take_in(&stepped);
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
    /// Bars of the segment before it.
    n_before: u32,
    hot: Hot<f64>,
    input: Input<f64>,
    step: Step<f64>,
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
