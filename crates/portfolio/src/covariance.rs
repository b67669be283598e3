//! Covariances of returns, and weights that are best for them.

use crate::groups::groups;
use crate::weights::{Caps, normalised};

/// Added to every variance before solving, so that a matrix of few returns can be inverted.
const RIDGE: f64 = 1e-4;

/// A symmetric matrix, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Covariance {
    n: usize,
    values: Vec<f64>,
}

impl Covariance {
    /// From variances alone.
    pub fn diagonal(variances: &[f64]) -> Self {
        let n = variances.len();
        let mut values = vec![0.0; n * n];
        for (row, variance) in variances.iter().enumerate() {
            values[row * n + row] = *variance;
        }
        Self { n, values }
    }

    /// From returns, one row per day and one column per name, shrunk towards equal variances without covariances.
    ///
    /// # Units
    /// Per day, squared. A return that is missing counts as 0.
    ///
    /// # Source
    /// §14; O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
    /// J. Multivariate Analysis 88 (2004) 365–411, with means removed.
    ///
    /// # Panics
    /// When the days differ in length.
    pub fn ledoit_wolf(returns: &[Vec<Option<f64>>]) -> Self {
        let n = returns.first().map_or(0, Vec::len);
        let n_days = returns.len() as f64;
        let known = |day: usize, name: usize| returns[day][name].unwrap_or(0.0);
        let means: Vec<f64> =
            (0..n).map(|name| (0..returns.len()).map(|day| known(day, name)).sum::<f64>() / n_days).collect();
        let centred: Vec<Vec<f64>> =
            (0..returns.len()).map(|day| (0..n).map(|name| known(day, name) - means[name]).collect()).collect();

        let mut sample = Self { n, values: vec![0.0; n * n] };
        let mut squares = 0.0;
        for row in 0..n {
            for column in 0..n {
                let products = centred.iter().map(|day| day[row] * day[column]);
                let (sum, square) = products.fold((0.0, 0.0), |(sum, square), p: f64| (sum + p, square + p * p));
                sample.values[row * n + column] = sum / n_days;
                squares += square / n_days;
            }
        }
        let typical = (0..n).map(|row| sample.get(row, row)).sum::<f64>() / n as f64;
        let norm: f64 = sample.values.iter().map(|value| value * value).sum();
        // How far the sample is from its target, and how much of that is noise.
        let distance: f64 = norm - n as f64 * typical * typical;
        let noise = ((squares - norm) / n_days).min(distance);
        let shrinkage = if noise > 0.0 && distance > 0.0 { noise / distance } else { 0.0 };
        for row in 0..n {
            for column in 0..n {
                let target = if row == column { typical } else { 0.0 };
                let value = &mut sample.values[row * n + column];
                *value = (1.0 - shrinkage) * *value + shrinkage * target;
            }
        }
        sample
    }

    pub fn n(&self) -> usize {
        self.n
    }

    pub fn get(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.n + column]
    }

    /// The matrix times a vector: with weights, what each name adds to the risk (§14).
    pub fn times(&self, vector: &[f64]) -> Vec<f64> {
        let row = |row: &[f64]| row.iter().zip(vector).map(|(a, b)| a * b).sum();
        self.values.chunks(self.n.max(1)).map(row).collect()
    }

    /// The deviation of a portfolio.
    pub fn deviation(&self, weights: &[f64]) -> f64 {
        let variance: f64 = self.times(weights).iter().zip(weights).map(|(a, b)| a * b).sum();
        variance.max(0.0).sqrt()
    }

    /// The vector that the matrix with `ridge` added to its diagonal turns into `target`; `None` when it is not
    /// positive definite.
    pub fn solve(&self, target: &[f64], ridge: f64) -> Option<Vec<f64>> {
        let n = self.n;
        // Cholesky: the matrix is a lower triangle times its mirror image.
        let mut lower = vec![0.0; n * n];
        for row in 0..n {
            for column in 0..=row {
                let dot: f64 = (0..column).map(|k| lower[row * n + k] * lower[column * n + k]).sum();
                let value = self.get(row, column) - dot;
                if row == column {
                    let pivot = value + ridge;
                    if pivot <= 0.0 {
                        return None;
                    }
                    lower[row * n + row] = pivot.sqrt();
                } else {
                    lower[row * n + column] = value / lower[column * n + column];
                }
            }
        }
        let mut solved = target.to_vec();
        for row in 0..n {
            let dot: f64 = (0..row).map(|k| lower[row * n + k] * solved[k]).sum();
            solved[row] = (solved[row] - dot) / lower[row * n + row];
        }
        for row in (0..n).rev() {
            let dot: f64 = (row + 1..n).map(|k| lower[k * n + row] * solved[k]).sum();
            solved[row] = (solved[row] - dot) / lower[row * n + row];
        }
        Some(solved)
    }
}

