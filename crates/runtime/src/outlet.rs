//! Where the outputs of a stage go.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use schemas::subject::{BatchKind, Namespace};
use schemas::{BarBatch, FeatureBatch, Header, Instrument, Message as _, PredictionBatch, ResultV1, ScoreBatch};
use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::bus::{Bus, BusError, MESSAGE_ID_HEADER};

/// Header with the stream sequence of the input that an output follows from.
pub const INPUT_SEQUENCE_HEADER: &str = "Technic-Input-Sequence";

/// Subjects that one delivery publishes to at the same time. Within a subject order is kept.
const SUBJECTS_IN_FLIGHT_MAX: usize = 256;
/// A message is published again until this much time has passed; then the service halts.
const RETRY_FOR: Duration = Duration::from_mins(1);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// A message that can be published: it knows its subject, its id and its bytes.
pub trait Outgoing {
    fn subject(&self, namespace: &Namespace) -> String;

    /// The same for the same content whenever it is made, so that a repeat is recognised.
    fn message_id(&self) -> String;

    fn payload(&self) -> Bytes;

    fn n_rows(&self) -> usize;
}

/// An output and the input it follows from, if it follows from one alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagged<O> {
    pub output: O,
    pub input_sequence: Option<u64>,
}

/// Where the outputs of a stage go.
pub trait Outlet<O>: Send {
    /// Sends outputs on their way; the future ends with the number of rows when every output is safely where it belongs.
    /// More outputs may be sent before it ends: those for the same place arrive in the order of the calls.
    ///
    /// # Errors
    /// When it cannot be had; the caller halts, and start-up recovers.
    fn deliver(
        &mut self,
        outputs: Vec<Tagged<O>>,
    ) -> impl Future<Output = Result<usize, BusError>> + Send + use<Self, O> + 'static;
}

/// Publishes to the bus and waits for the confirmations.
#[derive(Debug)]
pub struct BusOutlet {
    bus: Bus,
    namespace: Namespace,
    /// By subject: tells when what was sent last is confirmed.
    last: HashMap<String, oneshot::Receiver<()>>,
}

impl BusOutlet {
    pub fn new(bus: Bus, namespace: Namespace) -> Self {
        Self { bus, namespace, last: HashMap::new() }
    }

    /// Puts a chain behind what is on its way to the same subject.
    fn link<O>(&mut self, subject: String, outputs: Vec<Tagged<O>>) -> Chain<O> {
        let (confirmed, last) = oneshot::channel();
        let before = self.last.insert(subject.clone(), last);
        Chain { subject, outputs, before, confirmed }
    }
}

/// Outputs for one subject.
#[derive(Debug)]
struct Chain<O> {
    subject: String,
    outputs: Vec<Tagged<O>>,
    /// Tells when those before them are confirmed.
    before: Option<oneshot::Receiver<()>>,
    /// Tells those behind them.
    confirmed: oneshot::Sender<()>,
}

impl<O: Outgoing + Send + Sync + 'static> Outlet<O> for BusOutlet {
    fn deliver(
        &mut self,
        outputs: Vec<Tagged<O>>,
    ) -> impl Future<Output = Result<usize, BusError>> + Send + use<O> + 'static {
        let n_rows = outputs.iter().map(|tagged| tagged.output.n_rows()).sum();
        let mut by_subject: Vec<(String, Vec<Tagged<O>>)> = Vec::new();
        let mut place_of: HashMap<String, usize> = HashMap::new();
        for tagged in outputs {
            let subject = tagged.output.subject(&self.namespace);
            let at = *place_of.entry(subject).or_insert_with_key(|subject| {
                by_subject.push((subject.clone(), Vec::new()));
                by_subject.len() - 1
            });
            by_subject[at].1.push(tagged);
        }
        let mut chains: Vec<Chain<O>> =
            by_subject.into_iter().map(|(subject, outputs)| self.link(subject, outputs)).collect();
        let bus = self.bus.clone();
        async move {
            // One subject is the lone bar: spare it the machinery.
            if chains.len() <= 1 {
                if let Some(chain) = chains.pop() {
                    publish_chain(&bus, chain).await?;
                }
                return Ok(n_rows);
            }
            stream::iter(chains)
                .map(|chain| publish_chain(&bus, chain))
                .buffer_unordered(SUBJECTS_IN_FLIGHT_MAX)
                .try_collect::<()>()
                .await?;
            Ok(n_rows)
        }
    }
}

