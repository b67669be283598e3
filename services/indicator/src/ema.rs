use crate::lane::Lane;
use crate::state::{State, Unit};

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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ema<L, const PERIOD: u32> {
    /// The sum of the values until they are `PERIOD`, the average from then on.
    pub(crate) level: L,
}

impl<L: Lane, const PERIOD: u32> Ema<L, PERIOD> {
    const ALPHA: f64 = 2.0 / (PERIOD as f64 + 1.0);

    /// Takes in a value after `n_before` others.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, value: L) -> Self {
        let level = if n_before >= PERIOD {
            self.level + (value - self.level) * Self::ALPHA
        } else if n_before + 1 == PERIOD {
            (self.level + value) / f64::from(PERIOD)
        } else {
            self.level + value
        };
        Self { level }
    }
}

impl<L: Lane, const PERIOD: u32> State<L> for Ema<L, PERIOD> {
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
    fn starts_as_the_mean_and_then_follows() {
        let mut ema = Ema::<f64, 3>::filled(0.0);
        let levels = (0..).zip([1.0, 2.0, 6.0, 5.0, 4.0]).map(|(n_before, value)| {
            ema = ema.next(n_before, value);
            ema.level
        });
        assert_eq!(levels.skip(2).collect::<Vec<_>>(), [3.0, 4.0, 4.0]);
    }
}
