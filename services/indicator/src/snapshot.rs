//! What a slot and a partition look like when they outlive the process.

use schemas::{EventTime, F64Column, Symbol, Timeframe};
use serde::{Deserialize, Serialize};

use crate::ring::Ring;
use crate::slot::{Hot, N_CLOSES, N_DOLLAR_VOLUMES, N_GAPS, Slot};

/// Rises with every change of the fields below, of [`Hot`] or of what they mean.
pub(crate) const LAYOUT_VERSION: u64 = 1;

/// More than a slot can have seen; keeps the counters of a damaged snapshot from overflowing.
const N_BARS_MAX: u32 = 1 << 31;

#[derive(Serialize, Deserialize)]
pub(crate) struct PartitionState {
    pub(crate) layout: u64,
    /// In rising order of timeframe and symbol.
    pub(crate) tracks: Vec<TrackState>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct TrackState {
    pub(crate) timeframe: Timeframe,
    pub(crate) symbol: Symbol,
    pub(crate) closed: Option<Stamp>,
    pub(crate) forming: Option<Stamp>,
    pub(crate) slot: SlotState,
}

/// Which version of which bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) open_time: EventTime,
    pub(crate) revision: u32,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SlotState {
    pub(crate) hot: Hot,
    before: Hot,
    closes: F64Column,
    dollar_volumes: F64Column,
    pub(crate) gaps: F64Column,
}

impl From<&Slot> for SlotState {
    fn from(slot: &Slot) -> Self {
        Self {
            hot: slot.hot,
            before: slot.before,
            closes: slot.closes.as_slice().to_vec().into(),
            dollar_volumes: slot.dollar_volumes.as_slice().to_vec().into(),
            gaps: slot.gaps.as_slice().to_vec().into(),
        }
    }
}

/// A slot that no sequence of bars leads to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SlotFault {
    #[error("a ring of {n_numbers} numbers for {n_places} places")]
    RingLength { n_numbers: usize, n_places: usize },
    #[error("{n_bars} bars of a segment, {n_pushed} in all")]
    Count { n_bars: u32, n_pushed: u32 },
}

impl TryFrom<SlotState> for Slot {
    type Error = SlotFault;

    fn try_from(state: SlotState) -> Result<Self, SlotFault> {
        for Hot { n_bars, n_pushed, .. } in [state.hot, state.before] {
            if n_bars > n_pushed || n_pushed > N_BARS_MAX {
                return Err(SlotFault::Count { n_bars, n_pushed });
            }
        }
        Ok(Self {
            hot: state.hot,
            before: state.before,
            closes: ring::<N_CLOSES>(&state.closes)?,
            dollar_volumes: ring::<N_DOLLAR_VOLUMES>(&state.dollar_volumes)?,
            gaps: ring::<N_GAPS>(&state.gaps)?,
        })
    }
}

fn ring<const N: usize>(numbers: &[f64]) -> Result<Ring<N>, SlotFault> {
    Ring::from_slice(numbers).ok_or(SlotFault::RingLength { n_numbers: numbers.len(), n_places: N })
}
