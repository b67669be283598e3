use pulp::Simd;
use schemas::Bar;

use crate::atr::{buying_pressure, true_range};
use crate::figure::Figure;
use crate::lane::Lane;
use crate::volume::{close_place, flow};

pub(crate) const N_CLOSES: usize = 252;
/// Those that sums are of.
pub(crate) const N_NEAR: usize = 60;
pub(crate) const N_RANGES: usize = 51;
pub(crate) const N_VOLUMES: usize = 19;
pub(crate) const N_GAPS: usize = 9;
pub(crate) const N_RSIS: usize = 15;

/// The bar at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<L> {
    pub(crate) open: L,
    pub(crate) high: L,
    pub(crate) low: L,
    pub(crate) close: L,
    pub(crate) volume: L,
    /// Of the close: several figures divide by it.
    pub(crate) inverse: L,
}

impl<L: Lane> Input<L> {
    /// Three times the typical price.
    #[inline(always)]
    pub(crate) fn price(&self) -> L {
        self.high + self.low + self.close
    }
}

impl From<&Bar> for Input<f64> {
    #[inline(always)]
    fn from(bar: &Bar) -> Self {
        let Bar { open, high, low, close, volume, .. } = *bar;
        Self { open, high, low, close, volume, inverse: close.inverse() }
    }
}

/// What the bars before the one at hand left, newest last: as many numbers as the longest window needs beside its
/// newest one. Before the start of the segment they are any numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past<'a, S, L> {
    pub(crate) simd: S,
    pub(crate) closes: &'a [L; N_NEAR],
    /// All closes, where the newest stands before `next` and the first behind the last.
    pub(crate) ring: &'a [L],
    pub(crate) next: usize,
    pub(crate) highs: &'a [L; N_RANGES],
    pub(crate) lows: &'a [L; N_RANGES],
    pub(crate) volumes: &'a [L; N_VOLUMES],
    /// Size of the jump from close to open as a fraction.
    pub(crate) gaps: &'a [L; N_GAPS],
    pub(crate) rsis: &'a [L; N_RSIS],
    /// Found when they were the newest, by those who have room for them.
    pub(crate) terms: Option<Terms<'a, L>>,
}

/// What windows are sums of, beside the numbers of [`Past`], newest last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a, L> {
    /// Of the closes.
    pub(crate) inverses: &'a [L; N_CLOSES],
    pub(crate) returns: &'a [L; N_RETURNS],
    pub(crate) log_returns: &'a [L; N_LOG_RETURNS],
    pub(crate) replaced: &'a [L; N_REPLACED],
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
pub(crate) const N_LOG_RETURNS: usize = 19;
pub(crate) const N_REPLACED: usize = 18;
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

            /// The inverse of the close `n` bars before the one at hand.
            #[inline(always)]
            pub(crate) fn inverse_before(&self, n: usize) -> L {
                match &self.terms {
                    Some(terms) => terms.inverses[N_CLOSES - n],
                    None => self.close_before(n).inverse(),
                }
            }

            /// What a close gains over the one before, as a fraction.
            #[inline(always)]
            pub(crate) fn gain(&self, close: L) -> L {
                (close - self.close()) * self.inverse_before(1)
            }

            /// What the newest close gained.
            #[inline(always)]
            pub(crate) fn newest_return(&self) -> L {
                match &self.terms {
                    Some(terms) => terms.returns[N_RETURNS - 1],
                    None => (self.close() - self.close_before(2)) * self.inverse_before(2),
                }
            }

            #[inline(always)]
            pub(crate) fn newest_log_return(&self) -> L {
                match &self.terms {
                    Some(terms) => terms.log_returns[N_LOG_RETURNS - 1],
                    None => log_return(self.newest_return()),
                }
            }

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
    returns(past, age) = (past.close_run(age) - past.close_run(age + 1)) * past.close_run(age + 1).inverse();
    log_returns(past, age) = log_return(past.returns(age));
    /// What the close is above the one that it replaces in an average of 20.
    replaced(past, age) = past.close_run(age) - past.close_run(age + 20);
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

/// From the plain one.
#[inline(always)]
pub(crate) fn log_return<L: Lane>(simple: L) -> L {
    (simple + 1.0).ln()
}

impl<S, L: Lane> Past<'_, S, L> {
    /// Three times the typical price of the newest bar.
    #[inline(always)]
    pub(crate) fn price(&self) -> L {
        self.high() + self.low() + self.close()
    }

    #[inline(always)]
    pub(crate) fn close(&self) -> L {
        self.closes[N_NEAR - 1]
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
        if n <= N_NEAR {
            return self.closes[N_NEAR - n];
        }
        let at = self.next + self.ring.len() - n;
        self.ring[if at >= self.ring.len() { at - self.ring.len() } else { at }]
    }
}
