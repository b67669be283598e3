//! The five metrics that every stage has. The run loop keeps them; a stage itself never sees a clock.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts};
use schemas::EventTime;

use crate::telemetry::Metrics;

/// From 10 µs, a lone bar in process, to 1 s, a burst that broke its budget.
const PROCESSING_BUCKETS_SECONDS: [f64; 16] =
    [10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0];

/// The standard metrics of one stage; clones share them. Add to them once per batch.
#[derive(Debug, Clone)]
pub struct StageMetrics {
    rows_in: IntCounter,
    rows_out: IntCounter,
    rejected: IntCounterVec,
    processing: Histogram,
    event_lag: Gauge,
}

impl StageMetrics {
    /// Declares the metrics of `service` in the registry.
    ///
    /// # Panics
    /// When the service has its metrics already, or its name is no part of a metric name: both are bugs of the caller.
    pub fn register(metrics: &Metrics, service: &'static str) -> Self {
        let name = |what: &str| format!("technic_{service}_{what}");
        let rejected = Opts::new(name("rejected_total"), "Rows refused, by reason.");
        let processing = HistogramOpts::new(name("processing_seconds"), "Time in the stage, per batch.")
            .buckets(PROCESSING_BUCKETS_SECONDS.into());
        Self {
            rows_in: add(metrics, IntCounter::new(name("rows_in_total"), "Rows taken in.")),
            rows_out: add(metrics, IntCounter::new(name("rows_out_total"), "Rows published.")),
            rejected: add(metrics, IntCounterVec::new(rejected, &["reason"])),
            processing: add(metrics, Histogram::with_opts(processing)),
            event_lag: add(
                metrics,
                Gauge::new(name("event_lag_seconds"), "Wall clock minus the newest event time seen."),
            ),
        }
    }

    pub fn add_rows_in(&self, n_rows: usize) {
        self.rows_in.inc_by(n_rows as u64);
    }

    pub fn add_rows_out(&self, n_rows: usize) {
        self.rows_out.inc_by(n_rows as u64);
    }

    /// `reason` is one of a small closed set.
    pub fn add_rejected(&self, reason: &'static str, n_rows: usize) {
        self.rejected.with_label_values(&[reason]).inc_by(n_rows as u64);
    }

    pub fn observe_processing(&self, elapsed: Duration) {
        self.processing.observe(elapsed.as_secs_f64());
    }

    pub fn set_event_lag(&self, newest: EventTime, now: EventTime) {
        self.event_lag.set(now.as_ns().saturating_sub(newest.as_ns()) as f64 / 1e9);
    }
}

fn add<M: Collector + Clone + 'static>(metrics: &Metrics, metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("the service is part of a valid metric name");
    metrics.registry().register(Box::new(metric.clone())).expect("a service registers its metrics once");
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_appear_under_the_standard_names() {
        let metrics = Metrics::new();
        let stage = StageMetrics::register(&metrics, "indicator");
        stage.add_rows_in(256);
        stage.add_rows_in(1);
        stage.add_rows_out(200);
        stage.add_rejected("stale", 57);
        stage.observe_processing(Duration::from_micros(30));
        stage.set_event_lag(EventTime(1_000_000_000), EventTime(3_500_000_000));
        let text = metrics.encode();
        for line in [
            "technic_indicator_rows_in_total 257",
            "technic_indicator_rows_out_total 200",
            "technic_indicator_rejected_total{reason=\"stale\"} 57",
            "technic_indicator_processing_seconds_bucket{le=\"0.000025\"} 0",
            "technic_indicator_processing_seconds_bucket{le=\"0.00005\"} 1",
            "technic_indicator_processing_seconds_bucket{le=\"1\"} 1",
            "technic_indicator_event_lag_seconds 2.5",
        ] {
            assert!(text.lines().any(|printed| printed == line), "{line} in {text}");
        }
    }

    #[test]
    fn stages_of_one_process_share_the_registry() {
        let metrics = Metrics::new();
        StageMetrics::register(&metrics, "indicator").add_rows_in(1);
        StageMetrics::register(&metrics, "scoring").add_rows_in(2);
        let text = metrics.encode();
        assert!(text.contains("\ntechnic_indicator_rows_in_total 1\n"), "{text}");
        assert!(text.contains("\ntechnic_scoring_rows_in_total 2\n"), "{text}");
    }
}
