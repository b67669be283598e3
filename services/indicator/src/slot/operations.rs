//! What is done with a slot inside a dispatch.

use pulp::{Simd, WithSimd};
use schemas::Bar;

use crate::channel::{Channel, N_YEAR, range};
use crate::group::Group;
use crate::kama::Paths;
use crate::plan::NEED_MAX;
use crate::selection::Parts;
use crate::slot::{Slot, Stepped, entry};
use crate::tapes::Spare;
use crate::values::Values;
use crate::windows::{Known, Windows};

/// What the windows hold. A function of its own: it is as large as everything else, and rarely needed.
pub(super) struct FindAll<'a> {
    pub(super) slot: &'a Slot,
    pub(super) parts: Parts,
}

impl WithSimd for FindAll<'_> {
    type Output = Windows<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Windows<f64> {
        let Self { slot, parts } = self;
        let mut windows = slot.windows;
        let is_short = (slot.n_bars() as usize) < N_YEAR;
        let year = is_short.then(Channel::default);
        windows.find(&slot.past(simd, &mut Spare::new()), parts, Known { year, last_51: None, rsis: None });
        windows
    }
}

pub(crate) struct Amend<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) bar: &'a Bar,
    pub(crate) parts: Parts,
    pub(crate) values: &'a mut Values,
}

impl WithSimd for Amend<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { slot, bar, parts, values } = self;
        slot.load();
        let n_before = slot.n_before(bar);
        if n_before < NEED_MAX {
            simd.vectorize(Cold { slot, bar, parts, values });
        } else {
            slot.calc(simd, bar, WARM, parts, values);
        }
    }
}

/// The bars before one that is not warm yet, and so needs a branch for every indicator.
struct Cold<'a> {
    slot: &'a Slot,
    bar: &'a Bar,
    parts: Parts,
    values: &'a mut Values,
}

impl WithSimd for Cold<'_> {
    type Output = Stepped;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Stepped {
        let Self { slot, bar, parts, values } = self;
        slot.calc(simd, bar, slot.n_before(bar), parts, values)
    }
}

/// More bars than any indicator needs to warm up: the compiler knows the number, and leaves out what is for fewer.
pub(crate) const WARM: u32 = 2 * NEED_MAX;

pub(crate) struct Close<'a> {
    pub(crate) slot: &'a mut Slot,
    pub(crate) bar: &'a Bar,
    pub(crate) parts: Parts,
    pub(crate) values: &'a mut Values,
}

impl WithSimd for Close<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { slot, bar, parts, values } = self;
        slot.load();
        let n_before = slot.n_before(bar);
        let stepped = if n_before < NEED_MAX {
            simd.vectorize(Cold { slot, bar, parts, values })
        } else {
            slot.calc(simd, bar, WARM, parts, values)
        };
        // Behind a row they are carried by, they need not be found again.
        let places = stepped.places;
        let was_fresh = slot.take_in(
            stepped.n_bars,
            &entry(&stepped.input, &stepped.step),
            parts,
            #[inline(always)]
            |hot| *hot = stepped.hot,
        );
        simd.vectorize(Roll { slot, parts, was_fresh, places });
    }
}

/// Takes in a bar whose columns were computed beside those of others.
pub(crate) struct TakeIn<'a, S: Simd> {
    pub(crate) slot: &'a mut Slot,
    pub(crate) bar: &'a Bar,
    pub(crate) group: &'a Group<S>,
    pub(crate) lane: usize,
    pub(crate) parts: Parts,
}

impl<S: Simd> WithSimd for TakeIn<'_, S> {
    type Output = ();

    #[inline(always)]
    fn with_simd<T: Simd>(self, simd: T) {
        let Self { slot, bar, group, lane, parts } = self;
        let (entry, places) = group.made(lane, bar);
        let was_fresh = slot.take_in(
            slot.n_bars() + 1,
            &entry,
            parts,
            #[inline(always)]
            |hot| group.put_back(lane, hot),
        );
        slot.roll(simd, parts, was_fresh, places);
    }
}

/// A function of its own: together with the columns it is more than the compiler finds registers for.
struct Roll<'a> {
    slot: &'a mut Slot,
    parts: Parts,
    was_fresh: bool,
    places: [f64; 2],
}

impl WithSimd for Roll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.slot.roll(simd, self.parts, self.was_fresh, self.places);
    }
}

pub(super) struct Push<'a> {
    pub(super) slot: &'a mut Slot,
    pub(super) bar: &'a Bar,
}

impl WithSimd for Push<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let slot = self.slot;
        let mut spare = Spare::new();
        let past = slot.past(simd, &mut spare);
        let n_before = slot.n_before(self.bar);
        let stepped = slot.step(&past, self.bar, n_before, Paths::of(&past), range::<S, f64, 13>(&past));
        slot.take_in(
            stepped.n_bars,
            &entry(&stepped.input, &stepped.step),
            Parts::NONE,
            #[inline(always)]
            |hot| *hot = stepped.hot,
        );
    }
}
