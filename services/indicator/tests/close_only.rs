//! Bars that know their close only: what needs open, high or low is missing, and everything else is as if they were known.

use std::collections::BTreeSet;

use indicator::{IndicatorPlan, Slot, needs_range, plan, recompute, recompute_rows};
use proptest::prelude::*;
use schemas::{Bar, BarFlags, EventTime, Timeframe};

/// The columns that are missing: documentation and test at once.
const MISSING: &[&str] = &[
    "trange",
    "atr14",
    "natr14",
    "plus_di14",
    "minus_di14",
    "adx14",
    "stoch_k",
    "stoch_d",
    "cci20",
    "mfi14",
    "willr14",
    "ultosc_7_14_28",
    "aroon_up25",
    "aroon_down25",
    "aroonosc25",
    "sar_002_02",
    "ad",
    "adosc_3_10",
    "cmf20",
    "vwap20",
    "donchian_up20",
    "donchian_mid20",
    "donchian_lo20",
    "high_5",
    "low_5",
    "high_10",
    "low_10",
    "keltner_up20",
    "keltner_lo20",
    "atr_pct_14",
    "atr_pct_simple_14",
    "gap_pct",
    "gap_mean_10",
    "supertrend",
    "supertrend_direction",
    "ichimoku_tenkan",
    "ichimoku_kijun",
    "ichimoku_span_a",
    "ichimoku_span_b",
    "heikin_ashi_trend",
];

/// Bars that stand still at their close, and the same that know nothing else.
fn pair(closes: &[(f64, f64)]) -> [Vec<Bar>; 2] {
    let flat = |(day, &(close, volume)): (i32, &(f64, f64))| Bar {
        open_time: EventTime::from_days(day),
        open: close,
        high: close,
        low: close,
        close,
        volume,
        revision: 0,
        flags: BarFlags::FINAL,
    };
    let flat: Vec<Bar> = (0..).zip(closes).map(flat).collect();
    let close_only = flat.iter().map(close_only).collect();
    [flat, close_only]
}

fn close_only(bar: &Bar) -> Bar {
    let nan = f64::NAN;
    Bar { open: nan, high: nan, low: nan, flags: bar.flags.with(BarFlags::CLOSE_ONLY), ..*bar }
}

/// Fails unless a row of a bar with its close only has what it must.
fn check(full: &[f64], row: &[f64], context: &str) {
    for ((name, full), own) in plan().columns().iter().zip(full).zip(row) {
        if MISSING.contains(&name.as_str()) {
            assert!(own.is_nan(), "{context}: {name} is {own} instead of missing");
        } else {
            assert_eq!(own.to_bits(), full.to_bits(), "{context}: {name} is {own} instead of {full}");
        }
    }
}

#[test]
fn the_missing_columns_are_those_that_say_so() {
    let own: BTreeSet<&str> = MISSING.iter().copied().collect();
    let plan = plan();
    let said = plan.columns().iter().map(String::as_str).filter(|name| needs_range(name) == Some(true));
    assert_eq!(said.collect::<BTreeSet<_>>(), own);
    assert_eq!((needs_range("rsi14"), needs_range("nonsense")), (Some(false), None));
}

