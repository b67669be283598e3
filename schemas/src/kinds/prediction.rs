use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::feature::{FeatureBatch, FeatureBatchV1};
use crate::codec::{CodecError, Message};
use crate::{F64Column, Header};

/// Which model made a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelRef {
    pub name: String,
    pub version: String,
    /// SHA-256 of the model file, in hexadecimal.
    pub hash: String,
}

/// One row's predictions; `None` where no model is loaded for it or the model had nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Predictions {
    /// Forward 5-session return relative to the universe's median, as a fraction.
    pub alpha_5d: Option<f64>,
    /// Forward 10-session return relative to the universe's median, as a fraction.
    pub alpha_10d: Option<f64>,
    /// Probability in 0 … 1.
    pub win_prob_10d: Option<f64>,
    /// Between these the 5-session return will lie in four cases of five: low and high, as fractions.
    pub alpha_5d_range: Option<(f64, f64)>,
    pub alpha_10d_range: Option<(f64, f64)>,
}

/// Features and what the models say about them, as they travel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PredictionBatchV1 {
    pub features: FeatureBatchV1,
    /// Absent when no model predicts it; NaN where a row has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha_5d: Option<F64Column>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha_10d: Option<F64Column>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub win_prob_10d: Option<F64Column>,
    /// Ends of the range in which four outcomes of five lie; absent when no model gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha_5d_low: Option<F64Column>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha_5d_high: Option<F64Column>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha_10d_low: Option<F64Column>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha_10d_high: Option<F64Column>,
    /// The models that made the columns above; empty when there are none.
    pub models: Vec<ModelRef>,
}

/// Features and what the models say about them: one row per bar.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionBatch {
    features: FeatureBatch,
    rows: Vec<Predictions>,
    models: Vec<ModelRef>,
}

impl PredictionBatch {
    /// # Errors
    /// When there is not one row of predictions per bar, a prediction is not finite, or a probability leaves 0 … 1.
    pub fn new(features: FeatureBatch, rows: Vec<Predictions>, models: Vec<ModelRef>) -> Result<Self, CodecError> {
        let n_rows = features.bars().len();
        if rows.len() != n_rows {
            return Err(CodecError::invalid("predictions", format!("{} rows for {n_rows} bars", rows.len())));
        }
        for row in &rows {
            let numbers = [row.alpha_5d, row.alpha_10d, row.win_prob_10d];
            if numbers.iter().flatten().any(|value| !value.is_finite()) {
                return Err(CodecError::invalid("predictions", "a value is not finite"));
            }
            if row.win_prob_10d.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
                return Err(CodecError::invalid("win_prob_10d", "a probability is outside 0 to 1"));
            }
            for (field, range) in [("alpha_5d_low", row.alpha_5d_range), ("alpha_10d_low", row.alpha_10d_range)] {
                if range.is_some_and(|(low, high)| !(low.is_finite() && high.is_finite() && low <= high)) {
                    return Err(CodecError::invalid(field, "it is not below the high end of its range"));
                }
            }
        }
        Ok(Self { features, rows, models })
    }

    pub fn header(&self) -> &Header {
        self.features.header()
    }

    pub fn features(&self) -> &FeatureBatch {
        &self.features
    }

    pub fn rows(&self) -> &[Predictions] {
        &self.rows
    }

    pub fn models(&self) -> &[ModelRef] {
        &self.models
    }
}

impl Message for PredictionBatch {
    type Wire = PredictionBatchV1;

    const KIND: &'static str = "prediction";

    fn from_wire(wire: PredictionBatchV1) -> Result<Self, CodecError> {
        let features = FeatureBatch::from_wire(wire.features)?;
        let n_rows = features.bars().len();
        for (field, column) in [
            ("alpha_5d", &wire.alpha_5d),
            ("alpha_10d", &wire.alpha_10d),
            ("win_prob_10d", &wire.win_prob_10d),
            ("alpha_5d_low", &wire.alpha_5d_low),
            ("alpha_5d_high", &wire.alpha_5d_high),
            ("alpha_10d_low", &wire.alpha_10d_low),
            ("alpha_10d_high", &wire.alpha_10d_high),
        ] {
            if let Some(column) = column.as_ref().filter(|column| column.len() != n_rows) {
                return Err(CodecError::invalid(field, format!("{} values for {n_rows} rows", column.len())));
            }
        }
        let value = |column: &Option<F64Column>, row: usize| {
            column.as_ref().map(|column| column[row]).filter(|value| !value.is_nan())
        };
        let rows = (0..n_rows)
            .map(|row| Predictions {
                alpha_5d: value(&wire.alpha_5d, row),
                alpha_10d: value(&wire.alpha_10d, row),
                win_prob_10d: value(&wire.win_prob_10d, row),
                alpha_5d_range: value(&wire.alpha_5d_low, row).zip(value(&wire.alpha_5d_high, row)),
                alpha_10d_range: value(&wire.alpha_10d_low, row).zip(value(&wire.alpha_10d_high, row)),
            })
            .collect();
        Self::new(features, rows, wire.models)
    }

    fn to_wire(&self) -> PredictionBatchV1 {
        let column = |value: fn(&Predictions) -> Option<f64>| {
            self.rows
                .iter()
                .any(|row| value(row).is_some())
                .then(|| F64Column(self.rows.iter().map(|row| value(row).unwrap_or(f64::NAN)).collect()))
        };
        PredictionBatchV1 {
            features: self.features.to_wire(),
            alpha_5d: column(|row| row.alpha_5d),
            alpha_10d: column(|row| row.alpha_10d),
            win_prob_10d: column(|row| row.win_prob_10d),
            alpha_5d_low: column(|row| Some(row.alpha_5d_range?.0)),
            alpha_5d_high: column(|row| Some(row.alpha_5d_range?.1)),
            alpha_10d_low: column(|row| Some(row.alpha_10d_range?.0)),
            alpha_10d_high: column(|row| Some(row.alpha_10d_range?.1)),
            models: self.models.clone(),
        }
    }
}
