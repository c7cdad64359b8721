//! The dialect: what a text becomes, what it is refused with, and that no text makes it panic; as tables of text and
//! answer.

use std::collections::HashMap;

use desirepath::dialect::rewrite::{self, shown_name};
use desirepath::dialect::script::{ScriptOptions, split};
use desirepath::dialect::statement::{
    AlterOperation, Assignment, CreateTable, InsertSource, InsertValue, KeyKind, Requirement, Scope, SecretKind,
    SessionFunction, SetValue, Show, Statement, TableName, UserName, Variable,
};
use desirepath::dialect::{self, ParseContext};
use desirepath::error::Kind;
use sqlparser::ast::{Expr, Query, SelectItem, SetExpr, Value};

fn context() -> ParseContext<'static> {
    ParseContext { database: Some("shop"), ..ParseContext::default() }
}

fn read(text: &str) -> Statement {
    dialect::parse(text, &context()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn read_query(text: &str, context: &ParseContext<'_>) -> Box<Query> {
    match dialect::parse(text, context).unwrap_or_else(|error| panic!("{text}: {error}")) {
        Statement::Query(query) => query,
        other => panic!("{text} is no query but {other:?}"),
    }
}

/// Number and message of the error.
fn refusal(text: &str) -> String {
    match dialect::parse(text, &context()) {
        Ok(statement) => panic!("{text} was read as {statement:?}"),
        Err(error) => format!("{} {error}", error.row().number),
    }
}

/// `SELECT expression` as rewritten, without the alias.
fn expression(text: &str) -> String {
    let query = read_query(&format!("SELECT {text}"), &context());
    let SetExpr::Select(select) = *query.body else { panic!("{text}") };
    match select.projection.into_iter().next() {
        Some(SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr)) => expr.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

fn names(text: &str) -> Vec<String> {
    let query = read_query(text, &context());
    let SetExpr::Select(select) = *query.body else { panic!("{text}") };
    let name = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
        other => other.to_string(),
    };
    select.projection.iter().map(name).collect()
}

fn table(name: &str) -> TableName {
    TableName { database: None, name: name.to_owned() }
}

#[test]
fn expressions_get_mysqls_meaning() {
    let cases = [
        ("5 / 2", "mysql_divide(5, 2)"),
        ("a DIV b", "mysql_int_divide(a, b)"),
        ("a MOD b", "mod(a, b)"),
        ("user_id % 10", "user_id % 10"),
        ("a % 0", "mod(a, 0)"),
        ("a || b = 1", "CAST(a AS DOUBLE) <> 0 OR b = 1"),
        ("a = 1 && b = 2", "a = 1 AND b = 2"),
        ("a = 1 XOR b = 2", "(a = 1) <> (b = 2)"),
        ("!a", "NOT CAST(a AS DOUBLE) <> 0"),
        ("NOT 1", "NOT true"),
        ("1 AND '0x'", "true AND false"),
        ("SUM(platform = 'ios')", "SUM(CAST(platform = 'ios' AS BIGINT))"),
        ("(a > 1) + 1", "CAST((a > 1) AS BIGINT) + 1"),
        ("is_active = TRUE", "CAST(is_active AS DOUBLE) = 1"),
        ("IF(a, b = 1, 0)", "IF(CAST(a AS DOUBLE) <> 0, CAST(b = 1 AS BIGINT), 0)"),
        ("CASE WHEN a THEN 1 END", "CASE WHEN CAST(a AS DOUBLE) <> 0 THEN 1 END"),
        ("a <=> b", "a <=> b"),
        ("a RLIKE '^x'", "a ~ '^x'"),
        ("a NOT REGEXP '^x'", "a !~ '^x'"),
        ("a LIKE 'x!_%' ESCAPE '!'", r"a LIKE 'x\_%'"),
        ("(a, b) = (1, 2)", "(a = 1 AND b = 2)"),
        ("(a, b) IN ((1, 2), (3, 4))", "((a = 1 AND b = 2) OR (a = 3 AND b = 4))"),
        ("props->'$.a'", "json_extract(props, '$.a')"),
        ("props->>'$.a' = 'x'", "json_unquote(json_extract(props, '$.a')) = 'x'"),
        ("\"text\"", "'text'"),
        ("'a' 'b'", "'ab'"),
        ("N'x'", "'x'"),
        ("_utf8mb4'x'", "'x'"),
        (r"_binary'\0a'", "X'0061'"),
        ("b'101'", "X'05'"),
        ("0x41", "X'41'"),
        ("CAST(x AS SIGNED)", "mysql_signed(x)"),
        ("CONVERT(x, UNSIGNED INTEGER)", "mysql_unsigned(x)"),
        ("CAST(x AS CHAR(3))", "left(CAST(x AS VARCHAR), 3)"),
        ("CAST(x AS DATETIME(6))", "CAST(x AS TIMESTAMP(6))"),
        ("CAST(x AS DECIMAL)", "CAST(x AS DECIMAL(10,0))"),
        ("CONVERT(x USING utf8mb4)", "CAST(x AS VARCHAR)"),
        ("BINARY 'a' = 'A'", "'a' = 'A'"),
        ("x COLLATE utf8mb4_bin", "x"),
        ("CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP()"),
        ("UTC_TIMESTAMP", "utc_timestamp()"),
        ("SUBSTRING(a FROM 2 FOR 3)", "substring(a, 2, 3)"),
        ("POSITION('a' IN b)", "locate('a', b)"),
        (
            "GROUP_CONCAT(DISTINCT a ORDER BY b SEPARATOR ';')",
            "string_agg(DISTINCT CAST(a AS VARCHAR), ';' ORDER BY b)",
        ),
        ("COUNT(DISTINCT a, b)", "COUNT(DISTINCT CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN struct(a, b) END)"),
        ("windowFunnel(60, 'm1', 'm2')(ts, a = 1)", "window_funnel(60, 'm1,m2', ts, a = 1)"),
        ("r[1]", "r[1]"),
    ];
    for (text, expected) in cases {
        assert_eq!(expression(text), expected, "{text}");
    }
}

#[test]
fn operators_bind_as_in_mysql() {
    let cases = [
        ("1 + 6 DIV 4 - 1", "1 + mysql_int_divide(6, 4) - 1"),
        ("2 * 3 DIV 4 / 5", "mysql_divide(mysql_int_divide(2 * 3, 4), 5)"),
        ("-a ^ b", "-a ^ b"),
        ("NOT a = b", "NOT a = b"),
        ("a = 1 OR b = 2 AND c = 3 XOR d = 4", "a = 1 OR (b = 2 AND c = 3) <> (d = 4)"),
        ("BINARY a = b", "a = b"),
        ("col->'$.a' + 1", "json_extract(col, '$.a') + 1"),
    ];
    for (text, expected) in cases {
        assert_eq!(expression(text), expected, "{text}");
    }
    // `&` binds tighter than `|` and looser than `<<`.
    let query = read_query("SELECT a | b & c << 1", &context());
    let SetExpr::Select(select) = *query.body else { panic!("no select") };
    let Some(SelectItem::ExprWithAlias { expr: Expr::BinaryOp { op, right, .. }, .. }) = select.projection.first()
    else {
        panic!("no operator")
    };
    assert_eq!((op.to_string().as_str(), right.to_string().as_str()), ("|", "b & c << 1"));
}

#[test]
fn intervals_become_what_datafusion_adds() {
    let cases = [
        ("d + INTERVAL 1 DAY", "d + INTERVAL '1' DAY"),
        ("INTERVAL 1 WEEK + d", "d + INTERVAL '7' DAY"),
        ("DATE_ADD('2024-01-31', INTERVAL 1 MONTH)", "(DATE '2024-01-31' + INTERVAL '1' MONTH)"),
        ("DATE_SUB(d, INTERVAL '1' QUARTER)", "(d - INTERVAL '3' MONTH)"),
        ("d + INTERVAL -2 HOUR", "CAST(d AS TIMESTAMP(6)) + INTERVAL '-2' HOUR"),
        ("NOW() - INTERVAL 90 SECOND", "NOW() - INTERVAL '90' SECOND"),
        ("d + INTERVAL '1 2' DAY_HOUR", "CAST(d AS TIMESTAMP(6)) + INTERVAL '1 DAY 2 HOUR'"),
        (
            "d + INTERVAL '-1.5' SECOND_MICROSECOND",
            "CAST(d AS TIMESTAMP(6)) + INTERVAL '-1 SECOND -500000 MICROSECOND'",
        ),
        ("d + INTERVAL n DAY", "d + CAST(CAST(CAST(n AS BIGINT) AS VARCHAR) || ' DAY' AS INTERVAL)"),
        ("ADDDATE(d, 3)", "(d + INTERVAL '3' DAY)"),
        ("TIMESTAMPADD(YEAR, 2, d)", "(d + INTERVAL '24' MONTH)"),
        ("TIMESTAMPDIFF(SQL_TSI_MONTH, a, b)", "TIMESTAMPDIFF('MONTH', a, b)"),
        ("EXTRACT(DAY FROM t)", "dayofmonth(t)"),
        ("EXTRACT(YEAR_MONTH FROM t)", "(year(t) * 100 + month(t))"),
        ("f(INTERVAL 1 DAY)", "f(INTERVAL '1' DAY)"),
    ];
    for (text, expected) in cases {
        assert_eq!(expression(text), expected, "{text}");
    }
    assert!(refusal("SELECT d + INTERVAL 'soon' DAY").starts_with("1525 Incorrect INTERVAL value: 'soon'"));
    assert!(refusal("SELECT d + INTERVAL 1 FORTNIGHT").starts_with("1064 "));
}

#[test]
fn clauses_of_select_become_datafusions() {
    let cases = [
        ("SELECT a FROM DUAL WHERE 1=0", "SELECT a WHERE 1 = 0"),
        ("SELECT a FROM t USE INDEX (i) WHERE b", "SELECT a FROM t WHERE CAST(b AS DOUBLE) <> 0"),
        ("SELECT a FROM t LIMIT 10, 5", "SELECT a FROM t LIMIT 10, 5"),
        ("SELECT a FROM t FOR UPDATE", "SELECT a FROM t"),
        ("SELECT a FROM t LOCK IN SHARE MODE", "SELECT a FROM t"),
        ("SELECT SQL_NO_CACHE DISTINCT a FROM t", "SELECT DISTINCT a FROM t"),
        (
            "SELECT a FROM t STRAIGHT_JOIN u ON t.b AND 1",
            "SELECT a FROM t INNER JOIN u ON CAST(t.b AS DOUBLE) <> 0 AND true",
        ),
        ("SELECT a FROM t CROSS JOIN u ON t.b = u.b", "SELECT a FROM t INNER JOIN u ON t.b = u.b"),
        ("SELECT a FROM t GROUP BY 1, b WITH ROLLUP", "SELECT a FROM t GROUP BY ROLLUP (a, b)"),
        ("SELECT SUM(a) AS s FROM t GROUP BY b HAVING s > 1", "SELECT SUM(a) AS s FROM t GROUP BY b HAVING SUM(a) > 1"),
        ("SELECT SUM(s) AS s FROM t HAVING SUM(s) > 1", "SELECT SUM(s) AS s FROM t HAVING SUM(s) > 1"),
        ("SELECT a AS b FROM t WHERE c = 1 HAVING b = 2", "SELECT a AS b FROM t WHERE (c = 1) AND (a = 2)"),
        ("TABLE t", "SELECT * FROM `t`"),
        ("SELECT 1 AS a UNION SELECT 2", "SELECT 1 AS a UNION SELECT 2 AS `2`"),
        (
            "SELECT DISTINCT UPPER(a) FROM t ORDER BY UPPER(a)",
            "SELECT DISTINCT UPPER(a) AS `UPPER(a)` FROM t ORDER BY `UPPER(a)`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read_query(text, &context()).to_string(), expected, "{text}");
    }
}

#[test]
fn unnamed_columns_are_named_by_their_text() {
    let cases: [(&str, &[&str]); 8] = [
        ("SELECT COUNT( * ), 5/2, DATE(event_time) FROM t", &["COUNT( * )", "5/2", "DATE(event_time)"]),
        ("SELECT 'it''s', \"q\", 'a' 'b', NULL, -7, 1.50", &["it's", "q", "a", "NULL", "-7", "1.50"]),
        ("SELECT @@version, @@session.sql_mode, @A", &["@@version", "@@session.sql_mode", "@A"]),
        ("SELECT a, t.b, `c d` FROM t", &["a", "t.b", "`c d`"]),
        (
            "SELECT CASE WHEN a IN (1, 2) THEN (SELECT 1 FROM x) END FROM t",
            &["CASE WHEN a IN (1, 2) THEN (SELECT 1 FROM x) END"],
        ),
        ("SELECT EXTRACT(DAY FROM t), 1 FROM t ORDER BY 1", &["EXTRACT(DAY FROM t)", "1"]),
        ("SELECT SQL_NO_CACHE ALL MAX(a) AS 'm', 2 \"n\" FROM t", &["m", "n"]),
        ("SELECT\n  f(a,\n b)\n  -- why\nFROM t", &["f(a,\n b)"]),
    ];
    for (text, expected) in cases {
        assert_eq!(names(text), expected, "{text}");
    }
}

#[test]
fn duplicate_names_differ_inside_and_look_alike_outside() {
    let inside = names("SELECT COUNT(*), COUNT(*), a.id, b.id, id, 1 AS x, 2 AS X FROM a, b");
    let mut unique = inside.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), inside.len());
    let outside: Vec<&str> = inside.iter().map(|name| shown_name(name)).collect();
    assert_eq!(outside, ["COUNT(*)", "COUNT(*)", "a.id", "b.id", "id", "x", "X"]);
    assert_eq!(names("SELECT *, id FROM a").iter().map(|name| shown_name(name)).collect::<Vec<_>>(), ["*", "id"]);
}

#[test]
fn sql_mode_decides_how_quotes_and_pipes_are_read() {
    let ansi = ParseContext { ansi_quotes: true, ..context() };
    assert_eq!(read_query("SELECT \"a\" FROM \"t\"", &ansi).to_string(), "SELECT \"a\" FROM \"t\"");
    let pipes = ParseContext { pipes_as_concat: true, ..context() };
    let concat = read_query("SELECT a || b = 'x' AS c", &pipes).to_string();
    assert_eq!(concat, "SELECT a || b = 'x' AS c");
    let plain = ParseContext { no_backslash_escapes: true, ..context() };
    assert_eq!(read_query(r"SELECT 'a\' AS b", &plain).to_string(), r"SELECT 'a\' AS b");
}

#[test]
fn version_comments_are_executed_for_our_version_only() {
    let cases = [
        ("SELECT /*!40001 SQL_NO_CACHE */ a FROM t", "SELECT a FROM t"),
        ("SELECT a /*!99999 , b */ FROM t", "SELECT a FROM t"),
        ("SELECT a /*M!100100 , b */ FROM t", "SELECT a FROM t"),
        ("SELECT a /*! , b */ /* , c */ # , d\n-- , e\nFROM t", "SELECT a, b FROM t"),
        ("SELECT '/*!40000 x */' AS a", "SELECT '/*!40000 x */' AS a"),
    ];
    for (text, expected) in cases {
        assert_eq!(read_query(text, &context()).to_string(), expected, "{text}");
    }
    assert_eq!(refusal("/*M!100100 SET WAIT_TIMEOUT=DEFAULT */"), "1065 Query was empty");
}

#[test]
fn parameters_are_numbered_in_the_order_of_the_text() {
    let prepared = dialect::prepare("SELECT ? + a FROM t WHERE b = ? AND c IN (?, '?') LIMIT ?", &context());
    let prepared = prepared.expect("a query");
    let Statement::Query(query) = prepared.statement else { panic!("no query") };
    assert_eq!(prepared.parameters, 4);
    let expected = "SELECT $1 + a AS `? + a` FROM t WHERE b = $2 AND c IN ($3, '?') LIMIT $4";
    assert_eq!(query.to_string(), expected);
    let insert = dialect::prepare("INSERT INTO t VALUES (?, 1), (2, ? + ?)", &context()).expect("an insert");
    assert_eq!(insert.parameters, 3);
}

fn inserted(text: &str) -> Vec<Vec<InsertValue>> {
    match read(text) {
        Statement::Insert(insert) => match insert.source {
            InsertSource::Values(rows) => rows,
            InsertSource::Query(query) => panic!("{text} inserts {query}"),
        },
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn inserted_values_are_read_as_mysql_reads_them() {
    let text = |text: &str| InsertValue::Literal(Value::SingleQuotedString(text.to_owned()));
    let number = |text: &str| InsertValue::Literal(Value::Number(text.to_owned(), false));
    let hex = |text: &str| InsertValue::Literal(Value::HexStringLiteral(text.to_owned()));
    let cases = [
        ("1", number("1")),
        ("- 5", number("-5")),
        ("+2.50", number("2.50")),
        (".5e-3", number(".5e-3")),
        ("NULL", InsertValue::Literal(Value::Null)),
        ("default", InsertValue::Default),
        ("TRUE", InsertValue::Literal(Value::Boolean(true))),
        (r"'a\'b''c\\ \n\Z\%\x'", text("a'b'c\\ \n\u{1a}\\%x")),
        ("\"say \"\"hi\"\"\"", text("say \"hi\"")),
        ("'日本' 'x'", text("日本x")),
        ("'' /* none */", text("")),
        ("'); --'", text("); --")),
        ("X'00fF'", hex("00fF")),
        ("0x41", hex("41")),
        ("_binary'\u{1}'", hex("01")),
    ];
    for (value, expected) in cases {
        let rows = inserted(&format!("INSERT INTO t (a) VALUES ({value}) , ROW( {value} );"));
        assert_eq!(rows, [[expected.clone()], [expected]], "{value}");
    }
    assert!(matches!(
        inserted("INSERT t VALUE (NOW(), 1+1)")[0].as_slice(),
        [InsertValue::Expr(_), InsertValue::Expr(_)]
    ));
    assert_eq!(inserted("INSERT INTO t () VALUES ()"), [[]]);
    let Statement::Insert(set) = read("INSERT INTO t SET a = 1, `b` = DEFAULT") else { panic!("no insert") };
    assert_eq!(set.columns, ["a", "b"]);
    assert_eq!(set.source, InsertSource::Values(vec![vec![number("1"), InsertValue::Default]]));
    let Statement::Insert(query) = read("INSERT INTO a.t (b) SELECT c FROM read_csv('x*.csv', header => true)") else {
        panic!("no insert")
    };
    let InsertSource::Query(source) = query.source else { panic!("no query") };
    assert_eq!(source.to_string(), "SELECT c FROM read_csv('x*.csv', header => true)");
}

#[test]
fn rows_that_cannot_be_read_are_named_with_their_place() {
    let cases = [
        (
            "INSERT INTO t VALUES (1),\n(2,",
            "1064 You have an error in your SQL syntax; expected an expression near '' at line 2",
        ),
        (
            "INSERT INTO t VALUES (1)\n,(2 3)",
            "1064 You have an error in your SQL syntax; expected the end of the statement near '3)' at line 2",
        ),
        (
            "INSERT INTO t VALUES (1) x",
            "1064 You have an error in your SQL syntax; expected ',' or the end of the statement near 'x' at line 1",
        ),
        (
            "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1",
            "1235 This version of Desirepath doesn't yet support 'INSERT … ON DUPLICATE KEY UPDATE; keys are not \
             enforced'",
        ),
        (
            "INSERT IGNORE INTO t VALUES (1)",
            "1235 This version of Desirepath doesn't yet support 'INSERT IGNORE; a row that does not fit refuses \
             the statement'",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn small_statements_are_plain_data() {
    let exists = |name: &str| TableName { database: Some("d".to_owned()), name: name.to_owned() };
    let cases = [
        ("USE `a b`", Statement::Use("a b".to_owned())),
        ("BEGIN WORK", Statement::Begin { read_only: false, consistent_snapshot: false }),
        (
            "START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */, READ ONLY",
            Statement::Begin { read_only: true, consistent_snapshot: true },
        ),
        ("COMMIT AND NO CHAIN", Statement::Commit),
        ("ROLLBACK", Statement::Rollback),
        ("ROLLBACK TO SAVEPOINT a", Statement::RollbackTo("a".to_owned())),
        ("SAVEPOINT a", Statement::Savepoint("a".to_owned())),
        ("RELEASE SAVEPOINT a", Statement::ReleaseSavepoint("a".to_owned())),
        ("TRUNCATE TABLE d.t", Statement::Truncate { table: exists("t") }),
        ("OPTIMIZE LOCAL TABLE d.t, u", Statement::Optimize { tables: vec![exists("t"), table("u")] }),
        (
            "CREATE SCHEMA IF NOT EXISTS a DEFAULT CHARACTER SET = utf8mb4 COLLATE x",
            Statement::CreateDatabase { name: "a".to_owned(), if_not_exists: true },
        ),
        ("DROP DATABASE a", Statement::DropDatabase { name: "a".to_owned(), if_exists: false }),
        (
            "DROP TABLE IF EXISTS d.t, u CASCADE;",
            Statement::DropTable { tables: vec![exists("t"), table("u")], if_exists: true },
        ),
        ("LOCK TABLES t READ /*!32311 LOCAL */, u AS v WRITE", Statement::LockTables(vec![table("t"), table("u")])),
        ("UNLOCK TABLES", Statement::UnlockTables),
        ("FLUSH TABLES WITH READ LOCK", Statement::Flush),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text), expected, "{text}");
    }
    assert!(matches!(read("KILL QUERY 7"), Statement::Kill { query_only: true, .. }));
    assert!(matches!(read("KILL CONNECTION 7"), Statement::Kill { query_only: false, .. }));
    let Statement::Explain(explain) = read("EXPLAIN ANALYZE VERBOSE FORMAT = 'tree' SELECT 1") else {
        panic!("explain")
    };
    assert_eq!((explain.analyze, explain.verbose, explain.format.as_deref()), (true, true, Some("TREE")));
    let Statement::Delete(delete) = read("DELETE LOW_PRIORITY FROM t AS x WHERE x.a = 1 AND b") else {
        panic!("delete")
    };
    assert_eq!((delete.table, delete.alias.as_deref()), (table("t"), Some("x")));
    assert_eq!(delete.selection.expect("a condition").to_string(), "x.a = 1 AND CAST(b AS DOUBLE) <> 0");
    let Statement::Update(update) = read("UPDATE t SET a = a / 2, t.b = DEFAULT WHERE c = 1") else { panic!("update") };
    let assignments: Vec<_> = update.assignments.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(assignments, ["a=mysql_divide(a, 2)", "b=DEFAULT"]);
}

fn created(text: &str) -> CreateTable {
    match read(text) {
        Statement::CreateTable(create) => *create,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn column_types_and_their_synonyms() {
    let cases = [
        ("BOOL", "tinyint(1)"),
        ("tinyint(1)", "tinyint(1)"),
        ("TINYINT(4) UNSIGNED", "tinyint unsigned"),
        ("MEDIUMINT", "int"),
        ("INTEGER SIGNED", "int"),
        ("bigint(20) unsigned", "bigint unsigned"),
        ("INT8", "bigint"),
        ("FLOAT(30)", "double"),
        ("DOUBLE PRECISION", "double"),
        ("REAL", "double"),
        ("NUMERIC", "decimal(10,0)"),
        ("DEC(5)", "decimal(5,0)"),
        ("FIXED(38,30)", "decimal(38,30)"),
        ("DATETIME(6)", "datetime(6)"),
        ("TIMESTAMP", "timestamp"),
        ("YEAR(4)", "year"),
        ("CHAR", "char(1)"),
        ("CHARACTER VARYING(7)", "varchar(7)"),
        ("NATIONAL VARCHAR(7)", "varchar(7)"),
        ("TEXT(60)", "tinytext"),
        ("LONG VARCHAR", "mediumtext"),
        ("LONGBLOB", "longblob"),
        ("VARBINARY(16)", "varbinary(16)"),
        ("JSON", "json"),
    ];
    for (declared, expected) in cases {
        let create = created(&format!("CREATE TABLE t (a {declared})"));
        assert_eq!(create.columns[0].column_type.to_string(), expected, "{declared}");
    }
}

#[test]
fn create_table_keeps_what_was_declared() {
    let create = created(
        "CREATE TABLE IF NOT EXISTS d.`t` (
           `id` bigint NOT NULL DEFAULT '0' COMMENT 'it''s', at DATETIME(6) DEFAULT NOW(6),
           name varchar(64) COLLATE utf8mb4_general_ci DEFAULT 'a\\\\b', n INT DEFAULT -1 UNIQUE, e INT DEFAULT (1 + 1),
           x INT DEFAULT NULL, y TINYINT(1) DEFAULT TRUE,
           PRIMARY KEY (ID, at), KEY (name(10) DESC), INDEX (name) USING BTREE, CONSTRAINT u UNIQUE KEY (n)
         ) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC,
         USER_COLUMN = 'id', TIME_COLUMN = at, EVENT_COLUMN='name' COMMENT='c'",
    );
    let defaults: Vec<_> = create.columns.iter().map(|column| column.default.as_deref()).collect();
    let expected =
        [Some("'0'"), Some("CURRENT_TIMESTAMP(6)"), Some(r"'a\\b'"), Some("-1"), Some("(1 + 1)"), None, Some("1")];
    assert_eq!(defaults, expected);
    let nullable: Vec<_> = create.columns.iter().map(|column| column.nullable).collect();
    assert_eq!(nullable, [false, false, true, true, true, true, true]);
    let keys: Vec<_> = create.keys.iter().map(|key| (key.kind, key.name.as_str())).collect();
    let expected = [
        (KeyKind::Unique, "n"),
        (KeyKind::Primary, "PRIMARY"),
        (KeyKind::Index, "name"),
        (KeyKind::Index, "name_2"),
        (KeyKind::Unique, "u"),
    ];
    assert_eq!(keys, expected);
    assert_eq!(create.columns[0].comment, "it's");
    let event = [create.user_column, create.time_column, create.event_column].map(Option::unwrap_or_default);
    assert_eq!((event, create.comment.as_str()), (["id".to_owned(), "at".to_owned(), "name".to_owned()], "c"));
    assert_eq!(create.warnings.len(), 2, "{:?}", create.warnings);
}

#[test]
fn other_forms_of_create_table_and_alter_table() {
    assert_eq!(created("CREATE TABLE t LOCATION 's3://b/t'").location.as_deref(), Some("s3://b/t"));
    assert_eq!(created("CREATE TABLE t (LIKE d.u)").like.map(|like| like.to_string()).as_deref(), Some("d.u"));
    for text in ["CREATE TABLE t AS SELECT 1 AS a", "CREATE TABLE t select 1 as a", "CREATE TABLE t (SELECT 1 AS a)"] {
        assert!(created(text).query.is_some(), "{text}");
    }
    let Statement::AlterTable { operations, .. } =
        read("ALTER TABLE t ADD COLUMN a INT, ADD (b JSON, c DATE NOT NULL)")
    else {
        panic!("no alter")
    };
    let names: Vec<_> =
        operations.iter().map(|AlterOperation::AddColumn { column, .. }| column.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let expr = dialect::parse_expression("CURRENT_TIMESTAMP(6)", &context()).expect("a default");
    assert_eq!(expr.to_string(), "CURRENT_TIMESTAMP(6)");
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let cases = [
        ("CREATE TABLE t (a ENUM('x'))", "type ENUM of column a"),
        ("CREATE TABLE t (a SET('x'))", "type SET of column a"),
        ("CREATE TABLE t (a TIME)", "type TIME of column a"),
        ("CREATE TABLE t (a BIT(1))", "type BIT of column a"),
        ("CREATE TABLE t (a POINT)", "type POINT of column a"),
        ("CREATE TABLE t (a DECIMAL(5,2) UNSIGNED)", "type DECIMAL UNSIGNED of column a"),
        ("CREATE TABLE t (a INT ZEROFILL)", "type ZEROFILL of column a"),
        ("CREATE TABLE t (a INT AUTO_INCREMENT)", "column a with AUTO_INCREMENT"),
        ("CREATE TABLE t (a INT, CHECK (a > 1))", "CREATE TABLE with CHECK"),
        ("CREATE TABLE t (a INT) TABLESPACE x", "table option TABLESPACE"),
        (
            "CREATE TABLE t (a INT) PARTITION BY HASH (a)",
            "CREATE TABLE … PARTITION BY; event tables are partitioned by day",
        ),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE OR REPLACE VIEW"),
        ("CREATE TEMPORARY TABLE t (a INT)", "CREATE TEMPORARY TABLE"),
        ("ALTER TABLE t DROP COLUMN a", "ALTER TABLE … DROP COLUMN"),
        ("ALTER TABLE t ADD COLUMN a INT FIRST", "ALTER TABLE … ADD COLUMN … FIRST; new columns are the last"),
        ("DROP VIEW v", "DROP VIEW"),
        ("REPLACE INTO t VALUES (1)", "REPLACE"),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", "LOAD DATA"),
        ("GRANT ALL ON *.* TO a", "GRANT"),
        ("DELETE FROM t ORDER BY a LIMIT 1", "DELETE … ORDER"),
        ("DELETE a FROM a JOIN b", "DELETE of several tables"),
        ("UPDATE a, b SET a.x = 1", "UPDATE of several tables"),
        ("SET STATEMENT max_statement_time=1 FOR SELECT 1", "SET STATEMENT"),
        ("SHOW BINARY LOGS", "SHOW BINARY LOGS"),
        ("SELECT 1 INTO OUTFILE 'x'", "SELECT … INTO OUTFILE"),
        ("SELECT @a := 1", "assignment (:=) of a variable inside an expression"),
        ("SELECT a COLLATE utf8mb4_general_ci", "COLLATE utf8mb4_general_ci in an expression; utf8mb4_bin is"),
        ("SELECT SQL_CALC_FOUND_ROWS a FROM t", "SQL_CALC_FOUND_ROWS; use a second query with COUNT(*)"),
        ("SELECT MATCH (a) AGAINST ('x') FROM t", "MATCH … AGAINST"),
        ("SELECT CAST(a AS TIME)", "CAST to TIME"),
    ];
    for (text, what) in cases {
        assert_eq!(refusal(text), format!("1235 This version of Desirepath doesn't yet support '{what}'"), "{text}");
    }
}

#[test]
fn mistakes_get_mysqls_number_and_place() {
    let cases = [
        ("", "1065 Query was empty"),
        (" ; -- nothing", "1065 Query was empty"),
        ("SELEC 1", "1064 You have an error in your SQL syntax; expected a statement near 'SELEC 1' at line 1"),
        (
            "SELECT *\nFRM t",
            "1064 You have an error in your SQL syntax; expected the end of the statement near 'FRM t' at line 2",
        ),
        (
            "SELECT 1; SELECT 2",
            "1064 You have an error in your SQL syntax; expected the end of the statement near 'SELECT 2' at line 1",
        ),
        ("SELECT (1", "1064 You have an error in your SQL syntax; expected ) near '' at line 1"),
        ("SELECT 'a", "1064 You have an error in your SQL syntax; unterminated string literal near ''a' at line 1"),
        (
            "SELECT a::int",
            "1064 You have an error in your SQL syntax; expected the end of the statement near '::int' at line 1",
        ),
        (
            "CREATE TABLE t (a VARCHAR)",
            "1064 You have an error in your SQL syntax; expected the length of VARCHAR in brackets near ')' at line 1",
        ),
        ("CREATE TABLE t (a INT, A INT)", "1060 Duplicate column name 'A'"),
        ("CREATE TABLE t (a INT, KEY (b))", "1054 Key column 'b' doesn't exist in table"),
        ("CREATE TABLE t (a DATETIME(7))", "1210 Too-big precision 7 specified for 'a'. Maximum is 6."),
        (
            "CREATE TABLE t (a VARCHAR(70000))",
            "1210 Column length too big for column 'a' (max = 16383); use BLOB or TEXT instead",
        ),
        ("SELECT (a, b) = (1, 2, 3)", "1210 Operand should contain 2 column(s)"),
        ("SELECT DATE_ADD(a)", "1582 Incorrect parameter count in the call to native function 'DATE_ADD'"),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text), expected, "{text}");
    }
    let error = dialect::parse("SHOW TABLES", &ParseContext::default()).expect_err("no database");
    assert_eq!((error.kind(), error.message()), (Kind::NoDatabaseSelected, "No database selected"));
}

#[test]
fn set_lists_have_scopes_words_and_expressions() {
    let Statement::Set(list) = read(
        "SET autocommit=OFF, @@session.a = DEFAULT, GLOBAL b = 'x', @`User` := 1, NAMES 'UTF8MB4' COLLATE utf8mb4_bin, \
         sql_mode = concat(@@sql_mode, ',A'), character_set_results = NULL, PERSIST c = ON",
    ) else {
        panic!("no set")
    };
    let printed: Vec<String> = list
        .iter()
        .map(|assignment| match assignment {
            Assignment::System { scope, name, value: SetValue::Expr(value) } => format!("{scope:?} {name} {value}"),
            Assignment::System { scope, name, value: SetValue::Default } => format!("{scope:?} {name} default"),
            Assignment::User { name, value } => format!("@{name} {value}"),
            other => format!("{other:?}"),
        })
        .collect();
    let expected = [
        "Session autocommit 'OFF'",
        "Session a default",
        "Global b 'x'",
        "@user 1",
        "Names { charset: Some(\"utf8mb4\"), collation: Some(\"utf8mb4_bin\") }",
        "Session sql_mode concat(@@sql_mode, ',A')",
        "Session character_set_results NULL",
        "Persist c 'ON'",
    ];
    assert_eq!(printed, expected);
    let Statement::Set(list) = read("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY") else {
        panic!("no set")
    };
    let isolation = Some("REPEATABLE-READ".to_owned());
    assert_eq!(list, [Assignment::Transaction { scope: Some(Scope::Session), isolation, read_only: Some(true) }]);
    assert_eq!(read("SET CHARACTER SET DEFAULT"), Statement::Set(vec![Assignment::CharacterSet(None)]));
    let subquery =
        read("SET sql_mode=(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')),time_zone='+00:00',NAMES utf8mb4");
    assert!(matches!(subquery, Statement::Set(list) if list.len() == 3));
}

#[test]
fn accounts_are_read_and_secrets_never_printed() {
    let user = |name: &str, host: &str| UserName { name: name.to_owned(), host: host.to_owned() };
    let create = read(
        "CREATE USER IF NOT EXISTS 'a'@'10.0.0.%' IDENTIFIED BY 'hunter2', b@LocalHost, c IDENTIFIED WITH \
         mysql_native_password AS '*AB'",
    );
    assert!(!format!("{create:?}").contains("hunter2"));
    let Statement::CreateUser { users, if_not_exists: true } = create else { panic!("no user") };
    let accounts: Vec<_> = users.iter().map(|specification| specification.user.clone()).collect();
    assert_eq!(accounts, [Some(user("a", "10.0.0.%")), Some(user("b", "localhost")), Some(user("c", "%"))]);
    let first = users[0].authentication.as_ref().and_then(|authentication| authentication.secret.as_ref());
    assert!(matches!(first, Some(SecretKind::Password(secret)) if secret.0 == "hunter2"));
    let Statement::AlterUser { users, .. } = read("ALTER USER USER() IDENTIFIED BY 'x'") else { panic!("no alter") };
    assert_eq!(users[0].user, None);
    assert_eq!(
        read("DROP USER IF EXISTS a, 'b'@localhost"),
        Statement::DropUser { users: vec![user("a", "%"), user("b", "localhost")], if_exists: true }
    );
    assert!(matches!(read("SET PASSWORD FOR 'a'@'%' = 'x'"), Statement::SetPassword { user: Some(_), .. }));
}

fn shown(text: &str) -> Show {
    match read(text) {
        Statement::Show(show) => show,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn show_is_a_query_on_information_schema() {
    let cases = [
        (
            "SHOW DATABASES LIKE 'A%'",
            "SELECT SCHEMA_NAME AS `Database (A%)` FROM information_schema.SCHEMATA WHERE LOWER(SCHEMA_NAME) \
             LIKE 'a%' ORDER BY SCHEMA_NAME",
        ),
        (
            "SHOW /*!50002 FULL*/ TABLES",
            "SELECT TABLE_NAME AS `Tables_in_shop`, TABLE_TYPE AS `Table_type` FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = 'shop' ORDER BY TABLE_NAME",
        ),
        (
            "SHOW TABLES FROM d WHERE Tables_in_d = 'x'",
            "SELECT TABLE_NAME AS `Tables_in_d` FROM information_schema.TABLES WHERE (TABLE_SCHEMA = 'd') AND \
             (TABLE_NAME = 'x') ORDER BY TABLE_NAME",
        ),
        (
            "DESC d.t",
            "SELECT COLUMN_NAME AS `Field`, COLUMN_TYPE AS `Type`, IS_NULLABLE AS `Null`, COLUMN_KEY AS `Key`, \
             COLUMN_DEFAULT AS `Default`, EXTRA AS `Extra` FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = \
             'd' AND TABLE_NAME = 't' ORDER BY ORDINAL_POSITION",
        ),
        (
            "SHOW CREATE TABLE t",
            "SELECT object_name AS `Table`, create_statement AS `Create Table` FROM \
             information_schema.create_statements WHERE object_type = 'TABLE' AND object_schema = 'shop' AND \
             object_name = 't'",
        ),
        (
            "SHOW VARIABLES WHERE Variable_name IN ('a', 'b')",
            "SELECT VARIABLE_NAME AS `Variable_name`, VARIABLE_VALUE AS `Value` FROM \
             information_schema.session_variables WHERE VARIABLE_NAME IN ('a', 'b') ORDER BY VARIABLE_NAME",
        ),
        (
            "SHOW GLOBAL STATUS LIKE \"Ssl_cipher\"",
            "SELECT VARIABLE_NAME AS `Variable_name`, VARIABLE_VALUE AS `Value` FROM \
             information_schema.session_status WHERE LOWER(VARIABLE_NAME) LIKE 'ssl_cipher' ORDER BY \
             VARIABLE_NAME",
        ),
        (
            "SHOW WARNINGS LIMIT 1, 2",
            "SELECT level AS `Level`, code AS `Code`, message AS `Message` FROM information_schema.warnings LIMIT 1, 2",
        ),
        ("SHOW COUNT(*) WARNINGS", "SELECT COUNT(*) AS `@@session.warning_count` FROM information_schema.warnings"),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text).query.to_string(), expected, "{text}");
    }
    assert_eq!(shown("SHOW TABLES FROM d").requires, Requirement::Database("d".to_owned()));
    let required = TableName { database: Some("shop".to_owned()), name: "T".to_owned() };
    let mut columns = shown("SHOW FULL COLUMNS FROM T LIKE 'x'");
    assert_eq!(columns.requires, Requirement::Table(required));
    columns.respell("Shop", Some("t"));
    assert!(
        columns
            .query
            .to_string()
            .contains("TABLE_SCHEMA = 'Shop' AND TABLE_NAME = 't' AND LOWER(COLUMN_NAME) LIKE 'x'")
    );
    let others = "SHOW KEYS FROM t FROM d; SHOW TABLE STATUS LIKE 'a'; SHOW FULL PROCESSLIST; SHOW STORAGE ENGINES; \
        SHOW CHARSET; SHOW COLLATION WHERE Charset = 'utf8mb4'; SHOW PLUGINS; SHOW GRANTS FOR 'a'@'%'; SHOW EVENTS; \
        SHOW PROCEDURE STATUS WHERE Db = 'x'; SHOW TRIGGERS FROM d; SHOW CREATE DATABASE IF NOT EXISTS d; SHOW ERRORS";
    for statement in split(others, ScriptOptions::default()) {
        shown(statement.text);
    }
}

#[test]
fn scripts_are_split_at_delimiters_that_are_not_quoted() {
    let client = ScriptOptions { delimiter_command: true, ..ScriptOptions::default() };
    let plain = ScriptOptions::default();
    type Case<'t> = (&'t str, ScriptOptions, &'t [(usize, &'t str)]);
    let cases: [Case<'_>; 9] = [
        ("SELECT 1; SELECT 2;;\n SELECT 3", plain, &[(1, "SELECT 1"), (1, "SELECT 2"), (2, "SELECT 3")]),
        ("SELECT ';', \"a;\", `b;`; x", plain, &[(1, "SELECT ';', \"a;\", `b;`"), (1, "x")]),
        ("SELECT 'it''s; \\'; ok'; x", plain, &[(1, "SELECT 'it''s; \\'; ok'"), (1, "x")]),
        ("# a;\n-- b;\n/* c; */ x /* d; */;\n-- e", plain, &[(3, "x")]),
        ("SELECT 1--2; y", plain, &[(1, "SELECT 1--2"), (1, "y")]),
        ("/*!40101 SET a=';' */; /*M!1 x */; /*!99999 y */ z", plain, &[(1, "/*!40101 SET a=';' */"), (1, "z")]),
        ("DELIMITER //\nx; y//\ndelimiter ;\nz; w", client, &[(2, "x; y"), (4, "z"), (4, "w")]),
        ("x\\G\ny\\g z", client, &[(1, "x"), (2, "y"), (2, "z")]),
        ("'open; text", plain, &[(1, "'open; text")]),
    ];
    for (text, options, expected) in cases {
        let found: Vec<_> = split(text, options).iter().map(|part| (part.line, part.text)).collect();
        assert_eq!(found, expected, "{text}");
    }
    let raw = ScriptOptions { no_backslash_escapes: true, ..plain };
    assert_eq!(split(r"SELECT 'a\'; x", raw).len(), 2);
}

#[test]
fn names_are_respelled_and_variables_replaced_when_planning() {
    let columns: HashMap<String, Vec<String>> =
        ["user_id", "Platform"].map(|name| (name.to_lowercase(), vec![name.to_owned()])).into();
    let mut query = read_query(
        "SELECT USER_ID, E.PLATFORM, COUNT(*) AS N FROM events e JOIN u USING (User_Id) WHERE platform = @X \
         GROUP BY 1, user_id ORDER BY n LIMIT '2', 18446744073709551615",
        &context(),
    );
    rewrite::canonicalise_identifiers(&mut query, &columns);
    rewrite::substitute_variables(&mut query, &mut |variable| {
        assert_eq!(*variable, Variable::User("x".to_owned()));
        Ok(Expr::Value(Value::Number("1e3".to_owned(), false).into()))
    })
    .expect("a value");
    rewrite::settle_literals(&mut query);
    assert_eq!(
        query.to_string(),
        "SELECT user_id AS `USER_ID`, e.Platform AS `PLATFORM`, COUNT(*) AS N FROM events e JOIN u USING(user_id) \
         WHERE Platform = CAST('1e3' AS DOUBLE) GROUP BY 1, user_id ORDER BY N LIMIT 2, 9223372036854775807"
    );
    let mut seen = Vec::new();
    let mut query =
        read_query("SELECT @@GLOBAL.a, @@b, DATABASE(), VERSION(), CONNECTION_ID(), LAST_INSERT_ID(1)", &context());
    rewrite::substitute_variables(&mut query, &mut |variable| {
        seen.push(variable.clone());
        Ok(Expr::Value(Value::Null.into()))
    })
    .expect("values");
    let system = |scope, name: &str| Variable::System { scope, name: name.to_owned() };
    let expected = [
        system(Some(Scope::Global), "a"),
        system(None, "b"),
        Variable::Function(SessionFunction::Database),
        system(None, "version"),
        Variable::Function(SessionFunction::ConnectionId),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_clients_send_is_read_or_refused_by_name() {
    let samples = r#"
        /* mysql-connector-j-8.0.33 */SELECT @@session.auto_increment_increment AS a, @@license AS l,
          @@wait_timeout AS w;
        SELECT 2 SCOPE, COLUMN_NAME, CASE data_type WHEN 'bit' THEN -7 WHEN 'int' THEN IF( COLUMN_TYPE like
          '%unsigned%', 4,4)
          ELSE 1111 END DATA_TYPE, 0 BUFFER_LENGTH FROM INFORMATION_SCHEMA.COLUMNS WHERE (COLUMN_KEY = 'PRI' OR
            NOT EXISTS
          (SELECT * FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = 'users' )) AND TABLE_SCHEMA='a';
        SELECT CONVERT (CASE DATA_TYPE WHEN 'year' THEN NUMERIC_SCALE ELSE 0 END, UNSIGNED INTEGER) DECIMAL_DIGITS,
          CAST(11 + DATETIME_PRECISION as signed integer) x FROM INFORMATION_SCHEMA.COLUMNS;
        SELECT TABLE_SCHEMA AS TABLE_CAT, CASE WHEN TABLE_TYPE='BASE TABLE' THEN 'TABLE' ELSE TABLE_TYPE END AS
          TABLE_TYPE
          FROM INFORMATION_SCHEMA.TABLES HAVING TABLE_TYPE IN ('TABLE','VIEW',null,null,null) ORDER BY TABLE_TYPE;
        SELECT 'TABLE' TABLE_TYPE UNION SELECT 'SYSTEM VIEW' TABLE_TYPE; SELECT '' TABLE_SCHEM, ''
          TABLE_catalog FROM DUAL WHERE 1=0;
        select null as "database", table_name as name from information_schema.tables where table_schema = 'x';
        /*!40100 SET @@SQL_MODE='' */; SET SQL_SAFE_UPDATES=1,SQL_SELECT_LIMIT=1000; SET SQL_SELECT_LIMIT=DEFAULT;
        SET character_set_results = NULL; set optimizer_switch='semijoin=off'; set session transaction read write;
        SELECT DATE_ADD(FROM_UNIXTIME(0), INTERVAL -5 SECOND), UNIX_TIMESTAMP(c) DIV 60 * 60 AS "time" FROM t;
        SELECT name FROM users WHERE name = 'O\'Brien \"Zoë\" \\ 日本' AND avatar = _binary'\0x' AND ? IS NULL;
        create table if not exists z(event_time datetime(6), user_id bigint, props json); drop table z; ANALYZE
          TABLE `z`;
        rename table `a`.`b` to `a`.`c`; CHECK TABLE z; SELECT REPEAT('x', 17000000); KILL 42; DO 1; CALL p();
        SELECT * FROM FUNNEL(source => events, steps => STEPS(a => event_name = 'x'), window => INTERVAL 1 DAY);
        SELECT retention([a = 1, b = 2]), window_funnel(86400, 'default', t, a = 1) FROM e GROUP BY u;
        WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i, SUM(i) OVER w FROM n
          WINDOW w AS (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW);
    "#;
    let refused = ["ANALYZE TABLE", "RENAME TABLE", "CHECK TABLE", "DO", "CALL"];
    let mut names = Vec::new();
    for statement in split(samples, ScriptOptions::default()) {
        if let Err(error) = dialect::prepare(statement.text, &context()) {
            assert_eq!(error.kind(), Kind::Unsupported, "{}: {error}", statement.text);
            names.push(error.to_string());
        }
    }
    assert_eq!(names.len(), refused.len(), "{names:?}");
    for (name, message) in refused.iter().zip(names) {
        assert!(message.ends_with(&format!("'{name}'")), "{message}");
    }
}

/// A chain of ten thousand operators once overflowed the stack when it was dropped, and thirty nested calls with a
/// missing bracket took two to the power of thirty attempts. A stack of 2 MiB is what tokio gives a worker.
#[test]
fn no_shape_of_statement_overflows_or_stalls() {
    let repeated = |part: &str, count: usize| part.repeat(count);
    let joined = |part: &str, by: &str, count: usize| vec![part; count].join(by);
    let texts = [
        format!("SELECT {}1{}", repeated("(", 50_000), repeated(")", 50_000)),
        format!("SELECT {} 1", repeated("NOT ", 20_000)),
        format!("SELECT {} 1", repeated("- ", 20_000)),
        format!("SELECT {}", joined("1", "+", 9_000)),
        format!("SELECT {}", joined("1", "+", 200_000)),
        format!("SELECT {}1", repeated("FLOOR(", 150)),
        format!("SELECT {}1", repeated("POSITION(", 150)),
        format!("SELECT {}1", repeated("INTERVAL ", 3_000)),
        format!("SELECT {}1{}", repeated("CASE WHEN ", 3_000), repeated(" THEN 1 END", 3_000)),
        format!("SELECT {}1{}", repeated("(SELECT ", 3_000), repeated(")", 3_000)),
        format!("SELECT 1 FROM {}t{}", repeated("(t JOIN ", 500), repeated(")", 500)),
        format!("{}SELECT 1{}", repeated("SELECT * FROM (", 100), repeated(") t", 100)),
        joined("SELECT 1", " UNION ", 5_000),
        format!("INSERT INTO t VALUES ({}1", repeated("(", 50_000)),
        format!("SELECT 1 WHERE '{}'", repeated("1e+", 100_000)),
        repeated("/*", 50_000),
    ];
    let accepted = [
        format!("SELECT 1 FROM t WHERE {}", joined("a = 1", " OR ", 4_000)),
        format!("SELECT 1 FROM t WHERE a IN ({})", joined("1", ",", 20_000)),
        joined("SELECT 1", " UNION ALL ", 150),
        format!("SELECT {}1{}", repeated("f(", 100), repeated(")", 100)),
        format!("{}SELECT 1{}", repeated("SELECT * FROM (", 20), repeated(") t", 20)),
    ];
    let reader = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        for text in texts {
            let _ = dialect::parse(&text, &context());
        }
        for text in accepted {
            let statement = dialect::parse(&text, &context()).unwrap_or_else(|error| panic!("{error}"));
            drop(statement.clone());
        }
    });
    reader.expect("a thread").join().expect("every text is read or refused");
}

#[test]
fn no_text_panics() {
    const SEED: u64 = 0x5eed_0001;
    let seeds = [
        "SELECT DATE_ADD(a, INTERVAL '1 2' DAY_HOUR), COUNT(DISTINCT b, c), x->>'$.a' FROM t WHERE a || b \
         GROUP BY 1 WITH ROLLUP",
        "INSERT INTO t (a, b) VALUES (1, 'it\\'s'), (-2.5, _binary'x'), (DEFAULT, NOW() + INTERVAL 1 DAY)",
        "CREATE TABLE t (a BIGINT UNSIGNED NOT NULL DEFAULT '0', KEY (a)) ENGINE=x USER_COLUMN='a' COMMENT 'é日'",
        "SET @a = 1, GLOBAL b = ON, NAMES utf8mb4 COLLATE x, sql_mode = (SELECT 1)",
        "SHOW FULL COLUMNS FROM `a`.`b` WHERE Field LIKE 'x%'; /*!40101 SELECT 1 */ # end",
        "CREATE USER 'a'@'%' IDENTIFIED WITH p BY 'x'; windowFunnel(1, 'm')(a, b = 1)",
    ];
    let pieces = [
        "'", "\"", "`", "(", ")", ",", ";", "@", "--", "#", "/*", "*/", "?", "\\", "\0", "é", "->", ":=", "x'", "0x",
        "[", "\n",
    ];
    let mut state = SEED;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for round in 0..3_000 {
        let mut text: Vec<char> = seeds[round % seeds.len()].chars().collect();
        for _ in 0..1 + random(4) {
            let at = random(text.len() + 1);
            let end = (at + random(9)).min(text.len());
            match random(3) {
                0 => text.truncate(at),
                1 => drop(text.drain(at..end)),
                _ => drop(text.splice(at..at, pieces[random(pieces.len())].chars())),
            }
        }
        let text: String = text.into_iter().collect();
        let context = ParseContext {
            database: (round % 2 == 0).then_some("d"),
            ansi_quotes: round % 3 == 0,
            no_backslash_escapes: round % 5 == 0,
            pipes_as_concat: round % 7 == 0,
        };
        let read = std::panic::catch_unwind(|| {
            let _ = dialect::prepare(&text, &context).map(|prepared| format!("{prepared:?}"));
            let _ = dialect::parse_expression(&text, &context);
            split(&text, ScriptOptions { delimiter_command: true, ..ScriptOptions::default() }).len()
        });
        assert!(read.is_ok(), "seed {SEED:#x}, round {round}: {text:?}");
    }
}
