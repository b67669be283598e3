//! The bus inside one process: the semantics of NATS `JetStream`, without a server.

mod log;
mod position;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use self::log::{Append, Log, Take};
use super::{
    Answer, BusError, ConsumerSpec, Delivery, Message, PublishAck, Reply, Stored, StreamSpec, StreamState,
    Subscription, SubscriptionCounters, subject,
};

/// The largest payload, equal to the default of a NATS server, so that both refuse the same messages.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// A bus without a server; clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    streams: RwLock<Vec<Route>>,
    listeners: RwLock<Listeners>,
    lead_max: u64,
    is_closed: AtomicBool,
}

#[derive(Debug)]
struct Route {
    subjects: Vec<String>,
    stream: Arc<Stream>,
}

#[derive(Debug)]
struct Stream {
    name: String,
    log: Mutex<Log>,
    /// Wakes publishers that wait for consumers to catch up.
    room: Notify,
}

/// Core subscriptions, found by exact subject where possible.
#[derive(Debug, Default)]
struct Listeners {
    exact: HashMap<String, Vec<Listener>>,
    wildcard: Vec<Listener>,
    /// Set on close: no new subscription would ever end.
    is_closed: bool,
}

#[derive(Debug)]
struct Listener {
    filter: String,
    sender: mpsc::Sender<Message>,
    counters: Arc<SubscriptionCounters>,
}

