//! What one connection remembers, and the life of a statement: [`Session::execute`] orders its stages. Knows no
//! protocol.

mod account; // ALTER USER, SET PASSWORD
mod change; // DELETE, UPDATE, TRUNCATE, OPTIMIZE
mod definition; // CREATE, DROP, ALTER
pub mod demo; // generated events into a table
mod insert; // INSERT
mod query; // SELECT, SHOW, EXPLAIN and constants
mod setting; // SET
mod transaction; // BEGIN, COMMIT, ROLLBACK
pub mod variables; // system variables: one table
mod view; // what information_schema shows of the session

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use chrono_tz::Tz;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use sqlparser::ast::Expr;
use tokio_util::sync::CancellationToken;

use crate::dialect::script::{self, ScriptOptions, ScriptStatement};
use crate::dialect::statement::Statement;
use crate::dialect::{self, ParseContext};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::executor::Control;
use crate::planner::{Planner, literal};
use crate::storage::scan::TableScan;
use datafusion::catalog::TableProvider;
use transaction::Transaction;
use variables::Variables;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Client {
    pub id: u32,
    pub user: String,
    /// Host part of the account that let the client in.
    pub host: String,
    /// Whether the connection is encrypted or never left this machine's process.
    pub secure: bool,
    /// Peer address for logs and the process list.
    pub address: String,
}

impl Client {
    /// The program itself, as root: scripts in-process, demo data.
    pub fn internal(id: u32) -> Client {
        let local = || "localhost".to_owned();
        Client { id, user: "root".into(), host: local(), secure: true, address: local() }
    }
}

/// What a statement answers.
pub enum Answer {
    Done(Done),
    Rows(Rows),
}

/// The answer of a statement without rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    pub affected_rows: u64,
    pub last_insert_id: u64,
    /// A sentence for the client: `Records: 3`.
    pub info: String,
}

/// A result: its columns, then its batches as they are made.
pub struct Rows {
    pub schema: SchemaRef,
    pub stream: SendableRecordBatchStream,
}

/// A prepared statement as its client sees it.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub id: u32,
    pub parameters: usize,
    /// Result columns; empty for a statement without rows.
    pub columns: SchemaRef,
}

/// What every OK and EOF packet says of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub autocommit: bool,
    pub in_transaction: bool,
    /// sql_mode NO_BACKSLASH_ESCAPES, which clients must know to quote.
    pub no_backslash_escapes: bool,
    pub warnings: u16,
}

/// One line of SHOW WARNINGS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// `Note`, `Warning` or `Error`.
    pub level: &'static str,
    pub code: u16,
    pub message: String,
}

/// One connection's memory.
pub struct Session {
    engine: Arc<Engine>,
    client: Client,
    database: Option<String>,
    variables: Variables,
    user_variables: HashMap<String, ScalarValue>,
    prepared: BTreeMap<u32, (Statement, usize)>,
    last_prepared: u32,
    transaction: Transaction,
    warnings: Vec<Warning>,
    /// ROW_COUNT(): rows the last statement changed, -1 after one that changes none.
    row_count: i64,
    killed: CancellationToken,
    progress: Arc<Progress>,
}

/// Called with the rows a statement has written so far.
pub type Progress = dyn Fn(u64) + Send + Sync;

/// A statement in the process list; it leaves the list when this is dropped, with its last row.
pub(crate) struct Running {
    engine: Arc<Engine>,
    id: u32,
    control: Control,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.processes().end(self.id);
    }
}

