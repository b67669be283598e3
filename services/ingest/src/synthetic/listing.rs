use std::collections::BTreeSet;

use schemas::{EventTime, Instrument, Symbol};

use super::company::{Profile, Split};
use super::factors::SECTORS;
use super::random::Random;

/// How often the letters start an English word or continue it hardly matters; vowels make tickers pronounceable.
const LETTERS: &[u8] = b"AABCCDEEFGHIIJKLMNNOOPQRRSSTTUUVWXYZ";
/// Ticker lengths, by weight: most have three or four letters.
const LENGTHS: [usize; 20] = [2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5];
const LETTERS_MAX: usize = 5;

const SINGLE_LETTER_CHANCE: f64 = 0.002;
const CLASS_SUFFIX_CHANCE: f64 = 0.006;
const THIN_CHANCE: f64 = 0.07;
const NEW_CHANCE: f64 = 0.03;
const DELISTED_CHANCE: f64 = 0.02;
const SPLIT_CHANCE: f64 = 0.01;
const SPLIT_RATIOS: [f64; 6] = [2.0, 2.0, 3.0, 4.0, 0.1, 0.05];

/// The companies of a market, by symbol, and their reference data. Listings, delistings and splits all fall within
/// the first `history_sessions`: a live feed does not restate what it has sent.
pub(super) fn companies(
    n_symbols: usize,
    history_sessions: usize,
    start: EventTime,
    random: &mut Random,
) -> Vec<(Profile, Instrument)> {
    let symbols = tickers(n_symbols, random);
    symbols
        .into_iter()
        .enumerate()
        .map(|(number, symbol)| {
            let profile = profile(symbol, history_sessions, random);
            let instrument = instrument(&profile, number + 1, start, random);
            (profile, instrument)
        })
        .collect()
}

fn tickers(n_symbols: usize, random: &mut Random) -> BTreeSet<Symbol> {
    let mut tickers = BTreeSet::new();
    let mut n_collisions = 0;
    while tickers.len() < n_symbols {
        let n_letters = match LENGTHS[random.below(LENGTHS.len())] {
            _ if random.chance(SINGLE_LETTER_CHANCE) => 1,
            // The short ones run out in a very large market.
            _ if n_collisions > n_symbols => LETTERS_MAX,
            n_letters => n_letters,
        };
        let mut text: String = (0..n_letters).map(|_| char::from(LETTERS[random.below(LETTERS.len())])).collect();
        if n_letters < LETTERS_MAX && random.chance(CLASS_SUFFIX_CHANCE) {
            text.push_str(if random.chance(0.5) { ".A" } else { ".B" });
        }
        if !tickers.insert(Symbol::new(&text).expect("a few letters are a symbol")) {
            n_collisions += 1;
        }
    }
    tickers
}

fn profile(symbol: Symbol, history_sessions: usize, random: &mut Random) -> Profile {
    let is_thin = random.chance(THIN_CHANCE);
    // Size rules: the small are cheaper, wilder and traded less.
    let size = random.normal();
    let size = if is_thin { size - 1.5 } else { size };
    let price = (3.1 + 0.75 * size + 0.8 * random.normal()).exp().clamp(0.15, 4500.0);
    let volatility = (0.018 * (-0.25 * size + 0.35 * random.normal()).exp()).clamp(0.005, 0.08);
    let dollar_volume = (16.0 + 1.7 * size + 0.9 * random.normal()).exp().clamp(2e3, 2e10);
    let within_history = |random: &mut Random| 1 + random.below(history_sessions.saturating_sub(1).max(1));
    let listed_on = if random.chance(NEW_CHANCE) { within_history(random) } else { 0 };
    let ends = random.chance(DELISTED_CHANCE).then(|| within_history(random));
    let split = random
        .chance(SPLIT_CHANCE)
        .then(|| Split { session: within_history(random), ratio: SPLIT_RATIOS[random.below(SPLIT_RATIOS.len())] });
    Profile {
        symbol,
        sector: random.below(SECTORS.len()),
        market_beta: (1.0 + 0.35 * random.normal()).clamp(0.0, 2.5),
        sector_beta: (0.9 + 0.3 * random.normal()).clamp(0.0, 2.0),
        volatility,
        home: price.ln(),
        dollar_volume,
        trade_chance: if is_thin { 0.6 + 0.38 * random.uniform() } else { 1.0 },
        listed_on,
        delisted_on: ends.filter(|&end| end > listed_on),
        split,
    }
}

fn instrument(profile: &Profile, number: usize, start: EventTime, random: &mut Random) -> Instrument {
    // A session trades about half a per cent of a company.
    let capital = profile.dollar_volume / 0.005 * (0.5 * random.normal()).exp();
    let shares = (capital / profile.home.exp()).round().max(1e5);
    let sector = SECTORS[profile.sector];
    Instrument {
        symbol: profile.symbol,
        source: super::SOURCE.to_owned(),
        name: Some(format!("Synthetic Company {number:04}").into()),
        exchange: Some("SYNTHETIC".into()),
        sector: Some(sector.into()),
        industry: Some(format!("{sector} {}", 1 + random.below(6)).into()),
        shares: Some((shares, start)),
        filings: Vec::new(),
        closes: Vec::new(),
    }
}
