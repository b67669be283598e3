use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::http::App;
use super::observed::Observed;
use crate::auth::{Identity, Refused};
use crate::channel::{Channel, Topic};
use crate::fanout::Delta;
use crate::format::Format;
use crate::frame::Frame;
use crate::hub::Hub;
use crate::limits::{Bucket, Lease};
use crate::protocol::{
    Action, PROTOCOL_VERSION, Refusal, RefusalCode, Request as ClientRequest, ServerEvent, Status, Subscribe,
};
use crate::session::{Session, Step, Subscribed};

/// A client has thousands of siblings and says little.
const READ_BUFFER_BYTES: usize = 4 << 10;

/// How long a client may take to say who it is.
const AUTH_MAX: Duration = Duration::from_secs(10);

/// How often rows are looked at that leave by time alone.
const SWEEP_PERIOD: Duration = Duration::from_millis(250);

/// Pings without a sign of life, after which a client counts as gone.
const PINGS_UNANSWERED_MAX: u32 = 4;

/// How long a closing handshake may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// The closing codes that this protocol adds.
const CLOSE_UNAUTHORIZED: u16 = 4401;
const CLOSE_TOO_SLOW: u16 = 4408;
const CLOSE_TOO_MANY: u16 = 4429;

/// One client. It reads the rings at its own pace and holds one frame at a time.
pub(super) struct Connection<'a> {
    socket: WebSocketStream<Observed>,
    n_written: Arc<AtomicU64>,
    format: Format,
    session: Session,
    app: &'a App,
    bucket: Bucket,
    standing: Standing,
    /// As asked for by the client.
    flush_period: Duration,
    n_heartbeats: u64,
    n_pings_unanswered: u32,
}

