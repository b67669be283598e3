use crate::ema::Ema;
use crate::lane::Lane;
use crate::state::{State, Unit};

/// Change of a triple exponential average from bar to bar.
///
/// # Shape
/// One per bar; the first with bar 3 · `PERIOD` − 1.
///
/// # Units
/// Percent.
///
/// # Source
/// TA-Lib `TRIX`: each average is seeded with the mean of the first `PERIOD` values of the one before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trix<L, const PERIOD: u32> {
    averages: [Ema<L, PERIOD>; 3],
}

impl<L: Lane, const PERIOD: u32> Trix<L, PERIOD> {
    /// Takes in a close after `n_before` others.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, close: L) -> Self {
        let [mut first, mut second, mut third] = self.averages;
        first = first.next(n_before, close);
        if let Some(n_before) = n_before.checked_sub(PERIOD - 1) {
            second = second.next(n_before, first.level);
            if let Some(n_before) = n_before.checked_sub(PERIOD - 1) {
                third = third.next(n_before, second.level);
            }
        }
        Self { averages: [first, second, third] }
    }

    /// The average of which the change is shown.
    #[inline(always)]
    pub(crate) fn level(&self) -> L {
        self.averages[2].level
    }
}

impl<L: Lane, const PERIOD: u32> State<L> for Trix<L, PERIOD> {
    #[inline(always)]
    fn filled(number: L) -> Self {
        Self { averages: [Ema::filled(number); 3] }
    }

    #[inline(always)]
    fn visit(&mut self, unit: Unit, visitor: &mut impl FnMut(&mut L, Unit)) {
        let [first, second, third] = &mut self.averages;
        first.visit(unit, visitor);
        second.visit(unit, visitor);
        third.visit(unit, visitor);
    }

    #[inline(always)]
    fn read(&self, reader: &mut impl FnMut(&L)) {
        let [first, second, third] = &self.averages;
        first.read(reader);
        second.read(reader);
        third.read(reader);
    }
}
