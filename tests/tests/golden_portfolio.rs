//! Weights, ranking, experience, alerts and priorities against the recorded output of the reference, and the quirks we
//! do not share.

use std::collections::BTreeMap;

use portfolio::covariance::{Covariance, closed_form_weights, information_ratio};
use portfolio::ranking::{composite_scores, diversified, risk_adjusted};
use portfolio::weights::{
    Candidates, Caps, SECTOR_SHARE_MAX, inverse_vol_weights, scenario_gain, weights, within_caps,
};
use schemas::EventTime;
use scoring::alert_rules::{AlertText, Conviction, RegimeWatch, scoreboard_alert, signal_alerts};
use scoring::drift::PlayStyle;
use scoring::merit::Band;
use scoring::meta_experience::{Experience, HORIZONS, Outcomes, Sample};
use scoring::regime::{Regime, Trend, Vol};
use scoring::symbol_priority::{Activity, Chart, News, Priority, PriorityInputs};
use serde_json::Value;
use tests::folders::golden_dir;
use tests::golden::{Mismatches, Table, equal, read_json, values_match};

const ACCOUNT: f64 = 10_000.0;

#[test]
fn portfolio_weights_of_the_cross_sections() {
    let Some(dir) = golden_dir() else { return };
    let rows = PortfolioRows::new(Table::read(&dir, "xs_portfolio.parquet"));
    let names = [
        "weight_suggested",
        "weight_risk_parity",
        "weight_mean_variance",
        "weight_hrp",
        "alloc_suggested",
        "alloc_risk_parity",
        "Weight_invvol",
        "Weight_opt_fallback",
        "RiskContribution",
    ];
    let expected = names.map(|name| rows.table.numbers(name));
    let mut found = Mismatches::default();
    for section in rows.table.groups(&["asof"]) {
        let section = rows.section(&section);
        let weights = weights(&Candidates {
            drift: &section.drift,
            vol: &section.atr_pct,
            sectors: &section.sectors,
            has_position: &section.has_position,
        });
        let variances: Vec<f64> = section.vol.iter().map(|vol| vol.expect("the volatility is known").powi(2)).collect();
        let covariance = Covariance::diagonal(&variances);
        let alpha: Vec<f64> = section.alpha.iter().map(|alpha| alpha.expect("alpha is known")).collect();
        let optimised = closed_form_weights(&alpha, &covariance, &section.sectors, &Caps::default());
        let contribution = covariance.times(&optimised);
        let scaled = |weights: &[f64]| weights.iter().map(|weight| ACCOUNT * weight).collect::<Vec<_>>();
        let columns = [
            weights.suggested.clone(),
            weights.risk_parity.clone(),
            weights.mean_variance,
            weights.hierarchical,
            scaled(&weights.suggested),
            scaled(&weights.risk_parity),
            inverse_vol_weights(&section.vol),
            optimised,
            contribution,
        ];
        for ((name, column), expected) in names.iter().zip(columns).zip(&expected) {
            for (value, &row) in column.into_iter().zip(&section.rows) {
                found.compare(&format!("row {row} {name}"), Some(value), expected[row], values_match, false);
            }
        }
    }
    found.assert_none();
}

#[test]
fn ranks_of_the_cross_sections() {
    let Some(dir) = golden_dir() else { return };
    let rows = PortfolioRows::new(Table::read(&dir, "xs_portfolio.parquet"));
    let [expected_adjusted, expected_composite, expected_rank] =
        ["risk_adjusted", "CompositeScore", "diversified_rank"].map(|name| rows.table.numbers(name));
    let mut found = Mismatches::default();
    for section in rows.table.groups(&["asof"]) {
        let n_ranked = section.iter().filter(|&&row| expected_rank[row].is_some()).count();
        let section = rows.section(&section);
        let adjusted = risk_adjusted(&section.drift, &section.vol);
        let composite = composite_scores(&section.rating, &section.alpha, &section.sectors);
        let mut ranks = vec![None; section.rows.len()];
        for (rank, row) in diversified(&section.rating, &section.sectors, 2, n_ranked).into_iter().enumerate() {
            ranks[row] = Some((rank + 1) as f64);
        }
        for (i, &row) in section.rows.iter().enumerate() {
            found.compare(
                &format!("row {row} risk-adjusted"),
                adjusted[i],
                expected_adjusted[row],
                values_match,
                false,
            );
            found.compare(&format!("row {row} rank"), ranks[i], expected_rank[row], values_match, false);
            // A negative composite is quirk Q33.
            if expected_composite[row] >= Some(0.0) {
                let expected = expected_composite[row];
                found.compare(&format!("row {row} composite"), composite[i], expected, values_match, false);
            }
        }
    }
    found.assert_none();
}

