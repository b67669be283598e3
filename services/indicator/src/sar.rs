use crate::input::Input;
use crate::lane::Lane;
use crate::state::state;

const ACCELERATION: f64 = 0.02;
const ACCELERATION_MAX: f64 = 0.2;

state! {
    /// Parabolic stop and reverse, acceleration 0.02 up to 0.2.
    ///
    /// # Shape
    /// One per bar; the first with bar 2.
    ///
    /// # Units
    /// Price.
    ///
    /// # Source
    /// TA-Lib `SAR`: starts short exactly when the second bar's low fell, and by more than its high rose; the first stop
    /// is the first bar's far extreme. Both sides are one formula here, mirrored by the sign of the side.
    struct Sar {
        /// For the coming bar.
        stop: L [Price],
        /// The farthest point of the move.
        extreme: L [Price],
        acceleration: L [Plain],
        /// 1 when long, −1 when short.
        side: L [Plain],
    }
}

impl<L: Lane> Sar<L> {
    /// Takes in a bar after `n_before` others; the stop it met comes second.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, before: [L; 2], bar: &Input<L>) -> (Self, L) {
        match n_before {
            0 => (self, self.stop),
            // The bar stands for the one before it, as in TA-Lib.
            1 => Self::start(before, bar).step([bar.low, bar.high], bar),
            _ => self.step(before, bar),
        }
    }

    #[inline(always)]
    fn start([low_before, high_before]: [L; 2], bar: &Input<L>) -> Self {
        let one = bar.close.constant(1.0);
        let down = low_before - bar.low;
        let up = bar.high - high_before;
        let is_short = L::both(down.is_above(bar.close.zero()), down.is_above(up));
        Self {
            stop: L::select(is_short, high_before, low_before),
            extreme: L::select(is_short, bar.low, bar.high),
            acceleration: one * ACCELERATION,
            side: L::select(is_short, one * -1.0, one),
        }
    }

    #[inline(always)]
    fn step(self, [low_before, high_before]: [L; 2], bar: &Input<L>) -> (Self, L) {
        let zero = bar.close.zero();
        let is_long = self.side.is_above(zero);
        // What the stop guards against, and what the move heads for.
        let near = L::select(is_long, bar.low, bar.high);
        let far = L::select(is_long, bar.high, bar.low);
        let is_reversed = L::select(is_long, self.stop - bar.low, bar.high - self.stop).is_at_least(zero);

        let side = L::select(is_reversed, zero - self.side, self.side);
        let is_long_now = side.is_above(zero);
        let limit = L::select(is_long_now, low_before.lower(bar.low), high_before.higher(bar.high));
        let guarded = L::select(is_long_now, self.extreme.lower(limit), self.extreme.higher(limit));
        let met = L::select(is_reversed, guarded, self.stop);

        let is_farther = (far - self.extreme) * self.side;
        let is_farther = is_farther.is_above(zero);
        let first = self.acceleration.constant(ACCELERATION);
        let most = self.acceleration.constant(ACCELERATION_MAX);
        let faster = L::select(is_farther, (self.acceleration + ACCELERATION).lower(most), self.acceleration);
        let acceleration = L::select(is_reversed, first, faster);
        let extreme = L::select(is_reversed, near, L::select(is_farther, far, self.extreme));
        let stop = met + (extreme - met) * acceleration;
        let stop = L::select(is_long_now, stop.lower(limit), stop.higher(limit));
        (Self { stop, extreme, acceleration, side }, met)
    }
}
