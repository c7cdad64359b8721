//! MySQL's implicit conversions of whole columns: to text, to numbers, to times in the session's zone.

use chrono::{DateTime, NaiveDateTime, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit};
use datafusion::error::Result;

use crate::error::Error;
use crate::functions::mysql_time_text;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The instant that a clock in `zone` shows as `local`. When a clock is set back the earlier one; when it is set
/// forward a time that is left out means the first instant after the gap.
pub fn instant(local: NaiveDateTime, zone: Tz) -> Option<i64> {
    const GAP_MINUTES_MAX: i64 = 26 * 60;
    if let Some(found) = zone.from_local_datetime(&local).earliest() {
        return Some(found.timestamp_micros());
    }
    let minute = local - chrono::Duration::microseconds(local.and_utc().timestamp_micros().rem_euclid(60_000_000));
    let later = |minutes| zone.from_local_datetime(&(minute + chrono::Duration::minutes(minutes))).earliest();
    (1..GAP_MINUTES_MAX).find_map(later).map(|found| found.timestamp_micros())
}

/// What a clock in `zone` shows at an instant, as microseconds.
pub fn local_micros(instant_micros: i64, zone: Tz) -> Option<i64> {
    let instant = DateTime::from_timestamp_micros(instant_micros)?;
    Some(instant.with_timezone(&zone).naive_local().and_utc().timestamp_micros())
}

/// Values as text, as MySQL prints them; times with so many fraction digits.
pub fn text_of(array: &ArrayRef, digits: u32, zone: Tz) -> Result<StringArray> {
    Ok(match array.data_type() {
        DataType::Boolean => {
            array.as_boolean().iter().map(|value| value.map(|value| if value { "1" } else { "0" })).collect()
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            // A FLOAT's shortest digits are not those of the double it becomes.
            if let Some(floats) = array.as_primitive_opt::<Float32Type>() {
                return Ok(floats.iter().map(|value| value.map(|v| float_text(v.into(), v.to_string()))).collect());
            }
            doubles_of(array)?.iter().map(|value| value.map(|v| float_text(v, v.to_string()))).collect()
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => {
            let date = matches!(array.data_type(), DataType::Date32 | DataType::Date64);
            let mut text = String::new();
            let mut builder = StringBuilder::with_capacity(array.len(), array.len() * 19);
            for micros in &micros_of(array, zone)? {
                text.clear();
                let time = micros.and_then(DateTime::from_timestamp_micros).map(|time| time.naive_utc());
                builder.append_option(time.map(|time| {
                    mysql_time_text::write(&time, (!date).then_some(digits), &mut text);
                    text.as_str()
                }));
            }
            builder.finish()
        }
        _ => cast(array, &DataType::Utf8)?.as_string::<i32>().clone(),
    })
}

/// A float as MySQL prints it: an exponent only from 1e15 up and below 1e-15. `shortest` is Rust's text, which has
/// none.
fn float_text(value: f64, shortest: String) -> String {
    let size = value.abs();
    if size >= 1e15 || (size > 0.0 && size < 1e-15) {
        return format!("{value:e}");
    }
    shortest
}

/// Numbers as doubles.
pub fn doubles_of(array: &ArrayRef) -> Result<Float64Array> {
    Ok(match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => {
            let text = cast(array, &DataType::Utf8)?;
            text.as_string::<i32>().iter().map(|text| text.map(number_prefix)).collect()
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => {
            return Err(Error::unsupported("a date in place of a number").into());
        }
        _ => cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone(),
    })
}

/// The number a text begins with, 0 when it begins with none.
fn number_prefix(text: &str) -> f64 {
    let text = text.trim_start();
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    end += digits(end);
    if bytes.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits((end + 1 + sign).min(bytes.len()));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    text[..end].parse().unwrap_or(0.0)
}

/// Times as DATETIME in microseconds: instants as the session's clock shows them, text and integers as MySQL reads
/// them.
pub fn micros_of(array: &ArrayRef, zone: Tz) -> Result<Int64Array> {
    Ok(match array.data_type() {
        DataType::Null => Int64Array::new_null(array.len()),
        DataType::Date32 | DataType::Date64 => {
            let days = cast(&cast(array, &DataType::Date32)?, &DataType::Int64)?;
            days.as_primitive::<Int64Type>().unary_opt(|days| days.checked_mul(MICROS_PER_DAY))
        }
        DataType::Timestamp(_, Some(_)) => {
            let micros = timestamps(array)?;
            micros.unary_opt(|micros| local_micros(micros, zone))
        }
        DataType::Timestamp(_, None) => timestamps(array)?,
        other if other.is_integer() => {
            let numbers = cast(array, &DataType::Int64)?;
            numbers.as_primitive::<Int64Type>().unary_opt(|number| read(&number.to_string(), zone))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => {
            let text = cast(array, &DataType::Utf8)?;
            text.as_string::<i32>().iter().map(|text| read(text?, zone)).collect()
        }
        other => return Err(Error::unsupported(format!("{other} in place of a date")).into()),
    })
}

/// Microseconds of a timestamp array; nanoseconds are cut towards the past.
pub fn timestamps(array: &ArrayRef) -> Result<Int64Array> {
    let ticks = cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone();
    Ok(match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => ticks.unary_opt(|ticks| ticks.checked_mul(1_000_000)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => ticks.unary_opt(|ticks| ticks.checked_mul(1_000)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => ticks.unary(|ticks| ticks.div_euclid(1_000)),
        _ => ticks,
    })
}

fn read(text: &str, zone: Tz) -> Option<i64> {
    let (time, offset_minutes) = mysql_time_text::parse(text)?;
    let micros = time.and_utc().timestamp_micros();
    match offset_minutes {
        Some(minutes) => local_micros(micros - i64::from(minutes) * 60_000_000, zone),
        None => Some(micros),
    }
}
