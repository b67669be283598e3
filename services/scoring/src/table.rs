use std::sync::Arc;

use fnv::FnvHashMap;
use schemas::{BarFlags, EventTime, Instrument, Market, N_PARTITIONS, Partition, SmolStr, Symbol, Timeframe};

use crate::config::ScoringOptions;
use crate::cross_section::{self, CrossSection, RankKeys, Standing};
use crate::entry::{Entry, RowInputs};
use crate::factor_table::FactorTable;
use crate::facts::Facts;
use crate::idea::Idea;
use crate::market::Indices;
use crate::merit::{Band, Merit, MeritFlags};
use crate::outbox::{Models, Outbox};
use crate::outcomes::OutcomeHistory;
use crate::plan_life::{self, PlanLife, Step};
use crate::reasons::Reasons;
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
    index: FnvHashMap<Symbol, usize>,
    /// The rows of each partition.
    by_partition: Vec<Vec<usize>>,
    instruments: FnvHashMap<Symbol, Arc<Instrument>>,
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
    as_of: AsOf,
    reasons: Reasons,
    /// `None` without recorded results.
    outcomes: Option<OutcomeHistory>,
}

/// The text of an open time: thousands of rows in a row share it.
#[derive(Debug, Default)]
struct AsOf {
    last: Option<(EventTime, Timeframe, SmolStr)>,
}

impl AsOf {
    fn of(&mut self, time: EventTime, timeframe: Timeframe) -> SmolStr {
        if let Some((known, of, text)) = &self.last
            && (*known, *of) == (time, timeframe)
        {
            return text.clone();
        }
        let text = SmolStr::from(time.display(timeframe));
        self.last = Some((time, timeframe, text.clone()));
        text
    }
}

#[derive(Debug)]
struct Slot {
    partition: Partition,
    entry: Entry,
    instrument: Option<Arc<Instrument>>,
    /// What made the predictions of its inputs.
    models: Models,
    /// What was followed before the bar of its inputs, and after it.
    life_before: PlanLife,
    life: PlanLife,
    /// Among the peers as they were when they were last sorted.
    quality: Option<f64>,
    /// Whether the sorted columns hold the row.
    is_ranked: bool,
    /// Whether `Table::changed` lists it.
    is_changed: bool,
    published: Published,
}

impl Slot {
    /// Moves what is followed on by the bar of the row.
    fn follow(&mut self, options: &ScoringOptions) {
        self.life = self.life_before.after(&Step::of(&self.entry.inputs), || plan_life::offered(&self.entry, options));
    }

    /// A final bar that comes when a later one is already forming; `false` when it is nothing of that kind.
    fn follow_late(&mut self, inputs: &RowInputs, options: &ScoringOptions) -> bool {
        let shown = self.entry.inputs.open_time;
        let is_late = inputs.flags().contains(BarFlags::FINAL) && inputs.open_time < shown;
        if !is_late || self.life_before.has_seen(inputs.open_time) {
            return false;
        }
        let late = Entry::new(inputs, Facts::default());
        self.life_before = self.life_before.after(&Step::of(inputs), || plan_life::offered(&late, options));
        self.follow(options);
        true
    }

    /// What the sorted columns hold of the row; nothing unless it is ranked.
    fn rank_keys(&self) -> RankKeys {
        if self.is_ranked { CrossSection::keys(&self.entry) } else { RankKeys::default() }
    }
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

impl Table {
    /// Takes in a row; `false` when the symbol has a newer one, or the same.
    pub(crate) fn update(&mut self, inputs: &RowInputs, models: &Models, options: &ScoringOptions) -> bool {
        let known = self.index.get(&inputs.symbol).copied();
        if let Some(at) = known.filter(|&at| self.rows[at].entry.inputs.position() >= inputs.position()) {
            let is_news = self.rows[at].follow_late(inputs, options);
            if is_news {
                self.mark_changed(at);
            }
            return is_news;
        }
        self.newest = self.newest.max(inputs.open_time);
        let is_ranked = self.absence(inputs, options).is_none();
        let at = known.unwrap_or_else(|| self.add(inputs, models));
        let slot = &mut self.rows[at];
        let old = slot.rank_keys();
        if known.is_none() || !slot.entry.facts.hold_at(inputs.open_time) {
            let facts = Facts::new(slot.instrument.as_deref(), inputs.open_time);
            self.peers_are_stale |= !slot.entry.facts.same_ratios(&facts);
            if !slot.entry.facts.same_factors(&facts) {
                self.factors.invalidate();
            }
            slot.entry.facts = facts;
        }
        if slot.is_ranked != is_ranked {
            self.peers_are_stale |= slot.entry.facts.has_ratios();
            if slot.entry.facts.fundamentals.is_some() {
                self.factors.invalidate();
            }
            slot.is_ranked = is_ranked;
        }
        if !Arc::ptr_eq(&slot.models, models) {
            slot.models = Arc::clone(models);
        }
        let (shown, shown_is_final) =
            (slot.entry.inputs.open_time, slot.entry.inputs.flags().contains(BarFlags::FINAL));
        if inputs.open_time > shown && shown_is_final {
            // Nothing corrects the bar before any more; a bar that never became final never happened.
            slot.life_before = slot.life;
        }
        slot.entry.update(inputs);
        slot.follow(options);
        self.factors.observe(at, &slot.entry);
        if !self.columns_are_stale {
            self.columns.replace(old, slot.rank_keys());
        }
        self.mark_changed(at);
        true
    }

