//! The daily bar as its minutes make it.

use std::collections::BTreeMap;

use pipeline::{Rejected, Restore, Stage};
use schemas::exchange::{close_of, local};
use schemas::{
    Bar, BarBatch, BarBatchBuilder, BarFlags, EventTime, Header, N_PARTITIONS, Partition, Symbol, Timeframe,
};
use serde::{Deserialize, Serialize};

const LAYOUT_VERSION: u64 = 1;

/// Minute bars in, daily bars out: forming with every change, final once the session is over.
///
/// # Shape
/// Of the minutes of the regular session. A batch in gives at most one forming bar a symbol, whose revision rises by one;
/// minutes of a later session, or a watermark that covers the last minute of this one, make the bar final. The newest
/// minute may come again in a higher revision and replaces itself; an older one is refused, because what it would replace
/// is no longer known. A newer minute of a session that was final already makes a correction.
#[derive(Debug)]
pub struct RollUpStage {
    shards: Vec<Shard>,
    refused: BTreeMap<&'static str, usize>,
}

/// The symbols of one partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Shard {
    /// Of the producer of the minutes; the daily batches are numbered within it.
    epoch: u64,
    seq: u64,
    watermark_day: Option<i32>,
    sessions: BTreeMap<Symbol, Session>,
}

/// A symbol's newest session.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Session {
    day: i32,
    /// Of all minutes before the newest; `None` while there is one alone.
    before: Option<Sums>,
    newest: Sums,
    newest_open_ns: i64,
    newest_revision: u32,
    /// Bits of what the minutes say of where they come from.
    origin: u8,
    /// Of the daily bar.
    revision: u32,
    is_final: bool,
}

/// What minutes add up to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Sums {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
}

impl Sums {
    fn of(bar: &Bar) -> Self {
        Self { open: bar.open, high: bar.high, low: bar.low, close: bar.close, volume: bar.volume }
    }

    fn then(self, later: Self) -> Self {
        Self {
            open: self.open,
            high: self.high.max(later.high),
            low: self.low.min(later.low),
            close: later.close,
            volume: self.volume + later.volume,
        }
    }
}

impl Session {
    fn new(day: i32, bar: &Bar) -> Self {
        Self {
            day,
            before: None,
            newest: Sums::of(bar),
            newest_open_ns: bar.open_time.as_ns(),
            newest_revision: bar.revision,
            origin: origin(bar),
            revision: 0,
            is_final: false,
        }
    }

    fn take(&mut self, bar: &Bar) -> Result<(), &'static str> {
        let open_ns = bar.open_time.as_ns();
        if open_ns < self.newest_open_ns {
            return Err("time_went_back");
        }
        if open_ns == self.newest_open_ns && bar.revision <= self.newest_revision {
            return Err("duplicate");
        }
        if open_ns > self.newest_open_ns {
            self.before = Some(self.sums());
        }
        self.newest = Sums::of(bar);
        (self.newest_open_ns, self.newest_revision) = (open_ns, bar.revision);
        self.origin |= origin(bar);
        Ok(())
    }

    fn sums(&self) -> Sums {
        self.before.map_or(self.newest, |before| before.then(self.newest))
    }

    /// The daily bar as it stands, in a new revision.
    fn revised(&mut self) -> Bar {
        self.revision += 1;
        let flags = BarFlags::from_bits(self.origin).expect("they were flags");
        let Sums { open, high, low, close, volume } = self.sums();
        Bar {
            open_time: EventTime::from_days(self.day),
            open,
            high,
            low,
            close,
            volume,
            revision: self.revision,
            flags: if self.is_final { flags.with(BarFlags::FINAL) } else { flags },
        }
    }

    fn finish(&mut self) -> Bar {
        self.is_final = true;
        self.revised()
    }
}

