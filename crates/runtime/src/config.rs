//! The configuration: layers of TOML, environment and flags, checked as a whole before anything starts.
//!
//! `default.toml` is the reference: it is complete, so it decides which keys exist and which type each has. Two of its
//! values are special. `key = ""` is an optional key that is unset: it reaches the program as an absent field (declare
//! it `Option`), and takes a value of any type. An empty section `[name]` takes any keys.
//!
//! Not built on the crate `config`: it stops at the first problem, and does not say which layer a value came from.

mod error;
mod mask;
mod secret;
mod suggest;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

pub use error::{ConfigErrors, Problem, Source};
pub use secret::Secret;

/// Durations with units in a configuration struct: `#[serde(with = "runtime::config::duration")]` reads `"500ms"`.
pub use humantime_serde as duration;

const PREFIX: &str = "TECHNIC__";

/// Where the configuration comes from. Later fields win.
#[derive(Debug, Clone, Default)]
pub struct Layers<'a> {
    /// The compiled-in reference.
    pub default_toml: &'a str,
    /// The file given on the command line.
    pub file: Option<&'a Path>,
    /// Variables; only `TECHNIC__SECTION__KEY` count. See [`environment`].
    pub environment: Vec<(String, String)>,
    /// Dotted keys and values.
    pub flags: Vec<(String, String)>,
}

/// A complete configuration and what is known about it.
#[derive(Debug)]
pub struct Loaded<T> {
    pub config: T,
    /// The effective values as TOML, without secrets: fit to be shown.
    pub masked: String,
    origins: Vec<(String, Source)>,
}

impl<T> Loaded<T> {
    /// A problem that the program itself found with a value, attributed to the layer that set it.
    pub fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        Problem { key: key.to_owned(), source: origin(&self.origins, key), message: message.into() }
    }
}

/// The environment of this process, for [`Layers`].
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}

/// The server binary named by `$NATS_SERVER`, the variable that tests and operators of a NATS machine know.
pub fn nats_server() -> Option<PathBuf> {
    std::env::var_os("NATS_SERVER").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Merges the layers and makes the typed configuration of them.
///
/// # Errors
/// All problems of all layers together.
pub fn load<T: DeserializeOwned>(layers: &Layers<'_>) -> Result<Loaded<T>, ConfigErrors> {
    let file = layers.file.map(|path| (path, std::fs::read_to_string(path)));
    load_with(layers, file)
}

/// [`load`], with the file already read.
fn load_with<T: DeserializeOwned>(
    layers: &Layers<'_>,
    file: Option<(&Path, std::io::Result<String>)>,
) -> Result<Loaded<T>, ConfigErrors> {
    let defaults = match parse(layers.default_toml, Source::Default) {
        Ok(table) => table,
        Err(problem) => return Err(ConfigErrors { problems: vec![problem] }),
    };
    if let Err(error) = deserialize::<T>(&defaults, &defaults) {
        let problem = Problem { key: String::new(), source: Source::Default, message: one_line(&error) };
        return Err(ConfigErrors { problems: vec![problem] });
    }

    let mut problems = Vec::new();
    let mut settings = Vec::new();
    if let Some((path, text)) = file {
        match parse_file(path, text) {
            Ok(table) => flatten(table, &[], &Source::File(path.to_owned()), &mut settings),
            Err(problem) => problems.push(problem),
        }
    }
    settings.extend(layers.environment.iter().filter_map(|(name, value)| from_variable(name, value)));
    settings.extend(layers.flags.iter().map(|(key, value)| from_flag(key, value)));

    let mut merged = defaults.clone();
    let mut accepted = Vec::new();
    for Setting { key, given, source } in settings {
        match fit::<T>(&defaults, &key, given) {
            Ok(value) => {
                set(&mut merged, &key, value.clone());
                accepted.push((key, value, source));
            }
            Err(message) => problems.push(Problem { key: key.join("."), source, message }),
        }
    }

    let origins: Vec<_> = accepted.iter().map(|(key, _, source)| (key.join("."), source.clone())).collect();
    match deserialize::<T>(&defaults, &merged) {
        Ok((config, unread)) => {
            problems.extend(unread.into_iter().map(|key| {
                let source = origin(&origins, &key);
                Problem { key, source, message: "unknown key, the program does not read it".to_owned() }
            }));
            if problems.is_empty() {
                return Ok(Loaded { config, masked: mask::render(&merged), origins });
            }
        }
        Err(error) => problems.extend(blame::<T>(&defaults, accepted, &error)),
    }
    Err(ConfigErrors { problems })
}

/// One key as one layer sets it.
struct Setting {
    key: Vec<String>,
    given: Given,
    source: Source,
}

enum Given {
    Typed(Value),
    /// From the environment or a flag: the default decides what it means.
    Text(String),
}

/// What the defaults say about a key.
enum Expected<'a> {
    Leaf(&'a Value),
    /// A value of any type.
    Open,
    Section,
    Unknown,
}

fn from_variable(name: &str, value: &str) -> Option<Setting> {
    let key = name.strip_prefix(PREFIX)?.split("__").map(str::to_lowercase).collect();
    Some(Setting { key, given: Given::Text(value.to_owned()), source: Source::Environment(name.to_owned()) })
}

fn from_flag(key: &str, value: &str) -> Setting {
    let key = key.split('.').map(str::to_owned).collect();
    Setting { key, given: Given::Text(value.to_owned()), source: Source::Flag }
}

fn parse_file(path: &Path, text: std::io::Result<String>) -> Result<Table, Problem> {
    let source = Source::File(path.to_owned());
    match text {
        Ok(text) => parse(&text, source),
        Err(error) => Err(Problem { key: String::new(), source, message: format!("cannot be read: {error}") }),
    }
}

fn parse(text: &str, source: Source) -> Result<Table, Problem> {
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        // Not the whole error: it quotes the line, which may hold a secret.
        Problem { key: String::new(), source, message: format!("line {line}: {}", first_line(error.message())) }
    })
}

