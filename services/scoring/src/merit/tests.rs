use super::*;
use proptest::prelude::*;

/// A row without any flag.
fn sound() -> MeritInputs {
    MeritInputs { dollar_volume: Some(1e8), ..MeritInputs::default() }
}

fn check_score(inputs: MeritInputs, expected: f64) {
    let found = merit(&inputs).score;
    assert!((found - expected).abs() < 1e-9, "{inputs:?}: {found} != {expected}");
}

fn check_flags(inputs: MeritInputs, expected: &str) {
    assert_eq!(merit(&inputs).flags.to_string(), expected, "{inputs:?}");
}

#[test]
fn an_unknown_row_is_neutral_but_for_confluence() {
    check_score(sound(), 60.0);
}

#[test]
fn each_part_has_its_weight() {
    check_score(MeritInputs { tech_pct: Some(100.0), ..sound() }, 50.0 + 13.0);
    check_score(MeritInputs { ics: Some(100.0), ..sound() }, 67.0);
    check_score(MeritInputs { quality: Some(0.0), ..sound() }, 53.0);
    check_score(MeritInputs { liquidity_pct: Some(100.0), ..sound() }, 62.0);
    check_score(MeritInputs { vol_safety_pct: Some(0.0), ..sound() }, 59.0);
    check_score(MeritInputs { win_prob: WinProb::Known(1.0), ..sound() }, 69.0);
    let alpha_only = MeritInputs { alpha_pct: Some(100.0), ..sound() };
    check_score(alpha_only, 50.0 + 11.0 + 9.0);
    check_score(MeritInputs { win_prob: WinProb::Missing, ..alpha_only }, 61.0);
}

#[test]
fn the_score_stays_within_its_bounds() {
    let best = MeritInputs {
        tech_pct: Some(100.0),
        alpha_pct: Some(100.0),
        ics: Some(100.0),
        quality: Some(100.0),
        liquidity_pct: Some(100.0),
        vol_safety_pct: Some(100.0),
        ..sound()
    };
    check_score(best, 100.0);
    let worst =
        MeritInputs { tech_pct: Some(0.0), is_ultra_risky: true, market_cap: Some(1.0), ..MeritInputs::default() };
    check_score(worst, 0.0);
}

#[test]
fn flags_appear_at_their_limits_in_order() {
    let days = |days: f64| MeritInputs { days_to_earnings: Some(days), ..sound() };
    check_flags(days(-40.0), "EARNINGS_SOON");
    check_flags(days(3.0), "EARNINGS_SOON");
    check_flags(days(3.5), "EARNINGS_7D");
    check_flags(days(7.0), "EARNINGS_7D");
    check_flags(days(8.0), "");
    let dollar_volume = |dollar_volume| MeritInputs { dollar_volume, ..sound() };
    check_flags(dollar_volume(Some(1e7)), "");
    check_flags(dollar_volume(Some(9_999_999.0)), "LOW_LIQUIDITY");
    check_flags(dollar_volume(None), "LOW_LIQUIDITY");
    let atr = |atr_pct: f64| MeritInputs { atr_pct: Some(atr_pct), ..sound() };
    check_flags(atr(0.08), "");
    check_flags(atr(0.09), "HIGH_ATR");
    check_flags(atr(0.12), "HIGH_ATR");
    check_flags(atr(0.13), "VERY_HIGH_ATR");
    let market_cap = |market_cap: f64| MeritInputs { market_cap: Some(market_cap), ..sound() };
    check_flags(market_cap(299_999_999.0), "MICRO_CAP");
    check_flags(market_cap(3e8), "SMALL_CAP");
    check_flags(market_cap(1e9), "");
    let everything = MeritInputs {
        days_to_earnings: Some(0.0),
        atr_pct: Some(1.0),
        market_cap: Some(0.0),
        is_ultra_risky: true,
        ics_column_incomplete: true,
        quality_column_incomplete: true,
        ..MeritInputs::default()
    };
    check_flags(
        everything,
        "EARNINGS_SOON|LOW_LIQUIDITY|VERY_HIGH_ATR|MICRO_CAP|ULTRA_RISK|MISSING_ICS|MISSING_QUALITY",
    );
}

#[test]
fn fifty_reads_as_missing_only_in_an_incomplete_column() {
    let ics = |ics, ics_column_incomplete| MeritInputs { ics, ics_column_incomplete, ..sound() };
    check_flags(ics(None, true), "MISSING_ICS");
    check_flags(ics(Some(50.0), true), "MISSING_ICS");
    check_flags(ics(Some(50.1), true), "");
    check_flags(ics(Some(50.0), false), "");
}

