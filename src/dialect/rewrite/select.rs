//! The clauses of SELECT: what MySQL allows there and DataFusion does not, or resolves otherwise.

use std::collections::HashMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, GroupByWithModifier, JoinConstraint, JoinOperator, OrderByKind, Query, Select,
    SelectItem, SetExpr, TableFactor, VisitMut, VisitorMut,
};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;

use super::{build, shape, truth};
use crate::error::{Error, Kind, Result};

/// Functions that aggregate, after [`super::functions`] has renamed them.
const AGGREGATES: &[&str] = &[
    "any_value",
    "approx_distinct",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "count",
    "first_value",
    "json_arrayagg",
    "json_objectagg",
    "max",
    "min",
    "retention",
    "retention_bitmap",
    "std",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "sum_array",
    "var_pop",
    "var_samp",
    "variance",
    "window_funnel",
];

/// What must be gone before the query's parts are visited.
pub(super) fn before_query(query: &mut Query) -> Result<()> {
    shape::balance_unions(&mut query.body)?;
    match query.body.as_mut() {
        // TABLE t is SELECT * FROM t.
        SetExpr::Table(table) => {
            let parts = table.schema_name.iter().chain(&table.table_name);
            let name = parts.map(|part| format!("`{}`", part.replace('`', "``"))).collect::<Vec<_>>().join(".");
            *query.body = *parsed(&format!("SELECT * FROM {name}"))?.body;
            Ok(())
        }
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Err(Error::unsupported("WITH … before INSERT, UPDATE or DELETE"))
        }
        _ => Ok(()),
    }
}

fn parsed(text: &str) -> Result<Query> {
    let query = Parser::new(&MySqlDialect {}).try_with_sql(text).and_then(|mut parser| parser.parse_query());
    query.map(|query| *query).map_err(|error| Error::new(Kind::Syntax, error.to_string()))
}

/// After the parts of the query have been visited.
pub(super) fn query(query: &mut Query) -> Result<()> {
    if query.fetch.is_some() || query.for_clause.is_some() {
        return Err(Error::unsupported("FETCH"));
    }
    query.locks.clear(); // FOR UPDATE: a statement reads one version of each table, there is nothing to lock
    order_by_aliases(query);
    Ok(())
}

/// SELECT DISTINCT f(x) … ORDER BY f(x): DataFusion looks for the expression in the select list and finds its alias
/// there.
fn order_by_aliases(query: &mut Query) {
    let (SetExpr::Select(select), Some(order_by)) = (query.body.as_ref(), &mut query.order_by) else { return };
    let OrderByKind::Expressions(orders) = &mut order_by.kind else { return };
    if select.distinct.is_none() {
        return;
    }
    for order in orders {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { expr, alias } = item
                && *expr == order.expr
            {
                order.expr = Expr::Identifier(alias.clone());
            }
        }
    }
}

/// After the parts of the SELECT have been visited.
pub(super) fn select(select: &mut Select) -> Result<()> {
    if let Some(modifiers) = select.select_modifiers.take()
        && modifiers.sql_calc_found_rows
    {
        return Err(Error::unsupported("SQL_CALC_FOUND_ROWS; use a second query with COUNT(*)"));
    }
    if let Some(into) = &select.into {
        return Err(Error::unsupported(format!("SELECT … {into}")));
    }
    from(select)?;
    group_by(&mut select.group_by, &select.projection)?;
    select.selection.iter_mut().for_each(truth::as_truth);
    having(select);
    select.qualify.iter_mut().for_each(truth::as_truth);
    Ok(())
}

/// FROM DUAL is no table; index hints say nothing here; joins take their plain form.
fn from(select: &mut Select) -> Result<()> {
    if let [only] = select.from.as_slice()
        && only.joins.is_empty()
        && is_dual(&only.relation)
    {
        select.from.clear();
    }
    for table in &mut select.from {
        relation(&mut table.relation)?;
        for join in &mut table.joins {
            relation(&mut join.relation)?;
            let operator = std::mem::replace(&mut join.join_operator, JoinOperator::CrossJoin(JoinConstraint::None));
            join.join_operator = plain_join(operator);
        }
    }
    Ok(())
}

fn is_dual(relation: &TableFactor) -> bool {
    match relation {
        TableFactor::Table { name, alias: None, args: None, .. } => match name.0.as_slice() {
            [part] => part
                .as_ident()
                .is_some_and(|ident| ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("dual")),
            _ => false,
        },
        _ => false,
    }
}