/// What a daily bar inherits from its minutes.
fn origin(bar: &Bar) -> u8 {
    let inherited = [BarFlags::SYNTHETIC, BarFlags::REPLAYED, BarFlags::BACKFILL];
    inherited.into_iter().filter(|&flag| bar.flags.contains(flag)).fold(0, |bits, flag| bits | flag.bits())
}

impl Default for RollUpStage {
    fn default() -> Self {
        Self { shards: vec![Shard::default(); usize::from(N_PARTITIONS)], refused: BTreeMap::new() }
    }
}

impl RollUpStage {
    pub fn new() -> Self {
        Self::default()
    }
}

impl Stage for RollUpStage {
    type Input = BarBatch;
    type Output = BarBatch;

    fn on_batch(&mut self, input: BarBatch, out: &mut Vec<BarBatch>) -> Result<(), Rejected> {
        let header = input.header();
        if header.timeframe != Timeframe::M1 {
            let detail = format!("bars of {} instead of {}", header.timeframe, Timeframe::M1);
            return Err(Rejected::new("wrong_timeframe", detail));
        }
        let shard = &mut self.shards[header.partition.index()];
        if shard.epoch != header.epoch {
            (shard.epoch, shard.seq) = (header.epoch, 0);
        }
        let mut rows = Vec::new();
        let mut changed = Vec::new();
        for &(symbol, ref bar) in input.rows() {
            match shard.take(symbol, bar, &mut rows) {
                // A batch has the minutes of one time, so a symbol seldom comes twice.
                Ok(()) if !changed.contains(&symbol) => changed.push(symbol),
                Ok(()) => {}
                Err(reason) => *self.refused.entry(reason).or_default() += 1,
            }
        }
        for symbol in changed {
            let session = shard.sessions.get_mut(&symbol).expect("a symbol that changed has a session");
            rows.push((symbol, session.revised()));
        }
        let watermark = header.watermark.and_then(|watermark| shard.advance(watermark, &mut rows));
        shard.publish(header, &rows, watermark, out);
        Ok(())
    }

    fn on_idle(&mut self, _: &mut Vec<BarBatch>) {}

    fn on_refresh(&mut self, _: &mut Vec<BarBatch>) {}

    fn needs_refresh(&self) -> bool {
        false
    }

    fn take_refused(&mut self, report: &mut dyn FnMut(&'static str, usize)) {
        for (reason, n_rows) in std::mem::take(&mut self.refused) {
            report(reason, n_rows);
        }
    }
}

impl Shard {
    /// Takes in a minute. A session that it ends goes to `rows`.
    fn take(&mut self, symbol: Symbol, bar: &Bar, rows: &mut Vec<(Symbol, Bar)>) -> Result<(), &'static str> {
        let local = local(bar.open_time);
        if !local.is_regular() {
            return Err("outside_session");
        }
        if bar.flags.contains(BarFlags::CLOSE_ONLY) {
            return Err("close_only");
        }
        let Some(session) = self.sessions.get_mut(&symbol) else {
            self.sessions.insert(symbol, Session::new(local.day, bar));
            return Ok(());
        };
        if local.day > session.day {
            if !session.is_final {
                rows.push((symbol, session.finish()));
            }
            *session = Session::new(local.day, bar);
            return Ok(());
        }
        session.take(bar)
    }

    /// Ends the sessions that a watermark covers; the watermark of the daily bars, where it is news.
    fn advance(&mut self, watermark: EventTime, rows: &mut Vec<(Symbol, Bar)>) -> Option<EventTime> {
        let local = local(watermark);
        // The watermark names a minute that is over.
        let is_after_close = local.minute + 1 >= close_of(local.day);
        let over = if is_after_close { local.day } else { local.day - 1 };
        if self.watermark_day.is_some_and(|day| over <= day) {
            return None;
        }
        self.watermark_day = Some(over);
        for (&symbol, session) in &mut self.sessions {
            if !session.is_final && session.day <= over {
                rows.push((symbol, session.finish()));
            }
        }
        Some(EventTime::from_days(over))
    }

