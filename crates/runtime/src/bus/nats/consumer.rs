//! A pull consumer that keeps its promises through lost connections and server restarts.
//!
//! A server re-delivers what was lost on the way only after the acknowledgement wait, behind its successors.
//! So after every disconnect, and whenever the server's delivery numbers show a gap, the consumer is created
//! anew at the oldest message not yet acknowledged. That is also why the server need not keep the consumer on disk,
//! which costs it a write for every acknowledgement: what a restarted server forgot, the reader still knows. And why it
//! is told of acknowledgements now and then only, all up to the newest at once: half the messages that it has to take in
//! would otherwise be those.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::ConsumerErrorKind;
use async_nats::jetstream::{self, AckKind, ErrorCode};
use async_nats::{StatusCode, Subject, Subscriber};
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::tracker::Tracker;
use super::translate::{api_error, split_headers};
use super::{Link, Shared};
use crate::bus::{ACK_PENDING_MAX, ACK_WAIT, Answer, BusError, ConsumerSpec, Delivery, Reply, Start};

/// How long the server keeps a request open; its answer at the end proves that it is alive.
const PULL_EXPIRES: Duration = Duration::from_secs(5);

/// How much later than promised that answer may come.
const PULL_GRACE: Duration = Duration::from_secs(3);

/// A pull of a single message stalls.
const PULL_BATCH_MIN: usize = 2;

/// The server forgets a durable nobody reads after this time.
const INACTIVE_THRESHOLD: Duration = Duration::from_hours(1);

/// The pause between attempts to resume doubles from the first to the second.
const RESUME_PAUSE_MIN: Duration = Duration::from_millis(50);
const RESUME_PAUSE_MAX: Duration = Duration::from_secs(2);

/// The server is told of acknowledgements this often, or when there are this many: long before it would repeat a message
/// or keep one back because too many are unanswered.
const TELL_EVERY: Duration = Duration::from_millis(100);
const UNTOLD_MAX: usize = ACK_PENDING_MAX / 8;

/// The consumer's metadata key that tells owners apart, as the durable name cannot.
const OWNER_KEY: &str = "technic-owner";

/// A reader of one stream.
pub(in crate::bus) struct NatsConsumer {
    shared: Arc<Shared>,
    spec: ConsumerSpec,
    owner: String,
    pulling: Option<Pulling>,
    /// The connection through which the server last learned of the consumer.
    opened_in: u64,
    link: watch::Receiver<Link>,
    end: watch::Receiver<bool>,
    tracker: Arc<Mutex<Tracker>>,
    /// When the server was last told what is settled.
    told: Instant,
    disconnects: u64,
}

/// One incarnation of the consumer on the server.
struct Pulling {
    consumer: PullConsumer,
    inbox: Subject,
    subscriber: Subscriber,
    generation: u64,
    /// How many messages the server may still send us unasked.
    n_requested: usize,
    /// The server's number of the newest delivery.
    delivery: u64,
    /// Without a sign from the server until then, something is wrong.
    silent_until: Instant,
}

/// What to do next.
enum Step {
    Deliver(async_nats::Message),
    Again,
    Resume(&'static str),
}

impl std::fmt::Debug for NatsConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsConsumer").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl NatsConsumer {
    pub(super) async fn create(shared: Arc<Shared>, spec: ConsumerSpec) -> Result<Self, BusError> {
        let what = || format!("consume the stream `{}`", spec.stream);
        shared.within_timeout(shared.wait_until_up(&what), &what).await??;
        shared.stream_info(&spec.stream).await?;
        let owner = shared.client.new_inbox();
        let link = shared.link.clone();
        let end = shared.end.subscribe();
        let mut consumer = Self {
            shared,
            spec,
            owner,
            pulling: None,
            opened_in: 0,
            link,
            end,
            tracker: Arc::default(),
            told: Instant::now(),
            disconnects: 0,
        };
        let pulling = consumer.open(consumer.spec.start).await?;
        consumer.opened_in = pulling.generation;
        consumer.pulling = Some(pulling);
        Ok(consumer)
    }

    pub(in crate::bus) async fn end(&self) -> Result<(), BusError> {
        self.delete().await
    }

