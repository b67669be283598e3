use std::path::Path;
use std::sync::Arc;

use schemas::{ModelRef, Plan};

use crate::backend::{Backend, BackendError, Native};
use crate::config::InferenceOptions;
use crate::explain::Explainer;
use crate::golden::ReadGolden;
use crate::inputs::Input;
use crate::interval::{Calibration, Interval};
use crate::manifest::{BackendKind, GOLDEN_FILE, Manifest, ModelError, ModelFiles, QUANTILES_FILE, Target};
use crate::quantiles::QuantileTables;
use crate::recipes::{DerivedFeatures, Recipes};
use crate::trees::{Ensemble, Link, Rows};

/// A model that may predict: it fits the plan, is the file it says it is, its trees are sound, and it says of its golden
/// rows what it must.
#[derive(Debug)]
pub struct Model {
    manifest: Manifest,
    reference: ModelRef,
    id: String,
    backend: Box<dyn Backend>,
    /// The other evaluator, on the same rows, for comparison.
    shadow: Option<Box<dyn Backend>>,
    inputs: Vec<Input>,
    interval: Option<Interval>,
    /// XGBoost's own file, for explanations.
    json: Option<Arc<[u8]>>,
}

impl Model {
    /// # Errors
    /// When something is missing, was changed, or does not fit; the error names it.
    pub fn load(
        directory: &Path,
        plan: &Plan,
        options: &InferenceOptions,
        read_golden: ReadGolden,
    ) -> Result<Self, ModelError> {
        let (manifest, files) = Manifest::load(directory, plan, options.allow_unproven)?;
        let id = manifest.id();
        let mut backend = backend(manifest.backend, &manifest, &files, options)?;
        let mut shadow = match (options.shadow, manifest.backend) {
            (false, _) => None,
            (true, BackendKind::Native) => Some(self::backend(BackendKind::Ort, &manifest, &files, options)?),
            (true, BackendKind::Ort) => Some(self::backend(BackendKind::Native, &manifest, &files, options)?),
        };
        let inputs = inputs(&manifest, files.quantiles.as_deref(), plan)?;
        let golden = files.golden.as_deref();
        let golden = golden.ok_or_else(|| ModelError::FileNotListed { model: id.clone(), file: GOLDEN_FILE })?;
        let golden = read_golden(golden).map_err(|reason| ModelError::Golden { model: id.clone(), reason })?;
        for backend in [Some(&mut backend), shadow.as_mut()].into_iter().flatten() {
            golden.check(&id, manifest.target, &manifest.features.names, backend.as_mut())?;
        }
        let calibration = files.calibration.as_deref().map(serde_json::from_slice::<Calibration>).transpose();
        let calibration = calibration.map_err(|source| ModelError::Calibration { model: id.clone(), source })?;
        if let Some(calibration) = &calibration {
            let fits = calibration.check(manifest.target);
            fits.map_err(|reason| ModelError::CalibrationMisfit { model: id.clone(), reason })?;
        }
        let interval = calibration.as_ref().and_then(|calibration| Interval::new(calibration, plan));
        let json = files.json.map(Arc::from);
        Ok(Self { reference: manifest.model_ref(), manifest, id, backend, shadow, inputs, interval, json })
    }

    /// Name, version and file hash, as every prediction carries them.
    pub fn reference(&self) -> &ModelRef {
        &self.reference
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn target(&self) -> Target {
        self.manifest.target
    }

    /// Name and version.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The evaluator that predicts.
    pub fn backend(&self) -> &'static str {
        self.backend.name()
    }

    /// What tells how a prediction came about.
    ///
    /// # Errors
    /// When the model is no tree ensemble of XGBoost with the covers of its nodes.
    pub fn explainer(&self) -> Result<Explainer, ModelError> {
        let json = self.json.as_deref();
        let json = json.ok_or_else(|| ModelError::FileNotListed { model: self.id.clone(), file: "model.json" })?;
        Explainer::from_xgboost_json(json).map_err(|source| ModelError::Trees { model: self.id.clone(), source })
    }

    /// Whether alphas have no range, because the model has no `calibration.json`.
    pub fn lacks_ranges(&self) -> bool {
        self.interval.is_none() && self.target() != Target::WinProb10d
    }

