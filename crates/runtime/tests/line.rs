//! The run loop over the in-process bus: what is published, acknowledged, rejected and recovered.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use pipeline::{Rejected, Restore, Stage};
use runtime::admin::Health;
use runtime::bus::{Bus, BusError, Delivery, MemoryBus, Stored};
use runtime::line::{self, Decoded, Line, LineError, Surroundings};
use runtime::outlet::{BusOutlet, Outgoing, Outlet, Tagged};
use runtime::shutdown::Shutdown;
use runtime::stage_metrics::StageMetrics;
use runtime::state_store::StateStore;
use runtime::streams::PipelineStream;
use runtime::telemetry::Metrics;
use schemas::subject::{BatchKind, Namespace};
use schemas::{
    Bar, BarBatch, BarBatchBuilder, BarFlags, CodecError, EventTime, FeatureBatch, Header, Message as _, N_PARTITIONS,
    Partition, Symbol, Timeframe,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const NAMESPACE: Namespace = Namespace::Live;
const DEADLINE: Duration = Duration::from_secs(20);

/// Numbers the rows of each partition: an input that is applied twice, or not at all, shows in every later output.
#[derive(Debug)]
struct Counting {
    n_rows: Vec<f64>,
    refuse_seq: Option<u64>,
    /// No partition may have counted more rows than this one.
    slowest: Option<Partition>,
}

impl Default for Counting {
    fn default() -> Self {
        Self { n_rows: vec![0.0; usize::from(N_PARTITIONS)], refuse_seq: None, slowest: None }
    }
}

impl Stage for Counting {
    type Input = BarBatch;
    type Output = FeatureBatch;

    fn on_batch(&mut self, bars: BarBatch, out: &mut Vec<FeatureBatch>) -> Result<(), Rejected> {
        if self.refuse_seq == Some(bars.header().seq) {
            return Err(Rejected::new("refused", "as the test asked\r\nfor"));
        }
        let count = &mut self.n_rows[bars.header().partition.index()];
        let matrix = bars
            .rows()
            .iter()
            .map(|_| {
                *count += 1.0;
                *count
            })
            .collect();
        out.push(FeatureBatch::new(bars, 7, matrix).unwrap());
        Ok(())
    }

    fn on_idle(&mut self, _: &mut Vec<FeatureBatch>) {}

    fn on_refresh(&mut self, _: &mut Vec<FeatureBatch>) {}

    fn needs_refresh(&self) -> bool {
        false
    }

    fn is_ahead(&self, partition: Partition) -> bool {
        self.slowest.is_some_and(|slowest| self.n_rows[partition.index()] > self.n_rows[slowest.index()])
    }
}

impl Restore for Counting {
    fn layout(&self) -> u64 {
        1
    }

    fn snapshot(&self, partition: Partition) -> Vec<u8> {
        self.n_rows[partition.index()].to_le_bytes().to_vec()
    }

    fn restore(&mut self, partition: Partition, bytes: &[u8]) -> Result<(), Rejected> {
        let bytes = bytes.try_into().map_err(|_| Rejected::new("snapshot", "not eight bytes"))?;
        self.n_rows[partition.index()] = f64::from_le_bytes(bytes);
        Ok(())
    }
}

/// Publishes, but fails for good after so many deliveries: a crash between two publishes.
struct Breaking {
    outlet: BusOutlet,
    n_left: usize,
}

impl Outlet<FeatureBatch> for Breaking {
    fn deliver(
        &mut self,
        mut outputs: Vec<Tagged<FeatureBatch>>,
    ) -> impl Future<Output = Result<usize, BusError>> + Send + use<> + 'static {
        let is_broken = outputs.len() > self.n_left;
        outputs.truncate(self.n_left);
        self.n_left -= outputs.len();
        let delivered = self.outlet.deliver(outputs);
        async move {
            delivered.await?;
            if is_broken { Err(BusError::Closed) } else { Ok(0) }
        }
    }
}

/// Publishes, but holds back what goes to one partition until the gate opens.
struct Gated {
    outlet: BusOutlet,
    partition: Partition,
    gate: watch::Receiver<bool>,
}

impl Outlet<FeatureBatch> for Gated {
    fn deliver(
        &mut self,
        outputs: Vec<Tagged<FeatureBatch>>,
    ) -> impl Future<Output = Result<usize, BusError>> + Send + use<> + 'static {
        let is_held = |tagged: &Tagged<FeatureBatch>| tagged.output.header().partition == self.partition;
        let (held, free): (Vec<_>, Vec<_>) = outputs.into_iter().partition(is_held);
        let mut gate = self.gate.clone();
        let (free, held) = (self.outlet.deliver(free), (!held.is_empty()).then(|| self.outlet.deliver(held)));
        async move {
            let n_free = free.await?;
            let Some(held) = held else { return Ok(n_free) };
            gate.wait_for(|is_open| *is_open).await.unwrap();
            Ok(n_free + held.await?)
        }
    }
}

