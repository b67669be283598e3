use std::collections::BTreeMap;

use pipeline::{Restore as _, Stage as _};
use proptest::prelude::*;
use schemas::{LivePlan, Partition, Plan, ScoreBatch};

use super::*;
use crate::world::{bar, stage, symbol};
use crate::{FEATURE_COLUMNS, ScoringStage};

/// What a symbol in a rise looks like; the row of such a bar has a plan.
const RISING: [(&str, f64); 10] = [
    ("n_bars", 250.0),
    ("sma20", 98.0),
    ("sma50", 95.0),
    ("sma200", 80.0),
    ("rsi14", 62.0),
    ("macd_hist", 0.5),
    ("pct_from_high20", -0.005),
    ("vol_spike_ratio", 2.0),
    ("atr_pct_14", 0.02),
    ("ret_5d", 0.03),
];
/// One of which little is known offers nothing.
const FLAT: [(&str, f64); 2] = [("n_bars", 250.0), ("atr_pct_14", 0.02)];

/// A day whose plan, where it offers one, lies beyond its high, and one that reaches such an entry.
const CALM: [f64; 4] = [100.0, 101.0, 99.0, 100.0];
const UP: [f64; 4] = [100.0, 103.0, 99.5, 102.0];

#[derive(Debug, Clone, Copy)]
struct Day {
    number: i32,
    prices: [f64; 4],
    offers: bool,
    revision: u32,
    flags: BarFlags,
}

impl Day {
    fn bar(&self) -> Bar {
        let [open, high, low, close] = self.prices;
        let (open_time, volume) = (EventTime::from_days(self.number), 1e6);
        Bar { open_time, open, high, low, close, volume, revision: self.revision, flags: self.flags }
    }

    fn columns(&self) -> &'static [(&'static str, f64)] {
        if self.offers { &RISING } else { &FLAT }
    }

    fn input(&self) -> crate::ScoringInput {
        bar("TEST", self.bar(), self.columns())
    }
}

fn at(day: i32, prices: [f64; 4]) -> Day {
    Day { number: day, prices, offers: true, revision: 0, flags: BarFlags::FINAL }
}

fn shown(out: &mut Vec<ScoreBatch>) -> Option<LivePlan> {
    out.drain(..).flat_map(|batch| batch.rows).last().and_then(|row| row.live_plan)
}

/// What the row says of the plan after each of the days.
fn follow(stage: &mut ScoringStage, days: &[Day]) -> Vec<Option<LivePlan>> {
    let mut out = Vec::new();
    let mut show = |day: &Day| {
        stage.on_batch(day.input(), &mut out).unwrap();
        stage.settle(&mut out);
        shown(&mut out)
    };
    days.iter().map(&mut show).collect()
}

