//! The quantile tables of closed sessions: collected from the final rows of every partition, the same for every row of
//! the next session (ADR 0006).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pipeline::Rejected;
use schemas::{BarFlags, EventTime, FeatureBatch, N_PARTITIONS, Partition, Plan, QuantileTables, Symbol, Timeframe};
use serde::{Deserialize, Serialize};

use crate::quantiles::{N_KNOTS, QuantileTable};
use crate::recipes::DerivedFeatures;

/// Sessions whose tables are kept. The newest serves the next one; those before it serve partitions that are still
/// behind after a restart, and corrections.
const CLOSED_MAX: usize = 3;

/// The tables of one closed session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClosedSession {
    pub(crate) session: EventTime,
    /// By recipe; `None` where there were too few values.
    pub(crate) tables: Vec<Option<QuantileTable>>,
}

/// What is known of closed sessions, and what the tables of the open ones are made of.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    /// Ascending.
    closed: BTreeMap<EventTime, Arc<ClosedSession>>,
    /// What another process left: stands behind what this one has closed itself.
    seed: Option<Arc<ClosedSession>>,
    partitions: Vec<PartitionSessions>,
    /// Sessions closed since they were last asked for.
    fresh: Vec<Arc<ClosedSession>>,
}

#[derive(Debug, Clone, Default)]
struct PartitionSessions {
    /// No row up to here is expected any more.
    watermark: Option<EventTime>,
    /// The watermark is taken over from a seed: the first of its own replaces it, even an older one.
    is_seeded: bool,
    /// The newest session that a row came from: those before it are over, even if their watermark was lost with a message
    /// that nobody could read.
    newest_row: Option<EventTime>,
    /// Sessions that are not closed in every partition.
    open: BTreeMap<EventTime, BTreeMap<Symbol, Member>>,
}

