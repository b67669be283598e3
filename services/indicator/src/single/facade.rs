//! The indicators that the crate `ta-lib` has: its streaming handles behind one set of methods.

use ta_lib::abstract_api::FuncId;

use super::{Output as _, indicator, values};
use crate::ohlcv::Ohlcv;
use crate::talib::{Number, ParameterError, Running};

const WITHOUT_PARAMETERS: &str = "TA-Lib has it without parameters";

/// Declares a type over a function: its parameters in the order of TA-Lib.
macro_rules! facade {
    ($(
        $(#[$meta:meta])*
        $name:ident($($parameter:ident: $type:ty),*) -> $output:ty, $id:ident of $input:ident: $taken:ty, $step:ident, $show:ident,
        [$($number:expr),*]
    )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name {
            run: Running,
        }

        impl $name {
            /// # Errors
            /// When TA-Lib has no values for such a parameter, or the warm-up exceeds
            /// [`WARM_UP_MAX`](crate::WARM_UP_MAX).
            pub fn new($($parameter: $type),*) -> Result<Self, ParameterError> {
                Ok(Self { run: Running::of(FuncId::$id, &[$($number),*])? })
            }

            /// Takes in a final bar; its value once warm. What is refused has none and changes nothing.
            pub fn update(&mut self, $input: $taken) -> Option<$output> {
                if !super::Taken::is_possible($input) {
                    return None;
                }
                self.run.$step(facade!(@input $input $step)).and_then(<$output>::from_row)
            }

            /// What [`update`](Self::update) would give. Changes nothing.
            #[must_use]
            pub fn amend(&self, $input: $taken) -> Option<$output> {
                if !super::Taken::is_possible($input) {
                    return None;
                }
                self.run.$show(facade!(@input $input $step)).and_then(<$output>::from_row)
            }

            /// That of the newest bar; `None` while warming up and where it is undefined.
            pub fn value(&self) -> Option<$output> {
                self.run.value().and_then(<$output>::from_row)
            }

            /// Bars up to the first value, that with it included.
            pub fn warm_up(&self) -> usize {
                self.run.warm_up()
            }
        }
    )* };
    (@input $input:ident update) => { &[$input] };
    (@input $input:ident update_bar) => { $input };
}

