//! A version of a Delta table as DataFusion reads it: our own choice of files, their statistics and order, over
//! DataFusion's own Parquet source, so that the plan serialises. Writes nothing and does not read the Delta log.
//!
//! Three places apply a filter, and together they are exact:
//! 1. here, files are left out by the statistics of the log ([`pruning`](crate::storage::pruning));
//! 2. a comparison that those statistics prove for every row of the remaining files is reported `Exact`: it is not
//!    evaluated at all, row counts stay exact, and `COUNT(*)` over whole days reads no file;
//! 3. every other filter is reported `Inexact`. DataFusion keeps it above the scan, and its physical optimizer moves it
//!    into the Parquet decoder where that can evaluate it (row groups, pages, bloom filters, then late materialisation
//!    row by row), and only then drops the one above. Columns missing in old files and partition columns need no rule.
//!
//! Text is read as `Utf8View`. A view of at most 12 bytes holds the text itself, so comparing and hashing event names
//! touches one 16-byte value and no second buffer, dictionary pages become views without a copy, and every function and
//! GROUP BY of DataFusion takes it. Dictionary arrays would save memory, but GROUP BY unpacks them row by row and our
//! functions would meet a different dictionary in every batch.

mod defaults;
mod groups;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema as ScanSchema;
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown};
use datafusion::object_store::ObjectMeta;
use datafusion::physical_expr::execution_props::ExecutionProps;
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, create_physical_expr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::MetricBuilder;
use datafusion::scalar::ScalarValue;

use crate::error::Result;
use crate::storage::delta::{DataFile, Snapshot, Table};
use crate::storage::pruning::{End, Pruner, bound, null_count, partition_value};
use crate::storage::types::{Column, META_COLUMN, META_DATABASE, META_TABLE};
use defaults::MissingColumns;

pub use groups::{balanced, whole_files};

/// One version of a table, or some of its files, as a DataFusion table.
pub struct TableScan {
    table: Arc<Table>,
    snapshot: Arc<Snapshot>,
    /// The files to read; None for all of the snapshot.
    files: Option<Vec<DataFile>>,
    /// The columns people see, in the table's order.
    schema: SchemaRef,
    names: DFSchema,
    layout: Layout,
    /// Positions of the user and the time column of an event table.
    sort_columns: Option<[usize; 2]>,
    ordered_files_max: Option<usize>,
}

/// DataFusion lays columns out as those in the files first, then the partition columns.
struct Layout {
    schema: ScanSchema,
    /// For each column of the table its place in the layout.
    places: Vec<usize>,
    /// For each place in the layout the table's column.
    columns: Vec<usize>,
}

/// The files a DELETE or UPDATE has to look at.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    /// Every row of these passes the filters: DELETE may drop them unread.
    pub whole: Vec<DataFile>,
    /// Some rows of these may pass.
    pub partial: Vec<DataFile>,
}

impl TableScan {
    /// All rows of `snapshot`; `database` and `name` go into the fields' metadata.
    pub fn new(table: Arc<Table>, snapshot: Arc<Snapshot>, database: &str, name: &str) -> TableScan {
        TableScan::build(table, snapshot, database, name, None)
    }

    /// The rows of `files` only, which are files of `snapshot`.
    pub fn of_files(
        table: Arc<Table>,
        snapshot: Arc<Snapshot>,
        database: &str,
        name: &str,
        files: Vec<DataFile>,
    ) -> TableScan {
        TableScan::build(table, snapshot, database, name, Some(files))
    }

    /// Declares the (user, time) order of sorted files up to `files_max` of them, each in a group of its own, for a
    /// plan that lives on the order. By default up to as many files as cores: more groups cost other plans memory.
    pub fn with_ordered_files_max(mut self, files_max: usize) -> TableScan {
        self.ordered_files_max = Some(files_max);
        self
    }

