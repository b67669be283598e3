use schemas::{BarFlags, EventTime, Symbol};

use super::factors::{Cluster, Factors, OVERNIGHT_SHARE};
use super::random::Random;
use crate::RawBar;

/// Chance per session that trading in a symbol is halted, and for how many sessions at most.
const HALT_CHANCE: f64 = 0.0004;
const HALT_SESSIONS_MAX: usize = 5;
/// Chance per session of news before the open, and how much larger than usual the night's move then is.
const NEWS_CHANCE: f64 = 0.015;
const NEWS_SCALE: f64 = 5.0;
/// Pull of the log price to its home per session, so that an endless market stays in range.
const REVERSION: f64 = 0.0005;

/// The character of a company: constant over its life.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) symbol: Symbol,
    pub(super) sector: usize,
    pub(super) market_beta: f64,
    pub(super) sector_beta: f64,
    /// Of its own, per session, in log return.
    pub(super) volatility: f64,
    /// Log of the price in USD that it is drawn to.
    pub(super) home: f64,
    /// USD traded per session on average.
    pub(super) dollar_volume: f64,
    /// Chance that it trades in a session at all.
    pub(super) trade_chance: f64,
    /// Sessions in which it is listed.
    pub(super) listed_on: usize,
    pub(super) delisted_on: Option<usize>,
    pub(super) split: Option<Split>,
}

/// New shares for one old share. Prices before it are given on the basis after it, as an adjusted history has them:
/// what shows is the finer (or, after a reverse split, coarser) grid of the old prices, never a jump.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    pub(super) session: usize,
    pub(super) ratio: f64,
}

/// One company and its bar of the session.
#[derive(Debug)]
pub(super) struct Company {
    profile: Profile,
    log_price: f64,
    /// Levels of the factors that the log price takes into account already.
    seen: (f64, f64),
    cluster: Cluster,
    last_close: Option<f64>,
    halted_until: usize,
    has_gap: bool,
    today: Today,
}

/// What a company does in the session.
#[derive(Debug)]
enum Today {
    /// Not listed, halted, or nobody asked: no bar.
    Absent,
    /// Quoted but not traded: a bar at the last close with no volume.
    Quiet,
    Trading(Forming),
}

/// A bar that is being formed; prices as logs.
#[derive(Debug)]
struct Forming {
    open: f64,
    high: f64,
    low: f64,
    volume: f64,
    /// Shares that a whole session trades.
    volume_pace: f64,
    /// Own return of the session, without the factors.
    shock: f64,
    /// Share of the session that has passed at the last update.
    elapsed: f64,
    revision: u32,
    ticks_per_usd: f64,
}

