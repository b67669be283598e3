use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use schemas::{EventTime, Timeframe};
use serde::Serialize;

use super::App;
use crate::board::DataKind;

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
    version: &'static str,
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
    let snapshot = app.hub.snapshot();
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
        version: env!("CARGO_PKG_VERSION"),
    };
    Json(answer).into_response()
}
