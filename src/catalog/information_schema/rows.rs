//! Rows of `information_schema` tables, put together by column name and turned into one Arrow batch.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Unsigned(u64),
    /// Microseconds since 1970 UTC.
    Time(i64),
}

/// One row: values by column name. A column that is not named is NULL, or in a column without NULLs empty or 0.
#[derive(Debug, Default, Clone)]
pub struct Row {
    cells: Vec<(&'static str, Cell)>,
}

impl Row {
    /// Adds a value.
    pub fn with(mut self, column: &'static str, value: impl Into<Cell>) -> Row {
        self.cells.push((column, value.into()));
        self
    }

    /// Adds the same text in several columns.
    pub fn with_all(mut self, columns: &[&'static str], value: &str) -> Row {
        self.cells.extend(columns.iter().map(|column| (*column, Cell::Text(value.to_owned()))));
        self
    }

    fn take(&mut self, column: &str) -> Cell {
        match self.cells.iter().position(|(name, _)| *name == column) {
            Some(at) => self.cells.swap_remove(at).1,
            None => Cell::Null,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Integer(number)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        Cell::Unsigned(number)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Null, T::into)
    }
}

/// The rows as one batch of `schema`.
///
/// # Errors
/// `Internal` for a column name or a type the schema does not have: a mistake where the row is made.
pub fn batch(schema: &SchemaRef, mut rows: Vec<Row>) -> Result<RecordBatch> {
    let mut arrays = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let cells = rows.iter_mut().map(|row| row.take(field.name()));
        arrays.push(array(field, cells)?);
    }
    if let Some((column, _)) = rows.iter().find_map(|row| row.cells.first()) {
        return Err(Error::internal(format!("information_schema has no column {column} here")));
    }
    RecordBatch::try_new(schema.clone(), arrays).map_err(Error::from)
}

fn array(field: &Field, cells: impl Iterator<Item = Cell>) -> Result<ArrayRef> {
    let wrong =
        |cell: &Cell| Error::internal(format!("information_schema column {} cannot hold {cell:?}", field.name()));
    let empty = !field.is_nullable();
    Ok(match field.data_type() {
        DataType::Utf8 => {
            let text = |cell| match cell {
                Cell::Text(text) => Ok(Some(text)),
                Cell::Null => Ok(empty.then(String::new)),
                other => Err(wrong(&other)),
            };
            Arc::new(cells.map(text).collect::<Result<StringArray>>()?)
        }
        DataType::UInt64 => {
            let number = |cell| match cell {
                Cell::Unsigned(number) => Ok(Some(number)),
                Cell::Null => Ok(empty.then_some(0)),
                other => Err(wrong(&other)),
            };
            Arc::new(cells.map(number).collect::<Result<UInt64Array>>()?)
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let time = |cell| match cell {
                Cell::Time(micros) => Ok(Some(micros)),
                Cell::Null => Ok(empty.then_some(0)),
                other => Err(wrong(&other)),
            };
            let array = cells.map(time).collect::<Result<TimestampMicrosecondArray>>()?;
            Arc::new(array.with_timezone_opt(zone.clone()))
        }
        other => {
            let number = |cell| match cell {
                Cell::Integer(number) => Ok(Some(number)),
                Cell::Unsigned(number) => i64::try_from(number).map(Some).map_err(|_| wrong(&Cell::Unsigned(number))),
                Cell::Null => Ok(empty.then_some(0)),
                other => Err(wrong(&other)),
            };
            let numbers = cells.map(number).collect::<Result<Vec<Option<i64>>>>()?;
            match other {
                DataType::Int64 => Arc::new(Int64Array::from(numbers)),
                DataType::Int32 => {
                    // Seconds and counts far below 2^31; beyond it the largest says enough.
                    let narrow = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
                    Arc::new(Int32Array::from_iter(numbers.into_iter().map(|number| number.map(narrow))))
                }
                _ => return Err(Error::internal(format!("information_schema has no columns of type {other}"))),
            }
        }
    })
}
