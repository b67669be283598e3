use schemas::Bar;

use crate::wilder::Wilder;

/// Average true range over 14 bars.
///
/// # Shape
/// One per bar; the first with bar 15, because the first bar has no true range.
///
/// # Units
/// Price.
///
/// # Source
/// TA-Lib `ATR`: Wilder's mean of [`true_range`].
pub(crate) type Atr = Wilder<14>;

/// What a bar moved at most, counted from the close before it.
///
/// # Shape
/// One per bar, from the second.
///
/// # Units
/// Price.
///
/// # Source
/// TA-Lib `TRANGE`: `max(H, C₋₁) − min(L, C₋₁)`.
pub(crate) fn true_range(bar: &Bar, previous_close: f64) -> f64 {
    let top = if previous_close > bar.high { previous_close } else { bar.high };
    let bottom = if previous_close < bar.low { previous_close } else { bar.low };
    top - bottom
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bar;

    #[test]
    fn a_gap_counts_to_the_close_before() {
        let bar = Bar { open: 10.0, high: 12.0, low: 9.0, close: 11.0, ..bar(0, 11.0) };
        for (previous_close, expected) in [(10.0, 3.0), (14.0, 5.0), (5.0, 7.0), (12.0, 3.0), (9.0, 3.0)] {
            assert_eq!(true_range(&bar, previous_close).to_bits(), f64::to_bits(expected), "{previous_close}");
        }
    }
}
