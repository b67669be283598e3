#![no_main]

use std::sync::LazyLock;

use indicator::{Entry, IndicatorOptions, catalogue};
use libfuzzer_sys::fuzz_target;

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(catalogue);

fuzz_target!(|texts: (u16, Vec<String>)| {
    let (at, mut extra) = texts;
    // What follows the name of something that there is finds more than letters alone.
    let entry = &ENTRIES[usize::from(at) % ENTRIES.len()].text;
    let name = entry.split('(').next().expect("a text begins");
    if let Some(first) = extra.first_mut() {
        *first = format!("{name}({first})");
    }
    match (IndicatorOptions { extra }).plan() {
        Ok(plan) => assert!(plan.columns().len() >= indicator::plan().len()),
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});