fn flatten(table: Table, section: &[String], source: &Source, out: &mut Vec<Setting>) {
    for (name, value) in table {
        let key = [section, &[name]].concat();
        match value {
            Value::Table(inner) if !inner.is_empty() => flatten(inner, &key, source, out),
            value => out.push(Setting { key, given: Given::Typed(value), source: source.clone() }),
        }
    }
}

fn expected<'a>(defaults: &'a Table, key: &[String]) -> Expected<'a> {
    let mut table = defaults;
    for (depth, name) in key.iter().enumerate() {
        match table.get(name) {
            Some(Value::Table(inner)) => table = inner,
            Some(Value::String(text)) if text.is_empty() && depth + 1 == key.len() => return Expected::Open,
            Some(leaf) if depth + 1 == key.len() => return Expected::Leaf(leaf),
            None if depth > 0 && table.is_empty() => return Expected::Open,
            _ => return Expected::Unknown,
        }
    }
    Expected::Section
}

/// The value to merge, or what is wrong with the given one.
fn fit<T: DeserializeOwned>(defaults: &Table, key: &[String], given: Given) -> Result<Value, String> {
    match (expected(defaults, key), given) {
        (Expected::Unknown, _) => Err(suggest::unknown_key(defaults, &key.join("."))),
        (Expected::Section, Given::Typed(Value::Table(empty))) => Ok(Value::Table(empty)),
        (Expected::Section, _) => Err("is a section: set a key in it".to_owned()),
        (Expected::Open, Given::Typed(value)) => Ok(value),
        (Expected::Open, Given::Text(text)) => Ok(guess::<T>(defaults, key, text)),
        (Expected::Leaf(default), Given::Typed(value)) => {
            let found = value.type_str();
            coerce(default, value).ok_or_else(|| format!("expected {}, found {found}", default.type_str()))
        }
        (Expected::Leaf(default), Given::Text(text)) => from_text(default, &text)
            .ok_or_else(|| format!("expected {}, found `{}`", default.type_str(), mask::shown(key, &text))),
    }
}

