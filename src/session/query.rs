//! SELECT, SHOW, EXPLAIN, and the constants of other statements: planned, run, streamed.

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use sqlparser::ast::{Expr, Query, Value};
use std::sync::Arc;

use super::{Answer, Rows, Running, Session, no_columns};
use crate::catalog::information_schema::SessionView;
use crate::dialect::rewrite;
use crate::dialect::statement::{Explain, Requirement, Show, Statement};
use crate::error::{Error, Result};
use crate::executor;
use crate::planner::{Planner, literal, select};

impl Session {
    /// A SELECT of the client: sql_select_limit holds for one without a LIMIT of its own.
    pub(super) async fn select(&mut self, query: Query, running: Running) -> Result<Answer> {
        let most = self.variables.sql_select_limit().filter(|_| query.limit_clause.is_none());
        self.rows(query, most, running).await
    }

    /// A query: variables become constants, then plan, run, stream.
    async fn rows(&mut self, query: Query, rows_max: Option<usize>, running: Running) -> Result<Answer> {
        let (state, view) = (self.state()?, self.view());
        let mut plan = self.plan(query, &state, &view).await?;
        if rows_max.is_some() {
            plan = LogicalPlanBuilder::from(plan).limit(0, rows_max)?.build()?;
        }
        self.stream(plan, &state, running).await
    }

    /// SHOW and DESCRIBE: their object must exist, then they are queries, which name it as the catalog spells it.
    pub(super) async fn show(&mut self, mut show: Show, running: Running) -> Result<Answer> {
        match show.requires.clone() {
            Requirement::Nothing => {}
            Requirement::Database(name) if is_information_schema(&name) => {}
            Requirement::Database(name) => {
                let manifest = self.engine.catalog().manifest().await?;
                show.respell(&manifest.database(&name)?.name, None);
            }
            Requirement::Table(table) => {
                let (state, view) = (self.state()?, self.view());
                let planner = self.planner(&state, &view);
                if !is_information_schema(planner.qualify(&table)?.0) {
                    let open = planner.table(&table).await?;
                    show.respell(&open.database, Some(&open.object.name));
                }
            }
        }
        self.rows(*show.query, None, running).await
    }

    /// EXPLAIN describes the plan; EXPLAIN ANALYZE runs it and says where the time went.
    pub(super) async fn explain(&mut self, explain: Explain, running: Running) -> Result<Answer> {
        if let Some(format) = explain.format.filter(|format| format != "TRADITIONAL" && format != "TREE") {
            return Err(Error::unsupported(format!("EXPLAIN FORMAT={format}")));
        }
        let query = match *explain.statement {
            Statement::Query(query) => query,
            Statement::Show(show) => show.query,
            _ => return Err(Error::unsupported("EXPLAIN of a statement that is not a SELECT")),
        };
        let (state, view) = (self.state()?, self.view());
        let plan = self.plan(*query, &state, &view).await?;
        let plan = self.planner(&state, &view).explain(plan, explain.analyze, explain.verbose)?;
        self.stream(plan, &state, running).await
    }

    /// The values of expressions that name no column, in their order.
    pub(super) async fn constants(&mut self, exprs: Vec<Expr>, running: &Running) -> Result<Vec<ScalarValue>> {
        if let Some(values) = exprs.iter().map(literal::value).collect::<Option<Vec<_>>>() {
            return Ok(values);
        }
        let (state, view) = (self.state()?, self.view());
        let plan = self.plan(select::constants(exprs)?, &state, &view).await?;
        let batches = executor::collect(&plan, &state, &running.control).await?;
        let row = batches.iter().find(|batch| batch.num_rows() > 0);
        let Some(row) = row else { return Err(Error::internal("a constant query has no row")) };
        row.columns().iter().map(|column| Ok(ScalarValue::try_from_array(column, 0)?)).collect()
    }

    /// The result columns of a statement about to be prepared: parameters are planned as NULL.
    pub(super) async fn columns_of(&mut self, mut statement: Statement, parameters: usize) -> Result<SchemaRef> {
        literal::bind(&mut statement, &vec![Expr::Value(Value::Null.into()); parameters])?;
        let query = match statement {
            Statement::Query(query) => query,
            Statement::Show(show) => show.query,
            Statement::Explain(_) => return Ok(Arc::new(explain_columns())),
            _ => return Ok(no_columns()),
        };
        let (state, view) = (self.state()?, self.view());
        let plan = self.plan(*query, &state, &view).await?;
        Ok(shown(plan.schema().as_arrow()))
    }

    /// Plans a query of this session.
    pub(super) async fn plan(&mut self, query: Query, state: &SessionState, view: &SessionView) -> Result<LogicalPlan> {
        self.plan_for(query, state, view, false).await
    }

    /// Plans a query; one `for_insert` has its rows checked against a table's types.
    pub(super) async fn plan_for(
        &mut self,
        mut query: Query,
        state: &SessionState,
        view: &SessionView,
        for_insert: bool,
    ) -> Result<LogicalPlan> {
        rewrite::substitute_variables(&mut query, &mut |variable| self.variable(variable))?;
        Planner { for_insert, ..self.planner(state, view) }.query(query).await
    }

    /// Runs a plan; the rows keep the statement in the process list until they end.
    async fn stream(&mut self, plan: LogicalPlan, state: &SessionState, running: Running) -> Result<Answer> {
        let stream = executor::execute(&plan, state, &running.control).await?;
        let schema = shown(&stream.schema());
        let names = schema.clone();
        let named = stream.map(move |batch| {
            let _listed = &running;
            let batch = batch?;
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            Ok(RecordBatch::try_new_with_options(names.clone(), batch.columns().to_vec(), &options)?)
        });
        Ok(Answer::Rows(Rows {
            schema: schema.clone(),
            stream: Box::pin(RecordBatchStreamAdapter::new(schema, named)),
        }))
    }

    /// A state for one statement: its clock, the session's time zone.
    pub(super) fn state(&self) -> Result<SessionState> {
        let mut state = self.engine.state().clone();
        state.config_mut().options_mut().execution.time_zone = Some(self.variables.time_zone().name().to_owned());
        state.mark_start_execution();
        Ok(state)
    }
}

fn is_information_schema(database: &str) -> bool {
    database.eq_ignore_ascii_case("information_schema")
}

/// Result columns as people see them: duplicate names lose the mark that told them apart.
fn shown(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| match rewrite::shown_name(field.name()) {
        name if name == field.name() => field.clone(),
        name => Arc::new(field.as_ref().clone().with_name(name)),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn explain_columns() -> Schema {
    let text = |name| Field::new(name, arrow::datatypes::DataType::Utf8, false);
    Schema::new(vec![text("plan_type"), text("plan")])
}
