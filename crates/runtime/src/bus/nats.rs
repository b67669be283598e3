//! The bus on a NATS server with `JetStream`.

mod consumer;
mod gate;
mod tracker;
mod translate;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Event;
use async_nats::jetstream::consumer::Info as ConsumerInfo;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{self, LastRawMessageErrorKind};
use async_nats::jetstream::{self, ErrorCode, message::PublishMessage};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

pub(super) use self::consumer::{NatsConsumer, NatsReply};
use self::gate::Gate;
use self::translate::{
    api_error, config_mismatch, differences, header_map, header_value, split_headers, stream_config,
};
use super::child::NatsChild;
use super::spec::without_credentials;
use super::{
    BusError, BusOptions, ConsumerSpec, MESSAGE_ID_HEADER, Message, PublishAck, Stored, StreamSpec, StreamState,
    Subscription, SubscriptionCounters,
};

/// Older servers silently ignore settings we rely on.
const SERVER_NEEDED: &str = "2.11.0";
const SERVER_NEEDED_PARTS: (i64, i64, i64) = (2, 11, 0);
/// The version we develop with and ship.
const SERVER_RECOMMENDED: &str = "2.15.1";

/// How long the first connection may take; an absent server is a mistake to report, not to wait for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much longer the client would wait than we do: its error would not say that it was the time.
const CLIENT_TIMEOUT_GRACE: Duration = Duration::from_secs(1);

/// The pause before a reconnect doubles from the first to the second.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(20);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(2);

/// How many commands the client queues; enough that a burst of acknowledgements does not wait for the socket.
const CLIENT_QUEUE_MAX: usize = 16_384;

/// How many messages the client queues for one subscription before it drops the newest.
const SUBSCRIPTION_QUEUE_MAX: usize = 65_536;

/// How many publishes may wait for their confirmation at once.
const PUBLISH_INFLIGHT_MAX: usize = 8_192;

/// A connection to a server; clones share it.
#[derive(Clone, Debug)]
pub struct NatsBus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: async_nats::Client,
    jetstream: jetstream::Context,
    link: watch::Receiver<Link>,
    /// Ends everything that waits for the link; the events of the client may never say so.
    end: watch::Sender<bool>,
    slow_consumer_events: Arc<AtomicU64>,
    timeout: Duration,
    lead_max: u64,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    child: tokio::sync::Mutex<Option<NatsChild>>,
}

/// The state of the connection, as the client's events tell it.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    /// Grows with every connect, the first included.
    generation: u64,
    is_up: bool,
}

impl NatsBus {
    pub(super) async fn start_child(options: &BusOptions) -> Result<Self, BusError> {
        let child = NatsChild::start(&options.data_dir, options.nats_server.as_deref()).await?;
        let bus = Self::connect(&child.url(), options).await?;
        *bus.shared.child.lock().await = Some(child);
        Ok(bus)
    }

