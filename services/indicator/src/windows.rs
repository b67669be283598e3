use pulp::Simd;

use crate::atr::RangeSums;
use crate::average::{AverageSums, CloseSums, price_sum19};
use crate::channel::{Channel, Channels};
use crate::figure::Figure;
use crate::input::Past;
use crate::kama::path29;
use crate::lane::Lane;
use crate::returns::ReturnSums;
use crate::stochastic::RsiPlaces;
use crate::volume::{FlowSums, VolumeSums};
use crate::window::term;

/// What most windows hold before the bar at hand: that bar completes each with a few operations.
///
/// No state: everything in here is found in the last bars, so that nothing drifts, and an outlier leaves no trace once it has
/// left the window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Windows<L> {
    pub(crate) closes: CloseSums<L>,
    pub(crate) averages: AverageSums<L>,
    pub(crate) returns: ReturnSums<L>,
    pub(crate) ranges: RangeSums<L>,
    pub(crate) volumes: VolumeSums<L>,
    pub(crate) flows: FlowSums<L>,
    pub(crate) path29: L,
    pub(crate) prices19: L,
    pub(crate) extremes: WindowExtremes<L>,
}

/// The extremes of all windows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WindowExtremes<L> {
    pub(crate) channels: Channels<L>,
    pub(crate) rsis: RsiPlaces<L>,
    /// Of the closes of a year.
    pub(crate) year: Channel<L>,
}

impl<L: Lane> Windows<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>, extremes: WindowExtremes<L>) -> Self
    where
        L: Figure<S>,
    {
        Self {
            closes: CloseSums::of(past),
            averages: AverageSums::of(
                past.simd,
                term(
                    #[inline(always)]
                    |age| past.replaced(age),
                ),
            ),
            returns: ReturnSums::of(past),
            ranges: RangeSums::of(past),
            volumes: VolumeSums::of(past),
            flows: FlowSums::of(past),
            path29: path29(past),
            prices19: price_sum19(past),
            extremes,
        }
    }
}

impl<L: Lane> WindowExtremes<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>, year: Channel<L>) -> Self
    where
        L: Figure<S>,
    {
        Self { channels: Channels::of(past), rsis: RsiPlaces::of(past), year }
    }
}
