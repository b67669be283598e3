//! How to divide an account among the ideas of a scan: weights, covariances of returns, caps that hold, and the order in
//! which ideas are considered. Pure functions; the scan and the publisher call them with what they know.

pub mod covariance;
mod groups;
pub mod optimiser;
pub mod ranking;
pub mod weights;
