//! Hides secrets in whatever is shown: by the name of the key, and credentials within addresses.

use toml::{Table, Value};

const MASK: &str = "***";

/// The table as TOML, without secrets.
pub(super) fn render(table: &Table) -> String {
    let masked = Value::Table(table.clone());
    toml::to_string(&mask(masked, false)).expect("what was parsed from TOML can be written as TOML")
}

/// A value as it may appear in a message.
pub(super) fn shown(key: &[String], text: &str) -> String {
    if key.iter().any(|name| is_secret_name(name)) { MASK.to_owned() } else { urls(text) }
}

pub(super) fn is_secret(key: &str) -> bool {
    key.split('.').any(is_secret_name)
}

/// Replaces what stands between `://` and `@`. A password may contain any byte, also an unescaped slash, so everything
/// up to the last `@` before the next address goes: hiding too much is the better mistake.
pub(super) fn urls(text: &str) -> String {
    let mut parts = text.split("://");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str("://");
        match part.rfind('@') {
            Some(at) => {
                masked.push_str(MASK);
                masked.push_str(&part[at..]);
            }
            None => masked.push_str(part),
        }
    }
    masked
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // How many of something a key may have is no secret.
    if name.ends_with("_per_key") {
        return false;
    }
    let singular = name.strip_suffix('s').unwrap_or(&name);
    ["token", "password"].iter().any(|word| name.contains(word))
        || ["dsn", "secret"].contains(&singular)
        || ["_dsn", "_key", "_secret"].iter().any(|suffix| singular.ends_with(suffix))
}

/// Empty values stay: that a secret is unset is worth seeing.
fn mask(value: Value, within_secret: bool) -> Value {
    match value {
        Value::Table(table) => Value::Table(
            table
                .into_iter()
                .map(|(name, value)| {
                    let is_secret = within_secret || is_secret_name(&name);
                    (name, mask(value, is_secret))
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(|item| mask(item, within_secret)).collect()),
        Value::String(text) if text.is_empty() => Value::String(text),
        _ if within_secret => Value::String(MASK.to_owned()),
        Value::String(text) => Value::String(urls(&text)),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_by_name_and_within_addresses() {
        let check = |toml: &str, expected: &str| {
            assert_eq!(render(&toml.parse().unwrap()).trim_end(), expected);
        };
        check("sentry_dsn = 'https://k@h/1'", "sentry_dsn = \"***\"");
        check("api_key = 'abc'", "api_key = \"***\"");
        check("api_keys = ['abc', 'def']", "api_keys = [\"***\", \"***\"]");
        check("jwt_secret = ''", "jwt_secret = \"\"");
        check("auth_token_file = 7", "auth_token_file = \"***\"");
        check("[api_keys]\nalice = 'abc'", "[api_keys]\nalice = \"***\"");
        check("key = 'name'\nkeyboard = 1", "key = \"name\"\nkeyboard = 1");
        check("bus = 'nats://u:p@a:4222'", "bus = \"nats://***@a:4222\"");
        check("bus = 'nats://a:4222'", "bus = \"nats://a:4222\"");
        check("cache = 'redis://:p/w@d@h:1/0'", "cache = \"redis://***@h:1/0\"");
        check("urls = ['x://t@a,y://u:p@b,z://c']", "urls = [\"x://***@a,y://***@b,z://c\"]");
    }
}
