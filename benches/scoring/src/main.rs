//! The cross-section beside polars and pandas: how long to rank and score a whole market, and to follow one bar.
//!
//! `cargo run --release -p bench-scoring` prints a table of medians; with `--peer PYTHON` it also runs `peer.py`, which
//! needs polars, pandas and numpy, on the same numbers.

mod scores;

use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;
use pipeline::Stage as _;
use schemas::{
    Bar, BarBatchBuilder, BarFlags, EventTime, FeatureBatch, Filing, FilingPeriod, Header, Instrument, Partition, Plan,
    PredictionBatch, Predictions, Symbol, Timeframe,
};
use scoring::{FEATURE_COLUMNS, ScoringInput, ScoringOptions, ScoringSetup, ScoringStage};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_ROUNDS: usize = 31;
fn main() -> anyhow::Result<()> {
    let peer = std::env::args().skip_while(|argument| argument != "--peer").nth(1);
    println!("{:>7} {:>22} {:>14} {:>14}", "symbols", "what", "median", "a row");
    for n_symbols in [6_000, 12_000] {
        let mut market = Market::new(n_symbols)?;
        let full = market.measure(n_symbols);
        let one = market.measure(1);
        let alone = market.measure_scores();
        print(n_symbols, "all rows changed", full, n_symbols);
        print(n_symbols, "one row changed", one, 1);
        print(n_symbols, "scores alone", alone, n_symbols);
        if let Some(python) = &peer {
            let answer = Command::new(python)
                .args([concat!(env!("CARGO_MANIFEST_DIR"), "/peer.py"), &n_symbols.to_string()])
                .output()
                .context("cannot run the peer")?;
            anyhow::ensure!(answer.status.success(), "the peer failed: {}", String::from_utf8_lossy(&answer.stderr));
            let medians: std::collections::BTreeMap<String, f64> = serde_json::from_slice(&answer.stdout)?;
            for (name, seconds) in medians {
                print(n_symbols, &name, seconds, n_symbols);
                for (what, ours) in [("all rows changed", full), ("scores alone", alone), ("one row changed", one)] {
                    println!("{:>30} {:>13.1}× {what}", "", seconds / ours);
                }
            }
        }
    }
    Ok(())
}

fn print(n_symbols: usize, what: &str, seconds: f64, n_rows: usize) {
    println!("{n_symbols:>7} {what:>22} {:>11.3} ms {:>11.2} µs", seconds * 1e3, seconds * 1e6 / n_rows as f64);
}

/// A stage that has seen the market once.
struct Market {
    stage: ScoringStage,
    plan: Plan,
    symbols: Vec<Symbol>,
    random: u64,
    revision: u32,
}

impl Market {
    fn new(n_symbols: usize) -> anyhow::Result<Self> {
        let plan = Plan::new(FEATURE_COLUMNS);
        let setup =
            ScoringSetup { options: ScoringOptions::default(), timeframe: Timeframe::D1, plan: plan.clone(), epoch: 1 };
        let symbols = (0..n_symbols).map(|n| Symbol::new(&format!("S{n}"))).collect::<Result<_, _>>()?;
        let mut market = Self { stage: ScoringStage::new(setup)?, plan, symbols, random: 1, revision: 0 };
        for (number, symbol) in market.symbols.clone().into_iter().enumerate() {
            let instrument = market.instrument(number, symbol);
            market.stage.on_batch(ScoringInput::Instrument(instrument), &mut Vec::new()).expect("reference data fit");
        }
        market.round(n_symbols);
        Ok(market)
    }

    /// A company with reports, so that its quality is ranked, too.
    fn instrument(&mut self, number: usize, symbol: Symbol) -> Instrument {
        let known_on = EventTime::from_days(16_000);
        let mut filing = |fiscal_year: i32| Filing {
            available_on_ns: known_on.as_ns(),
            end_ns: EventTime::from_days(fiscal_year * 365 - 720_000).as_ns(),
            fiscal_year,
            period: FilingPeriod::Year,
            revenues: Some(1e9 * self.unit()),
            operating_income: Some(1e8 * (self.unit() - 0.3)),
            net_income: Some(1e8 * (self.unit() - 0.4)),
            dividend: None,
            assets: Some(1e9 * self.unit()),
            cash: None,
            equity: Some(1e9 * (self.unit() - 0.1)),
            operating_cash_flow: None,
        };
        let filings = vec![filing(2014), filing(2015)];
        Instrument {
            symbol,
            source: "bench".to_owned(),
            name: Some(format!("Synthetic Company {number:04}").into()),
            exchange: None,
            sector: Some(format!("Sector {}", number % 11).into()),
            industry: Some(format!("Industry {} of the sector", number % 150).into()),
            shares: Some((1e7 * (1.0 + self.unit()), known_on)),
            filings,
            events: Vec::new(),
            closes: Vec::new(),
        }
    }