    pub(in crate::bus) fn disconnects(&self) -> u64 {
        self.disconnects
    }

    pub(in crate::bus) async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            if *self.end.borrow() {
                return Err(BusError::Closed);
            }
            match self.step().await {
                Step::Deliver(message) => {
                    if let Some(delivery) = self.accept(message) {
                        return Ok(delivery);
                    }
                }
                Step::Again => {}
                Step::Resume(reason) => {
                    debug!(stream = self.spec.stream, durable = self.spec.durable, reason, "resuming a consumer");
                    self.pulling = None;
                    self.resume().await?;
                }
            }
        }
    }

    /// Waits for the next sign from the server.
    async fn step(&mut self) -> Step {
        let tell_at = self.tell();
        let Some(pulling) = &mut self.pulling else {
            return Step::Resume("interrupted while resuming");
        };
        // Before a message is taken, so that dropping this future cannot lose one.
        if let Err(reason) = pulling.refill(self.spec.batch_max, &self.shared).await {
            return Step::Resume(reason);
        }
        let buffered = pulling.subscriber.next().now_or_never();
        let message = if let Some(message) = buffered {
            message
        } else if self.link.borrow().generation != pulling.generation {
            // Only now: what is buffered is in order, even after a disconnect.
            return Step::Resume("reconnected");
        } else {
            tokio::select! {
                biased;
                message = pulling.subscriber.next() => message,
                _ = self.link.changed() => return Step::Again,
                _ = self.end.changed() => return Step::Again,
                () = tokio::time::sleep_until(pulling.silent_until) => {
                    return Step::Resume("the server is silent");
                }
                () = tokio::time::sleep_until(tell_at.unwrap_or(pulling.silent_until)) => return Step::Again,
            }
        };
        let Some(message) = message else {
            return Step::Resume("the subscription ended");
        };
        pulling.silent_until = Instant::now() + PULL_EXPIRES + PULL_GRACE;
        if let Some(status) = message.status
            && status != StatusCode::OK
        {
            return pulling.on_status(status, &message);
        }
        pulling.n_requested = pulling.n_requested.saturating_sub(1);
        Step::Deliver(message)
    }

    /// Tells the server what is settled, if it is time. When it will be time again, if anything is to be told then.
    fn tell(&mut self) -> Option<Instant> {
        let mut tracker = lock(&self.tracker);
        if tracker.n_untold() >= UNTOLD_MAX || self.told + TELL_EVERY <= Instant::now() {
            self.told = Instant::now();
            if let Some(reply) = tracker.take_untold() {
                let sending = self.shared.client.publish(reply, AckKind::Ack.into());
                // The client's queue has room but for an outage, and after one the consumer is created anew.
                if sending.now_or_never().is_none() {
                    debug!("an acknowledgement could not be sent at once");
                }
            }
        }
        (!tracker.is_quiet()).then(|| self.told + TELL_EVERY)
    }

    /// Turns a message into a delivery, unless it is out of turn or was settled before a resume.
    fn accept(&mut self, message: async_nats::Message) -> Option<Delivery> {
        let pulling = self.pulling.as_mut()?;
        let message = jetstream::Message { message, context: self.shared.jetstream.clone() };
        let Ok(info) = message.info() else {
            warn!(subject = %message.subject, "a message without a delivery number on a consumer's inbox");
            return None;
        };
        if info.consumer_sequence != pulling.delivery + 1 {
            self.pulling = None;
            return None;
        }
        pulling.delivery = info.consumer_sequence;
        let sequence = info.stream_sequence;
        let delivered = u64::try_from(info.delivered).unwrap_or(1);
        let message = message.message;
        let reply = message.reply?;
        let mut tracker = lock(&self.tracker);
        let incarnation = tracker.incarnation;
        if !tracker.on_delivery(sequence) {
            tracker.settle(sequence, &reply, incarnation);
            return None;
        }
        drop(tracker);
        let (shared, tracker) = (Arc::clone(&self.shared), Arc::clone(&self.tracker));
        let reply = NatsReply { shared, reply, tracker, incarnation };
        let (message_id, headers) = split_headers(message.headers.as_ref());
        Some(Delivery {
            subject: message.subject.to_string(),
            sequence,
            payload: message.payload,
            message_id,
            headers,
            delivered,
            reply: Reply::Nats(reply),
        })
    }

    /// Creates the consumer anew where we stand, as often as it takes, unless it is no longer ours.
    async fn resume(&mut self) -> Result<(), BusError> {
        self.disconnects += 1;
        let mut pause = RESUME_PAUSE_MIN;
        loop {
            let what = || format!("resume the consumer `{}`", self.spec.durable);
            self.shared.wait_until_up(&what).await?;
            let resumed = async {
                self.check_owner().await?;
                let start = lock(&self.tracker).resume_at(self.spec.start);
                self.open(start).await
            };
            match resumed.await {
                Ok(pulling) => {
                    self.opened_in = pulling.generation;
                    self.pulling = Some(pulling);
                    return Ok(());
                }
                Err(error) if error.needs_recovery() => return Err(error),
                Err(error) => {
                    warn!(%error, stream = self.spec.stream, durable = self.spec.durable, ?pause, "cannot resume a consumer yet");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = self.end.wait_for(|is_ended| *is_ended) => return Err(BusError::Closed),
            }
            pause = (pause * 2).min(RESUME_PAUSE_MAX);
        }
    }

    async fn check_owner(&self) -> Result<(), BusError> {
        let ConsumerSpec { stream, durable, .. } = &self.spec;
        let lost = || BusError::ConsumerLost { stream: stream.clone(), durable: durable.clone() };
        let what = format!("describe the consumer `{durable}`");
        let subject = format!("CONSUMER.INFO.{stream}.{durable}");
        let info: Result<consumer::Info, BusError> = self.shared.request(&subject, &serde_json::json!({}), &what).await;
        match info {
            Ok(info) if info.config.metadata.get(OWNER_KEY) == Some(&self.owner) => Ok(()),
            Ok(_) => Err(lost()),
            Err(error) => match api_error(&error) {
                Some(ErrorCode::STREAM_NOT_FOUND) => Err(BusError::StreamLost { stream: stream.clone() }),
                // The server behind another connection may be a restarted one, which has forgotten it. Behind the same
                // connection, somebody else deleted it to create theirs.
                Some(ErrorCode::CONSUMER_NOT_FOUND) if self.opened_in != self.link.borrow().generation => Ok(()),
                Some(ErrorCode::CONSUMER_NOT_FOUND) => Err(lost()),
                _ => Err(error),
            },
        }
    }

    /// Deletes a consumer of our name, creates ours and listens for its messages.
    async fn open(&self, start: Start) -> Result<Pulling, BusError> {
        let ConsumerSpec { stream, durable, filter, .. } = &self.spec;
        let generation = self.link.borrow().generation;
        self.delete().await?;
        let config = pull::Config {
            durable_name: Some(durable.clone()),
            filter_subject: filter.clone(),
            deliver_policy: match start {
                Start::All => DeliverPolicy::All,
                // The server counts from 1.
                Start::Sequence(sequence) => DeliverPolicy::ByStartSequence { start_sequence: sequence.max(1) },
                Start::LastPerSubject => DeliverPolicy::LastPerSubject,
            },
            ack_policy: AckPolicy::All,
            ack_wait: ACK_WAIT,
            max_ack_pending: i64::try_from(ACK_PENDING_MAX).unwrap_or(i64::MAX),
            max_deliver: -1,
            memory_storage: true,
            inactive_threshold: INACTIVE_THRESHOLD,
            metadata: HashMap::from([(OWNER_KEY.to_owned(), self.owner.clone())]),
            ..pull::Config::default()
        };
        let what = || format!("create the consumer `{durable}`");
        let refused = |source| BusError::Refused { what: what(), source };
        let creating = self.shared.jetstream.create_consumer_on_stream(config, stream.as_str());
        let consumer = self.shared.within_timeout(creating, &what).await?.map_err(|error| match error.kind() {
            // A busy server, not an unwilling one: worth asking again.
            ConsumerErrorKind::TimedOut => self.shared.timed_out(&what),
            _ => refused(error.into()),
        })?;
        let inbox = Subject::from(self.shared.client.new_inbox());
        let subscriber = self
            .shared
            .within_timeout(self.shared.client.subscribe(inbox.clone()), &what)
            .await?
            .map_err(|error| refused(error.into()))?;
        Ok(Pulling {
            consumer,
            inbox,
            subscriber,
            generation,
            n_requested: 0,
            delivery: 0,
            silent_until: Instant::now() + PULL_EXPIRES + PULL_GRACE,
        })
    }

    async fn delete(&self) -> Result<(), BusError> {
        #[derive(Deserialize)]
        struct Deleted {}

        let ConsumerSpec { stream, durable, .. } = &self.spec;
        let what = format!("delete the consumer `{durable}`");
        let subject = format!("CONSUMER.DELETE.{stream}.{durable}");
        match self.shared.request(&subject, &serde_json::json!({}), &what).await {
            Ok(Deleted {}) => Ok(()),
            Err(error) if api_error(&error) == Some(ErrorCode::CONSUMER_NOT_FOUND) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Pulling {
    /// Keeps the server supplied with requests, so that a message never waits for one.
    async fn refill(&mut self, batch_max: usize, shared: &Shared) -> Result<(), &'static str> {
        if self.n_requested > batch_max / 2 {
            return Ok(());
        }
        let batch = batch_max.saturating_sub(self.n_requested).max(PULL_BATCH_MIN);
        let request = pull::BatchConfig { batch, expires: Some(PULL_EXPIRES), ..pull::BatchConfig::default() };
        let sending = self.consumer.request_batch(request, self.inbox.clone());
        match tokio::time::timeout(shared.timeout, sending).await {
            Ok(Ok(())) => {
                self.n_requested += batch;
                self.silent_until = Instant::now() + PULL_EXPIRES + PULL_GRACE;
                Ok(())
            }
            Ok(Err(_)) => Err("a request could not be sent"),
            Err(_) => Err("a request could not be sent in time"),
        }
    }

    fn on_status(&mut self, status: StatusCode, message: &async_nats::Message) -> Step {
        let description = message.description.as_deref().unwrap_or_default();
        match status {
            StatusCode::IDLE_HEARTBEAT => Step::Again,
            // The end of one request, with how much of it went unused.
            StatusCode::TIMEOUT | StatusCode::NOT_FOUND => {
                self.n_requested = self.n_requested.saturating_sub(unused(message));
                Step::Again
            }
            StatusCode::REQUEST_TERMINATED if description == "Consumer Deleted" => {
                Step::Resume("the consumer was deleted")
            }
            StatusCode::REQUEST_TERMINATED if message.headers.is_some() => {
                self.n_requested = self.n_requested.saturating_sub(unused(message));
                Step::Again
            }
            _ => Step::Resume("the server refused a request"),
        }
    }
}

/// How many messages of a request the server did not send.
fn unused(message: &async_nats::Message) -> usize {
    message
        .headers
        .as_ref()
        .and_then(|headers| headers.get("Nats-Pending-Messages"))
        .and_then(|value| value.as_str().parse().ok())
        .unwrap_or(usize::MAX)
}

/// The way back from a delivery to its consumer.
#[derive(Debug)]
pub(in crate::bus) struct NatsReply {
    shared: Arc<Shared>,
    reply: Subject,
    tracker: Arc<Mutex<Tracker>>,
    /// Of the consumer when it delivered.
    incarnation: u64,
}

impl NatsReply {
    pub(in crate::bus) async fn answer(&self, sequence: u64, answer: Answer) -> Result<(), BusError> {
        let delay = match answer {
            Answer::Ack | Answer::Term => {
                // The consumer tells the server.
                lock(&self.tracker).settle(sequence, &self.reply, self.incarnation);
                return Ok(());
            }
            Answer::Nak(delay) => delay,
        };
        let what = || format!("answer message {sequence}");
        if !self.shared.link.borrow().is_up {
            // The consumer will be created anew behind what is settled, and at what is not.
            return Ok(());
        }
        let sending = self.shared.client.publish(self.reply.clone(), AckKind::Nak(Some(delay)).into());
        self.shared.within_timeout(sending, &what).await?.map_err(|_| BusError::Disconnected { what: what() })
    }
}

fn lock(tracker: &Mutex<Tracker>) -> MutexGuard<'_, Tracker> {
    tracker.lock().unwrap_or_else(PoisonError::into_inner)
}
