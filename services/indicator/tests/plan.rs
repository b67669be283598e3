//! What a plan's columns beyond the native ones promise, through the stage and through a slot of their own.

#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(clippy::needless_for_each, reason = "shorter")]

use std::collections::BTreeSet;

use indicator::{IndicatorOptions, IndicatorPlan, IndicatorStage, PlanBuilder, need, plan};
use pipeline::{Restore, Stage};
use proptest::prelude::*;
use schemas::{Bar, BarBatchBuilder, BarFlags, EventTime, FeatureBatch, Header, Message, Partition, Symbol, Timeframe};
use ta_lib::Core;
use ta_lib::abstract_api::{self, FuncInfo, InputType, OutputType};

/// The functions that a plan does not take, because they count from the first bar.
const UNBOUNDED: [&str; 13] =
    ["AD", "ASI", "CUMSUM", "MAXINDEX", "MININDEX", "MINMAXINDEX", "NVI", "OBV", "PVI", "PVT", "VWAP", "WAD", "ZIGZAG"];

/// Of every kind, none with a warm-up above 34, so that 1,024 bars are kept: own formulas, functions of TA-Lib with several values, with memory, of volume, and the session's.
const MIXED: &[&str] = &[
    "rsi(9)",
    "macd(5, 20, 5)",
    "mine = supertrend(10, 3)",
    "vwap(7)",
    "ta:CDLENGULFING",
    "ta:WMA(period=30, in=volume)",
    "ta:BBANDS(5)",
    "ta:ATR(5)",
    // So long a memory, and such rounding, that it shows which bars are kept.
    "ta:SWAK_BP",
    "ta:VIDYA",
    "sma(7)",
    "anchored_vwap(from=1970-01-03)",
    "session_vwap",
    "rvol_at_time(2)",
];

fn mixed() -> IndicatorPlan {
    IndicatorOptions { extra: MIXED.iter().map(|&text| text.to_owned()).collect() }.plan().unwrap()
}

/// A walk that depends on its seed alone, a bar a day.
fn walk(seed: u64, n_bars: usize) -> Vec<Bar> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let mut close = 50.0;
    let bar = |day: usize| {
        let open = close * (1.0 + 0.01 * (next() - 0.5));
        close = open * (1.0 + 0.04 * (next() - 0.5));
        let (high, low) = (open.max(close) * (1.0 + 0.02 * next()), open.min(close) * (1.0 - 0.02 * next()));
        let open_time = EventTime::from_days(i32::try_from(day).unwrap());
        let volume = (next() * 1e6).round();
        Bar { open_time, open, high, low, close, volume, revision: 0, flags: BarFlags::FINAL }
    };
    (0..n_bars).map(bar).collect()
}

