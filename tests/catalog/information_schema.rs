//! information_schema: every table scans, names and types are MySQL's, filters open only what they name, and SHOW
//! CREATE TABLE makes the same table again.

use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::TableReference;
use datafusion::prelude::{SessionConfig, SessionContext};
use desirepath::catalog::information_schema::{ProcessView, SessionView, WarningView, provider, table_names};
use desirepath::catalog::objects::{Key, KeyKind};
use desirepath::catalog::{Catalog, NewTable};
use desirepath::dialect::statement::Statement;
use desirepath::dialect::{ParseContext, parse};
use desirepath::storage::types::Column;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::{column, events, fresh, new_table, open, stores, url};

/// Rows of a query over one table, as texts; NULL is "NULL".
async fn query(catalog: &Catalog, table: &str, sql: &str) -> Vec<Vec<String>> {
    let provider = provider(catalog, table, &view()).await.expect("a provider").expect("a table");
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.enable_ident_normalization = false;
    let context = SessionContext::new_with_config(config);
    context.register_table(TableReference::bare(table), provider).expect("registered");
    let batches = context.sql(sql).await.expect("a plan").collect().await.expect("rows");
    batches.iter().flat_map(texts).collect()
}

fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options)).collect();
    let cell = |row: usize, column: usize| columns[column].as_ref().expect("a column").value(row).to_string();
    (0..batch.num_rows()).map(|row| (0..columns.len()).map(|column| cell(row, column)).collect()).collect()
}

fn view() -> SessionView {
    let list = vec![("autocommit".to_owned(), "ON".to_owned())];
    SessionView {
        session_variables: list.clone(),
        global_variables: list.clone(),
        session_status: list.clone(),
        global_status: list,
        warnings: vec![WarningView { level: "Warning", code: 1287, message: "old".into() }],
        processes: vec![ProcessView {
            id: 7,
            user: "root".into(),
            host: "127.0.0.1:5000".into(),
            database: None,
            statement: Some("SELECT 1".into()),
            seconds: 3,
        }],
    }
}

/// A database with an event table that has everything, and a plain one.
async fn shop() -> Catalog {
    let catalog = fresh().await;
    catalog.create_database("shop").await.expect("made");
    catalog.create_table("shop", full("events")).await.expect("made");
    let users = NewTable {
        keys: vec![Key { kind: KeyKind::Unique, name: String::new(), columns: vec!["name".into()] }],
        ..new_table("users", vec![column("id", "bigint", false), column("name", "varchar(20)", true)])
    };
    catalog.create_table("shop", users).await.expect("made");
    catalog
}

fn full(name: &str) -> NewTable {
    let with = |column: Column, default: Option<&str>, comment: &str| Column {
        default: default.map(str::to_owned),
        comment: comment.to_owned(),
        ..column
    };
    let mut new = events(name);
    new.columns.extend([
        with(column("platform", "varchar(16)", true), Some("'it''s'"), "where, say `web`"),
        with(column("added", "datetime(6)", false), Some("CURRENT_TIMESTAMP(6)"), ""),
        with(column("n", "int unsigned", false), Some("0"), ""),
        column("flag", "tinyint(1)", true),
        column("seen", "timestamp", true),
        column("note", "text", true),
        column("props", "json", true),
        column("big", "bigint unsigned", true),
        column("raw", "varbinary(8)", true),
        column("odd `name`", "double", true),
    ]);
    let key = |kind, name: &str, columns: &[&str]| Key {
        kind,
        name: name.into(),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
    };
    new.keys = vec![
        key(KeyKind::Primary, "", &["user_id", "event_time"]),
        key(KeyKind::Unique, "once", &["platform", "n"]),
        key(KeyKind::Index, "by_event", &["event_name"]),
    ];
    new.comment = "it's a \\ comment".into();
    new
}

