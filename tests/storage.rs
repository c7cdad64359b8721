//! Delta tables as the write path makes them: create, append, races, crashes between files and commit, TRUNCATE, ADD
//! COLUMN, OPTIMIZE, vacuum, and logs of other engines. Rows are read back through the scan.

mod foreign;
mod layout;
mod races;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::Int64Type;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake_core::kernel::Add;
use desirepath::config::Settings;
use desirepath::error::{Kind, Result};
use desirepath::storage::compact;
use desirepath::storage::delta::{Operation, Table};
use desirepath::storage::object_store::ObjectStores;
use desirepath::storage::scan::TableScan;
use desirepath::storage::types::{Column, ColumnType, EventColumns, TableSchema};
use desirepath::storage::write::{WriteLimits, discard, write_rows};
use futures::TryStreamExt;
use url::Url;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// Stores of one engine and a session that reads through them.
pub(crate) struct Bench {
    pub stores: Arc<ObjectStores>,
    pub session: SessionContext,
    pub url: Url,
}

/// One event: user, microseconds since 1970, name.
pub(crate) type Event = (i64, i64, &'static str);

impl Bench {
    fn new() -> Bench {
        Bench::at("memory://storage/table/")
    }

    fn at(url: &str) -> Bench {
        let stores = Arc::new(ObjectStores::new(&Settings::default()).expect("default settings open"));
        let runtime = RuntimeEnvBuilder::new().with_object_store_registry(stores.clone()).build_arc();
        let config = SessionConfig::new().with_target_partitions(2);
        let session = SessionContext::new_with_config_rt(config, runtime.expect("a runtime"));
        Bench { stores, session, url: Url::parse(url).expect("a URL") }
    }

    async fn events(&self) -> Table {
        Table::create(&self.stores, &self.url, &event_schema()).await.expect("a new event table")
    }

    async fn open(&self) -> Table {
        Table::open(&self.stores, &self.url, event_schema().event).await.expect("the table opens")
    }

    /// Writes files without committing them.
    async fn write(&self, table: &Table, batch: RecordBatch, limits: &WriteLimits) -> Result<Vec<Add>> {
        let schema = table.snapshot().await?.schema().clone();
        let input = MemorySourceConfig::try_new_exec(&[vec![batch.clone()]], batch.schema(), None)?;
        write_rows(table, &schema, input, self.session.task_ctx(), limits, &|_| {}).await
    }

    async fn append(&self, table: &Table, events: &[Event]) -> Result<u64> {
        let read = table.snapshot().await?;
        let adds = self.write(table, batch(events), &limits()).await?;
        table.commit(&read, Operation::Append, adds, &[]).await
    }

    async fn scan(&self, table: &Arc<Table>) -> Vec<RecordBatch> {
        let snapshot = table.snapshot().await.expect("a snapshot");
        let scan = TableScan::new(table.clone(), snapshot, "db", "t");
        let frame = self.session.read_table(Arc::new(scan)).expect("a scan");
        frame.collect().await.expect("rows")
    }

    /// All users of the table, sorted.
    async fn users(&self, table: &Arc<Table>) -> Vec<i64> {
        let mut users: Vec<i64> = Vec::new();
        for batch in self.scan(table).await {
            let column = batch.column_by_name("user_id").expect("user_id").as_primitive::<Int64Type>().clone();
            users.extend(column.values().iter());
        }
        users.sort_unstable();
        users
    }

    /// Names of all Parquet files below the table's folder that are not of the log.
    async fn data_files(&self) -> Vec<String> {
        let (store, root) = self.stores.open(&self.url).expect("a store");
        let files: Vec<_> =
            store.list(Some(&root)).map_ok(|file| file.location.to_string()).try_collect().await.expect("a list");
        files.into_iter().filter(|name| name.ends_with(".parquet") && !name.contains("_delta_log")).collect()
    }

    /// Puts one entry of the log as another engine would have written it.
    async fn put_entry(&self, version: u64, lines: &[String]) {
        use object_store::ObjectStoreExt;
        let (store, root) = self.stores.open(&self.url).expect("a store");
        let path = root.join("_delta_log").join(format!("{version:020}.json"));
        store.put(&path, lines.join("\n").into_bytes().into()).await.expect("an entry");
    }
}

fn limits() -> WriteLimits {
    WriteLimits { row_group_rows: 131_072, target_file_bytes: 256 << 20 }
}

fn column(name: &str, column_type: ColumnType, nullable: bool) -> Column {
    Column { name: name.into(), column_type, nullable, default: None, comment: String::new() }
}

fn event_schema() -> TableSchema {
    TableSchema {
        columns: vec![
            column("event_time", ColumnType::DateTime { fraction: 6 }, false),
            column("user_id", ColumnType::BigInt { unsigned: false }, false),
            column("event_name", ColumnType::VarChar { length: 64 }, false),
            column("props", ColumnType::Json, true),
        ],
        event: Some(EventColumns { user: "user_id".into(), time: "event_time".into(), event: "event_name".into() }),
    }
}

fn batch(events: &[Event]) -> RecordBatch {
    let schema = event_schema().arrow();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(events.iter().map(|event| event.1))),
        Arc::new(Int64Array::from_iter_values(events.iter().map(|event| event.0))),
        Arc::new(StringArray::from_iter_values(events.iter().map(|event| event.2))),
        new_null_array(schema.field(3).data_type(), events.len()),
    ];
    RecordBatch::try_new(schema, columns).expect("a batch of events")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_made_once_and_opens_as_it_was_made() {
    let bench = Bench::new();
    let missing = Table::open(&bench.stores, &bench.url, None).await.expect_err("nothing is there");
    assert_eq!(missing.kind(), Kind::FileNotFound);
    let made = bench.events().await;
    let opened = bench.open().await;
    for table in [&made, &opened] {
        let snapshot = table.snapshot().await.expect("a snapshot");
        assert_eq!(snapshot.version(), 0);
        assert_eq!(**snapshot.schema(), event_schema());
        assert!(snapshot.files().is_empty());
        assert!(snapshot.partition_columns().is_empty(), "people do not see the day column");
    }
    let again = Table::create(&bench.stores, &bench.url, &event_schema()).await.expect_err("it is there");
    assert_eq!(again.kind(), Kind::TableExists);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appended_rows_are_seen_by_every_server() {
    let bench = Bench::new();
    let here = Arc::new(bench.events().await);
    let there = Arc::new(bench.open().await);
    bench.append(&here, &[(2, 5, "b"), (1, 7, "a")]).await.expect("a commit");
    assert_eq!(bench.users(&there).await, [1, 2]);
    bench.append(&there, &[(3, DAY, "c")]).await.expect("a commit");
    assert_eq!(bench.users(&here).await, [1, 2, 3]);
    assert_eq!(bench.users(&Arc::new(bench.open().await)).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_local_folder_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = ObjectStores::parse_location(&folder.path().join("table").display().to_string()).expect("a location");
    let bench = Bench::at(url.as_str());
    let table = Arc::new(bench.events().await);
    bench.append(&table, &[(1, 0, "a"), (2, DAY, "b")]).await.expect("a commit");
    assert_eq!(bench.users(&Arc::new(bench.open().await)).await, [1, 2]);
    assert!(folder.path().join("table/_delta_log/00000000000000000001.json").is_file());
}

/// A crash after the files and before the commit: the table is as before, and the files go with the next vacuum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_without_a_commit_do_not_exist() {
    let bench = Bench::new();
    let table = Arc::new(bench.events().await);
    bench.append(&table, &[(1, 0, "a")]).await.expect("a commit");
    let lost = bench.write(&table, batch(&[(9, 0, "x"), (9, DAY, "x")]), &limits()).await.expect("files");
    assert_eq!(lost.len(), 2);
    let reopened = Arc::new(bench.open().await);
    assert_eq!(reopened.snapshot().await.expect("a snapshot").version(), 1);
    assert_eq!(bench.users(&reopened).await, [1]);
    assert_eq!(bench.data_files().await.len(), 3);
    assert_eq!(compact::vacuum(&reopened, std::time::Duration::from_secs(3600)).await.expect("vacuum"), 0);
    // A negative age is not to be had; files of this millisecond are not older than it, so wait for the next one.
    let written = lost.iter().map(|add| add.modification_time).max().unwrap_or_default();
    while chrono::Utc::now().timestamp_millis() <= written + 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(compact::vacuum(&reopened, std::time::Duration::ZERO).await.expect("vacuum"), 2);
    assert_eq!(bench.data_files().await.len(), 1);
    assert_eq!(bench.users(&reopened).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discarded_files_are_gone() {
    let bench = Bench::new();
    let table = bench.events().await;
    let adds = bench.write(&table, batch(&[(9, 0, "x"), (9, DAY, "x")]), &limits()).await.expect("files");
    discard(&table, &adds).await;
    assert!(bench.data_files().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncate_removes_all_rows_in_one_version() {
    let bench = Bench::new();
    let table = Arc::new(bench.events().await);
    assert_eq!(table.truncate().await.expect("an empty table"), 0);
    bench.append(&table, &[(1, 0, "a"), (2, DAY, "b")]).await.expect("a commit");
    assert_eq!(table.truncate().await.expect("truncate"), 2);
    let snapshot = table.snapshot().await.expect("a snapshot");
    assert_eq!((snapshot.version(), snapshot.files().len()), (2, 0));
    assert!(bench.users(&Arc::new(bench.open().await)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_column_is_null_in_old_rows() {
    let bench = Bench::new();
    let table = Arc::new(bench.events().await);
    bench.append(&table, &[(1, 0, "a")]).await.expect("a commit");
    let before = table.snapshot().await.expect("a snapshot");
    let stale = bench.write(&table, batch(&[(2, 0, "b")]), &limits()).await.expect("files");

    table.add_column(&column("amount", ColumnType::Decimal { precision: 12, scale: 2 }, true)).await.expect("a column");
    let twice = table.add_column(&column("AMOUNT", ColumnType::Double, true)).await.expect_err("the name is taken");
    assert_eq!(twice.kind(), Kind::DuplicateColumn);
    let required = table.add_column(&column("b", ColumnType::Double, false)).await.expect_err("there are rows");
    assert_eq!(required.kind(), Kind::Unsupported);

    let names: Vec<_> = bench
        .open()
        .await
        .snapshot()
        .await
        .expect("a snapshot")
        .schema()
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    assert_eq!(names, ["event_time", "user_id", "event_name", "props", "amount"]);
    let rows = bench.scan(&table).await;
    let amount = rows[0].column_by_name("amount").expect("the new column");
    assert_eq!((amount.len(), amount.null_count()), (1, 1));

    let late = table.commit(&before, Operation::Append, stale, &[]).await.expect_err("written for other columns");
    assert_eq!(late.kind(), Kind::Conflict);
    assert_eq!(bench.data_files().await.len(), 1, "a refused commit leaves no files");
}

/// Checkpoints every 50 commits: a table opens from one, and a server that fell far behind catches up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_commits_make_a_checkpoint() {
    let bench = Bench::new();
    let table = Arc::new(bench.events().await);
    let behind = Arc::new(bench.open().await);
    for user in 0..60 {
        bench.append(&table, &[(user, user * HOUR, "a")]).await.expect("a commit");
    }
    let (store, root) = bench.stores.open(&bench.url).expect("a store");
    let log: Vec<_> = store
        .list(Some(&root.join("_delta_log")))
        .map_ok(|file| file.location.to_string())
        .try_collect()
        .await
        .expect("a list");
    assert!(log.iter().any(|name| name.contains("00000000000000000049.checkpoint")), "{log:?}");
    let reopened = Arc::new(bench.open().await);
    let expected: Vec<i64> = (0..60).collect();
    for table in [&table, &behind, &reopened] {
        assert_eq!(bench.users(table).await, expected);
    }
    let (followed, read) =
        (table.snapshot().await.expect("a snapshot"), reopened.snapshot().await.expect("a snapshot"));
    for (left, right) in followed.files().iter().zip(read.files()) {
        assert_eq!((&left.path, left.rows, left.day, left.sorted), (&right.path, right.rows, right.day, right.sorted));
        assert_eq!(left.columns, right.columns);
    }
}