    /// The files that may hold rows for which all `filters` are true.
    ///
    /// # Errors
    /// None today; a filter that cannot be judged rules out nothing.
    pub async fn candidate_files(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<DataFile>> {
        let filters = filters.iter().filter_map(|filter| self.physical(filter, Some(state))).collect::<Vec<_>>();
        Ok(self.kept(&filters).into_iter().map(|index| self.files()[index].clone()).collect())
    }

    /// The same, those apart of which all rows pass.
    ///
    /// # Errors
    /// None today; a filter that cannot be judged rules out nothing.
    pub async fn candidates(&self, state: &dyn Session, filters: &[Expr]) -> Result<Candidates> {
        let judged = filters.iter().filter_map(|filter| self.physical(filter, Some(state))).collect::<Vec<_>>();
        let mut whole = vec![judged.len() == filters.len(); self.files().len()];
        for filter in &judged {
            for (whole, matches) in whole.iter_mut().zip(self.pruner().all_match(filter)) {
                *whole &= matches;
            }
        }
        let mut candidates = Candidates::default();
        for index in self.kept(&judged) {
            let list = if whole[index] { &mut candidates.whole } else { &mut candidates.partial };
            list.push(self.files()[index].clone());
        }
        Ok(candidates)
    }

    fn build(
        table: Arc<Table>,
        snapshot: Arc<Snapshot>,
        database: &str,
        name: &str,
        files: Option<Vec<DataFile>>,
    ) -> TableScan {
        let columns = snapshot.schema().columns.iter().zip(snapshot.arrow_schema().fields());
        let fields: Vec<FieldRef> =
            columns.map(|(column, declared)| Arc::new(field(column, declared, database, name))).collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let names = DFSchema::try_from(schema.clone()).expect("a table's column names are unique");
        let layout = Layout::new(&schema, snapshot.partition_columns());
        let sort_columns = snapshot.schema().event.as_ref().and_then(|event| {
            let position = |name: &str| snapshot.schema().column(name).map(|(position, _)| position);
            Some([position(&event.user)?, position(&event.time)?])
        });
        TableScan { table, snapshot, files, schema, names, layout, sort_columns, ordered_files_max: None }
    }

    fn files(&self) -> &[DataFile] {
        self.files.as_deref().unwrap_or_else(|| self.snapshot.files())
    }

    fn pruner(&self) -> Pruner<'_> {
        Pruner::new(self.schema.clone(), self.files(), self.sort_columns.map(|[_, time]| time))
    }

    /// A filter over the table's columns, or None when it is not one (a subquery, a column of an outer query).
    fn physical(&self, filter: &Expr, state: Option<&dyn Session>) -> Option<Arc<dyn PhysicalExpr>> {
        let filter = unnormalize_col(filter.clone());
        match state {
            Some(state) => state.create_physical_expr(filter, &self.names).ok(),
            None => {
                let context = PhysicalPlanningContext::default();
                create_physical_expr(&filter, &self.names, &ExecutionProps::new(), &context).ok()
            }
        }
    }

    /// Positions of the files that may hold rows passing all `filters`.
    fn kept(&self, filters: &[Arc<dyn PhysicalExpr>]) -> Vec<usize> {
        let mut kept = vec![true; self.files().len()];
        for filter in filters {
            for (kept, may_match) in kept.iter_mut().zip(self.pruner().may_match(filter)) {
                *kept &= may_match;
            }
        }
        (0..kept.len()).filter(|&index| kept[index]).collect()
    }

    /// The files a scan reads: those the filters leave, and of them no more than `limit` rows need.
    fn chosen(&self, filters: &[Arc<dyn PhysicalExpr>], limit: Option<usize>) -> Vec<&DataFile> {
        let kept = self.kept(filters).into_iter().map(|index| &self.files()[index]);
        let limit = match limit {
            // A filter above or inside the scan may reject rows; a limit counts those that are left.
            Some(limit) if filters.iter().all(|filter| self.pruner().decides(filter)) => limit as u64,
            _ => return kept.collect(),
        };
        let mut rows = 0_u64;
        let mut chosen = Vec::new();
        for file in kept {
            if rows >= limit {
                break;
            }
            rows = rows.saturating_add(file.rows.unwrap_or(0));
            chosen.push(file);
        }
        chosen
    }

