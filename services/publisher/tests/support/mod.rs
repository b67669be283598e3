#![allow(dead_code, reason = "every test file uses a part of it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures_util::{SinkExt as _, StreamExt as _};
use pipeline::Stage as _;
use prometheus::Registry;
use publisher::{History, Hub, PublisherError, PublisherOptions, TableCache, Update};
use schemas::{
    Bar, BarBatchBuilder, BarFlags, Breakdown, EventTime, FactorScores, FeatureBatch, Freshness, Header, IcsParts,
    MeritParts, ModelRef, Partition, Plan, ResultRow, ScoreBatch, SectorZ, Shared, Symbol, Timeframe, WhyNot,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// How long anything may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

pub(crate) fn symbol(text: &str) -> Symbol {
    Symbol::new(text).unwrap()
}

pub(crate) fn row(text: &str, merit: f64, open_time_ns: i64) -> ResultRow {
    let freshness =
        Freshness { open_time_ns, revision: 0, is_final: true, n_bars: 300, is_synthetic: true, is_replayed: false };
    ResultRow {
        symbol: symbol(text),
        as_of: EventTime(open_time_ns).display(Timeframe::M1).into(),
        close: 12.5,
        name: None,
        sector: Some(if merit < 50.0 { "Energy" } else { "Technology" }.into()),
        industry: None,
        market_cap: None,
        atr_pct: None,
        dollar_volume_20: None,
        merit,
        merit_band: if merit < 50.0 { "C" } else { "A+" }.into(),
        merit_flags: "".into(),
        merit_summary: format!("MERIT {merit} \"quoted\" <b>"),
        tech_rating: Some(3.25),
        ics: 61.0,
        quality: None,
        alpha_5d: Some(0.1 + 0.2),
        alpha_10d: None,
        win_prob_10d: Some(0.5),
        signal: "HOLD".into(),
        entry: None,
        stop: None,
        target: None,
        reward_risk: None,
        position_size: Some(7),
        setup: None,
        live_plan: None,
        outcomes: None,
        no_plan: None,
        excluded: None,
        liquidity_note: None,
        result_tier: "".into(),
        investor_tier: "".into(),
        play_style: "".into(),
        is_ultra_risky: false,
        events: None,
        // Some are known: a row leaves the others out.
        factors: Some(Box::new(FactorScores {
            value_score: Some(50.0),
            sector_z: SectorZ {
                value_cfp_sector_z: Some(0.25),
                size_log_mcap_sector_z: Some(-1.5),
                ..SectorZ::default()
            },
            ..FactorScores::default()
        })),
        profiles: Shared::default(),
        rules: Shared::default(),
        breakdown: Breakdown { merit: MeritParts::default(), ics: IcsParts::default(), tech_rating: None },
        freshness,
    }
}

pub(crate) fn batch((epoch, seq): (u64, u64), rows: Vec<ResultRow>, removed: &[&str]) -> ScoreBatch {
    let header = Header {
        timeframe: Timeframe::M1,
        partition: Partition::new(0).unwrap(),
        epoch,
        seq,
        event_time: rows.iter().map(|row| row.position().0).max().unwrap_or_default(),
        ingest_time: EventTime(1_000_000),
        source: "synthetic".to_owned(),
        watermark: Some(EventTime(5)),
    };
    let models = vec![ModelRef { name: "alpha".to_owned(), version: "1".to_owned(), hash: "ab".to_owned() }];
    let removed = removed.iter().map(|text| symbol(text)).collect();
    ScoreBatch { header, models, rows, removed, why_not: Vec::new(), market: None }
}

/// A publisher on a free port.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) history: History,
    pub(crate) registry: Registry,
    seq: u64,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), PublisherError>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(PublisherOptions::default()).await
    }

    pub(crate) async fn start_with(options: PublisherOptions) -> Self {
        Self::start_cached("k3f9", options, TableCache::memory()).await
    }

    /// A run of its own name beside the cache.
    pub(crate) async fn start_cached(epoch: &str, options: PublisherOptions, cache: TableCache) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let registry = Registry::new();
        let started = Instant::now();
        let clock = move || EventTime(5_000_000 + i64::try_from(started.elapsed().as_nanos()).unwrap());
        let hub = Hub::new(epoch, clock, &registry).unwrap();
        let history = History::new(Plan::new(["n_bars", "sma20"]), options.bars_max);
        let (stop, stopped) = oneshot::channel::<()>();
        let extra = Router::new().route("/livez", get(async || "ok"));
        let until = async { drop(stopped.await) };
        let serving = publisher::serve(listener, hub.clone(), history.clone(), extra, until, options, cache);
        Self { address, hub, history, registry, seq: 0, stop: Some(stop), task: tokio::spawn(serving) }
    }

    pub(crate) fn score(&mut self, rows: Vec<ResultRow>, removed: &[&str]) -> Vec<Update> {
        self.seq += 1;
        let mut updates = Vec::new();
        self.hub.on_batch(batch((1, self.seq), rows, removed), &mut updates).unwrap();
        updates
    }

    pub(crate) fn publish(&mut self, rows: Vec<ResultRow>) {
        let updates = self.score(rows, &[]);
        self.hub.apply(&updates);
    }

    /// Rows, and why other symbols have none.
    pub(crate) fn publish_with_reasons(&mut self, rows: Vec<ResultRow>, why_not: Vec<WhyNot>) {
        self.seq += 1;
        let removed: Vec<&str> = why_not.iter().map(|why_not| why_not.symbol.as_str()).collect();
        let batch = batch((1, self.seq), rows, &removed);
        let mut updates = Vec::new();
        self.hub.on_batch(ScoreBatch { why_not, ..batch }, &mut updates).unwrap();
        self.hub.apply(&updates);
    }

    pub(crate) fn remove(&mut self, text: &str) {
        let updates = self.score(Vec::new(), &[text]);
        self.hub.apply(&updates);
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn stopped(self) -> Result<(), PublisherError> {
        timeout(DEADLINE, self.task).await.expect("stops in time").unwrap()
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let metric = &family.get_metric()[0];
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    }

    pub(crate) async fn until_metric(&self, name: &str, expected: f64) {
        let waiting = async {
            while (self.metric(name) - expected).abs() > 0.5 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("{name} is {}", self.metric(name)));
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await
    }

    /// `headers` end in line breaks.
    pub(crate) async fn get_with(&self, path: &str, headers: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")).await
    }

    pub(crate) async fn get_bytes(&self, path: &str, headers: &str) -> Vec<u8> {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        self.request(&(head + body)).await
    }

    /// Gives the history closes of a symbol, by day.
    pub(crate) fn draw(&mut self, text: &str, closes: &[(i32, f64)]) {
        let symbol = symbol(text);
        let partition = Partition::of(symbol);
        let mut bars = BarBatchBuilder::new(partition);
        for &(day, close) in closes {
            let flags = BarFlags::FINAL.with(BarFlags::CLOSE_ONLY);
            let (open_time, missing) = (EventTime::from_days(day), f64::NAN);
            bars.push(
                symbol,
                Bar { open_time, open: missing, high: missing, low: missing, close, volume: 1.0, revision: 0, flags },
            );
        }
        let header = Header { partition, ..batch((1, 1), Vec::new(), &[]).header };
        let numbers = (1..=closes.len()).map(|n| n as f64);
        let matrix = numbers.chain(closes.iter().map(|_| f64::NAN)).collect();
        let features = FeatureBatch::new(bars.finish(header), Plan::new(["n_bars", "sma20"]).hash(), matrix).unwrap();
        self.history.take_in(&features).unwrap();
    }

    async fn exchange(&self, request: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("answers in time").unwrap();
        answer
    }

    pub(crate) async fn request(&self, request: &str) -> Answer {
        let answer = String::from_utf8(self.exchange(request).await).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// A greeted client.
    pub(crate) async fn connect(&self) -> Client {
        let mut client = self.connect_raw().await;
        assert_eq!(client.event().await["status"], "connected");
        client
    }

    pub(crate) async fn connect_raw(&self) -> Client {
        self.connect_with(&[]).await.unwrap()
    }

    pub(crate) async fn connect_with(&self, headers: &[(&'static str, &'static str)]) -> Result<Client, Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut request = format!("ws://{}/ws", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        let (socket, _) = client_async(request, stream).await?;
        Ok(Client { socket, mirror: Mirror::default() })
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// In lower case.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
    }

    pub(crate) fn symbols(&self) -> Vec<String> {
        let json = self.json();
        let rows = json["results"].as_array().unwrap();
        rows.iter().map(|row| row["symbol"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) mirror: Mirror,
}

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn message(&mut self) -> Message {
        let message = timeout(DEADLINE, self.socket.next()).await.expect("hears in time");
        message.expect("is open").unwrap()
    }

    /// The text of the next frame.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.message().await {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) => {}
                other => panic!("{other:?} is no text"),
            }
        }
    }

    pub(crate) async fn events(&mut self) -> Vec<Value> {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The only event of the next frame.
    pub(crate) async fn event(&mut self) -> Value {
        let mut events = self.events().await;
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    pub(crate) async fn subscribe(&mut self, params: &str) -> Value {
        self.send(&format!(r#"{{"action":"subscribe","id":7,"params":"{params}"}}"#)).await;
        let answer = self.event().await;
        assert_eq!((&answer["status"], &answer["id"]), (&"success".into(), &7.into()), "{answer}");
        self.mirror.take(&answer);
        answer
    }

    /// Mirrors the table until update `u`.
    pub(crate) async fn follow(&mut self, u: u64) {
        while !self.mirror.is_complete || self.mirror.u < u {
            let events = self.events().await;
            self.mirror.take_all(&events);
        }
    }

    pub(crate) async fn close_frame(&mut self) -> CloseFrame {
        loop {
            if let Message::Close(frame) = self.message().await {
                return frame.unwrap();
            }
        }
    }
}

/// What a client makes of the events, with every rule of the protocol checked.
#[derive(Default)]
pub(crate) struct Mirror {
    pub(crate) u: u64,
    pub(crate) rows: BTreeMap<String, Value>,
    pub(crate) is_complete: bool,
    pub(crate) n_gaps: usize,
    pub(crate) n_deltas: usize,
    pub(crate) n_merged: u64,
}

impl Mirror {
    pub(crate) fn take(&mut self, event: &Value) {
        match event["ev"].as_str().unwrap() {
            "seq" => {
                assert_eq!(event["U"], self.u + 1, "{event}");
                self.n_merged += event["merged"].as_u64().unwrap();
                self.u = event["u"].as_u64().unwrap();
                self.n_gaps += usize::from(event["gap"] == true);
            }
            "snap" => {
                if self.is_complete {
                    self.rows.clear();
                }
                for row in event["rows"].as_array().unwrap() {
                    let known = self.rows.insert(row["symbol"].as_str().unwrap().to_owned(), row.clone());
                    assert_eq!(known, None, "twice in a snapshot");
                }
                assert!(event["u"].as_u64().unwrap() >= self.u, "{event}");
                self.u = event["u"].as_u64().unwrap();
                self.is_complete = event["last"].as_bool().unwrap();
            }
            "SC" => {
                self.n_deltas += 1;
                let mut row = event.as_object().unwrap().clone();
                row.remove("ev");
                let symbol = row.remove("sym").unwrap();
                self.rows.insert(symbol.as_str().unwrap().to_owned(), row.into());
            }
            "out" => {
                // It may name a symbol that came and went while a snapshot was sent.
                self.rows.remove(event["sym"].as_str().unwrap());
            }
            "status" => {
                if let Some(u) = event["seq"]["SC"].as_u64() {
                    self.u = u;
                }
            }
            "hb" => {
                if let Some(u) = event["seq"]["SC"].as_u64() {
                    assert_eq!(u, self.u, "{event}");
                }
            }
            _ => panic!("{event}"),
        }
    }

    pub(crate) fn take_all(&mut self, events: &[Value]) {
        for event in events {
            self.take(event);
        }
    }

    pub(crate) fn check_equals(&self, hub: &Hub) {
        let snapshot = hub.snapshot();
        assert_eq!(self.rows.len(), snapshot.rows().len());
        for row in snapshot.rows() {
            let expected: Value = serde_json::from_slice(&row.json).unwrap();
            assert_eq!(self.rows[row.result.symbol.as_str()], expected);
        }
    }
}
