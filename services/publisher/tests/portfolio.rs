//! `/v1/portfolio` over real sockets.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use publisher::PublisherOptions;
use schemas::{EventTime, ProfileVerdict, ResultRow};
use serde_json::Value;
use support::{Server, row};

const N_DAYS: i32 = 150;

/// A row with a plan to buy, of one of four sectors.
fn idea(n: i32) -> ResultRow {
    let row = row(&format!("S{n}"), 90.0 - f64::from(n), EventTime::from_days(N_DAYS).as_ns());
    let sector = match n % 4 {
        0 => "Energy",
        1 => "Utilities",
        2 => "Materials",
        _ => "Health Care",
    };
    ResultRow {
        sector: Some(sector.into()),
        alpha_10d: Some(0.01),
        entry: Some(12.6),
        stop: Some(12.0),
        target: Some(14.0),
        ..row
    }
}

fn closes(n: i32) -> Vec<(i32, f64)> {
    let mut close = 12.5;
    let close = |day: i32| {
        close *= 1.0 + 0.01 * (f64::from(day) * 1.7 + f64::from(n)).sin() + 0.01 * (f64::from(day * n)).cos();
        (day, close)
    };
    (1..=N_DAYS).map(close).collect()
}

async fn server() -> Server {
    let mut server = Server::start().await;
    let mut rows: Vec<ResultRow> = (0..12).map(idea).collect();
    rows[0].profiles = vec![ProfileVerdict { profile: "balanced".into(), breaks: None }].into();
    server.publish(rows);
    (0..12).for_each(|n| server.draw(&format!("S{n}"), &closes(n)));
    server
}

fn weights(portfolio: &Value) -> Vec<f64> {
    portfolio["positions"].as_array().unwrap().iter().map(|position| position["weight"].as_f64().unwrap()).collect()
}

#[tokio::test]
async fn every_method_answers_within_caps_and_is_versioned() {
    let server = server().await;
    for method in ["inverse-volatility", "min-variance", "mean-variance"] {
        let path = format!("/v1/portfolio?method={method}&account=5000");
        let answer = server.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let portfolio = answer.json();
        assert_eq!((&portfolio["method"], &portfolio["candidates"]), (&method.into(), &12.into()));
        let total: f64 = weights(&portfolio).iter().sum::<f64>() + portfolio["cash"].as_f64().unwrap();
        assert!((total - 1.0).abs() < 1e-9 && weights(&portfolio).iter().all(|weight| *weight <= 0.1 + 1e-9));
        let position = &portfolio["positions"][0];
        let shares = (position["weight"].as_f64().unwrap() * 5000.0 / 12.5).floor();
        assert_eq!((position["shares"].as_f64(), &position["held"]), (Some(shares), &Value::Null));
        assert!(portfolio["volatility"].as_f64().unwrap() > 0.0, "{portfolio}");
        let tag = answer.header("etag").unwrap().replace("w/", "W/");
        let again = server.get_with(&path, &format!("if-none-match: {tag}\r\n")).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""));
    }
    let few = server.get("/v1/portfolio?n=2").await.json();
    assert_eq!((&few["method"], weights(&few).len()), (&"inverse-volatility".into(), 2));
    assert!(few["account"].is_null() && few["positions"][0]["shares"].is_null(), "{few}");
    let balanced = server.get("/v1/portfolio?profile=balanced").await.json();
    assert_eq!((weights(&balanced).len(), &balanced["positions"][0]["symbol"]), (1, &"S0".into()));
}

#[tokio::test]
async fn holdings_limit_what_moves() {
    let server = server().await;
    let portfolio = server.get("/v1/portfolio?holdings=S1:0.1,GONE:0.6&turnover_max=0.2").await.json();
    assert!((portfolio["turnover"].as_f64().unwrap() - 0.2).abs() < 1e-9, "{portfolio}");
    let first = &portfolio["positions"][0];
    assert_eq!((&first["symbol"], &first["held"], &first["close"]), (&"GONE".into(), &0.6.into(), &Value::Null));
    assert!(portfolio["volatility"].is_null(), "nothing is known of GONE: {portfolio}");
}

#[tokio::test]
async fn bad_parameters_are_problems_that_name_them() {
    let server = server().await;
    for (query, parameter) in [
        ("method=equal", "method"),
        ("n=0", "n"),
        ("n=101", "n"),
        ("n=5&n=6", "n"),
        ("profile=reckless", "profile"),
        ("account=-1", "account"),
        ("account=NaN", "account"),
        ("holdings=S1", "holdings"),
        ("holdings=S1:x", "holdings"),
        ("holdings=S1:0.1,S1:0.1", "holdings"),
        ("holdings=S1:0.6,S2:0.6", "holdings"),
        ("holdings=LONGERTHANANYSYMBOLIS:0.1", "holdings"),
        ("holdings=S1:0.1&turnover_max=2", "turnover_max"),
        ("turnover_max=0.1", "turnover_max"),
        ("colour=red", "colour"),
    ] {
        let answer = server.get(&format!("/v1/portfolio?{query}")).await;
        assert_eq!((answer.status, &answer.json()["parameter"]), (400, &parameter.into()), "{query}");
    }
}

#[tokio::test]
async fn rows_without_bars_are_left_out_and_a_server_without_bars_says_so() {
    let mut server = Server::start().await;
    server.publish((0..3).map(idea).collect());
    server.draw("S0", &closes(0));
    server.draw("S1", &closes(1)[100..]);
    let portfolio = server.get("/v1/portfolio").await.json();
    assert_eq!((weights(&portfolio).len(), &portfolio["positions"][0]["symbol"]), (1, &"S0".into()));
    assert_eq!(portfolio["left_out"], serde_json::json!([{ "reason": "too_few_returns", "rows": 2 }]));

    let without = Server::start_with(PublisherOptions { bars_max: 0, ..PublisherOptions::default() }).await;
    let answer = without.get("/v1/portfolio").await;
    assert_eq!(answer.status, 404);
    assert!(answer.json()["detail"].as_str().unwrap().contains("publisher.bars_max"), "{}", answer.body);
}
