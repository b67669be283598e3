use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::hub::Hub;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over from a request.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Numbers the requests of this run.
#[derive(Debug, Clone)]
pub(super) struct RequestIds {
    hub: Hub,
    n_requests: Arc<AtomicU64>,
}

impl RequestIds {
    pub(super) fn new(hub: Hub) -> Self {
        Self { hub, n_requests: Arc::default() }
    }
}

/// Every answer names its request: with the id that came along, or with one of our own.
pub(super) async fn with_request_id(State(ids): State<RequestIds>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(REQUEST_ID)
        .filter(|id| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic));
    let id = given.cloned().unwrap_or_else(|| {
        let n = ids.n_requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{n}", ids.hub.epoch());
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from(n))
    });
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}
