use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::http::App;
use super::problem::Problem;
use crate::config::PublisherOptions;
use crate::hub::Hub;
use crate::protocol::{
    Action, Channel, Frame, PROTOCOL_VERSION, Refusal, RefusalCode, Request as ClientRequest, SUBPROTOCOL, Sequences,
    ServerEvent, Status,
};
use crate::ring::Since;
use crate::session::{Counted, Session};

const WEBSOCKET_VERSION: &str = "13";

/// Largest message of a client.
const INBOUND_BYTES_MAX: usize = 64 << 10;

/// A client has thousands of siblings and says little.
const READ_BUFFER_BYTES: usize = 4 << 10;

/// Under load the updates of one tick leave in one flush: a tick as long as what the flushes of all clients cost, about
/// 10 µs each.
const FLUSH_TICK_PER_CLIENT: Duration = Duration::from_micros(10);
const FLUSH_TICK_MAX: Duration = Duration::from_millis(10);
/// Below the resolution of timers a tick is no wait at all.
const FLUSH_TICK_MIN: Duration = Duration::from_millis(1);

/// Events that one frame holds, give or take a burst: what a client costs at most while its frame is on the way.
const FRAME_EVENTS: usize = 1000;

/// Pings without a sign of life, after which a client counts as gone.
const PINGS_UNANSWERED_MAX: u32 = 4;

/// How long a closing handshake may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// The closing codes that this protocol adds.
const CLOSE_TOO_SLOW: u16 = 4408;

pub(super) async fn upgrade(State(app): State<App>, mut request: Request) -> Response {
    let headers = request.headers();
    let key = match handshake_key(headers) {
        Ok(key) => derive_accept_key(key.as_bytes()),
        Err((status, detail)) => {
            let headers = [
                (header::UPGRADE, "websocket"),
                (header::CONNECTION, "upgrade"),
                (header::SEC_WEBSOCKET_VERSION, WEBSOCKET_VERSION),
            ];
            return (headers, Problem::new(status, detail)).into_response();
        }
    };
    let offered = header_tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == SUBPROTOCOL);
    let Ok(permit) = Arc::clone(&app.connections).try_acquire_owned() else {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many WebSocket connections").into_response();
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => Connection::serve(upgraded, &app).await,
            Err(error) => tracing::debug!(%error, "WebSocket upgrade failed"),
        }
        drop(permit);
    });
    let accept = HeaderValue::try_from(key).expect("base64 is a header value");
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if offered {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}

fn handshake_key(headers: &HeaderMap) -> Result<&HeaderValue, (StatusCode, &'static str)> {
    let has_token = |name, wanted: &str| header_tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted));
    if !has_token(&header::CONNECTION, "upgrade") || !has_token(&header::UPGRADE, "websocket") {
        return Err((StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != WEBSOCKET_VERSION) {
        return Err((StatusCode::UPGRADE_REQUIRED, "WebSocket version 13 only"));
    }
    headers.get(header::SEC_WEBSOCKET_KEY).ok_or((StatusCode::BAD_REQUEST, "header `sec-websocket-key` is missing"))
}

fn header_tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// One client. It reads the ring at its own pace and holds one frame at a time.
struct Connection<'a> {
    socket: WebSocketStream<Observed>,
    n_written: Arc<AtomicU64>,
    session: Session,
    hub: &'a Hub,
    options: &'a PublisherOptions,
    newest: watch::Receiver<u64>,
    n_heartbeats: u64,
    n_pings_unanswered: u32,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client closed it or is gone.
    Client,
    TooSlow,
    TooLarge,
    NotUtf8,
    Protocol,
    Restart,
}

