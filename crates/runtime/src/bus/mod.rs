//! The message bus: one interface over an in-process bus and NATS `JetStream`.
//!
//! Both keep the same promises, checked by one conformance suite (`tests/tests/bus_conformance`):
//! a published message is confirmed by its stream, delivered at least once and in stream order to each
//! consumer, and again until it is acknowledged. A publisher that runs away from the slowest consumer waits.

mod child;
mod error;
mod memory;
mod nats;
mod spec;
mod subject;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

pub use child::find_nats_server;
pub use error::{BusError, BusErrorSource};
pub use memory::{MemoryBus, PAYLOAD_BYTES_MAX};
pub use nats::NatsBus;
pub use spec::{
    BusKind, BusOptions, ConsumerSpec, MESSAGE_ID_HEADER, Message, PublishAck, Start, Storage, Stored, StreamSpec,
    StreamState,
};

/// How many messages a consumer may hold unacknowledged before it gets no more.
pub const ACK_PENDING_MAX: usize = 4096;

/// An unacknowledged message is delivered again after this time.
pub const ACK_WAIT: Duration = Duration::from_mins(1);

/// A connection to the bus; clones share it.
#[derive(Clone, Debug)]
pub enum Bus {
    /// In this process.
    Memory(MemoryBus),
    /// On a NATS server, which may be a child of this process.
    Nats(NatsBus),
}

impl Bus {
    /// Connects, for `nats-child` after starting the server.
    ///
    /// # Errors
    /// The server is absent, too old, without `JetStream`, or cannot be started.
    pub async fn connect(options: &BusOptions) -> Result<Self, BusError> {
        match &options.kind {
            BusKind::Memory => Ok(Self::Memory(MemoryBus::new(options.lead_max))),
            BusKind::NatsChild => NatsBus::start_child(options).await.map(Self::Nats),
            BusKind::Nats { url } => NatsBus::connect(url, options).await.map(Self::Nats),
        }
    }

    /// Creates the stream, or updates it to `spec`.
    ///
    /// # Errors
    /// [`BusError::ConfigMismatch`] when the server ends up with something else than asked for.
    pub async fn ensure_stream(&self, spec: &StreamSpec) -> Result<(), BusError> {
        for filter in &spec.subjects {
            subject::check_filter(filter)?;
        }
        match self {
            Self::Memory(bus) => bus.ensure_stream(spec),
            Self::Nats(bus) => bus.ensure_stream(spec).await,
        }
    }

    /// Publishes and waits for the stream's confirmation. Waits longer while the slowest consumer is more
    /// than `lead_max` messages behind.
    ///
    /// # Errors
    /// After [`BusError::Timeout`] and [`BusError::Disconnected`] it is unknown whether the stream has the
    /// message: publish it again under the same id.
    pub async fn publish(
        &self,
        subject: &str,
        message_id: Option<&str>,
        payload: Bytes,
    ) -> Result<PublishAck, BusError> {
        subject::check(subject)?;
        match self {
            Self::Memory(bus) => bus.publish(subject, message_id, &[], payload).await,
            Self::Nats(bus) => bus.publish(subject, message_id, &[], payload).await,
        }
    }

    /// As [`Bus::publish`], with headers; one named [`MESSAGE_ID_HEADER`] is the message id.
    ///
    /// # Errors
    /// As [`Bus::publish`].
    pub async fn publish_with_headers(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: Bytes,
    ) -> Result<PublishAck, BusError> {
        subject::check(subject)?;
        let message_id = headers.iter().find(|(name, _)| *name == MESSAGE_ID_HEADER).map(|(_, id)| *id);
        // A header value is one line: an error text put into one may have more.
        let others: Vec<(&str, String)> = headers
            .iter()
            .filter(|(name, _)| *name != MESSAGE_ID_HEADER)
            .map(|(name, value)| (*name, value.replace(['\r', '\n'], " ")))
            .collect();
        let others: Vec<(&str, &str)> = others.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match self {
            Self::Memory(bus) => bus.publish(subject, message_id, &others, payload).await,
            Self::Nats(bus) => bus.publish(subject, message_id, &others, payload).await,
        }
    }

