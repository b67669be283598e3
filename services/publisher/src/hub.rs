use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use pipeline::{Rejected, Restore, Stage};
use prometheus::Registry;
use schemas::{EventTime, Partition, ResultV1, ScoreBatch, Symbol};
use tokio::sync::watch;

use crate::board::{Board, DataKind, Row, Update};
use crate::burst::{BurstClock, BurstTime};
use crate::metrics::Metrics;
use crate::ring::{Event, Ring, Since};
use crate::snapshot::Snapshot;

/// Events that become visible to clients together.
const EVENTS_PER_BURST_MAX: usize = 256;

/// No update with a known arrival has been fanned out.
const LAG_UNKNOWN: i64 = -1;

/// Version of the snapshot bytes; it names their layout.
const SNAPSHOT_VERSION: u64 = 1;

/// The table, shared by the run loop that writes it and the transports that present it.
///
/// As a [`Stage`] it drives its [`Board`]; [`Self::apply`] then tells the clients. In between the run loop may make
/// the updates durable: a snapshot taken meanwhile contains them, and clients skip what their snapshot contains.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    epoch: String,
    clock: Box<dyn Fn() -> EventTime + Send + Sync>,
    board: Mutex<Board>,
    ring: Mutex<Ring>,
    /// Wakes the clients: the number of the newest event.
    newest: watch::Sender<u64>,
    lag_ns: AtomicI64,
    burst: Mutex<BurstClock>,
    metrics: Metrics,
}

impl Hub {
    /// `epoch` names this run to clients: numbers of events count within it. `clock` serves metrics only.
    ///
    /// # Errors
    /// When the registry has such metrics already.
    pub fn new(
        epoch: impl Into<String>,
        clock: impl Fn() -> EventTime + Send + Sync + 'static,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        Ok(Self(Arc::new(Shared {
            epoch: epoch.into(),
            clock: Box::new(clock),
            board: Mutex::default(),
            ring: Mutex::default(),
            newest: watch::Sender::new(0),
            lag_ns: AtomicI64::new(LAG_UNKNOWN),
            burst: Mutex::default(),
            metrics: Metrics::new(registry)?,
        })))
    }

    /// Fans updates out to the clients; it waits for none of them. Updates come in the order the board made them.
    pub fn apply(&self, updates: &[Update]) {
        let metrics = self.metrics();
        let now = self.now();
        for ingest_time in updates.iter().filter_map(|update| update.ingest_time) {
            let lag_ns = now.as_ns().saturating_sub(ingest_time.as_ns()).max(0);
            metrics.bar_to_result_seconds.observe(lag_ns as f64 / 1e9);
            self.0.lag_ns.store(lag_ns, Ordering::Relaxed);
        }
        if let Some(arrival) = updates.iter().filter_map(|update| update.ingest_time).min() {
            self.burst().observe(now, arrival, updates.len() as u64);
        }
        metrics.updates.inc_by(updates.len() as u64);
        for chunk in updates.chunks(EVENTS_PER_BURST_MAX) {
            let burst = chunk.iter().map(Event::new).collect();
            let mut ring = self.ring();
            ring.push(burst);
            self.0.newest.send_replace(ring.u());
        }
    }

    /// Seeds the table with a result of an earlier run.
    ///
    /// # Errors
    /// When the board knows too many symbols.
    pub fn restore_result(&self, restored: ResultV1) -> Result<(), Rejected> {
        let update = self.board().restore_result(restored)?;
        self.apply(update.as_slice());
        Ok(())
    }

    pub fn snapshot(&self) -> Snapshot {
        self.board().snapshot()
    }

    pub fn row(&self, symbol: Symbol) -> Option<Row> {
        self.board().row(symbol).cloned()
    }

    pub fn data(&self) -> DataKind {
        self.board().data()
    }

    pub fn n_rows(&self) -> usize {
        self.board().n_rows()
    }

    pub fn epoch(&self) -> &str {
        &self.0.epoch
    }

    pub fn n_clients(&self) -> i64 {
        self.metrics().clients.get()
    }

    /// How long the newest result took from the bar's arrival to the fan-out.
    pub fn lag_ms(&self) -> Option<i64> {
        let lag_ns = self.0.lag_ns.load(Ordering::Relaxed);
        (lag_ns != LAG_UNKNOWN).then_some(lag_ns / 1_000_000)
    }

    /// `None` before the first result of this run.
    pub(crate) fn last_burst(&self) -> Option<BurstTime> {
        self.burst().last()
    }

    pub(crate) fn now(&self) -> EventTime {
        (self.0.clock)()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    pub(crate) fn since(&self, u: u64, n_events: usize) -> Since {
        self.ring().since(u, n_events)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.board.lock().expect("nothing panics while it holds the board")
    }

    fn burst(&self) -> MutexGuard<'_, BurstClock> {
        self.0.burst.lock().expect("nothing panics while it holds the clock")
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().expect("nothing panics while it holds the ring")
    }
}

impl Stage for Hub {
    type Input = ScoreBatch;
    type Output = Update;

    fn on_batch(&mut self, batch: ScoreBatch, out: &mut Vec<Update>) -> Result<(), Rejected> {
        self.board().on_batch(batch, out)
    }

    fn on_idle(&mut self, out: &mut Vec<Update>) {
        self.board().on_idle(out);
    }

    fn on_refresh(&mut self, out: &mut Vec<Update>) {
        self.board().on_refresh(out);
    }

    fn needs_refresh(&self) -> bool {
        self.board().needs_refresh()
    }
}

impl Restore for Hub {
    fn layout(&self) -> u64 {
        SNAPSHOT_VERSION
    }

    fn snapshot(&self, partition: Partition) -> Vec<u8> {
        self.board().partition_bytes(partition)
    }

    fn restore(&mut self, partition: Partition, bytes: &[u8]) -> Result<(), Rejected> {
        let updates = self.board().restore_partition(partition, bytes)?;
        self.apply(&updates);
        Ok(())
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("epoch", &self.0.epoch).field("n_rows", &self.n_rows()).finish_non_exhaustive()
    }
}
