//! MySQL's strict mode on the way into a table: what each kind of value becomes in each kind of column, and the error
//! number and text of what does not fit.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int8Array, Int32Array, Int64Array, ListArray, NullArray, RecordBatch, StringArray, StringViewArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    UInt64Array,
};
use arrow::datatypes::{Field, Int32Type, Schema};
use chrono_tz::Tz;
use desirepath::error::Result;
use desirepath::ingest::validate::calendar::ZoneClock;
use desirepath::ingest::validate::reader::{ColumnReader, fraction_digits};
use desirepath::ingest::validate::strict_batch;
use desirepath::storage::types::{Column, ColumnType};

/// The column `c` of the type as SQL writes it.
fn column(column_type: &str) -> Column {
    let column_type = column_type.parse().unwrap();
    Column { name: "c".into(), column_type, nullable: true, default: None, comment: String::new() }
}

fn batch(values: ArrayRef) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("source", values.data_type().clone(), true)]);
    RecordBatch::try_new(Arc::new(schema), vec![values]).unwrap()
}

/// The text of every value of the only column.
fn texts(batch: &RecordBatch, column_type: &ColumnType) -> Vec<String> {
    let reader = ColumnReader::new(batch.column(0), fraction_digits(column_type)).unwrap();
    let mut clock = ZoneClock::new(Tz::UTC);
    (0..batch.num_rows())
        .map(|row| {
            let mut text = Vec::new();
            let is_value = reader.value(row).write_text(&mut clock, &mut text);
            if is_value { String::from_utf8_lossy(&text).into_owned() } else { "NULL".into() }
        })
        .collect()
}

/// What one array becomes in a column: the values' texts joined by `|`, or `number: message`.
fn strict(values: ArrayRef, column_type: &str) -> String {
    strict_in(values, column_type, Tz::UTC)
}

fn strict_in(values: ArrayRef, column_type: &str, zone: Tz) -> String {
    let column = column(column_type);
    let converted = strict_batch(&batch(values), std::slice::from_ref(&column), 1, zone);
    outcome(converted, &column)
}

fn outcome(converted: Result<RecordBatch>, column: &Column) -> String {
    match converted {
        Ok(batch) => {
            assert_eq!(*batch.column(0).data_type(), column.column_type.arrow());
            assert_eq!(batch.schema_ref().field(0), &column.field());
            texts(&batch, &column.column_type).join("|")
        }
        Err(error) => format!("{}: {}", error.row().number, error.message()),
    }
}

/// A text in each of the layouts a string column may have.
fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

#[test]
fn text_becomes_numbers() {
    let cases = [
        ("12", "int", "12"),
        (" +12 ", "int", "12"),
        ("-2.5", "int", "-3"),
        ("1e3", "bigint", "1000"),
        ("9223372036854775807", "bigint", "9223372036854775807"),
        ("9223372036854775808", "bigint", "1264: Out of range value for column 'c' at row 1"),
        ("18446744073709551615", "bigint unsigned", "18446744073709551615"),
        ("-1", "bigint unsigned", "1264: Out of range value for column 'c' at row 1"),
        ("128", "tinyint", "1264: Out of range value for column 'c' at row 1"),
        ("255", "tinyint unsigned", "255"),
        ("256", "tinyint unsigned", "1264: Out of range value for column 'c' at row 1"),
        ("65535", "smallint unsigned", "65535"),
        ("4294967295", "int unsigned", "4294967295"),
        ("abc", "int", "1366: Incorrect integer value: 'abc' for column 'c' at row 1"),
        ("", "int", "1366: Incorrect integer value: '' for column 'c' at row 1"),
        ("12abc", "int", "1265: Data truncated for column 'c' at row 1"),
        ("true", "tinyint(1)", "1366: Incorrect integer value: 'true' for column 'c' at row 1"),
        ("1.005", "decimal(12,2)", "1.01"),
        ("-1.005", "decimal(12,2)", "-1.01"),
        ("1e400", "decimal(12,2)", "1264: Out of range value for column 'c' at row 1"),
        ("1e-400", "decimal(12,2)", "0.00"),
        ("999.995", "decimal(5,2)", "1264: Out of range value for column 'c' at row 1"),
        ("999.994", "decimal(5,2)", "999.99"),
        (".5", "decimal(5,2)", "0.50"),
        ("5.", "decimal(5,2)", "5.00"),
        ("12345678901234567890123456789012345678.9", "decimal(38,0)", "12345678901234567890123456789012345679"),
        ("1x", "decimal(5,2)", "1366: Incorrect decimal value: '1x' for column 'c' at row 1"),
        ("0.1", "double", "0.1"),
        ("1e20", "double", "1e20"),
        ("1e400", "double", "1264: Out of range value for column 'c' at row 1"),
        ("inf", "double", "1366: Incorrect double value: 'inf' for column 'c' at row 1"),
        ("1.5e", "double", "1265: Data truncated for column 'c' at row 1"),
        ("1e39", "float", "1264: Out of range value for column 'c' at row 1"),
        ("70", "year", "1970"),
        ("69", "year", "2069"),
        ("0", "year", "2000"),
        ("0000", "year", "0"),
        ("2156", "year", "1264: Out of range value for column 'c' at row 1"),
    ];
    for (value, column_type, expected) in cases {
        assert_eq!(strict(text(value), column_type), expected, "{value:?} into {column_type}");
    }
}

