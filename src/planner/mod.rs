//! A statement's syntax tree and the catalog become a logical plan: names are resolved and opened, then DataFusion
//! plans. Parses nothing and runs nothing.

mod file_source; // read_parquet(…), read_csv(…), read_json(…) in FROM
pub mod literal; // constants between SQL text, Arrow values and prepared statements' parameters
mod mysql_types; // arithmetic and comparison where DataFusion's would be wrong
mod names; // the opened tables of one statement
pub mod select; // queries the server itself makes

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::resolve::resolve_table_references;
use sqlparser::ast;

use crate::catalog::information_schema::{self, SessionView};
use crate::catalog::{Catalog, OpenTable};
use crate::dialect::rewrite;
use crate::dialect::statement::TableName;
use crate::error::{Error, Kind, Result};
use crate::storage::object_store::{AllowedPaths, ObjectStores};
use crate::storage::scan::TableScan;
use names::Names;

/// MySQL's name of the only catalog there is.
const CATALOG: &str = "def";
const INFORMATION_SCHEMA: &str = "information_schema";

/// What planning one statement needs.
pub struct Planner<'a> {
    pub catalog: &'a Catalog,
    pub stores: &'a ObjectStores,
    pub allowed: &'a AllowedPaths,
    /// The statement's state: its clock, time zone and functions.
    pub state: &'a SessionState,
    /// The session's database.
    pub database: Option<&'a str>,
    /// What information_schema shows of the session.
    pub session: &'a SessionView,
    /// The query's rows go into a table with types of its own (INSERT … SELECT).
    pub for_insert: bool,
}

impl Planner<'_> {
    /// Plans a query.
    ///
    /// # Errors
    /// MySQL's errors for unknown or ambiguous names, wrong arguments, and what is not supported.
    pub async fn query(&self, query: ast::Query) -> Result<LogicalPlan> {
        self.query_with(query, None).await
    }

    /// Plans a query in which `replaced`'s table means the given provider: DELETE and UPDATE read chosen files only.
    pub async fn query_with(
        &self,
        mut query: ast::Query,
        replaced: Option<(&TableName, Arc<dyn TableProvider>)>,
    ) -> Result<LogicalPlan> {
        let mut names = Names::new(self.state);
        if let Some((table, provider)) = replaced {
            names.add(reference(table), provider);
        }
        file_source::open(&mut query, self, &mut names).await?;
        let statement = ast::Statement::Query(Box::new(query));
        let (relations, _) = resolve_table_references(&wrapped(statement.clone()), false)?;
        for relation in relations {
            if !names.contains(&relation) {
                let provider = self.open(&relation).await?;
                names.add(relation, provider);
            }
        }
        let mut statement = statement;
        rewrite::canonicalise_identifiers(&mut statement, &names.columns());
        rewrite::settle_literals(&mut statement);
        let options = ParserOptions::from(&self.state.config_options().sql_parser);
        let plan = SqlToRel::new_with_options(&names, options).sql_statement_to_plan(statement)?;
        let zone = self.state.config_options().execution.time_zone.as_deref().unwrap_or("UTC");
        mysql_types::settle(plan, zone)
    }

    /// Wraps a plan so that running it describes it (EXPLAIN) or runs it and says where the time went (ANALYZE).
    pub fn explain(&self, plan: LogicalPlan, analyze: bool, verbose: bool) -> Result<LogicalPlan> {
        Ok(LogicalPlanBuilder::from(plan).explain(verbose, analyze)?.build()?)
    }

    /// The database and name a statement means by `table`.
    ///
    /// # Errors
    /// 1046 when neither the name nor the session says which database.
    pub fn qualify<'n>(&'n self, table: &'n TableName) -> Result<(&'n str, &'n str)> {
        match table.database.as_deref().or(self.database) {
            Some(database) => Ok((database, &table.name)),
            None => Err(no_database()),
        }
    }

    /// Opens a table of the catalog.
    ///
    /// # Errors
    /// 1046, 1049, 1146.
    pub async fn table(&self, table: &TableName) -> Result<OpenTable> {
        let (database, name) = self.qualify(table)?;
        self.catalog.table(database, name).await
    }

    async fn open(&self, relation: &TableReference) -> Result<Arc<dyn TableProvider>> {
        if relation.catalog().is_some_and(|catalog| !catalog.is_empty() && catalog != CATALOG) {
            return Err(Error::new(Kind::UnknownDatabase, format!("Unknown database '{relation}'")));
        }
        let database = match relation.schema().filter(|schema| !schema.is_empty()).or(self.database) {
            Some(database) => database,
            None => return Err(no_database()),
        };
        let name = relation.table();
        if database.eq_ignore_ascii_case(INFORMATION_SCHEMA) {
            let provider = information_schema::provider(self.catalog, name, self.session).await?;
            return provider
                .ok_or_else(|| Error::new(Kind::NoSuchTable, format!("Unknown table '{name}' in information_schema")));
        }
        let open = self.catalog.table(database, name).await?;
        let snapshot = open.storage.snapshot().await?;
        Ok(Arc::new(TableScan::new(open.storage, snapshot, database, &open.object.name)))
    }
}

/// The reference a table's name becomes in DataFusion's planner.
fn reference(table: &TableName) -> TableReference {
    match &table.database {
        Some(database) => TableReference::partial(database.as_str(), table.name.as_str()),
        None => TableReference::bare(table.name.as_str()),
    }
}

fn wrapped(statement: ast::Statement) -> DataFusionStatement {
    DataFusionStatement::Statement(Box::new(statement))
}

fn no_database() -> Error {
    Error::new(Kind::NoDatabaseSelected, "No database selected")
}
