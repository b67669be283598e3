use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry, exponential_buckets};

#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) clients: IntGauge,
    pub(crate) updates: IntCounter,
    pub(crate) events_sent: IntCounter,
    pub(crate) resyncs: IntCounter,
    pub(crate) slow_clients_dropped: IntCounter,
    pub(crate) bar_to_result_seconds: Histogram,
    /// Reads of the whole table that found it ranked, and that did not.
    pub(crate) table_hits: IntCounter,
    pub(crate) table_misses: IntCounter,
    pub(crate) cache_reachable: IntGauge,
    pub(crate) cache_bytes: IntGauge,
    pub(crate) cache_failures: IntCounter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name, help| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        // 50 µs to 1.6 s: from the goal of a lone bar to a burst that went wrong.
        let buckets = exponential_buckets(50e-6, 2.0, 16)?;
        let bar_to_result_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "technic_publisher_bar_to_result_seconds",
                "From the bar's arrival to its result's fan-out",
            )
            .buckets(buckets),
        )?;
        registry.register(Box::new(bar_to_result_seconds.clone()))?;
        Ok(Self {
            clients: gauge("technic_publisher_clients", "Open WebSocket connections")?,
            updates: counter("technic_publisher_updates_total", "Changes of the table")?,
            events_sent: counter("technic_publisher_events_sent_total", "Rows and removals sent to clients")?,
            resyncs: counter("technic_publisher_resyncs_total", "Snapshots sent because a client fell behind")?,
            slow_clients_dropped: counter(
                "technic_publisher_slow_clients_dropped_total",
                "Clients that took no byte for too long",
            )?,
            bar_to_result_seconds,
            table_hits: counter("technic_publisher_table_hits_total", "Reads of the table that found it ranked")?,
            table_misses: counter("technic_publisher_table_misses_total", "Reads of the table that had to rank it")?,
            cache_reachable: gauge("technic_publisher_cache_reachable", "Whether the shared cache answered last time")?,
            cache_bytes: gauge("technic_publisher_cache_bytes", "Size of the shared table as it was written")?,
            cache_failures: counter(
                "technic_publisher_cache_failures_total",
                "Times that the shared cache did not answer or was refused",
            )?,
        })
    }
}
