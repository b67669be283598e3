//! Columns of highs and lows that need no extreme of a window, and oscillators.

use pulp::Simd;

use crate::atr::{NearRanges, RangeSums};
use crate::average::{commodity_channel, far19};
use crate::columns::terms::Terms;
use crate::columns::track::View;
use crate::columns::{Chunk, Columns};
use crate::input::Input;
use crate::lane::Lane as _;
use crate::lanes::Lanes;
use crate::plan::Column;
use crate::stochastic::{Range, RsiPlaces, place};

impl<S: Simd> Columns<S> {
    /// Wilder's averages.
    #[inline(always)]
    pub(super) fn wilder(&mut self, Chunk { first, n, .. }: Chunk) {
        const COLUMNS: [Column; 8] = [
            Column::Rsi14,
            Column::Trange,
            Column::Atr14,
            Column::AtrPct14,
            Column::Natr14,
            Column::PlusDi14,
            Column::MinusDi14,
            Column::Adx14,
        ];
        const OF_RSI: [Column; 4] =
            [Column::Stochrsi1453K, Column::Stochrsi1453D, Column::Stochrsi14143K, Column::Stochrsi14143D];
        if !self.wanted.any(&COLUMNS) && !self.wanted.any(&OF_RSI) {
            return;
        }
        let simd = self.simd;
        let lanes = |number: &S::f64s| Lanes::new(simd, *number);
        let mut tracks = self.take(COLUMNS);
        let [rsis, ranges, averages, shares, percents, pluses, minuses, indices] =
            tracks.each_mut().map(|track| track.now(n));
        let terms = &self.terms;
        let (close, before) = (terms.close.back(0, n), terms.close.back(1, n));
        let (lows, highs) =
            ([0, 1].map(|n_back| terms.low.back(n_back, n)), [0, 1].map(|n_back| terms.high.back(n_back, n)));
        let (true_ranges, inverse) = (terms.true_range.back(0, n), terms.inverse.back(0, n));
        let (mut rsi, mut atr14, mut directional) = (self.hot.rsi, self.hot.atr14, self.hot.directional);
        for (i, n_before) in (0..n).zip(first..) {
            let (close, true_range) = (lanes(&close[i]), lanes(&true_ranges[i]));
            let zero = Lanes::splat(simd, 0.0);
            let bar = Input {
                open: zero,
                high: lanes(&highs[0][i]),
                low: lanes(&lows[0][i]),
                close,
                volume: zero,
                inverse: zero,
            };
            directional = directional.next(n_before, [lanes(&lows[1][i]), lanes(&highs[1][i])], &bar, true_range);
            if let Some(n_changes) = n_before.checked_sub(1) {
                rsi = rsi.next(n_changes, close - lanes(&before[i]));
                atr14 = atr14.next(n_changes, true_range);
            }
            rsis[i] = rsi.value().plain();
            ranges[i] = true_range.plain();
            averages[i] = atr14.level.plain();
            let share = atr14.level * lanes(&inverse[i]);
            shares[i] = share.plain();
            percents[i] = (share * 100.0).plain();
            let [plus, minus] = directional.indicators();
            pluses[i] = plus.plain();
            minuses[i] = minus.plain();
            indices[i] = directional.index.plain();
        }
        (self.hot.rsi, self.hot.atr14, self.hot.directional) = (rsi, atr14, directional);
        self.give(COLUMNS, tracks);
    }

    /// What follows from the average of ten ranges.
    #[inline(always)]
    pub(super) fn bands(&mut self, Chunk { first, n, .. }: Chunk) {
        const COLUMNS: [Column; 4] =
            [Column::KeltnerUp20, Column::KeltnerLo20, Column::Supertrend, Column::SupertrendDirection];
        if !self.wanted.any(&COLUMNS) {
            return;
        }
        let mut tracks = self.take(COLUMNS);
        let [upper, lower, lines, directions] = tracks.each_mut().map(|track| track.now(n));
        let (mut atr10, mut supertrend) = (self.hot.atr10, self.hot.supertrend);
        let middle = self.out[Column::KeltnerMid20 as usize].view(0, n);
        let (bars, true_range) = (Bars::of(&self.terms, n), self.terms.true_range.view(0, n));
        for (i, n_before) in (0..n).zip(first..) {
            if let Some(n_changes) = n_before.checked_sub(1) {
                atr10 = atr10.next(n_changes, true_range.at(i));
            }
            supertrend = supertrend.next(n_before, bars.close_before.at(i), &bars.at(i), atr10.level);
            let (middle, width) = (middle.at(i), atr10.level * 2.0);
            upper[i] = (middle + width).plain();
            lower[i] = (middle - width).plain();
            lines[i] = supertrend.line().plain();
            directions[i] = supertrend.direction.plain();
        }
        (self.hot.atr10, self.hot.supertrend) = (atr10, supertrend);
        self.give(COLUMNS, tracks);
    }

