//! The models in `models/` are what their manifests say, and their two files agree.

use std::fs;
use std::path::{Path, PathBuf};

use inference::trees::{Ensemble, Rows, Workspace};
use inference::{Manifest, Target};
use schemas::Plan;

fn directories() -> Vec<PathBuf> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let folders = |path: &Path| -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> =
            fs::read_dir(path).expect("models are shipped").flatten().map(|entry| entry.path()).collect();
        found.retain(|path| path.is_dir());
        found.sort();
        found
    };
    let versions = folders(&models).into_iter().flat_map(|name| folders(&name));
    versions.filter(|directory| directory.join("manifest.toml").exists()).collect()
}

fn manifest(directory: &Path) -> Manifest {
    let text = fs::read_to_string(directory.join("manifest.toml")).expect("it was found");
    toml::from_str(&text).expect("it is a manifest")
}

#[test]
fn every_target_has_a_proven_model_with_the_stated_files() {
    let targets: Vec<Target> = directories()
        .iter()
        .map(|directory| {
            let plan = Plan::new(manifest(directory).features.names);
            Manifest::load(directory, &plan, false).unwrap().0.target
        })
        .collect();
    assert_eq!(targets, [Target::Alpha10d, Target::Alpha5d, Target::WinProb10d]);
}

#[test]
fn both_model_files_predict_the_same() {
    for directory in directories() {
        let tolerance = if manifest(&directory).target == Target::WinProb10d { 3e-7 } else { 2e-8 };
        let json = Ensemble::from_xgboost_json(&fs::read(directory.join("model.json")).unwrap()).unwrap();
        let onnx = Ensemble::from_onnx(&fs::read(directory.join("model.onnx")).unwrap()).unwrap();
        let n_rows = 500_u16;
        // Ranks in an order without a pattern; every eleventh is missing.
        let values: Vec<f32> = (0..json.n_features() as u64 * u64::from(n_rows))
            .map(|at| if at % 11 == 0 { f32::NAN } else { rank(at) })
            .collect();
        let predict = |ensemble: &Ensemble| {
            let mut out = vec![0.0; usize::from(n_rows)];
            ensemble.predict(Rows::new(&values, usize::from(n_rows)), &mut Workspace::new(), &mut out);
            out
        };
        let (of_json, of_onnx) = (predict(&json), predict(&onnx));
        for (a, b) in of_json.iter().zip(&of_onnx) {
            assert!((a - b).abs() <= tolerance, "{}: {a} and {b}", directory.display());
        }
        assert!(of_json.iter().any(|a| (a - of_json[0]).abs() > 1e-4), "it says the same of every row");
    }
}

/// 0 to 1, from the middle of a multiplicative hash.
fn rank(at: u64) -> f32 {
    let hash = at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    f32::from(u16::try_from(hash).expect("16 bits are left")) / f32::from(u16::MAX)
}
