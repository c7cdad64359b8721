//! Operators that DataFusion lacks or gives another meaning. `/` on integers is an exact decimal and any division by
//! zero NULL in MySQL (an integer and an error in DataFusion); `||` is OR unless sql_mode says otherwise (sqlx sets
//! PIPES_AS_CONCAT); `->` takes a JSON path; XOR and REGEXP come from hand-written SQL. Each can go when DataFusion's
//! planner lets a dialect choose the operator's function by syntax.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value, ValueWithSpan};

use super::{build, truth};
use crate::dialect::mysql;
use crate::error::{Error, Result};

pub(super) fn rewrite(expr: &mut Expr, pipes_as_concat: bool) -> Result<()> {
    match expr {
        Expr::BinaryOp { .. } => binary(expr, pipes_as_concat),
        Expr::UnaryOp { op: op @ UnaryOperator::BangNot, .. } => {
            *op = UnaryOperator::Not;
            Ok(())
        }
        Expr::RLike { negated, expr: left, pattern, .. } => {
            let operator = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
            *expr = build::binary(build::take(left), operator, build::take(pattern));
            Ok(())
        }
        Expr::Like { pattern, escape_char: escape @ Some(_), .. } => own_escape(pattern, escape),
        Expr::InList { .. } => tuple_in_list(expr),
        Expr::MemberOf(_) => Err(Error::unsupported("MEMBER OF")),
        Expr::MatchAgainst { .. } => Err(Error::unsupported("MATCH … AGAINST")),
        _ => Ok(()),
    }
}

fn binary(expr: &mut Expr, pipes_as_concat: bool) -> Result<()> {
    let Expr::BinaryOp { left, op, right } = expr else { return Ok(()) };
    let function = match op {
        BinaryOperator::Divide => "mysql_divide",
        BinaryOperator::Custom(name) if name == mysql::DIV => "mysql_int_divide",
        BinaryOperator::Custom(name) if name == mysql::MOD => {
            *op = BinaryOperator::Modulo;
            return binary(expr, pipes_as_concat);
        }
        // A divisor that cannot be zero needs no care, and the plain operator is faster.
        BinaryOperator::Modulo if is_nonzero(right) => return Ok(()),
        BinaryOperator::Modulo => "mod",
        BinaryOperator::StringConcat if !pipes_as_concat => {
            *op = BinaryOperator::Or;
            return Ok(());
        }
        BinaryOperator::Xor => {
            truth::as_truth(left);
            truth::as_truth(right);
            *expr = build::binary(
                build::nested(build::take(left)),
                BinaryOperator::NotEq,
                build::nested(build::take(right)),
            );
            return Ok(());
        }
        BinaryOperator::Arrow => "json_extract",
        BinaryOperator::LongArrow => {
            let extracted = build::call("json_extract", vec![build::take(left), build::take(right)]);
            *expr = build::call("json_unquote", vec![extracted]);
            return Ok(());
        }
        BinaryOperator::Eq | BinaryOperator::NotEq => return tuple_comparison(expr),
        BinaryOperator::Assignment => {
            return Err(Error::unsupported("assignment (:=) of a variable inside an expression"));
        }
        _ => return Ok(()),
    };
    *expr = build::call(function, vec![build::take(left), build::take(right)]);
    Ok(())
}

fn is_nonzero(expr: &Expr) -> bool {
    build::literal_number(expr).is_some_and(|text| text.bytes().any(|digit| (b'1'..=b'9').contains(&digit)))
}

/// `(a, b) = (c, d)` is `a = c AND b = d`; DataFusion would compare structs, and only of plain columns.
fn tuple_comparison(expr: &mut Expr) -> Result<()> {
    let Expr::BinaryOp { left, op, right } = expr else { return Ok(()) };
    let (Expr::Tuple(left), Expr::Tuple(right)) = (left.as_mut(), right.as_mut()) else { return Ok(()) };
    let negated = *op == BinaryOperator::NotEq;
    let equal = Expr::Nested(Box::new(all_equal(std::mem::take(left), std::mem::take(right))?));
    *expr = if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(equal) } } else { equal };
    Ok(())
}

/// `(a, b) IN ((1, 2), (3, 4))`.
fn tuple_in_list(expr: &mut Expr) -> Result<()> {
    let Expr::InList { expr: subject, list, negated } = expr else { return Ok(()) };
    let Expr::Tuple(columns) = subject.as_mut() else { return Ok(()) };
    let is_plain = |column: &Expr| matches!(column, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_));
    if !columns.iter().all(is_plain) {
        return Err(Error::unsupported("(a, b) IN (…) with expressions instead of columns on the left"));
    }
    let mut any: Option<Expr> = None;
    for item in std::mem::take(list) {
        let Expr::Tuple(values) = item else { return Err(columns_differ(columns.len())) };
        let equal = Expr::Nested(Box::new(all_equal(columns.clone(), values)?));
        any = Some(match any {
            Some(others) => build::binary(others, BinaryOperator::Or, equal),
            None => equal,
        });
    }
    let Some(mut any) = any else { return Ok(()) };
    super::shape::balance(&mut any);
    let any = Expr::Nested(Box::new(any));
    *expr = if *negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(any) } } else { any };
    Ok(())
}

fn all_equal(left: Vec<Expr>, right: Vec<Expr>) -> Result<Expr> {
    if left.len() != right.len() {
        return Err(columns_differ(left.len()));
    }
    let mut all: Option<Expr> = None;
    for (left, right) in left.into_iter().zip(right) {
        let equal = build::binary(build::nested(left), BinaryOperator::Eq, build::nested(right));
        all = Some(match all {
            Some(others) => build::binary(others, BinaryOperator::And, equal),
            None => equal,
        });
    }
    all.ok_or_else(|| columns_differ(0))
}

fn columns_differ(count: usize) -> Error {
    Error::new(crate::error::Kind::WrongArguments, format!("Operand should contain {count} column(s)"))
}

/// `LIKE 'a!_%' ESCAPE '!'`: DataFusion knows the backslash only, so the pattern is written with it.
fn own_escape(pattern: &mut Expr, escape: &mut Option<ValueWithSpan>) -> Result<()> {
    let own = match escape.as_ref().map(|escape| &escape.value) {
        Some(Value::SingleQuotedString(text) | Value::DoubleQuotedString(text)) => text.clone(),
        _ => return Err(Error::unsupported("LIKE … ESCAPE with something else than a string")),
    };
    let (Some(text), true) = (build::literal_text(pattern), own.chars().count() <= 1) else {
        return Err(Error::unsupported(format!("LIKE … ESCAPE '{own}' with a pattern that is no literal")));
    };
    *pattern = build::string(with_backslashes(text, own.chars().next()));
    *escape = None;
    Ok(())
}

fn with_backslashes(pattern: &str, own: Option<char>) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == own {
            out.push('\\');
            out.extend(characters.next());
        } else {
            if character == '\\' {
                out.push('\\');
            }
            out.push(character);
        }
    }
    out
}
