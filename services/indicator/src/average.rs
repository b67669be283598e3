//! Averages, deviations and slopes of windows of closes.

use pulp::Simd;

use crate::figure::Figure;
use crate::input::Past;
use crate::lane::Lane;
use crate::spread::{Spread, anchored};
use crate::state::state;
use crate::window::{Runs, sum, tail, term};

state! {
    /// Sums of the closes before the bar at hand, and of their squares.
    #[derive(Default)]
    struct CloseSums {
        of_19: L [Plain],
        of_25: L [Plain],
        of_49: L [Plain],
        squares19: L [Plain],
        /// What [`slope20`] needs.
        slope18: L [Plain],
    }
}

impl<L: Lane> CloseSums<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        let close = term(
            #[inline(always)]
            |age| past.close_run(age),
        );
        let square = term(
            #[inline(always)]
            |age| past.close_run(age) * past.close_run(age),
        );
        let (mut sums, mut squares) = (Runs::<S, L>::first(close), Runs::<S, L>::first(square));
        sums.extend(1, 2, close);
        squares.extend(1, 2, square);
        let of_19 = sums.total() + tail::<S, L, 3>(close, 16);
        let squares19 = squares.total() + tail::<S, L, 3>(square, 16);
        sums.extend(2, 3, close);
        let of_25 = sums.total() + tail::<S, L, 1>(close, 24);
        sums.extend(3, 6, close);
        Self {
            of_19,
            of_25,
            of_49: sums.total() + tail::<S, L, 1>(close, 48),
            squares19,
            slope18: slope18(
                #[inline(always)]
                |n| past.close_before(n),
            ),
        }
    }
}

/// As [`CloseSums`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct NearSums<L> {
    pub(crate) of_9: L,
    pub(crate) of_11: L,
}

impl<L: Lane> NearSums<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        let close = term(
            #[inline(always)]
            |age| past.close_run(age),
        );
        let of_8 = Runs::<S, L>::first(close).total();
        Self { of_9: of_8 + tail::<S, L, 1>(close, 8), of_11: of_8 + tail::<S, L, 3>(close, 8) }
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
    /// Population deviation of 20 closes: that of the Bollinger bands (TA-Lib `BBANDS`).
    pub(crate) deviation20: L,
}

impl<L: Lane> Averages<L> {
    #[inline(always)]
    pub(crate) fn new<S: Simd>(before: &CloseSums<L>, near: &NearSums<L>, past: &Past<S, L>, close: L) -> Self
    where
        L: Figure<S>,
    {
        let square = close * close;
        let [sum20, sum50] = [before.of_19 + close, before.of_49 + close];
        let of_20 = Spread::new(
            20.0,
            [sum20, before.squares19 + square],
            close,
            #[inline(always)]
            || above_newest::<S, L, 2, 3>(past, close),
        );
        Self {
            of_10: (near.of_9 + close) * (1.0 / 10.0),
            of_12: (near.of_11 + close) * (1.0 / 12.0),
            of_20: sum20 * (1.0 / 20.0),
            of_26: (before.of_25 + close) * (1.0 / 26.0),
            of_50: sum50 * (1.0 / 50.0),
            deviation20: deviation20(of_20),
        }
    }
}

/// The squares of the 49 closes before the bar at hand.
#[inline(always)]
pub(crate) fn squares49<S: Simd, L: Figure<S>>(past: &Past<S, L>) -> L {
    sum::<S, L, 6, 1>(term(
        #[inline(always)]
        |age| past.close_run(age) * past.close_run(age),
    ))
}

/// Distance of the close from its mean of 50 in sample deviations, from the sums of the 49 closes before it and of their
/// squares.
///
/// # Shape
/// One per bar; the first with bar 50.
///
/// # Units
/// Deviations.
///
/// # Source
/// Specification §2.2, `TrendStrength50`.
#[inline(always)]
pub(crate) fn strength50<S: Simd, L: Figure<S>>(past: &Past<S, L>, [sum, squares]: [L; 2], close: L) -> L {
    trend_strength50(Spread::new(
        50.0,
        [sum + close, squares + close * close],
        close,
        #[inline(always)]
        || above_newest::<S, L, 6, 1>(past, close),
    ))
}

/// For [`Spread::new`]: what closes are above the newest before the bar at hand.
#[inline(always)]
fn above_newest<S: Simd, L: Figure<S>, const RUNS: usize, const TAIL: usize>(
    past: &Past<S, L>,
    close: L,
) -> (L, [L; 2]) {
    let above = term(
        #[inline(always)]
        |age| past.close_run(age) - past.close().spread(past.simd),
    );
    anchored::<S, L, RUNS, TAIL>(above, close - past.close())
}

#[inline(always)]
pub(crate) fn deviation20<L: Lane>(spread: Spread<L>) -> L {
    (spread.squares * (1.0 / 20.0)).sqrt()
}

#[inline(always)]
pub(crate) fn trend_strength50<L: Lane>(spread: Spread<L>) -> L {
    spread.above / (spread.squares * (1.0 / 49.0)).sqrt()
}

