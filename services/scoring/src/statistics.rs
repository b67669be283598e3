//! Small statistics over a column: missing values are skipped, sample deviations divide by n − 1.

use std::collections::BTreeMap;

/// The mean; `None` without values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample deviation; `None` with fewer than two values.
pub fn sample_sd(values: &[f64]) -> Option<f64> {
    Moments::of(values.iter().copied())?.sd
}

/// The linearly interpolated quantile, `fraction` in 0–1, of an ascending column; `None` without values.
pub fn quantile_of_sorted(sorted: &[f64], fraction: f64) -> Option<f64> {
    let position = fraction.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (index(position.floor()), index(position.ceil()));
    Some(sorted[below] + (sorted[above] - sorted[below]) * position.fract())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position within a slice")]
fn index(position: f64) -> usize {
    position as usize
}

/// The slope of the least-squares line through the values at 0, 1, 2 …; `None` with fewer than two.
pub fn ols_slope(values: &[f64]) -> Option<f64> {
    let n_gaps = values.len().checked_sub(1).filter(|n| *n > 0)?;
    let middle = n_gaps as f64 / 2.0;
    let mean = mean(values)?;
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (x, y) in values.iter().enumerate() {
        let dx = x as f64 - middle;
        covariance += dx * (y - mean);
        variance += dx * dx;
    }
    Some(covariance / variance)
}

/// The values after the first, each over the one before, less 1.
pub fn simple_returns(values: &[f64]) -> impl DoubleEndedIterator<Item = f64> {
    values.windows(2).map(|pair| pair[1] / pair[0] - 1.0)
}

/// Where a column is centred and how wide it is: what a z-score needs to know about the others.
///
/// # Shape
/// `sd` is `None` where it is undefined (one value) or zero (equal values).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    pub mean: f64,
    pub sd: Option<f64>,
}

impl Moments {
    /// `None` without values.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let (n, sum) = values.clone().fold((0_usize, 0.0), |(n, sum), value| (n + 1, sum + value));
        if n == 0 {
            return None;
        }
        let mean = sum / n as f64;
        // The rounded mean of equal values may differ from them, which would make noise a deviation.
        let first = values.clone().next();
        let is_flat = values.clone().all(|value| Some(value) == first);
        let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
        let sd = (n > 1 && !is_flat).then(|| (squares / (n - 1) as f64).sqrt());
        Some(Self { mean, sd })
    }

    /// How many deviations a value lies from the mean; 0 where there is no deviation.
    ///
    /// # Source
    /// §0, `z`.
    pub fn z(&self, value: f64) -> f64 {
        self.sd.map_or(0.0, |sd| (value - self.mean) / sd)
    }
}

/// The z-scores of a whole column; missing stays missing (§0).
pub fn z_scores(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let Some(moments) = Moments::of(values.iter().flatten().copied()) else { return vec![None; values.len()] };
    values.iter().map(|value| value.map(|value| moments.z(value))).collect()
}

/// Applies a function of a whole column to each group of rows with an equal key, in row order.
///
/// # Panics
/// When there are not as many keys as values.
pub fn by_group<K: Ord>(
    keys: &[K],
    values: &[Option<f64>],
    apply: impl Fn(&[Option<f64>]) -> Vec<Option<f64>>,
) -> Vec<Option<f64>> {
    assert_eq!(keys.len(), values.len(), "one key per value");
    let mut found = vec![None; values.len()];
    for rows in groups(keys).into_values() {
        let column: Vec<_> = rows.iter().map(|&row| values[row]).collect();
        for (value, row) in apply(&column).into_iter().zip(rows) {
            found[row] = value;
        }
    }
    found
}

/// The z-scores within each group of rows; a row of no group has none.
///
/// # Panics
/// When a group names a row beyond the column.
pub fn z_within(groups: &[Vec<usize>], values: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut found = vec![None; values.len()];
    for rows in groups {
        if let Some(moments) = Moments::of(rows.iter().filter_map(|&row| values[row])) {
            for &row in rows {
                found[row] = values[row].map(|value| moments.z(value));
            }
        }
    }
    found
}

/// The row numbers of each key.
pub fn groups<K: Ord>(keys: &[K]) -> BTreeMap<&K, Vec<usize>> {
    let mut groups = BTreeMap::<_, Vec<usize>>::new();
    for (row, key) in keys.iter().enumerate() {
        groups.entry(key).or_default().push(row);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_no_deviation() {
        let third = 1.0 / 3.0;
        assert_eq!(z_scores(&[Some(third), Some(third), None, Some(third)]), [Some(0.0), Some(0.0), None, Some(0.0)]);
        assert_eq!(z_scores(&[Some(7.0)]), [Some(0.0)]);
        assert_eq!(z_scores(&[None]), [None]);
    }

    #[test]
    fn z_scores_use_the_sample_deviation() {
        let found: Vec<_> = z_scores(&[Some(1.0), Some(2.0), Some(3.0)]).into_iter().flatten().collect();
        for (found, expected) in found.iter().zip([-1.0, 0.0, 1.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} != {expected}");
        }
    }

    #[test]
    fn slope_and_quantile_of_short_columns() {
        assert_eq!(ols_slope(&[1.0]), None);
        assert_eq!(ols_slope(&[1.0, 3.0, 5.0]), Some(2.0));
        assert_eq!(quantile_of_sorted(&[], 0.5), None);
    }

    #[test]
    fn groups_do_not_see_each_other() {
        let found = by_group(&["a", "b", "a", "b"], &[Some(1.0), Some(5.0), Some(2.0), None], |column| {
            let sum = column.iter().flatten().sum::<f64>();
            column.iter().map(|value| value.map(|_| sum)).collect()
        });
        assert_eq!(found, [Some(3.0), Some(5.0), Some(3.0), None]);
    }
}
