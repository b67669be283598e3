//! How far one consumer of a stream has come.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::bus::{ACK_PENDING_MAX, ACK_WAIT, ConsumerSpec, Start};

/// A queue is cleared of removed messages when there are this many and they are most of it.
const STALE_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct ConsumerState {
    pub(super) durable: String,
    pub(super) filter: String,
    /// Nothing before this sequence, not even what comes later.
    start: u64,
    /// The sequences still to be delivered for the first time, ascending.
    queue: VecDeque<u64>,
    /// How many in `queue` were overwritten or discarded since.
    n_stale: usize,
    unacknowledged: BTreeMap<u64, Unacknowledged>,
    /// The same, by the instant of the next delivery.
    due: BTreeSet<(Instant, u64)>,
    pub(super) wake: Arc<Notify>,
}

#[derive(Clone, Copy, Debug)]
struct Unacknowledged {
    again_at: Instant,
    delivered: u64,
}

impl ConsumerState {
    pub(super) fn new(spec: &ConsumerSpec, queue: VecDeque<u64>, wake: Arc<Notify>) -> Self {
        Self {
            durable: spec.durable.clone(),
            filter: spec.filter.clone(),
            start: match spec.start {
                Start::Sequence(sequence) => sequence,
                Start::All | Start::LastPerSubject => 0,
            },
            queue,
            n_stale: 0,
            unacknowledged: BTreeMap::new(),
            due: BTreeSet::new(),
            wake,
        }
    }

    pub(super) fn push(&mut self, sequence: u64) {
        if sequence >= self.start {
            self.queue.push_back(sequence);
            self.wake.notify_one();
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.unacknowledged.len() >= ACK_PENDING_MAX
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether this message is yet to be delivered or acknowledged.
    pub(super) fn needs(&self, sequence: u64) -> bool {
        self.unacknowledged.contains_key(&sequence) || self.has_queued(sequence)
    }

    /// A queued message was removed from the log.
    pub(super) fn on_removed(&mut self, is_live: impl Fn(u64) -> bool) {
        self.n_stale += 1;
        if self.n_stale > STALE_MAX.max(self.queue.len() / 2) {
            self.queue.retain(|sequence| is_live(*sequence));
            self.n_stale = 0;
        }
    }

    /// A message taken turned out to be removed.
    pub(super) fn skip(&mut self, sequence: u64, delivered: u64) {
        self.settle(sequence);
        if delivered == 1 {
            self.n_stale = self.n_stale.saturating_sub(1);
        }
    }

    pub(super) fn redeliver_all_at(&mut self, at: Instant) {
        self.due.clear();
        for (&sequence, state) in &mut self.unacknowledged {
            state.again_at = at;
            self.due.insert((at, sequence));
        }
    }

    pub(super) fn backlog(&self) -> usize {
        (self.queue.len() + self.unacknowledged.len()).saturating_sub(self.n_stale)
    }

    /// The next sequence to deliver, and for how many times it then was.
    pub(super) fn take(&mut self, now: Instant) -> Option<(u64, u64)> {
        let again_at = now + ACK_WAIT;
        if let Some(&(at, sequence)) = self.due.first()
            && at <= now
        {
            self.due.pop_first();
            let state = self.unacknowledged.get_mut(&sequence).expect("every due message is unacknowledged");
            state.again_at = again_at;
            state.delivered += 1;
            self.due.insert((again_at, sequence));
            return Some((sequence, state.delivered));
        }
        if self.is_full() {
            return None;
        }
        let sequence = self.queue.pop_front()?;
        self.unacknowledged.insert(sequence, Unacknowledged { again_at, delivered: 1 });
        self.due.insert((again_at, sequence));
        Some((sequence, 1))
    }

    pub(super) fn has_queued(&self, sequence: u64) -> bool {
        // Mostly the queue is past the sequences in question, which spares the search.
        self.queue.front().is_some_and(|front| *front <= sequence) && self.queue.binary_search(&sequence).is_ok()
    }

    pub(super) fn settle(&mut self, sequence: u64) {
        if let Some(state) = self.unacknowledged.remove(&sequence) {
            self.due.remove(&(state.again_at, sequence));
        }
    }

    pub(super) fn redeliver_at(&mut self, sequence: u64, at: Instant) {
        if let Some(state) = self.unacknowledged.get_mut(&sequence) {
            self.due.remove(&(state.again_at, sequence));
            state.again_at = at;
            self.due.insert((at, sequence));
        }
    }
}
