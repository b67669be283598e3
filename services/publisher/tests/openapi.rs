//! The description of the HTTP interface: as the code has it, and without a change that breaks a client.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::Server;

const WRITE_ANEW: &str = "cargo run --release -p publisher --example openapi > docs/openapi.json";

fn docs(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file)
}

fn read(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(docs(file)).unwrap()).unwrap()
}

#[test]
fn the_committed_description_is_that_of_the_code() {
    let committed = fs::read_to_string(docs("openapi.json")).unwrap();
    assert!(committed == publisher::openapi_json(), "docs/openapi.json is stale: {WRITE_ANEW}");
}

/// `openapi.released.json` is what clients were promised; a release copies `openapi.json` over it.
#[test]
fn nothing_that_clients_were_promised_is_gone() {
    let broken = breaking_changes(&read("openapi.released.json"), &read("openapi.json"));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn every_described_path_answers_and_every_reference_leads_somewhere() {
    let mut server = Server::start().await;
    server.publish(vec![support::row("A", 60.0, 1)]);
    let document = server.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let described = document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/v1/"));
    // What only a POST asks for needs more than a path.
    for (path, _) in described.filter(|(_, operations)| !operations["get"].is_null()) {
        let answer = server.get(&path.replace("{symbol}", "A")).await;
        // There is no regime without closes of its index, and that is said by a problem of its own.
        let expected = if path == "/v1/regime" { 404 } else { 200 };
        assert_eq!(answer.status, expected, "{path}: {}", answer.body);
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
}

/// What a client of the old description can no longer rely on, each with its place.
fn breaking_changes(old: &Value, new: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, operations) in object(&old["paths"]) {
        for (method, was) in object(operations) {
            let is = &new["paths"][path][method];
            let place = format!("{method} {path}");
            if is.is_null() {
                broken.push(format!("{place} is gone"));
                continue;
            }
            parameters(&place, was, is, &mut broken);
            for (status, was) in object(&was["responses"]) {
                for (kind, was) in object(&was["content"]) {
                    let is = &is["responses"][status]["content"][kind];
                    let place = format!("{place} {status} {kind}");
                    if is.is_null() {
                        broken.push(format!("{place} is gone"));
                    } else if was["schema"] != is["schema"] {
                        broken.push(format!("{place} has another schema"));
                    }
                }
            }
        }
    }
    let (was, is) = (&old["components"]["schemas"], &new["components"]["schemas"]);
    for (name, was) in object(was) {
        if is[name].is_null() {
            broken.push(format!("schema {name} is gone"));
        } else {
            // What a client sends may become wider, what it receives may not.
            schema(name, was, &is[name], name == "ScanRequest", &mut broken);
        }
    }
    broken
}

fn parameters(place: &str, was: &Value, is: &Value, broken: &mut Vec<String>) {
    let list = |operation: &Value| operation["parameters"].as_array().cloned().unwrap_or_default();
    let named = |list: &[Value], name: &Value| list.iter().find(|parameter| parameter["name"] == *name).cloned();
    let (was, is) = (list(was), list(is));
    for parameter in &was {
        match named(&is, &parameter["name"]) {
            None => broken.push(format!("{place}: parameter {} is gone", parameter["name"])),
            Some(now) if now["schema"]["type"] != parameter["schema"]["type"] => {
                broken.push(format!("{place}: parameter {} has another type", parameter["name"]));
            }
            Some(_) => {}
        }
    }
    for parameter in is.iter().filter(|parameter| parameter["required"] == true) {
        if named(&was, &parameter["name"]).is_none_or(|before| before["required"] != true) {
            broken.push(format!("{place}: parameter {} became required", parameter["name"]));
        }
    }
}

fn schema(place: &str, was: &Value, is: &Value, is_sent: bool, broken: &mut Vec<String>) {
    for key in ["$ref", "const", "format"] {
        if was[key] != is[key] {
            broken.push(format!("{place}: {key} was {}, is {}", was[key], is[key]));
        }
    }
    let types = |schema: &Value| -> BTreeSet<String> {
        match &schema["type"] {
            Value::String(one) => [one.clone()].into(),
            Value::Array(several) => several.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
            _ => BTreeSet::new(),
        }
    };
    let (types_before, types_now) = (types(was), types(is));
    if if is_sent { !types_now.is_superset(&types_before) } else { !types_now.is_subset(&types_before) } {
        broken.push(format!("{place}: type was {types_before:?}, is {types_now:?}"));
    }
    let required = |schema: &Value| -> BTreeSet<String> {
        schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let (required_before, required_now) = (required(was), required(is));
    if if is_sent { !required_now.is_subset(&required_before) } else { !required_now.is_superset(&required_before) } {
        broken.push(format!("{place}: required was {required_before:?}, is {required_now:?}"));
    }
    for (name, property) in object(&was["properties"]) {
        match is["properties"].get(name) {
            None => broken.push(format!("{place}.{name} is gone")),
            Some(now) => schema(&format!("{place}.{name}"), property, now, is_sent, broken),
        }
    }
    if !was["items"].is_null() {
        schema(&format!("{place}[]"), &was["items"], &is["items"], is_sent, broken);
    }
    for key in ["anyOf", "oneOf", "allOf", "enum"] {
        let alternatives = |schema: &Value| -> BTreeSet<String> {
            schema[key].as_array().into_iter().flatten().map(|one| without_text(one).to_string()).collect()
        };
        let (before, now) = (alternatives(was), alternatives(is));
        if before != now {
            broken.push(format!("{place}: {key} was {before:?}, is {now:?}"));
        }
    }
}

fn without_text(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.remove("description");
    }
    schema
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The check itself is checked: every change that breaks a client is found, every other one is let through.
#[test]
fn breaking_changes_are_told_from_others() {
    let check = |pointer: &str, change: fn(&mut Value), expected: Option<&str>| {
        let old = read("openapi.json");
        let mut new = old.clone();
        change(new.pointer_mut(pointer).unwrap());
        let broken = breaking_changes(&old, &new);
        match expected {
            None => assert!(broken.is_empty(), "{pointer}: {broken:?}"),
            Some(part) => assert!(broken.iter().any(|line| line.contains(part)), "{pointer}: {broken:?}"),
        }
    };
    check("/paths", |paths| drop(paths.as_object_mut().unwrap().remove("/v1/scan")), Some("get /v1/scan is gone"));
    check(
        "/paths/~1v1~1scan",
        |path| drop(path.as_object_mut().unwrap().remove("post")),
        Some("post /v1/scan is gone"),
    );
    check("/paths/~1v1~1scan/get/parameters", |list| drop(list.as_array_mut().unwrap().remove(0)), Some("is gone"));
    check("/paths/~1v1~1scan/get/parameters/0", |one| one["required"] = true.into(), Some("became required"));
    check("/paths/~1v1~1scan/get/parameters/0/schema", |one| one["type"] = "string".into(), Some("another type"));
    let row = "/components/schemas/ResultRow";
    check(
        &format!("{row}/properties"),
        |all| drop(all.as_object_mut().unwrap().remove("merit")),
        Some("merit is gone"),
    );
    check(&format!("{row}/properties/merit"), |one| one["type"] = json!(["number", "null"]), Some("merit: type"));
    check(row, |one| one["required"] = json!([]), Some("ResultRow: required"));
    check("/components/schemas/ScanRequest", |one| one["required"] = json!(["limit"]), Some("ScanRequest: required"));
    check("/components/schemas/DataKind", |one| drop(one["oneOf"].as_array_mut().unwrap().pop()), Some("oneOf"));

    check("/paths", |paths| paths["/v1/new"] = json!({ "get": {} }), None);
    check(&format!("{row}/properties"), |all| all["colour"] = json!({ "type": "string" }), None);
    check(&format!("{row}/properties/merit"), |one| one["description"] = "other words".into(), None);
    check("/components/schemas/ScanRequest/properties", |all| all["colour"] = json!({ "type": "string" }), None);
}
