//! MySQL's date functions: parts of a time, differences, the clock, and the session's time zone. DATE_FORMAT and
//! STR_TO_DATE are in `mysql_date_format`. There is no TIME type here, so no function that returns one.

use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, Timelike, Weekday};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Date32Type, Decimal128Type, Field};
use datafusion::common::ScalarValue;
use datafusion::common::metadata::FieldMetadata;
use datafusion::error::Result;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ReturnFieldArgs, Volatility};

use crate::error::Error;
use crate::functions::arguments::wrong;
use crate::functions::mysql_convert::{instant, local_micros};
use crate::functions::mysql_date_format;
use crate::functions::mysql_function::{
    Call, MysqlFunction, digits_of, field, returns_datetime, returns_integer, returns_text,
};
use crate::functions::mysql_math::exact;
use crate::functions::mysql_time_text::{full_year, parse_clock};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// The last second FROM_UNIXTIME and UNIX_TIMESTAMP know: 3001-01-18 23:59:59 UTC.
const UNIX_SECONDS_MAX: i64 = 32_536_771_199;
/// TO_DAYS('1970-01-01').
const DAYS_TO_1970: i64 = 719_528;

pub fn functions() -> Vec<MysqlFunction> {
    let mut functions = parts();
    functions.extend([
        MysqlFunction { days: Some(day_of), ..MysqlFunction::new("date", 1..=1, returns_date, date) },
        MysqlFunction::new("timestamp", 1..=1, same_digits, |call| {
            let times = call.times(0)?;
            call.make_times(|row| times.get(row))
        }),
        MysqlFunction::new("last_day", 1..=1, returns_date, |call| {
            let times = call.times(0)?;
            call.make_dates(|row| last_day(times.time(row)?.date()).map(Date32Type::from_naive_date))
        }),
        MysqlFunction::new("from_days", 1..=1, returns_date, |call| {
            let days = call.integers(0)?;
            call.make_dates(|row| i32::try_from(days.get(row)?.checked_sub(DAYS_TO_1970)?).ok())
        }),
        MysqlFunction::new("makedate", 2..=2, returns_date, make_date),
        MysqlFunction::new("datediff", 2..=2, returns_integer, |call| {
            let (left, right) = (call.times(0)?, call.times(1)?);
            let day = |micros: i64| micros.div_euclid(MICROS_PER_DAY);
            call.make_integers(|row| Some(day(left.get(row)?) - day(right.get(row)?)))
        }),
        MysqlFunction::new("timestampdiff", 3..=3, difference_type, difference),
        MysqlFunction::new("week", 1..=2, returns_integer, |call| week_number(call, false)),
        MysqlFunction::new("yearweek", 1..=2, returns_integer, |call| week_number(call, true)),
        MysqlFunction::new("unix_timestamp", 0..=1, unix_type, unix_timestamp).clock(unix_now),
        MysqlFunction::new("from_unixtime", 1..=2, from_unix_type, from_unixtime),
        MysqlFunction::new("convert_tz", 3..=3, same_digits, convert_tz),
        MysqlFunction::new("now", 0..=1, now_type, unset)
            .aliases(&["current_timestamp", "localtime", "localtimestamp", "sysdate"])
            .clock(|args, info| clock_literal(args, info, true)),
        MysqlFunction::new("utc_timestamp", 0..=1, now_type, unset)
            .clock(|args, info| clock_literal(args, info, false)),
        MysqlFunction::new("curdate", 0..=0, returns_date, unset)
            .aliases(&["current_date"])
            .clock(|_, info| date_literal(info, true)),
        MysqlFunction::new("utc_date", 0..=0, returns_date, unset).clock(|_, info| date_literal(info, false)),
    ]);
    functions
}

