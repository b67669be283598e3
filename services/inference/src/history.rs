//! The quantile tables of a whole history at once, for those who have it: a scan, a file of features.

use std::collections::BTreeMap;

use schemas::{Bar, EventTime, FeatureBatch, Plan};

use crate::recipes::DerivedFeatures;
use crate::sessions::{ClosedSession, SessionValues};

/// Collects rows of any sessions in any order, and makes the tables that the live line would have made of them.
#[derive(Debug)]
pub struct TableHistory {
    recipes: DerivedFeatures,
    sessions: BTreeMap<EventTime, SessionValues>,
    /// Of one batch.
    values: Vec<f64>,
}

impl TableHistory {
    pub fn new(plan: &Plan) -> Self {
        Self { recipes: DerivedFeatures::new(plan), sessions: BTreeMap::new(), values: Vec::new() }
    }

    /// Whether the values of a symbol's last bar, whose close as traded is given, may be among those that make a table. Spares computing those that
    /// cannot; the columns have the last word.
    pub fn may_be_member(&self, bars: &[Bar], traded_close: f64) -> bool {
        self.recipes.may_be_member(bars, traded_close)
    }

    /// Takes in the final rows of a batch, each symbol and session once.
    pub fn add(&mut self, features: &FeatureBatch) {
        let rows = features.bars().rows();
        self.values.clear();
        self.recipes.evaluate(features, &mut self.values);
        for (row, (_, bar)) in rows.iter().enumerate() {
            // A session that nobody of the universe traded in has tables, too: empty ones.
            let session = self.sessions.entry(bar.open_time);
            let session = session.or_insert_with(|| SessionValues::new(self.recipes.len()));
            if self.recipes.is_member(features, row) {
                session.add((0..self.recipes.len()).map(|recipe| self.values[recipe * rows.len() + row]));
            }
        }
    }

    /// The tables of every session.
    pub(crate) fn close(self) -> impl Iterator<Item = ClosedSession> {
        self.sessions.into_iter().map(|(session, values)| values.close(session))
    }
}
