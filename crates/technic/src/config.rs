use std::path::{Path, PathBuf};
use std::time::Duration;

use indicator::IndicatorOptions;
use inference::InferenceOptions;
use ingest::{ReplayOptions, Speed, SyntheticOptions};
use publisher::PublisherOptions;
use runtime::admin::Listen;
use runtime::bus::{BusKind, BusOptions};
use runtime::cache::CacheKind;
use runtime::config::{self, ConfigErrors, Layers, Loaded, Problem};
use runtime::telemetry::TelemetryConfig;
use schemas::EventTime;
use schemas::subject::Namespace;
use scoring::ScoringOptions;
use serde::Deserialize;

/// The reference: every key with its default and what it means.
const DEFAULT_TOML: &str = include_str!("../default.toml");

/// Everything an operator can set, as written. [`Config::load`] checks what the types do not.
#[derive(Debug, Deserialize)]
pub struct Config {
    pub bus: String,
    pub namespace: String,
    pub cache: String,
    pub state_dir: PathBuf,
    pub delivery: Delivery,
    pub ingest: Ingest,
    pub indicator: IndicatorOptions,
    pub inference: InferenceOptions,
    pub scoring: ScoringOptions,
    pub publisher: PublisherOptions,
    pub admin: Admin,
    pub telemetry: TelemetryConfig,
    pub shutdown: Shutdown,
}

#[derive(Debug, Deserialize)]
pub struct Delivery {
    #[serde(with = "config::duration")]
    pub publish_timeout: Duration,
    pub lead_max: u64,
}

#[derive(Debug, Deserialize)]
pub struct Ingest {
    pub source: String,
    pub replay: Replay,
    pub intake: Intake,
    pub synthetic: Synthetic,
}

#[derive(Debug, Deserialize)]
pub struct Replay {
    pub from: Option<String>,
    pub to: Option<String>,
    pub speed: String,
}

#[derive(Debug, Deserialize)]
pub struct Intake {
    pub history: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
pub struct Synthetic {
    pub seed: u64,
    pub n_symbols: usize,
    pub history_sessions: usize,
    pub start: String,
    #[serde(with = "config::duration")]
    pub live_step: Duration,
    pub steps_per_session: u32,
    pub live_fraction: f64,
}

#[derive(Debug, Deserialize)]
pub struct Admin {
    pub listen: String,
}

#[derive(Debug, Deserialize)]
pub struct Shutdown {
    #[serde(with = "config::duration")]
    pub deadline: Duration,
}

/// Where bars come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Synthetic(SyntheticOptions),
    Replay {
        dir: PathBuf,
        options: ReplayOptions,
    },
    /// Whatever is sent to the intake, after the daily bars of a folder.
    Intake {
        history: Option<PathBuf>,
    },
}

/// What `ingest.source` names.
enum SourceKind {
    Synthetic,
    Replay(PathBuf),
    Intake,
}

impl Config {
    /// Reads all layers and reports everything that is wrong with them at once.
    ///
    /// # Errors
    /// Every problem, with the key and the layer that set it.
    pub fn load(file: Option<&Path>, flags: Vec<(String, String)>) -> Result<Loaded<Self>, ConfigErrors> {
        let layers = Layers { default_toml: DEFAULT_TOML, file, environment: config::environment(), flags };
        Self::load_layers(&layers)
    }