impl MemoryBus {
    /// An empty bus whose publishers wait when a consumer is more than `lead_max` messages behind.
    pub fn new(lead_max: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                streams: RwLock::default(),
                listeners: RwLock::default(),
                lead_max,
                is_closed: AtomicBool::new(false),
            }),
        }
    }

    /// Simulates a restart of the server: subscribers and consumers see a disconnect, and what was
    /// delivered but not acknowledged is delivered again. The streams keep their content.
    pub fn restart(&self) {
        let listeners = self.shared.listeners.read();
        let listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        for counters in listeners.all().map(|listener| &listener.counters) {
            counters.disconnects.fetch_add(1, Ordering::Relaxed);
        }
        drop(listeners);
        self.for_each_stream(|stream| stream.lock().restart(Instant::now()));
    }

    pub(super) fn ensure_stream(&self, spec: &StreamSpec) -> Result<(), BusError> {
        let mut routes = self.shared.streams.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.iter_mut().find(|route| route.stream.name == spec.name) {
            route.stream.lock().update(spec)?;
            route.subjects.clone_from(&spec.subjects);
        } else {
            routes.push(Route {
                subjects: spec.subjects.clone(),
                stream: Arc::new(Stream {
                    name: spec.name.clone(),
                    log: Mutex::new(Log::new(spec.clone(), self.shared.lead_max)),
                    room: Notify::new(),
                }),
            });
        }
        Ok(())
    }

    pub(super) async fn publish(
        &self,
        subject: &str,
        message_id: Option<&str>,
        headers: &[(&str, &str)],
        payload: Bytes,
    ) -> Result<PublishAck, BusError> {
        self.check(&payload)?;
        let stream = self.stream_for(subject).ok_or_else(|| BusError::NoStream { subject: subject.to_owned() })?;
        tokio::task::consume_budget().await;
        self.tell_listeners(subject, &payload);
        let append = || {
            let now = Instant::now();
            stream.lock().append(now, subject, message_id, headers, &payload, false)
        };
        if let Append::Done(ack) = append() {
            return Ok(ack);
        }
        loop {
            // Registered before the second look, so that room made in between is not missed.
            let mut room = std::pin::pin!(stream.room.notified());
            room.as_mut().enable();
            if let Append::Done(ack) = append() {
                return Ok(ack);
            }
            if self.shared.is_closed.load(Ordering::Acquire) {
                return Err(BusError::Closed);
            }
            room.await;
        }
    }

    pub(super) fn publish_core(&self, subject: &str, payload: &Bytes) -> Result<(), BusError> {
        self.check(payload)?;
        self.tell_listeners(subject, payload);
        if let Some(stream) = self.stream_for(subject) {
            // As on a server, a stream keeps whatever is published on its subjects; nobody waits for it here.
            stream.lock().append(Instant::now(), subject, None, &[], payload, true);
        }
        Ok(())
    }

    pub(super) fn subscribe(&self, filter: &str, capacity: usize) -> Result<Subscription, BusError> {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let counters = Arc::<SubscriptionCounters>::default();
        let mut listeners = self.shared.listeners.write().unwrap_or_else(PoisonError::into_inner);
        if listeners.is_closed {
            return Err(BusError::Closed);
        }
        listeners.add(Listener { filter: filter.to_owned(), sender, counters: Arc::clone(&counters) });
        Ok(Subscription { receiver, counters, forwarder: None })
    }

    pub(super) fn consume(&self, spec: ConsumerSpec) -> Result<MemoryConsumer, BusError> {
        let stream = self.stream(&spec.stream)?;
        let wake = Arc::new(Notify::new());
        let id = stream.lock().add_consumer(&spec, Arc::clone(&wake));
        // Whoever held this durable before may have kept publishers waiting.
        stream.room.notify_waiters();
        Ok(MemoryConsumer {
            reply: MemoryReply { stream, consumer: id },
            shared: Arc::clone(&self.shared),
            durable: spec.durable,
            wake,
            disconnects: 0,
        })
    }

    pub(super) fn last(&self, stream: &str, subject: &str) -> Result<Option<Stored>, BusError> {
        Ok(self.stream(stream)?.lock().last(Instant::now(), subject))
    }

    pub(super) fn last_sequence(&self, stream: &str, filter: &str) -> Result<u64, BusError> {
        let stream = self.stream(stream)?;
        let sequence = stream.lock().last_sequence(Instant::now(), filter);
        Ok(sequence)
    }

    pub(super) fn is_consumed(&self, stream: &str, durable: &str) -> Result<bool, BusError> {
        Ok(self.stream(stream)?.lock().is_consumed(durable))
    }

    pub(super) fn stream_state(&self, stream: &str) -> Result<StreamState, BusError> {
        Ok(self.stream(stream)?.lock().state(Instant::now()))
    }

    pub(super) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::Release);
        *self.shared.listeners.write().unwrap_or_else(PoisonError::into_inner) =
            Listeners { is_closed: true, ..Listeners::default() };
        self.for_each_stream(|stream| {
            stream.lock().wake_consumers();
            stream.room.notify_waiters();
        });
    }

    fn check(&self, payload: &Bytes) -> Result<(), BusError> {
        if self.shared.is_closed.load(Ordering::Acquire) {
            return Err(BusError::Closed);
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(BusError::TooLarge { bytes: payload.len(), max: PAYLOAD_BYTES_MAX });
        }
        Ok(())
    }

    fn tell_listeners(&self, subject: &str, payload: &Bytes) {
        let listeners = self.shared.listeners.read();
        let listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        let exact = listeners.exact.get(subject).into_iter().flatten();
        let wildcard = listeners.wildcard.iter().filter(|listener| subject::matches(&listener.filter, subject));
        for listener in exact.chain(wildcard) {
            listener.tell(subject, payload);
        }
    }

    fn stream(&self, name: &str) -> Result<Arc<Stream>, BusError> {
        let routes = self.shared.streams.read();
        let routes = routes.unwrap_or_else(PoisonError::into_inner);
        let route = routes.iter().find(|route| route.stream.name == name);
        let route = route.ok_or_else(|| BusError::StreamLost { stream: name.to_owned() })?;
        Ok(Arc::clone(&route.stream))
    }

    fn stream_for(&self, subject: &str) -> Option<Arc<Stream>> {
        let routes = self.shared.streams.read();
        let routes = routes.unwrap_or_else(PoisonError::into_inner);
        let takes = |route: &&Route| route.subjects.iter().any(|filter| subject::matches(filter, subject));
        routes.iter().find(takes).map(|route| Arc::clone(&route.stream))
    }

    fn for_each_stream(&self, mut act: impl FnMut(&Stream)) {
        let routes = self.shared.streams.read();
        for route in routes.unwrap_or_else(PoisonError::into_inner).iter() {
            act(&route.stream);
        }
    }
}

