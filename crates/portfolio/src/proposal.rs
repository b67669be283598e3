//! A portfolio from the rows of a scan.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use schemas::{EventTime, ResultRow, SmolStr, Symbol};
use serde::Serialize;

use crate::candidates::{Candidate, Candidates};
use crate::optimiser::{NotSolved, RISK_AVERSION, min_variance_weights, optimal_weights};
use crate::ranking::risk_adjusted;
use crate::request::{Method, Request};
use crate::returns::{DAYS_PER_YEAR, RETURNS_MIN, Returns, covariance};
use crate::weights::{Caps, inverse_vol_weights, within_caps, within_turnover};

/// Less of an account is no position worth an order; it stays cash.
const WEIGHT_MIN: f64 = 0.001;

/// How an account might be divided among the ideas of a scan.
///
/// # Units
/// Weights and volatilities are fractions, of the account and per year; `null` is missing.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Portfolio {
    pub method: Method,
    /// Rows that may be bought: with a plan to buy, some shares, and enough returns.
    pub candidates: usize,
    /// The largest first; those that are to be sold have a weight of 0.
    pub positions: Vec<Position>,
    /// The share of the account that is in no position.
    pub cash: f64,
    /// Expected of the whole; `null` when a position has too few returns.
    pub volatility: Option<f64>,
    /// What the models expect of the whole in ten days; `null` when they are silent about a position.
    pub alpha_10d: Option<f64>,
    /// How much of the account moves: half the sum of all changes, cash among them. `null` when nothing is said of holdings.
    pub turnover: Option<f64>,
    /// Days of returns that the covariance is from.
    pub return_days: usize,
    pub name_max: f64,
    pub sector_max: f64,
    /// Rows that are no part of it, by reason, in the order in which it is asked.
    pub left_out: Vec<LeftOut>,
}

/// One name of a portfolio.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Position {
    pub symbol: Symbol,
    pub name: Option<SmolStr>,
    pub sector: Option<SmolStr>,
    pub weight: f64,
    /// The weight that is held already; `null` when nothing is said of holdings.
    pub held: Option<f64>,
    /// `null` for what is held and not ranked.
    pub close: Option<f64>,
    /// Whole shares at the close; `null` without an account.
    pub shares: Option<u64>,
    pub merit: Option<f64>,
    pub alpha_10d: Option<f64>,
    /// Realised in some 126 days.
    pub volatility: Option<f64>,
    /// `alpha_10d` over the volatility realised in 20 days.
    pub risk_adjusted: Option<f64>,
    /// Its place among all candidates by that, 1 is best.
    pub risk_adjusted_rank: Option<usize>,
    /// Its share of the variance of the whole; `null` for what is to be sold.
    pub risk_share: Option<f64>,
}

/// Rows that are no part of a portfolio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeftOut {
    /// `excluded`, `no_plan`, `short`, `no_shares`, `no_alpha`, `too_few_returns`, `no_volatility` or `beaten`.
    pub reason: &'static str,
    pub rows: usize,
}

/// A portfolio of the best of these rows.
///
/// `closes` gives the closes of a symbol, oldest first, all of one basis. What is later than the newest of the rows does not
/// count.
///
/// # Shape
/// Names and sectors keep their caps, and what nobody may take is cash. Only what is held already may exceed a cap, where
/// the limit of turnover forbids to sell it.
///
/// # Errors
/// When the solver gives up.
///
/// # Source
/// §14; the rank is adjusted by realised volatility ("do instead" of quirk Q3), rows are complete (Q28) and caps hold after
/// normalising (Q36).
pub fn propose<'a>(
    rows: impl IntoIterator<Item = &'a ResultRow>,
    closes: impl Fn(Symbol) -> Vec<(EventTime, f64)>,
    request: &Request,
) -> Result<Portfolio, NotSolved> {
    let rows: Vec<&ResultRow> = rows.into_iter().collect();
    let as_of = rows.iter().map(|row| row.position().0).max().unwrap_or_default();
    let returns_of = |symbol: Symbol| Returns::of(&closes(symbol), as_of);
    let mut candidates = Candidates::new(rows.iter().copied(), request, |row| returns_of(row.symbol));
    let ranks = ranks(&candidates.all);
    let n_candidates = candidates.all.len();
    let left_out = |candidates: &Candidates| {
        let counts = candidates.left_out.iter();
        counts.map(|(reason, rows)| LeftOut { reason: reason.as_str(), rows: *rows }).collect()
    };
    let chosen = candidates.best(request.n_max);

    let mut weights: BTreeMap<Symbol, f64> = BTreeMap::new();
    for (candidate, weight) in chosen.iter().zip(target(&chosen, request)?) {
        if weight >= WEIGHT_MIN {
            weights.insert(candidate.row.symbol, weight);
        }
    }
    let turnover = request.holdings.as_ref().map(|holdings| {
        let symbols: BTreeSet<Symbol> = weights.keys().copied().chain(holdings.symbols()).collect();
        let with_cash = |weight: &dyn Fn(Symbol) -> f64| {
            let mut all: Vec<f64> = symbols.iter().map(|symbol| weight(*symbol)).collect();
            all.push(1.0 - all.iter().sum::<f64>());
            all
        };
        let old = with_cash(&|symbol| holdings.weight(symbol));
        let new = with_cash(&|symbol| weights.get(&symbol).copied().unwrap_or(0.0));
        let moved = within_turnover(&old, &new, request.turnover_max.unwrap_or(f64::INFINITY));
        // What is sold stays in the list, with nothing left.
        weights = symbols.iter().copied().zip(moved.iter().map(|weight| weight.max(0.0))).collect();
        old.iter().zip(&moved).map(|(old, new)| (old - new).abs()).sum::<f64>() / 2.0
    });

    let by_symbol: BTreeMap<Symbol, &ResultRow> = rows.iter().map(|row| (row.symbol, *row)).collect();
    let mut positions: Vec<Position> = Vec::with_capacity(weights.len());
    let mut returns: Vec<Returns> = Vec::with_capacity(weights.len());
    for (symbol, weight) in weights {
        let row = by_symbol.get(&symbol).copied();
        let of_name = returns_of(symbol);
        let rank = ranks.get(&symbol);
        positions.push(Position {
            symbol,
            name: row.and_then(|row| row.name.clone()),
            sector: row.and_then(|row| row.sector.clone()),
            weight,
            held: request.holdings.as_ref().map(|holdings| holdings.weight(symbol)),
            close: row.map(|row| row.close),
            shares: row.zip(request.account).map(|(row, account)| whole(weight * account / row.close)),
            merit: row.map(|row| row.merit),
            alpha_10d: row.and_then(|row| row.alpha_10d),
            volatility: of_name.volatility(),
            risk_adjusted: rank.map(|(value, _)| *value),
            risk_adjusted_rank: rank.map(|(_, rank)| *rank),
            risk_share: None,
        });
        returns.push(of_name);
    }
    let (volatility, return_days) = add_risk(&mut positions, &returns);
    let kept = positions.iter().filter(|position| position.weight > 0.0);
    let alphas: Option<Vec<f64>> = kept.map(|position| Some(position.weight * position.alpha_10d?)).collect();
    positions.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.symbol.cmp(&b.symbol)));
    let Caps { name_max, sector_max } = request.caps;
    Ok(Portfolio {
        method: request.method,
        candidates: n_candidates,
        cash: (1.0 - positions.iter().map(|position| position.weight).sum::<f64>()).clamp(0.0, 1.0),
        volatility,
        alpha_10d: alphas.map(|alphas| alphas.iter().fold(0.0, |sum, alpha| sum + alpha)),
        turnover,
        return_days,
        name_max,
        sector_max,
        left_out: left_out(&candidates),
        positions,
    })
}

