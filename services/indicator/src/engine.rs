//! The one body behind every way to compute: a bar and the state before it give the state after it, and the columns.

use pulp::Simd;

use crate::atr::{RangeSums, true_range};
use crate::average::{Averages, average_slope, commodity_channel, slope20};
use crate::channel::{Channels, CloseExtremes, aroon};
use crate::directional::Directional;
use crate::ema::Ema;
use crate::exact::ExactSum;
use crate::extremes::Extremes;
use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::kama::Kama;
use crate::macd::{Macd, percent_above};
use crate::plan::{Column, N_COLUMNS};
use crate::returns::{gap, historical_volatility, mean_gap, realised_volatilities, simple_return};
use crate::rsi::Rsi;
use crate::sar::Sar;
use crate::state::state;
use crate::stochastic::{Range, Stochastic, of_rsi};
use crate::supertrend::{HeikinAshi, Supertrend};
use crate::trix::Trix;
use crate::volume::{Volume, VolumeWindow, money_flow_index};
use crate::wilder::Wilder;

state! {
    /// What cannot be found again in the last few bars: averages and totals that never forget.
    struct Hot {
        ema8: Ema<L, 8> [Price],
        ema20: Ema<L, 20> [Price],
        ema21: Ema<L, 21> [Price],
        ema50: Ema<L, 50> [Price],
        macd: Macd<L> [Plain],
        rsi: Rsi<L> [Plain],
        atr10: Wilder<L, 10> [Price],
        atr14: Wilder<L, 14> [Price],
        directional: Directional<L> [Plain],
        stochastic: Stochastic<L> [Plain],
        trix15: Trix<L, 15> [Price],
        trix30: Trix<L, 30> [Price],
        sar: Sar<L> [Plain],
        kama: Kama<L> [Plain],
        volume: Volume<L> [Plain],
        supertrend: Supertrend<L> [Plain],
        heikin_ashi: HeikinAshi<L> [Plain],
        sum200: ExactSum<L> [Plain],
    }
}

/// What a bar makes of the state, not yet stored, and what was found on the way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<L> {
    pub(crate) hot: Hot<L>,
    pub(crate) gap_size: L,
    pub(crate) rsi: L,
    true_range: L,
    range14: Range<L>,
    sar_met: L,
    colour: L,
}

/// Takes in a bar after `n_before` others of its segment.
#[inline(always)]
pub(crate) fn step<S: Simd, L: Figure<S>>(
    before: &Hot<L>,
    past: &Past<S, L>,
    bar: &Input<L>,
    n_before: u32,
) -> Step<L> {
    let mut hot = *before;
    let close = bar.close;
    hot.ema8 = hot.ema8.next(n_before, close);
    hot.ema20 = hot.ema20.next(n_before, close);
    hot.ema21 = hot.ema21.next(n_before, close);
    hot.ema50 = hot.ema50.next(n_before, close);
    hot.macd = hot.macd.next(n_before, close);
    hot.trix15 = hot.trix15.next(n_before, close);
    hot.trix30 = hot.trix30.next(n_before, close);
    hot.sum200 = hot.sum200.next(n_before, 200, close, past.close_before(200));
    hot.kama = hot.kama.next(n_before, past, bar);
    hot.volume = hot.volume.next(n_before, past, bar);
    let true_range = true_range(bar.high, bar.low, past.close());
    hot.directional = hot.directional.next(n_before, past, bar, true_range);
    // Never in a window that is shown: the first bar of a segment has no gap.
    let mut gap_size = close.zero();
    if let Some(n_changes) = n_before.checked_sub(1) {
        hot.rsi = hot.rsi.next(n_changes, close - past.close());
        hot.atr10 = hot.atr10.next(n_changes, true_range);
        hot.atr14 = hot.atr14.next(n_changes, true_range);
        gap_size = gap(past, bar).abs();
    }
    hot.supertrend = hot.supertrend.next(n_before, past, bar, hot.atr10.level);
    let range14 = Range::new(past, bar);
    hot.stochastic = hot.stochastic.next(range14.place(close));
    let (sar, sar_met) = hot.sar.next(n_before, past, bar);
    hot.sar = sar;
    let (heikin_ashi, colour) = hot.heikin_ashi.next(n_before, bar);
    hot.heikin_ashi = heikin_ashi;
    Step { hot, gap_size, rsi: hot.rsi.value(), true_range, range14, sar_met, colour }
}

