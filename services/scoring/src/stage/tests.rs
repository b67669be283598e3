use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::{Bar, BarBatchBuilder, BarFlags, FeatureBatch, Plan, Predictions, ResultRow, Timeframe};

use super::*;
use crate::config::ScoringOptions;
use crate::entry::FEATURE_COLUMNS;

fn stage() -> ScoringStage {
    ScoringStage::new(ScoringSetup {
        options: ScoringOptions::default(),
        timeframe: Timeframe::D1,
        plan: Plan::new(FEATURE_COLUMNS),
        epoch: 1,
    })
    .unwrap()
}

#[derive(Debug, Clone)]
struct Update {
    symbol: u8,
    day: i32,
    revision: u32,
    close: f64,
    volume: f64,
    n_bars: u32,
    rsi: Option<f64>,
    atr: Option<f64>,
    alpha: Option<f64>,
}

fn updates(n_max: usize) -> impl Strategy<Value = Vec<Update>> {
    let update = (
        (0_u8..40, 0_i32..14, 0_u32..3, 15_u32..200),
        (1_i32..50, 0_i32..5, prop::option::of(20_i32..80), prop::option::of(1_i32..12), prop::option::of(-5_i32..5)),
    )
        .prop_map(|((symbol, day, revision, n_bars), (close, volume, rsi, atr, alpha))| Update {
            symbol,
            day,
            revision,
            n_bars,
            close: f64::from(close),
            volume: f64::from(volume) * 1e5,
            rsi: rsi.map(f64::from),
            atr: atr.map(|atr| f64::from(atr) / 100.0),
            alpha: alpha.map(|alpha| f64::from(alpha) / 100.0),
        });
    prop::collection::vec(update, 1..n_max)
}

fn symbol(number: u8) -> Symbol {
    Symbol::new(&format!("T{number}")).unwrap()
}

fn input(update: &Update, seq: u64) -> ScoringInput {
    let symbol = symbol(update.symbol);
    let partition = Partition::of(symbol);
    let mut bars = BarBatchBuilder::new(partition);
    bars.push(
        symbol,
        Bar {
            open_time: EventTime::from_days(17_000 + update.day),
            open: update.close,
            high: update.close,
            low: update.close,
            close: update.close,
            volume: update.volume,
            revision: update.revision,
            flags: BarFlags::FINAL,
        },
    );
    let header = Header {
        timeframe: Timeframe::D1,
        partition,
        epoch: 9,
        seq,
        event_time: EventTime(0),
        ingest_time: EventTime(0),
        source: "test".to_owned(),
        watermark: None,
    };
    let matrix = FEATURE_COLUMNS
        .iter()
        .map(|&column| match column {
            "n_bars" => f64::from(update.n_bars),
            "sma20" => update.close * 0.9,
            // Every other row looks like one in a rise, which has a plan.
            "sma50" | "sma200" if update.n_bars % 2 == 1 => update.close * 0.8,
            "macd_hist" if update.n_bars % 2 == 1 => 0.5,
            "ret_5d" if update.n_bars % 2 == 1 => 0.03,
            "vol_spike_ratio" if update.n_bars % 2 == 1 => 2.0,
            "pct_from_high20" if update.n_bars % 2 == 1 => -0.005,
            "rsi14" => update.rsi.unwrap_or(f64::NAN),
            "atr_pct_14" => update.atr.unwrap_or(f64::NAN),
            _ => f64::NAN,
        })
        .collect();
    let features = FeatureBatch::new(bars.finish(header), Plan::new(FEATURE_COLUMNS).hash(), matrix).unwrap();
    let predictions = Predictions { alpha_5d: update.alpha, ..Predictions::default() };
    ScoringInput::Predictions(PredictionBatch::new(features, vec![predictions], Vec::new()).unwrap())
}

fn apply(published: &mut BTreeMap<Symbol, ResultRow>, out: &mut Vec<ScoreBatch>) {
    for batch in out.drain(..) {
        for row in batch.rows {
            published.insert(row.symbol, row);
        }
        for symbol in batch.removed {
            published.remove(&symbol);
        }
    }
}

/// Equal to the last bit: the JSON of a float names exactly one float.
fn bytes(table: &BTreeMap<Symbol, ResultRow>) -> Vec<u8> {
    rmp_serde::to_vec_named(&table.values().collect::<Vec<_>>()).unwrap()
}

/// The newest update of each symbol, all at once, in a fresh stage.
fn full_recompute(updates: &[Update]) -> BTreeMap<Symbol, ResultRow> {
    let mut newest: BTreeMap<u8, &Update> = BTreeMap::new();
    for update in updates {
        let entry = newest.entry(update.symbol).or_insert(update);
        if (update.day, update.revision) > (entry.day, entry.revision) {
            *entry = update;
        }
    }
    at_rest(newest.into_values())
}

