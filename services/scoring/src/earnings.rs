//! How a company's earnings compared with what was expected.

use crate::statistics::mean;

const BASIS_POINTS: f64 = 10_000.0;

/// One earnings report against its estimate.
///
/// # Units
/// `surprise_bp` in basis points of the estimate, `None` without figures or with an estimate of zero. Whether it beat
/// the estimate is known even then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    pub surprise_bp: Option<f64>,
    pub is_beat: bool,
}

impl Report {
    /// A report from earnings per share, actual and estimated. A missing figure is no beat, so leave out reports that
    /// are not published yet.
    ///
    /// # Source
    /// §10. The surprise is measured by the size of the estimate; the reference divides by the estimate itself, so
    /// that a smaller loss than feared reads as bad news.
    pub fn new(actual: Option<f64>, estimated: Option<f64>) -> Self {
        let Some((actual, estimated)) = actual.zip(estimated) else {
            return Self { surprise_bp: None, is_beat: false };
        };
        let size = estimated.abs();
        let surprise_bp = (size > 0.0).then(|| BASIS_POINTS * (actual - estimated) / size);
        Self { surprise_bp, is_beat: actual > estimated }
    }
}

/// What a company's reports add up to.
///
/// # Units
/// `streak` counts the latest reports of one kind: beats positive, misses negative, 0 without reports. Surprises are
/// in basis points; `last_bp` is that of the newest report, `None` when it has none.
///
/// # Source
/// §10.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Surprises {
    pub streak: i32,
    pub avg_bp: Option<f64>,
    pub last_bp: Option<f64>,
}

impl Surprises {
    /// From the reports, oldest first.
    pub fn new(reports: &[Report]) -> Self {
        let known: Vec<f64> = reports.iter().filter_map(|report| report.surprise_bp).collect();
        let last = reports.last();
        let streak = last.map_or(0, |last| {
            let n_alike = reports.iter().rev().take_while(|report| report.is_beat == last.is_beat).count();
            let n_alike = i32::try_from(n_alike).unwrap_or(i32::MAX);
            if last.is_beat { n_alike } else { -n_alike }
        });
        Self { streak, avg_bp: mean(&known), last_bp: last.and_then(|report| report.surprise_bp) }
    }

    pub fn has_beat_streak(&self) -> bool {
        self.streak > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streaks_count_from_the_newest_report() {
        let check = |beats: &[bool], expected| {
            let reports: Vec<_> = beats.iter().map(|&is_beat| Report { surprise_bp: None, is_beat }).collect();
            assert_eq!(Surprises::new(&reports).streak, expected, "{beats:?}");
        };
        check(&[], 0);
        check(&[true], 1);
        check(&[false, true, true], 2);
        check(&[true, false], -1);
        check(&[true, false, false], -2);
    }

    #[test]
    fn a_smaller_loss_than_feared_is_good_news() {
        let report = Report::new(Some(-0.10), Some(-0.20));
        assert!(report.is_beat);
        assert!((report.surprise_bp.unwrap() - 5000.0).abs() < 1e-9);
        assert_eq!(Report::new(Some(1.0), Some(0.0)), Report { surprise_bp: None, is_beat: true });
        assert_eq!(Report::new(None, Some(1.0)), Report { surprise_bp: None, is_beat: false });
    }
}
