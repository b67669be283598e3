//! Clients that mean no good: each is answered or closed, and the others do not notice.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::time::Duration;

use futures_util::SinkExt as _;
use publisher::{Limits, PublisherOptions};
use support::{DEADLINE, Server, row};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Sends bytes after the handshake and reads until the server closes. Gives the last two bytes of its closing frame's
/// code, when there was one.
async fn closed_with(server: &Server, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("is closed in time").ok();
    // The closing frame is the last: 0x88, its length, the code.
    let at = answer.iter().rposition(|&byte| byte == 0x88)?;
    Some(u16::from_be_bytes([*answer.get(at + 2)?, *answer.get(at + 3)?]))
}

/// A text frame with a mask of zeros.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![head, 0x80 | 0x7e];
    frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[tokio::test]
async fn broken_frames_close_with_the_code_of_the_fault() {
    let server = Server::start().await;
    for (bytes, code) in [
        (frame(0x81, &[b'"', 0xc3, 0x28, b'"']), 1007),
        // A length of 2^40.
        (vec![0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
        // Not masked.
        (vec![0x81, 0x02, b'{', b'}'], 1002),
        // Reserved bits, an unknown operation, a fragmented ping, a continuation of nothing.
        (frame(0xf1, b"{}"), 1002),
        (frame(0x83, b"{}"), 1002),
        (frame(0x09, b"{}"), 1002),
        (frame(0x80, b"{}"), 1002),
    ] {
        assert_eq!(closed_with(&server, &bytes).await, Some(code), "{bytes:02x?}");
    }
    server.until_metric("technic_publisher_clients", 0.0).await;
}

#[tokio::test]
async fn half_a_frame_and_a_trickle_of_bytes_hold_no_place_for_long() {
    let options = PublisherOptions { heartbeat: Duration::from_millis(50), ..PublisherOptions::default() };
    let server = Server::start_with(options).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        stream.write_all(&frame(0x81, &[b' '; 1000])[..100]).await.unwrap();
        streams.push(stream);
    }
    server.until_metric("technic_publisher_clients", 20.0).await;
    let trickle = tokio::spawn(async move {
        loop {
            for stream in &mut streams {
                // Refused once the server has closed it.
                stream.write_all(b" ").await.ok();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    server.until_metric("technic_publisher_clients", 0.0).await;
    trickle.abort();
}

#[tokio::test]
async fn a_flood_of_messages_is_cut_off() {
    let limits = Limits { messages_per_second: 10, ..Limits::default() };
    let server = Server::start_with(PublisherOptions { limits, ..PublisherOptions::default() }).await;
    for message in [Message::text(r#"{"action":"ping"}"#), Message::Ping(vec![0; 100].into()), Message::text("rubbish")]
    {
        let mut client = server.connect().await;
        for _ in 0..60 {
            // The server may close meanwhile.
            client.socket.feed(message.clone()).await.ok();
        }
        client.socket.flush().await.ok();
        let code = loop {
            if let Message::Close(frame) = client.message().await {
                break u16::from(frame.unwrap().code);
            }
        };
        assert_eq!(code, 4429);
    }
}

#[tokio::test]
async fn a_bomb_of_subscriptions_is_refused_and_changes_nothing() {
    let mut server = Server::start().await;
    server.publish(vec![row("A", 1.0, 1)]);
    let mut client = server.connect().await;
    client.subscribe("SC.A").await;
    client.follow(1).await;
    let many: Vec<String> = (0..5000).map(|n| format!("AM.S{n}")).collect();
    client.send(&format!(r#"{{"action":"subscribe","params":"{}"}}"#, many.join(","))).await;
    assert_eq!(client.event().await["code"], 429);
    let nested = format!(r#"{{"action":"subscribe","params":{}1{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    client.send(&nested).await;
    assert_eq!(client.event().await["code"], 400);
    server.publish(vec![row("A", 2.0, 2)]);
    client.follow(2).await;
    client.mirror.check_equals(&server.hub);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_client_finds_the_exact_table_when_it_reads_again() {
    let options = PublisherOptions { write_stall_max: DEADLINE, ..PublisherOptions::default() };
    let mut server = Server::start_with(options).await;
    let long = |n: i32, round: i64| schemas::ResultRow {
        merit_summary: "x".repeat(4000),
        ..row(&format!("S{n}"), f64::from((n + i32::try_from(round).unwrap()) % 90), round)
    };
    server.publish((0..100).map(|n| long(n, 0)).collect());
    let mut client = server.connect().await;
    client.subscribe("SC.*").await;
    client.follow(100).await;
    for round in 1..=300 {
        server.publish((0..100).map(|n| long(n, round)).collect());
        if round % 100 == 0 {
            server.remove(&format!("S{}", round / 100));
        }
        tokio::task::yield_now().await;
    }
    client.follow(server.hub.snapshot().u).await;
    client.mirror.check_equals(&server.hub);
    assert!(client.mirror.n_gaps > 0);
}

#[tokio::test]
async fn who_sends_a_request_byte_by_byte_is_cut_off_and_delays_nobody() {
    let options = PublisherOptions { write_stall_max: Duration::from_millis(700), ..PublisherOptions::default() };
    let mut server = Server::start_with(options).await;
    server.publish(vec![row("A", 60.0, 1)]);
    let body = "POST /v1/scan HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4000\r\n\r\n";
    // The head of an upgrade, the head of a request, one on a connection that has had an answer, a body; and nothing at all.
    let answered = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\nGET /livez HTTP/1.1\r\n";
    for begun in [HANDSHAKE.trim_end(), "GET /v1/scan HTTP/1.1\r\n", answered, body, ""] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        let drip = tokio::spawn(async move {
            // Until the server has closed.
            while begun.is_empty() || writing.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let began = tokio::time::Instant::now();
        let mut answer = Vec::new();
        timeout(DEADLINE, reading.read_to_end(&mut answer)).await.expect("is cut off").ok();
        let held = began.elapsed();
        assert!(held < Duration::from_secs(10), "{begun:?} was held for {held:?}");
        drip.abort();
        assert_eq!(server.get("/v1/scan").await.symbols(), ["A"]);
    }
    // A client that has been let in is no request any more.
    let mut client = server.connect().await;
    client.subscribe("SC.*").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.publish(vec![row("A", 61.0, 2)]);
    client.follow(2).await;
    client.mirror.check_equals(&server.hub);
}
