//! What a statement says, as plain data: the result of [`parse`](super::parse). Queries and expressions stay
//! sqlparser's syntax trees, already rewritten so that DataFusion plans them. Nothing here knows whether a name
//! exists.

use std::fmt;

use sqlparser::ast::{Expr, Query, Value};

use crate::storage::types::Column;

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// SELECT, WITH, VALUES, TABLE, UNION …
    Query(Box<Query>),
    /// SHOW and DESCRIBE: a query over information_schema, valid only if `requires` exists.
    Show(Show),
    Explain(Explain),
    Insert(Insert),
    Delete(Delete),
    Update(Update),
    Truncate {
        table: TableName,
    },
    Optimize {
        tables: Vec<TableName>,
    },
    CreateDatabase {
        name: String,
        if_not_exists: bool,
    },
    DropDatabase {
        name: String,
        if_exists: bool,
    },
    CreateTable(Box<CreateTable>),
    DropTable {
        tables: Vec<TableName>,
        if_exists: bool,
    },
    AlterTable {
        table: TableName,
        operations: Vec<AlterOperation>,
    },
    Use(String),
    Set(Vec<Assignment>),
    Begin {
        read_only: bool,
        consistent_snapshot: bool,
    },
    Commit,
    Rollback,
    /// SAVEPOINT name.
    Savepoint(String),
    /// ROLLBACK TO [SAVEPOINT] name.
    RollbackTo(String),
    /// RELEASE SAVEPOINT name.
    ReleaseSavepoint(String),
    /// LOCK TABLES: the tables, so that unknown ones can be refused. Tables are versioned, so there is nothing to lock.
    LockTables(Vec<TableName>),
    UnlockTables,
    /// FLUSH PRIVILEGES, FLUSH TABLES …: nothing is cached that a statement could see stale.
    Flush,
    /// KILL [CONNECTION | QUERY] id; the id is usually a number literal.
    Kill {
        id: Box<Expr>,
        query_only: bool,
    },
    CreateUser {
        users: Vec<UserSpecification>,
        if_not_exists: bool,
    },
    AlterUser {
        users: Vec<UserSpecification>,
        if_exists: bool,
    },
    DropUser {
        users: Vec<UserName>,
        if_exists: bool,
    },
    /// SET PASSWORD [FOR user]; None is the user of this session.
    SetPassword {
        user: Option<UserName>,
        password: Secret,
    },
}

/// `[database.]table`; without a database the session's is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    pub database: Option<String>,
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.database {
            Some(database) => write!(f, "{database}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A SHOW or DESCRIBE as a query with MySQL's column names.
#[derive(Debug, Clone, PartialEq)]
pub struct Show {
    pub query: Box<Query>,
    /// What must exist before the query is run; MySQL answers 1049 or 1146 otherwise, not an empty result.
    pub requires: Requirement,
}

/// The object a SHOW is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    Nothing,
    Database(String),
    Table(TableName),
}

/// EXPLAIN [ANALYZE] [VERBOSE] statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    pub analyze: bool,
    pub verbose: bool,
    /// FORMAT=…, in upper case.
    pub format: Option<String>,
    pub statement: Box<Statement>,
}

/// INSERT INTO.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    pub table: TableName,
    /// As written; empty when the statement names none.
    pub columns: Vec<String>,
    pub source: InsertSource,
}

/// Where the rows of an INSERT come from.
#[derive(Debug, Clone, PartialEq)]
pub enum InsertSource {
    /// Rows of values, one row for INSERT … SET.
    Values(Vec<Vec<InsertValue>>),
    Query(Box<Query>),
}

/// One value of INSERT … VALUES. Most are plain literals, and an [`Expr`] is seven times as large as a [`Value`].
#[derive(Debug, Clone, PartialEq)]
pub enum InsertValue {
    /// The word DEFAULT.
    Default,
    /// NULL, a number (with its sign), a string, TRUE, FALSE or a hexadecimal string.
    Literal(Value),
    /// Anything else, a parameter too.
    Expr(Box<Expr>),
}

/// DELETE FROM.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    pub table: TableName,
    pub alias: Option<String>,
    /// None deletes all rows.
    pub selection: Option<Expr>,
}

