use crate::figure::Figure;
use crate::input::Past;
use crate::lane::{Lane, inverses_or_zero};
use crate::state::state;
use crate::window::{sum, tail, term};
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

state! {
    /// Sums of the 27 bars before the one at hand.
    #[derive(Default)]
    struct RangeSums {
        buying_pressure: L [Plain],
        true_range: L [Plain],
    }
}

impl<L: Lane> RangeSums<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        Self {
            buying_pressure: sum::<S, L, 3, 3>(term(
                #[inline(always)]
                |age| past.buying(age),
            )),
            true_range: sum::<S, L, 3, 3>(term(
                #[inline(always)]
                |age| past.true_ranges(age),
            )),
        }
    }
}

/// Sums of the 6 and 13 bars before the one at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NearRanges<L> {
    pub(crate) buying_pressure: [L; 2],
    pub(crate) true_range: [L; 2],
}

impl<L: Lane> NearRanges<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        let buying = term(
            #[inline(always)]
            |age| past.buying(age),
        );
        let ranges = term(
            #[inline(always)]
            |age| past.true_ranges(age),
        );
        Self {
            buying_pressure: [tail::<S, L, 6>(buying, 0), sum::<S, L, 1, 5>(buying)],
            true_range: [tail::<S, L, 6>(ranges, 0), sum::<S, L, 1, 5>(ranges)],
        }
    }

    /// Of the last 14 bars.
    #[inline(always)]
    pub(crate) fn mean_range14(&self, true_range: L) -> L {
        (self.true_range[1] + true_range) * (1.0 / 14.0)
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
    pub(crate) fn ultimate_oscillator(&self, before: &RangeSums<L>, buying_pressure: L, true_range: L) -> L {
        let [pressure7, pressure14] = self.buying_pressure;
        let [range7, range14] = self.true_range;
        let [inverse7, inverse14] = inverses_or_zero([range7 + true_range, range14 + true_range]);
        let fast = (pressure7 + buying_pressure) * inverse7;
        let middle = (pressure14 + buying_pressure) * inverse14;
        let slow = (before.buying_pressure + buying_pressure).over_or_zero(before.true_range + true_range);
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