    /// Publishes at most once, to whoever listens now; nobody confirms it.
    ///
    /// # Errors
    /// [`BusError::Disconnected`] at once when the server is known to be away: the message is lost.
    pub async fn publish_core(&self, subject: &str, payload: Bytes) -> Result<(), BusError> {
        subject::check(subject)?;
        match self {
            Self::Memory(bus) => bus.publish_core(subject, &payload),
            Self::Nats(bus) => bus.publish_core(subject, payload).await,
        }
    }

    /// Listens to what is published from now on. A subscriber more than `capacity` messages behind loses
    /// the newest; it never slows a publisher down.
    ///
    /// # Errors
    /// The filter is invalid, or the server is away.
    pub async fn subscribe(&self, filter: &str, capacity: usize) -> Result<Subscription, BusError> {
        subject::check_filter(filter)?;
        match self {
            Self::Memory(bus) => bus.subscribe(filter, capacity),
            Self::Nats(bus) => bus.subscribe(filter, capacity).await,
        }
    }

    /// Reads a stream. A durable of that name is deleted and created anew at `spec.start`: start-up is
    /// recovery, the caller knows its position, and an older owner gets [`BusError::ConsumerLost`].
    ///
    /// # Errors
    /// [`BusError::StreamLost`] when there is no such stream.
    pub async fn consume(&self, spec: ConsumerSpec) -> Result<Consumer, BusError> {
        subject::check_filter(&spec.filter)?;
        match self {
            Self::Memory(bus) => bus.consume(spec).map(ConsumerKind::Memory),
            Self::Nats(bus) => bus.consume(spec).await.map(|consumer| ConsumerKind::Nats(Box::new(consumer))),
        }
        .map(|kind| Consumer { kind })
    }

    /// Whether somebody reads a stream under this name.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn is_consumed(&self, stream: &str, durable: &str) -> Result<bool, BusError> {
        match self {
            Self::Memory(bus) => bus.is_consumed(stream, durable),
            Self::Nats(bus) => bus.is_consumed(stream, durable).await,
        }
    }

    /// The newest message of one subject.
    ///
    /// # Errors
    /// [`BusError::StreamLost`] when there is no such stream.
    pub async fn last(&self, stream: &str, subject: &str) -> Result<Option<Stored>, BusError> {
        subject::check(subject)?;
        match self {
            Self::Memory(bus) => bus.last(stream, subject),
            Self::Nats(bus) => bus.last(stream, subject).await,
        }
    }

    /// The extent of a stream.
    ///
    /// # Errors
    /// [`BusError::StreamLost`] when there is no such stream.
    pub async fn stream_state(&self, stream: &str) -> Result<StreamState, BusError> {
        match self {
            Self::Memory(bus) => bus.stream_state(stream),
            Self::Nats(bus) => bus.stream_state(stream).await,
        }
    }

    /// The newest stream sequence that matches a filter; 0 if there is none.
    ///
    /// # Errors
    /// [`BusError::StreamLost`] when there is no such stream.
    pub async fn last_sequence(&self, stream: &str, filter: &str) -> Result<u64, BusError> {
        subject::check_filter(filter)?;
        match self {
            Self::Memory(bus) => bus.last_sequence(stream, filter),
            Self::Nats(bus) => {
                let newest = bus.last(stream, filter).await?;
                Ok(newest.map_or(0, |message| message.sequence))
            }
        }
    }

    /// Whether the server is there right now.
    pub fn is_connected(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Nats(bus) => bus.is_connected(),
        }
    }

    /// Whether streams can outlive this process.
    pub fn is_durable(&self) -> bool {
        matches!(self, Self::Nats(_))
    }

    /// Sends what is still under way, then ends the connection and the child server, if there is one.
    pub async fn close(self) {
        match self {
            Self::Memory(bus) => bus.close(),
            Self::Nats(bus) => bus.close().await,
        }
    }
}

/// What a core subscription receives.
#[derive(Debug)]
pub struct Subscription {
    receiver: mpsc::Receiver<Message>,
    counters: Arc<SubscriptionCounters>,
    /// The task that moves messages from the client's queue to ours; the memory bus needs none.
    forwarder: Option<AbortHandle>,
}

#[derive(Debug, Default)]
struct SubscriptionCounters {
    dropped: AtomicU64,
    disconnects: AtomicU64,
}

