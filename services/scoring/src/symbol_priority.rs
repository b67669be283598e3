//! Which symbols deserve to be looked at first when not all can be.

use crate::rounding::rounded;

const NEUTRAL: f64 = 50.0;
const HIGH_MIN: f64 = 70.0;
const MEDIUM_MIN: f64 = 40.0;
/// What the symbols that still wait gain after every so many hits.
const HITS_PER_BOOST: u32 = 5;
const BOOST: f64 = 5.0;

/// How a symbol trades; `None` is its usual way.
///
/// # Units
/// `volume_ratio` against the usual volume, `return_5d` and `atr_ratio` fractions, `rs_percentile` points.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Activity {
    pub volume_ratio: Option<f64>,
    pub return_5d: Option<f64>,
    pub atr_ratio: Option<f64>,
    pub rs_percentile: Option<f64>,
}

/// What is said about a company; `None` is nothing.
///
/// # Units
/// `earnings_surprise_pct` percent, `rating_change_30d` notches, `news_sentiment` −1…1,
/// `institutional_flow_30d` a fraction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct News {
    pub earnings_surprise_pct: Option<f64>,
    pub rating_change_30d: Option<f64>,
    pub news_sentiment: Option<f64>,
    pub institutional_flow_30d: Option<f64>,
}

/// How a chart looks; `None` is not known, for `n_indicators` it is one.
///
/// # Units
/// Distances in percent, `pattern_score` and `trend_strength` in points.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Chart {
    pub support_distance_pct: Option<f64>,
    pub resistance_distance_pct: Option<f64>,
    pub pattern_score: Option<f64>,
    pub n_bullish: Option<f64>,
    pub n_indicators: Option<f64>,
    pub trend_strength: Option<f64>,
}

/// What earlier scans found in a symbol.
///
/// # Units
/// Counts; `avg_tech_rating` in rating points; days.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct History {
    pub n_scans: u32,
    pub n_signals: u32,
    pub avg_tech_rating: f64,
    pub days_since_signal: Option<f64>,
    /// How old this knowledge is.
    pub age_days: f64,
}

/// What is known of a symbol; a part that is `None` is neutral.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PriorityInputs {
    pub history: Option<History>,
    pub activity: Option<Activity>,
    pub news: Option<News>,
    pub chart: Option<Chart>,
}

/// The priority of a symbol: points, 0–100, with their parts, to two decimals.
///
/// # Source
/// §25: 0.40 history + 0.30 activity + 0.20 news + 0.10 chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Priority {
    pub total: f64,
    pub history: f64,
    pub activity: f64,
    pub news: f64,
    pub chart: f64,
}

impl Priority {
    pub fn new(inputs: &PriorityInputs) -> Self {
        let history = inputs.history.as_ref().map_or(NEUTRAL, history_points);
        let activity = inputs.activity.as_ref().map_or(NEUTRAL, activity_points);
        let news = inputs.news.as_ref().map_or(NEUTRAL, news_points);
        let chart = inputs.chart.as_ref().map_or(NEUTRAL, chart_points);
        let total = 0.40 * history + 0.30 * activity + 0.20 * news + 0.10 * chart;
        let [total, history, activity, news, chart] =
            [total, history, activity, news, chart].map(|points| rounded(points, 2));
        Self { total, history, activity, news, chart }
    }

    pub fn tier(&self) -> PriorityTier {
        PriorityTier::of(self.total)
    }
}

fn history_points(history: &History) -> f64 {
    let signal_rate = if history.n_scans > 0 { f64::from(history.n_signals) / f64::from(history.n_scans) } else { 0.0 };
    let recent = history.days_since_signal.filter(|days| *days < 7.0).map_or(0.0, |days| 20.0 * (1.0 - days / 7.0));
    let freshness = (1.0 - 0.10 * history.age_days / 7.0).clamp(0.5, 1.0);
    ((NEUTRAL + 30.0 * signal_rate + 0.3 * history.avg_tech_rating + recent) * freshness).clamp(0.0, 100.0)
}

fn activity_points(activity: &Activity) -> f64 {
    let volume = above(activity.volume_ratio.unwrap_or(1.0), &[(2.0, 30.0), (1.5, 20.0), (1.2, 10.0)]);
    let ret = match activity.return_5d.unwrap_or(0.0) {
        ret if ret < -0.05 => 15.0,
        ret => above(ret, &[(0.10, 30.0), (0.05, 20.0), (0.02, 10.0)]),
    };
    let range = match activity.atr_ratio.unwrap_or(1.0) {
        ratio if ratio > 0.02 && ratio < 0.05 => 20.0,
        ratio if ratio > 0.01 && ratio < 0.07 => 10.0,
        _ => 0.0,
    };
    let strength = above(activity.rs_percentile.unwrap_or(NEUTRAL), &[(80.0, 20.0), (60.0, 10.0)]);
    (NEUTRAL + volume + ret + range + strength).clamp(0.0, 100.0)
}

fn news_points(news: &News) -> f64 {
    let surprise = above(news.earnings_surprise_pct.unwrap_or(0.0), &[(10.0, 30.0), (5.0, 20.0), (0.0, 10.0)]);
    let rating = 10.0 * news.rating_change_30d.unwrap_or(0.0).max(0.0);
    let sentiment = 10.0 * (news.news_sentiment.unwrap_or(0.0) + 1.0);
    let flow = above(news.institutional_flow_30d.unwrap_or(0.0), &[(0.05, 20.0), (0.02, 10.0)]);
    (NEUTRAL + surprise + rating + sentiment + flow).clamp(0.0, 100.0)
}

