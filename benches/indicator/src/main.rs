//! The indicator engine beside the crate `ta-lib`, in one run:
//! `bench-indicator [--seconds N] [--json FILE] [--only TEXT] [--target baseline|avx2|avx512]`.
//!
//! The peer computes the 55 columns of the plan that TA-Lib has. Ours are measured of the same columns, and of all 91 against
//! the peer's 55 where a row says so. Both take turns round by round, so that a busy machine is busy for
//! both; medians count, and the fastest rounds stand beside them. Bars are generated, and both sides must show the same for
//! one of them. The peer keeps the columns of one symbol in its buffers, ours hands over blocks of bars while they are in
//! the cache.
//!
//! `cargo bench -p indicator` runs it, too. The peers are dependencies of this crate alone, so that users of `indicator` do
//! not build them.

mod market;
mod peer;

use std::env;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use indicator::{Selection, Slot, Target, Values, amend_all, close_all, plan, recompute_columns, recompute_many};
use schemas::Bar;
use serde::Serialize;

use crate::market::Market;
use crate::peer::{COLUMNS, Row, Series, Streams};

const N_SLOTS: usize = 6_000;
const N_HISTORY: usize = 560;
const N_SHORTER: usize = 253;
/// Of a recompute: as many that what is prepared once for all of them hardly counts.
const N_SYMBOLS: usize = 256;
const N_BARS: usize = 451;
/// Of the bars that slots take in.
const N_DAYS: usize = 4;
const ROUNDS_MIN: usize = 15;

/// One way to compute, over a bar of a symbol.
#[derive(Debug, Serialize)]
struct Line {
    what: &'static str,
    goal: f64,
    /// Medians.
    ours_ns: f64,
    peer_ns: f64,
    speedup: f64,
    /// Of the fastest rounds.
    ours_ns_min: f64,
    peer_ns_min: f64,
    speedup_min: f64,
    n_rounds: usize,
}

struct Options {
    seconds: f64,
    json: Option<String>,
    /// Only rows whose name contains this.
    only: String,
    /// Instead of the best one that the processor has.
    target: Option<Target>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self { seconds: 2.0, json: None, only: String::new(), target: None };
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--seconds" => options.seconds = value()?.parse()?,
                "--json" => options.json = Some(value()?),
                "--only" => options.only = value()?,
                "--target" => options.target = Some(target(&value()?)?),
                // Cargo says so to every benchmark.
                "--bench" => {}
                _ => bail!("unknown option {flag}"),
            }
        }
        Ok(options)
    }
}

