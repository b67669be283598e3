use serde::{Deserialize, Serialize};

use crate::wilder::Wilder;

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rsi {
    gain: Wilder<14>,
    loss: Wilder<14>,
}

impl Rsi {
    /// Takes in a change of the close after `n_before` others.
    #[must_use]
    pub(crate) fn next(self, n_before: u32, change: f64) -> Self {
        let (gain, loss) = if change > 0.0 { (change, 0.0) } else { (0.0, -change) };
        Self { gain: self.gain.next(n_before, gain), loss: self.loss.next(n_before, loss) }
    }

    pub(crate) fn value(self, n_changes: u32) -> Option<f64> {
        let (gain, loss) = (self.gain.value(n_changes)?, self.loss.value(n_changes)?);
        let total = gain + loss;
        Some(if total == 0.0 { 0.0 } else { 100.0 * (gain / total) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsi(changes: impl IntoIterator<Item = f64>) -> Option<f64> {
        let mut rsi = Rsi::default();
        let mut n_changes = 0;
        for change in changes {
            rsi = rsi.next(n_changes, change);
            n_changes += 1;
        }
        rsi.value(n_changes)
    }

    #[test]
    fn has_its_bounds_on_straight_lines_and_its_middle_on_a_swing() {
        assert_eq!(rsi([1.0; 13]), None);
        assert_eq!(rsi([1.0; 14]), Some(100.0));
        assert_eq!(rsi([-1.0; 14]), Some(0.0));
        assert_eq!(rsi([0.0; 14]), Some(0.0));
        assert_eq!(rsi([1.0, -1.0].repeat(7)), Some(50.0));
    }

    #[test]
    fn a_rise_at_the_start_and_a_fall_at_the_start_are_mirrored() {
        let changes = [2.0, -1.0, 0.5, 0.0, 3.0, -0.25, 1.0, -4.0, 0.125, 2.0, -1.0, 1.0, 0.0, -2.0, 1.5, -0.5];
        let [up, down] = [rsi(changes), rsi(changes.map(|change| -change))].map(|value| value.expect("is warm"));
        assert!((up + down - 100.0).abs() < 1e-12, "{up} {down}");
    }
}
