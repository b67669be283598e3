//! The formulas of the native columns, at parameters of the caller's choice.

use crate::plan::NAMES;
use crate::single::{
    Adx, Aroon, Atr, Bollinger, Cci, ChaikinOscillator, Cmf, Dema, Donchian, Ema, HeikinAshi, HistoricalVolatility,
    Ichimoku, Kama, Keltner, LinearRegressionSlope, Live, Macd, Mfi, MinusDi, Momentum, Natr, ParabolicSar, PlusDi,
    Ppo, Roc, Rsi, Sma, Smoothing, Stochastic, StochasticRsi, Supertrend, Tema, Trix, UltimateOscillator, Vwap,
    WilliamsR, Wma,
};
use crate::spec::{Call, Extra, Kind, PlanError, label};
use crate::talib::ParameterError;

/// A formula as configuration names it.
pub(crate) struct Formula {
    pub(crate) name: &'static str,
    /// With their defaults.
    pub(crate) parameters: &'static [(&'static str, f64)],
    /// The columns; `{}` stands for the parameters.
    pub(crate) columns: &'static [&'static str],
    /// What tells several values apart behind a name of the caller's choice.
    parts: &'static [&'static str],
    /// The columns at the defaults, where they are not named like the others.
    native: &'static [&'static str],
    make: Option<Make>,
}

type Make = fn(&Numbers) -> Result<Box<dyn Live>, ParameterError>;

/// The parameters of a formula, by place.
struct Numbers<'a> {
    formula: &'static Formula,
    numbers: &'a [f64],
}

impl Numbers<'_> {
    fn real(&self, at: usize) -> f64 {
        self.numbers[at]
    }

    fn count(&self, at: usize) -> Result<usize, ParameterError> {
        let value = self.numbers[at];
        let is_whole = value.fract().abs() < f64::EPSILON && (0.0..=1e9).contains(&value);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was checked")]
        let count = is_whole.then_some(value as usize);
        let parameter = self.formula.parameters[at].0.to_owned();
        count.ok_or(ParameterError::NotWhole { indicator: self.formula.name, parameter, value })
    }
}

fn live(single: impl Live + 'static) -> Box<dyn Live> {
    Box::new(single)
}

macro_rules! formulas {
    ($($name:ident($($parameter:ident = $default:literal),*) -> [$($column:literal $part:literal),+] $(native [$($native:literal),+])?
        = $(|$numbers:ident| $make:expr)?;)*) => {
        pub(crate) const FORMULAS: &[Formula] = &[$(Formula {
            name: stringify!($name),
            parameters: &[$((stringify!($parameter), $default)),*],
            columns: &[$($column),+],
            parts: &[$($part),+],
            native: &[$($($native),+)?],
            make: formulas!(@make $(|$numbers| $make)?),
        }),*];
    };
    (@make) => { None };
    (@make |$numbers:ident| $make:expr) => { Some(|$numbers| Ok(live($make?))) };
}

