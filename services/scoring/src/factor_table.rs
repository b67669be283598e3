//! The fundamental factors of all ranked rows, and how each company stands among its sector.

use std::collections::BTreeMap;

use schemas::FactorScores;

use crate::entry::Entry;
use crate::factors::{Composites, Factor, FundamentalFactors, composites};
use crate::rounding::rounded;
use crate::statistics::{by_group, z_scores};

/// A company's standing moves a little with every price of every other company. With these digits it is published again
/// when there is something to see.
const POINTS_DECIMALS: usize = 1;
const Z_DECIMALS: usize = 2;

/// The factor scores by row, as of when the table was last at rest.
///
/// They are made anew for all rows at once: the prices of all companies of a sector are in the z-score of each.
#[derive(Debug, Default)]
pub(crate) struct FactorTable {
    scores: Vec<Option<FactorScores>>,
    is_stale: bool,
}

impl FactorTable {
    /// Says that a row changed. Rows without company reports have no factors, so they do not matter.
    pub(crate) fn observe(&mut self, entry: &Entry) {
        self.is_stale |= entry.facts.fundamentals.is_some();
    }

    /// Says that rows came or went.
    pub(crate) fn invalidate(&mut self) {
        self.is_stale = true;
    }

    pub(crate) fn of(&self, row: usize) -> Option<&FactorScores> {
        self.scores.get(row)?.as_ref()
    }

