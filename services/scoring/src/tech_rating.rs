//! The technical rating: integer subscores from the newest indicators, weighted and scaled by risk.

use std::fmt;

/// The largest absolute value of an integer subscore.
const SUBSCORE_MAX: i32 = 3;
/// How much of the raw rating the riskiest row keeps; the calmest keeps all of it.
const RISK_MULTIPLIER_MIN: f64 = 0.7;
/// The worst and the best rating with the default weights: every subscore at its end, at the lowest risk.
const RATING_MIN: f64 = -19.0;
const RATING_MAX: f64 = 26.0;
/// Points of risk score lost per unit of ATR fraction: an ATR of 2 % uses it up.
const RISK_PER_ATR: f64 = 50.0;

/// The newest indicator values of one symbol.
///
/// # Units
/// `close` and the averages are prices. `atr_pct_14` and `ret_5d` are fractions (0.02 = 2 %),
/// `pct_from_high20` is in percent (≤ 0), `rsi_14` in points (0–100), `vol_spike_ratio` a ratio.
/// `None` is unknown and passes no test.
///
/// # Source
/// §2.1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TechInputs {
    pub close: Option<f64>,
    pub sma_20: Option<f64>,
    pub sma_50: Option<f64>,
    pub sma_200: Option<f64>,
    pub rsi_14: Option<f64>,
    pub macd_hist: Option<f64>,
    pub pct_from_high20: Option<f64>,
    pub vol_spike_ratio: Option<f64>,
    pub atr_pct_14: Option<f64>,
    pub ret_5d: Option<f64>,
}

/// The subscores of one symbol.
///
/// # Units
/// Integer points within ±3; `explosiveness` is a fraction ≥ 0; `risk` is 1 for calm and ≤ 0 from
/// an ATR of 2 % up, `None` when the ATR is unknown.
///
/// # Source
/// §3.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Subscores {
    pub trend: i32,
    pub momentum: i32,
    pub volume: i32,
    pub volatility: i32,
    pub oscillator: i32,
    pub breakout: i32,
    pub explosiveness: f64,
    pub risk: Option<f64>,
}

impl Subscores {
    /// All subscores of one row of indicators.
    pub fn new(inputs: &TechInputs) -> Self {
        Self {
            trend: trend_score(inputs),
            momentum: momentum_score(inputs),
            volume: volume_score(inputs),
            volatility: volatility_score(inputs),
            oscillator: oscillator_score(inputs),
            breakout: breakout_score(inputs),
            explosiveness: explosiveness(inputs),
            risk: risk_score(inputs.atr_pct_14),
        }
    }
}

/// Weight of each subscore in the raw rating (§3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    pub trend: f64,
    pub momentum: f64,
    pub volume: f64,
    pub volatility: f64,
    pub oscillator: f64,
    pub breakout: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { trend: 3.0, momentum: 3.0, volume: 2.0, volatility: 1.0, oscillator: 1.0, breakout: 1.0 }
    }
}

/// The rating of one symbol.
///
/// # Units
/// Rating points, with the default weights roughly −19…26, **not** 0–100. `rating` and `breakdown`
/// are `None` when the ATR is unknown; `raw`, the rating before risk, always exists.
///
/// # Source
/// §3: raw · (0.7 + 0.3 · clip(risk, 0, 1)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TechRating {
    pub raw: f64,
    pub rating: Option<f64>,
    pub breakdown: Option<TechBreakdown>,
}

/// What each subscore contributes: weight × subscore × risk multiplier, in rating points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TechBreakdown {
    pub trend: f64,
    pub momentum: f64,
    pub volume: f64,
    pub volatility: f64,
    pub oscillator: f64,
    pub breakout: f64,
}