impl Company {
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            log_price: profile.home,
            profile,
            seen: (0.0, 0.0),
            cluster: Cluster::new(),
            last_close: None,
            halted_until: 0,
            has_gap: false,
            today: Today::Absent,
        }
    }

    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(super) fn is_trading(&self) -> bool {
        matches!(self.today, Today::Trading(_))
    }

    /// The night passes, and it is decided whether the symbol trades.
    pub(super) fn open(&mut self, session: usize, factors: &Factors, random: &mut Random) {
        let profile = &self.profile;
        self.today = Today::Absent;
        if session < profile.listed_on || profile.delisted_on.is_some_and(|end| end <= session) {
            return;
        }
        if self.last_close.is_none() {
            self.seen = factors.levels(profile.sector);
        }
        if session >= self.halted_until && random.chance(HALT_CHANCE) {
            self.halted_until = session + 1 + random.below(HALT_SESSIONS_MAX);
        }
        let has_trades = profile.trade_chance >= 1.0 || random.chance(profile.trade_chance);
        let is_missing = session < self.halted_until || (!has_trades && random.chance(0.5));
        match self.last_close {
            _ if is_missing => self.has_gap = true,
            None if !has_trades => {}
            Some(_) if !has_trades => self.today = Today::Quiet,
            _ => {
                let news = if random.chance(NEWS_CHANCE) { NEWS_SCALE } else { 1.0 };
                let night = profile.volatility * self.cluster.scale() * OVERNIGHT_SHARE.sqrt();
                let shock = night * news * random.normal();
                let own_volume = 0.5 * random.normal() + 0.6 * (shock / profile.volatility).abs();
                self.log_price += shock + REVERSION * (profile.home - self.log_price);
                self.log_price += self.follow(factors);
                let price = self.log_price.exp();
                let ticks_per_usd = if price >= 1.0 { 100.0 } else { 10_000.0 };
                let ratio = self.profile.split.filter(|split| session < split.session).map_or(1.0, |split| split.ratio);
                self.today = Today::Trading(Forming {
                    open: self.log_price,
                    high: self.log_price,
                    low: self.log_price,
                    volume: 0.0,
                    volume_pace: self.profile.dollar_volume / price * own_volume.exp(),
                    shock,
                    elapsed: 0.0,
                    revision: 0,
                    ticks_per_usd: ticks_per_usd * ratio,
                });
            }
        }
    }

    /// Trades until `elapsed`, a share of the session.
    pub(super) fn trade(&mut self, elapsed: f64, factors: &Factors, random: &mut Random) {
        if !self.is_trading() {
            return;
        }
        let before = self.log_price + self.follow(factors);
        let volatility = self.profile.volatility * self.cluster.scale() * (1.0 - OVERNIGHT_SHARE).sqrt();
        let Today::Trading(forming) = &mut self.today else { return };
        let share = (elapsed - forming.elapsed).max(0.0);
        let scale = volatility * share.sqrt();
        let shock = scale * random.normal();
        let after = before + shock;
        // How far the path strayed beyond its two ends.
        let (above, below) = (random.uniform(), random.uniform());
        forming.high = forming.high.max(before.max(after) + scale * above * above);
        forming.low = forming.low.min(before.min(after) - scale * below * below);
        forming.volume += (forming.volume_pace * share * (0.5 + random.uniform())).round().max(1.0);
        forming.shock += shock;
        forming.elapsed = elapsed;
        forming.revision += 1;
        self.log_price = after;
    }

    /// The session ends; the bar, if there is one, is final.
    pub(super) fn close(&mut self, open_time: EventTime, flags: BarFlags) -> Option<RawBar> {
        let bar = self.bar(open_time, flags.with(BarFlags::FINAL))?;
        if let Today::Trading(forming) = &self.today {
            self.cluster.close(forming.shock / self.profile.volatility);
        }
        self.last_close = Some(bar.close);
        self.has_gap = false;
        self.today = Today::Absent;
        Some(bar)
    }

    /// The bar as it stands.
    pub(super) fn bar(&self, open_time: EventTime, flags: BarFlags) -> Option<RawBar> {
        let flags = match self.last_close {
            None => flags.with(BarFlags::SEGMENT_START),
            Some(_) if self.has_gap => flags.with(BarFlags::GAP_BEFORE),
            Some(_) => flags,
        };
        let symbol = self.profile.symbol;
        match &self.today {
            Today::Absent => None,
            Today::Quiet => {
                let close = self.last_close?;
                Some(RawBar {
                    symbol,
                    open_time,
                    open: close,
                    high: close,
                    low: close,
                    close,
                    volume: 0.0,
                    traded_close: None,
                    revision: 0,
                    flags,
                })
            }
            Today::Trading(forming) => {
                // Rounding is monotone, so the order of the prices stays.
                let quote =
                    |log_price: f64| (log_price.exp() * forming.ticks_per_usd).round().max(1.0) / forming.ticks_per_usd;
                Some(RawBar {
                    symbol,
                    open_time,
                    open: quote(forming.open),
                    high: quote(forming.high),
                    low: quote(forming.low),
                    close: quote(self.log_price),
                    volume: forming.volume,
                    traded_close: None,
                    revision: forming.revision,
                    flags,
                })
            }
        }
    }

    /// The move of the factors since the last call, as this company feels it.
    fn follow(&mut self, factors: &Factors) -> f64 {
        let (market, sector) = factors.levels(self.profile.sector);
        let (market_seen, sector_seen) = std::mem::replace(&mut self.seen, (market, sector));
        self.profile.market_beta * (market - market_seen) + self.profile.sector_beta * (sector - sector_seen)
    }
}
