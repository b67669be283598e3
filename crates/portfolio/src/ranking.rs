//! In which order results are shown: by gain per risk, and not one sector after the other.

use crate::groups::groups;

/// Stands for a volatility when none is known.
const VOL_MIN: f64 = 1e-6;
const ALPHA_POINTS: f64 = 10.0;
/// What a row of the most crowded sector loses.
const CROWDING_PENALTY: f64 = 0.15;

/// Drift per volatility of every row.
///
/// # Units
/// `drift` is an expected return, `vol_per_year` the realised volatility as a fraction; zero or unknown is the median of
/// the others.
///
/// # Source
/// §14, "do instead" of quirk Q3: a column of its own, on realised volatility. The reference divides by the rating and
/// overwrites the risk score.
pub fn risk_adjusted(drift: &[Option<f64>], vol_per_year: &[Option<f64>]) -> Vec<Option<f64>> {
    let known: Vec<f64> = vol_per_year.iter().flatten().copied().filter(|vol| *vol > 0.0).collect();
    let typical = median(&known).unwrap_or(VOL_MIN);
    let adjusted = |(drift, vol): (&Option<f64>, &Option<f64>)| {
        drift.map(|drift| drift / vol.filter(|vol| *vol > 0.0).unwrap_or(typical))
    };
    drift.iter().zip(vol_per_year).map(adjusted).collect()
}

/// Rating and alpha of every row as one number, less what its sector is crowded.
///
/// # Units
/// Rating points; `alpha` a fraction.
///
/// # Source
/// §14, "do instead" of quirk Q33: the crowding is subtracted. The reference multiplies by it, which improves a
/// negative score. Scores above zero are those of the reference.
///
/// # Panics
/// When there are not as many sectors as rows.
pub fn composite_scores<K: Ord>(rating: &[Option<f64>], alpha: &[Option<f64>], sectors: &[K]) -> Vec<Option<f64>> {
    let mut crowding = vec![0.0; sectors.len()];
    let groups = groups(sectors);
    let n_max = groups.iter().map(Vec::len).max().unwrap_or(1);
    for rows in groups {
        let share = rows.len() as f64 / n_max as f64;
        for row in rows {
            crowding[row] = CROWDING_PENALTY * share;
        }
    }
    let composite = |row: usize| {
        let score = rating[row]? + ALPHA_POINTS * alpha[row]?;
        Some(score - score.abs() * crowding[row])
    };
    (0..rating.len()).map(composite).collect()
}

/// The rows to show, best first, at most `per_sector_max` of a sector and `n_max` in all.
///
/// # Shape
/// Row numbers. Equal scores keep the order of the rows; rows without a score are not shown. A sector is a key like
/// any other, so pass one for "unknown".
///
/// # Source
/// §14, with quirk Q31's "do instead": this, and not a factor on the score, keeps a list mixed.
///
/// # Panics
/// When there are not as many sectors as rows.
pub fn diversified<K: Ord>(scores: &[Option<f64>], sectors: &[K], per_sector_max: usize, n_max: usize) -> Vec<usize> {
    assert_eq!(scores.len(), sectors.len(), "one sector per row");
    let mut best: Vec<(f64, usize)> =
        scores.iter().enumerate().filter_map(|(row, score)| score.map(|score| (score, row))).collect();
    best.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut sector_of = vec![0; sectors.len()];
    let groups = groups(sectors);
    let mut n_shown = vec![0; groups.len()];
    for (sector, rows) in groups.into_iter().enumerate() {
        for row in rows {
            sector_of[row] = sector;
        }
    }
    let mut shown = Vec::new();
    for (_, row) in best {
        if shown.len() == n_max {
            break;
        }
        let n_of_sector = &mut n_shown[sector_of[row]];
        if *n_of_sector < per_sector_max {
            *n_of_sector += 1;
            shown.push(row);
        }
    }
    shown
}

/// The middle value, or the mean of the two middle ones; `None` without values.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (below, above) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
    Some(f64::midpoint(sorted[below], sorted[above]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_volatility_is_typical() {
        let found = risk_adjusted(&[Some(1.0), Some(1.0), None, Some(1.0)], &[Some(0.5), None, Some(0.25), Some(0.0)]);
        let typical = 1.0 / 0.375;
        assert_eq!(found, [Some(2.0), Some(typical), None, Some(typical)]);
        assert_eq!(risk_adjusted(&[Some(1.0)], &[None]), [Some(1e6)]);
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_list_is_mixed() {
        let scores = [Some(9.0), Some(8.0), Some(7.0), None, Some(6.0), Some(6.0)];
        assert_eq!(diversified(&scores, &["a", "a", "a", "b", "b", "c"], 2, 10), [0, 1, 4, 5]);
        assert_eq!(diversified(&scores, &["a", "a", "a", "b", "b", "c"], 2, 3), [0, 1, 4]);
    }

    /// Quirk Q31: the reference multiplies each score by 1 − the share of its sector, which is zero for a list of one
    /// sector, and then shows that.
    #[test]
    fn a_list_of_one_sector_keeps_its_scores() {
        let scores = [Some(90.0), Some(80.0), Some(70.0)];
        let reference: Vec<f64> = scores.iter().flatten().map(|score| score * (1.0 - 3.0 / 3.0)).collect();
        assert!(reference.iter().all(|score| score.abs() < 1e-12));
        assert_eq!(diversified(&scores, &["a"; 3], 2, 10), [0, 1]);
    }

    /// Quirk Q33: the reference multiplies −10 by 0.85, an improvement.
    #[test]
    fn crowding_never_improves_a_score() {
        let found = composite_scores(&[Some(-10.0), Some(10.0), Some(10.0)], &[Some(0.0); 3], &["a", "a", "b"]);
        for (found, expected) in found.into_iter().flatten().zip([-11.5, 8.5, 9.25]) {
            assert!((found - expected).abs() < 1e-12, "{found} != {expected}");
        }
    }
}
