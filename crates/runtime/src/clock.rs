//! The only place that reads the clock, so that stages stay pure and a test can see who depends on time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use schemas::EventTime;

/// The wall clock. For ingest times and lag metrics only: it may jump, also backwards.
#[allow(clippy::disallowed_methods, reason = "this is the place the lint points to")]
pub fn now_ns() -> EventTime {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => EventTime(whole_ns(after)),
        Err(before) => EventTime(-whole_ns(before.duration())),
    }
}

/// A clock that never goes back, for measuring how long something took.
#[allow(clippy::disallowed_methods, reason = "this is the place the lint points to")]
pub fn monotonic() -> Instant {
    Instant::now()
}

fn whole_ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).expect("an i64 of nanoseconds lasts until the year 2262")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_past_the_day_this_was_written_and_the_other_never_goes_back() {
        assert!(now_ns() > EventTime::parse_date("2025-01-01").unwrap());
        let first = monotonic();
        assert!(monotonic() >= first);
    }
}
