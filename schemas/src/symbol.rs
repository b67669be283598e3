use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const BYTES_MAX: usize = 15;

/// The ticker of one instrument: 1 to 15 printable ASCII characters, no white space.
///
/// Stored in place and copied freely: a batch of bars names its symbols without an allocation each. The order is that
/// of the bytes.
#[derive(Clone, Copy)]
pub struct Symbol {
    /// Unused bytes are zero, so comparing the array compares the text.
    bytes: [u8; BYTES_MAX],
    len: u8,
}

/// Why a text is no [`Symbol`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SymbolError {
    #[error("a symbol has 1 to {BYTES_MAX} characters, `{0}` has {len}", len = .0.len())]
    Length(String),
    #[error("a symbol is printable ASCII without spaces, `{}` is not", .0.escape_debug())]
    Character(String),
}

impl Symbol {
    /// # Errors
    /// When the text is empty, longer than 15 bytes, or holds anything but printable ASCII.
    ///
    /// # Panics
    /// Never: the length is checked before it is narrowed.
    pub fn new(text: &str) -> Result<Self, SymbolError> {
        if text.is_empty() || text.len() > BYTES_MAX {
            return Err(SymbolError::Length(text.chars().take(64).collect()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SymbolError::Character(text.to_owned()));
        }
        let mut bytes = [0; BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).expect("the length was checked above");
        Ok(Self { bytes, len })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// # Panics
    /// Never: a symbol is ASCII.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a symbol is ASCII by construction")
    }
}

impl Symbol {
    /// The symbol as one number, in the order of the symbols: comparing it costs less than comparing bytes.
    #[inline]
    fn order_key(self) -> u128 {
        let mut key = [self.len; BYTES_MAX + 1];
        key[..BYTES_MAX].copy_from_slice(&self.bytes);
        u128::from_be_bytes(key)
    }
}

impl PartialEq for Symbol {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.order_key() == other.order_key()
    }
}

impl Eq for Symbol {}

impl PartialOrd for Symbol {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Symbol {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.order_key().cmp(&other.order_key())
    }
}

impl Hash for Symbol {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Nearly all have at most eight characters: the rest adds little to hash, and nothing to tell apart.
        let key = self.order_key();
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
        let (high, low) = ((key >> 64) as u64, key as u64);
        state.write_u64(high ^ low.rotate_left(29));
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl FromStr for Symbol {
    type Err = SymbolError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Symbol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SymbolVisitor;
        impl Visitor<'_> for SymbolVisitor {
            type Value = Symbol;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a symbol")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Symbol, E> {
                Symbol::new(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(SymbolVisitor)
    }
}

impl JsonSchema for Symbol {
    fn schema_name() -> Cow<'static, str> {
        "Symbol".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[!-~]{1,15}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_share_classes_and_refuses_what_is_no_ticker() {
        for text in ["A", "BRK.B", "ABCDEFGHIJKLMNO", "TEST-WS", "X=Y"] {
            assert_eq!(Symbol::new(text).unwrap().as_str(), text);
        }
        for text in ["", "ABCDEFGHIJKLMNOP", "A B", "É", "A\n", "A\0"] {
            assert!(Symbol::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn orders_as_text_does() {
        let mut symbols = ["B", "AA", "A", "AB"].map(|text| Symbol::new(text).unwrap());
        symbols.sort();
        assert_eq!(symbols.map(|symbol| symbol.to_string()), ["A", "AA", "AB", "B"]);
    }
}
