//! The probability of a gain within ten days, as the scores use it.

use crate::merit::WinProb;

/// What a score may make of a model's answer.
///
/// # Units
/// `prediction` is a probability; an answer outside 0–1, from a model that is no classifier, is brought inside. `None`
/// is no answer for this row. `has_model` is false where no model runs at all.
///
/// # Source
/// §7. The model is fed what it was trained on ("do instead" of quirk Q19: the reference trains on the unblended
/// rating and predicts from the blended one), so its inputs are named by its manifest, not here.
pub fn win_prob(prediction: Option<f64>, has_model: bool) -> WinProb {
    match prediction.filter(|probability| !probability.is_nan()) {
        Some(probability) => WinProb::Known(probability.clamp(0.0, 1.0)),
        None if has_model => WinProb::Missing,
        None => WinProb::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_differs_from_no_model() {
        assert_eq!(win_prob(Some(0.6), true), WinProb::Known(0.6));
        assert_eq!(win_prob(Some(1.5), true), WinProb::Known(1.0));
        assert_eq!(win_prob(Some(f64::NAN), true), WinProb::Missing);
        assert_eq!(win_prob(None, true), WinProb::Missing);
        assert_eq!(win_prob(None, false), WinProb::Absent);
    }
}
