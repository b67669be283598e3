//! Whatever lands on the bus: it is refused with a reason, counted, kept as a dead letter, and the pipeline goes on.

#![allow(clippy::unwrap_used, reason = "every function in here is part of a test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use runtime::bus::{Bus, BusError, ConsumerSpec, MESSAGE_ID_HEADER, Start};
use runtime::streams::PipelineStream;
use schemas::subject::{BatchKind, Namespace};
use schemas::{
    Bar, BarBatch, BarBatchBuilder, BarBatchV1, BarFlags, EventTime, Header, Message as _, Partition, Symbol, Timeframe,
};
use tempfile::TempDir;
use tests::nats::NatsServer;
use tests::technic::{Expected, Fleet, Market, connect, difference, metric, rows_text, until};
use tokio::runtime::Runtime;

const LIVE: Namespace = Namespace::Live;
const TIMEFRAME: Timeframe = Timeframe::D1;
const N_SESSIONS: u32 = 40;

/// Nothing in here takes this long unless it hangs.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// Numbers the batches that are put on the bus.
static SEQ: AtomicU64 = AtomicU64::new(1);

/// A fleet at rest, a way to put anything on its bus, and what is to come of it.
struct World {
    runtime: Runtime,
    bus: Bus,
    fleet: Fleet,
    expected: Expected,
    market: Market,
    n_letters: u64,
    _server: NatsServer,
    _dir: TempDir,
}

/// A message that a service refused.
#[derive(Debug)]
struct Letter {
    service: String,
    reason: String,
    detail: String,
    subject: String,
    payload: Bytes,
}

impl World {
    fn new() -> Self {
        let market = Market::generate(50, N_SESSIONS);
        let dir = market.folder();
        let expected = Expected::of(dir.path());
        let server = NatsServer::start().expect("there is a nats-server");
        let runtime = Runtime::new().expect("there are threads");
        let bus = runtime.block_on(connect(&server.url()));
        let mut fleet = Fleet::start(&server.url(), dir.path());
        fleet.settles_at(&expected);
        Self { runtime, bus, fleet, expected, market, n_letters: 0, _server: server, _dir: dir }
    }

    fn publish(&self, subject: &str, payload: impl Into<Bytes>) -> u64 {
        let ack = self.runtime.block_on(self.bus.publish(subject, None, payload.into()));
        ack.expect("the stream takes anything").sequence
    }

    /// The letters since the last look, when there are this many.
    fn letters(&mut self, n_letters: u64) -> Vec<Letter> {
        let stream = PipelineStream::Dead.name(&LIVE);
        let newest = self.n_letters + n_letters;
        until(&format!("{n_letters} dead letters"), WAIT_MAX, || {
            let state = self.runtime.block_on(self.bus.stream_state(&stream)).expect("the stream is there");
            (state.last_sequence >= newest).then_some(())
        });
        let letters = self.runtime.block_on(async {
            let start = Start::Sequence(self.n_letters + 1);
            let filter = LIVE.dead_letters();
            let spec = ConsumerSpec { stream, durable: "e2e".to_owned(), filter, start, batch_max: 64 };
            let mut consumer = self.bus.consume(spec).await.expect("the stream is there");
            let mut letters = Vec::new();
            for _ in 0..n_letters {
                let delivery = consumer.next().await.expect("a letter");
                delivery.ack().await.expect("the server is there");
                let header = |name: &str| {
                    let found = delivery.headers.iter().find(|(known, _)| known == name);
                    found.unwrap_or_else(|| panic!("no {name} in {:?}", delivery.headers)).1.clone()
                };
                let service = delivery.subject.rsplit('.').next().expect("a subject has an end").to_owned();
                assert_eq!(delivery.subject, LIVE.dead(&service));
                letters.push(Letter {
                    service,
                    reason: header("Technic-Reason"),
                    detail: header("Technic-Detail"),
                    subject: header("Technic-Subject"),
                    payload: delivery.payload.clone(),
                });
            }
            consumer.end().await.expect("the server is there");
            letters
        });
        self.n_letters = newest;
        letters
    }

    /// Puts a message where it does not belong; one service refuses it for that reason.
    #[track_caller]
    fn check_refused(&mut self, subject: &str, payload: impl Into<Bytes>, service: &str, reason: &str, detail: &str) {
        self.check_refused_by(subject, payload, &[service], reason, detail);
    }

