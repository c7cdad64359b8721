//! `information_schema`: the catalog, the server and the session as tables, made when they are scanned. SHOW and BI
//! tools read here; there is no other way to metadata. Changes nothing.

mod create_statement; // the text of SHOW CREATE
mod definitions; // what a table here is
mod keys; // rows about keys
mod keywords; // reserved words
mod layout; // every table and its columns
mod rows; // rows → Arrow
mod server; // rows about server and session
mod tables; // rows about databases and tables

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;

use super::Catalog;
use super::manifest::Manifest;
use crate::error::Result;
use definitions::Definition;
use rows::Row;

pub use server::{CHARACTER_SETS, COLLATIONS};
pub use tables::ENGINE;

/// Name of the database these tables are in.
pub const DATABASE: &str = "information_schema";
/// Collation of databases, tables and text columns.
pub const COLLATION: &str = "utf8mb4_bin";

/// What of a session its tables show, as plain data.
#[derive(Debug, Clone, Default)]
pub struct SessionView {
    /// Name and value, in the order SHOW lists them.
    pub session_variables: Vec<(String, String)>,
    pub global_variables: Vec<(String, String)>,
    pub session_status: Vec<(String, String)>,
    pub global_status: Vec<(String, String)>,
    pub warnings: Vec<WarningView>,
    pub processes: Vec<ProcessView>,
}

/// One line of SHOW WARNINGS.
#[derive(Debug, Clone)]
pub struct WarningView {
    /// `Note`, `Warning` or `Error`.
    pub level: &'static str,
    pub code: u16,
    pub message: String,
}

/// One line of SHOW PROCESSLIST.
#[derive(Debug, Clone)]
pub struct ProcessView {
    pub id: u32,
    pub user: String,
    pub host: String,
    pub database: Option<String>,
    /// None between statements.
    pub statement: Option<String>,
    /// Age of the statement, or of the idle time.
    pub seconds: u64,
}

/// The tables people see, in order of their names.
pub fn table_names() -> impl Iterator<Item = &'static str> {
    layout::TABLES.iter().filter(|definition| !definition.hidden).map(|definition| definition.name)
}

/// The table of that name (compared without case), hidden ones included; None when there is none. It shows the catalog
/// as it is now, and the session as `session` says.
///
/// # Errors
/// `Storage` when the catalog cannot be read.
pub async fn provider(
    catalog: &Catalog,
    table_name: &str,
    session: &SessionView,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let Some(definition) = definitions::find(table_name) else { return Ok(None) };
    let rows = session_rows(definition, session);
    let schema = definition.schema()?;
    let manifest = catalog.manifest().await?;
    Ok(Some(Arc::new(InformationTable { definition, schema, catalog: catalog.clone(), manifest, rows })))
}

/// One table, its rows made at each scan.
#[derive(Debug)]
struct InformationTable {
    definition: &'static Definition,
    schema: SchemaRef,
    catalog: Catalog,
    manifest: Arc<Manifest>,
    /// Rows of a table about the session; None for the others.
    rows: Option<Vec<Row>>,
}

#[async_trait]
impl TableProvider for InformationTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        // Names in filters save opening other tables; the filters themselves are applied above.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let wanted = Wanted::of(filters);
        let needs = self.needs(projection);
        let batch = rows::batch(&self.schema, self.rows(&wanted, needs).await?)?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], self.schema.clone(), projection.cloned())?)
    }
}

impl InformationTable {
    async fn rows(&self, wanted: &Wanted, needs: Needs) -> Result<Vec<Row>> {
        if let Some(rows) = &self.rows {
            return Ok(rows.clone());
        }
        let (catalog, manifest) = (&self.catalog, self.manifest.as_ref());
        let found = tables::found(catalog, manifest, wanted, needs);
        Ok(match self.definition.name {
            "SCHEMATA" => tables::schemata(manifest, wanted),
            "TABLES" => tables::tables(manifest, &found.await, wanted),
            "COLUMNS" => tables::columns(manifest, &found.await, wanted)?,
            "FILES" => tables::files(&found.await, wanted)?,
            "create_statements" => tables::create_statements(manifest, &found.await, wanted)?,
            "STATISTICS" => keys::statistics(&found.await),
            "KEY_COLUMN_USAGE" => keys::key_column_usage(&found.await),
            "TABLE_CONSTRAINTS" => keys::table_constraints(&found.await),
            "ENGINES" => server::engines(),
            "CHARACTER_SETS" => server::character_sets(),
            "COLLATIONS" => server::collations(),
            "COLLATION_CHARACTER_SET_APPLICABILITY" => server::applicability(),
            "PLUGINS" => server::plugins(),
            "USER_PRIVILEGES" => server::user_privileges(manifest),
            "KEYWORDS" => server::keywords(),
            // No views, routines, triggers, events, partitions, foreign keys, checks or grants yet: nothing to show.
            _ => Vec::new(),
        })
    }

