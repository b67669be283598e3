//! How to divide an account among the positions of a scan.

use crate::groups::groups;

/// The share of a portfolio that one sector may be.
pub const SECTOR_SHARE_MAX: f64 = 0.3;
/// Stands for a volatility that is zero or unknown (a fraction of the close).
const VOL_UNKNOWN: f64 = 0.02;
/// Assumed correlation of two stocks of one sector, and of different ones.
const CORRELATION_WITHIN: f64 = 0.6;
const CORRELATION_ACROSS: f64 = 0.2;

/// Candidates for positions, column by column.
///
/// # Units
/// `drift` is an expected return, less than zero or unknown counts as none; `vol` is ATR / close, a fraction, zero or
/// unknown counts as 2 %. Only rows with `has_position` get a weight.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a, K> {
    pub drift: &'a [Option<f64>],
    pub vol: &'a [Option<f64>],
    pub sectors: &'a [K],
    pub has_position: &'a [bool],
}

/// Weights by one rule each, as fractions of the account; every column sums to 1, or is zero without positions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights {
    /// By drift per volatility.
    pub suggested: Vec<f64>,
    /// By 1 / volatility.
    pub risk_parity: Vec<f64>,
    /// By the drift that an assumed covariance makes worth its risk.
    pub mean_variance: Vec<f64>,
    /// Risk parity, balanced once more between sectors.
    pub hierarchical: Vec<f64>,
}

/// All weights of a cross-section.
///
/// # Source
/// §14. The rows are complete when this runs ("do instead" of quirk Q28: the reference runs it before there is a
/// drift). Sector shares are scaled to the cap once and then normalised, as in the reference, so they may exceed it;
/// [`within_caps`] makes them hold (quirk Q36).
///
/// # Panics
/// When the columns differ in length.
pub fn weights<K: Ord>(candidates: &Candidates<K>) -> Weights {
    let rows: Vec<usize> = (0..candidates.has_position.len()).filter(|&row| candidates.has_position[row]).collect();
    let drift: Vec<f64> = rows.iter().map(|&row| candidates.drift[row].map_or(0.0, |drift| drift.max(0.0))).collect();
    let vol: Vec<f64> =
        rows.iter().map(|&row| candidates.vol[row].filter(|vol| *vol > 0.0).unwrap_or(VOL_UNKNOWN)).collect();
    let keys: Vec<&K> = rows.iter().map(|&row| &candidates.sectors[row]).collect();
    let sectors: Vec<Vec<usize>> = groups(&keys);
    let proxy = CovarianceProxy { vol: &vol, sectors: &sectors };

    let per_risk: Vec<f64> = drift.iter().zip(&vol).map(|(drift, vol)| drift / vol).collect();
    let inverse_vol: Vec<f64> = vol.iter().map(|vol| vol.recip()).collect();
    let risk_parity = capped_once(&inverse_vol, &sectors);
    let equal = vec![1.0; rows.len()];
    let suggested = capped_once(if is_zero(&per_risk) { &equal } else { &per_risk }, &sectors);
    let worth: Vec<f64> = proxy.solve(&drift).into_iter().map(|weight| weight.max(0.0)).collect();
    let mean_variance = capped_once(if is_zero(&worth) { &per_risk } else { &worth }, &sectors);
    let hierarchical = hierarchical(&risk_parity, &proxy);

    let spread = |weights: Vec<f64>| {
        let mut spread = vec![0.0; candidates.has_position.len()];
        for (&row, weight) in rows.iter().zip(weights) {
            spread[row] = weight;
        }
        spread
    };
    Weights {
        suggested: spread(suggested),
        risk_parity: spread(risk_parity),
        mean_variance: spread(mean_variance),
        hierarchical: spread(hierarchical),
    }
}

