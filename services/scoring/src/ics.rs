//! The institutional core score (ICS): how well a stock suits a large, patient buyer, 0–100.

use crate::percentile::NEUTRAL_POINTS;

/// Weights of the terms; they sum to 1.
const WEIGHT_TECH: f64 = 0.28;
const WEIGHT_ALPHA: f64 = 0.22;
const WEIGHT_QUALITY: f64 = 0.18;
const WEIGHT_STABILITY: f64 = 0.12;
const WEIGHT_LIQUIDITY: f64 = 0.10;
const WEIGHT_EVENT: f64 = 0.10;

/// The terms of one row.
///
/// # Units
/// Points, 0–100. `tech`, `alpha`, `quality` and `liquidity` are percentiles × 100 among the
/// current rows; [`stability_term`] and [`event_term`] give the other two. `None` is missing.
///
/// # Source
/// §9.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct IcsTerms {
    pub tech: Option<f64>,
    pub alpha: Option<f64>,
    pub quality: Option<f64>,
    pub stability: Option<f64>,
    pub liquidity: Option<f64>,
    pub event: Option<f64>,
}

impl IcsTerms {
    /// The terms with the neutral 50 for each missing one: what the product scores.
    ///
    /// # Source
    /// §9, "should be": the reference gives the whole row the median score of the others.
    #[must_use]
    pub fn or_neutral(self) -> Self {
        let filled = |term: Option<f64>| term.or(Some(NEUTRAL_POINTS));
        Self {
            tech: filled(self.tech),
            alpha: filled(self.alpha),
            quality: filled(self.quality),
            stability: filled(self.stability),
            liquidity: filled(self.liquidity),
            event: filled(self.event),
        }
    }
}

/// Company events around the evaluation date.
///
/// # Units
/// `surprise_streak` counts earnings beats (misses are negative), `avg_surprise_bp` is in basis
/// points, `dividend_yield` a fraction. A missing value counts as no event.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct IcsEvents {
    pub is_pre_earnings_window: bool,
    pub is_post_earnings_positive_window: bool,
    pub has_dividend_ex_soon: bool,
    pub surprise_streak: Option<f64>,
    pub avg_surprise_bp: Option<f64>,
    pub dividend_yield: Option<f64>,
}

/// The event term: 50 without events, 28–67 with them (§9).
pub fn event_term(events: &IcsEvents) -> f64 {
    let points_if = |condition: bool, points: f64| if condition { points } else { 0.0 };
    let scaled = |value: Option<f64>, limit: f64| value.map_or(0.0, |v| v.clamp(-limit, limit) / limit);
    let dividend_yield = events.dividend_yield;
    NEUTRAL_POINTS
        + points_if(events.is_pre_earnings_window, -10.0)
        + points_if(events.is_post_earnings_positive_window, 5.0)
        + points_if(events.has_dividend_ex_soon, 2.0)
        + 4.0 * scaled(events.surprise_streak, 5.0)
        + 3.0 * scaled(events.avg_surprise_bp, 500.0)
        + points_if(dividend_yield.is_some_and(|y| (0.01..=0.06).contains(&y)), 3.0)
        + points_if(dividend_yield.is_some_and(|y| y > 0.08), -5.0)
}

/// The stability term: 100 for a calm row, 0 from an ATR of 2 % up; `None` when risk is unknown.
///
/// # Source
/// §9, "do instead" of quirk Q5: the reference inverts it and pays for volatility.
pub fn stability_term(risk_score: Option<f64>) -> Option<f64> {
    risk_score.map(|risk| 100.0 * risk.clamp(0.0, 1.0))
}

/// What each term contributes (weight × term), in points.
///
/// `clip` is what keeping the score within 0–100 added or took; with terms within 0–100 it is
/// zero but for rounding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IcsBreakdown {
    pub tech: f64,
    pub alpha: f64,
    pub quality: f64,
    pub stability: f64,
    pub liquidity: f64,
    pub event: f64,
    pub clip: f64,
}