/// Weights (≥ 0, summing to 1) for expected returns `alpha`, without a solver; all zero when nothing is worth its risk.
///
/// # Shape
/// Caps may be exceeded, because everything is normalised last; [`crate::optimiser::optimal_weights`] holds
/// them (quirk Q36).
///
/// # Source
/// §14, "Optimiser", the path without a solver.
///
/// # Panics
/// When there are not as many sectors as names.
pub fn closed_form_weights<K: Ord>(alpha: &[f64], covariance: &Covariance, sectors: &[K], caps: &Caps) -> Vec<f64> {
    let Some(solved) = covariance.solve(alpha, RIDGE) else { return vec![0.0; alpha.len()] };
    let weights = normalised(solved.into_iter().map(|weight| weight.max(0.0)).collect());
    let mut weights = normalised(weights.into_iter().map(|weight| weight.min(caps.name_max)).collect());
    for rows in groups(sectors) {
        let share: f64 = rows.iter().map(|&row| weights[row]).sum();
        if share > caps.sector_max {
            for row in rows {
                weights[row] *= caps.sector_max / share;
            }
        }
    }
    normalised(weights)
}

/// Expected return per deviation of a portfolio (§14).
pub fn information_ratio(weights: &[f64], alpha: &[f64], covariance: &Covariance) -> f64 {
    let gain: f64 = weights.iter().zip(alpha).map(|(weight, alpha)| weight * alpha).sum();
    gain / (covariance.deviation(weights) + 1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solving_undoes_multiplying() {
        let covariance = Covariance { n: 3, values: vec![4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 2.0] };
        let target = [1.0, -2.0, 0.5];
        let solved = covariance.solve(&target, 0.0).unwrap();
        for (found, expected) in covariance.times(&solved).iter().zip(target) {
            assert!((found - expected).abs() < 1e-12, "{found} != {expected}");
        }
        assert_eq!(Covariance { n: 1, values: vec![-1.0] }.solve(&[1.0], 0.0), None);
    }

    #[test]
    fn shrinkage_keeps_the_total_variance() {
        let returns: Vec<Vec<Option<f64>>> =
            [[0.01, 0.02], [-0.02, 0.01], [0.03, -0.01], [0.0, 0.02]].map(|day| day.map(Some).to_vec()).to_vec();
        let found = Covariance::ledoit_wolf(&returns);
        let variance = |name: usize| {
            let values: Vec<f64> = returns.iter().map(|day| day[name].unwrap()).collect();
            let mean = values.iter().sum::<f64>() / 4.0;
            values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 4.0
        };
        let trace = found.get(0, 0) + found.get(1, 1);
        assert!((trace - variance(0) - variance(1)).abs() < 1e-12);
        assert!((found.get(0, 1) - found.get(1, 0)).abs() < 1e-18);
    }

    #[test]
    fn better_and_calmer_names_weigh_more() {
        let caps = Caps { name_max: 1.0, sector_max: 1.0 };
        let covariance = Covariance::diagonal(&[0.04, 0.01, 0.04]);
        let found = closed_form_weights(&[0.1, 0.1, -0.1], &covariance, &["a", "b", "c"], &caps);
        assert!(found[1] > found[0] && found[2].abs() < 1e-12, "{found:?}");
        assert!(information_ratio(&found, &[0.1, 0.1, -0.1], &covariance) > 0.0);
    }
}
