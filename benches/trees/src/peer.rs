use std::path::Path;

use anyhow::{Context as _, anyhow};
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{BuilderResult, GraphOptimizationLevel, SessionBuilder};
use ort::value::Tensor;

/// ONNX Runtime with one thread, which does not spin.
pub(crate) struct Peer {
    session: Session,
    /// The output that holds the prediction, and the place of a row's prediction in it.
    output: &'static str,
    n_per_row: usize,
}

/// Loads the library for the whole process.
pub(crate) fn load(library: &Path) -> anyhow::Result<Environment> {
    Ok(ort::init_from(library)?.build()?)
}

/// Owned by ONNX Runtime, because a binding to borrowed memory hangs in this version of the crate.
pub(crate) fn tensor(rows: &[f32], n_rows: usize) -> anyhow::Result<Tensor<f32>> {
    Ok(Tensor::from_array(([n_rows, rows.len() / n_rows], rows.to_vec()))?)
}

impl Peer {
    pub(crate) fn load(environment: &Environment, folder: &Path, model: &str) -> anyhow::Result<Self> {
        let builder = single_threaded(Session::builder(environment)?).map_err(|error| anyhow!("{error}"))?;
        let session = { builder }.commit_from_file(folder.join(format!("{model}.onnx")))?;
        let is_classifier = session.outputs().iter().any(|output| output.name() == "probabilities");
        let (output, n_per_row) = if is_classifier { ("probabilities", 2) } else { ("variable", 1) };
        Ok(Self { session, output, n_per_row })
    }

    pub(crate) fn run(&mut self, tensor: &Tensor<f32>) -> anyhow::Result<()> {
        std::hint::black_box(self.session.run(ort::inputs![tensor])?);
        Ok(())
    }

    pub(crate) fn predict(&mut self, tensor: &Tensor<f32>) -> anyhow::Result<Vec<f32>> {
        let outputs = self.session.run(ort::inputs![tensor])?;
        let output = outputs.get(self.output).context("the model has no such output")?;
        let (_, values) = output.try_extract_tensor::<f32>()?;
        Ok(values.iter().skip(self.n_per_row - 1).step_by(self.n_per_row).copied().collect())
    }
}

#[expect(clippy::result_large_err, reason = "the builder's own error, which carries the builder")]
fn single_threaded(builder: SessionBuilder) -> BuilderResult {
    builder
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)
}
