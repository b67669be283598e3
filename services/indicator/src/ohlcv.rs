use schemas::{Bar, BarFlags, EventTime};

/// Prices and volume of one bar: what a single indicator takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ohlcv {
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
}

impl Ohlcv {
    pub fn new(open: f64, high: f64, low: f64, close: f64, volume: f64) -> Self {
        Self { open, high, low, close, volume }
    }

    /// Whether a bar can have these numbers: those of [`Bar::check`]. One that knows its close only cannot.
    pub fn is_possible(&self) -> bool {
        let Self { open, high, low, close, volume } = *self;
        let flags = BarFlags::FINAL;
        Bar { open_time: EventTime(0), open, high, low, close, volume, revision: 0, flags }.check().is_ok()
    }

    /// The mean of high, low and close.
    pub fn typical(&self) -> f64 {
        (self.high + self.low + self.close) / 3.0
    }

    /// A bar that knows some of its numbers; the others are NaN.
    pub(crate) fn partial(fields: &[Field], numbers: &[f64]) -> Self {
        let nan = f64::NAN;
        let mut bar = Self::new(nan, nan, nan, nan, nan);
        for (field, number) in fields.iter().zip(numbers) {
            *match field {
                Field::Open => &mut bar.open,
                Field::High => &mut bar.high,
                Field::Low => &mut bar.low,
                Field::Close => &mut bar.close,
                Field::Volume => &mut bar.volume,
            } = *number;
        }
        bar
    }

    pub(crate) fn get(&self, field: Field) -> f64 {
        match field {
            Field::Open => self.open,
            Field::High => self.high,
            Field::Low => self.low,
            Field::Close => self.close,
            Field::Volume => self.volume,
        }
    }
}

impl From<&Bar> for Ohlcv {
    fn from(bar: &Bar) -> Self {
        let Bar { open, high, low, close, volume, .. } = *bar;
        Self { open, high, low, close, volume }
    }
}

/// One number of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Open,
    High,
    Low,
    Close,
    Volume,
}

impl Field {
    pub(crate) const ALL: [Self; 5] = [Self::Open, Self::High, Self::Low, Self::Close, Self::Volume];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::Close => "close",
            Self::Volume => "volume",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }
}
