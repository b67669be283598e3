use pulp::Simd;

use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::{Lane, inverses};
use crate::state::state;
use crate::window::{sum, term};

/// Below this flow over the window, in currency, the money flow index is 0.
const FLOW_MIN: f64 = 1.0;
/// Typical prices are sums of three prices here; the flow is three times as large.
const N_PRICES: f64 = 3.0;

state! {
    /// Running totals of volume: on-balance volume, accumulation/distribution and the oscillator of the latter.
    ///
    /// # Shape
    /// One per bar from the first; the oscillator (3, 10) from bar 10.
    ///
    /// # Units
    /// Shares.
    ///
    /// # Source
    /// TA-Lib `OBV` (starts as the first volume), `AD`, `ADOSC` (both averages start as the first value of `AD`).
    struct Volume {
        on_balance: L [Shares],
        distribution: L [Shares],
        fast: L [Shares],
        slow: L [Shares],
    }
}

impl<L: Lane> Volume<L> {
    /// Takes in a bar after `n_before` others.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, close_before: L, bar: &Input<L>, flow: L) -> Self {
        if n_before == 0 {
            return Self { on_balance: bar.volume, distribution: flow, fast: flow, slow: flow };
        }
        let change = bar.close - close_before;
        let zero = change.zero();
        let loss = L::select(change.is_below(zero), zero - bar.volume, zero);
        let signed = L::select(change.is_above(zero), bar.volume, loss);
        let distribution = self.distribution + flow;
        Self {
            on_balance: self.on_balance + signed,
            distribution,
            fast: distribution * (2.0 / 4.0) + self.fast * (1.0 - 2.0 / 4.0),
            slow: distribution * (2.0 / 11.0) + self.slow * (1.0 - 2.0 / 11.0),
        }
    }

    #[inline(always)]
    pub(crate) fn oscillator(&self) -> L {
        self.fast - self.slow
    }
}

/// Where the close stands in its bar: 1 at the high, −1 at the low, 0 where the bar has no range.
#[inline(always)]
pub(crate) fn close_place<L: Lane>(high: L, low: L, close: L) -> L {
    ((close - low) - (high - close)).over_or_zero(high - low)
}

/// Figures of the last 20 bars that weigh by volume.
pub(crate) struct VolumeWindow<L> {
    /// Chaikin money flow.
    ///
    /// # Shape
    /// One per bar; the first with bar 20; missing where nothing was traded.
    ///
    /// # Units
    /// −1 to 1.
    ///
    /// # Source
    /// Specification §2.5: `Σ place · V / Σ V`.
    pub(crate) money_flow: L,
    /// Mean of the typical price, weighted by volume. Shape and source as `money_flow`.
    pub(crate) average_price: L,
    /// Currency: mean of close × volume.
    pub(crate) dollar_volume: L,
    /// Currency of the bar over its mean; missing where nothing was traded.
    pub(crate) dollar_ratio: L,
    /// Volume over its mean; missing where nothing was traded.
    pub(crate) relative_volume: L,
}

state! {
    /// Sums of the 19 bars before the one at hand, or what one bar adds to them.
    #[derive(Default)]
    struct VolumeSums {
        volume: L [Plain],
        flow: L [Plain],
        price_volume: L [Plain],
        dollars: L [Plain],
    }
}

impl<L: Lane> VolumeSums<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        Self {
            volume: sum::<S, L, 2, 3>(term(
                #[inline(always)]
                |age| past.volume_run(age),
            )),
            flow: sum::<S, L, 2, 3>(term(
                #[inline(always)]
                |age| past.flows(age),
            )),
            price_volume: sum::<S, L, 2, 3>(term(
                #[inline(always)]
                |age| past.price_volumes(age),
            )),
            dollars: sum::<S, L, 2, 3>(term(
                #[inline(always)]
                |age| past.dollars(age),
            )),
        }
    }

    /// With what the bar adds to each.
    #[inline(always)]
    pub(crate) fn with(&self, new: &Self) -> VolumeWindow<L> {
        let volume = self.volume + new.volume;
        let dollars = self.dollars + new.dollars;
        // Twenty bars without a trade: 0 / 0, which is missing.
        let [inverse, inverse_of_dollars] = inverses([volume, dollars]);
        VolumeWindow {
            money_flow: (self.flow + new.flow) * inverse,
            average_price: (self.price_volume + new.price_volume) * inverse * (1.0 / N_PRICES),
            dollar_volume: dollars * (1.0 / 20.0),
            dollar_ratio: new.dollars * 20.0 * inverse_of_dollars,
            relative_volume: new.volume * 20.0 * inverse,
        }
    }
}

state! {
    /// Sums of what flowed upwards and downwards in the 13 bars before the one at hand.
    #[derive(Default)]
    struct FlowSums {
        up: L [Plain],
        down: L [Plain],
    }
}

impl<L: Lane> FlowSums<L> {
    #[inline(always)]
    pub(crate) fn of<S: Simd>(past: &Past<S, L>) -> Self
    where
        L: Figure<S>,
    {
        Self {
            up: sum::<S, L, 1, 5>(term(
                #[inline(always)]
                |age| past.flows_up(age),
            )),
            down: sum::<S, L, 1, 5>(term(
                #[inline(always)]
                |age| past.flows_down(age),
            )),
        }
    }

    /// Money flow index over 14 changes.
    ///
    /// # Shape
    /// One per bar; the first with bar 15.
    ///
    /// # Units
    /// Points, 0 to 100; 0 where less than one unit of currency flowed.
    ///
    /// # Source
    /// TA-Lib `MFI`. Prices that differ by rounding alone are equal, as in its newer versions.
    #[inline(always)]
    pub(crate) fn money_flow_index(&self, flow_up: L, flow_down: L) -> L {
        let up = self.up + flow_up;
        let both = up + (self.down + flow_down);
        let is_flat = both.is_below(both.constant(FLOW_MIN * N_PRICES));
        L::select(is_flat, both.zero(), up / both * 100.0)
    }
}

/// What flowed at a price, if the second of two prices is higher.
#[inline(always)]
pub(crate) fn flow<L: Lane>(first: L, second: L, price: L, volume: L) -> L {
    /// A change of less, relative to both prices, is rounding.
    const NOISE: f64 = 1e-14;
    L::select((second - first).is_above((second + first) * NOISE), price * volume, first.zero())
}
