use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use schemas::Symbol;

use crate::board::Update;

/// Events kept for clients that are behind: about two full tables. Who is further behind is served faster by a
/// snapshot.
const EVENTS_RETAINED_MAX: usize = 16_384;

/// A change of the table as clients get it, written once for all of them.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) u: u64,
    pub(crate) symbol: Symbol,
    pub(crate) json: Bytes,
}

/// The newest events, in bursts. Clients read it at their own pace, so none delays another and none has a queue.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Without a gap between or within them.
    bursts: VecDeque<Arc<[Event]>>,
    n_events: usize,
    /// Number of the newest event.
    u: u64,
}

/// What follows a number in the ring.
#[derive(Debug)]
pub(crate) enum Since {
    Bursts(Vec<Arc<[Event]>>),
    /// It is not there any more.
    Gap,
}

impl Ring {
    pub(crate) fn push(&mut self, mut burst: Vec<Event>) {
        burst.retain(|event| event.u > self.u);
        let Some(last) = burst.last().map(|event| event.u) else { return };
        let follows = burst.iter().zip(self.u + 1..).all(|(event, u)| event.u == u);
        self.u = last;
        if !follows {
            // Whoever drives the hub left something out: clients then need a snapshot.
            self.bursts.clear();
            self.n_events = 0;
            return;
        }
        self.n_events += burst.len();
        self.bursts.push_back(burst.into());
        while self.n_events > EVENTS_RETAINED_MAX {
            let oldest = self.bursts.pop_front().expect("events that are counted are in a burst");
            self.n_events -= oldest.len();
        }
    }

    pub(crate) fn u(&self) -> u64 {
        self.u
    }

    /// The bursts with what follows `u`, as many as hold `n_events` events. The first may begin before.
    pub(crate) fn since(&self, u: u64, n_events: usize) -> Since {
        if u >= self.u {
            return Since::Bursts(Vec::new());
        }
        if self.bursts.front().is_none_or(|burst| burst[0].u > u + 1) {
            return Since::Gap;
        }
        let first = self.bursts.partition_point(|burst| burst[burst.len() - 1].u <= u);
        let mut n_found = 0;
        let bursts = self.bursts.iter().skip(first).take_while(|burst| {
            let is_wanted = n_found < n_events;
            n_found += burst.len();
            is_wanted
        });
        Since::Bursts(bursts.cloned().collect())
    }
}

impl Event {
    pub(crate) fn new(update: &Update) -> Self {
        let symbol = serde_json::to_vec(&update.symbol).expect("a symbol serialises to JSON");
        let json = match &update.result {
            Some(row) => [br#"{"ev":"SC","sym":"#, &*symbol, b",", &row.json[1..]].concat(),
            None => [br#"{"ev":"out","ch":"SC","sym":"#, &*symbol, b"}"].concat(),
        };
        Self { u: update.u, symbol: update.symbol, json: json.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(us: impl IntoIterator<Item = u64>) -> Vec<Event> {
        let symbol = Symbol::new("A").unwrap();
        us.into_iter().map(|u| Event { u, symbol, json: Bytes::new() }).collect()
    }

    fn since(ring: &Ring, u: u64, n_events: usize) -> Option<Vec<u64>> {
        match ring.since(u, n_events) {
            Since::Bursts(bursts) => Some(bursts.iter().flat_map(|burst| burst.iter().map(|event| event.u)).collect()),
            Since::Gap => None,
        }
    }

    #[test]
    fn gives_what_follows_a_number_in_whole_bursts() {
        let mut ring = Ring::default();
        assert_eq!(since(&ring, 0, 9), Some(vec![]));
        ring.push(burst(1..=2));
        ring.push(burst(3..=3));
        ring.push(burst(2..=5));
        assert_eq!(since(&ring, 0, 9), Some(vec![1, 2, 3, 4, 5]));
        assert_eq!(since(&ring, 1, 2), Some(vec![1, 2]));
        assert_eq!(since(&ring, 2, 2), Some(vec![3, 4, 5]));
        assert_eq!(since(&ring, 5, 9), Some(vec![]));
        assert_eq!(since(&ring, 8, 9), Some(vec![]));
    }

    #[test]
    fn a_hole_and_the_limit_are_gaps() {
        let mut ring = Ring::default();
        ring.push(burst(1..=2));
        ring.push(burst(4..=5));
        assert_eq!((since(&ring, 2, 9), since(&ring, 4, 9), since(&ring, 5, 9)), (None, None, Some(vec![])));
        ring.push(burst(6..=6));
        assert_eq!(since(&ring, 5, 9), Some(vec![6]));

        let n_max = EVENTS_RETAINED_MAX as u64;
        let mut ring = Ring::default();
        for u in 1..=n_max + 1 {
            ring.push(burst([u]));
        }
        assert_eq!(since(&ring, 0, 1), None);
        assert_eq!(since(&ring, 1, 1), Some(vec![2]));
        assert_eq!(ring.n_events, EVENTS_RETAINED_MAX);
    }
}
