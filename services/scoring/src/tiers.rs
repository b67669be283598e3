//! Honest labels: how good a result is, and for which investor.

use std::fmt;

use crate::percentile::NEUTRAL_POINTS;
use crate::tech_rating::Test;

/// How good a result is, best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultTier {
    Ungraded,
    BMinus,
    BPlus,
    A,
    APlus,
}

impl ResultTier {
    /// From the best down.
    pub const ALL: [Self; 5] = [Self::APlus, Self::A, Self::BPlus, Self::BMinus, Self::Ungraded];

    /// The tier of a row.
    ///
    /// # Units
    /// Points, 0–100: MERIT, the **percentile** of the technical rating, and quality; an unknown quality is a neutral
    /// 50, as in MERIT.
    ///
    /// # Source
    /// §18a, "do instead" of quirks Q23 and Q32: the reference grades before MERIT exists, and asks 40–60 points of a
    /// rating that ends near 30. Every row has a label, not only those of an empty list.
    pub fn of(merit: f64, tech_pct: f64, quality: Option<f64>) -> Self {
        let reaches = |tier: &Self| tier.tests(merit, tech_pct, quality).iter().all(|test| test.is_met);
        Self::ALL.into_iter().find(reaches).unwrap_or(Self::Ungraded)
    }

    /// What the tier asks of a row, and whether the row has it.
    pub fn tests(self, merit: f64, tech_pct: f64, quality: Option<f64>) -> [Test; 3] {
        let points = [merit, tech_pct, quality.unwrap_or(NEUTRAL_POINTS)];
        let rules = match self {
            Self::APlus => ["merit >= 80", "tech_pct >= 70", "quality >= 80"],
            Self::A => ["merit >= 70", "tech_pct >= 60", "quality >= 70"],
            Self::BPlus => ["merit >= 60", "tech_pct >= 50", "quality >= 60"],
            Self::BMinus => ["merit >= 50", "tech_pct >= 40", "quality >= 50"],
            Self::Ungraded => ["merit >= 0", "tech_pct >= 0", "quality >= 0"],
        };
        let minima = self.minima();
        std::array::from_fn(|i| Test::new(rules[i], points[i] >= minima[i]))
    }

    /// The next better one.
    pub fn above(self) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|tier| *tier > self)
    }

    /// MERIT, technical percentile and quality from which a row has the tier.
    pub fn minima(self) -> [f64; 3] {
        match self {
            Self::APlus => [80.0, 70.0, 80.0],
            Self::A => [70.0, 60.0, 70.0],
            Self::BPlus => [60.0, 50.0, 60.0],
            Self::BMinus => [50.0, 40.0, 50.0],
            Self::Ungraded => [0.0; 3],
        }
    }

    /// The published text, part of the column contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::APlus => "A+",
            Self::A => "A",
            Self::BPlus => "B+",
            Self::BMinus => "B-",
            Self::Ungraded => "Ungraded",
        }
    }

    /// What to tell about a list whose best row has this tier; nothing when it has the best.
    ///
    /// # Source
    /// §18a.
    pub fn shortfall(self) -> Option<&'static str> {
        match self {
            Self::APlus => None,
            Self::A => Some("No A+ setups found. Showing A-grade setups (strong quality, good technicals)."),
            Self::BPlus => Some("No A-grade setups found. Showing B+ setups (good quality, decent technicals)."),
            Self::BMinus => Some("No B+ setups found. Showing B- setups (acceptable quality, moderate technicals)."),
            Self::Ungraded => Some(
                "No graded setups found. Showing top 10 stocks by technical rating. \
                 These may not meet quality standards - trade with caution.",
            ),
        }
    }
}

impl fmt::Display for ResultTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// For which part of a portfolio a row is fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvestorTier {
    Core,
    Satellite,
    Reject,
}

impl InvestorTier {
    /// The published text, part of the column contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Core => "CORE",
            Self::Satellite => "SATELLITE",
            Self::Reject => "REJECT",
        }
    }
}

impl fmt::Display for InvestorTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an investor tier asks for.
///
/// # Units
/// `core_ics_min`, `satellite_ics_min` and `quality_min` in points, `win_prob_min` a probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InvestorThresholds {
    pub core_ics_min: f64,
    pub satellite_ics_min: f64,
    pub win_prob_min: f64,
    pub quality_min: f64,
}

impl InvestorThresholds {
    pub const TEN_DAYS: Self =
        Self { core_ics_min: 75.0, satellite_ics_min: 65.0, win_prob_min: 0.58, quality_min: 0.0 };
    pub const FIVE_DAYS: Self = Self { win_prob_min: 0.55, ..Self::TEN_DAYS };

    /// The tier of a row; an unknown win probability or quality is no obstacle.
    ///
    /// # Source
    /// §18b. The label says what the row is ("do instead" of quirk Q30: without a core row the reference renames the
    /// fifty best, and returns no others).
    pub fn tier(&self, ics: f64, win_prob: Option<f64>, quality: Option<f64>) -> InvestorTier {
        if quality.is_some_and(|quality| quality < self.quality_min) {
            return InvestorTier::Reject;
        }
        let is_likely = win_prob.is_none_or(|probability| probability >= self.win_prob_min);
        match ics {
            ics if ics >= self.core_ics_min && is_likely => InvestorTier::Core,
            ics if ics >= self.satellite_ics_min => InvestorTier::Satellite,
            _ => InvestorTier::Reject,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_needs_all_of_its_criteria() {
        let check = |merit, tech_pct, quality, expected: &str| {
            assert_eq!(
                ResultTier::of(merit, tech_pct, quality).to_string(),
                expected,
                "{merit} {tech_pct} {quality:?}"
            );
        };
        check(80.0, 70.0, Some(80.0), "A+");
        check(99.0, 99.0, Some(79.9), "A");
        check(99.0, 59.0, Some(99.0), "B+");
        check(59.9, 99.0, Some(99.0), "B-");
        check(99.0, 99.0, None, "B-");
        check(49.9, 99.0, Some(99.0), "Ungraded");
        assert_eq!(ResultTier::APlus.shortfall(), None);
        assert!(ResultTier::A.shortfall().unwrap().starts_with("No A+ setups"));
    }

    #[test]
    fn unknown_is_no_obstacle_to_an_investor() {
        let check = |ics, win_prob, quality, expected| {
            let found = InvestorThresholds::TEN_DAYS.tier(ics, win_prob, quality);
            assert_eq!(found, expected, "{ics} {win_prob:?} {quality:?}");
        };
        check(75.0, None, None, InvestorTier::Core);
        check(75.0, Some(0.57), None, InvestorTier::Satellite);
        check(74.9, Some(0.9), None, InvestorTier::Satellite);
        check(64.9, Some(0.9), Some(90.0), InvestorTier::Reject);
        check(99.0, Some(0.9), Some(-1.0), InvestorTier::Reject);
        assert_eq!(InvestorThresholds::FIVE_DAYS.tier(75.0, Some(0.57), None), InvestorTier::Core);
    }
}
