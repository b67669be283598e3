use std::collections::BTreeSet;
use std::time::Duration;

use schemas::{EventTime, ResultRow, Symbol};
use serde_json::{Map, Value};

use crate::board::Row;

/// Most names in one list of a filter.
const NAMES_MAX: usize = 1000;

/// Names in lower case: a row is compared with a thousand of them for every client.
#[derive(Debug, Clone, PartialEq, Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn new(texts: Vec<String>) -> Self {
        Self(texts.into_iter().map(|text| text.to_ascii_lowercase()).collect())
    }

    /// Whether a text is one of them; any is when there are none.
    fn allow(&self, text: Option<&str>) -> bool {
        self.0.is_empty() || text.is_some_and(|text| self.0.contains(&text.to_ascii_lowercase()))
    }
}

/// Which rows a client wants to see. Evaluated on the server: what stops matching is announced as left.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Filter {
    min_merit: Option<f64>,
    bands: Names,
    sectors: Names,
    signals: Names,
    symbols: BTreeSet<Symbol>,
    /// Only so many, the best by rank of those that match otherwise.
    top: Option<usize>,
    /// Only rows whose last change arrived at most so long ago.
    age_max: Option<Duration>,
}

impl Filter {
    /// `None` for a filter that filters nothing.
    ///
    /// # Errors
    /// A text that names the key at fault.
    pub(crate) fn parse(filter: &Map<String, Value>) -> Result<Option<Self>, String> {
        let mut parsed = Self::default();
        for (key, value) in filter {
            match key.as_str() {
                "min_merit" => {
                    let merit = value.as_f64().filter(|merit| (0.0..=100.0).contains(merit));
                    parsed.min_merit = Some(merit.ok_or("`filter.min_merit` is no number from 0 to 100")?);
                }
                "bands" => parsed.bands = Names::new(texts(key, value)?),
                "sectors" => parsed.sectors = Names::new(texts(key, value)?),
                "signals" => parsed.signals = Names::new(texts(key, value)?),
                "symbols" => {
                    let symbols = texts(key, value)?.into_iter().map(|text| text.parse());
                    let symbols: Result<_, schemas::SymbolError> = symbols.collect();
                    parsed.symbols = symbols.map_err(|error| format!("`filter.symbols`: {error}"))?;
                }
                "top" => {
                    let top = value.as_u64().filter(|top| (1..=10_000).contains(top));
                    let top = top.and_then(|top| usize::try_from(top).ok());
                    parsed.top = Some(top.ok_or("`filter.top` is no whole number from 1 to 10000")?);
                }
                "max_age_ms" => {
                    let age = value.as_u64().filter(|age| *age > 0);
                    let age = age.ok_or("`filter.max_age_ms` is no whole number above zero")?;
                    parsed.age_max = Some(Duration::from_millis(age));
                }
                _ => return Err(format!("`filter.{}` is unknown", key.chars().take(64).collect::<String>())),
            }
        }
        Ok((parsed != Self::default()).then_some(parsed))
    }

    /// Whether a row may enter or leave by what happens to others, or by time.
    pub(crate) fn depends_on_more_than_the_row(&self) -> bool {
        self.top.is_some() || self.age_max.is_some()
    }

    /// Whether rows leave by time alone.
    pub(crate) fn ages(&self) -> bool {
        self.age_max.is_some()
    }

    /// Everything but `top`.
    pub(crate) fn matches(&self, row: &Row, now: EventTime) -> bool {
        self.is_young(row, now) && self.matches_result(&row.result)
    }

    /// Rows that are wanted at most.
    pub(crate) fn limit(&self) -> usize {
        self.top.unwrap_or(usize::MAX)
    }

    fn matches_result(&self, row: &ResultRow) -> bool {
        self.min_merit.is_none_or(|min_merit| row.merit >= min_merit)
            && self.bands.allow(Some(&row.merit_band))
            && self.sectors.allow(row.sector.as_deref())
            && self.signals.allow(Some(&row.signal))
            && (self.symbols.is_empty() || self.symbols.contains(&row.symbol))
    }

    /// A row of which nobody knows when it arrived is not young.
    fn is_young(&self, row: &Row, now: EventTime) -> bool {
        self.age_max.is_none_or(|age_max| {
            row.arrived.is_some_and(|arrived| {
                let age_ns = now.as_ns().saturating_sub(arrived.as_ns()).max(0);
                u128::from(age_ns.unsigned_abs()) <= age_max.as_nanos()
            })
        })
    }
}

fn texts(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let texts = value.as_array().filter(|texts| !texts.is_empty() && texts.len() <= NAMES_MAX);
    let texts = texts.and_then(|texts| texts.iter().map(|text| text.as_str().map(str::to_owned)).collect());
    texts.ok_or_else(|| format!("`filter.{key}` is no list of 1 to {NAMES_MAX} texts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Filter>, String> {
        Filter::parse(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn every_key_is_understood_and_a_faulty_one_is_named() {
        let all = r#"{"min_merit":70,"bands":["A"],"sectors":["Energy"],"signals":["HOLD"],"symbols":["BRK.B"],
                      "top":50,"max_age_ms":5000}"#;
        let filter = parse(all).unwrap().unwrap();
        assert!(filter.depends_on_more_than_the_row() && filter.ages());
        assert_eq!(parse("{}"), Ok(None));
        for (text, key) in [
            (r#"{"min_merit":"70"}"#, "min_merit"),
            (r#"{"min_merit":101}"#, "min_merit"),
            (r#"{"bands":[]}"#, "bands"),
            (r#"{"sectors":"Energy"}"#, "sectors"),
            (r#"{"signals":[1]}"#, "signals"),
            (r#"{"symbols":["A B"]}"#, "symbols"),
            (r#"{"top":0}"#, "top"),
            (r#"{"max_age_ms":-1}"#, "max_age_ms"),
            (r#"{"merit_min":1}"#, "merit_min"),
        ] {
            assert!(parse(text).unwrap_err().contains(key), "{text}");
        }
    }
}
