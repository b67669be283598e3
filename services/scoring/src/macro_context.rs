//! What other markets say about the appetite for risk: growth against the market, the yield curve, credit, volatility.

use std::cmp::Ordering;

use crate::regime::{recent_sd, vol_per_year, vol_ratio};
use crate::statistics::ols_slope;

const RATIO_BARS: usize = 130;
const CREDIT_BARS: usize = 60;
const CREDIT_RATIOS_MIN: usize = 20;
const EQUITY_BARS: usize = 80;
const VOLATILITY_BARS: usize = 40;
const SLOPE_PERIOD: usize = 60;
const CHANGE_PERIOD: usize = 20;
const HIGH_VOL_RATIO: f64 = 1.25;
const LOW_VOL_RATIO: f64 = 0.8;
const SPIKE_PERIOD: usize = 5;
const SPIKE_BASE_PERIOD: usize = 20;
const SPIKE_RATIO: f64 = 1.5;

/// A close and the day it belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DatedClose {
    /// Days since the Unix epoch.
    pub day: i32,
    pub close: f64,
}

/// The closes of each market by the part it plays, oldest first; empty where unknown.
///
/// # Source
/// §12. The reference takes the funds named behind the fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct MacroCloses<'a> {
    /// SPY.
    pub equity: &'a [DatedClose],
    /// QQQ.
    pub growth: &'a [DatedClose],
    /// SHY.
    pub short_treasury: &'a [DatedClose],
    /// IEF.
    pub mid_treasury: &'a [DatedClose],
    /// TLT.
    pub long_treasury: &'a [DatedClose],
    /// HYG.
    pub high_yield: &'a [DatedClose],
    /// LQD.
    pub investment_grade: &'a [DatedClose],
    /// VIXY.
    pub volatility: &'a [DatedClose],
}

/// The context of a day; `None` where a market or enough of its history is missing.
///
/// # Units
/// Levels and ratios are plain ratios, slopes their change per bar, `*_ret20` and `credit_trend` changes over 20 bars
/// as fractions, `equity_vol_level` a fraction per year.
///
/// # Source
/// §12. Facts (`is_…`) follow from the numbers and are unknown with them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MacroContext {
    pub growth_level: Option<f64>,
    pub growth_slope: Option<f64>,
    pub growth_ret20: Option<f64>,
    pub curve_slope: Option<f64>,
    pub curve_short_slope: Option<f64>,
    pub credit_level: Option<f64>,
    pub credit_trend: Option<f64>,
    pub equity_vol_ratio: Option<f64>,
    pub equity_vol_level: Option<f64>,
    /// Deviation of the last 5 returns over that of the last 20.
    pub equity_vol_spike_ratio: Option<f64>,
    pub volatility_ret20: Option<f64>,
}

impl MacroContext {
    pub fn new(closes: &MacroCloses) -> Self {
        let growth = ratios(closes.growth, closes.equity, RATIO_BARS);
        let curve = ratios(closes.short_treasury, closes.long_treasury, RATIO_BARS);
        let curve_short = ratios(closes.short_treasury, closes.mid_treasury, RATIO_BARS);
        let credit = Some(ratios(closes.high_yield, closes.investment_grade, CREDIT_BARS))
            .filter(|ratios| ratios.len() >= CREDIT_RATIOS_MIN)
            .unwrap_or_default();
        let equity: Vec<f64> = newest(closes.equity, EQUITY_BARS).iter().map(|bar| bar.close).collect();
        let volatility: Vec<f64> = newest(closes.volatility, VOLATILITY_BARS).iter().map(|bar| bar.close).collect();
        let spike_base = recent_sd(&equity, SPIKE_BASE_PERIOD).filter(|sd| *sd > 0.0);
        Self {
            growth_level: growth.last().copied(),
            growth_slope: slope(&growth),
            growth_ret20: change(&growth),
            curve_slope: slope(&curve),
            curve_short_slope: slope(&curve_short),
            credit_level: credit.last().copied(),
            credit_trend: change(&credit),
            equity_vol_ratio: vol_ratio(&equity),
            equity_vol_level: vol_per_year(&equity),
            equity_vol_spike_ratio: recent_sd(&equity, SPIKE_PERIOD).zip(spike_base).map(|(sd, base)| sd / base),
            volatility_ret20: change(&volatility),
        }
    }

