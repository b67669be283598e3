//! Fundamental factors, their standing among all rows and within the sector, and three composites of them.

use schemas::SectorZ;

use crate::percentile::{points_of, ranks};
use crate::statistics::{groups, z_within};

/// How far a single factor may pull its composite, in sector deviations.
const COMPOSITE_Z_MAX: f64 = 3.0;

/// Company figures as reported, trailing twelve months where they are flows.
///
/// # Units
/// USD; ratios, yields and growths are fractions. **Zero counts as unknown**, as in the reference: providers write it
/// for "not reported".
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FundamentalInputs {
    pub market_cap: Option<f64>,
    pub enterprise_value: Option<f64>,
    pub revenue: Option<f64>,
    pub gross_profit: Option<f64>,
    pub ebitda: Option<f64>,
    pub operating_income: Option<f64>,
    pub net_income: Option<f64>,
    pub interest_expense: Option<f64>,
    pub operating_cash_flow: Option<f64>,
    pub free_cash_flow: Option<f64>,
    pub total_debt: Option<f64>,
    pub total_equity: Option<f64>,
    pub return_on_equity: Option<f64>,
    pub return_on_assets: Option<f64>,
    pub earnings_yield: Option<f64>,
    pub pe: Option<f64>,
    pub dividend_yield: Option<f64>,
    pub revenue_growth: Option<f64>,
    pub eps_growth: Option<f64>,
}

/// A fundamental factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Factor {
    ValueEp,
    ValueCfp,
    ValueEarningsYield,
    DividendYield,
    ValueFcfYield,
    ValueEvEbitda,
    ValueEvSales,
    QualityRoe,
    QualityRoa,
    QualityGpm,
    QualityMarginEbitda,
    QualityMarginOp,
    QualityMarginNet,
    LeverageDe,
    InterestCoverage,
    GrowthRev,
    GrowthEps,
    SizeLogMcap,
}

impl Factor {
    pub const ALL: [Self; 18] = [
        Self::ValueEp,
        Self::ValueCfp,
        Self::ValueEarningsYield,
        Self::DividendYield,
        Self::ValueFcfYield,
        Self::ValueEvEbitda,
        Self::ValueEvSales,
        Self::QualityRoe,
        Self::QualityRoa,
        Self::QualityGpm,
        Self::QualityMarginEbitda,
        Self::QualityMarginOp,
        Self::QualityMarginNet,
        Self::LeverageDe,
        Self::InterestCoverage,
        Self::GrowthRev,
        Self::GrowthEps,
        Self::SizeLogMcap,
    ];

    /// The column name, part of the column contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ValueEp => "value_ep",
            Self::ValueCfp => "value_cfp",
            Self::ValueEarningsYield => "value_earnings_yield",
            Self::DividendYield => "dividend_yield",
            Self::ValueFcfYield => "value_fcf_yield",
            Self::ValueEvEbitda => "value_ev_ebitda",
            Self::ValueEvSales => "value_ev_sales",
            Self::QualityRoe => "quality_roe",
            Self::QualityRoa => "quality_roa",
            Self::QualityGpm => "quality_gpm",
            Self::QualityMarginEbitda => "quality_margin_ebitda",
            Self::QualityMarginOp => "quality_margin_op",
            Self::QualityMarginNet => "quality_margin_net",
            Self::LeverageDe => "leverage_de",
            Self::InterestCoverage => "interest_coverage",
            Self::GrowthRev => "growth_rev",
            Self::GrowthEps => "growth_eps",
            Self::SizeLogMcap => "size_log_mcap",
        }
    }

    /// Whether the price of the stock is in it: the others follow from reports alone.
    pub fn has_price(self) -> bool {
        matches!(self, Self::ValueEp | Self::ValueCfp | Self::ValueFcfYield | Self::SizeLogMcap)
    }

    /// Whether more of it is worse: the price of a dollar earned or sold, and debt.
    ///
    /// # Source
    /// "Do instead" of quirk Q14: the reference adds the price multiples as if dear were good.
    fn is_lower_better(self) -> bool {
        matches!(self, Self::ValueEvEbitda | Self::ValueEvSales | Self::LeverageDe)
    }

    fn with_sign(self, value: f64) -> f64 {
        if self.is_lower_better() { -value } else { value }
    }

    /// The factor of a company.
    ///
    /// # Source
    /// §4.
    #[inline]
    pub fn of(self, inputs: &FundamentalInputs) -> Option<f64> {
        value_of(self, inputs)
    }
}

