//! The messages of the pipeline: wire shapes, checked types, subjects and the codec.
//!
//! Every message has two shapes. The wire struct (`BarBatchV1`) is plain fields with serde; the checked type
//! ([`BarBatch`]) can only be made from it through `TryFrom`, which verifies every invariant once, so that no later
//! code checks again. Services meet only here: none of them depends on another.

pub mod codec;
mod column;
pub mod exchange;
mod export;
mod kinds;
mod label;
mod partition;
mod shared;
pub mod subject;
mod symbol;
mod time;

pub use codec::{CodecError, Message, PAYLOAD_BYTES_MAX, ROWS_MAX, SCHEMA_VERSION};
pub use column::{F64Column, I64Column};
pub use export::json_schemas;
pub use kinds::alert::{Alert, AlertLevel, AlertV1};
pub use kinds::bar::{Bar, BarBatch, BarBatchBuilder, BarBatchV1, BarFault, BarFlags};
pub use kinds::company_event::{CompanyEvent, CompanyEventKind, EVENTS_MAX, EventView};
pub use kinds::feature::{FeatureBatch, FeatureBatchV1, Plan};
pub use kinds::header::{Header, HeaderV1};
pub use kinds::instrument::{CLOSES_MAX, FILINGS_MAX, Filing, FilingPeriod, Instrument, InstrumentV1};
pub use kinds::intake::{IntakeBar, IntakeBarV1};
pub use kinds::live_plan::{LivePlan, PlanChange, StopAdvice};
pub use kinds::market::Market;
pub use kinds::prediction::{ModelRef, PredictionBatch, PredictionBatchV1, Predictions};
pub use kinds::quantiles::{QuantileTables, QuantileTablesV1, TABLES_MAX};
pub use kinds::score::{
    Breakdown, EXCLUSIONS, FactorScores, Freshness, IcsParts, MeritParts, PastOutcomes, ProfileVerdict, ResultRow,
    ResultV1, Rule, ScoreBatch, ScoreBatchV1, SectorZ, TechParts, WhyNot,
};
pub use partition::{N_PARTITIONS, Partition};
pub use shared::Shared;
pub use smol_str::SmolStr;
pub use symbol::{Symbol, SymbolError};
pub use time::{EventTime, Timeframe, UnknownTimeframe};
