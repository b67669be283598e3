//! One forward view of a row, from its own rating, its value, the state of the market and the models, and the rating
//! that follows from it.

use crate::macro_context::MacroContext;
use crate::regime::{Regime, Trend, Vol};

/// How much the models weigh beside the factors unless the configuration says otherwise.
pub const ALPHA_WEIGHT: f64 = 0.35;
const WEIGHT_5D: f64 = 0.4;
const WEIGHT_10D: f64 = 0.6;
/// Dollar volume (USD per bar) from which an alpha can be traded in full.
const FULL_DOLLAR_VOLUME: f64 = 20_000_000.0;
/// An alpha in deviations becomes rating points: 10 per deviation around 15.
const RATING_PER_ALPHA: f64 = 10.0;
const RATING_CENTRE: f64 = 15.0;
const RATING_WEIGHT: f64 = 0.40;
const RATING_WEIGHT_UNREST: f64 = 0.35;
const RATING_WEIGHT_CALM_RISE: f64 = 0.45;
const TILT_RISK_OFF: f64 = 0.1;
const TILT_GROWTH: f64 = 0.05;

/// The forward return that ranks a row: the longer horizon weighs more; alone, either one stands for both.
///
/// # Units
/// Fractions; the same blend serves z-scores of both horizons.
///
/// # Source
/// §6.
pub fn blend_horizons(alpha_5d: Option<f64>, alpha_10d: Option<f64>) -> Option<f64> {
    match (alpha_5d, alpha_10d) {
        (Some(five), Some(ten)) => Some(WEIGHT_5D * five + WEIGHT_10D * ten),
        (five, ten) => five.or(ten),
    }
}

/// How a row stands in what tilts the blend.
///
/// # Units
/// z-scores, within the sector where they exist; more is better in each but `leverage`. `None` adds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TiltInputs {
    pub earnings_yield: Option<f64>,
    pub fcf_yield: Option<f64>,
    /// Of the **negated** EV/EBITDA ("do instead" of quirk Q14: the reference pays for a high multiple).
    pub ebitda_cheapness: Option<f64>,
    pub roe: Option<f64>,
    pub dividend_yield: Option<f64>,
    pub leverage: Option<f64>,
}

/// The tilt towards value and quality, in deviations (§6).
pub fn value_tilt(inputs: &TiltInputs) -> f64 {
    let part = |weight: f64, z: Option<f64>| weight * z.unwrap_or(0.0);
    part(0.25, inputs.earnings_yield)
        + part(0.10, inputs.fcf_yield)
        + part(0.05, inputs.ebitda_cheapness)
        + part(0.10, inputs.roe)
        + part(0.05, inputs.dividend_yield)
        - part(0.15, inputs.leverage)
}

/// The tilt of all rows by what other markets say, in deviations; unknown facts do not tilt (§6).
pub fn macro_tilt(context: &MacroContext) -> f64 {
    let holds = |fact: Option<bool>| fact == Some(true);
    let is_risk_off = holds(context.is_equity_vol_high())
        || holds(context.is_credit_risk_off())
        || holds(context.is_equity_vol_spiking());
    let is_growth_rising = holds(context.is_credit_risk_on()) && holds(context.is_growth_leading());
    let points_if = |condition: bool, points: f64| if condition { points } else { 0.0 };
    points_if(is_growth_rising, TILT_GROWTH) - points_if(is_risk_off, TILT_RISK_OFF)
}

/// What the blend of a row is made from, in deviations.
///
/// # Units
/// `factor_alpha` is the z-score of the unblended technical rating (0 when unknown) among all rows, `tilt` the sum of
/// both tilts, `ml_alpha` [`blend_horizons`] of the z-scores of both predictions. A row without a prediction rests on
/// the factors alone.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BlendInputs {
    pub factor_alpha: f64,
    pub tilt: f64,
    pub ml_alpha: Option<f64>,
}

/// The blended view before liquidity, in deviations; `weight` is the share of the models, kept within 0–1.
///
/// # Source
/// §6, "do instead" of quirk Q16: the reference throws the tilt away as soon as there is a prediction.
pub fn blend(inputs: &BlendInputs, weight: f64) -> f64 {
    let factors = inputs.factor_alpha + inputs.tilt;
    let weight = weight.clamp(0.0, 1.0);
    inputs.ml_alpha.map_or(factors, |ml_alpha| (1.0 - weight) * factors + weight * ml_alpha)
}

