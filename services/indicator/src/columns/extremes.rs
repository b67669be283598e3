//! Extremes of windows: those of 2, 4, 8, … bars are those of two halves, and any other window is covered by two of these that
//! overlap.

use pulp::Simd;

use crate::channel::{Channel, N_AROON, distances};
use crate::columns::track::{Track, View};
use crate::columns::{Chunk, Columns};
use crate::lane::Lane;
use crate::lanes::Lanes;
use crate::plan::Column;
use crate::stochastic::RsiPlaces;

/// Highest and lowest of windows of 2, 4, 8, … numbers: `N` of them.
pub(super) struct Levels<S: Simd, const N: usize> {
    high: [Track<S>; N],
    low: [Track<S>; N],
}

impl<S: Simd, const N: usize> Levels<S, N> {
    /// `n_past` is how far windows look back in each level.
    fn new(simd: S, n_past: [usize; N]) -> Self {
        Self { high: n_past.map(|n_past| Track::new(simd, n_past)), low: n_past.map(|n_past| Track::new(simd, n_past)) }
    }

    #[inline(always)]
    fn put(&mut self, high: &Track<S>, low: &Track<S>, n: usize) {
        self.high[0].join(high, 1, n, Lanes::higher);
        self.low[0].join(low, 1, n, Lanes::lower);
        for level in 1..N {
            let (finer, coarser) = self.high.split_at_mut(level);
            coarser[0].join(&finer[level - 1], 1 << level, n, Lanes::higher);
            let (finer, coarser) = self.low.split_at_mut(level);
            coarser[0].join(&finer[level - 1], 1 << level, n, Lanes::lower);
        }
    }

    /// Of the last `WINDOW` bars up to each of `n`.
    #[inline(always)]
    pub(super) fn windows<const WINDOW: usize>(&self, n: usize) -> Windows<'_, S> {
        let level = WINDOW.ilog2() as usize - 1;
        let n_back = WINDOW - (2 << level);
        let (high, low) = (&self.high[level], &self.low[level]);
        Windows { high: high.views(n_back, n), low: low.views(n_back, n) }
    }

    fn rewind(&mut self) {
        self.high.iter_mut().chain(&mut self.low).for_each(Track::rewind);
    }
}

/// Windows of one length.
pub(super) struct Windows<'a, S: Simd> {
    high: [View<'a, S>; 2],
    low: [View<'a, S>; 2],
}

impl<S: Simd> Windows<'_, S> {
    #[inline(always)]
    pub(super) fn at(&self, i: usize) -> Channel<Lanes<S>> {
        let ([high, older_high], [low, older_low]) = (&self.high, &self.low);
        Channel { high: high.at(i).higher(older_high.at(i)), low: low.at(i).lower(older_low.at(i)) }
    }
}

/// Levels of the window of Aroon, its newest bar included, and where the newest of equal extremes stands in each: its number,
/// counted from the first bar.
const N_WINDOW: usize = N_AROON + 1;
const N_PLACES: usize = N_WINDOW.ilog2() as usize;

pub(super) struct Extremes<S: Simd> {
    pub(super) ranges: Levels<S, 5>,
    pub(super) rsis: Levels<S, 3>,
    rsi: Track<S>,
    pub(super) rsi_places: RsiPlaces<Lanes<S>>,
    closes: Levels<S, 7>,
    high_places: [Track<S>; N_PLACES],
    low_places: [Track<S>; N_PLACES],
}

impl<S: Simd> Extremes<S> {
    pub(super) fn new(simd: S) -> Self {
        let zero = Lanes::splat(simd, 0.0);
        let places = || [2, 4, 8, 10].map(|n_past| Track::new(simd, n_past));
        Self {
            ranges: Levels::new(simd, [2, 4, 8, 16, 20]),
            rsis: Levels::new(simd, [2, 4, 6]),
            rsi: Track::new(simd, 1),
            rsi_places: RsiPlaces { older: [zero; 2], newer: [zero; 2] },
            closes: Levels::new(simd, [2, 4, 8, 16, 32, 64, 124]),
            high_places: places(),
            low_places: places(),
        }
    }

