//! Factors of one symbol that follow from its bars alone.

use crate::statistics::{mean, ols_slope, sample_sd, simple_returns};

const PERIOD: usize = 20;
const ATR_PERIOD: usize = 14;
const GAP_PERIOD: usize = 10;
const TRADING_DAYS: f64 = 252.0;
/// Averages this close to each other, absolute and relative, have no slope.
const FLAT_ABSOLUTE: f64 = 1e-8;
const FLAT_RELATIVE: f64 = 1e-5;
/// Stands for an average of zero when a slope is divided by it.
const AVERAGE_MIN: f64 = 1e-6;

/// The newest bars of one symbol, oldest first, one value per bar in each slice.
///
/// # Units
/// Split-adjusted prices in USD, volume in shares.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    pub open: &'a [f64],
    pub high: &'a [f64],
    pub low: &'a [f64],
    pub close: &'a [f64],
    pub volume: &'a [f64],
}

/// Price factors at the newest bar; `None` where the window is too short or a price is zero.
///
/// # Units
/// Fractions (0.02 = 2 %), `vol_realized_20` per year, `ma_slope_20` per bar, `dollar_vol_20` in USD per bar.
///
/// # Source
/// §4. `atr_pct_14` is a simple mean, unlike the indicator of that name in §2.1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PriceFactors {
    pub mom_5: Option<f64>,
    pub mom_21: Option<f64>,
    pub mom_63: Option<f64>,
    pub reversal_5: Option<f64>,
    pub ma_slope_20: Option<f64>,
    pub atr_pct_14: Option<f64>,
    pub vol_realized_20: Option<f64>,
    pub dollar_vol_20: Option<f64>,
    pub gap_stat_10: Option<f64>,
}

impl PriceFactors {
    pub fn new(window: &Window) -> Self {
        let mom_5 = momentum(window.close, 5);
        Self {
            mom_5,
            mom_21: momentum(window.close, 21),
            mom_63: momentum(window.close, 63),
            reversal_5: mom_5.map(|mom| -mom),
            ma_slope_20: average_slope(window.close),
            atr_pct_14: atr_pct(window),
            vol_realized_20: realized_vol(window.close),
            dollar_vol_20: dollar_volume(window),
            gap_stat_10: gap(window),
        }
    }
}

fn momentum(close: &[f64], n_bars: usize) -> Option<f64> {
    let start = *close.get(close.len().checked_sub(n_bars + 1)?)?;
    finite((close.last()? - start) / start)
}

/// Slope of the last averages, as a fraction of the newest.
fn average_slope(close: &[f64]) -> Option<f64> {
    let recent = newest(close, 2 * PERIOD - 1)?;
    let averages: Vec<f64> = recent.windows(PERIOD).filter_map(mean).collect();
    let (first, last) = (*averages.first()?, *averages.last()?);
    if averages.iter().all(|average| (average - first).abs() <= FLAT_ABSOLUTE + FLAT_RELATIVE * first.abs()) {
        return Some(0.0);
    }
    let scale = if last.abs() > 0.0 { last } else { AVERAGE_MIN };
    finite(ols_slope(&averages)? / scale)
}

/// Simple mean of the true ranges; the first bar of the window has no bar before it.
fn atr_pct(window: &Window) -> Option<f64> {
    let n = window.close.len();
    let ranges = (n.checked_sub(ATR_PERIOD)?..n).map(|bar| {
        let (high, low) = (window.high[bar], window.low[bar]);
        let before = bar.checked_sub(1).map(|before| window.close[before]);
        before.map_or(high - low, |before| high.max(before) - low.min(before))
    });
    // No range at all is a halted or dead stock: its volatility is unknown, not zero.
    finite(ranges.sum::<f64>() / ATR_PERIOD as f64 / window.close.last()?).filter(|atr_pct| *atr_pct > 0.0)
}

/// With exactly as many bars as the period there is one return less.
fn realized_vol(close: &[f64]) -> Option<f64> {
    newest(close, PERIOD)?;
    let recent = newest(close, PERIOD + 1).unwrap_or(close);
    let returns: Vec<f64> = simple_returns(recent).collect();
    finite(sample_sd(&returns).unwrap_or(0.0) * TRADING_DAYS.sqrt())
}

fn dollar_volume(window: &Window) -> Option<f64> {
    let (close, volume) = (newest(window.close, PERIOD)?, newest(window.volume, PERIOD)?);
    Some(close.iter().zip(volume).map(|(close, volume)| close * volume).sum::<f64>() / PERIOD as f64)
}

fn gap(window: &Window) -> Option<f64> {
    let gaps = window.open.iter().skip(1).zip(window.close).map(|(open, before)| (open - before).abs() / before);
    let gaps: Vec<f64> = gaps.rev().take(GAP_PERIOD).collect();
    finite(mean(&gaps)?)
}

fn newest(values: &[f64], n: usize) -> Option<&[f64]> {
    values.get(values.len().checked_sub(n)?..)
}

/// A division by a price of zero has no answer.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(close: &[f64]) -> PriceFactors {
        PriceFactors::new(&Window { open: close, high: close, low: close, close, volume: close })
    }

    #[test]
    fn each_factor_waits_for_its_bars() {
        let known = |n: usize| {
            let close: Vec<f64> = (0..n).map(|bar| 10.0 + (bar % 3) as f64).collect();
            let found = factors(&close);
            [
                found.mom_5,
                found.mom_21,
                found.mom_63,
                found.ma_slope_20,
                found.atr_pct_14,
                found.vol_realized_20,
                found.dollar_vol_20,
                found.gap_stat_10,
            ]
            .map(|factor| factor.is_some())
        };
        assert_eq!(known(0), [false; 8]);
        assert_eq!(known(2), [false, false, false, false, false, false, false, true]);
        assert_eq!(known(6), [true, false, false, false, false, false, false, true]);
        assert_eq!(known(20), [true, false, false, false, true, true, true, true]);
        assert_eq!(known(38), [true, true, false, false, true, true, true, true]);
        assert_eq!(known(64), [true; 8]);
    }

    #[test]
    fn a_flat_price_moves_nowhere_and_a_price_of_zero_has_no_return() {
        let flat = factors(&[10.0; 64]);
        assert_eq!((flat.mom_63, flat.ma_slope_20), (Some(0.0), Some(0.0)));
        assert_eq!((flat.atr_pct_14, flat.vol_realized_20), (None, Some(0.0)));
        let dead = factors(&[0.0; 64]);
        assert_eq!((dead.mom_5, dead.atr_pct_14, dead.vol_realized_20, dead.gap_stat_10), (None, None, None, None));
    }
}
