//! The features that models derive from the columns of the plan, and the ranks that stand for them.

use schemas::{FeatureBatch, Plan};
use serde::Deserialize;

use crate::quantiles::QuantileTable;

/// What training reads, too: one list, so that training and serving cannot differ.
const RECIPES_TOML: &str = include_str!("../../../models/features.toml");

/// Inputs of this prefix are places in quantile tables (ADR 0004).
pub(crate) const RANK_PREFIX: &str = "rank_";

/// A feature as it is written in `models/features.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Recipe {
    name: String,
    expression: Expression,
    columns: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expression {
    /// `a`
    Identity,
    /// `a / b − 1`
    Ratio,
    /// `(1 + a) / (1 + b) − 1`
    GrowthRatio,
}

/// All features that there are recipes for.
#[derive(Debug, Deserialize)]
pub(crate) struct Recipes {
    #[serde(rename = "feature")]
    recipes: Vec<Recipe>,
}

/// Where a number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Column(usize),
    /// The close of the bar.
    Close,
}

/// A recipe for one plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Derived {
    expression: Expression,
    a: Source,
    b: Source,
}

/// One input of a model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// A column of the plan as it is.
    Column(usize),
    /// A derived feature's place in a table; without a table it is missing.
    Rank(Derived, Option<QuantileTable>),
}

impl Recipes {
    /// # Panics
    /// Never: the list is part of the build, and a test reads it.
    pub(crate) fn shipped() -> Self {
        toml::from_str(RECIPES_TOML).expect("the list of features is part of the build and tested")
    }

    /// The feature behind an input's name.
    ///
    /// # Errors
    /// The name of the column that the plan lacks, or of the input itself when there is no such feature.
    pub(crate) fn derive<'a>(&'a self, input: &'a str, plan: &Plan) -> Result<Derived, &'a str> {
        let name = input.strip_prefix(RANK_PREFIX).ok_or(input)?;
        let recipe = self.recipes.iter().find(|recipe| recipe.name == name).ok_or(input)?;
        let source = |column: &'a String| match plan.index_of(column) {
            Some(index) => Ok(Source::Column(index)),
            None if column == "close" => Ok(Source::Close),
            None => Err(column.as_str()),
        };
        match (recipe.expression, &recipe.columns[..]) {
            (expression @ Expression::Identity, [a]) => Ok(Derived { expression, a: source(a)?, b: source(a)? }),
            (expression @ (Expression::Ratio | Expression::GrowthRatio), [a, b]) => {
                Ok(Derived { expression, a: source(a)?, b: source(b)? })
            }
            _ => Err(input),
        }
    }
}

impl Derived {
    /// NaN where it is missing.
    fn value(&self, features: &FeatureBatch, row: usize) -> f64 {
        let number = |source: Source| match source {
            Source::Column(column) => features.column(column)[row],
            Source::Close => features.bars().rows()[row].1.close,
        };
        let (a, b) = (number(self.a), number(self.b));
        match self.expression {
            Expression::Identity => a,
            Expression::Ratio => a / b - 1.0,
            Expression::GrowthRatio => (1.0 + a) / (1.0 + b) - 1.0,
        }
    }

    fn columns(&self) -> impl Iterator<Item = usize> {
        [self.a, self.b].into_iter().filter_map(|source| match source {
            Source::Column(column) => Some(column),
            Source::Close => None,
        })
    }
}

impl Input {
    /// Appends the input of every row, as evaluators read it. What is beyond `f32` becomes infinite.
    #[expect(clippy::cast_possible_truncation, reason = "models are trained on 32-bit floats")]
    pub(crate) fn gather(&self, features: &FeatureBatch, into: &mut Vec<f32>) {
        match self {
            Self::Column(column) => into.extend(features.column(*column).iter().map(|&value| value as f32)),
            Self::Rank(_, None) => into.extend((0..features.bars().len()).map(|_| f32::NAN)),
            Self::Rank(derived, Some(table)) => {
                into.extend((0..features.bars().len()).map(|row| table.rank(derived.value(features, row))));
            }
        }
    }

    /// Whether anything of the row that the input is made of is known.
    pub(crate) fn is_known(&self, features: &FeatureBatch, row: usize) -> bool {
        match self {
            Self::Column(column) => features.value(row, *column).is_some(),
            Self::Rank(derived, _) => derived.columns().any(|column| features.value(row, column).is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Bar, BarBatchBuilder, BarFlags, EventTime, Header, Partition, Symbol, Timeframe};

    use super::*;

    fn features(close: f64, values: &[f64]) -> FeatureBatch {
        let symbol = Symbol::new("AAPL").unwrap();
        let partition = Partition::of(symbol);
        let mut bars = BarBatchBuilder::new(partition);
        let open_time = EventTime(0);
        let flags = BarFlags::FINAL;
        bars.push(
            symbol,
            Bar { open_time, open: close, high: close, low: close, close, volume: 1.0, revision: 0, flags },
        );
        let header = Header {
            timeframe: Timeframe::D1,
            partition,
            epoch: 1,
            seq: 1,
            event_time: open_time,
            ingest_time: open_time,
            source: "test".to_owned(),
            watermark: None,
        };
        FeatureBatch::new(bars.finish(header), 1, values.to_vec()).unwrap()
    }

    #[test]
    fn every_shipped_feature_is_made_of_columns_and_the_close() {
        let recipes = Recipes::shipped();
        assert!(recipes.recipes.len() > 40);
        let columns: Vec<_> = recipes.recipes.iter().flat_map(|recipe| recipe.columns.clone()).collect();
        let plan = Plan::new(columns.into_iter().filter(|column| column != "close"));
        for recipe in &recipes.recipes {
            let input = format!("{RANK_PREFIX}{}", recipe.name);
            recipes.derive(&input, &plan).unwrap_or_else(|missing| panic!("{input}: {missing}"));
        }
    }

    #[test]
    fn expressions_are_evaluated_as_written() {
        let plan = Plan::new(["sma20", "ret_252d", "ret_21d"]);
        let recipes = Recipes::shipped();
        let check = |input: &str, values: [f64; 3], expected: f64| {
            let derived = recipes.derive(input, &plan).unwrap();
            let found = derived.value(&features(12.0, &values), 0);
            assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{input}: {found}");
        };
        check("rank_ret_21d", [10.0, 0.5, 0.25], 0.25);
        check("rank_close_over_sma20", [10.0, 0.5, 0.25], 12.0 / 10.0 - 1.0);
        check("rank_mom_252_21", [10.0, 0.5, 0.25], 1.5 / 1.25 - 1.0);
        check("rank_mom_252_21", [10.0, f64::NAN, 0.25], f64::NAN);
    }

    #[test]
    fn what_cannot_be_derived_is_named() {
        let plan = Plan::new(["ret_252d"]);
        let recipes = Recipes::shipped();
        assert_eq!(recipes.derive("rank_mom_252_21", &plan), Err("ret_21d"));
        assert_eq!(recipes.derive("rank_luck", &plan), Err("rank_luck"));
        assert_eq!(recipes.derive("sma20", &plan), Err("sma20"));
    }
}
