//! Rows about keys: STATISTICS, KEY_COLUMN_USAGE, TABLE_CONSTRAINTS. Keys are declared, not enforced; ENFORCED says so.

use super::rows::Row;
use super::tables::Found;
use crate::catalog::objects::{Key, KeyKind};
use crate::storage::types::TableSchema;

/// STATISTICS: one row a column of a key.
pub fn statistics(found: &[Found<'_>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (found, key) in keys(found) {
        let schema = match &found.snapshot {
            Some(Ok(snapshot)) => Some(snapshot.schema().clone()),
            _ => None,
        };
        for (index, column) in key.columns.iter().enumerate() {
            let row = Row::default()
                .with("TABLE_CATALOG", "def")
                .with("TABLE_SCHEMA", found.database.as_str())
                .with("TABLE_NAME", found.name.as_str())
                .with("NON_UNIQUE", i64::from(key.kind == KeyKind::Index))
                .with("INDEX_SCHEMA", found.database.as_str())
                .with("INDEX_NAME", key.name.as_str())
                .with("SEQ_IN_INDEX", index as i64 + 1)
                .with("COLUMN_NAME", column.as_str())
                .with("COLLATION", "A")
                .with("NULLABLE", if nullable(schema.as_deref(), column) { "YES" } else { "" })
                .with("INDEX_TYPE", "BTREE")
                .with("IS_VISIBLE", "YES");
            rows.push(row);
        }
    }
    rows
}

fn nullable(schema: Option<&TableSchema>, column: &str) -> bool {
    schema.and_then(|schema| schema.column(column)).is_some_and(|(_, column)| column.nullable)
}

/// KEY_COLUMN_USAGE: the columns of primary and unique keys.
pub fn key_column_usage(found: &[Found<'_>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (found, key) in keys(found).filter(|(_, key)| key.kind != KeyKind::Index) {
        for (index, column) in key.columns.iter().enumerate() {
            let row = Row::default()
                .with_all(&["CONSTRAINT_CATALOG", "TABLE_CATALOG"], "def")
                .with_all(&["CONSTRAINT_SCHEMA", "TABLE_SCHEMA"], &found.database)
                .with("CONSTRAINT_NAME", key.name.as_str())
                .with("TABLE_NAME", found.name.as_str())
                .with("COLUMN_NAME", column.as_str())
                .with("ORDINAL_POSITION", index as i64 + 1);
            rows.push(row);
        }
    }
    rows
}

/// TABLE_CONSTRAINTS: primary and unique keys.
pub fn table_constraints(found: &[Found<'_>]) -> Vec<Row> {
    let row = |(found, key): (&Found<'_>, &Key)| {
        let kind = match key.kind {
            KeyKind::Primary => "PRIMARY KEY",
            KeyKind::Unique => "UNIQUE",
            KeyKind::Index => return None,
        };
        let row = Row::default()
            .with("CONSTRAINT_CATALOG", "def")
            .with_all(&["CONSTRAINT_SCHEMA", "TABLE_SCHEMA"], &found.database)
            .with("CONSTRAINT_NAME", key.name.as_str())
            .with("TABLE_NAME", found.name.as_str())
            .with("CONSTRAINT_TYPE", kind)
            .with("ENFORCED", "NO");
        Some(row)
    };
    keys(found).filter_map(row).collect()
}

fn keys<'f, 'm>(found: &'f [Found<'m>]) -> impl Iterator<Item = (&'f Found<'m>, &'m Key)> {
    found.iter().flat_map(|found| found.table.keys.iter().map(move |key| (found, key)))
}
