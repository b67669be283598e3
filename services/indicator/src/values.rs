use crate::plan::{Column, N_COLUMNS};

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

    /// A number that is not finite is missing: the last guard, for prices near the limits of `f64`.
    pub(crate) fn set(&mut self, column: Column, value: Option<f64>) {
        // Always the same NaN, so that equal rows are equal to the bit.
        self.numbers[column as usize] = value.filter(|value| value.is_finite()).unwrap_or(f64::NAN);
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
