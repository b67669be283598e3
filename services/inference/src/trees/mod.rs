//! Boosted decision trees, evaluated natively.
//!
//! A model file becomes an [`Ensemble`], which is checked and holds only what evaluation needs. Values become bytes
//! first (`bins`); from there on a split is a comparison of bytes, for every kernel alike: `walk` for trees of any
//! shape, `complete` for the shallow trees that boosting makes. Kernels exist per instruction set and are chosen at
//! run time; all of them give the same bits.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod bins;
mod complete;
mod ensemble;
mod onnx;
mod portable;
mod protobuf;
mod walk;
mod xgboost_json;

pub use protobuf::ProtobufError;

pub use ensemble::{
    DEPTH_MAX, Ensemble, EnsembleParts, FEATURES_MAX, Link, NODES_MAX, Node, Rows, TREES_MAX, Tree, TreeFault,
    Workspace,
};

#[cfg(test)]
pub(crate) use xgboost_json::tests::STUMP;

/// Bytes of a model file.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// Why a file is no model that can be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("the file is no JSON of an XGBoost model")]
    Json(#[source] serde_json::Error),
    #[error("the file is no ONNX model")]
    Protobuf(#[from] ProtobufError),
    #[error("the model uses {feature}, which the native evaluator does not know")]
    Unsupported { feature: String },
    #[error("the model is inconsistent: {what}")]
    Inconsistent { what: String },
    #[error("the model has {found} {what}, more than {max}")]
    TooMany { what: &'static str, found: usize, max: usize },
    #[error("the model names {n_names} features and has {n_features}")]
    NameCount { n_names: usize, n_features: usize },
    #[error("tree {index} is none")]
    Tree {
        index: usize,
        #[source]
        fault: TreeFault,
    },
    #[error("the leaves can add up to more than a number of 32 bits holds")]
    Overflow,
}
