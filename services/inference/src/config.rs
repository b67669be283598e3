use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::manifest::MANIFEST_FILE;

/// The folder that is looked into when nothing is said; the only one that need not be there.
const DEFAULT_FOLDER: &str = "models";

/// What an operator sets about models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InferenceOptions {
    /// Model directories, each with a `manifest.toml`, or folders of `<name>/<version>`, of which the newest version of
    /// each name counts. Empty: predictions are missing.
    pub models: Vec<PathBuf>,
    /// Load models, too, whose out-of-sample information coefficient is not above zero.
    pub allow_unproven: bool,
    /// The ONNX Runtime library, for models whose manifest asks for it.
    pub ort_library: Option<PathBuf>,
    /// Run every model on the other backend, too, and report the largest difference.
    pub shadow: bool,
}

impl Default for InferenceOptions {
    fn default() -> Self {
        Self { models: vec![DEFAULT_FOLDER.into()], allow_unproven: false, ort_library: None, shadow: false }
    }
}

impl InferenceOptions {
    /// The model directories that are asked for: of each model its versions, newest first. One that cannot be looked
    /// into is kept: loading it tells why.
    pub(crate) fn directories(&self) -> Vec<Vec<PathBuf>> {
        let is_absent_default = |path: &&PathBuf| **path == Path::new(DEFAULT_FOLDER) && !path.exists();
        self.models.iter().filter(|path| !is_absent_default(path)).flat_map(|path| directories(path)).collect()
    }

    /// With the default folder of another place, if only that place has one.
    #[must_use]
    pub fn or_beside(mut self, place: &Path) -> Self {
        let elsewhere = place.join(DEFAULT_FOLDER);
        if self.models == [Path::new(DEFAULT_FOLDER)] && !Path::new(DEFAULT_FOLDER).exists() && elsewhere.is_dir() {
            self.models = vec![elsewhere];
        }
        self
    }
}

fn directories(path: &Path) -> Vec<Vec<PathBuf>> {
    if path.join(MANIFEST_FILE).exists() {
        return vec![vec![path.to_owned()]];
    }
    let Some(names) = folders(path) else { return vec![vec![path.to_owned()]] };
    let newest_first = |name: PathBuf| {
        let mut versions = folders(&name).unwrap_or_default();
        versions.retain(|version| version.join(MANIFEST_FILE).exists());
        versions.sort_by_cached_key(|version| Reverse(version_key(version)));
        versions
    };
    names.into_iter().map(newest_first).filter(|versions| !versions.is_empty()).collect()
}

/// In the order of their names; `None` when the path is no folder.
fn folders(path: &Path) -> Option<Vec<PathBuf>> {
    let entries = fs::read_dir(path).ok()?;
    let mut folders: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    Some(folders)
}

/// `10` comes after `9`, and `1.10` after `1.9`; what is no number comes first.
fn version_key(path: &Path) -> Vec<Option<u64>> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_folder_may_lie_elsewhere_and_a_named_one_may_not() {
        let folder = tempfile::tempdir().unwrap();
        let models = |options: InferenceOptions| options.or_beside(folder.path()).models;
        let named = InferenceOptions { models: vec!["other".into()], ..InferenceOptions::default() };
        assert_eq!(models(InferenceOptions::default()), [Path::new(DEFAULT_FOLDER)]);
        fs::create_dir(folder.path().join(DEFAULT_FOLDER)).unwrap();
        assert_eq!(models(InferenceOptions::default()), [folder.path().join(DEFAULT_FOLDER)]);
        assert_eq!(models(named), [Path::new("other")]);
    }

    #[test]
    fn a_folder_of_models_stands_for_the_versions_of_each() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for version in ["a/9", "a/10", "b/1.9", "b/1.10", "b/draft"] {
            let directory = root.join(version);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(MANIFEST_FILE), "").unwrap();
        }
        fs::create_dir_all(root.join("train/tests")).unwrap();
        fs::write(root.join("README.md"), "").unwrap();
        let found = |models: &[PathBuf]| {
            InferenceOptions { models: models.to_vec(), ..InferenceOptions::default() }.directories()
        };
        let expected = [&["a/10", "a/9"][..], &["b/1.10", "b/1.9", "b/draft"]];
        let expected = expected.map(|versions| versions.iter().map(|version| root.join(version)).collect::<Vec<_>>());
        assert_eq!(found(&[root.to_owned()]), expected);
        assert_eq!(found(&[root.join("a/9")]), [[root.join("a/9")]]);
        assert_eq!(found(&[root.join("nothing")]), [[root.join("nothing")]]);
        assert_eq!(found(&[DEFAULT_FOLDER.into()]), Vec::<Vec<PathBuf>>::new());
    }
}
