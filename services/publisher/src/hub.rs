use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use pipeline::{Rejected, Restore, Stage};
use prometheus::Registry;
use schemas::{Alert, EventTime, Partition, ResultV1, ScoreBatch, Symbol};

use crate::board::cached::{Head, Part};
use crate::board::{Board, DataKind, Row, Update};
use crate::burst::{BurstClock, BurstTime};
use crate::channel::Channel;
use crate::event::{BarUpdate, Content, Event, IndicatorUpdate};
use crate::fanout::Fanout;
use crate::metrics::Metrics;
use crate::plan_alerts::PlanAlerts;
use crate::snapshot::Snapshot;

/// No update with a known arrival has been fanned out.
const LAG_UNKNOWN: i64 = -1;

/// Version of the snapshot bytes; it names their layout.
pub(crate) const SNAPSHOT_VERSION: u64 = 3;

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
    /// The newest events of the channels that are no table, by symbol.
    facts: [Mutex<Facts>; 4],
    fanout: Fanout,
    plan_alerts: Mutex<PlanAlerts>,
    lag_ns: AtomicI64,
    is_loading: AtomicBool,
    burst: Mutex<BurstClock>,
    metrics: Metrics,
}

/// The newest events of a channel.
#[derive(Debug, Default)]
struct Facts {
    u: u64,
    newest: BTreeMap<Symbol, Arc<Event>>,
}