/// The newest final row of a member of the universe.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Member {
    revision: u32,
    /// By recipe; NaN is missing.
    values: Vec<f64>,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self {
            closed: BTreeMap::new(),
            seed: None,
            partitions: vec![PartitionSessions::default(); usize::from(N_PARTITIONS)],
            fresh: Vec::new(),
        }
    }

    /// Adds the tables of a session that was closed elsewhere.
    pub(crate) fn insert(&mut self, closed: ClosedSession) {
        self.closed.insert(closed.session, Arc::new(closed));
    }

    /// Starts where another process stopped: its session is closed in every partition.
    pub(crate) fn seed(&mut self, seed: ClosedSession) {
        for partition in &mut self.partitions {
            if partition.watermark.is_none() {
                (partition.watermark, partition.is_seeded) = (Some(seed.session), true);
            }
        }
        self.seed = Some(Arc::new(seed));
    }

    /// The newest session before this one whose tables are known.
    pub(crate) fn before(&self, session: EventTime) -> Option<&ClosedSession> {
        let closed = self.closed.range(..session).next_back().map(|(_, closed)| closed);
        let seed = self.seed.as_ref().filter(|seed| seed.session < session);
        // Of the same session the seed is the one that was served.
        let newest = match (closed, seed) {
            (Some(closed), Some(seed)) => Some(if closed.session > seed.session { closed } else { seed }),
            (closed, seed) => closed.or(seed),
        };
        newest.map(Arc::as_ref)
    }

    /// Whether a partition has closed a session that another has not: the tables for its next rows are not complete.
    pub(crate) fn is_ahead(&self, partition: Partition) -> bool {
        let own = self.partitions[partition.index()].watermark;
        own.is_some() && own > self.closed_everywhere()
    }

    /// Takes in the rows of a batch, whose `values` are those of the recipes (column-major), and its watermark.
    pub(crate) fn observe(&mut self, features: &FeatureBatch, recipes: &DerivedFeatures, values: &[f64]) {
        let header = features.header();
        let n_rows = features.bars().len();
        let partition = &mut self.partitions[header.partition.index()];
        let closed = partition.watermark.filter(|_| !partition.is_seeded);
        for (row, (symbol, bar)) in features.bars().rows().iter().enumerate() {
            partition.newest_row = partition.newest_row.max(Some(bar.open_time));
            if !bar.flags.contains(BarFlags::FINAL) || closed.is_some_and(|closed| bar.open_time <= closed) {
                continue;
            }
            let members = partition.open.entry(bar.open_time).or_default();
            if !recipes.is_member(features, row) {
                // A correction may take a symbol out of the universe.
                members.remove(symbol);
                continue;
            }
            // A correction writes over what it corrects.
            let member = members
                .entry(*symbol)
                .or_insert_with(|| Member { revision: bar.revision, values: Vec::with_capacity(recipes.len()) });
            if member.revision <= bar.revision {
                member.revision = bar.revision;
                member.values.clear();
                member.values.extend((0..recipes.len()).map(|recipe| values[recipe * n_rows + row]));
            }
        }
        if let Some(watermark) = header.watermark
            && (partition.is_seeded || partition.watermark < Some(watermark))
        {
            (partition.watermark, partition.is_seeded) = (Some(watermark), false);
        }
        self.close(recipes.len());
    }

    /// What was closed since the last call, as messages.
    pub(crate) fn take_closed(&mut self, timeframe: Timeframe, inputs: &[String]) -> Vec<QuantileTables> {
        std::mem::take(&mut self.fresh).iter().map(|closed| closed.message(timeframe, inputs)).collect()
    }

    /// Up to here no partition expects a row any more.
    fn closed_everywhere(&self) -> Option<EventTime> {
        self.partitions.iter().map(PartitionSessions::closed).min().flatten()
    }

    /// Makes the tables of the sessions that every partition has closed.
    fn close(&mut self, n_recipes: usize) {
        let Some(until) = self.closed_everywhere() else { return };
        if !self
            .partitions
            .iter()
            .any(|partition| partition.open.first_key_value().is_some_and(|open| *open.0 <= until))
        {
            return;
        }
        let sessions = self.partitions.iter().flat_map(|partition| partition.open.range(..=until));
        let sessions: BTreeSet<EventTime> = sessions.map(|(session, _)| *session).collect();
        for session in sessions {
            let members: Vec<_> =
                self.partitions.iter_mut().filter_map(|partition| partition.open.remove(&session)).collect();
            // After a restart some partitions may have given up what they had collected: the tables were made then.
            if self.closed.last_key_value().is_some_and(|(newest, _)| *newest >= session) {
                continue;
            }
            let mut values = SessionValues::new(n_recipes);
            members.iter().flat_map(BTreeMap::values).for_each(|member| values.add(member.values.iter().copied()));
            let closed = Arc::new(values.close(session));
            self.closed.insert(session, Arc::clone(&closed));
            self.fresh.push(closed);
        }
        while self.closed.len() > CLOSED_MAX {
            self.closed.pop_first();
        }
    }
}

impl PartitionSessions {
    fn closed(&self) -> Option<EventTime> {
        self.watermark.max(self.newest_row.map(|newest| EventTime(newest.as_ns().saturating_sub(1))))
    }
}

/// The values that make the tables of one session.
#[derive(Debug, Clone)]
pub(crate) struct SessionValues {
    /// By recipe.
    values: Vec<Vec<f64>>,
}

impl SessionValues {
    pub(crate) fn new(n_recipes: usize) -> Self {
        Self { values: vec![Vec::new(); n_recipes] }
    }

    /// The values of one member of the universe, by recipe.
    pub(crate) fn add(&mut self, values: impl IntoIterator<Item = f64>) {
        for (all, value) in self.values.iter_mut().zip(values) {
            all.push(value);
        }
    }

    pub(crate) fn close(mut self, session: EventTime) -> ClosedSession {
        ClosedSession { session, tables: self.values.iter_mut().map(QuantileTable::of).collect() }
    }
}

impl ClosedSession {
    pub(crate) fn message(&self, timeframe: Timeframe, inputs: &[String]) -> QuantileTables {
        let knots = |table: &Option<QuantileTable>| table.as_ref().map(|table| table.knots().to_vec());
        let tables = inputs.iter().cloned().zip(self.tables.iter().map(knots)).collect();
        QuantileTables { timeframe, session: self.session, tables }
    }

