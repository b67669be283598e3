//! The run loop, once for every stage: pull a bounded batch, decode and validate, drive the stage, publish and wait for
//! the confirmations, acknowledge. Start-up is recovery: restore, replay the tail, go live.

mod in_flight;
mod recovery;
mod saving;

use std::collections::VecDeque;
use std::time::Duration;

use pipeline::{Rejected, Restore, Stage};
use schemas::subject::{BatchKind, Namespace};
use schemas::{CodecError, EventTime, Header, N_PARTITIONS, Partition, Timeframe};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use self::in_flight::{InFlight, Turn};
use self::recovery::feed;
use self::saving::{Saver, Snapshot};
use crate::admin::ComponentHandle;
use crate::bus::{Bus, BusError, Delivery};
use crate::clock;
use crate::dead_letter::{DeadLetter, rejected_by_codec};
use crate::outlet::{Outlet, Tagged};
use crate::progress::{Follows, Progress};
use crate::shutdown::Shutdown;
use crate::stage_metrics::StageMetrics;
use crate::state_store::{StateError, StateStore};

/// Messages that wait between the consumers and the stage.
const INBOX_MAX: usize = 1024;
/// Messages that the stage takes in one turn.
const TURN_MAX: usize = 256;
/// A stage that took in no more rows since it was last idle is done within microseconds: less than it takes to move the
/// other tasks of the thread to another one.
const LONE_ROWS_MAX: usize = 64;
/// A refresh that is later than so many of its periods is not made up for.
const REFRESHES_CAUGHT_UP: u32 = 8;

/// A stage that has something to refresh and hears nothing for this long is told so, and again each time that it passes:
/// longer than the pauses within a burst, shorter than anyone notices.
const QUIET: Duration = Duration::from_millis(25);
/// What a service reads and how it is run.
#[derive(Debug)]
pub struct Line {
    /// Names the consumers, the metrics and the dead-letter subject.
    pub service: &'static str,
    pub namespace: Namespace,
    pub timeframe: Timeframe,
    /// The batches it reads, from every partition.
    pub input: BatchKind,
    /// What it publishes, and at which timeframe, when each output follows from one input: on start-up, what was published
    /// before the crash is recognised by it. `None`: the stage publishes nothing until it has caught up.
    pub output: Option<(BatchKind, Timeframe)>,
    /// Whether it also reads reference data: the newest instrument of each symbol, then changes.
    pub with_instruments: bool,
    /// How long a stage may leave things to its refresh.
    pub refresh: Duration,
    /// Names it among replicas, each of which reads everything; `None` where only one may read, and the newest does.
    pub replica: Option<String>,
    /// Where its state outlives the process; `None` on a bus that does not outlive it either.
    pub store: Option<StateStore>,
    /// The state of every partition is saved at least this often, when it changed. A start replays what came since.
    pub save_every: Duration,
}

/// What the process gives to each of its services.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub bus: Bus,
    pub shutdown: Shutdown,
    pub metrics: StageMetrics,
    pub health: ComponentHandle,
}

/// Why a service stopped unasked.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error("{service} lost the bus")]
    Bus {
        service: &'static str,
        #[source]
        source: BusError,
    },
    #[error(
        "{service} missed a batch of {partition}: {found} of run {epoch:x} came after {before}; nothing was made of it, \
         a restart reads it again from the stream"
    )]
    Gap { service: &'static str, partition: Partition, epoch: u64, before: u64, found: u64 },
    #[error("{service} cannot keep its state")]
    State {
        service: &'static str,
        #[source]
        source: StateError,
    },
}

/// A decoded input, with what the metrics want to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded<I> {
    pub input: I,
    pub n_rows: usize,
    /// The header of a batch; `None` for reference data.
    pub place: Option<Place>,
}

impl<I> Decoded<I> {
    /// An input that is a batch.
    pub fn batch(input: I, n_rows: usize, header: fn(&I) -> &Header) -> Self {
        let &Header { partition, epoch, seq, event_time, .. } = header(&input);
        Self { n_rows, place: Some(Place { partition, epoch, seq, event_time }), input }
    }
}

/// Where a batch belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub partition: Partition,
    /// Run of the producer, and the number of the batch within it.
    pub epoch: u64,
    pub seq: u64,
    pub event_time: EventTime,
}

