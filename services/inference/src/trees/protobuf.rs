//! As much of protobuf as an ONNX file needs: fields one after the other, borrowed from the bytes.
//!
//! By hand, because `prost` and its build would bring a dozen crates for five messages of which a handful of fields
//! matter, and would copy every tensor of a hostile file before anybody could object.

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    #[error("the message ends within a field")]
    Truncated,
    #[error("a number has more than 64 bits")]
    LongNumber,
    #[error("field {field} is of kind {kind} where another is expected")]
    Kind { field: u64, kind: u8 },
    #[error("a text is not UTF-8")]
    Text,
}

/// The content of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Number(u64),
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// A field of a message and its number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    value: Value<'a>,
}

/// The fields of a message in order. Ends after the first error.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

pub(super) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<Field<'a>, ProtobufError> {
        let key = varint(&mut self.rest)?;
        let number = key >> 3;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut self.rest)?),
            1 => {
                take(&mut self.rest, 8)?;
                Value::Fixed64
            }
            2 => {
                let len = varint(&mut self.rest)?;
                Value::Bytes(take(&mut self.rest, usize::try_from(len).map_err(|_| ProtobufError::Truncated)?)?)
            }
            5 => Value::Fixed32(take(&mut self.rest, 4)?.try_into().expect("four bytes were taken")),
            // Groups were given up before ONNX began.
            kind => return Err(ProtobufError::Kind { field: number, kind: u8::try_from(kind).expect("three bits") }),
        };
        Ok(Field { number, value })
    }
}

impl<'a> Field<'a> {
    pub(super) fn number_value(&self) -> Result<i64, ProtobufError> {
        match self.value {
            Value::Number(number) => Ok(number.cast_signed()),
            _ => Err(self.kind()),
        }
    }

    pub(super) fn float(&self) -> Result<f32, ProtobufError> {
        match self.value {
            Value::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.kind()),
        }
    }

    pub(super) fn bytes(&self) -> Result<&'a [u8], ProtobufError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.kind()),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, ProtobufError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| ProtobufError::Text)
    }

    /// Appends one number, or many in packed form.
    pub(super) fn append_numbers(&self, numbers: &mut Vec<i64>) -> Result<(), ProtobufError> {
        let Value::Bytes(mut packed) = self.value else {
            numbers.push(self.number_value()?);
            return Ok(());
        };
        while !packed.is_empty() {
            numbers.push(varint(&mut packed)?.cast_signed());
        }
        Ok(())
    }

    /// Appends one float, or many in packed form.
    pub(super) fn append_floats(&self, floats: &mut Vec<f32>) -> Result<(), ProtobufError> {
        let Value::Bytes(packed) = self.value else {
            floats.push(self.float()?);
            return Ok(());
        };
        let (packed, rest) = packed.as_chunks::<4>();
        floats.extend(packed.iter().map(|&bytes| f32::from_le_bytes(bytes)));
        if rest.is_empty() { Ok(()) } else { Err(ProtobufError::Truncated) }
    }

    fn kind(&self) -> ProtobufError {
        let kind = match self.value {
            Value::Number(_) => 0,
            Value::Fixed64 => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32(_) => 5,
        };
        ProtobufError::Kind { field: self.number, kind }
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], ProtobufError> {
    let (taken, left) = rest.split_at_checked(len).ok_or(ProtobufError::Truncated)?;
    *rest = left;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, ProtobufError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(ProtobufError::LongNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_kind_are_read() {
        let message = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1D, 0, 0, 0x80, 0x3F, 0x21, 1, 2, 3, 4, 5, 6, 7, 8];
        let found: Vec<_> = fields(&message).map(Result::unwrap).collect();
        assert_eq!(found.iter().map(|field| field.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(found[0].number_value(), Ok(150));
        assert_eq!(found[1].text(), Ok("hi"));
        assert_eq!(found[2].float().map(f32::to_bits), Ok(1.0_f32.to_bits()));
        assert_eq!(found[3].bytes(), Err(ProtobufError::Kind { field: 4, kind: 1 }));
    }

    #[test]
    fn repeated_numbers_are_packed_or_not() {
        let mut numbers = Vec::new();
        for field in fields(&[0x08, 5, 0x0A, 3, 1, 0x96, 0x01]) {
            field.unwrap().append_numbers(&mut numbers).unwrap();
        }
        assert_eq!(numbers, [5, 1, 150]);
        let mut floats = Vec::new();
        for field in fields(&[0x0D, 0, 0, 0x80, 0x3F, 0x0A, 4, 0, 0, 0, 0x40]) {
            field.unwrap().append_floats(&mut floats).unwrap();
        }
        assert_eq!(floats, [1.0, 2.0]);
    }

    #[test]
    fn damage_is_an_error_and_ends_the_message() {
        let check = |message: &[u8], expected: ProtobufError| {
            let found: Vec<_> = fields(message).collect();
            assert_eq!(found, [Err(expected)], "{message:?}");
        };
        check(&[0x80], ProtobufError::Truncated);
        check(&[0x12, 5, 1], ProtobufError::Truncated);
        check(&[0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], ProtobufError::Truncated);
        check(&[0x0B], ProtobufError::Kind { field: 1, kind: 3 });
        check(&[0xFF; 11], ProtobufError::LongNumber);
    }
}
