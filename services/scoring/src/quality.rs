//! How good a company's business is beside its peers.

use crate::percentile::{points_of, ranks};
use crate::statistics::{groups, mean};

/// Fewer companies than this are no peer group; their numbers are then compared with the whole market.
pub const PEERS_MIN: usize = 5;

/// A ratio that speaks for or against a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ratio {
    ReturnOnEquity,
    ReturnOnAssets,
    GrossMargin,
    OperatingMargin,
    NetMargin,
    FcfYield,
    NetDebtToEbitda,
    InterestCoverage,
}

impl Ratio {
    pub const ALL: [Self; 8] = [
        Self::ReturnOnEquity,
        Self::ReturnOnAssets,
        Self::GrossMargin,
        Self::OperatingMargin,
        Self::NetMargin,
        Self::FcfYield,
        Self::NetDebtToEbitda,
        Self::InterestCoverage,
    ];

    /// The column name of its percentile, part of the column contract.
    pub fn percentile_name(self) -> &'static str {
        match self {
            Self::ReturnOnEquity => "roe_sector_pct",
            Self::ReturnOnAssets => "roa_sector_pct",
            Self::GrossMargin => "gross_margin_sector_pct",
            Self::OperatingMargin => "operating_margin_sector_pct",
            Self::NetMargin => "net_margin_sector_pct",
            Self::FcfYield => "fcf_yield_sector_pct",
            Self::NetDebtToEbitda => "net_debt_ebitda_sector_pct",
            Self::InterestCoverage => "interest_coverage_sector_pct",
        }
    }
}

/// The ratios of one company, trailing twelve months.
///
/// # Units
/// Fractions, net debt in years of EBITDA ([`net_debt_to_ebitda`]), interest coverage a multiple. `None` is unknown
/// and does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QualityRatios {
    pub return_on_equity: Option<f64>,
    pub return_on_assets: Option<f64>,
    pub gross_margin: Option<f64>,
    pub operating_margin: Option<f64>,
    pub net_margin: Option<f64>,
    pub fcf_yield: Option<f64>,
    pub net_debt_to_ebitda: Option<f64>,
    pub interest_coverage: Option<f64>,
}

impl QualityRatios {
    /// The ratio with the sign under which more is better.
    pub(crate) fn goodness(&self, ratio: Ratio) -> Option<f64> {
        match ratio {
            Ratio::ReturnOnEquity => self.return_on_equity,
            Ratio::ReturnOnAssets => self.return_on_assets,
            Ratio::GrossMargin => self.gross_margin,
            Ratio::OperatingMargin => self.operating_margin,
            Ratio::NetMargin => self.net_margin,
            Ratio::FcfYield => self.fcf_yield,
            Ratio::NetDebtToEbitda => self.net_debt_to_ebitda.map(|years| -years),
            Ratio::InterestCoverage => self.interest_coverage,
        }
    }
}

/// Years of EBITDA that would repay the net debt; endless without positive EBITDA, which ranks worst.
///
/// # Source
/// §10, "treat negative EBITDA as worst": the plain quotient turns a loss into a negative, thus excellent, ratio.
pub fn net_debt_to_ebitda(net_debt: f64, ebitda: f64) -> f64 {
    if ebitda > 0.0 { net_debt / ebitda } else { f64::INFINITY }
}

/// The quality of one company.
///
/// # Units
/// Points, (0, 100]. `percentiles` in the order of [`Ratio::ALL`]; `score` is the mean of those known, `None` without.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quality {
    pub percentiles: [Option<f64>; Ratio::ALL.len()],
    pub score: Option<f64>,
}

/// The quality of every company, each ratio ranked among the companies of the sector that report it, or among all
/// when those are fewer than `peers_min`.
///
/// # Source
/// §10. The product asks for [`PEERS_MIN`]; the reference for one, so that a company alone in its sector is perfect.
///
/// # Panics
/// When there are not as many sectors as rows.
pub fn quality<K: Ord>(rows: &[QualityRatios], sectors: &[K], peers_min: usize) -> Vec<Quality> {
    assert_eq!(rows.len(), sectors.len(), "one sector per row");
    let mut found = vec![Quality::default(); rows.len()];
    for (index, ratio) in Ratio::ALL.into_iter().enumerate() {
        let column: Vec<_> = rows.iter().map(|row| row.goodness(ratio)).collect();
        for (quality, points) in found.iter_mut().zip(peer_points(&column, sectors, peers_min)) {
            quality.percentiles[index] = points;
        }
    }
    for quality in &mut found {
        quality.score = mean(&quality.percentiles.iter().flatten().copied().collect::<Vec<_>>());
    }
    found
}

fn peer_points<K: Ord>(column: &[Option<f64>], sectors: &[K], peers_min: usize) -> Vec<Option<f64>> {
    let mut points = points_of(ranks(column));
    for rows in groups(sectors).into_values() {
        let peers: Vec<_> = rows.iter().map(|&row| column[row]).collect();
        if peers.iter().flatten().count() >= peers_min {
            for (row, peer_points) in rows.into_iter().zip(points_of(ranks(&peers))) {
                points[row] = peer_points;
            }
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn margins(values: &[Option<f64>]) -> Vec<QualityRatios> {
        values.iter().map(|&net_margin| QualityRatios { net_margin, ..QualityRatios::default() }).collect()
    }

    #[test]
    fn a_lonely_company_is_compared_with_the_market() {
        let rows = margins(&[Some(0.1), Some(0.2), Some(0.3), Some(0.4), None]);
        let sectors = ["a", "a", "a", "b", "b"];
        let scores = |peers_min| quality(&rows, &sectors, peers_min).into_iter().map(|q| q.score).collect::<Vec<_>>();
        assert_eq!(scores(1)[3], Some(100.0));
        let found = quality(&margins(&[Some(0.1), Some(0.2), Some(0.3), Some(0.05)]), &["a", "a", "a", "b"], 3);
        assert_eq!(found[3].score, Some(25.0));
        assert_eq!(found[2].score, Some(100.0));
        assert_eq!(scores(3)[4], None);
    }

    #[test]
    fn debt_is_bad_and_debt_without_earnings_is_worst() {
        let rows: Vec<_> = [(1.0, 2.0), (4.0, 2.0), (1.0, -2.0), (-5.0, 2.0)]
            .map(|(net_debt, ebitda)| QualityRatios {
                net_debt_to_ebitda: Some(net_debt_to_ebitda(net_debt, ebitda)),
                ..QualityRatios::default()
            })
            .to_vec();
        let found: Vec<_> = quality(&rows, &[(); 4], 1).into_iter().map(|quality| quality.score).collect();
        assert_eq!(found, [Some(75.0), Some(50.0), Some(25.0), Some(100.0)]);
    }
}
