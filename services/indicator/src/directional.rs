use crate::input::Input;
use crate::lane::Lane;
use crate::state::state;

const PERIOD: u32 = 14;

state! {
    /// Wilder's directional movement: both indicators (DI) and the average directional index (ADX) of 14 bars.
    ///
    /// # Shape
    /// One per bar; the indicators first with bar 15, the index with bar 28.
    ///
    /// # Units
    /// Points, 0 to 100.
    ///
    /// # Source
    /// TA-Lib `PLUS_DI`, `MINUS_DI`, `ADX`: only the larger move counts; sums over the first 13 bars that have one, from
    /// then on `S ← S − S / 14 + new`; the index starts as the mean of 14 and keeps its value where it is undefined.
    struct Directional {
        plus: L [Price],
        minus: L [Price],
        range: L [Price],
        /// The sum until there are 14, the index from then on.
        index: L [Plain],
    }
}

impl<L: Lane> Directional<L> {
    /// Takes in a bar after `n_before` others; the first one only as what the second compares with.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, [low_before, high_before]: [L; 2], bar: &Input<L>, true_range: L) -> Self {
        if n_before == 0 {
            return self;
        }
        let zero = bar.close.zero();
        let up = bar.high - high_before;
        let down = low_before - bar.low;
        let plus = L::select(L::both(up.is_above(zero), up.is_above(down)), up, zero);
        let minus = L::select(L::both(down.is_above(zero), down.is_above(up)), down, zero);
        let share = 1.0 / f64::from(PERIOD);
        let smooth = pair(
            #[inline(always)]
            |sum: L, new: L| if n_before >= PERIOD { sum - sum * share + new } else { sum + new },
        );
        let mut next = self;
        next.plus = smooth(self.plus, plus);
        next.minus = smooth(self.minus, minus);
        next.range = smooth(self.range, true_range);
        if n_before >= PERIOD {
            next.index = next.next_index(n_before);
        }
        next
    }

    /// Plus and minus.
    #[inline(always)]
    pub(crate) fn indicators(&self) -> [L; 2] {
        let percent = self.range.constant(100.0).over_or_zero(self.range);
        [self.plus * percent, self.minus * percent]
    }

    #[inline(always)]
    fn next_index(&self, n_before: u32) -> L {
        let zero = self.index.zero();
        let total = self.plus + self.minus;
        let is_undefined = L::either(total.is_equal(zero), self.range.is_equal(zero));
        let period = f64::from(PERIOD);
        let share = 1.0 / period;
        let now = (self.plus - self.minus).abs() / total * 100.0;
        if n_before >= 2 * PERIOD {
            let next = (self.index * (period - 1.0) + now) * share;
            L::select(is_undefined, self.index, next)
        } else {
            let sum = self.index + L::select(is_undefined, zero, now);
            if n_before + 1 == 2 * PERIOD { sum * share } else { sum }
        }
    }
}

/// Attributes may stand before an argument, not before what a variable is set to.
#[inline(always)]
fn pair<L>(function: impl Fn(L, L) -> L) -> impl Fn(L, L) -> L {
    function
}