    /// The tables that a message has for these inputs; what it does not have, or in another shape, is missing.
    pub(crate) fn from_message(message: &QuantileTables, inputs: &[String]) -> Self {
        let table = |input: &String| {
            let (_, knots) = message.tables.iter().find(|(name, _)| name == input)?;
            QuantileTable::from_knots(knots.as_ref()?)
        };
        Self { session: message.session, tables: inputs.iter().map(table).collect() }
    }
}

/// A partition's part of the state, and all closed sessions: whoever is restored last brings the newest.
#[derive(Serialize, Deserialize)]
struct Snapshot {
    watermark: Option<EventTime>,
    is_seeded: bool,
    newest_row: Option<EventTime>,
    open: BTreeMap<EventTime, BTreeMap<Symbol, Member>>,
    /// The knots of every table one after the other; of a missing one, NaN.
    closed: Vec<(EventTime, Vec<f64>)>,
}

impl Sessions {
    /// Names the shape of snapshots, and the features that they hold.
    pub(crate) fn layout(recipes: &DerivedFeatures) -> u64 {
        Plan::new(["sessions 1".to_owned()].into_iter().chain(recipes.inputs().iter().cloned())).hash()
    }

    pub(crate) fn snapshot(&self, partition: Partition) -> Vec<u8> {
        let of = &self.partitions[partition.index()];
        let knots = |closed: &ClosedSession| {
            let tables = closed.tables.iter();
            tables.flat_map(|table| table.as_ref().map_or([f64::NAN; N_KNOTS], |table| *table.knots())).collect()
        };
        let snapshot = Snapshot {
            watermark: of.watermark,
            is_seeded: of.is_seeded,
            newest_row: of.newest_row,
            open: of.open.clone(),
            closed: self.closed.values().map(|closed| (closed.session, knots(closed))).collect(),
        };
        rmp_serde::to_vec(&snapshot).expect("plain data serialises to MessagePack")
    }

    /// # Errors
    /// When the bytes are no snapshot of these recipes. Nothing is changed then.
    pub(crate) fn restore(&mut self, partition: Partition, bytes: &[u8], n_recipes: usize) -> Result<(), Rejected> {
        let refused = |detail: String| Rejected::new("snapshot", detail);
        let snapshot: Snapshot = rmp_serde::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        let n_values =
            snapshot.open.values().flat_map(BTreeMap::values).find(|member| member.values.len() != n_recipes);
        if let Some(member) = n_values {
            return Err(refused(format!("{} values for {n_recipes} features", member.values.len())));
        }
        let mut restored = Vec::with_capacity(snapshot.closed.len());
        for (session, knots) in snapshot.closed {
            if knots.len() != n_recipes * N_KNOTS {
                return Err(refused(format!("{} knots for {n_recipes} features", knots.len())));
            }
            let tables = knots.chunks_exact(N_KNOTS).map(QuantileTable::from_knots).collect();
            restored.push(ClosedSession { session, tables });
        }
        for closed in restored {
            self.insert(closed);
        }
        while self.closed.len() > CLOSED_MAX {
            self.closed.pop_first();
        }
        let Snapshot { watermark, is_seeded, newest_row, open, .. } = snapshot;
        self.partitions[partition.index()] = PartitionSessions { watermark, is_seeded, newest_row, open };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Bar, BarBatchBuilder, Header};

    use super::*;

    const DAY: fn(i32) -> EventTime = EventTime::from_days;

    /// A plan with what one recipe and the universe need.
    fn recipes() -> DerivedFeatures {
        DerivedFeatures::new(&Plan::new(["ret_5d", "dollar_vol_20"]))
    }

    struct Row {
        symbol: &'static str,
        ret: f64,
        dollar_volume: f64,
        revision: u32,
        flags: BarFlags,
    }

    fn row(symbol: &'static str, ret: f64) -> Row {
        Row { symbol, ret, dollar_volume: 1e7, revision: 0, flags: BarFlags::FINAL }
    }

