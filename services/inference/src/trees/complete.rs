//! Shallow trees, filled up to complete ones: no node needs to say where its children are, and every split of a tree
//! can be decided before it is known which of them matter.
//!
//! Two kernels use the layout. The *sliced* one takes one split for 64 rows at a time and folds the answers, from the
//! leaves up, into the number of each row's leaf. The *row* one takes all splits of a tree for one row at a time.

use multiversion::multiversion;
use multiversion::target::match_target;

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::bins::{BLOCK_PLANES_MAX, BinnedRows, Bins, ByteSplit, Planes, ROWS, SplitIndex};
use super::ensemble::{Node, Tree};
use super::portable;
use super::walk::Walk;

/// Splits on the way to any leaf.
pub(super) const DEPTH_MAX: usize = 6;
/// Shallower trees are filled up to this.
pub(super) const DEPTH_MIN: usize = 3;
/// Leaves of a tree, and places for its splits.
pub(super) const LEAVES: usize = 1 << DEPTH_MAX;

/// Trees of at most [`DEPTH_MAX`] splits to a leaf over at most [`BLOCK_PLANES_MAX`] planes.
#[derive(Debug, Clone)]
pub(super) struct CompleteTrees {
    pub(super) trees: Vec<CompleteTree>,
    /// Of all trees, filled up to the deepest.
    pub(super) depth: usize,
    pub(super) n_planes: usize,
}

/// Node 1 is the root, 2n and 2n + 1 are the children of n. Aligned, so that no vector lies in two cache lines.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct CompleteTree {
    pub(super) planes: [u8; LEAVES],
    pub(super) bins: [u8; LEAVES],
    /// [`Self::bins`], each four times: four bytes are broadcast without a shuffle.
    pub(super) wide_bins: [[u8; 4]; LEAVES],
    pub(super) leaves: [f32; LEAVES],
}

impl CompleteTrees {
    /// `None` when the trees are too deep or ask too many features. Expects checked trees.
    pub(super) fn new(trees: &[Tree], depth: usize, bins: &Bins, splits: &SplitIndex) -> Option<Self> {
        let fits = depth <= DEPTH_MAX && bins.n_planes() <= BLOCK_PLANES_MAX;
        let depth = depth.max(DEPTH_MIN);
        fits.then(|| Self {
            trees: trees.iter().map(|tree| CompleteTree::new(tree, depth, splits)).collect(),
            depth,
            n_planes: bins.n_planes(),
        })
    }

    /// Adds all trees to the sums of the rows in the planes.
    pub(super) fn add_sliced(&self, planes: &Planes, sums: &mut [f32]) {
        on_a_block(sums, |sums| add_sliced(self, planes, sums));
    }

    #[cfg(test)]
    pub(super) fn add_sliced_avx2(&self, planes: &Planes, sums: &mut [f32]) {
        on_a_block(sums, |sums| add_sliced_avx2(self, planes, sums));
    }

    #[cfg(test)]
    pub(super) fn add_sliced_baseline(&self, planes: &Planes, sums: &mut [f32]) {
        on_a_block(sums, |sums| portable::add_sliced(self, planes, sums));
    }
}

/// Rows too few for the sliced kernel, the trees for them, and the same trees for processors without a row kernel.
pub(super) struct FewRows<'a> {
    pub(super) trees: &'a CompleteTrees,
    pub(super) walk: &'a Walk,
    pub(super) rows: &'a BinnedRows,
}

impl FewRows<'_> {
    /// Adds all trees to the sums of the rows.
    pub(super) fn add(&self, sums: &mut [f32]) {
        add_few(self, sums);
    }
}

/// Fills a block up with rows that do not exist.
fn on_a_block(sums: &mut [f32], add: impl FnOnce(&mut [f32; ROWS])) {
    let mut block = [0.0; ROWS];
    block[..sums.len()].copy_from_slice(sums);
    add(&mut block);
    sums.copy_from_slice(&block[..sums.len()]);
}

