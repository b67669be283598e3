//! `technic scan`, `features` and the small commands, as somebody at a shell meets them.

#![allow(clippy::unwrap_used, reason = "every function in here is part of a test")]

mod commands;
mod faults;
mod features;
mod outcomes;
mod portfolio;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use polars::prelude::*;
use serde_json::Value;
use tempfile::TempDir;
use tests::folders::data_dir;
use tests::technic::{
    BARS_FILE, Finished, Launch, Market, MarketRow, UNIVERSE_FILE, days_of, read_parquet, results_text, run, run_with,
    write_parquet,
};

/// Bars that a symbol needs to be ranked, and how many days its newest may be behind the newest of all.
const BARS_MIN: usize = 20;
const AGE_DAYS_MAX: i32 = 7;

const ROW_FIELDS: [&str; 20] = [
    "symbol",
    "as_of",
    "close",
    "sector",
    "merit",
    "merit_band",
    "merit_flags",
    "merit_summary",
    "tech_rating",
    "ics",
    "quality",
    "alpha_5d",
    "alpha_10d",
    "win_prob_10d",
    "signal",
    "entry",
    "stop",
    "target",
    "reward_risk",
    "position_size",
];

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

fn scan_json(dir: &Path) -> String {
    run(["scan", "--data", text(dir), "--format", "json"]).expect(0, &[]).stdout
}

fn parsed(document: &str) -> Value {
    serde_json::from_str(document).expect("stdout is one JSON document")
}

fn rows(document: &str) -> Vec<Value> {
    parsed(document)["results"].as_array().expect("results are an array").clone()
}

/// But for the last bit, which reading JSON may cost.
fn is_same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-15 * a.abs().max(b.abs()),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn symbol_of(row: &Value) -> &str {
    row["symbol"].as_str().expect("a row has a symbol")
}

#[test]
fn the_data_folder_is_ranked_completely_and_the_same_every_time() {
    let Some(dir) = data_dir() else { return };
    let first = run(["scan", "--data", text(&dir), "--format", "json"]).expect(0, &[]);
    assert_eq!(results_text(&first.stdout), results_text(&scan_json(&dir)));
    let document = parsed(&first.stdout);
    for key in ["as_of", "universe", "scored", "elapsed_ms", "stage_ms", "regime", "models", "results"] {
        assert!(document.get(key).is_some(), "no `{key}`");
    }
    let rows = document["results"].as_array().unwrap();
    for row in rows {
        check_row(row);
    }
    let key = |row: &Value| (-row["merit"].as_f64().unwrap(), symbol_of(row).to_owned());
    assert!(rows.is_sorted_by(|earlier, later| key(earlier) < key(later)));

    let frame = read_parquet(&dir.join(BARS_FILE));
    let (segments, n_symbols) = newest_segments(&frame);
    let newest = segments.values().map(|segment| segment.newest).max().unwrap();
    let ranked: BTreeMap<&str, u64> = segments
        .iter()
        .filter(|(_, segment)| segment.n_bars >= BARS_MIN && newest - segment.newest <= AGE_DAYS_MAX)
        .map(|(symbol, segment)| (symbol.as_str(), segment.n_bars as u64))
        .collect();
    let found: BTreeMap<&str, u64> =
        rows.iter().map(|row| (symbol_of(row), row["freshness"]["n_bars"].as_u64().unwrap())).collect();
    assert_eq!(found, ranked);
    assert_eq!(document["scored"], ranked.len());
    assert_eq!(document["universe"], n_symbols);
    assert!(n_symbols <= 6000 || ranked.len() > 4000, "{} of {n_symbols}", ranked.len());
    assert_eq!(document["as_of"], schemas::EventTime::from_days(newest).display(schemas::Timeframe::D1));
    for row in rows {
        let segment = &segments[symbol_of(row)];
        assert!(is_same(row["close"].as_f64(), Some(segment.close)), "{row} closes at {}", segment.close);
    }
}

