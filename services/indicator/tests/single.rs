//! The single indicators against the batch functions of TA-Lib, and what they promise of themselves.

#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::needless_for_each, reason = "shorter")]
#![expect(clippy::many_single_char_names, reason = "they stay beside the series they are")]
#![expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "periods are small")]
#![expect(clippy::type_complexity, reason = "rows of bars of indicators")]

use indicator::*;
use proptest::prelude::*;
use ta_lib::{Core, MAType, OutRange, RetCode};

const TOLERANCE: f64 = 1e-9;

/// An indicator with its input and its values made alike, so that one test serves all.
trait Single {
    fn take(&mut self, bar: &Ohlcv) -> Option<Vec<f64>>;
    fn show(&self, bar: &Ohlcv) -> Option<Vec<f64>>;
    fn newest(&self) -> Option<Vec<f64>>;
    fn first(&self) -> usize;
    fn copy(&self) -> Box<dyn Single>;
}

macro_rules! single {
    ($($name:ident: |$bar:ident| ($($input:expr),+), |$value:ident| [$($number:expr),+];)+) => { $(
        impl Single for $name {
            fn take(&mut self, $bar: &Ohlcv) -> Option<Vec<f64>> {
                self.update($($input),+).map(|$value| vec![$($number),+])
            }
            fn show(&self, $bar: &Ohlcv) -> Option<Vec<f64>> {
                self.amend($($input),+).map(|$value| vec![$($number),+])
            }
            fn newest(&self) -> Option<Vec<f64>> {
                self.value().map(|$value| vec![$($number),+])
            }
            fn first(&self) -> usize {
                self.warm_up()
            }
            fn copy(&self) -> Box<dyn Single> {
                Box::new(self.clone())
            }
        }
    )+ };
}

single! {
    Sma: |b| (b.close), |v| [v];
    Ema: |b| (b.close), |v| [v];
    Wma: |b| (b.close), |v| [v];
    Dema: |b| (b.close), |v| [v];
    Tema: |b| (b.close), |v| [v];
    Kama: |b| (b.close), |v| [v];
    Momentum: |b| (b.close), |v| [v];
    Roc: |b| (b.close), |v| [v];
    Trix: |b| (b.close), |v| [v];
    LinearRegressionSlope: |b| (b.close), |v| [v];
    Ppo: |b| (b.close), |v| [v];
    Rsi: |b| (b.close), |v| [v];
    HistoricalVolatility: |b| (b.close), |v| [v];
    Macd: |b| (b.close), |v| [v.line, v.signal, v.histogram];
    Bollinger: |b| (b.close), |v| [v.upper, v.middle, v.lower];
    StochasticRsi: |b| (b.close), |v| [v.k, v.d];
    Atr: |b| (b), |v| [v];
    Natr: |b| (b), |v| [v];
    Adx: |b| (b), |v| [v];
    PlusDi: |b| (b), |v| [v];
    MinusDi: |b| (b), |v| [v];
    Cci: |b| (b), |v| [v];
    WilliamsR: |b| (b), |v| [v];
    ParabolicSar: |b| (b), |v| [v];
    UltimateOscillator: |b| (b), |v| [v];
    AccumulationDistribution: |b| (b), |v| [v];
    ChaikinOscillator: |b| (b), |v| [v];
    Obv: |b| (b.close, b.volume), |v| [v];
    Mfi: |b| (b), |v| [v];
    Cmf: |b| (b), |v| [v];
    Vwap: |b| (b), |v| [v];
    Aroon: |b| (b), |v| [v.up, v.down, v.oscillator];
    Stochastic: |b| (b), |v| [v.k, v.d];
    Donchian: |b| (b), |v| [v.upper, v.middle, v.lower];
    Keltner: |b| (b), |v| [v.upper, v.middle, v.lower];
    Ichimoku: |b| (b), |v| [v.tenkan, v.kijun, v.span_a, v.span_b];
    Supertrend: |b| (b), |v| [v.line, v.direction];
    HeikinAshi: |b| (b), |v| [v.open, v.high, v.low, v.close];
}

