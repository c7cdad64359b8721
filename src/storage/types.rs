//! Columns and their types: the MySQL type a person declared, the Arrow type rows have in memory and in Parquet, and
//! the Arrow field metadata that carries the first beside the second. No I/O.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::error::{Error, Kind, Result};

/// Arrow/Delta field metadata: the declared MySQL type, as [`ColumnType`] prints it.
pub const META_TYPE: &str = "desirepath.type";
/// Arrow/Delta field metadata: the DEFAULT expression as SQL text.
pub const META_DEFAULT: &str = "desirepath.default";
/// Arrow/Delta field metadata: the column's COMMENT.
pub const META_COMMENT: &str = "desirepath.comment";
/// Arrow field metadata of a scanned column: the database, table and column it was read from (MySQL's org_table,
/// org_name).
pub const META_DATABASE: &str = "desirepath.database";
pub const META_TABLE: &str = "desirepath.table";
pub const META_COLUMN: &str = "desirepath.column";

/// The hidden Delta partition column of an event table: the UTC day of the event time.
pub const DAY_COLUMN: &str = "_event_date";

/// A MySQL column type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `TINYINT(1)`, MySQL's BOOLEAN: any value of a TINYINT, shown as `tinyint(1)`.
    Boolean,
    TinyInt {
        unsigned: bool,
    },
    SmallInt {
        unsigned: bool,
    },
    Int {
        unsigned: bool,
    },
    /// `BIGINT UNSIGNED` is kept as DECIMAL(20,0): Delta has no unsigned integers.
    BigInt {
        unsigned: bool,
    },
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Date,
    /// Fraction digits 0 to 6; microseconds without a zone.
    DateTime {
        fraction: u8,
    },
    /// Fraction digits 0 to 6; microseconds UTC, shown in the session's time zone.
    Timestamp {
        fraction: u8,
    },
    Year,
    /// Length in characters.
    Char {
        length: u32,
    },
    /// Length in characters.
    VarChar {
        length: u32,
    },
    /// Maximum length in bytes: TINYTEXT 255, TEXT 65535, MEDIUMTEXT 16777215, LONGTEXT 4294967295.
    Text {
        bytes_max: u32,
    },
    Json,
    /// Length in bytes.
    Binary {
        length: u32,
    },
    /// Length in bytes.
    VarBinary {
        length: u32,
    },
    /// Maximum length in bytes, as for TEXT.
    Blob {
        bytes_max: u32,
    },
}

impl ColumnType {
    /// The Arrow type of the column in memory and in Parquet files.
    pub fn arrow(&self) -> DataType {
        match self {
            ColumnType::Boolean | ColumnType::TinyInt { unsigned: false } => DataType::Int8,
            ColumnType::TinyInt { unsigned: true } | ColumnType::SmallInt { unsigned: false } | ColumnType::Year => {
                DataType::Int16
            }
            ColumnType::SmallInt { unsigned: true } | ColumnType::Int { unsigned: false } => DataType::Int32,
            ColumnType::Int { unsigned: true } | ColumnType::BigInt { unsigned: false } => DataType::Int64,
            ColumnType::BigInt { unsigned: true } => DataType::Decimal128(20, 0),
            ColumnType::Float => DataType::Float32,
            ColumnType::Double => DataType::Float64,
            ColumnType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            ColumnType::Date => DataType::Date32,
            ColumnType::DateTime { .. } => DataType::Timestamp(TimeUnit::Microsecond, None),
            ColumnType::Timestamp { .. } => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ColumnType::Char { .. } | ColumnType::VarChar { .. } | ColumnType::Text { .. } | ColumnType::Json => {
                DataType::Utf8
            }
            ColumnType::Binary { .. } | ColumnType::VarBinary { .. } | ColumnType::Blob { .. } => DataType::Binary,
        }
    }

