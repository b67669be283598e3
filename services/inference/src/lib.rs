//! Features in, predictions out. Without a model every prediction is missing: no number is invented.
//!
//! [`Manifest::load`] reads what a model directory says of itself and refuses whatever does not fit the features that
//! are computed: a wrong order, a missing feature, a changed file, a model that never proved itself.

mod config;
mod manifest;
mod stage;
pub mod trees;

pub use config::InferenceOptions;
pub use manifest::{Manifest, ModelError, Target};
pub use stage::InferenceStage;
