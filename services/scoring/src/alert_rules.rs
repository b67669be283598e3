//! What is worth telling somebody at once.

use std::fmt;

use crate::merit::Band;
use crate::regime::{Regime, Trend, Vol};

/// Rows that one pass may announce.
const SIGNALS_MAX: usize = 5;
const RATING_MIN: f64 = 18.0;
const ALPHA_POINTS_MIN: f64 = 15.0;
const MERIT_MIN: f64 = 80.0;

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Info,
    Warning,
    Critical,
}

impl Level {
    /// The published text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Category {
    Signal,
    Regime,
    Scoreboard,
}

impl Category {
    /// The published text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Regime => "regime",
            Self::Scoreboard => "scoreboard",
        }
    }
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertText {
    pub level: Level,
    pub category: Category,
    pub message: String,
}

/// Why a row may be worth telling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Conviction {
    /// Both in rating points. The reference passes a return as `alpha`, which never reaches 15 (quirk Q39).
    Rating { tech_rating: f64, alpha: f64 },
    /// MERIT in points, with the band it had before, if any.
    Merit { score: f64, before: Option<Band> },
}

impl Conviction {
    /// # Source
    /// §20; MERIT and its band are the "do instead" of quirk Q39.
    pub fn is_high(self) -> bool {
        match self {
            Self::Rating { tech_rating, alpha } => tech_rating >= RATING_MIN && alpha >= ALPHA_POINTS_MIN,
            Self::Merit { score, before } => {
                score >= MERIT_MIN || before.is_some_and(|before| Band::of(score) > before)
            }
        }
    }
}

impl fmt::Display for Conviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Rating { tech_rating, alpha } => {
                write!(f, "TechRating={tech_rating:.1} AlphaScore={alpha:.1}")
            }
            Self::Merit { score, before } => {
                write!(f, "MERIT={score:.1} band={}", Band::of(score))?;
                before.filter(|before| Band::of(score) != *before).map_or(Ok(()), |before| write!(f, " (was {before})"))
            }
        }
    }
}

/// Alerts for the first rows of high conviction, in the order of the rows (§20).
pub fn signal_alerts<'a>(rows: impl IntoIterator<Item = (&'a str, Conviction)>) -> Vec<AlertText> {
    let convincing = rows.into_iter().filter(|(_, conviction)| conviction.is_high());
    let alert = |(symbol, conviction)| AlertText {
        level: Level::Info,
        category: Category::Signal,
        message: format!("High-conviction signal: {symbol} {conviction}"),
    };
    convincing.take(SIGNALS_MAX).map(alert).collect()
}

/// Remembers the regime, to tell when it changes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RegimeWatch {
    last: Option<(Trend, Vol)>,
}

impl RegimeWatch {
    /// Takes in a regime; the first one is no change (§20).
    pub fn update(&mut self, regime: &Regime) -> Option<AlertText> {
        let (trend, vol) = (regime.trend, regime.vol);
        let before = self.last.replace((trend, vol)).filter(|before| *before != (trend, vol))?;
        Some(AlertText {
            level: Level::Warning,
            category: Category::Regime,
            message: format!("Regime change: trend {} -> {trend} , vol {} -> {vol}", before.0, before.1),
        })
    }
}

/// An alert when the scores of late ranked returns the wrong way round, by their rank correlation (§20).
pub fn scoreboard_alert(information_coefficient: Option<f64>) -> Option<AlertText> {
    let coefficient = information_coefficient.filter(|coefficient| *coefficient < 0.0)?;
    Some(AlertText {
        level: Level::Warning,
        category: Category::Scoreboard,
        message: format!("Negative IC detected: {coefficient:.3}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regime(trend: Trend, vol: Vol) -> Regime {
        Regime { trend, vol, vol_level: None, trend_slope: None }
    }

    #[test]
    fn only_a_change_of_regime_is_told() {
        let mut watch = RegimeWatch::default();
        assert_eq!(watch.update(&regime(Trend::Up, Vol::Low)), None);
        assert_eq!(watch.update(&regime(Trend::Up, Vol::Low)), None);
        let alert = watch.update(&regime(Trend::Up, Vol::High)).unwrap();
        assert_eq!(alert.message, "Regime change: trend TRENDING_UP -> TRENDING_UP , vol LOW_VOL -> HIGH_VOL");
        assert_eq!(scoreboard_alert(Some(0.0)), None);
        assert_eq!(scoreboard_alert(Some(-0.02)).unwrap().message, "Negative IC detected: -0.020");
    }

    /// Quirk Q39: alpha is a return, so the reference's rule cannot fire.
    #[test]
    fn a_high_or_rising_merit_is_worth_telling() {
        let check = |conviction: Conviction, expected| assert_eq!(conviction.is_high(), expected, "{conviction:?}");
        check(Conviction::Rating { tech_rating: 25.0, alpha: 0.12 }, false);
        check(Conviction::Merit { score: 80.0, before: None }, true);
        check(Conviction::Merit { score: 71.0, before: Some(Band::C) }, true);
        check(Conviction::Merit { score: 71.0, before: Some(Band::B) }, false);
        check(Conviction::Merit { score: 65.0, before: Some(Band::A) }, false);
        let rows = (0..9).map(|_| ("ABC", Conviction::Merit { score: 81.0, before: Some(Band::B) }));
        let alerts = signal_alerts(rows);
        assert_eq!(alerts.len(), 5);
        assert_eq!(alerts[0].message, "High-conviction signal: ABC MERIT=81.0 band=A (was B)");
    }
}