fn check_row(row: &Value) {
    for field in ROW_FIELDS {
        assert!(row.get(field).is_some(), "no `{field}` in {row}");
    }
    assert!(row["freshness"].is_object(), "{row}");
    for score in ["merit", "ics"] {
        assert!((0.0..=100.0).contains(&row[score].as_f64().unwrap()), "{row}");
    }
    for score in ["merit", "ics", "tech_rating"] {
        let Some(parts) = row["breakdown"][score].as_object() else {
            assert!(score == "tech_rating" && row[score].is_null(), "{score} of {row}");
            continue;
        };
        let sum: f64 = parts.values().map(|part| part.as_f64().unwrap()).sum();
        assert!((sum - row[score].as_f64().unwrap()).abs() <= 1e-9, "{score} of {row} is not {sum}");
    }
}

/// The newest segment of a symbol.
struct Segment {
    n_bars: usize,
    newest: i32,
    close: f64,
}

/// By symbol, and the number of symbols, straight from the file: rows that cannot be are left out.
fn newest_segments(frame: &DataFrame) -> (BTreeMap<String, Segment>, usize) {
    let days = days_of(frame, "date");
    let numbers = |name: &str| -> Option<Vec<f64>> {
        let column = frame.column(name).ok()?.cast(&DataType::Float64).unwrap();
        Some(column.f64().unwrap().iter().map(|value| value.unwrap_or(f64::NAN)).collect())
    };
    let [open, high, low, close, volume] =
        ["open", "high", "low", "close", "volume"].map(|name| numbers(name).unwrap());
    let seg = numbers("seg").unwrap_or_else(|| vec![0.0; days.len()]);
    let mut by_symbol: BTreeMap<String, Vec<(i32, u64, f64)>> = BTreeMap::new();
    for (row, symbol) in frame.column("symbol").unwrap().str().unwrap().iter().enumerate() {
        let is_possible = low[row] > 0.0
            && low[row] <= open[row].min(close[row])
            && high[row] >= open[row].max(close[row])
            && high[row].is_finite()
            && volume[row] >= 0.0
            && volume[row].is_finite()
            && days[row] != i32::MIN;
        if let (Some(symbol), true) = (symbol, is_possible) {
            by_symbol.entry(symbol.to_owned()).or_default().push((days[row], seg[row].to_bits(), close[row]));
        }
    }
    let n_symbols = by_symbol.len();
    let segments = by_symbol.into_iter().map(|(symbol, mut bars)| {
        bars.sort_by_key(|(day, ..)| *day);
        bars.dedup_by_key(|(day, ..)| *day);
        let &(newest, seg, close) = bars.last().unwrap();
        let n_bars = bars.iter().rev().take_while(|(_, other, _)| *other == seg).count();
        (symbol, Segment { n_bars, newest, close })
    });
    (segments.collect(), n_symbols)
}