/// Functions that take a part out of a time.
fn parts() -> Vec<MysqlFunction> {
    let part = MysqlFunction::new;
    vec![
        MysqlFunction {
            days: Some(days_of_year),
            ..part("year", 1..=1, returns_integer, |call| of_date(call, |d| i64::from(d.year())))
        },
        part("month", 1..=1, returns_integer, |call| of_date(call, |d| i64::from(d.month()))),
        part("day", 1..=1, returns_integer, |call| of_date(call, |d| i64::from(d.day()))).aliases(&["dayofmonth"]),
        part("quarter", 1..=1, returns_integer, |call| of_date(call, |d| i64::from(d.month0() / 3 + 1))),
        part("dayofyear", 1..=1, returns_integer, |call| of_date(call, |d| i64::from(d.ordinal()))),
        part("dayofweek", 1..=1, returns_integer, |call| {
            of_date(call, |d| i64::from(d.weekday().number_from_sunday()))
        }),
        part("weekday", 1..=1, returns_integer, |call| {
            of_date(call, |d| i64::from(d.weekday().num_days_from_monday()))
        }),
        part("weekofyear", 1..=1, returns_integer, |call| of_date(call, |d| i64::from(d.iso_week().week()))),
        part("to_days", 1..=1, returns_integer, |call| {
            of_date(call, |d| i64::from(Date32Type::from_naive_date(d)) + DAYS_TO_1970)
        }),
        part("hour", 1..=1, returns_integer, |call| of_clock(call, |t| i64::from(t.hour()))),
        part("minute", 1..=1, returns_integer, |call| of_clock(call, |t| i64::from(t.minute()))),
        part("second", 1..=1, returns_integer, |call| of_clock(call, |t| i64::from(t.second()))),
        part("microsecond", 1..=1, returns_integer, |call| of_clock(call, |t| i64::from(t.nanosecond() / 1_000))),
        part("dayname", 1..=1, returns_text, |call| {
            of_name(call, |date| mysql_date_format::DAYS[date.weekday().num_days_from_sunday() as usize])
        }),
        part("monthname", 1..=1, returns_text, |call| {
            of_name(call, |date| mysql_date_format::MONTHS[date.month0() as usize])
        }),
    ]
}

impl MysqlFunction {
    /// A function of the clock: the planner reads the statement's one time.
    fn clock(mut self, simplify: fn(&[Expr], &SimplifyContext) -> Result<Option<Expr>>) -> Self {
        self.simplify = Some(simplify);
        self.volatility = Volatility::Stable;
        self
    }
}

fn returns_date(_: &ReturnFieldArgs) -> Result<Field> {
    field(DataType::Date32)
}

/// DATETIME with the fraction digits of the first argument.
fn same_digits(args: &ReturnFieldArgs) -> Result<Field> {
    returns_datetime(digits_of(args, 0))
}

fn date(call: &Call) -> Result<ArrayRef> {
    let times = call.times(0)?;
    call.make_dates(|row| i32::try_from(times.get(row)?.div_euclid(MICROS_PER_DAY)).ok())
}

fn day_of(value: &ScalarValue) -> Option<[NaiveDate; 2]> {
    let ScalarValue::Date32(Some(days)) = value else { return None };
    let day = Date32Type::to_naive_date_opt(*days)?;
    Some([day, day.succ_opt()?])
}

fn days_of_year(value: &ScalarValue) -> Option<[NaiveDate; 2]> {
    let ScalarValue::Int64(Some(year)) = value else { return None };
    let year = i32::try_from(*year).ok().filter(|year| (1..9999).contains(year))?;
    Some([NaiveDate::from_ymd_opt(year, 1, 1)?, NaiveDate::from_ymd_opt(year + 1, 1, 1)?])
}

fn of_date(call: &Call, part: impl Fn(NaiveDate) -> i64) -> Result<ArrayRef> {
    let times = call.times(0)?;
    call.make_integers(|row| times.time(row).map(|time| part(time.date())))
}

fn of_name(call: &Call, name: impl Fn(NaiveDate) -> &'static str) -> Result<ArrayRef> {
    let times = call.times(0)?;
    call.make_texts(|row, text| times.time(row).map(|time| text.push_str(name(time.date()))))
}

/// Part of a time of day, which text may give alone.
fn of_clock(call: &Call, part: impl Fn(NaiveDateTime) -> i64) -> Result<ArrayRef> {
    if call.fields[0].data_type().is_string() {
        let texts = call.texts(0)?;
        return call.make_integers(|row| texts.get(row).and_then(parse_clock).map(&part));
    }
    let times = call.times(0)?;
    call.make_integers(|row| times.time(row).map(&part))
}

