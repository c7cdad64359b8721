//! Every setting, its default and its limit, in one list; `desirepath.toml`, then `DESIREPATH_*`, then flags.
//!
//! A setting is one row of [`SETTINGS`]: `desirepath config` prints the rows with their values and sources, SHOW
//! VARIABLES shows them, and a test holds the README's table against them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

/// The version this build calls itself; MySQL clients see it behind `8.0.36-desirepath-`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What MySQL clients see as the server version (clients branch on it: 8.0 has the metadata they ask for).
pub const MYSQL_VERSION: &str = concat!("8.0.36-desirepath-", env!("CARGO_PKG_VERSION"));
/// File read when `--config` is not given and it exists.
pub const DEFAULT_FILE: &str = "desirepath.toml";
/// Prefix of environment variables: `DESIREPATH_MYSQL=127.0.0.1:3310`.
pub const ENVIRONMENT_PREFIX: &str = "DESIREPATH_";

/// Rows a memory batch holds on its way through the engine.
pub const BATCH_ROWS: usize = 8192;
/// Stack of a thread: syntax trees and plans are walked recursively, to the depths that `dialect` allows.
pub const STACK_BYTES: usize = 8 << 20;
/// Conditions an analysis function takes; more do not fit its bit mask.
pub const CONDITIONS_MAX: usize = 64;
/// Warnings one statement keeps (MySQL's max_error_count).
pub const WARNINGS_MAX: usize = 1024;
/// Tries to commit a change of the catalog or a table that lost a race.
pub const COMMIT_TRIES_MAX: usize = 20;
/// Manifests kept besides the current one.
pub const MANIFESTS_KEPT: u64 = 100;
/// Accounts whose caching_sha2_password digest is remembered.
pub const SHA2_CACHE_ENTRIES_MAX: usize = 10_000;
/// Files one `read_parquet('…*')` may name.
pub const SOURCE_FILES_MAX: usize = 100_000;

/// The settings of one engine. Field names are the setting names; [`SETTINGS`] says what each means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub data: String,
    pub mysql: SocketAddr,
    pub http: SocketAddr,
    pub max_connections: usize,
    pub max_allowed_packet_bytes: usize,
    pub max_prepared_statements: usize,
    pub connect_timeout_seconds: u64,
    pub wait_timeout_seconds: u64,
    pub net_write_timeout_seconds: u64,
    pub max_execution_time_ms: u64,
    pub shutdown_grace_seconds: u64,
    pub memory_limit_bytes: usize,
    pub spill_limit_bytes: u64,
    pub spill_dir: String,
    pub threads: usize,
    pub footer_cache_bytes: usize,
    pub target_file_bytes: u64,
    pub row_group_rows: usize,
    pub vacuum_retention_hours: u64,
    pub allow_path: Vec<String>,
    pub tls_certificate: String,
    pub tls_key: String,
    pub s3_endpoint: String,
    pub s3_region: String,
    pub s3_access_key_id: String,
    #[serde(serialize_with = "hidden")]
    pub s3_secret_access_key: String,
    pub s3_allow_http: bool,
    pub log_level: String,
    pub log_format: LogFormat,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Every setting with its meaning, in the order `desirepath config` prints them.
