//! The table that publishers share, with a real Redis and real sockets.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/redis.rs"]
mod redis;
mod support;

use std::time::Duration;

use publisher::{PublisherOptions, TableCache};
use redis::RedisServer;
use runtime::cache::CacheKind;
use schemas::subject::Namespace;
use serde_json::{Value, json};
use support::{DEADLINE, Server, row};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

const REACHABLE: &str = "technic_publisher_cache_reachable";
const FAILURES: &str = "technic_publisher_cache_failures_total";

/// SHA-256 of `abc` and of `ops`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const OPS: &str = "a92c36e66a25ee99ff862faa8e87987be6c7cd13c3ee661c400a45b0f1e3b132";

fn cache(address: &str) -> TableCache {
    TableCache::open(&address.parse::<CacheKind>().unwrap(), &Namespace::Live, true)
}

/// A publisher that shares its table.
async fn sharing(epoch: &str, address: &str) -> (Server, JoinHandle<()>) {
    let cache = cache(address);
    let server = Server::start_cached(epoch, PublisherOptions::default(), cache.clone()).await;
    let hub = server.hub.clone();
    (server, tokio::spawn(async move { cache.keep(&hub).await }))
}

/// A publisher that starts beside the cache and has not caught up.
async fn started(epoch: &str, address: &str) -> (Server, TableCache) {
    let cache = cache(address);
    let server = Server::start_cached(epoch, PublisherOptions::default(), cache.clone()).await;
    cache.load(&server.hub).await;
    (server, cache)
}

async fn status(server: &Server) -> Value {
    server.get("/v1/status").await.json()
}

