use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemas::Symbol;
use serde::{Deserialize, Serialize};

use crate::weights::Caps;

/// Most names that a portfolio may have: every one more costs all others a row and a column.
pub const NAMES_MAX: usize = 100;
/// Names of a portfolio when nothing else is said.
pub const NAMES_DEFAULT: usize = 20;
/// How far the sum of what is held may be above the whole, by rounding.
const ROUNDING: f64 = 1e-6;

/// By which rule an account is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// By 1 / volatility.
    InverseVolatility,
    /// The least variance.
    MinVariance,
    /// The most expected return less what its variance costs.
    MeanVariance,
}

impl Method {
    pub const ALL: [Self; 3] = [Self::InverseVolatility, Self::MinVariance, Self::MeanVariance];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::InverseVolatility => "inverse-volatility",
            Self::MinVariance => "min-variance",
            Self::MeanVariance => "mean-variance",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: Method,
    /// Most names, 1 to [`NAMES_MAX`].
    pub n_max: usize,
    pub caps: Caps,
    /// What is held already; `None` when nothing is said about it.
    pub holdings: Option<Holdings>,
    /// How much of the account may be moved: half the sum of all changes of weights, cash among them.
    pub turnover_max: Option<f64>,
    /// Currency; without it a portfolio has no numbers of shares.
    pub account: Option<f64>,
}

impl Request {
    /// A portfolio of that method, and of nothing else that is special.
    pub fn new(method: Method) -> Self {
        let caps = Caps::default();
        Self { method, n_max: NAMES_DEFAULT, caps, holdings: None, turnover_max: None, account: None }
    }
}

/// Why weights cannot be those of an account.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HoldingsError {
    #[error("{symbol} is there twice")]
    Twice { symbol: Symbol },
    #[error("the weight {weight} of {symbol} is not between 0 and 1")]
    Weight { symbol: Symbol, weight: f64 },
    #[error("the weights sum to {total:.4}, more than the whole account")]
    Total { total: f64 },
}

/// What is held: weights as fractions of the account, the rest is cash.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Holdings {
    weights: BTreeMap<Symbol, f64>,
}

impl Holdings {
    /// Adds a name.
    ///
    /// # Errors
    /// When it is there already, or its weight is not between 0 and 1. Nothing is added then.
    pub fn add(&mut self, symbol: Symbol, weight: f64) -> Result<(), HoldingsError> {
        if !(0.0..=1.0).contains(&weight) {
            return Err(HoldingsError::Weight { symbol, weight });
        }
        if self.weights.contains_key(&symbol) {
            return Err(HoldingsError::Twice { symbol });
        }
        self.weights.insert(symbol, weight);
        Ok(())
    }

    /// Checks the whole.
    ///
    /// # Errors
    /// When more is held than there is.
    pub fn check(&self) -> Result<(), HoldingsError> {
        let total: f64 = self.weights.values().sum();
        if total > 1.0 + ROUNDING { Err(HoldingsError::Total { total }) } else { Ok(()) }
    }

    pub fn weight(&self, symbol: Symbol) -> f64 {
        self.weights.get(&symbol).copied().unwrap_or(0.0)
    }

    pub(crate) fn symbols(&self) -> impl Iterator<Item = Symbol> + '_ {
        self.weights.iter().filter(|(_, weight)| **weight > 0.0).map(|(symbol, _)| *symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holdings_are_fractions_of_one_account() {
        let [a, b] = ["A", "B"].map(|text| Symbol::new(text).unwrap());
        let mut holdings = Holdings::default();
        holdings.add(a, 0.6).unwrap();
        assert_eq!(holdings.add(a, 0.1), Err(HoldingsError::Twice { symbol: a }));
        for weight in [-0.1, 1.1, f64::INFINITY] {
            assert_eq!(holdings.add(b, weight), Err(HoldingsError::Weight { symbol: b, weight }));
        }
        assert!(holdings.add(b, f64::NAN).is_err());
        holdings.check().unwrap();
        holdings.add(b, 0.5).unwrap();
        assert_eq!(holdings.check().unwrap_err().to_string(), "the weights sum to 1.1000, more than the whole account");
    }

    #[test]
    fn methods_are_found_by_name() {
        for method in Method::ALL {
            assert_eq!(Method::named(method.as_str()), Some(method));
        }
        assert_eq!(Method::named("equal"), None);
    }
}