impl Stream {
    fn lock(&self) -> MutexGuard<'_, Log> {
        // Nothing in a log can panic half-way on valid input; if it did, going on beats a second panic.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listeners {
    fn add(&mut self, listener: Listener) {
        // The place to forget the subscriptions that ended: it keeps publishing free of it.
        self.exact.retain(|_, listeners| {
            listeners.retain(|listener| !listener.sender.is_closed());
            !listeners.is_empty()
        });
        self.wildcard.retain(|listener| !listener.sender.is_closed());
        if subject::has_wildcard(&listener.filter) {
            self.wildcard.push(listener);
        } else {
            self.exact.entry(listener.filter.clone()).or_default().push(listener);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Listener> {
        self.exact.values().flatten().chain(&self.wildcard)
    }
}

impl Listener {
    fn tell(&self, subject: &str, payload: &Bytes) {
        match self.sender.try_reserve() {
            Ok(permit) => permit.send(Message { subject: subject.to_owned(), payload: payload.clone() }),
            Err(mpsc::error::TrySendError::Full(())) => {
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Err(mpsc::error::TrySendError::Closed(())) => {}
        }
    }
}

/// A consumer of the memory bus. Its durable ends with it: nobody could read on under that name but a
/// new consumer, and that one names its own start.
#[derive(Debug)]
pub(super) struct MemoryConsumer {
    reply: MemoryReply,
    shared: Arc<Shared>,
    durable: String,
    wake: Arc<Notify>,
    disconnects: u64,
}

impl MemoryConsumer {
    pub(super) async fn next(&mut self) -> Result<Delivery, BusError> {
        // A full log would otherwise let a reader run on without ever yielding to other tasks.
        tokio::task::consume_budget().await;
        let stream = &self.reply.stream;
        loop {
            if self.shared.is_closed.load(Ordering::Acquire) {
                return Err(BusError::Closed);
            }
            let now = Instant::now();
            let taken = stream.lock().take(self.reply.consumer, now);
            match taken {
                Take::Message { stored, delivered, disconnects } => {
                    self.disconnects = disconnects;
                    return Ok(Delivery {
                        subject: stored.subject,
                        sequence: stored.sequence,
                        payload: stored.payload,
                        message_id: stored.message_id,
                        headers: stored.headers,
                        delivered,
                        reply: Reply::Memory(self.reply.clone()),
                    });
                }
                Take::Wait { until: None } => self.wake.notified().await,
                Take::Wait { until: Some(until) } => {
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = tokio::time::sleep_until(until) => {}
                    }
                }
                Take::Lost => {
                    return Err(BusError::ConsumerLost { stream: stream.name.clone(), durable: self.durable.clone() });
                }
            }
        }
    }

    pub(super) fn disconnects(&self) -> u64 {
        self.disconnects
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.reply.stream.lock().remove_consumer(self.reply.consumer);
        self.reply.stream.room.notify_waiters();
    }
}

/// The way back from a delivery to its consumer.
#[derive(Clone, Debug)]
pub(super) struct MemoryReply {
    stream: Arc<Stream>,
    consumer: u64,
}

impl MemoryReply {
    pub(super) fn answer(&self, sequence: u64, answer: Answer) {
        let made_room = self.stream.lock().answer(self.consumer, sequence, answer, Instant::now());
        if made_room {
            self.stream.room.notify_waiters();
        }
    }
}
