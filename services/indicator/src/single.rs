//! One indicator at a time, with its parameters given at run time.
//!
//! Each type has the same four methods: `update` takes in a final bar, `amend` shows what `update` would give and changes
//! nothing, `value` is the newest value, `warm_up` the number of bars up to the first one. What is not finite or cannot be
//! a bar (see [`Ohlcv::is_possible`](crate::Ohlcv::is_possible)) is refused: there is no value for it, and the state stays
//! as it is. An undefined value is missing, never zero or NaN. A clone is a snapshot.
//!
//! The first value comes with bar [`warm_up`](Sma::warm_up); an average that never forgets has its first value then, not
//! its final one: its seed fades with every bar.
//!
//! Where TA-Lib has the indicator, the numbers are those of the crate `ta-lib` to the bit, except for [`Rsi`] and [`Mfi`],
//! whose numbers where nothing moves are those of its C library 0.8.1, as in the columns of [`plan`](crate::plan()).

use crate::ohlcv::{Field, Ohlcv};
use crate::talib::{ParameterError, Row};

mod facade;
mod money;
mod range;
mod strength;
mod trend;

pub use facade::*;
pub use money::*;
pub use range::*;
pub use strength::*;
pub use trend::*;

/// What an indicator gives for a bar, as numbers.
pub(crate) trait Output: Copy {
    fn from_row(row: Row) -> Option<Self>;
    fn to_row(self) -> Row;
}

impl Output for f64 {
    fn from_row(row: Row) -> Option<Self> {
        row[0].is_finite().then_some(row[0])
    }

    fn to_row(self) -> Row {
        [self, f64::NAN, f64::NAN, f64::NAN]
    }
}

/// Declares the values of an indicator that has several.
macro_rules! values {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident $at:literal),+ $(,)? })*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: f64,)+
        }

        impl $crate::single::Output for $name {
            fn from_row(row: $crate::talib::Row) -> Option<Self> {
                let is_whole = [$(row[$at]),+].iter().all(|number| number.is_finite());
                is_whole.then_some(Self { $($field: row[$at],)+ })
            }

            fn to_row(self) -> $crate::talib::Row {
                let mut row = [f64::NAN; $crate::talib::N_OUTPUTS_MAX];
                $(row[$at] = self.$field;)+
                row
            }
        }
    )* };
}
pub(crate) use values;

/// What an indicator takes: a number or a bar.
pub(crate) trait Taken: Copy {
    fn is_possible(self) -> bool;
}

impl Taken for f64 {
    fn is_possible(self) -> bool {
        self.is_finite()
    }
}

impl Taken for &Ohlcv {
    fn is_possible(self) -> bool {
        Ohlcv::is_possible(self)
    }
}

/// The public methods of an indicator whose formula is `fn step(&mut self, input) -> Option<Output>`; the type has a field
/// `newest` for its value.
macro_rules! indicator {
    ($name:ident($input:ident: $taken:ty) -> $output:ty, warm-up |$own:ident| $warm_up:expr) => {
        impl $name {
            /// Takes in a final bar; its value once warm. What is refused has none and changes nothing.
            pub fn update(&mut self, $input: $taken) -> Option<$output> {
                if !$crate::single::Taken::is_possible($input) {
                    return None;
                }
                let row = self.step($input).map(<$output as $crate::single::Output>::to_row);
                self.newest = row.and_then(<$output as $crate::single::Output>::from_row);
                self.newest
            }

            /// What [`update`](Self::update) would give. Changes nothing.
            #[must_use]
            pub fn amend(&self, $input: $taken) -> Option<$output> {
                self.clone().update($input)
            }

            /// That of the newest bar; `None` while warming up and where it is undefined.
            pub fn value(&self) -> Option<$output> {
                self.newest
            }

            /// Bars up to the first value, that with it included.
            pub fn warm_up(&self) -> usize {
                let $own = self;
                $warm_up
            }
        }
    };
}
pub(crate) use indicator;

