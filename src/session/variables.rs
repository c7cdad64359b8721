//! System variables: one table of names, types, defaults and who may set them. An unknown name is error 1193, never a
//! made-up value. Variables without an effect here are remembered and shown, as drivers set and read them.

use std::collections::HashMap;

use chrono_tz::Tz;
use datafusion::scalar::ScalarValue;

use crate::config::{MYSQL_VERSION, Settings};
use crate::error::{Error, Kind, Result};

/// What values a variable takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    /// Shown as ON and OFF, read as 1 and 0.
    Switch,
    Integer {
        least: u64,
        most: u64,
    },
    Text,
    /// One of these words; a number is the word's position.
    Word(&'static [&'static str]),
    /// A comma list of words.
    Modes,
    TimeZone,
    CharacterSet,
    Collation,
    ReadOnly,
    ReadOnlyInteger,
}

/// One system variable.
struct Definition {
    name: &'static str,
    kind: Type,
    default: &'static str,
}

const ANY: Type = Type::Integer { least: 0, most: u64::MAX };
const SECONDS: Type = Type::Integer { least: 1, most: 31_536_000 };
const ISOLATION: Type = Type::Word(&["READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE"]);

/// What no client needs to limit its results, MySQL's default of sql_select_limit.
const NO_LIMIT: &str = "18446744073709551615";

const fn define(name: &'static str, kind: Type, default: &'static str) -> Definition {
    Definition { name, kind, default }
}

/// Every system variable besides the server's own settings, by name.
const DEFINITIONS: &[Definition] = &[
    define("auto_increment_increment", ANY, "1"),
    define("auto_increment_offset", ANY, "1"),
    define("autocommit", Type::Switch, "ON"),
    define("big_tables", Type::Switch, "OFF"),
    define("character_set_client", Type::CharacterSet, "utf8mb4"),
    define("character_set_connection", Type::CharacterSet, "utf8mb4"),
    define("character_set_database", Type::CharacterSet, "utf8mb4"),
    define("character_set_filesystem", Type::CharacterSet, "binary"),
    define("character_set_results", Type::CharacterSet, "utf8mb4"),
    define("character_set_server", Type::CharacterSet, "utf8mb4"),
    define("character_set_system", Type::ReadOnly, "utf8mb3"),
    define("collation_connection", Type::Collation, "utf8mb4_bin"),
    define("collation_database", Type::Collation, "utf8mb4_bin"),
    define("collation_server", Type::Collation, "utf8mb4_bin"),
    define("default_storage_engine", Type::Text, "InnoDB"),
    define("div_precision_increment", Type::Integer { least: 4, most: 4 }, "4"),
    define("foreign_key_checks", Type::Switch, "ON"),
    define("group_concat_max_len", ANY, "1024"),
    define("have_ssl", Type::ReadOnly, "YES"),
    define("hostname", Type::ReadOnly, "desirepath"),
    define("init_connect", Type::ReadOnly, ""),
    define("innodb_lock_wait_timeout", ANY, "50"),
    define("interactive_timeout", SECONDS, "28800"),
    define("license", Type::ReadOnly, "Apache-2.0"),
    define("local_infile", Type::ReadOnly, "OFF"),
    define("lock_wait_timeout", SECONDS, "31536000"),
    define("lower_case_table_names", Type::ReadOnlyInteger, "0"),
    define("max_execution_time", ANY, "0"),
    define("max_join_size", ANY, NO_LIMIT),
    define("net_buffer_length", ANY, "16384"),
    define("net_read_timeout", SECONDS, "30"),
    define("net_write_timeout", SECONDS, "60"),
    define("optimizer_switch", Type::Text, ""),
    define("performance_schema", Type::ReadOnly, "OFF"),
    define("protocol_version", Type::ReadOnlyInteger, "10"),
    define("session_track_gtids", Type::Text, "OFF"),
    define("session_track_schema", Type::Switch, "ON"),
    define("session_track_state_change", Type::Switch, "OFF"),
    define("session_track_system_variables", Type::Text, "time_zone,autocommit"),
    define("socket", Type::ReadOnly, ""),
    define("sql_auto_is_null", Type::Switch, "OFF"),
    define(
        "sql_mode",
        Type::Modes,
        "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,\
         NO_ENGINE_SUBSTITUTION",
    ),
    define("sql_notes", Type::Switch, "ON"),
    define("sql_quote_show_create", Type::Switch, "ON"),
    define("sql_safe_updates", Type::Switch, "OFF"),
    define("sql_select_limit", ANY, NO_LIMIT),
    define("sql_warnings", Type::Switch, "OFF"),
    define("system_time_zone", Type::ReadOnly, "UTC"),
    define("time_zone", Type::TimeZone, "SYSTEM"),
    define("transaction_isolation", ISOLATION, "REPEATABLE-READ"),
    define("transaction_read_only", Type::Switch, "OFF"),
    define("tx_isolation", ISOLATION, "REPEATABLE-READ"),
    define("tx_read_only", Type::Switch, "OFF"),
    define("unique_checks", Type::Switch, "ON"),
    define("version", Type::ReadOnly, MYSQL_VERSION),
    define("version_comment", Type::ReadOnly, "Desirepath, a SQL server for event data"),
    define("version_compile_machine", Type::ReadOnly, std::env::consts::ARCH),
    define("version_compile_os", Type::ReadOnly, std::env::consts::OS),
];