    /// Whether the columns asked for come from Delta logs, which cost a request each.
    fn needs(&self, projection: Option<&Vec<usize>>) -> Needs {
        let from_storage: &[&str] = match self.definition.name {
            "COLUMNS" | "FILES" | "create_statements" => return Needs::Storage,
            "TABLES" => &["TABLE_ROWS", "AVG_ROW_LENGTH", "DATA_LENGTH", "UPDATE_TIME"],
            "STATISTICS" => &["NULLABLE"],
            _ => return Needs::Names,
        };
        let asked = |index: &usize| from_storage.contains(&self.schema.field(*index).name().as_str());
        if projection.is_none_or(|projection| projection.iter().any(asked)) { Needs::Storage } else { Needs::Names }
    }
}

fn session_rows(definition: &Definition, session: &SessionView) -> Option<Vec<Row>> {
    Some(match definition.name {
        "PROCESSLIST" => server::processes(session),
        "session_variables" => server::variables(&session.session_variables),
        "global_variables" => server::variables(&session.global_variables),
        "session_status" => server::variables(&session.session_status),
        "global_status" => server::variables(&session.global_status),
        "warnings" => server::warnings(session),
        _ => return None,
    })
}

/// What rows are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// The manifest alone.
    Names,
    /// The tables' Delta logs too.
    Storage,
}

/// The databases and tables a query's filters name; None is "all".
#[derive(Debug, Clone, Default)]
struct Wanted {
    databases: Option<Vec<String>>,
    tables: Option<Vec<String>>,
}

impl Wanted {
    /// Reads `TABLE_SCHEMA = 'x'` and `TABLE_NAME IN ('a', 'b')` out of the filters, which all must hold.
    fn of(filters: &[Expr]) -> Wanted {
        let mut wanted = Wanted::default();
        for (column, mut values) in filters.iter().flat_map(split_conjunction).filter_map(named) {
            values.sort();
            values.dedup();
            let list = match column {
                "TABLE_SCHEMA" | "SCHEMA_NAME" | "object_schema" => &mut wanted.databases,
                "TABLE_NAME" | "object_name" => &mut wanted.tables,
                _ => continue,
            };
            *list = Some(match list.take() {
                Some(earlier) => earlier.into_iter().filter(|name| values.contains(name)).collect(),
                None => values,
            });
        }
        wanted
    }

    /// One table is asked for by its full name, so its error is the answer.
    fn is_one_table(&self) -> bool {
        let one = |names: &Option<Vec<String>>| names.as_ref().is_some_and(|names| names.len() == 1);
        one(&self.databases) && one(&self.tables)
    }
}

/// A filter of the form `column = 'text'` or `column IN ('text', …)`: the column and the texts.
fn named(filter: &Expr) -> Option<(&str, Vec<String>)> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (column(left), column(right)) {
            (Some(name), None) => Some((name, vec![text(right)?])),
            (None, Some(name)) => Some((name, vec![text(left)?])),
            _ => None,
        },
        // DataFusion writes a short IN list this way.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let ((name, mut values), (other, more)) = (named(left)?, named(right)?);
            values.extend(more);
            (name == other).then_some((name, values))
        }
        Expr::InList(list) if !list.negated => {
            Some((column(&list.expr)?, list.list.iter().map(text).collect::<Option<Vec<_>>>()?))
        }
        _ => None,
    }
}

fn column(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Column(column) => Some(&column.name),
        Expr::Cast(cast) => column(&cast.expr),
        Expr::Alias(alias) => column(&alias.expr),
        _ => None,
    }
}

fn text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Literal(ScalarValue::Dictionary(_, value), _) => value.try_as_str().flatten().map(str::to_owned),
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        Expr::Alias(alias) => text(&alias.expr),
        _ => None,
    }
}
