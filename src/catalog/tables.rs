//! Creating, opening and dropping tables: the order of storage and manifest that leaves nothing half-made visible after
//! a crash. A new table's Delta log is written first and named second; a dropped one is forgotten first and deleted
//! second. What a crash can leave is a folder that no name leads to.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use chrono::Utc;
use url::Url;
use uuid::Uuid;

use super::manifest::{Manifest, check_name, table_exists};
use super::objects::{Key, KeyKind, Table};
use super::{Catalog, TABLES_FOLDER, join};
use crate::error::{Error, Kind, Result};
use crate::storage::delta;
use crate::storage::types::{Column, ColumnType, DAY_COLUMN, EventColumns, TableSchema};

/// Columns of one table (MySQL's limit).
const COLUMNS_MAX: usize = 4096;
/// Tables kept open; beyond that all are closed, and open again at their next use.
const OPENED_MAX: usize = 10_000;

/// What CREATE TABLE asks for.
#[derive(Debug, Clone)]
pub struct NewTable {
    pub name: String,
    /// May be empty with a location: the table there has them; if they are given they must be the same.
    pub columns: Vec<Column>,
    pub event: EventOptions,
    /// A Delta table made elsewhere (checked against the allowed paths by the caller); None for a new one of ours.
    pub location: Option<Url>,
    pub keys: Vec<Key>,
    pub comment: String,
}

/// The table options USER_COLUMN, TIME_COLUMN and EVENT_COLUMN. With none of them a table is an event table if it has
/// all the columns the defaults name, with types that fit; with one of them it is meant to be one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventOptions {
    pub user: Option<String>,
    pub time: Option<String>,
    pub event: Option<String>,
}

/// A table found by its name.
#[derive(Debug, Clone)]
pub struct OpenTable {
    /// The database's name as it was created.
    pub database: String,
    pub object: Table,
    pub storage: Arc<delta::Table>,
}

/// A table whose storage is there and which nobody can see yet: fill it, then publish it.
#[derive(Debug)]
pub struct PendingTable {
    pub database: String,
    pub object: Table,
    pub storage: Arc<delta::Table>,
}

impl Catalog {
    /// The table of that name, opened.
    ///
    /// # Errors
    /// `UnknownDatabase` (1049), `NoSuchTable` (1146), and what [`delta::Table::open`] returns.
    pub async fn table(&self, database: &str, name: &str) -> Result<OpenTable> {
        let manifest = self.manifest().await?;
        let object = manifest.table(database, name)?.clone();
        let storage = self.open_storage(&object).await?;
        Ok(OpenTable { database: manifest.database(database)?.name.clone(), object, storage })
    }

    /// Opens a table of a manifest; the same `delta::Table` each time.
    ///
    /// # Errors
    /// What [`delta::Table::open`] returns.
    pub async fn open_storage(&self, object: &Table) -> Result<Arc<delta::Table>> {
        if let Some(table) = self.opened().get(&object.id) {
            return Ok(table.clone());
        }
        let url = self.location(object)?;
        let table = Arc::new(delta::Table::open(&self.inner.stores, &url, object.event.clone()).await?);
        Ok(self.keep(object.id, table))
    }

    /// The folder of a table.
    ///
    /// # Errors
    /// `Corrupt` when the manifest's text is not a location.
    pub fn location(&self, object: &Table) -> Result<Url> {
        self.inner.root.join(&object.location).map_err(|error| {
            let message = format!("table '{}': location '{}': {error}", object.name, object.location);
            Error::new(Kind::Corrupt, message)
        })
    }

    /// CREATE DATABASE.
    ///
    /// # Errors
    /// See [`Manifest::create_database`].
    pub async fn create_database(&self, name: &str) -> Result<()> {
        self.change(|manifest| manifest.create_database(name)).await
    }

