use pulp::Simd;

use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::window::{Sum, sum};

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
pub(crate) fn simple_return<S, L: Lane>(past: &Past<S, L>, close: L, n: usize) -> L {
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
pub(crate) fn realised_volatilities<S: Simd, L: Figure<S>>(past: &Past<S, L>, close: L) -> [L; 3] {
    let newest = close / past.close() - 1.0;
    let mut sum = Sum::new(past.simd, close.zero());
    let mut squares = Sum::new(past.simd, close.zero());
    let of_10 = [
        sum.with::<0, 9>(
            #[inline(always)]
            |age| above(past, newest, age),
        ),
        squares.with::<0, 9>(
            #[inline(always)]
            |age| square(above(past, newest, age)),
        ),
    ];
    let of_20 = [
        sum.with::<9, 19>(
            #[inline(always)]
            |age| above(past, newest, age),
        ),
        squares.with::<9, 19>(
            #[inline(always)]
            |age| square(above(past, newest, age)),
        ),
    ];
    let of_60 = [
        sum.with::<19, 59>(
            #[inline(always)]
            |age| above(past, newest, age),
        ),
        squares.with::<19, 59>(
            #[inline(always)]
            |age| square(above(past, newest, age)),
        ),
    ];
    [annual(of_10, 10.0), annual(of_20, 20.0), annual(of_60, 60.0)]
}

/// What returns are above the newest.
#[inline(always)]
fn above<S: Simd, L: Figure<S>>(past: &Past<S, L>, newest: L, age: usize) -> L::Run {
    past.returns(age) - newest.spread(past.simd)
}

#[inline(always)]
fn square<L: Lane>(number: L) -> L {
    number * number
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
pub(crate) fn historical_volatility<S: Simd, L: Figure<S>>(past: &Past<S, L>, log_return: L) -> L {
    let zero = log_return.zero();
    let sum19 = sum::<S, L, 19>(
        past.simd,
        zero,
        #[inline(always)]
        |age| L::run(past.simd, past.log_returns, age) - log_return.spread(past.simd),
    );
    let squares = sum::<S, L, 19>(
        past.simd,
        zero,
        #[inline(always)]
        |age| square(L::run(past.simd, past.log_returns, age) - log_return.spread(past.simd)),
    );
    annual([sum19, squares], 20.0)
}

/// From the sums of `n` deviations from one of the numbers, which keeps the difference well conditioned.
#[inline(always)]
fn annual<L: Lane>([sum, squares]: [L; 2], n: f64) -> L {
    let variance = ((squares - sum * sum * (1.0 / n)) * (1.0 / (n - 1.0))).higher(sum.zero());
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
pub(crate) fn gap<S, L: Lane>(past: &Past<S, L>, bar: &Input<L>) -> L {
    (bar.open - past.close()) / past.close()
}

#[inline(always)]
pub(crate) fn mean_gap<S: Simd, L: Figure<S>>(past: &Past<S, L>, size: L) -> L {
    let before = sum::<S, L, 9>(
        past.simd,
        size.zero(),
        #[inline(always)]
        |age| L::run(past.simd, past.gaps, age),
    );
    (size + before) * (1.0 / 10.0)
}
