/// A running 64-bit digest of words: names the content of a feed. Never stored, so it may change between versions.
///
/// # Source
/// The mixing step of rustc's `FxHash`; each step is a bijection of the state, so one changed word always shows.
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) fn new(name: &str) -> Self {
        let mut digest = Self(0);
        digest.bytes(name.as_bytes());
        digest
    }

    pub(crate) fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    pub(crate) fn number(&mut self, number: f64) {
        self.word(number.to_bits());
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.word(count as u64);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        for &byte in bytes {
            self.word(u64::from(byte));
        }
    }

    pub(crate) fn finish(&self) -> u64 {
        self.0
    }
}
