use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::window::Sum;
use pulp::Simd;

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

/// What the close is above the lowest point of its bar, counted from the close before.
#[inline(always)]
pub(crate) fn buying_pressure<L: Lane>(low: L, close: L, previous_close: L) -> L {
    close - low.lower(previous_close)
}

/// Sums of the last 7, 14 and 28 bars.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RangeSums<L> {
    pub(crate) buying_pressure: [L; 3],
    pub(crate) true_range: [L; 3],
}

impl<L: Lane> RangeSums<L> {
    #[inline(always)]
    pub(crate) fn new<S: Simd>(past: &Past<S, L>, bar: &Input<L>) -> Self
    where
        L: Figure<S>,
    {
        let zero = bar.close.zero();
        let now = true_range(bar.high, bar.low, past.close());
        let mut before = Sum::new(past.simd, zero);
        let range7 = now
            + before.with::<0, 6>(
                #[inline(always)]
                |age| past.true_ranges(age),
            );
        let range14 = now
            + before.with::<6, 13>(
                #[inline(always)]
                |age| past.true_ranges(age),
            );
        let range28 = now
            + before.with::<13, 27>(
                #[inline(always)]
                |age| past.true_ranges(age),
            );
        let now = buying_pressure(bar.low, bar.close, past.close());
        let mut before = Sum::new(past.simd, zero);
        let pressure7 = now
            + before.with::<0, 6>(
                #[inline(always)]
                |age| past.buying(age),
            );
        let pressure14 = now
            + before.with::<6, 13>(
                #[inline(always)]
                |age| past.buying(age),
            );
        let pressure28 = now
            + before.with::<13, 27>(
                #[inline(always)]
                |age| past.buying(age),
            );
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
        let fast = self.buying_pressure[0].over_or_zero(self.true_range[0]);
        let middle = self.buying_pressure[1].over_or_zero(self.true_range[1]);
        let slow = self.buying_pressure[2].over_or_zero(self.true_range[2]);
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
