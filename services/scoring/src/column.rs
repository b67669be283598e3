use crate::percentile;

/// The values of one score column over the ranked rows, kept sorted, so that a percentile is two searches.
///
/// A `Vec` beats a tree here: a row that changed moves a few places, and nothing but what lies between is shifted.
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

    /// Sorts anew and gives each value its percentile in points; the same bits as [`percentile`](Self::percentile) of
    /// each, without a search. Missing values stay missing and do not count.
    pub(crate) fn rebuild_ranked(&mut self, values: &[Option<f64>]) -> Vec<Option<f64>> {
        let ranked = percentile::rank_into(values, &mut self.sorted);
        percentile::points_of(ranked)
    }

    /// A row's value takes the place of its old one; `None` where it had none, or has none now.
    ///
    /// # Panics
    /// When the old value is not in the column: a bug of the caller.
    pub(crate) fn replace(&mut self, old: Option<f64>, new: Option<f64>) {
        let (old, new) = (old.map(positive_zero), new.map(positive_zero));
        let from = old.map(|old| {
            let at = self.n_less(old);
            assert!(
                self.sorted.get(at).is_some_and(|found| found.total_cmp(&old).is_eq()),
                "a removed value was inserted before"
            );
            at
        });
        match (from, new) {
            (None, None) => {}
            (None, Some(new)) => self.sorted.insert(self.n_less(new), new),
            (Some(from), None) => {
                self.sorted.remove(from);
            }
            (Some(from), Some(new)) => {
                let to = self.n_less(new);
                // Its own place does not count among the smaller ones.
                let to = if to > from { to - 1 } else { to };
                if from < to {
                    self.sorted.copy_within(from + 1..=to, from);
                } else {
                    self.sorted.copy_within(to..from, to + 1);
                }
                self.sorted[to] = new;
            }
        }
    }

    /// Points in (0, 100] of a value that is in the column.
    pub(crate) fn percentile(&self, value: f64) -> f64 {
        let value = positive_zero(value);
        let n_less = self.n_less(value);
        // Most values are alone, and ties are short.
        let n_equal = self.sorted[n_less..].iter().take_while(|other| other.total_cmp(&value).is_le()).count();
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
            updates in prop::collection::vec((0..12_usize, prop::option::of(-5_i8..5)), 1..60),
        ) {
            let mut values = [None; 12];
            let mut incremental = SortedColumn::default();
            for (row, value) in updates {
                let value = value.map(|value| f64::from(value) / 2.0);
                incremental.replace(values[row], value);
                values[row] = value;
            }
            let mut rebuilt = SortedColumn::default();
            rebuilt.rebuild(values.iter().flatten().copied());
            prop_assert_eq!(&incremental, &rebuilt);
            let mut ranked = SortedColumn::default();
            let all_points = ranked.rebuild_ranked(&values);
            prop_assert_eq!(&ranked, &rebuilt);
            for (value, points) in values.iter().zip(all_points) {
                let found = value.map(|value| incremental.percentile(value));
                prop_assert!(found.is_none_or(|points| points > 0.0 && points <= 100.0));
                prop_assert_eq!(found.map(f64::to_bits), points.map(f64::to_bits));
            }
        }
    }
}
