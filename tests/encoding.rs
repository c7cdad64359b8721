//! Values as MySQL clients read them: the text of numbers and times, rows of both protocols, column definitions, and
//! the parameters of prepared statements.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DictionaryArray, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeStringArray, ListArray, MapBuilder, NullArray,
    RecordBatch, StringArray, StringBuilder, StringViewArray, StructArray, Time32SecondArray,
    TimestampMicrosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit, i256};
use chrono::{Datelike, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;
use datafusion::scalar::ScalarValue;
use desirepath::error::Kind;
use desirepath::ingest::validate::calendar::{self, ZoneClock};
use desirepath::ingest::validate::format;
use desirepath::server::mysql::column::{ColumnDefinition, put_length};
use desirepath::server::mysql::parameter::{ParameterType, decode_parameters};
use desirepath::server::mysql::row::{BinaryEncoder, TextEncoder};
use desirepath::storage::types::{Column, META_COLUMN, META_DATABASE, META_TABLE, META_TYPE};
use mysql_common::constants::{ColumnFlags, ColumnType as WireType};
use proptest::prelude::*;

/// 2026-01-05 10:30:00 UTC.
const MOMENT_SECONDS: i64 = 1_767_609_000;

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn doubles_are_shown_as_mysql_shows_them() {
    let cases = [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-2.5, "-2.5"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e14, "100000000000000"),
        (123_456_789_012_345.0, "123456789012345"),
        (1e15, "1e15"),
        (1e20, "1e20"),
        (1.5e20, "1.5e20"),
        (1e-5, "0.00001"),
        (1e-15, "0.000000000000001"),
        (1e-16, "1e-16"),
        (1.25e-20, "1.25e-20"),
        (f64::MAX, "1.7976931348623157e308"),
        (5e-324, "5e-324"),
        (1.0 / 3.0, "0.3333333333333333"),
        (12_345.678_9, "12345.6789"),
    ];
    for (value, expected) in cases {
        assert_eq!(text(|out| format::double(value, out)), expected, "{value:e}");
    }
}

#[test]
fn floats_have_six_digits() {
    let cases = [
        (1.1, "1.1"),
        (0.1, "0.1"),
        (16_777_217.0, "16777200"),
        (123_456.7, "123457"),
        (1e10, "10000000000"),
        (1e20, "1e20"),
        (3.402_823_5e38, "3.40282e38"),
        (-0.5, "-0.5"),
    ];
    for (value, expected) in cases {
        assert_eq!(text(|out| format::float(value, out)), expected, "{value:e}");
    }
}

#[test]
fn decimals_keep_their_scale() {
    let cases = [
        (0, 2, "0.00"),
        (5, 2, "0.05"),
        (-5, 2, "-0.05"),
        (-12_345, 2, "-123.45"),
        (7, 0, "7"),
        (7, -2, "700"),
        (0, -2, "0"),
        (i128::from(u64::MAX) + 1, 0, "18446744073709551616"),
        (10_i128.pow(38) - 1, 10, "9999999999999999999999999999.9999999999"),
        (10_i128.pow(19), 0, "10000000000000000000"),
        (i128::MIN, 0, "-170141183460469231731687303715884105728"),
    ];
    for (unscaled, scale, expected) in cases {
        assert_eq!(text(|out| format::decimal(unscaled, scale, out)), expected);
    }
    let wide = i256::from_string(&format!("-{}", "9".repeat(76))).unwrap();
    assert_eq!(text(|out| format::wide_decimal(wide, 75, out)), format!("-9.{}", "9".repeat(75)));
}

