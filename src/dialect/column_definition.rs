//! A column of CREATE TABLE or ALTER TABLE: name, MySQL type and attributes become a [`Column`].

use sqlparser::ast::{Expr, Value, ValueWithSpan};
use sqlparser::tokenizer::Token;

use super::reader::Reader;
use super::statement::KeyKind;
use super::table_options;
use crate::error::{Error, Kind, Result};
use crate::storage::types::{Column, ColumnType};

/// Digits of DECIMAL without a precision, and the most that 128 bits hold.
const DECIMAL_PRECISION_DEFAULT: u32 = 10;
const DECIMAL_PRECISION_MAX: u32 = 38;
const DECIMAL_SCALE_MAX: u32 = 30;

/// Digits of a fraction of a second.
const FRACTION_MAX: u32 = 6;

/// MySQL's limits, in characters of utf8mb4 and in bytes.
const CHAR_LENGTH_MAX: u32 = 255;
const VARCHAR_LENGTH_MAX: u32 = 16_383;
const VARBINARY_LENGTH_MAX: u32 = 65_535;
const BYTES_PER_CHARACTER: u32 = 4;

/// Sizes of TINYTEXT, TEXT, MEDIUMTEXT, LONGTEXT in bytes.
const TEXT_SIZES: [u32; 4] = [255, 65_535, 16_777_215, u32::MAX];

/// Bits of precision from which FLOAT(p) is a DOUBLE.
const FLOAT_BITS_MAX: u32 = 24;

/// A column as defined.
pub(super) struct ColumnDefinition {
    pub(super) column: Column,
    /// PRIMARY KEY or UNIQUE among the attributes.
    pub(super) key: Option<KeyKind>,
    /// What was accepted without effect.
    pub(super) warning: Option<String>,
}

/// Reads a column definition.
///
/// # Errors
/// 1064, MySQL's errors for lengths, and 1235 with the name of a type or attribute that is not there.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<ColumnDefinition> {
    let name = reader.identifier()?;
    let column_type = column_type(reader, &name)?;
    let column = Column { name, column_type, nullable: true, default: None, comment: String::new() };
    let mut definition = ColumnDefinition { column, key: None, warning: None };
    let mut default_null = false;
    while !ends(reader) {
        attribute(reader, &mut definition, &mut default_null)?;
    }
    let column = &mut definition.column;
    if definition.key == Some(KeyKind::Primary) {
        column.nullable = false;
    }
    if default_null && !column.nullable {
        return Err(Error::new(Kind::IncorrectValue, format!("Invalid default value for '{}'", column.name)));
    }
    Ok(definition)
}

fn ends(reader: &Reader<'_>) -> bool {
    reader.is_end()
        || matches!(reader.peek(), Token::Comma | Token::RParen)
        || reader.is_word("FIRST")
        || reader.is_word("AFTER")
}

/// The numbers in brackets behind a type's name.
fn lengths(reader: &mut Reader<'_>) -> Result<Vec<u32>> {
    if !matches!(reader.peek(), Token::LParen) {
        return Ok(Vec::new());
    }
    reader.bracketed(|reader| {
        let number = reader.integer()?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    })
}

