//! The fields inside a payload: reading them with every length checked, and the length-encoded forms for writing.

use crate::error::{Error, Kind, Result};

/// Appends a length-encoded integer.
pub fn put_lenenc_int(buffer: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    match value {
        0..=0xFA => buffer.push(bytes[0]),
        0xFB..=0xFFFF => {
            buffer.push(0xFC);
            buffer.extend_from_slice(&bytes[..2]);
        }
        0x1_0000..=0xFF_FFFF => {
            buffer.push(0xFD);
            buffer.extend_from_slice(&bytes[..3]);
        }
        _ => {
            buffer.push(0xFE);
            buffer.extend_from_slice(&bytes);
        }
    }
}

/// Appends a length-encoded string.
pub fn put_lenenc_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    put_lenenc_int(buffer, bytes.len() as u64);
    buffer.extend_from_slice(bytes);
}

/// Takes fields off a payload, each read checked against what is left. Every failure is `MalformedPacket`.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn new(payload: &'a [u8]) -> Self {
        Fields { rest: payload }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A length-encoded integer.
    pub fn lenenc_int(&mut self) -> Result<u64> {
        match self.u8()? {
            0xFC => Ok(u64::from(self.u16()?)),
            0xFD => {
                let [low, middle, high] = self.array()?;
                Ok(u64::from_le_bytes([low, middle, high, 0, 0, 0, 0, 0]))
            }
            0xFE => self.u64(),
            0xFB | 0xFF => Err(malformed()),
            small => Ok(u64::from(small)),
        }
    }

    /// A length-encoded string.
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.lenenc_int()?;
        self.bytes(usize::try_from(length).map_err(|_| malformed())?)
    }

    /// A string that ends with NUL; the NUL is taken and not returned.
    pub fn null_terminated(&mut self) -> Result<&'a [u8]> {
        let length = self.rest.iter().position(|byte| *byte == 0).ok_or_else(malformed)?;
        let text = self.bytes(length)?;
        self.bytes(1)?;
        Ok(text)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(malformed)?;
        self.rest = rest;
        Ok(*taken)
    }
}

fn malformed() -> Error {
    Error::new(Kind::MalformedPacket, "Malformed communication packet.")
}
