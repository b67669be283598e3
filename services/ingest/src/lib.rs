//! Bars from files and generators, checked and packed into batches.
//!
//! An adapter is a [`Feed`]: it hands out [`Step`]s of unchecked [`RawBar`]s in event-time order. The [`Normaliser`]
//! is pure: it checks every bar, refuses what was seen before, and packs the rest into the batches of the partitions.

pub mod adapters;
pub mod config;
mod digest;
mod error;
mod feed;
mod normaliser;
mod raw;
mod roll_up;
mod synthetic;

pub use adapters::driver::{DriverError, Others, drive};
pub use adapters::history::HistoryFeed;
pub use adapters::intake::take_in;
pub use adapters::parquet::{DailyBars, ReadOptions, read_daily};
pub use adapters::reference::{Reference, read_reference};
pub use adapters::replay::ReplayFeed;
pub use config::{ReplayOptions, Speed, SyntheticOptions, UnknownSpeed};
pub use error::{IngestError, Rejections, RowFault};
pub use feed::{Feed, Step};
pub use normaliser::{Counters, Normaliser};
pub use raw::RawBar;
pub use roll_up::RollUpStage;
pub use synthetic::SyntheticFeed;
