use super::TreeError;
use super::bins::{BinnedRows, Bins, ROWS};
use super::complete::{CompleteTrees, FewRows};
use super::walk::Walk;

/// Trees in one model.
pub const TREES_MAX: usize = 20_000;
/// Nodes in all trees of one model.
pub const NODES_MAX: usize = 4_000_000;
/// Splits on the way to a leaf.
pub const DEPTH_MAX: usize = 64;
/// Inputs of one model.
pub const FEATURES_MAX: usize = 4096;

/// From so many rows in a block on, the sliced kernel is faster than going row by row.
const SLICED_ROWS_MIN: usize = 16;

/// One step of a decision tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node {
    Leaf {
        value: f32,
    },
    /// `x < threshold` goes left; a missing `x` goes where `missing_left` says.
    Split {
        feature: usize,
        threshold: f32,
        missing_left: bool,
        left: usize,
        right: usize,
    },
}

/// A decision tree as a file gives it, unchecked: the root is node 0, unreachable nodes do not count.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tree {
    pub nodes: Vec<Node>,
}

/// What turns the sum of the leaves into the prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Identity,
    /// 1 ∕ (1 + e⁻ˣ)
    Logistic,
}

/// What a model file says, unchecked.
#[derive(Debug, Clone, PartialEq)]
pub struct EnsembleParts {
    pub n_features: usize,
    /// Empty when the file does not name its inputs.
    pub feature_names: Vec<String>,
    /// What the leaves are added to, in order.
    pub start: f32,
    /// What is added to their sum.
    pub offset: f32,
    pub link: Link,
    pub trees: Vec<Tree>,
}

/// Boosted trees, checked and laid out for evaluation.
///
/// A row's prediction has the same bits in a batch of any size and at any position: every kernel adds the leaves in
/// the order of the trees, in `f32`. XGBoost begins with the base score, ONNX Runtime adds it in the end; so do we, each
/// for its own files, which gives their very bits.
#[derive(Debug, Clone)]
pub struct Ensemble {
    n_features: usize,
    feature_names: Vec<String>,
    start: f32,
    offset: f32,
    link: Link,
    bins: Bins,
    walk: Walk,
    /// The fast layout, where it fits.
    complete: Option<CompleteTrees>,
}

/// Rows to predict, column-major: all rows of the first feature, then of the second. NaN is missing, and so is ±∞.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    values: &'a [f32],
    n_rows: usize,
}

impl<'a> Rows<'a> {
    /// # Panics
    /// When the values are no whole number of columns: a bug of the caller.
    pub fn new(values: &'a [f32], n_rows: usize) -> Self {
        let fits = if n_rows == 0 { values.is_empty() } else { values.len().is_multiple_of(n_rows) };
        assert!(fits, "{} values are no columns of {n_rows} rows", values.len());
        Self { values, n_rows }
    }

    pub fn len(&self) -> usize {
        self.n_rows
    }

    pub fn is_empty(&self) -> bool {
        self.n_rows == 0
    }

    /// The values of one feature.
    pub(crate) fn column(&self, feature: usize) -> &'a [f32] {
        &self.values[feature * self.n_rows..][..self.n_rows]
    }
}

/// Memory that evaluations reuse; any ensemble may use any workspace.
#[derive(Debug, Default)]
pub struct Workspace {
    binned: BinnedRows,
}

impl Workspace {
    pub fn new() -> Self {
        Self::default()
    }
}

