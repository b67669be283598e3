//! What is published of a result at once, and what waits.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use pipeline::Stage as _;
use publisher::{RESULTS_REFRESH_STEPS, ResultsStage};
use support::{batch, row};

#[test]
fn a_new_bar_or_verdict_goes_out_at_once_and_a_small_move_waits() {
    let mut stage = ResultsStage::default();
    let mut numbers = 1..;
    let mut published_at_once = |row| {
        let mut out = Vec::new();
        stage.on_batch(batch((1, numbers.next().unwrap()), vec![row], &[]), &mut out).unwrap();
        stage.on_idle(&mut out);
        out.len()
    };
    assert_eq!(published_at_once(row("A", 70.0, 5)), 1);
    assert_eq!(published_at_once(row("A", 70.5, 5)), 0, "a small move");
    assert_eq!(published_at_once(row("A", 70.5, 6)), 1, "a new bar");
    assert_eq!(published_at_once(row("A", 49.0, 6)), 1, "another band");
    let flagged = schemas::ResultRow { merit_flags: "LOW_LIQUIDITY".into(), ..row("A", 49.0, 6) };
    assert_eq!(published_at_once(flagged.clone()), 1, "a new flag");
    let short = schemas::ResultRow { signal: "Short".into(), ..flagged.clone() };
    assert_eq!(published_at_once(short), 1, "another signal");
    let moved = schemas::ResultRow { signal: "Short".into(), merit: 48.0, ..flagged };
    assert_eq!(published_at_once(moved), 0, "a small move again");
    let mut out = Vec::new();
    for _ in 0..RESULTS_REFRESH_STEPS {
        stage.on_refresh(&mut out);
    }
    assert_eq!(out.iter().map(|result| result.row.as_ref().unwrap().merit).collect::<Vec<_>>(), [48.0]);
    assert!(!stage.needs_refresh());
}
