use std::fs;
use std::path::PathBuf;

use polars::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::RowFault;

/// One row to write: symbol, day, close, split factor, segment. Open, high and low follow from the close.
type Row = (&'static str, i32, f64, f64, i64);

fn frame(rows: &[Row]) -> DataFrame {
    let column = |value: fn(&Row) -> f64| rows.iter().map(value).collect::<Vec<f64>>();
    df!(
        "symbol" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "date" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "open" => column(|row| row.2),
        "high" => column(|row| row.2 * 1.5),
        "low" => column(|row| row.2 * 0.5),
        "close" => column(|row| row.2),
        "volume" => vec![1000_i64; rows.len()],
        "split_factor" => column(|row| row.3),
        "seg" => rows.iter().map(|row| row.4).collect::<Vec<_>>(),
    )
    .unwrap()
    .with_dates()
}

trait WithDates {
    fn with_dates(self) -> Self;
}

impl WithDates for DataFrame {
    fn with_dates(mut self) -> Self {
        let dates = self.column("date").unwrap().cast(&DataType::Date).unwrap();
        self.with_column(dates).unwrap();
        self
    }
}

/// A file in a folder of its own.
fn written(frame: &mut DataFrame) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bars.parquet");
    // Small row groups: symbols shall cross their boundaries.
    ParquetWriter::new(fs::File::create(&path).unwrap()).with_row_group_size(Some(3)).finish(frame).unwrap();
    (dir, path)
}

fn read(frame: &mut DataFrame, options: &ReadOptions) -> DailyBars {
    let (_dir, path) = written(frame);
    let bars = read_daily(&path, options).unwrap();
    let n_rows = bars.n_bars() + bars.n_rows_skipped + usize::try_from(bars.rejections.total()).unwrap();
    assert_eq!(n_rows, bars.n_rows_read);
    for (symbol, rows) in &bars.symbols {
        assert!(bars.open_time[rows.clone()].is_sorted_by(|earlier, later| earlier < later), "{symbol}");
        assert!(rows.clone().all(|row| bars.bar(row).check().is_ok()), "{symbol}");
    }
    assert!(bars.symbols.is_sorted_by(|(earlier, _), (later, _)| earlier < later));
    bars
}

fn read_all(rows: &[Row]) -> DailyBars {
    read(&mut frame(rows), &ReadOptions::default())
}

/// What was accepted, as `symbol day close`.
fn texts(bars: &DailyBars) -> Vec<String> {
    bars.symbols
        .iter()
        .flat_map(|(symbol, rows)| {
            rows.clone().map(move |row| format!("{symbol} {} {}", bars.open_time[row].days(), bars.close[row]))
        })
        .collect()
}

/// What was refused, as `row reason`.
fn faults(bars: &DailyBars) -> Vec<String> {
    bars.rejections.samples.iter().map(|fault| format!("{} {}", fault.row, fault.reason)).collect()
}

fn day(days: i32) -> EventTime {
    EventTime::from_days(days)
}

#[test]
fn rows_come_by_symbol_and_date() {
    let bars = read_all(&[("A", 1, 5.0, 1.0, 0), ("A", 2, 6.0, 1.0, 0), ("BRK.B", 2, 7.0, 1.0, 0)]);
    assert_eq!(texts(&bars), ["A 1 5", "A 2 6", "BRK.B 2 7"]);
    assert_eq!(bars.sessions, [EventTime::from_days(1), EventTime::from_days(2)]);
    let always = BarFlags::FINAL.with(BarFlags::REPLAYED);
    let start = always.with(BarFlags::SEGMENT_START);
    assert_eq!(bars.flags, [start, always, start]);
    let expected = Bar {
        open_time: EventTime::from_days(2),
        open: 6.0,
        high: 9.0,
        low: 3.0,
        close: 6.0,
        volume: 1000.0,
        revision: 0,
        flags: always,
    };
    assert_eq!(bars.bar(1), expected);
}

#[test]
fn prices_are_on_the_basis_of_the_as_of_row() {
    // A 2:1 split on day 3 and a 4:1 split on day 5.
    let rows = [
        ("A", 1, 80.0, 0.125, 0),
        ("A", 2, 80.0, 0.125, 0),
        ("A", 3, 40.0, 0.25, 0),
        ("A", 4, 40.0, 0.25, 0),
        ("A", 5, 10.0, 1.0, 0),
    ];
    let check = |to: Option<EventTime>, closes: &[f64], volumes: &[f64]| {
        let bars = read(&mut frame(&rows), &ReadOptions { to, ..ReadOptions::default() });
        assert_eq!((&bars.close[..], &bars.volume[..]), (closes, volumes), "{to:?}");
    };
    check(None, &[10.0; 5], &[8000.0, 8000.0, 4000.0, 4000.0, 1000.0]);
    check(Some(day(4)), &[40.0; 4], &[2000.0, 2000.0, 1000.0, 1000.0]);
    check(Some(day(2)), &[80.0; 2], &[1000.0; 2]);
}