pub const SETTINGS: &[(&str, &str)] = &[
    ("data", "folder or URL (s3://, gs://, az://, memory://) that holds catalog and tables"),
    ("mysql", "address the MySQL protocol listens on"),
    ("http", "address HTTP listens on"),
    ("max_connections", "MySQL connections at one time; one more is refused with 1040"),
    ("max_allowed_packet_bytes", "largest packet (statement, parameter) a client may send"),
    ("max_prepared_statements", "prepared statements one connection may hold"),
    ("connect_timeout_seconds", "time a client has to sign in"),
    ("wait_timeout_seconds", "idle time after which a connection is closed"),
    ("net_write_timeout_seconds", "time a client may leave its results unread"),
    ("max_execution_time_ms", "time one SELECT may take, 0 for no limit; sessions may set their own"),
    ("shutdown_grace_seconds", "time running statements have after SIGTERM"),
    ("memory_limit_bytes", "memory all queries together may use before they spill or are refused"),
    ("spill_limit_bytes", "disk all queries together may spill to"),
    ("spill_dir", "folder queries spill to; empty for the system's temporary folder"),
    ("threads", "processor cores used; parts a scan is split into"),
    ("footer_cache_bytes", "memory for Parquet footers"),
    ("target_file_bytes", "size at which a data file is closed and the next begun"),
    ("row_group_rows", "rows of one Parquet row group"),
    (
        "vacuum_retention_hours",
        "age at which OPTIMIZE TABLE deletes files that no version needs; longer than any query",
    ),
    ("allow_path", "folders or URL prefixes that read_parquet, read_csv, read_json and LOCATION may read"),
    ("tls_certificate", "PEM file; empty for a self-made certificate"),
    ("tls_key", "PEM file of the certificate's key"),
    ("s3_endpoint", "S3 endpoint URL; empty for AWS_ENDPOINT_URL or Amazon's own"),
    ("s3_region", "S3 region; empty for AWS_REGION"),
    ("s3_access_key_id", "S3 key; empty for AWS_ACCESS_KEY_ID"),
    ("s3_secret_access_key", "S3 secret; empty for AWS_SECRET_ACCESS_KEY"),
    ("s3_allow_http", "allow an S3 endpoint without TLS"),
    ("log_level", "error, warn, info, debug, trace, or a tracing filter"),
    ("log_format", "text or json"),
];

impl Default for Settings {
    fn default() -> Self {
        Settings {
            data: "./data".into(),
            mysql: SocketAddr::from(([127, 0, 0, 1], 3307)),
            http: SocketAddr::from(([127, 0, 0, 1], 8307)),
            max_connections: 1000,
            max_allowed_packet_bytes: 64 << 20,
            max_prepared_statements: 16_382,
            connect_timeout_seconds: 10,
            wait_timeout_seconds: 28_800,
            net_write_timeout_seconds: 60,
            max_execution_time_ms: 0,
            shutdown_grace_seconds: 5,
            memory_limit_bytes: 4 << 30,
            spill_limit_bytes: 100 << 30,
            spill_dir: String::new(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            footer_cache_bytes: 128 << 20,
            target_file_bytes: 256 << 20,
            row_group_rows: 131_072,
            vacuum_retention_hours: 168,
            allow_path: Vec::new(),
            tls_certificate: String::new(),
            tls_key: String::new(),
            s3_endpoint: String::new(),
            s3_region: String::new(),
            s3_access_key_id: String::new(),
            s3_secret_access_key: String::new(),
            s3_allow_http: false,
            log_level: "info".into(),
            log_format: LogFormat::Text,
        }
    }
}

fn hidden<S: serde::Serializer>(value: &str, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(if value.is_empty() { "" } else { "<hidden>" })
}

/// Settings and where each value came from (`default`, a file's path, an environment variable, `command line`).
#[derive(Debug, Clone)]
pub struct Loaded {
    pub settings: Settings,
    pub sources: BTreeMap<String, String>,
}

/// Reads the settings file (`file`, or [`DEFAULT_FILE`] if it exists), the environment and the flags, later ones first.
///
/// # Errors
/// `Configuration` naming the file or variable, the setting and the value.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: Vec<(&'static str, toml::Value)>,
) -> Result<Loaded> {
    let mut layers: Vec<(String, toml::Table)> = Vec::new();
    if let Some((path, table)) = read_file(file)? {
        layers.push((path, table));
    }
    for (name, text) in environment {
        let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        let key = key.to_ascii_lowercase();
        let value = parse_text(&key, &text)
            .ok_or_else(|| configuration(&format!("environment variable {name}"), "no such setting"))?;
        layers.push((format!("environment variable {name}"), toml::Table::from_iter([(key, value)])));
    }
    for (key, value) in flags {
        layers.push(("command line".into(), toml::Table::from_iter([(key.to_owned(), value)])));
    }

    let mut merged = defaults();
    let mut sources = BTreeMap::from_iter(merged.keys().map(|key| (key.clone(), "default".to_owned())));
    for (source, table) in layers {
        for (key, value) in table {
            let mut trial = merged.clone();
            trial.insert(key.clone(), value);
            // Deserialised at each step, so that the message names the layer that is wrong.
            let _: Settings = trial.clone().try_into().map_err(|error: toml::de::Error| {
                configuration(&format!("{source}: {key} = {}", trial[&key]), error.message())
            })?;
            merged = trial;
            sources.insert(key, source.clone());
        }
    }
    let settings: Settings =
        merged.try_into().map_err(|error: toml::de::Error| configuration("settings", error.message()))?;
    settings.check()?;
    Ok(Loaded { settings, sources })
}