#[test]
fn times_are_shown_with_their_digits() {
    assert_eq!(text(|out| format::date(20_458, out)), "2026-01-05");
    assert_eq!(text(|out| format::date(calendar::FIRST_DAY, out)), "0000-01-01");
    assert_eq!(text(|out| format::date(calendar::LAST_DAY, out)), "9999-12-31");
    assert_eq!(text(|out| format::datetime(-1, 6, out)), "1969-12-31 23:59:59.999999");
    assert_eq!(text(|out| format::datetime(1_500_000, 0, out)), "1970-01-01 00:00:01");
    assert_eq!(text(|out| format::datetime(1_500_000, 3, out)), "1970-01-01 00:00:01.500");
    assert_eq!(text(|out| format::time(-3_020_399_000_000, 0, out)), "-838:59:59");
    assert_eq!(text(|out| format::time(1, 6, out)), "00:00:00.000001");
}

#[test]
fn every_day_of_the_calendar_is_the_one_chrono_knows() {
    let first = NaiveDate::from_ymd_opt(0, 1, 1).unwrap();
    for (day, date) in (calendar::FIRST_DAY..=calendar::LAST_DAY).zip(first.iter_days()) {
        let civil = calendar::civil_date(day);
        assert_eq!(
            (civil.year, civil.month, civil.day),
            (i64::from(date.year()), date.month() as u8, date.day() as u8)
        );
        assert_eq!(calendar::days_of(civil.year, civil.month, civil.day), Some(day));
    }
}

proptest! {
    #[test]
    fn a_double_reads_back_from_its_text(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let shown = text(|out| format::double(value, out));
        prop_assert_eq!(shown.parse::<f64>().unwrap().to_bits(), bits, "{}", shown);
    }

    #[test]
    fn a_short_double_has_the_shortest_text(unscaled in -1_000_000_000_i64..1_000_000_000, scale in 0..9) {
        let value = unscaled as f64 / 10_f64.powi(scale);
        let shown = text(|out| format::double(value, out));
        prop_assert_eq!(shown, format!("{value}"));
    }

    #[test]
    fn a_wide_integer_has_all_its_digits(value in any::<i128>()) {
        prop_assert_eq!(text(|out| format::decimal(value, 0, out)), value.to_string());
    }

    #[test]
    fn a_zone_shows_what_chrono_shows(seconds in -3_000_000_000_i64..5_000_000_000) {
        for zone in [Tz::Europe__Berlin, Tz::America__New_York, Tz::Asia__Kolkata, Tz::Pacific__Apia, Tz::UTC] {
            let utc = chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
            let offset = i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc());
            let mut clock = ZoneClock::new(zone);
            let local = clock.local_micros(seconds * 1_000_000);
            prop_assert_eq!(local, (seconds + offset) * 1_000_000);
            // An hour that autumn repeats gives its first instant.
            let back = clock.utc_micros(local).unwrap();
            prop_assert!(back <= seconds * 1_000_000);
            prop_assert_eq!(clock.local_micros(back), local);
        }
    }

    #[test]
    fn hostile_parameters_are_refused_not_feared(
        body in proptest::collection::vec(any::<u8>(), 0..64),
        count in 0_usize..20,
    ) {
        let _ = decode_parameters(&body, count, None, &HashMap::new());
        let types = vec![ParameterType { kind: WireType::MYSQL_TYPE_NEWDECIMAL, unsigned: false }; count];
        let _ = decode_parameters(&body, count, Some(&types), &HashMap::new());
    }
}

/// One column of one row in the text protocol, without its length; None for NULL.
fn text_value(values: ArrayRef, field: Field, zone: Tz) -> Option<String> {
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(schema.clone(), vec![values]).unwrap();
    let mut encoder = TextEncoder::new(&schema, zone).unwrap();
    encoder.prepare(&batch).unwrap();
    let (mut packet, mut value) = (Vec::new(), Vec::new());
    encoder.encode(0, &mut packet);
    if !encoder.write_value(0, 0, &mut value) {
        assert_eq!(packet, [0xfb]);
        return None;
    }
    let mut expected = Vec::new();
    put_length(value.len(), &mut expected);
    expected.extend_from_slice(&value);
    assert_eq!(packet, expected);
    Some(String::from_utf8(value).unwrap())
}

fn plain(values: ArrayRef) -> Option<String> {
    let field = Field::new("c", values.data_type().clone(), true);
    text_value(values, field, Tz::UTC)
}

