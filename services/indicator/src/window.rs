//! Figures of a window, computed from its numbers in the order of time: nothing drifts, and an outlier leaves no trace
//! once it has left the window.

use crate::lane::Lane;

/// Independent accumulators that the processor works on at once. Fixed, so that the same numbers always give the same
/// bits.
const N_ACCUMULATORS: usize = 8;
/// Windows up to this length are unrolled.
const N_UNROLLED: usize = 64;

/// The sum of `term(0)` to `term(N - 1)`.
#[inline(always)]
pub(crate) fn sum<L: Lane, const N: usize>(zero: L, term: impl Fn(usize) -> L) -> L {
    reduce::<L, N>(zero, term, |sum, number| sum + number)
}

/// The largest of `first` and `term(0)` to `term(N - 1)`.
#[inline(always)]
pub(crate) fn highest<L: Lane, const N: usize>(first: L, term: impl Fn(usize) -> L) -> L {
    reduce::<L, N>(first, term, L::higher)
}

#[inline(always)]
pub(crate) fn lowest<L: Lane, const N: usize>(first: L, term: impl Fn(usize) -> L) -> L {
    reduce::<L, N>(first, term, L::lower)
}

/// A term that is called from one place is always compiled into it, whatever its size, and must be: outside it would miss
/// the instructions of the dispatch target. Long windows have small terms, and a single number needs no dispatch.
#[inline(always)]
fn reduce<L: Lane, const N: usize>(first: L, term: impl Fn(usize) -> L, join: impl Fn(L, L) -> L) -> L {
    let mut lanes = [first; N_ACCUMULATORS];
    if L::IS_WIDE && N <= N_UNROLLED {
        for chunk in 0..N.div_ceil(N_ACCUMULATORS) {
            for (i, lane) in lanes.iter_mut().enumerate() {
                let i = chunk * N_ACCUMULATORS + i;
                if i < N {
                    *lane = join(*lane, term(i));
                }
            }
        }
    } else {
        for chunk in 0..N / N_ACCUMULATORS {
            for (i, lane) in lanes.iter_mut().enumerate() {
                *lane = join(*lane, term(chunk * N_ACCUMULATORS + i));
            }
        }
        for (i, lane) in lanes.iter_mut().enumerate().take(N % N_ACCUMULATORS) {
            *lane = join(*lane, term(N / N_ACCUMULATORS * N_ACCUMULATORS + i));
        }
    }
    let [a0, a1, a2, a3, b0, b1, b2, b3] = lanes;
    join(join(join(a0, b0), join(a1, b1)), join(join(a2, b2), join(a3, b3)))
}

/// The numbers `term(0)` to `term(N - 1)`. A loop, because [`std::array::from_fn`] is not always compiled into its caller.
#[inline(always)]
pub(crate) fn numbers<L: Lane, const N: usize>(zero: L, term: impl Fn(usize) -> L) -> [L; N] {
    let mut numbers = [zero; N];
    for (i, number) in numbers.iter_mut().enumerate() {
        *number = term(i);
    }
    numbers
}

/// The last `N` numbers of a longer window.
#[inline(always)]
pub(crate) fn last<L, const N: usize, const M: usize>(window: &[L; M]) -> &[L; N] {
    const { assert!(N <= M) };
    window.last_chunk().expect("it is not longer than the window")
}

/// `N` numbers of a window, the newest of which is followed by `AGE` newer ones.
#[inline(always)]
pub(crate) fn aged<L, const N: usize, const AGE: usize, const M: usize>(window: &[L; M]) -> &[L; N] {
    const { assert!(N + AGE <= M) };
    window[..M - AGE].last_chunk().expect("it is not longer than the window")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const N: usize>() {
        let window: [f64; N] = std::array::from_fn(|i| i as f64 + 1.0);
        let n = N as f64;
        assert!((sum::<f64, N>(0.0, |i| window[i]) - n * (n + 1.0) / 2.0).abs() < 1e-9, "{N}");
        assert_eq!(highest::<f64, N>(0.5, |i| window[i]).to_bits(), n.to_bits());
        assert_eq!(lowest::<f64, N>(0.5, |i| window[i]).to_bits(), 0.5_f64.to_bits());
        assert_eq!(lowest::<f64, N>(n, |i| window[i]).to_bits(), 1.0_f64.to_bits());
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
    fn parts_of_a_window_are_found_from_its_newest_number() {
        let window: [f64; 6] = std::array::from_fn(|i| i as f64);
        assert_eq!(last::<f64, 2, 6>(&window).map(f64::to_bits), [4.0_f64, 5.0].map(f64::to_bits));
        assert_eq!(aged::<f64, 2, 1, 6>(&window).map(f64::to_bits), [3.0_f64, 4.0].map(f64::to_bits));
    }
}
