//! The features that models derive from the columns of the plan, and the ranks that stand for them.

use schemas::{Bar, FeatureBatch, Plan};
use serde::Deserialize;

/// What training reads, too: one list, so that training and serving cannot differ.
const RECIPES_TOML: &str = include_str!("../../../models/features.toml");

/// `dollar_vol_20` is a mean of so many bars. A mean over the same bars that is summed up otherwise may differ by far less
/// than the slack.
const DOLLAR_VOLUME_BARS: usize = 20;
const DOLLAR_VOLUME_SLACK: f64 = 0.99;

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

/// All features that there are recipes for, and whose values make their tables.
#[derive(Debug, Deserialize)]
pub(crate) struct Recipes {
    universe: Universe,
    #[serde(rename = "feature")]
    recipes: Vec<Recipe>,
}

/// The rows of a session whose values make its tables.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Universe {
    /// USD, exclusive.
    price_min: f64,
    /// Of `dollar_vol_20`, exclusive.
    dollar_volume_min: f64,
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

/// The features of all recipes for one plan, in the order of the recipes.
#[derive(Debug, Clone)]
pub(crate) struct DerivedFeatures {
    /// The inputs that are read from their tables.
    inputs: Vec<String>,
    /// `None` where the plan lacks a column.
    derived: Vec<Option<Derived>>,
    universe: Universe,
    dollar_volume: Option<usize>,
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
}

impl DerivedFeatures {
    pub(crate) fn new(plan: &Plan) -> Self {
        let recipes = Recipes::shipped();
        let inputs: Vec<String> =
            recipes.recipes.iter().map(|recipe| format!("{RANK_PREFIX}{}", recipe.name)).collect();
        let derived = inputs.iter().map(|input| recipes.derive(input, plan).ok()).collect();
        Self { inputs, derived, universe: recipes.universe, dollar_volume: plan.index_of("dollar_vol_20") }
    }

    pub(crate) fn inputs(&self) -> &[String] {
        &self.inputs
    }

    pub(crate) fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Appends the values of every row, column-major. NaN is missing; what is infinite is missing, too, and counted.
    pub(crate) fn evaluate(&self, features: &FeatureBatch, into: &mut Vec<f64>) -> usize {
        let n_rows = features.bars().len();
        let mut n_infinite = 0;
        for derived in &self.derived {
            let Some(derived) = derived else {
                into.extend(std::iter::repeat_n(f64::NAN, n_rows));
                continue;
            };
            into.extend((0..n_rows).map(|row| {
                let value = derived.value(features, row);
                n_infinite += usize::from(value.is_infinite());
                if value.is_finite() { value } else { f64::NAN }
            }));
        }
        n_infinite
    }

    /// Says no only of a last bar whose row is no member. Its close as traded comes with it.
    pub(crate) fn may_be_member(&self, bars: &[Bar], traded_close: f64) -> bool {
        let Some(bars) = bars.last_chunk::<DOLLAR_VOLUME_BARS>() else { return false };
        let traded: f64 = bars.iter().map(|bar| bar.close * bar.volume).sum();
        traded_close > self.universe.price_min
            && traded / DOLLAR_VOLUME_BARS as f64 > DOLLAR_VOLUME_SLACK * self.universe.dollar_volume_min
    }

    /// Whether a row's values are among those that make a table.
    pub(crate) fn is_member(&self, features: &FeatureBatch, row: usize) -> bool {
        let dollar_volume = self.dollar_volume.and_then(|column| features.value(row, column));
        // The bar's own close may know of a split to come.
        features.bars().traded_close(row) > self.universe.price_min
            && dollar_volume.is_some_and(|volume| volume > self.universe.dollar_volume_min)
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
    fn the_universe_asks_for_the_price_of_the_day() {
        let recipes = DerivedFeatures::new(&Plan::new(["dollar_vol_20"]));
        let check = |traded: f64, close: f64, expected: bool| {
            let before = features(close, &[3e6]);
            let (symbol, bar) = before.bars().rows()[0];
            let mut bars = BarBatchBuilder::new(Partition::of(symbol));
            bars.push_adjusted(symbol, bar, traded);
            let features = FeatureBatch::new(bars.finish(before.header().clone()), 1, vec![3e6]).unwrap();
            assert_eq!(recipes.is_member(&features, 0), expected, "{traded} {close}");
            let history = [Bar { volume: 1e9, ..bar }; DOLLAR_VOLUME_BARS];
            assert_eq!(recipes.may_be_member(&history, traded), expected, "{traded} {close}");
        };
        check(5.0, 5.0, true);
        check(5.0, 0.25, true);
        check(2.0, 40.0, false);
        check(3.0, 3.0, false);
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
