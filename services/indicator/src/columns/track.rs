//! Numbers of several symbols side by side, bar after bar.

use pulp::Simd;

use crate::lane::Lane as _;
use crate::lanes::Lanes;
use crate::window::in_order;

/// Bars that are computed before the numbers of the past move back to the front of their places: as many that the loops are
/// long, and as few that everything stays in the second cache.
pub(crate) const N_CHUNK: usize = 64;

/// In bytes.
const CACHE_LINE: usize = 64;
const N_LINE: usize = CACHE_LINE / size_of::<f64>();

/// The numbers of a chunk of bars, and those of as many bars before it as somebody looks back. Where a cache line begins: a
/// register that two lines share costs twice.
#[derive(Debug)]
pub(crate) struct Track<S> {
    simd: S,
    numbers: Vec<f64>,
    /// Where the first cache line begins.
    start: usize,
    n_past: usize,
}

/// Numbers of a chunk of bars, to be read in turn.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, S: Simd> {
    simd: S,
    numbers: &'a [S::f64s],
}

impl<S: Simd> View<'_, S> {
    #[inline(always)]
    pub(crate) fn at(&self, i: usize) -> Lanes<S> {
        Lanes::new(self.simd, self.numbers[i])
    }
}

impl<S: Simd> Track<S> {
    pub(crate) fn new(simd: S, n_past: usize) -> Self {
        let numbers = vec![0.0; (n_past + N_CHUNK) * S::F64_LANES + N_LINE];
        let start = (CACHE_LINE - numbers.as_ptr().addr() % CACHE_LINE) / size_of::<f64>() % N_LINE;
        Self { simd, numbers, start, n_past }
    }

    /// In the place of one that is taken out.
    pub(crate) fn none(simd: S) -> Self {
        Self { simd, numbers: Vec::new(), start: 0, n_past: 0 }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.numbers.is_empty()
    }

    /// What stood before each of `n` bars, so many bars ago.
    #[inline(always)]
    pub(crate) fn back(&self, n_back: usize, n: usize) -> &[S::f64s] {
        let first = self.start + (self.n_past - n_back) * S::F64_LANES;
        // The second slice tells the compiler the length.
        &pulp::bytemuck::cast_slice(&self.numbers[first..first + n * S::F64_LANES])[..n]
    }

    /// As [`back`](Self::back), for a loop.
    #[inline(always)]
    pub(crate) fn view(&self, n_back: usize, n: usize) -> View<'_, S> {
        View { simd: self.simd, numbers: self.back(n_back, n) }
    }

    /// Now, and so many bars ago.
    #[inline(always)]
    pub(crate) fn views(&self, n_back: usize, n: usize) -> [View<'_, S>; 2] {
        [self.view(0, n), self.view(n_back, n)]
    }

    /// Of `n` bars.
    #[inline(always)]
    pub(crate) fn now(&mut self, n: usize) -> &mut [S::f64s] {
        &mut pulp::bytemuck::cast_slice_mut(self.flat_mut(n))[..n]
    }

    /// As [`now`](Self::now), number by number.
    #[inline(always)]
    pub(crate) fn flat_mut(&mut self, n: usize) -> &mut [f64] {
        let first = self.start + self.n_past * S::F64_LANES;
        &mut self.numbers[first..first + n * S::F64_LANES]
    }

    #[inline(always)]
    pub(crate) fn flat(&self, n: usize) -> &[f64] {
        let first = self.start + self.n_past * S::F64_LANES;
        &self.numbers[first..first + n * S::F64_LANES]
    }

    /// Bar `at` of the chunk, `n_back` bars ago.
    #[inline(always)]
    pub(crate) fn at(&self, at: usize, n_back: usize) -> Lanes<S> {
        Lanes::new(self.simd, self.back(n_back, at + 1)[at])
    }

    /// Moves the numbers behind a chunk to where those before the next one stand.
    pub(crate) fn rewind(&mut self) {
        let (n_lanes, first) = (S::F64_LANES, self.start);
        let newer = first + N_CHUNK * n_lanes;
        self.numbers.copy_within(newer..newer + self.n_past * n_lanes, first);
    }

    /// The sums of the terms before each of `n` bars: of so many whole runs and a tail, as [`sum`](crate::window::sum) finds
    /// them. The term of a bar adds to the same parts of all sums that it is in.
    #[inline(always)]
    pub(crate) fn sums<const RUNS: usize, const TAIL: usize>(&self, n: usize, spare: &mut Self, sums: &mut Self) {
        let simd = self.simd;
        let lanes = |number: &S::f64s| Lanes::new(simd, *number);
        // Ages 0 and 4 of all runs, from four bars before the first on.
        let pairs = &mut spare.padded(n + 3)[..n + 3];
        let newer: [&[S::f64s]; RUNS] = std::array::from_fn(|run| self.back(4 + run * 8, n + 3));
        let older: [&[S::f64s]; RUNS] = std::array::from_fn(|run| self.back(8 + run * 8, n + 3));
        for i in 0..n + 3 {
            let (mut new, mut old) = (lanes(&newer[0][i]), lanes(&older[0][i]));
            for run in 1..RUNS {
                new = new + lanes(&newer[run][i]);
                old = old + lanes(&older[run][i]);
            }
            pairs[i] = (new + old).plain();
        }
        let [p0, p1, p2, p3] = [&pairs[3..][..n], &pairs[2..][..n], &pairs[1..][..n], &pairs[..n]];
        let tails: [&[S::f64s]; TAIL] = std::array::from_fn(|age| self.back(RUNS * 8 + age + 1, n));
        let sums = sums.now(n);
        for i in 0..n {
            let runs = (lanes(&p0[i]) + lanes(&p2[i])) + (lanes(&p1[i]) + lanes(&p3[i]));
            sums[i] = (runs + tail_at(simd, &tails, i)).plain();
        }
    }

    /// As [`sums`](Self::sums), without whole runs.
    #[inline(always)]
    pub(crate) fn tails<const TAIL: usize>(&self, n: usize, sums: &mut Self) {
        let simd = self.simd;
        let tails: [&[S::f64s]; TAIL] = std::array::from_fn(|age| self.back(age + 1, n));
        let sums = sums.now(n);
        for i in 0..n {
            sums[i] = tail_at(simd, &tails, i).plain();
        }
    }

    /// The place of a spare track whose past is used, too.
    fn padded(&mut self, n: usize) -> &mut [S::f64s] {
        pulp::bytemuck::cast_slice_mut(&mut self.numbers[self.start..self.start + n * S::F64_LANES])
    }

    /// Sets each bar of a chunk to what is joined of a bar and one so many bars before it.
    #[inline(always)]
    pub(crate) fn join(
        &mut self,
        numbers: &Self,
        n_back: usize,
        n: usize,
        join: impl Fn(Lanes<S>, Lanes<S>) -> Lanes<S>,
    ) {
        let simd = self.simd;
        let (newer, older, out) = (numbers.back(0, n), numbers.back(n_back, n), self.now(n));
        for i in 0..n {
            out[i] = join(Lanes::new(simd, newer[i]), Lanes::new(simd, older[i])).plain();
        }
    }
}

/// The sum of a tail before bar `i`.
#[inline(always)]
fn tail_at<S: Simd, const TAIL: usize>(simd: S, tails: &[&[S::f64s]; TAIL], i: usize) -> Lanes<S> {
    let mut terms = [Lanes::new(simd, tails[0][i]); TAIL];
    for age in 1..TAIL {
        terms[age] = Lanes::new(simd, tails[age][i]);
    }
    in_order(
        terms,
        #[inline(always)]
        |sum, number| sum + number,
    )
}
