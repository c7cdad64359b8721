//! One column of one batch as MySQL sees it: whatever Arrow type it has, a row of it is one of few kinds of value. Made
//! once per batch, so that reading a row allocates nothing. Shows values as text; converts nothing to another type.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, LargeBinaryArray, RecordBatch};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, Float32Type,
    Float64Type, Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
    UInt64Type, i256,
};

use super::calendar::ZoneClock;
use super::format;
use crate::error::{Error, Result};
use crate::storage::types::ColumnType;

/// One value of a column.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    Null,
    Signed(i64),
    Unsigned(u64),
    Float(f32),
    Double(f64),
    /// Unscaled value and scale.
    Decimal(i128, i8),
    WideDecimal(i256, i8),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01; of an instant if `zoned`, else of a wall clock. `fraction` digits are shown.
    Moment {
        micros: i64,
        zoned: bool,
        fraction: u8,
    },
    /// Microseconds, of a time of day or of a duration.
    Time {
        micros: i64,
        fraction: u8,
    },
    Bytes(&'a [u8]),
    /// An array, struct or map, and its row.
    Nested(&'a Nested, usize),
}

/// Typed access to one column of one batch.
#[derive(Debug)]
pub struct ColumnReader {
    nulls: Option<NullBuffer>,
    values: Values,
}

/// The readers of all columns of a batch; `fractions` are the digits its DATETIME, TIMESTAMP and TIME columns show.
///
/// # Errors
/// As [`ColumnReader::new`].
pub fn readers(batch: &RecordBatch, fractions: &[u8]) -> Result<Vec<ColumnReader>> {
    batch.columns().iter().zip(fractions).map(|(array, fraction)| ColumnReader::new(array, *fraction)).collect()
}

/// Fraction digits shown for a column of that type; 6 where the type does not say.
pub fn fraction_digits(column_type: &ColumnType) -> u8 {
    match column_type {
        ColumnType::DateTime { fraction } | ColumnType::Timestamp { fraction } => (*fraction).min(6),
        _ => 6,
    }
}

#[derive(Debug)]
enum Values {
    AllNull,
    Signed(ScalarBuffer<i64>),
    Unsigned(ScalarBuffer<u64>),
    Float(ScalarBuffer<f32>),
    Double(ScalarBuffer<f64>),
    Decimal(ScalarBuffer<i128>, i8),
    WideDecimal(ScalarBuffer<i256>, i8),
    Date(ScalarBuffer<i32>),
    Moment { micros: ScalarBuffer<i64>, zoned: bool, fraction: u8 },
    Time { micros: ScalarBuffer<i64>, fraction: u8 },
    Bytes(BinaryArray),
    LargeBytes(LargeBinaryArray),
    ViewBytes(BinaryViewArray),
    Dictionary { keys: Vec<usize>, values: Box<ColumnReader> },
    Nested(Box<Nested>),
}

/// An array, struct or map column; shown as JSON text.
#[derive(Debug)]
pub enum Nested {
    /// First and last-plus-one item of each row.
    List {
        ranges: Vec<(usize, usize)>,
        items: ColumnReader,
    },
    /// Each name as a JSON string with its colon.
    Struct {
        fields: Vec<(Vec<u8>, ColumnReader)>,
    },
    Map {
        ranges: Vec<(usize, usize)>,
        keys: ColumnReader,
        values: ColumnReader,
    },
}

impl ColumnReader {
    /// A reader of `array`, whose moments and times are shown with `fraction` digits after the second.
    ///
    /// # Errors
    /// `Unsupported` for an Arrow type MySQL has no counterpart of; an overflow for moments beyond the range of
    /// microseconds.
    pub fn new(array: &ArrayRef, fraction: u8) -> Result<Self> {
        Ok(ColumnReader { nulls: array.logical_nulls(), values: Values::new(array, fraction)? })
    }

    /// The value at `row`, which must be below the length of the array.
    #[inline]
    pub fn value(&self, row: usize) -> Value<'_> {
        if let Some(nulls) = &self.nulls
            && nulls.is_null(row)
        {
            return Value::Null;
        }
        match &self.values {
            Values::AllNull => Value::Null,
            Values::Signed(values) => Value::Signed(values[row]),
            Values::Unsigned(values) => Value::Unsigned(values[row]),
            Values::Float(values) => Value::Float(values[row]),
            Values::Double(values) => Value::Double(values[row]),
            Values::Decimal(values, scale) => Value::Decimal(values[row], *scale),
            Values::WideDecimal(values, scale) => Value::WideDecimal(values[row], *scale),
            Values::Date(values) => Value::Date(values[row]),
            Values::Moment { micros, zoned, fraction } => {
                Value::Moment { micros: micros[row], zoned: *zoned, fraction: *fraction }
            }
            Values::Time { micros, fraction } => Value::Time { micros: micros[row], fraction: *fraction },
            Values::Bytes(values) => Value::Bytes(values.value(row)),
            Values::LargeBytes(values) => Value::Bytes(values.value(row)),
            Values::ViewBytes(values) => Value::Bytes(values.value(row)),
            Values::Dictionary { keys, values } => values.value(keys[row]),
            Values::Nested(nested) => Value::Nested(nested, row),
        }
    }
}

