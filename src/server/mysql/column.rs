//! Column definitions: what a client is told about a result column before its rows come (type, length, character set,
//! decimals, flags, where it was read from). Encodes no values.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use mysql_common::constants::{ColumnFlags, ColumnType as WireType};

use crate::error::Result;
use crate::storage::types::{ColumnType, META_COLUMN, META_DATABASE, META_TABLE, META_TYPE};

/// Collation `binary`: the value is bytes or a number, not characters.
pub const COLLATION_BINARY: u16 = 63;
/// Collation `utf8mb4_general_ci`: the utf8mb4 id that every client library knows.
pub const COLLATION_UTF8MB4: u16 = 45;

/// What MySQL says of a number or text whose digits are not fixed (`NOT_FIXED_DEC`).
const DECIMALS_NOT_FIXED: u8 = 31;
const BYTES_PER_CHARACTER: u32 = 4;
/// Characters of the longest VARCHAR, told for text expressions.
const TEXT_CHARACTERS_MAX: u32 = 65_535;

/// One column definition packet (Protocol::ColumnDefinition41).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDefinition {
    pub schema: String,
    pub table: String,
    pub org_table: String,
    pub name: String,
    pub org_name: String,
    /// Collation id: 63 is binary.
    pub collation: u16,
    /// Bytes of the longest value in its text form.
    pub length: u32,
    pub kind: WireType,
    pub flags: ColumnFlags,
    /// Digits after the point or the second.
    pub decimals: u8,
}

impl ColumnDefinition {
    /// The definition of a result column, from its Arrow type and the metadata of `storage::types`.
    ///
    /// # Errors
    /// `Unsupported` for an Arrow type that MySQL has no type for.
    pub fn of_field(field: &Field) -> Result<Self> {
        let shape = Shape::of_field(field)?;
        let origin = |key: &str| field.metadata().get(key).cloned().unwrap_or_default();
        let mut flags = shape.flags;
        if !field.is_nullable() && shape.kind != WireType::MYSQL_TYPE_NULL {
            flags |= ColumnFlags::NOT_NULL_FLAG;
        }
        Ok(ColumnDefinition {
            schema: origin(META_DATABASE),
            table: origin(META_TABLE),
            org_table: origin(META_TABLE),
            name: field.name().clone(),
            org_name: origin(META_COLUMN),
            collation: shape.collation,
            length: shape.length,
            kind: shape.kind,
            flags,
            decimals: shape.decimals,
        })
    }

    /// The definitions of all columns of a result.
    ///
    /// # Errors
    /// As [`of_field`](Self::of_field).
    pub fn of_schema(schema: &Schema) -> Result<Vec<Self>> {
        schema.fields().iter().map(|field| Self::of_field(field)).collect()
    }

    /// The definition of a `?` in the answer to COM_STMT_PREPARE: nothing is known of it.
    pub fn parameter() -> Self {
        ColumnDefinition {
            schema: String::new(),
            table: String::new(),
            org_table: String::new(),
            name: "?".to_owned(),
            org_name: String::new(),
            collation: COLLATION_BINARY,
            length: 0,
            kind: WireType::MYSQL_TYPE_VAR_STRING,
            flags: ColumnFlags::BINARY_FLAG,
            decimals: 0,
        }
    }

    /// Appends the packet's payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_bytes(b"def", out);
        for text in [&self.schema, &self.table, &self.org_table, &self.name, &self.org_name] {
            put_bytes(text.as_bytes(), out);
        }
        out.push(0x0c); // length of what follows
        out.extend_from_slice(&self.collation.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.push(u8::from(self.kind));
        out.extend_from_slice(&self.flags.bits().to_le_bytes());
        out.push(self.decimals);
        out.extend_from_slice(&[0, 0]);
    }

    /// Appends the payload as COM_FIELD_LIST wants it: with a (NULL) default value at the end.
    pub fn write_for_field_list(&self, out: &mut Vec<u8>) {
        self.write(out);
        out.push(0xfb);
    }
}

/// The MySQL type a result column is shown as; None when only its Arrow type says (TIME has no column type here).
///
/// The declared type in a field's metadata counts only while it describes the values: DataFusion may keep the metadata
/// of a column on an expression over it (`CAST(id AS CHAR)`).
///
/// # Errors
/// `Unsupported` for an Arrow type that MySQL has no type for; `Corrupt` for metadata that names no type.
pub fn declared_type(field: &Field) -> Result<Option<ColumnType>> {
    if !field.metadata().contains_key(META_TYPE) {
        return Ok(None);
    }
    let declared = ColumnType::of_field(field)?;
    Ok(is_same_kind(&declared.arrow(), field.data_type()).then_some(declared))
}

