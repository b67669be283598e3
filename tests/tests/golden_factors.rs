//! Factors, the alpha blend and what follows from it against the recorded output of the reference, and the quirks we do not share.

use std::collections::BTreeMap;
use std::path::Path;

use scoring::alpha_blend::{
    ALPHA_WEIGHT, BlendInputs, after_liquidity, blend, blend_horizons, blended_rating, tradable_share,
};
use scoring::drift::{PlayStyle, StyleInputs, mu_hat, mu_total};
use scoring::factors::{Factor, FundamentalFactors, FundamentalInputs, composites};
use scoring::merit::WinProb;
use scoring::percentile::{points_of, ranks};
use scoring::price_factors::{PriceFactors, Window};
use scoring::regime::{Regime, Trend, Vol};
use scoring::statistics::{by_group, z_scores};
use scoring::win_prob::win_prob;
use tests::folders::golden_dir;
use tests::golden::{Mismatches, Table, values_match};

#[test]
fn price_factors_of_the_series() {
    let Some(dir) = golden_dir() else { return };
    let bars = Bars::new(&Table::read(&dir, "ts_bars.parquet"), &["symbol"], str::to_lowercase);
    let scores = Table::read(&dir, "orig_scores.parquet");
    let keys = scores.keys(&["symbol"]);
    let [at, n_bars] = ["i", "bars_used"].map(|column| scores.counts(column));
    check_price_factors(&scores, "fb_", |row| bars.window(&keys[row], at[row] + 1 - n_bars[row]..=at[row]));
}

#[test]
fn price_factors_of_the_cross_sections() {
    let Some(dir) = golden_dir() else { return };
    let bars = Bars::new(&Table::read(&dir, "xs_bars.parquet"), &["asof", "symbol"], str::to_owned);
    let rows = Table::read(&dir, "xs_rows.parquet");
    let keys = rows.keys(&["asof", "symbol"]);
    check_price_factors(&rows, "f_", |row| bars.window(&keys[row], 0..=bars.n_bars(&keys[row]) - 1));
}

#[test]
fn fundamental_factors_and_their_z_scores() {
    let Some(dir) = golden_dir() else { return };
    let rows = Table::read(&dir, "xs_rows.parquet");
    let company = Table::read(&dir, "xs_fundamentals.parquet").aligned(&["asof", "symbol"], &rows);
    let factors: Vec<_> =
        fundamental_inputs(&company, Ratios::DividedAgain).iter().map(FundamentalFactors::new).collect();

    let mut found = Mismatches::default();
    for factor in Factor::ALL {
        let expected = rows.numbers(&format!("f_{}", factor.as_str()));
        for (row, factors) in factors.iter().enumerate() {
            let what = format!("row {row} {}", factor.as_str());
            found.compare(&what, factors.get(factor), expected[row], values_match, false);
        }
    }

    let table = Table::read(&dir, "xs_factor_z.parquet");
    let sectors = table.texts("Sector");
    for factor in Factor::ALL {
        let name = factor.as_str();
        let values = table.numbers(name);
        let [z, sector_z] = ["z", "sector_z"].map(|suffix| table.numbers(&format!("{name}_{suffix}")));
        for section in table.groups(&["asof"]) {
            let column: Vec<_> = section.iter().map(|&row| values[row]).collect();
            let keys: Vec<_> = section.iter().map(|&row| &sectors[row]).collect();
            let [all, within] = [z_scores(&column), by_group(&keys, &column, z_scores)];
            for (i, row) in section.into_iter().enumerate() {
                found.compare(&format!("row {row} {name}_z"), all[i], z[row], z_scores_match, false);
                found.compare(&format!("row {row} {name}_sector_z"), within[i], sector_z[row], z_scores_match, false);
            }
        }
    }
    found.assert_none();
}

