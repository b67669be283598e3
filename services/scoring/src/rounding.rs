//! Numbers as they are written and traded.

/// Smallest price steps: cents, and hundredths of a cent below one dollar.
const DECIMALS: usize = 2;
const DECIMALS_BELOW_DOLLAR: usize = 4;

/// The nearest price that can be traded; ties to even, of the exact binary value.
pub fn on_tick(price: f64) -> f64 {
    let decimals = if price.abs() < 1.0 { DECIMALS_BELOW_DOLLAR } else { DECIMALS };
    rounded(price, decimals)
}

/// The value at `decimals` places; ties to even, of the exact binary value.
///
/// # Panics
/// Never: what a number is written as reads back as one.
pub fn rounded(value: f64, decimals: usize) -> f64 {
    format!("{value:.decimals$}").parse().expect("a formatted number is a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_cents_and_finer_below_a_dollar() {
        let check = |price: f64, expected: f64| assert_eq!(on_tick(price).to_bits(), expected.to_bits(), "{price}");
        check(1.005, 1.0);
        check(12.344_9, 12.34);
        check(0.123_46, 0.1235);
        check(-0.123_46, -0.1235);
        assert_eq!(rounded(0.125, 2).to_bits(), 0.12_f64.to_bits());
    }
}
