//! Measures the whole pipeline: bars in, WebSocket events out. See `README.md`.

mod burst;
mod fanout;
mod http;
mod latency;
mod lone_bar;
mod market;
mod nats_server;
mod replay;
mod report;
mod scan;
mod target;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::report::Outcome;

/// As the real binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Puts load on Technic and measures how long it takes.
#[derive(Debug, Parser)]
#[command(name = "loadtest")]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// One bar a message at a steady rate: how long from each bar to its event?
    LoneBar(lone_bar::Options),
    /// A forming bar of every symbol within a second: how long from the last bar to the last event?
    Burst(burst::Options),
    /// Updates to many clients at once, beside other servers: how many arrive, when, at what cost?
    Fanout(fanout::Options),
    /// One client of many does not read: what does that cost the others, and how much memory?
    SlowClient(fanout::StalledOptions),
    /// All clients are cut off and come back at once: how long until each goes on where it was?
    ReconnectStorm(fanout::StormOptions),
    /// A server for `fanout`.
    #[command(hide = true)]
    Serve(fanout::serve::Options),
    /// A folder's history as fast as it goes: how many bars per second?
    Replay(replay::Options),
    /// A filtered scan, again and again, while bars come in: how long from the request to the last byte?
    Scan(scan::Options),
}

/// What every scenario takes.
#[derive(Debug, Args, Serialize)]
struct Common {
    /// `memory`: everything in this process; `nats`: the real binary and a real server.
    #[arg(long, value_name = "BUS", default_value = "memory")]
    bus: BusChoice,
    /// Keep the figures as `loadtest/results/<date>-<scenario>-<bus>.json`.
    #[arg(long)]
    #[serde(skip)]
    save: bool,
    /// Only measure: a broken budget is no failure.
    #[arg(long)]
    #[serde(skip)]
    no_budget: bool,
    /// The budgets.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/budgets.toml"))]
    #[serde(skip)]
    budgets: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum BusChoice {
    Memory,
    Nats,
}

impl BusChoice {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Nats => "nats",
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    if technic::is_golden_reader() {
        return Ok(ExitCode::SUCCESS);
    }
    let cli = Cli::parse();
    // As the real binary has it, because with `--bus memory` the pipeline runs in here.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the async runtime")?;
    let (common, outcome) = match &cli.scenario {
        Scenario::LoneBar(options) => (&options.common, runtime.block_on(lone_bar::run(options))?),
        Scenario::Burst(options) => (&options.common, runtime.block_on(burst::run(options))?),
        Scenario::Scan(options) => (&options.common, runtime.block_on(scan::run(options))?),
        Scenario::Fanout(options) => (&options.common, fanout::run(options)?),
        Scenario::SlowClient(options) => (&options.common, fanout::stalled(options)?),
        Scenario::ReconnectStorm(options) => (&options.common, runtime.block_on(fanout::storm(options))?),
        Scenario::Serve(options) => {
            runtime.block_on(fanout::serve::run(options))?;
            return Ok(ExitCode::SUCCESS);
        }
        Scenario::Replay(options) => match runtime.block_on(replay::run(options))? {
            Some(outcome) => (&options.common, outcome),
            None => return Ok(ExitCode::SUCCESS),
        },
    };
    conclude(common, &outcome)
}

fn conclude(common: &Common, outcome: &Outcome) -> anyhow::Result<ExitCode> {
    outcome.print()?;
    if common.save {
        let path = outcome.save()?;
        eprintln!("saved as {}", path.display());
    }
    let broken = report::broken_budgets(&common.budgets, outcome)?;
    for line in &broken {
        eprintln!("budget broken: {line}");
    }
    Ok(if broken.is_empty() || common.no_budget { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
