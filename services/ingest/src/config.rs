use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use schemas::{EventTime, Symbol};

use crate::ReadOptions;

/// What to play back, and how fast.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReplayOptions {
    /// First session, inclusive; `None` is the first one there is.
    pub from: Option<EventTime>,
    /// Last session, inclusive; prices are on the basis of it.
    pub to: Option<EventTime>,
    /// `None` is every symbol.
    pub symbols: Option<BTreeSet<Symbol>>,
    pub speed: Speed,
}

impl ReplayOptions {
    pub(crate) fn read(&self) -> ReadOptions {
        ReadOptions { from: self.from, to: self.to, symbols: self.symbols.clone() }
    }
}

/// How fast event time passes in a replay.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Speed {
    /// As fast as the pipeline takes it.
    #[default]
    Max,
    /// So many times faster than the clock; above zero.
    Times(f64),
}

impl Speed {
    /// How long the span between two event times takes.
    pub fn wait(self, earlier: EventTime, later: EventTime) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            Self::Times(times) => {
                let seconds = (later.as_ns() - earlier.as_ns()) as f64 / 1e9 / times;
                Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
            }
        }
    }
}

/// A text that names no [`Speed`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no speed; give `max` or how many times faster than the clock, e.g. `60`")]
pub struct UnknownSpeed(pub String);

impl FromStr for Speed {
    type Err = UnknownSpeed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Self::Times(times)),
            _ => Err(UnknownSpeed(text.to_owned())),
        }
    }
}

/// The generated market.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticOptions {
    /// Another seed is another market.
    pub seed: u64,
    pub n_symbols: usize,
    /// Final daily bars that are delivered at once, before the market goes live. In sessions.
    pub history_sessions: usize,
    /// The first session; moved to the next weekday when it is none.
    pub start: EventTime,
    /// Wall time between two live steps; zero for as fast as possible.
    pub live_step: Duration,
    /// Live steps from the open to the close; at least 1.
    pub steps_per_session: u32,
    /// Mean share of the symbols that trade in a live step, 0–1.
    pub live_fraction: f64,
}

impl Default for SyntheticOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            n_symbols: 6000,
            history_sessions: 260,
            start: EventTime::from_days(19_724), // 2024-01-02
            live_step: Duration::from_secs(1),
            steps_per_session: 390,
            live_fraction: 0.03,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_max_or_a_positive_factor() {
        let check = |text: &str, expected: Option<Speed>| assert_eq!(text.parse().ok(), expected, "{text}");
        check("max", Some(Speed::Max));
        check("60", Some(Speed::Times(60.0)));
        check("0.5", Some(Speed::Times(0.5)));
        for text in ["", "0", "-1", "NaN", "inf", "fast"] {
            check(text, None);
        }
    }

    #[test]
    fn a_day_at_sixty_times_takes_twenty_four_minutes() {
        let (friday, saturday) = (EventTime::from_days(10), EventTime::from_days(11));
        assert_eq!(Speed::Times(60.0).wait(friday, saturday), Duration::from_mins(24));
        assert_eq!(Speed::Max.wait(friday, saturday), Duration::ZERO);
    }
}
