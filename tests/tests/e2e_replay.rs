//! The streaming pipeline ends in the table of the cold scan, byte for byte, whatever dies on the way.

#![allow(clippy::unwrap_used, reason = "every function in here is part of a test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use runtime::bus::{Bus, ConsumerSpec, Start};
use runtime::streams::PipelineStream;
use schemas::ResultV1;
use schemas::subject::{BatchKind, Namespace};
use tests::folders::data_dir;
use tests::nats::NatsServer;
use tests::technic::{
    BARS_FILE, DEADLINE, Expected, Fleet, Launch, Market, SERVICES, body_of, connect, days_of, difference,
    last_sessions, metric, read_parquet, results_text, rows_text, until,
};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, MutexGuard};

/// Sessions of the reduced folder: enough for most indicators, and for the stages to be far apart.
const N_SESSIONS: usize = 60;

/// How long a service may take to stop, beyond the default of `shutdown.deadline`.
const STOP_MAX: Duration = Duration::from_secs(12);

/// Each case takes all processors: side by side they would only be slower.
static TURN: Mutex<()> = Mutex::const_new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.blocking_lock()
}

/// A server, and a look at how far the streams on it are.
struct World {
    runtime: Runtime,
    server: NatsServer,
    bus: Bus,
}

impl World {
    fn new() -> Self {
        let runtime = Runtime::new().expect("there are threads");
        let server = NatsServer::start().expect("there is a nats-server");
        let bus = runtime.block_on(connect(&server.url()));
        Self { runtime, server, bus }
    }

    /// The newest sequence of a stream; 0 while there is none.
    fn n_messages(&self, kind: BatchKind) -> u64 {
        let name = PipelineStream::Batches(kind).name(&Namespace::Live);
        self.runtime.block_on(self.bus.stream_state(&name)).map_or(0, |state| state.last_sequence)
    }

    /// Waits for a stream to come so far, with all services running.
    fn until_messages(&self, fleet: &mut Fleet, kind: BatchKind, n_messages: u64) {
        until(&format!("{n_messages} {} messages", kind.as_str()), DEADLINE, || {
            fleet.check_running();
            (self.n_messages(kind) >= n_messages).then_some(())
        });
    }

