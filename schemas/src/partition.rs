use std::fmt;
use std::hash::Hasher as _;

use fnv::FnvHasher;

use crate::Symbol;

/// How many partitions a timeframe has. Not configurable: it is part of every subject.
pub const N_PARTITIONS: u8 = 64;

/// The share of the universe a symbol belongs to: `fnv1a_32(symbol) % 64`.
///
/// # Source
/// Equals the mapping `partition(64, …)` of the NATS server, so a server-side subject transform could do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u8);

impl Partition {
    /// # Panics
    /// Never: a remainder of 64 fits a byte.
    pub fn of(symbol: Symbol) -> Self {
        let hash = fnv1a_32(symbol.as_bytes());
        Self(u8::try_from(hash % u32::from(N_PARTITIONS)).expect("a remainder of 64 fits a byte"))
    }

    /// `None` when the number is not below [`N_PARTITIONS`].
    pub fn new(number: u8) -> Option<Self> {
        (number < N_PARTITIONS).then_some(Self(number))
    }

    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..N_PARTITIONS).map(Self)
    }

    pub const fn get(self) -> u8 {
        self.0
    }

    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{:02}", self.0)
    }
}

/// # Source
/// Fowler, Noll, Vo: FNV-1a with the 32-bit prime and offset basis.
fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// FNV-1a with 64 bits: names plans and epochs, never partitions.
pub(crate) fn fnv1a_64(bytes: &[u8]) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from the reference tables of the FNV authors (`fnv-1a`, 32 bit).
    #[test]
    fn hashes_as_the_reference_tables_say() {
        for (text, expected) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)] {
            assert_eq!(fnv1a_32(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn every_partition_is_used_and_shares_are_even() {
        let mut counts = [0_u32; N_PARTITIONS as usize];
        for number in 0..64_000 {
            counts[Partition::of(Symbol::new(&format!("S{number}")).unwrap()).index()] += 1;
        }
        assert!(counts.iter().all(|&count| (850..1150).contains(&count)), "{counts:?}");
    }
}
