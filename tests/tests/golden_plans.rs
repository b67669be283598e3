//! The universe filters, trade plans, tiers and texts against the recorded output of the reference, and the quirks we
//! do not share.

use std::collections::BTreeMap;

use scoring::alpha_blend::ALPHA_WEIGHT;
use scoring::drift::{mu_hat, mu_total};
use scoring::percentile::{points_of, ranks};
use scoring::recommendation::{RecommendationInputs, recommendation};
use scoring::rounding::rounded;
use scoring::sizing::{Account, Sizing, sizing};
use scoring::tech_rating::Signal;
use scoring::tiers::{InvestorThresholds, InvestorTier, ResultTier};
use scoring::trade_plan::{Direction, Levels, PlanInputs, Setup, Structure, trade_plan};
use scoring::universe::{
    Exclusion, Funnel, InstitutionalInputs, Listing, ListingRules, UserFilter, basic_exclusion, institutional_exclusion,
};
use tests::folders::golden_dir;
use tests::golden::{Mismatches, Table, equal, values_match};

/// The sectors that the reference scans: names of another vocabulary than its own universe's (quirk Q15).
const REFERENCE_SECTORS: [&str; 8] = [
    "Technology",
    "Healthcare",
    "Financial Services",
    "Consumer Cyclical",
    "Industrials",
    "Communication Services",
    "Consumer Defensive",
    "Energy",
];

/// The reference refuses symbols of one letter.
const REFERENCE_RULES: ListingRules = ListingRules { symbol_letters_min: 2, sectors: None };

#[test]
fn trade_plans_of_all_variants() {
    let Some(dir) = golden_dir() else { return };
    let plans = Plans::new(Table::read(&dir, "xs_trade_plans.parquet"));
    let [entry, stop, target, reward_risk] =
        ["EntryPrice", "StopPrice", "TargetPrice", "RewardRisk"].map(|column| plans.table.numbers(column));
    let shares = plans.table.numbers("PositionSize");
    let is_limited = plans.table.facts("LiquidityLimited");
    let [signal, note] = ["SignalOut", "LiquidityNote"].map(|column| plans.table.texts(column));

    let mut found = Mismatches::default();
    for row in 0..plans.table.n_rows() {
        let (inputs, account) = (plans.inputs(row), plans.account(row));
        let levels = Levels::new(&inputs, &account);
        let cents = |price: fn(&Levels) -> f64| levels.ok().map(|levels| rounded(price(&levels), 2));
        for (name, value, price, expected) in [
            ("entry", cents(|levels| levels.entry), levels.map(|levels| levels.entry), entry[row]),
            ("stop", cents(|levels| levels.stop), levels.map(|levels| levels.stop), stop[row]),
            ("target", cents(|levels| levels.target), levels.map(|levels| levels.target), target[row]),
        ] {
            // Half a cent may fall on either side of the rounding of the inputs.
            let is_edge = price.is_ok_and(|price| ((price * 100.0).fract().abs() - 0.5).abs() < 1e-6);
            found.compare(&format!("row {row} {name}"), value, expected, values_match, is_edge);
        }
        let found_reward_risk = levels.ok().map(|levels| rounded(levels.reward_risk(), 2));
        found.compare(&format!("row {row} RewardRisk"), found_reward_risk, reward_risk[row], values_match, false);
        let found_signal = levels.map_or_else(|reason| reason.signal(inputs.signal), |_| inputs.signal);
        found.compare(&format!("row {row} signal"), found_signal.as_str(), &signal[row], equal, false);

        let sizing = levels.map(|levels| sizing(&levels, &account, plans.dollar_volume[row])).unwrap_or_default();
        let found_shares = Some(sizing.shares as f64);
        let is_edge = found_shares.zip(shares[row]).is_some_and(|(a, b)| (a - b).abs() < 1.5)
            && levels.is_ok_and(|levels| is_whole_size(&levels, &account, plans.dollar_volume[row]));
        found.compare(&format!("row {row} size"), found_shares, shares[row], values_match, is_edge);
        let found_note = sizing.liquidity_note.clone().unwrap_or_default();
        found.compare(&format!("row {row} note"), &found_note, &note[row], equal, false);
        // The reference leaves the flag out where the risk allows no share.
        let found_limited = (levels.is_err() || sizing != Sizing::default()).then_some(sizing.liquidity_note.is_some());
        found.compare(&format!("row {row} limited"), found_limited, is_limited[row], equal, false);
    }
    found.assert_none();
}