/// Character sets whose text is UTF-8 or a part of it, so that nothing needs converting.
const CHARACTER_SETS: &[&str] = &["utf8mb4", "utf8mb3", "utf8", "ascii", "binary"];
/// Collations that can be named; comparison is by code point whatever is named (see the README's limits).
const COLLATIONS: &[&str] = &[
    "utf8mb4_bin",
    "utf8mb4_0900_ai_ci",
    "utf8mb4_0900_bin",
    "utf8mb4_general_ci",
    "utf8mb4_unicode_ci",
    "utf8mb4_unicode_520_ci",
    "utf8mb3_general_ci",
    "utf8_general_ci",
    "binary",
];
const SQL_MODES: &[&str] = &[
    "ALLOW_INVALID_DATES",
    "ANSI",
    "ANSI_QUOTES",
    "ERROR_FOR_DIVISION_BY_ZERO",
    "HIGH_NOT_PRECEDENCE",
    "IGNORE_SPACE",
    "NO_AUTO_CREATE_USER",
    "NO_AUTO_VALUE_ON_ZERO",
    "NO_BACKSLASH_ESCAPES",
    "NO_DIR_IN_CREATE",
    "NO_ENGINE_SUBSTITUTION",
    "NO_UNSIGNED_SUBTRACTION",
    "NO_ZERO_DATE",
    "NO_ZERO_IN_DATE",
    "ONLY_FULL_GROUP_BY",
    "PAD_CHAR_TO_FULL_LENGTH",
    "PIPES_AS_CONCAT",
    "REAL_AS_FLOAT",
    "STRICT_ALL_TABLES",
    "STRICT_TRANS_TABLES",
    "TIME_TRUNCATE_FRACTIONAL",
    "TRADITIONAL",
];

/// One session's variables: the defaults, and what SET has changed.
#[derive(Debug, Clone)]
pub struct Variables {
    changed: HashMap<&'static str, String>,
    /// What `changed` was when the session began: the server's settings.
    initial: HashMap<&'static str, String>,
    /// Server settings, by their own names and by MySQL's.
    settings: Vec<(&'static str, String)>,
    time_zone: Tz,
}

impl Variables {
    /// The variables of a new session.
    pub fn new(settings: &Settings) -> Variables {
        let mut listed = settings.list();
        listed.extend([
            ("max_allowed_packet", settings.max_allowed_packet_bytes.to_string()),
            ("max_connections", settings.max_connections.to_string()),
            ("max_prepared_stmt_count", settings.max_prepared_statements.to_string()),
            ("port", settings.mysql.port().to_string()),
            ("datadir", settings.data.clone()),
        ]);
        listed.sort();
        listed.dedup_by(|a, b| a.0 == b.0);
        let changed = HashMap::from([
            ("max_execution_time", settings.max_execution_time_ms.to_string()),
            ("wait_timeout", settings.wait_timeout_seconds.to_string()),
        ]);
        Variables { initial: changed.clone(), changed, settings: listed, time_zone: Tz::UTC }
    }

    /// Every variable with its value as SHOW VARIABLES prints it, by name.
    pub fn list(&self) -> Vec<(String, String)> {
        let own = DEFINITIONS.iter().map(|definition| (definition.name.to_owned(), self.text(definition).to_owned()));
        let settings = self.settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let wait = ("wait_timeout".to_owned(), self.changed.get("wait_timeout").cloned().unwrap_or_default());
        let mut all: Vec<_> = own.chain(settings).chain([wait]).collect();
        all.sort();
        all
    }

