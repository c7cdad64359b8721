//! Rows about the server and the session: engines, character sets, collations, plugins, privileges, reserved words,
//! processes, variables, status, warnings.

use super::SessionView;
use super::rows::{Cell, Row};
use super::tables::ENGINE;
use crate::catalog::manifest::Manifest;
use crate::config::VERSION;

/// Character sets clients may ask for: name, default collation, description, bytes a character takes at most. Data is
/// UTF-8 whatever they ask for.
pub const CHARACTER_SETS: &[(&str, &str, &str, i64)] = &[
    ("ascii", "ascii_general_ci", "US ASCII", 1),
    ("binary", "binary", "Binary pseudo charset", 1),
    ("latin1", "latin1_swedish_ci", "cp1252 West European", 1),
    ("utf8mb3", "utf8mb3_general_ci", "UTF-8 Unicode", 3),
    ("utf8mb4", super::COLLATION, "UTF-8 Unicode", 4),
];

/// Collations clients may ask for: name, character set, MySQL's id, sort length.
pub const COLLATIONS: &[(&str, &str, u64, i64)] = &[
    ("ascii_bin", "ascii", 65, 1),
    ("ascii_general_ci", "ascii", 11, 1),
    ("binary", "binary", 63, 1),
    ("latin1_bin", "latin1", 47, 1),
    ("latin1_general_ci", "latin1", 48, 1),
    ("latin1_swedish_ci", "latin1", 8, 1),
    ("utf8mb3_bin", "utf8mb3", 83, 1),
    ("utf8mb3_general_ci", "utf8mb3", 33, 1),
    ("utf8mb3_unicode_ci", "utf8mb3", 192, 8),
    ("utf8mb4_0900_ai_ci", "utf8mb4", 255, 0),
    ("utf8mb4_0900_as_cs", "utf8mb4", 278, 0),
    ("utf8mb4_0900_bin", "utf8mb4", 309, 1),
    ("utf8mb4_bin", "utf8mb4", 46, 1),
    ("utf8mb4_general_ci", "utf8mb4", 45, 1),
    ("utf8mb4_unicode_520_ci", "utf8mb4", 246, 8),
    ("utf8mb4_unicode_ci", "utf8mb4", 224, 8),
];

/// What every account may do until there are grants.
const PRIVILEGES: &[&str] = &[
    "ALTER",
    "CREATE",
    "CREATE USER",
    "DELETE",
    "DROP",
    "INDEX",
    "INSERT",
    "PROCESS",
    "SELECT",
    "SHOW DATABASES",
    "UPDATE",
];

/// ENGINES.
pub fn engines() -> Vec<Row> {
    vec![
        Row::default()
            .with("ENGINE", ENGINE)
            .with("SUPPORT", "DEFAULT")
            .with("COMMENT", "Parquet files in folders or buckets, Delta Lake log")
            .with_all(&["TRANSACTIONS", "XA", "SAVEPOINTS"], "NO"),
    ]
}

/// CHARACTER_SETS.
pub fn character_sets() -> Vec<Row> {
    let row = |(name, collation, description, bytes): &(&'static str, &str, &str, i64)| {
        Row::default()
            .with("CHARACTER_SET_NAME", *name)
            .with("DEFAULT_COLLATE_NAME", *collation)
            .with("DESCRIPTION", *description)
            .with("MAXLEN", *bytes)
    };
    CHARACTER_SETS.iter().map(row).collect()
}

/// COLLATIONS.
pub fn collations() -> Vec<Row> {
    let row = |(name, set, id, length): &(&'static str, &str, u64, i64)| {
        let default = CHARACTER_SETS.iter().any(|(_, collation, ..)| collation == name);
        let unpadded = name.contains("_0900_") || *name == "binary";
        Row::default()
            .with("COLLATION_NAME", *name)
            .with("CHARACTER_SET_NAME", *set)
            .with("ID", *id)
            .with("IS_DEFAULT", if default { "Yes" } else { "" })
            .with("IS_COMPILED", "Yes")
            .with("SORTLEN", *length)
            .with("PAD_ATTRIBUTE", if unpadded { "NO PAD" } else { "PAD SPACE" })
    };
    COLLATIONS.iter().map(row).collect()
}

