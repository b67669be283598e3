//! Percentile ranks with tied values sharing the mean of their ranks (specification §0, `pctrank`).

/// What a percentile, a quality or an institutional core score counts as when nothing is known.
/// In points, 0–100.
pub const NEUTRAL_POINTS: f64 = 50.0;

/// The percentile rank of one value, in (0, 1], from how it compares with its column.
///
/// # Shape
/// `n_less` values of the column are smaller and `n_equal` are equal, **itself included**;
/// `n_present` values are not missing. A column kept sorted knows these without ranking the rest.
///
/// # Source
/// §0: mean rank of the tied values / number of non-missing values.
pub fn from_counts(n_less: usize, n_equal: usize, n_present: usize) -> f64 {
    debug_assert!(n_equal >= 1, "a value is equal to itself");
    debug_assert!(n_less + n_equal <= n_present, "more values compared than present");
    // Half-integers below 2^53 are exact, so the division is the only rounding.
    (n_less as f64 + f64::midpoint(n_equal as f64, 1.0)) / n_present as f64
}

/// The percentile ranks of a whole column, in (0, 1]; the same bits as [`from_counts`].
///
/// # Shape
/// One per value, in the order of `values`. Missing stays missing and does not count; a NaN is
/// missing too, and the two zeros are one value.
///
/// # Source
/// §0, `pctrank`.
pub fn ranks(values: &[Option<f64>]) -> Vec<Option<f64>> {
    rank_into(values, &mut Vec::new())
}

/// The same, which leaves the present values in `sorted`.
pub(crate) fn rank_into(values: &[Option<f64>], sorted: &mut Vec<f64>) -> Vec<Option<f64>> {
    // Adding +0.0 turns -0.0 into +0.0 and changes nothing else, so the total order ties them.
    let mut order: Vec<(i64, usize)> = values
        .iter()
        .enumerate()
        .filter_map(|(row, value)| value.filter(|v| !v.is_nan()).map(|v| (order_key((v + 0.0).to_bits()), row)))
        .collect();
    order.sort_unstable_by_key(|&(key, _)| key);
    sorted.clear();
    sorted.extend(order.iter().map(|&(key, _)| f64::from_bits(key_bits(key))));

    let mut ranks = vec![None; values.len()];
    let mut n_less = 0;
    for tied in order.chunk_by(|a, b| a.0 == b.0) {
        let rank = from_counts(n_less, tied.len(), order.len());
        for &(_, row) in tied {
            ranks[row] = Some(rank);
        }
        n_less += tied.len();
    }
    ranks
}

/// An integer in the place that a number has in the total order: made once, compared often.
fn order_key(bits: u64) -> i64 {
    let bits = bits.cast_signed();
    // Negative numbers are stored as sign and size, so the larger ones come first.
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

fn key_bits(key: i64) -> u64 {
    (if key < 0 { key ^ i64::MAX } else { key }).cast_unsigned()
}

/// Percentile ranks as points, in (0, 100].
pub fn points_of(ranks: Vec<Option<f64>>) -> Vec<Option<f64>> {
    ranks.into_iter().map(|rank| rank.map(|rank| 100.0 * rank)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[Option<f64>], expected: &[Option<f64>]) {
        assert_eq!(ranks(values), expected, "{values:?}");
    }

    #[test]
    fn ties_share_the_mean_of_their_ranks() {
        check(&[], &[]);
        check(&[Some(7.0)], &[Some(1.0)]);
        check(&[Some(2.0), Some(1.0)], &[Some(1.0), Some(0.5)]);
        check(&[Some(3.0), Some(3.0), Some(1.0), Some(9.0)], &[Some(0.625), Some(0.625), Some(0.25), Some(1.0)]);
        check(&[Some(5.0); 4], &[Some(0.625); 4]);
        check(&[Some(0.0), Some(-0.0)], &[Some(0.75); 2]);
    }

    #[test]
    fn missing_values_stay_missing_and_do_not_count() {
        check(&[None, None], &[None, None]);
        check(&[None, Some(1.0), None, Some(2.0)], &[None, Some(0.5), None, Some(1.0)]);
        check(&[Some(f64::NAN), Some(1.0)], &[None, Some(1.0)]);
    }

    proptest! {
        #[test]
        fn a_rank_has_the_bits_of_its_counts(
            values in prop::collection::vec(prop::option::of((-4i8..4).prop_map(|v| f64::from(v) / 3.0)), 0..40)
        ) {
            let present: Vec<f64> = values.iter().flatten().copied().collect();
            for (value, rank) in values.iter().zip(ranks(&values)) {
                let expected = value.map(|value| {
                    let n_less = present.iter().filter(|v| **v < value).count();
                    let n_not_greater = present.iter().filter(|v| **v <= value).count();
                    from_counts(n_less, n_not_greater - n_less, present.len())
                });
                prop_assert_eq!(rank.map(f64::to_bits), expected.map(f64::to_bits));
            }
        }
    }
}
