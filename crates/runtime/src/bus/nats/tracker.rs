//! What a consumer has handed out, and what of it is done with.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::Subject;

use crate::bus::Start;

/// How many acknowledged messages behind an unacknowledged one are remembered; more may come twice.
const SETTLED_MAX: usize = 65_536;

/// Which messages were handed out and which of them are done with.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    newest: u64,
    /// The newest message of this incarnation of the consumer; what follows may be a repeat.
    position: u64,
    outstanding: BTreeSet<u64>,
    /// Done with, but able to come again: ahead of the position, or behind an outstanding one.
    settled: BTreeSet<u64>,
    /// Settled, which the server does not know yet, with where to tell it.
    untold: BTreeMap<u64, Subject>,
    /// Grows whenever the consumer is created anew: the server cannot use an answer to a delivery from before.
    pub(super) incarnation: u64,
}

impl Tracker {
    /// Returns whether the message is to be handed out.
    pub(super) fn on_delivery(&mut self, sequence: u64) -> bool {
        self.position = self.position.max(sequence);
        self.newest = self.newest.max(sequence);
        let is_open = !self.settled.contains(&sequence);
        if is_open {
            self.outstanding.insert(sequence);
        }
        self.forget();
        is_open
    }

    pub(super) fn settle(&mut self, sequence: u64, reply: &Subject, incarnation: u64) {
        if self.outstanding.remove(&sequence) {
            if sequence >= self.floor() {
                self.settled.insert(sequence);
            }
            self.forget();
        }
        if incarnation == self.incarnation {
            self.untold.insert(sequence, reply.clone());
        }
    }

    pub(super) fn n_untold(&self) -> usize {
        self.untold.len()
    }

    /// Where to say that everything up to the newest message behind which nothing is outstanding is settled.
    pub(super) fn take_untold(&mut self) -> Option<Subject> {
        let oldest = self.outstanding.first().copied().unwrap_or(u64::MAX);
        let rest = self.untold.split_off(&oldest);
        std::mem::replace(&mut self.untold, rest).pop_last().map(|(_, reply)| reply)
    }

    /// Whether there is nothing to tell, now or soon.
    pub(super) fn is_quiet(&self) -> bool {
        self.outstanding.is_empty() && self.untold.is_empty()
    }

    pub(super) fn resume_at(&mut self, start: Start) -> Start {
        let resume_at = match self.outstanding.first() {
            Some(&oldest) => oldest,
            None if self.newest > 0 => self.newest + 1,
            None => return start,
        };
        self.position = resume_at - 1;
        self.untold.clear();
        self.incarnation += 1;
        Start::Sequence(resume_at)
    }

    /// What lies below does not come again.
    fn floor(&self) -> u64 {
        let next = self.position + 1;
        self.outstanding.first().map_or(next, |oldest| next.min(*oldest))
    }

    fn forget(&mut self) {
        let floor = self.floor();
        while self.settled.first().is_some_and(|first| *first < floor) || self.settled.len() > SETTLED_MAX {
            self.settled.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(sequences: &[u64]) -> Tracker {
        let mut tracker = Tracker::default();
        for sequence in sequences {
            assert!(tracker.on_delivery(*sequence));
        }
        tracker
    }

    fn settle(tracker: &mut Tracker, sequences: &[u64]) {
        for sequence in sequences {
            tracker.settle(*sequence, &reply(*sequence), tracker.incarnation);
        }
    }

    fn reply(sequence: u64) -> Subject {
        Subject::from(sequence.to_string())
    }

    #[test]
    fn resumes_where_it_was_told_to_start_before_the_first_message() {
        assert_eq!(Tracker::default().resume_at(Start::All), Start::All);
    }

    #[test]
    fn resumes_behind_the_newest_when_all_is_settled() {
        let mut tracker = delivered(&[3, 5]);
        settle(&mut tracker, &[3, 5]);
        assert_eq!(tracker.resume_at(Start::All), Start::Sequence(6));
        assert!(tracker.settled.is_empty());
    }

    #[test]
    fn resumes_at_the_oldest_unsettled_and_skips_what_is_settled() {
        let mut tracker = delivered(&[1, 2, 3]);
        settle(&mut tracker, &[2]);
        assert_eq!(tracker.resume_at(Start::All), Start::Sequence(1));
        // An answer to a delivery from before counts for its repeat.
        settle(&mut tracker, &[1]);
        let repeats: Vec<_> = [1, 2, 3, 4].map(|n| tracker.on_delivery(n)).into();
        assert_eq!(repeats, [false, false, true, true]);
        assert!(tracker.settled.is_empty());
    }

    #[test]
    fn the_server_is_told_of_the_newest_message_behind_which_nothing_is_outstanding() {
        let mut tracker = delivered(&[1, 2, 3, 4]);
        settle(&mut tracker, &[2, 4]);
        assert_eq!(tracker.take_untold(), None);
        settle(&mut tracker, &[1]);
        assert_eq!(tracker.take_untold(), Some(reply(2)));
        assert!(!tracker.is_quiet());
        settle(&mut tracker, &[3]);
        assert_eq!(tracker.take_untold(), Some(reply(4)));
        assert!(tracker.is_quiet());
    }

    #[test]
    fn the_server_is_told_nothing_about_deliveries_of_a_consumer_before() {
        let mut tracker = delivered(&[1, 2, 3]);
        settle(&mut tracker, &[1]);
        assert_eq!(tracker.resume_at(Start::All), Start::Sequence(2));
        tracker.settle(2, &reply(2), 0);
        tracker.settle(3, &reply(3), 0);
        assert_eq!(tracker.take_untold(), None);
        // The repeats are settled already, which only the server does not know.
        assert!([2, 3].map(|n| tracker.on_delivery(n)).iter().all(|is_open| !is_open));
        tracker.settle(2, &reply(20), 1);
        tracker.settle(3, &reply(30), 1);
        assert_eq!(tracker.take_untold(), Some(reply(30)));
    }
}
