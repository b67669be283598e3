//! Whether a company's figures improve.

use crate::statistics::mean;

/// Growths count within these limits (fractions).
const GROWTH_MIN: f64 = -1.0;
const GROWTH_MAX: f64 = 2.0;

/// The mean growth of a company's figures, in points −100…200; `None` when no growth is known.
///
/// # Units
/// `growths` are year-on-year fractions of revenue, gross margin, net income, earnings per share, EBITDA and operating
/// income, in any order; an unknown one does not count.
///
/// # Source
/// §10.
pub fn fundamental_trend(growths: &[Option<f64>]) -> Option<f64> {
    let points: Vec<f64> =
        growths.iter().flatten().map(|growth| 100.0 * growth.clamp(GROWTH_MIN, GROWTH_MAX)).collect();
    mean(&points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_growths_count_within_limits() {
        assert_eq!(fundamental_trend(&[]), None);
        assert_eq!(fundamental_trend(&[None, None]), None);
        assert_eq!(fundamental_trend(&[Some(0.5), None, Some(-0.25)]), Some(12.5));
        assert_eq!(fundamental_trend(&[Some(9.0), Some(-9.0)]), Some(50.0));
    }
}
