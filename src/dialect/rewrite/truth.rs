//! In MySQL a comparison is the number 1 or 0 and any number is a condition: `SUM(platform = 'ios')`, `WHERE 1`, `AND
//! is_active`, `NOT 1` (drivers render bound parameters so, dashboards count so). DataFusion has a BOOLEAN of its
//! own. So where syntax shows a condition in a number's place it is cast, and the other way round. It can go when
//! DataFusion coerces BOOLEAN to numbers both ways.

use sqlparser::ast::{BinaryOperator, DataType, Expr, UnaryOperator, Value, ValueWithSpan};

use super::{build, casts};

/// Functions that take numbers or text, never conditions.
const NUMBER_FUNCTIONS: &[&str] = &[
    "sum",
    "avg",
    "min",
    "max",
    "std",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "variance",
    "var_pop",
    "var_samp",
    "abs",
    "round",
    "truncate",
    "concat",
    "concat_ws",
    "string_agg",
    "mysql_divide",
    "mysql_int_divide",
    "mod",
    "mysql_signed",
    "mysql_unsigned",
    "pow",
    "power",
    "floor",
    "ceil",
    "ceiling",
    "sign",
    "bit_and",
    "bit_or",
    "bit_xor",
    "elt",
    "repeat",
];

/// Functions that answer with one of their arguments, from that number on.
const CHOOSING_FUNCTIONS: &[(&str, usize)] =
    &[("if", 1), ("ifnull", 0), ("coalesce", 0), ("nullif", 0), ("greatest", 0), ("least", 0)];

pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::And | BinaryOperator::Or => {
                as_truth(left);
                as_truth(right);
            }
            _ if is_comparison(op) => agree(vec![left, right]),
            _ => {
                as_number(left);
                as_number(right);
            }
        },
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => as_truth(expr),
        Expr::UnaryOp { expr, .. } => as_number(expr),
        Expr::IsTrue(expr) | Expr::IsNotTrue(expr) | Expr::IsFalse(expr) | Expr::IsNotFalse(expr) => as_truth(expr),
        Expr::IsUnknown(expr) | Expr::IsNotUnknown(expr) => as_truth(expr),
        Expr::InList { expr, list, .. } => agree(std::iter::once(expr.as_mut()).chain(list).collect()),
        Expr::Between { expr, low, high, .. } => agree(vec![expr, low, high]),
        Expr::Cast { expr, data_type, .. } if *data_type != DataType::Boolean => as_number(expr),
        Expr::Case { operand, conditions, else_result, .. } => {
            match operand {
                Some(operand) => {
                    let values = conditions.iter_mut().map(|when| &mut when.condition);
                    agree(std::iter::once(operand.as_mut()).chain(values).collect());
                }
                None => conditions.iter_mut().for_each(|when| as_truth(&mut when.condition)),
            }
            let results = conditions.iter_mut().map(|when| &mut when.result);
            agree(results.chain(else_result.as_deref_mut()).collect());
        }
        Expr::Function(function) => {
            let Some(name) = build::function_name(function) else { return };
            let mut arguments = build::arguments(function);
            if NUMBER_FUNCTIONS.contains(&name.as_str()) {
                arguments.into_iter().for_each(as_number);
                return;
            }
            if let Some((_, first)) = CHOOSING_FUNCTIONS.iter().find(|(choosing, _)| *choosing == name) {
                let choices = arguments.split_off((*first).min(arguments.len()));
                arguments.into_iter().for_each(as_truth); // IF's condition
                agree(choices);
            }
        }
        _ => {}
    }
}

