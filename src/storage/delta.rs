//! One Delta table: what it holds at a version (`Snapshot`), and how a statement changes it in one atomic commit.
//!
//! deltalake-core reads the log the first time and writes its checkpoints. Between those, a table follows the log
//! itself, one small read per commit, and commits by putting the next numbered entry if it is absent. The rule for two
//! writers is ours as well: whoever commits second fails when a file he removes is gone or the columns changed; he
//! never fails because rows were added (they come after him). That makes every statement atomic and INSERT never fail,
//! and it sees a compaction that moved the rows of a DELETE, which deltalake-core's own check without DataFusion does
//! not.
//!
//! Nothing here reads or writes data files.

mod place;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ::object_store::ObjectStore;
use ::object_store::path::Path;
use bytes::Bytes;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::scalar::ScalarValue;
use deltalake_core::kernel::Add;
use deltalake_core::{DeltaTable, checkpoints};
use futures::StreamExt;
use serde_json::{Value, json};
use url::Url;

use crate::config::COMMIT_TRIES_MAX;
use crate::error::{Error, Kind, Result};
use crate::storage::log::{self, Definition, Entry};
use crate::storage::object_store::ObjectStores;
use crate::storage::statistics::ColumnStatistics;
use crate::storage::types::{Column, EventColumns, TableSchema};
use crate::storage::write;
use place::Place;

/// Entries a table follows one by one before it rather reads a checkpoint.
const ENTRIES_FOLLOWED_MAX: usize = 50;
/// After this time without a new entry the folder is listed once: its next entry may be gone with an old part of the
/// log.
const LIST_AFTER: Duration = Duration::from_secs(600);

/// The log's name for ALTER TABLE ADD COLUMN, the one operation that fails whatever others committed meanwhile.
const ADD_COLUMNS: &str = "ADD COLUMNS";

/// One Delta table at a location. Cheap to share; holds the newest snapshot seen.
pub struct Table {
    place: Place,
    event: Option<EventColumns>,
    current: RwLock<Arc<Snapshot>>,
    listed: Mutex<Instant>,
    /// One at a time of this process follows the log or commits; others could only lose the race.
    turn: tokio::sync::Mutex<()>,
}

/// What a table holds at one version; immutable.
#[derive(Debug)]
pub struct Snapshot {
    version: u64,
    definition: Arc<Definition>,
    files: Vec<DataFile>,
}

/// One Parquet file of a table.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Full path in the object store.
    pub path: Path,
    pub size_bytes: u64,
    /// None when the writer left no statistics (foreign tables).
    pub rows: Option<u64>,
    /// Event tables: the UTC day of all its rows, days since 1970-01-01.
    pub day: Option<i32>,
    /// Values of the partition columns people see (foreign tables); our hidden day column is not among them.
    pub partition_values: Vec<(String, ScalarValue)>,
    /// One entry a column of the snapshot's schema, in its order.
    pub columns: Arc<[ColumnStatistics]>,
    /// Rows are in (user, time) order: written by us.
    pub sorted: bool,
    /// The log's own record of the file.
    pub add: Arc<Add>,
}

/// What a commit does, for the log's history and for the check against other writers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// INSERT: adds files whatever else happened meanwhile.
    Append,
    /// DELETE … WHERE predicate.
    Delete {
        predicate: String,
    },
    /// UPDATE … WHERE predicate.
    Update {
        predicate: String,
    },
    Truncate,
    /// OPTIMIZE: the same rows in other files.
    Optimize,
}

impl Table {
    /// Makes an empty table.
    ///
    /// # Errors
    /// `TableExists` when the folder holds a Delta table, `DuplicateColumn`, `Unsupported` for a type Delta has not.
    pub async fn create(stores: &ObjectStores, url: &Url, schema: &TableSchema) -> Result<Table> {
        let place = Place::of(stores, url)?;
        let exists = || Error::new(Kind::TableExists, format!("location '{url}' holds a Delta table already"));
        if place.newest_listed(None).await?.is_some() {
            return Err(exists());
        }
        let mut lines = vec![log::commit_info_line("CREATE TABLE", json!({}), 0, &new_transaction())];
        lines.extend(log::definition_lines(schema)?);
        match place.put(0, Bytes::from(lines.join("\n"))).await? {
            true => Table::open_at(place, schema.event.clone()).await,
            false => Err(exists()),
        }
    }

    /// Opens a table; `event` names the key columns of an event table (the catalog knows them).
    ///
    /// # Errors
    /// `FileNotFound` when there is no table, `Unsupported` naming what we cannot read in it.
    pub async fn open(stores: &ObjectStores, url: &Url, event: Option<EventColumns>) -> Result<Table> {
        Table::open_at(Place::of(stores, url)?, event).await
    }

