//! The relative strength index, and what is made of it.

use ta_lib::abstract_api::FuncId;

use super::{StochasticValue, check_period, indicator};
use crate::talib::{Number, ParameterError, Running};

/// Relative strength index.
///
/// # Shape
/// One per bar; the first with bar `period + 1`.
///
/// # Units
/// Points, 0 to 100; 0 when the series never moved.
///
/// # Source
/// J. W. Wilder, "New Concepts in Technical Trading Systems" (1978); TA-Lib `RSI` as in its C library 0.8.1. The crate
/// `ta-lib` 0.8.3 answers 50 for a series that never moved. Column `rsi14`.
#[derive(Debug, Clone)]
pub struct Rsi {
    period: usize,
    n_changes: usize,
    /// Sums until there are `period` changes, Wilder's means from then on.
    gain: f64,
    loss: f64,
    before: Option<f64>,
    newest: Option<f64>,
}

impl Rsi {
    /// # Errors
    /// When the period is below 2 or above [`WARM_UP_MAX`](crate::WARM_UP_MAX).
    pub fn new(period: usize) -> Result<Self, ParameterError> {
        let period = check_period("RSI", "period", period, 2)?;
        Ok(Self { period, n_changes: 0, gain: 0.0, loss: 0.0, before: None, newest: None })
    }

    fn step(&mut self, number: f64) -> Option<f64> {
        let change = number - self.before.replace(number)?;
        let period = self.period as f64;
        let share = 1.0 / period;
        let mean = |level: f64, new: f64| match (self.n_changes + 1).cmp(&self.period) {
            std::cmp::Ordering::Less => level + new,
            std::cmp::Ordering::Equal => (level + new) * share,
            std::cmp::Ordering::Greater => (level * (period - 1.0) + new) * share,
        };
        self.gain = mean(self.gain, if change > 0.0 { change } else { 0.0 });
        self.loss = mean(self.loss, if change < 0.0 { -change } else { 0.0 });
        self.n_changes += 1;
        let both = self.gain + self.loss;
        let value = if both > 0.0 { self.gain / both * 100.0 } else { 0.0 };
        (self.n_changes >= self.period).then_some(value)
    }
}

indicator!(Rsi(number: f64) -> f64, warm-up |rsi| rsi.period + 1);

/// Place of the relative strength index in its own range of `stochastic` bars, and the mean of `signal` such places.
///
/// # Shape
/// One per bar; both first with bar `period + stochastic + signal − 1`.
///
/// # Units
/// Percent, 0 to 100; a range of 0 counts 0.
///
/// # Source
/// T. Chande and S. Kroll (1994); TA-Lib `STOCHRSI`: the fast line is not smoothed. Columns `stochrsi_14_5_3_k` and
/// `stochrsi_14_14_3_k`, `…_d`.
#[derive(Debug, Clone)]
pub struct StochasticRsi {
    rsi: Rsi,
    place: Running,
    newest: Option<StochasticValue>,
}

impl StochasticRsi {
    /// # Errors
    /// When [`Rsi`] or TA-Lib has no values for such a period.
    pub fn new(period: usize, stochastic: usize, signal: usize) -> Result<Self, ParameterError> {
        let simple = Number::Int(ta_lib::MAType::SMA as i32);
        let numbers = [Number::count(stochastic), Number::count(signal), simple];
        Ok(Self { rsi: Rsi::new(period)?, place: Running::of(FuncId::STOCHF, &numbers)?, newest: None })
    }

    fn step(&mut self, number: f64) -> Option<StochasticValue> {
        let rsi = self.rsi.update(number)?;
        let [k, d, ..] = self.place.update(&[rsi, rsi, rsi])?;
        Some(StochasticValue { k, d })
    }
}

indicator!(StochasticRsi(number: f64) -> StochasticValue, warm-up |own| own.rsi.warm_up() + own.place.warm_up() - 1);
