//! The state of the market, from the closes of an index.

use std::fmt;

use crate::statistics::{mean, ols_slope, sample_sd, simple_returns};

const FAST_PERIOD: usize = 50;
const SLOW_PERIOD: usize = 200;
const VOL_PERIOD: usize = 20;
const VOL_BASE_PERIOD: usize = 60;
const SLOPE_BARS_MIN: usize = 10;
/// Recent volatility above this multiple of the longer one is high.
const HIGH_VOL_RATIO: f64 = 1.25;
const TRADING_DAYS: f64 = 252.0;
/// Yearly volatility of an index (a fraction) from which each level begins: our choice, not the reference's.
const VOL_NORMAL_MIN: f64 = 0.10;
const VOL_ELEVATED_MIN: f64 = 0.20;
const VOL_STRESSED_MIN: f64 = 0.35;

/// Where the index is heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trend {
    Up,
    Down,
    Sideways,
}

impl Trend {
    /// The published text, part of the column contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "TRENDING_UP",
            Self::Down => "TRENDING_DOWN",
            Self::Sideways => "SIDEWAYS",
        }
    }
}

impl fmt::Display for Trend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether the index is more restless than it has been lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vol {
    High,
    Low,
}

impl Vol {
    /// The published text, part of the column contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "HIGH_VOL",
            Self::Low => "LOW_VOL",
        }
    }
}

impl fmt::Display for Vol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How restless the index is, whatever it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VolLevel {
    Calm,
    Normal,
    Elevated,
    Stressed,
}

impl VolLevel {
    /// The level of a yearly volatility (a fraction).
    ///
    /// # Source
    /// §12, "add an absolute level": [`Vol`] compares with the last 60 days only, so a crash that lasts as long reads
    /// as low. The limits are ours.
    pub fn of(vol_per_year: f64) -> Self {
        match vol_per_year {
            vol if vol >= VOL_STRESSED_MIN => Self::Stressed,
            vol if vol >= VOL_ELEVATED_MIN => Self::Elevated,
            vol if vol >= VOL_NORMAL_MIN => Self::Normal,
            _ => Self::Calm,
        }
    }

    /// The published text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "CALM",
            Self::Normal => "NORMAL",
            Self::Elevated => "ELEVATED",
            Self::Stressed => "STRESSED",
        }
    }
}

/// The regime of the market.
///
/// # Units
/// `vol_level` is the yearly volatility of the last 20 days (a fraction), `trend_slope` in index points per bar.
/// `None` while there are too few closes.
///
/// # Source
/// §12.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regime {
    pub trend: Trend,
    pub vol: Vol,
    pub vol_level: Option<f64>,
    pub trend_slope: Option<f64>,
}

impl Regime {
    /// The regime after the last of the closes (oldest first, 260 of them by convention). Without history it is
    /// sideways and low.
    pub fn new(closes: &[f64]) -> Self {
        let slope_closes = &closes[closes.len().saturating_sub(FAST_PERIOD)..];
        Self {
            trend: trend(closes),
            vol: if vol_ratio(closes).is_some_and(|ratio| ratio > HIGH_VOL_RATIO) { Vol::High } else { Vol::Low },
            vol_level: vol_per_year(closes),
            trend_slope: ols_slope(slope_closes).filter(|_| slope_closes.len() >= SLOPE_BARS_MIN),
        }
    }

    /// 0–5: the three trends up, down, sideways, each low then high.
    pub fn state_id(&self) -> u8 {
        let trend = match self.trend {
            Trend::Up => 0,
            Trend::Down => 2,
            Trend::Sideways => 4,
        };
        trend + u8::from(self.vol == Vol::High)
    }

    pub fn label(&self) -> String {
        format!("{}_{}", self.trend, self.vol)
    }

    /// Rising without unrest.
    pub fn is_risk_on(&self) -> bool {
        self.trend == Trend::Up && self.vol == Vol::Low
    }

    /// The absolute level, where it is known.
    pub fn level(&self) -> Option<VolLevel> {
        self.vol_level.map(VolLevel::of)
    }
}

fn trend(closes: &[f64]) -> Trend {
    let average = |period: usize| mean(closes.get(closes.len().checked_sub(period)?..)?);
    let (Some(fast), Some(slow), Some(&close)) = (average(FAST_PERIOD), average(SLOW_PERIOD), closes.last()) else {
        return Trend::Sideways;
    };
    if fast > slow && close > fast {
        Trend::Up
    } else if fast < slow && close < fast {
        Trend::Down
    } else {
        Trend::Sideways
    }
}

/// The deviation of the last `n_returns` returns, or of as many as there are.
pub(crate) fn recent_sd(closes: &[f64], n_returns: usize) -> Option<f64> {
    let recent = &closes[closes.len().saturating_sub(n_returns + 1)..];
    sample_sd(&simple_returns(recent).collect::<Vec<_>>())
}

/// Recent volatility as a multiple of the longer one.
pub(crate) fn vol_ratio(closes: &[f64]) -> Option<f64> {
    let (recent, base) = (recent_sd(closes, VOL_PERIOD)?, recent_sd(closes, VOL_BASE_PERIOD)?);
    (base > 0.0).then(|| recent / base)
}

/// Volatility of the last 20 returns per year, as a fraction.
pub(crate) fn vol_per_year(closes: &[f64]) -> Option<f64> {
    recent_sd(closes, VOL_PERIOD).map(|sd| sd * TRADING_DAYS.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rising(n: usize, step: f64) -> Vec<f64> {
        (0..n).map(|bar| 100.0 + step * bar as f64).collect()
    }

    #[test]
    fn trend_needs_both_averages_and_the_close_on_one_side() {
        assert_eq!(Regime::new(&[]).label(), "SIDEWAYS_LOW_VOL");
        assert_eq!(Regime::new(&rising(199, 1.0)).trend, Trend::Sideways);
        assert_eq!(Regime::new(&rising(200, 1.0)).trend, Trend::Up);
        assert_eq!(Regime::new(&rising(260, -0.3)).trend, Trend::Down);
        let mut fallen = rising(260, 1.0);
        fallen.push(1.0);
        assert_eq!(Regime::new(&fallen).trend, Trend::Sideways);
    }

    #[test]
    fn states_are_numbered_by_trend_then_volatility() {
        let id = |trend, vol| Regime { trend, vol, vol_level: None, trend_slope: None }.state_id();
        assert_eq!([id(Trend::Up, Vol::Low), id(Trend::Up, Vol::High)], [0, 1]);
        assert_eq!([id(Trend::Down, Vol::Low), id(Trend::Down, Vol::High)], [2, 3]);
        assert_eq!([id(Trend::Sideways, Vol::Low), id(Trend::Sideways, Vol::High)], [4, 5]);
    }

    /// The relative test forgets: after sixty days of crash its last twenty are nothing new.
    #[test]
    fn a_long_crash_is_low_by_comparison_but_stressed_by_level() {
        let crash: Vec<f64> = (0..120).map(|bar| if bar % 2 == 0 { 100.0 } else { 106.0 }).collect();
        let regime = Regime::new(&crash);
        assert_eq!(regime.vol, Vol::Low);
        assert_eq!(regime.level(), Some(VolLevel::Stressed));
        assert_eq!(VolLevel::of(0.12), VolLevel::Normal);
    }
}
