//! Every `tests/scripts/**/*.slt` (sqllogictest) runs through a real MySQL connection, each file on a server of its
//! own.
//! `$FILES` in a script is a folder that SQL may read, with the fixtures in it.
//! `UPDATE_SCRIPTS=1 cargo nextest run scripts` writes the answers of the present build into the scripts; read the
//! diff.

use std::path::{Path, PathBuf};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::harness::TestServer;

/// One connection as sqllogictest sees it.
struct Client {
    connection: Conn,
}

#[async_trait::async_trait]
impl AsyncDB for Client {
    type Error = mysql_async::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, mysql_async::Error> {
        let mut result = self.connection.query_iter(sql).await?;
        let columns = result.columns_ref().len();
        if columns == 0 {
            let affected = result.affected_rows();
            result.drop_result().await?;
            return Ok(DBOutput::StatementComplete(affected));
        }
        let rows: Vec<Row> = result.collect().await?;
        result.drop_result().await?;
        let rows = rows.into_iter().map(|row| row.unwrap().iter().map(text).collect()).collect();
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; columns], rows })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "desirepath"
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::NULL => "NULL".into(),
        Value::Bytes(bytes) if bytes.is_empty() => "(empty)".into(),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.replace('\n', "\\n"),
            Err(_) => bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
        },
        other => other.as_sql(true),
    }
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the scripts' folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(scripts(&path));
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            found.push(path);
        }
    }
    found.sort();
    found
}

async fn run(script: &Path) -> Result<(), String> {
    let server = TestServer::start().await;
    copy_fixtures(&server.files());
    let options = server.options();
    let connect = move || {
        let options = options.clone();
        async move { Conn::new(options).await.map(|connection| Client { connection }) }
    };
    let mut runner = Runner::new(connect);
    let files = server.files().display().to_string();
    runner.set_var("FILES".into(), files);
    let result = if std::env::var_os("UPDATE_SCRIPTS").is_some() {
        let update =
            runner.update_test_file(script, " ", sqllogictest::default_validator, sqllogictest::default_normalizer, {
                sqllogictest::default_column_validator
            });
        update.await.map_err(|error| error.to_string())
    } else {
        runner.run_file_async(script).await.map_err(|error| error.to_string())
    };
    drop(runner);
    server.stop().await;
    result
}

fn copy_fixtures(files: &Path) {
    for entry in std::fs::read_dir("fixtures").expect("the fixtures") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a file has a name");
            std::fs::copy(&path, files.join(name)).expect("a copy");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_script_gives_its_answers() {
    let wanted = std::env::var("SCRIPT").unwrap_or_default();
    let mut failures = Vec::new();
    let mut count = 0;
    for script in scripts(Path::new("tests/scripts")) {
        if script.display().to_string().contains(&wanted) {
            count += 1;
            if let Err(error) = run(&script).await {
                failures.push(format!("{}: {error}", script.display()));
            }
        }
    }
    assert!(count > 0, "no script has '{wanted}' in its name");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
