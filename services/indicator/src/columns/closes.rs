//! Columns of closes alone: averages, what they gain and how they spread.

use pulp::Simd;

use crate::average::{AverageSums, deviation20, is_above, slope18, slope20, trend_strength50};
use crate::columns::terms::More;
use crate::columns::track::{Track, View};
use crate::columns::{Chunk, Columns};
use crate::kama::Paths;
use crate::lane::{Lane as _, inverses_or_zero};
use crate::lanes::Lanes;
use crate::plan::Column;
use crate::returns::annual;
use crate::spread::{Spread, anchored};

impl<S: Simd> Columns<S> {
    /// Averages that never forget, and that of 200, which is as slow.
    #[inline(always)]
    pub(super) fn exponential(&mut self, Chunk { first, n, .. }: Chunk) {
        const COLUMNS: [Column; 10] = [
            Column::Ema8,
            Column::Ema21,
            Column::Ema50,
            Column::KeltnerMid20,
            Column::Macd,
            Column::MacdSignal,
            Column::MacdHist,
            Column::Ppo1226Sma,
            Column::Ppo1226Ema,
            Column::Sma200,
        ];
        if !self.wanted.any(&COLUMNS) && !self.wanted.any(&[Column::KeltnerUp20, Column::KeltnerLo20]) {
            return;
        }
        let simd = self.simd;
        let lanes = |number: &S::f64s| Lanes::new(simd, *number);
        let closes = &self.terms.close;
        let [sums11, sums25, ..] = &mut self.sums;
        closes.sums::<1, 3>(n, &mut self.spare, sums11);
        closes.sums::<3, 1>(n, &mut self.spare, sums25);
        let mut tracks = self.take(COLUMNS);
        let (sums11, sums25) = (self.sums[0].back(0, n), self.sums[1].back(0, n));
        let (close, leaving) = (self.terms.close.back(0, n), self.terms.close.back(200, n));
        let [ema8s, ema21s, ema50s, ema20s, lines, signals, histograms, simple, smooth, averages] =
            tracks.each_mut().map(|track| track.now(n));
        let hot = &mut self.hot;
        let (mut ema8, mut ema20, mut ema21, mut ema50) = (hot.ema8, hot.ema20, hot.ema21, hot.ema50);
        let (mut macd, mut sum200) = (hot.macd, hot.sum200);
        for (i, n_before) in (0..n).zip(first..) {
            let close = lanes(&close[i]);
            ema8 = ema8.next(n_before, close);
            ema20 = ema20.next(n_before, close);
            ema21 = ema21.next(n_before, close);
            ema50 = ema50.next(n_before, close);
            macd = macd.next(n_before, close);
            sum200 = sum200.next(n_before, 200, close, lanes(&leaving[i]));
            ema8s[i] = ema8.level.plain();
            ema20s[i] = ema20.level.plain();
            ema21s[i] = ema21.level.plain();
            ema50s[i] = ema50.level.plain();
            lines[i] = macd.line().plain();
            signals[i] = macd.signal.level.plain();
            histograms[i] = (macd.line() - macd.signal.level).plain();
            let average12 = (lanes(&sums11[i]) + close) * (1.0 / 12.0);
            let average26 = (lanes(&sums25[i]) + close) * (1.0 / 26.0);
            let [of_average, of_exponential] = inverses_or_zero([average26, macd.slow.level]);
            simple[i] = ((average12 - average26) * of_average * 100.0).plain();
            smooth[i] = macd.oscillator(of_exponential).plain();
            averages[i] = (sum200.sum * (1.0 / 200.0)).plain();
        }
        (hot.ema8, hot.ema20, hot.ema21, hot.ema50) = (ema8, ema20, ema21, ema50);
        (hot.macd, hot.sum200) = (macd, sum200);
        self.give(COLUMNS, tracks);
    }

    /// Triple exponential averages.
    #[inline(always)]
    pub(super) fn triple(&mut self, Chunk { first, n, .. }: Chunk) {
        const COLUMNS: [Column; 2] = [Column::Trix15, Column::Trix30];
        if !self.wanted.any(&COLUMNS) {
            return;
        }
        let simd = self.simd;
        let mut tracks = self.take(COLUMNS);
        let close = self.terms.close.back(0, n);
        let [short, long] = tracks.each_mut().map(|track| track.now(n));
        let (mut trix15, mut trix30) = (self.hot.trix15, self.hot.trix30);
        for (i, n_before) in (0..n).zip(first..) {
            let close = Lanes::new(simd, close[i]);
            let before = [trix15.level(), trix30.level()];
            trix15 = trix15.next(n_before, close);
            trix30 = trix30.next(n_before, close);
            let inverses = inverses_or_zero(before);
            short[i] = ((trix15.level() - before[0]) * inverses[0] * 100.0).plain();
            long[i] = ((trix30.level() - before[1]) * inverses[1] * 100.0).plain();
        }
        (self.hot.trix15, self.hot.trix30) = (trix15, trix30);
        self.give(COLUMNS, tracks);
    }