impl Subscription {
    /// The next message; `None` once the bus is closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        self.receiver.recv().await
    }

    /// How many messages were lost because this subscriber was slow.
    pub fn dropped(&self) -> u64 {
        self.counters.dropped.load(Ordering::Relaxed)
    }

    /// How often the connection was away, each time possibly with a gap.
    pub fn disconnects(&self) -> u64 {
        self.counters.disconnects.load(Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(forwarder) = &self.forwarder {
            forwarder.abort();
        }
    }
}

/// A reader of one stream.
#[derive(Debug)]
pub struct Consumer {
    kind: ConsumerKind,
}

#[derive(Debug)]
enum ConsumerKind {
    Memory(memory::MemoryConsumer),
    Nats(Box<nats::NatsConsumer>),
}

impl Consumer {
    /// The next message, in stream order. After a reconnect, delivery resumes at the oldest message not yet
    /// acknowledged, so some come twice. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`BusError::ConsumerLost`], [`BusError::StreamLost`] and [`BusError::Closed`], all of them final.
    pub async fn next(&mut self) -> Result<Delivery, BusError> {
        match &mut self.kind {
            ConsumerKind::Memory(consumer) => consumer.next().await,
            ConsumerKind::Nats(consumer) => consumer.next().await,
        }
    }

    /// Ends the durable for good. A reader that only stops must not call this: without its durable, publishers no longer
    /// wait for it.
    ///
    /// # Errors
    /// When the server cannot be told; it forgets the durable by itself some time later.
    pub async fn end(self) -> Result<(), BusError> {
        match self.kind {
            // Dropping it is all that a memory consumer needs.
            ConsumerKind::Memory(_) => Ok(()),
            ConsumerKind::Nats(consumer) => consumer.end().await,
        }
    }

    /// How often delivery was interrupted and resumed.
    pub fn disconnects(&self) -> u64 {
        match &self.kind {
            ConsumerKind::Memory(consumer) => consumer.disconnects(),
            ConsumerKind::Nats(consumer) => consumer.disconnects(),
        }
    }
}

/// One message handed to a consumer, which owes an answer: [`Delivery::ack`], [`Delivery::nak`] or
/// [`Delivery::term`]. Without one it comes again after [`ACK_WAIT`], or when the consumer is re-created.
#[derive(Debug)]
pub struct Delivery {
    /// The subject it was published on.
    pub subject: String,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// Its content.
    pub payload: Bytes,
    /// The id duplicates are recognised by.
    pub message_id: Option<String>,
    /// All other headers.
    pub headers: Vec<(String, String)>,
    /// How often the consumer, since it was last created, has been handed this message: 1 is the first time.
    pub delivered: u64,
    reply: Reply,
}

#[derive(Debug)]
enum Reply {
    Memory(memory::MemoryReply),
    Nats(nats::NatsReply),
}

/// A consumer's answer to a delivery.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Done with it.
    Ack,
    /// Again, after the delay.
    Nak(Duration),
    /// Never again.
    Term,
}

impl Delivery {
    /// Done: it will not come again, unless the connection is lost before the server has heard of it.
    ///
    /// # Errors
    /// [`BusError::Timeout`] when the acknowledgement could not be sent; the message may come again.
    pub async fn ack(&self) -> Result<(), BusError> {
        self.answer(Answer::Ack).await
    }

    /// Not now: it comes again after `delay`, behind its successors. Where order matters, retry in place instead.
    ///
    /// # Errors
    /// As [`Delivery::ack`].
    pub async fn nak(&self, delay: Duration) -> Result<(), BusError> {
        self.answer(Answer::Nak(delay)).await
    }

    /// Never: it is not delivered again, however often it failed.
    ///
    /// # Errors
    /// As [`Delivery::ack`].
    pub async fn term(&self) -> Result<(), BusError> {
        self.answer(Answer::Term).await
    }

    async fn answer(&self, answer: Answer) -> Result<(), BusError> {
        match &self.reply {
            Reply::Memory(reply) => {
                reply.answer(self.sequence, answer);
                Ok(())
            }
            Reply::Nats(reply) => reply.answer(self.sequence, answer).await,
        }
    }
}