/// The fundamental factors of one symbol.
///
/// # Units
/// Ratios; `SizeLogMcap` is the natural logarithm of USD. `None` where the numerator is unknown or the denominator
/// unknown or zero.
///
/// # Source
/// §4. Returns on equity and assets are ratios already and stay as they are ("do instead" of quirk Q14: the reference
/// divides them once more, by market capitalisation and total assets).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FundamentalFactors([Option<f64>; Factor::ALL.len()]);

impl FundamentalFactors {
    pub fn new(inputs: &FundamentalInputs) -> Self {
        Self(Factor::ALL.map(|factor| factor.of(inputs)))
    }

    pub fn get(&self, factor: Factor) -> Option<f64> {
        self.0[factor as usize]
    }

    /// The factor with the sign under which more is better.
    pub fn goodness(&self, factor: Factor) -> Option<f64> {
        self.get(factor).map(|value| factor.with_sign(value))
    }
}

#[inline]
fn value_of(factor: Factor, inputs: &FundamentalInputs) -> Option<f64> {
    let ratio =
        |numerator: Option<f64>, denominator| known(numerator).zip(known(denominator)).map(|(n, d): (f64, f64)| n / d);
    match factor {
        Factor::ValueEp => ratio(inputs.net_income, inputs.market_cap),
        Factor::ValueCfp => ratio(inputs.operating_cash_flow, inputs.market_cap),
        Factor::ValueEarningsYield => known(inputs.earnings_yield).or_else(|| known(inputs.pe).map(f64::recip)),
        Factor::DividendYield => known(inputs.dividend_yield),
        Factor::ValueFcfYield => ratio(inputs.free_cash_flow, inputs.market_cap),
        Factor::ValueEvEbitda => ratio(inputs.enterprise_value, inputs.ebitda),
        Factor::ValueEvSales => ratio(inputs.enterprise_value, inputs.revenue),
        Factor::QualityRoe => known(inputs.return_on_equity),
        Factor::QualityRoa => known(inputs.return_on_assets),
        Factor::QualityGpm => ratio(inputs.gross_profit, inputs.revenue),
        Factor::QualityMarginEbitda => ratio(inputs.ebitda, inputs.revenue),
        Factor::QualityMarginOp => ratio(inputs.operating_income, inputs.revenue),
        Factor::QualityMarginNet => ratio(inputs.net_income, inputs.revenue),
        Factor::LeverageDe => ratio(inputs.total_debt, inputs.total_equity),
        Factor::InterestCoverage => ratio(inputs.operating_income, inputs.interest_expense),
        Factor::GrowthRev => known(inputs.revenue_growth),
        Factor::GrowthEps => known(inputs.eps_growth),
        Factor::SizeLogMcap => inputs.market_cap.filter(|cap| *cap > 0.0).map(f64::ln),
    }
}

fn known(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.abs() > 0.0)
}

/// What makes a stock cheap, a company good, and its business grow (§4, "recommended").
const VALUE: [Factor; 6] = [
    Factor::ValueEp,
    Factor::ValueCfp,
    Factor::ValueFcfYield,
    Factor::ValueEvEbitda,
    Factor::ValueEvSales,
    Factor::DividendYield,
];
const QUALITY: [Factor; 7] = [
    Factor::QualityRoe,
    Factor::QualityRoa,
    Factor::QualityGpm,
    Factor::QualityMarginOp,
    Factor::QualityMarginNet,
    Factor::InterestCoverage,
    Factor::LeverageDe,
];
const GROWTH: [Factor; 2] = [Factor::GrowthRev, Factor::GrowthEps];

/// How a symbol compares in value, quality and growth.
///
/// # Units
/// Percentiles in points, (0, 100], more is better; `None` when none of the factors is known.
///
/// # Source
/// §4, "recommended": each factor as a z-score within the sector, kept within ±3, then averaged over those known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Composites {
    pub value: Option<f64>,
    pub quality: Option<f64>,
    pub growth: Option<f64>,
}

