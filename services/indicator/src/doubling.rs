//! The extremes of windows of several symbols side by side: those of 2, 4, 8, … bars are those of two halves, and any other
//! window is covered by two of these that overlap.

use crate::channel::{Channel, Channels, N_AROON, N_YEAR};
use crate::input::Input;
use crate::lane::Lane;
use crate::near::NearExtremes;
use crate::stochastic::RsiPlaces;
use crate::window::term;
use crate::windows::WindowExtremes;

/// More than any half of a window reaches back, of bars and of closes; powers of two.
const N_BARS: usize = 32;
const N_CLOSES: usize = 128;

/// What was found when each of the last bars was the newest.
#[derive(Debug)]
struct Ring<L, const R: usize>(Box<[L; R]>);

impl<L: Lane, const R: usize> Ring<L, R> {
    fn new(number: L) -> Self {
        Self(Box::new([number; R]))
    }

    /// Of bar `i`; any number before the first bar.
    #[inline(always)]
    fn at(&self, i: usize) -> L {
        self.0[i % R]
    }

    #[inline(always)]
    fn put(&mut self, i: usize, number: L) {
        self.0[i % R] = number;
    }
}

/// The larger or the smaller of two numbers, the first of which is newer.
trait Side {
    fn is_kept<L: Lane>(newer: L, older: L) -> L::Mask;
    fn join<L: Lane>(newer: L, older: L) -> L;
}

#[derive(Debug)]
struct Upper;

impl Side for Upper {
    #[inline(always)]
    fn is_kept<L: Lane>(newer: L, older: L) -> L::Mask {
        newer.is_at_least(older)
    }

    #[inline(always)]
    fn join<L: Lane>(newer: L, older: L) -> L {
        newer.higher(older)
    }
}

#[derive(Debug)]
struct Lower;

impl Side for Lower {
    #[inline(always)]
    fn is_kept<L: Lane>(newer: L, older: L) -> L::Mask {
        newer.is_at_most(older)
    }

    #[inline(always)]
    fn join<L: Lane>(newer: L, older: L) -> L {
        newer.lower(older)
    }
}

/// Extremes of windows of 2ᵏ numbers, for each of `N` levels.
#[derive(Debug)]
struct Levels<L, D, const N: usize, const R: usize> {
    rings: [Ring<L, R>; N],
    side: std::marker::PhantomData<D>,
}

impl<L: Lane, D: Side, const N: usize, const R: usize> Levels<L, D, N, R> {
    fn new(number: L) -> Self {
        Self { rings: std::array::from_fn(|_| Ring::new(number)), side: std::marker::PhantomData }
    }

    #[inline(always)]
    fn put(&mut self, i: usize, number: L) {
        let mut extreme = number;
        self.rings[0].put(i, extreme);
        for level in 1..N {
            extreme = D::join(extreme, self.rings[level - 1].at(i.wrapping_sub(1 << (level - 1))));
            self.rings[level].put(i, extreme);
        }
    }

    /// Of the `n` numbers up to number `i`.
    #[inline(always)]
    fn window(&self, i: usize, n: usize) -> L {
        let level = n.ilog2() as usize;
        D::join(self.rings[level].at(i), self.rings[level].at(i.wrapping_sub(n - (1 << level))))
    }
}

/// Levels of a window of [`N_AROON`], and where the newest of equal extremes stands: its number, counted from the first bar.
const N_PLACES: usize = N_AROON.ilog2() as usize + 1;

#[derive(Debug)]
struct Places<L>([Ring<L, N_BARS>; N_PLACES]);

impl<L: Lane> Places<L> {
    fn new(number: L) -> Self {
        Self(std::array::from_fn(|_| Ring::new(number)))
    }

    /// `levels` have bar `i`.
    #[inline(always)]
    fn put<D: Side, const N: usize>(&mut self, i: usize, levels: &Levels<L, D, N, N_BARS>) {
        let mut place = levels.rings[0].at(i).constant(i as f64);
        self.0[0].put(i, place);
        for level in 1..N_PLACES {
            let half = i.wrapping_sub(1 << (level - 1));
            let values = &levels.rings[level - 1];
            place = L::select(D::is_kept(values.at(i), values.at(half)), place, self.0[level - 1].at(half));
            self.0[level].put(i, place);
        }
    }

