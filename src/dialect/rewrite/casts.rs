//! CAST, CONVERT, BINARY and COLLATE with MySQL's types. Every ORM and BI tool casts to SIGNED, CHAR and DATETIME(6),
//! which DataFusion's planner does not know. SIGNED and UNSIGNED round and read the number a text starts with, so
//! they are functions of ours. It can go when the planner takes a dialect's own types.

use sqlparser::ast::{CharacterLength, DataType, ExactNumberInfo, Expr, ObjectName, TimezoneInfo};

use super::build;
use crate::error::{Error, Result};

/// DECIMAL without digits, as in MySQL.
const DECIMAL_PRECISION_DEFAULT: u64 = 10;

pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Cast { expr: inner, data_type, .. } => {
            *expr = cast(build::take(inner), data_type)?;
        }
        Expr::Convert { expr: inner, data_type: Some(data_type), .. } => {
            *expr = cast(build::take(inner), data_type)?;
        }
        Expr::Convert { expr: inner, charset: Some(charset), .. } => {
            *expr = using(build::take(inner), &charset.to_string());
        }
        Expr::Collate { expr: inner, collation } => {
            check_collation(collation)?;
            *expr = build::take(inner);
        }
        _ => {}
    }
    Ok(())
}

/// TIMESTAMP(6) without a zone: what DATETIME is in memory.
pub(super) fn microseconds() -> DataType {
    DataType::Timestamp(Some(6), TimezoneInfo::None)
}

pub(super) fn double() -> DataType {
    DataType::Double(ExactNumberInfo::None)
}

fn cast(expr: Expr, data_type: &DataType) -> Result<Expr> {
    let target = match data_type {
        DataType::Signed | DataType::SignedInteger => return Ok(build::call("mysql_signed", vec![expr])),
        DataType::Unsigned | DataType::UnsignedInteger => return Ok(build::call("mysql_unsigned", vec![expr])),
        DataType::Char(length)
        | DataType::Character(length)
        | DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::Nvarchar(length) => return Ok(characters(expr, length.as_ref())),
        DataType::Custom(name, modifiers) if name.to_string().eq_ignore_ascii_case("nchar") => {
            let length = modifiers.first().and_then(|length| length.parse().ok());
            let length = length.map(|length| CharacterLength::IntegerLength { length, unit: None });
            return Ok(characters(expr, length.as_ref()));
        }
        // BINARY compares bytes, and so does our text.
        DataType::Binary(None) => return Ok(expr),
        DataType::Text | DataType::JSON => DataType::Varchar(None),
        DataType::Date => DataType::Date,
        DataType::Datetime(fraction) | DataType::Timestamp(fraction, TimezoneInfo::None) => datetime(*fraction)?,
        DataType::Decimal(info) | DataType::Numeric(info) | DataType::Dec(info) => decimal(*info),
        DataType::Float(ExactNumberInfo::Precision(25..)) | DataType::Double(_) => double(),
        DataType::Real | DataType::DoublePrecision => double(),
        DataType::Float(_) => DataType::Float(ExactNumberInfo::None),
        DataType::TinyInt(_) => DataType::TinyInt(None),
        DataType::SmallInt(_) => DataType::SmallInt(None),
        DataType::Int(_) | DataType::Integer(_) | DataType::MediumInt(_) => DataType::Int(None),
        DataType::BigInt(_) => DataType::BigInt(None),
        DataType::Bool | DataType::Boolean => DataType::Boolean,
        other => return Err(Error::unsupported(format!("CAST to {other}"))),
    };
    Ok(build::cast(expr, target))
}

fn characters(expr: Expr, length: Option<&CharacterLength>) -> Expr {
    let text = build::cast(expr, DataType::Varchar(None));
    match length {
        Some(CharacterLength::IntegerLength { length, .. }) => {
            build::call("left", vec![text, build::number(length.to_string())])
        }
        _ => text,
    }
}

/// DataFusion has a type for 0, 3 and 6 fraction digits.
fn datetime(fraction: Option<u64>) -> Result<DataType> {
    let digits = match fraction.unwrap_or(0) {
        0 => 0,
        1..=3 => 3,
        4..=6 => 6,
        more => return Err(Error::unsupported(format!("CAST to DATETIME({more})"))),
    };
    Ok(DataType::Timestamp(Some(digits), TimezoneInfo::None))
}

fn decimal(info: ExactNumberInfo) -> DataType {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (DECIMAL_PRECISION_DEFAULT, 0),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision, scale))
}

/// `CONVERT(x USING charset)`: all text is UTF-8.
fn using(expr: Expr, charset: &str) -> Expr {
    let target = if charset.eq_ignore_ascii_case("binary") { DataType::Bytea } else { DataType::Varchar(None) };
    build::cast(expr, target)
}

/// Text compares by its bytes, which is what `_bin` asks for; a collation that ignores case would give other answers.
fn check_collation(collation: &ObjectName) -> Result<()> {
    let name = collation.to_string().replace('`', "");
    if name.eq_ignore_ascii_case("binary") || name.to_ascii_lowercase().ends_with("_bin") {
        return Ok(());
    }
    Err(Error::unsupported(format!("COLLATE {name} in an expression; utf8mb4_bin is")))
}
