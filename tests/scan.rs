//! Reading: which files a query opens, which filters it need not apply, what order it declares, and the same answers as
//! from memory whatever was pushed down; then CSV, JSON and Parquet files outside of tables.

use std::any::Any;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::physical_plan::{ExecutionPlan, collect_partitioned, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use desirepath::config::Settings;
use desirepath::error::Kind;
use desirepath::storage::delta::{Operation, Table};
use desirepath::storage::files::{ReadOptions, SourceFormat, read_files};
use desirepath::storage::object_store::{AllowedPaths, ObjectStores};
use desirepath::storage::scan::TableScan;
use desirepath::storage::types::{Column, ColumnType, EventColumns, TableSchema};
use desirepath::storage::write::{WriteLimits, write_rows};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use serde_json::json;
use tempfile::TempDir;
use url::Url;

/// 2026-01-01 00:00:00 UTC in microseconds.
const NEW_YEAR: i64 = 1_767_225_600_000_000;
const HOUR: i64 = 3_600_000_000;
const CORES: usize = 2;

/// A DataFusion session over its own object stores, and one table in them.
struct Fixture {
    context: SessionContext,
    table: Arc<Table>,
}

fn session() -> (SessionContext, Arc<ObjectStores>) {
    let stores = Arc::new(ObjectStores::new(&Settings::default()).expect("the stores"));
    let runtime = RuntimeEnvBuilder::new().with_object_store_registry(stores.clone()).build_arc().expect("a runtime");
    let mut config = SessionConfig::new().with_target_partitions(CORES).with_batch_size(1024);
    config.options_mut().optimizer.prefer_existing_sort = true;
    (SessionContext::new_with_config_rt(config, runtime), stores)
}

fn column(name: &str, column_type: ColumnType, nullable: bool) -> Column {
    Column { name: name.into(), column_type, nullable, default: None, comment: String::new() }
}

impl Fixture {
    /// An empty event table: time, BIGINT user, event, amount.
    async fn events() -> Fixture {
        let (context, stores) = session();
        let schema = TableSchema {
            columns: vec![
                column("event_time", ColumnType::DateTime { fraction: 6 }, false),
                column("user_id", ColumnType::BigInt { unsigned: false }, false),
                column("event_name", ColumnType::VarChar { length: 64 }, false),
                column("amount", ColumnType::BigInt { unsigned: false }, true),
            ],
            event: Some(EventColumns { user: "user_id".into(), time: "event_time".into(), event: "event_name".into() }),
        };
        let url = Url::parse("memory://scan/events/").expect("a URL");
        let table = Arc::new(Table::create(&stores, &url, &schema).await.expect("the table is made"));
        Fixture { context, table }
    }

    /// Commits the rows of a query.
    async fn insert(&self, query: &str) {
        let plan = self.context.sql(query).await.expect(query).create_physical_plan().await.expect(query);
        let snapshot = self.table.snapshot().await.expect("a snapshot");
        let limits = WriteLimits { row_group_rows: 32_768, target_file_bytes: 256 << 20 };
        let context = self.context.task_ctx();
        let adds = write_rows(&self.table, snapshot.schema(), plan, context, &limits, &|_| {}).await.expect(query);
        self.table.commit(&snapshot, Operation::Append, adds, &[]).await.expect(query);
    }

    async fn scan(&self) -> TableScan {
        let snapshot = self.table.snapshot().await.expect("a snapshot");
        TableScan::new(self.table.clone(), snapshot, "shop", "events")
    }

    /// Makes the newest version `events` in SQL.
    async fn register(&self) {
        self.register_scan(self.scan().await);
    }

    fn register_scan(&self, scan: TableScan) {
        self.context.deregister_table("events").expect("a name");
        self.context.register_table("events", Arc::new(scan)).expect("a name");
    }

    async fn plan(&self, query: &str) -> Arc<dyn ExecutionPlan> {
        self.context.sql(query).await.expect(query).create_physical_plan().await.expect(query)
    }

    /// The scans of a query's plan.
    async fn scans(&self, query: &str) -> Vec<FileScanConfig> {
        scans_of(&self.plan(query).await)
    }

    /// How many different files a query reads.
    async fn files_read(&self, query: &str) -> usize {
        let scans = self.scans(query).await;
        let files = scans.iter().flat_map(|scan| &scan.file_groups).flat_map(|group| group.iter());
        files.map(|file| file.object_meta.location.to_string()).collect::<BTreeSet<_>>().len()
    }

    async fn answer(&self, query: &str) -> String {
        let batches = self.context.sql(query).await.expect(query).collect().await.expect(query);
        pretty_format_batches(&batches).expect(query).to_string()
    }

    /// The one number a query answers with.
    async fn number(&self, query: &str) -> i64 {
        let batches = self.context.sql(query).await.expect(query).collect().await.expect(query);
        batches.iter().find(|batch| batch.num_rows() > 0).expect(query).column(0).as_primitive::<Int64Type>().value(0)
    }
}

fn scans_of(plan: &Arc<dyn ExecutionPlan>) -> Vec<FileScanConfig> {
    let node: &dyn Any = plan.as_ref();
    let mut found = Vec::new();
    if let Some(source) = node.downcast_ref::<DataSourceExec>()
        && let Some(config) = source.data_source().downcast_ref::<FileScanConfig>()
    {
        found.push(config.clone());
    }
    found.extend(plan.children().into_iter().flat_map(scans_of));
    found
}

/// A time as the tests' SQL writes it.
fn time(text: &str) -> String {
    format!("arrow_cast('{text}', 'Timestamp(Microsecond, None)')")
}

/// One row an hour from New Year, 24 a day, 5 users and 3 events in turn; every fourth amount is NULL.
fn hourly(first_hour: i64, hours: i64) -> String {
    format!(
        "SELECT arrow_cast({NEW_YEAR} + value * {HOUR}, 'Timestamp(Microsecond, None)') AS event_time, \
         value % 5 AS user_id, \
         CASE value % 3 WHEN 0 THEN 'page_view' WHEN 1 THEN 'search' ELSE 'pay' END AS event_name, \
         CASE WHEN value % 4 = 0 THEN NULL ELSE value END AS amount \
         FROM generate_series({first_hour}, {})",
        first_hour + hours - 1
    )
}

/// Five days, one file each.
async fn five_days() -> Fixture {
    let fixture = Fixture::events().await;
    fixture.insert(&hourly(0, 120)).await;
    fixture.register().await;
    fixture
}

#[tokio::test]
async fn days_are_pruned_and_whole_days_need_no_filter() {
    let fixture = five_days().await;
    assert_eq!(fixture.files_read("SELECT * FROM events").await, 5);

    let two_days =
        format!("event_time >= {} AND event_time < {}", time("2026-01-02T00:00:00"), time("2026-01-04T00:00:00"));
    let query = format!("SELECT user_id, amount FROM events WHERE {two_days}");
    assert_eq!(fixture.files_read(&query).await, 2);
    let plan = displayable(fixture.plan(&query).await.as_ref()).indent(true).to_string();
    assert!(!plan.contains("predicate"), "the log proves the filter for every row left: {plan}");

    let count = format!("SELECT count(*) FROM events WHERE {two_days}");
    assert_eq!(fixture.number(&count).await, 48);
    assert_eq!(fixture.files_read(&count).await, 0, "the log knows the count");

    let part = format!("SELECT count(*) FROM events WHERE event_time < {}", time("2026-01-02T06:00:00"));
    assert_eq!(fixture.number(&part).await, 30);
    assert_eq!(fixture.files_read(&part).await, 2, "half a day has to be looked at");
}

#[tokio::test]
async fn dates_of_the_time_prune_days() {
    let fixture = five_days().await;
    for filter in ["CAST(event_time AS DATE) = DATE '2026-01-03'", "to_date(event_time) = DATE '2026-01-03'"] {
        let query = format!("SELECT sum(user_id) FROM events WHERE {filter}");
        assert_eq!(fixture.files_read(&query).await, 1, "{filter}");
        assert_eq!(fixture.number(&format!("SELECT count(*) FROM events WHERE {filter}")).await, 24, "{filter}");
    }
}

#[tokio::test]
async fn statistics_prune_files_of_one_day() {
    let fixture = Fixture::events().await;
    // Three files of one day: users 0 to 4, 10 to 14, 20 to 24.
    for group in 0..3 {
        let query = format!(
            "SELECT event_time, user_id + {} AS user_id, event_name, amount FROM ({})",
            group * 10,
            hourly(0, 24)
        );
        fixture.insert(&query).await;
    }
    fixture.register().await;
    assert_eq!(fixture.files_read("SELECT * FROM events").await, 3);
    assert_eq!(fixture.files_read("SELECT amount FROM events WHERE user_id = 12").await, 1);
    assert_eq!(fixture.files_read("SELECT amount FROM events WHERE user_id IN (1, 21)").await, 2);
    assert_eq!(fixture.files_read("SELECT amount FROM events WHERE user_id = 7").await, 0);
    assert_eq!(fixture.number("SELECT count(*) FROM events WHERE user_id = 12").await, 5);
    assert_eq!(fixture.number("SELECT max(user_id) FROM events").await, 24);
    assert_eq!(fixture.files_read("SELECT min(event_time), max(user_id) FROM events").await, 0, "the log knows both");
}

#[tokio::test]
async fn candidates_of_a_delete_are_told_apart() {
    let fixture = five_days().await;
    let scan = fixture.scan().await;
    let day =
        |day: i64| lit(datafusion::scalar::ScalarValue::TimestampMicrosecond(Some(NEW_YEAR + day * 24 * HOUR), None));
    let filters: Vec<Expr> = vec![col("event_time").lt(day(2))];
    let state = fixture.context.state();
    let candidates = scan.candidates(&state, &filters).await.expect("candidates");
    assert_eq!((candidates.whole.len(), candidates.partial.len()), (2, 0));
    let filters = vec![col("event_time").lt(day(2)), col("user_id").eq(lit(3_i64))];
    let candidates = scan.candidates(&state, &filters).await.expect("candidates");
    assert_eq!((candidates.whole.len(), candidates.partial.len()), (0, 2));
    assert_eq!(scan.candidate_files(&state, &filters).await.expect("files").len(), 2);
    assert_eq!(scan.candidate_files(&state, &[]).await.expect("files").len(), 5);
}

#[tokio::test]
async fn order_is_declared_where_it_is_true() {
    let fixture = five_days().await;
    let ordered = |scans: &[FileScanConfig]| scans.iter().all(|scan| !scan.output_ordering.is_empty());

    let one_day = format!("SELECT * FROM events WHERE event_time < {}", time("2026-01-02T00:00:00"));
    assert!(ordered(&fixture.scans(&one_day).await), "one file is sorted");
    assert!(!ordered(&fixture.scans("SELECT * FROM events").await), "five files of all users in two groups are not");

    let sorted = format!("{one_day} ORDER BY user_id, event_time");
    let plan = displayable(fixture.plan(&sorted).await.as_ref()).indent(true).to_string();
    assert!(!plan.contains("SortExec"), "the file is in that order already: {plan}");

    let query = "SELECT user_id, event_time, amount FROM events ORDER BY user_id, event_time";
    let by_sorting = fixture.answer(query).await;
    fixture.register_scan(fixture.scan().await.with_ordered_files_max(5));
    let scans = fixture.scans(query).await;
    assert!(ordered(&scans) && scans[0].file_groups.len() == 5, "each file in a group of its own, if asked for");
    assert_eq!(fixture.answer(query).await, by_sorting, "a merge gives the rows in the order the sort gave");
}

#[tokio::test]
async fn disjoint_files_keep_their_order_in_one_group() {
    let fixture = Fixture::events().await;
    for group in [2, 0, 1, 3] {
        let query = format!(
            "SELECT event_time, user_id + {} AS user_id, event_name, amount FROM ({})",
            group * 10,
            hourly(0, 24)
        );
        fixture.insert(&query).await;
    }
    fixture.register().await;
    let query = "SELECT user_id, event_time FROM events ORDER BY user_id, event_time";
    let scans = fixture.scans(query).await;
    assert!(scans.iter().all(|scan| !scan.output_ordering.is_empty() && scan.file_groups.len() <= CORES));
    let batches = fixture.context.sql(query).await.expect("a plan").collect().await.expect("rows");
    let users: Vec<i64> =
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
    assert!(users.len() == 96 && users.is_sorted());
}

#[tokio::test]
async fn unsorted_files_declare_no_order() {
    let fixture = five_days().await;
    let snapshot = fixture.table.snapshot().await.expect("a snapshot");
    let mut file = snapshot.files()[0].clone();
    file.sorted = false;
    fixture.register_scan(TableScan::of_files(fixture.table.clone(), snapshot, "shop", "events", vec![file]));
    let scans = fixture.scans("SELECT * FROM events").await;
    assert!(scans.len() == 1 && scans[0].output_ordering.is_empty());
}

#[tokio::test]
async fn a_limit_reads_no_more_files_than_it_needs() {
    let fixture = five_days().await;
    assert_eq!(fixture.files_read("SELECT * FROM events LIMIT 3").await, 1);
    assert_eq!(fixture.files_read("SELECT * FROM events LIMIT 25").await, 2);
    assert_eq!(fixture.number("SELECT count(*) FROM (SELECT * FROM events LIMIT 25)").await, 25);
    let filtered = "SELECT * FROM events WHERE event_name = 'pay' LIMIT 30";
    assert_eq!(fixture.files_read(filtered).await, 5, "rows that the filter rejects do not count");
    assert_eq!(fixture.number(&format!("SELECT count(*) FROM ({filtered})")).await, 30);
}

#[tokio::test]
async fn a_big_file_is_shared_by_the_cores() {
    let fixture = Fixture::events().await;
    let rows = 300_000;
    // Numbers that do not compress, so that the file is big with few rows.
    let query = format!(
        "SELECT arrow_cast({NEW_YEAR} + (value * 7919 * 1000003) % 86400000000, 'Timestamp(Microsecond, None)') \
         AS event_time, \
         (value * 2654435761 % 4294967291) * 1000003 AS user_id, 'pay' AS event_name, \
         (value * 40503 % 2147483647) * 1000000007 AS amount FROM generate_series(1, {rows})"
    );
    fixture.insert(&query).await;
    fixture.register().await;
    let plan = fixture.plan("SELECT user_id, event_time, amount FROM events").await;
    let scans = scans_of(&plan);
    assert_eq!(scans[0].file_groups.len(), CORES);
    assert!(scans[0].file_groups.iter().all(|group| group.len() == 1 && group[0].range.is_some()));
    let parts = collect_partitioned(plan, fixture.context.task_ctx()).await.expect("rows");
    let counts: Vec<usize> = parts.iter().map(|part| part.iter().map(RecordBatch::num_rows).sum()).collect();
    assert_eq!(counts.iter().sum::<usize>(), rows);
    assert!(counts.iter().all(|count| *count > rows / 4), "both cores have work: {counts:?}");
    for part in &parts {
        let users = part.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
        assert!(users.is_sorted(), "a part of a sorted file is sorted");
    }
}

/// Every filter gives the same rows from files as from memory: what is proven, pruned, pushed into the decoder or left
/// above the scan, on columns with NULLs and on one that the first files lack.
#[tokio::test]
async fn filters_answer_as_from_memory() {
    let fixture = Fixture::events().await;
    let old = hourly(0, 72);
    fixture.insert(&old).await;
    let mut channel = column("channel", ColumnType::VarChar { length: 16 }, true);
    channel.default = Some("'direct'".into());
    fixture.table.add_column(&channel).await.expect("a column more");
    fixture.table.add_column(&column("note", ColumnType::Text { bytes_max: 65_535 }, true)).await.expect("another");
    let new = format!(
        "SELECT *, CASE WHEN user_id = 1 THEN NULL WHEN user_id = 2 THEN 'direct' ELSE 'email' END AS channel, \
         CASE WHEN amount > 90 THEN 'n' || amount END AS note FROM ({})",
        hourly(48, 72)
    );
    fixture.insert(&new).await;
    fixture.register().await;
    let all = format!("SELECT *, 'direct' AS channel, arrow_cast(NULL, 'Utf8') AS note FROM ({old}) UNION ALL {new}");
    let rows = fixture.context.sql(&all).await.expect("rows").collect().await.expect("rows");
    let memory = MemTable::try_new(rows[0].schema(), vec![rows]).expect("a table");
    fixture.context.register_table("memory", Arc::new(memory)).expect("a name");

    let noon = time("2026-01-03T12:00:00");
    let filters = [
        "TRUE".to_owned(),
        "user_id = 3".into(),
        "user_id > 2 AND amount IS NULL".into(),
        "amount IS NOT NULL".into(),
        "NOT (user_id = 1)".into(),
        "user_id + 1 = 4".into(),
        "user_id BETWEEN 1 AND 2".into(),
        "user_id >= 0".into(),
        "amount > 1000".into(),
        "amount >= 0".into(),
        "NOT (amount >= 0)".into(),
        "amount % 7 = 3 OR user_id = 1".into(),
        "event_name = 'pay'".into(),
        "event_name <> 'pay'".into(),
        "event_name IN ('pay', 'search', 'none')".into(),
        "event_name NOT IN ('pay', 'none')".into(),
        "event_name LIKE 'p%'".into(),
        "length(event_name) > 3".into(),
        format!("event_time < {noon}"),
        format!("event_time >= {noon} AND event_name = 'pay'"),
        format!("{noon} > event_time OR channel = 'email'"),
        "CAST(event_time AS DATE) = DATE '2026-01-03'".into(),
        "CAST(event_time AS DATE) IN (DATE '2026-01-01', DATE '2026-01-05')".into(),
        "channel = 'direct'".into(),
        "channel <> 'direct'".into(),
        "channel IS NULL".into(),
        "channel IS NOT NULL".into(),
        "channel IS DISTINCT FROM 'email'".into(),
        "coalesce(channel, 'none') = 'none'".into(),
        "channel = 'direct' AND amount > 50".into(),
        "channel = event_name OR user_id = 4".into(),
        "note IS NULL".into(),
        "note = 'n91'".into(),
        "note IS NOT NULL AND channel = 'email'".into(),
        "amount < (SELECT avg(amount) FROM memory)".into(),
        "user_id IN (SELECT user_id FROM memory WHERE note IS NOT NULL)".into(),
    ];
    let columns = "count(*), sum(user_id), sum(amount), count(channel), min(channel), max(note), min(event_time), \
                   max(event_time), count(note)";
    for filter in &filters {
        let query = |table: &str| format!("SELECT {columns} FROM {table} AS t WHERE {filter}");
        assert_eq!(fixture.answer(&query("events")).await, fixture.answer(&query("memory")).await, "{filter}");
        let rows = |table: &str| format!("SELECT * FROM {table} AS t WHERE {filter}");
        let sorted = |answer: String| {
            let mut lines: Vec<String> = answer.lines().map(str::to_owned).collect();
            lines.sort();
            lines.join("\n")
        };
        let (files, memory) = (fixture.answer(&rows("events")).await, fixture.answer(&rows("memory")).await);
        assert_eq!(sorted(files), sorted(memory), "{filter}");
    }
}

#[tokio::test]
async fn fields_say_where_they_come_from() {
    let fixture = five_days().await;
    let schema = fixture.scan().await.schema();
    let field = schema.field_with_name("event_name").expect("a column");
    assert_eq!(field.data_type(), &DataType::Utf8View);
    assert!(!field.is_nullable());
    let value = |key: &str| field.metadata().get(key).map(String::as_str);
    assert_eq!(value("desirepath.database"), Some("shop"));
    assert_eq!(value("desirepath.table"), Some("events"));
    assert_eq!(value("desirepath.column"), Some("event_name"));
    assert_eq!(value("desirepath.type"), Some("varchar(64)"));
    let batches =
        fixture.context.sql("SELECT event_name FROM events").await.expect("a plan").collect().await.expect("rows");
    assert_eq!(batches[0].schema().field(0).metadata(), field.metadata());
}

/// A table as Spark lays it out: the partition column between the others, its value only in the log, once NULL.
#[tokio::test]
async fn partition_columns_of_foreign_tables_are_columns() {
    let (context, stores) = session();
    let url = Url::parse("memory://foreign/sales/").expect("a URL");
    let (store, root) = stores.open(&url).expect("a store");
    let parts = [("de", vec![1, 2, 3]), ("fr", vec![4, 5]), ("", vec![6])];
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind, "nullable": true, "metadata": {} });
    let schema = json!({
        "type": "struct",
        "fields": [field("id", "long"), field("country", "string"), field("amount", "double")],
    });
    let mut lines = vec![
        json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } }),
        json!({ "metaData": {
            "id": "6c0c6d1f-7b0e-4a3e-9a51-000000000001", "format": { "provider": "parquet", "options": {} },
            "schemaString": schema.to_string(), "partitionColumns": ["country"], "configuration": {}, "createdTime": 0,
        } }),
    ];
    for (country, ids) in parts {
        let amounts: Vec<f64> = ids.iter().map(|id| f64::from(*id) / 2.0).collect();
        let ids: Vec<i64> = ids.into_iter().map(i64::from).collect();
        let file = parquet(vec![
            ("id", Arc::new(Int64Array::from(ids.clone())) as ArrayRef),
            ("amount", Arc::new(Float64Array::from(amounts))),
        ]);
        let name = format!("country={country}/part.parquet");
        let size = file.len();
        store
            .put(&root.clone().join(format!("country={country}")).join("part.parquet"), file.into())
            .await
            .expect("a file");
        let value = if country.is_empty() { json!(null) } else { json!(country) };
        lines.push(json!({ "add": {
            "path": name, "partitionValues": { "country": value }, "size": size, "modificationTime": 1,
            "dataChange": true,
            "stats": json!({
                "numRecords": ids.len(), "minValues": { "id": ids[0] }, "maxValues": { "id": ids[ids.len() - 1] },
                "nullCount": { "id": 0, "amount": 0 },
            }).to_string(),
        } }));
    }
    let log: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let entry = root.clone().join("_delta_log").join("00000000000000000000.json");
    store.put(&entry, log.join("\n").into_bytes().into()).await.expect("the log");

    let table = Arc::new(Table::open(&stores, &url, None).await.expect("the table opens"));
    let fixture = Fixture { context, table };
    fixture.register().await;
    assert_eq!(fixture.scan().await.schema().field(1).name(), "country", "columns keep their places");
    assert_eq!(fixture.number("SELECT count(*) FROM events").await, 6);
    assert_eq!(fixture.number("SELECT count(country) FROM events").await, 5, "one country is NULL");
    assert_eq!(fixture.number("SELECT sum(id) FROM events WHERE country = 'fr'").await, 9);
    assert_eq!(fixture.files_read("SELECT amount FROM events WHERE country = 'fr'").await, 1);
    assert_eq!(fixture.files_read("SELECT amount FROM events WHERE country IS NULL").await, 1);
    assert_eq!(fixture.number("SELECT sum(id) FROM events WHERE country IS NULL").await, 6);
    assert_eq!(fixture.number("SELECT sum(id) FROM events WHERE country <> 'de'").await, 9);
    let text = fixture.answer("SELECT * FROM events WHERE id = 4").await;
    assert!(text.contains("| 4  | fr      | 2.0    |"), "{text}");
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let batch =
        RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, array)| array).collect()).expect("rows");
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.into_inner().expect("a file")
}

