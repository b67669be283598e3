//! Bars that somebody sends over NATS: minutes make the day that is forming, and the day moves the scores.

#![allow(clippy::unwrap_used, reason = "every function in here is part of a test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use runtime::bus::Bus;
use schemas::EventTime;
use serde_json::{Value, json};
use tests::nats::NatsServer;
use tests::technic::{Launch, Market, MarketRow, Process, body_of, connect, get, run, until};

const N_SYMBOLS: u32 = 40;
/// The last one comes as minutes.
const N_SESSIONS: u32 = 121;

/// Nothing in here takes this long unless it hangs.
const WAIT_MAX: Duration = Duration::from_mins(2);

fn json_of(address: SocketAddr, path: &str) -> Option<Value> {
    serde_json::from_str(&body_of(address, path).ok()?).ok()
}

/// Every row by symbol, without what says when and how it came.
fn rows(document: &Value) -> BTreeMap<String, Value> {
    let rows = document["results"].as_array().unwrap().iter().map(|row| {
        let mut row = row.clone();
        row.as_object_mut().unwrap().remove("freshness");
        (row["symbol"].as_str().unwrap().to_owned(), row)
    });
    rows.collect()
}

/// Rows once they are as expected, by what `look` takes from them.
fn settled<T: PartialEq + std::fmt::Debug>(
    process: &mut Process,
    what: &str,
    look: impl Fn(&Value) -> T,
    expected: &BTreeMap<String, T>,
) -> BTreeMap<String, Value> {
    let address = process.address();
    let mut last = None;
    until(&format!("{what}, last seen {last:?}"), WAIT_MAX, || {
        assert!(process.ended().is_none(), "{}", process.stderr());
        let rows = rows(&json_of(address, "/v1/scan?limit=1000")?);
        let found: BTreeMap<String, T> = rows.iter().map(|(symbol, row)| (symbol.clone(), look(row))).collect();
        let is_there = found == *expected;
        last = Some(found);
        is_there.then_some(rows)
    })
}

fn close(row: &Value) -> u64 {
    row["close"].as_f64().unwrap().to_bits()
}

fn closes(rows: &[MarketRow], part: fn(&MarketRow) -> f64) -> BTreeMap<String, u64> {
    rows.iter().map(|row| (row.symbol.clone().unwrap(), part(row).to_bits())).collect()
}

fn middle(row: &MarketRow) -> f64 {
    let [open, _, _, close] = row.prices;
    f64::midpoint(open, close)
}

/// Two minutes that make the day: to its high, and over its low to its close.
fn minutes(row: &MarketRow) -> [Value; 2] {
    // Half past nine in New York, in summer.
    let open_ns = EventTime::from_days(row.day.unwrap()).as_ns() + (13 * 60 + 30) * 60_000_000_000;
    let ([open, high, low, close], middle) = (row.prices, middle(row));
    let minute = |offset: i64, [open, high, low, close]: [f64; 4]| {
        json!({
            "symbol": row.symbol, "open_time_ns": open_ns + offset * 60_000_000_000,
            "open": open, "high": high, "low": low, "close": close, "volume": row.volume / 2.0,
        })
    };
    [minute(0, [open, high, open.min(middle), middle]), minute(7, [middle, middle.max(close), low, close])]
}

async fn send(bus: &Bus, messages: impl Iterator<Item = String>) {
    for message in messages {
        bus.publish_core("technic.v1.in.bar.test", message.into()).await.unwrap();
    }
}

fn until_ready(process: &mut Process) {
    let address = process.address();
    until("it is ready", WAIT_MAX, || (get(address, "/readyz").ok()?.status == 200).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_minutes_ends_in_the_scores_of_its_daily_bar_also_across_a_crash() {
    let market = Market::generate(N_SYMBOLS, N_SESSIONS);
    let last_day = Market::day_of(N_SESSIONS - 1);
    let history = market.map(|_, row| if row.day == Some(last_day) { vec![] } else { vec![row] }).folder();
    let today: Vec<MarketRow> =
        (0..market.len()).map(|at| market.row(at)).filter(|row| row.day == Some(last_day)).collect();
    let yesterday: Vec<MarketRow> = (0..market.len())
        .map(|at| market.row(at))
        .filter(|row| row.day == Some(Market::day_of(N_SESSIONS - 2)))
        .collect();
    let full = market.folder();
    let scan = run(["scan", "--data", &full.path().to_string_lossy(), "--format", "json"]).expect(0, &[]);
    let expected = rows(&serde_json::from_str(&scan.stdout).unwrap());
    assert_eq!(expected.len(), today.len(), "every symbol is ranked");

    let nats = NatsServer::start().unwrap();
    let bus = connect(&nats.url()).await;
    let state = tempfile::tempdir().unwrap();
    let launch = Launch::of(&[], state.path())
        .set("INGEST__INTAKE__HISTORY", &history.path().to_string_lossy())
        .flag("--source", "nats")
        .flag("--bus", &nats.url());
    let mut process = launch.start();
    until_ready(&mut process);
    let before = settled(&mut process, "history is ranked", close, &closes(&yesterday, |row| row.prices[3]));
    assert!(process.stdout().contains("LIVE"), "{}", process.stdout());

    send(&bus, today.iter().map(|row| minutes(row)[0].to_string())).await;
    let forming = settled(&mut process, "the day is forming", close, &closes(&today, middle));
    let n_moved = forming.iter().filter(|(symbol, row)| row["merit"] != before[*symbol]["merit"]).count();
    assert!(n_moved > today.len() / 2, "{n_moved} scores moved");
    let address = process.address();
    assert_eq!(json_of(address, "/v1/status").unwrap()["data"], "live");

    // What the first minutes said must not be lost with the process.
    process.kill9();
    let mut process = launch.start();
    until_ready(&mut process);
    send(&bus, ["rubbish".to_owned(), r#"{"symbol":"GEN000"}"#.to_owned()].into_iter()).await;
    send(&bus, today.iter().map(|row| minutes(row)[1].to_string())).await;
    let pick = |row: &Value| (close(row), row["merit"].as_f64().unwrap().to_bits());
    let picked = expected.iter().map(|(symbol, row)| (symbol.clone(), pick(row))).collect();
    let found = settled(&mut process, "the day is complete", pick, &picked);
    for (symbol, row) in &expected {
        assert_eq!(&found[symbol], row, "{symbol}");
    }

    let letter = until("rubbish is kept", WAIT_MAX, || {
        let last = bus.last("DEAD", "technic.v1.dead.ingest");
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(last)).ok()?
    });
    let header = |name: &str| letter.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!((header("Technic-Reason"), &letter.payload[..]), (Some("invalid"), &br#"{"symbol":"GEN000"}"#[..]));
    assert!(header("Technic-Detail").unwrap().contains("open_time_ns"), "{letter:?}");
}