impl Composites {
    /// Which of [`Factor::ALL`] are in any of the three.
    pub(crate) const PARTS: [&'static [Factor]; 3] = [&VALUE, &QUALITY, &GROWTH];
}

/// The composites of a whole cross-section, one per row; `sectors` says who is compared with whom factor by factor.
///
/// # Panics
/// When there are not as many sectors as rows.
pub fn composites<K: Ord>(rows: &[FundamentalFactors], sectors: &[K]) -> Vec<Composites> {
    assert_eq!(rows.len(), sectors.len(), "one sector per row");
    let sectors: Vec<Vec<usize>> = groups(sectors).into_values().collect();
    let z = Factor::ALL.map(|factor| {
        let column: Vec<_> = rows.iter().map(|row| row.get(factor)).collect();
        z_within(&sectors, &column)
    });
    let [value, quality, growth] = Composites::PARTS.map(|factors| composite(factors, &z));
    (0..rows.len()).map(|row| Composites { value: value[row], quality: quality[row], growth: growth[row] }).collect()
}

/// One composite of all rows, from the columns of [`Factor::ALL`] as z-scores within the sector.
pub(crate) fn composite(factors: &[Factor], sector_z: &[Vec<Option<f64>>; Factor::ALL.len()]) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0_u32); sector_z[0].len()];
    for &factor in factors {
        for ((sum, n), z) in sums.iter_mut().zip(&sector_z[factor as usize]) {
            if let Some(z) = z {
                // The scores of negated values are the negated scores.
                *sum += factor.with_sign(*z).clamp(-COMPOSITE_Z_MAX, COMPOSITE_Z_MAX);
                *n += 1;
            }
        }
    }
    let means: Vec<_> = sums.into_iter().map(|(sum, n)| (n > 0).then(|| sum / f64::from(n))).collect();
    points_of(ranks(&means))
}

/// Scores in the order of [`Factor::ALL`], by name.
pub(crate) fn by_name(scores: &[Option<f64>; Factor::ALL.len()]) -> SectorZ {
    let of = |factor: Factor| scores[factor as usize];
    SectorZ {
        value_ep_sector_z: of(Factor::ValueEp),
        value_cfp_sector_z: of(Factor::ValueCfp),
        value_earnings_yield_sector_z: of(Factor::ValueEarningsYield),
        dividend_yield_sector_z: of(Factor::DividendYield),
        value_fcf_yield_sector_z: of(Factor::ValueFcfYield),
        value_ev_ebitda_sector_z: of(Factor::ValueEvEbitda),
        value_ev_sales_sector_z: of(Factor::ValueEvSales),
        quality_roe_sector_z: of(Factor::QualityRoe),
        quality_roa_sector_z: of(Factor::QualityRoa),
        quality_gpm_sector_z: of(Factor::QualityGpm),
        quality_margin_ebitda_sector_z: of(Factor::QualityMarginEbitda),
        quality_margin_op_sector_z: of(Factor::QualityMarginOp),
        quality_margin_net_sector_z: of(Factor::QualityMarginNet),
        leverage_de_sector_z: of(Factor::LeverageDe),
        interest_coverage_sector_z: of(Factor::InterestCoverage),
        growth_rev_sector_z: of(Factor::GrowthRev),
        growth_eps_sector_z: of(Factor::GrowthEps),
        size_log_mcap_sector_z: of(Factor::SizeLogMcap),
    }
}