#[test]
fn plans_are_sized_for_the_account_and_a_profile_shows_what_passes_it() {
    const ACCOUNT: f64 = 25_000.0;
    const RISK_PCT: f64 = 0.5;
    let Some(dir) = data_dir() else { return };
    let files = tempfile::tempdir().unwrap();
    let config = files.path().join("technic.toml");
    fs::write(&config, format!("[scoring.account]\nsize = {ACCOUNT:?}\nrisk_pct = {RISK_PCT:?}\n")).unwrap();
    let scan = |profile: &str| {
        let (data, config) = (text(&dir), text(&config));
        let scan = run(["scan", "--data", data, "--config", config, "--profile", profile, "--format", "json"]);
        parsed(&scan.expect(0, &[]).stdout)
    };
    let all = scan("none");
    let all = all["results"].as_array().unwrap();
    let mut n_plans = 0;
    for row in all {
        let number = |field: &str| row[field].as_f64();
        let Some(entry) = number("entry") else {
            assert!(row["no_plan"].is_string() && number("stop").is_none(), "{row}");
            continue;
        };
        let (stop, target, shares) =
            (number("stop").unwrap(), number("target").unwrap(), number("position_size").unwrap());
        assert!(stop < entry && entry < target, "{row}");
        assert!(shares * (entry - stop) <= ACCOUNT * RISK_PCT / 100.0 + 1e-6, "{row}");
        assert!(shares * entry <= ACCOUNT + 1e-6, "{row}");
        n_plans += 1;
    }
    assert!(n_plans > 0, "no row has a plan");

    let balanced = scan("balanced");
    let passes = |row: &&Value| {
        let verdicts = row["profiles"].as_array().unwrap();
        verdicts.iter().any(|verdict| verdict["profile"] == "balanced" && verdict["breaks"].is_null())
    };
    let expected: Vec<&Value> = all.iter().filter(passes).collect();
    let shown = balanced["results"].as_array().unwrap();
    assert_eq!(shown.iter().collect::<Vec<_>>(), expected);
    let why_not = balanced["why_not"].as_object().unwrap();
    for row in all {
        let verdicts = row["profiles"].as_array().unwrap();
        let verdict = verdicts.iter().find(|verdict| verdict["profile"] == "balanced").unwrap();
        assert_eq!(why_not.get(symbol_of(row)).unwrap_or(&Value::Null), &verdict["breaks"], "{row}");
        assert!(row["excluded"].is_null() || row["excluded"] == verdict["breaks"], "{row}");
    }
    check_funnel(&balanced);
}

#[test]
fn a_strategy_sets_risk_and_reward_of_every_plan() {
    let dir = Market::generate(60, 260).folder();
    let data = text(dir.path());
    let scan = |strategy: &str| {
        parsed(&run(["scan", "--data", data, "--strategy", strategy, "--format", "json"]).expect(0, &[]).stdout)
    };
    let account = scan("none");
    assert_eq!(account["strategy"], Value::Null);
    let default = parsed(&scan_json(dir.path()));
    assert_eq!(default["results"], account["results"]);
    let bold = scan("aggressive_position");
    assert_eq!(bold["strategy"]["name"], "aggressive_position");
    assert_eq!(bold["strategy"]["style"], "Position / longer-term");
    let [account, bold] = [&account, &bold].map(|scan| scan["results"].as_array().unwrap());
    let mut n_plans = 0;
    for (account, bold) in account.iter().zip(bold) {
        let fields = ["symbol", "merit", "signal", "entry", "stop"];
        assert_eq!(fields.map(|field| &account[field]), fields.map(|field| &bold[field]));
        let number = |field: &str| bold[field].as_f64();
        let Some((entry, stop)) = number("entry").zip(number("stop")) else { continue };
        n_plans += 1;
        let reward_risk = number("reward_risk").unwrap();
        // Prices are on ticks, so the ratio is met but for those.
        assert!((reward_risk - 2.5).abs() <= 0.02 / (entry - stop), "{bold}");
        let shares = number("position_size").unwrap();
        assert!(shares * (entry - stop) <= 10_000.0 * 1.2 / 100.0 + 1e-6, "{bold}");
        assert!(bold["target"].as_f64() > account["target"].as_f64(), "{bold}");
    }
    assert!(n_plans > 0, "no row has a plan");
}

/// Every symbol is either shown or taken out by one step.
fn check_funnel(scan: &Value) {
    let (funnel, why_not) = (&scan["funnel"], scan["why_not"].as_object().unwrap());
    let number = |value: &Value| value.as_u64().unwrap();
    assert_eq!(funnel["universe"], scan["universe"]);
    let mut left = number(&funnel["universe"]);
    for step in funnel["steps"].as_array().unwrap() {
        let n_named = why_not.values().filter(|why| **why == step["condition"]).count() as u64;
        assert_eq!(number(&step["removed"]), n_named, "{step}");
        left -= n_named;
        assert_eq!(number(&step["left"]), left, "{step}");
    }
    assert_eq!((left, number(&funnel["left"])), (scan["results"].as_array().unwrap().len() as u64, left));
    assert_eq!(why_not.len() as u64, number(&funnel["universe"]) - left);
}

