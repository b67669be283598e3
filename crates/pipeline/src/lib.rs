//! The contract between a stage and whatever drives it. No I/O and no async: a stage is a pure state machine, so the
//! live line, a replay and a scan run the very same code.

mod stage;
mod watermark;

pub use stage::{Rejected, Restore, Stage};
pub use watermark::Watermarks;