    /// Growth stocks gain on the market.
    pub fn is_growth_leading(&self) -> Option<bool> {
        self.growth_slope.map(|slope| slope > 0.0)
    }

    /// Long bonds fall behind short ones.
    pub fn is_curve_steepening(&self) -> Option<bool> {
        self.curve_slope.map(|slope| slope > 0.0)
    }

    pub fn is_curve_flattening(&self) -> Option<bool> {
        self.curve_slope.map(|slope| slope < 0.0)
    }

    pub fn is_curve_short_steepening(&self) -> Option<bool> {
        self.curve_short_slope.map(|slope| slope > 0.0)
    }

    pub fn is_curve_short_flattening(&self) -> Option<bool> {
        self.curve_short_slope.map(|slope| slope < 0.0)
    }

    /// Risky bonds gain on safe ones.
    pub fn is_credit_risk_on(&self) -> Option<bool> {
        self.credit_trend.map(|trend| trend > 0.0)
    }

    pub fn is_credit_risk_off(&self) -> Option<bool> {
        self.credit_trend.map(|trend| trend < 0.0)
    }

    pub fn is_equity_vol_high(&self) -> Option<bool> {
        self.equity_vol_ratio.map(|ratio| ratio > HIGH_VOL_RATIO)
    }

    pub fn is_equity_vol_low(&self) -> Option<bool> {
        self.equity_vol_ratio.map(|ratio| ratio < LOW_VOL_RATIO)
    }

    pub fn is_equity_vol_spiking(&self) -> Option<bool> {
        self.equity_vol_spike_ratio.map(|ratio| ratio > SPIKE_RATIO)
    }
}

/// The first series over the second on the days that both have.
fn ratios(numerator: &[DatedClose], denominator: &[DatedClose], n_bars: usize) -> Vec<f64> {
    let (mut numerator, mut denominator) = (newest(numerator, n_bars), newest(denominator, n_bars));
    let mut ratios = Vec::new();
    while let ([n, later_n @ ..], [d, later_d @ ..]) = (numerator, denominator) {
        match n.day.cmp(&d.day) {
            Ordering::Less => numerator = later_n,
            Ordering::Greater => denominator = later_d,
            Ordering::Equal => {
                ratios.push(n.close / d.close);
                (numerator, denominator) = (later_n, later_d);
            }
        }
    }
    ratios
}

fn slope(ratios: &[f64]) -> Option<f64> {
    let recent = ratios.get(ratios.len().checked_sub(SLOPE_PERIOD)?..)?;
    let is_flat = recent.iter().all(|ratio| ratio.total_cmp(&recent[0]).is_eq());
    ols_slope(recent).filter(|_| !is_flat)
}

fn change(values: &[f64]) -> Option<f64> {
    let before = values.get(values.len().checked_sub(CHANGE_PERIOD + 1)?)?;
    Some(values.last()? / before - 1.0)
}

fn newest<T>(values: &[T], n: usize) -> &[T] {
    &values[values.len().saturating_sub(n)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(days: impl Iterator<Item = i32>, close: impl Fn(i32) -> f64) -> Vec<DatedClose> {
        days.map(|day| DatedClose { day, close: close(day) }).collect()
    }

    #[test]
    fn a_missing_market_leaves_its_part_unknown() {
        assert_eq!(MacroContext::new(&MacroCloses::default()), MacroContext::default());
        let equity = series(0..80, |day| 100.0 + f64::from(day % 3));
        let found = MacroContext::new(&MacroCloses { equity: &equity, ..MacroCloses::default() });
        assert!(found.equity_vol_level.is_some());
        assert_eq!((found.growth_level, found.is_growth_leading()), (None, None));
    }

    #[test]
    fn ratios_use_the_days_that_both_series_have() {
        let growth = series(0..100, |day| 100.0 + f64::from(day));
        let equity = series((0..100).filter(|day| day % 10 != 3), |_| 100.0);
        let found = ratios(&growth, &equity, RATIO_BARS);
        assert_eq!(found.len(), 90);
        assert!((found[3] - 1.04).abs() < 1e-12);
        let context = MacroContext::new(&MacroCloses { growth: &growth, equity: &equity, ..MacroCloses::default() });
        assert_eq!(context.is_growth_leading(), Some(true));
    }
}
