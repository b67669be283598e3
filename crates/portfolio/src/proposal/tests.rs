use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::request::Holdings;
use crate::weights::SECTOR_SHARE_MAX;

const AS_OF: i32 = 200;

fn symbol(text: &str) -> Symbol {
    Symbol::new(text).unwrap()
}

/// A row with a plan to buy.
fn row(text: &str, sector: Option<&str>, merit: f64) -> ResultRow {
    let row = json!({
        "symbol": text, "as_of": "1970-07-20", "close": 50.0, "name": null, "sector": sector, "merit": merit,
        "merit_band": "A", "merit_flags": "", "merit_summary": "", "tech_rating": null, "ics": 50.0, "quality": null,
        "alpha_5d": null, "alpha_10d": 0.01, "win_prob_10d": null, "signal": "Long", "entry": 50.0, "stop": 48.0,
        "target": 54.0, "reward_risk": 2.0, "position_size": 100,
        "breakdown": { "merit": {
            "tech": 0.0, "alpha": 0.0, "win": 0.0, "ics": 0.0, "quality": 0.0, "liquidity": 0.0, "vol_safety": 0.0,
            "confluence": 0.0, "penalty_earnings": 0.0, "penalty_liquidity": 0.0, "penalty_atr": 0.0, "penalty_cap": 0.0,
            "penalty_ultra_risk": 0.0, "clip": 0.0,
        }, "ics": {
            "tech": 0.0, "alpha": 0.0, "quality": 0.0, "stability": 0.0, "liquidity": 0.0, "event": 0.0, "clip": 0.0,
        }, "tech_rating": null },
        "freshness": {
            "open_time_ns": EventTime::from_days(AS_OF).as_ns(), "revision": 0, "is_final": true, "n_bars": 200,
            "is_synthetic": false, "is_replayed": true,
        },
    });
    serde_json::from_value(row).unwrap()
}

/// Closes until some days after the rows, that move by `step` of themselves each day, differently for each symbol.
fn closes(symbol: Symbol, step: f64) -> Vec<(EventTime, f64)> {
    let seed = symbol.as_str().bytes().fold(7_u64, |seed, byte| seed * 31 + u64::from(byte));
    let mut close = 100.0;
    let day = |day: i32| {
        let noise = (f64::from(day) * 1.7 + seed as f64).sin() + (f64::from(day) * (seed % 13 + 1) as f64 * 0.31).cos();
        close *= 1.0 + step * noise;
        (EventTime::from_days(day), close)
    };
    (20..AS_OF + 10).map(day).collect()
}

fn steady(symbol: Symbol) -> Vec<(EventTime, f64)> {
    closes(symbol, 0.01)
}

/// Thirty rows of six sectors.
fn market() -> Vec<ResultRow> {
    let sectors = ["Energy", "Utilities", "Materials", "Industrials", "Real Estate", "Health Care"];
    (0..30).map(|n| row(&format!("S{n}"), Some(sectors[n % 6]), 90.0 - n as f64)).collect()
}

fn weight(portfolio: &Portfolio, text: &str) -> f64 {
    portfolio.positions.iter().find(|position| position.symbol == symbol(text)).map_or(0.0, |position| position.weight)
}

fn left_out(portfolio: &Portfolio) -> Vec<(&str, usize)> {
    portfolio.left_out.iter().map(|left_out| (left_out.reason, left_out.rows)).collect()
}

#[test]
fn every_method_fills_the_account_within_its_caps() {
    for method in Method::ALL {
        let request = Request { account: Some(10_000.0), n_max: 12, ..Request::new(method) };
        let found = propose(&market(), steady, &request).unwrap();
        assert_eq!((found.candidates, left_out(&found)), (30, vec![("beaten", 18)]));
        assert!((found.positions.iter().map(|position| position.weight).sum::<f64>() + found.cash - 1.0).abs() < 1e-9);
        assert!(found.cash < 0.01, "{found:?}");
        let mut sectors = BTreeMap::<_, f64>::new();
        for position in &found.positions {
            assert!(position.weight <= request.caps.name_max + 1e-9, "{position:?}");
            *sectors.entry(position.sector.clone()).or_default() += position.weight;
            assert_eq!(position.shares, Some(whole(position.weight * 200.0)));
        }
        assert!(sectors.values().all(|share| *share <= SECTOR_SHARE_MAX + 1e-9));
        let shares: f64 = found.positions.iter().filter_map(|position| position.risk_share).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        assert!((found.alpha_10d.unwrap() - 0.01 * (1.0 - found.cash)).abs() < 1e-9);
        assert_eq!((found.turnover, found.positions[0].held), (None, None));
    }
}

#[test]
fn the_least_variance_is_the_least() {
    let risk = |method| propose(&market(), steady, &Request::new(method)).unwrap().volatility.unwrap();
    assert!(risk(Method::MinVariance) < risk(Method::InverseVolatility));
    assert!(risk(Method::MinVariance) < risk(Method::MeanVariance) + 1e-12);
}

#[test]
fn calmer_names_weigh_more() {
    let rows: Vec<_> =
        (0..12).map(|n| row(&format!("S{n}"), Some(["A", "B", "C", "D", "E", "F"][n % 6]), 90.0)).collect();
    let closes = |symbol: Symbol| closes(symbol, if symbol.as_str() == "S3" { 0.02 } else { 0.01 });
    let found = propose(&rows, closes, &Request::new(Method::InverseVolatility)).unwrap();
    assert!(weight(&found, "S3") < 0.7 * weight(&found, "S4"), "{found:?}");
}

