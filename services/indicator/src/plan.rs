use schemas::Plan;

/// The columns that this crate computes, in the order of [`Values`](crate::Values).
///
/// # Shape
/// One value per bar and column; a column is missing until its warm-up is over.
pub fn plan() -> Plan {
    Plan::new(NAMES.iter().copied())
}

/// Names the columns once, so that neither a name nor a value can be in the wrong place.
macro_rules! columns {
    ($($(#[$doc:meta])* $column:ident = $name:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Column {
            $($(#[$doc])* $column,)*
        }

        pub(crate) const NAMES: &[&str] = &[$($name),*];
    };
}

pub(crate) const N_COLUMNS: usize = NAMES.len();

columns! {
    /// Bars of the current segment including this one.
    NBars = "n_bars",
    /// Price: [`rolling::mean`](crate::rolling::mean) of 20 closes.
    Sma20 = "sma20",
    /// Price: mean of 50 closes.
    Sma50 = "sma50",
    /// Price: mean of 200 closes.
    Sma200 = "sma200",
    /// Points, 0 to 100: [`Rsi`](crate::rsi::Rsi).
    Rsi14 = "rsi14",
    /// Price difference: [`Macd`](crate::macd::Macd).
    Macd = "macd",
    /// Price difference.
    MacdSignal = "macd_signal",
    /// Price difference.
    MacdHist = "macd_hist",
    /// Price: [`Atr`](crate::atr::Atr).
    Atr14 = "atr14",
    /// Fraction: [`features::simple_return`](crate::features::simple_return) over 1 bar.
    Ret1d = "ret_1d",
    /// Fraction, over 5 bars.
    Ret5d = "ret_5d",
    /// Fraction, over 21 bars.
    Ret21d = "ret_21d",
    /// Fraction a year: [`features::realised_volatility`](crate::features::realised_volatility).
    VolRealized20 = "vol_realized_20",
    /// Fraction of the close: ATR14 / close.
    AtrPct14 = "atr_pct_14",
    /// 1 or 0: [`features::is_above`](crate::features::is_above) of the two averages.
    Sma20Above50 = "sma_20_above_50",
    /// Percent, at most 0: [`features::percent_from_high`](crate::features::percent_from_high).
    PctFromHigh20 = "pct_from_high20",
    /// Currency: mean of close × volume over 20 bars.
    DollarVol20 = "dollar_vol_20",
    /// Ratio of close × volume to `dollar_vol_20`.
    VolSpikeRatio = "vol_spike_ratio",
    /// Fraction: mean of [`features::gap`](crate::features::gap) over 10 bars.
    GapMean10 = "gap_mean_10",
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
        assert_eq!(plan.index_of("gap_mean_10"), Some(Column::GapMean10 as usize));
    }
}
