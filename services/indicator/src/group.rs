//! Slots side by side: the forming or the next bar of as many symbols at once as the processor has lanes.

use pulp::Simd;
use schemas::{Bar, BarFlags};

use crate::engine::{Hot, Scene, step};
use crate::input::{Input, N_CLOSES, N_GAPS, N_NEAR, N_RANGES, N_RSIS, N_VOLUMES, Past};
use crate::kama::{Paths, near_path};
use crate::lane::Lane as _;
use crate::lanes::Lanes;
use crate::plan::{Column, N_COLUMNS, NEED_MAX};
use crate::selection::Parts;
use crate::slot::{Slot, WARM, is_impossible};
use crate::state::{State, Unit};
use crate::stochastic::{last_rsis, rsi_places};
use crate::tapes::Entry;
use crate::terms::NewTerms;
use crate::values::{Row, mark_undefined};
use crate::windows::Windows;

/// What a group of slots is computed with: numbers of theirs next to each other, and room for the rows.
pub(crate) struct Group<S: Simd> {
    simd: S,
    parts: Parts,
    /// The columns of the parts.
    columns: Vec<usize>,
    n_closes: usize,
    closes: Box<[Lanes<S>; N_NEAR]>,
    /// Closes that stand further back, at their places in a year.
    far: Box<[Lanes<S>; N_CLOSES]>,
    highs: Box<[Lanes<S>; N_RANGES]>,
    lows: Box<[Lanes<S>; N_RANGES]>,
    /// Nobody reads them.
    volumes: [Lanes<S>; N_VOLUMES],
    gaps: [Lanes<S>; N_GAPS],
    rsis: [Lanes<S>; N_RSIS],
    hot: Box<[Lanes<S>; N_HOT]>,
    windows: Box<[Lanes<S>; N_WINDOWS]>,
    bars: [Lanes<S>; N_PRICES],
    /// With the bar.
    n_bars: Lanes<S>,
    /// Gap, RSI and its places.
    made: [Lanes<S>; 4],
    row: Box<Aligned<[S::f64s; N_COLUMNS]>>,
}

const N_PRICES: usize = 5;
const N_HOT: usize = size_of::<Hot<f64>>() / size_of::<f64>();
const N_WINDOWS: usize = size_of::<Windows<f64>>() / size_of::<f64>();
/// The closes that every selection may read.
const N_LEAST: usize = 20;

/// As [`Lanes`] are.
#[repr(align(64))]
struct Aligned<T>(T);

/// Closes that are read on their own, by how far back they stand.
const FAR: usize = 200;
const FAR_RETURNS: [usize; 3] = [63, 126, 252];

impl<S: Simd> Group<S> {
    pub(crate) const N: usize = S::F64_LANES;

    pub(crate) fn new(simd: S, parts: Parts) -> Self {
        let zero = Lanes::splat(simd, 0.0);
        // As many as the longest window that may be looked through again.
        let n_closes = if parts.has(Parts::VOLATILITIES) {
            N_NEAR
        } else if parts.has(Parts::STRENGTH) {
            50
        } else if parts.has(Parts::SLOPE) {
            39
        } else {
            N_LEAST
        };
        Self {
            simd,
            parts,
            columns: parts.columns().collect(),
            n_closes,
            closes: Box::new([zero; _]),
            far: Box::new([zero; _]),
            highs: Box::new([zero; _]),
            lows: Box::new([zero; _]),
            volumes: [zero; _],
            gaps: [zero; _],
            rsis: [zero; _],
            hot: Box::new([zero; _]),
            windows: Box::new([zero; _]),
            bars: [zero; _],
            n_bars: zero,
            made: [zero; _],
            row: Box::new(Aligned([simd.splat_f64s(f64::NAN); _])),
        }
    }

    /// Whether a slot and its bar can be computed beside others: nothing warms up, and all windows are known.
    #[inline(always)]
    pub(crate) fn takes(&self, slot: &Slot, bar: &Bar) -> bool {
        let is_warm = slot.n_bars() >= NEED_MAX && !bar.flags.contains(BarFlags::SEGMENT_START);
        is_warm && slot.is_fresh(self.parts) && !is_impossible(bar)
    }

