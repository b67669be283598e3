//! The table alone: what applies, what does not, and in which order it is read.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use pipeline::Stage as _;
use proptest::prelude::*;
use publisher::{Board, DataKind, ScanQuery, Update};
use schemas::{Partition, ResultRow, ResultV1, SCHEMA_VERSION, ScoreBatch, WhyNot};
use support::{batch, row, symbol};

fn apply(board: &mut Board, batch: ScoreBatch) -> Vec<Update> {
    let mut updates = Vec::new();
    board.on_batch(batch, &mut updates).unwrap();
    updates
}

fn table(board: &mut Board) -> Vec<String> {
    board.snapshot().rows().iter().map(|row| String::from_utf8(row.json.to_vec()).unwrap()).collect()
}

fn symbols(board: &mut Board, query: &ScanQuery) -> Vec<String> {
    board.snapshot().scan(query).rows.iter().map(|row| row.result.symbol.to_string()).collect()
}

#[test]
fn only_what_is_newer_and_not_behind_applies() {
    let mut board = Board::default();
    let mut check = |version, merit, open_time, is_applied: bool| {
        let updates = apply(&mut board, batch(version, vec![row("A", merit, open_time)], &[]));
        assert_eq!(updates.len(), usize::from(is_applied), "{version:?} {merit} {open_time}");
    };
    check((1, 5), 50.0, 100, true);
    check((1, 5), 51.0, 100, false); // a repeat
    check((1, 4), 51.0, 200, false); // older scores
    check((1, 6), 51.0, 99, false); // an older bar
    check((1, 6), 51.0, 100, true);
    check((1, 7), 51.0, 100, false); // the same row
    check((2, 1), 52.0, 100, true); // another run counts from 1
    check((1, 9), 53.0, 300, false);
    assert_eq!(board.snapshot().u, 3);
}

#[test]
fn updates_are_numbered_and_a_symbol_can_leave_and_return() {
    let mut board = Board::default();
    let updates = apply(&mut board, batch((1, 1), vec![row("A", 1.0, 1), row("B", 2.0, 1)], &["C"]));
    assert_eq!(updates.iter().map(|update| update.u).collect::<Vec<_>>(), [1, 2]);
    let updates = apply(&mut board, batch((1, 2), vec![], &["A", "C"]));
    assert_eq!((updates.len(), updates[0].u, updates[0].result.is_none()), (1, 3, true));
    assert_eq!((board.n_rows(), board.row(symbol("A")).is_none()), (1, true));
    assert!(apply(&mut board, batch((1, 1), vec![row("A", 1.0, 1)], &[])).is_empty(), "a late repeat");
    assert_eq!(apply(&mut board, batch((1, 3), vec![row("A", 1.0, 1)], &[])).len(), 1);
    assert_eq!((board.n_rows(), board.snapshot().n_symbols), (2, 3));
}

#[test]
fn every_symbol_says_why_it_is_not_in_the_universe_also_after_a_restart() {
    let cheap = ResultRow { excluded: Some("price_too_low".into()), ..row("A", 1.0, 1) };
    let why_not = |text: &str, condition: &'static str| WhyNot { symbol: symbol(text), condition: condition.into() };
    let batch = ScoreBatch {
        why_not: vec![why_not("C", "too_few_bars"), why_not("D", "of_the_future"), why_not("E", "too_few_bars")],
        ..batch((1, 1), vec![cheap, row("B", 2.0, 1)], &["C", "D", "E", "F"])
    };
    let mut first = Board::default();
    apply(&mut first, batch);
    let mut second = Board::default();
    for partition in Partition::all() {
        second.restore_partition(partition, &first.partition_bytes(partition)).unwrap();
    }
    for board in [&first, &second] {
        let funnel: Vec<_> = board.funnel().into_iter().map(|(condition, n)| (condition.into_owned(), n)).collect();
        let expected = [("too_few_bars", 2), ("price_too_low", 1), ("of_the_future", 1)];
        assert_eq!(funnel, expected.map(|(condition, n)| (condition.to_owned(), n)));
        assert_eq!(*board.row(symbol("B")).unwrap().result, row("B", 2.0, 1), "with what it leaves out");
        assert_eq!([board.why_not(symbol("C")), board.why_not(symbol("F"))], [Some("too_few_bars"), None]);
    }
    // Who comes back has no reason any more.
    apply(&mut first, support::batch((1, 2), vec![row("C", 1.0, 1)], &[]));
    assert_eq!(first.why_not(symbol("C")), None);
}

#[test]
fn a_restored_result_is_the_one_that_was_published() {
    let mut first = Board::default();
    let updates = apply(&mut first, batch((3, 9), vec![row("A\"\\B", 1.0, 1), row("C", 2.0, 1)], &[]));
    let removal = apply(&mut first, batch((3, 10), vec![], &["C"]));
    let mut second = Board::default();
    for update in updates.iter().chain(&removal) {
        let published = ResultV1 {
            schema: SCHEMA_VERSION,
            symbol: update.symbol,
            source: update.source.to_string(),
            epoch: update.epoch,
            seq: update.seq,
            models: update.models.to_vec(),
            row: update.result.as_ref().map(|row| (*row.result).clone()),
            why_not: update.result.is_none().then(|| "too_few_bars".into()),
        };
        let restored = ResultV1::from_json(&published.to_json()).unwrap();
        second.restore_result(restored).unwrap();
    }
    assert_eq!(table(&mut first), table(&mut second));
    assert_eq!(second.why_not(symbol("C")), Some("too_few_bars"));
    assert!(apply(&mut second, batch((3, 9), vec![row("A\"\\B", 5.0, 1)], &[])).is_empty(), "a late repeat");
    assert_eq!(second.data(), DataKind::Synthetic);
}

