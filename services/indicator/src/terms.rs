use pulp::Simd;

use crate::atr::buying_pressure;
use crate::channel::Channel;
use crate::engine::Step;
use crate::figure::Figure;
use crate::input::{Input, Past, log_return};
use crate::lane::Lane;
use crate::stochastic::rsi_places;
use crate::volume::flow;

/// What a bar adds to windows, beside its own numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewTerms<L> {
    pub(crate) gain: L,
    pub(crate) log_gain: L,
    pub(crate) buying: L,
    pub(crate) price: L,
    pub(crate) price_volume: L,
    pub(crate) dollars: L,
    pub(crate) flow_up: L,
    pub(crate) flow_down: L,
    pub(crate) rsi_places: [L; 2],
}

impl<L: Lane> NewTerms<L> {
    #[inline(always)]
    pub(crate) fn new<S: Simd>(past: &Past<S, L>, rsis: [Channel<L>; 2], bar: &Input<L>, step: &Step<L>) -> Self
    where
        L: Figure<S>,
    {
        let gain = past.gain(bar.close);
        let (before, price) = (past.price(), bar.price());
        Self {
            gain,
            log_gain: log_return(gain),
            buying: buying_pressure(bar.low, bar.close, past.close()),
            price,
            price_volume: price * bar.volume,
            dollars: bar.close * bar.volume,
            flow_up: flow(before, price, price, bar.volume),
            flow_down: flow(price, before, price, bar.volume),
            rsi_places: rsi_places(rsis, step.rsi),
        }
    }
}