/// Makes an expression decide: NULL and 0 do not, other numbers do.
pub(super) fn as_truth(expr: &mut Expr) {
    if is_condition(expr) || matches!(build::peel(expr), Expr::Value(ValueWithSpan { value: Value::Null, .. })) {
        return;
    }
    if let Some(number) = build::literal_number(expr).or_else(|| build::literal_text(expr)) {
        *expr = build::value(Value::Boolean(leading_number(number) != 0.0));
        return;
    }
    let inner = build::take(expr);
    *expr = match build::peel(&inner) {
        Expr::BinaryOp { .. } => build::binary(build::nested(inner), BinaryOperator::NotEq, build::number("0")),
        // Integers, decimals, text with a number and BOOLEAN all become a DOUBLE; only some become a BOOLEAN.
        _ => build::binary(build::cast(inner, casts::double()), BinaryOperator::NotEq, build::number("0")),
    };
}

/// Makes a condition the number 1 or 0.
pub(super) fn as_number(expr: &mut Expr) {
    if let Expr::Value(ValueWithSpan { value: Value::Boolean(truth), .. }) = build::peel(expr) {
        *expr = build::number(if *truth { "1" } else { "0" });
    } else if is_condition(expr) {
        *expr = build::cast(build::take(expr), DataType::BigInt(None));
    }
}

/// Expressions that are compared with each other, or of which one is the answer, are conditions all or none.
fn agree(mut exprs: Vec<&mut Expr>) {
    let is_null = |expr: &Expr| matches!(build::peel(expr), Expr::Value(ValueWithSpan { value: Value::Null, .. }));
    let conditions = exprs.iter().filter(|expr| is_condition(expr)).count();
    let others = exprs.iter().filter(|expr| !is_condition(expr) && !is_null(expr)).count();
    if conditions == 0 || others == 0 {
        return;
    }
    // A BOOLEAN column of a table that another engine wrote compares with TRUE here too.
    let is_truth_test = conditions == 1 && others == 1 && exprs.iter().any(|expr| is_boolean_literal(expr));
    for expr in &mut exprs {
        if is_condition(expr) {
            as_number(expr);
        } else if is_truth_test && matches!(build::peel(expr), Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            **expr = build::cast(build::take(expr), casts::double());
        }
    }
}

fn is_boolean_literal(expr: &Expr) -> bool {
    matches!(build::peel(expr), Expr::Value(ValueWithSpan { value: Value::Boolean(_), .. }))
}

/// Whether DataFusion gives the expression the type BOOLEAN, as far as syntax tells.
fn is_condition(expr: &Expr) -> bool {
    match build::peel(expr) {
        Expr::BinaryOp { op, .. } => is_comparison(op) || matches!(op, BinaryOperator::And | BinaryOperator::Or),
        Expr::UnaryOp { op, .. } => *op == UnaryOperator::Not,
        Expr::Value(ValueWithSpan { value, .. }) => matches!(value, Value::Boolean(_)),
        Expr::Cast { data_type, .. } => *data_type == DataType::Boolean,
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::InList { .. }
        | Expr::InSubquery { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::Exists { .. }
        | Expr::AnyOp { .. }
        | Expr::AllOp { .. } => true,
        _ => false,
    }
}

fn is_comparison(operator: &BinaryOperator) -> bool {
    matches!(
        operator,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
            | BinaryOperator::Spaceship
            | BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexNotMatch
    )
}

/// Characters of a text that are looked at for a number.
const NUMBER_CHARACTERS_MAX: usize = 64;

/// The number a text starts with, as MySQL reads it in a condition; 0 when there is none.
fn leading_number(text: &str) -> f64 {
    let text: String = text.trim_start().chars().take(NUMBER_CHARACTERS_MAX).collect();
    let mut end = 0;
    for (at, character) in text.char_indices() {
        let goes_on = character.is_ascii_digit()
            || character == '.'
            || matches!(character, 'e' | 'E') && at > 0
            || matches!(character, '+' | '-') && (at == 0 || text[..at].ends_with(['e', 'E']));
        if !goes_on {
            break;
        }
        end = at + character.len_utf8();
    }
    (0..=end).rev().find_map(|end| text.get(..end)?.parse().ok()).unwrap_or(0.0)
}