#[test]
fn the_funnel_says_of_every_symbol_why_it_is_not_shown() {
    // One symbol is too young, one is not traded any more, one is no ticker and one costs cents.
    let market = Market::generate(30, 60).map(|_, row| {
        let day = row.day.unwrap();
        match row.symbol.as_deref().unwrap() {
            "GEN001" if day < Market::day_of(50) => vec![],
            "GEN002" if day > Market::day_of(30) => vec![],
            "GEN004" => vec![MarketRow { prices: row.prices.map(|price| price / 1e4), ..row }],
            _ => vec![row],
        }
    });
    let dir = market.folder();
    let mut universe = df!("symbol" => ["GEN003", "GEN005"], "sector" => ["Energy", "Utilities"]).unwrap();
    write_parquet(&dir.path().join(UNIVERSE_FILE), &mut universe);
    let scan = |flag: &str, value: &str| {
        parsed(&run(["scan", "--data", text(dir.path()), "--format", "json", flag, value]).expect(0, &[]).stdout)
    };
    let all = scan("--profile", "none");
    check_funnel(&all);
    let expected = serde_json::json!({ "GEN001": "too_few_bars", "GEN002": "no_recent_bar" });
    assert_eq!(all["why_not"], expected);
    let balanced = scan("--profile", "balanced");
    check_funnel(&balanced);
    for (symbol, why) in [("GEN001", "too_few_bars"), ("GEN003", "symbol_shape"), ("GEN004", "price_too_low")] {
        assert_eq!(balanced["why_not"][symbol], why, "{symbol}");
    }
    check_funnel(&scan("--limit", "7"));
    check_funnel(&scan("--sector", "energy"));
    let asked = scan("--symbols", "GEN001,GEN007,GEN099");
    assert_eq!(asked["why_not"], serde_json::json!({ "GEN001": "too_few_bars", "GEN099": "no_bars" }));
    let table = run(["scan", "--data", text(dir.path())]).expect(0, &[]).stdout;
    assert!(table.contains("funnel: 30 symbols, without too_few_bars 1, no_recent_bar 1,"), "{table}");
}

#[test]
fn the_shipped_models_predict_and_every_scan_names_them() {
    let Some(dir) = data_dir() else { return };
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let scan = run(["scan", "--data", text(&dir), "--models", text(&models), "--format", "json"]).expect(0, &[]);
    let scan = parsed(&scan.stdout);
    let names: Vec<_> = scan["models"].as_array().unwrap().iter().map(|model| &model["name"]).collect();
    assert_eq!(names, ["alpha_10d", "alpha_5d", "win_prob_10d"]);
    for row in scan["results"].as_array().unwrap() {
        // A row has prices of many bars: something is always known of it.
        let number = |field: &str| row[field].as_f64().unwrap_or_else(|| panic!("{field} of {row}"));
        assert!(number("alpha_5d").abs() < 0.2 && number("alpha_10d").abs() < 0.2, "{row}");
        assert!((0.0..1.0).contains(&number("win_prob_10d")), "{row}");
    }
}

