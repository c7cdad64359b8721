//! MySQL functions: what MySQL answers, mostly the examples of its manual and of the differences that clients trip
//! over.

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::prelude::{SessionConfig, SessionContext};
use desirepath::error::{Error, Kind};
use desirepath::functions::{mysql_function, register_all};
use desirepath::storage::types::META_TYPE;

fn session(time_zone: &str) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(2);
    let options = config.options_mut();
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.time_zone = Some(time_zone.to_owned());
    let config = config.set_str("datafusion.sql_parser.dialect", "mysql");
    let mut context = SessionContext::new_with_config(config);
    register_all(&mut context).expect("the registry takes functions");
    context
}

fn shown(array: &ArrayRef, row: usize) -> String {
    match array.is_null(row) {
        true => "NULL".to_owned(),
        false => array_value_to_string(array, row).expect("a value that can be shown"),
    }
}

async fn run(context: &SessionContext, text: &str) -> Result<Vec<RecordBatch>, Error> {
    let frame = context.sql(text).await.map_err(Error::from)?;
    frame.collect().await.map_err(Error::from)
}

/// The only value of an answer.
async fn one(context: &SessionContext, text: &str) -> String {
    let batches = run(context, text).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    let values: Vec<String> =
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| shown(batch.column(0), row))).collect();
    assert_eq!(values.len(), 1, "{text}");
    values.into_iter().next().unwrap_or_default()
}

/// Each expression alone, and again over a column so that nothing is folded.
async fn check(time_zone: &str, cases: &[(&str, &str)]) {
    let context = session(time_zone);
    for (expression, expected) in cases {
        // CONCAT makes text of it as MySQL does.
        let text = format!("SELECT concat({expression})");
        assert_eq!(one(&context, &text).await, *expected, "{text}");
        let text = format!("SELECT concat({expression}) FROM (VALUES (1), (2)) AS t(n) WHERE n = 2");
        assert_eq!(one(&context, &text).await, *expected, "{text}");
    }
}

#[test]
fn type_key_is_that_of_the_storage() {
    assert_eq!(mysql_function::TYPE_KEY, META_TYPE);
}

#[tokio::test]
async fn arithmetic() {
    check(
        "UTC",
        &[
            ("mysql_divide(5, 2)", "2.5000"),
            ("mysql_divide(1, 3)", "0.3333"),
            ("mysql_divide(2, 3)", "0.6667"),
            ("mysql_divide(-2, 3)", "-0.6667"),
            ("mysql_divide(10, 3.0)", "3.3333"),
            ("mysql_divide(10.00, 3)", "3.333333"),
            ("mysql_divide(1, 0)", "NULL"),
            ("mysql_divide(NULL, 1)", "NULL"),
            ("mysql_divide(CAST(1 AS DOUBLE), 4)", "0.25"),
            ("mysql_divide('1abc', 2)", "0.5"),
            ("mysql_int_divide(-5, 2)", "-2"),
            ("mysql_int_divide(7.5, 2)", "3"),
            ("mysql_int_divide(5, 0)", "NULL"),
            ("mod(-7, 3)", "-1"),
            ("mod(5, 0)", "NULL"),
            ("mod(5.5, 2)", "1.5"),
            ("round(2.5)", "3"),
            ("round(-2.5)", "-3"),
            ("round(2.567, 1)", "2.6"),
            ("round(9.99, 1)", "10.0"),
            ("round(15, -1)", "20"),
            ("round(CAST('2.5' AS DOUBLE))", "2"),
            ("truncate(2.567, 1)", "2.5"),
            ("truncate(-2.567, 1)", "-2.5"),
            ("truncate(129, -2)", "100"),
            ("sign(-3)", "-1"),
            ("ceiling(1.23)", "2"),
            ("ceiling(-1.23)", "-1"),
            ("floor(1.23)", "1"),
            ("floor(-1.23)", "-2"),
            ("floor(7)", "7"),
            ("mysql_signed(3.7)", "4"),
            ("mysql_signed('12abc')", "12"),
            ("mysql_signed('3.7')", "3"),
            ("mysql_signed(date('2024-01-05'))", "20240105"),
            ("mysql_unsigned(-1)", "18446744073709551615"),
            ("mysql_unsigned(-1.5)", "0"),
            ("mysql_signed(mysql_unsigned(-1))", "-1"),
        ],
    )
    .await;
}

