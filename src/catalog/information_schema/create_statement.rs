//! The text of SHOW CREATE: MySQL's layout, which SQLAlchemy and others read with regular expressions (one column a
//! line, two spaces before it, names in backticks, types in lower case), with our table options at its end. Run again,
//! it makes the same table.

use super::COLLATION;
use super::tables::ENGINE;
use crate::catalog::objects::{Key, KeyKind, Table};
use crate::storage::types::{Column, ColumnType};

/// `CREATE DATABASE …`, the character set in a version comment as MySQL has it.
pub fn create_database(name: &str) -> String {
    format!("CREATE DATABASE {} /*!40100 DEFAULT CHARACTER SET utf8mb4 COLLATE {COLLATION} */", identifier(name))
}

/// `CREATE TABLE …` of a table with these columns.
pub fn create_table(table: &Table, columns: &[Column]) -> String {
    let mut lines = columns.iter().map(column_line).collect::<Vec<_>>();
    lines.extend(table.keys.iter().map(key_line));
    let mut text = format!("CREATE TABLE {} (\n  {}\n)", identifier(&table.name), lines.join(",\n  "));
    text.push_str(&format!(" ENGINE={ENGINE} DEFAULT CHARSET=utf8mb4 COLLATE={COLLATION}"));
    let mut option = |name: &str, value: &str| text.push_str(&format!(" {name}={}", literal(value)));
    if let Some(event) = &table.event {
        option("USER_COLUMN", &event.user);
        option("TIME_COLUMN", &event.time);
        option("EVENT_COLUMN", &event.event);
    }
    if table.external {
        option("LOCATION", &table.location);
    }
    if !table.comment.is_empty() {
        option("COMMENT", &table.comment);
    }
    text
}

/// A default as COLUMNS and DESCRIBE show it: a literal's value, or an expression's text and `true`.
pub fn default_of(sql: &str) -> (Option<String>, bool) {
    let sql = sql.trim();
    if sql.eq_ignore_ascii_case("null") {
        return (None, false);
    }
    if let Some(inner) = sql.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return (Some(unescape(inner)), false);
    }
    let digits = sql.trim_start_matches(['-', '+']);
    if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return (Some(sql.to_owned()), false);
    }
    match sql.to_ascii_lowercase().as_str() {
        "true" => (Some("1".into()), false),
        "false" => (Some("0".into()), false),
        _ => (Some(sql.to_owned()), true),
    }
}

fn column_line(column: &Column) -> String {
    let mut line = format!("{} {}", identifier(&column.name), column.column_type);
    let timestamp = matches!(column.column_type, ColumnType::Timestamp { .. });
    // A TEXT or BLOB can have no literal default, so MySQL prints none; a TIMESTAMP says NULL for history's sake.
    let large = matches!(column.column_type, ColumnType::Text { .. } | ColumnType::Blob { .. });
    match (column.nullable, &column.default) {
        (false, None) => line.push_str(" NOT NULL"),
        (false, Some(default)) => line.push_str(&format!(" NOT NULL DEFAULT {default}")),
        (true, default) => {
            if timestamp {
                line.push_str(" NULL");
            }
            match default {
                Some(default) => line.push_str(&format!(" DEFAULT {default}")),
                None if large => {}
                None => line.push_str(" DEFAULT NULL"),
            }
        }
    }
    if !column.comment.is_empty() {
        line.push_str(&format!(" COMMENT {}", literal(&column.comment)));
    }
    line
}

fn key_line(key: &Key) -> String {
    let columns = key.columns.iter().map(|name| identifier(name)).collect::<Vec<_>>().join(",");
    match key.kind {
        KeyKind::Primary => format!("PRIMARY KEY ({columns})"),
        KeyKind::Unique => format!("UNIQUE KEY {} ({columns})", identifier(&key.name)),
        KeyKind::Index => format!("KEY {} ({columns})", identifier(&key.name)),
    }
}

fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n").replace('\r', "\\r"))
}

/// The value of a string literal's inside: doubled quotes and MySQL's backslash escapes.
fn unescape(inner: &str) -> String {
    let mut value = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        let next = match c {
            '\'' | '\\' => characters.next(),
            _ => None,
        };
        match (c, next) {
            ('\'', _) => value.push('\''),
            ('\\', Some('n')) => value.push('\n'),
            ('\\', Some('t')) => value.push('\t'),
            ('\\', Some('r')) => value.push('\r'),
            ('\\', Some('0')) => value.push('\0'),
            ('\\', Some('b')) => value.push('\u{8}'),
            ('\\', Some('Z')) => value.push('\u{1a}'),
            ('\\', Some(escaped @ ('%' | '_'))) => value.extend(['\\', escaped]),
            ('\\', Some(escaped)) => value.push(escaped),
            (plain, _) => value.push(plain),
        }
    }
    value
}