    pub(super) fn rewind(&mut self) {
        self.ranges.rewind();
        self.rsis.rewind();
        self.rsi.rewind();
        self.closes.rewind();
        self.high_places.iter_mut().chain(&mut self.low_places).for_each(Track::rewind);
    }

    #[inline(always)]
    pub(super) fn put_ranges(&mut self, high: &Track<S>, low: &Track<S>, n: usize) {
        self.ranges.put(high, low, n);
    }

    #[inline(always)]
    pub(super) fn put_rsis(&mut self, rsis: &Track<S>, n: usize) {
        self.rsi.now(n).copy_from_slice(rsis.back(0, n));
        self.rsis.put(&self.rsi, &self.rsi, n);
    }
}

/// Where the newest of equal extremes stands: `is_kept` says whether the newer of two extremes is at least as extreme.
#[inline(always)]
fn put_places<S: Simd>(
    simd: S,
    places: &mut [Track<S>; N_PLACES],
    numbers: &Track<S>,
    levels: &[Track<S>; 5],
    Chunk { first, n, .. }: Chunk,
    is_kept: impl Fn(Lanes<S>, Lanes<S>) -> <Lanes<S> as Lane>::Mask,
) {
    let lanes = |number: &S::f64s| Lanes::new(simd, *number);
    let one = Lanes::splat(simd, 1.0);
    let (newer, older) = (numbers.back(0, n), numbers.back(1, n));
    let out = places[0].now(n);
    for (i, place) in (0..n).zip(first..) {
        let place = one * f64::from(place);
        out[i] = Lanes::select(is_kept(lanes(&newer[i]), lanes(&older[i])), place, place - one).plain();
    }
    for level in 1..N_PLACES {
        let half = 1 << level;
        let (newer, older) = (levels[level - 1].back(0, n), levels[level - 1].back(half, n));
        let (finer, coarser) = places.split_at_mut(level);
        let (new, old) = (finer[level - 1].back(0, n), finer[level - 1].back(half, n));
        let out = coarser[0].now(n);
        for i in 0..n {
            let is_kept = is_kept(lanes(&newer[i]), lanes(&older[i]));
            out[i] = Lanes::select(is_kept, lanes(&new[i]), lanes(&old[i])).plain();
        }
    }
}

impl<S: Simd> Columns<S> {
    /// Channels of highs and lows.
    #[inline(always)]
    pub(super) fn channels(&mut self, Chunk { n, .. }: Chunk) {
        const SHORT: [Column; 4] = [Column::High5, Column::Low5, Column::High10, Column::Low10];
        const DONCHIAN: [Column; 3] = [Column::DonchianUp20, Column::DonchianMid20, Column::DonchianLo20];
        const ICHIMOKU: [Column; 4] =
            [Column::IchimokuTenkan, Column::IchimokuKijun, Column::IchimokuSpanA, Column::IchimokuSpanB];
        if self.wanted.any(&SHORT) {
            let mut tracks = self.take(SHORT);
            let [high5, low5, high10, low10] = tracks.each_mut().map(|track| track.now(n));
            let (of_5, of_10) = (self.extremes.ranges.windows::<5>(n), self.extremes.ranges.windows::<10>(n));
            for i in 0..n {
                let (of_5, of_10) = (of_5.at(i), of_10.at(i));
                high5[i] = of_5.high.plain();
                low5[i] = of_5.low.plain();
                high10[i] = of_10.high.plain();
                low10[i] = of_10.low.plain();
            }
            self.give(SHORT, tracks);
        }
        if self.wanted.any(&DONCHIAN) {
            let mut tracks = self.take(DONCHIAN);
            let [upper, middle, lower] = tracks.each_mut().map(|track| track.now(n));
            let windows = self.extremes.ranges.windows::<20>(n);
            for i in 0..n {
                let window = windows.at(i);
                upper[i] = window.high.plain();
                middle[i] = window.middle().plain();
                lower[i] = window.low.plain();
            }
            self.give(DONCHIAN, tracks);
        }
        if self.wanted.any(&ICHIMOKU) {
            let mut tracks = self.take(ICHIMOKU);
            let [tenkan, kijun, span_a, span_b] = tracks.each_mut().map(|track| track.now(n));
            let ranges = &self.extremes.ranges;
            let (of_9, of_26, of_52) = (ranges.windows::<9>(n), ranges.windows::<26>(n), ranges.windows::<52>(n));
            for i in 0..n {
                let conversion = of_9.at(i).middle();
                let base = of_26.at(i).middle();
                tenkan[i] = conversion.plain();
                kijun[i] = base.plain();
                span_a[i] = ((conversion + base) * 0.5).plain();
                span_b[i] = of_52.at(i).middle().plain();
            }
            self.give(ICHIMOKU, tracks);
        }
    }

