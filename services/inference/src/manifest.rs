use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use schemas::{ModelRef, Plan};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::backend::BackendError;
use crate::quantiles::QuantilesError;
use crate::recipes::Recipes;
use crate::trees::{FILE_BYTES_MAX, TreeError};

/// What a model directory says of itself: `manifest.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    pub target: Target,
    pub backend: BackendKind,
    pub features: Features,
    pub training: Training,
    pub metrics: Metrics,
    /// What trained it, by name and version; for readers only.
    #[serde(default)]
    pub libraries: BTreeMap<String, String>,
    /// SHA-256 in hexadecimal of every file of the directory but the manifest.
    pub files: BTreeMap<String, String>,
}

/// What a model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    #[serde(rename = "alpha_5d")]
    Alpha5d,
    #[serde(rename = "alpha_10d")]
    Alpha10d,
    #[serde(rename = "win_prob_10d")]
    WinProb10d,
}

impl Target {
    /// How far ahead it looks.
    pub fn horizon_sessions(self) -> u32 {
        match self {
            Self::Alpha5d => 5,
            Self::Alpha10d | Self::WinProb10d => 10,
        }
    }
}

/// Who evaluates a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    /// Our evaluator of boosted trees.
    Native,
    /// ONNX Runtime.
    Ort,
}

/// The features in the order in which the model was trained on them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    pub names: Vec<String>,
    /// [`Plan::hash`] of the names, 16 hexadecimal digits: catches an edited list.
    pub hash: String,
}

/// What the model was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    pub label: String,
    pub horizon_sessions: u32,
    /// First and last session, `YYYY-MM-DD`.
    pub from: String,
    pub to: String,
    pub embargo_sessions: u32,
}

/// How the model did where it was not trained.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Rank correlation of prediction and outcome, out of sample.
    pub rank_ic: f64,
    /// Its Newey–West t.
    pub rank_ic_t: Option<f64>,
}

/// Why a model directory is refused.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("cannot read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is no model manifest", path.display())]
    Parse {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("model `{model}`: the hash of its feature list is {found}, its manifest says {stated}")]
    FeatureHash { model: String, found: String, stated: String },
    #[error("model `{model}` needs the feature `{feature}`, which the plan does not compute")]
    MissingFeature { model: String, feature: String },
    #[error("model `{model}` names the feature `{feature}` twice")]
    RepeatedFeature { model: String, feature: String },
    #[error("model `{model}`: `{file}` is not a plain file name")]
    FileName { model: String, file: String },
    #[error("model `{model}`: SHA-256 of `{file}` is {found}, the manifest says {stated}")]
    FileHash { model: String, file: String, found: String, stated: String },
    #[error("model `{model}` lists no file `{file}`")]
    FileNotListed { model: String, file: &'static str },
    #[error(
        "model `{model}` has an out-of-sample information coefficient of {rank_ic}, which is not above zero; \
         `inference.allow_unproven = true` loads it all the same"
    )]
    Unproven { model: String, rank_ic: f64 },
    #[error("model `{model}` cannot run on ONNX Runtime")]
    Ort {
        model: String,
        #[source]
        source: BackendError,
    },
    #[error("model `{model}` has no usable `calibration.json`")]
    Calibration {
        model: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("model `{model}`: its `calibration.json` does not fit: {reason}")]
    CalibrationMisfit { model: String, reason: String },
    #[error("model `{model}` is trained for {found} sessions, its target {target:?} is {wanted} ahead")]
    Horizon { model: String, target: Target, found: u32, wanted: u32 },
    #[error("`{}` cannot be loaded: the loader panicked", directory.display())]
    Panicked { directory: PathBuf },
    #[error("model `{model}` has no usable `golden.parquet`: {reason}")]
    Golden { model: String, reason: String },
    #[error(
        "model `{model}` gives {found} for golden row {row}, which is {expected}; {difference} is the most they may differ"
    )]
    GoldenRow { model: String, row: usize, found: f32, expected: f32, difference: f64 },
    #[error("model `{model}` gives {alone} for golden row {row} alone and {in_batch} in a batch")]
    BatchDependent { model: String, row: usize, alone: f32, in_batch: f32 },
    #[error("model `{model}`: `{file}` has more than {bytes_max} bytes")]
    FileSize { model: String, file: String, bytes_max: u64 },
    #[error("model `{model}` cannot be evaluated")]
    Trees {
        model: String,
        #[source]
        source: TreeError,
    },
    #[error("model `{model}`: its manifest names {in_manifest} features, its file has {in_file}")]
    FeatureCount { model: String, in_manifest: usize, in_file: usize },
    #[error("model `{model}`: feature {index} is `{in_manifest}` in its manifest and `{in_file}` in its file")]
    FeatureOrder { model: String, index: usize, in_manifest: String, in_file: String },
    #[error("model `{model}` has no usable `quantiles.json`")]
    Quantiles {
        model: String,
        #[source]
        source: QuantilesError,
    },
    #[error("model `{model}` predicts {found}, its target {target:?} is {wanted}")]
    Output { model: String, target: Target, found: &'static str, wanted: &'static str },
    #[error("model `{model}` and model `{other}` both predict {target:?}")]
    RepeatedTarget { model: String, other: String, target: Target },
}

