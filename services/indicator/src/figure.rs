use std::fmt;
use std::ops::{Add, Div, Mul, Sub};

use pulp::Simd;

use crate::lane::Lane;
use crate::lanes::{Lanes, higher, lower};
use crate::logarithm::ln_all;

/// Independent accumulators that the processor works on at once.
pub(crate) const N_ACCUMULATORS: usize = 8;

/// A number that is found from windows of others like it: alone, where the registers of a dispatch target hold numbers that
/// follow each other in time, or beside those of other symbols.
pub(crate) trait Figure<S: Simd>: Lane {
    /// Numbers of a window that follow each other.
    type Run: Lane;

    const N_RUN: usize;

    /// The run whose newest number is followed by `age` newer ones; any numbers where the window is over.
    fn run(simd: S, window: &[Self], age: usize) -> Self::Run;

    /// The same number all over.
    fn spread(self, simd: S) -> Self::Run;

    /// Numbers that fall by one with every step back in time.
    fn ramp(self, simd: S, newest: f64) -> Self::Run;

    /// As [`run`](Self::run), of constants.
    fn weights(simd: S, window: &[f64], age: usize) -> Self::Run;

    /// The numbers of `N` ages from one on, newest first; at most eight.
    fn ages<const N: usize>(run: impl Fn(usize) -> Self::Run, age: usize) -> [Self; N];

    /// All accumulators in one, always in the same order: that in which halves of a register are added to each other.
    fn total(accumulators: [Self::Run; N_ACCUMULATORS]) -> Self;

    /// The highest number of all accumulators.
    fn highest(accumulators: [Self::Run; N_ACCUMULATORS]) -> Self;

    /// The lowest number of all accumulators.
    fn lowest(accumulators: [Self::Run; N_ACCUMULATORS]) -> Self;
}

#[inline(always)]
fn collapse<L: Copy>([a0, a1, a2, a3, b0, b1, b2, b3]: [L; N_ACCUMULATORS], join: impl Fn(L, L) -> L) -> L {
    join(join(join(a0, b0), join(a2, b2)), join(join(a1, b1), join(a3, b3)))
}

impl<S: Simd> Figure<S> for Lanes<S> {
    type Run = Self;

    const N_RUN: usize = 1;

    #[inline(always)]
    fn run(_: S, window: &[Self], age: usize) -> Self {
        window[window.len() - 1 - age]
    }

    #[inline(always)]
    fn spread(self, _: S) -> Self {
        self
    }

    #[inline(always)]
    fn ramp(self, _: S, newest: f64) -> Self {
        self.constant(newest)
    }

    #[inline(always)]
    fn weights(simd: S, window: &[f64], age: usize) -> Self {
        Self::splat(simd, window[window.len() - 1 - age])
    }

    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "iterators of arrays are not compiled for a dispatch target")]
    fn ages<const N: usize>(run: impl Fn(usize) -> Self, age: usize) -> [Self; N] {
        let mut numbers = [run(age); N];
        for i in 1..N {
            numbers[i] = run(age + i);
        }
        numbers
    }

    #[inline(always)]
    fn total(accumulators: [Self; N_ACCUMULATORS]) -> Self {
        collapse(
            accumulators,
            #[inline(always)]
            |one, other| one + other,
        )
    }

    #[inline(always)]
    fn highest(accumulators: [Self; N_ACCUMULATORS]) -> Self {
        collapse(accumulators, Self::higher)
    }

    #[inline(always)]
    fn lowest(accumulators: [Self; N_ACCUMULATORS]) -> Self {
        collapse(accumulators, Self::lower)
    }
}

impl<S: Simd> Figure<S> for f64 {
    type Run = Run<S>;

    const N_RUN: usize = N_RUN;