/// Every indicator at a period (above 1), by name.
fn all(n: usize) -> Vec<(&'static str, Box<dyn Single>)> {
    macro_rules! list {
        ($($made:expr),+ $(,)?) => { vec![$((stringify!($made), Box::new($made) as Box<dyn Single>)),+] };
    }
    list![
        Sma::new(n).unwrap(),
        Ema::new(n).unwrap(),
        Wma::new(n).unwrap(),
        Dema::new(n).unwrap(),
        Tema::new(n).unwrap(),
        Kama::new(n).unwrap(),
        Momentum::new(n).unwrap(),
        Roc::new(n).unwrap(),
        Trix::new(n).unwrap(),
        LinearRegressionSlope::new(n).unwrap(),
        Ppo::new(n, 2 * n, Smoothing::Simple).unwrap(),
        Ppo::new(n, 2 * n, Smoothing::Exponential).unwrap(),
        Macd::new(n, 2 * n, n).unwrap(),
        Bollinger::new(n, 2.5).unwrap(),
        Rsi::new(n).unwrap(),
        StochasticRsi::new(n, n, 3).unwrap(),
        HistoricalVolatility::new(n).unwrap(),
        Atr::new(n).unwrap(),
        Natr::new(n).unwrap(),
        Adx::new(n).unwrap(),
        PlusDi::new(n).unwrap(),
        MinusDi::new(n).unwrap(),
        Stochastic::new(n, 3, 3).unwrap(),
        Cci::new(n).unwrap(),
        WilliamsR::new(n).unwrap(),
        Aroon::new(n).unwrap(),
        ParabolicSar::new(0.02, 0.2).unwrap(),
        UltimateOscillator::new(n, 2 * n, 4 * n).unwrap(),
        AccumulationDistribution::new(),
        ChaikinOscillator::new(n, 3 * n).unwrap(),
        Obv::new(),
        Mfi::new(n).unwrap(),
        Cmf::new(n).unwrap(),
        Vwap::new(n).unwrap(),
        Donchian::new(n).unwrap(),
        Keltner::new(n, 2 * n, 1.5).unwrap(),
        Ichimoku::new(n, 2 * n, 3 * n).unwrap(),
        Supertrend::new(n, 3.0).unwrap(),
        HeikinAshi::new(),
    ]
}