    fn partitioned_file(&self, file: &DataFile, columns: &BTreeSet<usize>) -> PlanResult<PartitionedFile> {
        let meta = ObjectMeta {
            location: file.path.clone(),
            // Files never change; a constant time would do. This one lets the footer cache tell stores apart.
            last_modified: DateTime::from_timestamp_millis(file.add.modification_time).unwrap_or_default(),
            size: file.size_bytes,
            e_tag: None,
            version: None,
        };
        let partition = self.layout.schema.table_partition_cols().iter().map(|field| {
            let value = partition_value(file, field).filter(|value| !value.is_null());
            value.map_or_else(|| ScalarValue::try_new_null(field.data_type()), |value| value.cast_to(field.data_type()))
        });
        let mut partitioned = PartitionedFile::from(meta);
        partitioned.partition_values = partition.collect::<PlanResult<Vec<_>>>()?;
        // Not `with_statistics`: that takes partition values for never NULL.
        partitioned.statistics = Some(Arc::new(self.statistics_of(file, columns)));
        Ok(partitioned)
    }

    /// Statistics of a file in the layout's order, filled in for `columns` of the table.
    fn statistics_of(&self, file: &DataFile, columns: &BTreeSet<usize>) -> Statistics {
        let time = self.sort_columns.map(|[_, time]| time);
        let column_statistics = self.layout.columns.iter().map(|position| match columns.contains(position) {
            true => self.column_statistics(file, *position, time == Some(*position)),
            false => ColumnStatistics::new_unknown(),
        });
        Statistics {
            num_rows: exactly(file.rows),
            total_byte_size: Precision::Absent,
            column_statistics: column_statistics.collect(),
        }
    }

    fn column_statistics(&self, file: &DataFile, position: usize, is_time: bool) -> ColumnStatistics {
        let field = self.schema.field(position);
        let known = file.columns.get(position);
        let exact = partition_value(file, field).is_some()
            || known.is_some_and(|known| known.exact && known.minimum.is_some() && known.maximum.is_some());
        let end = |end| match bound(file, &self.schema, position, end, is_time) {
            // NaN is in no statistics, and is above every number.
            Some(value) if exact && !field.data_type().is_floating() => Precision::Exact(value),
            Some(value) => Precision::Inexact(value),
            None => Precision::Absent,
        };
        ColumnStatistics {
            null_count: exactly(null_count(file, field, position)),
            min_value: end(End::Minimum),
            max_value: end(End::Maximum),
            ..ColumnStatistics::new_unknown()
        }
    }

    /// Groups for the cores, the order each group's rows come in, if they come in one, and statistics of all of them.
    fn grouped(
        &self,
        chosen: &[&DataFile],
        columns: &BTreeSet<usize>,
        cores: usize,
    ) -> PlanResult<(Vec<FileGroup>, Option<LexOrdering>, Statistics)> {
        let ordering = self.ordering().filter(|_| chosen.iter().all(|file| file.sorted));
        let mut chosen = chosen.to_vec();
        let disjoint = ordering.is_some() && self.sort_if_disjoint(&mut chosen);
        let files = chosen.iter().map(|file| self.partitioned_file(file, columns)).collect::<PlanResult<Vec<_>>>()?;
        let per_file = files.iter().filter_map(|file| file.statistics.as_deref());
        let statistics = Statistics::try_merge_iter(per_file, self.layout.schema.table_schema())?;
        let files_max = self.ordered_files_max.unwrap_or(cores);
        Ok(match ordering {
            Some(ordering) if disjoint || files.len() <= files_max => {
                (groups::ordered(files, cores, disjoint), Some(ordering), statistics)
            }
            _ => (groups::balanced(files, cores), None, statistics),
        })
    }

