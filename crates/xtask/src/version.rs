//! Versions, as programs print them.

use std::fmt;
use std::path::Path;
use std::process::Command;

use crate::{Result, command};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub u32, pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What `<program> --version` says.
pub(crate) fn of(program: &Path) -> Result<Version> {
    let printed = command::output(Command::new(program).arg("--version"))?;
    find(&printed).ok_or_else(|| format!("`{} --version` prints no version: {}", program.display(), printed.trim()))
}

/// The first `1.2.3`, with or without a `v` before it and a suffix behind it.
fn find(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| {
        let mut parts = word.strip_prefix('v').unwrap_or(word).splitn(3, '.');
        let (major, minor, patch) = (parts.next()?, parts.next()?, parts.next()?);
        let patch = patch.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Version(major.parse().ok()?, minor.parse().ok()?, patch.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Version>) {
        assert_eq!(find(text), expected, "{text}");
    }

    #[test]
    fn finds_the_version_in_what_programs_print() {
        check("nats-server: v2.15.1\n", Some(Version(2, 15, 1)));
        check("cargo-deny 0.20.2", Some(Version(0, 20, 2)));
        check("nats-server: v2.12.0-RC.1", Some(Version(2, 12, 0)));
        check("cargo-nextest 0.9.140 (abc 2026-01-01)", Some(Version(0, 9, 140)));
        check("usage: nonsense v2.15", None);
        check("", None);
    }

    #[test]
    fn orders_by_number_not_by_text() {
        assert!(Version(2, 9, 0) < Version(2, 11, 0));
    }
}
