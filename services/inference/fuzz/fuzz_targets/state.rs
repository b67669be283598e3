#![no_main]

use inference::{InferenceStage, ModelSet};
use libfuzzer_sys::fuzz_target;
use pipeline::Restore as _;
use schemas::{Message as _, Partition, Plan, QuantileTables};

fuzz_target!(|bytes: &[u8]| {
    let partition = Partition::new(7).expect("there are 64");
    let mut stage = InferenceStage::new(Plan::new(["ret_5d", "dollar_vol_20"]), ModelSet::default());
    if stage.restore(partition, bytes).is_ok() {
        let saved = stage.snapshot(partition);
        stage.restore(partition, &saved).expect("what was saved can be restored");
    }
    if let Ok(tables) = QuantileTables::decode(bytes) {
        stage.seed(&tables);
        QuantileTables::decode(&tables.encode()).expect("what was read can be written");
    }
});