    /// `services` in alphabetical order; each refuses for itself.
    fn check_refused_by(
        &mut self,
        subject: &str,
        payload: impl Into<Bytes>,
        services: &[&str],
        reason: &str,
        detail: &str,
    ) {
        let payload = payload.into();
        let counters: Vec<_> = services
            .iter()
            .map(|service| {
                let process = if ["results", "facts"].contains(service) { "publisher" } else { service };
                let counter = format!("technic_{service}_rejected_total{{reason=\"{reason}\"}}");
                let admin = self.fleet.process(process).admin_address();
                let before = metric(admin, &counter).expect("it answers").unwrap_or(0.0);
                (admin, counter, before)
            })
            .collect();
        self.publish(subject, payload.clone());
        let mut letters = self.letters(services.len() as u64);
        letters.sort_by(|one, other| one.service.cmp(&other.service));
        for (letter, service) in letters.iter().zip(services) {
            assert_eq!((letter.service.as_str(), letter.reason.as_str()), (*service, reason), "{letter:?}");
            assert_eq!((letter.subject.as_str(), &letter.payload), (subject, &payload), "{letter:?}");
            assert!(letter.detail.contains(detail), "{letter:?}");
        }
        for (admin, counter, before) in counters {
            let after = metric(admin, &counter).expect("it answers").unwrap_or(0.0);
            assert!(after > before, "{counter} stays at {before}");
        }
    }

    /// Everything that was sent until now has been through, and changed nothing.
    fn check_unchanged(&mut self) {
        self.fleet.settles_at(&self.expected);
    }

    /// Waits until the indicator has read so many rows.
    fn until_rows(&mut self, n_rows: f64) {
        let admin = self.fleet.process("indicator").admin_address();
        until(&format!("{n_rows} rows"), WAIT_MAX, || {
            (metric(admin, "technic_indicator_rows_in_total").ok()?? >= n_rows).then_some(())
        });
    }

    fn n_rows(&mut self) -> f64 {
        let admin = self.fleet.process("indicator").admin_address();
        metric(admin, "technic_indicator_rows_in_total").expect("it answers").expect("it is counted")
    }
}

fn symbol(text: &str) -> Symbol {
    Symbol::new(text).expect("a symbol")
}

fn subject_of(kind: BatchKind, symbol: Symbol) -> String {
    LIVE.batch(kind, TIMEFRAME, Partition::of(symbol))
}

/// A bar of a session that nobody has seen yet.
fn bar(session: u32, close: f64) -> Bar {
    Bar {
        open_time: EventTime::from_days(Market::day_of(session)),
        open: close,
        high: close * 1.1,
        low: close * 0.9,
        close,
        volume: 1e6,
        revision: 0,
        flags: BarFlags::FINAL.with(BarFlags::REPLAYED),
    }
}

fn batch(symbol: Symbol, bars: impl IntoIterator<Item = Bar>) -> BarBatch {
    let partition = Partition::of(symbol);
    let mut builder = BarBatchBuilder::new(partition);
    bars.into_iter().for_each(|bar| builder.push(symbol, bar));
    builder.finish(Header {
        timeframe: TIMEFRAME,
        partition,
        epoch: 1,
        // Two batches of one number would be one batch to the streams behind.
        seq: SEQ.fetch_add(1, Ordering::Relaxed),
        event_time: EventTime::default(),
        ingest_time: EventTime::default(),
        source: "replay".to_owned(),
        watermark: None,
    })
}

/// A message with something in it that no checked type can hold.
fn wire(symbol: Symbol, spoil: impl FnOnce(&mut BarBatchV1)) -> Vec<u8> {
    let mut wire = batch(symbol, [bar(N_SESSIONS, 1.0)]).to_wire();
    spoil(&mut wire);
    rmp_serde::to_vec_named(&wire).expect("it serialises")
}

/// A symbol of the market, and one that lives in another partition.
fn two_symbols() -> (Symbol, Symbol) {
    let first = symbol("GEN000");
    let other = (1..50).map(|n| symbol(&format!("GEN{n:03}"))).find(|one| Partition::of(*one) != Partition::of(first));
    (first, other.expect("they are not all in one partition"))
}

/// Makes a batch one that cannot be.
type Spoil = fn(&mut BarBatchV1);