/// The reference divides the drift by the technical rating, for want of a volatility, so that a better rating makes a
/// row look riskier. Ours divides by what the stock really moved.
#[test]
fn quirk_3_risk_is_volatility() {
    let Some(dir) = golden_dir() else { return };
    let rows = PortfolioRows::new(Table::read(&dir, "xs_portfolio.parquet"));
    for section in rows.table.groups(&["asof"]) {
        let section = rows.section(&section);
        let reference = risk_adjusted(&section.drift, &section.rating);
        let ours = risk_adjusted(&section.drift, &section.vol);
        let order = |scores: &[Option<f64>]| diversified(scores, &section.sectors, usize::MAX, usize::MAX);
        assert_ne!(order(&reference), order(&ours));
    }
}

/// The reference multiplies a negative composite by less than one, so that the crowded sector's bad rows gain on the
/// others. Ours lose.
#[test]
fn quirk_33_crowding_does_not_help_bad_rows() {
    let Some(dir) = golden_dir() else { return };
    let rows = PortfolioRows::new(Table::read(&dir, "xs_portfolio.parquet"));
    let recorded = rows.table.numbers("CompositeScore");
    let mut n_flattered = 0;
    for section in rows.table.groups(&["asof"]) {
        let section = rows.section(&section);
        let ours = composite_scores(&section.rating, &section.alpha, &section.sectors);
        for (i, &row) in section.rows.iter().enumerate() {
            let plain = section.rating[i].zip(section.alpha[i]).map(|(rating, alpha)| rating + 10.0 * alpha);
            assert!(ours[i] <= plain, "row {row}");
            n_flattered += usize::from(recorded[row] > plain && ours[i] < plain);
        }
    }
    assert!(n_flattered > 0, "no composite is negative");
}

/// The reference normalises after capping, so a sector it has just cut to 30 % has more again. Ours holds the cap and
/// keeps cash where it must.
#[test]
fn quirk_36_sector_caps_hold() {
    let Some(dir) = golden_dir() else { return };
    let rows = PortfolioRows::new(Table::read(&dir, "xs_portfolio.parquet"));
    let recorded = rows.table.numbers("weight_suggested");
    let mut n_broken = 0;
    for section in rows.table.groups(&["asof"]) {
        let section = rows.section(&section);
        let reference: Vec<f64> = section.rows.iter().map(|&row| recorded[row].unwrap_or(0.0)).collect();
        let ours = within_caps(&reference, &section.sectors, &Caps::default());
        let shares = |weights: &[f64]| {
            let mut shares = BTreeMap::<_, f64>::new();
            for (sector, weight) in section.sectors.iter().zip(weights) {
                *shares.entry(sector.clone()).or_default() += weight;
            }
            shares
        };
        n_broken += shares(&reference).values().filter(|share| **share > SECTOR_SHARE_MAX + 1e-6).count();
        assert!(shares(&ours).values().all(|share| *share <= SECTOR_SHARE_MAX + 1e-9));
        assert!(ours.iter().all(|weight| *weight <= Caps::default().name_max + 1e-9));
    }
    // A cap can only break where one sector holds most of the positions, so one of our own making shows it too.
    let reference = weights(&Candidates {
        drift: &[Some(0.1); 3],
        vol: &[Some(0.02); 3],
        sectors: &["a", "a", "b"],
        has_position: &[true; 3],
    });
    n_broken += usize::from(reference.suggested[2] > SECTOR_SHARE_MAX);
    assert!(n_broken > 0, "every cap holds");
}

