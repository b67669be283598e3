use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use schemars::JsonSchema;
use schemas::{ResultRow, Symbol, Timeframe};
use serde::Serialize;

use super::super::problem::Problem;
use super::App;
use super::answer;
use crate::history::{Point, SymbolHistory};

/// Bars arrive and are scored at this timeframe.
const TIMEFRAME: Timeframe = Timeframe::D1;

/// What the answer for a symbol has besides its row.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SymbolDetail {
    /// By MERIT among all rows, 1 is the best.
    rank: Option<usize>,
    /// Rows in the table.
    ranked: usize,
    /// From the close before to the newest one, a fraction; `null` without two bars.
    change: Option<f64>,
    /// The trade plan; `null` where there is none, `no_plan` says why.
    plan: Option<PlanLevels>,
    /// Tests behind the labels that are met.
    why: Vec<Reason>,
    /// The condition of the universe that it fails, tests that are not met, limits that are broken, and why there is no
    /// plan.
    why_not: Vec<Reason>,
    timeframe: &'static str,
    /// Oldest first; `null` where none are kept, `no_bars` says why.
    bars: Option<Vec<BarAnswer>>,
    no_bars: Option<&'static str>,
    /// Indicators to draw with the bars, one value a bar, with 7 digits.
    series: BTreeMap<&'static str, Vec<Option<f32>>>,
    /// Every indicator of the newest bar.
    indicators: BTreeMap<String, Option<f64>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PlanLevels {
    setup: Option<String>,
    entry: f64,
    stop: f64,
    target: f64,
    reward_risk: Option<f64>,
    /// Shares.
    position_size: Option<u64>,
    /// Currency that a stop at its level costs.
    risk: Option<f64>,
}

/// A test and the label it belongs to.
#[derive(Debug, Serialize, JsonSchema)]
struct Reason {
    label: String,
    rule: String,
}

/// One bar. Open, high and low are `null` where the source knows closes only.
#[derive(Debug, Serialize, JsonSchema)]
struct BarAnswer {
    /// A session date for daily bars, a UTC time below.
    time: String,
    open: Option<f64>,
    high: Option<f64>,
    low: Option<f64>,
    close: f64,
    volume: f64,
    is_final: bool,
}

/// Everything about one symbol: its row with breakdown and plan, why and why not, bars and indicators.
#[utoipa::path(
    get,
    path = "/v1/symbols/{symbol}",
    tag = "scan",
    params(
        ("symbol" = String, Path, description = "Such as `AAPL` or `BRK.B`."),
        ("bars" = Option<u32>, Query, description = "Most bars to answer with, the newest; all that are kept unless said otherwise."),
        ("if-none-match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 when nothing changed since."),
    ),
    responses(
        (status = 200, description = "The row, and what belongs to it.", body = ref("#/components/schemas/SymbolAnswer")),
        (status = 304, description = "Nothing changed since the `ETag` of the request."),
        (status = 400, description = "No possible symbol, or a wrong parameter.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 404, description = "The symbol has no result; `why_not` names the first condition that it fails.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 429, description = "Too many requests from this address.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 503, description = "What was known before the start is still being read: ask again after `Retry-After`.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
    )
)]
pub(super) async fn symbol(
    State(app): State<App>,
    Path(text): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let symbol = Symbol::new(&text).map_err(|error| Problem::parameter("symbol", error.to_string()))?;
    let wanted = n_bars(&pairs)?;
    let row = app.hub.row(symbol).ok_or_else(|| Problem::no_result(symbol, app.hub.why_not(symbol)))?;
    let snapshot = app.hub.snapshot();
    let history = app.history.of(symbol, wanted);
    let no_bars = if app.history.bars_max() == 0 {
        "the server keeps no bars: publisher.bars_max is 0"
    } else {
        "no bar of this symbol has reached this server since it started"
    };
    let mut detail = SymbolDetail {
        rank: snapshot.rank(symbol),
        ranked: snapshot.rows().len(),
        change: None,
        plan: plan(&row.result),
        why: reasons(&row.result, true),
        why_not: why_not(&row.result),
        timeframe: TIMEFRAME.as_str(),
        bars: None,
        no_bars: Some(no_bars),
        series: BTreeMap::new(),
        indicators: BTreeMap::new(),
    };
    if let Some(history) = history {
        detail.draw(history);
    }
    // The row as it is everywhere, to the byte, and behind it what belongs to it.
    let mut json = row.json.to_vec();
    json.pop();
    json.push(b',');
    json.extend_from_slice(&serde_json::to_vec(&detail).expect("a detail serialises to JSON")[1..]);
    Ok(answer::content(&headers, "application/json", json))
}

fn n_bars(pairs: &[(String, String)]) -> Result<usize, Problem> {
    let mut n_bars = None;
    for (name, value) in pairs {
        if name != "bars" {
            return Err(Problem::parameter(name, "there is no such parameter"));
        }
        let number = value.parse().map_err(|_| Problem::parameter(name, "it is no number of bars"))?;
        if n_bars.replace(number).is_some() {
            return Err(Problem::parameter(name, "it is there twice"));
        }
    }
    Ok(n_bars.unwrap_or(usize::MAX))
}

impl SymbolDetail {
    fn draw(&mut self, history: SymbolHistory) {
        if let [.., before, newest] = &history.points[..] {
            self.change = Some(newest.close / before.close - 1.0);
        }
        for point in &history.points {
            for (name, value) in point.series() {
                self.series.entry(name).or_default().push(value);
            }
        }
        self.bars = Some(history.points.iter().map(BarAnswer::of).collect());
        self.no_bars = None;
        self.indicators = history.indicators.into_iter().collect();
    }
}

impl BarAnswer {
    fn of(point: &Point) -> Self {
        let known = |price: f64| (!price.is_nan()).then_some(price);
        Self {
            time: point.open_time.display(TIMEFRAME),
            open: known(point.open),
            high: known(point.high),
            low: known(point.low),
            close: point.close,
            volume: point.volume,
            is_final: point.is_final,
        }
    }
}

fn plan(row: &ResultRow) -> Option<PlanLevels> {
    let (entry, stop, target) = (row.entry?, row.stop?, row.target?);
    Some(PlanLevels {
        setup: row.setup.as_ref().map(ToString::to_string),
        entry,
        stop,
        target,
        reward_risk: row.reward_risk,
        position_size: row.position_size,
        risk: row.position_size.map(|size| size as f64 * (entry - stop).abs()),
    })
}

fn reasons(row: &ResultRow, is_met: bool) -> Vec<Reason> {
    let rules = row.rules.iter().filter(|rule| rule.is_met == is_met);
    rules.map(|rule| Reason { label: rule.label.to_string(), rule: rule.rule.to_string() }).collect()
}

fn why_not(row: &ResultRow) -> Vec<Reason> {
    let broken = row.profiles.iter().filter_map(|verdict| {
        let rule = verdict.breaks.as_ref()?.to_string();
        Some(Reason { label: format!("profile {}", verdict.profile), rule })
    });
    let excluded = row.excluded.iter().map(|why| Reason { label: "universe".to_owned(), rule: why.to_string() });
    let no_plan = row.no_plan.iter().map(|why| Reason { label: "plan".to_owned(), rule: why.to_string() });
    excluded.chain(reasons(row, false)).chain(broken).chain(no_plan).collect()
}
