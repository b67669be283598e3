//! Start-up: what was saved, how far input and output are, and the consumers that go on from there.

use std::time::Duration;

use pipeline::{Restore, Stage};
use schemas::Partition;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use super::saving::Saver;
use super::{Arrival, Decode, Line, LineError, Runner};
use crate::bus::{BusError, Consumer, ConsumerSpec, Start};
use crate::outlet::{INPUT_SEQUENCE_HEADER, Outlet};
use crate::progress::Progress;
use crate::streams::PipelineStream;

/// Messages that a consumer asks the server for at once. A server cuts a connection off that has 64 MB waiting for it, and
/// a process that runs every service reads features, predictions and scores six times: 64 messages of 100 KB each are 40 MB,
/// even when the process gets no time to read.
const PULL_MAX: usize = 64;
/// Start-up asks again for this long when the bus does not answer.
const START_RETRY_FOR: Duration = Duration::from_mins(1);
const START_RETRY_PAUSE: Duration = Duration::from_millis(250);

impl<S, D, O> Runner<S, D, O>
where
    S: Stage + Restore,
    D: Decode<S::Input>,
    O: Outlet<S::Output>,
{
    /// Restores every partition's snapshot and learns from the bus how far input and output are.
    pub(super) async fn recover(&mut self) -> Result<(), LineError> {
        let service = self.line.service;
        let bus_error = |source| LineError::Bus { service, source };
        let bus = self.surroundings.bus.clone();
        let input = PipelineStream::Batches(self.line.input).name(&self.line.namespace);
        // What was ever given out: the messages themselves may have expired, as they do overnight.
        let newest = patiently(|| bus.stream_state(&input)).await.map_err(bus_error)?.last_sequence;
        let mut n_restored = 0_usize;
        for partition in Partition::all() {
            let progress = &mut self.progress[partition.index()];
            let subject = self.line.namespace.batch(self.line.input, self.line.timeframe, partition);
            progress.target = patiently(|| bus.last_sequence(&input, &subject)).await.map_err(bus_error)?;
            if let Some((kind, timeframe)) = self.line.output {
                let stream = PipelineStream::Batches(kind).name(&self.line.namespace);
                let subject = self.line.namespace.batch(kind, timeframe, partition);
                let last = patiently(|| bus.last(&stream, &subject)).await.map_err(bus_error)?;
                let sequence = last.and_then(|stored| {
                    let header = stored.headers.iter().find(|(name, _)| name == INPUT_SEQUENCE_HEADER);
                    header.and_then(|(_, value)| value.parse().ok())
                });
                // A higher sequence than the input has speaks of an input stream that is gone.
                progress.published = sequence.filter(|&sequence| sequence <= newest).unwrap_or(0);
            }
            if let Some(store) = self.saver.as_ref().map(Saver::store) {
                match store.load(partition, self.stage.layout()) {
                    Err(source) => return Err(LineError::State { service, source }),
                    Ok(None) => {}
                    Ok(Some(Err(refused))) => {
                        warn!(service, %partition, %refused, "snapshot not used, the input is replayed instead");
                    }
                    Ok(Some(Ok(stored))) if stored.sequence > newest => {
                        warn!(
                            service, %partition, snapshot = stored.sequence, input = newest,
                            "snapshot not used, it is ahead of the input: the stream was made anew"
                        );
                    }
                    Ok(Some(Ok(stored))) => match self.stage.restore(partition, &stored.bytes) {
                        Ok(()) => {
                            progress.position = stored.sequence;
                            n_restored += 1;
                        }
                        Err(refused) => {
                            warn!(service, %partition, %refused, "snapshot not used, the input is replayed instead");
                        }
                    },
                }
            }
        }
        self.input_newest = newest;
        self.n_recovering = self.progress.iter().filter(|progress| progress.position < progress.target).count();
        info!(service, n_restored, n_recovering = self.n_recovering, "recovering");
        Ok(())
    }

    /// One consumer reads all partitions: a server finds the next message of a single one by looking at each of the others
    /// (ADR 0016).
    pub(super) async fn consumers(&mut self) -> Result<Vec<Consumer>, LineError> {
        let Line { service, namespace, timeframe, input, replica, .. } = &self.line;
        let replica = replica.as_ref().map(|replica| format!("-{replica}")).unwrap_or_default();
        let bus = &self.surroundings.bus;
        let consume = |stream: PipelineStream, durable: String, filter: String, start: Start| {
            let spec = ConsumerSpec { stream: stream.name(namespace), durable, filter, start, batch_max: PULL_MAX };
            let consuming = patiently(move || bus.consume(spec.clone()));
            async move { consuming.await.map_err(|source| LineError::Bus { service, source }) }
        };
        let batches = PipelineStream::Batches(*input);
        let (durable, filter) = (format!("{service}-{timeframe}{replica}"), namespace.partitions(*input, *timeframe));
        let mut consumers = vec![consume(batches, durable, filter, self.start()).await?];
        if self.line.with_instruments {
            let durable = format!("{service}-instruments{replica}");
            let filter = namespace.instruments();
            consumers.push(consume(PipelineStream::Instruments, durable, filter, Start::LastPerSubject).await?);
        }
        Ok(consumers)
    }

    /// Where the partition that is least far goes on; the others skip what they know.
    fn start(&self) -> Start {
        let next = |progress: &Progress| match progress.position {
            // Whatever comes for it comes behind everything that there was.
            position if position >= progress.target => self.input_newest + 1,
            position => position + 1,
        };
        match self.progress.iter().map(next).min() {
            None | Some(0 | 1) => Start::All,
            Some(next) => Start::Sequence(next),
        }
    }
}

/// Asks again while the bus does not answer: at start-up as patiently as a reader that lost its connection.
async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, BusError>
where
    F: Future<Output = Result<T, BusError>>,
{
    let started = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.is_transient() && started.elapsed() < START_RETRY_FOR => {
                warn!(%error, "the bus does not answer, asking again");
                tokio::time::sleep(START_RETRY_PAUSE).await;
            }
            answer => return answer,
        }
    }
}

pub(super) async fn feed(mut consumer: Consumer, sender: mpsc::Sender<Arrival>) {
    loop {
        let arrival = consumer.next().await;
        let is_last = arrival.is_err();
        if sender.send(arrival).await.is_err() || is_last {
            return;
        }
    }
}
