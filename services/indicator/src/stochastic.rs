use pulp::Simd;

use crate::channel::Channel;
use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::state::state;
use crate::window::{Highest, Lowest, term};

/// Whether a window has no range but rounding: the flat stretches of an RSI differ by that, which would otherwise fill the
/// whole scale.
#[inline(always)]
fn is_flat<L: Lane>(window: Channel<L>) -> L::Mask {
    const NOISE: f64 = 1e-14;
    (window.high - window.low).is_at_most((window.high.abs() + window.low.abs()) * NOISE)
}

state! {
    /// Stochastic oscillator 14, 3, 3: the place of the close in the range of 14 bars, smoothed once and twice.
    ///
    /// # Shape
    /// One per bar; both first with bar 18.
    ///
    /// # Units
    /// Percent, 0 to 100; 0 where the range is 0.
    ///
    /// # Source
    /// TA-Lib `STOCH` with simple averages.
    struct Stochastic {
        /// Of the last four bars, oldest first.
        raw0: L [Plain],
        raw1: L [Plain],
        raw2: L [Plain],
        raw3: L [Plain],
    }
}

/// The two lines of an oscillator and how it ended up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<L> {
    pub(crate) fast: L,
    pub(crate) slow: L,
}

impl<L: Lane> Stochastic<L> {
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, raw: L) -> Self {
        Self { raw0: self.raw1, raw1: self.raw2, raw2: self.raw3, raw3: raw }
    }

    /// With the bar that is not taken in yet.
    #[inline(always)]
    pub(crate) fn lines(&self, raw: L) -> Lines<L> {
        let Self { raw0, raw1, raw2, raw3 } = *self;
        let oldest = (raw0 + raw1 + raw2) * (1.0 / 3.0);
        let middle = (raw1 + raw2 + raw3) * (1.0 / 3.0);
        let fast = (raw2 + raw3 + raw) * (1.0 / 3.0);
        Lines { fast, slow: (oldest + middle + fast) * (1.0 / 3.0) }
    }
}

/// The extremes of the last 14 bars.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range<L> {
    window: Channel<L>,
    inverse: L,
}

impl<L: Lane> Range<L> {
    /// `last_13` are the bars before the one at hand.
    #[inline(always)]
    pub(crate) fn new(last_13: Channel<L>, bar: &Input<L>) -> Self {
        Self::of(last_13.with(bar.high, bar.low))
    }

    #[inline(always)]
    pub(crate) fn of(window: Channel<L>) -> Self {
        Self { window, inverse: (window.high - window.low).inverse() }
    }

    /// Where the close stands: percent, 0 at the lowest; 0 when there is no range.
    #[inline(always)]
    pub(crate) fn place(&self, close: L) -> L {
        L::select(is_flat(self.window), close.zero(), (close - self.window.low) * self.inverse * 100.0)
    }

    /// Williams %R.
    ///
    /// # Shape
    /// One per bar; the first with bar 14.
    ///
    /// # Units
    /// Percent, −100 to 0; 0 where the range is 0.
    ///
    /// # Source
    /// TA-Lib `WILLR`.
    #[inline(always)]
    pub(crate) fn williams(&self, close: L) -> L {
        let is_flat = self.window.high.is_equal(self.window.low);
        L::select(is_flat, close.zero(), (self.window.high - close) * self.inverse * -100.0)
    }
}

state! {
    /// The places of the last two RSIs: each over 5 and over 14 bars.
    #[derive(Default)]
    struct RsiPlaces {
        older: [L; 2] [Plain],
        newer: [L; 2] [Plain],
    }
}

impl<L: Lane> RsiPlaces<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        let [.., older, newer] = *past.rsis;
        Self { older: rsi_places(last_rsis(past, 2), older), newer: rsi_places(last_rsis(past, 1), newer) }
    }

    /// Place of RSI14 in its own range over 5 and over 14 bars, and the mean of three such places.
    ///
    /// # Shape
    /// One per bar; over 5 bars both first with bar 21, over 14 with bar 30.
    ///
    /// # Units
    /// Percent, 0 to 100; 0 where the range is 0.
    ///
    /// # Source
    /// TA-Lib `STOCHRSI` 14, 5, 3 (its default) and 14, 14, 3 (that of most charts): the fast line is not smoothed.
    #[inline(always)]
    pub(crate) fn lines(&self, [short, long]: [L; 2]) -> [Lines<L>; 2] {
        let Self { older: [short0, long0], newer: [short1, long1] } = *self;
        [
            Lines { fast: short, slow: (short0 + short1 + short) * (1.0 / 3.0) },
            Lines { fast: long, slow: (long0 + long1 + long) * (1.0 / 3.0) },
        ]
    }
}

/// The last 4 and 13 of the RSIs that begin with an age.
#[inline(always)]
pub(crate) fn last_rsis<S: Simd, L: Figure<S>>(past: &Past<S, L>, age: usize) -> [Channel<L>; 2] {
    let newest = past.rsis[past.rsis.len() - 1 - age];
    let (mut high, mut low) = (Highest::new(past.simd, newest), Lowest::new(past.simd, newest));
    let rsi = term(
        #[inline(always)]
        |i| L::run(past.simd, past.rsis, age + i),
    );
    let (high4, low4) = (high.with::<0, 4>(rsi), low.with::<0, 4>(rsi));
    let (high13, low13) = (high.with::<4, 13>(rsi), low.with::<4, 13>(rsi));
    [Channel { high: high4, low: low4 }, Channel { high: high13, low: low13 }]
}

/// Place of an RSI in its own range over 5 and over 14 bars, of which it is the last.
#[inline(always)]
pub(crate) fn rsi_places<L: Lane>([last_4, last_13]: [Channel<L>; 2], rsi: L) -> [L; 2] {
    // Not one division for both: the longer window may still be warming up.
    [place(last_4.with(rsi, rsi), rsi), place(last_13.with(rsi, rsi), rsi)]
}

#[inline(always)]
pub(crate) fn place<L: Lane>(window: Channel<L>, number: L) -> L {
    let share = (number - window.low) / (window.high - window.low);
    L::select(is_flat(window), number.zero(), share * 100.0)
}