impl IcsBreakdown {
    /// The parts by name; they sum to the score.
    pub fn parts(&self) -> [(&'static str, f64); 7] {
        [
            ("tech", self.tech),
            ("alpha", self.alpha),
            ("quality", self.quality),
            ("stability", self.stability),
            ("liquidity", self.liquidity),
            ("event", self.event),
            ("clip", self.clip),
        ]
    }
}

/// The score of one row, 0–100: the weighted sum of its terms; `None` if a term is missing (§9).
pub fn ics(terms: &IcsTerms) -> Option<f64> {
    score_and_breakdown(terms).map(|(score, _)| score)
}

/// The additive breakdown of [`ics`]; `None` if a term is missing.
pub fn breakdown(terms: &IcsTerms) -> Option<IcsBreakdown> {
    score_and_breakdown(terms).map(|(_, breakdown)| breakdown)
}

/// Gives every missing score the median of the present ones; without any, all stay missing.
///
/// # Source
/// §9, the reference's rule; the product uses [`IcsTerms::or_neutral`].
pub fn fill_missing_with_median(scores: &mut [Option<f64>]) {
    let mut present: Vec<f64> = scores.iter().flatten().copied().collect();
    present.sort_unstable_by(f64::total_cmp);
    let middle = present.len() / 2;
    let median = match present.len() {
        0 => return,
        n if n % 2 == 1 => present[middle],
        _ => f64::midpoint(present[middle - 1], present[middle]),
    };
    for score in scores {
        score.get_or_insert(median);
    }
}

fn score_and_breakdown(terms: &IcsTerms) -> Option<(f64, IcsBreakdown)> {
    let mut parts = IcsBreakdown {
        tech: WEIGHT_TECH * terms.tech?,
        alpha: WEIGHT_ALPHA * terms.alpha?,
        quality: WEIGHT_QUALITY * terms.quality?,
        stability: WEIGHT_STABILITY * terms.stability?,
        liquidity: WEIGHT_LIQUIDITY * terms.liquidity?,
        event: WEIGHT_EVENT * terms.event?,
        clip: 0.0,
    };
    let unclipped: f64 = parts.parts().iter().map(|(_, points)| points).sum();
    let score = unclipped.clamp(0.0, 100.0);
    parts.clip = score - unclipped;
    Some((score, parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(points: f64) -> IcsTerms {
        let term = Some(points);
        IcsTerms { tech: term, alpha: term, quality: term, stability: term, liquidity: term, event: term }
    }

    #[test]
    fn events_move_the_term_around_fifty() {
        let check = |events: IcsEvents, expected: f64| {
            let found = event_term(&events);
            assert!((found - expected).abs() < 1e-12, "{events:?}: {found} != {expected}");
        };
        let none = IcsEvents::default();
        check(none, 50.0);
        check(IcsEvents { is_pre_earnings_window: true, ..none }, 40.0);
        check(IcsEvents { is_post_earnings_positive_window: true, ..none }, 55.0);
        check(IcsEvents { has_dividend_ex_soon: true, ..none }, 52.0);
        check(IcsEvents { surprise_streak: Some(-2.5), ..none }, 48.0);
        check(IcsEvents { surprise_streak: Some(9.0), ..none }, 54.0);
        check(IcsEvents { avg_surprise_bp: Some(250.0), ..none }, 51.5);
        check(IcsEvents { avg_surprise_bp: Some(-9e9), ..none }, 47.0);
        check(IcsEvents { dividend_yield: Some(0.0099), ..none }, 50.0);
        check(IcsEvents { dividend_yield: Some(0.01), ..none }, 53.0);
        check(IcsEvents { dividend_yield: Some(0.06), ..none }, 53.0);
        check(IcsEvents { dividend_yield: Some(0.08), ..none }, 50.0);
        check(IcsEvents { dividend_yield: Some(0.081), ..none }, 45.0);
    }

    #[test]
    fn stability_pays_for_calm() {
        assert_eq!(stability_term(Some(1.0)), Some(100.0));
        assert_eq!(stability_term(Some(0.25)), Some(25.0));
        assert_eq!(stability_term(Some(-3.0)), Some(0.0));
        assert_eq!(stability_term(None), None);
    }

    #[test]
    fn a_missing_term_is_missing_until_it_is_made_neutral() {
        let terms = IcsTerms { quality: None, ..all(100.0) };
        assert_eq!(ics(&terms), None);
        assert_eq!(breakdown(&terms), None);
        let found = ics(&terms.or_neutral()).unwrap();
        assert!((found - 91.0).abs() < 1e-12, "{found}");
        let found = ics(&IcsTerms::default().or_neutral()).unwrap();
        assert!((found - 50.0).abs() < 1e-12, "{found}");
    }

    #[test]
    fn median_fills_only_the_gaps() {
        let check = |mut scores: Vec<Option<f64>>, expected: &[Option<f64>]| {
            fill_missing_with_median(&mut scores);
            assert_eq!(scores, expected);
        };
        check(vec![], &[]);
        check(vec![None], &[None]);
        check(vec![Some(9.0), None, Some(1.0)], &[Some(9.0), Some(5.0), Some(1.0)]);
        check(vec![None, Some(9.0), Some(1.0), Some(2.0)], &[Some(2.0), Some(9.0), Some(1.0), Some(2.0)]);
    }

    proptest! {
        #[test]
        fn parts_sum_to_a_score_in_bounds(points in prop::array::uniform6(-50.0..150.0)) {
            let [tech, alpha, quality, stability, liquidity, event] = points.map(Some);
            let terms = IcsTerms { tech, alpha, quality, stability, liquidity, event };
            let score = ics(&terms).unwrap();
            prop_assert!((0.0..=100.0).contains(&score));
            let sum: f64 = breakdown(&terms).unwrap().parts().iter().map(|(_, points)| points).sum();
            prop_assert!((sum - score).abs() < 1e-9);
        }
    }
}