/// Anything but a message: reproducible, and longer than any field.
fn noise() -> Vec<u8> {
    (0..5000_u32).map(|n| u8::try_from((n.wrapping_mul(2_654_435_761) >> 13) & 0xff).expect("a byte")).collect()
}

#[test]
fn messages_that_cannot_be_are_refused_and_change_nothing() {
    let mut world = World::new();
    let (one, other) = two_symbols();
    let bars = subject_of(BatchKind::Bar, one);
    world.check_refused(&bars, noise(), "indicator", "malformed", "bar");
    world.check_refused(&bars, Vec::new(), "indicator", "malformed", "bar");
    world.check_refused(&bars, &b"{\"symbol\":\"GEN000\"}"[..], "indicator", "malformed", "bar");
    world.check_refused(&bars, wire(one, |wire| wire.header.schema = 2), "indicator", "unknown_schema", "2");
    let spoilt: [(&str, Spoil); 9] = [
        ("finite", |wire| wire.close.0[0] = f64::NAN),
        ("finite", |wire| wire.volume.0[0] = f64::INFINITY),
        ("below low", |wire| wire.high.0[0] = wire.low[0] * 0.5),
        ("outside", |wire| wire.close.0[0] = wire.high[0] * 2.0),
        ("above zero", |wire| wire.low.0[0] = -1.0),
        ("negative", |wire| wire.volume.0[0] = -1.0),
        ("revision", |wire| wire.revision.0[0] = -1),
        ("flags", |wire| wire.flags.0[0] = 1 << 20),
        ("2 values", |wire| wire.close.0.push(1.0)),
    ];
    for (detail, spoil) in spoilt {
        world.check_refused(&bars, wire(one, spoil), "indicator", "invalid", detail);
    }
    let partition = Partition::of(other).get();
    world.check_refused(
        &bars,
        wire(one, |wire| wire.header.partition = partition),
        "indicator",
        "invalid",
        "partition",
    );
    world.check_refused(&bars, wire(one, |wire| wire.header.partition = 64), "indicator", "invalid", "partition");
    // Half a message.
    let whole = batch(one, [bar(N_SESSIONS, 1.0)]).encode();
    world.check_refused(&bars, whole[..whole.len() / 2].to_vec(), "indicator", "malformed", "bar");

    // The publisher reads the features, too.
    let readers: [(_, &[&str]); 2] =
        [(BatchKind::Feature, &["facts", "inference"]), (BatchKind::Prediction, &["scoring"])];
    for (kind, services) in readers {
        let subject = subject_of(kind, one);
        world.check_refused_by(&subject, noise(), services, "malformed", kind.as_str());
        // A message of another kind is none of this kind.
        world.check_refused_by(&subject, whole.clone(), services, "malformed", kind.as_str());
    }
    world.check_refused(&LIVE.instrument(one), noise(), "scoring", "malformed", "instrument");
    // Two services read the scores: each refuses for itself.
    world.publish(&subject_of(BatchKind::Score, one), noise());
    let mut services: Vec<String> = world.letters(2).into_iter().map(|letter| letter.service).collect();
    services.sort();
    assert_eq!(services, ["publisher", "results"]);
    world.check_unchanged();

    // Also not for those who start now, and read all of it again.
    for service in ["scoring", "publisher", "inference", "indicator", "ingest"] {
        world.fleet.kill9_and_restart(service);
    }
    world.check_unchanged();
}

#[test]
fn bars_that_come_again_or_too_late_change_nothing() {
    let mut world = World::new();
    let one = symbol("GEN000");
    let subject = subject_of(BatchKind::Bar, one);
    let before = world.n_rows();
    let last = |market: &Market| market.row(usize::try_from(N_SESSIONS).expect("it fits") - 1);
    let known = last(&world.market);
    let [open, high, low, close] = known.prices;
    let again = Bar { open, high, low, volume: known.volume, ..bar(N_SESSIONS - 1, close) };
    let stored = world.runtime.block_on(world.bus.last(&PipelineStream::Batches(BatchKind::Bar).name(&LIVE), &subject));
    let stored = stored.unwrap().expect("the partition has bars");
    world.runtime.block_on(async {
        let headers = [(MESSAGE_ID_HEADER, "another id")];
        world.bus.publish_with_headers(&subject, &headers, stored.payload.clone()).await.unwrap();
    });
    // The same session with other numbers, earlier ones, one that is forming although it is closed.
    let forming = Bar { flags: BarFlags::REPLAYED, revision: 1, ..bar(N_SESSIONS - 1, close * 2.0) };
    for late in [
        again,
        bar(N_SESSIONS - 1, close * 3.0),
        bar(3, close * 3.0),
        Bar { open_time: EventTime::from_days(1), ..bar(0, close) },
        forming,
    ] {
        world.publish(&subject, batch(one, [late]).encode());
    }
    let n_stored = BarBatch::decode(&stored.payload).unwrap().len();
    world.until_rows(before + 5.0 + n_stored as f64);
    world.check_unchanged();
}

