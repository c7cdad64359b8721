//! `read_parquet`, `read_csv`, `read_json`: files that are no table, as one. A pattern names them, their columns are
//! found out when the statement is planned, nothing is kept. Values are converted on INSERT only, by `ingest`.

mod csv;
mod json;
mod listing;
mod sample;
mod values;

use std::fmt;
use std::sync::Arc;

use ::object_store::ObjectMeta;
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema as ScanSchema;
use datafusion::error::Result as PlanResult;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;
use datafusion::scalar::ScalarValue;

use crate::error::{Error, Kind, Result};
use crate::storage::object_store::{AllowedPaths, ObjectStores};
use crate::storage::scan;
use csv::CsvGroup;
use json::{JsonColumns, JsonFiles};
use listing::{Found, find};

/// What the files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFormat {
    Parquet,
    Csv,
    Json,
}

/// How text files are read; the defaults suit most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// CSV: the first line holds the column names; without it they are `column_1`, `column_2`, ….
    pub header: bool,
    /// CSV: between fields.
    pub delimiter: u8,
    /// CSV: around fields.
    pub quote: u8,
    /// CSV: before a quote inside a field; a doubled quote works without it.
    pub escape: Option<u8>,
    /// CSV: every column as the text it is, for a statement that copies columns into a table, whose types then decide.
    pub as_text: bool,
    /// CSV, JSON: bytes of each file looked at to find the columns' types.
    pub sample_bytes: usize,
}

/// Enough for some ten thousand rows.
const SAMPLE_BYTES: usize = 4 << 20;

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            header: true,
            delimiter: b',',
            quote: b'"',
            escape: None,
            as_text: false,
            sample_bytes: SAMPLE_BYTES,
        }
    }
}

impl SourceFormat {
    /// Extensions of the files a folder is searched for.
    fn extensions(self) -> &'static [&'static str] {
        match self {
            SourceFormat::Parquet => &["parquet", "parq"],
            SourceFormat::Csv => &["csv", "tsv", "txt"],
            SourceFormat::Json => &["json", "jsonl", "ndjson"],
        }
    }
}

/// The files `pattern` names (a file, a folder, wildcards; a path or a URL) as one table with the columns of all of
/// them; a file that lacks a column reads as NULL. CSV and JSON may be compressed (`.gz`, `.zst`, `.bz2`, `.xz`).
///
/// # Errors
/// `FileNotAllowed` for a place outside the allowed paths, `FileNotFound` naming the pattern when no file matches,
/// `WrongArguments` or `InvalidJson` naming a file that is not of this format.
pub async fn read_files(
    state: &SessionState,
    stores: &ObjectStores,
    allowed: &AllowedPaths,
    format: SourceFormat,
    pattern: &str,
    options: &ReadOptions,
) -> Result<Arc<dyn TableProvider>> {
    let found = find(stores, allowed, pattern, format.extensions()).await?;
    let (schema, content) = match format {
        SourceFormat::Parquet => {
            let (schema, format) = parquet_columns(state, &found, pattern).await?;
            (schema, Content::Parquet(Box::new(format)))
        }
        SourceFormat::Csv => {
            let (schema, groups) = csv::columns(&found.store, found.files.clone(), options).await?;
            (schema, Content::Csv(groups, options.clone()))
        }
        SourceFormat::Json => {
            let columns = json::columns(&found.store, &found.files, options).await?;
            (columns.schema.clone(), Content::Json(columns))
        }
    };
    Ok(Arc::new(FileTable { schema, found, content }))
}

/// Files found and understood.
struct FileTable {
    schema: SchemaRef,
    found: Found,
    content: Content,
}

enum Content {
    Parquet(Box<ParquetFormat>),
    Csv(Vec<CsvGroup>, ReadOptions),
    Json(JsonColumns),
}

/// The columns of all files by name. A column that only some files have, or that is optional in one, may be NULL.
async fn parquet_columns(state: &SessionState, found: &Found, pattern: &str) -> Result<(SchemaRef, ParquetFormat)> {
    let mut global = state.config_options().execution.parquet.clone();
    global.pushdown_filters = true;
    global.reorder_filters = true;
    global.coerce_int96 = Some("us".into());
    let options = TableParquetOptions { global, ..Default::default() };
    let format = ParquetFormat::default().with_options(options);
    let unreadable = |error: datafusion::common::DataFusionError| {
        Error::new(Kind::WrongArguments, format!("'{pattern}' cannot be read as Parquet: {error}")).with_source(error)
    };
    let schema = format.infer_schema(state, &found.store, &found.files).await.map_err(unreadable)?;
    let several = found.files.len() > 1;
    let fields = schema.fields().iter().map(|field| {
        let nullable = field.is_nullable() || several;
        Field::new(field.name(), field.data_type().clone(), nullable)
    });
    Ok((Arc::new(Schema::new(fields.collect::<Vec<_>>())), format))
}

