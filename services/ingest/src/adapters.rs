//! Where the world is touched.

pub mod driver;
pub mod parquet;
pub mod reference;
pub mod replay;
