//! What reference data say about a symbol at its newest bar.

use schemas::{EventTime, Instrument};

use crate::filings::Trailing;
use crate::quality::{QualityRatios, Ratio};

/// The facts that the cross-section ranks, as they were known at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) sector: Option<String>,
    pub(crate) shares: Option<f64>,
    /// In the order of [`Ratio::ALL`], with the sign under which more is better.
    pub(crate) goodness: [Option<f64>; Ratio::ALL.len()],
}

impl Facts {
    pub(crate) fn new(instrument: Option<&Instrument>, as_of: EventTime) -> Self {
        let Some(instrument) = instrument else { return Self::default() };
        let ratios = if instrument.filings.is_empty() {
            QualityRatios::default()
        } else {
            Trailing::new(&instrument.filings, as_of).ratios()
        };
        Self {
            sector: instrument.sector.clone(),
            shares: instrument.shares.filter(|&(_, known_on)| known_on <= as_of).map(|(shares, _)| shares),
            goodness: Ratio::ALL.map(|ratio| ratios.goodness(ratio)),
        }
    }
}
