//! ONNX Runtime behind the same trait as our own trees: one session, one thread, no spinning.

use std::path::Path;
use std::sync::Mutex;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{BuilderResult, GraphOptimizationLevel, SessionBuilder};
use ort::value::Tensor;

use crate::backend::{Backend, BackendError};
use crate::trees::Rows;

/// The process has one library, whoever asks first.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// One model in ONNX Runtime.
#[derive(Debug)]
pub(crate) struct OnnxRuntime {
    session: Session,
    n_features: usize,
    /// Row-major, as ONNX has it.
    values: Vec<f32>,
}

impl OnnxRuntime {
    /// # Errors
    /// When the library cannot be loaded or is too old, or it refuses the model.
    pub(crate) fn new(library: &Path, model: &[u8], n_features: usize) -> Result<Self, BackendError> {
        let builder = {
            let mut environment = ENVIRONMENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let environment = match &mut *environment {
                Some(environment) => environment,
                none => none.insert(load(library)?),
            };
            Session::builder(environment).map_err(refused)?
        };
        let session = single_threaded(builder).map_err(refused)?.commit_from_memory(model).map_err(refused)?;
        let [input] = session.inputs() else {
            return Err(BackendError::Shape(format!("has {} inputs where one is known", session.inputs().len())));
        };
        let width = input.dtype().tensor_shape().and_then(|shape| shape.last().copied());
        if width.is_some_and(|width| width >= 0 && usize::try_from(width) != Ok(n_features)) {
            let width = width.unwrap_or_default();
            return Err(BackendError::Shape(format!("reads {width} features where the manifest names {n_features}")));
        }
        Ok(Self { session, n_features, values: Vec::new() })
    }
}

impl Backend for OnnxRuntime {
    fn predict(&mut self, rows: Rows<'_>, out: &mut [f32]) -> Result<(), BackendError> {
        let failed = |error: ort::Error| BackendError::Run(error.to_string());
        if rows.is_empty() {
            return Ok(());
        }
        self.values.clear();
        for row in 0..rows.len() {
            // Infinite is missing to us; ONNX would compare it.
            let value = |feature| Some(rows.column(feature)[row]).filter(|value: &f32| value.is_finite());
            self.values.extend((0..self.n_features).map(|feature| value(feature).unwrap_or(f32::NAN)));
        }
        // Owned: a binding to borrowed memory hangs in this version of the crate.
        let tensor = Tensor::from_array(([rows.len(), self.n_features], self.values.clone())).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![tensor]).map_err(failed)?;
        let output = outputs.get("probabilities").map_or_else(|| outputs.values().next(), |_| None);
        let (shape, values) = match (&output, outputs.get("probabilities")) {
            (_, Some(probabilities)) => probabilities.try_extract_tensor::<f32>().map_err(failed)?,
            (Some(first), None) => first.try_extract_tensor::<f32>().map_err(failed)?,
            (None, None) => return Err(BackendError::Run("no output".to_owned())),
        };
        // A classifier gives the probabilities of both classes.
        let n_per_row = values.len() / rows.len();
        if n_per_row * rows.len() != values.len() || !(1..=2).contains(&n_per_row) {
            return Err(BackendError::Run(format!("an output of shape {shape:?} for {} rows", rows.len())));
        }
        let predictions = values.iter().skip(n_per_row - 1).step_by(n_per_row);
        out.iter_mut().zip(predictions).for_each(|(out, prediction)| *out = *prediction);
        Ok(())
    }

    fn name(&self) -> &'static str {
        "ort"
    }
}

fn load(library: &Path) -> Result<Environment, BackendError> {
    let unusable = |reason: String| BackendError::Library { path: library.to_owned(), reason };
    let builder = ort::init_from(library).map_err(|error| unusable(error.to_string()))?;
    builder.build().map_err(|error| unusable(error.to_string()))
}

fn refused(error: impl std::fmt::Display) -> BackendError {
    BackendError::Model(error.to_string())
}

#[expect(clippy::result_large_err, reason = "the builder's own error, which carries the builder")]
fn single_threaded(builder: SessionBuilder) -> BuilderResult {
    builder
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)
}
