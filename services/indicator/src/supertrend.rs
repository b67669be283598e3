use crate::input::Input;
use crate::lane::Lane;
use crate::state::state;

const PERIOD: u32 = 10;
const N_RANGES: f64 = 3.0;

state! {
    /// Supertrend 10, 3: a stop that trails the middle of the bar by three true ranges.
    ///
    /// # Shape
    /// One per bar; the first with bar 11.
    ///
    /// # Units
    /// The line is a price; the direction 1 (up, the line is below) or −1.
    ///
    /// # Source
    /// O. Seban; as charts draw it: Wilder's ATR, bands that move towards the price only while the close before did not
    /// cross them, and a downward start.
    struct Supertrend {
        upper: L [Price],
        lower: L [Price],
        direction: L [Plain],
    }
}

impl<L: Lane> Supertrend<L> {
    /// Takes in a bar after `n_before` others.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, close_before: L, bar: &Input<L>, atr10: L) -> Self {
        let middle = (bar.high + bar.low) * 0.5;
        let upper = middle + atr10 * N_RANGES;
        let lower = middle - atr10 * N_RANGES;
        let one = bar.close.constant(1.0);
        if n_before <= PERIOD {
            return Self { upper, lower, direction: one * -1.0 };
        }
        let upper_moves = L::either(upper.is_below(self.upper), close_before.is_above(self.upper));
        let lower_moves = L::either(lower.is_above(self.lower), close_before.is_below(self.lower));
        let upper = L::select(upper_moves, upper, self.upper);
        let lower = L::select(lower_moves, lower, self.lower);
        let stays_up = L::select(bar.close.is_below(lower), one * -1.0, one);
        let turns_up = L::select(bar.close.is_above(upper), one, one * -1.0);
        let direction = L::select(self.direction.is_above(one.zero()), stays_up, turns_up);
        Self { upper, lower, direction }
    }

    #[inline(always)]
    pub(crate) fn line(&self) -> L {
        L::select(self.direction.is_above(self.upper.zero()), self.lower, self.upper)
    }
}

state! {
    /// Colour of the Heikin-Ashi bar.
    ///
    /// # Shape
    /// One per bar from the first.
    ///
    /// # Units
    /// 1 when it closes above its open, −1 below, 0 when equal.
    ///
    /// # Source
    /// D. Valcu, "Using the Heikin-Ashi technique" (2004): the close is the mean of the four prices, the open the middle of
    /// the open and close before; the first open is the middle of the bar's own.
    struct HeikinAshi {
        next_open: L [Price],
    }
}

impl<L: Lane> HeikinAshi<L> {
    /// Takes in a bar after `n_before` others; its colour comes second.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, bar: &Input<L>) -> (Self, L) {
        let close = (bar.open + bar.high + bar.low + bar.close) * 0.25;
        let open = if n_before == 0 { (bar.open + bar.close) * 0.5 } else { self.next_open };
        let one = close.constant(1.0);
        let below = L::select(close.is_below(open), one * -1.0, one.zero());
        let colour = L::select(close.is_above(open), one, below);
        (Self { next_open: (open + close) * 0.5 }, colour)
    }
}
