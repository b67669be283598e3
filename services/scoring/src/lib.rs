//! Pure functions and one stage: from indicators and predictions to explained scores, ranked over the whole universe.
//!
//! A row's own numbers (`tech_rating`, `risk`) follow from its inputs alone; its standing among the others comes from
//! sorted columns that are kept up to date row by row; `ics` and `merit` follow from both. Nothing here reads a clock
//! or does I/O.

mod column;
mod config;
mod cross_section;
mod entry;
pub mod ics;
pub mod merit;
pub mod percentile;
pub mod risk;
mod row;
mod stage;
mod table;
pub mod tech_rating;

pub use config::{ScoringOptions, ScoringSetup};
pub use entry::MissingColumn;
pub use stage::{ScoringInput, ScoringStage};
