//! Which symbols are scanned and ranked, and why the others are not.

use std::fmt;

use crate::statistics::{mean, sample_sd};

const SYMBOL_LETTERS_MAX: usize = 5;
/// Funds that multiply an index or trade volatility.
const LEVERAGED: [&str; 24] = [
    "SPXL", "SPXS", "TQQQ", "SQQQ", "UVXY", "VIXY", "SVXY", "TVIX", "UPRO", "SPXU", "UDOW", "SDOW", "TNA", "TZA",
    "FAS", "FAZ", "NUGT", "DUST", "JNUG", "JDST", "ERX", "ERY", "LABU", "LABD",
];
const FUND_INDUSTRIES: [&str; 3] = ["REIT", "Closed-End Fund", "Exchange Traded Fund"];
/// Sectors whose small companies are not scanned.
const LARGE_ONLY_SECTORS: [&str; 2] = ["Real Estate", "Utilities"];
const LARGE_ONLY_MARKET_CAP: f64 = 750_000_000.0;
const PRE_SCREEN_MARKET_CAP: f64 = 150_000_000.0;
const BARS_MIN: usize = 20;
const CLOSE_MIN: f64 = 1.0;
const DOLLAR_VOLUME_MIN: f64 = 250_000.0;
const DOLLAR_VOLUME_PERIOD: usize = 40;
const VARIATION_MAX: f64 = 0.5;
const MARKET_CAP_MIN: f64 = 10_000_000.0;
const ATR_PCT_MAX: f64 = 1.0;

/// The first condition that a symbol fails, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exclusion {
    SymbolShape,
    SectorNotScanned,
    LeveragedFund,
    SectorNotWanted,
    IndustryNotWanted,
    SubindustryNotWanted,
    BeyondSymbolLimit,
    SmallCompanyOfSector,
    FundIndustry,
    SmallCompany,
    TooFewBars,
    NoRecentBar,
    PriceTooLow,
    DollarVolumeTooLow,
    PriceTooErratic,
    LastDollarVolumeTooLow,
    LastPriceTooLow,
    MarketCapTooLow,
    AtrTooHigh,
}

impl Exclusion {
    pub const ALL: [Self; schemas::EXCLUSIONS.len()] = [
        Self::SymbolShape,
        Self::SectorNotScanned,
        Self::LeveragedFund,
        Self::SectorNotWanted,
        Self::IndustryNotWanted,
        Self::SubindustryNotWanted,
        Self::BeyondSymbolLimit,
        Self::SmallCompanyOfSector,
        Self::FundIndustry,
        Self::SmallCompany,
        Self::TooFewBars,
        Self::NoRecentBar,
        Self::PriceTooLow,
        Self::DollarVolumeTooLow,
        Self::PriceTooErratic,
        Self::LastDollarVolumeTooLow,
        Self::LastPriceTooLow,
        Self::MarketCapTooLow,
        Self::AtrTooHigh,
    ];

    /// The published name.
    pub fn as_str(self) -> &'static str {
        schemas::EXCLUSIONS[self as usize]
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What each condition removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Funnel {
    n_kept: usize,
    n_removed: [usize; Exclusion::ALL.len()],
}

impl Funnel {
    pub fn count(&mut self, exclusion: Option<Exclusion>) {
        match exclusion {
            Some(exclusion) => self.n_removed[exclusion as usize] += 1,
            None => self.n_kept += 1,
        }
    }

    pub fn n_kept(&self) -> usize {
        self.n_kept
    }

    /// The conditions in order, with how many symbols failed each first.
    pub fn removed(&self) -> impl Iterator<Item = (Exclusion, usize)> {
        Exclusion::ALL.into_iter().zip(self.n_removed)
    }
}

/// A symbol of the universe; `None` is unknown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Listing<'a> {
    pub symbol: &'a str,
    pub sector: Option<&'a str>,
    pub industry: Option<&'a str>,
    pub subindustry: Option<&'a str>,
}

/// What a listing must be like.
///
/// # Source
/// §17. The default is ours: one-letter symbols (F, T, V) count, and so does every sector ("do instead" of quirk Q15:
/// the reference's list has other names than its own universe, so that most sectors vanish).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListingRules<'a> {
    pub symbol_letters_min: usize,
    /// The only sectors to scan, besides those without one.
    pub sectors: Option<&'a [&'a str]>,
}

