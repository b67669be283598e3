use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of one value in a column.
const VALUE_BYTES: usize = 8;

macro_rules! column {
    ($(#[$doc:meta])* $name:ident, $value:ty, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name(pub Vec<$value>);

        impl std::ops::Deref for $name {
            type Target = [$value];

            fn deref(&self) -> &[$value] {
                &self.0
            }
        }

        impl From<Vec<$value>> for $name {
            fn from(values: Vec<$value>) -> Self {
                Self(values)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    return self.0.serialize(serializer);
                }
                let mut bytes = Vec::with_capacity(self.0.len() * VALUE_BYTES);
                for value in &self.0 {
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
                serializer.serialize_bytes(&bytes)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ColumnVisitor;
                impl<'de> Visitor<'de> for ColumnVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a column of ", $what))
                    }

                    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        let (values, rest) = bytes.as_chunks::<VALUE_BYTES>();
                        if !rest.is_empty() {
                            return Err(E::invalid_length(bytes.len(), &"a multiple of 8 bytes"));
                        }
                        Ok($name(values.iter().map(|value| <$value>::from_le_bytes(*value)).collect()))
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<$name, A::Error> {
                        let mut values = Vec::new();
                        while let Some(value) = seq.next_element()? {
                            values.push(value);
                        }
                        Ok($name(values))
                    }
                }
                deserializer.deserialize_bytes(ColumnVisitor)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": concat!("MessagePack bin: little-endian ", $what, ", 8 bytes a row"),
                    "type": "string",
                    "contentEncoding": "binary",
                })
            }
        }
    };
}

column!(
    /// One number per row, little-endian `f64` in one MessagePack `bin`. A missing value is NaN on the wire only.
    F64Column,
    f64,
    "f64"
);
column!(
    /// One integer per row, little-endian `i64` in one MessagePack `bin`.
    I64Column,
    i64,
    "i64"
);
