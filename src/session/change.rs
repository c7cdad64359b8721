//! Statements that change rows that are there: DELETE, UPDATE, TRUNCATE, OPTIMIZE. Each is one commit of one table, or
//! nothing.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan};
use datafusion::physical_plan::EmptyRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{
    CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    SelectItem, VisitMut, VisitorMut, visit_relations,
};
use tokio::task::JoinSet;

use super::{Answer, Rows, Running, Session, affected};
use crate::catalog::OpenTable;
use crate::catalog::information_schema::SessionView;
use crate::config::COMMIT_TRIES_MAX;
use crate::dialect;
use crate::dialect::rewrite;
use crate::dialect::statement::{Delete, TableName, Update, is_default};
use crate::error::{Error, Kind, Result};
use crate::executor;
use crate::ingest::{ColumnSource, Write};
use crate::planner::select;
use crate::storage::compact;
use crate::storage::delta::{DataFile, Operation, Snapshot};
use crate::storage::scan::TableScan;
use crate::storage::types::TableSchema;
use crate::storage::write::WriteLimits;

impl Session {
    /// DELETE: files that hold a matching row are written again without it; files that hold nothing else are dropped.
    pub(super) async fn delete(&mut self, delete: Delete, running: &Running) -> Result<Answer> {
        let Some(mut selection) = delete.selection else { return self.truncate(&delete.table).await };
        rewrite::substitute_variables(&mut selection, &mut |variable| self.variable(variable))?;
        refuse_own_table(&selection, &delete.table)?;
        let change = Change { table: delete.table, alias: delete.alias, selection };
        let mut tries = 0;
        loop {
            match self.try_delete(&change, running).await {
                Err(error) if error.kind() == Kind::Conflict && tries < COMMIT_TRIES_MAX => tries += 1,
                Err(error) => return Err(error),
                Ok(count) => return Ok(affected(count, String::new())),
            }
        }
    }

    async fn try_delete(&mut self, change: &Change, running: &Running) -> Result<u64> {
        let (state, view) = (self.state()?, self.view());
        let open = self.planner(&state, &view).table(&change.table).await?;
        writable(&open)?;
        let snapshot = open.storage.snapshot().await?;
        let touched = self.touched(change, &open, &snapshot, &state, &view, running).await?;
        let matching: u64 = touched.iter().map(|(_, rows)| rows).sum();
        let rewritten: Vec<DataFile> =
            touched.iter().filter(|(file, rows)| file.rows != Some(*rows)).map(|(file, _)| file.clone()).collect();
        let keep = select::rows(
            &change.table,
            change.alias.as_deref(),
            Vec::new(),
            Some(Expr::IsNotTrue(Box::new(Expr::Nested(Box::new(change.selection.clone()))))),
        )?;
        let rows: SendableRecordBatchStream = match rewritten.is_empty() {
            true => Box::pin(EmptyRecordBatchStream::new(snapshot.schema().arrow())),
            false => {
                let files = self.over_files(&change.table, &open, &snapshot, rewritten)?;
                let plan = self.planner(&state, &view).query_with(keep, Some((&change.table, files))).await?;
                executor::execute(&plan, &state, &running.control).await?
            }
        };
        let operation = Operation::Delete { predicate: change.selection.to_string() };
        self.replace(rows, touched, operation, &open, &snapshot, &state, running).await?;
        Ok(matching)
    }

    /// UPDATE of a plain table.
    pub(super) async fn update(&mut self, update: Update, running: &Running) -> Result<Answer> {
        let mut selection =
            update.selection.unwrap_or_else(|| Expr::Value(sqlparser::ast::Value::Boolean(true).into()));
        rewrite::substitute_variables(&mut selection, &mut |variable| self.variable(variable))?;
        refuse_own_table(&selection, &update.table)?;
        let mut assignments = update.assignments;
        for (_, value) in &mut assignments {
            rewrite::substitute_variables(value, &mut |variable| self.variable(variable))?;
            refuse_own_table(value, &update.table)?;
        }
        let change = Change { table: update.table, alias: update.alias, selection };
        let mut tries = 0;
        loop {
            match self.try_update(&change, &assignments, running).await {
                Err(error) if error.kind() == Kind::Conflict && tries < COMMIT_TRIES_MAX => tries += 1,
                Err(error) => return Err(error),
                Ok(count) => {
                    return Ok(affected(count, format!("Rows matched: {count}  Changed: {count}  Warnings: 0")));
                }
            }
        }
    }

