//! The scoring functions against the recorded output of the reference (`golden/README.md`), and
//! one test per quirk of the reference that the product does not share.

use scoring::ics::{self, IcsEvents, IcsTerms};
use scoring::merit::{self, ATR_PCT_UNKNOWN, DOLLAR_VOLUME_UNKNOWN, Merit, MeritFlag, MeritInputs, WinProb};
use scoring::percentile::{NEUTRAL_POINTS, points_of, ranks};
use scoring::risk::is_ultra_risky;
use scoring::tech_rating::{self, Signal, Subscores, TechInputs, Weights, signal, trend_score};
use tests::folders::golden_dir;
use tests::golden::{Mismatches, POINTS_TOLERANCE, Table, equal, is_near, points_match, values_match};

/// The reference's definition of ultra-risky (specification §13.4), an input of ours.
const REFERENCE_ULTRA_RISKY_RISK_MAX: f64 = 0.12;

#[test]
fn tech_rating_of_the_series() {
    let Some(dir) = golden_dir() else { return };
    let scores = Table::read(&dir, "orig_scores.parquet");
    let keys = ["symbol", "date", "lookback"];
    let features = Table::read(&dir, "orig_features.parquet").aligned(&keys, &scores);
    check_tech_rating(&tech_rows(&features, ""), &scores);
}

#[test]
fn tech_rating_of_the_cross_sections() {
    let Some(dir) = golden_dir() else { return };
    let rows = Table::read(&dir, "xs_rows.parquet");
    check_tech_rating(&tech_rows(&rows, "ft_"), &rows);
}

#[test]
fn ics_of_all_variants() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "xs_ics.parquet");
    let expected = table.numbers("ICS");
    let mut found = Mismatches::default();
    for section in table.groups(&["variant", "asof"]) {
        let terms = ics_terms(&table, &section, reference_stability);
        let mut scores: Vec<_> = terms.iter().map(ics::ics).collect();
        ics::fill_missing_with_median(&mut scores);
        for (score, &row) in scores.iter().zip(&section) {
            found.compare(&format!("row {row} ICS"), *score, expected[row], points_match, false);
        }
    }
    found.assert_none();
}

#[test]
fn merit_of_all_variants() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "xs_merit.parquet");
    let [tech, alpha, liquidity, vol_safety, score] =
        ["MeritTechPct", "MeritAlphaPct", "MeritLiquidityPct", "MeritVolSafetyPct", "MeritScore"]
            .map(|column| table.numbers(column));
    let [band, flags, summary] = ["MeritBand", "MeritFlags", "MeritSummary"].map(|column| table.texts(column));

    let mut found = Mismatches::default();
    for section in table.groups(&["variant", "asof"]) {
        for (row, inputs) in merit_inputs(&table, &section) {
            let merit = merit::merit(&inputs.row);
            let text = reference_summary(&merit, inputs.quality_mean);
            let is_edge = is_text_edge(&merit, inputs.quality_mean);
            for (name, value, expected) in [
                ("MeritTechPct", merit.tech_pct, tech[row]),
                ("MeritAlphaPct", merit.alpha_pct, alpha[row]),
                ("MeritLiquidityPct", merit.liquidity_pct, liquidity[row]),
                ("MeritVolSafetyPct", merit.vol_safety_pct, vol_safety[row]),
                ("MeritScore", merit.score, score[row]),
            ] {
                let what = format!("row {row} {name}");
                found.compare(&what, Some(value), expected, points_match, false);
            }
            for (name, value, expected, may_flip) in [
                ("MeritBand", merit.band.to_string(), &band[row], is_edge),
                ("MeritFlags", merit.flags.to_string(), &flags[row], false),
                ("MeritSummary", text, &summary[row], is_edge),
            ] {
                found.compare(&format!("row {row} {name}"), &value, expected, equal, may_flip);
            }
        }
    }
    found.assert_none();
}

