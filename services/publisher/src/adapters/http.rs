use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{FromRequestParts as _, Path, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemas::{EventTime, Market, ModelRef, Symbol, Timeframe};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::problem::Problem;
use super::{guard, handshake, page};
use crate::auth::Keys;
use crate::board::DataKind;
use crate::config::PublisherOptions;
use crate::hub::Hub;
use crate::limits::Shares;
use crate::snapshot::{SCAN_LIMIT_MAX, ScanQuery};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over from a request.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// What every handler works with.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) hub: Hub,
    pub(crate) options: Arc<PublisherOptions>,
    /// One permit per WebSocket connection.
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) is_stopping: watch::Receiver<bool>,
    pub(crate) keys: Keys,
    pub(crate) shares: Arc<Shares>,
    n_requests: Arc<AtomicU64>,
}

pub(crate) fn router(
    hub: Hub,
    keys: Keys,
    options: PublisherOptions,
    is_stopping: watch::Receiver<bool>,
    extra: Router,
) -> Router {
    let connections = Arc::new(Semaphore::new(options.connections_max));
    let app = App {
        hub,
        options: Arc::new(options),
        connections,
        is_stopping,
        keys,
        shares: Arc::default(),
        n_requests: Arc::default(),
    };
    Router::new()
        .route("/", get(page::page))
        .route("/ws", get(handshake::upgrade))
        .route("/v1/scan", get(scan))
        .route("/v1/regime", get(regime))
        .route("/v1/status", get(status))
        .route("/v1/symbols/{symbol}", get(symbol))
        .with_state(app.clone())
        .merge(extra.reset_fallback())
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the path does not take this method")
        })
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .layer(middleware::from_fn_with_state(app, with_request_id))
}

async fn with_request_id(State(app): State<App>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(REQUEST_ID)
        .filter(|id| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic));
    let id = given.cloned().unwrap_or_else(|| {
        let n = app.n_requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{n}", app.hub.epoch());
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from(n))
    });
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The answer to a scan, but for its results.
#[derive(Serialize)]
struct ScanHead<'a> {
    as_of: Option<&'a str>,
    universe: usize,
    scored: usize,
    matched: usize,
    elapsed_ms: f64,
    stage_ms: Empty,
    regime: Option<&'a Market>,
    models: &'a [ModelRef],
    data: DataKind,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct StatusAnswer<'a> {
    data: DataKind,
    source: Option<&'a str>,
    sources: Vec<&'a str>,
    epoch: &'a str,
    seq: u64,
    rows: usize,
    watermark: Option<String>,
    newest_event_time: Option<String>,
    lag_ms: Option<i64>,
    clients: i64,
}

async fn scan(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let query = scan_query(&pairs(request).await?)?;
    let started = app.hub.now();
    let snapshot = app.hub.snapshot();
    let scan = snapshot.scan(&query);
    let elapsed_us = (app.hub.now().as_ns() - started.as_ns()) / 1000;
    let head = ScanHead {
        as_of: snapshot.as_of(),
        universe: snapshot.n_symbols,
        scored: snapshot.rows().len(),
        matched: scan.n_matched,
        elapsed_ms: elapsed_us as f64 / 1000.0,
        stage_ms: Empty {},
        regime: snapshot.market.as_deref(),
        models: &snapshot.models,
        data: snapshot.data,
    };
    let mut json = serde_json::to_vec(&head).expect("the head serialises to JSON");
    json.pop();
    json.extend_from_slice(br#","results":["#);
    push_joined(&mut json, scan.rows.iter().map(|row| &row.json));
    json.extend_from_slice(b"]}");
    Ok(json_response(json))
}

async fn symbol(State(app): State<App>, Path(text): Path<String>) -> Result<Response, Problem> {
    let symbol = Symbol::new(&text).map_err(|error| Problem::parameter("symbol", error.to_string()))?;
    match app.hub.row(symbol) {
        Some(row) => Ok(json_response(row.json)),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("{symbol} has no result"))),
    }
}

async fn regime(State(app): State<App>) -> Result<Response, Problem> {
    let market = app.hub.snapshot().market.clone();
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "the regime is unknown: no closes of its index were read");
    market.map(|market| Json(&*market).into_response()).ok_or_else(unknown)
}