/// One after the other, so that a retried message never lands behind its successor.
async fn publish_chain<O: Outgoing>(bus: &Bus, chain: Chain<O>) -> Result<(), BusError> {
    let Chain { subject, outputs, before, confirmed } = chain;
    if let Some(before) = before
        && before.await.is_err()
    {
        // What was before them failed, and says why to whoever sent it.
        return Err(BusError::Closed);
    }
    for Tagged { output, input_sequence } in outputs {
        let id = output.message_id();
        let sequence = input_sequence.map(|sequence| sequence.to_string());
        let mut headers = vec![(MESSAGE_ID_HEADER, id.as_str())];
        headers.extend(sequence.as_deref().map(|sequence| (INPUT_SEQUENCE_HEADER, sequence)));
        publish_with_retry(bus, &subject, &headers, output.payload()).await?;
    }
    // Nobody need be waiting.
    _ = confirmed.send(());
    Ok(())
}

/// Publishes the same message until the stream has confirmed it.
///
/// # Errors
/// When it is refused, or the bus stays away.
pub async fn publish_with_retry(
    bus: &Bus,
    subject: &str,
    headers: &[(&str, &str)],
    payload: Bytes,
) -> Result<(), BusError> {
    let started = tokio::time::Instant::now();
    let mut backoff = BACKOFF_MIN;
    loop {
        match bus.publish_with_headers(subject, headers, payload.clone()).await {
            Ok(_) => return Ok(()),
            Err(error @ (BusError::Timeout { .. } | BusError::Disconnected { .. }))
                if started.elapsed() < RETRY_FOR =>
            {
                // Hundreds may be on their way when a connection is lost, which the bus says once for all of them.
                if matches!(error, BusError::Disconnected { .. }) {
                    debug!(%error, subject, "publish failed, the same message is sent again");
                } else {
                    warn!(%error, subject, "publish failed, the same message is sent again");
                }
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
            Err(error) => return Err(error),
        }
    }
}

fn batch_id(kind: BatchKind, header: &Header) -> String {
    let Header { timeframe, partition, epoch, seq, .. } = header;
    format!("{}:{timeframe}:{partition}:{epoch:x}:{seq}", kind.as_str())
}

macro_rules! outgoing_batch {
    ($batch:ty, $kind:expr, $header:expr, $n_rows:expr) => {
        impl Outgoing for $batch {
            fn subject(&self, namespace: &Namespace) -> String {
                let header: &Header = $header(self);
                namespace.batch($kind, header.timeframe, header.partition)
            }

            fn message_id(&self) -> String {
                batch_id($kind, $header(self))
            }

            fn payload(&self) -> Bytes {
                self.encode().into()
            }

            fn n_rows(&self) -> usize {
                $n_rows(self)
            }
        }
    };
}

outgoing_batch!(BarBatch, BatchKind::Bar, BarBatch::header, BarBatch::len);
outgoing_batch!(FeatureBatch, BatchKind::Feature, FeatureBatch::header, |batch: &FeatureBatch| batch.bars().len());
outgoing_batch!(PredictionBatch, BatchKind::Prediction, PredictionBatch::header, |batch: &PredictionBatch| batch
    .rows()
    .len());
outgoing_batch!(ScoreBatch, BatchKind::Score, score_header, |batch: &ScoreBatch| batch.rows.len());

fn score_header(batch: &ScoreBatch) -> &Header {
    &batch.header
}

impl Outgoing for Instrument {
    fn subject(&self, namespace: &Namespace) -> String {
        namespace.instrument(self.symbol)
    }

    fn message_id(&self) -> String {
        format!("instrument:{}:{:08x}", self.symbol, crc32fast::hash(&self.encode()))
    }

    fn payload(&self) -> Bytes {
        self.encode().into()
    }

    fn n_rows(&self) -> usize {
        1
    }
}

impl Outgoing for ResultV1 {
    fn subject(&self, namespace: &Namespace) -> String {
        namespace.result(self.symbol)
    }

    fn message_id(&self) -> String {
        format!("result:{}:{:x}:{}", self.symbol, self.epoch, self.seq)
    }

    fn payload(&self) -> Bytes {
        self.to_json().into()
    }

    fn n_rows(&self) -> usize {
        1
    }
}