    async fn try_update(&mut self, change: &Change, assignments: &[(String, Expr)], running: &Running) -> Result<u64> {
        let (state, view) = (self.state()?, self.view());
        let open = self.planner(&state, &view).table(&change.table).await?;
        writable(&open)?;
        if open.object.event.is_some() {
            return Err(Error::unsupported("UPDATE of an event table"));
        }
        let snapshot = open.storage.snapshot().await?;
        let items = updated_columns(snapshot.schema(), assignments, &change.selection)?;
        let touched = self.touched(change, &open, &snapshot, &state, &view, running).await?;
        let matching: u64 = touched.iter().map(|(_, rows)| rows).sum();
        if touched.is_empty() {
            return Ok(0);
        }
        let query = select::rows(&change.table, change.alias.as_deref(), items, None)?;
        let files = touched.iter().map(|(file, _)| file.clone()).collect();
        let files = self.over_files(&change.table, &open, &snapshot, files)?;
        let plan = self.planner(&state, &view).query_with(query, Some((&change.table, files))).await?;
        let rows = executor::execute(&plan, &state, &running.control).await?;
        let operation = Operation::Update { predicate: change.selection.to_string() };
        self.replace(rows, touched, operation, &open, &snapshot, &state, running).await?;
        Ok(matching)
    }

    /// TRUNCATE, and DELETE without WHERE.
    pub(super) async fn truncate(&mut self, table: &TableName) -> Result<Answer> {
        let (state, view) = (self.state()?, self.view());
        let open = self.planner(&state, &view).table(table).await?;
        writable(&open)?;
        let rows = open.storage.truncate().await?;
        self.note_write();
        Ok(affected(rows, String::new()))
    }

    /// OPTIMIZE TABLE: answers MySQL's four columns, one row a table.
    pub(super) async fn optimize(&mut self, tables: &[TableName], running: &Running) -> Result<Answer> {
        let (state, view) = (self.state()?, self.view());
        let mut lines = Vec::with_capacity(tables.len());
        for table in tables {
            let planner = self.planner(&state, &view);
            let (database, _) = planner.qualify(table)?;
            let name = format!("{database}.{}", table.name);
            let open = planner.table(table).await?;
            writable(&open)?;
            let (storage, state, limits, progress) =
                (open.storage.clone(), state.clone(), self.limits(), self.progress.clone());
            let optimized = async move {
                let mut tries = 0;
                loop {
                    match compact::optimize(&storage, &state, &limits, progress.as_ref()).await {
                        Err(error) if error.kind() == Kind::Conflict && tries < COMMIT_TRIES_MAX => tries += 1,
                        result => break result,
                    }
                }
            };
            let report = computed(running, optimized).await?;
            let retention = Duration::from_secs(self.engine.settings().vacuum_retention_hours * 3600);
            let deleted = compact::vacuum(&open.storage, retention).await?;
            let files =
                format!("{} files became {}; {deleted} old files deleted", report.files_before, report.files_after);
            lines.push([name.clone(), "optimize".into(), "note".into(), files]);
            lines.push([name, "optimize".into(), "status".into(), "OK".into()]);
        }
        let columns = ["Table", "Op", "Msg_type", "Msg_text"];
        let schema = Arc::new(Schema::new(
            columns.map(|name| Field::new(name, DataType::Utf8, false)).into_iter().collect::<Vec<_>>(),
        ));
        let arrays = (0..columns.len())
            .map(|at| Arc::new(StringArray::from_iter_values(lines.iter().map(|line| &line[at]))) as ArrayRef);
        let batch = RecordBatch::try_new(schema.clone(), arrays.collect())?;
        let stream = futures::stream::once(async move { Ok(batch) });
        Ok(Answer::Rows(Rows {
            schema: schema.clone(),
            stream: Box::pin(RecordBatchStreamAdapter::new(schema, stream)),
        }))
    }

