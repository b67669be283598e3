use std::cmp::Ordering;

use schemas::ResultRow;

/// What a scan is sorted by.
#[derive(Debug, Clone, Copy)]
pub struct SortKey {
    name: &'static str,
    value: Value,
    is_descending: bool,
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Text(fn(&ResultRow) -> Option<&str>),
    Number(fn(&ResultRow) -> Option<f64>),
}

/// The fields of a row that can be sorted by.
pub const SORT_FIELDS: [&str; 26] = [
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
    "result_tier",
    "investor_tier",
    "play_style",
];

impl SortKey {
    /// A field by name, falling with a `-` before it; `None` when rows are not sorted by it.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_descending, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let name = SORT_FIELDS.into_iter().find(|field| *field == name)?;
        Some(Self { name, value: value(name)?, is_descending })
    }

    /// Missing values come last, whichever way it is sorted: they are not small, they are unknown.
    fn compare(&self, a: &ResultRow, b: &ResultRow) -> Ordering {
        match self.value {
            Value::Text(text) => self.ordered(text(a), text(b), Ord::cmp),
            Value::Number(number) => self.ordered(number(a), number(b), f64::total_cmp),
        }
    }

    fn ordered<T: Copy>(&self, a: Option<T>, b: Option<T>, compare: fn(&T, &T) -> Ordering) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) if self.is_descending => compare(&b, &a),
            (Some(a), Some(b)) => compare(&a, &b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }

    pub(crate) fn compare_all(keys: &[Self], a: &ResultRow, b: &ResultRow) -> Ordering {
        keys.iter().map(|key| key.compare(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl PartialEq for SortKey {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.is_descending) == (other.name, other.is_descending)
    }
}

fn value(name: &str) -> Option<Value> {
    use Value::{Number, Text};
    Some(match name {
        "symbol" => Text(|row| Some(row.symbol.as_str())),
        "as_of" => Text(|row| Some(&row.as_of)),
        "close" => Number(|row| Some(row.close)),
        "name" => Text(|row| row.name.as_deref()),
        "sector" => Text(|row| row.sector.as_deref()),
        "industry" => Text(|row| row.industry.as_deref()),
        "market_cap" => Number(|row| row.market_cap),
        "atr_pct" => Number(|row| row.atr_pct),
        "dollar_volume_20" => Number(|row| row.dollar_volume_20),
        "merit" => Number(|row| Some(row.merit)),
        "tech_rating" => Number(|row| row.tech_rating),
        "ics" => Number(|row| Some(row.ics)),
        "quality" => Number(|row| row.quality),
        "alpha_5d" => Number(|row| row.alpha_5d),
        "alpha_10d" => Number(|row| row.alpha_10d),
        "win_prob_10d" => Number(|row| row.win_prob_10d),
        "signal" => Text(|row| Some(&row.signal)),
        "entry" => Number(|row| row.entry),
        "stop" => Number(|row| row.stop),
        "target" => Number(|row| row.target),
        "reward_risk" => Number(|row| row.reward_risk),
        "position_size" => Number(|row| row.position_size.map(|size| size as f64)),
        "setup" => Text(|row| row.setup.as_deref()),
        "result_tier" => Text(|row| Some(&row.result_tier)),
        "investor_tier" => Text(|row| Some(&row.investor_tier)),
        "play_style" => Text(|row| Some(&row.play_style)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_is_named_can_be_sorted_by() {
        for field in SORT_FIELDS {
            assert!(SortKey::parse(field).is_some_and(|key| !key.is_descending), "{field}");
            assert!(SortKey::parse(&format!("-{field}")).is_some_and(|key| key.is_descending), "{field}");
        }
        for text in ["", "-", "--merit", "colour", "breakdown"] {
            assert!(SortKey::parse(text).is_none(), "{text}");
        }
    }
}
