//! The best weights for a covariance, within caps that hold.

use crate::covariance::Covariance;
use crate::groups::groups;
use crate::weights::Caps;

/// How much variance costs, where the caller has no opinion (§14, "λ = 0.1").
pub const RISK_AVERSION: f64 = 0.1;
const STEPS_MAX: usize = 20_000;
/// Weights that move less in a step have arrived.
const STEP_MIN: f64 = 1e-13;
/// How far a step may lead, in weights, of which there is one to deal out.
const STEP_MAX: f64 = 100.0;
const HALVINGS: usize = 120;

/// The weights (≥ 0) with the least variance.
///
/// # Shape
/// As [`optimal_weights`].
///
/// # Panics
/// When there are not as many sectors as names.
pub fn min_variance_weights<K: Ord>(covariance: &Covariance, sectors: &[K], caps: &Caps) -> Vec<f64> {
    optimal_weights(&vec![0.0; covariance.n()], covariance, 1.0, sectors, caps)
}

/// The weights w ≥ 0 that make alpha'w − `risk_aversion` · w'Σw largest.
///
/// # Shape
/// They sum to 1, or to as much as the caps allow: a few names cannot fill an account, the rest is cash. Names and
/// sectors keep their caps ("do instead" of quirk Q36).
///
/// # Units
/// `alpha` in expected return over the same time as the covariance.
///
/// # Source
/// §14, "Optimiser": the problem that the reference gives to a solver, if it has one. Solved by accelerated projected
/// gradients (A. Beck and M. Teboulle, "A fast iterative shrinkage-thresholding algorithm", SIAM J. Imaging Sciences 2
/// (2009) 183–202, with restarts), because the projection on these caps is exact and cheap. The crate `clarabel` 0.11
/// was the alternative: it does not build without its default features, and with them brings 16 crates and a clock.
///
/// # Panics
/// When there are not as many alphas or sectors as names.
pub fn optimal_weights<K: Ord>(
    alpha: &[f64],
    covariance: &Covariance,
    risk_aversion: f64,
    sectors: &[K],
    caps: &Caps,
) -> Vec<f64> {
    assert!(alpha.len() == covariance.n() && sectors.len() == covariance.n(), "one alpha and one sector per name");
    let allowed = Allowed::new(groups(sectors), *caps);
    let steepness = 2.0 * risk_aversion * greatest_row_sum(covariance);
    // Without fear of risk any step would do, but one that leaves the caps far behind only loses digits.
    let furthest = STEP_MAX / alpha.iter().fold(f64::EPSILON, |most, alpha| most.max(alpha.abs()));
    let step = if steepness > 0.0 { steepness.recip().min(furthest) } else { furthest };

    let mut weights = allowed.nearest(&vec![0.0; alpha.len()]);
    let mut ahead = weights.clone();
    let mut momentum: f64 = 1.0;
    for _ in 0..STEPS_MAX {
        let risk = covariance.times(&ahead);
        let moved: Vec<f64> =
            (0..alpha.len()).map(|i| ahead[i] + step * (alpha[i] - 2.0 * risk_aversion * risk[i])).collect();
        let next = allowed.nearest(&moved);
        let change: Vec<f64> = next.iter().zip(&weights).map(|(next, weight)| next - weight).collect();
        let has_arrived = change.iter().all(|change| change.abs() < STEP_MIN);
        // A step back against the direction of travel means that the momentum is too great.
        let overshoots: f64 = change.iter().zip(&next).zip(&ahead).map(|((c, next), ahead)| (ahead - next) * c).sum();
        let next_momentum =
            if overshoots > 0.0 { 1.0 } else { f64::midpoint(1.0, (1.0 + 4.0 * momentum.powi(2)).sqrt()) };
        let carry = if overshoots > 0.0 { 0.0 } else { (momentum - 1.0) / next_momentum };
        ahead = next.iter().zip(&change).map(|(next, change)| next + carry * change).collect();
        momentum = next_momentum;
        weights = next;
        if has_arrived {
            break;
        }
    }
    weights
}

/// No eigenvalue is greater.
fn greatest_row_sum(covariance: &Covariance) -> f64 {
    let sum = |row: usize| (0..covariance.n()).map(|column| covariance.get(row, column).abs()).sum::<f64>();
    (0..covariance.n()).map(sum).fold(0.0, f64::max)
}

/// The weights that keep the caps and use up the account as far as they allow.
struct Allowed {
    sectors: Vec<Vec<usize>>,
    caps: Caps,
    total: f64,
}

impl Allowed {
    fn new(sectors: Vec<Vec<usize>>, caps: Caps) -> Self {
        let capacity: f64 = sectors.iter().map(|rows| caps.sector_max.min(caps.name_max * rows.len() as f64)).sum();
        Self { sectors, caps, total: capacity.min(1.0) }
    }

