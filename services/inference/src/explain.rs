//! Why a model says what it says: how much each input adds to a prediction, by exact `TreeSHAP`.

use crate::trees::{Ensemble, EnsembleParts, Node, Tree, TreeError};

/// Explains the predictions of boosted trees.
#[derive(Debug, Clone)]
pub struct Explainer {
    n_features: usize,
    /// What every row starts from.
    start: f64,
    trees: Vec<CoveredTree>,
}

/// A prediction in parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What the model says of nobody in particular: the mean over its training data.
    pub bias: f64,
    /// What each input adds, in the order of the inputs.
    ///
    /// # Units
    /// Those of the prediction; of a probability, log-odds.
    pub contributions: Vec<f64>,
}

impl Explanation {
    /// What the parts add up to: the prediction, or the log-odds of a probability.
    pub fn sum(&self) -> f64 {
        self.bias + self.contributions.iter().sum::<f64>()
    }
}

#[derive(Debug, Clone)]
struct CoveredTree {
    tree: Tree,
    /// By node, how much of the training data came there.
    covers: Vec<f64>,
    /// What the tree says on average over them.
    mean: f64,
}

impl Explainer {
    /// # Errors
    /// When the file is no model that can be evaluated, or does not say how much of the training data each node saw.
    pub fn from_xgboost_json(bytes: &[u8]) -> Result<Self, TreeError> {
        let (parts, covers) = EnsembleParts::from_xgboost_json(bytes)?;
        // Everything that is checked of a model that predicts, so that no tree here is a circle or a tower.
        Ensemble::new(parts.clone())?;
        let EnsembleParts { n_features, start, offset, trees, .. } = parts;
        let trees = trees.into_iter().zip(covers).enumerate();
        let trees = trees.map(|(index, (tree, covers))| CoveredTree::new(index, tree, &covers));
        let trees = trees.collect::<Result<_, _>>()?;
        Ok(Self { n_features, start: f64::from(start) + f64::from(offset), trees })
    }

    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Splits the prediction of a row of inputs into what each of them adds. NaN and ±∞ are missing.
    ///
    /// # Source
    /// Lundberg, Erion, Lee: Consistent Individualized Feature Attribution for Tree Ensembles (2018), algorithm 2; the
    /// values are those of `XGBoost`'s `pred_contribs`.
    ///
    /// # Panics
    /// When the row has not [`Self::n_features`] values: a bug of the caller.
    pub fn explain(&self, row: &[f32]) -> Explanation {
        assert_eq!(row.len(), self.n_features, "one value for each input");
        let mut explanation = Explanation { bias: self.start, contributions: vec![0.0; row.len()] };
        for tree in &self.trees {
            explanation.bias += tree.mean;
            let mut walk = Walk { tree, row, contributions: &mut explanation.contributions };
            walk.visit(0, &[], Step { feature: None, zero: 1.0, one: 1.0 });
        }
        explanation
    }
}

impl CoveredTree {
    fn new(index: usize, tree: Tree, covers: &[f32]) -> Result<Self, TreeError> {
        if covers.len() != tree.nodes.len() {
            let what = format!("tree {index} has {} nodes and {} sum_hessian", tree.nodes.len(), covers.len());
            return Err(TreeError::Inconsistent { what });
        }
        let covers: Vec<f64> = covers.iter().copied().map(f64::from).collect();
        if let Some(node) = covers.iter().position(|cover| !(cover.is_finite() && *cover > 0.0)) {
            let what = format!("node {node} of tree {index} has a cover of {}", covers[node]);
            return Err(TreeError::Inconsistent { what });
        }
        let mean = mean(&tree, &covers, 0);
        Ok(Self { tree, covers, mean })
    }
}

/// The trees are checked: none is deeper than the limit.
fn mean(tree: &Tree, covers: &[f64], node: usize) -> f64 {
    match tree.nodes[node] {
        Node::Leaf { value } => f64::from(value),
        Node::Split { left, right, .. } => {
            (covers[left] * mean(tree, covers, left) + covers[right] * mean(tree, covers, right)) / covers[node]
        }
    }
}

/// A feature on the way to a node: the share of all orders of features that come through when its value is unknown
/// (`zero`) and when it is known (`one`, 0 or 1).
#[derive(Debug, Clone, Copy)]
struct Step {
    /// `None` for the root.
    feature: Option<usize>,
    zero: f64,
    one: f64,
}

/// A step, and the share of the subsets of as many known features as its place says.
#[derive(Debug, Clone, Copy)]
struct Weighted {
    step: Step,
    weight: f64,
}

struct Walk<'a> {
    tree: &'a CoveredTree,
    row: &'a [f32],
    contributions: &'a mut [f64],
}

impl Walk<'_> {
    fn visit(&mut self, node: usize, way: &[Weighted], step: Step) {
        let mut way = extended(way, step);
        match self.tree.tree.nodes[node] {
            Node::Leaf { value } => {
                for at in 1..way.len() {
                    let Step { feature, zero, one } = way[at].step;
                    let feature = feature.expect("only the root has none");
                    self.contributions[feature] += unwound_sum(&way, at) * (one - zero) * f64::from(value);
                }
            }
            Node::Split { feature, threshold, missing_left, left, right } => {
                let value = self.row[feature];
                let goes_left = if value.is_finite() { value < threshold } else { missing_left };
                let (hot, cold) = if goes_left { (left, right) } else { (right, left) };
                // A feature that was asked before counts once.
                let (mut zero, mut one) = (1.0, 1.0);
                if let Some(at) = way.iter().position(|other| other.step.feature == Some(feature)) {
                    (zero, one) = (way[at].step.zero, way[at].step.one);
                    way = unwound(&way, at);
                }
                let share = |child: usize| self.tree.covers[child] / self.tree.covers[node];
                let (hot_share, cold_share) = (share(hot), share(cold));
                self.visit(hot, &way, Step { feature: Some(feature), zero: zero * hot_share, one });
                self.visit(cold, &way, Step { feature: Some(feature), zero: zero * cold_share, one: 0.0 });
            }
        }
    }
}

