//! The fields of a row: which there are, what a table sorts by, how they are picked out of a row's JSON.

use std::collections::HashMap;

use serde_json::value::RawValue;

/// The fields of a row in their order.
const FIELDS: [&str; 41] = [
    "symbol",
    "as_of",
    "close",
    "name",
    "sector",
    "industry",
    "market_cap",
    "atr_pct",
    "dollar_volume_20",
    "merit",
    "merit_band",
    "merit_flags",
    "merit_summary",
    "tech_rating",
    "ics",
    "quality",
    "alpha_5d",
    "alpha_10d",
    "win_prob_10d",
    "signal",
    "entry",
    "stop",
    "target",
    "reward_risk",
    "position_size",
    "setup",
    "live_plan",
    "no_plan",
    "excluded",
    "liquidity_note",
    "result_tier",
    "investor_tier",
    "play_style",
    "is_ultra_risky",
    "events",
    "factors",
    "outcomes",
    "profiles",
    "rules",
    "breakdown",
    "freshness",
];

/// Fields that hold more than one value. A table of plain values leaves them out unless it is asked for them.
const NESTED: [&str; 8] = ["live_plan", "events", "factors", "outcomes", "profiles", "rules", "breakdown", "freshness"];

/// The field of that name.
pub(super) fn field(name: &str) -> Option<&'static str> {
    FIELDS.into_iter().find(|field| *field == name)
}

/// Every field with a plain value.
pub(super) fn plain() -> Vec<&'static str> {
    FIELDS.into_iter().filter(|field| !NESTED.contains(field)).collect()
}

/// Picks fields out of a row's JSON, to the byte as they are there. Missing ones are `null`.
pub(super) struct Picker<'a> {
    fields: HashMap<&'a str, &'a RawValue>,
}

impl<'a> Picker<'a> {
    pub(super) fn new(row_json: &'a [u8]) -> Self {
        Self { fields: serde_json::from_slice(row_json).expect("a row of the board is a JSON object") }
    }

    pub(super) fn get(&self, field: &str) -> &'a str {
        self.fields.get(field).map_or("null", |value| value.get())
    }

    /// Appends an object of these fields.
    pub(super) fn push_object(&self, fields: &[&str], json: &mut Vec<u8>) {
        for (n, field) in fields.iter().enumerate() {
            json.extend_from_slice(if n == 0 { b"{\"" } else { b",\"" });
            json.extend_from_slice(field.as_bytes());
            json.extend_from_slice(b"\":");
            json.extend_from_slice(self.get(field).as_bytes());
        }
        json.push(b'}');
    }

    /// As a cell of a CSV table: text bare, a missing value empty, what is nested as JSON.
    pub(super) fn cell(&self, field: &str) -> String {
        match self.get(field) {
            "null" => String::new(),
            text if text.starts_with('"') => serde_json::from_str(text).expect("JSON that came from JSON"),
            other => other.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_fields_are_those_of_a_row_and_the_nested_ones_are_among_them() {
        let schema = schemars::schema_for!(schemas::ResultRow);
        let known: BTreeSet<&str> =
            schema.as_value()["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(BTreeSet::from(FIELDS), known);
        assert!(NESTED.iter().all(|nested| field(nested).is_some()));
        assert_eq!(plain().len() + NESTED.len(), FIELDS.len());
        assert_eq!(field("colour"), None);
    }

    #[test]
    fn picks_bytes_and_cells() {
        let picker = Picker::new(br#"{"a":1.50,"b":"x \"y\"","c":null,"d":[1]}"#);
        let mut json = Vec::new();
        picker.push_object(&["d", "a", "z"], &mut json);
        assert_eq!(json, br#"{"d":[1],"a":1.50,"z":null}"#);
        assert_eq!(["a", "b", "c", "d"].map(|field| picker.cell(field)), ["1.50", "x \"y\"", "", "[1]"]);
    }
}
