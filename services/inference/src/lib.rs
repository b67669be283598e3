//! Features in, predictions out. Without a model every prediction is missing: no number is invented.
//!
//! [`Model::load`] reads a model directory and refuses whatever does not fit the features that are computed: a wrong order,
//! a missing feature, a changed file, a model that never proved itself, trees it does not understand.

mod config;
mod manifest;
mod model;
mod quantiles;
mod recipes;
mod stage;
pub mod trees;

pub use config::InferenceOptions;
pub use manifest::{Manifest, ModelError, ModelFiles, Target};
pub use model::{Model, PredictionBuffers};
pub use quantiles::{QuantileTable, QuantileTables, QuantilesError};
pub use stage::InferenceStage;
