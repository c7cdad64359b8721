//! Rows about databases and tables: SCHEMATA, TABLES, COLUMNS, FILES, and the texts of SHOW CREATE.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::StreamExt;

use super::create_statement::{create_database, create_table, default_of};
use super::definitions::{Definition, find};
use super::layout::TABLES;
use super::rows::{Cell, Row};
use super::{COLLATION, DATABASE, Needs, Wanted};
use crate::catalog::Catalog;
use crate::catalog::manifest::Manifest;
use crate::catalog::objects::{Database, Key, KeyKind, Table};
use crate::error::{Error, Result};
use crate::storage::delta::Snapshot;
use crate::storage::types::{Column, ColumnType};

/// Name of the storage engine in ENGINES, TABLES and SHOW CREATE TABLE.
pub const ENGINE: &str = "DELTA";
/// Delta logs read at one time.
const TABLES_READ_AT_ONCE: usize = 16;
/// What every account may do with every column.
const COLUMN_PRIVILEGES: &str = "select,insert,update,references";

/// A table of the catalog with what its Delta log says, if that was asked for and could be read. A query that names it
/// in another case finds it, as other statements do, and gets the names back as it wrote them: its filter is applied
/// again.
pub struct Found<'m> {
    pub database: String,
    pub name: String,
    pub table: &'m Table,
    pub snapshot: Option<Result<Arc<Snapshot>>>,
}

/// The catalog's tables that `wanted` names, in order; their Delta logs are read if `needs` says so.
pub async fn found<'m>(catalog: &Catalog, manifest: &'m Manifest, wanted: &Wanted, needs: Needs) -> Vec<Found<'m>> {
    let mut tables: Vec<(String, String, &'m Table)> = Vec::new();
    for (shown, database) in databases(manifest, wanted) {
        let Some(database) = database else { continue };
        match &wanted.tables {
            None => tables.extend(database.tables.values().map(|table| (shown.clone(), table.name.clone(), table))),
            Some(names) => {
                let named = |name: &String| Some((shown.clone(), name.clone(), manifest.table(&shown, name).ok()?));
                tables.extend(names.iter().filter_map(named));
            }
        }
    }
    let snapshots: Vec<Option<Result<Arc<Snapshot>>>> = match needs {
        Needs::Names => tables.iter().map(|_| None).collect(),
        Needs::Storage => {
            // Owned, because a stream of futures over borrowed tables is not `Send` enough for the compiler.
            let owned = tables.iter().map(|(_, _, table)| (catalog.clone(), (*table).clone())).collect::<Vec<_>>();
            let read = |(catalog, table): (Catalog, Table)| async move {
                Some(async { catalog.open_storage(&table).await?.snapshot().await }.await)
            };
            futures::stream::iter(owned).map(read).buffered(TABLES_READ_AT_ONCE).collect().await
        }
    };
    let found = |((database, name, table), snapshot)| Found { database, name, table, snapshot };
    tables.into_iter().zip(snapshots).map(found).collect()
}

/// The databases that `wanted` names, each under the name to show; None is `information_schema`.
fn databases<'m>(manifest: &'m Manifest, wanted: &Wanted) -> Vec<(String, Option<&'m Database>)> {
    let Some(names) = &wanted.databases else {
        let ours = manifest.databases.values().map(|database| (database.name.clone(), Some(database)));
        return std::iter::once((DATABASE.to_owned(), None)).chain(ours).collect();
    };
    let named = |name: &String| match name.eq_ignore_ascii_case(DATABASE) {
        true => Some((name.clone(), None)),
        false => Some((name.clone(), Some(manifest.database(name).ok()?))),
    };
    names.iter().filter_map(named).collect()
}

/// The tables of `information_schema` that `wanted` names, each with the names of database and table to show.
fn system_tables(manifest: &Manifest, wanted: &Wanted) -> Vec<(String, String, &'static Definition)> {
    let own = databases(manifest, wanted).into_iter().filter(|(_, database)| database.is_none());
    let mut tables = Vec::new();
    for (shown, _) in own {
        match &wanted.tables {
            None => tables.extend(TABLES.iter().map(|table| (shown.clone(), table.name.to_owned(), table))),
            Some(names) => {
                tables.extend(names.iter().filter_map(|name| Some((shown.clone(), name.clone(), find(name)?))));
            }
        }
    }
    tables.retain(|(_, _, definition)| !definition.hidden);
    tables
}

