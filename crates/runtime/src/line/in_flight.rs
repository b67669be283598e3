//! What is on its way to the bus while the stage goes on.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

use crate::bus::{BusError, Delivery};

/// A service that hears no confirmations begins no turn when so many of them, or so many outputs, are on their way.
const TURNS_MAX: usize = 32;
const OUTPUTS_MAX: usize = 256;

/// Turns whose outputs are not confirmed yet. Waiting for each confirmation before the next turn would make every bar wait
/// for the one before it; those for the same subject still follow each other.
#[derive(Default)]
pub(super) struct InFlight {
    turns: FuturesUnordered<BoxFuture<'static, (u64, Turn)>>,
    /// These turns by number, with how many outputs each has.
    open: BTreeMap<u64, usize>,
    n_outputs: usize,
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
        n_outputs: usize,
        delivering: impl Future<Output = Result<usize, BusError>> + Send + 'static,
        done: Vec<Delivery>,
    ) {
        self.newest += 1;
        let number = self.newest;
        self.open.insert(number, n_outputs);
        self.n_outputs += n_outputs;
        self.turns.push(async move { (number, Turn { delivered: delivering.await, done }) }.boxed());
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether the outputs of this turn and of all before it are where they belong.
    pub(super) fn is_out(&self, number: u64) -> bool {
        self.open.first_key_value().is_none_or(|(oldest, _)| *oldest > number)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.turns.len() >= TURNS_MAX || self.n_outputs >= OUTPUTS_MAX
    }

    /// The next turn that ends; `None` when there is none under way.
    pub(super) async fn next(&mut self) -> Option<Turn> {
        let (number, turn) = self.turns.next().await?;
        self.n_outputs -= self.open.remove(&number).unwrap_or(0);
        Some(turn)
    }

    /// A turn that has ended already.
    pub(super) fn ended(&mut self) -> Option<Turn> {
        self.next().now_or_never().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn few_large_turns_fill_it_as_many_small_ones_do() {
        let mut in_flight = InFlight::default();
        for _ in 1..TURNS_MAX {
            in_flight.push(1, pending(), Vec::new());
        }
        assert!(!in_flight.is_full());
        in_flight.push(OUTPUTS_MAX, ready(Ok(7)), Vec::new());
        assert!(in_flight.is_full());
        let last = in_flight.newest();
        assert_eq!(in_flight.ended().map(|turn| turn.delivered.expect("it is out")), Some(7));
        assert!(!in_flight.is_full() && !in_flight.is_out(last), "those before it are still on their way");

        let mut in_flight = InFlight::default();
        in_flight.push(OUTPUTS_MAX, ready(Ok(0)), Vec::new());
        assert!(in_flight.is_full() && !in_flight.is_out(1));
        assert!(in_flight.ended().is_some());
        assert!(in_flight.is_empty() && in_flight.is_out(1) && !in_flight.is_full());
    }
}
