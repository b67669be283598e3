//! The streams of the pipeline: what is kept, where, and for how long.

use std::time::Duration;

use schemas::subject::{BatchKind, Namespace};

use crate::bus::{Bus, BusError, Storage, StreamSpec};

/// Batches between stages are kept this long: by far more than the time between two snapshots.
const BATCHES_AGE_MAX: Duration = Duration::from_hours(1);
/// Bars are kept for the slowest warm-up of minute bars; daily history is seeded from the data source.
const BARS_AGE_MAX: Duration = Duration::from_hours(3 * 24);
const LETTERS_AGE_MAX: Duration = Duration::from_hours(7 * 24);
/// Ids are remembered this long. A producer that repeats itself later is recognised by its last message instead.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);

/// A stream of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineStream {
    Batches(BatchKind),
    Results,
    Alerts,
    Instruments,
    Quantiles,
    Dead,
}

impl PipelineStream {
    pub const ALL: [Self; 9] = [
        Self::Batches(BatchKind::Bar),
        Self::Batches(BatchKind::Feature),
        Self::Batches(BatchKind::Prediction),
        Self::Batches(BatchKind::Score),
        Self::Results,
        Self::Alerts,
        Self::Instruments,
        Self::Quantiles,
        Self::Dead,
    ];

    /// Its name on the bus.
    pub fn name(self, namespace: &Namespace) -> String {
        namespace.stream(match self {
            Self::Batches(BatchKind::Bar) => "BARS",
            Self::Batches(BatchKind::Feature) => "FEATURES",
            Self::Batches(BatchKind::Prediction) => "PREDICTIONS",
            Self::Batches(BatchKind::Score) => "SCORES",
            Self::Results => "RESULTS",
            Self::Alerts => "ALERTS",
            Self::Instruments => "INSTRUMENTS",
            Self::Quantiles => "QUANTILES",
            Self::Dead => "DEAD",
        })
    }

    fn spec(self, namespace: &Namespace) -> StreamSpec {
        let (subjects, max_age, last_per_subject) = match self {
            Self::Batches(BatchKind::Bar) => (namespace.batches(BatchKind::Bar), Some(BARS_AGE_MAX), false),
            Self::Batches(kind) => (namespace.batches(kind), Some(BATCHES_AGE_MAX), false),
            Self::Results => (namespace.results(), None, true),
            Self::Alerts => (namespace.alerts(), Some(LETTERS_AGE_MAX), false),
            Self::Instruments => (namespace.instruments(), None, true),
            Self::Quantiles => (namespace.all_quantiles(), None, true),
            Self::Dead => (namespace.dead_letters(), Some(LETTERS_AGE_MAX), false),
        };
        StreamSpec {
            name: self.name(namespace),
            subjects: vec![subjects],
            // Also between stages: a server that restarts must not lose what a stage has not read yet (ADR 0002).
            storage: Storage::File,
            max_age,
            max_bytes: None,
            last_per_subject,
            duplicate_window: DUPLICATE_WINDOW,
        }
    }
}

/// Creates every stream of a namespace, or checks that it is as it should be.
///
/// # Errors
/// When a stream cannot be created, or the server keeps it otherwise than asked for.
pub async fn ensure(bus: &Bus, namespace: &Namespace) -> Result<(), BusError> {
    for stream in PipelineStream::ALL {
        bus.ensure_stream(&stream.spec(namespace)).await?;
    }
    Ok(())
}