/// STYLE §7: nothing is dropped without a counter.
#[test]
fn bars_that_come_too_late_are_counted() {
    let mut world = World::new();
    let one = symbol("GEN000");
    world.publish(&subject_of(BatchKind::Bar, one), batch(one, [bar(3, 1.0)]).encode());
    let admin = world.fleet.process("indicator").admin_address();
    until("the late bar is counted", WAIT_MAX, || {
        let counted = metric(admin, "technic_indicator_rejected_total{reason=\"time_went_back\"}").ok()??;
        (counted >= 1.0).then_some(())
    });
}

/// A message on the subject of another partition would move a symbol in the stream of its neighbours, out of order.
#[test]
fn a_batch_on_the_subject_of_another_partition_is_refused() {
    let mut world = World::new();
    let (one, other) = two_symbols();
    let payload = batch(one, [bar(N_SESSIONS, 3.0)]).encode();
    world.check_refused(&subject_of(BatchKind::Bar, other), payload, "indicator", "wrong_partition", "subject");
    world.check_unchanged();
}

#[test]
fn a_symbol_without_reference_data_is_ranked_once_it_has_history() {
    let mut world = World::new();
    let new = symbol("NEW.X=1");
    let subject = subject_of(BatchKind::Bar, new);
    let history = |sessions: std::ops::Range<u32>| {
        batch(new, sessions.map(|session| bar(session, 10.0 + f64::from(session)))).encode()
    };
    let before = world.n_rows();
    world.publish(&subject, history(N_SESSIONS - 20..N_SESSIONS - 1));
    world.until_rows(before + 19.0);
    world.check_unchanged();
    world.publish(&subject, history(N_SESSIONS - 1..N_SESSIONS));
    let results = until("the new symbol is ranked", WAIT_MAX, || {
        world.fleet.results().filter(|results| rows_text(results).contains_key("NEW.X=1"))
    });
    let rows = rows_text(&results);
    assert_eq!(rows.len(), 51);
    let row: serde_json::Value = serde_json::from_str(rows["NEW.X=1"]).unwrap();
    assert_eq!((&row["sector"], &row["name"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!((&row["freshness"]["n_bars"], &row["close"]), (&20.into(), &49.0.into()));
    // The cold scan of the same bars agrees, once the table is at rest.
    let mut market = world.market.clone();
    for session in N_SESSIONS - 20..N_SESSIONS {
        let Bar { open, high, low, close, volume, .. } = bar(session, 10.0 + f64::from(session));
        market.push(tests::technic::MarketRow {
            symbol: Some("NEW.X=1".to_owned()),
            day: Some(Market::day_of(session)),
            prices: [open, high, low, close],
            volume,
            ..market.row(0)
        });
    }
    let expected = Expected::of(market.folder().path());
    until("the ranks of all are those of the scan", WAIT_MAX, || {
        difference(&world.fleet.results()?, &expected.results).is_none().then_some(())
    });
}

#[test]
fn a_payload_too_large_is_refused_before_it_is_sent() {
    let server = NatsServer::start().unwrap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let bus = connect(&server.url()).await;
        runtime::streams::ensure(&bus, &LIVE).await.unwrap();
        let subject = subject_of(BatchKind::Bar, symbol("GEN000"));
        let error = bus.publish(&subject, None, vec![0; 10_000_000].into()).await.unwrap_err();
        assert!(matches!(error, BusError::TooLarge { .. }), "{error}");
        // The connection lives on.
        bus.publish(&subject, None, Bytes::from_static(b"x")).await.unwrap();
        bus.close().await;
    });
}
