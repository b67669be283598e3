//! The harness of the workspace tests.

pub mod folders;
pub mod golden;
pub mod nats;
pub mod technic;
