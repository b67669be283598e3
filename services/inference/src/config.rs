use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What an operator sets about models.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InferenceOptions {
    /// Model directories, each with a `manifest.toml`. Empty: predictions are missing.
    pub models: Vec<PathBuf>,
    /// Load models, too, whose out-of-sample information coefficient is not above zero.
    pub allow_unproven: bool,
}