/// UPDATE.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    pub table: TableName,
    pub alias: Option<String>,
    /// Column and new value; the value may be DEFAULT, see [`is_default`].
    pub assignments: Vec<(String, Expr)>,
    pub selection: Option<Expr>,
}

/// CREATE TABLE. Column names are as declared; whether the event columns exist is the catalog's business.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    pub table: TableName,
    pub if_not_exists: bool,
    /// Empty for CREATE TABLE … SELECT and for CREATE TABLE … LOCATION.
    pub columns: Vec<Column>,
    pub keys: Vec<KeyClause>,
    pub user_column: Option<String>,
    pub time_column: Option<String>,
    pub event_column: Option<String>,
    /// URL or folder of a Delta table that exists already.
    pub location: Option<String>,
    pub comment: String,
    /// CREATE TABLE … [AS] SELECT.
    pub query: Option<Box<Query>>,
    /// CREATE TABLE … LIKE other.
    pub like: Option<TableName>,
    /// What was accepted without effect, for SHOW WARNINGS.
    pub warnings: Vec<String>,
}

/// A KEY, INDEX, UNIQUE or PRIMARY KEY clause: kept, not enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyClause {
    pub kind: KeyKind,
    /// MySQL's rule fills it: PRIMARY, the given name, or the first column's name.
    pub name: String,
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Primary,
    Unique,
    Index,
}

/// One clause of ALTER TABLE.
#[derive(Debug, Clone, PartialEq)]
pub enum AlterOperation {
    AddColumn { column: Column, if_not_exists: bool },
}

/// One assignment of a SET statement, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Assignment {
    /// A system variable; the name is in lower case.
    System { scope: Scope, name: String, value: SetValue },
    /// `@name = value`; the name is in lower case and without `@`.
    User { name: String, value: Expr },
    /// SET NAMES: None is DEFAULT.
    Names { charset: Option<String>, collation: Option<String> },
    /// SET CHARACTER SET: None is DEFAULT.
    CharacterSet(Option<String>),
    /// SET [SESSION | GLOBAL] TRANSACTION; without a scope it holds for the next transaction only.
    Transaction { scope: Option<Scope>, isolation: Option<String>, read_only: Option<bool> },
}

/// How far a system variable reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    Session,
    Global,
    /// SET PERSIST and PERSIST_ONLY.
    Persist,
}

/// The right side of a system variable's assignment. A bare word (`ON`, `utf8mb4`) has become a string literal.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a SET has a handful of them")]
pub enum SetValue {
    Default,
    Expr(Expr),
}

/// A variable inside an expression, see [`substitute_variables`](super::rewrite::substitute_variables).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Variable {
    /// `@name`, lower case, without `@`.
    User(String),
    /// `@@[scope.]name`, lower case; VERSION() is `@@version`.
    System { scope: Option<Scope>, name: String },
    /// A function without arguments whose value only the session knows.
    Function(SessionFunction),
}

/// Functions without arguments whose value only the session knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionFunction {
    /// DATABASE(), SCHEMA().
    Database,
    /// USER(), SESSION_USER(), SYSTEM_USER(): the name as given and the host the client comes from.
    User,
    /// CURRENT_USER[()]: the account that let the client in.
    CurrentUser,
    /// CURRENT_ROLE().
    CurrentRole,
    ConnectionId,
    LastInsertId,
    RowCount,
    FoundRows,
}

/// `'name'@'host'`; the host is `%` when not given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserName {
    pub name: String,
    pub host: String,
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'@'{}'", self.name, self.host)
    }
}

/// A user of CREATE USER or ALTER USER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpecification {
    /// None is USER(), the user of this session (ALTER USER only).
    pub user: Option<UserName>,
    pub authentication: Option<Authentication>,
}

/// IDENTIFIED [WITH plugin] [BY 'password' | AS 'hash'].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// In lower case.
    pub plugin: Option<String>,
    pub secret: Option<SecretKind>,
}

/// What proves who the user is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretKind {
    /// BY: the password in clear.
    Password(Secret),
    /// AS: what the plugin stores, as MySQL prints it.
    Hash(Secret),
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Whether the right side of UPDATE … SET is the word DEFAULT.
pub fn is_default(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(ident) => ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"),
        _ => false,
    }
}