fn bits(row: &[f64]) -> Vec<u64> {
    row.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn without_extras_a_plan_is_the_full_list() {
    assert_eq!(IndicatorPlan::default().columns(), &plan());
    assert_eq!(IndicatorOptions::default().plan().unwrap().columns(), &plan());
    assert_eq!(PlanBuilder::new().rsi(14).macd(12, 26, 9).bollinger(20, 2.0).build().unwrap().columns(), &plan());
}

#[test]
fn a_plan_can_be_small() {
    let plan = PlanBuilder::empty().rsi(14).native("obv").rsi(9).sma(20).build().unwrap();
    assert_eq!(plan.columns().columns(), ["sma20", "rsi14", "obv", "rsi9"]);
    assert_eq!((plan.need("rsi14"), plan.need("rsi9"), plan.need("sma50")), (need("rsi14"), Some(10), None));
    let (mut slot, mut full) = (plan.start(Timeframe::D1), IndicatorPlan::default().start(Timeframe::D1));
    for bar in walk(1, 40) {
        let (row, all) = (slot.close(&bar), full.close(&bar));
        let at = |name| all[indicator::plan().index_of(name).unwrap()];
        assert_eq!(bits(&row[..3]), bits(&[at("sma20"), at("rsi14"), at("obv")]));
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let extra = ["rsy(9)", "rsi(9)", "fast = rsi(9)", "fast = rsi(8)", "rsi14 = rsi(9)", "ta:WMA(0)"];
    let options = IndicatorOptions { extra: extra.map(str::to_owned).to_vec() };
    let errors = options.plan().unwrap_err();
    let texts: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 4, "{texts:#?}");
    assert!(texts[0].starts_with("`rsy` in `rsy(9)` is no indicator; there are sma, ema, "), "{}", texts[0]);
    assert_eq!(texts[1], "column `fast` of `fast = rsi(8)` exists already; give it a name of its own");
    assert_eq!(texts[2], "column `rsi14` of `rsi14 = rsi(9)` exists already; give it a name of its own");
    assert_eq!(texts[3], "`ta:WMA(0)` cannot be computed");
    let unknown = PlanBuilder::empty().native("rsi15").build().unwrap_err();
    assert_eq!(unknown.to_string(), "there is no native column `rsi15`");
}

/// Every formula at the parameters of the native columns gives their numbers.
#[test]
fn the_formulas_are_those_of_the_native_columns() {
    let mut builder = PlanBuilder::new();
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("sma(50)", &[("", "sma50")]),
        ("ema(21)", &[("", "ema21")]),
        ("kama(30)", &[("", "kama30")]),
        ("rsi", &[("", "rsi14")]),
        ("macd", &[("_line", "macd"), ("_signal", "macd_signal"), ("_hist", "macd_hist")]),
        ("atr", &[("", "atr14")]),
        ("natr", &[("", "natr14")]),
        ("plus_di", &[("", "plus_di14")]),
        ("minus_di", &[("", "minus_di14")]),
        ("adx", &[("", "adx14")]),
        ("bollinger", &[("_upper", "bb_upper20"), ("_mid", "bb_mid20"), ("_lower", "bb_lower20")]),
        ("stochastic", &[("_k", "stoch_k"), ("_d", "stoch_d")]),
        ("stochrsi", &[("_k", "stochrsi_14_5_3_k"), ("_d", "stochrsi_14_5_3_d")]),
        ("cci", &[("", "cci20")]),
        ("mfi", &[("", "mfi14")]),
        ("willr", &[("", "willr14")]),
        ("roc", &[("", "roc10")]),
        ("mom", &[("", "mom10")]),
        ("trix", &[("", "trix15")]),
        ("ultosc", &[("", "ultosc_7_14_28")]),
        ("aroon", &[("_up", "aroon_up25"), ("_down", "aroon_down25"), ("_osc", "aroonosc25")]),
        ("sar", &[("", "sar_002_02")]),
        ("adosc", &[("", "adosc_3_10")]),
        ("ppo_sma", &[("", "ppo_12_26_sma")]),
        ("ppo_ema", &[("", "ppo_12_26_ema")]),
        ("linreg_slope", &[("", "linreg_slope20")]),
        ("cmf", &[("", "cmf20")]),
        ("vwap", &[("", "vwap20")]),
        ("donchian", &[("_up", "donchian_up20"), ("_mid", "donchian_mid20"), ("_lo", "donchian_lo20")]),
        ("keltner", &[("_up", "keltner_up20"), ("_mid", "keltner_mid20"), ("_lo", "keltner_lo20")]),
        ("hv", &[("", "hv20")]),
        ("supertrend", &[("_line", "supertrend"), ("_direction", "supertrend_direction")]),
        ("ichimoku", &[("_tenkan", "ichimoku_tenkan"), ("_kijun", "ichimoku_kijun"), ("_span_b", "ichimoku_span_b")]),
    ];
    for (i, (text, _)) in cases.iter().enumerate() {
        builder = builder.extra(format!("x{i} = {text}"));
    }
    let plan = builder.build().unwrap();
    let mut pairs = Vec::new();
    for (i, (_, columns)) in cases.iter().enumerate() {
        for (suffix, native) in *columns {
            let own = plan.columns().index_of(&format!("x{i}{suffix}")).unwrap_or_else(|| panic!("x{i}{suffix}"));
            pairs.push((native, plan.columns().index_of(native).unwrap(), own));
        }
    }
    let mut flat = walk(8, 1500);
    flat[700..760].iter_mut().for_each(|bar| {
        let price = bar.close;
        (bar.open, bar.high, bar.low, bar.volume) = (price, price, price, 0.0);
    });
    for history in [walk(7, 2500), flat] {
        let mut slot = plan.start(Timeframe::D1);
        for (i, bar) in history.iter().enumerate() {
            let row = slot.close(bar);
            for &(name, native, own) in &pairs {
                let (native, own) = (row[native], row[own]);
                // The lines of Ichimoku start together; the oscillator is the small difference of totals.
                let is_late = name.starts_with("ichimoku") && own.is_nan() && i < 52;
                let tolerance = if *name == "adosc_3_10" { 1e-3 } else { 1e-8 * native.abs().max(1.0) };
                let is_equal = (native - own).abs() <= tolerance || (native.is_nan() && own.is_nan());
                assert!(is_equal || is_late, "{name} at {i}: {own} instead of {native}");
            }
        }
    }
}