    /// Sets what a symbol followed before the bar of its row.
    pub(crate) fn set_life_before(&mut self, symbol: Symbol, life: PlanLife, options: &ScoringOptions) {
        let Some(&at) = self.index.get(&symbol) else { return };
        self.rows[at].life_before = life;
        self.rows[at].follow(options);
        self.mark_changed(at);
    }

    /// A place for a symbol that was not known.
    fn add(&mut self, inputs: &RowInputs, models: &Models) -> usize {
        let at = self.rows.len();
        let partition = Partition::of(inputs.symbol);
        self.index.insert(inputs.symbol, at);
        self.by_partition.resize_with(usize::from(N_PARTITIONS), Vec::new);
        self.by_partition[partition.index()].push(at);
        self.rows.push(Slot {
            partition,
            entry: Entry::new(inputs, Facts::new(None, inputs.open_time)),
            instrument: self.instruments.get(&inputs.symbol).cloned(),
            models: Arc::clone(models),
            life_before: PlanLife::default(),
            life: PlanLife::default(),
            quality: None,
            is_ranked: false,
            is_changed: false,
            published: Published::Unknown,
        });
        at
    }

    /// Takes in reference data; `false` when nothing in it is new.
    pub(crate) fn update_instrument(&mut self, instrument: Instrument) -> bool {
        let symbol = instrument.symbol;
        if self.instruments.get(&symbol).is_some_and(|known| **known == instrument) {
            return false;
        }
        let instrument = Arc::new(instrument);
        self.indices.insert(symbol, &instrument.closes);
        if let Some(&at) = self.index.get(&symbol) {
            let Slot { entry, instrument: known, .. } = &mut self.rows[at];
            *known = Some(Arc::clone(&instrument));
            let facts = Facts::new(Some(&instrument), entry.inputs.open_time);
            self.peers_are_stale |= !entry.facts.same_ratios(&facts);
            entry.facts = facts;
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
    pub(crate) fn publish_changed(&mut self, timeframe: Timeframe, options: &ScoringOptions, out: &mut Outbox) {
        self.sort_if_stale();
        let mut changed = std::mem::take(&mut self.changed);
        for at in changed.drain(..) {
            self.rows[at].is_changed = false;
            let standing = self.standing(at);
            self.settle(at, standing, timeframe, options, always, out);
        }
        self.changed = changed;
    }

    /// Brings every row up to date: who belongs, where each stands, and what is published of it.
    pub(crate) fn refresh(&mut self, timeframe: Timeframe, options: &ScoringOptions, out: &mut Outbox) {
        self.update_membership(options);
        self.sort_peers_if_stale();
        self.columns_are_stale = false;
        let standings = self.columns.rebuild_ranked(self.rows.iter().map(Slot::rank_keys));
        if self.changed.len() > self.rows.len() / 2 {
            out.expect_all();
        }
        for at in self.changed.drain(..) {
            self.rows[at].is_changed = false;
        }
        let rows = &self.rows;
        let ranked = |at: usize| Some(&rows[at]).filter(|slot| slot.is_ranked).map(|slot| &slot.entry);
        for &at in self.factors.refresh(rows.len(), ranked) {
            let published = &mut self.rows[at].published;
            if let Published::Row(_) = published {
                *published = Published::Unknown;
            }
        }
        for (at, standing) in standings.into_iter().enumerate() {
            self.settle(at, standing, timeframe, options, always, out);
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

    /// In mid-burst: publishes the rows of a part of one partition that moved by more than may wait, against the others as they
    /// were when the columns were last sorted. Rows that changed since stand nowhere yet and are left out.
    pub(crate) fn refresh_partition(
        &mut self,
        partition: Partition,
        (part, n_parts): (usize, usize),
        timeframe: Timeframe,
        options: &ScoringOptions,
        out: &mut Outbox,
    ) {
        let is_due = |shown: &Shown, now: &Shown| {
            shown.band != now.band
                || shown.flags != now.flags
                || shown.tier != now.tier
                || (shown.merit - now.merit).abs() >= options.min_delta
        };
        let n_rows = self.by_partition.get(partition.index()).map_or(0, Vec::len);
        for number in n_rows * part / n_parts..n_rows * (part + 1) / n_parts {
            let at = self.by_partition[partition.index()][number];
            if self.rows[at].is_changed && self.columns_are_stale {
                continue;
            }
            let standing = self.standing(at);
            self.settle(at, standing, timeframe, options, is_due, out);
        }
    }

    /// Where a row stands; a row that is not ranked is in no column.
    fn standing(&self, at: usize) -> RankKeys {
        let slot = &self.rows[at];
        if slot.is_ranked { self.columns.standing(&slot.entry) } else { RankKeys::default() }
    }

    fn sort_if_stale(&mut self) {
        if std::mem::take(&mut self.columns_are_stale) {
            self.columns.rebuild(&self.rows.iter().map(Slot::rank_keys));
        }
        self.sort_peers_if_stale();
    }

    /// Reports come a few times a year: who stands where among its peers is kept until one does.
    fn sort_peers_if_stale(&mut self) {
        if !std::mem::take(&mut self.peers_are_stale) {
            return;
        }
        self.columns.rebuild_peers(self.rows.iter().filter(|slot| slot.is_ranked).map(|slot| &slot.entry));
        for slot in self.rows.iter_mut().filter(|slot| slot.is_ranked) {
            slot.quality = self.columns.quality(&slot.entry);
        }
    }

    /// Scores a row and says what is new about it; `is_due` decides about a row that was published before.
    fn settle(
        &mut self,
        at: usize,
        standing: RankKeys,
        timeframe: Timeframe,
        options: &ScoringOptions,
        is_due: impl FnOnce(&Shown, &Shown) -> bool,
        out: &mut Outbox,
    ) {
        let slot = &self.rows[at];
        // Who belongs is found out anew at the refresh: until then a row may be back, and wait for it.
        let why = if slot.is_ranked { None } else { self.absence(&slot.entry.inputs, options) };
        let slot = &mut self.rows[at];
        let symbol = slot.entry.inputs.symbol;
        if !slot.is_ranked {
            let why = why.unwrap_or(Exclusion::NoRecentBar);
            if slot.published != Published::Absent(why) {
                slot.published = Published::Absent(why);
                out.remove(slot.partition, symbol, why);
            }
            return;
        }
        let standing = Standing::new(standing, slot.quality);
        if let Published::Row(shown) = &slot.published
            && shown.standing.same_bits(&standing)
        {
            return;
        }
        let scored = cross_section::score(&slot.entry, &standing);
        let Merit { score: merit, band, flags, .. } = scored.merit;
        let now = Shown { standing, merit, band, flags, tier: scored.result_tier() };
        if let Published::Row(shown) = &slot.published
            && !is_due(shown, &now)
        {
            return;
        }
        slot.published = Published::Row(now);
        let idea = Idea::new(&slot.entry, &standing, &scored, options);
        let as_of = self.as_of.of(slot.entry.inputs.open_time, timeframe);
        let instrument = slot.instrument.as_deref();
        let factors = self.factors.of(at);
        let mut row = result_row(as_of, &slot.entry, &scored, &idea, instrument, factors, &mut self.reasons);
        row.live_plan = slot.life.view(slot.entry.inputs.close);
        let open_time = slot.entry.inputs.open_time;
        row.outcomes = self.outcomes.as_mut().and_then(|outcomes| outcomes.of(merit, open_time));
        out.push(slot.partition, &slot.models, row);
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

    pub(crate) fn set_outcomes(&mut self, outcomes: OutcomeHistory) {
        self.outcomes = Some(outcomes);
    }

    pub(crate) fn set_watermark(&mut self, watermark: Option<EventTime>) {
        self.watermark = watermark;
    }

    /// What arrived for the symbols of a partition, what they followed before, and what made the predictions in it.
    pub(crate) fn inputs_of(&self, partition: Partition) -> impl Iterator<Item = (&RowInputs, &PlanLife, &Models)> {
        let slots = self.rows.iter().filter(move |slot| slot.partition == partition);
        slots.map(|slot| (&slot.entry.inputs, &slot.life_before, &slot.models))
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
