//! Figures of a window, computed from its numbers: nothing drifts, and an outlier leaves no trace once it has left the
//! window.

use pulp::Simd;

use crate::figure::{Figure, N_ACCUMULATORS};

/// An extreme over ever more of a window, from the newest number on.
pub(crate) struct Total<S: Simd, L: Figure<S>> {
    first: L,
    accumulators: [L::Run; N_ACCUMULATORS],
}

impl<S: Simd, L: Figure<S>> Total<S, L> {
    /// `first` begins all accumulators: any number that belongs to the window.
    #[inline(always)]
    pub(crate) fn new(simd: S, first: L) -> Self {
        Self { first, accumulators: [first.spread(simd); N_ACCUMULATORS] }
    }

    /// Takes in the numbers of ages `FROM` to `TO` − 1, where those of all lower ages may be taken in again. `term` is asked
    /// for runs that begin with an age.
    #[inline(always)]
    fn extend<const FROM: usize, const TO: usize>(
        &mut self,
        term: impl Fn(usize) -> L::Run,
        join: impl Fn(L::Run, L::Run) -> L::Run,
    ) {
        if L::N_RUN == 1 {
            // Whole rounds of accumulators, so that the compiler knows each of them at every step.
            for round in 0..(TO - FROM) / N_ACCUMULATORS {
                for i in FROM..FROM + N_ACCUMULATORS {
                    let accumulator = &mut self.accumulators[i % N_ACCUMULATORS];
                    *accumulator = join(*accumulator, term(i + round * N_ACCUMULATORS));
                }
            }
            for i in TO - (TO - FROM) % N_ACCUMULATORS..TO {
                let accumulator = &mut self.accumulators[i % N_ACCUMULATORS];
                *accumulator = join(*accumulator, term(i));
            }
            return;
        }
        // Runs may overlap: then none needs a mask. What is less than one was not taken in.
        let from = if FROM < L::N_RUN { 0 } else { FROM };
        for i in 0..(TO - from).div_ceil(L::N_RUN) {
            let age = (from + i * L::N_RUN).min(TO - L::N_RUN);
            self.accumulators[0] = join(self.accumulators[0], term(age));
        }
    }

    /// The numbers of the first `TO` ages, fewer than a run has, beside the one that began all accumulators.
    #[inline(always)]
    fn few<const TO: usize>(&self, term: impl Fn(usize) -> L::Run, join: impl Fn(L, L) -> L) -> L {
        let numbers: [L; TO] = L::ages(term, 0);
        let mut found = self.first;
        for number in numbers {
            found = join(found, number);
        }
        found
    }
}

/// A term of several windows. Attributes may stand before an argument, not before what a variable is set to.
#[inline(always)]
pub(crate) fn term<R>(term: impl Fn(usize) -> R + Copy) -> impl Fn(usize) -> R + Copy {
    term
}

/// The sum of ever more whole runs of eight terms, from the newest on. The term of age `i` goes to accumulator `i % 8`
/// whatever the dispatch target, so that the same numbers always give the same bits. What is left of a window beyond its
/// runs is summed on its own: then every part is a sum that another bar had, eight or fewer bars ago, and a whole history
/// needs a handful of additions a bar (see [`crate::columns`]).
pub(crate) struct Runs<S: Simd, L: Figure<S>> {
    accumulators: [L::Run; N_ACCUMULATORS],
}

impl<S: Simd, L: Figure<S>> Runs<S, L> {
    /// The newest run.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "iterators of arrays are not compiled for a dispatch target")]
    pub(crate) fn first(term: impl Fn(usize) -> L::Run) -> Self {
        let mut accumulators = [term(0); N_ACCUMULATORS];
        if L::N_RUN == 1 {
            // No function of arrays: those are not compiled for a dispatch target.
            for i in 1..N_ACCUMULATORS {
                accumulators[i] = term(i);
            }
        }
        Self { accumulators }
    }

