//! Regime, macro context and company data against the recorded output of the reference, and the quirks we do not
//! share.

use std::collections::BTreeMap;

use schemas::EventTime;
use scoring::earnings::{Report, Surprises};
use scoring::events::{Calendar, EventFacts};
use scoring::fundamental_trend::fundamental_trend;
use scoring::macro_context::{DatedClose, MacroCloses, MacroContext};
use scoring::quality::{PEERS_MIN, QualityRatios, Ratio, quality};
use scoring::regime::{Regime, VolLevel};
use tests::folders::golden_dir;
use tests::golden::{Csv, Mismatches, Table, equal, is_near, points_match, read_json, values_match};

#[test]
fn regime_of_the_series() {
    let Some(dir) = golden_dir() else { return };
    let bars = Table::read(&dir, "ts_bars.parquet");
    let closes = dated_closes(&bars);
    let expected = Table::read(&dir, "regime_series.parquet");
    let [symbols, dates] = ["symbol", "date"].map(|column| expected.texts(column));
    let n_bars = expected.counts("bars_used");
    let rows: Vec<_> = (0..expected.n_rows())
        .map(|row| {
            let until = until(&closes[&symbols[row]], day(&dates[row]));
            until[until.len() - n_bars[row]..].iter().map(|bar| bar.close).collect()
        })
        .collect();
    check_regime(&expected, &rows);
}

#[test]
fn regime_of_the_cross_sections() {
    let Some(dir) = golden_dir() else { return };
    let closes = dated_closes(&Table::read(&dir, "ts_bars.parquet"));
    let expected = Table::read(&dir, "xs_regime.parquet");
    let [symbols, dates] = ["index_symbol", "asof"].map(|column| expected.texts(column));
    let rows: Vec<_> = (0..expected.n_rows())
        .map(|row| {
            let until = until(&closes[&symbols[row]], day(&dates[row]));
            until[until.len().saturating_sub(260)..].iter().map(|bar| bar.close).collect()
        })
        .collect();
    check_regime(&expected, &rows);
}

/// The reference only asks whether volatility rose, so a quiet day after quieter ones is "high" while a wilder day
/// after wild ones is "low". Ours says how high it is beside it.
#[test]
fn relative_volatility_is_not_a_level() {
    let Some(dir) = golden_dir() else { return };
    let recorded = Table::read(&dir, "regime_series.parquet");
    let vol = recorded.texts("vol");
    let levels = recorded.numbers("vol_level");
    let of = |text: &'static str| {
        vol.iter().zip(&levels).filter(move |(vol, _)| *vol == text).filter_map(|(_, level)| *level)
    };
    let wildest_low = of("LOW_VOL").max_by(f64::total_cmp).expect("some day is low");
    let calmest_high = of("HIGH_VOL").min_by(f64::total_cmp).expect("some day is high");
    assert!(wildest_low > calmest_high, "{wildest_low} {calmest_high}");
    assert!(VolLevel::of(wildest_low) >= VolLevel::of(calmest_high));
}

#[test]
fn macro_context_of_all_cases() {
    let Some(dir) = golden_dir() else { return };
    let closes = dated_closes(&Table::read(&dir, "macro_bars.parquet"));
    let cases = read_json(&dir, "macro_context.json");
    let mut found = Mismatches::default();
    for case in cases["cases"].as_array().expect("cases are listed") {
        let as_of = case["asof"].as_str().expect("a date");
        let role = |name: &str| {
            let symbol = cases["roles"][name].as_str().expect("every role is played");
            until(&closes[symbol], day(as_of))
        };
        let context = MacroContext::new(&MacroCloses {
            equity: role("SPY"),
            growth: role("QQQ"),
            short_treasury: role("SHY"),
            mid_treasury: role("IEF"),
            long_treasury: role("TLT"),
            high_yield: role("HYG"),
            investment_grade: role("LQD"),
            volatility: role("VIXY"),
        });
        let expected = &case["context"];
        for (name, value) in [
            ("macro_ndx_spx_level", context.growth_level),
            ("macro_growth_vs_value_slope", context.growth_slope),
            ("macro_ndx_spx_ret20", context.growth_ret20),
            ("macro_curve_slope", context.curve_slope),
            ("macro_curve_short_slope", context.curve_short_slope),
            ("macro_credit_spread_level", context.credit_level),
            ("macro_credit_spread_trend", context.credit_trend),
            ("macro_equity_vol_ratio_20_60", context.equity_vol_ratio),
            ("macro_equity_vol_level", context.equity_vol_level),
            ("macro_vixy_ret20", context.volatility_ret20),
        ] {
            found.compare(&format!("{as_of} {name}"), value, expected[name].as_f64(), values_match, false);
        }
        for (name, value) in [
            ("macro_growth_vs_value_trending_up", context.is_growth_leading()),
            ("macro_curve_steepening", context.is_curve_steepening()),
            ("macro_curve_flattening", context.is_curve_flattening()),
            ("macro_curve_short_steepening", context.is_curve_short_steepening()),
            ("macro_curve_short_flattening", context.is_curve_short_flattening()),
            ("macro_credit_risk_on", context.is_credit_risk_on()),
            ("macro_credit_risk_off", context.is_credit_risk_off()),
            ("macro_equity_high_vol", context.is_equity_vol_high()),
            ("macro_equity_low_vol", context.is_equity_vol_low()),
            ("macro_equity_vol_spike", context.is_equity_vol_spiking()),
        ] {
            found.compare(&format!("{as_of} {name}"), value, expected[name].as_bool(), equal, false);
        }
    }
    found.assert_none();
}

