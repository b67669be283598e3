use std::collections::BTreeMap;

use schemas::SmolStr;

use crate::column::SortedColumn;
use crate::facts::Facts;
use crate::quality::{PEERS_MIN, Ratio};

/// The quality ratios of all ranked rows, kept sorted by sector and over the whole market.
///
/// # Source
/// Specification §10. The same numbers as [`quality`](crate::quality::quality) gives for all rows at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Peers {
    market: Ratios,
    /// Rows without a sector are each other's peers, as in the reference.
    sectors: BTreeMap<Option<SmolStr>, Ratios>,
}

type Ratios = [SortedColumn; Ratio::ALL.len()];

impl Peers {
    /// Reports come a few times a year, so all is sorted anew when one does.
    pub(crate) fn rebuild<'a>(&mut self, rows: impl Iterator<Item = &'a Facts>) {
        let mut sectors: BTreeMap<&Option<SmolStr>, [Vec<f64>; Ratio::ALL.len()]> = BTreeMap::new();
        for facts in rows.filter(|facts| facts.has_ratios()) {
            let sector = sectors.entry(&facts.sector).or_default();
            for (values, goodness) in sector.iter_mut().zip(facts.goodness) {
                values.extend(goodness);
            }
        }
        for (index, column) in self.market.iter_mut().enumerate() {
            column.rebuild(sectors.values().flat_map(|sector| sector[index].iter().copied()));
        }
        let sorted = |sector: [Vec<f64>; Ratio::ALL.len()]| sector.map(SortedColumn::from);
        self.sectors = sectors.into_iter().map(|(name, sector)| (name.clone(), sorted(sector))).collect();
    }

    /// The quality score in points; `None` when no ratio is known.
    pub(crate) fn quality(&self, facts: &Facts) -> Option<f64> {
        let sector = self.sectors.get(&facts.sector);
        let (mut total, mut n_known) = (0.0, 0_u32);
        for (index, goodness) in facts.goodness.iter().enumerate() {
            let Some(goodness) = *goodness else { continue };
            let peers = sector.map(|ratios| &ratios[index]).filter(|peers| peers.len() >= PEERS_MIN);
            total += peers.unwrap_or(&self.market[index]).percentile(goodness);
            n_known += 1;
        }
        (n_known > 0).then(|| total / f64::from(n_known))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quality::{QualityRatios, quality};

    proptest! {
        #[test]
        fn a_row_has_the_quality_of_a_full_ranking(
            rows in prop::collection::vec((0..3_u8, prop::option::of(-3..3_i8), prop::option::of(-3..3_i8)), 1..40),
        ) {
            let ratios = |roe: Option<i8>, debt: Option<i8>| QualityRatios {
                return_on_equity: roe.map(f64::from),
                net_debt_to_ebitda: debt.map(f64::from),
                ..QualityRatios::default()
            };
            let facts = |(sector, roe, debt): (u8, Option<i8>, Option<i8>)| Facts {
                sector: (sector > 0).then(|| sector.to_string().into()),
                goodness: Ratio::ALL.map(|ratio| ratios(roe, debt).goodness(ratio)),
                ..Facts::default()
            };
            let all: Vec<_> = rows.iter().map(|&row| facts(row)).collect();
            let mut peers = Peers::default();
            peers.rebuild(all.iter());
            let all: Vec<_> = rows.iter().map(|&(_, roe, debt)| ratios(roe, debt)).collect();
            let sectors: Vec<_> = rows.iter().map(|&(sector, ..)| sector).collect();
            for (row, expected) in rows.iter().zip(quality(&all, &sectors, PEERS_MIN)) {
                let found = peers.quality(&facts(*row));
                prop_assert_eq!(found.map(f64::to_bits), expected.score.map(f64::to_bits));
            }
        }
    }
}