impl Found<'_> {
    /// The Delta log's answer; None, with a line in the log, for a table that cannot be read when others were asked for
    /// too: one unreachable bucket must not hide every table.
    fn readable(&self, wanted: &Wanted) -> Result<Option<&Snapshot>> {
        match &self.snapshot {
            None => Ok(None),
            Some(Ok(snapshot)) => Ok(Some(snapshot)),
            Some(Err(error)) if wanted.is_one_table() => Err(Error::new(error.kind(), error.message())),
            Some(Err(error)) => {
                tracing::warn!(database = self.database, table = self.name, %error, "table cannot be read");
                Ok(None)
            }
        }
    }
}

/// SCHEMATA.
pub fn schemata(manifest: &Manifest, wanted: &Wanted) -> Vec<Row> {
    let row = |(name, _): (String, Option<&Database>)| {
        Row::default()
            .with("CATALOG_NAME", "def")
            .with("SCHEMA_NAME", name)
            .with("DEFAULT_CHARACTER_SET_NAME", "utf8mb4")
            .with("DEFAULT_COLLATION_NAME", COLLATION)
            .with("DEFAULT_ENCRYPTION", "NO")
    };
    databases(manifest, wanted).into_iter().map(row).collect()
}

/// TABLES: those of the catalog, and those of `information_schema`.
pub fn tables(manifest: &Manifest, found: &[Found<'_>], wanted: &Wanted) -> Vec<Row> {
    let mut rows = found.iter().map(table_row).collect::<Vec<_>>();
    for (database, name, _) in system_tables(manifest, wanted) {
        rows.push(
            Row::default()
                .with("TABLE_CATALOG", "def")
                .with("TABLE_SCHEMA", database)
                .with("TABLE_NAME", name)
                .with("TABLE_TYPE", "SYSTEM VIEW")
                .with("VERSION", 10_i64)
                .with("TABLE_ROWS", 0_u64)
                .with("CREATE_OPTIONS", "")
                .with("TABLE_COMMENT", ""),
        );
    }
    rows
}

fn table_row(found: &Found<'_>) -> Row {
    let table = found.table;
    let mut row = Row::default()
        .with("TABLE_CATALOG", "def")
        .with("TABLE_SCHEMA", found.database.as_str())
        .with("TABLE_NAME", found.name.as_str())
        .with("TABLE_TYPE", "BASE TABLE")
        .with("ENGINE", ENGINE)
        .with("VERSION", 10_i64)
        .with("ROW_FORMAT", "Dynamic")
        .with("CREATE_TIME", Cell::Time(table.created_at.timestamp_micros()))
        .with("TABLE_COLLATION", COLLATION)
        .with("CREATE_OPTIONS", options(table));
    match &found.snapshot {
        Some(Ok(snapshot)) => {
            let bytes = snapshot.files().iter().map(|file| file.size_bytes).sum::<u64>();
            // Unknown as soon as one file of a foreign table does not say.
            let count = snapshot.files().iter().map(|file| file.rows).sum::<Option<u64>>();
            row = row
                .with("TABLE_ROWS", count)
                .with("AVG_ROW_LENGTH", count.map(|count| bytes.checked_div(count).unwrap_or(0)))
                .with("DATA_LENGTH", bytes)
                .with("MAX_DATA_LENGTH", 0_u64)
                .with("INDEX_LENGTH", 0_u64)
                .with("DATA_FREE", 0_u64)
                .with("UPDATE_TIME", snapshot.modified_ms().map_or(Cell::Null, |ms| Cell::Time(ms * 1000)))
                .with("TABLE_COMMENT", table.comment.as_str());
        }
        // As MySQL does with a broken view: the row is there, the comment says why there is no more.
        Some(Err(error)) => row = row.with("TABLE_COMMENT", error.message()),
        None => row = row.with("TABLE_COMMENT", table.comment.as_str()),
    }
    row
}

/// The table options that are not MySQL's.
fn options(table: &Table) -> String {
    let mut options = Vec::new();
    if let Some(event) = &table.event {
        let columns = [("user_column", &event.user), ("time_column", &event.time), ("event_column", &event.event)];
        options.extend(columns.map(|(option, column)| format!("{option}={column}")));
    }
    if table.external {
        options.push(format!("location={}", table.location));
    }
    options.join(" ")
}

/// COLUMNS.
///
/// # Errors
/// What the Delta log of the one table asked for returns.
pub fn columns(manifest: &Manifest, found: &[Found<'_>], wanted: &Wanted) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for found in found {
        let Some(snapshot) = found.readable(wanted)? else { continue };
        for (index, column) in snapshot.schema().columns.iter().enumerate() {
            rows.push(column_row(&found.database, &found.name, &found.table.keys, index, column));
        }
    }
    for (database, name, definition) in system_tables(manifest, wanted) {
        for (index, column) in definition.columns()?.iter().enumerate() {
            rows.push(column_row(&database, &name, &[], index, column));
        }
    }
    Ok(rows)
}

fn column_row(database: &str, table: &str, keys: &[Key], index: usize, column: &Column) -> Row {
    let facts = TypeFacts::of(&column.column_type);
    let (default, generated) = column.default.as_deref().map_or((None, false), default_of);
    Row::default()
        .with("TABLE_CATALOG", "def")
        .with("TABLE_SCHEMA", database)
        .with("TABLE_NAME", table)
        .with("COLUMN_NAME", column.name.as_str())
        .with("ORDINAL_POSITION", index as i64 + 1)
        .with("COLUMN_DEFAULT", default)
        .with("IS_NULLABLE", if column.nullable { "YES" } else { "NO" })
        .with("DATA_TYPE", column.column_type.data_type())
        .with("CHARACTER_MAXIMUM_LENGTH", facts.characters)
        .with("CHARACTER_OCTET_LENGTH", facts.bytes)
        .with("NUMERIC_PRECISION", facts.precision)
        .with("NUMERIC_SCALE", facts.scale)
        .with("DATETIME_PRECISION", facts.fraction)
        .with("CHARACTER_SET_NAME", facts.text.then_some("utf8mb4"))
        .with("COLLATION_NAME", facts.text.then_some(COLLATION))
        .with("COLUMN_TYPE", column.column_type.to_string())
        .with("COLUMN_KEY", column_key(keys, &column.name))
        .with("EXTRA", if generated { "DEFAULT_GENERATED" } else { "" })
        .with("PRIVILEGES", COLUMN_PRIVILEGES)
        .with("COLUMN_COMMENT", column.comment.as_str())
}

/// PRI, UNI or MUL, MySQL's way: a column of the primary key; a UNIQUE key of that column alone; the first of any
/// other.
fn column_key(keys: &[Key], column: &str) -> &'static str {
    let is = |kind: KeyKind, alone: bool| {
        let leads = |key: &Key| key.columns.first().is_some_and(|first| first == column);
        keys.iter().any(|key| key.kind == kind && leads(key) && (!alone || key.columns.len() == 1))
    };
    let primary = |key: &Key| key.kind == KeyKind::Primary && key.columns.iter().any(|name| name == column);
    if keys.iter().any(primary) {
        "PRI"
    } else if is(KeyKind::Unique, true) {
        "UNI"
    } else if is(KeyKind::Index, false) || is(KeyKind::Unique, false) {
        "MUL"
    } else {
        ""
    }
}