    #[inline(always)]
    fn run(simd: S, window: &[Self], age: usize) -> Run<S> {
        let end = window.len() - age;
        let numbers = if end >= N_RUN {
            *window[end - N_RUN..end].first_chunk().expect("it is as long")
        } else {
            let mut numbers = [0.0; N_RUN];
            numbers[N_RUN - end..].copy_from_slice(&window[..end]);
            numbers
        };
        Run { simd, numbers }
    }

    #[inline(always)]
    fn spread(self, simd: S) -> Run<S> {
        Run { simd, numbers: [self; N_RUN] }
    }

    #[inline(always)]
    fn ramp(self, simd: S, newest: f64) -> Run<S> {
        let mut numbers = [newest; N_RUN];
        for (number, age) in numbers.iter_mut().rev().zip([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]) {
            *number = newest - age;
        }
        Run { simd, numbers }
    }

    #[inline(always)]
    fn weights(simd: S, window: &[f64], age: usize) -> Run<S> {
        Self::run(simd, window, age)
    }

    #[inline(always)]
    fn ages<const N: usize>(run: impl Fn(usize) -> Run<S>, age: usize) -> [f64; N] {
        // A run that ends with the oldest of them does not reach beyond a window.
        let first = (age + N).saturating_sub(N_RUN);
        let run = run(first).numbers;
        let mut numbers = [0.0; N];
        for i in 0..N {
            numbers[i] = run[N_RUN - 1 - (age - first) - i];
        }
        numbers
    }

    #[inline(always)]
    fn total([run, ..]: [Run<S>; N_ACCUMULATORS]) -> f64 {
        run.simd.reduce_sum_f64s(run.fold(S::add_f64s))
    }

    #[inline(always)]
    fn highest([run, ..]: [Run<S>; N_ACCUMULATORS]) -> f64 {
        let register = run.fold(higher);
        if S::F64_LANES > 1 { run.simd.reduce_max_f64s(register) } else { first::<S>(register) }
    }

    #[inline(always)]
    fn lowest([run, ..]: [Run<S>; N_ACCUMULATORS]) -> f64 {
        let register = run.fold(lower);
        if S::F64_LANES > 1 { run.simd.reduce_min_f64s(register) } else { first::<S>(register) }
    }
}

#[inline(always)]
fn first<S: Simd>(register: S::f64s) -> f64 {
    pulp::bytemuck::cast_slice(std::slice::from_ref(&register))[0]
}

const N_RUN: usize = 8;

/// Eight numbers that follow each other in time, in as few registers as the dispatch target needs.
#[derive(Clone, Copy)]
pub(crate) struct Run<S: Simd> {
    simd: S,
    numbers: [f64; N_RUN],
}

impl<S: Simd> Run<S> {
    #[inline(always)]
    fn registers(&self) -> &[S::f64s] {
        pulp::bytemuck::cast_slice(&self.numbers)
    }

    /// Halves of the registers joined with each other until one is left.
    #[inline(always)]
    fn fold(self, join: impl Fn(S, S::f64s, S::f64s) -> S::f64s) -> S::f64s {
        let mut registers = [self.registers()[0]; N_RUN];
        registers[..N_RUN / S::F64_LANES].copy_from_slice(self.registers());
        let mut n = N_RUN / S::F64_LANES;
        while n > 1 {
            n /= 2;
            for i in 0..n {
                registers[i] = join(self.simd, registers[i], registers[i + n]);
            }
        }
        registers[0]
    }

    #[inline(always)]
    fn map(mut self, function: impl Fn(S, S::f64s) -> S::f64s) -> Self {
        let registers: &mut [S::f64s] = pulp::bytemuck::cast_slice_mut(&mut self.numbers);
        for register in registers {
            *register = function(self.simd, *register);
        }
        self
    }

    #[inline(always)]
    fn zip(mut self, other: Self, function: impl Fn(S, S::f64s, S::f64s) -> S::f64s) -> Self {
        let registers: &mut [S::f64s] = pulp::bytemuck::cast_slice_mut(&mut self.numbers);
        for (register, other) in registers.iter_mut().zip(other.registers()) {
            *register = function(self.simd, *register, *other);
        }
        self
    }

