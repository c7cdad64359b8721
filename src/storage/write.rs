//! Rows into Parquet files: the order of rows, which rows share a file, uploading, and the `add` of each file.
//! Encodings are `encoding`'s, visibility is `delta`'s: a file nobody commits does not exist for readers.
//!
//! An event table gets one file a UTC day, sorted by (user, time); a file past the target size ends after the last row
//! of a user, so that files of a day are disjoint in users. Days are hashed over the cores, each sorted (spilling when
//! memory is short), encoded and uploaded on its own, so that no merge and no encoder holds up the others.

use std::sync::Arc;

use ::object_store::buffered::BufWriter;
use ::object_store::path::Path;
use ::object_store::{ObjectStore, ObjectStoreExt};
use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, AsArray, Date32Array, RecordBatch, make_comparator};
use datafusion::arrow::compute::{CastOptions, SortOptions, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::config::ConfigOptions;
use datafusion::common::exec_err;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, ScalarFunctionExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use deltalake_core::kernel::Add;
use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::storage::delta::Table;
use crate::storage::types::{DAY_COLUMN, TableSchema};
use crate::storage::{encoding, log, statistics};

/// Days are hashed into this many parts a core, so that an uneven hash leaves no core idle for long.
const PARTS_PER_CORE: usize = 2;
/// Reports of rows written that may wait for the caller.
const REPORTS_WAITING_MAX: usize = 64;
/// Bytes kept before an upload starts, and the size of its parts; S3 takes no smaller ones than 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Parts of one file on their way at the same time.
const PARTS_IN_FLIGHT_MAX: usize = 4;
const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// Limits of one write.
#[derive(Debug, Clone)]
pub struct WriteLimits {
    pub row_group_rows: usize,
    /// A file that has more bytes ends after the user it is at.
    pub target_file_bytes: u64,
}

/// Sorts the rows of `input` into the table's order (spilling when memory is short) and writes them into new files of
/// the table, several days at a time. `input` has the table's columns in their order. Nothing is visible before the
/// commit; on an error what was written is deleted again. `progress` is told the rows written so far.
///
/// # Errors
/// `ReadOnlyTable` for a table we cannot write, the input's own error, `Storage`, `OutOfMemory`.
pub async fn write_rows(
    table: &Table,
    schema: &TableSchema,
    input: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    limits: &WriteLimits,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Add>> {
    let files = Arc::new(FileLayout::of(table, schema, limits)?);
    if input.schema().fields().len() != schema.columns.len() {
        let (given, expected) = (input.schema().fields().len(), schema.columns.len());
        return Err(Error::internal(format!("{given} columns to write into a table of {expected}")));
    }
    let parts = context.session_config().target_partitions() * PARTS_PER_CORE;
    let plan = files.arrange(input, parts)?;
    let stop = CancellationToken::new();
    // A killed statement drops this function: its parts then stop and delete their files.
    let _stop_when_dropped = stop.clone().drop_guard();
    let (report, mut reports) = mpsc::channel(REPORTS_WAITING_MAX);
    let mut parts = Vec::new();
    for part in 0..plan.output_partitioning().partition_count() {
        let rows = plan.execute(part, Arc::clone(&context))?;
        let part = write_part(Arc::clone(&files), rows, report.clone(), stop.clone());
        let (answer, outcome) = oneshot::channel();
        let files = Arc::clone(&files);
        tokio::spawn(async move {
            if let Err(Ok(unwanted)) = answer.send(part.await) {
                delete(&files.store, &files.root, &unwanted).await;
            }
        });
        parts.push(outcome);
    }
    drop(report);
    let mut written = 0;
    while let Some(rows) = reports.recv().await {
        written += rows;
        progress(written);
    }
    let mut adds = Vec::new();
    let mut failure = None;
    for part in parts {
        match part.await.unwrap_or_else(|error| Err(Error::internal(format!("writing files: {error}")))) {
            Ok(files) => adds.extend(files),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        None => Ok(adds),
        Some(error) => {
            discard(table, &adds).await;
            Err(error)
        }
    }
}

/// Deletes files that `write_rows` made and no commit took.
pub async fn discard(table: &Table, adds: &[Add]) {
    delete(table.store(), table.root(), adds).await;
}

async fn delete(store: &Arc<dyn ObjectStore>, root: &Path, adds: &[Add]) {
    for add in adds {
        let path = log::full_path(root, &add.path);
        if let Err(error) = store.delete(&path).await {
            tracing::warn!(%path, %error, "a file that no commit took is left for vacuum");
        }
    }
}

/// Writes one part to its end. On any failure its files are deleted and the other parts are told to stop.
async fn write_part(
    files: Arc<FileLayout>,
    mut rows: SendableRecordBatchStream,
    report: mpsc::Sender<u64>,
    stop: CancellationToken,
) -> Result<Vec<Add>> {
    let mut writer = PartWriter { files, open: None, finished: Vec::new() };
    let outcome = loop {
        let batch = tokio::select! {
            biased;
            () = stop.cancelled() => {
                // Another part has the error to tell.
                writer.abort().await;
                return Ok(Vec::new());
            }
            batch = rows.next() => batch,
        };
        match batch {
            None => break writer.close().await,
            Some(Err(error)) => break Err(error.into()),
            Some(Ok(batch)) => {
                if let Err(error) = writer.write(&batch).await {
                    break Err(error);
                }
                // The caller may be gone; the next turn of the loop sees that.
                let _ = report.send(batch.num_rows() as u64).await;
            }
        }
    };
    match outcome {
        Ok(()) => Ok(writer.finished),
        Err(error) => {
            stop.cancel();
            writer.abort().await;
            Err(error)
        }
    }
}

/// Everything a part needs to know about the table's files.
#[derive(Debug)]
struct FileLayout {
    store: Arc<dyn ObjectStore>,
    root: Path,
    schema: TableSchema,
    /// The table's fields as the log declares them.
    fields: SchemaRef,
    /// One file a day; batches then have the day as one column more.
    by_day: bool,
    /// Event tables: positions of user and time.
    key: Option<[usize; 2]>,
    order: String,
    limits: WriteLimits,
}

impl FileLayout {
    fn of(table: &Table, schema: &TableSchema, limits: &WriteLimits) -> Result<FileLayout> {
        let snapshot = table.current();
        let definition = snapshot.definition();
        if let Some(column) = definition.partition_columns.first() {
            let message = format!("writing into table '{}', which is partitioned by '{column}'", table.url());
            return Err(Error::unsupported(message));
        }
        if let Some(feature) = &definition.unwritable {
            let message =
                format!("table '{}' cannot be written: Delta feature {feature} is not supported", table.url());
            return Err(Error::new(Kind::ReadOnlyTable, message));
        }
        if schema.columns != definition.schema.columns {
            let message = format!("table '{}' was changed by another statement: run this one again", table.url());
            return Err(Error::new(Kind::Conflict, message));
        }
        let key = schema.event.as_ref().and_then(|event| {
            let position = |name: &str| schema.column(name).map(|(index, _)| index);
            Some([position(&event.user)?, position(&event.time)?])
        });
        let mut limits = limits.clone();
        limits.row_group_rows = limits.row_group_rows.max(1);
        Ok(FileLayout {
            store: Arc::clone(table.store()),
            root: table.root().clone(),
            schema: schema.clone(),
            fields: Arc::clone(&definition.arrow),
            by_day: definition.by_day,
            key,
            order: definition.order().unwrap_or_default(),
            limits,
        })
    }

    /// A plan whose every partition can be written on its own, in the order of the table's files.
    fn arrange(&self, input: Arc<dyn ExecutionPlan>, parts: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(key) = self.key else {
            return Ok(match input.output_partitioning().partition_count() {
                1 => input,
                _ => Arc::new(CoalescePartitionsExec::new(input)),
            });
        };
        let fields = input.schema();
        let column =
            |index: usize| -> Arc<dyn PhysicalExpr> { Arc::new(ColumnExpr::new(fields.field(index).name(), index)) };
        if !self.by_day {
            let order = ordering(key.map(column))?;
            let sorted = SortExec::new(order.clone(), input).with_preserve_partitioning(true);
            return Ok(Arc::new(SortPreservingMergeExec::new(order, Arc::new(sorted))));
        }
        let function = Arc::new(ScalarUDF::new_from_impl(EventDay::new()));
        let day = ScalarFunctionExpr::try_new(function, vec![column(key[1])], &fields, Arc::new(ConfigOptions::new()))?;
        let mut projected: Vec<(Arc<dyn PhysicalExpr>, String)> =
            (0..fields.fields().len()).map(|index| (column(index), fields.field(index).name().clone())).collect();
        projected.push((Arc::new(day), DAY_COLUMN.to_owned()));
        let with_day = Arc::new(ProjectionExec::try_new(projected, input)?);
        let day: Arc<dyn PhysicalExpr> = Arc::new(ColumnExpr::new(DAY_COLUMN, fields.fields().len()));
        let by_day =
            Arc::new(RepartitionExec::try_new(with_day, Partitioning::Hash(vec![Arc::clone(&day)], parts.max(1)))?);
        let order = ordering([day, column(key[0]), column(key[1])])?;
        Ok(Arc::new(SortExec::new(order, by_day).with_preserve_partitioning(true)))
    }

    /// The table's columns of a batch, in types the Parquet writer takes for the declared ones, NOT NULL where
    /// declared.
    fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let given = batch.schema();
        let mut fields = Vec::with_capacity(self.fields.fields().len());
        let mut columns = Vec::with_capacity(self.fields.fields().len());
        for (index, declared) in self.fields.fields().iter().enumerate() {
            let mut column = Arc::clone(batch.column(index));
            if !encoding::same_in_parquet(&given, &self.fields, index) {
                let strict = CastOptions { safe: false, ..Default::default() };
                column = cast_with_options(&column, declared.data_type(), &strict)?;
            }
            fields.push(Field::new(declared.name(), column.data_type().clone(), declared.is_nullable()));
            columns.push(column);
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}

fn ordering(columns: impl IntoIterator<Item = Arc<dyn PhysicalExpr>>) -> Result<LexOrdering> {
    let ascending = SortOptions { descending: false, nulls_first: true };
    LexOrdering::new(columns.into_iter().map(|column| PhysicalSortExpr::new(column, ascending)))
        .ok_or_else(|| Error::internal("a table's order has no columns"))
}

/// One part's way through its files: one file open at a time.
struct PartWriter {
    files: Arc<FileLayout>,
    open: Option<OpenFile>,
    finished: Vec<Add>,
}

/// A file being written: encoded here, sent on as row groups come out.
struct OpenFile {
    writer: ArrowWriter<Vec<u8>>,
    upload: BufWriter,
    /// Path from the table's folder.
    path: String,
    day: Option<i32>,
    /// The user of the last row, an array of one.
    last_user: Option<ArrayRef>,
    /// The upload was told to finish; whether the store has the file is known only when that succeeded.
    finishing: bool,
}

impl PartWriter {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = self.files.conform(batch)?;
        if !self.files.by_day {
            return self.write_run(None, rows).await;
        }
        let days = batch.column(batch.num_columns() - 1).as_primitive_opt::<Date32Type>();
        let days = days.ok_or_else(|| Error::internal("rows without their day"))?.values().clone();
        let mut start = 0;
        while start < days.len() {
            let end = start + days[start..].partition_point(|day| *day == days[start]);
            self.write_run(Some(days[start]), rows.slice(start, end - start)).await?;
            start = end;
        }
        Ok(())
    }

    /// Writes rows of one day (or of a plain table), into a new file when the open one is of another day or full.
    async fn write_run(&mut self, day: Option<i32>, mut rows: RecordBatch) -> Result<()> {
        let user = self.files.key.map(|[user, _]| user);
        if let Some(open) = &mut self.open {
            if open.day != day {
                self.close().await?;
            } else if open.bytes() >= self.files.limits.target_file_bytes {
                // A user's rows of a day stay in one file.
                let same = match (&open.last_user, user) {
                    (Some(last), Some(user)) => leading(rows.column(user), last)?,
                    _ => 0,
                };
                open.append(&rows.slice(0, same), user).await?;
                rows = rows.slice(same, rows.num_rows() - same);
                if rows.num_rows() == 0 {
                    return Ok(());
                }
                self.close().await?;
            }
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(OpenFile::create(&self.files, day, rows.schema())?),
        };
        open.append(&rows, user).await
    }

    /// Finishes the open file, if any.
    async fn close(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let add = open.finish(&self.files).await?;
        self.open = None;
        self.finished.push(add);
        Ok(())
    }

    async fn abort(mut self) {
        if let Some(mut open) = self.open.take() {
            open.abort(&self.files).await;
        }
        delete(&self.files.store, &self.files.root, &self.finished).await;
    }
}

impl OpenFile {
    fn create(files: &FileLayout, day: Option<i32>, fields: SchemaRef) -> Result<OpenFile> {
        let name = format!("part-{}.parquet", uuid::Uuid::new_v4());
        let path = match day {
            None => name,
            Some(day) => format!("{DAY_COLUMN}={}/{name}", day_text(day)?),
        };
        let sorted_by = files.key.as_ref().map_or(&[][..], |key| key);
        let options = encoding::options(&files.schema, &files.limits, sorted_by);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), fields, options)?;
        let place = log::full_path(&files.root, &path);
        let upload = BufWriter::with_capacity(Arc::clone(&files.store), place, PART_BYTES)
            .with_max_concurrency(PARTS_IN_FLIGHT_MAX);
        Ok(OpenFile { writer, upload, path, day, last_user: None, finishing: false })
    }

    /// Bytes of the file if it ended here, about.
    fn bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    async fn append(&mut self, rows: &RecordBatch, user: Option<usize>) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.writer.write(rows)?;
        self.last_user = user.map(|user| rows.column(user).slice(rows.num_rows() - 1, 1));
        self.send().await
    }

    /// Hands what has been encoded to the upload.
    async fn send(&mut self) -> Result<()> {
        let encoded = std::mem::take(self.writer.inner_mut());
        if encoded.is_empty() {
            return Ok(());
        }
        Ok(self.upload.put(Bytes::from(encoded)).await?)
    }

    async fn finish(&mut self, files: &FileLayout) -> Result<Add> {
        let footer = self.writer.finish()?;
        self.send().await?;
        self.finishing = true;
        self.upload.shutdown().await?;
        let mut partition_values = std::collections::HashMap::new();
        if let Some(day) = self.day {
            partition_values.insert(DAY_COLUMN.to_owned(), Some(day_text(day)?));
        }
        Ok(Add {
            path: self.path.clone(),
            partition_values,
            size: self.writer.bytes_written() as i64,
            modification_time: log::now_ms(),
            data_change: true,
            stats: Some(statistics::of_parquet(&footer, &files.fields, &files.schema.columns)?),
            tags: Some([(log::SORTED_BY_TAG.to_owned(), Some(files.order.clone()))].into()),
            ..Add::default()
        })
    }

    /// Leaves nothing behind. Only warns: there is an error to tell already.
    async fn abort(&mut self, files: &FileLayout) {
        let path = log::full_path(&files.root, &self.path);
        let undone = match self.finishing {
            true => files.store.delete(&path).await,
            false => self.upload.abort().await,
        };
        if let Err(error) = undone {
            tracing::warn!(%path, %error, "a file that no commit took is left for vacuum");
        }
    }
}

