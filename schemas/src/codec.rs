//! MessagePack with map keys, numeric columns as `bin`, and limits that are checked before anything is believed.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The major version that this crate writes, and the only one it reads.
pub const SCHEMA_VERSION: u16 = 1;

/// Largest message in bytes; the NATS server's own default limit.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// Most rows in one batch.
pub const ROWS_MAX: usize = 256;

/// Why a payload is no message. Every variant means: reject it, nothing can be done with it.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("payload of {n_bytes} bytes exceeds the limit of {PAYLOAD_BYTES_MAX}")]
    TooLarge { n_bytes: usize },
    #[error("message schema version {found} is unknown, this build reads {SCHEMA_VERSION}")]
    UnknownSchema { found: u16 },
    #[error("payload is no {kind} message")]
    Malformed {
        kind: &'static str,
        #[source]
        source: rmp_serde::decode::Error,
    },
    #[error("invalid {field}: {reason}")]
    Invalid { field: &'static str, reason: String },
}

impl CodecError {
    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }

    /// A label from a small closed set, for counters and dead-letter headers.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::UnknownSchema { .. } => "unknown_schema",
            Self::Malformed { .. } => "malformed",
            Self::Invalid { .. } => "invalid",
        }
    }
}

/// A checked message and the wire shape it travels in.
pub trait Message: Sized {
    type Wire: Serialize + DeserializeOwned;

    /// The word for it in subjects, ids and file names.
    const KIND: &'static str;

    /// # Errors
    /// When the wire shape breaks an invariant of the message.
    fn from_wire(wire: Self::Wire) -> Result<Self, CodecError>;

    fn to_wire(&self) -> Self::Wire;

    /// # Errors
    /// When the payload is too large, no MessagePack of this kind, of an unknown version, or breaks an invariant.
    fn decode(payload: &[u8]) -> Result<Self, CodecError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(CodecError::TooLarge { n_bytes: payload.len() });
        }
        match rmp_serde::from_slice(payload) {
            Ok(wire) => Self::from_wire(wire),
            // A later version may have any shape: name the version rather than the first field that differs.
            Err(source) => Err(match schema_version(payload) {
                Some(found) if found != SCHEMA_VERSION => CodecError::UnknownSchema { found },
                _ => CodecError::Malformed { kind: Self::KIND, source },
            }),
        }
    }

    /// # Panics
    /// Never: the wire shapes hold nothing that MessagePack cannot carry, and a `Vec` does not fail to grow.
    fn encode(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(&self.to_wire()).expect("wire shapes serialise to MessagePack")
    }
}

/// The `schema` of a payload, from its header or its top level, when there is one.
fn schema_version(payload: &[u8]) -> Option<u16> {
    #[derive(Deserialize)]
    struct Version {
        schema: u16,
    }
    #[derive(Deserialize)]
    struct Probe {
        header: Option<Version>,
        schema: Option<u16>,
    }
    let probe: Probe = rmp_serde::from_slice(payload).ok()?;
    probe.header.map(|header| header.schema).or(probe.schema)
}
