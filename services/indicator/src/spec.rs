//! The text that asks for a column: `[name =] rsi(period = 9)`, `[name =] ta:WMA(period = 30, in = volume)`.

use std::sync::Arc;

use ta_lib::abstract_api::{self, FuncInfo, Group, OptInputType};

use crate::formula;
use crate::intraday::{self, Intraday};
use crate::ohlcv::Field;
use crate::plan::need;
use crate::single::Live;
use crate::talib::{self, Function, Number, ParameterError, Row, Running};

/// Why a text asks for nothing that there is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    #[error("`{spec}` is not of the form `[name =] indicator(key = value, …)`: {detail}")]
    Syntax { spec: String, detail: String },
    #[error("`{name}` in `{spec}` is no indicator; there are {known}; functions of TA-Lib begin with `ta:`")]
    UnknownIndicator { spec: String, name: String, known: String },
    #[error("`{name}` in `{spec}` is no function of TA-Lib; {known}")]
    UnknownFunction { spec: String, name: String, known: String },
    #[error("`{name}` in `{spec}` would count from a bar that is forgotten one day; {instead}")]
    Unbounded { spec: String, name: String, instead: &'static str },
    #[error("`{key}` in `{spec}` is no parameter of {indicator}; {known}")]
    UnknownParameter { spec: String, key: String, indicator: String, known: String },
    #[error("`{key}` is given twice in `{spec}`")]
    Twice { spec: String, key: String },
    #[error("`{value}` is no {expected} for `{key}` in `{spec}`")]
    BadValue { spec: String, key: String, value: String, expected: String },
    #[error("`{spec}` cannot be computed")]
    Parameter {
        spec: String,
        #[source]
        source: ParameterError,
    },
    #[error("column `{column}` of `{spec}` exists already; give it a name of its own")]
    DuplicateColumn { spec: String, column: String },
    #[error("there is no native column `{column}`")]
    UnknownColumn { column: String },
}

/// A text understood: one indicator and the names of its columns.
#[derive(Debug, Clone)]
pub(crate) struct Extra {
    pub(crate) columns: Vec<String>,
    pub(crate) kind: Kind,
    /// The text in one spelling, which stands for what is computed.
    pub(crate) canonical: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// The engine has these columns.
    Native,
    /// As it is before the first bar.
    Formula(Box<dyn Live>),
    /// Before the first bar, too.
    Intraday(Intraday),
}

impl Extra {
    pub(crate) fn parse(text: &str) -> Result<Self, PlanError> {
        let call = Call::parse(text)?;
        if let Some(name) = call.indicator.strip_prefix("ta:") {
            return ta_lib(&call, name);
        }
        if let Some((columns, intraday)) = intraday::of(&call)? {
            let canonical = format!("{} = {intraday:?}", columns.join(","));
            return Ok(Self { columns, kind: Kind::Intraday(intraday), canonical });
        }
        formula::of(&call)
    }

    /// Bars of a segment up to the first value, that with it included.
    pub(crate) fn need(&self) -> u32 {
        match &self.kind {
            Kind::Formula(formula) => u32::try_from(formula.warm_up()).unwrap_or(u32::MAX),
            Kind::Native => self.columns.iter().filter_map(|column| need(column)).max().unwrap_or(1),
            Kind::Intraday(_) => 1,
        }
    }
}

/// A text taken apart.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) spec: String,
    /// What the column is to be called.
    pub(crate) name: Option<String>,
    pub(crate) indicator: String,
    /// In the order of the text; without a key the parameter at that place is meant.
    arguments: Vec<(Option<String>, String)>,
}