facade! {
    /// Simple moving average.
    ///
    /// # Shape
    /// One per bar; the first with bar `period`.
    ///
    /// # Units
    /// Those of the series.
    ///
    /// # Source
    /// TA-Lib `SMA`. Column `sma20`.
    Sma(period: usize) -> f64, SMA of number: f64, update, amend, [Number::count(period)]

    /// Exponential moving average.
    ///
    /// # Shape
    /// One per bar; the first with bar `period`, as the mean of those; then `e += 2 / (period + 1) · (x − e)`.
    ///
    /// # Units
    /// Those of the series.
    ///
    /// # Source
    /// TA-Lib `EMA`, classic. Column `ema21`.
    Ema(period: usize) -> f64, EMA of number: f64, update, amend, [Number::count(period)]

    /// Weighted moving average: weights 1 to `period`, the newest counts most.
    ///
    /// # Shape
    /// One per bar; the first with bar `period`.
    ///
    /// # Units
    /// Those of the series.
    ///
    /// # Source
    /// TA-Lib `WMA`.
    Wma(period: usize) -> f64, WMA of number: f64, update, amend, [Number::count(period)]

    /// Double exponential moving average.
    ///
    /// # Shape
    /// One per bar; the first with bar `2 · period − 1`.
    ///
    /// # Units
    /// Those of the series.
    ///
    /// # Source
    /// P. Mulloy, "Smoothing Data with Faster Moving Averages" (1994); TA-Lib `DEMA`.
    Dema(period: usize) -> f64, DEMA of number: f64, update, amend, [Number::count(period)]

    /// Triple exponential moving average.
    ///
    /// # Shape
    /// One per bar; the first with bar `3 · period − 2`.
    ///
    /// # Units
    /// Those of the series.
    ///
    /// # Source
    /// P. Mulloy (1994); TA-Lib `TEMA`.
    Tema(period: usize) -> f64, TEMA of number: f64, update, amend, [Number::count(period)]

    /// Kaufman's adaptive moving average.
    ///
    /// # Shape
    /// One per bar; the first with bar `period + 1`.
    ///
    /// # Units
    /// Those of the series.
    ///
    /// # Source
    /// P. Kaufman, "Smarter Trading" (1995); TA-Lib `KAMA`. Column `kama10`.
    Kama(period: usize) -> f64, KAMA of number: f64, update, amend, [Number::count(period)]

    /// Difference to the number `period` bars before.
    ///
    /// # Shape
    /// One per bar; the first with bar `period + 1`.
    ///
    /// # Units
    /// Those of the series.
    ///
    /// # Source
    /// TA-Lib `MOM`. Column `mom10`.
    Momentum(period: usize) -> f64, MOM of number: f64, update, amend, [Number::count(period)]

    /// Rate of change: the gain over `period` bars.
    ///
    /// # Shape
    /// One per bar; the first with bar `period + 1`.
    ///
    /// # Units
    /// Percent.
    ///
    /// # Source
    /// TA-Lib `ROC`; 0 where the older number is 0. Column `roc10`.
    Roc(period: usize) -> f64, ROC of number: f64, update, amend, [Number::count(period)]

    /// Gain of an average of averages of averages over one bar.
    ///
    /// # Shape
    /// One per bar; the first with bar `3 · (period − 1) + 2`.
    ///
    /// # Units
    /// Percent.
    ///
    /// # Source
    /// J. Hutson (1983); TA-Lib `TRIX`. Column `trix15`.
    Trix(period: usize) -> f64, TRIX of number: f64, update, amend, [Number::count(period)]

    /// Slope of the straight line through the last `period` numbers, by least squares.
    ///
    /// # Shape
    /// One per bar; the first with bar `period`.
    ///
    /// # Units
    /// Those of the series, a bar.
    ///
    /// # Source
    /// TA-Lib `LINEARREG_SLOPE`. Column `linreg_slope20`.
    LinearRegressionSlope(period: usize) -> f64, LINEARREG_SLOPE of number: f64, update, amend, [Number::count(period)]

    /// How far a fast average is above a slow one.
    ///
    /// # Shape
    /// One per bar; the first with bar `slow`.
    ///
    /// # Units
    /// Percent of the slow average.
    ///
    /// # Source
    /// TA-Lib `PPO`, whose own default are simple averages; each average has its own seed. Columns `ppo_12_26_sma`,
    /// `ppo_12_26_ema`.
    Ppo(fast: usize, slow: usize, smoothing: Smoothing) -> f64, PPO of number: f64, update, amend,
    [Number::count(fast), Number::count(slow), smoothing.number()]

    /// Moving average convergence and divergence: a fast average less a slow one, an average of that (the signal), and
    /// the difference of both.
    ///
    /// # Shape
    /// One per bar; the first with bar `slow + signal − 1`. The fast average is seeded so that both start with bar `slow`.
    ///
    /// # Units
    /// Those of the series.
    ///
    /// # Source
    /// G. Appel; TA-Lib `MACD`, which swaps the periods when the fast one is the longer. Columns `macd…`.
    Macd(fast: usize, slow: usize, signal: usize) -> MacdValue, MACD of number: f64, update, amend,
    [Number::count(fast), Number::count(slow), Number::count(signal)]

    /// Bands of so many population deviations around a simple average.
    ///
    /// # Shape
    /// One per bar; the first with bar `period`.
    ///
    /// # Units
    /// Those of the series.
    ///
    /// # Source
    /// J. Bollinger; TA-Lib `BBANDS`. Columns `bb_upper20`, `bb_mid20`, `bb_lower20`.
    Bollinger(period: usize, deviations: f64) -> Bands, BBANDS of number: f64, update, amend,
    [Number::count(period), Number::Real(deviations), Number::Real(deviations), Smoothing::Simple.number()]

    /// Average true range.
    ///
    /// # Shape
    /// One per bar; the first with bar `period + 1`.
    ///
    /// # Units
    /// Price.
    ///
    /// # Source
    /// J. W. Wilder, "New Concepts in Technical Trading Systems" (1978); TA-Lib `ATR`. Column `atr14`.
    Atr(period: usize) -> f64, ATR of bar: &Ohlcv, update_bar, amend_bar, [Number::count(period)]

    /// Average true range over the close.
    ///
    /// # Shape
    /// One per bar; the first with bar `period + 1`.
    ///
    /// # Units
    /// Percent of the close.
    ///
    /// # Source
    /// J. Forman (2006); TA-Lib `NATR`. Column `natr14`.
    Natr(period: usize) -> f64, NATR of bar: &Ohlcv, update_bar, amend_bar, [Number::count(period)]

    /// Average directional index.
    ///
    /// # Shape
    /// One per bar; the first with bar `2 · period`.
    ///
    /// # Units
    /// Points, 0 to 100.
    ///
    /// # Source
    /// J. W. Wilder (1978); TA-Lib `ADX`. Column `adx14`.
    Adx(period: usize) -> f64, ADX of bar: &Ohlcv, update_bar, amend_bar, [Number::count(period)]

    /// Directional indicator of rises.
    ///
    /// # Shape
    /// One per bar; the first with bar `period + 1`.
    ///
    /// # Units
    /// Points, 0 to 100.
    ///
    /// # Source
    /// J. W. Wilder (1978); TA-Lib `PLUS_DI`. Column `plus_di14`.
    PlusDi(period: usize) -> f64, PLUS_DI of bar: &Ohlcv, update_bar, amend_bar, [Number::count(period)]

    /// Directional indicator of falls.
    ///
    /// # Shape
    /// One per bar; the first with bar `period + 1`.
    ///
    /// # Units
    /// Points, 0 to 100.
    ///
    /// # Source
    /// J. W. Wilder (1978); TA-Lib `MINUS_DI`. Column `minus_di14`.
    MinusDi(period: usize) -> f64, MINUS_DI of bar: &Ohlcv, update_bar, amend_bar, [Number::count(period)]

    /// Place of the close in the range of `period` bars: the mean of `smoothing` places, and the mean of `signal` such
    /// means.
    ///
    /// # Shape
    /// One per bar; both first with bar `period + smoothing + signal − 2`.
    ///
    /// # Units
    /// Percent, 0 to 100; a range of 0 counts 0.
    ///
    /// # Source
    /// G. Lane; TA-Lib `STOCH` with simple averages. Columns `stoch_k`, `stoch_d` (14, 3, 3).
    Stochastic(period: usize, smoothing: usize, signal: usize) -> StochasticValue, STOCH of bar: &Ohlcv, update_bar, amend_bar,
    [
        Number::count(period),
        Number::count(smoothing),
        Smoothing::Simple.number(),
        Number::count(signal),
        Smoothing::Simple.number()
    ]

    /// Commodity channel index.
    ///
    /// # Shape
    /// One per bar; the first with bar `period`.
    ///
    /// # Units
    /// Mean deviations of the typical price over 0.015; 0 where there is none.
    ///
    /// # Source
    /// D. Lambert (1980); TA-Lib `CCI`. Column `cci20`.
    Cci(period: usize) -> f64, CCI of bar: &Ohlcv, update_bar, amend_bar, [Number::count(period)]

    /// Williams %R: how far the close is below the high of `period` bars.
    ///
    /// # Shape
    /// One per bar; the first with bar `period`.
    ///
    /// # Units
    /// Percent of the range, −100 to 0; 0 where the range is 0.
    ///
    /// # Source
    /// L. Williams; TA-Lib `WILLR`. Column `willr14`.
    WilliamsR(period: usize) -> f64, WILLR of bar: &Ohlcv, update_bar, amend_bar, [Number::count(period)]

    /// Parabolic stop and reverse.
    ///
    /// # Shape
    /// One per bar; the first with bar 2.
    ///
    /// # Units
    /// Price.
    ///
    /// # Source
    /// J. W. Wilder (1978); TA-Lib `SAR`. Column `sar_002_02`.
    ParabolicSar(acceleration: f64, maximum: f64) -> f64, SAR of bar: &Ohlcv, update_bar, amend_bar,
    [Number::Real(acceleration), Number::Real(maximum)]

    /// Ultimate oscillator: buying pressure over true range of three periods, weighted 4, 2, 1.
    ///
    /// # Shape
    /// One per bar; the first with the bar after the longest period.
    ///
    /// # Units
    /// Points, 0 to 100; a period without any range counts 0.
    ///
    /// # Source
    /// L. Williams (1985); TA-Lib `ULTOSC`. Column `ultosc_7_14_28`.
    UltimateOscillator(first: usize, second: usize, third: usize) -> f64, ULTOSC of bar: &Ohlcv, update_bar, amend_bar,
    [Number::count(first), Number::count(second), Number::count(third)]

    /// A fast average of [`AccumulationDistribution`] less a slow one.
    ///
    /// # Shape
    /// One per bar; the first with bar `slow`. Both averages start as the first value.
    ///
    /// # Units
    /// Shares.
    ///
    /// # Source
    /// M. Chaikin; TA-Lib `ADOSC`. Column `adosc_3_10`.
    ChaikinOscillator(fast: usize, slow: usize) -> f64, ADOSC of bar: &Ohlcv, update_bar, amend_bar,
    [Number::count(fast), Number::count(slow)]
}

