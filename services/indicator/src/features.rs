//! Features derived from a few bars.

use crate::rolling::{highest, sample_deviation};

/// Sessions a year, to annualise.
const SESSIONS_PER_YEAR: f64 = 252.0;

/// What the close gained over all bars of the window but the first.
///
/// # Shape
/// One per bar; over k bars the first with bar k + 1.
///
/// # Units
/// Fraction.
///
/// # Source
/// Specification §2.1, `ret_*`.
pub(crate) fn simple_return<const N: usize>(closes: &[f64; N]) -> f64 {
    closes[N - 1] / closes[0] - 1.0
}

/// Deviation of the last 20 simple returns, over a year.
///
/// # Shape
/// One per bar; the first with bar 21. The window holds 21 closes.
///
/// # Units
/// Fraction a year, for daily bars.
///
/// # Source
/// Specification §2.1, `vol_realized_20`: sample deviation × √252.
pub(crate) fn realised_volatility(closes: &[f64; 21]) -> f64 {
    let mut returns = [0.0; 20];
    for (i, gain) in returns.iter_mut().enumerate() {
        *gain = simple_return(&[closes[i], closes[i + 1]]);
    }
    sample_deviation(&returns) * SESSIONS_PER_YEAR.sqrt()
}

/// How far the newest close is below the highest close of the window.
///
/// # Shape
/// One per bar, once the window is full.
///
/// # Units
/// Percent, at most 0.
///
/// # Source
/// Specification §2.1, `pct_from_high20`: of closes, not of highs.
pub(crate) fn percent_from_high<const N: usize>(closes: &[f64; N]) -> f64 {
    (closes[N - 1] / highest(closes) - 1.0) * 100.0
}

/// Size of the jump from the close before to the open, up or down.
///
/// # Shape
/// One per bar, from the second.
///
/// # Units
/// Fraction.
///
/// # Source
/// Specification §2.1, the terms of `gap_mean_10`.
pub(crate) fn gap(open: f64, previous_close: f64) -> f64 {
    (open - previous_close).abs() / previous_close
}

/// 1 when the fast average is above the slow one, else 0.
///
/// # Shape
/// One per bar, once both are known. The reference says 0 while one is unknown; missing is missing.
///
/// # Source
/// Specification §2.1, `sma_20_above_50`.
pub(crate) fn is_above(fast: f64, slow: f64) -> f64 {
    if fast > slow { 1.0 } else { 0.0 }
}
