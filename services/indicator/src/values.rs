use pulp::Simd;

use crate::lane::Lane;
use crate::lanes::Lanes;
use crate::plan::{BY_NEED, Column, N_COLUMNS, NEED_MAX, NEEDS, OF_RANGE};
use crate::recompute::Segment;

/// One row: a value per column of [`plan`](crate::plan()), in its order.
#[derive(Debug, Clone, Copy)]
pub struct Values {
    /// Missing is NaN in here and `None` at the methods.
    numbers: [f64; N_COLUMNS],
}

impl Values {
    pub(crate) fn missing() -> Self {
        Self { numbers: [f64::NAN; N_COLUMNS] }
    }

    /// Sets the numbers of the row after `n_bars`. One that is not finite is missing, and so is one whose column is not warm
    /// yet, or needs what a bar of the segment did not have.
    #[inline(always)]
    pub(crate) fn set(&mut self, n_bars: u32, set: impl FnOnce(&mut [f64; N_COLUMNS])) {
        let numbers = &mut self.numbers;
        set(numbers);
        // A bar without high and low makes this total NaN for the rest of the segment, where comparisons would silently
        // pass over the bar. Nothing that needs them is right from then on.
        let lacks_range = numbers[Column::Ad as usize].is_nan();
        for number in &mut *numbers {
            // Always the same NaN, so that equal rows are equal to the bit.
            *number = if number.abs() <= f64::MAX { *number } else { f64::NAN };
        }
        if n_bars < NEED_MAX {
            for (number, need) in numbers.iter_mut().zip(NEEDS) {
                *number = if need <= n_bars { *number } else { f64::NAN };
            }
        }
        if lacks_range {
            for (number, is_of_range) in numbers.iter_mut().zip(OF_RANGE) {
                *number = if is_of_range { f64::NAN } else { *number };
            }
        }
    }

    /// `None` when missing.
    ///
    /// # Panics
    /// When the column is not in the plan.
    pub fn get(&self, column: usize) -> Option<f64> {
        let value = self.numbers[column];
        (!value.is_nan()).then_some(value)
    }

    /// All columns as they stand in a [`FeatureBatch`](schemas::FeatureBatch): missing is NaN.
    pub fn as_slice(&self) -> &[f64] {
        &self.numbers
    }
}

/// One row, maybe among others that were computed together.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    numbers: Numbers<'a>,
    at: usize,
}

/// Missing is NaN.
#[derive(Debug, Clone, Copy)]
enum Numbers<'a> {
    /// A number of each column for each row.
    Columns(&'a [&'a [f64]; N_COLUMNS]),
    /// Column after column, so many rows side by side.
    Strided(&'a [f64], usize),
}

impl<'a> Row<'a> {
    #[inline(always)]
    pub(crate) fn new(columns: &'a [&'a [f64]; N_COLUMNS], at: usize) -> Self {
        Self { numbers: Numbers::Columns(columns), at }
    }

    #[inline(always)]
    pub(crate) fn strided(numbers: &'a [f64], n_rows: usize, at: usize) -> Self {
        Self { numbers: Numbers::Strided(numbers, n_rows), at }
    }

    /// `None` when missing.
    ///
    /// # Panics
    /// When the column is not in the plan, or was not asked for.
    #[inline]
    pub fn get(&self, column: usize) -> Option<f64> {
        let value = match self.numbers {
            Numbers::Columns(columns) => columns[column][self.at],
            Numbers::Strided(numbers, n_rows) => numbers[column * n_rows + self.at],
        };
        (!value.is_nan()).then_some(value)
    }

    /// All columns, to keep; missing where nobody asked for one.
    pub fn values(&self) -> Values {
        let mut values = Values::missing();
        match self.numbers {
            Numbers::Columns(columns) => {
                for (number, column) in values.numbers.iter_mut().zip(columns) {
                    *number = column.get(self.at).copied().unwrap_or(f64::NAN);
                }
            }
            Numbers::Strided(numbers, n_rows) => {
                for (number, rows) in values.numbers.iter_mut().zip(numbers.chunks_exact(n_rows)) {
                    *number = rows[self.at];
                }
            }
        }
        values
    }
}

impl<'a> From<&'a Values> for Row<'a> {
    fn from(values: &'a Values) -> Self {
        Self::strided(&values.numbers, 1, 0)
    }
}

/// Columns of some bars of a symbol that follow each other, among those of other symbols.
#[derive(Debug, Clone, Copy)]
pub struct ColumnBlock<'a> {
    segment: &'a Segment<'a>,
    /// In the segment.
    first: usize,
    /// Bar after bar, a number for each symbol; empty where nobody asked for a column.
    columns: &'a [&'a [f64]; N_COLUMNS],
    lane: usize,
    n_lanes: usize,
    n_bars: usize,
}

