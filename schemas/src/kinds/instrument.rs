use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::codec::{CodecError, Message, SCHEMA_VERSION};
use crate::{EventTime, Symbol};

/// Reports that one message carries.
pub const FILINGS_MAX: usize = 64;

/// Closes that one message carries.
pub const CLOSES_MAX: usize = 16_384;

/// Reference data of one symbol, as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstrumentV1 {
    pub schema: u16,
    pub symbol: Symbol,
    /// Where the data come from, e.g. `synthetic` or `replay`.
    pub source: String,
    #[serde(default)]
    pub name: Option<SmolStr>,
    #[serde(default)]
    pub exchange: Option<SmolStr>,
    #[serde(default)]
    pub sector: Option<SmolStr>,
    #[serde(default)]
    pub industry: Option<SmolStr>,
    /// Shares outstanding, on the basis of the newest bar.
    #[serde(default)]
    pub shares_outstanding: Option<f64>,
    /// From when on the share count was known, UTC nanoseconds.
    #[serde(default)]
    pub shares_available_on_ns: Option<i64>,
    /// Company reports, oldest period first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filings: Vec<Filing>,
    /// Split-adjusted closes by session, for the symbols that the regime is read from; oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closes: Vec<(i32, f64)>,
}

/// The figures of one company report.
///
/// # Units
/// Currency. Income is that of the quarter, in an annual report that of the year; `operating_cash_flow` is cumulative
/// for the fiscal year; `assets`, `cash` and `equity` are those at the end of the period.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Filing {
    /// From when on it was known, UTC nanoseconds.
    pub available_on_ns: i64,
    /// Last day of the period, UTC nanoseconds.
    pub end_ns: i64,
    pub fiscal_year: i32,
    pub period: FilingPeriod,
    pub revenues: Option<f64>,
    pub operating_income: Option<f64>,
    pub net_income: Option<f64>,
    /// A share.
    pub dividend: Option<f64>,
    pub assets: Option<f64>,
    pub cash: Option<f64>,
    pub equity: Option<f64>,
    pub operating_cash_flow: Option<f64>,
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum FilingPeriod {
    Q1,
    Q2,
    Q3,
    /// The whole fiscal year; there is no report of the fourth quarter.
    #[serde(rename = "FY")]
    Year,
}

/// Reference data of one symbol. Every field may be missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    pub symbol: Symbol,
    /// Where the data come from, e.g. `synthetic` or `replay`.
    pub source: String,
    pub name: Option<SmolStr>,
    pub exchange: Option<SmolStr>,
    pub sector: Option<SmolStr>,
    pub industry: Option<SmolStr>,
    /// Shares outstanding, and from when on the figure was known.
    pub shares: Option<(f64, EventTime)>,
    /// Oldest period first.
    pub filings: Vec<Filing>,
    /// Days since 1970-01-01 and split-adjusted closes, for the symbols that the regime is read from; oldest first.
    pub closes: Vec<(i32, f64)>,
}

impl Message for Instrument {
    type Wire = InstrumentV1;

    const KIND: &'static str = "instrument";

    fn from_wire(wire: InstrumentV1) -> Result<Self, CodecError> {
        if wire.schema != SCHEMA_VERSION {
            return Err(CodecError::UnknownSchema { found: wire.schema });
        }
        if wire.filings.len() > FILINGS_MAX {
            return Err(CodecError::invalid("filings", format!("more than {FILINGS_MAX}")));
        }
        if wire.closes.len() > CLOSES_MAX {
            return Err(CodecError::invalid("closes", format!("more than {CLOSES_MAX}")));
        }
        if let Some((day, close)) = wire.closes.iter().find(|(_, close)| !(close.is_finite() && *close > 0.0)) {
            return Err(CodecError::invalid("closes", format!("{close:?} on day {day}")));
        }
        if wire.shares_outstanding.is_some_and(|shares| !(shares.is_finite() && shares > 0.0)) {
            return Err(CodecError::invalid("shares_outstanding", format!("{:?}", wire.shares_outstanding)));
        }
        Ok(Self {
            symbol: wire.symbol,
            source: wire.source,
            name: wire.name,
            exchange: wire.exchange,
            sector: wire.sector,
            industry: wire.industry,
            shares: wire.shares_outstanding.zip(wire.shares_available_on_ns.map(EventTime)),
            filings: wire.filings,
            closes: wire.closes,
        })
    }

    fn to_wire(&self) -> InstrumentV1 {
        InstrumentV1 {
            schema: SCHEMA_VERSION,
            symbol: self.symbol,
            source: self.source.clone(),
            name: self.name.clone(),
            exchange: self.exchange.clone(),
            sector: self.sector.clone(),
            industry: self.industry.clone(),
            shares_outstanding: self.shares.map(|(shares, _)| shares),
            shares_available_on_ns: self.shares.map(|(_, known)| known.as_ns()),
            filings: self.filings.clone(),
            closes: self.closes.clone(),
        }
    }
}
