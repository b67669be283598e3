use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of the market as a whole, behind the results of the same message.
///
/// # Units
/// Volatilities as fractions a year, slopes a bar, the rest plain ratios. `null` is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Market {
    /// The session it stands on.
    pub as_of: String,
    /// The index it is read from.
    pub benchmark: String,
    /// `TRENDING_UP`, `TRENDING_DOWN` or `SIDEWAYS`.
    pub trend: Cow<'static, str>,
    /// `HIGH_VOL` or `LOW_VOL`, beside the last 60 sessions.
    pub vol: Cow<'static, str>,
    /// Trend and volatility.
    pub label: String,
    /// Rising without unrest.
    pub is_risk_on: bool,
    /// Slope of the last 50 closes.
    pub trend_slope: Option<f64>,
    /// Of the last 20 sessions.
    pub vol_per_year: Option<f64>,
    /// `CALM`, `NORMAL`, `ELEVATED` or `STRESSED`, whatever the last 60 sessions were.
    pub vol_level: Option<Cow<'static, str>>,
    /// Growth stocks over the market.
    pub growth_level: Option<f64>,
    pub growth_slope: Option<f64>,
    pub growth_ret20: Option<f64>,
    /// Volatility of 20 sessions over that of 60, and of 5 over that of 20.
    pub vol_ratio: Option<f64>,
    pub vol_spike_ratio: Option<f64>,
}