/// An indicator as a part of a plan: bars in, numbers out.
pub(crate) trait Live: std::fmt::Debug + Send + Sync {
    fn warm_up(&self) -> usize;
    /// What it reads of a bar.
    fn fields(&self) -> &[Field];
    /// Whether a bar is forgotten when so many others have followed as the warm-up has; it fades otherwise.
    fn is_window(&self) -> bool;
    fn update(&mut self, bar: &Ohlcv) -> Option<Row>;
    fn amend(&self, bar: &Ohlcv) -> Option<Row>;
    fn boxed(&self) -> Box<dyn Live>;
}

impl Clone for Box<dyn Live> {
    fn clone(&self) -> Self {
        self.as_ref().boxed()
    }
}

macro_rules! live {
    ($bar:ident => $input:expr, reads $fields:expr, is window $is_window:literal: $($name:ident)+) => {
        $(impl Live for $name {
            fn warm_up(&self) -> usize {
                $name::warm_up(self)
            }

            fn fields(&self) -> &[Field] {
                $fields
            }

            fn is_window(&self) -> bool {
                $is_window
            }

            fn update(&mut self, $bar: &Ohlcv) -> Option<Row> {
                $name::update(self, $input).map(Output::to_row)
            }

            fn amend(&self, $bar: &Ohlcv) -> Option<Row> {
                $name::amend(self, $input).map(Output::to_row)
            }

            fn boxed(&self) -> Box<dyn Live> {
                Box::new(self.clone())
            }
        })+
    };
}

live!(bar => bar.close, reads &[Field::Close], is window true:
    Sma Wma Momentum Roc LinearRegressionSlope Bollinger HistoricalVolatility);
live!(bar => bar.close, reads &[Field::Close], is window false:
    Ema Dema Tema Kama Trix Ppo Macd Rsi StochasticRsi);
live!(bar => bar, reads &Field::ALL, is window true:
    Stochastic Cci WilliamsR Aroon UltimateOscillator Mfi Cmf Vwap Donchian Ichimoku);
live!(bar => bar, reads &Field::ALL, is window false:
    Atr Natr Adx PlusDi MinusDi ParabolicSar AccumulationDistribution ChaikinOscillator Keltner Supertrend HeikinAshi);

/// A period that a formula of our own cannot have.
pub(crate) fn check_period(
    indicator: &'static str,
    parameter: &str,
    period: usize,
    min: usize,
) -> Result<usize, ParameterError> {
    let max = crate::talib::WARM_UP_MAX;
    if (min..=max).contains(&period) {
        return Ok(period);
    }
    let [value, min, max] = [period, min, max].map(|number| number as f64);
    Err(ParameterError::OutOfRange { indicator, parameter: parameter.to_owned(), value, min, max })
}

/// A factor that a formula of our own cannot have.
pub(crate) fn check_factor(indicator: &'static str, parameter: &str, value: f64) -> Result<f64, ParameterError> {
    let max = 1e3;
    if value > 0.0 && value <= max {
        return Ok(value);
    }
    Err(ParameterError::OutOfRange { indicator, parameter: parameter.to_owned(), value, min: 0.0, max })
}

/// The last numbers of a series, oldest first.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    numbers: std::collections::VecDeque<f64>,
    period: usize,
}

impl Window {
    pub(crate) fn new(period: usize) -> Self {
        Self { numbers: std::collections::VecDeque::with_capacity(period), period }
    }

    pub(crate) fn push(&mut self, number: f64) {
        if self.numbers.len() == self.period {
            self.numbers.pop_front();
        }
        self.numbers.push_back(number);
    }

    pub(crate) fn period(&self) -> usize {
        self.period
    }

    pub(crate) fn is_full(&self) -> bool {
        self.numbers.len() == self.period
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator + '_ {
        self.numbers.iter().copied()
    }

    pub(crate) fn newest(&self) -> Option<f64> {
        self.numbers.back().copied()
    }

    pub(crate) fn sum(&self) -> f64 {
        self.iter().sum()
    }

    /// Explicit comparisons: `fold` with `f64::max` has been miscompiled for AVX2 with fat LTO by rustc 1.95.
    pub(crate) fn highest(&self) -> f64 {
        self.iter().fold(f64::NEG_INFINITY, |highest, number| if number > highest { number } else { highest })
    }

    pub(crate) fn lowest(&self) -> f64 {
        self.iter().fold(f64::INFINITY, |lowest, number| if number < lowest { number } else { lowest })
    }
}
