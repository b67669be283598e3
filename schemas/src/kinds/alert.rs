use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codec::{CodecError, Message, SCHEMA_VERSION};
use crate::{EventTime, Symbol};

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertLevel {
    Info,
    Warning,
    Critical,
}

/// Something a rule noticed about a symbol, as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertV1 {
    pub schema: u16,
    /// Identifier of the rule: `[a-z0-9_-]`, 1 to 64 characters.
    pub rule: String,
    pub symbol: Symbol,
    pub event_time_ns: i64,
    pub level: AlertLevel,
    /// For people.
    pub message: String,
}

/// Something a rule noticed about a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Identifier of the rule: `[a-z0-9_-]`, 1 to 64 characters.
    pub rule: String,
    pub symbol: Symbol,
    pub event_time: EventTime,
    pub level: AlertLevel,
    /// For people.
    pub message: String,
}

impl Message for Alert {
    type Wire = AlertV1;

    const KIND: &'static str = "alert";

    fn from_wire(wire: AlertV1) -> Result<Self, CodecError> {
        if wire.schema != SCHEMA_VERSION {
            return Err(CodecError::UnknownSchema { found: wire.schema });
        }
        let is_identifier =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        if wire.rule.is_empty() || wire.rule.len() > 64 || !wire.rule.bytes().all(is_identifier) {
            return Err(CodecError::invalid("rule", format!("`{}`", wire.rule.escape_debug())));
        }
        Ok(Self {
            rule: wire.rule,
            symbol: wire.symbol,
            event_time: EventTime(wire.event_time_ns),
            level: wire.level,
            message: wire.message,
        })
    }

    fn to_wire(&self) -> AlertV1 {
        AlertV1 {
            schema: SCHEMA_VERSION,
            rule: self.rule.clone(),
            symbol: self.symbol,
            event_time_ns: self.event_time.as_ns(),
            level: self.level,
            message: self.message.clone(),
        }
    }
}