/// What is known of a symbol on a channel.
#[derive(Debug)]
pub(crate) enum Known {
    Row(Row),
    Event(Arc<Event>),
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
            facts: Default::default(),
            fanout: Fanout::default(),
            plan_alerts: Mutex::default(),
            lag_ns: AtomicI64::new(LAG_UNKNOWN),
            is_loading: AtomicBool::new(false),
            burst: Mutex::default(),
            metrics: Metrics::new(registry)?,
        })))
    }

    /// Says that the rows of an earlier run are being read, or that they are there: until then an empty table means nothing.
    pub fn set_loading(&self, is_loading: bool) {
        self.0.is_loading.store(is_loading, Ordering::Release);
    }

    pub(crate) fn is_loading(&self) -> bool {
        self.0.is_loading.load(Ordering::Acquire)
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
        let arrivals = || updates.iter().filter_map(|update| update.ingest_time);
        if let Some(first) = arrivals().min() {
            self.burst().observe(now, first, arrivals().count() as u64);
        }
        metrics.updates.inc_by(updates.len() as u64);
        let event = |update: &Update| {
            let content = update.result.clone().map_or(Content::Out, Content::Row);
            Arc::new(Event::new(update.u, update.symbol, content))
        };
        self.0.fanout.push(Channel::Scores, updates.iter().map(event));
        self.0.fanout.pulse();
        for alert in self.plan_alerts(updates) {
            self.apply_alert(alert);
        }
    }

    /// Fans bars out, oldest first.
    pub fn apply_bars(&self, bars: impl IntoIterator<Item = BarUpdate>) {
        self.note(Channel::Bars, bars.into_iter().map(|update| (update.symbol, Content::Bar(update))));
    }

    /// Fans indicator columns out, oldest first.
    pub fn apply_indicators(&self, updates: impl IntoIterator<Item = IndicatorUpdate>) {
        let contents = updates.into_iter().map(|update| (update.bar.symbol, Content::Indicators(Arc::new(update))));
        self.note(Channel::Indicators, contents);
    }

    /// Fans an alert out.
    pub fn apply_alert(&self, alert: Alert) {
        self.note(Channel::Alerts, [(alert.symbol, Content::Alert(Arc::new(alert)))]);
    }

    fn plan_alerts(&self, updates: &[Update]) -> Vec<Alert> {
        let mut plan_alerts = self.0.plan_alerts.lock().expect("nothing panics while it holds the alerts");
        updates.iter().flat_map(|update| plan_alerts.of(update)).collect()
    }

    fn note(&self, channel: Channel, contents: impl IntoIterator<Item = (Symbol, Content)>) {
        {
            let mut facts = self.facts(channel);
            let events = contents.into_iter().map(|(symbol, content)| {
                facts.u += 1;
                let event = Arc::new(Event::new(facts.u, symbol, content));
                // An alert is news, not a state: there is no newest one to begin with.
                if channel != Channel::Alerts {
                    facts.newest.insert(symbol, Arc::clone(&event));
                }
                event
            });
            // Under the lock, so that events get into the ring in the order of their numbers.
            let events: Vec<_> = events.collect();
            self.0.fanout.push(channel, events);
        }
        self.0.fanout.pulse();
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

    /// The table as it is now, and a read that counts in the hit rate.
    pub fn snapshot(&self) -> Snapshot {
        let mut board = self.board();
        let metrics = self.metrics();
        let reads = if board.is_ranked() { &metrics.table_hits } else { &metrics.table_misses };
        reads.inc();
        board.snapshot()
    }

    /// The same for those who look at the publisher itself: they should not change what they see.
    pub(crate) fn glance(&self) -> Snapshot {
        self.board().snapshot()
    }

    /// Forgets the ranked table, which the next reader makes anew.
    pub(crate) fn forget_ranked(&self) {
        self.board().forget_ranked();
    }

    /// Takes in a table that another publisher shared, before anything else does.
    pub(crate) fn restore_shared(&self, entries: &[(String, Vec<u8>)]) -> Result<Head, Rejected> {
        let (head, updates) = self.board().restore_shared(entries)?;
        self.apply(&updates);
        Ok(head)
    }

    /// How many rows only a shared table vouches for.
    pub(crate) fn n_cached(&self) -> usize {
        self.board().n_cached()
    }

    /// Ends what [`Self::restore_shared`] began, once everything is known that the bus has: what only the shared table knew
    /// leaves. How many rows that were.
    pub(crate) fn retract_cached(&self) -> usize {
        let updates = self.board().retract_cached();
        self.apply(&updates);
        updates.len()
    }

    /// The partitions that changed after the update `u`, and what belongs to the whole table, as of the update that comes
    /// along. The rows are shared, so this is quick; writing them is for another thread.
    pub(crate) fn changed_since(&self, u: u64) -> (u64, Head, Vec<Partition>) {
        let board = self.board();
        (board.u(), board.head(self.now()), board.changed_since(u))
    }

    pub(crate) fn part(&self, partition: Partition) -> Part {
        self.board().part(partition)
    }

    pub fn row(&self, symbol: Symbol) -> Option<Row> {
        self.board().row(symbol).cloned()
    }

    /// Why a symbol has no row: the name of the first condition that it fails, as far as that was said.
    pub fn why_not(&self, symbol: Symbol) -> Option<String> {
        self.board().why_not(symbol).map(ToOwned::to_owned)
    }

    /// How many symbols fail each condition of the universe first, in the order in which they are asked.
    pub fn funnel(&self) -> Vec<(Cow<'static, str>, usize)> {
        self.board().funnel()
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

    pub(crate) fn fanout(&self) -> &Fanout {
        &self.0.fanout
    }

    /// The symbols of a channel that is no table, and the number of its newest event.
    pub(crate) fn symbols(&self, channel: Channel) -> (u64, Vec<Symbol>) {
        let facts = self.facts(channel);
        (facts.u, facts.newest.keys().copied().collect())
    }

    /// What is known of a symbol, unless it is newer than the event `u`.
    pub(crate) fn known(&self, channel: Channel, symbol: Symbol, u: u64) -> Option<Known> {
        if channel == Channel::Scores {
            return self.board().row_until(symbol, u).cloned().map(Known::Row);
        }
        self.facts(channel).newest.get(&symbol).filter(|event| event.u <= u).cloned().map(Known::Event)
    }

    fn facts(&self, channel: Channel) -> MutexGuard<'_, Facts> {
        self.0.facts[channel.index()].lock().expect("nothing panics while it holds the facts")
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.board.lock().expect("nothing panics while it holds the board")
    }

    fn burst(&self) -> MutexGuard<'_, BurstClock> {
        self.0.burst.lock().expect("nothing panics while it holds the clock")
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
