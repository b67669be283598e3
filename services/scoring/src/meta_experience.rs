//! What became of earlier results that scored alike.

use std::collections::BTreeMap;

use schemas::EventTime;

use crate::drift::PlayStyle;
use crate::statistics::{mean, quantile_of_sorted};

/// Days ahead at which an outcome is measured.
pub const HORIZONS: [u32; 2] = [5, 10];
const N_BUCKETS: u32 = 10;
/// How far the outer edges are moved apart, so that the extremes lie inside.
const EDGE_MARGIN: f64 = 1e-9;
const EDGES_MIN: usize = 3;

/// A result of the past and what became of it.
///
/// # Units
/// `score` is the column that later rows are compared on, always the same; `returns` are fractions, `None` where
/// unknown, one per horizon of [`HORIZONS`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub score: f64,
    pub style: Option<PlayStyle>,
    pub returns: [Option<f64>; HORIZONS.len()],
    /// When the last of the returns was known.
    pub known_on: EventTime,
}

/// What became of a group of samples, per horizon.
///
/// # Units
/// `mean` is a return (a fraction) over those known, `hit_rate` the share of **all** samples that rose. `None` without
/// samples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcomes {
    /// Samples, with or without known returns.
    pub n: usize,
    pub mean: [Option<f64>; HORIZONS.len()],
    pub hit_rate: [Option<f64>; HORIZONS.len()],
}

impl Outcomes {
    fn of(samples: &[&Sample]) -> Self {
        let mut outcomes = Self { n: samples.len(), ..Self::default() };
        for horizon in 0..HORIZONS.len() {
            let known: Vec<f64> = samples.iter().filter_map(|sample| sample.returns[horizon]).collect();
            let n_rises = known.iter().filter(|ret| **ret > 0.0).count();
            outcomes.mean[horizon] = mean(&known);
            outcomes.hit_rate[horizon] = (!samples.is_empty()).then(|| n_rises as f64 / samples.len() as f64);
        }
        outcomes
    }