    /// How recent the extremes of 26 bars are.
    #[inline(always)]
    pub(super) fn aroon(&mut self, chunk: Chunk) {
        const COLUMNS: [Column; 3] = [Column::AroonUp25, Column::AroonDown25, Column::Aroonosc25];
        const LEVEL: usize = N_PLACES - 1;
        const N_BACK: usize = N_WINDOW - (2 << LEVEL);
        if !self.wanted.any(&COLUMNS) {
            return;
        }
        let (simd, n) = (self.simd, chunk.n);
        let mut tracks = self.take(COLUMNS);
        let [ups, downs, differences] = tracks.each_mut().map(|track| track.now(n));
        let Extremes { ranges, high_places, low_places, .. } = &mut self.extremes;
        put_places(simd, high_places, &self.terms.high, &ranges.high, chunk, Lanes::is_at_least);
        put_places(simd, low_places, &self.terms.low, &ranges.low, chunk, Lanes::is_at_most);
        let percent = 100.0 / N_AROON as f64;
        let ([high, older_high], [low, older_low]) =
            (ranges.high[LEVEL].views(N_BACK, n), ranges.low[LEVEL].views(N_BACK, n));
        let ([place_up, older_up], [place_down, older_down]) =
            (high_places[LEVEL].views(N_BACK, n), low_places[LEVEL].views(N_BACK, n));
        for (i, place) in (0..n).zip(chunk.first..) {
            let oldest = f64::from(place) - N_AROON as f64;
            let is_up_kept = high.at(i).is_at_least(older_high.at(i));
            let is_down_kept = low.at(i).is_at_most(older_low.at(i));
            let up = Lanes::select(is_up_kept, place_up.at(i), older_up.at(i)) - oldest;
            let down = Lanes::select(is_down_kept, place_down.at(i), older_down.at(i)) - oldest;
            ups[i] = (up * percent).plain();
            downs[i] = (down * percent).plain();
            differences[i] = ((up - down) * percent).plain();
        }
        self.give(COLUMNS, tracks);
    }

    /// How far the close is from the extreme closes of 20 bars and of a year.
    #[inline(always)]
    pub(super) fn year(&mut self, Chunk { n, .. }: Chunk) {
        const OF_20: [Column; 2] = [Column::PctFromHigh20, Column::PctFromLow20];
        const OF_252: [Column; 2] = [Column::DistHigh252, Column::DistLow252];
        if !self.wanted.any(&OF_20) && !self.wanted.any(&OF_252) {
            return;
        }
        self.extremes.closes.put(&self.terms.close, &self.terms.close, n);
        if self.wanted.any(&OF_20) {
            let [mut highs, mut lows] = self.take(OF_20);
            let closes = &self.extremes.closes;
            let (of_high, of_low) = (highs.now(n), lows.now(n));
            let (windows, closes) = (closes.windows::<20>(n), self.terms.close.view(0, n));
            for i in 0..n {
                let [high, low] = distances(windows.at(i), closes.at(i));
                of_high[i] = (high * 100.0).plain();
                of_low[i] = (low * 100.0).plain();
            }
            self.give(OF_20, [highs, lows]);
        }
        if self.wanted.any(&OF_252) {
            let [mut highs, mut lows] = self.take(OF_252);
            let closes = &self.extremes.closes;
            let (of_high, of_low) = (highs.now(n), lows.now(n));
            let (windows, closes) = (closes.windows::<252>(n), self.terms.close.view(0, n));
            for i in 0..n {
                let [high, low] = distances(windows.at(i), closes.at(i));
                of_high[i] = high.plain();
                of_low[i] = low.plain();
            }
            self.give(OF_252, [highs, lows]);
        }
    }
}
