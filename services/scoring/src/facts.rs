//! What reference data say about a symbol at its newest bar.

use schemas::{EventTime, Instrument};

use crate::company_events::KnownEvents;
use crate::factors::FundamentalInputs;
use crate::filings::Trailing;
use crate::quality::{QualityRatios, Ratio};

/// The facts that the cross-section ranks, as they were known at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) sector: Option<String>,
    pub(crate) shares: Option<f64>,
    /// In the order of [`Ratio::ALL`], with the sign under which more is better.
    pub(crate) goodness: [Option<f64>; Ratio::ALL.len()],
    /// `None` without a calendar.
    pub(crate) events: Option<KnownEvents>,
    /// What the reports tell of the factors, without what the price adds; `None` without reports.
    pub(crate) fundamentals: Option<Box<FundamentalInputs>>,
}

impl Facts {
    pub(crate) fn new(instrument: Option<&Instrument>, as_of: EventTime) -> Self {
        let Some(instrument) = instrument else { return Self::default() };
        let trailing = (!instrument.filings.is_empty()).then(|| Trailing::new(&instrument.filings, as_of));
        let ratios = trailing.map_or_else(QualityRatios::default, |trailing| trailing.ratios());
        Self {
            sector: instrument.sector.clone(),
            shares: instrument.shares.filter(|&(_, known_on)| known_on <= as_of).map(|(shares, _)| shares),
            events: KnownEvents::new(&instrument.events, as_of),
            fundamentals: trailing.map(|trailing| Box::new(trailing.fundamentals())),
            goodness: Ratio::ALL.map(|ratio| ratios.goodness(ratio)),
        }
    }
}
