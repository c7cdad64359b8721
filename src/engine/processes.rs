//! Who is connected and what runs: the process list, and the tokens that KILL pulls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

/// One connection, as SHOW PROCESSLIST shows it.
#[derive(Debug, Clone)]
pub struct Process {
    pub id: u32,
    pub user: String,
    pub host: String,
    pub database: Option<String>,
    /// The running statement's text, None between statements.
    pub statement: Option<Arc<str>>,
    /// Start of the statement, or of the idle time.
    pub since: Instant,
    query: CancellationToken,
    connection: CancellationToken,
}

/// Bytes of a statement that the process list shows.
const STATEMENT_BYTES_MAX: usize = 4096;

fn shortened(statement: &str) -> &str {
    &statement[..statement.floor_char_boundary(STATEMENT_BYTES_MAX)]
}

/// The connections of one engine.
#[derive(Debug, Default)]
pub struct Processes {
    list: Mutex<BTreeMap<u32, Process>>,
}

impl Processes {
    /// Adds a connection; the token is cancelled when the connection is killed.
    pub fn add(&self, id: u32, user: &str, host: &str) -> CancellationToken {
        let connection = CancellationToken::new();
        let process = Process {
            id,
            user: user.to_owned(),
            host: host.to_owned(),
            database: None,
            statement: None,
            since: Instant::now(),
            query: CancellationToken::new(),
            connection: connection.clone(),
        };
        self.lock().insert(id, process);
        connection
    }

    /// Removes a connection that has ended.
    pub fn remove(&self, id: u32) {
        self.lock().remove(&id);
    }

    /// Notes the start of a statement; the token is cancelled by KILL QUERY. (KILL ends the
    /// connection, and its statement with it.)
    pub fn begin(&self, id: u32, statement: &str, database: Option<&str>) -> CancellationToken {
        let mut list = self.lock();
        let Some(process) = list.get_mut(&id) else { return CancellationToken::new() };
        process.query = CancellationToken::new();
        process.statement = Some(shortened(statement).into());
        process.database = database.map(str::to_owned);
        process.since = Instant::now();
        process.query.clone()
    }

    /// Notes the end of the statement.
    pub fn end(&self, id: u32) {
        if let Some(process) = self.lock().get_mut(&id) {
            process.statement = None;
            process.since = Instant::now();
        }
    }

    /// KILL QUERY (`query_only`) or KILL; false when there is no such connection.
    pub fn kill(&self, id: u32, query_only: bool) -> bool {
        match self.lock().get(&id) {
            Some(process) if query_only => process.query.cancel(),
            Some(process) => process.connection.cancel(),
            None => return false,
        }
        true
    }

    pub fn contains(&self, id: u32) -> bool {
        self.lock().contains_key(&id)
    }

    /// Every connection in order of its id.
    pub fn list(&self) -> Vec<Process> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Process>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
