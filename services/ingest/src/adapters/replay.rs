//! Daily history played back in event-time order.

use std::path::Path;

use schemas::{EventTime, Instrument};

use super::parquet::{DailyBars, read_daily};
use super::reference::{Reference, read_reference};
use crate::config::Speed;
use crate::digest::Digest;
use crate::{Feed, IngestError, RawBar, Rejections, ReplayOptions, Step};

const BARS_FILE: &str = "daily_bars.parquet";

/// Daily bars of a folder, session by session and by symbol within one.
pub struct ReplayFeed {
    bars: DailyBars,
    instruments: Vec<Instrument>,
    missing_files: Vec<&'static str>,
    speed: Speed,
    epoch: u64,
    /// The next row of each symbol.
    cursors: Vec<usize>,
    next_session: usize,
}

impl ReplayFeed {
    /// Reads the whole selection into memory.
    ///
    /// # Errors
    /// When `daily_bars.parquet` is missing or one of the files cannot be used. A missing reference file is
    /// reported by [`Self::missing_files`].
    pub fn open(dir: &Path, options: &ReplayOptions) -> Result<Self, IngestError> {
        let bars = read_daily(&dir.join(BARS_FILE), &options.read())?;
        let Reference { mut instruments, missing_files } = read_reference(dir, options.to)?;
        instruments.retain(|instrument| {
            let has_bars = bars.symbols.binary_search_by_key(&instrument.symbol, |(symbol, _)| *symbol).is_ok();
            has_bars || !instrument.closes.is_empty()
        });
        let epoch = epoch_of(&bars);
        let cursors = bars.symbols.iter().map(|(_, rows)| rows.start).collect();
        Ok(Self { bars, instruments, missing_files, speed: options.speed, epoch, cursors, next_session: 0 })
    }

    /// Files of the folder that are not there; what they would tell stays unknown.
    pub fn missing_files(&self) -> &[&'static str] {
        &self.missing_files
    }

    pub fn rejections(&self) -> &Rejections {
        &self.bars.rejections
    }

    pub fn sessions(&self) -> &[EventTime] {
        &self.bars.sessions
    }
}

impl Feed for ReplayFeed {
    fn source(&self) -> &'static str {
        "replay"
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn instruments(&mut self) -> Vec<Instrument> {
        std::mem::take(&mut self.instruments)
    }

    fn next_step(&mut self) -> Option<Step> {
        let &session = self.bars.sessions.get(self.next_session)?;
        let wait = match self.next_session.checked_sub(1) {
            Some(previous) => self.speed.wait(self.bars.sessions[previous], session),
            None => std::time::Duration::ZERO,
        };
        self.next_session += 1;
        let mut bars = Vec::with_capacity(self.bars.symbols.len());
        for ((symbol, rows), cursor) in self.bars.symbols.iter().zip(&mut self.cursors) {
            if *cursor < rows.end && self.bars.open_time[*cursor] == session {
                let bar = RawBar::of(*symbol, &self.bars.bar(*cursor));
                bars.push(RawBar { traded_close: Some(self.bars.traded_close[*cursor]), ..bar });
                *cursor += 1;
            }
        }
        Some(Step { bars, watermark: Some(session), wait })
    }

    fn n_bars_total(&self) -> Option<u64> {
        Some(self.bars.n_bars() as u64)
    }
}

