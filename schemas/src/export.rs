use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use crate::kinds::score::ResultV1;
use crate::{
    AlertV1, BarBatchV1, FeatureBatchV1, InstrumentV1, IntakeBarV1, PredictionBatchV1, QuantileTablesV1, ScoreBatchV1,
};

/// The JSON Schema of every wire shape, by file name without its ending: `bar.v1`, `feature.v1` …
///
/// # Panics
/// Never: a schema is plain JSON.
pub fn json_schemas() -> Vec<(&'static str, Value)> {
    fn schema<T: JsonSchema>() -> Value {
        serde_json::to_value(schema_for!(T)).expect("a JSON Schema is JSON")
    }
    vec![
        ("bar.v1", schema::<BarBatchV1>()),
        ("feature.v1", schema::<FeatureBatchV1>()),
        ("prediction.v1", schema::<PredictionBatchV1>()),
        ("score.v1", schema::<ScoreBatchV1>()),
        ("result.v1", schema::<ResultV1>()),
        ("instrument.v1", schema::<InstrumentV1>()),
        ("intake.v1", schema::<IntakeBarV1>()),
        ("quantiles.v1", schema::<QuantileTablesV1>()),
        ("alert.v1", schema::<AlertV1>()),
    ]
}