/// The way with one more step.
fn extended(way: &[Weighted], step: Step) -> Vec<Weighted> {
    let len = way.len();
    let mut longer = Vec::with_capacity(len + 1);
    longer.extend_from_slice(way);
    longer.push(Weighted { step, weight: if len == 0 { 1.0 } else { 0.0 } });
    for at in (0..len).rev() {
        let weight = longer[at].weight;
        longer[at + 1].weight += step.one * weight * (at + 1) as f64 / (len + 1) as f64;
        longer[at].weight = step.zero * weight * (len - at) as f64 / (len + 1) as f64;
    }
    longer
}

/// The way without one of its steps.
fn unwound(way: &[Weighted], without: usize) -> Vec<Weighted> {
    let mut shorter = way.to_vec();
    for (at, weight) in unwound_weights(way, without).into_iter().enumerate() {
        shorter[at].weight = weight;
    }
    for at in without..way.len() - 1 {
        shorter[at].step = way[at + 1].step;
    }
    shorter.pop();
    shorter
}

fn unwound_sum(way: &[Weighted], without: usize) -> f64 {
    unwound_weights(way, without).iter().sum()
}

/// The weights of the way as if one of its steps had never been.
fn unwound_weights(way: &[Weighted], without: usize) -> Vec<f64> {
    let len = way.len() - 1;
    let Step { zero, one, .. } = way[without].step;
    let mut weights = vec![0.0; len];
    let mut next = way[len].weight;
    for at in (0..len).rev() {
        // `one` is 0 or 1, never a share.
        weights[at] = if one > 0.0 {
            let weight = next * (len + 1) as f64 / ((at + 1) as f64 * one);
            next = way[at].weight - weight * zero * (len - at) as f64 / (len + 1) as f64;
            weight
        } else {
            way[at].weight * (len + 1) as f64 / (zero * (len - at) as f64)
        };
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Shapley values of one tree by their definition: over all subsets of features that are known.
    fn by_definition(tree: &CoveredTree, row: &[f32]) -> Vec<f64> {
        let n = row.len();
        let value = |known: usize| expected(tree, row, known, 0);
        let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
        let of_feature = |feature: usize| {
            let others = (0..1_usize << n).filter(|known| known >> feature & 1 == 0);
            others
                .map(|known| {
                    let size = known.count_ones() as usize;
                    let weight = factorial(size) * factorial(n - size - 1) / factorial(n);
                    weight * (value(known | 1 << feature) - value(known))
                })
                .sum()
        };
        (0..n).map(of_feature).collect()
    }

    fn expected(tree: &CoveredTree, row: &[f32], known: usize, node: usize) -> f64 {
        match tree.tree.nodes[node] {
            Node::Leaf { value } => f64::from(value),
            Node::Split { feature, threshold, missing_left, left, right } if known >> feature & 1 == 1 => {
                let is_left = if row[feature].is_finite() { row[feature] < threshold } else { missing_left };
                expected(tree, row, known, if is_left { left } else { right })
            }
            Node::Split { left, right, .. } => {
                let mean = [left, right].map(|child| tree.covers[child] * expected(tree, row, known, child));
                (mean[0] + mean[1]) / tree.covers[node]
            }
        }
    }

    /// A complete tree of this depth whose features repeat on the way, with covers that are no halves.
    fn tree(depth: usize) -> CoveredTree {
        let n_splits = (1 << depth) - 1;
        let node = |node: usize| {
            let value = (node * 7 % 11) as f32 / 4.0 - 1.0;
            if node >= n_splits {
                return Node::Leaf { value };
            }
            let (left, right) = (2 * node + 1, 2 * node + 2);
            Node::Split {
                feature: node * 5 % 4,
                threshold: value / 2.0,
                missing_left: node.is_multiple_of(3),
                left,
                right,
            }
        };
        let tree = Tree { nodes: (0..=2 * n_splits).map(node).collect() };
        let mut covers = vec![0.0; tree.nodes.len()];
        for node in (0..covers.len()).rev() {
            covers[node] =
                if node < n_splits { covers[2 * node + 1] + covers[2 * node + 2] } else { 1.0 + (node % 5) as f32 };
        }
        CoveredTree::new(0, tree, &covers).unwrap()
    }

    #[test]
    fn contributions_are_shapley_values() {
        for depth in 0..6 {
            let tree = tree(depth);
            let explainer = Explainer { n_features: 4, start: 0.25, trees: vec![tree.clone()] };
            for at in 0..40_u8 {
                let value = |feature: u8| match (at + feature) % 7 {
                    0 => f32::NAN,
                    other => f32::from(other * (feature + 1) % 5) / 2.0 - 1.0,
                };
                let row = [0, 1, 2, 3].map(value);
                let found = explainer.explain(&row);
                for (found, expected) in found.contributions.iter().zip(by_definition(&tree, &row)) {
                    assert!((found - expected).abs() < 1e-12, "depth {depth}, row {row:?}: {found} {expected}");
                }
                let prediction = 0.25 + expected(&tree, &row, 0b1111, 0);
                assert!((found.sum() - prediction).abs() < 1e-12, "depth {depth}, row {row:?}");
            }
        }
    }

    #[test]
    fn a_model_without_covers_is_refused() {
        let error = Explainer::from_xgboost_json(crate::trees::STUMP.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("0 sum_hessian") || error.contains("cover of"), "{error}");
    }
}