/// A generic plan, the only one that the reference ever makes, enters at the same distance from every close. Ours
/// looks at where the market turned.
#[test]
fn quirk_12_plans_follow_the_structure() {
    let Some(dir) = golden_dir() else { return };
    let plans = Plans::new(Table::read(&dir, "xs_trade_plans.parquet"));
    let mut n_moved = 0;
    for row in 0..plans.table.n_rows() {
        let inputs = plans.inputs(row);
        let Some(setup) =
            Setup::of(Direction::Long, plans.breakout[row], plans.trend[row], inputs.close, inputs.structure.ma_20)
        else {
            continue;
        };
        let ours = PlanInputs { signal: Signal::Long, setup: Some(setup), ..inputs };
        let generic = PlanInputs { setup: None, structure: Structure::default(), ..ours };
        let [Ok(ours), Ok(generic)] = [ours, generic].map(|inputs| Levels::new(&inputs, &Account::default())) else {
            continue;
        };
        n_moved += usize::from((ours.entry - generic.entry).abs() > 0.01 || (ours.stop - generic.stop).abs() > 0.01);
    }
    assert!(n_moved > 0, "no structure moves a plan");
}

/// The reference sizes by risk alone, so that for a bold account a tight stop buys more than it holds. Ours does not.
#[test]
fn no_plan_is_above_the_account() {
    let Some(dir) = golden_dir() else { return };
    let plans = Plans::new(Table::read(&dir, "xs_trade_plans.parquet"));
    let mut n_leveraged = 0;
    for row in 0..plans.table.n_rows() {
        let inputs = plans.inputs(row);
        let reference = Account { risk_pct: 10.0, ..plans.account(row) };
        let ours = Account { leverage_max: 1.0, ..reference };
        let Ok(plan) = trade_plan(&inputs, &ours, plans.dollar_volume[row]) else { continue };
        let shares = plan.sizing.shares as f64;
        assert!(shares * plan.levels.entry <= ours.size, "row {row}");
        assert!(shares * plan.levels.risk() <= ours.size * ours.risk_pct / 100.0 + 1e-9, "row {row}");
        let leveraged = sizing(&plan.levels, &reference, plans.dollar_volume[row]).shares as f64;
        n_leveraged += usize::from(leveraged * plan.levels.entry > reference.size);
    }
    assert!(n_leveraged > 0, "no plan of the reference is leveraged");
}

#[test]
fn universe_filters_of_all_symbols() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "universe_filters.parquet");
    let columns = ["symbol", "sector", "industry", "subindustry"].map(|column| table.texts(column));
    let listings: Vec<_> = (0..table.n_rows()).map(|row| listing(&columns, row)).collect();
    let with_sectors = ListingRules { sectors: Some(&REFERENCE_SECTORS), ..REFERENCE_RULES };
    let wishes = UserFilter {
        sectors: ["energy", "health care"].map(str::to_owned).to_vec(),
        industry: Some("oil".to_owned()),
        ..UserFilter::default()
    };
    let wanted = wishes.exclusions(&listings);
    let names = [
        "smart_filter_kept",
        "smart_filter_kept_when_sectors_given",
        "user_filter_energy_health_oil",
        "can_pass_mc0",
        "can_pass_mc140m",
        "can_pass_mc500m",
    ];
    let expected = names.map(|name| table.facts(name));
    let mut found = Mismatches::default();
    for (row, listing) in listings.iter().enumerate() {
        let exclusions = [
            with_sectors.exclusion(listing),
            REFERENCE_RULES.exclusion(listing),
            wanted[row],
            REFERENCE_RULES.pre_screen(listing, None),
            REFERENCE_RULES.pre_screen(listing, Some(140e6)),
            REFERENCE_RULES.pre_screen(listing, Some(500e6)),
        ];
        for ((name, exclusion), expected) in names.iter().zip(exclusions).zip(&expected) {
            found.compare(&format!("row {row} {name}"), Some(exclusion.is_none()), expected[row], equal, false);
        }
    }
    found.assert_none();
}

