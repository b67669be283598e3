use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use schemas::{Alert, AlertLevel, Bar, BarFlags, Plan, Symbol, Timeframe};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::board::{DataKind, Row};
use crate::channel::Channel;
use crate::format::{Format, msgpack};

const NS_PER_MS: i64 = 1_000_000;

/// A change that clients are told of, written at most once per format for all of them.
#[derive(Debug)]
pub(crate) struct Event {
    /// 1, 2, 3 …: its number among all events of the channel.
    pub(crate) u: u64,
    pub(crate) symbol: Symbol,
    pub(crate) content: Content,
    /// By format; not used by rows, which carry their own.
    encoded: [OnceLock<Bytes>; 2],
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// A new row of the table.
    Row(Row),
    /// The symbol left the table.
    Out,
    Bar(BarUpdate),
    Indicators(Arc<IndicatorUpdate>),
    Alert(Arc<Alert>),
}

/// A bar, as it is fanned out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BarUpdate {
    pub symbol: Symbol,
    pub timeframe: Timeframe,
    pub bar: Bar,
}

/// The indicator columns of a bar, as they are fanned out.
#[derive(Debug, Clone, PartialEq)]
pub struct IndicatorUpdate {
    pub bar: BarUpdate,
    pub plan: Arc<Plan>,
    /// One per column of the plan; NaN is missing.
    pub values: Box<[f64]>,
}

impl Event {
    pub(crate) fn new(u: u64, symbol: Symbol, content: Content) -> Self {
        Self { u, symbol, content, encoded: [OnceLock::new(), OnceLock::new()] }
    }

    /// Appends the event.
    pub(crate) fn write(&self, format: Format, out: &mut Vec<u8>) {
        match &self.content {
            Content::Row(row) => write_row(row, self.symbol, format, out),
            _ => out.extend_from_slice(self.encoded(format)),
        }
    }

    /// About as many bytes as the event takes in a frame.
    pub(crate) fn size(&self) -> usize {
        match &self.content {
            Content::Row(row) => row.json.len(),
            Content::Indicators(update) => 24 * update.values.len(),
            _ => 200,
        }
    }

    fn encoded(&self, format: Format) -> &Bytes {
        self.encoded[format.index()].get_or_init(|| self.encode(format).into())
    }

    fn encode(&self, format: Format) -> Vec<u8> {
        match &self.content {
            Content::Row(_) => unreachable!("a row is written in parts"),
            Content::Out => {
                let mut bytes = Vec::new();
                write_out(self.symbol, format, &mut bytes);
                bytes
            }
            Content::Bar(update) => format.encode(&BarEvent::new(update)),
            Content::Indicators(update) => format.encode(&IndicatorEvent(update)),
            Content::Alert(alert) => format.encode(&AlertEvent {
                ev: Channel::Alerts.as_str(),
                sym: alert.symbol,
                rule: &alert.rule,
                level: alert.level,
                ts: alert.event_time.as_ns() / NS_PER_MS,
                msg: &alert.message,
            }),
        }
    }
}

/// `{"ev":"SC","sym":…}` and all that the row has.
pub(crate) fn write_row(row: &Row, symbol: Symbol, format: Format, out: &mut Vec<u8>) {
    match format {
        Format::Json => {
            out.extend_from_slice(br#"{"ev":"SC","sym":"#);
            // A symbol may contain a quote.
            format.write(&symbol, out);
            out.push(b',');
            out.extend_from_slice(&row.json[1..]);
        }
        Format::MessagePack => {
            let (n_entries, entries) = msgpack::map_parts(row.msgpack());
            msgpack::map_head(out, n_entries + 2);
            for text in ["ev", Channel::Scores.as_str(), "sym"] {
                format.write(&text, out);
            }
            format.write(&symbol, out);
            out.extend_from_slice(entries);
        }
    }
}

/// Tells that a symbol left the table, or what a filter leaves of it.
pub(crate) fn write_out(symbol: Symbol, format: Format, out: &mut Vec<u8>) {
    format.write(&Out { ev: "out", ch: Channel::Scores.as_str(), sym: symbol }, out);
}

#[derive(Serialize)]
struct Out {
    ev: &'static str,
    ch: &'static str,
    sym: Symbol,
}

/// Field names as stock feeds have them.
#[derive(Serialize)]
struct BarEvent {
    ev: &'static str,
    sym: Symbol,
    v: f64,
    o: Option<f64>,
    c: f64,
    h: Option<f64>,
    l: Option<f64>,
    /// Start and end, Unix milliseconds.
    s: i64,
    e: i64,
    tf: &'static str,
    rev: u32,
    r#final: bool,
    data: DataKind,
}

impl BarEvent {
    fn new(update: &BarUpdate) -> Self {
        let BarUpdate { symbol, timeframe, bar } = update;
        let s = bar.open_time.as_ns() / NS_PER_MS;
        let known = |price: f64| (!price.is_nan()).then_some(price);
        Self {
            ev: Channel::Bars.as_str(),
            sym: *symbol,
            v: bar.volume,
            o: known(bar.open),
            c: bar.close,
            h: known(bar.high),
            l: known(bar.low),
            s,
            e: s + span_ms(*timeframe),
            tf: timeframe.as_str(),
            rev: bar.revision,
            r#final: bar.is_final(),
            data: data_kind(bar.flags),
        }
    }
}

struct IndicatorEvent<'a>(&'a IndicatorUpdate);

impl Serialize for IndicatorEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let IndicatorUpdate { bar: BarUpdate { symbol, timeframe, bar }, plan, values } = self.0;
        let mut map = serializer.serialize_map(Some(7 + values.len()))?;
        map.serialize_entry("ev", Channel::Indicators.as_str())?;
        map.serialize_entry("sym", symbol)?;
        map.serialize_entry("s", &(bar.open_time.as_ns() / NS_PER_MS))?;
        map.serialize_entry("tf", timeframe.as_str())?;
        map.serialize_entry("rev", &bar.revision)?;
        map.serialize_entry("final", &bar.is_final())?;
        map.serialize_entry("data", &data_kind(bar.flags))?;
        for (column, value) in plan.columns().iter().zip(values) {
            map.serialize_entry(column, &(!value.is_nan()).then_some(value))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct AlertEvent<'a> {
    ev: &'static str,
    sym: Symbol,
    rule: &'a str,
    level: AlertLevel,
    /// Unix milliseconds.
    ts: i64,
    msg: &'a str,
}

fn data_kind(flags: BarFlags) -> DataKind {
    if flags.contains(BarFlags::SYNTHETIC) {
        DataKind::Synthetic
    } else if flags.contains(BarFlags::REPLAYED) {
        DataKind::Replay
    } else {
        DataKind::Live
    }
}

const fn span_ms(timeframe: Timeframe) -> i64 {
    const MINUTE: i64 = 60_000;
    match timeframe {
        Timeframe::M1 => MINUTE,
        Timeframe::M5 => 5 * MINUTE,
        Timeframe::M15 => 15 * MINUTE,
        Timeframe::H1 => 60 * MINUTE,
        Timeframe::D1 => 24 * 60 * MINUTE,
    }
}
