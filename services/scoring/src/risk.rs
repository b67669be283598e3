//! Which rows carry extreme risk.

/// Above this average true range / close (a fraction) a stock is ultra-risky.
pub const ULTRA_RISKY_ATR_PCT_MIN: f64 = 0.08;
/// Below this close (USD) a stock is ultra-risky.
pub const ULTRA_RISKY_PRICE_MAX: f64 = 2.0;
/// Below this dollar volume (USD per day) a stock is ultra-risky.
pub const ULTRA_RISKY_DOLLAR_VOLUME_MAX: f64 = 500_000.0;

/// Whether a row is ultra-risky: wild, cheap or hardly traded.
///
/// # Units
/// `atr_pct` is a fraction of the close, `close` is in USD, `dollar_volume` in USD per day.
/// An unknown value trips no limit.
///
/// # Source
/// §13.4, "do instead" of quirk Q10: the reference draws the line at an ATR of 1.76 %, which most
/// ordinary stocks exceed.
pub fn is_ultra_risky(atr_pct: Option<f64>, close: Option<f64>, dollar_volume: Option<f64>) -> bool {
    atr_pct.is_some_and(|v| v > ULTRA_RISKY_ATR_PCT_MIN)
        || close.is_some_and(|v| v < ULTRA_RISKY_PRICE_MAX)
        || dollar_volume.is_some_and(|v| v < ULTRA_RISKY_DOLLAR_VOLUME_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_alone_is_enough_and_the_limit_itself_is_not() {
        let check = |atr_pct, close, dollar_volume, expected| {
            assert_eq!(
                is_ultra_risky(atr_pct, close, dollar_volume),
                expected,
                "{atr_pct:?} {close:?} {dollar_volume:?}"
            );
        };
        check(Some(0.02), Some(50.0), Some(1e8), false);
        check(Some(0.08), Some(2.0), Some(500_000.0), false);
        check(Some(0.081), Some(50.0), Some(1e8), true);
        check(Some(0.02), Some(1.99), Some(1e8), true);
        check(Some(0.02), Some(50.0), Some(499_999.0), true);
        check(None, None, None, false);
        check(None, Some(1.0), None, true);
    }
}
