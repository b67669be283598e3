//! `technic run` as somebody who tries it sees it: a synthetic market, a page of JSON, and a WebSocket.

#![allow(clippy::unwrap_used, reason = "every function in here is part of a test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::nats::NatsServer;
use tests::technic::{Expected, Fleet, Launch, Process, body_of, get, metric, run_with, until};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

const N_SYMBOLS: usize = 300;

/// Nothing in here takes this long unless it hangs.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// A small market, a second between its steps, so that there are quiet moments.
fn launch(state: &TempDir) -> Launch {
    Launch::of(&[], state.path())
        .set("INGEST__SYNTHETIC__N_SYMBOLS", &N_SYMBOLS.to_string())
        .set("INGEST__SYNTHETIC__HISTORY_SESSIONS", "60")
        .set("INGEST__SYNTHETIC__STEPS_PER_SESSION", "4")
        .set("INGEST__SYNTHETIC__LIVE_FRACTION", "0.2")
        .set("INGEST__SYNTHETIC__LIVE_STEP", "1s")
        .set("PUBLISHER__HEARTBEAT", "300ms")
}

fn json_of(address: SocketAddr, path: &str) -> Value {
    serde_json::from_str(&body_of(address, path).expect("it answers")).expect("it answers in JSON")
}

fn until_full(address: SocketAddr) {
    until("the market is ranked", WAIT_MAX, || {
        let status: Value = serde_json::from_str(&body_of(address, "/v1/status").ok()?).ok()?;
        (status["rows"].as_u64()? > N_SYMBOLS as u64 / 2 && !status["watermark"].is_null()).then_some(())
    });
}

#[test]
fn the_banner_and_every_row_say_that_the_market_is_synthetic() {
    let state = tempfile::tempdir().unwrap();
    let mut process = launch(&state).start();
    let address = process.address();
    until_full(address);
    let banner = process.stdout();
    for text in ["SYNTHETIC", "not real", &format!("http://{address}/"), &format!("ws://{address}/ws")] {
        assert!(banner.contains(text), "{text} in {banner}");
    }
    let scan = json_of(address, "/v1/scan?limit=10000");
    assert_eq!((&scan["data"], &scan["models"]), (&"synthetic".into(), &json!([])));
    let rows = scan["results"].as_array().unwrap();
    assert_eq!(scan["scored"], rows.len());
    for row in rows {
        assert_eq!(row["freshness"]["is_synthetic"], true, "{row}");
        for prediction in ["alpha_5d", "alpha_10d", "win_prob_10d"] {
            assert!(row.get(prediction).is_some_and(Value::is_null), "{prediction} of {row}");
        }
    }
    assert_eq!(json_of(address, "/v1/status")["data"], "synthetic");
    check_ports(address, process.admin_address());
    check_queries(address, rows);
    check_stop(process);
}

fn check_ports(address: SocketAddr, admin: SocketAddr) {
    for address in [address, admin] {
        assert_eq!(body_of(address, "/livez").unwrap(), "alive\n");
        until("everything is ready", WAIT_MAX, || (get(address, "/readyz").ok()?.status == 200).then_some(()));
        let metrics = body_of(address, "/metrics").unwrap();
        for service in ["ingest", "indicator", "inference", "scoring", "publisher", "results"] {
            for what in ["rows_in_total", "rows_out_total", "processing_seconds_count", "event_lag_seconds"] {
                let name = format!("technic_{service}_{what} ");
                assert!(metrics.lines().any(|line| line.starts_with(&name)), "no {name}in {metrics}");
            }
        }
        for service in ["indicator", "inference", "scoring", "publisher"] {
            let n_rows = metric(address, &format!("technic_{service}_rows_in_total")).unwrap();
            assert!(n_rows > Some(0.0), "{service}: {n_rows:?}");
        }
    }
    assert!(body_of(admin, "/config").unwrap().contains("n_symbols = 300"));
    // What is configured is nobody's business outside.
    assert_eq!(get(address, "/config").unwrap().status, 404);
}

fn check_queries(address: SocketAddr, rows: &[Value]) {
    let symbol = rows[0]["symbol"].as_str().unwrap();
    assert_eq!(json_of(address, &format!("/v1/symbols/{symbol}"))["symbol"], symbol);
    assert_eq!(json_of(address, "/v1/scan?limit=3")["results"].as_array().unwrap().len(), 3);
    assert!(body_of(address, "/").unwrap().contains("<html"));
    for (path, status) in [
        ("/v1/scan?limit=0", 400),
        ("/v1/scan?limit=1000000", 400),
        ("/v1/scan?limit=x", 400),
        ("/v1/scan?nonsense=1", 400),
        ("/v1/symbols/NOSUCHSYMBOL", 404),
        ("/v1/symbols/a%20b", 400),
        ("/v1/nonsense", 404),
    ] {
        let answer = get(address, path).unwrap();
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &problem["status"]), (status, &status.into()), "{path}: {problem}");
    }
}

