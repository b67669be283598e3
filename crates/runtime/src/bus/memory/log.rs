//! The content of one stream and the positions of its consumers. Pure: time comes in as an argument.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::position::ConsumerState;
use crate::bus::{Answer, BusError, ConsumerSpec, PublishAck, Start, Stored, StreamSpec, StreamState, subject};

/// The size of a stream for which none was given.
const BYTES_MAX_DEFAULT: usize = 64 << 20;

/// How many message ids a stream remembers, whatever its duplicate window; the oldest are forgotten first.
const DUPLICATE_IDS_MAX: usize = 1 << 20;

/// What became of a message to append.
pub(super) enum Append {
    /// It is in the log, perhaps since earlier.
    Done(PublishAck),
    /// A consumer has to catch up first.
    Wait,
}

/// What a consumer gets.
pub(super) enum Take {
    /// The next message.
    Message { stored: Stored, delivered: u64, disconnects: u64 },
    /// Nothing before this instant, unless the consumer is woken.
    Wait { until: Option<Instant> },
    /// The consumer is no more.
    Lost,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Log {
    spec: StreamSpec,
    lead_max: u64,
    /// The messages from `first_sequence` on; `None` where one was overwritten or never belonged.
    entries: VecDeque<Option<Entry>>,
    first_sequence: u64,
    n_messages: u64,
    bytes: usize,
    subjects: HashMap<Arc<str>, SubjectState>,
    ids: HashMap<Arc<str>, u64>,
    ids_by_age: VecDeque<(Instant, Arc<str>)>,
    consumers: BTreeMap<u64, ConsumerState>,
    durables: HashMap<String, u64>,
    /// Grows with every change of `consumers`: subjects then find their consumers anew.
    consumers_version: u64,
    disconnects: u64,
    /// A publisher waits, so an acknowledgement has somebody to wake.
    has_waiter: bool,
}

#[derive(Debug)]
struct Entry {
    subject: Arc<str>,
    message_id: Option<Arc<str>>,
    headers: Box<[(String, String)]>,
    payload: Bytes,
    at: Instant,
}

#[derive(Debug)]
struct SubjectState {
    last_sequence: u64,
    /// The consumers whose filter takes this subject, as of `version`.
    consumers: Arc<[u64]>,
    version: u64,
}

impl Log {
    pub(super) fn new(spec: StreamSpec, lead_max: u64) -> Self {
        Self {
            spec,
            lead_max,
            entries: VecDeque::new(),
            first_sequence: 1,
            n_messages: 0,
            bytes: 0,
            subjects: HashMap::new(),
            ids: HashMap::new(),
            ids_by_age: VecDeque::new(),
            consumers: BTreeMap::new(),
            durables: HashMap::new(),
            consumers_version: 1,
            disconnects: 0,
            has_waiter: false,
        }
    }

    pub(super) fn update(&mut self, spec: &StreamSpec) -> Result<(), BusError> {
        if self.spec.storage != spec.storage {
            return Err(BusError::ConfigMismatch {
                stream: spec.name.clone(),
                field: "storage",
                asked: format!("{:?}", spec.storage),
                got: format!("{:?}", self.spec.storage),
            });
        }
        self.spec = spec.clone();
        Ok(())
    }

