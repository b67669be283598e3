use pulp::Simd;

use crate::atr::NearRanges;
use crate::average::NearSums;
use crate::channel::Channel;
use crate::figure::Figure;
use crate::input::Past;
use crate::kama::near_path;
use crate::lane::Lane;
use crate::returns::gap_sum9;
use crate::stochastic::last_rsis;
use crate::window::{Highest, Lowest, term};

/// What the shortest windows hold before the bar at hand: found for every bar, because a slot has no room to keep it beside
/// the [`Windows`](crate::windows::Windows).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Near<L> {
    pub(crate) closes: NearSums<L>,
    pub(crate) ranges: NearRanges<L>,
    pub(crate) path9: L,
    pub(crate) gaps9: L,
    pub(crate) extremes: NearExtremes<L>,
}

/// Extremes of the highs and lows of 4, 8 and 9 bars, of 19 closes, and of 4 and 13 RSIs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NearExtremes<L> {
    pub(crate) last_4: Channel<L>,
    pub(crate) last_8: Channel<L>,
    pub(crate) last_9: Channel<L>,
    pub(crate) closes19: Channel<L>,
    pub(crate) rsis: [Channel<L>; 2],
}

impl<L: Lane> Near<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>, extremes: NearExtremes<L>) -> Self
    where
        L: Figure<S>,
    {
        Self {
            closes: NearSums::of(past),
            ranges: NearRanges::of(past),
            path9: near_path(past),
            gaps9: gap_sum9(past),
            extremes,
        }
    }
}

impl<L: Lane> NearExtremes<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
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
        let closes = term(
            #[inline(always)]
            |age| past.close_run(age),
        );
        let last_4 = Channel { high: high.with::<0, 4>(highs), low: low.with::<0, 4>(lows) };
        let last_8 = Channel { high: high.with::<4, 8>(highs), low: low.with::<4, 8>(lows) };
        let closes19 = Channel {
            high: Highest::new(past.simd, past.close()).with::<0, 19>(closes),
            low: Lowest::new(past.simd, past.close()).with::<0, 19>(closes),
        };
        Self {
            last_4,
            last_8,
            last_9: last_8.with(past.highs[past.highs.len() - 9], past.lows[past.lows.len() - 9]),
            closes19,
            rsis: last_rsis(past, 0),
        }
    }
}
