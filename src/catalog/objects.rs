//! What the catalog knows, as plain data that a person can read in a manifest: databases, tables, keys, users. A
//! table's columns are not here: its Delta log has them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::credentials::Credential;
use crate::storage::types::EventColumns;

/// A database: a name and its tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Database {
    pub name: String,
    #[serde(with = "rfc3339")]
    pub created_at: DateTime<Utc>,
    /// By name, case kept.
    pub tables: BTreeMap<String, Table>,
}

/// A table: where its Delta log is, and what the log does not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Unique in the catalog, never used again.
    pub id: u64,
    pub name: String,
    /// URL of the Delta table's folder, ending with '/'.
    pub location: String,
    /// Made elsewhere and named with LOCATION: DROP TABLE leaves its files.
    pub external: bool,
    /// The key columns of an event table; None for a plain table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventColumns>,
    /// Kept for SHOW CREATE TABLE and metadata, not enforced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    #[serde(with = "rfc3339")]
    pub created_at: DateTime<Utc>,
}

/// A KEY, UNIQUE or PRIMARY KEY clause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub kind: KeyKind,
    /// `PRIMARY` for the primary key. Empty in a new table: the catalog names it after its first column, as MySQL does.
    pub name: String,
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    Primary,
    Unique,
    Index,
}

/// An account: who may sign in from where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    /// A host name or address, `%` and `_` as in LIKE; `localhost` is this machine by any of its loopback addresses.
    pub host: String,
    pub credential: Credential,
}

impl User {
    /// Whether the account is one a client from `host` (address, or `localhost`) may sign in to. Without a password
    /// that is only a client on this machine.
    pub fn admits(&self, host: &str) -> bool {
        let local = is_loopback(host);
        if self.credential == Credential::None && !local {
            return false;
        }
        (local && self.host.eq_ignore_ascii_case("localhost")) || like(&self.host, host)
    }

    /// Whether `host` names one host rather than a pattern.
    pub fn is_exact(&self) -> bool {
        !self.host.contains(['%', '_'])
    }
}

impl fmt::Display for User {
    /// `'name'@'host'`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'@'{}'", self.name, self.host)
    }
}

/// This machine: `localhost`, 127.0.0.0/8, ::1 and 127.0.0.0/8 written as IPv6.
fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// MySQL's LIKE for host names: `%` any run, `_` one character, case ignored. Greedy with one step back, so its time is
/// bounded by the product of the lengths.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut restart: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'%') => {
                restart = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'_' || c.eq_ignore_ascii_case(&text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match restart {
                Some((percent, from)) => {
                    restart = Some((percent, from + 1));
                    p = percent + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'%')
}

/// Times as RFC 3339 text with microseconds.
pub(super) mod rfc3339 {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let text = String::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text)
            .map(|time| time.with_timezone(&Utc))
            .map_err(|error| D::Error::custom(format!("time '{text}': {error}")))
    }
}
