//! Channels around the price: highest and lowest points of windows, and how far a price is from them.

use pulp::Simd;

use crate::figure::{Figure, N_ACCUMULATORS};
use crate::input::{N_CLOSES, Past};
use crate::lane::{Lane, inverses};
use crate::state::state;
use crate::window::{Highest, Lowest, term};

state! {
    /// The extremes of a window.
    #[derive(Default)]
    struct Channel {
        high: L [Plain],
        low: L [Plain],
    }
}

impl<L: Lane> Channel<L> {
    /// With one more bar.
    #[inline(always)]
    pub(crate) fn with(self, high: L, low: L) -> Self {
        Self { high: high.higher(self.high), low: low.lower(self.low) }
    }

    /// Halfway between both.
    ///
    /// # Units
    /// Price.
    ///
    /// # Source
    /// The lines of Ichimoku (9, 26, 52) and the middle of the Donchian channel (20).
    #[inline(always)]
    pub(crate) fn middle(self) -> L {
        (self.high + self.low) * 0.5
    }
}

impl Channel<f64> {
    /// The extremes of the window that begins and ends one bar later, where they need not be looked for: what leaves it is no
    /// extreme, or what comes is one.
    #[inline(always)]
    pub(crate) fn next(self, [left_high, left_low]: [f64; 2], [high, low]: [f64; 2]) -> Option<Self> {
        let is_high = left_high < self.high || high >= self.high;
        let is_low = left_low > self.low || low <= self.low;
        (is_high && is_low).then(|| self.with(high, low))
    }
}

state! {
    /// Extremes of the bars before the one at hand: of the highs and lows of 13, 19, 25 and 51.
    #[derive(Default)]
    struct Channels {
        last_13: Channel<L> [Plain],
        last_19: Channel<L> [Plain],
        last_25: Channel<L> [Plain],
        last_51: Channel<L> [Plain],
        /// The bars up to the newest that has the extreme of 25, itself included.
        places25: Channel<L> [Plain],
    }
}

impl<L: Lane> Channels<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>, last_51: Option<Channel<L>>) -> Self
    where
        L: Figure<S>,
    {
        let (mut high, mut low) = (Highest::new(past.simd, past.high()), Lowest::new(past.simd, past.low()));
        let highs = term(
            #[inline(always)]
            |age| past.high_run(age),
        );
        let lows = term(
            #[inline(always)]
            |age| past.low_run(age),
        );
        let last_13 = Channel { high: high.with::<0, 13>(highs), low: low.with::<0, 13>(lows) };
        let last_19 = Channel { high: high.with::<13, 19>(highs), low: low.with::<13, 19>(lows) };
        let last_25 = Channel { high: high.with::<19, 25>(highs), low: low.with::<19, 25>(lows) };
        let last_51 = match last_51 {
            Some(known) => known,
            None => Channel { high: high.with::<25, 51>(highs), low: low.with::<25, 51>(lows) },
        };
        let places25 =
            Channel { high: place(past.simd, highs, last_25.high), low: place(past.simd, lows, last_25.low) };
        Self { last_13, last_19, last_25, last_51, places25 }
    }

    /// How recent the extremes of 26 bars are: up, down, and their difference.
    ///
    /// # Shape
    /// One per bar; the first with bar 26.
    ///
    /// # Units
    /// Percent: 100 when the newest bar is the extreme, 0 when it is 25 bars old; of equal extremes the newest counts.
    ///
    /// # Source
    /// TA-Lib `AROON`, `AROONOSC`, period 25.
    #[inline(always)]
    pub(crate) fn aroon(&self, high: L, low: L) -> [L; 3] {
        let newest = high.constant(N_AROON as f64);
        let up = L::select(high.is_at_least(self.last_25.high), newest, self.places25.high);
        let down = L::select(low.is_at_most(self.last_25.low), newest, self.places25.low);
        let percent = 100.0 / N_AROON as f64;
        [up * percent, down * percent, (up - down) * percent]
    }
}

/// Bars before the one at hand.
pub(crate) const N_AROON: usize = 25;