/// What a fresh stage publishes of these updates, all at once.
fn at_rest<'a>(updates: impl IntoIterator<Item = &'a Update>) -> BTreeMap<Symbol, ResultRow> {
    let (mut stage, mut out, mut published) = (stage(), Vec::new(), BTreeMap::new());
    for (seq, update) in (1..).zip(updates) {
        stage.on_batch(input(update, seq), &mut out).unwrap();
    }
    stage.settle(&mut out);
    apply(&mut published, &mut out);
    published
}

/// The same without what only the bars before the newest tell.
fn without_plans(table: &BTreeMap<Symbol, ResultRow>) -> BTreeMap<Symbol, ResultRow> {
    let row = |row: &ResultRow| ResultRow { live_plan: None, ..row.clone() };
    table.iter().map(|(symbol, known)| (*symbol, row(known))).collect()
}

proptest! {
    #[test]
    fn the_table_at_rest_equals_a_full_recompute(updates in updates(200), calls in prop::collection::vec(0_u8..4, 200)) {
        let (mut stage, mut out, mut published) = (stage(), Vec::new(), BTreeMap::new());
        for ((seq, update), call) in (1..).zip(&updates).zip(calls) {
            stage.on_batch(input(update, seq), &mut out).unwrap();
            match call {
                0 => stage.on_idle(&mut out),
                1 => stage.on_refresh(&mut out),
                _ => {}
            }
            apply(&mut published, &mut out);
        }
        while stage.needs_refresh() {
            stage.on_refresh(&mut out);
        }
        apply(&mut published, &mut out);
        prop_assert_eq!(bytes(&without_plans(&published)), bytes(&without_plans(&full_recompute(&updates))));
        prop_assert_eq!(bytes(&published), bytes(&at_rest(&updates)));
    }

    #[test]
    fn a_restored_stage_goes_on_as_if_it_had_never_stopped(updates in updates(80), stop in 0_usize..80) {
        let (mut stage, mut out) = (self::stage(), Vec::new());
        let stop = stop.min(updates.len());
        for (seq, update) in (1..).zip(&updates[..stop]) {
            stage.on_batch(input(update, seq), &mut out).unwrap();
        }
        let mut restored = self::stage();
        for partition in Partition::all() {
            restored.restore(partition, &stage.snapshot(partition)).unwrap();
        }
        for (seq, update) in (1..).zip(&updates[stop..]) {
            restored.on_batch(input(update, seq), &mut out).unwrap();
        }
        let mut published = BTreeMap::new();
        restored.settle(&mut out);
        apply(&mut published, &mut out);
        prop_assert_eq!(bytes(&without_plans(&published)), bytes(&without_plans(&full_recompute(&updates))));
        prop_assert_eq!(bytes(&published), bytes(&at_rest(&updates)));
    }

    #[test]
    fn every_breakdown_sums_to_its_score(updates in updates(60)) {
        for row in full_recompute(&updates).into_values() {
            let parts = row.breakdown.merit;
            let sum = parts.tech + parts.alpha + parts.win + parts.ics + parts.quality + parts.liquidity
                + parts.vol_safety + parts.confluence + parts.penalty_earnings + parts.penalty_liquidity
                + parts.penalty_atr + parts.penalty_cap + parts.penalty_ultra_risk + parts.clip;
            prop_assert!((sum - row.merit).abs() < 1e-9, "{sum} {}", row.merit);
            let parts = row.breakdown.ics;
            let sum = parts.tech + parts.alpha + parts.quality + parts.stability + parts.liquidity + parts.event
                + parts.clip;
            prop_assert!((sum - row.ics).abs() < 1e-9, "{sum} {}", row.ics);
            prop_assert_eq!(row.tech_rating.is_some(), row.breakdown.tech_rating.is_some());
        }
    }
}

#[test]
fn a_lone_change_is_published_at_once_and_the_others_at_the_refresh() {
    let update = |symbol, day, close| Update {
        symbol,
        day,
        revision: 0,
        close,
        volume: 1e6,
        n_bars: 100,
        rsi: Some(60.0),
        atr: Some(0.01),
        alpha: None,
    };
    let (mut stage, mut out) = (stage(), Vec::new());
    for number in 0..10 {
        stage.on_batch(input(&update(number, 0, 10.0 + f64::from(number)), 1), &mut out).unwrap();
    }
    stage.settle(&mut out);
    out.clear();
    stage.on_batch(input(&update(3, 1, 100.0), 2), &mut out).unwrap();
    stage.on_idle(&mut out);
    let symbols = |out: &[ScoreBatch]| -> Vec<Symbol> {
        out.iter().flat_map(|batch| batch.rows.iter().map(|row| row.symbol)).collect()
    };
    assert_eq!(symbols(&out), [symbol(3)]);
    assert!(stage.needs_refresh());
    out.clear();
    stage.settle(&mut out);
    // Rows 4 to 9 lost a place in liquidity; 0 to 2 kept theirs.
    let mut moved = symbols(&out);
    moved.sort();
    assert_eq!(moved, (4..10).map(symbol).collect::<Vec<_>>());
    assert!(!stage.needs_refresh());
}