#[tokio::test]
async fn text() {
    check(
        "UTC",
        &[
            ("concat('a', NULL)", "NULL"),
            ("concat('a', 1, 1.50)", "a11.50"),
            ("concat(1 = 1, 1 = 2)", "10"),
            ("concat(CAST(0.1 AS DOUBLE), '/', CAST('1e20' AS DOUBLE))", "0.1/1e20"),
            ("concat_ws(',', 'a', NULL, 'b')", "a,b"),
            ("concat_ws(NULL, 'a', 'b')", "NULL"),
            ("left('abc', 2)", "ab"),
            ("left('abc', -1)", ""),
            ("right('foobarbar', 4)", "rbar"),
            ("mid('abcdef', -3, 2)", "de"),
            ("mid('abc', 0)", ""),
            ("mid('日本語', 2)", "本語"),
            ("substring_index('www.mysql.com', '.', 2)", "www.mysql"),
            ("substring_index('www.mysql.com', '.', -2)", "mysql.com"),
            ("lpad('hi', 4, '??')", "??hi"),
            ("lpad('hi', 1, '??')", "h"),
            ("rpad('hi', 5, '?')", "hi???"),
            ("repeat('ab', 3)", "ababab"),
            ("replace('www.mysql.com', 'w', 'Ww')", "WwWwWw.mysql.com"),
            ("replace('abc', '', 'x')", "abc"),
            ("reverse('abc')", "cba"),
            ("ucase('é')", "É"),
            ("insert('Quadratic', 3, 4, 'What')", "QuWhattic"),
            ("insert('Quadratic', -1, 4, 'What')", "Quadratic"),
            ("insert('Quadratic', 3, 100, 'What')", "QuWhat"),
            ("elt(2, 'a', 'b')", "b"),
            ("elt(3, 'a', 'b')", "NULL"),
            ("format(12332.123456, 4)", "12,332.1235"),
            ("format(12332.1, 4)", "12,332.1000"),
            ("format(-999.995, 2)", "-1,000.00"),
            ("length('é')", "2"),
            ("char_length('é')", "1"),
            ("locate('bar', 'foobarbar')", "4"),
            ("locate('xbar', 'foobar')", "0"),
            ("locate('bar', 'foobarbar', 5)", "7"),
            ("instr('foobarbar', 'bar')", "4"),
            ("ascii('2')", "50"),
            ("field('Bb', 'Aa', 'Bb', 'Cc')", "2"),
            ("find_in_set('b', 'a,b,c,d')", "2"),
            ("strcmp('text', 'text2')", "-1"),
        ],
    )
    .await;
}

#[tokio::test]
async fn choice() {
    check(
        "UTC",
        &[
            ("if(1 = 1, 'a', 'b')", "a"),
            ("if(NULL, 1, 2)", "2"),
            ("if(0, 1, 2.5)", "2.5"),
            ("ifnull(NULL, 'x')", "x"),
            ("ifnull(1, 2)", "1"),
            ("isnull(NULL)", "1"),
            ("greatest(1, NULL)", "NULL"),
            ("greatest(1, 3, 2)", "3"),
            ("least(3, 2, 5)", "2"),
            ("least('b', 'a')", "a"),
        ],
    )
    .await;
}

#[tokio::test]
async fn dates() {
    check(
        "UTC",
        &[
            ("date('2003-12-31 01:02:03')", "2003-12-31"),
            ("date('20240105')", "2024-01-05"),
            ("date(20240105101112)", "2024-01-05"),
            ("date('2024-1-5')", "2024-01-05"),
            ("date('2024-02-30')", "NULL"),
            ("date('0000-00-00')", "NULL"),
            ("timestamp('2024-01-05T10:00:00.25')", "2024-01-05 10:00:00.25"),
            ("timestamp('2024-01-05 10:00:00+02:00')", "2024-01-05 08:00:00"),
            ("year('24-01-05')", "2024"),
            ("year('1987-01-01')", "1987"),
            ("month('2008-02-03')", "2"),
            ("day('2007-02-03')", "3"),
            ("quarter('2008-04-01')", "2"),
            ("dayofyear('2007-02-03')", "34"),
            ("dayofweek('2007-02-03')", "7"),
            ("weekday('2007-11-06')", "1"),
            ("hour('10:05:03')", "10"),
            ("minute('2008-02-03 10:05:03')", "5"),
            ("second('1969-12-31 23:59:58.5')", "58"),
            ("microsecond('12:00:00.123456')", "123456"),
            ("dayname('2007-02-03')", "Saturday"),
            ("monthname('2008-02-03')", "February"),
            ("last_day('2003-02-05')", "2003-02-28"),
            ("last_day('2004-02-05')", "2004-02-29"),
            ("to_days('2007-10-07')", "733321"),
            ("from_days(730669)", "2000-07-03"),
            ("makedate(2011, 32)", "2011-02-01"),
            ("makedate(2011, 0)", "NULL"),
            ("datediff('2007-12-31 23:59:59', '2007-12-30')", "1"),
            ("datediff('2010-11-30 23:59:59', '2010-12-31')", "-31"),
            ("timestampdiff('MONTH', '2003-02-01', '2003-05-01')", "3"),
            ("timestampdiff('MONTH', '2024-01-31', '2024-02-29')", "0"),
            ("timestampdiff('YEAR', '2002-05-01', '2001-01-01')", "-1"),
            ("timestampdiff('MINUTE', '2003-02-01', '2003-05-01 12:05:55')", "128885"),
            ("week('2008-02-20')", "7"),
            ("week('2008-02-20', 1)", "8"),
            ("week('2008-12-31', 1)", "53"),
            ("week('2024-01-07')", "1"),
            ("yearweek('1987-01-01')", "198652"),
            ("weekofyear('2008-02-20')", "8"),
        ],
    )
    .await;
}