impl<'a> Connection<'a> {
    async fn serve(upgraded: Upgraded, app: &'a App) {
        let _open = OpenClient::count(&app.hub);
        let n_written = Arc::new(AtomicU64::new(0));
        let io = Observed { io: TokioIo::new(upgraded), n_written: Arc::clone(&n_written) };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(INBOUND_BYTES_MAX))
            .max_frame_size(Some(INBOUND_BYTES_MAX));
        let mut connection = Self {
            socket: WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await,
            n_written,
            session: Session::default(),
            hub: &app.hub,
            options: &app.options,
            newest: app.hub.newest(),
            n_heartbeats: 0,
            n_pings_unanswered: 0,
        };
        let end = match connection.run(app.is_stopping.clone()).await {
            Ok(end) | Err(end) => end,
        };
        connection.close(&end).await;
        tracing::debug!(?end, "WebSocket connection ended");
    }

    /// `Ok` and `Err` both tell why it ended; `Err` is what a step could not go on from.
    async fn run(&mut self, mut is_stopping: watch::Receiver<bool>) -> Result<End, End> {
        self.greet().await?;
        let mut heartbeat = interval_at(Instant::now() + self.options.heartbeat, self.options.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut flush_at = Instant::now();
        let mut has_news = false;
        loop {
            tokio::select! {
                biased;
                () = crate::stopped(&mut is_stopping) => return Ok(End::Restart),
                message = self.socket.next() => self.receive(message).await?,
                _ = heartbeat.tick() => self.beat().await?,
                // The sender lives in the hub that this connection holds.
                Ok(()) = self.newest.changed(), if !has_news => has_news = self.session.is_subscribed(),
                () = sleep_until(flush_at), if has_news => {
                    self.flush().await?;
                    (has_news, flush_at) = (false, Instant::now() + self.flush_tick());
                }
            }
        }
    }

    fn flush_tick(&self) -> Duration {
        let n_clients = u32::try_from(self.hub.metrics().clients.get()).unwrap_or(0);
        let tick = (FLUSH_TICK_PER_CLIENT * n_clients).min(FLUSH_TICK_MAX);
        if tick < FLUSH_TICK_MIN { Duration::ZERO } else { tick }
    }

    async fn greet(&mut self) -> Result<(), End> {
        let (epoch, hb_ms) = (self.hub.epoch(), self.options.heartbeat.as_millis());
        let data = self.hub.data();
        let status = Status::Connected { proto: PROTOCOL_VERSION, epoch, hb_ms, auth: "none", data };
        self.send(Frame::of(&ServerEvent::Status(status))).await
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
        match message {
            Message::Text(text) => match ClientRequest::parse(&text) {
                Ok(request) => self.answer(request).await,
                Err(refusal) => self.send(Frame::refusal(&refusal)).await,
            },
            Message::Binary(_) => self.refuse(None, RefusalCode::BadRequest, "text messages only").await,
            Message::Close(_) => Err(End::Client),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    async fn answer(&mut self, request: ClientRequest) -> Result<(), End> {
        let id = request.id;
        match request.action {
            Action::Ping => self.send(Frame::of(&ServerEvent::Status(Status::Pong { id: id.as_ref() }))).await,
            Action::Unsubscribe { channels } => {
                // What happened until now still counts under the old subscriptions.
                self.flush().await?;
                self.session.unsubscribe(&channels);
                self.confirm(id.as_ref()).await
            }
            Action::Subscribe { channels, with_snapshot } => {
                self.flush().await?;
                self.subscribe(id, &channels, with_snapshot).await
            }
        }
    }

    async fn subscribe(&mut self, id: Option<Value>, channels: &[Channel], with_snapshot: bool) -> Result<(), End> {
        let newest = *self.newest.borrow_and_update();
        if let Err(message) = self.session.subscribe(channels, newest) {
            return self.refuse(id, RefusalCode::BadRequest, message).await;
        }
        self.confirm(id.as_ref()).await?;
        if with_snapshot { self.send_snapshot(false).await } else { Ok(()) }
    }

    async fn confirm(&mut self, id: Option<&Value>) -> Result<(), End> {
        let (subs, seq) = (self.session.subscriptions(), self.session.sequences());
        let status = Status::Success { id, subs, recovered: false, seq, data: self.hub.data() };
        self.send(Frame::of(&ServerEvent::Status(status))).await
    }

    async fn refuse(&mut self, id: Option<Value>, code: RefusalCode, message: impl Into<String>) -> Result<(), End> {
        self.send(Frame::refusal(&Refusal { id, code, message: message.into() })).await
    }

    async fn beat(&mut self) -> Result<(), End> {
        if self.n_pings_unanswered == PINGS_UNANSWERED_MAX {
            return Err(End::TooSlow);
        }
        self.n_pings_unanswered += 1;
        self.n_heartbeats += 1;
        let mut frame = Frame::new();
        self.session.catch_up(&mut frame);
        let seq: Sequences = self.session.sequences();
        let (ts, lag_ms) = (self.hub.now().as_ns(), self.hub.lag_ms());
        frame.push(&ServerEvent::Hb { n: self.n_heartbeats, ts, seq, lag_ms, data: self.hub.data() });
        self.send(frame).await?;
        self.transmit(Message::Ping(Bytes::new())).await
    }

    /// Sends what happened until now.
    async fn flush(&mut self) -> Result<(), End> {
        let newest = *self.newest.borrow_and_update();
        while self.session.is_subscribed() && self.session.cursor() < newest {
            match self.hub.since(self.session.cursor(), FRAME_EVENTS) {
                Since::Bursts(bursts) => {
                    if let Some(delta) = self.session.delta(&bursts) {
                        self.send_counted(delta).await?;
                    }
                }
                Since::Gap => {
                    self.hub.metrics().resyncs.inc();
                    self.send_snapshot(true).await?;
                }
            }
        }
        Ok(())
    }

    async fn send_snapshot(&mut self, is_gap: bool) -> Result<(), End> {
        for page in self.session.restart_from(self.hub.snapshot(), is_gap) {
            self.send_counted(page).await?;
        }
        Ok(())
    }

    async fn send_counted(&mut self, (frame, n_events): Counted) -> Result<(), End> {
        self.send(frame).await?;
        self.hub.metrics().events_sent.inc_by(n_events);
        Ok(())
    }

    async fn send(&mut self, frame: Frame) -> Result<(), End> {
        let text = Utf8Bytes::try_from(frame.finish()).expect("JSON is UTF-8");
        self.transmit(Message::Text(text)).await
    }

    /// Waits as long as the client takes bytes, however few.
    async fn transmit(&mut self, message: Message) -> Result<(), End> {
        let mut sending = pin!(self.socket.send(message));
        loop {
            let n_written = self.n_written.load(Ordering::Relaxed);
            match timeout(self.options.write_stall_max, &mut sending).await {
                Ok(sent) => return sent.map_err(|_| End::Client),
                Err(_) if self.n_written.load(Ordering::Relaxed) == n_written => return Err(End::TooSlow),
                Err(_) => {}
            }
        }
    }

    async fn close(&mut self, end: &End) {
        let (code, reason, last_words) = match end {
            End::Client => (CloseCode::Normal, "", None),
            End::TooSlow => {
                self.hub.metrics().slow_clients_dropped.inc();
                (CLOSE_TOO_SLOW.into(), "too slow", None)
            }
            End::TooLarge => {
                let message = format!("a message is larger than {INBOUND_BYTES_MAX} bytes");
                let refusal = Refusal { id: None, code: RefusalCode::TooLarge, message };
                (CloseCode::Size, "message too large", Some(Frame::refusal(&refusal)))
            }
            End::NotUtf8 => {
                let message = "a text message is not UTF-8".to_owned();
                let refusal = Refusal { id: None, code: RefusalCode::BadRequest, message };
                (CloseCode::Invalid, "not UTF-8", Some(Frame::refusal(&refusal)))
            }
            End::Protocol => (CloseCode::Protocol, "", None),
            End::Restart => {
                (CloseCode::Restart, "restarting", Some(Frame::of(&ServerEvent::Status(Status::Restarting))))
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

/// A transport that tells how many bytes it took.
struct Observed {
    io: TokioIo<Upgraded>,
    n_written: Arc<AtomicU64>,
}

impl AsyncRead for Observed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Observed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(n_bytes)) = written {
            self.n_written.fetch_add(n_bytes as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("n_written", &self.n_written).finish_non_exhaustive()
    }
}
