#![no_main]

use indicator::{IndicatorOptions, catalogue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (u16, Vec<String>)| {
    let (at, mut extra) = texts;
    // What follows the name of something that there is finds more than letters alone.
    let entries = catalogue();
    let entry = &entries[usize::from(at) % entries.len()].text;
    let name = entry.split('(').next().expect("a text begins");
    if let Some(first) = extra.first_mut() {
        *first = format!("{name}({first})");
    }
    match (IndicatorOptions { extra }).plan() {
        Ok(plan) => assert!(plan.columns().len() >= 87),
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});
