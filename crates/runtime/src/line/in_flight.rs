//! What is on its way to the bus while the stage goes on.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

use crate::bus::{BusError, Delivery};

/// A service that hears no confirmations does not run ahead by more turns than this.
const TURNS_MAX: usize = 32;

/// Turns whose outputs are not confirmed yet. Waiting for each confirmation before the next turn would make every bar wait
/// for the one before it; those for the same subject still follow each other.
#[derive(Default)]
pub(super) struct InFlight {
    turns: FuturesUnordered<BoxFuture<'static, (u64, Turn)>>,
    /// The numbers of these turns.
    open: BTreeSet<u64>,
    /// The number of the newest turn.
    newest: u64,
}

/// A turn whose outputs are where they belong, or never will be.
pub(super) struct Turn {
    /// The number of rows.
    pub(super) delivered: Result<usize, BusError>,
    /// Inputs that may be acknowledged then.
    pub(super) done: Vec<Delivery>,
}

impl InFlight {
    pub(super) fn push(
        &mut self,
        delivering: impl Future<Output = Result<usize, BusError>> + Send + 'static,
        done: Vec<Delivery>,
    ) {
        self.newest += 1;
        let number = self.newest;
        self.open.insert(number);
        self.turns.push(async move { (number, Turn { delivered: delivering.await, done }) }.boxed());
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether the outputs of this turn and of all before it are where they belong.
    pub(super) fn is_out(&self, number: u64) -> bool {
        self.open.first().is_none_or(|oldest| *oldest > number)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.turns.len() >= TURNS_MAX
    }

    /// The next turn that ends; `None` when there is none under way.
    pub(super) async fn next(&mut self) -> Option<Turn> {
        let (number, turn) = self.turns.next().await?;
        self.open.remove(&number);
        Some(turn)
    }

    /// A turn that has ended already.
    pub(super) fn ended(&mut self) -> Option<Turn> {
        self.next().now_or_never().flatten()
    }
}
