use std::ops::Range;

use schemas::{BarFlags, EventTime, Symbol};

/// Days from 1970-01-01 that an [`EventTime`] reaches either way.
pub(super) const DAYS_MAX: i32 = 106_751;

/// A set of days.
pub(super) struct Days {
    first: i32,
    contains: Vec<bool>,
}

impl Days {
    /// The usable ones among the days of some rows.
    pub(super) fn of(days: &[i32]) -> Self {
        let usable = || days.iter().copied().filter(|day| (-DAYS_MAX..=DAYS_MAX).contains(day));
        let (first, last) = usable().fold((DAYS_MAX, -DAYS_MAX), |(low, high), day| (low.min(day), high.max(day)));
        let mut set = Self { first, contains: vec![false; usize::try_from(last - first + 1).unwrap_or(0)] };
        for day in usable() {
            let offset = set.offset(day);
            set.contains[offset] = true;
        }
        set
    }

    pub(super) fn union<'a>(sets: impl Iterator<Item = &'a Self>) -> Self {
        let mut days: Vec<i32> = sets.flat_map(Self::iter).collect();
        days.sort_unstable();
        days.dedup();
        Self::of(&days)
    }

    pub(super) fn calendar(&self) -> Calendar<'_> {
        let ordinals = self.contains.iter().scan(0, |n_sessions, &is_session| {
            *n_sessions += u32::from(is_session);
            Some(*n_sessions)
        });
        Calendar { days: self, ordinals: ordinals.collect() }
    }

    fn iter(&self) -> impl Iterator<Item = i32> {
        (self.first..).zip(&self.contains).filter(|(_, is_in)| **is_in).map(|(day, _)| day)
    }

    fn offset(&self, day: i32) -> usize {
        usize::try_from(day - self.first).expect("no day is before the first one")
    }
}

/// The sessions of a file: every day that any row has.
pub(super) struct Calendar<'a> {
    days: &'a Days,
    /// By day from the first: how many sessions there are up to and including it.
    ordinals: Vec<u32>,
}

impl Calendar<'_> {
    /// Sets `GAP_BEFORE` on each row with a session between it and the row before of the same symbol. Returns the
    /// sessions that have a bar.
    pub(super) fn flag_gaps(
        &self,
        symbols: &[(Symbol, Range<usize>)],
        open_time: &[EventTime],
        flags: &mut [BarFlags],
    ) -> Vec<EventTime> {
        let mut has_bars = vec![false; self.ordinals.len()];
        for (_, rows) in symbols {
            let mut previous = None;
            for (open_time, flags) in open_time[rows.clone()].iter().zip(&mut flags[rows.clone()]) {
                let offset = self.days.offset(open_time.days());
                has_bars[offset] = true;
                let ordinal = self.ordinals[offset];
                if previous.is_some_and(|previous| ordinal - previous > 1) {
                    *flags = flags.with(BarFlags::GAP_BEFORE);
                }
                previous = Some(ordinal);
            }
        }
        (self.days.first..).zip(has_bars).filter(|(_, any)| *any).map(|(day, _)| EventTime::from_days(day)).collect()
    }
}