#[test]
fn text_becomes_dates_and_moments() {
    let bad_date = |value: &str| format!("1292: Incorrect date value: '{value}' for column 'c' at row 1");
    let bad = |value: &str| format!("1292: Incorrect datetime value: '{value}' for column 'c' at row 1");
    let cases = [
        ("2026-01-05", "date", "2026-01-05".into()),
        ("2026-1-5", "date", "2026-01-05".into()),
        ("26.1.5", "date", "2026-01-05".into()),
        ("70/1/5", "date", "1970-01-05".into()),
        ("20260105", "date", "2026-01-05".into()),
        ("260105", "date", "2026-01-05".into()),
        ("2026-01-05 23:59:59.5", "date", "2026-01-06".into()),
        ("2026-02-29", "date", bad_date("2026-02-29")),
        ("2024-02-29", "date", "2024-02-29".into()),
        ("2026-13-01", "date", bad_date("2026-13-01")),
        ("0000-00-00", "date", bad_date("0000-00-00")),
        ("2026-00-01", "date", bad_date("2026-00-01")),
        ("", "date", bad_date("")),
        ("today", "date", bad_date("today")),
        ("2026-01-05abc", "date", bad_date("2026-01-05abc")),
        ("2026-01", "date", bad_date("2026-01")),
        ("10000-01-01", "date", bad_date("10000-01-01")),
        ("2026-01-05 10:30:00", "datetime", "2026-01-05 10:30:00".into()),
        ("2026-01-05T10:30:00", "datetime(6)", "2026-01-05 10:30:00.000000".into()),
        ("2026-01-05 10:30", "datetime", "2026-01-05 10:30:00".into()),
        ("2026-01-05 10", "datetime", "2026-01-05 10:00:00".into()),
        ("2026-01-05", "datetime", "2026-01-05 00:00:00".into()),
        ("  2026-01-05   10:30:00  ", "datetime", "2026-01-05 10:30:00".into()),
        ("20260105103000", "datetime", "2026-01-05 10:30:00".into()),
        ("260105103000", "datetime", "2026-01-05 10:30:00".into()),
        ("20260105103000.25", "datetime(2)", "2026-01-05 10:30:00.25".into()),
        ("20260105T103000", "datetime", "2026-01-05 10:30:00".into()),
        ("2026-01-05 10:30:00.123456", "datetime(3)", "2026-01-05 10:30:00.123".into()),
        ("2026-01-05 10:30:00.1235", "datetime(3)", "2026-01-05 10:30:00.124".into()),
        ("2026-12-31 23:59:59.9999999", "datetime(6)", "2027-01-01 00:00:00.000000".into()),
        ("2026-01-05 10:30:00.5", "datetime", "2026-01-05 10:30:01".into()),
        ("2026-01-05 10:30:00+02:00", "datetime", "2026-01-05 08:30:00".into()),
        ("2026-01-05 10:30:00.5-05:30", "datetime(1)", "2026-01-05 16:00:00.5".into()),
        ("2026-01-05T10:30:00Z", "datetime", "2026-01-05 10:30:00".into()),
        ("2026-01-05 10:30:00+14:01", "datetime", bad("2026-01-05 10:30:00+14:01")),
        ("2026-01-05+02:00", "datetime", bad("2026-01-05+02:00")),
        ("2026-01-05 24:00:00", "datetime", bad("2026-01-05 24:00:00")),
        ("2026-01-05 10:60:00", "datetime", bad("2026-01-05 10:60:00")),
        ("2026-01-05 10:30:00x", "datetime", bad("2026-01-05 10:30:00x")),
        ("9999-12-31 23:59:59.5", "datetime", bad("9999-12-31 23:59:59.5")),
        ("2026-01-05 10:30:00", "timestamp(6)", "2026-01-05 10:30:00.000000".into()),
    ];
    for (value, column_type, expected) in cases {
        assert_eq!(strict(text(value), column_type), expected, "{value:?} into {column_type}");
    }
}

