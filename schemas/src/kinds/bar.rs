use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codec::{CodecError, Message, ROWS_MAX};
use crate::{EventTime, F64Column, Header, HeaderV1, I64Column, Partition, Symbol};

/// Facts about one bar, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct BarFlags(u8);

impl BarFlags {
    /// The bar will not change any more, except by a correction with a higher revision.
    pub const FINAL: Self = Self(1);
    /// The bar comes from history, not from a live feed.
    pub const BACKFILL: Self = Self(1 << 1);
    /// The bar was made by a generator.
    pub const SYNTHETIC: Self = Self(1 << 2);
    /// The bar comes from a recording that is played back.
    pub const REPLAYED: Self = Self(1 << 3);
    /// One or more bars are missing between the one before and this one.
    pub const GAP_BEFORE: Self = Self(1 << 4);
    /// Another instrument, or one without comparable history, starts here: nothing earlier may be used with it.
    pub const SEGMENT_START: Self = Self(1 << 5);
    /// The source has closes and volumes only: open, high and low are missing, and so is what needs them.
    pub const CLOSE_ONLY: Self = Self(1 << 6);

    const KNOWN: u8 = (1 << 7) - 1;

    pub const fn empty() -> Self {
        Self(0)
    }

    /// `None` when a bit is set that this version does not know.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::KNOWN == 0 { Some(Self(bits)) } else { None }
    }

    pub const fn bits(self) -> u8 {
        self.0
    }

    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for BarFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::FINAL, "final"),
            (Self::BACKFILL, "backfill"),
            (Self::SYNTHETIC, "synthetic"),
            (Self::REPLAYED, "replayed"),
            (Self::GAP_BEFORE, "gap_before"),
            (Self::SEGMENT_START, "segment_start"),
            (Self::CLOSE_ONLY, "close_only"),
        ];
        f.debug_set().entries(names.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| name)).finish()
    }
}

/// One bar of one symbol, checked: finite, positive prices, `low ≤ open, close ≤ high`, `volume ≥ 0`.
///
/// A bar with [`BarFlags::CLOSE_ONLY`] has NaN for open, high and low: whatever is computed from them is missing, too.
///
/// # Units
/// Prices in the currency of the listing, comparable with the newest bar of the segment; volume in shares on the same
/// basis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Start of the half-open span that the bar covers; it names the bar.
    pub open_time: EventTime,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
    /// Rises with each update of a forming bar and with each correction of a final one.
    pub revision: u32,
    pub flags: BarFlags,
}

/// What is wrong with a bar.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BarFault {
    #[error("{field} is not a finite number")]
    NotFinite { field: &'static str },
    #[error("{field} {value} is not above zero")]
    NotPositive { field: &'static str, value: f64 },
    #[error("{field} {value} is given on a bar that says it has a close only")]
    NotCloseOnly { field: &'static str, value: f64 },
    #[error("volume {value} is negative")]
    NegativeVolume { value: f64 },
    #[error("high {high} is below low {low}")]
    HighBelowLow { high: f64, low: f64 },
    #[error("{field} {value} is outside low {low} to high {high}")]
    OutsideRange { field: &'static str, value: f64, low: f64, high: f64 },
}

impl BarFault {
    /// A label from a small closed set, for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFinite { .. } => "not_finite",
            Self::NotPositive { .. } => "not_positive",
            Self::NotCloseOnly { .. } => "not_close_only",
            Self::NegativeVolume { .. } => "negative_volume",
            Self::HighBelowLow { .. } => "high_below_low",
            Self::OutsideRange { .. } => "outside_range",
        }
    }
}

impl Bar {
    /// # Errors
    /// When a number is not finite, a price is not positive, the range is inverted or left, or volume is negative.
    pub fn check(self) -> Result<Self, BarFault> {
        if self.flags.contains(BarFlags::CLOSE_ONLY) {
            for (field, value) in [("open", self.open), ("high", self.high), ("low", self.low)] {
                if !value.is_nan() {
                    return Err(BarFault::NotCloseOnly { field, value });
                }
            }
            let flat = Self { open: self.close, high: self.close, low: self.close, ..self };
            return flat.check_prices().map(|()| self);
        }
        self.check_prices().map(|()| self)
    }

    fn check_prices(&self) -> Result<(), BarFault> {
        let prices = [("close", self.close), ("open", self.open), ("high", self.high), ("low", self.low)];
        for (field, value) in prices.into_iter().chain([("volume", self.volume)]) {
            if !value.is_finite() {
                return Err(BarFault::NotFinite { field });
            }
        }
        for (field, value) in prices {
            if value <= 0.0 {
                return Err(BarFault::NotPositive { field, value });
            }
        }
        if self.volume < 0.0 {
            return Err(BarFault::NegativeVolume { value: self.volume });
        }
        let (high, low) = (self.high, self.low);
        if high < low {
            return Err(BarFault::HighBelowLow { high, low });
        }
        for (field, value) in [("open", self.open), ("close", self.close)] {
            if value < low || value > high {
                return Err(BarFault::OutsideRange { field, value, low, high });
            }
        }
        Ok(())
    }

    pub fn is_final(&self) -> bool {
        self.flags.contains(BarFlags::FINAL)
    }
}

/// Bars of one partition as they travel, a column a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BarBatchV1 {
    pub header: HeaderV1,
    pub symbol: Vec<Symbol>,
    pub open_time_ns: I64Column,
    pub open: F64Column,
    pub high: F64Column,
    pub low: F64Column,
    pub close: F64Column,
    pub volume: F64Column,
    /// Volume-weighted average price of the bar; NaN where a row has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vwap: Option<F64Column>,
    /// Number of trades in the bar; −1 where a row has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trades: Option<I64Column>,
    /// The close as it was traded, where a later split moved `close`; absent when no row has another. What a rule says of a
    /// price of that day is to be asked of this one: `close` knows of splits to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traded_close: Option<F64Column>,
    pub revision: I64Column,
    /// Bit 0 final, 1 backfill, 2 synthetic, 3 replayed, 4 gap before, 5 segment start, 6 close only (open, high and
    /// low are NaN).
    pub flags: I64Column,
}