async fn status(State(app): State<App>) -> impl IntoResponse {
    let snapshot = app.hub.snapshot();
    let text = |time: Option<EventTime>| time.map(|time| time.display(Timeframe::M1));
    let answer = StatusAnswer {
        data: snapshot.data,
        source: Some(&*snapshot.source).filter(|source| !source.is_empty()),
        sources: snapshot.sources.iter().map(|source| &**source).collect(),
        epoch: app.hub.epoch(),
        seq: snapshot.u,
        rows: snapshot.rows().len(),
        watermark: text(snapshot.watermark),
        newest_event_time: text(snapshot.newest_event_time),
        lag_ms: app.hub.lag_ms(),
        clients: app.hub.n_clients(),
    };
    Json(answer).into_response()
}

/// Appends values that are JSON already, with commas between them.
fn push_joined<'a>(json: &mut Vec<u8>, values: impl Iterator<Item = &'a bytes::Bytes>) {
    for (n, value) in values.enumerate() {
        if n > 0 {
            json.push(b',');
        }
        json.extend_from_slice(value);
    }
}

fn json_response(json: impl Into<axum::body::Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json.into()).into_response()
}

async fn pairs(request: Request) -> Result<Vec<(String, String)>, Problem> {
    let (mut parts, _) = request.into_parts();
    match Query::from_request_parts(&mut parts, &()).await {
        Ok(Query(pairs)) => Ok(pairs),
        Err(rejection) => Err(Problem::new(StatusCode::BAD_REQUEST, rejection.body_text())),
    }
}

fn scan_query(pairs: &[(String, String)]) -> Result<ScanQuery, Problem> {
    let mut query = ScanQuery::default();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in pairs {
        let is_list = matches!(name.as_str(), "sector" | "sectors" | "band" | "signal" | "symbols");
        if !is_list && seen.contains(&name.as_str()) {
            return Err(Problem::parameter(name, "it is there twice"));
        }
        seen.push(name);
        let items = || value.split(',').map(str::trim).filter(|item| !item.is_empty());
        match name.as_str() {
            "limit" => query.limit = number(name, value, 1, SCAN_LIMIT_MAX)?,
            "offset" => query.offset = number(name, value, 0, usize::MAX)?,
            "min_merit" => query.min_merit = Some(merit(name, value)?),
            "sector" => query.sectors.push(value.trim().to_owned()),
            "sectors" => query.sectors.extend(items().map(str::to_owned)),
            // In a query `+` means a space, so an unescaped `A+` arrives as `A `.
            "band" => query.bands.extend(value.split(',').map(|band| band.replace(' ', "+"))),
            "signal" => query.signals.extend(items().map(str::to_owned)),
            "profile" => query.profile = profile(name, value)?,
            "symbols" => {
                for item in items() {
                    let symbol = item.parse().map_err(|error| Problem::parameter(name, format!("{error}")))?;
                    query.symbols.push(symbol);
                }
            }
            _ => return Err(Problem::parameter(name, "there is no such parameter")),
        }
        if is_list && value.trim().is_empty() {
            return Err(Problem::parameter(name, "it is empty"));
        }
    }
    Ok(query)
}

fn number(name: &str, value: &str, min: usize, max: usize) -> Result<usize, Problem> {
    let number = value.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| Problem::parameter(name, format!("`{}` is no number from {min} to {max}", excerpt(value))))
}

fn merit(name: &str, value: &str) -> Result<f64, Problem> {
    let merit = value.parse().ok().filter(|merit| (0.0..=100.0).contains(merit));
    merit.ok_or_else(|| Problem::parameter(name, format!("`{}` is no number from 0 to 100", excerpt(value))))
}

/// `None` shows every row.
fn profile(name: &str, value: &str) -> Result<Option<String>, Problem> {
    match value {
        "none" => Ok(None),
        "moderate" => Ok(Some("balanced".to_owned())),
        "conservative" | "balanced" | "aggressive" => Ok(Some(value.to_owned())),
        _ => {
            let value = excerpt(value);
            Err(Problem::parameter(name, format!("`{value}` is none of conservative, balanced, aggressive, none")))
        }
    }
}

fn excerpt(value: &str) -> String {
    value.chars().take(64).collect()
}