/// Sets the columns after a step; any number where a column is still warming up or undefined. Returns the extremes of the
/// newest block of closes.
#[inline(always)]
pub(crate) fn columns<S: Simd, L: Figure<S>>(
    before: &Hot<L>,
    step: &Step<L>,
    past: &Past<S, L>,
    bar: &Input<L>,
    n_bars: u32,
    older: Extremes<L>,
    row: &mut [L; N_COLUMNS],
) -> Extremes<L> {
    row[Column::NBars as usize] = bar.close.constant(f64::from(n_bars));
    trend_columns(row, step, past, bar);
    oscillator_columns(row, before, step, past, bar);
    range_columns(row, step, past, bar);
    volume_columns(row, step, past, bar);
    return_columns(row, past, bar, step);
    extreme_columns(row, past, bar, older)
}

#[inline(always)]
fn trend_columns<S: Simd, L: Figure<S>>(row: &mut [L; N_COLUMNS], step: &Step<L>, past: &Past<S, L>, bar: &Input<L>) {
    let mut set = |column: Column, value: L| row[column as usize] = value;
    let close = bar.close;
    let hot = &step.hot;
    let average = Averages::new(past, close, hot.sum200.sum);
    set(Column::Sma10, average.of_10);
    set(Column::Sma20, average.of_20);
    set(Column::Sma50, average.of_50);
    set(Column::Sma200, average.of_200);
    set(Column::Ema8, hot.ema8.level);
    set(Column::Ema21, hot.ema21.level);
    set(Column::Ema50, hot.ema50.level);
    set(Column::Kama10, hot.kama.fast);
    set(Column::Kama30, hot.kama.slow);
    set(Column::Macd, hot.macd.line());
    set(Column::MacdSignal, hot.macd.signal.level);
    set(Column::MacdHist, hot.macd.line() - hot.macd.signal.level);
    set(Column::Ppo1226Sma, percent_above(average.of_12, average.of_26));
    set(Column::Ppo1226Ema, hot.macd.oscillator());
    set(Column::LinregSlope20, slope20(past, close));
    set(Column::MaSlope20, average_slope(past, close, average.of_20));
    set(Column::TrendStrength50, average.trend_strength50);
    let one = close.constant(1.0);
    let is_above = L::select(average.of_20.is_above(average.of_50), one, one.zero());
    // 1 or 0 only where both averages are finite.
    set(Column::Sma20Above50, is_above + (average.of_20 + average.of_50) * 0.0);
    let width = average.deviation20 * 2.0;
    set(Column::BbUpper20, average.of_20 + width);
    set(Column::BbMid20, average.of_20);
    set(Column::BbLower20, average.of_20 - width);
    let width = hot.atr10.level * 2.0;
    set(Column::KeltnerUp20, hot.ema20.level + width);
    set(Column::KeltnerMid20, hot.ema20.level);
    set(Column::KeltnerLo20, hot.ema20.level - width);
    set(Column::Sar00202, step.sar_met);
    set(Column::Supertrend, hot.supertrend.line());
    set(Column::SupertrendDirection, hot.supertrend.direction);
    set(Column::HeikinAshiTrend, step.colour);
}

#[inline(always)]
fn oscillator_columns<S: Simd, L: Figure<S>>(
    row: &mut [L; N_COLUMNS],
    before: &Hot<L>,
    step: &Step<L>,
    past: &Past<S, L>,
    bar: &Input<L>,
) {
    let mut set = |column: Column, value: L| row[column as usize] = value;
    let close = bar.close;
    let hot = &step.hot;
    set(Column::Rsi14, step.rsi);
    set(Column::PlusDi14, hot.directional.plus_indicator());
    set(Column::MinusDi14, hot.directional.minus_indicator());
    set(Column::Adx14, hot.directional.index);
    let stochastic = before.stochastic.lines(step.range14.place(close));
    set(Column::StochK, stochastic.fast);
    set(Column::StochD, stochastic.slow);
    let [of_5, of_14] = of_rsi(past, step.rsi);
    set(Column::Stochrsi1453K, of_5.fast);
    set(Column::Stochrsi1453D, of_5.slow);
    set(Column::Stochrsi14143K, of_14.fast);
    set(Column::Stochrsi14143D, of_14.slow);
    set(Column::Willr14, step.range14.williams(close));
    set(Column::Cci20, commodity_channel(past, bar));
    set(Column::Roc10, (close / past.close_before(10) - 1.0) * 100.0);
    set(Column::Mom10, close - past.close_before(10));
    set(Column::Trix15, hot.trix15.change_from(&before.trix15));
    set(Column::Trix30, hot.trix30.change_from(&before.trix30));
}