fn coerce(default: &Value, value: Value) -> Option<Value> {
    match (default, value) {
        (Value::Float(_), Value::Integer(integer)) => Some(Value::Float(integer as f64)),
        (default, value) => default.same_type(&value).then_some(value),
    }
}

fn from_text(default: &Value, text: &str) -> Option<Value> {
    match default {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Array(_) if text.trim_start().starts_with('[') => coerce(default, text.trim().parse().ok()?),
        Value::Array(items) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            match items.first() {
                Some(item) => parts.map(|part| from_text(item, part)).collect::<Option<_>>().map(Value::Array),
                None => Some(Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())),
            }
        }
        default => coerce(default, text.trim().parse().ok()?),
    }
}

/// The text as the type that the program takes, where the defaults do not tell: a string unless only another fits.
fn guess<T: DeserializeOwned>(defaults: &Table, key: &[String], text: String) -> Value {
    let parsed = text.trim().parse::<Value>().ok();
    let string = Value::String(text);
    match parsed {
        Some(parsed) if check::<T>(defaults, key, &string).is_err() && check::<T>(defaults, key, &parsed).is_ok() => {
            parsed
        }
        _ => string,
    }
}

/// An empty section changes nothing; anything else replaces what is there.
fn set(table: &mut Table, key: &[String], value: Value) {
    let Some((name, sections)) = key.split_last() else { return };
    let mut table = table;
    for section in sections {
        let inner = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = inner else { return };
        table = inner;
    }
    if matches!((table.get(name), &value), (Some(Value::Table(_)), Value::Table(_))) {
        return;
    }
    table.insert(name.clone(), value);
}

/// The typed configuration and the keys that it did not read.
fn deserialize<T: DeserializeOwned>(defaults: &Table, merged: &Table) -> Result<(T, Vec<String>), toml::de::Error> {
    let mut present = merged.clone();
    remove_unset(defaults, &mut present);
    let mut unread = Vec::new();
    let config = serde_ignored::deserialize(Value::Table(present), |path| {
        // An `Option` in between shows as a question mark, which is no part of the key.
        let path = path.to_string();
        unread.push(path.split('.').filter(|&part| part != "?").collect::<Vec<_>>().join("."));
    })?;
    Ok((config, unread))
}

fn remove_unset(defaults: &Table, table: &mut Table) {
    for (name, default) in defaults {
        match (default, table.get_mut(name)) {
            (Value::Table(default), Some(Value::Table(inner))) => remove_unset(default, inner),
            (Value::String(default), Some(Value::String(text))) if default.is_empty() && text.is_empty() => {
                table.remove(name);
            }
            _ => {}
        }
    }
}

/// Whether the program takes this value when everything else has its default.
fn check<T: DeserializeOwned>(defaults: &Table, key: &[String], value: &Value) -> Result<(), String> {
    let mut table = defaults.clone();
    set(&mut table, key, value.clone());
    match deserialize::<T>(defaults, &table) {
        Ok(_) => Ok(()),
        // The message of a parser may quote the value.
        Err(_) if mask::is_secret(&key.join(".")) => Err("invalid value".to_owned()),
        Err(error) => Err(mask::urls(first_line(error.message()))),
    }
}

/// Which settings made the whole fail. Serde stops at the first; trying them one at a time finds all.
fn blame<T: DeserializeOwned>(
    defaults: &Table,
    accepted: Vec<(Vec<String>, Value, Source)>,
    error: &toml::de::Error,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (key, value, source) in accepted {
        if let Err(message) = check::<T>(defaults, &key, &value) {
            problems.push(Problem { key: key.join("."), source, message });
        }
    }
    if problems.is_empty() {
        let message = mask::urls(&one_line(error));
        problems.push(Problem { key: String::new(), source: Source::Together, message });
    }
    problems
}

/// The last layer that set the key, or a key that contains it.
fn origin(origins: &[(String, Source)], key: &str) -> Source {
    let contains = |outer: &str| key.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    origins.iter().rev().find(|(outer, _)| contains(outer)).map_or(Source::Default, |(_, source)| source.clone())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn one_line(error: &toml::de::Error) -> String {
    error.to_string().lines().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