    /// The allowed weights nearest to any others.
    ///
    /// They are the others, all lowered by one amount and those of a full sector by one more, within their bounds.
    /// What a full sector is lowered to does not depend on the rest, so each amount is one search.
    fn nearest(&self, weights: &[f64]) -> Vec<f64> {
        let bounded = |row: usize, lowered_by: f64| (weights[row] - lowered_by).clamp(0.0, self.caps.name_max);
        let of_sector = |rows: &[usize], by: f64| rows.iter().map(|&row| bounded(row, by)).sum::<f64>();
        let least = weights.iter().copied().fold(0.0, f64::min) - self.caps.name_max;
        let most = weights.iter().copied().fold(0.0, f64::max);
        let full: Vec<f64> = self
            .sectors
            .iter()
            .map(|rows| {
                if of_sector(rows, least) <= self.caps.sector_max {
                    least
                } else {
                    lowering(least, most, |by| of_sector(rows, by) > self.caps.sector_max)
                }
            })
            .collect();
        let sum =
            |by: f64| self.sectors.iter().zip(&full).map(|(rows, full)| of_sector(rows, by.max(*full))).sum::<f64>();
        let by = lowering(least, most, |by| sum(by) > self.total);
        let mut nearest = vec![0.0; weights.len()];
        for (rows, full) in self.sectors.iter().zip(&full) {
            for &row in rows {
                nearest[row] = bounded(row, by.max(*full));
            }
        }
        nearest
    }
}

/// The amount from which on there is no longer too much.
fn lowering(mut least: f64, mut most: f64, is_too_much: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(least, most);
        if is_too_much(middle) {
            least = middle;
        } else {
            most = middle;
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{normalised, within_caps};
    use proptest::prelude::*;

    const FREE: Caps = Caps { name_max: 1.0, sector_max: 1.0 };

    fn check(found: &[f64], expected: &[f64]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} != {expected:?}");
    }

    #[test]
    fn least_variance_of_independent_names_is_inverse_variance() {
        let covariance = Covariance::diagonal(&[0.01, 0.02, 0.04]);
        let found = min_variance_weights(&covariance, &["a", "b", "c"], &FREE);
        check(&found, &[4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0]);
    }

    #[test]
    fn caps_hold_and_too_few_names_leave_cash() {
        let covariance = Covariance::diagonal(&[0.01, 0.02, 0.04, 0.04]);
        let caps = Caps { name_max: 0.4, sector_max: 0.5 };
        check(&min_variance_weights(&covariance, &["a", "a", "b", "b"], &caps), &[1.0 / 3.0, 1.0 / 6.0, 0.25, 0.25]);
        check(&min_variance_weights(&covariance, &["a", "a", "a", "a"], &caps), &[0.25, 0.125, 0.0625, 0.0625]);
        check(&min_variance_weights(&Covariance::diagonal(&[0.01]), &["a"], &Caps::default()), &[0.1]);
        assert!(min_variance_weights::<&str>(&Covariance::diagonal(&[]), &[], &FREE).is_empty());
    }

    #[test]
    fn without_fear_the_best_alphas_fill_up() {
        let covariance = Covariance::diagonal(&[0.01; 3]);
        let caps = Caps { name_max: 0.6, sector_max: 1.0 };
        check(&optimal_weights(&[0.1, 0.3, 0.2], &covariance, 1e-6, &["a"; 3], &caps), &[0.0, 0.6, 0.4]);
        check(&optimal_weights(&[0.1, 0.3, 0.2], &covariance, 0.0, &["a"; 3], &caps), &[0.0, 0.6, 0.4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_allowed_is_better(
            returns in prop::collection::vec(prop::array::uniform6(-0.05..0.05), 8..30),
            alpha in prop::array::uniform6(-0.01..0.01),
            other in prop::array::uniform6(0.0..1.0),
            risk_aversion in 0.1..20.0,
            name_max in 0.2..1.0,
            sector_max in 0.35..1.0,
        ) {
            let returns: Vec<Vec<Option<f64>>> = returns.iter().map(|day| day.map(Some).to_vec()).collect();
            let covariance = Covariance::ledoit_wolf(&returns);
            let sectors = [0, 0, 1, 1, 2, 2];
            let caps = Caps { name_max, sector_max };
            let found = optimal_weights(&alpha, &covariance, risk_aversion, &sectors, &caps);
            let sum: f64 = found.iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-9, "{:?}", found);
            for rows in groups(&sectors) {
                prop_assert!(rows.iter().map(|&row| found[row]).sum::<f64>() <= sector_max + 1e-9);
            }
            prop_assert!(found.iter().all(|weight| (0.0..=name_max + 1e-9).contains(weight)));
            let value = |weights: &[f64]| {
                let gain: f64 = weights.iter().zip(&alpha).map(|(weight, alpha)| weight * alpha).sum();
                gain - risk_aversion * covariance.deviation(weights).powi(2)
            };
            let other = within_caps(&normalised(other.to_vec()), &sectors, &caps);
            // Also a step from the best towards the other, where a false optimum would show first.
            let between: Vec<f64> = found.iter().zip(&other).map(|(a, b)| 0.99 * a + 0.01 * b).collect();
            if (other.iter().sum::<f64>() - 1.0).abs() < 1e-9 {
                prop_assert!(value(&found) >= value(&other) - 1e-10);
                prop_assert!(value(&found) >= value(&between) - 1e-10);
            }
        }
    }
}
