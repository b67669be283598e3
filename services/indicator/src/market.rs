//! A bar for each of many slots at once.

use pulp::{Arch, Simd, WithSimd};
use schemas::{Bar, BarFlags};

use crate::engine::{Hot, columns, step};
use crate::input::{Input, N_CLOSES, N_GAPS, N_LOG_RETURNS, N_RANGES, N_RSIS, N_VOLUMES, Past};
use crate::lanes::Lanes;
use crate::plan::{Column, NEED_MAX};
use crate::recompute::lane_of;
use crate::slot::Slot;
use crate::state::{State as _, Unit};
use crate::tapes::Entry;
use crate::values::Values;

/// Takes in a final bar for each slot, and calls `sink` with the place of the slot and its row.
///
/// # Shape
/// The same rows and slots, to the bit, as one [`Slot::close`] after the other; in the order of the slots.
///
/// # Panics
/// When there are not as many bars as slots.
pub fn close_all(slots: &mut [Slot], bars: &[Bar], sink: &mut impl FnMut(usize, Values)) {
    assert_eq!(slots.len(), bars.len(), "a bar for each slot");
    Arch::new().dispatch(CloseAll { slots, bars, sink });
}

struct CloseAll<'a, F> {
    slots: &'a mut [Slot],
    bars: &'a [Bar],
    sink: &'a mut F,
}

impl<F: FnMut(usize, Values)> WithSimd for CloseAll<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = Lanes::<S>::N;
        for (group, (slots, bars)) in self.slots.chunks_mut(n).zip(self.bars.chunks(n)).enumerate() {
            let mut sink = |lane: usize, values| (self.sink)(group * n + lane, values);
            if slots.len() == n && slots.iter().zip(bars).all(|(slot, bar)| is_warm(slot, bar)) {
                close_group(simd, slots, bars, &mut sink);
            } else {
                for (lane, (slot, bar)) in slots.iter_mut().zip(bars).enumerate() {
                    sink(lane, slot.close(bar));
                }
            }
        }
    }
}

/// Whether the slot takes in the bar exactly as every other warm slot does.
fn is_warm(slot: &Slot, bar: &Bar) -> bool {
    slot.n_bars() >= NEED_MAX && !bar.flags.contains(BarFlags::SEGMENT_START) && bar.check().is_ok()
}

#[inline(always)]
fn close_group<S: Simd>(simd: S, slots: &mut [Slot], bars: &[Bar], sink: &mut impl FnMut(usize, Values)) {
    let zero = Lanes::splat(simd, 0.0);
    let mut windows = Windows::new(zero);
    let mut bar = Input { open: zero, high: zero, low: zero, close: zero, volume: zero, log_return: zero };
    let mut numbers = [zero; size_of::<Hot<f64>>() / size_of::<f64>()];
    for (lane, (slot, row)) in slots.iter().zip(bars).enumerate() {
        let past = slot.past();
        windows.set(lane, &past);
        let input = Input::new(row, slot.n_bars(), past.close());
        bar.open.as_mut_slice()[lane] = input.open;
        bar.high.as_mut_slice()[lane] = input.high;
        bar.low.as_mut_slice()[lane] = input.low;
        bar.close.as_mut_slice()[lane] = input.close;
        bar.volume.as_mut_slice()[lane] = input.volume;
        bar.log_return.as_mut_slice()[lane] = input.log_return;
        let mut hot = slot.head.hot;
        let mut numbers = numbers.iter_mut();
        hot.visit(Unit::Plain, &mut |number, _| {
            let lanes = numbers.next().expect("there is one for each number of the state");
            lanes.as_mut_slice()[lane] = *number;
        });
    }
    let mut hot = Hot::filled(zero);
    let mut next = numbers.iter();
    hot.visit(Unit::Plain, &mut |lanes, _| *lanes = *next.next().expect("there is one for each number of the state"));

    let past = windows.past();
    // Any number of a warm slot gives the same; that of each is shown below.
    let mut step = step(&hot, &past, &bar, NEED_MAX);
    let rows = columns(&hot, &step, &past, &bar, NEED_MAX);
    let mut next = numbers.iter_mut();
    step.hot.visit(Unit::Plain, &mut |lanes, _| {
        *next.next().expect("there is one for each number of the state") = *lanes;
    });
    for (lane, (slot, row)) in slots.iter_mut().zip(bars).enumerate() {
        let n_bars = slot.n_bars() + 1;
        let mut values = lane_of(&rows, lane);
        values[Column::NBars as usize] = f64::from(n_bars);
        let mut hot = slot.head.hot;
        let mut numbers = numbers.iter();
        hot.visit(Unit::Plain, &mut |number, _| {
            let lanes = numbers.next().expect("there is one for each number of the state");
            *number = lanes.as_slice()[lane];
        });
        let Bar { close, high, low, volume, .. } = *row;
        let entry = Entry {
            close,
            high,
            low,
            volume,
            gap: step.gap_size.as_slice()[lane],
            log_return: bar.log_return.as_slice()[lane],
            rsi: step.rsi.as_slice()[lane],
        };
        slot.store(n_bars, &hot, &entry);
        sink(lane, Values::new(values, n_bars));
    }
}

