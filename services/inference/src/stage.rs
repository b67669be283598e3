use pipeline::{Rejected, Restore, Stage};
use schemas::{FeatureBatch, ModelRef, Partition, Plan, PredictionBatch, Predictions, QuantileTables, Timeframe};

use crate::explain::Explanation;
use crate::history::TableHistory;
use crate::manifest::{ModelError, Target};
use crate::model_set::{ModelSet, PredictionBuffers};
use crate::recipes::DerivedFeatures;
use crate::sessions::{ClosedSession, Sessions};

/// Adds predictions to features, one batch for one batch, and closes sessions.
#[derive(Debug)]
pub struct InferenceStage {
    plan: Plan,
    models: ModelSet,
    recipes: DerivedFeatures,
    sessions: Sessions,
    buffers: PredictionBuffers,
    counts: InferenceCounts,
}

/// What the stage saw so far besides rows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct InferenceCounts {
    /// Values that were infinite, or beyond 32-bit floats, and taken for missing.
    pub n_infinite: u64,
    /// Largest difference between the two backends of any model since the models were loaded; `None` when one runs.
    pub shadow_difference_max: Option<f64>,
    /// Rows of which only one of the two backends said a number.
    pub n_shadow_disagreements: u64,
}

/// What a model says of a row, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedPrediction {
    pub model: ModelRef,
    /// `None` when none of the inputs is known.
    pub prediction: Option<f64>,
    /// The model's inputs by name, NaN where missing, in the order of the contributions.
    pub inputs: Vec<(String, f32)>,
    pub explanation: Explanation,
}

impl InferenceStage {
    /// A stage that knows of no session yet.
    pub fn new(plan: Plan, models: ModelSet) -> Self {
        let recipes = DerivedFeatures::new(&plan);
        let (buffers, counts) = (PredictionBuffers::default(), InferenceCounts::default());
        Self { plan, models, recipes, sessions: Sessions::new(), buffers, counts }
    }

    /// What predicts.
    pub fn models(&self) -> &ModelSet {
        &self.models
    }

    /// Predicts with other models from the next batch on (ADR 0007); gives back those before.
    pub fn swap(&mut self, models: ModelSet) -> ModelSet {
        self.counts.shadow_difference_max = None;
        std::mem::replace(&mut self.models, models)
    }

    pub fn counts(&self) -> InferenceCounts {
        self.counts
    }

    /// Starts from the tables that another process published last. To be called before the first batch.
    pub fn seed(&mut self, tables: &QuantileTables) {
        self.sessions.seed(ClosedSession::from_message(tables, self.recipes.inputs()));
    }

    /// Knows the tables of all sessions of a history.
    #[must_use]
    pub fn with_history(mut self, history: TableHistory) -> Self {
        for closed in history.close() {
            self.sessions.insert(closed);
        }
        self
    }

    /// The tables of the sessions that were closed since the last call, for whoever starts later.
    pub fn take_closed(&mut self, timeframe: Timeframe) -> Vec<QuantileTables> {
        self.sessions.take_closed(timeframe, self.recipes.inputs())
    }

    /// The predictions of a batch; the state stays as it is.
    ///
    /// # Errors
    /// When the batch is of another plan, or an evaluator fails.
    pub fn predict(&mut self, features: FeatureBatch) -> Result<PredictionBatch, Rejected> {
        self.evaluate(features).map(|(batch, _)| batch)
    }

    /// What each model says of a row, and what each of its inputs adds to that.
    ///
    /// # Errors
    /// When the batch is of another plan, or a model cannot be explained.
    ///
    /// # Panics
    /// When the batch has no such row: a bug of the caller.
    pub fn explain(&mut self, features: &FeatureBatch, row: usize) -> Result<Vec<ExplainedPrediction>, ExplainError> {
        let predicted = self.predict(features.clone())?.rows()[row];
        let mut explained = Vec::new();
        for (at, model) in self.models.models().enumerate() {
            let columns = &self.buffers.inputs.columns;
            let values = self.models.row_of(at, columns, features.bars().len(), row);
            let explanation = model.explainer()?.explain(&values);
            let prediction = match model.target() {
                Target::Alpha5d => predicted.alpha_5d,
                Target::Alpha10d => predicted.alpha_10d,
                Target::WinProb10d => predicted.win_prob_10d,
            };
            let inputs = model.manifest().features.names.iter().cloned().zip(values).collect();
            explained.push(ExplainedPrediction { model: model.reference().clone(), prediction, inputs, explanation });
        }
        Ok(explained)
    }

