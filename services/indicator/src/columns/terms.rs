//! The numbers of the bars, and what windows are sums of.

use pulp::Simd;
use schemas::Bar;

use crate::atr::{buying_pressure, true_range};
use crate::columns::Wanted;
use crate::columns::track::Track;
use crate::input::log_return;
use crate::lane::Lane as _;
use crate::lanes::Lanes;
use crate::plan::Column;
use crate::volume::{close_place, flow};

pub(crate) struct Terms<S: Simd> {
    simd: S,
    pub(crate) open: Track<S>,
    pub(crate) high: Track<S>,
    pub(crate) low: Track<S>,
    pub(crate) close: Track<S>,
    pub(crate) volume: Track<S>,
    /// Of the close.
    pub(crate) inverse: Track<S>,
    pub(crate) square: Track<S>,
    /// How far the close moved.
    pub(crate) moves: Track<S>,
    pub(crate) true_range: Track<S>,
    pub(crate) buying: Track<S>,
    /// Three times the typical price.
    pub(crate) price: Track<S>,
    pub(crate) flow: Track<S>,
    pub(crate) flow_up: Track<S>,
    pub(crate) flow_down: Track<S>,
    pub(crate) more: Option<More<S>>,
}

/// What only columns beyond those of TA-Lib need.
pub(crate) struct More<S: Simd> {
    pub(crate) price_volume: Track<S>,
    pub(crate) dollars: Track<S>,
    pub(crate) gain: Track<S>,
    pub(crate) gain_square: Track<S>,
    pub(crate) log_gain: Track<S>,
    pub(crate) log_square: Track<S>,
    pub(crate) gap: Track<S>,
    /// What the close is above the one that it replaces in an average of 20.
    pub(crate) replaced: Track<S>,
}

const OF_MORE: [Column; 22] = [
    Column::Cmf20,
    Column::Vwap20,
    Column::DollarVol20,
    Column::VolSpikeRatio,
    Column::Rvol20,
    Column::Ret1d,
    Column::Ret5d,
    Column::Ret10d,
    Column::Ret21d,
    Column::Ret63d,
    Column::Ret126d,
    Column::Ret252d,
    Column::VolRealized10,
    Column::VolRealized20,
    Column::VolRealized60,
    Column::Hv20,
    Column::GapPct,
    Column::GapMean10,
    Column::MaSlope20,
    Column::TrendStrength50,
    Column::Sma20Above50,
    Column::AtrPctSimple14,
];

impl<S: Simd> Terms<S> {
    pub(crate) fn new(simd: S, wanted: &Wanted) -> Self {
        let track = |n_past| Track::new(simd, n_past);
        let has_more = wanted.any(&OF_MORE);
        Self {
            simd,
            open: track(0),
            high: track(1),
            low: track(1),
            close: track(252),
            volume: track(19),
            inverse: track(if has_more { 252 } else { 10 }),
            square: track(49),
            moves: track(29),
            true_range: track(27),
            buying: track(27),
            price: track(19),
            flow: track(19),
            flow_up: track(13),
            flow_down: track(13),
            more: has_more.then(|| More {
                price_volume: track(19),
                dollars: track(19),
                gain: track(59),
                gain_square: track(59),
                log_gain: track(20),
                log_square: track(19),
                gap: track(9),
                replaced: track(18),
            }),
        }
    }