/// The pasts of the slots of a group, side by side.
struct Windows<S: Simd> {
    closes: [Lanes<S>; N_CLOSES],
    highs: [Lanes<S>; N_RANGES],
    lows: [Lanes<S>; N_RANGES],
    volumes: [Lanes<S>; N_VOLUMES],
    gaps: [Lanes<S>; N_GAPS],
    log_returns: [Lanes<S>; N_LOG_RETURNS],
    rsis: [Lanes<S>; N_RSIS],
}

impl<S: Simd> Windows<S> {
    #[inline(always)]
    fn new(zero: Lanes<S>) -> Self {
        Self {
            closes: [zero; _],
            highs: [zero; _],
            lows: [zero; _],
            volumes: [zero; _],
            gaps: [zero; _],
            log_returns: [zero; _],
            rsis: [zero; _],
        }
    }

    #[inline(always)]
    fn set(&mut self, lane: usize, past: &Past<f64>) {
        set(&mut self.closes, lane, past.closes);
        set(&mut self.highs, lane, past.highs);
        set(&mut self.lows, lane, past.lows);
        set(&mut self.volumes, lane, past.volumes);
        set(&mut self.gaps, lane, past.gaps);
        set(&mut self.log_returns, lane, past.log_returns);
        set(&mut self.rsis, lane, past.rsis);
    }

    #[inline(always)]
    fn past(&self) -> Past<'_, Lanes<S>> {
        Past {
            closes: &self.closes,
            highs: &self.highs,
            lows: &self.lows,
            volumes: &self.volumes,
            gaps: &self.gaps,
            log_returns: &self.log_returns,
            rsis: &self.rsis,
        }
    }
}

#[inline(always)]
fn set<S: Simd, const N: usize>(windows: &mut [Lanes<S>; N], lane: usize, window: &[f64; N]) {
    for (lanes, number) in windows.iter_mut().zip(window) {
        lanes.as_mut_slice()[lane] = *number;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{any_bar, any_bars, closed, slot_bits, value_bits};

    struct Test<'a>(&'a mut [Slot], &'a [Bar]);

    impl WithSimd for Test<'_> {
        type Output = Vec<Vec<u64>>;

        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let mut rows = Vec::new();
            let mut sink = |at: usize, values| {
                assert_eq!(at, rows.len(), "in the order of the slots");
                rows.push(value_bits(&values));
            };
            CloseAll { slots: self.0, bars: self.1, sink: &mut sink }.with_simd(simd);
            rows
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn closing_all_is_closing_one_by_one_on_every_dispatch_target(
            history in any_bars(260..300),
            lengths in proptest::collection::vec(prop_oneof![9 => 254..300_usize, 1 => 0..254_usize], 0..20),
            rounds in proptest::collection::vec(proptest::collection::vec(any_bar(), 20), 1..12),
        ) {
            // One history in other units, so that lanes differ.
            let history: Vec<Bar> =
                history.iter().map(|bar| Bar { flags: BarFlags::FINAL, ..*bar }).collect();
            let slots: Vec<Slot> = lengths.iter().enumerate().map(|(i, n)| {
                let mut slot = closed(&history[history.len().saturating_sub(*n)..]);
                slot.rescale(1.0 + i as f64);
                slot
            }).collect();
            let mut expected = slots.clone();
            let mut others = [slots.clone(), slots.clone(), slots];
            for bars in &rounds {
                let bars = &bars[..expected.len()];
                let rows: Vec<_> =
                    expected.iter_mut().zip(bars).map(|(slot, bar)| value_bits(&slot.close(bar))).collect();
                prop_assert!(Simd::vectorize(pulp::Scalar, Test(&mut others[0], bars)) == rows, "baseline");
                #[cfg(target_arch = "x86_64")]
                {
                    use pulp::x86::{V3, V4};
                    if let Some(simd) = V3::try_new() {
                        prop_assert!(Simd::vectorize(simd, Test(&mut others[1], bars)) == rows, "AVX2");
                    }
                    if let Some(simd) = V4::try_new() {
                        prop_assert!(Simd::vectorize(simd, Test(&mut others[2], bars)) == rows, "AVX-512");
                    }
                }
            }
            for (i, slot) in expected.iter().enumerate() {
                prop_assert_eq!(slot_bits(&others[0][i]), slot_bits(slot));
                #[cfg(target_arch = "x86_64")]
                if pulp::x86::V4::try_new().is_some() {
                    prop_assert_eq!(slot_bits(&others[1][i]), slot_bits(slot));
                    prop_assert_eq!(slot_bits(&others[2][i]), slot_bits(slot));
                }
            }
        }
    }
}