#[test]
fn covariance_and_weights_of_the_returns() {
    let Some(dir) = golden_dir() else { return };
    let case = read_json(&dir, "portfolio_cov.json");
    let returns: Vec<Vec<Option<f64>>> =
        list(&case["returns"]).iter().map(|day| list(day).iter().map(Value::as_f64).collect()).collect();
    let covariance = Covariance::ledoit_wolf(&returns);
    let mut found = Mismatches::default();
    for (row, expected) in list(&case["ledoit_wolf_cov"]).iter().enumerate() {
        for (column, expected) in list(expected).iter().enumerate() {
            let is_match = |a: Option<f64>, b: Option<f64>| a.zip(b).is_some_and(|(a, b)| (a - b).abs() < 1e-14);
            let value = Some(covariance.get(row, column));
            found.compare(&format!("covariance {row} {column}"), value, expected.as_f64(), is_match, false);
        }
    }

    let alpha = numbers(&case["mu"]);
    let sectors: Vec<&str> = list(&case["input_sector"]).iter().filter_map(Value::as_str).collect();
    let variances: Vec<f64> = numbers(&case["vol_estimate"]).iter().map(|vol| vol * vol).collect();
    let diagonal = Covariance::diagonal(&variances);
    let mut default_weights = Vec::new();
    for (name, caps) in [
        ("optimize_portfolio_w025_s040", Caps { name_max: 0.25, sector_max: 0.40 }),
        ("optimize_portfolio_default", Caps::default()),
    ] {
        let weights = closed_form_weights(&alpha, &diagonal, &sectors, &caps);
        let contribution = diagonal.times(&weights);
        for (row, expected) in list(&case[name]).iter().enumerate() {
            for (key, value) in [("Weight", weights[row]), ("RiskContribution", contribution[row])] {
                found.compare(&format!("{name} {row} {key}"), Some(value), expected[key].as_f64(), values_match, false);
            }
        }
        default_weights = weights;
    }

    let equal_weights = numbers(&case["optimize_weights_equal_fallback"]["w"]);
    let ratio = information_ratio(&equal_weights, &alpha, &covariance);
    let expected = case["optimize_weights_equal_fallback"]["ir"].as_f64();
    found.compare("information ratio", Some(ratio), expected, values_match, false);
    let symbols = list(&case["symbols"]).iter().filter_map(Value::as_str);
    let betas: Vec<_> = symbols.map(|symbol| case["betas"][symbol].as_f64()).collect();
    let gain = scenario_gain(&default_weights, &betas, -0.05);
    found.compare("scenario", Some(gain), case["scenario_pnl_-5pct"].as_f64(), values_match, false);
    found.assert_none();
}

#[test]
fn experience_of_the_panel() {
    let Some(dir) = golden_dir() else { return };
    let recorded = read_json(&dir, "meta_experience.json");
    let panel = Table::read(&dir, "meta_panel.parquet");
    let experience = experience_on(&panel, recorded["score_col"].as_str().expect("a column"));
    let mut found = Mismatches::default();
    for (index, (edge, expected)) in experience.edges().iter().zip(list(&recorded["edges"])).enumerate() {
        found.compare(&format!("edge {index}"), Some(*edge), expected.as_f64(), values_match, false);
    }
    let mut check_outcomes = |what: &str, outcomes: &Outcomes, expected: &Value| {
        for (horizon, days) in HORIZONS.iter().enumerate() {
            let [mean, hit_rate] = ["mean", "hit"].map(|name| expected[format!("{name}_fwd_ret_{days}d")].as_f64());
            found.compare(&format!("{what} mean {days}"), outcomes.mean[horizon], mean, values_match, false);
            found.compare(&format!("{what} hits {days}"), outcomes.hit_rate[horizon], hit_rate, values_match, false);
        }
    };
    for (index, expected) in list(&recorded["bucket_stats"]).iter().enumerate() {
        check_outcomes(&format!("bucket {index}"), &experience.by_bucket()[index], expected);
    }
    for expected in list(&recorded["playstyle_stats"]) {
        let style = style(&expected["PlayStyle"]).expect("a known style");
        let outcomes = experience.by_style(style).expect("the style has samples");
        check_outcomes(style.as_str(), outcomes, expected);
    }
    for (fraction, expected) in recorded["percentiles"].as_object().expect("by fraction") {
        let fraction = fraction.parse().expect("a fraction");
        found.compare("quantile", experience.quantile(fraction), expected.as_f64(), values_match, false);
    }
    for case in list(&recorded["cases"]) {
        let (score, style) = (case["score"].as_f64(), style(&case["playstyle"]));
        let what = format!("{score:?} {style:?}");
        let bucket = score.map(|score| experience.bucket(score) as u64);
        found.compare(&format!("{what} bucket"), bucket, case["bucket"].as_u64(), equal, false);
        let percentile = score.map(|score| experience.percentile(score));
        found.compare(&format!("{what} percentile"), percentile, case["percentile"].as_f64(), values_match, false);
        let text = score.map_or_else(String::new, |score| experience.text(score, style));
        found.compare(&format!("{what} text"), Some(text.as_str()), case["text"].as_str(), equal, false);
        let tag = experience.setup_tag(score, style);
        found.compare(&format!("{what} tag"), Some(tag.as_str()), case["setup_tag"].as_str(), equal, false);
    }
    found.assert_none();
}