#[test]
fn a_segment_has_its_own_basis_and_a_flag() {
    let rows = [
        ("A", 1, 8.0, 0.5, 0),
        ("A", 2, 4.0, 1.0, 0),
        ("A", 8, 90.0, 3.0, 1),
        ("A", 9, 270.0, 1.0, 1),
        ("B", 9, 2.0, 1.0, 1),
    ];
    let bars = read_all(&rows);
    assert_eq!(bars.close, [4.0, 4.0, 270.0, 270.0, 2.0]);
    let starts: Vec<bool> = bars.flags.iter().map(|flags| flags.contains(BarFlags::SEGMENT_START)).collect();
    assert_eq!(starts, [true, false, true, false, true]);
    let bars = read(&mut frame(&rows), &ReadOptions { from: Some(day(9)), ..ReadOptions::default() });
    assert!(bars.flags.iter().all(|flags| flags.contains(BarFlags::SEGMENT_START)), "the first that was read");
}

#[test]
fn a_gap_is_a_session_of_the_file_without_the_symbol() {
    let rows = [
        ("A", 1, 5.0, 1.0, 0),
        ("A", 4, 5.0, 1.0, 0),
        ("A", 6, 5.0, 1.0, 0),
        ("B", 1, 5.0, 1.0, 0),
        ("B", 5, 5.0, 1.0, 0),
    ];
    let gaps: Vec<bool> = read_all(&rows).flags.iter().map(|flags| flags.contains(BarFlags::GAP_BEFORE)).collect();
    assert_eq!(gaps, [false, false, true, false, true]);
}

#[test]
fn options_select_dates_and_symbols() {
    let rows = [
        ("A", 1, 5.0, 1.0, 0),
        ("A", 2, 5.0, 1.0, 0),
        ("A", 3, 5.0, 1.0, 0),
        ("B", 2, 5.0, 1.0, 0),
        ("C", 2, 5.0, 1.0, 0),
    ];
    let symbols = ["A", "C", "Z"].map(|symbol| Symbol::new(symbol).unwrap()).into();
    let options = ReadOptions { from: Some(day(2)), to: Some(day(2)), symbols: Some(symbols) };
    let bars = read(&mut frame(&rows), &options);
    assert_eq!(texts(&bars), ["A 2 5", "C 2 5"]);
    assert_eq!((bars.n_rows_skipped, bars.n_rows_read), (3, 5));
    assert_eq!(bars.sessions, [EventTime::from_days(2)]);
}

#[test]
fn row_groups_do_not_show() {
    // Groups of three rows: symbols within one, across two, and across several; a bad row in each.
    let lens = [1, 1, 5, 3, 2, 11, 1, 4];
    let names = ["A", "B", "C", "D", "E", "F", "G", "H"];
    let mut rows: Vec<Row> = Vec::new();
    for (name, len) in names.into_iter().zip(lens) {
        rows.extend((0..len).map(|day| (name, day, if day == 2 { -1.0 } else { 8.0 }, 0.5, 0)));
    }
    let expected: Vec<String> =
        rows.iter().filter(|row| row.2 > 0.0).map(|row| format!("{} {} 8", row.0, row.1)).collect();
    let bad: Vec<String> =
        (0..rows.len()).filter(|&row| rows[row].2 < 0.0).map(|row| format!("{row} not_positive")).collect();
    let bars = read_all(&rows);
    assert_eq!(texts(&bars), expected);
    assert_eq!(faults(&bars), bad);
    let in_order = read_all(&rows);
    rows.reverse();
    rows.sort_by_key(|row| row.1);
    let reordered = read_all(&rows);
    assert_eq!((reordered.flags, reordered.symbols), (in_order.flags, in_order.symbols));
}

#[test]
fn a_bad_row_is_refused_alone() {
    let good = [("A", 1, 5.0, 1.0, 0), ("A", 2, 5.0, 1.0, 0), ("A", 3, 5.0, 1.0, 0), ("B", 1, 5.0, 1.0, 0)];
    let check = |column: &str, value: f64, reason: &'static str| {
        let mut frame = frame(&good);
        let mut values: Vec<f64> =
            frame.column(column).unwrap().cast(&DataType::Float64).unwrap().f64().unwrap().iter().flatten().collect();
        values[1] = value;
        frame.with_column(Column::new(column.into(), values)).unwrap();
        let bars = read(&mut frame, &ReadOptions::default());
        assert_eq!(texts(&bars), ["A 1 5", "A 3 5", "B 1 5"], "{column} {value}");
        assert_eq!(bars.rejections.by_reason, [(reason, 1)].into(), "{column} {value}");
        assert!(bars.flags[1].contains(BarFlags::GAP_BEFORE), "{column} {value}");
    };
    check("close", f64::NAN, "not_finite");
    check("open", f64::INFINITY, "not_finite");
    check("low", -1.0, "not_positive");
    check("close", 0.0, "not_positive");
    check("volume", -1.0, "negative_volume");
    check("volume", f64::NAN, "not_finite");
    check("high", 2.0, "high_below_low");
    check("high", 4.9, "outside_range");
    check("low", 5.1, "outside_range");
    check("split_factor", 0.0, "split_factor");
    check("split_factor", f64::NAN, "split_factor");
    check("split_factor", 1e308, "out_of_range");
}