/// TA-Lib's batch of a function with its defaults, by output.
fn batch(info: &'static FuncInfo, bars: &[Bar]) -> Vec<Vec<f64>> {
    let core = Core::new();
    let column = |number: fn(&Bar) -> f64| bars.iter().map(number).collect::<Vec<f64>>();
    let [open, high, low] = [column(|bar| bar.open), column(|bar| bar.high), column(|bar| bar.low)];
    let [close, volume] = [column(|bar| bar.close), column(|bar| bar.volume)];
    let mut call = info.id.new_call(&core);
    for (slot, input) in info.inputs.iter().enumerate() {
        match input.kind {
            InputType::Price => {
                call.set_price_input(slot, Some(&open), Some(&high), Some(&low), Some(&close), Some(&volume), None)
            }
            _ => call.set_input(slot, &close),
        }
        .unwrap();
    }
    let n = bars.len();
    let mut reals: Vec<Vec<f64>> = info.outputs.iter().map(|_| vec![0.0; n]).collect();
    let mut integers: Vec<Vec<i32>> = info.outputs.iter().map(|_| vec![0; n]).collect();
    for (i, ((output, real), integer)) in info.outputs.iter().zip(&mut reals).zip(&mut integers).enumerate() {
        match output.kind {
            OutputType::Real => call.set_output(i, real),
            OutputType::Integer => call.set_int_output(i, integer),
        }
        .unwrap();
    }
    let range = call.call(0, n - 1).unwrap();
    let mut columns = Vec::new();
    for ((output, real), integer) in info.outputs.iter().zip(reals).zip(integers) {
        let values: Vec<f64> = match output.kind {
            OutputType::Real => real,
            OutputType::Integer => integer.into_iter().map(f64::from).collect(),
        };
        let mut column = vec![f64::NAN; n];
        column[range.beg_idx..][..range.count].copy_from_slice(&values[..range.count]);
        columns.push(column);
    }
    columns
}

#[test]
fn every_function_of_ta_lib_gives_what_its_batch_gives() {
    let functions: Vec<_> = abstract_api::funcs().filter(|info| !UNBOUNDED.contains(&info.name)).collect();
    assert_eq!(functions.len(), 224);
    let bars = walk(5, 400);
    let builder =
        functions.iter().fold(PlanBuilder::empty(), |builder, info| builder.extra(format!("ta:{}", info.name)));
    let mut slot = builder.build().unwrap().start(Timeframe::D1);
    let rows: Vec<Vec<f64>> = bars.iter().map(|bar| slot.close(bar)).collect();
    let mut at = 0;
    for info in functions {
        for (output, column) in batch(info, &bars).iter().enumerate() {
            for (i, (row, expected)) in rows.iter().zip(column).enumerate() {
                let expected = if expected.is_finite() { *expected } else { f64::NAN };
                let ours = row[at];
                let is_equal = ours.to_bits() == expected.to_bits()
                    || (ours.is_nan() && expected.is_nan())
                    || (ours - expected).abs() <= 1e-12 * expected.abs();
                assert!(is_equal, "{} {output} at {i}: {ours} instead of {expected}", info.name);
            }
            at += 1;
        }
    }
    assert_eq!(at, rows[0].len());
}

