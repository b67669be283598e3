//! The fundamental factors of all ranked rows, and how each company stands among its sector.

use schemas::FactorScores;

use crate::entry::Entry;
use crate::factors::{Composites, Factor, FundamentalInputs, by_name, composite};
use crate::statistics::{groups, z_within};

const N_FACTORS: usize = Factor::ALL.len();
const N_COMPOSITES: usize = Composites::PARTS.len();

/// The factor scores by row, as of when the table was last at rest.
///
/// The prices of all companies of a sector are in the z-score of each, so they are made for all rows at once; what did not
/// change since the last time is kept, column by column.
#[derive(Debug, Default)]
pub(crate) struct FactorTable {
    companies: Vec<Company>,
    /// The places of the companies of each sector.
    sectors: Vec<Vec<usize>>,
    /// In the order of [`Factor::ALL`], by company: the factors, and how they stand within the sector.
    factors: [Vec<Option<f64>>; N_FACTORS],
    sector_z: [Vec<Option<f64>>; N_FACTORS],
    /// By row: the market capitalisation at the newest price, and what is published.
    market_caps: Vec<Option<f64>>,
    shown: Vec<Option<Shown>>,
    /// Rows that are published with other scores now.
    changed: Vec<usize>,
    /// Prices are others.
    is_stale: bool,
    /// So are the companies, or their reports.
    companies_are_stale: bool,
}

#[derive(Debug)]
struct Company {
    row: usize,
    /// Reports with the market capitalisation at the newest price.
    inputs: FundamentalInputs,
}

/// The scores with the digits that are published: a company's standing moves a little with every price of every other one,
/// and is published again when there is something to see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Shown {
    /// Tenths of a point.
    composites: [Rounded; N_COMPOSITES],
    /// Hundredths of a deviation.
    sector_z: [Rounded; N_FACTORS],
}

const STEPS_PER_POINT: f64 = 10.0;
const STEPS_PER_DEVIATION: f64 = 100.0;

/// A number in steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Rounded(Option<i16>);

impl Rounded {
    #[allow(clippy::cast_possible_truncation, reason = "`as` saturates, and no score of so few rows is as large")]
    fn new(value: Option<f64>, n_steps: f64) -> Self {
        Self(value.map(|value| (value * n_steps).round_ties_even() as i16))
    }

    fn get(self, n_steps: f64) -> Option<f64> {
        self.0.map(|steps| f64::from(steps) / n_steps)
    }
}

impl FactorTable {
    /// Says that a row changed. Rows without company reports have no factors, so they do not matter.
    pub(crate) fn observe(&mut self, row: usize, entry: &Entry) {
        if entry.facts.fundamentals.is_some() {
            self.is_stale = true;
            self.note_price(row, entry);
        }
    }

    fn note_price(&mut self, row: usize, entry: &Entry) {
        if self.market_caps.len() <= row {
            self.market_caps.resize(row + 1, None);
        }
        self.market_caps[row] = entry.facts.shares.map(|shares| shares * entry.inputs.close);
    }

    /// Says that rows came or went, or that other reports are known.
    pub(crate) fn invalidate(&mut self) {
        self.companies_are_stale = true;
    }

    pub(crate) fn of(&self, row: usize) -> Option<FactorScores> {
        let Shown { composites, sector_z } = self.shown.get(row)?.as_ref()?;
        let [value_score, quality_factor, growth_score] = composites.map(|points| points.get(STEPS_PER_POINT));
        let sector_z = by_name(&sector_z.map(|z| z.get(STEPS_PER_DEVIATION)));
        Some(FactorScores { value_score, quality_factor, growth_score, sector_z })
    }

