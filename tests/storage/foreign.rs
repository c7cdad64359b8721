//! Logs that other engines wrote: what can be read is read with their types and partition values, what cannot is
//! refused by name, and writing asks more than reading.

use datafusion::scalar::ScalarValue;
use serde_json::{Value, json};

use super::*;

fn metadata(fields: Value, partition_columns: Value, configuration: Value) -> String {
    json!({"metaData": {
        "id": "6f8c0f0e-0000-4000-8000-000000000000",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json!({"type": "struct", "fields": fields}).to_string(),
        "partitionColumns": partition_columns,
        "configuration": configuration,
        "createdTime": 1,
    }})
    .to_string()
}

fn field(name: &str, data_type: &str) -> Value {
    json!({"name": name, "type": data_type, "nullable": true, "metadata": {}})
}

fn protocol(reader: i64, writer: i64) -> String {
    json!({"protocol": {"minReaderVersion": reader, "minWriterVersion": writer}}).to_string()
}

fn protocol_with(reader_features: Value, writer_features: Value) -> String {
    json!({"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": reader_features, "writerFeatures": writer_features,
    }})
    .to_string()
}

fn add(path: &str, partition_values: Value, stats: Value) -> Value {
    json!({"add": {
        "path": path, "partitionValues": partition_values, "size": 100, "modificationTime": 5, "dataChange": true,
        "stats": stats.to_string(),
    }})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partition_values_and_statistics_have_their_types() {
    let bench = Bench::new();
    let fields =
        json!([field("id", "integer"), field("flag", "boolean"), field("at", "timestamp"), field("country", "string")]);
    let stats = json!({
        "numRecords": 3,
        "minValues": {"id": 1, "flag": false, "at": "2026-01-01T00:00:00.123Z"},
        "maxValues": {"id": 9, "flag": true, "at": "2026-01-01T00:00:00.456Z"},
        "nullCount": {"id": 0, "flag": 1, "at": 0},
    });
    let lines = [
        protocol(1, 2),
        metadata(fields, json!(["country"]), json!({})),
        add("country=a%2520b/part-1.parquet", json!({"country": "a b"}), stats).to_string(),
        add("country=__HIVE_DEFAULT_PARTITION__/part-2.parquet", json!({"country": null}), json!({})).to_string(),
    ];
    bench.put_entry(0, &lines).await;
    let table = Table::open(&bench.stores, &bench.url, None).await.expect("the table opens");
    let snapshot = table.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.partition_columns(), ["country"]);
    assert_eq!(snapshot.arrow_schema().field(1).data_type(), &arrow::datatypes::DataType::Boolean);
    let file = snapshot.files().iter().find(|file| file.rows == Some(3)).expect("the first file");
    assert!(file.path.as_ref().ends_with("country=a%20b/part-1.parquet"), "{}", file.path);
    assert_eq!(file.partition_values, [("country".to_owned(), ScalarValue::from("a b"))]);
    assert_eq!(file.columns[0].minimum, Some(ScalarValue::Int32(Some(1))));
    assert!(!file.columns[0].exact && !file.sorted);
    // Milliseconds rounded down: the largest time may be anywhere within its millisecond.
    let latest = 1_767_225_600_456_999;
    assert_eq!(file.columns[2].maximum, Some(ScalarValue::TimestampMicrosecond(Some(latest), Some("UTC".into()))));
    let other = snapshot.files().iter().find(|file| file.rows.is_none()).expect("the second file");
    assert!(other.partition_values[0].1.is_null());
    let input = MemorySourceConfig::try_new_exec(&[vec![]], snapshot.arrow_schema().clone(), None).expect("a plan");
    let written = write_rows(&table, snapshot.schema(), input, bench.session.task_ctx(), &limits(), &|_| {}).await;
    let refused = written.expect_err("partitioned by another engine");
    assert!(refused.message().contains("'country'"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn features_we_cannot_read_are_refused_by_name() {
    let fields = || json!([field("id", "long")]);
    let plain = |settings| metadata(fields(), json!([]), settings);
    let vector = json!({
        "storageType": "u", "pathOrInlineDv": "vBn[lx{q8@P<9BNH/isA", "offset": 1, "sizeInBytes": 36, "cardinality": 2,
    });
    let mut with_vector = add("part-1.parquet", json!({}), json!({"numRecords": 10}));
    with_vector["add"]["deletionVector"] = vector;
    let cases = [
        ("typeWidening", vec![protocol_with(json!(["typeWidening"]), json!(["typeWidening"])), plain(json!({}))]),
        (
            "columnMapping",
            vec![
                protocol(2, 5),
                json!({"metaData": {
                    "id": "6f8c0f0e-0000-4000-8000-000000000000",
                    "format": {"provider": "parquet", "options": {}},
                    "schemaString": json!({"type": "struct", "fields": [{
                        "name": "id", "type": "long", "nullable": true,
                        "metadata": {"delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "col-1"},
                    }]}).to_string(),
                    "partitionColumns": [],
                    "configuration": {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "1"},
                    "createdTime": 1,
                }})
                .to_string(),
            ],
        ),
        (
            "deletionVectors",
            vec![
                protocol_with(json!(["deletionVectors"]), json!(["deletionVectors"])),
                plain(json!({"delta.enableDeletionVectors": "true"})),
                with_vector.to_string(),
            ],
        ),
    ];
    for (feature, lines) in cases {
        let bench = Bench::new();
        bench.put_entry(0, &lines).await;
        let refused = Table::open(&bench.stores, &bench.url, None).await.expect_err("we cannot read it");
        assert_eq!(refused.kind(), Kind::Unsupported, "{refused}");
        assert!(refused.message().contains(feature), "{feature}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn features_without_use_do_no_harm_and_those_in_use_forbid_writing() {
    let cases = [
        (json!({}), None),
        (json!({"delta.enableChangeDataFeed": "true"}), Some("changeDataFeed")),
        (json!({"delta.constraints.positive": "id > 0"}), Some("checkConstraints")),
    ];
    for (settings, refused) in cases {
        let bench = Bench::new();
        let lines = [protocol(1, 4), metadata(json!([field("id", "long")]), json!([]), settings)];
        bench.put_entry(0, &lines).await;
        let table = Table::open(&bench.stores, &bench.url, None).await.expect("the table opens");
        let snapshot = table.snapshot().await.expect("a snapshot");
        let committed = table.commit(&snapshot, Operation::Append, Vec::new(), &[]).await;
        match refused {
            None => assert_eq!(committed.expect("a commit"), 1),
            Some(feature) => {
                let error = committed.expect_err("we cannot write it");
                assert_eq!(error.kind(), Kind::ReadOnlyTable);
                assert!(error.message().contains(feature), "{error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_engine_may_change_the_columns() {
    let bench = Bench::new();
    let first = [protocol(1, 2), metadata(json!([field("id", "long")]), json!([]), json!({}))];
    bench.put_entry(0, &first).await;
    let table = Table::open(&bench.stores, &bench.url, None).await.expect("the table opens");
    bench.put_entry(1, &[metadata(json!([field("id", "long"), field("name", "string")]), json!([]), json!({}))]).await;
    let snapshot = table.snapshot().await.expect("a snapshot");
    assert_eq!((snapshot.version(), snapshot.schema().columns.len()), (1, 2));
}
