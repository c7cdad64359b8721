//! INSERT … VALUES and INSERT … SELECT: the rows of the statement, and what the other columns get.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::scalar::ScalarValue;

use super::change::{unknown_column, writable};
use super::{Answer, Running, Session, affected};
use sqlparser::ast::{Expr, Value, ValueWithSpan};

use crate::dialect;
use crate::dialect::rewrite;
use crate::dialect::statement::{Insert, InsertSource, InsertValue};
use crate::error::{Error, Kind, Result};
use crate::executor;
use crate::ingest::{ColumnSource, Write};
use crate::planner::literal;
use crate::storage::delta::Operation;
use crate::storage::types::TableSchema;

impl Session {
    /// INSERT … VALUES and INSERT … SELECT.
    pub(super) async fn insert(&mut self, insert: Insert, running: &Running) -> Result<Answer> {
        let (state, view) = (self.state()?, self.view());
        let open = self.planner(&state, &view).table(&insert.table).await?;
        writable(&open)?;
        let snapshot = open.storage.snapshot().await?;
        let schema = snapshot.schema().clone();
        let targets = match &insert.source {
            // INSERT INTO t () VALUES () gives every column its default.
            InsertSource::Values(rows) if insert.columns.is_empty() && rows.len() == 1 && rows[0].is_empty() => {
                Vec::new()
            }
            _ => target_columns(&schema, &insert.columns)?,
        };
        let sources = self.sources(&schema, &targets, running).await?;
        let rows = match insert.source {
            InsertSource::Values(rows) => self.values(rows, &schema, &targets, running).await?,
            InsertSource::Query(query) => {
                let plan = self.plan_for(*query, &state, &view, true).await?;
                if plan.schema().fields().len() != targets.len() {
                    return Err(wrong_count(1));
                }
                executor::execute(&plan, &state, &running.control).await?
            }
        };
        let write = Write {
            table: &open.storage,
            snapshot: &snapshot,
            state: &state,
            limits: self.limits(),
            runtime: &running.control.runtime,
            cancel: &running.control.cancel,
            progress: self.progress.as_ref(),
        };
        let count = write.commit(rows, sources, Operation::Append, &[]).await?;
        self.note_write();
        Ok(affected(count, format!("Records: {count}  Duplicates: 0  Warnings: 0")))
    }

    /// One source per table column: the input for the statement's columns, the default for the others.
    async fn sources(
        &mut self,
        schema: &TableSchema,
        targets: &[usize],
        running: &Running,
    ) -> Result<Vec<ColumnSource>> {
        let mut sources = Vec::with_capacity(schema.columns.len());
        for (index, _) in schema.columns.iter().enumerate() {
            sources.push(match targets.iter().position(|target| *target == index) {
                Some(input) => ColumnSource::Input(input),
                None => ColumnSource::Constant(self.default_of(schema, index, running).await?),
            });
        }
        Ok(sources)
    }

    /// The value a column takes when a statement gives none.
    async fn default_of(&mut self, schema: &TableSchema, index: usize, running: &Running) -> Result<ScalarValue> {
        let column = &schema.columns[index];
        match &column.default {
            Some(text) => {
                let expr = dialect::parse_expression(text, &dialect::ParseContext::default())?;
                let values = self.constants(vec![expr], running).await?;
                Ok(values.into_iter().next().unwrap_or(ScalarValue::Null))
            }
            None if column.nullable => Ok(ScalarValue::Null),
            None => Err(Error::new(Kind::NoDefault, format!("Field '{}' doesn't have a default value", column.name))),
        }
    }

    /// The rows of INSERT … VALUES as one batch, in the order of the statement's columns.
    async fn values(
        &mut self,
        rows: Vec<Vec<InsertValue>>,
        schema: &TableSchema,
        targets: &[usize],
        running: &Running,
    ) -> Result<SendableRecordBatchStream> {
        let mut columns: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(rows.len()); targets.len()];
        let count = rows.len();
        let mut defaults: HashMap<usize, ScalarValue> = HashMap::new();
        for (number, row) in rows.into_iter().enumerate() {
            if row.len() != targets.len() {
                return Err(wrong_count(number + 1));
            }
            for (at, value) in row.into_iter().enumerate() {
                let value = match value {
                    InsertValue::Literal(value) => literal::value_of(&value)?,
                    InsertValue::Default => match defaults.get(&targets[at]) {
                        Some(value) => value.clone(),
                        None => {
                            let value = self.default_of(schema, targets[at], running).await?;
                            defaults.entry(targets[at]).or_insert(value).clone()
                        }
                    },
                    InsertValue::Expr(mut expr) => {
                        rewrite::substitute_variables(expr.as_mut(), &mut |variable| self.variable(variable))?;
                        self.constants(vec![*expr], running).await?.pop().unwrap_or(ScalarValue::Null)
                    }
                };
                columns[at].push(value);
            }
        }
        let arrays = columns.into_iter().map(one_type).collect::<Result<Vec<ArrayRef>>>()?;
        let fields = arrays.iter().map(|array| Field::new("value", array.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?;
        let stream = futures::stream::once(async move { Ok(batch) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

fn wrong_count(row: usize) -> Error {
    Error::new(Kind::ColumnCountMismatch, format!("Column count doesn't match value count at row {row}"))
}

/// The table columns an INSERT names, all of them when it names none.
fn target_columns(schema: &TableSchema, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..schema.columns.len()).collect());
    }
    let mut targets = Vec::with_capacity(names.len());
    for name in names {
        let Some((index, _)) = schema.column(name) else { return Err(unknown_column(name)) };
        if targets.contains(&index) {
            return Err(Error::new(Kind::DuplicateInsertColumn, format!("Column '{name}' specified twice")));
        }
        targets.push(index);
    }
    Ok(targets)
}

/// Values of one column as one array; literals of several types become text, which strict mode reads as any type, or
/// bytes when some are bytes.
fn one_type(values: Vec<ScalarValue>) -> Result<ArrayRef> {
    let mut types = values.iter().filter(|value| !value.is_null()).map(ScalarValue::data_type);
    let first = types.next().unwrap_or(DataType::Utf8);
    let (mut same, mut binary) = (true, first == DataType::Binary);
    for other in types {
        same &= other == first;
        binary |= other == DataType::Binary;
    }
    let values = values.into_iter().map(|value| match (same, binary) {
        (true, _) if value.is_null() => Ok(ScalarValue::try_from(&first)?),
        (true, _) => Ok(value),
        (false, true) if value.is_null() => Ok(ScalarValue::Binary(None)),
        (false, true) if value.data_type() == DataType::Binary => Ok(value),
        (false, true) => Ok(ScalarValue::Binary(Some(text_of(&value)?.into_bytes()))),
        (false, false) if value.is_null() => Ok(ScalarValue::Utf8(None)),
        (false, false) => Ok(ScalarValue::Utf8(Some(text_of(&value)?))),
    });
    Ok(ScalarValue::iter_to_array(values.collect::<Result<Vec<_>>>()?)?)
}

/// The text of a value as a person would have written it in quotes.
fn text_of(value: &ScalarValue) -> Result<String> {
    if let Some(Some(text)) = value.try_as_str() {
        return Ok(text.to_owned());
    }
    Ok(match literal::expression(value)? {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => text,
        number => number.to_string(),
    })
}
