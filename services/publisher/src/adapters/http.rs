mod admin;
pub(super) mod answer;
mod documents;
mod fields;
mod limits;
mod market;
mod portfolio;
mod request_id;
mod scan;
mod scan_request;
mod status;
mod symbols;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware;
use axum::routing::get;
use tokio::sync::{Semaphore, watch};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cache::TableCache;
use super::problem::Problem;
use super::{guard, handshake, page};
use crate::auth::Keys;
use crate::config::PublisherOptions;
use crate::history::History;
use crate::hub::Hub;
use crate::limits::Shares;

pub(crate) use documents::openapi_json;

/// What every handler works with.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) hub: Hub,
    pub(crate) history: History,
    pub(crate) options: Arc<PublisherOptions>,
    /// One permit per WebSocket connection.
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) is_stopping: watch::Receiver<bool>,
    pub(crate) keys: Keys,
    pub(crate) shares: Arc<Shares>,
    pub(crate) cache: TableCache,
}

pub(crate) fn router(
    hub: Hub,
    history: History,
    keys: Keys,
    options: PublisherOptions,
    cache: TableCache,
    is_stopping: watch::Receiver<bool>,
    extra: Router,
) -> Router {
    let connections = Arc::new(Semaphore::new(options.connections_max));
    let options = Arc::new(options);
    let app = App { hub, history, options, connections, is_stopping, keys, shares: Arc::default(), cache };
    let (rest, _) = rest().split_for_parts();
    let compress = CompressionLayer::new().quality(CompressionLevel::Fastest);
    let limits = limits::Limits::new(&app.options);
    let answers = rest
        .layer(middleware::from_fn_with_state(app.clone(), guard::loaded))
        .merge(page::router())
        .merge(documents::router())
        .layer(compress);
    let router = Router::new()
        .route("/ws", get(handshake::upgrade))
        .merge(answers)
        .with_state(app.clone())
        .merge(extra.reset_fallback())
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the path does not take this method")
        })
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        // Outside the guard: guesses at a key are requests, too.
        .layer(middleware::from_fn_with_state(limits, limits::limit))
        .layer(middleware::from_fn_with_state(app.clone(), guard::local));
    let router = match cors(&app.options.cors_origins) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router.layer(middleware::from_fn_with_state(request_id::RequestIds::new(app.hub), request_id::with_request_id))
}

/// The documented routes.
pub(crate) fn rest() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(scan::scan, scan::scan_by_body))
        .routes(routes!(portfolio::portfolio))
        .routes(routes!(symbols::symbol))
        .routes(routes!(market::universe))
        .routes(routes!(market::regime))
        .routes(routes!(market::models))
        .routes(routes!(status::status))
        .routes(routes!(admin::clear_cache))
}

/// `None` when no other origin may read the answers, which is the default.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    let allowed = match origins {
        [] => return None,
        [any] if any == "*" => AllowOrigin::any(),
        // Checked with the options.
        origins => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok())),
    };
    let exposed = ["etag", "link", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id"];
    Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_NONE_MATCH, request_id::REQUEST_ID])
            .expose_headers(exposed.map(HeaderName::from_static)),
    )
}