/// The reference looks an institutional core score (0–100) up among technical ratings (−10…30), where every one is the
/// best ever seen. Ours compares a column with itself.
#[test]
fn quirk_38_experience_is_looked_up_by_its_own_column() {
    let Some(dir) = golden_dir() else { return };
    let panel = Table::read(&dir, "meta_panel.parquet");
    let experience = experience_on(&panel, "TechRating");
    for institutional_core_score in [35.0, 50.0, 65.0] {
        assert!(experience.text(institutional_core_score, None).starts_with("This setup ranks in the top 5%"));
    }
    let rating = experience.quantile(0.5).expect("there are samples");
    assert!(experience.text(rating, None).contains("the historical range"));
}

#[test]
fn alerts_of_the_sequence() {
    let Some(dir) = golden_dir() else { return };
    let recorded = read_json(&dir, "alerts.json");
    let rows: Vec<_> = list(&recorded["rows"])
        .iter()
        .map(|row| {
            let number = |name: &str| row[name].as_f64().unwrap_or(f64::NAN);
            let conviction = Conviction::Rating { tech_rating: number("TechRating"), alpha: number("AlphaScore") };
            (row["Symbol"].as_str().expect("a symbol"), conviction)
        })
        .collect();
    let mut watch = RegimeWatch::default();
    for (step, case) in list(&recorded["sequence"]).iter().enumerate() {
        let mut alerts = signal_alerts(rows.iter().copied());
        alerts.extend(regime(&case["regime"]).and_then(|regime| watch.update(&regime)));
        let scoreboard = &case["scoreboard"];
        alerts.extend(scoreboard_alert(scoreboard["ic"].as_f64().or(scoreboard["ic_30d"].as_f64())));
        let found: Vec<_> = alerts.iter().map(fields).collect();
        let expected: Vec<_> = list(&case["alerts"])
            .iter()
            .map(|alert| ["level", "category", "message"].map(|name| alert[name].as_str().expect("a text").to_owned()))
            .collect();
        assert_eq!(found, expected, "step {step}");
    }
}

/// The reference asks 15 of an alpha that is a return, and so is silent for ever. Ours asks MERIT, or a better band
/// than before.
#[test]
fn quirk_39_alerts_can_fire() {
    let real = Conviction::Rating { tech_rating: 26.0, alpha: 0.25 };
    assert!(!real.is_high(), "25 % in ten days is more than any model predicts");
    assert!(Conviction::Merit { score: 80.0, before: None }.is_high());
    assert!(Conviction::Merit { score: 72.0, before: Some(Band::C) }.is_high());
}

#[test]
fn priorities_of_all_symbols() {
    let Some(dir) = golden_dir() else { return };
    let cases = read_json(&dir, "symbol_scorer.json");
    let mut found = Mismatches::default();
    for (index, case) in list(&cases).iter().enumerate() {
        // Nothing in a part is as much as no part.
        let part = |name: &str| Some(&case[name]).filter(|part| part.as_object().is_some_and(|part| !part.is_empty()));
        let inputs = PriorityInputs {
            history: None,
            activity: part("market_data").map(|data| Activity {
                volume_ratio: data["volume_ratio"].as_f64(),
                return_5d: data["return_5d"].as_f64(),
                atr_ratio: data["atr_ratio"].as_f64(),
                rs_percentile: data["rs_percentile"].as_f64(),
            }),
            news: part("fundamental_data").map(|data| News {
                earnings_surprise_pct: data["earnings_surprise_pct"].as_f64(),
                rating_change_30d: data["rating_change_30d"].as_f64(),
                news_sentiment: data["news_sentiment"].as_f64(),
                institutional_flow_30d: data["institutional_flow_30d"].as_f64(),
            }),
            chart: part("technical_data").map(|data| Chart {
                support_distance_pct: data["support_distance_pct"].as_f64(),
                resistance_distance_pct: data["resistance_distance_pct"].as_f64(),
                pattern_score: data["pattern_score"].as_f64(),
                n_bullish: data["bullish_indicator_count"].as_f64(),
                n_indicators: data["total_indicator_count"].as_f64(),
                trend_strength: data["trend_strength"].as_f64(),
            }),
        };
        let priority = Priority::new(&inputs);
        for (name, value) in [
            ("total_score", priority.total),
            ("historical_score", priority.history),
            ("activity_score", priority.activity),
            ("fundamental_score", priority.news),
            ("technical_score", priority.chart),
        ] {
            let expected = case["out"][name].as_f64();
            found.compare(&format!("case {index} {name}"), Some(value), expected, values_match, false);
        }
    }
    found.assert_none();
}

