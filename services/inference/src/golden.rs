//! Golden rows: what a model must say of them before it may predict anything.

use crate::backend::Backend;
use crate::manifest::{ModelError, Target};
use crate::trees::Rows;

/// A batch as large as the line's largest.
const BATCH_ROWS: usize = schemas::ROWS_MAX;
/// More than any model needs.
const ROWS_MAX: usize = 100_000;
/// How far an alpha and a probability may be from what training wrote.
const ALPHA_DIFFERENCE_MAX: f64 = 2e-8;
const PROBABILITY_DIFFERENCE_MAX: f64 = 3e-7;

/// The columns of a `golden.parquet`: the inputs in order, then `prediction`. NaN is missing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GoldenRows {
    pub columns: Vec<(String, Vec<f32>)>,
}

/// Reads a `golden.parquet`; says what is wrong with one that is none. This crate reads no Parquet itself.
pub type ReadGolden = fn(&[u8]) -> Result<GoldenRows, String>;

impl GoldenRows {
    /// Runs a model on the rows, one by one and in a full batch.
    ///
    /// # Errors
    /// The first row that is not what it must be, with both numbers.
    pub(crate) fn check(
        &self,
        model: &str,
        target: Target,
        features: &[String],
        backend: &mut dyn Backend,
    ) -> Result<(), ModelError> {
        let refused = |reason: String| ModelError::Golden { model: model.to_owned(), reason };
        let Some(((last, expected), inputs)) = self.columns.split_last() else {
            return Err(refused("it has no columns".to_owned()));
        };
        if last != "prediction" {
            return Err(refused(format!("its last column is `{last}`, not `prediction`")));
        }
        if inputs.len() != features.len() {
            return Err(refused(format!("it has {} inputs where the manifest names {}", inputs.len(), features.len())));
        }
        if let Some((at, (found, _))) = inputs.iter().enumerate().find(|(at, (name, _))| *name != features[*at]) {
            return Err(refused(format!("input {at} is `{found}` where the manifest names `{}`", features[at])));
        }
        let n_rows = expected.len();
        if n_rows == 0 || n_rows > ROWS_MAX || inputs.iter().any(|(_, values)| values.len() != n_rows) {
            return Err(refused(format!("it has {n_rows} rows, or columns of another length")));
        }

        let failed = |source| ModelError::Ort { model: model.to_owned(), source };
        let difference = match target {
            Target::Alpha5d | Target::Alpha10d => ALPHA_DIFFERENCE_MAX,
            Target::WinProb10d => PROBABILITY_DIFFERENCE_MAX,
        };
        let mut alone = vec![0.0; n_rows];
        for (row, out) in alone.iter_mut().enumerate() {
            let values: Vec<f32> = inputs.iter().map(|(_, values)| values[row]).collect();
            backend.predict(Rows::new(&values, 1), std::slice::from_mut(out)).map_err(failed)?;
            let (found, expected) = (*out, expected[row]);
            let is_close = (f64::from(found) - f64::from(expected)).abs() <= difference;
            if !is_close {
                return Err(ModelError::GoldenRow { model: model.to_owned(), row, found, expected, difference });
            }
        }
        let place = |at: usize| at % n_rows;
        let columns: Vec<f32> =
            inputs.iter().flat_map(|(_, values)| (0..BATCH_ROWS).map(|at| values[place(at)])).collect();
        let mut batch = vec![0.0; BATCH_ROWS];
        backend.predict(Rows::new(&columns, BATCH_ROWS), &mut batch).map_err(failed)?;
        for (at, &in_batch) in batch.iter().enumerate() {
            let (row, alone) = (place(at), alone[place(at)]);
            // ONNX Runtime may add in another order in a batch; our own trees may not.
            let is_same = match backend.name() {
                "native" => alone.to_bits() == in_batch.to_bits(),
                _ => (f64::from(alone) - f64::from(in_batch)).abs() <= difference,
            };
            if !is_same {
                return Err(ModelError::BatchDependent { model: model.to_owned(), row, alone, in_batch });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Native;
    use crate::trees::{Ensemble, STUMP};

    fn check(columns: &[(&str, &[f32])], expected: &str) {
        let columns = columns.iter().map(|(name, values)| ((*name).to_owned(), values.to_vec())).collect();
        let mut backend = Native::new(Ensemble::from_xgboost_json(STUMP.as_bytes()).unwrap());
        let checked = GoldenRows { columns }
            .check("m/1", Target::Alpha5d, &["x".to_owned()], &mut backend)
            .map_err(|e| e.to_string());
        match checked {
            Ok(()) => assert_eq!(expected, ""),
            Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{error}"),
        }
    }

    #[test]
    fn a_model_must_say_of_its_golden_rows_what_they_say() {
        let x = ("x", &[0.0, 1.0, f32::NAN][..]);
        check(&[x, ("prediction", &[-0.75, 2.25, 2.25])], "");
        check(&[x, ("prediction", &[-0.75, 2.25, 2.250_001])], "gives 2.25 for golden row 2, which is 2.250001");
        check(&[x, ("prediction", &[-0.75, f32::NAN, 2.25])], "golden row 1, which is NaN");
        check(&[x, ("prediction", &[-0.75])], "columns of another length");
        check(&[("x", &[]), ("prediction", &[])], "it has 0 rows");
        check(&[x], "its last column is `x`");
        check(&[], "no columns");
        check(&[x, x, ("prediction", &[0.0; 3])], "it has 2 inputs where the manifest names 1");
        check(&[("y", &[0.0]), ("prediction", &[0.0])], "input 0 is `y` where the manifest names `x`");
    }
}
