//! The manifest: every object of the catalog at one version, how a name finds its object, and the edits that statements
//! make. Pure data; `manifests` reads and writes the files.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::credentials::Credential;
use super::objects::{Database, Table, User, rfc3339};
use crate::error::{Error, Kind, Result};

/// The layout of the JSON; a build refuses a manifest of another one.
pub const FORMAT: u32 = 1;
/// Names of databases, tables, columns and keys, in characters (MySQL's limit).
pub const NAME_CHARACTERS_MAX: usize = 64;
/// Databases that are not in the manifest and cannot be made.
const SYSTEM_DATABASES: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// Every object at one version. Versions count from 1 and are never used twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub version: u64,
    /// Names the write: a writer that never heard back finds out whether it was his.
    pub change_id: Uuid,
    #[serde(with = "rfc3339")]
    pub written_at: DateTime<Utc>,
    /// Id of the next table.
    pub next_id: u64,
    /// By name, case kept.
    pub databases: BTreeMap<String, Database>,
    pub users: Vec<User>,
}

impl Manifest {
    /// The first manifest of a new data folder: no database, and `root` without a password, who may come from this
    /// machine only until he has one.
    pub fn first() -> Manifest {
        Manifest {
            format: FORMAT,
            version: 1,
            change_id: Uuid::new_v4(),
            written_at: Utc::now(),
            next_id: 1,
            databases: BTreeMap::new(),
            users: vec![User { name: "root".into(), host: "%".into(), credential: Credential::None }],
        }
    }

    /// The database of that name: exact case first, else whatever case.
    ///
    /// # Errors
    /// `UnknownDatabase` (1049).
    pub fn database(&self, name: &str) -> Result<&Database> {
        find(&self.databases, name).ok_or_else(|| unknown_database(name))
    }

    /// As [`database`](Self::database), to change it.
    pub fn database_mut(&mut self, name: &str) -> Result<&mut Database> {
        let key = find(&self.databases, name).map(|database| database.name.clone());
        key.and_then(|key| self.databases.get_mut(&key)).ok_or_else(|| unknown_database(name))
    }

    /// The table of that name: exact case first, else whatever case.
    ///
    /// # Errors
    /// `UnknownDatabase` (1049), `NoSuchTable` (1146).
    pub fn table(&self, database: &str, name: &str) -> Result<&Table> {
        find(&self.database(database)?.tables, name).ok_or_else(|| no_such_table(database, name))
    }

    /// Adds an empty database.
    ///
    /// # Errors
    /// `DatabaseExists` (1007), `WrongDatabaseName` (1102), `NameTooLong` (1059), `DatabaseAccessDenied` (1044) for a
    /// system database's name.
    pub fn create_database(&mut self, name: &str) -> Result<()> {
        check_name(name, Kind::WrongDatabaseName, "database")?;
        if SYSTEM_DATABASES.iter().any(|system| system.eq_ignore_ascii_case(name)) {
            return Err(Error::new(Kind::DatabaseAccessDenied, format!("Access denied to system database '{name}'")));
        }
        if self.databases.contains_key(name) {
            let message = format!("Can't create database '{name}'; database exists");
            return Err(Error::new(Kind::DatabaseExists, message));
        }
        let database = Database { name: name.to_owned(), created_at: Utc::now(), tables: BTreeMap::new() };
        self.databases.insert(name.to_owned(), database);
        Ok(())
    }

    /// Takes a database out with its tables, and returns it.
    ///
    /// # Errors
    /// `CannotDropDatabase` (1008), `DatabaseAccessDenied` (1044) for a system database.
    pub fn drop_database(&mut self, name: &str) -> Result<Database> {
        if SYSTEM_DATABASES.iter().any(|system| system.eq_ignore_ascii_case(name)) {
            return Err(Error::new(Kind::DatabaseAccessDenied, format!("Access denied to system database '{name}'")));
        }
        let key = find(&self.databases, name).map(|database| database.name.clone());
        key.and_then(|key| self.databases.remove(&key)).ok_or_else(|| {
            let message = format!("Can't drop database '{name}'; database doesn't exist");
            Error::new(Kind::CannotDropDatabase, message)
        })
    }

    /// Adds a table and gives it its id.
    ///
    /// # Errors
    /// `UnknownDatabase` (1049), `TableExists` (1050).
    pub fn add_table(&mut self, database: &str, mut table: Table) -> Result<u64> {
        let id = self.next_id;
        let database = self.database_mut(database)?;
        if database.tables.contains_key(&table.name) {
            return Err(table_exists(&table.name));
        }
        table.id = id;
        database.tables.insert(table.name.clone(), table);
        self.next_id += 1;
        Ok(id)
    }

