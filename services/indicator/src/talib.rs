//! The functions of the crate `ta-lib`, bar by bar, found by name.

use std::fmt;
use std::sync::Arc;

use ta_lib::abstract_api::{FuncId, FuncInfo, InputFlags, InputType, OptInputType};
use ta_lib::{Core, MAType, RetCode};

use crate::ohlcv::{Field, Ohlcv};

mod table;

/// The most values a function has.
pub(crate) const N_OUTPUTS_MAX: usize = 4;
/// Inputs: open, high, low, close, volume at most.
const N_INPUTS_MAX: usize = 5;
/// No indicator that a plan or a single type computes may need more bars before its first value.
pub const WARM_UP_MAX: usize = 4096;

/// The values of a function for one bar; NaN behind the last.
pub(crate) type Row = [f64; N_OUTPUTS_MAX];

/// A parameter that an indicator cannot have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ParameterError {
    #[error("{parameter} {value} of {indicator} is outside {} to {}", short(*min), short(*max))]
    OutOfRange { indicator: &'static str, parameter: String, value: f64, min: f64, max: f64 },
    #[error("{parameter} {value} of {indicator} is not a whole number")]
    NotWhole { indicator: &'static str, parameter: String, value: f64 },
    #[error("{indicator} needs {warm_up} bars for its first value, at most {WARM_UP_MAX} are allowed")]
    TooLong { indicator: &'static str, warm_up: usize },
    #[error("{indicator} cannot be computed with these parameters together")]
    Impossible { indicator: &'static str },
}

/// TA-Lib's bounds of real parameters have 38 digits.
fn short(bound: f64) -> String {
    if bound.abs() > 1e15 { format!("{bound:e}") } else { bound.to_string() }
}

/// A function that takes bar after bar.
pub(crate) trait Handle: fmt::Debug + Send + Sync {
    /// Takes in a bar; refuses numbers that are not finite and is unchanged then.
    fn take(&mut self, inputs: &[f64]) -> Result<Row, RetCode>;
    /// What [`take`](Self::take) would give.
    fn show(&self, inputs: &[f64]) -> Result<Row, RetCode>;
    fn boxed(&self) -> Box<dyn Handle>;
}

impl Clone for Box<dyn Handle> {
    fn clone(&self) -> Self {
        self.as_ref().boxed()
    }
}

/// A parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Int(i32),
    Real(f64),
}

impl Number {
    /// A count that TA-Lib's integers cannot hold is the largest one, which no parameter may be.
    pub(crate) fn count(count: usize) -> Self {
        Self::Int(i32::try_from(count).unwrap_or(i32::MAX))
    }

    fn value(self) -> f64 {
        match self {
            Self::Int(number) => f64::from(number),
            Self::Real(number) => number,
        }
    }

    fn int(self) -> Result<i32, RetCode> {
        match self {
            Self::Int(number) => Ok(number),
            Self::Real(_) => Err(RetCode::InvalidParamHolderType),
        }
    }

    fn real(self) -> Result<f64, RetCode> {
        match self {
            Self::Real(number) => Ok(number),
            Self::Int(_) => Err(RetCode::InvalidParamHolderType),
        }
    }

    fn average(self) -> Result<MAType, RetCode> {
        self.int().and_then(MAType::try_from)
    }
}

/// The values of the functions are numbers and tuples of numbers.
trait ToRow {
    fn to_row(self) -> Row;
}

impl ToRow for f64 {
    fn to_row(self) -> Row {
        [self, f64::NAN, f64::NAN, f64::NAN]
    }
}

impl ToRow for i32 {
    fn to_row(self) -> Row {
        f64::from(self).to_row()
    }
}

macro_rules! to_row {
    ($($type:ident $field:tt),+) => {
        impl ToRow for ($($type,)+) {
            fn to_row(self) -> Row {
                let mut row = [f64::NAN; N_OUTPUTS_MAX];
                $(row[$field] = self.$field.into();)+
                row
            }
        }
    };
}

to_row!(f64 0, f64 1);
to_row!(i32 0, i32 1);
to_row!(f64 0, i32 1);
to_row!(f64 0, f64 1, f64 2);
to_row!(f64 0, i32 1, i32 2);
to_row!(f64 0, f64 1, f64 2, f64 3);

/// A function with its parameters and what it reads, checked.
#[derive(Debug)]
pub(crate) struct Function {
    id: FuncId,
    numbers: Vec<Number>,
    inputs: Vec<Field>,
    warm_up: usize,
}

impl Function {
    /// # Errors
    /// When TA-Lib has no values for such parameters.
    ///
    /// # Panics
    /// When there are not as many parameters and inputs as the function has: a bug of the caller.
    pub(crate) fn new(id: FuncId, numbers: Vec<Number>, inputs: Vec<Field>) -> Result<Self, ParameterError> {
        let info = id.info();
        assert_eq!(numbers.len(), info.opt_inputs.len(), "parameters of {}", info.name);
        for (number, parameter) in numbers.iter().zip(info.opt_inputs) {
            let (min, max) = match parameter.kind {
                OptInputType::RealRange { min, max, .. } => (min, max),
                OptInputType::IntegerRange { min, max, .. } => (f64::from(min), f64::from(max)),
                OptInputType::RealList { .. } | OptInputType::IntegerList { .. } => continue,
            };
            let value = number.value();
            if !(min..=max).contains(&value) {
                let parameter = key(parameter.param_name);
                return Err(ParameterError::OutOfRange { indicator: info.name, parameter, value, min, max });
            }
        }
        let impossible = |_| ParameterError::Impossible { indicator: info.name };
        let warm_up = lookback(id, &numbers).map_err(impossible)? + 1;
        if warm_up > WARM_UP_MAX {
            return Err(ParameterError::TooLong { indicator: info.name, warm_up });
        }
        // TA-Lib checks some parameters against each other only when it starts.
        let trial: Vec<f64> = (0..warm_up).map(|i| 10.0 + (i % 3) as f64).collect();
        table::open(id, &numbers, &vec![&trial[..]; inputs.len()]).map_err(impossible)?;
        Ok(Self { id, numbers, inputs, warm_up })
    }

    pub(crate) fn info(&self) -> &'static FuncInfo {
        self.id.info()
    }

    pub(crate) fn inputs(&self) -> &[Field] {
        &self.inputs
    }
}

fn lookback(id: FuncId, numbers: &[Number]) -> Result<usize, RetCode> {
    let core = Core::new();
    let mut call = id.new_call(&core);
    for (i, number) in numbers.iter().enumerate() {
        match *number {
            Number::Int(number) => call.set_opt_input(i, number)?,
            Number::Real(number) => call.set_opt_input(i, number)?,
        };
    }
    call.lookback()
}

/// What a function reads, in the order in which it takes them; `None` stands for a series of the caller's choice.
pub(crate) fn inputs(info: &FuncInfo) -> Vec<Option<Field>> {
    let price = [
        (InputFlags::PRICE_OPEN, Field::Open),
        (InputFlags::PRICE_HIGH, Field::High),
        (InputFlags::PRICE_LOW, Field::Low),
        (InputFlags::PRICE_CLOSE, Field::Close),
        (InputFlags::PRICE_VOLUME, Field::Volume),
    ];
    let mut inputs = Vec::new();
    for input in info.inputs {
        match input.kind {
            InputType::Price => {
                inputs.extend(
                    price.iter().filter(|(flag, _)| input.flags.contains(*flag)).map(|(_, field)| Some(*field)),
                );
            }
            InputType::Real | InputType::Integer => inputs.push(None),
        }
    }
    inputs
}

/// The default of every parameter.
pub(crate) fn defaults(info: &FuncInfo) -> Vec<Number> {
    let default = |kind: &OptInputType| match *kind {
        OptInputType::RealRange { default, .. } | OptInputType::RealList { default, .. } => Number::Real(default),
        OptInputType::IntegerRange { default, .. } => Number::Int(default),
        OptInputType::IntegerList { default, .. } => Number::Int(i32::try_from(default).unwrap_or_default()),
    };
    info.opt_inputs.iter().map(|parameter| default(&parameter.kind)).collect()
}

/// The name that a plan uses for `optInFastPeriod` or `outRealUpperBand`: `fast_period`, `upper_band`.
pub(crate) fn key(name: &str) -> String {
    let prefixes = ["optIn", "outReal", "outInteger", "out", "inReal", "in"];
    let short = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    let mut key = String::new();
    let mut before = '_';
    let mut letters = short.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_start = letter.is_ascii_uppercase()
            && (before.is_ascii_lowercase() || letters.peek().is_some_and(char::is_ascii_lowercase));
        if is_start && before != '_' {
            key.push('_');
        }
        key.push(letter.to_ascii_lowercase());
        before = letter;
    }
    key
}

