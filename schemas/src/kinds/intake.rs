use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codec::{CodecError, PAYLOAD_BYTES_MAX};
use crate::{Bar, BarFlags, EventTime, Symbol, Timeframe};

const NS_PER_MINUTE: i64 = 60_000_000_000;

/// One bar from outside, as anyone may publish it on `technic.v1.in.bar.<source>`: a JSON object or a MessagePack map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IntakeBarV1 {
    pub symbol: Symbol,
    /// `1m`, rolled up to the forming daily bar, or `1d`, taken as it is.
    #[serde(default = "minute")]
    pub timeframe: Timeframe,
    /// Start of the span that the bar covers, UTC nanoseconds; of a daily bar, midnight of its session's date.
    pub open_time_ns: i64,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    /// Shares.
    pub volume: f64,
    /// Rises with each update of a bar that was sent before.
    #[serde(default)]
    pub revision: u32,
    /// False while the bar is forming.
    #[serde(default = "yes", rename = "final")]
    pub is_final: bool,
}

fn minute() -> Timeframe {
    Timeframe::M1
}

fn yes() -> bool {
    true
}

/// One bar from outside, checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IntakeBar {
    pub symbol: Symbol,
    /// [`Timeframe::M1`] or [`Timeframe::D1`].
    pub timeframe: Timeframe,
    pub bar: Bar,
}

impl IntakeBar {
    /// # Errors
    /// When the payload is too large, neither a JSON object nor a MessagePack map of this shape, or no bar that can be.
    pub fn decode(payload: &[u8]) -> Result<Self, CodecError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(CodecError::TooLarge { n_bytes: payload.len() });
        }
        let is_json = payload.trim_ascii_start().first() == Some(&b'{');
        let wire: IntakeBarV1 = if is_json {
            serde_json::from_slice(payload).map_err(|error| CodecError::invalid("JSON", error.to_string()))?
        } else {
            rmp_serde::from_slice(payload).map_err(|source| CodecError::Malformed { kind: "intake", source })?
        };
        Self::try_from(wire)
    }
}

impl TryFrom<IntakeBarV1> for IntakeBar {
    type Error = CodecError;

    fn try_from(wire: IntakeBarV1) -> Result<Self, CodecError> {
        let IntakeBarV1 { symbol, timeframe, open_time_ns, open, high, low, close, volume, revision, is_final } = wire;
        let (span, name) = match timeframe {
            Timeframe::M1 => (NS_PER_MINUTE, "minute"),
            Timeframe::D1 => (1440 * NS_PER_MINUTE, "day"),
            other => {
                return Err(CodecError::invalid("timeframe", format!("{other} of {symbol}; 1m and 1d are taken")));
            }
        };
        if open_time_ns.rem_euclid(span) != 0 {
            let reason = format!("{open_time_ns} of {symbol} is not the start of a {name}");
            return Err(CodecError::invalid("open_time_ns", reason));
        }
        let flags = if is_final { BarFlags::FINAL } else { BarFlags::empty() };
        let bar = Bar { open_time: EventTime(open_time_ns), open, high, low, close, volume, revision, flags };
        let bar = bar.check().map_err(|fault| CodecError::invalid("bar", format!("{symbol}: {fault}")))?;
        Ok(Self { symbol, timeframe, bar })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: &str =
        r#"{"symbol":"AAPL","open_time_ns":1767623400000000000,"open":10,"high":12.5,"low":9,"close":11,"volume":100}"#;

    #[test]
    fn a_bar_comes_as_json_or_as_messagepack_and_says_the_same() {
        let bar = IntakeBar::decode(MINUTE.as_bytes()).unwrap();
        assert_eq!((bar.symbol.as_str(), bar.timeframe), ("AAPL", Timeframe::M1));
        assert_eq!((bar.bar.high, bar.bar.revision, bar.bar.is_final()), (12.5, 0, true));
        let wire: IntakeBarV1 = serde_json::from_str(MINUTE).unwrap();
        assert_eq!(IntakeBar::decode(&rmp_serde::to_vec_named(&wire).unwrap()).unwrap(), bar);
        assert_eq!(IntakeBar::decode(format!("\n  {MINUTE}").as_bytes()).unwrap(), bar);
    }

    #[test]
    fn rubbish_is_named() {
        let check = |payload: &[u8], expected: &str| {
            let error = IntakeBar::decode(payload).unwrap_err();
            let text = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
            let text = format!("{error}{text}");
            assert!(text.contains(expected), "`{text}` instead of `{expected}`");
        };
        check(b"", "payload is no intake message");
        check(b"hello", "payload is no intake message");
        check(b"{", "EOF");
        check(br#"{"symbol":"AAPL"}"#, "missing field `open_time_ns`");
        let with = |from: &str, to: &str| MINUTE.replace(from, to).into_bytes();
        check(&with("AAPL", "A B"), "printable ASCII");
        check(&with("1767623400000000000", "1767623400000000001"), "AAPL is not the start of a minute");
        check(&with(r#""symbol""#, r#""timeframe":"1d","symbol""#), "AAPL is not the start of a day");
        check(&with(r#""symbol""#, r#""timeframe":"5m","symbol""#), "5m of AAPL; 1m and 1d are taken");
        check(&with("12.5", "10.5"), "AAPL: close 11 is outside low 9 to high 10.5");
        check(&with("100", "-1"), "AAPL: volume -1 is negative");
        check(&with("12.5", "null"), "invalid type: null");
    }
}