/// The reference knows its own universe's sectors by other names and drops most of them, and with them every symbol
/// of one letter. Ours drops neither.
#[test]
fn quirk_15_sectors_do_not_vanish() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "universe_filters.parquet");
    let columns = ["symbol", "sector", "industry", "subindustry"].map(|column| table.texts(column));
    let recorded = table.facts("smart_filter_kept");
    let mut funnel = Funnel::default();
    for row in 0..table.n_rows() {
        funnel.count(ListingRules::default().exclusion(&listing(&columns, row)));
    }
    let n_reference = recorded.iter().filter(|kept| **kept == Some(true)).count();
    assert!(n_reference * 10 < table.n_rows() * 7, "{n_reference} of {}", table.n_rows());
    assert!(funnel.n_kept() * 100 > table.n_rows() * 99, "{funnel:?}");
    let technology = UserFilter { sectors: vec!["Technology".to_owned()], ..UserFilter::default() };
    let listings: Vec<_> = (0..table.n_rows()).map(|row| listing(&columns, row)).collect();
    assert!(technology.exclusions(&listings).contains(&None));
}

#[test]
fn basic_filters_of_the_cross_sections() {
    let Some(dir) = golden_dir() else { return };
    let bars = Table::read(&dir, "xs_bars.parquet");
    let [close, volume] = ["Close", "Volume"].map(|column| bars.numbers(column));
    let mut series = BTreeMap::<_, (Vec<f64>, Vec<f64>)>::new();
    for (row, key) in bars.keys(&["asof", "symbol"]).into_iter().enumerate() {
        let (closes, volumes) = series.entry(key).or_default();
        closes.push(close[row].expect("bars are complete"));
        volumes.push(volume[row].expect("bars are complete"));
    }
    let rows = Table::read(&dir, "xs_rows.parquet");
    let [passes, can_pass] = ["passes_basic_filters", "can_pass_basic"].map(|column| rows.facts(column));
    let columns = ["symbol", "Sector"].map(|column| rows.texts(column));
    let mut found = Mismatches::default();
    for (row, key) in rows.keys(&["asof", "symbol"]).into_iter().enumerate() {
        let (closes, volumes) = &series[&key];
        let exclusion = basic_exclusion(closes, volumes);
        found.compare(&format!("row {row} basic"), Some(exclusion.is_none()), passes[row], equal, false);
        let listing =
            Listing { symbol: &columns[0][row], sector: Some(&columns[1][row]), industry: None, subindustry: None };
        let is_kept = Some(REFERENCE_RULES.pre_screen(&listing, None).is_none());
        found.compare(&format!("row {row} pre-screen"), is_kept, can_pass[row], equal, false);
    }
    found.assert_none();
}

