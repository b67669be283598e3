//! The native tree evaluator beside ONNX Runtime, one thread each, in one run: `bench-trees <folder> [seconds]`.
//!
//! The folder is made by `make_models.py`. The library is found through `ORT_DYLIB_PATH`; `cargo xtask fetch-tools` gets it and
//! prints where it is. Both sides get values they can use at once, row-major
//! tensors there and columns here, and each call evaluates all models on the same rows. Calls take turns, so that a busy
//! machine is busy for both; the medians count. Every turn has other rows: nobody learns the branches of one row.

mod native;
mod peer;

use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::Serialize;

use crate::native::Native;
use crate::peer::Peer;

const MODELS: [&str; 3] = ["alpha_5d", "alpha_10d", "win_prob_10d"];
const BATCHES: [usize; 5] = [1, 8, 64, 512, 6000];
/// What the project wants, per batch size.
const GOALS: [f64; 5] = [6.0, 4.0, 5.0, 4.5, 4.5];
/// Per batch size, when the command line does not say.
const SECONDS: f64 = 3.0;
const TURNS_MIN: usize = 15;
/// Different batches of one size.
const BATCHES_MAX: usize = 100;

/// One batch size, over all models together.
#[derive(Debug, Serialize)]
struct Line {
    n_rows: usize,
    /// Medians.
    native_us: f64,
    ort_us: f64,
    speedup: f64,
    goal: f64,
    /// Of the fastest turns.
    native_us_min: f64,
    ort_us_min: f64,
    speedup_min: f64,
    /// Medians of processor time: what a busy machine leaves of the truth in a long call.
    native_cpu_us: f64,
    ort_cpu_us: f64,
    speedup_cpu: f64,
    turns: usize,
    /// Largest difference of any prediction.
    difference_max: f64,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().context("usage: bench-trees <folder> [seconds]")?;
    let folder = Path::new(&folder);
    let seconds: f64 = arguments.next().map_or(Ok(SECONDS), |text| text.parse())?;
    let Some(library) = env::var_os("ORT_DYLIB_PATH") else {
        eprintln!("skipped: ORT_DYLIB_PATH does not name libonnxruntime");
        return Ok(());
    };
    let environment = peer::load(Path::new(&library))?;

    let mut native = MODELS.iter().map(|model| Native::load(folder, model)).collect::<Result<Vec<_>, _>>()?;
    let mut peers =
        MODELS.iter().map(|model| Peer::load(&environment, folder, model)).collect::<Result<Vec<_>, _>>()?;
    let rows = fs::read(folder.join("rows.f32"))?;
    let rows: Vec<f32> = rows.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let n_features = native[0].n_features();
    ensure!(rows.len() >= 6000 * n_features, "rows.f32 holds {} values", rows.len());

    let mut lines = Vec::new();
    println!(
        "  rows | median: native µs    ort µs      × goal | fastest: native µs    ort µs      × | \
         processor time: native µs    ort µs      × | difference"
    );
    for (n_rows, goal) in BATCHES.into_iter().zip(GOALS) {
        let line = measure(&mut native, &mut peers, &rows, n_rows, goal, seconds)?;
        println!(
            "{:>6} | {:>17.1} {:>9.0} {:>6.1} {:>4} | {:>18.1} {:>9.0} {:>6.1} | {:>25.1} {:>9.0} {:>6.1} | {:.1e}",
            line.n_rows,
            line.native_us,
            line.ort_us,
            line.speedup,
            line.goal,
            line.native_us_min,
            line.ort_us_min,
            line.speedup_min,
            line.native_cpu_us,
            line.ort_cpu_us,
            line.speedup_cpu,
            line.difference_max
        );
        lines.push(line);
    }
    println!("{}", serde_json::to_string(&lines)?);
    Ok(())
}

fn measure(
    native: &mut [Native],
    peers: &mut [Peer],
    rows: &[f32],
    n_rows: usize,
    goal: f64,
    seconds: f64,
) -> anyhow::Result<Line> {
    let batches = rows.chunks_exact(n_rows * native[0].n_features()).take(BATCHES_MAX);
    let batches: Vec<_> = batches
        .map(|rows| Ok((native::columns(rows, n_rows), peer::tensor(rows, n_rows)?)))
        .collect::<anyhow::Result<_>>()?;
    let mut difference_max = 0.0_f64;
    for (native, peer) in native.iter_mut().zip(&mut *peers) {
        for (columns, tensor) in &batches {
            let expected = peer.predict(tensor)?;
            for (found, expected) in native.predict(columns, n_rows).iter().zip(expected) {
                difference_max = difference_max.max((f64::from(*found) - f64::from(expected)).abs());
            }
        }
    }

    let (mut native_times, mut peer_times) = (Vec::new(), Vec::new());
    let (mut native_cpu, mut peer_cpu) = (Vec::new(), Vec::new());
    let end = now() + Duration::from_secs_f64(seconds);
    for (columns, tensor) in batches.iter().cycle() {
        if native_times.len() >= TURNS_MIN && now() >= end {
            break;
        }
        let (start, cpu_start) = (now(), cpu_now());
        for native in &mut *native {
            std::hint::black_box(native.predict(columns, n_rows));
        }
        native_cpu.push(cpu_now().saturating_sub(cpu_start));
        native_times.push(start.elapsed());
        let (start, cpu_start) = (now(), cpu_now());
        for peer in &mut *peers {
            peer.run(tensor)?;
        }
        peer_cpu.push(cpu_now().saturating_sub(cpu_start));
        peer_times.push(start.elapsed());
    }
    let turns = native_times.len();
    let ([native_us_min, native_us], [ort_us_min, ort_us]) = (quantiles_us(native_times), quantiles_us(peer_times));
    let ([_, native_cpu_us], [_, ort_cpu_us]) = (quantiles_us(native_cpu), quantiles_us(peer_cpu));
    Ok(Line {
        n_rows,
        native_us,
        ort_us,
        speedup: ort_us / native_us,
        goal,
        native_us_min,
        ort_us_min,
        speedup_min: ort_us_min / native_us_min,
        native_cpu_us,
        ort_cpu_us,
        speedup_cpu: ort_cpu_us / native_cpu_us,
        turns,
        difference_max,
    })
}

/// The fastest and the median.
fn quantiles_us(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort_unstable();
    [times[0], times[times.len() / 2]].map(|time| time.as_secs_f64() * 1e6)
}

/// Processor time of this thread, the only one that either side uses.
fn cpu_now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch; no stage is near")]
fn now() -> Instant {
    Instant::now()
}
