use std::sync::Arc;

use schemas::{EventTime, Market, ModelRef, SmolStr, Symbol};

use crate::board::{DataKind, Row};
use crate::sort::SortKey;

/// Most results of one scan.
pub const SCAN_LIMIT_MAX: usize = 10_000;

/// The whole table at one moment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Number of the newest update it contains.
    pub u: u64,
    pub(crate) ranked: Arc<Ranked>,
    /// Symbols heard of, with or without a result.
    pub n_symbols: usize,
    pub models: Arc<[ModelRef]>,
    /// Of the newest results; empty before the first.
    pub source: Arc<str>,
    /// All that were seen.
    pub sources: Vec<Arc<str>>,
    pub data: DataKind,
    pub watermark: Option<EventTime>,
    pub newest_event_time: Option<EventTime>,
    /// The state of the market when the table was last at rest.
    pub market: Option<Arc<Market>>,
}

/// Rows in rank order: MERIT falling, then symbol rising.
#[derive(Debug)]
pub(crate) struct Ranked {
    rows: Vec<Row>,
    as_of: Option<SmolStr>,
    n_live: usize,
}

/// What to read from the table. An empty list does not restrict; case does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanQuery {
    pub limit: usize,
    pub offset: usize,
    pub min_merit: Option<f64>,
    pub sectors: Vec<String>,
    pub bands: Vec<String>,
    pub symbols: Vec<Symbol>,
    pub signals: Vec<String>,
    /// Only rows that this risk profile shows.
    pub profile: Option<String>,
    pub min_tech_rating: Option<f64>,
    /// The first counts most; rank order decides what they leave open.
    pub sort: Vec<SortKey>,
}

/// What a scan found.
#[derive(Debug)]
pub struct Scan<'a> {
    /// Before limit and offset.
    pub n_matched: usize,
    pub rows: Vec<&'a Row>,
}

impl Snapshot {
    /// In rank order.
    pub fn rows(&self) -> &[Row] {
        &self.ranked.rows
    }

    /// The bar of the newest row.
    pub fn as_of(&self) -> Option<&str> {
        self.ranked.as_of.as_deref()
    }

    pub fn scan(&self, query: &ScanQuery) -> Scan<'_> {
        let mut matched: Vec<&Row> = self.rows().iter().filter(|row| query.matches(row)).collect();
        if !query.sort.is_empty() {
            matched.sort_by(|a, b| SortKey::compare_all(&query.sort, &a.result, &b.result));
        }
        let rows = matched.iter().skip(query.offset).take(query.limit).copied().collect();
        Scan { n_matched: matched.len(), rows }
    }

    /// Where a symbol stands, 1 is the best.
    pub fn rank(&self, symbol: Symbol) -> Option<usize> {
        self.rows().iter().position(|row| row.result.symbol == symbol).map(|place| place + 1)
    }

    /// Rows that stand on the newest bar.
    pub fn n_live(&self) -> usize {
        self.ranked.n_live
    }
}

impl Ranked {
    /// Takes the rows in the order of their symbols.
    pub(crate) fn new(mut rows: Vec<Row>) -> Self {
        let newest = rows.iter().max_by_key(|row| row.result.position());
        let as_of = newest.map(|row| row.result.as_of.clone());
        let newest = newest.map(|row| row.result.position().0);
        let n_live = rows.iter().filter(|row| Some(row.result.position().0) == newest).count();
        rows.sort_by(|a, b| b.result.merit.total_cmp(&a.result.merit));
        Self { rows, as_of, n_live }
    }
}

impl Default for ScanQuery {
    fn default() -> Self {
        Self {
            limit: 100,
            offset: 0,
            min_merit: None,
            sectors: Vec::new(),
            bands: Vec::new(),
            symbols: Vec::new(),
            signals: Vec::new(),
            profile: None,
            min_tech_rating: None,
            sort: Vec::new(),
        }
    }
}

impl ScanQuery {
    fn matches(&self, row: &Row) -> bool {
        let row = &*row.result;
        let is_one_of = |wanted: &[String], text: &str| wanted.iter().any(|one| one.eq_ignore_ascii_case(text));
        self.min_merit.is_none_or(|min_merit| row.merit >= min_merit)
            && (self.bands.is_empty() || is_one_of(&self.bands, &row.merit_band))
            && (self.sectors.is_empty() || row.sector.as_ref().is_some_and(|sector| is_one_of(&self.sectors, sector)))
            && (self.signals.is_empty() || is_one_of(&self.signals, &row.signal))
            && self.min_tech_rating.is_none_or(|min| row.tech_rating.is_some_and(|rating| rating >= min))
            && self.profile.as_ref().is_none_or(|profile| row.is_shown_by(profile) == Some(true))
            && (self.symbols.is_empty() || self.symbols.contains(&row.symbol))
    }
}