    /// In the window of [`N_AROON`] that bar `i` ends: 0 is its oldest bar.
    #[inline(always)]
    fn place<D: Side, const N: usize>(&self, i: usize, levels: &Levels<L, D, N, N_BARS>) -> L {
        let level = N_PLACES - 1;
        let half = i.wrapping_sub(N_AROON - (1 << level));
        let values = &levels.rings[level];
        let is_kept = D::is_kept(values.at(i), values.at(half));
        L::select(is_kept, self.0[level].at(i), self.0[level].at(half)) - (i as f64 - (N_AROON - 1) as f64)
    }
}

/// All windows of [`WindowExtremes`] and [`NearExtremes`].
#[derive(Debug)]
pub(crate) struct Doubling<L> {
    highs: Levels<L, Upper, 6, N_BARS>,
    lows: Levels<L, Lower, 6, N_BARS>,
    high_places: Places<L>,
    low_places: Places<L>,
    closes_high: Levels<L, Upper, 8, N_CLOSES>,
    closes_low: Levels<L, Lower, 8, N_CLOSES>,
    rsis_high: Levels<L, Upper, 4, N_BARS>,
    rsis_low: Levels<L, Lower, 4, N_BARS>,
    rsi_places: RsiPlaces<L>,
}

impl<L: Lane> Doubling<L> {
    pub(crate) fn new(number: L) -> Self {
        Self {
            highs: Levels::new(number),
            lows: Levels::new(number),
            high_places: Places::new(number),
            low_places: Places::new(number),
            closes_high: Levels::new(number),
            closes_low: Levels::new(number),
            rsis_high: Levels::new(number),
            rsis_low: Levels::new(number),
            rsi_places: RsiPlaces([[number; 2]; 2]),
        }
    }

    /// Takes in bar `i`, its RSI, and where that stands.
    #[inline(always)]
    pub(crate) fn put(&mut self, i: usize, bar: &Input<L>, rsi: L, rsi_places: [L; 2]) {
        self.highs.put(i, bar.high);
        self.lows.put(i, bar.low);
        self.high_places.put(i, &self.highs);
        self.low_places.put(i, &self.lows);
        self.closes_high.put(i, bar.close);
        self.closes_low.put(i, bar.close);
        self.rsis_high.put(i, rsi);
        self.rsis_low.put(i, rsi);
        self.rsi_places = RsiPlaces([self.rsi_places.0[1], rsi_places]);
    }

    /// Before bar `i`.
    #[inline(always)]
    pub(crate) fn extremes(&self, i: usize) -> (WindowExtremes<L>, NearExtremes<L>) {
        let last = i.wrapping_sub(1);
        let range = term(
            #[inline(always)]
            |n| Channel { high: self.highs.window(last, n), low: self.lows.window(last, n) },
        );
        let closes = term(
            #[inline(always)]
            |n| Channel { high: self.closes_high.window(last, n), low: self.closes_low.window(last, n) },
        );
        let rsis = term(
            #[inline(always)]
            |n| Channel { high: self.rsis_high.window(last, n), low: self.rsis_low.window(last, n) },
        );
        let near = NearExtremes {
            last_4: range(4),
            last_8: range(8),
            last_9: range(9),
            closes19: closes(19),
            rsis: [rsis(4), rsis(13)],
        };
        let places25 =
            Channel { high: self.high_places.place(last, &self.highs), low: self.low_places.place(last, &self.lows) };
        let (last_13, last_19, last_25, last_51) = (range(13), range(19), range(25), range(51));
        let channels = Channels { last_13, last_19, last_25, last_51, places25 };
        (WindowExtremes { channels, rsis: self.rsi_places, year: closes(N_YEAR) }, near)
    }
}