    /// The type a column of a foreign table or an expression has, from its Arrow type alone.
    ///
    /// # Errors
    /// `Unsupported` for a type MySQL cannot show (the message names it).
    pub fn of_arrow(data_type: &DataType) -> Result<ColumnType> {
        Ok(match data_type {
            DataType::Boolean => ColumnType::Boolean,
            DataType::Int8 => ColumnType::TinyInt { unsigned: false },
            DataType::UInt8 => ColumnType::TinyInt { unsigned: true },
            DataType::Int16 => ColumnType::SmallInt { unsigned: false },
            DataType::UInt16 => ColumnType::SmallInt { unsigned: true },
            DataType::Int32 => ColumnType::Int { unsigned: false },
            DataType::UInt32 => ColumnType::Int { unsigned: true },
            DataType::Int64 => ColumnType::BigInt { unsigned: false },
            DataType::UInt64 => ColumnType::BigInt { unsigned: true },
            DataType::Float16 | DataType::Float32 => ColumnType::Float,
            DataType::Float64 => ColumnType::Double,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => ColumnType::Decimal { precision: *precision, scale: *scale },
            DataType::Date32 | DataType::Date64 => ColumnType::Date,
            DataType::Timestamp(_, None) => ColumnType::DateTime { fraction: 6 },
            DataType::Timestamp(_, Some(_)) => ColumnType::Timestamp { fraction: 6 },
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::Text { bytes_max: u32::MAX },
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                ColumnType::Blob { bytes_max: u32::MAX }
            }
            DataType::Dictionary(_, value) => ColumnType::of_arrow(value)?,
            // Arrays, structs and maps are shown as JSON text.
            DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_) | DataType::Map(_, _) => ColumnType::Json,
            DataType::Null => ColumnType::VarChar { length: 0 },
            other => return Err(Error::unsupported(format!("column of type {other}"))),
        })
    }

    /// The declared type of a field: its metadata if it has any, else by its Arrow type.
    pub fn of_field(field: &Field) -> Result<ColumnType> {
        match field.metadata().get(META_TYPE) {
            Some(text) => text.parse(),
            None => ColumnType::of_arrow(field.data_type()),
        }
    }

    /// `bigint`, `varchar`, …: information_schema's DATA_TYPE.
    pub fn data_type(&self) -> String {
        let text = self.to_string();
        text.split(['(', ' ']).next().unwrap_or_default().to_owned()
    }
}

impl fmt::Display for ColumnType {
    /// MySQL's COLUMN_TYPE: `bigint unsigned`, `decimal(12,2)`, `datetime(6)`, `varchar(64)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let integer = |f: &mut fmt::Formatter<'_>, name: &str, unsigned: bool| {
            f.write_str(name)?;
            if unsigned { f.write_str(" unsigned") } else { Ok(()) }
        };
        let temporal = |f: &mut fmt::Formatter<'_>, name: &str, fraction: u8| match fraction {
            0 => f.write_str(name),
            digits => write!(f, "{name}({digits})"),
        };
        let sized = |f: &mut fmt::Formatter<'_>, name: &str, bytes_max: u32| match bytes_max {
            0..=255 => write!(f, "tiny{name}"),
            256..=65_535 => f.write_str(name),
            65_536..=16_777_215 => write!(f, "medium{name}"),
            _ => write!(f, "long{name}"),
        };
        match self {
            ColumnType::Boolean => f.write_str("tinyint(1)"),
            ColumnType::TinyInt { unsigned } => integer(f, "tinyint", *unsigned),
            ColumnType::SmallInt { unsigned } => integer(f, "smallint", *unsigned),
            ColumnType::Int { unsigned } => integer(f, "int", *unsigned),
            ColumnType::BigInt { unsigned } => integer(f, "bigint", *unsigned),
            ColumnType::Float => f.write_str("float"),
            ColumnType::Double => f.write_str("double"),
            ColumnType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            ColumnType::Date => f.write_str("date"),
            ColumnType::DateTime { fraction } => temporal(f, "datetime", *fraction),
            ColumnType::Timestamp { fraction } => temporal(f, "timestamp", *fraction),
            ColumnType::Year => f.write_str("year"),
            ColumnType::Char { length } => write!(f, "char({length})"),
            ColumnType::VarChar { length } => write!(f, "varchar({length})"),
            ColumnType::Text { bytes_max } => sized(f, "text", *bytes_max),
            ColumnType::Json => f.write_str("json"),
            ColumnType::Binary { length } => write!(f, "binary({length})"),
            ColumnType::VarBinary { length } => write!(f, "varbinary({length})"),
            ColumnType::Blob { bytes_max } => sized(f, "blob", *bytes_max),
        }
    }
}

