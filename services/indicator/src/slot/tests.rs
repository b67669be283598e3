use proptest::prelude::*;

use super::*;
use crate::plan::{NAMES, need, plan};
use crate::recompute::recompute;
use crate::testing::{any_bar, any_bars, bar, bars, closed, slot_bits, value_bits};

fn check(bars: &[Bar], expected: &[(&str, Option<f64>)]) {
    let values = recompute(bars).expect("there are bars");
    for &(name, expected) in expected {
        let value = values.get(plan().index_of(name).expect("is a column"));
        let is_equal = match (value, expected) {
            (Some(value), Some(expected)) => (value - expected).abs() <= 1e-12 * expected.abs().max(1.0),
            (value, expected) => value.is_none() && expected.is_none(),
        };
        assert!(is_equal, "{name} of {} bars: {value:?} instead of {expected:?}", bars.len());
    }
}

#[test]
fn a_column_appears_with_the_bar_that_completes_its_window() {
    let history = bars((0..300).map(|day| 100.0 + f64::from(day % 7)));
    let mut slot = Slot::default();
    for (n_bars, bar) in (1..).zip(&history) {
        let values = slot.close(bar);
        for (column, name) in NAMES.iter().enumerate() {
            let n_needed = need(name).expect("is a column");
            assert_eq!(values.get(column).is_some(), n_bars >= n_needed, "{name} at bar {n_bars}");
        }
    }
}

#[test]
fn a_rise() {
    check(
        &bars((1..=220).map(f64::from)),
        &[
            ("n_bars", Some(220.0)),
            ("sma20", Some(210.5)),
            ("sma50", Some(195.5)),
            ("sma200", Some(120.5)),
            ("rsi14", Some(100.0)),
            ("macd", Some(7.0)),
            ("macd_hist", Some(0.0)),
            ("atr14", Some(1.0)),
            ("ret_1d", Some(220.0 / 219.0 - 1.0)),
            ("ret_5d", Some(220.0 / 215.0 - 1.0)),
            ("ret_21d", Some(220.0 / 199.0 - 1.0)),
            ("atr_pct_14", Some(1.0 / 220.0)),
            ("sma_20_above_50", Some(1.0)),
            ("pct_from_high20", Some(0.0)),
            ("dollar_vol_20", Some(21_050.0)),
            ("vol_spike_ratio", Some(220.0 / 210.5)),
        ],
    );
}

#[test]
fn a_fall() {
    check(
        &bars((1..=220).rev().map(f64::from)),
        &[
            ("sma20", Some(10.5)),
            ("rsi14", Some(0.0)),
            ("macd", Some(-7.0)),
            ("atr14", Some(1.0)),
            ("ret_1d", Some(-0.5)),
            ("sma_20_above_50", Some(0.0)),
            ("pct_from_high20", Some(-95.0)),
        ],
    );
}

#[test]
fn a_flat_line_without_a_trade() {
    let flat: Vec<Bar> = (0..220).map(|day| Bar { volume: 0.0, ..bar(day, 10.1) }).collect();
    check(
        &flat,
        &[
            ("sma20", Some(10.1)),
            ("rsi14", Some(0.0)),
            ("macd_hist", Some(0.0)),
            ("atr14", Some(0.0)),
            ("vol_realized_20", Some(0.0)),
            ("sma_20_above_50", Some(0.0)),
            ("pct_from_high20", Some(0.0)),
            ("dollar_vol_20", Some(0.0)),
            ("vol_spike_ratio", None),
            ("gap_mean_10", Some(0.0)),
        ],
    );
}

#[test]
fn gaps_count_from_close_to_open() {
    let mut history = bars([10.0; 11]);
    history[3] = Bar { open: 9.0, low: 9.0, ..history[3] };
    history[10] = Bar { open: 12.0, high: 12.0, ..history[10] };
    check(&history, &[("gap_mean_10", Some(0.03))]);
    history[0] = Bar { open: 1.0, low: 1.0, ..history[0] };
    check(&history, &[("gap_mean_10", Some(0.03))]);
    history.push(bar(11, 10.0));
    check(&history, &[("gap_mean_10", Some(0.03))]);
    history.extend(bars([10.0; 2]));
    check(&history, &[("gap_mean_10", Some(0.02))]);
}

