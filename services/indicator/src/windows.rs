use pulp::Simd;

use crate::atr::RangeSums;
use crate::average::{AverageSums, CloseSums, price_sum19, squares49};
use crate::channel::{Channel, Channels, range, year};
use crate::figure::Figure;
use crate::input::Past;
use crate::kama::path29;
use crate::lane::Lane;
use crate::returns::ReturnSums;
use crate::selection::Parts;
use crate::state::state;
use crate::stochastic::RsiPlaces;
use crate::volume::{FlowSums, VolumeSums};
use crate::window::term;

state! {
    /// What most windows hold before the bar at hand: that bar completes each with a few operations.
    ///
    /// No state: everything in here is found in the last bars, so that nothing drifts, and an outlier leaves no trace once it has
    /// left the window.
    #[derive(Default)]
    struct Windows {
        closes: CloseSums<L> [Plain],
        squares49: L [Plain],
        averages: AverageSums<L> [Plain],
        returns: ReturnSums<L> [Plain],
        ranges: RangeSums<L> [Plain],
        volumes: VolumeSums<L> [Plain],
        flows: FlowSums<L> [Plain],
        path29: L [Plain],
        prices19: L [Plain],
        extremes: WindowExtremes<L> [Plain],
    }
}

state! {
    /// The extremes of all windows.
    #[derive(Default)]
    struct WindowExtremes {
        channels: Channels<L> [Plain],
        rsis: RsiPlaces<L> [Plain],
        /// Of the closes of a year.
        year: Channel<L> [Plain],
    }
}

impl<L: Lane> Windows<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>, extremes: WindowExtremes<L>) -> Self
    where
        L: Figure<S>,
    {
        Self {
            closes: CloseSums::of(past),
            squares49: squares49(past),
            averages: average_sums(past),
            returns: ReturnSums::of(past),
            ranges: RangeSums::of(past),
            volumes: VolumeSums::of(past),
            flows: FlowSums::of(past),
            path29: path29(past),
            prices19: price_sum19(past),
            extremes,
        }
    }

    /// Finds what some parts need; what is known of it need not be looked for.
    #[inline(always)]
    pub(crate) fn find<S: Simd>(&mut self, past: &Past<S, L>, parts: Parts, known: Known<L>)
    where
        L: Figure<S>,
    {
        self.path29 = path29(past);
        let extremes = &mut self.extremes;
        if parts.has(Parts::CHANNELS) {
            extremes.channels = Channels::of(past, known.last_51);
        } else {
            extremes.channels.last_13 = range::<S, L, 13>(past);
        }
        if parts.has(Parts::AVERAGES) {
            self.closes = CloseSums::of(past);
        }
        if parts.has(Parts::STRENGTH) {
            self.squares49 = squares49(past);
        }
        if parts.has(Parts::SLOPE) {
            self.averages = average_sums(past);
        }
        if parts.has(Parts::RSIS) {
            extremes.rsis = if let Some(rsis) = known.rsis { rsis } else { RsiPlaces::of(past) };
        }
        if parts.has(Parts::COMMODITY) {
            self.prices19 = price_sum19(past);
        }
        if parts.has(Parts::RANGES) {
            self.ranges = RangeSums::of(past);
        }
        if parts.has(Parts::YEAR) {
            extremes.year = if let Some(known) = known.year { known } else { year(past) };
        }
        if parts.has(Parts::FLOWS) {
            self.flows = FlowSums::of(past);
        }
        if parts.has(Parts::VOLUMES) {
            self.volumes = VolumeSums::of(past);
        }
        if parts.has(Parts::VOLATILITIES) {
            self.returns = ReturnSums::of(past);
        }
    }
}

/// What follows from the windows before the newest bar and that bar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<L> {
    pub(crate) year: Option<Channel<L>>,
    pub(crate) last_51: Option<Channel<L>>,
    pub(crate) rsis: Option<RsiPlaces<L>>,
}

#[inline(always)]
fn average_sums<S: Simd, L: Figure<S>>(past: &Past<S, L>) -> AverageSums<L> {
    AverageSums::of(
        past.simd,
        term(
            #[inline(always)]
            |age| past.replaced(age),
        ),
    )
}

impl<L: Lane> WindowExtremes<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>, year: Channel<L>) -> Self
    where
        L: Figure<S>,
    {
        Self { channels: Channels::of(past, None), rsis: RsiPlaces::of(past), year }
    }
}