fn last_day(date: NaiveDate) -> Option<NaiveDate> {
    date.with_day(1)?.checked_add_months(Months::new(1))?.pred_opt()
}

/// MAKEDATE(year, day of the year).
fn make_date(call: &Call) -> Result<ArrayRef> {
    let (years, days) = (call.integers(0)?, call.integers(1)?);
    call.make_dates(|row| {
        let year = i32::try_from(years.get(row)?).ok().filter(|year| (0..=9999).contains(year))?;
        let year = if year < 100 { full_year(year) } else { year };
        let day = u64::try_from(days.get(row)?).ok().and_then(|day| day.checked_sub(1))?;
        let date = NaiveDate::from_ymd_opt(year, 1, 1)?.checked_add_days(Days::new(day))?;
        (date.year() <= 9999).then(|| Date32Type::from_naive_date(date))
    })
}

/// What TIMESTAMPDIFF counts.
#[derive(Clone, Copy)]
enum Unit {
    Micros(i64),
    Months(i64),
}

impl Unit {
    fn of(name: &str) -> Option<Unit> {
        let name = name.to_ascii_uppercase();
        Some(match name.strip_prefix("SQL_TSI_").unwrap_or(&name) {
            "MICROSECOND" => Unit::Micros(1),
            "SECOND" => Unit::Micros(MICROS_PER_SECOND),
            "MINUTE" => Unit::Micros(60 * MICROS_PER_SECOND),
            "HOUR" => Unit::Micros(3_600 * MICROS_PER_SECOND),
            "DAY" => Unit::Micros(MICROS_PER_DAY),
            "WEEK" => Unit::Micros(7 * MICROS_PER_DAY),
            "MONTH" => Unit::Months(1),
            "QUARTER" => Unit::Months(3),
            "YEAR" => Unit::Months(12),
            _ => return None,
        })
    }
}

fn difference_type(args: &ReturnFieldArgs) -> Result<Field> {
    let unit = args.scalar_arguments[0].and_then(|unit| unit.try_as_str().flatten());
    match unit.and_then(Unit::of) {
        Some(_) => field(DataType::Int64),
        None => Err(wrong("timestampdiff", "the first argument must be a unit such as DAY or MONTH").into()),
    }
}

/// TIMESTAMPDIFF: whole units from the first time to the second.
fn difference(call: &Call) -> Result<ArrayRef> {
    let (units, from, to) = (call.texts(0)?, call.times(1)?, call.times(2)?);
    let Some(unit) = units.get(0).and_then(Unit::of) else { return call.make_integers(|_| None) };
    call.make_integers(|row| {
        Some(match unit {
            Unit::Micros(size) => (to.get(row)? - from.get(row)?) / size,
            Unit::Months(size) => whole_months(from.time(row)?, to.time(row)?) / size,
        })
    })
}

fn whole_months(from: NaiveDateTime, to: NaiveDateTime) -> i64 {
    if to < from {
        return -whole_months(to, from);
    }
    let months = |time: NaiveDateTime| i64::from(time.year()) * 12 + i64::from(time.month0());
    let incomplete = (to.day(), to.time()) < (from.day(), from.time());
    months(to) - months(from) - i64::from(incomplete)
}

/// WEEK and YEARWEEK with their eight modes.
fn week_number(call: &Call, with_year: bool) -> Result<ArrayRef> {
    let times = call.times(0)?;
    let modes = if call.args.len() > 1 { Some(call.integers(1)?) } else { None };
    call.make_integers(|row| {
        let mode = modes.as_ref().map_or(Some(0), |modes| modes.get(row))?;
        let (year, week) = week(times.time(row)?.date(), mode as u8 & 7, with_year);
        Some(if with_year { i64::from(year) * 100 + i64::from(week) } else { i64::from(week) })
    })
}

