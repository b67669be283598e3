//! Updates to many clients at once: the publisher beside servers that do the same in other ways.

mod bare;
mod clients;
pub(crate) mod serve;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::Common;
use crate::report::{Outcome, Table};
use clients::Clients;
use server::Server;

pub(crate) use stalled::{Options as StalledOptions, run as stalled};
pub(crate) use storm::{Options as StormOptions, run as storm};

mod stalled;
mod storm;

/// Nothing is counted before everything has found its pace.
const WARM_UP: Duration = Duration::from_secs(2);

const SUBSCRIBE: &str = r#"{"action":"subscribe","params":"AM.*","snapshot":false}"#;

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) common: Common,
    #[arg(long, value_name = "N", default_value_t = 1000)]
    clients: usize,
    /// Updates a second, of about 200 bytes each.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rate: u32,
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// Every server is measured so often, in turn; budgets are for the median.
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeat: usize,
    /// The servers, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "publisher,bare")]
    servers: Vec<ServerChoice>,
    #[command(flatten)]
    #[serde(flatten)]
    tools: Tools,
}

/// What peers in other languages need.
#[derive(Debug, Args, Serialize)]
pub(crate) struct Tools {
    /// A Python with `FastAPI` and `uvicorn`.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    #[serde(skip)]
    python: PathBuf,
    /// A folder `node_modules` with `ws`.
    #[arg(long, value_name = "DIR", default_value = "node_modules")]
    #[serde(skip)]
    node_modules: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServerChoice {
    Publisher,
    Bare,
    Node,
    Fastapi,
}

impl ServerChoice {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Bare => "bare",
            Self::Node => "node",
            Self::Fastapi => "fastapi",
        }
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut table = Table::default();
    let n_wanted = options.clients as f64 * f64::from(options.rate);
    for run in 1..=options.repeat {
        for &choice in &options.servers {
            eprintln!("run {run}: {}", choice.as_str());
            // With few clients nobody waits for a tick.
            let tick_ms = if options.clients * options.rate as usize > 100_000 { 10 } else { 0 };
            let mut server = Server::start(choice, options.rate, tick_ms, &options.tools)?;
            let mut clients = Clients::connect(server.address, options.clients, SUBSCRIBE)?;
            server.go()?;
            clients.listen(WARM_UP)?;
            let cpu_before = server.cpu_time()?;
            let received = clients.listen(Duration::from_secs(options.seconds))?;
            let cpu = server.cpu_time()?.saturating_sub(cpu_before);
            let seconds = received.elapsed.as_secs_f64();
            let n_updates = received.n_updates as f64;
            let mut figures = received.latencies.figures_ms().to_vec();
            figures.extend([
                ("delivered_per_s", n_updates / seconds),
                // What was made in the last moment may still be on the way, and what was made before may have come late.
                ("undelivered_pct", (100.0 * (1.0 - n_updates / (n_wanted * seconds))).max(0.0)),
                ("cpu_us_per_update", cpu.as_secs_f64() * 1e6 / n_updates.max(1.0)),
                ("server_cpu_pct", 100.0 * cpu.as_secs_f64() / seconds),
                ("memory_mib", server.memory_mib()?),
            ]);
            table.push(choice.as_str(), figures);
        }
    }
    let mut outcome = Outcome::new(
        if options.clients * options.rate as usize > 100_000 { "fanout" } else { "fanout-idle" },
        options.common.bus,
        options,
        table,
        None,
    )?;
    outcome.derive("publisher_cpu_to_bare", "publisher_cpu_us_per_update", "bare_cpu_us_per_update", |a, b| a / b);
    outcome.derive("publisher_p99_over_bare_ms", "publisher_p99_ms", "bare_p99_ms", |a, b| a - b);
    outcome.derive("fastapi_share_of_publisher", "fastapi_delivered_per_s", "publisher_delivered_per_s", |a, b| a / b);
    outcome.derive("node_share_of_publisher", "node_delivered_per_s", "publisher_delivered_per_s", |a, b| a / b);
    Ok(outcome)
}
