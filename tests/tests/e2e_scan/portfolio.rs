//! `scan --portfolio`.

use super::*;

const METHODS: [&str; 3] = ["inverse-volatility", "min-variance", "mean-variance"];
const SECTORS: [&str; 7] =
    ["Energy", "Utilities", "Materials", "Industrials", "Real Estate", "Health Care", "Communication Services"];

/// Tickers have no digits.
fn ticker(n: usize) -> String {
    let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).unwrap());
    format!("T{}{}", letter(n / 26), letter(n))
}

/// The market under tickers, of seven sectors.
pub(crate) fn folder(market: &Market, n_symbols: usize) -> TempDir {
    let named = market.map(|_, row| {
        let n: usize = row.symbol.as_deref().unwrap()[3..].parse().unwrap();
        vec![MarketRow { symbol: Some(ticker(n)), ..row }]
    });
    let dir = named.folder();
    let symbols: Vec<String> = (0..n_symbols).map(ticker).collect();
    // Not by drift: that of the generated market goes round in seven, too.
    let sectors: Vec<&str> = (0..n_symbols).map(|n| SECTORS[n / 7 % SECTORS.len()]).collect();
    let mut universe = df!("symbol" => symbols, "sector" => sectors).unwrap();
    write_parquet(&dir.path().join(UNIVERSE_FILE), &mut universe);
    dir
}

fn scan(dir: &TempDir, flags: &[&str]) -> Finished {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let all = [&["scan", "--data", text(dir.path()), "--models", text(&models)], flags].concat();
    run(all)
}

fn portfolio(dir: &TempDir, flags: &[&str]) -> Value {
    let flags = [&["--format", "json", "--portfolio"], flags].concat();
    parsed(&scan(dir, &flags).expect(0, &[]).stdout)["portfolio"].clone()
}