    fn publish(
        &mut self,
        input: &Header,
        rows: &[(Symbol, Bar)],
        watermark: Option<EventTime>,
        out: &mut Vec<BarBatch>,
    ) {
        let mut chunks: Vec<&[(Symbol, Bar)]> = rows.chunks(schemas::ROWS_MAX).collect();
        if chunks.is_empty() && watermark.is_some() {
            chunks.push(&[]);
        }
        let n_chunks = chunks.len();
        for (i, chunk) in chunks.into_iter().enumerate() {
            let mut builder = BarBatchBuilder::new(input.partition);
            for &(symbol, bar) in chunk {
                builder.push(symbol, bar);
            }
            self.seq += 1;
            // Behind everything that it covers.
            let watermark = watermark.filter(|_| i + 1 == n_chunks);
            out.push(builder.finish(Header {
                timeframe: Timeframe::D1,
                seq: self.seq,
                event_time: watermark.unwrap_or_default(),
                watermark,
                ..input.clone()
            }));
        }
    }
}

impl Restore for RollUpStage {
    fn layout(&self) -> u64 {
        LAYOUT_VERSION
    }

    fn snapshot(&self, partition: Partition) -> Vec<u8> {
        rmp_serde::to_vec(&self.shards[partition.index()]).expect("plain data serialises to MessagePack")
    }