impl TechBreakdown {
    /// The parts by name; they sum to the rating.
    pub fn parts(&self) -> [(&'static str, f64); 6] {
        [
            ("trend", self.trend),
            ("momentum", self.momentum),
            ("volume", self.volume),
            ("volatility", self.volatility),
            ("oscillator", self.oscillator),
            ("breakout", self.breakout),
        ]
    }

    fn sum(&self) -> f64 {
        self.parts().iter().map(|(_, points)| points).sum()
    }

    fn scaled(self, factor: f64) -> Self {
        Self {
            trend: self.trend * factor,
            momentum: self.momentum * factor,
            volume: self.volume * factor,
            volatility: self.volatility * factor,
            oscillator: self.oscillator * factor,
            breakout: self.breakout * factor,
        }
    }
}

/// Weighs the subscores and scales the sum by risk; see [`TechRating`].
pub fn tech_rating(subscores: &Subscores, weights: &Weights) -> TechRating {
    let weighted = TechBreakdown {
        trend: weights.trend * f64::from(subscores.trend),
        momentum: weights.momentum * f64::from(subscores.momentum),
        volume: weights.volume * f64::from(subscores.volume),
        volatility: weights.volatility * f64::from(subscores.volatility),
        oscillator: weights.oscillator * f64::from(subscores.oscillator),
        breakout: weights.breakout * f64::from(subscores.breakout),
    };
    let raw = weighted.sum();
    let multiplier =
        subscores.risk.map(|risk| RISK_MULTIPLIER_MIN + (1.0 - RISK_MULTIPLIER_MIN) * risk.clamp(0.0, 1.0));
    TechRating { raw, rating: multiplier.map(|m| raw * m), breakdown: multiplier.map(|m| weighted.scaled(m)) }
}

/// The rating on a scale of 0–100, for display and for thresholds: 0 is the worst that the default weights allow, 50 a
/// rating of 0 and 100 the best.
///
/// # Source
/// §3, "a separate 0–100 score" ("do instead" of quirk Q32: limits of 40–60 make no sense on a rating that ends at 26).
pub fn presentation_score(rating: f64) -> f64 {
    let most = if rating < 0.0 { -RATING_MIN } else { RATING_MAX };
    (50.0 + 50.0 * rating / most).clamp(0.0, 100.0)
}

/// The three trend tests: close against the 20-bar average, 20 against 50, 50 against 200.
///
/// # Shape
/// Each +1 above, −1 below, 0 when equal or unknown.
///
/// # Source
/// §3, "do instead" of quirk Q9: the reference counts 20 > 50 twice and never goes below zero.
pub fn trend_tests(inputs: &TechInputs) -> [i32; 3] {
    [side(inputs.close, inputs.sma_20), side(inputs.sma_20, inputs.sma_50), side(inputs.sma_50, inputs.sma_200)]
}

/// Sum of the [`trend_tests`], −3…3.
pub fn trend_score(inputs: &TechInputs) -> i32 {
    trend_tests(inputs).iter().sum()
}

/// RSI > 55 and > 65: +1 each; RSI < 45 and < 40: −1 each; MACD histogram > 0: +1; within 3 % of
/// the 20-bar high: +1. Clipped, −2…3 (§3).
pub fn momentum_score(inputs: &TechInputs) -> i32 {
    let rsi = inputs.rsi_14;
    let score = i32::from(above(rsi, 55.0)) + i32::from(above(rsi, 65.0))
        - i32::from(below(rsi, 45.0))
        - i32::from(below(rsi, 40.0))
        + i32::from(above(inputs.macd_hist, 0.0))
        + i32::from(above(inputs.pct_from_high20, -3.0));
    score.clamp(-SUBSCORE_MAX, SUBSCORE_MAX)
}

/// Dollar volume against its 20-bar mean: > 1.5 → 2, > 1.2 → 1, < 0.7 → −1, else 0 (§3).
pub fn volume_score(inputs: &TechInputs) -> i32 {
    match inputs.vol_spike_ratio {
        Some(spike) if spike > 1.5 => 2,
        Some(spike) if spike > 1.2 => 1,
        Some(spike) if spike < 0.7 => -1,
        _ => 0,
    }
}

/// ATR below 1 % of the close → 1, above 3 % → −1, else 0 (§3).
pub fn volatility_score(inputs: &TechInputs) -> i32 {
    i32::from(below(inputs.atr_pct_14, 0.01)) - i32::from(above(inputs.atr_pct_14, 0.03))
}

/// RSI from 55 to 65 → 1, above 70 or below 40 → −1, else 0 (§3).
pub fn oscillator_score(inputs: &TechInputs) -> i32 {
    let rsi = inputs.rsi_14;
    let is_rising = rsi.is_some_and(|rsi| (55.0..=65.0).contains(&rsi));
    let is_extreme = above(rsi, 70.0) || below(rsi, 40.0);
    i32::from(is_rising) - i32::from(is_extreme)
}

/// Within 1 % of the 20-bar high: +1; 5-bar return above 2 %: +1 (§3).
pub fn breakout_score(inputs: &TechInputs) -> i32 {
    i32::from(above(inputs.pct_from_high20, -1.0)) + i32::from(above(inputs.ret_5d, 0.02))
}

/// The 5-bar return when positive, as a fraction; 0 when negative or unknown (§3).
pub fn explosiveness(inputs: &TechInputs) -> f64 {
    inputs.ret_5d.filter(|ret| *ret > 0.0).unwrap_or(0.0)
}

/// 1 − 50 · `atr_pct`: 1 is calm, 0 is an ATR of 2 %, below is wilder. `None` when unknown (§3).
pub fn risk_score(atr_pct: Option<f64>) -> Option<f64> {
    atr_pct.map(|atr_pct| 1.0 - RISK_PER_ATR * atr_pct)
}

/// What a rating suggests doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    StrongLong,
    Long,
    Avoid,
    Short,
    StrongShort,
}

