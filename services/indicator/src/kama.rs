use pulp::Simd;

use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::state::state;
use crate::window::Sum;

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
    pub(crate) fn next<S: Simd>(self, n_before: u32, past: &Past<S, L>, bar: &Input<L>) -> Self
    where
        L: Figure<S>,
    {
        let now = (bar.close - past.close()).abs();
        let mut path = Sum::new(past.simd, bar.close.zero());
        let path10 = now
            + path.with::<0, 9>(
                #[inline(always)]
                |age| past.moves(age),
            );
        let path30 = now
            + path.with::<9, 29>(
                #[inline(always)]
                |age| past.moves(age),
            );
        Self {
            fast: if n_before < 10 { bar.close } else { level(self.fast, bar.close, past.close_before(10), path10) },
            slow: if n_before < 30 { bar.close } else { level(self.slow, bar.close, past.close_before(30), path30) },
        }
    }
}

/// `start` is the close at the beginning of the path.
#[inline(always)]
fn level<L: Lane>(level: L, close: L, start: L, path: L) -> L {
    let way = close - start;
    let is_straight = L::either(path.is_at_most(close.zero()), path.is_at_most(way));
    let one = close.constant(1.0);
    let efficiency = L::select(is_straight, one, (way / path).abs().lower(one));
    let share = efficiency * (FASTEST - SLOWEST) + SLOWEST;
    level + (close - level) * (share * share)
}