/// 1 when one average is above another by more than their rounding, else 0.
#[inline(always)]
pub(crate) fn is_above<L: Lane>(average: L, other: L) -> L {
    /// Of a few roundings of the sum and one of the quotient.
    const NOISE: f64 = 1e-14;
    let one = average.constant(1.0);
    let is_above = L::select((average - other).is_above(other * NOISE), one, one.zero());
    // 1 or 0 only where both averages are finite.
    is_above + (average + other) * 0.0
}

/// Slope of the straight line through the last 20 closes, from [`slope18`] and the two closes at the ends.
///
/// # Shape
/// One per bar; the first with bar 20.
///
/// # Units
/// Price a bar.
///
/// # Source
/// TA-Lib `LINEARREG_SLOPE`: least squares. Closes as far from the middle on either side share their weight, so that equal
/// ones have no slope at all.
#[inline(always)]
pub(crate) fn slope20<L: Lane>(slope18: L, oldest: L, close: L) -> L {
    (slope18 + (close - oldest) * MIDDLE) * (1.0 / SQUARES)
}

/// What the 18 closes between the ends add to the slope; `before` gives the close so many bars before the one at hand.
#[inline(always)]
pub(crate) fn slope18<L: Lane>(before: impl Fn(usize) -> L + Copy) -> L {
    let pair = term(
        #[inline(always)]
        |n| (before(n) - before(19 - n)) * (MIDDLE - n as f64),
    );
    let [a, b] = [pair(1) + pair(2), pair(3) + pair(4)];
    let [c, d] = [pair(5) + pair(6), pair(7) + pair(8)];
    (a + b) + (c + d) + pair(9)
}

/// The middle of the places 0 to 19, and the sum of their squared distances from it.
const MIDDLE: f64 = 9.5;
const SQUARES: f64 = 665.0;

state! {
    /// What the slope of averages needs to know of the 19 averages of 20 closes before the bar at hand, counted from the newest
    /// of them.
    #[derive(Default)]
    struct AverageSums {
        /// The sum of all, each times how far its place is from the middle of 20.
        slope19: L [Plain],
        oldest: L [Plain],
    }
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
    /// `replaced` gives runs of what a close is above the one that it replaces.
    #[inline(always)]
    pub(crate) fn of<S: Simd>(simd: S, replaced: impl Fn(usize) -> L::Run + Copy) -> Self
    where
        L: Figure<S>,
    {
        let slope19 = sum::<S, L, 2, 2>(term(
            #[inline(always)]
            |age| replaced(age) * L::weights(simd, &GAIN_WEIGHTS, age),
        ));
        let gained = sum::<S, L, 2, 2>(replaced);
        Self { slope19: slope19 * (1.0 / 20.0), oldest: gained * (-1.0 / 20.0) }
    }

    /// Slope of the straight line through the last 20 averages of 20 closes, as a share of the last average; `before` gives
    /// the close so many bars before the one at hand.
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
    pub(crate) fn slope(&self, before: impl Fn(usize) -> L, close: L, average: L, inverse_of_average: L) -> L {
        const ABSOLUTE: f64 = 1e-8;
        const RELATIVE: f64 = 1e-5;
        let gained = (close - before(20)) * (1.0 / 20.0);
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
            let newer = if age == 0 { close } else { before(age) };
            above = above - (newer - before(age + 20)) * (1.0 / 20.0);
            bounds = [bounds[0].lower(above), bounds[1].higher(above)];
        }
        let is_flat = (bounds[1] - oldest).higher(oldest - bounds[0]).is_at_most(tolerance);
        L::select(L::both(is_level, is_flat), zero, slope)
    }
}

/// Commodity channel index over 20 bars. `sum19` is that of the typical prices before; `far19` gives the sum of how far these
/// are from a level.
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
pub(crate) fn commodity_channel<L: Lane>(now: L, sum19: L, far19: impl FnOnce(L) -> L) -> L {
    /// A deviation of less, relative to the price, is rounding.
    const NOISE: f64 = 1e-14;
    let mean = (sum19 + now) * (1.0 / 20.0);
    let above = now - mean;
    let deviation = (above.abs() + far19(mean)) * (1.0 / 20.0);
    let noise = now * NOISE;
    let is_flat = L::either(above.abs().is_at_most(noise), deviation.is_at_most(noise));
    L::select(is_flat, now.zero(), above / (deviation * 0.015))
}

/// What [`commodity_channel`] asks for; `price` gives runs of typical prices.
#[inline(always)]
pub(crate) fn far19<S: Simd, L: Figure<S>>(simd: S, price: impl Fn(usize) -> L::Run + Copy, level: L) -> L {
    let level = level.spread(simd);
    sum::<S, L, 2, 3>(term(
        #[inline(always)]
        |age| (price(age) - level).abs(),
    ))
}

/// The sum that [`commodity_channel`] needs.
#[inline(always)]
pub(crate) fn price_sum19<S: Simd, L: Figure<S>>(past: &Past<S, L>) -> L {
    sum::<S, L, 2, 3>(term(
        #[inline(always)]
        |age| past.prices(age),
    ))
}
