use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const NS_PER_DAY: i64 = 86_400_000_000_000;

/// UTC nanoseconds since the Unix epoch: when something happened, never when we saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct EventTime(pub i64);

impl EventTime {
    /// Midnight UTC of a day counted from 1970-01-01. A daily bar is named by the midnight of its session date.
    ///
    /// Days beyond what nanoseconds reach (the years 1678 to 2262) give the first or last time there is.
    pub const fn from_days(days: i32) -> Self {
        Self((days as i64).saturating_mul(NS_PER_DAY))
    }

    pub const fn as_ns(self) -> i64 {
        self.0
    }

    /// The day it falls on, counted from 1970-01-01.
    ///
    /// # Panics
    /// Never: an `i64` of nanoseconds spans 213,503 days.
    pub fn days(self) -> i32 {
        i32::try_from(self.0.div_euclid(NS_PER_DAY)).expect("an i64 of nanoseconds spans 213,503 days")
    }

    /// The text of the time at a timeframe: `2016-12-30` for daily bars, `2016-12-30T14:30:00Z` below.
    pub fn display(self, timeframe: Timeframe) -> String {
        let (year, month, day) = civil(self.days());
        if timeframe == Timeframe::D1 {
            return format!("{year:04}-{month:02}-{day:02}");
        }
        let seconds = self.0.rem_euclid(NS_PER_DAY) / 1_000_000_000;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// Midnight UTC of a `YYYY-MM-DD` date; `None` when the text is no such date.
    pub fn parse_date(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let [year, month, day] = [parts.next()?, parts.next()?, parts.next()?];
        if parts.next().is_some() || year.len() != 4 || month.len() != 2 || day.len() != 2 {
            return None;
        }
        let date = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
        let days = days_from_civil(date);
        let is_in_range = i64::from(days).checked_mul(NS_PER_DAY).is_some();
        (is_in_range && civil(days) == date).then(|| Self::from_days(days))
    }
}

/// The proleptic Gregorian date of a day number.
///
/// # Source
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
pub(crate) fn civil(days: i32) -> (i32, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i32::from(month <= 2);
    (year, month.cast_unsigned(), day.cast_unsigned())
}

/// The day number of a proleptic Gregorian date; same source as [`civil`].
fn days_from_civil((year, month, day): (i32, u32, u32)) -> i32 {
    let (month, day) = (month.cast_signed().clamp(0, 12), day.cast_signed().clamp(0, 31));
    let year = year - i32::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The span that one bar covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Timeframe {
    #[serde(rename = "1m")]
    M1,
    #[serde(rename = "5m")]
    M5,
    #[serde(rename = "15m")]
    M15,
    #[serde(rename = "1h")]
    H1,
    #[serde(rename = "1d")]
    D1,
}

/// A text that names no [`Timeframe`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no timeframe; known are 1m, 5m, 15m, 1h, 1d")]
pub struct UnknownTimeframe(pub String);

impl Timeframe {
    pub const ALL: [Self; 5] = [Self::M1, Self::M5, Self::M15, Self::H1, Self::D1];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::M1 => "1m",
            Self::M5 => "5m",
            Self::M15 => "15m",
            Self::H1 => "1h",
            Self::D1 => "1d",
        }
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Timeframe {
    type Err = UnknownTimeframe;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|timeframe| timeframe.as_str() == text)
            .ok_or_else(|| UnknownTimeframe(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_survive_the_round_trip_over_every_day_that_nanoseconds_reach() {
        for days in -106_751..106_751 {
            let time = EventTime::from_days(days);
            assert_eq!(EventTime::parse_date(&time.display(Timeframe::D1)), Some(time), "{days}");
        }
        assert_eq!(EventTime::from_days(0).display(Timeframe::D1), "1970-01-01");
        assert_eq!(EventTime::from_days(17_165).display(Timeframe::D1), "2016-12-30");
        assert_eq!(EventTime(1_483_108_200_000_000_000).display(Timeframe::M1), "2016-12-30T14:30:00Z");
    }

    #[test]
    fn refuses_dates_that_do_not_exist() {
        for text in
            ["2016-02-30", "2016-13-01", "2016-00-10", "16-01-01", "2016-1-1", "2016-01-01-", "today", "", "2500-01-01"]
        {
            assert_eq!(EventTime::parse_date(text), None, "{text}");
        }
    }
}
