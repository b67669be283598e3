//! What a company's reports say about its last four quarters.

use std::collections::BTreeMap;

use schemas::{EventTime, Filing, FilingPeriod};

use crate::factors::FundamentalInputs;
use crate::quality::QualityRatios;

/// The trailing twelve months of a company, and its newest balance sheet.
///
/// # Units
/// Currency; `None` where the reports do not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trailing {
    pub revenues: Option<f64>,
    pub operating_income: Option<f64>,
    pub net_income: Option<f64>,
    pub operating_cash_flow: Option<f64>,
    pub assets: Option<f64>,
    pub equity: Option<f64>,
    /// Of the newest period against the same one a year before, a fraction.
    pub revenue_growth: Option<f64>,
}

type Key = (i32, FilingPeriod);

impl Trailing {
    /// From the reports that were known at a moment; of several about one period the newest one counts.
    ///
    /// # Source
    /// A year ends with every quarter: the last annual figure, plus the quarters of this year, minus the same quarters
    /// of the last one. A missing quarter makes the sum missing, not smaller.
    pub fn new(filings: &[Filing], as_of: EventTime) -> Self {
        let mut known: BTreeMap<Key, &Filing> = BTreeMap::new();
        for filing in filings.iter().filter(|filing| filing.available_on_ns <= as_of.as_ns()) {
            let newest = known.entry((filing.fiscal_year, filing.period)).or_insert(filing);
            if filing.available_on_ns >= newest.available_on_ns {
                *newest = filing;
            }
        }
        let Some((&(year, period), newest)) = known.iter().max_by_key(|(_, filing)| filing.end_ns) else {
            return Self::default();
        };
        let of = |year: i32, period: FilingPeriod, figure: fn(&Filing) -> Option<f64>| {
            known.get(&(year, period)).and_then(|filing| figure(filing))
        };
        let flow = |figure: fn(&Filing) -> Option<f64>| {
            if period == FilingPeriod::Year {
                return figure(newest);
            }
            let mut total = of(year - 1, FilingPeriod::Year, figure)?;
            for quarter in [FilingPeriod::Q1, FilingPeriod::Q2, FilingPeriod::Q3] {
                if quarter <= period {
                    total += of(year, quarter, figure)? - of(year - 1, quarter, figure)?;
                }
            }
            Some(total)
        };
        let cumulative = |figure: fn(&Filing) -> Option<f64>| {
            if period == FilingPeriod::Year {
                return figure(newest);
            }
            let last_year = of(year - 1, FilingPeriod::Year, figure)? - of(year - 1, period, figure)?;
            Some(last_year + figure(newest)?)
        };
        Self {
            revenues: flow(|filing| filing.revenues),
            operating_income: flow(|filing| filing.operating_income),
            net_income: flow(|filing| filing.net_income),
            operating_cash_flow: cumulative(|filing| filing.operating_cash_flow),
            assets: newest.assets,
            equity: newest.equity,
            revenue_growth: of(year - 1, period, |filing| filing.revenues)
                .filter(|before| *before > 0.0)
                .and_then(|before| Some(newest.revenues? / before - 1.0)),
        }
    }

    /// What the factors need of it; what the reports do not tell is unknown, and so is what the price adds.
    pub fn fundamentals(&self) -> FundamentalInputs {
        let ratios = self.ratios();
        FundamentalInputs {
            revenue: self.revenues,
            operating_income: self.operating_income,
            net_income: self.net_income,
            operating_cash_flow: self.operating_cash_flow,
            total_equity: self.equity,
            return_on_equity: ratios.return_on_equity,
            return_on_assets: ratios.return_on_assets,
            revenue_growth: self.revenue_growth,
            ..FundamentalInputs::default()
        }
    }