#[test]
fn quality_of_all_companies() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "quality.parquet");
    let rows = quality(&quality_ratios(&table), &table.texts("sector"), 1);
    let scores = table.numbers("QualityScore");
    let mut found = Mismatches::default();
    for (index, ratio) in Ratio::ALL.into_iter().enumerate() {
        let expected = table.numbers(ratio.percentile_name());
        for (row, quality) in rows.iter().enumerate() {
            let what = format!("row {row} {}", ratio.percentile_name());
            found.compare(&what, quality.percentiles[index], expected[row], points_match, false);
        }
    }
    for (row, quality) in rows.iter().enumerate() {
        found.compare(&format!("row {row} QualityScore"), quality.score, scores[row], points_match, false);
    }
    found.assert_none();
}

/// In the reference the only company of a sector is at its top in everything. Ours compares it with the market.
#[test]
fn a_small_sector_does_not_make_a_company_good() {
    let Some(dir) = golden_dir() else { return };
    let table = Table::read(&dir, "quality.parquet");
    let ratios = quality_ratios(&table);
    let worst = (0..ratios.len())
        .filter(|&row| ratios[row].return_on_assets.is_some())
        .min_by(|&a, &b| ratios[a].return_on_assets.partial_cmp(&ratios[b].return_on_assets).expect("both are numbers"))
        .expect("some company has a return on assets");
    let mut sectors = table.texts("sector");
    "a sector of its own".clone_into(&mut sectors[worst]);
    let reference = quality(&ratios, &sectors, 1)[worst].score;
    let ours = quality(&ratios, &sectors, PEERS_MIN)[worst].score;
    assert_eq!(reference, Some(100.0));
    assert!(ours < Some(50.0), "{ours:?}");
}

#[test]
fn fundamental_trend_of_all_companies() {
    let Some(dir) = golden_dir() else { return };
    let table = Csv::read(&dir, "fundamental_trend.csv");
    let growths = [
        "growthRevenue",
        "growthNetIncome",
        "growthEPS",
        "growthEBITDA",
        "growthOperatingIncome",
        "growthGrossProfitRatio",
    ]
    .map(|column| table.numbers(column));
    let expected = table.numbers("fundamental_trend_score");
    let mut found = Mismatches::default();
    for (row, expected) in expected.into_iter().enumerate() {
        let score = fundamental_trend(&growths.each_ref().map(|column| column[row]));
        found.compare(&format!("row {row}"), score, expected, values_match, false);
    }
    found.assert_none();
}

#[test]
fn earnings_surprises_of_all_companies() {
    let Some(dir) = golden_dir() else { return };
    let figures = earnings_figures(&Csv::read(&dir, "earnings_surprises_in.csv"));
    let expected = Csv::read(&dir, "earnings_surprises_out.csv");
    let symbols = expected.texts("symbol");
    let [streak, avg_bp, last_bp] =
        ["surprise_streak", "avg_surprise_bp", "last_surprise_bp"].map(|column| expected.numbers(column));
    let has_beat_streak = expected.facts("has_beat_streak");
    let mut found = Mismatches::default();
    for (row, symbol) in symbols.iter().enumerate() {
        let reports: Vec<_> =
            figures[symbol].iter().map(|&(actual, estimated)| reference_report(actual, estimated)).collect();
        let surprises = Surprises::new(&reports);
        found.compare(
            &format!("row {row} streak"),
            Some(f64::from(surprises.streak)),
            streak[row],
            values_match,
            false,
        );
        found.compare(&format!("row {row} avg"), surprises.avg_bp, avg_bp[row], values_match, false);
        found.compare(&format!("row {row} last"), surprises.last_bp, last_bp[row], values_match, false);
        found.compare(
            &format!("row {row} beats"),
            Some(surprises.has_beat_streak()),
            has_beat_streak[row],
            equal,
            false,
        );
    }
    found.assert_none();
}

