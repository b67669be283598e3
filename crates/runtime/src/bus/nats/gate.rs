//! Back-pressure: publishers of a stream wait while its slowest consumer is too far behind.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use tracing::warn;

use super::Shared;
use crate::bus::BusError;

/// The consumers are asked for their backlog once in so many publishes: it costs the server a scan.
const LEAD_CHECK_EVERY: u64 = 512;

/// How often a waiting publisher asks again.
const LEAD_POLL: Duration = Duration::from_millis(50);

/// A durable nobody reads holds publishers up for this long at most: its owner is gone and will recover.
const ABANDONED_AFTER: Duration = Duration::from_mins(2);

/// What is known about the consumers of one stream.
#[derive(Debug, Default)]
pub(super) struct Gate {
    n_published: AtomicU64,
    is_closed: AtomicBool,
    /// Held by the publisher that polls; the others wait for it.
    progress: tokio::sync::Mutex<HashMap<String, Progress>>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    position: (u64, u64),
    since: Instant,
}

#[derive(Deserialize)]
struct ConsumerList {
    total: usize,
    #[serde(default)]
    consumers: Option<Vec<ConsumerInfo>>,
}

#[derive(Deserialize)]
struct ConsumerInfo {
    name: String,
    delivered: Position,
    ack_floor: Position,
    num_ack_pending: u64,
    num_waiting: u64,
    num_pending: u64,
}

#[derive(Deserialize)]
struct Position {
    consumer_seq: u64,
}

impl Gate {
    /// Called after each publish; waits when this one was one too many.
    pub(super) async fn pass(&self, shared: &Shared, stream: &str) -> Result<(), BusError> {
        let n_published = self.n_published.fetch_add(1, Ordering::Relaxed) + 1;
        let is_due = n_published.is_multiple_of(LEAD_CHECK_EVERY);
        if !is_due && !self.is_closed.load(Ordering::Acquire) {
            return Ok(());
        }
        // Closed first, so that publishers running beside this one join the wait.
        self.is_closed.store(true, Ordering::Release);
        let mut progress = self.progress.lock().await;
        while self.is_closed.load(Ordering::Acquire) {
            let backlog = match backlog_max(shared, stream, &mut progress).await {
                Ok(backlog) => backlog,
                // The message is stored; whatever is wrong with the server shows at the next publish.
                Err(error) => {
                    warn!(%error, stream, "cannot tell how far consumers are behind");
                    0
                }
            };
            if backlog <= shared.lead_max {
                self.is_closed.store(false, Ordering::Release);
                break;
            }
            let mut end = shared.end.subscribe();
            tokio::select! {
                () = tokio::time::sleep(LEAD_POLL) => {}
                _ = end.wait_for(|is_ended| *is_ended) => return Err(BusError::Closed),
            }
        }
        Ok(())
    }
}

/// How far the slowest consumer that still has an owner is behind.
async fn backlog_max(shared: &Shared, stream: &str, progress: &mut HashMap<String, Progress>) -> Result<u64, BusError> {
    let what = format!("list the consumers of `{stream}`");
    let subject = format!("CONSUMER.LIST.{stream}");
    let mut backlog_max = 0;
    let mut offset = 0;
    let mut known = HashMap::with_capacity(progress.len());
    loop {
        let request = serde_json::json!({ "offset": offset });
        let page: ConsumerList = shared.request(&subject, &request, &what).await?;
        let consumers = page.consumers.unwrap_or_default();
        offset += consumers.len();
        let is_last = consumers.is_empty() || offset >= page.total;
        for consumer in consumers {
            let last = progress.get(&consumer.name).copied();
            let now = consumer.progress(last);
            if now.since.elapsed() < ABANDONED_AFTER {
                backlog_max = backlog_max.max(consumer.num_pending + consumer.num_ack_pending);
            }
            known.insert(consumer.name, now);
        }
        if is_last {
            *progress = known;
            return Ok(backlog_max);
        }
    }
}

impl ConsumerInfo {
    /// Since when this consumer shows no sign of life, by our own clock: the server's may differ.
    fn progress(&self, last: Option<Progress>) -> Progress {
        let position = (self.delivered.consumer_seq, self.ack_floor.consumer_seq);
        match last {
            Some(last) if last.position == position && self.num_waiting == 0 => last,
            _ => Progress { position, since: Instant::now() },
        }
    }
}
