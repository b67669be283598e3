use serde::{Deserialize, Serialize};

/// Wilder's smoothed mean.
///
/// # Shape
/// One per value; the first with value number `PERIOD`.
///
/// # Units
/// Those of the values.
///
/// # Source
/// J. W. Wilder, "New Concepts in Technical Trading Systems" (1978); seeding as in TA-Lib: the mean of the first
/// `PERIOD` values, then `((PERIOD − 1) · m + x) / PERIOD`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Wilder<const PERIOD: u32> {
    /// The sum of the values until they are `PERIOD`, the mean from then on.
    level: f64,
}

impl<const PERIOD: u32> Wilder<PERIOD> {
    /// Takes in a value after `n_before` others.
    #[must_use]
    pub(crate) fn next(self, n_before: u32, value: f64) -> Self {
        let period = f64::from(PERIOD);
        let level = if n_before >= PERIOD {
            (self.level * (period - 1.0) + value) / period
        } else if n_before + 1 == PERIOD {
            (self.level + value) / period
        } else {
            self.level + value
        };
        Self { level }
    }

    /// The mean after `n_values`.
    pub(crate) fn value(self, n_values: u32) -> Option<f64> {
        (n_values >= PERIOD).then_some(self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_as_the_mean_and_then_forgets_slowly() {
        let mut mean = Wilder::<4>::default();
        let shown = (0..).zip([1.0, 2.0, 3.0, 2.0, 6.0, 3.0]).map(|(n_before, value)| {
            mean = mean.next(n_before, value);
            mean.value(n_before + 1)
        });
        assert_eq!(shown.collect::<Vec<_>>(), [None, None, None, Some(2.0), Some(3.0), Some(3.0)]);
    }
}
