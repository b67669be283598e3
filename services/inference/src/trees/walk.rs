//! Trees of any shape, several in flight at once: while one waits for a node, the others move.

use super::bins::{ByteSplit, SplitIndex};
use super::ensemble::{Node, Tree};

/// Trees that walk side by side: enough to hide the loads, few enough for registers.
const ABREAST: usize = 16;

#[derive(Debug, Clone)]
pub(super) struct Walk {
    /// Siblings lie side by side. A leaf goes left to itself, so a walk may take more steps than it needs.
    nodes: Vec<WalkNode>,
    /// By node; of splits, 0.
    values: Vec<f32>,
    groups: Vec<Group>,
}

#[derive(Debug, Clone, Copy)]
struct WalkNode {
    left: u32,
    split: ByteSplit,
}

/// Trees that walk side by side, and how many steps the deepest takes.
#[derive(Debug, Clone, Copy)]
struct Group {
    roots: [u32; ABREAST],
    n_trees: usize,
    depth: usize,
}

impl Walk {
    /// Expects checked trees.
    pub(super) fn new(trees: &[Tree], splits: &SplitIndex) -> Self {
        let mut walk = Self { nodes: Vec::new(), values: Vec::new(), groups: Vec::new() };
        for trees in trees.chunks(ABREAST) {
            let mut group = Group { roots: [0; ABREAST], n_trees: trees.len(), depth: 0 };
            for (root, tree) in group.roots.iter_mut().zip(trees) {
                *root = walk.reserve(1);
                group.depth = group.depth.max(walk.add_tree(tree, *root, splits));
            }
            let (trees, spare) = group.roots.split_at_mut(group.n_trees);
            spare.fill(trees[0]);
            walk.groups.push(group);
        }
        walk
    }

    /// Adds all trees to every row's sum.
    pub(super) fn add<'a>(&self, rows: impl Iterator<Item = &'a [u8]>, sums: &mut [f32]) {
        for (row, sum) in rows.zip(sums) {
            for group in &self.groups {
                let mut at = group.roots;
                for _ in 0..group.depth {
                    for at in &mut at {
                        let WalkNode { left, split } = self.nodes[*at as usize];
                        *at = left + u32::from(row[usize::from(split.plane)] > split.bin);
                    }
                }
                for &at in &at[..group.n_trees] {
                    *sum += self.values[at as usize];
                }
            }
        }
    }

    /// Lays out a tree below its root, breadth first, and says how deep it is.
    fn add_tree(&mut self, tree: &Tree, root: u32, splits: &SplitIndex) -> usize {
        let mut depth = 0;
        let mut level = vec![(0, root)];
        loop {
            let mut below = Vec::new();
            for (node, at) in level {
                match tree.nodes[node] {
                    Node::Leaf { value } => self.values[at as usize] = value,
                    Node::Split { feature, threshold, missing_left, left, right } => {
                        let first = self.reserve(2);
                        self.nodes[at as usize] =
                            WalkNode { left: first, split: splits.split(feature, threshold, missing_left) };
                        below.extend([(left, first), (right, first + 1)]);
                    }
                }
            }
            if below.is_empty() {
                return depth;
            }
            depth += 1;
            level = below;
        }
    }

    /// Makes room for leaves side by side.
    fn reserve(&mut self, n: u32) -> u32 {
        let first = u32::try_from(self.nodes.len()).expect("nodes are limited");
        self.nodes.extend((first..first + n).map(|at| WalkNode { left: at, split: ByteSplit::ALWAYS_LEFT }));
        self.values.resize(self.nodes.len(), 0.0);
        first
    }
}
