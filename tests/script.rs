//! `desirepath sql`: what is printed in each format, where errors point, and when a run ends.

use desirepath::server::script::{Format, Input, ScriptOptions, run};

use crate::harness::TestServer;

const ROWS: &str = "SELECT 1 AS n, 'a\tb' AS t, NULL AS x UNION ALL SELECT 22, 'say \"hi\"', NULL ORDER BY n";

/// Whether all succeeded, the results, the errors.
async fn script(text: &str, format: Format, force: bool) -> (bool, String, String) {
    let server = TestServer::start().await;
    let options = ScriptOptions {
        database: None,
        inputs: vec![Input::Statement(text.into())],
        format: Some(format),
        force,
        terminal: false,
    };
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let succeeded = run(server.engine.clone(), options, &mut out, &mut errors).await.expect("the script runs");
    (succeeded, String::from_utf8(out).expect("text"), String::from_utf8(errors).expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_has_borders_counts_and_numbers_to_the_right() {
    let (succeeded, out, errors) = script(ROWS, Format::Table, false).await;
    assert!(succeeded, "{errors}");
    let table: Vec<&str> = out.lines().take(6).collect();
    assert_eq!(
        table,
        [
            "+----+----------+------+",
            "| n  | t        | x    |",
            "+----+----------+------+",
            "|  1 | a\\tb     | NULL |",
            "| 22 | say \"hi\" | NULL |",
            "+----+----------+------+",
        ]
    );
    assert!(out.contains("2 rows in set ("), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_get_rows_and_nothing_else() {
    let (_, out, _) = script(ROWS, Format::Tsv, false).await;
    assert_eq!(out, "n\tt\tx\n1\ta\\tb\tNULL\n22\tsay \"hi\"\tNULL\n");
    let (_, out, _) = script(ROWS, Format::Csv, false).await;
    assert_eq!(out, "n,t,x\n1,a\tb,\n22,\"say \"\"hi\"\"\",\n");
    let (_, out, _) = script(ROWS, Format::Json, false).await;
    let lines = ["{\"n\":1,\"t\":\"a\\tb\",\"x\":null}", "{\"n\":22,\"t\":\"say \\\"hi\\\"\",\"x\":null}"];
    assert_eq!(out.lines().collect::<Vec<_>>(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_place_number_and_statement_and_ends_the_run() {
    let text = "SELECT 1;\n\nSELECT *\n  FROM nowhere.nothing;\nSELECT 2;\n";
    let (succeeded, out, errors) = script(text, Format::Tsv, false).await;
    assert!(!succeeded);
    assert_eq!(out, "1\n1\n");
    let lines: Vec<&str> = errors.lines().collect();
    assert!(lines[0].starts_with("-e:3: ERROR 1049 (42000): ") || lines[0].starts_with("-e:3: ERROR 1146 (42S02): "));
    assert_eq!(lines[1], "    SELECT *");
    let (succeeded, out, _) = script(text, Format::Tsv, true).await;
    assert!(!succeeded);
    assert_eq!(out, "1\n1\n2\n2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_is_not_there_is_named() {
    let server = TestServer::start().await;
    let options = ScriptOptions {
        database: None,
        inputs: vec![Input::File("/nowhere/script.sql".into())],
        format: None,
        force: true,
        terminal: false,
    };
    let failed = run(server.engine.clone(), options, &mut Vec::new(), &mut Vec::new()).await.unwrap_err();
    assert_eq!(failed.row().number, 29);
    assert!(failed.message().contains("/nowhere/script.sql"), "{failed}");
}
