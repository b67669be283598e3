//! What a process tells about itself: logs, error reports and the metrics registry.

use std::io::IsTerminal;
use std::time::Duration;

use prometheus::{Gauge, IntGauge, Opts, Registry, TextEncoder};
use sentry::integrations::tracing::{BreadcrumbLayer, ErrorLayer};
use sentry::types::{Dsn, ParseDsnError};
use serde::Deserialize;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry as Subscriber, fmt};

use crate::clock;
use crate::config::Secret;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long the end of the process waits for error reports to leave.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// The section `telemetry` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TelemetryConfig {
    /// Directives such as `info,runtime::bus=debug`.
    pub log: String,
    pub format: LogFormat,
    /// Where errors and panics are reported; nowhere when absent.
    pub sentry_dsn: Option<Secret>,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people, coloured on a terminal.
    Text,
    /// One object a line.
    Json,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("`telemetry.log` has an invalid directive in `{directives}`")]
    Log {
        directives: String,
        #[source]
        source: ParseError,
    },
    #[error("`telemetry.sentry_dsn` is not a valid DSN")]
    SentryDsn(#[source] ParseDsnError),
    #[error("telemetry is already initialised in this process")]
    AlreadyInitialised(#[source] TryInitError),
}

/// Keeps error reporting alive. Dropping it sends what is left, for at most two seconds.
#[must_use = "error reporting ends when this is dropped"]
pub struct TelemetryGuard {
    _sentry: Option<sentry::ClientInitGuard>,
}

/// Starts logging to stderr (stdout belongs to results), and error reporting if it is configured.
///
/// # Errors
/// A value of the configuration is invalid, or this is not the first call in the process.
pub fn init(config: &TelemetryConfig) -> Result<TelemetryGuard, TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(&config.log)
        .map_err(|source| TelemetryError::Log { directives: config.log.clone(), source })?;
    let dsn: Option<Dsn> = config
        .sentry_dsn
        .as_ref()
        .filter(|dsn| !dsn.expose().is_empty())
        .map(|dsn| dsn.expose().parse())
        .transpose()
        .map_err(TelemetryError::SentryDsn)?;

    let log = fmt::layer::<Subscriber>().with_writer(std::io::stderr);
    let log = match config.format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => log.with_ansi(false).json().flatten_event(true).boxed(),
    };
    let report = dsn.is_some().then(|| {
        let crumbs = BreadcrumbLayer::new().with_filter(LevelFilter::INFO);
        ErrorLayer::new().with_filter(LevelFilter::ERROR).and_then(crumbs)
    });
    tracing_subscriber::registry()
        .with(log.with_filter(filter))
        .with(report)
        .try_init()
        .map_err(TelemetryError::AlreadyInitialised)?;
    Ok(TelemetryGuard { _sentry: dsn.map(start_sentry) })
}

fn start_sentry(dsn: Dsn) -> sentry::ClientInitGuard {
    let mut options = sentry::ClientOptions::new()
        .release(concat!("technic@", env!("CARGO_PKG_VERSION")))
        .shutdown_timeout(FLUSH_MAX);
    options.dsn = Some(dsn);
    sentry::init(options)
}

/// The metrics of a process; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics(Registry);

impl Metrics {
    /// A registry that knows the version and the start time of the process.
    ///
    /// # Panics
    /// Never: the two metrics are the first of their names.
    pub fn new() -> Self {
        let registry = Registry::new();
        let build =
            Opts::new("technic_build_info", "Always 1; the label tells the version.").const_label("version", VERSION);
        let build = IntGauge::with_opts(build).expect("the name and the label are valid");
        build.set(1);
        let start = Gauge::new("technic_process_start_time_seconds", "Start of the process, since the Unix epoch.")
            .expect("the name is valid");
        start.set(clock::now_ns().as_ns() as f64 / 1e9);
        registry.register(Box::new(build)).expect("the registry is empty");
        registry.register(Box::new(start)).expect("the name is new");
        Self(registry)
    }

    /// Where a crate's `metrics.rs` registers its own.
    pub fn registry(&self) -> &Registry {
        &self.0
    }

    /// All metrics in the Prometheus text format.
    ///
    /// # Panics
    /// When a metric without samples or name was registered, which the registry refuses.
    pub fn encode(&self) -> String {
        TextEncoder::new().encode_to_string(&self.0.gather()).expect("the registry holds only complete metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn config(log: &str, sentry_dsn: Option<&str>) -> TelemetryConfig {
        TelemetryConfig { log: log.to_owned(), format: LogFormat::Json, sentry_dsn: sentry_dsn.map(Secret::new) }
    }

    fn failure(config: &TelemetryConfig) -> TelemetryError {
        init(config).map(|_| ()).unwrap_err()
    }

    #[test]
    fn the_second_start_is_an_error() {
        let _first = init(&config("off", Some(""))).unwrap();
        let second = TelemetryConfig { format: LogFormat::Text, ..config("off", Some("https://key@127.0.0.1:1/1")) };
        assert!(matches!(failure(&second), TelemetryError::AlreadyInitialised(_)));
    }

    #[test]
    fn an_invalid_value_is_an_error_that_names_the_key_and_keeps_the_secret() {
        let error = failure(&config("runtime=loud", None));
        assert_eq!(error.to_string(), "`telemetry.log` has an invalid directive in `runtime=loud`");
        let error = failure(&config("off", Some("https://hush@")));
        assert_eq!(error.to_string(), "`telemetry.sentry_dsn` is not a valid DSN");
        assert!(!error.source().unwrap().to_string().contains("hush"));
    }

    #[test]
    fn the_configuration_is_read_by_its_names() {
        let read: TelemetryConfig = toml::from_str("log = 'info'\nformat = 'text'").unwrap();
        assert_eq!(read, TelemetryConfig { format: LogFormat::Text, ..config("info", None) });
    }

    #[test]
    fn the_registry_knows_version_and_start() {
        let text = Metrics::new().encode();
        assert!(text.contains(&format!("technic_build_info{{version=\"{VERSION}\"}} 1\n")), "{text}");
        assert!(text.contains("\ntechnic_process_start_time_seconds 1"), "{text}");
    }
}
