use crate::plan::{Column, N_COLUMNS, NEED_MAX, NEEDS, OF_RANGE};

/// One row: a value per column of [`plan`](crate::plan()), in its order.
#[derive(Debug, Clone, Copy)]
pub struct Values {
    /// Missing is NaN in here and `None` at the methods.
    numbers: [f64; N_COLUMNS],
}

impl Values {
    pub(crate) fn missing() -> Self {
        Self { numbers: [f64::NAN; N_COLUMNS] }
    }

    /// A number that is not finite is missing, and so is one whose column is not warm after `n_bars`, or needs what a bar
    /// of the segment did not have.
    #[inline(always)]
    pub(crate) fn new(mut numbers: [f64; N_COLUMNS], n_bars: u32) -> Self {
        // A bar without high and low makes this total NaN for the rest of the segment, where comparisons would silently
        // pass over the bar. Nothing that needs them is right from then on.
        let lacks_range = numbers[Column::Ad as usize].is_nan();
        for number in &mut numbers {
            // Always the same NaN, so that equal rows are equal to the bit.
            *number = if number.abs() <= f64::MAX { *number } else { f64::NAN };
        }
        if n_bars < NEED_MAX {
            for (number, need) in numbers.iter_mut().zip(NEEDS) {
                *number = if need <= n_bars { *number } else { f64::NAN };
            }
        }
        if lacks_range {
            for (number, is_of_range) in numbers.iter_mut().zip(OF_RANGE) {
                *number = if is_of_range { f64::NAN } else { *number };
            }
        }
        Self { numbers }
    }

    /// `None` when missing.
    ///
    /// # Panics
    /// When the column is not in the plan.
    pub fn get(&self, column: usize) -> Option<f64> {
        let value = self.numbers[column];
        (!value.is_nan()).then_some(value)
    }

    /// All columns as they stand in a [`FeatureBatch`](schemas::FeatureBatch): missing is NaN.
    pub fn as_slice(&self) -> &[f64] {
        &self.numbers
    }
}
