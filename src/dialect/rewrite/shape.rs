//! Keeps the tree shallow. sqlparser hangs `a OR b OR c …` to the left, one level a word; copying or dropping a deep
//! tree is recursive in sqlparser and DataFusion alike, and a statement must not overflow a thread's stack. BI tools
//! send filters with thousands of ORs. It can go when both work on deep trees without recursion.

use sqlparser::ast::{BinaryOperator, Expr, SetExpr, SetOperator, SetQuantifier, Values};

use super::build;
use crate::error::{Error, Result};

/// Levels an expression may have once chains of AND and OR are balanced. A copy costs about 5 KiB of stack a level in a
/// debug build, and a thread has 2 MiB.
const DEPTH_MAX: usize = 128;

/// Queries inside each other; a copy costs some 30 KiB of stack a level in a debug build. MySQL allows 63.
const QUERY_DEPTH_MAX: usize = 32;

/// Turns a chain of the same AND or OR into a balanced tree of the same operands in the same order.
pub(super) fn balance(expr: &mut Expr) {
    let operator = match expr {
        Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), left, .. } => {
            let is_chain = matches!(left.as_ref(), Expr::BinaryOp { op: below, .. } if below == op);
            if !is_chain {
                return;
            }
            op.clone()
        }
        _ => return,
    };
    let mut operands = Vec::new();
    let mut rest = build::take(expr);
    loop {
        match rest {
            Expr::BinaryOp { left, op, right } if op == operator => {
                operands.push(*right);
                rest = *left;
            }
            first => {
                operands.push(first);
                break;
            }
        }
    }
    operands.reverse();
    *expr = combine(operands, &operator);
}

/// Joins neighbours in pairs until one is left.
fn combine(mut operands: Vec<Expr>, operator: &BinaryOperator) -> Expr {
    while operands.len() > 1 {
        let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
        let mut rest = operands.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => build::binary(left, operator.clone(), right),
                None => left,
            });
        }
        operands = pairs;
    }
    operands.pop().unwrap_or_else(|| build::number("0"))
}

/// Turns a chain of the same UNION or UNION ALL into a balanced tree; the first SELECT, which names the columns,
/// stays first.
///
/// # Errors
/// `Unsupported` for a chain of different operators that is still deeper than [`QUERY_DEPTH_MAX`].
pub(super) fn balance_unions(body: &mut SetExpr) -> Result<()> {
    let mut depth = 0;
    let mut below = &*body;
    while let SetExpr::SetOperation { left, .. } = below {
        depth += 1;
        below = left;
    }
    if depth < 2 {
        return Ok(());
    }
    let SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: quantifier, .. } = body else {
        return check_union_depth(depth);
    };
    let quantifier = *quantifier;
    let (mut parts, mut rest) = (Vec::new(), std::mem::replace(body, nothing()));
    loop {
        match rest {
            SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier, right }
                if set_quantifier == quantifier =>
            {
                parts.push(*right);
                rest = *left;
                depth -= 1;
            }
            first => {
                parts.push(first);
                break;
            }
        }
    }
    parts.reverse();
    *body = combine_unions(parts, quantifier);
    check_union_depth(depth)
}

fn combine_unions(mut parts: Vec<SetExpr>, set_quantifier: SetQuantifier) -> SetExpr {
    while parts.len() > 1 {
        let mut pairs = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => SetExpr::SetOperation {
                    left: Box::new(left),
                    op: SetOperator::Union,
                    set_quantifier,
                    right: Box::new(right),
                },
                None => left,
            });
        }
        parts = pairs;
    }
    parts.pop().unwrap_or_else(nothing)
}

/// Stands in while a tree is taken apart.
fn nothing() -> SetExpr {
    SetExpr::Values(Values { explicit_row: false, value_keyword: false, rows: Vec::new() })
}

fn check_union_depth(depth: usize) -> Result<()> {
    if depth <= QUERY_DEPTH_MAX {
        return Ok(());
    }
    Err(Error::unsupported(format!("more than {QUERY_DEPTH_MAX} different UNION, EXCEPT and INTERSECT in a row")))
}

/// # Errors
/// `Unsupported` for an expression with more levels than [`DEPTH_MAX`].
pub(super) fn check_depth(depth: usize) -> Result<()> {
    if depth <= DEPTH_MAX {
        return Ok(());
    }
    Err(Error::unsupported(format!("expression nested more than {DEPTH_MAX} levels deep")))
}

/// # Errors
/// `Unsupported` for queries inside each other more than [`QUERY_DEPTH_MAX`] deep.
pub(super) fn check_query_depth(depth: usize) -> Result<()> {
    if depth <= QUERY_DEPTH_MAX {
        return Ok(());
    }
    Err(Error::unsupported(format!("queries nested more than {QUERY_DEPTH_MAX} levels deep")))
}
