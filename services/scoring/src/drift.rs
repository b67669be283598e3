//! The drift a row is credited with, and the style of play it suits.

use std::fmt;

use crate::regime::{Regime, Trend, Vol};

const RATING_CENTRE: f64 = 15.0;
const RATING_PER_DRIFT: f64 = 20.0;
const MU_HAT_MAX: f64 = 0.5;
const MU_ML_MAX: f64 = 0.25;
const WEIGHT_CALM_RISE: f64 = 0.15;
const WEIGHT_UNREST: f64 = -0.10;
/// What a stable style adds to the drift, and an explosive one takes.
const STYLE_DRIFT: f64 = 0.05;
/// Percentile of the ATR (points) up to which a row is calm, and from which it is wild.
const CALM_ATR_POINTS_MAX: f64 = 30.0;
const WILD_ATR_POINTS_MIN: f64 = 80.0;
/// Horizons that disagree by this much (a fraction) promise a jump.
const HORIZON_GAP_MIN: f64 = 0.02;

/// The drift by rating alone, ±0.5. An arbitrary unit, **not** a return: never show it as a percentage (§8).
pub fn mu_hat(rating: f64) -> f64 {
    ((rating - RATING_CENTRE) / RATING_PER_DRIFT).clamp(-MU_HAT_MAX, MU_HAT_MAX)
}

/// The share of the models in the drift, 0–1: they count for more in a calm rise and for less in unrest (§8).
pub fn model_share(alpha_weight: f64, regime: Option<&Regime>) -> f64 {
    let shift = match regime {
        Some(Regime { vol: Vol::High, .. }) => WEIGHT_UNREST,
        Some(Regime { trend: Trend::Up, vol: Vol::Low, .. }) => WEIGHT_CALM_RISE,
        _ => 0.0,
    };
    (alpha_weight + shift).clamp(0.0, 1.0)
}

/// The drift by rating and models; without an `alpha` (a fraction) by rating alone (§8).
pub fn mu_total(mu_hat: f64, alpha: Option<f64>, model_share: f64) -> f64 {
    alpha.map_or(mu_hat, |alpha| (1.0 - model_share) * mu_hat + model_share * alpha.clamp(-MU_ML_MAX, MU_ML_MAX))
}

/// What decides the style of a row.
///
/// # Units
/// `atr_points` is the percentile of its ATR / close among all rows, in points; the alphas are fractions. Unknown
/// makes a row neither stable nor explosive.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StyleInputs {
    pub atr_points: Option<f64>,
    pub alpha_5d: Option<f64>,
    pub alpha_10d: Option<f64>,
}

/// The style of play a row suits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlayStyle {
    Stable,
    Explosive,
    /// Calm, and yet its horizons disagree.
    Hybrid,
    Neutral,
}

impl PlayStyle {
    /// The style of a row.
    ///
    /// # Source
    /// §8, "do instead" of quirk Q10: by ATR percentiles. The reference's fixed limits call an ATR of 1.1 % explosive,
    /// which nearly every stock exceeds, and ask for 0.5 % to be stable.
    pub fn of(inputs: &StyleInputs) -> Self {
        let horizons = inputs.alpha_5d.zip(inputs.alpha_10d);
        let is_stable = inputs.atr_points.is_some_and(|points| points <= CALM_ATR_POINTS_MAX)
            && horizons.is_some_and(|(five, ten)| five > 0.0 && ten > 0.0);
        let is_explosive = inputs.atr_points.is_some_and(|points| points >= WILD_ATR_POINTS_MIN)
            || horizons.is_some_and(|(five, ten)| (five - ten).abs() >= HORIZON_GAP_MIN);
        match (is_stable, is_explosive) {
            (true, true) => Self::Hybrid,
            (true, false) => Self::Stable,
            (false, true) => Self::Explosive,
            (false, false) => Self::Neutral,
        }
    }

    pub fn is_stable(self) -> bool {
        matches!(self, Self::Stable | Self::Hybrid)
    }

    pub fn is_high_risk(self) -> bool {
        matches!(self, Self::Explosive | Self::Hybrid)
    }

    /// What the style adds to the drift (§8).
    pub fn drift(self) -> f64 {
        let drift_if = |condition: bool| if condition { STYLE_DRIFT } else { 0.0 };
        drift_if(self.is_stable()) - drift_if(self.is_high_risk())
    }

    pub const ALL: [Self; 4] = [Self::Stable, Self::Explosive, Self::Hybrid, Self::Neutral];

    /// The style of that published text.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|style| style.as_str() == text)
    }

    /// The published text, part of the column contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "Stable",
            Self::Explosive => "Explosive",
            Self::Hybrid => "Hybrid",
            Self::Neutral => "Neutral",
        }
    }
}

impl fmt::Display for PlayStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_bounded_and_falls_back_to_the_rating() {
        let check = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} != {expected}");
        check(mu_hat(17.0), 0.1);
        check(mu_hat(-90.0), -0.5);
        check(mu_total(0.1, None, 0.35), 0.1);
        check(mu_total(0.1, Some(9.0), 0.5), 0.175);
        let calm_rise = Regime { trend: Trend::Up, vol: Vol::Low, vol_level: None, trend_slope: None };
        check(model_share(0.35, None), 0.35);
        check(model_share(0.95, Some(&calm_rise)), 1.0);
        check(model_share(0.05, Some(&Regime { vol: Vol::High, ..calm_rise })), 0.0);
    }

    #[test]
    fn style_needs_calm_and_hope_to_be_stable() {
        let check = |atr_points, alpha_5d, alpha_10d, expected: &str, drift: f64| {
            let style = PlayStyle::of(&StyleInputs { atr_points, alpha_5d, alpha_10d });
            assert_eq!(style.to_string(), expected, "{atr_points:?} {alpha_5d:?} {alpha_10d:?}");
            assert!((style.drift() - drift).abs() < 1e-12);
        };
        check(Some(30.0), Some(0.01), Some(0.02), "Stable", 0.05);
        check(Some(30.0), Some(0.01), Some(0.04), "Hybrid", 0.0);
        check(Some(30.0), Some(-0.01), Some(0.0), "Neutral", 0.0);
        check(Some(31.0), Some(0.01), Some(0.02), "Neutral", 0.0);
        check(Some(80.0), None, None, "Explosive", -0.05);
        check(None, Some(0.0), Some(0.02), "Explosive", -0.05);
        check(None, None, None, "Neutral", 0.0);
    }
}