    /// The ratios that the reports allow. Gross profit, debt, interest and capital expenditure are not in them.
    ///
    /// # Shape
    /// A return on equity that is not there, or owed, is missing: a loss over a debt would look like a gain.
    pub fn ratios(&self) -> QualityRatios {
        let over = |amount: Option<f64>, base: Option<f64>| {
            let ratio = amount? / base.filter(|base| *base > 0.0)?;
            ratio.is_finite().then_some(ratio)
        };
        QualityRatios {
            return_on_equity: over(self.net_income, self.equity),
            return_on_assets: over(self.net_income, self.assets),
            operating_margin: over(self.operating_income, self.revenues),
            net_margin: over(self.net_income, self.revenues),
            ..QualityRatios::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filing(fiscal_year: i32, period: FilingPeriod, known_on: i32, revenues: f64, cash_flow: f64) -> Filing {
        let quarter = match period {
            FilingPeriod::Q1 => 1,
            FilingPeriod::Q2 => 2,
            FilingPeriod::Q3 => 3,
            FilingPeriod::Year => 4,
        };
        Filing {
            available_on_ns: EventTime::from_days(known_on).as_ns(),
            end_ns: EventTime::from_days(fiscal_year * 364 + quarter * 91).as_ns(),
            fiscal_year,
            period,
            revenues: Some(revenues),
            operating_income: None,
            net_income: Some(revenues / 10.0),
            dividend: None,
            assets: Some(1000.0),
            cash: None,
            equity: Some(-5.0),
            operating_cash_flow: Some(cash_flow),
        }
    }

    fn reports() -> Vec<Filing> {
        use FilingPeriod::{Q1, Q2, Q3, Year};
        vec![
            filing(1, Q1, 10, 10.0, 1.0),
            filing(1, Q2, 20, 20.0, 3.0),
            filing(1, Q3, 30, 30.0, 6.0),
            filing(1, Year, 40, 100.0, 10.0),
            filing(2, Q1, 50, 15.0, 2.0),
            filing(2, Q2, 60, 27.0, 7.0),
        ]
    }

    #[test]
    fn a_year_ends_with_every_quarter_that_was_known() {
        let check = |day: i32, revenues: Option<f64>, cash_flow: Option<f64>| {
            let trailing = Trailing::new(&reports(), EventTime::from_days(day));
            assert_eq!((trailing.revenues, trailing.operating_cash_flow), (revenues, cash_flow), "day {day}");
        };
        check(9, None, None);
        check(39, None, None);
        check(40, Some(100.0), Some(10.0));
        check(50, Some(105.0), Some(11.0));
        check(60, Some(112.0), Some(14.0));
    }

    #[test]
    fn growth_compares_with_the_same_period_of_the_year_before() {
        let growth = |day: i32| Trailing::new(&reports(), EventTime::from_days(day)).revenue_growth;
        assert_eq!((growth(40), growth(50)), (None, Some(0.5)));
        assert!((growth(60).unwrap() - 0.35).abs() < 1e-12);
    }

    #[test]
    fn a_missing_quarter_is_missing() {
        let mut reports = reports();
        reports.retain(|filing| (filing.fiscal_year, filing.period) != (1, FilingPeriod::Q1));
        let trailing = Trailing::new(&reports, EventTime::from_days(60));
        assert_eq!((trailing.revenues, trailing.operating_cash_flow), (None, Some(14.0)));
    }

    #[test]
    fn a_corrected_report_counts_once_it_is_known() {
        let mut reports = reports();
        reports.push(filing(1, FilingPeriod::Year, 45, 90.0, 10.0));
        let revenues = |day| Trailing::new(&reports, EventTime::from_days(day)).revenues;
        assert_eq!((revenues(44), revenues(45)), (Some(100.0), Some(90.0)));
    }

    #[test]
    fn ratios_need_a_positive_base() {
        let ratios = Trailing::new(&reports(), EventTime::from_days(60)).ratios();
        assert_eq!((ratios.return_on_equity, ratios.gross_margin), (None, None));
        assert!((ratios.return_on_assets.unwrap() - 0.0112).abs() < 1e-12);
        assert!((ratios.net_margin.unwrap() - 0.1).abs() < 1e-12);
    }
}
