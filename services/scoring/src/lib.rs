//! Pure functions and one stage: from indicators and predictions to explained scores, ranked over the whole universe.
//!
//! A row's own numbers (`tech_rating`, `risk`) follow from its inputs alone; its standing among the others comes from
//! sorted columns that are kept up to date row by row; `ics` and `merit` follow from both. Nothing here reads a clock
//! or does I/O.

pub mod alert_rules;
pub mod alpha_blend;
mod column;
mod company_events;
mod config;
mod cross_section;
pub mod drift;
pub mod earnings;
mod entry;
pub mod events;
mod factor_table;
pub mod factors;
mod facts;
pub mod filings;
pub mod fundamental_trend;
pub mod ics;
mod idea;
pub mod macro_context;
mod market;
pub mod merit;
pub mod meta_experience;
mod outbox;
mod outcomes;
mod peers;
pub mod percentile;
mod plan_life;
pub mod price_factors;
pub mod profiles;
pub mod quality;
mod reasons;
pub mod recommendation;
pub mod regime;
pub mod risk;
pub mod rounding;
mod row;
mod screen;
pub mod sizing;
mod stage;
pub mod statistics;
pub mod symbol_priority;
mod table;
pub mod tech_rating;
pub mod tiers;
pub mod trade_management;
pub mod trade_plan;
pub mod universe;
pub mod win_prob;
#[cfg(test)]
mod world;

pub use config::{ScoringOptions, ScoringSetup};
pub use entry::{FEATURE_COLUMNS, MissingColumn};
pub use outcomes::OutcomeHistory;
pub use plan_life::{PlanHistory, PlanLife};
pub use stage::{REFRESH_STEPS, ScoringInput, ScoringStage};