/// The reference divides by the estimate itself, so a company that lost less than feared has a bad surprise while its
/// beats count as beats. Ours divides by the size of the estimate.
#[test]
fn a_beat_is_never_a_bad_surprise() {
    let Some(dir) = golden_dir() else { return };
    let figures = earnings_figures(&Csv::read(&dir, "earnings_surprises_in.csv"));
    let mut n_contradictions = 0;
    for (actual, estimated) in figures.into_values().flatten() {
        let reference = reference_report(actual, estimated);
        let ours = Report::new(actual, estimated);
        assert_eq!(ours.is_beat, reference.is_beat);
        n_contradictions +=
            usize::from(reference.is_beat && reference.surprise_bp < Some(0.0) && reference.surprise_bp.is_some());
        assert!(!ours.is_beat || ours.surprise_bp.is_none_or(|bp| bp > 0.0), "{actual:?} {estimated:?}");
    }
    assert!(n_contradictions > 0, "no negative estimate was beaten");
}

#[test]
fn event_windows_of_all_companies() {
    let Some(dir) = golden_dir() else { return };
    let files = std::fs::read_dir(&dir).expect("the folder can be listed");
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let mut found = Mismatches::default();
    for name in names.filter(|name| name.starts_with("events_asof_")) {
        let as_of = name.trim_start_matches("events_asof_").trim_end_matches(".csv");
        let as_of = EventTime::parse_date(as_of).expect("the file name ends in a date");
        let table = Csv::read(&dir, &name);
        let date = |column: &str| -> Vec<Option<EventTime>> {
            table.texts(column).iter().map(|text| EventTime::parse_date(text)).collect()
        };
        let [next, last, dividend] =
            ["in_next_earnings_date", "in_last_earnings_date", "in_dividend_ex_date"].map(date);
        let surprise = table.facts("in_earnings_surprise_flag");
        let days = ["days_to_next_earnings", "days_since_last_earnings", "days_to_dividend_ex"]
            .map(|column| table.numbers(column));
        let windows = [
            "is_pre_earnings_window",
            "is_post_earnings_positive_window",
            "has_upcoming_earnings",
            "has_recent_positive_surprise",
            "has_dividend_ex_soon",
        ]
        .map(|column| table.facts(column));
        for row in 0..table.n_rows() {
            let calendar = Calendar {
                next_earnings: next[row],
                last_earnings: last[row],
                last_surprise_was_positive: surprise[row] == Some(true),
                dividend_ex: dividend[row],
            };
            let facts = EventFacts::new(&calendar, as_of);
            let found_days = [facts.days_to_next_earnings, facts.days_since_last_earnings, facts.days_to_dividend_ex];
            for (value, expected) in found_days.into_iter().zip(&days) {
                found.compare(&format!("row {row} days"), value.map(f64::from), expected[row], values_match, false);
            }
            let found_windows = [
                facts.is_pre_earnings_window(),
                facts.is_post_earnings_positive_window(),
                facts.has_upcoming_earnings(),
                facts.has_recent_positive_surprise(),
                facts.has_dividend_ex_soon(),
            ];
            for (value, expected) in found_windows.into_iter().zip(&windows) {
                found.compare(&format!("row {row} windows"), Some(value), expected[row], equal, false);
            }
        }
    }
    found.assert_none();
}

/// The reference measures from today's clock, so a scan of the past sees every report as long gone. Ours measures from
/// the day of the scan.
#[test]
fn quirk_20_events_are_seen_from_the_day_of_the_scan() {
    let earnings = EventTime::parse_date("2016-12-20");
    let calendar = Calendar { next_earnings: earnings, ..Calendar::default() };
    let from = |day: &str| EventFacts::new(&calendar, EventTime::parse_date(day).expect("a date"));
    let reference = from("2026-11-20");
    assert!(!reference.has_upcoming_earnings());
    let ours = from("2016-12-15");
    assert!(ours.is_pre_earnings_window());
    assert_eq!(ours.days_to_next_earnings, Some(5));
}