/// The average that an indicator is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smoothing {
    Simple,
    Exponential,
}

impl Smoothing {
    fn number(self) -> Number {
        Number::Int(match self {
            Self::Simple => ta_lib::MAType::SMA as i32,
            Self::Exponential => ta_lib::MAType::EMA as i32,
        })
    }
}

values! {
    /// The values of [`Macd`].
    MacdValue { line 0, signal 1, histogram 2 }

    /// Two lines and their middle.
    Bands { upper 0, middle 1, lower 2 }

    /// The values of [`Stochastic`] and [`StochasticRsi`](crate::StochasticRsi).
    StochasticValue { k 0, d 1 }

    /// The values of [`Aroon`].
    AroonValue { up 0, down 1, oscillator 2 }
}

/// How recent the extremes of the last `period + 1` bars are: up, down, and their difference.
///
/// # Shape
/// One per bar; the first with bar `period + 1`.
///
/// # Units
/// Percent: 100 when the newest bar is the extreme, 0 when it is `period` bars old; of equal extremes the newest counts.
///
/// # Source
/// T. Chande (1995); TA-Lib `AROON`, `AROONOSC`. Columns `aroon_up25`, `aroon_down25`, `aroonosc25`.
#[derive(Debug, Clone)]
pub struct Aroon {
    run: Running,
    newest: Option<AroonValue>,
}