fn decode(delivery: &Delivery) -> Result<Decoded<BarBatch>, CodecError> {
    let input = BarBatch::decode(&delivery.payload)?;
    let n_rows = input.len();
    Ok(Decoded::batch(input, n_rows, BarBatch::header))
}

fn symbol() -> Symbol {
    Symbol::new("TEST").unwrap()
}

fn batch(seq: u64) -> BarBatch {
    batch_of(symbol(), seq)
}

fn batch_of(symbol: Symbol, seq: u64) -> BarBatch {
    let partition = Partition::of(symbol);
    let mut builder = BarBatchBuilder::new(partition);
    let bar = Bar {
        open_time: EventTime::from_days(i32::try_from(seq).unwrap()),
        open: 1.0,
        high: 1.0,
        low: 1.0,
        close: 1.0,
        volume: 1.0,
        revision: 0,
        flags: BarFlags::FINAL,
    };
    builder.push(symbol, bar);
    builder.finish(Header {
        timeframe: Timeframe::D1,
        partition,
        epoch: 1,
        seq,
        event_time: EventTime(0),
        ingest_time: EventTime(0),
        source: "test".to_owned(),
        watermark: None,
    })
}

struct World {
    bus: Bus,
    state: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let bus = support::memory_bus(&NAMESPACE).await;
        Self { bus, state: tempfile::tempdir().unwrap() }
    }

    async fn publish(&self, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            let batch = batch(seq);
            self.publish_bytes(batch.payload()).await;
        }
    }

    async fn publish_bytes(&self, payload: Bytes) {
        let subject = NAMESPACE.batch(BatchKind::Bar, Timeframe::D1, Partition::of(symbol()));
        self.bus.publish(&subject, None, payload).await.unwrap();
    }

    fn start<O>(&self, stage: Counting, outlet: O) -> (Shutdown, JoinHandle<Result<(), LineError>>)
    where
        O: Outlet<FeatureBatch> + Sync + 'static,
    {
        let shutdown = Shutdown::new();
        let line = Line {
            service: "indicator",
            namespace: NAMESPACE,
            timeframe: Timeframe::D1,
            input: BatchKind::Bar,
            output: Some((BatchKind::Feature, Timeframe::D1)),
            with_instruments: false,
            replica: None,
            refresh: Duration::from_millis(250),
            store: Some(StateStore::open(self.state.path(), &NAMESPACE, "indicator", Timeframe::D1).unwrap()),
            save_every: Duration::from_secs(10),
        };
        let surroundings = Surroundings {
            bus: self.bus.clone(),
            shutdown: shutdown.clone(),
            metrics: StageMetrics::register(&Metrics::new(), "indicator"),
            health: Health::new().component("indicator"),
        };
        (shutdown, tokio::spawn(line::run(stage, line, decode, outlet, surroundings)))
    }

    fn outlet(&self) -> BusOutlet {
        BusOutlet::new(self.bus.clone(), NAMESPACE)
    }

    async fn newest(&self) -> Option<Stored> {
        let subject = NAMESPACE.batch(BatchKind::Feature, Timeframe::D1, Partition::of(symbol()));
        let stream = PipelineStream::Batches(BatchKind::Feature).name(&NAMESPACE);
        self.bus.last(&stream, &subject).await.unwrap()
    }

    /// Waits for the output of an input, and checks that it counted every row before it exactly once.
    async fn wait_for(&self, seq: u64, count: f64) {
        let arrived = async {
            loop {
                if let Some(stored) = self.newest().await {
                    let features = FeatureBatch::decode(&stored.payload).unwrap();
                    if features.header().seq == seq {
                        return (features.value(0, 0), stored.sequence);
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let (value, n_published) = tokio::time::timeout(DEADLINE, arrived).await.expect("the output arrives");
        assert_eq!(value, Some(count), "output of input {seq}");
        assert_eq!(n_published, seq, "one output per input, none twice");
    }

    async fn stop(&self, (shutdown, task): (Shutdown, JoinHandle<Result<(), LineError>>)) {
        shutdown.trigger("the test is over");
        tokio::time::timeout(DEADLINE, task).await.expect("it stops").unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_stopped_service_goes_on_where_it_was() {
    let world = World::new().await;
    world.publish(1..=5).await;
    let running = world.start(Counting::default(), world.outlet());
    world.wait_for(5, 5.0).await;
    world.stop(running).await;
    world.publish(6..=9).await;
    let running = world.start(Counting::default(), world.outlet());
    world.wait_for(9, 9.0).await;
    world.stop(running).await;
}

#[tokio::test]
async fn a_crash_between_two_publishes_repeats_nothing_and_loses_nothing() {
    let world = World::new().await;
    world.publish(1..=9).await;
    let (_shutdown, task) = world.start(Counting::default(), Breaking { outlet: world.outlet(), n_left: 4 });
    let error = tokio::time::timeout(DEADLINE, task).await.expect("it halts").unwrap().unwrap_err();
    assert!(matches!(error, LineError::Bus { .. }), "{error}");
    world.wait_for(4, 4.0).await;
    // Nothing was saved: the input is replayed from its start, and what was published before is recognised.
    let running = world.start(Counting::default(), world.outlet());
    world.wait_for(9, 9.0).await;
    world.stop(running).await;
}

#[tokio::test]
async fn a_late_confirmation_holds_up_its_own_partition_alone() {
    let world = World::new().await;
    let other = Symbol::new("OTHER").unwrap();
    let (gate, opened) = watch::channel(false);
    let gated = Gated { outlet: world.outlet(), partition: Partition::of(symbol()), gate: opened };
    let running = world.start(Counting::default(), gated);
    world.publish(1..=3).await;
    let stream = PipelineStream::Batches(BatchKind::Feature).name(&NAMESPACE);
    for seq in 1..=3 {
        let subject = NAMESPACE.batch(BatchKind::Bar, Timeframe::D1, Partition::of(other));
        world.bus.publish(&subject, None, batch_of(other, seq).payload()).await.unwrap();
        let subject = NAMESPACE.batch(BatchKind::Feature, Timeframe::D1, Partition::of(other));
        let arrived = async {
            while world.bus.last_sequence(&stream, &subject).await.unwrap() < seq {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(DEADLINE, arrived).await.expect("the others go on");
    }
    assert_eq!(world.newest().await, None, "nothing overtakes the gate");
    gate.send(true).unwrap();
    let arrived = async {
        loop {
            let newest = world.newest().await.map(|stored| FeatureBatch::decode(&stored.payload).unwrap());
            if newest.is_some_and(|features| (features.header().seq, features.value(0, 0)) == (3, Some(3.0))) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, arrived).await.expect("what was held arrives, in order");
    assert_eq!(world.bus.stream_state(&stream).await.unwrap().last_sequence, 6, "one output per input");
    world.stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn state_is_saved_when_what_followed_from_it_is_out() {
    let world = World::new().await;
    let (gate, opened) = watch::channel(false);
    let gated = Gated { outlet: world.outlet(), partition: Partition::of(symbol()), gate: opened };
    world.publish([1]).await;
    let (shutdown, task) = world.start(Counting::default(), gated);
    let saved = world.state.path().join("live/indicator").join(format!("1d.{}", Partition::of(symbol())));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(!saved.exists(), "its output is not confirmed");
    gate.send(true).unwrap();
    let written = async {
        while !saved.exists() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), written).await.expect("it is saved while the service runs");
    world.stop((shutdown, task)).await;
}

#[tokio::test]
async fn a_partition_that_is_ahead_waits_in_order_and_comes_again() {
    let world = World::new().await;
    let other = Symbol::new("OTHER").unwrap();
    assert_ne!(Partition::of(other), Partition::of(symbol()));
    let lockstep = || Counting { slowest: Some(Partition::of(other)), ..Counting::default() };
    let publish_other = async |seq: u64| {
        let subject = NAMESPACE.batch(BatchKind::Bar, Timeframe::D1, Partition::of(other));
        world.bus.publish(&subject, None, batch_of(other, seq).payload()).await.unwrap();
    };
    let waits = async |seq: u64| {
        // Long enough for whatever should not happen.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(
            world.newest().await.map(|stored| FeatureBatch::decode(&stored.payload).unwrap().header().seq),
            Some(seq)
        );
    };
    world.publish(1..=4).await;
    let running = world.start(lockstep(), world.outlet());
    waits(1).await;
    publish_other(1).await;
    waits(2).await;
    world.stop(running).await;
    // What waited comes again.
    let running = world.start(lockstep(), world.outlet());
    waits(2).await;
    publish_other(2).await;
    publish_other(3).await;
    publish_other(4).await;
    let arrived = async {
        while world
            .newest()
            .await
            .is_none_or(|stored| FeatureBatch::decode(&stored.payload).unwrap().value(0, 0) != Some(4.0))
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, arrived).await.expect("all of it arrives");
    world.stop(running).await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_refused_and_the_input_replayed() {
    let world = World::new().await;
    world.publish(1..=3).await;
    let running = world.start(Counting::default(), world.outlet());
    world.wait_for(3, 3.0).await;
    world.stop(running).await;
    let store = StateStore::open(world.state.path(), &NAMESPACE, "indicator", Timeframe::D1).unwrap();
    let path = store.path(Partition::of(symbol()));
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    world.publish(4..=5).await;
    let running = world.start(Counting::default(), world.outlet());
    world.wait_for(5, 5.0).await;
    world.stop(running).await;
}

#[tokio::test]
async fn a_snapshot_outlives_the_messages_it_stands_on() {
    let world = World::new().await;
    let store = StateStore::open(world.state.path(), &NAMESPACE, "indicator", Timeframe::D1).unwrap();
    let state = Counting { n_rows: vec![40.0; usize::from(N_PARTITIONS)], ..Counting::default() };
    // Sequences 1 to 3 were given out and are gone for this partition: they belonged to another one.
    let other = Partition::all().find(|&partition| partition != Partition::of(symbol())).unwrap();
    for _ in 1..=3 {
        let subject = NAMESPACE.batch(BatchKind::Bar, Timeframe::D1, other);
        let mut empty = BarBatchBuilder::new(other);
        let batch = empty.finish(Header { partition: other, ..batch(1).header().clone() });
        world.bus.publish(&subject, None, batch.payload()).await.unwrap();
    }
    store.save(Partition::of(symbol()), 1, 3, &state.snapshot(Partition::of(symbol()))).unwrap();
    drop(store);
    world.publish([4]).await;
    let running = world.start(Counting::default(), world.outlet());
    let arrived = async {
        loop {
            if let Some(stored) = world.newest().await {
                return FeatureBatch::decode(&stored.payload).unwrap().value(0, 0);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert_eq!(tokio::time::timeout(DEADLINE, arrived).await.unwrap(), Some(41.0));
    world.stop(running).await;
}

#[tokio::test]
async fn what_cannot_be_applied_goes_to_the_dead_letters_and_the_rest_goes_on() {
    let world = World::new().await;
    world.publish_bytes(Bytes::from_static(b"rubbish")).await;
    world.publish(2..=4).await;
    let stage = Counting { refuse_seq: Some(3), ..Counting::default() };
    let running = world.start(stage, world.outlet());
    let arrived = async {
        while world.newest().await.is_none_or(|stored| stored.sequence < 2) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, arrived).await.expect("the rest goes on");
    world.stop(running).await;
    let dead = PipelineStream::Dead.name(&NAMESPACE);
    assert_eq!(world.bus.stream_state(&dead).await.unwrap().messages, 2);
    let last = world.bus.last(&dead, &NAMESPACE.dead("indicator")).await.unwrap().unwrap();
    let header = |name: &str| last.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str());
    assert_eq!(header("Technic-Reason"), Some("refused"));
    assert_eq!(header("Technic-Detail"), Some("as the test askedfor"));
    assert_eq!(header("Technic-Sequence"), Some("3"));
    assert_eq!(last.payload, batch(3).payload());
}

#[tokio::test]
async fn a_batch_that_is_missing_halts_the_service_and_a_repeated_one_changes_nothing() {
    let world = World::new().await;
    world.publish([1, 2, 2, 1, 3]).await;
    let (_shutdown, task) = world.start(Counting::default(), world.outlet());
    world.wait_for(3, 3.0).await;
    world.publish([5]).await;
    let error = tokio::time::timeout(DEADLINE, task).await.expect("it halts").unwrap().unwrap_err();
    assert!(matches!(error, LineError::Gap { before: 3, found: 5, .. }), "{error}");
}

#[tokio::test]
async fn a_batch_on_the_subject_of_another_partition_is_rejected() {
    let world = World::new().await;
    let other = Partition::all().find(|&partition| partition != Partition::of(symbol())).unwrap();
    let subject = NAMESPACE.batch(BatchKind::Bar, Timeframe::D1, other);
    world.bus.publish(&subject, None, batch(1).payload()).await.unwrap();
    world.publish([1]).await;
    let running = world.start(Counting::default(), world.outlet());
    world.wait_for(1, 1.0).await;
    let dead = async {
        loop {
            let stream = PipelineStream::Dead.name(&NAMESPACE);
            if let Some(stored) = world.bus.last(&stream, &NAMESPACE.dead("indicator")).await.unwrap() {
                return stored.headers.into_iter().find(|(name, _)| name == "Technic-Reason").unwrap().1;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert_eq!(tokio::time::timeout(DEADLINE, dead).await.unwrap(), "wrong_partition");
    world.stop(running).await;
}

#[tokio::test]
async fn a_bus_that_restarts_in_mid_stream_changes_nothing() {
    let world = World::new().await;
    let running = world.start(Counting::default(), world.outlet());
    for seq in 1..=200 {
        world.publish([seq]).await;
        if seq % 50 == 0 {
            let Bus::Memory(memory) = &world.bus else { panic!("the bus is in memory") };
            MemoryBus::restart(memory);
        }
    }
    world.wait_for(200, 200.0).await;
    world.stop(running).await;
}
