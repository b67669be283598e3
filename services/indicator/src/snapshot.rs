//! What a slot and a partition look like when they outlive the process.

use schemas::{EventTime, F64Column, Symbol, Timeframe};
use serde::{Deserialize, Serialize};

use crate::extras::ExtrasState;
use crate::slot::{Head, Slot};
use crate::state::{State as _, Unit};
use crate::tapes::{Offset, Tapes};

/// Rises with every change of the fields below, of the order in which a slot's numbers are visited, or of what they mean.
pub(crate) const LAYOUT_VERSION: u64 = 5;

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
    /// Behind everything else and left out where there are none, so that they change no snapshot without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) extras: Option<ExtrasState>,
}

/// Which version of which bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) open_time: EventTime,
    pub(crate) revision: u32,
}

/// A slot as one column of numbers: the heads, then the tapes.
#[derive(Serialize, Deserialize)]
pub(crate) struct SlotState {
    pub(crate) n_bars: [u32; 2],
    pub(crate) offset: [u8; 2],
    pub(crate) numbers: F64Column,
}

impl From<&Slot> for SlotState {
    fn from(slot: &Slot) -> Self {
        let mut numbers = Vec::with_capacity(size_of::<Slot>() / size_of::<f64>());
        let heads = slot.both();
        for mut head in heads {
            head.hot.visit(Unit::Plain, &mut |number, _| numbers.push(*number));
        }
        slot.tapes.parts().iter().for_each(|part| numbers.extend_from_slice(part));
        Self { n_bars: heads.map(|head| head.n_bars), offset: slot.offset.get(), numbers: numbers.into() }
    }
}

/// A slot that no sequence of bars leads to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SlotFault {
    #[error("{n_numbers} numbers")]
    Length { n_numbers: usize },
    #[error("{n_bars} bars of a segment")]
    Count { n_bars: u32 },
    #[error("windows that begin at {offset:?}")]
    Offset { offset: [u8; 2] },
    #[error("extra columns that are not those of the plan")]
    Extras,
}

impl TryFrom<SlotState> for Slot {
    type Error = SlotFault;

    fn try_from(state: SlotState) -> Result<Self, SlotFault> {
        let fault = SlotFault::Length { n_numbers: state.numbers.len() };
        let mut numbers = state.numbers.iter();
        let mut is_short = false;
        let mut next = || {
            let number = numbers.next();
            is_short |= number.is_none();
            number.copied().unwrap_or_default()
        };
        let offset = Offset::new(state.offset).ok_or(SlotFault::Offset { offset: state.offset })?;
        let (mut heads, mut tapes) = ([Head::default(); 2], Tapes::default());
        for (head, n_bars) in heads.iter_mut().zip(state.n_bars) {
            if n_bars > N_BARS_MAX {
                return Err(SlotFault::Count { n_bars });
            }
            head.n_bars = n_bars;
            head.hot.visit(Unit::Plain, &mut |number, _| *number = next());
        }
        tapes.parts_mut().into_iter().flatten().for_each(|number| *number = next());
        if is_short || numbers.next().is_some() {
            return Err(fault);
        }
        Ok(Self::restored(&heads, offset, tapes))
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Bar, BarFlags};

    use super::*;
    use crate::testing::{bar, bars, closed, value_bits};

    #[test]
    fn after_a_restore_the_start_of_a_segment_can_be_corrected() {
        let mut slot = closed(&bars((1..=251).map(f64::from)));
        let right = bar(251, 300.0);
        slot.close(&Bar { flags: right.flags.with(BarFlags::SEGMENT_START), ..right });
        let mut restored = Slot::try_from(SlotState::from(&slot)).unwrap();
        assert_eq!(value_bits(&restored.correct(&right)), value_bits(&slot.correct(&right)));
    }
}
