//! Arrow rows to MySQL row packets, of the text protocol and of the binary one, appended straight to the connection's
//! buffer. Sends nothing itself.

use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use chrono_tz::Tz;
use mysql_common::constants::ColumnType as WireType;

use super::column::{ColumnDefinition, put_bytes};
use crate::error::{Error, Result};
use crate::ingest::validate::calendar::{self, ClockTime, ZoneClock};
use crate::ingest::validate::number;
use crate::ingest::validate::reader::{self, ColumnReader, Value};

/// The byte that stands for NULL in a text row.
const NULL: u8 = 0xfb;
const MIDNIGHT: ClockTime = ClockTime { hour: 0, minute: 0, second: 0, micros: 0 };

/// Rows of the text protocol (answers to COM_QUERY).
pub struct TextEncoder {
    columns: Columns,
    scratch: Vec<u8>,
}

impl TextEncoder {
    /// An encoder for results of that schema; TIMESTAMP columns are shown in `zone`.
    ///
    /// # Errors
    /// `Unsupported` for a column of a type that MySQL has no type for.
    pub fn new(schema: &Schema, zone: Tz) -> Result<Self> {
        Ok(TextEncoder { columns: Columns::new(schema, zone)?, scratch: Vec::new() })
    }

    /// Makes `batch` the one that [`encode`](Self::encode) reads: one typed reader per column.
    ///
    /// # Errors
    /// When the batch has another number of columns than the schema, or a type that has no text form.
    pub fn prepare(&mut self, batch: &RecordBatch) -> Result<()> {
        self.columns.prepare(batch)
    }

    /// Appends the payload of one row's packet; `row` is below the number of rows of the prepared batch.
    pub fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let clock = &mut self.columns.clock;
        for reader in &self.columns.readers {
            match reader.value(row) {
                Value::Null => out.push(NULL),
                Value::Bytes(bytes) => put_bytes(bytes, out),
                nested @ Value::Nested(_, _) => {
                    self.scratch.clear();
                    nested.write_text(clock, &mut self.scratch);
                    put_bytes(&self.scratch, out);
                }
                // The text of a number or a time is shorter than 251 bytes, so its length takes one byte.
                short => {
                    let start = out.len();
                    out.push(0);
                    short.write_text(clock, out);
                    out[start] = (out.len() - start - 1) as u8;
                }
            }
        }
    }

    /// Appends one value's text without a length; false, and nothing appended, when it is NULL.
    pub fn write_value(&mut self, column: usize, row: usize, out: &mut Vec<u8>) -> bool {
        self.columns.readers[column].value(row).write_text(&mut self.columns.clock, out)
    }
}

/// Rows of the binary protocol (answers to COM_STMT_EXECUTE).
pub struct BinaryEncoder {
    columns: Columns,
    scratch: Vec<u8>,
}

impl BinaryEncoder {
    /// An encoder for results of that schema; TIMESTAMP columns are shown in `zone`.
    ///
    /// # Errors
    /// `Unsupported` for a column of a type that MySQL has no type for.
    pub fn new(schema: &Schema, zone: Tz) -> Result<Self> {
        Ok(BinaryEncoder { columns: Columns::new(schema, zone)?, scratch: Vec::new() })
    }

    /// Makes `batch` the one that [`encode`](Self::encode) reads.
    ///
    /// # Errors
    /// When the batch has another number of columns than the schema, or a type that has no MySQL form.
    pub fn prepare(&mut self, batch: &RecordBatch) -> Result<()> {
        self.columns.prepare(batch)
    }

    /// Appends the payload of one row's packet (header, NULL bitmap, values); `row` is below the number of rows of the
    /// prepared batch.
    pub fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(0); // header
        let bitmap = out.len();
        // The first two bits are unused.
        out.resize(bitmap + (self.columns.readers.len() + 2).div_ceil(8), 0);
        let clock = &mut self.columns.clock;
        for (index, (reader, kind)) in self.columns.readers.iter().zip(&self.columns.kinds).enumerate() {
            match reader.value(row) {
                Value::Null => out[bitmap + (index + 2) / 8] |= 1 << ((index + 2) % 8),
                Value::Bytes(bytes) => put_bytes(bytes, out),
                value => put_binary(value, *kind, clock, &mut self.scratch, out),
            }
        }
    }
}

/// The columns of a result and of the batch in hand.
struct Columns {
    kinds: Vec<WireType>,
    /// Digits after the second, by column.
    fractions: Vec<u8>,
    readers: Vec<ColumnReader>,
    clock: ZoneClock,
}

impl Columns {
    fn new(schema: &Schema, zone: Tz) -> Result<Self> {
        let definitions = ColumnDefinition::of_schema(schema)?;
        Ok(Columns {
            kinds: definitions.iter().map(|definition| definition.kind).collect(),
            fractions: definitions.iter().map(fraction_digits).collect(),
            readers: Vec::new(),
            clock: ZoneClock::new(zone),
        })
    }