#[test]
fn a_selection_shows_less_and_ranks_the_same() {
    let Some(dir) = data_dir() else { return };
    let data = text(&dir);
    let all = rows(&scan_json(&dir));
    let json = |selection: &[&str]| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| selection.get(at).copied());
        let scan = match (a, b, c, d) {
            (Some(a), Some(b), None, _) => run(["scan", "--data", data, "--format", "json", a, b]),
            (Some(a), Some(b), Some(c), Some(d)) => run(["scan", "--data", data, "--format", "json", a, b, c, d]),
            _ => unreachable!("flags come in pairs"),
        };
        rows(&scan.expect(0, &[]).stdout)
    };
    assert_eq!(json(&["--limit", "7"]), all[..7.min(all.len())]);
    let (first, last) = (all.first().unwrap(), all.last().unwrap());
    let symbols = format!("{},{}", symbol_of(last), symbol_of(first));
    assert_eq!(json(&["--symbols", &symbols]), [first.clone(), last.clone()]);
    let unknown = run(["scan", "--data", data, "--format", "json", "--symbols", "NOSUCHSYMBOL"]);
    assert!(rows(&unknown.expect(0, &["NOSUCHSYMBOL"]).stdout).is_empty());

    let mut sectors: Vec<&str> = all.iter().filter_map(|row| row["sector"].as_str()).collect();
    sectors.sort_unstable();
    sectors.dedup();
    let [one, .., other] = sectors[..] else {
        eprintln!("the folder knows fewer than two sectors");
        return;
    };
    let of = |wanted: &[&str]| -> Vec<Value> {
        let is_wanted = |row: &&Value| row["sector"].as_str().is_some_and(|sector| wanted.contains(&sector));
        all.iter().filter(is_wanted).cloned().collect()
    };
    assert_eq!(json(&["--sector", one]), of(&[one]));
    assert_eq!(json(&["--sector", other, "--sector", one]), of(&[one, other]));
    run(["scan", "--data", data, "--sector", "No Such Sector"]).expect(2, &["No Such Sector", one]);
}

#[test]
fn every_format_tells_the_same() {
    let dir = Market::generate(60, 260).folder();
    let mut universe =
        df!("symbol" => ["GEN000"], "name" => ["Comma, \"Quote\" & Co"], "sector" => ["Energy"]).unwrap();
    write_parquet(&dir.path().join(UNIVERSE_FILE), &mut universe);
    let data = text(dir.path());
    let all = rows(&scan_json(dir.path()));
    assert_eq!(all.len(), 60);
    assert!(all.iter().any(|row| row["live_plan"].is_object()), "no plan is followed");

    let csv = run(["scan", "--data", data, "--format", "csv"]).expect(0, &[]).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let lines: Vec<Vec<String>> =
        reader.records().map(|line| line.unwrap().iter().map(str::to_owned).collect()).collect();
    let out = dir.path().join("scan.parquet");
    run(["scan", "--data", data, "--format", "parquet", "-o", text(&out)]).expect(0, &[]);
    let frame = read_parquet(&out);
    assert_eq!((lines.len(), frame.height()), (all.len(), all.len()));
    for (at, name) in header.iter().enumerate() {
        let column = frame.column(name).unwrap();
        for (row, expected) in all.iter().enumerate() {
            let expected = match name.as_str() {
                "n_bars" => &expected["freshness"][name],
                "value_score" | "quality_factor" | "growth_score" => &expected["factors"][name],
                name => match ["live_plan", "outcomes"].iter().find_map(|part| Some((part, name.strip_prefix(*part)?)))
                {
                    Some((part, field)) => &expected[part][&field[1..]],
                    None => &expected[name],
                },
            };
            let (line, cell) = (&lines[row][at], column.get(row).unwrap());
            match expected {
                Value::Null => assert!(line.is_empty() && cell.is_null(), "{name}: {line} {cell}"),
                Value::String(expected) => assert!(line == expected && cell.get_str() == Some(expected), "{name}"),
                Value::Bool(expected) => {
                    let expected = expected.to_string();
                    assert!(*line == expected && cell.get_str() == Some(&expected), "{name}");
                }
                expected => {
                    let number = expected.as_f64();
                    assert!(
                        is_same(line.parse().ok(), number) && is_same(cell.extract(), number),
                        "{name}: {line} {cell}"
                    );
                }
            }
        }
    }
    for field in ROW_FIELDS {
        assert!(header.iter().any(|name| name == field), "no `{field}` in {header:?}");
    }

    let table = run(["scan", "--data", data]).expect(0, &[]).stdout;
    let shown = |row: &Value| table.lines().any(|line| line.split_whitespace().any(|word| word == symbol_of(row)));
    assert!(all[..25].iter().all(shown) && !all[25..].iter().any(shown), "{table}");
    assert!(table.starts_with("as of ") && table.contains("MERIT"), "{table}");
    let times = table.lines().last().unwrap();
    let named = ["time: read ", ", indicator ", ", inference ", ", scoring ", ", in all "];
    assert!(named.iter().all(|name| times.contains(name)), "{times}");
    let file = dir.path().join("scan.json");
    let scan = run(["scan", "--data", data, "--format", "json", "-o", text(&file)]).expect(0, &[]);
    assert_eq!(scan.stdout, "");
    assert_eq!(rows(&fs::read_to_string(file).unwrap()), all);
}

