//! What reference data say about a symbol at its newest bar.

use std::ops::Range;

use schemas::{EventTime, Instrument, SmolStr};

use crate::company_events::KnownEvents;
use crate::factors::FundamentalInputs;
use crate::filings::Trailing;
use crate::quality::{QualityRatios, Ratio};

/// The facts that the cross-section ranks, as they were known at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub(crate) sector: Option<SmolStr>,
    pub(crate) shares: Option<f64>,
    /// In the order of [`Ratio::ALL`], with the sign under which more is better.
    pub(crate) goodness: [Option<f64>; Ratio::ALL.len()],
    /// `None` without a calendar.
    pub(crate) events: Option<KnownEvents>,
    /// What the reports tell of the factors, without what the price adds; `None` without reports.
    pub(crate) fundamentals: Option<Box<FundamentalInputs>>,
    /// From the newest publication that was known to the next one: bars in between find the same facts. With a calendar
    /// only this bar does.
    pub(crate) holds: Range<EventTime>,
}

const ALWAYS: Range<EventTime> = EventTime(i64::MIN)..EventTime(i64::MAX);

impl Default for Facts {
    /// Nothing is known, and nothing will be.
    fn default() -> Self {
        Self {
            sector: None,
            shares: None,
            goodness: Default::default(),
            events: None,
            fundamentals: None,
            holds: ALWAYS,
        }
    }
}

impl Facts {
    pub(crate) fn new(instrument: Option<&Instrument>, as_of: EventTime) -> Self {
        let Some(instrument) = instrument else { return Self::default() };
        let trailing = (!instrument.filings.is_empty()).then(|| Trailing::new(&instrument.filings, as_of));
        let ratios = trailing.map_or_else(QualityRatios::default, |trailing| trailing.ratios());
        let publications = instrument.filings.iter().map(|filing| EventTime(filing.available_on_ns));
        let publications = publications.chain(instrument.shares.map(|(_, known_on)| known_on));
        let (known, to_come): (Vec<_>, Vec<_>) = publications.partition(|at| *at <= as_of);
        Self {
            sector: instrument.sector.clone(),
            shares: instrument.shares.filter(|&(_, known_on)| known_on <= as_of).map(|(shares, _)| shares),
            events: KnownEvents::new(&instrument.events, as_of),
            fundamentals: trailing.map(|trailing| Box::new(trailing.fundamentals())),
            goodness: Ratio::ALL.map(|ratio| ratios.goodness(ratio)),
            holds: if instrument.events.is_empty() {
                known.into_iter().max().unwrap_or(ALWAYS.start)..to_come.into_iter().min().unwrap_or(ALWAYS.end)
            } else {
                // Days to an event are others tomorrow.
                as_of..EventTime(as_of.as_ns().saturating_add(1))
            },
        }
    }

    /// Whether the same facts were known at another moment, as long as the instrument stays the same.
    pub(crate) fn hold_at(&self, as_of: EventTime) -> bool {
        self.holds.contains(&as_of)
    }

    /// Whether the row counts among its peers.
    pub(crate) fn has_ratios(&self) -> bool {
        self.goodness.iter().any(Option::is_some)
    }

    /// Whether the row stands among its peers as the other does.
    pub(crate) fn same_ratios(&self, other: &Self) -> bool {
        let both_without = !self.has_ratios() && !other.has_ratios();
        both_without || (self.sector == other.sector && self.goodness == other.goodness)
    }

    /// Whether the company's factors are the same, at the same price.
    pub(crate) fn same_factors(&self, other: &Self) -> bool {
        let both_without = self.fundamentals.is_none() && other.fundamentals.is_none();
        let is_same = self.sector == other.sector && self.fundamentals == other.fundamentals;
        both_without || (is_same && self.shares == other.shares)
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Filing, FilingPeriod, Symbol};

    use super::*;

    #[test]
    fn facts_hold_from_one_publication_to_the_next() {
        let filing = |day: i32| Filing {
            available_on_ns: EventTime::from_days(day).as_ns(),
            end_ns: EventTime::from_days(day - 30).as_ns(),
            fiscal_year: day,
            period: FilingPeriod::Year,
            revenues: None,
            operating_income: None,
            net_income: Some(f64::from(day)),
            dividend: None,
            assets: Some(1000.0),
            cash: None,
            equity: None,
            operating_cash_flow: None,
        };
        let instrument = Instrument {
            symbol: Symbol::new("A").unwrap(),
            source: "test".to_owned(),
            name: None,
            exchange: None,
            sector: Some("Energy".into()),
            industry: None,
            shares: Some((5.0, EventTime::from_days(150))),
            filings: vec![filing(100), filing(200)],
            events: Vec::new(),
            closes: Vec::new(),
        };
        let days: Vec<i32> = vec![0, 99, 100, 149, 150, 199, 200, 300];
        for &from in &days {
            let facts = Facts::new(Some(&instrument), EventTime::from_days(from));
            for &day in &days {
                let at = EventTime::from_days(day);
                let is_same = Facts::new(Some(&instrument), at) == facts;
                assert_eq!(facts.hold_at(at), is_same, "day {from} at day {day}");
            }
        }
    }
}
