use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use schemas::Symbol;

use super::*;

fn options(seed: u64, n_symbols: usize, history_sessions: usize) -> SyntheticOptions {
    SyntheticOptions { seed, n_symbols, history_sessions, steps_per_session: 20, ..SyntheticOptions::default() }
}

fn steps(options: &SyntheticOptions, n_steps: usize) -> Vec<Step> {
    let mut feed = SyntheticFeed::new(options);
    (0..n_steps).map(|_| feed.next_step().unwrap()).collect()
}

fn by_symbol(steps: &[Step]) -> BTreeMap<Symbol, Vec<RawBar>> {
    let mut by_symbol: BTreeMap<Symbol, Vec<RawBar>> = BTreeMap::new();
    for bar in steps.iter().flat_map(|step| &step.bars) {
        by_symbol.entry(bar.symbol).or_default().push(*bar);
    }
    by_symbol
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, n) = values.into_iter().fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / n
}

fn autocorrelation(values: &[f64]) -> f64 {
    let center = mean(values.iter().copied());
    let variance = mean(values.iter().map(|value| (value - center).powi(2)));
    mean(values.windows(2).map(|pair| (pair[0] - center) * (pair[1] - center))) / variance
}

#[test]
fn every_bar_is_possible_and_no_time_goes_back() {
    let options = options(3, 400, 80);
    let steps = steps(&options, 80 + 3 * 21);
    for (symbol, bars) in by_symbol(&steps) {
        for bar in &bars {
            assert!(bar.unchecked().check().is_ok(), "{bar:?}");
            assert!(bar.flags.contains(BarFlags::SYNTHETIC), "{bar:?}");
        }
        let keys: Vec<_> = bars.iter().map(|bar| (bar.open_time, bar.revision)).collect();
        assert!(keys.is_sorted_by(|earlier, later| earlier < later), "{symbol}: {keys:?}");
    }
}

#[test]
fn history_comes_first_and_then_live_sessions_that_close() {
    let options = options(5, 300, 12);
    let steps = steps(&options, 12 + 2 * 21);
    let (history, live) = steps.split_at(12);
    let mut watermark = EventTime(i64::MIN);
    for step in history {
        assert_eq!(step.wait, Duration::ZERO);
        assert!(step.watermark > Some(watermark));
        watermark = step.watermark.unwrap();
        assert!(step.bars.iter().all(|bar| bar.open_time == watermark && bar.flags.contains(BarFlags::BACKFILL)));
    }
    for session in live.chunks(21) {
        let (close, forming) = session.split_last().unwrap();
        let traded: BTreeSet<Symbol> = close.bars.iter().map(|bar| bar.symbol).collect();
        assert!(close.watermark > Some(watermark));
        watermark = close.watermark.unwrap();
        assert!(close.bars.iter().all(|bar| bar.open_time == watermark && bar.flags.contains(BarFlags::FINAL)));
        for step in forming {
            assert_eq!((step.watermark, step.wait), (None, options.live_step));
            assert!(step.bars.iter().all(|bar| bar.open_time == watermark && !bar.flags.contains(BarFlags::FINAL)));
            assert!(step.bars.iter().all(|bar| traded.contains(&bar.symbol)));
        }
        let updates = mean(forming.iter().map(|step| step.bars.len() as f64)) / 300.0;
        assert!((0.015..0.045).contains(&updates), "a share of {updates} trades in a step");
    }
}

#[test]
fn returns_have_fat_tails_and_calm_follows_calm() {
    let options = options(7, 300, 500);
    let (mut fourth, mut own, mut absolute) = (Vec::new(), Vec::new(), Vec::new());
    for bars in by_symbol(&steps(&options, 500)).into_values().filter(|bars| bars.len() > 400) {
        let returns: Vec<f64> = bars.windows(2).map(|pair| (pair[1].close / pair[0].close).ln()).collect();
        let center = mean(returns.iter().copied());
        let variance = mean(returns.iter().map(|value| (value - center).powi(2)));
        fourth.push(mean(returns.iter().map(|value| (value - center).powi(4))) / variance.powi(2));
        own.push(autocorrelation(&returns));
        absolute.push(autocorrelation(&returns.iter().map(|value| value.abs()).collect::<Vec<_>>()));
    }
    let (kurtosis, own, absolute) = (mean(fourth), mean(own), mean(absolute));
    assert!((4.0..25.0).contains(&kurtosis), "kurtosis {kurtosis}, a normal distribution has 3");
    assert!(own.abs() < 0.05, "autocorrelation of returns {own}");
    assert!((0.04..0.4).contains(&absolute), "autocorrelation of absolute returns {absolute}");
}