#[test]
fn rows_that_cannot_be_bought_are_counted_with_the_reason() {
    let mut rows = market();
    rows[0].excluded = Some("price_too_low".into());
    rows[1].entry = None;
    rows[2].target = Some(40.0);
    rows[3].position_size = Some(0);
    rows[4].alpha_10d = None;
    let closes = |symbol: Symbol| match symbol.as_str() {
        "S5" => steady(symbol).split_off(100),
        "S6" => closes(symbol, 0.0),
        _ => steady(symbol),
    };
    let expected = vec![
        ("excluded", 1),
        ("no_plan", 1),
        ("short", 1),
        ("no_shares", 1),
        ("no_alpha", 1),
        ("too_few_returns", 1),
        ("no_volatility", 1),
        ("beaten", 11),
    ];
    let found = propose(&rows, closes, &Request { n_max: 12, ..Request::new(Method::MeanVariance) }).unwrap();
    assert_eq!((left_out(&found), found.candidates), (expected, 23));
    // Who does not ask for alphas does not miss one.
    let found = propose(&rows, closes, &Request { n_max: 12, ..Request::new(Method::MinVariance) }).unwrap();
    assert!(left_out(&found).iter().all(|(reason, _)| *reason != "no_alpha"));
}

#[test]
fn nothing_to_buy_is_cash() {
    for method in Method::ALL {
        let found = propose(&[], steady, &Request::new(method)).unwrap();
        assert_eq!((found.positions.len(), found.cash.to_bits(), found.volatility), (0, 1.0_f64.to_bits(), Some(0.0)));
        let few = propose(&market()[..1], steady, &Request::new(method)).unwrap();
        assert!((few.cash - 0.9).abs() < 1e-6, "{few:?}");
    }
}

#[test]
fn closes_after_the_rows_do_not_count() {
    let request = Request::new(Method::MinVariance);
    let found = propose(&market(), steady, &request).unwrap();
    let perturbed = |symbol: Symbol| {
        let mut closes = steady(symbol);
        closes.iter_mut().filter(|(day, _)| *day > EventTime::from_days(AS_OF)).for_each(|(_, close)| *close *= 7.0);
        closes
    };
    assert_eq!(propose(&market(), perturbed, &request).unwrap(), found);
}

#[test]
fn ranks_are_by_gain_per_volatility() {
    let mut rows = market();
    rows[7].alpha_10d = Some(0.03);
    rows[8].alpha_10d = None;
    let found = propose(&rows, steady, &Request { n_max: 30, ..Request::new(Method::InverseVolatility) }).unwrap();
    let of = |text: &str| found.positions.iter().find(|position| position.symbol == symbol(text)).unwrap();
    assert_eq!(of("S7").risk_adjusted_rank, Some(1));
    assert_eq!((of("S8").risk_adjusted, of("S8").risk_adjusted_rank, found.alpha_10d), (None, None, None));
}

#[test]
fn turnover_is_limited_and_sales_are_listed() {
    let mut holdings = Holdings::default();
    holdings.add(symbol("GONE"), 0.5).unwrap();
    holdings.add(symbol("S0"), 0.3).unwrap();
    let request = Request { holdings: Some(holdings), ..Request::new(Method::InverseVolatility) };
    let free = propose(&market(), steady, &request).unwrap();
    let sold = free.positions.last().unwrap();
    assert_eq!((sold.symbol, sold.weight.to_bits(), sold.held, sold.close), (symbol("GONE"), 0, Some(0.5), None));
    assert!(free.turnover > Some(0.7) && free.volatility.is_some());

    let limited = propose(&market(), steady, &Request { turnover_max: Some(0.2), ..request.clone() }).unwrap();
    assert!((limited.turnover.unwrap() - 0.2).abs() < 1e-9, "{limited:?}");
    assert!(weight(&limited, "GONE") > 0.3 && weight(&limited, "S0") < 0.3);
    // Closes of a symbol that is held are asked for, too; without them the risk of the whole is not known.
    let without = |symbol: Symbol| if symbol.as_str() == "GONE" { Vec::new() } else { steady(symbol) };
    let limited = propose(&market(), without, &Request { turnover_max: Some(0.2), ..request }).unwrap();
    assert_eq!((limited.volatility, limited.positions[0].risk_share), (None, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_market_is_divided_within_caps(
        merits in prop::collection::vec((0.0..100.0, 0_usize..5), 1..40),
        n_max in 1_usize..40,
        held in 0.0..1.0,
        turnover_max in 0.0..1.0,
        method in 0_usize..3,
    ) {
        let sector = |n: usize| [None, Some("A"), Some("B"), Some("C"), Some("D")][n];
        let rows: Vec<_> =
            merits.iter().enumerate().map(|(n, (merit, s))| row(&format!("S{n}"), sector(*s), *merit)).collect();
        let request = Request { n_max, ..Request::new(Method::ALL[method]) };
        let found = propose(&rows, steady, &request).unwrap();
        prop_assert!(found.positions.len() <= n_max);
        let mut sectors = BTreeMap::<_, f64>::new();
        for position in &found.positions {
            prop_assert!(position.weight > 0.0 && position.weight <= request.caps.name_max + 1e-9);
            *sectors.entry(position.sector.clone()).or_default() += position.weight;
        }
        prop_assert!(sectors.values().all(|share| *share <= SECTOR_SHARE_MAX + 1e-9));
        let total: f64 = found.positions.iter().map(|position| position.weight).sum();
        prop_assert!((total + found.cash - 1.0).abs() < 1e-9);

        let mut holdings = Holdings::default();
        holdings.add(symbol("S0"), held).unwrap();
        let limited = Request { holdings: Some(holdings), turnover_max: Some(turnover_max), ..request };
        let found = propose(&rows, steady, &limited).unwrap();
        prop_assert!(found.turnover.unwrap() <= turnover_max + 1e-9);
    }
}