fn day_text(day: i32) -> Result<String> {
    statistics::day_text(day).ok_or_else(|| Error::new(Kind::OutOfRange, format!("day {day} after 1970 is no date")))
}

/// How many of the first values equal the one in `wanted`.
fn leading(values: &ArrayRef, wanted: &ArrayRef) -> Result<usize> {
    let compare = make_comparator(values, wanted, SortOptions::default())?;
    Ok((0..values.len()).take_while(|row| compare(*row, 0).is_eq()).count())
}

/// The UTC day of an event time: DATE as it is, DATETIME and TIMESTAMP rounded down (before 1970 too).
#[derive(Debug, PartialEq, Eq, Hash)]
struct EventDay {
    signature: Signature,
}

impl EventDay {
    fn new() -> EventDay {
        EventDay { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for EventDay {
    fn name(&self) -> &str {
        "event_day"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> datafusion::common::Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> datafusion::common::Result<ColumnarValue> {
        let Some(time) = arguments.args.into_iter().next() else { return exec_err!("event_day takes a time") };
        let time = time.into_array(arguments.number_rows)?;
        let days: ArrayRef = match time.data_type() {
            DataType::Date32 => time,
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let micros = time.as_primitive::<TimestampMicrosecondType>();
                // All of i64 in microseconds is within i32 in days.
                let days: Date32Array = micros.unary(|micros| micros.div_euclid(MICROSECONDS_PER_DAY) as i32);
                Arc::new(days)
            }
            other => return exec_err!("event time of type {other}"),
        };
        Ok(ColumnarValue::Array(days))
    }
}
