//! `technic features`.

use super::*;

#[test]
fn features_are_one_row_per_bar_and_missing_before_the_warm_up() {
    const N_SESSIONS: usize = 60;
    let market = Market::generate(8, 60);
    let dir = market.folder();
    let out = dir.path().join("out.parquet");
    let done = run(["features", "--data", text(dir.path()), "-o", text(&out)]).expect(0, &[]);
    assert_eq!(done.stdout, "");
    let frame = read_parquet(&out);
    assert_eq!(frame.height(), market.len());
    let names: Vec<&str> = frame.get_column_names().into_iter().map(PlSmallStr::as_str).collect();
    assert_eq!(names[..4], ["symbol", "date", "close", "volume"]);
    for (name, n_missing) in [("rsi14", 14), ("sma20", 19), ("sma50", 49), ("atr14", 14), ("ret_1d", 1)] {
        let column = frame.column(name).unwrap().f64().unwrap();
        for row in 0..frame.height() {
            assert_eq!(column.get(row).is_none(), row % N_SESSIONS < n_missing, "{name} of row {row}");
        }
    }
    for name in &names[2..] {
        let column = frame.column(name).unwrap().f64().unwrap();
        assert!(column.iter().flatten().all(f64::is_finite), "{name} has a NaN instead of null");
    }
    check_last_rows(&frame, &scan_json(dir.path()));

    // The single file, and a range of dates that does not cut the warm-up off.
    let part = dir.path().join("part.parquet");
    let (from, to) = (Market::date_of(30), Market::date_of(49));
    let bars = dir.path().join(BARS_FILE);
    run(["features", "--bars", text(&bars), "--from", &from, "--to", &to, "-o", text(&part)]).expect(0, &[]);
    let part = read_parquet(&part);
    let mask: BooleanChunked = days_of(&frame, "date")
        .into_iter()
        .map(|day| Some((Market::day_of(30)..=Market::day_of(49)).contains(&day)))
        .collect();
    assert!(part.equals_missing(&frame.filter(&mask).unwrap()));
}

/// The last row of each ranked symbol is what the scan stands on.
fn check_last_rows(features: &DataFrame, scan: &str) {
    let symbols = features.column("symbol").unwrap().str().unwrap();
    let last: BTreeMap<&str, usize> = symbols.iter().enumerate().map(|(row, symbol)| (symbol.unwrap(), row)).collect();
    let number = |name: &str, row| features.column(name).unwrap().f64().unwrap().get(row);
    let rows = rows(scan);
    assert!(!rows.is_empty());
    for row in rows {
        let at = last[symbol_of(&row)];
        assert!(is_same(number("close", at), row["close"].as_f64()), "{row}");
        assert!(is_same(number("n_bars", at), row["freshness"]["n_bars"].as_f64()), "{row}");
        let day = days_of(&features.slice(i64::try_from(at).unwrap(), 1), "date")[0];
        assert_eq!(row["as_of"], schemas::EventTime::from_days(day).display(schemas::Timeframe::D1));
    }
}

#[test]
fn features_of_the_data_folder_end_where_the_scan_stands() {
    let Some(dir) = data_dir() else { return };
    let bars = read_parquet(&dir.join(BARS_FILE));
    let mut days = days_of(&bars, "date");
    let all = days.clone();
    days.sort_unstable();
    days.dedup();
    // All that a ranked symbol can stand on.
    let from = days.last().unwrap() - AGE_DAYS_MAX;
    let date = schemas::EventTime::from_days(from).display(schemas::Timeframe::D1);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let done = run(["features", "--data", text(&dir), "--from", &date, "-o", text(&out)]).expect(0, &[]);
    let frame = read_parquet(&out);
    if !done.stderr.contains("rejected") {
        assert_eq!(frame.height(), all.into_iter().filter(|&day| day >= from).count());
    }
    check_last_rows(&frame, &scan_json(&dir));
}

/// DESIGN §5 promises it: without open, high and low the columns that need them are null.
#[test]
fn features_need_no_more_than_closes_and_volumes() {
    let market = Market::generate(3, 40);
    let dir = tempfile::tempdir().unwrap();
    let (bars, out) = (dir.path().join("bars.parquet"), dir.path().join("out.parquet"));
    let names = ["symbol", "date", "close", "volume"];
    write_parquet(&bars, &mut market.frame().select(names).unwrap());
    run(["features", "--bars", text(&bars), "-o", text(&out)]).expect(0, &[]);
    let frame = read_parquet(&out);
    let n_null = |name: &str| frame.column(name).unwrap().null_count();
    assert_eq!((n_null("atr14"), n_null("rsi14")), (market.len(), 3 * 14));
}
