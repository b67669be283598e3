use std::path::Path;

use schemas::{FeatureBatch, ModelRef, Plan};

use crate::manifest::{Manifest, ModelError, QUANTILES_FILE, Target};
use crate::quantiles::QuantileTables;
use crate::recipes::{Input, Recipes};
use crate::trees::{Ensemble, Link, Rows, Workspace};

/// A model that may predict: it fits the plan, is the file it says it is, and its trees are sound.
#[derive(Debug, Clone)]
pub struct Model {
    reference: ModelRef,
    id: String,
    target: Target,
    ensemble: Ensemble,
    inputs: Vec<Input>,
}

/// Memory that predictions reuse.
#[derive(Debug, Default)]
pub struct PredictionBuffers {
    columns: Vec<f32>,
    workspace: Workspace,
    out: Vec<f32>,
}

impl Model {
    /// # Errors
    /// When something is missing, was changed, or does not fit; the error names it.
    pub fn load(directory: &Path, plan: &Plan, allow_unproven: bool) -> Result<Self, ModelError> {
        let (manifest, files) = Manifest::load(directory, plan, allow_unproven)?;
        let model = manifest.id();
        if manifest.backend != "native" {
            return Err(ModelError::Backend { model, backend: manifest.backend });
        }
        let ensemble = Ensemble::from_xgboost_json(&files.model)
            .map_err(|source| ModelError::Trees { model: model.clone(), source })?;
        check_features(&model, &manifest.features.names, &ensemble)?;
        check_output(&model, manifest.target, ensemble.link())?;
        let inputs = inputs(&manifest, files.quantiles.as_deref(), plan)?;
        Ok(Self { reference: manifest.model_ref(), id: model, target: manifest.target, ensemble, inputs })
    }

    /// Name, version and file hash, as every prediction carries them.
    pub fn reference(&self) -> &ModelRef {
        &self.reference
    }

    pub fn target(&self) -> Target {
        self.target
    }

    /// Name and version.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// One prediction per row, and how many values were beyond 32-bit floats and taken for missing.
    ///
    /// # Panics
    /// When the batch is not of the plan that the model was loaded for.
    pub fn predict<'a>(&self, features: &FeatureBatch, buffers: &'a mut PredictionBuffers) -> (&'a [f32], usize) {
        let PredictionBuffers { columns, workspace, out } = buffers;
        let n_rows = features.bars().len();
        columns.clear();
        for input in &self.inputs {
            input.gather(features, columns);
        }
        out.resize(n_rows, 0.0);
        let n_infinite = self.ensemble.predict(Rows::new(columns, n_rows), workspace, out);
        (out, n_infinite)
    }

    /// Whether the row has any of the features. Of a row without, the model would repeat the average of its training.
    pub fn knows(&self, features: &FeatureBatch, row: usize) -> bool {
        self.inputs.iter().any(|input| input.is_known(features, row))
    }
}

/// The inputs that the manifest names, each from the plan or derived from it.
fn inputs(manifest: &Manifest, quantiles: Option<&[u8]>, plan: &Plan) -> Result<Vec<Input>, ModelError> {
    let model = manifest.id();
    let tables = match quantiles {
        None => None,
        Some(bytes) => {
            let tables = QuantileTables::from_json(bytes);
            Some(tables.map_err(|source| ModelError::Quantiles { model: model.clone(), source })?)
        }
    };
    let recipes = Recipes::shipped();
    let input = |name: &String| match plan.index_of(name) {
        Some(column) => Ok(Input::Column(column)),
        None => match (recipes.derive(name, plan), &tables) {
            (Ok(derived), Some(tables)) => Ok(Input::Rank(derived, tables.table(name))),
            (Ok(_), None) => Err(ModelError::FileNotListed { model: model.clone(), file: QUANTILES_FILE }),
            (Err(missing), _) => Err(ModelError::MissingFeature { model: model.clone(), feature: missing.to_owned() }),
        },
    };
    manifest.features.names.iter().map(input).collect()
}

fn check_features(model: &str, names: &[String], ensemble: &Ensemble) -> Result<(), ModelError> {
    if names.len() != ensemble.n_features() {
        let (in_manifest, in_file) = (names.len(), ensemble.n_features());
        return Err(ModelError::FeatureCount { model: model.to_owned(), in_manifest, in_file });
    }
    for (index, (in_manifest, in_file)) in names.iter().zip(ensemble.feature_names()).enumerate() {
        if in_manifest != in_file {
            let (in_manifest, in_file) = (in_manifest.clone(), in_file.clone());
            return Err(ModelError::FeatureOrder { model: model.to_owned(), index, in_manifest, in_file });
        }
    }
    Ok(())
}

fn check_output(model: &str, target: Target, link: Link) -> Result<(), ModelError> {
    let name = |link| match link {
        Link::Identity => "a number",
        Link::Logistic => "a probability",
    };
    let wanted = match target {
        Target::Alpha5d | Target::Alpha10d => Link::Identity,
        Target::WinProb10d => Link::Logistic,
    };
    if link == wanted {
        return Ok(());
    }
    Err(ModelError::Output { model: model.to_owned(), target, found: name(link), wanted: name(wanted) })
}
