//! What the texts and values of a CSV or JSON column have in common: the type the column is read with.

use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType, Date32Type, TimeUnit};
use chrono::Utc;

/// Digits a 64-bit float keeps when it is printed; a text with more would change.
const FLOAT_DIGITS_MAX: usize = 17;
/// Characters of `2026-01-31 10:00:00`.
const DATETIME_LENGTH: usize = 19;

/// The type of a column as far as its values tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ValueType {
    /// Nothing but NULL so far.
    #[default]
    Unknown,
    Boolean,
    Integer,
    Float,
    Date,
    /// A time without a zone.
    DateTime,
    /// A time with a zone or an offset.
    Instant,
    Text,
    /// Objects and arrays, kept as JSON text.
    Json,
}

impl ValueType {
    /// The type of one text of a CSV file.
    ///
    /// Numbers with leading zeros are text (postal codes, account numbers), and so is what a number would not keep.
    pub fn of_text(text: &str) -> ValueType {
        if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            return ValueType::Boolean;
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        let padded = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
        if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !padded {
            if digits.bytes().all(|c| c.is_ascii_digit()) {
                return if text.parse::<i64>().is_ok() { ValueType::Integer } else { ValueType::Text };
            }
            if is_float(digits) {
                return ValueType::Float;
            }
        }
        ValueType::of_time(text)
    }

    /// The type of a text that may be a date or a time; anything else is text.
    pub fn of_time(text: &str) -> ValueType {
        let bytes = text.as_bytes();
        let shaped = bytes.len() >= 10 && text.is_ascii() && bytes[4] == b'-' && bytes[7] == b'-';
        if !shaped {
            return ValueType::Text;
        }
        if bytes.len() == 10 {
            return if Date32Type::parse(text).is_some() { ValueType::Date } else { ValueType::Text };
        }
        let is_time = bytes.len() >= DATETIME_LENGTH && matches!(bytes[10], b'T' | b' ') && bytes[13] == b':';
        if !is_time || string_to_datetime(&Utc, text).is_err() {
            return ValueType::Text;
        }
        let rest = &text[DATETIME_LENGTH..];
        let zone = rest.strip_prefix('.').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        match zone.as_bytes() {
            [] => ValueType::DateTime,
            [b'Z' | b'z'] | [b'+' | b'-', ..] => ValueType::Instant,
            _ => ValueType::Text,
        }
    }

    /// The type that holds values of both.
    pub fn merge(self, other: ValueType) -> ValueType {
        use ValueType::{Date, DateTime, Float, Integer, Json, Text, Unknown};
        match (self, other) {
            (a, b) if a == b => a,
            (Unknown, other) | (other, Unknown) => other,
            (Json, _) | (_, Json) => Json,
            (Integer, Float) | (Float, Integer) => Float,
            (Date, DateTime) | (DateTime, Date) => DateTime,
            _ => Text,
        }
    }

    pub fn arrow(self) -> DataType {
        match self {
            ValueType::Boolean => DataType::Boolean,
            ValueType::Integer => DataType::Int64,
            ValueType::Float => DataType::Float64,
            ValueType::Date => DataType::Date32,
            ValueType::DateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
            ValueType::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ValueType::Unknown | ValueType::Text | ValueType::Json => DataType::Utf8View,
        }
    }
}

fn is_float(digits: &str) -> bool {
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let significant = mantissa.trim_start_matches(['0', '.']).bytes().filter(u8::is_ascii_digit).count();
    significant <= FLOAT_DIGITS_MAX
        && digits.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'E' | b'+' | b'-'))
        && digits.parse::<f64>().is_ok_and(f64::is_finite)
}