    /// Ranks all rows, if there is news, and gives those whose scores changed; `ranked` gives the numbers of the rows that
    /// are ranked, by number.
    ///
    /// # Source
    /// Specification §4.
    pub(crate) fn refresh<'a>(&mut self, n_rows: usize, ranked: impl Fn(usize) -> Option<&'a Entry>) -> &[usize] {
        self.changed.clear();
        let companies_are_new = std::mem::take(&mut self.companies_are_stale);
        if !std::mem::take(&mut self.is_stale) && !companies_are_new {
            return &self.changed;
        }
        if companies_are_new {
            self.find_companies(n_rows, &ranked);
        }
        let is_new = self.read_factors(companies_are_new);
        for at in (0..N_FACTORS).filter(|&at| is_new[at]) {
            self.sector_z[at] = z_within(&self.sectors, &self.factors[at]);
        }
        self.show(n_rows, &is_new);
        &self.changed
    }

    /// Takes the factors of all companies, or those that the price is in, and says which columns are not what they were.
    fn read_factors(&mut self, companies_are_new: bool) -> [bool; N_FACTORS] {
        let mut is_new = [companies_are_new; N_FACTORS];
        let factors = || Factor::ALL.into_iter().filter(|factor| companies_are_new || factor.has_price());
        for factor in factors() {
            self.factors[factor as usize].resize(self.companies.len(), None);
        }
        for (at, company) in self.companies.iter_mut().enumerate() {
            company.inputs.market_cap = self.market_caps[company.row];
            for factor in factors() {
                let value = factor.of(&company.inputs);
                let known = std::mem::replace(&mut self.factors[factor as usize][at], value);
                is_new[factor as usize] |= known != value;
            }
        }
        is_new
    }

    /// Notes what is published now, and which rows that changes.
    fn show(&mut self, n_rows: usize, is_new: &[bool; N_FACTORS]) {
        let mut now: Vec<Option<Shown>> = vec![None; n_rows];
        for company in &self.companies {
            now[company.row] = Some(self.shown.get(company.row).copied().flatten().unwrap_or_default());
        }
        let mut set = |column: &[Option<f64>], set: &dyn Fn(&mut Shown, Option<f64>)| {
            for (company, &value) in self.companies.iter().zip(column) {
                if let Some(shown) = &mut now[company.row] {
                    set(shown, value);
                }
            }
        };
        for at in (0..N_FACTORS).filter(|&at| is_new[at]) {
            set(&self.sector_z[at], &|shown, z| shown.sector_z[at] = Rounded::new(z, STEPS_PER_DEVIATION));
        }
        for (at, parts) in Composites::PARTS.into_iter().enumerate() {
            if parts.iter().any(|part| is_new[*part as usize]) {
                let points = composite(parts, &self.sector_z);
                set(&points, &|shown, points| shown.composites[at] = Rounded::new(points, STEPS_PER_POINT));
            }
        }
        let changed = (0..n_rows).filter(|&row| self.shown.get(row).copied().flatten() != now[row]);
        self.changed.extend(changed);
        self.shown = now;
    }

    fn find_companies<'a>(&mut self, n_rows: usize, ranked: impl Fn(usize) -> Option<&'a Entry>) {
        let known = |row| {
            let entry = ranked(row)?;
            Some((row, entry, **entry.facts.fundamentals.as_ref()?))
        };
        let mut companies: Vec<_> = (0..n_rows).filter_map(known).collect();
        // A sum depends on its order, and rows stand in the order in which they came.
        companies.sort_unstable_by_key(|(_, entry, _)| entry.inputs.symbol);
        let sectors: Vec<Option<&str>> = companies.iter().map(|(_, entry, _)| entry.facts.sector.as_deref()).collect();
        self.sectors = groups(&sectors).into_values().collect();
        for (row, entry, _) in &companies {
            self.note_price(*row, entry);
        }
        self.companies = companies.into_iter().map(|(row, _, inputs)| Company { row, inputs }).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use schemas::{EventTime, Filing, FilingPeriod, Instrument, ResultRow, SectorZ};

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
        let expected = SectorZ {
            value_ep_sector_z: Some(1.0),
            quality_roe_sector_z: Some(1.0),
            quality_roa_sector_z: Some(1.0),
            quality_margin_net_sector_z: factors.sector_z.quality_margin_net_sector_z,
            growth_rev_sector_z: factors.sector_z.growth_rev_sector_z,
            size_log_mcap_sector_z: Some(0.0),
            ..SectorZ::default()
        };
        assert_eq!(factors.sector_z, expected);
        assert!(expected.quality_margin_net_sector_z.is_some() && expected.growth_rev_sector_z > Some(0.0));
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