    /// Takes a table out and returns it; None when there is none.
    pub fn remove_table(&mut self, database: &str, name: &str) -> Option<Table> {
        let database = self.database_mut(database).ok()?;
        let key = find(&database.tables, name)?.name.clone();
        database.tables.remove(&key)
    }

    /// The account a client from `host` signs in to as `name`: the one with the narrowest host. User names have case.
    pub fn user(&self, name: &str, host: &str) -> Option<&User> {
        self.users
            .iter()
            .filter(|user| user.name == name && user.admits(host))
            // MySQL's order: whole host names before patterns, then the pattern with more to match.
            .max_by_key(|user| (user.is_exact(), user.host.trim_end_matches('%').len()))
    }

    /// Accounts without a password: while there is one, the server listens on loopback only.
    pub fn users_without_password(&self) -> impl Iterator<Item = &User> {
        self.users.iter().filter(|user| user.credential == Credential::None)
    }

    /// Adds an account.
    ///
    /// # Errors
    /// `CannotUser` (1396) when it is there, `NameTooLong` for a name over 32 or a host over 255 characters.
    pub fn create_user(&mut self, user: User) -> Result<()> {
        if user.name.chars().count() > 32 || user.host.chars().count() > 255 {
            return Err(Error::new(Kind::NameTooLong, format!("User name {user} is too long")));
        }
        if self.position(&user.name, &user.host).is_some() {
            return Err(cannot("CREATE USER", &user.name, &user.host));
        }
        self.users.push(user);
        Ok(())
    }

    /// Changes an account's password.
    ///
    /// # Errors
    /// `CannotUser` (1396) when there is no such account.
    pub fn alter_user(&mut self, name: &str, host: &str, credential: Credential) -> Result<()> {
        let at = self.position(name, host).ok_or_else(|| cannot("ALTER USER", name, host))?;
        self.users[at].credential = credential;
        Ok(())
    }

    /// Takes an account out.
    ///
    /// # Errors
    /// `CannotUser` (1396) when there is no such account, or it is the last one: nobody could sign in any more.
    pub fn drop_user(&mut self, name: &str, host: &str) -> Result<()> {
        let at = self.position(name, host).ok_or_else(|| cannot("DROP USER", name, host))?;
        if self.users.len() == 1 {
            let message = format!("Operation DROP USER failed for '{name}'@'{host}': it is the last account");
            return Err(Error::new(Kind::CannotUser, message));
        }
        self.users.remove(at);
        Ok(())
    }

    fn position(&self, name: &str, host: &str) -> Option<usize> {
        self.users.iter().position(|user| user.name == name && user.host.eq_ignore_ascii_case(host))
    }
}

/// Rejects names MySQL rejects: empty, over 64 characters, ending with a space, with control characters.
///
/// # Errors
/// `kind` for a wrong name, `NameTooLong` (1059) for a long one.
pub fn check_name(name: &str, kind: Kind, what: &str) -> Result<()> {
    if name.chars().count() > NAME_CHARACTERS_MAX {
        return Err(Error::new(Kind::NameTooLong, format!("Identifier name '{name}' is too long")));
    }
    if name.is_empty() || name.ends_with(' ') || name.chars().any(char::is_control) {
        return Err(Error::new(kind, format!("Incorrect {what} name '{name}'")));
    }
    Ok(())
}

/// 1146, in MySQL's words.
pub fn no_such_table(database: &str, table: &str) -> Error {
    Error::new(Kind::NoSuchTable, format!("Table '{database}.{table}' doesn't exist"))
}

/// 1050, in MySQL's words.
pub fn table_exists(table: &str) -> Error {
    Error::new(Kind::TableExists, format!("Table '{table}' already exists"))
}

fn unknown_database(name: &str) -> Error {
    Error::new(Kind::UnknownDatabase, format!("Unknown database '{name}'"))
}

fn cannot(operation: &str, name: &str, host: &str) -> Error {
    Error::new(Kind::CannotUser, format!("Operation {operation} failed for '{name}'@'{host}'"))
}

fn find<'m, T>(objects: &'m BTreeMap<String, T>, name: &str) -> Option<&'m T> {
    let other_case = || objects.iter().find(|(key, _)| key.to_lowercase() == name.to_lowercase());
    objects.get(name).or_else(|| other_case().map(|(_, object)| object))
}