/// Weights by 1 / volatility over all rows, without caps; an unknown volatility has none (§14).
pub fn inverse_vol_weights(vol: &[Option<f64>]) -> Vec<f64> {
    let inverse: Vec<f64> = vol.iter().map(|vol| vol.filter(|vol| *vol > 0.0).map_or(0.0, f64::recip)).collect();
    normalised(inverse)
}

/// Assumed covariances: fixed correlations within and across sectors.
///
/// Such a matrix is a diagonal plus one constant per sector plus one for all, so it is solved in one pass by
/// Sherman and Morrison's formula, without ever being written down.
struct CovarianceProxy<'a> {
    vol: &'a [f64],
    /// Row numbers by sector.
    sectors: &'a [Vec<usize>],
}

impl CovarianceProxy<'_> {
    /// The vector that the matrix turns into `target`.
    fn solve(&self, target: &[f64]) -> Vec<f64> {
        let scaled: Vec<f64> = target.iter().zip(self.vol).map(|(value, vol)| value / vol).collect();
        let ones = vec![1.0; target.len()];
        let (by_sector, ones_by_sector) = (self.solve_within(&scaled), self.solve_within(&ones));
        let share = CORRELATION_ACROSS * by_sector.iter().sum::<f64>()
            / (1.0 + CORRELATION_ACROSS * ones_by_sector.iter().sum::<f64>());
        let unscaled = by_sector.iter().zip(ones_by_sector).zip(self.vol);
        unscaled.map(|((value, one), vol)| (value - share * one) / vol).collect()
    }

    /// Solves the correlations less what all stocks have in common.
    fn solve_within(&self, target: &[f64]) -> Vec<f64> {
        let own = 1.0 - CORRELATION_WITHIN;
        let common = CORRELATION_WITHIN - CORRELATION_ACROSS;
        let mut solved = vec![0.0; target.len()];
        for rows in self.sectors {
            let sum: f64 = rows.iter().map(|&row| target[row]).sum();
            let share = common * sum / (own + common * rows.len() as f64);
            for &row in rows {
                solved[row] = (target[row] - share) / own;
            }
        }
        solved
    }

    /// The variance of the weights of one sector.
    fn sector_variance(&self, rows: &[usize], weights: &[f64]) -> f64 {
        let risks = rows.iter().map(|&row| weights[row] * self.vol[row]);
        let (sum, squares) = risks.fold((0.0, 0.0), |(sum, squares), risk: f64| (sum + risk, squares + risk * risk));
        CORRELATION_WITHIN * sum * sum + (1.0 - CORRELATION_WITHIN) * squares
    }
}

/// The leaves, each scaled by what its sector gets by 1 / deviation.
fn hierarchical(leaves: &[f64], proxy: &CovarianceProxy) -> Vec<f64> {
    let mut weights = leaves.to_vec();
    for rows in proxy.sectors {
        let deviation = proxy.sector_variance(rows, leaves).sqrt();
        for &row in rows {
            weights[row] = if deviation > 0.0 { weights[row] / deviation } else { 0.0 };
        }
    }
    capped_once(&normalised(weights), proxy.sectors)
}

/// Scales each sector down to its cap and everything back to 1.
fn capped_once(weights: &[f64], sectors: &[Vec<usize>]) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mut capped = weights.to_vec();
    for rows in sectors {
        let of_sector: f64 = rows.iter().map(|&row| weights[row]).sum();
        if of_sector > SECTOR_SHARE_MAX * total {
            for &row in rows {
                capped[row] *= SECTOR_SHARE_MAX * total / of_sector;
            }
        }
    }
    normalised(capped)
}

/// The weights with a sum of 1; zeros stay zero.
pub(crate) fn normalised(weights: Vec<f64>) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    if total > 0.0 { weights.into_iter().map(|weight| weight / total).collect() } else { weights }
}

fn is_zero(weights: &[f64]) -> bool {
    weights.iter().all(|weight| *weight <= 0.0)
}

/// Caps on a portfolio, as fractions of the account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Caps {
    pub name_max: f64,
    pub sector_max: f64,
}

