use toml::{Table, Value};

/// The message for a key that the defaults do not have, with the key that was probably meant.
pub(super) fn unknown_key(defaults: &Table, key: &str) -> String {
    let mut known = Vec::new();
    collect(defaults, "", &mut known);
    match closest(key, &known) {
        Some(meant) => format!("unknown key, did you mean `{meant}`?"),
        None => "unknown key".to_owned(),
    }
}

fn collect(table: &Table, section: &str, out: &mut Vec<String>) {
    for (name, value) in table {
        let key = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        match value {
            Value::Table(inner) => collect(inner, &key, out),
            _ => out.push(key),
        }
    }
}

/// The known key within a typo or two, or else the only one of that name in another section.
fn closest<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let (distance, nearest) = known.iter().map(|other| (edit_distance(key, other), other)).min()?;
    if distance <= 1 + key.len() / 6 {
        return Some(nearest);
    }
    let name = |key: &'a str| key.rsplit('.').next();
    let mut namesakes = known.iter().filter(|other| name(other) == key.rsplit('.').next());
    namesakes.next().filter(|_| namesakes.next().is_none()).map(String::as_str)
}

/// Levenshtein's.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_was_probably_meant() {
        let defaults = "bus = ''\n[publisher]\nlisten = ''\n[admin]\nlisten = ''\n[ingest.synthetic]\nn_symbols = 1";
        let check = |key: &str, expected: Option<&str>| {
            let expected = match expected {
                Some(meant) => format!("unknown key, did you mean `{meant}`?"),
                None => "unknown key".to_owned(),
            };
            assert_eq!(unknown_key(&defaults.parse().unwrap(), key), expected, "{key}");
        };
        check("bsu", None);
        check("buss", Some("bus"));
        check("publsher.listen", Some("publisher.listen"));
        check("ingest.synthetic.symbols", Some("ingest.synthetic.n_symbols"));
        check("synthetic.n_symbols", Some("ingest.synthetic.n_symbols"));
        check("n_symbols", Some("ingest.synthetic.n_symbols"));
        check("web.listen", None); // two keys of that name
        check("colour", None);
    }

    #[test]
    fn counts_edits() {
        for (left, right, distance) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0)] {
            assert_eq!(edit_distance(left, right), distance, "{left} {right}");
        }
    }
}