/// The reference asks 10 million of a market capitalisation that is not there, and drops the row. Ours lets it pass.
#[test]
fn quirk_29_an_unknown_market_cap_is_no_reason() {
    let Some(dir) = golden_dir() else { return };
    let rows = Table::read(&dir, "xs_rows.parquet");
    let [close, volume, atr_pct, market_cap] =
        ["Close", "Volume", "ATR14_pct", "ft_market_cap"].map(|column| rows.numbers(column));
    let mut n_spared = 0;
    for row in 0..rows.n_rows() {
        let (Some(close), Some(volume)) = (close[row], volume[row]) else { continue };
        let inputs = InstitutionalInputs {
            dollar_volume: close * volume,
            close,
            market_cap: market_cap[row],
            atr_pct: atr_pct[row],
        };
        let exclusion = institutional_exclusion(&inputs);
        assert!(market_cap[row].is_some() || exclusion != Some(Exclusion::MarketCapTooLow), "row {row}");
        n_spared += usize::from(market_cap[row].is_none() && exclusion.is_none());
    }
    assert!(n_spared > 0, "every market capitalisation is known");
}

/// Without a core row the reference calls the best by institutional core score core, whatever they score, and returns
/// no others. Ours calls a row what it is.
#[test]
fn quirk_30_core_is_earned() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "xs_e2e_original_scan.parquet");
    let [ics, win_prob] = ["InstitutionalCoreScore", "win_prob_10d"].map(|column| table.numbers(column));
    let thresholds = InvestorThresholds::TEN_DAYS;
    for (row, reference) in table.texts("Tier").iter().enumerate() {
        let Some(ics) = ics[row] else { continue };
        assert_eq!(reference, InvestorTier::Core.as_str(), "row {row}");
        let ours = thresholds.tier(ics, win_prob[row], None);
        assert!(ours != InvestorTier::Core || ics >= thresholds.core_ics_min, "row {row}");
    }
    // The best of a poor list.
    assert_eq!(thresholds.tier(17.5, Some(0.54), None), InvestorTier::Reject);
}

/// The reference asks 40–60 points of a rating that ends near 30, so no row is ever graded. Ours asks the percentile.
#[test]
fn quirk_32_tiers_can_be_reached() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "xs_portfolio.parquet");
    let rating = table.numbers("TechRating");
    for section in table.groups(&["asof"]) {
        let ratings: Vec<_> = section.iter().map(|&row| rating[row]).collect();
        let points = points_of(ranks(&ratings));
        let tiers = |tech: &[Option<f64>]| {
            tech.iter().flatten().map(|&tech| ResultTier::of(90.0, tech, Some(90.0))).collect::<Vec<_>>()
        };
        let (reference, ours) = (tiers(&ratings), tiers(&points));
        assert!(reference.iter().all(|tier| *tier == ResultTier::Ungraded));
        assert!(ours.contains(&ResultTier::APlus) && ours.contains(&ResultTier::Ungraded));
    }
}

#[test]
fn recommendation_texts_of_the_portfolio_rows() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "xs_portfolio.parquet");
    let company = Table::read(&dir, "xs_fundamentals.parquet");
    let dividend_yield: BTreeMap<_, _> =
        company.keys(&["asof", "symbol"]).into_iter().zip(company.numbers("dividend_yield")).collect();
    let [rating, alpha, atr_pct] = ["TechRating", "AlphaScore", "ATR14_pct"].map(|column| table.numbers(column));
    let expected = table.texts("Recommendation");
    let mut found = Mismatches::default();
    for (row, key) in table.keys(&["asof", "Symbol"]).into_iter().enumerate() {
        // Computed anew: at its bounds the recorded drift is half a tenth of a percent, before its rounding.
        let drift = rating[row].map(|rating| mu_total(mu_hat(rating), alpha[row], ALPHA_WEIGHT));
        let inputs = RecommendationInputs {
            score: rating[row],
            drift,
            atr_pct: atr_pct[row],
            dividend_yield: dividend_yield[&key],
            ..RecommendationInputs::default()
        };
        let percent = |value: Option<f64>| value.map(|value| 100.0 * value);
        let is_edge = [percent(drift), percent(dividend_yield[&key])]
            .into_iter()
            .flatten()
            .any(|percent| ((10.0 * percent.abs()).fract() - 0.5).abs() < 1e-6);
        // The reference ends the sentence about volatility twice.
        let expected = expected[row].replace("..", ".");
        let text = recommendation(None, &inputs);
        found.compare(&format!("row {row}"), text.as_str(), expected.as_str(), equal, is_edge);
    }
    found.assert_none();
}

