//! Features in, predictions out. Without a model every prediction is missing: no number is invented.
//!
//! [`Model::load`] reads a model directory and refuses whatever does not fit the features that are computed: a wrong order,
//! a missing feature, a changed file, a model that never proved itself, trees it does not understand.

mod backend;
mod config;
mod explain;
mod golden;
mod history;
mod inputs;
mod interval;
mod manifest;
mod model;
mod model_set;
#[cfg(feature = "ort")]
mod onnx_runtime;
mod quantiles;
mod recipes;
mod sessions;
mod stage;
pub mod trees;

pub use backend::{Backend, BackendError};
pub use config::InferenceOptions;
pub use explain::{Explainer, Explanation};
pub use golden::{GoldenRows, ReadGolden};
pub use history::TableHistory;
pub use manifest::{BackendKind, Manifest, ModelError, ModelFiles, Target};
pub use model::Model;
pub use model_set::{Fingerprint, ModelSet, ModelSource, Refused};
pub use quantiles::{QuantileTable, QuantileTables, QuantilesError};
pub use stage::{ExplainError, ExplainedPrediction, InferenceCounts, InferenceStage};