    fn text(&self) -> String {
        let parts = HORIZONS.iter().zip(self.mean).zip(self.hit_rate).filter_map(|((days, mean), hit_rate)| {
            Some(format!("{days}d avg {:.1}%, {days}d win {:.0}%", 100.0 * mean?, 100.0 * hit_rate?))
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// The outcomes of past results by score and by style.
///
/// # Source
/// §16.
#[derive(Debug, Clone, PartialEq)]
pub struct Experience {
    /// Ascending.
    scores: Vec<f64>,
    edges: Vec<f64>,
    by_bucket: Vec<Outcomes>,
    by_style: BTreeMap<PlayStyle, Outcomes>,
}

impl Experience {
    /// From what was known before a day; `None` when the scores are too few or too alike to be told apart.
    ///
    /// # Source
    /// §16, "built only from samples whose forward window ended before the as-of date": a result of last week has no
    /// outcome yet, whatever a table of today says.
    pub fn new(samples: &[Sample], as_of: EventTime) -> Option<Self> {
        let known: Vec<&Sample> =
            samples.iter().filter(|sample| sample.known_on < as_of && !sample.score.is_nan()).collect();
        let mut scores: Vec<f64> = known.iter().map(|sample| sample.score).collect();
        scores.sort_unstable_by(f64::total_cmp);
        let edges = edges(&scores)?;

        let mut buckets: Vec<Vec<&Sample>> = vec![Vec::new(); edges.len() - 1];
        let mut styles = BTreeMap::<_, Vec<&Sample>>::new();
        for &sample in &known {
            buckets[bucket_of(&edges, sample.score)].push(sample);
            if let Some(style) = sample.style {
                styles.entry(style).or_default().push(sample);
            }
        }
        let by_bucket = buckets.iter().map(|samples| Outcomes::of(samples)).collect();
        let by_style = styles.into_iter().map(|(style, samples)| (style, Outcomes::of(&samples))).collect();
        Some(Self { scores, edges, by_bucket, by_style })
    }

    /// The limits between buckets, the outer ones included, ascending.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// The outcomes of each bucket, lowest scores first.
    pub fn by_bucket(&self) -> &[Outcomes] {
        &self.by_bucket
    }

    pub fn by_style(&self, style: PlayStyle) -> Option<&Outcomes> {
        self.by_style.get(&style)
    }

    /// The score below which `fraction` (0–1) of the samples lie.
    pub fn quantile(&self, fraction: f64) -> Option<f64> {
        quantile_of_sorted(&self.scores, fraction)
    }

    /// The bucket of a score, counted from the lowest; one on a limit belongs below it.
    pub fn bucket(&self, score: f64) -> usize {
        bucket_of(&self.edges, score)
    }

    /// The share of samples that do not score more, 0–1.
    pub fn percentile(&self, score: f64) -> f64 {
        self.scores.partition_point(|sample| *sample <= score) as f64 / self.scores.len() as f64
    }

    /// How a score compares, and what became of its like.
    ///
    /// # Source
    /// §16. The score is of the same column as the samples' ("do instead" of quirk Q38: the reference looks up an
    /// institutional core score among technical ratings, where each is the top).
    pub fn text(&self, score: f64, style: Option<PlayStyle>) -> String {
        let alike = self.by_bucket[self.bucket(score)].text();
        let of_style = style.and_then(|style| Some((style, self.by_style(style)?.text())));
        let parts = [
            Some(standing_text(self.percentile(score))),
            (!alike.is_empty()).then(|| format!("Similar-score bucket outcomes: {alike}.")),
            of_style.map(|(style, outcomes)| format!("{style} setups historically: {outcomes}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The name of a setup: its style and the bucket of its score, where they are known (§16).
    pub fn setup_tag(&self, score: Option<f64>, style: Option<PlayStyle>) -> String {
        let style = style.map(|style| style.to_string());
        let bucket = score.map(|score| format!("ICS_Q{}", self.bucket(score) + 1));
        [style, bucket].into_iter().flatten().collect::<Vec<_>>().join(" | ")
    }
}

fn edges(sorted: &[f64]) -> Option<Vec<f64>> {
    let quantile = |step: u32| quantile_of_sorted(sorted, f64::from(step) / f64::from(N_BUCKETS));
    let mut edges: Vec<f64> = (0..=N_BUCKETS).map(quantile).collect::<Option<_>>()?;
    edges.dedup_by(|a, b| a.total_cmp(b).is_eq());
    if edges.len() < EDGES_MIN {
        return None;
    }
    *edges.first_mut()? -= EDGE_MARGIN;
    *edges.last_mut()? += EDGE_MARGIN;
    Some(edges)
}

fn bucket_of(edges: &[f64], score: f64) -> usize {
    edges[1..edges.len() - 1].partition_point(|edge| *edge < score)
}

fn standing_text(percentile: f64) -> String {
    match percentile {
        p if p >= 0.95 => "This setup ranks in the top 5% of prior samples.".to_owned(),
        p if p >= 0.9 => "This setup sits in roughly the top 10% of prior samples.".to_owned(),
        p if p <= 0.25 => "This setup is in the lower quartile versus history.".to_owned(),
        p => format!("This setup is around the top {:.0}% of the historical range.", 100.0 * (1.0 - p)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(score: f64, ret: Option<f64>, day: i32) -> Sample {
        let known_on = EventTime::from_days(day);
        Sample { score, style: Some(PlayStyle::Stable), returns: [ret, None], known_on }
    }

    #[test]
    fn outcomes_of_the_future_are_not_known() {
        let samples: Vec<_> = (0..10).map(|i| sample(f64::from(i), Some(0.01), i)).collect();
        assert_eq!(Experience::new(&samples, EventTime::from_days(1)), None);
        let early = Experience::new(&samples, EventTime::from_days(6)).unwrap();
        let changed: Vec<_> = samples
            .iter()
            .map(|s| if s.known_on >= EventTime::from_days(6) { Sample { score: -9.0, ..*s } } else { *s })
            .collect();
        assert_eq!(Experience::new(&changed, EventTime::from_days(6)), Some(early));
    }

    #[test]
    fn a_score_on_a_limit_belongs_below_it() {
        let samples: Vec<_> = (0..=10).map(|i| sample(f64::from(i), Some(f64::from(i) - 5.0), 0)).collect();
        let found = Experience::new(&samples, EventTime::from_days(1)).unwrap();
        assert_eq!([found.bucket(-3.0), found.bucket(1.0), found.bucket(1.1), found.bucket(99.0)], [0, 0, 1, 9]);
        assert!((found.percentile(5.0) - 6.0 / 11.0).abs() < 1e-12);
        assert_eq!(found.by_bucket()[9].mean, [Some(5.0), None]);
        let text = found.text(5.0, Some(PlayStyle::Stable));
        assert!(text.starts_with("This setup is around the top 45% of the historical range."), "{text}");
        assert!(text.ends_with("Stable setups historically: 5d avg 0.0%, 5d win 45%"), "{text}");
        assert_eq!(found.setup_tag(Some(5.0), None), "ICS_Q5");
        assert_eq!(found.setup_tag(None, Some(PlayStyle::Hybrid)), "Hybrid");
    }

    #[test]
    fn equal_scores_cannot_be_told_apart() {
        assert_eq!(Experience::new(&vec![sample(1.0, None, 0); 50], EventTime::from_days(1)), None);
        assert_eq!(Experience::new(&[], EventTime::from_days(1)), None);
    }
}
