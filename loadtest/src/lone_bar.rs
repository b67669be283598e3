use std::time::Duration;

use clap::Args;
use runtime::clock;
use serde::Serialize;

use crate::Common;
use crate::latency::Sent;
use crate::market::Market;
use crate::report::{Outcome, Table};
use crate::target::{InFlight, Target};
use crate::watch::{Hop, Watch};

/// Nothing comes any more when nothing came for so long. After a trickle, scoring settles the table two seconds later.
const QUIET: Duration = Duration::from_secs(3);

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
    /// Bars a second, one a message.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rate: u32,
    #[arg(long, value_name = "N", default_value_t = 20)]
    seconds: u32,
    /// Measured so often; the budget is for the typical run, the median.
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeat: usize,
    /// Look at the bus as well: where on the way does the time go? Costs a little of it.
    #[arg(long)]
    hops: bool,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut market = Market::new(options.symbols)?;
    let target = Target::start(options.common.bus).await?;
    target.warm_up(&mut market, options.sessions).await?;
    let mut watches = vec![Watch::websocket(target.address).await?];
    if options.hops {
        for hop in Hop::ALL {
            watches.push(Watch::hop(hop, &target.bus, &target.bus_options).await?);
        }
    }
    let mut table = Table::default();
    for run in 1..=options.repeat {
        eprintln!("run {run}: {} bars/s for {} s", options.rate, options.seconds);
        let cpu_before = target.cpu_time();
        let (sent, delay_max) = send(options, &target, &mut market).await?;
        let cpu =
            cpu_before.zip(target.cpu_time()).map_or(Duration::ZERO, |(before, after)| after.saturating_sub(before));
        for watch in &mut watches {
            let sightings = watch.until_quiet(QUIET).await?;
            let seen = sent.seen_in(&sightings)?;
            let mut figures = seen.latencies.figures_ms().to_vec();
            figures.extend([
                ("sent", sent.len() as f64),
                ("received", seen.n_received as f64),
                ("conflated", seen.n_conflated as f64),
                ("missing", seen.n_missing as f64),
                ("rows", sightings.len() as f64),
                ("cpu_us_per_bar", cpu.as_secs_f64() * 1e6 / sent.len().max(1) as f64),
                ("sent_late_max_ms", delay_max.as_secs_f64() * 1e3),
            ]);
            table.push(watch.name, figures);
        }
    }
    let memory_mib_max = target.memory_mib_max();
    target.stop().await?;
    Outcome::new("lone-bar", options.common.bus, options, table, memory_mib_max)
}

/// Sends at the rate, whether or not the pipeline keeps up. Gives the longest that a bar left behind its time, too.
async fn send(options: &Options, target: &Target, market: &mut Market) -> anyhow::Result<(Sent, Duration)> {
    let order = market.shuffled();
    let mut sent = Sent::new(market.open_time());
    let mut delay_max = Duration::ZERO;
    let mut in_flight = InFlight::new(target);
    let started = clock::monotonic();
    for (n, &stock) in (0..options.rate * options.seconds).zip(order.iter().cycle()) {
        let due = started + Duration::from_secs(1) * n / options.rate;
        in_flight.until(due).await?;
        let (batches, changes) = market.trade(&[stock]);
        let now = clock::monotonic();
        delay_max = delay_max.max(now.saturating_duration_since(due));
        for change in changes {
            sent.note(change.symbol, change.revision, now);
        }
        in_flight.publish(batches);
    }
    in_flight.finish().await?;
    Ok((sent, delay_max))
}
