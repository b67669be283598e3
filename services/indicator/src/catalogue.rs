//! Everything that a plan can be asked for, for pages, menus and messages.

use ta_lib::abstract_api::{self, Group, OptInputType};

use crate::formula::FORMULAS;
use crate::spec::{Extra, Kind, UNBOUNDED, parameter_key, series_keys};

/// Something that a plan can be asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entry {
    /// With every parameter at its default: `ta:WMA(period = 30, in = close)`.
    pub text: String,
    /// What it is: that of TA-Lib, or `Formulas of native columns`, `Time of day`.
    pub group: &'static str,
    pub about: String,
    /// The columns it has when it is asked for by its name alone.
    pub columns: Vec<String>,
    /// Bars up to the first value at the defaults.
    pub need: u32,
}

/// Everything that a plan can be asked for, in the order of a page.
pub fn catalogue() -> Vec<Entry> {
    let mut entries = Vec::new();
    for formula in FORMULAS {
        let parameters: Vec<String> =
            formula.parameters.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let is_native = Extra::parse(formula.name).is_ok_and(|extra| matches!(extra.kind, Kind::Native));
        let about = if is_native { "native at its defaults" } else { "" }.to_owned();
        entries.extend(entry(formula.name, &parameters, "Formulas of native columns", about));
    }
    for (name, parameters, about) in [
        ("session_vwap", vec!["from = 09:30"], "mean price of the session, weighted by volume"),
        ("anchored_vwap", vec!["from = 2026-01-05"], "the same from a point in time: a date, or 2026-01-05T14:30Z"),
        (
            "rvol_at_time",
            vec!["sessions = 10", "from = 09:30"],
            "volume of the session over its usual one at this time",
        ),
    ] {
        let parameters: Vec<String> = parameters.into_iter().map(str::to_owned).collect();
        entries.extend(entry(name, &parameters, "Time of day", about.to_owned()));
    }
    for group in Group::ALL {
        for info in abstract_api::funcs_in_group(*group) {
            let mut parameters: Vec<String> = Vec::new();
            for parameter in info.opt_inputs {
                let default = match parameter.kind {
                    OptInputType::RealRange { default, .. } | OptInputType::RealList { default, .. } => {
                        default.to_string()
                    }
                    OptInputType::IntegerRange { default, .. } => default.to_string(),
                    OptInputType::IntegerList { default, values } => {
                        let named = values.iter().find(|(number, _)| *number == default);
                        named.map(|(_, name)| name.to_ascii_lowercase()).unwrap_or_default()
                    }
                };
                parameters.push(format!("{} = {default}", parameter_key(parameter.param_name)));
            }
            parameters.extend(series_keys(info).into_iter().map(|key| format!("{key} = close")));
            entries.extend(entry(&format!("ta:{}", info.name), &parameters, group.as_str(), info.hint.to_owned()));
        }
    }
    entries
}

/// The functions of TA-Lib that a plan refuses, and what stands for them.
pub fn refused_functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    UNBOUNDED.into_iter()
}

/// `None` for what is refused.
fn entry(name: &str, parameters: &[String], group: &'static str, about: String) -> Option<Entry> {
    let text = match parameters {
        [] => name.to_owned(),
        parameters => format!("{name}({})", parameters.join(", ")),
    };
    // A time has no default.
    let bare = if name == "anchored_vwap" { text.as_str() } else { name };
    let extra = Extra::parse(bare).ok()?;
    Some(Entry { text, group, about, need: extra.need(), columns: extra.columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_can_be_asked_for_and_means_the_default() {
        let entries = catalogue();
        assert!(entries.len() > 224 + 30);
        for entry in entries {
            let extra = Extra::parse(&entry.text).unwrap_or_else(|error| panic!("{}: {error}", entry.text));
            assert_eq!((extra.need(), extra.columns.len()), (entry.need, entry.columns.len()), "{}", entry.text);
        }
    }
}
