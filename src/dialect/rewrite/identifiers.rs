//! Names compare without case in MySQL and exactly in DataFusion: Tableau reads information_schema in lower case,
//! people write `Event_Time`. It can go when DataFusion resolves names without case and keeps their spelling.

use std::collections::HashMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, TableAlias, TableFactor, VisitMut, VisitorMut,
};

/// Gives column names and table qualifiers the spelling they have where they are defined; a column of the outermost
/// select list keeps the name it was asked for by. `columns`: lower-case name → spellings in the tables that the
/// statement reads.
pub fn canonicalise_identifiers<N: VisitMut>(node: &mut N, columns: &HashMap<String, Vec<String>>) {
    let mut spellings = Spellings { columns: columns.clone(), tables: HashMap::new() };
    let _: ControlFlow<()> = node.visit(&mut Collector { spellings: &mut spellings });
    let _: ControlFlow<()> = node.visit(&mut Speller { spellings: &spellings, queries: 0, is_named: false });
}

/// Lower-case name → spellings.
struct Spellings {
    columns: HashMap<String, Vec<String>>,
    tables: HashMap<String, Vec<String>>,
}

fn add(names: &mut HashMap<String, Vec<String>>, name: &str) {
    let spellings = names.entry(name.to_lowercase()).or_default();
    if !spellings.iter().any(|known| known == name) {
        spellings.push(name.to_owned());
    }
}

/// Writes a name as it is defined; returns whether that changed it.
fn spell(names: &HashMap<String, Vec<String>>, ident: &mut Ident) -> bool {
    let Some(spellings) = names.get(&ident.value.to_lowercase()) else { return false };
    match spellings.first() {
        Some(first) if !spellings.contains(&ident.value) => {
            ident.value.clone_from(first);
            true
        }
        _ => false,
    }
}

/// Collects the names that the statement itself defines.
struct Collector<'s> {
    spellings: &'s mut Spellings,
}

impl Collector<'_> {
    fn alias(&mut self, alias: &TableAlias) {
        add(&mut self.spellings.tables, &alias.name.value);
        for column in &alias.columns {
            add(&mut self.spellings.columns, &column.name.value);
        }
    }
}

impl VisitorMut for Collector<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.alias(&cte.alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                add(&mut self.spellings.columns, &alias.value);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, relation: &mut TableFactor) -> ControlFlow<()> {
        match relation {
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. } => self.alias(alias),
            TableFactor::Table { name, .. } => {
                if let Some(ObjectNamePart::Identifier(table)) = name.0.last() {
                    add(&mut self.spellings.tables, &table.value);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

struct Speller<'s> {
    spellings: &'s Spellings,
    queries: usize,
    /// Whether the outermost select list has been seen.
    is_named: bool,
}

impl Speller<'_> {
    /// Respells `[database.][table.]column`; returns whether the column's spelling changed.
    fn column(&self, expr: &mut Expr) -> bool {
        match expr {
            Expr::Identifier(ident) => spell(&self.spellings.columns, ident),
            Expr::CompoundIdentifier(parts) => {
                let Some((column, qualifiers)) = parts.split_last_mut() else { return false };
                if let Some(table) = qualifiers.last_mut() {
                    spell(&self.spellings.tables, table);
                }
                spell(&self.spellings.columns, column)
            }
            _ => false,
        }
    }

    /// The name as written stays the name that is shown.
    fn keep_names(&self, projection: &mut [SelectItem]) {
        for item in projection {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let written = match expr {
                Expr::Identifier(ident) => ident.value.clone(),
                Expr::CompoundIdentifier(parts) => match parts.last() {
                    Some(column) => column.value.clone(),
                    None => continue,
                },
                _ => continue,
            };
            if self.column(expr) {
                let expr = expr.clone();
                *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('`', written) };
            }
        }
    }
}

impl VisitorMut for Speller<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if self.queries <= 1 && !self.is_named {
            self.is_named = true;
            self.keep_names(&mut select.projection);
        }
        for item in &mut select.projection {
            if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item
                && let Some(ObjectNamePart::Identifier(table)) = name.0.last_mut()
            {
                spell(&self.spellings.tables, table);
            }
        }
        for join in select.from.iter_mut().flat_map(|table| &mut table.joins) {
            for column in using_columns(&mut join.join_operator) {
                if let Some(ObjectNamePart::Identifier(column)) = column.0.last_mut() {
                    spell(&self.spellings.columns, column);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.column(expr);
        ControlFlow::Continue(())
    }
}

fn using_columns(operator: &mut JoinOperator) -> &mut [ObjectName] {
    match operator {
        JoinOperator::Join(JoinConstraint::Using(columns))
        | JoinOperator::Inner(JoinConstraint::Using(columns))
        | JoinOperator::Left(JoinConstraint::Using(columns))
        | JoinOperator::LeftOuter(JoinConstraint::Using(columns))
        | JoinOperator::Right(JoinConstraint::Using(columns))
        | JoinOperator::RightOuter(JoinConstraint::Using(columns)) => columns,
        _ => &mut [],
    }
}
