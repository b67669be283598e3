//! What a client that does not read costs the others, and how much memory.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::clients::{Clients, open};
use super::server::Server;
use super::{SUBSCRIBE, ServerChoice, Tools, WARM_UP};
use crate::Common;
use crate::report::{Outcome, Table};

/// Until a stalled client's socket is full and the frame for it has nowhere to go.
const UNTIL_FULL: Duration = Duration::from_secs(8);

/// Memory is measured on so many of them, as one would be lost in what else happens.
const N_FOR_MEMORY: usize = 20;

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) common: Common,
    /// One of them is stalled in every second run.
    #[arg(long, value_name = "N", default_value_t = 100)]
    clients: usize,
    #[arg(long, value_name = "N", default_value_t = 5000)]
    rate: u32,
    #[arg(long, value_name = "N", default_value_t = 8)]
    seconds: u64,
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeat: usize,
    #[command(flatten)]
    #[serde(flatten)]
    tools: Tools,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut server = Server::start(ServerChoice::Publisher, options.rate, 0, &options.tools)?;
    server.go()?;
    let span = Duration::from_secs(options.seconds);
    let mut table = Table::default();
    let mut healthy = Clients::connect(server.address, options.clients - 1, SUBSCRIBE)?;
    healthy.listen(WARM_UP + UNTIL_FULL)?;
    for run in 1..=options.repeat {
        for is_one_stalled in [false, true] {
            eprintln!("run {run}: {}", if is_one_stalled { "one of them stalled" } else { "all read" });
            // It lives until the end of the run.
            let _stalled = is_one_stalled.then(|| open(server.address, SUBSCRIBE)).transpose()?;
            if !is_one_stalled {
                healthy.add_one(server.address, SUBSCRIBE)?;
            }
            healthy.listen(UNTIL_FULL)?;
            let received = healthy.listen(span)?;
            let mut figures = received.latencies.figures_ms().to_vec();
            figures.push(("delivered_per_s", received.n_updates as f64 / received.elapsed.as_secs_f64()));
            table.push(if is_one_stalled { "one_stalled" } else { "all_read" }, figures);
            if !is_one_stalled {
                healthy.remove_last();
            }
        }
    }
    let memory_before = server.memory_mib()?;
    let mut stalled = Vec::new();
    for _ in 0..N_FOR_MEMORY {
        stalled.push(open(server.address, SUBSCRIBE)?);
    }
    healthy.listen(UNTIL_FULL)?;
    let memory_mib = (server.memory_mib()? - memory_before) / N_FOR_MEMORY as f64;
    let mut outcome = Outcome::new("slow-client", options.common.bus, options, table, None)?;
    outcome.derive("one_stalled_p99_ratio", "one_stalled_p99_ms", "all_read_p99_ms", |a, b| a / b);
    outcome.add("stalled_client_memory_mib", memory_mib);
    Ok(outcome)
}