/// The reference divides return on equity by market capitalisation, which makes a small company's 5 % look a thousand
/// times better than a large one's 40 %. Ours takes the ratio as it is. It also counts a high price multiple as good;
/// in our value composite it is bad.
#[test]
fn quirk_14_ratios_stay_ratios_and_dear_is_not_good() {
    let Some(dir) = golden_dir() else { return };
    let rows = Table::read(&dir, "xs_rows.parquet");
    let company = Table::read(&dir, "xs_fundamentals.parquet").aligned(&["asof", "symbol"], &rows);
    let recorded = rows.numbers("f_quality_roe");
    let given = company.numbers("return_on_equity");
    let mut n_tiny = 0;
    for (row, inputs) in fundamental_inputs(&company, Ratios::AsTheyAre).iter().enumerate() {
        let ours = FundamentalFactors::new(inputs).get(Factor::QualityRoe);
        assert_eq!(ours, given[row].filter(|roe| roe.abs() > 0.0), "row {row}");
        if let Some((reference, ours)) = recorded[row].zip(ours) {
            assert!(reference.abs() < 1e-6 * ours.abs(), "row {row}: {reference} {ours}");
            n_tiny += 1;
        }
    }
    assert!(n_tiny > 0, "no return on equity");

    let priced = |enterprise_value| {
        let inputs = FundamentalInputs { enterprise_value, ebitda: Some(1.0), ..FundamentalInputs::default() };
        FundamentalFactors::new(&inputs)
    };
    let found = composites(&[priced(Some(5.0)), priced(Some(50.0))], &["any", "any"]);
    assert!(found[0].value > found[1].value, "{found:?}");
}

#[test]
fn composites_are_percentiles_of_the_rows_that_have_factors() {
    let Some(dir) = golden_dir() else { return };
    let rows = Table::read(&dir, "xs_rows.parquet");
    let company = Table::read(&dir, "xs_fundamentals.parquet").aligned(&["asof", "symbol"], &rows);
    let factors: Vec<_> = fundamental_inputs(&company, Ratios::AsTheyAre).iter().map(FundamentalFactors::new).collect();
    let sectors = rows.texts("Sector");
    for section in rows.groups(&["asof"]) {
        let section_factors: Vec<_> = section.iter().map(|&row| factors[row]).collect();
        let keys: Vec<_> = section.iter().map(|&row| &sectors[row]).collect();
        let found = composites(&section_factors, &keys);
        let n_ranked = found.iter().filter(|row| row.quality.is_some()).count();
        assert!(n_ranked > 0 && n_ranked < found.len(), "{n_ranked} of {} rows are ranked", found.len());
        for (composites, factors) in found.iter().zip(&section_factors) {
            assert!(composites.quality.is_none_or(|points| points > 0.0 && points <= 100.0));
            assert!(factors.get(Factor::QualityRoa).is_none() || composites.quality.is_some());
        }
    }
}

