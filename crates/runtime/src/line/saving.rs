//! Saves the state of a stage, one partition at a time, while the stage goes on.

use std::sync::Arc;
use std::time::Duration;

use schemas::{N_PARTITIONS, Partition};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::in_flight::InFlight;
use crate::state_store::{StateError, StateStore};

/// A partition's state at a moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) partition: Partition,
    pub(super) layout: u64,
    /// The input that it stands at.
    pub(super) sequence: u64,
    pub(super) state: Vec<u8>,
}

/// Takes turns with the partitions, and with the disk.
#[derive(Debug)]
pub(super) struct Saver {
    store: Arc<StateStore>,
    /// Between two partitions.
    step: Duration,
    /// The partition whose turn it is, and when.
    next: u8,
    at: Instant,
    /// Waits for the outputs that preceded it: what is saved says that they are out. With the number of their last turn.
    taken: Option<(Snapshot, u64)>,
    writing: Option<JoinHandle<Result<(), StateError>>>,
}

impl Saver {
    /// Every partition gets its turn within `period`.
    pub(super) fn new(store: StateStore, period: Duration) -> Self {
        let step = period / u32::from(N_PARTITIONS);
        Self { store: Arc::new(store), step, next: 0, at: Instant::now() + step, taken: None, writing: None }
    }

    pub(super) fn store(&self) -> &StateStore {
        &self.store
    }

    /// When the next partition is to be looked at; `None` while one is being saved.
    pub(super) fn at(&self) -> Option<Instant> {
        (self.taken.is_none() && self.writing.is_none()).then_some(self.at)
    }

    /// The partition whose turn it is.
    pub(super) fn next_partition(&mut self) -> Partition {
        let partition = Partition::new(self.next).expect("the number is kept below the count");
        self.next = (self.next + 1) % N_PARTITIONS;
        self.at = Instant::now() + self.step;
        partition
    }

    /// Saves a snapshot once everything is out that is on its way now.
    pub(super) fn save(&mut self, snapshot: Snapshot, in_flight: &InFlight) {
        self.taken = Some((snapshot, in_flight.newest()));
        self.go_on(in_flight);
    }

    /// Writes what was taken, if it need not wait any longer.
    pub(super) fn go_on(&mut self, in_flight: &InFlight) {
        if let Some((snapshot, _)) = self.taken.take_if(|(_, last)| in_flight.is_out(*last)) {
            let store = Arc::clone(&self.store);
            self.writing = Some(tokio::task::spawn_blocking(move || write(&store, &snapshot)));
        }
    }

    /// Ends when what is being written is written; never while nothing is.
    pub(super) async fn written(&mut self) -> Result<(), StateError> {
        match &mut self.writing {
            None => std::future::pending().await,
            Some(writing) => {
                let written = writing.await.expect("writing a file does not panic");
                self.writing = None;
                written
            }
        }
    }

    /// Saves at once what was taken, and whatever more there is. Nothing is on its way any more.
    pub(super) async fn finish(&mut self, rest: impl IntoIterator<Item = Snapshot>) -> Result<(), StateError> {
        if self.writing.is_some() {
            self.written().await?;
        }
        let taken = self.taken.take().map(|(snapshot, _)| snapshot);
        taken.into_iter().chain(rest).try_for_each(|snapshot| write(&self.store, &snapshot))
    }
}

fn write(store: &StateStore, snapshot: &Snapshot) -> Result<(), StateError> {
    store.save(snapshot.partition, snapshot.layout, snapshot.sequence, &snapshot.state)
}