impl<'a> ColumnBlock<'a> {
    pub(crate) fn new(
        segment: &'a Segment<'a>,
        first: usize,
        columns: &'a [&'a [f64]; N_COLUMNS],
        (lane, n_lanes): (usize, usize),
        n_bars: usize,
    ) -> Self {
        Self { segment, first, columns, lane, n_lanes, n_bars }
    }

    /// The place of the symbol among those that were given.
    pub fn symbol(&self) -> usize {
        self.segment.symbol()
    }

    /// The places of the bars among those of the symbol, in rising order.
    pub fn places(&self) -> impl Iterator<Item = usize> + use<'a> {
        let (segment, first) = (self.segment, self.first);
        (0..self.n_bars).map(move |at| segment.place(first + at))
    }

    /// One column, bar after bar; missing is NaN.
    ///
    /// # Panics
    /// When the column is not in the plan, or was not asked for.
    pub fn column(&self, column: usize) -> impl ExactSizeIterator<Item = f64> + use<'a> {
        let numbers = &self.columns[column][..self.n_bars * self.n_lanes];
        let lane = self.lane;
        numbers.chunks_exact(self.n_lanes).map(move |numbers| numbers[lane])
    }

    /// All columns of one of the bars.
    pub fn row(&self, at: usize) -> Row<'a> {
        Row::new(self.columns, at * self.n_lanes + self.lane)
    }
}

/// Makes missing what [`Values::set`] does.
#[inline(always)]
pub(crate) fn mark_missing<S: Simd>(simd: S, row: &mut [S::f64s; N_COLUMNS], n_bars: u32) {
    let zero = Lanes::splat(simd, 0.0);
    let missing = zero.constant(f64::NAN);
    let cold = &BY_NEED[..BY_NEED.partition_point(|&column| NEEDS[column] > n_bars)];
    for &column in cold {
        row[column] = zero.plain();
    }
    // The product of 0 and a number that is not finite is not one, nor is any sum with it. Several sums, that none waits for
    // the one before.
    let (parts, rest) = row.as_chunks::<4>();
    let (mut a, mut b, mut c, mut d) = (zero, zero, zero, zero);
    for part in parts {
        a = a + Lanes::new(simd, part[0]) * 0.0;
        b = b + Lanes::new(simd, part[1]) * 0.0;
        c = c + Lanes::new(simd, part[2]) * 0.0;
        d = d + Lanes::new(simd, part[3]) * 0.0;
    }
    for numbers in rest {
        a = a + Lanes::new(simd, *numbers) * 0.0;
    }
    let product = (a + b) + (c + d);
    let flaw = Lanes::select(product.is_equal(zero), zero, zero.constant(1.0));
    if Lanes::any(flaw.is_above(zero)) {
        // Only a number that is not one differs from itself.
        let total = Lanes::new(simd, row[Column::Ad as usize]);
        let has_range = total.is_equal(total);
        for (numbers, is_of_range) in row.iter_mut().zip(OF_RANGE) {
            let lanes = Lanes::new(simd, *numbers);
            let is_finite = lanes.abs().is_at_most(lanes.constant(f64::MAX));
            let is_shown = if is_of_range { Lanes::<S>::both(is_finite, has_range) } else { is_finite };
            *numbers = Lanes::select(is_shown, lanes, missing).plain();
        }
    }
    for &column in cold {
        row[column] = missing.plain();
    }
}

/// Makes missing what is not finite, or needs what a bar did not have, among some columns that are warm.
#[inline(always)]
pub(crate) fn mark_undefined<S: Simd>(simd: S, row: &mut [S::f64s; N_COLUMNS], columns: &[usize]) {
    let zero = Lanes::splat(simd, 0.0);
    // As in `mark_missing`.
    let mut sums = [zero; 4];
    let (parts, rest) = columns.as_chunks::<4>();
    for part in parts {
        for (sum, &column) in sums.iter_mut().zip(part) {
            *sum = *sum + Lanes::new(simd, row[column]) * 0.0;
        }
    }
    for &column in rest {
        sums[0] = sums[0] + Lanes::new(simd, row[column]) * 0.0;
    }
    let [a, b, c, d] = sums;
    let flaw = Lanes::select(((a + b) + (c + d)).is_equal(zero), zero, zero.constant(1.0));
    if !Lanes::any(flaw.is_above(zero)) {
        return;
    }
    let missing = zero.constant(f64::NAN);
    let total = Lanes::new(simd, row[Column::Ad as usize]);
    let has_range = total.is_equal(total);
    for &column in columns {
        let lanes = Lanes::new(simd, row[column]);
        let is_finite = lanes.abs().is_at_most(lanes.constant(f64::MAX));
        let is_shown = if OF_RANGE[column] { Lanes::<S>::both(is_finite, has_range) } else { is_finite };
        row[column] = Lanes::select(is_shown, lanes, missing).plain();
    }
}
