use std::collections::BTreeSet;

use schemas::EventTime;

use crate::covariance::Covariance;

/// How far back risk is measured: some 126 sessions.
const WINDOW_DAYS: i64 = 183;
/// A name without a return on so many days of the window is too new, or too rarely traded, to be compared: each missing day
/// counts as one without a move, which makes it look calmer than it is.
pub const RETURNS_MIN: usize = 100;
/// Bars further apart than over a long weekend do not make a daily return.
const GAP_DAYS_MAX: i64 = 5;
const NS_PER_DAY: i64 = 86_400_000_000_000;
pub(crate) const DAYS_PER_YEAR: f64 = 252.0;
/// Days of the volatility that ranks are adjusted by (§14, `vol_realized_20`).
const SHORT_DAYS: usize = 20;

/// The daily returns of one name, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Returns(Vec<(EventTime, f64)>);

impl Returns {
    /// From closes of one basis, oldest first: those after `as_of` and before the window do not count.
    pub(crate) fn of(closes: &[(EventTime, f64)], as_of: EventTime) -> Self {
        let first = as_of.as_ns().saturating_sub(WINDOW_DAYS * NS_PER_DAY);
        let from = closes.partition_point(|(day, _)| day.as_ns() < first);
        let to = closes.partition_point(|(day, _)| *day <= as_of);
        let pairs = closes[from.min(to)..to].windows(2).filter_map(|pair| {
            let [(before, base), (day, close)] = *pair else { return None };
            let is_next = day.as_ns() - before.as_ns() <= GAP_DAYS_MAX * NS_PER_DAY;
            (is_next && base > 0.0).then(|| (day, close / base - 1.0))
        });
        Self(pairs.collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Per year.
    pub(crate) fn volatility(&self) -> Option<f64> {
        volatility(&self.0)
    }

    /// Per year, of the newest 20 returns.
    pub(crate) fn short_volatility(&self) -> Option<f64> {
        volatility(&self.0[self.0.len().checked_sub(SHORT_DAYS)?..])
    }
}

/// `None` where nothing moved.
fn volatility(returns: &[(EventTime, f64)]) -> Option<f64> {
    let n = returns.len();
    let mean = returns.iter().map(|(_, value)| value).sum::<f64>() / n as f64;
    let squares: f64 = returns.iter().map(|(_, value)| (value - mean).powi(2)).sum();
    let deviation = (squares / (n.checked_sub(1).filter(|n| *n > 0)? as f64)).sqrt();
    // Equal returns leave a remainder of rounding.
    (deviation > 1e-9).then(|| deviation * DAYS_PER_YEAR.sqrt())
}

/// Covariances per day, and of how many days.
pub(crate) fn covariance(names: &[&Returns]) -> (Covariance, usize) {
    let days: BTreeSet<EventTime> = names.iter().flat_map(|returns| returns.0.iter().map(|(day, _)| *day)).collect();
    let days: Vec<EventTime> = days.into_iter().collect();
    let mut matrix = vec![vec![None; names.len()]; days.len()];
    for (name, returns) in names.iter().enumerate() {
        let mut day = 0;
        for (time, value) in &returns.0 {
            day += days[day..].partition_point(|known| known < time);
            matrix[day][name] = Some(*value);
        }
    }
    (Covariance::ledoit_wolf(&matrix), days.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closes(days: &[(i32, f64)]) -> Vec<(EventTime, f64)> {
        days.iter().map(|&(day, close)| (EventTime::from_days(day), close)).collect()
    }

    #[test]
    fn returns_end_at_the_day_and_skip_gaps() {
        let closes = closes(&[(-200, 9.0), (1, 10.0), (2, 11.0), (9, 22.0), (12, 33.0), (13, 66.0)]);
        let found = Returns::of(&closes, EventTime::from_days(12)).0;
        let expected = [(EventTime::from_days(2), 0.1), (EventTime::from_days(12), 0.5)];
        assert_eq!(found.len(), 2);
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-12, "{found:?}");
        }
        assert_eq!(Returns::of(&closes[..1], EventTime::from_days(12)), Returns::default());
    }

    #[test]
    fn a_price_that_never_moves_has_no_volatility() {
        let still: Vec<(i32, f64)> = (0..30).map(|day| (day, 10.0)).collect();
        let found = Returns::of(&closes(&still), EventTime::from_days(40));
        assert_eq!((found.len(), found.volatility(), found.short_volatility()), (29, None, None));
        assert_eq!(Returns::default().volatility(), None);
    }

    #[test]
    fn names_meet_on_their_days() {
        let [a, b] = [[(1, 1.0), (2, 1.1), (3, 1.0), (4, 1.2)], [(2, 5.0), (3, 5.5), (4, 5.0), (5, 5.1)]]
            .map(|days| Returns::of(&closes(&days), EventTime::from_days(9)));
        let (covariance, n_days) = covariance(&[&a, &b]);
        assert_eq!((covariance.n(), n_days), (2, 4));
        assert!(covariance.get(0, 1) < 0.0, "they move against each other");
    }
}