    /// Puts a slot and its bar into a lane.
    #[inline(always)]
    pub(crate) fn put(&mut self, lane: usize, slot: &Slot, bar: &Bar) {
        let Bar { open, high, low, close, volume, .. } = *bar;
        for (lanes, number) in self.bars.iter_mut().zip([open, high, low, close, volume]) {
            lanes.as_mut_slice()[lane] = number;
        }
        self.n_bars.as_mut_slice()[lane] = f64::from(slot.n_bars() + 1);
        lay(&slot.head().hot, &mut *self.hot, &mut 0, lane);
        let at = &mut 0;
        let (to, parts) = (&mut *self.windows, self.parts);
        let Windows { closes, squares49, averages, returns, ranges, volumes, flows, path29, prices19, extremes } =
            &slot.windows;
        lay(closes, to, at, lane);
        lay_if(parts.has(Parts::STRENGTH), squares49, to, at, lane);
        lay_if(parts.has(Parts::SLOPE), averages, to, at, lane);
        lay_if(parts.has(Parts::VOLATILITIES), returns, to, at, lane);
        lay(ranges, to, at, lane);
        lay_if(parts.has(Parts::VOLUMES), volumes, to, at, lane);
        lay(flows, to, at, lane);
        lay(path29, to, at, lane);
        lay(prices19, to, at, lane);
        lay(extremes, to, at, lane);
        let (tapes, offset) = (&slot.tapes, slot.offset);
        let newest: [f64; N_LEAST] = tapes.newest(offset);
        for (lanes, close) in self.closes[N_NEAR - N_LEAST..].iter_mut().zip(newest) {
            lanes.as_mut_slice()[lane] = close;
        }
        // The slower one of the averages that adapt looks as far back.
        for n in std::iter::once(30).chain(N_LEAST + 1..=self.n_closes) {
            self.closes[N_NEAR - n].as_mut_slice()[lane] = tapes.close_before(offset, n);
        }
        self.far[N_CLOSES - FAR].as_mut_slice()[lane] = tapes.close_before(offset, FAR);
        if parts.has(Parts::RETURNS) {
            self.closes[N_NEAR - 21].as_mut_slice()[lane] = tapes.close_before(offset, 21);
            for n in FAR_RETURNS {
                self.far[N_CLOSES - n].as_mut_slice()[lane] = tapes.close_before(offset, n);
            }
        }
        let [highs, lows] = tapes.ranges(offset);
        if parts.any(Parts::COMMODITY.with(Parts::RANGES)) {
            copy::<S, N_RANGES, 19>(lane, highs, &mut self.highs);
            copy::<S, N_RANGES, 19>(lane, lows, &mut self.lows);
        } else {
            copy::<S, N_RANGES, 9>(lane, highs, &mut self.highs);
            copy::<S, N_RANGES, 9>(lane, lows, &mut self.lows);
        }
        if parts.has(Parts::RSIS) {
            copy::<S, N_RSIS, 13>(lane, tapes.rsis(offset), &mut self.rsis);
        }
        if parts.has(Parts::GAPS) {
            copy::<S, N_GAPS, N_GAPS>(lane, tapes.gaps(offset), &mut self.gaps);
        }
    }