/// The numbers that COLUMNS derives from a type.
#[derive(Default)]
struct TypeFacts {
    characters: Option<i64>,
    bytes: Option<i64>,
    precision: Option<u64>,
    scale: Option<u64>,
    fraction: Option<i64>,
    text: bool,
}

impl TypeFacts {
    fn of(column_type: &ColumnType) -> TypeFacts {
        let integer = |precision| TypeFacts { precision: Some(precision), scale: Some(0), ..TypeFacts::default() };
        let float = |precision| TypeFacts { precision: Some(precision), ..TypeFacts::default() };
        let time = |fraction| TypeFacts { fraction: Some(fraction), ..TypeFacts::default() };
        let sized = |characters: u32, bytes_each: i64, text| TypeFacts {
            characters: Some(i64::from(characters)),
            bytes: Some(i64::from(characters) * bytes_each),
            text,
            ..TypeFacts::default()
        };
        match column_type {
            ColumnType::Boolean | ColumnType::TinyInt { .. } => integer(3),
            ColumnType::SmallInt { .. } => integer(5),
            ColumnType::Int { .. } => integer(10),
            ColumnType::BigInt { unsigned: false } => integer(19),
            ColumnType::BigInt { unsigned: true } => integer(20),
            ColumnType::Float => float(12),
            ColumnType::Double => float(22),
            ColumnType::Decimal { precision, scale } => TypeFacts {
                precision: Some(u64::from(*precision)),
                scale: Some(u64::from(scale.unsigned_abs())),
                ..TypeFacts::default()
            },
            ColumnType::DateTime { fraction } | ColumnType::Timestamp { fraction } => time(i64::from(*fraction)),
            ColumnType::Char { length } | ColumnType::VarChar { length } => sized(*length, 4, true),
            ColumnType::Text { bytes_max } => sized(*bytes_max, 1, true),
            ColumnType::Binary { length } | ColumnType::VarBinary { length } => sized(*length, 1, false),
            ColumnType::Blob { bytes_max } => sized(*bytes_max, 1, false),
            ColumnType::Date | ColumnType::Year | ColumnType::Json => TypeFacts::default(),
        }
    }
}

