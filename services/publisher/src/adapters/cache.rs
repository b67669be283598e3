//! The latest table in a cache that publishers share: one that starts answers at once with what another one knew.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::IntGauge;
use runtime::cache::{CacheError, CacheKind, SharedEntries};
use schemas::EventTime;
use schemas::subject::Namespace;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::hub::Hub;

/// What changes within it is written together. A writer that is slower skips beats.
const WRITE_PERIOD: Duration = Duration::from_secs(2);

/// A table that does not change is renewed so often.
const RENEW_PERIOD: Duration = Duration::from_mins(1);

/// How long a table is worth something after its last publisher: a weekend.
const TTL: Duration = Duration::from_hours(72);

/// The longest that a start waits for the shared table.
const LOAD_MAX: Duration = Duration::from_millis(500);

/// The longest that somebody who clears the cache waits.
const CLEAR_MAX: Duration = Duration::from_secs(2);

const NANOS_PER_MILLI: i64 = 1_000_000;

/// Nothing was written or loaded.
const NEVER: i64 = i64::MIN;

/// Where the latest table is shared, if it is. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TableCache(Option<Arc<Shared>>);

/// The shared table, and how things are with it.
#[derive(Debug)]
pub(crate) struct Shared {
    key: String,
    ttl: Duration,
    entries: AsyncMutex<SharedEntries>,
    /// Bytes of each entry, as they were written.
    sizes: Mutex<BTreeMap<String, usize>>,
    reachable: AtomicI64,
    written_at: AtomicI64,
    /// When what was loaded had been written.
    loaded_from: AtomicI64,
    n_bytes: AtomicU64,
}

impl TableCache {
    /// Version of the bytes, by the layout of the messages and that of the entries.
    pub(crate) const LAYOUT: u64 = (schemas::SCHEMA_VERSION as u64) << 32 | crate::hub::SNAPSHOT_VERSION;

    /// Nothing is shared.
    pub fn memory() -> Self {
        Self(None)
    }

    /// The table of a namespace, on a bus that others reach or on one that nobody does. Neither may be taken for the other.
    /// `memory` shares nothing.
    pub fn open(kind: &CacheKind, namespace: &Namespace, is_bus_shared: bool) -> Self {
        let CacheKind::Redis(address) = kind else { return Self::memory() };
        let market = if is_bus_shared { "shared" } else { "private" };
        let key = format!("technic:{namespace}:{market}:table:{:x}", Self::LAYOUT);
        let entries = SharedEntries::new(address, key.clone(), Self::LAYOUT, TTL);
        Self(Some(Arc::new(Shared {
            key,
            ttl: TTL,
            entries: AsyncMutex::new(entries),
            sizes: Mutex::default(),
            reachable: AtomicI64::new(NEVER),
            written_at: AtomicI64::new(NEVER),
            loaded_from: AtomicI64::new(NEVER),
            n_bytes: AtomicU64::new(0),
        })))
    }

    /// Takes in the shared table, before anything else is known. A cache that does not answer at once, or has something
    /// else, is as good as none.
    pub async fn load(&self, hub: &Hub) {
        let Some(shared) = &self.0 else { return };
        let Ok(loaded) = timeout(LOAD_MAX, async { shared.entries.lock().await.load().await }).await else {
            warn!(waited = ?LOAD_MAX, "the shared table did not come in time: starting without it");
            return;
        };
        let entries = match loaded {
            Ok(entries) => entries,
            Err(error @ CacheError::Refused { .. }) => {
                hub.metrics().cache_failures.inc();
                warn!(error = chain(&error), "shared table not used");
                return;
            }
            Err(error) => return shared.failed(hub, &error),
        };
        shared.answered(hub);
        if entries.is_empty() {
            return;
        }
        match hub.restore_shared(&entries) {
            Ok(head) => {
                shared.loaded_from.store(head.written_at.as_ns(), Ordering::Relaxed);
                info!(n_rows = hub.n_rows(), age_ms = ms_between(head.written_at, hub.now()), "shared table taken in");
            }
            Err(refused) => {
                hub.metrics().cache_failures.inc();
                warn!(%refused, "shared table not used");
            }
        }
    }

    /// Ends what [`Self::load`] began, when the publisher has caught up with the scores: rows that nobody confirmed leave.
    pub fn settle(&self, hub: &Hub) {
        let n_retracted = hub.retract_cached();
        if n_retracted > 0 {
            warn!(n_retracted, "rows of the shared table left, the scores do not know them");
        }
    }

