use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Seeded randomness. `ChaCha` is a published algorithm, so a seed means the same market in every version.
pub(super) struct Random {
    rng: ChaCha8Rng,
    /// The second half of the last pair of normals.
    spare: Option<f64>,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), spare: None }
    }

    /// In [0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// In 0..n.
    pub(super) fn below(&mut self, n: usize) -> usize {
        let scaled = (u128::from(self.rng.next_u64()) * n as u128) >> 64;
        usize::try_from(scaled).expect("below n")
    }

    /// Standard normal.
    ///
    /// # Source
    /// Box and Muller (1958), "A Note on the Generation of Random Normal Deviates".
    pub(super) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sin, cos) = (TAU * self.uniform()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }
}
