use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemars::JsonSchema;
use schemas::{ModelRef, Symbol};
use serde::Serialize;

use super::super::problem::Problem;
use super::App;
use super::answer;
use crate::board::{DataKind, Row};

/// What the table is made of.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UniverseAnswer<'a> {
    /// Symbols heard of, with or without a result.
    total: usize,
    /// Symbols with a result: those below.
    scored: usize,
    data: DataKind,
    /// How many symbols fail each condition first, with or without a result, in the order in which they are asked.
    funnel: Vec<Step>,
    /// Symbols that fail none: what risk profiles choose from.
    passing: usize,
    /// The largest first; a sector of `null` is unknown.
    sectors: Vec<Group<'a>>,
    industries: Vec<Group<'a>>,
    /// In the order of their symbols.
    symbols: Vec<Listed<'a>>,
}

/// A condition of the universe.
#[derive(Debug, Serialize, JsonSchema)]
struct Step {
    condition: String,
    /// Symbols that fail it, and none before it.
    removed: usize,
    /// Symbols that are left after it.
    left: usize,
}

/// Symbols that share a sector or an industry.
#[derive(Debug, Serialize, JsonSchema)]
struct Group<'a> {
    name: Option<&'a str>,
    symbols: usize,
    /// The mean of their MERIT.
    merit_mean: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Listed<'a> {
    symbol: Symbol,
    name: Option<&'a str>,
    sector: Option<&'a str>,
    industry: Option<&'a str>,
    market_cap: Option<f64>,
    /// The first condition that it fails.
    excluded: Option<&'a str>,
}

/// The models behind the newest results.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ModelsAnswer<'a> {
    /// None: predictions are missing.
    models: &'a [ModelRef],
}

/// All symbols with a result, how many there are by sector and industry, and what each condition of the universe takes
/// out.
#[utoipa::path(
    get,
    path = "/v1/universe",
    tag = "market",
    responses(
        (status = 200, description = "The universe.", body = ref("#/components/schemas/UniverseAnswer")),
        (status = 429, description = "Too many requests from this address.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 503, description = "What was known before the start is still being read: ask again after `Retry-After`.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
    )
)]
pub(super) async fn universe(
    State(app): State<App>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    no_parameters(&pairs)?;
    let (snapshot, counts) = (app.hub.snapshot(), app.hub.funnel());
    let mut passing = snapshot.n_symbols;
    let funnel = counts.into_iter().map(|(condition, removed)| {
        passing = passing.saturating_sub(removed);
        Step { condition: condition.into_owned(), removed, left: passing }
    });
    let funnel = funnel.collect();
    let mut rows: Vec<&Row> = snapshot.rows().iter().collect();
    rows.sort_by_key(|row| row.result.symbol);
    let answer = UniverseAnswer {
        total: snapshot.n_symbols,
        scored: rows.len(),
        data: snapshot.data,
        funnel,
        passing,
        sectors: groups(&rows, |row| row.result.sector.as_deref()),
        industries: groups(&rows, |row| row.result.industry.as_deref()),
        symbols: rows
            .iter()
            .map(|row| Listed {
                symbol: row.result.symbol,
                name: row.result.name.as_deref(),
                sector: row.result.sector.as_deref(),
                industry: row.result.industry.as_deref(),
                market_cap: row.result.market_cap,
                excluded: row.result.excluded.as_deref(),
            })
            .collect(),
    };
    Ok(answer::json(&headers, &answer))
}

fn groups<'a>(rows: &[&'a Row], name: impl Fn(&'a Row) -> Option<&'a str>) -> Vec<Group<'a>> {
    let mut by_name: BTreeMap<Option<&str>, (usize, f64)> = BTreeMap::new();
    for row in rows {
        let (n_symbols, merit) = by_name.entry(name(row)).or_default();
        *n_symbols += 1;
        *merit += row.result.merit;
    }
    let mut groups: Vec<Group<'_>> = by_name
        .into_iter()
        .map(|(name, (symbols, merit))| Group { name, symbols, merit_mean: merit / symbols as f64 })
        .collect();
    groups.sort_by_key(|group| Reverse(group.symbols));
    groups
}

/// The state of the market as a whole.
#[utoipa::path(
    get,
    path = "/v1/regime",
    tag = "market",
    responses(
        (status = 200, description = "The regime.", body = ref("#/components/schemas/Market")),
        (status = 404, description = "No closes of the index were read.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 429, description = "Too many requests from this address.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 503, description = "What was known before the start is still being read: ask again after `Retry-After`.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
    )
)]
pub(super) async fn regime(
    State(app): State<App>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    no_parameters(&pairs)?;
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "the regime is unknown: no closes of its index were read");
    let market = app.hub.snapshot().market.ok_or_else(unknown)?;
    Ok(answer::json(&headers, &*market))
}

/// The models that made the predictions.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "market",
    responses(
        (status = 200, description = "Name, version and hash of each.", body = ref("#/components/schemas/ModelsAnswer")),
        (status = 429, description = "Too many requests from this address.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 503, description = "What was known before the start is still being read: ask again after `Retry-After`.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
    )
)]
pub(super) async fn models(
    State(app): State<App>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    no_parameters(&pairs)?;
    Ok(answer::json(&headers, &ModelsAnswer { models: &app.hub.snapshot().models }))
}

fn no_parameters(pairs: &[(String, String)]) -> Result<(), Problem> {
    match pairs.first() {
        Some((name, _)) => Err(Problem::parameter(name, "there is no such parameter")),
        None => Ok(()),
    }
}
