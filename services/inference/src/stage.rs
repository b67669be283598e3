use pipeline::{Rejected, Restore, Stage};
use schemas::{FeatureBatch, Partition, Plan, PredictionBatch, Predictions};

use crate::config::InferenceOptions;
use crate::manifest::{Manifest, ModelError};

/// Adds predictions to features, one batch for one batch.
#[derive(Debug)]
pub struct InferenceStage {
    plan: Plan,
}

impl InferenceStage {
    /// # Errors
    /// When a configured model does not fit the plan or cannot be evaluated by this build.
    pub fn new(plan: Plan, options: &InferenceOptions) -> Result<Self, ModelError> {
        if let Some(directory) = options.models.first() {
            let manifest = Manifest::load(directory, &plan, options.allow_unproven)?;
            let model = format!("{}/{}", manifest.name, manifest.version);
            return Err(ModelError::Backend { model, backend: manifest.backend });
        }
        Ok(Self { plan })
    }
}

impl Stage for InferenceStage {
    type Input = FeatureBatch;
    type Output = PredictionBatch;

    fn on_batch(&mut self, features: FeatureBatch, out: &mut Vec<PredictionBatch>) -> Result<(), Rejected> {
        let n_rows = features.bars().len();
        if n_rows > 0 && (features.plan() != self.plan.hash() || features.n_columns() != self.plan.len()) {
            let detail = format!("feature plan {:016x} where {:016x} is loaded", features.plan(), self.plan.hash());
            return Err(Rejected::new("plan", detail));
        }
        let batch = PredictionBatch::new(features, vec![Predictions::default(); n_rows], Vec::new())
            .map_err(|error| Rejected::new(error.reason(), error.to_string()))?;
        out.push(batch);
        Ok(())
    }

    fn on_idle(&mut self, _: &mut Vec<PredictionBatch>) {}

    fn on_refresh(&mut self, _: &mut Vec<PredictionBatch>) {}

    fn needs_refresh(&self) -> bool {
        false
    }
}

/// It remembers nothing: a snapshot only marks how far the input was read.
impl Restore for InferenceStage {
    fn layout(&self) -> u64 {
        0
    }

    fn snapshot(&self, _: Partition) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, _: Partition, _: &[u8]) -> Result<(), Rejected> {
        Ok(())
    }
}