fn check_stop(mut process: Process) {
    process.terminate();
    assert_eq!(process.wait(Duration::from_secs(12)).code(), Some(0), "{}", process.stderr());
}

/// What a client makes of the events.
struct Client {
    socket: WebSocketStream<TcpStream>,
    u: u64,
    rows: BTreeMap<String, Value>,
    n_deltas: usize,
    n_heartbeats: u64,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the publisher listens");
        let (socket, _) = client_async(format!("ws://{address}/ws"), stream).await.expect("it speaks WebSocket");
        Self { socket, u: 0, rows: BTreeMap::new(), n_deltas: 0, n_heartbeats: 0 }
    }

    async fn send(&mut self, request: Value) {
        self.socket.send(Message::text(request.to_string())).await.expect("the connection is open");
    }

    async fn events(&mut self) -> Vec<Value> {
        loop {
            let message = timeout(WAIT_MAX, self.socket.next()).await.expect("hears in time");
            match message.expect("is open").expect("is open") {
                Message::Text(text) => return serde_json::from_str(&text).expect("an array of events"),
                Message::Ping(_) => {}
                other => panic!("{other:?} is no text"),
            }
        }
    }

    async fn event(&mut self) -> Value {
        let mut events = self.events().await;
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    fn take(&mut self, event: &Value) {
        match event["ev"].as_str().expect("an event has a kind") {
            "seq" => {
                assert_eq!(event["U"], self.u + 1, "{event}");
                assert!(event.get("gap").is_none(), "{event}");
                self.u = event["u"].as_u64().expect("a number");
            }
            "SC" => {
                let mut row = event.as_object().expect("an object").clone();
                row.remove("ev");
                let symbol = row.remove("sym").expect("a score names its symbol");
                assert_eq!(symbol, row["symbol"]);
                self.rows.insert(symbol.as_str().expect("text").to_owned(), Value::Object(row));
                self.n_deltas += 1;
            }
            "out" => {
                let symbol = event["sym"].as_str().expect("text");
                // It may name a symbol that came and went while a snapshot was sent.
                self.rows.remove(symbol);
            }
            "hb" => {
                self.n_heartbeats += 1;
                assert_eq!((&event["seq"]["SC"], &event["data"]), (&self.u.into(), &"synthetic".into()), "{event}");
            }
            _ => panic!("unexpected {event}"),
        }
    }

    async fn follow(&mut self) {
        for event in self.events().await {
            self.take(&event);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_and_the_deltas_after_it_give_the_table() {
    const N_DELTAS_MIN: usize = 200;
    let state = tempfile::tempdir().unwrap();
    let mut process = launch(&state).start();
    let address = process.address();
    until_full(address);
    let mut client = Client::connect(address).await;
    let greeting = client.event().await;
    assert_eq!(
        (&greeting["ev"], &greeting["status"], &greeting["proto"]),
        (&"status".into(), &"connected".into(), &1.into())
    );
    assert_eq!((&greeting["hb_ms"], &greeting["data"]), (&300.into(), &"synthetic".into()));
    assert_eq!(greeting["epoch"], json_of(address, "/v1/status")["epoch"]);

    client.send(json!({"action": "subscribe", "id": 7, "params": "SC.*"})).await;
    loop {
        // A heartbeat may come first.
        let event = client.event().await;
        if event["ev"] == "status" {
            assert_eq!((&event["status"], &event["id"]), (&"success".into(), &7.into()), "{event}");
            assert_eq!(event["subs"], json!(["SC.*"]));
            break;
        }
        assert_eq!(event["ev"], "hb");
    }
    loop {
        let event = client.event().await;
        assert_eq!((&event["ev"], &event["ch"]), (&"snap".into(), &"SC".into()));
        for row in event["rows"].as_array().unwrap() {
            let known = client.rows.insert(row["symbol"].as_str().unwrap().to_owned(), row.clone());
            assert_eq!(known, None, "twice in the snapshot");
        }
        client.u = event["u"].as_u64().unwrap();
        if event["last"] == true {
            break;
        }
    }
    // At a moment at which the table does not change, both have seen the same updates.
    let mut n_comparisons = 0;
    while n_comparisons < 3 || client.n_deltas < N_DELTAS_MIN {
        client.follow().await;
        let seq = || json_of(address, "/v1/status")["seq"].as_u64().unwrap();
        let before = seq();
        let scan = json_of(address, "/v1/scan?limit=10000");
        if seq() != before {
            continue;
        }
        while client.u < before {
            client.follow().await;
        }
        if client.u == before {
            let table = scan["results"].as_array().unwrap();
            let table: BTreeMap<String, Value> =
                table.iter().map(|row| (row["symbol"].as_str().unwrap().to_owned(), row.clone())).collect();
            assert_eq!(client.rows, table);
            n_comparisons += 1;
        }
    }
    assert!(client.n_heartbeats > 0);
    for (request, code) in [
        (json!({"action": "subscribe", "id": 8, "params": "XX.*"}), 404),
        (json!({"action": "dance", "id": 9}), 405),
        (json!([1]), 400),
    ] {
        client.send(request.clone()).await;
        loop {
            let events = client.events().await;
            if events[0]["ev"] == "error" {
                assert_eq!(events[0]["code"], code, "{request}");
                break;
            }
            for event in &events {
                client.take(event);
            }
        }
    }
    // Announced first, then closed as a restart.
    process.terminate();
    let is_announced = loop {
        let message = timeout(WAIT_MAX, client.socket.next()).await.expect("hears in time");
        match message.expect("is open").expect("is open") {
            Message::Text(text) if text.contains("restarting") => break true,
            Message::Close(_) => break false,
            _ => {}
        }
    };
    assert!(is_announced);
    let closing = timeout(WAIT_MAX, client.socket.next()).await.expect("hears in time");
    let Some(Ok(Message::Close(Some(frame)))) = closing else { panic!("{closing:?} is no farewell") };
    assert_eq!(u16::from(frame.code), 1012);
    assert_eq!(process.wait(Duration::from_secs(12)).code(), Some(0), "{}", process.stderr());
}

/// Subscribes, with the place where an earlier connection ended, and reads the snapshot. Gives the epoch and whether the
/// server went on from that place.
async fn subscribe(client: &mut Client, resume: Option<Value>) -> (Value, Value) {
    let epoch = client.event().await["epoch"].clone();
    client.send(json!({"action": "subscribe", "params": "SC.*", "resume": resume})).await;
    let mut recovered = Value::Null;
    loop {
        for event in client.events().await {
            match event["ev"].as_str() {
                Some("status") => recovered = event["recovered"].clone(),
                Some("snap") => {
                    for row in event["rows"].as_array().unwrap() {
                        client.rows.insert(row["symbol"].as_str().unwrap().to_owned(), row.clone());
                    }
                    client.u = event["u"].as_u64().unwrap();
                    if event["last"] == true {
                        return (epoch, recovered);
                    }
                }
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_a_publisher_that_was_killed_comes_back_to_the_exact_table() {
    let data = tests::technic::Market::generate(60, 80).folder();
    let expected = Expected::of(data.path());
    let server = NatsServer::start().unwrap();
    let mut fleet = Fleet::start(&server.url(), data.path());
    fleet.settles_at(&expected);
    let mut client = Client::connect(fleet.address()).await;
    let (epoch, _) = subscribe(&mut client, None).await;
    fleet.kill9_and_restart("publisher");
    fleet.settles_at(&expected);
    let mut again = Client::connect(fleet.address()).await;
    let (new_epoch, recovered) = subscribe(&mut again, Some(json!({"epoch": epoch, "seq": client.u}))).await;
    assert_ne!(epoch, new_epoch);
    // Numbers count within a run: whoever brings those of another begins anew, and misses nothing.
    assert_eq!(recovered, false);
    assert_eq!(again.rows, client.rows);
    let table: Vec<Value> = serde_json::from_str(&expected.results).unwrap();
    assert_eq!(again.rows.len(), table.len());
    for row in table {
        assert_eq!(again.rows[row["symbol"].as_str().unwrap()], row);
    }
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let state = tempfile::tempdir().unwrap();
    let start = |key| launch(&state).set(key, &address).start().finish();
    start("PUBLISHER__LISTEN").expect(1, &["publisher.listen", &address]);
    start("ADMIN__LISTEN").expect(1, &["admin.listen", &address]);
}

#[test]
fn an_absent_bus_is_named() {
    let settings = [("TECHNIC__ADMIN__LISTEN", "127.0.0.1:0"), ("TECHNIC__PUBLISHER__LISTEN", "127.0.0.1:0")];
    let url = "nats://127.0.0.1:1";
    run_with(&settings, ["run", "--bus", url]).expect(1, &[url]);
    run_with(&settings, ["run", "--bus", "nats://user:secret@127.0.0.1:1"]).expect(1, &["127.0.0.1:1", "***"]);
    let data = tests::technic::Market::generate(2, 5).folder();
    let replay = ["replay", "--data", data.path().to_str().unwrap(), "--bus", url];
    run_with(&settings, replay).expect(1, &[url]);
}
