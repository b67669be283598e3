//! Channels around the price: highest and lowest points of windows, and how far a price is from them.

use crate::input::{Input, N_CLOSES, Past};
use crate::lane::Lane;
use crate::window::{aged, highest, last, lowest};

/// Extremes of the highs and lows of the last 9, 20, 26 and 52 bars.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the number of bars alone is no name")]
pub(crate) struct Channels<L> {
    pub(crate) last_9: Channel<L>,
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

    /// Widened by `N` bars that `AGE` newer ones follow.
    #[inline(always)]
    fn with<const N: usize, const AGE: usize>(self, past: &Past<L>) -> Self {
        let highs: &[L; N] = aged::<_, _, AGE, _>(past.highs);
        let lows: &[L; N] = aged::<_, _, AGE, _>(past.lows);
        Self { high: highest::<L, N>(self.high, |i| highs[i]), low: lowest::<L, N>(self.low, |i| lows[i]) }
    }
}

impl<L: Lane> Channels<L> {
    #[inline(always)]
    pub(crate) fn new(past: &Past<L>, bar: &Input<L>) -> Self {
        let last_9 = Channel { high: bar.high, low: bar.low }.with::<8, 0>(past);
        let last_20 = last_9.with::<11, 8>(past);
        let last_26 = last_20.with::<6, 19>(past);
        let last_52 = last_26.with::<26, 25>(past);
        Self { last_9, last_20, last_26, last_52 }
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
pub(crate) fn aroon<L: Lane>(past: &Past<L>, bar: &Input<L>, channel: Channel<L>) -> [L; 3] {
    let up = place(last(past.highs), channel.high, bar.high);
    let down = place(last(past.lows), channel.low, bar.low);
    let percent = 100.0 / N_AROON as f64;
    [up * percent, down * percent, (up - down) * percent]
}

const N_AROON: usize = 25;

/// Where the newest number that equals the extreme stands in the window that ends with `now`.
#[inline(always)]
fn place<L: Lane>(numbers: &[L; N_AROON], extreme: L, now: L) -> L {
    let zero = now.zero();
    // The places of the numbers that are not the extreme do not count.
    let before =
        highest::<L, N_AROON>(zero, |i| L::select(numbers[i].is_equal(extreme), zero.constant(i as f64), zero));
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
}

impl<L: Lane> CloseExtremes<L> {
    #[inline(always)]
    pub(crate) fn new(past: &Past<L>, close: L) -> Self {
        const N_OLDER: usize = N_CLOSES - 1 - 19;
        let newer: &[L; 19] = last(past.closes);
        let older: &[L; N_OLDER] = aged::<_, _, 19, _>(past.closes);
        let high20 = highest::<L, 19>(close, |i| newer[i]);
        let low20 = lowest::<L, 19>(close, |i| newer[i]);
        let high252 = highest::<L, N_OLDER>(high20, |i| older[i]);
        let low252 = lowest::<L, N_OLDER>(low20, |i| older[i]);
        let from = |extreme: L| close / extreme - 1.0;
        Self { high20: from(high20), low20: from(low20), high252: from(high252), low252: from(low252) }
    }
}