/// A field of a column of the type as SQL writes it.
fn declared(column_type: &str) -> Field {
    let column_type = column_type.parse().unwrap();
    Column { name: "c".into(), column_type, nullable: true, default: None, comment: String::new() }.field()
}

#[test]
fn every_kind_of_array_has_a_text() {
    let dictionary: DictionaryArray<Int32Type> = vec!["web", "ios"].into_iter().collect();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), Some(0), None])]);
    let pair = StructArray::from(vec![
        (Arc::new(Field::new("a", DataType::Int64, true)), Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        (
            Arc::new(Field::new("say \"b\"", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec!["x\n\u{1}"])) as ArrayRef,
        ),
    ]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("k");
    map.values().append_value("v");
    map.append(true).unwrap();
    let long = "x".repeat(70_000);
    let decimals = Decimal128Array::from(vec![-1050]).with_precision_and_scale(12, 2).unwrap();
    let wide = Decimal256Array::from(vec![i256::from_i128(15)]).with_precision_and_scale(50, 1).unwrap();
    let cases: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(Int8Array::from(vec![-8])), "-8"),
        (Arc::new(Int16Array::from(vec![i16::MIN])), "-32768"),
        (Arc::new(Int32Array::from(vec![99])), "99"),
        (Arc::new(Int64Array::from(vec![i64::MIN])), "-9223372036854775808"),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), "18446744073709551615"),
        (Arc::new(BooleanArray::from(vec![true])), "1"),
        (Arc::new(Float32Array::from(vec![1.1])), "1.1"),
        (Arc::new(Float64Array::from(vec![1.1])), "1.1"),
        (Arc::new(decimals), "-10.50"),
        (Arc::new(wide), "1.5"),
        (Arc::new(Date32Array::from(vec![20_458])), "2026-01-05"),
        (Arc::new(TimestampSecondArray::from(vec![MOMENT_SECONDS])), "2026-01-05 10:30:00"),
        (Arc::new(TimestampMicrosecondArray::from(vec![MOMENT_SECONDS * 1_000_000])), "2026-01-05 10:30:00.000000"),
        (Arc::new(Time32SecondArray::from(vec![37_800])), "10:30:00"),
        (Arc::new(StringArray::from(vec!["äöü"])), "äöü"),
        (Arc::new(LargeStringArray::from(vec![""])), ""),
        (Arc::new(StringViewArray::from(vec![long.as_str()])), long.as_str()),
        (Arc::new(BinaryArray::from_vec(vec![b"bytes".as_slice()])), "bytes"),
        (Arc::new(dictionary), "web"),
        (Arc::new(list), "[1,0,null]"),
        (Arc::new(pair), r#"{"a":1,"say \"b\"":"x\n\u0001"}"#),
        (Arc::new(map.finish()), r#"{"k":"v"}"#),
    ];
    for (values, expected) in cases {
        let data_type = values.data_type().clone();
        assert_eq!(plain(values).as_deref(), Some(expected), "{data_type}");
    }
    assert_eq!(plain(Arc::new(NullArray::new(1))), None);
    assert_eq!(plain(Arc::new(StringArray::from(vec![None::<&str>]))), None);
}

#[test]
fn a_slice_of_nested_rows_is_read_from_its_own_start() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), Some(2)]),
        None,
        Some(vec![Some(3)]),
        Some(vec![]),
    ]);
    assert_eq!(plain(Arc::new(list.slice(2, 2))).as_deref(), Some("[3]"));
    assert_eq!(plain(Arc::new(list.slice(3, 1))).as_deref(), Some("[]"));
}