#[test]
fn missing_values_are_refused_alone() {
    let mut frame = frame(&[("A", 1, 5.0, 1.0, 0), ("A", 2, 5.0, 1.0, 0), ("A", 3, 5.0, 1.0, 0)]);
    let dates = Column::new("date".into(), [Some(1), None, Some(3)]).cast(&DataType::Date).unwrap();
    frame.with_column(dates).unwrap();
    frame.with_column(Column::new("close".into(), [Some(5.0), Some(5.0), None])).unwrap();
    let bars = read(&mut frame, &ReadOptions::default());
    assert_eq!(texts(&bars), ["A 1 5"]);
    assert_eq!(faults(&bars), ["1 date", "2 not_finite"]);
}

#[test]
fn a_symbol_must_be_one() {
    let mut frame = frame(&[("A", 1, 5.0, 1.0, 0); 6]);
    let symbols = [Some(""), Some("A"), Some("A B"), Some("A symbol that is too long"), Some("B"), None];
    frame.with_column(Column::new("symbol".into(), symbols)).unwrap();
    let bars = read(&mut frame, &ReadOptions::default());
    assert_eq!(texts(&bars), ["A 1 5", "B 1 5"]);
    assert_eq!(bars.rejections.by_reason, [("symbol", 4)].into());
    let rows: Vec<usize> = bars.rejections.samples.iter().map(|fault| fault.row).collect();
    assert_eq!(rows, [5, 0, 2, 3], "rows of the file, though the symbols had to be sorted");
}

#[test]
fn time_must_go_forward_within_a_symbol() {
    let bars = read_all(&[
        ("A", 1, 5.0, 1.0, 0),
        ("A", 3, 6.0, 1.0, 0),
        ("A", 2, 7.0, 1.0, 0),
        ("A", 3, 8.0, 1.0, 0),
        ("A", 4, 9.0, 1.0, 0),
        ("B", 1, 5.0, 1.0, 0),
    ]);
    assert_eq!(texts(&bars), ["A 1 5", "A 3 6", "A 4 9", "B 1 5"]);
    let expected = RowFault {
        file: bars.rejections.samples[0].file.clone(),
        row: 2,
        symbol: "A".to_owned(),
        reason: "time_went_back",
        detail: "1970-01-03 comes after 1970-01-04".to_owned(),
    };
    assert_eq!(bars.rejections.samples[0], expected);
    assert_eq!(faults(&bars), ["2 time_went_back", "3 duplicate"]);
}

#[test]
fn an_unsorted_file_is_sorted_first() {
    // Symbols in one piece each, but in the wrong order: dates stay as they are.
    let bars = read_all(&[("C", 2, 5.0, 1.0, 0), ("C", 1, 6.0, 1.0, 0), ("A", 1, 7.0, 1.0, 0)]);
    assert_eq!(texts(&bars), ["A 1 7", "C 2 5"]);
    assert_eq!(faults(&bars), ["1 time_went_back"]);
    // By date: symbols in pieces.
    let bars = read_all(&[
        ("B", 2, 1.0, 1.0, 0),
        ("A", 2, 2.0, 1.0, 0),
        ("B", 1, 3.0, 1.0, 0),
        ("A", 1, 4.0, 1.0, 0),
        ("A", 1, 5.0, 1.0, 0),
    ]);
    assert_eq!(texts(&bars), ["A 1 4", "A 2 2", "B 1 3", "B 2 1"]);
    assert_eq!(faults(&bars), ["4 duplicate"]);
}

#[test]
fn samples_are_limited_and_counts_are_not() {
    let rows: Vec<Row> = (0..50).map(|day| ("A", day, if day % 2 == 0 { -1.0 } else { 1.0 }, 1.0, 0)).collect();
    let bars = read_all(&rows);
    assert_eq!(bars.rejections.by_reason, [("not_positive", 25)].into());
    assert_eq!(bars.rejections.samples.len(), Rejections::SAMPLES_MAX);
    assert_eq!(bars.rejections.samples[19].row, 38);
}

