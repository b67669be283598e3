use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use indicator::{IndicatorPlan, IndicatorStage};
use inference::InferenceStage;
use ingest::{Feed, HistoryFeed, Others, Rejections, ReplayFeed, RollUpStage, SyntheticFeed};
use publisher::{FactsStage, History, Hub, HubOutlet, RESULTS_REFRESH_STEPS, ResultsStage, TableCache};
use runtime::admin::{self, AdminState, ComponentHandle, Health};
use runtime::bus::{Bus, Delivery};
use runtime::clock;
use runtime::config::Loaded;
use runtime::decode_once::DecodeOnce;
use runtime::line::{self, Decoded, Line, Surroundings};
use runtime::outlet::BusOutlet;
use runtime::shutdown::{self, Shutdown};
use runtime::stage_metrics::StageMetrics;
use runtime::state_store::StateStore;
use runtime::streams;
use runtime::telemetry::Metrics;
use schemas::subject::{BatchKind, Namespace};
use schemas::{BarBatch, CodecError, FeatureBatch, Instrument, Message, PredictionBatch, ScoreBatch, Timeframe};
use scoring::{REFRESH_STEPS, ScoringInput, ScoringSetup, ScoringStage};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::cli::ServiceName;
use crate::config::{Config, Source};
use crate::models::serving::{Serving, ServingMetrics};
use crate::models::{self, serving};
use crate::outcomes;
use crate::replica;

/// Bars arrive and are scored at this timeframe.
const TIMEFRAME: Timeframe = Timeframe::D1;

/// How often the state of a stage that computes is saved.
const SAVE_EVERY: Duration = Duration::from_secs(10);
/// The same of what is only shown, tens of megabytes of rows and drawn bars; what came since is still in the streams.
const SAVE_SHOWN_EVERY: Duration = Duration::from_mins(1);
/// The longest that a result on the bus may lag behind whose bar, band, tier, signal and flags are what they were: each
/// is a message of its own, and a moving market moves thousands of rows a little with every refresh.
const RESULTS_REFRESH: Duration = Duration::from_secs(5);

/// How often the connection to the bus is looked at.
const BUS_POLL: Duration = Duration::from_millis(500);

/// How often a publisher looks whether it has caught up.
const RECOVERY_POLL: Duration = Duration::from_millis(50);