/// Bars of one partition, checked. May be empty: then it carries a watermark only.
#[derive(Debug, Clone, PartialEq)]
pub struct BarBatch {
    header: Header,
    rows: Vec<(Symbol, Bar)>,
    /// One for each row when any of them differs from the bar's.
    traded_closes: Option<Vec<f64>>,
}

impl BarBatch {
    pub fn header(&self) -> &Header {
        &self.header
    }

    pub fn rows(&self) -> &[(Symbol, Bar)] {
        &self.rows
    }

    /// The close of a row as it was traded that day: a bar of history is on the basis of a later one.
    ///
    /// # Panics
    /// When there is no such row: a bug of the caller.
    pub fn traded_close(&self, row: usize) -> f64 {
        self.traded_closes.as_ref().map_or(self.rows[row].1.close, |closes| closes[row])
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Collects rows of one partition into a [`BarBatch`].
#[derive(Debug)]
pub struct BarBatchBuilder {
    partition: Partition,
    rows: Vec<(Symbol, Bar)>,
    traded_closes: Option<Vec<f64>>,
}

impl BarBatchBuilder {
    pub fn new(partition: Partition) -> Self {
        Self { partition, rows: Vec::new(), traded_closes: None }
    }

    /// A bar that is as it was traded.
    ///
    /// # Panics
    /// When the symbol belongs to another partition or the batch is full: both are bugs of the caller.
    pub fn push(&mut self, symbol: Symbol, bar: Bar) {
        self.push_adjusted(symbol, bar, bar.close);
    }

    /// A bar on the basis of a later one, and its close as it was traded.
    ///
    /// # Panics
    /// As [`Self::push`].
    pub fn push_adjusted(&mut self, symbol: Symbol, bar: Bar, traded_close: f64) {
        assert_eq!(Partition::of(symbol), self.partition, "{symbol} is of another partition");
        assert!(!self.is_full(), "a batch holds {ROWS_MAX} rows");
        if self.traded_closes.is_none() && traded_close.to_bits() != bar.close.to_bits() {
            self.traded_closes = Some(self.rows.iter().map(|(_, bar)| bar.close).collect());
        }
        if let Some(closes) = &mut self.traded_closes {
            closes.push(traded_close);
        }
        self.rows.push((symbol, bar));
    }

    pub fn is_full(&self) -> bool {
        self.rows.len() == ROWS_MAX
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes the rows and starts anew. The header's `event_time` becomes the newest open time when there are rows.
    ///
    /// # Panics
    /// When the header names another partition: a bug of the caller.
    pub fn finish(&mut self, mut header: Header) -> BarBatch {
        assert_eq!(header.partition, self.partition, "the header names another partition");
        if let Some(newest) = self.rows.iter().map(|(_, bar)| bar.open_time).max() {
            header.event_time = newest;
        }
        BarBatch { header, rows: std::mem::take(&mut self.rows), traded_closes: self.traded_closes.take() }
    }
}

impl Message for BarBatch {
    type Wire = BarBatchV1;

    const KIND: &'static str = "bar";

    fn from_wire(wire: BarBatchV1) -> Result<Self, CodecError> {
        let header = Header::try_from(wire.header)?;
        let n_rows = wire.symbol.len();
        if n_rows > ROWS_MAX {
            return Err(CodecError::invalid("symbol", format!("{n_rows} rows exceed {ROWS_MAX}")));
        }
        for (field, len) in [
            ("open_time_ns", wire.open_time_ns.len()),
            ("open", wire.open.len()),
            ("high", wire.high.len()),
            ("low", wire.low.len()),
            ("close", wire.close.len()),
            ("volume", wire.volume.len()),
            ("vwap", wire.vwap.as_ref().map_or(n_rows, |column| column.len())),
            ("trades", wire.trades.as_ref().map_or(n_rows, |column| column.len())),
            ("traded_close", wire.traded_close.as_ref().map_or(n_rows, |column| column.len())),
            ("revision", wire.revision.len()),
            ("flags", wire.flags.len()),
        ] {
            if len != n_rows {
                return Err(CodecError::invalid(field, format!("{len} values for {n_rows} symbols")));
            }
        }
        let mut rows = Vec::with_capacity(n_rows);
        for (row, &symbol) in wire.symbol.iter().enumerate() {
            if Partition::of(symbol) != header.partition {
                return Err(CodecError::invalid(
                    "symbol",
                    format!("{symbol} is not of partition {}", header.partition),
                ));
            }
            let revision = u32::try_from(wire.revision[row])
                .map_err(|_| CodecError::invalid("revision", format!("{} of {symbol}", wire.revision[row])))?;
            let flags = u8::try_from(wire.flags[row])
                .ok()
                .and_then(BarFlags::from_bits)
                .ok_or_else(|| CodecError::invalid("flags", format!("{:#x} of {symbol}", wire.flags[row])))?;
            let bar = Bar {
                open_time: EventTime(wire.open_time_ns[row]),
                open: wire.open[row],
                high: wire.high[row],
                low: wire.low[row],
                close: wire.close[row],
                volume: wire.volume[row],
                revision,
                flags,
            };
            let bar = bar.check().map_err(|fault| CodecError::invalid("bar", format!("{symbol}: {fault}")))?;
            rows.push((symbol, bar));
        }
        let traded_closes = wire.traded_close.map(|closes| closes.0);
        let is_price = |close: f64| close.is_finite() && close > 0.0;
        if let Some(bad) = traded_closes.iter().flatten().find(|close| !is_price(**close)) {
            return Err(CodecError::invalid("traded_close", format!("{bad} is no price")));
        }
        Ok(Self { header, rows, traded_closes })
    }

    fn to_wire(&self) -> BarBatchV1 {
        let column = |value: fn(&Bar) -> f64| F64Column(self.rows.iter().map(|(_, bar)| value(bar)).collect());
        let integers = |value: fn(&Bar) -> i64| I64Column(self.rows.iter().map(|(_, bar)| value(bar)).collect());
        BarBatchV1 {
            header: HeaderV1::from(&self.header),
            symbol: self.rows.iter().map(|&(symbol, _)| symbol).collect(),
            open_time_ns: integers(|bar| bar.open_time.as_ns()),
            open: column(|bar| bar.open),
            high: column(|bar| bar.high),
            low: column(|bar| bar.low),
            close: column(|bar| bar.close),
            volume: column(|bar| bar.volume),
            vwap: None,
            trades: None,
            traded_close: self.traded_closes.clone().map(F64Column),
            revision: integers(|bar| i64::from(bar.revision)),
            flags: integers(|bar| i64::from(bar.flags.bits())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_must_be_possible() {
        let good = Bar {
            open_time: EventTime(0),
            open: 10.0,
            high: 12.0,
            low: 9.0,
            close: 11.0,
            volume: 0.0,
            revision: 0,
            flags: BarFlags::FINAL,
        };
        let check = |change: fn(&mut Bar), expected: Option<&str>| {
            let mut bar = good;
            change(&mut bar);
            assert_eq!(bar.check().err().map(|fault| fault.reason()), expected, "{bar:?}");
        };
        check(|_| (), None);
        check(|bar| bar.open = f64::NAN, Some("not_finite"));
        check(|bar| bar.volume = f64::INFINITY, Some("not_finite"));
        check(|bar| bar.low = -1.0, Some("not_positive"));
        check(|bar| bar.close = 0.0, Some("not_positive"));
        check(|bar| bar.volume = -1.0, Some("negative_volume"));
        check(|bar| bar.high = 8.0, Some("high_below_low"));
        check(|bar| bar.close = 12.5, Some("outside_range"));
        check(|bar| bar.open = 8.5, Some("outside_range"));
        let close_only = |bar: &mut Bar| {
            bar.flags = bar.flags.with(BarFlags::CLOSE_ONLY);
            (bar.open, bar.high, bar.low) = (f64::NAN, f64::NAN, f64::NAN);
        };
        check(close_only, None);
        check(|bar| bar.flags = BarFlags::CLOSE_ONLY, Some("not_close_only"));
        let check_close_only = |close: f64, volume: f64, expected: Option<&str>| {
            let mut bar = good;
            close_only(&mut bar);
            (bar.close, bar.volume) = (close, volume);
            assert_eq!(bar.check().err().map(|fault| fault.reason()), expected, "{bar:?}");
        };
        check_close_only(f64::NAN, 1.0, Some("not_finite"));
        check_close_only(-1.0, 1.0, Some("not_positive"));
        check_close_only(1.0, -1.0, Some("negative_volume"));
    }
}