/// COLLATION_CHARACTER_SET_APPLICABILITY.
pub fn applicability() -> Vec<Row> {
    let row = |(name, set, ..): &(&'static str, &str, u64, i64)| {
        Row::default().with("COLLATION_NAME", *name).with("CHARACTER_SET_NAME", *set)
    };
    COLLATIONS.iter().map(row).collect()
}

/// PLUGINS.
pub fn plugins() -> Vec<Row> {
    let plugins = [
        (ENGINE, "STORAGE ENGINE", "Delta Lake tables"),
        ("caching_sha2_password", "AUTHENTICATION", "SHA-256 password authentication with a cache"),
        ("mysql_native_password", "AUTHENTICATION", "Native MySQL authentication"),
    ];
    let row = |(name, kind, description): (&str, &str, &str)| {
        Row::default()
            .with("PLUGIN_NAME", name)
            .with_all(&["PLUGIN_VERSION", "PLUGIN_TYPE_VERSION"], VERSION)
            .with("PLUGIN_STATUS", "ACTIVE")
            .with("PLUGIN_TYPE", kind)
            .with("PLUGIN_AUTHOR", "Desirepath")
            .with("PLUGIN_DESCRIPTION", description)
            .with("PLUGIN_LICENSE", "Apache-2.0")
            .with("LOAD_OPTION", "FORCE")
    };
    plugins.into_iter().map(row).collect()
}

/// USER_PRIVILEGES.
pub fn user_privileges(manifest: &Manifest) -> Vec<Row> {
    let row = |grantee: &str, privilege: &str| {
        Row::default()
            .with("GRANTEE", grantee)
            .with("TABLE_CATALOG", "def")
            .with("PRIVILEGE_TYPE", privilege)
            .with("IS_GRANTABLE", "NO")
    };
    let users = manifest.users.iter().map(ToString::to_string);
    users.flat_map(|user| PRIVILEGES.iter().map(move |privilege| row(&user, privilege))).collect()
}

/// KEYWORDS: the reserved ones.
pub fn keywords() -> Vec<Row> {
    let words = super::keywords::RESERVED.split_ascii_whitespace();
    words.map(|word| Row::default().with("WORD", word).with("RESERVED", 1_i64)).collect()
}

/// PROCESSLIST.
pub fn processes(session: &SessionView) -> Vec<Row> {
    let row = |process: &super::ProcessView| {
        Row::default()
            .with("ID", u64::from(process.id))
            .with("USER", process.user.as_str())
            .with("HOST", process.host.as_str())
            .with("DB", process.database.clone())
            .with("COMMAND", if process.statement.is_some() { "Query" } else { "Sleep" })
            .with("TIME", Cell::Unsigned(process.seconds))
            .with("STATE", if process.statement.is_some() { "executing" } else { "" })
            .with("INFO", process.statement.clone())
    };
    session.processes.iter().map(row).collect()
}

/// Session and global variables and status.
pub fn variables(list: &[(String, String)]) -> Vec<Row> {
    let row = |(name, value): &(String, String)| {
        Row::default().with("VARIABLE_NAME", name.as_str()).with("VARIABLE_VALUE", value.as_str())
    };
    list.iter().map(row).collect()
}

/// Warnings of the last statement.
pub fn warnings(session: &SessionView) -> Vec<Row> {
    let row = |warning: &super::WarningView| {
        Row::default()
            .with("level", warning.level)
            .with("code", i64::from(warning.code))
            .with("message", warning.message.as_str())
    };
    session.warnings.iter().map(row).collect()
}
