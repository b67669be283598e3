//! Columns that weigh by volume.

use pulp::Simd;

use crate::columns::terms::More;
use crate::columns::track::View;
use crate::columns::{Chunk, Columns};
use crate::input::Input;
use crate::lane::Lane as _;
use crate::lanes::Lanes;
use crate::plan::Column;
use crate::volume::{FlowSums, VolumeSums};

impl<S: Simd> Columns<S> {
    /// Running totals, and the money flow index.
    #[inline(always)]
    pub(super) fn flows(&mut self, Chunk { first, n, is_tame }: Chunk) {
        const TOTALS: [Column; 3] = [Column::Obv, Column::Ad, Column::Adosc310];
        // That of distribution tells where highs and lows are missing.
        if self.wanted.any(&TOTALS) || !is_tame {
            let simd = self.simd;
            let lanes = |number: &S::f64s| Lanes::new(simd, *number);
            let mut tracks = self.take(TOTALS);
            let [balances, distributions, oscillators] = tracks.each_mut().map(|track| track.now(n));
            let closes = [0, 1].map(|n_back| self.terms.close.back(n_back, n));
            let (volume, flow) = (self.terms.volume.back(0, n), self.terms.flow.back(0, n));
            let mut totals = self.hot.volume;
            let zero = Lanes::splat(simd, 0.0);
            for (i, n_before) in (0..n).zip(first..) {
                let (close, before) = (lanes(&closes[0][i]), lanes(&closes[1][i]));
                let volume = lanes(&volume[i]);
                let bar = Input { open: zero, high: zero, low: zero, close, volume, inverse: zero };
                totals = totals.next(n_before, before, &bar, lanes(&flow[i]));
                balances[i] = totals.on_balance.plain();
                distributions[i] = totals.distribution.plain();
                oscillators[i] = totals.oscillator().plain();
            }
            self.hot.volume = totals;
            self.give(TOTALS, tracks);
        }
        if self.wanted.any(&[Column::Mfi14]) {
            let [mut track] = self.take([Column::Mfi14]);
            let [ups, downs, ..] = &mut self.sums;
            self.terms.flow_up.sums::<1, 5>(n, &mut self.spare, ups);
            self.terms.flow_down.sums::<1, 5>(n, &mut self.spare, downs);
            let (ups, downs) = (ups.view(0, n), downs.view(0, n));
            let (up, down) = (self.terms.flow_up.view(0, n), self.terms.flow_down.view(0, n));
            let indices = track.now(n);
            for i in 0..n {
                let sums = FlowSums { up: ups.at(i), down: downs.at(i) };
                indices[i] = sums.money_flow_index(up.at(i), down.at(i)).plain();
            }
            self.give([Column::Mfi14], [track]);
        }
    }

    /// Windows of 20 bars.
    #[inline(always)]
    pub(super) fn volumes(&mut self, Chunk { n, .. }: Chunk) {
        const COLUMNS: [Column; 5] =
            [Column::Cmf20, Column::Vwap20, Column::DollarVol20, Column::VolSpikeRatio, Column::Rvol20];
        if !self.wanted.any(&COLUMNS) {
            return;
        }
        let mut tracks = self.take(COLUMNS);
        let More { price_volume, dollars, .. } = self.terms.more.as_ref().expect("these columns are some of its");
        let (volume, flow) = (&self.terms.volume, &self.terms.flow);
        let sums = &mut self.sums;
        for (terms, sums) in [volume, flow, price_volume, dollars].into_iter().zip(sums.iter_mut()) {
            terms.sums::<2, 3>(n, &mut self.spare, sums);
        }
        let [flows, prices, averages, spikes, ratios] = tracks.each_mut().map(|track| track.now(n));
        let before = OfVolumes([&sums[0], &sums[1], &sums[2], &sums[3]].map(|track| track.view(0, n)));
        let new = OfVolumes([volume, flow, price_volume, dollars].map(|track| track.view(0, n)));
        for i in 0..n {
            let window = before.at(i).with(&new.at(i));
            flows[i] = window.money_flow.plain();
            prices[i] = window.average_price.plain();
            averages[i] = window.dollar_volume.plain();
            spikes[i] = window.dollar_ratio.plain();
            ratios[i] = window.relative_volume.plain();
        }
        self.give(COLUMNS, tracks);
    }
}

/// Volume, flow, price times volume, and currency.
struct OfVolumes<'a, S: Simd>([View<'a, S>; 4]);

impl<S: Simd> OfVolumes<'_, S> {
    #[inline(always)]
    fn at(&self, i: usize) -> VolumeSums<Lanes<S>> {
        let [volume, flow, price_volume, dollars] = &self.0;
        VolumeSums { volume: volume.at(i), flow: flow.at(i), price_volume: price_volume.at(i), dollars: dollars.at(i) }
    }
}
