//! One column of values to its table column's type: by Arrow's cast where that does what MySQL does, else row by row.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryBuilder, PrimitiveArray, PrimitiveBuilder, StringArray,
    StringBuilder, new_null_array,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType,
};

use super::calendar::ZoneClock;
use super::reader::{self, ColumnReader, Value};
use super::{Problem, checks, number, temporal, text};
use crate::error::Result;
use crate::storage::types::{Column, ColumnType};

/// A row of the batch, counted from 0, and what is wrong with it.
pub struct Violation {
    pub row: usize,
    pub problem: Problem,
}

/// An array ready for its column, or its first row that is not.
pub type Checked = std::result::Result<ArrayRef, Violation>;

/// A column of values before conversion, and its field in the batch.
pub struct Source<'a> {
    pub array: ArrayRef,
    pub field: &'a Field,
}

impl Source<'_> {
    /// The values in the column's type, NULLs only where allowed.
    ///
    /// # Errors
    /// `Unsupported` for an Arrow type that has no values MySQL knows.
    pub fn strict(&self, column: &Column, clock: &mut ZoneClock) -> Result<Checked> {
        if !column.nullable
            && let Some(nulls) = self.array.logical_nulls().filter(|nulls| nulls.null_count() > 0)
            && let Some(row) = nulls.iter().position(|valid| !valid)
        {
            // An earlier row may be wrong in another way, and then it is the one to name.
            let before = Source { array: self.array.slice(0, row), field: self.field };
            let null = Violation { row, problem: Problem::Null };
            return Ok(before.converted(&column.column_type, clock)?.and(Err(null)));
        }
        self.converted(&column.column_type, clock)
    }

    fn converted(&self, column_type: &ColumnType, clock: &mut ZoneClock) -> Result<Checked> {
        if let Some(candidate) = self.cheap_cast(&column_type.arrow(), clock)
            && checks::fits(&candidate, column_type)
        {
            return Ok(Ok(candidate));
        }
        if *self.array.data_type() == DataType::Boolean && *column_type == ColumnType::Json {
            // Everywhere else a boolean is a number; JSON has it as a word.
            let words = self.array.as_boolean().iter().map(|value| value.map(|value| value.to_string()));
            return Ok(Ok(Arc::new(words.collect::<StringArray>())));
        }
        let fraction = ColumnType::of_field(self.field).as_ref().map_or(6, reader::fraction_digits);
        let rows = Rows { reader: ColumnReader::new(&self.array, fraction)?, count: self.array.len() };
        Ok(rows.converted(column_type, clock))
    }

    /// The array in the target's Arrow type when Arrow's own cast does what MySQL does; values may still not fit.
    fn cheap_cast(&self, target: &DataType, clock: &ZoneClock) -> Option<ArrayRef> {
        use DataType::{Binary, Boolean, Date32, Date64, Decimal128, Dictionary, Float32, Float64, Timestamp, Utf8};
        let from = match self.array.data_type() {
            same if same == target => return Some(self.array.clone()),
            DataType::Null => return Some(new_null_array(target, self.array.len())),
            Dictionary(_, value) => value.as_ref(),
            other => other,
        };
        let is_cheap = match (target, from) {
            (Utf8, text) => text.is_string(),
            (Binary, bytes) => bytes.is_string() || bytes.is_binary(),
            (Timestamp(_, _), Timestamp(TimeUnit::Nanosecond, _)) => false, // Arrow cuts where MySQL rounds
            (Timestamp(_, None), Timestamp(TimeUnit::Microsecond, Some(_))) if clock.is_utc() => {
                let values = self.array.as_primitive_opt::<TimestampMicrosecondType>()?.clone();
                return Some(Arc::new(values.with_timezone_opt(None::<Arc<str>>)));
            }
            (Timestamp(_, to), Timestamp(_, from)) => to.is_some() == from.is_some(),
            (Date32, from) => *from == Date64,
            (Float32, from) => from.is_integer(),
            (Float64, from) => from.is_integer() || *from == Float32,
            (Decimal128(_, _), from) => from.is_integer() || matches!(from, Decimal128(_, _)),
            (to, from) => to.is_integer() && (from.is_integer() || *from == Boolean),
        };
        // A value that does not fit fails the cast; the loop over rows then finds which.
        if is_cheap { reader::exact_cast(&self.array, target).ok() } else { None }
    }
}

/// The rows of a column, read one by one.
struct Rows {
    reader: ColumnReader,
    count: usize,
}