    fn batch(partition: Partition, day: i32, rows: &[Row], watermark: Option<i32>) -> FeatureBatch {
        let mut bars = BarBatchBuilder::new(partition);
        let price = 10.0;
        for &Row { symbol, revision, flags, .. } in rows {
            let (open, high, low, close) = (price, price, price, price);
            let bar = Bar { open_time: DAY(day), open, high, low, close, volume: 1e6, revision, flags };
            bars.push(Symbol::new(symbol).unwrap(), bar);
        }
        let header = Header {
            timeframe: Timeframe::D1,
            partition,
            epoch: 1,
            seq: 1,
            event_time: DAY(day),
            ingest_time: DAY(day),
            source: "test".to_owned(),
            watermark: watermark.map(DAY),
        };
        let matrix = rows.iter().map(|row| row.ret).chain(rows.iter().map(|row| row.dollar_volume)).collect();
        FeatureBatch::new(bars.finish(header), 1, matrix).unwrap()
    }

    fn observe(sessions: &mut Sessions, batch: &FeatureBatch) {
        let recipes = recipes();
        let mut values = Vec::new();
        recipes.evaluate(batch, &mut values);
        sessions.observe(batch, &recipes, &values);
    }

    /// Symbols of one partition, as many as a table needs.
    fn symbols() -> (Partition, Vec<&'static str>) {
        let partition = Partition::new(0).unwrap();
        let names = (0..).map(|at| format!("S{at}"));
        let own = names.filter(|name| Partition::of(Symbol::new(name).unwrap()) == partition).take(250);
        (partition, own.map(|name| &*name.leak()).collect())
    }

    fn median(closed: &ClosedSession) -> Option<f64> {
        let at = recipes().inputs().iter().position(|input| input == "rank_ret_5d").unwrap();
        closed.tables[at].as_ref().map(|table| table.knots()[32])
    }

    fn close_others(sessions: &mut Sessions, day: i32) {
        for partition in Partition::all().skip(1) {
            observe(sessions, &batch(partition, day, &[], Some(day)));
        }
    }

    #[test]
    fn a_session_closes_when_every_partition_has_and_serves_the_next() {
        let (partition, symbols) = symbols();
        let mut sessions = Sessions::new();
        let rows: Vec<Row> = symbols.iter().map(|symbol| row(symbol, 0.5)).collect();
        observe(&mut sessions, &batch(partition, 10, &rows, Some(10)));
        assert!(sessions.is_ahead(partition) && sessions.before(DAY(11)).is_none());
        close_others(&mut sessions, 10);
        assert!(Partition::all().all(|partition| !sessions.is_ahead(partition)));
        assert!(sessions.before(DAY(10)).is_none(), "no session sees its own tables");
        let closed = sessions.before(DAY(11)).unwrap();
        assert_eq!((closed.session, median(closed)), (DAY(10), Some(0.5)));
        let messages = sessions.take_closed(Timeframe::D1, recipes().inputs());
        assert_eq!((messages.len(), messages[0].session), (1, DAY(10)));
        assert!(sessions.take_closed(Timeframe::D1, recipes().inputs()).is_empty());
    }

    #[test]
    fn only_the_newest_final_rows_of_the_universe_count() {
        let (partition, symbols) = symbols();
        let mut sessions = Sessions::new();
        let rows = |ret: f64| symbols[..220].iter().map(move |symbol| row(symbol, ret));
        let forming = rows(9.0).map(|row| Row { flags: BarFlags::default(), ..row }).collect::<Vec<_>>();
        observe(&mut sessions, &batch(partition, 10, &forming, None));
        observe(&mut sessions, &batch(partition, 10, &rows(1.0).collect::<Vec<_>>(), None));
        let corrected = rows(2.0).map(|row| Row { revision: 1, ..row }).collect::<Vec<_>>();
        observe(&mut sessions, &batch(partition, 10, &corrected, None));
        let illiquid = symbols[220..].iter().map(|symbol| Row { dollar_volume: 2e6, ..row(symbol, 9.0) });
        observe(&mut sessions, &batch(partition, 10, &illiquid.collect::<Vec<_>>(), Some(10)));
        // Behind its watermark.
        let late = rows(3.0).map(|row| Row { revision: 2, ..row }).collect::<Vec<_>>();
        observe(&mut sessions, &batch(partition, 10, &late, None));
        close_others(&mut sessions, 10);
        assert_eq!(median(sessions.before(DAY(11)).unwrap()), Some(2.0));
    }

