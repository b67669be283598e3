use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::state::state;
use crate::window::{aged, highest, last, lowest};

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
        let oldest = (raw0 + raw1 + raw2) / 3.0;
        let middle = (raw1 + raw2 + raw3) / 3.0;
        let fast = (raw2 + raw3 + raw) / 3.0;
        Lines { fast, slow: (oldest + middle + fast) / 3.0 }
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
    pub(crate) fn new(past: &Past<L>, bar: &Input<L>) -> Self {
        let highs: &[L; 13] = last(past.highs);
        let lows: &[L; 13] = last(past.lows);
        Self { highest: highest::<L, 13>(bar.high, |i| highs[i]), lowest: lowest::<L, 13>(bar.low, |i| lows[i]) }
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
pub(crate) fn of_rsi<L: Lane>(past: &Past<L>, rsi: L) -> [Lines<L>; 2] {
    let newest: &[L; 13] = last(past.rsis);
    let newer = newest[12];
    let middle: &[L; 13] = aged::<_, _, 1, _>(past.rsis);
    let older = middle[12];
    let oldest: &[L; 13] = aged::<_, _, 2, _>(past.rsis);
    let lines = |[oldest, middle, fast]: [L; 3]| Lines { fast, slow: (oldest + middle + fast) / 3.0 };
    let [short0, long0] = rsi_places(oldest, older);
    let [short1, long1] = rsi_places(middle, newer);
    let [short2, long2] = rsi_places(newest, rsi);
    [lines([short0, short1, short2]), lines([long0, long1, long2])]
}

/// Over 5 and over 14 numbers.
#[inline(always)]
fn rsi_places<L: Lane>(before: &[L; 13], rsi: L) -> [L; 2] {
    let newest: &[L; 4] = last(before);
    let oldest: &[L; 9] = aged::<_, _, 4, _>(before);
    let high5 = highest::<L, 4>(rsi, |i| newest[i]);
    let low5 = lowest::<L, 4>(rsi, |i| newest[i]);
    let high14 = highest::<L, 9>(high5, |i| oldest[i]);
    let low14 = lowest::<L, 9>(low5, |i| oldest[i]);
    [place(rsi, low5, high5), place(rsi, low14, high14)]
}