    /// Appends a message, with `force` even past consumers that are behind.
    pub(super) fn append(
        &mut self,
        now: Instant,
        subject: &str,
        message_id: Option<&str>,
        headers: &[(&str, &str)],
        payload: &Bytes,
        force: bool,
    ) -> Append {
        self.forget_ids(now);
        if let Some(&sequence) = message_id.and_then(|id| self.ids.get(id)) {
            return Append::Done(PublishAck { sequence, duplicate: true });
        }
        self.expire(now);
        let (subject, consumers) = self.route(subject);
        let overwritten = self.spec.last_per_subject.then(|| self.subjects[&subject].last_sequence);
        if !force && consumers.iter().any(|id| self.is_lagging(*id)) {
            self.has_waiter = true;
            return Append::Wait;
        }
        let size = size(&subject, payload);
        let Some(n_discarded) = self.room_for(size, overwritten, force) else {
            self.has_waiter = true;
            return Append::Wait;
        };
        if let Some(sequence) = overwritten {
            self.remove(sequence);
        }
        for _ in 0..n_discarded {
            self.remove(self.first_sequence);
            self.entries.pop_front();
            self.first_sequence += 1;
        }

        let sequence = self.last_sequence_given() + 1;
        let message_id: Option<Arc<str>> = message_id.map(Arc::from);
        if let Some(id) = &message_id {
            self.ids.insert(Arc::clone(id), sequence);
            self.ids_by_age.push_back((now, Arc::clone(id)));
        }
        self.subjects
            .entry(Arc::clone(&subject))
            .or_insert_with(|| SubjectState {
                last_sequence: 0,
                consumers: Arc::clone(&consumers),
                version: self.consumers_version,
            })
            .last_sequence = sequence;
        self.entries.push_back(Some(Entry {
            subject,
            message_id,
            headers: owned(headers),
            payload: payload.clone(),
            at: now,
        }));
        self.n_messages += 1;
        self.bytes += size;
        for id in consumers.iter() {
            if let Some(consumer) = self.consumers.get_mut(id) {
                consumer.push(sequence);
            }
        }
        Append::Done(PublishAck { sequence, duplicate: false })
    }

    pub(super) fn add_consumer(&mut self, spec: &ConsumerSpec, wake: Arc<Notify>) -> u64 {
        if let Some(id) = self.durables.remove(&spec.durable) {
            self.remove_consumer(id);
        }
        let matching = |entry: &Entry| subject::matches(&spec.filter, &entry.subject);
        let queue = match spec.start {
            Start::LastPerSubject => {
                let mut newest: Vec<u64> = self
                    .subjects
                    .iter()
                    .filter(|(name, state)| state.last_sequence > 0 && subject::matches(&spec.filter, name))
                    .map(|(_, state)| state.last_sequence)
                    .collect();
                newest.sort_unstable();
                newest.into()
            }
            Start::All | Start::Sequence(_) => {
                let start = match spec.start {
                    Start::Sequence(sequence) => sequence.max(self.first_sequence),
                    _ => self.first_sequence,
                };
                (start..=self.last_sequence_given())
                    .filter(|sequence| self.entry(*sequence).is_some_and(matching))
                    .collect()
            }
        };
        self.consumers_version += 1;
        let id = self.consumers_version;
        self.durables.insert(spec.durable.clone(), id);
        self.consumers.insert(id, ConsumerState::new(spec, queue, wake));
        id
    }

    pub(super) fn remove_consumer(&mut self, id: u64) {
        let Some(consumer) = self.consumers.remove(&id) else {
            return;
        };
        if self.durables.get(&consumer.durable) == Some(&id) {
            self.durables.remove(&consumer.durable);
        }
        self.consumers_version += 1;
        consumer.wake.notify_one();
    }

    pub(super) fn take(&mut self, id: u64, now: Instant) -> Take {
        self.expire(now);
        loop {
            let Some(consumer) = self.consumers.get_mut(&id) else {
                return Take::Lost;
            };
            let Some((sequence, delivered)) = consumer.take(now) else {
                return Take::Wait { until: consumer.next_due() };
            };
            if let Some(stored) = self.stored(sequence) {
                return Take::Message { stored, delivered, disconnects: self.disconnects };
            }
            // Overwritten or discarded since it was queued.
            if let Some(consumer) = self.consumers.get_mut(&id) {
                consumer.skip(sequence, delivered);
            }
        }
    }

    /// Returns whether a waiting publisher should look again.
    pub(super) fn answer(&mut self, id: u64, sequence: u64, answer: Answer, now: Instant) -> bool {
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return false;
        };
        match answer {
            Answer::Ack | Answer::Term => {
                let was_full = consumer.is_full();
                consumer.settle(sequence);
                if was_full {
                    consumer.wake.notify_one();
                }
                std::mem::take(&mut self.has_waiter)
            }
            Answer::Nak(delay) => {
                consumer.redeliver_at(sequence, now + delay);
                consumer.wake.notify_one();
                false
            }
        }
    }