/// Two symbols of one partition, and one of another.
fn neighbours() -> [u8; 3] {
    let of = |number: u8| Partition::of(symbol(number));
    let pairs = (0..=u8::MAX).flat_map(|a| (0..a).map(move |b| (a, b)));
    let (a, b) = pairs.into_iter().find(|(a, b)| of(*a) == of(*b)).expect("there are 64 partitions");
    [a, b, (0..=u8::MAX).find(|other| of(*other) != of(a)).expect("there are 64 partitions")]
}

#[test]
fn a_batch_names_the_models_that_made_its_rows_predictions() {
    let [first, second, other] = neighbours();
    let predicted = |number: u8, day: i32, version: &str| {
        let update = Update {
            symbol: number,
            day,
            revision: 0,
            close: 10.0 + f64::from(number) + f64::from(day),
            volume: 1e6,
            n_bars: 100,
            rsi: Some(60.0),
            atr: Some(0.01),
            alpha: Some(0.02),
        };
        let ScoringInput::Predictions(batch) = input(&update, 1) else { panic!("predictions") };
        let model = ModelRef { name: "alpha_5d".into(), version: version.into(), hash: "0".into() };
        ScoringInput::Predictions(
            PredictionBatch::new(batch.features().clone(), batch.rows().to_vec(), vec![model]).unwrap(),
        )
    };
    let named = |out: &mut Vec<ScoreBatch>| -> BTreeMap<Symbol, String> {
        let batches = out.drain(..);
        let rows = batches.flat_map(|batch| {
            let version = batch.models[0].version.clone();
            batch.rows.into_iter().map(move |row| (row.symbol, version.clone()))
        });
        rows.collect()
    };
    let versions =
        |of: [(u8, &str); 3]| BTreeMap::from(of.map(|(number, version)| (symbol(number), version.to_owned())));
    let (mut before, mut out) = (stage(), Vec::new());
    for number in [first, second, other] {
        before.on_batch(predicted(number, 0, "1"), &mut out).unwrap();
    }
    before.settle(&mut out);
    assert_eq!(named(&mut out), versions([(first, "1"), (second, "1"), (other, "1")]));

    // Everybody's place may move; only one row has predictions of the new version.
    before.on_batch(predicted(first, 1, "2"), &mut out).unwrap();
    let mixed = versions([(first, "2"), (second, "1"), (other, "1")]);
    let mut again = stage();
    for partition in Partition::all() {
        again.restore(partition, &before.snapshot(partition)).unwrap();
    }
    before.on_idle(&mut out);
    let found = named(&mut out);
    assert_eq!(found.get(&symbol(first)), mixed.get(&symbol(first)));
    before.settle(&mut out);
    let moved = named(&mut out);
    assert!(moved.iter().all(|(symbol, version)| mixed[symbol] == *version), "{moved:?}");

    // What starts from the snapshots knows it, too, and says it of every row.
    again.settle(&mut out);
    assert!(out.iter().all(|batch| batch.models.len() == 1));
    assert_eq!(named(&mut out), mixed);
    let (partition, bytes) = (Partition::of(symbol(first)), before.snapshot(Partition::of(symbol(first))));
    let mut damaged: Snapshot = rmp_serde::from_slice(&bytes).unwrap();
    damaged.models.truncate(1);
    let error = stage().restore(partition, &rmp_serde::to_vec(&damaged).unwrap()).unwrap_err();
    assert_eq!(error.reason, "snapshot");
}

#[test]
fn a_batch_of_another_plan_is_refused() {
    let mut setup = stage().setup;
    setup.plan = Plan::new(FEATURE_COLUMNS.into_iter().chain(["one_more"]));
    let mut stage = ScoringStage::new(setup).unwrap();
    let update = Update {
        symbol: 1,
        day: 0,
        revision: 0,
        close: 1.0,
        volume: 1.0,
        n_bars: 30,
        rsi: None,
        atr: None,
        alpha: None,
    };
    let rejected = stage.on_batch(input(&update, 1), &mut Vec::new()).unwrap_err();
    assert_eq!(rejected.reason, "plan");
    assert_eq!(stage.n_symbols(), 0);
}