impl Default for Caps {
    fn default() -> Self {
        Self { name_max: 0.1, sector_max: SECTOR_SHARE_MAX }
    }
}

/// The weights (≥ 0, summing to at most 1) with every cap held: what a capped name or sector gives up goes to the
/// others in proportion, and what nobody may take stays cash.
///
/// # Source
/// §14, "do instead" of quirk Q36: the reference normalises after capping, which breaks the cap.
///
/// # Panics
/// When there are not as many sectors as weights.
pub fn within_caps<K: Ord>(weights: &[f64], sectors: &[K], caps: &Caps) -> Vec<f64> {
    assert_eq!(weights.len(), sectors.len(), "one sector per weight");
    let wanted: f64 = weights.iter().sum::<f64>().min(1.0);
    let sectors: Vec<Vec<usize>> = groups(sectors);
    let mut held = vec![0.0; weights.len()];
    // Each round fills at least one name or sector up, or deals everything out, so it ends.
    for _ in 0..=weights.len() + sectors.len() {
        let left = wanted - held.iter().sum::<f64>();
        let room = room(&held, &sectors, caps);
        let hungry: f64 = weights.iter().zip(&room).map(|(weight, room)| if *room > 0.0 { *weight } else { 0.0 }).sum();
        if left <= 1e-12 || hungry <= 0.0 {
            break;
        }
        let deal = |row: usize| if room[row] > 0.0 { left * weights[row] / hungry } else { 0.0 };
        // The largest part of the deal that fits everywhere.
        let mut part: f64 = 1.0;
        for rows in &sectors {
            let dealt: f64 = rows.iter().map(|&row| deal(row)).sum();
            let space = caps.sector_max - rows.iter().map(|&row| held[row]).sum::<f64>();
            part = if dealt > 0.0 { part.min(space / dealt) } else { part };
        }
        for (row, held) in held.iter().enumerate() {
            let dealt = deal(row);
            part = if dealt > 0.0 { part.min((caps.name_max - held) / dealt) } else { part };
        }
        for (row, held) in held.iter_mut().enumerate() {
            *held += part * deal(row);
        }
    }
    held
}

/// What each name may still take, zero once it or its sector is full.
fn room(held: &[f64], sectors: &[Vec<usize>], caps: &Caps) -> Vec<f64> {
    const FULL: f64 = 1e-12;
    let mut room: Vec<f64> = held.iter().map(|held| caps.name_max - held).collect();
    for rows in sectors {
        let space = caps.sector_max - rows.iter().map(|&row| held[row]).sum::<f64>();
        for &row in rows {
            room[row] = room[row].min(space);
        }
    }
    room.into_iter().map(|room| if room > FULL { room } else { 0.0 }).collect()
}

/// The new weights, moved from the old ones only as far as `turnover_max` (half the sum of all changes) allows.
///
/// # Panics
/// When there are not as many new weights as old ones.
pub fn within_turnover(old: &[f64], new: &[f64], turnover_max: f64) -> Vec<f64> {
    assert_eq!(old.len(), new.len(), "one new weight per old one");
    let turnover: f64 = old.iter().zip(new).map(|(old, new)| (new - old).abs()).sum::<f64>() / 2.0;
    let part = if turnover > turnover_max { turnover_max / turnover } else { 1.0 };
    old.iter().zip(new).map(|(old, new)| old + part * (new - old)).collect()
}

