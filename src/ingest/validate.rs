//! MySQL's strict mode for rows on their way into a table: every value is converted to its column's type as MySQL
//! would, or the batch is refused with the column and the row. Pure: reads no table, writes nothing.
//!
//! Columns that have their target type already are only looked over, whole arrays at a time; a loop over rows runs for
//! those that need converting, and to find the row of an error.

pub mod calendar; // days, dates, offsets of time zones
mod checks; // does an array fit its column as it is?
mod convert; // whole column → its column's type
pub mod format; // MySQL's text of numbers, dates, times
pub mod number; // values → integers, decimals, doubles
pub mod reader; // an Arrow column as MySQL values
pub mod temporal; // values → dates, moments
pub mod text; // values → strings, bytes, JSON

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use chrono_tz::Tz;

use self::calendar::ZoneClock;
use self::convert::{Source, Violation};
use self::reader::{ColumnReader, Value};
use crate::error::{Error, Kind, Result};
use crate::storage::types::Column;

/// Bytes of a refused value that its message shows.
const SHOWN_BYTES_MAX: usize = 128;

/// The batch with each column converted to the type of the table's column at the same position. `first_row` is the
/// number of the batch's first row within the statement, counted from 1. In `zone`, the session's, wall clocks are read
/// for TIMESTAMP columns, and instants shown for DATETIME columns.
///
/// # Errors
/// The first row that does not fit, with its column: `NullNotAllowed`, `OutOfRange`, `IncorrectValue`,
/// `IncorrectTemporal`, `DataTruncated`, `DataTooLong`, `InvalidJson`; `Unsupported` for a source type that has no
/// values MySQL knows.
pub fn strict_batch(batch: &RecordBatch, columns: &[Column], first_row: u64, zone: Tz) -> Result<RecordBatch> {
    if batch.num_columns() != columns.len() {
        return Err(Error::internal(format!(
            "{} columns of values for {} columns of a table",
            batch.num_columns(),
            columns.len()
        )));
    }
    let mut clock = ZoneClock::new(zone);
    let mut arrays = Vec::with_capacity(columns.len());
    let mut worst: Option<(usize, Violation)> = None;
    for (index, column) in columns.iter().enumerate() {
        let source = Source { array: batch.column(index).clone(), field: batch.schema_ref().field(index) };
        match source.strict(column, &mut clock)? {
            Ok(array) => arrays.push(array),
            // The statement fails with its first wrong row, whichever column is converted first.
            Err(violation) if worst.as_ref().is_none_or(|(_, first)| violation.row < first.row) => {
                worst = Some((index, violation));
            }
            Err(_) => {}
        }
    }
    if let Some((index, violation)) = worst {
        let values = ColumnReader::new(batch.column(index), 6)?;
        let shown = shown_value(values.value(violation.row), &mut clock);
        let row = first_row + violation.row as u64;
        return Err(violation.problem.error(&columns[index].name, row, &shown));
    }
    let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}

/// Why a value does not fit its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    Null,
    OutOfRange,
    /// Not a value of that kind: "integer", "decimal", "double", "string".
    Incorrect(&'static str),
    /// Not a "date" or "datetime".
    IncorrectTemporal(&'static str),
    /// Something follows the number.
    Truncated,
    TooLong,
    /// Not JSON, from that byte on.
    Json {
        reason: String,
        position: usize,
    },
}

impl Problem {
    fn error(&self, column: &str, row: u64, value: &str) -> Error {
        let (kind, message) = match self {
            Problem::Null => (Kind::NullNotAllowed, format!("Column '{column}' cannot be null at row {row}")),
            Problem::OutOfRange => (Kind::OutOfRange, format!("Out of range value for column '{column}' at row {row}")),
            Problem::Incorrect(what) => {
                (Kind::IncorrectValue, format!("Incorrect {what} value: '{value}' for column '{column}' at row {row}"))
            }
            Problem::IncorrectTemporal(what) => (
                Kind::IncorrectTemporal,
                format!("Incorrect {what} value: '{value}' for column '{column}' at row {row}"),
            ),
            Problem::Truncated => (Kind::DataTruncated, format!("Data truncated for column '{column}' at row {row}")),
            Problem::TooLong => (Kind::DataTooLong, format!("Data too long for column '{column}' at row {row}")),
            Problem::Json { reason, position } => (
                Kind::InvalidJson,
                format!(
                    "Invalid JSON text: \"{reason}\" at position {position} in value for column '{column}' at row {row}"
                ),
            ),
        };
        Error::new(kind, message)
    }
}

/// A value for an error message: cut to a length that fits, bytes that are no text as `\xFF`.
fn shown_value(value: Value<'_>, clock: &mut ZoneClock) -> String {
    let mut bytes = Vec::new();
    value.write_text(clock, &mut bytes);
    let mut shown = String::new();
    for part in bytes.utf8_chunks() {
        shown.push_str(part.valid());
        part.invalid().iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02X}")));
        if shown.len() > SHOWN_BYTES_MAX {
            break;
        }
    }
    shown.truncate(shown.floor_char_boundary(SHOWN_BYTES_MAX));
    shown
}
