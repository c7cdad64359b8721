//! Walks the expressions and queries inside a [`Statement`], so that a pass over a syntax tree works on any statement.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, VisitMut, VisitorMut};

use super::statement::{Assignment, InsertSource, InsertValue, SetValue, Statement};

impl VisitMut for Statement {
    fn visit<V: VisitorMut>(&mut self, visitor: &mut V) -> ControlFlow<V::Break> {
        match self {
            Statement::Query(query) => query.visit(visitor),
            Statement::Show(show) => show.query.visit(visitor),
            Statement::Explain(explain) => explain.statement.visit(visitor),
            Statement::Insert(insert) => match &mut insert.source {
                InsertSource::Values(rows) => all(rows.iter_mut().flatten().filter_map(expression), visitor),
                InsertSource::Query(query) => query.visit(visitor),
            },
            Statement::Delete(delete) => all(delete.selection.iter_mut(), visitor),
            Statement::Update(update) => {
                all(update.assignments.iter_mut().map(|(_, value)| value), visitor)?;
                all(update.selection.iter_mut(), visitor)
            }
            Statement::CreateTable(create) => match &mut create.query {
                Some(query) => query.visit(visitor),
                None => ControlFlow::Continue(()),
            },
            Statement::Set(assignments) => all(assignments.iter_mut().filter_map(value), visitor),
            Statement::Kill { id, .. } => id.visit(visitor),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn expression(value: &mut InsertValue) -> Option<&mut Expr> {
    match value {
        InsertValue::Expr(expr) => Some(expr.as_mut()),
        InsertValue::Default | InsertValue::Literal(_) => None,
    }
}

fn value(assignment: &mut Assignment) -> Option<&mut Expr> {
    match assignment {
        Assignment::User { value, .. } | Assignment::System { value: SetValue::Expr(value), .. } => Some(value),
        _ => None,
    }
}

fn all<'e, V: VisitorMut>(exprs: impl Iterator<Item = &'e mut Expr>, visitor: &mut V) -> ControlFlow<V::Break> {
    for expr in exprs {
        expr.visit(visitor)?;
    }
    ControlFlow::Continue(())
}