fn read_file(file: Option<&Path>) -> Result<Option<(String, toml::Table)>> {
    let path = match file {
        Some(path) => path.to_owned(),
        None if Path::new(DEFAULT_FILE).exists() => PathBuf::from(DEFAULT_FILE),
        None => return Ok(None),
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| configuration(&name, &error.to_string()))?;
    let table = text.parse::<toml::Table>().map_err(|error| configuration(&name, error.message()))?;
    Ok(Some((name, table)))
}

fn configuration(place: &str, what: &str) -> Error {
    Error::new(Kind::Configuration, format!("{place}: {what}; `desirepath config` lists the settings"))
}

/// The defaults as a table; the secret has no default, so hiding it loses nothing.
fn defaults() -> toml::Table {
    toml::Table::try_from(Settings::default()).expect("settings are plain values")
}

/// An environment variable's text in the type of the setting's default; None for an unknown setting.
fn parse_text(key: &str, text: &str) -> Option<toml::Value> {
    let value = match defaults().get(key)? {
        toml::Value::Integer(_) => text.parse().map(toml::Value::Integer).unwrap_or(toml::Value::String(text.into())),
        toml::Value::Boolean(_) => match text {
            "1" | "true" | "on" => toml::Value::Boolean(true),
            "0" | "false" | "off" => toml::Value::Boolean(false),
            _ => toml::Value::String(text.into()),
        },
        toml::Value::Array(_) => {
            toml::Value::Array(text.split(',').filter(|part| !part.is_empty()).map(toml::Value::from).collect())
        }
        _ => toml::Value::String(text.into()),
    };
    Some(value)
}

impl Settings {
    /// Rejects values that cannot work, naming the setting.
    fn check(&self) -> Result<()> {
        let at_least = |name: &str, value: u64, least: u64| match value < least {
            true => Err(configuration(name, &format!("{value} is too small, the least is {least}"))),
            false => Ok(()),
        };
        at_least("max_connections", self.max_connections as u64, 1)?;
        at_least("max_allowed_packet_bytes", self.max_allowed_packet_bytes as u64, 1024)?;
        at_least("connect_timeout_seconds", self.connect_timeout_seconds, 1)?;
        at_least("wait_timeout_seconds", self.wait_timeout_seconds, 1)?;
        at_least("net_write_timeout_seconds", self.net_write_timeout_seconds, 1)?;
        at_least("memory_limit_bytes", self.memory_limit_bytes as u64, 64 << 20)?;
        at_least("threads", self.threads as u64, 1)?;
        at_least("target_file_bytes", self.target_file_bytes, 1 << 20)?;
        at_least("vacuum_retention_hours", self.vacuum_retention_hours, 1)?;
        at_least("row_group_rows", self.row_group_rows as u64, 1024)?;
        if self.tls_certificate.is_empty() != self.tls_key.is_empty() {
            return Err(configuration("tls_certificate", "tls_certificate and tls_key go together"));
        }
        Ok(())
    }

    /// Every setting as TOML writes it, in the order of [`SETTINGS`], secrets hidden: a settings file.
    pub fn toml(&self) -> Vec<(&'static str, String)> {
        let table = toml::Table::try_from(self).expect("settings are plain values");
        SETTINGS
            .iter()
            .map(|(name, _)| (*name, table.get(*name).map(toml::Value::to_string).unwrap_or_default()))
            .collect()
    }

    /// Every setting as text, in the order of [`SETTINGS`], secrets hidden.
    pub fn list(&self) -> Vec<(&'static str, String)> {
        let table = toml::Table::try_from(self).expect("settings are plain values");
        let text = |name: &str| match table.get(name) {
            Some(toml::Value::String(text)) => text.clone(),
            Some(toml::Value::Array(parts)) => {
                parts.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(",")
            }
            Some(value) => value.to_string(),
            None => String::new(),
        };
        SETTINGS.iter().map(|(name, _)| (*name, text(name))).collect()
    }
}
