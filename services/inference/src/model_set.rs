//! The models that predict together, and the folders they come from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use schemas::{FeatureBatch, ModelRef, Plan, Predictions};

use crate::backend::BackendError;
use crate::config::InferenceOptions;
use crate::golden::ReadGolden;
use crate::inputs::{Input, InputBuffers};
use crate::manifest::{ModelError, Target};
use crate::model::Model;
use crate::trees::Rows;

/// At most one model per target, and what they read together.
#[derive(Debug, Default)]
pub struct ModelSet {
    models: Vec<Placed>,
    /// Every input of any model, once.
    inputs: Vec<Input>,
    references: Vec<ModelRef>,
}

#[derive(Debug)]
struct Placed {
    model: Model,
    /// Where its inputs stand among all; `None` when they are all, in their order.
    places: Option<Vec<usize>>,
}

/// Where models are loaded from, now and whenever their files change.
#[derive(Debug, Clone)]
pub struct ModelSource {
    pub plan: Plan,
    pub options: InferenceOptions,
    pub read_golden: ReadGolden,
}

/// Every file of the model directories with its size and time: whatever changes a model changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

impl ModelSource {
    /// # Errors
    /// When a model does not fit the plan, is not what its manifest says, or cannot be evaluated by this build.
    pub fn load(&self) -> Result<ModelSet, ModelError> {
        let mut models: Vec<Model> = Vec::new();
        for directory in self.options.directories() {
            let model = Model::load(&directory, &self.plan, &self.options, self.read_golden)?;
            if let Some(other) = models.iter().find(|other| other.target() == model.target()) {
                let (other, target) = (other.id().to_owned(), model.target());
                return Err(ModelError::RepeatedTarget { model: model.id().to_owned(), other, target });
            }
            models.push(model);
        }
        Ok(ModelSet::new(models))
    }

    /// The directories that models are read from now, one a model.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.options.directories()
    }

    /// What the files look like now. Files that cannot be looked at do not count.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut files = BTreeMap::new();
        for directory in self.options.directories() {
            let entries = std::fs::read_dir(&directory).into_iter().flatten().filter_map(Result::ok);
            for entry in entries {
                if let Ok(metadata) = entry.metadata() {
                    files.insert(entry.path(), (metadata.len(), metadata.modified().ok()));
                }
            }
        }
        Fingerprint(files)
    }
}

/// What evaluating a batch told besides the predictions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Observed {
    /// Largest difference between the backends, where both ran.
    pub(crate) shadow_difference: Option<f64>,
}

impl ModelSet {
    pub(crate) fn new(models: Vec<Model>) -> Self {
        let mut inputs: Vec<Input> = Vec::new();
        let places: Vec<Vec<usize>> = models
            .iter()
            .map(|model| {
                let place = |input: &Input| {
                    inputs.iter().position(|known| known == input).unwrap_or_else(|| {
                        inputs.push(input.clone());
                        inputs.len() - 1
                    })
                };
                model.inputs().iter().map(place).collect()
            })
            .collect();
        let references = models.iter().map(|model| model.reference().clone()).collect();
        let with_places = models.into_iter().zip(places).map(|(model, places)| {
            let is_all = places.iter().copied().eq(0..inputs.len());
            Placed { model, places: (!is_all).then_some(places) }
        });
        Self { models: with_places.collect(), inputs, references }
    }

    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().map(|placed| &placed.model)
    }

    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// What names the models in messages.
    pub fn references(&self) -> &[ModelRef] {
        &self.references
    }

    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The predictions of every row. A row without any of a model's inputs gets none: the model would repeat the average
    /// of its training.
    pub(crate) fn predict(
        &mut self,
        features: &FeatureBatch,
        columns: &[f32],
        rows: &mut [Predictions],
        buffers: &mut PredictionBuffers,
    ) -> Result<Observed, BackendError> {
        let n_rows = rows.len();
        let mut observed = Observed::default();
        for Placed { model, places } in &mut self.models {
            let columns = match places {
                None => columns,
                Some(places) => {
                    buffers.columns.clear();
                    for &place in &*places {
                        buffers.columns.extend_from_slice(&columns[place * n_rows..][..n_rows]);
                    }
                    &buffers.columns
                }
            };
            buffers.out.resize(n_rows, 0.0);
            let difference = model.predict(Rows::new(columns, n_rows), &mut buffers.out, &mut buffers.shadow)?;
            observed.shadow_difference = match (observed.shadow_difference, difference) {
                (Some(a), Some(b)) => Some(if a > b { a } else { b }),
                (a, b) => a.or(b),
            };
            for (row, predictions) in rows.iter_mut().enumerate() {
                let is_known = (0..model.inputs().len()).any(|input| !columns[input * n_rows + row].is_nan());
                let prediction = is_known.then(|| f64::from(buffers.out[row]));
                let range = || model.interval()?.around(prediction?, features, row);
                match model.target() {
                    Target::Alpha5d => (predictions.alpha_5d, predictions.alpha_5d_range) = (prediction, range()),
                    Target::Alpha10d => (predictions.alpha_10d, predictions.alpha_10d_range) = (prediction, range()),
                    Target::WinProb10d => predictions.win_prob_10d = prediction,
                }
            }
        }
        Ok(observed)
    }

    /// One model's inputs of a row, out of all inputs of a batch.
    pub(crate) fn row_of(&self, model: usize, columns: &[f32], n_rows: usize, row: usize) -> Vec<f32> {
        let Placed { model, places } = &self.models[model];
        let place = |input: usize| places.as_ref().map_or(input, |places| places[input]);
        (0..model.inputs().len()).map(|input| columns[place(input) * n_rows + row]).collect()
    }
}

/// Whatever a batch is predicted with, kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct PredictionBuffers {
    pub(crate) inputs: InputBuffers,
    columns: Vec<f32>,
    out: Vec<f32>,
    shadow: Vec<f32>,
}