    pub(super) async fn connect(url: &str, options: &BusOptions) -> Result<Self, BusError> {
        let (link_sender, mut link) = watch::channel(Link::default());
        let slow_consumer_events = Arc::<AtomicU64>::default();
        let on_event = {
            let link = Arc::new(link_sender);
            let slow = Arc::clone(&slow_consumer_events);
            move |event: Event| {
                apply(&event, &link, &slow);
                std::future::ready(())
            }
        };
        let connecting = async_nats::ConnectOptions::new()
            .name(&options.client_name)
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(options.publish_timeout + CLIENT_TIMEOUT_GRACE))
            .client_capacity(CLIENT_QUEUE_MAX)
            .subscription_capacity(SUBSCRIPTION_QUEUE_MAX)
            .reconnect_delay_callback(reconnect_pause)
            .max_reconnects(None)
            .event_callback(on_event)
            .connect(url);
        let unreachable = |source| BusError::Unreachable { url: without_credentials(url), source };
        let client = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|elapsed| unreachable(elapsed.into()))?
            .map_err(|error| unreachable(error.into()))?;
        check_server(&client, url)?;
        // The event of the first connect may come late and would look like a reconnect.
        tokio::time::timeout(CONNECT_TIMEOUT, link.wait_for(|link| link.is_up))
            .await
            .map_err(|elapsed| unreachable(elapsed.into()))?
            .map_err(|closed| unreachable(closed.into()))?;
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(options.publish_timeout + CLIENT_TIMEOUT_GRACE)
            .max_ack_inflight(PUBLISH_INFLIGHT_MAX)
            .build(client.clone());
        info!(url = %without_credentials(url), version = client.server_info().version, "connected to NATS");
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                jetstream,
                link,
                end: watch::Sender::new(false),
                slow_consumer_events,
                timeout: options.publish_timeout,
                lead_max: options.lead_max,
                gates: Mutex::default(),
                child: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// How often the client dropped messages of a subscription because we did not drain it.
    pub fn slow_consumer_events(&self) -> u64 {
        self.shared.slow_consumer_events.load(Ordering::Relaxed)
    }

    pub(super) async fn ensure_stream(&self, spec: &StreamSpec) -> Result<(), BusError> {
        let config = stream_config(spec);
        let what = format!("create or update the stream `{}`", spec.name);
        let existing = self.stream_info(&spec.name).await;
        let verb = match existing {
            Ok(existing) if differences(spec, &existing.config).next().is_none() => return Ok(()),
            Ok(existing) => {
                // The one difference no update can remove: say so in our words, not the server's.
                if let Some(mismatch) = differences(spec, &existing.config).find(|(field, ..)| *field == "storage") {
                    return Err(config_mismatch(spec, mismatch));
                }
                "UPDATE"
            }
            Err(BusError::StreamLost { .. }) => "CREATE",
            Err(error) => return Err(error),
        };
        let info: stream::Info = self.shared.request(&format!("STREAM.{verb}.{}", spec.name), &config, &what).await?;
        match differences(spec, &info.config).next() {
            Some(mismatch) => Err(config_mismatch(spec, mismatch)),
            None => Ok(()),
        }
    }

    pub(super) async fn publish(
        &self,
        subject: &str,
        message_id: Option<&str>,
        headers: &[(&str, &str)],
        payload: Bytes,
    ) -> Result<PublishAck, BusError> {
        let shared = &self.shared;
        let bytes = payload.len();
        shared.check_size(bytes)?;
        let what = || format!("publish on `{subject}`");
        let mut message = PublishMessage::build().payload(payload);
        if !headers.is_empty() {
            message = message.headers(header_map(headers, &what)?);
        }
        if let Some(id) = message_id {
            message = message.header(MESSAGE_ID_HEADER, header_value(id, &what)?);
        }
        let confirmed = async {
            let mut link = shared.wait_until_up(&what).await?;
            let generation = link.borrow().generation;
            let confirmation = async {
                let sent = shared.jetstream.send_publish(subject.to_owned(), message).await?;
                sent.await
            };
            tokio::select! {
                ack = confirmation => ack.map_err(|error| publish_error(error, subject, bytes, shared)),
                // What the server had to say about this message went down with the connection.
                _ = link.wait_for(|link| !link.is_up || link.generation != generation) => {
                    Err(BusError::Disconnected { what: what() })
                }
            }
        };
        let ack = shared.within_timeout(confirmed, &what).await??;
        self.gate(&ack.stream).pass(shared, &ack.stream).await?;
        Ok(PublishAck { sequence: ack.sequence, duplicate: ack.duplicate })
    }

    pub(super) async fn publish_core(&self, subject: &str, payload: Bytes) -> Result<(), BusError> {
        let shared = &self.shared;
        shared.check_size(payload.len())?;
        let what = || format!("publish on `{subject}`");
        shared.check_up(&what)?;
        // Once the server is away the client only queues, and then blocks without an error.
        let queued = shared.client.publish(subject.to_owned(), payload);
        shared
            .within_timeout(queued, &what)
            .await?
            .map_err(|error| BusError::Refused { what: what(), source: error.into() })
    }

    pub(super) async fn subscribe(&self, filter: &str, capacity: usize) -> Result<Subscription, BusError> {
        let shared = &self.shared;
        let what = || format!("subscribe to `{filter}`");
        let mut subscriber = shared
            .within_timeout(shared.client.subscribe(filter.to_owned()), &what)
            .await?
            .map_err(|error| BusError::Refused { what: what(), source: error.into() })?;
        // Only then has the server seen it, and nothing published by others from now on is missed.
        shared.round_trip(&what).await?;
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let counters = Arc::<SubscriptionCounters>::default();
        let mut link = shared.link.clone();
        let mut end = shared.end.subscribe();
        let forwarder = tokio::spawn({
            let counters = Arc::clone(&counters);
            async move {
                let mut generation = link.borrow_and_update().generation;
                loop {
                    tokio::select! {
                        biased;
                        _ = end.wait_for(|is_ended| *is_ended) => return,
                        message = subscriber.next() => match message {
                            Some(message) => forward(message, &sender, &counters),
                            None => return,
                        },
                        Ok(()) = link.changed() => {
                            let now = link.borrow_and_update().generation;
                            counters.disconnects.fetch_add(now - generation, Ordering::Relaxed);
                            generation = now;
                        }
                    }
                }
            }
        });
        Ok(Subscription { receiver, counters, forwarder: Some(forwarder.abort_handle()) })
    }

    pub(super) async fn consume(&self, spec: ConsumerSpec) -> Result<NatsConsumer, BusError> {
        NatsConsumer::create(Arc::clone(&self.shared), spec).await
    }

    pub(super) async fn is_consumed(&self, stream: &str, durable: &str) -> Result<bool, BusError> {
        let what = format!("describe the consumer `{durable}`");
        let subject = format!("CONSUMER.INFO.{stream}.{durable}");
        let info: Result<ConsumerInfo, BusError> = self.shared.request(&subject, &serde_json::json!({}), &what).await;
        match info {
            // A reader always has a request at the server, but for the moment between two of them. What it did not
            // acknowledge says nothing: one that is gone leaves it behind.
            Ok(info) => Ok(info.num_waiting > 0),
            Err(error) => match api_error(&error) {
                Some(ErrorCode::CONSUMER_NOT_FOUND) => Ok(false),
                Some(ErrorCode::STREAM_NOT_FOUND) => Err(BusError::StreamLost { stream: stream.to_owned() }),
                _ => Err(error),
            },
        }
    }

    pub(super) async fn last(&self, stream: &str, filter: &str) -> Result<Option<Stored>, BusError> {
        let shared = &self.shared;
        let what = || format!("read the last message of `{filter}`");
        let refused = |source| BusError::Refused { what: what(), source };
        let handle = shared.jetstream.get_stream_no_info(stream).await.map_err(|error| refused(error.into()))?;
        let reading = handle.get_last_raw_message_by_subject(filter);
        let message = match shared.within_timeout(reading, &what).await? {
            Ok(message) => message,
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => return Ok(None),
                LastRawMessageErrorKind::JetStream(inner) if inner.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    return Err(BusError::StreamLost { stream: stream.to_owned() });
                }
                _ => return Err(refused(error.into())),
            },
        };
        let (message_id, headers) = split_headers(Some(&message.headers));
        Ok(Some(Stored {
            subject: message.subject.to_string(),
            sequence: message.sequence,
            payload: message.payload,
            message_id,
            headers,
        }))
    }

    pub(super) async fn stream_state(&self, stream: &str) -> Result<StreamState, BusError> {
        let state = self.stream_info(stream).await?.state;
        Ok(StreamState {
            first_sequence: if state.messages == 0 { state.last_sequence + 1 } else { state.first_sequence },
            last_sequence: state.last_sequence,
            messages: state.messages,
            bytes: state.bytes,
        })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.shared.client.connection_state() == async_nats::connection::State::Connected
    }

    pub(super) async fn close(&self) {
        let shared = &self.shared;
        // What was handed to the client before reaches the server before this does.
        if let Err(error) = shared.round_trip(&|| "flush".to_owned()).await {
            warn!(%error, "closing the bus with messages possibly unsent");
        }
        shared.end.send_replace(true);
        if let Err(error) = shared.client.drain().await {
            debug!(%error, "draining an already closed connection");
        }
        if let Some(child) = shared.child.lock().await.take() {
            child.stop().await;
        }
    }

    async fn stream_info(&self, stream: &str) -> Result<stream::Info, BusError> {
        self.shared.stream_info(stream).await
    }

    fn gate(&self, stream: &str) -> Arc<Gate> {
        let mut gates = self.shared.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(stream) {
            return Arc::clone(gate);
        }
        Arc::clone(gates.entry(stream.to_owned()).or_default())
    }
}

