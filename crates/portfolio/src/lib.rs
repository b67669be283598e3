//! How to divide an account among the ideas of a scan: [`propose`] makes a portfolio of ranked rows; beneath it are weights,
//! covariances of returns, caps that hold, and the order in which ideas are considered. Pure functions; the scan and the
//! publisher call them with what they know.

mod candidates;
pub mod covariance;
mod groups;
pub mod optimiser;
mod proposal;
pub mod ranking;
mod request;
mod returns;
pub mod weights;

pub use proposal::{LeftOut, Portfolio, Position, propose};
pub use request::{Holdings, HoldingsError, Method, NAMES_DEFAULT, NAMES_MAX, Request};
pub use returns::RETURNS_MIN;