/// A function and how far it has come.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    function: Arc<Function>,
    /// The inputs until they are enough to start.
    cold: Vec<Vec<f64>>,
    handle: Option<Box<dyn Handle>>,
    newest: Option<Row>,
}

impl Running {
    pub(crate) fn new(function: Arc<Function>) -> Self {
        let cold = vec![Vec::new(); function.inputs.len()];
        Self { function, cold, handle: None, newest: None }
    }

    /// A function that reads bars, or one series if it reads any.
    pub(crate) fn of(id: FuncId, numbers: &[Number]) -> Result<Self, ParameterError> {
        let inputs = inputs(id.info()).into_iter().map(|input| input.unwrap_or(Field::Close)).collect();
        Function::new(id, numbers.to_vec(), inputs).map(|function| Self::new(Arc::new(function)))
    }

    pub(crate) fn function(&self) -> &Function {
        &self.function
    }

    /// Bars until the first value, that with it included.
    pub(crate) fn warm_up(&self) -> usize {
        self.function.warm_up
    }

    /// The newest row; `None` before the first.
    pub(crate) fn value(&self) -> Option<Row> {
        self.newest
    }

    /// Takes in a bar. Numbers that are not finite are refused: nothing changes, and there is no row.
    pub(crate) fn update(&mut self, inputs: &[f64]) -> Option<Row> {
        if inputs.iter().any(|input| !input.is_finite()) {
            return None;
        }
        let row = if let Some(handle) = &mut self.handle {
            Some(handle.take(inputs).ok()?)
        } else {
            self.cold.iter_mut().zip(inputs).for_each(|(series, input)| series.push(*input));
            self.start()
        };
        self.newest = row;
        row
    }

