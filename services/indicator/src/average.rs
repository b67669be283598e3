//! Averages, deviations and slopes of windows of closes. Everything is counted from the newest close, so that equal
//! closes give exact averages and no deviation; TA-Lib's running sums leave noise there.

use pulp::Simd;

use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::window::{Sum, sum};

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
    /// `sum200` is that of the closes, the one at hand included.
    #[inline(always)]
    pub(crate) fn new<S: Simd>(past: &Past<S, L>, close: L, sum200: L) -> Self
    where
        L: Figure<S>,
    {
        let zero = close.zero();
        let mut sum = Sum::new(past.simd, zero);
        let sum10 = sum.with::<0, 9>(
            #[inline(always)]
            |age| above(past, close, age),
        );
        let sum12 = sum.with::<9, 11>(
            #[inline(always)]
            |age| above(past, close, age),
        );
        let sum20 = sum.with::<11, 19>(
            #[inline(always)]
            |age| above(past, close, age),
        );
        let sum26 = sum.with::<19, 25>(
            #[inline(always)]
            |age| above(past, close, age),
        );
        let sum50 = sum.with::<25, 49>(
            #[inline(always)]
            |age| above(past, close, age),
        );
        let mut squares = Sum::new(past.simd, zero);
        let squares20 = squares.with::<0, 19>(
            #[inline(always)]
            |age| square(above(past, close, age)),
        );
        let squares50 = squares.with::<19, 49>(
            #[inline(always)]
            |age| square(above(past, close, age)),
        );
        let mean20 = sum20 * (1.0 / 20.0);
        let mean50 = sum50 * (1.0 / 50.0);
        let variance20 = (squares20 * (1.0 / 20.0) - mean20 * mean20).higher(zero);
        let variance50 = ((squares50 - sum50 * mean50) * (1.0 / 49.0)).higher(zero);
        Self {
            of_10: close + sum10 * (1.0 / 10.0),
            of_12: close + sum12 * (1.0 / 12.0),
            of_20: close + mean20,
            of_26: close + sum26 * (1.0 / 26.0),
            of_50: close + mean50,
            of_200: sum200 * (1.0 / 200.0),
            deviation20: variance20.sqrt(),
            trend_strength50: (zero - mean50) / variance50.sqrt(),
        }
    }
}

/// What closes are above the one at hand.
#[inline(always)]
fn above<S: Simd, L: Figure<S>>(past: &Past<S, L>, close: L, age: usize) -> L::Run {
    past.close_run(age) - close.spread(past.simd)
}

#[inline(always)]
fn square<L: Lane>(number: L) -> L {
    number * number
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
pub(crate) fn slope20<S: Simd, L: Figure<S>>(past: &Past<S, L>, close: L) -> L {
    sum::<S, L, 19>(
        past.simd,
        close.zero(),
        #[inline(always)]
        |age| above(past, close, age) * close.ramp(past.simd, 18.0 - age as f64 - MIDDLE),
    ) * (1.0 / SQUARES)
}

/// The middle of the places 0 to 19, and the sum of their squared distances from it.
const MIDDLE: f64 = 9.5;
const SQUARES: f64 = 665.0;

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
pub(crate) fn average_slope<S: Simd, L: Figure<S>>(past: &Past<S, L>, close: L, average: L) -> L {
    const ABSOLUTE: f64 = 1e-8;
    const RELATIVE: f64 = 1e-5;
    let closes: &[L; 38] = past.closes.last_chunk().expect("it is longer");
    let zero = close.zero();
    // Backwards from the newest average: what each is above it.
    let mut above = zero;
    let mut slope = zero;
    let mut oldest = zero;
    let mut bounds = [zero; 2];
    for i in (0..19).rev() {
        let newer = if i == 18 { close } else { closes[i + 20] };
        above = above - (newer - closes[i]) * (1.0 / 20.0);
        slope = slope + above * (i as f64 - MIDDLE);
        bounds = [bounds[0].lower(above), bounds[1].higher(above)];
        oldest = above;
    }
    let spread = (bounds[1] - oldest).higher(oldest - bounds[0]);
    let is_flat = spread.is_at_most((average + oldest).abs() * RELATIVE + ABSOLUTE);
    L::select(is_flat, zero, slope * (1.0 / SQUARES) / average)
}

/// Commodity channel index over 20 bars.
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
pub(crate) fn commodity_channel<S: Simd, L: Figure<S>>(past: &Past<S, L>, bar: &Input<L>) -> L {
    /// A deviation of less, relative to the price, is rounding.
    const NOISE: f64 = 1e-14;
    let simd = past.simd;
    let now = bar.high + bar.low + bar.close;
    let zero = now.zero();
    let sum19 = sum::<S, L, 19>(
        simd,
        zero,
        #[inline(always)]
        |age| past.prices(age) - now.spread(simd),
    );
    let mean = sum19 * (1.0 / 20.0);
    let far19 = sum::<S, L, 19>(
        simd,
        zero,
        #[inline(always)]
        |age| (past.prices(age) - now.spread(simd) - mean.spread(simd)).abs(),
    );
    let deviation = (mean.abs() + far19) * (1.0 / 20.0);
    let noise = now * NOISE;
    let is_flat = L::either(mean.abs().is_at_most(noise), deviation.is_at_most(noise));
    L::select(is_flat, zero, (zero - mean) / (deviation * 0.015))
}
