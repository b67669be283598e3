//! Channels around the price: highest and lowest points of windows, and how far a price is from them.

use pulp::Simd;

use crate::extremes::{Extremes, N_BLOCK, join};
use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::window::{Highest, Lowest};

/// Extremes of the highs and lows of the last 5, 9, 10, 20, 26 and 52 bars.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the number of bars alone is no name")]
pub(crate) struct Channels<L> {
    pub(crate) last_5: Channel<L>,
    pub(crate) last_9: Channel<L>,
    pub(crate) last_10: Channel<L>,
    pub(crate) last_20: Channel<L>,
    pub(crate) last_26: Channel<L>,
    pub(crate) last_52: Channel<L>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Channel<L> {
    pub(crate) high: L,
    pub(crate) low: L,
}

impl<L: Lane> Channel<L> {
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

impl<L: Lane> Channels<L> {
    #[inline(always)]
    pub(crate) fn new<S: Simd>(past: &Past<S, L>, bar: &Input<L>) -> Self
    where
        L: Figure<S>,
    {
        let (mut high, mut low) = (Highest::new(past.simd, bar.high), Lowest::new(past.simd, bar.low));
        Self {
            last_5: Channel {
                high: high.with::<0, 4>(
                    #[inline(always)]
                    |age| past.high_run(age),
                ),
                low: low.with::<0, 4>(
                    #[inline(always)]
                    |age| past.low_run(age),
                ),
            },
            last_9: Channel {
                high: high.with::<4, 8>(
                    #[inline(always)]
                    |age| past.high_run(age),
                ),
                low: low.with::<4, 8>(
                    #[inline(always)]
                    |age| past.low_run(age),
                ),
            },
            last_10: Channel {
                high: high.with::<8, 9>(
                    #[inline(always)]
                    |age| past.high_run(age),
                ),
                low: low.with::<8, 9>(
                    #[inline(always)]
                    |age| past.low_run(age),
                ),
            },
            last_20: Channel {
                high: high.with::<9, 19>(
                    #[inline(always)]
                    |age| past.high_run(age),
                ),
                low: low.with::<9, 19>(
                    #[inline(always)]
                    |age| past.low_run(age),
                ),
            },
            last_26: Channel {
                high: high.with::<19, 25>(
                    #[inline(always)]
                    |age| past.high_run(age),
                ),
                low: low.with::<19, 25>(
                    #[inline(always)]
                    |age| past.low_run(age),
                ),
            },
            last_52: Channel {
                high: high.with::<25, 51>(
                    #[inline(always)]
                    |age| past.high_run(age),
                ),
                low: low.with::<25, 51>(
                    #[inline(always)]
                    |age| past.low_run(age),
                ),
            },
        }
    }
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
pub(crate) fn aroon<S: Simd, L: Figure<S>>(past: &Past<S, L>, bar: &Input<L>, channel: Channel<L>) -> [L; 3] {
    let up = place(
        past.simd,
        #[inline(always)]
        |age| past.high_run(age),
        channel.high,
        bar.high,
    );
    let down = place(
        past.simd,
        #[inline(always)]
        |age| past.low_run(age),
        channel.low,
        bar.low,
    );
    let percent = 100.0 / N_AROON as f64;
    [up * percent, down * percent, (up - down) * percent]
}

const N_AROON: usize = 25;

/// Where the newest number that equals the extreme stands in the window that ends with `now`.
#[inline(always)]
fn place<S: Simd, L: Figure<S>>(simd: S, numbers: impl Fn(usize) -> L::Run, extreme: L, now: L) -> L {
    let zero = now.zero();
    let (extremes, zeros) = (extreme.spread(simd), zero.spread(simd));
    // The places of the numbers that are not the extreme do not count.
    let before = Highest::new(simd, zero).with::<0, N_AROON>(
        #[inline(always)]
        |age| {
            let places = now.ramp(simd, (N_AROON - 1) as f64 - age as f64);
            L::Run::select(numbers(age).is_equal(extremes), places, zeros)
        },
    );
    L::select(now.is_equal(extreme), zero.constant(N_AROON as f64), before)
}

/// How far the close is from the extremes of the closes, those included.
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
#[derive(Debug, Clone, Copy)]
pub(crate) struct CloseExtremes<L> {
    pub(crate) high20: L,
    pub(crate) low20: L,
    pub(crate) high252: L,
    pub(crate) low252: L,
    /// Of the newest block of closes.
    pub(crate) block: Extremes<L>,
}

impl<L: Lane> CloseExtremes<L> {
    /// `older` are those of the year but for the newest block.
    #[inline(always)]
    pub(crate) fn new<S: Simd>(past: &Past<S, L>, close: L, older: Extremes<L>) -> Self
    where
        L: Figure<S>,
    {
        const LAST: usize = N_BLOCK - 1;
        let mut high = Highest::new(past.simd, close);
        let mut low = Lowest::new(past.simd, close);
        let (high20, low20) = (
            high.with::<0, 19>(
                #[inline(always)]
                |age| past.close_run(age),
            ),
            low.with::<0, 19>(
                #[inline(always)]
                |age| past.close_run(age),
            ),
        );
        let block = [
            high.with::<19, LAST>(
                #[inline(always)]
                |age| past.close_run(age),
            ),
            low.with::<19, LAST>(
                #[inline(always)]
                |age| past.close_run(age),
            ),
        ];
        let [high252, low252] = join(block, older);
        Self {
            high20: close / high20 - 1.0,
            low20: close / low20 - 1.0,
            high252: close / high252 - 1.0,
            low252: close / low252 - 1.0,
            block,
        }
    }
}
