//! Every event, error and close code of the WebSocket protocol, over real sockets: what docs/asyncapi.yaml says.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use publisher::{BarUpdate, IndicatorUpdate, Limits, PublisherOptions};
use schemas::{Alert, AlertLevel, Bar, BarFlags, EventTime, Plan, Timeframe};
use serde_json::{Value, json};
use support::{Client, DEADLINE, Server, row, symbol};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

/// SHA-256 of `abc` and of the empty text.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

async fn subscribed(server: &Server, request: Value) -> (Client, Value) {
    let mut client = server.connect().await;
    client.send(&request.to_string()).await;
    let answer = client.event().await;
    assert_eq!(answer["status"], "success", "{answer}");
    client.mirror.take(&answer);
    (client, answer)
}

fn names(events: &[Value]) -> Vec<String> {
    let name = |event: &Value| format!("{} {}", event["ev"].as_str().unwrap(), event["sym"].as_str().unwrap_or("-"));
    events.iter().map(name).collect()
}

fn symbols_of(page: &Value) -> Vec<&str> {
    page["rows"].as_array().unwrap().iter().map(|row| row["symbol"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_filter_shows_what_matches_and_says_what_left_it() {
    let mut server = Server::start().await;
    server.publish(vec![row("A", 80.0, 1), row("B", 75.0, 1), row("C", 20.0, 1)]);
    let request = json!({"action": "subscribe", "params": "SC.*", "filter":
        {"min_merit": 70, "sectors": ["technology"], "bands": ["A+"], "signals": ["hold"], "symbols": ["A", "B", "C"]}});
    let (mut client, _) = subscribed(&server, request).await;
    assert_eq!(symbols_of(&client.event().await), ["A", "B"]);
    server.publish(vec![row("A", 60.0, 2), row("B", 76.0, 2), row("C", 30.0, 2)]);
    let events = client.events().await;
    assert_eq!(names(&events), ["seq -", "out A", "SC B"]);
    assert_eq!((&events[0]["U"], &events[0]["u"]), (&4.into(), &6.into()));
    server.publish(vec![row("A", 90.0, 3)]);
    assert_eq!(names(&client.events().await), ["seq -", "SC A"]);
    server.remove("A");
    assert_eq!(names(&client.events().await), ["seq -", "out A"]);
}

#[tokio::test]
async fn another_filter_brings_a_snapshot_and_a_subscription_without_one_keeps_it() {
    let mut server = Server::start().await;
    server.publish(vec![row("A", 80.0, 1), row("B", 50.0, 1), row("C", 20.0, 1)]);
    let filter = |min_merit: f64| json!({"min_merit": min_merit});
    let request = json!({"action": "subscribe", "params": "SC.*", "filter": filter(40.0)});
    let (mut client, _) = subscribed(&server, request).await;
    assert_eq!(symbols_of(&client.event().await), ["A", "B"]);
    // It replaces what the client has, also when it asked for none.
    let request = json!({"action": "subscribe", "params": "SC.*", "filter": filter(70.0), "snapshot": false});
    client.send(&request.to_string()).await;
    assert_eq!(client.event().await["status"], "success");
    assert_eq!(symbols_of(&client.event().await), ["A"]);
    let request = json!({"action": "subscribe", "params": "SC.C", "snapshot": false});
    client.send(&request.to_string()).await;
    assert_eq!(client.event().await["status"], "success");
    server.publish(vec![row("A", 60.0, 2), row("B", 75.0, 2), row("C", 30.0, 2)]);
    assert_eq!(names(&client.events().await), ["seq -", "out A", "SC B"]);
    // No filter is a filter, too.
    let request = json!({"action": "subscribe", "params": "SC.*", "filter": {}, "snapshot": false});
    client.send(&request.to_string()).await;
    assert_eq!(client.event().await["status"], "success");
    assert_eq!(symbols_of(&client.event().await), ["B", "A", "C"]);
}

#[tokio::test]
async fn the_top_rows_move_up_when_others_fall() {
    let mut server = Server::start().await;
    server.publish(vec![row("A", 80.0, 1), row("B", 70.0, 1), row("C", 60.0, 1)]);
    let (mut client, _) =
        subscribed(&server, json!({"action": "subscribe", "params": "SC.*", "filter": {"top": 2}})).await;
    assert_eq!(symbols_of(&client.event().await), ["A", "B"]);
    server.publish(vec![row("A", 10.0, 2)]);
    assert_eq!(names(&client.events().await), ["seq -", "out A", "SC C"]);
    server.publish(vec![row("A", 11.0, 3)]);
    server.publish(vec![row("C", 61.0, 4)]);
    let events = client.events().await;
    assert_eq!(names(&events), ["seq -", "SC C"]);
    assert_eq!((&events[0]["U"], &events[0]["u"]), (&5.into(), &6.into()));
}

#[tokio::test]
async fn a_row_that_was_not_heard_of_for_too_long_leaves() {
    let mut server = Server::start().await;
    server.publish(vec![row("A", 80.0, 1)]);
    let request = json!({"action": "subscribe", "params": "SC.*", "filter": {"max_age_ms": 600}});
    let (mut client, _) = subscribed(&server, request).await;
    assert_eq!(symbols_of(&client.event().await), ["A"]);
    assert_eq!(names(&client.events().await), ["seq -", "out A"]);
}

#[tokio::test]
async fn a_client_that_comes_back_gets_exactly_what_it_missed() {
    let mut server = Server::start().await;
    server.publish(vec![row("A", 80.0, 1), row("B", 70.0, 1)]);
    let mut client = server.connect().await;
    client.subscribe("SC.*").await;
    client.follow(2).await;
    let (mut witness, mirror) = (server.connect().await, client.mirror);
    drop(client.socket);
    witness.subscribe("SC.*").await;
    witness.follow(2).await;
    let mut missed = Vec::new();
    for merit in 1..=50 {
        server.publish(vec![row("A", f64::from(merit), i64::from(merit) + 1)]);
        let events = witness.events().await;
        missed.extend(events.iter().filter(|event| event["ev"] == "SC").cloned());
        witness.mirror.take_all(&events);
    }
    let resume = json!({"epoch": "k3f9", "seq": mirror.u});
    let request =
        json!({"action": "subscribe", "id": 1, "params": "SC.*", "mode": "lossless", "resume": resume.clone()});
    let (mut client, answer) = subscribed(&server, request).await;
    assert_eq!((&answer["recovered"], &answer["seq"]), (&true.into(), &json!({"SC": 2})));
    client.mirror = mirror;
    let mut replayed = Vec::new();
    while client.mirror.u < 52 {
        let events = client.events().await;
        replayed.extend(events.iter().filter(|event| event["ev"] == "SC").cloned());
        client.mirror.is_complete = true;
        client.mirror.take_all(&events);
    }
    assert_eq!(replayed, missed);
    client.mirror.check_equals(&server.hub);

    // Conflated, only the newest of each symbol comes again.
    let request = json!({"action": "subscribe", "params": "SC.*", "resume": resume});
    let (mut client, _) = subscribed(&server, request).await;
    let events = client.events().await;
    assert_eq!((names(&events), &events[0]["merged"]), (vec!["seq -".to_owned(), "SC A".to_owned()], &49.into()));
}

#[tokio::test]
async fn who_cannot_go_on_gets_a_snapshot() {
    let mut server = Server::start().await;
    server.publish(vec![row("A", 80.0, 1)]);
    for resume in [json!({"epoch": "other", "seq": 1}), json!({"epoch": "k3f9", "seq": 999})] {
        let request = json!({"action": "subscribe", "params": "SC.*", "resume": resume});
        let (mut client, answer) = subscribed(&server, request).await;
        assert_eq!(answer["recovered"], false);
        assert_eq!(symbols_of(&client.event().await), ["A"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lossless_gets_everything_or_is_closed() {
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    client.send(r#"{"action":"subscribe","params":"SC.*","mode":"lossless","snapshot":false}"#).await;
    client.event().await;
    for n in 1..=2000_i64 {
        server.publish(vec![row("A", (n % 90) as f64, n)]);
    }
    let mut n_events = 0;
    while n_events < 2000 {
        n_events += client.events().await.iter().filter(|event| event["ev"] == "SC").count();
    }
    // Now it stops reading until what is kept for it is gone.
    let long = |n: i64| schemas::ResultRow { merit_summary: "x".repeat(4000), ..row("A", (n % 90) as f64, n) };
    for n in 2001..=22_000 {
        server.publish(vec![long(n)]);
        if n % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let code = loop {
        match timeout(DEADLINE, client.socket.next()).await.unwrap() {
            Some(Ok(Message::Close(frame))) => break u16::from(frame.unwrap().code),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 4408);
}

#[tokio::test]
async fn a_client_chooses_how_often_it_hears() {
    let mut server = Server::start().await;
    let request = json!({"action": "subscribe", "params": "SC.*", "snapshot": false, "flush_ms": 300});
    let (mut client, _) = subscribed(&server, request).await;
    let started = tokio::time::Instant::now();
    let mut n_frames = 0;
    for n in 1..=40_i64 {
        server.publish(vec![row("A", n as f64, n)]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while client.mirror.u < 40 {
        let events = client.events().await;
        client.mirror.take_all(&events);
        n_frames += 1;
    }
    let n_max = started.elapsed().as_millis() / 300 + 2;
    assert!(n_frames <= n_max, "{n_frames} frames");
}

#[tokio::test]
async fn message_pack_says_the_same_as_json() {
    let mut server = Server::start().await;
    server.publish(vec![row("A", 80.0, 1), row("BRK.B", 70.0, 1)]);
    let mut json = server.connect().await;
    let mut packed = Packed::connect(&server).await;
    assert_eq!(packed.events().await[0]["status"], "connected");
    let request = json!({"action": "subscribe", "id": 7, "params": "SC.*"});
    json.send(&request.to_string()).await;
    packed.send(&request).await;
    assert_eq!(packed.events().await, json.events().await);
    assert_eq!(packed.events().await, json.events().await);
    server.publish(vec![row("A", 10.0, 2), row("NEW", 11.0, 2)]);
    assert_eq!(packed.events().await, json.events().await);
    server.remove("NEW");
    assert_eq!(packed.events().await, json.events().await);
    packed.socket.send(Message::text("{}")).await.unwrap();
    assert_eq!(packed.events().await[0]["code"], 400);
    packed.socket.send(Message::binary(vec![0xc1])).await.unwrap();
    assert_eq!(packed.events().await[0]["code"], 400);
}

struct Packed {
    socket: tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>,
}

impl Packed {
    async fn connect(server: &Server) -> Self {
        let client = server.connect_with(&[("sec-websocket-protocol", "technic.v1.msgpack")]).await.unwrap();
        Self { socket: client.socket }
    }

    async fn send(&mut self, request: &Value) {
        self.socket.send(Message::binary(rmp_serde::to_vec_named(request).unwrap())).await.unwrap();
    }

    async fn events(&mut self) -> Vec<Value> {
        loop {
            match timeout(DEADLINE, self.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Binary(bytes) => return rmp_serde::from_slice(&bytes).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn bar(text: &str, close: f64, revision: u32) -> BarUpdate {
    let open_time = EventTime::from_days(20_000);
    let flags = BarFlags::SYNTHETIC;
    let bar = Bar { open_time, open: 1.0, high: 99.0, low: 1.0, close, volume: 5.0, revision, flags };
    BarUpdate { symbol: symbol(text), timeframe: Timeframe::D1, bar }
}

#[tokio::test]
async fn bars_indicators_and_alerts_have_channels_of_their_own() {
    let server = Server::start().await;
    let plan = std::sync::Arc::new(Plan::new(["rsi14", "sma20"]));
    let indicators = |text: &str, rsi: f64| IndicatorUpdate {
        bar: bar(text, 2.0, 1),
        plan: plan.clone(),
        values: [rsi, f64::NAN].into(),
    };
    server.hub.apply_bars([bar("A", 2.0, 1), bar("B", 3.0, 1), bar("A", 4.0, 2)]);
    server.hub.apply_indicators([indicators("A", 50.0)]);
    let (mut client, answer) = subscribed(&server, json!({"action": "subscribe", "params": "AM.A,IN.*,AL.*"})).await;
    assert_eq!(answer["seq"], json!({"AM": 3, "IN": 1, "AL": 0}));
    let expected = json!({"ev": "AM", "sym": "A", "v": 5.0, "o": 1.0, "c": 4.0, "h": 99.0, "l": 1.0,
        "s": 1_728_000_000_000_i64, "e": 1_728_086_400_000_i64, "tf": "1d", "rev": 2, "final": false,
        "data": "synthetic"});
    let page = client.event().await;
    assert_eq!((&page["ch"], &page["rows"]), (&"AM".into(), &json!([expected])));
    let page = client.event().await;
    assert_eq!(
        (&page["ch"], &page["rows"][0]["rsi14"], &page["rows"][0]["sma20"]),
        (&"IN".into(), &50.0.into(), &Value::Null)
    );

    server.hub.apply_bars([bar("B", 5.0, 2)]);
    server.hub.apply_bars([bar("A", 6.0, 3)]);
    let events = client.events().await;
    assert_eq!(names(&events), ["seq -", "AM A"]);
    assert_eq!((&events[0]["U"], &events[0]["u"]), (&4.into(), &5.into()));
    server.hub.apply_indicators([indicators("B", 60.0)]);
    assert_eq!(names(&client.events().await), ["seq -", "IN B"]);
    for message in ["one", "two"] {
        server.hub.apply_alert(Alert {
            rule: "rsi".to_owned(),
            symbol: symbol("A"),
            event_time: EventTime(7_000_000),
            level: AlertLevel::Warning,
            message: message.to_owned(),
        });
    }
    let mut alerts = Vec::new();
    while alerts.len() < 2 {
        alerts.extend(client.events().await.into_iter().filter(|event| event["ev"] == "AL"));
    }
    let expected = json!({"ev": "AL", "sym": "A", "rule": "rsi", "level": "warning", "ts": 7, "msg": "one"});
    assert_eq!((&alerts[0], &alerts[1]["msg"]), (&expected, &"two".into()));
}

fn followed(state: &'static str, day: i64, revision: u32, is_final: bool) -> schemas::ResultRow {
    let mut row = row("A", 60.0, day);
    row.freshness.revision = revision;
    row.freshness.is_final = is_final;
    row.live_plan = Some(schemas::LivePlan {
        state: state.into(),
        direction: "long".into(),
        entry: 12.0,
        stop: 11.5,
        target: 13.0,
        armed_ns: 1,
        since_ns: day,
        n_bars: 0,
        fill: None,
        exit: None,
        advice: None,
        changes: vec![schemas::PlanChange { state: state.into(), price: 12.25 }],
    });
    row
}

#[tokio::test]
async fn a_change_of_a_plan_is_told_once_when_its_bar_is_final() {
    let mut server = Server::start().await;
    let (mut client, _) = subscribed(&server, json!({"action": "subscribe", "params": "AL.*,SC.A"})).await;
    let moved = |merit, row| schemas::ResultRow { merit, ..row };
    for row in [
        followed("armed", 1, 0, true),
        moved(61.0, followed("armed", 1, 0, true)),
        followed("triggered", 2, 0, false),
        followed("triggered", 2, 1, true),
        row("A", 62.0, 3),
        followed("stopped", 4, 0, true),
    ] {
        server.publish(vec![row]);
    }
    let mut alerts: Vec<Value> = Vec::new();
    while !alerts.last().is_some_and(|alert| alert["msg"].as_str().unwrap().contains("stopped")) {
        alerts.extend(client.events().await.into_iter().filter(|event| event["ev"] == "AL"));
    }
    let told: Vec<_> = alerts.iter().map(|alert| (&alert["sym"], &alert["rule"], &alert["msg"])).collect();
    let message = |state| Value::from(format!("long plan {state} at 12.25: entry 12, stop 11.5, target 13"));
    let (symbol, rule) = (Value::from("A"), Value::from("plan"));
    let messages = ["armed", "triggered", "stopped"].map(message);
    assert_eq!(told, messages.each_ref().map(|message| (&symbol, &rule, message)));
}

fn guarded(limits: Limits) -> PublisherOptions {
    PublisherOptions { keys: vec![format!("desk:{ABC}")], limits, ..PublisherOptions::default() }
}

#[tokio::test]
async fn with_keys_nobody_subscribes_without_one() {
    let server = Server::start_with(guarded(Limits::default())).await;
    let mut client = server.connect_raw().await;
    assert_eq!(client.event().await["auth"], "required");
    client.send(r#"{"action":"subscribe","id":1,"params":"SC.*"}"#).await;
    let event = client.event().await;
    assert_eq!((&event["code"], &event["id"]), (&401.into(), &1.into()));
    client.send(r#"{"action":"auth","id":2,"params":"abc"}"#).await;
    assert_eq!(client.event().await, json!({"ev": "status", "status": "authenticated", "id": 2, "key": "desk"}));
    client.subscribe("SC.*").await;

    let mut client = server.connect_raw().await;
    client.event().await;
    client.send(r#"{"action":"auth","params":"wrong"}"#).await;
    assert_eq!(client.event().await["code"], 401);
    assert_eq!(u16::from(client.close_frame().await.code), 4401);

    let mut client = server.connect_with(&[("authorization", "Bearer abc")]).await.unwrap();
    client.event().await;
    assert_eq!(client.event().await["status"], "authenticated");
    assert!(server.connect_with(&[("authorization", "Bearer wrong")]).await.is_err());
}

#[tokio::test]
async fn with_keys_nobody_reads_over_http_without_one() {
    let server = Server::start_with(guarded(Limits::default())).await;
    let get =
        |path: &str, key: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{key}\r\n");
    for (path, key, status) in [
        ("/v1/status", "", 401),
        ("/v1/status", "authorization: Bearer wrong\r\n", 401),
        ("/v1/status", "authorization: Bearer abc\r\n", 200),
        ("/livez", "", 200),
    ] {
        let answer = server.request(&get(path, key)).await;
        assert_eq!(answer.status, status, "{path} {key}");
        assert_eq!(answer.head.contains("www-authenticate: bearer"), status == 401);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_say_who_it_is_is_closed() {
    let options = PublisherOptions { heartbeat: Duration::from_mins(1), ..guarded(Limits::default()) };
    let server = Server::start_with(options).await;
    let mut client = server.connect_raw().await;
    client.event().await;
    assert_eq!(u16::from(client.close_frame().await.code), 4401);
}

#[tokio::test]
async fn the_limits_of_a_key_hold_for_all_its_connections() {
    let limits = Limits { connections_per_key: 2, subscriptions_per_key: 3, ..Limits::default() };
    let server = Server::start_with(guarded(limits)).await;
    let bearer = [("authorization", "Bearer abc")];
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect_with(&bearer).await.unwrap();
        client.event().await;
        client.event().await;
        clients.push(client);
    }
    let mut third = server.connect_with(&bearer).await.unwrap();
    third.event().await;
    assert_eq!(third.event().await["code"], 429);
    assert_eq!(u16::from(third.close_frame().await.code), 4429);
    clients[0].send(r#"{"action":"subscribe","params":"SC.A,SC.B","snapshot":false}"#).await;
    assert_eq!(clients[0].event().await["status"], "success");
    clients[1].send(r#"{"action":"subscribe","params":"SC.A,SC.B","snapshot":false}"#).await;
    assert_eq!(clients[1].event().await["code"], 429);
    clients[0].send(r#"{"action":"unsubscribe","params":"SC.A"}"#).await;
    assert_eq!(clients[0].event().await["subs"], json!(["SC.B"]));
    clients[1].send(r#"{"action":"subscribe","params":"SC.A,SC.B","snapshot":false}"#).await;
    assert_eq!(clients[1].event().await["status"], "success");
}
