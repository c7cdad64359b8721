//! Parameters of COM_STMT_EXECUTE: bytes to values. Every read is checked; sends and stores nothing.

use std::collections::HashMap;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, i256};
use datafusion::scalar::ScalarValue;
use mysql_common::constants::ColumnType as WireType;

use crate::error::{Error, Kind, Result};
use crate::ingest::validate::calendar::{self, MICROS_PER_DAY};
use crate::ingest::validate::format;

/// MySQL's TIME ends at 838:59:59.
const TIME_DAYS_MAX: i64 = 34;

/// The type a client declared for one parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterType {
    pub kind: WireType,
    pub unsigned: bool,
}

/// Decodes the parameters of COM_STMT_EXECUTE. `body` starts at the NULL bitmap (after the iteration count); `count` is
/// the number of parameters known from the prepare; `previous_types` are those of the last execute, used when this one
/// sends none; `long_data` holds what COM_STMT_SEND_LONG_DATA brought, by parameter index.
///
/// Integers become BIGINT or BIGINT UNSIGNED; text and blobs become strings if they are UTF-8, else bytes (drivers use
/// the two types for either).
///
/// # Errors
/// `MalformedPacket` when the bytes end early, go on too long, or name an unknown type; `WrongArguments` when no types
/// were ever sent; `IncorrectTemporal` for a date that does not exist, `IncorrectValue` for a decimal that is no
/// number.
pub fn decode_parameters(
    body: &[u8],
    count: usize,
    previous_types: Option<&[ParameterType]>,
    long_data: &HashMap<u16, Vec<u8>>,
) -> Result<(Vec<ScalarValue>, Vec<ParameterType>)> {
    if count == 0 {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut input = Input { bytes: body };
    let nulls = input.take(count.div_ceil(8), "NULL bitmap")?;
    let types = match input.byte("new-parameters flag")? {
        1 => input.types(count)?,
        _ => match previous_types {
            Some(types) if types.len() == count => types.to_vec(),
            _ => {
                let message = "Incorrect arguments to COM_STMT_EXECUTE: no parameter types were sent";
                return Err(Error::new(Kind::WrongArguments, message));
            }
        },
    };
    let mut values = Vec::with_capacity(count);
    for (index, parameter) in types.iter().enumerate() {
        let long = u16::try_from(index).ok().and_then(|index| long_data.get(&index));
        values.push(match long {
            Some(bytes) => string(bytes),
            None if nulls[index / 8] & (1 << (index % 8)) != 0 => ScalarValue::Null,
            None => input.value(*parameter)?,
        });
    }
    if !input.bytes.is_empty() {
        return Err(malformed(format!("{} bytes after the last parameter", input.bytes.len())));
    }
    Ok((values, types))
}

/// What is left of the packet.
struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or_else(|| malformed(format!("{what} needs {count} bytes, {} are left", self.bytes.len())))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self, what: &str) -> Result<u8> {
        Ok(self.take(1, what)?[0])
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    fn types(&mut self, count: usize) -> Result<Vec<ParameterType>> {
        let bytes = self.take(count * 2, "parameter types")?;
        bytes
            .chunks_exact(2)
            .map(|pair| {
                let kind = WireType::try_from(pair[0])
                    .map_err(|_| malformed(format!("unknown parameter type {:#04x}", pair[0])))?;
                Ok(ParameterType { kind, unsigned: pair[1] & 0x80 != 0 })
            })
            .collect()
    }

    /// Reads one value in the binary form of its type.
    fn value(&mut self, parameter: ParameterType) -> Result<ScalarValue> {
        use WireType as Wire;
        let unsigned = parameter.unsigned;
        Ok(match parameter.kind {
            Wire::MYSQL_TYPE_NULL => ScalarValue::Null,
            Wire::MYSQL_TYPE_TINY => {
                let [byte] = self.array("TINYINT")?;
                integer(i64::from(byte as i8), u64::from(byte), unsigned)
            }
            Wire::MYSQL_TYPE_SHORT | Wire::MYSQL_TYPE_YEAR => {
                let bytes = self.array("SMALLINT")?;
                integer(i64::from(i16::from_le_bytes(bytes)), u64::from(u16::from_le_bytes(bytes)), unsigned)
            }
            Wire::MYSQL_TYPE_LONG | Wire::MYSQL_TYPE_INT24 => {
                let bytes = self.array("INT")?;
                integer(i64::from(i32::from_le_bytes(bytes)), u64::from(u32::from_le_bytes(bytes)), unsigned)
            }
            Wire::MYSQL_TYPE_LONGLONG => {
                let bytes = self.array("BIGINT")?;
                integer(i64::from_le_bytes(bytes), u64::from_le_bytes(bytes), unsigned)
            }
            Wire::MYSQL_TYPE_FLOAT => ScalarValue::Float32(Some(f32::from_le_bytes(self.array("FLOAT")?))),
            Wire::MYSQL_TYPE_DOUBLE => ScalarValue::Float64(Some(f64::from_le_bytes(self.array("DOUBLE")?))),
            Wire::MYSQL_TYPE_DATE
            | Wire::MYSQL_TYPE_NEWDATE
            | Wire::MYSQL_TYPE_DATETIME
            | Wire::MYSQL_TYPE_DATETIME2
            | Wire::MYSQL_TYPE_TIMESTAMP
            | Wire::MYSQL_TYPE_TIMESTAMP2 => self.moment(parameter.kind)?,
            Wire::MYSQL_TYPE_TIME | Wire::MYSQL_TYPE_TIME2 => self.time()?,
            Wire::MYSQL_TYPE_DECIMAL | Wire::MYSQL_TYPE_NEWDECIMAL => decimal(self.text("DECIMAL")?)?,
            Wire::MYSQL_TYPE_TYPED_ARRAY | Wire::MYSQL_TYPE_UNKNOWN => {
                return Err(malformed(format!("parameter of type {:?}", parameter.kind)));
            }
            Wire::MYSQL_TYPE_VARCHAR
            | Wire::MYSQL_TYPE_VAR_STRING
            | Wire::MYSQL_TYPE_STRING
            | Wire::MYSQL_TYPE_ENUM
            | Wire::MYSQL_TYPE_SET
            | Wire::MYSQL_TYPE_JSON
            | Wire::MYSQL_TYPE_BIT
            | Wire::MYSQL_TYPE_TINY_BLOB
            | Wire::MYSQL_TYPE_MEDIUM_BLOB
            | Wire::MYSQL_TYPE_LONG_BLOB
            | Wire::MYSQL_TYPE_BLOB
            | Wire::MYSQL_TYPE_GEOMETRY => string(self.text("string")?),
        })
    }

    /// A length-encoded string.
    fn text(&mut self, what: &str) -> Result<&'a [u8]> {
        let length = match self.byte(what)? {
            short @ 0..=0xfa => u64::from(short),
            0xfc => u64::from(u16::from_le_bytes(self.array(what)?)),
            0xfd => {
                let [low, middle, high] = self.array(what)?;
                u64::from(u32::from_le_bytes([low, middle, high, 0]))
            }
            0xfe => u64::from_le_bytes(self.array(what)?),
            other => return Err(malformed(format!("length of a {what} starts with {other:#04x}"))),
        };
        // A length beyond the address space is also beyond the packet.
        self.take(usize::try_from(length).unwrap_or(usize::MAX), what)
    }

    /// A date (4 bytes), with a time (7), with microseconds (11).
    fn moment(&mut self, kind: WireType) -> Result<ScalarValue> {
        let length = self.byte("date")?;
        let fields = match length {
            0 | 4 | 7 | 11 => self.take(usize::from(length), "date")?,
            other => return Err(malformed(format!("a date of {other} bytes"))),
        };
        let mut all = [0; 11];
        all[..fields.len()].copy_from_slice(fields);
        let [year_low, year_high, month, day, hour, minute, second, micros @ ..] = all;
        let year = u16::from_le_bytes([year_low, year_high]);
        let micros = u32::from_le_bytes(micros);
        let is_date = matches!(kind, WireType::MYSQL_TYPE_DATE | WireType::MYSQL_TYPE_NEWDATE);
        let days = if year <= 9999 { calendar::days_of(i64::from(year), month, day) } else { None };
        match days {
            Some(days) if hour <= 23 && minute <= 59 && second <= 59 && micros <= 999_999 => {
                if is_date && length == 4 {
                    return Ok(ScalarValue::Date32(Some(days as i32)));
                }
                let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
                let micros = days * MICROS_PER_DAY + seconds * 1_000_000 + i64::from(micros);
                Ok(ScalarValue::TimestampMicrosecond(Some(micros), None))
            }
            _ => {
                let what = if is_date { "date" } else { "datetime" };
                let value = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}");
                let message = format!("Incorrect {what} value: '{value}' in a parameter of COM_STMT_EXECUTE");
                Err(Error::new(Kind::IncorrectTemporal, message))
            }
        }
    }

    /// A time: sign, days, hours, minutes, seconds (8 bytes), microseconds (12). A time of day becomes one; what is
    /// negative or longer than a day has no such value in the engine and becomes its text.
    fn time(&mut self) -> Result<ScalarValue> {
        let length = self.byte("TIME")?;
        let fields = match length {
            0 | 8 | 12 => self.take(usize::from(length), "TIME")?,
            other => return Err(malformed(format!("a TIME of {other} bytes"))),
        };
        let mut all = [0; 12];
        all[..fields.len()].copy_from_slice(fields);
        let [sign, day0, day1, day2, day3, hour, minute, second, micros @ ..] = all;
        let days = i64::from(u32::from_le_bytes([day0, day1, day2, day3]));
        let seconds = days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        if days > TIME_DAYS_MAX {
            let message = format!("Incorrect time value: {days} days in a parameter of COM_STMT_EXECUTE");
            return Err(Error::new(Kind::IncorrectTemporal, message));
        }
        let magnitude = seconds * 1_000_000 + i64::from(u32::from_le_bytes(micros));
        if sign == 0 && magnitude < MICROS_PER_DAY {
            return Ok(ScalarValue::Time64Microsecond(Some(magnitude)));
        }
        let digits = if magnitude % 1_000_000 == 0 { 0 } else { 6 };
        let mut text = Vec::new();
        format::time(if sign == 0 { magnitude } else { -magnitude }, digits, &mut text);
        Ok(string(&text))
    }
}

