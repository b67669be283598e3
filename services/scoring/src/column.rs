use crate::percentile;

/// The values of one score column over the ranked rows, kept sorted, so that a percentile is two binary searches.
///
/// A `Vec` beats a tree here: at 12,000 rows an insertion moves at most 96 KB, which is faster than chasing nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SortedColumn {
    sorted: Vec<f64>,
}

impl From<Vec<f64>> for SortedColumn {
    fn from(values: Vec<f64>) -> Self {
        let mut column = Self::default();
        column.rebuild(values.into_iter());
        column
    }
}

impl SortedColumn {
    pub(crate) fn rebuild(&mut self, values: impl Iterator<Item = f64>) {
        self.sorted.clear();
        self.sorted.extend(values.map(positive_zero));
        self.sorted.sort_unstable_by(f64::total_cmp);
    }

    pub(crate) fn insert(&mut self, value: f64) {
        let value = positive_zero(value);
        let at = self.n_less(value);
        self.sorted.insert(at, value);
    }

    /// # Panics
    /// When the value is not in the column: a bug of the caller.
    pub(crate) fn remove(&mut self, value: f64) {
        let value = positive_zero(value);
        let at = self.n_less(value);
        assert!(
            self.sorted.get(at).is_some_and(|found| found.total_cmp(&value).is_eq()),
            "a removed value was inserted before"
        );
        self.sorted.remove(at);
    }

    /// Points in (0, 100] of a value that is in the column.
    pub(crate) fn percentile(&self, value: f64) -> f64 {
        let value = positive_zero(value);
        let n_less = self.n_less(value);
        let n_equal = self.sorted[n_less..].partition_point(|other| other.total_cmp(&value).is_le());
        100.0 * percentile::from_counts(n_less, n_equal, self.sorted.len())
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    fn n_less(&self, value: f64) -> usize {
        self.sorted.partition_point(|other| other.total_cmp(&value).is_lt())
    }
}

/// The two zeros are one value; adding zero changes nothing else.
fn positive_zero(value: f64) -> f64 {
    value + 0.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn percentiles_equal_a_full_ranking_whatever_the_order_of_updates(
            values in prop::collection::vec(-5_i8..5, 1..60),
            drop_every in 2_usize..5,
        ) {
            let values: Vec<f64> = values.iter().map(|&value| f64::from(value) / 2.0).collect();
            let mut incremental = SortedColumn::default();
            for &value in &values {
                incremental.insert(value);
            }
            let (dropped, kept): (Vec<_>, Vec<_>) =
                values.iter().enumerate().partition(|(index, _)| index % drop_every == 0);
            for (_, value) in dropped {
                incremental.remove(*value);
            }
            let kept: Vec<f64> = kept.into_iter().map(|(_, &value)| value).collect();
            let mut rebuilt = SortedColumn::default();
            rebuilt.rebuild(kept.iter().copied());
            prop_assert_eq!(&incremental, &rebuilt);
            let ranks = percentile::ranks(&kept.iter().copied().map(Some).collect::<Vec<_>>());
            for (&value, rank) in kept.iter().zip(ranks) {
                let points = incremental.percentile(value);
                prop_assert!(points > 0.0 && points <= 100.0);
                prop_assert_eq!(Some((points).to_bits()), rank.map(|rank| (100.0 * rank).to_bits()));
            }
        }
    }
}