    /// With runs `from` to `to` − 1, the newest of all being run 0.
    #[inline(always)]
    pub(crate) fn extend(&mut self, from: usize, to: usize, term: impl Fn(usize) -> L::Run) {
        for run in from..to {
            let n_terms = if L::N_RUN == 1 { N_ACCUMULATORS } else { 1 };
            for i in 0..n_terms {
                self.accumulators[i] = self.accumulators[i] + term(run * N_ACCUMULATORS + i);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn total(&self) -> L {
        L::total(self.accumulators)
    }
}

/// The sum of `N` terms from an age on, in the order that a whole run has.
#[inline(always)]
pub(crate) fn tail<S: Simd, L: Figure<S>, const N: usize>(term: impl Fn(usize) -> L::Run, age: usize) -> L {
    let terms: [L; N] = L::ages(term, age);
    in_order(
        terms,
        #[inline(always)]
        |sum, number| sum + number,
    )
}

/// Joins fewer than eight terms, newest first, as eight are joined.
#[inline(always)]
pub(crate) fn in_order<L: Copy, const N: usize>(terms: [L; N], join: impl Fn(L, L) -> L) -> L {
    match *terms.as_slice() {
        [a0] => a0,
        [a0, a1] => join(a0, a1),
        [a0, a1, a2] => join(join(a0, a1), a2),
        [a0, a1, a2, a3, b0] => join(join(join(a0, b0), a1), join(a2, a3)),
        [a0, a1, a2, a3, b0, b1] => join(join(join(a0, b0), join(a1, b1)), join(a2, a3)),
        _ => unreachable!("no window leaves as many"),
    }
}

/// The sum of the terms of `RUNS` whole runs and `TAIL` more.
#[inline(always)]
pub(crate) fn sum<S: Simd, L: Figure<S>, const RUNS: usize, const TAIL: usize>(
    term: impl Fn(usize) -> L::Run + Copy,
) -> L {
    let mut runs = Runs::<S, L>::first(term);
    runs.extend(1, RUNS, term);
    runs.total() + tail::<S, L, TAIL>(term, RUNS * N_ACCUMULATORS)
}

/// Sums of the terms and of their squares; each term is found once.
pub(crate) struct Moments<S: Simd, L: Figure<S>> {
    sum: Runs<S, L>,
    squares: Runs<S, L>,
}

impl<S: Simd, L: Figure<S>> Moments<S, L> {
    #[inline(always)]
    pub(crate) fn first(term: impl Fn(usize) -> L::Run) -> Self {
        let sum = Runs::first(term);
        let mut accumulators = sum.accumulators;
        for accumulator in &mut accumulators {
            *accumulator = *accumulator * *accumulator;
        }
        Self { squares: Runs { accumulators }, sum }
    }

    #[inline(always)]
    pub(crate) fn extend(&mut self, from: usize, to: usize, term: impl Fn(usize) -> L::Run) {
        for run in from..to {
            let n_terms = if L::N_RUN == 1 { N_ACCUMULATORS } else { 1 };
            for i in 0..n_terms {
                let number = term(run * N_ACCUMULATORS + i);
                self.sum.accumulators[i] = self.sum.accumulators[i] + number;
                self.squares.accumulators[i] = self.squares.accumulators[i] + number * number;
            }
        }
    }

    /// Of the runs and `N` more terms from an age on.
    #[inline(always)]
    pub(crate) fn with<const N: usize>(&self, term: impl Fn(usize) -> L::Run + Copy, age: usize) -> [L; 2] {
        let square = self::term(
            #[inline(always)]
            |age| term(age) * term(age),
        );
        [self.sum.total() + tail::<S, L, N>(term, age), self.squares.total() + tail::<S, L, N>(square, age)]
    }
}

/// The largest number of ever more of a window.
pub(crate) struct Highest<S: Simd, L: Figure<S>>(Total<S, L>);

impl<S: Simd, L: Figure<S>> Highest<S, L> {
    #[inline(always)]
    pub(crate) fn new(simd: S, first: L) -> Self {
        Self(Total::new(simd, first))
    }

    #[inline(always)]
    pub(crate) fn with<const FROM: usize, const TO: usize>(&mut self, term: impl Fn(usize) -> L::Run) -> L {
        use crate::lane::Lane as _;

        if TO < L::N_RUN {
            return self.0.few::<TO>(term, L::higher);
        }
        self.0.extend::<FROM, TO>(
            term,
            #[inline(always)]
            |highest, number| number.higher(highest),
        );
        L::highest(self.0.accumulators)
    }
}

/// The smallest number of ever more of a window.
pub(crate) struct Lowest<S: Simd, L: Figure<S>>(Total<S, L>);

impl<S: Simd, L: Figure<S>> Lowest<S, L> {
    #[inline(always)]
    pub(crate) fn new(simd: S, first: L) -> Self {
        Self(Total::new(simd, first))
    }

    #[inline(always)]
    pub(crate) fn with<const FROM: usize, const TO: usize>(&mut self, term: impl Fn(usize) -> L::Run) -> L {
        use crate::lane::Lane as _;

        if TO < L::N_RUN {
            return self.0.few::<TO>(term, L::lower);
        }
        self.0.extend::<FROM, TO>(
            term,
            #[inline(always)]
            |lowest, number| number.lower(lowest),
        );
        L::lowest(self.0.accumulators)
    }
}

/// The sums of the terms of `RUNS` whole runs and `TAIL` more, and of their squares.
#[inline(always)]
pub(crate) fn moments<S: Simd, L: Figure<S>, const RUNS: usize, const TAIL: usize>(
    term: impl Fn(usize) -> L::Run + Copy,
) -> [L; 2] {
    let mut moments = Moments::<S, L>::first(term);
    moments.extend(1, RUNS, term);
    moments.with::<TAIL>(term, RUNS * N_ACCUMULATORS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const N: usize>() {
        let window: [f64; N] = std::array::from_fn(|i| i as f64 + 1.0);
        let n = N as f64;
        let simd = pulp::Scalar;
        let run = |age| f64::run(simd, &window, age);
        assert_eq!(Highest::new(simd, 0.5).with::<0, N>(run).to_bits(), n.to_bits());
        assert_eq!(Lowest::new(simd, 0.5).with::<0, N>(run).to_bits(), 0.5_f64.to_bits());
        assert_eq!(Lowest::new(simd, n).with::<0, N>(run).to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn every_number_counts_once() {
        check::<1>();
        check::<7>();
        check::<8>();
        check::<9>();
        check::<19>();
        check::<200>();
        let window: [f64; 40] = std::array::from_fn(|i| (40 - i) as f64);
        let run = |age| f64::run(pulp::Scalar, &window, age);
        let of_first = |n: u32| f64::from(n * (n + 1) / 2);
        for (found, n) in [
            (sum::<pulp::Scalar, f64, 1, 1>(run), 9),
            (sum::<pulp::Scalar, f64, 1, 3>(run), 11),
            (sum::<pulp::Scalar, f64, 1, 5>(run), 13),
            (sum::<pulp::Scalar, f64, 2, 2>(run), 18),
            (sum::<pulp::Scalar, f64, 2, 3>(run), 19),
            (sum::<pulp::Scalar, f64, 3, 3>(run), 27),
            (tail::<pulp::Scalar, f64, 6>(run, 0), 6),
        ] {
            assert_eq!(found.to_bits(), of_first(n).to_bits(), "{n}");
        }
        let mut moments = Moments::<pulp::Scalar, f64>::first(run);
        moments.extend(1, 2, run);
        assert_eq!(moments.with::<3>(run, 16).map(f64::to_bits), [190.0_f64, 2470.0].map(f64::to_bits));
    }

    #[test]
    fn an_extreme_grows_from_any_age_to_any_other() {
        let window: [f64; 30] = std::array::from_fn(|i| (29 - i) as f64);
        let simd = pulp::Scalar;
        let run = |age| f64::run(simd, &window, age);
        let mut highest = Highest::new(simd, 0.0);
        for (found, expected) in [
            (highest.with::<0, 4>(run), 3.0_f64),
            (highest.with::<4, 8>(run), 7.0),
            (highest.with::<8, 9>(run), 8.0),
            (highest.with::<9, 25>(run), 24.0),
            (highest.with::<25, 30>(run), 29.0),
        ] {
            assert_eq!(found.to_bits(), expected.to_bits());
        }
        let mut lowest = Lowest::new(simd, 29.0);
        let older = |age| f64::run(simd, &window.map(|number| 29.0 - number), age);
        for (found, expected) in [
            (lowest.with::<0, 4>(older), 26.0_f64),
            (lowest.with::<4, 13>(older), 17.0),
            (lowest.with::<13, 25>(older), 5.0),
        ] {
            assert_eq!(found.to_bits(), expected.to_bits());
        }
    }
}
