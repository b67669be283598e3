//! Columns of many bars of several symbols side by side: one column, or a few that share something, after the other over a
//! block of bars, so that each is a short loop whose state stays in registers. The operations are those of a
//! [`Slot`](crate::Slot), bar by bar, and so are the bits.

#![expect(
    clippy::needless_range_loop,
    clippy::similar_names,
    reason = "loops over many series at once; iterators of arrays are not compiled for a dispatch target"
)]

use pulp::{Simd, WithSimd};
use schemas::Bar;

use crate::columns::extremes::Extremes;
use crate::columns::terms::Terms;
use crate::columns::track::Track;
use crate::engine::Hot;
use crate::lane::Lane as _;
use crate::lanes::Lanes;
use crate::plan::{Column, N_COLUMNS, NEEDS, OF_RANGE};
use crate::state::State as _;

mod closes;
mod extremes;
mod ranges;
mod terms;
pub(crate) mod track;
mod volumes;

/// Which columns are asked for, by place.
#[derive(Debug, Clone)]
pub(crate) struct Wanted([bool; N_COLUMNS]);

impl Wanted {
    pub(crate) fn new(columns: impl IntoIterator<Item = usize>) -> Self {
        let mut wanted = [false; N_COLUMNS];
        columns.into_iter().for_each(|column| wanted[column] = true);
        Self(wanted)
    }

    #[inline(always)]
    pub(crate) fn any(&self, columns: &[Column]) -> bool {
        columns.iter().any(|&column| self.0[column as usize])
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = usize> + '_ {
        (0..N_COLUMNS).filter(|&column| self.0[column])
    }
}

/// Everything that a group of symbols side by side is computed with.
pub(crate) struct Columns<S: Simd> {
    simd: S,
    wanted: Wanted,
    hot: Hot<Lanes<S>>,
    /// Whether all bars of the group were, so far.
    is_tame: bool,
    terms: Terms<S>,
    extremes: Extremes<S>,
    /// By place; made when they are first set. What nobody asked for may hold anything.
    out: Vec<Track<S>>,
    /// Room for what is found on the way.
    spare: Track<S>,
    sums: [Track<S>; 4],
}

/// Columns that can be undefined for bars whose numbers are [tame](Terms::is_tame): where nothing was traded or moved.
const UNDEFINED: [Column; 7] = [
    Column::PlusDi14,
    Column::MinusDi14,
    Column::Cmf20,
    Column::Vwap20,
    Column::VolSpikeRatio,
    Column::Rvol20,
    Column::TrendStrength50,
];

/// A chunk of a group: bars `first` to `first + n` − 1 of its segments.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    first: u32,
    n: usize,
    is_tame: bool,
}

/// Calls methods one after the other, each [apart].
macro_rules! parts {
    ($own:ident, $simd:ident, $chunk:ident: $($part:ident)+) => {
        $(apart(
            $simd,
            #[inline(always)]
            || $own.$part($chunk),
        );)+
    };
}

impl<S: Simd> Columns<S> {
    pub(crate) fn new(simd: S, wanted: Wanted) -> Self {
        Self {
            simd,
            hot: Hot::filled(Lanes::splat(simd, 0.0)),
            is_tame: true,
            terms: Terms::new(simd, &wanted),
            extremes: Extremes::new(simd),
            out: (0..N_COLUMNS).map(|_| Track::none(simd)).collect(),
            spare: Track::new(simd, 8),
            sums: std::array::from_fn(|_| Track::new(simd, 0)),
            wanted,
        }
    }

    /// Forgets the segments before.
    pub(crate) fn start(&mut self) {
        self.hot = Hot::filled(Lanes::splat(self.simd, 0.0));
        self.is_tame = true;
    }

    /// Moves what was computed to where the past of the next chunk stands.
    fn rewind(&mut self) {
        self.terms.rewind();
        self.extremes.rewind();
    }

    /// A column of the chunk: bar after bar, a number for each symbol.
    pub(crate) fn column(&self, column: usize, n: usize) -> &[f64] {
        self.out[column].flat(n)
    }