#[test]
fn a_board_restored_by_partition_goes_on_as_if_it_had_never_stopped() {
    let mut first = Board::default();
    apply(&mut first, batch((3, 9), vec![row("A", 1.0, 1), row("B", 2.0, 1)], &["C"]));
    let mut second = Board::default();
    let mut n_updates = 0;
    for partition in Partition::all() {
        n_updates += second.restore_partition(partition, &first.partition_bytes(partition)).unwrap().len();
    }
    assert_eq!(n_updates, 2);
    assert_eq!(table(&mut first), table(&mut second));
    assert_eq!(second.snapshot().n_symbols, 3);
    assert_eq!(second.data(), first.data());
    assert!(apply(&mut second, batch((3, 9), vec![row("A", 5.0, 1)], &[])).is_empty(), "a late repeat");
    assert_eq!(apply(&mut second, batch((3, 10), vec![row("A", 5.0, 1)], &[])).len(), 1);
    let first_partition = Partition::of(symbol("A"));
    assert!(second.restore_partition(first_partition, b"rubbish").is_err());
}

#[test]
fn ranks_by_merit_then_symbol_and_filters() {
    let mut board = Board::default();
    let rows = vec![row("D", 60.0, 1), row("B", 70.0, 1), row("A", 60.0, 1), row("C", 20.0, 1)];
    apply(&mut board, batch((1, 1), rows, &[]));
    let all = ScanQuery::default();
    assert_eq!(symbols(&mut board, &all), ["B", "A", "D", "C"]);
    assert_eq!(symbols(&mut board, &ScanQuery { limit: 2, offset: 1, ..all.clone() }), ["A", "D"]);
    assert_eq!(symbols(&mut board, &ScanQuery { min_merit: Some(60.5), ..all.clone() }), ["B"]);
    assert_eq!(symbols(&mut board, &ScanQuery { sectors: vec!["energy".to_owned()], ..all.clone() }), ["C"]);
    assert_eq!(symbols(&mut board, &ScanQuery { bands: vec!["a+".to_owned()], ..all.clone() }), ["B", "A", "D"]);
    assert_eq!(symbols(&mut board, &ScanQuery { symbols: vec![symbol("C"), symbol("Z")], ..all }), ["C"]);
}

#[test]
fn says_what_kind_of_market_it_is() {
    let check = |source: &str, is_synthetic, expected| {
        let mut board = Board::default();
        let mut one = batch((1, 1), vec![row("A", 1.0, 1)], &[]);
        source.clone_into(&mut one.header.source);
        one.rows[0].freshness.is_synthetic = is_synthetic;
        apply(&mut board, one);
        assert_eq!(board.data(), expected, "{source}");
    };
    check("synthetic", false, DataKind::Synthetic);
    check("massive", true, DataKind::Synthetic);
    check("replay", false, DataKind::Replay);
    check("replay:/data", false, DataKind::Replay);
    check("massive", false, DataKind::Live);
    assert_eq!(Board::default().data(), DataKind::None);
}

/// One change: symbol, MERIT, whether its bar advances, whether it leaves instead.
type Change = (usize, u8, bool, bool);

const NAMES: [&str; 5] = ["A", "BRK.B", "C", "D\"", "E"];

/// Batches as scoring makes them: a symbol's bar never goes back, a run's number rises.
fn history(changes: &[(Vec<Change>, bool)]) -> Vec<ScoreBatch> {
    let mut open_times = [0; NAMES.len()];
    let (mut epoch, mut seq) = (1, 0);
    let mut batches = Vec::new();
    for (changes, is_restart) in changes {
        (epoch, seq) = if *is_restart { (epoch + 1, 1) } else { (epoch, seq + 1) };
        let (mut rows, mut removed) = (Vec::new(), Vec::new());
        for &(n, merit, advances, leaves) in changes {
            open_times[n] += i64::from(advances);
            if leaves {
                removed.push(NAMES[n]);
            } else {
                rows.push(row(NAMES[n], f64::from(merit), open_times[n]));
            }
        }
        batches.push(batch((epoch, seq), rows, &removed));
    }
    batches
}

proptest! {
    #[test]
    fn any_order_and_repetition_of_batches_ends_in_the_same_table(
        (changes, order) in prop::collection::vec(
            (prop::collection::vec((0..NAMES.len(), 0..4_u8, any::<bool>(), prop::bool::weighted(0.2)), 1..4),
             prop::bool::weighted(0.1)),
            1..12,
        ).prop_flat_map(|changes| {
            let order: Vec<usize> = (0..changes.len()).chain(0..changes.len()).collect();
            (Just(changes), Just(order).prop_shuffle())
        })
    ) {
        let batches = history(&changes);
        let mut in_order = Board::default();
        for batch in &batches {
            apply(&mut in_order, batch.clone());
        }
        let mut shuffled = Board::default();
        let mut mirror = std::collections::BTreeMap::new();
        let mut u = 0;
        for n in order {
            for update in apply(&mut shuffled, batches[n].clone()) {
                u += 1;
                prop_assert_eq!(update.u, u);
                let json = update.result.map(|row| row.json);
                prop_assert_ne!(mirror.insert(update.symbol, json.clone()).flatten(), json, "nothing changed");
            }
        }
        prop_assert_eq!(table(&mut in_order), table(&mut shuffled));
        prop_assert_eq!(mirror.values().flatten().count(), shuffled.n_rows());
        for row in shuffled.snapshot().rows() {
            prop_assert_eq!(mirror[&row.result.symbol].as_ref(), Some(&row.json));
        }
    }
}
