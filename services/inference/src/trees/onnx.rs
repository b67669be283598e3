//! ONNX files that hold one `TreeEnsembleRegressor` or `TreeEnsembleClassifier` of the domain `ai.onnx.ml`, as
//! `onnxmltools` makes them of XGBoost.

use std::collections::BTreeMap;

use super::TreeError;
use super::ensemble::{Ensemble, EnsembleParts, FEATURES_MAX, Link, NODES_MAX, Node, TREES_MAX, Tree};
use super::protobuf::{Field, ProtobufError, fields};

impl Ensemble {
    /// Reads an ONNX file whose graph is one tree ensemble with one output: a regression, or a binary classification
    /// whose probability of the second class becomes the prediction.
    ///
    /// # Errors
    /// When it is none, uses something else, or is damaged.
    pub fn from_onnx(bytes: &[u8]) -> Result<Self, TreeError> {
        let graph = Graph::read(bytes)?;
        let is_classifier = match (graph.node.operator, graph.node.domain) {
            ("TreeEnsembleRegressor", "ai.onnx.ml") => false,
            ("TreeEnsembleClassifier", "ai.onnx.ml") => true,
            (operator, domain) => return Err(unsupported(format!("the operator `{operator}` of domain `{domain}`"))),
        };
        let mut attributes = Attributes::read(&graph.node.attributes)?;
        let link = attributes.link(is_classifier)?;
        let offset = match attributes.floats("base_values")[..] {
            [] => 0.0,
            [base] => base,
            _ => return Err(unsupported("several outputs (base_values)")),
        };
        Self::new(EnsembleParts {
            n_features: graph.n_features,
            feature_names: Vec::new(),
            start: 0.0,
            offset,
            link,
            trees: attributes.trees(is_classifier)?,
        })
    }
}

/// What matters of `ModelProto.graph`.
struct Graph<'a> {
    node: GraphNode<'a>,
    n_features: usize,
}

#[derive(Default)]
struct GraphNode<'a> {
    operator: &'a str,
    domain: &'a str,
    attributes: Vec<&'a [u8]>,
}

impl<'a> Graph<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, TreeError> {
        let graph = only(bytes, 7)?.ok_or_else(|| inconsistent("it has no graph"))?;
        let (mut nodes, mut inputs) = (Vec::new(), Vec::new());
        for field in fields(graph) {
            let field = field?;
            match field.number {
                1 => nodes.push(GraphNode::read(field.bytes()?)?),
                11 => inputs.push(field.bytes()?),
                _ => {}
            }
        }
        if nodes.len() > 1 {
            let operators: Vec<&str> = nodes.iter().take(8).map(|node| node.operator).collect();
            return Err(unsupported(format!("a graph of {} operators ({}, …)", nodes.len(), operators.join(", "))));
        }
        let node = nodes.pop().ok_or_else(|| inconsistent("its graph has no operator"))?;
        let [input] = inputs[..] else { return Err(unsupported(format!("{} inputs", inputs.len()))) };
        Ok(Self { node, n_features: n_features(input)? })
    }
}

impl<'a> GraphNode<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, ProtobufError> {
        let mut node = Self::default();
        for field in fields(bytes) {
            let field = field?;
            match field.number {
                4 => node.operator = field.text()?,
                5 => node.attributes.push(field.bytes()?),
                7 => node.domain = field.text()?,
                _ => {}
            }
        }
        Ok(node)
    }
}

