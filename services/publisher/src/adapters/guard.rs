use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::http::App;
use super::problem::Problem;
use crate::auth::Refused;

/// Where a key is needed, if there are keys. WebSocket connections authenticate themselves.
const GUARDED: &str = "/v1/";

/// Lets only requests with a known key through. Whose it is, is in the request's extensions as an `Identity`.
pub(super) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if app.keys.are_required() && request.uri().path().starts_with(GUARDED) {
        let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let needed = Refused("a key is needed: `authorization: Bearer <key>`");
        match authorization.ok_or(needed).and_then(|authorization| app.keys.identify_bearer(authorization)) {
            Ok(identity) => drop(request.extensions_mut().insert(identity)),
            Err(Refused(reason)) => {
                let problem = Problem::new(StatusCode::UNAUTHORIZED, reason);
                let challenge = (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                return ([challenge], problem).into_response();
            }
        }
    }
    next.run(request).await
}
