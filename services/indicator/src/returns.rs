use pulp::Simd;

use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::spread::{Spread, anchored};
use crate::state::state;
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

state! {
    /// Sums of the returns before the bar at hand, and of their squares.
    #[derive(Default)]
    struct ReturnSums {
        of_9: [L; 2] [Plain],
        of_19: [L; 2] [Plain],
        of_59: [L; 2] [Plain],
        log_of_19: [L; 2] [Plain],
    }
}

impl<L: Lane> ReturnSums<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        let returns = term(
            #[inline(always)]
            |age| past.returns(age),
        );
        let mut moments = Moments::<S, L>::first(returns);
        let short = moments.with::<1>(returns, 8);
        moments.extend(1, 2, returns);
        let middle = moments.with::<3>(returns, 16);
        moments.extend(2, 7, returns);
        let log_returns = term(
            #[inline(always)]
            |age| past.log_returns(age),
        );
        Self {
            of_9: short,
            of_19: middle,
            of_59: moments.with::<3>(returns, 56),
            log_of_19: crate::window::moments::<S, L, 2, 3>(log_returns),
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
        let newest = past.newest_return();
        let above = term(
            #[inline(always)]
            |age| past.returns(age) - newest.spread(past.simd),
        );
        let last = gain - newest;
        [
            annual(
                10.0,
                with(self.of_9, gain),
                gain,
                #[inline(always)]
                || anchored::<S, L, 1, 1>(above, last),
            ),
            annual(
                20.0,
                with(self.of_19, gain),
                gain,
                #[inline(always)]
                || anchored::<S, L, 2, 3>(above, last),
            ),
            annual(
                60.0,
                with(self.of_59, gain),
                gain,
                #[inline(always)]
                || anchored::<S, L, 7, 3>(above, last),
            ),
        ]
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
        let newest = past.newest_log_return();
        let above = term(
            #[inline(always)]
            |age| past.log_returns(age) - newest.spread(past.simd),
        );
        annual(
            20.0,
            with(self.log_of_19, log_gain),
            log_gain,
            #[inline(always)]
            || anchored::<S, L, 2, 3>(above, log_gain - newest),
        )
    }
}

/// From the sums of `n` numbers and of their squares, and the last of them.
#[inline(always)]
pub(crate) fn annual<L: Lane>(n: f64, sums: [L; 2], last: L, anchored: impl FnOnce() -> (L, [L; 2])) -> L {
    let spread = Spread::new(n, sums, last, anchored);
    (spread.squares * (1.0 / (n - 1.0))).sqrt() * SESSIONS_PER_YEAR.sqrt()
}

/// Sums of all numbers but the last, and the last, together.
#[inline(always)]
fn with<L: Lane>([sum, squares]: [L; 2], last: L) -> [L; 2] {
    [sum + last, squares + last * last]
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
    sum::<S, L, 1, 1>(term(
        #[inline(always)]
        |age| L::run(past.simd, past.gaps, age),
    ))
}