impl Shared {
    /// One request to the `JetStream` API.
    async fn request<T: DeserializeOwned>(
        &self,
        subject: &str,
        body: &impl Serialize,
        what: &str,
    ) -> Result<T, BusError> {
        let what = || what.to_owned();
        let response = self.jetstream.request(subject.to_owned(), body);
        let response: Response<T> =
            self.within_timeout(response, &what).await?.map_err(|error| match error.kind() {
                jetstream::context::RequestErrorKind::TimedOut => self.timed_out(&what),
                _ => BusError::Refused { what: what(), source: error.into() },
            })?;
        match response {
            Response::Ok(value) => Ok(value),
            Response::Err { error } => Err(BusError::Refused { what: what(), source: error.into() }),
        }
    }

    async fn stream_info(&self, stream: &str) -> Result<stream::Info, BusError> {
        let what = format!("describe the stream `{stream}`");
        self.request(&format!("STREAM.INFO.{stream}"), &serde_json::json!({}), &what).await.map_err(|error| {
            match api_error(&error) {
                Some(ErrorCode::STREAM_NOT_FOUND) => BusError::StreamLost { stream: stream.to_owned() },
                _ => error,
            }
        })
    }

    /// Returns when the server has processed everything sent before. The client's own `flush` does not wait for
    /// the server; the answer "no responders" to a subject nobody listens to can only come from it.
    async fn round_trip(&self, what: &impl Fn() -> String) -> Result<(), BusError> {
        self.check_up(what)?;
        let nobody = self.client.new_inbox();
        let answer = self.client.request(nobody, Bytes::new());
        match self.within_timeout(answer, what).await? {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                async_nats::RequestErrorKind::NoResponders => Ok(()),
                async_nats::RequestErrorKind::TimedOut => Err(self.timed_out(what)),
                _ => Err(BusError::Disconnected { what: what() }),
            },
        }
    }

    async fn wait_until_up(&self, what: &impl Fn() -> String) -> Result<watch::Receiver<Link>, BusError> {
        let mut link = self.link.clone();
        if *self.end.borrow() {
            return Err(BusError::Closed);
        }
        if !link.borrow_and_update().is_up {
            let mut end = self.end.subscribe();
            tokio::select! {
                up = link.wait_for(|link| link.is_up) => {
                    up.map_err(|_| BusError::Disconnected { what: what() })?;
                }
                _ = end.wait_for(|is_ended| *is_ended) => return Err(BusError::Closed),
            }
        }
        Ok(link)
    }

    fn check_up(&self, what: &impl Fn() -> String) -> Result<(), BusError> {
        if *self.end.borrow() {
            return Err(BusError::Closed);
        }
        if !self.link.borrow().is_up {
            return Err(BusError::Disconnected { what: what() });
        }
        Ok(())
    }

    fn check_size(&self, bytes: usize) -> Result<(), BusError> {
        let max = self.client.max_payload();
        if bytes > max {
            return Err(BusError::TooLarge { bytes, max });
        }
        Ok(())
    }

    async fn within_timeout<T>(
        &self,
        action: impl Future<Output = T>,
        what: &impl Fn() -> String,
    ) -> Result<T, BusError> {
        tokio::time::timeout(self.timeout, action).await.map_err(|_| self.timed_out(what))
    }

    fn timed_out(&self, what: &impl Fn() -> String) -> BusError {
        BusError::Timeout { what: what(), after: self.timeout }
    }
}