    /// The predictions, and how many values were taken for missing.
    fn evaluate(&mut self, features: FeatureBatch) -> Result<(PredictionBatch, InferenceCounts), Rejected> {
        let n_rows = features.bars().len();
        if n_rows > 0 && (features.plan() != self.plan.hash() || features.n_columns() != self.plan.len()) {
            let detail = format!("feature plan {:016x} where {:016x} is loaded", features.plan(), self.plan.hash());
            return Err(Rejected::new("plan", detail));
        }
        let mut rows = vec![Predictions::default(); n_rows];
        let mut counts = InferenceCounts::default();
        if n_rows > 0 && !self.models.is_empty() {
            let buffers = &mut self.buffers;
            counts.n_infinite = buffers.inputs.derive(&features, &self.recipes) as u64;
            let n_infinite = buffers.inputs.gather(&features, self.models.inputs(), &self.sessions);
            counts.n_infinite += n_infinite as u64;
            let columns = std::mem::take(&mut buffers.inputs.columns);
            let observed = self.models.predict(&features, &columns, &mut rows, buffers);
            buffers.inputs.columns = columns;
            let observed = observed.map_err(|error| Rejected::new("model", error.to_string()))?;
            counts.shadow_difference_max = observed.shadow.map(|shadow| shadow.max);
            counts.n_shadow_disagreements = observed.shadow.map_or(0, |shadow| shadow.n_disagreements);
        }
        let batch = PredictionBatch::new(features, rows, self.models.references().to_vec())
            .map_err(|error| Rejected::new(error.reason(), error.to_string()))?;
        Ok((batch, counts))
    }
}

