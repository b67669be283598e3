//! Where to enter, where to admit error, where to take the gain, and how much to buy.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rounding::on_tick;
use crate::sizing::{Account, Sizing, sizing};
use crate::tech_rating::Signal;

/// Distance of the stop from the close, in ATR: wanted, and at most and least whatever the structure says.
const STOP_ATR: f64 = 1.5;
const STOP_ATR_MAX: f64 = 3.0;
const STOP_ATR_MIN: f64 = 0.5;
/// Which way a plan bets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    Long,
    Short,
}

impl Direction {
    /// `None` for [`Signal::Avoid`].
    pub fn of(signal: Signal) -> Option<Self> {
        match signal {
            Signal::StrongLong | Signal::Long => Some(Self::Long),
            Signal::Short | Signal::StrongShort => Some(Self::Short),
            Signal::Avoid => None,
        }
    }

    /// A price seen in the direction of the bet: higher is better. Seeing it twice gives it back.
    fn see(self, price: f64) -> f64 {
        match self {
            Self::Long => price,
            Self::Short => -price,
        }
    }
}

/// How the price is expected to get going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setup {
    /// Beyond the recent extreme.
    Breakout,
    /// Along its average.
    Trend,
    /// Back from its average.
    Pullback,
}

impl Setup {
    /// The setup that the subscores of a row describe; `None` is the generic plan.
    ///
    /// # Source
    /// §13.3, "do instead" of quirk Q12: the reference never says. Its example for longs, mirrored for shorts, which
    /// have no breakout score. One of the three tests of the trend is close above its mean of 20 (Q9): a pullback fails that
    /// one, so both others hold at a score of 1.
    pub fn of(
        direction: Direction,
        breakout_score: i32,
        trend_score: i32,
        close: f64,
        ma_20: Option<f64>,
    ) -> Option<Self> {
        let (is_breakout, trend) = match direction {
            Direction::Long => (breakout_score >= 2, trend_score),
            Direction::Short => (false, -trend_score),
        };
        match ma_20 {
            _ if is_breakout => Some(Self::Breakout),
            Some(ma_20) if direction.see(close) > direction.see(ma_20) => (trend >= 2).then_some(Self::Trend),
            Some(_) if trend >= 1 => Some(Self::Pullback),
            _ => None,
        }
    }

    /// The published text, part of the column contract.
    pub fn as_str(self, direction: Direction) -> &'static str {
        match (self, direction) {
            (Self::Breakout, Direction::Long) => "Breakout Long",
            (Self::Trend, Direction::Long) => "Trend Long",
            (Self::Pullback, Direction::Long) => "Pullback Long",
            (Self::Breakout, Direction::Short) => "Breakout Short",
            (Self::Trend, Direction::Short) => "Trend Short",
            (Self::Pullback, Direction::Short) => "Pullback Short",
        }
    }
}

/// Prices where the market turned lately.
///
/// # Units
/// Prices in USD. An unknown swing is the bar's own extreme, an unknown recent extreme the swing, an unknown average
/// the close.
///
/// # Source
/// §13.3.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Structure {
    pub swing_low_10: Option<f64>,
    pub swing_high_10: Option<f64>,
    pub recent_low_5: Option<f64>,
    pub recent_high_5: Option<f64>,
    pub ma_20: Option<f64>,
}

impl Structure {
    /// From the newest bars, oldest first; shorter history gives the extremes of what there is.
    ///
    /// # Source
    /// §13.3, "do instead" of quirk Q12: the reference never fills them.
    pub fn new(high: &[f64], low: &[f64], ma_20: Option<f64>) -> Self {
        let newest = |values: &'_ [f64], n: usize| values[values.len().saturating_sub(n)..].to_vec();
        let lowest = |n| newest(low, n).into_iter().min_by(f64::total_cmp);
        let highest = |n| newest(high, n).into_iter().max_by(f64::total_cmp);
        Self {
            swing_low_10: lowest(10),
            swing_high_10: highest(10),
            recent_low_5: lowest(5),
            recent_high_5: highest(5),
            ma_20,
        }
    }
}

