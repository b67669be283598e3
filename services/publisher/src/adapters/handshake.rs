use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::http::App;
use super::problem::Problem;
use super::websocket::Connection;
use crate::auth::Refused;
use crate::format::Format;

const WEBSOCKET_VERSION: &str = "13";

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
    let of = |offered: &str| Format::ALL.into_iter().find(|format| format.subprotocol() == offered);
    let format = header_tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL).find_map(of);
    let identity = match headers.get(header::AUTHORIZATION).filter(|_| app.keys.are_required()) {
        None => None,
        Some(authorization) => match app.keys.identify_bearer(authorization.to_str().unwrap_or_default()) {
            Err(Refused(reason)) => return Problem::new(StatusCode::UNAUTHORIZED, reason).into_response(),
            Ok(identity) => Some(identity),
        },
    };
    let Ok(permit) = Arc::clone(&app.connections).try_acquire_owned() else {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many WebSocket connections").into_response();
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => Connection::serve(upgraded, &app, format.unwrap_or(Format::Json), identity).await,
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
    if let Some(format) = format {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(format.subprotocol()));
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
