//! MySQL's JSON functions that read: JSON_EXTRACT, JSON_UNQUOTE, JSON_VALUE, JSON_LENGTH, JSON_TYPE, JSON_VALID.
//! Paths are `$`, `.key`, `."key"`, `[n]`, `[last]` and `[last-n]`; wildcards are refused. Documents are text; the
//! answer is normalised as MySQL prints it (keys by length, then bytes; a space after `,` and `:`).

use std::borrow::Cow;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ReturnFieldArgs;
use serde_json::Value;

use crate::error::{Error, Kind};
use crate::functions::mysql_function::{Call, MysqlFunction, TYPE_KEY, field, returns_integer, returns_text};

/// Paths in one call at most.
const PATHS_MAX: usize = 64;

pub fn functions() -> Vec<MysqlFunction> {
    vec![
        MysqlFunction::new("json_extract", 2..=1 + PATHS_MAX, returns_json, extract),
        MysqlFunction::new("json_unquote", 1..=1, returns_text, |call| {
            let texts = call.texts(0)?;
            call.make_texts(|row, text| {
                text.push_str(&unquoted(texts.get(row)?));
                Some(())
            })
        }),
        MysqlFunction::new("json_value", 2..=2, returns_text, value),
        MysqlFunction::new("json_length", 1..=2, returns_integer, length),
        MysqlFunction::new("json_type", 1..=1, returns_text, type_name),
        MysqlFunction::new("json_valid", 1..=1, returns_integer, |call| {
            let texts = call.texts(0)?;
            let valid = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            call.make_integers(|row| texts.get(row).map(|text| i64::from(valid(text))))
        }),
    ]
}

fn returns_json(_: &ReturnFieldArgs) -> Result<Field> {
    Ok(field(DataType::Utf8)?.with_metadata([(TYPE_KEY.to_owned(), "json".to_owned())].into()))
}

/// One step of a path.
enum Step {
    Key(String),
    Element(usize),
    /// So many before the last.
    FromLast(usize),
}

/// # Errors
/// `WrongArguments` for what is no path, `Unsupported` for wildcards.
fn parse_path(path: &str) -> Result<Vec<Step>, Error> {
    let wrong = || Error::new(Kind::WrongArguments, format!("Invalid JSON path expression '{path}'"));
    let mut rest = path.trim().strip_prefix('$').ok_or_else(wrong)?.trim_start();
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if rest.starts_with("**") || rest.starts_with(".*") || rest.starts_with("[*") {
            return Err(Error::unsupported(format!("wildcard in JSON path '{path}'")));
        }
        if let Some(key) = rest.strip_prefix('.') {
            let key = key.trim_start();
            let length = match key.starts_with('"') {
                // A quoted key ends at the quote that is not escaped.
                true => {
                    let mut escaped = false;
                    let end = key.bytes().skip(1).position(|byte| {
                        let ends = byte == b'"' && !escaped;
                        escaped = byte == b'\\' && !escaped;
                        ends
                    });
                    end.ok_or_else(wrong)? + 2
                }
                false => key.find(['.', '[', ' ', '*']).unwrap_or(key.len()),
            };
            let name = unquoted(&key[..length]).into_owned();
            if length == 0 {
                return Err(wrong());
            }
            steps.push(Step::Key(name));
            rest = key[length..].trim_start();
        } else {
            let (index, after) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
            let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
            steps.push(match index.trim().strip_prefix("last") {
                Some("") => Step::FromLast(0),
                Some(before) => Step::FromLast(number(before.trim_start().strip_prefix('-').ok_or_else(wrong)?)?),
                None => Step::Element(number(index)?),
            });
            rest = after.trim_start();
        }
    }
    Ok(steps)
}

/// What a path leads to. A value that is no array is the only element of itself.
fn find<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match (step, value) {
        (Step::Key(key), Value::Object(members)) => members.get(key),
        (Step::Key(_), _) => None,
        (Step::Element(at), Value::Array(elements)) => elements.get(*at),
        (Step::FromLast(before), Value::Array(elements)) => elements.get(elements.len().checked_sub(before + 1)?),
        (Step::Element(0) | Step::FromLast(0), value) => Some(value),
        _ => None,
    })
}

/// Documents and paths of a call, row by row; a path that repeats is parsed once.
struct Documents<'c> {
    call: &'c Call<'c>,
    paths: Vec<(String, Vec<Step>)>,
}

