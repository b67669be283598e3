//! Every column that TA-Lib has, against the crate `ta-lib` on generated series, bar by bar and at the last bar alone.
//!
//! Two columns differ on purpose, see [`differs`].

#![expect(clippy::many_single_char_names, reason = "the names of the columns of a bar, as TA-Lib writes them")]
#![expect(clippy::type_complexity, reason = "the signatures of TA-Lib")]

use indicator::{Slot, Values, plan, recompute};
use schemas::{Bar, BarFlags, EventTime};
use ta_lib::{Core, MAType, OutRange, RetCode};

const TOLERANCE: f64 = 1e-9;

type Expected = (&'static str, Vec<Option<f64>>);

#[derive(Default)]
struct Series {
    open: Vec<f64>,
    high: Vec<f64>,
    low: Vec<f64>,
    close: Vec<f64>,
    volume: Vec<f64>,
}

impl Series {
    /// Bars around a line of closes: `spread` of the price above and below, rounded to cents.
    fn new(closes: impl IntoIterator<Item = f64>, spread: f64, volume: f64) -> Self {
        let cents = |price: f64| (price * 100.0).round() / 100.0;
        let mut series = Self::default();
        let mut open = f64::NAN;
        for (i, close) in closes.into_iter().map(cents).enumerate() {
            let before = if open.is_nan() { close } else { open };
            let noise = 1.0 + (i * i % 7) as f64 / 7.0;
            series.open.push(before);
            series.high.push(cents(before.max(close) * (1.0 + spread * noise)));
            series.low.push(cents(before.min(close) * (1.0 - spread * noise)).max(0.01));
            series.close.push(close);
            series.volume.push((volume * noise * ((i % 5) as f64 + 1.0)).round());
            open = close;
        }
        series
    }

    fn bars(&self) -> Vec<Bar> {
        let bar = |i: usize| Bar {
            open_time: EventTime::from_days(i32::try_from(i).expect("TA-Lib takes the series")),
            open: self.open[i],
            high: self.high[i],
            low: self.low[i],
            close: self.close[i],
            volume: self.volume[i],
            revision: 0,
            flags: BarFlags::FINAL,
        };
        (0..self.close.len()).map(bar).collect()
    }

    fn expected(&self) -> Vec<Expected> {
        let core = Core::new();
        let (h, l, c, v) = (&self.high[..], &self.low[..], &self.close[..], &self.volume[..]);
        let n = c.len();
        let end = n - 1;
        let one = |call: &dyn Fn(&mut [f64]) -> Result<OutRange, RetCode>| {
            let mut out = vec![0.0; n];
            let range = call(&mut out).expect("TA-Lib takes the series");
            placed(n, range, &out)
        };
        let two = |call: &dyn Fn(&mut [f64], &mut [f64]) -> Result<OutRange, RetCode>| {
            let (mut a, mut b) = (vec![0.0; n], vec![0.0; n]);
            let range = call(&mut a, &mut b).expect("TA-Lib takes the series");
            [a, b].map(|out| placed(n, range, &out))
        };
        let three = |call: &dyn Fn(&mut [f64], &mut [f64], &mut [f64]) -> Result<OutRange, RetCode>| {
            let (mut a, mut b, mut d) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
            let range = call(&mut a, &mut b, &mut d).expect("TA-Lib takes the series");
            [a, b, d].map(|out| placed(n, range, &out))
        };
        let sma = MAType::SMA;
        let [macd, signal, histogram] = three(&|x, y, z| core.macd(0, end, c, 12, 26, 9, x, y, z));
        let [upper, middle, lower] = three(&|x, y, z| core.bbands(0, end, c, 20, 2.0, 2.0, sma, x, y, z));
        let [stoch_k, stoch_d] = two(&|x, y| core.stoch(0, end, h, l, c, 14, 3, sma, 3, sma, x, y));
        let [fast5, slow5] = two(&|x, y| core.stochrsi(0, end, c, 14, 5, 3, sma, x, y));
        let [fast14, slow14] = two(&|x, y| core.stochrsi(0, end, c, 14, 14, 3, sma, x, y));
        let [down, up] = two(&|x, y| core.aroon(0, end, h, l, 25, x, y));
        vec![
            ("sma10", one(&|x| core.sma(0, end, c, 10, x))),
            ("sma20", one(&|x| core.sma(0, end, c, 20, x))),
            ("sma50", one(&|x| core.sma(0, end, c, 50, x))),
            ("sma200", one(&|x| core.sma(0, end, c, 200, x))),
            ("ema8", one(&|x| core.ema(0, end, c, 8, x))),
            ("ema21", one(&|x| core.ema(0, end, c, 21, x))),
            ("ema50", one(&|x| core.ema(0, end, c, 50, x))),
            ("rsi14", one(&|x| core.rsi(0, end, c, 14, x))),
            ("macd", macd),
            ("macd_signal", signal),
            ("macd_hist", histogram),
            ("trange", one(&|x| core.trange(0, end, h, l, c, x))),
            ("atr14", one(&|x| core.atr(0, end, h, l, c, 14, x))),
            ("natr14", one(&|x| core.natr(0, end, h, l, c, 14, x))),
            ("plus_di14", one(&|x| core.plus_di(0, end, h, l, c, 14, x))),
            ("minus_di14", one(&|x| core.minus_di(0, end, h, l, c, 14, x))),
            ("adx14", one(&|x| core.adx(0, end, h, l, c, 14, x))),
            ("bb_upper20", upper),
            ("bb_mid20", middle),
            ("bb_lower20", lower),
            ("stoch_k", stoch_k),
            ("stoch_d", stoch_d),
            ("stochrsi_14_5_3_k", fast5),
            ("stochrsi_14_5_3_d", slow5),
            ("stochrsi_14_14_3_k", fast14),
            ("stochrsi_14_14_3_d", slow14),
            ("cci20", one(&|x| core.cci(0, end, h, l, c, 20, x))),
            ("mfi14", one(&|x| core.mfi(0, end, h, l, c, v, 14, x))),
            ("obv", one(&|x| core.obv(0, end, c, v, x))),
            ("willr14", one(&|x| core.willr(0, end, h, l, c, 14, x))),
            ("roc10", one(&|x| core.roc(0, end, c, 10, x))),
            ("mom10", one(&|x| core.mom(0, end, c, 10, x))),
            ("trix15", one(&|x| core.trix(0, end, c, 15, x))),
            ("trix30", one(&|x| core.trix(0, end, c, 30, x))),
            ("ultosc_7_14_28", one(&|x| core.ultosc(0, end, h, l, c, 7, 14, 28, x))),
            ("aroon_up25", up),
            ("aroon_down25", down),
            ("aroonosc25", one(&|x| core.aroonosc(0, end, h, l, 25, x))),
            ("sar_002_02", one(&|x| core.sar(0, end, h, l, 0.02, 0.2, x))),
            ("kama10", one(&|x| core.kama(0, end, c, 10, x))),
            ("kama30", one(&|x| core.kama(0, end, c, 30, x))),
            ("ad", one(&|x| core.ad(0, end, h, l, c, v, x))),
            ("adosc_3_10", one(&|x| core.adosc(0, end, h, l, c, v, 3, 10, x))),
            ("ppo_12_26_sma", one(&|x| core.ppo(0, end, c, 12, 26, sma, x))),
            ("ppo_12_26_ema", one(&|x| core.ppo(0, end, c, 12, 26, MAType::EMA, x))),
            ("linreg_slope20", one(&|x| core.linearreg_slope(0, end, c, 20, x))),
            ("donchian_up20", one(&|x| core.max(0, end, h, 20, x))),
            ("donchian_lo20", one(&|x| core.min(0, end, l, 20, x))),
        ]
    }
}

fn placed(n: usize, range: OutRange, out: &[f64]) -> Vec<Option<f64>> {
    let mut values = vec![None; n];
    for (i, value) in out.iter().take(range.count).enumerate() {
        values[range.beg_idx + i] = Some(*value);
    }
    values
}

/// Where we follow TA-Lib's C library 0.8.1, with which the golden vectors were made, and the crate 0.8.3 does otherwise:
/// RSI of closes that never moved is 0 and not 50, and MFI of less than one unit of currency is 0.
fn differs(column: &str, ours: f64, theirs: f64) -> bool {
    (column == "rsi14" && ours.abs() < TOLERANCE && (theirs - 50.0).abs() < TOLERANCE)
        || (column == "mfi14" && ours.abs() < TOLERANCE && theirs > 0.0)
}

/// Whether RSI stood still but for rounding in one of the windows that its stochastic shows, which is noise on any side.
fn is_rounding(rsis: &[f64]) -> bool {
    let newest = &rsis[rsis.len().saturating_sub(16)..];
    newest.windows(5).any(|window| window.iter().all(|rsi| (rsi - window[0]).abs() < 1e-6))
}

fn check(name: &str, series: &Series) {
    let bars = series.bars();
    let mut slot = Slot::default();
    let rows: Vec<Values> = bars.iter().map(|bar| slot.close(bar)).collect();
    let last = recompute(&bars).expect("there are bars");
    let price_max = series.high.iter().fold(0.0_f64, |max, high| max.max(*high));
    let volume_sum: f64 = series.volume.iter().sum();
    let plan = plan();
    let rsi = plan.index_of("rsi14").expect("is a column");
    let rsis: Vec<f64> = rows.iter().filter_map(|row| row.get(rsi)).collect();
    let rsis = [vec![0.0; bars.len() - rsis.len()], rsis].concat();
    for (column, expected) in series.expected() {
        let at = plan.index_of(column).expect("is a column");
        // The rounding of what a value is the small difference of: TA-Lib's running sums keep an outlier, and the oscillator
        // subtracts totals.
        let noise = if column == "adosc_3_10" { volume_sum } else { price_max } * 1e-3;
        for (i, (row, expected)) in rows.iter().zip(&expected).enumerate() {
            if column.starts_with("stochrsi") && is_rounding(&rsis[..=i]) {
                continue;
            }
            let ours = row.get(at);
            let is_equal = match (ours, *expected) {
                (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE * b.abs().max(1.0).max(noise) || differs(column, a, b),
                (a, b) => a.is_none() && b.is_none(),
            };
            assert!(is_equal, "{name}: {column} at bar {i} of {}: {ours:?} instead of {expected:?}", bars.len());
        }
        let [at_last, closed] = [last, *rows.last().expect("there are bars")].map(|row| row.as_slice()[at].to_bits());
        assert_eq!(at_last, closed, "{name}: {column}");
    }
}

/// A walk that depends on its seed alone.
fn walk(seed: u64, n_bars: usize, step: f64) -> Vec<f64> {
    let mut state = seed;
    let mut price = 50.0;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        price *= 1.0 + step * ((state >> 33) as f64 / f64::from(1_u32 << 31) * 2.0 - 1.0);
        price
    };
    (0..n_bars).map(next).collect()
}

#[test]
fn straight_lines_and_flats() {
    check("rise", &Series::new((0..300).map(|i| 10.0 + f64::from(i)), 0.01, 1e5));
    check("fall", &Series::new((0..300).map(|i| 400.0 - f64::from(i)), 0.01, 1e5));
    check("flat bars", &Series::new((0..300).map(|_| 10.1), 0.0, 0.0));
    check("flat closes", &Series::new((0..300).map(|_| 10.1), 0.02, 1e4));
    check("flat, then a rise", &Series::new((0..300).map(|i| 10.0 + f64::from(i.max(150))), 0.01, 1e5));
    check("fall, then flat", &Series::new((0..300).map(|i| 300.0 - f64::from(i.min(150))), 0.01, 1e5));
}

#[test]
fn walks() {
    for seed in 0..20 {
        check("walk", &Series::new(walk(seed, 500, 0.03), 0.005, 1e6));
        check("without volume", &Series::new(walk(seed, 300, 0.03), 0.005, 0.0));
        check("one-tick prices", &Series::new(walk(seed, 300, 0.03).iter().map(|price| price / 500.0), 0.05, 1e5));
        check("ties", &Series::new(walk(seed, 300, 0.03).iter().map(|price| price.round()), 0.0, 1e5));
    }
}

#[test]
fn gaps_and_an_outlier() {
    for seed in 0..10 {
        let mut closes = walk(seed, 400, 0.02);
        closes[200..].iter_mut().for_each(|close| *close *= 0.25);
        check("gap", &Series::new(closes.clone(), 0.005, 1e6));
        closes[100] *= 100.0;
        check("outlier", &Series::new(closes, 0.005, 1e6));
    }
}

#[test]
fn lengths_around_the_warm_up() {
    for n_bars in (1..=32).chain([34, 35, 44, 50, 51, 88, 89, 199, 200, 252, 253, 254]) {
        check("length", &Series::new(walk(7, n_bars, 0.03), 0.005, 1e6));
    }
}
