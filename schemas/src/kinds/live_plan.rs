use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of a plan that an earlier bar of the symbol offered; the row's own `entry`, `stop` and `target` are what
/// its newest bar would plan.
///
/// # Units
/// Prices as of the row; times are open times of bars, UTC nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LivePlan {
    /// `armed`, `triggered`, `stopped`, `target` or `expired`.
    #[serde(deserialize_with = "crate::label::known")]
    pub state: Cow<'static, str>,
    /// `long` or `short`.
    #[serde(deserialize_with = "crate::label::known")]
    pub direction: Cow<'static, str>,
    pub entry: f64,
    pub stop: f64,
    pub target: f64,
    /// The bar that it was planned at.
    pub armed_ns: i64,
    /// The bar in which it came into its state.
    pub since_ns: i64,
    /// Bars after that one.
    pub n_bars: u32,
    /// What was paid; absent before it triggered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<f64>,
    /// What it ended at; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<f64>,
    /// Where the stop of a long trade should be by now; absent where it should stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<StopAdvice>,
    /// What happened to it in this bar, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<PlanChange>,
}

/// Where a stop should move, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StopAdvice {
    pub stop: f64,
    pub notes: Vec<Cow<'static, str>>,
}

/// A plan came into a state, at a price: what was paid or got, else the close.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanChange {
    #[serde(deserialize_with = "crate::label::known")]
    pub state: Cow<'static, str>,
    pub price: f64,
}

impl LivePlan {
    /// The prices in it, to be checked.
    pub(crate) fn prices(&self) -> impl Iterator<Item = f64> {
        let changes = self.changes.iter().map(|change| change.price);
        let advised = self.advice.as_ref().map(|advice| advice.stop);
        [Some(self.entry), Some(self.stop), Some(self.target), self.fill, self.exit, advised]
            .into_iter()
            .flatten()
            .chain(changes)
    }
}