/// Waits until the status has what is asked for.
async fn until(server: &Server, holds: impl Fn(&Value) -> bool) -> Value {
    let waiting = async {
        loop {
            let status = status(server).await;
            if holds(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(DEADLINE, waiting).await.expect("the status becomes so")
}

fn is_written(status: &Value) -> bool {
    status["cache"]["shared"]["written_ms"].is_number()
}

/// The key of the shared table, once it is there.
async fn written(server: &Server) -> String {
    let status = until(server, is_written).await;
    status["cache"]["shared"]["key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_publisher_that_starts_answers_with_what_another_knew_and_goes_on_from_there() {
    let Some(redis) = RedisServer::start().await else { return };
    let (mut first, _) = sharing("first", &redis.address()).await;
    first.publish(vec![row("A", 80.0, 1), row("B", 70.0, 1), row("C", 60.0, 1), row("D", 50.0, 1)]);
    first.remove("D");
    first.publish(vec![row("E", 40.0, 1)]);
    written(&first).await;
    // Looking at the status is no read of the table.
    assert_eq!(status(&first).await["cache"]["hit_rate"], json!(null));
    for _ in 0..2 {
        assert_eq!(first.get("/v1/scan").await.status, 200);
    }
    let seen = status(&first).await;
    assert_eq!(seen["rows_from"], json!({"origin": "scores", "cached": 0, "age_ms": null}));
    assert_eq!((&seen["cache"]["kind"], &seen["cache"]["shared"]["is_reachable"]), (&"redis".into(), &true.into()));
    assert!(seen["cache"]["hit_rate"].as_f64().unwrap() > 0.0, "{seen}");
    assert!(seen["cache"]["shared"]["ttl_ms"].as_u64() > Some(0) && seen["cache"]["schema"].as_u64() > Some(0));
    let bytes = seen["cache"]["shared"]["bytes"].as_u64().unwrap();
    assert!(bytes > 4 * 200, "{seen}");

    // A second one, whose numbers begin anew.
    let (mut second, cache) = started("second", &redis.address()).await;
    let seen = status(&second).await;
    assert_eq!((&seen["rows_from"]["origin"], &seen["rows_from"]["cached"]), (&"cache".into(), &4.into()), "{seen}");
    assert!(seen["rows_from"]["age_ms"].is_number() && seen["epoch"] == "second", "{seen}");
    assert_eq!(seen["data"], "synthetic");
    let rows = |answer: support::Answer| answer.json()["results"].clone();
    let known = rows(first.get("/v1/scan").await);
    assert_eq!(rows(second.get("/v1/scan").await), known);
    assert_eq!(second.get("/v1/symbols/D").await.status, 404);

    // A client that began with the shared table sees one sequence until the publisher has caught up.
    let mut client = second.connect().await;
    client.subscribe("SC.*").await;
    client.follow(0).await;
    client.mirror.check_equals(&second.hub);
    // The scores repeat A as it is, move B, and take C away. Nobody speaks of E.
    second.publish(vec![row("A", 80.0, 1)]);
    second.publish(vec![row("B", 75.0, 2)]);
    second.publish(vec![row("B", 76.0, 3)]);
    second.remove("C");
    assert_eq!(status(&second).await["rows_from"]["origin"], "cache");
    cache.settle(&second.hub);
    let u = second.hub.snapshot().u;
    client.follow(u).await;
    client.mirror.check_equals(&second.hub);
    assert_eq!(client.mirror.n_gaps, 0);
    assert_eq!(client.mirror.rows.keys().collect::<Vec<_>>(), ["A", "B"]);
    let seen = status(&second).await;
    assert_eq!((&seen["rows_from"]["origin"], &seen["rows_from"]["cached"]), (&"scores".into(), &0.into()), "{seen}");
    assert_eq!(second.hub.row(support::symbol("B")).unwrap().result.merit.to_bits(), 76.0_f64.to_bits());
}

#[tokio::test]
async fn a_table_of_another_market_leaves_nothing_behind() {
    let Some(redis) = RedisServer::start().await else { return };
    let (mut first, _) = sharing("first", &redis.address()).await;
    first.publish(vec![row("A", 80.0, 1), row("B", 70.0, 1), row("C", 60.0, 1)]);
    first.remove("C");
    written(&first).await;
    let (second, cache) = started("second", &redis.address()).await;
    assert_eq!(second.hub.n_rows(), 2);
    // The bus knows nothing: it was made anew.
    cache.settle(&second.hub);
    let seen = status(&second).await;
    let nothing = ["rows", "source", "as_of", "newest_event_time", "data"].map(|field| seen[field].clone());
    assert_eq!(nothing, [json!(0), Value::Null, Value::Null, Value::Null, json!("none")]);
}

#[tokio::test]
async fn a_cache_that_dies_delays_nothing_and_is_filled_again_when_it_is_back() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let (mut server, _) = sharing("k", &redis.address()).await;
    server.publish(vec![row("A", 80.0, 1), row("B", 70.0, 1)]);
    let key = written(&server).await;
    redis.kill();
    server.publish(vec![row("A", 81.0, 2)]);
    server.until_metric(REACHABLE, 0.0).await;
    assert_eq!(status(&server).await["cache"]["shared"]["is_reachable"], false);
    let mut client = server.connect().await;
    client.subscribe("SC.*").await;
    let began = Instant::now();
    server.publish(vec![row("B", 71.0, 2)]);
    client.follow(server.hub.snapshot().u).await;
    assert_eq!(server.get("/v1/scan").await.symbols(), ["A", "B"]);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());

    // It comes back empty: everything is written, not only what changed.
    redis.run().await;
    server.until_metric(REACHABLE, 1.0).await;
    assert_eq!(redis.ask(&[b"HLEN", key.as_bytes()]).await, b"65");
    let (second, _) = started("second", &redis.address()).await;
    assert_eq!(second.get("/v1/scan").await.json()["results"], server.get("/v1/scan").await.json()["results"]);
}

#[tokio::test]
async fn without_a_cache_a_publisher_starts_at_once() {
    // A port that refuses, and one that takes the connection and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for address in [refusing, silent.local_addr().unwrap()] {
        let began = Instant::now();
        let (server, _) = started("k", &format!("redis://{address}")).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(server.get("/v1/scan").await.status, 200);
    }
}

#[tokio::test]
async fn what_is_not_ours_is_refused_and_makes_room() {
    let Some(redis) = RedisServer::start().await else { return };
    let (mut first, writing) = sharing("first", &redis.address()).await;
    first.publish(vec![row("A", 80.0, 1), row("B", 70.0, 1)]);
    let key = written(&first).await;
    writing.abort();
    let key = key.as_bytes();
    let sound = redis.ask(&[b"HGET", key, b"head"]).await;
    let of_a = schemas::Partition::of(support::symbol("A")).to_string();
    let mut other_layout = sound.clone();
    other_layout[12] ^= 1;
    let mut other_version = sound.clone();
    other_version[8] ^= 1;
    let mut flipped = sound.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let check = async |command: &[&[u8]]| {
        redis.ask(command).await;
        let (server, _) = started("k", &redis.address()).await;
        assert_eq!((server.hub.n_rows(), server.metric(FAILURES)), (0, 1.0), "{command:?}");
        redis.ask(&[b"DEL", key]).await;
    };
    for rubbish in [&b"rubbish"[..], &other_layout, &other_version, &flipped, &sound[..sound.len() - 1]] {
        check(&[b"HSET", key, b"head", rubbish]).await;
    }
    // Sound, but of another place, or not the whole.
    check(&[b"HSET", key, of_a.as_bytes(), &sound]).await;
    check(&[b"HSET", key, b"head", &sound]).await;
    check(&[b"SET", key, b"rubbish"]).await;

    // Whoever writes takes the place of a foreign value.
    redis.ask(&[b"SET", key, b"rubbish"]).await;
    let (mut third, _) = sharing("third", &redis.address()).await;
    third.publish(vec![row("A", 90.0, 1)]);
    until(&third, is_written).await;
    let (fourth, _) = started("fourth", &redis.address()).await;
    assert_eq!(fourth.get("/v1/scan").await.symbols(), ["A"]);
}

#[tokio::test]
async fn only_an_admin_clears_the_cache() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let cache = cache(&redis.address());
    let keys = vec![format!("desk:{ABC}"), format!("ops:admin:{OPS}")];
    let (desk, ops) = ("authorization: Bearer abc\r\n", "authorization: Bearer ops\r\n");
    let options = PublisherOptions { keys, ..PublisherOptions::default() };
    let mut server = Server::start_cached("k", options, cache.clone()).await;
    let hub = server.hub.clone();
    tokio::spawn(async move { cache.keep(&hub).await });
    server.publish(vec![row("A", 80.0, 1)]);
    let clear = async |headers: &str| {
        let head =
            "POST /v1/admin/cache/clear HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n";
        server.request(&format!("{head}{headers}\r\n")).await
    };
    let filled = async || {
        timeout(DEADLINE, async {
            while redis.ask(&[b"DBSIZE"]).await != b"1" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("the table is written");
    };
    filled().await;
    assert_eq!((clear("").await.status, clear(desk).await.status), (401, 403));
    assert_eq!(redis.ask(&[b"DBSIZE"]).await, b"1");
    assert_eq!(clear(ops).await.json(), json!({"shared": true}));
    assert_eq!(redis.ask(&[b"DBSIZE"]).await, b"0");
    assert_eq!(clear(ops).await.json(), json!({"shared": false}));
    let get = server.get_with("/v1/admin/cache/clear", ops).await;
    assert_eq!(get.status, 405);
    let scan = server.get_with("/v1/scan", desk).await;
    assert_eq!(scan.symbols(), ["A"], "the table itself is untouched");
    redis.kill();
    assert_eq!(clear(ops).await.status, 503);

    let open = Server::start().await;
    assert_eq!(open.post("/v1/admin/cache/clear", "").await.status, 403);
    assert_eq!(status(&open).await["cache"]["shared"], Value::Null);
}
