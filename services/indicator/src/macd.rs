use crate::ema::Ema;
use crate::lane::Lane;
use crate::state::state;

const FAST: u32 = 12;
const SLOW: u32 = 26;

/// Bars that the fast average leaves out, so that both averages start with the same bar.
const N_SKIPPED_BY_FAST: u32 = SLOW - FAST;
/// Bars before the first difference of the averages.
const N_BEFORE_LINE: u32 = SLOW - 1;

state! {
    /// Moving average convergence/divergence 12, 26, 9, and the percentage price oscillator of the same averages.
    ///
    /// # Shape
    /// One per bar; line, signal and histogram together, first with bar 34; the oscillator with bar 26.
    ///
    /// # Units
    /// Price differences; the oscillator percent of the slow average.
    ///
    /// # Source
    /// TA-Lib `MACD`: the slow average is seeded on closes 0 to 25, the fast one on closes 14 to 25, the signal on the
    /// first 9 differences, and nothing is shown before the signal. The reference falls back to another formula below
    /// 26 bars (quirk Q6); ours is missing there. TA-Lib `PPO` of exponential averages: the fast one has its own seed
    /// on closes 0 to 11.
    struct Macd {
        fast: Ema<L, FAST> [Price],
        slow: Ema<L, SLOW> [Price],
        signal: Ema<L, 9> [Price],
        oscillator_fast: Ema<L, FAST> [Price],
    }
}

impl<L: Lane> Macd<L> {
    /// Takes in a close after `n_before` others.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, close: L) -> Self {
        let mut next = self;
        next.slow = self.slow.next(n_before, close);
        next.oscillator_fast = self.oscillator_fast.next(n_before, close);
        if n_before >= N_SKIPPED_BY_FAST {
            next.fast = self.fast.next(n_before - N_SKIPPED_BY_FAST, close);
        }
        if n_before >= N_BEFORE_LINE {
            next.signal = self.signal.next(n_before - N_BEFORE_LINE, next.line());
        }
        next
    }

    #[inline(always)]
    pub(crate) fn line(self) -> L {
        self.fast.level - self.slow.level
    }

    /// How far the fast average is above the slow one, of which the inverse is given.
    ///
    /// # Units
    /// Percent of the slow average.
    ///
    /// # Source
    /// TA-Lib `PPO`; its own default is the one of simple averages.
    #[inline(always)]
    pub(crate) fn oscillator(self, inverse_of_slow: L) -> L {
        (self.oscillator_fast.level - self.slow.level) * inverse_of_slow * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State as _;

    /// An average that starts as the mean of a straight line trails it by (period − 1) / 2 bars for ever.
    #[test]
    fn a_straight_rise_keeps_the_averages_seven_bars_apart() {
        let closes = (0..).zip((0..60).map(f64::from));
        let rise = closes.fold(Macd::filled(0.0), |macd, (n_before, close)| macd.next(n_before, close));
        assert!((rise.line() - 7.0).abs() < 1e-12, "{}", rise.line());
        assert!((rise.signal.level - 7.0).abs() < 1e-12, "{}", rise.signal.level);
        assert!(
            (rise.oscillator(rise.slow.level.inverse()) - 700.0 / 46.5).abs() < 1e-12,
            "{}",
            rise.oscillator(rise.slow.level.inverse())
        );
    }
}
