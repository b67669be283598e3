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
    rounded_exactly(value, decimals)
        .unwrap_or_else(|| format!("{value:.decimals$}").parse().expect("a formatted number is a number"))
}

/// [`rounded`] without a detour through text, where plain arithmetic is exact; `None` elsewhere.
fn rounded_exactly(value: f64, decimals: usize) -> Option<f64> {
    let scale = *[1.0, 10.0, 100.0, 1_000.0, 10_000.0].get(decimals)?;
    // From 2^-4 to 2^36 the product less its nearest integer is a multiple of the value's last place below 1, which
    // needs no more than 53 bits.
    let size = value.abs();
    if !(0.0625..6.8e10).contains(&size) {
        return None;
    }
    let nearest = (size * scale).round_ties_even();
    let rest = size.mul_add(scale, -nearest);
    let is_odd = nearest % 2.0 != 0.0;
    let step = if rest > 0.5 || (is_odd && rest >= 0.5) {
        1.0
    } else if rest < -0.5 || (is_odd && rest <= -0.5) {
        -1.0
    } else {
        0.0
    };
    Some(((nearest + step) / scale).copysign(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn plain_arithmetic_gives_the_bits_of_the_text(
            value in prop_oneof![-1e12..1e12, -2e3..2e3, -1.0..1.0, (-100_000..100_000).prop_map(|n| f64::from(n) / 1600.0)],
            n_ulps in -2_i64..3,
            decimals in 0_usize..6,
        ) {
            // Beside the ties, too.
            let value = f64::from_bits(f64::to_bits(value).wrapping_add_signed(n_ulps));
            let expected: f64 = format!("{value:.decimals$}").parse().unwrap();
            prop_assert_eq!(rounded(value, decimals).to_bits(), expected.to_bits(), "{}", value);
        }
    }

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