    /// Simple averages and Bollinger's bands.
    #[inline(always)]
    pub(super) fn averages(&mut self, Chunk { n, .. }: Chunk) {
        const COLUMNS: [Column; 6] = [
            Column::Sma10,
            Column::Sma20,
            Column::BbUpper20,
            Column::BbMid20,
            Column::BbLower20,
            Column::LinregSlope20,
        ];
        const OF_THESE: [Column; 3] = [Column::Sma20Above50, Column::MaSlope20, Column::TrendStrength50];
        if !self.wanted.any(&COLUMNS) && !self.wanted.any(&OF_THESE) {
            return;
        }
        let simd = self.simd;
        let lanes = |number: &S::f64s| Lanes::new(simd, *number);
        let [sums9, sums19, squares19, _] = &mut self.sums;
        self.terms.close.sums::<1, 1>(n, &mut self.spare, sums9);
        self.terms.close.sums::<2, 3>(n, &mut self.spare, sums19);
        self.terms.square.sums::<2, 3>(n, &mut self.spare, squares19);
        let mut tracks = self.take(COLUMNS);
        let [sums9, sums19, squares19, _] = self.sums.each_ref().map(|track| track.back(0, n));
        let closes = &self.terms.close;
        let (close, square) = (closes.back(0, n), self.terms.square.back(0, n));
        let earlier: [&[S::f64s]; 20] = std::array::from_fn(|n_back| closes.back(n_back, n));
        let [of_10, of_20, upper, middle, lower, slopes] = tracks.each_mut().map(|track| track.now(n));
        for i in 0..n {
            let close = lanes(&close[i]);
            of_10[i] = ((lanes(&sums9[i]) + close) * (1.0 / 10.0)).plain();
            let sum = lanes(&sums19[i]) + close;
            let mean = sum * (1.0 / 20.0);
            let spread = Spread::new(
                20.0,
                [sum, lanes(&squares19[i]) + lanes(&square[i])],
                close,
                #[inline(always)]
                || above_before::<S, 2, 3>(closes, i),
            );
            let width = deviation20(spread) * 2.0;
            of_20[i] = mean.plain();
            middle[i] = mean.plain();
            upper[i] = (mean + width).plain();
            lower[i] = (mean - width).plain();
            let slope = slope18(
                #[inline(always)]
                |n_back| lanes(&earlier[n_back][i]),
            );
            slopes[i] = slope20(slope, lanes(&earlier[19][i]), close).plain();
        }
        self.give(COLUMNS, tracks);
    }

    /// The average of 50 closes and what stands against it.
    #[inline(always)]
    pub(super) fn fifty(&mut self, Chunk { n, .. }: Chunk) {
        const COLUMNS: [Column; 3] = [Column::Sma50, Column::Sma20Above50, Column::TrendStrength50];
        if !self.wanted.any(&COLUMNS) {
            return;
        }
        let simd = self.simd;
        let lanes = |number: &S::f64s| Lanes::new(simd, *number);
        let has_more = self.wanted.any(&COLUMNS[1..]);
        let [sums49, squares49, ..] = &mut self.sums;
        self.terms.close.sums::<6, 1>(n, &mut self.spare, sums49);
        if has_more {
            self.terms.square.sums::<6, 1>(n, &mut self.spare, squares49);
        }
        let mut tracks = self.take(COLUMNS);
        let [of_50, are_above, strengths] = tracks.each_mut().map(|track| track.now(n));
        let (sums49, squares49) = (self.sums[0].back(0, n), self.sums[1].back(0, n));
        let closes = &self.terms.close;
        let (close, square) = (closes.back(0, n), self.terms.square.back(0, n));
        for i in 0..n {
            of_50[i] = ((lanes(&sums49[i]) + lanes(&close[i])) * (1.0 / 50.0)).plain();
        }
        if has_more {
            let of_20 = self.out[Column::Sma20 as usize].back(0, n);
            for i in 0..n {
                let close = lanes(&close[i]);
                are_above[i] = is_above(lanes(&of_20[i]), lanes(&of_50[i])).plain();
                let spread = Spread::new(
                    50.0,
                    [lanes(&sums49[i]) + close, lanes(&squares49[i]) + lanes(&square[i])],
                    close,
                    #[inline(always)]
                    || above_before::<S, 6, 1>(closes, i),
                );
                strengths[i] = trend_strength50(spread).plain();
            }
        }
        self.give(COLUMNS, tracks);
    }