impl Signal {
    pub const ALL: [Self; 5] = [Self::StrongLong, Self::Long, Self::Avoid, Self::Short, Self::StrongShort];

    /// The published text, part of the column contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StrongLong => "Strong Long",
            Self::Long => "Long",
            Self::Avoid => "Avoid",
            Self::Short => "Short",
            Self::StrongShort => "Strong Short",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The signal of a rating, confirmed by trend and momentum; an unknown rating is `Avoid`.
///
/// # Source
/// §3. Pass the **final** rating (quirk Q11: the reference keeps the signal of an earlier one).
pub fn signal(rating: Option<f64>, trend: i32, momentum: i32) -> Signal {
    let tests = signal_tests(rating, trend, momentum);
    let met = tests.into_iter().find(|(_, tests)| tests.iter().all(|test| test.is_met));
    met.map_or(Signal::Avoid, |(signal, _)| signal)
}

/// A test behind a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Test {
    pub rule: &'static str,
    pub is_met: bool,
}

impl Test {
    pub(crate) const fn new(rule: &'static str, is_met: bool) -> Self {
        Self { rule, is_met }
    }
}

/// What each signal asks for; the first whose tests are all met is the row's, none is [`Signal::Avoid`].
pub fn signal_tests(rating: Option<f64>, trend: i32, momentum: i32) -> [(Signal, [Test; 3]); 4] {
    let at_least = |min: f64| rating.is_some_and(|rating| rating >= min);
    let at_most = |max: f64| rating.is_some_and(|rating| rating <= max);
    let any_momentum = Test::new("any momentum", true);
    [
        (
            Signal::StrongLong,
            [
                Test::new("tech_rating >= 22", at_least(22.0)),
                Test::new("trend >= 2", trend >= 2),
                Test::new("momentum >= 1", momentum >= 1),
            ],
        ),
        (
            Signal::Long,
            [Test::new("tech_rating >= 16", at_least(16.0)), Test::new("trend >= 1", trend >= 1), any_momentum],
        ),
        (
            Signal::StrongShort,
            [
                Test::new("tech_rating <= -22", at_most(-22.0)),
                Test::new("trend <= -2", trend <= -2),
                Test::new("momentum <= -1", momentum <= -1),
            ],
        ),
        (
            Signal::Short,
            [Test::new("tech_rating <= -16", at_most(-16.0)), Test::new("trend <= -1", trend <= -1), any_momentum],
        ),
    ]
}