fn check(days: &[Day], expected: &[&str]) {
    let found: Vec<String> = follow(&mut stage(), days)
        .iter()
        .map(|plan| {
            let text = |plan: &LivePlan| {
                let changes: Vec<&str> = plan.changes.iter().map(|change| &*change.state).collect();
                format!("{} [{}]", plan.state, changes.join(" "))
            };
            plan.as_ref().map_or_else(|| "none".to_owned(), text)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_plan_is_followed_bar_by_bar_and_the_next_one_after_its_end() {
    let days = [
        Day { offers: false, ..at(0, CALM) },
        at(1, CALM),
        at(2, UP),
        at(3, [102.0, 102.5, 80.0, 81.0]),
        Day { offers: false, ..at(4, CALM) },
        at(5, CALM),
        Day { flags: BarFlags::FINAL.with(BarFlags::SEGMENT_START), ..at(6, CALM) },
    ];
    let expected = [
        "none",
        "armed [armed]",
        "triggered [triggered]",
        "stopped [stopped]",
        "none",
        "armed [armed]",
        "armed [armed]",
    ];
    check(&days, &expected);
    let plans = follow(&mut stage(), &days);
    let [armed, triggered, stopped] = [1, 2, 3].map(|at| plans[at].clone().unwrap());
    assert_eq!((armed.fill, armed.exit, armed.armed_ns), (None, None, EventTime::from_days(1).as_ns()));
    assert_eq!((triggered.fill, triggered.exit), (Some(triggered.entry), None));
    assert_eq!((stopped.fill, stopped.exit), (triggered.fill, Some(stopped.stop)));
    assert_eq!((stopped.entry, stopped.armed_ns), (armed.entry, armed.armed_ns));
    assert_eq!(stopped.since_ns, EventTime::from_days(3).as_ns());
}

#[test]
fn a_forming_bar_shows_and_a_correction_takes_back() {
    let forming = |prices, revision| Day { flags: BarFlags::default(), revision, ..at(2, prices) };
    check(
        &[at(1, CALM), forming(UP, 0), forming(CALM, 1), Day { revision: 2, ..at(2, CALM) }, at(3, UP)],
        &["armed [armed]", "triggered [triggered]", "armed []", "armed []", "triggered [triggered]"],
    );
    check(
        &[at(1, CALM), at(2, UP), Day { revision: 1, ..at(2, CALM) }, at(3, CALM)],
        &["armed [armed]", "triggered [triggered]", "armed []", "armed []"],
    );
    // A bar that never became final never happened; one that becomes final late did.
    check(&[at(1, CALM), forming(UP, 0), at(3, CALM)], &["armed [armed]", "triggered [triggered]", "armed []"]);
    let late = [at(1, CALM), Day { flags: BarFlags::default(), ..at(3, CALM) }, at(2, UP)];
    check(&late, &["armed [armed]", "armed []", "triggered []"]);
}

#[test]
fn advice_moves_a_stop_or_says_nothing() {
    let plans = follow(&mut stage(), &[at(1, CALM), at(2, UP)]);
    let plan = plans[1].clone().unwrap();
    assert_eq!(plan.advice, None);
    let near = plan.entry + 0.9 * (plan.target - plan.entry);
    let plans = follow(&mut stage(), &[at(1, CALM), at(2, UP), at(3, [100.0, near, 100.0, near])]);
    let advice = plans[2].clone().unwrap().advice.unwrap();
    assert!((advice.stop - plan.entry).abs() < 1e-9, "{advice:?}");
    assert_eq!(advice.notes.len(), 1);
}

fn days(n_max: usize) -> impl Strategy<Value = Vec<Day>> {
    let step = (-6_i32..7, 0_i32..5, any::<bool>(), 0_i32..40);
    prop::collection::vec(step, 1..n_max).prop_map(|steps| {
        let mut close = 100.0_f64;
        let day = |(day, (move_pct, width, offers, break_at)): (i32, (i32, i32, bool, i32))| {
            let open = close;
            close = (close * (1.0 + f64::from(move_pct) / 200.0)).clamp(90.0, 110.0);
            let width = f64::from(width) / 2.0;
            let flags = if break_at == 0 { BarFlags::FINAL.with(BarFlags::SEGMENT_START) } else { BarFlags::FINAL };
            let prices = [open, open.max(close) + width, open.min(close) - width, close];
            Day { number: day, prices, offers, revision: 0, flags }
        };
        (0..).zip(steps).map(day).collect()
    })
}

proptest! {
    #[test]
    fn some_of_the_newest_bars_tell_what_all_of_them_do(days in days(150), n_bars in 1_usize..90) {
        let options = crate::ScoringOptions::default();
        let segment = days.iter().rposition(|day| day.flags.contains(BarFlags::SEGMENT_START)).unwrap_or(0);
        let mut whole = PlanHistory::new(&Plan::new(FEATURE_COLUMNS), &options).unwrap();
        let mut some = whole.clone();
        whole.set_whole();
        let first = segment.max(days.len().saturating_sub(n_bars));
        for (place, day) in days.iter().enumerate() {
            let value = |column: usize| {
                day.columns().iter().find(|(name, _)| *name == FEATURE_COLUMNS[column]).map(|(_, value)| *value)
            };
            for history in [&mut whole].into_iter().chain((place >= first).then_some(&mut some)) {
                history.push(symbol("TEST"), day.bar(), value);
            }
        }
        let expected = whole.life().expect("all bars tell");
        // Never wrong; with enough bars they nearly always tell.
        prop_assert!(some.life().is_none_or(|life| life == expected));
        let live = follow(&mut stage(), &days).pop().flatten();
        prop_assert_eq!(expected.view(days[days.len() - 1].prices[3]), live);
    }

    #[test]
    fn a_restart_changes_nothing(days in days(60), stop in 0_usize..60) {
        let stop = stop.min(days.len());
        let mut first = stage();
        let mut before = follow(&mut first, &days[..stop]);
        let mut second = stage();
        for partition in Partition::all() {
            second.restore(partition, &first.snapshot(partition)).unwrap();
        }
        // Repeats of what was there already change nothing, too.
        follow(&mut second, &days[stop.saturating_sub(3)..stop]);
        before.extend(follow(&mut second, &days[stop..]));
        let all = follow(&mut stage(), &days);
        prop_assert_eq!(before, all);
    }

    #[test]
    fn other_symbols_have_no_part_in_it(days in days(40), seed in any::<u64>()) {
        let alone = follow(&mut stage(), &days).pop().flatten();
        // A crowd of others, mixed in between.
        let (mut mixed, mut out) = (stage(), Vec::new());
        for (place, day) in days.iter().enumerate() {
            if (seed >> (place % 64)) & 1 == 1 {
                mixed.on_batch(bar(&format!("O{place}"), day.bar(), day.columns()), &mut out).unwrap();
            }
            mixed.on_batch(day.input(), &mut out).unwrap();
        }
        mixed.settle(&mut out);
        let rows: BTreeMap<Symbol, Option<LivePlan>> =
            out.into_iter().flat_map(|batch| batch.rows).map(|row| (row.symbol, row.live_plan)).collect();
        prop_assert_eq!(rows.get(&symbol("TEST")).cloned().flatten(), alone);
    }
}
