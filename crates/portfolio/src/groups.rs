use std::collections::BTreeMap;

/// The row numbers of each key, in the order of the keys.
pub(crate) fn groups<K: Ord>(keys: &[K]) -> Vec<Vec<usize>> {
    let mut groups = BTreeMap::<_, Vec<usize>>::new();
    for (row, key) in keys.iter().enumerate() {
        groups.entry(key).or_default().push(row);
    }
    groups.into_values().collect()
}
