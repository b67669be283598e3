//! Averages, deviations and slopes of windows of closes. Everything is counted from the newest final close, so that equal
//! closes give exact averages and no deviation; TA-Lib's running sums leave noise there.

use pulp::Simd;

use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::window::{Sum, sum, term};

/// Sums of what the closes before the bar at hand are above the newest of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CloseSums<L> {
    of_19: L,
    of_25: L,
    of_49: L,
    squares19: L,
    squares49: L,
    /// Of 19, each times how far its place is from the middle of 20.
    slope19: L,
}

impl<L: Lane> CloseSums<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        let zero = past.close().zero();
        let above = term(
            #[inline(always)]
            |age| past.close_run(age) - past.close().spread(past.simd),
        );
        let square = term(
            #[inline(always)]
            |age| above(age) * above(age),
        );
        let mut sum = Sum::new(past.simd, zero);
        let mut squares = Sum::new(past.simd, zero);
        Self {
            of_19: sum.with::<0, 19>(above),
            of_25: sum.with::<19, 25>(above),
            of_49: sum.with::<25, 49>(above),
            squares19: squares.with::<0, 19>(square),
            squares49: squares.with::<19, 49>(square),
            slope19: self::sum::<S, L, 19>(
                past.simd,
                zero,
                #[inline(always)]
                |age| above(age) * zero.ramp(past.simd, 18.0 - age as f64 - MIDDLE),
            ),
        }
    }
}

/// As [`CloseSums`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct NearSums<L> {
    of_9: L,
    of_11: L,
}

impl<L: Lane> NearSums<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        let above = term(
            #[inline(always)]
            |age| past.close_run(age) - past.close().spread(past.simd),
        );
        let mut sum = Sum::new(past.simd, past.close().zero());
        Self { of_9: sum.with::<0, 9>(above), of_11: sum.with::<9, 11>(above) }
    }
}

/// Simple moving averages.
///
/// # Shape
/// One per bar, once the window is full.
///
/// # Units
/// Price.
///
/// # Source
/// TA-Lib `SMA`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Averages<L> {
    pub(crate) of_10: L,
    pub(crate) of_12: L,
    pub(crate) of_20: L,
    pub(crate) of_26: L,
    pub(crate) of_50: L,
    pub(crate) of_200: L,
    /// Population deviation of 20 closes: that of the Bollinger bands (TA-Lib `BBANDS`).
    pub(crate) deviation20: L,
    /// Distance of the close from its mean of 50 in sample deviations.
    ///
    /// # Source
    /// Specification §2.2, `TrendStrength50`.
    pub(crate) trend_strength50: L,
}

impl<L: Lane> Averages<L> {
    /// `newest` is the close before the one at hand, `sum200` the sum of the closes, that at hand included.
    #[inline(always)]
    pub(crate) fn new(before: &CloseSums<L>, near: &NearSums<L>, newest: L, close: L, sum200: L) -> Self {
        let zero = close.zero();
        let change = close - newest;
        let square = change * change;
        let sum50 = before.of_49 + change;
        let mean20 = (before.of_19 + change) * (1.0 / 20.0);
        let mean50 = sum50 * (1.0 / 50.0);
        let variance20 = ((before.squares19 + square) * (1.0 / 20.0) - mean20 * mean20).higher(zero);
        let variance50 = (((before.squares49 + square) - sum50 * mean50) * (1.0 / 49.0)).higher(zero);
        Self {
            of_10: newest + (near.of_9 + change) * (1.0 / 10.0),
            of_12: newest + (near.of_11 + change) * (1.0 / 12.0),
            of_20: newest + mean20,
            of_26: newest + (before.of_25 + change) * (1.0 / 26.0),
            of_50: newest + mean50,
            of_200: sum200 * (1.0 / 200.0),
            deviation20: variance20.sqrt(),
            trend_strength50: (change - mean50) / variance50.sqrt(),
        }
    }
}

/// Slope of the straight line through the last 20 closes.
///
/// # Shape
/// One per bar; the first with bar 20.
///
/// # Units
/// Price a bar.
///
/// # Source
/// TA-Lib `LINEARREG_SLOPE`: least squares.
#[inline(always)]
pub(crate) fn slope20<L: Lane>(before: &CloseSums<L>, newest: L, close: L) -> L {
    (before.slope19 + (close - newest) * MIDDLE) * (1.0 / SQUARES)
}

/// The middle of the places 0 to 19, and the sum of their squared distances from it.
const MIDDLE: f64 = 9.5;
const SQUARES: f64 = 665.0;