    /// Puts the bars of a chunk in their places: those of `symbols` from `start` on, whose last ones repeat.
    #[inline(always)]
    pub(crate) fn fill<'a>(&mut self, symbols: impl Iterator<Item = &'a [Bar]>, start: usize, n: usize) {
        let n_lanes = S::F64_LANES;
        let (open, high, low) = (self.open.flat_mut(n), self.high.flat_mut(n), self.low.flat_mut(n));
        let (close, volume) = (self.close.flat_mut(n), self.volume.flat_mut(n));
        for (lane, bars) in symbols.enumerate() {
            let Some(last) = bars.last() else { continue };
            let of_chunk = bars[start.min(bars.len())..].iter().chain(std::iter::repeat(last));
            let places = open.chunks_exact_mut(n_lanes).zip(high.chunks_exact_mut(n_lanes));
            let places = places.zip(low.chunks_exact_mut(n_lanes)).zip(close.chunks_exact_mut(n_lanes));
            let places = places.zip(volume.chunks_exact_mut(n_lanes));
            for (((((open, high), low), close), volume), bar) in places.zip(of_chunk) {
                open[lane] = bar.open;
                high[lane] = bar.high;
                low[lane] = bar.low;
                close[lane] = bar.close;
                volume[lane] = bar.volume;
            }
        }
    }

    /// Whether nothing that is computed of the bars of a chunk can overflow or vanish: then most columns need no check.
    #[inline(always)]
    pub(crate) fn is_tame(&self, n: usize) -> bool {
        let zero = Lanes::splat(self.simd, 0.0);
        let (low_min, high_max, volume_max) = (zero.constant(1e-6), zero.constant(1e9), zero.constant(1e15));
        let (low, high, volume) = (self.low.view(0, n), self.high.view(0, n), self.volume.view(0, n));
        let mut flaws = zero;
        let one = zero.constant(1.0);
        for i in 0..n {
            // Open and close are between both; what is not a number is neither above nor below.
            let volume = volume.at(i);
            let is_price = Lanes::<S>::both(low.at(i).is_at_least(low_min), high.at(i).is_at_most(high_max));
            let is_volume = Lanes::<S>::both(
                volume.is_at_most(volume_max),
                Lanes::<S>::either(volume.is_at_least(low_min), volume.is_equal(zero)),
            );
            flaws = Lanes::select(Lanes::<S>::both(is_price, is_volume), flaws, one);
        }
        !Lanes::any(flaws.is_above(zero))
    }

    #[inline(always)]
    pub(crate) fn compute(&mut self, n: usize) {
        let simd = self.simd;
        let lanes = |number: &S::f64s| Lanes::new(simd, *number);
        let (high, low, volume) = (self.high.back(0, n), self.low.back(0, n), self.volume.back(0, n));
        let (close, before) = (self.close.back(0, n), self.close.back(1, n));
        {
            let (inverse, square, moves) = (self.inverse.now(n), self.square.now(n), self.moves.now(n));
            let (ranges, buying) = (self.true_range.now(n), self.buying.now(n));
            let (price, flows) = (self.price.now(n), self.flow.now(n));
            for i in 0..n {
                let (close, before) = (lanes(&close[i]), lanes(&before[i]));
                let (high, low) = (lanes(&high[i]), lanes(&low[i]));
                inverse[i] = close.inverse().plain();
                square[i] = (close * close).plain();
                moves[i] = (close - before).abs().plain();
                ranges[i] = true_range(high, low, before).plain();
                buying[i] = buying_pressure(low, close, before).plain();
                price[i] = (high + low + close).plain();
                flows[i] = (close_place(high, low, close) * lanes(&volume[i])).plain();
            }
        }
        {
            let (price, before) = (self.price.back(0, n), self.price.back(1, n));
            let (up, down) = (self.flow_up.now(n), self.flow_down.now(n));
            for i in 0..n {
                let (price, before, volume) = (lanes(&price[i]), lanes(&before[i]), lanes(&volume[i]));
                up[i] = flow(before, price, price, volume).plain();
                down[i] = flow(price, before, price, volume).plain();
            }
        }
        let Some(more) = &mut self.more else { return };
        let (price, inverse, open) = (self.price.back(0, n), self.inverse.back(1, n), self.open.back(0, n));
        let replaced_close = self.close.back(20, n);
        let (price_volume, dollars) = (more.price_volume.now(n), more.dollars.now(n));
        let (gain, gain_square, gap) = (more.gain.now(n), more.gain_square.now(n), more.gap.now(n));
        let (log_gain, log_square, replaced) = (more.log_gain.now(n), more.log_square.now(n), more.replaced.now(n));
        for i in 0..n {
            let (close, before, volume) = (lanes(&close[i]), lanes(&before[i]), lanes(&volume[i]));
            price_volume[i] = (lanes(&price[i]) * volume).plain();
            dollars[i] = (close * volume).plain();
            replaced[i] = (close - lanes(&replaced_close[i])).plain();
            let inverse = lanes(&inverse[i]);
            gap[i] = ((lanes(&open[i]) - before) * inverse).abs().plain();
            let found = (close - before) * inverse;
            gain[i] = found.plain();
            gain_square[i] = (found * found).plain();
        }
        for i in 0..n {
            let found = log_return(lanes(&gain[i]));
            log_gain[i] = found.plain();
            log_square[i] = (found * found).plain();
        }
    }

    pub(crate) fn rewind(&mut self) {
        let Self {
            simd: _,
            open: _,
            high,
            low,
            close,
            volume,
            inverse,
            square,
            moves,
            true_range,
            buying,
            price,
            flow,
            flow_up,
            flow_down,
            more,
        } = self;
        for track in
            [high, low, close, volume, inverse, square, moves, true_range, buying, price, flow, flow_up, flow_down]
        {
            track.rewind();
        }
        if let Some(More { price_volume, dollars, gain, gain_square, log_gain, log_square, gap, replaced }) = more {
            for track in [price_volume, dollars, gain, gain_square, log_gain, log_square, gap, replaced] {
                track.rewind();
            }
        }
    }
}