/// The reference asks 20 > 50 twice and never takes a point away, so a decline scores 0 and a
/// short signal cannot occur. Ours asks three distinct questions, each ±1.
#[test]
fn quirk_9_a_decline_has_a_negative_trend() {
    let Some(dir) = golden_dir() else { return };
    let scores = Table::read(&dir, "orig_scores.parquet");
    let keys = ["symbol", "date", "lookback"];
    let features = Table::read(&dir, "orig_features.parquet").aligned(&keys, &scores);
    let recorded = scores.numbers("TrendScore");
    let closes = scores.numbers("Close");
    let signals = scores.texts("Signal");
    let mut n_declines = 0;
    for (row, tech) in tech_rows(&features, "").iter().enumerate() {
        let TechInputs { sma_20, sma_50, sma_200, .. } = tech.inputs;
        let close = closes[row];
        let inputs = TechInputs { close, ..tech.inputs };
        let is_decline = close < sma_20 && sma_20 < sma_50 && sma_50 < sma_200 && close.is_some();
        if is_decline {
            n_declines += 1;
            assert_eq!(recorded[row], Some(0.0), "row {row}");
            assert_eq!(trend_score(&inputs), -3, "row {row}");
        }
        assert!(recorded[row] >= Some(0.0), "row {row}");
        assert!(!signals[row].contains("Short"), "row {row}");
    }
    assert!(n_declines > 0, "no series declines");
    assert_eq!(signal(Some(-22.0), 0, -2), Signal::Avoid);
    assert_eq!(signal(Some(-22.0), -3, -2), Signal::StrongShort);
}

/// The reference pays the wildest rows 100 points for stability; ours pays them none, and the
/// calm ones instead, with the same weight of 12 %.
#[test]
fn quirk_5_stability_pays_for_calm() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "xs_ics.parquet");
    let recorded = table.numbers("ICS");
    let risk = table.numbers("risk_score");
    let mut n_wild = 0;
    for section in table.groups(&["variant", "asof"]) {
        let ours = ics_terms(&table, &section, ics::stability_term);
        for (terms, &row) in ours.iter().zip(&section) {
            let (Some(risk), Some(score)) = (risk[row], ics::ics(terms)) else { continue };
            let calm = 100.0 * risk.clamp(0.0, 1.0);
            let expected = recorded[row].map(|ics| ics - 0.12 * (100.0 - calm) + 0.12 * calm);
            assert!(points_match(Some(score), expected), "row {row}: {score} {expected:?}");
            n_wild += usize::from(risk <= 0.0);
        }
    }
    assert!(n_wild > 0, "no row has an ATR of 2 % or more");
}

/// The reference takes a report in the past for an imminent one, at 12 points. Ours drops it.
#[test]
fn quirk_35_past_earnings_cost_nothing() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "xs_merit.parquet");
    let flags = table.texts("MeritFlags");
    let mut n_past = 0;
    for section in table.groups(&["variant", "asof"]) {
        for (row, inputs) in merit_inputs(&table, &section) {
            let days_to_earnings = merit::imminent_days(inputs.row.days_to_earnings);
            if days_to_earnings == inputs.row.days_to_earnings {
                continue;
            }
            n_past += 1;
            let reference = merit::merit(&inputs.row);
            let ours = merit::merit(&MeritInputs { days_to_earnings, ..inputs.row });
            assert!(flags[row].contains("EARNINGS_SOON"), "row {row}");
            assert!(!ours.flags.contains(MeritFlag::EarningsSoon), "row {row}");
            let gain = unclipped(&ours) - unclipped(&reference);
            assert!((gain - 12.0).abs() < 1e-9, "row {row}: {gain}");
        }
    }
    assert!(n_past > 0, "no row has past earnings");
}

/// The reference calls an ATR above 1.76 % ultra-risky, which is most of the market, and takes 25
/// points for it. Ours means an ATR above 8 %, a price below 2 USD or hardly any trading.
#[test]
fn quirk_10_ordinary_stocks_are_not_ultra_risky() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "xs_rows.parquet");
    let recorded = table.facts("IsUltraRisky");
    let [atr_pct, close, volume] = ["ATR14_pct", "Close", "Volume"].map(|column| table.numbers(column));
    let (mut n_ours, mut n_reference, mut n_ordinary) = (0, 0, 0);
    for row in 0..table.n_rows() {
        let reference = recorded[row] == Some(true);
        let dollar_volume = close[row].zip(volume[row]).map(|(close, volume)| close * volume);
        let ours = is_ultra_risky(atr_pct[row], close[row], dollar_volume);
        n_reference += usize::from(reference);
        n_ours += usize::from(ours);
        let is_ordinary = atr_pct[row].is_some_and(|v| v > 0.018 && v < 0.08)
            && close[row] > Some(2.0)
            && dollar_volume > Some(500_000.0);
        if is_ordinary {
            n_ordinary += 1;
            assert!(reference, "row {row}");
            assert!(!ours, "row {row}");
            let charged = merit::merit(&MeritInputs { is_ultra_risky: reference, ..Default::default() });
            let spared = merit::merit(&MeritInputs { is_ultra_risky: ours, ..Default::default() });
            assert!((spared.score - charged.score - 25.0).abs() < 1e-9);
        }
    }
    assert!(n_ordinary > 0, "no ordinary stock");
    assert!(n_ours < n_reference, "{n_ours} of ours, {n_reference} of the reference");
}