/// A folder of files that SQL may read, and a session.
struct Files {
    folder: TempDir,
    context: SessionContext,
    stores: Arc<ObjectStores>,
    allowed: AllowedPaths,
}

impl Files {
    fn new() -> Files {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = folder.path().join("open");
        fs::create_dir_all(&open).expect("a folder");
        let (context, stores) = session();
        let allowed = AllowedPaths::new(&[open.display().to_string()]).expect("allowed paths");
        Files { folder, context, stores, allowed }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join("open").join(name).display().to_string()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(FilePath::new(&path).parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    async fn compressed(&self, name: &str, content: &str, compression: FileCompressionType) {
        let text = content.as_bytes().to_vec();
        let chunks = futures::stream::iter([Ok::<_, DataFusionError>(text.into())]).boxed();
        let packed = compression.convert_to_compress_stream(chunks).expect("a compressor");
        let packed: Vec<bytes::Bytes> = packed.try_collect().await.expect("compressed");
        self.write(name, packed.concat());
    }

    async fn read(
        &self,
        format: SourceFormat,
        pattern: &str,
        options: &ReadOptions,
    ) -> desirepath::error::Result<Arc<dyn TableProvider>> {
        read_files(&self.context.state(), &self.stores, &self.allowed, format, pattern, options).await
    }

    /// Reads files by a pattern in the open folder as the table `t`, and answers a query on it.
    async fn query(&self, format: SourceFormat, pattern: &str, query: &str) -> String {
        let table = self.read(format, &self.path(pattern), &ReadOptions::default()).await.expect(pattern);
        self.query_table(table, query).await
    }

    async fn query_table(&self, table: Arc<dyn TableProvider>, query: &str) -> String {
        self.context.deregister_table("t").expect("a name");
        self.context.register_table("t", table).expect("a name");
        let batches = self.context.sql(query).await.expect(query).collect().await.expect(query);
        let rows: Vec<String> =
            pretty_format_batches(&batches).expect(query).to_string().lines().map(str::to_owned).collect();
        // Without the frame: one line a row, cells between bars.
        let cells = |line: &String| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(",");
        rows.iter().skip(3).filter(|line| line.starts_with('|')).map(cells).collect::<Vec<_>>().join("\n")
    }

    async fn refusal(&self, format: SourceFormat, pattern: &str) -> (Kind, String) {
        match self.read(format, pattern, &ReadOptions::default()).await {
            Ok(_) => panic!("{pattern} is read"),
            Err(error) => (error.kind(), error.to_string()),
        }
    }
}

#[tokio::test]
async fn csv_files_compressed_and_not_are_one_table() {
    let files = Files::new();
    files.write("in/a.csv", "id,name,price\n1,one,1.5\n2,\"two, and\nmore\",2\n");
    files.compressed("in/b.csv.gz", "id,name,price\n3,three,\n", FileCompressionType::GZIP).await;
    files.compressed("in/c.csv.zst", "price,id,extra\n4.25,4,yes\n", FileCompressionType::ZSTD).await;
    files.write("in/d.txt", "not for the pattern");
    files.write("in/empty.csv", "");
    let query = "SELECT id, name, price, extra FROM t ORDER BY id";
    let all = files.query(SourceFormat::Csv, "in/*.csv*", query).await;
    assert!(all.starts_with("1,one,1.5,\n2,two"), "{all}");
    assert!(all.ends_with("3,three,,\n4,,4.25,yes"), "{all}");
    assert_eq!(files.query(SourceFormat::Csv, "in/*.{gz,zst}", "SELECT count(*), sum(id) FROM t").await, "2,7");
    assert_eq!(files.query(SourceFormat::Csv, "in/[ab].csv*", "SELECT count(*) FROM t").await, "3");
    assert_eq!(files.query(SourceFormat::Csv, "in/a.csv", "SELECT count(*) FROM t").await, "2");
    assert_eq!(files.query(SourceFormat::Csv, "**/?.csv", "SELECT count(*) FROM t").await, "2");
    assert_eq!(files.query(SourceFormat::Csv, "in/a.csv", "SELECT price FROM t WHERE id > 1 LIMIT 1").await, "2.0");
}

#[tokio::test]
async fn csv_columns_have_the_types_of_their_values() {
    let files = Files::new();
    files.write(
        "types.csv",
        "whole,code,large,price,yes,day,local,instant,mixed,nothing,words\n\
         1,00501,18446744073709551615,1.25,true,2026-01-31,2026-01-31 10:00:00,2026-01-31T10:00:00+02:00,\
         2026-01-31,,a\n\
         -2,12345,5,2,FALSE,2025-02-28,2026-01-31T10:00:00.123456,2026-01-31T10:00:00Z,2026-01-31 01:02:03,,1x\n\
         ,,,,,,,,,,\n",
    );
    let table =
        files.read(SourceFormat::Csv, &files.path("types.csv"), &ReadOptions::default()).await.expect("a table");
    let types: Vec<DataType> = table.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    let local = DataType::Timestamp(TimeUnit::Microsecond, None);
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let text = DataType::Utf8View;
    let expected = [
        DataType::Int64,
        text.clone(),
        text.clone(),
        DataType::Float64,
        DataType::Boolean,
        DataType::Date32,
        local.clone(),
        instant,
        local,
        text.clone(),
        text,
    ];
    assert_eq!(types, expected);
    let query = "SELECT code, large, CAST(local AS VARCHAR), CAST(instant AS VARCHAR) FROM t WHERE whole = 1";
    let row = files.query_table(table, query).await;
    assert_eq!(row, "00501,18446744073709551615,2026-01-31T10:00:00,2026-01-31T08:00:00Z");
}

#[tokio::test]
async fn csv_options_are_followed() {
    let files = Files::new();
    files.write("dialect.csv", "1;'a;b';\n2;'';x\n");
    let options = ReadOptions { header: false, delimiter: b';', quote: b'\'', ..ReadOptions::default() };
    let table = files.read(SourceFormat::Csv, &files.path("dialect.csv"), &options).await.expect("a table");
    let query = "SELECT column_1, column_2, column_3 IS NULL FROM t ORDER BY 1";
    assert_eq!(files.query_table(table, query).await, "1,a;b,true\n2,,false");
}

#[tokio::test]
async fn a_sample_that_ends_in_a_record_is_enough() {
    let files = Files::new();
    let mut text = String::from("id,note\n");
    for id in 0..30_000 {
        text.push_str(&format!("{id},\"line one\nline two of {id}\"\n"));
    }
    files.compressed("long.csv.gz", &text, FileCompressionType::GZIP).await;
    let options = ReadOptions { sample_bytes: 70_000, ..ReadOptions::default() };
    let table = files.read(SourceFormat::Csv, &files.path("long.csv.gz"), &options).await.expect("a table");
    assert_eq!(files.query_table(table, "SELECT count(*), sum(id) FROM t").await, "30000,449985000");
}

#[tokio::test]
async fn json_objects_keep_what_they_hold() {
    let files = Files::new();
    files.write(
        "a.jsonl",
        "{\"id\": 1, \"time\": \"2026-01-31T10:00:00Z\", \"props\": {\"url\": \"/\", \"n\": [1, null]}, \"v\": 1}\n\
         \n{\"id\": 2, \"props\": null, \"v\": 1.5, \"text\": \"a } \\\" b\"}\n",
    );
    files
        .compressed(
            "b.json.gz",
            "[\n {\"id\": 3, \"ok\": true},\n {\"id\": 4, \"props\": []}\n]",
            FileCompressionType::GZIP,
        )
        .await;
    let query = "SELECT id, CAST(time AS VARCHAR), props, v, text, ok FROM t ORDER BY id";
    let rows = files.query(SourceFormat::Json, "*.json*", query).await;
    let expected =
        "1,2026-01-31T10:00:00Z,{\"n\":[1,null],\"url\":\"/\"},1.0,,\n2,,,1.5,a } \" b,\n3,,,,,true\n4,,[],,,";
    assert_eq!(rows, expected);
    assert_eq!(files.query(SourceFormat::Json, "*.json*", "SELECT count(*) FROM t").await, "4");
    assert_eq!(files.query(SourceFormat::Json, "a.jsonl", "SELECT v FROM t WHERE id = 2 LIMIT 1").await, "1.5");
}

#[tokio::test]
async fn json_beyond_its_sample_is_refused_not_bent() {
    let files = Files::new();
    let mut text = "{\"id\": 1}\n".repeat(5000);
    text.push_str("{\"id\": 1, \"late\": 2}\n");
    files.write("late.json", &text);
    files.write("bent.json", text.replace(", \"late\": 2", ".5"));
    files.write("cut.json", "{\"id\": 1}\n{\"id\": ");
    let options = ReadOptions { sample_bytes: 1000, ..ReadOptions::default() };
    for (name, words) in [("late.json", "'late' is in no object"), ("bent.json", "value 1.5 of 'id'")] {
        let table = files.read(SourceFormat::Json, &files.path(name), &options).await.expect(name);
        files.context.deregister_table("t").expect("a name");
        files.context.register_table("t", table).expect("a name");
        let result = files.context.sql("SELECT sum(id) FROM t").await.expect("a plan").collect().await;
        let error = desirepath::error::Error::from(result.expect_err(name));
        assert!(error.kind() == Kind::IncorrectValue && error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains("object 5001"), "{error}");
    }
    let (kind, message) = files.refusal(SourceFormat::Json, &files.path("cut.json")).await;
    assert!(kind == Kind::InvalidJson && message.contains("object 2"), "{message}");
}

#[tokio::test]
async fn parquet_files_are_united_by_column_name() {
    let files = Files::new();
    let numbers = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    files.write("p/a.parquet", parquet(vec![("a", numbers(vec![1, 2])), ("b", numbers(vec![10, 20]))]));
    files.write("p/deep/b.parquet", parquet(vec![("c", numbers(vec![300])), ("a", numbers(vec![3]))]));
    files.write("p/_hidden/c.parquet", "not Parquet");
    files.write("p/README.md", "not Parquet");
    assert_eq!(files.query(SourceFormat::Parquet, "p", "SELECT sum(a), sum(b), sum(c) FROM t").await, "6,30,300");
    assert_eq!(files.query(SourceFormat::Parquet, "p/", "SELECT a FROM t WHERE b IS NULL").await, "3");
    assert_eq!(files.query(SourceFormat::Parquet, "p/*.parquet", "SELECT count(*) FROM t WHERE a > 1").await, "1");
    files.write("bad.parquet", "this is no Parquet file at all");
    let (kind, message) = files.refusal(SourceFormat::Parquet, &files.path("bad.parquet")).await;
    assert!(kind == Kind::WrongArguments && message.contains("bad.parquet"), "{message}");
}

#[tokio::test]
async fn places_that_are_not_allowed_are_refused() {
    let files = Files::new();
    files.write("a.csv", "id\n1\n");
    let secret = files.folder.path().join("secret.csv");
    fs::write(&secret, "id\n2\n").expect("a file");
    std::os::unix::fs::symlink(&secret, files.path("link.csv")).expect("a link");
    let outside = [
        secret.display().to_string(),
        files.path("../secret.csv"),
        files.path("link.csv"),
        files.path("*.csv"),
        "s3://bucket/a.csv".into(),
        "/etc/passwd".into(),
    ];
    for pattern in outside {
        let (kind, message) = files.refusal(SourceFormat::Csv, &pattern).await;
        assert!(kind == Kind::FileNotAllowed && message.contains("--allow-path"), "{pattern}: {message}");
    }
    for pattern in ["none.csv", "none-*.csv", "nowhere/"] {
        let (kind, message) = files.refusal(SourceFormat::Csv, &files.path(pattern)).await;
        assert!(kind == Kind::FileNotFound && message.contains("not found"), "{pattern}: {message}");
    }
    assert_eq!(files.query(SourceFormat::Csv, "a.csv", "SELECT id FROM t").await, "1");
}
