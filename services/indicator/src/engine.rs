//! The one body behind every way to compute: a bar and the state before it give the state after it, and the columns.

use pulp::Simd;

use crate::atr::{NearRanges, true_range};
use crate::average::{Averages, NearSums, commodity_channel, far19, is_above, slope20, strength50};
use crate::channel::{Channel, closes19, distances, range};
use crate::directional::Directional;
use crate::ema::Ema;
use crate::exact::ExactSum;
use crate::figure::Figure;
use crate::input::{Input, Past, log_return};
use crate::kama::{Kama, Paths};
use crate::lane::inverses_or_zero;
use crate::macd::Macd;
use crate::plan::{Column, N_COLUMNS};
use crate::returns::{gap, gap_sum9, simple_return};
use crate::rsi::Rsi;
use crate::sar::Sar;
use crate::selection::Parts;
use crate::state::state;
use crate::stochastic::{Lines, Range, Stochastic};
use crate::supertrend::{HeikinAshi, Supertrend};
use crate::terms::NewTerms;
use crate::trix::Trix;
use crate::volume::{Volume, VolumeSums, close_place};
use crate::wilder::Wilder;
use crate::window::term;
use crate::windows::Windows;

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

/// What was found on the way from the state before a bar to that after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<L> {
    pub(crate) gap_size: L,
    pub(crate) rsi: L,
    pub(crate) true_range: L,
    pub(crate) flow: L,
    range14: Range<L>,
    stochastic: Lines<L>,
    /// Before the bar.
    trix: [L; 2],
    sar_met: L,
    colour: L,
}

/// Takes in a bar after `n_before` others of its segment; `paths` and `last_13` are what the [`Windows`] say.
#[inline(always)]
pub(crate) fn step<S: Simd, L: Figure<S>>(
    hot: &mut Hot<L>,
    past: &Past<S, L>,
    bar: &Input<L>,
    n_before: u32,
    paths: Paths<L>,
    last_13: Channel<L>,
) -> Step<L> {
    let close = bar.close;
    hot.ema8 = hot.ema8.next(n_before, close);
    hot.ema20 = hot.ema20.next(n_before, close);
    hot.ema21 = hot.ema21.next(n_before, close);
    hot.ema50 = hot.ema50.next(n_before, close);
    hot.macd = hot.macd.next(n_before, close);
    let trix = [hot.trix15.level(), hot.trix30.level()];
    hot.trix15 = hot.trix15.next(n_before, close);
    hot.trix30 = hot.trix30.next(n_before, close);
    hot.sum200 = hot.sum200.next(n_before, 200, close, past.close_before(200));
    hot.kama = hot.kama.next(n_before, [close, past.close(), past.close_before(10), past.close_before(30)], paths);
    let flow = close_place(bar.high, bar.low, bar.close) * bar.volume;
    hot.volume = hot.volume.next(n_before, past.close(), bar, flow);
    let true_range = true_range(bar.high, bar.low, past.close());
    let before = [past.low(), past.high()];
    hot.directional = hot.directional.next(n_before, before, bar, true_range);
    // Never in a window that is shown: the first bar of a segment has no gap.
    let mut gap_size = close.zero();
    if let Some(n_changes) = n_before.checked_sub(1) {
        hot.rsi = hot.rsi.next(n_changes, close - past.close());
        hot.atr10 = hot.atr10.next(n_changes, true_range);
        hot.atr14 = hot.atr14.next(n_changes, true_range);
        gap_size = gap(past, bar).abs();
    }
    hot.supertrend = hot.supertrend.next(n_before, past.close(), bar, hot.atr10.level);
    let range14 = Range::new(last_13, bar);
    let place = range14.place(close);
    let stochastic = hot.stochastic.lines(place);
    hot.stochastic = hot.stochastic.next(place);
    let (sar, sar_met) = hot.sar.next(n_before, before, bar);
    hot.sar = sar;
    let (heikin_ashi, colour) = hot.heikin_ashi.next(n_before, bar);
    hot.heikin_ashi = heikin_ashi;
    Step { gap_size, rsi: hot.rsi.value(), true_range, flow, range14, stochastic, trix, sar_met, colour }
}