/// One row of recorded features.
struct TechRow {
    inputs: TechInputs,
    /// The reference's own trend score, with its duplicate test.
    reference_trend: i32,
}

fn tech_rows(features: &Table, prefix: &str) -> Vec<TechRow> {
    let column = |name: &str| features.numbers(&format!("{prefix}{name}"));
    let [sma_20, sma_50, sma_200, sma_20_above_50] = ["sma_20", "sma_50", "sma_200", "sma_20_above_50"].map(column);
    let [rsi_14, macd_hist, pct_from_high20, vol_spike_ratio, atr_pct_14, ret_5d] =
        ["rsi_14", "macd_hist", "pct_from_high20", "vol_spike_ratio", "atr_pct_14", "ret_5d"].map(column);
    let is_above = |a: Option<f64>, b: Option<f64>| a.zip(b).is_some_and(|(a, b)| a > b);
    (0..features.n_rows())
        .map(|row| TechRow {
            inputs: TechInputs {
                close: None,
                sma_20: sma_20[row],
                sma_50: sma_50[row],
                sma_200: sma_200[row],
                rsi_14: rsi_14[row],
                macd_hist: macd_hist[row],
                pct_from_high20: pct_from_high20[row],
                vol_spike_ratio: vol_spike_ratio[row],
                atr_pct_14: atr_pct_14[row],
                ret_5d: ret_5d[row],
            },
            reference_trend: i32::from(is_above(sma_20[row], sma_50[row]))
                + i32::from(is_above(sma_50[row], sma_200[row]))
                + i32::from(is_above(sma_20_above_50[row], Some(0.5))),
        })
        .collect()
}

fn check_tech_rating(rows: &[TechRow], expected: &Table) {
    let column = |name: &str| expected.numbers(name);
    let [trend, momentum, volume, volatility, oscillator, breakout] =
        ["TrendScore", "MomentumScore", "VolumeScore", "VolatilityScore", "OscillatorScore", "BreakoutScore"]
            .map(column);
    let [explosiveness, risk, raw, rating] =
        ["ExplosivenessScore", "RiskScore", "TechRating_raw", "TechRating"].map(column);
    let signals = expected.texts("Signal");
    let is_ultra_risky = expected.facts("IsUltraRisky");

    let mut found = Mismatches::default();
    for (row, TechRow { inputs, reference_trend }) in rows.iter().enumerate() {
        let subscores = Subscores { trend: *reference_trend, ..Subscores::new(inputs) };
        let rated = tech_rating::tech_rating(&subscores, &Weights::default());
        let found_signal = signal(rated.rating, subscores.trend, subscores.momentum);
        let found_ultra_risky = subscores.risk.map(|v| v < REFERENCE_ULTRA_RISKY_RISK_MAX);
        let is_edge = is_tech_edge(inputs, rated.rating);
        for (name, value, expected) in [
            ("TrendScore", Some(f64::from(subscores.trend)), trend[row]),
            ("MomentumScore", Some(f64::from(subscores.momentum)), momentum[row]),
            ("VolumeScore", Some(f64::from(subscores.volume)), volume[row]),
            ("VolatilityScore", Some(f64::from(subscores.volatility)), volatility[row]),
            ("OscillatorScore", Some(f64::from(subscores.oscillator)), oscillator[row]),
            ("BreakoutScore", Some(f64::from(subscores.breakout)), breakout[row]),
            ("ExplosivenessScore", Some(subscores.explosiveness), explosiveness[row]),
            ("RiskScore", subscores.risk, risk[row]),
            ("TechRating_raw", Some(rated.raw), raw[row]),
            ("TechRating", rated.rating, rating[row]),
        ] {
            found.compare(&format!("row {row} {name}"), value, expected, values_match, is_edge);
        }
        let what = format!("row {row} Signal");
        found.compare(&what, found_signal.as_str(), &signals[row], equal, is_edge);
        let what = format!("row {row} IsUltraRisky");
        let is_ultra_edge = is_near(subscores.risk, Some(REFERENCE_ULTRA_RISKY_RISK_MAX));
        let found_ultra_risky = Some(found_ultra_risky == Some(true));
        found.compare(&what, found_ultra_risky, is_ultra_risky[row], equal, is_ultra_edge);
        if let Some((rating, breakdown)) = rated.rating.zip(rated.breakdown) {
            let sum: f64 = breakdown.parts().iter().map(|(_, points)| points).sum();
            assert!((sum - rating).abs() < 1e-9, "row {row}: parts {sum}, rating {rating}");
        }
    }
    found.assert_none();
}

