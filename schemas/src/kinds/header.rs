use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codec::{CodecError, SCHEMA_VERSION};
use crate::{EventTime, Partition, Timeframe};

/// What every batch starts with, as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeaderV1 {
    /// Major version of the message; this crate reads and writes 1.
    pub schema: u16,
    pub timeframe: Timeframe,
    /// `fnv1a_32(symbol) % 64` of every row.
    pub partition: u8,
    /// Names the run of the producer: `seq` counts within it.
    pub epoch: u64,
    /// 1, 2, 3 … per partition within an epoch.
    pub seq: u64,
    /// Newest event time in the batch, UTC nanoseconds.
    pub event_time_ns: i64,
    /// When the pipeline first saw the newest row, UTC nanoseconds.
    pub ingest_time_ns: i64,
    /// Where the bars come from, e.g. `synthetic` or `replay`.
    pub source: String,
    /// No event before this time is expected any more in this partition; absent when nothing is promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark_ns: Option<i64>,
}

/// What every batch starts with, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    pub timeframe: Timeframe,
    pub partition: Partition,
    /// Names the run of the producer: `seq` counts within it.
    pub epoch: u64,
    /// 1, 2, 3 … per partition within an epoch.
    pub seq: u64,
    /// Newest event time in the batch.
    pub event_time: EventTime,
    /// When the pipeline first saw the newest row; for metrics only.
    pub ingest_time: EventTime,
    /// Where the bars come from, e.g. `synthetic` or `replay`.
    pub source: String,
    /// No event before this time is expected any more in this partition.
    pub watermark: Option<EventTime>,
}

impl TryFrom<HeaderV1> for Header {
    type Error = CodecError;

    fn try_from(wire: HeaderV1) -> Result<Self, CodecError> {
        if wire.schema != SCHEMA_VERSION {
            return Err(CodecError::UnknownSchema { found: wire.schema });
        }
        let partition = Partition::new(wire.partition)
            .ok_or_else(|| CodecError::invalid("header.partition", format!("{} is not below 64", wire.partition)))?;
        Ok(Self {
            timeframe: wire.timeframe,
            partition,
            epoch: wire.epoch,
            seq: wire.seq,
            event_time: EventTime(wire.event_time_ns),
            ingest_time: EventTime(wire.ingest_time_ns),
            source: wire.source,
            watermark: wire.watermark_ns.map(EventTime),
        })
    }
}

impl From<&Header> for HeaderV1 {
    fn from(header: &Header) -> Self {
        Self {
            schema: SCHEMA_VERSION,
            timeframe: header.timeframe,
            partition: header.partition.get(),
            epoch: header.epoch,
            seq: header.seq,
            event_time_ns: header.event_time.as_ns(),
            ingest_time_ns: header.ingest_time.as_ns(),
            source: header.source.clone(),
            watermark_ns: header.watermark.map(EventTime::as_ns),
        }
    }
}
