//! Figures of a window, recomputed from its numbers in the order of time: nothing drifts, and an outlier leaves no
//! trace once it has left the window.

/// Independent sums that the processor adds at once. Fixed, so that the same numbers always give the same bits.
const N_LANES: usize = 8;

/// Arithmetic mean.
///
/// # Shape
/// One per window; the caller waits until the window is full.
///
/// # Units
/// Those of the numbers.
///
/// # Source
/// TA-Lib `SMA`. Counted from the newest number, so that the mean of equal numbers is exactly that number: TA-Lib's
/// running sum leaves noise that makes flat averages differ.
pub(crate) fn mean<const N: usize>(window: &[f64; N]) -> f64 {
    let anchor = window[N - 1];
    anchor + sum(window, |number| number - anchor) / N as f64
}

/// Sample standard deviation: the divisor is one less than the count.
///
/// # Shape
/// One per window of two numbers or more.
///
/// # Units
/// Those of the numbers.
pub(crate) fn sample_deviation<const N: usize>(window: &[f64; N]) -> f64 {
    let mean = mean(window);
    let squares = sum(window, |number| (number - mean) * (number - mean));
    (squares / (N as f64 - 1.0)).sqrt()
}

/// The largest number; minus infinity when there is none.
pub(crate) fn highest<const N: usize>(window: &[f64; N]) -> f64 {
    // An explicit comparison: `fold` with `f64::max` has been miscompiled for AVX2 with fat LTO by rustc 1.95.
    window.iter().fold(f64::NEG_INFINITY, |highest, &number| if number > highest { number } else { highest })
}

fn sum<const N: usize>(window: &[f64; N], term: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; N_LANES];
    let (chunks, rest) = window.as_chunks::<N_LANES>();
    for chunk in chunks {
        for (lane, &number) in lanes.iter_mut().zip(chunk) {
            *lane += term(number);
        }
    }
    for (lane, &number) in lanes.iter_mut().zip(rest) {
        *lane += term(number);
    }
    ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const N: usize>() {
        assert_eq!(mean(&[10.1; N]).to_bits(), 10.1_f64.to_bits(), "{N}");
        let window: [f64; N] = std::array::from_fn(|i| i as f64 + 1.0);
        let n = N as f64;
        assert!((mean(&window) - f64::midpoint(n, 1.0)).abs() < 1e-12, "{N}");
        assert!((sum(&window, |number| number) - n * (n + 1.0) / 2.0).abs() < 1e-9, "{N}");
        assert_eq!(highest(&window).to_bits(), n.to_bits());
    }

    #[test]
    fn every_number_counts_once_and_the_mean_of_equal_numbers_is_that_number() {
        check::<1>();
        check::<7>();
        check::<8>();
        check::<10>();
        check::<20>();
        check::<50>();
        check::<200>();
    }

    #[test]
    fn deviation_divides_by_one_less() {
        let deviation = sample_deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert!((deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-15, "{deviation}");
        assert_eq!(sample_deviation(&[0.3; 20]).to_bits(), 0.0_f64.to_bits());
    }
}
