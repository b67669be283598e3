//! Drives a feed onto the bus: normalise, publish, wait for the confirmations. A restarted driver makes the same batches
//! again, recognises by each partition's last message how far it was, and goes on from there.

use std::collections::BTreeMap;

use runtime::bus::{Bus, BusError};
use runtime::clock;
use runtime::line::Surroundings;
use runtime::outlet::{BusOutlet, Outlet as _, Tagged};
use runtime::streams::PipelineStream;
use schemas::subject::{BatchKind, Namespace};
use schemas::{BarBatch, EventTime, Header, Message as _, N_PARTITIONS, Partition, Timeframe};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::{Feed, Normaliser, Step};

/// Steps that the feed may be ahead of the bus.
const STEPS_AHEAD_MAX: usize = 2;
/// Instruments that are published in one go.
const INSTRUMENTS_PER_TURN: usize = 1024;

/// Why a feed could not be driven onto the bus.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("ingest lost the bus")]
    Bus(#[from] BusError),
    #[error(
        "the bus already holds bars of another feed: `{found}` (epoch {found_epoch:x}), this one is `{source_name}` \
         (epoch {epoch:x}); use another namespace (`--namespace replay.<run>`) or another server"
    )]
    OtherFeed { found: String, found_epoch: u64, source_name: String, epoch: u64 },
}

/// What to do when the bus already holds bars of somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Stop: two feeds in one namespace are a mistake.
    Refuse,
    /// Publish what is newer than theirs: the feed is the past of a market that has been live before.
    Follow,
}

/// How far a partition was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Published {
    /// By an earlier run of the same feed, up to this batch; 0 when nothing was.
    Own(u64),
    /// By somebody else, up to this time.
    Others(EventTime),
}

impl Published {
    fn covers(self, header: &Header) -> bool {
        match self {
            Self::Own(seq) => header.seq <= seq,
            // The newest day of theirs may be a forming one.
            Self::Others(newest) => header.event_time < newest,
        }
    }
}

/// Publishes everything a feed delivers, at the feed's own pace.
///
/// # Errors
/// When the bus fails for good, or already carries another feed that must not be there.
pub async fn drive(
    mut feed: Box<dyn Feed>,
    namespace: Namespace,
    timeframe: Timeframe,
    others: Others,
    surroundings: &Surroundings,
) -> Result<(), DriverError> {
    let Surroundings { bus, shutdown, metrics, health } = surroundings;
    health.set_not_ready("recovering");
    let (source, epoch) = (feed.source().to_owned(), feed.epoch());
    let published = published_before(bus, &namespace, timeframe, (&source, epoch), others).await?;
    let mut outlet = BusOutlet::new(bus.clone(), namespace);

    let instruments = feed.instruments();
    info!(source, epoch, n_instruments = instruments.len(), n_bars = feed.n_bars_total(), "feed opened");
    for turn in instruments.chunks(INSTRUMENTS_PER_TURN) {
        let turn = turn.iter().map(|instrument| Tagged { output: instrument.clone(), input_sequence: None });
        outlet.deliver(turn.collect()).await?;
    }

    let mut normaliser = Normaliser::new(timeframe, source.as_str(), epoch);
    let (sender, mut steps) = mpsc::channel::<Step>(STEPS_AHEAD_MAX);
    // A feed reads files and computes: not on the threads that serve the bus.
    let reader = tokio::task::spawn_blocking(move || {
        while let Some(step) = feed.next_step() {
            if sender.blocking_send(step).is_err() {
                break;
            }
        }
    });
    let mut batches = Vec::new();
    let mut is_catching_up = published.iter().any(|&published| published != Published::Own(0));
    let mut reported = BTreeMap::new();
    health.set_ready();
    loop {
        let step = tokio::select! {
            biased;
            () = shutdown.requested() => break,
            step = steps.recv() => match step {
                Some(step) => step,
                None => break,
            },
        };
        if !is_catching_up && !step.wait.is_zero() {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                () = tokio::time::sleep(step.wait) => {}
            }
        }
        normaliser.on_step(&step, clock::now_ns(), &mut batches);
        metrics.add_rows_in(step.bars.len());
        report_rejections(&normaliser, &mut reported, surroundings);
        batches.retain(|batch| !published[batch.header().partition.index()].covers(batch.header()));
        is_catching_up &= batches.is_empty();
        let outputs = batches.drain(..).map(|output| Tagged { output, input_sequence: None }).collect();
        metrics.add_rows_out(outlet.deliver(outputs).await?);
        if let Some(newest) = step.watermark.or_else(|| step.bars.last().map(|bar| bar.open_time)) {
            metrics.set_event_lag(newest, clock::now_ns());
        }
    }
    drop(steps);
    if let Err(error) = reader.await {
        warn!(%error, "feed reader ended badly");
    }
    let counters = normaliser.counters();
    info!(n_bars_in = counters.n_bars_in, n_bars_out = counters.n_bars_out, "feed ended");
    Ok(())
}

/// How far each partition was published before.
async fn published_before(
    bus: &Bus,
    namespace: &Namespace,
    timeframe: Timeframe,
    (source, epoch): (&str, u64),
    others: Others,
) -> Result<[Published; N_PARTITIONS as usize], DriverError> {
    let stream = PipelineStream::Batches(BatchKind::Bar).name(namespace);
    let mut published = [Published::Own(0); N_PARTITIONS as usize];
    for partition in Partition::all() {
        let subject = namespace.batch(BatchKind::Bar, timeframe, partition);
        let Some(stored) = bus.last(&stream, &subject).await? else { continue };
        match BarBatch::decode(&stored.payload) {
            Ok(batch) if batch.header().epoch == epoch => {
                published[partition.index()] = Published::Own(batch.header().seq);
            }
            Ok(batch) if others == Others::Follow => {
                published[partition.index()] = Published::Others(batch.header().event_time);
            }
            Ok(batch) => {
                return Err(DriverError::OtherFeed {
                    found: batch.header().source.clone(),
                    found_epoch: batch.header().epoch,
                    source_name: source.to_owned(),
                    epoch,
                });
            }
            // Somebody else put rubbish there; the stages reject it, and we publish from the start.
            Err(error) => warn!(%error, subject, "the newest message is no bar batch"),
        }
    }
    Ok(published)
}

pub(super) fn report_rejections(
    normaliser: &Normaliser,
    reported: &mut BTreeMap<&'static str, u64>,
    surroundings: &Surroundings,
) {
    for (&reason, &count) in &normaliser.counters().rejected {
        let before = reported.insert(reason, count).unwrap_or(0);
        if count > before {
            let n_new = usize::try_from(count - before).unwrap_or(usize::MAX);
            surroundings.metrics.add_rejected(reason, n_new);
            warn!(reason, n_new, "bars rejected");
        }
    }
}