fn any_closes(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(f64, f64)>> {
    let price = prop_oneof![4 => 1.0..200.0, 2 => Just(10.1), 1 => 1e-3..1e6];
    let volume = prop_oneof![4 => 0.0..1e7, 1 => Just(0.0)];
    proptest::collection::vec((price, volume), n)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_column_is_right_or_missing(closes in any_closes(1..300)) {
        let [flat, close_only] = pair(&closes);
        let (mut full, mut slot) = (Slot::default(), Slot::default());
        for (i, (flat, bar)) in flat.iter().zip(&close_only).enumerate() {
            check(full.amend(flat).as_slice(), slot.amend(bar).as_slice(), &format!("amend {i}"));
            check(full.close(flat).as_slice(), slot.close(bar).as_slice(), &format!("close {i}"));
        }
        let [full, own] = [&flat, &close_only].map(|bars| recompute(bars).expect("there are bars"));
        check(full.as_slice(), own.as_slice(), "recompute");
    }

    #[test]
    fn many_at_once_are_as_one_by_one(symbols in proptest::collection::vec(any_closes(1..80), 1..9)) {
        let symbols: Vec<Vec<Bar>> = symbols.iter().map(|closes| pair(closes)[1].clone()).collect();
        let symbols: Vec<&[Bar]> = symbols.iter().map(Vec::as_slice).collect();
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let mut rows: Vec<Vec<Vec<u64>>> = vec![Vec::new(); symbols.len()];
        recompute_rows(&symbols, &mut |symbol, bar, values| {
            assert_eq!(bar, rows[symbol].len());
            rows[symbol].push(bits(values.values().as_slice()));
        });
        for (bars, rows) in symbols.iter().zip(rows) {
            let mut slot = Slot::default();
            let expected: Vec<Vec<u64>> = bars.iter().map(|bar| bits(slot.close(bar).as_slice())).collect();
            prop_assert_eq!(rows, expected);
        }
    }

    /// One such bar is enough for the rest of the segment: nothing is computed from a hole. A forming one leaves no trace,
    /// and a new segment starts from nothing.
    #[test]
    fn a_mixed_segment_is_missing_from_the_first_on(closes in any_closes(2..120), at in 0..120_usize, last in 1.0..100.0) {
        let [flat, close_only_bars] = pair(&closes);
        let at = at % flat.len();
        let (mut full, mut slot) = (Slot::default(), Slot::default());
        for (i, bar) in flat.iter().enumerate() {
            let row = slot.close(if i == at { &close_only_bars[i] } else { bar });
            let expected = full.close(bar);
            if i >= at {
                check(expected.as_slice(), row.as_slice(), &format!("close {i}, hole {at}"));
            }
        }
        let start = Bar { flags: BarFlags::FINAL.with(BarFlags::SEGMENT_START), close: last, open: last, high: last, low: last, ..flat[0] };
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(slot.close(&start).as_slice()), bits(Slot::default().close(&start).as_slice()));
    }

    #[test]
    fn a_forming_one_leaves_no_trace(closes in any_closes(2..60)) {
        let [flat, close_only] = pair(&closes);
        let mut slot = Slot::default();
        let mut expected = Slot::default();
        for (bar, forming) in flat.iter().zip(&close_only) {
            check(expected.amend(bar).as_slice(), slot.amend(forming).as_slice(), "forming");
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(slot.close(bar).as_slice()), bits(expected.close(bar).as_slice()));
        }
    }
}

/// The same for the columns of a plan beyond the native ones.
#[test]
fn extras_are_right_or_missing() {
    let extras =
        ["rsi(9)", "obv2 = ta:VWMA(period=5)", "ta:WMA(5)", "ta:ATR(5)", "vwap(5)", "ta:CDLDOJI", "session_vwap"];
    let plan = extras.iter().fold(indicator::PlanBuilder::empty(), |builder, &extra| builder.extra(extra));
    let plan: IndicatorPlan = plan.build().expect("they exist");
    let closes: Vec<(f64, f64)> = (0..40).map(|i| (10.0 + f64::from(i * i % 7), 100.0 + f64::from(i))).collect();
    let [flat, close_only] = pair(&closes);
    let (mut full, mut slot) = (plan.start(Timeframe::D1), plan.start(Timeframe::D1));
    for (flat, bar) in flat.iter().zip(&close_only) {
        let (full, row) = (full.close(flat), slot.close(bar));
        for at in 0..3 {
            assert_eq!(row[at].to_bits(), full[at].to_bits(), "{}", extras[at]);
        }
        assert!(row[3..].iter().all(|value| value.is_nan()), "{row:?}");
    }
    // Behind the hole they start again.
    for bar in &flat[..6] {
        slot.close(bar);
    }
    assert!(slot.amend(&flat[6])[3..5].iter().all(|value| value.is_finite()));
}
