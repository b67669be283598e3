use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::window::{last, sum};

/// What a bar moved at most, counted from the close before it.
///
/// # Shape
/// One per bar, from the second.
///
/// # Units
/// Price.
///
/// # Source
/// TA-Lib `TRANGE`: `max(H, C₋₁) − min(L, C₋₁)`. Its mean after Wilder is `ATR`, that as a percentage of the close `NATR`.
#[inline(always)]
pub(crate) fn true_range<L: Lane>(high: L, low: L, previous_close: L) -> L {
    high.higher(previous_close) - low.lower(previous_close)
}

/// Sums of the last 7, 14 and 28 bars.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RangeSums<L> {
    /// What the close is above the lowest point of its bar, counted from the close before.
    pub(crate) buying_pressure: [L; 3],
    pub(crate) true_range: [L; 3],
}

impl<L: Lane> RangeSums<L> {
    #[inline(always)]
    pub(crate) fn new(past: &Past<L>, bar: &Input<L>) -> Self {
        let previous: &[L; 28] = last(past.closes);
        let closes: &[L; 27] = last(past.closes);
        let highs: &[L; 27] = last(past.highs);
        let lows: &[L; 27] = last(past.lows);
        let range = |i: usize| true_range(highs[i], lows[i], previous[i]);
        let pressure = |i: usize| closes[i] - lows[i].lower(previous[i]);
        let zero = bar.close.zero();
        let now = true_range(bar.high, bar.low, past.close());
        let range7 = now + sum::<L, 6>(zero, |i| range(21 + i));
        let range14 = range7 + sum::<L, 7>(zero, |i| range(14 + i));
        let range28 = range14 + sum::<L, 14>(zero, range);
        let now = bar.close - bar.low.lower(past.close());
        let pressure7 = now + sum::<L, 6>(zero, |i| pressure(21 + i));
        let pressure14 = pressure7 + sum::<L, 7>(zero, |i| pressure(14 + i));
        let pressure28 = pressure14 + sum::<L, 14>(zero, pressure);
        Self { buying_pressure: [pressure7, pressure14, pressure28], true_range: [range7, range14, range28] }
    }

    /// Ultimate oscillator 7, 14, 28.
    ///
    /// # Shape
    /// One per bar; the first with bar 29.
    ///
    /// # Units
    /// Points, 0 to 100.
    ///
    /// # Source
    /// TA-Lib `ULTOSC`; a window without any range counts 0.
    #[inline(always)]
    pub(crate) fn ultimate_oscillator(&self) -> L {
        let [fast, middle, slow] = [0, 1, 2].map(|i| self.buying_pressure[i].over_or_zero(self.true_range[i]));
        (fast * 4.0 + middle * 2.0 + slow) * (100.0 / 7.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_to_the_close_before() {
        for (previous_close, expected) in [(10.0, 3.0), (14.0, 5.0), (5.0, 7.0), (12.0, 3.0), (9.0, 3.0)] {
            assert_eq!(true_range(12.0, 9.0, previous_close).to_bits(), f64::to_bits(expected), "{previous_close}");
        }
    }
}
