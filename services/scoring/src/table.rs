use std::collections::HashMap;

use schemas::{EventTime, Instrument, Market, N_PARTITIONS, Partition, ResultRow, Symbol, Timeframe};

use crate::config::ScoringOptions;
use crate::cross_section::{self, CrossSection, Standing};
use crate::entry::{Entry, RowInputs};
use crate::factor_table::FactorTable;
use crate::facts::Facts;
use crate::idea::Idea;
use crate::market::Indices;
use crate::merit::{Band, Merit, MeritFlags};
use crate::row::result_row;
use crate::tiers::ResultTier;
use crate::universe::Exclusion;

/// Up to this many changed rows the sorted columns are kept up to date one by one; beyond it, sorting anew is cheaper.
const INCREMENTAL_ROWS_MAX: usize = 64;

/// The newest row of every symbol, ranked against each other.
///
/// A changed row finds its percentile in the sorted columns at once ([`Table::publish_changed`]); the others, whose
/// percentiles moved a little, follow partition by partition ([`Table::refresh_partition`]). At rest the published rows equal a full
/// recompute, bit for bit.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Slot>,
    index: HashMap<Symbol, usize>,
    /// The rows of each partition.
    by_partition: Vec<Vec<usize>>,
    instruments: HashMap<Symbol, Instrument>,
    indices: Indices,
    columns: CrossSection,
    factors: FactorTable,
    /// The sorted columns miss changes and have to be sorted anew.
    columns_are_stale: bool,
    /// The same of the quality ratios.
    peers_are_stale: bool,
    /// Rows with inputs that are not published yet.
    changed: Vec<usize>,
    /// Newest open time of all rows.
    newest: EventTime,
    /// What all partitions have reached; `None` while one of them has said nothing.
    watermark: Option<EventTime>,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    /// Whether the sorted columns hold the row.
    is_ranked: bool,
    /// Whether `Table::changed` lists it.
    is_changed: bool,
    published: Published,
}

/// What outsiders were last told about a symbol.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Published {
    /// This process has not said anything; an earlier one may have.
    Unknown,
    /// The symbol is not in the table.
    Absent(Exclusion),
    Row(Shown),
}

/// What decides whether a row has to be published again. With unchanged inputs, equal standings mean an equal row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shown {
    standing: Standing,
    merit: f64,
    band: Band,
    flags: MeritFlags,
    tier: ResultTier,
}

/// Something to tell about one symbol.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Row(Box<ResultRow>),
    /// With the first condition that the symbol fails.
    Left(Symbol, Exclusion),
}

impl Table {
    /// Takes in a row; `false` when the symbol has a newer one, or the same.
    pub(crate) fn update(&mut self, inputs: &RowInputs, options: &ScoringOptions) -> bool {
        let known = self.index.get(&inputs.symbol).copied();
        if known.is_some_and(|at| self.rows[at].entry.inputs.position() >= inputs.position()) {
            return false;
        }
        self.newest = self.newest.max(inputs.open_time);
        let facts = Facts::new(self.instruments.get(&inputs.symbol), inputs.open_time);
        let entry = Entry::new(inputs, facts);
        self.factors.observe(&entry);
        let at = if let Some(at) = known {
            let slot = &mut self.rows[at];
            if slot.is_ranked && !self.columns_are_stale {
                self.columns.remove(&slot.entry);
            }
            self.peers_are_stale |= slot.entry.facts != entry.facts;
            slot.entry = entry;
            at
        } else {
            let at = self.rows.len();
            self.index.insert(inputs.symbol, at);
            self.by_partition.resize_with(usize::from(N_PARTITIONS), Vec::new);
            self.by_partition[Partition::of(inputs.symbol).index()].push(at);
            self.rows.push(Slot { entry, is_ranked: false, is_changed: false, published: Published::Unknown });
            at
        };
        let is_ranked = self.absence(&self.rows[at].entry.inputs, options).is_none();
        let slot = &mut self.rows[at];
        self.peers_are_stale |= slot.is_ranked != is_ranked;
        slot.is_ranked = is_ranked;
        if is_ranked && !self.columns_are_stale {
            self.columns.insert(&slot.entry);
        }
        self.mark_changed(at);
        true
    }

