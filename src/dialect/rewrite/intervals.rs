//! Dates and intervals: `d + INTERVAL 1 DAY`, DATE_ADD, DATE_SUB, ADDDATE, SUBDATE, TIMESTAMPADD, TIMESTAMPDIFF,
//! EXTRACT and MySQL's two-part units, from Superset's time grains, Grafana's macros and every hand-written report.
//! DataFusion adds an interval literal, or a number times one. It can go when DataFusion's planner reads INTERVAL
//! with an expression, and its DATE plus hours is a timestamp.

use sqlparser::ast::{
    BinaryOperator, DataType, DateTimeField, Expr, Ident, Interval, TypedString, UnaryOperator, Value,
};

use super::{build, casts};
use crate::error::{Error, Kind, Result};

/// A unit of one part: its name, the unit DataFusion counts in, and how many of those it is.
struct Unit {
    name: &'static str,
    base: Base,
    factor: i64,
}

#[derive(Clone, Copy, PartialEq)]
enum Base {
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Microsecond,
}

impl Base {
    fn field(self) -> DateTimeField {
        match self {
            Base::Month => DateTimeField::Month,
            Base::Day => DateTimeField::Day,
            Base::Hour => DateTimeField::Hour,
            Base::Minute => DateTimeField::Minute,
            Base::Second => DateTimeField::Second,
            Base::Microsecond => DateTimeField::Microsecond,
        }
    }

    /// Units that make a DATE a DATETIME.
    fn is_time(self) -> bool {
        !matches!(self, Base::Month | Base::Day)
    }
}

const UNITS: &[Unit] = &[
    Unit { name: "MICROSECOND", base: Base::Microsecond, factor: 1 },
    Unit { name: "SECOND", base: Base::Second, factor: 1 },
    Unit { name: "MINUTE", base: Base::Minute, factor: 1 },
    Unit { name: "HOUR", base: Base::Hour, factor: 1 },
    Unit { name: "DAY", base: Base::Day, factor: 1 },
    Unit { name: "WEEK", base: Base::Day, factor: 7 },
    Unit { name: "MONTH", base: Base::Month, factor: 1 },
    Unit { name: "QUARTER", base: Base::Month, factor: 3 },
    Unit { name: "YEAR", base: Base::Month, factor: 12 },
];

/// Units of several parts, the largest first: `'1 2' DAY_HOUR`.
const COMPOUND_UNITS: &[(&str, &[&str])] = &[
    ("SECOND_MICROSECOND", &["SECOND", "MICROSECOND"]),
    ("MINUTE_MICROSECOND", &["MINUTE", "SECOND", "MICROSECOND"]),
    ("MINUTE_SECOND", &["MINUTE", "SECOND"]),
    ("HOUR_MICROSECOND", &["HOUR", "MINUTE", "SECOND", "MICROSECOND"]),
    ("HOUR_SECOND", &["HOUR", "MINUTE", "SECOND"]),
    ("HOUR_MINUTE", &["HOUR", "MINUTE"]),
    ("DAY_MICROSECOND", &["DAY", "HOUR", "MINUTE", "SECOND", "MICROSECOND"]),
    ("DAY_SECOND", &["DAY", "HOUR", "MINUTE", "SECOND"]),
    ("DAY_MINUTE", &["DAY", "HOUR", "MINUTE"]),
    ("DAY_HOUR", &["DAY", "HOUR"]),
    ("YEAR_MONTH", &["YEAR", "MONTH"]),
];

/// The functions that EXTRACT stands for.
const EXTRACT_FUNCTIONS: &[(&str, &str)] = &[
    ("MICROSECOND", "microsecond"),
    ("SECOND", "second"),
    ("MINUTE", "minute"),
    ("HOUR", "hour"),
    ("DAY", "dayofmonth"),
    ("WEEK", "week"),
    ("MONTH", "month"),
    ("QUARTER", "quarter"),
    ("YEAR", "year"),
];

/// Digits of the fraction of a second.
const MICROSECOND_DIGITS: usize = 6;

/// Whether the word is a unit of MySQL's intervals.
pub fn is_unit(word: &str) -> bool {
    simple(word).is_some() || compound(word).is_some()
}

fn simple(word: &str) -> Option<&'static Unit> {
    let word = word.strip_prefix("SQL_TSI_").or_else(|| word.strip_prefix("sql_tsi_")).unwrap_or(word);
    UNITS.iter().find(|unit| unit.name.eq_ignore_ascii_case(word))
}

fn compound(word: &str) -> Option<&'static [&'static str]> {
    COMPOUND_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, parts)| *parts)
}

pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Interval(interval) => {
            if let Some(DateTimeField::Custom(unit)) = &interval.leading_field {
                let unit = unit.value.clone();
                *expr = length(build::take(&mut interval.value), &unit)?;
            }
            Ok(())
        }
        Expr::BinaryOp { left, op: op @ (BinaryOperator::Plus | BinaryOperator::Minus), right } => {
            let is_plus = *op == BinaryOperator::Plus;
            if is_length(right) && !is_length(left) {
                *expr = moved(build::take(left), is_plus, build::take(right));
            } else if is_plus && is_length(left) && !is_length(right) {
                *expr = moved(build::take(right), true, build::take(left));
            }
            Ok(())
        }
        Expr::Extract { field, expr: from, .. } => {
            let unit = field.to_string();
            *expr = extract(&unit, build::take(from))?;
            Ok(())
        }
        Expr::Function(_) => function(expr),
        _ => Ok(()),
    }
}

/// The interval of `value` units as DataFusion plans it.
fn length(value: Expr, unit: &str) -> Result<Expr> {
    if let Some(parts) = compound(unit) {
        return compound_length(&value, unit, parts);
    }
    let Some(unit) = simple(unit) else { return Err(Error::unsupported(format!("INTERVAL … {unit}"))) };
    if let Some(text) = constant(&value) {
        return constant_length(&text, unit);
    }
    // Seconds may have a fraction.
    let (base, factor) = match unit.base {
        Base::Second => (Base::Microsecond, 1_000_000),
        base => (base, unit.factor),
    };
    let value = match factor {
        1 => value,
        _ => build::binary(build::nested(value), BinaryOperator::Multiply, build::number(factor.to_string())),
    };
    // DataFusion cannot multiply an interval, but reads one from text.
    let count = build::cast(build::cast(value, DataType::BigInt(None)), DataType::Varchar(None));
    let text = build::binary(count, BinaryOperator::StringConcat, build::string(format!(" {}", base.field())));
    Ok(build::cast(text, DataType::Interval { fields: None, precision: None }))
}

/// The digits of a constant, with its sign.
fn constant(value: &Expr) -> Option<String> {
    match build::peel(value) {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Some(format!("-{}", constant(expr)?)),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => constant(expr),
        other => build::literal_number(other).or_else(|| build::literal_text(other)).map(str::to_owned),
    }
}

fn constant_length(text: &str, unit: &Unit) -> Result<Expr> {
    let wrong = || Error::new(Kind::InvalidValue, format!("Incorrect INTERVAL value: '{text}'"));
    let number: f64 = text.trim().trim_start_matches("--").parse().map_err(|_| wrong())?;
    if !number.is_finite() {
        return Err(wrong());
    }
    if unit.base == Base::Second {
        return Ok(literal(&format!("{number}"), Base::Second));
    }
    let count = (number.round() as i64).checked_mul(unit.factor).ok_or_else(wrong)?;
    Ok(literal(&count.to_string(), unit.base))
}

/// `'1 2' DAY_HOUR`: the numbers of the text belong to the last parts of the unit.
fn compound_length(value: &Expr, unit: &str, parts: &[&str]) -> Result<Expr> {
    let Some(text) = constant(value) else {
        return Err(Error::unsupported(format!("INTERVAL … {unit} of an expression that is no constant")));
    };
    let sign = if text.trim_start().starts_with('-') { "-" } else { "" };
    let numbers: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    if numbers.is_empty() || numbers.len() > parts.len() {
        return Err(Error::new(Kind::InvalidValue, format!("Incorrect {unit} value: '{text}'")));
    }
    let mut words = Vec::new();
    for (number, part) in numbers.iter().zip(&parts[parts.len() - numbers.len()..]) {
        // The last part of '1.5' SECOND_MICROSECOND is a fraction: 500000.
        let digits = match *part {
            "MICROSECOND" => format!("{number:0<MICROSECOND_DIGITS$}"),
            _ => (*number).to_owned(),
        };
        words.push(format!("{sign}{digits} {part}"));
    }
    Ok(Expr::Interval(Interval {
        value: Box::new(build::string(words.join(" "))),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    }))
}

fn literal(count: &str, base: Base) -> Expr {
    Expr::Interval(Interval {
        value: Box::new(build::string(count)),
        leading_field: Some(base.field()),
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })
}

/// Whether the expression is an interval.
fn is_length(expr: &Expr) -> bool {
    matches!(build::peel(expr), Expr::Interval(_) | Expr::Cast { data_type: DataType::Interval { .. }, .. })
}

/// Whether adding the interval makes a DATE a DATETIME.
fn has_time(length: &Expr) -> bool {
    match build::peel(length) {
        Expr::Interval(Interval { leading_field: Some(field), .. }) => {
            !matches!(field, DateTimeField::Month | DateTimeField::Day)
        }
        Expr::Interval(interval) => {
            let text = build::literal_text(&interval.value).unwrap_or_default();
            UNITS.iter().any(|unit| unit.base.is_time() && text.contains(unit.name))
        }
        Expr::Cast { expr, .. } => match expr.as_ref() {
            Expr::BinaryOp { right, .. } => {
                let unit = build::literal_text(right).unwrap_or_default().trim();
                simple(unit).is_some_and(|unit| unit.base.is_time())
            }
            _ => false,
        },
        _ => false,
    }
}

