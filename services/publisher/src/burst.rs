use schemas::EventTime;

/// Results that come closer together than this belong to one burst.
const PAUSE_NS: i64 = 100_000_000;

/// Bars that arrive later than this after the first belong to the next burst: a stream that never pauses is none.
const LENGTH_MAX_NS: i64 = 1_000_000_000;

/// How long the last burst of results took.
///
/// A burst begins with the arrival of its first bar and ends with the fan-out of the last result of its bars; it is over
/// when nothing came for a tenth of a second, and when its bars came for a second. A result by itself is a burst, too, the
/// smallest one.
#[derive(Debug, Default)]
pub(crate) struct BurstClock {
    /// Arrival of its first bar, fan-out of its newest result, results so far.
    current: Option<(EventTime, EventTime, u64)>,
}

/// A burst, over or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BurstTime {
    pub(crate) ms: f64,
    pub(crate) n_results: u64,
}

impl BurstClock {
    /// `n_results` were fanned out at `now`; the first of their bars arrived at `arrival`.
    pub(crate) fn observe(&mut self, now: EventTime, arrival: EventTime, n_results: u64) {
        let goes_on = self.current.filter(|(begin, last, _)| {
            now.as_ns() - last.as_ns() < PAUSE_NS && arrival.as_ns() - begin.as_ns() < LENGTH_MAX_NS
        });
        let (begin, n_before) = goes_on.map_or((arrival, 0), |(begin, _, n_before)| (begin.min(arrival), n_before));
        self.current = Some((begin, now, n_before + n_results));
    }

    pub(crate) fn last(&self) -> Option<BurstTime> {
        let (begin, end, n_results) = self.current?;
        Some(BurstTime { ms: (end.as_ns() - begin.as_ns()).max(0) as f64 / 1e6, n_results })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_close_together_are_one_burst() {
        let ms = |ms: i64| EventTime(ms * 1_000_000);
        let mut clock = BurstClock::default();
        assert_eq!(clock.last(), None);
        clock.observe(ms(10), ms(5), 3);
        assert_eq!(clock.last(), Some(BurstTime { ms: 5.0, n_results: 3 }));
        clock.observe(ms(60), ms(4), 2);
        assert_eq!(clock.last(), Some(BurstTime { ms: 56.0, n_results: 5 }));
        clock.observe(ms(160), ms(159), 1);
        assert_eq!(clock.last(), Some(BurstTime { ms: 1.0, n_results: 1 }));
        for n in 0..100 {
            clock.observe(ms(1000 + 50 * n), ms(999 + 50 * n), 1);
        }
        assert_eq!(clock.last(), Some(BurstTime { ms: 951.0, n_results: 20 }));
    }
}
