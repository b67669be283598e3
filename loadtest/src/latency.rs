use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use schemas::{EventTime, Symbol};

use crate::watch::Sighting;

const NS_MAX: u64 = 600_000_000_000;

/// Times between two moments, at three significant digits.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, NS_MAX, 3).context("no histogram")?))
    }

    pub(crate) fn record(&mut self, elapsed: Duration) {
        self.0.saturating_record(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        self.0.add(&other.0).context("histograms of different shape")
    }

    /// Named by what they are, in milliseconds.
    pub(crate) fn figures_ms(&self) -> [(&'static str, f64); 5] {
        let quantile = |quantile: f64| self.0.value_at_quantile(quantile) as f64 / 1e6;
        [
            ("p50_ms", quantile(0.5)),
            ("p90_ms", quantile(0.9)),
            ("p99_ms", quantile(0.99)),
            ("p99.9_ms", quantile(0.999)),
            ("max_ms", self.0.max() as f64 / 1e6),
        ]
    }
}

/// The bars that went in, and when.
#[derive(Debug)]
pub(crate) struct Sent {
    at: HashMap<(Symbol, u32), Instant>,
    /// All forming bars of a phase are of one session.
    open_time_ns: i64,
}

/// What came out of them at one place.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) latencies: Latencies,
    pub(crate) n_received: usize,
    /// Not seen themselves, but a later bar of the symbol was.
    pub(crate) n_conflated: usize,
    pub(crate) n_missing: usize,
}

impl Sent {
    pub(crate) fn new(open_time: EventTime) -> Self {
        Self { at: HashMap::new(), open_time_ns: open_time.as_ns() }
    }

    pub(crate) fn note(&mut self, symbol: Symbol, revision: u32, at: Instant) {
        self.at.insert((symbol, revision), at);
    }

    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    /// When the last of the bars that were seen at all was seen for the first time.
    pub(crate) fn all_seen_at(&self, sightings: &[Sighting]) -> Option<Instant> {
        let mut seen = HashSet::new();
        sightings
            .iter()
            .filter(|sighting| sighting.open_time_ns == self.open_time_ns)
            .filter(|sighting| self.at.contains_key(&(sighting.symbol, sighting.revision)))
            .filter(|sighting| seen.insert((sighting.symbol, sighting.revision)))
            .map(|sighting| sighting.at)
            .max()
    }

    pub(crate) fn seen_in(&self, sightings: &[Sighting]) -> anyhow::Result<Seen> {
        let mut latencies = Latencies::new()?;
        let mut first_seen: HashMap<(Symbol, u32), Instant> = HashMap::new();
        let mut newest: HashMap<Symbol, u32> = HashMap::new();
        for sighting in sightings.iter().filter(|sighting| sighting.open_time_ns == self.open_time_ns) {
            first_seen.entry((sighting.symbol, sighting.revision)).or_insert(sighting.at);
            let newest = newest.entry(sighting.symbol).or_default();
            *newest = sighting.revision.max(*newest);
        }
        let (mut n_received, mut n_conflated) = (0, 0);
        #[allow(clippy::iter_over_hash_type, reason = "sums and histograms know no order")]
        for (key, &sent_at) in &self.at {
            if let Some(seen_at) = first_seen.get(key) {
                latencies.record(seen_at.saturating_duration_since(sent_at));
                n_received += 1;
            } else if newest.get(&key.0).is_some_and(|&newest| newest > key.1) {
                n_conflated += 1;
            }
        }
        Ok(Seen { latencies, n_received, n_conflated, n_missing: self.len() - n_received - n_conflated })
    }
}