/// What TA-Lib has, in the same order of values.
fn expected(n: usize, bars: &[Ohlcv]) -> Vec<(&'static str, Box<dyn Single>, Vec<Option<Vec<f64>>>)> {
    let core = Core::new();
    let column = |number: fn(&Ohlcv) -> f64| bars.iter().map(number).collect::<Vec<f64>>();
    let (h, l) = (&column(|bar| bar.high)[..], &column(|bar| bar.low)[..]);
    let (c, v) = (&column(|bar| bar.close)[..], &column(|bar| bar.volume)[..]);
    let end = bars.len() - 1;
    let p = n as i32;
    let sma = MAType::SMA;
    let mut cases = Vec::new();
    macro_rules! case {
        ($made:expr, |$($out:ident),+| $call:expr) => {{
            $(let mut $out = vec![0.0; bars.len()];)+
            let range: Result<OutRange, RetCode> = { $(let $out = &mut $out[..];)+ $call };
            let range = range.expect("TA-Lib takes the series");
            let mut rows = vec![None; bars.len()];
            for i in 0..range.count {
                rows[range.beg_idx + i] = Some(vec![$($out[i]),+]);
            }
            cases.push((stringify!($made), Box::new($made) as Box<dyn Single>, rows));
        }};
    }
    case!(Sma::new(n).unwrap(), |x| core.sma(0, end, c, p, x));
    case!(Ema::new(n).unwrap(), |x| core.ema(0, end, c, p, x));
    case!(Wma::new(n).unwrap(), |x| core.wma(0, end, c, p, x));
    case!(Dema::new(n).unwrap(), |x| core.dema(0, end, c, p, x));
    case!(Tema::new(n).unwrap(), |x| core.tema(0, end, c, p, x));
    case!(Kama::new(n).unwrap(), |x| core.kama(0, end, c, p, x));
    case!(Momentum::new(n).unwrap(), |x| core.mom(0, end, c, p, x));
    case!(Roc::new(n).unwrap(), |x| core.roc(0, end, c, p, x));
    case!(Trix::new(n).unwrap(), |x| core.trix(0, end, c, p, x));
    case!(LinearRegressionSlope::new(n).unwrap(), |x| core.linearreg_slope(0, end, c, p, x));
    case!(Ppo::new(n, 2 * n, Smoothing::Simple).unwrap(), |x| core.ppo(0, end, c, p, 2 * p, sma, x));
    case!(Ppo::new(n, 2 * n, Smoothing::Exponential).unwrap(), |x| core.ppo(0, end, c, p, 2 * p, MAType::EMA, x));
    case!(Macd::new(n, 2 * n, n).unwrap(), |x, y, z| core.macd(0, end, c, p, 2 * p, p, x, y, z));
    case!(Bollinger::new(n, 2.5).unwrap(), |x, y, z| core.bbands(0, end, c, p, 2.5, 2.5, sma, x, y, z));
    case!(Rsi::new(n).unwrap(), |x| core.rsi(0, end, c, p, x));
    case!(StochasticRsi::new(n, n, 3).unwrap(), |x, y| core.stochrsi(0, end, c, p, p, 3, sma, x, y));
    case!(Atr::new(n).unwrap(), |x| core.atr(0, end, h, l, c, p, x));
    case!(Natr::new(n).unwrap(), |x| core.natr(0, end, h, l, c, p, x));
    case!(Adx::new(n).unwrap(), |x| core.adx(0, end, h, l, c, p, x));
    case!(PlusDi::new(n).unwrap(), |x| core.plus_di(0, end, h, l, c, p, x));
    case!(MinusDi::new(n).unwrap(), |x| core.minus_di(0, end, h, l, c, p, x));
    case!(Stochastic::new(n, 3, 3).unwrap(), |x, y| core.stoch(0, end, h, l, c, p, 3, sma, 3, sma, x, y));
    case!(Cci::new(n).unwrap(), |x| core.cci(0, end, h, l, c, p, x));
    case!(WilliamsR::new(n).unwrap(), |x| core.willr(0, end, h, l, c, p, x));
    case!(ParabolicSar::new(0.02, 0.2).unwrap(), |x| core.sar(0, end, h, l, 0.02, 0.2, x));
    case!(UltimateOscillator::new(n, 2 * n, 4 * n).unwrap(), |x| core.ultosc(0, end, h, l, c, p, 2 * p, 4 * p, x));
    case!(AccumulationDistribution::new(), |x| core.ad(0, end, h, l, c, v, x));
    case!(ChaikinOscillator::new(n, 3 * n).unwrap(), |x| core.adosc(0, end, h, l, c, v, p, 3 * p, x));
    case!(Obv::new(), |x| core.obv(0, end, c, v, x));
    case!(Mfi::new(n).unwrap(), |x| core.mfi(0, end, h, l, c, v, p, x));
    case!(Donchian::new(n).unwrap(), |x, y, z| core.donchian(0, end, h, l, p, x, y, z));
    cases
}

/// Where [`Rsi`], [`StochasticRsi`] and [`Mfi`] follow TA-Lib's C library and not the crate: nothing moved, or next to
/// nothing flowed.
fn differs(name: &str, ours: f64, theirs: f64) -> bool {
    (name.starts_with("Rsi") && ours.abs() < TOLERANCE && (theirs - 50.0).abs() < TOLERANCE)
        || (name.starts_with("Mfi") && ours.abs() < TOLERANCE)
        || name.starts_with("StochasticRsi")
}