    fn prepare(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.kinds.len() {
            return Err(Error::internal(format!(
                "a batch of {} columns in a result of {}",
                batch.num_columns(),
                self.kinds.len()
            )));
        }
        self.readers = reader::readers(batch, &self.fractions)?;
        for (column, kind) in batch.columns().iter().zip(&self.kinds) {
            // A number's bytes have no length in front: anything else in their place would garble the whole row.
            if has_fixed_size(*kind) && !is_number(column.data_type()) {
                let data_type = column.data_type();
                return Err(Error::internal(format!("a result column announced as {kind:?} holds {data_type}")));
            }
        }
        Ok(())
    }
}

/// A column's digits after the second; nothing else looks at them.
fn fraction_digits(definition: &ColumnDefinition) -> u8 {
    match definition.kind {
        WireType::MYSQL_TYPE_DATETIME | WireType::MYSQL_TYPE_TIMESTAMP | WireType::MYSQL_TYPE_TIME => {
            definition.decimals
        }
        _ => 6,
    }
}

fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_number(value),
        DataType::Boolean | DataType::Null => true,
        other => other.is_numeric(),
    }
}

fn has_fixed_size(kind: WireType) -> bool {
    integer_bytes(kind).is_some() || matches!(kind, WireType::MYSQL_TYPE_FLOAT | WireType::MYSQL_TYPE_DOUBLE)
}

/// Bytes of an integer of the binary protocol.
fn integer_bytes(kind: WireType) -> Option<usize> {
    match kind {
        WireType::MYSQL_TYPE_TINY => Some(1),
        WireType::MYSQL_TYPE_SHORT | WireType::MYSQL_TYPE_YEAR => Some(2),
        WireType::MYSQL_TYPE_LONG | WireType::MYSQL_TYPE_INT24 => Some(4),
        WireType::MYSQL_TYPE_LONGLONG => Some(8),
        _ => None,
    }
}

/// Appends a value that is not NULL in the binary form of its announced type.
fn put_binary(value: Value<'_>, kind: WireType, clock: &mut ZoneClock, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    if let Some(bytes) = integer_bytes(kind) {
        let number = match value {
            Value::Signed(value) => value as u64,
            Value::Unsigned(value) => value,
            // BIGINT UNSIGNED is kept as a decimal.
            other => number::integer(other, clock).unwrap_or_default() as u64,
        };
        return out.extend_from_slice(&number.to_le_bytes()[..bytes]);
    }
    match (kind, value) {
        (WireType::MYSQL_TYPE_FLOAT, value) => {
            let number = number::double(value, clock).unwrap_or(f64::NAN) as f32;
            out.extend_from_slice(&number.to_le_bytes());
        }
        (WireType::MYSQL_TYPE_DOUBLE, Value::Double(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (WireType::MYSQL_TYPE_DOUBLE, value) => {
            let number = number::double(value, clock).unwrap_or(f64::NAN);
            out.extend_from_slice(&number.to_le_bytes());
        }
        (_, Value::Date(days)) => put_moment(i64::from(days), MIDNIGHT, out),
        (_, Value::Moment { micros, zoned, fraction }) => {
            let local = if zoned { clock.local_micros(micros) } else { micros };
            let below = local.rem_euclid(calendar::fraction_unit(fraction));
            let (days, time) = calendar::split_micros(local.saturating_sub(below));
            put_moment(days, time, out);
        }
        (_, Value::Time { micros, fraction }) => put_time(micros, fraction, out),
        (_, value) => {
            scratch.clear();
            value.write_text(clock, scratch);
            put_bytes(scratch, out);
        }
    }
}

/// A length of 4, 7 or 11 and that many bytes: the shortest that loses nothing.
fn put_moment(days: i64, time: ClockTime, out: &mut Vec<u8>) {
    let date = calendar::civil_date(days);
    let length = match time {
        MIDNIGHT => 4,
        ClockTime { micros: 0, .. } => 7,
        _ => 11,
    };
    out.push(length);
    out.extend_from_slice(&(date.year as u16).to_le_bytes());
    out.extend_from_slice(&[date.month, date.day]);
    if length >= 7 {
        out.extend_from_slice(&[time.hour, time.minute, time.second]);
    }
    if length == 11 {
        out.extend_from_slice(&time.micros.to_le_bytes());
    }
}

/// A length of 0, 8 or 12 and that many bytes: sign, days, hours, minutes, seconds, microseconds.
fn put_time(micros: i64, fraction: u8, out: &mut Vec<u8>) {
    let unit = calendar::fraction_unit(fraction).unsigned_abs();
    let magnitude = micros.unsigned_abs() / unit * unit;
    let (seconds, rest) = (magnitude / 1_000_000, (magnitude % 1_000_000) as u32);
    let length = match (seconds, rest) {
        (0, 0) => 0,
        (_, 0) => 8,
        _ => 12,
    };
    out.push(length);
    if length == 0 {
        return;
    }
    out.push(u8::from(micros < 0));
    out.extend_from_slice(&((seconds / 86_400) as u32).to_le_bytes());
    out.extend_from_slice(&[(seconds / 3600 % 24) as u8, (seconds / 60 % 60) as u8, (seconds % 60) as u8]);
    if length == 12 {
        out.extend_from_slice(&rest.to_le_bytes());
    }
}
