//! `outcomes`, and what `scan --outcomes` makes of it.

use tests::technic::{DEADLINE, body_of, difference, until};

use super::*;

const N_SESSIONS: u32 = 120;
const COLUMNS: [&str; 7] = ["as_of", "symbol", "merit", "play_style", "fwd_ret_5d", "fwd_ret_10d", "known_on"];

fn record(dir: &Path, name: &str, flags: &[&str]) -> std::path::PathBuf {
    let file = dir.join(name);
    run([&["outcomes", "--data", text(dir), "-o", text(&file)], flags].concat()).expect(0, &["results of"]);
    file
}

fn scan_with(dir: &Path, outcomes: &Path, flags: &[&str]) -> String {
    let base = ["scan", "--data", text(dir), "--format", "json", "--outcomes", text(outcomes)];
    run([&base, flags].concat()).expect(0, &[]).stdout
}

fn days(frame: &DataFrame, column: &str) -> Vec<i32> {
    days_of(frame, column)
}

fn numbers(frame: &DataFrame, column: &str) -> Vec<Option<f64>> {
    frame.column(column).unwrap().f64().unwrap().iter().collect()
}

#[test]
fn recorded_results_are_those_of_scans_and_what_followed() {
    let market = Market::generate(40, N_SESSIONS);
    let dir = market.folder();
    let frame = read_parquet(&record(dir.path(), "outcomes.parquet", &["--every", "20"]));
    assert_eq!(frame.get_column_names(), COLUMNS);
    let (as_of, known_on) = (days(&frame, "as_of"), days(&frame, "known_on"));
    let symbols: Vec<&str> = frame.column("symbol").unwrap().str().unwrap().iter().map(Option::unwrap).collect();
    let merits = numbers(&frame, "merit");
    let returns = [numbers(&frame, "fwd_ret_5d"), numbers(&frame, "fwd_ret_10d")];
    let closes: BTreeMap<(&str, i32), f64> = (0..market.len())
        .map(|at| ((market.symbol[at].as_deref().unwrap(), market.day[at].unwrap()), market.close[at]))
        .collect();
    // The first session has a single bar of each symbol, which is too few; after the last one there are not ten.
    let sessions: Vec<u32> = vec![20, 40, 60, 80, 100];
    let mut found: Vec<i32> = as_of.clone();
    found.dedup();
    assert_eq!(found, sessions.iter().map(|session| Market::day_of(*session)).collect::<Vec<_>>());
    assert_eq!(symbols.len(), 40 * sessions.len());
    for session in sessions {
        let day = Market::day_of(session);
        let date = Market::date_of(session);
        let scan = run(["scan", "--data", text(dir.path()), "--as-of", &date, "--format", "json"]).expect(0, &[]);
        let scores: BTreeMap<String, Option<f64>> =
            rows(&scan.stdout).iter().map(|row| (symbol_of(row).to_owned(), row["merit"].as_f64())).collect();
        for at in (0..symbols.len()).filter(|&at| as_of[at] == day) {
            assert!(is_same(merits[at], scores[symbols[at]]), "{} on {date}", symbols[at]);
            assert_eq!(known_on[at], Market::day_of(session + 10));
            for (returns, horizon) in returns.iter().zip([5, 10]) {
                let close = |session| closes[&(symbols[at], Market::day_of(session))];
                let expected = close(session + horizon) / close(session) - 1.0;
                assert!((returns[at].unwrap() - expected).abs() < 1e-12, "{} on {date}", symbols[at]);
            }
        }
    }
}

#[test]
fn a_row_tells_what_became_of_its_like_as_far_as_it_was_known() {
    const AS_OF: u32 = 80;
    let market = Market::generate(60, N_SESSIONS);
    let dir = market.folder();
    let outcomes = record(dir.path(), "outcomes.parquet", &[]);
    let plain = scan_json(dir.path());
    assert!(rows(&plain).iter().all(|row| row.get("outcomes").is_none()));
    let with = rows(&scan_with(dir.path(), &outcomes, &[]));
    let mut n_of_bucket: BTreeMap<u64, u64> = BTreeMap::new();
    for (row, plain) in with.iter().zip(rows(&plain)) {
        let past = &row["outcomes"];
        assert!(past["mean_10d"].is_number() && (0.0..=1.0).contains(&past["hit_5d"].as_f64().unwrap()), "{row}");
        n_of_bucket.insert(past["bucket"].as_u64().unwrap(), past["n"].as_u64().unwrap());
        let mut row = row.clone();
        row.as_object_mut().unwrap().remove("outcomes");
        assert_eq!(row, plain, "nothing else is changed");
    }
    assert!(n_of_bucket.len() > 3 && n_of_bucket.values().sum::<u64>() > 0, "{n_of_bucket:?}");
    let table = run(["scan", "--data", text(dir.path()), "--outcomes", text(&outcomes)]).expect(0, &[]).stdout;
    assert!(table.contains(" like it: ") && table.contains("% rose"), "{table}");

    // As of an earlier session, what was known later has no influence, whatever it says.
    let date = Market::date_of(AS_OF);
    let early = scan_with(dir.path(), &outcomes, &["--as-of", &date]);
    let mut frame = read_parquet(&outcomes);
    let is_known: Vec<bool> = days(&frame, "known_on").iter().map(|day| *day < Market::day_of(AS_OF)).collect();
    assert!(is_known.contains(&true) && is_known.contains(&false));
    let merits: Vec<f64> = numbers(&frame, "merit")
        .into_iter()
        .zip(&is_known)
        .map(|(merit, is_known)| if *is_known { merit.unwrap() } else { 99.5 })
        .collect();
    let returns: Vec<Option<f64>> = numbers(&frame, "fwd_ret_10d")
        .into_iter()
        .zip(&is_known)
        .map(|(value, is_known)| if *is_known { value } else { Some(9.0) })
        .collect();
    frame.with_column(Column::new("merit".into(), merits)).unwrap();
    frame.with_column(Column::new("fwd_ret_10d".into(), returns)).unwrap();
    let perturbed = dir.path().join("perturbed.parquet");
    write_parquet(&perturbed, &mut frame);
    let found = scan_with(dir.path(), &perturbed, &["--as-of", &date]);
    assert_eq!(results_text(&found), results_text(&early));
    assert_ne!(
        results_text(&scan_with(dir.path(), &perturbed, &[])),
        results_text(&scan_with(dir.path(), &outcomes, &[]))
    );
}