#[test]
fn numbers_become_dates_and_dates_numbers() {
    let number = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    assert_eq!(strict(number(20_260_105), "date"), "2026-01-05");
    assert_eq!(strict(number(260_105), "date"), "2026-01-05");
    assert_eq!(strict(number(700_105), "datetime"), "1970-01-05 00:00:00");
    assert_eq!(strict(number(20_260_105_103_000), "datetime"), "2026-01-05 10:30:00");
    assert_eq!(strict(number(0), "date"), "1292: Incorrect date value: '0' for column 'c' at row 1");
    assert_eq!(
        strict(number(20_261_301), "datetime"),
        "1292: Incorrect datetime value: '20261301' for column 'c' at row 1"
    );
    assert_eq!(
        strict(Arc::new(Float64Array::from(vec![20_260_105_103_000.5])), "datetime(1)"),
        "2026-01-05 10:30:00.5"
    );
    assert_eq!(strict(Arc::new(Date32Array::from(vec![20_458])), "int"), "20260105");
    assert_eq!(strict(Arc::new(Date32Array::from(vec![20_458])), "datetime"), "2026-01-05 00:00:00");
    let moment = TimestampMicrosecondArray::from(vec![1_767_609_000_250_000]);
    assert_eq!(strict(Arc::new(moment.clone()), "bigint"), "20260105103000");
    assert_eq!(strict(Arc::new(moment.clone()), "decimal(20,3)"), "20260105103000.250");
    assert_eq!(strict(Arc::new(moment), "year"), "2026");
    // Days and moments no calendar has.
    assert_eq!(strict(Arc::new(Date32Array::from(vec![i32::MAX])), "datetime").split(':').next(), Some("1292"));
    assert_eq!(strict(Arc::new(Date32Array::from(vec![i32::MAX])), "date").split(':').next(), Some("1292"));
    assert_eq!(
        strict(Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX])), "datetime").split(':').next(),
        Some("1292")
    );
}

#[test]
fn numbers_become_other_numbers() {
    let doubles = |values: Vec<f64>| -> ArrayRef { Arc::new(Float64Array::from(values)) };
    assert_eq!(strict(doubles(vec![2.5, 3.5, -2.5]), "int"), "2|4|-2");
    assert_eq!(strict(doubles(vec![0.1, 1.005]), "decimal(12,2)"), "0.10|1.01");
    assert_eq!(strict(doubles(vec![1e30]), "bigint"), "1264: Out of range value for column 'c' at row 1");
    assert_eq!(strict(doubles(vec![1.0, f64::NAN]), "double"), "1264: Out of range value for column 'c' at row 2");
    assert_eq!(strict(doubles(vec![f64::INFINITY]), "double"), "1264: Out of range value for column 'c' at row 1");
    assert_eq!(strict(doubles(vec![1e39]), "float"), "1264: Out of range value for column 'c' at row 1");
    assert_eq!(strict(Arc::new(Float32Array::from(vec![1.5])), "double"), "1.5");
    let decimals = Decimal128Array::from(vec![250, -250, 149]).with_precision_and_scale(12, 2).unwrap();
    assert_eq!(strict(Arc::new(decimals.clone()), "int"), "3|-3|1");
    assert_eq!(strict(Arc::new(decimals.clone()), "decimal(10,1)"), "2.5|-2.5|1.5");
    assert_eq!(strict(Arc::new(decimals.clone()), "double"), "2.5|-2.5|1.49");
    assert_eq!(strict(Arc::new(decimals), "decimal(2,2)"), "1264: Out of range value for column 'c' at row 1");
    assert_eq!(
        strict(Arc::new(Int64Array::from(vec![1, 300])), "tinyint"),
        "1264: Out of range value for column 'c' at row 2"
    );
    assert_eq!(strict(Arc::new(Int64Array::from(vec![1, -7])), "tinyint"), "1|-7");
    assert_eq!(
        strict(Arc::new(Int64Array::from(vec![5, -1])), "tinyint unsigned"),
        "1264: Out of range value for column 'c' at row 2"
    );
    assert_eq!(strict(Arc::new(Int8Array::from(vec![5])), "decimal(5,2)"), "5.00");
    assert_eq!(strict(Arc::new(UInt64Array::from(vec![u64::MAX])), "bigint unsigned"), "18446744073709551615");
    assert_eq!(
        strict(Arc::new(UInt64Array::from(vec![u64::MAX])), "bigint"),
        "1264: Out of range value for column 'c' at row 1"
    );
    assert_eq!(strict(Arc::new(BooleanArray::from(vec![Some(true), None])), "tinyint(1)"), "1|NULL");
    assert_eq!(strict(Arc::new(Int32Array::from(vec![26, 0, 1999])), "year"), "2026|0|1999");
}

