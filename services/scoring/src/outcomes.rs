use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::{EventTime, PastOutcomes};

use crate::drift::PlayStyle;
use crate::meta_experience::{Experience, Sample};
use crate::rounding::rounded;

/// Of means and hit rates: a hundredth of a percent.
const DECIMALS: usize = 4;
/// Rows of one moment are at most some days apart, so few experiences are in use at a time.
const KEPT_MAX: usize = 8;

/// Recorded results and what became of them, for rows of any date.
///
/// A row sees those whose outcome was known before its own bar, and no others: the same row comes out whether it is scored
/// live, in a replay or years later.
#[derive(Debug, Clone, Default)]
pub struct OutcomeHistory {
    /// By when they were known.
    samples: Arc<[Sample]>,
    /// By how many samples were known; `None` where they are too few to be told apart.
    known: BTreeMap<usize, Option<Arc<Experience>>>,
    /// The newest date asked for, and how many were known then.
    last: Option<(EventTime, usize)>,
}

impl OutcomeHistory {
    pub fn new(mut samples: Vec<Sample>) -> Self {
        samples.sort_by_key(|sample| sample.known_on);
        Self { samples: samples.into(), ..Self::default() }
    }

    /// How many results are recorded.
    pub fn n_samples(&self) -> usize {
        self.samples.len()
    }

    /// What became of the results with a score like this one, as far as it was known before `as_of`.
    pub(crate) fn of(&mut self, score: f64, as_of: EventTime) -> Option<Box<PastOutcomes>> {
        let experience = self.before(as_of)?;
        let bucket = experience.bucket(score);
        let outcomes = &experience.by_bucket()[bucket];
        let short = |value: Option<f64>| value.map(|value| rounded(value, DECIMALS));
        Some(Box::new(PastOutcomes {
            bucket: u8::try_from(bucket + 1).ok()?,
            n: u32::try_from(outcomes.n).ok()?,
            mean_5d: short(outcomes.mean[0]),
            hit_5d: short(outcomes.hit_rate[0]),
            mean_10d: short(outcomes.mean[1]),
            hit_10d: short(outcomes.hit_rate[1]),
        }))
    }

    /// The words for a score and a style (§16); empty where nothing is known.
    pub fn text(&mut self, score: f64, style: Option<PlayStyle>, as_of: EventTime) -> String {
        self.before(as_of).map_or_else(String::new, |experience| experience.text(score, style))
    }

    fn before(&mut self, as_of: EventTime) -> Option<Arc<Experience>> {
        let n_known = match self.last {
            Some((time, n_known)) if time == as_of => n_known,
            _ => self.samples.partition_point(|sample| sample.known_on < as_of),
        };
        self.last = Some((as_of, n_known));
        let Self { samples, known, .. } = self;
        let experience =
            known.entry(n_known).or_insert_with(|| Experience::new(&samples[..n_known], as_of).map(Arc::new)).clone();
        while known.len() > KEPT_MAX {
            known.pop_first();
        }
        experience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A score whose outcome is known on its day.
    fn sample(day: i32) -> Sample {
        let score = f64::from(day % 50);
        let known_on = EventTime::from_days(day);
        Sample { score, style: Some(PlayStyle::Stable), returns: [Some((score - 20.0) / 1e3), None], known_on }
    }

    #[test]
    fn a_row_sees_what_was_known_before_its_bar() {
        let all: Vec<Sample> = (0..200).map(sample).collect();
        let mut whole = OutcomeHistory::new(all.clone());
        for as_of in [150, 60, 199, 150, 61] {
            let until = EventTime::from_days(as_of);
            let mut early = OutcomeHistory::new(all.iter().copied().filter(|sample| sample.known_on < until).collect());
            let found = whole.of(45.0, until);
            assert_eq!((&found, found.is_some()), (&early.of(45.0, until), true));
            assert_eq!(whole.text(45.0, None, until), early.text(45.0, None, until));
        }
        assert_eq!((whole.of(45.0, EventTime::from_days(1)), whole.n_samples()), (None, 200));
        assert_eq!(whole.text(45.0, None, EventTime::from_days(1)), "");
        assert_eq!(OutcomeHistory::default().of(45.0, EventTime::from_days(1)), None);
    }

    #[test]
    fn a_bucket_tells_how_many_rose_and_by_how_much() {
        let mut history = OutcomeHistory::new((0..200).map(sample).collect());
        let at_rest = EventTime::from_days(200);
        let [low, high] = [0.0, 49.0].map(|score| history.of(score, at_rest).unwrap());
        assert_eq!((low.bucket, high.bucket, low.n, low.mean_10d, low.hit_10d), (1, 10, 20, None, Some(0.0)));
        assert_eq!((low.hit_5d, high.hit_5d, high.mean_5d), (Some(0.0), Some(1.0), Some(0.027)));
    }

    #[test]
    fn few_experiences_are_kept() {
        let mut history = OutcomeHistory::new((0..200).map(sample).collect());
        (20..100).for_each(|day| assert!(history.of(1.0, EventTime::from_days(day)).is_some()));
        assert_eq!(history.known.len(), KEPT_MAX);
    }
}
