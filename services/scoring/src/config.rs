use std::path::PathBuf;
use std::time::Duration;

use schemas::{Plan, Timeframe};
use serde::{Deserialize, Serialize};

use crate::profiles::Strategy;
use crate::sizing::Account;

/// What an operator sets about scoring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoringOptions {
    /// Bars a symbol needs before it is ranked.
    pub min_bars: u32,
    /// A symbol whose newest bar is older than this, seen from what all partitions have reached, leaves the table.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// During a burst, a row whose own inputs did not change is published when its MERIT moves by this much.
    pub min_delta: f64,
    /// The longest that a row may lag behind the others' changes.
    #[serde(with = "humantime_serde")]
    pub refresh: Duration,
    /// Whose money the trade plans size.
    pub account: Account,
    /// Where recorded results and what became of them are; whoever makes the stage reads it.
    pub outcomes: Option<PathBuf>,
    /// How it is traded: a strategy has a risk and a reward of its own, and asks for a rating.
    pub strategy: Strategy,
}

impl ScoringOptions {
    /// The account as the strategy trades it.
    pub(crate) fn trading_account(&self) -> Account {
        self.strategy.profile().map_or(self.account, |profile| profile.account(self.account))
    }
}

impl Default for ScoringOptions {
    fn default() -> Self {
        Self {
            // Specification §17: fewer than 20 bars are no history.
            min_bars: 20,
            max_age: Duration::from_hours(7 * 24),
            min_delta: 0.05,
            refresh: Duration::from_millis(250),
            account: Account::default(),
            outcomes: None,
            strategy: Strategy::None,
        }
    }
}

/// What the pipeline around it decides.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoringSetup {
    pub options: ScoringOptions,
    pub timeframe: Timeframe,
    /// The feature columns that arrive.
    pub plan: Plan,
    /// Names this run of the scorer; rises with every start.
    pub epoch: u64,
}