    /// The slope of the averages of 20.
    #[inline(always)]
    pub(super) fn slopes(&mut self, Chunk { n, .. }: Chunk) {
        if !self.wanted.any(&[Column::MaSlope20]) {
            return;
        }
        let simd = self.simd;
        let [mut slopes] = self.take([Column::MaSlope20]);
        let More { replaced, .. } = self.terms.more.as_ref().expect("this column is one of its");
        let (closes, averages) = (&self.terms.close, &self.out[Column::Sma20 as usize]);
        let gained: [View<S>; 19] = std::array::from_fn(|n_back| replaced.view(n_back, n));
        let views: [View<S>; 21] = std::array::from_fn(|n_back| closes.view(n_back, n));
        let averages = averages.view(0, n);
        let out = slopes.now(n);
        for i in 0..n {
            let sums = AverageSums::of(
                simd,
                #[inline(always)]
                |age| gained[age + 1].at(i),
            );
            let average = averages.at(i);
            let slope = sums.slope(
                #[inline(always)]
                |n_back| if n_back <= 20 { views[n_back].at(i) } else { closes.at(i, n_back) },
                views[0].at(i),
                average,
                average.inverse(),
            );
            out[i] = slope.plain();
        }
        self.give([Column::MaSlope20], [slopes]);
    }

    /// Averages that adapt.
    #[inline(always)]
    pub(super) fn kama(&mut self, Chunk { first, n, .. }: Chunk) {
        const COLUMNS: [Column; 2] = [Column::Kama10, Column::Kama30];
        if !self.wanted.any(&COLUMNS) {
            return;
        }
        let simd = self.simd;
        let lanes = |number: &S::f64s| Lanes::new(simd, *number);
        let [paths9, paths29, ..] = &mut self.sums;
        self.terms.moves.sums::<1, 1>(n, &mut self.spare, paths9);
        self.terms.moves.sums::<3, 5>(n, &mut self.spare, paths29);
        let mut tracks = self.take(COLUMNS);
        let [fast, slow] = tracks.each_mut().map(|track| track.now(n));
        let (paths9, paths29) = (self.sums[0].back(0, n), self.sums[1].back(0, n));
        let closes = [0, 1, 10, 30].map(|n_back| self.terms.close.back(n_back, n));
        let mut kama = self.hot.kama;
        for (i, n_before) in (0..n).zip(first..) {
            let [now, before, before10, before30] = &closes;
            let closes = [lanes(&now[i]), lanes(&before[i]), lanes(&before10[i]), lanes(&before30[i])];
            kama = kama.next(n_before, closes, Paths { of_9: lanes(&paths9[i]), of_29: lanes(&paths29[i]) });
            fast[i] = kama.fast.plain();
            slow[i] = kama.slow.plain();
        }
        self.hot.kama = kama;
        self.give(COLUMNS, tracks);
    }

    /// What the close gained.
    #[inline(always)]
    pub(super) fn returns(&mut self, Chunk { n, .. }: Chunk) {
        const NEAR: [Column; 3] = [Column::Ret10d, Column::Roc10, Column::Mom10];
        const FAR: [(Column, usize); 6] = [
            (Column::Ret1d, 1),
            (Column::Ret5d, 5),
            (Column::Ret21d, 21),
            (Column::Ret63d, 63),
            (Column::Ret126d, 126),
            (Column::Ret252d, 252),
        ];
        let simd = self.simd;
        let lanes = |number: &S::f64s| Lanes::new(simd, *number);
        if self.wanted.any(&NEAR) {
            let mut tracks = self.take(NEAR);
            let [gains, percents, moves] = tracks.each_mut().map(|track| track.now(n));
            let closes = [0, 10].map(|n_back| self.terms.close.back(n_back, n));
            let inverse = self.terms.inverse.back(10, n);
            for i in 0..n {
                let change = lanes(&closes[0][i]) - lanes(&closes[1][i]);
                let gain = change * lanes(&inverse[i]);
                gains[i] = gain.plain();
                percents[i] = (gain * 100.0).plain();
                moves[i] = change.plain();
            }
            self.give(NEAR, tracks);
        }
        for (column, n_back) in FAR {
            if !self.wanted.any(&[column]) {
                continue;
            }
            let [mut track] = self.take([column]);
            let (close, before) = (self.terms.close.back(0, n), self.terms.close.back(n_back, n));
            let inverse = self.terms.inverse.back(n_back, n);
            let gains = track.now(n);
            for i in 0..n {
                gains[i] = ((lanes(&close[i]) - lanes(&before[i])) * lanes(&inverse[i])).plain();
            }
            self.give([column], [track]);
        }
    }

