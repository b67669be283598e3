use std::fs;
use std::path::Path;

use inference::trees::{Ensemble, Rows, Workspace};

/// Our evaluator, as the service uses it.
pub(crate) struct Native {
    ensemble: Ensemble,
    workspace: Workspace,
    out: Vec<f32>,
}

impl Native {
    pub(crate) fn load(folder: &Path, model: &str) -> anyhow::Result<Self> {
        let ensemble = Ensemble::from_xgboost_json(&fs::read(folder.join(format!("{model}.json")))?)?;
        Ok(Self { ensemble, workspace: Workspace::new(), out: Vec::new() })
    }

    pub(crate) fn n_features(&self) -> usize {
        self.ensemble.n_features()
    }

    pub(crate) fn predict(&mut self, columns: &[f32], n_rows: usize) -> &[f32] {
        self.out.resize(n_rows, 0.0);
        self.ensemble.predict(Rows::new(columns, n_rows), &mut self.workspace, &mut self.out);
        &self.out
    }
}

/// Row-major to column-major.
pub(crate) fn columns(rows: &[f32], n_rows: usize) -> Vec<f32> {
    let n_features = rows.len() / n_rows;
    (0..n_features).flat_map(|feature| rows.iter().skip(feature).step_by(n_features).copied()).collect()
}
