use pipeline::{Rejected, Restore, Stage};
use schemas::{FeatureBatch, ModelRef, Partition, Plan, PredictionBatch, Predictions};

use crate::config::InferenceOptions;
use crate::manifest::{ModelError, Target};
use crate::model::{Model, PredictionBuffers};

/// Adds predictions to features, one batch for one batch.
#[derive(Debug)]
pub struct InferenceStage {
    plan: Plan,
    /// At most one per target.
    models: Vec<Model>,
    buffers: PredictionBuffers,
    n_infinite: u64,
}

impl InferenceStage {
    /// # Errors
    /// When a configured model does not fit the plan or cannot be evaluated by this build.
    pub fn new(plan: Plan, options: &InferenceOptions) -> Result<Self, ModelError> {
        let mut models: Vec<Model> = Vec::new();
        for directory in options.directories() {
            let model = Model::load(&directory, &plan, options.allow_unproven)?;
            if let Some(other) = models.iter().find(|other| other.target() == model.target()) {
                let (other, target) = (other.id().to_owned(), model.target());
                return Err(ModelError::RepeatedTarget { model: model.id().to_owned(), other, target });
            }
            models.push(model);
        }
        Ok(Self { plan, models, buffers: PredictionBuffers::default(), n_infinite: 0 })
    }

    /// What predicts.
    pub fn models(&self) -> impl Iterator<Item = &ModelRef> {
        self.models.iter().map(Model::reference)
    }

    /// Values so far that were beyond 32-bit floats and taken for missing.
    pub fn n_infinite(&self) -> u64 {
        self.n_infinite
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
        let mut rows = vec![Predictions::default(); n_rows];
        let mut n_infinite = 0;
        for model in self.models.iter().filter(|_| n_rows > 0) {
            let (predictions, n) = model.predict(&features, &mut self.buffers);
            n_infinite += n as u64;
            for (row, &prediction) in predictions.iter().enumerate() {
                let prediction = model.knows(&features, row).then(|| f64::from(prediction));
                match model.target() {
                    Target::Alpha5d => rows[row].alpha_5d = prediction,
                    Target::Alpha10d => rows[row].alpha_10d = prediction,
                    Target::WinProb10d => rows[row].win_prob_10d = prediction,
                }
            }
        }
        let models = self.models.iter().map(|model| model.reference().clone()).collect();
        let batch = PredictionBatch::new(features, rows, models)
            .map_err(|error| Rejected::new(error.reason(), error.to_string()))?;
        self.n_infinite += n_infinite;
        out.push(batch);
        Ok(())
    }

    fn on_idle(&mut self, _: &mut Vec<PredictionBatch>) {}

    fn on_refresh(&mut self, _: &mut Vec<PredictionBatch>) {}

    fn needs_refresh(&self) -> bool {
        false
    }
}

