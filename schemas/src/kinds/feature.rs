use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bar::{BarBatch, BarBatchV1};
use crate::codec::{CodecError, Message};
use crate::partition::fnv1a_64;
use crate::{F64Column, Header};

/// The ordered names of the feature columns, and the hash that stands for them in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    columns: Vec<String>,
    hash: u64,
}

impl Plan {
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        let hash = fnv1a_64(columns.join("\n").as_bytes());
        Self { columns, hash }
    }

    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    pub fn len(&self) -> usize {
        self.columns.len()
    }

    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// FNV-1a (64 bit) of the names joined by line feeds.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn index_of(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }
}

/// Bars and the features computed from them, as they travel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FeatureBatchV1 {
    pub bars: BarBatchV1,
    /// Hash of the ordered column names.
    pub plan: u64,
    /// Column-major: all rows of the first column, then of the second. NaN is missing.
    pub matrix: F64Column,
}

/// Bars and the features computed from them: one row per bar.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureBatch {
    bars: BarBatch,
    plan: u64,
    /// Column-major; missing is NaN in here and `None` at the methods.
    matrix: Vec<f64>,
}

impl FeatureBatch {
    /// # Shape
    /// `matrix` is column-major with one value per bar and column of the plan; NaN is missing.
    ///
    /// # Errors
    /// When the length does not fit or a value is infinite.
    pub fn new(bars: BarBatch, plan: u64, matrix: Vec<f64>) -> Result<Self, CodecError> {
        let fits = if bars.is_empty() { matrix.is_empty() } else { matrix.len().is_multiple_of(bars.len()) };
        if !fits {
            return Err(CodecError::invalid("matrix", format!("{} values for {} rows", matrix.len(), bars.len())));
        }
        if matrix.iter().any(|value| value.is_infinite()) {
            return Err(CodecError::invalid("matrix", "a value is infinite"));
        }
        Ok(Self { bars, plan, matrix })
    }

    pub fn header(&self) -> &Header {
        self.bars.header()
    }

    pub fn bars(&self) -> &BarBatch {
        &self.bars
    }

    pub fn plan(&self) -> u64 {
        self.plan
    }

    pub fn n_columns(&self) -> usize {
        if self.bars.is_empty() { 0 } else { self.matrix.len() / self.bars.len() }
    }

    /// All rows of one column, for those who compute on columns. Missing is NaN here.
    ///
    /// # Panics
    /// When the column is out of range.
    pub fn column(&self, column: usize) -> &[f64] {
        &self.matrix[column * self.bars.len()..][..self.bars.len()]
    }

    /// `None` when missing.
    ///
    /// # Panics
    /// When row or column is out of range.
    pub fn value(&self, row: usize, column: usize) -> Option<f64> {
        assert!(row < self.bars.len(), "row {row} of {}", self.bars.len());
        let value = self.matrix[column * self.bars.len() + row];
        (!value.is_nan()).then_some(value)
    }
}

impl Message for FeatureBatch {
    type Wire = FeatureBatchV1;

    const KIND: &'static str = "feature";

    fn from_wire(wire: FeatureBatchV1) -> Result<Self, CodecError> {
        Self::new(BarBatch::from_wire(wire.bars)?, wire.plan, wire.matrix.0)
    }

    fn to_wire(&self) -> FeatureBatchV1 {
        FeatureBatchV1 { bars: self.bars.to_wire(), plan: self.plan, matrix: F64Column(self.matrix.clone()) }
    }
}