/// The share of an alpha that can be traded, 0–1; `dollar_volume` in USD per bar (§6).
pub fn tradable_share(dollar_volume: f64) -> f64 {
    (dollar_volume / FULL_DOLLAR_VOLUME).clamp(0.0, 1.0)
}

/// The blended view of what can be traded.
///
/// # Source
/// §6, "do instead" of quirk Q18: only a hope shrinks. The reference shrinks fears too, so that a bad stock looks the
/// better the less it trades.
pub fn after_liquidity(blended: f64, tradable_share: f64) -> f64 {
    if blended > 0.0 { blended * tradable_share } else { blended }
}

/// The final technical rating: the row's own and what the blended view is worth, mixed by regime.
///
/// # Units
/// Rating points. An unknown rating of its own counts as 0.
///
/// # Source
/// §6. The unblended rating stays a column of its own ("do instead" of quirk Q17).
pub fn blended_rating(rating: Option<f64>, alpha_blend: f64, regime: Option<&Regime>) -> f64 {
    let weight = match regime {
        Some(Regime { vol: Vol::High, .. }) => RATING_WEIGHT_UNREST,
        Some(Regime { trend: Trend::Up, vol: Vol::Low, .. }) => RATING_WEIGHT_CALM_RISE,
        _ => RATING_WEIGHT,
    };
    (1.0 - weight) * rating.unwrap_or(0.0) + weight * (RATING_PER_ALPHA * alpha_blend + RATING_CENTRE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} != {expected}");
    }

    #[test]
    fn one_horizon_stands_for_both() {
        check(blend_horizons(Some(1.0), Some(2.0)).unwrap(), 1.6);
        assert_eq!(blend_horizons(Some(1.0), None), Some(1.0));
        assert_eq!(blend_horizons(None, Some(2.0)), Some(2.0));
        assert_eq!(blend_horizons(None, None), None);
    }

    /// Quirk Q16.
    #[test]
    fn the_tilt_survives_a_prediction() {
        let inputs = BlendInputs { factor_alpha: 1.0, tilt: 0.5, ml_alpha: Some(-1.0) };
        let reference = blend(&BlendInputs { tilt: 0.0, ..inputs }, ALPHA_WEIGHT);
        check(reference, 0.65 - 0.35);
        check(blend(&inputs, ALPHA_WEIGHT), 0.65 * 1.5 - 0.35);
        check(blend(&BlendInputs { ml_alpha: None, ..inputs }, ALPHA_WEIGHT), 1.5);
        check(blend(&inputs, 7.0), -1.0);
    }

    #[test]
    fn tilts_add_what_is_known() {
        check(value_tilt(&TiltInputs::default()), 0.0);
        let one = Some(1.0);
        let all = TiltInputs {
            earnings_yield: one,
            fcf_yield: one,
            ebitda_cheapness: one,
            roe: one,
            dividend_yield: one,
            leverage: one,
        };
        check(value_tilt(&all), 0.4);
        let context = |credit_trend, equity_vol_ratio, growth_slope| MacroContext {
            growth_slope,
            credit_trend,
            equity_vol_ratio,
            ..MacroContext::default()
        };
        check(macro_tilt(&context(None, None, None)), 0.0);
        check(macro_tilt(&context(Some(0.1), None, Some(0.1))), 0.05);
        check(macro_tilt(&context(Some(0.1), Some(1.3), Some(0.1))), -0.05);
        check(macro_tilt(&context(Some(-0.1), None, Some(0.1))), -0.1);
    }

    #[test]
    fn an_unknown_rating_counts_as_nothing() {
        let calm_rise = Regime { trend: Trend::Up, vol: Vol::Low, vol_level: None, trend_slope: None };
        let unrest = Regime { vol: Vol::High, ..calm_rise };
        check(blended_rating(None, 0.0, None), 6.0);
        check(blended_rating(Some(10.0), 1.0, None), 16.0);
        check(blended_rating(Some(10.0), 1.0, Some(&calm_rise)), 16.75);
        check(blended_rating(Some(10.0), 1.0, Some(&unrest)), 15.25);
    }
}
