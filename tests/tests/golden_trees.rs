//! The native tree evaluator against XGBoost's own output (`golden/README.md`, `gbdt_toy_*`).

use std::fs::{self, File};
use std::path::Path;

use inference::trees::{Ensemble, Rows, Workspace};
use polars::prelude::*;
use tests::folders::golden_dir;

const ALPHA_TOLERANCE: f64 = 2e-8;
const PROBABILITY_TOLERANCE: f64 = 3e-7;

#[test]
fn toy_regression() {
    let Some(dir) = golden_dir() else { return };
    check(&dir, "gbdt_toy_reg.json", "pred_reg", ALPHA_TOLERANCE);
}

#[test]
fn toy_classification() {
    let Some(dir) = golden_dir() else { return };
    check(&dir, "gbdt_toy_clf.json", "pred_prob", PROBABILITY_TOLERANCE);
}

fn check(dir: &Path, model: &str, prediction: &str, tolerance: f64) {
    let ensemble = Ensemble::from_xgboost_json(&fs::read(dir.join(model)).expect("the model exists"));
    let ensemble = ensemble.expect("the model can be evaluated");
    let file = File::open(dir.join("gbdt_toy_cases.parquet")).expect("the cases exist");
    let cases = ParquetReader::new(file).finish().expect("the cases are Parquet");
    let expected: Vec<f64> = numbers(&cases, prediction);
    let n_rows = expected.len();
    let columns = ensemble.feature_names().iter().flat_map(|name| numbers(&cases, &format!("x_{name}")));
    #[expect(clippy::cast_possible_truncation, reason = "the file holds 32-bit floats")]
    let columns: Vec<f32> = columns.map(|value| value as f32).collect();

    let mut all = vec![0.0; n_rows];
    ensemble.predict(Rows::new(&columns, n_rows), &mut Workspace::new(), &mut all);
    let mut difference_max = 0.0_f64;
    for (row, (&found, &expected)) in all.iter().zip(&expected).enumerate() {
        let difference = (f64::from(found) - expected).abs();
        assert!(difference <= tolerance, "{model} row {row}: {found} instead of {expected}");
        difference_max = difference_max.max(difference);
    }
    println!("{model}: {n_rows} rows, largest difference {difference_max:.1e}");

    for (row, &in_batch) in all.iter().enumerate() {
        let values: Vec<f32> = columns.iter().skip(row).step_by(n_rows).copied().collect();
        let mut alone = [0.0];
        ensemble.predict(Rows::new(&values, 1), &mut Workspace::new(), &mut alone);
        assert_eq!(alone[0].to_bits(), in_batch.to_bits(), "{model} row {row}");
    }
}

/// Missing is NaN.
fn numbers(cases: &DataFrame, column: &str) -> Vec<f64> {
    let column = cases.column(column).expect("the column exists").cast(&DataType::Float64);
    let column = column.expect("the column is numeric");
    column.f64().expect("it was cast to it").iter().map(|value| value.unwrap_or(f64::NAN)).collect()
}