impl Documents<'_> {
    /// What the row's paths lead to: None when the document or a path is NULL.
    fn visit<T>(&mut self, mut visit: impl FnMut(&[Option<&Value>]) -> Option<T>) -> Result<Vec<Option<T>>> {
        let documents = self.call.texts(0)?;
        let paths = (1..self.call.args.len()).map(|at| self.call.texts(at)).collect::<Result<Vec<_>>>()?;
        self.paths.resize_with(paths.len(), || (String::new(), Vec::new()));
        let mut answers = Vec::with_capacity(self.call.rows);
        for row in 0..self.call.rows {
            let texts = paths.iter().map(|path| path.get(row)).collect::<Option<Vec<_>>>();
            let (Some(document), Some(texts)) = (documents.get(row), texts) else {
                answers.push(None);
                continue;
            };
            for (kept, text) in self.paths.iter_mut().zip(texts) {
                if kept.0 != text {
                    *kept = (text.to_owned(), parse_path(text)?);
                }
            }
            let document: Value = serde_json::from_str(document).map_err(|error| invalid(self.call.name, &error))?;
            let found: Vec<_> = match self.paths.as_slice() {
                [] => vec![Some(&document)],
                paths => paths.iter().map(|(_, path)| find(&document, path)).collect(),
            };
            answers.push(visit(&found));
        }
        Ok(answers)
    }
}

fn invalid(function: &str, error: &serde_json::Error) -> DataFusionError {
    let message = format!("Invalid JSON text in argument 1 to function {function}: {error}");
    Error::new(Kind::InvalidJson, message).into()
}

fn visit<T>(call: &Call, visit: impl FnMut(&[Option<&Value>]) -> Option<T>) -> Result<Vec<Option<T>>> {
    Documents { call, paths: Vec::new() }.visit(visit)
}

fn texts(call: &Call, answers: Vec<Option<String>>) -> Result<ArrayRef> {
    call.make_texts(|row, text| {
        text.push_str(answers[row].as_deref()?);
        Some(())
    })
}

/// JSON_EXTRACT: with several paths an array of what was found.
fn extract(call: &Call) -> Result<ArrayRef> {
    let several = call.args.len() > 2;
    let answers = visit(call, |found| {
        let mut text = String::new();
        if !several {
            write(found[0]?, &mut text);
            return Some(text);
        }
        let mut found = found.iter().flatten().peekable();
        found.peek()?;
        text.push('[');
        for (at, value) in found.enumerate() {
            if at > 0 {
                text.push_str(", ");
            }
            write(value, &mut text);
        }
        text.push(']');
        Some(text)
    })?;
    texts(call, answers)
}

/// JSON_VALUE: a scalar's text, NULL for anything else.
fn value(call: &Call) -> Result<ArrayRef> {
    let answers = visit(call, |found| match found[0]? {
        Value::Null | Value::Array(_) | Value::Object(_) => None,
        Value::String(text) => Some(text.clone()),
        scalar => Some(scalar.to_string()),
    })?;
    texts(call, answers)
}

fn length(call: &Call) -> Result<ArrayRef> {
    let answers = visit(call, |found| {
        Some(match found[0]? {
            Value::Array(elements) => elements.len() as i64,
            Value::Object(members) => members.len() as i64,
            _ => 1,
        })
    })?;
    call.make_integers(|row| answers[row])
}

fn type_name(call: &Call) -> Result<ArrayRef> {
    let answers = visit(call, |found| {
        let name = match found[0]? {
            Value::Null => "NULL",
            Value::Bool(_) => "BOOLEAN",
            Value::Number(number) if number.is_i64() => "INTEGER",
            Value::Number(number) if number.is_u64() => "UNSIGNED INTEGER",
            Value::Number(_) => "DOUBLE",
            Value::String(_) => "STRING",
            Value::Array(_) => "ARRAY",
            Value::Object(_) => "OBJECT",
        };
        Some(name.to_owned())
    })?;
    texts(call, answers)
}

/// A JSON string's text; any other text is itself.
fn unquoted(text: &str) -> Cow<'_, str> {
    if text.len() >= 2
        && text.starts_with('"')
        && text.ends_with('"')
        && let Ok(text) = serde_json::from_str(text)
    {
        return Cow::Owned(text);
    }
    Cow::Borrowed(text)
}

/// As MySQL prints JSON. The parser has limited the depth.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(elements) => {
            text.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    text.push_str(", ");
                }
                write(element, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| (key.len(), key.as_bytes()));
            text.push('{');
            for (at, (key, member)) in members.into_iter().enumerate() {
                if at > 0 {
                    text.push_str(", ");
                }
                text.push_str(&Value::String(key.clone()).to_string());
                text.push_str(": ");
                write(member, text);
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}
