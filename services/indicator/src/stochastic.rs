use pulp::Simd;

use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::state::state;
use crate::window::{Highest, Lowest};

/// Where a number stands between the extremes of its window.
///
/// # Units
/// Percent, 0 at the lowest; 0 when the window has no range but rounding.
#[inline(always)]
fn place<L: Lane>(number: L, lowest: L, highest: L) -> L {
    // The flat stretches of an RSI differ by rounding, which would otherwise fill the whole scale.
    const NOISE: f64 = 1e-14;
    let is_flat = (highest - lowest).is_at_most((highest.abs() + lowest.abs()) * NOISE);
    L::select(is_flat, number.zero(), (number - lowest) / (highest - lowest) * 100.0)
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
    highest: L,
    lowest: L,
}

impl<L: Lane> Range<L> {
    #[inline(always)]
    pub(crate) fn new<S: Simd>(past: &Past<S, L>, bar: &Input<L>) -> Self
    where
        L: Figure<S>,
    {
        Self {
            highest: Highest::new(past.simd, bar.high).with::<0, 13>(
                #[inline(always)]
                |age| past.high_run(age),
            ),
            lowest: Lowest::new(past.simd, bar.low).with::<0, 13>(
                #[inline(always)]
                |age| past.low_run(age),
            ),
        }
    }

    #[inline(always)]
    pub(crate) fn place(&self, close: L) -> L {
        place(close, self.lowest, self.highest)
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
        (self.highest - close).over_or_zero(self.highest - self.lowest) * -100.0
    }
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
pub(crate) fn of_rsi<S: Simd, L: Figure<S>>(past: &Past<S, L>, rsi: L) -> [Lines<L>; 2] {
    let [.., older, newer] = *past.rsis;
    let [short0, long0] = rsi_places(past, 2, older);
    let [short1, long1] = rsi_places(past, 1, newer);
    let [short2, long2] = rsi_places(past, 0, rsi);
    [
        Lines { fast: short2, slow: (short0 + short1 + short2) * (1.0 / 3.0) },
        Lines { fast: long2, slow: (long0 + long1 + long2) * (1.0 / 3.0) },
    ]
}

/// Of a number in the last 5 and 14, itself included; those before it begin with an age.
#[inline(always)]
fn rsi_places<S: Simd, L: Figure<S>>(past: &Past<S, L>, age: usize, rsi: L) -> [L; 2] {
    let (mut high, mut low) = (Highest::new(past.simd, rsi), Lowest::new(past.simd, rsi));
    let (high5, low5) = (
        high.with::<0, 4>(
            #[inline(always)]
            |i| L::run(past.simd, past.rsis, age + i),
        ),
        low.with::<0, 4>(
            #[inline(always)]
            |i| L::run(past.simd, past.rsis, age + i),
        ),
    );
    let (high14, low14) = (
        high.with::<4, 13>(
            #[inline(always)]
            |i| L::run(past.simd, past.rsis, age + i),
        ),
        low.with::<4, 13>(
            #[inline(always)]
            |i| L::run(past.simd, past.rsis, age + i),
        ),
    );
    [place(rsi, low5, high5), place(rsi, low14, high14)]
}
