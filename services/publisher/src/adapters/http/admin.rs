use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::problem::Problem;
use super::App;
use crate::auth::Identity;

/// What was cleared.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ClearedAnswer {
    /// Whether a shared table was there; `null` where nothing is shared.
    shared: Option<bool>,
}

/// Forgets the table as it is kept for its readers, the shared one, too. The next reader and the next change make them
/// anew. Needs the key of an admin.
#[utoipa::path(
    post,
    path = "/v1/admin/cache/clear",
    tag = "operation",
    responses(
        (status = 200, description = "It is forgotten.", body = ref("#/components/schemas/ClearedAnswer")),
        (status = 401, description = "The key is missing or unknown.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 403, description = "The key is not that of an admin, or the server has no keys.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 429, description = "Too many requests from this address.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 503, description = "The shared cache does not answer.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
    )
)]
pub(super) async fn clear_cache(
    State(app): State<App>,
    identity: Option<Extension<Identity>>,
) -> Result<Json<ClearedAnswer>, Problem> {
    let forbidden = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, detail));
    match identity {
        None => return forbidden("this needs the key of an admin, and the server has no keys"),
        Some(Extension(identity)) if !identity.is_admin => return forbidden("this needs the key of an admin"),
        Some(Extension(identity)) => tracing::info!(key = &*identity.name, "cache cleared"),
    }
    app.hub.forget_ranked();
    match app.cache.clear().await {
        Ok(shared) => Ok(Json(ClearedAnswer { shared })),
        Err(error) => {
            tracing::warn!(error = super::super::cache::chain(&error), "shared cache not cleared");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the shared cache does not answer"))
        }
    }
}