    /// The rows of all lanes, and what the bars make of the state.
    #[inline(always)]
    pub(crate) fn compute(&mut self) {
        let (simd, parts) = (self.simd, self.parts);
        let zero = Lanes::splat(simd, 0.0);
        let (mut hot, mut windows) = (Hot::filled(zero), Windows::filled(zero));
        let (numbers, mut at) = (&*self.hot, 0);
        hot.visit(
            Unit::Plain,
            &mut each(
                #[inline(always)]
                |lanes: &mut Lanes<S>| {
                    *lanes = numbers[at];
                    at += 1;
                },
            ),
        );
        let (numbers, mut at) = (&*self.windows, 0);
        windows.visit(
            Unit::Plain,
            &mut each(
                #[inline(always)]
                |lanes: &mut Lanes<S>| {
                    *lanes = numbers[at];
                    at += 1;
                },
            ),
        );
        let [open, high, low, close, volume] = self.bars;
        let bar = Input { open, high, low, close, volume, inverse: close.inverse() };
        let past = Past {
            simd,
            closes: &self.closes,
            ring: &self.far[..],
            next: 0,
            highs: &self.highs,
            lows: &self.lows,
            volumes: &self.volumes,
            gaps: &self.gaps,
            rsis: &self.rsis,
            terms: None,
        };
        let paths = Paths { of_9: near_path(&past), of_29: windows.path29 };
        let step = step(&mut hot, &past, &bar, WARM, paths, windows.extremes.channels.last_13);
        let terms = NewTerms::new(&past, &bar);
        let places = if parts.has(Parts::RSIS) { rsi_places(last_rsis(&past, 0), step.rsi) } else { [zero; 2] };
        let row = &mut self.row.0;
        Scene {
            hot: &hot,
            step: &step,
            windows: &windows,
            past: &past,
            bar: &bar,
            terms: &terms,
            places,
            n_bars: WARM,
            parts,
        }
        .columns(row);
        row[Column::NBars as usize] = self.n_bars.plain();
        mark_undefined(simd, row, &self.columns);
        let (numbers, mut at) = (&mut *self.hot, 0);
        hot.read(&mut reader(
            #[inline(always)]
            |lanes: &Lanes<S>| {
                numbers[at] = *lanes;
                at += 1;
            },
        ));
        self.made = [step.gap_size, step.rsi, places[0], places[1]];
    }

    /// The row of a lane.
    #[inline(always)]
    pub(crate) fn row(&self, lane: usize) -> Row<'_> {
        Row::strided(pulp::bytemuck::cast_slice(&self.row.0), Self::N, lane)
    }

    /// What the slot of a lane is to keep of its bar, and the places of its RSI.
    #[inline(always)]
    pub(crate) fn made(&self, lane: usize, bar: &Bar) -> (Entry, [f64; 2]) {
        let Bar { close, high, low, volume, .. } = *bar;
        let [gap, rsi, short, long] = self.made.each_ref().map(
            #[inline(always)]
            |lanes| lanes.as_slice()[lane],
        );
        (Entry { close, high, low, volume, gap, rsi }, [short, long])
    }

    /// What the bar of a lane made of the state.
    #[inline(always)]
    pub(crate) fn put_back(&self, lane: usize, hot: &mut Hot<f64>) {
        let (numbers, mut at) = (&*self.hot, 0);
        hot.visit(
            Unit::Plain,
            &mut each(
                #[inline(always)]
                |number: &mut f64| {
                    *number = numbers[at].as_slice()[lane];
                    at += 1;
                },
            ),
        );
    }
}

/// Puts the numbers of a state into a lane of those from a place on.
#[inline(always)]
fn lay<S: Simd, T: State<f64>>(state: &T, to: &mut [Lanes<S>], at: &mut usize, lane: usize) {
    state.read(&mut reader(
        #[inline(always)]
        |number: &f64| {
            to[*at].as_mut_slice()[lane] = *number;
            *at += 1;
        },
    ));
}

/// As [`lay`], where somebody reads them.
#[inline(always)]
fn lay_if<S: Simd, T: State<f64>>(is_read: bool, state: &T, to: &mut [Lanes<S>], at: &mut usize, lane: usize) {
    let after = *at + size_of::<T>() / size_of::<f64>();
    if is_read {
        lay(state, to, at, lane);
    }
    *at = after;
}

/// Copies the newest `N` numbers of a window into a lane.
#[inline(always)]
fn copy<S: Simd, const LENGTH: usize, const N: usize>(lane: usize, from: &[f64; LENGTH], to: &mut [Lanes<S>; LENGTH]) {
    for at in LENGTH - N..LENGTH {
        to[at].as_mut_slice()[lane] = from[at];
    }
}

/// A visitor. Attributes may stand before an argument, not before a reference.
#[inline(always)]
fn each<L>(mut visit: impl FnMut(&mut L)) -> impl FnMut(&mut L, Unit) {
    #[inline(always)]
    move |number, _| visit(number)
}

/// As [`each`].
#[inline(always)]
fn reader<L>(read: impl FnMut(&L)) -> impl FnMut(&L) {
    read
}
