//! A bar for each of many slots at once.

use pulp::{Simd, WithSimd};
use schemas::Bar;

use crate::group::Group;
use crate::selection::{Parts, Selection};
use crate::slot::{Amend, Close, Slot, TakeIn, is_impossible};
use crate::target::dispatch;
use crate::values::{Row, Values};

/// Takes in final bars, each for the slot at its place, and calls `sink` with the number of each bar and its row; columns
/// beyond the selection may be missing.
///
/// # Shape
/// The same rows and slots, to the bit, as one [`Slot::close_selected`] after the other; in the order of the bars. Slots are
/// computed side by side, as many at once as the processor has lanes, where they are warm and were closed with the same
/// selection before.
///
/// # Panics
/// When there are not as many bars as places, or no slot is at one of them.
pub fn close_all(
    slots: &mut [Slot],
    places: &[usize],
    bars: &[Bar],
    selection: Selection,
    sink: &mut impl FnMut(usize, Row<'_>),
) {
    assert_eq!(places.len(), bars.len(), "a place for each bar");
    dispatch(CloseAll { slots, places, bars, parts: selection.parts(), sink });
}

/// The columns as if each bar closed now; see [`close_all`]. Changes nothing.
///
/// # Panics
/// When there are not as many bars as places, or no slot is at one of them.
pub fn amend_all(
    slots: &[Slot],
    places: &[usize],
    bars: &[Bar],
    selection: Selection,
    sink: &mut impl FnMut(usize, Row<'_>),
) {
    assert_eq!(places.len(), bars.len(), "a place for each bar");
    dispatch(AmendAll { slots, places, bars, parts: selection.parts(), sink });
}

/// Without a type of its own, because each would be another copy of all of this.
type Sink<'a> = &'a mut dyn FnMut(usize, Row<'_>);

struct CloseAll<'a> {
    slots: &'a mut [Slot],
    places: &'a [usize],
    bars: &'a [Bar],
    parts: Parts,
    sink: Sink<'a>,
}

impl WithSimd for CloseAll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { slots, places, bars, parts, sink } = self;
        let mut group = Group::new(simd, parts);
        let n = Group::<S>::N;
        for (chunk, (places, bars)) in places.chunks(n).zip(bars.chunks(n)).enumerate() {
            let is_in = fill(&mut group, slots, places, bars);
            if is_in != 0 {
                simd.vectorize(Compute(&mut group));
                for lane in lanes(is_in) {
                    let (slot, bar) = (&mut slots[places[lane]], &bars[lane]);
                    simd.vectorize(TakeIn { slot, bar, group: &group, lane, parts });
                }
            }
            for (lane, (&place, bar)) in places.iter().zip(bars).enumerate() {
                if is_in >> lane & 1 == 1 {
                    sink(chunk * n + lane, group.row(lane));
                    continue;
                }
                let mut values = Values::missing();
                if !is_impossible(bar) {
                    simd.vectorize(Close { slot: &mut slots[place], bar, parts, values: &mut values });
                }
                sink(chunk * n + lane, Row::from(&values));
            }
        }
    }
}

struct AmendAll<'a> {
    slots: &'a [Slot],
    places: &'a [usize],
    bars: &'a [Bar],
    parts: Parts,
    sink: Sink<'a>,
}

impl WithSimd for AmendAll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { slots, places, bars, parts, sink } = self;
        let mut group = Group::new(simd, parts);
        let n = Group::<S>::N;
        for (chunk, (places, bars)) in places.chunks(n).zip(bars.chunks(n)).enumerate() {
            let is_in = fill(&mut group, slots, places, bars);
            if is_in != 0 {
                simd.vectorize(Compute(&mut group));
            }
            for (lane, (&place, bar)) in places.iter().zip(bars).enumerate() {
                if is_in >> lane & 1 == 1 {
                    sink(chunk * n + lane, group.row(lane));
                    continue;
                }
                let mut values = Values::missing();
                if !is_impossible(bar) {
                    simd.vectorize(Amend { slot: &slots[place], bar, parts, values: &mut values });
                }
                sink(chunk * n + lane, Row::from(&values));
            }
        }
    }
}

/// A function of its own, for both.
struct Compute<'a, S: Simd>(&'a mut Group<S>);

impl<S: Simd> WithSimd for Compute<'_, S> {
    type Output = ();

    #[inline(always)]
    fn with_simd<T: Simd>(self, _: T) {
        self.0.compute();
    }
}

