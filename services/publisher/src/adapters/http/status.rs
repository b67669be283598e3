use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use schemas::{EventTime, Timeframe};
use serde::Serialize;

use super::super::cache::TableCache;
use super::App;
use crate::board::DataKind;
use crate::snapshot::Snapshot;

/// How the publisher is doing.
#[derive(Serialize, JsonSchema)]
pub(super) struct StatusAnswer<'a> {
    data: DataKind,
    /// Of the newest results.
    source: Option<&'a str>,
    /// All that were seen.
    sources: Vec<&'a str>,
    /// Names this run; numbers of updates count within it.
    epoch: &'a str,
    /// Number of the newest update.
    seq: u64,
    rows: usize,
    /// Rows that stand on the newest bar.
    rows_live: usize,
    /// The bar of the newest row.
    as_of: Option<&'a str>,
    /// No bar before it is expected any more.
    watermark: Option<String>,
    newest_event_time: Option<String>,
    /// How long the newest result took from the bar's arrival to its fan-out.
    lag_ms: Option<i64>,
    /// How long the last burst took, from the arrival of its first bar to the fan-out of its last result.
    burst_ms: Option<f64>,
    burst_results: Option<u64>,
    clients: i64,
    rows_from: RowsFrom,
    cache: CacheStatus,
    version: &'static str,
}

/// Where the rows come from.
#[derive(Serialize, JsonSchema)]
struct RowsFrom {
    origin: Origin,
    /// Rows that only the shared cache vouches for.
    cached: usize,
    /// How long ago the shared table that was taken in at the start had been written; `null` when none was.
    age_ms: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Origin {
    /// The scores on the bus, as everything does in the end.
    Scores,
    /// The table that another publisher shared, until this one has caught up.
    Cache,
}

/// The latest table as it is kept for its readers.
#[derive(Serialize, JsonSchema)]
struct CacheStatus {
    /// `memory`, or `redis` where publishers share the table.
    kind: &'static str,
    /// Of the table's bytes; another one is refused.
    schema: u64,
    /// Reads of the whole table that found it ranked, of all reads; `null` before the first.
    hit_rate: Option<f64>,
    hits: u64,
    misses: u64,
    /// Rows as JSON in memory.
    bytes: usize,
    /// `null` where nothing is shared.
    shared: Option<SharedStatus>,
}

#[derive(Serialize, JsonSchema)]
struct SharedStatus {
    /// Whether it answered last time; `null` before the first time.
    is_reachable: Option<bool>,
    key: String,
    /// How long it lives after the last publisher that renewed it.
    ttl_ms: u64,
    /// As it was written; `null` before.
    bytes: Option<u64>,
    /// How long ago that was.
    written_ms: Option<i64>,
    failures: u64,
}

impl RowsFrom {
    fn of(app: &App) -> Self {
        let (cached, age_ms) = (app.hub.n_cached(), app.cache.loaded_age_ms(app.hub.now()));
        let origin = if cached > 0 { Origin::Cache } else { Origin::Scores };
        Self { origin, cached, age_ms }
    }
}

impl CacheStatus {
    fn of(app: &App, snapshot: &Snapshot) -> Self {
        let metrics = app.hub.metrics();
        let (hits, misses) = (metrics.table_hits.get(), metrics.table_misses.get());
        Self {
            kind: app.cache.kind(),
            schema: TableCache::LAYOUT,
            hit_rate: (hits + misses > 0).then(|| hits as f64 / (hits + misses) as f64),
            hits,
            misses,
            bytes: snapshot.rows().iter().map(|row| row.json.len()).sum(),
            shared: app.cache.shared().map(|shared| SharedStatus {
                is_reachable: shared.is_reachable(),
                key: shared.key().to_owned(),
                ttl_ms: shared.ttl_ms(),
                bytes: shared.n_bytes(),
                written_ms: shared.written_age_ms(app.hub.now()),
                failures: metrics.cache_failures.get(),
            }),
        }
    }
}

/// How new the table is, and how long the last results took.
#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "operation",
    responses(
        (status = 200, description = "The status.", body = ref("#/components/schemas/StatusAnswer")),
        (status = 429, description = "Too many requests from this address.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
    )
)]
pub(super) async fn status(State(app): State<App>) -> impl IntoResponse {
    let snapshot = app.hub.glance();
    let text = |time: Option<EventTime>| time.map(|time| time.display(Timeframe::M1));
    let burst = app.hub.last_burst();
    let answer = StatusAnswer {
        data: snapshot.data,
        source: Some(&*snapshot.source).filter(|source| !source.is_empty()),
        sources: snapshot.sources.iter().map(|source| &**source).collect(),
        epoch: app.hub.epoch(),
        seq: snapshot.u,
        rows: snapshot.rows().len(),
        rows_live: snapshot.n_live(),
        as_of: snapshot.as_of(),
        watermark: text(snapshot.watermark),
        newest_event_time: text(snapshot.newest_event_time),
        lag_ms: app.hub.lag_ms(),
        burst_ms: burst.map(|burst| burst.ms),
        burst_results: burst.map(|burst| burst.n_results),
        clients: app.hub.n_clients(),
        rows_from: RowsFrom::of(&app),
        cache: CacheStatus::of(&app, &snapshot),
        version: env!("CARGO_PKG_VERSION"),
    };
    Json(answer).into_response()
}
