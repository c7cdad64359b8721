//! Where MySQL's arithmetic and comparison differ from DataFusion's and the difference would be a wrong answer:
//! integers compute in 64 bits and do not wrap, a date compares with a number as YYYYMMDD, and what a TIMESTAMP is
//! compared with is read in the session's time zone. Runs on the logical plan before DataFusion's own type coercion.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use chrono::NaiveDateTime;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr::{Between, BinaryExpr, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, cast, lit};
use datafusion::scalar::ScalarValue;

use crate::error::{Error, Kind, Result};
use crate::functions::mysql_cast;
use crate::functions::mysql_checked::{Operation, checked};

/// Rewrites every expression of the plan, its subqueries' too. `zone` is the session's.
pub(super) fn settle(plan: LogicalPlan, zone: &str) -> Result<LogicalPlan> {
    let settled = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        let rewritten = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| rewrite(expr, &schema, zone))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })?;
        match rewritten.transformed {
            true => rewritten.map_data(LogicalPlan::recompute_schema),
            false => Ok(rewritten),
        }
    })?;
    Ok(settled.data)
}

fn rewrite(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>, DataFusionError> {
    let data_type = |expr: &Expr| expr.get_type(schema).ok();
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (Some(left_type), Some(right_type)) = (data_type(&left), data_type(&right)) else {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            };
            if let Some(operation) = arithmetic(op)
                && is_integer(&left_type)
                && is_integer(&right_type)
            {
                let args = vec![cast(*left, DataType::Int64), cast(*right, DataType::Int64)];
                return Ok(Transformed::yes(checked(operation).call(args)));
            }
            if !op.supports_propagation() {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            }
            if is_text(&left, &left_type) && is_number(&right_type) {
                let (left, right) = (number_of(*left), cast(*right, DataType::Float64));
                let compared = BinaryExpr { left: Box::new(left), op, right: Box::new(right) };
                return Ok(Transformed::yes(Expr::BinaryExpr(compared)));
            }
            if is_number(&left_type) && is_text(&right, &right_type) {
                let (left, right) = (cast(*left, DataType::Float64), number_of(*right));
                let compared = BinaryExpr { left: Box::new(left), op, right: Box::new(right) };
                return Ok(Transformed::yes(Expr::BinaryExpr(compared)));
            }
            let right = comparable(&left_type, *right, &right_type, zone)?;
            let left = comparable(&right_type, *left, &left_type, zone)?;
            let changed = right.transformed || left.transformed;
            let compared = Expr::BinaryExpr(BinaryExpr { left: Box::new(left.data), op, right: Box::new(right.data) });
            Ok(if changed { Transformed::yes(compared) } else { Transformed::no(compared) })
        }
        Expr::Negative(inner)
            if !matches!(*inner, Expr::Literal(..)) && data_type(&inner).is_some_and(|t| is_integer(&t)) =>
        {
            let args = vec![lit(0i64), cast(*inner, DataType::Int64)];
            Ok(Transformed::yes(checked(Operation::Subtract).call(args)))
        }
        Expr::Between(Between { mut expr, negated, low, high }) => {
            let mut of = data_type(&expr);
            let numbers = [&low, &high].iter().all(|bound| data_type(bound).is_some_and(|own| is_number(&own)));
            if numbers && of.as_ref().is_some_and(|own| is_text(&expr, own)) {
                (*expr, of) = (number_of(*expr), Some(DataType::Float64));
            }
            let bound = |bound: Expr| settle_against(&of, bound, schema, zone);
            let (low, high) = (bound(*low)?, bound(*high)?);
            Ok(Transformed::yes(Expr::Between(Between::new(expr, negated, Box::new(low), Box::new(high)))))
        }
        Expr::InList(InList { mut expr, list, negated }) => {
            let mut of = data_type(&expr);
            let numbers = list.iter().all(|item| data_type(item).is_some_and(|own| is_number(&own)));
            if numbers && of.as_ref().is_some_and(|own| is_text(&expr, own)) {
                (*expr, of) = (number_of(*expr), Some(DataType::Float64));
            }
            let list = list.into_iter().map(|item| settle_against(&of, item, schema, zone));
            let list = list.collect::<Result<Vec<_>, DataFusionError>>()?;
            Ok(Transformed::yes(Expr::InList(InList::new(expr, list, negated))))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn settle_against(of: &Option<DataType>, expr: Expr, schema: &DFSchema, zone: &str) -> Result<Expr, DataFusionError> {
    match (of, expr.get_type(schema)) {
        (Some(of), Ok(own)) => Ok(comparable(of, expr, &own, zone)?.data),
        _ => Ok(expr),
    }
}

/// A text that only the data knows. (A literal is read as the type of what it is compared with, and prunes.)
fn is_text(expr: &Expr, data_type: &DataType) -> bool {
    data_type.is_string() && !matches!(expr, Expr::Literal(..))
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating() || data_type.is_decimal()
}

/// MySQL compares a text with a number as doubles, by the number the text begins with.
fn number_of(text: Expr) -> Expr {
    mysql_cast::double().udf().call(vec![text])
}

fn arithmetic(op: Operator) -> Option<Operation> {
    match op {
        Operator::Plus => Some(Operation::Add),
        Operator::Minus => Some(Operation::Subtract),
        Operator::Multiply => Some(Operation::Multiply),
        _ => None,
    }
}

/// Integers that fit 64 bits with a sign; BIGINT UNSIGNED is a decimal here.
fn is_integer(data_type: &DataType) -> bool {
    use DataType::{Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32};
    matches!(data_type, Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32)
}

/// `expr`, of type `own`, as it is compared with something of type `other`.
fn comparable(other: &DataType, expr: Expr, own: &DataType, zone: &str) -> Result<Transformed<Expr>> {
    let temporal = matches!(other, DataType::Date32 | DataType::Timestamp(..));
    match (other, own) {
        (_, number) if temporal && (number.is_integer() || number.is_decimal()) => match &expr {
            Expr::Literal(value, _) if value.is_null() => Ok(Transformed::no(expr)),
            Expr::Literal(value, _) => {
                let micros = moment(&value.to_string())?;
                let moment = Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), None), None);
                match other {
                    DataType::Timestamp(_, Some(_)) => Ok(Transformed::yes(in_zone(moment, zone))),
                    _ => Ok(Transformed::yes(moment)),
                }
            }
            _ => Err(Error::unsupported("comparison of a date with a computed number; compare with a date")),
        },
        (DataType::Timestamp(_, Some(_)), text) if text.is_string() || matches!(text, DataType::Date32) => {
            Ok(Transformed::yes(in_zone(expr, zone)))
        }
        (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, None)) => Ok(Transformed::yes(in_zone(expr, zone))),
        _ => Ok(Transformed::no(expr)),
    }
}

/// A wall clock's value as the instant at which the session's clocks show it.
fn in_zone(expr: Expr, zone: &str) -> Expr {
    let zoned = |zone: &str| DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from(zone)));
    // In UTC at the end, as columns are: then the column is compared as it is, and its statistics prune.
    cast(cast(expr, zoned(zone)), zoned("UTC"))
}

/// Microseconds of `YYYYMMDD` or `YYYYMMDDhhmmss`.
fn moment(digits: &str) -> Result<i64> {
    let padded = match digits.len() {
        8 => format!("{digits}000000"),
        _ => digits.to_owned(),
    };
    match NaiveDateTime::parse_from_str(&padded, "%Y%m%d%H%M%S") {
        Ok(time) if padded.len() == 14 => Ok(time.and_utc().timestamp_micros()),
        _ => Err(Error::new(
            Kind::IncorrectTemporal,
            format!("Incorrect DATETIME value: '{digits}'; write a date as '2026-01-31' or 20260131"),
        )),
    }
}