/// It remembers nothing but a count: a snapshot only marks how far the input was read.
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use schemas::{Bar, BarBatch, BarBatchBuilder, BarFlags, EventTime, Header, Symbol, Timeframe};

    use super::*;
    use crate::manifest::sha256_hex;
    use crate::trees::STUMP;

    const PLAN: [&str; 2] = ["other", "x"];

    fn write_model(folder: &Path, name: &str, change: impl Fn(String) -> String) -> PathBuf {
        let objective = if name == "win_prob_10d" { "binary:logistic" } else { "reg:squarederror" };
        let model = STUMP.replace("reg:squarederror", objective);
        let text = format!(
            "name = \"{name}\"\nversion = \"1\"\ntarget = \"{name}\"\nbackend = \"native\"\n\
             [features]\nnames = [\"x\"]\nhash = \"{:016x}\"\n\
             [training]\nlabel = \"forward_return\"\nhorizon_sessions = 5\nfrom = \"2021-01-29\"\n\
             to = \"2025-12-31\"\nembargo_sessions = 10\n[metrics]\nrank_ic = 0.02\n\
             [files]\n\"model.json\" = \"{}\"\n",
            Plan::new(["x"]).hash(),
            sha256_hex(model.as_bytes()),
        );
        let directory = folder.join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("manifest.toml"), change(text)).unwrap();
        fs::write(directory.join("model.json"), model).unwrap();
        directory
    }

    fn stage(models: Vec<PathBuf>) -> Result<InferenceStage, ModelError> {
        InferenceStage::new(Plan::new(PLAN), &InferenceOptions { models, allow_unproven: false })
    }

    /// A batch of one symbol with these values of `x`.
    fn features(x: &[f64]) -> FeatureBatch {
        let symbol = Symbol::new("AAPL").unwrap();
        let partition = Partition::of(symbol);
        let mut bars = BarBatchBuilder::new(partition);
        for row in 0..x.len() {
            let open_time = EventTime(i64::try_from(row).unwrap());
            bars.push(
                symbol,
                Bar {
                    open_time,
                    open: 1.0,
                    high: 1.0,
                    low: 1.0,
                    close: 1.0,
                    volume: 0.0,
                    revision: 0,
                    flags: BarFlags::FINAL,
                },
            );
        }
        let header = Header {
            timeframe: Timeframe::D1,
            partition,
            epoch: 1,
            seq: 1,
            event_time: EventTime(0),
            ingest_time: EventTime(0),
            source: "test".to_owned(),
            watermark: None,
        };
        let bars: BarBatch = bars.finish(header);
        let matrix = [vec![7.0; x.len()], x.to_vec()].concat();
        FeatureBatch::new(bars, Plan::new(PLAN).hash(), matrix).unwrap()
    }

    fn predict(stage: &mut InferenceStage, x: &[f64]) -> PredictionBatch {
        let mut out = Vec::new();
        stage.on_batch(features(x), &mut out).unwrap();
        out.pop().unwrap()
    }

    #[test]
    fn without_a_model_every_prediction_is_missing() {
        let batch = predict(&mut stage(Vec::new()).unwrap(), &[0.0, 1.0]);
        assert_eq!((batch.rows(), batch.models()), (&[Predictions::default(); 2][..], &[][..]));
    }

    #[test]
    fn every_model_fills_its_column_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let models =
            ["alpha_5d", "alpha_10d", "win_prob_10d"].map(|name| write_model(folder.path(), name, |text| text));
        let mut stage = stage(models.to_vec()).unwrap();
        let batch = predict(&mut stage, &[0.0, 1.0]);
        let names: Vec<_> = batch.models().iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["alpha_5d", "alpha_10d", "win_prob_10d"]);
        for (row, alpha) in batch.rows().iter().zip([-0.75, 2.25]) {
            assert_eq!((row.alpha_5d, row.alpha_10d), (Some(alpha), Some(alpha)));
        }
        // The base score, a probability of 1 in 4, is a margin of −ln 3.
        let expected = [-1.0_f64, 2.0].map(|leaf| 1.0 / (1.0 + (3.0_f64.ln() - leaf).exp()));
        for (row, expected) in batch.rows().iter().zip(expected) {
            assert!((row.win_prob_10d.unwrap() - expected).abs() < 1e-7, "{row:?} {expected}");
        }
    }

    #[test]
    fn a_row_without_any_feature_has_no_prediction_and_a_huge_value_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = stage(vec![write_model(folder.path(), "alpha_5d", |text| text)]).unwrap();
        let batch = predict(&mut stage, &[f64::NAN, 1e300, 0.0]);
        let found: Vec<_> = batch.rows().iter().map(|row| row.alpha_5d).collect();
        assert_eq!((found, stage.n_infinite()), (vec![None, Some(2.25), Some(-0.75)], 1));
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused_by_name() {
        let check = |name: &str, from: &str, to: &str, expected: &str| {
            let folder = tempfile::tempdir().unwrap();
            let change = |text: String| {
                assert!(text.contains(from), "{from}");
                text.replacen(from, to, 1)
            };
            let error = stage(vec![write_model(folder.path(), name, change)]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("alpha_5d", "\"native\"", "\"ort\"", "wants the backend `ort`");
        check("alpha_5d", "target = \"alpha_5d\"", "target = \"win_prob_10d\"", "predicts a number");
        check("win_prob_10d", "target = \"win_prob_10d\"", "target = \"alpha_5d\"", "predicts a probability");
        let names = |names: [&str; 2]| format!("names = {names:?}\nhash = \"{:016x}\"", Plan::new(names).hash());
        let x = format!("names = [\"x\"]\nhash = \"{:016x}\"", Plan::new(["x"]).hash());
        let other = format!("names = [\"other\"]\nhash = \"{:016x}\"", Plan::new(["other"]).hash());
        check("alpha_5d", &x, &names(["x", "other"]), "names 2 features, its file has 1");
        check("alpha_5d", &x, &other, "feature 0 is `other` in its manifest and `x` in its file");
    }

    #[test]
    fn two_models_for_one_target_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = write_model(folder.path(), "alpha_5d", |text| text);
        let second = write_model(folder.path(), "alpha_10d", |text| {
            text.replace("target = \"alpha_10d\"", "target = \"alpha_5d\"")
        });
        let error = stage(vec![first, second]).unwrap_err().to_string();
        assert_eq!(error, "model `alpha_10d/1` and model `alpha_5d/1` both predict Alpha5d");
    }
}
