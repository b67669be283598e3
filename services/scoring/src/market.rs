//! The state of the market as a whole, from the closes of its indices.

use std::collections::HashMap;

use schemas::{EventTime, Market, Symbol, Timeframe};

use crate::macro_context::{DatedClose, MacroCloses, MacroContext};
use crate::regime::{Regime, VolLevel};

/// The index that the regime is read from (specification §12).
const BENCHMARK: &str = "SPY";
/// Closes that the regime looks at.
const REGIME_CLOSES: usize = 260;

/// The closes of the indices that reference data brought, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Indices {
    closes: HashMap<Symbol, Vec<DatedClose>>,
}

impl Indices {
    pub(crate) fn insert(&mut self, symbol: Symbol, closes: &[(i32, f64)]) {
        if closes.is_empty() {
            self.closes.remove(&symbol);
        } else {
            let closes = closes.iter().map(|&(day, close)| DatedClose { day, close }).collect();
            self.closes.insert(symbol, closes);
        }
    }

    /// The market as it was known when a bar of `as_of` had closed; `None` without closes of the benchmark.
    pub(crate) fn state(&self, as_of: EventTime) -> Option<Market> {
        let of = |name: &str| self.known(name, as_of);
        let benchmark = of(BENCHMARK);
        let newest = benchmark.last()?;
        let recent = &benchmark[benchmark.len().saturating_sub(REGIME_CLOSES)..];
        let regime = Regime::new(&recent.iter().map(|bar| bar.close).collect::<Vec<_>>());
        let context = MacroContext::new(&MacroCloses {
            equity: benchmark,
            growth: of("QQQ"),
            short_treasury: of("SHY"),
            mid_treasury: of("IEF"),
            long_treasury: of("TLT"),
            high_yield: of("HYG"),
            investment_grade: of("LQD"),
            volatility: of("VIXY"),
        });
        Some(Market {
            as_of: EventTime::from_days(newest.day).display(Timeframe::D1),
            benchmark: BENCHMARK.to_owned(),
            trend: regime.trend.as_str().into(),
            vol: regime.vol.as_str().into(),
            label: regime.label(),
            is_risk_on: regime.is_risk_on(),
            trend_slope: regime.trend_slope,
            vol_per_year: regime.vol_level,
            vol_level: regime.level().map(VolLevel::as_str).map(Into::into),
            growth_level: context.growth_level,
            growth_slope: context.growth_slope,
            growth_ret20: context.growth_ret20,
            vol_ratio: context.equity_vol_ratio,
            vol_spike_ratio: context.equity_vol_spike_ratio,
        })
    }

    fn known(&self, name: &str, as_of: EventTime) -> &[DatedClose] {
        let closes = Symbol::new(name).ok().and_then(|symbol| self.closes.get(&symbol)).map_or(&[][..], Vec::as_slice);
        &closes[..closes.partition_point(|bar| EventTime::from_days(bar.day) <= as_of)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_after_the_moment_is_looked_at() {
        let mut indices = Indices::default();
        assert_eq!(indices.state(EventTime::from_days(400)), None);
        let rise: Vec<(i32, f64)> = (0..300).map(|day| (day, 100.0 + f64::from(day))).collect();
        let mut crash = rise.clone();
        crash.extend((300..400).map(|day| (day, 1.0)));
        let symbol = Symbol::new(BENCHMARK).unwrap();
        indices.insert(symbol, &rise);
        let expected = indices.state(EventTime::from_days(299)).unwrap();
        assert_eq!((&*expected.trend, expected.as_of.as_str()), ("TRENDING_UP", "1970-10-27"));
        indices.insert(symbol, &crash);
        assert_eq!(indices.state(EventTime::from_days(299)), Some(expected));
        assert_eq!(&*indices.state(EventTime::from_days(320)).unwrap().trend, "TRENDING_DOWN");
        assert_eq!(indices.state(EventTime::from_days(-1)), None);
    }
}