    /// DROP DATABASE, with its tables.
    ///
    /// # Errors
    /// See [`Manifest::drop_database`].
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let dropped = self.change(|manifest| manifest.drop_database(name)).await?;
        for table in dropped.tables.values() {
            self.forget(table).await;
        }
        Ok(())
    }

    /// CREATE TABLE of an empty table, or of one at a LOCATION.
    ///
    /// # Errors
    /// As [`begin_table`](Self::begin_table) and [`publish`](Self::publish).
    pub async fn create_table(&self, database: &str, new: NewTable) -> Result<()> {
        let pending = self.begin_table(database, new).await?;
        self.publish(pending).await
    }

    /// Makes the storage of a table that no name leads to yet (CREATE TABLE … SELECT fills it before it publishes it).
    ///
    /// # Errors
    /// `UnknownDatabase`, `TableExists` (1050), and for a wrong definition MySQL's number, naming the column or key.
    pub async fn begin_table(&self, database: &str, new: NewTable) -> Result<PendingTable> {
        let manifest = self.manifest().await?;
        let database = manifest.database(database)?;
        check_name(&new.name, Kind::WrongTableName, "table")?;
        if database.tables.contains_key(&new.name) {
            return Err(table_exists(&new.name));
        }
        let mut object = Table {
            id: 0,
            name: new.name,
            location: String::new(),
            external: new.location.is_some(),
            event: None,
            keys: new.keys,
            comment: new.comment,
            created_at: Utc::now(),
        };
        let stores = &self.inner.stores;
        let storage = match &new.location {
            Some(url) => {
                object.location = url.to_string();
                let storage = delta::Table::open(stores, url, None).await?;
                let schema = storage.snapshot().await?.schema().clone();
                same_columns(&new.columns, &schema.columns, url)?;
                // Only if asked: nobody knows how a table made elsewhere is sorted.
                object.event = new.event.resolve(&schema.columns, false)?;
                check_definition(&mut object, &schema.columns)?;
                match &object.event {
                    None => storage,
                    event => delta::Table::open(stores, url, event.clone()).await?,
                }
            }
            None => {
                object.location = new_folder(&database.name, &object.name);
                object.event = new.event.resolve(&new.columns, true)?;
                check_definition(&mut object, &new.columns)?;
                let schema = TableSchema { columns: new.columns, event: object.event.clone() };
                delta::Table::create(stores, &join(&self.inner.root, &object.location)?, &schema).await?
            }
        };
        Ok(PendingTable { database: database.name.clone(), object, storage: Arc::new(storage) })
    }

    /// Gives a pending table its name.
    ///
    /// # Errors
    /// `TableExists` or `UnknownDatabase` when another statement was faster; the table is discarded then.
    pub async fn publish(&self, pending: PendingTable) -> Result<()> {
        let added = self.change(|manifest| manifest.add_table(&pending.database, pending.object.clone())).await;
        match added {
            Ok(id) => {
                self.keep(id, pending.storage);
                Ok(())
            }
            Err(error) => {
                // After any other error nobody knows whether the store took the manifest that names the table.
                if matches!(error.kind(), Kind::TableExists | Kind::UnknownDatabase) {
                    self.discard(pending).await;
                }
                Err(error)
            }
        }
    }

    /// Deletes a pending table.
    pub async fn discard(&self, pending: PendingTable) {
        self.forget(&pending.object).await;
    }

    /// DROP TABLE of all of `names` (database, table) in one step, or of none. With `if_exists` missing ones are passed
    /// over; returns these as `database.table`.
    ///
    /// # Errors
    /// `UnknownTable` (1051) naming every missing one, `UnknownDatabase` (1049).
    pub async fn drop_tables(&self, names: &[(String, String)], if_exists: bool) -> Result<Vec<String>> {
        let edit = |manifest: &mut Manifest| {
            let mut dropped = Vec::new();
            let mut missing = Vec::new();
            for (database, name) in names {
                if !if_exists {
                    manifest.database(database)?;
                }
                match manifest.remove_table(database, name) {
                    Some(table) => dropped.push(table),
                    None => missing.push(format!("{database}.{name}")),
                }
            }
            if !missing.is_empty() && !if_exists {
                return Err(Error::new(Kind::UnknownTable, format!("Unknown table '{}'", missing.join(","))));
            }
            Ok((dropped, missing))
        };
        let (dropped, missing) = self.change(edit).await?;
        for table in &dropped {
            self.forget(table).await;
        }
        Ok(missing)
    }

    /// ALTER TABLE ADD COLUMN at the end; the Delta log has the columns, so the manifest stays.
    ///
    /// # Errors
    /// `NoSuchTable` (1146), `DuplicateColumn` (1060), `WrongColumnName` (1166).
    pub async fn add_column(&self, database: &str, table: &str, column: &Column) -> Result<()> {
        let table = self.table(database, table).await?;
        let schema = table.storage.snapshot().await?.schema().clone();
        if schema.columns.len() >= COLUMNS_MAX {
            return Err(Error::new(Kind::TooManyColumns, "Too many columns"));
        }
        check_column(column)?;
        if schema.column(&column.name).is_some() {
            return Err(duplicate_column(&column.name));
        }
        table.storage.add_column(column).await?;
        Ok(())
    }

    /// Closes a dropped table and deletes its files, if they are ours. The name is gone already: what cannot be deleted
    /// is logged, and stays as garbage.
    async fn forget(&self, table: &Table) {
        self.opened().remove(&table.id);
        if table.external {
            return;
        }
        let removed = async { self.inner.stores.remove_folder(&self.location(table)?).await };
        if let Err(error) = removed.await {
            tracing::warn!(table = table.name, location = table.location, %error, "a dropped table's files remain");
        }
    }

    /// Remembers an opened table; of two that were opened at the same time the first stays, so that all use one.
    fn keep(&self, id: u64, table: Arc<delta::Table>) -> Arc<delta::Table> {
        let mut opened = self.opened();
        if opened.len() >= OPENED_MAX {
            opened.clear();
        }
        opened.entry(id).or_insert(table).clone()
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<u64, Arc<delta::Table>>> {
        self.inner.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A folder nobody has, relative to the data folder: names for people, a random part so that a table made again, or at
/// the same time by another server, gets another one.
fn new_folder(database: &str, table: &str) -> String {
    let plain = |name: &str| name.replace(|c: char| !(c.is_ascii_alphanumeric() || c == '_'), "_");
    let random = Uuid::new_v4().simple().to_string();
    format!("{TABLES_FOLDER}{}/{}-{}/", plain(database), plain(table), &random[..8])
}

/// Columns given beside a LOCATION say what the table has, or nothing.
fn same_columns(given: &[Column], found: &[Column], url: &Url) -> Result<()> {
    if given.is_empty() {
        return Ok(());
    }
    let differ = |what: String| {
        let message =
            format!("the table at '{url}' has other columns: {what}; leave the column list out to take its own");
        Err(Error::new(Kind::WrongColumnSpecifier, message))
    };
    if given.len() != found.len() {
        return differ(format!("{} columns given, {} there", given.len(), found.len()));
    }
    for (given, found) in given.iter().zip(found) {
        if !given.name.eq_ignore_ascii_case(&found.name) || given.column_type != found.column_type {
            return differ(format!(
                "'{} {}' given, '{} {}' there",
                given.name, given.column_type, found.name, found.column_type
            ));
        }
    }
    Ok(())
}

/// Checks columns and keys against each other, and puts the keys' names as the columns have them.
fn check_definition(object: &mut Table, columns: &[Column]) -> Result<()> {
    if columns.is_empty() {
        return Err(Error::new(Kind::TableWithoutColumns, "A table must have at least 1 column"));
    }
    if columns.len() > COLUMNS_MAX {
        return Err(Error::new(Kind::TooManyColumns, "Too many columns"));
    }
    let mut names = HashSet::new();
    for column in columns {
        if !object.external {
            check_column(column)?;
        }
        if !names.insert(column.name.to_lowercase()) {
            return Err(duplicate_column(&column.name));
        }
    }
    check_keys(&mut object.keys, columns)
}

fn check_column(column: &Column) -> Result<()> {
    check_name(&column.name, Kind::WrongColumnName, "column")?;
    if column.name.eq_ignore_ascii_case(DAY_COLUMN) {
        let message = format!("Incorrect column name '{}'; event tables keep their day under it", column.name);
        return Err(Error::new(Kind::WrongColumnName, message));
    }
    Ok(())
}

fn duplicate_column(name: &str) -> Error {
    Error::new(Kind::DuplicateColumn, format!("Duplicate column name '{name}'"))
}

impl EventOptions {
    /// The event columns of a table with these columns, their names as declared; None for a plain table. `defaults`
    /// says whether the default names count when no option is given.
    fn resolve(&self, columns: &[Column], defaults: bool) -> Result<Option<EventColumns>> {
        let roles = [
            Role { option: "USER_COLUMN", given: &self.user, default: "user_id", wanted: "an integer or a string" },
            Role { option: "TIME_COLUMN", given: &self.time, default: "event_time", wanted: "DATETIME or TIMESTAMP" },
            Role { option: "EVENT_COLUMN", given: &self.event, default: "event_name", wanted: "a string" },
        ];
        let asked = roles.iter().any(|role| role.given.is_some());
        if !asked && !defaults {
            return Ok(None);
        }
        let [user, time, event] = roles;
        let found = user.column(columns, is_user).and_then(|user| {
            let time = time.column(columns, is_time)?;
            let event = event.column(columns, is_text)?;
            if user == event {
                return Err(wrong_column(&user, "it cannot be both USER_COLUMN and EVENT_COLUMN"));
            }
            Ok(EventColumns { user, time, event })
        });
        match found {
            Ok(found) => Ok(Some(found)),
            Err(_) if !asked => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// One of the three event columns: its table option, and what it takes.
struct Role<'a> {
    option: &'static str,
    given: &'a Option<String>,
    default: &'static str,
    wanted: &'static str,
}

impl Role<'_> {
    fn column(&self, columns: &[Column], fits: fn(&ColumnType) -> bool) -> Result<String> {
        let name = self.given.as_deref().unwrap_or(self.default);
        let Some(column) = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)) else {
            return Err(Error::new(Kind::UnknownColumn, format!("Unknown column '{name}' in '{}'", self.option)));
        };
        if !fits(&column.column_type) {
            let why = format!("{} must be {}, not {}", self.option, self.wanted, column.column_type);
            return Err(wrong_column(&column.name, &why));
        }
        Ok(column.name.clone())
    }
}

fn wrong_column(name: &str, why: &str) -> Error {
    Error::new(Kind::WrongColumnSpecifier, format!("Incorrect column specifier for column '{name}': {why}"))
}

fn is_user(column_type: &ColumnType) -> bool {
    use ColumnType::{BigInt, Int, SmallInt, TinyInt};
    matches!(column_type, TinyInt { .. } | SmallInt { .. } | Int { .. } | BigInt { .. }) || is_text(column_type)
}

fn is_time(column_type: &ColumnType) -> bool {
    matches!(column_type, ColumnType::DateTime { .. } | ColumnType::Timestamp { .. })
}

fn is_text(column_type: &ColumnType) -> bool {
    matches!(column_type, ColumnType::VarChar { .. } | ColumnType::Char { .. } | ColumnType::Text { .. })
}

/// Names the keys as MySQL does: PRIMARY, and for others without a name their first column's, with _2, _3 … if taken.
fn check_keys(keys: &mut [Key], columns: &[Column]) -> Result<()> {
    let mut names: HashSet<String> = HashSet::new();
    for key in keys.iter_mut() {
        for name in &mut key.columns {
            let column = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
                Error::new(Kind::UnknownKeyColumn, format!("Key column '{name}' doesn't exist in table"))
            })?;
            *name = column.name.clone();
        }
        let first = key.columns.first().cloned().unwrap_or_default();
        match key.kind {
            KeyKind::Primary => key.name = "PRIMARY".into(),
            _ if key.name.is_empty() => {
                let numbered = (2..).map(|number| format!("{first}_{number}"));
                let free = |name: &String| !names.contains(&name.to_lowercase());
                key.name = std::iter::once(first.clone()).chain(numbered).find(free).unwrap_or_default();
            }
            _ => check_name(&key.name, Kind::DuplicateKeyName, "index")?,
        }
        if !names.insert(key.name.to_lowercase()) {
            return Err(match key.kind {
                KeyKind::Primary => Error::new(Kind::MultiplePrimaryKeys, "Multiple primary key defined"),
                _ => Error::new(Kind::DuplicateKeyName, format!("Duplicate key name '{}'", key.name)),
            });
        }
    }
    Ok(())
}
