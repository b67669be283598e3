//! The models that predict together, and the folders they come from.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use schemas::{FeatureBatch, ModelRef, Plan, Predictions};

use crate::backend::BackendError;
use crate::config::InferenceOptions;
use crate::golden::ReadGolden;
use crate::inputs::{Input, InputBuffers};
use crate::manifest::{ModelError, Target};
use crate::model::{Model, ShadowDifference};
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

/// A version of a model that may not predict, and why.
#[derive(Debug)]
pub struct Refused {
    pub directory: PathBuf,
    pub error: ModelError,
}

/// Every file of the model directories with what the system says of it: whatever changes a model changes it, a file of the
/// same size and time in place of another, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, FileState>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileState {
    n_bytes: u64,
    modified: Option<SystemTime>,
    /// Number of the file and time of its last change, which nobody can set.
    #[cfg(unix)]
    identity: (u64, i64, i64),
}

impl FileState {
    fn new(metadata: &Metadata) -> Self {
        Self {
            n_bytes: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            identity: {
                use std::os::unix::fs::MetadataExt as _;
                (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
            },
        }
    }
}

impl ModelSource {
    /// The newest version of every model that is sound, and the newer ones that are refused.
    ///
    /// # Errors
    /// When no version of a model is sound (the error is that of the newest), or two models predict the same.
    pub fn load(&self) -> Result<(ModelSet, Vec<Refused>), ModelError> {
        let mut models: Vec<Model> = Vec::new();
        let mut all_refused = Vec::new();
        for versions in self.options.directories() {
            let mut refused = Vec::new();
            let sound = versions.into_iter().find_map(|directory| match self.load_one(&directory) {
                Ok(model) => Some(model),
                Err(error) => {
                    refused.push(Refused { directory, error });
                    None
                }
            });
            let Some(model) = sound else {
                // A model without versions is none.
                let Some(newest) = refused.into_iter().next() else { continue };
                return Err(newest.error);
            };
            all_refused.append(&mut refused);
            if let Some(other) = models.iter().find(|other| other.target() == model.target()) {
                let (other, target) = (other.id().to_owned(), model.target());
                return Err(ModelError::RepeatedTarget { model: model.id().to_owned(), other, target });
            }
            models.push(model);
        }
        Ok((ModelSet::new(models), all_refused))
    }

    /// Does all the checks of one model.
    ///
    /// # Errors
    /// When it does not fit the plan, is not what its manifest says, or cannot be evaluated by this build.
    pub fn load_one(&self, directory: &Path) -> Result<Model, ModelError> {
        // A model file that uncovers a mistake of ours must not end whoever looks after the others.
        let load = || Model::load(directory, &self.plan, &self.options, self.read_golden);
        panic::catch_unwind(AssertUnwindSafe(load))
            .unwrap_or_else(|_| Err(ModelError::Panicked { directory: directory.to_owned() }))
    }

    /// The directories of the newest versions, one a model.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.options.directories().into_iter().filter_map(|versions| versions.into_iter().next()).collect()
    }

    /// What the files look like now. Files that cannot be looked at do not count.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut files = BTreeMap::new();
        for directory in self.options.directories().into_iter().flatten() {
            let entries = std::fs::read_dir(&directory).into_iter().flatten().filter_map(Result::ok);
            for entry in entries {
                if let Ok(metadata) = entry.metadata() {
                    files.insert(entry.path(), FileState::new(&metadata));
                }
            }
        }
        Fingerprint(files)
    }
}

/// What evaluating a batch told besides the predictions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Observed {
    /// Where both backends ran.
    pub(crate) shadow: Option<ShadowDifference>,
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
            observed.shadow = [observed.shadow, difference].into_iter().flatten().reduce(ShadowDifference::and);
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
