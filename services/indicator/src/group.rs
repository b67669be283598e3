//! Slots side by side: the forming or the next bar of as many symbols at once as the processor has lanes.

use pulp::Simd;
use schemas::{Bar, BarFlags};

use crate::engine::{Hot, Scene, step};
use crate::input::{Input, N_CLOSES, N_GAPS, N_RANGES, N_RSIS, N_VOLUMES, Past};
use crate::kama::{Paths, near_path};
use crate::lane::Lane as _;
use crate::lanes::Lanes;
use crate::plan::{Column, N_COLUMNS, NEED_MAX};
use crate::selection::Parts;
use crate::slot::{Made, Slot, WARM, is_impossible};
use crate::state::{State as _, Unit};
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
    n_ranges: usize,
    closes: Box<[Lanes<S>; N_CLOSES]>,
    highs: Box<[Lanes<S>; N_RANGES]>,
    lows: Box<[Lanes<S>; N_RANGES]>,
    /// Nobody reads them.
    volumes: [Lanes<S>; N_VOLUMES],
    gaps: [Lanes<S>; N_GAPS],
    rsis: [Lanes<S>; N_RSIS],
    hot: Vec<Lanes<S>>,
    windows: Vec<Lanes<S>>,
    bars: [Lanes<S>; N_PRICES],
    /// With the bar.
    n_bars: Lanes<S>,
    /// Gap, RSI and its places.
    made: [Lanes<S>; 4],
    row: Box<Aligned<[S::f64s; N_COLUMNS]>>,
}

const N_PRICES: usize = 5;

/// As [`Lanes`] are.
#[repr(align(64))]
struct Aligned<T>(T);

/// Closes that are read on their own, by how far back they stand.
const FAR: [usize; 2] = [30, 200];
const FAR_RETURNS: [usize; 4] = [21, 63, 126, 252];

impl<S: Simd> Group<S> {
    pub(crate) const N: usize = S::F64_LANES;

    pub(crate) fn new(simd: S, parts: Parts) -> Self {
        let zero = Lanes::splat(simd, 0.0);
        // As many as the longest window that may be looked through again.
        let n_closes = if parts.has(Parts::VOLATILITIES) {
            61
        } else if parts.has(Parts::STRENGTH) {
            50
        } else if parts.has(Parts::SLOPE) {
            39
        } else {
            20
        };
        let n_ranges = if parts.any(Parts::COMMODITY.with(Parts::RANGES)) { 19 } else { 9 };
        Self {
            simd,
            parts,
            columns: parts.columns().collect(),
            n_closes,
            n_ranges,
            closes: Box::new([zero; _]),
            highs: Box::new([zero; _]),
            lows: Box::new([zero; _]),
            volumes: [zero; _],
            gaps: [zero; _],
            rsis: [zero; _],
            hot: vec![zero; size_of::<Hot<f64>>() / size_of::<f64>()],
            windows: vec![zero; size_of::<Windows<f64>>() / size_of::<f64>()],
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
        let (mut hot, mut windows) = (slot.head.hot, slot.windows);
        let mut at = 0;
        hot.visit(
            Unit::Plain,
            &mut each(
                #[inline(always)]
                |number: &mut f64| {
                    self.hot[at].as_mut_slice()[lane] = *number;
                    at += 1;
                },
            ),
        );
        at = 0;
        windows.visit(
            Unit::Plain,
            &mut each(
                #[inline(always)]
                |number: &mut f64| {
                    self.windows[at].as_mut_slice()[lane] = *number;
                    at += 1;
                },
            ),
        );
        let past = slot.past(self.simd);
        copy(lane, past.closes, &mut self.closes[..], self.n_closes);
        copy(lane, past.highs, &mut self.highs[..], self.n_ranges);
        copy(lane, past.lows, &mut self.lows[..], self.n_ranges);
        for n in FAR {
            self.closes[N_CLOSES - n].as_mut_slice()[lane] = past.closes[N_CLOSES - n];
        }
        if self.parts.has(Parts::RETURNS) {
            for n in FAR_RETURNS {
                self.closes[N_CLOSES - n].as_mut_slice()[lane] = past.closes[N_CLOSES - n];
            }
        }
        if self.parts.has(Parts::RSIS) {
            copy(lane, past.rsis, &mut self.rsis, 13);
        }
        if self.parts.has(Parts::GAPS) {
            copy(lane, past.gaps, &mut self.gaps, N_GAPS);
        }
    }

    /// The rows of all lanes, and what the bars make of the state.
    #[inline(always)]
    pub(crate) fn compute(&mut self) {
        let (simd, parts) = (self.simd, self.parts);
        let zero = Lanes::splat(simd, 0.0);
        let (mut hot, mut windows) = (Hot::filled(zero), Windows::filled(zero));
        let mut numbers = self.hot.iter();
        hot.visit(
            Unit::Plain,
            &mut each(
                #[inline(always)]
                |lanes: &mut Lanes<S>| *lanes = *numbers.next().expect("there is one for each"),
            ),
        );
        let mut numbers = self.windows.iter();
        windows.visit(
            Unit::Plain,
            &mut each(
                #[inline(always)]
                |lanes: &mut Lanes<S>| *lanes = *numbers.next().expect("there is one for each"),
            ),
        );
        let [open, high, low, close, volume] = self.bars;
        let bar = Input { open, high, low, close, volume, inverse: close.inverse() };
        let past = Past {
            simd,
            closes: &self.closes,
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
        let mut numbers = self.hot.iter_mut();
        hot.visit(
            Unit::Plain,
            &mut each(
                #[inline(always)]
                |lanes: &mut Lanes<S>| *numbers.next().expect("there is one for each") = *lanes,
            ),
        );
        self.made = [step.gap_size, step.rsi, places[0], places[1]];
    }

    /// The row of a lane.
    #[inline(always)]
    pub(crate) fn row(&self, lane: usize) -> Row<'_> {
        Row::strided(pulp::bytemuck::cast_slice(&self.row.0), Self::N, lane)
    }

    /// What the bar of a lane made of its slot.
    #[inline(always)]
    pub(crate) fn made(&self, lane: usize, bar: &Bar) -> Made {
        let mut hot = Hot::filled(0.0);
        let mut numbers = self.hot.iter();
        hot.visit(
            Unit::Plain,
            &mut each(
                #[inline(always)]
                |number: &mut f64| *number = numbers.next().expect("there is one for each").as_slice()[lane],
            ),
        );
        let [gap, rsi, short, long] = self.made.each_ref().map(|lanes| lanes.as_slice()[lane]);
        let Bar { close, high, low, volume, .. } = *bar;
        Made { hot, entry: Entry { close, high, low, volume, gap, rsi }, places: [short, long] }
    }
}

/// Copies the newest numbers of a window into a lane.
#[inline(always)]
fn copy<S: Simd, const N: usize>(lane: usize, from: &[f64; N], to: &mut [Lanes<S>], n: usize) {
    let first = N - n;
    for (lanes, number) in to[first..].iter_mut().zip(&from[first..]) {
        lanes.as_mut_slice()[lane] = *number;
    }
}

/// A visitor. Attributes may stand before an argument, not before a reference.
#[inline(always)]
fn each<L>(mut visit: impl FnMut(&mut L)) -> impl FnMut(&mut L, Unit) {
    #[inline(always)]
    move |number, _| visit(number)
}
