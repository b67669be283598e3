//! Pure: bars in, indicator values and derived features out, bar by bar.
//!
//! [`Slot`] is the state of one symbol, [`plan`] names the columns of its [`Values`], [`IndicatorStage`] keeps a slot
//! per symbol and timeframe and decides which bar may touch it. Warm-up and undefined values are missing, never zero.

mod atr;
mod ema;
mod features;
mod macd;
mod plan;
mod ring;
mod rolling;
mod rsi;
mod slot;
mod snapshot;
mod stage;
mod values;
mod wilder;

pub use plan::plan;
pub use slot::{Slot, recompute};
pub use stage::{Dropped, IndicatorStage};
pub use values::Values;

#[cfg(test)]
mod testing;