    /// Event tables: user, then time. Both are NOT NULL, so where NULLs sort says nothing.
    fn ordering(&self) -> Option<LexOrdering> {
        let sort_columns = self.sort_columns?.map(|position| {
            let column = ColumnExpr::new(self.schema.field(position).name(), self.layout.places[position]);
            PhysicalSortExpr::new(Arc::new(column), SortOptions { descending: false, nulls_first: true })
        });
        LexOrdering::new(sort_columns)
    }

    /// Puts `files` in the order of their users if no two of them can share one; leaves them as they are otherwise.
    fn sort_if_disjoint(&self, files: &mut Vec<&DataFile>) -> bool {
        let Some([user, _]) = self.sort_columns else {
            return false;
        };
        let end = |file: &DataFile, end| bound(file, &self.schema, user, end, false);
        let ranges = files.iter().map(|file| Some((end(file, End::Minimum)?, end(file, End::Maximum)?, *file)));
        let Some(mut ranges) = ranges.collect::<Option<Vec<_>>>() else {
            return files.len() == 1;
        };
        ranges.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
        if ranges.windows(2).any(|pair| !matches!(pair[0].1.partial_cmp(&pair[1].0), Some(std::cmp::Ordering::Less))) {
            return false;
        }
        *files = ranges.into_iter().map(|(_, _, file)| file).collect();
        true
    }

    fn source(&self, state: &dyn Session, chosen: usize) -> PlanResult<ParquetSource> {
        let mut options =
            TableParquetOptions { global: state.config_options().execution.parquet.clone(), ..Default::default() };
        options.global.pushdown_filters = true;
        // The cheapest column first: a name is tested before JSON is decoded.
        options.global.reorder_filters = true;
        options.global.bloom_filter_on_read = true;
        options.global.enable_page_index = true;
        // Old Spark files; whole microseconds are what Delta keeps.
        options.global.coerce_int96 = Some("us".into());
        let store = state.runtime_env().object_store(self.table.store_url())?;
        let footers = state.runtime_env().cache_manager.get_file_metadata_cache();
        let size_hint = options.global.metadata_size_hint;
        let mut source = ParquetSource::new(self.layout.schema.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(store, footers)));
        if let Some(bytes) = size_hint {
            source = source.with_metadata_size_hint(bytes);
        }
        // EXPLAIN ANALYZE shows what the log's statistics spared.
        let count = |name: &'static str, files| MetricBuilder::new(source.metrics()).global_counter(name).add(files);
        count("files_in_table", self.files().len());
        count("files_pruned_by_log", self.files().len() - chosen);
        Ok(source)
    }

    /// What columns added later read as in files that lack them; None when no chosen file seems to lack one. A file has
    /// statistics for every column it was written with, so a column without any may be missing.
    fn missing_columns(&self, chosen: &[&DataFile]) -> Option<MissingColumns> {
        let columns = &self.snapshot.schema().columns;
        let may_lack = |position: usize| {
            let known = |file: &&DataFile| file.columns.get(position).is_some_and(|column| column.null_count.is_some());
            !chosen.iter().all(known)
        };
        let filled =
            columns.iter().enumerate().filter(|(position, column)| column.default.is_some() && may_lack(*position));
        let filled: Vec<_> =
            filled.map(|(position, column)| (column, self.schema.field(position).data_type())).collect();
        (!filled.is_empty()).then(|| MissingColumns::new(filled))
    }
}