/// The width of an input of type `tensor(float)` and shape `[rows, features]`.
fn n_features(input: &[u8]) -> Result<usize, TreeError> {
    const FLOAT: i64 = 1;
    let tensor = match only(input, 2)? {
        Some(of_type) => only(of_type, 1)?,
        None => None,
    };
    let tensor = tensor.ok_or_else(|| unsupported("an input that is no tensor"))?;
    let mut element = 0;
    let mut widths = Vec::new();
    for field in fields(tensor) {
        let field = field?;
        match field.number {
            1 => element = field.number_value()?,
            2 => {
                for dimension in fields(field.bytes()?) {
                    let width = fields(dimension?.bytes()?).find(|field| field.is_ok_and(|field| field.number == 1));
                    widths.push(width.transpose()?.map(|width| width.number_value()).transpose()?);
                }
            }
            _ => {}
        }
    }
    if element != FLOAT {
        return Err(unsupported(format!("an input of element type {element}; 1, 32-bit floats, is known")));
    }
    match widths[..] {
        [_, Some(width)] => usize::try_from(width).map_err(|_| inconsistent(format!("an input is {width} wide"))),
        _ => Err(unsupported("an input whose shape is not [rows, features]")),
    }
}

/// The attributes of the operator by name.
#[derive(Default)]
struct Attributes<'a> {
    integers: BTreeMap<&'a str, i64>,
    texts: BTreeMap<&'a str, &'a [u8]>,
    integer_lists: BTreeMap<&'a str, Vec<i64>>,
    float_lists: BTreeMap<&'a str, Vec<f32>>,
    text_lists: BTreeMap<&'a str, Vec<&'a [u8]>>,
}

/// Attributes that cannot change a prediction.
const IRRELEVANT: &[&str] = &["nodes_hitrates"];

