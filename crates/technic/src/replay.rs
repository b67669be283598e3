use anyhow::Context as _;
use ingest::Others;
use runtime::admin::Health;
use runtime::bus::Bus;
use runtime::config::Loaded;
use runtime::line::Surroundings;
use runtime::shutdown::Shutdown;
use runtime::stage_metrics::StageMetrics;
use runtime::streams;
use runtime::telemetry::Metrics;
use schemas::Timeframe;

use crate::config::Config;
use crate::error::Usage;
use crate::run;

/// Puts a folder's history onto the bus, then ends.
pub(crate) async fn replay(loaded: Loaded<Config>, on_signal: fn() -> Shutdown) -> anyhow::Result<()> {
    let config = loaded.config;
    let bus = Bus::connect(&config.bus_options("technic replay".to_owned())).await?;
    if !bus.is_durable() {
        let message = "a replay needs `--bus nats-child` or `--bus nats://…`: nobody else reads this process's memory";
        return Err(Usage(message.to_owned()).into());
    }
    let namespace = config.namespace();
    streams::ensure(&bus, &namespace).await.context("cannot prepare the streams")?;
    let metrics = Metrics::new();
    let surroundings = Surroundings {
        bus: bus.clone(),
        shutdown: on_signal(),
        metrics: StageMetrics::register(&metrics, "ingest"),
        health: Health::new().component("ingest"),
    };
    let feed = run::open_feed(config.source()).await?;
    ingest::drive(feed, namespace, Timeframe::D1, Others::Refuse, &surroundings).await?;
    bus.close().await;
    Ok(())
}