/// Puts those slots of a chunk into their lanes that can be computed side by side, a bit for each. None where it is not worth
/// it: then lanes would idle.
#[inline(always)]
fn fill<S: Simd>(group: &mut Group<S>, slots: &[Slot], places: &[usize], bars: &[Bar]) -> u32 {
    let mut is_in = 0_u32;
    for (lane, (&place, bar)) in places.iter().zip(bars).enumerate() {
        // A slot that has two bars here takes them one after the other.
        let is_alone = places.iter().filter(|&&other| other == place).count() == 1;
        if is_alone && group.takes(&slots[place], bar) {
            is_in |= 1 << lane;
        }
    }
    if is_in.count_ones() < 2 {
        return 0;
    }
    for lane in lanes(is_in) {
        group.put(lane, &slots[places[lane]], &bars[lane]);
    }
    is_in
}

/// The bits that are set.
#[inline(always)]
fn lanes(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(
        #[inline(always)]
        move || {
            let lane = bits.trailing_zeros() as usize;
            bits &= bits.wrapping_sub(1);
            (lane < 32).then_some(lane)
        },
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::BarFlags;

    use super::*;
    use crate::plan::N_COLUMNS;
    use crate::testing::{any_bar, any_bars, closed, slot_bits, value_bits};

    type Rows = Vec<Vec<u64>>;

    /// What amending and then closing gives.
    struct Test<'a> {
        slots: &'a mut [Slot],
        places: &'a [usize],
        bars: &'a [Bar],
        parts: Parts,
    }

    impl WithSimd for Test<'_> {
        type Output = [Rows; 2];

        fn with_simd<S: Simd>(self, simd: S) -> [Rows; 2] {
            let Self { slots, places, bars, parts } = self;
            let mut rows = [Vec::new(), Vec::new()];
            let [amended, closed] = &mut rows;
            let mut sink = |at: usize, row: Row| {
                assert_eq!(at, amended.len(), "in the order of the bars");
                amended.push(value_bits(&row.values()));
            };
            AmendAll { slots, places, bars, parts, sink: &mut sink }.with_simd(simd);
            let mut sink = |at: usize, row: Row| {
                assert_eq!(at, closed.len(), "in the order of the bars");
                closed.push(value_bits(&row.values()));
            };
            CloseAll { slots, places, bars, parts, sink: &mut sink }.with_simd(simd);
            rows
        }
    }

    fn selections() -> impl Strategy<Value = Selection> {
        prop_oneof![
            2 => Just(Selection::all()),
            2 => proptest::collection::vec(0..N_COLUMNS, 0..5).prop_map(Selection::new),
            1 => proptest::collection::vec(0..N_COLUMNS, 20..60).prop_map(Selection::new),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn all_at_once_is_one_by_one_on_every_dispatch_target(
            history in any_bars(260..300),
            lengths in proptest::collection::vec(prop_oneof![9 => 254..300_usize, 1 => 0..254_usize], 20),
            selection in selections(),
            rounds in proptest::collection::vec(
                (proptest::collection::vec(any_bar(), 30), Just((0..20_usize).collect::<Vec<_>>()).prop_shuffle(),
                 proptest::collection::vec(0..20_usize, 0..4)), 1..12),
        ) {
            let parts = selection.parts();
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
            for (bars, order, again) in &rounds {
                // Some slots twice, not all of them.
                let mut places = order[again.len()..].to_vec();
                for &at in again {
                    places.insert(at.min(places.len()), order[order.len() - 1 - at / 2]);
                }
                let bars = &bars[..places.len()];
                let amended = places.iter().zip(bars)
                    .map(|(&place, bar)| value_bits(&expected[place].amend_selected(bar, selection))).collect();
                let closed = places.iter().zip(bars)
                    .map(|(&place, bar)| value_bits(&expected[place].close_selected(bar, selection))).collect();
                let rows: [Rows; 2] = [amended, closed];
                let [baseline, avx2, avx512] = &mut others;
                let test = |slots| Test { slots, places: &places, bars, parts };
                prop_assert!(Simd::vectorize(pulp::Scalar, test(baseline)) == rows, "baseline");
                #[cfg(target_arch = "x86_64")]
                {
                    use pulp::x86::{V3, V4};
                    if let Some(simd) = V3::try_new() {
                        prop_assert!(Simd::vectorize(simd, test(avx2)) == rows, "AVX2");
                    }
                    if let Some(simd) = V4::try_new() {
                        prop_assert!(Simd::vectorize(simd, test(avx512)) == rows, "AVX-512");
                    }
                }
            }
            for (i, slot) in expected.iter().enumerate() {
                prop_assert_eq!(slot_bits(&others[0][i]), slot_bits(slot));
                #[cfg(target_arch = "x86_64")]
                {
                    use pulp::x86::{V3, V4};
                    if V3::try_new().is_some() {
                        prop_assert_eq!(slot_bits(&others[1][i]), slot_bits(slot));
                    }
                    if V4::try_new().is_some() {
                        prop_assert_eq!(slot_bits(&others[2][i]), slot_bits(slot));
                    }
                }
            }
        }
    }
}
