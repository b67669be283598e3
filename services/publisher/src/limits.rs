use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A client may say at once what it may say within this time.
const BURST: Duration = Duration::from_secs(5);

/// How many connections at full rate one key may have.
const RATES_PER_KEY: f64 = 10.0;

/// The section `publisher.limits` of the configuration: what clients may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// WebSocket connections of one key at the same time.
    pub connections_per_key: usize,
    /// Symbols that one connection subscribes to by name.
    pub subscriptions: usize,
    /// The same of all connections of one key.
    pub subscriptions_per_key: usize,
    /// Messages of one connection, in the long run; the connections of one key may send ten times as many.
    pub messages_per_second: u32,
    /// Largest message of a client.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_key: 100,
            subscriptions: 1000,
            subscriptions_per_key: 10_000,
            messages_per_second: 20,
            message_bytes: 64 << 10,
        }
    }
}

impl Limits {
    /// Everything that is wrong, each with its key.
    pub(crate) fn problems(&self) -> Vec<String> {
        let rate = usize::try_from(self.messages_per_second).unwrap_or(usize::MAX);
        let numbers = [
            ("connections_per_key", self.connections_per_key, 1),
            ("subscriptions", self.subscriptions, 1),
            ("subscriptions_per_key", self.subscriptions_per_key, 1),
            ("messages_per_second", rate, 1),
            ("message_bytes", self.message_bytes, 1024),
        ];
        let too_low = numbers.into_iter().filter(|(_, number, min)| number < min);
        too_low.map(|(key, number, min)| format!("limits.{key}: {number} is below {min}")).collect()
    }
}

/// A bucket that fills at a steady rate and is emptied message by message.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    level: f64,
    filled_at: Instant,
}

impl Bucket {
    pub(crate) fn new(per_second: f64) -> Self {
        Self { per_second, level: per_second * BURST.as_secs_f64(), filled_at: Instant::now() }
    }

    /// Whether one more message is allowed.
    pub(crate) fn take(&mut self) -> bool {
        let now = Instant::now();
        let filled = self.per_second * now.duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.level = (self.level + filled).min(self.per_second * BURST.as_secs_f64());
        let is_allowed = self.level >= 1.0;
        if is_allowed {
            self.level -= 1.0;
        }
        is_allowed
    }
}

/// What the connections of each key take together.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<BTreeMap<Arc<str>, Share>>);

#[derive(Debug)]
struct Share {
    n_connections: usize,
    n_subscriptions: usize,
    bucket: Bucket,
}

/// The part of one connection in its key's share. Given back on drop.
#[derive(Debug)]
pub(crate) struct Lease {
    shares: Arc<Shares>,
    name: Arc<str>,
    n_subscriptions: usize,
}

impl Shares {
    /// `None` when the key has too many connections.
    pub(crate) fn lease(self: &Arc<Self>, name: &Arc<str>, limits: &Limits) -> Option<Lease> {
        let mut shares = self.shares();
        let share = shares.entry(Arc::clone(name)).or_insert_with(|| Share {
            n_connections: 0,
            n_subscriptions: 0,
            bucket: Bucket::new(f64::from(limits.messages_per_second) * RATES_PER_KEY),
        });
        if share.n_connections >= limits.connections_per_key {
            return None;
        }
        share.n_connections += 1;
        Some(Lease { shares: Arc::clone(self), name: Arc::clone(name), n_subscriptions: 0 })
    }

    fn shares(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Share>> {
        self.0.lock().expect("nothing panics while it holds the shares")
    }
}

impl Lease {
    /// Whether the connection may have so many subscriptions; it then has.
    pub(crate) fn subscribe(&mut self, n_subscriptions: usize, limits: &Limits) -> bool {
        let mut shares = self.shares.shares();
        let Some(share) = shares.get_mut(&self.name) else { return false };
        let n_all = share.n_subscriptions - self.n_subscriptions + n_subscriptions;
        let is_allowed = n_all <= limits.subscriptions_per_key || n_subscriptions <= self.n_subscriptions;
        if is_allowed {
            (share.n_subscriptions, self.n_subscriptions) = (n_all, n_subscriptions);
        }
        is_allowed
    }

    /// Whether the key may send one more message.
    pub(crate) fn take(&self) -> bool {
        self.shares.shares().get_mut(&self.name).is_some_and(|share| share.bucket.take())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut shares = self.shares.shares();
        if let Some(share) = shares.get_mut(&self.name) {
            // What is left of the bucket stays: leaving and coming back is no way around the rate.
            share.n_connections -= 1;
            share.n_subscriptions -= self.n_subscriptions;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_allows_a_burst_and_then_the_rate() {
        let mut bucket = Bucket::new(10.0);
        assert_eq!((0..100).filter(|_| bucket.take()).count(), 50);
        tokio::time::advance(Duration::from_millis(350)).await;
        assert_eq!((0..100).filter(|_| bucket.take()).count(), 3);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!((0..100).filter(|_| bucket.take()).count(), 50);
    }

    #[tokio::test]
    async fn the_connections_of_a_key_share_its_limits_and_give_them_back() {
        let limits = Limits { connections_per_key: 2, subscriptions_per_key: 10, ..Limits::default() };
        let (shares, name, other) = (Arc::new(Shares::default()), Arc::from("desk"), Arc::from("other"));
        let mut first = shares.lease(&name, &limits).unwrap();
        let mut second = shares.lease(&name, &limits).unwrap();
        assert!(shares.lease(&name, &limits).is_none() && shares.lease(&other, &limits).is_some());
        assert!(first.subscribe(6, &limits) && !second.subscribe(5, &limits) && second.subscribe(4, &limits));
        assert!(first.subscribe(5, &limits) && second.subscribe(5, &limits));
        drop(first);
        assert!(second.subscribe(10, &limits) && shares.lease(&name, &limits).is_some());
        while second.take() {}
        drop(second);
        assert!(!shares.lease(&name, &limits).unwrap().take());
    }
}