/// Percentiles by cheapness in points, (0, 100], by the first measure of which any row knows something.
///
/// # Source
/// §4, `value_rank`; price multiples count with the right sign (quirk Q14).
pub fn value_ranks(rows: &[FundamentalFactors]) -> Vec<Option<f64>> {
    let measures = [Factor::ValueEarningsYield, Factor::ValueFcfYield, Factor::ValueEvEbitda, Factor::ValueEvSales];
    let column = measures
        .into_iter()
        .map(|measure| rows.iter().map(|row| row.goodness(measure)).collect::<Vec<_>>())
        .find(|column| column.iter().any(Option::is_some));
    column.map_or_else(|| vec![None; rows.len()], |column| points_of(ranks(&column)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_order_of_the_columns() {
        for (index, factor) in Factor::ALL.into_iter().enumerate() {
            assert_eq!(factor as usize, index, "{}", factor.as_str());
        }
        // A name of the published scores says which factor it is of.
        for factor in Factor::ALL {
            let mut scores = [None; Factor::ALL.len()];
            scores[factor as usize] = Some(1.0);
            let published = serde_json::to_value(by_name(&scores)).unwrap();
            assert_eq!(published, serde_json::json!({ format!("{}_sector_z", factor.as_str()): 1.0 }));
        }
    }

    #[test]
    fn the_price_is_in_the_factors_that_say_so() {
        let inputs = |market_cap| FundamentalInputs {
            market_cap: Some(market_cap),
            enterprise_value: Some(3.0),
            revenue: Some(5.0),
            gross_profit: Some(7.0),
            ebitda: Some(11.0),
            operating_income: Some(13.0),
            net_income: Some(17.0),
            interest_expense: Some(19.0),
            operating_cash_flow: Some(23.0),
            free_cash_flow: Some(29.0),
            total_debt: Some(31.0),
            total_equity: Some(37.0),
            return_on_equity: Some(41.0),
            return_on_assets: Some(43.0),
            earnings_yield: Some(47.0),
            pe: Some(53.0),
            dividend_yield: Some(59.0),
            revenue_growth: Some(61.0),
            eps_growth: Some(67.0),
        };
        for factor in Factor::ALL {
            let moves = factor.of(&inputs(100.0)) != factor.of(&inputs(200.0));
            assert_eq!(moves, factor.has_price(), "{}", factor.as_str());
        }
    }

    #[test]
    fn zero_is_unknown_and_yield_falls_back_to_the_price_multiple() {
        let check = |inputs: FundamentalInputs, factor, expected| {
            assert_eq!(FundamentalFactors::new(&inputs).get(factor), expected, "{inputs:?}");
        };
        let none = FundamentalInputs::default();
        check(none, Factor::ValueEp, None);
        check(FundamentalInputs { net_income: Some(1.0), ..none }, Factor::ValueEp, None);
        check(FundamentalInputs { net_income: Some(1.0), market_cap: Some(0.0), ..none }, Factor::ValueEp, None);
        check(FundamentalInputs { net_income: Some(1.0), market_cap: Some(4.0), ..none }, Factor::ValueEp, Some(0.25));
        check(FundamentalInputs { net_income: Some(0.0), market_cap: Some(4.0), ..none }, Factor::ValueEp, None);
        check(FundamentalInputs { pe: Some(4.0), ..none }, Factor::ValueEarningsYield, Some(0.25));
        let both = FundamentalInputs { pe: Some(4.0), earnings_yield: Some(0.1), ..none };
        check(both, Factor::ValueEarningsYield, Some(0.1));
        check(FundamentalInputs { market_cap: Some(-1.0), ..none }, Factor::SizeLogMcap, None);
    }

    #[test]
    fn dear_and_indebted_companies_rank_last() {
        let row = |enterprise_value, total_debt| {
            FundamentalFactors::new(&FundamentalInputs {
                enterprise_value: Some(enterprise_value),
                ebitda: Some(1.0),
                total_debt: Some(total_debt),
                total_equity: Some(1.0),
                ..FundamentalInputs::default()
            })
        };
        let rows = [row(5.0, 0.5), row(10.0, 1.0), row(20.0, 0.1), FundamentalFactors::default()];
        let found = composites(&rows, &["a"; 4]);
        let value: Vec<_> = found.iter().map(|row| row.value).collect();
        let rounded: Vec<_> = value.iter().map(|points| points.map(f64::round)).collect();
        assert_eq!(rounded, [Some(100.0), Some(67.0), Some(33.0), None]);
        let best = found.iter().position(|row| row.quality == Some(100.0));
        assert_eq!(best, Some(2));
        assert_eq!(found[0].growth, None);
        assert_eq!(value_ranks(&rows), value);
    }
}