const SHOWN: &str = "CREATE TABLE `events` (
  `event_time` datetime(6) NOT NULL,
  `user_id` bigint NOT NULL,
  `event_name` varchar(64) NOT NULL,
  `amount` decimal(12,2) DEFAULT NULL,
  `platform` varchar(16) DEFAULT 'it''s' COMMENT 'where, say `web`',
  `added` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  `n` int unsigned NOT NULL DEFAULT 0,
  `flag` tinyint(1) DEFAULT NULL,
  `seen` timestamp NULL DEFAULT NULL,
  `note` text,
  `props` json DEFAULT NULL,
  `big` bigint unsigned DEFAULT NULL,
  `raw` varbinary(8) DEFAULT NULL,
  `odd ``name``` double DEFAULT NULL,
  PRIMARY KEY (`user_id`,`event_time`),
  UNIQUE KEY `once` (`platform`,`n`),
  KEY `by_event` (`event_name`)
) ENGINE=DELTA DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin \
    USER_COLUMN='user_id' TIME_COLUMN='event_time' EVENT_COLUMN='event_name' COMMENT='it''s a \\\\ comment'";

const CREATE: &str = "SELECT create_statement FROM create_statements WHERE object_schema = 'shop' AND object_name = ";

#[tokio::test]
async fn show_create_table_is_mysqls_text_and_makes_the_same_table() {
    let catalog = shop().await;
    let shown = query(&catalog, "create_statements", &format!("{CREATE} 'events'")).await;
    assert_eq!(shown, [[SHOWN]]);
    let Statement::CreateTable(create) = parse(SHOWN, &ParseContext::default()).expect("our own text") else {
        panic!("not CREATE TABLE")
    };
    let new = full("events");
    assert_eq!(create.columns, new.columns);
    assert_eq!(create.comment, new.comment);
    assert_eq!(create.user_column.as_deref(), Some("user_id"));
    assert_eq!(create.time_column.as_deref(), Some("event_time"));
    assert_eq!(create.event_column.as_deref(), Some("event_name"));
    let columns: Vec<_> = create.keys.iter().map(|key| key.columns.clone()).collect();
    assert_eq!(columns, new.keys.iter().map(|key| key.columns.clone()).collect::<Vec<_>>());
}

#[tokio::test]
async fn show_create_database_can_be_run() {
    let catalog = shop().await;
    let shown = query(&catalog, "create_statements", &format!("{CREATE} 'shop' AND object_type = 'DATABASE'")).await;
    let text = "CREATE DATABASE `shop` /*!40100 DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */";
    assert_eq!(shown, [[text]]);
    let statement = parse(text, &ParseContext::default()).expect("our own text");
    assert_eq!(statement, Statement::CreateDatabase { name: "shop".into(), if_not_exists: false });
}

#[tokio::test]
async fn every_table_scans_and_lists_its_columns() {
    let catalog = shop().await;
    let hidden =
        ["create_statements", "session_variables", "global_variables", "session_status", "global_status", "warnings"];
    for name in table_names().chain(hidden) {
        let rows = query(&catalog, name, &format!("SELECT * FROM \"{name}\"")).await;
        let sql = format!(
            "SELECT COLUMN_NAME FROM \"COLUMNS\" WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME = '{name}'"
        );
        let columns = query(&catalog, "COLUMNS", &sql).await.len();
        assert!(rows.iter().all(|row| columns == 0 || row.len() == columns), "{name}");
        assert_eq!(columns == 0, hidden.contains(&name), "{name}");
    }
    assert!(provider(&catalog, "schemata", &view()).await.expect("any case").is_some());
    assert!(provider(&catalog, "nothing", &view()).await.expect("no failure").is_none());
}

#[tokio::test]
async fn columns_say_what_mysql_says() {
    let sql = "SELECT COLUMN_NAME, ORDINAL_POSITION, COLUMN_DEFAULT, IS_NULLABLE, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, \
               CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, COLLATION_NAME, \
               COLUMN_TYPE, COLUMN_KEY, EXTRA FROM \"COLUMNS\" WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 'events'";
    let rows = query(&shop().await, "COLUMNS", sql).await;
    let expected = "
event_time|1|NULL|NO|datetime|NULL|NULL|NULL|NULL|6|NULL|datetime(6)|PRI|
user_id|2|NULL|NO|bigint|NULL|NULL|19|0|NULL|NULL|bigint|PRI|
event_name|3|NULL|NO|varchar|64|256|NULL|NULL|NULL|utf8mb4_bin|varchar(64)|MUL|
amount|4|NULL|YES|decimal|NULL|NULL|12|2|NULL|NULL|decimal(12,2)||
platform|5|it's|YES|varchar|16|64|NULL|NULL|NULL|utf8mb4_bin|varchar(16)|MUL|
added|6|CURRENT_TIMESTAMP(6)|NO|datetime|NULL|NULL|NULL|NULL|6|NULL|datetime(6)||DEFAULT_GENERATED
n|7|0|NO|int|NULL|NULL|10|0|NULL|NULL|int unsigned||
flag|8|NULL|YES|tinyint|NULL|NULL|3|0|NULL|NULL|tinyint(1)||
seen|9|NULL|YES|timestamp|NULL|NULL|NULL|NULL|0|NULL|timestamp||
note|10|NULL|YES|text|65535|65535|NULL|NULL|NULL|utf8mb4_bin|text||
props|11|NULL|YES|json|NULL|NULL|NULL|NULL|NULL|NULL|json||
big|12|NULL|YES|bigint|NULL|NULL|20|0|NULL|NULL|bigint unsigned||
raw|13|NULL|YES|varbinary|8|8|NULL|NULL|NULL|NULL|varbinary(8)||
odd `name`|14|NULL|YES|double|NULL|NULL|22|NULL|NULL|NULL|double||";
    let found: Vec<_> = rows.iter().map(|row| row.join("|")).collect();
    assert_eq!(found.join("\n"), expected.trim_start());
}

