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
    liquidity: f64,
    pub(crate) atr: Option<f64>,
    quality: Option<f64>,
}

impl Standing {
    /// Equal bits, so that a row is published again exactly when a number in it changed.
    pub(crate) fn same_bits(&self, other: &Self) -> bool {
        let bits = |standing: &Self| {
            let Self { tech, alpha, liquidity, atr, quality } = *standing;
            [tech, alpha, Some(liquidity), atr, quality].map(|points| points.map(f64::to_bits))
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

impl CrossSection {
    pub(crate) fn rebuild<'a>(&mut self, rows: impl Iterator<Item = &'a Entry> + Clone) {
        self.tech.rebuild(rows.clone().filter_map(|entry| entry.tech.rating));
        self.alpha.rebuild(rows.clone().filter_map(|entry| entry.alpha));
        self.liquidity.rebuild(rows.clone().map(Entry::log_dollar_volume));
        self.atr.rebuild(rows.filter_map(|entry| entry.atr_pct));
    }

    pub(crate) fn rebuild_peers<'a>(&mut self, rows: impl Iterator<Item = &'a Entry>) {
        self.peers.rebuild(rows.map(|entry| &entry.facts));
    }

    pub(crate) fn insert(&mut self, entry: &Entry) {
        self.each(entry, SortedColumn::insert);
    }

    pub(crate) fn remove(&mut self, entry: &Entry) {
        self.each(entry, SortedColumn::remove);
    }

    fn each(&mut self, entry: &Entry, mut apply: impl FnMut(&mut SortedColumn, f64)) {
        let columns = [
            (&mut self.tech, entry.tech.rating),
            (&mut self.alpha, entry.alpha),
            (&mut self.liquidity, Some(entry.log_dollar_volume())),
            (&mut self.atr, entry.atr_pct),
        ];
        for (column, value) in columns {
            if let Some(value) = value {
                apply(column, value);
            }
        }
    }

    pub(crate) fn standing(&self, entry: &Entry) -> Standing {
        Standing {
            tech: entry.tech.rating.map(|rating| self.tech.percentile(rating)),
            alpha: entry.alpha.map(|alpha| self.alpha.percentile(alpha)),
            liquidity: self.liquidity.percentile(entry.log_dollar_volume()),
            atr: entry.atr_pct.map(|atr| self.atr.percentile(atr)),
            quality: self.peers.quality(&entry.facts),
        }
    }
}

/// The scores of one row from its own numbers and its standing.
///
/// # Source
/// Specification §9 and §11. Quirks are handled by the inputs: the stability term is the right way round (Q5), a
/// missing term is a neutral 50, ultra-risky is the definition of §13.4 (Q10).
pub(crate) fn score(entry: &Entry, standing: &Standing) -> Scored {
    let quality = standing.quality;
    let events = entry.facts.events;
    let market_cap = entry.facts.shares.map(|shares| shares * entry.inputs.close);
    let terms = IcsTerms {
        tech: standing.tech,
        alpha: standing.alpha,
        quality,
        stability: ics::stability_term(entry.subscores.risk),
        liquidity: Some(standing.liquidity),
        event: Some(ics::event_term(&events.map_or_else(IcsEvents::default, |events| events.ics()))),
    }
    .or_neutral();
    let (ics, ics_parts) = ics::ics(&terms).zip(ics::breakdown(&terms)).expect("every term is present: or_neutral");
    let merit = merit::merit(&MeritInputs {
        tech_pct: standing.tech,
        alpha_pct: standing.alpha,
        win_prob: entry.inputs.win_prob_10d.map_or(WinProb::Absent, WinProb::Known),
        ics: Some(ics),
        quality,
        liquidity_pct: Some(standing.liquidity),
        vol_safety_pct: standing.atr.map(|atr| 100.0 - atr),
        dollar_volume: Some(entry.dollar_volume),
        atr_pct: entry.atr_pct,
        market_cap,
        days_to_earnings: events.and_then(|events| events.days_to_earnings()),
        is_ultra_risky: is_ultra_risky(entry),
        ics_column_incomplete: false,
        quality_column_incomplete: true,
    });
    Scored { market_cap, quality, ics, ics_parts, merit }
}
