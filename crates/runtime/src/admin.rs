//! The admin port of a process: is it alive, is it ready, what does it count, how is it configured.

mod health;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::shutdown::Shutdown;
use crate::telemetry::Metrics;

pub use health::{ComponentHandle, ComponentState, Health, NotReady};

const AUTO_PORT: u16 = 9090;

/// What the admin port shows.
#[derive(Debug, Clone)]
pub struct AdminState {
    pub health: Health,
    pub metrics: Metrics,
    /// [`Loaded::masked`](crate::config::Loaded::masked).
    pub config_masked: Arc<str>,
}

/// The value of `admin.listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Listen {
    /// 127.0.0.1:9090, or any free port when that is taken, so that several processes start on one machine.
    Auto,
    Address(SocketAddr),
}

/// Why the admin port is not served.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("cannot listen on `{key}` = `{address}`")]
    Bind {
        key: &'static str,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("failed to serve the admin port")]
    Serve(#[source] io::Error),
}

/// `/livez`, `/readyz`, `/metrics` and `/config`.
pub fn routes(state: AdminState) -> Router {
    let config = Arc::clone(&state.config_masked);
    let config = move || async move { ([(CONTENT_TYPE, "application/toml")], config.to_string()) };
    public_routes(state).route("/config", get(config))
}

/// The routes without `/config`, for a port that the outside reaches.
pub fn public_routes(state: AdminState) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(state)
}

/// Serves until the shutdown is requested and the requests under way are answered.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) -> Result<(), AdminError> {
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { shutdown.requested().await })
        .await
        .map_err(AdminError::Serve)
}

/// Binds the admin port. Its address, for the log, is the listener's `local_addr`.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn bind(listen: &Listen) -> Result<TcpListener, AdminError> {
    match listen {
        Listen::Address(address) => bind_address("admin.listen", *address).await,
        Listen::Auto => bind_or_any_port(SocketAddr::from((Ipv4Addr::LOCALHOST, AUTO_PORT))).await,
    }
}

/// Binds the address that the configuration has at `key`.
///
/// # Errors
/// Names the key and the address, when that is taken or not ours.
pub async fn bind_address(key: &'static str, address: SocketAddr) -> Result<TcpListener, AdminError> {
    TcpListener::bind(address).await.map_err(|source| AdminError::Bind { key, address, source })
}

async fn bind_or_any_port(preferred: SocketAddr) -> Result<TcpListener, AdminError> {
    match bind_address("admin.listen", preferred).await {
        Err(AdminError::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {
            bind_address("admin.listen", SocketAddr::new(preferred.ip(), 0)).await
        }
        bound => bound,
    }
}

async fn readyz(State(state): State<AdminState>) -> Response {
    let not_ready = state.health.not_ready();
    let status = if not_ready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(not_ready)).into_response()
}

async fn metrics(State(state): State<AdminState>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.encode())
}

/// A value of `admin.listen` that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `auto` nor an address such as `127.0.0.1:9090`")]
pub struct InvalidListen(String);

impl FromStr for Listen {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            text => text.parse().map(Self::Address).map_err(|_| InvalidListen(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = InvalidListen;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;

    struct Server {
        address: SocketAddr,
        health: Health,
        shutdown: Shutdown,
        task: JoinHandle<Result<(), AdminError>>,
    }

    async fn start(routes: fn(AdminState) -> Router) -> Server {
        let listener = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, health, shutdown) = (listener.local_addr().unwrap(), Health::new(), Shutdown::new());
        let state =
            AdminState { health: health.clone(), metrics: Metrics::new(), config_masked: "bus = \"memory\"\n".into() };
        let task = tokio::spawn(serve(listener, routes(state), shutdown.clone()));
        Server { address, health, shutdown, task }
    }

    impl Server {
        /// The status line, the headers and the body of one request on a connection of its own.
        async fn get(&self, path: &str) -> (String, String, String) {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: technic\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).await.unwrap();
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            let (status, headers) = head.split_once("\r\n").unwrap();
            (status.to_owned(), headers.to_owned(), body.to_owned())
        }
    }

    const OK: &str = "HTTP/1.1 200 OK";
    const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable";

    #[tokio::test]
    async fn alive_counted_and_configured_whether_ready_or_not() {
        let server = start(routes).await;
        let (status, _, _) = server.get("/livez").await;
        assert_eq!(status, OK);
        let (status, headers, body) = server.get("/metrics").await;
        assert_eq!(status, OK);
        assert!(headers.contains("content-type: text/plain; version=0.0.4"), "{headers}");
        assert!(body.contains("technic_build_info{"), "{body}");
        let (status, _, body) = server.get("/config").await;
        assert_eq!((status.as_str(), body.as_str()), (OK, "bus = \"memory\"\n"));
    }

    #[tokio::test]
    async fn ready_when_every_component_is() {
        let server = start(routes).await;
        let bus = server.health.component("bus");
        let scoring = server.health.component("scoring");
        bus.set_ready();
        scoring.set_recovering("replaying p07");
        let (status, _, body) = server.get("/readyz").await;
        assert_eq!(status, UNAVAILABLE);
        assert_eq!(body, r#"[{"component":"scoring","state":"recovering","detail":"replaying p07"}]"#);
        scoring.set_ready();
        let (status, _, body) = server.get("/readyz").await;
        assert_eq!((status.as_str(), body.as_str()), (OK, "[]"));
        bus.set_failed("disconnected");
        assert_eq!(server.get("/readyz").await.0, UNAVAILABLE);
    }

    #[tokio::test]
    async fn the_configuration_is_not_public() {
        let server = start(public_routes).await;
        assert_eq!(server.get("/livez").await.0, OK);
        assert_eq!(server.get("/config").await.0, "HTTP/1.1 404 Not Found");
    }

    #[tokio::test]
    async fn serving_ends_with_the_shutdown() {
        let server = start(routes).await;
        let _idle = TcpStream::connect(server.address).await.unwrap();
        server.shutdown.trigger("test");
        server.task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_taken_address_is_an_error_but_auto_takes_another_port() {
        let first = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let taken = first.local_addr().unwrap();
        let error = bind(&Listen::Address(taken)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on `admin.listen` = `{taken}`"));
        let other = bind_or_any_port(taken).await.unwrap().local_addr().unwrap();
        assert_eq!(other.ip(), taken.ip());
        assert_ne!(other.port(), taken.port());
        let mut processes = Vec::new();
        for _ in 0..5 {
            processes.push(bind(&Listen::Auto).await.unwrap());
        }
    }

    #[test]
    fn reads_what_to_listen_on() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(text.parse::<Listen>().ok().map(|listen| listen.to_string()).as_deref(), expected);
        };
        check("auto", Some("auto"));
        check("0.0.0.0:1", Some("0.0.0.0:1"));
        check("[::1]:1", Some("[::1]:1"));
        check("localhost:1", None);
        check("9090", None);
        check("", None);
    }
}