fn above(value: Option<f64>, limit: f64) -> bool {
    value.is_some_and(|value| value > limit)
}

fn below(value: Option<f64>, limit: f64) -> bool {
    value.is_some_and(|value| value < limit)
}

fn side(value: Option<f64>, reference: Option<f64>) -> i32 {
    match value.zip(reference) {
        Some((value, reference)) => i32::from(value > reference) - i32::from(value < reference),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn trend_tests_are_distinct_and_symmetric() {
        let check = |close, sma_20, sma_50, sma_200, expected| {
            let inputs = TechInputs { close, sma_20, sma_50, sma_200, ..TechInputs::default() };
            assert_eq!(trend_tests(&inputs), expected, "{inputs:?}");
        };
        check(Some(4.0), Some(3.0), Some(2.0), Some(1.0), [1, 1, 1]);
        check(Some(1.0), Some(2.0), Some(3.0), Some(4.0), [-1, -1, -1]);
        check(Some(4.0), Some(3.0), Some(3.0), Some(5.0), [1, 0, -1]);
        check(Some(4.0), Some(3.0), Some(2.0), None, [1, 1, 0]);
        check(Some(4.0), None, Some(2.0), Some(1.0), [0, 0, 1]);
        check(None, None, None, None, [0, 0, 0]);
    }

    #[test]
    fn momentum_adds_its_tests_and_is_clipped() {
        let check = |rsi_14, macd_hist, pct_from_high20, expected| {
            let inputs = TechInputs { rsi_14, macd_hist, pct_from_high20, ..TechInputs::default() };
            assert_eq!(momentum_score(&inputs), expected, "{inputs:?}");
        };
        check(Some(80.0), Some(1.0), Some(0.0), 3);
        check(Some(66.0), Some(0.0), Some(-3.0), 2);
        check(Some(55.0), None, None, 0);
        check(Some(55.1), None, None, 1);
        check(Some(45.0), None, None, 0);
        check(Some(44.0), None, None, -1);
        check(Some(39.9), Some(-1.0), Some(-9.0), -2);
        check(None, Some(0.1), Some(-2.9), 2);
    }

    #[test]
    fn limits_of_the_small_subscores() {
        let volume = |ratio, expected| {
            let inputs = TechInputs { vol_spike_ratio: ratio, ..TechInputs::default() };
            assert_eq!(volume_score(&inputs), expected, "{ratio:?}");
        };
        volume(Some(1.51), 2);
        volume(Some(1.5), 1);
        volume(Some(1.2), 0);
        volume(Some(0.7), 0);
        volume(Some(0.69), -1);
        volume(None, 0);

        let volatility = |atr_pct_14, expected| {
            let inputs = TechInputs { atr_pct_14, ..TechInputs::default() };
            assert_eq!(volatility_score(&inputs), expected, "{atr_pct_14:?}");
        };
        volatility(Some(0.009), 1);
        volatility(Some(0.01), 0);
        volatility(Some(0.03), 0);
        volatility(Some(0.031), -1);
        volatility(None, 0);

        let oscillator = |rsi_14, expected| {
            let inputs = TechInputs { rsi_14, ..TechInputs::default() };
            assert_eq!(oscillator_score(&inputs), expected, "{rsi_14:?}");
        };
        oscillator(Some(55.0), 1);
        oscillator(Some(65.0), 1);
        oscillator(Some(65.1), 0);
        oscillator(Some(70.0), 0);
        oscillator(Some(70.1), -1);
        oscillator(Some(40.0), 0);
        oscillator(Some(39.9), -1);
        oscillator(None, 0);

        let breakout = |pct_from_high20, ret_5d, score, explosive: f64| {
            let inputs = TechInputs { pct_from_high20, ret_5d, ..TechInputs::default() };
            assert_eq!(breakout_score(&inputs), score, "{inputs:?}");
            assert!(explosiveness(&inputs).total_cmp(&explosive).is_eq(), "{inputs:?}");
        };
        breakout(Some(-0.5), Some(0.03), 2, 0.03);
        breakout(Some(-1.0), Some(0.02), 0, 0.02);
        breakout(Some(0.0), Some(-0.5), 1, 0.0);
        breakout(None, None, 0, 0.0);
    }

    #[test]
    fn rating_keeps_at_least_seventy_percent_of_raw() {
        let subscores = Subscores { trend: 3, momentum: 2, volume: 1, ..Subscores::default() };
        let check = |risk, expected: Option<f64>| {
            let found = tech_rating(&Subscores { risk, ..subscores }, &Weights::default());
            assert!((found.raw - 17.0).abs() < 1e-12);
            assert_eq!(found.rating.is_some(), expected.is_some());
            assert_eq!(found.breakdown.is_some(), expected.is_some());
            for (found, expected) in found.rating.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{risk:?}: {found} != {expected}");
            }
        };
        check(Some(1.5), Some(17.0));
        check(Some(1.0), Some(17.0));
        check(Some(0.5), Some(14.45));
        check(Some(0.0), Some(11.9));
        check(Some(-9.0), Some(11.9));
        check(None, None);
    }

    #[test]
    fn presentation_spans_the_ratings() {
        let check = |rating: f64, expected: f64| {
            let found = presentation_score(rating);
            assert!((found - expected).abs() < 1e-12, "{rating}: {found} != {expected}");
        };
        check(-99.0, 0.0);
        check(-19.0, 0.0);
        check(-9.5, 25.0);
        check(0.0, 50.0);
        check(13.0, 75.0);
        check(26.0, 100.0);
        let worst =
            Subscores { trend: -3, momentum: -2, volume: -1, volatility: -1, oscillator: -1, ..Subscores::default() };
        let best = Subscores {
            trend: 3,
            momentum: 3,
            volume: 2,
            volatility: 1,
            oscillator: 1,
            breakout: 2,
            ..Subscores::default()
        };
        for (subscores, expected) in [(worst, RATING_MIN), (best, RATING_MAX)] {
            let raw = tech_rating(&subscores, &Weights::default()).raw;
            assert!((raw - expected).abs() < 1e-12, "{raw} != {expected}");
        }
    }

    #[test]
    fn signal_needs_the_rating_and_its_confirmation() {
        let check = |rating, trend, momentum, expected| {
            let found = signal(rating, trend, momentum).to_string();
            assert_eq!(found, expected, "{rating:?} {trend} {momentum}");
        };
        check(Some(22.0), 2, 1, "Strong Long");
        check(Some(22.0), 1, 1, "Long");
        check(Some(22.0), 2, 0, "Long");
        check(Some(16.0), 1, -3, "Long");
        check(Some(16.0), 0, 3, "Avoid");
        check(Some(15.9), 3, 3, "Avoid");
        check(Some(-15.9), -3, -3, "Avoid");
        check(Some(-16.0), -1, 0, "Short");
        check(Some(-22.0), -2, 0, "Short");
        check(Some(-22.0), -2, -1, "Strong Short");
        check(None, 3, 3, "Avoid");
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_rating(
            trend in -3..=3, momentum in -3..=3, volume in -1..=2, volatility in -1..=1,
            oscillator in -1..=1, breakout in 0..=2, risk in -5.0..1.0
        ) {
            let subscores = Subscores {
                trend, momentum, volume, volatility, oscillator, breakout,
                explosiveness: 0.0, risk: Some(risk),
            };
            let found = tech_rating(&subscores, &Weights::default());
            let sum: f64 = found.breakdown.unwrap().parts().iter().map(|(_, points)| points).sum();
            prop_assert!((sum - found.rating.unwrap()).abs() < 1e-9);
        }
    }
}
