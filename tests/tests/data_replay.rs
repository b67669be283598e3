//! The reader and the replay on whatever daily bars the data folder holds, against the file as polars reads it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use ingest::{DailyBars, Feed as _, ReadOptions, ReplayFeed, ReplayOptions, read_daily};
use polars::prelude::*;
use schemas::{BarFlags, EventTime};
use tests::folders::data_dir;

const BARS_FILE: &str = "daily_bars.parquet";
/// Log return. A factor applied on the wrong side of a split shows as twice its size; what is larger than this in an
/// adjusted series must be rare.
const LEAP_MIN: f64 = 1.386; // ×4 either way

#[test]
fn every_row_is_a_possible_bar_or_refused_with_a_reason() {
    let Some(dir) = data_dir() else { return };
    let bars = read_daily(&dir.join(BARS_FILE), &ReadOptions::default()).unwrap();
    let n_rows = column(&dir, "date").len();
    let n_refused = usize::try_from(bars.rejections.total()).unwrap();
    eprintln!("{n_rows} rows, {} bars, refused: {:?}", bars.n_bars(), bars.rejections.by_reason);
    assert!(bars.n_bars() > 0);
    assert_eq!((bars.n_rows_read, bars.n_rows_skipped, bars.n_bars() + n_refused), (n_rows, 0, n_rows));
    assert!(bars.symbols.is_sorted_by(|(earlier, _), (later, _)| earlier < later));
    let mut next = 0;
    for (symbol, rows) in &bars.symbols {
        assert_eq!(rows.start, next, "{symbol}");
        assert!(!rows.is_empty(), "{symbol}");
        next = rows.end;
        assert!(bars.open_time[rows.clone()].is_sorted_by(|earlier, later| earlier < later), "{symbol}");
        assert!(bars.flags[rows.start].contains(BarFlags::SEGMENT_START), "{symbol}");
        for row in rows.clone() {
            assert!(bars.bar(row).check().is_ok(), "{symbol} {:?}", bars.bar(row));
        }
    }
    assert_eq!(next, bars.n_bars());
}

#[test]
fn the_last_row_of_a_segment_has_its_raw_price_and_returns_are_those_of_the_file() {
    let Some(dir) = data_dir() else { return };
    for to in [None, Some(middle_session(&dir))] {
        let bars = read_daily(&dir.join(BARS_FILE), &ReadOptions { to, ..ReadOptions::default() }).unwrap();
        let raw = Raw::read(&dir, to);
        if bars.rejections.total() > 0 || raw.close.len() != bars.n_bars() || !raw.is_sorted {
            eprintln!("skipped: rows of the file and bars do not match one to one");
            return;
        }
        let mut n_returns = 0_u64;
        let mut n_leaps = 0_u64;
        for (symbol, rows) in &bars.symbols {
            for row in rows.clone() {
                let is_start = bars.flags[row].contains(BarFlags::SEGMENT_START);
                let is_new = row == rows.start || raw.seg[row - 1] != raw.seg[row];
                assert_eq!(is_start, is_new, "{symbol} row {row}");
                let is_last = row + 1 == rows.end || raw.seg[row + 1] != raw.seg[row];
                if is_last {
                    assert_eq!(bars.close[row].to_bits(), raw.close[row].to_bits(), "{symbol} row {row}");
                    assert_eq!(bars.volume[row].to_bits(), raw.volume[row].to_bits(), "{symbol} row {row}");
                }
                if !is_start {
                    let found = bars.close[row] / bars.close[row - 1];
                    let basis = raw.split_factor[row] / raw.split_factor[row - 1];
                    let expected = raw.close[row] / raw.close[row - 1] * basis;
                    assert!((found / expected - 1.0).abs() < 1e-12, "{symbol} row {row}: {found} {expected}");
                    n_returns += 1;
                    n_leaps += u64::from(found.ln().abs() > LEAP_MIN);
                }
            }
        }
        eprintln!("{n_returns} returns, {n_leaps} of them beyond a factor of four");
        assert!(n_leaps * 20_000 <= n_returns, "{n_leaps} leaps in {n_returns} returns");
    }
}

