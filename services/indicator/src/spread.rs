//! How far numbers of a window are from their mean.

use pulp::Simd;

use crate::figure::Figure;
use crate::lane::Lane;
use crate::window::moments;

/// Of the numbers of a window, the newest included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread<L> {
    /// What the newest one is above the mean.
    pub(crate) above: L,
    /// The sum of the squared distances from it.
    pub(crate) squares: L,
}

impl<L: Lane> Spread<L> {
    /// From the sums of `n` numbers and of their squares. Where next to nothing is left of the difference of these, it is
    /// found again from what the numbers are above one of them, which `anchored` says: its sums, and that of the newest.
    #[inline(always)]
    pub(crate) fn new(n: f64, [sum, squares]: [L; 2], newest: L, anchored: impl FnOnce() -> (L, [L; 2])) -> Self {
        /// Deviations below a thousandth of the mean. Above, nine digits of the squares are left.
        const WEAK: f64 = 1e-6;
        let mean = sum * (1.0 / n);
        let plain = Self { above: newest - mean, squares: squares - sum * mean };
        let is_weak = plain.squares.is_below(squares * WEAK);
        if !L::any(is_weak) {
            return plain;
        }
        let (last, [sum, squares]) = anchored();
        let mean = sum * (1.0 / n);
        Self {
            above: L::select(is_weak, last - mean, plain.above),
            squares: L::select(is_weak, (squares - sum * mean).higher(sum.zero()), plain.squares),
        }
    }
}

/// For [`Spread::new`]: `above` gives runs of what the numbers before the newest are above the anchor, `last` what the newest
/// is.
#[inline(always)]
pub(crate) fn anchored<S: Simd, L: Figure<S>, const RUNS: usize, const TAIL: usize>(
    above: impl Fn(usize) -> L::Run + Copy,
    last: L,
) -> (L, [L; 2]) {
    let [sum, squares] = moments::<S, L, RUNS, TAIL>(above);
    (last, [sum + last, squares + last * last])
}