#[test]
fn nothing_after_the_session_asked_for_has_any_influence() {
    const N_SESSIONS: u32 = 60;
    const AS_OF: u32 = 44;
    let as_of = Market::day_of(AS_OF);
    let market = Market::generate(50, N_SESSIONS);
    let is_later = |row: &MarketRow| row.day.unwrap() > as_of;
    let scan = |market: &Market, shares: Option<f64>| {
        let dir = market.folder();
        let n_symbols = 50;
        let symbols: Vec<String> = (0..n_symbols).map(|n| format!("GEN{n:03}")).collect();
        let mut universe = df!("symbol" => symbols, "shares_pit" => vec![shares; n_symbols]).unwrap();
        let known_on = Column::new("shares_pit_on".into(), vec![as_of + 1; n_symbols]).cast(&DataType::Date).unwrap();
        universe.with_column(known_on).unwrap();
        write_parquet(&dir.path().join(UNIVERSE_FILE), &mut universe);
        let date = Market::date_of(AS_OF);
        let scan = run(["scan", "--data", text(dir.path()), "--format", "json", "--as-of", &date]).expect(0, &[]);
        assert_eq!(parsed(&scan.stdout)["as_of"], date.as_str());
        assert_eq!(scan.stdout.matches("\"symbol\"").count(), n_symbols);
        results_text(&scan.stdout).to_owned()
    };
    let expected = scan(&market, None);
    let cut = market.map(|_, row| if is_later(&row) { Vec::new() } else { vec![row] });
    assert_eq!(scan(&cut, None), expected, "later bars are gone");
    let wild = market.map(|at, row| {
        if !is_later(&row) {
            return vec![row];
        }
        let factor = if at % 2 == 0 { 9.0 } else { 0.1 };
        vec![MarketRow { prices: row.prices.map(|price| price * factor), volume: row.volume * 7.0, seg: 1, ..row }]
    });
    assert_eq!(scan(&wild, Some(1e9)), expected, "later bars and shares are others");
    let rubbish =
        market.map(|_, row| if is_later(&row) { vec![MarketRow { prices: [f64::NAN; 4], ..row }] } else { vec![row] });
    assert_eq!(scan(&rubbish, None), expected, "later bars are rubbish");
    // A split after the session changes the factors of the rows before it, by a power of two exactly.
    let split = market.map(|_, row| {
        let split_factor = if is_later(&row) { 1.0 } else { 0.25 };
        vec![MarketRow { split_factor, ..row }]
    });
    assert_eq!(scan(&split, None), expected, "a later split");
    let mut listed = market.clone();
    for session in AS_OF + 1..N_SESSIONS {
        let row = MarketRow { symbol: Some("NEW".to_owned()), day: Some(Market::day_of(session)), ..market.row(0) };
        listed.push(row);
    }
    assert_eq!(scan(&listed, None), expected, "a later listing");
}

