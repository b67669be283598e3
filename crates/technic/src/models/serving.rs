//! The inference stage with what surrounds it in a running process: models that are swapped when their files change,
//! metrics, and the tables of closed sessions as messages of their own.

use std::panic::{self, AssertUnwindSafe};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use inference::{Fingerprint, InferenceStage, ModelSet, ModelSource, Refused};
use pipeline::{Rejected, Restore, Stage};
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Opts};
use runtime::bus::Bus;
use runtime::outlet::Outgoing;
use runtime::shutdown::Shutdown;
use runtime::streams::PipelineStream;
use runtime::telemetry::Metrics;
use schemas::subject::Namespace;
use schemas::{FeatureBatch, Message as _, Partition, PredictionBatch, QuantileTables, Timeframe};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::{error, info, warn};

/// How often the model folders are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What inference publishes.
#[derive(Debug)]
pub(crate) enum Inferred {
    Predictions(PredictionBatch),
    /// Behind the batch that closed the session.
    Tables(QuantileTables),
}

impl Outgoing for Inferred {
    fn subject(&self, namespace: &Namespace) -> String {
        match self {
            Self::Predictions(batch) => batch.subject(namespace),
            Self::Tables(tables) => namespace.quantiles(tables.timeframe),
        }
    }

    fn message_id(&self) -> String {
        match self {
            Self::Predictions(batch) => batch.message_id(),
            Self::Tables(tables) => {
                format!("quantiles:{}:{}", tables.timeframe, tables.session.display(tables.timeframe))
            }
        }
    }

    fn payload(&self) -> Bytes {
        match self {
            Self::Predictions(batch) => batch.payload(),
            Self::Tables(tables) => tables.encode().into(),
        }
    }

    fn n_rows(&self) -> usize {
        match self {
            Self::Predictions(batch) => batch.n_rows(),
            Self::Tables(_) => 0,
        }
    }
}

/// The stage as the run loop drives it.
#[derive(Debug)]
pub(crate) struct Serving {
    stage: InferenceStage,
    timeframe: Timeframe,
    /// Verified models, loaded beside the line.
    incoming: Receiver<ModelSet>,
    metrics: ServingMetrics,
    n_infinite: u64,
    n_shadow_disagreements: u64,
    fresh: Vec<PredictionBatch>,
}

impl Serving {
    /// Takes models from `incoming` between two batches.
    pub(crate) fn new(
        stage: InferenceStage,
        timeframe: Timeframe,
        incoming: Receiver<ModelSet>,
        metrics: ServingMetrics,
    ) -> Self {
        Self { stage, timeframe, incoming, metrics, n_infinite: 0, n_shadow_disagreements: 0, fresh: Vec::new() }
    }
}

impl Stage for Serving {
    type Input = FeatureBatch;
    type Output = Inferred;

    fn on_batch(&mut self, features: FeatureBatch, out: &mut Vec<Inferred>) -> Result<(), Rejected> {
        while let Ok(models) = self.incoming.try_recv() {
            let models_before = self.stage.swap(models);
            // Freeing a model takes longer than a batch.
            thread::spawn(move || drop(models_before));
        }
        self.stage.on_batch(features, &mut self.fresh)?;
        out.extend(self.fresh.drain(..).map(Inferred::Predictions));
        out.extend(self.stage.take_closed(self.timeframe).into_iter().map(Inferred::Tables));
        let counts = self.stage.counts();
        self.metrics.infinite.inc_by(counts.n_infinite - std::mem::replace(&mut self.n_infinite, counts.n_infinite));
        let n_before = std::mem::replace(&mut self.n_shadow_disagreements, counts.n_shadow_disagreements);
        self.metrics.shadow_disagreements.inc_by(counts.n_shadow_disagreements - n_before);
        if let Some(difference) = counts.shadow_difference_max {
            self.metrics.shadow_difference.set(difference);
        }
        Ok(())
    }

    fn on_idle(&mut self, _: &mut Vec<Inferred>) {}

    fn on_refresh(&mut self, _: &mut Vec<Inferred>) {}

    fn needs_refresh(&self) -> bool {
        self.stage.needs_refresh()
    }

    fn is_ahead(&self, partition: Partition) -> bool {
        self.stage.is_ahead(partition)
    }
}

impl Restore for Serving {
    fn layout(&self) -> u64 {
        self.stage.layout()
    }

    fn snapshot(&self, partition: Partition) -> Vec<u8> {
        self.stage.snapshot(partition)
    }

    fn restore(&mut self, partition: Partition, bytes: &[u8]) -> Result<(), Rejected> {
        self.stage.restore(partition, bytes)
    }
}

/// What inference tells besides the metrics of every stage.
#[derive(Debug, Clone)]
pub(crate) struct ServingMetrics {
    infinite: IntCounter,
    shadow_difference: Gauge,
    shadow_disagreements: IntCounter,
    swaps: IntCounterVec,
    refused: IntGauge,
    panics: IntCounter,
}

