//! Whether an array that has its column's Arrow type also keeps the column's limits, asked of the whole array at once.
//! A "no" may be cautious: the loop over rows has the last word.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray};
use arrow::compute::{max, min};
use arrow::datatypes::{
    ArrowNumericType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};

use super::calendar;
use super::{temporal, text};
use crate::storage::types::ColumnType;

/// Least and greatest value of an integer type.
pub fn integer_range(column_type: &ColumnType) -> (i128, i128) {
    match column_type {
        ColumnType::Boolean | ColumnType::TinyInt { unsigned: false } => (i8::MIN.into(), i8::MAX.into()),
        ColumnType::TinyInt { unsigned: true } => (0, u8::MAX.into()),
        ColumnType::SmallInt { unsigned: false } => (i16::MIN.into(), i16::MAX.into()),
        ColumnType::SmallInt { unsigned: true } => (0, u16::MAX.into()),
        ColumnType::Int { unsigned: false } => (i32::MIN.into(), i32::MAX.into()),
        ColumnType::Int { unsigned: true } => (0, u32::MAX.into()),
        ColumnType::BigInt { unsigned: true } => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

/// Whether every value of `array` may be stored as it is. `array` has the Arrow type of `column_type`.
pub fn fits(array: &ArrayRef, column_type: &ColumnType) -> bool {
    match column_type {
        ColumnType::Boolean
        | ColumnType::TinyInt { .. }
        | ColumnType::SmallInt { .. }
        | ColumnType::Int { .. }
        | ColumnType::BigInt { .. } => integers_fit(array, column_type),
        ColumnType::Year => {
            array.as_primitive::<Int16Type>().iter().flatten().all(|year| year == 0 || (1901..=2155).contains(&year))
        }
        ColumnType::Float => array.as_primitive::<Float32Type>().iter().flatten().all(f32::is_finite),
        ColumnType::Double => array.as_primitive::<Float64Type>().iter().flatten().all(f64::is_finite),
        ColumnType::Decimal { precision, .. } => {
            array.as_primitive::<Decimal128Type>().validate_decimal_precision(*precision).is_ok()
        }
        ColumnType::Date => {
            let days = array.as_primitive::<Date32Type>();
            between(days, calendar::FIRST_DAY as i32, calendar::LAST_DAY as i32)
        }
        ColumnType::DateTime { fraction } | ColumnType::Timestamp { fraction } => moments_fit(array, *fraction),
        ColumnType::Char { length } => {
            let texts = array.as_string::<i32>();
            characters_fit(texts, *length) && !texts.iter().flatten().any(|text| text.ends_with(' '))
        }
        ColumnType::VarChar { length } => characters_fit(array.as_string::<i32>(), *length),
        ColumnType::Text { bytes_max } => longest(array.as_string::<i32>().value_offsets()) <= *bytes_max as usize,
        ColumnType::Json => array.as_string::<i32>().iter().flatten().all(|json| text::check_json(json).is_ok()),
        ColumnType::Binary { length } => {
            array.as_binary::<i32>().iter().flatten().all(|bytes| bytes.len() == *length as usize)
        }
        ColumnType::VarBinary { length: most } | ColumnType::Blob { bytes_max: most } => {
            longest(array.as_binary::<i32>().value_offsets()) <= *most as usize
        }
    }
}

fn integers_fit(array: &ArrayRef, column_type: &ColumnType) -> bool {
    let (least, most) = integer_range(column_type);
    match array.data_type() {
        DataType::Int8 => narrow_fits(array.as_primitive::<Int8Type>(), least, most),
        DataType::Int16 => narrow_fits(array.as_primitive::<Int16Type>(), least, most),
        DataType::Int32 => narrow_fits(array.as_primitive::<Int32Type>(), least, most),
        DataType::Int64 => narrow_fits(array.as_primitive::<Int64Type>(), least, most),
        _ => between(array.as_primitive::<Decimal128Type>(), least, most),
    }
}

/// The same for integers whose Arrow type may have no value outside the range at all.
fn narrow_fits<T: ArrowNumericType>(array: &PrimitiveArray<T>, least: i128, most: i128) -> bool
where
    T::Native: TryFrom<i128>,
{
    match (T::Native::try_from(least), T::Native::try_from(most)) {
        (Ok(least), Ok(most)) => between(array, least, most),
        _ => false,
    }
}

fn between<T: ArrowNumericType>(array: &PrimitiveArray<T>, least: T::Native, most: T::Native) -> bool {
    // Both are None when every value is NULL.
    min(array).is_none_or(|value| value >= least) && max(array).is_none_or(|value| value <= most)
}

fn moments_fit(array: &ArrayRef, fraction: u8) -> bool {
    let micros = array.as_primitive::<TimestampMicrosecondType>();
    let in_range = min(micros).is_none_or(temporal::is_in_range) && max(micros).is_none_or(temporal::is_in_range);
    let unit = calendar::fraction_unit(fraction);
    in_range && (unit == 1 || micros.iter().flatten().all(|value| value % unit == 0))
}

/// A text of at most that many bytes has at most that many characters; only longer ones are counted.
fn characters_fit(texts: &StringArray, length: u32) -> bool {
    let length = length as usize;
    longest(texts.value_offsets()) <= length
        || texts.iter().flatten().all(|text| text.len() <= length || text.chars().count() <= length)
}

fn longest(offsets: &[i32]) -> usize {
    offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0)
}
