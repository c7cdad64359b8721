//! What the files look like: one a day, sorted, cut between users, encoded for other engines, with statistics; and what
//! OPTIMIZE makes of many small ones.

use arrow::array::Decimal128Array;
use datafusion::scalar::ScalarValue;
use parquet::basic::{Compression, Encoding, Repetition};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;

async fn read(bench: &Bench, path: &object_store::path::Path) -> SerializedFileReader<bytes::Bytes> {
    use object_store::ObjectStoreExt;
    let (store, _) = bench.stores.open(&bench.url).expect("a store");
    let bytes = store.get(path).await.expect("the file").bytes().await.expect("its bytes");
    SerializedFileReader::new(bytes).expect("a Parquet file")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_is_a_file_in_user_and_time_order() {
    let bench = Bench::new();
    let table = Arc::new(bench.events().await);
    let events =
        [(7, DAY + 5, "b"), (3, 9, "a"), (7, 4, "c"), (3, 2, "a"), (1, -1, "old"), (7, DAY, "d"), (3, -DAY, "e")];
    bench.append(&table, &events).await.expect("a commit");
    let snapshot = table.snapshot().await.expect("a snapshot");
    let days: Vec<_> = snapshot.files().iter().map(|file| (file.day, file.rows, file.sorted)).collect();
    let one = |day, rows| (Some(day), Some(rows), true);
    assert_eq!(days, [one(-1, 2), one(0, 3), one(1, 2)], "days before 1970 count downwards");
    assert!(snapshot.files()[0].path.as_ref().contains("_event_date=1969-12-31/"));

    let file = &snapshot.files()[1];
    let bound = |column: usize| (file.columns[column].minimum.clone(), file.columns[column].maximum.clone());
    let time = |micros| Some(ScalarValue::TimestampMicrosecond(Some(micros), None));
    assert_eq!(bound(0), (time(2), time(9)));
    assert_eq!(bound(1), (Some(ScalarValue::from(3i64)), Some(ScalarValue::from(7i64))));
    assert_eq!(bound(2), (Some(ScalarValue::from("a")), Some(ScalarValue::from("c"))));
    assert_eq!(
        file.columns.iter().map(|column| column.null_count).collect::<Vec<_>>(),
        [Some(0), Some(0), Some(0), Some(3)]
    );
    assert!(file.columns[1].exact);

    let reader = read(&bench, &file.path).await;
    let rows: Vec<_> = reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect();
    use parquet::record::RowAccessor;
    let order: Vec<_> = rows.iter().map(|row| row.get_long(1).expect("a user")).collect();
    assert_eq!(order, [3, 3, 7]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_are_encoded_for_speed_and_for_other_engines() {
    let bench = Bench::new();
    let table = bench.events().await;
    let events: Vec<Event> = (0..1000).map(|row| (row / 10, row, "name")).collect();
    bench.append(&table, &events).await.expect("a commit");
    let snapshot = table.snapshot().await.expect("a snapshot");
    let reader = read(&bench, &snapshot.files()[0].path).await;
    let footer = reader.metadata();
    let schema = footer.file_metadata().schema_descr();
    let names: Vec<_> = schema.columns().iter().map(|column| column.name().to_owned()).collect();
    assert_eq!(names, ["event_time", "user_id", "event_name", "props"], "the day is in the path only");
    let required: Vec<_> = schema
        .columns()
        .iter()
        .map(|column| column.self_type().get_basic_info().repetition() == Repetition::REQUIRED)
        .collect();
    assert_eq!(required, [true, true, true, false]);
    let group = footer.row_group(0);
    let sorting: Vec<_> =
        group.sorting_columns().expect("sorting columns").iter().map(|column| column.column_idx).collect();
    assert_eq!(sorting, [1, 0]);
    assert!(group.column(0).encodings().any(|encoding| encoding == Encoding::DELTA_BINARY_PACKED));
    assert!(group.column(1).dictionary_page_offset().is_none());
    assert!(group.column(2).dictionary_page_offset().is_some());
    assert!(group.column(1).bloom_filter_offset().is_some());
    assert_eq!(group.column(1).compression(), Compression::LZ4_RAW);
    assert!(matches!(group.column(3).compression(), Compression::ZSTD(_)));
    assert!(
        footer
            .file_metadata()
            .key_value_metadata()
            .is_none_or(|pairs| pairs.iter().all(|pair| pair.key != "ARROW:schema"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_file_ends_between_two_users() {
    let bench = Bench::new();
    let table = bench.events().await;
    let small = WriteLimits { row_group_rows: 1000, target_file_bytes: 2_000 };
    let read = table.snapshot().await.expect("a snapshot");
    let events: Vec<Event> = (0..100_000).map(|row| (row / 7_000, row * 31 % DAY, "name")).collect();
    let adds = bench.write(&table, batch(&events), &small).await.expect("files");
    assert!(adds.len() > 2, "{} files", adds.len());
    table.commit(&read, Operation::Append, adds, &[]).await.expect("a commit");
    let snapshot = table.snapshot().await.expect("a snapshot");
    let rows: u64 = snapshot.files().iter().filter_map(|file| file.rows).sum();
    assert_eq!(rows, 100_000);
    for pair in snapshot.files().windows(2) {
        assert!(pair[0].columns[1].maximum < pair[1].columns[1].minimum, "a user is in two files");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_keep_every_digit() {
    let bench = Bench::new();
    let plain = TableSchema {
        columns: vec![
            column("id", ColumnType::BigInt { unsigned: true }, false),
            column("amount", ColumnType::Decimal { precision: 12, scale: 2 }, true),
            column("code", ColumnType::TinyInt { unsigned: false }, true),
            column("day", ColumnType::Date, true),
            column("note", ColumnType::VarChar { length: 200 }, true),
        ],
        event: None,
    };
    let table = Arc::new(Table::create(&bench.stores, &bench.url, &plain).await.expect("a plain table"));
    let decimals = |values: Vec<i128>, precision, scale| {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).expect("a decimal"))
            as ArrayRef
    };
    let long = "x".repeat(100);
    let columns: Vec<ArrayRef> = vec![
        decimals(vec![0, u64::MAX.into()], 20, 0),
        decimals(vec![-5, 123_456_789_012], 12, 2),
        Arc::new(arrow::array::Int8Array::from(vec![None, None])),
        Arc::new(arrow::array::Date32Array::from(vec![Some(-719_162), None])),
        Arc::new(StringArray::from(vec![Some("a"), Some(long.as_str())])),
    ];
    let rows = RecordBatch::try_new(plain.arrow(), columns).expect("a batch");
    let read = table.snapshot().await.expect("a snapshot");
    let adds = bench.write(&table, rows, &limits()).await.expect("files");
    table.commit(&read, Operation::Append, adds, &[]).await.expect("a commit");
    for snapshot in
        [table.snapshot().await, Table::open(&bench.stores, &bench.url, None).await.expect("opens").snapshot().await]
    {
        let snapshot = snapshot.expect("a snapshot");
        let columns = &snapshot.files()[0].columns;
        assert_eq!(columns[0].maximum, Some(ScalarValue::Decimal128(Some(u64::MAX.into()), 20, 0)));
        assert_eq!(columns[1].minimum, Some(ScalarValue::Decimal128(Some(-5), 12, 2)));
        assert_eq!(columns[1].maximum, Some(ScalarValue::Decimal128(Some(123_456_789_012), 12, 2)));
        assert_eq!((columns[2].minimum.clone(), columns[2].null_count), (None, Some(2)));
        assert_eq!(columns[3].minimum, Some(ScalarValue::Date32(Some(-719_162))), "0001-01-01");
        assert!(columns[0].exact && !columns[4].exact, "a cut text is a bound only");
        assert!(columns[4].maximum >= Some(ScalarValue::from(long.as_str())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn optimize_leaves_one_sorted_file_a_day() {
    let bench = Bench::new();
    let table = Arc::new(bench.events().await);
    for user in (0..10).rev() {
        bench.append(&table, &[(user, HOUR, "a"), (user, 0, "a"), (user, DAY, "b")]).await.expect("a commit");
    }
    bench.append(&table, &[(5, 2 * DAY, "alone")]).await.expect("a commit");
    let limits = limits();
    let state = bench.session.state();
    let report = compact::optimize(&table, &state, &limits, &|_| {}).await.expect("optimize");
    assert_eq!((report.files_before, report.files_after, report.rows_rewritten), (21, 3, 30));
    let snapshot = table.snapshot().await.expect("a snapshot");
    let files: Vec<_> = snapshot.files().iter().map(|file| (file.day, file.rows, file.sorted)).collect();
    assert_eq!(files, [(Some(0), Some(20), true), (Some(1), Some(10), true), (Some(2), Some(1), true)]);
    assert_eq!(bench.users(&table).await.len(), 31);
    let again = compact::optimize(&table, &state, &limits, &|_| {}).await.expect("optimize");
    assert_eq!((again.files_after, again.rows_rewritten), (3, 0), "nothing is left to do");
    assert_eq!(table.snapshot().await.expect("a snapshot").version(), snapshot.version());
    // Old files stay for scans that run, until vacuum finds them old.
    assert_eq!(compact::vacuum(&table, std::time::Duration::from_secs(3600)).await.expect("vacuum"), 0);
    assert_eq!(bench.data_files().await.len(), 23);
}

/// An input that fails in the middle: the error comes out as it is, and no file stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_input_leaves_nothing() {
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

    #[derive(Debug)]
    struct Failing(arrow::datatypes::SchemaRef);

    impl PartitionStream for Failing {
        fn schema(&self) -> &arrow::datatypes::SchemaRef {
            &self.0
        }

        fn execute(
            &self,
            _context: Arc<datafusion::execution::TaskContext>,
        ) -> datafusion::execution::SendableRecordBatchStream {
            let error = desirepath::error::Error::new(Kind::OutOfRange, "Out of range value for column 'x' at row 2");
            let rows = [Ok(batch(&[(1, 0, "a")])), Ok(batch(&[(1, DAY, "a")])), Err(error.into())];
            Box::pin(RecordBatchStreamAdapter::new(self.0.clone(), futures::stream::iter(rows)))
        }
    }

    for schema in [event_schema(), TableSchema { event: None, ..event_schema() }] {
        let bench = Bench::new();
        let table = Table::create(&bench.stores, &bench.url, &schema).await.expect("a table");
        let fields = schema.arrow();
        let input = StreamingTableExec::try_new(fields.clone(), vec![Arc::new(Failing(fields))], None, [], false, None);
        let limits = WriteLimits { target_file_bytes: 1, ..limits() };
        let context = bench.session.task_ctx();
        let failed = write_rows(&table, &schema, Arc::new(input.expect("a plan")), context, &limits, &|_| {}).await;
        assert_eq!(failed.expect_err("the input fails").kind(), Kind::OutOfRange);
        assert!(bench.data_files().await.is_empty());
    }
}
