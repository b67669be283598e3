//! The roll-up on the real minutes of the data folder, beside the daily bars that somebody else made of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use ingest::RollUpStage;
use pipeline::Stage as _;
use polars::prelude::*;
use schemas::{Bar, BarBatch, BarBatchBuilder, BarFlags, EventTime, Header, Partition, Symbol, Timeframe};
use tests::folders::data_dir;
use tests::technic::{days_of, read_parquet};

const MINUTE_NS: i64 = 60_000_000_000;

#[test]
fn a_day_of_real_minutes_opens_and_closes_like_its_daily_bar() {
    let Some(dir) = data_dir() else { return };
    let [minutes, daily] = ["intraday_minute.parquet", "lean_equity_daily.parquet"].map(|name| dir.join(name));
    if !(minutes.exists() && daily.exists()) {
        eprintln!("skipped: the folder has no minutes");
        return;
    }
    let rolled = rolled_up(&minutes);
    let daily = bars(&daily, "date");
    let mut n_compared = 0;
    for (key, bar) in &rolled {
        assert!(bar.is_final(), "{key:?}");
        let Some(expected) = daily.get(key) else { continue };
        let prices = |bar: &Bar| [bar.open, bar.close].map(f64::to_bits);
        assert_eq!(prices(bar), prices(expected), "{key:?}");
        // A daily bar also has prints outside the session's minutes.
        let is_close = |found: f64, expected: f64, tolerance: f64| (found / expected - 1.0).abs() < tolerance;
        assert!(is_close(bar.high, expected.high, 0.01) && is_close(bar.low, expected.low, 0.01), "{key:?}");
        assert!(is_close(bar.volume, expected.volume, 0.05), "{key:?}: {} {}", bar.volume, expected.volume);
        n_compared += 1;
    }
    eprintln!("{} days of minutes, {n_compared} compared", rolled.len());
    assert!(!rolled.is_empty());
}

type Key = (Symbol, EventTime);

/// The final daily bars, minute after minute.
fn rolled_up(path: &Path) -> BTreeMap<Key, Bar> {
    let mut by_symbol: BTreeMap<Symbol, Vec<Bar>> = BTreeMap::new();
    for ((symbol, _), bar) in bars(path, "ts") {
        by_symbol.entry(symbol).or_default().push(bar);
    }
    let mut rolled = BTreeMap::new();
    for (symbol, bars) in by_symbol {
        let partition = Partition::of(symbol);
        let mut stage = RollUpStage::new();
        let mut builder = BarBatchBuilder::new(partition);
        let mut out = Vec::new();
        for (seq, bar) in (1..).zip(&bars) {
            builder.push(symbol, *bar);
            stage.on_batch(builder.finish(header(partition, seq, None)), &mut out).unwrap();
        }
        // A day later everything is over.
        let end = EventTime(bars.last().unwrap().open_time.as_ns() + 1440 * MINUTE_NS);
        stage.on_batch(builder.finish(header(partition, u64::MAX, Some(end))), &mut out).unwrap();
        stage.take_refused(&mut |reason, n_rows| panic!("{n_rows} minutes of {symbol} refused: {reason}"));
        let last = out.iter().flat_map(BarBatch::rows).filter(|(_, bar)| bar.is_final());
        rolled.extend(last.map(|&(symbol, bar)| ((symbol, bar.open_time), bar)));
    }
    rolled
}

fn header(partition: Partition, seq: u64, watermark: Option<EventTime>) -> Header {
    Header {
        timeframe: Timeframe::M1,
        partition,
        epoch: 1,
        seq,
        event_time: EventTime::default(),
        ingest_time: EventTime::default(),
        source: "test".to_owned(),
        watermark,
    }
}

/// By symbol and time, which `time` names: a column of dates or of microseconds.
fn bars(path: &Path, time: &str) -> BTreeMap<Key, Bar> {
    let frame = read_parquet(path);
    let symbols = frame.column("symbol").unwrap().str().unwrap().clone();
    let times: Vec<EventTime> = if time == "date" {
        days_of(&frame, time).into_iter().map(EventTime::from_days).collect()
    } else {
        let times = frame.column(time).unwrap().cast(&DataType::Int64).unwrap();
        times.i64().unwrap().iter().map(|micros| EventTime(micros.unwrap() * 1000)).collect()
    };
    let column = |name: &str| -> Vec<f64> {
        let values = frame.column(name).unwrap().cast(&DataType::Float64).unwrap();
        values.f64().unwrap().iter().map(Option::unwrap).collect()
    };
    let [open, high, low, close, volume] = ["open", "high", "low", "close", "volume"].map(column);
    let rows = symbols.iter().zip(times).enumerate().map(|(row, (symbol, open_time))| {
        let [open, high, low, close, volume] = [&open, &high, &low, &close, &volume].map(|values| values[row]);
        let bar = Bar { open_time, open, high, low, close, volume, revision: 0, flags: BarFlags::FINAL };
        ((Symbol::new(symbol.unwrap()).unwrap(), open_time), bar)
    });
    rows.collect()
}