/// Appends `value` after its length, as MySQL's length-encoded string.
pub fn put_bytes(value: &[u8], out: &mut Vec<u8>) {
    put_length(value.len(), out);
    out.extend_from_slice(value);
}

/// Appends a length-encoded integer.
pub fn put_length(length: usize, out: &mut Vec<u8>) {
    let bytes = (length as u64).to_le_bytes();
    match length {
        0..=0xfa => out.push(bytes[0]),
        0xfb..=0xffff => {
            out.push(0xfc);
            out.extend_from_slice(&bytes[..2]);
        }
        0x1_0000..=0xff_ffff => {
            out.push(0xfd);
            out.extend_from_slice(&bytes[..3]);
        }
        _ => {
            out.push(0xfe);
            out.extend_from_slice(&bytes);
        }
    }
}

/// The part of a definition that comes from the type.
struct Shape {
    kind: WireType,
    collation: u16,
    length: u32,
    flags: ColumnFlags,
    decimals: u8,
}

impl Shape {
    fn of_field(field: &Field) -> Result<Shape> {
        if let Some(declared) = declared_type(field)? {
            return Ok(Shape::of_column(&declared));
        }
        let value_type = match field.data_type() {
            DataType::Dictionary(_, value) => value.as_ref(),
            other => other,
        };
        let is_column = field.metadata().contains_key(META_COLUMN);
        Ok(match value_type {
            DataType::Null => Shape::new(WireType::MYSQL_TYPE_NULL, 0).with_flags(ColumnFlags::BINARY_FLAG),
            // MySQL 8's comparisons are BIGINTs of one digit; only columns are TINYINT(1), which drivers make a bool
            // of.
            DataType::Boolean if !is_column => Shape::new(WireType::MYSQL_TYPE_LONGLONG, 1),
            DataType::Time32(unit) | DataType::Time64(unit) | DataType::Duration(unit) => Shape::time(unit),
            DataType::Timestamp(unit, None) => Shape::of_column(&ColumnType::DateTime { fraction: digits_of(unit) }),
            DataType::Timestamp(unit, Some(_)) => {
                Shape::of_column(&ColumnType::Timestamp { fraction: digits_of(unit) })
            }
            DataType::FixedSizeList(_, _) | DataType::ListView(_) | DataType::LargeListView(_) => {
                Shape::of_column(&ColumnType::Json)
            }
            text if text.is_string() => Shape {
                decimals: DECIMALS_NOT_FIXED,
                ..Shape::of_column(&ColumnType::VarChar { length: TEXT_CHARACTERS_MAX })
            },
            other => Shape::of_column(&ColumnType::of_arrow(other)?),
        })
    }