formulas! {
    sma(period = 20.0) -> ["sma{}" ""] = |n| Sma::new(n.count(0)?);
    ema(period = 21.0) -> ["ema{}" ""] = |n| Ema::new(n.count(0)?);
    wma(period = 20.0) -> ["wma{}" ""] = |n| Wma::new(n.count(0)?);
    dema(period = 20.0) -> ["dema{}" ""] = |n| Dema::new(n.count(0)?);
    tema(period = 20.0) -> ["tema{}" ""] = |n| Tema::new(n.count(0)?);
    kama(period = 10.0) -> ["kama{}" ""] = |n| Kama::new(n.count(0)?);
    rsi(period = 14.0) -> ["rsi{}" ""] = |n| Rsi::new(n.count(0)?);
    macd(fast = 12.0, slow = 26.0, signal = 9.0) -> ["macd_{}" "line", "macd_signal_{}" "signal", "macd_hist_{}" "hist"]
        native ["macd", "macd_signal", "macd_hist"] = |n| Macd::new(n.count(0)?, n.count(1)?, n.count(2)?);
    trange() -> ["trange" ""] =;
    atr(period = 14.0) -> ["atr{}" ""] = |n| Atr::new(n.count(0)?);
    natr(period = 14.0) -> ["natr{}" ""] = |n| Natr::new(n.count(0)?);
    plus_di(period = 14.0) -> ["plus_di{}" ""] = |n| PlusDi::new(n.count(0)?);
    minus_di(period = 14.0) -> ["minus_di{}" ""] = |n| MinusDi::new(n.count(0)?);
    adx(period = 14.0) -> ["adx{}" ""] = |n| Adx::new(n.count(0)?);
    bollinger(period = 20.0, deviations = 2.0) -> ["bb_upper_{}" "upper", "bb_mid_{}" "mid", "bb_lower_{}" "lower"]
        native ["bb_upper20", "bb_mid20", "bb_lower20"] = |n| Bollinger::new(n.count(0)?, n.real(1));
    stochastic(period = 14.0, smoothing = 3.0, signal = 3.0) -> ["stoch_k_{}" "k", "stoch_d_{}" "d"]
        native ["stoch_k", "stoch_d"] = |n| Stochastic::new(n.count(0)?, n.count(1)?, n.count(2)?);
    stochrsi(period = 14.0, stochastic = 5.0, signal = 3.0) -> ["stochrsi_{}_k" "k", "stochrsi_{}_d" "d"]
        = |n| StochasticRsi::new(n.count(0)?, n.count(1)?, n.count(2)?);
    cci(period = 20.0) -> ["cci{}" ""] = |n| Cci::new(n.count(0)?);
    mfi(period = 14.0) -> ["mfi{}" ""] = |n| Mfi::new(n.count(0)?);
    obv() -> ["obv" ""] =;
    willr(period = 14.0) -> ["willr{}" ""] = |n| WilliamsR::new(n.count(0)?);
    roc(period = 10.0) -> ["roc{}" ""] = |n| Roc::new(n.count(0)?);
    mom(period = 10.0) -> ["mom{}" ""] = |n| Momentum::new(n.count(0)?);
    trix(period = 15.0) -> ["trix{}" ""] = |n| Trix::new(n.count(0)?);
    ultosc(first = 7.0, second = 14.0, third = 28.0) -> ["ultosc_{}" ""]
        = |n| UltimateOscillator::new(n.count(0)?, n.count(1)?, n.count(2)?);
    aroon(period = 25.0) -> ["aroon_up{}" "up", "aroon_down{}" "down", "aroonosc{}" "osc"] = |n| Aroon::new(n.count(0)?);
    sar(acceleration = 0.02, maximum = 0.2) -> ["sar_{}" ""] = |n| ParabolicSar::new(n.real(0), n.real(1));
    ad() -> ["ad" ""] =;
    adosc(fast = 3.0, slow = 10.0) -> ["adosc_{}" ""] = |n| ChaikinOscillator::new(n.count(0)?, n.count(1)?);
    ppo_sma(fast = 12.0, slow = 26.0) -> ["ppo_{}_sma" ""] = |n| Ppo::new(n.count(0)?, n.count(1)?, Smoothing::Simple);
    ppo_ema(fast = 12.0, slow = 26.0) -> ["ppo_{}_ema" ""]
        = |n| Ppo::new(n.count(0)?, n.count(1)?, Smoothing::Exponential);
    linreg_slope(period = 20.0) -> ["linreg_slope{}" ""] = |n| LinearRegressionSlope::new(n.count(0)?);
    cmf(period = 20.0) -> ["cmf{}" ""] = |n| Cmf::new(n.count(0)?);
    vwap(period = 20.0) -> ["vwap{}" ""] = |n| Vwap::new(n.count(0)?);
    donchian(period = 20.0) -> ["donchian_up{}" "up", "donchian_mid{}" "mid", "donchian_lo{}" "lo"]
        = |n| Donchian::new(n.count(0)?);
    keltner(period = 20.0, range_period = 10.0, factor = 2.0)
        -> ["keltner_up_{}" "up", "keltner_mid_{}" "mid", "keltner_lo_{}" "lo"]
        native ["keltner_up20", "keltner_mid20", "keltner_lo20"] = |n| Keltner::new(n.count(0)?, n.count(1)?, n.real(2));
    hv(period = 20.0) -> ["hv{}" ""] = |n| HistoricalVolatility::new(n.count(0)?);
    supertrend(period = 10.0, factor = 3.0) -> ["supertrend_{}" "line", "supertrend_direction_{}" "direction"]
        native ["supertrend", "supertrend_direction"] = |n| Supertrend::new(n.count(0)?, n.real(1));
    ichimoku(conversion = 9.0, base = 26.0, span = 52.0)
        -> ["ichimoku_tenkan_{}" "tenkan", "ichimoku_kijun_{}" "kijun", "ichimoku_span_a_{}" "span_a", "ichimoku_span_b_{}" "span_b"]
        native ["ichimoku_tenkan", "ichimoku_kijun", "ichimoku_span_a", "ichimoku_span_b"]
        = |n| Ichimoku::new(n.count(0)?, n.count(1)?, n.count(2)?);
    heikin_ashi() -> ["heikin_ashi_open" "open", "heikin_ashi_high" "high", "heikin_ashi_low" "low", "heikin_ashi_close" "close"]
        = |_n| Ok::<_, ParameterError>(HeikinAshi::new());
}