    /// Takes in reference data; `false` when nothing in it is new.
    pub(crate) fn update_instrument(&mut self, instrument: Instrument) -> bool {
        let symbol = instrument.symbol;
        if self.instruments.get(&symbol) == Some(&instrument) {
            return false;
        }
        self.indices.insert(symbol, &instrument.closes);
        if let Some(&at) = self.index.get(&symbol) {
            let entry = &mut self.rows[at].entry;
            entry.facts = Facts::new(Some(&instrument), entry.inputs.open_time);
            self.peers_are_stale = true;
            self.factors.invalidate();
            self.mark_changed(at);
        }
        self.instruments.insert(symbol, instrument);
        true
    }

    fn mark_changed(&mut self, at: usize) {
        let slot = &mut self.rows[at];
        if let Published::Row(_) = slot.published {
            // With other inputs an equal standing no longer means an equal row.
            slot.published = Published::Unknown;
        }
        if !slot.is_changed {
            slot.is_changed = true;
            self.changed.push(at);
            self.columns_are_stale |= self.changed.len() > INCREMENTAL_ROWS_MAX;
        }
    }

    /// Publishes the rows whose own inputs changed, against the others as they stand.
    pub(crate) fn publish_changed(
        &mut self,
        timeframe: Timeframe,
        options: &ScoringOptions,
        mut publish: impl FnMut(Change),
    ) {
        self.sort_if_stale();
        for at in std::mem::take(&mut self.changed) {
            self.rows[at].is_changed = false;
            if let Some(change) = self.settle(at, timeframe, options, always) {
                publish(change);
            }
        }
    }

    /// Brings every row up to date: who belongs, where each stands, and what is published of it.
    pub(crate) fn refresh(&mut self, timeframe: Timeframe, options: &ScoringOptions, mut publish: impl FnMut(Change)) {
        self.update_membership(options);
        self.sort_if_stale();
        for at in std::mem::take(&mut self.changed) {
            self.rows[at].is_changed = false;
        }
        let ranked =
            self.rows.iter().enumerate().filter(|(_, slot)| slot.is_ranked).map(|(at, slot)| (at, &slot.entry));
        for at in self.factors.refresh(ranked) {
            let published = &mut self.rows[at].published;
            if let Published::Row(_) = published {
                *published = Published::Unknown;
            }
        }
        for at in 0..self.rows.len() {
            if let Some(change) = self.settle(at, timeframe, options, always) {
                publish(change);
            }
        }
    }

    /// Finds out who belongs, before the partitions are refreshed one by one.
    pub(crate) fn update_membership(&mut self, options: &ScoringOptions) {
        let mut membership_changed = false;
        for at in 0..self.rows.len() {
            let belongs = self.absence(&self.rows[at].entry.inputs, options).is_none();
            membership_changed |= self.rows[at].is_ranked != belongs;
            self.rows[at].is_ranked = belongs;
        }
        self.columns_are_stale |= membership_changed;
        self.peers_are_stale |= membership_changed;
        if membership_changed {
            self.factors.invalidate();
        }
    }

    /// In mid-burst: publishes the rows of one partition that moved by more than may wait, against the others as they
    /// were when the columns were last sorted. Rows that changed since stand nowhere yet and are left out.
    pub(crate) fn refresh_partition(
        &mut self,
        partition: Partition,
        timeframe: Timeframe,
        options: &ScoringOptions,
        mut publish: impl FnMut(Change),
    ) {
        let is_due = |shown: &Shown, now: &Shown| {
            shown.band != now.band
                || shown.flags != now.flags
                || shown.tier != now.tier
                || (shown.merit - now.merit).abs() >= options.min_delta
        };
        let n_rows = self.by_partition.get(partition.index()).map_or(0, Vec::len);
        for number in 0..n_rows {
            let at = self.by_partition[partition.index()][number];
            if self.rows[at].is_changed && self.columns_are_stale {
                continue;
            }
            if let Some(change) = self.settle(at, timeframe, options, is_due) {
                publish(change);
            }
        }
    }