type Services = JoinSet<(&'static str, anyhow::Result<()>)>;

/// The ports of a process, taken before anything starts.
#[derive(Debug)]
pub struct Ports {
    admin: TcpListener,
    /// Taken when the publisher is among the services.
    publisher: Option<TcpListener>,
}

impl Ports {
    /// # Errors
    /// When one is taken already, or its address is not this machine's.
    pub async fn take(config: &Config, services: &BTreeSet<ServiceName>) -> anyhow::Result<Self> {
        let admin = admin::bind(&config.admin_listen()).await?;
        let publisher = if services.contains(&ServiceName::Publisher) {
            Some(
                TcpListener::bind(&config.publisher.listen)
                    .await
                    .with_context(|| format!("cannot listen on publisher.listen = `{}`", config.publisher.listen))?,
            )
        } else {
            None
        };
        Ok(Self { admin, publisher })
    }

    /// Where the publisher answers, if it is among the services.
    pub fn publisher(&self) -> Option<SocketAddr> {
        self.publisher.as_ref().and_then(|listener| listener.local_addr().ok())
    }
}

/// Runs services until a signal, or until one of them ends unasked: a half-alive process helps nobody.
pub(crate) async fn run(
    loaded: Loaded<Config>,
    names: &[ServiceName],
    on_signal: fn() -> Shutdown,
) -> anyhow::Result<()> {
    let shutdown = on_signal();
    let names: BTreeSet<ServiceName> = if names.is_empty() {
        [
            ServiceName::Ingest,
            ServiceName::Indicator,
            ServiceName::Inference,
            ServiceName::Scoring,
            ServiceName::Publisher,
        ]
        .into()
    } else {
        names.iter().copied().collect()
    };
    let ports = Ports::take(&loaded.config, &names).await?;
    let bus = Bus::connect(&loaded.config.bus_options("technic".to_owned())).await.context("cannot reach the bus")?;
    if let Some(address) = ports.publisher() {
        announce(&loaded.config, address)?;
    }
    let result = run_on_bus(loaded, &names, ports, &bus, &shutdown).await;
    bus.close().await;
    result
}

/// Runs services on a bus that others use, too, until `shutdown` or until one of them ends unasked.
///
/// # Errors
/// When a service cannot start or fails; the others are stopped then.
pub async fn run_on_bus(
    loaded: Loaded<Config>,
    services: &BTreeSet<ServiceName>,
    ports: Ports,
    bus: &Bus,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let config = &loaded.config;
    let namespace = config.namespace();
    streams::ensure(bus, &namespace).await.context("cannot prepare the streams")?;
    let metrics = Metrics::new();
    let health = Health::new();
    let config_masked = loaded.masked.into();
    let admin_state = AdminState { health: health.clone(), metrics: metrics.clone(), config_masked };
    let admin_address = ports.admin.local_addr().context("the admin port has no address")?;
    let watched = (bus.clone(), health.component("bus"), shutdown.clone());
    let composition = Composition { config, bus, namespace, metrics, health, shutdown };

    let mut running = Services::new();
    let (routes, until) = (admin::routes(admin_state.clone()), shutdown.clone());
    running.spawn(async move { ("admin", admin::serve(ports.admin, routes, until).await.map_err(Into::into)) });
    running.spawn(watch_bus(watched));
    for service in services {
        match service {
            ServiceName::Ingest => composition.ingest(&mut running).await?,
            ServiceName::Indicator => composition.indicator(&mut running)?,
            ServiceName::Inference => composition.inference(&mut running).await?,
            ServiceName::Scoring => composition.scoring(&mut running)?,
            // Last, below: it takes the port.
            ServiceName::Publisher => {}
        }
    }
    if let Some(listener) = ports.publisher {
        composition.publisher(&mut running, listener, admin_state)?;
    }
    info!(%admin_address, bus = %config.bus_options(String::new()).kind, "running");
    supervise(running, shutdown, config.shutdown.deadline).await
}

/// Waits for the first service that ends, stops the others, and waits for them in turn.
async fn supervise(mut services: Services, shutdown: &Shutdown, deadline: Duration) -> anyhow::Result<()> {
    let mut first_error = None;
    let mut note = |ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>| {
        let failure = match ended {
            Ok((_, Ok(()))) if shutdown.is_requested() => return,
            Ok((service, Ok(()))) => anyhow!("{service} ended unasked"),
            Ok((service, Err(error))) => error.context(format!("{service} failed")),
            Err(error) => anyhow!(error).context("a service panicked"),
        };
        error!(error = format!("{failure:#}"), "service failed, stopping the others");
        first_error.get_or_insert(failure);
        shutdown.trigger("a service failed");
    };
    if let Some(ended) = services.join_next().await {
        note(ended);
    }
    let reason = shutdown.reason().unwrap_or_default();
    info!(%reason, "stopping");
    let all = async {
        while let Some(ended) = services.join_next().await {
            note(ended);
        }
    };
    if let Err(not_ended) = shutdown::deadline("the services", deadline, all).await {
        warn!(error = %not_ended, "cut short");
        services.abort_all();
    }
    first_error.map_or(Ok(()), Err)
}

/// Tells on stdout where the results are, and what kind of data they stand on.
fn announce(config: &Config, address: SocketAddr) -> anyhow::Result<()> {
    let data = match config.source() {
        Source::Synthetic(options) => format!("SYNTHETIC market of {} symbols, not real data", options.n_symbols),
        Source::Replay { dir, .. } => format!("REPLAY of `{}`", dir.display()),
        Source::Intake { history } => {
            let past = history.map_or("no history".to_owned(), |dir| format!("history `{}`", dir.display()));
            format!("LIVE bars from `{}`, {past}", config.namespace().intake())
        }
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(
        stdout,
        "technic {}: {data}\n  page       http://{address}/\n  scan       http://{address}/v1/scan\n  \
         WebSocket  ws://{address}/ws",
        env!("CARGO_PKG_VERSION"),
    )
    .and_then(|()| stdout.flush())
    .context("cannot write to stdout")
}

/// Opens the configured source. Reading history takes a moment, so it does not happen on the async threads.
pub(crate) async fn open_feed(source: Source) -> anyhow::Result<Box<dyn Feed>> {
    let open = move || -> anyhow::Result<Box<dyn Feed>> {
        match source {
            Source::Synthetic(options) => Ok(Box::new(SyntheticFeed::new(&options))),
            Source::Replay { dir, options } => {
                let feed = ReplayFeed::open(&dir, &options)?;
                report_folder(&dir, feed.missing_files(), feed.rejections());
                Ok(Box::new(feed))
            }
            Source::Intake { history } => {
                let dir = history.context("the intake has no history")?;
                let feed = HistoryFeed::open(&dir)?;
                report_folder(&dir, feed.missing_files(), feed.rejections());
                Ok(Box::new(feed))
            }
        }
    };
    tokio::task::spawn_blocking(open).await.context("the feed could not be opened")?
}

/// What of a folder cannot be used.
fn report_folder(dir: &Path, missing_files: &[&'static str], rejections: &Rejections) {
    for file in missing_files {
        warn!(dir = %dir.display(), file, "file is missing, what it would tell stays unknown");
    }
    for fault in &rejections.samples {
        warn!(%fault, "row rejected");
    }
    if rejections.total() > 0 {
        warn!(by_reason = ?rejections.by_reason, "rows rejected");
    }
}

/// A process whose bus is away is no use to those who ask it.
async fn watch_bus((bus, health, shutdown): (Bus, ComponentHandle, Shutdown)) -> (&'static str, anyhow::Result<()>) {
    let watching = async {
        loop {
            if bus.is_connected() {
                health.set_ready();
            } else {
                health.set_not_ready("the connection to the bus is lost");
            }
            tokio::time::sleep(BUS_POLL).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = shutdown.requested() => {}
    }
    ("bus", Ok(()))
}

/// What the services of one process are made of.
struct Composition<'a> {
    config: &'a Config,
    bus: &'a Bus,
    namespace: Namespace,
    metrics: Metrics,
    health: Health,
    shutdown: &'a Shutdown,
}

impl Composition<'_> {
    async fn ingest(&self, services: &mut Services) -> anyhow::Result<()> {
        if let Source::Intake { history } = self.config.source() {
            return self.intake(services, history.is_some()).await;
        }
        let feed = open_feed(self.config.source()).await?;
        let (namespace, surroundings) = (self.namespace.clone(), self.surroundings("ingest"));
        services.spawn(async move {
            let result = ingest::drive(feed, namespace, TIMEFRAME, Others::Refuse, &surroundings).await;
            if result.is_ok() {
                // A replay that is through leaves its results to be looked at.
                surroundings.shutdown.requested().await;
            }
            ("ingest", result.map_err(Into::into))
        });
        Ok(())
    }

    /// Takes in bars from the start. What minutes make of the day waits until the past is on the bus, so that no day that
    /// is over comes before it.
    async fn intake(&self, services: &mut Services, has_history: bool) -> anyhow::Result<()> {
        let history = if has_history { Some(open_feed(self.config.source()).await?) } else { None };
        let (namespace, surroundings) = (self.namespace.clone(), self.surroundings("ingest"));
        services.spawn(async move {
            let result = ingest::take_in(namespace, start_epoch(), &surroundings).await;
            ("ingest", result.map_err(Into::into))
        });

        let mut line = self.line("roll_up", BatchKind::Bar, Some(BatchKind::Bar))?;
        line.timeframe = Timeframe::M1;
        let (outlet, surroundings) = (self.outlet(), self.surroundings("roll_up"));
        let (namespace, past) = (self.namespace.clone(), self.surroundings("history"));
        services.spawn(async move {
            let result = async {
                if let Some(feed) = history {
                    ingest::drive(feed, namespace, TIMEFRAME, Others::Follow, &past).await?;
                }
                past.health.set_ready();
                line::run(RollUpStage::new(), line, bars, outlet, surroundings).await?;
                Ok(())
            };
            ("roll_up", result.await)
        });
        Ok(())
    }

    fn indicator(&self, services: &mut Services) -> anyhow::Result<()> {
        let line = self.line("indicator", BatchKind::Bar, Some(BatchKind::Feature))?;
        let (outlet, surroundings) = (self.outlet(), self.surroundings("indicator"));
        let stage = IndicatorStage::with_plan(self.plan()?);
        services.spawn(async move {
            let result = line::run(stage, line, bars, outlet, surroundings).await;
            ("indicator", result.map_err(Into::into))
        });
        Ok(())
    }

    /// The columns that the stages agree on.
    fn plan(&self) -> anyhow::Result<IndicatorPlan> {
        Ok(self.config.indicator.plan()?)
    }

    async fn inference(&self, services: &mut Services) -> anyhow::Result<()> {
        let plan = self.plan()?.columns().clone();
        let source = models::source(self.config, plan.clone());
        // Before they are read: what changes meanwhile is read again.
        let seen = source.fingerprint();
        let (models, refused) = source.load()?;
        if models.is_empty() {
            warn!(reason = models::no_models(&source), "predictions are missing");
        } else {
            info!(models = serving::names(&models), "models loaded");
        }
        let mut stage = InferenceStage::new(plan, models);
        if let Some(tables) = serving::last_tables(self.bus, &self.namespace, TIMEFRAME).await? {
            stage.seed(&tables);
        }
        let metrics = ServingMetrics::register(&self.metrics)?;
        metrics.refused(&refused);
        let incoming = serving::watch(source, seen, metrics.clone(), self.shutdown.clone())?;
        let stage = Serving::new(stage, TIMEFRAME, incoming, metrics);
        let line = self.line("inference", BatchKind::Feature, Some(BatchKind::Prediction))?;
        let (outlet, surroundings) = (self.outlet(), self.surroundings("inference"));
        services.spawn(async move {
            let result = line::run(stage, line, features, outlet, surroundings).await;
            ("inference", result.map_err(Into::into))
        });
        Ok(())
    }

    fn scoring(&self, services: &mut Services) -> anyhow::Result<()> {
        let mut stage = ScoringStage::new(ScoringSetup {
            options: self.config.scoring.clone(),
            timeframe: TIMEFRAME,
            plan: self.plan()?.columns().clone(),
            epoch: start_epoch(),
        })?;
        if let Some(path) = &self.config.scoring.outcomes {
            stage = stage.with_outcomes(outcomes::read(path)?);
        }
        let mut line = self.line("scoring", BatchKind::Prediction, None)?;
        line.with_instruments = true;
        line.refresh /= u32::from(REFRESH_STEPS);
        let (outlet, surroundings) = (self.outlet(), self.surroundings("scoring"));
        let namespace = self.namespace.clone();
        services.spawn(async move {
            let decode = move |delivery: &Delivery| scoring_input(&namespace, delivery);
            let result = line::run(stage, line, decode, outlet, surroundings).await;
            ("scoring", result.map_err(Into::into))
        });
        Ok(())
    }

    /// Two readers of the scores: one feeds the clients of this process, the other keeps the last result of each symbol
    /// on the bus. A third reads the features, for clients that want bars with their indicators and for the bars that are
    /// drawn. None waits for another. Publishers may run beside each other: one of them keeps the results.
    fn publisher(&self, services: &mut Services, listener: TcpListener, admin_state: AdminState) -> anyhow::Result<()> {
        let epoch = publisher::epoch_text(start_epoch());
        let scores = DecodeOnce::new(scores);
        let hub = Hub::new(epoch, clock::now_ns, self.metrics.registry()).context("cannot register metrics")?;
        let replica = if self.bus.is_durable() { Some(replica::name(&self.config.state_dir)?) } else { None };
        let mut line = self.line("publisher", BatchKind::Score, None)?;
        line.save_every = SAVE_SHOWN_EVERY;
        line.replica.clone_from(&replica);
        let (board, outlet, surroundings) = (hub.clone(), HubOutlet::new(hub.clone()), self.surroundings("publisher"));
        let (bus, namespace) = (self.bus.clone(), self.namespace.clone());
        let (seeded, decode) = (hub.clone(), scores.clone());
        let cache = TableCache::open(&self.config.cache_kind(), &namespace, bus.is_durable());
        services.spawn(share_table(cache.clone(), hub.clone(), self.health.clone(), self.shutdown.clone()));
        let loaded = cache.clone();
        // A bus that ends with its process begins another market with every start.
        hub.set_loading(replica.is_some());
        let reader = replica.clone();
        services.spawn(async move {
            let result = async {
                if let Some(replica) = reader {
                    loaded.load(&seeded).await;
                    publisher::seed(&seeded, &bus, &namespace, &replica).await?;
                    seeded.set_loading(false);
                }
                line::run(board, line, decode, outlet, surroundings).await?;
                Ok(())
            };
            ("publisher", result.await)
        });

        let (lines, surroundings) = (self.lines(), self.surroundings("results"));
        services.spawn(async move {
            let Surroundings { bus, shutdown, health, .. } = surroundings.clone();
            let work = || {
                let mut line = lines.line("results", BatchKind::Score, None)?;
                line.refresh = line.refresh.max(RESULTS_REFRESH) / RESULTS_REFRESH_STEPS;
                let outlet = BusOutlet::new(bus.clone(), lines.namespace.clone());
                Ok(line::run(ResultsStage::default(), line, scores.clone(), outlet, surroundings.clone()))
            };
            let result = replica::one_at_a_time(&bus, &shutdown, work, || health.set_ready()).await;
            ("results", result)
        });

        let history = History::new(self.plan()?.columns().clone(), self.config.publisher.bars_max);
        let mut line = self.line("facts", BatchKind::Feature, None)?;
        line.save_every = SAVE_SHOWN_EVERY;
        line.replica.clone_from(&replica);
        let stage = FactsStage::new(self.plan()?.columns().clone(), history.clone());
        let (outlet, surroundings) = (HubOutlet::new(hub.clone()), self.surroundings("facts"));
        services.spawn(async move {
            let result = line::run(stage, line, features, outlet, surroundings).await;
            ("facts", result.map_err(Into::into))
        });

        let reader = replica.unwrap_or_default();
        let (alerted, bus, namespace, until) =
            (hub.clone(), self.bus.clone(), self.namespace.clone(), self.shutdown.clone());
        services.spawn(async move {
            let followed = tokio::select! {
                followed = publisher::follow_alerts(&alerted, &bus, &namespace, &reader) => followed,
                () = until.requested() => Ok(()),
            };
            ("alerts", followed.map_err(Into::into))
        });

        let (options, until) = (self.config.publisher.clone(), self.shutdown.clone());
        services.spawn(async move {
            let routes = admin::public_routes(admin_state);
            let result = publisher::serve(
                listener,
                hub,
                history,
                routes,
                async move { until.requested().await },
                options,
                cache,
            )
            .await;
            ("web", result.map_err(Into::into))
        });
        Ok(())
    }

    fn lines(&self) -> Lines {
        Lines {
            state_dir: self.bus.is_durable().then(|| self.config.state_dir.clone()),
            namespace: self.namespace.clone(),
            refresh: self.config.scoring.refresh,
        }
    }

    fn line(&self, service: &'static str, input: BatchKind, output: Option<BatchKind>) -> anyhow::Result<Line> {
        self.lines().line(service, input, output)
    }

    fn surroundings(&self, service: &'static str) -> Surroundings {
        Surroundings {
            bus: self.bus.clone(),
            shutdown: self.shutdown.clone(),
            metrics: StageMetrics::register(&self.metrics, service),
            health: self.health.component(service),
        }
    }

    fn outlet(&self) -> BusOutlet {
        BusOutlet::new(self.bus.clone(), self.namespace.clone())
    }
}

/// What the lines of one process have in common.
#[derive(Debug, Clone)]
struct Lines {
    /// `None` on a bus that does not outlive the process.
    state_dir: Option<PathBuf>,
    namespace: Namespace,
    refresh: Duration,
}

impl Lines {
    fn line(&self, service: &'static str, input: BatchKind, output: Option<BatchKind>) -> anyhow::Result<Line> {
        let open = |folder: &PathBuf| StateStore::open(folder, &self.namespace, service, TIMEFRAME);
        let store = self.state_dir.as_ref().map(open).transpose()?;
        Ok(Line {
            service,
            namespace: self.namespace.clone(),
            timeframe: TIMEFRAME,
            input,
            output: output.map(|kind| (kind, TIMEFRAME)),
            with_instruments: false,
            replica: None,
            refresh: self.refresh,
            store,
            save_every: SAVE_EVERY,
        })
    }
}

/// Shares the table of a publisher that has caught up with the scores. What another one knew is then confirmed or gone.
async fn share_table(
    cache: TableCache,
    hub: Hub,
    health: Health,
    shutdown: Shutdown,
) -> (&'static str, anyhow::Result<()>) {
    let is_recovering = || health.not_ready().iter().any(|part| part.component == "publisher");
    let sharing = async {
        while is_recovering() {
            tokio::time::sleep(RECOVERY_POLL).await;
        }
        cache.settle(&hub);
        cache.keep(&hub).await;
    };
    tokio::select! {
        () = sharing => {}
        () = shutdown.requested() => {}
    }
    ("cache", Ok(()))
}

/// Rises with every start, so that readers recognise what is newer.
fn start_epoch() -> u64 {
    u64::try_from(clock::now_ns().as_ns()).unwrap_or_default()
}

fn bars(delivery: &Delivery) -> Result<Decoded<BarBatch>, CodecError> {
    let input = BarBatch::decode(&delivery.payload)?;
    let n_rows = input.len();
    Ok(Decoded::batch(input, n_rows, BarBatch::header))
}

fn features(delivery: &Delivery) -> Result<Decoded<FeatureBatch>, CodecError> {
    let input = FeatureBatch::decode(&delivery.payload)?;
    let n_rows = input.bars().len();
    Ok(Decoded::batch(input, n_rows, FeatureBatch::header))
}

fn scoring_input(namespace: &Namespace, delivery: &Delivery) -> Result<Decoded<ScoringInput>, CodecError> {
    if namespace.parse_batch(&delivery.subject).is_none() {
        let instrument = Instrument::decode(&delivery.payload)?;
        return Ok(Decoded { input: ScoringInput::Instrument(instrument), n_rows: 1, place: None });
    }
    let batch = PredictionBatch::decode(&delivery.payload)?;
    let n_rows = batch.rows().len();
    let Decoded { input, place, .. } = Decoded::batch(batch, n_rows, PredictionBatch::header);
    Ok(Decoded { input: ScoringInput::Predictions(input), n_rows, place })
}

fn scores(delivery: &Delivery) -> Result<Decoded<ScoreBatch>, CodecError> {
    let input = ScoreBatch::decode(&delivery.payload)?;
    let n_rows = input.rows.len();
    Ok(Decoded::batch(input, n_rows, |batch| &batch.header))
}