/// `date ± length`.
fn moved(date: Expr, is_plus: bool, length: Expr) -> Expr {
    let date = match dated(date) {
        date if has_time(&length) && !is_datetime(&date) => build::cast(date, casts::microseconds()),
        date => build::nested(date),
    };
    let operator = if is_plus { BinaryOperator::Plus } else { BinaryOperator::Minus };
    build::binary(date, operator, build::nested(length))
}

/// A text literal that is a date or a time becomes one.
fn dated(expr: Expr) -> Expr {
    let Some(text) = build::literal_text(&expr) else { return expr };
    let is_date = text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_date {
        let value = Value::SingleQuotedString(text.to_owned()).into();
        return Expr::TypedString(TypedString { data_type: DataType::Date, value, uses_odbc_syntax: false });
    }
    build::cast(expr, casts::microseconds())
}

/// Whether syntax shows that the expression is a DATETIME already.
fn is_datetime(expr: &Expr) -> bool {
    match build::peel(expr) {
        Expr::Cast { data_type: DataType::Timestamp(..), .. } => true,
        Expr::BinaryOp { left, right, .. } => is_length(right) && is_datetime(left),
        Expr::Function(function) => build::function_name(function).is_some_and(|name| {
            matches!(name.as_str(), "now" | "sysdate" | "utc_timestamp" | "from_unixtime" | "timestamp" | "convert_tz")
        }),
        _ => false,
    }
}

/// `EXTRACT(unit FROM x)`.
fn extract(unit: &str, from: Expr) -> Result<Expr> {
    let function = |unit: &str| EXTRACT_FUNCTIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    if let Some((_, name)) = function(unit) {
        return Ok(build::call(name, vec![from]));
    }
    let parts = compound(unit).ok_or_else(|| Error::unsupported(format!("EXTRACT({unit} FROM …)")))?;
    let mut sum: Option<Expr> = None;
    for part in parts {
        let Some((_, name)) = function(part) else { continue };
        let value = build::call(name, vec![from.clone()]);
        sum = Some(match sum {
            None => value,
            Some(sum) => {
                let shift = build::number(if *part == "MICROSECOND" { "1000000" } else { "100" });
                let shifted = build::binary(build::nested(sum), BinaryOperator::Multiply, shift);
                build::binary(shifted, BinaryOperator::Plus, value)
            }
        });
    }
    sum.map(build::nested).ok_or_else(|| Error::unsupported(format!("EXTRACT({unit} FROM …)")))
}

/// The date functions whose arguments are intervals or units.
fn function(expr: &mut Expr) -> Result<()> {
    let Expr::Function(function) = expr else { return Ok(()) };
    let Some(name) = build::function_name(function) else { return Ok(()) };
    match name.as_str() {
        "date_add" | "adddate" | "date_sub" | "subdate" => {
            let is_plus = name.ends_with("add") || name == "adddate";
            let wrong = wrong_arguments(&name);
            let Some(Ok([date, length])) = build::take_arguments(function).map(<[Expr; 2]>::try_from) else {
                return Err(wrong);
            };
            // ADDDATE(d, 3) adds days.
            let length = if is_length(&length) { length } else { self::length(length, "DAY")? };
            *expr = build::nested(moved(date, is_plus, length));
        }
        "timestampadd" => {
            let wrong = wrong_arguments(&name);
            let Some(Ok([unit, count, date])) = build::take_arguments(function).map(<[Expr; 3]>::try_from) else {
                return Err(wrong);
            };
            let unit = unit_word(&unit)?;
            *expr = build::nested(moved(date, true, length(count, &unit)?));
        }
        "timestampdiff" => {
            if let Some(first) = build::arguments(function).into_iter().next() {
                *first = build::string(unit_word(first)?);
            }
        }
        _ => {}
    }
    Ok(())
}

fn unit_word(expr: &Expr) -> Result<String> {
    match expr {
        Expr::Identifier(Ident { value, quote_style: None, .. }) => match simple(value) {
            Some(unit) => Ok(unit.name.to_owned()),
            None => Err(Error::new(Kind::Syntax, format!("You have an error in your SQL syntax near '{value}'"))),
        },
        other => Err(Error::new(Kind::Syntax, format!("You have an error in your SQL syntax near '{other}'"))),
    }
}

fn wrong_arguments(name: &str) -> Error {
    let name = name.to_uppercase();
    Error::new(Kind::WrongArgumentCount, format!("Incorrect parameter count in the call to native function '{name}'"))
}
