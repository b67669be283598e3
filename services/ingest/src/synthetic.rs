//! A seeded market to try everything on: a market and eleven sector factors, volatility that clusters, gaps, halts,
//! thin names, new listings, delistings and splits. Every bar is flagged `SYNTHETIC`; likeness of a ticker to a real
//! one is chance.

mod company;
mod factors;
mod listing;
mod random;
#[cfg(test)]
mod tests;

use std::time::Duration;

use schemas::{BarFlags, EventTime, Instrument};

use crate::digest::Digest;
use crate::{Feed, RawBar, Step, SyntheticOptions};
use company::{Company, Profile};
use factors::Factors;
use random::Random;

const SOURCE: &str = "synthetic";
/// Part of the epoch: to be raised when the generator changes what a seed means.
const GENERATOR_VERSION: u64 = 1;

/// First a history of final daily bars, a step a session, as fast as they are taken; then, without end, live sessions
/// of forming daily bars that each close with a step of final ones.
pub struct SyntheticFeed {
    options: SyntheticOptions,
    epoch: u64,
    random: Random,
    factors: Factors,
    companies: Vec<Company>,
    /// Chance of each company to trade in a live step.
    step_chances: Vec<f64>,
    instruments: Vec<Instrument>,
    session: usize,
    open_time: EventTime,
    /// Live steps of the session so far; `None` before the open.
    n_steps: Option<u32>,
}

impl SyntheticFeed {
    pub fn new(options: &SyntheticOptions) -> Self {
        let mut random = Random::new(options.seed);
        let start = weekday_from(options.start);
        let listed = listing::companies(options.n_symbols, options.history_sessions, start, &mut random);
        let (profiles, instruments): (Vec<Profile>, Vec<Instrument>) = listed.into_iter().unzip();
        let companies: Vec<Company> = profiles.into_iter().map(Company::new).collect();
        Self {
            epoch: epoch_of(options),
            random,
            factors: Factors::new(),
            step_chances: step_chances(&companies, options.live_fraction),
            companies,
            instruments,
            session: 0,
            open_time: start,
            n_steps: None,
            options: options.clone(),
        }
    }

    fn history_step(&mut self) -> Step {
        self.open_session();
        self.close_session(BarFlags::SYNTHETIC.with(BarFlags::BACKFILL), Duration::ZERO)
    }

    fn live_step(&mut self) -> Step {
        let wait = self.options.live_step;
        let n_steps = self.n_steps.unwrap_or_else(|| {
            self.open_session();
            0
        });
        let n_steps_max = self.options.steps_per_session.max(1);
        if n_steps == n_steps_max {
            self.n_steps = None;
            return self.close_session(BarFlags::SYNTHETIC, wait);
        }
        self.n_steps = Some(n_steps + 1);
        // One more than there are steps: the close is the last.
        let step_share = 1.0 / f64::from(n_steps_max + 1);
        let elapsed = f64::from(n_steps + 1) * step_share;
        self.factors.trade(step_share, &mut self.random);
        let mut bars = Vec::new();
        for (company, &chance) in self.companies.iter_mut().zip(&self.step_chances) {
            if self.random.chance(chance) && company.is_trading() {
                company.trade(elapsed, &self.factors, &mut self.random);
                bars.extend(company.bar(self.open_time, BarFlags::SYNTHETIC));
            }
        }
        Step { bars, watermark: None, wait }
    }

    fn open_session(&mut self) {
        self.factors.open(&mut self.random);
        for company in &mut self.companies {
            company.open(self.session, &self.factors, &mut self.random);
        }
    }

    fn close_session(&mut self, flags: BarFlags, wait: Duration) -> Step {
        let is_live = self.session >= self.options.history_sessions;
        let share = if is_live { 1.0 / f64::from(self.options.steps_per_session.max(1) + 1) } else { 1.0 };
        self.factors.trade(share, &mut self.random);
        let mut bars: Vec<RawBar> = Vec::with_capacity(self.companies.len());
        for company in &mut self.companies {
            company.trade(1.0, &self.factors, &mut self.random);
            bars.extend(company.close(self.open_time, flags));
        }
        self.factors.close();
        let watermark = Some(self.open_time);
        self.session += 1;
        self.open_time = weekday_from(EventTime::from_days(self.open_time.days() + 1));
        Step { bars, watermark, wait }
    }
}

impl Feed for SyntheticFeed {
    fn source(&self) -> &'static str {
        SOURCE
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn instruments(&mut self) -> Vec<Instrument> {
        std::mem::take(&mut self.instruments)
    }

    fn next_step(&mut self) -> Option<Step> {
        Some(if self.session < self.options.history_sessions { self.history_step() } else { self.live_step() })
    }

    fn n_bars_total(&self) -> Option<u64> {
        None
    }
}

/// The pace of the clock is no part of it: it changes no bar.
fn epoch_of(options: &SyntheticOptions) -> u64 {
    let mut digest = Digest::new(SOURCE);
    digest.word(GENERATOR_VERSION);
    digest.word(options.seed);
    digest.count(options.n_symbols);
    digest.count(options.history_sessions);
    digest.word(options.start.as_ns().cast_unsigned());
    digest.word(u64::from(options.steps_per_session));
    digest.number(options.live_fraction);
    digest.finish()
}

/// The more a company is traded, the more often it has news in a live step; `live_fraction` on average.
fn step_chances(companies: &[Company], live_fraction: f64) -> Vec<f64> {
    let weights: Vec<f64> = companies.iter().map(|company| company.profile().dollar_volume.powf(0.25)).collect();
    let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
    weights.iter().map(|weight| live_fraction * weight / mean).collect()
}

/// The day itself or the Monday after a weekend: the market knows no holidays.
fn weekday_from(time: EventTime) -> EventTime {
    let days = time.days();
    // 1970-01-01 was a Thursday.
    match (days + 3).rem_euclid(7) {
        5 => EventTime::from_days(days + 2),
        6 => EventTime::from_days(days + 1),
        _ => EventTime::from_days(days),
    }
}