    /// How returns spread.
    #[inline(always)]
    pub(super) fn volatilities(&mut self, Chunk { n, .. }: Chunk) {
        let Some(more) = &self.terms.more else { return };
        let [sums, squares, ..] = &mut self.sums;
        macro_rules! volatility {
            ($column:ident, $terms:ident, $squares:ident, $n:literal, $runs:literal, $tail:literal) => {
                if self.wanted.any(&[Column::$column]) {
                    more.$terms.sums::<$runs, $tail>(n, &mut self.spare, sums);
                    more.$squares.sums::<$runs, $tail>(n, &mut self.spare, squares);
                    let out = &mut self.out[Column::$column as usize];
                    if out.is_none() {
                        *out = Track::new(self.simd, 0);
                    }
                    spreads::<S, $runs, $tail>(n, $n, &more.$terms, &more.$squares, [sums, squares], out);
                }
            };
        }
        volatility!(VolRealized10, gain, gain_square, 10.0, 1, 1);
        volatility!(VolRealized20, gain, gain_square, 20.0, 2, 3);
        volatility!(VolRealized60, gain, gain_square, 60.0, 7, 3);
        volatility!(Hv20, log_gain, log_square, 20.0, 2, 3);
    }

    /// Jumps from close to open.
    #[inline(always)]
    pub(super) fn gaps(&mut self, Chunk { n, .. }: Chunk) {
        const COLUMNS: [Column; 2] = [Column::GapPct, Column::GapMean10];
        if !self.wanted.any(&COLUMNS) {
            return;
        }
        let simd = self.simd;
        let lanes = |number: &S::f64s| Lanes::new(simd, *number);
        let mut tracks = self.take(COLUMNS);
        let more = self.terms.more.as_ref().expect("these columns are some of its");
        let [sums, ..] = &mut self.sums;
        more.gap.sums::<1, 1>(n, &mut self.spare, sums);
        let [gaps, means] = tracks.each_mut().map(|track| track.now(n));
        let (sums, sizes) = (sums.back(0, n), more.gap.back(0, n));
        let (open, close, inverse) =
            (self.terms.open.back(0, n), self.terms.close.back(1, n), self.terms.inverse.back(1, n));
        for i in 0..n {
            gaps[i] = ((lanes(&open[i]) - lanes(&close[i])) * lanes(&inverse[i])).plain();
            means[i] = ((lanes(&sizes[i]) + lanes(&sums[i])) * (1.0 / 10.0)).plain();
        }
        self.give(COLUMNS, tracks);
    }
}

/// What the numbers up to bar `i` are above the one before it, for [`Spread::new`].
#[inline(always)]
fn above_before<S: Simd, const RUNS: usize, const TAIL: usize>(
    numbers: &Track<S>,
    i: usize,
) -> (Lanes<S>, [Lanes<S>; 2]) {
    let anchor = numbers.at(i, 1);
    anchored::<S, Lanes<S>, RUNS, TAIL>(
        #[inline(always)]
        |age| numbers.at(i, age + 1) - anchor,
        numbers.at(i, 0) - anchor,
    )
}

#[inline(always)]
fn spreads<S: Simd, const RUNS: usize, const TAIL: usize>(
    n: usize,
    n_window: f64,
    numbers: &Track<S>,
    squares: &Track<S>,
    [sums, square_sums]: [&Track<S>; 2],
    out: &mut Track<S>,
) {
    let (lasts, squares) = (numbers.view(0, n), squares.view(0, n));
    let (sums, square_sums) = (sums.view(0, n), square_sums.view(0, n));
    let out = out.now(n);
    for i in 0..n {
        let last = lasts.at(i);
        let sums = [sums.at(i) + last, square_sums.at(i) + squares.at(i)];
        out[i] = annual(
            n_window,
            sums,
            last,
            #[inline(always)]
            || above_before::<S, RUNS, TAIL>(numbers, i),
        )
        .plain();
    }
}