#[test]
fn sma_20_above_50_is_missing_while_unknown_and_0_on_a_tie() {
    check(&bars((1..=49).map(f64::from)), &[("sma20", Some(39.5)), ("sma_20_above_50", None)]);
    check(&bars([5.0; 50]), &[("sma_20_above_50", Some(0.0))]);
}

#[test]
fn a_segment_starts_from_nothing_closed_or_forming() {
    let mut start = bar(60, 50.0);
    start.flags = start.flags.with(BarFlags::SEGMENT_START);
    let mut slot = closed(&bars((1..=60).map(f64::from)));
    let fresh = Slot::default().amend(&bar(60, 50.0));
    assert_eq!(value_bits(&slot.amend(&start)), value_bits(&fresh));
    assert_eq!(slot.n_bars(), 60);
    assert_eq!(value_bits(&slot.close(&start)), value_bits(&fresh));
    assert_eq!(slot.n_bars(), 1);
    check(&[bars([1.0; 60]), vec![start], bars([55.0])].concat(), &[("n_bars", Some(2.0)), ("ret_1d", Some(0.1))]);
}

#[test]
fn even_the_start_of_a_segment_can_be_corrected() {
    let history = bars((1..=60).map(f64::from));
    let plain = bar(60, 70.0);
    let start = Bar { flags: plain.flags.with(BarFlags::SEGMENT_START), ..plain };
    let mut slot = closed(&history);
    slot.close(&start);
    let values = slot.correct(&plain);
    let mut expected = closed(&history);
    assert_eq!(value_bits(&values), value_bits(&expected.close(&plain)));
    assert_eq!(slot_bits(&slot), slot_bits(&expected));
}

#[test]
fn numbers_at_the_limits_are_missing_rather_than_infinite() {
    let mut slot = Slot::default();
    for day in 0..250 {
        let price = if day % 2 == 0 { f64::MAX } else { f64::MIN_POSITIVE };
        let values = slot.close(&bar(day, price));
        assert!(values.as_slice().iter().all(|value| !value.is_infinite()), "{values:?}");
    }
    let values = slot.amend(&bar(250, 10.0));
    for name in ["sma20", "rsi14", "macd", "sma_20_above_50"] {
        assert_eq!(values.get(plan().index_of(name).expect("is a column")), None, "{name}");
    }
}

#[test]
fn is_small() {
    assert!(size_of::<Slot>() <= 4300, "{}", size_of::<Slot>());
}