/// What a plan is made from.
///
/// # Units
/// Prices in USD, `atr_pct` a fraction of the close.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanInputs {
    pub close: f64,
    pub high: f64,
    pub low: f64,
    pub atr_pct: Option<f64>,
    pub signal: Signal,
    /// `None` for the generic plan.
    pub setup: Option<Setup>,
    pub structure: Structure,
}

/// Why there is no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoPlan {
    /// Neither long nor short.
    NoSignal,
    ShortsNotAllowed,
    /// No price, or no volatility to measure distances by.
    NoRange,
    /// The stop is not on the losing side of the entry.
    NoRisk,
    /// The rating is below what the strategy asks for.
    WeakForStrategy,
}

impl NoPlan {
    /// What the row's signal becomes: one that may not be followed stays what it is (§13.3).
    pub fn signal(self, signal: Signal) -> Signal {
        match self {
            Self::ShortsNotAllowed | Self::WeakForStrategy => signal,
            Self::NoSignal | Self::NoRange | Self::NoRisk => Signal::Avoid,
        }
    }

    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSignal => "neither long nor short",
            Self::ShortsNotAllowed => "shorts are not allowed",
            Self::NoRange => "the price or its range is unknown",
            Self::NoRisk => "stop and entry are the same price",
            Self::WeakForStrategy => "the rating is too weak for the strategy",
        }
    }
}

impl fmt::Display for NoPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The three prices of a plan, in USD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    pub direction: Direction,
    pub entry: f64,
    pub stop: f64,
    pub target: f64,
}

impl Levels {
    /// The prices of a plan, not rounded.
    ///
    /// # Errors
    /// There is nothing to plan.
    ///
    /// # Source
    /// §13.3. A short is the long of the mirrored prices.
    pub fn new(inputs: &PlanInputs, account: &Account) -> Result<Self, NoPlan> {
        let atr = inputs.close * inputs.atr_pct.unwrap_or(0.0);
        // Not `atr <= 0.0`: an ATR that is not a number is unknown too.
        if !(atr > 0.0 && inputs.close > 0.0) {
            return Err(NoPlan::NoRange);
        }
        let direction = Direction::of(inputs.signal).ok_or(NoPlan::NoSignal)?;
        if direction == Direction::Short && !account.allow_shorts {
            return Err(NoPlan::ShortsNotAllowed);
        }
        let seen = Seen::new(direction, inputs);
        let wanted = seen.swing_low.min(seen.recent_low).min(seen.close - STOP_ATR * atr);
        let stop = wanted.clamp(seen.close - STOP_ATR_MAX * atr, seen.close - STOP_ATR_MIN * atr);
        let entry = seen.entry(inputs.setup, atr);
        let risk = entry - stop;
        if risk <= 0.0 {
            return Err(NoPlan::NoRisk);
        }
        let target = entry + account.target_rr * risk;
        Ok(Self { direction, entry: direction.see(entry), stop: direction.see(stop), target: direction.see(target) })
    }

    /// The same plan at prices that can be traded.
    ///
    /// # Errors
    /// Rounding puts stop and entry on one price.
    ///
    /// # Source
    /// §13.3, "do instead": the reference rounds to cents, which can make stop and entry of a penny stock the same.
    pub fn on_ticks(&self) -> Result<Self, NoPlan> {
        let [entry, stop, target] = [self.entry, self.stop, self.target].map(on_tick);
        let rounded = Self { entry, stop, target, ..*self };
        if rounded.risk() > 0.0 { Ok(rounded) } else { Err(NoPlan::NoRisk) }
    }

    /// USD lost per share at the stop.
    pub fn risk(&self) -> f64 {
        self.direction.see(self.entry) - self.direction.see(self.stop)
    }

    /// USD gained at the target per USD lost at the stop.
    pub fn reward_risk(&self) -> f64 {
        (self.direction.see(self.target) - self.direction.see(self.entry)) / self.risk()
    }
}

/// The prices of a row in the direction of the bet; "low" is where the bet would be wrong.
struct Seen {
    close: f64,
    swing_low: f64,
    recent_low: f64,
    swing_high: f64,
    recent_high: f64,
    ma_20: Option<f64>,
}

