//! Models as `Booster.save_model("model.json")` of XGBoost 3 writes them.

use serde::Deserialize;

use super::TreeError;
use super::ensemble::{Ensemble, EnsembleParts, Link, Node, Tree};

impl Ensemble {
    /// Reads a model of XGBoost: `gbtree` with objective `reg:squarederror` or `binary:logistic`.
    ///
    /// # Errors
    /// When it is none, uses something else, or is damaged.
    pub fn from_xgboost_json(bytes: &[u8]) -> Result<Self, TreeError> {
        Self::new(EnsembleParts::from_xgboost_json(bytes)?.0)
    }
}

impl EnsembleParts {
    /// What the file says, unchecked, and by tree and node how much of the training data came there (its cover).
    pub(crate) fn from_xgboost_json(bytes: &[u8]) -> Result<(Self, Vec<Vec<f32>>), TreeError> {
        let Model { learner } = serde_json::from_slice(bytes).map_err(TreeError::Json)?;
        learner.check_supported()?;
        let parameters = &learner.parameters;
        let base_score = parameters.base_score()?;
        let (link, start) = match learner.objective.name.as_str() {
            "reg:squarederror" => (Link::Identity, base_score),
            "binary:logistic" if 0.0 < base_score && base_score < 1.0 => {
                (Link::Logistic, -(1.0 / base_score - 1.0).ln())
            }
            "binary:logistic" => return Err(inconsistent(format!("base_score {base_score} is no probability"))),
            other => return Err(unsupported(format!("the objective `{other}`"))),
        };
        let mut trees = learner.gradient_booster.model.trees;
        let covers = trees.iter_mut().map(|tree| std::mem::take(&mut tree.sum_hessian)).collect();
        let trees = trees.into_iter().enumerate().map(|(index, tree)| tree.read(index)).collect::<Result<_, _>>()?;
        let parts = Self {
            n_features: number("num_feature", &parameters.num_feature)?,
            feature_names: learner.feature_names,
            start,
            offset: 0.0,
            link,
            trees,
        };
        Ok((parts, covers))
    }
}

#[derive(Deserialize)]
struct Model {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    feature_names: Vec<String>,
    gradient_booster: Booster,
    #[serde(rename = "learner_model_param")]
    parameters: Parameters,
    objective: Objective,
}

#[derive(Deserialize, Default)]
struct Attributes {
    /// Of early stopping, counted from 0.
    best_iteration: Option<String>,
}

#[derive(Deserialize)]
struct Booster {
    name: String,
    #[serde(default)]
    model: Boosted,
}

#[derive(Deserialize, Default)]
struct Boosted {
    #[serde(default)]
    iteration_indptr: Vec<u32>,
    #[serde(default)]
    tree_info: Vec<i32>,
    trees: Vec<XgboostTree>,
}

/// Numbers are text in this part of the file.
#[derive(Deserialize)]
struct Parameters {
    base_score: String,
    num_feature: String,
    #[serde(default)]
    num_class: String,
    #[serde(default)]
    num_target: String,
}

#[derive(Deserialize)]
struct Objective {
    name: String,
}

#[derive(Deserialize)]
struct XgboostTree {
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    split_indices: Vec<usize>,
    /// The threshold of a split, the value of a leaf.
    split_conditions: Vec<f32>,
    default_left: Vec<u8>,
    #[serde(default)]
    sum_hessian: Vec<f32>,
    #[serde(default)]
    split_type: Vec<u8>,
    tree_param: TreeParameters,
}

#[derive(Deserialize)]
struct TreeParameters {
    #[serde(default)]
    size_leaf_vector: String,
}

impl Learner {
    fn check_supported(&self) -> Result<(), TreeError> {
        let booster = &self.gradient_booster;
        if booster.name != "gbtree" {
            return Err(unsupported(format!("the booster `{}`", booster.name)));
        }
        let parameters = &self.parameters;
        for (name, text) in [("num_class", &parameters.num_class), ("num_target", &parameters.num_target)] {
            if !["", "0", "1"].contains(&text.as_str()) {
                return Err(unsupported(format!("several outputs ({name} = {text})")));
            }
        }
        if booster.model.tree_info.iter().any(|&group| group != 0) {
            return Err(unsupported("several outputs (tree_info)"));
        }
        // XGBoost's own interfaces disagree on whether the later trees count.
        let n_iterations = booster.model.iteration_indptr.len().saturating_sub(1);
        if let Some(best) = &self.attributes.best_iteration
            && number("best_iteration", best)? + 1 != n_iterations
        {
            return Err(unsupported(format!(
                "early stopping: {n_iterations} iterations of which {best} is the best; save a slice up to it"
            )));
        }
        Ok(())
    }
}

