/// Natural logarithm of a positive number: the same bits on every platform and beside others, which those of the platform's
/// library are not.
///
/// # Source
/// FreeBSD msun, `e_log.c`: less than one unit in the last place off.
#[inline(always)]
pub(crate) fn ln(number: f64) -> f64 {
    if number.is_normal() { ln_normal(number) } else { number.ln() }
}

/// Of several numbers at once.
#[inline(always)]
pub(crate) fn ln_all(numbers: &mut [f64]) {
    if numbers.iter().all(|number| number.is_normal()) {
        for number in numbers {
            *number = ln_normal(*number);
        }
    } else {
        for number in numbers {
            *number = ln(*number);
        }
    }
}

#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "the names of the source")]
fn ln_normal(number: f64) -> f64 {
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const LG1: f64 = 6.666_666_666_666_735e-1;
    const LG2: f64 = 3.999_999_999_940_942e-1;
    const LG3: f64 = 2.857_142_874_366_239e-1;
    const LG4: f64 = 2.222_219_843_214_978_4e-1;
    const LG5: f64 = 1.818_357_216_161_805e-1;
    const LG6: f64 = 1.531_383_769_920_937_3e-1;
    const LG7: f64 = 1.479_819_860_511_658_6e-1;
    /// The bits of √½: mantissas go from there to √2.
    const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    /// What turns a small integer into a float by an addition.
    const MAGIC: u64 = 0x4338_0000_0000_0000;
    let bits = number.to_bits();
    // As unsigned numbers, so that every dispatch target has the shift.
    let exponent = (bits.wrapping_sub(ROOT_HALF).wrapping_add(1 << 62) >> 52).wrapping_sub(1 << 10);
    let mantissa = f64::from_bits(bits.wrapping_sub(exponent << 52));
    let k = f64::from_bits(MAGIC.wrapping_add(exponent)) - f64::from_bits(MAGIC);
    let f = mantissa - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * (LG2 + w * (LG4 + w * LG6));
    let odd = z * (LG1 + w * (LG3 + w * (LG5 + w * LG7)));
    let half_square = 0.5 * f * f;
    s * (half_square + (even + odd)) + k * LN2_LOW - half_square + f + k * LN2_HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_logarithm() {
        let mut numbers: Vec<f64> = (-1000..1000).map(|i| 1.01_f64.powi(i * 60 % 60_000) * 1.000_37).collect();
        numbers.extend([1.0, 2.0, 0.5, 1.0 + 1e-15, 1.0 - 1e-15, 1e-300, 1e300, 1.02, 0.7, 0.708, 1.414, 1.415]);
        for &number in &numbers {
            let (found, expected) = (ln(number), number.ln());
            assert!((found - expected).abs() <= 1e-15 * expected.abs(), "{number}: {found} {expected}");
        }
        let mut all = numbers.clone();
        ln_all(&mut all);
        assert!(numbers.iter().zip(all).all(|(number, found)| ln(*number).to_bits() == found.to_bits()));
        assert_eq!(ln(f64::INFINITY).to_bits(), f64::INFINITY.to_bits());
        assert_eq!(ln(1.0).to_bits(), 0.0_f64.to_bits());
    }
}