/// The recorded rows of the portfolio.
struct PortfolioRows {
    drift: Vec<Option<f64>>,
    atr_pct: Vec<Option<f64>>,
    vol: Vec<Option<f64>>,
    rating: Vec<Option<f64>>,
    alpha: Vec<Option<f64>>,
    n_shares: Vec<usize>,
    sectors: Vec<String>,
    table: Table,
}

/// One cross-section of them.
struct Section {
    rows: Vec<usize>,
    drift: Vec<Option<f64>>,
    atr_pct: Vec<Option<f64>>,
    vol: Vec<Option<f64>>,
    rating: Vec<Option<f64>>,
    alpha: Vec<Option<f64>>,
    has_position: Vec<bool>,
    sectors: Vec<String>,
}

impl PortfolioRows {
    fn new(table: Table) -> Self {
        Self {
            drift: table.numbers("MuTotal"),
            atr_pct: table.numbers("ATR14_pct"),
            vol: table.numbers("vol_realized_20"),
            rating: table.numbers("TechRating"),
            alpha: table.numbers("AlphaScore"),
            n_shares: table.counts("PositionSize"),
            sectors: table.texts("Sector"),
            table,
        }
    }

    fn section(&self, rows: &[usize]) -> Section {
        let column = |values: &[Option<f64>]| rows.iter().map(|&row| values[row]).collect();
        Section {
            drift: column(&self.drift),
            atr_pct: column(&self.atr_pct),
            vol: column(&self.vol),
            rating: column(&self.rating),
            alpha: column(&self.alpha),
            has_position: rows.iter().map(|&row| self.n_shares[row] > 0).collect(),
            sectors: rows.iter().map(|&row| self.sectors[row].clone()).collect(),
            rows: rows.to_vec(),
        }
    }
}

/// The experience of the whole panel, compared on one of its columns.
fn experience_on(panel: &Table, score_column: &str) -> Experience {
    let [score, five, ten] = [score_column, "fwd_ret_5d", "fwd_ret_10d"].map(|column| panel.numbers(column));
    let styles = panel.texts("PlayStyle");
    let samples: Vec<_> = (0..panel.n_rows())
        .filter_map(|row| {
            let style = style(&Value::from(styles[row].as_str()));
            Some(Sample { score: score[row]?, style, returns: [five[row], ten[row]], known_on: EventTime(0) })
        })
        .collect();
    Experience::new(&samples, EventTime(1)).expect("the scores differ")
}

fn style(text: &Value) -> Option<PlayStyle> {
    let styles = [PlayStyle::Stable, PlayStyle::Explosive, PlayStyle::Hybrid, PlayStyle::Neutral];
    styles.into_iter().find(|style| text.as_str() == Some(style.as_str()))
}

fn regime(value: &Value) -> Option<Regime> {
    let trend = [Trend::Up, Trend::Down, Trend::Sideways]
        .into_iter()
        .find(|trend| value["trend"].as_str() == Some(trend.as_str()))?;
    let vol = [Vol::High, Vol::Low].into_iter().find(|vol| value["vol"].as_str() == Some(vol.as_str()))?;
    Some(Regime { trend, vol, vol_level: None, trend_slope: None })
}

fn fields(alert: &AlertText) -> [String; 3] {
    [alert.level.as_str().to_owned(), alert.category.as_str().to_owned(), alert.message.clone()]
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(|number| number.as_f64().expect("a number")).collect()
}