#[test]
fn other_types_of_the_same_kind_and_missing_optional_columns_will_do() {
    let rows = [("A", 1, 8.0, 0.5, 0), ("A", 2, 4.0, 1.0, 1)];
    let check = |column: &str, dtype: &DataType| {
        let mut frame = frame(&rows);
        let cast = frame.column(column).unwrap().cast(dtype).unwrap();
        frame.with_column(cast).unwrap();
        assert_eq!(texts(&read(&mut frame, &ReadOptions::default())), ["A 1 8", "A 2 4"], "{column} {dtype}");
    };
    for dtype in [DataType::Float32, DataType::Int64, DataType::Int32] {
        check("close", &dtype);
    }
    for dtype in [DataType::Float32, DataType::Int32, DataType::Float64] {
        check("volume", &dtype);
        check("seg", &dtype);
    }
    for unit in [TimeUnit::Nanoseconds, TimeUnit::Microseconds, TimeUnit::Milliseconds] {
        check("date", &DataType::Datetime(unit, None));
    }
    check("split_factor", &DataType::Float32);
    let mut without = frame(&rows).drop_many(["split_factor", "seg"]);
    assert_eq!(texts(&read(&mut without, &ReadOptions::default())), ["A 1 8", "A 2 4"]);
}

#[test]
fn errors_name_the_file_and_the_column() {
    let rows = [("A", 1, 8.0, 1.0, 0)];
    let error = |frame: &mut DataFrame| {
        let (_dir, path) = written(frame);
        let text = read_daily(&path, &ReadOptions::default()).unwrap_err().to_string();
        text.replace(&path.display().to_string(), "FILE")
    };
    assert_eq!(error(&mut frame(&rows).drop("low").unwrap()), "`FILE` has no column `low`, expected a number");
    let mut texts = frame(&rows);
    texts.with_column(Column::new("close".into(), ["8.0"])).unwrap();
    assert_eq!(error(&mut texts), "column `close` of `FILE` is str, expected a number");
    let mut numbers = frame(&rows);
    numbers.with_column(Column::new("date".into(), [1_i32])).unwrap();
    assert_eq!(error(&mut numbers), "column `date` of `FILE` is i32, expected a date");
    assert_eq!(error(&mut frame(&[])), "`FILE` has no rows");
}

#[test]
fn what_is_no_parquet_is_named() {
    let (dir, good) = written(&mut frame(&vec![("A", 1, 8.0, 1.0, 0); 1000]));
    let bytes = fs::read(&good).unwrap();
    let path = dir.path().join("bad.parquet");
    let check = |what: &str, bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = read_daily(&path, &ReadOptions::default()).unwrap_err();
        assert!(matches!(&error, IngestError::NotParquet { file, .. } if *file == path), "{what}: {error:?}");
        assert_eq!(error.to_string(), format!("`{}` is no readable Parquet file", path.display()), "{what}");
    };
    check("empty", b"");
    check("text", b"symbol,date,open,high,low,close,volume\nA,2020-01-01,1,1,1,1,1\n");
    check("truncated", &bytes[..bytes.len() / 2]);
    check("without its last byte", &bytes[..bytes.len() - 1]);
    check("footer only", &bytes[bytes.len() - 40..]);
    let missing = read_daily(&dir.path().join("none.parquet"), &ReadOptions::default()).unwrap_err();
    assert!(matches!(missing, IngestError::Open { .. }), "{missing:?}");
}

#[test]
fn a_damaged_file_gives_an_error_or_rows_but_never_a_panic() {
    let rows: Vec<Row> = (0..600).map(|day| ("ABC", day, 8.0 + f64::from(day), 1.0, 0)).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bars.parquet");
    ParquetWriter::new(fs::File::create(&path).unwrap()).finish(&mut frame(&rows)).unwrap();
    let bytes = fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(bytes.len() / 150) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x5a;
        fs::write(&path, &damaged).unwrap();
        // Any answer will do: a flipped bit inside a number is not visible.
        drop(read_daily(&path, &ReadOptions::default()));
    }
}

#[test]
fn a_file_of_closes_is_read_as_such_and_half_a_range_is_an_error() {
    let full = frame(&[("A", 1, 8.0, 0.5, 0), ("A", 2, 5.0, 1.0, 0)]);
    let bars = read(&mut full.drop_many(["open", "high", "low"]), &ReadOptions::default());
    assert!(bars.is_close_only() && bars.open.iter().chain(&bars.high).chain(&bars.low).all(|price| price.is_nan()));
    assert_eq!((&bars.close[..], &bars.volume[..]), (&[4.0, 5.0][..], &[2000.0, 1000.0][..]));
    assert!(!read(&mut full.clone(), &ReadOptions::default()).is_close_only());

    let (_dir, path) = written(&mut full.drop_many(["high"]));
    let error = read_daily(&path, &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, IngestError::MissingColumn { column: "high", .. }), "{error:?}");
}