impl Seen {
    fn new(direction: Direction, inputs: &PlanInputs) -> Self {
        let structure = &inputs.structure;
        let swing_low = structure.swing_low_10.unwrap_or(inputs.low);
        let swing_high = structure.swing_high_10.unwrap_or(inputs.high);
        let lows = (swing_low, structure.recent_low_5.unwrap_or(swing_low));
        let highs = (swing_high, structure.recent_high_5.unwrap_or(swing_high));
        let (wrong, right) = match direction {
            Direction::Long => (lows, highs),
            Direction::Short => (highs, lows),
        };
        Self {
            close: direction.see(inputs.close),
            swing_low: direction.see(wrong.0),
            recent_low: direction.see(wrong.1),
            swing_high: direction.see(right.0),
            recent_high: direction.see(right.1),
            ma_20: structure.ma_20.filter(|average| *average > 0.0).map(|average| direction.see(average)),
        }
    }

    fn entry(&self, setup: Option<Setup>, atr: f64) -> f64 {
        let average = self.ma_20.unwrap_or(self.close);
        match setup {
            Some(Setup::Breakout) => self.swing_high.max(self.recent_high).max(self.close) + 0.20 * atr,
            Some(Setup::Trend) => {
                let is_far_ahead = self.close > average + 2.0 * atr;
                let base = if is_far_ahead { self.close - 0.5 * atr } else { average };
                base.max(self.close - 0.25 * atr) + 0.10 * atr
            }
            Some(Setup::Pullback) => average.max(self.recent_low).max(self.close) + 0.05 * atr,
            None => self.close + 0.10 * atr,
        }
    }
}

/// A complete plan, at prices that can be traded.
#[derive(Debug, Clone, PartialEq)]
pub struct TradePlan {
    pub levels: Levels,
    pub setup: Option<Setup>,
    pub sizing: Sizing,
}

