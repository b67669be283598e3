//! From numbers to bytes: how many of a feature's thresholds lie at or below a value decides every split on it.

use multiversion::multiversion;
use multiversion::target::match_target;

use super::TreeError;
#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::ensemble::{Node, Rows, Tree};

/// Rows that are evaluated together.
pub(super) const ROWS: usize = 64;
/// Planes that a block of rows has room for: a byte numbers them.
pub(super) const BLOCK_PLANES_MAX: usize = 256;
/// Thresholds per column: 255 bins, and one byte left for "missing".
const THRESHOLDS_MAX: usize = 254;
/// The byte of a missing value in the first plane of a column.
const MISSING: u8 = u8::MAX;
/// Thresholds that are compared at once; a column is as many blocks.
pub(super) const LANES: usize = 16;
/// Columns of one model: planes are numbered in 16 bits.
const COLUMNS_MAX: usize = 1 << 15;

/// The distinct thresholds of a model by feature. A feature with more than [`THRESHOLDS_MAX`] has several columns.
#[derive(Debug, Clone)]
pub(super) struct Bins {
    columns: Vec<Column>,
}

/// Some thresholds of one feature, ascending, filled up with +∞, which no value reaches.
#[derive(Debug, Clone)]
struct Column {
    feature: usize,
    /// The first threshold of every block but the first.
    pivots: [f32; LANES],
    blocks: [[f32; LANES]; LANES],
}

/// A split in bytes: it goes right when the byte in the plane is above `bin`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByteSplit {
    pub(super) plane: u16,
    pub(super) bin: u8,
}

impl ByteSplit {
    pub(super) const ALWAYS_LEFT: Self = Self { plane: 0, bin: u8::MAX };
}

/// Finds the byte form of splits while the layouts are built.
pub(super) struct SplitIndex {
    /// By feature, ascending.
    thresholds: Vec<Vec<f32>>,
    /// By feature.
    first_columns: Vec<usize>,
}

/// Binned rows. Of the two planes of a column the first holds how many of its thresholds are at or below the value,
/// missing is 255 and goes right at every split; the second holds one more, so missing wraps to 0 and goes left.
#[derive(Debug)]
pub(super) struct BinnedRows {
    planes: Box<Planes>,
    /// A row after the other, each with all planes; as many as a block has at most.
    rows: Vec<u8>,
    n_planes: usize,
}

/// For a block of rows: a plane after the other. Aligned, so that no vector lies in two cache lines.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Planes(pub(super) [[u8; ROWS]; BLOCK_PLANES_MAX]);

impl Default for BinnedRows {
    fn default() -> Self {
        Self { planes: Box::new(Planes([[0; ROWS]; BLOCK_PLANES_MAX])), rows: Vec::new(), n_planes: 1 }
    }
}

impl BinnedRows {
    pub(super) fn planes(&self) -> &Planes {
        &self.planes
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.rows.chunks_exact(self.n_planes)
    }

    /// Bins a block of rows by planes and says how many values were infinite.
    ///
    /// # Panics
    /// When there are more than [`BLOCK_PLANES_MAX`] planes.
    pub(super) fn fill_planes(&mut self, bins: &Bins, rows: Rows<'_>, first: usize, n_rows: usize) -> usize {
        fill_planes(&bins.columns, rows, first, n_rows, &mut self.planes)
    }

    /// Bins a block of rows one by one and says how many values were infinite.
    pub(super) fn fill_rows(&mut self, bins: &Bins, rows: Rows<'_>, first: usize, n_rows: usize) -> usize {
        // A row of at least one byte, so that a model without splits has rows, too.
        self.n_planes = bins.n_planes().max(1);
        // Room for a whole block, so that a later and larger one finds it.
        self.rows.resize(ROWS * self.n_planes, 0);
        let bytes = &mut self.rows[..n_rows * self.n_planes];
        fill_rows(&bins.columns, rows, first, bytes, self.n_planes)
    }
}

impl Bins {
    /// # Errors
    /// When there are more thresholds than planes can be numbered.
    pub(super) fn new(n_features: usize, trees: &[Tree]) -> Result<(Self, SplitIndex), TreeError> {
        let mut thresholds = vec![Vec::new(); n_features];
        for node in trees.iter().flat_map(|tree| &tree.nodes) {
            if let Node::Split { feature, threshold, .. } = *node
                && let Some(of_feature) = thresholds.get_mut(feature)
            {
                of_feature.push(positive_zero(threshold));
            }
        }
        let mut columns = Vec::new();
        let mut first_columns = Vec::with_capacity(n_features);
        for (feature, thresholds) in thresholds.iter_mut().enumerate() {
            thresholds.sort_unstable_by(f32::total_cmp);
            thresholds.dedup_by(|a, b| a.total_cmp(b).is_eq());
            first_columns.push(columns.len());
            columns.extend(thresholds.chunks(THRESHOLDS_MAX).map(|thresholds| Column::new(feature, thresholds)));
        }
        if columns.len() > COLUMNS_MAX {
            return Err(TreeError::TooMany { what: "columns of thresholds", found: columns.len(), max: COLUMNS_MAX });
        }
        Ok((Self { columns }, SplitIndex { thresholds, first_columns }))
    }

    pub(super) fn n_planes(&self) -> usize {
        2 * self.columns.len()
    }
}

