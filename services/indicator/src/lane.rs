use std::ops::{Add, Div, Mul, Sub};

use crate::logarithm::ln;

/// A number of one symbol, or the numbers of several symbols side by side.
///
/// Every indicator is written once over this trait. Each operation is the one of IEEE 754 on its own and none is fused,
/// so a symbol gets the same bits whether it is computed alone or beside others, and on every processor.
pub(crate) trait Lane:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
{
    type Mask: Copy;
    /// The numbers alone.
    type Plain: Copy;

    fn plain(self) -> Self::Plain;

    /// The same number for every symbol.
    fn constant(self, number: f64) -> Self;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn is_above(self, other: Self) -> Self::Mask;
    fn is_at_least(self, other: Self) -> Self::Mask;
    fn is_equal(self, other: Self) -> Self::Mask;
    fn both(one: Self::Mask, other: Self::Mask) -> Self::Mask;
    fn either(one: Self::Mask, other: Self::Mask) -> Self::Mask;
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// Whether it is so for one of the symbols at least.
    fn any(mask: Self::Mask) -> bool;
    fn ln(self) -> Self;

    #[inline(always)]
    fn is_below(self, other: Self) -> Self::Mask {
        other.is_above(self)
    }

    #[inline(always)]
    fn is_at_most(self, other: Self) -> Self::Mask {
        other.is_at_least(self)
    }

    /// The larger one. An explicit comparison: `fold` with `f64::max` has been miscompiled for AVX2 with fat LTO by
    /// rustc 1.95.
    #[inline(always)]
    fn higher(self, other: Self) -> Self {
        Self::select(self.is_above(other), self, other)
    }

    #[inline(always)]
    fn lower(self, other: Self) -> Self {
        Self::select(self.is_below(other), self, other)
    }

    #[inline(always)]
    fn zero(self) -> Self {
        self.constant(0.0)
    }

    /// The quotient; 0 where the divisor is 0.
    #[inline(always)]
    fn over_or_zero(self, divisor: Self) -> Self {
        let zero = self.zero();
        Self::select(divisor.is_equal(zero), zero, self / divisor)
    }

    #[inline(always)]
    fn inverse(self) -> Self {
        self.constant(1.0) / self
    }
}

/// The inverses of two numbers for one division, which takes as long as some thirty multiplications. Both are missing when
/// one of the numbers is.
#[inline(always)]
pub(crate) fn inverses<L: Lane>([one, other]: [L; 2]) -> [L; 2] {
    let inverse = (one * other).inverse();
    [other * inverse, one * inverse]
}

/// As [`inverses`], but 0 is the inverse of 0, so that quotients are 0 where the divisor is.
#[inline(always)]
pub(crate) fn inverses_or_zero<L: Lane>([one, other]: [L; 2]) -> [L; 2] {
    let (zero, unit) = (one.zero(), one.constant(1.0));
    let (is_zero, is_other_zero) = (one.is_equal(zero), other.is_equal(zero));
    let [inverse, of_other] = inverses([L::select(is_zero, unit, one), L::select(is_other_zero, unit, other)]);
    [L::select(is_zero, zero, inverse), L::select(is_other_zero, zero, of_other)]
}

impl Lane for f64 {
    type Mask = bool;
    type Plain = f64;

    #[inline(always)]
    fn plain(self) -> f64 {
        self
    }

    #[inline(always)]
    fn constant(self, number: f64) -> Self {
        number
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn is_above(self, other: Self) -> bool {
        self > other
    }

    #[inline(always)]
    fn is_at_least(self, other: Self) -> bool {
        self >= other
    }

    #[inline(always)]
    #[expect(clippy::float_cmp, reason = "the flat series of TA-Lib's conventions are exact")]
    fn is_equal(self, other: Self) -> bool {
        self == other
    }

    #[inline(always)]
    fn both(one: bool, other: bool) -> bool {
        one & other
    }

    #[inline(always)]
    fn either(one: bool, other: bool) -> bool {
        one | other
    }

    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }

    #[inline(always)]
    fn any(mask: bool) -> bool {
        mask
    }

    #[inline(always)]
    fn ln(self) -> Self {
        ln(self)
    }
}