impl FileTable {
    async fn scan_parquet(
        &self,
        state: &dyn Session,
        format: &ParquetFormat,
        projection: &[usize],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let groups = scan::balanced(partitioned(&self.found.files), state.config().target_partitions());
        self.plan(state, format, &self.schema, groups, projection, limit).await
    }

    /// Each group of files with its own columns, and NULL for those it lacks.
    async fn scan_csv(
        &self,
        state: &dyn Session,
        group: &CsvGroup,
        options: &ReadOptions,
        projection: &[usize],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let format = CsvFormat::default().with_options(csv::reader_options(options, group.compression));
        let fields = group.names.iter().map(|name| self.schema.field_with_name(name).cloned());
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Result<Vec<_>, _>>()?));
        let place = |column: usize| schema.index_of(self.schema.field(column).name()).ok();
        let present: Vec<usize> = projection.iter().filter_map(|&column| place(column)).collect();
        let groups = scan::whole_files(partitioned(&group.files), state.config().target_partitions());
        let input = self.plan(state, &format, &schema, groups, &present, limit).await?;
        if present.len() == projection.len() {
            return Ok(input);
        }
        let mut next = 0;
        let mut columns: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::with_capacity(projection.len());
        for &column in projection {
            let field = self.schema.field(column);
            let value: Arc<dyn PhysicalExpr> = match place(column) {
                Some(_) => {
                    next += 1;
                    Arc::new(Column::new(field.name(), next - 1))
                }
                None => Arc::new(Literal::new(ScalarValue::try_new_null(field.data_type())?)),
            };
            columns.push((value, field.name().clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(columns, input)?))
    }

    fn scan_json(
        &self,
        state: &dyn Session,
        columns: &JsonColumns,
        projection: &Vec<usize>,
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let groups = scan::whole_files(partitioned(&self.found.files), state.config().target_partitions());
        let streams = groups.into_iter().map(|group| {
            let files = group.into_inner().into_iter().map(|file| file.object_meta).collect();
            let files = JsonFiles { store: self.found.store.clone(), columns: columns.clone(), files };
            Arc::new(files) as Arc<dyn PartitionStream>
        });
        let schema = self.schema.clone();
        let plan = StreamingTableExec::try_new(schema, streams.collect(), Some(projection), [], false, limit)?;
        Ok(Arc::new(plan))
    }

    async fn plan(
        &self,
        state: &dyn Session,
        format: &dyn FileFormat,
        schema: &SchemaRef,
        groups: Vec<FileGroup>,
        projection: &[usize],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let source = format.file_source(ScanSchema::from(schema));
        let config = FileScanConfigBuilder::new(self.found.store_url.clone(), source)
            .with_file_groups(groups)
            .with_limit(limit)
            .with_projection_indices(Some(projection.to_vec()))?;
        format.create_physical_plan(state, config.build()).await
    }
}

fn partitioned(files: &[ObjectMeta]) -> Vec<PartitionedFile> {
    files.iter().cloned().map(PartitionedFile::from).collect()
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        let answer = match self.content {
            // The physical optimizer moves what it can into the Parquet decoder.
            Content::Parquet(_) => TableProviderFilterPushDown::Inexact,
            Content::Csv(..) | Content::Json(_) => TableProviderFilterPushDown::Unsupported,
        };
        Ok(vec![answer; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let projection = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        match &self.content {
            Content::Parquet(format) => self.scan_parquet(state, format, &projection, limit).await,
            Content::Json(columns) => self.scan_json(state, columns, &projection, limit),
            Content::Csv(groups, options) => {
                let mut inputs = Vec::with_capacity(groups.len());
                for group in groups {
                    inputs.push(self.scan_csv(state, group, options, &projection, limit).await?);
                }
                if inputs.len() == 1 { Ok(inputs.remove(0)) } else { UnionExec::try_new(inputs) }
            }
        }
    }
}

impl fmt::Debug for FileTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTable").field("files", &self.found.files.len()).finish_non_exhaustive()
    }
}