fn check_against_ta_lib(series: &str, bars: &[Ohlcv]) {
    let is_plain = series == "walk" || series == "gap";
    for n in [2, 3, 5, 9, 14, 21, 33] {
        for (name, mut single, rows) in expected(n, bars) {
            for (i, (bar, expected)) in bars.iter().zip(&rows).enumerate() {
                let shown = single.show(bar);
                let ours = single.take(bar);
                assert_eq!(shown, ours, "{series}: {name} with {n} at {i}");
                assert_eq!(single.newest(), ours, "{series}: {name} with {n} at {i}");
                assert_eq!(ours.is_some(), expected.is_some(), "{series}: {name} with {n} at {i}");
                let (Some(ours), Some(expected)) = (ours, expected) else { continue };
                assert!(i + 1 >= single.first(), "{series}: {name} with {n} at {i}");
                for (ours, theirs) in ours.iter().zip(expected) {
                    let is_equal = (ours - theirs).abs() <= TOLERANCE * theirs.abs().max(1.0);
                    let is_known = differs(name, *ours, *theirs) && !(is_plain && name.starts_with("Stoch"));
                    assert!(is_equal || is_known, "{series}: {name} with {n} at {i}: {ours} instead of {theirs}");
                }
            }
        }
    }
}

/// Bars around a line of closes.
fn bars(closes: impl IntoIterator<Item = f64>, spread: f64, volume: f64) -> Vec<Ohlcv> {
    let mut before = None;
    let bar = |(i, close): (usize, f64)| {
        let open = before.replace(close).unwrap_or(close);
        let noise = 1.0 + (i * i % 7) as f64 / 7.0;
        let (high, low) = (open.max(close) * (1.0 + spread * noise), open.min(close) * (1.0 - spread * noise));
        Ohlcv { open, high, low, close, volume: (volume * noise * ((i % 5) as f64 + 1.0)).round() }
    };
    closes.into_iter().enumerate().map(bar).collect()
}

/// A walk that depends on its seed alone.
fn walk(seed: u64, n_bars: usize) -> Vec<f64> {
    let mut state = seed;
    let mut price = 50.0;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        price *= 1.0 + 0.03 * ((state >> 33) as f64 / f64::from(1_u32 << 31) * 2.0 - 1.0);
        price
    };
    (0..n_bars).map(next).collect()
}

#[test]
fn straight_lines_and_flats_are_those_of_ta_lib() {
    check_against_ta_lib("rise", &bars((0..300).map(|i| 10.0 + f64::from(i)), 0.01, 1e5));
    check_against_ta_lib("fall", &bars((0..300).map(|i| 400.0 - f64::from(i)), 0.01, 1e5));
    check_against_ta_lib("flat bars", &bars((0..300).map(|_| 10.0), 0.0, 0.0));
    check_against_ta_lib("flat closes", &bars((0..300).map(|_| 16.0), 0.02, 1e4));
}

#[test]
fn walks_are_those_of_ta_lib() {
    for seed in 0..6 {
        check_against_ta_lib("walk", &bars(walk(seed, 300), 0.005, 1e6));
        check_against_ta_lib("without volume", &bars(walk(seed, 200), 0.005, 0.0));
        check_against_ta_lib(
            "one tick",
            &bars(walk(seed, 200).iter().map(|price| (price / 5.0).round() / 100.0), 0.05, 1e5),
        );
        check_against_ta_lib("ties", &bars(walk(seed, 200).iter().map(|price| price.round()), 0.0, 1e5));
        let mut gap = walk(seed, 300);
        gap[150..].iter_mut().for_each(|close| *close *= 0.25);
        check_against_ta_lib("gap", &bars(gap.clone(), 0.005, 1e6));
        gap[100] *= 100.0;
        check_against_ta_lib("outlier", &bars(gap, 0.005, 1e6));
    }
}

#[test]
fn every_length_up_to_the_warm_up_is_that_of_ta_lib() {
    for n_bars in 1..140 {
        check_against_ta_lib("length", &bars(walk(7, n_bars), 0.005, 1e6));
    }
}

#[test]
fn the_first_value_comes_when_the_warm_up_is_over() {
    for n in [2, 3, 14, 21] {
        for (name, mut single) in all(n) {
            let first = single.first();
            for (i, bar) in bars(walk(3, first + 2), 0.01, 1e5).iter().enumerate() {
                assert_eq!(single.take(bar).is_some(), i + 1 >= first, "{name} with {n} at {i}, first {first}");
            }
        }
    }
}

