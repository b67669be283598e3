use pulp::Simd;

use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::{Lane, inverses_or_zero};
use crate::state::state;
use crate::window::{Sum, sum, term};

const FASTEST: f64 = 2.0 / 3.0;
const SLOWEST: f64 = 2.0 / 31.0;

state! {
    /// Kaufman's adaptive moving averages over 10 and 30 bars.
    ///
    /// # Shape
    /// One per bar; first with bar 11 and 31.
    ///
    /// # Units
    /// Price.
    ///
    /// # Source
    /// TA-Lib `KAMA`: starts from the close before the first value; the efficiency is 1 where the path is not longer than
    /// the (signed) way, or zero.
    struct Kama {
        fast: L [Price],
        slow: L [Price],
    }
}

impl<L: Lane> Kama<L> {
    /// Takes in a bar after `n_before` others.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next<S>(self, n_before: u32, past: &Past<S, L>, bar: &Input<L>, paths: Paths<L>) -> Self {
        let now = (bar.close - past.close()).abs();
        let fast = now + paths.of_9;
        // Nothing of before the segment may get into a division that both share.
        let slow = if n_before < 30 { fast } else { now + paths.of_29 };
        let [inverse_of_fast, inverse_of_slow] = inverses_or_zero([fast, slow]);
        let fast = share(bar.close - past.close_before(10), fast, inverse_of_fast);
        let slow = share(bar.close - past.close_before(30), slow, inverse_of_slow);
        Self {
            fast: if n_before < 10 { bar.close } else { self.fast + (bar.close - self.fast) * fast },
            slow: if n_before < 30 { bar.close } else { self.slow + (bar.close - self.slow) * slow },
        }
    }
}

/// How far the close went in the 9 and 29 bars before the one at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paths<L> {
    pub(crate) of_9: L,
    pub(crate) of_29: L,
}

impl<L: Lane> Paths<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        let mut path = Sum::new(past.simd, past.close().zero());
        let moves = term(
            #[inline(always)]
            |age| past.moves(age),
        );
        Self { of_9: path.with::<0, 9>(moves), of_29: path.with::<9, 29>(moves) }
    }
}

/// The shorter path alone.
#[inline(always)]
pub(crate) fn near_path<S: Simd, L: Figure<S>>(past: &Past<S, L>) -> L {
    sum::<S, L, 9>(
        past.simd,
        past.close().zero(),
        #[inline(always)]
        |age| past.moves(age),
    )
}

/// The longer path alone.
#[inline(always)]
pub(crate) fn path29<S: Simd, L: Figure<S>>(past: &Past<S, L>) -> L {
    sum::<S, L, 29>(
        past.simd,
        past.close().zero(),
        #[inline(always)]
        |age| past.moves(age),
    )
}

/// What of its distance from the close an average makes up for.
#[inline(always)]
fn share<L: Lane>(way: L, path: L, inverse_of_path: L) -> L {
    let one = way.constant(1.0);
    let is_straight = L::either(path.is_at_most(one.zero()), path.is_at_most(way));
    let efficiency = L::select(is_straight, one, (way * inverse_of_path).abs().lower(one));
    let share = efficiency * (FASTEST - SLOWEST) + SLOWEST;
    share * share
}
