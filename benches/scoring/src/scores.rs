//! What the peer computes and nothing else: ranks, ICS and MERIT of columns, best first.

use scoring::ics::{self, IcsEvents, IcsTerms};
use scoring::merit::{self, MeritInputs, WinProb};
use scoring::percentile::{points_of, ranks};
use scoring::risk;

/// The columns that `peer.py` makes, with the same spreads.
pub(crate) struct Columns {
    tech: Vec<Option<f64>>,
    alpha: Vec<Option<f64>>,
    win: Vec<f64>,
    atr: Vec<Option<f64>>,
    dollar_volume: Vec<f64>,
    quality: Vec<f64>,
    close: Vec<f64>,
}

impl Columns {
    pub(crate) fn new(n_rows: usize, mut unit: impl FnMut() -> f64) -> Self {
        let mut column =
            |from: f64, to: f64| -> Vec<f64> { (0..n_rows).map(|_| from + (to - from) * unit()).collect() };
        let close = column(5.0, 205.0);
        let volume = column(0.0, 8.0).into_iter().map(|log| 1e4 * log.exp());
        Self {
            dollar_volume: close.iter().zip(volume).map(|(close, volume)| close * volume).collect(),
            tech: column(-19.0, 26.0).into_iter().map(|tech| Some((10.0 * tech).round() / 10.0)).collect(),
            alpha: column(-0.01, 0.01).into_iter().map(Some).collect(),
            win: column(0.4, 0.6),
            atr: column(0.005, 0.055).into_iter().map(Some).collect(),
            quality: column(0.0, 100.0),
            close,
        }
    }

    /// Places of the rows, best first.
    pub(crate) fn ranked(&self) -> Vec<usize> {
        let liquidity: Vec<_> = self.dollar_volume.iter().map(|volume| Some(volume.max(1.0).log10())).collect();
        let [tech, alpha, liquidity, atr] =
            [&self.tech, &self.alpha, &liquidity, &self.atr].map(|column| points_of(ranks(column)));
        let score = |row: usize| {
            let quality = Some(self.quality[row]);
            let ics = ics::ics(&IcsTerms {
                tech: tech[row],
                alpha: alpha[row],
                quality,
                stability: ics::stability_term(self.atr[row].map(|atr| 1.0 - 50.0 * atr)),
                liquidity: liquidity[row],
                event: Some(ics::event_term(&IcsEvents::default())),
            });
            let (close, dollar_volume) = (Some(self.close[row]), Some(self.dollar_volume[row]));
            let merit = merit::merit(&MeritInputs {
                tech_pct: tech[row],
                alpha_pct: alpha[row],
                win_prob: WinProb::Known(self.win[row]),
                ics,
                quality,
                liquidity_pct: liquidity[row],
                vol_safety_pct: atr[row].map(|points| 100.0 - points),
                dollar_volume,
                atr_pct: self.atr[row],
                is_ultra_risky: risk::is_ultra_risky(self.atr[row], close, dollar_volume),
                ..MeritInputs::default()
            });
            merit.score
        };
        let mut scored: Vec<(f64, usize)> = (0..self.close.len()).map(|row| (score(row), row)).collect();
        scored.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
        scored.into_iter().map(|(_, row)| row).collect()
    }
}
