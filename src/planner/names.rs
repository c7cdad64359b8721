//! What the names of one statement mean: its tables and file readers are opened before planning, so that DataFusion's
//! planner, which cannot wait, finds them ready.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, TableReference, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};

use crate::error::Error;

/// The opened tables of one statement, and the functions of its session.
pub(super) struct Names<'a> {
    state: &'a SessionState,
    tables: HashMap<TableReference, Arc<dyn TableSource>>,
}

impl<'a> Names<'a> {
    pub(super) fn new(state: &'a SessionState) -> Self {
        Names { state, tables: HashMap::new() }
    }

    /// `name`, exactly as the statement writes it, means `provider`.
    pub(super) fn add(&mut self, name: TableReference, provider: Arc<dyn TableProvider>) {
        self.tables.insert(name, provider_as_source(provider));
    }

    pub(super) fn contains(&self, name: &TableReference) -> bool {
        self.tables.contains_key(name)
    }

    /// Every column of every table: lower-case name to the spellings in which tables declare it.
    pub(super) fn columns(&self) -> HashMap<String, Vec<String>> {
        let mut columns: HashMap<String, Vec<String>> = HashMap::new();
        for table in self.tables.values() {
            for field in table.schema().fields() {
                let spellings = columns.entry(field.name().to_lowercase()).or_default();
                if !spellings.contains(field.name()) {
                    spellings.push(field.name().clone());
                }
            }
        }
        columns
    }
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>, DataFusionError> {
        match self.tables.get(&name) {
            Some(table) => Ok(table.clone()),
            // Only a CTE's name comes here: every other name was opened or refused before.
            None => plan_err!("table '{name}' not found"),
        }
    }

    fn get_table_function_source(
        &self,
        name: &str,
        _arguments: Vec<datafusion::logical_expr::Expr>,
    ) -> Result<Arc<dyn TableSource>, DataFusionError> {
        Err(Error::unsupported(format!("table function {name}")).into())
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>, DataFusionError> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.state.relation_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None // the dialect has replaced variables by their values
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
