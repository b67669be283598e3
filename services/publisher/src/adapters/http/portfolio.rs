use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use portfolio::{Holdings, Method, NAMES_MAX, Portfolio, Request};
use schemars::JsonSchema;
use schemas::Symbol;
use serde::Serialize;

use super::super::problem::Problem;
use super::App;
use super::answer;
use super::scan_request::{excerpt, number, profile, whole};
use crate::board::DataKind;

/// Beyond it a number of shares is no longer exact.
const ACCOUNT_MAX: f64 = 1e12;

/// How an account might be divided among the best rows of the table.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PortfolioAnswer<'a> {
    /// The bar of the newest row.
    as_of: Option<&'a str>,
    data: DataKind,
    /// Currency, as it was asked for.
    account: Option<f64>,
    #[serde(flatten)]
    portfolio: Portfolio,
}

/// What a client asks for.
#[derive(Debug, PartialEq)]
struct PortfolioRequest {
    request: Request,
    /// `None` takes every row that may be bought.
    profile: Option<String>,
}

/// How an account might be divided among the best rows: mixed by sector, weighed by the covariance of their daily returns,
/// within caps on names and sectors.
#[utoipa::path(
    get,
    path = "/v1/portfolio",
    tag = "scan",
    params(
        ("method" = Option<String>, Query, pattern = "^(inverse-volatility|min-variance|mean-variance)$", description = "`inverse-volatility`, the default; `min-variance`; `mean-variance` weighs what the models expect against risk."),
        ("n" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Most names; 20 unless said otherwise."),
        ("profile" = Option<String>, Query, pattern = "^(conservative|balanced|moderate|aggressive|none)$", description = "Only names that this risk profile shows; `none` is the default."),
        ("account" = Option<f64>, Query, description = "Currency to divide: with it every position has a whole number of shares."),
        ("holdings" = Option<Vec<String>>, Query, style = Form, explode = false, description = "What is held already, such as `AAPL:0.1,XOM:0.05`: fractions of the account, the rest is cash. With it the answer has what is `held` and the `turnover`."),
        ("turnover_max" = Option<f64>, Query, minimum = 0, maximum = 1, description = "How much of the account may move; needs `holdings`. Where it forbids to sell, what is held may exceed a cap."),
        ("if-none-match" = Option<String>, Header, description = "The `ETag` of an earlier answer: 304 when nothing changed since."),
    ),
    responses(
        (status = 200, description = "The portfolio; what is in no position is cash.", body = ref("#/components/schemas/PortfolioAnswer")),
        (status = 304, description = "Nothing changed since the `ETag` of the request."),
        (status = 400, description = "A parameter is unknown or wrong; `parameter` names it.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 404, description = "The server keeps no bars, so nothing is known of returns.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 429, description = "Too many requests from this address.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
        (status = 503, description = "What was known before the start is still being read: ask again after `Retry-After`.", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
    )
)]
pub(super) async fn portfolio(
    State(app): State<App>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = PortfolioRequest::from_pairs(&pairs)?;
    if app.history.bars_max() == 0 {
        let detail = "the returns are unknown: the server keeps no bars, publisher.bars_max is 0";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    // Covariances of many names take milliseconds, which is too long for an async thread.
    let answering = tokio::task::spawn_blocking(move || answer(&app, &headers, &asked));
    answering.await.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the portfolio failed"))?
}

fn answer(app: &App, headers: &HeaderMap, asked: &PortfolioRequest) -> Result<Response, Problem> {
    let snapshot = app.hub.snapshot();
    let is_shown = |row: &schemas::ResultRow| match &asked.profile {
        Some(profile) => row.is_shown_by(profile) == Some(true),
        None => true,
    };
    let rows = snapshot.rows().iter().map(|row| &*row.result).filter(|row| is_shown(row));
    let portfolio = portfolio::propose(rows, |symbol| app.history.closes(symbol), &asked.request)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let account = asked.request.account;
    Ok(answer::json(headers, &PortfolioAnswer { as_of: snapshot.as_of(), data: snapshot.data, account, portfolio }))
}

impl PortfolioRequest {
    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Problem> {
        let mut asked = Self { request: Request::new(Method::InverseVolatility), profile: None };
        for (place, (name, value)) in pairs.iter().enumerate() {
            if pairs[..place].iter().any(|(before, _)| before == name) {
                return Err(Problem::parameter(name, "it is there twice"));
            }
            let request = &mut asked.request;
            match name.as_str() {
                "method" => request.method = method(name, value)?,
                "n" => request.n_max = whole(name, value, 1, NAMES_MAX)?,
                "profile" => asked.profile = profile(name, value)?,
                "account" => request.account = Some(number(name, value, 0.0, ACCOUNT_MAX)?),
                "holdings" => request.holdings = Some(holdings(name, value)?),
                "turnover_max" => request.turnover_max = Some(number(name, value, 0.0, 1.0)?),
                _ => return Err(Problem::parameter(name, "there is no such parameter")),
            }
        }
        if asked.request.turnover_max.is_some() && asked.request.holdings.is_none() {
            return Err(Problem::parameter("turnover_max", "it needs `holdings`"));
        }
        Ok(asked)
    }
}

fn method(name: &str, value: &str) -> Result<Method, Problem> {
    Method::named(value).ok_or_else(|| {
        let known = Method::ALL.map(Method::as_str).join(", ");
        Problem::parameter(name, format!("`{}` is none of {known}", excerpt(value)))
    })
}

fn holdings(name: &str, value: &str) -> Result<Holdings, Problem> {
    let mut holdings = Holdings::default();
    for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let fault = |detail: String| Problem::parameter(name, format!("`{}`: {detail}", excerpt(item)));
        let (symbol, weight) = item.split_once(':').ok_or_else(|| fault("no weight after a colon".to_owned()))?;
        let symbol = Symbol::new(symbol).map_err(|error| fault(error.to_string()))?;
        let weight = weight.parse().map_err(|_| fault("the weight is no number".to_owned()))?;
        holdings.add(symbol, weight).map_err(|error| fault(error.to_string()))?;
    }
    holdings.check().map_err(|error| Problem::parameter(name, error.to_string()))?;
    Ok(holdings)
}
