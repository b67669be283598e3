//! Figures of a window, computed from its numbers: nothing drifts, and an outlier leaves no trace once it has left the
//! window.

use pulp::Simd;

use crate::figure::{Figure, N_ACCUMULATORS};

/// A total over ever more of a window, from the newest number on: by addition or as an extreme. The number of age `i` goes
/// to accumulator `i % 8` whatever the dispatch target, so that the same numbers always give the same bits.
pub(crate) struct Total<S: Simd, L: Figure<S>> {
    simd: S,
    accumulators: [L::Run; N_ACCUMULATORS],
}

impl<S: Simd, L: Figure<S>> Total<S, L> {
    /// `first` begins all accumulators: 0 for a sum, any number that belongs to the window for an extreme.
    #[inline(always)]
    pub(crate) fn new(simd: S, first: L) -> Self {
        Self { simd, accumulators: [first.spread(simd); N_ACCUMULATORS] }
    }

    /// Takes in the numbers of ages `FROM` to `TO` − 1. `term` is asked for runs that begin with an age.
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
        for i in FROM / L::N_RUN..TO.div_ceil(L::N_RUN) {
            let age = i * L::N_RUN;
            let accumulator = &mut self.accumulators[i % (N_ACCUMULATORS / L::N_RUN)];
            let joined = join(*accumulator, term(age));
            *accumulator = if FROM <= age && age + L::N_RUN <= TO {
                joined
            } else {
                let (first, end) = (FROM.max(age) - age, TO.min(age + L::N_RUN) - age);
                L::select_ages(self.simd, first, end, joined, *accumulator)
            };
        }
    }
}

/// A term of several windows. Attributes may stand before an argument, not before what a variable is set to.
#[inline(always)]
pub(crate) fn term<R>(term: impl Fn(usize) -> R + Copy) -> impl Fn(usize) -> R + Copy {
    term
}

impl<S: Simd, L: Figure<S>> Total<S, L> {
    /// Adds run `i` of the terms, as far as it is of ages `FROM` to `TO` − 1.
    #[inline(always)]
    fn take<const FROM: usize, const TO: usize>(&mut self, i: usize, terms: L::Run) {
        let age = i * L::N_RUN;
        let accumulator = &mut self.accumulators[i % (N_ACCUMULATORS / L::N_RUN)];
        let joined = *accumulator + terms;
        *accumulator = if FROM <= age && age + L::N_RUN <= TO {
            joined
        } else {
            let (first, end) = (FROM.max(age) - age, TO.min(age + L::N_RUN) - age);
            L::select_ages(self.simd, first, end, joined, *accumulator)
        };
    }

    #[inline(always)]
    fn sum(&self) -> L {
        L::collapse(
            self.accumulators,
            #[inline(always)]
            |sum, number| sum + number,
        )
    }
}

/// A sum over ever more of a window.
pub(crate) struct Sum<S: Simd, L: Figure<S>>(Total<S, L>);

impl<S: Simd, L: Figure<S>> Sum<S, L> {
    #[inline(always)]
    pub(crate) fn new(simd: S, zero: L) -> Self {
        Self(Total::new(simd, zero))
    }

    /// The sum once the terms of ages `FROM` to `TO` − 1 are in it.
    #[inline(always)]
    pub(crate) fn with<const FROM: usize, const TO: usize>(&mut self, term: impl Fn(usize) -> L::Run) -> L {
        self.0.extend::<FROM, TO>(
            term,
            #[inline(always)]
            |sum, number| sum + number,
        );
        L::collapse(
            self.0.accumulators,
            #[inline(always)]
            |sum, number| sum + number,
        )
    }
}

/// The sum of the terms of ages 0 to `N` − 1.
#[inline(always)]
pub(crate) fn sum<S: Simd, L: Figure<S>, const N: usize>(simd: S, zero: L, term: impl Fn(usize) -> L::Run) -> L {
    Sum::new(simd, zero).with::<0, N>(term)
}

/// The sum of ever more of a window, and that of the squares; each term is found once.
pub(crate) struct Moments<S: Simd, L: Figure<S>> {
    sum: Total<S, L>,
    squares: Total<S, L>,
}

impl<S: Simd, L: Figure<S>> Moments<S, L> {
    #[inline(always)]
    pub(crate) fn new(simd: S, zero: L) -> Self {
        Self { sum: Total::new(simd, zero), squares: Total::new(simd, zero) }
    }

    /// Both once the terms of ages `FROM` to `TO` − 1 are in them.
    #[inline(always)]
    pub(crate) fn with<const FROM: usize, const TO: usize>(&mut self, term: impl Fn(usize) -> L::Run + Copy) -> [L; 2] {
        if L::N_RUN == 1 {
            // As in `Total::extend`.
            for round in 0..(TO - FROM) / N_ACCUMULATORS {
                for i in FROM..FROM + N_ACCUMULATORS {
                    self.add(i % N_ACCUMULATORS, term(i + round * N_ACCUMULATORS));
                }
            }
            for i in TO - (TO - FROM) % N_ACCUMULATORS..TO {
                self.add(i % N_ACCUMULATORS, term(i));
            }
        } else {
            for i in FROM / L::N_RUN..TO.div_ceil(L::N_RUN) {
                let found = term(i * L::N_RUN);
                self.sum.take::<FROM, TO>(i, found);
                self.squares.take::<FROM, TO>(i, found * found);
            }
        }
        [self.sum.sum(), self.squares.sum()]
    }

    #[inline(always)]
    fn add(&mut self, accumulator: usize, term: L::Run) {
        let (sum, squares) = (&mut self.sum.accumulators[accumulator], &mut self.squares.accumulators[accumulator]);
        (*sum, *squares) = (*sum + term, *squares + term * term);
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

        self.0.extend::<FROM, TO>(
            term,
            #[inline(always)]
            |highest, number| number.higher(highest),
        );
        L::collapse(self.0.accumulators, L::higher)
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

        self.0.extend::<FROM, TO>(
            term,
            #[inline(always)]
            |lowest, number| number.lower(lowest),
        );
        L::collapse(self.0.accumulators, L::lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const N: usize>() {
        let window: [f64; N] = std::array::from_fn(|i| i as f64 + 1.0);
        let n = N as f64;
        let simd = pulp::Scalar;
        let run = |age| f64::run(simd, &window, age);
        assert!((sum::<_, f64, N>(simd, 0.0, run) - n * (n + 1.0) / 2.0).abs() < 1e-9, "{N}");
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
    }

    #[test]
    fn a_total_grows_from_any_age_to_any_other() {
        let window: [f64; 30] = std::array::from_fn(|i| (29 - i) as f64);
        let simd = pulp::Scalar;
        let run = |age| f64::run(simd, &window, age);
        let mut sum = Sum::new(simd, 0.0);
        assert!((sum.with::<0, 3>(run) - 3.0).abs() < 1e-12);
        assert!((sum.with::<3, 5>(run) - 10.0).abs() < 1e-12);
        assert!((sum.with::<5, 21>(run) - 210.0).abs() < 1e-12);
        assert!((Sum::new(simd, 0.0).with::<9, 11>(run) - 19.0).abs() < 1e-12);
        assert_eq!(Highest::new(simd, 0.0).with::<5, 9>(run).to_bits(), 8.0_f64.to_bits());
    }
}