/// Reports, market closes and calendars; `is_wild` changes those lines that became known after the session, or before it
/// where `is_known`.
fn write_reference(dir: &Path, as_of: i32, is_wild: bool, is_known: bool) {
    let days = |days: Vec<i32>| Series::new("".into(), days).cast(&DataType::Date).unwrap();
    let symbols: Vec<String> = (0..20).map(|n| format!("GEN{n:03}")).collect();
    // More than a message carries, so that the later ones would take the place of those that count.
    let n_later = if is_wild { 200 } else { 1 };
    let known_on = |n: i32| if is_known { as_of - 5 } else { as_of + 1 + n % 9 };
    let (mut who, mut known, mut ends, mut years, mut amounts) = (vec![], vec![], vec![], vec![], vec![]);
    let mut report = |symbol: &str, day: i32, end: i32, year: i32, amount: f64| {
        who.push(symbol.to_owned());
        known.push(day);
        ends.push(end);
        years.push(year);
        amounts.push(amount);
    };
    for (n, symbol) in (0..).zip(&symbols) {
        report(symbol, as_of - 400, as_of - 430, 1, 100.0);
        report(symbol, as_of - 30, as_of - 60, 2, 100.0 + 7.0 * f64::from(n % 11));
        for later in 0..n_later {
            report(symbol, known_on(later), as_of - 59 + later, 2 + later, if is_wild { 1e6 } else { 5.0 });
        }
    }
    let mut reports = df!(
        "symbol" => &who, "available_on" => days(known.clone()), "end_date" => days(ends), "fiscal_year" => years,
        "period_focus" => vec!["FY"; who.len()], "revenues" => &amounts, "net_income" => &amounts,
        "assets" => vec![1e3; who.len()], "equity" => vec![500.0; who.len()],
    )
    .unwrap();
    write_parquet(&dir.join("fundamentals.parquet"), &mut reports);
    let (mut who, mut dates, mut known) = (vec![], vec![], vec![]);
    for symbol in &symbols {
        for (date, day) in std::iter::once((as_of + 3, as_of - 20))
            .chain((0..n_later).map(|n| (as_of + if is_wild { n } else { 40 }, known_on(n))))
        {
            who.push(symbol.clone());
            dates.push(date);
            known.push(day);
        }
    }
    let kinds = vec!["earnings"; who.len()];
    let mut events =
        df!("symbol" => who, "kind" => kinds, "date" => days(dates), "available_on" => days(known)).unwrap();
    write_parquet(&dir.join("events.parquet"), &mut events);
    let n_closes = 300;
    let dates: Vec<i32> = (as_of - n_closes + 1..=as_of + 5).collect();
    let close = |day: &i32| {
        let is_later = if is_known { *day > as_of - 40 } else { *day > as_of };
        if is_later && is_wild { 1.0 } else { 200.0 + f64::from(day - as_of) }
    };
    let closes: Vec<f64> = dates.iter().map(close).collect();
    let names = vec!["SPY"; dates.len()];
    let mut markets = df!("symbol" => names, "date" => days(dates), "close" => closes).unwrap();
    write_parquet(&dir.join("market_ref_daily.parquet"), &mut markets);
}

#[test]
fn no_reference_that_became_known_later_has_any_influence() {
    const AS_OF: u32 = 44;
    let market = Market::generate(20, 50);
    let scan = |is_wild: bool, is_known: bool| {
        let dir = market.folder();
        write_reference(dir.path(), Market::day_of(AS_OF), is_wild, is_known);
        let date = Market::date_of(AS_OF);
        let scan = run(["scan", "--data", text(dir.path()), "--format", "json", "--as-of", &date]).expect(0, &[]);
        let regime = parsed(&scan.stdout)["regime"].to_string();
        (results_text(&scan.stdout).to_owned(), regime)
    };
    let (rows, regime) = scan(false, false);
    for row in serde_json::from_str::<Vec<Value>>(&rows).unwrap() {
        assert!(row["merit_flags"].as_str().unwrap().starts_with("EARNINGS_SOON"), "{row}");
        assert!(row["quality"].is_number() && row["factors"]["quality_factor"].is_number(), "{row}");
    }
    assert!(scan(true, false) == (rows.clone(), regime.clone()), "what became known later changed the results");
    // The same reports, events and closes, known in time, do change them.
    let known = scan(true, true);
    assert!(known.0 != rows && known.1 != regime, "nothing of it is read");
}
