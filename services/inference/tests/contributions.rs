//! Explanations are XGBoost's own `pred_contribs`; `golden/make_contributions.py` says where the numbers come from.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use inference::Explainer;
use inference::trees::{Ensemble, Link, Rows, Workspace};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    models: BTreeMap<String, Explained>,
}

#[derive(Deserialize)]
struct Explained {
    rows: Vec<Vec<Option<f32>>>,
    /// The bias comes last.
    contributions: Vec<Vec<f64>>,
}

#[test]
fn contributions_are_those_of_xgboost_and_add_up_to_the_prediction() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = fs::read(here.join("tests/golden/contributions.json")).unwrap();
    let golden: Golden = serde_json::from_slice(&golden).unwrap();
    assert_eq!(golden.models.len(), 3);
    for (name, Explained { rows, contributions }) in golden.models {
        let file = fs::read(here.join("../../models").join(&name).join("1/model.json")).unwrap();
        let explainer = Explainer::from_xgboost_json(&file).unwrap();
        let ensemble = Ensemble::from_xgboost_json(&file).unwrap();
        for (row, expected) in rows.iter().zip(&contributions) {
            let row: Vec<f32> = row.iter().map(|value| value.unwrap_or(f32::NAN)).collect();
            let found = explainer.explain(&row);
            let all = found.contributions.iter().chain([&found.bias]);
            // XGBoost adds hundreds of trees in 32 bits.
            let scale = expected.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
            for (at, (found, expected)) in all.zip(expected).enumerate() {
                assert!((found - expected).abs() <= 2e-6 * scale, "{name}, {at}: {found} and {expected}");
            }
            let mut prediction = [0.0];
            ensemble.predict(Rows::new(&row, 1), &mut Workspace::new(), &mut prediction);
            let sum = match ensemble.link() {
                Link::Identity => found.sum(),
                Link::Logistic => 1.0 / (1.0 + (-found.sum()).exp()),
            };
            assert!((sum - f64::from(prediction[0])).abs() <= 1e-7, "{name}: {sum} and {}", prediction[0]);
        }
    }
}
