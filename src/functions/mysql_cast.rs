//! CAST(x AS SIGNED) and CAST(x AS UNSIGNED), under the names that the dialect calls them by, and the number that the
//! planner compares instead of a text.

use std::sync::Arc;

use chrono::{Datelike, Timelike};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field};
use datafusion::error::Result;
use datafusion::logical_expr::ReturnFieldArgs;

use crate::functions::mysql_convert::doubles_of;
use crate::functions::mysql_function::{Call, MysqlFunction, TYPE_KEY, field, returns_integer};
use crate::functions::mysql_math::divide_exact;

/// BIGINT UNSIGNED in memory.
const UNSIGNED: DataType = DataType::Decimal128(20, 0);
const SIGNED_MAX: i128 = i64::MAX as i128;
const UNSIGNED_MAX: i128 = u64::MAX as i128;

pub fn functions() -> Vec<MysqlFunction> {
    vec![
        MysqlFunction::new("mysql_signed", 1..=1, returns_integer, signed),
        MysqlFunction::new("mysql_unsigned", 1..=1, returns_unsigned, unsigned),
        double(),
    ]
}

/// The number a text begins with, 0 when it begins with none: what MySQL compares with a number.
pub fn double() -> MysqlFunction {
    MysqlFunction::new(
        "mysql_double",
        1..=1,
        |_| field(DataType::Float64),
        |call| {
            let numbers = call.doubles(0)?;
            Ok(Arc::new((0..call.rows).map(|row| numbers.get(row)).collect::<Float64Array>()))
        },
    )
}

fn returns_unsigned(_: &ReturnFieldArgs) -> Result<Field> {
    Ok(field(UNSIGNED)?.with_metadata([(TYPE_KEY.to_owned(), "bigint unsigned".to_owned())].into()))
}

/// Out of range clamps, but what is above BIGINT and fits BIGINT UNSIGNED keeps its bits.
fn signed(call: &Call) -> Result<ArrayRef> {
    let (values, bits) = whole_numbers(call)?;
    call.make_integers(|row| {
        let value = values[row]?;
        Some(match value {
            SIGNED_MAX..=UNSIGNED_MAX if bits => value as u64 as i64,
            value => value.clamp(i64::MIN.into(), SIGNED_MAX) as i64,
        })
    })
}

/// Negative integers keep their bits, negative decimals are 0.
fn unsigned(call: &Call) -> Result<ArrayRef> {
    let (values, bits) = whole_numbers(call)?;
    let values = values.into_iter().map(|value| {
        Some(match value? {
            value if value < 0 && bits => i128::from(value.max(i64::MIN.into()) as i64 as u64),
            value => value.clamp(0, UNSIGNED_MAX),
        })
    });
    let values = values.collect::<Decimal128Array>().with_precision_and_scale(20, 0)?;
    Ok(Arc::new(values))
}

/// The argument rounded to whole numbers, and whether they are integers whose bits mean something: a fraction has none.
fn whole_numbers(call: &Call) -> Result<(Vec<Option<i128>>, bool)> {
    let array = call.array(0)?;
    Ok(match array.data_type() {
        DataType::Boolean => (integers(&cast(&array, &DataType::Int64)?)?, true),
        DataType::Decimal128(_, scale) => {
            let (scale, bits) = (*scale, *array.data_type() == UNSIGNED);
            let unit = 10i128.pow(u32::from(scale.max(0).unsigned_abs()));
            let values = array.as_primitive::<Decimal128Type>().iter();
            (values.map(|value| value.and_then(|value| divide_exact(value, unit, 0))).collect(), bits)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = call.texts(0)?;
            ((0..call.rows).map(|row| texts.get(row).map(integer_prefix)).collect(), true)
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => {
            let date = matches!(array.data_type(), DataType::Date32 | DataType::Date64);
            let times = call.times(0)?;
            let number = |row: usize| {
                let time = times.time(row)?;
                let day = i128::from(time.year()) * 10_000 + i128::from(time.month() * 100 + time.day());
                let clock = i128::from(time.hour() * 10_000 + time.minute() * 100 + time.second());
                Some(if date { day } else { day * 1_000_000 + clock })
            };
            ((0..call.rows).map(number).collect(), true)
        }
        data_type if data_type.is_integer() => (integers(&array)?, true),
        _ => {
            let doubles = doubles_of(&array)?;
            (doubles.iter().map(|value| value.map(|value| value.round_ties_even() as i128)).collect(), true)
        }
    })
}

fn integers(array: &ArrayRef) -> Result<Vec<Option<i128>>> {
    let decimals = cast(array, &DataType::Decimal128(38, 0))?;
    Ok(decimals.as_primitive::<Decimal128Type>().iter().collect())
}

/// The integer a text begins with, 0 when it begins with none; `'3.7'` is 3.
fn integer_prefix(text: &str) -> i128 {
    /// More digits than any integer type has: the value is clamped anyway.
    const DIGITS_MAX: usize = 30;
    let text = text.trim_start();
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let digits = digits.bytes().take_while(u8::is_ascii_digit).take(DIGITS_MAX);
    let value = digits.fold(0i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    if negative { -value } else { value }
}