#[test]
fn alpha_blend_of_all_variants() {
    let Some(dir) = golden_dir() else { return };
    let blends = Table::read(&dir, "xs_alpha_blend.parquet");
    let inputs = Table::read(&dir, "xs_alpha_inputs.parquet").aligned(&["asof", "Symbol"], &blends);
    let regimes = regimes(&dir);
    let [rating, close, volume] = ["TechRating", "Close", "Volume"].map(|column| inputs.numbers(column));
    let [alpha_5d, alpha_10d] = ["Alpha5d", "Alpha10d"].map(|column| blends.numbers(column));
    let names =
        ["factor_alpha", "ml_alpha_5d_z", "ml_alpha_10d_z", "ml_alpha_z", "DollarVolume", "alpha_blend", "TechRating"];
    let expected = names.map(|name| blends.numbers(name));
    let alpha = blends.numbers("AlphaScore");
    let variants = blends.texts("variant");
    let dates = blends.texts("asof");

    let mut found = Mismatches::default();
    for section in blends.groups(&["variant", "asof"]) {
        let column = |values: &[Option<f64>]| section.iter().map(|&row| values[row]).collect::<Vec<_>>();
        let known_rating: Vec<_> = column(&rating).into_iter().map(|rating| rating.or(Some(0.0))).collect();
        let factor_alpha = z_scores(&known_rating);
        let [z_5d, z_10d] = [&alpha_5d, &alpha_10d].map(|values| z_scores(&column(values)));
        for (i, &row) in section.iter().enumerate() {
            let regime = regimes.get(&dates[row]).filter(|_| !variants[row].ends_with("noregime"));
            let ml_alpha = blend_horizons(z_5d[i], z_10d[i]);
            // The reference has no tilt: it throws it away beside a prediction (quirk Q16) and computes it too early
            // without one.
            let inputs = BlendInputs { factor_alpha: factor_alpha[i].expect("a rating"), tilt: 0.0, ml_alpha };
            let dollar_volume = close[row].zip(volume[row]).map(|(close, volume)| close * volume);
            let blended = blend(&inputs, ALPHA_WEIGHT) * tradable_share(dollar_volume.expect("a bar"));
            let values = [
                factor_alpha[i],
                z_5d[i],
                z_10d[i],
                ml_alpha,
                dollar_volume,
                Some(blended),
                Some(blended_rating(rating[row], blended, regime)),
            ];
            let is_match = if ml_alpha.is_some() { singles_match } else { z_scores_match };
            for ((name, value), expected) in names.iter().zip(values).zip(&expected) {
                found.compare(&format!("row {row} {name}"), value, expected[row], is_match, false);
            }
            let value = blend_horizons(alpha_5d[row], alpha_10d[row]);
            let expected = alpha[row].filter(|_| value.is_some());
            found.compare(&format!("row {row} AlphaScore"), value, expected, singles_match, false);
        }
    }
    found.assert_none();
}

/// The reference overwrites the raw rating, before risk, with the rating it blends from. Ours returns the blended
/// rating beside both.
#[test]
fn quirk_17_the_raw_rating_stays() {
    let Some(dir) = golden_dir() else { return };
    let blends = Table::read(&dir, "xs_alpha_blend.parquet");
    let inputs = Table::read(&dir, "xs_alpha_inputs.parquet").aligned(&["asof", "Symbol"], &blends);
    let recorded = blends.numbers("TechRating_raw");
    let [rating, raw] = ["TechRating", "TechRating_raw"].map(|column| inputs.numbers(column));
    let mut n_lost = 0;
    for row in 0..blends.n_rows() {
        assert!(values_match(recorded[row], rating[row].or(Some(0.0))), "row {row}");
        n_lost += usize::from(!values_match(recorded[row], raw[row]));
    }
    assert!(n_lost > 0, "no raw rating differs from the rating");
}

/// The reference scales every alpha by liquidity, so a bad stock looks the better the less it trades. Ours shrinks
/// hopes only.
#[test]
fn quirk_18_illiquidity_does_not_improve_a_bad_stock() {
    let Some(dir) = golden_dir() else { return };
    let blends = Table::read(&dir, "xs_alpha_blend.parquet");
    let [recorded, dollar_volume] = ["alpha_blend", "DollarVolume"].map(|column| blends.numbers(column));
    let mut n_flattered = 0;
    for (reference, dollar_volume) in recorded.into_iter().flatten().zip(dollar_volume.into_iter().flatten()) {
        let share = tradable_share(dollar_volume);
        let blended = reference / share;
        let ours = after_liquidity(blended, share);
        assert!(ours <= reference + 1e-9, "{ours} {reference}");
        if blended < 0.0 && share < 0.99 {
            n_flattered += 1;
            assert!(ours < reference, "{ours} {reference}");
        }
    }
    assert!(n_flattered > 0, "no bad stock is illiquid");
}