impl CompleteTree {
    fn new(tree: &Tree, depth: usize, splits: &SplitIndex) -> Self {
        let mut complete =
            Self { planes: [0; LEAVES], bins: [0; LEAVES], wide_bins: [[0; 4]; LEAVES], leaves: [0.0; LEAVES] };
        complete.fill(tree, 0, 1, 1 << depth, splits);
        complete
    }

    /// Fills the subtree of `place` with what `node` says. Places from `bottom` on are leaves.
    fn fill(&mut self, tree: &Tree, node: usize, place: usize, bottom: usize, splits: &SplitIndex) {
        let (split, left, right) = match tree.nodes[node] {
            Node::Leaf { value } if place >= bottom => {
                self.leaves[place - bottom] = value;
                return;
            }
            // A leaf above the bottom repeats itself below.
            Node::Leaf { .. } => (ByteSplit::ALWAYS_LEFT, node, node),
            Node::Split { feature, threshold, missing_left, left, right } => {
                (splits.split(feature, threshold, missing_left), left, right)
            }
        };
        self.planes[place] = u8::try_from(split.plane).expect("planes are few");
        self.bins[place] = split.bin;
        self.wide_bins[place] = [split.bin; 4];
        self.fill(tree, left, 2 * place, bottom, splits);
        self.fill(tree, right, 2 * place + 1, bottom, splits);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vbmi+bmi2+popcnt", "x86_64+avx2+bmi2+popcnt"))]
fn add_sliced(trees: &CompleteTrees, planes: &Planes, sums: &mut [f32; ROWS]) {
    match_target! {
        "x86_64+avx512f+avx512bw+avx512vbmi+bmi2+popcnt" => avx512::add_sliced(trees, planes, sums),
        _ => portable::add_sliced(trees, planes, sums),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vbmi+bmi2+popcnt"))]
fn add_few(few: &FewRows<'_>, sums: &mut [f32]) {
    match_target! {
        "x86_64+avx512f+avx512bw+avx512vbmi+bmi2+popcnt" => {
            for (row, sum) in few.rows.rows().zip(sums) {
                let mut planes = [0; BLOCK_PLANES_MAX];
                planes[..row.len()].copy_from_slice(row);
                avx512::add_row(few.trees, &planes, sum);
            }
        },
        _ => few.walk.add(few.rows.rows(), sums),
    }
}

/// What a processor without AVX-512 would take.
#[cfg(test)]
#[multiversion(targets("x86_64+avx2+bmi2+popcnt"))]
fn add_sliced_avx2(trees: &CompleteTrees, planes: &Planes, sums: &mut [f32; ROWS]) {
    portable::add_sliced(trees, planes, sums);
}

/// The number of each row's leaf, folded from the bottom up: a subtree of `$depth` levels of splits at `$node`. The
/// caller has the functions `bottom`, which decides a split above two leaves, and `above`, which chooses between
/// subtrees. An expression without a call to itself, because a function for one instruction set cannot be forced into
/// its caller.
macro_rules! leaf_numbers {
    (1, $tree:expr, $planes:expr, $node:expr) => { bottom($tree, $planes, $node) };
    (2, $tree:expr, $planes:expr, $node:expr) => { leaf_numbers!(@1, 2, $tree, $planes, $node) };
    (3, $tree:expr, $planes:expr, $node:expr) => { leaf_numbers!(@2, 4, $tree, $planes, $node) };
    (4, $tree:expr, $planes:expr, $node:expr) => { leaf_numbers!(@3, 8, $tree, $planes, $node) };
    (5, $tree:expr, $planes:expr, $node:expr) => { leaf_numbers!(@4, 16, $tree, $planes, $node) };
    (6, $tree:expr, $planes:expr, $node:expr) => { leaf_numbers!(@5, 32, $tree, $planes, $node) };
    (@$below:tt, $half:literal, $tree:expr, $planes:expr, $node:expr) => {{
        let left = leaf_numbers!($below, $tree, $planes, 2 * ($node));
        let right = leaf_numbers!($below, $tree, $planes, 2 * ($node) + 1);
        above($tree, $planes, $node, left, right, $half)
    }};
}
pub(super) use leaf_numbers;
