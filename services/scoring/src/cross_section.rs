use crate::column::SortedColumn;
use crate::entry::Entry;
use crate::ics::{self, IcsEvents, IcsTerms};
use crate::idea::is_ultra_risky;
use crate::merit::{self, Merit, MeritInputs, WinProb};
use crate::peers::Peers;
use crate::tiers::ResultTier;

/// Where a row stands among all ranked rows, in points of (0, 100]; `None` where the row lacks the value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Standing {
    tech: Option<f64>,
    alpha: Option<f64>,
    liquidity: Option<f64>,
    pub(crate) atr: Option<f64>,
    quality: Option<f64>,
}

impl Standing {
    /// From the points of a row by its keys, and its quality.
    pub(crate) fn new([tech, alpha, liquidity, atr]: RankKeys, quality: Option<f64>) -> Self {
        Self { tech, alpha, liquidity, atr, quality }
    }

    /// Equal bits, so that a row is published again exactly when a number in it changed.
    pub(crate) fn same_bits(&self, other: &Self) -> bool {
        let bits = |standing: &Self| {
            let Self { tech, alpha, liquidity, atr, quality } = *standing;
            [tech, alpha, liquidity, atr, quality].map(|points| points.map(f64::to_bits))
        };
        bits(self) == bits(other)
    }
}

/// A row's scores, and the standing they follow from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scored {
    pub(crate) market_cap: Option<f64>,
    pub(crate) quality: Option<f64>,
    pub(crate) ics: f64,
    pub(crate) ics_parts: ics::IcsBreakdown,
    pub(crate) merit: Merit,
}

impl Scored {
    pub(crate) fn result_tier(&self) -> ResultTier {
        ResultTier::of(self.merit.score, self.merit.tech_pct, self.quality)
    }
}

/// The sorted columns of all ranked rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CrossSection {
    tech: SortedColumn,
    alpha: SortedColumn,
    liquidity: SortedColumn,
    atr: SortedColumn,
    peers: Peers,
}

/// What a row is ranked by: the technical rating, alpha, liquidity and the average true range.
pub(crate) type RankKeys = [Option<f64>; 4];

impl CrossSection {
    pub(crate) fn keys(entry: &Entry) -> RankKeys {
        [entry.tech.rating, entry.alpha, Some(entry.log_dollar_volume), entry.atr_pct]
    }

    fn columns(&mut self) -> [&mut SortedColumn; 4] {
        [&mut self.tech, &mut self.alpha, &mut self.liquidity, &mut self.atr]
    }

    pub(crate) fn rebuild(&mut self, rows: &(impl Iterator<Item = RankKeys> + Clone)) {
        for (n, column) in self.columns().into_iter().enumerate() {
            column.rebuild(rows.clone().filter_map(|keys| keys[n]));
        }
    }

    /// Sorts anew, and says where each row stands; all of a row that is not ranked is missing. The same bits as
    /// [`standing`](Self::standing) of each, without a search.
    pub(crate) fn rebuild_ranked(&mut self, rows: impl ExactSizeIterator<Item = RankKeys>) -> Vec<RankKeys> {
        let mut standings = vec![RankKeys::default(); rows.len()];
        let mut by_column: [Vec<Option<f64>>; 4] = std::array::from_fn(|_| Vec::with_capacity(rows.len()));
        for keys in rows {
            for (values, key) in by_column.iter_mut().zip(keys) {
                values.push(key);
            }
        }
        for (n, (column, values)) in self.columns().into_iter().zip(&by_column).enumerate() {
            for (standing, points) in standings.iter_mut().zip(column.rebuild_ranked(values)) {
                standing[n] = points;
            }
        }
        standings
    }

    pub(crate) fn rebuild_peers<'a>(&mut self, rows: impl Iterator<Item = &'a Entry>) {
        self.peers.rebuild(rows.map(|entry| &entry.facts));
    }

    /// The quality of a row among its peers, in points.
    pub(crate) fn quality(&self, entry: &Entry) -> Option<f64> {
        self.peers.quality(&entry.facts)
    }

    /// A row that changed, came (`old` is empty) or left (`new` is).
    pub(crate) fn replace(&mut self, old: RankKeys, new: RankKeys) {
        for ((column, old), new) in self.columns().into_iter().zip(old).zip(new) {
            column.replace(old, new);
        }
    }

    pub(crate) fn standing(&self, entry: &Entry) -> RankKeys {
        let [tech, alpha, liquidity, atr] = Self::keys(entry);
        [
            tech.map(|rating| self.tech.percentile(rating)),
            alpha.map(|alpha| self.alpha.percentile(alpha)),
            liquidity.map(|liquidity| self.liquidity.percentile(liquidity)),
            atr.map(|atr| self.atr.percentile(atr)),
        ]
    }
}

/// The scores of one row from its own numbers and its standing.
///
/// # Source
/// Specification §9 and §11. Quirks are handled by the inputs: the stability term is the right way round (Q5), a
/// missing term is a neutral 50, ultra-risky is the definition of §13.4 (Q10).
pub(crate) fn score(entry: &Entry, standing: &Standing) -> Scored {
    let quality = standing.quality;
    let market_cap = entry.facts.shares.map(|shares| shares * entry.inputs.close);
    let terms = IcsTerms {
        tech: standing.tech,
        alpha: standing.alpha,
        quality,
        stability: ics::stability_term(entry.subscores.risk),
        liquidity: standing.liquidity,
        event: Some(ics::event_term(&IcsEvents::default())),
    }
    .or_neutral();
    let (ics, ics_parts) = ics::ics(&terms).zip(ics::breakdown(&terms)).expect("every term is present: or_neutral");
    let merit = merit::merit(&MeritInputs {
        tech_pct: standing.tech,
        alpha_pct: standing.alpha,
        win_prob: entry.inputs.win_prob_10d.map_or(WinProb::Absent, WinProb::Known),
        ics: Some(ics),
        quality,
        liquidity_pct: standing.liquidity,
        vol_safety_pct: standing.atr.map(|atr| 100.0 - atr),
        dollar_volume: Some(entry.dollar_volume),
        atr_pct: entry.atr_pct,
        market_cap,
        days_to_earnings: None,
        is_ultra_risky: is_ultra_risky(entry),
        ics_column_incomplete: false,
        quality_column_incomplete: true,
    });
    Scored { market_cap, quality, ics, ics_parts, merit }
}