fn integer(signed: i64, as_unsigned: u64, unsigned: bool) -> ScalarValue {
    if unsigned { ScalarValue::UInt64(Some(as_unsigned)) } else { ScalarValue::Int64(Some(signed)) }
}

fn string(bytes: &[u8]) -> ScalarValue {
    match std::str::from_utf8(bytes) {
        Ok(text) => ScalarValue::Utf8(Some(text.to_owned())),
        Err(_) => ScalarValue::Binary(Some(bytes.to_vec())),
    }
}

/// A decimal's text, with exactly the digits it was sent with.
fn decimal(text: &[u8]) -> Result<ScalarValue> {
    let bad = || {
        let shown = String::from_utf8_lossy(&text[..text.len().min(128)]);
        let message = format!("Incorrect decimal value: '{shown}' in a parameter of COM_STMT_EXECUTE");
        Error::new(Kind::IncorrectValue, message)
    };
    let text = std::str::from_utf8(text).map_err(|_| bad())?.trim_ascii();
    let (sign, unsigned) = match text.strip_prefix(['-', '+']) {
        Some(rest) if text.starts_with('-') => ("-", rest),
        Some(rest) => ("", rest),
        None => ("", text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let significant = digits.trim_start_matches('0').len().max(fraction.len()).max(1);
    if !is_number || significant > usize::from(DECIMAL256_MAX_PRECISION) {
        return Err(bad());
    }
    let (precision, scale) = (significant as u8, fraction.len() as i8);
    let unscaled = i256::from_string(&format!("{sign}{digits}")).ok_or_else(bad)?;
    match unscaled.to_i128() {
        Some(narrow) if precision <= DECIMAL128_MAX_PRECISION => {
            Ok(ScalarValue::Decimal128(Some(narrow), precision, scale))
        }
        _ => Ok(ScalarValue::Decimal256(Some(unscaled), precision, scale)),
    }
}

fn malformed(detail: String) -> Error {
    Error::new(Kind::MalformedPacket, format!("Malformed communication packet: COM_STMT_EXECUTE: {detail}"))
}