fn positions(portfolio: &Value) -> &Vec<Value> {
    portfolio["positions"].as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn every_method_divides_the_account_within_its_caps() {
    let dir = folder(&Market::generate(140, 260), 140);
    let plain = scan(&dir, &["--format", "json"]).expect(0, &[]).stdout;
    assert!(parsed(&plain).get("portfolio").is_none());
    let rows = rows(&plain);
    for method in METHODS {
        let stdout = scan(&dir, &["--format", "json", "--portfolio", method]).expect(0, &[]).stdout;
        assert_eq!(results_text(&stdout), results_text(&plain));
        let portfolio = &parsed(&stdout)["portfolio"];
        assert_eq!((&portfolio["method"], &portfolio["account"]), (&method.into(), &10_000.0.into()));
        let (name_max, sector_max) = (number(&portfolio["name_max"]), number(&portfolio["sector_max"]));
        let mut sectors: BTreeMap<&str, f64> = BTreeMap::new();
        let mut total = number(&portfolio["cash"]);
        for position in positions(portfolio) {
            let row = rows.iter().find(|row| row["symbol"] == position["symbol"]).unwrap();
            assert!(row["excluded"].is_null() && number(&row["target"]) > number(&row["entry"]), "{row}");
            for field in ["sector", "close", "merit", "alpha_10d"] {
                assert_eq!(position[field], row[field], "{position}");
            }
            let weight = number(&position["weight"]);
            assert!(weight <= name_max + 1e-9, "{position}");
            let left = 10_000.0 * weight - number(&position["shares"]) * number(&position["close"]);
            assert!((-1e-6..number(&position["close"])).contains(&left), "{position}");
            assert!(number(&position["volatility"]) > 0.0 && position["held"].is_null(), "{position}");
            *sectors.entry(position["sector"].as_str().unwrap()).or_default() += weight;
            total += weight;
        }
        assert!(!positions(portfolio).is_empty() && (total - 1.0).abs() < 1e-9, "{portfolio}");
        assert!(sectors.values().all(|share| *share <= sector_max + 1e-9), "{sectors:?}");
        assert!((0.01..2.0).contains(&number(&portfolio["volatility"])), "{portfolio}");
        let n_left_out: f64 = portfolio["left_out"].as_array().unwrap().iter().map(|left| number(&left["rows"])).sum();
        assert!(number(&portfolio["candidates"]) <= rows.len() as f64 && n_left_out > 0.0, "{portfolio}");
        // How many rows are shown is no matter, which are left is.
        let same = portfolio.clone();
        assert_eq!(self::portfolio(&dir, &[method, "--limit", "1"]), same);
        let few = self::portfolio(&dir, &[method, "--portfolio-size", "3"]);
        assert!(positions(&few).len() <= 3 && number(&few["cash"]) > 0.69, "{few}");
        let of_sector = self::portfolio(&dir, &[method, "--sector", "Energy"]);
        assert!(positions(&of_sector).iter().all(|position| position["sector"] == "Energy"), "{of_sector}");
        let table = scan(&dir, &["--portfolio", method]).expect(0, &[]).stdout;
        let (_, second) = table.split_once("\nportfolio: ").unwrap();
        assert!(second.starts_with(method) && second.contains("left out: "), "{second}");
        for position in positions(portfolio) {
            assert!(second.contains(symbol_of(position)), "{second}");
        }
    }
}

#[test]
fn what_is_held_limits_what_moves() {
    let dir = folder(&Market::generate(140, 260), 140);
    let free = portfolio(&dir, &["inverse-volatility"]);
    assert!(free["turnover"].is_null());
    let best = symbol_of(&positions(&free)[0]).to_owned();
    let file = dir.path().join("held.csv");
    fs::write(&file, format!("symbol,weight\n{best},0.08\nGONE,0.5\n")).unwrap();
    let held = ["inverse-volatility", "--holdings", text(&file)];
    let moved = portfolio(&dir, &held);
    let of = |portfolio: &Value, symbol: &str| {
        positions(portfolio).iter().find(|position| position["symbol"] == symbol).unwrap().clone()
    };
    assert_eq!((&of(&moved, "GONE")["weight"], &of(&moved, "GONE")["held"]), (&0.0.into(), &0.5.into()));
    assert!(number(&moved["turnover"]) >= 0.5 - 1e-9, "{moved}");
    let limited = portfolio(&dir, &[&held[..], &["--turnover-max", "0.1"]].concat());
    assert!((number(&limited["turnover"]) - 0.1).abs() < 1e-9, "{limited}");
    let gone = of(&limited, "GONE");
    assert!(number(&gone["weight"]) > 0.3, "{gone}");
    // Nobody knows what it is worth or how it moves.
    assert!(["close", "shares", "merit", "volatility"].iter().all(|field| gone[field].is_null()), "{gone}");
    assert!(limited["volatility"].is_null(), "{limited}");
}

#[test]
fn rows_without_what_a_method_needs_are_left_out_and_counted() {
    let dir = folder(&Market::generate(140, 260), 140);
    // Without a model nothing is expected of anything.
    let none = run(["scan", "--data", text(dir.path()), "--format", "json", "--portfolio", "mean-variance"]);
    let none = parsed(&none.expect(0, &[]).stdout);
    assert_eq!(none["models"], serde_json::json!([]));
    assert_eq!((positions(&none["portfolio"]).len(), &none["portfolio"]["cash"]), (0, &1.0.into()));
    let reasons: Vec<&Value> =
        none["portfolio"]["left_out"].as_array().unwrap().iter().map(|left| &left["reason"]).collect();
    assert!(reasons.contains(&&"no_alpha".into()), "{none}");
}

#[test]
fn later_bars_move_no_weight() {
    const AS_OF: u32 = 200;
    let as_of = Market::day_of(AS_OF);
    let market = Market::generate(420, 220);
    let date = Market::date_of(AS_OF);
    let of = |market: &Market| portfolio(&folder(market, 420), &["mean-variance", "--as-of", &date]);
    let expected = of(&market);
    assert!(positions(&expected).len() > 5, "{expected}");
    let later = |change: fn(MarketRow) -> Vec<MarketRow>| {
        market.map(|_, row| if row.day.unwrap() > as_of { change(row) } else { vec![row] })
    };
    assert_eq!(of(&later(|_| vec![])), expected, "later bars are gone");
    let wild = |row: MarketRow| vec![MarketRow { prices: row.prices.map(|price| price * 9.0), ..row }];
    assert_eq!(of(&later(wild)), expected, "later bars are others");
    let earlier = market.map(|at, row| {
        if row.day.unwrap() <= as_of && at % 3 == 0 {
            let [open, high, low, close] = row.prices;
            return vec![MarketRow { prices: [open, high * 1.02, low, close * 1.01], ..row }];
        }
        vec![row]
    });
    assert_ne!(of(&earlier), expected, "bars before it do count");
}

#[test]
fn a_wrong_request_or_file_is_named() {
    let dir = folder(&Market::generate(3, 30), 3);
    let file = dir.path().join("held.csv");
    let name = text(&file);
    let with = |holdings: &str| {
        fs::write(&file, holdings).unwrap();
        scan(&dir, &["--portfolio", "min-variance", "--holdings", name])
    };
    scan(&dir, &["--portfolio", "equal"]).expect(2, &["equal", "min-variance"]);
    scan(&dir, &["--portfolio", "min-variance", "--portfolio-size", "101"]).expect(2, &["101", "100"]);
    scan(&dir, &["--portfolio", "min-variance", "--format", "csv"]).expect(2, &["--portfolio", "json"]);
    scan(&dir, &["--portfolio", "min-variance", "--turnover-max", "0.5"]).expect(2, &["--holdings"]);
    with("symbol,shares\nTAA,1\n").expect(3, &[name, "symbol,weight"]);
    with("symbol,weight\nTAA,0.5\nTAB,lots\n").expect(3, &[name, "line 3", "lots"]);
    with("symbol,weight\nTAA,0.5\nTAA,0.1\n").expect(3, &[name, "line 3", "TAA"]);
    with("symbol,weight\nTAA,0.5\n").expect(0, &[]);
    scan(&dir, &["--portfolio", "min-variance", "--holdings", "/no/such/file"]).expect(3, &["/no/such/file"]);
}