#[test]
fn a_split_is_invisible_in_the_returns() {
    let Some(dir) = data_dir() else { return };
    let bars = read_daily(&dir.join(BARS_FILE), &ReadOptions::default()).unwrap();
    let raw = Raw::read(&dir, None);
    if bars.rejections.total() > 0 || !raw.is_sorted {
        eprintln!("skipped: rows of the file and bars do not match one to one");
        return;
    }
    let (mut adjusted, mut unadjusted, mut factors) = (Vec::new(), Vec::new(), Vec::new());
    for (_, rows) in &bars.symbols {
        for row in rows.start + 1..rows.end {
            let factor = (raw.split_factor[row] / raw.split_factor[row - 1]).ln().abs();
            // Halving or more: a step that no ordinary day hides.
            if factor > 0.6 && !bars.flags[row].contains(BarFlags::SEGMENT_START) {
                adjusted.push((bars.close[row] / bars.close[row - 1]).ln().abs());
                unadjusted.push((raw.close[row] / raw.close[row - 1]).ln().abs());
                factors.push(factor);
            }
        }
    }
    eprintln!("{} splits", factors.len());
    let Some(adjusted) = median(&mut adjusted) else { return };
    assert!(adjusted < 0.15, "median return over a split {adjusted}");
    assert!(median(&mut unadjusted) > Some(0.5));
}

#[test]
fn the_replay_hands_out_every_bar_once_in_event_time_order() {
    let Some(dir) = data_dir() else { return };
    let bars = read_daily(&dir.join(BARS_FILE), &ReadOptions::default()).unwrap();
    let mut feed = ReplayFeed::open(&dir, &ReplayOptions::default()).unwrap();
    assert_eq!(feed.n_bars_total(), Some(bars.n_bars() as u64));
    let mut watermark = EventTime(i64::MIN);
    let mut n_bars = 0;
    while let Some(step) = feed.next_step() {
        assert_eq!(step.wait, Duration::ZERO);
        assert!(!step.bars.is_empty());
        assert!(step.bars.iter().all(|bar| Some(bar.open_time) == step.watermark));
        assert!(step.bars.is_sorted_by(|earlier, later| earlier.symbol < later.symbol));
        assert!(step.watermark > Some(watermark));
        watermark = step.watermark.unwrap();
        n_bars += step.bars.len();
    }
    assert_eq!(n_bars, bars.n_bars());
    assert_eq!(Some(&watermark), bars.sessions.last());
    if !feed.missing_files().is_empty() {
        return;
    }
    let instruments = feed.instruments();
    assert!(!instruments.is_empty());
    assert!(instruments.iter().all(|found| is_known(&bars, found.symbol) || !found.closes.is_empty()));
}

fn is_known(bars: &DailyBars, symbol: schemas::Symbol) -> bool {
    bars.symbols.binary_search_by_key(&symbol, |(symbol, _)| *symbol).is_ok()
}

/// The columns that the reader works from, without its checks; absent ones as it takes them.
struct Raw {
    close: Vec<f64>,
    volume: Vec<f64>,
    split_factor: Vec<f64>,
    seg: Vec<u64>,
    is_sorted: bool,
}

impl Raw {
    fn read(dir: &Path, to: Option<EventTime>) -> Self {
        let to = to.map_or(i32::MAX, EventTime::days);
        let days = column(dir, "date").cast(&DataType::Date).unwrap().to_physical_repr().i32().unwrap().to_vec();
        let is_wanted: Vec<bool> = days.iter().map(|day| day.is_some_and(|day| day <= to)).collect();
        let numbers = |name: &str, absent: f64| -> Vec<f64> {
            let values = read(dir).column(name).ok().map(|column| column.cast(&DataType::Float64).unwrap());
            let value = |row: usize| values.as_ref().map_or(Some(absent), |values| values.f64().unwrap().get(row));
            let kept = (0..is_wanted.len()).filter(|&row| is_wanted[row]);
            kept.map(|row| value(row).unwrap_or(f64::NAN)).collect()
        };
        let symbols = column(dir, "symbol").cast(&DataType::String).unwrap();
        Self {
            close: numbers("close", f64::NAN),
            volume: numbers("volume", f64::NAN),
            split_factor: numbers("split_factor", 1.0),
            seg: numbers("seg", 0.0).into_iter().map(f64::to_bits).collect(),
            is_sorted: symbols.str().unwrap().iter().is_sorted(),
        }
    }
}

fn read(dir: &Path) -> DataFrame {
    ParquetReader::new(File::open(dir.join(BARS_FILE)).unwrap()).finish().unwrap()
}

fn column(dir: &Path, name: &str) -> Series {
    let file = File::open(dir.join(BARS_FILE)).unwrap();
    let frame = ParquetReader::new(file).with_columns(Some(vec![name.to_owned()])).finish().unwrap();
    frame.column(name).unwrap().as_materialized_series().clone()
}

fn middle_session(dir: &Path) -> EventTime {
    let bars = read_daily(&dir.join(BARS_FILE), &ReadOptions::default()).unwrap();
    bars.sessions[bars.sessions.len() / 2]
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