impl Ensemble {
    /// # Errors
    /// When the parts are no trees, refer to what does not exist, or exceed a limit.
    pub fn new(parts: EnsembleParts) -> Result<Self, TreeError> {
        let EnsembleParts { n_features, feature_names, start, offset, link, trees } = parts;
        limit("features", n_features, FEATURES_MAX)?;
        limit("trees", trees.len(), TREES_MAX)?;
        limit("nodes", trees.iter().map(|tree| tree.nodes.len()).sum(), NODES_MAX)?;
        if !feature_names.is_empty() && feature_names.len() != n_features {
            return Err(TreeError::NameCount { n_names: feature_names.len(), n_features });
        }
        let mut depth = 0;
        // Bounds every sum of leaves, so that no prediction can be infinite.
        let mut sum_max = f64::from(start.abs()) + f64::from(offset.abs());
        for (index, tree) in trees.iter().enumerate() {
            let shape = shape(tree, n_features).map_err(|fault| TreeError::Tree { index, fault })?;
            depth = depth.max(shape.depth);
            sum_max += f64::from(shape.leaf_max);
        }
        if !sum_max.is_finite() || sum_max >= f64::from(f32::MAX) {
            return Err(TreeError::Overflow);
        }
        let (bins, splits) = Bins::new(n_features, &trees)?;
        let walk = Walk::new(&trees, &splits);
        let complete = CompleteTrees::new(&trees, depth, &bins, &splits);
        Ok(Self { n_features, feature_names, start, offset, link, bins, walk, complete })
    }

    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// The inputs in order, as the model file names them; empty when it does not.
    pub fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    pub fn link(&self) -> Link {
        self.link
    }

    /// Writes one prediction per row and says how many infinite values were taken for missing.
    ///
    /// # Panics
    /// When `rows` has not [`Self::n_features`] columns or `out` not one place per row: bugs of the caller.
    pub fn predict(&self, rows: Rows<'_>, workspace: &mut Workspace, out: &mut [f32]) -> usize {
        assert_eq!(rows.values.len(), self.n_features * rows.len(), "the model has {} features", self.n_features);
        assert_eq!(out.len(), rows.len(), "one prediction per row");
        out.fill(self.start);
        let mut n_infinite = 0;
        for (block, sums) in out.chunks_mut(ROWS).enumerate() {
            n_infinite += self.add_block(rows, block * ROWS, &mut workspace.binned, sums);
        }
        for sum in out {
            *sum = self.prediction(*sum);
        }
        n_infinite
    }

    /// What a sum of leaves means.
    fn prediction(&self, sum: f32) -> f32 {
        match self.link {
            Link::Identity => sum + self.offset,
            Link::Logistic => logistic(sum + self.offset),
        }
    }

    /// Adds all trees to the sums of a block of rows.
    fn add_block(&self, rows: Rows<'_>, first: usize, binned: &mut BinnedRows, sums: &mut [f32]) -> usize {
        if let Some(trees) = &self.complete
            && sums.len() >= SLICED_ROWS_MIN
        {
            let n_infinite = binned.fill_planes(&self.bins, rows, first, sums.len());
            trees.add_sliced(binned.planes(), sums);
            return n_infinite;
        }
        let n_infinite = binned.fill_rows(&self.bins, rows, first, sums.len());
        match &self.complete {
            Some(trees) => FewRows { trees, walk: &self.walk, rows: binned }.add(sums),
            None => self.walk.add(binned.rows(), sums),
        }
        n_infinite
    }
}

/// In `f64`, so that the platform's `expf` does not show.
#[expect(clippy::cast_possible_truncation, reason = "a probability, rounded once")]
fn logistic(margin: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(margin)).exp())) as f32
}

/// What one tree turned out to be.
struct Shape {
    depth: usize,
    leaf_max: f32,
}

/// Why a tree is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TreeFault {
    #[error("node {node} does not exist")]
    NoNode { node: usize },
    #[error("node {node} is reached twice")]
    ReachedTwice { node: usize },
    #[error("node {node} is deeper than {DEPTH_MAX} splits")]
    TooDeep { node: usize },
    #[error("node {node} asks for feature {feature} of {n_features}")]
    NoFeature { node: usize, feature: usize, n_features: usize },
    #[error("the threshold of node {node} is NaN")]
    Threshold { node: usize },
    #[error("the value of leaf {node} is not finite")]
    Leaf { node: usize },
}

