//! Constants: from SQL literals to Arrow values (INSERT … VALUES without planning each row), and from prepared
//! statements' parameters back to literals.

use std::ops::ControlFlow;

use arrow::datatypes::i256;
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{Expr, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut};

use crate::error::{Error, Kind, Result};

/// Digits DECIMAL holds in 128 bits.
const DECIMAL_DIGITS_MAX: usize = 38;

/// The value of a plain literal; None for anything that needs planning.
pub fn value(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Nested(inner) => value(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. }) => number(&format!("-{text}")),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => value(expr),
        Expr::Value(ValueWithSpan { value, .. }) => plain(value),
        Expr::TypedString(typed) => match &typed.value.value {
            Value::SingleQuotedString(text) => Some(ScalarValue::Utf8(Some(text.clone()))),
            _ => None,
        },
        _ => None,
    }
}

/// The value of a literal; a negative number's text has its sign.
///
/// # Errors
/// `Syntax` for a literal that has no value here.
pub fn value_of(value: &Value) -> Result<ScalarValue> {
    plain(value).ok_or_else(|| Error::new(Kind::Syntax, format!("{value} is no constant")))
}

fn plain(value: &Value) -> Option<ScalarValue> {
    match value {
        Value::Null => Some(ScalarValue::Null),
        Value::Boolean(truth) => Some(ScalarValue::Int8(Some(i8::from(*truth)))),
        Value::Number(text, _) => number(text),
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => {
            Some(ScalarValue::Utf8(Some(text.clone())))
        }
        Value::HexStringLiteral(digits) => Some(ScalarValue::Binary(Some(bytes(digits)?))),
        _ => None,
    }
}

/// A number as MySQL types it: integer, exact decimal when it has a point, double when it has an exponent.
fn number(text: &str) -> Option<ScalarValue> {
    if text.contains(['e', 'E']) {
        return Some(ScalarValue::Float64(Some(text.parse().ok()?)));
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Some(ScalarValue::Int64(Some(integer)));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    let precision = digits.trim_start_matches(['-', '0']).len().max(fraction.len()).max(1);
    if precision > DECIMAL_DIGITS_MAX {
        return Some(ScalarValue::Float64(Some(text.parse().ok()?)));
    }
    let unscaled = match digits.as_str() {
        "-" | "" => 0,
        digits => digits.parse::<i128>().ok()?,
    };
    Some(ScalarValue::Decimal128(Some(unscaled), precision as u8, fraction.len() as i8))
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

/// A value as the literal a person would write.
///
/// # Errors
/// `Unsupported` for a type no client sends as a parameter.
pub fn expression(value: &ScalarValue) -> Result<Expr> {
    let plain = |value: Value| Ok(Expr::Value(value.into()));
    let number = |text: String| match text.strip_prefix('-') {
        Some(positive) => Ok(Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(Expr::Value(Value::Number(positive.to_owned(), false).into())),
        }),
        None => plain(Value::Number(text, false)),
    };
    if value.is_null() {
        return plain(Value::Null);
    }
    match value {
        ScalarValue::Boolean(Some(truth)) => plain(Value::Number(u8::from(*truth).to_string(), false)),
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            plain(Value::SingleQuotedString(text.clone()))
        }
        ScalarValue::Binary(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) => match std::str::from_utf8(bytes) {
            // Drivers send text as VAR_STRING, BLOB or with a binary charset alike.
            Ok(text) => plain(Value::SingleQuotedString(text.to_owned())),
            Err(_) => plain(Value::HexStringLiteral(bytes.iter().map(|byte| format!("{byte:02X}")).collect())),
        },
        ScalarValue::Float32(Some(float)) => number(format!("{float:e}")),
        ScalarValue::Float64(Some(float)) => number(format!("{float:e}")),
        ScalarValue::Date32(_) | ScalarValue::TimestampMicrosecond(..) | ScalarValue::Time64Microsecond(_) => {
            let text = arrow::util::display::array_value_to_string(&value.to_array()?, 0)?;
            plain(Value::SingleQuotedString(text.replace('T', " ")))
        }
        ScalarValue::Int8(_)
        | ScalarValue::Int16(_)
        | ScalarValue::Int32(_)
        | ScalarValue::Int64(_)
        | ScalarValue::UInt8(_)
        | ScalarValue::UInt16(_)
        | ScalarValue::UInt32(_)
        | ScalarValue::UInt64(_) => number(value.to_string()),
        ScalarValue::Decimal128(Some(unscaled), _, scale) => number(decimal(i256::from_i128(*unscaled), *scale)),
        other => Err(Error::unsupported(format!("parameter of type {}", other.data_type()))),
    }
}

fn decimal(unscaled: i256, scale: i8) -> String {
    let text = unscaled.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let scale = usize::from(scale.unsigned_abs());
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Replaces `$1`, `$2`, … by the values of a prepared statement's parameters.
///
/// # Errors
/// `WrongArguments` when the statement names a parameter that has no value.
pub fn bind<N: VisitMut>(node: &mut N, parameters: &[Expr]) -> Result<()> {
    struct Binder<'p>(&'p [Expr]);
    impl VisitorMut for Binder<'_> {
        type Break = Error;

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
            let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = expr else {
                return ControlFlow::Continue(());
            };
            let index = name.trim_start_matches('$').parse::<usize>().ok();
            match index.and_then(|index| self.0.get(index.checked_sub(1)?)) {
                Some(value) => *expr = value.clone(),
                None => {
                    let error = Error::new(Kind::WrongArguments, "Incorrect arguments to mysqld_stmt_execute");
                    return ControlFlow::Break(error);
                }
            }
            ControlFlow::Continue(())
        }
    }
    match node.visit(&mut Binder(parameters)) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}