    #[inline(always)]
    fn compare(self, other: Self, function: impl Fn(S, S::f64s, S::f64s) -> S::m64s) -> RunMask<S> {
        let (ours, others) = (self.registers(), other.registers());
        let mut masks = [function(self.simd, ours[0], others[0]); N_RUN];
        for (mask, (one, other)) in masks.iter_mut().zip(ours.iter().zip(others)) {
            *mask = function(self.simd, *one, *other);
        }
        RunMask { simd: self.simd, masks }
    }
}

impl<S: Simd> fmt::Debug for Run<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.numbers.fmt(f)
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $call:ident) => {
        impl<S: Simd> $trait for Run<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.zip(
                    other,
                    #[inline(always)]
                    |simd, one, other| simd.$call(one, other),
                )
            }
        }

        impl<S: Simd> $trait<f64> for Run<S> {
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

/// One truth a number; those of as many registers as there are count.
#[derive(Clone, Copy)]
pub(crate) struct RunMask<S: Simd> {
    simd: S,
    masks: [S::m64s; N_RUN],
}

impl<S: Simd> RunMask<S> {
    #[inline(always)]
    fn zip(mut self, other: Self, function: impl Fn(S, S::m64s, S::m64s) -> S::m64s) -> Self {
        for (mask, other) in self.masks.iter_mut().zip(other.masks).take(N_RUN / S::F64_LANES) {
            *mask = function(self.simd, *mask, other);
        }
        self
    }
}

impl<S: Simd> Lane for Run<S> {
    type Mask = RunMask<S>;
    type Plain = [f64; N_RUN];

    #[inline(always)]
    fn plain(self) -> [f64; N_RUN] {
        self.numbers
    }

    #[inline(always)]
    fn constant(self, number: f64) -> Self {
        Self { numbers: [number; N_RUN], ..self }
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.map(S::abs_f64s)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.map(S::sqrt_f64s)
    }

    #[inline(always)]
    fn higher(self, other: Self) -> Self {
        self.zip(other, higher)
    }

    #[inline(always)]
    fn lower(self, other: Self) -> Self {
        self.zip(other, lower)
    }

    #[inline(always)]
    fn is_above(self, other: Self) -> RunMask<S> {
        self.compare(other, S::greater_than_f64s)
    }

    #[inline(always)]
    fn is_at_least(self, other: Self) -> RunMask<S> {
        self.compare(other, S::greater_than_or_equal_f64s)
    }

    #[inline(always)]
    fn is_equal(self, other: Self) -> RunMask<S> {
        self.compare(other, S::equal_f64s)
    }

    #[inline(always)]
    fn both(one: RunMask<S>, other: RunMask<S>) -> RunMask<S> {
        one.zip(other, S::and_m64s)
    }

    #[inline(always)]
    fn either(one: RunMask<S>, other: RunMask<S>) -> RunMask<S> {
        one.zip(other, S::or_m64s)
    }

    #[inline(always)]
    fn select(mask: RunMask<S>, mut yes: Self, no: Self) -> Self {
        let registers: &mut [S::f64s] = pulp::bytemuck::cast_slice_mut(&mut yes.numbers);
        for (i, (register, no)) in registers.iter_mut().zip(no.registers()).enumerate() {
            *register = mask.simd.select_f64s(mask.masks[i], *register, *no);
        }
        yes
    }

    #[inline(always)]
    fn any(mask: RunMask<S>) -> bool {
        mask.masks.iter().take(N_RUN / S::F64_LANES).any(|&mask_of| mask.simd.first_true_m64s(mask_of) < S::F64_LANES)
    }

    #[inline(always)]
    fn ln(mut self) -> Self {
        ln_all(&mut self.numbers);
        self
    }
}