/// Walks a tree from its root: every node once, so a cycle cannot hide.
fn shape(tree: &Tree, n_features: usize) -> Result<Shape, TreeFault> {
    let mut is_reached = vec![false; tree.nodes.len()];
    let mut waiting = vec![(0, 0)];
    let mut shape = Shape { depth: 0, leaf_max: 0.0 };
    while let Some((node, depth)) = waiting.pop() {
        let Some(&found) = tree.nodes.get(node) else { return Err(TreeFault::NoNode { node }) };
        if std::mem::replace(&mut is_reached[node], true) {
            return Err(TreeFault::ReachedTwice { node });
        }
        match found {
            Node::Leaf { value } if value.is_finite() => {
                shape.depth = shape.depth.max(depth);
                shape.leaf_max = shape.leaf_max.max(value.abs());
            }
            Node::Leaf { .. } => return Err(TreeFault::Leaf { node }),
            Node::Split { .. } if depth == DEPTH_MAX => return Err(TreeFault::TooDeep { node }),
            Node::Split { threshold, .. } if threshold.is_nan() => return Err(TreeFault::Threshold { node }),
            Node::Split { feature, .. } if feature >= n_features => {
                return Err(TreeFault::NoFeature { node, feature, n_features });
            }
            Node::Split { left, right, .. } => waiting.extend([(left, depth + 1), (right, depth + 1)]),
        }
    }
    Ok(shape)
}