    /// The row that [`update`](Self::update) would give.
    pub(crate) fn amend(&self, inputs: &[f64]) -> Option<Row> {
        if inputs.iter().any(|input| !input.is_finite()) {
            return None;
        }
        if let Some(handle) = &self.handle {
            return handle.show(inputs).ok();
        }
        if self.cold[0].len() + 1 < self.function.warm_up {
            return None;
        }
        let mut next = self.clone();
        next.update(inputs)
    }

    pub(crate) fn update_bar(&mut self, bar: &Ohlcv) -> Option<Row> {
        let (inputs, n) = self.inputs_of(bar);
        self.update(&inputs[..n])
    }

    pub(crate) fn amend_bar(&self, bar: &Ohlcv) -> Option<Row> {
        let (inputs, n) = self.inputs_of(bar);
        self.amend(&inputs[..n])
    }

    fn inputs_of(&self, bar: &Ohlcv) -> ([f64; N_INPUTS_MAX], usize) {
        let mut inputs = [0.0; N_INPUTS_MAX];
        for (input, field) in inputs.iter_mut().zip(&self.function.inputs) {
            *input = bar.get(*field);
        }
        (inputs, self.function.inputs.len())
    }

    /// Opens the function once there are enough bars.
    fn start(&mut self) -> Option<Row> {
        if self.cold[0].len() < self.function.warm_up {
            return None;
        }
        let series = std::mem::take(&mut self.cold);
        let inputs: Vec<&[f64]> = series.iter().map(Vec::as_slice).collect();
        let Ok((handle, row)) = table::open(self.function.id, &self.function.numbers, &inputs) else {
            // It was tried with these parameters; numbers that it still does not take are as good as none.
            self.cold = vec![Vec::new(); series.len()];
            return None;
        };
        self.handle = Some(handle);
        Some(row)
    }
}