/// What the slope of averages needs to know of the 19 averages of 20 closes before the bar at hand, counted from the newest
/// of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AverageSums<L> {
    /// The sum of all, each times how far its place is from the middle of 20.
    slope19: L,
    oldest: L,
}

/// How often what an average gained on the one before counts in [`AverageSums::slope19`], oldest first: at age `a`, it is
/// `18 + 8 a − a² / 2`, the sum of the distances of all older places from the middle.
const GAIN_WEIGHTS: [f64; 18] = gain_weights();

const fn gain_weights() -> [f64; 18] {
    let mut weights = [0.0; 18];
    let mut age = 0;
    while age < 18 {
        let a = age as f64;
        weights[17 - age] = 18.0 + 8.0 * a - a * a * 0.5;
        age += 1;
    }
    weights
}

impl<L: Lane> AverageSums<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        let zero = past.close().zero();
        let slope19 = sum::<S, L, 18>(
            past.simd,
            zero,
            #[inline(always)]
            |age| past.replaced(age) * L::weights(past.simd, &GAIN_WEIGHTS, age),
        );
        let gained = sum::<S, L, 18>(
            past.simd,
            zero,
            #[inline(always)]
            |age| past.replaced(age),
        );
        Self { slope19: slope19 * (1.0 / 20.0), oldest: (zero - gained) * (1.0 / 20.0) }
    }

    /// Slope of the straight line through the last 20 averages of 20 closes, as a share of the last average.
    ///
    /// # Shape
    /// One per bar; the first with bar 39.
    ///
    /// # Units
    /// Fraction a bar; 0 when the averages are all but equal.
    ///
    /// # Source
    /// Specification §4, `ma_slope_20`.
    #[inline(always)]
    pub(crate) fn slope<S>(&self, past: &Past<S, L>, close: L, average: L, inverse_of_average: L) -> L {
        const ABSOLUTE: f64 = 1e-8;
        const RELATIVE: f64 = 1e-5;
        let gained = (close - past.close_before(20)) * (1.0 / 20.0);
        let slope = (self.slope19 + gained * MIDDLE) * (1.0 / SQUARES) * inverse_of_average;
        let oldest = self.oldest - gained;
        let tolerance = (average + oldest).abs() * RELATIVE + ABSOLUTE;
        let is_level = oldest.abs().is_at_most(tolerance);
        // The ends are rarely that close.
        if !L::any(is_level) {
            return slope;
        }
        let zero = close.zero();
        let mut above = zero;
        let mut bounds = [zero; 2];
        for age in 0..19 {
            let newer = if age == 0 { close } else { past.close_before(age) };
            above = above - (newer - past.close_before(age + 20)) * (1.0 / 20.0);
            bounds = [bounds[0].lower(above), bounds[1].higher(above)];
        }
        let is_flat = (bounds[1] - oldest).higher(oldest - bounds[0]).is_at_most(tolerance);
        L::select(L::both(is_level, is_flat), zero, slope)
    }
}

/// Commodity channel index over 20 bars. `sum19` is that of what the typical prices before are above the newest of them.
///
/// # Shape
/// One per bar; the first with bar 20.
///
/// # Units
/// Mean deviations of the typical price over 0.015; 0 where there is none.
///
/// # Source
/// TA-Lib `CCI`. The sum of three prices stands for their mean; the factor cancels out.
#[inline(always)]
pub(crate) fn commodity_channel<S: Simd, L: Figure<S>>(past: &Past<S, L>, bar: &Input<L>, sum19: L) -> L {
    /// A deviation of less, relative to the price, is rounding.
    const NOISE: f64 = 1e-14;
    let now = bar.price();
    let zero = now.zero();
    let change = now - past.price();
    let mean = (sum19 + change) * (1.0 / 20.0);
    let level = (past.price() + mean).spread(past.simd);
    let far19 = sum::<S, L, 19>(
        past.simd,
        zero,
        #[inline(always)]
        |age| (past.prices(age) - level).abs(),
    );
    let above = change - mean;
    let deviation = (above.abs() + far19) * (1.0 / 20.0);
    let noise = now * NOISE;
    let is_flat = L::either(above.abs().is_at_most(noise), deviation.is_at_most(noise));
    L::select(is_flat, zero, above / (deviation * 0.015))
}

/// The sum that [`commodity_channel`] needs.
#[inline(always)]
pub(crate) fn price_sum19<S: Simd, L: Figure<S>>(past: &Past<S, L>) -> L {
    sum::<S, L, 19>(
        past.simd,
        past.close().zero(),
        #[inline(always)]
        |age| past.prices(age) - past.price().spread(past.simd),
    )
}
