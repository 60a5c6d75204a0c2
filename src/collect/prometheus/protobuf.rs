//! A walk over the fields of one protobuf message that borrows and never allocates.
//!
//! Groups (deprecated since 2008) are refused: nobody sends them, and skipping them needs a stack.

/// Why bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it ends within a field")]
    Cut,
    #[error("a varint is longer than 64 bits")]
    Varint,
    #[error("a field has number 0 or a wire type that does not exist")]
    Tag,
}

/// The value of a field, by wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'m> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'m [u8]),
    Fixed32(u32),
}

/// Yields number and value of each field; the first error ends it.
pub(super) struct Fields<'m> {
    rest: &'m [u8],
}

impl<'m> Fields<'m> {
    pub fn new(message: &'m [u8]) -> Self {
        Fields { rest: message }
    }

    #[inline]
    fn field(&mut self) -> Result<(u64, Field<'m>), Malformed> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Cut)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Cut)?;
                self.rest = rest;
                Field::Bytes(bytes)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed::Tag),
        };
        match tag >> 3 {
            0 => Err(Malformed::Tag),
            number => Ok((number, field)),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        // Nearly all are tags and lengths of one byte.
        match self.rest {
            [byte @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (i, &byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                // The tenth byte has room for one bit only.
                return if i == 9 && byte > 1 { Err(Malformed::Varint) } else { Ok(value) };
            }
        }
        Err(if self.rest.len() < 10 { Malformed::Cut } else { Malformed::Varint })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed::Cut)?;
        self.rest = rest;
        Ok(*array)
    }
}

impl<'m> Iterator for Fields<'m> {
    type Item = Result<(u64, Field<'m>), Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &[u8], want: &[Result<(u64, Field<'_>), Malformed>]) {
        assert_eq!(Fields::new(message).collect::<Vec<_>>(), want);
    }

    #[test]
    fn fields_of_every_wire_type_are_read() {
        check(b"", &[]);
        check(b"\x08\x96\x01", &[Ok((1, Field::Varint(150)))]);
        check(b"\x12\x02hi\x1d\x01\0\0\0", &[Ok((2, Field::Bytes(b"hi"))), Ok((3, Field::Fixed32(1)))]);
        check(b"\x09\x01\0\0\0\0\0\0\0", &[Ok((1, Field::Fixed64(1)))]);
        check(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &[Ok((1, Field::Varint(u64::MAX)))]);
    }

    #[test]
    fn a_broken_field_ends_the_walk() {
        check(b"\x08", &[Err(Malformed::Cut)]);
        check(b"\x08\x80\x80", &[Err(Malformed::Cut)]);
        check(b"\x12\x05hi", &[Err(Malformed::Cut)]);
        check(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &[Err(Malformed::Cut)]);
        check(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x08\x01", &[Err(Malformed::Varint)]);
        check(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &[Err(Malformed::Varint)]);
        check(b"\x0b\x08\x01", &[Err(Malformed::Tag)]);
        check(b"\x00\x01\x08\x01", &[Err(Malformed::Tag)]);
    }
}