/// Year and week of a date in a mode of WEEK(): bit 0, weeks start on Monday; bit 1 (or `always_in_a_week`), weeks
/// count from 1 and may belong to a neighbouring year; bit 2, toggled for Sundays, the first week is the first that
/// starts in the year rather than the first with four days in it.
pub fn week(date: NaiveDate, mode: u8, always_in_a_week: bool) -> (i32, u32) {
    let monday = mode & 1 != 0;
    let full_first_week = (mode & 4 != 0) == monday;
    let start_of = |year: i32| {
        // A week with four days of the year contains 4 January; the first full week starts in 1 to 7 January.
        let day = NaiveDate::from_ymd_opt(year, 1, if full_first_week { 7 } else { 4 })?;
        let first = if monday { Weekday::Mon } else { Weekday::Sun };
        Some(day - Days::new(u64::from(day.weekday().days_since(first))))
    };
    let weeks = |start: NaiveDate| ((date - start).num_days().div_euclid(7) + 1).clamp(0, 53) as u32;
    let year = date.year();
    let starts = (start_of(year - 1), start_of(year), start_of(year + 1));
    let (Some(previous), Some(this), Some(next)) = starts else { return (year, 0) };
    if mode & 2 == 0 && !always_in_a_week {
        return (year, if date < this { 0 } else { weeks(this) });
    }
    if date < this {
        (year - 1, weeks(previous))
    } else if date >= next {
        (year + 1, 1)
    } else {
        (year, weeks(this))
    }
}

/// BIGINT for whole seconds, DECIMAL when the argument has a fraction.
fn unix_type(args: &ReturnFieldArgs) -> Result<Field> {
    let digits = if args.arg_fields.is_empty() { 0 } else { digits_of(args, 0) };
    match digits {
        0 => field(DataType::Int64),
        digits => field(DataType::Decimal128(12 + digits as u8, digits as i8)),
    }
}

/// UNIX_TIMESTAMP: 0 for times that it does not know.
fn unix_timestamp(call: &Call) -> Result<ArrayRef> {
    if call.args.is_empty() {
        return unset(call);
    }
    let instants = call.instants(0)?;
    let micros = |row: usize| {
        let known = 0..(UNIX_SECONDS_MAX + 1) * MICROS_PER_SECOND;
        instants.get(row).map(|micros| if known.contains(&micros) { micros } else { 0 })
    };
    let DataType::Decimal128(precision, scale) = *call.returns else {
        return call.make_integers(|row| micros(row).map(|micros| micros / MICROS_PER_SECOND));
    };
    let unit = 10i64.pow(6 - u32::from(scale.unsigned_abs()).min(6));
    let values = (0..call.rows).map(|row| micros(row).map(|micros| i128::from(micros / unit)));
    Ok(Arc::new(values.collect::<Decimal128Array>().with_precision_and_scale(precision, scale)?))
}

fn unix_now(args: &[Expr], info: &SimplifyContext) -> Result<Option<Expr>> {
    if !args.is_empty() {
        return Ok(None);
    }
    let now = info.query_execution_start_time();
    Ok(now.map(|now| Expr::Literal(ScalarValue::Int64(Some(now.timestamp())), None)))
}

fn from_unix_type(args: &ReturnFieldArgs) -> Result<Field> {
    if args.arg_fields.len() == 2 {
        return field(DataType::Utf8);
    }
    match exact(args.arg_fields[0].data_type()) {
        Some((_, scale)) => returns_datetime(scale.clamp(0, 6) as u32),
        None => returns_datetime(6),
    }
}