    fn load_layers(layers: &Layers<'_>) -> Result<Loaded<Self>, ConfigErrors> {
        let loaded: Loaded<Self> = config::load(layers)?;
        let problems: Vec<Problem> =
            loaded.config.problems().into_iter().map(|(key, message)| loaded.problem(key, message)).collect();
        if problems.is_empty() { Ok(loaded) } else { Err(ConfigErrors { problems }) }
    }

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut check = |key: &'static str, result: Result<(), String>| {
            if let Err(message) = result {
                problems.push((key, message));
            }
        };
        check("bus", self.bus.parse::<BusKind>().map(drop).map_err(|error| error.to_string()));
        check("namespace", self.namespace.parse::<Namespace>().map(drop).map_err(|error| error.to_string()));
        check("cache", self.cache.parse::<CacheKind>().map(drop).map_err(|error| error.to_string()));
        check("ingest.source", self.source_kind().and_then(|kind| self.fits_bus(&kind)));
        let ingest = &self.ingest;
        check("ingest.replay.from", session(ingest.replay.from.as_deref()).map(drop));
        check("ingest.replay.to", session(ingest.replay.to.as_deref()).map(drop));
        check("ingest.replay.speed", ingest.replay.speed.parse::<Speed>().map(drop).map_err(|error| error.to_string()));
        check("ingest.synthetic.start", session(Some(&ingest.synthetic.start)).map(drop));
        let in_range = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        check("ingest.synthetic.n_symbols", in_range((1..=50_000).contains(&ingest.synthetic.n_symbols), "1 to 50000"));
        check("ingest.synthetic.steps_per_session", in_range(ingest.synthetic.steps_per_session > 0, "at least 1"));
        let fraction = ingest.synthetic.live_fraction;
        check("ingest.synthetic.live_fraction", in_range((0.0..=1.0).contains(&fraction), "0 to 1"));
        check("indicator.extra", self.indicator.plan().map(drop).map_err(|errors| errors.to_string()));
        let library = self.inference.ort_library.as_deref();
        let is_there = library.is_none_or(Path::exists);
        check("inference.ort_library", in_range(is_there, "there is no such file"));
        let names_library = library.is_some() || !self.inference.shadow;
        check("inference.shadow", in_range(names_library, "needs `inference.ort_library`"));
        check("delivery.lead_max", in_range(self.delivery.lead_max > 0, "at least 1"));
        check("delivery.publish_timeout", in_range(!self.delivery.publish_timeout.is_zero(), "above zero"));
        check("scoring.refresh", in_range(!self.scoring.refresh.is_zero(), "above zero"));
        check("scoring.min_delta", in_range(self.scoring.min_delta >= 0.0, "zero or more"));
        let account = &self.scoring.account;
        for (key, number) in [
            ("scoring.account.size", account.size),
            ("scoring.account.risk_pct", account.risk_pct),
            ("scoring.account.target_rr", account.target_rr),
            ("scoring.account.liquidity_cap_pct", account.liquidity_cap_pct),
            ("scoring.account.leverage_max", account.leverage_max),
        ] {
            check(key, in_range(number > 0.0 && number.is_finite(), "above zero"));
        }
        check("scoring.account.risk_pct", in_range(account.risk_pct <= 100.0, "at most 100"));
        check("admin.listen", self.admin.listen.parse::<Listen>().map(drop).map_err(|error| error.to_string()));
        for problem in self.publisher.problems() {
            let (key, message) = problem.split_once(": ").unwrap_or(("", &problem));
            let key = match key {
                "listen" => "publisher.listen",
                "heartbeat" => "publisher.heartbeat",
                "connections_max" => "publisher.connections_max",
                "write_stall_max" => "publisher.write_stall_max",
                "requests_burst" => "publisher.requests_burst",
                "cors_origins" => "publisher.cors_origins",
                "bars_max" => "publisher.bars_max",
                "keys" => "publisher.keys",
                "jwt.secret" => "publisher.jwt.secret",
                "jwt.secret_file" => "publisher.jwt.secret_file",
                "jwt.audience" => "publisher.jwt.audience",
                "limits.connections_per_key" => "publisher.limits.connections_per_key",
                "limits.subscriptions" => "publisher.limits.subscriptions",
                "limits.subscriptions_per_key" => "publisher.limits.subscriptions_per_key",
                "limits.messages_per_second" => "publisher.limits.messages_per_second",
                "limits.message_bytes" => "publisher.limits.message_bytes",
                _ => "publisher",
            };
            problems.push((key, message.to_owned()));
        }
        problems
    }

    fn source_kind(&self) -> Result<SourceKind, String> {
        match self.ingest.source.split_once(':') {
            None if self.ingest.source == "synthetic" => Ok(SourceKind::Synthetic),
            None if self.ingest.source == "nats" => Ok(SourceKind::Intake),
            Some(("replay", dir)) if !dir.is_empty() => Ok(SourceKind::Replay(dir.into())),
            _ => Err(format!("`{}` is no source; use `synthetic`, `replay:DIR` or `nats`", self.ingest.source)),
        }
    }

    fn fits_bus(&self, source: &SourceKind) -> Result<(), String> {
        match source {
            SourceKind::Intake if self.bus == "memory" => {
                Err("`nats` needs a bus that others reach; set bus to `nats-child` or `nats://host:port`".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// # Panics
    /// Never: [`Self::load`] checked the texts.
    pub fn source(&self) -> Source {
        const CHECKED: &str = "the configuration was checked when it was loaded";
        let (replay, synthetic) = (&self.ingest.replay, &self.ingest.synthetic);
        match self.source_kind().expect(CHECKED) {
            SourceKind::Replay(dir) => Source::Replay {
                dir,
                options: ReplayOptions {
                    from: session(replay.from.as_deref()).expect(CHECKED),
                    to: session(replay.to.as_deref()).expect(CHECKED),
                    symbols: None,
                    speed: replay.speed.parse().expect(CHECKED),
                },
            },
            SourceKind::Intake => Source::Intake { history: self.ingest.intake.history.clone() },
            SourceKind::Synthetic => Source::Synthetic(SyntheticOptions {
                seed: synthetic.seed,
                n_symbols: synthetic.n_symbols,
                history_sessions: synthetic.history_sessions,
                start: session(Some(&synthetic.start)).expect(CHECKED).expect("a start is given"),
                live_step: synthetic.live_step,
                steps_per_session: synthetic.steps_per_session,
                live_fraction: synthetic.live_fraction,
            }),
        }
    }

    /// # Panics
    /// Never: [`Self::load`] checked the text.
    pub fn namespace(&self) -> Namespace {
        self.namespace.parse().expect("the namespace was checked when the configuration was loaded")
    }

    /// # Panics
    /// Never: [`Self::load`] checked the text.
    pub fn cache_kind(&self) -> CacheKind {
        self.cache.parse().expect("the cache was checked when the configuration was loaded")
    }

    /// # Panics
    /// Never: [`Self::load`] checked the text.
    pub fn bus_options(&self, client_name: String) -> BusOptions {
        BusOptions {
            kind: self.bus.parse().expect("the bus was checked when the configuration was loaded"),
            data_dir: self.state_dir.clone(),
            nats_server: config::nats_server(),
            client_name,
            publish_timeout: self.delivery.publish_timeout,
            lead_max: self.delivery.lead_max,
        }
    }

    /// # Panics
    /// Never: [`Self::load`] checked the text.
    pub fn admin_listen(&self) -> Listen {
        self.admin.listen.parse().expect("the address was checked when the configuration was loaded")
    }
}

fn session(text: Option<&str>) -> Result<Option<EventTime>, String> {
    text.map(|text| EventTime::parse_date(text).ok_or_else(|| format!("`{text}` is no date; write YYYY-MM-DD")))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(flags: &[(&str, &str)]) -> Result<Config, String> {
        let flags = flags.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let layers = Layers { default_toml: DEFAULT_TOML, flags, ..Layers::default() };
        Config::load_layers(&layers).map(|loaded| loaded.config).map_err(|errors| errors.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_services() {
        let config = load(&[]).unwrap();
        assert_eq!(config.source(), Source::Synthetic(SyntheticOptions::default()));
        assert_eq!(config.scoring, ScoringOptions::default());
        assert_eq!(config.publisher, PublisherOptions::default());
        assert_eq!(config.inference, InferenceOptions::default());
        assert_eq!(config.indicator, IndicatorOptions::default());
    }

    #[test]
    fn a_replay_is_named_by_its_folder() {
        let flags =
            [("ingest.source", "replay:some/dir"), ("ingest.replay.to", "2016-06-30"), ("ingest.replay.speed", "60")];
        let Source::Replay { dir, options } = load(&flags).unwrap().source() else { panic!("a replay") };
        assert_eq!(dir, PathBuf::from("some/dir"));
        assert_eq!((options.to, options.speed), (EventTime::parse_date("2016-06-30"), Speed::Times(60.0)));
    }

    #[test]
    fn the_intake_needs_a_bus_that_others_reach() {
        let source = ("ingest.source", "nats");
        assert!(load(&[source]).unwrap_err().contains("nats-child"));
        let config = load(&[source, ("bus", "nats-child"), ("ingest.intake.history", "data")]).unwrap();
        assert_eq!(config.source(), Source::Intake { history: Some("data".into()) });
        let config = load(&[source, ("bus", "nats-child")]).unwrap();
        assert_eq!(config.source(), Source::Intake { history: None });
    }

    #[test]
    fn all_problems_are_reported_together() {
        let errors = load(&[
            ("bus", "kafka"),
            ("namespace", "x y"),
            ("ingest.source", "yahoo"),
            ("ingest.replay.to", "yesterday"),
            ("publisher.listen", "here"),
            ("cache", "memcached://localhost"),
        ])
        .unwrap_err();
        for key in ["bus", "namespace", "ingest.source", "ingest.replay.to", "publisher.listen", "cache"] {
            assert!(errors.contains(key), "{key} in\n{errors}");
        }
    }
}
