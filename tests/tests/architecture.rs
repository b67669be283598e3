//! STYLE §3: which crate may know which, and who may do I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::process::Command;

use serde_json::Value;

/// Which workspace crates each crate may depend on, in its tests too. A new arrow is an architecture change: it also
/// gets a line in `docs/ARCHITECTURE.md`. Only `tests`, which nothing may depend on, is free to know everybody.
const ARROWS: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("pipeline", &["schemas"]),
    ("portfolio", &["schemas"]),
    ("runtime", &["pipeline", "schemas"]),
    ("indicator", &["pipeline", "schemas"]),
    ("scoring", &["pipeline", "schemas"]),
    ("ingest", &["pipeline", "runtime", "schemas"]),
    ("inference", &["pipeline", "runtime", "schemas"]),
    ("publisher", &["pipeline", "portfolio", "runtime", "schemas"]),
    (
        "technic",
        &["indicator", "inference", "ingest", "pipeline", "portfolio", "publisher", "runtime", "schemas", "scoring"],
    ),
    ("xtask", &[]),
    ("bench-trees", &["inference"]),
];

/// Developers' crates, which never reach a user: they may know everything.
const FREE: &[&str] = &["tests", "loadtest", "bench-trees", "bench-indicator", "bench-scoring"];

/// Crates that compute and nothing else, and what they must not reach by any way.
const PURE: &[&str] = &["schemas", "pipeline", "portfolio", "indicator", "scoring"];
const IO_CRATES: &[&str] =
    &["async-nats", "axum", "hyper", "mio", "polars", "redis", "reqwest", "runtime", "tokio", "tokio-tungstenite"];

#[test]
fn workspace_crates_know_only_whom_they_may() {
    let declared = declared_dependencies();
    let members: BTreeSet<&str> = declared.keys().map(String::as_str).collect();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();

    let mut wrong = Vec::new();
    for (member, dependencies) in declared.iter().filter(|(member, _)| !FREE.contains(&member.as_str())) {
        let Some(allowed) = allowed.get(member.as_str()) else {
            wrong.push(format!("`{member}` has no line in ARROWS"));
            continue;
        };
        for dependency in dependencies.iter().filter(|name| members.contains(name.as_str())) {
            if !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("`{member}` must not depend on `{dependency}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_arrow_names_crates_that_exist() {
    let declared = declared_dependencies();
    for name in ARROWS.iter().flat_map(|(from, to)| [from].into_iter().chain(to.iter())) {
        assert!(declared.contains_key(*name), "ARROWS names `{name}`, which is no workspace crate");
    }
}

#[test]
fn only_runtime_knows_nats_and_redis() {
    let declared = declared_dependencies();
    for client in ["async-nats", "redis"] {
        let knows = |(member, dependencies): (_, &BTreeSet<String>)| dependencies.contains(client).then_some(member);
        let knowing: Vec<&String> = declared.iter().filter_map(knows).collect();
        assert_eq!(knowing, ["runtime"], "{client}");
    }
}

#[test]
fn pure_crates_reach_no_io() {
    let mut wrong = Vec::new();
    for member in PURE {
        let reached = reachable(member);
        assert!(reached.contains(*member), "`cargo tree` does not even list `{member}`: {reached:?}");
        wrong.extend(IO_CRATES.iter().filter(|name| reached.contains(**name)).map(|name| format!("{member} → {name}")));
    }
    assert!(wrong.is_empty(), "`cargo tree -p <from> -i <to>` shows the way: {wrong:#?}");
}

/// Workspace crate → the names in its manifest: normal, development and build, for every system.
fn declared_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let json = cargo(&["metadata", "--format-version", "1", "--offline", "--locked", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&json).expect("cargo prints JSON");
    let list = |value: &Value| value.as_array().expect("cargo prints a list").clone();
    let name = |value: &Value| value["name"].as_str().expect("everything has a name").to_owned();
    let names = |value: &Value| list(value).iter().map(name).collect();
    list(&metadata["packages"]).iter().map(|package| (name(package), names(&package["dependencies"]))).collect()
}

/// What becomes part of a program that uses `member`; the features are those it asks for itself, because
/// `cargo metadata` would mix in what other crates switch on.
fn reachable(member: &str) -> BTreeSet<String> {
    let shape = ["--edges=normal", "--all-features", "--prefix=none", "--format={p}"];
    let args = [&["tree", "--offline", "--locked", "--package", member], &shape[..]].concat();
    cargo(&args).lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn cargo(args: &[&str]) -> String {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output =
        Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo starts");
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}