/// A million bars later, an outlier among them, the columns are those of a slot that saw the newest bars only.
#[test]
fn nothing_drifts() {
    const N_BARS: i32 = 1_000_000;
    const N_SEED: i32 = 3_000;
    let history = |day: i32| {
        let outlier = if day == 990_000 { 100.0 } else { 1.0 };
        let wave = f64::from(day % 97) * 0.13 + f64::from(day % 31) * 0.07 + f64::from(day % 1009) * 0.01;
        let price = (20.0 + wave) * outlier;
        Bar { high: price * 1.01, low: price * 0.98, volume: f64::from(day % 13) * 1e5, ..bar(day, price) }
    };
    let mut old = Slot::default();
    let mut fresh = Slot::default();
    for day in 0..N_BARS {
        old.push(&history(day));
        if day >= N_BARS - N_SEED {
            fresh.push(&history(day));
        }
    }
    let forming = history(N_BARS);
    let [old, fresh] = [old.amend(&forming), fresh.amend(&forming)];
    // Totals count from the first bar.
    for (name, (old, fresh)) in NAMES.iter().zip(old.as_slice().iter().zip(fresh.as_slice())) {
        let is_equal = (old - fresh).abs() <= 1e-9 * fresh.abs().max(1.0);
        assert!(is_equal || ["n_bars", "obv", "ad", "adosc_3_10"].contains(name), "{name}: {old} {fresh}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn amend_shows_what_close_shows_and_changes_nothing(
        history in any_bars(0..300),
        forming in proptest::collection::vec(any_bar(), 1..5),
    ) {
        let mut slot = closed(&history);
        let bits = slot_bits(&slot);
        for bar in &forming {
            let shown = slot.amend(bar);
            prop_assert_eq!(&slot_bits(&slot), &bits);
            prop_assert_eq!(value_bits(&shown), value_bits(&slot.clone().close(bar)));
        }
        let last = forming.last().expect("there is one");
        let values = slot.close(last);
        prop_assert_eq!(value_bits(&values), value_bits(&closed(&history).close(last)));
    }

    #[test]
    fn push_leaves_what_close_leaves(history in any_bars(0..300)) {
        let mut pushed = Slot::default();
        for bar in &history {
            pushed.push(bar);
        }
        prop_assert_eq!(slot_bits(&pushed), slot_bits(&closed(&history)));
    }

    #[test]
    fn recompute_is_the_last_close(history in any_bars(1..300)) {
        let mut slot = Slot::default();
        let last = history.iter().map(|bar| slot.close(bar)).last().expect("there is one");
        prop_assert_eq!(value_bits(&recompute(&history).expect("there is one")), value_bits(&last));
    }

    #[test]
    fn a_correction_leaves_what_the_right_bar_would_have(
        history in any_bars(0..300),
        wrong in proptest::collection::vec(any_bar(), 1..4),
        right in any_bar(),
    ) {
        let mut slot = closed(&history);
        slot.close(&wrong[0]);
        wrong[1..].iter().for_each(|bar| { slot.correct(bar); });
        let values = slot.correct(&right);
        let mut expected = closed(&history);
        prop_assert_eq!(value_bits(&values), value_bits(&expected.close(&right)));
        prop_assert_eq!(slot_bits(&slot), slot_bits(&expected));
    }

    #[test]
    fn columns_do_not_depend_on_where_the_rings_begin(before in 1..520_usize, history in any_bars(1..260)) {
        let mut history = history;
        history[0].flags = history[0].flags.with(BarFlags::SEGMENT_START);
        let mut shifted = closed(&bars(vec![3.0; before]));
        let mut fresh = Slot::default();
        for bar in &history {
            prop_assert_eq!(value_bits(&shifted.close(bar)), value_bits(&fresh.close(bar)));
        }
    }

    #[test]
    fn an_impossible_bar_has_no_values_and_leaves_no_trace(
        history in any_bars(0..300),
        bar in any_bar(),
        at in 0..5_usize,
        number in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-1.0)],
    ) {
        let mut slot = closed(&history);
        let bits = slot_bits(&slot);
        let mut bad = bar;
        *[&mut bad.open, &mut bad.high, &mut bad.low, &mut bad.close, &mut bad.volume][at] = number;
        let is_missing = |values: Values| values.as_slice().iter().all(|value| value.is_nan());
        prop_assert!(is_missing(slot.amend(&bad)));
        prop_assert!(is_missing(slot.close(&bad)));
        prop_assert!(is_missing(slot.correct(&bad)));
        slot.push(&bad);
        prop_assert_eq!(&slot_bits(&slot), &bits);
    }

    #[test]
    fn a_split_rescales_as_if_all_bars_had_been_adjusted(history in any_bars(1..300), power in -3..4_i32) {
        let factor = 2.0_f64.powi(power);
        let adjusted: Vec<Bar> = history.iter().map(|bar| Bar {
            open: bar.open * factor,
            high: bar.high * factor,
            low: bar.low * factor,
            close: bar.close * factor,
            volume: bar.volume / factor,
            ..*bar
        }).collect();
        let mut slot = closed(&history);
        slot.rescale(factor);
        prop_assert_eq!(slot_bits(&slot), slot_bits(&closed(&adjusted)));
    }

    #[test]
    fn columns_stay_in_their_bounds(history in any_bars(1..300)) {
        let value = |values: &Values, name: &str| values.get(plan().index_of(name).expect("is a column"));
        let mut slot = Slot::default();
        for bar in &history {
            let values = slot.close(bar);
            prop_assert!(value(&values, "rsi14").is_none_or(|rsi| (0.0..=100.0).contains(&rsi)));
            prop_assert!(value(&values, "pct_from_high20").is_none_or(|percent| percent <= 0.0));
            for name in ["atr14", "vol_realized_20", "dollar_vol_20", "gap_mean_10", "vol_spike_ratio"] {
                prop_assert!(value(&values, name).is_none_or(|number| number >= 0.0), "{}", name);
            }
        }
    }
}
