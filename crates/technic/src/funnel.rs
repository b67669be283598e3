//! How a scan came down to what it shows: what each condition took out, in order, and of every symbol the first one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemas::{EXCLUSIONS, ResultRow, Symbol};
use scoring::profiles::ProfileLimit;
use scoring::universe::canonical_sector;
use serde::Serialize;

use crate::recompute::Scan;

/// Why a symbol is not shown, where that is neither a condition of the universe nor a limit of a profile.
const IMPOSSIBLE_BAR: &str = "impossible_bar";
const NO_BARS: &str = "no_bars";
const SYMBOL_NOT_WANTED: &str = "symbol_not_wanted";
const SECTOR_NOT_WANTED: &str = "sector_not_wanted";
const BEYOND_LIMIT: &str = "beyond_symbol_limit";

/// The counts of a scan.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Funnel {
    /// Symbols with bars.
    universe: usize,
    /// What took symbols out, in the order in which it was asked; a condition that took none is left out.
    steps: Vec<Step>,
    /// Symbols that are shown.
    left: usize,
    /// The symbols that are not shown, and the first condition that each fails.
    #[serde(skip)]
    pub(crate) why_not: BTreeMap<Symbol, String>,
}

#[derive(Debug, Serialize)]
struct Step {
    condition: String,
    removed: usize,
    left: usize,
}

/// What to show of a scan. An empty list does not restrict.
#[derive(Debug)]
pub(crate) struct Wishes<'a> {
    pub(crate) symbols: &'a [Symbol],
    pub(crate) sectors: &'a [String],
    pub(crate) profile: Option<&'a str>,
}

/// Whether two names mean one sector: providers have two vocabularies (quirk Q15).
pub(crate) fn is_same_sector(wanted: &str, sector: &str) -> bool {
    canonical_sector(wanted).eq_ignore_ascii_case(canonical_sector(sector))
}

impl Funnel {
    /// Keeps of the results what is wished for, and counts the others. Ranks stay those among all symbols.
    pub(crate) fn select(scan: &mut Scan, wishes: &Wishes) -> Self {
        let mut funnel = Self { universe: scan.n_symbols, left: scan.n_symbols, ..Self::default() };
        let unranked = std::mem::take(&mut scan.unranked);
        funnel.remove(unranked.into_iter().map(|(symbol, why)| {
            let why = why.map_or(IMPOSSIBLE_BAR.to_owned(), Cow::into_owned);
            (symbol, why)
        }));
        funnel.retain(&mut scan.results, |row| {
            let sector = row.sector.as_deref().unwrap_or_default();
            let is_wanted =
                wishes.sectors.is_empty() || wishes.sectors.iter().any(|wanted| is_same_sector(wanted, sector));
            (!is_wanted).then(|| SECTOR_NOT_WANTED.to_owned())
        });
        funnel.retain(&mut scan.results, |row| {
            let is_wanted = wishes.symbols.is_empty() || wishes.symbols.contains(&row.symbol);
            (!is_wanted).then(|| SYMBOL_NOT_WANTED.to_owned())
        });
        funnel.retain(&mut scan.results, |row| {
            let verdict = row.profiles.iter().find(|verdict| Some(&*verdict.profile) == wishes.profile)?;
            verdict.breaks.as_ref().map(ToString::to_string)
        });
        if !wishes.symbols.is_empty() {
            // Who asks for some symbols does not ask about the others.
            funnel.why_not.retain(|symbol, _| wishes.symbols.contains(symbol));
            let is_known = |symbol: &Symbol| scan.results.iter().any(|row| row.symbol == *symbol);
            for symbol in wishes.symbols {
                if !is_known(symbol) {
                    funnel.why_not.entry(*symbol).or_insert_with(|| NO_BARS.to_owned());
                }
            }
        }
        funnel
    }

    /// Keeps so many of what is left, the best.
    pub(crate) fn cut(&mut self, results: &mut Vec<ResultRow>, n_max: usize) {
        let mut n_left = n_max;
        self.retain(results, |_| {
            let is_beyond = n_left == 0;
            n_left = n_left.saturating_sub(1);
            is_beyond.then(|| BEYOND_LIMIT.to_owned())
        });
    }

    /// All of it in one line.
    pub(crate) fn line(&self) -> String {
        let steps: Vec<String> = self.steps.iter().map(|step| format!("{} {}", step.condition, step.removed)).collect();
        if steps.is_empty() {
            return format!("funnel: {} symbols, all left", self.universe);
        }
        format!("funnel: {} symbols, without {}: {} left", self.universe, steps.join(", "), self.left)
    }

    fn retain(&mut self, rows: &mut Vec<ResultRow>, mut why: impl FnMut(&ResultRow) -> Option<String>) {
        let mut removed = Vec::new();
        rows.retain(|row| match why(row) {
            Some(why) => {
                removed.push((row.symbol, why));
                false
            }
            None => true,
        });
        self.remove(removed.into_iter());
    }

    /// Adds a step for each condition, in the order in which they are asked.
    fn remove(&mut self, removed: impl Iterator<Item = (Symbol, String)>) {
        let limits = ProfileLimit::ALL.map(ProfileLimit::as_str);
        let place = |why: &str| EXCLUSIONS.iter().chain(&limits).position(|known| *known == why);
        let mut counts: BTreeMap<(Option<usize>, String), usize> = BTreeMap::new();
        for (symbol, why) in removed {
            *counts.entry((place(&why), why.clone())).or_default() += 1;
            self.why_not.insert(symbol, why);
        }
        for ((_, condition), removed) in counts {
            self.left = self.left.saturating_sub(removed);
            self.steps.push(Step { condition, removed, left: self.left });
        }
    }
}
