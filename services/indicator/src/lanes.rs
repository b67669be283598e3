use std::fmt;
use std::ops::{Add, Div, Mul, Sub};

use pulp::Simd;

use crate::lane::Lane;
use crate::logarithm::ln_all;

/// As many symbols side by side as the registers of a dispatch target hold numbers. Where a cache line begins: a register
/// that two lines share costs twice.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Lanes<S: Simd> {
    simd: S,
    numbers: S::f64s,
}

impl<S: Simd> Lanes<S> {
    pub(crate) const N: usize = S::F64_LANES;

    #[inline(always)]
    pub(crate) fn splat(simd: S, number: f64) -> Self {
        Self { simd, numbers: simd.splat_f64s(number) }
    }

    #[inline(always)]
    pub(crate) fn new(simd: S, numbers: S::f64s) -> Self {
        Self { simd, numbers }
    }

    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[f64] {
        pulp::bytemuck::cast_slice(std::slice::from_ref(&self.numbers))
    }

    #[inline(always)]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f64] {
        pulp::bytemuck::cast_slice_mut(std::slice::from_mut(&mut self.numbers))
    }
}

impl<S: Simd> fmt::Debug for Lanes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $call:ident) => {
        impl<S: Simd> $trait for Lanes<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self { numbers: self.simd.$call(self.numbers, other.numbers), ..self }
            }
        }

        impl<S: Simd> $trait<f64> for Lanes<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: f64) -> Self {
                self.$method(self.constant(other))
            }
        }
    };
}

operator!(Add, add, add_f64s);
operator!(Sub, sub, sub_f64s);
operator!(Mul, mul, mul_f64s);
operator!(Div, div, div_f64s);

/// One truth a lane.
#[derive(Clone, Copy)]
pub(crate) struct Mask<S: Simd> {
    simd: S,
    lanes: S::m64s,
}

impl<S: Simd> Lane for Lanes<S> {
    type Mask = Mask<S>;
    type Plain = S::f64s;

    #[inline(always)]
    fn plain(self) -> S::f64s {
        self.numbers
    }

    #[inline(always)]
    fn constant(self, number: f64) -> Self {
        Self::splat(self.simd, number)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Self { numbers: self.simd.abs_f64s(self.numbers), ..self }
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self { numbers: self.simd.sqrt_f64s(self.numbers), ..self }
    }

    #[inline(always)]
    fn higher(self, other: Self) -> Self {
        Self { numbers: higher(self.simd, self.numbers, other.numbers), ..self }
    }

    #[inline(always)]
    fn lower(self, other: Self) -> Self {
        Self { numbers: lower(self.simd, self.numbers, other.numbers), ..self }
    }

    #[inline(always)]
    fn is_above(self, other: Self) -> Mask<S> {
        Mask { simd: self.simd, lanes: self.simd.greater_than_f64s(self.numbers, other.numbers) }
    }

    #[inline(always)]
    fn is_at_least(self, other: Self) -> Mask<S> {
        Mask { simd: self.simd, lanes: self.simd.greater_than_or_equal_f64s(self.numbers, other.numbers) }
    }

    #[inline(always)]
    fn is_equal(self, other: Self) -> Mask<S> {
        Mask { simd: self.simd, lanes: self.simd.equal_f64s(self.numbers, other.numbers) }
    }

    #[inline(always)]
    fn both(one: Mask<S>, other: Mask<S>) -> Mask<S> {
        Mask { lanes: one.simd.and_m64s(one.lanes, other.lanes), ..one }
    }

    #[inline(always)]
    fn either(one: Mask<S>, other: Mask<S>) -> Mask<S> {
        Mask { lanes: one.simd.or_m64s(one.lanes, other.lanes), ..one }
    }

    #[inline(always)]
    fn select(mask: Mask<S>, yes: Self, no: Self) -> Self {
        Self { numbers: mask.simd.select_f64s(mask.lanes, yes.numbers, no.numbers), ..yes }
    }

    #[inline(always)]
    fn any(mask: Mask<S>) -> bool {
        mask.simd.first_true_m64s(mask.lanes) < Self::N
    }

    #[inline(always)]
    fn ln(mut self) -> Self {
        ln_all(self.as_mut_slice());
        self
    }
}

/// As [`Lane::higher`]: what x86 calls a maximum is exactly this selection. Without registers, that of the standard library is
/// not.
#[inline(always)]
pub(crate) fn higher<S: Simd>(simd: S, one: S::f64s, other: S::f64s) -> S::f64s {
    if S::F64_LANES > 1 && cfg!(target_arch = "x86_64") {
        simd.max_f64s(one, other)
    } else {
        simd.select_f64s(simd.greater_than_f64s(one, other), one, other)
    }
}

#[inline(always)]
pub(crate) fn lower<S: Simd>(simd: S, one: S::f64s, other: S::f64s) -> S::f64s {
    if S::F64_LANES > 1 && cfg!(target_arch = "x86_64") {
        simd.min_f64s(one, other)
    } else {
        simd.select_f64s(simd.less_than_f64s(one, other), one, other)
    }
}