/// FROM_UNIXTIME: NULL for seconds that it does not know.
fn from_unixtime(call: &Call) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let micros: Int64Array = match array.data_type() {
        DataType::Decimal128(_, scale) if (0..=12).contains(scale) => {
            let unit = 10i128.pow(u32::from(scale.unsigned_abs()));
            let micros = |value: i128| value.checked_mul(1_000_000).map(|micros| (micros + unit / 2).div_euclid(unit));
            let values = array.as_primitive::<Decimal128Type>();
            values.iter().map(|value| i64::try_from(micros(value?)?).ok()).collect()
        }
        other if other.is_integer() => {
            let seconds = call.integers(0)?;
            (0..call.rows).map(|row| seconds.get(row)?.checked_mul(MICROS_PER_SECOND)).collect()
        }
        _ => {
            let seconds = call.doubles(0)?;
            (0..call.rows).map(|row| seconds.get(row).map(|value| (value * 1e6).round() as i64)).collect()
        }
    };
    let local = |row: usize| {
        let known =
            micros.is_valid(row) && (0..(UNIX_SECONDS_MAX + 1) * MICROS_PER_SECOND).contains(&micros.value(row));
        known.then(|| local_micros(micros.value(row), call.zone)).flatten()
    };
    if call.args.len() == 1 {
        return call.make_times(local);
    }
    let formats = call.texts(1)?;
    call.make_texts(|row, text| {
        let time = DateTime::from_timestamp_micros(local(row)?)?.naive_utc();
        mysql_date_format::format(&time, formats.get(row)?, text)
    })
}

/// CONVERT_TZ: NULL for an unknown zone.
fn convert_tz(call: &Call) -> Result<ArrayRef> {
    let (times, from, to) = (call.times(0)?, call.texts(1)?, call.texts(2)?);
    let zone = |name: &str| match name {
        "SYSTEM" => Some(call.zone),
        name => name.parse::<Tz>().ok(),
    };
    // A constant zone is looked up once.
    let (mut from_zone, mut to_zone) = ((String::new(), None), (String::new(), None));
    let look_up = |kept: &mut (String, Option<Tz>), name: &str| {
        if kept.0 != name {
            *kept = (name.to_owned(), zone(name));
        }
        kept.1
    };
    let mut answer = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let from = from.get(row).and_then(|name| look_up(&mut from_zone, name));
        let to = to.get(row).and_then(|name| look_up(&mut to_zone, name));
        let instant = times.time(row).zip(from).and_then(|(time, from)| instant(time, from));
        answer.push(instant.zip(to).and_then(|(instant, to)| local_micros(instant, to)));
    }
    call.make_times(|row| answer[row])
}

fn now_type(args: &ReturnFieldArgs) -> Result<Field> {
    let digits = match args.scalar_arguments {
        [] => Some(0),
        [Some(ScalarValue::Int64(Some(digits)))] => u32::try_from(*digits).ok().filter(|digits| *digits <= 6),
        _ => None,
    };
    match digits {
        Some(digits) => returns_datetime(digits),
        None => Err(wrong("now", "the number of fraction digits must be a constant from 0 to 6").into()),
    }
}

/// A clock is a constant of its statement, put in when the planner simplifies. The planner tries to evaluate first:
/// that must fail, or each call would have a time of its own.
fn unset(_call: &Call) -> Result<ArrayRef> {
    Err(Error::internal("the statement's time was not put in").into())
}

/// The statement's time as a clock in the session's zone (or UTC) shows it.
fn statement_micros(info: &SimplifyContext, local: bool) -> Result<Option<i64>> {
    let Some(now) = info.query_execution_start_time() else { return Ok(None) };
    let zone = info.config_options().execution.time_zone.as_deref().filter(|_| local).unwrap_or("+00:00");
    Ok(local_micros(now.timestamp_micros(), zone.parse()?))
}

fn clock_literal(args: &[Expr], info: &SimplifyContext, local: bool) -> Result<Option<Expr>> {
    let digits = match args {
        [] => 0,
        [Expr::Literal(ScalarValue::Int64(Some(digits @ 0..=6)), _)] => *digits as u32,
        _ => return Ok(None),
    };
    let unit = 10i64.pow(6 - digits);
    let metadata = FieldMetadata::from(returns_datetime(digits)?.metadata());
    Ok(statement_micros(info, local)?.map(|micros| {
        let value = ScalarValue::TimestampMicrosecond(Some(micros.div_euclid(unit) * unit), None);
        Expr::Literal(value, Some(metadata))
    }))
}

fn date_literal(info: &SimplifyContext, local: bool) -> Result<Option<Expr>> {
    let day = statement_micros(info, local)?.and_then(|micros| i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok());
    Ok(day.map(|day| Expr::Literal(ScalarValue::Date32(Some(day)), None)))
}
