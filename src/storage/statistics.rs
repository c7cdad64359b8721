//! What the Delta log says about a file's columns: smallest and largest value, number of NULLs; read from and written
//! as the JSON of an `add` action (<https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics>).
//!
//! Statistics only ever help: JSON that cannot be understood counts as "not known". Nested columns have none.

use std::cmp::Ordering;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, DecimalType, Field, Schema};
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::scalar::ScalarValue;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::storage::types::{Column, ColumnType};

/// Our writer cuts texts in statistics at 64 bytes, on a character boundary: a shorter one than this was not cut.
const WHOLE_TEXT_BYTES_MAX: usize = 60;
/// Digits a number in JSON keeps when it is read as a 64-bit float.
const FLOAT_DIGITS: u8 = 15;
/// Other engines round times in statistics down to milliseconds; a largest value may be this much larger.
const MILLISECOND_REST: i64 = 999;

/// What is known of one column of one file; None is "not known".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnStatistics {
    /// Not above any value of the file (strings and times may be rounded down).
    pub minimum: Option<ScalarValue>,
    /// Not below any value of the file (strings and times may be rounded up).
    pub maximum: Option<ScalarValue>,
    /// Minimum and maximum are values of the file, not merely bounds.
    pub exact: bool,
    pub null_count: Option<u64>,
}

/// The `stats` of an `add` action.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FileStatistics {
    num_records: Option<u64>,
    min_values: Map<String, Value>,
    max_values: Map<String, Value>,
    null_count: Map<String, Value>,
}

/// Rows of a file and one entry a field, in the fields' order. `ours`: our writer made them, so bounds are values.
pub(super) fn parse(json: Option<&str>, fields: &Schema, ours: bool) -> (Option<u64>, Vec<ColumnStatistics>) {
    let parsed: FileStatistics = json.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let column = |field: &Field| {
        let bound = |values: &Map<String, Value>, upper: bool| {
            values.get(field.name()).and_then(|value| parse_bound(value, field.data_type(), upper && !ours))
        };
        let (minimum, maximum) = (bound(&parsed.min_values, false), bound(&parsed.max_values, true));
        let whole = |value: &Option<ScalarValue>| value.as_ref().is_some_and(is_whole);
        ColumnStatistics {
            exact: ours && whole(&minimum) && whole(&maximum),
            minimum,
            maximum,
            null_count: parsed.null_count.get(field.name()).and_then(Value::as_u64),
        }
    };
    (parsed.num_records, fields.fields().iter().map(|field| column(field)).collect())
}

/// One bound in the column's type; `rounded_up`: a time may be up to a millisecond later than it says.
fn parse_bound(value: &Value, data_type: &DataType, rounded_up: bool) -> Option<ScalarValue> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => {
            let whole = number.is_i64() || number.is_u64();
            match data_type {
                DataType::Decimal128(precision, _) if !whole && *precision > FLOAT_DIGITS => return None,
                DataType::Float32 => return number.as_f64().map(|number| ScalarValue::Float32(Some(number as f32))),
                DataType::Float64 => return number.as_f64().map(|number| ScalarValue::Float64(Some(number))),
                // Not Number's own text, which may be 1e-7.
                _ if !whole => number.as_f64()?.to_string(),
                _ => number.to_string(),
            }
        }
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    if data_type.is_nested() || matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView) {
        return None;
    }
    let bound = ScalarValue::try_from_string(text, data_type).ok().filter(|bound| !bound.is_null())?;
    match bound {
        ScalarValue::TimestampMicrosecond(Some(micros), zone) if rounded_up => {
            Some(ScalarValue::TimestampMicrosecond(Some(micros.saturating_add(MILLISECOND_REST)), zone))
        }
        bound => Some(bound),
    }
}

/// Whether our writer can not have cut the value.
fn is_whole(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            text.len() <= WHOLE_TEXT_BYTES_MAX
        }
        _ => true,
    }
}