impl Session {
    /// A session of a client that has signed in.
    pub fn new(engine: Arc<Engine>, client: Client) -> Session {
        let killed = engine.processes().add(client.id, &client.user, &client.address);
        let variables = Variables::new(engine.settings());
        Session {
            engine,
            client,
            database: None,
            variables,
            user_variables: HashMap::new(),
            prepared: BTreeMap::new(),
            last_prepared: 0,
            transaction: Transaction::default(),
            warnings: Vec::new(),
            row_count: 0,
            killed,
            progress: Arc::new(|_| {}),
        }
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// What MySQL would answer; the session goes on.
    pub async fn execute(&mut self, text: &str) -> Result<Answer> {
        let running = self.begin(text);
        let parsed = dialect::prepare(text, &self.parse_context());
        let answer = match parsed {
            Ok(parsed) if parsed.parameters > 0 => {
                Err(Error::new(Kind::Syntax, "a ? parameter is only allowed in a prepared statement"))
            }
            Ok(parsed) => self.run(parsed.statement, running).await,
            Err(error) => Err(error),
        };
        self.remember(&answer);
        answer
    }

    /// One statement to its own stage: the arms are the statements there are.
    async fn run(&mut self, statement: Statement, mut running: Running) -> Result<Answer> {
        // max_execution_time is for statements that only read.
        if !matches!(&statement, Statement::Query(_) | Statement::Show(_) | Statement::Explain(_)) {
            running.control.time_max = None;
        }
        if !matches!(&statement, Statement::Show(_)) {
            self.warnings.clear();
        }
        self.refuse_write_in_read_only(&statement)?;
        match statement {
            Statement::Query(query) => self.select(*query, running).await,
            Statement::Show(show) => self.show(show, running).await,
            Statement::Explain(explain) => self.explain(explain, running).await,
            Statement::Insert(insert) => self.insert(insert, &running).await,
            Statement::Delete(delete) => self.delete(delete, &running).await,
            Statement::Update(update) => self.update(update, &running).await,
            Statement::Truncate { table } => self.truncate(&table).await,
            Statement::Optimize { tables } => self.optimize(&tables, &running).await,
            Statement::CreateDatabase { name, if_not_exists } => self.create_database(&name, if_not_exists).await,
            Statement::DropDatabase { name, if_exists } => self.drop_database(&name, if_exists).await,
            Statement::CreateTable(create) => self.create_table(*create, &running).await,
            Statement::DropTable { tables, if_exists } => self.drop_tables(&tables, if_exists).await,
            Statement::AlterTable { table, operations } => self.alter_table(&table, operations, &running).await,
            Statement::Use(name) => self.use_database(&name).await.map(|()| done()),
            Statement::Set(assignments) => self.set(assignments, &running).await,
            Statement::Begin { read_only, .. } => self.begin_transaction(read_only),
            Statement::Commit => self.end_transaction(),
            Statement::Rollback => self.rollback(),
            // Every statement has committed on its own: a savepoint has nothing to keep, and rolling back to one
            // admits it.
            Statement::Savepoint(_) | Statement::ReleaseSavepoint(_) => Ok(done()),
            Statement::RollbackTo(_) => self.admit_writes().map(|()| done()),
            Statement::LockTables(_) | Statement::UnlockTables | Statement::Flush => Ok(done()),
            Statement::Kill { id, query_only } => self.kill(*id, query_only, &running).await,
            Statement::AlterUser { users, if_exists } => self.alter_user(users, if_exists).await,
            Statement::SetPassword { user, password } => self.set_password(user, password).await,
            Statement::CreateUser { .. } => Err(Error::unsupported("CREATE USER")),
            Statement::DropUser { .. } => Err(Error::unsupported("DROP USER")),
        }
    }

    /// Who is told how far a write is.
    pub fn set_progress(&mut self, progress: Arc<Progress>) {
        self.progress = progress;
    }

    /// The statements of a text, as the session's sql_mode reads it.
    pub fn split<'t>(&self, text: &'t str) -> Vec<ScriptStatement<'t>> {
        let no_backslash_escapes = self.variables.sql_mode_has("NO_BACKSLASH_ESCAPES");
        script::split(text, ScriptOptions { no_backslash_escapes, delimiter_command: false })
    }

    /// Prepares one statement: its parameters are counted and its result columns found.
    ///
    /// # Errors
    /// Syntax errors, unknown names, and `TooManyStatements`.
    pub async fn prepare(&mut self, text: &str) -> Result<Prepared> {
        self.warnings.clear();
        let most = self.engine.settings().max_prepared_statements;
        if self.prepared.len() >= most {
            let message = format!(
                "Can't create more than max_prepared_stmt_count statements (current value: {most}); close some"
            );
            return Err(Error::new(Kind::TooManyStatements, message));
        }
        let dialect::Prepared { statement, parameters } = dialect::prepare(text, &self.parse_context())?;
        let columns = self.columns_of(statement.clone(), parameters).await?;
        self.last_prepared = self.last_prepared.wrapping_add(1).max(1);
        self.prepared.insert(self.last_prepared, (statement, parameters));
        Ok(Prepared { id: self.last_prepared, parameters, columns })
    }

    /// Runs a prepared statement.
    ///
    /// # Errors
    /// `UnknownStatement`, `WrongArguments` for a wrong number of parameters, and what the statement answers.
    pub async fn execute_prepared(&mut self, id: u32, parameters: Vec<ScalarValue>) -> Result<Answer> {
        let Some((statement, count)) = self.prepared.get(&id).cloned() else { return Err(unknown_statement(id)) };
        if parameters.len() != count {
            return Err(Error::new(Kind::WrongArguments, "Incorrect arguments to mysqld_stmt_execute"));
        }
        let values = parameters.iter().map(literal::expression).collect::<Result<Vec<Expr>>>()?;
        let running = self.begin("<prepared statement>");
        let answer = match bind(statement, &values) {
            Ok(statement) => self.run(statement, running).await,
            Err(error) => Err(error),
        };
        self.remember(&answer);
        answer
    }

    /// How many parameters a prepared statement takes; None when there is no such statement.
    pub fn prepared_parameters(&self, id: u32) -> Option<usize> {
        self.prepared.get(&id).map(|(_, parameters)| *parameters)
    }

    pub fn close_prepared(&mut self, id: u32) {
        self.prepared.remove(&id);
    }

    /// USE and COM_INIT_DB.
    ///
    /// # Errors
    /// 1049 for an unknown database.
    pub async fn use_database(&mut self, name: &str) -> Result<()> {
        let manifest = self.engine.catalog().manifest().await?;
        let database = match name.eq_ignore_ascii_case("information_schema") {
            true => "information_schema".to_owned(),
            false => manifest.database(name)?.name.clone(),
        };
        self.database = Some(database);
        Ok(())
    }

    /// COM_RESET_CONNECTION: forgets everything but who is connected and the database.
    pub fn reset(&mut self) {
        self.variables = Variables::new(self.engine.settings());
        self.user_variables.clear();
        self.prepared.clear();
        self.transaction = Transaction::default();
        self.warnings.clear();
    }

    /// COM_CHANGE_USER, after the new user has signed in.
    ///
    /// # Errors
    /// 1049 for an unknown database.
    pub async fn change_user(&mut self, client: Client, database: Option<&str>) -> Result<()> {
        self.reset();
        self.engine.processes().remove(self.client.id);
        self.killed = self.engine.processes().add(client.id, &client.user, &client.address);
        self.client = client;
        self.database = None;
        match database {
            Some(name) => self.use_database(name).await,
            None => Ok(()),
        }
    }

    /// What OK and EOF packets say now.
    pub fn status(&self) -> Status {
        Status {
            autocommit: self.variables.autocommit(),
            in_transaction: self.transaction.open,
            no_backslash_escapes: self.variables.sql_mode_has("NO_BACKSLASH_ESCAPES"),
            warnings: u16::try_from(self.warnings.len()).unwrap_or(u16::MAX),
        }
    }

    /// How long the connection may be idle: SET wait_timeout.
    pub fn wait_max(&self) -> Duration {
        Duration::from_secs(self.variables.wait_timeout_seconds())
    }

    /// Cancelled when another connection kills this one.
    pub fn killed(&self) -> CancellationToken {
        self.killed.clone()
    }

    /// The session's time zone, for TIMESTAMP values on their way out.
    pub fn time_zone(&self) -> Tz {
        self.variables.time_zone()
    }

    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// COM_FIELD_LIST: the columns of a table.
    ///
    /// # Errors
    /// 1046 and 1146.
    pub async fn field_list(&mut self, table: &str) -> Result<SchemaRef> {
        let database =
            self.database.clone().ok_or_else(|| Error::new(Kind::NoDatabaseSelected, "No database selected"))?;
        let open = self.engine.catalog().table(&database, table).await?;
        let snapshot = open.storage.snapshot().await?;
        Ok(TableScan::new(open.storage, snapshot, &open.database, &open.object.name).schema())
    }

    /// COM_STATISTICS.
    pub fn statistics(&self) -> String {
        let engine = &self.engine;
        format!(
            "Uptime: {}  Threads: {}  Questions: {}  Slow queries: 0  Opens: 0  Flush tables: 0  Open tables: 0  \
             Queries per second avg: {:.3}",
            engine.uptime_seconds(),
            engine.processes().list().len(),
            engine.questions(),
            engine.questions() as f64 / engine.uptime_seconds().max(1) as f64,
        )
    }

    fn begin(&mut self, text: &str) -> Running {
        self.engine.count_question();
        let cancel = self.engine.processes().begin(self.client.id, text, self.database.as_deref());
        let time_max = Some(self.variables.max_execution_time_ms()).filter(|ms| *ms > 0).map(Duration::from_millis);
        let control = Control { runtime: self.engine.runtime().clone(), cancel, time_max };
        Running { engine: self.engine.clone(), id: self.client.id, control }
    }

    fn parse_context(&self) -> ParseContext<'_> {
        let mode = |name| self.variables.sql_mode_has(name);
        ParseContext {
            database: self.database.as_deref(),
            ansi_quotes: mode("ANSI_QUOTES"),
            no_backslash_escapes: mode("NO_BACKSLASH_ESCAPES"),
            pipes_as_concat: mode("PIPES_AS_CONCAT"),
        }
    }

    fn warn(&mut self, level: &'static str, code: u16, message: impl Into<String>) {
        if self.warnings.len() < crate::config::WARNINGS_MAX {
            self.warnings.push(Warning { level, code, message: message.into() });
        }
    }

    /// What ROW_COUNT() and SHOW WARNINGS say of a statement afterwards.
    fn remember(&mut self, answer: &Result<Answer>) {
        match answer {
            Ok(Answer::Done(done)) => self.row_count = i64::try_from(done.affected_rows).unwrap_or(i64::MAX),
            Ok(Answer::Rows(_)) => self.row_count = -1,
            Err(error) => {
                self.row_count = -1;
                self.warnings.clear();
                self.warn("Error", error.row().number, error.message());
            }
        }
    }

    async fn kill(&mut self, id: Expr, query_only: bool, running: &Running) -> Result<Answer> {
        let value = self.constants(vec![id], running).await?.pop().unwrap_or(ScalarValue::Null);
        let text = value.to_string();
        let unknown = || Error::new(Kind::UnknownThread, format!("Unknown thread id: {text}"));
        let id = text.parse::<u32>().map_err(|_| unknown())?;
        if !self.engine.processes().kill(id, query_only) {
            return Err(unknown());
        }
        match id == self.client.id {
            true => Err(Error::new(Kind::Interrupted, "Query execution was interrupted")),
            false => Ok(done()),
        }
    }

    fn planner<'a>(
        &'a self,
        state: &'a datafusion::execution::session_state::SessionState,
        session: &'a crate::catalog::information_schema::SessionView,
    ) -> Planner<'a> {
        Planner {
            catalog: self.engine.catalog(),
            stores: self.engine.stores(),
            allowed: self.engine.allowed(),
            state,
            database: self.database.as_deref(),
            session,
            for_insert: false,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.engine.processes().remove(self.client.id);
    }
}

fn done() -> Answer {
    Answer::Done(Done::default())
}

fn affected(rows: u64, info: String) -> Answer {
    Answer::Done(Done { affected_rows: rows, last_insert_id: 0, info })
}

fn no_columns() -> SchemaRef {
    Arc::new(Schema::empty())
}

fn unknown_statement(id: u32) -> Error {
    Error::new(
        Kind::UnknownStatement,
        format!("Unknown prepared statement handler ({id}) given to mysqld_stmt_execute"),
    )
}

/// Puts the values in place of `$1`, `$2`, … wherever a statement has expressions.
fn bind(mut statement: Statement, values: &[Expr]) -> Result<Statement> {
    if !values.is_empty() {
        literal::bind(&mut statement, values)?;
    }
    Ok(statement)
}
