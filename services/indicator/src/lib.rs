//! Pure: bars in, indicator values and derived features out, bar by bar.
//!
//! [`Slot`] is the state of one symbol, [`plan`] names the columns of its [`Values`], [`IndicatorStage`] keeps a slot
//! per symbol and timeframe and decides which bar may touch it. Warm-up and undefined values are missing, never zero.

#![expect(
    clippy::inline_always,
    reason = "the bodies must be compiled inside the function that a dispatch target chose, else they miss its instructions"
)]

mod atr;
mod average;
mod builder;
mod channel;
mod directional;
mod ema;
mod engine;
mod exchange;
mod extras;
mod formula;
mod input;
mod intraday;
mod kama;
mod lane;
mod lanes;
mod macd;
mod market;
mod ohlcv;
mod plan;
mod recompute;
mod returns;
mod rsi;
mod sar;
mod single;
mod slot;
mod snapshot;
mod spec;
mod stage;
mod state;
mod stochastic;
mod supertrend;
mod talib;
mod tapes;
mod trix;
mod values;
mod volume;
mod wilder;
mod window;

pub use builder::{IndicatorOptions, IndicatorPlan, PlanBuilder, PlanErrors, PlannedSlot};
pub use market::close_all;
pub use ohlcv::Ohlcv;
pub use plan::{need, needs_range, plan};
pub use recompute::{recompute, recompute_many, recompute_rows};
pub use single::{
    AccumulationDistribution, Adx, Aroon, AroonValue, Atr, Bands, Bollinger, Cci, ChaikinOscillator, Cmf, Dema,
    Donchian, Ema, HeikinAshi, HeikinAshiBar, HistoricalVolatility, Ichimoku, IchimokuValue, Kama, Keltner,
    LinearRegressionSlope, Macd, MacdValue, Mfi, MinusDi, Momentum, Natr, Obv, ParabolicSar, PlusDi, Ppo, Roc, Rsi,
    Sma, Smoothing, Stochastic, StochasticRsi, StochasticValue, Supertrend, SupertrendValue, Tema, Trix,
    UltimateOscillator, Vwap, WilliamsR, Wma,
};
pub use slot::Slot;
pub use spec::PlanError;
pub use stage::{Dropped, IndicatorStage};
pub use talib::{ParameterError, WARM_UP_MAX};
pub use values::Values;

#[cfg(test)]
mod testing;
