use std::collections::BTreeMap;

use schemas::ResultRow;

use crate::ranking::diversified;
use crate::request::{Method, Request};
use crate::returns::{RETURNS_MIN, Returns};

/// Of so many names at least one of a sector more may be among them: two of twenty (§14).
const NAMES_PER_SECTOR_STEP: usize = 10;
const PER_SECTOR_MIN: usize = 2;

/// Why a ranked row is no part of a portfolio, in the order in which it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The universe leaves it out.
    Excluded,
    NoPlan,
    /// Weights are of what is bought.
    Short,
    /// The plan is too large for the account, or for what is traded of it.
    NoShares,
    /// No model says what it may gain, and the method asks.
    NoAlpha,
    TooFewReturns,
    NoVolatility,
    /// Better rows of its sector are taken, or all names are.
    Beaten,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::NoPlan => "no_plan",
            Self::Short => "short",
            Self::NoShares => "no_shares",
            Self::NoAlpha => "no_alpha",
            Self::TooFewReturns => "too_few_returns",
            Self::NoVolatility => "no_volatility",
            Self::Beaten => "beaten",
        }
    }
}

/// A row that may be bought, and what its price did.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) row: &'a ResultRow,
    pub(crate) returns: Returns,
    /// Per year.
    pub(crate) volatility: f64,
}

/// Who may be bought, best first, and how many are left out for which reason.
#[derive(Debug)]
pub(crate) struct Candidates<'a> {
    pub(crate) all: Vec<Candidate<'a>>,
    pub(crate) left_out: BTreeMap<Reason, usize>,
}

impl<'a> Candidates<'a> {
    pub(crate) fn new(
        rows: impl IntoIterator<Item = &'a ResultRow>,
        request: &Request,
        returns: impl Fn(&ResultRow) -> Returns,
    ) -> Self {
        let mut rows: Vec<&ResultRow> = rows.into_iter().collect();
        rows.sort_by(|a, b| a.rank_order(b));
        let (mut all, mut left_out) = (Vec::new(), BTreeMap::new());
        for row in rows {
            match candidate(row, request.method, &returns) {
                Ok(candidate) => all.push(candidate),
                Err(reason) => *left_out.entry(reason).or_default() += 1,
            }
        }
        Self { all, left_out }
    }

    /// The best by MERIT, so many of a sector at most, and counts the others.
    pub(crate) fn best(&mut self, n_max: usize) -> Vec<&Candidate<'a>> {
        let scores: Vec<Option<f64>> = self.all.iter().map(|candidate| Some(candidate.row.merit)).collect();
        let sectors: Vec<Option<&str>> = self.all.iter().map(|candidate| candidate.row.sector.as_deref()).collect();
        let per_sector_max = n_max.div_ceil(NAMES_PER_SECTOR_STEP).max(PER_SECTOR_MIN);
        let best = diversified(&scores, &sectors, per_sector_max, n_max);
        let n_beaten = self.all.len() - best.len();
        if n_beaten > 0 {
            self.left_out.insert(Reason::Beaten, n_beaten);
        }
        best.into_iter().map(|place| &self.all[place]).collect()
    }
}

fn candidate(
    row: &ResultRow,
    method: Method,
    returns: impl Fn(&ResultRow) -> Returns,
) -> Result<Candidate<'_>, Reason> {
    if row.excluded.is_some() {
        return Err(Reason::Excluded);
    }
    let (Some(entry), Some(target)) = (row.entry, row.target) else { return Err(Reason::NoPlan) };
    if target < entry {
        return Err(Reason::Short);
    }
    if row.position_size.unwrap_or(0) == 0 {
        return Err(Reason::NoShares);
    }
    if method == Method::MeanVariance && row.alpha_10d.is_none() {
        return Err(Reason::NoAlpha);
    }
    let returns = returns(row);
    if returns.len() < RETURNS_MIN {
        return Err(Reason::TooFewReturns);
    }
    let volatility = returns.volatility().ok_or(Reason::NoVolatility)?;
    Ok(Candidate { row, returns, volatility })
}