/// Turns a delivery into the input of a stage.
pub trait Decode<I> {
    /// # Errors
    /// When the payload is no such message. It goes to the dead letters.
    fn decode(&self, delivery: &Delivery) -> Result<Decoded<I>, CodecError>;
}

impl<I, F: Fn(&Delivery) -> Result<Decoded<I>, CodecError>> Decode<I> for F {
    fn decode(&self, delivery: &Delivery) -> Result<Decoded<I>, CodecError> {
        self(delivery)
    }
}

/// What a delivery is about, by its subject.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Partition(Partition),
    Instruments,
    /// A subject that no batch belongs to.
    Nowhere,
}

/// Runs a stage until shutdown is requested.
///
/// # Errors
/// When the bus or the state store fails for good. Nothing is lost: what was not acknowledged comes again.
pub async fn run<S, D, O>(
    stage: S,
    mut line: Line,
    decode: D,
    outlet: O,
    surroundings: Surroundings,
) -> Result<(), LineError>
where
    S: Stage + Restore,
    D: Decode<S::Input>,
    O: Outlet<S::Output>,
{
    let service = line.service;
    let mut runner = Runner {
        saver: line.store.take().map(|store| Saver::new(store, line.save_every)),
        stage,
        line,
        decode,
        outlet,
        surroundings,
        progress: vec![Progress::default(); usize::from(N_PARTITIONS)],
        held: (0..N_PARTITIONS).map(|_| VecDeque::new()).collect(),
        in_flight: InFlight::default(),
        input_newest: 0,
        n_recovering: 0,
        n_rows_waiting: 0,
        refresh_at: None,
        quiet_at: None,
        newest: None,
    };
    let result = Box::pin(runner.run()).await;
    if let Err(error) = &result {
        runner.surroundings.health.set_not_ready(error.to_string());
    }
    debug!(service, "service has ended");
    result
}

struct Runner<S, D, O> {
    stage: S,
    line: Line,
    decode: D,
    outlet: O,
    surroundings: Surroundings,
    /// By partition.
    progress: Vec<Progress>,
    /// By partition, messages that wait because the stage is ahead there.
    held: Vec<VecDeque<Delivery>>,
    /// What is published and not confirmed yet.
    in_flight: InFlight,
    /// Sequence of the newest input of any partition when the service started.
    input_newest: u64,
    /// Partitions that have not reached their target yet.
    n_recovering: usize,
    /// Rows taken in since the stage was last idle.
    n_rows_waiting: usize,
    refresh_at: Option<Instant>,
    quiet_at: Option<Instant>,
    /// `None` on a bus that does not outlive the process.
    saver: Option<Saver>,
    /// Newest event time of all inputs.
    newest: Option<EventTime>,
}

type Arrival = Result<Delivery, BusError>;

