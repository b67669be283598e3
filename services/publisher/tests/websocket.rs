//! The WebSocket protocol over real sockets.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::time::Duration;

use futures_util::SinkExt as _;
use publisher::PublisherOptions;
use serde_json::json;
use support::{DEADLINE, Server, row};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// A row so long that few of them fill the buffers of a connection.
fn long_row(text: &str, merit: f64, open_time: i64) -> schemas::ResultRow {
    schemas::ResultRow { merit_summary: "x".repeat(4000), ..row(text, merit, open_time) }
}

#[tokio::test]
async fn greets_with_the_protocol_and_the_kind_of_data() {
    let mut server = Server::start().await;
    let greeting = server.connect_raw().await.event().await;
    let expected = json!({"ev": "status", "status": "connected", "proto": 1, "epoch": "k3f9", "hb_ms": 5000,
                          "auth": "none", "data": "none"});
    assert_eq!(greeting, expected);
    server.publish(vec![row("A", 1.0, 1)]);
    assert_eq!(server.connect_raw().await.event().await["data"], "synthetic");
}

#[tokio::test]
async fn echoes_only_a_subprotocol_that_it_speaks() {
    let server = Server::start().await;
    let handshake = |changes: &str| {
        format!(
            "GET /ws HTTP/1.1\r\nhost: localhost\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{changes}\r\n\r\n"
        )
    };
    let upgrade = "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-version: 13";
    for (offered, is_echoed) in [("other, technic.v1.json", true), ("other", false)] {
        let request = handshake(&format!("{upgrade}\r\nsec-websocket-protocol: {offered}"));
        let head = head_of(&server, &request).await;
        assert!(
            head.starts_with("http/1.1 101") && head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=")
        );
        assert_eq!(head.contains("sec-websocket-protocol: technic.v1.json"), is_echoed, "{head}");
    }
    for (changes, status) in [
        ("connection: close", 426),
        ("connection: close, upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 8", 426),
    ] {
        let answer = server.request(&handshake(changes)).await;
        assert_eq!((answer.status, &answer.json()["status"]), (status, &status.into()));
        assert!(answer.head.contains("sec-websocket-version: 13"));
    }
}