    /// The size of files and row groups this server writes.
    pub(super) fn limits(&self) -> WriteLimits {
        let settings = self.engine.settings();
        WriteLimits { row_group_rows: settings.row_group_rows, target_file_bytes: settings.target_file_bytes }
    }

    /// Files with rows that the selection matches, and how many. The scan's pruning leaves few to count.
    async fn touched(
        &self,
        change: &Change,
        open: &OpenTable,
        snapshot: &Arc<Snapshot>,
        state: &SessionState,
        view: &SessionView,
        running: &Running,
    ) -> Result<Vec<(DataFile, u64)>> {
        let planner = self.planner(state, view);
        let alias = change.alias.as_deref();
        let whole = select::rows(&change.table, alias, Vec::new(), Some(change.selection.clone()))?;
        let filters = pushed_filters(&state.optimize(&planner.query(whole).await?)?, &change.table)?;
        let scan = self.scan_of(&change.table, open, snapshot, snapshot.files().to_vec())?;
        let count = select::rows(&change.table, alias, vec![count_all()], Some(change.selection.clone()))?;
        let mut touched = Vec::new();
        for file in scan.candidate_files(state, &filters).await? {
            let one = self.over_files(&change.table, open, snapshot, vec![file.clone()])?;
            let plan = planner.query_with(count.clone(), Some((&change.table, one))).await?;
            let batches = executor::collect(&plan, state, &running.control).await?;
            let Some(batch) = batches.first() else { return Err(Error::internal("a count has no row")) };
            if let ScalarValue::Int64(Some(rows @ 1..)) = ScalarValue::try_from_array(batch.column(0), 0)? {
                touched.push((file, rows as u64));
            }
        }
        Ok(touched)
    }

    fn scan_of(
        &self,
        table: &TableName,
        open: &OpenTable,
        snapshot: &Arc<Snapshot>,
        files: Vec<DataFile>,
    ) -> Result<TableScan> {
        let database = table.database.as_deref().or(self.database.as_deref()).unwrap_or_default();
        Ok(TableScan::of_files(open.storage.clone(), snapshot.clone(), database, &open.object.name, files))
    }

    fn over_files(
        &self,
        table: &TableName,
        open: &OpenTable,
        snapshot: &Arc<Snapshot>,
        files: Vec<DataFile>,
    ) -> Result<Arc<TableScan>> {
        self.scan_of(table, open, snapshot, files).map(Arc::new)
    }

    /// Commits `rows` in place of the touched files.
    #[expect(clippy::too_many_arguments, reason = "the parts of one commit, used by DELETE and UPDATE only")]
    async fn replace(
        &mut self,
        rows: SendableRecordBatchStream,
        touched: Vec<(DataFile, u64)>,
        operation: Operation,
        open: &OpenTable,
        snapshot: &Arc<Snapshot>,
        state: &SessionState,
        running: &Running,
    ) -> Result<()> {
        let sources = (0..snapshot.schema().columns.len()).map(ColumnSource::Input).collect();
        let removes: Vec<DataFile> = touched.into_iter().map(|(file, _)| file).collect();
        let write = Write {
            table: &open.storage,
            snapshot,
            state,
            limits: self.limits(),
            runtime: &running.control.runtime,
            cancel: &running.control.cancel,
            progress: self.progress.as_ref(),
        };
        write.commit(rows, sources, operation, &removes).await?;
        self.note_write();
        Ok(())
    }
}

/// Which rows a DELETE or UPDATE is about.
struct Change {
    table: TableName,
    alias: Option<String>,
    selection: Expr,
}

/// Runs a rewrite on the queries' runtime until it ends or the statement is killed.
async fn computed<T: Send + 'static>(
    running: &Running,
    rewrite: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    // Aborted when dropped, as this statement is when its client leaves.
    let mut task = JoinSet::new();
    task.spawn_on(rewrite, &running.control.runtime);
    tokio::select! {
        ended = task.join_next() => match ended {
            Some(Ok(result)) => result,
            Some(Err(error)) => Err(Error::internal("a rewrite ended early").with_source(error)),
            None => Err(Error::internal("a rewrite was not started")),
        },
        () = running.control.cancel.cancelled() => {
            Err(Error::new(Kind::Interrupted, "Query execution was interrupted"))
        }
    }
}