    /// The last message of every result subject, as text by symbol; without symbols that left the table.
    fn results(&self) -> BTreeMap<String, String> {
        self.runtime.block_on(async {
            let stream = PipelineStream::Results.name(&Namespace::Live);
            let newest = self.bus.stream_state(&stream).await.expect("the stream is there").last_sequence;
            let filter = Namespace::Live.results();
            let spec = ConsumerSpec {
                stream,
                durable: "e2e".to_owned(),
                filter,
                start: Start::LastPerSubject,
                batch_max: 512,
            };
            let mut consumer = self.bus.consume(spec).await.expect("the stream is there");
            let mut rows = BTreeMap::new();
            loop {
                let delivery = consumer.next().await.expect("a message");
                delivery.ack().await.expect("the server is there");
                let result = ResultV1::from_json(&delivery.payload).expect("a result");
                assert_eq!(delivery.subject, Namespace::Live.result(result.symbol));
                let text = std::str::from_utf8(&delivery.payload).expect("JSON is text");
                let (_, row) = text.split_once(r#","row":"#).expect("a result has a row");
                if result.row.is_none() {
                    rows.remove(result.symbol.as_str());
                } else {
                    let row = row.strip_suffix('}').expect("the row comes last, where there is one");
                    rows.insert(result.symbol.to_string(), row.to_owned());
                }
                if delivery.sequence >= newest {
                    consumer.end().await.expect("the server is there");
                    return rows;
                }
            }
        })
    }
}

/// How many messages each stream carries in a replay at least: one of each partition for each session.
fn n_messages_of(dir: &Path) -> u64 {
    let mut days = days_of(&read_parquet(&dir.join(BARS_FILE)), "date");
    days.sort_unstable();
    days.dedup();
    days.len() as u64 * u64::from(schemas::N_PARTITIONS)
}

#[test]
fn in_one_process_the_replay_ends_in_the_table_of_the_scan() {
    let Some(dir) = data_dir() else { return };
    let _turn = turn();
    let expected = Expected::of(&dir);
    let state = tempfile::tempdir().unwrap();
    let source = format!("replay:{}", dir.display());
    let mut process = Launch::of(&[], state.path()).flag("--source", &source).start();
    let address = process.address();
    until("the replay is through", DEADLINE, || {
        let status: serde_json::Value = serde_json::from_str(&body_of(address, "/v1/status").ok()?).ok()?;
        status["watermark"].as_str()?.starts_with(&expected.as_of).then_some(())
    });
    let mut last = String::new();
    until("the table is at rest", Duration::from_secs(20), || {
        let document = body_of(address, "/v1/scan?limit=10000").unwrap();
        last = difference(results_text(&document), &expected.results).unwrap_or_default();
        last.is_empty().then_some(())
    });
    assert!(process.stdout().contains("REPLAY"), "{}", process.stdout());
    process.terminate();
    assert_eq!(process.wait(STOP_MAX).code(), Some(0), "{}", process.stderr());
}

#[test]
fn five_processes_end_in_the_table_of_the_scan_and_leave_it_on_the_bus() {
    let Some(dir) = data_dir() else { return };
    let _turn = turn();
    let dir = last_sessions(&dir, N_SESSIONS);
    let expected = Expected::of(dir.path());
    let world = World::new();
    let mut fleet = Fleet::start(&world.server.url(), dir.path());
    fleet.settles_at(&expected);
    let table = rows_text(&expected.results);
    until("the results on the bus are those of the table", Duration::from_secs(30), || {
        let results = world.results();
        let is_same = |(symbol, row): (&&str, &&str)| results.get(*symbol).is_some_and(|result| result == row);
        (results.len() == table.len() && table.iter().all(is_same)).then_some(())
    });
}

#[test]
fn each_process_killed_in_mid_stream_changes_nothing() {
    let Some(dir) = data_dir() else { return };
    let _turn = turn();
    let expected = Expected::of(&dir);
    let n_messages = n_messages_of(&dir);
    let world = World::new();
    let mut fleet = Fleet::start(&world.server.url(), &dir);
    for (service, reads, percent) in [
        ("ingest", BatchKind::Bar, 15),
        ("indicator", BatchKind::Feature, 30),
        ("publisher", BatchKind::Prediction, 40),
        ("inference", BatchKind::Prediction, 50),
        ("scoring", BatchKind::Prediction, 65),
    ] {
        world.until_messages(&mut fleet, reads, n_messages * percent / 100);
        let is_through = fleet.status().is_some_and(|status| {
            status["watermark"].as_str().is_some_and(|watermark| watermark.starts_with(&expected.as_of))
        });
        assert!(!is_through, "{service} is not killed in mid-stream");
        fleet.kill9_and_restart(service);
    }
    fleet.settles_at(&expected);
    // With all that was ever scored before it.
    fleet.kill9_and_restart("publisher");
    fleet.settles_at(&expected);
}

#[test]
fn a_server_killed_in_mid_stream_changes_nothing() {
    let Some(dir) = data_dir() else { return };
    let _turn = turn();
    let dir = last_sessions(&dir, N_SESSIONS);
    let expected = Expected::of(dir.path());
    let n_messages = n_messages_of(dir.path());
    let mut world = World::new();
    let mut fleet = Fleet::start(&world.server.url(), dir.path());
    let mut n_ended = 0;
    for (kind, percent) in [(BatchKind::Bar, 25), (BatchKind::Prediction, 50)] {
        until(&format!("{percent} % of the {} messages", kind.as_str()), DEADLINE, || {
            n_ended += fleet.start_missing().len();
            (world.n_messages(kind) >= n_messages * percent / 100).then_some(())
        });
        world.server.restart().unwrap();
    }
    fleet.settles_at_while(&expected, |fleet| n_ended += fleet.start_missing().len());
    eprintln!("{n_ended} services ended because of it and were started again");
}

#[test]
fn a_stop_is_clean_and_a_restart_goes_on_from_the_snapshots() {
    let Some(dir) = data_dir() else { return };
    let _turn = turn();
    let dir = last_sessions(&dir, N_SESSIONS);
    let expected = Expected::of(dir.path());
    let world = World::new();
    let mut fleet = Fleet::start(&world.server.url(), dir.path());
    world.until_messages(&mut fleet, BatchKind::Prediction, n_messages_of(dir.path()) * 30 / 100);
    for service in SERVICES {
        fleet.process(service).terminate();
    }
    for service in SERVICES {
        let process = fleet.process(service);
        let status = process.wait(STOP_MAX);
        let log = process.stderr();
        assert_eq!(status.code(), Some(0), "{service}: {log}");
        assert!(!log.contains("cut short") && !log.contains("ERROR"), "{service}: {log}");
    }
    assert_eq!(fleet.start_missing().len(), SERVICES.len());
    fleet.settles_at(&expected);
    for service in ["indicator", "inference", "scoring"] {
        let log = fleet.process(service).stderr();
        let n_restored = log.split("n_restored=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let n_restored: u32 = n_restored.and_then(|text| text.parse().ok()).unwrap_or(0);
        assert_eq!(n_restored, u32::from(schemas::N_PARTITIONS), "{service}: {log}");
        assert!(!log.contains("snapshot not used"), "{service}: {log}");
    }
}

#[test]
fn two_feeds_do_not_mix() {
    let _turn = turn();
    let market = Market::generate(40, 30);
    let dir = market.folder();
    let world = World::new();
    let mut fleet = Fleet::start(&world.server.url(), dir.path());
    let expected = Expected::of(dir.path());
    fleet.settles_at(&expected);

    let state = tempfile::tempdir().unwrap();
    let start = |source: &str| {
        let launch = Launch::of(&["ingest"], state.path()).flag("--bus", &world.server.url()).flag("--source", source);
        launch.start().finish()
    };
    start("synthetic").expect(1, &["`replay`", "`synthetic`"]);
    // Another selection of the same kind is another feed as well.
    let other = Market::generate(41, 30).folder();
    start(&format!("replay:{}", other.path().display())).expect(1, &["another feed", "epoch"]);
    let results = fleet.results().unwrap();
    assert_eq!(difference(&results, &expected.results), None);
    // The feed itself is welcome again, and has nothing to add.
    let before = world.n_messages(BatchKind::Bar);
    fleet.kill9_and_restart("ingest");
    let admin = fleet.process("ingest").admin_address();
    until("the feed has been read again", DEADLINE, || {
        let n_rows = metric(admin, "technic_ingest_rows_in_total").ok()??;
        (n_rows >= market.len() as f64).then_some(())
    });
    assert_eq!(world.n_messages(BatchKind::Bar), before);
    fleet.settles_at(&expected);
}
