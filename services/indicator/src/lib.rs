//! Pure: bars in, indicator values and derived features out, bar by bar. No I/O, no clock, no threads of its own.
//!
//! | you have | you use |
//! |---|---|
//! | one series, one indicator, a period of your choice | [`Rsi`], [`Macd`], [`Bollinger`] and the other single types |
//! | one symbol, all columns | [`Slot`] |
//! | one symbol, columns of your choice | [`PlanBuilder`], [`IndicatorPlan`], [`PlannedSlot`] |
//! | all bars of many symbols at once | [`recompute_columns`], [`recompute_rows`], [`recompute_many`], side by side in SIMD lanes |
//! | a forming or a final bar for each of many symbols | [`amend_all`], [`close_all`] |
//! | some columns only, whichever of these | [`Selection`] |
//! | a stream of bar batches, late rows, restarts | [`IndicatorStage`] |
//!
//! The rules are the same everywhere. A final bar is closed, a forming one is amended: that shows what closing it would
//! give and changes nothing. Warm-up and undefined values are missing, never zero. A bar that cannot be (see
//! [`Bar::check`](schemas::Bar::check)) is refused and leaves no trace. The same bars give the same bits, alone or beside
//! others, on every processor, before and after a restart; only functions of TA-Lib that take sines or logarithms may
//! differ between machines in their last bits.
//!
//! [`plan`] names the native columns, which a SIMD engine computes; `docs/indicators.md` lists them with their sources, and
//! everything else that a plan can be asked for. Conventions are TA-Lib's, unstable period 0.
//!
//! ```
//! use indicator::{Ohlcv, Rsi, Supertrend};
//!
//! let mut rsi = Rsi::new(3)?;
//! assert_eq!(rsi.warm_up(), 4);
//! for close in [10.0, 11.0, 10.5] {
//!     assert_eq!(rsi.update(close), None);
//! }
//! assert_eq!(rsi.amend(11.0), Some(75.0)); // a forming bar: nothing is committed
//! assert_eq!(rsi.update(11.0), Some(75.0));
//! assert_eq!(rsi.update(f64::NAN), None); // refused
//! assert_eq!(rsi.value(), Some(75.0));
//!
//! let mut trend = Supertrend::new(1, 3.0)?;
//! trend.update(&Ohlcv::new(10.0, 11.0, 9.0, 10.5, 1e6));
//! let value = trend.update(&Ohlcv::new(10.5, 12.0, 10.0, 11.5, 2e6)).expect("it is warm");
//! assert_eq!((value.line, value.direction), (17.0, -1.0));
//! # Ok::<(), indicator::ParameterError>(())
//! ```

#![expect(
    clippy::inline_always,
    reason = "the bodies must be compiled inside the function that a dispatch target chose, else they miss its instructions"
)]

mod atr;
mod average;
mod builder;
mod catalogue;
mod channel;
mod columns;
mod directional;
mod ema;
mod engine;
mod exact;
mod extras;
mod figure;
mod formula;
mod group;
mod input;
mod intraday;
mod kama;
mod lane;
mod lanes;
mod logarithm;
mod macd;
mod market;
mod ohlcv;
mod plan;
mod recompute;
mod returns;
mod rsi;
mod sar;
mod selection;
mod single;
mod slot;
mod snapshot;
mod spec;
mod spread;
mod stage;
mod state;
mod stochastic;
mod supertrend;
mod talib;
mod tapes;
mod target;
mod terms;
mod trix;
mod values;
mod volume;
mod wilder;
mod window;
mod windows;

pub use builder::{IndicatorOptions, IndicatorPlan, PlanBuilder, PlanErrors, PlannedSlot};
pub use catalogue::{Entry, catalogue, refused_functions};
pub use market::{amend_all, close_all};
pub use ohlcv::Ohlcv;
pub use plan::{need, needs_range, plan};
pub use recompute::{recompute, recompute_columns, recompute_many, recompute_newest, recompute_rows};
pub use selection::Selection;
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
pub use target::{Target, TargetError};
pub use values::{ColumnBlock, Row, Values};

#[cfg(test)]
mod testing;