pub(super) fn writable(open: &OpenTable) -> Result<()> {
    match open.object.external {
        true => {
            let message =
                format!("Table '{}' is read only: it is another program's table (LOCATION)", open.object.name);
            Err(Error::new(Kind::ReadOnlyTable, message))
        }
        false => Ok(()),
    }
}

pub(super) fn unknown_column(name: &str) -> Error {
    Error::new(Kind::UnknownColumn, format!("Unknown column '{name}' in 'field list'"))
}

/// MySQL refuses to read the changed table in a subquery (1093); so do we, since files are looked at one by one.
fn refuse_own_table(expr: &Expr, table: &TableName) -> Result<()> {
    let found = visit_relations(expr, |relation| {
        let name = relation.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.as_str());
        match name.is_some_and(|name| name.eq_ignore_ascii_case(&table.name)) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    match found {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::new(
            Kind::TargetTableInFrom,
            format!("You can't specify target table '{}' for update in FROM clause", table.name),
        )),
    }
}

/// The filters the optimizer pushed into the scan of the changed table (1093 keeps it out of subqueries).
fn pushed_filters(plan: &LogicalPlan, table: &TableName) -> Result<Vec<PlanExpr>> {
    let mut filters = Vec::new();
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan.table_name.table().eq_ignore_ascii_case(&table.name)
        {
            filters.extend(scan.filters.iter().cloned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(filters)
}

fn count_all() -> SelectItem {
    let arguments = FunctionArgumentList {
        duplicate_treatment: None,
        args: vec![FunctionArg::Unnamed(FunctionArgExpr::Wildcard)],
        clauses: Vec::new(),
    };
    SelectItem::UnnamedExpr(Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("count")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(arguments),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }))
}

/// Every column of the table after the UPDATE. As in MySQL, an assignment sees the values of those before it.
fn updated_columns(schema: &TableSchema, assignments: &[(String, Expr)], selection: &Expr) -> Result<Vec<SelectItem>> {
    let mut values: Vec<Expr> =
        schema.columns.iter().map(|column| Expr::Identifier(Ident::with_quote('`', &column.name))).collect();
    for (name, value) in assignments {
        let Some((index, column)) = schema.column(name) else { return Err(unknown_column(name)) };
        let value = match (is_default(value), &column.default) {
            (true, Some(text)) => dialect::parse_expression(text, &dialect::ParseContext::default())?,
            (true, None) => Expr::Value(sqlparser::ast::Value::Null.into()),
            (false, _) => with_earlier(value.clone(), schema, &values),
        };
        values[index] = Expr::Case {
            case_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
            end_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
            operand: None,
            conditions: vec![CaseWhen {
                condition: Expr::IsTrue(Box::new(Expr::Nested(Box::new(selection.clone())))),
                result: value,
            }],
            else_result: Some(Box::new(values[index].clone())),
        };
    }
    let named = values.into_iter().zip(&schema.columns);
    Ok(named
        .map(|(expr, column)| SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('`', &column.name) })
        .collect())
}

/// The expression with columns that were assigned before replaced by their new values.
fn with_earlier(mut expr: Expr, schema: &TableSchema, values: &[Expr]) -> Expr {
    struct Earlier<'a>(&'a TableSchema, &'a [Expr]);
    impl VisitorMut for Earlier<'_> {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            let name = match expr {
                Expr::Identifier(ident) => Some(&ident.value),
                Expr::CompoundIdentifier(parts) => parts.last().map(|ident| &ident.value),
                _ => None,
            };
            if let Some((index, _)) = name.and_then(|name| self.0.column(name))
                && matches!(self.1[index], Expr::Case { .. })
            {
                *expr = self.1[index].clone();
            }
            ControlFlow::Continue(())
        }
    }
    let ControlFlow::Continue(()) = expr.visit(&mut Earlier(schema, values)) else {
        return expr; // the visitor never breaks
    };
    expr
}