/// The seed that is forgotten on the way has faded.
#[test]
fn functions_with_memory_do_not_notice_that_old_bars_are_forgotten() {
    let bars = walk(6, 9000);
    for info in abstract_api::funcs().filter(|info| !UNBOUNDED.contains(&info.name)) {
        check_memory(&format!("ta:{}", info.name), &batch(info, &bars), &bars, 1e-9);
    }
    let close: Vec<f64> = bars.iter().map(|bar| bar.close).collect();
    let core = Core::new();
    for (text, tolerance, fill) in [
        (
            "kama(10)",
            1e-9,
            Box::new(|out: &mut [f64]| core.kama(0, 8999, &close, 10, out)) as Box<dyn Fn(&mut [f64]) -> _>,
        ),
        ("rsi(100)", 1e-9, Box::new(|out: &mut [f64]| core.rsi(0, 8999, &close, 100, out))),
        ("ema(500)", 1e-6, Box::new(|out: &mut [f64]| core.ema(0, 8999, &close, 500, out))),
    ] {
        let mut out = vec![0.0; bars.len()];
        let range = fill(&mut out).unwrap();
        let column = [vec![f64::NAN; range.beg_idx], out[..range.count].to_vec()].concat();
        check_memory(text, &[column], &bars, tolerance);
    }
}

/// Compares with what has seen all bars, relative to the usual size of a value.
fn check_memory(text: &str, columns: &[Vec<f64>], bars: &[Bar], tolerance: f64) {
    let mut slot = PlanBuilder::empty().extra(text).build().unwrap().start(Timeframe::D1);
    let rows: Vec<Vec<f64>> = bars.iter().map(|bar| slot.close(bar)).collect();
    for (at, column) in columns.iter().enumerate() {
        let sizes = column.iter().filter(|value| value.is_finite()).map(|value| value.abs());
        let size = (sizes.sum::<f64>() / bars.len() as f64).max(1e-9);
        for (i, (row, expected)) in rows.iter().zip(column).enumerate() {
            let is_equal = (row[at] - expected).abs() <= tolerance * size;
            assert!(is_equal || !expected.is_finite(), "{text} {at} at {i}: {} instead of {expected}", row[at]);
        }
    }
}

fn symbol() -> Symbol {
    Symbol::new("AAA").unwrap()
}

fn feed(stage: &mut IndicatorStage, rows: &[Bar]) -> FeatureBatch {
    let partition = Partition::of(symbol());
    let mut builder = BarBatchBuilder::new(partition);
    rows.iter().for_each(|&bar| builder.push(symbol(), bar));
    let batch = builder.finish(Header {
        timeframe: Timeframe::D1,
        partition,
        epoch: 1,
        seq: 1,
        event_time: EventTime(0),
        ingest_time: EventTime(7),
        source: "test".to_owned(),
        watermark: None,
    });
    let mut out = Vec::new();
    stage.on_batch(batch, &mut out).unwrap();
    out.pop().unwrap()
}

#[test]
fn the_stage_gives_the_rows_of_the_slot_and_refuses_the_state_of_another_plan() {
    let plan = mixed();
    let mut stage = IndicatorStage::with_plan(plan.clone());
    let mut slot = plan.start(Timeframe::D1);
    let history = walk(3, 700);
    for rows in history.chunks(9) {
        let features = feed(&mut stage, rows);
        assert_eq!((features.plan(), features.n_columns()), (plan.columns().hash(), plan.columns().len()));
        for (i, bar) in rows.iter().enumerate() {
            let row: Vec<f64> = (0..features.n_columns()).map(|at| features.column(at)[i]).collect();
            assert_eq!(bits(&row), bits(&slot.close(bar)));
        }
    }
    let partition = Partition::of(symbol());
    let snapshot = stage.snapshot(partition);
    let refused =
        |plan: IndicatorPlan| IndicatorStage::with_plan(plan).restore(partition, &snapshot).unwrap_err().reason;
    assert_eq!(refused(IndicatorPlan::default()), "snapshot_layout");
    let other = MIXED.iter().map(|text| text.replace("supertrend(10, 3)", "supertrend(10, 2)"));
    let other = IndicatorOptions { extra: other.collect() }.plan().unwrap();
    assert_eq!(other.columns(), plan.columns(), "the names alone do not tell them apart");
    assert_eq!(refused(other), "snapshot_layout");
}

