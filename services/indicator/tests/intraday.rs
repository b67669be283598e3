//! The columns that know the time of day, against sums over the bars they are of.

#![expect(clippy::unwrap_used, reason = "a test")]

use indicator::{IndicatorOptions, IndicatorPlan, IndicatorStage, PlanBuilder};
use pipeline::{Restore, Stage};
use proptest::prelude::*;
use schemas::{Bar, BarBatchBuilder, BarFlags, EventTime, FeatureBatch, Header, Message, Partition, Symbol, Timeframe};

const MINUTE: i64 = 60_000_000_000;
/// 2026-01-05, a Monday in winter: New York is five hours behind.
const MONDAY: i64 = 20_458 * 24 * 60;
const WINTER: i64 = 5 * 60;

/// A bar that opens at a minute of a day in New York.
fn bar(day: i64, hour: i64, minute: i64, price: f64, volume: f64) -> Bar {
    Bar {
        open_time: EventTime((MONDAY + day * 24 * 60 + hour * 60 + minute + WINTER) * MINUTE),
        open: price,
        high: price + 0.3,
        low: price - 0.3,
        close: price,
        volume,
        revision: 0,
        flags: BarFlags::FINAL,
    }
}

fn plan(extras: &[&str]) -> IndicatorPlan {
    extras.iter().fold(PlanBuilder::empty(), |builder, &extra| builder.extra(extra)).build().unwrap()
}

/// What the only column shows for bar after bar.
fn check(extra: &str, timeframe: Timeframe, rows: &[(Bar, Option<f64>)]) {
    let mut slot = plan(&[extra]).start(timeframe);
    for (bar, expected) in rows {
        let shown = slot.amend(bar);
        let row = slot.close(bar);
        assert_eq!(shown[0].to_bits(), row[0].to_bits(), "{extra}: {bar:?}");
        let is_equal = match expected {
            None => row[0].is_nan(),
            Some(expected) => (row[0] - expected).abs() < 1e-12 * expected,
        };
        assert!(is_equal, "{extra}: {} instead of {expected:?} at {}", row[0], bar.open_time.display(Timeframe::M1));
    }
}

#[test]
fn the_price_of_the_session_starts_with_the_session() {
    check(
        "session_vwap",
        Timeframe::M5,
        &[
            (bar(0, 9, 25, 5.0, 1e6), None),
            (bar(0, 9, 30, 10.0, 100.0), Some(10.0)),
            (bar(0, 9, 35, 20.0, 300.0), Some(17.5)),
            (bar(0, 9, 40, 99.0, 0.0), Some(17.5)),
            (bar(0, 16, 30, 17.5, 100.0), Some(17.5)),
            (bar(1, 4, 0, 3.0, 100.0), None),
            (bar(1, 9, 40, 8.0, 50.0), Some(8.0)),
            (bar(2, 9, 30, 9.0, 0.0), None),
            (bar(2, 9, 35, 9.0, 10.0), Some(9.0)),
        ],
    );
    check(
        "session_vwap(from = 04:00)",
        Timeframe::M5,
        &[(bar(0, 3, 55, 5.0, 9.0), None), (bar(0, 4, 0, 6.0, 9.0), Some(6.0))],
    );
}

#[test]
fn a_session_whose_beginning_was_not_seen_has_no_price() {
    let rows = [
        (bar(0, 9, 35, 10.0, 100.0), None),
        (bar(0, 9, 40, 10.0, 100.0), None),
        (bar(1, 9, 35, 12.0, 100.0), Some(12.0)),
    ];
    check("session_vwap", Timeframe::M5, &rows);
    let start = Bar { flags: BarFlags::FINAL.with(BarFlags::SEGMENT_START), ..bar(0, 9, 40, 11.0, 100.0) };
    check("session_vwap", Timeframe::M5, &[rows[0], (start, Some(11.0)), (bar(0, 9, 45, 13.0, 100.0), Some(12.0))]);
}

#[test]
fn a_bar_astride_the_beginning_spoils_the_session() {
    let rows = [
        (bar(0, 8, 0, 10.0, 100.0), None),
        (bar(0, 9, 0, 10.0, 100.0), None),
        (bar(0, 10, 0, 10.0, 100.0), None),
        (bar(1, 9, 30, 12.0, 100.0), Some(12.0)),
    ];
    check("session_vwap", Timeframe::H1, &rows);
    check("session_vwap", Timeframe::D1, &rows.map(|(bar, _)| (bar, None)));
}