#[tokio::test]
async fn databases_tables_and_keys_are_listed() {
    let catalog = shop().await;
    let schemata = query(&catalog, "SCHEMATA", "SELECT SCHEMA_NAME FROM \"SCHEMATA\" ORDER BY 1").await;
    assert_eq!(schemata, [["information_schema"], ["shop"]]);
    let sql = "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH, CREATE_OPTIONS FROM \"TABLES\" \
               WHERE TABLE_TYPE = 'BASE TABLE' ORDER BY 1";
    let options = "user_column=user_id time_column=event_time event_column=event_name";
    assert_eq!(
        query(&catalog, "TABLES", sql).await,
        [["events", "BASE TABLE", "DELTA", "0", "0", options], ["users", "BASE TABLE", "DELTA", "0", "0", ""]]
    );
    let views = query(&catalog, "TABLES", "SELECT TABLE_NAME FROM \"TABLES\" WHERE TABLE_TYPE = 'SYSTEM VIEW'").await;
    assert_eq!(views.len(), table_names().count());
    let sql = "SELECT TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, NON_UNIQUE, NULLABLE FROM \"STATISTICS\" \
               WHERE TABLE_SCHEMA = 'shop'";
    assert_eq!(
        query(&catalog, "STATISTICS", sql).await,
        [
            ["events", "PRIMARY", "1", "user_id", "0", ""],
            ["events", "PRIMARY", "2", "event_time", "0", ""],
            ["events", "once", "1", "platform", "0", "YES"],
            ["events", "once", "2", "n", "0", ""],
            ["events", "by_event", "1", "event_name", "1", ""],
            ["users", "name", "1", "name", "0", "YES"],
        ]
    );
    let sql =
        "SELECT CONSTRAINT_NAME, CONSTRAINT_TYPE, ENFORCED FROM \"TABLE_CONSTRAINTS\" WHERE TABLE_NAME = 'events'";
    assert_eq!(
        query(&catalog, "TABLE_CONSTRAINTS", sql).await,
        [["PRIMARY", "PRIMARY KEY", "NO"], ["once", "UNIQUE", "NO"]]
    );
    let sql =
        "SELECT COLUMN_NAME FROM \"KEY_COLUMN_USAGE\" WHERE CONSTRAINT_NAME = 'PRIMARY' ORDER BY ORDINAL_POSITION";
    assert_eq!(query(&catalog, "KEY_COLUMN_USAGE", sql).await, [["user_id"], ["event_time"]]);
}

#[tokio::test]
async fn the_session_is_shown() {
    let catalog = fresh().await;
    let rows =
        query(&catalog, "PROCESSLIST", "SELECT \"ID\", \"COMMAND\", \"TIME\", \"INFO\" FROM \"PROCESSLIST\"").await;
    assert_eq!(rows, [["7", "Query", "3", "SELECT 1"]]);
    let rows = query(&catalog, "warnings", "SELECT * FROM warnings").await;
    assert_eq!(rows, [["Warning", "1287", "old"]]);
    let rows = query(&catalog, "session_variables", "SELECT * FROM session_variables").await;
    assert_eq!(rows, [["autocommit", "ON"]]);
}