/// The reference feeds the model, trained on the unblended rating, the blended one. Ours names its inputs in the
/// manifest; what it answers is taken as it is.
#[test]
fn quirk_19_win_probabilities_are_taken_as_they_are() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "xs_win_prob.parquet");
    let inputs = Table::read(&dir, "xs_alpha_inputs.parquet").aligned(&["asof", "Symbol"], &table);
    let [fed, probability] = ["TechRating", "win_prob_10d"].map(|column| table.numbers(column));
    let trained_on = inputs.numbers("TechRating");
    assert!(fed.iter().zip(&trained_on).filter(|(fed, trained_on)| !values_match(**fed, **trained_on)).count() > 0);
    for probability in probability {
        let known = probability.map(WinProb::Known);
        assert_eq!(Some(win_prob(probability, true)), known.or(Some(WinProb::Missing)));
    }
}

#[test]
fn drift_of_the_portfolio_rows() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "xs_portfolio.parquet");
    let [rating, alpha, expected] = ["TechRating", "AlphaScore", "MuTotal"].map(|column| table.numbers(column));
    let mut found = Mismatches::default();
    for row in 0..table.n_rows() {
        let drift = rating[row].map(|rating| mu_total(mu_hat(rating), alpha[row], ALPHA_WEIGHT));
        found.compare(&format!("row {row}"), drift, expected[row], values_match, false);
    }
    found.assert_none();
}

/// The reference calls a risk score up to 0.45, an ATR of 1.1 %, explosive, which is nearly every stock. Ours asks for
/// the wildest fifth.
#[test]
fn quirk_10_explosive_are_the_wildest_and_not_all() {
    let Some(dir) = golden_dir() else { return };
    let rows = Table::read(&dir, "xs_rows.parquet");
    let [atr_pct, risk] = ["ATR14_pct", "risk_score"].map(|column| rows.numbers(column));
    for section in rows.groups(&["asof"]) {
        let atr: Vec<_> = section.iter().map(|&row| atr_pct[row]).collect();
        let points = points_of(ranks(&atr));
        let styles: Vec<_> = points
            .iter()
            .map(|&atr_points| PlayStyle::of(&StyleInputs { atr_points, ..StyleInputs::default() }))
            .collect();
        let n_reference = section.iter().filter(|&&row| risk[row].is_some_and(|risk| risk <= 0.45)).count();
        let n_ours = styles.iter().filter(|style| style.is_high_risk()).count();
        assert!(n_reference * 2 > section.len(), "{n_reference} of {}", section.len());
        assert!(n_ours * 4 < section.len() && n_ours > 0, "{n_ours} of {}", section.len());
    }
}

/// The regime of each cross-section.
fn regimes(dir: &Path) -> BTreeMap<String, Regime> {
    let table = Table::read(dir, "xs_regime.parquet");
    let [dates, trend, vol] = ["asof", "trend", "vol"].map(|column| table.texts(column));
    let regime = |row: usize| Regime {
        trend: [Trend::Up, Trend::Down, Trend::Sideways]
            .into_iter()
            .find(|known| known.as_str() == trend[row])
            .expect("a known trend"),
        vol: if vol[row] == Vol::High.as_str() { Vol::High } else { Vol::Low },
        vol_level: None,
        trend_slope: None,
    };
    dates.iter().enumerate().map(|(row, date)| (date.clone(), regime(row))).collect()
}

fn check_price_factors<'a>(table: &Table, prefix: &str, window: impl Fn(usize) -> Window<'a>) {
    let names = [
        "mom_5",
        "mom_21",
        "mom_63",
        "reversal_5",
        "ma_slope_20",
        "atr_pct_14",
        "vol_realized_20",
        "dollar_vol_20",
        "gap_stat_10",
    ];
    let expected = names.map(|name| table.numbers(&format!("{prefix}{name}")));
    let mut found = Mismatches::default();
    for row in 0..table.n_rows() {
        let factors = PriceFactors::new(&window(row));
        let values = [
            factors.mom_5,
            factors.mom_21,
            factors.mom_63,
            factors.reversal_5,
            factors.ma_slope_20,
            factors.atr_pct_14,
            factors.vol_realized_20,
            factors.dollar_vol_20,
            factors.gap_stat_10,
        ];
        for ((name, value), expected) in names.iter().zip(values).zip(&expected) {
            found.compare(&format!("row {row} {name}"), value, expected[row], values_match, false);
        }
    }
    found.assert_none();
}