#[test]
fn a_bar_with_its_close_only_spoils_the_session_but_not_its_volume() {
    let nan = f64::NAN;
    let hole = |bar: Bar| Bar { open: nan, high: nan, low: nan, flags: bar.flags.with(BarFlags::CLOSE_ONLY), ..bar };
    let rows = [
        (bar(0, 9, 30, 10.0, 100.0), Some(10.0)),
        (hole(bar(0, 9, 31, 10.0, 100.0)), None),
        (bar(0, 9, 32, 10.0, 100.0), None),
        (bar(1, 9, 30, 12.0, 100.0), Some(12.0)),
    ];
    check("session_vwap", Timeframe::M1, &rows);
    let ratios = [(rows[0].0, None), (rows[1].0, None), (rows[2].0, None), (hole(rows[3].0), Some(1.0))];
    check("rvol_at_time(1)", Timeframe::M1, &ratios);
}

#[test]
fn an_anchor_is_a_point_in_time() {
    let rows = [
        (bar(0, 9, 30, 5.0, 1e6), None),
        (bar(1, 9, 30, 10.0, 100.0), Some(10.0)),
        (bar(3, 9, 30, 20.0, 300.0), Some(17.5)),
    ];
    check("anchored_vwap(from = 2026-01-06)", Timeframe::M1, &rows);
    check("anchored_vwap(from = 2026-01-06T14:30Z)", Timeframe::M1, &rows);
    check("anchored_vwap(from = 2026-01-06T14:30Z)", Timeframe::M1, &rows[1..]);
    check("anchored_vwap(from = 2026-01-06T14:29Z)", Timeframe::M1, &[(rows[1].0, None), (rows[2].0, None)]);
    let day =
        |day: i32, price: f64, volume: f64| Bar { open_time: EventTime::from_days(day), ..bar(0, 0, 0, price, volume) };
    let rows = [(day(20_459, 10.0, 100.0), Some(10.0)), (day(20_460, 20.0, 300.0), Some(17.5))];
    check("anchored_vwap(from = 2026-01-06)", Timeframe::D1, &rows);
}

#[test]
fn volume_is_compared_with_other_days_at_the_same_time() {
    check(
        "rvol_at_time(2)",
        Timeframe::M1,
        &[
            (bar(0, 9, 30, 10.0, 100.0), None),
            (bar(0, 9, 32, 10.0, 100.0), None),
            (bar(1, 9, 30, 10.0, 300.0), None),
            (bar(1, 9, 33, 10.0, 100.0), None),
            // Against 100 and 300.
            (bar(2, 9, 30, 10.0, 400.0), Some(2.0)),
            // Nobody traded a minute later: still 100 and 300.
            (bar(2, 9, 31, 10.0, 200.0), Some(3.0)),
            // 200 and 300.
            (bar(2, 9, 32, 10.0, 150.0), Some(3.0)),
            // 200 and 400; after the last bars of both, too.
            (bar(2, 9, 33, 10.0, 0.0), Some(2.5)),
            (bar(2, 15, 0, 10.0, 0.0), Some(2.5)),
            // 300 and 400.
            (bar(3, 9, 30, 10.0, 350.0), Some(1.0)),
        ],
    );
}

#[test]
fn the_forms_of_a_text() {
    let check = |text: &str, expected: Result<&str, &str>| {
        let plan = IndicatorOptions { extra: vec![text.to_owned()] }.plan();
        match (plan, expected) {
            (Ok(plan), Ok(column)) => assert_eq!(plan.columns().columns().last().map(String::as_str), Some(column)),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (plan, expected) => panic!("{text}: {plan:?} instead of {expected:?}"),
        }
    };
    check("session_vwap(from=04:00)", Ok("session_vwap_0400"));
    check("anchored_vwap(2026-01-05T14:30Z)", Ok("anchored_vwap_20260105t1430z"));
    check("rvol_at_time", Ok("rvol_at_time10"));
    check("busy = rvol_at_time(sessions=5, from=04:00)", Ok("busy"));
    check("session_vwap(from=9:30)", Err("`9:30` is no time of day such as 09:30 for `from`"));
    check("anchored_vwap", Err("is no time such as 2026-01-05"));
    check("anchored_vwap(from=2026-02-30)", Err("`2026-02-30` is no time such as"));
    check("rvol_at_time(0)", Err("`0` is no number of sessions, 1 to 60, for `sessions`"));
    check("session_vwap(until=16:00)", Err("no parameter of session_vwap; it has from"));
}

