//! A bar for each of many slots at once.

use pulp::{Simd, WithSimd};
use schemas::Bar;

use crate::slot::{Slot, is_impossible};
use crate::target::dispatch;
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
    dispatch(CloseAll { slots, bars, sink });
}

struct CloseAll<'a> {
    slots: &'a mut [Slot],
    bars: &'a [Bar],
    /// Without a type of its own, because each would be another copy of all of this.
    sink: &'a mut dyn FnMut(usize, Values),
}

impl WithSimd for CloseAll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (place, bar) in self.bars.iter().enumerate() {
            // On its way into the cache while the slot before it is computed.
            if let Some(next) = self.slots.get(place + 1) {
                next.tapes.load();
            }
            let slot = &mut self.slots[place];
            let values = if is_impossible(bar) { Values::missing() } else { slot.close_with(simd, bar) };
            (self.sink)(place, values);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::BarFlags;

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
