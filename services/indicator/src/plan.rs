use schemas::Plan;

/// The columns that this crate computes, in the order of [`Values`](crate::Values).
///
/// # Shape
/// One value per bar and column; a column is missing until its [warm-up](need) is over.
pub fn plan() -> Plan {
    Plan::new(NAMES.iter().copied())
}

/// The bars of a segment that a column needs for its first value.
///
/// # Shape
/// `None` when the column is not in the plan. An average that never forgets has its first value then, not its final one:
/// its seed fades with every bar.
pub fn need(column: &str) -> Option<u32> {
    NAMES.iter().position(|name| *name == column).map(|at| NEEDS[at])
}

/// Whether a column is computed from open, high or low.
///
/// # Shape
/// `None` when the column is not in the plan. Such a column is missing from the first bar of a segment that knows its
/// close only ([`BarFlags::CLOSE_ONLY`](schemas::BarFlags::CLOSE_ONLY)) to the end of the segment.
pub fn needs_range(column: &str) -> Option<bool> {
    NAMES.iter().position(|name| *name == column).map(|at| OF_RANGE[at])
}

/// Names the columns once, so that neither a name nor a value can be in the wrong place: `column = name, need;`.
macro_rules! columns {
    ($($(#[$doc:meta])* $column:ident = $name:literal, $need:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Column {
            $($(#[$doc])* $column,)*
        }

        pub(crate) const NAMES: &[&str] = &[$($name),*];
        pub(crate) const NEEDS: [u32; N_COLUMNS] = [$($need),*];
    };
}

pub(crate) const N_COLUMNS: usize = NAMES.len();
/// From this bar of a segment on every column is warm.
pub(crate) const NEED_MAX: u32 = need_max();

/// The columns, that which needs most bars first.
pub(crate) const BY_NEED: [usize; N_COLUMNS] = by_need();

const fn by_need() -> [usize; N_COLUMNS] {
    let mut columns = [0; N_COLUMNS];
    let mut n_sorted = 0;
    while n_sorted < N_COLUMNS {
        let mut at = n_sorted;
        while at > 0 && NEEDS[columns[at - 1]] < NEEDS[n_sorted] {
            columns[at] = columns[at - 1];
            at -= 1;
        }
        columns[at] = n_sorted;
        n_sorted += 1;
    }
    columns
}

/// By column: whether it needs open, high or low.
pub(crate) const OF_RANGE: [bool; N_COLUMNS] = of_range();

const fn of_range() -> [bool; N_COLUMNS] {
    use Column::{
        Ad, Adosc310, Adx14, AroonDown25, AroonUp25, Aroonosc25, Atr14, AtrPct14, AtrPctSimple14, Cci20, Cmf20,
        DonchianLo20, DonchianMid20, DonchianUp20, GapMean10, GapPct, HeikinAshiTrend, High5, High10, IchimokuKijun,
        IchimokuSpanA, IchimokuSpanB, IchimokuTenkan, KeltnerLo20, KeltnerUp20, Low5, Low10, Mfi14, MinusDi14, Natr14,
        PlusDi14, Sar00202, StochD, StochK, Supertrend, SupertrendDirection, Trange, Ultosc71428, Vwap20, Willr14,
    };
    let columns = [
        Trange,
        Atr14,
        Natr14,
        PlusDi14,
        MinusDi14,
        Adx14,
        StochK,
        StochD,
        Cci20,
        Mfi14,
        Willr14,
        Ultosc71428,
        AroonUp25,
        AroonDown25,
        Aroonosc25,
        Sar00202,
        Ad,
        Adosc310,
        Cmf20,
        Vwap20,
        DonchianUp20,
        DonchianMid20,
        DonchianLo20,
        High5,
        Low5,
        High10,
        Low10,
        KeltnerUp20,
        KeltnerLo20,
        AtrPct14,
        AtrPctSimple14,
        GapPct,
        GapMean10,
        Supertrend,
        SupertrendDirection,
        IchimokuTenkan,
        IchimokuKijun,
        IchimokuSpanA,
        IchimokuSpanB,
        HeikinAshiTrend,
    ];
    let mut of_range = [false; N_COLUMNS];
    let mut at = 0;
    while at < columns.len() {
        of_range[columns[at] as usize] = true;
        at += 1;
    }
    of_range
}

const fn need_max() -> u32 {
    let mut max = 0;
    let mut at = 0;
    while at < N_COLUMNS {
        if NEEDS[at] > max {
            max = NEEDS[at];
        }
        at += 1;
    }
    max
}

columns! {
    /// Bars of the current segment including this one.
    NBars = "n_bars", 1;
    /// Price: [`Averages`](crate::average::Averages).
    Sma10 = "sma10", 10;
    Sma20 = "sma20", 20;
    Sma50 = "sma50", 50;
    Sma200 = "sma200", 200;
    /// Price: [`Ema`](crate::ema::Ema).
    Ema8 = "ema8", 8;
    Ema21 = "ema21", 21;
    Ema50 = "ema50", 50;
    /// Points, 0 to 100: [`Rsi`](crate::rsi::Rsi).
    Rsi14 = "rsi14", 15;
    /// Price differences: [`Macd`](crate::macd::Macd).
    Macd = "macd", 34;
    MacdSignal = "macd_signal", 34;
    MacdHist = "macd_hist", 34;
    /// Price: [`true_range`](crate::atr::true_range).
    Trange = "trange", 2;
    /// Price: its mean after [`Wilder`](crate::wilder::Wilder).
    Atr14 = "atr14", 15;
    /// Percent of the close.
    Natr14 = "natr14", 15;
    /// Points, 0 to 100: [`Directional`](crate::directional::Directional).
    PlusDi14 = "plus_di14", 15;
    MinusDi14 = "minus_di14", 15;
    Adx14 = "adx14", 28;
    /// Price: the average of 20 and two deviations beside it, [`Averages`](crate::average::Averages).
    BbUpper20 = "bb_upper20", 20;
    BbMid20 = "bb_mid20", 20;
    BbLower20 = "bb_lower20", 20;
    /// Percent, 0 to 100: [`Stochastic`](crate::stochastic::Stochastic).
    StochK = "stoch_k", 18;
    StochD = "stoch_d", 18;
    /// Percent, 0 to 100: [`RsiPlaces::lines`](crate::stochastic::RsiPlaces::lines).
    Stochrsi1453K = "stochrsi_14_5_3_k", 21;
    Stochrsi1453D = "stochrsi_14_5_3_d", 21;
    Stochrsi14143K = "stochrsi_14_14_3_k", 30;
    Stochrsi14143D = "stochrsi_14_14_3_d", 30;
    /// [`commodity_channel`](crate::average::commodity_channel).
    Cci20 = "cci20", 20;
    /// Points, 0 to 100: [`FlowSums::money_flow_index`](crate::volume::FlowSums::money_flow_index).
    Mfi14 = "mfi14", 15;
    /// Shares: [`Volume`](crate::volume::Volume).
    Obv = "obv", 1;
    /// Percent, −100 to 0: [`Range::williams`](crate::stochastic::Range::williams).
    Willr14 = "willr14", 14;
    /// Percent: gain over 10 bars, TA-Lib `ROC`.
    Roc10 = "roc10", 11;
    /// Price difference over 10 bars, TA-Lib `MOM`.
    Mom10 = "mom10", 11;
    /// Percent: [`Trix`](crate::trix::Trix).
    Trix15 = "trix15", 44;
    Trix30 = "trix30", 89;
    /// Points, 0 to 100: [`NearRanges::ultimate_oscillator`](crate::atr::NearRanges::ultimate_oscillator).
    Ultosc71428 = "ultosc_7_14_28", 29;
    /// Percent: [`Channels::aroon`](crate::channel::Channels::aroon).
    AroonUp25 = "aroon_up25", 26;
    AroonDown25 = "aroon_down25", 26;
    Aroonosc25 = "aroonosc25", 26;
    /// Price: [`Sar`](crate::sar::Sar).
    Sar00202 = "sar_002_02", 2;
    /// Price: [`Kama`](crate::kama::Kama).
    Kama10 = "kama10", 11;
    Kama30 = "kama30", 31;
    /// Shares: [`Volume`](crate::volume::Volume).
    Ad = "ad", 1;
    Adosc310 = "adosc_3_10", 10;
    /// Percent: [`Macd::oscillator`](crate::macd::Macd::oscillator).
    Ppo1226Sma = "ppo_12_26_sma", 26;
    Ppo1226Ema = "ppo_12_26_ema", 26;
    /// Price a bar: [`slope20`](crate::average::slope20).
    LinregSlope20 = "linreg_slope20", 20;
    /// −1 to 1: [`VolumeWindow`](crate::volume::VolumeWindow).
    Cmf20 = "cmf20", 20;
    /// Price: [`VolumeWindow`](crate::volume::VolumeWindow).
    Vwap20 = "vwap20", 20;
    /// Price: highest high, their middle, lowest low of 20 bars, [`Channel`](crate::channel::Channel).
    DonchianUp20 = "donchian_up20", 20;
    DonchianMid20 = "donchian_mid20", 20;
    DonchianLo20 = "donchian_lo20", 20;
    /// Price: highest high and lowest low of 5 and of 10 bars, where trade plans put their levels.
    High5 = "high_5", 5;
    Low5 = "low_5", 5;
    High10 = "high_10", 10;
    Low10 = "low_10", 10;
    /// Price: EMA20 and two ATR10 beside it.
    KeltnerUp20 = "keltner_up20", 20;
    KeltnerMid20 = "keltner_mid20", 20;
    KeltnerLo20 = "keltner_lo20", 20;
    /// Per year: [`ReturnSums::historical_volatility`](crate::returns::ReturnSums::historical_volatility).
    Hv20 = "hv20", 21;
    /// Fraction: [`simple_return`](crate::returns::simple_return) over 1 bar, 5 bars, ….
    Ret1d = "ret_1d", 2;
    Ret5d = "ret_5d", 6;
    Ret10d = "ret_10d", 11;
    Ret21d = "ret_21d", 22;
    Ret63d = "ret_63d", 64;
    Ret126d = "ret_126d", 127;
    Ret252d = "ret_252d", 253;
    /// Fraction a year: [`ReturnSums::realised_volatilities`](crate::returns::ReturnSums::realised_volatilities).
    VolRealized10 = "vol_realized_10", 11;
    VolRealized20 = "vol_realized_20", 21;
    VolRealized60 = "vol_realized_60", 61;
    /// Fraction of the close: ATR14.
    AtrPct14 = "atr_pct_14", 15;
    /// Fraction of the close: the plain mean of 14 true ranges, `atr_pct_14` of the factors (specification §4).
    AtrPctSimple14 = "atr_pct_simple_14", 15;
    /// 1 when the average of 20 is above that of 50, else 0. The reference says 0 while one is unknown; ours is missing.
    Sma20Above50 = "sma_20_above_50", 50;
    /// Deviations: [`Averages::trend_strength50`](crate::average::Averages).
    TrendStrength50 = "trend_strength50", 50;
    /// Fraction a bar: [`AverageSums::slope`](crate::average::AverageSums::slope).
    MaSlope20 = "ma_slope_20", 39;
    /// Percent, at most 0: [`distances`](crate::channel::distances).
    PctFromHigh20 = "pct_from_high20", 20;
    /// Percent, at least 0.
    PctFromLow20 = "pct_from_low20", 20;
    /// Fraction, at most 0: from the highest close of a year.
    DistHigh252 = "dist_high252", 252;
    /// Fraction, at least 0.
    DistLow252 = "dist_low252", 252;
    /// Currency: mean of close × volume over 20 bars.
    DollarVol20 = "dollar_vol_20", 20;
    /// Ratio of close × volume to `dollar_vol_20`.
    VolSpikeRatio = "vol_spike_ratio", 20;
    /// Ratio of the volume to its mean over 20 bars.
    Rvol20 = "rvol20", 20;
    /// Fraction: [`gap`](crate::returns::gap).
    GapPct = "gap_pct", 2;
    /// Fraction: mean size of ten gaps.
    GapMean10 = "gap_mean_10", 11;
    /// Price: [`Supertrend`](crate::supertrend::Supertrend).
    Supertrend = "supertrend", 11;
    /// 1 or −1.
    SupertrendDirection = "supertrend_direction", 11;
    /// Price: [`Channel::middle`](crate::channel::Channel::middle) of 9 bars.
    IchimokuTenkan = "ichimoku_tenkan", 9;
    /// Price, of 26 bars.
    IchimokuKijun = "ichimoku_kijun", 26;
    /// Price: halfway between both, where charts draw it 26 bars later.
    IchimokuSpanA = "ichimoku_span_a", 26;
    /// Price, of 52 bars, where charts draw it 26 bars later.
    IchimokuSpanB = "ichimoku_span_b", 52;
    /// 1, 0 or −1: [`HeikinAshi`](crate::supertrend::HeikinAshi).
    HeikinAshiTrend = "heikin_ashi_trend", 1;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_column_has_one_name() {
        let plan = plan();
        assert_eq!(plan.len(), N_COLUMNS);
        assert_eq!(plan.columns().iter().collect::<BTreeSet<_>>().len(), N_COLUMNS);
        assert_eq!(plan.index_of("n_bars"), Some(Column::NBars as usize));
        assert_eq!(plan.index_of("heikin_ashi_trend"), Some(Column::HeikinAshiTrend as usize));
    }

    #[test]
    fn the_slowest_column_looks_back_a_year() {
        assert_eq!((need("ret_252d"), NEED_MAX, need("nonsense")), (Some(253), 253, None));
    }
}