    /// The median time to take in new rows and publish them.
    fn measure(&mut self, n_rows: usize) -> f64 {
        let mut rounds: Vec<f64> = (0..N_ROUNDS).map(|_| self.round(n_rows)).collect();
        rounds.sort_by(f64::total_cmp);
        rounds[N_ROUNDS / 2]
    }

    /// The median time of what the peer does.
    fn measure_scores(&mut self) -> f64 {
        let columns = scores::Columns::new(self.symbols.len(), || self.unit());
        let mut rounds: Vec<f64> = (0..N_ROUNDS)
            .map(|_| {
                #[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
                let started = Instant::now();
                std::hint::black_box(columns.ranked());
                started.elapsed().as_secs_f64()
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        rounds[N_ROUNDS / 2]
    }

    fn round(&mut self, n_rows: usize) -> f64 {
        self.revision += 1;
        let batches = self.batches(n_rows);
        let mut out = Vec::new();
        #[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
        let started = Instant::now();
        for batch in batches {
            self.stage.on_batch(ScoringInput::Predictions(batch), &mut out).expect("the batch fits the plan");
        }
        if n_rows == self.symbols.len() {
            self.stage.settle(&mut out);
        } else {
            self.stage.on_idle(&mut out);
        }
        let elapsed = started.elapsed().as_secs_f64();
        assert!(out.iter().map(|batch| batch.rows.len()).sum::<usize>() >= n_rows, "every changed row is published");
        elapsed
    }

    fn batches(&mut self, n_rows: usize) -> Vec<PredictionBatch> {
        let from = self.next(self.symbols.len() - n_rows + 1);
        let mut by_partition: Vec<Vec<Symbol>> = Partition::all().map(|_| Vec::new()).collect();
        for &symbol in &self.symbols[from..from + n_rows] {
            by_partition[Partition::of(symbol).index()].push(symbol);
        }
        let mut batches = Vec::new();
        for (partition, symbols) in Partition::all().zip(by_partition) {
            for symbols in symbols.chunks(schemas::ROWS_MAX) {
                batches.push(self.batch(partition, symbols));
            }
        }
        batches
    }

    fn batch(&mut self, partition: Partition, symbols: &[Symbol]) -> PredictionBatch {
        let mut builder = BarBatchBuilder::new(partition);
        let mut rows = Vec::new();
        let mut predictions = Vec::new();
        for &symbol in symbols {
            let close = 5.0 + 200.0 * self.unit();
            let volume = 1e4 * (8.0 * self.unit()).exp();
            let bar = Bar {
                open_time: EventTime::from_days(17_000),
                open: close,
                high: close * 1.01,
                low: close * 0.99,
                close,
                volume,
                revision: self.revision,
                flags: BarFlags::FINAL,
            };
            builder.push(symbol, bar);
            let mut around = |width: f64| close * (1.0 + width * (self.unit() - 0.5));
            let averages = [around(0.1), around(0.2), around(0.4)];
            let atr = 0.005 + 0.05 * self.unit();
            let rest = [
                100.0 * self.unit(),
                self.unit() - 0.5,
                -20.0 * self.unit(),
                2.0 * self.unit(),
                atr,
                0.2 * (self.unit() - 0.5),
                close * volume,
                close * 1.05,
                close * 1.02,
                close * 0.98,
                close * 1.03,
                close * 0.97,
            ];
            rows.push([&[300.0][..], &averages, &rest].concat());
            predictions.push(Predictions {
                alpha_5d: Some(0.02 * (self.unit() - 0.5)),
                alpha_10d: Some(0.02 * (self.unit() - 0.5)),
                win_prob_10d: Some(0.4 + 0.2 * self.unit()),
                ..Predictions::default()
            });
        }
        let header = Header {
            timeframe: Timeframe::D1,
            partition,
            epoch: 1,
            seq: 1,
            event_time: EventTime::from_days(17_000),
            ingest_time: EventTime(0),
            source: "bench".to_owned(),
            watermark: None,
        };
        let matrix = (0..FEATURE_COLUMNS.len()).flat_map(|column| rows.iter().map(move |row| row[column])).collect();
        let features = FeatureBatch::new(builder.finish(header), self.plan.hash(), matrix).expect("it is a matrix");
        PredictionBatch::new(features, predictions, Vec::new()).expect("there is a prediction per row")
    }

    /// Below 1.
    fn unit(&mut self) -> f64 {
        self.next(1 << 32) as f64 / (1_u64 << 32) as f64
    }

    /// A number below `end`, by a linear congruential generator: good enough to shuffle a market.
    fn next(&mut self, end: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.random >> 31).unwrap_or(0) % end
    }
}
