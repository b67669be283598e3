//! What a row means, in sentences; built last, when everything they speak of is known.

use crate::drift::PlayStyle;
use crate::tech_rating::Signal;
use crate::tiers::InvestorTier;

const ATR_PCT_HIGH: f64 = 0.08;
const ATR_PCT_ELEVATED: f64 = 0.04;
/// How far a sector's weight may exceed its cap unmentioned (a fraction).
const SECTOR_WEIGHT_SLACK: f64 = 0.05;
/// Quality scores within these are z-scores, others points.
const QUALITY_Z_MAX: f64 = 5.0;

/// What a recommendation speaks of; what is `None` or false is not mentioned unless said below.
///
/// # Units
/// `score` is the institutional core score, else the technical rating; `drift` that of [`crate::drift`], or alpha;
/// `atr_pct`, `dividend_yield`, `sector_weight` and `sector_cap` are fractions; `quality` is a z-score within ±5, else
/// points like `sponsorship`. Score, style and drift are spoken of even when unknown.
///
/// # Source
/// §19.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RecommendationInputs {
    pub play_style: Option<PlayStyle>,
    pub score: Option<f64>,
    pub drift: Option<f64>,
    pub atr_pct: Option<f64>,
    pub sector_weight: Option<f64>,
    pub sector_cap: f64,
    pub ics: Option<f64>,
    pub quality: Option<f64>,
    pub tier: Option<InvestorTier>,
    pub sponsorship: Option<f64>,
    pub has_insider_buy: bool,
    pub has_heavy_insider_sell: bool,
    pub is_pre_earnings_window: bool,
    pub last_earnings_beat: Option<bool>,
    pub dividend_yield: Option<f64>,
}

/// The recommendation of a row: the MERIT summary where there is one, else the sentences.
///
/// # Source
/// §19; "do instead" of quirk Q23: the reference asks before MERIT exists and so never shows its summary.
pub fn recommendation(merit_summary: Option<&str>, inputs: &RecommendationInputs) -> String {
    merit_summary.map_or_else(|| format!("{}.", sentences(inputs).join(". ")), str::to_owned)
}

/// The sentences about a row, without their final periods.
///
/// # Source
/// §19; the wording of rows that the recorded output never shows is ours.
pub fn sentences(inputs: &RecommendationInputs) -> Vec<String> {
    let style = inputs.play_style.unwrap_or(PlayStyle::Neutral);
    let mut sentences = vec![
        format!("Category: {style} setup"),
        score_sentence(inputs.score),
        format!("Expected drift: {}", drift_text(inputs.drift)),
        format!("Historical analogs: {}", analog_text(style)),
        format!("Role: {}. {}", role_text(style), volatility_text(inputs.atr_pct)),
    ];
    let optional = [
        sector_sentence(inputs.sector_weight, inputs.sector_cap),
        inputs.ics.and_then(|ics| {
            let grades = [
                (85.0, "Institutional core score: top tier"),
                (70.0, "Institutional core score: strong"),
                (55.0, "Institutional core score: acceptable"),
            ];
            graded(ics, &grades).map(str::to_owned)
        }),
        inputs.quality.and_then(quality_text).map(str::to_owned),
        inputs.tier.map(|tier| format!("Tier: {tier}")),
        inputs.sponsorship.and_then(sponsorship_text).map(str::to_owned),
        inputs.has_insider_buy.then(|| "Insiders bought recently".to_owned()),
        inputs.has_heavy_insider_sell.then(|| "Insiders sold heavily of late".to_owned()),
        inputs.is_pre_earnings_window.then(|| "Earnings are due within days; expect a gap".to_owned()),
        (inputs.last_earnings_beat == Some(true)).then(|| "The last earnings beat expectations".to_owned()),
        inputs.dividend_yield.filter(|dividend_yield| *dividend_yield > 0.0).map(dividend_sentence),
    ];
    sentences.extend(optional.into_iter().flatten());
    sentences
}