impl Call {
    fn parse(text: &str) -> Result<Self, PlanError> {
        let spec = text.trim().to_owned();
        let fault = |detail: &str| PlanError::Syntax { spec: spec.clone(), detail: detail.to_owned() };
        let (head, arguments) = match spec.split_once('(') {
            None => (spec.as_str(), ""),
            Some((head, rest)) => (head, rest.strip_suffix(')').ok_or_else(|| fault("it does not end with `)`"))?),
        };
        if arguments.contains(['(', ')']) {
            return Err(fault("parentheses do not nest"));
        }
        let (name, indicator) = match head.split_once('=') {
            None => (None, head.trim()),
            Some((name, indicator)) => (Some(name.trim()), indicator.trim()),
        };
        let is_word = |text: &str| {
            text.starts_with(|letter: char| letter.is_ascii_alphabetic())
                && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        };
        if !is_word(indicator.strip_prefix("ta:").unwrap_or(indicator)) {
            return Err(fault("an indicator is named by letters, digits and `_`"));
        }
        if name.is_some_and(|name| !is_word(name) || name.chars().any(|letter| letter.is_ascii_uppercase())) {
            return Err(fault("a column is named by small letters, digits and `_`"));
        }
        let mut taken = Vec::new();
        if !arguments.trim().is_empty() {
            for argument in arguments.split(',') {
                let (key, value) = match argument.split_once('=') {
                    None => (None, argument.trim()),
                    Some((key, value)) => (Some(key.trim().to_owned()), value.trim()),
                };
                if value.is_empty() || key.as_ref().is_some_and(String::is_empty) {
                    return Err(fault("an argument is empty"));
                }
                if key.is_none() && taken.last().is_some_and(|(key, _): &(Option<String>, _)| key.is_some()) {
                    return Err(fault("an argument without a key follows one with a key"));
                }
                taken.push((key, value.to_owned()));
            }
        }
        let (name, indicator) = (name.map(str::to_owned), indicator.to_owned());
        Ok(Self { name, indicator, arguments: taken, spec })
    }

    /// The given text of each of the keys.
    pub(crate) fn arguments(&self, keys: &[String]) -> Result<Vec<Option<&str>>, PlanError> {
        let spec = || self.spec.clone();
        let mut given = vec![None; keys.len()];
        for (place, (key, value)) in self.arguments.iter().enumerate() {
            let at = match key {
                Some(key) => keys.iter().position(|known| known == key),
                None => (place < keys.len()).then_some(place),
            };
            let Some(at) = at else {
                let known = match keys {
                    [] => "it has none".to_owned(),
                    keys => format!("it has {}", keys.join(", ")),
                };
                let key = key.clone().unwrap_or_else(|| value.clone());
                return Err(PlanError::UnknownParameter {
                    spec: spec(),
                    key,
                    indicator: self.indicator.clone(),
                    known,
                });
            };
            if given[at].replace(value.as_str()).is_some() {
                return Err(PlanError::Twice { spec: spec(), key: keys[at].clone() });
            }
        }
        Ok(given)
    }

    pub(crate) fn number(&self, key: &str, value: &str) -> Result<f64, PlanError> {
        let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| self.bad_value(key, value, "number"))
    }

    pub(crate) fn bad_value(&self, key: &str, value: &str, expected: impl Into<String>) -> PlanError {
        let (spec, key, value) = (self.spec.clone(), key.to_owned(), value.to_owned());
        PlanError::BadValue { spec, key, value, expected: expected.into() }
    }

    pub(crate) fn parameter(&self, source: ParameterError) -> PlanError {
        PlanError::Parameter { spec: self.spec.clone(), source }
    }

    /// The names of the columns when the text gives one: itself, or with what tells the values apart behind it.
    pub(crate) fn named(&self, parts: &[&str]) -> Option<Vec<String>> {
        let name = self.name.as_ref()?;
        Some(match parts {
            [_] => vec![name.clone()],
            parts => parts.iter().map(|part| format!("{name}_{part}")).collect(),
        })
    }
}

/// A name as part of a column: without what a column cannot have.
pub(crate) fn label(value: &str) -> String {
    value.to_ascii_lowercase().replace('.', "").replace('-', "m")
}