pub(crate) fn of(call: &Call) -> Result<Extra, PlanError> {
    let Some(formula) = FORMULAS.iter().find(|formula| formula.name == call.indicator) else {
        let names = FORMULAS.iter().map(|formula| formula.name).chain(crate::intraday::NAMES).chain(["candlesticks"]);
        let known = names.collect::<Vec<_>>().join(", ");
        let (spec, name) = (call.spec.clone(), call.indicator.clone());
        return Err(PlanError::UnknownIndicator { spec, name, known });
    };
    let keys: Vec<String> = formula.parameters.iter().map(|(key, _)| (*key).to_owned()).collect();
    let mut numbers = Vec::with_capacity(keys.len());
    for ((key, default), value) in formula.parameters.iter().zip(call.arguments(&keys)?) {
        numbers.push(value.map_or(Ok(*default), |value| call.number(key, value))?);
    }
    let is_default =
        formula.parameters.iter().zip(&numbers).all(|((_, default), number)| default.total_cmp(number).is_eq());
    let unnamed: Vec<String> = if is_default && !formula.native.is_empty() {
        formula.native.iter().map(|&column| column.to_owned()).collect()
    } else {
        let label = numbers.iter().map(|number| label(&number.to_string())).collect::<Vec<_>>().join("_");
        formula.columns.iter().map(|column| column.replace("{}", &label)).collect()
    };
    let canonical = |columns: &[String]| format!("{} = {}{numbers:?}", columns.join(","), formula.name);
    let is_native = unnamed.iter().all(|column| NAMES.contains(&column.as_str()));
    if is_native && call.name.is_none() {
        return Ok(Extra { canonical: canonical(&unnamed), columns: unnamed, kind: Kind::Native });
    }
    let Some(make) = formula.make else {
        let detail = format!("`{}` is a native column, which has its own name", formula.name);
        return Err(PlanError::Syntax { spec: call.spec.clone(), detail });
    };
    let fresh = make(&Numbers { formula, numbers: &numbers }).map_err(|source| call.parameter(source))?;
    let columns = call.named(formula.parts).unwrap_or(unnamed);
    Ok(Extra { canonical: canonical(&columns), columns, kind: Kind::Formula(fresh) })
}
