//! Stops that trail the price, and averaged bars.

use super::{Atr, check_factor, indicator, values};
use crate::ohlcv::Ohlcv;
use crate::talib::ParameterError;

values! {
    /// The values of [`Supertrend`].
    SupertrendValue {
        /// Price: the stop.
        line 0,
        /// 1 when the line is below the price, −1 above.
        direction 1,
    }

    /// A bar of [`HeikinAshi`].
    HeikinAshiBar { open 0, high 1, low 2, close 3 }
}

/// A stop that trails the middle of the bar by so many average true ranges.
///
/// # Shape
/// One per bar; the first with bar `period + 1`.
///
/// # Units
/// The line is a price; the direction 1 (up, the line is below) or −1.
///
/// # Source
/// O. Seban; as charts draw it: Wilder's ATR, bands that move towards the price only while the close before did not cross
/// them, and a downward start. Columns `supertrend`, `supertrend_direction` (10, 3).
#[derive(Debug, Clone)]
pub struct Supertrend {
    range: Atr,
    factor: f64,
    close_before: f64,
    upper: f64,
    lower: f64,
    is_up: bool,
    is_started: bool,
    newest: Option<SupertrendValue>,
}

impl Supertrend {
    /// # Errors
    /// When [`Atr`] cannot have the period, or the factor is not above 0 and at most 1000.
    pub fn new(period: usize, factor: f64) -> Result<Self, ParameterError> {
        let factor = check_factor("Supertrend", "factor", factor)?;
        let [close_before, upper, lower] = [f64::NAN; 3];
        let (is_up, is_started) = (false, false);
        Ok(Self { range: Atr::new(period)?, factor, close_before, upper, lower, is_up, is_started, newest: None })
    }

    fn step(&mut self, bar: &Ohlcv) -> Option<SupertrendValue> {
        let close_before = std::mem::replace(&mut self.close_before, bar.close);
        let width = self.range.update(bar)? * self.factor;
        let middle = (bar.high + bar.low) * 0.5;
        let (upper, lower) = (middle + width, middle - width);
        if std::mem::replace(&mut self.is_started, true) {
            if upper < self.upper || close_before > self.upper {
                self.upper = upper;
            }
            if lower > self.lower || close_before < self.lower {
                self.lower = lower;
            }
            self.is_up = if self.is_up { bar.close >= self.lower } else { bar.close > self.upper };
        } else {
            (self.upper, self.lower) = (upper, lower);
        }
        let (line, direction) = if self.is_up { (self.lower, 1.0) } else { (self.upper, -1.0) };
        Some(SupertrendValue { line, direction })
    }
}

indicator!(Supertrend(bar: &Ohlcv) -> SupertrendValue, warm-up |own| own.range.warm_up());

/// Averaged bars: the close is the mean of the four prices, the open the middle of the averaged bar before.
///
/// # Shape
/// One per bar from the first, whose open is the middle of its own open and close.
///
/// # Units
/// Price.
///
/// # Source
/// D. Valcu, "Using the Heikin-Ashi technique" (2004). The column `heikin_ashi_trend` is the sign of close less open.
#[derive(Debug, Clone, Default)]
pub struct HeikinAshi {
    next_open: Option<f64>,
    newest: Option<HeikinAshiBar>,
}

impl HeikinAshi {
    pub fn new() -> Self {
        Self::default()
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape of all formulas")]
    fn step(&mut self, bar: &Ohlcv) -> Option<HeikinAshiBar> {
        let close = (bar.open + bar.high + bar.low + bar.close) * 0.25;
        let open = self.next_open.unwrap_or((bar.open + bar.close) * 0.5);
        self.next_open = Some((open + close) * 0.5);
        let high = if open > bar.high { open } else { bar.high };
        let low = if open < bar.low { open } else { bar.low };
        Some(HeikinAshiBar { open, high, low, close })
    }
}

indicator!(HeikinAshi(bar: &Ohlcv) -> HeikinAshiBar, warm-up |_own| 1);