    /// The value of `@@name`, typed: switches and numbers are integers.
    ///
    /// # Errors
    /// 1193 for a name that is none.
    pub fn get(&self, name: &str) -> Result<ScalarValue> {
        if name == "wait_timeout" {
            return Ok(number(&self.changed["wait_timeout"]));
        }
        if let Some(definition) = find(name) {
            let text = self.text(definition);
            return Ok(match definition.kind {
                Type::Switch => ScalarValue::Int64(Some(i64::from(text == "ON"))),
                Type::Integer { .. } | Type::ReadOnlyInteger => number(text),
                Type::CharacterSet if text == "NULL" => ScalarValue::Utf8(None),
                _ => ScalarValue::Utf8(Some(text.to_owned())),
            });
        }
        match self.settings.iter().find(|(setting, _)| *setting == name) {
            Some((_, value)) if value.parse::<u64>().is_ok() => Ok(number(value)),
            Some((_, value)) => Ok(ScalarValue::Utf8(Some(value.clone()))),
            None => Err(unknown(name)),
        }
    }

    /// SET name = value; NULL and DEFAULT are said by the caller as None.
    ///
    /// # Errors
    /// 1193 unknown, 1238 read only, 1231 a value the variable does not take, 1115, 1273, 1298.
    pub fn set(&mut self, name: &str, value: &ScalarValue) -> Result<()> {
        if name == "wait_timeout" {
            let text = checked_integer(name, value, 1, 31_536_000)?;
            self.changed.insert("wait_timeout", text);
            return Ok(());
        }
        let Some(definition) = find(name) else {
            return Err(match self.settings.iter().any(|(setting, _)| *setting == name) {
                true => read_only(name),
                false => unknown(name),
            });
        };
        let text = checked(definition, value)?;
        if definition.name == "time_zone" {
            self.time_zone = zone(&text)?;
        }
        // The old and the new name are one variable.
        for (one, other) in [("tx_isolation", "transaction_isolation"), ("tx_read_only", "transaction_read_only")] {
            if definition.name == one || definition.name == other {
                self.changed.insert(one, text.clone());
                self.changed.insert(other, text.clone());
            }
        }
        self.changed.insert(definition.name, text);
        Ok(())
    }

    /// SET name = DEFAULT.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn reset(&mut self, name: &str) -> Result<()> {
        let text = match (self.initial.get(name), find(name)) {
            (Some(initial), _) => initial.clone(),
            (None, Some(definition)) => definition.default.to_owned(),
            (None, None) => return self.set(name, &ScalarValue::Null),
        };
        let value = match number(&text) {
            integer if find(name).is_none_or(|found| matches!(found.kind, Type::Integer { .. })) => integer,
            _ => ScalarValue::Utf8(Some(text)),
        };
        self.set(name, &value)
    }

    pub fn autocommit(&self) -> bool {
        self.is_on("autocommit")
    }

    pub fn time_zone(&self) -> Tz {
        self.time_zone
    }

    pub fn sql_mode_has(&self, mode: &str) -> bool {
        let modes = self.text_of("sql_mode");
        modes
            .split(',')
            .any(|part| part == mode || (part == "ANSI" && matches!(mode, "ANSI_QUOTES" | "PIPES_AS_CONCAT")))
    }

    /// Milliseconds a SELECT may take, 0 for no limit.
    pub fn max_execution_time_ms(&self) -> u64 {
        self.text_of("max_execution_time").parse().unwrap_or(0)
    }

    /// Seconds a connection may be idle.
    pub fn wait_timeout_seconds(&self) -> u64 {
        self.changed["wait_timeout"].parse().unwrap_or(u64::MAX)
    }

    /// Rows a SELECT may return; None for no limit.
    pub fn sql_select_limit(&self) -> Option<usize> {
        let text = self.text_of("sql_select_limit");
        text.parse().ok().filter(|_| text != NO_LIMIT)
    }

    fn is_on(&self, name: &str) -> bool {
        self.text_of(name) == "ON"
    }

    fn text_of(&self, name: &str) -> &str {
        find(name).map_or("", |definition| self.text(definition))
    }

    fn text(&self, definition: &Definition) -> &str {
        self.changed.get(definition.name).map_or(definition.default, String::as_str)
    }
}

fn find(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.binary_search_by(|definition| definition.name.cmp(name)).ok().map(|at| &DEFINITIONS[at])
}