fn any_bar() -> impl Strategy<Value = Bar> {
    let price = prop_oneof![4 => 1.0..200.0, 2 => Just(10.1), 1 => 1e-3..1e6];
    let volume = prop_oneof![4 => 0.0..1e7, 1 => Just(0.0)];
    let is_start = prop_oneof![40 => Just(false), 1 => Just(true)];
    let is_close_only = prop_oneof![30 => Just(false), 1 => Just(true)];
    (price.clone(), price, 0.0..0.1, 0.0..0.1, volume, is_start, is_close_only).prop_map(
        |(open, close, up, down, volume, is_start, is_close_only): (f64, f64, f64, f64, f64, bool, bool)| {
            let start = if is_start { BarFlags::SEGMENT_START } else { BarFlags::empty() };
            let bar = Bar {
                open_time: EventTime(0),
                open,
                high: open.max(close) * (1.0 + up),
                low: open.min(close) * (1.0 - down),
                close,
                volume,
                revision: 0,
                flags: BarFlags::FINAL.with(start),
            };
            if is_close_only { close_only(&bar) } else { bar }
        },
    )
}

fn close_only(bar: &Bar) -> Bar {
    let nan = f64::NAN;
    Bar { open: nan, high: nan, low: nan, flags: bar.flags.with(BarFlags::CLOSE_ONLY), ..*bar }
}