    fn sort_if_stale(&mut self) {
        let ranked = self.rows.iter().filter(|slot| slot.is_ranked).map(|slot| &slot.entry);
        if std::mem::take(&mut self.columns_are_stale) {
            self.columns.rebuild(ranked.clone());
        }
        if std::mem::take(&mut self.peers_are_stale) {
            self.columns.rebuild_peers(ranked);
        }
    }

    /// Scores a row and says what is new about it; `is_due` decides about a row that was published before.
    fn settle(
        &mut self,
        at: usize,
        timeframe: Timeframe,
        options: &ScoringOptions,
        is_due: impl FnOnce(&Shown, &Shown) -> bool,
    ) -> Option<Change> {
        let slot = &self.rows[at];
        let symbol = slot.entry.inputs.symbol;
        if !slot.is_ranked {
            // Who belongs is found out anew at the refresh: until then a row may be back, and wait for it.
            let why = self.absence(&slot.entry.inputs, options).unwrap_or(Exclusion::NoRecentBar);
            let is_new = slot.published != Published::Absent(why);
            self.rows[at].published = Published::Absent(why);
            return is_new.then_some(Change::Left(symbol, why));
        }
        let standing = self.columns.standing(&slot.entry);
        if let Published::Row(shown) = &slot.published
            && shown.standing.same_bits(&standing)
        {
            return None;
        }
        let instrument = self.instruments.get(&symbol);
        let scored = cross_section::score(&slot.entry, &standing);
        let Merit { score: merit, band, flags, .. } = scored.merit;
        let now = Shown { standing, merit, band, flags, tier: scored.result_tier() };
        if let Published::Row(shown) = &slot.published
            && !is_due(shown, &now)
        {
            return None;
        }
        let idea = Idea::new(&slot.entry, &standing, &scored, options);
        let factors = self.factors.of(at);
        let row = result_row(timeframe, &slot.entry, &scored, &idea, instrument, factors);
        self.rows[at].published = Published::Row(now);
        Some(Change::Row(Box::new(row)))
    }

    /// Why a symbol is not ranked: too little history, or left behind by the others. What counts is how far all partitions
    /// are: one that is merely behind in a burst must not lose its rows.
    fn absence(&self, inputs: &RowInputs, options: &ScoringOptions) -> Option<Exclusion> {
        let now = self.watermark.unwrap_or(self.newest);
        let age_ns = now.as_ns().saturating_sub(inputs.open_time.as_ns()).max(0);
        if inputs.n_bars < options.min_bars {
            Some(Exclusion::TooFewBars)
        } else if u128::from(age_ns.unsigned_abs()) > options.max_age.as_nanos() {
            Some(Exclusion::NoRecentBar)
        } else {
            None
        }
    }

    pub(crate) fn set_watermark(&mut self, watermark: Option<EventTime>) {
        self.watermark = watermark;
    }

    pub(crate) fn inputs_of(&self, partition: Partition) -> impl Iterator<Item = &RowInputs> {
        let inputs = self.rows.iter().map(|slot| &slot.entry.inputs);
        inputs.filter(move |inputs| Partition::of(inputs.symbol) == partition)
    }

    /// How many symbols have a row, ranked or not.
    pub(crate) fn n_symbols(&self) -> usize {
        self.rows.len()
    }

    /// The market at the newest row.
    pub(crate) fn market(&self) -> Option<Market> {
        self.indices.state(self.newest)
    }

    pub(crate) fn newest(&self) -> EventTime {
        self.newest
    }
}

fn always(_: &Shown, _: &Shown) -> bool {
    true
}