    async fn open_at(place: Place, event: Option<EventColumns>) -> Result<Table> {
        let snapshot = place.load(event.clone()).await?;
        let current = RwLock::new(Arc::new(snapshot));
        let listed = Mutex::new(Instant::now());
        Ok(Table { place, event, current, listed, turn: tokio::sync::Mutex::new(()) })
    }

    /// The newest version, other servers' commits included; cheap (one small request) when nothing changed.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let current = self.current();
        if self.place.entry(current.version + 1).await?.is_none() && !self.lost_track(&current).await? {
            return Ok(current);
        }
        let _turn = self.turn.lock().await;
        self.follow().await
    }

    /// Adds and removes files in one atomic commit; gives the new version. `read` is the snapshot the statement worked
    /// on.
    ///
    /// # Errors
    /// `Conflict` when another writer removed one of `removes` or changed the columns since `read`; `ReadOnlyTable`
    /// when the table's format asks of writers what we cannot do: nothing is visible then, and the added files are
    /// deleted. After any other error (`Storage`) nobody knows whether the store took the commit: the files stay, and
    /// vacuum deletes them if it did not.
    pub async fn commit(
        &self,
        read: &Snapshot,
        operation: Operation,
        adds: Vec<Add>,
        removes: &[DataFile],
    ) -> Result<u64> {
        let data_change = operation != Operation::Optimize;
        if data_change && !removes.is_empty() && read.definition.append_only {
            write::discard(self, &adds).await;
            return Err(Error::new(Kind::ReadOnlyTable, format!("table '{}' is append-only", self.place.url)));
        }
        let mut lines = Vec::with_capacity(adds.len() + removes.len());
        for file in removes {
            lines.push(log::remove_line(&file.add, data_change)?);
        }
        for add in &adds {
            lines.push(log::add_line(add, data_change)?);
        }
        let committed = self.commit_lines(read, operation.name(), operation.parameters(), lines, removes).await;
        if let Err(error) = &committed
            && matches!(error.kind(), Kind::Conflict | Kind::ReadOnlyTable | Kind::NoSuchTable)
        {
            write::discard(self, &adds).await;
        }
        committed
    }

    /// Adds a column at the end (metadata only; older files read as NULL or the default). Gives the new version.
    ///
    /// # Errors
    /// `DuplicateColumn`; `Unsupported` for NOT NULL when the table has rows. A lost race is tried again.
    pub async fn add_column(&self, column: &Column) -> Result<u64> {
        for _ in 0..COMMIT_TRIES_MAX {
            let read = self.snapshot().await?;
            if !column.nullable && !read.files.is_empty() {
                let what = format!("ADD COLUMN '{}' NOT NULL to a table that has rows", column.name);
                return Err(Error::unsupported(what));
            }
            let line = log::metadata_line_with(&read.definition, column)?;
            let parameters = json!({ "columns": json!([column.name]).to_string() });
            match self.commit_lines(&read, ADD_COLUMNS, parameters, vec![line], &[]).await {
                Err(error) if error.kind() == Kind::Conflict => continue,
                done => return done,
            }
        }
        Err(self.conflict(ADD_COLUMNS, "others keep changing it"))
    }

    /// Removes every row in one commit; gives the number of rows removed.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); a lost race is tried again.
    pub async fn truncate(&self) -> Result<u64> {
        for _ in 0..COMMIT_TRIES_MAX {
            let read = self.snapshot().await?;
            if read.files.is_empty() {
                return Ok(0);
            }
            match self.commit(&read, Operation::Truncate, Vec::new(), &read.files).await {
                Ok(_) => return Ok(read.files.iter().filter_map(|file| file.rows).sum()),
                Err(error) if error.kind() == Kind::Conflict => continue,
                Err(error) => return Err(error),
            }
        }
        Err(self.conflict("TRUNCATE", "its files keep changing"))
    }

    pub fn url(&self) -> &Url {
        &self.place.url
    }

    /// The store the table is in; paths in it are full paths (`DataFile::path`).
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.place.store
    }

    /// The table's folder in the store.
    pub fn root(&self) -> &Path {
        &self.place.root
    }

    /// Scheme and authority of the store, as DataFusion's registry and `FileScanConfig` want it.
    pub fn store_url(&self) -> &ObjectStoreUrl {
        &self.place.store_url
    }

    /// The snapshot last seen, without asking the store.
    pub(super) fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Paths (as `Add::path`) of files removed from the table at or after `since_ms`: readers of older versions need
    /// them.
    pub(super) async fn removed_since(&self, since_ms: i64) -> Result<HashSet<String>> {
        let mut table = DeltaTable::new(Arc::clone(&self.place.log));
        table.load().await?;
        let state = table.snapshot()?;
        let mut tombstones = state.all_tombstones(&self.place.log);
        let mut paths = HashSet::new();
        while let Some(tombstone) = tombstones.next().await {
            let tombstone = tombstone?;
            // Without a time of removal nobody can say that it is long ago.
            if tombstone.deletion_timestamp().is_none_or(|removed_ms| removed_ms >= since_ms) {
                paths.insert(tombstone.path().into_owned());
            }
        }
        Ok(paths)
    }

    /// One commit of `lines`: put the next entry if absent, else look what came before us and try again.
    async fn commit_lines(
        &self,
        read: &Snapshot,
        operation: &'static str,
        parameters: Value,
        lines: Vec<String>,
        removes: &[DataFile],
    ) -> Result<u64> {
        if let Some(feature) = &read.definition.unwritable {
            let message =
                format!("table '{}' cannot be written: Delta feature {feature} is not supported", self.place.url);
            return Err(Error::new(Kind::ReadOnlyTable, message));
        }
        let transaction = new_transaction();
        let mut body = vec![log::commit_info_line(operation, parameters, read.version, &transaction)];
        body.extend(lines);
        let body = Bytes::from(body.join("\n"));
        let _turn = self.turn.lock().await;
        for _ in 0..COMMIT_TRIES_MAX {
            let newest = self.follow().await?;
            self.check_against(read, &newest, operation, removes)?;
            // Without its newest entry the table is gone: another server dropped it, and a commit would only leave
            // litter.
            if self.place.entry(newest.version).await?.is_none() {
                let message = format!("table '{}' was dropped meanwhile", self.place.url);
                return Err(Error::new(Kind::NoSuchTable, message));
            }
            let version = newest.version + 1;
            let put = self.place.put(version, body.clone()).await;
            if matches!(put, Ok(true)) || self.is_ours(version, &transaction).await? {
                // The commit stands whatever happens now: reading it back is the next statement's task if it fails
                // here.
                if let Err(error) = self.follow().await {
                    tracing::warn!(table = %self.place.url, version, %error, "reading a commit back failed");
                }
                self.checkpoint_if_due(version).await;
                return Ok(version);
            }
            put?;
        }
        Err(self.conflict(operation, "too many other commits came first"))
    }

    /// The rule for two writers (file comment). `read` is what the statement saw, `newest` what it would change.
    fn check_against(&self, read: &Snapshot, newest: &Snapshot, operation: &str, removes: &[DataFile]) -> Result<()> {
        if read.version == newest.version {
            return Ok(());
        }
        if operation == ADD_COLUMNS {
            // Whether a NOT NULL column may come depends on there being no rows.
            return Err(self.conflict(operation, "it has a newer version"));
        }
        let same_definition = Arc::ptr_eq(&read.definition, &newest.definition)
            || read.definition.metadata == newest.definition.metadata
                && read.definition.protocol == newest.definition.protocol;
        if !same_definition {
            return Err(self.conflict(operation, "its columns changed"));
        }
        let present: HashSet<&str> = newest.files.iter().map(|file| file.add.path.as_str()).collect();
        match removes.iter().find(|file| !present.contains(file.add.path.as_str())) {
            Some(file) => Err(self.conflict(operation, &format!("file '{}' was rewritten", file.add.path))),
            None => Ok(()),
        }
    }

    fn conflict(&self, operation: &str, why: &str) -> Error {
        let message =
            format!("table '{}' was changed by another statement: {why}; run the {operation} again", self.place.url);
        Error::new(Kind::Conflict, message)
    }

    /// An entry that is there may be ours even if the store did not say so: its answer was lost, or a retry met its own
    /// first try.
    async fn is_ours(&self, version: u64, transaction: &str) -> Result<bool> {
        let entry = self.place.entry(version).await?;
        Ok(entry.is_some_and(|bytes| bytes.windows(transaction.len()).any(|part| part == transaction.as_bytes())))
    }

    /// Applies the entries after the current version. The caller holds the turn.
    async fn follow(&self) -> Result<Arc<Snapshot>> {
        let current = self.current();
        let mut entries = Vec::new();
        let mut version = current.version;
        let mut reload = false;
        while !reload {
            let Some(bytes) = self.place.entry(version + 1).await? else { break };
            let entry = Entry::parse(&bytes)?;
            version += 1;
            reload = entry.redefines || entries.len() >= ENTRIES_FOLLOWED_MAX;
            entries.push(entry);
        }
        let next = match reload || entries.is_empty() && self.lost_track(&current).await? {
            true => self.place.load(self.event.clone()).await?,
            false if entries.is_empty() => return Ok(current),
            false => current.with(&self.place.root, version, entries)?,
        };
        let next = Arc::new(next);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(next)
    }

    /// Whether the log goes on although the next entry is not there. Asks the store only after [`LIST_AFTER`].
    async fn lost_track(&self, current: &Snapshot) -> Result<bool> {
        let due = self.listed.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= LIST_AFTER;
        if !due {
            return Ok(false);
        }
        let newest = self.place.newest_listed(Some(current.version)).await?;
        let lost = newest.is_some_and(|newest| newest > current.version);
        if !lost {
            *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        Ok(lost)
    }

    /// A checkpoint, and the end of entries older than the log is kept. Both only help: failures are logged.
    async fn checkpoint_if_due(&self, version: u64) {
        let current = self.current();
        if !(version + 1).is_multiple_of(current.definition.checkpoint_interval) {
            return;
        }
        let written = async {
            let mut table = DeltaTable::new(Arc::clone(&self.place.log));
            table.load_version(version).await?;
            checkpoints::create_checkpoint(&table, None).await?;
            let cutoff = log::now_ms().saturating_sub(current.definition.log_retention_ms);
            checkpoints::cleanup_expired_logs_for(version, self.place.log.as_ref(), cutoff, None).await
        };
        if let Err(error) = written.await {
            tracing::warn!(table = %self.place.url, version, %error, "writing a checkpoint failed");
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({}, version {})", self.place.url, self.current().version)
    }
}

impl Snapshot {
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The columns people see, the partition columns of foreign tables among them, our hidden day column not.
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.definition.schema
    }

    /// The Arrow fields of [`schema`](Self::schema)'s columns as the log declares them. Other engines' tables have
    /// types that `TableSchema::arrow` does not give back (booleans, lists, structs): read files by these.
    pub fn arrow_schema(&self) -> &SchemaRef {
        &self.definition.arrow
    }

    /// Partition columns people see (foreign tables), by name.
    pub fn partition_columns(&self) -> &[String] {
        &self.definition.partition_columns
    }

    /// The active files, sorted by day, then by smallest user (event tables), else by path.
    pub fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// Milliseconds since 1970 of the newest file.
    pub fn modified_ms(&self) -> Option<i64> {
        self.files.iter().map(|file| file.add.modification_time).max()
    }

    pub(super) fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    fn new(version: u64, definition: Arc<Definition>, mut files: Vec<DataFile>) -> Snapshot {
        let user = definition.schema.event.as_ref().and_then(|event| definition.schema.column(&event.user));
        let smallest = |file: &DataFile| user.and_then(|(index, _)| file.columns[index].minimum.clone());
        files.sort_by(|left, right| {
            let users = smallest(left).partial_cmp(&smallest(right)).unwrap_or(std::cmp::Ordering::Equal);
            left.day.cmp(&right.day).then(users).then_with(|| left.path.cmp(&right.path))
        });
        Snapshot { version, definition, files }
    }

    /// The snapshot after `entries`, the last of which is `version`.
    fn with(&self, root: &Path, version: u64, entries: Vec<Entry>) -> Result<Snapshot> {
        let mut gone = HashSet::new();
        let mut added: HashMap<String, DataFile> = HashMap::new();
        for entry in entries {
            for path in entry.removes {
                added.remove(&path);
                gone.insert(path);
            }
            for add in entry.adds {
                // A file may be added again, with other statistics; the last word counts.
                gone.insert(add.path.clone());
                added.insert(add.path.clone(), self.definition.file(root, add)?);
            }
        }
        let kept = self.files.iter().filter(|file| !gone.contains(&file.add.path)).cloned();
        let files = kept.chain(added.into_values()).collect();
        Ok(Snapshot::new(version, Arc::clone(&self.definition), files))
    }
}

impl Operation {
    /// The word of the log's history, and what a message calls the statement.
    fn name(&self) -> &'static str {
        match self {
            Operation::Append => "WRITE",
            Operation::Delete { .. } => "DELETE",
            Operation::Update { .. } => "UPDATE",
            Operation::Truncate => "TRUNCATE",
            Operation::Optimize => "OPTIMIZE",
        }
    }

    fn parameters(&self) -> Value {
        match self {
            Operation::Append => json!({"mode": "Append"}),
            Operation::Delete { predicate } | Operation::Update { predicate } => json!({ "predicate": predicate }),
            Operation::Truncate | Operation::Optimize => json!({}),
        }
    }
}

fn new_transaction() -> String {
    uuid::Uuid::new_v4().to_string()
}