#[async_trait]
impl TableProvider for TableScan {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        let pruner = self.pruner();
        let answer = |filter: &&Expr| match self.physical(filter, None) {
            // Judged by itself, so that the answer does not depend on the filters beside it.
            Some(judged) if is_comparison(filter) && pruner.decides(&judged) => TableProviderFilterPushDown::Exact,
            _ => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(answer).collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        let rows = self.files().iter().try_fold(0_u64, |rows, file| Some(rows + file.rows?));
        Some(Statistics { num_rows: exactly(rows), ..Statistics::new_unknown(&self.schema) })
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let projection = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        // Translated as for `supports_filters_pushdown`: what was promised there must hold here.
        let filters: Vec<_> = filters.iter().filter_map(|filter| self.physical(filter, None)).collect();
        let chosen = self.chosen(&filters, limit);
        if chosen.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(&projection)?))));
        }
        let columns = projection.iter().copied().chain(self.sort_columns.into_iter().flatten()).collect();
        let cores = state.config().target_partitions();
        let (groups, ordering, statistics) = self.grouped(&chosen, &columns, cores)?;
        let source: Arc<dyn FileSource> = Arc::new(self.source(state, chosen.len())?);
        let mut config = FileScanConfigBuilder::new(self.table.store_url().clone(), source)
            .with_file_groups(groups)
            .with_output_ordering(ordering.into_iter().collect())
            .with_statistics(statistics)
            .with_limit(limit)
            .with_projection_indices(Some(projection.iter().map(|column| self.layout.places[*column]).collect()))?;
        if let Some(missing) = self.missing_columns(&chosen) {
            config = config.with_expr_adapter(Some(Arc::new(missing)));
        }
        Ok(DataSourceExec::from_data_source(config.build()))
    }
}

impl fmt::Debug for TableScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableScan").field("url", self.table.url()).field("version", &self.snapshot.version()).finish()
    }
}

impl Layout {
    fn new(schema: &SchemaRef, partition_columns: &[String]) -> Layout {
        let is_partition = |position: &usize| partition_columns.contains(schema.field(*position).name());
        let (partition, in_files): (Vec<usize>, Vec<usize>) = (0..schema.fields().len()).partition(is_partition);
        let fields = |positions: &[usize]| -> Vec<FieldRef> {
            positions.iter().map(|&position| schema.fields()[position].clone()).collect()
        };
        let file_schema = Arc::new(Schema::new(fields(&in_files)));
        let partition_fields = fields(&partition);
        let columns: Vec<usize> = in_files.into_iter().chain(partition).collect();
        let mut places = vec![0; columns.len()];
        for (place, column) in columns.iter().enumerate() {
            places[*column] = place;
        }
        let schema = ScanSchema::builder(file_schema).with_table_partition_cols(partition_fields).build();
        Layout { schema, places, columns }
    }
}

/// The field of a scanned column: views for text and bytes, and where it comes from (MySQL's org_table and org_name).
fn field(column: &Column, declared: &Field, database: &str, table: &str) -> Field {
    let mut metadata = column.field().metadata().clone();
    metadata.insert(META_DATABASE.to_owned(), database.to_owned());
    metadata.insert(META_TABLE.to_owned(), table.to_owned());
    metadata.insert(META_COLUMN.to_owned(), column.name.clone());
    let data_type = match declared.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        other => other.clone(),
    };
    Field::new(&column.name, data_type, declared.is_nullable()).with_metadata(metadata)
}

/// `column < literal` and the like, which the optimizer leaves as it is between asking us and calling the scan: a
/// filter promised to be exact must rule out the same files when it comes back.
fn is_comparison(filter: &Expr) -> bool {
    let Expr::BinaryExpr(binary) = filter else {
        return false;
    };
    let sides = (binary.left.as_ref(), binary.right.as_ref());
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(binary.op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
        && matches!(sides, (Expr::Column(_), Expr::Literal(..)) | (Expr::Literal(..), Expr::Column(_)))
}

fn exactly(count: Option<u64>) -> Precision<usize> {
    count.and_then(|count| usize::try_from(count).ok()).map_or(Precision::Absent, Precision::Exact)
}