    #[test]
    fn too_few_values_make_no_table() {
        let (partition, symbols) = symbols();
        let mut sessions = Sessions::new();
        let rows: Vec<Row> = symbols[..199].iter().map(|symbol| row(symbol, 0.5)).collect();
        observe(&mut sessions, &batch(partition, 10, &rows, Some(10)));
        close_others(&mut sessions, 10);
        assert_eq!(median(sessions.before(DAY(11)).unwrap()), None);
    }

    #[test]
    fn a_lost_watermark_holds_nobody_back_for_longer_than_to_the_next_row() {
        let (partition, symbols) = symbols();
        let mut sessions = Sessions::new();
        let rows: Vec<Row> = symbols.iter().map(|symbol| row(symbol, 0.5)).collect();
        observe(&mut sessions, &batch(partition, 10, &rows, None));
        close_others(&mut sessions, 10);
        let other = Partition::new(1).unwrap();
        assert!(sessions.is_ahead(other) && sessions.before(DAY(11)).is_none());
        let forming = [Row { flags: BarFlags::default(), ..row(symbols[0], 0.5) }];
        observe(&mut sessions, &batch(partition, 11, &forming, None));
        assert!(!sessions.is_ahead(other));
        assert_eq!(median(sessions.before(DAY(11)).unwrap()), Some(0.5));
    }

    /// Partition 0 was saved after it had given its values of session 10 away, the others before they closed it.
    #[test]
    fn restored_tables_are_not_made_again_of_what_is_left() {
        let (partition, symbols) = symbols();
        let mut sessions = Sessions::new();
        let others: Vec<Vec<u8>> = Partition::all().skip(1).map(|partition| sessions.snapshot(partition)).collect();
        let rows: Vec<Row> = symbols.iter().map(|symbol| row(symbol, 0.5)).collect();
        observe(&mut sessions, &batch(partition, 10, &rows, Some(10)));
        close_others(&mut sessions, 10);
        let first = sessions.snapshot(partition);

        let n_recipes = recipes().len();
        let mut restored = Sessions::new();
        restored.restore(partition, &first, n_recipes).unwrap();
        for (partition, bytes) in Partition::all().skip(1).zip(&others) {
            restored.restore(partition, bytes, n_recipes).unwrap();
        }
        assert!(restored.is_ahead(partition));
        close_others(&mut restored, 10);
        assert_eq!(restored.before(DAY(11)), sessions.before(DAY(11)));
        assert!(restored.take_closed(Timeframe::D1, recipes().inputs()).is_empty());
        let next: Vec<Row> = symbols.iter().map(|symbol| row(symbol, 0.75)).collect();
        for sessions in [&mut sessions, &mut restored] {
            observe(sessions, &batch(partition, 11, &next, Some(11)));
            close_others(sessions, 11);
            assert_eq!(median(sessions.before(DAY(12)).unwrap()), Some(0.75));
            assert_eq!(median(sessions.before(DAY(11)).unwrap()), Some(0.5));
        }
        let error = restored.restore(partition, &first, n_recipes + 1).unwrap_err();
        assert_eq!(error.reason, "snapshot");
        restored.restore(partition, b"rubbish", n_recipes).unwrap_err();
    }

    #[test]
    fn a_seed_serves_until_a_session_closes_and_makes_nobody_wait() {
        let (partition, symbols) = symbols();
        let mut first = Sessions::new();
        let rows: Vec<Row> = symbols.iter().map(|symbol| row(symbol, 0.5)).collect();
        observe(&mut first, &batch(partition, 10, &rows, Some(10)));
        close_others(&mut first, 10);
        let message = first.take_closed(Timeframe::D1, recipes().inputs()).pop().unwrap();

        let mut second = Sessions::new();
        second.seed(ClosedSession::from_message(&message, recipes().inputs()));
        assert_eq!(second.before(DAY(11)), first.before(DAY(11)));
        // The last messages of session 10 came again in this partition only.
        observe(&mut second, &batch(partition, 10, &rows, Some(10)));
        assert!(!second.is_ahead(partition));
        let next: Vec<Row> = symbols.iter().map(|symbol| row(symbol, 0.75)).collect();
        observe(&mut second, &batch(partition, 11, &next, Some(11)));
        assert!(second.is_ahead(partition));
        close_others(&mut second, 11);
        assert_eq!(median(second.before(DAY(12)).unwrap()), Some(0.75));
    }
}
