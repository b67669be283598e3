use schemas::Symbol;
use serde_json::{Map, Value};

use super::super::problem::Problem;
use super::fields;
use crate::snapshot::{SCAN_LIMIT_MAX, ScanQuery};
use crate::sort::{SORT_FIELDS, SortKey};

/// Parameters that may come more than once, or with several values between commas.
const LISTS: [&str; 7] = ["sector", "sectors", "band", "signal", "symbols", "sort", "fields"];

/// What a client asks of the table.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ScanRequest {
    pub(super) query: ScanQuery,
    /// `None`: the whole row.
    pub(super) fields: Option<Vec<&'static str>>,
    pub(super) format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Json,
    Csv,
    Ndjson,
}

impl ScanRequest {
    pub(super) fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Problem> {
        let mut request = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in pairs {
            let is_list = LISTS.contains(&name.as_str());
            if !is_list && seen.contains(&name.as_str()) {
                return Err(Problem::parameter(name, "it is there twice"));
            }
            seen.push(name);
            request.set(name, value)?;
            if is_list && value.split(',').all(|item| item.trim().is_empty()) {
                return Err(Problem::parameter(name, "it is empty"));
            }
        }
        Ok(request)
    }

    /// The body of a POST: an object of the same parameters, lists as arrays.
    pub(super) fn from_body(body: &[u8]) -> Result<Self, Problem> {
        let object: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| Problem::parameter("body", format!("no JSON object: {error}")))?;
        let mut pairs = Vec::new();
        for (name, value) in object {
            match value {
                Value::Null => {}
                Value::Array(values) => {
                    for value in &values {
                        pairs.push((name.clone(), scalar(&name, value)?));
                    }
                }
                value => {
                    let value = scalar(&name, &value)?;
                    pairs.push((name, value));
                }
            }
        }
        Self::from_pairs(&pairs)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let items = || value.split(',').map(str::trim).filter(|item| !item.is_empty());
        let query = &mut self.query;
        match name {
            "limit" => query.limit = whole(name, value, 1, SCAN_LIMIT_MAX)?,
            "offset" => query.offset = whole(name, value, 0, usize::MAX)?,
            "min_merit" => query.min_merit = Some(number(name, value, 0.0, 100.0)?),
            "min_tech_rating" => query.min_tech_rating = Some(number(name, value, -100.0, 100.0)?),
            "sector" => query.sectors.push(value.trim().to_owned()),
            "sectors" => query.sectors.extend(items().map(str::to_owned)),
            // In a query `+` means a space, so an unescaped `A+` arrives as `A `.
            "band" => query.bands.extend(value.split(',').map(|band| band.replace(' ', "+"))),
            "signal" => query.signals.extend(items().map(str::to_owned)),
            "profile" => query.profile = profile(name, value)?,
            "symbols" => {
                for item in items() {
                    let symbol: Result<Symbol, _> = item.parse();
                    query.symbols.push(symbol.map_err(|error| Problem::parameter(name, format!("{error}")))?);
                }
            }
            "sort" => {
                for item in items() {
                    query.sort.push(sort_key(name, item)?);
                }
            }
            "fields" => {
                let fields = self.fields.get_or_insert_default();
                for item in items() {
                    let field = fields::field(item)
                        .ok_or_else(|| Problem::parameter(name, format!("`{}` is no field of a row", excerpt(item))))?;
                    if !fields.contains(&field) {
                        fields.push(field);
                    }
                }
            }
            "format" => {
                self.format = match value {
                    "json" => Format::Json,
                    "csv" => Format::Csv,
                    "ndjson" => Format::Ndjson,
                    _ => {
                        let detail = format!("`{}` is none of json, csv, ndjson", excerpt(value));
                        return Err(Problem::parameter(name, detail));
                    }
                }
            }
            _ => return Err(unknown(name)),
        }
        Ok(())
    }
}

/// What the parameters of the service before this one are called here.
fn unknown(name: &str) -> Problem {
    let detail = match name {
        "max_symbols" => "there is no such parameter; here it is `limit`",
        "allow_shorts" | "risk_pct" | "target_rr" => {
            "there is no such parameter; it is a setting of the server, `scoring.account`"
        }
        "trade_style" | "lookback_days" | "options_mode" | "strategy_profile_name" => {
            "there is no such parameter, and nothing that takes its place"
        }
        _ => "there is no such parameter",
    };
    Problem::parameter(name, detail)
}

fn scalar(name: &str, value: &Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(Problem::parameter(name, "it is neither a text nor a number, nor an array of them")),
    }
}

fn sort_key(name: &str, text: &str) -> Result<SortKey, Problem> {
    SortKey::parse(text).ok_or_else(|| {
        let known = SORT_FIELDS.join(", ");
        Problem::parameter(name, format!("`{}` is none of {known}, with or without a `-`", excerpt(text)))
    })
}

pub(super) fn whole(name: &str, value: &str, min: usize, max: usize) -> Result<usize, Problem> {
    let number = value.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| Problem::parameter(name, format!("`{}` is no number from {min} to {max}", excerpt(value))))
}

pub(super) fn number(name: &str, value: &str, min: f64, max: f64) -> Result<f64, Problem> {
    let number = value.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| Problem::parameter(name, format!("`{}` is no number from {min} to {max}", excerpt(value))))
}

/// `None` shows every row.
pub(super) fn profile(name: &str, value: &str) -> Result<Option<String>, Problem> {
    match value {
        "none" => Ok(None),
        "moderate" => Ok(Some("balanced".to_owned())),
        "conservative" | "balanced" | "aggressive" => Ok(Some(value.to_owned())),
        _ => {
            let value = excerpt(value);
            Err(Problem::parameter(name, format!("`{value}` is none of conservative, balanced, aggressive, none")))
        }
    }
}

pub(super) fn excerpt(value: &str) -> String {
    value.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_nothing_is_refused_whatever_it_is_made_of() {
        for name in LISTS {
            for value in ["", " ", ",", " , ,"] {
                assert!(ScanRequest::from_pairs(&[(name.to_owned(), value.to_owned())]).is_err(), "{name}={value}");
            }
        }
        assert!(ScanRequest::from_body(br#"{"fields":[","]}"#).is_err());
    }

    #[test]
    fn a_body_asks_the_same_as_a_query() {
        let body = br#"{"limit":5,"min_merit":60.5,"sectors":["Energy","Health Care"],"sort":"-close,symbol",
                        "fields":["symbol","close"],"format":"csv","profile":"none","band":null}"#;
        let pairs = [
            ("limit", "5"),
            ("min_merit", "60.5"),
            ("sectors", "Energy,Health Care"),
            ("sort", "-close"),
            ("sort", "symbol"),
            ("fields", "symbol,close,symbol"),
            ("format", "csv"),
            ("profile", "none"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = ScanRequest::from_body(body).unwrap();
        assert_eq!(request, ScanRequest::from_pairs(&pairs).unwrap());
        assert_eq!((request.query.sort.len(), request.fields), (2, Some(vec!["symbol", "close"])));
    }
}