#[test]
fn the_line_tells_the_same_as_the_scan() {
    let dir = portfolio::folder(&Market::generate(420, 220), 420);
    let outcomes = record(dir.path(), "outcomes.parquet", &["--every", "60"]);
    let cold = scan_with(dir.path(), &outcomes, &["--portfolio", "min-variance"]);
    let document = parsed(&cold);
    assert!(rows(&cold).iter().all(|row| row["outcomes"]["n"].as_u64() > Some(0)), "{document}");
    let state = tempfile::tempdir().unwrap();
    let source = format!("replay:{}", text(dir.path()));
    let line = Launch::of(&[], state.path()).flag("--source", &source).set("SCORING__OUTCOMES", text(&outcomes));
    let mut process = line.start();
    let address = process.address();
    let mut last = None;
    until("the replay ends in the table of the scan", DEADLINE, || {
        let found = body_of(address, "/v1/scan?limit=10000").ok()?;
        last = difference(results_text(&found), results_text(&cold));
        last.is_none().then_some(())
    });
    // Its bars come on another way than its scores.
    let mut portfolio = Value::Null;
    until("the portfolio is that of the scan", DEADLINE, || {
        portfolio = parsed(&body_of(address, "/v1/portfolio?method=min-variance&account=10000").ok()?);
        let expected = &document["portfolio"];
        expected.as_object()?.iter().all(|(name, value)| portfolio[name] == *value).then_some(())
    });
    assert!(portfolio["positions"].as_array().unwrap().len() > 5, "{portfolio}");
}

#[test]
fn wrong_files_and_ranges_are_named() {
    let market = Market::generate(5, 60);
    let dir = market.folder();
    let outcomes = record(dir.path(), "outcomes.parquet", &[]);
    let data = text(dir.path());
    let check = |file: &Path, named: &[&str]| {
        let named: Vec<&str> = named.iter().copied().chain([text(file)]).collect();
        run(["scan", "--data", data, "--outcomes", text(file)]).expect(3, &named);
    };
    check(Path::new("/no/such/file"), &[]);
    let file = dir.path().join("bad.parquet");
    fs::write(&file, b"rubbish").unwrap();
    check(&file, &["Parquet"]);
    let good = read_parquet(&outcomes);
    for column in ["merit", "play_style", "fwd_ret_5d", "fwd_ret_10d", "known_on"] {
        write_parquet(&file, &mut good.drop(column).unwrap());
        check(&file, &[column, "missing"]);
    }
    let n_rows = good.height();
    let with = |column: Column| {
        let mut frame = good.clone();
        frame.with_column(column).unwrap();
        write_parquet(&file, &mut frame);
    };
    with(Column::new("merit".into(), vec!["x"; n_rows]));
    check(&file, &["merit", "str"]);
    with(Column::new("merit".into(), vec![101.0; n_rows]));
    check(&file, &["row 1", "merit"]);
    with(Column::new("play_style".into(), vec!["Wild"; n_rows]));
    check(&file, &["row 1", "play_style"]);
    with(Column::new("fwd_ret_5d".into(), vec![-2.0; n_rows]));
    check(&file, &["row 1", "fwd_ret_5d"]);
    run(["outcomes", "--data", data, "--from", "2030-01-01", "-o", text(&file)]).expect(2, &["no session"]);
    run(["outcomes", "--data", "/no/such/folder", "-o", text(&file)]).expect(3, &["/no/such/folder"]);
    let missing = [("TECHNIC__SCORING__OUTCOMES", "/no/such/file")];
    run_with(&missing, ["run", "--source", "synthetic"]).expect(3, &["/no/such/file"]);
}
