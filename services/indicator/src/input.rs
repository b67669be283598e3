use pulp::Simd;
use schemas::Bar;

use crate::atr::{buying_pressure, true_range};
use crate::figure::Figure;
use crate::lane::Lane;
use crate::logarithm::ln;
use crate::volume::{close_place, flow};

pub(crate) const N_CLOSES: usize = 252;
pub(crate) const N_RANGES: usize = 51;
pub(crate) const N_VOLUMES: usize = 19;
pub(crate) const N_GAPS: usize = 9;
pub(crate) const N_LOG_RETURNS: usize = 19;
pub(crate) const N_RSIS: usize = 15;

/// The bar at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<L> {
    pub(crate) open: L,
    pub(crate) high: L,
    pub(crate) low: L,
    pub(crate) close: L,
    pub(crate) volume: L,
    /// Logarithm of the close over the close before; 0 for the first bar of a segment.
    pub(crate) log_return: L,
}

impl Input<f64> {
    /// `previous_close` is any number when there is none.
    #[inline(always)]
    pub(crate) fn new(bar: &Bar, n_before: u32, previous_close: f64) -> Self {
        let Bar { open, high, low, close, volume, .. } = *bar;
        let log_return = if n_before == 0 { 0.0 } else { ln(close / previous_close) };
        Self { open, high, low, close, volume, log_return }
    }
}

/// What the bars before the one at hand left, newest last: as many numbers as the longest window needs beside its
/// newest one. Before the start of the segment they are any numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past<'a, S, L> {
    pub(crate) simd: S,
    pub(crate) closes: &'a [L; N_CLOSES],
    pub(crate) highs: &'a [L; N_RANGES],
    pub(crate) lows: &'a [L; N_RANGES],
    pub(crate) volumes: &'a [L; N_VOLUMES],
    /// Size of the jump from close to open as a fraction.
    pub(crate) gaps: &'a [L; N_GAPS],
    pub(crate) log_returns: &'a [L; N_LOG_RETURNS],
    pub(crate) rsis: &'a [L; N_RSIS],
    /// Found when they were the newest, by those who have room for them.
    pub(crate) terms: Option<Terms<'a, L>>,
}

/// What windows are sums of, beside the numbers of [`Past`], newest last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a, L> {
    pub(crate) returns: &'a [L; N_RETURNS],
    pub(crate) moves: &'a [L; N_MOVES],
    pub(crate) true_ranges: &'a [L; N_TRUE_RANGES],
    pub(crate) buying: &'a [L; N_TRUE_RANGES],
    pub(crate) prices: &'a [L; N_VOLUMES],
    pub(crate) flows: &'a [L; N_VOLUMES],
    pub(crate) price_volumes: &'a [L; N_VOLUMES],
    pub(crate) dollars: &'a [L; N_VOLUMES],
    pub(crate) flows_up: &'a [L; N_FLOWS],
    pub(crate) flows_down: &'a [L; N_FLOWS],
}

pub(crate) const N_RETURNS: usize = 59;
pub(crate) const N_MOVES: usize = 29;
pub(crate) const N_TRUE_RANGES: usize = 27;
pub(crate) const N_FLOWS: usize = 13;

/// A run of terms that is kept, or found again from the numbers.
macro_rules! terms {
    ($($(#[$doc:meta])* $name:ident($past:ident, $age:ident) = $found:expr;)*) => {
        impl<S: Simd, L: Figure<S>> Past<'_, S, L> {
            $($(#[$doc])*
            #[inline(always)]
            pub(crate) fn $name(&self, age: usize) -> L::Run {
                if let Some(terms) = &self.terms {
                    return L::run(self.simd, terms.$name, age);
                }
                let ($past, $age) = (self, age);
                $found
            })*

            #[inline(always)]
            pub(crate) fn close_run(&self, age: usize) -> L::Run {
                L::run(self.simd, self.closes, age)
            }

            #[inline(always)]
            pub(crate) fn high_run(&self, age: usize) -> L::Run {
                L::run(self.simd, self.highs, age)
            }

            #[inline(always)]
            pub(crate) fn low_run(&self, age: usize) -> L::Run {
                L::run(self.simd, self.lows, age)
            }

            #[inline(always)]
            pub(crate) fn volume_run(&self, age: usize) -> L::Run {
                L::run(self.simd, self.volumes, age)
            }
        }
    };
}

terms! {
    /// What the close gained, as a fraction.
    returns(past, age) = past.close_run(age) / past.close_run(age + 1) - 1.0;
    /// How far the close moved.
    moves(past, age) = (past.close_run(age) - past.close_run(age + 1)).abs();
    true_ranges(past, age) = true_range(past.high_run(age), past.low_run(age), past.close_run(age + 1));
    buying(past, age) = buying_pressure(past.low_run(age), past.close_run(age), past.close_run(age + 1));
    /// Three times the typical price.
    prices(past, age) = past.high_run(age) + past.low_run(age) + past.close_run(age);
    /// Volume times where in its bar the close stands.
    flows(past, age) =
        close_place(past.high_run(age), past.low_run(age), past.close_run(age)) * past.volume_run(age);
    price_volumes(past, age) = past.prices(age) * past.volume_run(age);
    dollars(past, age) = past.close_run(age) * past.volume_run(age);
    /// What flowed at a price above the one before.
    flows_up(past, age) = flow(past.prices(age + 1), past.prices(age), past.prices(age), past.volume_run(age));
    flows_down(past, age) = flow(past.prices(age), past.prices(age + 1), past.prices(age), past.volume_run(age));
}

impl<S, L: Lane> Past<'_, S, L> {
    #[inline(always)]
    pub(crate) fn close(&self) -> L {
        self.closes[N_CLOSES - 1]
    }

    #[inline(always)]
    pub(crate) fn high(&self) -> L {
        self.highs[N_RANGES - 1]
    }

    #[inline(always)]
    pub(crate) fn low(&self) -> L {
        self.lows[N_RANGES - 1]
    }

    /// The close `n` bars before the one at hand.
    #[inline(always)]
    pub(crate) fn close_before(&self, n: usize) -> L {
        self.closes[N_CLOSES - n]
    }
}
