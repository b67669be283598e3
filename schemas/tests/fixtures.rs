//! Every message ever shipped decodes for ever, to what it said then.

use std::fs;
use std::path::Path;

use schemas::{Alert, BarBatch, FeatureBatch, Instrument, Message, PredictionBatch, ScoreBatch};

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
        let now: serde_json::Value = serde_json::to_value(message.to_wire()).expect("a wire shape is JSON");
        let then = fs::read_to_string(path.with_extension("json")).expect("a fixture has its JSON");
        let then: serde_json::Value = serde_json::from_str(&then).expect("it is JSON");
        assert_eq!(now, then, "{}", path.display());
        n_checked += 1;
    }
    assert!(n_checked > 0, "{}", folder.display());
}

#[test]
fn every_fixture_decodes_to_what_it_said() {
    check::<BarBatch>();
    check::<FeatureBatch>();
    check::<PredictionBatch>();
    check::<ScoreBatch>();
    check::<Instrument>();
    check::<Alert>();
}
