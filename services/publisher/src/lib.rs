//! Presents the results: the latest table, its snapshots and changes, over WebSocket and HTTP.
//!
//! [`Board`] is the pure stage. [`Hub`] shares it with the clients: the run loop drives the hub as a stage and hands
//! the updates to [`Hub::apply`]. [`History`] keeps the bars that are drawn beside it. [`serve`] answers on one port.

mod adapters;
mod auth;
mod board;
mod burst;
mod channel;
mod config;
mod event;
mod facts;
mod fanout;
mod filter;
mod format;
mod frame;
mod history;
mod hub;
mod limits;
mod metrics;
mod plan_alerts;
mod protocol;
mod results;
mod ring;
mod session;
mod snapshot;
mod sort;

use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use adapters::bus::{HubOutlet, follow_alerts, seed};
pub use adapters::cache::TableCache;
pub use auth::{Identity, JwtOptions, JwtSecret, Keys, Refused};
pub use board::{Board, DataKind, Row, Update};
pub use channel::Channel;
pub use config::PublisherOptions;
pub use event::{BarUpdate, IndicatorUpdate};
pub use facts::FactsStage;
pub use history::{History, Point, SymbolHistory};
pub use hub::Hub;
pub use limits::Limits;
pub use results::{RESULTS_REFRESH_STEPS, ResultsStage};
pub use snapshot::{SCAN_LIMIT_MAX, Scan, ScanQuery, Snapshot};
pub use sort::{SORT_FIELDS, SortKey};

/// The text by which clients know a run of the publisher: base 36, so that it is short.
///
/// # Panics
/// Never: a remainder of 36 is a digit of base 36.
pub fn epoch_text(mut epoch: u64) -> String {
    let mut digits = Vec::new();
    while epoch > 0 || digits.is_empty() {
        let digit = u32::try_from(epoch % 36).expect("a remainder of 36 fits");
        digits.push(char::from_digit(digit, 36).expect("a remainder of 36 is a digit of base 36"));
        epoch /= 36;
    }
    digits.iter().rev().collect()
}

/// The `OpenAPI` document of the HTTP interface, as `/openapi.json` serves it.
pub fn openapi_json() -> String {
    adapters::http::openapi_json()
}

/// How long clients may take to leave once a stop is asked for.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Why the publisher cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    #[error("invalid publisher options: {}", .0.join("; "))]
    Options(Vec<String>),
    #[error("failed to serve HTTP")]
    Serve(#[source] std::io::Error),
}

/// Answers on `listener` until `shutdown`, then says goodbye to every client. `extra_routes` (`/livez`, `/metrics` …)
/// are answered on the same port. `cache` is what the status tells of and an admin may clear.
///
/// # Errors
/// When the options are invalid or the listener fails.
pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    history: History,
    extra_routes: Router,
    shutdown: impl Future<Output = ()> + Send,
    options: PublisherOptions,
    cache: TableCache,
) -> Result<(), PublisherError> {
    let problems = options.problems();
    if !problems.is_empty() {
        return Err(PublisherError::Options(problems));
    }
    let (stop, is_stopping) = watch::channel(false);
    let keys = Keys::open(&options).map_err(|problem| PublisherError::Options(vec![problem]))?;
    // Dropping the set ends the task.
    let mut pulses = JoinSet::new();
    let fanout = hub.clone();
    pulses.spawn(async move { fanout.fanout().run().await });
    let head_max = options.write_stall_max;
    let router = adapters::http::router(hub, history, keys, options, cache, is_stopping.clone(), extra_routes);
    let server = adapters::accept::serve(listener, router, head_max, is_stopping);
    let mut server = std::pin::pin!(server);
    tokio::select! {
        ended = &mut server => return ended.map_err(PublisherError::Serve),
        () = shutdown => {}
    }
    stop.send_replace(true);
    let farewell = async {
        server.await.map_err(PublisherError::Serve)?;
        // Every connection holds a receiver.
        stop.closed().await;
        Ok(())
    };
    timeout(STOP_MAX, farewell).await.unwrap_or_else(|_| {
        tracing::warn!("clients are still connected at the end of the stop deadline");
        Ok(())
    })
}

async fn stopped(is_stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is a stop as well.
    drop(is_stopping.wait_for(|&is_stopping| is_stopping).await);
}