fn target(name: &str) -> anyhow::Result<Target> {
    match name {
        "baseline" => Ok(Target::Baseline),
        "avx2" => Ok(Target::Avx2),
        "avx512" => Ok(Target::Avx512),
        _ => bail!("{name} is neither baseline, nor avx2, nor avx512"),
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse(env::args().skip(1))?;
    if let Some(target) = options.target {
        target.choose()?;
    }
    let mut bench = Bench { options, lines: Vec::new() };
    println!("peer: the crate ta-lib 0.8.3, within 14 % of TA-Lib's C library");
    println!("slot: {} bytes; targets: {:?}", size_of::<Slot>(), Target::available());
    println!(
        "                                        | median: ours ns   peer ns      × goal | fastest: ours ns   peer ns      ×"
    );
    recomputes(&mut bench)?;
    closes(&mut bench)?;
    if let Some(file) = &bench.options.json {
        fs::write(file, serde_json::to_string_pretty(&bench.lines)?)?;
    }
    Ok(())
}

fn recomputes(bench: &mut Bench) -> anyhow::Result<()> {
    let mut market = Market::new(N_SYMBOLS, N_BARS);
    let histories: Vec<Vec<Bar>> = (0..N_SYMBOLS).map(|symbol| market.history(symbol)).collect();
    let slices: Vec<&[Bar]> = histories.iter().map(Vec::as_slice).collect();
    let series: Vec<Series> = histories.iter().map(|bars| Series::new(bars)).collect();
    let mut buffers = vec![vec![0.0; N_BARS]; COLUMNS.len()];
    let mut batch = || -> anyhow::Result<()> {
        for series in &series {
            peer::batch(series, &mut buffers)?;
            black_box(&buffers);
        }
        Ok(())
    };
    let n = N_SYMBOLS * N_BARS;
    let same = places()?;
    let all: Vec<usize> = (0..plan().len()).collect();
    for (what, columns) in [("full recompute, the peer's columns", &same), ("full recompute, all columns", &all)] {
        bench.measure(
            (what, 8.0, n),
            &mut || {
                recompute_columns(&slices, columns.iter().copied(), &mut |block| {
                    black_box(block);
                });
            },
            &mut batch,
        )?;
    }
    bench.measure(
        ("full recompute, last rows", 12.0, n),
        &mut || {
            black_box(recompute_many(&slices));
        },
        &mut batch,
    )
}

/// The columns that the peer has, in the plan.
fn places() -> anyhow::Result<Vec<usize>> {
    let plan = plan();
    let place = |name: &&str| plan.index_of(name).with_context(|| format!("{name} is not in the plan"));
    COLUMNS.iter().map(place).collect()
}

fn closes(bench: &mut Bench) -> anyhow::Result<()> {
    let mut market = Market::new(N_SLOTS, N_HISTORY);
    let mut slots = Vec::new();
    let mut streams = Vec::new();
    for symbol in 0..N_SLOTS {
        // Of different lengths, so that windows begin at different places.
        let mut history = market.history(symbol);
        history.drain(..symbol * 7 % N_SHORTER);
        let mut slot = Slot::default();
        for bar in &history {
            slot.push(bar);
        }
        slots.push(slot);
        streams.push(Streams::open(&Series::new(&history))?);
    }
    compare(&market.next(), &mut slots, &mut streams)?;
    // Rounds repeat them: enough that no window becomes flat, few enough that they do not fill the cache.
    let days: [Vec<Bar>; N_DAYS] = std::array::from_fn(|_| market.next());
    let storage: Vec<usize> = (0..N_SLOTS).collect();
    let random = market::shuffled(N_SLOTS);
    let (same, all) = (Selection::new(places()?), Selection::all());
    for (order, selection, [amend, close, amends, closes]) in [
        (
            &storage,
            same,
            ["amend, storage order", "close, storage order", "amend all, storage order", "market-wide close"],
        ),
        (
            &random,
            same,
            ["amend, random order", "close, random order", "amend all, random order", "close all, random order"],
        ),
        (
            &storage,
            all,
            [
                "amend, storage order, all columns",
                "close, storage order, all columns",
                "amend all, all columns",
                "market-wide close, all columns",
            ],
        ),
    ] {
        // As they come in.
        let days: Vec<Vec<Bar>> = days.iter().map(|bars| order.iter().map(|&at| bars[at]).collect()).collect();
        // What is asked for once is at hand from then on.
        close_market(&mut slots, order, &days[0], selection);
        let mut both = |what, goal, ours: Ours, peer: Peer| {
            let (mut our_days, mut peer_days) = (days.iter().cycle(), days.iter().cycle());
            bench.measure(
                (what, goal, N_SLOTS),
                &mut || ours(&mut slots, order, our_days.next().expect("days repeat"), selection),
                &mut || peer(&mut streams, order, peer_days.next().expect("days repeat")),
            )
        };
        both(amend, 12.0, amend_each, peek)?;
        both(amends, 12.0, amend_market, peek)?;
        both(close, 8.0, close_each, update)?;
        both(closes, 18.0, close_market, update)?;
    }
    let half = N_SLOTS / 2;
    let (mut ours, mut theirs) = (days.iter().cycle(), days.iter().cycle());
    bench.measure(
        ("market-wide close, two threads", 18.0, N_SLOTS),
        &mut || {
            let bars = ours.next().expect("days repeat");
            let (first, second) = slots.split_at_mut(half);
            std::thread::scope(|scope| {
                scope.spawn(|| close_market(first, &storage[..half], &bars[..half], same));
                close_market(second, &storage[..half], &bars[half..], same);
            });
        },
        &mut || {
            let bars = theirs.next().expect("days repeat");
            let (first, second) = streams.split_at_mut(half);
            std::thread::scope(|scope| {
                let first = scope.spawn(|| update(first, &storage[..half], &bars[..half]));
                update(second, &storage[..half], &bars[half..])?;
                first.join().expect("an update does not panic")
            })
        },
    )
}

type Ours = fn(&mut [Slot], &[usize], &[Bar], Selection);
type Peer = fn(&mut [Streams], &[usize], &[Bar]) -> anyhow::Result<()>;

fn amend_each(slots: &mut [Slot], places: &[usize], bars: &[Bar], selection: Selection) {
    for (&at, bar) in places.iter().zip(bars) {
        black_box(slots[at].amend_selected(bar, selection));
    }
}

fn amend_market(slots: &mut [Slot], places: &[usize], bars: &[Bar], selection: Selection) {
    amend_all(slots, places, bars, selection, &mut |_, row| {
        black_box(row);
    });
}

fn close_each(slots: &mut [Slot], places: &[usize], bars: &[Bar], selection: Selection) {
    for (&at, bar) in places.iter().zip(bars) {
        black_box(slots[at].close_selected(bar, selection));
    }
}

fn close_market(slots: &mut [Slot], places: &[usize], bars: &[Bar], selection: Selection) {
    close_all(slots, places, bars, selection, &mut |_, row| {
        black_box(row);
    });
}

fn peek(streams: &mut [Streams], places: &[usize], bars: &[Bar]) -> anyhow::Result<()> {
    for (&at, bar) in places.iter().zip(bars) {
        black_box(streams[at].peek(bar)?);
    }
    Ok(())
}

fn update(streams: &mut [Streams], places: &[usize], bars: &[Bar]) -> anyhow::Result<()> {
    for (&at, bar) in places.iter().zip(bars) {
        black_box(streams[at].update(bar)?);
    }
    Ok(())
}

/// Both sides take in the same bar and must show the same.
fn compare(bars: &[Bar], slots: &mut [Slot], streams: &mut [Streams]) -> anyhow::Result<()> {
    let plan = plan();
    let mut difference_max = 0.0_f64;
    for ((slot, streams), bar) in slots.iter_mut().zip(streams).zip(bars) {
        let ours: Values = slot.close(bar);
        let theirs: Row = streams.update(bar)?;
        for (name, expected) in COLUMNS.iter().zip(theirs) {
            let at = plan.index_of(name).with_context(|| format!("{name} is not in the plan"))?;
            let found = ours.as_slice()[at];
            let expected = if name.starts_with("dist") { bar.close / expected - 1.0 } else { expected };
            let difference = (found - expected).abs() / expected.abs().max(1.0);
            ensure!(difference < 1e-8, "{name}: {found} instead of {expected}");
            difference_max = difference_max.max(difference);
        }
    }
    println!("largest difference: {difference_max:.1e}");
    Ok(())
}

struct Bench {
    options: Options,
    lines: Vec<Line>,
}

impl Bench {
    /// `n` is how many bars a round is.
    fn measure(
        &mut self,
        (what, goal, n): (&'static str, f64, usize),
        ours: &mut dyn FnMut(),
        peer: &mut dyn FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if !what.contains(&self.options.only) {
            return Ok(());
        }
        let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
        let end = now() + Duration::from_secs_f64(self.options.seconds);
        while our_times.len() < ROUNDS_MIN || now() < end {
            let start = now();
            ours();
            our_times.push(start.elapsed());
            let start = now();
            peer()?;
            peer_times.push(start.elapsed());
        }
        let n_rounds = our_times.len();
        let ([ours_ns_min, ours_ns], [peer_ns_min, peer_ns]) = (quantiles(our_times, n), quantiles(peer_times, n));
        let (speedup, speedup_min) = (peer_ns / ours_ns, peer_ns_min / ours_ns_min);
        println!(
            "{what:<39} | {ours_ns:>15.1} {peer_ns:>9.1} {speedup:>6.2} {goal:>4} | {ours_ns_min:>16.1} {peer_ns_min:>9.1} {speedup_min:>6.2}",
        );
        self.lines.push(Line {
            what,
            goal,
            ours_ns,
            peer_ns,
            speedup,
            ours_ns_min,
            peer_ns_min,
            speedup_min,
            n_rounds,
        });
        Ok(())
    }
}

/// The fastest and the median, in nanoseconds a bar.
fn quantiles(mut times: Vec<Duration>, n: usize) -> [f64; 2] {
    times.sort_unstable();
    [times[0], times[times.len() / 2]].map(|time| time.as_secs_f64() * 1e9 / n as f64)
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch; no stage is near")]
fn now() -> Instant {
    Instant::now()
}