/// The head of the answer to a request that keeps the connection open, in lower case.
async fn head_of(server: &Server, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(DEADLINE, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn one_more_connection_than_allowed_is_refused() {
    let server = Server::start_with(PublisherOptions { connections_max: 1, ..PublisherOptions::default() }).await;
    let first = server.connect().await;
    let request = "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(server.request(request).await.status, 503);
    drop(first);
    server.until_metric("technic_publisher_clients", 0.0).await;
    server.connect().await;
}

#[tokio::test]
async fn sends_a_snapshot_in_pages_then_deltas_and_removals() {
    let mut server = Server::start().await;
    for n in 0..3 {
        server.publish((0..200).map(|i| row(&format!("S{n}{i:03}"), f64::from(i % 97), 1)).collect());
    }
    let mut client = server.connect().await;
    let answer = client.subscribe("SC.*").await;
    assert_eq!((&answer["subs"], &answer["recovered"]), (&json!(["SC.*"]), &false.into()));
    let first = client.event().await;
    assert_eq!((&first["u"], &first["data"], &first["ch"]), (&600.into(), &"synthetic".into(), &"SC".into()));
    assert_eq!((&first["rows"][0]["merit"], &first["rows"][0]["symbol"]), (&96.0.into(), &"S0096".into()));
    client.mirror.take(&first);
    let mut n_pages = 1;
    while !client.mirror.is_complete {
        let page = client.event().await;
        // A page is bounded, so that a client that does not read costs little.
        assert!(page.to_string().len() < 200 << 10, "{}", page.to_string().len());
        client.mirror.take(&page);
        n_pages += 1;
    }
    assert!(n_pages > 2 && client.mirror.rows.len() == 600);

    server.publish(vec![row("NEW", 5.0, 2), row("S0000", 6.0, 2)]);
    let events = client.events().await;
    assert_eq!(events[0], json!({"ev": "seq", "ch": "SC", "U": 601, "u": 602, "merged": 0}));
    assert_eq!((&events[1]["ev"], &events[1]["sym"]), (&"SC".into(), &"NEW".into()));
    client.mirror.take_all(&events);
    server.remove("NEW");
    let events = client.events().await;
    assert_eq!(events[1], json!({"ev": "out", "ch": "SC", "sym": "NEW"}));
    client.mirror.take_all(&events);
    client.mirror.check_equals(&server.hub);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn snapshot_and_deltas_join_exactly_while_the_table_changes() {
    const N_ROUNDS: i64 = 400;
    let mut server = Server::start().await;
    server.publish((0..700).map(|i| row(&format!("S{i}"), 50.0, 0)).collect());
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(server.connect().await);
    }
    let (done, is_done) = tokio::sync::watch::channel(None);
    let mut following = Vec::new();
    for (n, mut client) in clients.into_iter().enumerate() {
        let mut is_done = is_done.clone();
        following.push(tokio::spawn(async move {
            for _ in 0..=n {
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
            client.subscribe("SC.*").await;
            client.follow(0).await;
            let mut last = None;
            while last.is_none_or(|u| client.mirror.u < u) {
                tokio::select! {
                    Ok(()) = is_done.changed() => last = *is_done.borrow(),
                    events = client.events() => client.mirror.take_all(&events),
                }
            }
            client
        }));
    }
    for round in 1..=N_ROUNDS {
        let rows = (0..5).map(|i| (round * 31 + i * 7) % 700);
        let rows = rows.map(|i| row(&format!("S{i}"), f64::from((round % 90) as i32), round)).collect();
        let leaving = format!("S{}", (round * 13) % 700);
        let removed: &[&str] = if round % 5 == 0 { &[&leaving] } else { &[] };
        let updates = server.score(rows, removed);
        // Whoever subscribes here has updates in its snapshot that are not fanned out yet.
        tokio::task::yield_now().await;
        if round % 3 == 0 {
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
        server.hub.apply(&updates);
    }
    done.send_replace(Some(server.hub.snapshot().u));
    for client in following {
        let client = timeout(DEADLINE, client).await.unwrap().unwrap();
        client.mirror.check_equals(&server.hub);
        assert_eq!(client.mirror.n_gaps, 0);
        assert!(client.mirror.n_deltas > 0);
    }
}

#[tokio::test]
async fn a_subscription_by_symbol_gets_only_that_and_still_counts_the_rest() {
    let options = PublisherOptions { heartbeat: Duration::from_millis(200), ..PublisherOptions::default() };
    let mut server = Server::start_with(options).await;
    server.publish(vec![row("A", 1.0, 1), row("BRK.B", 2.0, 1), row("C", 3.0, 1)]);
    let mut client = server.connect().await;
    client.subscribe("SC.BRK.B,SC.C,SC.NONE").await;
    client.follow(3).await;
    assert_eq!(client.mirror.rows.keys().collect::<Vec<_>>(), ["BRK.B", "C"]);
    for n in 0..5 {
        server.publish(vec![row("A", 10.0 + f64::from(n), 2)]);
    }
    server.publish(vec![row("C", 4.0, 2)]);
    let events = client.events().await;
    assert_eq!(events[0], json!({"ev": "seq", "ch": "SC", "U": 4, "u": 9, "merged": 0}));
    assert_eq!((events.len(), &events[1]["sym"]), (2, &"C".into()));
    client.mirror.take_all(&events);

    server.publish(vec![row("A", 99.0, 2)]);
    client.follow(10).await; // the heartbeat tells of it
    client.send(r#"{"action":"unsubscribe","params":"SC.C,SC.NONE"}"#).await;
    let answer = loop {
        let event = client.event().await;
        if event["ev"] == "status" {
            break event;
        }
    };
    assert_eq!((&answer["subs"], answer.get("id")), (&json!(["SC.BRK.B"]), None));
}

#[tokio::test]
async fn without_a_snapshot_the_answer_says_where_the_deltas_begin() {
    let mut server = Server::start().await;
    server.publish(vec![row("A", 1.0, 1), row("B", 2.0, 1)]);
    let mut client = server.connect().await;
    client.send(r#"{"action":"subscribe","id":"x","params":"SC.*","snapshot":false}"#).await;
    let answer = client.event().await;
    assert_eq!((&answer["seq"], &answer["id"]), (&json!({"SC": 2}), &"x".into()));
    server.publish(vec![row("A", 3.0, 2)]);
    assert_eq!(client.events().await[0]["U"], 3);
    client.send(r#"{"action":"ping","id":9}"#).await;
    assert_eq!(client.event().await, json!({"ev": "status", "status": "pong", "id": 9}));
}

#[tokio::test]
async fn a_heartbeat_counts_and_says_where_the_channel_stands() {
    let options = PublisherOptions { heartbeat: Duration::from_millis(20), ..PublisherOptions::default() };
    let mut server = Server::start_with(options).await;
    let mut client = server.connect().await;
    let first = client.event().await;
    assert_eq!((&first["ev"], &first["n"], &first["seq"]), (&"hb".into(), &1.into(), &json!({})));
    assert_eq!(first["lag_ms"], json!(null));
    server.publish(vec![row("A", 1.0, 1)]);
    client.send(r#"{"action":"subscribe","params":"SC.*"}"#).await;
    let mut n = 1;
    loop {
        for event in client.events().await.into_iter().filter(|event| event["ev"] == "hb") {
            n += 1;
            assert_eq!(event["n"], n);
            if event["seq"]["SC"] == 1 {
                assert!(event["lag_ms"].as_i64().is_some() && event["ts"].as_i64().is_some());
                return;
            }
        }
    }
}

/// The tick grows with the number of clients: alone, a client gets every update at once.
#[tokio::test]
async fn one_update_leaves_at_once_and_many_share_a_flush_per_tick() {
    const N_OTHERS: usize = 300;
    const TICK_MS: u128 = 3;
    let mut server = Server::start().await;
    server.publish(vec![row("A", 0.0, 0)]);
    let mut client = server.connect().await;
    client.subscribe("SC.*").await;
    client.follow(1).await;
    for n in 2..=9_u32 {
        let published = Instant::now();
        server.publish(vec![row("A", f64::from(n), i64::from(n))]);
        client.follow(n.into()).await;
        assert!(published.elapsed() < Duration::from_millis(9), "{:?}", published.elapsed());
    }

    let mut others = Vec::new();
    for _ in 0..N_OTHERS {
        others.push(server.connect().await);
    }
    server.publish(vec![row("A", 10.0, 10)]);
    client.follow(10).await;
    let started = Instant::now();
    for n in 11..=90 {
        server.publish(vec![row("A", f64::from(n), i64::from(n))]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let n_ticks = started.elapsed().as_millis() / TICK_MS + 2;
    let mut n_frames = 0;
    while client.mirror.u < 90 {
        let events = client.events().await;
        client.mirror.take_all(&events);
        n_frames += 1;
    }
    assert!(n_frames <= n_ticks, "{n_frames} frames in {n_ticks} ticks");
    // The newest of each tick; the others count as merged.
    assert!(client.mirror.n_merged > 0);
    assert_eq!(client.mirror.n_deltas as u64 + client.mirror.n_merged, 89);
}

#[tokio::test]
async fn errors_have_codes_and_the_connection_lives_on() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let many: Vec<_> = (0..=1000).map(|n| format!("SC.S{n}")).collect();
    let many = format!(r#"{{"action":"subscribe","id":8,"params":"{}"}}"#, many.join(","));
    for (text, code, id) in [
        ("{", 400, None),
        (r#"{"action":"dance","id":8}"#, 405, Some(8)),
        (r#"{"action":"subscribe","id":8,"params":"XX.*"}"#, 404, Some(8)),
        (r#"{"action":"subscribe","id":8}"#, 400, Some(8)),
        (&many, 429, Some(8)),
    ] {
        client.send(text).await;
        let event = client.event().await;
        assert_eq!((&event["ev"], &event["code"]), (&"error".into(), &code.into()), "{text}");
        assert_eq!(event.get("id").and_then(serde_json::Value::as_i64), id, "{text}");
    }
    client.socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.event().await["code"], 400);
    assert_eq!(client.subscribe("SC.A").await["subs"], json!(["SC.A"]));
}

#[tokio::test]
async fn a_message_that_is_too_large_or_no_utf8_closes_with_its_code() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(&"x".repeat(1 << 20)).await;
    assert_eq!(client.event().await["code"], 413);
    assert_eq!(u16::from(client.close_frame().await.code), 1009);

    let mut client = server.connect().await;
    let frame = Frame::message(vec![b'"', 0xff, b'"'], OpCode::Data(Data::Text), true);
    client.socket.send(Message::Frame(frame)).await.unwrap();
    assert_eq!(client.event().await["code"], 400);
    assert_eq!(u16::from(client.close_frame().await.code), 1007);
    server.until_metric("technic_publisher_clients", 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_fell_behind_recovers_by_a_snapshot() {
    // It is slow, not gone, however long the machine takes to make the updates.
    let options = PublisherOptions { write_stall_max: DEADLINE, ..PublisherOptions::default() };
    let mut server = Server::start_with(options).await;
    server.publish((0..40).map(|i| long_row(&format!("S{i}"), 1.0, 0)).collect());
    let mut client = server.connect().await;
    client.subscribe("SC.*").await;
    client.follow(40).await;
    // More than the connection's buffers and the retained events hold together.
    for round in 1..=600 {
        server.publish((0..40).map(|i| long_row(&format!("S{i}"), f64::from(round % 90), i64::from(round))).collect());
        tokio::task::yield_now().await;
    }
    client.follow(server.hub.snapshot().u).await;
    client.mirror.check_equals(&server.hub);
    assert!(client.mirror.n_gaps > 0);
    assert!(server.metric("technic_publisher_resyncs_total") > 0.5);
    server.publish(vec![row("S1", 99.0, 1000)]);
    client.follow(server.hub.snapshot().u).await;
    client.mirror.check_equals(&server.hub);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_client_is_dropped_and_delays_nobody() {
    let options = PublisherOptions { write_stall_max: Duration::from_secs(1), ..PublisherOptions::default() };
    let mut server = Server::start_with(options).await;
    server.publish((0..40).map(|i| long_row(&format!("S{i}"), 1.0, 0)).collect());
    let mut stuck = server.connect().await;
    stuck.subscribe("SC.*").await;
    let mut client = server.connect().await;
    client.subscribe("SC.*").await;
    for round in 1..=300 {
        server.publish((0..40).map(|i| long_row(&format!("S{i}"), f64::from(round % 90), i64::from(round))).collect());
        client.follow(server.hub.snapshot().u).await;
    }
    assert_eq!(client.mirror.n_gaps, 0);
    client.mirror.check_equals(&server.hub);
    server.until_metric("technic_publisher_slow_clients_dropped_total", 1.0).await;
    server.until_metric("technic_publisher_clients", 1.0).await;
}

#[tokio::test]
async fn a_stop_is_announced_and_closes_with_service_restart() {
    let mut server = Server::start().await;
    let mut clients = [server.connect().await, server.connect().await];
    clients[0].subscribe("SC.*").await;
    clients[0].follow(0).await;
    server.stop();
    for client in &mut clients {
        assert_eq!(client.event().await, json!({"ev": "status", "status": "restarting"}));
        assert_eq!(u16::from(client.close_frame().await.code), 1012);
    }
    drop(clients);
    server.stopped().await.unwrap();
}