    /// Writes the table whenever it changed, until it is dropped. Nobody waits for it: a cache that is away costs one
    /// warning, and is written anew when it is back.
    pub async fn keep(&self, hub: &Hub) {
        let Some(shared) = &self.0 else { return std::future::pending().await };
        let mut beat = interval(WRITE_PERIOD);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut written = None;
        let mut n_beats = 0_u64;
        let renewal = RENEW_PERIOD.as_secs() / WRITE_PERIOD.as_secs();
        loop {
            beat.tick().await;
            n_beats += 1;
            written = match shared.write(hub, written, n_beats.is_multiple_of(renewal)).await {
                Ok(written) => written,
                Err(error) => {
                    shared.failed(hub, &error);
                    None
                }
            };
        }
    }

    /// Removes the shared table. Whether there was one; `None` where nothing is shared.
    pub(crate) async fn clear(&self) -> Result<Option<bool>, CacheError> {
        let Some(shared) = &self.0 else { return Ok(None) };
        let clearing = async { shared.entries.lock().await.clear().await };
        match timeout(CLEAR_MAX, clearing).await {
            Ok(cleared) => cleared.map(Some),
            Err(_) => Err(CacheError::Late { what: "clear", waited: CLEAR_MAX }),
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        if self.0.is_some() { "redis" } else { "memory" }
    }

    pub(crate) fn shared(&self) -> Option<&Shared> {
        self.0.as_deref()
    }

    /// How long ago the shared table that was taken in had been written.
    pub(crate) fn loaded_age_ms(&self, now: EventTime) -> Option<i64> {
        age_ms(&self.0.as_ref()?.loaded_from, now)
    }
}

impl Shared {
    /// Writes what changed since the update `written`; everything when that is `None`. Gives the update that the shared
    /// table stands at, `None` when it has to be written as a whole.
    async fn write(&self, hub: &Hub, written: Option<u64>, is_renewal: bool) -> Result<Option<u64>, CacheError> {
        let (u, head, changed) = hub.changed_since(written.unwrap_or(0));
        if u == 0 || (written == Some(u) && !is_renewal) {
            return Ok(written);
        }
        let partitions = if written.is_none() { schemas::Partition::all().collect() } else { changed };
        let (source, written_at) = (hub.clone(), head.written_at);
        let encoding = tokio::task::spawn_blocking(move || {
            // One after the other: each holds the table for as long as it takes to share its rows.
            let parts = partitions.into_iter().map(|partition| source.part(partition).entry());
            parts.chain([head.entry()]).collect::<Vec<_>>()
        });
        let Ok(entries) = encoding.await else { return Ok(None) };
        let saved = self.entries.lock().await.save(&entries).await?;
        self.answered(hub);
        self.note_sizes(&entries, hub);
        self.written_at.store(written_at.as_ns(), Ordering::Relaxed);
        // Entries that are new where they ought to be known: the table was lost meanwhile.
        let is_lost = written.is_some() && saved.n_new > 0;
        Ok((!is_lost).then_some(u))
    }

    fn note_sizes(&self, entries: &[(String, Vec<u8>)], hub: &Hub) {
        let mut sizes = self.sizes.lock().expect("nothing panics while it holds the sizes");
        sizes.extend(entries.iter().map(|(name, bytes)| (name.clone(), bytes.len())));
        let n_bytes = sizes.values().sum::<usize>() as u64;
        self.n_bytes.store(n_bytes, Ordering::Relaxed);
        hub.metrics().cache_bytes.set(i64::try_from(n_bytes).unwrap_or(i64::MAX));
    }

    fn answered(&self, hub: &Hub) {
        let gauge: &IntGauge = &hub.metrics().cache_reachable;
        gauge.set(1);
        if self.reachable.swap(1, Ordering::Relaxed) == 0 {
            info!("the shared cache is back");
        }
    }

    /// Says so once, until it is back.
    fn failed(&self, hub: &Hub, error: &CacheError) {
        hub.metrics().cache_failures.inc();
        hub.metrics().cache_reachable.set(0);
        if self.reachable.swap(0, Ordering::Relaxed) != 0 {
            warn!(error = chain(error), "the shared cache is away: going on without");
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn ttl_ms(&self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn is_reachable(&self) -> Option<bool> {
        let reachable = self.reachable.load(Ordering::Relaxed);
        (reachable != NEVER).then_some(reachable == 1)
    }

    pub(crate) fn n_bytes(&self) -> Option<u64> {
        let is_written = self.written_at.load(Ordering::Relaxed) != NEVER;
        is_written.then(|| self.n_bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn written_age_ms(&self, now: EventTime) -> Option<i64> {
        age_ms(&self.written_at, now)
    }
}

fn age_ms(moment: &AtomicI64, now: EventTime) -> Option<i64> {
    let moment = moment.load(Ordering::Relaxed);
    (moment != NEVER).then(|| ms_between(EventTime(moment), now))
}

fn ms_between(then: EventTime, now: EventTime) -> i64 {
    // Another machine's clock may be ahead.
    (now.as_ns().saturating_sub(then.as_ns()) / NANOS_PER_MILLI).max(0)
}

/// An error with its causes. None of them has the address in it.
pub(crate) fn chain(error: &CacheError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