#[test]
fn values_become_text() {
    assert_eq!(strict(Arc::new(Int64Array::from(vec![-42])), "varchar(10)"), "-42");
    assert_eq!(strict(Arc::new(Float64Array::from(vec![1e20, 0.5])), "varchar(10)"), "1e20|0.5");
    assert_eq!(strict(Arc::new(Date32Array::from(vec![20_458])), "char(10)"), "2026-01-05");
    assert_eq!(strict(Arc::new(TimestampMicrosecondArray::from(vec![1])), "text"), "1970-01-01 00:00:00.000001");
    assert_eq!(
        strict(Arc::new(Int64Array::from(vec![12345])), "varchar(4)"),
        "1406: Data too long for column 'c' at row 1"
    );
    assert_eq!(strict(text("äöü"), "varchar(3)"), "äöü");
    assert_eq!(strict(text("äöüß"), "varchar(3)"), "1406: Data too long for column 'c' at row 1");
    assert_eq!(strict(text("abc   "), "varchar(4)"), "abc ");
    assert_eq!(strict(text("abc   "), "char(3)"), "abc");
    assert_eq!(strict(text(&"x".repeat(256)), "tinytext"), "1406: Data too long for column 'c' at row 1");
    assert_eq!(strict(text("ab"), "binary(4)"), "ab\0\0");
    assert_eq!(strict(text("abcde"), "varbinary(4)"), "1406: Data too long for column 'c' at row 1");
    let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"ok".as_slice(), b"\xff\x41".as_slice()]));
    assert_eq!(strict(bytes.clone(), "blob"), "ok|\u{fffd}A");
    assert_eq!(strict(bytes, "varchar(9)"), "1366: Incorrect string value: '\\xFFA' for column 'c' at row 2");
    let view: ArrayRef = Arc::new(StringViewArray::from(vec!["short", "a text that is longer than twelve bytes"]));
    assert_eq!(strict(view, "varchar(64)"), "short|a text that is longer than twelve bytes");
    let dictionary: DictionaryArray<Int32Type> =
        vec![Some("web"), None, Some("ios"), Some("web")].into_iter().collect();
    assert_eq!(strict(Arc::new(dictionary.clone()), "varchar(64)"), "web|NULL|ios|web");
    assert_eq!(strict(Arc::new(dictionary), "varchar(2)"), "1406: Data too long for column 'c' at row 1");
}

#[test]
fn json_is_checked_and_kept_as_written() {
    assert_eq!(strict(text(r#"{"b": 1,  "a": [1, null]}"#), "json"), r#"{"b": 1,  "a": [1, null]}"#);
    assert_eq!(
        strict(text(r#"{"a": }"#), "json"),
        "3140: Invalid JSON text: \"expected value\" at position 6 in value for column 'c' at row 1"
    );
    assert!(strict(text(""), "json").starts_with("3140: "));
    let deep = |levels: usize| text(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    assert!(strict(deep(100), "json").starts_with("[[["));
    assert!(
        strict(deep(101), "json").starts_with("3140: Invalid JSON text: \"more than 100 levels deep\" at position 100")
    );
    assert!(strict(text(&format!("[\"{}\"]", "[".repeat(200))), "json").starts_with("[\"[["));
    assert_eq!(strict(Arc::new(Int64Array::from(vec![7])), "json"), "7");
    assert_eq!(strict(Arc::new(BooleanArray::from(vec![true])), "json"), "true");
    assert_eq!(strict(Arc::new(Date32Array::from(vec![20_458])), "json"), "\"2026-01-05\"");
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    assert_eq!(strict(Arc::new(list), "json"), "[1,null]|NULL");
}

#[test]
fn moments_keep_their_instant_and_round_to_the_column() {
    let half = 1_767_609_000_500_000; // 2026-01-05 10:30:00.5
    let local = || -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![half])) };
    let instant = || -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![half]).with_timezone("+00:00")) };
    assert_eq!(strict(local(), "datetime"), "2026-01-05 10:30:01");
    assert_eq!(strict(local(), "datetime(1)"), "2026-01-05 10:30:00.5");
    assert_eq!(strict_in(instant(), "datetime(1)", Tz::Europe__Berlin), "2026-01-05 11:30:00.5");
    assert_eq!(strict_in(local(), "timestamp(1)", Tz::Europe__Berlin), "2026-01-05 09:30:00.5");
    assert_eq!(strict_in(instant(), "timestamp(1)", Tz::Europe__Berlin), "2026-01-05 10:30:00.5");
    assert_eq!(strict_in(text("2026-07-05 10:30:00"), "timestamp", Tz::Europe__Berlin), "2026-07-05 08:30:00");
    // The hour that spring skips is no time; the one that autumn repeats is its first.
    assert_eq!(
        strict_in(text("2026-03-29 02:30:00"), "timestamp", Tz::Europe__Berlin),
        "1292: Incorrect datetime value: '2026-03-29 02:30:00' for column 'c' at row 1"
    );
    assert_eq!(strict_in(text("2026-10-25 02:30:00"), "timestamp", Tz::Europe__Berlin), "2026-10-25 00:30:00");
    let nanos = TimestampNanosecondArray::from(vec![1_500, 1_499, -500]);
    assert_eq!(
        strict(Arc::new(nanos), "datetime(6)"),
        "1970-01-01 00:00:00.000002|1970-01-01 00:00:00.000001|1970-01-01 00:00:00.000000"
    );
    let millis = TimestampMillisecondArray::from(vec![1_767_609_000_123]);
    assert_eq!(strict(Arc::new(millis), "datetime(6)"), "2026-01-05 10:30:00.123000");
    assert!(strict(Arc::new(Time64MicrosecondArray::from(vec![1])), "datetime").starts_with("1292: "));
}