    /// Parabolic stops, and the colour of averaged bars.
    #[inline(always)]
    pub(super) fn stops(&mut self, Chunk { first, n, .. }: Chunk) {
        if self.wanted.any(&[Column::Sar00202]) {
            let [mut track] = self.take([Column::Sar00202]);
            let stops = track.now(n);
            let mut sar = self.hot.sar;
            let bars = Bars::of(&self.terms, n);
            for (i, n_before) in (0..n).zip(first..) {
                let met;
                (sar, met) = sar.next(n_before, [bars.low_before.at(i), bars.high_before.at(i)], &bars.at(i));
                stops[i] = met.plain();
            }
            self.hot.sar = sar;
            self.give([Column::Sar00202], [track]);
        }
        if self.wanted.any(&[Column::HeikinAshiTrend]) {
            let [mut track] = self.take([Column::HeikinAshiTrend]);
            let colours = track.now(n);
            let mut averaged = self.hot.heikin_ashi;
            let bars = Bars::of(&self.terms, n);
            for (i, n_before) in (0..n).zip(first..) {
                let colour;
                (averaged, colour) = averaged.next(n_before, &bars.at(i));
                colours[i] = colour.plain();
            }
            self.hot.heikin_ashi = averaged;
            self.give([Column::HeikinAshiTrend], [track]);
        }
    }

    /// Where the close stands in the range of 14 bars.
    #[inline(always)]
    pub(super) fn stochastic(&mut self, Chunk { n, .. }: Chunk) {
        const COLUMNS: [Column; 3] = [Column::StochK, Column::StochD, Column::Willr14];
        const OF_RANGES: [Column; 17] = [
            Column::High5,
            Column::Low5,
            Column::High10,
            Column::Low10,
            Column::DonchianUp20,
            Column::DonchianMid20,
            Column::DonchianLo20,
            Column::IchimokuTenkan,
            Column::IchimokuKijun,
            Column::IchimokuSpanA,
            Column::IchimokuSpanB,
            Column::AroonUp25,
            Column::AroonDown25,
            Column::Aroonosc25,
            Column::StochK,
            Column::StochD,
            Column::Willr14,
        ];
        if self.wanted.any(&OF_RANGES) {
            self.extremes.put_ranges(&self.terms.high, &self.terms.low, n);
        }
        if !self.wanted.any(&COLUMNS) {
            return;
        }
        let mut tracks = self.take(COLUMNS);
        let [fast, slow, williams] = tracks.each_mut().map(|track| track.now(n));
        let mut stochastic = self.hot.stochastic;
        let (closes, windows) = (self.terms.close.view(0, n), self.extremes.ranges.windows::<14>(n));
        for i in 0..n {
            let close = closes.at(i);
            let range = Range::of(windows.at(i));
            let place = range.place(close);
            let lines = stochastic.lines(place);
            stochastic = stochastic.next(place);
            fast[i] = lines.fast.plain();
            slow[i] = lines.slow.plain();
            williams[i] = range.williams(close).plain();
        }
        self.hot.stochastic = stochastic;
        self.give(COLUMNS, tracks);
    }

    /// Where the relative strength stands in its own range.
    #[inline(always)]
    pub(super) fn rsi_places(&mut self, Chunk { n, .. }: Chunk) {
        const COLUMNS: [Column; 4] =
            [Column::Stochrsi1453K, Column::Stochrsi1453D, Column::Stochrsi14143K, Column::Stochrsi14143D];
        if !self.wanted.any(&COLUMNS) {
            return;
        }
        let mut tracks = self.take(COLUMNS);
        let rsis = &self.out[Column::Rsi14 as usize];
        self.extremes.put_rsis(rsis, n);
        let [fast5, slow5, fast14, slow14] = tracks.each_mut().map(|track| track.now(n));
        let (of_5, of_14) = (self.extremes.rsis.windows::<5>(n), self.extremes.rsis.windows::<14>(n));
        let (rsis, mut places) = (rsis.view(0, n), self.extremes.rsi_places);
        for i in 0..n {
            let rsi = rsis.at(i);
            let now = [place(of_5.at(i), rsi), place(of_14.at(i), rsi)];
            let [short, long] = places.lines(now);
            places = RsiPlaces { older: places.newer, newer: now };
            fast5[i] = short.fast.plain();
            slow5[i] = short.slow.plain();
            fast14[i] = long.fast.plain();
            slow14[i] = long.slow.plain();
        }
        self.extremes.rsi_places = places;
        self.give(COLUMNS, tracks);
    }