impl ServingMetrics {
    /// # Errors
    /// When the registry has them already.
    pub(crate) fn register(metrics: &Metrics) -> anyhow::Result<Self> {
        let of = Self {
            infinite: IntCounter::new(
                "technic_inference_infinite_values_total",
                "Feature values beyond what a model reads, taken for missing.",
            )?,
            shadow_difference: Gauge::new(
                "technic_inference_shadow_difference_max",
                "Largest difference between the two backends since the models were loaded.",
            )?,
            shadow_disagreements: IntCounter::new(
                "technic_inference_shadow_disagreements_total",
                "Predictions that only one of the two backends could make.",
            )?,
            swaps: IntCounterVec::new(
                Opts::new("technic_inference_model_swaps_total", "Changes of the model folders, by outcome."),
                &["outcome"],
            )?,
            refused: IntGauge::new(
                "technic_inference_models_refused",
                "Newer versions of models that may not predict; 1 when a change of the folders was refused.",
            )?,
            panics: IntCounter::new(
                "technic_inference_watcher_panics_total",
                "Looks at the model folders that ended in a panic.",
            )?,
        };
        metrics.registry().register(Box::new(of.infinite.clone()))?;
        metrics.registry().register(Box::new(of.shadow_difference.clone()))?;
        metrics.registry().register(Box::new(of.shadow_disagreements.clone()))?;
        metrics.registry().register(Box::new(of.swaps.clone()))?;
        metrics.registry().register(Box::new(of.refused.clone()))?;
        metrics.registry().register(Box::new(of.panics.clone()))?;
        Ok(of)
    }

    /// Tells of versions that an older one stands in for.
    pub(crate) fn refused(&self, refused: &[Refused]) {
        for Refused { directory, error } in refused {
            let error = chain(error);
            error!(error, directory = %directory.display(), "a model is refused, an older version predicts");
        }
        self.refused.set(i64::try_from(refused.len()).unwrap_or(i64::MAX));
    }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Looks at the model folders until shutdown: what changed is loaded, checked and run here, beside the line, and handed
/// over only when all of it is sound. Else what predicts goes on predicting.
pub(crate) fn watch(
    source: ModelSource,
    seen: Fingerprint,
    metrics: ServingMetrics,
    shutdown: Shutdown,
) -> anyhow::Result<Receiver<ModelSet>> {
    // The line takes one as soon as it has a batch; a second one waits here, and is loaded anew if a third comes.
    let (sender, incoming) = mpsc::channel(1);
    let watcher = Watcher { source, seen, metrics, sender };
    let look = move || watcher.run(&shutdown);
    thread::Builder::new().name("models".to_owned()).spawn(look).context("cannot start a thread for the models")?;
    Ok(incoming)
}

struct Watcher {
    source: ModelSource,
    /// What the files looked like when they were last tried.
    seen: Fingerprint,
    metrics: ServingMetrics,
    sender: Sender<ModelSet>,
}

impl Watcher {
    fn run(mut self, shutdown: &Shutdown) {
        while !shutdown.is_requested() {
            thread::sleep(LOOK_EVERY);
            // A mistake of ours must not be the end of watching: what is put there later is looked at all the same.
            match panic::catch_unwind(AssertUnwindSafe(|| self.look())) {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => {
                    error!("looking at the model folders panicked, the models before go on");
                    self.metrics.panics.inc();
                }
            }
        }
    }

    /// `false` when nobody takes models any more.
    fn look(&mut self) -> bool {
        let found = self.source.fingerprint();
        found == self.seen || self.try_swap(found)
    }

    /// All newest versions, or the reason why not: in a running service it is they or what predicted before. A folder that
    /// vanished is no order to stop predicting.
    fn load(&self) -> Result<ModelSet, String> {
        let (models, refused) = self.source.load().map_err(|error| chain(&error))?;
        if let Some(Refused { error, .. }) = refused.first() {
            return Err(chain(error));
        }
        if models.is_empty() {
            return Err(format!("no model is left in {:?}", self.source.options.models));
        }
        Ok(models)
    }

    /// `false` when nobody takes models any more.
    fn try_swap(&mut self, found: Fingerprint) -> bool {
        let models = match self.load() {
            Ok(models) => models,
            Err(error) => {
                warn!(error, "the changed models are refused, those before go on");
                self.metrics.refused.set(1);
                self.metrics.swaps.with_label_values(&["refused"]).inc();
                self.seen = found;
                return true;
            }
        };
        let names = names(&models);
        match self.sender.try_send(models) {
            Ok(()) => {
                info!(models = names, "models changed, swapped in with the next batch");
                self.metrics.swaps.with_label_values(&["accepted"]).inc();
                self.metrics.refused.set(0);
                self.seen = found;
                true
            }
            // Tried again when the line has taken the one before.
            Err(TrySendError::Full(_)) => true,
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

/// Name and version of each, for the log.
pub(crate) fn names(models: &ModelSet) -> String {
    let name = |model: &inference::Model| {
        format!("{} {} ({})", model.reference().name, model.reference().version, model.backend())
    };
    models.models().map(name).collect::<Vec<_>>().join(", ")
}

/// The tables that were published last, if any.
pub(crate) async fn last_tables(
    bus: &Bus,
    namespace: &Namespace,
    timeframe: Timeframe,
) -> anyhow::Result<Option<QuantileTables>> {
    let stream = PipelineStream::Quantiles.name(namespace);
    let stored = bus.last(&stream, &namespace.quantiles(timeframe)).await.context("cannot read the last tables")?;
    let Some(stored) = stored else { return Ok(None) };
    match QuantileTables::decode(&stored.payload) {
        Ok(tables) => Ok(Some(tables)),
        Err(error) => {
            warn!(%error, "the last tables are none, those of the models serve until a session closes");
            Ok(None)
        }
    }
}