impl<S, D, O> Runner<S, D, O>
where
    S: Stage + Restore,
    D: Decode<S::Input>,
    O: Outlet<S::Output>,
{
    async fn run(&mut self) -> Result<(), LineError> {
        let service = self.line.service;
        let state_error = |source| LineError::State { service, source };
        self.surroundings.health.set_not_ready("recovering");
        let started = clock::monotonic();
        self.recover().await?;
        let (sender, mut inbox) = mpsc::channel::<Arrival>(INBOX_MAX);
        // Dropping the set ends the feeders.
        let mut feeders = JoinSet::new();
        for consumer in self.consumers().await? {
            feeders.spawn(feed(consumer, sender.clone()));
        }
        drop(sender);
        self.report_recovery(started);

        let mut arrivals = Vec::with_capacity(TURN_MAX);
        while !self.surroundings.shutdown.is_requested() {
            let (stage_at, save_at) = (self.stage_at(), self.saver.as_ref().and_then(Saver::at));
            tokio::select! {
                biased;
                () = self.surroundings.shutdown.requested() => break,
                Some(turn) = self.in_flight.next(), if !self.in_flight.is_empty() => self.finish(turn).await?,
                n_arrived = inbox.recv_many(&mut arrivals, TURN_MAX), if !self.in_flight.is_full() => {
                    if n_arrived == 0 {
                        break;
                    }
                    let was_recovering = self.n_recovering > 0;
                    self.take_turn(&mut arrivals, &inbox).await?;
                    if was_recovering {
                        self.report_recovery(started);
                    }
                }
                () = until(stage_at) => {}
                () = until(save_at) => {}
                written = written(&mut self.saver) => written.map_err(state_error)?,
            }
            if stage_at.is_some_and(|at| at <= Instant::now()) {
                self.refresh().await?;
            }
            if save_at.is_some_and(|at| at <= Instant::now()) {
                self.save_next();
            }
            if let Some(saver) = &mut self.saver {
                saver.go_on(&self.in_flight);
            }
        }
        self.surroundings.health.set_not_ready("stopping");
        while let Some(turn) = self.in_flight.next().await {
            self.finish(turn).await?;
        }
        let rest: Vec<Snapshot> = Partition::all().filter_map(|partition| self.snapshot(partition)).collect();
        match &mut self.saver {
            Some(saver) => saver.finish(rest).await.map_err(state_error),
            None => Ok(()),
        }
    }

    fn report_recovery(&self, started: std::time::Instant) {
        if self.n_recovering == 0 {
            let elapsed_ms = started.elapsed().as_millis();
            info!(service = self.line.service, elapsed_ms, "live");
            self.surroundings.health.set_ready();
        }
    }

    /// One turn: everything that was waiting, up to a limit.
    async fn take_turn(
        &mut self,
        arrivals: &mut Vec<Arrival>,
        inbox: &mpsc::Receiver<Arrival>,
    ) -> Result<(), LineError> {
        let service = self.line.service;
        let started = clock::monotonic();
        let mut outputs = Vec::new();
        let mut done = Vec::with_capacity(arrivals.len());
        for arrival in arrivals.drain(..) {
            let delivery = arrival.map_err(|source| LineError::Bus { service, source })?;
            let origin = self.origin(&delivery.subject);
            if let Origin::Partition(partition) = origin
                && (!self.held[partition.index()].is_empty() || self.stage.is_ahead(partition))
            {
                self.hold(partition, delivery).await;
                continue;
            }
            self.take(origin, delivery, &mut outputs, &mut done).await?;
            self.release(&mut outputs, &mut done).await?;
        }
        if self.n_recovering == 0 && inbox.is_empty() {
            let mut fresh = Vec::new();
            if std::mem::take(&mut self.n_rows_waiting) <= LONE_ROWS_MAX {
                self.stage.on_idle(&mut fresh);
            } else {
                on_cpu(|| self.stage.on_idle(&mut fresh));
            }
            outputs.extend(fresh.into_iter().map(|output| Tagged { output, input_sequence: None }));
        }
        if self.stage.needs_refresh() {
            let now = Instant::now();
            self.refresh_at = self.refresh_at.or(Some(now + self.line.refresh));
            self.quiet_at = Some(now + QUIET);
        }
        self.surroundings.metrics.observe_processing(started.elapsed());
        if let Some(newest) = self.newest {
            self.surroundings.metrics.set_event_lag(newest, clock::now_ns());
        }
        self.publish(outputs, done).await
    }

    fn origin(&self, subject: &str) -> Origin {
        match self.line.namespace.parse_batch(subject) {
            Some((kind, timeframe, partition)) if kind == self.line.input && timeframe == self.line.timeframe => {
                Origin::Partition(partition)
            }
            None if self.line.namespace.is_instrument(subject) => Origin::Instruments,
            _ => Origin::Nowhere,
        }
    }

    /// Keeps a message until its partition is no longer ahead.
    ///
    /// It is acknowledged before it is taken: a consumer that is full of such messages has no room for the one that they wait
    /// for. After a crash it comes again, because a start reads on from the snapshots.
    async fn hold(&mut self, partition: Partition, delivery: Delivery) {
        if let Err(error) = delivery.ack().await {
            warn!(service = self.line.service, %error, "acknowledgement failed");
        }
        self.held[partition.index()].push_back(delivery);
    }

    async fn take(
        &mut self,
        origin: Origin,
        delivery: Delivery,
        outputs: &mut Vec<Tagged<S::Output>>,
        done: &mut Vec<Delivery>,
    ) -> Result<(), LineError> {
        if let Some(rejected) = self.apply(origin, &delivery, outputs)? {
            self.bury(&delivery, &rejected).await?;
        }
        done.push(delivery);
        Ok(())
    }

    /// Takes what waited for a partition that has caught up since.
    async fn release(
        &mut self,
        outputs: &mut Vec<Tagged<S::Output>>,
        done: &mut Vec<Delivery>,
    ) -> Result<(), LineError> {
        loop {
            let may_go =
                |partition: &Partition| !self.held[partition.index()].is_empty() && !self.stage.is_ahead(*partition);
            let Some(partition) = Partition::all().find(may_go) else { return Ok(()) };
            let Some(delivery) = self.held[partition.index()].pop_front() else { return Ok(()) };
            self.take(Origin::Partition(partition), delivery, outputs, done).await?;
        }
    }

    /// Hands one delivery to the stage. What it was rejected for, if it was.
    fn apply(
        &mut self,
        origin: Origin,
        delivery: &Delivery,
        outputs: &mut Vec<Tagged<S::Output>>,
    ) -> Result<Option<Rejected>, LineError> {
        if let Origin::Partition(partition) = origin
            && delivery.sequence <= self.progress[partition.index()].position
        {
            return Ok(None);
        }
        if let Origin::Nowhere = origin {
            return Ok(Some(Rejected::new("wrong_subject", format!("no batch belongs on `{}`", delivery.subject))));
        }
        let mut fresh = Vec::new();
        let applied = match self.decode.decode(delivery) {
            Ok(decoded) => self.apply_decoded(origin, decoded, &mut fresh)?,
            Err(error) => {
                if let Origin::Partition(partition) = origin {
                    // It may have been any number: what follows it is no gap.
                    self.progress[partition.index()].forget_numbers();
                }
                Err(rejected_by_codec(&error))
            }
        };
        if let Origin::Partition(partition) = origin {
            let progress = &mut self.progress[partition.index()];
            let was_recovering = progress.position < progress.target;
            progress.position = delivery.sequence;
            progress.is_dirty = true;
            if was_recovering && progress.position >= progress.target {
                self.n_recovering -= 1;
            }
            if delivery.sequence <= progress.published {
                fresh.clear();
            }
        }
        // The last one alone says that everything of the input is out.
        let n_fresh = fresh.len();
        outputs.extend(fresh.into_iter().zip(1..).map(|(output, number)| Tagged {
            output,
            input_sequence: (number == n_fresh).then_some(delivery.sequence),
        }));
        let metrics = &self.surroundings.metrics;
        self.stage.take_refused(&mut |reason, n_rows| metrics.add_rejected(reason, n_rows));
        Ok(applied.err())
    }

    fn apply_decoded(
        &mut self,
        origin: Origin,
        Decoded { input, n_rows, place }: Decoded<S::Input>,
        fresh: &mut Vec<S::Output>,
    ) -> Result<Result<(), Rejected>, LineError> {
        self.surroundings.metrics.add_rows_in(n_rows);
        self.n_rows_waiting += n_rows;
        if let (Origin::Partition(partition), Some(place)) = (origin, place) {
            if place.partition != partition {
                let detail = format!("a batch of {} on the subject of {partition}", place.partition);
                return Ok(Err(Rejected::new("wrong_partition", detail)));
            }
            match self.progress[partition.index()].follow(place.epoch, place.seq) {
                Follows::Yes => {}
                Follows::IsRepeat => return Ok(Ok(())),
                Follows::After(before) => {
                    let (service, epoch, found) = (self.line.service, place.epoch, place.seq);
                    return Err(LineError::Gap { service, partition, epoch, before, found });
                }
            }
            self.newest = self.newest.max(Some(place.event_time));
        }
        Ok(self.stage.on_batch(input, fresh))
    }

    /// Tells the stage what it is time for.
    async fn refresh(&mut self) -> Result<(), LineError> {
        let started = clock::monotonic();
        let mut fresh = Vec::new();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= Instant::now());
        if is_due(self.quiet_at) {
            on_cpu(|| self.stage.on_quiet(&mut fresh));
            self.quiet_at = Some(Instant::now() + QUIET);
        }
        if let Some(due) = self.refresh_at.filter(|at| is_due(Some(*at))) {
            // From when it was due: timers are coarse beside the steps of a refresh, and those that come late are many.
            let (next, now) = (due + self.line.refresh, Instant::now());
            let is_far_behind = next + REFRESHES_CAUGHT_UP * self.line.refresh < now;
            self.refresh_at = Some(if is_far_behind { now + self.line.refresh } else { next });
            on_cpu(|| self.stage.on_refresh(&mut fresh));
        }
        if !self.stage.needs_refresh() {
            (self.refresh_at, self.quiet_at) = (None, None);
        }
        self.surroundings.metrics.observe_processing(started.elapsed());
        let outputs = fresh.into_iter().map(|output| Tagged { output, input_sequence: None }).collect();
        self.publish(outputs, Vec::new()).await
    }

    /// When the stage is to be told something.
    fn stage_at(&self) -> Option<Instant> {
        let due = [self.refresh_at, self.quiet_at].into_iter().flatten().min();
        due.filter(|_| self.n_recovering == 0 && !self.in_flight.is_full())
    }

    /// Sends outputs on their way. The inputs that they follow from are acknowledged when they are confirmed.
    async fn publish(&mut self, outputs: Vec<Tagged<S::Output>>, done: Vec<Delivery>) -> Result<(), LineError> {
        if outputs.is_empty() {
            return self.finish(Turn { delivered: Ok(0), done }).await;
        }
        let n_outputs = outputs.len();
        let delivering = self.outlet.deliver(outputs);
        self.in_flight.push(n_outputs, delivering, done);
        while let Some(turn) = self.in_flight.ended() {
            self.finish(turn).await?;
        }
        Ok(())
    }

    async fn finish(&mut self, Turn { delivered, done }: Turn) -> Result<(), LineError> {
        let service = self.line.service;
        let n_rows = delivered.map_err(|source| LineError::Bus { service, source })?;
        self.surroundings.metrics.add_rows_out(n_rows);
        for delivery in &done {
            if let Err(error) = delivery.ack().await {
                // It comes again, and is recognised by its sequence.
                warn!(service, %error, "acknowledgement failed");
            }
        }
        Ok(())
    }

    /// Copies a refused message to the dead letters, with the reason.
    async fn bury(&mut self, delivery: &Delivery, rejected: &Rejected) -> Result<(), LineError> {
        let service = self.line.service;
        error!(
            service,
            subject = delivery.subject,
            sequence = delivery.sequence,
            reason = rejected.reason,
            detail = rejected.detail,
            "message rejected"
        );
        self.surroundings.metrics.add_rejected(rejected.reason, 1);
        let letter = DeadLetter {
            service,
            subject: &delivery.subject,
            sequence: Some(delivery.sequence),
            rejected,
            payload: &delivery.payload,
        };
        let published = letter.publish(&self.surroundings.bus, &self.line.namespace).await;
        published.map_err(|source| LineError::Bus { service, source })
    }

    /// Begins to save one partition, if it changed.
    fn save_next(&mut self) {
        let Some(partition) = self.saver.as_mut().map(Saver::next_partition) else { return };
        let snapshot = self.snapshot(partition);
        if let Some((saver, snapshot)) = self.saver.as_mut().zip(snapshot) {
            saver.save(snapshot, &self.in_flight);
        }
    }

    /// The state of a partition; `None` when it is as it was last saved.
    fn snapshot(&mut self, partition: Partition) -> Option<Snapshot> {
        let progress = &mut self.progress[partition.index()];
        if self.saver.is_none() || !std::mem::take(&mut progress.is_dirty) {
            return None;
        }
        let (layout, state) = (self.stage.layout(), self.stage.snapshot(partition));
        Some(Snapshot { partition, layout, sequence: progress.position, state })
    }
}

/// Ends at a moment, or never.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn written(saver: &mut Option<Saver>) -> Result<(), StateError> {
    match saver {
        Some(saver) => saver.written().await,
        None => std::future::pending().await,
    }
}

/// Work that may take milliseconds, without holding up the other tasks of this thread.
fn on_cpu<T>(work: impl FnOnce() -> T) -> T {
    if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}