/// The weights by the rule that is asked for, within caps.
fn target(chosen: &[&Candidate], request: &Request) -> Result<Vec<f64>, NotSolved> {
    let sectors: Vec<Option<&str>> = chosen.iter().map(|candidate| candidate.row.sector.as_deref()).collect();
    let of_returns = || covariance(&chosen.iter().map(|candidate| &candidate.returns).collect::<Vec<_>>()).0;
    match request.method {
        Method::InverseVolatility => {
            let volatilities: Vec<Option<f64>> = chosen.iter().map(|candidate| Some(candidate.volatility)).collect();
            Ok(within_caps(&inverse_vol_weights(&volatilities), &sectors, &request.caps))
        }
        Method::MinVariance => min_variance_weights(&of_returns(), &sectors, &request.caps),
        Method::MeanVariance => {
            // Candidates of this method have one.
            let alphas: Vec<f64> = chosen.iter().map(|candidate| candidate.row.alpha_10d.unwrap_or(0.0)).collect();
            // As the reference: a return of ten days against a variance of a year.
            optimal_weights(&alphas, &of_returns(), RISK_AVERSION * DAYS_PER_YEAR, &sectors, &request.caps)
        }
    }
}

/// Of every candidate what it is to gain per risk, and its place by that.
fn ranks(candidates: &[Candidate]) -> BTreeMap<Symbol, (f64, usize)> {
    let alphas: Vec<Option<f64>> = candidates.iter().map(|candidate| candidate.row.alpha_10d).collect();
    let volatilities: Vec<Option<f64>> =
        candidates.iter().map(|candidate| candidate.returns.short_volatility()).collect();
    let adjusted = risk_adjusted(&alphas, &volatilities);
    let mut known: Vec<(f64, Symbol)> = adjusted
        .into_iter()
        .zip(candidates)
        .filter_map(|(value, candidate)| Some((value?, candidate.row.symbol)))
        .collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    known.into_iter().zip(1..).map(|((value, symbol), rank)| (symbol, (value, rank))).collect()
}

/// Tells each position its share of the variance. The volatility of the whole per year, and the days that it is from; none
/// where a position has too few returns.
fn add_risk(positions: &mut [Position], returns: &[Returns]) -> (Option<f64>, usize) {
    let kept: Vec<usize> = (0..positions.len()).filter(|&place| positions[place].weight > 0.0).collect();
    let of_kept: Vec<&Returns> = kept.iter().map(|&place| &returns[place]).collect();
    let (covariance, n_days) = covariance(&of_kept);
    if of_kept.iter().any(|returns| returns.len() < RETURNS_MIN) {
        return (None, n_days);
    }
    let weights: Vec<f64> = kept.iter().map(|&place| positions[place].weight).collect();
    let deviation = covariance.deviation(&weights);
    for (place, marginal) in kept.into_iter().zip(covariance.times(&weights)) {
        let position = &mut positions[place];
        position.risk_share = (deviation > 0.0).then(|| position.weight * marginal / deviation.powi(2));
    }
    (Some(deviation * DAYS_PER_YEAR.sqrt()), n_days)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of shares is above zero")]
fn whole(shares: f64) -> u64 {
    shares as u64
}

#[cfg(test)]
mod tests;
