use schemas::Partition;

/// A pure, synchronous state machine between two streams.
///
/// It has no clock, no randomness and no I/O: the same calls in the same order give byte-identical outputs.
pub trait Stage {
    /// One decoded message, for example a `BarBatch`.
    type Input;
    /// One message to publish, for example a `FeatureBatch`.
    type Output;

    /// Applies one message and appends what follows from it to `out`. A message that was applied before changes
    /// nothing, and what follows from it has no rows.
    ///
    /// # Errors
    /// When the message cannot be applied. The stage is then unchanged.
    fn on_batch(&mut self, input: Self::Input, out: &mut Vec<Self::Output>) -> Result<(), Rejected>;

    /// Nothing more is waiting: the stage appends what it held back to travel with more. Called after every bounded
    /// batch that emptied the inbox, so it must be cheap when nothing was held back.
    fn on_idle(&mut self, out: &mut Vec<Self::Output>);

    /// The refresh period has passed since something changed: the stage brings everything up to date that it may
    /// update late. A stage without such state does nothing.
    fn on_refresh(&mut self, out: &mut Vec<Self::Output>);

    /// Whether [`Self::on_refresh`] would change or publish anything.
    fn needs_refresh(&self) -> bool;

    /// Nothing came for a short while, and [`Self::needs_refresh`] is true: what was left for the end of a burst need not
    /// wait for the refresh. Called again and again until something comes or nothing is left.
    fn on_quiet(&mut self, _out: &mut Vec<Self::Output>) {}

    /// Whether a partition is ahead of others that its next messages build on. They wait until it no longer is; the
    /// partition furthest behind never is, or nothing would move.
    fn is_ahead(&self, _partition: Partition) -> bool {
        false
    }

    /// Reports the rows that were refused one by one since the last call, by a reason from a small closed set. A stage
    /// that takes whole messages or none has nothing to report.
    fn take_refused(&mut self, _report: &mut dyn FnMut(&'static str, usize)) {}
}

/// A stage whose state outlives the process, a partition at a time.
pub trait Restore {
    /// Names the meaning of the bytes: a snapshot of another layout is refused by it.
    fn layout(&self) -> u64;

    fn snapshot(&self, partition: Partition) -> Vec<u8>;

    /// Replaces the state of a partition.
    ///
    /// # Errors
    /// When the bytes are no snapshot of this layout. The stage is then unchanged.
    fn restore(&mut self, partition: Partition, bytes: &[u8]) -> Result<(), Rejected>;
}

/// Why a stage refused a message. The message goes to the dead letters with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Rejected {
    /// A label from a small closed set, for counters.
    pub reason: &'static str,
    /// Names the value at fault.
    pub detail: String,
}

impl Rejected {
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
