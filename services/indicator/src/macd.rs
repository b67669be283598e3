use serde::{Deserialize, Serialize};

use crate::ema::Ema;

const FAST: u32 = 12;
const SLOW: u32 = 26;
const SIGNAL: u32 = 9;

/// Bars that the fast average leaves out, so that both averages start with the same bar.
const N_SKIPPED_BY_FAST: u32 = SLOW - FAST;
/// Bars before the first difference of the averages.
const N_BEFORE_LINE: u32 = SLOW - 1;

/// Moving average convergence/divergence 12, 26, 9.
///
/// # Shape
/// One per bar; line, signal and histogram together, first with bar 34.
///
/// # Units
/// Price differences.
///
/// # Source
/// TA-Lib `MACD`: the slow average is seeded on closes 0 to 25, the fast one on closes 14 to 25, the signal on the
/// first 9 differences, and nothing is shown before the signal. The reference falls back to another formula below 26
/// bars (quirk Q6); ours is missing there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Macd {
    fast: Ema<FAST>,
    slow: Ema<SLOW>,
    signal: Ema<SIGNAL>,
}

pub(crate) struct MacdValues {
    pub(crate) line: f64,
    pub(crate) signal: f64,
    pub(crate) histogram: f64,
}

impl Macd {
    /// Takes in a close after `n_before` others.
    #[must_use]
    pub(crate) fn next(self, n_before: u32, close: f64) -> Self {
        let mut next = Self { slow: self.slow.next(n_before, close), ..self };
        if n_before >= N_SKIPPED_BY_FAST {
            next.fast = self.fast.next(n_before - N_SKIPPED_BY_FAST, close);
        }
        if let Some(line) = next.line(n_before + 1) {
            next.signal = self.signal.next(n_before - N_BEFORE_LINE, line);
        }
        next
    }

    pub(crate) fn values(self, n_bars: u32) -> Option<MacdValues> {
        let line = self.line(n_bars)?;
        let signal = self.signal.value(n_bars - N_BEFORE_LINE)?;
        Some(MacdValues { line, signal, histogram: line - signal })
    }

    fn line(self, n_bars: u32) -> Option<f64> {
        let slow = self.slow.value(n_bars)?;
        let fast = self.fast.value(n_bars - N_SKIPPED_BY_FAST)?;
        Some(fast - slow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn macd(closes: impl IntoIterator<Item = f64>) -> Option<MacdValues> {
        let mut macd = Macd::default();
        let mut n_bars = 0;
        for close in closes {
            macd = macd.next(n_bars, close);
            n_bars += 1;
        }
        macd.values(n_bars)
    }

    #[test]
    fn starts_with_bar_34() {
        assert!(macd([10.0; 33]).is_none());
        let flat = macd([10.0; 34]).expect("is warm");
        assert_eq!([flat.line, flat.signal, flat.histogram].map(f64::to_bits), [0; 3]);
    }

    /// An average that starts as the mean of a straight line trails it by (period − 1) / 2 bars for ever.
    #[test]
    fn a_straight_rise_keeps_the_averages_seven_bars_apart() {
        let rise = macd((0..60).map(f64::from)).expect("is warm");
        assert!((rise.line - 7.0).abs() < 1e-12, "{}", rise.line);
        assert!((rise.signal - 7.0).abs() < 1e-12, "{}", rise.signal);
        assert!(rise.histogram.abs() < 1e-12, "{}", rise.histogram);
    }
}