fn column_type(reader: &mut Reader<'_>, column: &str) -> Result<ColumnType> {
    let Token::Word(word) = reader.peek() else { return Err(reader.expected("a column type")) };
    let name = word.value.to_uppercase();
    reader.next();
    if matches!(name.as_str(), "ENUM" | "SET") {
        return Err(unsupported_type(&name, column));
    }
    let name = second_word(reader, name);
    let lengths = lengths(reader)?;
    let unsigned = number_attributes(reader, column)?;
    let text = |size: usize| Ok(sized(TEXT_SIZES[size], &lengths, BYTES_PER_CHARACTER, true));
    let blob = |size: usize| Ok(sized(TEXT_SIZES[size], &lengths, 1, false));
    let kind = match name.as_str() {
        "BOOL" | "BOOLEAN" => Ok(ColumnType::Boolean),
        "TINYINT" | "INT1" if lengths == [1] && !unsigned => Ok(ColumnType::Boolean),
        "TINYINT" | "INT1" => Ok(ColumnType::TinyInt { unsigned }),
        "SMALLINT" | "INT2" => Ok(ColumnType::SmallInt { unsigned }),
        "MEDIUMINT" | "INT3" | "MIDDLEINT" | "INT" | "INTEGER" | "INT4" => Ok(ColumnType::Int { unsigned }),
        "BIGINT" | "INT8" => Ok(ColumnType::BigInt { unsigned }),
        "FLOAT" if matches!(lengths.as_slice(), [bits] if *bits > FLOAT_BITS_MAX) => Ok(ColumnType::Double),
        "FLOAT" | "FLOAT4" => Ok(ColumnType::Float),
        "DOUBLE" | "REAL" | "FLOAT8" => Ok(ColumnType::Double),
        "DECIMAL" | "DEC" | "NUMERIC" | "FIXED" => decimal(&lengths, column),
        "DATE" => Ok(ColumnType::Date),
        "DATETIME" => Ok(ColumnType::DateTime { fraction: fraction(&lengths, column)? }),
        "TIMESTAMP" => Ok(ColumnType::Timestamp { fraction: fraction(&lengths, column)? }),
        "YEAR" => Ok(ColumnType::Year),
        "CHAR" | "CHARACTER" | "NCHAR" => {
            Ok(ColumnType::Char { length: limited(lengths.first().copied().unwrap_or(1), CHAR_LENGTH_MAX, column)? })
        }
        "VARCHAR" | "NVARCHAR" => {
            let length = lengths.first().ok_or_else(|| reader.expected("the length of VARCHAR in brackets"))?;
            Ok(ColumnType::VarChar { length: limited(*length, VARCHAR_LENGTH_MAX, column)? })
        }
        "BINARY" => {
            Ok(ColumnType::Binary { length: limited(lengths.first().copied().unwrap_or(1), CHAR_LENGTH_MAX, column)? })
        }
        "VARBINARY" => {
            let length = lengths.first().ok_or_else(|| reader.expected("the length of VARBINARY in brackets"))?;
            Ok(ColumnType::VarBinary { length: limited(*length, VARBINARY_LENGTH_MAX, column)? })
        }
        "TINYTEXT" => text(0),
        "TEXT" => text(1),
        "MEDIUMTEXT" | "LONG" | "LONG VARCHAR" => text(2),
        "LONGTEXT" => text(3),
        "TINYBLOB" => blob(0),
        "BLOB" => blob(1),
        "MEDIUMBLOB" | "LONG VARBINARY" => blob(2),
        "LONGBLOB" => blob(3),
        "JSON" => Ok(ColumnType::Json),
        _ => Err(unsupported_type(&name, column)),
    }?;
    let is_integer = matches!(
        kind,
        ColumnType::TinyInt { .. } | ColumnType::SmallInt { .. } | ColumnType::Int { .. } | ColumnType::BigInt { .. }
    );
    if unsigned && !is_integer {
        return Err(unsupported_type(&format!("{name} UNSIGNED"), column));
    }
    Ok(kind)
}

/// Types of two words: DOUBLE PRECISION, CHARACTER VARYING, NATIONAL CHAR, LONG VARCHAR.
fn second_word(reader: &mut Reader<'_>, first: String) -> String {
    match first.as_str() {
        "DOUBLE" => {
            reader.word("PRECISION");
            first
        }
        "CHAR" | "CHARACTER" | "NCHAR" if reader.word("VARYING") => "VARCHAR".to_owned(),
        "NATIONAL" => match reader.one_of(&["VARCHAR", "CHARACTER", "CHAR"]) {
            Some("VARCHAR") => "VARCHAR".to_owned(),
            Some(_) if reader.word("VARYING") => "VARCHAR".to_owned(),
            Some(_) => "CHAR".to_owned(),
            None => first,
        },
        "LONG" => match reader.one_of(&["VARCHAR", "VARBINARY"]) {
            Some(second) => format!("{first} {second}"),
            None => first,
        },
        _ => first,
    }
}

/// SIGNED, UNSIGNED and ZEROFILL; returns whether the column is unsigned.
fn number_attributes(reader: &mut Reader<'_>, column: &str) -> Result<bool> {
    let mut unsigned = false;
    while let Some(word) = reader.one_of(&["SIGNED", "UNSIGNED", "ZEROFILL"]) {
        match word {
            "UNSIGNED" => unsigned = true,
            "ZEROFILL" => return Err(unsupported_type("ZEROFILL", column)),
            _ => {}
        }
    }
    Ok(unsigned)
}

fn unsupported_type(name: &str, column: &str) -> Error {
    Error::unsupported(format!("type {name} of column {column}"))
}

fn too_long(column: &str, most: u32) -> Error {
    let message = format!("Column length too big for column '{column}' (max = {most}); use BLOB or TEXT instead");
    Error::new(Kind::WrongArguments, message)
}

fn limited(length: u32, most: u32, column: &str) -> Result<u32> {
    if length > most { Err(too_long(column, most)) } else { Ok(length) }
}