/// A first set of patterns of bars, asked for together: reversals that most charts mark.
pub(crate) const CANDLESTICKS: [&str; 16] = [
    "ta:CDLDOJI",
    "ta:CDLDRAGONFLYDOJI",
    "ta:CDLGRAVESTONEDOJI",
    "ta:CDLHAMMER",
    "ta:CDLHANGINGMAN",
    "ta:CDLINVERTEDHAMMER",
    "ta:CDLSHOOTINGSTAR",
    "ta:CDLMARUBOZU",
    "ta:CDLENGULFING",
    "ta:CDLHARAMI",
    "ta:CDLPIERCING",
    "ta:CDLDARKCLOUDCOVER",
    "ta:CDLMORNINGSTAR",
    "ta:CDLEVENINGSTAR",
    "ta:CDL3WHITESOLDIERS",
    "ta:CDL3BLACKCROWS",
];

/// Totals, and places of bars, that depend on the bar where they start.
pub(crate) const UNBOUNDED: [(&str, &str); 13] = [
    ("AD", "the native column `ad` does so exactly"),
    ("ASI", "compute it outside"),
    ("CUMSUM", "compute it outside"),
    ("MAXINDEX", "`aroon` and `ta:AROON` say how old the extremes are"),
    ("MININDEX", "`aroon` and `ta:AROON` say how old the extremes are"),
    ("MINMAXINDEX", "`aroon` and `ta:AROON` say how old the extremes are"),
    ("NVI", "compute it outside"),
    ("OBV", "the native column `obv` does so exactly"),
    ("PVI", "compute it outside"),
    ("PVT", "compute it outside"),
    ("VWAP", "`session_vwap`, `anchored_vwap` and the native column `vwap20` say where they start"),
    ("WAD", "compute it outside"),
    ("ZIGZAG", "compute it outside"),
];

fn ta_lib(call: &Call, name: &str) -> Result<Extra, PlanError> {
    let spec = || call.spec.clone();
    let Some(id) = abstract_api::get_func_handle(name) else {
        return Err(PlanError::UnknownFunction { spec: spec(), name: name.to_owned(), known: functions_like(name) });
    };
    let info = id.info();
    if let Some((name, instead)) = UNBOUNDED.iter().find(|(name, _)| *name == info.name) {
        return Err(PlanError::Unbounded { spec: spec(), name: (*name).to_owned(), instead });
    }
    let parameters: Vec<String> = info.opt_inputs.iter().map(|parameter| parameter_key(parameter.param_name)).collect();
    let inputs = talib::inputs(info);
    let series = series_keys(info);
    let given = call.arguments(&[parameters.clone(), series.clone()].concat())?;
    let (given_numbers, given_series) = given.split_at(parameters.len());

    let mut numbers = talib::defaults(info);
    for (i, value) in given_numbers.iter().enumerate().filter_map(|(i, value)| Some((i, (*value)?))) {
        numbers[i] = number(call, &parameters[i], value, &info.opt_inputs[i].kind)?;
    }
    let mut chosen = Vec::new();
    for (key, value) in series.iter().zip(given_series) {
        chosen.push(match value {
            None => Field::Close,
            Some(value) => Field::of(value).ok_or_else(|| {
                call.bad_value(key, value, format!("series ({})", Field::ALL.map(Field::as_str).join(", ")))
            })?,
        });
    }
    let mut chosen = chosen.into_iter();
    let inputs = inputs.into_iter().map(|input| input.unwrap_or_else(|| chosen.next().unwrap_or(Field::Close)));
    let function = Function::new(id, numbers, inputs.collect()).map_err(|source| call.parameter(source))?;

    let parts: Vec<String> = info.outputs.iter().map(|output| talib::key(output.param_name)).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let columns = call.named(&parts).unwrap_or_else(|| {
        let function = info.name.to_ascii_lowercase();
        let given = given.iter().flatten().map(|value| label(value));
        let name = ["ta".to_owned(), function].into_iter().chain(given).collect::<Vec<_>>().join("_");
        match parts[..] {
            [_] => vec![name],
            _ => parts.iter().map(|part| format!("{name}_{part}")).collect(),
        }
    });
    let canonical = format!("{} = {function:?}", columns.join(","));
    Ok(Extra { columns, kind: Kind::Formula(Box::new(Running::new(Arc::new(function)))), canonical })
}

impl Live for Running {
    fn warm_up(&self) -> usize {
        Self::warm_up(self)
    }

    fn fields(&self) -> &[Field] {
        self.function().inputs()
    }