/// Covers every bar: the same epoch promises the same messages.
fn epoch_of(bars: &DailyBars) -> u64 {
    let mut digest = Digest::new("replay");
    for (symbol, rows) in &bars.symbols {
        digest.bytes(symbol.as_bytes());
        digest.count(rows.len());
        for row in rows.clone() {
            digest.word(bars.open_time[row].as_ns().cast_unsigned());
            digest.word(u64::from(bars.flags[row].bits()));
            let prices = [bars.open[row], bars.high[row], bars.low[row], bars.close[row], bars.traded_close[row]];
            prices.into_iter().chain([bars.volume[row]]).for_each(|number| digest.number(number));
        }
    }
    digest.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use polars::prelude::*;
    use schemas::Symbol;
    use tempfile::TempDir;

    use super::*;

    const UNIVERSE_FILE: &str = "universe.parquet";

    fn folder(rows: &[(&str, i32, f64)]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let close: Vec<f64> = rows.iter().map(|row| row.2).collect();
        let mut frame = df!(
            "symbol" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
            "open" => &close, "high" => &close, "low" => &close, "close" => &close, "volume" => &close,
        )
        .unwrap();
        let days: Vec<i32> = rows.iter().map(|row| row.1).collect();
        frame.with_column(Column::new("date".into(), days).cast(&DataType::Date).unwrap()).unwrap();
        write(&dir, BARS_FILE, &mut frame);
        dir
    }

    fn write(dir: &TempDir, name: &str, frame: &mut DataFrame) {
        ParquetWriter::new(fs::File::create(dir.path().join(name)).unwrap()).finish(frame).unwrap();
    }

    const ROWS: [(&str, i32, f64); 5] = [("A", 1, 5.0), ("A", 2, 6.0), ("B", 2, 7.0), ("B", 5, 8.0), ("C", 1, 9.0)];

    fn texts(feed: &mut ReplayFeed) -> Vec<String> {
        std::iter::from_fn(|| feed.next_step())
            .map(|step| {
                let bars: Vec<String> = step.bars.iter().map(|bar| format!("{}={}", bar.symbol, bar.close)).collect();
                let watermark = step.watermark.unwrap();
                assert!(step.bars.iter().all(|bar| bar.open_time == watermark));
                format!("{} {} +{}s", watermark.days(), bars.join(" "), step.wait.as_secs())
            })
            .collect()
    }

    #[test]
    fn sessions_come_in_event_time_order_and_take_their_time() {
        let dir = folder(&ROWS);
        let check = |options: &ReplayOptions, expected: &[&str]| {
            assert_eq!(texts(&mut ReplayFeed::open(dir.path(), options).unwrap()), expected, "{options:?}");
        };
        check(&ReplayOptions::default(), &["1 A=5 C=9 +0s", "2 A=6 B=7 +0s", "5 B=8 +0s"]);
        let timed = ReplayOptions { speed: Speed::Times(86_400.0), ..ReplayOptions::default() };
        check(&timed, &["1 A=5 C=9 +0s", "2 A=6 B=7 +1s", "5 B=8 +3s"]);
        let day = |days| Some(EventTime::from_days(days));
        check(&ReplayOptions { from: day(2), to: day(4), ..timed }, &["2 A=6 B=7 +0s"]);
        let symbols = Some([Symbol::new("B").unwrap()].into());
        check(&ReplayOptions { symbols, ..ReplayOptions::default() }, &["2 B=7 +0s", "5 B=8 +0s"]);
        check(&ReplayOptions { from: day(9), ..ReplayOptions::default() }, &[]);
    }

    #[test]
    fn the_epoch_names_the_content_and_not_the_pace() {
        let epoch = |rows: &[(&str, i32, f64)], options: &ReplayOptions| {
            ReplayFeed::open(folder(rows).path(), options).unwrap().epoch()
        };
        let all = ReplayOptions::default();
        assert_eq!(epoch(&ROWS, &all), epoch(&ROWS, &ReplayOptions { speed: Speed::Times(3.0), ..all.clone() }));
        let mut other = ROWS;
        other[1].2 = 6.5;
        assert_ne!(epoch(&ROWS, &all), epoch(&other, &all));
        let shorter = ReplayOptions { to: Some(EventTime::from_days(2)), ..all.clone() };
        assert_ne!(epoch(&ROWS, &all), epoch(&ROWS, &shorter));
    }

    #[test]
    fn a_missing_universe_is_reported_and_one_that_is_there_is_cut_to_the_bars() {
        let dir = folder(&ROWS);
        let mut feed = ReplayFeed::open(dir.path(), &ReplayOptions::default()).unwrap();
        assert!(feed.instruments().is_empty());
        assert_eq!(
            feed.missing_files(),
            [UNIVERSE_FILE, "fundamentals.parquet", "market_ref_daily.parquet", "events.parquet"]
        );
        assert_eq!((feed.n_bars_total(), feed.source()), (Some(5), "replay"));
        write(&dir, UNIVERSE_FILE, &mut df!("symbol" => ["B", "Z"]).unwrap());
        let mut feed = ReplayFeed::open(dir.path(), &ReplayOptions::default()).unwrap();
        let symbols: Vec<String> = feed.instruments().iter().map(|found| found.symbol.to_string()).collect();
        assert_eq!((feed.missing_files().len(), symbols), (3, vec!["B".to_owned()]));
        assert!(feed.instruments().is_empty());
        assert_eq!(feed.next_step().unwrap().wait, Duration::ZERO);
    }

    #[test]
    fn without_bars_there_is_no_replay() {
        let dir = tempfile::tempdir().unwrap();
        let error = ReplayFeed::open(dir.path(), &ReplayOptions::default()).err().unwrap();
        assert!(error.to_string().contains(BARS_FILE), "{error}");
    }
}
