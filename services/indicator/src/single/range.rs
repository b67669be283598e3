//! Channels and deviations.

use super::{Atr, Bands, Ema, Window, check_factor, check_period, indicator, values};
use crate::ohlcv::Ohlcv;
use crate::talib::ParameterError;

/// Highest high and lowest low of `period` bars, the newest included, and their middle.
///
/// # Shape
/// One per bar; the first with bar `period`.
///
/// # Units
/// Price.
///
/// # Source
/// R. Donchian; specification §2.5. Columns `donchian_up20`, `donchian_mid20`, `donchian_lo20`.
#[derive(Debug, Clone)]
pub struct Donchian {
    highs: Window,
    lows: Window,
    newest: Option<Bands>,
}

impl Donchian {
    /// # Errors
    /// When the period is 0 or above [`WARM_UP_MAX`](crate::WARM_UP_MAX).
    pub fn new(period: usize) -> Result<Self, ParameterError> {
        let period = check_period("Donchian", "period", period, 1)?;
        Ok(Self { highs: Window::new(period), lows: Window::new(period), newest: None })
    }

    fn step(&mut self, bar: &Ohlcv) -> Option<Bands> {
        self.highs.push(bar.high);
        self.lows.push(bar.low);
        let (upper, lower) = (self.highs.highest(), self.lows.lowest());
        self.highs.is_full().then_some(Bands { upper, middle: (upper + lower) * 0.5, lower })
    }
}

indicator!(Donchian(bar: &Ohlcv) -> Bands, warm-up |own| own.highs.period());

/// Bands of so many average true ranges around an exponential average of closes.
///
/// # Shape
/// One per bar; the first with the later of bars `period` and `range_period + 1`.
///
/// # Units
/// Price.
///
/// # Source
/// C. Keltner, as changed by L. Raschke; specification §2.5: EMA 20 and two ATR 10. Columns `keltner_up20`,
/// `keltner_mid20`, `keltner_lo20`.
#[derive(Debug, Clone)]
pub struct Keltner {
    middle: Ema,
    range: Atr,
    factor: f64,
    newest: Option<Bands>,
}

impl Keltner {
    /// # Errors
    /// When [`Ema`] or [`Atr`] cannot have the period, or the factor is not above 0 and at most 1000.
    pub fn new(period: usize, range_period: usize, factor: f64) -> Result<Self, ParameterError> {
        let factor = check_factor("Keltner", "factor", factor)?;
        Ok(Self { middle: Ema::new(period)?, range: Atr::new(range_period)?, factor, newest: None })
    }

    fn step(&mut self, bar: &Ohlcv) -> Option<Bands> {
        let (middle, range) = (self.middle.update(bar.close), self.range.update(bar));
        let (middle, width) = (middle?, range? * self.factor);
        Some(Bands { upper: middle + width, middle, lower: middle - width })
    }
}

indicator!(Keltner(bar: &Ohlcv) -> Bands, warm-up |own| own.middle.warm_up().max(own.range.warm_up()));

values! {
    /// The values of [`Ichimoku`].
    IchimokuValue {
        /// Middle of the conversion period.
        tenkan 0,
        /// Middle of the base period.
        kijun 1,
        /// Halfway between both; charts draw it `base` bars later.
        span_a 2,
        /// Middle of the span period; charts draw it `base` bars later.
        span_b 3,
    }
}

/// The lines of Ichimoku: middles of three channels. Nothing is shifted.
///
/// # Shape
/// One per bar; all first with the bar of the longest period, unlike the columns, which each have their own start.
///
/// # Units
/// Price.
///
/// # Source
/// G. Hosoda (1969). Columns `ichimoku_tenkan`, `ichimoku_kijun`, `ichimoku_span_a`, `ichimoku_span_b` (9, 26, 52).
#[derive(Debug, Clone)]
pub struct Ichimoku {
    conversion: Donchian,
    base: Donchian,
    span: Donchian,
    newest: Option<IchimokuValue>,
}

impl Ichimoku {
    /// # Errors
    /// When a period is 0 or above [`WARM_UP_MAX`](crate::WARM_UP_MAX).
    pub fn new(conversion: usize, base: usize, span: usize) -> Result<Self, ParameterError> {
        let [conversion, base, span] = [("conversion", conversion), ("base", base), ("span", span)]
            .map(|(parameter, period)| check_period("Ichimoku", parameter, period, 1).and_then(Donchian::new));
        Ok(Self { conversion: conversion?, base: base?, span: span?, newest: None })
    }

    fn step(&mut self, bar: &Ohlcv) -> Option<IchimokuValue> {
        let [tenkan, kijun, span_b] =
            [&mut self.conversion, &mut self.base, &mut self.span].map(|channel| channel.update(bar));
        let (tenkan, kijun, span_b) = (tenkan?.middle, kijun?.middle, span_b?.middle);
        Some(IchimokuValue { tenkan, kijun, span_a: (tenkan + kijun) * 0.5, span_b })
    }
}

indicator!(Ichimoku(bar: &Ohlcv) -> IchimokuValue, warm-up |own| {
    own.conversion.warm_up().max(own.base.warm_up()).max(own.span.warm_up())
});

/// Sample deviation of the last `period` logarithmic returns, over a year of 252 bars.
///
/// # Shape
/// One per bar; the first with bar `period + 1`; missing where a return is undefined.
///
/// # Units
/// Per year, for daily bars.
///
/// # Source
/// Specification §2.5, `HV20`: sample deviation × √252. Column `hv20`.
#[derive(Debug, Clone)]
pub struct HistoricalVolatility {
    returns: Window,
    before: Option<f64>,
    newest: Option<f64>,
}

impl HistoricalVolatility {
    /// # Errors
    /// When the period is below 2 or above [`WARM_UP_MAX`](crate::WARM_UP_MAX).
    pub fn new(period: usize) -> Result<Self, ParameterError> {
        let period = check_period("historical volatility", "period", period, 2)?;
        Ok(Self { returns: Window::new(period), before: None, newest: None })
    }

    fn step(&mut self, number: f64) -> Option<f64> {
        const SESSIONS_PER_YEAR: f64 = 252.0;
        let before = self.before.replace(number)?;
        self.returns.push((number / before).ln());
        if !self.returns.is_full() {
            return None;
        }
        let n = self.returns.iter().len() as f64;
        // Deviations from the newest return keep the difference well conditioned.
        let newest = self.returns.newest()?;
        let (sum, squares) = self.returns.iter().fold((0.0, 0.0), |(sum, squares), number| {
            let above = number - newest;
            (sum + above, squares + above * above)
        });
        let variance = (squares - sum * sum / n) / (n - 1.0);
        Some(if variance > 0.0 { (variance * SESSIONS_PER_YEAR).sqrt() } else { variance * 0.0 })
    }
}

indicator!(HistoricalVolatility(number: f64) -> f64, warm-up |own| own.returns.period() + 1);