    /// What puts a range around an alpha.
    pub(crate) fn interval(&self) -> Option<Interval> {
        self.interval
    }

    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Writes one prediction per row, and says how far the other evaluator is from it at most, if one runs along.
    pub(crate) fn predict(
        &mut self,
        rows: Rows<'_>,
        out: &mut [f32],
        shadow_out: &mut Vec<f32>,
    ) -> Result<Option<ShadowDifference>, BackendError> {
        self.backend.predict(rows, out)?;
        let Some(shadow) = &mut self.shadow else { return Ok(None) };
        shadow_out.resize(out.len(), 0.0);
        shadow.predict(rows, shadow_out)?;
        Ok(Some(ShadowDifference::between(out, shadow_out)))
    }
}

/// How far two evaluators are from each other.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ShadowDifference {
    /// Largest difference of two numbers.
    pub(crate) max: f64,
    /// Rows of which only one says a number.
    pub(crate) n_disagreements: u64,
}

impl ShadowDifference {
    fn between(a: &[f32], b: &[f32]) -> Self {
        let mut found = Self::default();
        for (a, b) in a.iter().zip(b) {
            if a.is_finite() && b.is_finite() {
                found.max = found.max.max((f64::from(*a) - f64::from(*b)).abs());
            } else if a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan()) {
                found.n_disagreements += 1;
            }
        }
        found
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { max: self.max.max(other.max), n_disagreements: self.n_disagreements + other.n_disagreements }
    }
}

fn backend(
    kind: BackendKind,
    manifest: &Manifest,
    files: &ModelFiles,
    options: &InferenceOptions,
) -> Result<Box<dyn Backend>, ModelError> {
    let model = manifest.id();
    match kind {
        BackendKind::Native => {
            let ensemble = match (&files.json, &files.onnx) {
                (Some(json), _) => Ensemble::from_xgboost_json(json),
                (None, Some(onnx)) => Ensemble::from_onnx(onnx),
                (None, None) => return Err(ModelError::FileNotListed { model, file: "model.json" }),
            };
            let ensemble = ensemble.map_err(|source| ModelError::Trees { model: model.clone(), source })?;
            check_features(&model, &manifest.features.names, &ensemble)?;
            check_output(&model, manifest.target, ensemble.link())?;
            Ok(Box::new(Native::new(ensemble)))
        }
        BackendKind::Ort => {
            let backend = onnx_runtime(files, manifest.features.names.len(), options);
            backend.map_err(|source| ModelError::Ort { model, source })
        }
    }
}

#[cfg(feature = "ort")]
fn onnx_runtime(
    files: &ModelFiles,
    n_features: usize,
    options: &InferenceOptions,
) -> Result<Box<dyn Backend>, BackendError> {
    let library = options.ort_library.as_deref().ok_or(BackendError::NoLibrary)?;
    let onnx = files.onnx.as_deref().ok_or(BackendError::NoOnnxFile)?;
    Ok(Box::new(crate::onnx_runtime::OnnxRuntime::new(library, onnx, n_features)?))
}

#[cfg(not(feature = "ort"))]
fn onnx_runtime(_: &ModelFiles, _: usize, _: &InferenceOptions) -> Result<Box<dyn Backend>, BackendError> {
    Err(BackendError::NotBuilt)
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
    let (recipes, derived) = (Recipes::shipped(), DerivedFeatures::new(plan));
    let input = |name: &String| match plan.index_of(name) {
        Some(column) => Ok(Input::Column(column)),
        None => match (recipes.derive(name, plan), &tables) {
            (Ok(_), Some(tables)) => {
                let recipe = derived.inputs().iter().position(|input| input == name);
                let recipe = recipe.expect("what can be derived has a recipe");
                Ok(Input::Rank { recipe, shipped: tables.table(name) })
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_only_one_evaluator_says_is_a_disagreement() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let check = |a: &[f32], b: &[f32], max: f64, n_disagreements: u64| {
            let expected = ShadowDifference { max, n_disagreements };
            assert_eq!((ShadowDifference::between(a, b), ShadowDifference::between(b, a)), (expected, expected));
        };
        check(&[1.0, nan, 0.5], &[1.25, nan, 0.5], 0.25, 0);
        check(&[1.0, nan, nan], &[1.0, 2.0, 3.0], 0.0, 2);
        check(&[inf, inf, -inf], &[inf, 2.0, inf], 0.0, 2);
        let both = ShadowDifference::between(&[1.0, nan], &[2.0, 1.0]).and(ShadowDifference::between(&[4.0], &[1.0]));
        assert_eq!(both, ShadowDifference { max: 3.0, n_disagreements: 1 });
    }
}
