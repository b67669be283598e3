#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use indicator::{IndicatorOptions, IndicatorPlan, IndicatorStage};
use libfuzzer_sys::fuzz_target;
use pipeline::{Restore, Stage};
use schemas::{Bar, BarBatchBuilder, BarFlags, EventTime, Header, Partition, Symbol, Timeframe};

/// Of every kind, so that each bar costs little.
const EXTRAS: &[&str] = &[
    "rsi(2)",
    "macd(2, 4, 3)",
    "mine = supertrend(2, 3)",
    "mine_vwap = vwap(3)",
    "ichimoku(1, 2, 3)",
    "candlesticks",
    "ta:HT_SINE",
    "ta:MAVP(in1=volume)",
    "ta:VWMA(period=3)",
    "session_vwap",
    "anchored_vwap(from=1970-01-02)",
    "rvol_at_time(1)",
];

static PLAN: LazyLock<IndicatorPlan> = LazyLock::new(|| {
    let extra = EXTRAS.iter().map(|&text| text.to_owned()).collect();
    IndicatorOptions { extra }.plan().expect("all of them exist")
});

#[derive(Debug, Arbitrary)]
enum Act {
    Close(Given),
    Amend(Given),
    Correct(Given),
    Split(u8),
    Restart,
}

/// Numbers that a bar may have, or anything.
#[derive(Debug, Arbitrary)]
struct Given {
    hours: u8,
    prices: [f64; 4],
    volume: f64,
    flags: u8,
    is_sorted: bool,
}

impl Given {
    fn bar(&self, time: &mut i64, revision: u32) -> Bar {
        *time += i64::from(self.hours) * 900_000_000_000;
        let mut prices = self.prices;
        let mut volume = self.volume;
        if self.is_sorted {
            prices = prices.map(|price| price.abs());
            prices.sort_by(f64::total_cmp);
            volume = volume.abs();
        }
        let [low, mut open, close, mut high] = prices;
        let mut low = low;
        let flags = BarFlags::from_bits(self.flags & 127).expect("these bits are known");
        if flags.contains(BarFlags::CLOSE_ONLY) && self.is_sorted {
            (open, high, low) = (f64::NAN, f64::NAN, f64::NAN);
        }
        Bar { open_time: EventTime(*time), open, high, low, close, volume, revision, flags }
    }
}

fn bits(row: &[f64]) -> Vec<u64> {
    assert!(row.iter().all(|value| !value.is_infinite()), "{row:?}");
    row.iter().map(|value| value.to_bits()).collect()
}

fuzz_target!(|acts: Vec<Act>| {
    let symbol = Symbol::new("AAA").expect("it is a symbol");
    let partition = Partition::of(symbol);
    let mut slot = PLAN.start(Timeframe::M15);
    let mut stage = IndicatorStage::with_plan(PLAN.clone());
    let mut time = 0;
    for (revision, act) in (0..).zip(&acts) {
        let bar = match act {
            Act::Close(given) => {
                let bar = given.bar(&mut time, revision);
                let shown = slot.amend(&bar);
                assert_eq!(bits(&shown), bits(&slot.close(&bar)));
                bar
            }
            Act::Amend(given) => {
                let bar = given.bar(&mut time, revision);
                assert_eq!(bits(&slot.amend(&bar)), bits(&slot.amend(&bar)));
                Bar { flags: BarFlags::empty(), ..bar }
            }
            Act::Correct(given) => {
                let bar = given.bar(&mut 0, revision);
                bits(&slot.correct(&bar));
                Bar { open_time: EventTime(time), ..bar }
            }
            Act::Split(factor) => {
                slot.rescale(f64::from(factor % 8 + 1) / 4.0);
                continue;
            }
            Act::Restart => {
                let snapshot = stage.snapshot(partition);
                stage = IndicatorStage::with_plan(PLAN.clone());
                stage.restore(partition, &snapshot).expect("it is its own");
                assert_eq!(stage.snapshot(partition), snapshot);
                continue;
            }
        };
        // The codec lets no other bar through to the stage.
        if bar.check().is_ok() {
            let mut builder = BarBatchBuilder::new(partition);
            builder.push(symbol, bar);
            let batch = builder.finish(Header {
                timeframe: Timeframe::M15,
                partition,
                epoch: 1,
                seq: 1,
                event_time: EventTime(0),
                ingest_time: EventTime(0),
                source: String::new(),
                watermark: None,
            });
            stage.on_batch(batch, &mut Vec::new()).expect("it is one batch of one row");
        }
    }
});
