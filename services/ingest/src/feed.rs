use std::time::Duration;

use schemas::{EventTime, Instrument};

use crate::RawBar;

/// One instant of event time: what a feed delivers at once, for example a session of daily bars.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub bars: Vec<RawBar>,
    /// No bar with an open time up to and including this one is expected any more after the step.
    pub watermark: Option<EventTime>,
    /// How long to wait before the step is due. Zero means: as fast as possible.
    pub wait: Duration,
}

/// A source of bars in event-time order.
///
/// Deterministic: the same input and options give the same steps and the same epoch, so that a restarted ingest
/// repeats the message ids of the run before.
pub trait Feed: Send {
    /// Where the bars come from, e.g. `synthetic` or `replay`.
    fn source(&self) -> &str;

    /// Names the content of the feed: another content has another epoch.
    fn epoch(&self) -> u64;

    /// Takes the reference data of the feed; a second call gives nothing.
    fn instruments(&mut self) -> Vec<Instrument>;

    /// `None` after the last step.
    fn next_step(&mut self) -> Option<Step>;

    /// How many bars all steps together hold; `None` for a feed without an end.
    fn n_bars_total(&self) -> Option<u64>;
}
