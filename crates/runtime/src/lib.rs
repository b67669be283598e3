//! All plumbing of the pipeline: the bus, the run loop, state, configuration, telemetry, shutdown. Stages stay pure
//! because everything that waits, reads, writes or retries is in here.

pub mod admin;
pub mod bus;
pub mod cache;
pub mod clock;
pub mod config;
pub mod dead_letter;
pub mod decode_once;
pub mod line;
pub mod outlet;
mod progress;
pub mod shutdown;
pub mod stage_metrics;
pub mod state_store;
pub mod streams;
pub mod telemetry;
