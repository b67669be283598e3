#![no_main]

use inference::trees::{Ensemble, Rows, Workspace};
use inference::{Explainer, QuantileTables};
use libfuzzer_sys::fuzz_target;

/// More rows than a block has.
const N_ROWS: usize = 70;

fn check(ensemble: &Ensemble) {
    let n = ensemble.n_features();
    let value = |row: usize, feature: usize| match (row + feature) % 5 {
        0 => f32::NAN,
        1 => f32::INFINITY,
        rest => (row as f32 - 30.0) * rest as f32 / 16.0,
    };
    let columns: Vec<f32> = (0..n).flat_map(|feature| (0..N_ROWS).map(move |row| value(row, feature))).collect();
    let (mut workspace, mut batch) = (Workspace::new(), vec![0.0; N_ROWS]);
    ensemble.predict(Rows::new(&columns, N_ROWS), &mut workspace, &mut batch);
    for row in [0, 1, N_ROWS - 1] {
        let values: Vec<f32> = (0..n).map(|feature| value(row, feature)).collect();
        let mut alone = [0.0];
        ensemble.predict(Rows::new(&values, 1), &mut workspace, &mut alone);
        assert_eq!(alone[0].to_bits(), batch[row].to_bits());
        assert!(alone[0].is_finite());
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ensemble) = Ensemble::from_onnx(bytes) {
        check(&ensemble);
    }
    if let Ok(ensemble) = Ensemble::from_xgboost_json(bytes) {
        check(&ensemble);
    }
    if let Ok(explainer) = Explainer::from_xgboost_json(bytes) {
        explainer.explain(&vec![0.25; explainer.n_features()]);
    }
    if let Ok(tables) = QuantileTables::from_json(bytes)
        && let Some(table) = tables.table("rank_ret_1d")
    {
        for value in [f64::NEG_INFINITY, -1.0, 0.0, 0.01, f64::MAX, f64::NAN] {
            let rank = table.rank(value);
            assert!(rank.is_nan() || (0.0..=1.0).contains(&rank));
        }
    }
});
