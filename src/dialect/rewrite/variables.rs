//! Variables and functions that only the session knows, replaced by values when a statement is planned. Drivers read
//! `@@max_allowed_packet` and DATABASE() at connect; DataFusion has variables, but without scopes and types of their
//! own.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, FunctionArguments, Ident, VisitMut, VisitorMut};

use super::build;
use crate::dialect::statement::{Scope, SessionFunction, Variable};
use crate::error::{Error, Result};

/// Replaces `@x`, `@@x`, DATABASE(), USER() and the like by what `lookup` says.
///
/// # Errors
/// Those of `lookup`.
pub fn substitute_variables<N: VisitMut>(
    node: &mut N,
    lookup: &mut dyn FnMut(&Variable) -> Result<Expr>,
) -> Result<()> {
    struct Substitution<'l>(&'l mut dyn FnMut(&Variable) -> Result<Expr>);
    impl VisitorMut for Substitution<'_> {
        type Break = Error;

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
            let Some(variable) = variable(expr) else { return ControlFlow::Continue(()) };
            match (self.0)(&variable) {
                Ok(value) => {
                    *expr = value;
                    ControlFlow::Continue(())
                }
                Err(error) => ControlFlow::Break(error),
            }
        }
    }
    match node.visit(&mut Substitution(lookup)) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The variable an expression is.
pub(in crate::dialect) fn variable(expr: &Expr) -> Option<Variable> {
    match expr {
        Expr::Identifier(ident) => match at_name(ident)? {
            (2, name) => Some(Variable::System { scope: None, name }),
            (_, name) => Some(Variable::User(name)),
        },
        Expr::CompoundIdentifier(parts) => {
            let (ats, first) = at_name(parts.first()?)?;
            let rest: Vec<String> = parts[1..].iter().map(|part| part.value.to_lowercase()).collect();
            if ats == 1 {
                return Some(Variable::User(format!("{first}.{}", rest.join(".")))); // @a.b is one name
            }
            let scope = match first.as_str() {
                "session" | "local" => Scope::Session,
                "global" => Scope::Global,
                "persist" | "persist_only" => Scope::Persist,
                _ => return Some(Variable::System { scope: None, name: format!("{first}.{}", rest.join(".")) }),
            };
            Some(Variable::System { scope: Some(scope), name: rest.join(".") })
        }
        Expr::Function(function) => {
            let has_arguments = match &function.args {
                FunctionArguments::List(list) => !list.args.is_empty(),
                _ => false,
            };
            if has_arguments { None } else { session_function(&build::function_name(function)?) }
        }
        _ => None,
    }
}

/// `@name` or `@@name`: how many at signs, and the name in lower case.
fn at_name(ident: &Ident) -> Option<(usize, String)> {
    if ident.quote_style.is_some() {
        return None;
    }
    match ident.value.strip_prefix("@@") {
        Some(name) => Some((2, name.to_lowercase())),
        None => ident.value.strip_prefix('@').map(|name| (1, name.to_lowercase())),
    }
}

fn session_function(name: &str) -> Option<Variable> {
    let function = match name {
        "version" => return Some(Variable::System { scope: None, name: name.to_owned() }),
        "database" => SessionFunction::Database,
        "user" => SessionFunction::User,
        "current_user" => SessionFunction::CurrentUser,
        "current_role" => SessionFunction::CurrentRole,
        "connection_id" => SessionFunction::ConnectionId,
        "last_insert_id" => SessionFunction::LastInsertId,
        "row_count" => SessionFunction::RowCount,
        "found_rows" => SessionFunction::FoundRows,
        _ => return None,
    };
    Some(Variable::Function(function))
}
