//! Every message ever shipped decodes for ever, to what it said then.

use std::fs;
use std::path::Path;

use schemas::{
    Alert, BarBatch, FeatureBatch, Instrument, IntakeBar, IntakeBarV1, Message, PredictionBatch, QuantileTables,
    ScoreBatch,
};
use serde_json::Value;

fn check<M: Message>() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(M::KIND).join("v1");
    let mut n_checked = 0;
    for entry in fs::read_dir(&folder).expect("every kind has fixtures") {
        let path = entry.expect("the folder can be listed").path();
        if path.extension().is_none_or(|extension| extension != "msgpack") {
            continue;
        }
        let payload = fs::read(&path).expect("a fixture can be read");
        let message = M::decode(&payload).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let now: Value = serde_json::to_value(message.to_wire()).expect("a wire shape is JSON");
        let then = fs::read_to_string(path.with_extension("json")).expect("a fixture has its JSON");
        let then: Value = serde_json::from_str(&then).expect("it is JSON");
        assert_says(&now, &then, &path.display().to_string());
        n_checked += 1;
    }
    assert!(n_checked > 0, "{}", folder.display());
}

/// Fields that were added since may say what they like.
fn assert_says(now: &Value, then: &Value, place: &str) {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            for (key, then) in then {
                assert_says(now.get(key).unwrap_or(&Value::Null), then, &format!("{place}, {key}"));
            }
        }
        (Value::Array(now), Value::Array(then)) => {
            assert_eq!(now.len(), then.len(), "{place}");
            for (now, then) in now.iter().zip(then) {
                assert_says(now, then, place);
            }
        }
        _ => assert_eq!(now, then, "{place}"),
    }
}

#[test]
fn every_fixture_decodes_to_what_it_said() {
    check::<BarBatch>();
    check::<FeatureBatch>();
    check::<PredictionBatch>();
    check::<ScoreBatch>();
    check::<Instrument>();
    check::<QuantileTables>();
    check::<Alert>();
}

#[test]
fn a_bar_from_outside_says_the_same_in_both_encodings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/intake/v1");
    let read = |name: &str| fs::read(folder.join(name)).expect("a fixture can be read");
    let then: IntakeBarV1 = serde_json::from_slice(&read("one.json")).expect("it is JSON");
    let then = IntakeBar::try_from(then).expect("it is a bar that can be");
    for name in ["one.json", "one.msgpack"] {
        assert_eq!(IntakeBar::decode(&read(name)).expect("a fixture decodes for ever"), then, "{name}");
    }
}
