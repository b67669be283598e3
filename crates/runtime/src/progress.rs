//! How far each partition of an input is, and whether a batch is the next one.

/// How far a partition is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Stream sequence of the last input that the stage has taken in.
    pub(crate) position: u64,
    /// Newest input when the service started: up to here it recovers.
    pub(crate) target: u64,
    /// Newest input whose output was published before the service started.
    pub(crate) published: u64,
    /// State changed since it was saved.
    pub(crate) is_dirty: bool,
    /// Run and number of the newest batches, one per producer.
    newest: [Option<(u64, u64)>; PRODUCERS_MAX],
}

/// Runs of producers whose numbering is followed in a partition; more than one only while a producer is replaced.
const PRODUCERS_MAX: usize = 4;

/// How a batch follows those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follows {
    /// It is the next one, or the first one of its producer.
    Yes,
    /// It was taken in before.
    IsRepeat,
    /// One or more before it are missing; the number of the last one that came.
    After(u64),
}

impl Progress {
    /// Takes note of a batch by its number.
    pub(crate) fn follow(&mut self, epoch: u64, seq: u64) -> Follows {
        let known = self.newest.iter().position(|newest| newest.is_some_and(|(known, _)| known == epoch));
        let before = known.and_then(|at| self.newest[at]).map(|(_, before)| before);
        match before {
            Some(before) if seq <= before => return Follows::IsRepeat,
            Some(before) if seq > before + 1 => return Follows::After(before),
            _ => {}
        }
        // The one heard of last comes first, so that the others are forgotten in turn.
        self.newest[..=known.unwrap_or(PRODUCERS_MAX - 1)].rotate_right(1);
        self.newest[0] = Some((epoch, seq));
        Follows::Yes
    }
    /// The number of the next batch is unknown: whatever it is, it is no gap.
    pub(crate) fn forget_numbers(&mut self) {
        self.newest = [None; PRODUCERS_MAX];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(batches: &[(u64, u64)], expected: &[Follows]) {
        let mut progress = Progress::default();
        let found: Vec<_> = batches.iter().map(|&(epoch, seq)| progress.follow(epoch, seq)).collect();
        assert_eq!(found, expected, "{batches:?}");
    }

    #[test]
    fn numbers_of_a_producer_follow_each_other() {
        use Follows::{After, IsRepeat, Yes};
        check(&[(1, 7), (1, 8), (1, 8), (1, 7), (1, 10), (1, 9)], &[Yes, Yes, IsRepeat, IsRepeat, After(8), Yes]);
    }

    #[test]
    fn each_producer_has_its_own_numbers_and_old_ones_are_forgotten() {
        use Follows::{IsRepeat, Yes};
        check(&[(1, 5), (2, 1), (1, 6), (2, 2), (1, 6)], &[Yes, Yes, Yes, Yes, IsRepeat]);
        let n = u64::try_from(PRODUCERS_MAX).expect("a small number");
        let mut progress = Progress::default();
        for epoch in 0..=n {
            assert_eq!(progress.follow(epoch, 9), Yes);
        }
        assert_eq!((progress.follow(1, 9), progress.follow(0, 3)), (IsRepeat, Yes));
    }

    #[test]
    fn after_numbers_were_forgotten_any_number_follows() {
        let mut progress = Progress::default();
        assert_eq!(progress.follow(1, 1), Follows::Yes);
        progress.forget_numbers();
        assert_eq!(progress.follow(1, 3), Follows::Yes);
    }
}