/// TEXT(n) and BLOB(n) are the smallest of their family that holds n.
fn sized(bytes_max: u32, lengths: &[u32], unit: u32, is_text: bool) -> ColumnType {
    let bytes_max = match lengths.first() {
        Some(length) => {
            let bytes = length.saturating_mul(unit);
            TEXT_SIZES.into_iter().find(|size| *size >= bytes).unwrap_or(u32::MAX)
        }
        None => bytes_max,
    };
    if is_text { ColumnType::Text { bytes_max } } else { ColumnType::Blob { bytes_max } }
}

fn decimal(lengths: &[u32], column: &str) -> Result<ColumnType> {
    let precision = lengths.first().copied().unwrap_or(DECIMAL_PRECISION_DEFAULT);
    let scale = lengths.get(1).copied().unwrap_or(0);
    if precision > DECIMAL_PRECISION_MAX {
        return Err(unsupported_type(&format!("DECIMAL({precision}), more than 38 digits,"), column));
    }
    if precision == 0 || scale > DECIMAL_SCALE_MAX || scale > precision {
        let message =
            format!("For float(M,D), double(M,D) or decimal(M,D), M must be >= D (column '{column}') and D at most 30");
        return Err(Error::new(Kind::WrongArguments, message));
    }
    Ok(ColumnType::Decimal { precision: precision as u8, scale: scale as i8 })
}

fn fraction(lengths: &[u32], column: &str) -> Result<u8> {
    match lengths.first().copied().unwrap_or(0) {
        digits @ 0..=FRACTION_MAX => Ok(digits as u8),
        digits => {
            let message = format!("Too-big precision {digits} specified for '{column}'. Maximum is {FRACTION_MAX}.");
            Err(Error::new(Kind::WrongArguments, message))
        }
    }
}

fn attribute(reader: &mut Reader<'_>, definition: &mut ColumnDefinition, default_null: &mut bool) -> Result<()> {
    let column = &mut definition.column;
    if reader.words(&["NOT", "NULL"]) {
        column.nullable = false;
    } else if reader.word("NULL") {
        column.nullable = true;
    } else if reader.word("DEFAULT") {
        column.default = default(reader)?;
        *default_null = column.default.is_none();
    } else if reader.word("COMMENT") {
        column.comment = reader.string()?;
    } else if reader.words(&["PRIMARY", "KEY"]) || reader.word("KEY") {
        definition.key = Some(KeyKind::Primary);
    } else if reader.word("UNIQUE") {
        reader.word("KEY");
        definition.key = definition.key.or(Some(KeyKind::Unique));
    } else if reader.words(&["CHARACTER", "SET"]) || reader.word("CHARSET") {
        reader.name_or_string()?;
    } else if reader.word("COLLATE") {
        definition.warning = table_options::collation_warning(&reader.name_or_string()?);
    } else if reader.one_of(&["COLUMN_FORMAT", "STORAGE"]).is_some() {
        reader.identifier()?;
    } else if reader.one_of(&["BINARY", "ASCII", "UNICODE", "VISIBLE"]).is_none() {
        let words = reader.next_words(if reader.is_word("ON") { 2 } else { 1 });
        if words.is_empty() {
            return Err(reader.expected("a column attribute, ',' or ')'"));
        }
        return Err(Error::unsupported(format!("column {} with {words}", column.name)));
    }
    Ok(())
}

/// The text of DEFAULT; None for NULL.
fn default(reader: &mut Reader<'_>) -> Result<Option<String>> {
    let start = reader.location();
    let is_expression = matches!(reader.peek(), Token::LParen);
    // What follows the value are attributes, so the value is a literal, a call or in brackets.
    let expr = reader.raw_default()?;
    Ok(match &expr {
        Expr::Value(ValueWithSpan { value: Value::Null, .. }) => None,
        Expr::Value(ValueWithSpan { value, .. }) => Some(literal(value)),
        Expr::Function(function) if !is_expression && is_now(&function.name.to_string()) => {
            let text = reader.text_since(start);
            let digits = text.split_once('(').map(|(_, rest)| rest.trim_end_matches(')').trim()).unwrap_or_default();
            Some(if digits.is_empty() {
                "CURRENT_TIMESTAMP".to_owned()
            } else {
                format!("CURRENT_TIMESTAMP({digits})")
            })
        }
        _ => Some(reader.text_since(start).to_owned()),
    })
}

fn is_now(name: &str) -> bool {
    ["NOW", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"].iter().any(|now| now.eq_ignore_ascii_case(name))
}

/// A literal as MySQL text that reads the same under every sql_mode but NO_BACKSLASH_ESCAPES.
fn literal(value: &Value) -> String {
    match value {
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) | Value::NationalStringLiteral(text) => {
            quoted(text)
        }
        Value::Boolean(truth) => if *truth { "1" } else { "0" }.to_owned(),
        other => other.to_string(),
    }
}

/// `'…'` with what MySQL's lexer needs escaped.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