impl<'a> Attributes<'a> {
    fn read(attributes: &[&'a [u8]]) -> Result<Self, TreeError> {
        let mut all = Self::default();
        for attribute in attributes {
            let attribute_fields = fields(attribute).collect::<Result<Vec<Field<'a>>, _>>()?;
            let name = attribute_fields.iter().find(|field| field.number == 1);
            let name = name.ok_or_else(|| inconsistent("an attribute has no name"))?.text()?;
            if IRRELEVANT.contains(&name) {
                continue;
            }
            for field in &attribute_fields {
                match field.number {
                    3 => _ = all.integers.insert(name, field.number_value()?),
                    4 => _ = all.texts.insert(name, field.bytes()?),
                    5 => return Err(unsupported(format!("the attribute `{name}`"))),
                    7 => field.append_floats(all.float_lists.entry(name).or_default())?,
                    8 => field.append_numbers(all.integer_lists.entry(name).or_default())?,
                    9 => all.text_lists.entry(name).or_default().push(field.bytes()?),
                    _ => {}
                }
            }
        }
        Ok(all)
    }

    fn link(&self, is_classifier: bool) -> Result<Link, TreeError> {
        let aggregate = self.text("aggregate_function", "SUM")?;
        if aggregate != "SUM" {
            return Err(unsupported(format!("the aggregate function `{aggregate}`")));
        }
        let link = match self.text("post_transform", "NONE")? {
            "NONE" if !is_classifier => Link::Identity,
            "LOGISTIC" => Link::Logistic,
            other => return Err(unsupported(format!("the transform `{other}`"))),
        };
        if is_classifier {
            let labels = self.integer_lists.get("classlabels_int64s").map_or(&[][..], Vec::as_slice);
            if labels != [0, 1] {
                return Err(unsupported("classes other than 0 and 1"));
            }
        } else if self.integers.get("n_targets").is_some_and(|&n| n != 1) {
            return Err(unsupported("several outputs (n_targets)"));
        }
        Ok(link)
    }

    fn trees(&mut self, is_classifier: bool) -> Result<Vec<Tree>, TreeError> {
        let prefix = if is_classifier { "class" } else { "target" };
        let nodes = Nodes {
            trees: self.integers("nodes_treeids"),
            ids: self.integers("nodes_nodeids"),
            features: self.integers("nodes_featureids"),
            thresholds: self.floats("nodes_values"),
            modes: self.text_lists.remove("nodes_modes").unwrap_or_default(),
            if_true: self.integers("nodes_truenodeids"),
            if_false: self.integers("nodes_falsenodeids"),
            missing_true: self.integers("nodes_missing_value_tracks_true"),
        };
        let leaves = Leaves {
            trees: self.integers(&format!("{prefix}_treeids")),
            nodes: self.integers(&format!("{prefix}_nodeids")),
            outputs: self.integers(&format!("{prefix}_ids")),
            weights: self.floats(&format!("{prefix}_weights")),
        };
        nodes.assemble(&leaves.by_node()?)
    }

    fn text(&self, name: &str, default: &'a str) -> Result<&'a str, TreeError> {
        let Some(bytes) = self.texts.get(name) else { return Ok(default) };
        std::str::from_utf8(bytes).map_err(|_| ProtobufError::Text.into())
    }

    fn integers(&mut self, name: &str) -> Vec<i64> {
        self.integer_lists.remove(name).unwrap_or_default()
    }

    fn floats(&mut self, name: &str) -> Vec<f32> {
        self.float_lists.remove(name).unwrap_or_default()
    }
}

/// `nodes_*`: one entry per node of any tree.
struct Nodes<'a> {
    trees: Vec<i64>,
    /// Within the tree.
    ids: Vec<i64>,
    features: Vec<i64>,
    thresholds: Vec<f32>,
    modes: Vec<&'a [u8]>,
    if_true: Vec<i64>,
    if_false: Vec<i64>,
    /// May be absent: then missing is false everywhere.
    missing_true: Vec<i64>,
}

/// `target_*` or `class_*`: one entry per leaf and output.
struct Leaves {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    outputs: Vec<i64>,
    weights: Vec<f32>,
}

impl Leaves {
    /// The weight by tree and node.
    fn by_node(&self) -> Result<BTreeMap<(i64, i64), f32>, TreeError> {
        let n = self.weights.len();
        if [&self.trees, &self.nodes, &self.outputs].iter().any(|list| list.len() != n) {
            return Err(inconsistent("the lists of leaves differ in length"));
        }
        if self.outputs.iter().any(|output| *output != self.outputs[0]) {
            return Err(unsupported("several outputs (leaves)"));
        }
        let mut weights = BTreeMap::new();
        for ((&tree, &node), &weight) in self.trees.iter().zip(&self.nodes).zip(&self.weights) {
            if weights.insert((tree, node), weight).is_some() {
                return Err(unsupported(format!("several weights of one leaf (node {node} of tree {tree})")));
            }
        }
        Ok(weights)
    }
}

impl Nodes<'_> {
    /// Trees in the order in which they first appear; their nodes likewise, the first is the root.
    fn assemble(&self, leaves: &BTreeMap<(i64, i64), f32>) -> Result<Vec<Tree>, TreeError> {
        let n = self.trees.len();
        let integers = [&self.ids, &self.features, &self.if_true, &self.if_false];
        let is_even = integers.iter().all(|list| list.len() == n)
            && (self.thresholds.len(), self.modes.len()) == (n, n)
            && [0, n].contains(&self.missing_true.len());
        if !is_even {
            return Err(inconsistent("the lists of nodes differ in length"));
        }
        if n > NODES_MAX {
            return Err(TreeError::TooMany { what: "nodes", found: n, max: NODES_MAX });
        }
        let mut trees: Vec<Tree> = Vec::new();
        let mut tree_index = BTreeMap::new();
        let mut place = BTreeMap::new();
        for (&tree, &node) in self.trees.iter().zip(&self.ids) {
            let index = *tree_index.entry(tree).or_insert(trees.len());
            if index == trees.len() {
                if index == TREES_MAX {
                    return Err(TreeError::TooMany { what: "trees", found: index + 1, max: TREES_MAX });
                }
                trees.push(Tree::default());
            }
            if place.insert((tree, node), trees[index].nodes.len()).is_some() {
                return Err(inconsistent(format!("node {node} of tree {tree} exists twice")));
            }
            // Replaced below, once every node has its place.
            trees[index].nodes.push(Node::Leaf { value: 0.0 });
        }
        for entry in 0..n {
            let key = (self.trees[entry], self.ids[entry]);
            trees[tree_index[&key.0]].nodes[place[&key]] = self.node(entry, &place, leaves)?;
        }
        Ok(trees)
    }