impl Rows {
    fn converted(&self, column_type: &ColumnType, clock: &mut ZoneClock) -> Checked {
        match column_type {
            ColumnType::Boolean | ColumnType::TinyInt { unsigned: false } => {
                self.integers::<Int8Type>(column_type, clock)
            }
            ColumnType::TinyInt { unsigned: true } | ColumnType::SmallInt { unsigned: false } => {
                self.integers::<Int16Type>(column_type, clock)
            }
            ColumnType::SmallInt { unsigned: true } | ColumnType::Int { unsigned: false } => {
                self.integers::<Int32Type>(column_type, clock)
            }
            ColumnType::Int { unsigned: true } | ColumnType::BigInt { unsigned: false } => {
                self.integers::<Int64Type>(column_type, clock)
            }
            ColumnType::BigInt { unsigned: true } => {
                let (least, most) = checks::integer_range(column_type);
                self.decimals(20, 0, |value| in_range(number::integer(value, clock)?, least, most))
            }
            ColumnType::Year => shared(self.primitives::<Int16Type>(|value| number::year(value, clock))),
            ColumnType::Decimal { precision, scale } => {
                let most = 10_i128.saturating_pow(u32::from(*precision)) - 1;
                let convert = |value: Value<'_>| in_range(number::decimal(value, *scale, clock)?, -most, most);
                self.decimals(*precision, *scale, convert)
            }
            ColumnType::Float => shared(self.primitives::<Float32Type>(|value| {
                let single = number::double(value, clock)? as f32;
                if single.is_finite() { Ok(single) } else { Err(Problem::OutOfRange) }
            })),
            ColumnType::Double => shared(self.primitives::<Float64Type>(|value| number::double(value, clock))),
            ColumnType::Date => shared(self.primitives::<Date32Type>(|value| temporal::date(value, clock))),
            ColumnType::DateTime { fraction } => {
                shared(self.moments(|value| temporal::datetime(value, *fraction, clock)))
            }
            ColumnType::Timestamp { fraction } => {
                let moments = self.moments(|value| temporal::timestamp(value, *fraction, clock))?;
                Ok(Arc::new(moments.with_timezone("UTC")))
            }
            ColumnType::Char { .. } | ColumnType::VarChar { .. } | ColumnType::Text { .. } | ColumnType::Json => {
                self.texts(column_type, clock)
            }
            ColumnType::Binary { .. } | ColumnType::VarBinary { .. } | ColumnType::Blob { .. } => {
                self.bytes(column_type, clock)
            }
        }
    }

    fn integers<T: ArrowPrimitiveType>(&self, column_type: &ColumnType, clock: &mut ZoneClock) -> Checked
    where
        T::Native: TryFrom<i128>,
    {
        let (least, most) = checks::integer_range(column_type);
        shared(self.primitives::<T>(|value| {
            let number = in_range(number::integer(value, clock)?, least, most)?;
            T::Native::try_from(number).map_err(|_| Problem::OutOfRange)
        }))
    }

    fn decimals(
        &self,
        precision: u8,
        scale: i8,
        convert: impl FnMut(Value<'_>) -> std::result::Result<i128, Problem>,
    ) -> Checked {
        let values = self.primitives::<Decimal128Type>(convert)?;
        Ok(Arc::new(values.with_data_type(DataType::Decimal128(precision, scale))))
    }

    fn moments(
        &self,
        convert: impl FnMut(Value<'_>) -> std::result::Result<i64, Problem>,
    ) -> std::result::Result<PrimitiveArray<TimestampMicrosecondType>, Violation> {
        self.primitives::<TimestampMicrosecondType>(convert)
    }

    fn primitives<T: ArrowPrimitiveType>(
        &self,
        mut convert: impl FnMut(Value<'_>) -> std::result::Result<T::Native, Problem>,
    ) -> std::result::Result<PrimitiveArray<T>, Violation> {
        let mut builder = PrimitiveBuilder::<T>::with_capacity(self.count);
        for row in 0..self.count {
            match self.reader.value(row) {
                Value::Null => builder.append_null(),
                value => builder.append_value(convert(value).map_err(|problem| Violation { row, problem })?),
            }
        }
        Ok(builder.finish())
    }

    fn texts(&self, column_type: &ColumnType, clock: &mut ZoneClock) -> Checked {
        let mut builder = StringBuilder::with_capacity(self.count, self.count * 16);
        let mut scratch = Vec::new();
        for row in 0..self.count {
            match self.reader.value(row) {
                Value::Null => builder.append_null(),
                value => {
                    let text = text::text(value, column_type, clock, &mut scratch);
                    builder.append_value(text.map_err(|problem| Violation { row, problem })?);
                }
            }
        }
        Ok(Arc::new(builder.finish()))
    }

    fn bytes(&self, column_type: &ColumnType, clock: &mut ZoneClock) -> Checked {
        let mut builder = BinaryBuilder::with_capacity(self.count, self.count * 16);
        let mut scratch = Vec::new();
        for row in 0..self.count {
            match self.reader.value(row) {
                Value::Null => builder.append_null(),
                value => {
                    let bytes = text::bytes(value, column_type, clock, &mut scratch);
                    builder.append_value(bytes.map_err(|problem| Violation { row, problem })?);
                }
            }
        }
        Ok(Arc::new(builder.finish()))
    }
}

fn shared<T: ArrowPrimitiveType>(array: std::result::Result<PrimitiveArray<T>, Violation>) -> Checked {
    Ok(Arc::new(array?))
}

fn in_range(number: i128, least: i128, most: i128) -> std::result::Result<i128, Problem> {
    if (least..=most).contains(&number) { Ok(number) } else { Err(Problem::OutOfRange) }
}
