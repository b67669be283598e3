use crate::lane::Lane;
use crate::state::state;
use crate::wilder::Wilder;

state! {
    /// Relative strength index over 14 changes of the close.
    ///
    /// # Shape
    /// One per bar; the first with bar 15, after 14 changes.
    ///
    /// # Units
    /// Points, 0 to 100; 0 when the close never moved.
    ///
    /// # Source
    /// TA-Lib `RSI` (C, 0.8.1): Wilder's means of gains and losses, `100 · G / (G + L)`. Version 0.8.3 of the crate
    /// `ta-lib` answers 50 instead of 0 for a close that never moved.
    struct Rsi {
        gain: Wilder<L, 14> [Price],
        loss: Wilder<L, 14> [Price],
    }
}

impl<L: Lane> Rsi<L> {
    /// Takes in a change of the close after `n_before` others.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, change: L) -> Self {
        let zero = change.zero();
        let gain = change.higher(zero);
        let loss = (zero - change).higher(zero);
        Self { gain: self.gain.next(n_before, gain), loss: self.loss.next(n_before, loss) }
    }

    #[inline(always)]
    pub(crate) fn value(self) -> L {
        self.gain.level.over_or_zero(self.gain.level + self.loss.level) * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State as _;

    fn rsi(changes: impl IntoIterator<Item = f64>) -> f64 {
        let changes = (0..).zip(changes);
        changes.fold(Rsi::filled(0.0), |rsi, (n_before, change)| rsi.next(n_before, change)).value()
    }

    #[test]
    fn has_its_bounds_on_straight_lines_and_its_middle_on_a_swing() {
        let check = |changes: Vec<f64>, expected: f64| assert!((rsi(changes) - expected).abs() < 1e-12, "{expected}");
        check(vec![1.0; 14], 100.0);
        check(vec![-1.0; 14], 0.0);
        check(vec![0.0; 14], 0.0);
        check([1.0, -1.0].repeat(7), 50.0);
    }

    #[test]
    fn a_rise_at_the_start_and_a_fall_at_the_start_are_mirrored() {
        let changes = [2.0, -1.0, 0.5, 0.0, 3.0, -0.25, 1.0, -4.0, 0.125, 2.0, -1.0, 1.0, 0.0, -2.0, 1.5, -0.5];
        let [up, down] = [rsi(changes), rsi(changes.map(|change| -change))];
        assert!((up + down - 100.0).abs() < 1e-12, "{up} {down}");
    }
}
