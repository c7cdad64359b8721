//! Queries made by the server itself: `SELECT …` with given expressions, over a given table, built from a parsed
//! template so that the syntax tree's many empty clauses are the parser's business.

use sqlparser::ast::{Expr, Ident, ObjectName, Query, SelectItem, SetExpr, Statement, TableAlias, TableFactor};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;

use crate::dialect::statement::TableName;
use crate::error::{Error, Result};

/// `SELECT e1, e2, …`
///
/// # Errors
/// None but a broken invariant.
pub fn constants(exprs: Vec<Expr>) -> Result<Query> {
    build("SELECT 1", exprs.into_iter().map(SelectItem::UnnamedExpr).collect(), None, None)
}

/// `SELECT items FROM table [AS alias] [WHERE selection]`; no items means `*`.
///
/// # Errors
/// None but a broken invariant.
pub fn rows(table: &TableName, alias: Option<&str>, items: Vec<SelectItem>, selection: Option<Expr>) -> Result<Query> {
    build("SELECT * FROM t", items, Some((table, alias)), selection)
}

fn build(
    template: &str,
    items: Vec<SelectItem>,
    from: Option<(&TableName, Option<&str>)>,
    selection: Option<Expr>,
) -> Result<Query> {
    let broken = || Error::internal(format!("the template {template} is not a SELECT"));
    let parsed = Parser::parse_sql(&MySqlDialect {}, template).map_err(|_| broken())?;
    let Some(Statement::Query(mut query)) = parsed.into_iter().next() else { return Err(broken()) };
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(broken()) };
    if !items.is_empty() {
        select.projection = items;
    }
    if let (Some((table, alias)), Some(first)) = (from, select.from.first_mut()) {
        let TableFactor::Table { name, alias: named, .. } = &mut first.relation else { return Err(broken()) };
        let parts = table.database.iter().chain([&table.name]);
        *name = ObjectName::from(parts.map(|part| Ident::with_quote('`', part)).collect::<Vec<_>>());
        *named = alias.map(|alias| TableAlias {
            explicit: true,
            name: Ident::with_quote('`', alias),
            columns: Vec::new(),
            at: None,
        });
    }
    select.selection = selection;
    Ok(*query)
}