/// A bar that was taken in, and what it builds on.
pub(crate) struct Scene<'a, S, L> {
    /// After the bar.
    pub(crate) hot: &'a Hot<L>,
    pub(crate) step: &'a Step<L>,
    /// Before the bar.
    pub(crate) windows: &'a Windows<L>,
    pub(crate) past: &'a Past<'a, S, L>,
    pub(crate) bar: &'a Input<L>,
    pub(crate) terms: &'a NewTerms<L>,
    /// Of the RSI.
    pub(crate) places: [L; 2],
    pub(crate) n_bars: u32,
    /// What to compute.
    pub(crate) parts: Parts,
}

impl<S: Simd, L: Figure<S>> Scene<'_, S, L> {
    /// Sets the columns of the parts; any number where a column is still warming up or undefined.
    #[inline(always)]
    pub(crate) fn columns(&self, row: &mut [L::Plain; N_COLUMNS]) {
        row[Column::NBars as usize] = self.bar.close.constant(f64::from(self.n_bars)).plain();
        self.trend(row);
        self.averages(row);
        self.oscillators(row);
        self.ranges(row);
        self.channels(row);
        self.volumes(row);
        self.returns(row);
    }

    #[inline(always)]
    fn averages(&self, row: &mut [L::Plain; N_COLUMNS]) {
        let mut set = |column: Column, value: L| row[column as usize] = value.plain();
        let Self { hot, windows, past, bar, parts, .. } = *self;
        if !parts.has(Parts::AVERAGES) {
            return;
        }
        let close = bar.close;
        let average = Averages::new(&windows.closes, &NearSums::of(past), past, close);
        set(Column::Sma10, average.of_10);
        set(Column::Sma20, average.of_20);
        set(Column::Sma50, average.of_50);
        let [of_average, of_exponential] = inverses_or_zero([average.of_26, hot.macd.slow.level]);
        set(Column::Ppo1226Sma, (average.of_12 - average.of_26) * of_average * 100.0);
        set(Column::Ppo1226Ema, hot.macd.oscillator(of_exponential));
        set(Column::LinregSlope20, slope20(windows.closes.slope18, past.close_before(19), close));
        set(Column::Sma20Above50, is_above(average.of_20, average.of_50));
        let width = average.deviation20 * 2.0;
        set(Column::BbUpper20, average.of_20 + width);
        set(Column::BbMid20, average.of_20);
        set(Column::BbLower20, average.of_20 - width);
        if parts.has(Parts::SLOPE) {
            let inverse_of_20 = average.of_20.inverse();
            let before = term(
                #[inline(always)]
                |n| past.close_before(n),
            );
            set(Column::MaSlope20, windows.averages.slope(before, close, average.of_20, inverse_of_20));
        }
        if parts.has(Parts::STRENGTH) {
            let sums = [windows.closes.of_49, windows.squares49];
            set(Column::TrendStrength50, strength50(past, sums, close));
        }
    }

    #[inline(always)]
    fn trend(&self, row: &mut [L::Plain; N_COLUMNS]) {
        let mut set = |column: Column, value: L| row[column as usize] = value.plain();
        let Self { hot, step, .. } = *self;
        set(Column::Sma200, hot.sum200.sum * (1.0 / 200.0));
        set(Column::Ema8, hot.ema8.level);
        set(Column::Ema21, hot.ema21.level);
        set(Column::Ema50, hot.ema50.level);
        set(Column::Kama10, hot.kama.fast);
        set(Column::Kama30, hot.kama.slow);
        set(Column::Macd, hot.macd.line());
        set(Column::MacdSignal, hot.macd.signal.level);
        set(Column::MacdHist, hot.macd.line() - hot.macd.signal.level);
        let width = hot.atr10.level * 2.0;
        set(Column::KeltnerUp20, hot.ema20.level + width);
        set(Column::KeltnerMid20, hot.ema20.level);
        set(Column::KeltnerLo20, hot.ema20.level - width);
        set(Column::Sar00202, step.sar_met);
        set(Column::Supertrend, hot.supertrend.line());
        set(Column::SupertrendDirection, hot.supertrend.direction);
        set(Column::HeikinAshiTrend, step.colour);
        let inverses = inverses_or_zero(step.trix);
        set(Column::Trix15, (hot.trix15.level() - step.trix[0]) * inverses[0] * 100.0);
        set(Column::Trix30, (hot.trix30.level() - step.trix[1]) * inverses[1] * 100.0);
    }

    #[inline(always)]
    fn oscillators(&self, row: &mut [L::Plain; N_COLUMNS]) {
        let mut set = |column: Column, value: L| row[column as usize] = value.plain();
        let Self { hot, step, windows, past, bar, parts, .. } = *self;
        let close = bar.close;
        set(Column::Rsi14, step.rsi);
        let [plus, minus] = hot.directional.indicators();
        set(Column::PlusDi14, plus);
        set(Column::MinusDi14, minus);
        set(Column::Adx14, hot.directional.index);
        set(Column::StochK, step.stochastic.fast);
        set(Column::StochD, step.stochastic.slow);
        set(Column::Willr14, step.range14.williams(close));
        if parts.has(Parts::RSIS) {
            let [of_5, of_14] = windows.extremes.rsis.lines(self.places);
            set(Column::Stochrsi1453K, of_5.fast);
            set(Column::Stochrsi1453D, of_5.slow);
            set(Column::Stochrsi14143K, of_14.fast);
            set(Column::Stochrsi14143D, of_14.slow);
        }
        if parts.has(Parts::COMMODITY) {
            let price = term(
                #[inline(always)]
                |age| past.prices(age),
            );
            let channel = commodity_channel(
                bar.price(),
                windows.prices19,
                #[inline(always)]
                |level| far19(past.simd, price, level),
            );
            set(Column::Cci20, channel);
        }
    }

    #[inline(always)]
    fn ranges(&self, row: &mut [L::Plain; N_COLUMNS]) {
        let mut set = |column: Column, value: L| row[column as usize] = value.plain();
        let Self { hot, step, windows, past, bar, terms, parts, .. } = *self;
        let atr14 = hot.atr14.level;
        set(Column::Trange, step.true_range);
        set(Column::Atr14, atr14);
        set(Column::AtrPct14, atr14 * bar.inverse);
        set(Column::Natr14, atr14 * bar.inverse * 100.0);
        if parts.has(Parts::RANGES) {
            let near = NearRanges::of(past);
            set(Column::AtrPctSimple14, near.mean_range14(step.true_range) * bar.inverse);
            set(Column::Ultosc71428, near.ultimate_oscillator(&windows.ranges, terms.buying, step.true_range));
        }
    }

    #[inline(always)]
    fn channels(&self, row: &mut [L::Plain; N_COLUMNS]) {
        let mut set = |column: Column, value: L| row[column as usize] = value.plain();
        let Self { past, bar, parts, .. } = *self;
        let extremes = &self.windows.extremes;
        if parts.has(Parts::CHANNELS) {
            let channels = &extremes.channels;
            let [up, down, difference] = channels.aroon(bar.high, bar.low);
            set(Column::AroonUp25, up);
            set(Column::AroonDown25, down);
            set(Column::Aroonosc25, difference);
            let last_20 = channels.last_19.with(bar.high, bar.low);
            set(Column::DonchianUp20, last_20.high);
            set(Column::DonchianMid20, last_20.middle());
            set(Column::DonchianLo20, last_20.low);
            let conversion = range::<S, L, 8>(past).with(bar.high, bar.low).middle();
            let base = channels.last_25.with(bar.high, bar.low).middle();
            set(Column::IchimokuTenkan, conversion);
            set(Column::IchimokuKijun, base);
            set(Column::IchimokuSpanA, (conversion + base) * 0.5);
            set(Column::IchimokuSpanB, channels.last_51.with(bar.high, bar.low).middle());
        }
        if parts.has(Parts::LEVELS) {
            let last_5 = range::<S, L, 4>(past).with(bar.high, bar.low);
            set(Column::High5, last_5.high);
            set(Column::Low5, last_5.low);
            let last_10 = range::<S, L, 9>(past).with(bar.high, bar.low);
            set(Column::High10, last_10.high);
            set(Column::Low10, last_10.low);
        }
        if parts.has(Parts::CLOSES) {
            let [of_high20, of_low20] = distances(closes19(past), bar.close);
            set(Column::PctFromHigh20, of_high20 * 100.0);
            set(Column::PctFromLow20, of_low20 * 100.0);
        }
        if parts.has(Parts::YEAR) {
            let [of_high252, of_low252] = distances(extremes.year, bar.close);
            set(Column::DistHigh252, of_high252);
            set(Column::DistLow252, of_low252);
        }
    }

    #[inline(always)]
    fn volumes(&self, row: &mut [L::Plain; N_COLUMNS]) {
        let mut set = |column: Column, value: L| row[column as usize] = value.plain();
        let Self { hot, step, windows, bar, terms, parts, .. } = *self;
        set(Column::Obv, hot.volume.on_balance);
        set(Column::Ad, hot.volume.distribution);
        set(Column::Adosc310, hot.volume.oscillator());
        if parts.has(Parts::FLOWS) {
            set(Column::Mfi14, windows.flows.money_flow_index(terms.flow_up, terms.flow_down));
        }
        if parts.has(Parts::VOLUMES) {
            let new = VolumeSums {
                volume: bar.volume,
                flow: step.flow,
                price_volume: terms.price_volume,
                dollars: terms.dollars,
            };
            let window = windows.volumes.with(&new);
            set(Column::Cmf20, window.money_flow);
            set(Column::Vwap20, window.average_price);
            set(Column::Rvol20, window.relative_volume);
            set(Column::DollarVol20, window.dollar_volume);
            set(Column::VolSpikeRatio, window.dollar_ratio);
        }
    }

    #[inline(always)]
    fn returns(&self, row: &mut [L::Plain; N_COLUMNS]) {
        let mut set = |column: Column, value: L| row[column as usize] = value.plain();
        let Self { step, windows, past, bar, terms, parts, .. } = *self;
        let of_10 = simple_return(past, bar.close, 10);
        set(Column::Roc10, of_10 * 100.0);
        set(Column::Mom10, bar.close - past.close_before(10));
        if parts.has(Parts::RETURNS) {
            set(Column::Ret1d, terms.gain);
            set(Column::Ret10d, of_10);
            for (column, n) in [
                (Column::Ret5d, 5),
                (Column::Ret21d, 21),
                (Column::Ret63d, 63),
                (Column::Ret126d, 126),
                (Column::Ret252d, 252),
            ] {
                set(column, simple_return(past, bar.close, n));
            }
        }
        if parts.has(Parts::VOLATILITIES) {
            let [of_10, of_20, of_60] = windows.returns.realised_volatilities(past, terms.gain);
            set(Column::VolRealized10, of_10);
            set(Column::VolRealized20, of_20);
            set(Column::VolRealized60, of_60);
            set(Column::Hv20, windows.returns.historical_volatility(past, log_return(terms.gain)));
        }
        if parts.has(Parts::GAPS) {
            set(Column::GapPct, gap(past, bar));
            set(Column::GapMean10, (step.gap_size + gap_sum9(past)) * (1.0 / 10.0));
        }
    }
}