#[inline(always)]
fn range_columns<S: Simd, L: Figure<S>>(row: &mut [L; N_COLUMNS], step: &Step<L>, past: &Past<S, L>, bar: &Input<L>) {
    let mut set = |column: Column, value: L| row[column as usize] = value;
    let close = bar.close;
    let atr14 = step.hot.atr14.level;
    set(Column::Trange, step.true_range);
    set(Column::Atr14, atr14);
    set(Column::AtrPct14, atr14 / close);
    set(Column::Natr14, atr14 / close * 100.0);
    let sums = RangeSums::new(past, bar);
    set(Column::AtrPctSimple14, sums.true_range[1] * (1.0 / 14.0) / close);
    set(Column::Ultosc71428, sums.ultimate_oscillator());
    let channels = Channels::new(past, bar);
    let [up, down, difference] = aroon(past, bar, channels.last_26);
    set(Column::AroonUp25, up);
    set(Column::AroonDown25, down);
    set(Column::Aroonosc25, difference);
    set(Column::DonchianUp20, channels.last_20.high);
    set(Column::DonchianMid20, channels.last_20.middle());
    set(Column::DonchianLo20, channels.last_20.low);
    set(Column::High5, channels.last_5.high);
    set(Column::Low5, channels.last_5.low);
    set(Column::High10, channels.last_10.high);
    set(Column::Low10, channels.last_10.low);
    let conversion = channels.last_9.middle();
    let base = channels.last_26.middle();
    set(Column::IchimokuTenkan, conversion);
    set(Column::IchimokuKijun, base);
    set(Column::IchimokuSpanA, (conversion + base) * 0.5);
    set(Column::IchimokuSpanB, channels.last_52.middle());
}

/// Returns the extremes of the newest block of closes.
#[inline(always)]
fn extreme_columns<S: Simd, L: Figure<S>>(
    row: &mut [L; N_COLUMNS],
    past: &Past<S, L>,
    bar: &Input<L>,
    older: Extremes<L>,
) -> Extremes<L> {
    let mut set = |column: Column, value: L| row[column as usize] = value;
    let extremes = CloseExtremes::new(past, bar.close, older);
    set(Column::PctFromHigh20, extremes.high20 * 100.0);
    set(Column::PctFromLow20, extremes.low20 * 100.0);
    set(Column::DistHigh252, extremes.high252);
    set(Column::DistLow252, extremes.low252);
    extremes.block
}

#[inline(always)]
fn volume_columns<S: Simd, L: Figure<S>>(row: &mut [L; N_COLUMNS], step: &Step<L>, past: &Past<S, L>, bar: &Input<L>) {
    let mut set = |column: Column, value: L| row[column as usize] = value;
    let volume = &step.hot.volume;
    set(Column::Obv, volume.on_balance);
    set(Column::Ad, volume.distribution);
    set(Column::Adosc310, volume.oscillator());
    set(Column::Mfi14, money_flow_index(past, bar));
    let window = VolumeWindow::new(past, bar);
    set(Column::Cmf20, window.money_flow);
    set(Column::Vwap20, window.average_price);
    set(Column::Rvol20, window.relative_volume);
    set(Column::DollarVol20, window.dollar_volume);
    // Twenty bars without a trade: 0 / 0, which is missing.
    set(Column::VolSpikeRatio, bar.close * bar.volume / window.dollar_volume);
}

#[inline(always)]
fn return_columns<S: Simd, L: Figure<S>>(row: &mut [L; N_COLUMNS], past: &Past<S, L>, bar: &Input<L>, step: &Step<L>) {
    let mut set = |column: Column, value: L| row[column as usize] = value;
    for (column, n) in [
        (Column::Ret1d, 1),
        (Column::Ret5d, 5),
        (Column::Ret10d, 10),
        (Column::Ret21d, 21),
        (Column::Ret63d, 63),
        (Column::Ret126d, 126),
        (Column::Ret252d, 252),
    ] {
        set(column, simple_return(past, bar.close, n));
    }
    let [of_10, of_20, of_60] = realised_volatilities(past, bar.close);
    set(Column::VolRealized10, of_10);
    set(Column::VolRealized20, of_20);
    set(Column::VolRealized60, of_60);
    set(Column::Hv20, historical_volatility(past, bar.log_return));
    set(Column::GapPct, gap(past, bar));
    set(Column::GapMean10, mean_gap(past, step.gap_size));
}