/// Whether a test of the rating is so close that the rounding of the recorded inputs may flip it.
fn is_tech_edge(inputs: &TechInputs, rating: Option<f64>) -> bool {
    let limits = |value: Option<f64>, limits: &[f64]| limits.iter().any(|v| is_near(value, Some(*v)));
    is_near(inputs.sma_20, inputs.sma_50)
        || is_near(inputs.sma_50, inputs.sma_200)
        || limits(inputs.rsi_14, &[40.0, 45.0, 55.0, 65.0, 70.0])
        || limits(inputs.macd_hist, &[0.0])
        || limits(inputs.pct_from_high20, &[-3.0, -1.0])
        || limits(inputs.vol_spike_ratio, &[0.7, 1.2, 1.5])
        || limits(inputs.atr_pct_14, &[0.01, 0.03])
        || limits(inputs.ret_5d, &[0.0, 0.02])
        || limits(rating, &[-22.0, -16.0, 16.0, 22.0])
}

/// The terms of one cross-section, assembled as the reference does (§9).
fn ics_terms(table: &Table, section: &[usize], stability: fn(Option<f64>) -> Option<f64>) -> Vec<IcsTerms> {
    let column = |name: &str| table.numbers_of(name, section);
    let first =
        |names: &[&str]| names.iter().map(|name| column(name)).find(|values| values.iter().any(Option::is_some));
    let percentiles = |values: Option<Vec<Option<f64>>>| values.map(|values| points_of(ranks(&values)));
    let neutral = || vec![Some(NEUTRAL_POINTS); section.len()];

    let tech = percentiles(first(&["TechRating", "TechRating_raw"])).unwrap_or_else(neutral);
    let alpha = percentiles(first(&["alpha_blend", "AlphaScore"])).unwrap_or_else(neutral);
    let mut quality = percentiles(first(&["QualityScore"])).unwrap_or_else(neutral);
    if let Some(sponsorship) = percentiles(first(&["SponsorshipScore"])) {
        for (quality, sponsorship) in quality.iter_mut().zip(sponsorship) {
            *quality = quality.zip(sponsorship).map(|(a, b)| f64::midpoint(a, b));
        }
    }
    let stability: Vec<_> =
        first(&["risk_score"]).map_or_else(neutral, |risks| risks.into_iter().map(stability).collect());
    let liquidity = percentiles(
        first(&["DollarVolume"]).map(|values| values.iter().map(|v| v.map(|v| v.max(1.0).log10())).collect()),
    )
    .unwrap_or_else(neutral);

    let fact = |name: &str| table.facts_of(name, section);
    let pre_earnings = fact("is_pre_earnings_window");
    let post_earnings = fact("is_post_earnings_positive_window");
    let dividend_ex = fact("has_dividend_ex_soon");
    let [streak, surprise, dividend_yield] = ["surprise_streak", "avg_surprise_bp", "dividend_yield"].map(column);

    (0..section.len())
        .map(|i| IcsTerms {
            tech: tech[i],
            alpha: alpha[i],
            quality: quality[i],
            stability: stability[i],
            liquidity: liquidity[i],
            event: Some(ics::event_term(&IcsEvents {
                is_pre_earnings_window: pre_earnings[i] == Some(true),
                is_post_earnings_positive_window: post_earnings[i] == Some(true),
                has_dividend_ex_soon: dividend_ex[i] == Some(true),
                surprise_streak: streak[i],
                avg_surprise_bp: surprise[i],
                dividend_yield: dividend_yield[i],
            })),
        })
        .collect()
}

/// Inverted (quirk Q5).
fn reference_stability(risk: Option<f64>) -> Option<f64> {
    risk.map(|risk| 100.0 * (1.0 - risk.clamp(0.0, 1.0)))
}

struct ReferenceMerit {
    row: MeritInputs,
    quality_mean: Option<f64>,
}

/// The columns that the reference was not given in a variant (`golden/README.md`); elsewhere a
/// null is a missing value.
fn absent_columns(variant: &str) -> &'static [&'static str] {
    match variant {
        "no_winprob" => &["win_prob_10d"],
        "no_ics_quality" => &["InstitutionalCoreScore", "QualityScore"],
        "minimal" => &["win_prob_10d", "ATR14_pct", "InstitutionalCoreScore", "QualityScore"],
        _ => &[],
    }
}

