use schemas::Bar;

use crate::lane::Lane;

pub(crate) const N_CLOSES: usize = 252;
pub(crate) const N_RANGES: usize = 51;
pub(crate) const N_VOLUMES: usize = 19;
pub(crate) const N_GAPS: usize = 9;
pub(crate) const N_LOG_RETURNS: usize = 19;
pub(crate) const N_RSIS: usize = 15;

/// The bar at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<L> {
    pub(crate) open: L,
    pub(crate) high: L,
    pub(crate) low: L,
    pub(crate) close: L,
    pub(crate) volume: L,
    /// Logarithm of the close over the close before; 0 for the first bar of a segment.
    pub(crate) log_return: L,
}

impl Input<f64> {
    /// `previous_close` is any number when there is none.
    #[inline(always)]
    pub(crate) fn new(bar: &Bar, n_before: u32, previous_close: f64) -> Self {
        let Bar { open, high, low, close, volume, .. } = *bar;
        let log_return = if n_before == 0 { 0.0 } else { (close / previous_close).ln() };
        Self { open, high, low, close, volume, log_return }
    }
}

/// What the bars before the one at hand left, newest last: as many numbers as the longest window needs beside its
/// newest one. Before the start of the segment they are any numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past<'a, L> {
    pub(crate) closes: &'a [L; N_CLOSES],
    pub(crate) highs: &'a [L; N_RANGES],
    pub(crate) lows: &'a [L; N_RANGES],
    pub(crate) volumes: &'a [L; N_VOLUMES],
    /// Size of the jump from close to open as a fraction.
    pub(crate) gaps: &'a [L; N_GAPS],
    pub(crate) log_returns: &'a [L; N_LOG_RETURNS],
    pub(crate) rsis: &'a [L; N_RSIS],
}

impl<L: Lane> Past<'_, L> {
    #[inline(always)]
    pub(crate) fn close(&self) -> L {
        self.closes[N_CLOSES - 1]
    }

    #[inline(always)]
    pub(crate) fn high(&self) -> L {
        self.highs[N_RANGES - 1]
    }

    #[inline(always)]
    pub(crate) fn low(&self) -> L {
        self.lows[N_RANGES - 1]
    }

    /// The close `n` bars before the one at hand.
    #[inline(always)]
    pub(crate) fn close_before(&self, n: usize) -> L {
        self.closes[N_CLOSES - n]
    }
}
