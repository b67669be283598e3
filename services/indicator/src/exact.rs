use crate::lane::Lane;
use crate::state::state;

state! {
    /// The sum of a window that only the newest and the leaving number touch. Twice as many digits as a number has: what
    /// leaves takes away what it brought, nothing drifts, and an outlier leaves no trace.
    struct ExactSum {
        /// The sum, rounded.
        sum: L [Price],
        /// What was rounded away.
        rest: L [Price],
    }
}

impl<L: Lane> ExactSum<L> {
    #[inline(always)]
    #[must_use]
    pub(crate) fn plus(self, number: L) -> Self {
        // D. Knuth, "The Art of Computer Programming" 2, section 4.2.2, theorem B.
        let sum = self.sum + number;
        let number_found = sum - self.sum;
        let error = (self.sum - (sum - number_found)) + (number - number_found);
        let rest = self.rest + error;
        let rounded = sum + rest;
        Self { sum: rounded, rest: rest - (rounded - sum) }
    }

    /// With `new` and, once the window of `n` is full, without `leaving`; after `n_before` numbers.
    #[inline(always)]
    #[must_use]
    pub(crate) fn next(self, n_before: u32, n: u32, new: L, leaving: L) -> Self {
        let next = self.plus(new);
        if n_before >= n { next.plus(new.zero() - leaving) } else { next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State as _;

    #[test]
    fn an_outlier_leaves_no_trace() {
        let mut sum = ExactSum::<f64>::filled(0.0);
        let number = |i: u32| if i == 5 { 1e15 } else { 0.1 * f64::from(i % 7) };
        for i in 0..1_000_000 {
            sum = sum.next(i, 10, number(i), if i >= 10 { number(i - 10) } else { f64::NAN });
        }
        let expected: f64 = (1_000_000 - 10..1_000_000).map(number).sum();
        assert!((sum.sum - expected).abs() < 1e-13, "{} {expected}", sum.sum);
    }
}
