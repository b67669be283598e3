use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use runtime::clock;
use serde::Serialize;

use crate::Common;
use crate::latency::{Latencies, Sent};
use crate::market::Market;
use crate::report::{Outcome, Table};
use crate::target::{InFlight, Target};
use crate::watch::Watch;

/// The table is at rest when no event came for so long.
const QUIET: Duration = Duration::from_secs(1);
/// Bars that are due at the same tick leave together.
const TICK: Duration = Duration::from_millis(10);

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) common: Common,
    #[arg(long, value_name = "N", default_value_t = 6000)]
    symbols: usize,
    /// Daily history before the measurement.
    #[arg(long, value_name = "N", default_value_t = 60)]
    sessions: usize,
    #[arg(long, value_name = "N", default_value_t = 20)]
    bursts: usize,
    /// Milliseconds over which the bars of a burst are spread.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    spread_ms: u64,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut market = Market::new(options.symbols)?;
    let target = Target::start(options.common.bus).await?;
    target.warm_up(&mut market, options.sessions).await?;
    let mut watch = Watch::websocket(target.address).await?;
    let (mut complete, mut rest, mut single) = (Latencies::new()?, Latencies::new()?, Latencies::new()?);
    let (mut n_sent, mut n_received, mut n_missing, mut n_rows) = (0, 0, 0, 0);
    for run in 1..=options.bursts {
        let burst = send(options, &target, &mut market).await?;
        let sightings = watch.until_quiet(QUIET).await?;
        let seen = burst.sent.seen_in(&sightings)?;
        let after = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(burst.last_in));
        let all_seen = after(burst.sent.all_seen_at(&sightings)).context("no event came")?;
        let at_rest = after(sightings.iter().map(|sighting| sighting.at).max()).context("no event came")?;
        eprintln!(
            "burst {run}: sent in {:.0} ms, every new bar out {:.1} ms and at rest {:.1} ms after the last, {} rows, {} missing",
            burst.took.as_secs_f64() * 1e3,
            all_seen.as_secs_f64() * 1e3,
            at_rest.as_secs_f64() * 1e3,
            sightings.len(),
            seen.n_missing
        );
        complete.record(all_seen);
        rest.record(at_rest);
        single.merge(&seen.latencies)?;
        n_sent += burst.sent.len();
        n_received += seen.n_received;
        n_missing += seen.n_missing;
        n_rows += sightings.len();
    }
    let mut table = Table::default();
    for (name, latencies) in [("every_bar_out", &complete), ("at_rest", &rest), ("each_bar", &single)] {
        let mut figures = latencies.figures_ms().to_vec();
        figures.extend([
            ("sent", n_sent as f64),
            ("received", n_received as f64),
            ("missing", n_missing as f64),
            ("rows", n_rows as f64),
        ]);
        table.push(name, figures);
    }
    let memory_mib_max = target.memory_mib_max();
    target.stop().await?;
    Outcome::new("burst", options.common.bus, options, table, memory_mib_max)
}

struct Burst {
    sent: Sent,
    /// Just before the last bar was published.
    last_in: Instant,
    took: Duration,
}

async fn send(options: &Options, target: &Target, market: &mut Market) -> anyhow::Result<Burst> {
    let order = market.shuffled();
    let spread = Duration::from_millis(options.spread_ms);
    let n_ticks = spread.div_duration_f64(TICK).max(1.0);
    let per_tick = (order.len() as f64 / n_ticks).ceil().max(1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number of at least one")]
    let per_tick = per_tick as usize;
    let mut sent = Sent::new(market.open_time());
    let mut in_flight = InFlight::new(target);
    let started = clock::monotonic();
    let (mut due, mut last_in) = (started, started);
    for stocks in order.chunks(per_tick) {
        in_flight.until(due).await?;
        let (batches, changes) = market.trade(stocks);
        last_in = clock::monotonic();
        for change in changes {
            sent.note(change.symbol, change.revision, last_in);
        }
        in_flight.publish(batches);
        due += TICK;
    }
    in_flight.finish().await?;
    Ok(Burst { sent, last_in, took: last_in.saturating_duration_since(started) })
}
