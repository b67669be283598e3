//! The best weights for a covariance, within caps that hold.

use clarabel::algebra::CscMatrix;
use clarabel::solver::{
    DefaultSettingsBuilder, DefaultSolver, IPSolver as _, NonnegativeConeT, SolverStatus, ZeroConeT,
};

use crate::covariance::Covariance;
use crate::groups::groups;
use crate::weights::Caps;

/// How much variance costs, where the caller has no opinion (§14, "λ = 0.1").
pub const RISK_AVERSION: f64 = 0.1;
/// Of gap and feasibility, when the problem is scaled to numbers around 1; weights are then exact to some 1e-9.
const TOLERANCE: f64 = 1e-12;
/// Where the solver cannot come so close, it may stop here.
const TOLERANCE_MAX: f64 = 1e-9;
/// What the solver leaves of a name that it does not want.
const NOTHING: f64 = 1e-9;

/// The solver gave up: the numbers are beyond what it can compare.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no best weights for {n_names} names: {status}")]
pub struct NotSolved {
    pub n_names: usize,
    pub status: String,
}

/// The weights (≥ 0) with the least variance.
///
/// # Shape
/// As [`optimal_weights`].
///
/// # Errors
/// When the solver gives up.
///
/// # Panics
/// When there are not as many sectors as names.
pub fn min_variance_weights<K: Ord>(
    covariance: &Covariance,
    sectors: &[K],
    caps: &Caps,
) -> Result<Vec<f64>, NotSolved> {
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
/// # Errors
/// When the solver gives up.
///
/// # Source
/// §14, "Optimiser": the problem that the reference gives to a solver, if it has one. ADR 0014 says which one, and why.
///
/// # Panics
/// When there are not as many alphas or sectors as names.
pub fn optimal_weights<K: Ord>(
    alpha: &[f64],
    covariance: &Covariance,
    risk_aversion: f64,
    sectors: &[K],
    caps: &Caps,
) -> Result<Vec<f64>, NotSolved> {
    let n = covariance.n();
    assert!(alpha.len() == n && sectors.len() == n, "one alpha and one sector per name");
    if n == 0 {
        return Ok(Vec::new());
    }
    // The solver stops at absolute tolerances, and variances of a day are small: without the scale it stops at once.
    let typical = 2.0 * risk_aversion * (0..n).map(|name| covariance.get(name, name)).sum::<f64>() / n as f64;
    let largest = alpha.iter().fold(typical, |most, alpha| most.max(alpha.abs()));
    let scale = if largest > 0.0 { largest.recip() } else { 1.0 };
    let cost = upper_triangle(n, |row, column| scale * 2.0 * risk_aversion * covariance.get(row, column));
    let gain: Vec<f64> = alpha.iter().map(|alpha| -scale * alpha).collect();
    let limits = Limits::new(&groups(sectors), n, caps);

    let settings = DefaultSettingsBuilder::default()
        .verbose(false)
        .tol_gap_abs(TOLERANCE)
        .tol_gap_rel(TOLERANCE)
        .tol_feas(TOLERANCE)
        .reduced_tol_gap_abs(TOLERANCE_MAX)
        .reduced_tol_gap_rel(TOLERANCE_MAX)
        .reduced_tol_feas(TOLERANCE_MAX)
        .build()
        .expect("the tolerances are above zero");
    let not_solved = |status: String| NotSolved { n_names: n, status };
    let cones = [ZeroConeT(1), NonnegativeConeT(limits.bounds.len() - 1)];
    let mut solver = DefaultSolver::new(&cost, &gain, &limits.rows, &limits.bounds, &cones, settings)
        .map_err(|error| not_solved(error.to_string()))?;
    solver.solve();
    match solver.solution.status {
        SolverStatus::Solved | SolverStatus::AlmostSolved => {}
        status => return Err(not_solved(format!("{status:?}"))),
    }
    let bounded = |weight: &f64| if *weight < NOTHING { 0.0 } else { weight.min(caps.name_max) };
    Ok(solver.solution.x.iter().map(bounded).collect())
}

/// What the solver keeps: `rows` · w = `bounds` in the first row, and ≤ in the others.
struct Limits {
    rows: CscMatrix,
    bounds: Vec<f64>,
}

impl Limits {
    /// The sum of all weights, then of each name its two bounds, then the sum of each sector.
    fn new(sectors: &[Vec<usize>], n: usize, caps: &Caps) -> Self {
        let capacity: f64 = sectors.iter().map(|rows| caps.sector_max.min(caps.name_max * rows.len() as f64)).sum();
        let mut bounds = vec![capacity.min(1.0)];
        bounds.extend(vec![0.0; n]);
        bounds.extend(vec![caps.name_max; n]);
        bounds.extend(vec![caps.sector_max; sectors.len()]);
        let mut sector_of = vec![0; n];
        for (sector, rows) in sectors.iter().enumerate() {
            for &row in rows {
                sector_of[row] = sector;
            }
        }
        let rows = (0..n).flat_map(|name| [0, 1 + name, 1 + n + name, 1 + 2 * n + sector_of[name]]).collect();
        let values = (0..n).flat_map(|_| [1.0, -1.0, 1.0, 1.0]).collect();
        let starts = (0..=n).map(|name| 4 * name).collect();
        Self { rows: CscMatrix::new(bounds.len(), n, starts, rows, values), bounds }
    }
}

/// The part of a symmetric matrix that the solver reads, column by column.
fn upper_triangle(n: usize, value: impl Fn(usize, usize) -> f64) -> CscMatrix {
    let places = || (0..n).flat_map(|column| (0..=column).map(move |row| (row, column)));
    let starts = (0..=n).map(|column| column * (column + 1) / 2).collect();
    let values = places().map(|(row, column)| value(row, column)).collect();
    CscMatrix::new(n, n, starts, places().map(|(row, _)| row).collect(), values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{normalised, within_caps};
    use proptest::prelude::*;

    const FREE: Caps = Caps { name_max: 1.0, sector_max: 1.0 };

    fn check(found: Result<Vec<f64>, NotSolved>, expected: &[f64]) {
        let found = found.unwrap();
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9),
            "{found:?} != {expected:?}"
        );
    }

    #[test]
    fn least_variance_of_independent_names_is_inverse_variance() {
        let covariance = Covariance::diagonal(&[0.01, 0.02, 0.04]);
        let found = min_variance_weights(&covariance, &["a", "b", "c"], &FREE);
        check(found, &[4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0]);
    }

    #[test]
    fn caps_hold_and_too_few_names_leave_cash() {
        let covariance = Covariance::diagonal(&[0.01, 0.02, 0.04, 0.04]);
        let caps = Caps { name_max: 0.4, sector_max: 0.5 };
        check(min_variance_weights(&covariance, &["a", "a", "b", "b"], &caps), &[1.0 / 3.0, 1.0 / 6.0, 0.25, 0.25]);
        check(min_variance_weights(&covariance, &["a", "a", "a", "a"], &caps), &[0.25, 0.125, 0.0625, 0.0625]);
        check(min_variance_weights(&Covariance::diagonal(&[0.01]), &["a"], &Caps::default()), &[0.1]);
        assert!(min_variance_weights::<&str>(&Covariance::diagonal(&[]), &[], &FREE).unwrap().is_empty());
    }

    #[test]
    fn without_fear_the_best_alphas_fill_up() {
        let covariance = Covariance::diagonal(&[0.01; 3]);
        let caps = Caps { name_max: 0.6, sector_max: 1.0 };
        check(optimal_weights(&[0.1, 0.3, 0.2], &covariance, 1e-6, &["a"; 3], &caps), &[0.0, 0.6, 0.4]);
        check(optimal_weights(&[0.1, 0.3, 0.2], &covariance, 0.0, &["a"; 3], &caps), &[0.0, 0.6, 0.4]);
    }

    #[test]
    fn what_cannot_be_compared_is_no_portfolio() {
        let covariance = Covariance::diagonal(&[0.01, 0.02]);
        let error = optimal_weights(&[f64::NAN, 0.1], &covariance, 1.0, &["a", "b"], &FREE).unwrap_err();
        assert_eq!(error.n_names, 2);
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
            let found = optimal_weights(&alpha, &covariance, risk_aversion, &sectors, &caps).unwrap();
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