fn limit(what: &'static str, found: usize, max: usize) -> Result<(), TreeError> {
    if found > max { Err(TreeError::TooMany { what, found, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a tree means, spelled out.
    fn leaf(tree: &Tree, row: &[f32]) -> f32 {
        let mut at = 0;
        loop {
            match tree.nodes[at] {
                Node::Leaf { value } => return value,
                Node::Split { feature, threshold, missing_left, left, right } => {
                    let value = row[feature];
                    let goes_left = if value.is_finite() { value < threshold } else { missing_left };
                    at = if goes_left { left } else { right };
                }
            }
        }
    }

    fn expected(parts: &EnsembleParts, row: &[f32]) -> u32 {
        let sum = parts.trees.iter().fold(parts.start, |sum, tree| sum + leaf(tree, row)) + parts.offset;
        let prediction = if parts.link == Link::Logistic { logistic(sum) } else { sum };
        prediction.to_bits()
    }

    fn columns(rows: &[Vec<f32>], n_features: usize) -> Vec<f32> {
        (0..n_features).flat_map(|feature| rows.iter().map(move |row| row[feature])).collect()
    }

    fn predict(ensemble: &Ensemble, rows: &[Vec<f32>]) -> Vec<u32> {
        let mut out = vec![0.0; rows.len()];
        let columns = columns(rows, ensemble.n_features());
        ensemble.predict(Rows::new(&columns, rows.len()), &mut Workspace::new(), &mut out);
        out.into_iter().map(f32::to_bits).collect()
    }

    const N_FEATURES: usize = 5;

    /// Few distinct numbers, so that values meet thresholds; ±0, ±∞ and missing among them.
    fn value() -> impl Strategy<Value = f32> {
        prop_oneof![
            6 => (-8_i16..8).prop_map(|eighths| f32::from(eighths) / 8.0),
            2 => -1.0_f32..1.0,
            1 => Just(f32::NAN),
            1 => prop::sample::select(vec![-0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE]),
        ]
    }

    /// A tree grown by splitting leaves chosen by the numbers given, down to a depth.
    fn tree(depth_max: usize) -> impl Strategy<Value = Tree> {
        let split = (any::<prop::sample::Index>(), 0..N_FEATURES, value(), any::<bool>(), -1.0_f32..1.0);
        (prop::collection::vec(split, 0..40), -1.0_f32..1.0).prop_map(move |(splits, value)| {
            let mut nodes = vec![Node::Leaf { value }];
            let mut leaves = vec![(0, 0)];
            for (index, feature, threshold, missing_left, value) in splits {
                let (at, depth) = leaves.swap_remove(index.index(leaves.len()));
                if depth == depth_max || threshold.is_nan() {
                    leaves.push((at, depth));
                    continue;
                }
                let left = nodes.len();
                let leaf = nodes[at];
                nodes.extend([Node::Leaf { value }, leaf]);
                nodes[at] = Node::Split { feature, threshold, missing_left, left, right: left + 1 };
                leaves.extend([(left, depth + 1), (left + 1, depth + 1)]);
            }
            Tree { nodes }
        })
    }

    fn parts(depth_max: usize) -> impl Strategy<Value = EnsembleParts> {
        let link = prop::sample::select(vec![Link::Identity, Link::Logistic]);
        (prop::collection::vec(tree(depth_max), 0..40), -1.0_f32..1.0, -1.0_f32..1.0, link).prop_map(
            |(trees, start, offset, link)| EnsembleParts {
                n_features: N_FEATURES,
                feature_names: Vec::new(),
                start,
                offset,
                link,
                trees,
            },
        )
    }

    fn rows() -> impl Strategy<Value = Vec<Vec<f32>>> {
        prop::collection::vec(prop::collection::vec(value(), N_FEATURES), 0..150)
    }

    fn check(parts: &EnsembleParts, rows: &[Vec<f32>], first: usize) -> Result<(), TestCaseError> {
        let ensemble = Ensemble::new(parts.clone()).unwrap();
        let all: Vec<u32> = rows.iter().map(|row| expected(parts, row)).collect();
        let first = first.min(rows.len());
        prop_assert_eq!(&predict(&ensemble, rows), &all);
        prop_assert_eq!(&predict(&ensemble, &rows[first..]), &all[first..]);
        for (row, expected) in rows.iter().zip(&all) {
            prop_assert_eq!(predict(&ensemble, std::slice::from_ref(row)), [*expected]);
        }
        for kernel in Kernel::ALL {
            prop_assert_eq!(&predict_with(&ensemble, kernel, rows), &all, "{:?}", kernel);
        }
        Ok(())
    }

    /// What the processor at hand would not choose by itself.
    #[derive(Debug, Clone, Copy)]
    enum Kernel {
        Walk,
        Sliced,
        SlicedAvx2,
        SlicedBaseline,
    }

    impl Kernel {
        const ALL: [Self; 4] = [Self::Walk, Self::Sliced, Self::SlicedAvx2, Self::SlicedBaseline];
    }

    fn predict_with(ensemble: &Ensemble, kernel: Kernel, rows: &[Vec<f32>]) -> Vec<u32> {
        let columns = columns(rows, ensemble.n_features());
        let mut binned = BinnedRows::default();
        let mut out = vec![ensemble.start; rows.len()];
        for (block, sums) in out.chunks_mut(ROWS).enumerate() {
            let rows = Rows::new(&columns, rows.len());
            let trees = ensemble.complete.as_ref();
            let trees = trees.inspect(|_| _ = binned.fill_planes(&ensemble.bins, rows, block * ROWS, sums.len()));
            match (kernel, trees) {
                (Kernel::Walk, _) | (_, None) => {
                    binned.fill_rows(&ensemble.bins, rows, block * ROWS, sums.len());
                    ensemble.walk.add(binned.rows(), sums);
                }
                (Kernel::Sliced, Some(trees)) => trees.add_sliced(binned.planes(), sums),
                (Kernel::SlicedAvx2, Some(trees)) => trees.add_sliced_avx2(binned.planes(), sums),
                (Kernel::SlicedBaseline, Some(trees)) => trees.add_sliced_baseline(binned.planes(), sums),
            }
        }
        out.into_iter().map(|sum| ensemble.prediction(sum).to_bits()).collect()
    }

    proptest! {
        #[test]
        fn every_kernel_and_batch_gives_the_bits_of_the_plain_reading(
            (parts, rows, first) in (0_usize..=6).prop_flat_map(|depth| (parts(depth), rows(), 0_usize..150))
        ) {
            check(&parts, &rows, first)?;
        }

        #[test]
        fn so_do_deep_trees((parts, rows) in (parts(40), rows())) {
            check(&parts, &rows, 1)?;
        }
    }

    /// A stump per threshold.
    fn stumps(feature: usize, thresholds: impl Iterator<Item = f32>) -> Vec<Tree> {
        let stump = |threshold: f32| Tree {
            nodes: vec![
                Node::Split { feature, threshold, missing_left: threshold > 0.0, left: 1, right: 2 },
                Node::Leaf { value: threshold },
                Node::Leaf { value: 0.125 },
            ],
        };
        thresholds.map(stump).collect()
    }

    #[test]
    fn a_feature_may_have_any_number_of_thresholds() {
        for n in [1, 15, 16, 17, 240, 253, 254, 255, 256, 600, 5000] {
            let thresholds = || (0..n).map(|i| (i * 7 % n) as f32 / 16.0 - 3.0);
            let trees = stumps(1, thresholds()).into_iter().chain(stumps(0, [0.5].into_iter())).collect();
            let parts = EnsembleParts {
                n_features: 2,
                feature_names: Vec::new(),
                start: 0.0,
                offset: 0.0,
                link: Link::Identity,
                trees,
            };
            let around = |threshold: f32| [threshold.next_down(), threshold, threshold.next_up(), f32::NAN];
            let rows: Vec<_> = thresholds().take(300).flat_map(around).map(|value| vec![value, value]).collect();
            check(&parts, &rows, 77).unwrap();
        }
    }

    #[test]
    fn many_features_work_in_every_kernel() {
        for n_features in [63, 64, 65, 127, 128, 129, 300] {
            let trees: Vec<Tree> = (0..n_features).flat_map(|feature| stumps(feature, [0.5].into_iter())).collect();
            let parts = EnsembleParts {
                n_features,
                feature_names: Vec::new(),
                start: 0.5,
                offset: 0.0,
                link: Link::Identity,
                trees,
            };
            let row = |row: usize| (0..n_features).map(|feature| (feature * row % 3) as f32 / 2.0).collect();
            check(&parts, &(0..70).map(row).collect::<Vec<_>>(), 3).unwrap();
        }
    }

    #[test]
    fn infinite_values_are_missing_and_counted() {
        let parts = EnsembleParts {
            n_features: 1,
            feature_names: Vec::new(),
            start: 0.0,
            offset: 0.0,
            link: Link::Identity,
            trees: stumps(0, [0.5].into_iter()),
        };
        let ensemble = Ensemble::new(parts).unwrap();
        for n_rows in [3, 30] {
            let values: Vec<f32> =
                [f32::INFINITY, f32::NEG_INFINITY, f32::NAN].into_iter().cycle().take(n_rows).collect();
            let mut out = vec![0.0; n_rows];
            let n_infinite = ensemble.predict(Rows::new(&values, n_rows), &mut Workspace::new(), &mut out);
            assert_eq!((n_infinite, out), (2 * n_rows / 3, vec![0.5; n_rows]));
        }
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let split = Node::Split { feature: 0, threshold: 0.0, missing_left: true, left: 1, right: 2 };
        let leaf = Node::Leaf { value: 1.0 };
        let check = |nodes: &[Node], expected: TreeFault| {
            let trees = vec![Tree { nodes: vec![leaf] }, Tree { nodes: nodes.to_vec() }];
            let parts = EnsembleParts {
                n_features: 1,
                feature_names: Vec::new(),
                start: 0.0,
                offset: 0.0,
                link: Link::Identity,
                trees,
            };
            match Ensemble::new(parts) {
                Err(TreeError::Tree { index: 1, fault }) => assert_eq!(fault, expected),
                other => panic!("{other:?}"),
            }
        };
        check(&[], TreeFault::NoNode { node: 0 });
        check(&[split, leaf], TreeFault::NoNode { node: 2 });
        check(&[split, split, leaf], TreeFault::ReachedTwice { node: 2 });
        check(&[split, leaf, Node::Leaf { value: f32::NAN }], TreeFault::Leaf { node: 2 });
        let chain = (0..=DEPTH_MAX).flat_map(|depth| {
            let left = 2 * depth + 1;
            [Node::Split { feature: 0, threshold: 0.0, missing_left: true, left, right: left + 1 }, leaf]
        });
        let mut chain: Vec<Node> = chain.collect();
        chain.push(leaf);
        // The chain goes on at every left child, which is where the next split stands.
        for at in (2..chain.len()).step_by(2) {
            chain.swap(at - 1, at);
        }
        check(&chain, TreeFault::TooDeep { node: 2 * DEPTH_MAX - 1 });
    }

    #[test]
    fn leaves_that_could_add_up_to_infinity_are_refused() {
        let tree = Tree { nodes: vec![Node::Leaf { value: f32::MAX }] };
        let parts = |trees| EnsembleParts {
            n_features: 1,
            feature_names: Vec::new(),
            start: 0.0,
            offset: 0.0,
            link: Link::Identity,
            trees,
        };
        assert!(matches!(Ensemble::new(parts(vec![tree.clone(), tree])), Err(TreeError::Overflow)));
    }
}