    /// The ultimate oscillator, and the plain average of ranges.
    #[inline(always)]
    pub(super) fn ultimate(&mut self, Chunk { n, .. }: Chunk) {
        const COLUMNS: [Column; 2] = [Column::Ultosc71428, Column::AtrPctSimple14];
        if !self.wanted.any(&COLUMNS) {
            return;
        }
        let [pressure6, range6, pressure27, range27] = &mut self.sums;
        let (buying, ranges) = (&self.terms.buying, &self.terms.true_range);
        buying.tails::<6>(n, pressure6);
        ranges.tails::<6>(n, range6);
        buying.sums::<3, 3>(n, &mut self.spare, pressure27);
        ranges.sums::<3, 3>(n, &mut self.spare, range27);
        let mut tracks = self.take(COLUMNS);
        // Two more sums: the outputs hold them until they are set.
        let [oscillators, means] = &mut tracks;
        self.terms.buying.sums::<1, 5>(n, &mut self.spare, oscillators);
        self.terms.true_range.sums::<1, 5>(n, &mut self.spare, means);
        let (oscillators, means) = (oscillators.now(n), means.now(n));
        let simd = self.simd;
        let [pressure6, range6, pressure27, range27] = self.sums.each_ref().map(|track| track.view(0, n));
        let (buying, true_range) = (self.terms.buying.view(0, n), self.terms.true_range.view(0, n));
        let inverse = self.terms.inverse.view(0, n);
        for i in 0..n {
            let near = NearRanges {
                buying_pressure: [pressure6.at(i), Lanes::new(simd, oscillators[i])],
                true_range: [range6.at(i), Lanes::new(simd, means[i])],
            };
            let far = RangeSums { buying_pressure: pressure27.at(i), true_range: range27.at(i) };
            let (buying, true_range) = (buying.at(i), true_range.at(i));
            oscillators[i] = near.ultimate_oscillator(&far, buying, true_range).plain();
            means[i] = (near.mean_range14(true_range) * inverse.at(i)).plain();
        }
        self.give(COLUMNS, tracks);
    }

    #[inline(always)]
    pub(super) fn commodity(&mut self, Chunk { n, .. }: Chunk) {
        if !self.wanted.any(&[Column::Cci20]) {
            return;
        }
        let simd = self.simd;
        let [mut track] = self.take([Column::Cci20]);
        let [sums, ..] = &mut self.sums;
        self.terms.price.sums::<2, 3>(n, &mut self.spare, sums);
        let prices: [&[S::f64s]; 20] = std::array::from_fn(|n_back| self.terms.price.back(n_back, n));
        let sums = sums.back(0, n);
        let out = track.now(n);
        for i in 0..n {
            let channel = commodity_channel(
                Lanes::new(simd, prices[0][i]),
                Lanes::new(simd, sums[i]),
                #[inline(always)]
                |level| {
                    far19::<S, Lanes<S>>(
                        simd,
                        #[inline(always)]
                        |age| Lanes::new(simd, prices[age + 1][i]),
                        level,
                    )
                },
            );
            out[i] = channel.plain();
        }
        self.give([Column::Cci20], [track]);
    }
}

/// The bars of a chunk, and what stood before each.
struct Bars<'a, S: Simd> {
    open: View<'a, S>,
    high: View<'a, S>,
    low: View<'a, S>,
    close: View<'a, S>,
    high_before: View<'a, S>,
    low_before: View<'a, S>,
    close_before: View<'a, S>,
}

impl<'a, S: Simd> Bars<'a, S> {
    #[inline(always)]
    fn of(terms: &'a Terms<S>, n: usize) -> Self {
        Self {
            open: terms.open.view(0, n),
            high: terms.high.view(0, n),
            low: terms.low.view(0, n),
            close: terms.close.view(0, n),
            high_before: terms.high.view(1, n),
            low_before: terms.low.view(1, n),
            close_before: terms.close.view(1, n),
        }
    }

    /// Prices alone.
    #[inline(always)]
    fn at(&self, i: usize) -> Input<Lanes<S>> {
        let close = self.close.at(i);
        let zero = close.zero();
        let [open, high, low] = [self.open.at(i), self.high.at(i), self.low.at(i)];
        Input { open, high, low, close, volume: zero, inverse: zero }
    }
}
