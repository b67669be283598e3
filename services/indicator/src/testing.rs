//! Bars for the tests of this crate.

use proptest::prelude::*;
use schemas::{Bar, BarFlags, EventTime};

use crate::slot::Slot;
use crate::snapshot::SlotState;
use crate::values::Values;

/// A final bar that stands still at a price.
pub(crate) fn bar(day: i32, price: f64) -> Bar {
    Bar {
        open_time: EventTime::from_days(day),
        open: price,
        high: price,
        low: price,
        close: price,
        volume: 100.0,
        revision: 0,
        flags: BarFlags::FINAL,
    }
}

/// Day after day, one bar each.
pub(crate) fn bars(closes: impl IntoIterator<Item = f64>) -> Vec<Bar> {
    (0..).zip(closes).map(|(day, close)| bar(day, close)).collect()
}

pub(crate) fn closed(bars: &[Bar]) -> Slot {
    let mut slot = Slot::default();
    for bar in bars {
        slot.close(bar);
    }
    slot
}

/// Days of possible bars: moves, flat stretches, jumps, bars without volume, and now and then a new segment.
pub(crate) fn any_bars(n_bars: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<Bar>> {
    proptest::collection::vec(any_bar(), n_bars).prop_map(|mut bars| {
        for (day, bar) in (0..).zip(&mut bars) {
            bar.open_time = EventTime::from_days(day);
        }
        bars
    })
}

pub(crate) fn any_bar() -> impl Strategy<Value = Bar> {
    let price = prop_oneof![4 => 1.0..200.0, 2 => Just(10.1), 1 => 1e-3..1e6];
    let volume = prop_oneof![4 => 0.0..1e7, 1 => Just(0.0)];
    let is_start = prop_oneof![40 => Just(false), 1 => Just(true)];
    (price.clone(), price, 0.0..0.1, 0.0..0.1, volume, is_start).prop_map(
        |(open, close, up, down, volume, is_start)| {
            let start = if is_start { BarFlags::SEGMENT_START } else { BarFlags::empty() };
            Bar {
                open,
                high: open.max(close) * (1.0 + up),
                low: open.min(close) * (1.0 - down),
                close,
                volume,
                flags: BarFlags::FINAL.with(start),
                ..bar(0, close)
            }
        },
    )
}

/// Every bit of a row, NaN included.
pub(crate) fn value_bits(values: &Values) -> Vec<u64> {
    values.as_slice().iter().map(|value| value.to_bits()).collect()
}

/// Every bit of a slot.
pub(crate) fn slot_bits(slot: &Slot) -> Vec<u8> {
    rmp_serde::to_vec(&SlotState::from(slot)).unwrap()
}
