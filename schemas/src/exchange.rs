//! The clock on the wall of the exchange in New York, and the hours of its regular session.

use crate::EventTime;
use crate::time::civil;

const NS_PER_MINUTE: i64 = 60_000_000_000;
const MINUTES_PER_DAY: i64 = 1440;

/// The regular session begins at 09:30. In minutes since midnight.
pub const OPEN: u32 = 9 * 60 + 30;
/// It ends at 16:00, on a half day at 13:00.
const CLOSE: u32 = 16 * 60;
const CLOSE_HALF_DAY: u32 = 13 * 60;

/// A minute of a day in New York.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Counted from 1970-01-01.
    pub day: i32,
    /// Since midnight.
    pub minute: u32,
}

impl Local {
    /// Whether the minute belongs to the regular session of its day. Holidays are not known: on one, no bar comes.
    pub fn is_regular(self) -> bool {
        (OPEN..close_of(self.day)).contains(&self.minute)
    }
}

/// When the regular session of a day ends, in minutes since midnight.
///
/// # Source
/// NYSE calendars since 2012: half days are the day after Thanksgiving, and the 24th of December and the 3rd of July where
/// they are a Monday to Thursday.
pub fn close_of(day: i32) -> u32 {
    // Day 0 was a Thursday; 0 is Monday here.
    let weekday = (day + 3).rem_euclid(7);
    let is_half = match civil(day) {
        (_, 11, date) => weekday == 4 && (23..=29).contains(&date),
        (_, 12, 24) | (_, 7, 3) => weekday < 4,
        _ => false,
    };
    if is_half { CLOSE_HALF_DAY } else { CLOSE }
}

/// The time on the wall in New York.
///
/// # Panics
/// Never: an `i64` of nanoseconds spans 213,503 days.
pub fn local(time: EventTime) -> Local {
    let minutes = time.as_ns().div_euclid(NS_PER_MINUTE);
    let minutes = minutes - if is_summer(minutes) { 4 * 60 } else { 5 * 60 };
    let fits = "an i64 of nanoseconds spans 213,503 days";
    Local {
        day: i32::try_from(minutes.div_euclid(MINUTES_PER_DAY)).expect(fits),
        minute: u32::try_from(minutes.rem_euclid(MINUTES_PER_DAY)).expect(fits),
    }
}

/// Whether daylight saving time is in force at a minute of UTC.
///
/// # Source
/// Energy Policy Act of 2005: from 2007 the second Sunday of March to the first of November; before, as of 1987, the first
/// of April to the last of October. Both changes are at two o'clock of the time in force. Older years count alike.
fn is_summer(utc: i64) -> bool {
    let year = year_of(utc.div_euclid(MINUTES_PER_DAY));
    let (start, end) = if year >= 2007 {
        (sunday_from(first_of_month(year, 3) + 7), sunday_from(first_of_month(year, 11)))
    } else {
        (sunday_from(first_of_month(year, 4)), sunday_from(first_of_month(year, 11) - 7))
    };
    (start * MINUTES_PER_DAY + 7 * 60..end * MINUTES_PER_DAY + 6 * 60).contains(&utc)
}

/// The first Sunday that is not before a day. Day 0 was a Thursday.
fn sunday_from(day: i64) -> i64 {
    day + (3 - day).rem_euclid(7)
}

/// The day number of the first of a month from March on.
fn first_of_month(year: i64, month: i64) -> i64 {
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Months from March on have 30.6 days on average, which the division rounds to what they have.
    year * 365 + leap_days + (153 * (month - 3) + 2) / 5 - 719_468
}

fn year_of(day: i64) -> i64 {
    /// Days of 400 years.
    const N_DAYS: i64 = 146_097;
    // Counted from March, where a year's leap day is its last; January and February are of the year before, in which
    // nothing depends on them: both are winter in either.
    (day + 719_468).div_euclid(N_DAYS) * 400 + {
        let day = (day + 719_468).rem_euclid(N_DAYS);
        (day - day / 1460 + day / 36_524 - day / 146_096) / 365
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(date: &str, hour: i64, minute: i64) -> EventTime {
        EventTime(EventTime::parse_date(date).unwrap().as_ns() + (hour * 60 + minute) * NS_PER_MINUTE)
    }

    fn check(date: &str, [hour, minute]: [i64; 2], expected_date: &str, expected: [u32; 2]) {
        let local = local(utc(date, hour, minute));
        let day = EventTime::parse_date(expected_date).unwrap().days();
        assert_eq!((local.day, local.minute), (day, expected[0] * 60 + expected[1]), "{date} {hour}:{minute}");
    }

    #[test]
    fn half_days_end_at_one() {
        let check = |date: &str, expected: u32| {
            assert_eq!(close_of(EventTime::parse_date(date).unwrap().days()), expected * 60, "{date}");
        };
        for half in ["2012-07-03", "2013-11-29", "2014-12-24", "2015-12-24", "2023-07-03", "2024-11-29", "2025-07-03"] {
            check(half, 13);
        }
        for whole in ["2015-07-02", "2015-11-26", "2015-12-23", "2021-12-23", "2024-11-22", "2026-07-02", "2026-12-31"]
        {
            check(whole, 16);
        }
    }

    #[test]
    fn the_regular_session_is_half_open() {
        let check = |hour, minute, expected: bool| {
            assert_eq!(local(utc("2026-01-05", hour, minute)).is_regular(), expected, "{hour}:{minute}");
        };
        check(14, 29, false);
        check(14, 30, true);
        check(20, 59, true);
        check(21, 0, false);
    }

    #[test]
    fn winter_and_summer_change_at_two() {
        check("2026-01-05", [14, 30], "2026-01-05", [9, 30]);
        check("2026-07-06", [13, 30], "2026-07-06", [9, 30]);
        check("2026-01-06", [0, 30], "2026-01-05", [19, 30]);
        check("2026-03-08", [6, 59], "2026-03-08", [1, 59]);
        check("2026-03-08", [7, 0], "2026-03-08", [3, 0]);
        check("2026-11-01", [5, 59], "2026-11-01", [1, 59]);
        check("2026-11-01", [6, 0], "2026-11-01", [1, 0]);
        check("2024-03-11", [13, 30], "2024-03-11", [9, 30]);
        check("2024-02-29", [14, 30], "2024-02-29", [9, 30]);
        check("2006-04-01", [14, 30], "2006-04-01", [9, 30]);
        check("2006-04-03", [13, 30], "2006-04-03", [9, 30]);
        check("2006-10-27", [13, 30], "2006-10-27", [9, 30]);
        check("2006-10-30", [14, 30], "2006-10-30", [9, 30]);
        check("2000-12-29", [14, 30], "2000-12-29", [9, 30]);
    }
}