/// Plans a trade: prices on ticks first, so that the size is right for the prices that are traded.
///
/// # Errors
/// There is nothing to plan.
pub fn trade_plan(inputs: &PlanInputs, account: &Account, dollar_volume: Option<f64>) -> Result<TradePlan, NoPlan> {
    let levels = Levels::new(inputs, account)?.on_ticks()?;
    Ok(TradePlan { levels, setup: inputs.setup, sizing: sizing(&levels, account, dollar_volume) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounding::rounded;
    use proptest::prelude::*;

    fn inputs(signal: Signal) -> PlanInputs {
        PlanInputs {
            close: 100.0,
            high: 101.0,
            low: 99.0,
            atr_pct: Some(0.02),
            signal,
            setup: None,
            structure: Structure::default(),
        }
    }

    fn shorts() -> Account {
        Account { allow_shorts: true, ..Account::default() }
    }

    #[test]
    fn the_generic_plan_enters_above_the_close_and_stops_below_the_range() {
        let plan = trade_plan(&inputs(Signal::Long), &Account::default(), Some(1e9)).unwrap();
        assert_eq!(plan.levels, Levels { direction: Direction::Long, entry: 100.2, stop: 97.0, target: 106.6 });
        // 1 % of 10,000 over 3.2 a share would be 31 shares.
        assert_eq!(plan.sizing, Sizing { shares: 31, liquidity_note: None });
        let plan = trade_plan(&inputs(Signal::StrongShort), &shorts(), Some(1e9)).unwrap();
        assert_eq!(plan.levels, Levels { direction: Direction::Short, entry: 99.8, stop: 103.0, target: 93.4 });
    }

    #[test]
    fn no_plan_says_why_and_what_becomes_of_the_signal() {
        let check = |inputs: PlanInputs, expected: NoPlan, signal: Signal| {
            let found = Levels::new(&inputs, &Account::default()).unwrap_err();
            assert_eq!((found, found.signal(inputs.signal)), (expected, signal));
        };
        check(inputs(Signal::Avoid), NoPlan::NoSignal, Signal::Avoid);
        check(inputs(Signal::Short), NoPlan::ShortsNotAllowed, Signal::Short);
        check(PlanInputs { atr_pct: None, ..inputs(Signal::Long) }, NoPlan::NoRange, Signal::Avoid);
        check(PlanInputs { close: 0.0, ..inputs(Signal::Long) }, NoPlan::NoRange, Signal::Avoid);
    }

    #[test]
    fn each_setup_has_its_entry() {
        let check = |setup, ma_20, expected: f64| {
            let structure = Structure {
                swing_high_10: Some(104.0),
                recent_high_5: Some(103.0),
                recent_low_5: Some(98.5),
                ma_20: Some(ma_20),
                ..Structure::default()
            };
            let inputs = PlanInputs { setup: Some(setup), structure, ..inputs(Signal::Long) };
            let found = Levels::new(&inputs, &Account::default()).unwrap().entry;
            assert!((found - expected).abs() < 1e-9, "{setup:?} {ma_20}: {found} != {expected}");
        };
        check(Setup::Breakout, 99.0, 104.4);
        check(Setup::Trend, 99.0, 99.7);
        check(Setup::Trend, 99.9, 100.1);
        check(Setup::Trend, 90.0, 99.7);
        check(Setup::Pullback, 100.5, 100.6);
        check(Setup::Pullback, 97.0, 100.1);
    }

    /// Quirk Q12.
    #[test]
    fn setups_follow_from_trend_average_and_breakout() {
        let long = |breakout, trend, ma_20| Setup::of(Direction::Long, breakout, trend, 100.0, ma_20);
        assert_eq!(long(2, 3, Some(99.0)), Some(Setup::Breakout));
        assert_eq!(long(1, 2, Some(99.0)), Some(Setup::Trend));
        assert_eq!(long(1, 1, Some(100.0)), Some(Setup::Pullback));
        assert_eq!(long(1, 0, Some(101.0)), None);
        assert_eq!(long(1, 2, None), None);
        assert_eq!(long(1, 1, Some(99.0)), None);
        let short = |trend, ma_20| Setup::of(Direction::Short, 2, trend, 100.0, Some(ma_20));
        assert_eq!(short(-2, 101.0), Some(Setup::Trend));
        assert_eq!(short(-1, 99.0), Some(Setup::Pullback));
        assert_eq!(short(-1, 101.0), None);
        let structure = Structure::new(&[9.0, 3.0, 4.0, 5.0, 4.0, 3.0], &[1.0, 2.0, 3.0, 4.0, 3.0, 2.0], None);
        assert_eq!((structure.swing_low_10, structure.recent_low_5), (Some(1.0), Some(2.0)));
        assert_eq!((structure.swing_high_10, structure.recent_high_5), (Some(9.0), Some(5.0)));
    }

    /// Rounded to cents, as the reference does, this plan's stop and entry would be one price.
    #[test]
    fn penny_stocks_have_finer_ticks() {
        let penny = PlanInputs { close: 0.08, high: 0.081, low: 0.079, ..inputs(Signal::Long) };
        let levels = Levels::new(&penny, &Account::default()).unwrap();
        assert!((rounded(levels.entry, 2) - rounded(levels.stop, 2)).abs() < 1e-12);
        let ours = levels.on_ticks().unwrap();
        assert!(ours.risk() > 0.002, "{ours:?}");
    }

    proptest! {
        #[test]
        fn a_size_never_risks_more_than_asked(
            close in 0.05..900.0,
            atr_pct in 0.001..0.4,
            range in 0.0..0.2,
            is_long in any::<bool>(),
            setup in prop::sample::select(vec![None, Some(Setup::Breakout), Some(Setup::Trend), Some(Setup::Pullback)]),
            risk_pct in 0.1..5.0,
        ) {
            let signal = if is_long { Signal::Long } else { Signal::Short };
            let (high, low) = (close * (1.0 + range), close * (1.0 - range));
            let inputs = PlanInputs { close, high, low, atr_pct: Some(atr_pct), setup, ..inputs(signal) };
            let account = Account { risk_pct, ..shorts() };
            if let Ok(plan) = trade_plan(&inputs, &account, None) {
                let shares = plan.sizing.shares as f64;
                prop_assert!(shares * plan.levels.risk() <= account.size * risk_pct / 100.0 + 1e-6);
                prop_assert!(shares * plan.levels.entry <= account.size + 1e-6);
                prop_assert!(plan.levels.risk() > 0.0);
            }
        }
    }
}