    /// Ranks all rows, if there is news, and gives those whose scores changed. `rows` are the ranked ones with their
    /// numbers.
    ///
    /// # Source
    /// Specification §4.
    pub(crate) fn refresh<'a>(&mut self, rows: impl Iterator<Item = (usize, &'a Entry)>) -> Vec<usize> {
        if !std::mem::take(&mut self.is_stale) {
            return Vec::new();
        }
        let known = |(row, entry): (usize, &'a Entry)| {
            let mut inputs = **entry.facts.fundamentals.as_ref()?;
            inputs.market_cap = entry.facts.shares.map(|shares| shares * entry.inputs.close);
            Some((row, entry, FundamentalFactors::new(&inputs)))
        };
        let mut companies: Vec<(usize, &Entry, FundamentalFactors)> = rows.filter_map(known).collect();
        // A sum depends on its order, and rows stand in the order in which they came.
        companies.sort_unstable_by_key(|(_, entry, _)| entry.inputs.symbol);
        let factors: Vec<FundamentalFactors> = companies.iter().map(|(_, _, factors)| *factors).collect();
        let sectors: Vec<Option<&str>> = companies.iter().map(|(_, entry, _)| entry.facts.sector.as_deref()).collect();
        let mut sector_z = vec![BTreeMap::new(); companies.len()];
        for factor in Factor::ALL {
            let column: Vec<Option<f64>> = factors.iter().map(|factors| factors.get(factor)).collect();
            if column.iter().all(Option::is_none) {
                continue;
            }
            for (scores, z) in sector_z.iter_mut().zip(by_group(&sectors, &column, z_scores)) {
                scores.extend(z.map(|z| (factor.sector_z_name().into(), rounded(z, Z_DECIMALS))));
            }
        }
        let points = |points: Option<f64>| points.map(|points| rounded(points, POINTS_DECIMALS));
        let composites = composites(&factors, &sectors);
        let mut old = std::mem::take(&mut self.scores);
        let mut changed = Vec::new();
        let of_companies = companies.iter().zip(composites).zip(sector_z);
        for ((&(row, ..), Composites { value, quality, growth }), sector_z) in of_companies {
            let scores = FactorScores {
                value_score: points(value),
                quality_factor: points(quality),
                growth_score: points(growth),
                sector_z,
            };
            if self.scores.len() <= row {
                self.scores.resize(row + 1, None);
            }
            let was = old.get_mut(row).and_then(Option::take);
            if was.as_ref() != Some(&scores) {
                changed.push(row);
            }
            self.scores[row] = Some(scores);
        }
        changed.extend(old.iter().enumerate().filter(|(_, scores)| scores.is_some()).map(|(row, _)| row));
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use schemas::{EventTime, Filing, FilingPeriod, Instrument, ResultRow};

    use crate::ScoringInput;
    use crate::world::{bar, day, instrument, settled, stage, symbol};
    use pipeline::Stage as _;

    fn report(day: i32, year: i32, revenues: f64, net_income: f64) -> Filing {
        Filing {
            available_on_ns: EventTime::from_days(day).as_ns(),
            end_ns: EventTime::from_days(day - 30).as_ns(),
            fiscal_year: year,
            period: FilingPeriod::Year,
            revenues: Some(revenues),
            operating_income: None,
            net_income: Some(net_income),
            dividend: None,
            assets: Some(1000.0),
            cash: None,
            equity: Some(500.0),
            operating_cash_flow: None,
        }
    }

    fn company(text: &str, sector: &str, revenues: [f64; 2], net_income: f64) -> ScoringInput {
        ScoringInput::Instrument(Instrument {
            sector: Some(sector.into()),
            shares: Some((1e7, EventTime::from_days(0))),
            filings: vec![report(100, 1, revenues[0], 1.0), report(400, 2, revenues[1], net_income)],
            ..instrument(text)
        })
    }

    fn price(text: &str, session: i32, close: f64) -> ScoringInput {
        bar(text, day(session, close, 1e6), &[("n_bars", 300.0)])
    }

    #[test]
    fn a_company_is_compared_with_its_sector() {
        let (rows, _) = settled([
            company("A", "Energy", [100.0, 101.0], 10.0),
            company("B", "Energy", [100.0, 110.0], 20.0),
            company("C", "Energy", [100.0, 150.0], 30.0),
            company("D", "Health Care", [100.0, 90.0], 9.0),
            ScoringInput::Instrument(instrument("E")),
            price("A", 410, 10.0),
            price("B", 410, 10.0),
            price("C", 410, 10.0),
            price("D", 410, 10.0),
            price("E", 410, 10.0),
        ]);
        let growth: Vec<_> =
            rows.iter().map(|row| row.factors.as_ref().and_then(|factors| factors.growth_score)).collect();
        // Alone in its sector D is average there: between B, a little below the mean of its own, and C.
        assert_eq!(growth, [Some(25.0), Some(50.0), Some(100.0), Some(75.0), None]);
        assert_eq!(rows[4].factors, None, "without reports there are no factors");
        let factors = rows[2].factors.as_ref().unwrap();
        // 10, 20 and 30 of the same capital.
        assert!((factors.sector_z["value_ep_sector_z"] - 1.0).abs() < 1e-12, "{factors:?}");
        assert_eq!(
            factors.sector_z.keys().map(|name| &**name).collect::<Vec<_>>(),
            [
                "growth_rev_sector_z",
                "quality_margin_net_sector_z",
                "quality_roa_sector_z",
                "quality_roe_sector_z",
                "size_log_mcap_sector_z",
                "value_ep_sector_z",
            ]
        );
        // Before the second report was known there was no growth, and another income.
        let (rows, _) = settled([company("A", "Energy", [100.0, 100.0], 10.0), price("A", 399, 10.0)]);
        assert_eq!(rows[0].factors.as_ref().unwrap().growth_score, None);
    }

    proptest! {
        #[test]
        fn factors_at_rest_are_those_of_a_full_recompute(
            updates in prop::collection::vec((0_u8..12, 410_i32..414, 5_u8..50, prop::bool::ANY), 1..60),
        ) {
            let companies = || (0..12_u8).map(|number| {
                let text = format!("T{number}");
                let income = f64::from(number % 5) * 7.0 - 5.0;
                company(&text, if number % 3 == 0 { "a" } else { "b" }, [100.0, 100.0 + f64::from(number)], income)
            });
            let (mut stage, mut out, mut published) = (stage(), Vec::new(), BTreeMap::<_, ResultRow>::new());
            for input in companies() {
                stage.on_batch(input, &mut out).unwrap();
            }
            let mut newest = BTreeMap::new();
            for (number, session, close, is_rest) in updates {
                let text = format!("T{number}");
                stage.on_batch(price(&text, session, f64::from(close)), &mut out).unwrap();
                stage.on_idle(&mut out);
                if is_rest {
                    stage.settle(&mut out);
                }
                let known = newest.entry(symbol(&text)).or_insert((session, close));
                if session > known.0 {
                    *known = (session, close);
                }
            }
            stage.settle(&mut out);
            for row in out.into_iter().flat_map(|batch| batch.rows) {
                published.insert(row.symbol, row);
            }
            let prices = newest.iter().map(|(name, &(session, close))| price(name.as_str(), session, f64::from(close)));
            let (expected, _) = settled(companies().chain(prices));
            prop_assert_eq!(published.into_values().collect::<Vec<_>>(), expected);
        }
    }
}
