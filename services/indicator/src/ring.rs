/// The newest `N` numbers in a fixed place; number `i` of a series stands at `i % N`.
///
/// The owner counts the series. The oldest place is spare: a [`window`](Self::window) takes `N − 1` stored numbers and
/// one that may still change, so putting the newest number again undoes the one before without a loss.
#[derive(Debug, Clone)]
pub(crate) struct Ring<const N: usize> {
    numbers: [f64; N],
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self { numbers: [0.0; N] }
    }
}

impl<const N: usize> Ring<N> {
    /// Stores a number after `n_before` others.
    pub(crate) fn put(&mut self, n_before: u32, number: f64) {
        self.numbers[place::<N>(n_before)] = number;
    }

    /// The last of `n` numbers; any number when there are none.
    pub(crate) fn newest(&self, n: u32) -> f64 {
        self.numbers[place::<N>(n.wrapping_sub(1))]
    }

    /// Fills a window with the last `N − 1` of `n` numbers in the order of time, and `newest` behind them. What lies
    /// before the start of the series is any number.
    ///
    /// Returning the window would copy it once more, a tenth of the time of a close.
    pub(crate) fn copy_window(&self, n: u32, newest: f64, window: &mut [f64; N]) {
        let (newer, older) = self.numbers.split_at(place::<N>(n));
        let older = &older[1..];
        window[..older.len()].copy_from_slice(older);
        window[older.len()..N - 1].copy_from_slice(newer);
        window[N - 1] = newest;
    }

    pub(crate) fn as_slice(&self) -> &[f64] {
        &self.numbers
    }

    pub(crate) fn from_slice(numbers: &[f64]) -> Option<Self> {
        Some(Self { numbers: numbers.try_into().ok()? })
    }
}

fn place<const N: usize>(i: u32) -> usize {
    i as usize % N
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window<const N: usize>(ring: &Ring<N>, n: u32, newest: f64) -> [u64; N] {
        let mut window = [0.0; N];
        ring.copy_window(n, newest, &mut window);
        window.map(f64::to_bits)
    }

    #[test]
    fn a_window_is_in_the_order_of_time_wherever_the_head_is() {
        let mut ring = Ring::<4>::default();
        for n in 0..20_u32 {
            if n >= 3 {
                let expected = [n - 3, n - 2, n - 1, n].map(f64::from).map(f64::to_bits);
                assert_eq!(window(&ring, n, f64::from(n)), expected);
            }
            ring.put(n, f64::from(n));
            assert_eq!(ring.newest(n + 1).to_bits(), f64::from(n).to_bits());
        }
    }

    #[test]
    fn the_newest_number_can_be_put_again() {
        let mut ring = Ring::<3>::default();
        for (n, number) in (0..).zip([1.0, 2.0, 3.0, 4.0]) {
            ring.put(n, number);
        }
        ring.put(3, 5.0);
        assert_eq!(window(&ring, 3, 6.0), [2.0_f64, 3.0, 6.0].map(f64::to_bits));
        assert_eq!(window(&ring, 4, 6.0), [3.0_f64, 5.0, 6.0].map(f64::to_bits));
    }
}
