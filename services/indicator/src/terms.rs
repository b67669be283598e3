use pulp::Simd;

use crate::atr::buying_pressure;
use crate::figure::Figure;
use crate::input::{Input, Past};
use crate::lane::Lane;
use crate::volume::flow;

/// What a bar adds to windows, beside its own numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewTerms<L> {
    pub(crate) gain: L,
    pub(crate) buying: L,
    pub(crate) price: L,
    pub(crate) price_volume: L,
    pub(crate) dollars: L,
    pub(crate) flow_up: L,
    pub(crate) flow_down: L,
}

impl<L: Lane> NewTerms<L> {
    #[inline(always)]
    pub(crate) fn new<S: Simd>(past: &Past<S, L>, bar: &Input<L>) -> Self
    where
        L: Figure<S>,
    {
        let gain = past.gain(bar.close);
        let (before, price) = (past.price(), bar.price());
        Self {
            gain,
            buying: buying_pressure(bar.low, bar.close, past.close()),
            price,
            price_volume: price * bar.volume,
            dollars: bar.close * bar.volume,
            flow_up: flow(before, price, price, bar.volume),
            flow_down: flow(price, before, price, bar.volume),
        }
    }
}