#[test]
fn a_column_is_shown_with_its_declared_digits_in_the_sessions_zone() {
    let micros = vec![MOMENT_SECONDS * 1_000_000 + 123_456];
    let local: ArrayRef = Arc::new(TimestampMicrosecondArray::from(micros.clone()));
    let instant: ArrayRef = Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"));
    let shown = |values: &ArrayRef, column_type: &str, zone| text_value(values.clone(), declared(column_type), zone);
    assert_eq!(shown(&local, "datetime", Tz::Europe__Berlin).unwrap(), "2026-01-05 10:30:00");
    assert_eq!(shown(&local, "datetime(3)", Tz::Europe__Berlin).unwrap(), "2026-01-05 10:30:00.123");
    assert_eq!(shown(&instant, "timestamp(6)", Tz::Europe__Berlin).unwrap(), "2026-01-05 11:30:00.123456");
    assert_eq!(shown(&instant, "timestamp", Tz::UTC).unwrap(), "2026-01-05 10:30:00");
}

/// A binary row of one batch's first row.
fn binary_row(columns: Vec<(Field, ArrayRef)>) -> Vec<u8> {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();
    let mut encoder = BinaryEncoder::new(&schema, Tz::UTC).unwrap();
    encoder.prepare(&batch).unwrap();
    let mut row = Vec::new();
    encoder.encode(0, &mut row);
    row
}

fn of_type(column_type: &str, values: ArrayRef) -> (Field, ArrayRef) {
    (declared(column_type), values)
}

#[test]
fn binary_rows_have_the_sizes_their_types_promise() {
    let decimal = Decimal128Array::from(vec![i128::from(u64::MAX)]).with_precision_and_scale(20, 0).unwrap();
    let money = Decimal128Array::from(vec![150]).with_precision_and_scale(12, 2).unwrap();
    let row = binary_row(vec![
        of_type("tinyint(1)", Arc::new(Int8Array::from(vec![1]))),
        of_type("tinyint unsigned", Arc::new(Int16Array::from(vec![200]))),
        of_type("smallint", Arc::new(Int16Array::from(vec![-2]))),
        of_type("int unsigned", Arc::new(Int64Array::from(vec![4_000_000_000]))),
        of_type("bigint", Arc::new(Int64Array::from(vec![-1]))),
        of_type("bigint unsigned", Arc::new(decimal)),
        of_type("int", Arc::new(Int32Array::from(vec![None]))),
        of_type("double", Arc::new(Float64Array::from(vec![0.5]))),
        of_type("float", Arc::new(Float32Array::from(vec![0.5]))),
        of_type("decimal(12,2)", Arc::new(money)),
        of_type("varchar(9)", Arc::new(StringArray::from(vec!["web"]))),
        of_type("year", Arc::new(Int16Array::from(vec![2026]))),
    ]);
    // Header; NULL bitmap of 12 columns from bit 2: the seventh column is bit 8.
    let mut expected = vec![0, 0, 1, 1, 200, 0xfe, 0xff];
    expected.extend_from_slice(&4_000_000_000_u32.to_le_bytes());
    expected.extend_from_slice(&[0xff; 8]);
    expected.extend_from_slice(&[0xff; 8]);
    expected.extend_from_slice(&0.5_f64.to_le_bytes());
    expected.extend_from_slice(&0.5_f32.to_le_bytes());
    expected.extend_from_slice(b"\x041.50\x03web\xea\x07");
    assert_eq!(row, expected);
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn binary_moments_are_as_short_as_they_can_be() {
    let moment = |micros: i64| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![micros])) };
    let (noon, year) = (MOMENT_SECONDS * 1_000_000, [0xea, 0x07, 1, 5]);
    let value = |column_type: &str, values: ArrayRef| binary_row(vec![of_type(column_type, values)])[2..].to_vec();
    assert_eq!(value("date", Arc::new(Date32Array::from(vec![20_458]))), joined(&[&[4], &year]));
    assert_eq!(value("datetime(6)", moment(noon - 37_800_000_000)), joined(&[&[4], &year]));
    assert_eq!(value("datetime(6)", moment(noon)), joined(&[&[7], &year, &[10, 30, 0]]));
    assert_eq!(
        value("datetime(6)", moment(noon + 123_456)),
        joined(&[&[11], &year, &[10, 30, 0], &123_456_u32.to_le_bytes()])
    );
    assert_eq!(
        value("datetime(3)", moment(noon + 123_456)),
        joined(&[&[11], &year, &[10, 30, 0], &123_000_u32.to_le_bytes()])
    );
    assert_eq!(value("datetime", moment(noon + 123_456)), joined(&[&[7], &year, &[10, 30, 0]]));
    let time = (
        Field::new("t", DataType::Time32(TimeUnit::Second), true),
        Arc::new(Time32SecondArray::from(vec![37_800])) as ArrayRef,
    );
    assert_eq!(binary_row(vec![time])[2..], [8, 0, 0, 0, 0, 0, 10, 30, 0]);
}

