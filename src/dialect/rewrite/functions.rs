//! Functions whose syntax is their own: SUBSTRING … FROM, GROUP_CONCAT … SEPARATOR, COUNT(DISTINCT a, b), names
//! without brackets, ClickHouse's two brackets. Functions with plain arguments are registered under MySQL's names by
//! `functions/`. Each can go when DataFusion's planner takes its syntax.

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    BinaryOperator, CaseWhen, DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, Ident, Value, ValueWithSpan,
};

use super::build;
use crate::error::{Error, Result};

/// Names of one function of the session; the other synonyms are registered with the functions.
const NAMES: &[(&str, &str)] = &[("schema", "database"), ("session_user", "user"), ("system_user", "user")];

/// Names that MySQL reads as calls without brackets.
pub(super) const CALLS_WITHOUT_BRACKETS: &[&str] = &["current_user", "utc_timestamp", "utc_date", "utc_time"];

pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Identifier(Ident { value, quote_style: None, .. }) => {
            if CALLS_WITHOUT_BRACKETS.contains(&value.to_ascii_lowercase().as_str()) {
                *expr = build::call(&value.to_ascii_lowercase(), Vec::new());
            }
            Ok(())
        }
        Expr::Substring { expr: text, substring_from, substring_for, .. } => {
            let from = substring_from.as_deref_mut().map_or_else(|| build::number("1"), build::take);
            let length = substring_for.as_deref_mut().map(build::take);
            let arguments = [build::take(text), from].into_iter().chain(length).collect();
            *expr = build::call("substring", arguments);
            Ok(())
        }
        Expr::Position { expr: what, r#in } => {
            *expr = build::call("locate", vec![build::take(what), build::take(r#in)]);
            Ok(())
        }
        Expr::Trim { trim_what: Some(what), .. } => trimmed(what),
        Expr::Function(_) => function(expr),
        _ => Ok(()),
    }
}

fn function(expr: &mut Expr) -> Result<()> {
    let Expr::Function(function) = expr else { return Ok(()) };
    if function.parameters != FunctionArguments::None {
        join_brackets(function)?;
    }
    let Some(name) = build::function_name(function) else { return Ok(()) };
    if let Some((_, ours)) = NAMES.iter().find(|(theirs, _)| *theirs == name) {
        build::rename(function, ours);
    }
    if function.args == FunctionArguments::None {
        let Expr::Function(bare) = build::call("none", Vec::new()) else { return Ok(()) };
        function.args = bare.args; // CURRENT_DATE is CURRENT_DATE()
    }
    match name.as_str() {
        "binary" => {
            if let Some(Ok([inner])) = build::take_arguments(function).map(<[Expr; 1]>::try_from) {
                *expr = Expr::Nested(Box::new(inner));
            }
        }
        "count" => count_distinct(function),
        "group_concat" => group_concat(function)?,
        _ => {}
    }
    Ok(())
}

/// `COUNT(DISTINCT a, b)` counts the pairs without a NULL; DataFusion counts one expression.
fn count_distinct(function: &mut Function) {
    let Some(list) = build::argument_list(function) else { return };
    if list.duplicate_treatment != Some(DuplicateTreatment::Distinct) || list.args.len() < 2 {
        return;
    }
    let columns: Vec<Expr> = std::mem::take(&mut list.args)
        .into_iter()
        .filter_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect();
    let complete = columns
        .iter()
        .map(|column| Expr::IsNotNull(Box::new(build::nested(column.clone()))))
        .reduce(|left, right| build::binary(left, BinaryOperator::And, right));
    let Some(condition) = complete else { return };
    let pair = Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result: build::call("struct", columns) }],
        else_result: None,
    };
    list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(pair)));
}

/// `GROUP_CONCAT([DISTINCT] a, b ORDER BY c SEPARATOR ';')` is string_agg(concat(a, b), ';' ORDER BY c).
fn group_concat(function: &mut Function) -> Result<()> {
    build::rename(function, "string_agg");
    let Some(list) = build::argument_list(function) else { return Ok(()) };
    let mut separator = build::string(",");
    let mut clauses = Vec::new();
    for clause in std::mem::take(&mut list.clauses) {
        match clause {
            FunctionArgumentClause::Separator(ValueWithSpan {
                value: Value::SingleQuotedString(text) | Value::DoubleQuotedString(text),
                ..
            }) => separator = build::string(text),
            FunctionArgumentClause::OrderBy(order) => clauses.push(FunctionArgumentClause::OrderBy(order)),
            other => return Err(Error::unsupported(format!("GROUP_CONCAT(… {other})"))),
        }
    }
    list.clauses = clauses;
    let mut parts: Vec<Expr> = std::mem::take(&mut list.args)
        .into_iter()
        .filter_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect();
    let text = match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            parts.push(last);
            build::call("concat", parts)
        }
        (None, _) => return Err(Error::unsupported("GROUP_CONCAT without an argument")),
    };
    let text = build::cast(text, DataType::Varchar(None));
    list.args = [text, separator].map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).into();
    Ok(())
}

/// ClickHouse's `windowFunnel(window, 'mode', …)(ts, c1, …)` is window_funnel(window, 'mode,…', ts, c1, …).
fn join_brackets(function: &mut Function) -> Result<()> {
    let name = build::function_name(function).unwrap_or_default();
    if !matches!(name.as_str(), "windowfunnel" | "window_funnel") {
        return Err(Error::unsupported(format!("{}(…)(…)", function.name)));
    }
    build::rename(function, "window_funnel");
    let FunctionArguments::List(mut first) = std::mem::replace(&mut function.parameters, FunctionArguments::None)
    else {
        return Ok(());
    };
    let mut modes = Vec::new();
    for mode in first.args.split_off(first.args.len().min(1)) {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(mode)) = &mode else { continue };
        match build::literal_text(mode) {
            Some(text) => modes.push(text.to_owned()),
            None => return Err(Error::unsupported(format!("windowFunnel mode {mode}"))),
        }
    }
    if !modes.is_empty() {
        let modes = build::string(modes.join(","));
        first.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(modes)));
    }
    if let Some(list) = build::argument_list(function) {
        first.args.append(&mut list.args);
        list.args = first.args;
    }
    Ok(())
}

/// `TRIM(LEADING 'ab' FROM x)`: DataFusion would take the text as a set of characters.
fn trimmed(what: &Expr) -> Result<()> {
    match build::literal_text(what) {
        Some(text) if text.chars().count() <= 1 => Ok(()),
        _ => Err(Error::unsupported("TRIM(… FROM …) with anything but one character")),
    }
}
