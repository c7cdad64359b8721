//! Literals that MySQL writes and DataFusion does not know: double quotes (mycli, Grafana, hand-written SQL), N'…',
//! character set introducers (`_utf8mb4'…'`, PyMySQL's and Go's `_binary'…'`), bit strings, TIMESTAMP '…'. They can
//! go when sqlparser's Value has one form each.

use std::ops::ControlFlow;

use sqlparser::ast::{
    DataType, Expr, LimitClause, Query, TimezoneInfo, TypedString, Value, ValueWithSpan, VisitMut, VisitorMut,
};

use super::{build, casts};
use crate::error::{Error, Result};

pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Value(ValueWithSpan { value, .. }) => rewrite_value(value),
        Expr::Prefixed { prefix, value } => {
            let is_binary = prefix.value.eq_ignore_ascii_case("_binary");
            *expr = introduced(is_binary, build::take(value));
            Ok(())
        }
        Expr::TypedString(typed) => {
            if let Some(replaced) = typed_string(typed)? {
                *expr = replaced;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn rewrite_value(value: &mut Value) -> Result<()> {
    match value {
        Value::DoubleQuotedString(text) | Value::NationalStringLiteral(text) => {
            *value = Value::SingleQuotedString(std::mem::take(text));
        }
        Value::SingleQuotedByteStringLiteral(bits) | Value::DoubleQuotedByteStringLiteral(bits) => {
            *value = Value::HexStringLiteral(hex_of_bits(bits)?);
        }
        _ => {}
    }
    Ok(())
}

/// `_binary'…'` is bytes; any other introducer names a character set, and all text here is UTF-8.
fn introduced(is_binary: bool, value: Expr) -> Expr {
    match build::literal_text(&value) {
        Some(text) if is_binary => build::value(Value::HexStringLiteral(hex(text.as_bytes()))),
        _ => value,
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// `b'0101'`: bits to whole bytes, zeros in front.
fn hex_of_bits(bits: &str) -> Result<String> {
    if !bits.bytes().all(|bit| matches!(bit, b'0' | b'1')) {
        return Err(Error::unsupported(format!("bit string b'{bits}' with other digits than 0 and 1")));
    }
    let width = bits.len().div_ceil(8) * 8;
    let padded = format!("{bits:0>width$}");
    let bytes: Vec<u8> =
        padded.as_bytes().chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | (bit - b'0'))).collect();
    Ok(hex(&bytes))
}

/// `DATE '…'` is DataFusion's too; TIMESTAMP would have nanoseconds there, and other types MySQL does not have.
fn typed_string(typed: &mut TypedString) -> Result<Option<Expr>> {
    rewrite_value(&mut typed.value.value)?;
    match &typed.data_type {
        DataType::Date => Ok(None),
        DataType::Timestamp(None, TimezoneInfo::None) | DataType::Datetime(None) => {
            let text = Expr::Value(typed.value.clone());
            Ok(Some(build::cast(text, casts::microseconds())))
        }
        other => Err(Error::unsupported(format!("{other} literal"))),
    }
}

/// The last pass, when parameters and variables have their values: a number with an exponent is a DOUBLE, every other
/// one with a point an exact DECIMAL (DataFusion has one rule for both), and LIMIT takes whole numbers that fit:
/// Node's mysql2 sends `LIMIT '2'`, ODBC and MySQL's manual `LIMIT 18446744073709551615` for all rows.
pub fn settle_literals<N: VisitMut>(node: &mut N) {
    struct Settler;
    impl VisitorMut for Settler {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if build::literal_number(expr).is_some_and(|text| text.contains(['e', 'E'])) {
                let text = build::literal_number(expr).unwrap_or_default().to_owned();
                *expr = build::cast(build::string(text), casts::double());
            }
            ControlFlow::Continue(())
        }

        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            match &mut query.limit_clause {
                Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                    limit.iter_mut().for_each(settle_limit);
                    offset.iter_mut().for_each(|offset| settle_limit(&mut offset.value));
                }
                Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                    settle_limit(offset);
                    settle_limit(limit);
                }
                None => {}
            }
            ControlFlow::Continue(())
        }
    }
    let _: ControlFlow<()> = node.visit(&mut Settler);
}

fn settle_limit(expr: &mut Expr) {
    let Some(text) = build::literal_number(expr).or_else(|| build::literal_text(expr)) else { return };
    if let Ok(number) = text.parse::<u64>() {
        *expr = build::number(number.min(i64::MAX as u64).to_string());
    }
}
