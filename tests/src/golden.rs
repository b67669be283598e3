//! The recorded output of the reference (`golden/README.md`) as columns, and comparing with it.
#![allow(clippy::missing_panics_doc, reason = "in a test, a file or a column that is not as it should be is a failure")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use polars::prelude::*;
use serde_json::Value;

/// Scores in points, percentiles: absolute.
pub const POINTS_TOLERANCE: f64 = 1e-6;

/// Differences between our values and the recorded ones.
#[derive(Default)]
pub struct Mismatches {
    n_compared: usize,
    errors: Vec<String>,
    /// Differences excused because a comparison is too close to call.
    knife_edges: Vec<String>,
}

impl Mismatches {
    pub fn compare<T: Copy + Debug>(
        &mut self,
        what: &str,
        found: T,
        expected: T,
        is_match: impl Fn(T, T) -> bool,
        is_knife_edge: bool,
    ) {
        self.n_compared += 1;
        if !is_match(found, expected) {
            let error = format!("{what}: found {found:?}, expected {expected:?}");
            if is_knife_edge { &mut self.knife_edges } else { &mut self.errors }.push(error);
        }
    }

    pub fn assert_none(&self) {
        let Self { n_compared, errors, knife_edges } = self;
        assert!(*n_compared > 0, "nothing to compare");
        println!("{n_compared} values compared, knife edges: {knife_edges:#?}");
        let first: Vec<_> = errors.iter().take(20).collect();
        assert!(errors.is_empty(), "{} of {n_compared} values differ: {first:#?}", errors.len());
        let n_edges = knife_edges.len();
        assert!(n_edges * 1000 <= *n_compared, "too many knife edges: {n_edges} of {n_compared}");
    }
}

pub fn equal<T: Copy + PartialEq>(found: T, expected: T) -> bool {
    found == expected
}

pub fn values_match(found: Option<f64>, expected: Option<f64>) -> bool {
    both_match(found, expected, |a, b| (a - b).abs() <= 1e-9 + 1e-8 * b.abs())
}

pub fn points_match(found: Option<f64>, expected: Option<f64>) -> bool {
    both_match(found, expected, |a, b| (a - b).abs() <= POINTS_TOLERANCE)
}

fn both_match(a: Option<f64>, b: Option<f64>, is_match: impl Fn(f64, f64) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => is_match(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// Whether a comparison of the two is a knife edge.
pub fn is_near(a: Option<f64>, b: Option<f64>) -> bool {
    a.zip(b).is_some_and(|(a, b)| (a - b).abs() < 1e-9 * a.abs().max(b.abs()).max(1.0))
}

/// A parquet file; a NaN and a null are both missing, as is a column that is not there.
pub struct Table {
    frame: DataFrame,
}

impl Table {
    pub fn read(dir: &Path, name: &str) -> Self {
        let path = dir.join(name);
        let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let frame = ParquetReader::new(file).finish();
        Self { frame: frame.unwrap_or_else(|e| panic!("{}: {e}", path.display())) }
    }

    pub fn n_rows(&self) -> usize {
        self.frame.height()
    }

    pub fn numbers(&self, column: &str) -> Vec<Option<f64>> {
        let Ok(column) = self.frame.column(column) else { return vec![None; self.n_rows()] };
        let column = column.cast(&DataType::Float64).expect("the column holds numbers");
        let numbers = column.f64().expect("it was cast to them");
        numbers.iter().map(|v| v.filter(|v| !v.is_nan())).collect()
    }

    pub fn numbers_of(&self, column: &str, rows: &[usize]) -> Vec<Option<f64>> {
        let numbers = self.numbers(column);
        rows.iter().map(|&row| numbers[row]).collect()
    }

    /// A column of whole numbers ≥ 0 without gaps.
    pub fn counts(&self, column: &str) -> Vec<usize> {
        let column = self.frame.column(column).expect("the column exists");
        let column = column.cast(&DataType::Int64).expect("the column holds whole numbers");
        let counts = column.i64().expect("it was cast to them");
        counts.iter().map(|v| v.and_then(|v| v.try_into().ok()).expect("a count is present and ≥ 0")).collect()
    }

    pub fn facts(&self, column: &str) -> Vec<Option<bool>> {
        self.numbers(column).into_iter().map(|v| v.map(|v| v > 0.5)).collect()
    }

    pub fn facts_of(&self, column: &str, rows: &[usize]) -> Vec<Option<bool>> {
        let facts = self.facts(column);
        rows.iter().map(|&row| facts[row]).collect()
    }

    pub fn texts(&self, column: &str) -> Vec<String> {
        let column = self.frame.column(column).expect("the column exists");
        let column = column.cast(&DataType::String).expect("anything can be text");
        let texts = column.str().expect("it was cast to it");
        texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
    }

    pub fn keys(&self, columns: &[&str]) -> Vec<Vec<String>> {
        let columns: Vec<_> = columns.iter().map(|column| self.texts(column)).collect();
        (0..self.n_rows()).map(|row| columns.iter().map(|texts| texts[row].clone()).collect()).collect()
    }

    /// The row numbers of each combination of keys.
    pub fn groups(&self, columns: &[&str]) -> Vec<Vec<usize>> {
        let mut groups = BTreeMap::<_, Vec<usize>>::new();
        for (row, key) in self.keys(columns).into_iter().enumerate() {
            groups.entry(key).or_default().push(row);
        }
        groups.into_values().collect()
    }

    /// The same rows in the order of `other`, matched by keys.
    #[must_use]
    pub fn aligned(&self, columns: &[&str], other: &Self) -> Self {
        let rows: BTreeMap<_, _> =
            self.keys(columns).into_iter().zip(0..).map(|(key, row): (_, IdxSize)| (key, row)).collect();
        let order = other.keys(columns).into_iter().map(|key| rows[&key]);
        let order = IdxCa::from_vec("row".into(), order.collect());
        Self { frame: self.frame.take(&order).expect("the rows exist") }
    }
}

/// A CSV file with a header; an empty field is missing.
pub struct Csv {
    names: csv::StringRecord,
    rows: Vec<csv::StringRecord>,
}

impl Csv {
    pub fn read(dir: &Path, name: &str) -> Self {
        let path = dir.join(name);
        let mut reader = csv::Reader::from_path(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let names = reader.headers().unwrap_or_else(|e| panic!("{}: {e}", path.display())).clone();
        let rows: Result<_, _> = reader.records().collect();
        Self { names, rows: rows.unwrap_or_else(|e| panic!("{}: {e}", path.display())) }
    }

    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }

    pub fn texts(&self, column: &str) -> Vec<String> {
        let index = self.names.iter().position(|name| name == column).expect("the column exists");
        self.rows.iter().map(|row| row[index].to_owned()).collect()
    }

    pub fn numbers(&self, column: &str) -> Vec<Option<f64>> {
        self.texts(column).iter().map(|text| text.parse().ok()).collect()
    }

    pub fn facts(&self, column: &str) -> Vec<Option<bool>> {
        self.texts(column).iter().map(|text| text.to_lowercase().parse().ok()).collect()
    }
}

/// A JSON file.
pub fn read_json(dir: &Path, name: &str) -> Value {
    let path = dir.join(name);
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_reader(BufReader::new(file)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