/// The recorded inputs of the plans.
struct Plans {
    table: Table,
    prices: [Vec<Option<f64>>; 4],
    structure: [Vec<Option<f64>>; 5],
    account: [Vec<Option<f64>>; 4],
    allow_shorts: Vec<Option<bool>>,
    signal: Vec<String>,
    setup: Vec<String>,
    dollar_volume: Vec<Option<f64>>,
    breakout: Vec<i32>,
    trend: Vec<i32>,
}

impl Plans {
    fn new(table: Table) -> Self {
        let column = |name: &str| table.numbers(name);
        Self {
            prices: ["Close", "High", "Low", "ATR14_pct"].map(column),
            structure: ["SwingLow10", "SwingHigh10", "RecentLow5", "RecentHigh5", "MA20"].map(column),
            account: ["account_size", "risk_pct", "target_rr", "liquidity_cap_pct"].map(column),
            allow_shorts: table.facts("allow_shorts"),
            signal: table.texts("SignalIn"),
            setup: table.texts("TradeType"),
            dollar_volume: column("DollarVolume"),
            breakout: column("BreakoutScore").into_iter().map(subscore).collect(),
            trend: column("TrendScore").into_iter().map(subscore).collect(),
            table,
        }
    }

    fn inputs(&self, row: usize) -> PlanInputs {
        let [close, high, low, atr_pct] = self.prices.each_ref().map(|column| column[row]);
        let [swing_low_10, swing_high_10, recent_low_5, recent_high_5, ma_20] =
            self.structure.each_ref().map(|column| column[row]);
        let signal = Signal::ALL.into_iter().find(|signal| signal.as_str() == self.signal[row]);
        let signal = signal.expect("every signal is given");
        let setup = [Setup::Breakout, Setup::Trend, Setup::Pullback]
            .into_iter()
            .find(|setup| Direction::of(signal).is_some_and(|direction| setup.as_str(direction) == self.setup[row]));
        PlanInputs {
            close: close.expect("bars are complete"),
            high: high.expect("bars are complete"),
            low: low.expect("bars are complete"),
            atr_pct,
            signal,
            setup,
            structure: Structure { swing_low_10, swing_high_10, recent_low_5, recent_high_5, ma_20 },
        }
    }

    /// Without a limit on leverage, as the reference sizes.
    fn account(&self, row: usize) -> Account {
        let [size, risk_pct, target_rr, liquidity_cap_pct] =
            self.account.each_ref().map(|column| column[row].expect("every account is given"));
        let allow_shorts = self.allow_shorts[row] == Some(true);
        Account { size, risk_pct, target_rr, allow_shorts, liquidity_cap_pct, leverage_max: f64::INFINITY }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a subscore is a small whole number")]
fn subscore(value: Option<f64>) -> i32 {
    value.map_or(0, |value| value as i32)
}

/// Whether the number of shares is so close to a whole one that the rounding of the inputs may flip it.
fn is_whole_size(levels: &Levels, account: &Account, dollar_volume: Option<f64>) -> bool {
    let by_risk = account.size * account.risk_pct / 100.0 / levels.risk();
    let by_liquidity = dollar_volume.map_or(0.5, |volume| account.liquidity_cap_pct / 100.0 * volume / levels.entry);
    [by_risk, by_liquidity].into_iter().any(|shares| (shares - shares.round()).abs() < 1e-6 * shares.max(1.0))
}

fn listing<'a>([symbol, sector, industry, subindustry]: &'a [Vec<String>; 4], row: usize) -> Listing<'a> {
    let text = |column: &'a [String]| Some(column[row].as_str()).filter(|text| !text.is_empty());
    Listing { symbol: &symbol[row], sector: text(sector), industry: text(industry), subindustry: text(subindustry) }
}