    fn node(
        &self,
        entry: usize,
        place: &BTreeMap<(i64, i64), usize>,
        leaves: &BTreeMap<(i64, i64), f32>,
    ) -> Result<Node, TreeError> {
        let (tree, node) = (self.trees[entry], self.ids[entry]);
        let threshold = self.thresholds[entry];
        // `x ≤ t` is `x < next(t)` among 32-bit floats; `x > t` and `x ≥ t` are their opposites.
        let (threshold, is_swapped) = match self.modes[entry] {
            b"LEAF" => {
                let value = leaves.get(&(tree, node)).copied();
                let value = value.ok_or_else(|| inconsistent(format!("leaf {node} of tree {tree} has no weight")))?;
                return Ok(Node::Leaf { value });
            }
            b"BRANCH_LT" => (threshold, false),
            b"BRANCH_LEQ" => (threshold.next_up(), false),
            b"BRANCH_GTE" => (threshold, true),
            b"BRANCH_GT" => (threshold.next_up(), true),
            other => return Err(unsupported(format!("the branch mode `{}`", other.escape_ascii()))),
        };
        let child = |child: i64| {
            place.get(&(tree, child)).copied().ok_or_else(|| {
                inconsistent(format!("node {node} of tree {tree} leads to node {child}, which does not exist"))
            })
        };
        let (if_true, if_false) = (child(self.if_true[entry])?, child(self.if_false[entry])?);
        let missing_true = self.missing_true.get(entry).is_some_and(|&tracks_true| tracks_true != 0);
        let (left, right) = if is_swapped { (if_false, if_true) } else { (if_true, if_false) };
        // Out of range, for the check of the trees to find, where it is negative.
        let feature = usize::try_from(self.features[entry]).unwrap_or(FEATURES_MAX);
        Ok(Node::Split { feature, threshold, missing_left: missing_true != is_swapped, left, right })
    }
}

/// The bytes of a field that may occur once.
fn only(message: &[u8], number: u64) -> Result<Option<&[u8]>, TreeError> {
    let mut found = None;
    for field in fields(message) {
        let field = field?;
        if field.number == number && found.replace(field.bytes()?).is_some() {
            return Err(inconsistent(format!("field {number} occurs twice")));
        }
    }
    Ok(found)
}

fn unsupported(feature: impl Into<String>) -> TreeError {
    TreeError::Unsupported { feature: feature.into() }
}