    fn of_column(column_type: &ColumnType) -> Shape {
        use WireType as Wire;
        let characters = |kind, length: u32| Shape {
            collation: COLLATION_UTF8MB4,
            ..Shape::new(kind, length.saturating_mul(BYTES_PER_CHARACTER))
        };
        let binary = |kind, length| Shape::new(kind, length).with_flags(ColumnFlags::BINARY_FLAG);
        match column_type {
            ColumnType::Boolean => Shape::new(Wire::MYSQL_TYPE_TINY, 1),
            ColumnType::TinyInt { unsigned } => Shape::integer(Wire::MYSQL_TYPE_TINY, *unsigned, 4, 3),
            ColumnType::SmallInt { unsigned } => Shape::integer(Wire::MYSQL_TYPE_SHORT, *unsigned, 6, 5),
            ColumnType::Int { unsigned } => Shape::integer(Wire::MYSQL_TYPE_LONG, *unsigned, 11, 10),
            ColumnType::BigInt { unsigned } => Shape::integer(Wire::MYSQL_TYPE_LONGLONG, *unsigned, 20, 20),
            ColumnType::Float => Shape::new(Wire::MYSQL_TYPE_FLOAT, 12).with_decimals(DECIMALS_NOT_FIXED),
            ColumnType::Double => Shape::new(Wire::MYSQL_TYPE_DOUBLE, 22).with_decimals(DECIMALS_NOT_FIXED),
            ColumnType::Decimal { precision, scale } => {
                let digits = u32::from(*precision) + u32::from(scale.min(&0).unsigned_abs());
                let sign_and_point = 1 + u32::from(*scale > 0);
                let decimals = scale.max(&0).unsigned_abs();
                Shape::new(Wire::MYSQL_TYPE_NEWDECIMAL, digits + sign_and_point).with_decimals(decimals)
            }
            ColumnType::Date => binary(Wire::MYSQL_TYPE_DATE, 10),
            ColumnType::DateTime { fraction } => Shape::moment(Wire::MYSQL_TYPE_DATETIME, *fraction),
            ColumnType::Timestamp { fraction } => Shape::moment(Wire::MYSQL_TYPE_TIMESTAMP, *fraction),
            ColumnType::Year => {
                Shape::new(Wire::MYSQL_TYPE_YEAR, 4).with_flags(ColumnFlags::UNSIGNED_FLAG | ColumnFlags::ZEROFILL_FLAG)
            }
            ColumnType::Char { length } => characters(Wire::MYSQL_TYPE_STRING, *length),
            ColumnType::VarChar { length } => characters(Wire::MYSQL_TYPE_VAR_STRING, *length),
            ColumnType::Text { bytes_max } => Shape {
                collation: COLLATION_UTF8MB4,
                ..Shape::new(Wire::MYSQL_TYPE_BLOB, *bytes_max).with_flags(ColumnFlags::BLOB_FLAG)
            },
            ColumnType::Json => Shape::new(Wire::MYSQL_TYPE_JSON, u32::MAX)
                .with_flags(ColumnFlags::BLOB_FLAG | ColumnFlags::BINARY_FLAG),
            ColumnType::Binary { length } => binary(Wire::MYSQL_TYPE_STRING, *length),
            ColumnType::VarBinary { length } => binary(Wire::MYSQL_TYPE_VAR_STRING, *length),
            ColumnType::Blob { bytes_max } => Shape::new(Wire::MYSQL_TYPE_BLOB, *bytes_max)
                .with_flags(ColumnFlags::BLOB_FLAG | ColumnFlags::BINARY_FLAG),
        }
    }

    fn new(kind: WireType, length: u32) -> Shape {
        Shape { kind, collation: COLLATION_BINARY, length, flags: ColumnFlags::empty(), decimals: 0 }
    }

    fn integer(kind: WireType, unsigned: bool, signed_length: u32, unsigned_length: u32) -> Shape {
        if unsigned {
            Shape::new(kind, unsigned_length).with_flags(ColumnFlags::UNSIGNED_FLAG)
        } else {
            Shape::new(kind, signed_length)
        }
    }

    fn moment(kind: WireType, fraction: u8) -> Shape {
        let fraction = fraction.min(6);
        let length = 19 + if fraction == 0 { 0 } else { 1 + u32::from(fraction) };
        Shape::new(kind, length).with_decimals(fraction).with_flags(ColumnFlags::BINARY_FLAG)
    }

    fn time(unit: &TimeUnit) -> Shape {
        let fraction = digits_of(unit);
        let length = 10 + if fraction == 0 { 0 } else { 1 + u32::from(fraction) };
        Shape::new(WireType::MYSQL_TYPE_TIME, length).with_decimals(fraction).with_flags(ColumnFlags::BINARY_FLAG)
    }

    fn with_flags(self, flags: ColumnFlags) -> Shape {
        Shape { flags, ..self }
    }

    fn with_decimals(self, decimals: u8) -> Shape {
        Shape { decimals, ..self }
    }
}

/// Fraction digits shown of an expression of that unit; a column's come from its declared type.
fn digits_of(unit: &TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond | TimeUnit::Nanosecond => 6,
    }
}

/// Whether values of `actual` are what `declared` describes: the same type, or another layout of it.
fn is_same_kind(declared: &DataType, actual: &DataType) -> bool {
    match (declared, actual) {
        (declared, DataType::Dictionary(_, value)) => is_same_kind(declared, value),
        (DataType::Timestamp(_, declared), DataType::Timestamp(_, actual)) => declared.is_some() == actual.is_some(),
        (DataType::Utf8, actual) => actual.is_string(),
        (DataType::Binary, actual) => actual.is_binary(),
        (declared, actual) => declared == actual,
    }
}