/// FILES: one row a data file.
///
/// # Errors
/// What the Delta log of the one table asked for returns.
pub fn files(found: &[Found<'_>], wanted: &Wanted) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for found in found {
        let Some(snapshot) = found.readable(wanted)? else { continue };
        for file in snapshot.files() {
            let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let day = file.day.and_then(|day| DateTime::<Utc>::from_timestamp(i64::from(day) * 86_400, 0));
            let mut extra = day.map(|day| format!("day={}", day.format("%Y-%m-%d"))).into_iter().collect::<Vec<_>>();
            if file.sorted {
                extra.push("sorted".to_owned());
            }
            rows.push(
                Row::default()
                    .with("FILE_ID", rows.len() as i64 + 1)
                    .with("FILE_NAME", file.path.to_string())
                    .with("FILE_TYPE", "DATAFILE")
                    .with("TABLE_CATALOG", "def")
                    .with("TABLE_SCHEMA", found.database.as_str())
                    .with("TABLE_NAME", found.name.as_str())
                    .with("ENGINE", ENGINE)
                    .with("ROW_FORMAT", "Parquet")
                    .with("TABLE_ROWS", file.rows.map(count))
                    .with("DATA_LENGTH", count(file.size_bytes))
                    .with("CREATION_TIME", Cell::Time(file.add.modification_time.saturating_mul(1000)))
                    .with("STATUS", "NORMAL")
                    .with("EXTRA", extra.join(" ")),
            );
        }
    }
    Ok(rows)
}

/// The hidden table behind SHOW CREATE TABLE and SHOW CREATE DATABASE.
///
/// # Errors
/// What the Delta log of the one table asked for returns.
pub fn create_statements(manifest: &Manifest, found: &[Found<'_>], wanted: &Wanted) -> Result<Vec<Row>> {
    let row = |database: &str, name: &str, kind: &str, statement: String| {
        Row::default()
            .with("object_schema", database)
            .with("object_name", name)
            .with("object_type", kind)
            .with("create_statement", statement)
    };
    // A database is its own object: `object_name` is its name.
    let of_databases = Wanted { databases: wanted.tables.clone().or_else(|| wanted.databases.clone()), tables: None };
    let mut rows = Vec::new();
    for (shown, database) in databases(manifest, &of_databases) {
        let name = database.map_or(DATABASE, |database| &database.name);
        rows.push(row(&shown, &shown, "DATABASE", create_database(name)));
    }
    for found in found {
        let Some(snapshot) = found.readable(wanted)? else { continue };
        let statement = create_table(found.table, &snapshot.schema().columns);
        rows.push(row(&found.database, &found.name, "TABLE", statement));
    }
    for (database, name, definition) in system_tables(manifest, wanted) {
        let table = Table {
            id: 0,
            name: definition.name.to_owned(),
            location: String::new(),
            external: false,
            event: None,
            keys: Vec::new(),
            comment: String::new(),
            created_at: DateTime::UNIX_EPOCH,
        };
        rows.push(row(&database, &name, "TABLE", create_table(&table, &definition.columns()?)));
    }
    Ok(rows)
}