impl Value<'_> {
    /// Appends the value as MySQL's text protocol shows it; instants by `clock`. False, and nothing appended, for NULL.
    #[inline]
    pub fn write_text(self, clock: &mut ZoneClock, out: &mut Vec<u8>) -> bool {
        match self {
            Value::Null => return false,
            Value::Signed(value) => format::signed(value, out),
            Value::Unsigned(value) => format::unsigned(value, out),
            Value::Float(value) => format::float(value, out),
            Value::Double(value) => format::double(value, out),
            Value::Decimal(unscaled, scale) => format::decimal(unscaled, scale, out),
            Value::WideDecimal(unscaled, scale) => format::wide_decimal(unscaled, scale, out),
            Value::Date(days) => format::date(i64::from(days), out),
            Value::Moment { micros, zoned, fraction } => {
                let local = if zoned { clock.local_micros(micros) } else { micros };
                format::datetime(local, fraction, out);
            }
            Value::Time { micros, fraction } => format::time(micros, fraction, out),
            Value::Bytes(bytes) => out.extend_from_slice(bytes),
            Value::Nested(nested, row) => nested.write_json(row, clock, out),
        }
        true
    }

    /// Appends the value as JSON: numbers bare, NULL and what JSON cannot hold as `null`, all else as a string.
    pub fn write_json(self, clock: &mut ZoneClock, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Float(value) if !value.is_finite() => out.extend_from_slice(b"null"),
            Value::Double(value) if !value.is_finite() => out.extend_from_slice(b"null"),
            Value::Bytes(bytes) => format::json_string(bytes, out),
            Value::Date(_) | Value::Moment { .. } | Value::Time { .. } => {
                out.push(b'"');
                self.write_text(clock, out);
                out.push(b'"');
            }
            _ => {
                self.write_text(clock, out);
            }
        }
    }
}

impl Nested {
    /// Appends the row as JSON without white space: `[1,0,1]`, `{"a":1}`.
    pub fn write_json(&self, row: usize, clock: &mut ZoneClock, out: &mut Vec<u8>) {
        match self {
            Nested::List { ranges, items } => {
                out.push(b'[');
                let (first, end) = ranges[row];
                for item in first..end {
                    separate(item > first, out);
                    items.value(item).write_json(clock, out);
                }
                out.push(b']');
            }
            Nested::Struct { fields } => {
                out.push(b'{');
                for (at, (name, field)) in fields.iter().enumerate() {
                    separate(at > 0, out);
                    out.extend_from_slice(name);
                    field.value(row).write_json(clock, out);
                }
                out.push(b'}');
            }
            Nested::Map { ranges, keys, values } => {
                out.push(b'{');
                let (first, end) = ranges[row];
                for entry in first..end {
                    separate(entry > first, out);
                    let mut key = Vec::new();
                    keys.value(entry).write_text(clock, &mut key);
                    format::json_string(&key, out);
                    out.push(b':');
                    values.value(entry).write_json(clock, out);
                }
                out.push(b'}');
            }
        }
    }
}

fn separate(needed: bool, out: &mut Vec<u8>) {
    if needed {
        out.push(b',');
    }
}

