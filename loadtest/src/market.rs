//! A generated market: not a likely one, but of the right size and with a change in every bar.

use std::collections::BTreeMap;

use runtime::clock;
use schemas::{
    Bar, BarBatch, BarBatchBuilder, BarFlags, EventTime, Header, Instrument, N_PARTITIONS, Partition, Symbol, Timeframe,
};

const SOURCE: &str = "loadtest";
const START: &str = "2024-01-01";
const SECTORS: [&str; 5] = ["Technology", "Energy", "Health Care", "Financials", "Industrials"];

pub(crate) struct Market {
    stocks: Vec<Stock>,
    random: Random,
    epoch: u64,
    seqs: [u64; N_PARTITIONS as usize],
    /// The session that is forming, and the last one before.
    open_time: EventTime,
    last_closed: EventTime,
}

struct Stock {
    symbol: Symbol,
    volume_usual: f64,
    bar: Bar,
}

/// A bar that changed, named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) symbol: Symbol,
    pub(crate) revision: u32,
}

impl Market {
    pub(crate) fn new(n_symbols: usize) -> anyhow::Result<Self> {
        let mut random = Random(1);
        let open_time = EventTime::parse_date(START).unwrap_or_default();
        let stocks = (0..n_symbols).map(|number| -> anyhow::Result<Stock> {
            let close = 5.0 + 200.0 * random.share();
            let volume_usual = 1e5 * (1.0 + 50.0 * random.share());
            let bar = Bar {
                open_time,
                open: close,
                high: close,
                low: close,
                close,
                volume: 0.0,
                revision: 0,
                flags: BarFlags::SYNTHETIC,
            };
            Ok(Stock { symbol: Symbol::new(&format!("L{number:04}"))?, volume_usual, bar })
        });
        Ok(Self {
            stocks: stocks.collect::<Result<_, _>>()?,
            random,
            epoch: clock::now_ns().as_ns().unsigned_abs(),
            seqs: [0; N_PARTITIONS as usize],
            open_time,
            last_closed: open_time,
        })
    }

    pub(crate) fn n_stocks(&self) -> usize {
        self.stocks.len()
    }

    /// The session that the forming bars are of.
    pub(crate) fn open_time(&self) -> EventTime {
        self.open_time
    }

    /// The last session with final bars.
    pub(crate) fn last_closed(&self) -> String {
        self.last_closed.display(Timeframe::D1)
    }

    pub(crate) fn instruments(&self) -> Vec<Instrument> {
        let instruments = self.stocks.iter().zip(SECTORS.iter().cycle()).map(|(stock, &sector)| Instrument {
            symbol: stock.symbol,
            source: SOURCE.to_owned(),
            name: Some(format!("Load {}", stock.symbol).into()),
            exchange: None,
            sector: Some(sector.into()),
            industry: None,
            shares: Some((1e8, EventTime::default())),
            filings: Vec::new(),
            closes: Vec::new(),
        });
        instruments.collect()
    }

    /// Closes the session with a final bar of every stock, and opens the next.
    pub(crate) fn close_session(&mut self) -> Vec<BarBatch> {
        for stock in &mut self.stocks {
            stock.trade(0.02, &mut self.random);
            stock.bar.flags = BarFlags::SYNTHETIC.with(BarFlags::BACKFILL).with(BarFlags::FINAL);
        }
        let all: Vec<usize> = (0..self.stocks.len()).collect();
        let batches = self.batches(&all, Some(self.open_time));
        self.last_closed = self.open_time;
        self.open_time = EventTime::from_days(self.open_time.days() + 1);
        for stock in &mut self.stocks {
            let close = stock.bar.close;
            stock.bar = Bar {
                open_time: self.open_time,
                open: close,
                high: close,
                low: close,
                close,
                volume: 0.0,
                revision: 0,
                flags: BarFlags::SYNTHETIC,
            };
        }
        batches
    }

    /// A new revision of the forming bars of some stocks, a batch a partition.
    pub(crate) fn trade(&mut self, numbers: &[usize]) -> (Vec<BarBatch>, Vec<Change>) {
        let mut changes = Vec::with_capacity(numbers.len());
        for &number in numbers {
            let stock = &mut self.stocks[number];
            stock.trade(0.001, &mut self.random);
            stock.bar.revision += 1;
            changes.push(Change { symbol: stock.symbol, revision: stock.bar.revision });
        }
        (self.batches(numbers, None), changes)
    }

    /// All stocks in some order.
    pub(crate) fn shuffled(&mut self) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..self.stocks.len()).collect();
        for at in (1..numbers.len()).rev() {
            numbers.swap(at, self.random.below(at + 1));
        }
        numbers
    }

    /// With a watermark: a batch of every partition.
    fn batches(&mut self, numbers: &[usize], watermark: Option<EventTime>) -> Vec<BarBatch> {
        let mut by_partition: BTreeMap<Partition, Vec<(Symbol, Bar)>> = BTreeMap::new();
        if watermark.is_some() {
            by_partition.extend(Partition::all().map(|partition| (partition, Vec::new())));
        }
        for &number in numbers {
            let Stock { symbol, bar, .. } = self.stocks[number];
            by_partition.entry(Partition::of(symbol)).or_default().push((symbol, bar));
        }
        let mut batches = Vec::new();
        for (partition, rows) in by_partition {
            let mut builder = BarBatchBuilder::new(partition);
            for (symbol, bar) in rows {
                if builder.is_full() {
                    batches.push(builder.finish(self.header(partition, None)));
                }
                builder.push(symbol, bar);
            }
            batches.push(builder.finish(self.header(partition, watermark)));
        }
        batches
    }

    fn header(&mut self, partition: Partition, watermark: Option<EventTime>) -> Header {
        let seq = &mut self.seqs[partition.index()];
        *seq += 1;
        Header {
            timeframe: Timeframe::D1,
            partition,
            epoch: self.epoch,
            seq: *seq,
            event_time: self.open_time,
            ingest_time: clock::now_ns(),
            source: SOURCE.to_owned(),
            watermark,
        }
    }
}

impl Stock {
    fn trade(&mut self, volatility: f64, random: &mut Random) {
        let bar = &mut self.bar;
        // Never zero, so that every bar differs from the one before; with a pull back to prices that stay plausible.
        let pull = if bar.close > 500.0 { -0.2 } else { 0.2 };
        let step =
            volatility * (random.share() * 2.0 - 1.0 + pull * f64::from(u8::from(!(5.0..500.0).contains(&bar.close))));
        bar.close *= 1.0 + step + 1e-9;
        bar.high = bar.high.max(bar.close);
        bar.low = bar.low.min(bar.close);
        bar.volume += self.volume_usual * (0.5 + random.share()) * volatility / 0.02;
    }
}

/// # Source
/// Sebastiano Vigna: `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 … 1
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or_default()
    }
}
