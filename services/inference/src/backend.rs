//! Who evaluates a model: our own trees, or ONNX Runtime.

use std::fmt;
use std::path::PathBuf;

use crate::trees::{Ensemble, Rows, Workspace};

/// Turns rows of inputs into predictions.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Writes one prediction per row.
    ///
    /// # Errors
    /// When the evaluator fails; nothing can be said of the rows then.
    fn predict(&mut self, rows: Rows<'_>, out: &mut [f32]) -> Result<(), BackendError>;

    /// How the evaluator is called.
    fn name(&self) -> &'static str;
}

/// Why ONNX Runtime does not evaluate a model.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    #[error("this build has no ONNX Runtime backend (feature `ort`)")]
    NotBuilt,
    #[error(
        "`inference.ort_library` does not name the ONNX Runtime library; `cargo xtask fetch-tools` fetches one and \
         prints where it is"
    )]
    NoLibrary,
    #[error("the ONNX Runtime library `{}` cannot be used: {reason}", path.display())]
    Library { path: PathBuf, reason: String },
    #[error("ONNX Runtime refuses the model: {0}")]
    Model(String),
    #[error("the model lists no file `model.onnx`")]
    NoOnnxFile,
    #[error("its graph {0}")]
    Shape(String),
    #[error("ONNX Runtime failed: {0}")]
    Run(String),
}

/// The native evaluator and the memory that it reuses.
#[derive(Debug)]
pub(crate) struct Native {
    ensemble: Ensemble,
    workspace: Workspace,
}

impl Native {
    pub(crate) fn new(ensemble: Ensemble) -> Self {
        Self { ensemble, workspace: Workspace::new() }
    }
}

impl Backend for Native {
    fn predict(&mut self, rows: Rows<'_>, out: &mut [f32]) -> Result<(), BackendError> {
        self.ensemble.predict(rows, &mut self.workspace, out);
        Ok(())
    }

    fn name(&self) -> &'static str {
        "native"
    }
}
