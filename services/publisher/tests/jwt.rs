//! JSON Web Tokens over real sockets: who is let in, why not, and for how long.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::time::Duration;

use publisher::{JwtOptions, JwtSecret, PublisherOptions};
use ring::hmac;
use runtime::clock;
use serde_json::{Value, json};
use support::{Server, row};
use tokio::time::Instant;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Made with Python's hmac and SECRET: ann, of `technic`, until the year 3000, who may read and is an admin.
const ANN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJhdWQiOiJ0ZWNobmljIiwiZXhwIjozMjUwMzY4MDAwMCwic2NvcGUiOiJyZWFkIGFkbWluIn0.JYhKOdlYKa4Aj6RwoPX3fNXF0u3R5EV2kk6LqvCK8O8";
/// The same without a scope and until 2020.
const ANN_EXPIRED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJhdWQiOiJ0ZWNobmljIiwiZXhwIjoxNjAwMDAwMDAwfQ.xhLwtfNR7gNTmQB2GaXPEPgTovl-d3sY8RK-hv7vfCw";

/// SHA-256 of `abc`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn options() -> PublisherOptions {
    let jwt = JwtOptions { secret: Some(JwtSecret::new(SECRET)), ..JwtOptions::default() };
    PublisherOptions { jwt, ..PublisherOptions::default() }
}

fn now() -> i64 {
    clock::now_ns().as_ns() / 1_000_000_000
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        let digit = |n: usize| char::from(DIGITS[(bits >> (18 - 6 * n)) as usize & 63]);
        (0..=chunk.len()).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

fn signed(header: &Value, claims: &Value, secret: &str, algorithm: hmac::Algorithm) -> String {
    let message = [header, claims].map(|part| base64url(part.to_string().as_bytes())).join(".");
    let signature = hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), message.as_bytes());
    format!("{message}.{}", base64url(signature.as_ref()))
}

fn token(claims: &Value) -> String {
    signed(&json!({"alg": "HS256"}), claims, SECRET, hmac::HMAC_SHA256)
}

/// Every token that is refused, and what the refusal says.
fn refused() -> Vec<(String, &'static str)> {
    let sound = json!({"sub": "ann", "aud": "technic", "exp": now() + 600});
    let with = |key: &str, value: Value| {
        let mut claims = sound.clone();
        claims[key] = value;
        if claims[key].is_null() {
            claims.as_object_mut().unwrap().remove(key);
        }
        token(&claims)
    };
    let hs256 = json!({"alg": "HS256"});
    let unsigned = [&json!({"alg": "none"}), &sound].map(|part| base64url(part.to_string().as_bytes())).join(".");
    let other_body = format!("{}.{}.{}", part(ANN, 0), part(&token(&sound), 1), part(ANN, 2));
    vec![
        (ANN_EXPIRED.to_owned(), "expired"),
        (with("exp", json!(now() - 60)), "expired"),
        (with("exp", Value::Null), "`exp`"),
        (with("exp", json!("tomorrow")), "malformed"),
        (with("nbf", json!(now() + 60)), "not valid yet"),
        (with("nbf", json!("now")), "malformed"),
        (with("aud", json!("somebody")), "another audience"),
        (with("aud", Value::Null), "`aud`"),
        (with("sub", Value::Null), "`sub`"),
        (with("sub", json!("")), "`sub`"),
        (with("sub", json!("x".repeat(65))), "`sub`"),
        (with("scope", json!(["admin"])), "malformed"),
        (signed(&hs256, &sound, "another secret of more than 32 bytes", hmac::HMAC_SHA256), "signature"),
        (signed(&json!({"alg": "HS512"}), &sound, SECRET, hmac::HMAC_SHA512), "HS256"),
        (signed(&json!({"alg": "RS256"}), &sound, SECRET, hmac::HMAC_SHA256), "HS256"),
        (signed(&json!({"alg": "none"}), &sound, SECRET, hmac::HMAC_SHA256), "HS256"),
        (format!("{unsigned}."), "HS256"),
        (other_body, "signature"),
        (ANN[..ANN.len() - 3].to_owned(), "signature"),
        // A digit that has bits behind the last byte.
        (ANN[..ANN.len() - 2].to_owned(), "malformed"),
        (format!("{}.", ANN.rsplit_once('.').unwrap().0), "signature"),
        (ANN.rsplit_once('.').unwrap().0.to_owned(), "no token"),
        ("a.b.c".to_owned(), "malformed"),
        ("..".to_owned(), "malformed"),
        (ABC.to_owned(), "no token"),
    ]
}

fn part(token: &str, n: usize) -> &str {
    token.split('.').nth(n).unwrap()
}