impl Manifest {
    /// Reads and checks a model directory against the features that are computed. Gives the bytes of its files, too:
    /// they are the ones whose hash was checked.
    ///
    /// # Errors
    /// When something is missing, was changed, or does not fit; the error names it.
    pub fn load(directory: &Path, plan: &Plan, allow_unproven: bool) -> Result<(Self, ModelFiles), ModelError> {
        let path = directory.join(MANIFEST_FILE);
        let text = fs::read_to_string(&path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let manifest: Self =
            toml::from_str(&text).map_err(|source| ModelError::Parse { path, source: Box::new(source) })?;
        manifest.check_features(plan)?;
        manifest.check_horizon()?;
        let files = manifest.check_files(directory)?;
        if !allow_unproven {
            manifest.check_proof()?;
        }
        Ok((manifest, files))
    }

    /// The gate.
    ///
    /// # Errors
    /// When the model's information coefficient is not above zero where it was not trained.
    pub fn check_proof(&self) -> Result<(), ModelError> {
        // Not `<= 0`: a NaN proves nothing either.
        let is_proven = self.metrics.rank_ic > 0.0;
        is_proven.then_some(()).ok_or_else(|| ModelError::Unproven { model: self.id(), rank_ic: self.metrics.rank_ic })
    }

    fn check_horizon(&self) -> Result<(), ModelError> {
        let (found, wanted) = (self.training.horizon_sessions, self.target.horizon_sessions());
        if found == wanted {
            return Ok(());
        }
        Err(ModelError::Horizon { model: self.id(), target: self.target, found, wanted })
    }

    /// Name, version and file hash, as every prediction carries them.
    pub fn model_ref(&self) -> ModelRef {
        let hash = self.files.get(self.model_file()).cloned().unwrap_or_default();
        ModelRef { name: self.name.clone(), version: self.version.clone(), hash }
    }

    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.name, self.version)
    }

    fn check_features(&self, plan: &Plan) -> Result<(), ModelError> {
        let found = format!("{:016x}", Plan::new(self.features.names.iter().cloned()).hash());
        if found != self.features.hash {
            return Err(ModelError::FeatureHash { model: self.id(), found, stated: self.features.hash.clone() });
        }
        let recipes = Recipes::shipped();
        for (at, feature) in self.features.names.iter().enumerate() {
            if plan.index_of(feature).is_none()
                && let Err(missing) = recipes.derive(feature, plan)
            {
                return Err(ModelError::MissingFeature { model: self.id(), feature: missing.to_owned() });
            }
            if self.features.names[..at].contains(feature) {
                return Err(ModelError::RepeatedFeature { model: self.id(), feature: feature.clone() });
            }
        }
        Ok(())
    }

    fn check_files(&self, directory: &Path) -> Result<ModelFiles, ModelError> {
        let mut files = ModelFiles::default();
        for (file, stated) in &self.files {
            let is_plain = Path::new(file).file_name().is_some_and(|name| name.to_str() == Some(file));
            if !is_plain {
                return Err(ModelError::FileName { model: self.id(), file: file.clone() });
            }
            let path = directory.join(file);
            let bytes = self.read(path, file)?;
            let found = sha256_hex(&bytes);
            if found != *stated {
                let (file, stated) = (file.clone(), stated.clone());
                return Err(ModelError::FileHash { model: self.id(), file, found, stated });
            }
            match file.as_str() {
                JSON_FILE => files.json = Some(bytes),
                ONNX_FILE => files.onnx = Some(bytes),
                QUANTILES_FILE => files.quantiles = Some(bytes),
                GOLDEN_FILE => files.golden = Some(bytes),
                CALIBRATION_FILE => files.calibration = Some(bytes),
                _ => {}
            }
        }
        let model_file = self.model_file();
        let is_listed = self.files.contains_key(model_file);
        is_listed.then_some(files).ok_or_else(|| ModelError::FileNotListed { model: self.id(), file: model_file })
    }

    /// The file that makes the predictions; its hash names the model.
    fn model_file(&self) -> &'static str {
        match self.backend {
            BackendKind::Native if self.files.contains_key(JSON_FILE) || !self.files.contains_key(ONNX_FILE) => {
                JSON_FILE
            }
            BackendKind::Native | BackendKind::Ort => ONNX_FILE,
        }
    }

    fn read(&self, path: PathBuf, file: &str) -> Result<Vec<u8>, ModelError> {
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that is too large from one that just fits.
        let read = fs::File::open(&path).and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        let n_bytes = read.map_err(|source| ModelError::Read { path, source })? as u64;
        if n_bytes > FILE_BYTES_MAX {
            let (model, file) = (self.id(), file.to_owned());
            return Err(ModelError::FileSize { model, file, bytes_max: FILE_BYTES_MAX });
        }
        Ok(bytes)
    }
}