    fn is_window(&self) -> bool {
        let windows =
            [Group::PatternRecognition, Group::MathOperators, Group::MathTransform, Group::StatisticFunctions];
        windows.contains(&self.function().info().group)
    }

    fn update(&mut self, bar: &crate::Ohlcv) -> Option<Row> {
        self.update_bar(bar)
    }

    fn amend(&self, bar: &crate::Ohlcv) -> Option<Row> {
        self.amend_bar(bar)
    }

    fn boxed(&self) -> Box<dyn Live> {
        Box::new(self.clone())
    }
}

/// `optInTimePeriod` is `period`, everything else as TA-Lib has it.
pub(crate) fn parameter_key(name: &str) -> String {
    let key = talib::key(name);
    if key == "time_period" { "period".to_owned() } else { key }
}

/// The keys of the series that a function leaves to the caller: `in`, or `in0`, `in1`.
pub(crate) fn series_keys(info: &FuncInfo) -> Vec<String> {
    let n_series = talib::inputs(info).iter().filter(|input| input.is_none()).count();
    if n_series == 1 { vec!["in".to_owned()] } else { (0..n_series).map(|i| format!("in{i}")).collect() }
}

fn number(call: &Call, key: &str, value: &str, kind: &OptInputType) -> Result<Number, PlanError> {
    match kind {
        OptInputType::RealRange { .. } | OptInputType::RealList { .. } => call.number(key, value).map(Number::Real),
        OptInputType::IntegerRange { .. } => {
            let number = value.parse::<i32>();
            number.map(Number::Int).map_err(|_| call.bad_value(key, value, "whole number"))
        }
        OptInputType::IntegerList { values, .. } => {
            let mut named = values.iter().filter(|(_, name)| !matches!(*name, "DISABLED" | "DEFAULT"));
            let known = || named.clone().map(|(_, name)| name.to_ascii_lowercase()).collect::<Vec<_>>().join(", ");
            let expected = format!("one of {}", known());
            let found = named.find(|(_, name)| name.eq_ignore_ascii_case(value));
            let number = found.and_then(|(number, _)| i32::try_from(*number).ok());
            number.map(Number::Int).ok_or_else(|| call.bad_value(key, value, expected))
        }
    }
}

/// What somebody may have meant.
fn functions_like(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    let mut close: Vec<(usize, &str)> = abstract_api::funcs()
        .map(|info| (distance(&name, info.name), info.name))
        .filter(|(distance, known)| *distance <= 2 || (name.len() > 2 && known.contains(&name)))
        .collect();
    close.sort_unstable();
    close.truncate(8);
    let n_functions = abstract_api::FUNCS.len();
    if close.is_empty() {
        return format!("docs/indicators.md lists its {n_functions}");
    }
    let close: Vec<&str> = close.into_iter().map(|(_, name)| name).collect();
    format!("close to it are {}; docs/indicators.md lists all {n_functions}", close.join(", "))
}