/// The statistics of a file just written, from its footer, as the log's JSON.
///
/// # Errors
/// `Storage` when the footer does not have the columns of `fields` (a fault of ours).
pub(super) fn of_parquet(footer: &ParquetMetaData, fields: &Schema, columns: &[Column]) -> Result<String> {
    let (mut minima, mut maxima, mut nulls) = (Vec::new(), Vec::new(), Vec::new());
    for (field, column) in fields.fields().iter().zip(columns) {
        let name = serde_json::to_string(field.name())?;
        if field.data_type().is_nested() {
            continue;
        }
        let converter = StatisticsConverter::try_new(field.name(), fields, footer.file_metadata().schema_descr())?;
        let null_counts = converter.row_group_null_counts(footer.row_groups())?;
        if null_counts.null_count() == 0 {
            nulls.push(format!("{name}:{}", null_counts.iter().flatten().sum::<u64>()));
        }
        if !has_useful_bounds(&column.column_type) {
            continue;
        }
        let lowest = converter.row_group_mins(footer.row_groups())?;
        let highest = converter.row_group_maxes(footer.row_groups())?;
        let all_null: Vec<bool> = std::iter::zip(footer.row_groups(), null_counts.iter())
            .map(|(group, nulls)| nulls.is_some_and(|nulls| nulls == group.num_rows() as u64))
            .collect();
        let (lowest, highest) =
            (fold(&lowest, &all_null, Ordering::Less)?, fold(&highest, &all_null, Ordering::Greater)?);
        // One bound without the other would mislead readers that want both.
        if let (Some(lowest), Some(highest)) = (lowest.and_then(bound_text), highest.and_then(bound_text)) {
            minima.push(format!("{name}:{lowest}"));
            maxima.push(format!("{name}:{highest}"));
        }
    }
    Ok(format!(
        "{{\"numRecords\":{},\"minValues\":{{{}}},\"maxValues\":{{{}}},\"nullCount\":{{{}}}}}",
        footer.file_metadata().num_rows(),
        minima.join(","),
        maxima.join(","),
        nulls.join(",")
    ))
}

/// Bounds of long texts and byte strings prune nothing and make the log long.
fn has_useful_bounds(column_type: &ColumnType) -> bool {
    !matches!(
        column_type,
        ColumnType::Json
            | ColumnType::Text { .. }
            | ColumnType::Blob { .. }
            | ColumnType::Binary { .. }
            | ColumnType::VarBinary { .. }
    )
}

/// The smallest or largest value over the row groups; None when one of them has values but does not know its bound.
fn fold(bounds: &dyn Array, all_null: &[bool], wanted: Ordering) -> Result<Option<ScalarValue>> {
    let mut best: Option<ScalarValue> = None;
    for (row, all_null) in all_null.iter().enumerate() {
        match (bounds.is_null(row), all_null) {
            (true, true) => continue,
            (true, false) => return Ok(None),
            (false, _) => {}
        }
        let value = ScalarValue::try_from_array(bounds, row)?;
        if best.as_ref().is_none_or(|best| value.partial_cmp(best) == Some(wanted)) {
            best = Some(value);
        }
    }
    Ok(best)
}

/// A bound as JSON; None for what JSON or the protocol has no form for.
fn bound_text(value: ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Boolean(Some(value)) => Some(value.to_string()),
        ScalarValue::Int8(Some(value)) => Some(value.to_string()),
        ScalarValue::Int16(Some(value)) => Some(value.to_string()),
        ScalarValue::Int32(Some(value)) => Some(value.to_string()),
        ScalarValue::Int64(Some(value)) => Some(value.to_string()),
        ScalarValue::Float32(Some(value)) if value.is_finite() => serde_json::to_string(&value).ok(),
        ScalarValue::Float64(Some(value)) if value.is_finite() => serde_json::to_string(&value).ok(),
        ScalarValue::Decimal128(Some(value), precision, scale) => {
            Some(Decimal128Type::format_decimal(value, precision, scale))
        }
        ScalarValue::Date32(Some(days)) => Some(format!("\"{}\"", day_text(days)?)),
        ScalarValue::TimestampMicrosecond(Some(micros), zone) => {
            let time = chrono::DateTime::from_timestamp_micros(micros)?;
            let zone = if zone.is_some() { "Z" } else { "" };
            Some(format!("\"{}{zone}\"", time.format("%Y-%m-%dT%H:%M:%S%.6f")))
        }
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            serde_json::to_string(&text).ok()
        }
        _ => None,
    }
}

/// A day (days since 1970-01-01) as the log writes it.
pub(super) fn day_text(days: i32) -> Option<String> {
    let date = chrono::NaiveDate::from_epoch_days(days)?;
    Some(date.format("%Y-%m-%d").to_string())
}

/// A partition value of the log in its column's type; the empty text and none are NULL.
pub(super) fn parse_partition_value(text: Option<&str>, data_type: &DataType) -> Option<ScalarValue> {
    match text {
        None | Some("") => ScalarValue::try_from(data_type).ok(),
        Some(text) => {
            let value = ScalarValue::try_from_string(text.to_owned(), data_type).ok()?;
            (!value.is_null()).then_some(value)
        }
    }
}
