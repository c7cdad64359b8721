//! Values to character strings, byte strings and JSON, with MySQL's length rules.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::Problem;
use super::calendar::ZoneClock;
use super::reader::Value;
use crate::storage::types::ColumnType;

/// Levels of arrays and objects in a JSON document, as in MySQL.
const JSON_DEPTH_MAX: usize = 100;

/// The value as text for a column of characters or JSON. `scratch` is room for values that are not text yet.
pub fn text<'a>(
    value: Value<'a>,
    column_type: &ColumnType,
    clock: &mut ZoneClock,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a str, Problem> {
    let is_json = matches!(column_type, ColumnType::Json);
    let bytes = match value {
        Value::Bytes(bytes) => bytes,
        other => {
            scratch.clear();
            if is_json {
                other.write_json(clock, scratch);
            } else {
                other.write_text(clock, scratch);
            }
            scratch.as_slice()
        }
    };
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::Incorrect("string"))?;
    match column_type {
        ColumnType::Char { length } => fit_characters(text.trim_end_matches(' '), *length),
        ColumnType::VarChar { length } => fit_characters(text, *length),
        ColumnType::Text { bytes_max } if text.len() > *bytes_max as usize => Err(Problem::TooLong),
        ColumnType::Json => check_json(text).map(|()| text),
        _ => Ok(text),
    }
}

/// The value as bytes for a BINARY, VARBINARY or BLOB column; BINARY is filled with zeros.
pub fn bytes<'a>(
    value: Value<'a>,
    column_type: &ColumnType,
    clock: &mut ZoneClock,
    scratch: &'a mut Vec<u8>,
) -> Result<Cow<'a, [u8]>, Problem> {
    let bytes = match value {
        Value::Bytes(bytes) => bytes,
        other => {
            scratch.clear();
            other.write_text(clock, scratch);
            scratch.as_slice()
        }
    };
    match column_type {
        ColumnType::Binary { length } if bytes.len() < *length as usize => {
            let mut padded = bytes.to_vec();
            padded.resize(*length as usize, 0);
            Ok(Cow::Owned(padded))
        }
        ColumnType::Binary { length } | ColumnType::VarBinary { length } if bytes.len() > *length as usize => {
            Err(Problem::TooLong)
        }
        ColumnType::Blob { bytes_max } if bytes.len() > *bytes_max as usize => Err(Problem::TooLong),
        _ => Ok(Cow::Borrowed(bytes)),
    }
}

/// Whether the text is JSON of permitted depth. Numbers out of a double's range and lone surrogates pass.
pub fn check_json(text: &str) -> Result<(), Problem> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| json_problem(text, &error))?;
    let openings = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if openings > JSON_DEPTH_MAX
        && let Some(position) = too_deep(text)
    {
        return Err(Problem::Json { reason: format!("more than {JSON_DEPTH_MAX} levels deep"), position });
    }
    Ok(())
}

/// The text if it has at most `length` characters; spaces beyond are cut, as the standard and MySQL do.
fn fit_characters(text: &str, length: u32) -> Result<&str, Problem> {
    let length = length as usize;
    if text.len() <= length {
        return Ok(text);
    }
    match text.char_indices().nth(length) {
        None => Ok(text),
        Some((end, _)) if text[end..].bytes().all(|byte| byte == b' ') => Ok(&text[..end]),
        Some(_) => Err(Problem::TooLong),
    }
}

fn json_problem(text: &str, error: &serde_json::Error) -> Problem {
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let position = (before + error.column().saturating_sub(1)).min(text.len());
    let message = error.to_string();
    let reason = message.split(" at line ").next().unwrap_or_default().to_owned();
    Problem::Json { reason, position }
}

/// Where valid JSON goes deeper than allowed.
fn too_deep(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' if depth == JSON_DEPTH_MAX => return Some(position),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}