impl Default for ListingRules<'_> {
    fn default() -> Self {
        Self { symbol_letters_min: 1, sectors: None }
    }
}

impl ListingRules<'_> {
    /// Why a listing is not scanned at all (§17, "smart filter").
    pub fn exclusion(&self, listing: &Listing) -> Option<Exclusion> {
        let n_letters = listing.symbol.len();
        let is_shaped = (1..=SYMBOL_LETTERS_MAX).contains(&n_letters)
            && listing.symbol.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_scanned =
            |sectors: &[&str]| listing.sector.is_none_or(|sector| sector.is_empty() || sectors.contains(&sector));
        if !is_shaped || n_letters < self.symbol_letters_min {
            Some(Exclusion::SymbolShape)
        } else if !self.sectors.is_none_or(is_scanned) {
            Some(Exclusion::SectorNotScanned)
        } else if LEVERAGED.contains(&listing.symbol) {
            Some(Exclusion::LeveragedFund)
        } else {
            None
        }
    }

    /// Why a listing is not worth its data, by what is known beforehand; an unknown `market_cap` (USD) passes (§17).
    pub fn pre_screen(&self, listing: &Listing, market_cap: Option<f64>) -> Option<Exclusion> {
        let is_below = |limit: f64| market_cap.is_some_and(|market_cap| market_cap < limit);
        let is_in = |names: &[&str], name: Option<&str>| name.is_some_and(|name| names.contains(&name));
        if !(self.symbol_letters_min..=SYMBOL_LETTERS_MAX).contains(&listing.symbol.len()) {
            Some(Exclusion::SymbolShape)
        } else if is_in(&LARGE_ONLY_SECTORS, listing.sector) && is_below(LARGE_ONLY_MARKET_CAP) {
            Some(Exclusion::SmallCompanyOfSector)
        } else if is_in(&FUND_INDUSTRIES, listing.industry) {
            Some(Exclusion::FundIndustry)
        } else if is_below(PRE_SCREEN_MARKET_CAP) {
            Some(Exclusion::SmallCompany)
        } else {
            None
        }
    }
}

/// The name of a sector in the universe's vocabulary, from that or from the other common one.
///
/// # Source
/// "Do instead" of quirk Q15.
pub fn canonical_sector(name: &str) -> &str {
    let known = [
        ("technology", "Information Technology"),
        ("healthcare", "Health Care"),
        ("financial services", "Financials"),
        ("consumer cyclical", "Consumer Discretionary"),
        ("consumer defensive", "Consumer Staples"),
        ("basic materials", "Materials"),
    ];
    let name = name.trim();
    known.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map_or(name, |(_, canonical)| canonical)
}

/// What a user wants to see; empty wants everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    pub sectors: Vec<String>,
    /// Part of an industry's name.
    pub industry: Option<String>,
    pub subindustries: Vec<String>,
    pub symbols_max: Option<usize>,
}

impl UserFilter {
    /// Why each listing is not wanted, in their order.
    ///
    /// # Shape
    /// Upper and lower case are the same. A wish about something that no listing knows is not heard. The limit takes
    /// the first ones.
    ///
    /// # Source
    /// §17.
    pub fn exclusions(&self, listings: &[Listing]) -> Vec<Option<Exclusion>> {
        let is_known = |field: fn(&Listing) -> Option<String>| listings.iter().any(|listing| field(listing).is_some());
        let sector = |listing: &Listing| listing.sector.map(|name| canonical_sector(name).to_lowercase());
        let industry = |listing: &Listing| listing.industry.map(str::to_lowercase);
        let subindustry = |listing: &Listing| listing.subindustry.map(|name| name.trim().to_lowercase());
        let sectors: Vec<_> = self.sectors.iter().map(|name| canonical_sector(name).to_lowercase()).collect();
        let subindustries: Vec<_> = self.subindustries.iter().map(|name| name.trim().to_lowercase()).collect();
        let wanted = self.industry.as_ref().map(|part| part.trim().to_lowercase()).filter(|part| !part.is_empty());
        let asks_sector = !sectors.is_empty() && is_known(sector);
        let asks_industry = wanted.filter(|_| is_known(industry));
        let asks_subindustry = !subindustries.is_empty() && is_known(subindustry);

        let mut n_left = self.symbols_max.unwrap_or(usize::MAX);
        let exclusion = |listing: &Listing| {
            if asks_sector && !sector(listing).is_some_and(|name| sectors.contains(&name)) {
                Some(Exclusion::SectorNotWanted)
            } else if asks_industry
                .as_ref()
                .is_some_and(|part| !industry(listing).is_some_and(|name| name.contains(part)))
            {
                Some(Exclusion::IndustryNotWanted)
            } else if asks_subindustry && !subindustry(listing).is_some_and(|name| subindustries.contains(&name)) {
                Some(Exclusion::SubindustryNotWanted)
            } else if n_left == 0 {
                Some(Exclusion::BeyondSymbolLimit)
            } else {
                n_left -= 1;
                None
            }
        };
        listings.iter().map(exclusion).collect()
    }
}