#[test]
fn a_batch_that_does_not_fit_its_announcement_is_refused() {
    let schema = Schema::new(vec![Field::new("c", DataType::Int64, true)]);
    let values: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let batch = RecordBatch::try_from_iter([("c", values)]).unwrap();
    assert_eq!(BinaryEncoder::new(&schema, Tz::UTC).unwrap().prepare(&batch).unwrap_err().kind(), Kind::Internal);
}

#[test]
fn column_definitions_say_what_clients_depend_on() {
    use WireType as Wire;
    let binary = ColumnFlags::BINARY_FLAG;
    let none = ColumnFlags::empty();
    let unsigned = ColumnFlags::UNSIGNED_FLAG;
    let blob = ColumnFlags::BLOB_FLAG;
    let cases = [
        ("bigint", Wire::MYSQL_TYPE_LONGLONG, 63, 20, 0, none),
        ("bigint unsigned", Wire::MYSQL_TYPE_LONGLONG, 63, 20, 0, unsigned),
        ("int", Wire::MYSQL_TYPE_LONG, 63, 11, 0, none),
        ("tinyint(1)", Wire::MYSQL_TYPE_TINY, 63, 1, 0, none),
        ("tinyint", Wire::MYSQL_TYPE_TINY, 63, 4, 0, none),
        ("double", Wire::MYSQL_TYPE_DOUBLE, 63, 22, 31, none),
        ("decimal(12,2)", Wire::MYSQL_TYPE_NEWDECIMAL, 63, 14, 2, none),
        ("datetime(6)", Wire::MYSQL_TYPE_DATETIME, 63, 26, 6, binary),
        ("datetime", Wire::MYSQL_TYPE_DATETIME, 63, 19, 0, binary),
        ("timestamp(3)", Wire::MYSQL_TYPE_TIMESTAMP, 63, 23, 3, binary),
        ("date", Wire::MYSQL_TYPE_DATE, 63, 10, 0, binary),
        ("varchar(64)", Wire::MYSQL_TYPE_VAR_STRING, 45, 256, 0, none),
        ("char(2)", Wire::MYSQL_TYPE_STRING, 45, 8, 0, none),
        ("text", Wire::MYSQL_TYPE_BLOB, 45, 65_535, 0, blob),
        ("blob", Wire::MYSQL_TYPE_BLOB, 63, 65_535, 0, blob | binary),
        ("varbinary(9)", Wire::MYSQL_TYPE_VAR_STRING, 63, 9, 0, binary),
        ("json", Wire::MYSQL_TYPE_JSON, 63, u32::MAX, 0, blob | binary),
    ];
    for (column_type, kind, collation, length, decimals, flags) in cases {
        let column = ColumnDefinition::of_field(&declared(column_type)).unwrap();
        let found = (column.kind, column.collation, column.length, column.decimals, column.flags);
        assert_eq!(found, (kind, collation, length, decimals, flags), "{column_type}");
    }
    let of_arrow = |data_type: DataType| ColumnDefinition::of_field(&Field::new("e", data_type, false)).unwrap();
    let text = of_arrow(DataType::Utf8View);
    assert_eq!((text.kind, text.collation, text.decimals), (Wire::MYSQL_TYPE_VAR_STRING, 45, 31));
    assert_eq!(text.flags, ColumnFlags::NOT_NULL_FLAG);
    let comparison = of_arrow(DataType::Boolean);
    assert_eq!((comparison.kind, comparison.length), (Wire::MYSQL_TYPE_LONGLONG, 1));
    let average = of_arrow(DataType::Decimal128(38, 4));
    assert_eq!((average.kind, average.length, average.decimals), (Wire::MYSQL_TYPE_NEWDECIMAL, 40, 4));
    assert_eq!(of_arrow(DataType::Null).kind, Wire::MYSQL_TYPE_NULL);
}