#[test]
fn past_earnings_are_not_imminent() {
    assert_eq!(imminent_days(Some(-1.0)), None);
    assert_eq!(imminent_days(Some(0.0)), Some(0.0));
    assert_eq!(imminent_days(None), None);
}

#[test]
fn bands_start_at_their_limits() {
    let check = |score, expected| assert_eq!(Band::of(score).as_str(), expected, "{score}");
    check(100.0, "A+");
    check(90.0, "A+");
    check(89.999, "A");
    check(80.0, "A");
    check(70.0, "B");
    check(60.0, "C");
    check(59.999, "D");
    check(0.0, "D");
}

#[test]
fn summary_grades_each_part() {
    let check = |score: f64, tech, alpha, quality, notes: &[&'static str], expected: &str| {
        let found = summary(score, Band::of(score), tech, alpha, quality, notes.iter().copied());
        assert_eq!(found, expected);
    };
    check(
        92.0,
        80.0,
        70.0,
        Some(75.0),
        &[],
        "MERIT 92 (A+): exceptional opportunity with strong technical trend, strong forward edge, high quality; no major risk flags",
    );
    check(
        65.0,
        60.0,
        55.0,
        Some(60.0),
        &["low liquidity"],
        "MERIT 65 (C): solid opportunity with positive technical setup, positive forward edge, good quality; caution: low liquidity",
    );
    check(
        55.0,
        40.0,
        45.0,
        Some(45.0),
        &["earnings imminent", "elevated volatility"],
        "MERIT 55 (D): moderate opportunity with neutral technicals, neutral outlook, average quality; caution: earnings imminent, elevated volatility",
    );
    check(
        10.0,
        39.0,
        44.0,
        None,
        &[],
        "MERIT 10 (D): weak opportunity with weak technical position, limited upside, lower quality; no major risk flags",
    );
}

#[test]
fn summary_rounds_half_to_even() {
    let check = |score: f64, expected: &str| {
        let found = summary(score, Band::D, 0.0, 0.0, None, []);
        assert!(found.starts_with(&format!("MERIT {expected} (")), "{score}: {found}");
    };
    check(0.5, "0");
    check(1.5, "2");
    check(2.5, "2");
    check(46.5, "46");
    check(47.5, "48");
    check(46.500_000_1, "47");
}

#[test]
fn notes_follow_the_flags() {
    let check = |flags: &[MeritFlag], expected: &[&str]| {
        assert_eq!(caution_notes(flags.iter().copied().collect()).collect::<Vec<_>>(), expected);
    };
    check(&[], &[]);
    check(&[MeritFlag::MissingIcs, MeritFlag::MissingQuality], &[]);
    check(
        &[MeritFlag::UltraRisk, MeritFlag::MicroCap, MeritFlag::EarningsThisWeek],
        &["earnings this week", "very small company", "extreme risk"],
    );
    check(
        &[MeritFlag::HighAtr, MeritFlag::SmallCap, MeritFlag::LowLiquidity],
        &["low liquidity", "elevated volatility", "small company"],
    );
}

fn points() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(0.0..=100.0)
}

proptest! {
    #[test]
    fn parts_sum_to_a_score_in_bounds(
        percentiles in [points(), points(), points(), points(), points(), points()],
        win_prob in prop::option::of(0.0..=1.0),
        atr_pct in prop::option::of(0.0..0.2),
        market_cap in prop::option::of(0.0..2e9),
        days_to_earnings in prop::option::of(-5.0..20.0),
        is_ultra_risky: bool,
    ) {
        let [tech_pct, alpha_pct, ics, quality, liquidity_pct, vol_safety_pct] = percentiles;
        let found = merit(&MeritInputs {
            tech_pct, alpha_pct, ics, quality, liquidity_pct, vol_safety_pct,
            win_prob: win_prob.map_or(WinProb::Missing, WinProb::Known),
            dollar_volume: None,
            atr_pct, market_cap, days_to_earnings, is_ultra_risky,
            ics_column_incomplete: true,
            quality_column_incomplete: true,
        });
        prop_assert!((0.0..=100.0).contains(&found.score));
        let sum: f64 = found.breakdown.parts().map(|(_, points)| points).sum();
        prop_assert!((sum - found.score).abs() < 1e-9);
    }
}
