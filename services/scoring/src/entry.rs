use schemas::{Bar, BarFlags, EventTime, FeatureBatch, Plan, Predictions, Symbol};
use serde::{Deserialize, Serialize};

use crate::alpha_blend::blend_horizons;
use crate::facts::Facts;
use crate::tech_rating::{self, Signal, Subscores, TechInputs, TechRating, Weights};
use crate::trade_plan::Structure;

/// The band of `bb_upper20`.
const BAND_PERIOD: f64 = 20.0;
const BAND_DEVIATIONS: f64 = 2.0;

/// Lists the columns once: as names, and by their place in a plan.
macro_rules! feature_columns {
    ($n:literal: $($name:ident),+ $(,)?) => {
        /// The feature columns that scoring reads, by name.
        pub const FEATURE_COLUMNS: [&str; $n] = [$(stringify!($name)),+];

        /// The feature columns that scoring reads, by their place in the plan.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct FeatureColumns {
            $($name: usize),+
        }

        impl FeatureColumns {
            pub(crate) fn of(plan: &Plan) -> Result<Self, MissingColumn> {
                let column = |name| plan.index_of(name).ok_or(MissingColumn(name));
                Ok(Self { $($name: column(stringify!($name))?),+ })
            }
        }
    };
}

feature_columns!(16: n_bars, sma20, sma50, sma200, rsi14, macd_hist, pct_from_high20, vol_spike_ratio, atr_pct_14, ret_5d,
    dollar_vol_20, bb_upper20, high_5, low_5, high_10, low_10);

/// The plan lacks a column that scoring reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the feature plan has no column `{0}`, which scoring reads")]
pub struct MissingColumn(pub &'static str);

/// What arrived for one symbol: everything else about it follows from this.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct RowInputs {
    pub(crate) symbol: Symbol,
    pub(crate) open_time: EventTime,
    pub(crate) revision: u32,
    flags: u8,
    pub(crate) open: f64,
    /// `None` for a bar that is no more than a close.
    pub(crate) range: Option<(f64, f64)>,
    pub(crate) close: f64,
    volume: f64,
    pub(crate) n_bars: u32,
    pub(crate) sma20: Option<f64>,
    sma50: Option<f64>,
    sma200: Option<f64>,
    rsi14: Option<f64>,
    macd_hist: Option<f64>,
    pct_from_high20: Option<f64>,
    vol_spike_ratio: Option<f64>,
    atr_pct_14: Option<f64>,
    ret_5d: Option<f64>,
    pub(crate) dollar_vol_20: Option<f64>,
    bb_upper20: Option<f64>,
    high_5: Option<f64>,
    low_5: Option<f64>,
    high_10: Option<f64>,
    low_10: Option<f64>,
    pub(crate) alpha_5d: Option<f64>,
    pub(crate) alpha_10d: Option<f64>,
    pub(crate) win_prob_10d: Option<f64>,
}

impl RowInputs {
    pub(crate) fn new(
        columns: &FeatureColumns,
        features: &FeatureBatch,
        row: usize,
        symbol_and_bar: (Symbol, Bar),
        predictions: Predictions,
    ) -> Self {
        Self::of(columns, |column| features.value(row, column), symbol_and_bar, predictions)
    }

