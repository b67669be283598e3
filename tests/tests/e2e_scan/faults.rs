//! Wrong usage and bad input.

use super::*;

#[test]
fn wrong_usage_and_configuration_end_with_2_and_name_the_key() {
    let dir = Market::generate(3, 25).folder();
    let data = text(dir.path());
    run(["scan"]).expect(2, &["--data"]);
    run(["scan", "--data", data, "--nonsense"]).expect(2, &["--nonsense"]);
    run(["scan", "--data", data, "--as-of", "2016-02-30"]).expect(2, &["2016-02-30"]);
    run(["scan", "--data", data, "--format", "xml"]).expect(2, &["xml"]);
    run(["scan", "--data", data, "--limit", "-1"]).expect(2, &["-1"]);
    run(["scan", "--data", data, "--strategy", "yolo"]).expect(2, &["yolo", "balanced_swing"]);
    run_with(&[("TECHNIC__SCORING__STRATEGY", "yolo")], ["scan", "--data", data])
        .expect(2, &["scoring.strategy", "yolo"]);
    run(["scan", "--data", data, "--format", "parquet"]).expect(2, &["-o"]);
    run(["nonsense"]).expect(2, &["nonsense"]);
    run(["run", "nobody"]).expect(2, &["nobody"]);
    run(["run", "--bus", "kafka://x"]).expect(2, &["bus", "kafka://x"]);
    run(["run", "--source", "yahoo"]).expect(2, &["ingest.source", "yahoo"]);
    run(["run", "--namespace", "a b"]).expect(2, &["namespace", "a b"]);
    run(["replay", "--data", data]).expect(2, &["--bus"]);
    run(["features", "-o", "x.parquet"]).expect(2, &["--data"]);
    run_with(&[("TECHNIC__SCORING__REFRESH", "soon")], ["run"]).expect(2, &["scoring.refresh", "soon"]);
    run_with(&[("TECHNIC__SCORING__NONSENSE", "1")], ["run"]).expect(2, &["scoring.nonsense"]);
    run_with(&[("TECHNIC__ADMIN__LISTEN", "here")], ["run"]).expect(2, &["admin.listen", "here"]);
}

#[test]
fn unusable_files_end_with_3_and_name_file_and_column() {
    let market = Market::generate(3, 25);
    let good = market.folder();
    let check = |dir: &TempDir, named: &[&str]| {
        let path = text(dir.path());
        let named: Vec<&str> = named.iter().copied().chain([path]).collect();
        let scan = run(["scan", "--data", path, "--format", "json"]).expect(3, &named);
        assert_eq!(scan.stdout, "");
        assert!(scan.stderr.lines().count() < 8, "{}", scan.stderr);
    };
    let of_bytes = |bytes: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(BARS_FILE), bytes).unwrap();
        dir
    };
    let of_frame = |mut frame: DataFrame| {
        let dir = tempfile::tempdir().unwrap();
        write_parquet(&dir.path().join(BARS_FILE), &mut frame);
        dir
    };
    run(["scan", "--data", "/no/such/folder"]).expect(3, &["/no/such/folder", BARS_FILE]);
    check(&tempfile::tempdir().unwrap(), &[BARS_FILE]);
    check(&of_bytes(b"symbol,date,close\nA,2016-01-01,1\n"), &[BARS_FILE]);
    check(&of_bytes(b""), &[BARS_FILE]);
    let bytes = fs::read(good.path().join(BARS_FILE)).unwrap();
    check(&of_bytes(&bytes[..bytes.len() / 2]), &[BARS_FILE]);
    check(&of_bytes(&bytes[bytes.len() / 2..]), &[BARS_FILE]);
    check(&of_frame(market.frame().drop("close").unwrap()), &[BARS_FILE, "`close`"]);
    check(&of_frame(market.frame().drop("symbol").unwrap()), &[BARS_FILE, "`symbol`"]);
    let with_text = |name: &str| {
        let mut frame = market.frame();
        frame.with_column(Column::new(name.into(), vec!["x"; market.len()])).unwrap();
        frame
    };
    check(&of_frame(with_text("close")), &[BARS_FILE, "`close`"]);
    check(&of_frame(with_text("date")), &[BARS_FILE, "`date`"]);
    check(&of_frame(market.frame().head(Some(0))), &[BARS_FILE]);
    let dir = market.folder();
    fs::write(dir.path().join(UNIVERSE_FILE), b"rubbish").unwrap();
    check(&dir, &[UNIVERSE_FILE]);

    let bad = of_bytes(b"rubbish");
    let out = bad.path().join("out.parquet");
    run(["features", "--data", text(bad.path()), "-o", text(&out)]).expect(3, &[BARS_FILE]);
    assert!(!out.exists());
    let source = format!("replay:{}", bad.path().display());
    let started = Launch::of(&[], bad.path()).flag("--source", &source).start().finish();
    started.expect(3, &[BARS_FILE]);
}