#[tokio::test]
async fn date_formats() {
    check(
        "UTC",
        &[
            ("date_format('2009-10-04 22:23:00', '%W %M %Y')", "Sunday October 2009"),
            ("date_format('1900-10-04 22:23:00', '%D %y %a %d %m %b %j')", "4th 00 Thu 04 10 Oct 277"),
            ("date_format('1997-10-04 22:23:00', '%H %k %I %r %T %S %w')", "22 22 10 10:23:00 PM 22:23:00 00 6"),
            ("date_format('1999-01-01', '%X %V')", "1998 52"),
            ("date_format('2024-01-05', '%u %U %v %V %X %x')", "01 00 01 53 2023 2024"),
            ("date_format('2024-01-05 10:00:00.5', '%f%%%q')", "500000%q"),
            ("date_format(NULL, '%Y')", "NULL"),
            ("str_to_date('01,5,2013', '%d,%m,%Y')", "2013-05-01"),
            ("str_to_date('May 1, 2013', '%M %d,%Y')", "2013-05-01"),
            ("str_to_date('2024-01-01 00:00:00.000000', '%Y-%m-%d %T.%f')", "2024-01-01 00:00:00.000000"),
            ("str_to_date('2024-01-01 07:30 PM', '%Y-%m-%d %h:%i %p')", "2024-01-01 19:30:00"),
            ("str_to_date('200442 Monday', '%X%V %W')", "2004-10-18"),
            ("str_to_date('abc', '%Y-%m-%d')", "NULL"),
            ("str_to_date('2024-13-01', '%Y-%m-%d')", "NULL"),
        ],
    )
    .await;
}

