//! ONNX files that hold one `TreeEnsembleRegressor` or `TreeEnsembleClassifier` of the domain `ai.onnx.ml`, as
//! onnxmltools makes them of XGBoost.

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
        let base_margin = match attributes.floats("base_values")[..] {
            [] => 0.0,
            [base] => base,
            _ => return Err(unsupported("several outputs (base_values)")),
        };
        Self::new(EnsembleParts {
            n_features: graph.n_features,
            feature_names: Vec::new(),
            base_margin,
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
            nodes: self.integers("nodes_nodeids"),
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
    nodes: Vec<i64>,
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
        let integers = [&self.nodes, &self.features, &self.if_true, &self.if_false];
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
        for (&tree, &node) in self.trees.iter().zip(&self.nodes) {
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
            let key = (self.trees[entry], self.nodes[entry]);
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
        let (tree, node) = (self.trees[entry], self.nodes[entry]);
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