/// Pages full of zeros or cut in their lengths: an error or refused rows, but never a crash or silence.
#[test]
fn damaged_pages_are_no_crash() {
    let market = Market::generate(40, 60);
    let bytes = fs::read(market.folder().path().join(BARS_FILE)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for tenth in 0..10 {
        let mut damaged = bytes.clone();
        let start = 4 + (bytes.len() - 2000) * tenth / 10;
        damaged[start..start + 64].fill(0);
        fs::write(dir.path().join(BARS_FILE), damaged).unwrap();
        let scan = run(["scan", "--data", text(dir.path()), "--format", "json"]);
        let is_told = match scan.code {
            Some(0) => scan.stderr.contains("rejected") || results_text(&scan.stdout) != "[]",
            Some(3) => scan.stderr.contains(BARS_FILE),
            _ => false,
        };
        assert!(is_told, "bytes from {start}: {scan:#?}");
    }
}

#[test]
fn bad_rows_are_reported_and_do_not_stop_the_rest() {
    let market = Market::generate(30, 40);
    let expected = scan_json(market.folder().path());
    let mut bad_rows: Vec<(usize, &str)> = Vec::new();
    let mut n_rows = 0;
    let last_of = |n: usize| n * 40 + 39;
    let dirty = market.map(|at, row| {
        let [open, high, low, close] = row.prices;
        let with = |prices| Some((MarketRow { prices, ..row.clone() }, ""));
        let bad = if at == last_of(3) {
            with([open, high, low, f64::NAN]).map(|(row, _)| (row, "not_finite"))
        } else if at == last_of(5) {
            with([open, high, -low, close]).map(|(row, _)| (row, "not_positive"))
        } else if at == last_of(7) {
            with([open, low * 0.9, low, close]).map(|(row, _)| (row, "high_below_low"))
        } else if at == last_of(9) {
            with([open, high, low, high * 2.0]).map(|(row, _)| (row, "outside_range"))
        } else if at == last_of(11) {
            Some((MarketRow { day: Some(Market::day_of(3)), ..row.clone() }, "time_went_back"))
        } else if at == last_of(13) {
            Some((row.clone(), "duplicate"))
        } else if at == last_of(15) {
            Some((MarketRow { volume: -1.0, ..row.clone() }, "negative_volume"))
        } else if at == last_of(17) {
            Some((MarketRow { day: None, ..row.clone() }, "date"))
        } else if at == last_of(19) {
            Some((MarketRow { symbol: None, ..row.clone() }, "symbol"))
        } else if at == last_of(21) {
            Some((MarketRow { split_factor: 0.0, ..row.clone() }, "split_factor"))
        } else {
            None
        };
        // After the good row, so that it is the bad one that is out of order.
        n_rows += 1;
        let good = [row];
        match bad {
            None => good.into(),
            Some((row, reason)) => {
                bad_rows.push((n_rows, reason));
                n_rows += 1;
                good.into_iter().chain([row]).collect()
            }
        }
    });
    let dir = dirty.folder();
    let scan = run(["scan", "--data", text(dir.path()), "--format", "json"]).expect(0, &[BARS_FILE]);
    assert_eq!(results_text(&scan.stdout), results_text(&expected));
    let document = parsed(&scan.stdout);
    assert_eq!(bad_rows.len(), 10);
    for (row, reason) in &bad_rows {
        assert_eq!(document["rejected"][reason], 1, "{reason}: {}", document["rejected"]);
        let is_it = |line: &str| {
            let words = [BARS_FILE, &format!("row {row} "), reason];
            words.iter().all(|word| line.contains(word))
        };
        assert!(scan.stderr.lines().any(is_it), "row {row} {reason} in {}", scan.stderr);
    }
    let out = dir.path().join("out.parquet");
    run(["features", "--data", text(dir.path()), "-o", text(&out)]).expect(0, &["high_below_low", BARS_FILE]);
    assert_eq!(read_parquet(&out).height(), market.len());
}

#[test]
fn bars_in_any_order_and_chunks_are_the_same_bars() {
    let market = Market::generate(30, 40);
    let expected = scan_json(market.folder().path());
    let mut by_date: Vec<usize> = (0..market.len()).collect();
    by_date.sort_by_key(|&at| market.day[at]);
    let mut shuffled = Market::default();
    for at in by_date {
        shuffled.push(market.row(at));
    }
    let scan = run(["scan", "--data", text(shuffled.folder().path()), "--format", "json"]).expect(0, &[]);
    assert_eq!(results_text(&scan.stdout), results_text(&expected));
}
