//! Time columns as integers, and windows over them: the length of a window in the ticks of the column it bounds.
//! Windows are inclusive and their arithmetic saturates. Time zones play no part: months are counted on the UTC
//! calendar.

use std::sync::Arc;

use chrono::{DateTime, Days, Months, NaiveDate};
use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;

use crate::error::{Error, Kind};
use crate::functions::arguments::wrong;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_DAY: i128 = 86_400 * NANOS_PER_SECOND;

/// What one tick of a time column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeScale {
    /// An integer column: whatever its owner counts.
    Raw,
    /// DATE.
    Days,
    /// DATETIME and TIMESTAMP: so many ticks a second.
    PerSecond(i64),
}

impl TimeScale {
    /// The scale of [`ticks`] of a column of that type, None when it cannot be a time.
    pub fn of(data_type: &DataType) -> Option<TimeScale> {
        Some(match data_type {
            DataType::Date32 | DataType::Date64 => TimeScale::Days,
            DataType::Timestamp(TimeUnit::Second, _) => TimeScale::PerSecond(1),
            DataType::Timestamp(TimeUnit::Millisecond, _) => TimeScale::PerSecond(1_000),
            DataType::Timestamp(TimeUnit::Microsecond, _) => TimeScale::PerSecond(1_000_000),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => TimeScale::PerSecond(1_000_000_000),
            // Text is read as DATETIME(6).
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => TimeScale::PerSecond(1_000_000),
            DataType::Null | DataType::Decimal128(_, 0) => TimeScale::Raw,
            integer if integer.is_integer() => TimeScale::Raw,
            _ => return None,
        })
    }
}

/// The times of a batch as integers on the column's [`TimeScale`]; NULL stays NULL.
///
/// # Errors
/// `IncorrectTemporal` for text that is no time, or an integer beyond BIGINT.
pub fn ticks(times: &ArrayRef) -> Result<Int64Array> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let convert = |array: &ArrayRef, to: &DataType| {
        cast_with_options(array, to, &strict)
            .map_err(|error| Error::new(Kind::IncorrectTemporal, format!("Incorrect time value: {error}")))
    };
    let array = match times.data_type() {
        DataType::Date64 => convert(times, &DataType::Date32)?,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            convert(times, &DataType::Timestamp(TimeUnit::Microsecond, None))?
        }
        _ => Arc::clone(times),
    };
    Ok(convert(&array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// How far the last row of a chain may be from its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// At most so many ticks later.
    Ticks(i64),
    /// At most so many calendar months and then ticks later, on this scale.
    Months { months: u32, ticks: i64, scale: TimeScale },
}

impl Window {
    /// Reads a window argument: a bare number counts seconds for DATETIME and TIMESTAMP, days for DATE and raw units
    /// for integers; an INTERVAL is itself.
    ///
    /// # Errors
    /// `WrongArguments` naming the window when it is NULL, negative, of another type, or an INTERVAL over integers.
    pub fn new(function: &str, value: &ScalarValue, scale: TimeScale) -> Result<Window> {
        let refuse = |problem: &str| Err(wrong(function, format!("window {problem}, it is {value}")).into());
        if value.is_null() {
            return Err(wrong(function, "window must not be NULL").into());
        }
        let interval = match value {
            ScalarValue::IntervalMonthDayNano(Some(v)) => Some((v.months, v.days, i128::from(v.nanoseconds))),
            ScalarValue::IntervalDayTime(Some(v)) => Some((0, v.days, i128::from(v.milliseconds) * 1_000_000)),
            ScalarValue::IntervalYearMonth(Some(months)) => Some((*months, 0, 0)),
            ScalarValue::DurationSecond(Some(v)) => Some((0, 0, i128::from(*v) * NANOS_PER_SECOND)),
            ScalarValue::DurationMillisecond(Some(v)) => Some((0, 0, i128::from(*v) * 1_000_000)),
            ScalarValue::DurationMicrosecond(Some(v)) => Some((0, 0, i128::from(*v) * 1_000)),
            ScalarValue::DurationNanosecond(Some(v)) => Some((0, 0, i128::from(*v))),
            _ => None,
        };
        if let Some((months, days, nanos)) = interval {
            if months < 0 || days < 0 || nanos < 0 {
                return refuse("must not be negative");
            }
            let nanos = nanos + i128::from(days) * NANOS_PER_DAY;
            let ticks = match scale {
                TimeScale::Raw => return refuse("must be a number when the times are integers"),
                TimeScale::Days => nanos / NANOS_PER_DAY,
                TimeScale::PerSecond(rate) => nanos * i128::from(rate) / NANOS_PER_SECOND,
            };
            let ticks = i64::try_from(ticks).unwrap_or(i64::MAX);
            return Ok(match months {
                0 => Window::Ticks(ticks),
                months => Window::Months { months: months.unsigned_abs(), ticks, scale },
            });
        }
        let integer = value.data_type().is_integer() || matches!(value.data_type(), DataType::Decimal128(_, 0));
        let number = match value.cast_to(&DataType::Decimal128(38, 0)) {
            Ok(ScalarValue::Decimal128(Some(number), _, _)) if integer => number,
            _ => return refuse("must be an integer or an INTERVAL"),
        };
        if number < 0 {
            return refuse("must not be negative");
        }
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        Ok(Window::Ticks(match scale {
            TimeScale::Raw | TimeScale::Days => number,
            TimeScale::PerSecond(rate) => number.saturating_mul(rate),
        }))
    }

    /// Whether a chain that began at `first` may reach `last`, which is not earlier.
    #[inline]
    pub fn holds(&self, first: i64, last: i64) -> bool {
        match *self {
            Window::Ticks(ticks) => last.saturating_sub(first) <= ticks,
            Window::Months { months, ticks, scale } => {
                let end = add_months(first, months, scale).map(|end| end.saturating_add(ticks));
                end.is_none_or(|end| last <= end)
            }
        }
    }
}

/// `time` and so many months on the calendar (the 31st becomes the month's last day); None beyond the calendar.
fn add_months(time: i64, months: u32, scale: TimeScale) -> Option<i64> {
    let months = Months::new(months);
    match scale {
        TimeScale::Raw => None,
        TimeScale::Days => {
            let epoch = NaiveDate::default();
            let days = Days::new(time.unsigned_abs());
            let date = if time < 0 { epoch.checked_sub_days(days) } else { epoch.checked_add_days(days) };
            Some((date?.checked_add_months(months)? - epoch).num_days())
        }
        TimeScale::PerSecond(rate) => {
            let moved = DateTime::from_timestamp(time.div_euclid(rate), 0)?.checked_add_months(months)?;
            moved.timestamp().checked_mul(rate)?.checked_add(time.rem_euclid(rate))
        }
    }
}