fn check_regime(expected: &Table, rows: &[Vec<f64>]) {
    let [trend, vol, label] = ["trend", "vol", "label"].map(|column| expected.texts(column));
    let state_id = expected.counts("state_id");
    let [vol_level, trend_slope] = ["vol_level", "trend_slope"].map(|column| expected.numbers(column));
    let mut found = Mismatches::default();
    for (row, closes) in rows.iter().enumerate() {
        let regime = Regime::new(closes);
        // Sums of a flat series may fall on either side of its price.
        let average = |n: usize| closes.len().checked_sub(n).map(|from| closes[from..].iter().sum::<f64>() / n as f64);
        let is_edge = is_near(average(50), average(200)) || is_near(average(50), closes.last().copied());
        for (value, expected) in
            [(regime.trend.as_str(), &trend[row]), (regime.vol.as_str(), &vol[row]), (&regime.label(), &label[row])]
        {
            found.compare(&format!("row {row}"), value, expected, equal, is_edge);
        }
        found.compare(&format!("row {row} state"), usize::from(regime.state_id()), state_id[row], equal, is_edge);
        found.compare(&format!("row {row} level"), regime.vol_level, vol_level[row], values_match, false);
        found.compare(&format!("row {row} slope"), regime.trend_slope, trend_slope[row], values_match, false);
    }
    found.assert_none();
}

fn quality_ratios(table: &Table) -> Vec<QualityRatios> {
    let column = |name: &str| table.numbers(name);
    let [roe, roa, gross, operating] =
        ["returnOnEquityTTM", "returnOnAssetsTTM", "grossProfitMarginTTM", "operatingProfitMarginTTM"].map(column);
    let [net, fcf, debt, coverage] =
        ["netProfitMarginTTM", "freeCashFlowYieldTTM", "netDebtToEBITDATTM", "interestCoverageRatioTTM"].map(column);
    (0..table.n_rows())
        .map(|row| QualityRatios {
            return_on_equity: roe[row],
            return_on_assets: roa[row],
            gross_margin: gross[row],
            operating_margin: operating[row],
            net_margin: net[row],
            fcf_yield: fcf[row],
            net_debt_to_ebitda: debt[row],
            interest_coverage: coverage[row],
        })
        .collect()
}

type Figures = BTreeMap<String, Vec<(Option<f64>, Option<f64>)>>;

/// Actual and estimated earnings of each company, oldest first.
fn earnings_figures(table: &Csv) -> Figures {
    let [actual, estimated] = ["actualEarningResult", "estimatedEarning"].map(|column| table.numbers(column));
    let [symbols, dates] = ["symbol", "date"].map(|column| table.texts(column));
    let mut rows: Vec<usize> = (0..table.n_rows()).collect();
    rows.sort_by_key(|&row| &dates[row]);
    let mut figures = Figures::new();
    for row in rows {
        figures.entry(symbols[row].clone()).or_default().push((actual[row], estimated[row]));
    }
    figures
}

/// Divides by the estimate, whatever its sign.
fn reference_report(actual: Option<f64>, estimated: Option<f64>) -> Report {
    let ours = Report::new(actual, estimated);
    let sign = if estimated.is_some_and(|estimated| estimated < 0.0) { -1.0 } else { 1.0 };
    Report { surprise_bp: ours.surprise_bp.map(|bp| sign * bp), ..ours }
}

fn dated_closes(bars: &Table) -> BTreeMap<String, Vec<DatedClose>> {
    let [symbols, dates] = ["symbol", "date"].map(|column| bars.texts(column));
    let close = bars.numbers("close");
    let mut closes = BTreeMap::<_, Vec<DatedClose>>::new();
    for ((symbol, date), close) in symbols.into_iter().zip(dates).zip(close) {
        let close = close.expect("bars are complete");
        closes.entry(symbol).or_default().push(DatedClose { day: day(&date), close });
    }
    for closes in closes.values_mut() {
        closes.sort_by_key(|bar| bar.day);
    }
    closes
}

fn until(closes: &[DatedClose], day: i32) -> &[DatedClose] {
    &closes[..closes.partition_point(|bar| bar.day <= day)]
}

fn day(date: &str) -> i32 {
    EventTime::parse_date(date).expect("a date").days()
}