/// A z-score is a difference of recorded inputs, so their rounding (1.2e-10 of the value) weighs more in it: a
/// logarithm of market capitalisation is some twenty deviations from zero.
fn z_scores_match(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() <= 1e-8 + 1e-8 * expected.abs(),
        (found, expected) => found.is_none() && expected.is_none(),
    }
}

/// The reference keeps the 10-day prediction, its z-score (up to some 20) and what it blends from them in single
/// precision; a deviation is worth several rating points.
fn singles_match(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() <= 2e-6 + 1e-6 * expected.abs(),
        (found, expected) => found.is_none() && expected.is_none(),
    }
}

/// What is done to returns on equity and assets before they become factors.
#[derive(Clone, Copy, PartialEq)]
enum Ratios {
    /// By the reference (quirk Q14).
    DividedAgain,
    AsTheyAre,
}

fn fundamental_inputs(company: &Table, ratios: Ratios) -> Vec<FundamentalInputs> {
    let column = |name: &str| company.numbers(name);
    let [market_cap, revenue, operating_income, net_income, total_assets, total_equity] =
        ["market_cap", "revenue", "operating_income", "net_income", "total_assets", "total_equity"].map(column);
    let [operating_cash_flow, return_on_equity, return_on_assets, total_debt, pe] =
        ["operating_cash_flow", "return_on_equity", "return_on_assets", "total_debt", "pe"].map(column);
    let [dividend_yield, revenue_growth, eps_growth] = ["dividend_yield", "revenue_growth", "eps_growth"].map(column);
    let again = |ratio: Option<f64>, by: Option<f64>| match ratios {
        Ratios::DividedAgain => ratio.zip(by).map(|(ratio, by)| ratio / by),
        Ratios::AsTheyAre => ratio,
    };
    (0..company.n_rows())
        .map(|row| FundamentalInputs {
            market_cap: market_cap[row],
            revenue: revenue[row],
            operating_income: operating_income[row],
            net_income: net_income[row],
            operating_cash_flow: operating_cash_flow[row],
            total_debt: total_debt[row],
            total_equity: total_equity[row],
            return_on_equity: again(return_on_equity[row], market_cap[row]),
            return_on_assets: again(return_on_assets[row], total_assets[row]),
            pe: pe[row],
            dividend_yield: dividend_yield[row],
            revenue_growth: revenue_growth[row],
            eps_growth: eps_growth[row],
            ..FundamentalInputs::default()
        })
        .collect()
}

/// The bars of each key, oldest first, one column after the other.
struct Bars(BTreeMap<Vec<String>, [Vec<f64>; 5]>);

impl Bars {
    fn new(table: &Table, keys: &[&str], spelling: fn(&str) -> String) -> Self {
        let columns = ["Open", "High", "Low", "Close", "Volume"].map(|name| table.numbers(&spelling(name)));
        let mut bars = BTreeMap::<_, [Vec<f64>; 5]>::new();
        for (row, key) in table.keys(keys).into_iter().enumerate() {
            for (values, column) in bars.entry(key).or_default().iter_mut().zip(&columns) {
                values.push(column[row].expect("bars are complete"));
            }
        }
        Self(bars)
    }

    fn n_bars(&self, key: &[String]) -> usize {
        self.0[key][0].len()
    }

    fn window(&self, key: &[String], range: std::ops::RangeInclusive<usize>) -> Window<'_> {
        let [open, high, low, close, volume] = self.0[key].each_ref().map(|values| &values[range.clone()]);
        Window { open, high, low, close, volume }
    }
}
