//! Where the world is touched.

mod calendar;
pub mod driver;
pub mod history;
pub mod intake;
pub mod parquet;
pub mod reference;
pub mod replay;