/// Where the newest number that equals the extreme stands in the window before the bar at hand: 0 is the oldest.
#[inline(always)]
fn place<S: Simd, L: Figure<S>>(simd: S, numbers: impl Fn(usize) -> L::Run, extreme: L) -> L {
    let zero = extreme.zero();
    let (extremes, zeros) = (extreme.spread(simd), zero.spread(simd));
    // The places of the numbers that are not the extreme do not count.
    Highest::new(simd, zero).with::<0, N_AROON>(
        #[inline(always)]
        |age| {
            let places = zero.ramp(simd, (N_AROON - 1) as f64 - age as f64);
            L::Run::select(numbers(age).is_equal(extremes), places, zeros)
        },
    )
}

/// The extremes of the `N` bars before the one at hand, alone.
#[inline(always)]
pub(crate) fn range<S: Simd, L: Figure<S>, const N: usize>(past: &Past<S, L>) -> Channel<L> {
    Channel {
        high: Highest::new(past.simd, past.high()).with::<0, N>(
            #[inline(always)]
            |age| past.high_run(age),
        ),
        low: Lowest::new(past.simd, past.low()).with::<0, N>(
            #[inline(always)]
            |age| past.low_run(age),
        ),
    }
}

/// The extremes of the 19 closes before the one at hand.
#[inline(always)]
pub(crate) fn closes19<S: Simd, L: Figure<S>>(past: &Past<S, L>) -> Channel<L> {
    let closes = term(
        #[inline(always)]
        |age| past.close_run(age),
    );
    Channel {
        high: Highest::new(past.simd, past.close()).with::<0, 19>(closes),
        low: Lowest::new(past.simd, past.close()).with::<0, 19>(closes),
    }
}

/// The closes of a year that are before the one at hand.
pub(crate) const N_YEAR: usize = N_CLOSES - 1;

/// Their extremes.
#[inline(always)]
pub(crate) fn year<S: Simd, L: Figure<S>>(past: &Past<S, L>) -> Channel<L> {
    let Past { simd, ring, next, .. } = *past;
    let newest = Channel { high: past.close(), low: past.close() };
    // The oldest is no more in the year of the bar at hand.
    let first = (next + ring.len() - N_YEAR) % ring.len();
    if first < next {
        return extremes(simd, &ring[first..next], newest);
    }
    extremes(simd, &ring[..next], extremes(simd, &ring[first..], newest))
}

/// Those of numbers and what is known.
#[inline(always)]
fn extremes<S: Simd, L: Figure<S>>(simd: S, numbers: &[L], known: Channel<L>) -> Channel<L> {
    if numbers.len() < L::N_RUN {
        let mut found = known;
        for number in numbers {
            found = found.with(*number, *number);
        }
        return found;
    }
    let mut highs = [known.high.spread(simd); N_ACCUMULATORS];
    let mut lows = [known.low.spread(simd); N_ACCUMULATORS];
    for i in 0..numbers.len().div_ceil(L::N_RUN) {
        // The last run may overlap.
        let run = L::run(simd, numbers, (i * L::N_RUN).min(numbers.len() - L::N_RUN));
        let at = i % (N_ACCUMULATORS / L::N_RUN);
        highs[at] = run.higher(highs[at]);
        lows[at] = run.lower(lows[at]);
    }
    Channel { high: L::highest(highs), low: L::lowest(lows) }
}

/// How far the close is from the extremes of a window of closes, itself included: from the high and from the low.
///
/// # Shape
/// One per bar, once the window is full.
///
/// # Units
/// Fractions: at most 0 from the high, at least 0 from the low.
///
/// # Source
/// Specification §2.1, `pct_from_high20`: of closes, not of highs; §2.3 for the low. Over a year (252 bars) alike, so that
/// a slot need not keep a year of highs and lows.
#[inline(always)]
pub(crate) fn distances<L: Lane>(before: Channel<L>, close: L) -> [L; 2] {
    let window = before.with(close, close);
    let [of_high, of_low] = inverses([window.high, window.low]);
    [(close - window.high) * of_high, (close - window.low) * of_low]
}
