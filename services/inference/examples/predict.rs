//! Evaluates a model on raw rows, for comparison with other evaluators:
//! `predict <model.json|model.onnx> <rows.f32> <predictions.f32>`. Rows are row-major, numbers little-endian.

use std::error::Error;
use std::fs;

use inference::trees::{Ensemble, Rows, Workspace};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, predictions] = &arguments[..] else {
        return Err("usage: predict <model.json|model.onnx> <rows.f32> <predictions.f32>".into());
    };
    let bytes = fs::read(model)?;
    let is_onnx = model.strip_suffix(".onnx").is_some();
    let ensemble = if is_onnx { Ensemble::from_onnx(&bytes)? } else { Ensemble::from_xgboost_json(&bytes)? };

    let rows = fs::read(rows)?;
    let values: Vec<f32> = rows.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let n_rows = values.len() / ensemble.n_features();
    let columns: Vec<f32> = (0..ensemble.n_features())
        .flat_map(|feature| values.iter().skip(feature).step_by(ensemble.n_features()).take(n_rows).copied())
        .collect();

    let mut out = vec![0.0; n_rows];
    ensemble.predict(Rows::new(&columns, n_rows), &mut Workspace::new(), &mut out);
    let bytes: Vec<u8> = out.iter().flat_map(|prediction| prediction.to_le_bytes()).collect();
    fs::write(predictions, bytes)?;
    Ok(())
}