fn chart_points(chart: &Chart) -> f64 {
    let support = if chart.support_distance_pct.is_some_and(|distance| distance < 2.0) { 20.0 } else { 0.0 };
    // No resistance known is none near.
    let resistance = if chart.resistance_distance_pct.is_none_or(|distance| distance > 5.0) { 10.0 } else { 0.0 };
    let pattern = 0.3 * chart.pattern_score.unwrap_or(0.0);
    let n_indicators = Some(chart.n_indicators.unwrap_or(1.0)).filter(|n| *n > 0.0);
    let agreement = n_indicators.map_or(0.0, |n| 20.0 * chart.n_bullish.unwrap_or(0.0) / n);
    let trend = 0.2 * chart.trend_strength.unwrap_or(0.0).abs();
    (NEUTRAL + support + resistance + pattern + agreement + trend).clamp(0.0, 100.0)
}

/// The points of the first limit (descending) that the value exceeds.
fn above(value: f64, limits: &[(f64, f64)]) -> f64 {
    limits.iter().find(|(limit, _)| value > *limit).map_or(0.0, |(_, points)| *points)
}

/// How soon a symbol's turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PriorityTier {
    High,
    Medium,
    Low,
}

impl PriorityTier {
    /// From 70 points high, 40 medium (§25).
    pub fn of(points: f64) -> Self {
        match points {
            points if points >= HIGH_MIN => Self::High,
            points if points >= MEDIUM_MIN => Self::Medium,
            _ => Self::Low,
        }
    }

    /// The published text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// Symbols in the order of their turn; each has one turn.
#[derive(Debug, Clone, Default)]
pub struct PriorityQueue<S> {
    /// Best first.
    waiting: [Vec<(f64, S)>; 3],
    seen: std::collections::BTreeSet<S>,
    n_hits: u32,
}

impl<S: Ord + Clone> PriorityQueue<S> {
    /// Queues a symbol; one that waits or had its turn is not queued again.
    pub fn push(&mut self, symbol: S, points: f64) {
        if self.seen.insert(symbol.clone()) {
            let queue = &mut self.waiting[PriorityTier::of(points) as usize];
            let at = queue.partition_point(|(other, _)| *other >= points);
            queue.insert(at, (points, symbol));
        }
    }

    /// Takes the next `n` symbols: 60 % of high priority, 30 % medium, 8 % low, 2 % chosen by `pick` (an index below
    /// its argument) from all that are left; what one tier lacks the next supplies, and what rounding leaves high.
    ///
    /// # Source
    /// §25. `pick` is the caller's, so that the same calls give the same batches.
    pub fn next_batch(&mut self, n: usize, mut pick: impl FnMut(usize) -> usize) -> Vec<S> {
        let [medium, low, chosen] = [30, 8, 2].map(|percent| n * percent / 100);
        let mut batch = Vec::with_capacity(n);
        for (tier, share) in [n - medium - low - chosen, medium, low].into_iter().enumerate() {
            let queue = &mut self.waiting[tier];
            batch.extend(queue.drain(..share.min(queue.len())).map(|(_, symbol)| symbol));
        }
        for _ in 0..chosen {
            let n_waiting: usize = self.waiting.iter().map(Vec::len).sum();
            if n_waiting > 0 {
                let mut index = pick(n_waiting);
                for queue in &mut self.waiting {
                    if index < queue.len() {
                        batch.push(queue.remove(index).1);
                        break;
                    }
                    index -= queue.len();
                }
            }
        }
        for queue in &mut self.waiting {
            let missing = n - batch.len();
            batch.extend(queue.drain(..missing.min(queue.len())).map(|(_, symbol)| symbol));
        }
        batch
    }

    /// Counts a find of high value; every fifth one lifts all that wait with high priority by 5 points.
    ///
    /// # Source
    /// §25; the reference lifts them all to 100 and so forgets their order.
    pub fn hit(&mut self) {
        self.n_hits += 1;
        if self.n_hits.is_multiple_of(HITS_PER_BOOST) {
            for (points, _) in &mut self.waiting[PriorityTier::High as usize] {
                *points += BOOST;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_known_is_neutral() {
        let found = Priority::new(&PriorityInputs::default());
        assert_eq!(found, Priority { total: 50.0, history: 50.0, activity: 50.0, news: 50.0, chart: 50.0 });
        assert_eq!(found.tier().as_str(), "medium");
    }

    #[test]
    fn history_fades() {
        let history = |days_since_signal, age_days| {
            let history = History { n_scans: 10, n_signals: 5, avg_tech_rating: 10.0, days_since_signal, age_days };
            Priority::new(&PriorityInputs { history: Some(history), ..PriorityInputs::default() }).history
        };
        let check = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found} != {expected}");
        check(history(None, 0.0), 68.0);
        check(history(Some(0.0), 0.0), 88.0);
        check(history(Some(7.0), 7.0), 61.2);
        check(history(None, 700.0), 34.0);
    }

    #[test]
    fn a_batch_mixes_the_tiers_and_nobody_has_two_turns() {
        let mut queue = PriorityQueue::default();
        for symbol in 0..300_u32 {
            queue.push(symbol, f64::from(symbol % 100));
            queue.push(symbol, 99.0);
        }
        let batch = queue.next_batch(50, |_| 0);
        assert_eq!(batch.len(), 50);
        assert_eq!(batch.iter().filter(|&&symbol| symbol % 100 >= 70).count(), 30 + 1 + 1 - 1);
        let mut all = batch;
        while let batch = queue.next_batch(50, |n| n - 1)
            && !batch.is_empty()
        {
            all.extend(batch);
        }
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..300));
    }
}
