use schemas::{Bar, BarFlags, EventTime, Symbol};

/// One bar as a feed delivers it: nothing is checked yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawBar {
    pub symbol: Symbol,
    pub open_time: EventTime,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
    /// The close as it was traded, where the prices are on the basis of a later bar.
    pub traded_close: Option<f64>,
    /// Rises with each update of a forming bar and with each correction of a final one.
    pub revision: u32,
    pub flags: BarFlags,
}

impl RawBar {
    pub fn of(symbol: Symbol, bar: &Bar) -> Self {
        Self {
            symbol,
            open_time: bar.open_time,
            open: bar.open,
            high: bar.high,
            low: bar.low,
            close: bar.close,
            volume: bar.volume,
            traded_close: None,
            revision: bar.revision,
            flags: bar.flags,
        }
    }

    /// The same numbers as a [`Bar`], still to be checked.
    pub fn unchecked(&self) -> Bar {
        Bar {
            open_time: self.open_time,
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            volume: self.volume,
            revision: self.revision,
            flags: self.flags,
        }
    }
}