#[test]
fn the_first_wrong_row_is_named_whichever_column_it_is_in() {
    let column =
        |name: &str, column_type: &str, nullable| Column { name: name.into(), nullable, ..column(column_type) };
    let columns = [column("a", "int", true), column("b", "varchar(3)", false), column("d", "date", true)];
    let make = |numbers: Vec<&str>, names: Vec<Option<&str>>, dates: Vec<&str>| {
        let arrays: Vec<(&str, ArrayRef)> = vec![
            ("x", Arc::new(StringArray::from(numbers))),
            ("y", Arc::new(StringArray::from(names))),
            ("z", Arc::new(StringArray::from(dates))),
        ];
        let failed = strict_batch(&RecordBatch::try_from_iter(arrays).unwrap(), &columns, 8193, Tz::UTC).unwrap_err();
        format!("{}: {}", failed.row().number, failed.message())
    };
    assert_eq!(
        make(vec!["1", "2", "x"], vec![Some("a"), None, Some("c")], vec!["2026-01-01", "2026-01-02", "never"]),
        "1048: Column 'b' cannot be null at row 8194"
    );
    assert_eq!(
        make(vec!["1", "2", "3"], vec![Some("abcd"), None, Some("c")], vec!["2026-01-01", "2026-01-02", "never"]),
        "1406: Data too long for column 'b' at row 8193"
    );
    assert_eq!(
        make(vec!["x", "2", "3"], vec![Some("abc"), None, Some("c")], vec!["never", "2026-01-02", "never"]),
        "1366: Incorrect integer value: 'x' for column 'a' at row 8193"
    );
}

#[test]
fn null_is_a_value_of_every_nullable_column_and_of_no_other() {
    for column_type in
        ["int", "decimal(5,2)", "double", "date", "datetime(6)", "timestamp", "varchar(3)", "json", "blob"]
    {
        let nulls: ArrayRef = Arc::new(NullArray::new(2));
        assert_eq!(strict(nulls.clone(), column_type), "NULL|NULL", "{column_type}");
        let required = Column { nullable: false, ..column(column_type) };
        let refused = strict_batch(&batch(nulls), &[required], 1, Tz::UTC).unwrap_err();
        assert_eq!(refused.message(), "Column 'c' cannot be null at row 1");
    }
}

#[test]
fn a_column_that_fits_is_passed_on_without_a_copy() {
    let values = StringArray::from(vec!["web", "ios", "äöü"]);
    let before = values.values().as_ptr();
    let converted = strict_batch(&batch(Arc::new(values)), &[column("varchar(3)")], 1, Tz::UTC).unwrap();
    let after = converted.column(0).as_any().downcast_ref::<StringArray>().unwrap();
    assert_eq!(after.values().as_ptr(), before);
}

#[test]
fn a_long_wrong_value_is_cut_in_its_message() {
    let message = strict(text(&"ü".repeat(500)), "int");
    assert!(message.len() < 300, "{message}");
    assert!(message.ends_with("ü' for column 'c' at row 1"), "{message}");
}
