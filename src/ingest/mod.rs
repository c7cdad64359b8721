//! The one door for writes: rows from a statement are put in the table's column order, checked value by value, sorted,
//! written as data files, and committed at once. Nothing of a statement lands unless all of it does.

pub mod generate; // demo events
pub mod validate; // MySQL's strict mode, column by column

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chrono_tz::Tz;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::storage::delta::{DataFile, Operation, Snapshot, Table};
use crate::storage::types::TableSchema;
use crate::storage::write::{self, WriteLimits};

/// Where the values of one target column come from.
#[derive(Debug, Clone)]
pub enum ColumnSource {
    /// The input's column at this index.
    Input(usize),
    /// A default, or NULL for a column the statement leaves out.
    Constant(ScalarValue),
}

/// One statement's write: the table, the version it read, and the means.
pub struct Write<'a> {
    pub table: &'a Arc<Table>,
    pub snapshot: &'a Snapshot,
    pub state: &'a SessionState,
    pub limits: WriteLimits,
    /// Where sorting and encoding are done.
    pub runtime: &'a Handle,
    /// KILL: ends the writing of files, never a commit that is under way.
    pub cancel: &'a CancellationToken,
    /// Called with the rows written so far.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Write<'_> {
    /// Writes `rows`, and commits them in place of `removes` (none for an INSERT) as one version. `sources` has one
    /// entry per column of the table. Gives the number of rows written.
    ///
    /// # Errors
    /// MySQL's strict-mode errors with column and row; then the table is as before.
    pub async fn commit(
        &self,
        rows: SendableRecordBatchStream,
        sources: Vec<ColumnSource>,
        operation: Operation,
        removes: &[DataFile],
    ) -> Result<u64> {
        let schema = self.snapshot.schema();
        let count = Arc::new(AtomicU64::new(0));
        let valid = strict(rows, sources, schema.clone(), count.clone(), self.time_zone());
        let context = self.state.task_ctx();
        let writing = write::write_rows(self.table, schema, once(valid)?, context, &self.limits, self.progress);
        let writing = TokioContext::new(writing, self.runtime.clone());
        let adds = tokio::select! {
            adds = writing => adds?,
            () = self.cancel.cancelled() => {
                return Err(Error::new(Kind::Interrupted, "Query execution was interrupted"));
            }
        };
        if !adds.is_empty() || !removes.is_empty() {
            self.table.commit(self.snapshot, operation, adds, removes).await?;
        }
        Ok(count.load(Ordering::Relaxed))
    }

    /// The zone in which text becomes TIMESTAMP.
    fn time_zone(&self) -> Tz {
        let name = self.state.config_options().execution.time_zone.as_deref();
        name.and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
    }
}

/// The rows in the table's column order and types, every value checked.
fn strict(
    rows: SendableRecordBatchStream,
    sources: Vec<ColumnSource>,
    schema: Arc<TableSchema>,
    count: Arc<AtomicU64>,
    zone: Tz,
) -> SendableRecordBatchStream {
    let target = schema.arrow();
    let names = target.clone();
    let valid = rows.map(move |batch| {
        let batch = arrange(&batch?, &sources, &schema)?;
        let first_row = 1 + count.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        Ok(validate::strict_batch(&batch, &schema.columns, first_row, zone)?.with_schema(names.clone())?)
    });
    Box::pin(RecordBatchStreamAdapter::new(target, valid))
}

/// Picks and fills columns; values keep the types the statement gave them.
fn arrange(batch: &RecordBatch, sources: &[ColumnSource], schema: &TableSchema) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let mut fields = Vec::with_capacity(sources.len());
    let mut arrays = Vec::with_capacity(sources.len());
    for (source, column) in sources.iter().zip(&schema.columns) {
        let (field, array) = match source {
            // The field says how many digits of a time the source has.
            ColumnSource::Input(index) => (batch.schema().field(*index).clone(), batch.column(*index).clone()),
            ColumnSource::Constant(value) => {
                let array = value.to_array_of_size(rows)?;
                (Field::new(&column.name, array.data_type().clone(), true), array)
            }
        };
        fields.push(field.with_name(&column.name));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::new(Schema::new(fields));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(Error::from)
}

/// A plan node over a stream that can be read once.
fn once(rows: SendableRecordBatchStream) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = rows.schema();
    let partition = Arc::new(Once { schema: schema.clone(), rows: Mutex::new(Some(rows)) });
    Ok(Arc::new(StreamingTableExec::try_new(schema, vec![partition], None, [], false, None)?))
}

struct Once {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rows of one statement")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        rows.unwrap_or_else(|| {
            let error = Error::internal("the rows of a statement were asked for twice");
            let failed = futures::stream::once(async move { Err(error.into()) });
            Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), failed))
        })
    }
}