    /// Bars `start` to `start + n` − 1 of each of the symbols.
    #[inline(always)]
    pub(crate) fn compute<'a>(&mut self, symbols: impl Iterator<Item = &'a [Bar]>, start: usize, n: usize) {
        let simd = self.simd;
        if start > 0 {
            self.rewind();
        }
        self.terms.fill(symbols, start, n);
        self.is_tame &= self.terms.is_tame(n);
        let first = u32::try_from(start).expect("no segment has as many bars");
        let chunk = Chunk { first, n, is_tame: self.is_tame };
        if self.wanted.any(&[Column::NBars]) {
            let mut tracks = self.take([Column::NBars]);
            for (numbers, n_bars) in tracks[0].now(n).iter_mut().zip(first + 1..) {
                *numbers = simd.splat_f64s(f64::from(n_bars));
            }
            self.give([Column::NBars], tracks);
        }
        apart(
            simd,
            #[inline(always)]
            || self.terms.compute(n),
        );
        parts!(self, simd, chunk: exponential triple averages fifty slopes kama returns volatilities gaps);
        parts!(self, simd, chunk: wilder bands stops stochastic rsi_places channels aroon year ultimate commodity);
        parts!(self, simd, chunk: flows volumes mark_missing);
    }

    /// Takes columns out, to be set.
    #[inline(always)]
    fn take<const N: usize>(&mut self, columns: [Column; N]) -> [Track<S>; N] {
        columns.map(
            #[inline(always)]
            |column| {
                let track = std::mem::replace(&mut self.out[column as usize], Track::none(self.simd));
                if track.is_none() { Track::new(self.simd, 0) } else { track }
            },
        )
    }

    #[inline(always)]
    fn give<const N: usize>(&mut self, columns: [Column; N], tracks: [Track<S>; N]) {
        for (column, track) in columns.into_iter().zip(tracks) {
            self.out[column as usize] = track;
        }
    }

    /// Makes missing what [`Values::set`](crate::values::Values) does.
    #[inline(always)]
    fn mark_missing(&mut self, Chunk { first, n, is_tame }: Chunk) {
        let simd = self.simd;
        let zero = Lanes::splat(simd, 0.0);
        let missing = zero.constant(f64::NAN);
        let most = zero.constant(f64::MAX);
        let totals =
            if is_tame { Track::none(simd) } else { self.take([Column::Ad]).into_iter().next().expect("it is one") };
        for column in 0..N_COLUMNS {
            if !self.wanted.0[column] {
                continue;
            }
            if is_tame && !UNDEFINED.iter().any(|&undefined| undefined as usize == column) {
                continue;
            }
            if !is_tame && OF_RANGE[column] && column != Column::Ad as usize {
                // Only a number that is not one differs from itself.
                for (number, total) in self.out[column].now(n).iter_mut().zip(totals.back(0, n)) {
                    let (lanes, total) = (Lanes::new(simd, *number), Lanes::new(simd, *total));
                    let is_shown = Lanes::<S>::both(lanes.abs().is_at_most(most), total.is_equal(total));
                    *number = Lanes::select(is_shown, lanes, missing).plain();
                }
            } else if column != Column::Ad as usize {
                for number in self.out[column].now(n) {
                    let lanes = Lanes::new(simd, *number);
                    *number = Lanes::select(lanes.abs().is_at_most(most), lanes, missing).plain();
                }
            }
        }
        if !is_tame {
            let mut totals = totals;
            for number in totals.now(n) {
                let lanes = Lanes::new(simd, *number);
                *number = Lanes::select(lanes.abs().is_at_most(most), lanes, missing).plain();
            }
            self.give([Column::Ad], [totals]);
        }
        for column in 0..N_COLUMNS {
            // Bar `first + i` is number `first + i + 1` of the segment.
            let n_cold = (NEEDS[column] as usize).saturating_sub(first as usize + 1).min(n);
            if n_cold > 0 && self.wanted.0[column] {
                self.out[column].now(n_cold).fill(missing.plain());
            }
        }
    }
}

/// Runs a part in a function of its own: one for all is more than the compiler finds registers for.
#[inline(always)]
fn apart<S: Simd>(simd: S, part: impl FnOnce()) {
    struct Apart<F>(F);

    impl<F: FnOnce()> WithSimd for Apart<F> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            (self.0)();
        }
    }

    simd.vectorize(Apart(part));
}