impl Aroon {
    /// # Errors
    /// When TA-Lib has no values for such a period.
    pub fn new(period: usize) -> Result<Self, ParameterError> {
        Ok(Self { run: Running::of(FuncId::AROON, &[Number::count(period)])?, newest: None })
    }

    fn step(&mut self, bar: &Ohlcv) -> Option<AroonValue> {
        let [down, up, ..] = self.run.update_bar(bar)?;
        Some(AroonValue { up, down, oscillator: up - down })
    }
}

indicator!(Aroon(bar: &Ohlcv) -> AroonValue, warm-up |aroon| aroon.run.warm_up());

/// Accumulation and distribution: volume by where the close stands in its bar, added up.
///
/// # Shape
/// One per bar from the first. The level depends on the bar where it starts.
///
/// # Units
/// Shares.
///
/// # Source
/// M. Chaikin; TA-Lib `AD`. Column `ad`.
#[derive(Debug, Clone)]
pub struct AccumulationDistribution {
    run: Running,
    newest: Option<f64>,
}

impl AccumulationDistribution {
    /// # Panics
    /// Never: TA-Lib has it without parameters.
    pub fn new() -> Self {
        Self { run: Running::of(FuncId::AD, &[]).expect(WITHOUT_PARAMETERS), newest: None }
    }

    fn step(&mut self, bar: &Ohlcv) -> Option<f64> {
        self.run.update_bar(bar).and_then(f64::from_row)
    }
}

impl Default for AccumulationDistribution {
    fn default() -> Self {
        Self::new()
    }
}

indicator!(AccumulationDistribution(bar: &Ohlcv) -> f64, warm-up |_own| 1);

/// On-balance volume: the volume of rising closes less that of falling ones.
///
/// # Shape
/// One per bar from the first, which counts its own volume. The level depends on the bar where it starts.
///
/// # Units
/// Shares.
///
/// # Source
/// J. Granville (1963); TA-Lib `OBV`. Column `obv`.
#[derive(Debug, Clone)]
pub struct Obv {
    run: Running,
}

impl Default for Obv {
    fn default() -> Self {
        Self::new()
    }
}

impl Obv {
    /// # Panics
    /// Never: TA-Lib has it without parameters.
    pub fn new() -> Self {
        Self { run: Running::of(FuncId::OBV, &[]).expect(WITHOUT_PARAMETERS) }
    }

    /// Takes in a final bar; its value. What is refused has none and changes nothing.
    pub fn update(&mut self, close: f64, volume: f64) -> Option<f64> {
        self.run.update(&[close, volume]).and_then(f64::from_row)
    }

    /// What [`update`](Self::update) would give. Changes nothing.
    #[must_use]
    pub fn amend(&self, close: f64, volume: f64) -> Option<f64> {
        self.run.amend(&[close, volume]).and_then(f64::from_row)
    }

    /// That of the newest bar; `None` before the first.
    pub fn value(&self) -> Option<f64> {
        self.run.value().and_then(f64::from_row)
    }

    /// Bars up to the first value: one.
    pub fn warm_up(&self) -> usize {
        self.run.warm_up()
    }
}