fn score_sentence(score: Option<f64>) -> String {
    let Some(score) = score else { return "Score: not available".to_owned() };
    let grades = [
        (90.0, "elite, top few percent today"),
        (80.0, "top ~10% today"),
        (70.0, "strong, upper quartile"),
        (60.0, "above average"),
        (50.0, "mid-pack"),
    ];
    format!("Score: {score:.0} ({})", graded(score, &grades).unwrap_or("lower tier"))
}

fn drift_text(drift: Option<f64>) -> String {
    let Some(percent) = drift.map(|drift| 100.0 * drift).filter(|percent| !percent.is_nan()) else {
        return "not enough data".to_owned();
    };
    match percent {
        p if p >= 1.0 => {
            format!("constructive; models imply roughly {p:+.1}% bias over the next couple of weeks")
        }
        p if p >= 0.2 => format!("mildly positive; models imply about {p:+.1}% bias"),
        p if p <= -1.0 => format!("negative; models imply roughly {p:.1}% downside bias"),
        p if p <= -0.2 => format!("mildly negative; models imply about {p:.1}% bias"),
        _ => "near neutral".to_owned(),
    }
}

fn analog_text(style: PlayStyle) -> &'static str {
    match style {
        PlayStyle::Neutral => "neutral setups have produced steady but unspectacular moves",
        PlayStyle::Stable => "stable setups have tended to move little and gradually",
        PlayStyle::Explosive => "explosive setups have moved far in both directions",
        PlayStyle::Hybrid => "hybrid setups have been calm with sudden moves",
    }
}

fn role_text(style: PlayStyle) -> &'static str {
    match style {
        PlayStyle::Neutral => "balanced; fits as a regular position with standard risk",
        PlayStyle::Stable => "anchor; fits as a larger position held longer",
        PlayStyle::Explosive => "tactical; fits as a small position with a strict stop",
        PlayStyle::Hybrid => "flexible; fits as a regular position with a strict stop",
    }
}

fn volatility_text(atr_pct: Option<f64>) -> &'static str {
    match atr_pct {
        Some(atr_pct) if atr_pct >= ATR_PCT_HIGH => "High volatility—size down",
        Some(atr_pct) if atr_pct >= ATR_PCT_ELEVATED => "Elevated volatility—moderate size",
        _ => "Low/normal volatility",
    }
}

fn sector_sentence(weight: Option<f64>, cap: f64) -> Option<String> {
    let weight = weight.filter(|weight| *weight > cap + SECTOR_WEIGHT_SLACK)?;
    Some(format!("Its sector already weighs {:.0}%, above the cap of {:.0}%", 100.0 * weight, 100.0 * cap))
}

fn quality_text(quality: f64) -> Option<&'static str> {
    let (high, good, low) = ("High-quality business", "Sound business", "Weak business quality");
    if quality.abs() <= QUALITY_Z_MAX {
        graded(quality, &[(1.0, high), (0.0, good)]).or((quality <= -1.0).then_some(low))
    } else {
        graded(quality, &[(75.0, high), (55.0, good)]).or((quality < 40.0).then_some(low))
    }
}

fn sponsorship_text(sponsorship: f64) -> Option<&'static str> {
    graded(sponsorship, &[(80.0, "Widely held by institutions"), (60.0, "Well held by institutions")])
        .or((sponsorship <= 30.0).then_some("Hardly held by institutions"))
}

fn dividend_sentence(dividend_yield: f64) -> String {
    let percent = 100.0 * dividend_yield;
    if percent > 8.0 {
        format!(
            "Very high dividend yield (~{percent:.1}%), often a sign of elevated risk; \
             treat the payout as uncertain"
        )
    } else if (1.0..=6.0).contains(&percent) {
        format!("Dividend yield around {percent:.1}% adds an income component")
    } else {
        format!("Dividend yield around {percent:.1}%")
    }
}