    /// From a bar and its columns, by their place in the plan.
    pub(crate) fn of(
        columns: &FeatureColumns,
        feature: impl Fn(usize) -> Option<f64>,
        (symbol, bar): (Symbol, Bar),
        predictions: Predictions,
    ) -> Self {
        Self {
            symbol,
            open_time: bar.open_time,
            revision: bar.revision,
            flags: bar.flags.bits(),
            open: bar.open,
            range: (!bar.flags.contains(BarFlags::CLOSE_ONLY)).then_some((bar.low, bar.high)),
            close: bar.close,
            volume: bar.volume,
            n_bars: feature(columns.n_bars).map_or(0, count),
            sma20: feature(columns.sma20),
            sma50: feature(columns.sma50),
            sma200: feature(columns.sma200),
            rsi14: feature(columns.rsi14),
            macd_hist: feature(columns.macd_hist),
            pct_from_high20: feature(columns.pct_from_high20),
            vol_spike_ratio: feature(columns.vol_spike_ratio),
            atr_pct_14: feature(columns.atr_pct_14),
            ret_5d: feature(columns.ret_5d),
            dollar_vol_20: feature(columns.dollar_vol_20),
            bb_upper20: feature(columns.bb_upper20),
            high_5: feature(columns.high_5),
            low_5: feature(columns.low_5),
            high_10: feature(columns.high_10),
            low_10: feature(columns.low_10),
            alpha_5d: predictions.alpha_5d,
            alpha_10d: predictions.alpha_10d,
            win_prob_10d: predictions.win_prob_10d,
        }
    }

    /// A bar replaces another when it is later, or a newer revision of the same.
    pub(crate) fn position(&self) -> (EventTime, u32) {
        (self.open_time, self.revision)
    }

    /// Prices where the market turned lately.
    pub(crate) fn structure(&self) -> Structure {
        Structure {
            swing_low_10: self.low_10,
            swing_high_10: self.high_10,
            recent_low_5: self.low_5,
            recent_high_5: self.high_5,
            ma_20: self.sma20,
        }
    }

    /// Sample deviation of 20 closes over their mean, from the Bollinger band, which has the population's.
    pub(crate) fn close_variation(&self) -> Option<f64> {
        let (upper, mean) = self.bb_upper20.zip(self.sma20)?;
        Some((upper - mean) / BAND_DEVIATIONS * (BAND_PERIOD / (BAND_PERIOD - 1.0)).sqrt() / mean)
    }

    pub(crate) fn flags(&self) -> BarFlags {
        BarFlags::from_bits(self.flags).unwrap_or_default()
    }
}

/// One symbol's inputs with what follows from them alone, without looking at other symbols.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) inputs: RowInputs,
    pub(crate) facts: Facts,
    pub(crate) tech: TechRating,
    pub(crate) subscores: Subscores,
    pub(crate) signal: Signal,
    pub(crate) atr_pct: Option<f64>,
    /// USD traded in the newest bar.
    pub(crate) dollar_volume: f64,
    /// The number that the liquidity percentile ranks by (specification §9 and §11).
    pub(crate) log_dollar_volume: f64,
    /// The forward return that ranks the row, blended from both horizons.
    pub(crate) alpha: Option<f64>,
}

impl Entry {
    /// A newer bar of the symbol, while its facts stay what they are.
    pub(crate) fn update(&mut self, inputs: &RowInputs) {
        let facts = std::mem::take(&mut self.facts);
        *self = Self::new(inputs, facts);
    }

    pub(crate) fn new(inputs: &RowInputs, facts: Facts) -> Self {
        let tech_inputs = TechInputs {
            close: Some(inputs.close),
            sma_20: inputs.sma20,
            sma_50: inputs.sma50,
            sma_200: inputs.sma200,
            rsi_14: inputs.rsi14,
            macd_hist: inputs.macd_hist,
            pct_from_high20: inputs.pct_from_high20,
            vol_spike_ratio: inputs.vol_spike_ratio,
            atr_pct_14: inputs.atr_pct_14,
            ret_5d: inputs.ret_5d,
        };
        let subscores = Subscores::new(&tech_inputs);
        let tech = tech_rating::tech_rating(&subscores, &Weights::default());
        let dollar_volume = inputs.close * inputs.volume;
        Self {
            tech,
            signal: tech_rating::signal(tech.rating, subscores.trend, subscores.momentum),
            subscores,
            atr_pct: inputs.atr_pct_14,
            dollar_volume,
            log_dollar_volume: dollar_volume.max(1.0).log10(),
            alpha: blend_horizons(inputs.alpha_5d, inputs.alpha_10d),
            inputs: *inputs,
            facts,
        }
    }
}

/// A count that travelled as a number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and a count is neither")]
fn count(value: f64) -> u32 {
    value as u32
}
