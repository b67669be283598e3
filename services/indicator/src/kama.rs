use pulp::Simd;

use crate::figure::Figure;
use crate::input::Past;
use crate::lane::{Lane, inverses_or_zero};
use crate::state::state;
use crate::window::{sum, term};

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
    /// Takes in a close after `n_before` others, given with those 1, 10 and 30 bars before it.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, [close, before, before10, before30]: [L; 4], paths: Paths<L>) -> Self {
        let now = (close - before).abs();
        let fast = now + paths.of_9;
        // Nothing of before the segment may get into a division that both share.
        let slow = if n_before < 30 { fast } else { now + paths.of_29 };
        let [inverse_of_fast, inverse_of_slow] = inverses_or_zero([fast, slow]);
        let fast = share(close - before10, fast, inverse_of_fast);
        let slow = share(close - before30, slow, inverse_of_slow);
        Self {
            fast: if n_before < 10 { close } else { self.fast + (close - self.fast) * fast },
            slow: if n_before < 30 { close } else { self.slow + (close - self.slow) * slow },
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
        Self { of_9: near_path(past), of_29: path29(past) }
    }
}

/// The shorter path alone.
#[inline(always)]
pub(crate) fn near_path<S: Simd, L: Figure<S>>(past: &Past<S, L>) -> L {
    sum::<S, L, 1, 1>(term(
        #[inline(always)]
        |age| past.moves(age),
    ))
}

/// The longer path alone.
#[inline(always)]
pub(crate) fn path29<S: Simd, L: Figure<S>>(past: &Past<S, L>) -> L {
    sum::<S, L, 3, 5>(term(
        #[inline(always)]
        |age| past.moves(age),
    ))
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
