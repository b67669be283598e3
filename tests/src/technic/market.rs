//! Small markets to feed the binary with, and Parquet files.

use std::fs::{self, File};
use std::path::Path;

use polars::prelude::{
    ChunkCompareIneq as _, Column, DataFrame, DataType, NamedFrom as _, ParquetReader, ParquetWriter, SerReader as _,
    Series,
};
use schemas::{EventTime, Timeframe};
use tempfile::TempDir;

use super::{BARS_FILE, UNIVERSE_FILE};

/// A small market of plain columns, to be changed at will before it is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Market {
    pub symbol: Vec<Option<String>>,
    /// Since 1970-01-01.
    pub day: Vec<Option<i32>>,
    pub open: Vec<f64>,
    pub high: Vec<f64>,
    pub low: Vec<f64>,
    pub close: Vec<f64>,
    pub volume: Vec<f64>,
    pub split_factor: Vec<f64>,
    pub seg: Vec<i64>,
}

/// One row of a [`Market`].
#[derive(Debug, Clone, PartialEq)]
pub struct MarketRow {
    pub symbol: Option<String>,
    pub day: Option<i32>,
    /// Open, high, low, close.
    pub prices: [f64; 4],
    pub volume: f64,
    pub split_factor: f64,
    pub seg: i64,
}

impl Market {
    /// The Monday on which the generated markets begin.
    pub const FIRST_DAY: i32 = 18_001;

    /// Symbols that rise, fall and stand still, on weekdays, sorted by symbol and date.
    ///
    /// # Panics
    /// Never: 31 bits fit.
    pub fn generate(n_symbols: u32, n_sessions: u32) -> Self {
        let mut market = Self::default();
        let mut state = 7_u64;
        let mut random = || {
            // Knuth's MMIX generator; the upper bits are good enough for prices.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 33).expect("31 bits")) / f64::from(1_u32 << 31)
        };
        for n in 0..n_symbols {
            let drift = (f64::from(n % 7) - 3.0) / 500.0;
            let mut close = 5.0 + 95.0 * random();
            for session in 0..n_sessions {
                let open = close * (1.0 + 0.01 * (random() - 0.5));
                close = open * (1.0 + drift + 0.04 * (random() - 0.5));
                let high = open.max(close) * (1.0 + 0.01 * random());
                let low = open.min(close) * (1.0 - 0.01 * random());
                market.push(MarketRow {
                    symbol: Some(format!("GEN{n:03}")),
                    day: Some(Self::day_of(session)),
                    prices: [open, high, low, close],
                    volume: (1e4 + 1e6 * random()).round(),
                    split_factor: 1.0,
                    seg: 0,
                });
            }
        }
        market
    }

    /// The day of a session: five in a week.
    ///
    /// # Panics
    /// When there are more sessions than days.
    pub fn day_of(session: u32) -> i32 {
        Self::FIRST_DAY + i32::try_from(session / 5 * 7 + session % 5).expect("a short history")
    }

    /// The date of a session, as it is written.
    pub fn date_of(session: u32) -> String {
        EventTime::from_days(Self::day_of(session)).display(Timeframe::D1)
    }

    pub fn len(&self) -> usize {
        self.symbol.len()
    }

    pub fn is_empty(&self) -> bool {
        self.symbol.is_empty()
    }

    pub fn row(&self, at: usize) -> MarketRow {
        MarketRow {
            symbol: self.symbol[at].clone(),
            day: self.day[at],
            prices: [self.open[at], self.high[at], self.low[at], self.close[at]],
            volume: self.volume[at],
            split_factor: self.split_factor[at],
            seg: self.seg[at],
        }
    }

    pub fn push(&mut self, row: MarketRow) {
        let MarketRow { symbol, day, prices: [open, high, low, close], volume, split_factor, seg } = row;
        self.symbol.push(symbol);
        self.day.push(day);
        self.open.push(open);
        self.high.push(high);
        self.low.push(low);
        self.close.push(close);
        self.volume.push(volume);
        self.split_factor.push(split_factor);
        self.seg.push(seg);
    }

    /// The rows for which `change` leaves something.
    #[must_use]
    pub fn map(&self, mut change: impl FnMut(usize, MarketRow) -> Vec<MarketRow>) -> Self {
        let mut changed = Self::default();
        (0..self.len()).flat_map(|at| change(at, self.row(at))).for_each(|row| changed.push(row));
        changed
    }

    /// # Panics
    /// Never: the columns are of one length.
    pub fn frame(&self) -> DataFrame {
        let numbers = |name: &str, values: &[f64]| Column::new(name.into(), values);
        let days = Series::new("date".into(), &self.day).cast(&DataType::Date).expect("days are dates");
        let columns = vec![
            Column::new("symbol".into(), &self.symbol),
            days.into(),
            numbers("open", &self.open),
            numbers("high", &self.high),
            numbers("low", &self.low),
            numbers("close", &self.close),
            numbers("volume", &self.volume),
            numbers("split_factor", &self.split_factor),
            Column::new("seg".into(), &self.seg),
        ];
        DataFrame::new(self.len(), columns).expect("the columns are of one length")
    }

    /// Writes the bars to a new folder.
    ///
    /// # Panics
    /// When there is no room.
    pub fn folder(&self) -> TempDir {
        let dir = tempfile::tempdir().expect("there is room for data");
        write_parquet(&dir.path().join(BARS_FILE), &mut self.frame());
        dir
    }
}

/// # Panics
/// When the file cannot be written.
pub fn write_parquet(path: &Path, frame: &mut DataFrame) {
    let file = File::create(path).expect("the folder is ours");
    ParquetWriter::new(file).finish(frame).expect("there is room for data");
}

/// # Panics
/// When the file is not there or no Parquet.
pub fn read_parquet(path: &Path) -> DataFrame {
    let file = File::open(path).unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
    ParquetReader::new(file).finish().unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// Days since 1970-01-01 of a date column; `i32::MIN` where there is none.
///
/// # Panics
/// When there is no such column.
pub fn days_of(frame: &DataFrame, name: &str) -> Vec<i32> {
    let dates = frame.column(name).and_then(|column| column.cast(&DataType::Date)).expect("a column of dates");
    let days = dates.as_materialized_series().to_physical_repr().into_owned();
    days.i32().expect("days are whole numbers").iter().map(|day| day.unwrap_or(i32::MIN)).collect()
}

/// The last sessions of a folder in a folder of their own, with every symbol that has bars in them.
///
/// # Panics
/// When the folder has no bars.
pub fn last_sessions(dir: &Path, n_sessions: usize) -> TempDir {
    let bars = read_parquet(&dir.join(BARS_FILE));
    let mut days = days_of(&bars, "date");
    let rows = Series::new("date".into(), &days);
    days.sort_unstable();
    days.dedup();
    let first = days[days.len().saturating_sub(n_sessions)];
    let kept = rows.i32().expect("days are whole numbers").gt_eq(first);
    let mut bars = bars.filter(&kept).expect("the mask has the length of the column");
    let reduced = tempfile::tempdir().expect("there is room for data");
    write_parquet(&reduced.path().join(BARS_FILE), &mut bars);
    if dir.join(UNIVERSE_FILE).exists() {
        fs::copy(dir.join(UNIVERSE_FILE), reduced.path().join(UNIVERSE_FILE)).expect("there is room for data");
    }
    reduced
}
