use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Events that one message carries.
pub const EVENTS_MAX: usize = 128;

/// A line of a company's calendar. Several lines may speak of one event: the announcement, then the result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompanyEvent {
    pub kind: CompanyEventKind,
    /// The day of the report, or the first day without the dividend, UTC nanoseconds.
    pub date_ns: i64,
    /// From when on the line was known, UTC nanoseconds.
    pub available_on_ns: i64,
    /// Earnings a share as reported, and as they were expected.
    #[serde(default)]
    pub eps_actual: Option<f64>,
    #[serde(default)]
    pub eps_estimated: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompanyEventKind {
    Earnings,
    Dividend,
}

/// How a bar stands to its company's calendar, as far as that was known then.
///
/// # Units
/// Calendar days; negative ones lie on the other side of the bar. Surprises in basis points of the estimate; the streak
/// counts the latest beats, or misses as a negative number. `null` is missing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    pub days_to_next_earnings: Option<i32>,
    pub days_since_last_earnings: Option<i32>,
    pub days_to_dividend_ex: Option<i32>,
    pub surprise_streak: Option<i32>,
    pub avg_surprise_bp: Option<f64>,
    pub last_surprise_bp: Option<f64>,
}