/// Why bars (oldest first, one value per bar in each slice) are no basis for a score.
///
/// # Units
/// USD and shares.
///
/// # Source
/// §17, "After data".
pub fn basic_exclusion(close: &[f64], volume: &[f64]) -> Option<Exclusion> {
    let n_recent = close.len().min(DOLLAR_VOLUME_PERIOD);
    let recent = |values: &[f64], n: usize| values[values.len() - n..].to_vec();
    let (Some(&last), false) = (close.last(), close.len() < BARS_MIN) else { return Some(Exclusion::TooFewBars) };
    let dollars: Vec<f64> =
        recent(close, n_recent).iter().zip(recent(volume, n_recent)).map(|(close, volume)| close * volume).collect();
    let closes = recent(close, BARS_MIN);
    traded_exclusion(&TradedInputs {
        n_bars: close.len(),
        close: last,
        dollar_volume: mean(&dollars),
        variation: Some(sample_sd(&closes).unwrap_or(0.0) / mean(&closes)?),
    })
}

/// What bars come down to, seen from the newest one.
///
/// # Units
/// USD; `dollar_volume` is the mean of recent sessions. `variation` is the standard deviation of the newest 20 closes
/// over their mean.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TradedInputs {
    pub n_bars: usize,
    pub close: f64,
    pub dollar_volume: Option<f64>,
    pub variation: Option<f64>,
}

/// [`basic_exclusion`] of what is known; the unknown passes.
pub fn traded_exclusion(inputs: &TradedInputs) -> Option<Exclusion> {
    if inputs.n_bars < BARS_MIN {
        Some(Exclusion::TooFewBars)
    } else if inputs.close < CLOSE_MIN {
        Some(Exclusion::PriceTooLow)
    } else if inputs.dollar_volume.is_some_and(|dollar_volume| dollar_volume < DOLLAR_VOLUME_MIN) {
        Some(Exclusion::DollarVolumeTooLow)
    } else if inputs.variation.is_some_and(|variation| variation > VARIATION_MAX) {
        Some(Exclusion::PriceTooErratic)
    } else {
        None
    }
}

/// What the last filter looks at.
///
/// # Units
/// `dollar_volume` is that of the last bar, in USD like `close` and `market_cap`; `atr_pct` is a fraction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct InstitutionalInputs {
    pub dollar_volume: f64,
    pub close: f64,
    pub market_cap: Option<f64>,
    pub atr_pct: Option<f64>,
}

