use crate::lane::Lane;
use crate::state::{State, Unit};

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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wilder<L, const PERIOD: u32> {
    /// The sum of the values until they are `PERIOD`, the mean from then on.
    pub(crate) level: L,
}

impl<L: Lane, const PERIOD: u32> Wilder<L, PERIOD> {
    /// Takes in a value after `n_before` others.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, value: L) -> Self {
        let period = f64::from(PERIOD);
        let share = 1.0 / period;
        let level = if n_before >= PERIOD {
            (self.level * (period - 1.0) + value) * share
        } else if n_before + 1 == PERIOD {
            (self.level + value) * share
        } else {
            self.level + value
        };
        Self { level }
    }
}

impl<L: Lane, const PERIOD: u32> State<L> for Wilder<L, PERIOD> {
    #[inline(always)]
    fn filled(number: L) -> Self {
        Self { level: number }
    }

    #[inline(always)]
    fn visit(&mut self, unit: Unit, visitor: &mut impl FnMut(&mut L, Unit)) {
        visitor(&mut self.level, unit);
    }

    #[inline(always)]
    fn read(&self, reader: &mut impl FnMut(&L)) {
        reader(&self.level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_as_the_mean_and_then_forgets_slowly() {
        let mut mean = Wilder::<f64, 4>::filled(0.0);
        let levels = (0..).zip([1.0, 2.0, 3.0, 2.0, 6.0, 3.0]).map(|(n_before, value)| {
            mean = mean.next(n_before, value);
            mean.level
        });
        assert_eq!(levels.skip(3).collect::<Vec<_>>(), [2.0, 3.0, 3.0]);
    }
}