/// One cross-section, assembled as the reference does (§11): the row number and its inputs.
fn merit_inputs(table: &Table, section: &[usize]) -> Vec<(usize, ReferenceMerit)> {
    let absent = absent_columns(&table.texts("variant")[section[0]]);
    let is_absent = |name: &str| absent.contains(&name);
    let column = |name: &str| table.numbers_of(name, section);
    let filled = |values: Vec<Option<f64>>, unknown: f64| -> Vec<Option<f64>> {
        values.into_iter().map(|v| v.or(Some(unknown))).collect()
    };
    let is_incomplete = |values: &[Option<f64>]| values.contains(&None);

    let tech_pct = points_of(ranks(&column("TechRating")));
    let alpha_pct = points_of(ranks(&column("AlphaScore")));
    let dollar_volume = filled(column("DollarVolume"), DOLLAR_VOLUME_UNKNOWN);
    let liquidity: Vec<_> = dollar_volume.iter().map(|v| v.map(|v| v.max(1.0).log10())).collect();
    let liquidity_pct = points_of(ranks(&liquidity));
    let atr_pct = filled(column("ATR14_pct"), ATR_PCT_UNKNOWN);
    let atr_pct_points = points_of(ranks(&atr_pct));
    let [win_prob, market_cap, ics, quality, days] =
        ["win_prob_10d", "market_cap", "InstitutionalCoreScore", "QualityScore", "days_to_earnings"].map(column);
    let earnings_soon = table.facts_of("EarningsSoon", section);
    let is_ultra_risky = table.facts_of("IsUltraRisky", section);
    let quality_part = |values: &[Option<f64>], name: &str, i: usize| {
        if is_absent(name) { Some(NEUTRAL_POINTS) } else { values[i] }
    };

    section
        .iter()
        .enumerate()
        .map(|(i, &row)| {
            let inputs = MeritInputs {
                tech_pct: tech_pct[i],
                alpha_pct: alpha_pct[i],
                win_prob: match win_prob[i] {
                    _ if is_absent("win_prob_10d") => WinProb::Absent,
                    Some(probability) => WinProb::Known(probability),
                    None => WinProb::Missing,
                },
                ics: ics[i],
                quality: quality[i],
                liquidity_pct: liquidity_pct[i],
                vol_safety_pct: atr_pct_points[i].filter(|_| !is_absent("ATR14_pct")).map(|points| 100.0 - points),
                dollar_volume: dollar_volume[i],
                atr_pct: atr_pct[i],
                market_cap: market_cap[i],
                days_to_earnings: days[i].or((earnings_soon[i] == Some(true)).then_some(2.0)),
                is_ultra_risky: is_ultra_risky[i] == Some(true),
                ics_column_incomplete: is_incomplete(&ics),
                quality_column_incomplete: is_incomplete(&quality),
            };
            let quality_mean = quality_part(&quality, "QualityScore", i)
                .zip(quality_part(&ics, "InstitutionalCoreScore", i))
                .map(|(quality, ics)| f64::midpoint(quality, ics));
            (row, ReferenceMerit { row: inputs, quality_mean })
        })
        .collect()
}

/// The summary with the reference's three kinds of note; ours also names size and ultra-risk.
fn reference_summary(merit: &Merit, quality_mean: Option<f64>) -> String {
    let flags = merit
        .flags
        .iter()
        .filter(|flag| !matches!(flag, MeritFlag::MicroCap | MeritFlag::SmallCap | MeritFlag::UltraRisk))
        .collect();
    let notes = merit::caution_notes(flags);
    merit::summary(merit.score, merit.band, merit.tech_pct, merit.alpha_pct, quality_mean, notes)
}

/// Whether a word or a rounded number may flip within the tolerance of the numbers behind it.
fn is_text_edge(merit: &Merit, quality_mean: Option<f64>) -> bool {
    let at = |value: f64, limits: &[f64]| limits.iter().any(|v| (value - v).abs() < POINTS_TOLERANCE);
    at(merit.score.fract(), &[0.5])
        || at(merit.score, &[55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0])
        || at(merit.tech_pct, &[40.0, 60.0, 80.0])
        || at(merit.alpha_pct, &[45.0, 55.0, 70.0])
        || quality_mean.is_some_and(|mean| at(mean, &[45.0, 60.0, 75.0]))
}

fn unclipped(merit: &Merit) -> f64 {
    merit.score - merit.breakdown.clip
}
