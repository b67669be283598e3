//! Indicators that weigh by volume.

use super::{Window, check_period, indicator};
use crate::ohlcv::Ohlcv;
use crate::talib::ParameterError;

/// Money flow index: the share of what flowed at rising typical prices in the last `period` changes.
///
/// # Shape
/// One per bar; the first with bar `period + 1`.
///
/// # Units
/// Points, 0 to 100; 0 where less than one unit of currency flowed.
///
/// # Source
/// G. Quong and A. Soudack (1989); TA-Lib `MFI` as in its C library 0.8.1. Prices that differ by rounding alone are equal,
/// as in its newer versions. Column `mfi14`.
#[derive(Debug, Clone)]
pub struct Mfi {
    up: Window,
    down: Window,
    /// Typical prices are sums of three prices here.
    before: Option<f64>,
    newest: Option<f64>,
}

impl Mfi {
    /// # Errors
    /// When the period is below 2 or above [`WARM_UP_MAX`](crate::WARM_UP_MAX).
    pub fn new(period: usize) -> Result<Self, ParameterError> {
        let period = check_period("MFI", "period", period, 2)?;
        Ok(Self { up: Window::new(period), down: Window::new(period), before: None, newest: None })
    }

    fn step(&mut self, bar: &Ohlcv) -> Option<f64> {
        /// A change of less, relative to both prices, is rounding.
        const NOISE: f64 = 1e-14;
        const N_PRICES: f64 = 3.0;
        let now = bar.high + bar.low + bar.close;
        let before = self.before.replace(now)?;
        let noise = (now + before) * NOISE;
        let flow = now * bar.volume;
        self.up.push(if now - before > noise { flow } else { 0.0 });
        self.down.push(if before - now > noise { flow } else { 0.0 });
        let (up, both) = (self.up.sum(), self.up.sum() + self.down.sum());
        let value = if both < N_PRICES { 0.0 } else { up / both * 100.0 };
        self.up.is_full().then_some(value)
    }
}

indicator!(Mfi(bar: &Ohlcv) -> f64, warm-up |mfi| mfi.up.period() + 1);

/// Chaikin money flow: the volume of `period` bars by where each close stands in its bar.
///
/// # Shape
/// One per bar; the first with bar `period`; missing where nothing was traded.
///
/// # Units
/// −1 to 1.
///
/// # Source
/// M. Chaikin; specification §2.5: `Σ place · V / Σ V`, a bar without range counts 0. Column `cmf20`.
#[derive(Debug, Clone)]
pub struct Cmf {
    flows: Window,
    volumes: Window,
    newest: Option<f64>,
}

impl Cmf {
    /// # Errors
    /// When the period is 0 or above [`WARM_UP_MAX`](crate::WARM_UP_MAX).
    pub fn new(period: usize) -> Result<Self, ParameterError> {
        let period = check_period("CMF", "period", period, 1)?;
        Ok(Self { flows: Window::new(period), volumes: Window::new(period), newest: None })
    }

    fn step(&mut self, bar: &Ohlcv) -> Option<f64> {
        let range = bar.high - bar.low;
        let place = if range > 0.0 { ((bar.close - bar.low) - (bar.high - bar.close)) / range } else { 0.0 };
        self.flows.push(place * bar.volume);
        self.volumes.push(bar.volume);
        self.flows.is_full().then(|| self.flows.sum() / self.volumes.sum())
    }
}

indicator!(Cmf(bar: &Ohlcv) -> f64, warm-up |cmf| cmf.flows.period());

/// Mean of the typical price of `period` bars, weighted by volume.
///
/// # Shape
/// One per bar; the first with bar `period`; missing where nothing was traded.
///
/// # Units
/// Price.
///
/// # Source
/// Specification §2.5: `Σ tp · V / Σ V`. Column `vwap20`. Those that start with the session or at a time are
/// [columns of a plan](crate::PlanBuilder::extra).
#[derive(Debug, Clone)]
pub struct Vwap {
    flows: Window,
    volumes: Window,
    newest: Option<f64>,
}

impl Vwap {
    /// # Errors
    /// When the period is 0 or above [`WARM_UP_MAX`](crate::WARM_UP_MAX).
    pub fn new(period: usize) -> Result<Self, ParameterError> {
        let period = check_period("VWAP", "period", period, 1)?;
        Ok(Self { flows: Window::new(period), volumes: Window::new(period), newest: None })
    }

    fn step(&mut self, bar: &Ohlcv) -> Option<f64> {
        self.flows.push(bar.typical() * bar.volume);
        self.volumes.push(bar.volume);
        self.flows.is_full().then(|| self.flows.sum() / self.volumes.sum())
    }
}

indicator!(Vwap(bar: &Ohlcv) -> f64, warm-up |vwap| vwap.flows.period());