impl SplitIndex {
    /// # Panics
    /// When the split is not of the trees that these bins were made of.
    pub(super) fn split(&self, feature: usize, threshold: f32, missing_left: bool) -> ByteSplit {
        let threshold = positive_zero(threshold);
        let index = self.thresholds[feature].partition_point(|other| other.total_cmp(&threshold).is_lt());
        let column = self.first_columns[feature] + index / THRESHOLDS_MAX;
        let side = usize::from(missing_left);
        ByteSplit {
            plane: u16::try_from(2 * column + side).expect("columns are limited"),
            bin: u8::try_from(index % THRESHOLDS_MAX + side).expect("a column holds 254 thresholds"),
        }
    }
}

impl Column {
    fn new(feature: usize, thresholds: &[f32]) -> Self {
        let mut blocks = [[f32::INFINITY; LANES]; LANES];
        blocks.as_flattened_mut()[..thresholds.len()].copy_from_slice(thresholds);
        let mut pivots = [f32::INFINITY; LANES];
        for (pivot, block) in pivots.iter_mut().zip(&blocks[1..]) {
            *pivot = block[0];
        }
        Self { feature, pivots, blocks }
    }

    /// The byte of a value in the first plane. `count` says how many of sixteen are not above the value.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "it takes on the instructions of its caller")]
    #[expect(clippy::cast_possible_truncation, reason = "a column has at most 254 finite thresholds")]
    fn byte(&self, value: f32, count: impl Fn(&[f32; LANES], f32) -> usize) -> u8 {
        let block = count(&self.pivots, value) % LANES;
        let n_below = LANES * block + count(&self.blocks[block], value);
        if value.is_finite() { n_below as u8 } else { MISSING }
    }
}

/// −0 and 0 split alike.
fn positive_zero(threshold: f32) -> f32 {
    threshold + 0.0
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vbmi+bmi2+popcnt", "x86_64+avx2+bmi2+popcnt"))]
fn fill_planes(columns: &[Column], rows: Rows<'_>, first: usize, n_rows: usize, planes: &mut Planes) -> usize {
    let mut n_infinite = 0;
    for (column, [right, left]) in columns.iter().zip(planes.0.as_chunks_mut::<2>().0) {
        let values = &rows.column(column.feature)[first..first + n_rows];
        for (&value, byte) in values.iter().zip(&mut *right) {
            *byte = match_target! {
                "x86_64+avx512f+avx512bw+avx512vbmi+bmi2+popcnt" => column.byte(value, |of, value| avx512::count(of, value)),
                _ => column.byte(value, count),
            };
            n_infinite += usize::from(value.is_infinite());
        }
        // Lanes without a row keep what they held: nobody reads what becomes of it.
        for (left, right) in left.iter_mut().zip(right) {
            *left = right.wrapping_add(1);
        }
    }
    n_infinite
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vbmi+bmi2+popcnt", "x86_64+avx2+bmi2+popcnt"))]
fn fill_rows(columns: &[Column], rows: Rows<'_>, first: usize, bytes: &mut [u8], n_planes: usize) -> usize {
    let mut n_infinite = 0;
    for (row, bytes) in bytes.chunks_exact_mut(n_planes).enumerate() {
        for (column, planes) in columns.iter().zip(bytes.as_chunks_mut::<2>().0) {
            let value = rows.column(column.feature)[first + row];
            let byte = match_target! {
                "x86_64+avx512f+avx512bw+avx512vbmi+bmi2+popcnt" => column.byte(value, |of, value| avx512::count(of, value)),
                _ => column.byte(value, count),
            };
            *planes = [byte, byte.wrapping_add(1)];
            n_infinite += usize::from(value.is_infinite());
        }
    }
    n_infinite
}

/// How many of sixteen thresholds are not above the value; none for NaN.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it takes on the instructions of its caller")]
fn count(thresholds: &[f32; LANES], value: f32) -> usize {
    let mut n = 0_u8;
    for &threshold in thresholds {
        n += u8::from(threshold <= value);
    }
    usize::from(n)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[multiversion(targets("x86_64+avx2+bmi2+popcnt"))]
    fn bytes_avx2(column: &Column, values: &[f32], bytes: &mut [u8]) {
        for (&value, byte) in values.iter().zip(bytes) {
            *byte = column.byte(value, count);
        }
    }

    fn bytes_baseline(column: &Column, values: &[f32], bytes: &mut [u8]) {
        for (&value, byte) in values.iter().zip(bytes) {
            *byte = column.byte(value, count);
        }
    }

    proptest! {
        /// The kernels of better processors are compared with the plain reading of whole ensembles.
        #[test]
        fn a_byte_counts_thresholds_on_every_processor(
            thresholds in prop::collection::btree_set(-500_i16..500, 1..=THRESHOLDS_MAX),
            values in prop::collection::vec(prop_oneof![9 => (-510_i16..510).prop_map(f32::from), 1 => Just(f32::NAN)], 1..200),
        ) {
            let thresholds: Vec<f32> = thresholds.into_iter().map(f32::from).collect();
            let n_below = |value: f32| thresholds.partition_point(|&threshold| threshold <= value);
            let expected = values.iter().map(|&value| if value.is_nan() { 255 } else { n_below(value) });
            let expected: Vec<u8> = expected.map(|n| u8::try_from(n).unwrap()).collect();
            let column = Column::new(0, &thresholds);
            for kernel in [bytes_avx2, bytes_baseline] {
                let mut found = vec![0; values.len()];
                kernel(&column, &values, &mut found);
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
