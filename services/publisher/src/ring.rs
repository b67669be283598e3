use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Event;

/// Events kept for clients that are behind: about two full tables. Who is further behind is served faster by a
/// snapshot.
const EVENTS_RETAINED_MAX: usize = 16_384;

/// The newest events of a channel. Clients read it at their own pace, so none delays another and none has a queue.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Numbered without a gap, the last one `u`.
    events: VecDeque<Arc<Event>>,
    u: u64,
}

impl Ring {
    /// Takes in events by rising number; those that are known already are skipped.
    pub(crate) fn push(&mut self, events: impl IntoIterator<Item = Arc<Event>>) {
        for event in events {
            if event.u <= self.u {
                continue;
            }
            if event.u != self.u + 1 {
                // Whoever drives the hub left something out: clients then need a snapshot.
                self.events.clear();
            }
            self.u = event.u;
            self.events.push_back(event);
            if self.events.len() > EVENTS_RETAINED_MAX {
                self.events.pop_front();
            }
        }
    }

    /// Number of the newest event.
    pub(crate) fn u(&self) -> u64 {
        self.u
    }

    /// What follows `from`, up to `to` and to about `n_bytes_max` of it, at least one event. `None` when it is not there
    /// any more.
    pub(crate) fn between(&self, from: u64, to: u64, n_bytes_max: usize) -> Option<Vec<Arc<Event>>> {
        let to = to.min(self.u);
        if from >= to {
            return Some(Vec::new());
        }
        let first = self.u - self.events.len() as u64 + 1;
        let skipped = usize::try_from((from + 1).checked_sub(first)?).ok()?;
        let mut n_bytes = 0;
        let events = self.events.range(skipped..).take_while(|event| {
            let is_wanted = event.u <= to && n_bytes < n_bytes_max;
            n_bytes += event.size();
            is_wanted
        });
        Some(events.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use schemas::Symbol;

    use super::*;
    use crate::event::Content;

    fn push(ring: &mut Ring, us: impl IntoIterator<Item = u64>) {
        let symbol = Symbol::new("A").unwrap();
        ring.push(us.into_iter().map(|u| Arc::new(Event::new(u, symbol, Content::Out))));
    }

    fn between(ring: &Ring, from: u64, to: u64, n_bytes: usize) -> Option<Vec<u64>> {
        ring.between(from, to, n_bytes).map(|events| events.iter().map(|event| event.u).collect())
    }

    #[test]
    fn gives_what_follows_a_number() {
        let mut ring = Ring::default();
        assert_eq!(between(&ring, 0, 9, 9999), Some(vec![]));
        push(&mut ring, 1..=3);
        push(&mut ring, 2..=5);
        assert_eq!(between(&ring, 0, 9, 9999), Some(vec![1, 2, 3, 4, 5]));
        assert_eq!(between(&ring, 1, 3, 9999), Some(vec![2, 3]));
        assert_eq!(between(&ring, 1, 9, 1), Some(vec![2]));
        assert_eq!(between(&ring, 5, 9, 9999), Some(vec![]));
        assert_eq!(between(&ring, 8, 9, 9999), Some(vec![]));
    }

    #[test]
    fn a_hole_and_the_limit_are_gaps() {
        let mut ring = Ring::default();
        push(&mut ring, 1..=2);
        push(&mut ring, 4..=5);
        assert_eq!(between(&ring, 2, 9, 9999), None);
        assert_eq!(between(&ring, 3, 9, 9999), Some(vec![4, 5]));
        assert_eq!(between(&ring, 5, 9, 9999), Some(vec![]));

        let n_max = EVENTS_RETAINED_MAX as u64;
        let mut ring = Ring::default();
        push(&mut ring, 1..=n_max + 1);
        assert_eq!(between(&ring, 0, u64::MAX, 1), None);
        assert_eq!(between(&ring, 1, u64::MAX, 1), Some(vec![2]));
        assert_eq!(ring.events.len(), EVENTS_RETAINED_MAX);
    }
}