impl Parameters {
    /// One number, since XGBoost 3.1 in brackets.
    fn base_score(&self) -> Result<f32, TreeError> {
        let text = self.base_score.as_str();
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if inner.contains(',') {
            return Err(unsupported(format!("several outputs (base_score = {text})")));
        }
        let score: f32 = inner.trim().parse().map_err(|_| inconsistent(format!("base_score is `{text}`")))?;
        if score.is_finite() { Ok(score) } else { Err(inconsistent(format!("base_score is `{text}`"))) }
    }
}

impl XgboostTree {
    fn read(self, index: usize) -> Result<Tree, TreeError> {
        if !["", "0", "1"].contains(&self.tree_param.size_leaf_vector.as_str()) {
            return Err(unsupported(format!("vector leaves (tree {index})")));
        }
        if self.split_type.iter().any(|&kind| kind != 0) {
            return Err(unsupported(format!("categorical splits (tree {index})")));
        }
        let n_nodes = self.left_children.len();
        for (name, len) in [
            ("right_children", self.right_children.len()),
            ("split_indices", self.split_indices.len()),
            ("split_conditions", self.split_conditions.len()),
            ("default_left", self.default_left.len()),
        ] {
            if len != n_nodes {
                return Err(inconsistent(format!("tree {index} has {n_nodes} nodes and {len} {name}")));
            }
        }
        let child = |node: usize, child: i32| {
            usize::try_from(child).map_err(|_| inconsistent(format!("node {node} of tree {index} has one child")))
        };
        let node = |node: usize| -> Result<Node, TreeError> {
            let (left, right) = (self.left_children[node], self.right_children[node]);
            let value = self.split_conditions[node];
            if (left, right) == (-1, -1) {
                return Ok(Node::Leaf { value });
            }
            Ok(Node::Split {
                feature: self.split_indices[node],
                threshold: value,
                missing_left: self.default_left[node] != 0,
                left: child(node, left)?,
                right: child(node, right)?,
            })
        };
        Ok(Tree { nodes: (0..n_nodes).map(node).collect::<Result<_, _>>()? })
    }
}

fn number(name: &str, text: &str) -> Result<usize, TreeError> {
    text.parse().map_err(|_| inconsistent(format!("{name} is `{text}`")))
}

fn unsupported(feature: impl Into<String>) -> TreeError {
    TreeError::Unsupported { feature: feature.into() }
}

