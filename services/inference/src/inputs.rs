//! What models read, computed once for all of them.

use schemas::FeatureBatch;

use crate::quantiles::QuantileTable;
use crate::recipes::DerivedFeatures;
use crate::sessions::Sessions;

/// One input of a model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// A column of the plan as it is.
    Column(usize),
    /// A derived feature's place in the table of the last closed session.
    Rank {
        recipe: usize,
        /// Where that session has no table: that of the last session of the training data.
        shipped: Option<QuantileTable>,
    },
}

/// Memory that batches reuse.
#[derive(Debug, Default)]
pub(crate) struct InputBuffers {
    /// The features of all recipes, column-major; NaN is missing.
    pub(crate) derived: Vec<f64>,
    /// The inputs, column-major, as evaluators read them.
    pub(crate) columns: Vec<f32>,
}

impl InputBuffers {
    /// Computes the recipes' features of every row and says how many were infinite.
    pub(crate) fn derive(&mut self, features: &FeatureBatch, recipes: &DerivedFeatures) -> usize {
        self.derived.clear();
        recipes.evaluate(features, &mut self.derived)
    }

    /// Computes the inputs of every row and says how many were beyond 32-bit floats, and so are missing.
    #[expect(clippy::cast_possible_truncation, reason = "models are trained on 32-bit floats")]
    pub(crate) fn gather(&mut self, features: &FeatureBatch, inputs: &[Input], sessions: &Sessions) -> usize {
        let rows = features.bars().rows();
        let Some((_, first)) = rows.first() else {
            self.columns.clear();
            return 0;
        };
        // Nearly always the rows of a batch are of one session.
        let is_one_session = rows.iter().all(|(_, bar)| bar.open_time == first.open_time);
        let common = sessions.before(first.open_time);
        let mut n_infinite = 0;
        self.columns.clear();
        for input in inputs {
            match input {
                Input::Column(column) => self.columns.extend(features.column(*column).iter().map(|&value| {
                    let value = value as f32;
                    n_infinite += usize::from(value.is_infinite());
                    if value.is_infinite() { f32::NAN } else { value }
                })),
                Input::Rank { recipe, shipped } => {
                    let values = &self.derived[recipe * rows.len()..][..rows.len()];
                    self.columns.extend(rows.iter().zip(values).map(|((_, bar), &value)| {
                        let closed = if is_one_session { common } else { sessions.before(bar.open_time) };
                        let table = closed.and_then(|closed| closed.tables[*recipe].as_ref()).or(shipped.as_ref());
                        table.map_or(f32::NAN, |table| table.rank(value))
                    }));
                }
            }
        }
        n_infinite
    }
}