/// Whether the client may ask for anything yet.
enum Standing {
    /// Nobody needs a key.
    Open,
    Unknown {
        until: Instant,
    },
    Known {
        lease: Lease,
        name: Arc<str>,
        until: Option<Instant>,
    },
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client closed it or is gone.
    Client,
    Unauthorized(&'static str),
    TooSlow,
    TooMany(&'static str),
    TooLarge,
    NotUtf8,
    Protocol,
    Restart,
}

impl<'a> Connection<'a> {
    pub(super) async fn serve(upgraded: Upgraded, app: &'a App, format: Format, identity: Option<Identity>) {
        let _open = OpenClient::count(&app.hub);
        let n_written = Arc::new(AtomicU64::new(0));
        let io = Observed { io: TokioIo::new(upgraded), n_written: Arc::clone(&n_written) };
        let limits = &app.options.limits;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(limits.message_bytes))
            .max_frame_size(Some(limits.message_bytes));
        let standing = if app.keys.are_required() {
            Standing::Unknown { until: Instant::now() + AUTH_MAX }
        } else {
            Standing::Open
        };
        let mut connection = Self {
            socket: WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await,
            n_written,
            format,
            session: Session::new(app.hub.clone(), format),
            app,
            bucket: Bucket::new(f64::from(limits.messages_per_second)),
            standing,
            flush_period: Duration::ZERO,
            n_heartbeats: 0,
            n_pings_unanswered: 0,
        };
        let end = match connection.run(identity, app.is_stopping.clone()).await {
            Ok(end) | Err(end) => end,
        };
        connection.close(&end).await;
        tracing::debug!(?end, "WebSocket connection ended");
    }

    /// `Ok` and `Err` both tell why it ended; `Err` is what a step could not go on from.
    async fn run(&mut self, identity: Option<Identity>, mut is_stopping: watch::Receiver<bool>) -> Result<End, End> {
        self.greet().await?;
        if let Some(identity) = identity {
            self.admit(None, &identity).await?;
        }
        let listener = Arc::clone(self.session.listener());
        let mut heartbeat = every(self.app.options.heartbeat);
        let mut sweep = every(SWEEP_PERIOD);
        let mut flush_at = Instant::now();
        let mut has_news = false;
        let mut stopping = pin!(crate::stopped(&mut is_stopping));
        loop {
            tokio::select! {
                biased;
                () = &mut stopping => return Ok(End::Restart),
                () = listener.woken(), if !has_news => {
                    has_news = true;
                    if self.flush_period.is_zero() {
                        self.flush().await?;
                        has_news = false;
                    }
                }
                message = self.socket.next() => self.receive(message).await?,
                _ = heartbeat.tick() => self.beat().await?,
                () = sleep_until(flush_at), if has_news => {
                    self.flush().await?;
                    (has_news, flush_at) = (false, Instant::now() + self.flush_period);
                }
                _ = sweep.tick(), if self.session.ages() => self.sweep().await?,
                reason = self.standing.expired() => return Err(self.expire(reason).await),
            }
        }
    }

    async fn greet(&mut self) -> Result<(), End> {
        let hub = &self.app.hub;
        let hb_ms = u64::try_from(self.app.options.heartbeat.as_millis()).unwrap_or(u64::MAX);
        let auth = if self.app.keys.are_required() { "required" } else { "none" };
        let status = Status::Connected { proto: PROTOCOL_VERSION, epoch: hub.epoch(), hb_ms, auth, data: hub.data() };
        self.send(Frame::of(self.format, &ServerEvent::Status(status))).await
    }

    async fn receive(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(Error::Capacity(_))) => return Err(End::TooLarge),
            Some(Err(Error::Utf8(_))) => return Err(End::NotUtf8),
            Some(Err(Error::Protocol(_))) => return Err(End::Protocol),
            Some(Err(_)) | None => return Err(End::Client),
        };
        self.n_pings_unanswered = 0;
        let is_allowed = self.bucket.take()
            && match &self.standing {
                Standing::Known { lease, .. } => lease.take(),
                _ => true,
            };
        if !is_allowed {
            return Err(End::TooMany("more messages than are allowed"));
        }
        let parsed = match (message, self.format) {
            (Message::Text(text), Format::Json) => {
                serde_json::from_str::<Value>(&text).map_err(|error| Refusal::bad(None, format!("no JSON: {error}")))
            }
            (Message::Binary(bytes), Format::MessagePack) => rmp_serde::from_slice::<Value>(&bytes)
                .map_err(|error| Refusal::bad(None, format!("no MessagePack: {error}"))),
            (Message::Text(_), Format::MessagePack) => Err(Refusal::bad(None, "binary messages only")),
            (Message::Binary(_), Format::Json) => Err(Refusal::bad(None, "text messages only")),
            (Message::Close(_), _) => return Err(End::Client),
            (Message::Ping(_) | Message::Pong(_) | Message::Frame(_), _) => return Ok(()),
        };
        match parsed.and_then(ClientRequest::parse) {
            Ok(request) => self.answer(request).await,
            Err(refusal) => self.refuse(&refusal).await,
        }
    }

    async fn answer(&mut self, ClientRequest { id, action }: ClientRequest) -> Result<(), End> {
        if let (Standing::Unknown { .. }, Action::Subscribe(_) | Action::Unsubscribe { .. }) = (&self.standing, &action)
        {
            let message = "a key is needed first: {\"action\":\"auth\",\"params\":\"<key>\"}".to_owned();
            return self.refuse(&Refusal { id, code: RefusalCode::Unauthorized, message }).await;
        }
        match action {
            Action::Ping => {
                let status = Status::Pong { id: id.as_ref() };
                self.send(Frame::of(self.format, &ServerEvent::Status(status))).await
            }
            Action::Auth { .. } if !self.app.keys.are_required() => {
                self.refuse(&Refusal::bad(id.as_ref(), "no key is needed here")).await
            }
            Action::Auth { secret } => match self.app.keys.identify(&secret) {
                Ok(identity) => self.admit(id, &identity).await,
                Err(Refused(reason)) => {
                    let message = reason.to_owned();
                    self.refuse(&Refusal { id, code: RefusalCode::Unauthorized, message }).await?;
                    Err(End::Unauthorized(reason))
                }
            },
            Action::Unsubscribe { topics } => {
                // What happened until now still counts under the old subscriptions.
                self.flush().await?;
                self.session.unsubscribe(&topics);
                self.lease_subscriptions(&[]);
                self.confirm(id.as_ref(), false).await
            }
            Action::Subscribe(request) => {
                self.flush().await?;
                self.subscribe(id, &request).await
            }
        }
    }

    /// Lets a known client in.
    async fn admit(&mut self, id: Option<Value>, identity: &Identity) -> Result<(), End> {
        // What outlives the calendar needs no timer.
        let expires_at = identity.expires_in.and_then(|span| Instant::now().checked_add(span));
        match &mut self.standing {
            // A newer token of the same person: what it has taken of the limits stays taken.
            Standing::Known { name, until, .. } if *name == identity.name => *until = expires_at,
            _ => {
                let Some(lease) = self.app.shares.lease(&identity.name, &self.app.options.limits) else {
                    return Err(End::TooMany("the key has too many connections"));
                };
                self.standing = Standing::Known { lease, name: Arc::clone(&identity.name), until: expires_at };
            }
        }
        let status = Status::Authenticated { id: id.as_ref(), key: &identity.name };
        self.send(Frame::of(self.format, &ServerEvent::Status(status))).await
    }

    async fn subscribe(&mut self, id: Option<Value>, request: &Subscribe) -> Result<(), End> {
        let limit = self.app.options.limits.subscriptions;
        if self.session.n_named_with(&request.topics) > limit {
            let message = format!("more than {limit} subscriptions by name; `SC.*` is one");
            return self.refuse(&Refusal { id, code: RefusalCode::TooMany, message }).await;
        }
        if !self.lease_subscriptions(&request.topics) {
            let message = "the key has too many subscriptions".to_owned();
            return self.refuse(&Refusal { id, code: RefusalCode::TooMany, message }).await;
        }
        let Subscribed { recovered, replaced } = self.session.subscribe(request);
        if let Some(flush_ms) = request.flush_ms {
            self.flush_period = Duration::from_millis(flush_ms);
        }
        let is_recovered = request.channels().all(|channel| recovered.contains(&channel));
        self.confirm(id.as_ref(), is_recovered).await?;
        for channel in request.channels() {
            // An alert is news, not a state.
            let is_asked_for = request.with_snapshot && !recovered.contains(&channel) && channel != Channel::Alerts;
            if is_asked_for || replaced.contains(&channel) {
                self.send_snapshot(channel, false).await?;
            }
        }
        self.flush().await
    }

    /// Whether the key may have the subscriptions that the session has and would get.
    fn lease_subscriptions(&mut self, added: &[Topic]) -> bool {
        let n_named = self.session.n_named_with(added);
        match &mut self.standing {
            Standing::Known { lease, .. } => lease.subscribe(n_named, &self.app.options.limits),
            _ => true,
        }
    }

    async fn confirm(&mut self, id: Option<&Value>, recovered: bool) -> Result<(), End> {
        let (subs, seq) = (self.session.subscriptions(), self.session.sequences());
        let status = Status::Success { id, subs, recovered, seq, data: self.app.hub.data() };
        self.send(Frame::of(self.format, &ServerEvent::Status(status))).await
    }

    /// Says why, as the reason of a close is not always shown.
    async fn expire(&mut self, reason: &'static str) -> End {
        let message = reason.to_owned();
        match self.refuse(&Refusal { id: None, code: RefusalCode::Unauthorized, message }).await {
            Ok(()) => End::Unauthorized(reason),
            Err(end) => end,
        }
    }

    async fn refuse(&mut self, refusal: &Refusal) -> Result<(), End> {
        self.send(Frame::refusal(self.format, refusal)).await
    }

    async fn beat(&mut self) -> Result<(), End> {
        if self.n_pings_unanswered == PINGS_UNANSWERED_MAX {
            return Err(End::TooSlow);
        }
        self.n_pings_unanswered += 1;
        self.n_heartbeats += 1;
        self.flush().await?;
        let hub = &self.app.hub;
        let mut frame = Frame::new(self.format);
        self.session.catch_up(&mut frame);
        let (n, seq, ts) = (self.n_heartbeats, self.session.sequences(), hub.now().as_ns());
        frame.push(&ServerEvent::Hb { n, ts, seq, lag_ms: hub.lag_ms(), data: hub.data() });
        self.send(frame).await?;
        self.transmit(Message::Ping(Bytes::new())).await
    }

    /// Sends what happened until now.
    async fn flush(&mut self) -> Result<(), End> {
        self.session.look();
        for channel in Channel::ALL {
            loop {
                match self.session.step(channel) {
                    Step::Done => break,
                    Step::Send(delta) => self.send_delta(delta).await?,
                    Step::Gap => {
                        self.app.hub.metrics().resyncs.inc();
                        self.send_snapshot(channel, true).await?;
                    }
                    Step::Lost => return Err(End::TooSlow),
                }
            }
        }
        Ok(())
    }

    async fn sweep(&mut self) -> Result<(), End> {
        self.flush().await?;
        match self.session.sweep() {
            Some(delta) => self.send_delta(delta).await,
            None => Ok(()),
        }
    }

    async fn send_snapshot(&mut self, channel: Channel, is_gap: bool) -> Result<(), End> {
        let mut pages = self.session.restart(channel, is_gap);
        while let Some(page) = self.session.next_page(&mut pages) {
            self.send_delta(page).await?;
        }
        Ok(())
    }

    async fn send_delta(&mut self, delta: Delta) -> Result<(), End> {
        self.transmit(delta.message).await?;
        self.app.hub.metrics().events_sent.inc_by(delta.n_events);
        Ok(())
    }

    async fn send(&mut self, frame: Frame) -> Result<(), End> {
        self.transmit(frame.finish()).await
    }

    /// Waits as long as the client takes bytes, however few.
    async fn transmit(&mut self, message: Message) -> Result<(), End> {
        let mut sending = pin!(self.socket.send(message));
        loop {
            let n_written = self.n_written.load(Ordering::Relaxed);
            match timeout(self.app.options.write_stall_max, &mut sending).await {
                Ok(sent) => return sent.map_err(|_| End::Client),
                Err(_) if self.n_written.load(Ordering::Relaxed) == n_written => return Err(End::TooSlow),
                Err(_) => {}
            }
        }
    }

    async fn close(&mut self, end: &End) {
        let refusal = |code, message: String| Some(Frame::refusal(self.format, &Refusal { id: None, code, message }));
        let (code, reason, last_words) = match end {
            End::Client => (CloseCode::Normal, "", None),
            End::Unauthorized(reason) => (CLOSE_UNAUTHORIZED.into(), *reason, None),
            End::TooSlow => {
                self.app.hub.metrics().slow_clients_dropped.inc();
                (CLOSE_TOO_SLOW.into(), "too slow", None)
            }
            End::TooMany(reason) => {
                (CLOSE_TOO_MANY.into(), *reason, refusal(RefusalCode::TooMany, (*reason).to_owned()))
            }
            End::TooLarge => {
                let message = format!("a message is larger than {} bytes", self.app.options.limits.message_bytes);
                (CloseCode::Size, "message too large", refusal(RefusalCode::TooLarge, message))
            }
            End::NotUtf8 => {
                let message = "a text message is not UTF-8".to_owned();
                (CloseCode::Invalid, "not UTF-8", refusal(RefusalCode::BadRequest, message))
            }
            End::Protocol => (CloseCode::Protocol, "", None),
            End::Restart => {
                let status = ServerEvent::Status(Status::Restarting);
                (CloseCode::Restart, "restarting", Some(Frame::of(self.format, &status)))
            }
        };
        let farewell = async {
            if let Some(frame) = last_words {
                self.send(frame).await?;
            }
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            self.socket.close(Some(frame)).await.map_err(|_| End::Client)?;
            // Dropping a socket with unread input resets it, and the client may then lose the farewell.
            let io = self.socket.get_mut();
            io.shutdown().await.map_err(|_| End::Client)?;
            let mut discarded = [0; 1024];
            while io.read(&mut discarded).await.is_ok_and(|n_bytes| n_bytes > 0) {}
            Ok::<(), End>(())
        };
        if timeout(CLOSE_MAX, farewell).await.is_err() {
            tracing::debug!(?end, "WebSocket client did not take the farewell");
        }
    }
}

impl Standing {
    /// Returns when the client has been unknown for too long, or is not known any more.
    async fn expired(&self) -> &'static str {
        match self {
            Self::Unknown { until } => {
                sleep_until(*until).await;
                "no key came in time"
            }
            Self::Known { until: Some(until), .. } => {
                sleep_until(*until).await;
                "the token has expired"
            }
            Self::Open | Self::Known { until: None, .. } => std::future::pending().await,
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Counts a client as long as it lives.
struct OpenClient<'a>(&'a Hub);

impl<'a> OpenClient<'a> {
    fn count(hub: &'a Hub) -> Self {
        hub.metrics().clients.inc();
        Self(hub)
    }
}

impl Drop for OpenClient<'_> {
    fn drop(&mut self) {
        self.0.metrics().clients.dec();
    }
}