fn apply(event: &Event, link: &watch::Sender<Link>, slow_consumer_events: &AtomicU64) {
    match event {
        Event::Connected => link.send_modify(|link| {
            link.generation += 1;
            link.is_up = true;
        }),
        Event::Disconnected | Event::Closed => {
            link.send_modify(|link| link.is_up = false);
            warn!(%event, "NATS connection is away");
        }
        Event::SlowConsumer(_) => {
            slow_consumer_events.fetch_add(1, Ordering::Relaxed);
        }
        _ => debug!(%event, "NATS connection event"),
    }
}

fn reconnect_pause(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt).unwrap_or(u32::MAX).min(10);
    (RECONNECT_PAUSE_MIN * (1 << doublings)).min(RECONNECT_PAUSE_MAX)
}

fn check_server(client: &async_nats::Client, url: &str) -> Result<(), BusError> {
    let (major, minor, patch) = SERVER_NEEDED_PARTS;
    let info = client.server_info();
    if !client.is_server_compatible(major, minor, patch) {
        return Err(BusError::ServerTooOld {
            url: without_credentials(url),
            found: info.version,
            needed: SERVER_NEEDED,
            recommended: SERVER_RECOMMENDED,
        });
    }
    if !info.jetstream {
        return Err(BusError::JetStreamDisabled { url: without_credentials(url) });
    }
    Ok(())
}

fn publish_error(error: jetstream::context::PublishError, subject: &str, bytes: usize, shared: &Shared) -> BusError {
    use jetstream::context::PublishErrorKind as Kind;
    let what = || format!("publish on `{subject}`");
    match error.kind() {
        Kind::StreamNotFound => BusError::NoStream { subject: subject.to_owned() },
        Kind::TimedOut => shared.timed_out(&what),
        Kind::BrokenPipe => BusError::Disconnected { what: what() },
        Kind::MaxPayloadExceeded => BusError::TooLarge { bytes, max: shared.client.max_payload() },
        _ => BusError::Refused { what: what(), source: error.into() },
    }
}

fn forward(message: async_nats::Message, sender: &mpsc::Sender<Message>, counters: &SubscriptionCounters) {
    let message = Message { subject: message.subject.to_string(), payload: message.payload };
    if let Err(mpsc::error::TrySendError::Full(_)) = sender.try_send(message) {
        counters.dropped.fetch_add(1, Ordering::Relaxed);
    }
}
