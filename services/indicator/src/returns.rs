use pulp::Simd;

use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::window::{Moments, sum, term};

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
pub(crate) fn simple_return<S: Simd, L: Figure<S>>(past: &Past<S, L>, close: L, n: usize) -> L {
    (close - past.close_before(n)) * past.inverse_before(n)
}

/// Sums of what the returns before the bar at hand are above the newest of them, and of the squares.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReturnSums<L> {
    of_9: [L; 2],
    of_19: [L; 2],
    of_59: [L; 2],
    log_of_19: [L; 2],
}

impl<L: Lane> ReturnSums<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        let zero = past.close().zero();
        let newest = past.newest_return();
        let above = term(
            #[inline(always)]
            |age| past.returns(age) - newest.spread(past.simd),
        );
        let mut moments = Moments::new(past.simd, zero);
        let newest = past.newest_log_return();
        let above_log = term(
            #[inline(always)]
            |age| past.log_returns(age) - newest.spread(past.simd),
        );
        Self {
            of_9: moments.with::<0, 9>(above),
            of_19: moments.with::<9, 19>(above),
            of_59: moments.with::<19, 59>(above),
            log_of_19: Moments::new(past.simd, zero).with::<0, 19>(above_log),
        }
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
    pub(crate) fn realised_volatilities<S: Simd>(&self, past: &Past<S, L>, gain: L) -> [L; 3]
    where
        L: Figure<S>,
    {
        let above = gain - past.newest_return();
        [annual(self.of_9, above, 10.0), annual(self.of_19, above, 20.0), annual(self.of_59, above, 60.0)]
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
    pub(crate) fn historical_volatility<S: Simd>(&self, past: &Past<S, L>, log_gain: L) -> L
    where
        L: Figure<S>,
    {
        annual(self.log_of_19, log_gain - past.newest_log_return(), 20.0)
    }
}

/// From the sums of the deviations of all but the last of `n` numbers, and that of the last, from one of them, which keeps
/// the difference well conditioned.
#[inline(always)]
fn annual<L: Lane>([sum, squares]: [L; 2], last: L, n: f64) -> L {
    let sum = sum + last;
    let squares = squares + last * last;
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
pub(crate) fn gap<S: Simd, L: Figure<S>>(past: &Past<S, L>, bar: &Input<L>) -> L {
    past.gain(bar.open)
}

/// The sum of the sizes of the nine gaps before the bar at hand.
#[inline(always)]
pub(crate) fn gap_sum9<S: Simd, L: Figure<S>>(past: &Past<S, L>) -> L {
    sum::<S, L, 9>(
        past.simd,
        past.close().zero(),
        #[inline(always)]
        |age| L::run(past.simd, past.gaps, age),
    )
}