/// The files of a model directory whose hash was checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelFiles {
    /// XGBoost's own.
    pub json: Option<Vec<u8>>,
    pub onnx: Option<Vec<u8>>,
    /// The tables that stand in for those of a session.
    pub quantiles: Option<Vec<u8>>,
    /// Rows and what the model must say of them.
    pub golden: Option<Vec<u8>>,
    pub calibration: Option<Vec<u8>>,
}

pub(crate) const MANIFEST_FILE: &str = "manifest.toml";
pub(crate) const QUANTILES_FILE: &str = "quantiles.json";
pub(crate) const GOLDEN_FILE: &str = "golden.parquet";
const CALIBRATION_FILE: &str = "calibration.json";
const JSON_FILE: &str = "model.json";
const ONNX_FILE: &str = "model.onnx";

/// SHA-256 in hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory {
        folder: tempfile::TempDir,
        text: String,
    }

    impl Directory {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(JSON_FILE), b"{}").unwrap();
            let features = Plan::new(["rsi14", "ret_5d"]);
            let text = format!(
                "name = \"alpha_5d\"\nversion = \"3\"\ntarget = \"alpha_5d\"\nbackend = \"native\"\n\
                 [features]\nnames = [\"rsi14\", \"ret_5d\"]\nhash = \"{:016x}\"\n\
                 [training]\nlabel = \"forward_return\"\nhorizon_sessions = 5\nfrom = \"2021-01-29\"\n\
                 to = \"2025-12-31\"\nembargo_sessions = 10\n[metrics]\nrank_ic = 0.02\n\
                 [files]\n\"model.json\" = \"{}\"\n",
                features.hash(),
                sha256_hex(b"{}"),
            );
            Self { folder, text }
        }

        fn load(&self, from: &str, to: &str) -> Result<Manifest, ModelError> {
            assert!(self.text.contains(from), "{from}");
            fs::write(self.folder.path().join("manifest.toml"), self.text.replacen(from, to, 1)).unwrap();
            let loaded = Manifest::load(self.folder.path(), &Plan::new(["ret_5d", "sma20", "rsi14"]), false);
            loaded.map(|(manifest, _)| manifest)
        }
    }

    #[test]
    fn a_fitting_model_is_accepted_and_names_itself() {
        let manifest = Directory::new().load("", "").unwrap();
        let model = manifest.model_ref();
        assert_eq!((model.name.as_str(), model.version.as_str(), model.hash.len()), ("alpha_5d", "3", 64));
    }

    #[test]
    fn whatever_does_not_fit_is_refused_by_name() {
        let check = |from: &str, to: &str, expected: &str| {
            let error = Directory::new().load(from, to).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("[\"rsi14\", \"ret_5d\"]", "[\"ret_5d\", \"rsi14\"]", "hash of its feature list");
        check("rank_ic = 0.02", "rank_ic = 0.0", "not above zero");
        check("rank_ic = 0.02", "rank_ic = nan", "not above zero");
        check("\"model.json\" = \"", "\"model.json\" = \"00", "SHA-256 of `model.json`");
        check("\"model.json\"", "\"../model.json\"", "`../model.json` is not a plain file name");
        check("\"model.json\" = ", "\"manifest.toml\" = ", "SHA-256 of `manifest.toml`");
        check("name = ", "title = ", "no model manifest");
        check("backend = ", "colour = \"red\"\nbackend = ", "no model manifest");
        check(
            "horizon_sessions = 5",
            "horizon_sessions = 10",
            "trained for 10 sessions, its target Alpha5d is 5 ahead",
        );
        let directory = Directory::new();
        fs::remove_file(directory.folder.path().join(JSON_FILE)).unwrap();
        assert!(directory.load("", "").unwrap_err().to_string().contains("model.json"));
    }

    #[test]
    fn a_feature_that_is_not_computed_is_named() {
        let directory = Directory::new();
        directory.load("", "").unwrap();
        let error = Manifest::load(directory.folder.path(), &Plan::new(["rsi14"]), false).unwrap_err();
        assert_eq!(error.to_string(), "model `alpha_5d/3` needs the feature `ret_5d`, which the plan does not compute");
    }
}