#[test]
fn a_definition_counts_only_while_it_describes_the_values() {
    // DataFusion may keep a column's metadata on an expression over it: CAST(id AS CHAR).
    let metadata = HashMap::from([(META_TYPE.to_owned(), "bigint".to_owned())]);
    let cast = Field::new("CAST(id AS CHAR)", DataType::Utf8, true).with_metadata(metadata.clone());
    assert_eq!(ColumnDefinition::of_field(&cast).unwrap().kind, WireType::MYSQL_TYPE_VAR_STRING);
    let same = Field::new("id", DataType::Int64, true).with_metadata(metadata);
    assert_eq!(ColumnDefinition::of_field(&same).unwrap().kind, WireType::MYSQL_TYPE_LONGLONG);
}

#[test]
fn a_definition_is_packed_as_the_protocol_says() {
    let mut field = declared("varchar(64)").with_name("alias").with_nullable(false);
    let origin = [(META_DATABASE, "shop"), (META_TABLE, "events"), (META_COLUMN, "platform")];
    field.metadata_mut().extend(origin.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let definition = ColumnDefinition::of_field(&field).unwrap();
    let mut packet = Vec::new();
    definition.write(&mut packet);
    let mut expected = b"\x03def\x04shop\x06events\x06events\x05alias\x08platform\x0c".to_vec();
    expected.extend_from_slice(&[45, 0, 0, 1, 0, 0, 253, 1, 0, 0, 0, 0]);
    assert_eq!(packet, expected);
    packet.clear();
    definition.write_for_field_list(&mut packet);
    assert_eq!(packet.last(), Some(&0xfb));
}

const fn of(kind: WireType) -> ParameterType {
    ParameterType { kind, unsigned: false }
}

/// A packet's parameters: NULL bitmap, the flag, types, values.
fn parameters(nulls: &[u8], types: &[ParameterType], values: &[u8]) -> Vec<u8> {
    let mut body = nulls.to_vec();
    body.push(1);
    for parameter in types {
        body.extend_from_slice(&[u8::from(parameter.kind), if parameter.unsigned { 0x80 } else { 0 }]);
    }
    body.extend_from_slice(values);
    body
}

fn decode(types: &[ParameterType], values: &[u8]) -> desirepath::error::Result<Vec<ScalarValue>> {
    let body = parameters(&vec![0; types.len().div_ceil(8)], types, values);
    let (decoded, found) = decode_parameters(&body, types.len(), None, &HashMap::new())?;
    assert_eq!(found, types);
    Ok(decoded)
}

#[test]
fn parameters_of_every_type_are_read() {
    let text = |value: &str| ScalarValue::Utf8(Some(value.into()));
    let unsigned = ParameterType { kind: WireType::MYSQL_TYPE_LONGLONG, unsigned: true };
    let moment = |micros| ScalarValue::TimestampMicrosecond(Some(micros), None);
    let micros = MOMENT_SECONDS * 1_000_000;
    let cases: Vec<(ParameterType, &[u8], ScalarValue)> = vec![
        (of(WireType::MYSQL_TYPE_TINY), &[0xff], ScalarValue::Int64(Some(-1))),
        (of(WireType::MYSQL_TYPE_SHORT), &[0xfe, 0xff], ScalarValue::Int64(Some(-2))),
        (of(WireType::MYSQL_TYPE_LONG), &[1, 0, 0, 0], ScalarValue::Int64(Some(1))),
        (of(WireType::MYSQL_TYPE_LONGLONG), &[0xff; 8], ScalarValue::Int64(Some(-1))),
        (unsigned, &[0xff; 8], ScalarValue::UInt64(Some(u64::MAX))),
        (of(WireType::MYSQL_TYPE_DOUBLE), &[0, 0, 0, 0, 0, 0, 0xe0, 0x3f], ScalarValue::Float64(Some(0.5))),
        (of(WireType::MYSQL_TYPE_FLOAT), &[0, 0, 0, 0x3f], ScalarValue::Float32(Some(0.5))),
        (of(WireType::MYSQL_TYPE_VAR_STRING), b"\x03web", text("web")),
        (of(WireType::MYSQL_TYPE_BLOB), b"\x03web", text("web")),
        (of(WireType::MYSQL_TYPE_BLOB), b"\x02\xff\x00", ScalarValue::Binary(Some(vec![0xff, 0]))),
        (of(WireType::MYSQL_TYPE_NEWDECIMAL), b"\x06-10.50", ScalarValue::Decimal128(Some(-1050), 4, 2)),
        (of(WireType::MYSQL_TYPE_NEWDECIMAL), b"\x040.05", ScalarValue::Decimal128(Some(5), 2, 2)),
        (of(WireType::MYSQL_TYPE_DATE), &[4, 0xea, 7, 1, 5], ScalarValue::Date32(Some(20_458))),
        (of(WireType::MYSQL_TYPE_DATETIME), &[7, 0xea, 7, 1, 5, 10, 30, 0], moment(micros)),
        (of(WireType::MYSQL_TYPE_TIMESTAMP), &[11, 0xea, 7, 1, 5, 10, 30, 0, 1, 0, 0, 0], moment(micros + 1)),
        (of(WireType::MYSQL_TYPE_TIME), &[0], ScalarValue::Time64Microsecond(Some(0))),
        (
            of(WireType::MYSQL_TYPE_TIME),
            &[8, 0, 0, 0, 0, 0, 10, 30, 0],
            ScalarValue::Time64Microsecond(Some(37_800_000_000)),
        ),
        (of(WireType::MYSQL_TYPE_TIME), &[8, 1, 1, 0, 0, 0, 1, 0, 0], text("-25:00:00")),
        (of(WireType::MYSQL_TYPE_NULL), &[], ScalarValue::Null),
    ];
    for (parameter, bytes, expected) in &cases {
        assert_eq!(decode(&[*parameter], bytes).unwrap(), std::slice::from_ref(expected), "{parameter:?} {bytes:?}");
    }
    // All in one packet; and the same packet cut off anywhere is refused.
    let types: Vec<ParameterType> = cases.iter().map(|(parameter, _, _)| *parameter).collect();
    let values: Vec<u8> = cases.iter().flat_map(|(_, bytes, _)| bytes.iter().copied()).collect();
    let expected: Vec<ScalarValue> = cases.iter().map(|(_, _, value)| value.clone()).collect();
    assert_eq!(decode(&types, &values).unwrap(), expected);
    let body = parameters(&vec![0; types.len().div_ceil(8)], &types, &values);
    for length in 0..body.len() {
        let cut = decode_parameters(&body[..length], types.len(), None, &HashMap::new()).unwrap_err();
        assert!(matches!(cut.kind(), Kind::MalformedPacket), "{length}: {cut}");
    }
    let longer = [&body[..], &[0]].concat();
    let refused = decode_parameters(&longer, types.len(), None, &HashMap::new()).unwrap_err();
    assert_eq!(refused.kind(), Kind::MalformedPacket);
}

#[test]
fn types_are_remembered_nulls_have_no_bytes_and_long_data_comes_from_elsewhere() {
    let types = [of(WireType::MYSQL_TYPE_BLOB), of(WireType::MYSQL_TYPE_LONG), of(WireType::MYSQL_TYPE_TINY)];
    let long = HashMap::from([(0, b"long".to_vec())]);
    let body = [0b010, 0, 7]; // second is NULL, no types, third is 7
    let (values, found) = decode_parameters(&body, 3, Some(&types), &long).unwrap();
    assert_eq!(values, [ScalarValue::Utf8(Some("long".into())), ScalarValue::Null, ScalarValue::Int64(Some(7))]);
    assert_eq!(found, types);
    let untyped = decode_parameters(&body, 3, None, &long).unwrap_err();
    assert_eq!(untyped.kind(), Kind::WrongArguments);
    assert_eq!(decode_parameters(&[], 0, None, &HashMap::new()).unwrap(), (vec![], vec![]));
}

#[test]
fn parameters_that_are_no_values_are_refused() {
    let refused = |kind, bytes: &[u8]| decode(&[of(kind)], bytes).unwrap_err().kind();
    assert_eq!(refused(WireType::MYSQL_TYPE_DATE, &[4, 0xea, 7, 2, 30]), Kind::IncorrectTemporal);
    assert_eq!(refused(WireType::MYSQL_TYPE_DATE, &[0]), Kind::IncorrectTemporal);
    assert_eq!(refused(WireType::MYSQL_TYPE_DATETIME, &[7, 0xea, 7, 1, 5, 24, 0, 0]), Kind::IncorrectTemporal);
    assert_eq!(refused(WireType::MYSQL_TYPE_DATETIME, &[5, 0, 0, 0, 0, 0]), Kind::MalformedPacket);
    assert_eq!(refused(WireType::MYSQL_TYPE_NEWDECIMAL, b"\x03abc"), Kind::IncorrectValue);
    assert_eq!(refused(WireType::MYSQL_TYPE_NEWDECIMAL, b"\x00"), Kind::IncorrectValue);
    assert_eq!(refused(WireType::MYSQL_TYPE_STRING, &[0xfe; 9]), Kind::MalformedPacket);
    assert_eq!(refused(WireType::MYSQL_TYPE_STRING, &[0xfb]), Kind::MalformedPacket);
    let unknown = decode_parameters(&[0, 1, 200, 0, 1], 1, None, &HashMap::new()).unwrap_err();
    assert_eq!(unknown.kind(), Kind::MalformedPacket);
}

/// `cargo test --release -- --ignored --nocapture rows_per_second`
#[test]
#[ignore = "measures, asserts nothing"]
fn rows_per_second() {
    const ROWS: usize = 8192;
    const BATCHES: usize = 500;
    let arrays: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(TimestampMicrosecondArray::from_iter_values((0..ROWS).map(|row| row as i64 * 7_654_321)))),
        ("user", Arc::new(Int64Array::from_iter_values((0..ROWS).map(|row| row as i64 * 977)))),
        ("event", Arc::new(StringViewArray::from_iter_values((0..ROWS).map(|row| ["view", "cart", "pay"][row % 3])))),
        ("platform", Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| ["web", "ios"][row % 2])))),
        ("amount", Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 / 100.0)))),
    ];
    let batch = RecordBatch::try_from_iter(arrays).unwrap();
    let mut out = Vec::new();
    let mut text = TextEncoder::new(&batch.schema(), Tz::UTC).unwrap();
    let mut binary = BinaryEncoder::new(&batch.schema(), Tz::UTC).unwrap();
    let mut run = |name: &str, encode: &mut dyn FnMut(&mut Vec<u8>)| {
        let started = std::time::Instant::now();
        for _ in 0..BATCHES {
            out.clear();
            encode(&mut out);
        }
        println!("{name}: {:.1} million rows/s", (ROWS * BATCHES) as f64 / started.elapsed().as_secs_f64() / 1e6);
    };
    run("text", &mut |out| {
        text.prepare(&batch).unwrap();
        (0..ROWS).for_each(|row| text.encode(row, out));
    });
    run("binary", &mut |out| {
        binary.prepare(&batch).unwrap();
        (0..ROWS).for_each(|row| binary.encode(row, out));
    });
}
