//! What happens to the plans that are followed, as news on `AL`.

use std::collections::BTreeMap;

use schemas::{Alert, AlertLevel, EventTime, LivePlan, PlanChange, Symbol};

use crate::board::Update;

/// The rule that these alerts are of.
const RULE: &str = "plan";

/// Tells each change of a plan once, although a row is published again whenever others move it.
#[derive(Debug, Default)]
pub(crate) struct PlanAlerts {
    /// The bar and revision whose changes were told.
    told: BTreeMap<Symbol, (EventTime, u32)>,
}

impl PlanAlerts {
    /// What an update of the table tells that was not told before: only a final bar commits a change, and what was
    /// restored is no news.
    pub(crate) fn of(&mut self, update: &Update) -> Vec<Alert> {
        let Some(row) = update.result.as_ref().map(|row| &row.result) else { return Vec::new() };
        let Some(plan) = row.live_plan.as_ref().filter(|plan| !plan.changes.is_empty()) else { return Vec::new() };
        let position = row.position();
        if !row.freshness.is_final || self.told.get(&row.symbol).is_some_and(|told| *told >= position) {
            return Vec::new();
        }
        self.told.insert(row.symbol, position);
        if update.ingest_time.is_none() {
            return Vec::new();
        }
        let alert = |change: &PlanChange| Alert {
            rule: RULE.to_owned(),
            symbol: row.symbol,
            event_time: position.0,
            level: AlertLevel::Info,
            message: message(plan, change),
        };
        plan.changes.iter().map(alert).collect()
    }
}

fn message(plan: &LivePlan, change: &PlanChange) -> String {
    let LivePlan { direction, entry, stop, target, .. } = plan;
    let PlanChange { state, price } = change;
    format!("{direction} plan {state} at {price}: entry {entry}, stop {stop}, target {target}")
}