/// Why a prediction cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error("the row cannot be predicted")]
    Rejected(#[from] Rejected),
    #[error("the model cannot be explained")]
    Model(#[from] ModelError),
}

impl Stage for InferenceStage {
    type Input = FeatureBatch;
    type Output = PredictionBatch;

    fn on_batch(&mut self, features: FeatureBatch, out: &mut Vec<PredictionBatch>) -> Result<(), Rejected> {
        let (batch, counts) = self.evaluate(features)?;
        self.counts.n_infinite += counts.n_infinite;
        self.counts.n_shadow_disagreements += counts.n_shadow_disagreements;
        self.counts.shadow_difference_max =
            [self.counts.shadow_difference_max, counts.shadow_difference_max].into_iter().flatten().reduce(f64::max);
        // Without models nobody reads the tables.
        if !self.models.is_empty() {
            self.sessions.observe(batch.features(), &self.recipes, &self.buffers.inputs.derived);
        }
        out.push(batch);
        Ok(())
    }

    fn on_idle(&mut self, _: &mut Vec<PredictionBatch>) {}

    fn on_refresh(&mut self, _: &mut Vec<PredictionBatch>) {}

    fn needs_refresh(&self) -> bool {
        false
    }

    /// A row is predicted with the tables of the session before it, which other partitions may still be adding to.
    fn is_ahead(&self, partition: Partition) -> bool {
        self.sessions.is_ahead(partition)
    }
}

impl Restore for InferenceStage {
    fn layout(&self) -> u64 {
        Sessions::layout(&self.recipes)
    }

    fn snapshot(&self, partition: Partition) -> Vec<u8> {
        self.sessions.snapshot(partition)
    }

    fn restore(&mut self, partition: Partition, bytes: &[u8]) -> Result<(), Rejected> {
        self.sessions.restore(partition, bytes, self.recipes.inputs().len())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use schemas::{Bar, BarBatch, BarBatchBuilder, BarFlags, EventTime, Header, Symbol, Timeframe};

    use super::*;
    use crate::config::InferenceOptions;
    use crate::golden::GoldenRows;
    use crate::manifest::sha256_hex;
    use crate::model_set::ModelSource;
    use crate::trees::STUMP;

    const PLAN: [&str; 2] = ["other", "x"];

    /// Golden rows as JSON, for tests without Parquet.
    fn read_golden(bytes: &[u8]) -> Result<GoldenRows, String> {
        let columns: Vec<(String, Vec<Option<f32>>)> =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let numbers = |values: Vec<Option<f32>>| values.into_iter().map(|value| value.unwrap_or(f32::NAN)).collect();
        Ok(GoldenRows { columns: columns.into_iter().map(|(name, values)| (name, numbers(values))).collect() })
    }

    fn write_model(folder: &Path, name: &str, change: impl Fn(String) -> String) -> PathBuf {
        let (objective, golden) = match name {
            // The base score, a probability of 1 in 4, is a margin of −ln 3.
            "win_prob_10d" => {
                ("binary:logistic", [-1.0_f64, 2.0, 2.0].map(|leaf| 1.0 / (1.0 + (3.0_f64.ln() - leaf).exp())))
            }
            _ => ("reg:squarederror", [-0.75, 2.25, 2.25]),
        };
        let model = STUMP.replace("reg:squarederror", objective);
        let golden = format!("[[\"x\", [0, 1, null]], [\"prediction\", {golden:?}]]");
        let text = format!(
            "name = \"{name}\"\nversion = \"1\"\ntarget = \"{name}\"\nbackend = \"native\"\n\
             [features]\nnames = [\"x\"]\nhash = \"{:016x}\"\n\
             [training]\nlabel = \"forward_return\"\nhorizon_sessions = {}\nfrom = \"2021-01-29\"\n\
             to = \"2025-12-31\"\nembargo_sessions = 10\n[metrics]\nrank_ic = 0.02\n\
             [files]\n\"model.json\" = \"{}\"\n\"golden.parquet\" = \"{}\"\n",
            Plan::new(["x"]).hash(),
            if name == "alpha_5d" { 5 } else { 10 },
            sha256_hex(model.as_bytes()),
            sha256_hex(golden.as_bytes()),
        );
        let directory = folder.join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("manifest.toml"), change(text)).unwrap();
        fs::write(directory.join("model.json"), model).unwrap();
        fs::write(directory.join("golden.parquet"), golden).unwrap();
        directory
    }

    fn stage(models: Vec<PathBuf>) -> Result<InferenceStage, ModelError> {
        let options = InferenceOptions { models, ..InferenceOptions::default() };
        let models = ModelSource { plan: Plan::new(PLAN), options, read_golden }.load()?.0;
        Ok(InferenceStage::new(Plan::new(PLAN), models))
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

    /// The same rows before they are final: nothing of them is kept.
    fn forming(features: &FeatureBatch) -> FeatureBatch {
        let bars = features.bars();
        let mut builder = BarBatchBuilder::new(bars.header().partition);
        for &(symbol, bar) in bars.rows() {
            builder.push(symbol, Bar { flags: BarFlags::empty(), ..bar });
        }
        let header = bars.header().clone();
        let matrix = [features.column(0), features.column(1)].concat();
        FeatureBatch::new(builder.finish(header), features.plan(), matrix).unwrap()
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
        assert_eq!((found, stage.counts().n_infinite), (vec![None, None, Some(-0.75)], 1));
    }

    #[test]
    fn a_swap_counts_from_the_next_batch_on() {
        let folder = tempfile::tempdir().unwrap();
        let directory = write_model(folder.path(), "alpha_5d", |text| text);
        let mut stage = stage(vec![directory]).unwrap();
        let before = predict(&mut stage, &[0.0]);
        let other = tempfile::tempdir().unwrap();
        let other = write_model(other.path(), "alpha_10d", |text| text.replace("version = \"1\"", "version = \"2\""));
        let options = InferenceOptions { models: vec![other], ..InferenceOptions::default() };
        let models = ModelSource { plan: Plan::new(PLAN), options, read_golden }.load().unwrap().0;
        let replaced = stage.swap(models);
        assert_eq!(replaced.references(), before.models());
        let after = predict(&mut stage, &[0.0]);
        assert_eq!((before.rows()[0].alpha_5d, before.rows()[0].alpha_10d), (Some(-0.75), None));
        assert_eq!((after.rows()[0].alpha_5d, after.rows()[0].alpha_10d), (None, Some(-0.75)));
        assert_eq!(after.models()[0].version, "2");
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
        check("alpha_5d", "\"native\"", "\"ort\"", "lists no file `model.onnx`");
        check("alpha_5d", "\"golden.parquet\" = ", "\"other\" = ", "cannot read");
        check("alpha_10d", "target = \"alpha_10d\"", "target = \"win_prob_10d\"", "predicts a number");
        check("win_prob_10d", "target = \"win_prob_10d\"", "target = \"alpha_10d\"", "predicts a probability");
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
                .replace("sessions = 10\nfrom", "sessions = 5\nfrom")
        });
        let error = stage(vec![first, second]).unwrap_err().to_string();
        assert_eq!(error, "model `alpha_10d/1` and model `alpha_5d/1` both predict Alpha5d");
    }

    #[test]
    fn the_newest_sound_version_is_loaded_and_the_newer_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let write = |version: &str, rank_ic: &str| {
            let change = |text: String| {
                text.replace("version = \"1\"", &format!("version = \"{version}\"")).replace("0.02", rank_ic)
            };
            let written = write_model(folder.path(), "alpha_5d", change);
            let directory = folder.path().join("models/alpha_5d").join(version);
            fs::create_dir_all(directory.parent().unwrap()).unwrap();
            fs::rename(written, &directory).unwrap();
            directory
        };
        write("8", "0.02");
        write("9", "0.02");
        let newer = [write("11", "-0.01"), write("10", "nan")];
        let options = InferenceOptions { models: vec![folder.path().join("models")], ..InferenceOptions::default() };
        let source = ModelSource { plan: Plan::new(PLAN), options, read_golden };
        let (models, refused) = source.load().unwrap();
        assert_eq!(models.references()[0].version, "9");
        assert_eq!(refused.iter().map(|refused| refused.directory.clone()).collect::<Vec<_>>(), newer);
        for version in ["8", "9"] {
            fs::remove_dir_all(folder.path().join("models/alpha_5d").join(version)).unwrap();
        }
        let error = source.load().unwrap_err().to_string();
        assert!(error.starts_with("model `alpha_5d/11` has an out-of-sample"), "{error}");
    }

    #[test]
    fn a_loader_that_panics_refuses_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let directory = write_model(folder.path(), "alpha_5d", |text| text);
        let options = InferenceOptions { models: vec![directory.clone()], ..InferenceOptions::default() };
        let source = ModelSource { plan: Plan::new(PLAN), options, read_golden: |_| panic!("on purpose") };
        let error = source.load().unwrap_err().to_string();
        assert_eq!(error, format!("`{}` cannot be loaded: the loader panicked", directory.display()));
    }

    #[test]
    fn a_file_of_the_same_size_and_time_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let directory = write_model(folder.path(), "alpha_5d", |text| text);
        let options = InferenceOptions { models: vec![directory.clone()], ..InferenceOptions::default() };
        let source = ModelSource { plan: Plan::new(PLAN), options, read_golden };
        let before = source.fingerprint();
        assert_eq!(source.fingerprint(), before);
        let path = directory.join("model.json");
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), modified);
        assert_ne!(source.fingerprint(), before);
    }

    /// Evaluation itself takes none (`tests/no_allocation.rs`); the stage takes what it gives away.
    #[test]
    fn a_warm_batch_takes_the_memory_of_its_message_only() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["alpha_5d", "alpha_10d", "win_prob_10d"];
        let mut stage = stage(names.map(|name| write_model(folder.path(), name, |text| text)).to_vec()).unwrap();
        let mut out = Vec::with_capacity(8);
        let count = |stage: &mut InferenceStage, out: &mut Vec<PredictionBatch>, n_rows: usize| {
            let batch = forming(&features(&vec![0.5; n_rows]));
            allocation_counter::measure(|| stage.on_batch(batch, out).unwrap()).count_total
        };
        count(&mut stage, &mut out, 250);
        for n_rows in [1, 8, 250] {
            // The rows, the list of models, and of each its name, version and hash.
            assert_eq!(count(&mut stage, &mut out, n_rows), 1 + 1 + 3 * 3, "{n_rows} rows");
        }
    }
}