fn number(text: &str) -> ScalarValue {
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(value), _) => ScalarValue::Int64(Some(value)),
        (_, Ok(value)) => ScalarValue::UInt64(Some(value)),
        _ => ScalarValue::Utf8(Some(text.to_owned())),
    }
}

fn unknown(name: &str) -> Error {
    Error::new(Kind::UnknownVariable, format!("Unknown system variable '{name}'"))
}

fn read_only(name: &str) -> Error {
    Error::new(Kind::ReadOnlyVariable, format!("Variable '{name}' is a read only variable"))
}

fn wrong_value(name: &str, value: &str) -> Error {
    Error::new(Kind::WrongVariableValue, format!("Variable '{name}' can't be set to the value of '{value}'"))
}

fn text_of(value: &ScalarValue) -> String {
    match value.try_as_str() {
        Some(Some(text)) => text.to_owned(),
        _ if value.is_null() => "NULL".to_owned(),
        _ => value.to_string(),
    }
}

/// The value as the variable keeps it.
fn checked(definition: &Definition, value: &ScalarValue) -> Result<String> {
    let (name, text) = (definition.name, text_of(value));
    let lower = text.to_lowercase();
    match definition.kind {
        Type::ReadOnly | Type::ReadOnlyInteger => Err(read_only(name)),
        Type::Switch => match lower.as_str() {
            "1" | "on" | "true" => Ok("ON".into()),
            "0" | "off" | "false" => Ok("OFF".into()),
            _ => Err(wrong_value(name, &text)),
        },
        Type::Integer { least, most } => checked_integer(name, value, least, most),
        Type::Text => Ok(text),
        Type::Word(words) => {
            let upper = text.to_uppercase();
            let by_number = text.parse::<usize>().ok().and_then(|at| words.get(at));
            let word = words.iter().find(|word| **word == upper).or(by_number);
            word.map(|word| (*word).to_owned()).ok_or_else(|| wrong_value(name, &text))
        }
        Type::Modes => {
            let upper = text.to_uppercase();
            let modes: Vec<&str> = upper.split(',').map(str::trim).filter(|mode| !mode.is_empty()).collect();
            match modes.iter().find(|mode| !SQL_MODES.contains(mode)) {
                Some(mode) => Err(wrong_value(name, mode)),
                None => Ok(modes.join(",")),
            }
        }
        Type::TimeZone => zone(&text).map(|_| text),
        Type::CharacterSet if text == "NULL" && name == "character_set_results" => Ok(text),
        Type::CharacterSet if CHARACTER_SETS.contains(&lower.as_str()) || lower == "latin1" => Ok(lower),
        Type::CharacterSet => Err(Error::new(Kind::UnknownCharacterSet, format!("Unknown character set: '{text}'"))),
        Type::Collation if COLLATIONS.contains(&lower.as_str()) => Ok(lower),
        Type::Collation => Err(Error::new(Kind::UnknownCollation, format!("Unknown collation: '{text}'"))),
    }
}

fn checked_integer(name: &str, value: &ScalarValue, least: u64, most: u64) -> Result<String> {
    let text = text_of(value);
    let wrong_type = || Error::new(Kind::WrongVariableType, format!("Incorrect argument type to variable '{name}'"));
    if value.try_as_str().is_some() && text != NO_LIMIT {
        return Err(wrong_type());
    }
    // Out of bounds is cut to the bound, as MySQL does (with a warning there).
    match text.parse::<i128>() {
        Ok(number) => Ok(number.clamp(i128::from(least), i128::from(most)).to_string()),
        Err(_) => Err(wrong_type()),
    }
}

/// `SYSTEM`, an IANA name, or an offset in whole hours (`+05:00`), which has a name too.
fn zone(text: &str) -> Result<Tz> {
    if text.eq_ignore_ascii_case("SYSTEM") || matches!(text, "+00:00" | "-00:00") {
        return Ok(Tz::UTC);
    }
    let unknown = || Error::new(Kind::UnknownTimeZone, format!("Unknown or incorrect time zone: '{text}'"));
    if let Some((hours, minutes)) = text.split_once(':')
        && text.starts_with(['+', '-'])
    {
        let hours: i32 = hours.parse().map_err(|_| unknown())?;
        return match (minutes, hours) {
            // The names count west of Greenwich.
            ("00", -12..=14) => format!("Etc/GMT{:+}", -hours).parse().map_err(|_| unknown()),
            _ => Err(Error::unsupported(format!("time_zone '{text}': use the zone's name for parts of an hour"))),
        };
    }
    text.parse().map_err(|_| unknown())
}