const ALL: &[&str] = &["session_vwap", "rvol_at_time(2)", "anchored_vwap(from=2026-01-06)", "vwap(3)", "ta:CDLDOJI"];

/// Bars of a few sessions, an hour or more apart.
fn any_bars(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Bar>> {
    let flags = prop_oneof![
        20 => Just(BarFlags::FINAL),
        1 => Just(BarFlags::FINAL.with(BarFlags::SEGMENT_START)),
        1 => Just(BarFlags::FINAL.with(BarFlags::CLOSE_ONLY)),
    ];
    proptest::collection::vec((1..6_i64, 1.0..100.0, 0.0..1e4, flags), n).prop_map(|parts| {
        let mut hour = 0;
        let mut next = |(step, price, volume, flags): (i64, f64, f64, BarFlags)| {
            hour += step;
            let mut bar = Bar { flags, ..bar(0, hour, 30, price, volume.round()) };
            if flags.contains(BarFlags::CLOSE_ONLY) {
                (bar.open, bar.high, bar.low) = (f64::NAN, f64::NAN, f64::NAN);
            }
            bar
        };
        parts.into_iter().map(&mut next).collect()
    })
}

fn bits(row: &[f64]) -> Vec<u64> {
    row.iter().map(|number| number.to_bits()).collect()
}

fn feed(stage: &mut IndicatorStage, rows: &[Bar]) -> FeatureBatch {
    let symbol = Symbol::new("AAA").unwrap();
    let partition = Partition::of(symbol);
    let mut builder = BarBatchBuilder::new(partition);
    for &bar in rows {
        builder.push(symbol, bar);
    }
    let batch = builder.finish(Header {
        timeframe: Timeframe::M15,
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn amend_correct_and_rescale_keep_their_promises(bars in any_bars(2..60), wrong in any_bars(60..61)) {
        let plan = plan(ALL);
        let mut slot = plan.start(Timeframe::M15);
        let mut plain = plan.start(Timeframe::M15);
        let mut split = plan.start(Timeframe::M15);
        for (i, bar) in bars.iter().enumerate() {
            let at = |other: &Bar| Bar { open_time: bar.open_time, ..*other };
            let expected = plain.close(bar);
            prop_assert_eq!(bits(&slot.amend(bar)), bits(&expected));
            // Every third bar is wrong at first.
            if i % 3 == 0 {
                slot.close(&at(&wrong[i % wrong.len()]));
                slot.correct(&at(&wrong[(i + 1) % wrong.len()]));
                prop_assert_eq!(bits(&slot.correct(bar)), bits(&expected));
            } else {
                prop_assert_eq!(bits(&slot.close(bar)), bits(&expected));
            }
            let middle = bars.len() / 2;
            if i <= middle {
                split.close(bar);
                if i == middle {
                    split.rescale(0.5);
                }
                continue;
            }
            let [open, high, low, close] = [bar.open, bar.high, bar.low, bar.close].map(|price| price * 0.5);
            let row = split.close(&Bar { open, high, low, close, volume: bar.volume * 2.0, ..*bar });
            let scales = [0.5, 1.0, 0.5, 0.5, 1.0];
            let expected: Vec<f64> = expected.iter().zip(scales).map(|(value, scale)| value * scale).collect();
            prop_assert_eq!(bits(&row), bits(&expected));
        }
    }

    #[test]
    fn a_restored_stage_goes_on_as_if_nothing_had_happened(bars in any_bars(2..80), at in 1..80_usize, right in any_bars(1..2)) {
        let at = at % (bars.len() - 1) + 1;
        let mut whole = IndicatorStage::with_plan(plan(ALL));
        feed(&mut whole, &bars[..at]);
        let partition = Partition::of(Symbol::new("AAA").unwrap());
        let mut restored = IndicatorStage::with_plan(plan(ALL));
        restored.restore(partition, &whole.snapshot(partition)).unwrap();
        let correction = Bar { open_time: bars[at - 1].open_time, revision: 1, ..right[0] };
        for bar in std::iter::once(&correction).chain(&bars[at..]) {
            prop_assert_eq!(feed(&mut restored, &[*bar]).encode(), feed(&mut whole, &[*bar]).encode());
        }
        prop_assert_eq!(restored.snapshot(partition), whole.snapshot(partition));
    }
}
