//! Company events around a day: earnings and dividends.

use schemas::EventTime;

/// What is known of a company's calendar on some day.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Calendar {
    pub next_earnings: Option<EventTime>,
    pub last_earnings: Option<EventTime>,
    /// The last report beat its estimate.
    pub last_surprise_was_positive: bool,
    pub dividend_ex: Option<EventTime>,
}

/// How a day stands to a company's calendar.
///
/// # Units
/// Calendar days; a negative number lies on the other side of the day. `None` without the date; no window is open
/// then.
///
/// # Source
/// §10, "Events". The day is an argument ("do instead" of quirk Q20: the reference asks the clock, also for scans of
/// the past).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventFacts {
    pub days_to_next_earnings: Option<i32>,
    pub days_since_last_earnings: Option<i32>,
    pub days_to_dividend_ex: Option<i32>,
    last_surprise_was_positive: bool,
}

impl EventFacts {
    pub fn new(calendar: &Calendar, as_of: EventTime) -> Self {
        let days_until = |date: Option<EventTime>| date.map(|date| date.days() - as_of.days());
        Self {
            days_to_next_earnings: days_until(calendar.next_earnings),
            days_since_last_earnings: days_until(calendar.last_earnings).map(|days| -days),
            days_to_dividend_ex: days_until(calendar.dividend_ex),
            last_surprise_was_positive: calendar.last_surprise_was_positive,
        }
    }

    /// Earnings within 5 days.
    pub fn is_pre_earnings_window(&self) -> bool {
        is_within(self.days_to_next_earnings, 5)
    }

    /// Up to 10 days after good earnings.
    pub fn is_post_earnings_positive_window(&self) -> bool {
        self.last_surprise_was_positive && is_within(self.days_since_last_earnings, 10)
    }

    pub fn has_upcoming_earnings(&self) -> bool {
        is_within(self.days_to_next_earnings, i32::MAX)
    }

    /// Up to 30 days after good earnings.
    pub fn has_recent_positive_surprise(&self) -> bool {
        self.last_surprise_was_positive && is_within(self.days_since_last_earnings, 30)
    }

    /// Trades without its dividend within 10 days.
    pub fn has_dividend_ex_soon(&self) -> bool {
        is_within(self.days_to_dividend_ex, 10)
    }

    /// Earnings within a week: what the scan itself calls its earnings window.
    pub fn is_earnings_week(&self) -> bool {
        is_within(self.days_to_next_earnings, 7)
    }

    /// Up to a week after earnings, good or bad.
    pub fn is_post_earnings_week(&self) -> bool {
        is_within(self.days_since_last_earnings, 7)
    }

    /// Traded or will trade without its dividend within a week.
    pub fn is_dividend_ex_week(&self) -> bool {
        is_within(self.days_to_dividend_ex.map(i32::abs), 7)
    }
}

fn is_within(days: Option<i32>, days_max: i32) -> bool {
    days.is_some_and(|days| (0..=days_max).contains(&days))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: i32 = 17_000;

    fn facts(next: Option<i32>, last: Option<i32>, dividend: Option<i32>) -> EventFacts {
        let date = |days: Option<i32>| days.map(|days| EventTime::from_days(TODAY + days));
        let calendar = Calendar {
            next_earnings: date(next),
            last_earnings: date(last),
            last_surprise_was_positive: true,
            dividend_ex: date(dividend),
        };
        EventFacts::new(&calendar, EventTime::from_days(TODAY))
    }

    #[test]
    fn windows_include_both_ends_and_no_day_of_the_past() {
        let check = |days, expected: [bool; 3]| {
            let facts = facts(Some(days), None, None);
            let found = [facts.is_pre_earnings_window(), facts.is_earnings_week(), facts.has_upcoming_earnings()];
            assert_eq!(found, expected, "{days}");
        };
        check(-1, [false; 3]);
        check(0, [true; 3]);
        check(5, [true; 3]);
        check(6, [false, true, true]);
        check(8, [false, false, true]);
    }

    #[test]
    fn good_news_is_remembered_for_a_while() {
        let check = |days: i32, expected: [bool; 3]| {
            let facts = facts(None, Some(-days), None);
            let found = [
                facts.is_post_earnings_week(),
                facts.is_post_earnings_positive_window(),
                facts.has_recent_positive_surprise(),
            ];
            assert_eq!(found, expected, "{days}");
        };
        check(7, [true; 3]);
        check(10, [false, true, true]);
        check(30, [false, false, true]);
        check(31, [false; 3]);
        check(-1, [false; 3]);
    }

    #[test]
    fn a_dividend_week_lies_on_both_sides() {
        assert!(facts(None, None, Some(-7)).is_dividend_ex_week());
        assert!(!facts(None, None, Some(-1)).has_dividend_ex_soon());
        assert_eq!(facts(None, None, None), EventFacts { last_surprise_was_positive: true, ..EventFacts::default() });
    }
}
