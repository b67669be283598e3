use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::http::App;
use super::problem::Problem;
use crate::auth::Refused;

/// Answers that say how the publisher itself is; they need no table.
const ABOUT_ITSELF: [&str; 2] = ["/v1/status", "/v1/admin/"];

/// Where a key is needed, if there are keys. WebSocket connections authenticate themselves.
const GUARDED: [&str; 2] = ["/v1/", "/metrics"];

/// Lets only requests with a known key through. Whose it is, is in the request's extensions as an `Identity`.
pub(super) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if app.keys.are_required() && is_under(&request, &GUARDED) {
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

/// Without keys, only pages and programs of this machine are answered. A browser there would read the table for any page
/// that it shows: one that names itself this machine in the name service, or one that opens a WebSocket from elsewhere.
/// Both are let in by `cors_origins`.
pub(super) async fn local(State(app): State<App>, request: Request, next: Next) -> Response {
    if !app.keys.are_required()
        && let Err(detail) = check_local(request.headers(), &app.options.cors_origins)
    {
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    next.run(request).await
}

/// An empty table is no answer while the rows of before are being read.
pub(super) async fn loaded(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.hub.is_loading() && !is_under(&request, &ABOUT_ITSELF) {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the table is being read, ask again in a second");
        return ([(header::RETRY_AFTER, HeaderValue::from_static("1"))], problem).into_response();
    }
    next.run(request).await
}

fn is_under(request: &Request, paths: &[&str]) -> bool {
    paths.iter().any(|path| request.uri().path().starts_with(path))
}

fn check_local(headers: &HeaderMap, origins: &[String]) -> Result<(), String> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_allowed = |host: &str| origins.iter().any(|origin| origin == "*" || authority(origin) == Some(host));
    let host = text(header::HOST);
    if let Some(host) = host
        && !is_this_machine(host)
        && !is_allowed(host)
    {
        return Err(format!("without keys only this machine is answered, and `{}` may be another", excerpt(host)));
    }
    if let Some(origin) = text(header::ORIGIN).filter(|_| headers.contains_key(header::UPGRADE))
        && authority(origin) != host
        && !authority(origin).is_some_and(is_allowed)
    {
        return Err(format!("`{}` is not among `publisher.cors_origins`", excerpt(origin)));
    }
    Ok(())
}

fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

/// `https://desk.example:8080` → `desk.example:8080`
fn authority(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| authority)
}

fn is_this_machine(host: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_other_pages_are_refused_unless_they_are_named() {
        let check = |host: &str, origin: Option<&str>, origins: &[&str], is_sound: bool| {
            let mut headers = HeaderMap::from_iter([
                (header::HOST, HeaderValue::try_from(host).unwrap()),
                (header::UPGRADE, HeaderValue::from_static("websocket")),
            ]);
            headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::try_from(origin).unwrap())));
            let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
            assert_eq!(check_local(&headers, &origins).is_ok(), is_sound, "{host} {origin:?} {origins:?}");
        };
        for host in ["127.0.0.1:8080", "127.0.0.9", "localhost:1", "LOCALHOST", "[::1]:8080", "[::1]"] {
            check(host, None, &[], true);
            check(host, Some(&format!("http://{host}")), &[], true);
            check(host, Some("https://evil.example"), &[], false);
            check(host, Some("null"), &[], false);
        }
        for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1:8080", ""] {
            check(host, None, &[], false);
            check(host, Some(&format!("http://{host}")), &[], false);
        }
        check("desk.example", Some("https://desk.example"), &["https://desk.example"], true);
        check("localhost:8080", Some("https://desk.example"), &["https://desk.example"], true);
        check("localhost:8080", Some("https://evil.example"), &["https://desk.example"], false);
        check("anything.example", Some("https://evil.example"), &["*"], true);
    }
}