#[tokio::test]
async fn character_sets_and_collations_agree() {
    let catalog = fresh().await;
    let sets =
        query(&catalog, "CHARACTER_SETS", "SELECT CHARACTER_SET_NAME, DEFAULT_COLLATE_NAME FROM \"CHARACTER_SETS\"");
    let sql = "SELECT CHARACTER_SET_NAME, COLLATION_NAME FROM \"COLLATIONS\" WHERE IS_DEFAULT = 'Yes' ORDER BY 1";
    assert_eq!(query(&catalog, "COLLATIONS", sql).await, sets.await);
    let words = query(&catalog, "KEYWORDS", "SELECT WORD FROM \"KEYWORDS\" WHERE RESERVED = 1 ORDER BY 1").await;
    assert!(words.windows(2).all(|pair| pair[0] < pair[1]), "no word twice");
    assert!(words.contains(&vec!["SELECT".to_owned()]) && words.len() > 250);
}

/// Statements find a table in any case, so SHOW must; a table of exactly that case goes first.
#[tokio::test]
async fn names_are_found_in_any_case() {
    let catalog = shop().await;
    let sql = "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM \"COLUMNS\" \
               WHERE TABLE_SCHEMA = 'SHOP' AND TABLE_NAME = 'Users' ORDER BY ORDINAL_POSITION";
    assert_eq!(query(&catalog, "COLUMNS", sql).await, [["SHOP", "Users", "id"], ["SHOP", "Users", "name"]]);
    catalog.create_table("shop", new_table("Users", vec![column("other", "int", true)])).await.expect("made");
    assert_eq!(query(&catalog, "COLUMNS", sql).await, [["SHOP", "Users", "other"]]);
    let sql = "SELECT TABLE_NAME FROM \"TABLES\" WHERE TABLE_SCHEMA = 'INFORMATION_SCHEMA' AND TABLE_NAME = 'tables'";
    assert_eq!(query(&catalog, "TABLES", sql).await, [["tables"]]);
    let sql = "SELECT create_statement FROM create_statements WHERE object_name = 'SHOP' AND object_type = 'DATABASE'";
    let shown = query(&catalog, "create_statements", sql).await;
    assert!(shown[0][0].starts_with("CREATE DATABASE `shop` "), "{shown:?}");
}

/// One broken table must not hide the others, but its own DESCRIBE must say what is wrong.
#[tokio::test]
async fn a_table_that_cannot_be_read_hides_no_other() {
    let (stores, root) = (stores(), url("memory://broken/"));
    let catalog = open(&stores, &root).await;
    catalog.create_database("d").await.expect("made");
    for name in ["good", "bad"] {
        catalog.create_table("d", events(name)).await.expect("made");
    }
    let bad = catalog.table("d", "bad").await.expect("there").object;
    let (store, folder) = stores.open(&catalog.location(&bad).expect("a URL")).expect("the store");
    store.delete(&Path::from(format!("{folder}/_delta_log/00000000000000000000.json"))).await.expect("deleted");

    let catalog = open(&stores, &root).await;
    let sql = "SELECT TABLE_NAME, TABLE_ROWS, TABLE_COMMENT FROM \"TABLES\" WHERE TABLE_SCHEMA = 'd' ORDER BY 1";
    let rows = query(&catalog, "TABLES", sql).await;
    assert_eq!(rows[1], ["good", "0", ""]);
    assert_eq!(rows[0][..2], ["bad", "NULL"]);
    assert!(!rows[0][2].is_empty(), "the comment says why");
    let sql = "SELECT DISTINCT TABLE_NAME FROM \"COLUMNS\" WHERE TABLE_SCHEMA = 'd'";
    assert_eq!(query(&catalog, "COLUMNS", sql).await, [["good"]]);
    let names = "SELECT TABLE_NAME FROM \"TABLES\" WHERE TABLE_SCHEMA = 'd' AND TABLE_NAME IN ('bad', 'none')";
    assert_eq!(query(&catalog, "TABLES", names).await, [["bad"]]);

    let provider = provider(&catalog, "COLUMNS", &view()).await.expect("a provider").expect("a table");
    let context = SessionContext::new();
    context.register_table("c", provider).expect("registered");
    let sql = "SELECT * FROM c WHERE \"TABLE_SCHEMA\" = 'd' AND \"TABLE_NAME\" = 'bad'";
    let described = context.sql(sql).await.expect("a plan").collect().await;
    described.expect_err("its columns cannot be known");
}