/// The text of the first grade (descending) that the value reaches.
fn graded(value: f64, grades: &[(f64, &'static str)]) -> Option<&'static str> {
    grades.iter().find(|(min, _)| value >= *min).map(|(_, text)| *text)
}

/// What a rationale speaks of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RationaleInputs<'a> {
    pub symbol: &'a str,
    pub signal: Signal,
    /// The final rating.
    pub tech_rating: f64,
    /// A fraction.
    pub alpha: Option<f64>,
    pub has_positive_momentum: bool,
    pub is_cheap: bool,
    pub regime_label: Option<&'a str>,
}

/// One line of why.
///
/// # Source
/// §19, "Rationale". The symbol is one key ("do instead" of quirk Q1: the reference prints two columns of it).
pub fn rationale(inputs: &RationaleInputs) -> String {
    let parts = [
        Some(format!("{} – {}", inputs.signal, inputs.symbol)),
        Some(format!("TechRating {:.1}", inputs.tech_rating)),
        inputs.alpha.map(|alpha| format!("AlphaScore {alpha:.2}")),
        inputs.has_positive_momentum.then(|| "positive momentum".to_owned()),
        inputs.is_cheap.then(|| "attractive valuation".to_owned()),
        inputs.regime_label.map(|label| format!("in a {label} regime")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_worded_by_its_size() {
        let check = |drift, expected: &str| assert_eq!(drift_text(drift), expected);
        check(None, "not enough data");
        check(Some(0.01), "constructive; models imply roughly +1.0% bias over the next couple of weeks");
        check(Some(0.002), "mildly positive; models imply about +0.2% bias");
        check(Some(0.0), "near neutral");
        check(Some(-0.002), "mildly negative; models imply about -0.2% bias");
        check(Some(-0.5), "negative; models imply roughly -50.0% downside bias");
    }

    #[test]
    fn sentences_appear_when_there_is_something_to_say() {
        let all = RecommendationInputs {
            play_style: Some(PlayStyle::Stable),
            score: Some(91.0),
            sector_weight: Some(0.4),
            sector_cap: 0.3,
            ics: Some(70.0),
            quality: Some(39.0),
            tier: Some(InvestorTier::Core),
            sponsorship: Some(80.0),
            has_insider_buy: true,
            last_earnings_beat: Some(true),
            dividend_yield: Some(0.07),
            ..RecommendationInputs::default()
        };
        let found = sentences(&all);
        assert_eq!(found.len(), 13);
        assert_eq!(found[1], "Score: 91 (elite, top few percent today)");
        assert_eq!(found[5], "Its sector already weighs 40%, above the cap of 30%");
        assert_eq!(found[12], "Dividend yield around 7.0%");
        assert_eq!(sentences(&RecommendationInputs::default()).len(), 5);
        assert_eq!(quality_text(-0.5), None);
        assert_eq!(quality_text(-1.0), Some("Weak business quality"));
    }

    /// Quirk Q23.
    #[test]
    fn the_merit_summary_is_the_recommendation() {
        assert_eq!(recommendation(Some("MERIT 81"), &RecommendationInputs::default()), "MERIT 81");
        assert!(recommendation(None, &RecommendationInputs::default()).ends_with("Low/normal volatility."));
    }

    /// Quirk Q1.
    #[test]
    fn a_rationale_names_the_symbol_once() {
        let inputs = RationaleInputs {
            symbol: "CLX",
            signal: Signal::Avoid,
            tech_rating: 17.62,
            alpha: Some(0.0039),
            has_positive_momentum: true,
            is_cheap: false,
            regime_label: Some("SIDEWAYS_LOW_VOL"),
        };
        let expected = "Avoid – CLX; TechRating 17.6; AlphaScore 0.00; positive momentum; in a SIDEWAYS_LOW_VOL regime";
        assert_eq!(rationale(&inputs), expected);
    }
}
