//! How far the outcome may be from an alpha: conformal intervals, as training measured them out of sample.

use schemas::{FeatureBatch, Plan};
use serde::Deserialize;

use crate::manifest::Target;

/// The share of outcomes that a range holds.
const COVERAGE: f64 = 0.8;
/// Sessions of a year, as the volatilities of the plan count them.
const SESSIONS_PER_YEAR: f64 = 252.0;
/// The volatility that ranges are stated in.
const VOLATILITY: &str = "vol_realized_20";

/// `calibration.json`. A calibrated probability has no range.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Calibration {
    Conformal { horizon_sessions: u32, intervals: Vec<Level> },
    Platt {},
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct Level {
    coverage: f64,
    /// In units of the row's own volatility over the horizon.
    low: f64,
    high: f64,
    /// For rows without one.
    plain_low: f64,
    plain_high: f64,
}

impl Calibration {
    /// # Errors
    /// What a model of this target cannot do with it.
    pub(crate) fn check(&self, target: Target) -> Result<(), String> {
        match (self, target) {
            (Self::Platt {}, Target::Alpha5d | Target::Alpha10d) => {
                Err("it calibrates a probability, the model predicts a number".to_owned())
            }
            (Self::Conformal { .. }, Target::WinProb10d) => {
                Err("it has intervals of a number, the model predicts a probability".to_owned())
            }
            (Self::Conformal { horizon_sessions, .. }, _) if *horizon_sessions != target.horizon_sessions() => {
                Err(format!("it is for {horizon_sessions} sessions, the model for {}", target.horizon_sessions()))
            }
            (Self::Conformal { intervals, .. }, _) if level(intervals).is_none() => {
                Err(format!("it has no interval of coverage {COVERAGE}"))
            }
            _ => Ok(()),
        }
    }
}

/// The interval that is served.
fn level(intervals: &[Level]) -> Option<Level> {
    intervals.iter().find(|level| (level.coverage - COVERAGE).abs() < 1e-9).copied()
}

/// Puts ranges around alphas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    level: Level,
    /// Of a year's volatility, that of the horizon.
    share_of_year: f64,
    volatility: Option<usize>,
}

impl Interval {
    /// `None` when the calibration has no interval of the coverage that is served.
    pub(crate) fn new(calibration: &Calibration, plan: &Plan) -> Option<Self> {
        let Calibration::Conformal { horizon_sessions, intervals } = calibration else { return None };
        let level = level(intervals)?;
        let share_of_year = (f64::from(*horizon_sessions) / SESSIONS_PER_YEAR).sqrt();
        Some(Self { level, share_of_year, volatility: plan.index_of(VOLATILITY) })
    }

    /// Low and high end around the alpha of a row.
    pub(crate) fn around(&self, alpha: f64, features: &FeatureBatch, row: usize) -> Option<(f64, f64)> {
        let volatility = self.volatility.and_then(|column| features.value(row, column));
        let spread = volatility.map(|volatility| volatility * self.share_of_year).filter(|spread| *spread > 0.0);
        let Level { low, high, plain_low, plain_high, .. } = self.level;
        let (low, high) = spread.map_or((plain_low, plain_high), |spread| (low * spread, high * spread));
        let range = (alpha + low, alpha + high);
        (range.0.is_finite() && range.1.is_finite() && range.0 <= range.1).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Bar, BarBatchBuilder, BarFlags, EventTime, Header, Partition, Symbol, Timeframe};

    use super::*;

    fn features(volatility: f64) -> FeatureBatch {
        let symbol = Symbol::new("AAPL").unwrap();
        let (partition, open_time) = (Partition::of(symbol), EventTime(0));
        let mut bars = BarBatchBuilder::new(partition);
        let flags = BarFlags::FINAL;
        bars.push(
            symbol,
            Bar { open_time, open: 1.0, high: 1.0, low: 1.0, close: 1.0, volume: 1.0, revision: 0, flags },
        );
        let header = Header {
            timeframe: Timeframe::D1,
            partition,
            epoch: 1,
            seq: 1,
            event_time: open_time,
            ingest_time: open_time,
            source: "test".to_owned(),
            watermark: None,
        };
        FeatureBatch::new(bars.finish(header), 1, vec![volatility]).unwrap()
    }

    #[test]
    fn a_range_is_as_wide_as_the_row_is_volatile() {
        let text = r#"{"kind": "conformal", "spread": "x", "horizon_sessions": 63, "intervals": [
            {"coverage": 0.9, "low": -9, "high": 9, "plain_low": -9, "plain_high": 9},
            {"coverage": 0.8, "low": -1, "high": 2, "plain_low": -0.25, "plain_high": 0.5}], "coverage_last_year": []}"#;
        let calibration: Calibration = serde_json::from_str(text).unwrap();
        let interval = Interval::new(&calibration, &Plan::new([VOLATILITY])).unwrap();
        // A quarter of a year: half of its volatility.
        let check = |volatility: f64, expected: (f64, f64)| {
            let (low, high) = interval.around(0.125, &features(volatility), 0).unwrap();
            assert!((low - expected.0).abs() < 1e-15 && (high - expected.1).abs() < 1e-15, "{low} {high}");
        };
        check(0.5, (0.125 - 0.25, 0.125 + 0.5));
        check(0.0, (0.125 - 0.25, 0.125 + 0.5));
        check(1.0, (0.125 - 0.5, 0.125 + 1.0));
        check(f64::NAN, (0.125 - 0.25, 0.125 + 0.5));
        let platt: Calibration = serde_json::from_str(r#"{"kind": "platt", "slope": 1.0}"#).unwrap();
        assert_eq!(Interval::new(&platt, &Plan::new([VOLATILITY])), None);
        serde_json::from_str::<Calibration>(r#"{"kind": "magic"}"#).unwrap_err();
    }

    #[test]
    fn a_calibration_of_another_kind_or_horizon_does_not_fit() {
        let check = |text: &str, target: Target, expected: &str| {
            let calibration: Calibration = serde_json::from_str(text).unwrap();
            let found = calibration.check(target).err().unwrap_or_default();
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{found}");
        };
        let conformal = |coverage: f64| {
            format!(
                r#"{{"kind": "conformal", "horizon_sessions": 5, "intervals": [{{"coverage": {coverage}, "low": -1,
                "high": 1, "plain_low": -1, "plain_high": 1}}]}}"#
            )
        };
        check(&conformal(0.8), Target::Alpha5d, "");
        check(&conformal(0.8), Target::Alpha10d, "for 5 sessions, the model for 10");
        check(&conformal(0.8), Target::WinProb10d, "predicts a probability");
        check(&conformal(0.9), Target::Alpha5d, "no interval of coverage 0.8");
        check(r#"{"kind": "platt"}"#, Target::WinProb10d, "");
        check(r#"{"kind": "platt"}"#, Target::Alpha5d, "predicts a number");
    }
}