    pub(super) fn restart(&mut self, now: Instant) {
        self.disconnects += 1;
        for consumer in self.consumers.values_mut() {
            consumer.redeliver_all_at(now);
            consumer.wake.notify_one();
        }
    }

    pub(super) fn wake_consumers(&self) {
        for consumer in self.consumers.values() {
            consumer.wake.notify_one();
        }
    }

    pub(super) fn last(&mut self, now: Instant, subject: &str) -> Option<Stored> {
        self.expire(now);
        self.stored(self.subjects.get(subject)?.last_sequence)
    }

    pub(super) fn is_consumed(&self, durable: &str) -> bool {
        self.durables.contains_key(durable)
    }

    pub(super) fn last_sequence(&mut self, now: Instant, filter: &str) -> u64 {
        self.expire(now);
        self.subjects
            .iter()
            .filter(|(name, _)| subject::matches(filter, name))
            .map(|(_, state)| state.last_sequence)
            .max()
            .unwrap_or(0)
    }

    pub(super) fn state(&mut self, now: Instant) -> StreamState {
        self.expire(now);
        let first_live = self.entries.iter().position(Option::is_some);
        let offset = first_live.unwrap_or(self.entries.len());
        StreamState {
            first_sequence: self.first_sequence + offset as u64,
            last_sequence: self.last_sequence_given(),
            messages: self.n_messages,
            bytes: self.bytes as u64,
        }
    }

    /// The interned subject and the consumers that get its messages.
    fn route(&mut self, subject: &str) -> (Arc<str>, Arc<[u64]>) {
        if let Some((name, state)) = self.subjects.get_key_value(subject)
            && state.version == self.consumers_version
        {
            return (Arc::clone(name), Arc::clone(&state.consumers));
        }
        let consumers: Arc<[u64]> = self
            .consumers
            .iter()
            .filter(|(_, consumer)| subject::matches(&consumer.filter, subject))
            .map(|(id, _)| *id)
            .collect();
        let version = self.consumers_version;
        let name = match self.subjects.get_key_value(subject) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(subject),
        };
        let state = self.subjects.entry(Arc::clone(&name)).or_insert_with(|| SubjectState {
            last_sequence: 0,
            consumers: Arc::clone(&consumers),
            version,
        });
        state.consumers = Arc::clone(&consumers);
        state.version = version;
        (name, consumers)
    }

    fn is_lagging(&self, id: u64) -> bool {
        self.consumers.get(&id).is_some_and(|consumer| consumer.backlog() as u64 > self.lead_max)
    }

    /// How many of the oldest entries must go so that `size` fits; `None` while one of them is still needed.
    fn room_for(&self, size: usize, overwritten: Option<u64>, force: bool) -> Option<usize> {
        let bytes_max = self.spec.max_bytes.and_then(|max| usize::try_from(max).ok()).unwrap_or(BYTES_MAX_DEFAULT);
        let freed = overwritten.and_then(|sequence| self.entry(sequence)).map_or(0, Entry::size);
        let mut bytes = self.bytes + size - freed;
        let mut n_discarded = 0;
        while bytes > bytes_max && n_discarded < self.entries.len() {
            let sequence = self.first_sequence + n_discarded as u64;
            if let Some(entry) = &self.entries[n_discarded]
                && overwritten != Some(sequence)
            {
                if !force && self.is_needed(sequence) {
                    return None;
                }
                bytes -= entry.size();
            }
            n_discarded += 1;
        }
        Some(n_discarded)
    }

    /// Whether a consumer has yet to acknowledge this message.
    fn is_needed(&self, sequence: u64) -> bool {
        self.consumers.values().any(|consumer| consumer.needs(sequence))
    }

    /// Discards what is older than the stream keeps, except what a consumer still needs.
    fn expire(&mut self, now: Instant) {
        let Some(max_age) = self.spec.max_age else {
            return;
        };
        while let Some(front) = self.entries.front() {
            if let Some(entry) = front {
                if now.duration_since(entry.at) <= max_age || self.is_needed(self.first_sequence) {
                    return;
                }
                self.remove(self.first_sequence);
            }
            self.entries.pop_front();
            self.first_sequence += 1;
        }
    }

    fn forget_ids(&mut self, now: Instant) {
        while let Some((at, id)) = self.ids_by_age.front() {
            if now.duration_since(*at) <= self.spec.duplicate_window && self.ids_by_age.len() < DUPLICATE_IDS_MAX {
                return;
            }
            self.ids.remove(id);
            self.ids_by_age.pop_front();
        }
    }

    /// Takes a message out, leaving a hole.
    fn remove(&mut self, sequence: u64) {
        let Some(index) = sequence.checked_sub(self.first_sequence) else {
            return;
        };
        let slot = usize::try_from(index).ok().and_then(|index| self.entries.get_mut(index));
        let Some(entry) = slot.and_then(Option::take) else {
            return;
        };
        self.n_messages -= 1;
        self.bytes -= entry.size();
        let (subject, consumers) = self.route(&entry.subject);
        for id in consumers.iter() {
            if let Some(consumer) = self.consumers.get_mut(id)
                && consumer.has_queued(sequence)
            {
                let (entries, first) = (&self.entries, self.first_sequence);
                consumer.on_removed(|sequence| is_live(entries, first, sequence));
            }
        }
        if self.subjects[&subject].last_sequence == sequence {
            self.subjects.remove(&subject);
        }
    }

    fn last_sequence_given(&self) -> u64 {
        self.first_sequence + self.entries.len() as u64 - 1
    }

    fn entry(&self, sequence: u64) -> Option<&Entry> {
        let index = usize::try_from(sequence.checked_sub(self.first_sequence)?).ok()?;
        self.entries.get(index)?.as_ref()
    }

    fn stored(&self, sequence: u64) -> Option<Stored> {
        let entry = self.entry(sequence)?;
        Some(Stored {
            subject: entry.subject.to_string(),
            sequence,
            payload: entry.payload.clone(),
            message_id: entry.message_id.as_deref().map(str::to_owned),
            headers: entry.headers.to_vec(),
        })
    }
}