impl Values {
    fn new(array: &ArrayRef, fraction: u8) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Null => Values::AllNull,
            DataType::Boolean | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                Values::Signed(primitive::<Int64Type>(array, &DataType::Int64)?)
            }
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
                Values::Unsigned(primitive::<UInt64Type>(array, &DataType::UInt64)?)
            }
            DataType::Float16 | DataType::Float32 => {
                Values::Float(primitive::<Float32Type>(array, &DataType::Float32)?)
            }
            DataType::Float64 => Values::Double(primitive::<Float64Type>(array, &DataType::Float64)?),
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale) => {
                let narrow = DataType::Decimal128(*precision, *scale);
                Values::Decimal(primitive::<Decimal128Type>(array, &narrow)?, *scale)
            }
            DataType::Decimal256(_, scale) => {
                Values::WideDecimal(primitive::<Decimal256Type>(array, array.data_type())?, *scale)
            }
            DataType::Date32 | DataType::Date64 => Values::Date(primitive::<Date32Type>(array, &DataType::Date32)?),
            DataType::Timestamp(_, zone) => {
                Values::Moment { micros: moments(array)?, zoned: zone.is_some(), fraction: fraction.min(6) }
            }
            DataType::Time32(_) | DataType::Time64(_) => {
                let kind = DataType::Time64(TimeUnit::Microsecond);
                Values::Time { micros: primitive::<Time64MicrosecondType>(array, &kind)?, fraction: fraction.min(6) }
            }
            DataType::Duration(_) => {
                let kind = DataType::Duration(TimeUnit::Microsecond);
                Values::Time { micros: primitive::<DurationMicrosecondType>(array, &kind)?, fraction: fraction.min(6) }
            }
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary();
                let values = ColumnReader::new(dictionary.values(), fraction)?;
                Values::Dictionary { keys: dictionary.normalized_keys(), values: Box::new(values) }
            }
            other if other.is_nested() => Values::Nested(Box::new(Nested::new(array)?)),
            _ => Values::bytes(array)?,
        })
    }

    fn bytes(array: &ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Utf8 => Values::Bytes(BinaryArray::from(array.as_string::<i32>().clone())),
            DataType::LargeUtf8 => Values::LargeBytes(LargeBinaryArray::from(array.as_string::<i64>().clone())),
            DataType::Utf8View => Values::ViewBytes(array.as_string_view().clone().to_binary_view()),
            DataType::Binary => Values::Bytes(array.as_binary::<i32>().clone()),
            DataType::LargeBinary => Values::LargeBytes(array.as_binary::<i64>().clone()),
            DataType::BinaryView => Values::ViewBytes(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(_) => {
                Values::Bytes(exact_cast(array, &DataType::Binary)?.as_binary::<i32>().clone())
            }
            other => return Err(Error::unsupported(format!("value of type {other}"))),
        })
    }
}

impl Nested {
    fn new(array: &ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let offsets: Vec<usize> = list.value_offsets().iter().map(|&offset| offset as usize).collect();
                Nested::list(&offsets, list.values())?
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                let offsets: Vec<usize> = list.value_offsets().iter().map(|&offset| offset as usize).collect();
                Nested::list(&offsets, list.values())?
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                let fields = fields.iter().zip(columns).map(|(field, column)| {
                    let mut name = Vec::new();
                    format::json_string(field.name().as_bytes(), &mut name);
                    name.push(b':');
                    let fraction = ColumnType::of_field(field).as_ref().map_or(6, fraction_digits);
                    Ok((name, ColumnReader::new(column, fraction)?))
                });
                Nested::Struct { fields: fields.collect::<Result<_>>()? }
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let offsets: Vec<usize> = map.value_offsets().iter().map(|&offset| offset as usize).collect();
                let (first, ranges) = ranges(&offsets);
                let length = offsets.last().copied().unwrap_or(first) - first;
                Nested::Map {
                    ranges,
                    keys: ColumnReader::new(&map.keys().slice(first, length), 6)?,
                    values: ColumnReader::new(&map.values().slice(first, length), 6)?,
                }
            }
            other => return Err(Error::unsupported(format!("value of type {other}"))),
        })
    }

    fn list(offsets: &[usize], items: &ArrayRef) -> Result<Self> {
        let (first, ranges) = ranges(offsets);
        let length = offsets.last().copied().unwrap_or(first) - first;
        Ok(Nested::List { ranges, items: ColumnReader::new(&items.slice(first, length), 6)? })
    }
}

/// Each row's range, counted from the first offset (a batch may be a slice of a long array), and that offset.
fn ranges(offsets: &[usize]) -> (usize, Vec<(usize, usize)>) {
    let first = offsets.first().copied().unwrap_or(0);
    (first, offsets.windows(2).map(|pair| (pair[0] - first, pair[1] - first)).collect())
}

/// Microseconds of a timestamp array of any unit; nanoseconds are rounded.
fn moments(array: &ArrayRef) -> Result<ScalarBuffer<i64>> {
    let DataType::Timestamp(unit, zone) = array.data_type() else {
        return Err(Error::internal(format!("{} is not a timestamp", array.data_type())));
    };
    match unit {
        TimeUnit::Nanosecond => {
            let nanos = array.as_primitive::<TimestampNanosecondType>().values();
            Ok(nanos.iter().map(|nanos| nanos.div_euclid(1000) + i64::from(nanos.rem_euclid(1000) >= 500)).collect())
        }
        _ => primitive::<TimestampMicrosecondType>(array, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
    }
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef, data_type: &DataType) -> Result<ScalarBuffer<T::Native>> {
    Ok(exact_cast(array, data_type)?.as_primitive::<T>().values().clone())
}

/// A cast that fails where it would lose a value.
pub fn exact_cast(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if array.data_type() == data_type {
        return Ok(array.clone());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(array, data_type, &options)?)
}