fn inconsistent(what: impl Into<String>) -> TreeError {
    TreeError::Inconsistent { what: what.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trees::ensemble::{Rows, Workspace};

    #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push((number & 0x7F) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
        [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
    }

    fn integer(number: u64, value: u64) -> Vec<u8> {
        [varint(number << 3), varint(value)].concat()
    }

    fn named(name: &str, content: Vec<u8>) -> Vec<u8> {
        bytes(5, &[bytes(1, name.as_bytes()), content].concat())
    }

    fn integers(name: &str, values: &[u64]) -> Vec<u8> {
        named(name, values.iter().flat_map(|&value| integer(8, value)).collect())
    }

    fn floats(name: &str, values: &[f32]) -> Vec<u8> {
        named(name, bytes(7, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()))
    }

    fn texts(name: &str, values: &[&str]) -> Vec<u8> {
        named(name, values.iter().flat_map(|value| bytes(9, value.as_bytes())).collect())
    }

    /// A stump on the second of two features, `x < 0.5` is −1, else 2, missing is −1, as lists by name.
    fn stump() -> Vec<(&'static str, Vec<u8>)> {
        let list = |name, values: &[u64]| (name, integers(name, values));
        vec![
            list("nodes_treeids", &[0, 0, 0]),
            list("nodes_nodeids", &[0, 1, 2]),
            list("nodes_featureids", &[1, 0, 0]),
            ("nodes_values", floats("nodes_values", &[0.5, 0.0, 0.0])),
            ("nodes_modes", texts("nodes_modes", &["BRANCH_LT", "LEAF", "LEAF"])),
            list("nodes_truenodeids", &[1, 0, 0]),
            list("nodes_falsenodeids", &[2, 0, 0]),
            list("nodes_missing_value_tracks_true", &[1, 0, 0]),
            list("target_treeids", &[0, 0]),
            list("target_nodeids", &[1, 2]),
            list("target_ids", &[0, 0]),
            ("target_weights", floats("target_weights", &[-1.0, 2.0])),
            ("base_values", floats("base_values", &[0.25])),
            ("n_targets", named("n_targets", integer(3, 1))),
            ("post_transform", named("post_transform", bytes(4, b"NONE"))),
        ]
    }

    fn model(operator: &str, attributes: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
        let attributes: Vec<u8> = attributes.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let node = [bytes(4, operator.as_bytes()), attributes, bytes(7, b"ai.onnx.ml")].concat();
        let shape = [bytes(1, &[]), bytes(1, &integer(1, 2))].concat();
        let tensor = [integer(1, 1), bytes(2, &shape)].concat();
        let input = [bytes(1, b"features"), bytes(2, &bytes(1, &tensor))].concat();
        [integer(1, 8), bytes(7, &[bytes(1, &node), bytes(11, &input)].concat())].concat()
    }

    fn with(name: &'static str, attribute: Vec<u8>) -> Vec<(&'static str, Vec<u8>)> {
        let mut attributes = stump();
        attributes.retain(|(other, _)| *other != name);
        attributes.push((name, attribute));
        attributes
    }

    fn predict(model: &[u8], x: [f32; 4]) -> Vec<f32> {
        let ensemble = Ensemble::from_onnx(model).unwrap();
        let columns = [[9.0; 4], x].concat();
        let mut out = vec![0.0; 4];
        ensemble.predict(Rows::new(&columns, 4), &mut Workspace::new(), &mut out);
        out
    }

    #[test]
    fn every_branch_mode_is_understood() {
        let check = |mode: &str, expected: [f32; 4]| {
            let attributes = with("nodes_modes", texts("nodes_modes", &[mode, "LEAF", "LEAF"]));
            let found = predict(&model("TreeEnsembleRegressor", &attributes), [0.4, 0.5, 0.6, f32::NAN]);
            assert_eq!(found, expected, "{mode}");
        };
        let (yes, no) = (-0.75, 2.25);
        check("BRANCH_LT", [yes, no, no, yes]);
        check("BRANCH_LEQ", [yes, yes, no, yes]);
        check("BRANCH_GT", [no, no, yes, yes]);
        check("BRANCH_GTE", [no, yes, yes, yes]);
    }

    #[test]
    fn missing_is_false_unless_it_tracks_true() {
        let mut attributes = stump();
        attributes.retain(|(name, _)| *name != "nodes_missing_value_tracks_true");
        assert_eq!(predict(&model("TreeEnsembleRegressor", &attributes), [f32::NAN; 4]), [2.25; 4]);
    }

    #[test]
    fn a_binary_classifier_gives_the_probability_of_class_1() {
        let mut attributes = stump();
        attributes
            .retain(|(name, _)| !name.starts_with("target_") && *name != "post_transform" && *name != "n_targets");
        attributes.extend([
            ("", integers("class_treeids", &[0, 0])),
            ("", integers("class_nodeids", &[1, 2])),
            ("", integers("class_ids", &[0, 0])),
            ("", floats("class_weights", &[-1.0, 2.0])),
            ("", integers("classlabels_int64s", &[0, 1])),
            ("", named("post_transform", bytes(4, b"LOGISTIC"))),
        ]);
        let found = predict(&model("TreeEnsembleClassifier", &attributes), [0.0, 1.0, 0.0, 1.0]);
        for (found, margin) in found.into_iter().zip([-0.75_f64, 2.25, -0.75, 2.25]) {
            assert!((f64::from(found) - 1.0 / (1.0 + (-margin).exp())).abs() < 1e-7, "{found} {margin}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let check = |name: &'static str, attribute: Vec<u8>, expected: &str| {
            let error = Ensemble::from_onnx(&model("TreeEnsembleRegressor", &with(name, attribute))).unwrap_err();
            let text = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            assert!(text.contains(expected), "{text}");
        };
        let text = |name: &str, text: &str| named(name, bytes(4, text.as_bytes()));
        check("post_transform", text("post_transform", "SOFTMAX"), "the transform `SOFTMAX`");
        check("aggregate_function", text("aggregate_function", "MAX"), "the aggregate function `MAX`");
        check("n_targets", named("n_targets", integer(3, 2)), "several outputs (n_targets)");
        check("base_values", floats("base_values", &[0.0, 1.0]), "several outputs (base_values)");
        check("target_ids", integers("target_ids", &[0, 1]), "several outputs (leaves)");
        check("target_nodeids", integers("target_nodeids", &[1, 1]), "several weights of one leaf");
        check("target_nodeids", integers("target_nodeids", &[1, 0]), "leaf 2 of tree 0 has no weight");
        check("target_ids", integers("target_ids", &[0]), "the lists of leaves differ in length");
        check("nodes_values", floats("nodes_values", &[0.5]), "the lists of nodes differ in length");
        check("nodes_values_as_tensor", named("nodes_values_as_tensor", bytes(5, b"")), "`nodes_values_as_tensor`");
        check("nodes_modes", texts("nodes_modes", &["BRANCH_EQ", "LEAF", "LEAF"]), "branch mode `BRANCH_EQ`");
        check("nodes_nodeids", integers("nodes_nodeids", &[0, 1, 1]), "node 1 of tree 0 exists twice");
        check("nodes_truenodeids", integers("nodes_truenodeids", &[7, 0, 0]), "leads to node 7");
        check("nodes_truenodeids", integers("nodes_truenodeids", &[0, 0, 0]), "node 0 is reached twice");
        check("nodes_featureids", integers("nodes_featureids", &[2, 0, 0]), "asks for feature 2 of 2");
        check("nodes_featureids", integers("nodes_featureids", &[u64::MAX, 0, 0]), "of 2");
        let error = Ensemble::from_onnx(&model("LinearRegressor", &stump())).unwrap_err().to_string();
        assert!(error.contains("the operator `LinearRegressor`"), "{error}");
        assert!(Ensemble::from_onnx(&[]).unwrap_err().to_string().contains("no graph"));
    }

    proptest! {
        /// It may be refused or not, but it never panics; what is accepted can be evaluated.
        #[test]
        fn damaged_files_do_no_harm(
            damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            len in any::<prop::sample::Index>(),
            is_cut in any::<bool>(),
        ) {
            let mut file = model("TreeEnsembleRegressor", &stump());
            for (index, byte) in damages {
                let at = index.index(file.len());
                file[at] = byte;
            }
            if is_cut {
                file.truncate(len.index(file.len()));
            }
            if let Ok(ensemble) = Ensemble::from_onnx(&file) {
                let row = vec![0.0; ensemble.n_features()];
                ensemble.predict(Rows::new(&row, 1), &mut Workspace::new(), &mut [0.0]);
            }
        }

        #[test]
        fn noise_does_no_harm(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            // Noise is all but never a model; what matters is that the answer comes.
            prop_assert!(Ensemble::from_onnx(&noise).is_err());
        }
    }
}
