//! The extremes of a year of closes without looking at a year of closes.

use pulp::Simd;

use crate::figure::{Figure, collapse_run};
use crate::input::{N_CLOSES, Past};
use crate::lane::Lane;

/// Closes of a block. A year of 252 is the newest 42, five whole blocks wherever they begin, and the rest of a sixth.
pub(crate) const N_BLOCK: usize = 42;
/// One more than a window needs, for the window before the newest bar.
const N_BLOCKS: usize = 6;

/// The extremes of the newest whole blocks of a segment. Block `i` stands at `i % 6`.
///
/// No state: everything in here can be found again in the closes of the tapes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocks {
    highs: [f64; N_BLOCKS],
    lows: [f64; N_BLOCKS],
}

/// Highest and lowest.
pub(crate) type Extremes<L> = [L; 2];

#[inline(always)]
pub(crate) fn join<L: Lane>([high, low]: Extremes<L>, [other_high, other_low]: Extremes<L>) -> Extremes<L> {
    [high.higher(other_high), low.lower(other_low)]
}

impl Blocks {
    /// Takes in the block that the newest of `n_bars` completes, if it does. `past` ends with it.
    #[inline(always)]
    pub(crate) fn close<S: Simd>(&mut self, n_bars: u32, past: &Past<S, f64>) {
        if (n_bars as usize).is_multiple_of(N_BLOCK) {
            self.put(n_bars as usize / N_BLOCK - 1, extremes::<S, 6>(past, [0, 8, 16, 24, 32, N_BLOCK - 8]));
        }
    }

    #[inline(always)]
    fn put(&mut self, block: usize, [high, low]: Extremes<f64>) {
        self.highs[block % N_BLOCKS] = high;
        self.lows[block % N_BLOCKS] = low;
    }

    /// Of the closes that a year ends with, but for the newest 41 ones, after `n_bars` of a segment.
    #[inline(always)]
    pub(crate) fn older<S: Simd>(&self, n_bars: u32, past: &Past<S, f64>) -> Extremes<f64> {
        // The oldest of the year, of which only the rest of the sixth block would be needed.
        let mut older = extremes::<S, 6>(past, [251 - 8, 251 - 16, 251 - 24, 251 - 32, 251 - 40, 251 - 48]);
        let n_blocks = (n_bars as usize / N_BLOCK).max(N_BLOCKS - 1);
        for age in 1..N_BLOCKS {
            let at = (n_blocks - age) % N_BLOCKS;
            older = join(older, [self.highs[at], self.lows[at]]);
        }
        older
    }

    /// Finds again what a segment of `n_bars` needs. `past` ends with the newest of them.
    pub(crate) fn restore(&mut self, n_bars: u32, past: &Past<pulp::Scalar, f64>) {
        let n_bars = n_bars as usize;
        let n_blocks = n_bars / N_BLOCK;
        for block in n_blocks.saturating_sub(N_BLOCKS)..n_blocks {
            let n_newer = n_bars - (block + 1) * N_BLOCK;
            // The sixth may have left the tape, and is then not needed.
            if let Some(first) = N_CLOSES.checked_sub(n_newer + N_BLOCK) {
                let closes = &past.closes[first..first + N_BLOCK];
                let start = [closes[0], closes[0]];
                self.put(block, closes.iter().fold(start, |found, &close| join(found, [close, close])));
            }
        }
    }

    pub(crate) fn rescale(&mut self, price: f64) {
        for number in self.highs.iter_mut().chain(&mut self.lows) {
            *number *= price;
        }
    }
}

/// Of the closes in the runs of these ages.
#[inline(always)]
fn extremes<S: Simd, const N: usize>(past: &Past<S, f64>, ages: [usize; N]) -> Extremes<f64> {
    let first = f64::run(past.simd, past.closes, ages[0]);
    let mut found = [first, first];
    for age in ages {
        let run = f64::run(past.simd, past.closes, age);
        found = join(found, [run, run]);
    }
    [collapse_run(found[0], f64::higher), collapse_run(found[1], f64::lower)]
}