#[test]
fn impossible_parameters_have_their_error() {
    let check = |error: Option<ParameterError>, expected: &str| {
        assert_eq!(error.map(|error| error.to_string()).as_deref(), Some(expected));
    };
    check(Sma::new(0).err(), "time_period 0 of SMA is outside 1 to 100000");
    check(Rsi::new(1).err(), "period 1 of RSI is outside 2 to 4096");
    check(Sma::new(usize::MAX).err(), "time_period 2147483647 of SMA is outside 1 to 100000");
    check(Tema::new(5000).err(), "TEMA needs 14998 bars for its first value, at most 4096 are allowed");
    check(Bollinger::new(20, f64::NAN).err(), "nb_dev_up NaN of BBANDS is outside -3e37 to 3e37");
    check(Supertrend::new(10, 0.0).err(), "factor 0 of Supertrend is outside 0 to 1000");
    check(Ichimoku::new(9, 0, 52).err(), "base 0 of Ichimoku is outside 1 to 4096");
    check(Keltner::new(20, 0, 2.0).err(), "time_period 0 of ATR is outside 1 to 100000");
}

fn any_bar() -> impl Strategy<Value = Ohlcv> {
    let price = prop_oneof![4 => 1.0..200.0, 2 => Just(10.1), 1 => 1e-3..1e6, 1 => 1e-300..1e300];
    let volume = prop_oneof![4 => 0.0..1e7, 1 => Just(0.0), 1 => 0.0..1e300];
    (price.clone(), price, 0.0..0.1, 0.0..0.1, volume).prop_map(
        |(open, close, up, down, volume): (f64, f64, _, _, _)| Ohlcv {
            open,
            high: open.max(close) * (1.0 + up),
            low: open.min(close) * (1.0 - down),
            close,
            volume,
        },
    )
}

fn hostile() -> impl Strategy<Value = Ohlcv> {
    let number = prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(0.0), Just(f64::MAX), any::<f64>()];
    proptest::array::uniform5(number).prop_map(|[open, high, low, close, volume]| Ohlcv {
        open,
        high,
        low,
        close,
        volume,
    })
}

fn bits(value: Option<Vec<f64>>) -> Option<Vec<u64>> {
    value.map(|numbers| numbers.into_iter().map(f64::to_bits).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn amend_shows_what_update_gives_and_changes_nothing(
        history in proptest::collection::vec(any_bar(), 0..120),
        forming in proptest::collection::vec(any_bar(), 1..4),
        n in 2..12_usize,
    ) {
        for (name, mut single) in all(n) {
            history.iter().for_each(|bar| { single.take(bar); });
            let newest = bits(single.newest());
            for bar in &forming {
                let shown = bits(single.show(bar));
                prop_assert_eq!(&bits(single.newest()), &newest, "{}", name);
                prop_assert_eq!(shown, bits(single.copy().take(bar)), "{}", name);
            }
        }
    }

    #[test]
    fn what_is_refused_leaves_no_trace(
        history in proptest::collection::vec(any_bar(), 0..60),
        refused in proptest::collection::vec(hostile(), 1..20),
        rest in proptest::collection::vec(any_bar(), 1..20),
    ) {
        let refused: Vec<Ohlcv> = refused.into_iter().filter(|bar| !bar.close.is_finite()).collect();
        for (name, mut single) in all(5) {
            history.iter().for_each(|bar| { single.take(bar); });
            let mut copy = single.copy();
            for bar in &refused {
                prop_assert_eq!(single.show(bar), None, "{}", name);
                prop_assert_eq!(single.take(bar), None, "{}", name);
                prop_assert_eq!(bits(single.newest()), bits(copy.newest()), "{}", name);
            }
            for bar in &rest {
                prop_assert_eq!(bits(single.take(bar)), bits(copy.take(bar)), "{}", name);
            }
        }
    }

    #[test]
    fn nothing_panics_and_no_value_is_infinite(bars in proptest::collection::vec(prop_oneof![any_bar(), hostile()], 0..80)) {
        for (name, mut single) in all(4) {
            for bar in &bars {
                let shown = bits(single.show(bar));
                let value = single.take(bar);
                prop_assert!(value.iter().flatten().all(|number| number.is_finite()), "{}", name);
                prop_assert_eq!(shown, bits(value), "{}", name);
            }
        }
    }
}