impl FromStr for ColumnType {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) prints.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::new(Kind::Corrupt, format!("unknown column type '{text}' in table metadata"));
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.split_once(')').ok_or_else(bad)?.0),
            None => (text.trim_end_matches(" unsigned"), ""),
        };
        let unsigned = text.ends_with(" unsigned");
        let number = |what: &str| what.trim().parse::<u32>().map_err(|_| bad());
        let fraction = |what: &str| if what.is_empty() { Ok(0) } else { number(what).map(|digits| digits as u8) };
        Ok(match name {
            "tinyint" if arguments == "1" => ColumnType::Boolean,
            "tinyint" => ColumnType::TinyInt { unsigned },
            "smallint" => ColumnType::SmallInt { unsigned },
            "int" => ColumnType::Int { unsigned },
            "bigint" => ColumnType::BigInt { unsigned },
            "float" => ColumnType::Float,
            "double" => ColumnType::Double,
            "decimal" => {
                let (precision, scale) = arguments.split_once(',').ok_or_else(bad)?;
                ColumnType::Decimal { precision: number(precision)? as u8, scale: number(scale)? as i8 }
            }
            "date" => ColumnType::Date,
            "datetime" => ColumnType::DateTime { fraction: fraction(arguments)? },
            "timestamp" => ColumnType::Timestamp { fraction: fraction(arguments)? },
            "year" => ColumnType::Year,
            "char" => ColumnType::Char { length: number(arguments)? },
            "varchar" => ColumnType::VarChar { length: number(arguments)? },
            "tinytext" => ColumnType::Text { bytes_max: 255 },
            "text" => ColumnType::Text { bytes_max: 65_535 },
            "mediumtext" => ColumnType::Text { bytes_max: 16_777_215 },
            "longtext" => ColumnType::Text { bytes_max: u32::MAX },
            "json" => ColumnType::Json,
            "binary" => ColumnType::Binary { length: number(arguments)? },
            "varbinary" => ColumnType::VarBinary { length: number(arguments)? },
            "tinyblob" => ColumnType::Blob { bytes_max: 255 },
            "blob" => ColumnType::Blob { bytes_max: 65_535 },
            "mediumblob" => ColumnType::Blob { bytes_max: 16_777_215 },
            "longblob" => ColumnType::Blob { bytes_max: u32::MAX },
            _ => return Err(bad()),
        })
    }
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name as declared; names compare without case.
    pub name: String,
    pub column_type: ColumnType,
    pub nullable: bool,
    /// DEFAULT as SQL text (`'web'`, `0`, `CURRENT_TIMESTAMP(6)`), None when there is none.
    pub default: Option<String>,
    pub comment: String,
}

impl Column {
    /// The Arrow field with the declared type, default and comment as metadata.
    pub fn field(&self) -> Field {
        let mut metadata = HashMap::from([(META_TYPE.to_owned(), self.column_type.to_string())]);
        if let Some(default) = &self.default {
            metadata.insert(META_DEFAULT.to_owned(), default.clone());
        }
        if !self.comment.is_empty() {
            metadata.insert(META_COMMENT.to_owned(), self.comment.clone());
        }
        Field::new(&self.name, self.column_type.arrow(), self.nullable).with_metadata(metadata)
    }

    /// Reads a column back from a field, ours or another engine's.
    ///
    /// # Errors
    /// `Unsupported` when the field's type has no MySQL counterpart.
    pub fn of_field(field: &Field) -> Result<Column> {
        let column_type = ColumnType::of_field(field)
            .map_err(|error| Error::new(error.kind(), format!("column '{}': {error}", field.name())))?;
        Ok(Column {
            name: field.name().clone(),
            column_type,
            nullable: field.is_nullable(),
            default: field.metadata().get(META_DEFAULT).cloned(),
            comment: field.metadata().get(META_COMMENT).cloned().unwrap_or_default(),
        })
    }
}

/// The columns that make a table an event table, by their declared names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EventColumns {
    pub user: String,
    pub time: String,
    pub event: String,
}

/// What a table is made of: its columns in order and, for an event table, which of them are user, time and event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    pub columns: Vec<Column>,
    /// None for a plain table.
    pub event: Option<EventColumns>,
}

impl TableSchema {
    /// The column of that name, compared without case.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name.eq_ignore_ascii_case(name))
    }

    /// The Arrow schema people see (without [`DAY_COLUMN`]).
    pub fn arrow(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::field).collect::<Vec<_>>()))
    }
}