#[tokio::test]
async fn time_zones() {
    check(
        "UTC",
        &[
            ("unix_timestamp('1970-01-01 00:00:01')", "1"),
            ("unix_timestamp('1969-12-31')", "0"),
            ("unix_timestamp('2015-11-13 10:20:19.012')", "1447410019.012"),
            ("from_unixtime(1447430881)", "2015-11-13 16:08:01"),
            ("from_unixtime(1447430881.5)", "2015-11-13 16:08:01.5"),
            ("from_unixtime(-1)", "NULL"),
            ("from_unixtime(0, '%Y')", "1970"),
            ("convert_tz('2004-01-01 12:00:00', 'GMT', 'MET')", "2004-01-01 13:00:00"),
            ("convert_tz('2004-01-01 12:00:00', '+00:00', '+10:00')", "2004-01-01 22:00:00"),
            ("convert_tz('2004-01-01 12:00:00', 'nowhere', '+10:00')", "NULL"),
        ],
    )
    .await;
    check(
        "Europe/Paris",
        &[
            ("from_unixtime(0)", "1970-01-01 01:00:00"),
            ("unix_timestamp('2024-07-01 02:00:00')", "1719792000"),
            // An hour that the clock leaves out means its end, one that it shows twice the first.
            ("unix_timestamp('2024-03-31 02:30:00')", "1711846800"),
            ("unix_timestamp('2024-10-27 02:30:00')", "1729989000"),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_clock() {
    let context = session("+05:00");
    assert_eq!(one(&context, "SELECT timestampdiff('HOUR', utc_timestamp(6), now(6))").await, "5");
    assert_eq!(one(&context, "SELECT now() = current_timestamp").await, "true");
    assert_eq!(one(&context, "SELECT unix_timestamp() = unix_timestamp(now())").await, "true");
    assert_eq!(one(&context, "SELECT curdate() = date(now())").await, "true");
    let batches = run(&context, "SELECT now() AS a, now(3) AS b").await.expect("an answer");
    let types = batches[0].schema().fields().iter().map(|f| f.metadata().get(META_TYPE).cloned()).collect::<Vec<_>>();
    assert_eq!(types, [Some("datetime".to_owned()), Some("datetime(3)".to_owned())]);
}

#[tokio::test]
async fn json() {
    check(
        "UTC",
        &[
            (r#"json_extract('{"a": [10, 20]}', '$.a[1]')"#, "20"),
            (r#"json_extract('{"a": [10, 20]}', '$.a[last]')"#, "20"),
            (r#"json_extract('{"id": "3", "name": "x"}', '$.name')"#, r#""x""#),
            (r#"json_extract('{"a b": 1}', '$."a b"')"#, "1"),
            (r#"json_extract('{"a": 1}', '$.b')"#, "NULL"),
            (r#"json_extract('{"a": 1, "b": 2}', '$.a', '$.b')"#, "[1, 2]"),
            (r#"json_extract('{"bb":1,"a":{"c":1.0}}', '$')"#, r#"{"a": {"c": 1.0}, "bb": 1}"#),
            (r#"json_unquote(json_extract('{"name": "a/b"}', '$.name'))"#, "a/b"),
            ("json_unquote('plain')", "plain"),
            (r#"json_value('{"a": "x"}', '$.a')"#, "x"),
            (r#"json_length('{"a": [1, 2, 3]}', '$.a')"#, "3"),
            (r#"json_type('[1]')"#, "ARRAY"),
            ("json_valid('{')", "0"),
        ],
    )
    .await;
}

#[tokio::test]
async fn aggregates() {
    let context = session("UTC");
    let rows = "(VALUES (1, 1.5), (2, 2.5), (2, NULL)) AS t(n, d)";
    for (expression, expected) in [
        ("avg(n)", "1.6667"),
        ("avg(d)", "2.00000"),
        ("avg(CAST(n AS DOUBLE) * 3)", "5.0"),
        ("avg(DISTINCT n)", "1.5000"),
        ("sum(n)", "5"),
        ("sum(n = 2)", "2"),
        ("sum(9223372036854775807)", "27670116110564327421"),
        ("stddev(n) = std(n) AND std(n) = stddev_pop(n)", "true"),
        ("variance(n) = var_pop(n)", "true"),
        ("mysql_divide(sum(d), 3)", "1.33333"),
    ] {
        let text = format!("SELECT {expression} FROM {rows}");
        assert_eq!(one(&context, &text).await, expected, "{text}");
    }
    let none = "FROM (VALUES (1)) AS t(n) WHERE n > 1";
    assert_eq!(one(&context, &format!("SELECT avg(n) {none}")).await, "NULL");
    let frame = "ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW";
    let rows = "(VALUES (1), (2), (4)) AS t(n)";
    let moving = format!("SELECT max(a) FROM (SELECT avg(n) OVER ({frame}) AS a FROM {rows}) AS averages");
    assert_eq!(one(&context, &moving).await, "3.0000");
}

#[tokio::test]
async fn days_and_years_select_ranges() {
    let context = session("UTC");
    let texts = "('2023-12-31 23:59:59.999999'), ('2024-01-01'), ('2024-01-01 23:59:59'), ('2024-01-02')";
    let times = format!("(SELECT timestamp(c) AS t FROM (VALUES {texts}) AS v(c)) AS e");
    for (condition, expected) in [
        ("date(t) = '2024-01-01'", "2"),
        ("date(t) > '2024-01-01'", "1"),
        ("date(t) <= '2024-01-01'", "3"),
        ("date(t) <> '2024-01-01'", "2"),
        ("year(t) = 2024", "3"),
        ("year(t) < 2024", "1"),
    ] {
        let text = format!("SELECT count(*) FROM {times} WHERE {condition}");
        assert_eq!(one(&context, &text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn wrong_calls() {
    let context = session("UTC");
    for (call, kind) in [
        ("datediff('2024-01-01')", Kind::WrongArgumentCount),
        ("timestampdiff('FORTNIGHT', '2024-01-01', '2024-01-02')", Kind::WrongArguments),
        ("now(7)", Kind::WrongArguments),
        ("json_extract('{', '$')", Kind::InvalidJson),
        ("json_extract('{}', 'a')", Kind::WrongArguments),
        ("json_extract('{}', '$.*')", Kind::Unsupported),
        ("mysql_int_divide(9223372036854775807, 0.1)", Kind::ExpressionOutOfRange),
    ] {
        let error = run(&context, &format!("SELECT {call}")).await.expect_err(call);
        assert_eq!(error.kind(), kind, "{call}: {error}");
    }
}