#[test]
fn companies_move_together() {
    let options = options(9, 300, 250);
    let market: Vec<Vec<f64>> = by_symbol(&steps(&options, 250))
        .into_values()
        .filter(|bars| bars.len() == 250)
        .map(|bars| bars.windows(2).map(|pair| (pair[1].close / pair[0].close).ln()).collect())
        .collect();
    let of_session = |session: usize| market.iter().map(move |returns| returns[session]);
    let index: Vec<f64> = (0..249).map(|session| mean(of_session(session))).collect();
    let total = mean(market.iter().map(|returns| mean(returns.iter().map(|value| value * value))));
    let common = mean(index.iter().map(|value| value * value));
    assert!((0.03..0.6).contains(&(common / total)), "common share of the variance {}", common / total);
}

#[test]
fn the_market_has_its_odd_ones() {
    let options = options(11, 2000, 200);
    let by_symbol = by_symbol(&steps(&options, 200));
    let count = |is_so: &dyn Fn(&[RawBar]) -> bool| by_symbol.values().filter(|bars| is_so(bars)).count();
    let (first, last) = (options.start.days(), by_symbol.values().flatten().map(|bar| bar.open_time.days()).max());
    let gapped = |bars: &[RawBar]| bars.iter().any(|bar| bar.flags.contains(BarFlags::GAP_BEFORE));
    assert!(count(&|bars| bars.iter().any(|bar| bar.volume == 0.0)) > 50, "quiet days");
    assert!(count(&gapped) > 50, "gaps");
    assert!(count(&|bars| bars[0].open_time.days() > first + 10) > 20, "new listings");
    assert!(count(&|bars| bars.last().map(|bar| bar.open_time.days() + 10) < last) > 15, "delistings");
    assert!(count(&|bars| bars[0].close < 2.0) > 20, "penny stocks");
    assert!(count(&|bars| bars[0].close > 500.0) > 3, "dear ones");
    for bars in by_symbol.values() {
        let starts: Vec<bool> = bars.iter().map(|bar| bar.flags.contains(BarFlags::SEGMENT_START)).collect();
        assert!(starts[0] && !starts[1..].contains(&true), "{}", bars[0].symbol);
    }
}

#[test]
fn instruments_describe_every_symbol_once() {
    let mut feed = SyntheticFeed::new(&options(1, 6000, 260));
    let instruments = feed.instruments();
    let symbols: BTreeSet<Symbol> = instruments.iter().map(|instrument| instrument.symbol).collect();
    assert_eq!((instruments.len(), symbols.len()), (6000, 6000));
    assert!(feed.instruments().is_empty());
    let sectors: BTreeSet<_> = instruments.iter().map(|instrument| instrument.sector.clone().unwrap()).collect();
    assert_eq!(sectors.len(), factors::SECTORS.len());
    for instrument in &instruments {
        let text = instrument.symbol.as_str();
        let letters = text.split('.').next().unwrap();
        assert!((1..=5).contains(&letters.len()) && letters.bytes().all(|byte| byte.is_ascii_uppercase()), "{text}");
        assert!(instrument.name.as_ref().unwrap().starts_with("Synthetic Company "));
    }
}

#[test]
fn a_weekend_moves_to_monday() {
    let check = |date: &str, expected: &str| {
        let date = EventTime::parse_date(date).unwrap();
        assert_eq!(weekday_from(date).display(schemas::Timeframe::D1), expected);
    };
    check("2024-01-05", "2024-01-05");
    check("2024-01-06", "2024-01-08");
    check("2024-01-07", "2024-01-08");
    check("2024-01-08", "2024-01-08");
}

#[test]
fn an_empty_market_goes_on() {
    assert!(steps(&options(1, 0, 3), 30).iter().all(|step| step.bars.is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_seed_is_a_market(seed in any::<u64>()) {
        let options = options(seed, 40, 20);
        let feed = SyntheticFeed::new(&options);
        prop_assert_eq!(steps(&options, 70), steps(&options, 70));
        prop_assert_eq!(feed.epoch(), SyntheticFeed::new(&options).epoch());
        let other = SyntheticOptions { seed: seed ^ 1, ..options.clone() };
        prop_assert_ne!(steps(&options, 3), steps(&other, 3));
        prop_assert_ne!(feed.epoch(), SyntheticFeed::new(&other).epoch());
    }
}
