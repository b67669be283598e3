//! Once warm, evaluation takes no memory from the system.

use inference::trees::{Ensemble, EnsembleParts, Link, Node, Rows, Tree, Workspace};

/// A tree whose left children split on, `depth` times.
fn tree(depth: usize) -> Tree {
    let mut nodes = vec![Node::Leaf { value: 0.5 }];
    for feature in 0..depth {
        let at = if feature == 0 { 0 } else { nodes.len() - 2 };
        let left = nodes.len();
        nodes.extend([Node::Leaf { value: -0.5 }, Node::Leaf { value: 1.0 }]);
        nodes[at] = Node::Split { feature: feature % 4, threshold: 0.0, missing_left: true, left, right: left + 1 };
    }
    Tree { nodes }
}

#[test]
fn a_warm_batch_allocates_nothing() {
    for depth in [2, 6, 12] {
        let parts = EnsembleParts {
            n_features: 4,
            feature_names: Vec::new(),
            start: 0.0,
            offset: 0.0,
            link: Link::Logistic,
            trees: vec![tree(depth); 100],
        };
        let ensemble = Ensemble::new(parts).unwrap();
        let values: Vec<f32> = (0..4 * 6000_u16).map(|at| f32::from(at % 7) - 3.0).collect();
        let mut out = vec![0.0; 6000];
        let mut workspace = Workspace::new();
        let mut predict = |n_rows: usize| {
            ensemble.predict(Rows::new(&values[..4 * n_rows], n_rows), &mut workspace, &mut out[..n_rows]);
        };
        // One batch for each kernel.
        predict(6000);
        predict(1);
        let used = allocation_counter::measure(|| [1, 8, 64, 100, 6000].into_iter().for_each(&mut predict));
        assert_eq!(used.count_total, 0, "depth {depth}");
    }
}