impl Entry {
    fn size(&self) -> usize {
        size(&self.subject, &self.payload)
    }
}

fn is_live(entries: &VecDeque<Option<Entry>>, first_sequence: u64, sequence: u64) -> bool {
    sequence
        .checked_sub(first_sequence)
        .and_then(|index| usize::try_from(index).ok())
        .and_then(|index| entries.get(index))
        .is_some_and(Option::is_some)
}

fn size(subject: &str, payload: &Bytes) -> usize {
    subject.len() + payload.len()
}

fn owned(headers: &[(&str, &str)]) -> Box<[(String, String)]> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bus::Storage;

    const PAYLOAD: &[u8] = &[0; 97];
    /// With the three bytes of the subject.
    const MESSAGE_BYTES: i64 = 100;

    fn log(max_bytes: i64, max_age: Option<Duration>, last_per_subject: bool) -> Log {
        let spec = StreamSpec {
            name: "S".to_owned(),
            subjects: vec![">".to_owned()],
            storage: Storage::Memory,
            max_age,
            max_bytes: Some(max_bytes),
            last_per_subject,
            duplicate_window: Duration::from_secs(1),
        };
        Log::new(spec, 1000)
    }

    /// The sequence, or `None` if the publisher has to wait.
    fn append(log: &mut Log, now: Instant, subject: &str, id: Option<&str>) -> Option<u64> {
        match log.append(now, subject, id, &[], &Bytes::from_static(PAYLOAD), false) {
            Append::Done(ack) => Some(ack.sequence),
            Append::Wait => None,
        }
    }

    fn consumer(log: &mut Log, filter: &str) -> u64 {
        let spec = ConsumerSpec {
            stream: "S".to_owned(),
            durable: filter.to_owned(),
            filter: filter.to_owned(),
            start: Start::All,
            batch_max: 2,
        };
        log.add_consumer(&spec, Arc::default())
    }

    fn take(log: &mut Log, id: u64, now: Instant) -> Option<(u64, u64)> {
        match log.take(id, now) {
            Take::Message { stored, delivered, .. } => Some((stored.sequence, delivered)),
            Take::Wait { .. } | Take::Lost => None,
        }
    }

    #[test]
    fn the_oldest_are_discarded_for_room_unless_a_consumer_needs_them() {
        let now = Instant::now();
        let mut log = log(2 * MESSAGE_BYTES, None, false);
        for expected in 1..=3 {
            assert_eq!(append(&mut log, now, "t.a", None), Some(expected));
        }
        assert_eq!(log.state(now).first_sequence, 2);
        let id = consumer(&mut log, "t.a");
        assert_eq!(append(&mut log, now, "t.b", None), None, "2 is not delivered");
        assert_eq!(take(&mut log, id, now), Some((2, 1)));
        assert_eq!(append(&mut log, now, "t.b", None), None, "2 is not acknowledged");
        assert!(log.answer(id, 2, Answer::Ack, now), "the publisher is woken");
        assert_eq!(append(&mut log, now, "t.b", None), Some(4));
        assert_eq!(append(&mut log, now, "t.b", None), None, "3 is needed");
        log.remove_consumer(id);
        assert_eq!(append(&mut log, now, "t.b", None), Some(5));
    }

    #[test]
    fn the_old_are_discarded_by_age_unless_a_consumer_needs_them() {
        let start = Instant::now();
        let later = start + Duration::from_secs(11);
        let mut log = log(1000, Some(Duration::from_secs(10)), false);
        append(&mut log, start, "t.a", None);
        append(&mut log, start, "t.b", None);
        let id = consumer(&mut log, "t.b");
        let state = log.state(later);
        assert_eq!((state.first_sequence, state.messages), (2, 1));
        assert_eq!(log.last(later, "t.a"), None);
        assert_eq!(take(&mut log, id, later), Some((2, 1)));
        log.answer(id, 2, Answer::Term, later);
        assert_eq!(log.state(later).first_sequence, 3);
    }

    #[test]
    fn an_id_is_forgotten_after_the_window() {
        let start = Instant::now();
        let mut log = log(1000, None, false);
        assert_eq!(append(&mut log, start, "t.a", Some("x")), Some(1));
        assert_eq!(append(&mut log, start, "t.a", Some("x")), Some(1));
        let later = start + Duration::from_secs(2);
        assert_eq!(append(&mut log, later, "t.a", Some("x")), Some(2));
    }

    #[test]
    fn overwritten_messages_are_neither_delivered_nor_counted_as_backlog() {
        let now = Instant::now();
        let mut log = log(1000, None, true);
        let id = consumer(&mut log, ">");
        for _ in 0..5000 {
            assert!(append(&mut log, now, "t.a", None).is_some());
        }
        assert_eq!(append(&mut log, now, "t.b", None), Some(5001));
        assert_eq!(take(&mut log, id, now), Some((5000, 1)));
        assert_eq!(take(&mut log, id, now), Some((5001, 1)));
        assert_eq!(take(&mut log, id, now), None);
        assert_eq!(log.state(now).messages, 2);
    }

    #[test]
    fn what_is_not_answered_comes_again_after_the_wait() {
        let now = Instant::now();
        let mut log = log(1000, None, false);
        let id = consumer(&mut log, "t.a");
        append(&mut log, now, "t.a", None);
        assert_eq!(take(&mut log, id, now), Some((1, 1)));
        assert_eq!(take(&mut log, id, now), None);
        let later = now + crate::bus::ACK_WAIT;
        assert_eq!(take(&mut log, id, later), Some((1, 2)));
        log.answer(id, 1, Answer::Ack, later);
        assert_eq!(take(&mut log, id, later + crate::bus::ACK_WAIT), None);
    }
}