fn relation(relation: &mut TableFactor) -> Result<()> {
    match relation {
        TableFactor::Table { partitions, .. } if !partitions.is_empty() => {
            Err(Error::unsupported("SELECT … PARTITION (…)"))
        }
        TableFactor::Table { index_hints, .. } => {
            index_hints.clear();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// MySQL allows CROSS JOIN with ON, STRAIGHT_JOIN, and conditions that are numbers.
fn plain_join(operator: JoinOperator) -> JoinOperator {
    let mut operator = match operator {
        JoinOperator::CrossJoin(JoinConstraint::None) => return JoinOperator::CrossJoin(JoinConstraint::None),
        JoinOperator::CrossJoin(constraint) | JoinOperator::StraightJoin(constraint) => JoinOperator::Inner(constraint),
        other => other,
    };
    let constraint = match &mut operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint) => constraint,
        _ => return operator,
    };
    if let JoinConstraint::On(condition) = constraint {
        truth::as_truth(condition);
    }
    operator
}

/// GROUP BY a, 2 WITH ROLLUP is GROUP BY ROLLUP (a, b), where DataFusion takes no positions.
fn group_by(group_by: &mut GroupByExpr, projection: &[SelectItem]) -> Result<()> {
    let GroupByExpr::Expressions(exprs, modifiers) = group_by else { return Ok(()) };
    let positioned = |expr: Expr| {
        let position = build::literal_number(&expr).and_then(|digits| digits.parse::<usize>().ok());
        match position.and_then(|position| projection.get(position.checked_sub(1)?)) {
            Some(SelectItem::UnnamedExpr(meant) | SelectItem::ExprWithAlias { expr: meant, .. }) => meant.clone(),
            _ => expr,
        }
    };
    match modifiers.as_slice() {
        [] => Ok(()),
        [GroupByWithModifier::Rollup] => {
            modifiers.clear();
            let sets = std::mem::take(exprs).into_iter().map(|expr| vec![positioned(expr)]).collect();
            exprs.push(Expr::Rollup(sets));
            Ok(())
        }
        [other, ..] => Err(Error::unsupported(format!("GROUP BY … {other}"))),
    }
}

/// In HAVING an alias of the select list wins over a column, and HAVING without groups filters rows: Connector/J lists
/// tables with `CASE … END AS TABLE_TYPE … HAVING TABLE_TYPE IN (…)`. DataFusion prefers the column and wants groups.
fn having(select: &mut Select) {
    let Some(mut having) = select.having.take() else { return };
    substitute_aliases(&mut having, &select.projection);
    let is_grouped = match &select.group_by {
        GroupByExpr::Expressions(exprs, _) => !exprs.is_empty(),
        GroupByExpr::All(_) => true,
    };
    if is_grouped || uses_rows_together(&mut select.projection) || uses_rows_together(&mut having) {
        select.having = Some(having);
        return;
    }
    add_selection(select, having);
}

/// Keeps the rows of a query for which a condition on its result columns holds: SHOW … WHERE.
pub(in crate::dialect) fn filter_by_aliases(query: &mut Query, mut condition: Expr) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    substitute_aliases(&mut condition, &select.projection);
    add_selection(select, condition);
}

fn substitute_aliases(condition: &mut Expr, projection: &[SelectItem]) {
    let aliases = projection.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } => Some((alias.value.to_lowercase(), expr)),
        _ => None,
    });
    let mut substitution = AliasSubstitution { aliases: aliases.collect(), aggregates: 0, queries: 0 };
    let _: ControlFlow<()> = condition.visit(&mut substitution);
    truth::as_truth(condition);
}

fn add_selection(select: &mut Select, condition: Expr) {
    select.selection = Some(match select.selection.take() {
        Some(selection) => build::binary(build::nested(selection), BinaryOperator::And, build::nested(condition)),
        None => condition,
    });
}

struct AliasSubstitution<'s> {
    aliases: HashMap<String, &'s Expr>,
    /// Aggregates and subqueries around the node: inside them a name is a column.
    aggregates: usize,
    queries: usize,
}

impl VisitorMut for AliasSubstitution<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.aggregates += usize::from(is_aggregate(expr));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.aggregates -= usize::from(is_aggregate(expr));
        if self.aggregates == 0
            && self.queries == 0
            && let Expr::Identifier(ident) = expr
            && let Some(meant) = self.aliases.get(&ident.value.to_lowercase())
        {
            *expr = build::nested((*meant).clone());
        }
        ControlFlow::Continue(())
    }
}

fn is_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => {
            build::function_name(function).is_some_and(|name| AGGREGATES.contains(&name.as_str()))
        }
        _ => false,
    }
}

/// Whether an aggregate or window function occurs outside of subqueries.
fn uses_rows_together<N: VisitMut>(node: &mut N) -> bool {
    struct Finder {
        queries: usize,
    }
    impl VisitorMut for Finder {
        type Break = ();

        fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
            self.queries += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
            self.queries -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            let is_window = matches!(expr, Expr::Function(function) if function.over.is_some());
            if self.queries == 0 && (is_window || is_aggregate(expr)) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    node.visit(&mut Finder { queries: 0 }).is_break()
}