/// Day after day, behind a walk of none or enough days for bars to be forgotten on the way.
fn any_history(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Bar>> {
    let n_before = prop_oneof![Just(0), 0..300_usize, 2000..2100_usize, 3060..3090_usize];
    (0..1000_u64, n_before, proptest::collection::vec(any_bar(), n)).prop_map(|(seed, n_before, bars)| {
        let mut history = walk(seed, n_before);
        history.extend(bars);
        (0..).zip(&mut history).for_each(|(day, bar)| bar.open_time = EventTime::from_days(day));
        history
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn amend_shows_what_close_gives_and_leaves_no_trace(history in any_history(0..60), forming in any_bar()) {
        let plan = mixed();
        let mut slot = plan.start(Timeframe::D1);
        history.iter().for_each(|bar| drop(slot.close(bar)));
        let day = i32::try_from(history.len()).unwrap();
        let forming = Bar { open_time: EventTime::from_days(day), ..forming };
        let recomputed = plan.recompute(Timeframe::D1, history.iter().chain([&forming]));
        let shown = slot.amend(&forming);
        prop_assert_eq!(bits(&recomputed.unwrap()), bits(&shown));
        prop_assert_eq!(bits(&shown), bits(&slot.amend(&forming)));
        prop_assert_eq!(bits(&shown), bits(&slot.close(&forming)));
    }

    #[test]
    fn a_correction_leaves_what_the_right_bar_would_have(
        history in any_history(0..60),
        wrong in proptest::collection::vec(any_bar(), 1..3),
        right in any_bar(),
        rest in proptest::collection::vec(any_bar(), 1..20),
    ) {
        let plan = mixed();
        let at = |bar: &Bar, day: usize| Bar { open_time: EventTime::from_days(i32::try_from(day).unwrap()), ..*bar };
        let mut corrected = plan.start(Timeframe::D1);
        let mut expected = plan.start(Timeframe::D1);
        for bar in &history {
            corrected.close(bar);
            expected.close(bar);
        }
        let n = history.len();
        corrected.close(&at(&wrong[0], n));
        wrong[1..].iter().for_each(|bar| drop(corrected.correct(&at(bar, n))));
        prop_assert_eq!(bits(&corrected.correct(&at(&right, n))), bits(&expected.close(&at(&right, n))));
        for (i, bar) in rest.iter().enumerate() {
            let bar = at(bar, n + 1 + i);
            prop_assert_eq!(bits(&corrected.amend(&bar)), bits(&expected.amend(&bar)));
            prop_assert_eq!(bits(&corrected.close(&bar)), bits(&expected.close(&bar)));
        }
    }

    #[test]
    fn a_restored_stage_goes_on_as_if_nothing_had_happened(
        history in any_history(0..60),
        rest in proptest::collection::vec(any_bar(), 2..30),
        is_corrected: bool,
    ) {
        let mut whole = IndicatorStage::with_plan(mixed());
        history.chunks(100).for_each(|rows| drop(feed(&mut whole, rows)));
        let partition = Partition::of(symbol());
        let mut restored = IndicatorStage::with_plan(mixed());
        restored.restore(partition, &whole.snapshot(partition)).unwrap();
        prop_assert_eq!(restored.snapshot(partition), whole.snapshot(partition));
        for (i, bar) in rest.iter().enumerate() {
            // The first may be a correction of the last bar of the history.
            let day = i32::try_from(history.len() + i).unwrap() - i32::from(is_corrected && !history.is_empty());
            let bar = Bar { open_time: EventTime::from_days(day), revision: u32::from(i == 0), ..*bar };
            prop_assert_eq!(feed(&mut restored, &[bar]).encode(), feed(&mut whole, &[bar]).encode());
        }
        prop_assert_eq!(restored.snapshot(partition), whole.snapshot(partition));
    }

    #[test]
    fn a_split_by_a_power_of_two_is_exact(history in any_history(1..40), rest in proptest::collection::vec(any_bar(), 1..20)) {
        let split = |bar: &Bar| Bar {
            open: bar.open * 0.25,
            high: bar.high * 0.25,
            low: bar.low * 0.25,
            close: bar.close * 0.25,
            volume: bar.volume * 4.0,
            ..*bar
        };
        let plan = mixed();
        let mut rescaled = plan.start(Timeframe::D1);
        let mut expected = plan.start(Timeframe::D1);
        for bar in &history {
            rescaled.close(bar);
            expected.close(&split(bar));
        }
        rescaled.rescale(0.25);
        for (i, bar) in rest.iter().enumerate() {
            let day = i32::try_from(history.len() + i).unwrap();
            let bar = Bar { open_time: EventTime::from_days(day), ..*bar };
            let names = plan.columns().columns();
            // Native columns that scale are a promise of the slot.
            let n_native = indicator::plan().len();
            let (row, right) = (rescaled.close(&bar), expected.close(&bar));
            prop_assert_eq!(bits(&row[n_native..]), bits(&right[n_native..]), "{:?}", names);
        }
    }

    #[test]
    fn hostile_bars_never_panic_and_leave_no_trace(bars in proptest::collection::vec(hostile(), 1..60), rest in any_history(1..4)) {
        let plan = IndicatorOptions { extra: abstract_api::funcs()
            .filter(|info| !UNBOUNDED.contains(&info.name) && !["CDLENGULFING", "SWAK_BP", "VIDYA"].contains(&info.name))
            .map(|info| format!("ta:{}", info.name))
            .chain(MIXED.iter().map(|&text| text.to_owned())).collect() }.plan().unwrap();
        let mut slot = plan.start(Timeframe::M5);
        let mut kept = plan.start(Timeframe::M5);
        for bar in bars.iter().chain(&rest) {
            let shown = slot.amend(bar);
            prop_assert!(shown.iter().all(|value| !value.is_infinite()));
            let row = slot.close(bar);
            prop_assert_eq!(bits(&shown), bits(&row));
            if bar.check().is_ok() {
                prop_assert_eq!(bits(&row), bits(&kept.close(bar)));
            } else {
                prop_assert!(row.iter().all(|value| value.is_nan()));
            }
        }
    }
}

fn hostile() -> impl Strategy<Value = Bar> {
    let number = prop_oneof![
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(-1.0),
        1 => Just(0.0),
        1 => Just(f64::MAX),
        1 => Just(f64::MIN_POSITIVE),
        6 => 1e-3..1e3,
        1 => any::<f64>(),
    ];
    let flags = (0..128_u8).prop_map(|flags| BarFlags::from_bits(flags).unwrap());
    let parts = (proptest::array::uniform5(number), flags, any::<i64>(), any::<bool>());
    parts.prop_map(|([open, high, low, close, volume], flags, time, is_sorted)| {
        let mut prices = [open, high, low, close];
        if is_sorted {
            prices.sort_by(f64::total_cmp);
        }
        let [low, open, close, high] = if is_sorted { prices } else { [low, open, close, high] };
        Bar { open_time: EventTime(time), open, high, low, close, volume, revision: 0, flags }
    })
}

#[test]
fn columns_have_different_names() {
    let plan = mixed();
    assert_eq!(plan.columns().columns().iter().collect::<BTreeSet<_>>().len(), plan.columns().len());
}