#[tokio::test]
async fn a_token_lets_in_over_http_and_by_both_ways_over_websocket() {
    let mut server = Server::start_with(options()).await;
    server.publish(vec![row("A", 60.0, 1)]);
    assert_eq!(server.get("/v1/scan").await.status, 401);
    let bearer = format!("authorization: Bearer {ANN}\r\n");
    assert_eq!(server.get_with("/v1/scan", &bearer).await.symbols(), ["A"]);

    let greeted = json!({"ev": "status", "status": "authenticated", "key": "ann"});
    let authorization = [("authorization", Box::leak(format!("Bearer {ANN}").into_boxed_str()) as &'static str)];
    let mut client = server.connect_with(&authorization).await.unwrap();
    assert_eq!(client.event().await["auth"], "required");
    assert_eq!(client.event().await, greeted);
    client.subscribe("SC.*").await;

    let mut client = server.connect().await;
    let array = token(&json!({"sub": "ann", "aud": ["x", "technic"], "exp": now() + 60, "nbf": now() - 60}));
    client.send(&json!({"action": "auth", "params": array}).to_string()).await;
    assert_eq!(client.event().await, greeted);
    client.subscribe("SC.*").await;
}

#[tokio::test]
async fn every_other_token_is_refused_with_its_reason() {
    let server = Server::start_with(options()).await;
    for (token, reason) in refused() {
        let answer = server.get_with("/v1/scan", &format!("authorization: Bearer {token}\r\n")).await;
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(answer.status == 401 && detail.contains(reason), "{token}: {detail} instead of {reason}");

        let mut client = server.connect().await;
        client.send(&json!({"action": "auth", "id": 1, "params": token}).to_string()).await;
        let error = client.event().await;
        assert_eq!((&error["ev"], &error["code"], &error["id"]), (&"error".into(), &401.into(), &1.into()), "{error}");
        assert_eq!(error["msg"], detail);
        let frame = client.close_frame().await;
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4401, detail.as_str()));
    }
}

#[tokio::test]
async fn a_token_that_expires_closes_its_connection_unless_another_one_follows() {
    let server = Server::start_with(options()).await;
    // Five seconds are granted to clocks that differ, and these are all but gone.
    let brief = || token(&json!({"sub": "ann", "aud": "technic", "exp": now() - 3}));
    let auth = |token: String| json!({"action": "auth", "params": token}).to_string();
    let (mut expiring, mut renewed) = (server.connect().await, server.connect().await);
    let began = Instant::now();
    for client in [&mut expiring, &mut renewed] {
        client.send(&auth(brief())).await;
        assert_eq!(client.event().await["status"], "authenticated");
        client.subscribe("SC.A").await;
    }
    renewed.send(&auth(ANN.to_owned())).await;
    let error = loop {
        let events = expiring.events().await;
        if let Some(error) = events.into_iter().find(|event| event["ev"] == "error") {
            break error;
        }
    };
    assert_eq!((&error["code"], &error["msg"]), (&401.into(), &"the token has expired".into()));
    let frame = expiring.close_frame().await;
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4401, "the token has expired"));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // The other one is served on.
    renewed.send(r#"{"action":"ping","id":9}"#).await;
    loop {
        let events = renewed.events().await;
        assert!(events.iter().all(|event| event["ev"] != "error"), "{events:?}");
        if events.iter().any(|event| event["status"] == "pong") {
            break;
        }
    }
}

#[tokio::test]
async fn the_scope_makes_an_admin_and_keys_are_let_in_beside_tokens() {
    let server = Server::start_with(PublisherOptions { keys: vec![format!("desk:{ABC}")], ..options() }).await;
    let clear = async |secret: &str| {
        let head =
            "POST /v1/admin/cache/clear HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n";
        server.request(&format!("{head}authorization: Bearer {secret}\r\n\r\n")).await.status
    };
    let scoped = |scope: &str| token(&json!({"sub": "bob", "aud": "technic", "exp": now() + 60, "scope": scope}));
    assert_eq!(clear(ANN).await, 200);
    assert_eq!((clear(&scoped("read")).await, clear(&scoped("administrator")).await), (403, 403));
    assert_eq!((clear("abc").await, clear("abcd").await), (403, 401));
    assert_eq!(server.get_with("/v1/scan", "authorization: Bearer abc\r\n").await.status, 200);
}

#[tokio::test]
async fn the_secret_may_lie_in_a_file() {
    let folder = std::env::temp_dir().join(format!("technic-jwt-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let secret_file = folder.join("secret");
    std::fs::write(&secret_file, format!("{SECRET}\n")).unwrap();
    let jwt = JwtOptions { secret_file: Some(secret_file), ..JwtOptions::default() };
    let server = Server::start_with(PublisherOptions { jwt, ..PublisherOptions::default() }).await;
    assert_eq!(server.get_with("/v1/scan", &format!("authorization: Bearer {ANN}\r\n")).await.status, 200);
    std::fs::remove_dir_all(&folder).unwrap();
}