/// Why a scored row is not shown.
///
/// # Source
/// §17, "final". What is unknown passes; say so beside the row ("do instead" of quirk Q29: the reference drops every
/// row without a market capitalisation, so that without fundamentals nothing is left).
pub fn institutional_exclusion(inputs: &InstitutionalInputs) -> Option<Exclusion> {
    if inputs.dollar_volume < DOLLAR_VOLUME_MIN {
        Some(Exclusion::LastDollarVolumeTooLow)
    } else if inputs.close < CLOSE_MIN {
        Some(Exclusion::LastPriceTooLow)
    } else if inputs.market_cap.is_some_and(|market_cap| market_cap < MARKET_CAP_MIN) {
        Some(Exclusion::MarketCapTooLow)
    } else if inputs.atr_pct.is_some_and(|atr_pct| atr_pct > ATR_PCT_MAX) {
        Some(Exclusion::AtrTooHigh)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing<'a>(symbol: &'a str, sector: Option<&'a str>) -> Listing<'a> {
        Listing { symbol, sector, industry: None, subindustry: None }
    }

    #[test]
    fn listings_are_ordinary_stocks() {
        let check = |symbol, expected| {
            assert_eq!(ListingRules::default().exclusion(&listing(symbol, None)), expected, "{symbol}");
        };
        check("AAPL", None);
        check("F", None);
        check("GOOGLX", Some(Exclusion::SymbolShape));
        check("BRK.B", Some(Exclusion::SymbolShape));
        check("", Some(Exclusion::SymbolShape));
        check("TQQQ", Some(Exclusion::LeveragedFund));
    }

    #[test]
    fn small_companies_and_funds_are_screened_before_their_data() {
        let check = |sector, industry, market_cap, expected| {
            let listing = Listing { industry, ..listing("ABC", sector) };
            assert_eq!(
                ListingRules::default().pre_screen(&listing, market_cap),
                expected,
                "{listing:?} {market_cap:?}"
            );
        };
        check(Some("Utilities"), None, Some(7e8), Some(Exclusion::SmallCompanyOfSector));
        check(Some("Utilities"), None, None, None);
        check(Some("Energy"), None, Some(7e8), None);
        check(Some("Energy"), None, Some(1e8), Some(Exclusion::SmallCompany));
        check(None, Some("REIT"), None, Some(Exclusion::FundIndustry));
    }

    #[test]
    fn wishes_about_unknown_things_are_not_heard() {
        let listings = [listing("A", Some("Health Care")), listing("B", Some("Energy")), listing("C", None)];
        let wishes = UserFilter {
            sectors: vec![" healthcare ".to_owned()],
            industry: Some("oil".to_owned()),
            ..UserFilter::default()
        };
        assert_eq!(
            wishes.exclusions(&listings),
            [None, Some(Exclusion::SectorNotWanted), Some(Exclusion::SectorNotWanted)]
        );
        let first = UserFilter { symbols_max: Some(1), ..UserFilter::default() };
        let beyond = Some(Exclusion::BeyondSymbolLimit);
        assert_eq!(first.exclusions(&listings), [None, beyond, beyond]);
    }

    #[test]
    fn bars_must_be_enough_traded_and_steady() {
        let check = |close: &[f64], volume: f64, expected| {
            assert_eq!(basic_exclusion(close, &vec![volume; close.len()]), expected);
        };
        check(&[], 1e6, Some(Exclusion::TooFewBars));
        check(&[10.0; 19], 1e6, Some(Exclusion::TooFewBars));
        check(&[10.0; 20], 1e6, None);
        check(&[0.9; 20], 1e6, Some(Exclusion::PriceTooLow));
        check(&[10.0; 20], 1e4, Some(Exclusion::DollarVolumeTooLow));
        let erratic: Vec<f64> = (0..20).map(|bar| if bar % 2 == 0 { 10.0 } else { 100.0 }).collect();
        check(&erratic, 1e6, Some(Exclusion::PriceTooErratic));
    }

    /// Quirk Q29.
    #[test]
    fn an_unknown_market_cap_passes() {
        let row = InstitutionalInputs { dollar_volume: 1e6, close: 5.0, market_cap: None, atr_pct: None };
        assert_eq!(institutional_exclusion(&row), None);
        let tiny = InstitutionalInputs { market_cap: Some(1e6), ..row };
        assert_eq!(institutional_exclusion(&tiny), Some(Exclusion::MarketCapTooLow));
        let wild = InstitutionalInputs { atr_pct: Some(1.1), ..row };
        assert_eq!(institutional_exclusion(&wild), Some(Exclusion::AtrTooHigh));
    }

    #[test]
    fn the_funnel_counts_each_symbol_once() {
        let mut funnel = Funnel::default();
        for exclusion in [None, Some(Exclusion::TooFewBars), None, Some(Exclusion::TooFewBars)] {
            funnel.count(exclusion);
        }
        assert_eq!(funnel.n_kept(), 2);
        let removed: Vec<_> = funnel.removed().filter(|(_, n)| *n > 0).collect();
        assert_eq!(removed, [(Exclusion::TooFewBars, 2)]);
        assert!(Exclusion::ALL.into_iter().enumerate().all(|(index, exclusion)| exclusion as usize == index));
    }
}
