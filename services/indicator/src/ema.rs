use serde::{Deserialize, Serialize};

/// Exponential moving average.
///
/// # Shape
/// One per value; the first with value number `PERIOD`.
///
/// # Units
/// Those of the values.
///
/// # Source
/// TA-Lib `EMA`, classic: seeded with the mean of the first `PERIOD` values, then `e += 2 / (PERIOD + 1) · (x − e)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ema<const PERIOD: u32> {
    /// The sum of the values until they are `PERIOD`, the average from then on.
    level: f64,
}

impl<const PERIOD: u32> Ema<PERIOD> {
    const ALPHA: f64 = 2.0 / (PERIOD as f64 + 1.0);

    /// Takes in a value after `n_before` others.
    #[must_use]
    pub(crate) fn next(self, n_before: u32, value: f64) -> Self {
        let level = if n_before >= PERIOD {
            self.level + Self::ALPHA * (value - self.level)
        } else if n_before + 1 == PERIOD {
            (self.level + value) / f64::from(PERIOD)
        } else {
            self.level + value
        };
        Self { level }
    }

    /// The average after `n_values`.
    pub(crate) fn value(self, n_values: u32) -> Option<f64> {
        (n_values >= PERIOD).then_some(self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_as_the_mean_and_then_follows() {
        let mut ema = Ema::<3>::default();
        let shown = (0..).zip([1.0, 2.0, 6.0, 5.0, 4.0]).map(|(n_before, value)| {
            ema = ema.next(n_before, value);
            ema.value(n_before + 1)
        });
        assert_eq!(shown.collect::<Vec<_>>(), [None, None, Some(3.0), Some(4.0), Some(4.0)]);
    }
}