/// How many letters must be changed, added or taken away.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> Vec<String> {
        Extra::parse(text).unwrap_or_else(|error| panic!("{error}")).columns
    }

    #[test]
    fn a_text_names_its_columns() {
        let check = |text: &str, expected: &[&str]| assert_eq!(columns(text), expected, "{text}");
        check("ta:CDLENGULFING", &["ta_cdlengulfing"]);
        check(" ta:wma ( period = 30 ) ", &["ta_wma_30"]);
        check("ta:WMA(30)", &["ta_wma_30"]);
        check("ta:WMA(in = volume)", &["ta_wma_volume"]);
        check("slow = ta:WMA(period=30)", &["slow"]);
        check("ta:MA(period=30, ma_type=hma)", &["ta_ma_30_hma"]);
        check("ta:CORREL(in0=close, in1=volume, period=10)", &["ta_correl_10_close_volume"]);
        check(
            "ta:BBANDS(nb_dev_up=2.5)",
            &["ta_bbands_25_upper_band", "ta_bbands_25_middle_band", "ta_bbands_25_lower_band"],
        );
        check("ta:HT_SINE", &["ta_ht_sine_sine", "ta_ht_sine_lead_sine"]);
        check("w = ta:HT_SINE", &["w_sine", "w_lead_sine"]);
        check("rsi(period=9)", &["rsi9"]);
        check("rsi(9)", &["rsi9"]);
        check("fast = rsi(9)", &["fast"]);
        check("macd(5, 35, 5)", &["macd_5_35_5", "macd_signal_5_35_5", "macd_hist_5_35_5"]);
        check("macd(fast=5)", &["macd_5_26_9", "macd_signal_5_26_9", "macd_hist_5_26_9"]);
        check("mine = macd", &["mine_line", "mine_signal", "mine_hist"]);
        check("sar(0.01, 0.1)", &["sar_001_01"]);
        check("session_vwap", &["session_vwap"]);
    }

    #[test]
    fn what_the_engine_has_is_native() {
        let check = |text: &str, expected: bool| {
            let extra = Extra::parse(text).unwrap();
            assert_eq!(matches!(extra.kind, Kind::Native), expected, "{text}");
        };
        check("rsi", true);
        check("rsi(14)", true);
        check("sma(200)", true);
        check("macd(12, 26, 9)", true);
        check("stochrsi(14, 14, 3)", true);
        check("sar(0.02, 0.2)", true);
        check("bollinger(20)", true);
        check("obv", true);
        check("rsi(15)", false);
        check("mine = rsi(14)", false);
        check("ta:RSI(14)", false);
    }

    #[test]
    fn an_error_names_what_is_wrong_and_what_there_is() {
        let check = |text: &str, expected: &str| {
            let error = Extra::parse(text).map(|extra| extra.columns).expect_err(text);
            let chain = match std::error::Error::source(&error) {
                None => error.to_string(),
                Some(source) => format!("{error}: {source}"),
            };
            assert!(chain.contains(expected), "{text}: {chain}");
        };
        check("", "an indicator is named by");
        check("rsi(14", "does not end with `)`");
        check("rsi((14))", "do not nest");
        check("rsi(14) x", "does not end with `)`");
        check("rsi(,)", "an argument is empty");
        check("Fast = rsi(14)", "a column is named by small letters");
        check("macd(fast=1, 2)", "without a key follows");
        check("rsy(14)", "`rsy` in `rsy(14)` is no indicator; there are ");
        check("rsi(14, 3)", "`3` in `rsi(14, 3)` is no parameter of rsi; it has period");
        check("rsi(length=14)", "`length` in `rsi(length=14)` is no parameter of rsi; it has period");
        check("rsi(14, period=3)", "`period` is given twice");
        check("rsi(1.5)", "cannot be computed: period 1.5 of rsi is not a whole number");
        check("rsi(1)", "cannot be computed: period 1 of RSI is outside 2 to 4096");
        check("rsi(x)", "`x` is no number for `period`");
        check("ta:WMB", "`WMB` in `ta:WMB` is no function of TA-Lib; close to it are ");
        check("ta:ENGULF", "close to it are CDLENGULFING; docs/indicators.md lists all 237");
        check("ta:NOSUCHTHING", "docs/indicators.md lists its 237");
        check("ta:WMA(length=3)", "no parameter of ta:WMA; it has period, in");
        check("ta:CDLDOJI(3)", "it has none");
        check("ta:WMA(period=0)", "period 0 of WMA is outside 1 to 100000");
        check("ta:WMA(period=9999)", "at most 4096");
        check("ta:WMA(period=2.5)", "`2.5` is no whole number for `period`");
        check("ta:MA(ma_type=best)", "`best` is no one of sma, ema, wma");
        check("ta:WMA(in=price)", "`price` is no series (open, high, low, close, volume) for `in`");
        check("ta:OBV", "the native column `obv` does so exactly");
    }

    #[test]
    fn every_function_of_ta_lib_can_be_named_but_the_unbounded() {
        for info in abstract_api::funcs() {
            let extra = Extra::parse(&format!("ta:{}", info.name));
            let is_unbounded = UNBOUNDED.iter().any(|(name, _)| *name == info.name);
            assert_eq!(extra.is_err(), is_unbounded, "{}: {extra:?}", info.name);
        }
    }
}
