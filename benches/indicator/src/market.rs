//! Generated bars: walks that depend on nothing but their place.

use schemas::{Bar, BarFlags, EventTime};

/// Symbols that all trade on the same days.
pub(crate) struct Market {
    walks: Vec<Walk>,
    n_history: usize,
}

struct Walk {
    state: u64,
    close: f64,
    day: i32,
}

impl Market {
    pub(crate) fn new(n_symbols: usize, n_history: usize) -> Self {
        let walk = |seed| Walk { state: seed, close: 20.0 + (seed % 200) as f64, day: 0 };
        Self { walks: (0..n_symbols as u64).map(walk).collect(), n_history }
    }

    /// The first bars of a symbol.
    pub(crate) fn history(&mut self, symbol: usize) -> Vec<Bar> {
        (0..self.n_history).map(|_| self.walks[symbol].next()).collect()
    }

    /// The next bar of every symbol.
    pub(crate) fn next(&mut self) -> Vec<Bar> {
        self.walks.iter_mut().map(Walk::next).collect()
    }
}

impl Walk {
    fn next(&mut self) -> Bar {
        let cents = |price: f64| (price * 100.0).round() / 100.0;
        let open = cents(self.close * (1.0 + 0.01 * self.signed())).max(0.01);
        let close = cents(open * (1.0 + 0.03 * self.signed())).max(0.01);
        let high = cents(open.max(close) * (1.0 + 0.01 * self.signed().abs())).max(open.max(close));
        let low = cents(open.min(close) * (1.0 - 0.01 * self.signed().abs())).max(0.01).min(open.min(close));
        let volume = (1e5 * (1.1 + self.signed())).round();
        self.close = close;
        self.day += 1;
        Bar {
            open_time: EventTime::from_days(self.day),
            open,
            high,
            low,
            close,
            volume,
            revision: 0,
            flags: BarFlags::FINAL,
        }
    }

    /// From −1 to 1.
    fn signed(&mut self) -> f64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    }
}

/// The numbers up to `n`, in an order without a pattern.
pub(crate) fn shuffled(n: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..n).collect();
    places.sort_by_key(|&place| {
        (place as u64)
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
    });
    places
}
