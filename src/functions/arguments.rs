//! What the analysis functions share about their arguments: the error for a bad one, and arrays of conditions taken
//! apart.

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;

use crate::error::{Error, Kind};

/// MySQL's 1210 with the argument named: `Incorrect arguments to window_funnel: window must not be negative`.
pub fn wrong(function: &str, problem: impl std::fmt::Display) -> Error {
    Error::new(Kind::WrongArguments, format!("Incorrect arguments to {function}: {problem}"))
}

/// The elements of `[c1, ..., cN]`, None when the expression is no array written out (a column, say).
pub fn array_elements(expr: &Expr) -> Result<Option<Vec<Expr>>> {
    let values: ArrayRef = match expr {
        Expr::ScalarFunction(call) if call.func.name() == "make_array" => return Ok(Some(call.args.clone())),
        Expr::Literal(ScalarValue::List(list), _) if list.len() == 1 && list.is_valid(0) => list.value(0),
        Expr::Literal(ScalarValue::FixedSizeList(list), _) if list.len() == 1 && list.is_valid(0) => list.value(0),
        _ => return Ok(None),
    };
    let elements = (0..values.len()).map(|at| Ok(Expr::Literal(ScalarValue::try_from_array(&values, at)?, None)));
    Ok(Some(elements.collect::<Result<_>>()?))
}

/// The value of a constant argument; None while it is a parameter of a prepared statement.
///
/// # Errors
/// `WrongArguments` naming the argument when it is neither.
pub fn constant<'e>(function: &str, argument: &str, expr: &'e Expr) -> Result<Option<&'e ScalarValue>> {
    match expr {
        Expr::Literal(value, _) => Ok(Some(value)),
        other if other.exists(|part| Ok(matches!(part, Expr::Placeholder(_))))? => Ok(None),
        other => Err(wrong(function, format!("{argument} must be a constant, it is {other}")).into()),
    }
}
