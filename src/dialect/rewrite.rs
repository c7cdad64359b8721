//! From MySQL's meaning to a tree that DataFusion plans with the same meaning. Each pass is a file that says why it is
//! there and when it can go. No pass knows the catalog, so none knows a column's type.
//!
//! Order: [`name_select_items`] while the tree still matches the text, then the passes over each node, children first
//! ([`Rewriter`]), and, when the statement is planned, [`substitute_variables`], [`canonicalise_identifiers`] and
//! [`settle_literals`].

mod build; // nodes made by the passes
mod casts; // CAST, CONVERT, COLLATE, BINARY
mod functions; // functions whose syntax is their own
mod identifiers; // names compare without case
pub mod intervals; // dates and INTERVAL
mod literals; // strings, bytes, numbers
mod names; // column names of unnamed expressions
mod operators; // operators that DataFusion lacks or reads otherwise
mod select; // clauses of SELECT
mod shape; // depth of the tree
mod truth; // booleans are numbers, numbers are booleans
mod variables; // @x, @@x, DATABASE()

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Query, Select, VisitMut, VisitorMut};

use super::ParseContext;
use crate::error::{Error, Result};

pub use identifiers::canonicalise_identifiers;
pub use literals::settle_literals;
pub(super) use names::name_select_items;
pub use names::{DUPLICATE_MARK, shown_name};
pub(super) use select::filter_by_aliases;
pub use variables::substitute_variables;
pub(super) use variables::variable;

/// Rewrites a query.
///
/// # Errors
/// `Unsupported` with the name of what DataFusion has no counterpart for.
pub(super) fn query(query: &mut Query, context: &ParseContext<'_>) -> Result<()> {
    run(query, context)
}

/// Rewrites an expression.
///
/// # Errors
/// As [`query`].
pub(super) fn expression(expr: &mut Expr, context: &ParseContext<'_>) -> Result<()> {
    run(expr, context)
}

/// Rewrites an expression that decides.
///
/// # Errors
/// As [`query`].
pub(super) fn condition(expr: &mut Expr, context: &ParseContext<'_>) -> Result<()> {
    run(expr, context)?;
    truth::as_truth(expr);
    Ok(())
}

fn run<N: VisitMut>(node: &mut N, context: &ParseContext<'_>) -> Result<()> {
    let mut rewriter = Rewriter { pipes_as_concat: context.pipes_as_concat, depth: 0, queries: 0 };
    match node.visit(&mut rewriter) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The passes over each node, in order.
struct Rewriter {
    pipes_as_concat: bool,
    /// Expressions around the node, and queries.
    depth: usize,
    queries: usize,
}

impl Rewriter {
    fn expr(&self, expr: &mut Expr) -> Result<()> {
        literals::rewrite(expr)?;
        operators::rewrite(expr, self.pipes_as_concat)?;
        casts::rewrite(expr)?;
        intervals::rewrite(expr)?;
        functions::rewrite(expr)?;
        truth::rewrite(expr);
        Ok(())
    }
}

impl VisitorMut for Rewriter {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        shape::balance(expr);
        self.depth += 1;
        flow(shape::check_depth(self.depth))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        self.depth -= 1;
        flow(self.expr(expr))
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        self.queries += 1;
        flow(shape::check_query_depth(self.queries).and_then(|()| select::before_query(query)))
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        self.queries -= 1;
        flow(select::query(query))
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        flow(select::select(select))
    }
}

fn flow(result: Result<()>) -> ControlFlow<Error> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}