/// What the portfolio gains when the market moves by `shock` (a fraction); an unknown beta is 1 (§14).
pub fn scenario_gain(weights: &[f64], betas: &[Option<f64>], shock: f64) -> f64 {
    weights.iter().zip(betas).map(|(weight, beta)| weight * beta.unwrap_or(1.0) * shock).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_positions_have_weight() {
        let found = weights(&Candidates {
            drift: &[Some(0.1), Some(0.1), Some(-0.1), None],
            vol: &[Some(0.02), Some(0.02), Some(0.04), Some(0.02)],
            sectors: &["a", "b", "c", "d"],
            has_position: &[true, true, true, false],
        });
        assert_eq!(found.suggested, [0.5, 0.5, 0.0, 0.0]);
        assert_eq!(found.risk_parity[3].to_bits(), 0.0_f64.to_bits());
        assert!(found.risk_parity[0] > found.risk_parity[2]);
        let none = weights(&Candidates::<&str> { drift: &[], vol: &[], sectors: &[], has_position: &[] });
        assert_eq!(none, Weights::default());
    }

    #[test]
    fn without_any_drift_the_suggestion_is_equal() {
        let found = weights(&Candidates {
            drift: &[Some(-0.1), None],
            vol: &[Some(0.02), Some(0.08)],
            sectors: &["a", "b"],
            has_position: &[true, true],
        });
        assert_eq!(found.suggested, [0.5, 0.5]);
    }

    #[test]
    fn the_proxy_is_solved_as_the_matrix_would_be() {
        let vol = [0.01, 0.02, 0.05, 0.03];
        let sectors = [vec![0, 2], vec![1, 3]];
        let proxy = CovarianceProxy { vol: &vol, sectors: &sectors };
        let target = [0.1, -0.2, 0.3, 0.05];
        let solved = proxy.solve(&target);
        for (row, target) in target.iter().enumerate() {
            let product: f64 = (0..4)
                .map(|other| {
                    let correlation = match (row == other, row % 2 == other % 2) {
                        (true, _) => 1.0,
                        (_, true) => CORRELATION_WITHIN,
                        _ => CORRELATION_ACROSS,
                    };
                    correlation * vol[row] * vol[other] * solved[other]
                })
                .sum();
            assert!((product - target).abs() < 1e-12, "{product} != {target}");
        }
    }

    /// Quirk Q36.
    #[test]
    fn caps_hold_and_the_rest_is_cash() {
        let caps = Caps { name_max: 1.0, sector_max: 0.3 };
        let reference = capped_once(&[0.5, 0.4, 0.1], &[vec![0], vec![1], vec![2]]);
        assert!(reference[0] > 0.3, "{reference:?}");
        let ours = within_caps(&[0.5, 0.4, 0.1], &["a", "b", "c"], &caps);
        for (found, expected) in ours.iter().zip([0.3, 0.3, 0.3]) {
            assert!((found - expected).abs() < 1e-9, "{ours:?}");
        }
        let cash = within_caps(&[0.5, 0.5], &["a", "a"], &caps);
        assert!((cash.iter().sum::<f64>() - 0.3).abs() < 1e-9, "{cash:?}");
    }

    #[test]
    fn turnover_is_limited() {
        let close = |found: &[f64], expected: &[f64]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
        };
        close(&within_turnover(&[1.0, 0.0], &[0.0, 1.0], 0.25), &[0.75, 0.25]);
        close(&within_turnover(&[1.0, 0.0], &[0.9, 0.1], 0.25), &[0.9, 0.1]);
        assert!((scenario_gain(&[0.5, 0.5], &[Some(2.0), None], -0.1) + 0.15).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn caps_always_hold(
            rows in prop::collection::vec((0.0..1.0, 0_u8..4), 1..40),
            name_max in 0.05..0.5,
            sector_max in 0.1..0.6,
        ) {
            let (weights, sectors): (Vec<f64>, Vec<u8>) = rows.into_iter().unzip();
            let weights = normalised(weights);
            let found = within_caps(&weights, &sectors, &Caps { name_max, sector_max });
            prop_assert!(found.iter().all(|weight| *weight >= 0.0 && *weight <= name_max + 1e-9));
            for rows in groups(&sectors) {
                prop_assert!(rows.iter().map(|&row| found[row]).sum::<f64>() <= sector_max + 1e-9);
            }
            prop_assert!(found.iter().sum::<f64>() <= 1.0 + 1e-9);
        }
    }
}