    fn restore(&mut self, partition: Partition, bytes: &[u8]) -> Result<(), Rejected> {
        let shard: Shard = rmp_serde::from_slice(bytes).map_err(|error| {
            Rejected::new("snapshot_malformed", format!("snapshot of {partition} is not readable: {error}"))
        })?;
        if let Some(symbol) = shard.sessions.keys().find(|&&symbol| Partition::of(symbol) != partition) {
            let detail = format!("snapshot of {partition} holds {symbol} of another partition");
            return Err(Rejected::new("snapshot_invalid", detail));
        }
        self.shards[partition.index()] = shard;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::Message as _;

    use super::*;

    /// 2026-01-05, a Monday, 09:30 in New York.
    const OPEN_NS: i64 = 1_767_623_400_000_000_000;
    const MINUTE_NS: i64 = 60_000_000_000;
    const DAY: i32 = 20_458;

    fn symbol() -> Symbol {
        Symbol::new("AAPL").unwrap()
    }

    /// `offset` in minutes from the open.
    fn minute(offset: i64, [open, high, low, close]: [f64; 4], volume: f64, revision: u32) -> Bar {
        let open_time = EventTime(OPEN_NS + offset * MINUTE_NS);
        Bar { open_time, open, high, low, close, volume, revision, flags: BarFlags::FINAL }
    }

    fn flat(offset: i64, price: f64) -> Bar {
        minute(offset, [price; 4], 10.0, 0)
    }

    /// The minutes of one batch; a watermark in minutes from the open.
    fn batch(epoch: u64, seq: u64, bars: &[Bar], watermark: Option<i64>) -> BarBatch {
        let partition = Partition::of(symbol());
        let mut builder = BarBatchBuilder::new(partition);
        for &bar in bars {
            builder.push(symbol(), bar);
        }
        builder.finish(Header {
            timeframe: Timeframe::M1,
            partition,
            epoch,
            seq,
            event_time: EventTime::default(),
            ingest_time: EventTime(7),
            source: "test".to_owned(),
            watermark: watermark.map(|offset| EventTime(OPEN_NS + offset * MINUTE_NS)),
        })
    }

    /// `day o h l c v rN final` of every row that comes of the batches, and `| day` for a watermark.
    fn texts(stage: &mut RollUpStage, inputs: &[(&[Bar], Option<i64>)]) -> Vec<String> {
        let mut texts = Vec::new();
        for (seq, &(bars, watermark)) in (1..).zip(inputs) {
            let mut out = Vec::new();
            stage.on_batch(batch(3, seq, bars, watermark), &mut out).unwrap();
            for batch in out {
                assert_eq!(batch.header().timeframe, Timeframe::D1);
                for (_, bar) in batch.rows() {
                    let Bar { open, high, low, close, volume, revision, .. } = bar;
                    let day = bar.open_time.days() - DAY;
                    let end = if bar.is_final() { " final" } else { "" };
                    texts.push(format!("{day}: {open} {high} {low} {close} {volume} r{revision}{end}"));
                }
                texts.extend(batch.header().watermark.map(|watermark| format!("| {}", watermark.days() - DAY)));
            }
        }
        texts
    }

    fn check(inputs: &[(&[Bar], Option<i64>)], expected: &[&str], refused: &[(&'static str, usize)]) {
        let mut stage = RollUpStage::new();
        assert_eq!(texts(&mut stage, inputs), expected, "{inputs:?}");
        let mut found = Vec::new();
        stage.take_refused(&mut |reason, n_rows| found.push((reason, n_rows)));
        assert_eq!(found, refused);
    }

    #[test]
    fn minutes_add_up_to_the_forming_day() {
        check(
            &[
                (&[minute(0, [10.0, 12.0, 9.0, 11.0], 100.0, 0)], None),
                (&[minute(1, [11.0, 11.5, 8.0, 9.0], 50.0, 0)], None),
                (&[minute(5, [9.0, 13.0, 9.0, 12.5], 25.0, 0)], None),
            ],
            &["0: 10 12 9 11 100 r1", "0: 10 12 8 9 150 r2", "0: 10 13 8 12.5 175 r3"],
            &[],
        );
    }

    #[test]
    fn a_batch_gives_one_row_a_symbol() {
        check(&[(&[flat(0, 10.0), flat(1, 12.0), flat(2, 11.0)], None)], &["0: 10 12 10 11 30 r1"], &[]);
    }

    #[test]
    fn the_newest_minute_can_be_revised_and_an_older_one_cannot() {
        let forming = |high: f64, close: f64, revision| minute(1, [10.0, high, 10.0, close], 10.0, revision);
        check(
            &[
                (&[flat(0, 10.0)], None),
                (&[forming(14.0, 13.0, 0)], None),
                (&[forming(12.0, 11.0, 1)], None),
                (&[forming(15.0, 15.0, 1), flat(0, 99.0)], None),
            ],
            &["0: 10 10 10 10 10 r1", "0: 10 14 10 13 20 r2", "0: 10 12 10 11 20 r3"],
            &[("duplicate", 1), ("time_went_back", 1)],
        );
    }

    #[test]
    fn the_next_session_ends_the_one_before() {
        check(
            &[(&[flat(389, 10.0)], None), (&[flat(1440, 11.0)], None)],
            &["0: 10 10 10 10 10 r1", "0: 10 10 10 10 10 r2 final", "1: 11 11 11 11 10 r1"],
            &[],
        );
    }

    #[test]
    fn a_watermark_ends_a_session_once_its_last_minute_is_over() {
        check(
            &[
                (&[flat(388, 10.0)], Some(0)),
                (&[], Some(388)),
                (&[], Some(389)),
                (&[], Some(395)),
                (&[flat(389, 12.0)], None),
            ],
            &["0: 10 10 10 10 10 r1", "| -1", "0: 10 10 10 10 10 r2 final", "| 0", "0: 10 12 10 12 20 r3 final"],
            &[],
        );
    }

    #[test]
    fn only_the_regular_session_counts() {
        check(
            &[(&[flat(-1, 9.0), flat(0, 10.0), flat(390, 11.0)], None)],
            &["0: 10 10 10 10 10 r1"],
            &[("outside_session", 2)],
        );
    }

    #[test]
    fn daily_batches_are_numbered_within_a_run_of_the_producer() {
        let mut stage = RollUpStage::new();
        let mut numbers = Vec::new();
        for (epoch, seq, offset) in [(3, 5, 0), (3, 6, 1), (8, 1, 2), (8, 2, 3)] {
            let mut out = Vec::new();
            stage.on_batch(batch(epoch, seq, &[flat(offset, 10.0)], None), &mut out).unwrap();
            numbers.extend(out.iter().map(|batch| (batch.header().epoch, batch.header().seq)));
        }
        assert_eq!(numbers, [(3, 1), (3, 2), (8, 1), (8, 2)]);
    }

    #[test]
    fn daily_bars_are_not_rolled_up() {
        let mut input = batch(1, 1, &[flat(0, 10.0)], None).to_wire();
        input.header.timeframe = Timeframe::D1;
        let refused = RollUpStage::new().on_batch(BarBatch::from_wire(input).unwrap(), &mut Vec::new()).unwrap_err();
        assert_eq!(refused.reason, "wrong_timeframe");
    }

    #[test]
    fn a_snapshot_of_another_partition_is_refused_by_name() {
        let mut stage = RollUpStage::new();
        stage.on_batch(batch(1, 1, &[flat(0, 10.0)], None), &mut Vec::new()).unwrap();
        let bytes = stage.snapshot(Partition::of(symbol()));
        let other = Partition::all().find(|&other| other != Partition::of(symbol())).unwrap();
        let refused = stage.restore(other, &bytes).unwrap_err();
        assert!(refused.detail.contains("AAPL"), "{refused}");
        assert_eq!(stage.restore(other, b"?").unwrap_err().reason, "snapshot_malformed");
    }

    fn any_minutes() -> impl Strategy<Value = Vec<(Vec<Bar>, Option<i64>)>> {
        let minute = (0..400_i64, 0..3_i64, 1..50_u8, 0..3_u32).prop_map(|(offset, day, price, revision)| {
            let price = f64::from(price);
            minute(offset + day * 1440, [price, price + 1.0, price, price + 0.5], price, revision)
        });
        let batch = (proptest::collection::vec(minute, 0..5), proptest::option::of(0..4000_i64));
        proptest::collection::vec(batch, 0..30)
    }

    proptest! {
        #[test]
        fn a_restored_stage_goes_on_as_if_it_had_never_stopped(batches in any_minutes(), at in 0..30_usize) {
            let batches: Vec<_> = batches.iter().map(|(bars, watermark)| (bars.as_slice(), *watermark)).collect();
            let (first, rest) = batches.split_at(at.min(batches.len()));
            let mut stage = RollUpStage::new();
            texts(&mut stage, first);
            let partition = Partition::of(symbol());
            let mut restored = RollUpStage::new();
            restored.restore(partition, &stage.snapshot(partition)).unwrap();
            prop_assert_eq!(texts(&mut restored, rest), texts(&mut stage, rest));
        }

        #[test]
        fn a_day_is_what_its_minutes_are(prices in proptest::collection::vec(1.0..100.0_f64, 1..390)) {
            let bars: Vec<Bar> = (0..).zip(&prices).map(|(offset, &price)| flat(offset, price)).collect();
            let mut stage = RollUpStage::new();
            let mut out = Vec::new();
            for (seq, bars) in (1..).zip(bars.chunks(7)) {
                stage.on_batch(batch(1, seq, bars, None), &mut out).unwrap();
            }
            stage.on_batch(batch(1, 1000, &[], Some(389)), &mut out).unwrap();
            let last = *out.iter().rev().find_map(|batch| batch.rows().last()).unwrap();
            let highest = prices.iter().copied().fold(0.0, f64::max);
            let lowest = prices.iter().copied().fold(f64::INFINITY, f64::min);
            prop_assert!(last.1.is_final());
            let bits = |numbers: [f64; 4]| numbers.map(f64::to_bits);
            prop_assert_eq!(
                bits([last.1.open, last.1.high, last.1.low, last.1.close]),
                bits([prices[0], highest, lowest, prices[prices.len() - 1]])
            );
            prop_assert!((last.1.volume - 10.0 * prices.len() as f64).abs() < 1e-9);
        }
    }
}
