//! Averages, deviations and slopes of windows of closes. Everything is counted from the newest close, so that equal
//! closes give exact averages and no deviation; TA-Lib's running sums leave noise there.

use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::window::{aged, last, numbers, sum};

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
    #[inline(always)]
    pub(crate) fn new(past: &Past<L>, close: L) -> Self {
        let zero = close.zero();
        let closes = past.closes;
        let sum10 = deviations::<L, 9, 0>(closes, close);
        let sum12 = sum10 + deviations::<L, 2, 9>(closes, close);
        let sum20 = sum12 + deviations::<L, 8, 11>(closes, close);
        let sum26 = sum20 + deviations::<L, 6, 19>(closes, close);
        let sum50 = sum26 + deviations::<L, 24, 25>(closes, close);
        let sum200 = sum50 + deviations::<L, 150, 49>(closes, close);
        let newer: &[L; 19] = last(closes);
        let older: &[L; 30] = aged::<_, _, 19, _>(closes);
        let square = |number: L| (number - close) * (number - close);
        let squares20 = sum::<L, 19>(zero, |i| square(newer[i]));
        let squares50 = squares20 + sum::<L, 30>(zero, |i| square(older[i]));
        let mean20 = sum20 / 20.0;
        let mean50 = sum50 / 50.0;
        let variance20 = (squares20 / 20.0 - mean20 * mean20).higher(zero);
        let variance50 = ((squares50 - sum50 * mean50) / 49.0).higher(zero);
        Self {
            of_10: close + sum10 / 10.0,
            of_12: close + sum12 / 12.0,
            of_20: close + mean20,
            of_26: close + sum26 / 26.0,
            of_50: close + mean50,
            of_200: close + sum200 / 200.0,
            deviation20: variance20.sqrt(),
            trend_strength50: (zero - mean50) / variance50.sqrt(),
        }
    }
}

/// The sum of how far `N` numbers, which `AGE` newer ones follow, are above a number.
#[inline(always)]
fn deviations<L: Lane, const N: usize, const AGE: usize>(window: &[L; 252], from: L) -> L {
    let numbers: &[L; N] = aged::<_, _, AGE, _>(window);
    sum::<L, N>(from.zero(), |i| numbers[i] - from)
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
pub(crate) fn slope20<L: Lane>(past: &Past<L>, close: L) -> L {
    let closes: &[L; 19] = last(past.closes);
    sum::<L, 19>(close.zero(), |i| (closes[i] - close) * (i as f64 - MIDDLE)) / SQUARES
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
pub(crate) fn average_slope<L: Lane>(past: &Past<L>, close: L, average: L) -> L {
    const ABSOLUTE: f64 = 1e-8;
    const RELATIVE: f64 = 1e-5;
    let closes: &[L; 38] = last(past.closes);
    let zero = close.zero();
    // Backwards from the newest average: what each is above it.
    let mut above = zero;
    let mut slope = zero;
    let mut oldest = zero;
    let mut bounds = [zero; 2];
    for i in (0..19).rev() {
        let newer = if i == 18 { close } else { closes[i + 20] };
        above = above - (newer - closes[i]) / 20.0;
        slope = slope + above * (i as f64 - MIDDLE);
        bounds = [bounds[0].lower(above), bounds[1].higher(above)];
        oldest = above;
    }
    let spread = (bounds[1] - oldest).higher(oldest - bounds[0]);
    let is_flat = spread.is_at_most((average + oldest).abs() * RELATIVE + ABSOLUTE);
    L::select(is_flat, zero, slope / SQUARES / average)
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
pub(crate) fn commodity_channel<L: Lane>(past: &Past<L>, bar: &Input<L>) -> L {
    /// A deviation of less, relative to the price, is rounding.
    const NOISE: f64 = 1e-14;
    let closes: &[L; 19] = last(past.closes);
    let highs: &[L; 19] = last(past.highs);
    let lows: &[L; 19] = last(past.lows);
    let now = bar.high + bar.low + bar.close;
    let zero = now.zero();
    let above = numbers::<L, 19>(zero, |i| (highs[i] + lows[i] + closes[i]) - now);
    let mean = sum::<L, 19>(zero, |i| above[i]) / 20.0;
    let deviation = (mean.abs() + sum::<L, 19>(zero, |i| (above[i] - mean).abs())) / 20.0;
    let noise = now * NOISE;
    let is_flat = L::either(mean.abs().is_at_most(noise), deviation.is_at_most(noise));
    L::select(is_flat, zero, (zero - mean) / (deviation * 0.015))
}