fn inconsistent(what: String) -> TreeError {
    TreeError::Inconsistent { what }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trees::ensemble::{Rows, Workspace};

    /// A stump: `x < 0.5` is −1, else 2, missing is 2.
    pub(crate) const STUMP: &str = r#"{"version": [3, 2, 0], "learner": {"attributes": {},
        "feature_names": ["x"], "feature_types": ["float"],
        "gradient_booster": {"name": "gbtree", "model": {"tree_info": [0], "iteration_indptr": [0, 1], "trees": [
            {"left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
             "split_conditions": [5E-1, -1.0, 2.0], "default_left": [0, 0, 0], "split_type": [0, 0, 0],
             "tree_param": {"num_nodes": "3", "size_leaf_vector": "1"}}]}},
        "learner_model_param": {"base_score": "[2.5E-1]", "num_class": "0", "num_feature": "1", "num_target": "1"},
        "objective": {"name": "reg:squarederror"}}}"#;

    fn predict(text: &str, values: &[f32]) -> Vec<f32> {
        let ensemble = Ensemble::from_xgboost_json(text.as_bytes()).unwrap();
        let mut out = vec![0.0; values.len()];
        ensemble.predict(Rows::new(values, values.len()), &mut Workspace::new(), &mut out);
        out
    }

    #[test]
    fn less_than_the_threshold_goes_left_and_missing_where_it_is_told() {
        let values = [0.4, 0.5, 0.6, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        assert_eq!(predict(STUMP, &values), [-0.75, 2.25, 2.25, 2.25, 2.25, 2.25]);
        let left = STUMP.replace("\"default_left\": [0", "\"default_left\": [1");
        assert_eq!(predict(&left, &values), [-0.75, 2.25, 2.25, -0.75, -0.75, -0.75]);
    }

    #[test]
    fn the_base_score_of_a_classifier_is_a_probability() {
        let text = STUMP.replace("reg:squarederror", "binary:logistic").replace("[2.5E-1]", "5E-1");
        let probabilities = predict(&text, &[0.0, 1.0]);
        let expected = [1.0_f64, -2.0].map(|margin| 1.0 / (1.0 + margin.exp()));
        for (found, expected) in probabilities.into_iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 1e-7, "{found} {expected}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let check = |from: &str, to: &str, expected: &str| {
            assert!(STUMP.contains(from), "{from}");
            let error = Ensemble::from_xgboost_json(STUMP.replacen(from, to, 1).as_bytes()).unwrap_err();
            let text = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            assert!(text.contains(expected), "{text}");
        };
        check("gbtree", "dart", "the booster `dart`");
        check("gbtree", "gblinear", "the booster `gblinear`");
        check("reg:squarederror", "multi:softprob", "the objective `multi:softprob`");
        check("\"num_class\": \"0\"", "\"num_class\": \"3\"", "several outputs (num_class = 3)");
        check("\"num_target\": \"1\"", "\"num_target\": \"2\"", "several outputs (num_target = 2)");
        check("[2.5E-1]", "[2.5E-1,1]", "several outputs (base_score");
        check("\"tree_info\": [0]", "\"tree_info\": [1]", "several outputs (tree_info)");
        check("\"split_type\": [0", "\"split_type\": [1", "categorical splits (tree 0)");
        check("\"size_leaf_vector\": \"1\"", "\"size_leaf_vector\": \"2\"", "vector leaves (tree 0)");
        check("\"attributes\": {}", "\"attributes\": {\"best_iteration\": \"4\"}", "early stopping: 1 iterations");
        check("[2.5E-1]", "[x]", "base_score is `[x]`");
        check("[2.5E-1]", "inf", "base_score is `inf`");
        check("\"num_feature\": \"1\"", "\"num_feature\": \"-1\"", "num_feature is `-1`");
        check("\"num_feature\": \"1\"", "\"num_feature\": \"2\"", "names 1 features and has 2");
        check("\"num_feature\": \"1\"", "\"num_feature\": \"99999\"", "99999 features, more than 4096");
        check("\"left_children\": [1,", "\"left_children\": [0,", "node 0 is reached twice");
        check("\"left_children\": [1,", "\"left_children\": [2,", "node 2 is reached twice");
        check("\"left_children\": [1,", "\"left_children\": [7,", "node 7 does not exist");
        check("\"left_children\": [1,", "\"left_children\": [-1,", "has one child");
        check("\"left_children\": [1, -1, -1]", "\"left_children\": []", "0 nodes and 3 right_children");
        check("\"split_indices\": [0", "\"split_indices\": [1", "asks for feature 1 of 1");
        check("5E-1, -1.0", "5E-1, 1e39", "number out of range");
        check("\"learner\"", "\"teacher\"", "missing field `learner`");
    }

    proptest! {
        /// It may be refused or not, but it never panics; what is accepted can be evaluated.
        #[test]
        fn damaged_files_do_no_harm(
            damages in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"0129-.e[]{},:\"x"[..])), 0..4),
            len in any::<prop::sample::Index>(),
            is_cut in any::<bool>(),
        ) {
            let mut file = STUMP.as_bytes().to_vec();
            for (index, byte) in damages {
                let at = index.index(file.len());
                file[at] = byte;
            }
            if is_cut {
                file.truncate(len.index(file.len()));
            }
            if let Ok(ensemble) = Ensemble::from_xgboost_json(&file) {
                let row = vec![0.0; ensemble.n_features()];
                ensemble.predict(Rows::new(&row, 1), &mut Workspace::new(), &mut [0.0]);
            }
        }
    }
}
