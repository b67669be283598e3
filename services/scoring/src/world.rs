//! A small market for the tests of this crate: a stage, and what arrives.

use schemas::{
    Bar, BarBatchBuilder, BarFlags, EventTime, FeatureBatch, Header, Instrument, Partition, Plan, PredictionBatch,
    Predictions, ResultRow, Symbol, Timeframe,
};

use crate::{FEATURE_COLUMNS, ScoringInput, ScoringOptions, ScoringSetup, ScoringStage};

pub(crate) fn stage() -> ScoringStage {
    let plan = Plan::new(FEATURE_COLUMNS);
    let setup = ScoringSetup { options: ScoringOptions::default(), timeframe: Timeframe::D1, plan, epoch: 1 };
    ScoringStage::new(setup).unwrap()
}

pub(crate) fn symbol(text: &str) -> Symbol {
    Symbol::new(text).unwrap()
}

/// A final bar of a symbol and some of its columns; the others are missing.
pub(crate) fn bar(text: &str, bar: Bar, columns: &[(&str, f64)]) -> ScoringInput {
    let symbol = symbol(text);
    let mut bars = BarBatchBuilder::new(Partition::of(symbol));
    bars.push(symbol, bar);
    let header = Header {
        timeframe: Timeframe::D1,
        partition: Partition::of(symbol),
        epoch: 9,
        seq: 1,
        event_time: bar.open_time,
        ingest_time: EventTime(0),
        source: "test".to_owned(),
        watermark: None,
    };
    let value = |name| columns.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| *value);
    let matrix = FEATURE_COLUMNS.into_iter().map(value).collect();
    let features = FeatureBatch::new(bars.finish(header), Plan::new(FEATURE_COLUMNS).hash(), matrix).unwrap();
    ScoringInput::Predictions(PredictionBatch::new(features, vec![Predictions::default()], Vec::new()).unwrap())
}

/// A bar that closes at a price, a little below its high and above its low.
pub(crate) fn day(day: i32, close: f64, volume: f64) -> Bar {
    Bar {
        open_time: EventTime::from_days(day),
        open: close,
        high: close * 1.01,
        low: close * 0.99,
        close,
        volume,
        revision: 0,
        flags: BarFlags::FINAL,
    }
}

pub(crate) fn instrument(text: &str) -> Instrument {
    Instrument {
        symbol: symbol(text),
        source: "test".to_owned(),
        name: None,
        exchange: None,
        sector: None,
        industry: None,
        shares: None,
        filings: Vec::new(),
        events: Vec::new(),
        closes: Vec::new(),
    }
}

/// What a fresh stage publishes of these inputs at rest: rows by symbol, and why the others have none.
pub(crate) fn settled(inputs: impl IntoIterator<Item = ScoringInput>) -> (Vec<ResultRow>, Vec<(Symbol, String)>) {
    use pipeline::Stage as _;

    let (mut stage, mut out) = (stage(), Vec::new());
    for input in inputs {
        stage.on_batch(input, &mut out).unwrap();
    }
    stage.settle(&mut out);
    let (mut rows, mut why_not) = (Vec::new(), Vec::new());
    for batch in out {
        rows.extend(batch.rows);
        why_not.extend(batch.why_not.into_iter().map(|why_not| (why_not.symbol, why_not.condition.into_owned())));
    }
    rows.sort_by_key(|row| row.symbol);
    why_not.sort();
    (rows, why_not)
}
