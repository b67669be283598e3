use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::window::{aged, last, numbers, sum};

/// Sessions a year, to annualise.
const SESSIONS_PER_YEAR: f64 = 252.0;

/// What the close gained over `n` bars.
///
/// # Shape
/// One per bar; the first with bar `n` + 1.
///
/// # Units
/// Fraction.
///
/// # Source
/// Specification §2.1, `ret_*`; the momentum factors of §4 are the same numbers.
#[inline(always)]
pub(crate) fn simple_return<L: Lane>(past: &Past<L>, close: L, n: usize) -> L {
    close / past.close_before(n) - 1.0
}

/// Deviation of the last 10, 20 and 60 simple returns, over a year.
///
/// # Shape
/// One per bar; first with bars 11, 21 and 61.
///
/// # Units
/// Fraction a year, for daily bars.
///
/// # Source
/// Specification §2.1, `vol_realized_20`: sample deviation × √252.
#[inline(always)]
pub(crate) fn realised_volatilities<L: Lane>(past: &Past<L>, close: L) -> [L; 3] {
    let closes: &[L; 60] = last(past.closes);
    let newest = close / past.close() - 1.0;
    let zero = close.zero();
    let above = numbers::<L, 59>(zero, |i| closes[i + 1] / closes[i] - 1.0 - newest);
    let sum10 = sum::<L, 9>(zero, |i| above[50 + i]);
    let sum20 = sum10 + sum::<L, 10>(zero, |i| above[40 + i]);
    let sum60 = sum20 + sum::<L, 40>(zero, |i| above[i]);
    let squares10 = sum::<L, 9>(zero, |i| above[50 + i] * above[50 + i]);
    let squares20 = squares10 + sum::<L, 10>(zero, |i| above[40 + i] * above[40 + i]);
    let squares60 = squares20 + sum::<L, 40>(zero, |i| above[i] * above[i]);
    [annual(sum10, squares10, 10.0), annual(sum20, squares20, 20.0), annual(sum60, squares60, 60.0)]
}

/// Deviation of the last 20 logarithmic returns, over a year.
///
/// # Shape
/// One per bar; the first with bar 21.
///
/// # Units
/// Per year, for daily bars.
///
/// # Source
/// Specification §2.5, `HV20`: sample deviation × √252.
#[inline(always)]
pub(crate) fn historical_volatility<L: Lane>(past: &Past<L>, log_return: L) -> L {
    let zero = log_return.zero();
    let sum20 = sum::<L, 19>(zero, |i| past.log_returns[i] - log_return);
    let squares = sum::<L, 19>(zero, |i| (past.log_returns[i] - log_return) * (past.log_returns[i] - log_return));
    annual(sum20, squares, 20.0)
}

/// From the sums of `n` deviations from one of the numbers, which keeps the difference well conditioned.
#[inline(always)]
fn annual<L: Lane>(sum: L, squares: L, n: f64) -> L {
    let variance = ((squares - sum * sum / n) / (n - 1.0)).higher(sum.zero());
    variance.sqrt() * SESSIONS_PER_YEAR.sqrt()
}

/// The jump from the close before to the open.
///
/// # Shape
/// One per bar, from the second.
///
/// # Units
/// Fraction.
///
/// # Source
/// Specification §2.1: `gap_mean_10` is the mean size of ten of them. The factor `gap_stat_10` of §4 is the same number
/// once there are eleven bars.
#[inline(always)]
pub(crate) fn gap<L: Lane>(past: &Past<L>, bar: &Input<L>) -> L {
    (bar.open - past.close()) / past.close()
}

#[inline(always)]
pub(crate) fn mean_gap<L: Lane>(past: &Past<L>, size: L) -> L {
    let before: &[L; 9] = aged::<_, _, 0, _>(past.gaps);
    (size + sum::<L, 9>(size.zero(), |i| before[i])) / 10.0
}
