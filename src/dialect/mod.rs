//! From a text in MySQL's dialect to a [`Statement`]: tokens, statement, rewritten expressions and queries. Knows no
//! catalog, no session and no types; never matches text with regular expressions.

pub mod rewrite; // passes over the syntax tree, each with its reason
pub mod script; // a script's statements, quotes and comments
pub mod statement; // what a statement says

mod column_definition; // a column of CREATE TABLE
mod ddl; // CREATE, ALTER, DROP of databases and tables
mod dml; // INSERT, UPDATE, DELETE
mod insert_rows; // the rows of INSERT … VALUES
mod mysql; // MySQL's grammar as hooks of sqlparser
mod reader; // one statement being read
mod set; // SET
mod show; // SHOW and DESCRIBE as queries
mod show_columns; // the columns of each SHOW
mod source; // the text of a statement and its tokens
mod table_options; // what stands behind CREATE TABLE's columns
mod user; // accounts
mod visit; // walks the expressions of any statement

use sqlparser::ast::Expr;
use sqlparser::tokenizer::Token;

use crate::error::{Error, Kind, Result};
use mysql::DesirepathDialect;
use reader::Reader;
use source::Source;
use statement::{Explain, Statement};

/// What of the session decides how a text is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ParseContext<'s> {
    /// The session's database.
    pub database: Option<&'s str>,
    /// sql_mode ANSI_QUOTES: `"x"` is an identifier.
    pub ansi_quotes: bool,
    /// sql_mode NO_BACKSLASH_ESCAPES.
    pub no_backslash_escapes: bool,
    /// sql_mode PIPES_AS_CONCAT: `||` joins strings.
    pub pipes_as_concat: bool,
}

/// A statement and how many `?` it has; they have become `$1`, `$2`, … in the order of the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    pub statement: Statement,
    pub parameters: usize,
}

/// Statements that are known and not there yet, by their first words; 1235 names them.
const UNSUPPORTED: &[&[&str]] = &[
    &["ANALYZE", "TABLE"],
    &["CALL"],
    &["CHECK", "TABLE"],
    &["CHECKSUM", "TABLE"],
    &["DEALLOCATE", "PREPARE"],
    &["DO"],
    &["EXECUTE"],
    &["GRANT"],
    &["HANDLER"],
    &["IMPORT", "TABLE"],
    &["INSTALL"],
    &["LOAD", "DATA"],
    &["PREPARE"],
    &["PURGE"],
    &["RENAME", "TABLE"],
    &["RENAME", "USER"],
    &["REPAIR", "TABLE"],
    &["REPLACE"],
    &["RESET"],
    &["REVOKE"],
    &["SHUTDOWN"],
    &["SIGNAL"],
    &["XA"],
];

/// Reads exactly one statement.
///
/// # Errors
/// 1064 with the place for a syntax error, 1065 for an empty text, 1235 for what is not there yet, by name.
pub fn parse(text: &str, context: &ParseContext<'_>) -> Result<Statement> {
    prepare(text, context).map(|prepared| prepared.statement)
}

/// Reads exactly one statement that may have `?` parameters.
///
/// # Errors
/// As [`parse`].
pub fn prepare(text: &str, context: &ParseContext<'_>) -> Result<Prepared> {
    let dialect = DesirepathDialect::new(context);
    let source = Source::new(text, context.no_backslash_escapes);
    if let Some(insert) = dml::insert_values(&dialect, &source, context)? {
        return Ok(insert);
    }
    let mut tokens = source::tokens(&dialect, &source)?;
    if tokens.iter().all(|token| token.token == Token::SemiColon) {
        return Err(Error::new(Kind::EmptyQuery, "Query was empty"));
    }
    let parameters = source::number_parameters(&mut tokens, 0);
    let mut reader = Reader::new(&dialect, &source, context, tokens)?;
    let statement = statement(&mut reader)?;
    reader.end()?;
    Ok(Prepared { statement, parameters })
}

/// Reads one expression: a column's DEFAULT as it was kept.
///
/// # Errors
/// As [`parse`].
pub fn parse_expression(text: &str, context: &ParseContext<'_>) -> Result<Expr> {
    let dialect = DesirepathDialect::new(context);
    let source = Source::new(text, context.no_backslash_escapes);
    let tokens = source::tokens(&dialect, &source)?;
    let mut reader = Reader::new(&dialect, &source, context, tokens)?;
    let expr = reader.expression()?;
    reader.end()?;
    Ok(expr)
}

fn statement(reader: &mut Reader<'_>) -> Result<Statement> {
    if let Some(words) = UNSUPPORTED.iter().find(|words| starts_with(reader, words)) {
        return Err(Error::unsupported(words.join(" ")));
    }
    if matches!(reader.peek(), Token::LParen) {
        return Ok(Statement::Query(reader.query()?));
    }
    const FIRST: &[&str] = &[
        "ALTER",
        "BEGIN",
        "COMMIT",
        "CREATE",
        "DELETE",
        "DESC",
        "DESCRIBE",
        "DROP",
        "EXPLAIN",
        "FLUSH",
        "INSERT",
        "KILL",
        "LOCK",
        "OPTIMIZE",
        "RELEASE",
        "ROLLBACK",
        "SAVEPOINT",
        "SELECT",
        "SET",
        "SHOW",
        "START",
        "TABLE",
        "TRUNCATE",
        "UNLOCK",
        "UPDATE",
        "USE",
        "VALUES",
        "WITH",
    ];
    let Some(first) = FIRST.iter().find(|word| reader.is_word(word)) else {
        return Err(reader.expected("a statement"));
    };
    if matches!(*first, "SELECT" | "TABLE" | "VALUES" | "WITH") {
        return Ok(Statement::Query(reader.query()?));
    }
    reader.next();
    match *first {
        "ALTER" if reader.is_word("USER") => user::alter(reader),
        "ALTER" => ddl::alter(reader),
        "CREATE" if reader.is_word("USER") => user::create(reader),
        "CREATE" => ddl::create(reader),
        "DROP" if reader.is_word("USER") => user::drop(reader),
        "DROP" => ddl::drop(reader),
        "DELETE" => dml::delete(reader),
        "INSERT" => dml::insert(reader),
        "UPDATE" => dml::update(reader),
        "TRUNCATE" => {
            reader.word("TABLE");
            Ok(Statement::Truncate { table: reader.table_name()? })
        }
        "OPTIMIZE" => ddl::optimize(reader),
        "DESC" | "DESCRIBE" | "EXPLAIN" => explain(reader),
        "SHOW" => show::show(reader),
        "SET" => set::set(reader),
        "KILL" => kill(reader),
        "USE" => Ok(Statement::Use(reader.identifier()?)),
        "FLUSH" => flush(reader),
        "LOCK" | "UNLOCK" => lock(reader, *first == "LOCK"),
        _ => transaction(reader, first),
    }
}

fn starts_with(reader: &Reader<'_>, words: &[&str]) -> bool {
    words.iter().enumerate().all(|(at, word)| reader.is_word_at(at, word))
}

/// BEGIN, START TRANSACTION, COMMIT, ROLLBACK, SAVEPOINT, RELEASE SAVEPOINT; the first word has been taken.
fn transaction(reader: &mut Reader<'_>, first: &str) -> Result<Statement> {
    match first {
        "BEGIN" => {
            reader.word("WORK");
            Ok(Statement::Begin { read_only: false, consistent_snapshot: false })
        }
        "START" => start_transaction(reader),
        "SAVEPOINT" => Ok(Statement::Savepoint(reader.identifier()?)),
        "RELEASE" => {
            reader.expect_word("SAVEPOINT")?;
            Ok(Statement::ReleaseSavepoint(reader.identifier()?))
        }
        _ => {
            reader.word("WORK");
            if first == "ROLLBACK" && reader.word("TO") {
                reader.word("SAVEPOINT");
                return Ok(Statement::RollbackTo(reader.identifier()?));
            }
            end_of_transaction(reader)?;
            Ok(if first == "COMMIT" { Statement::Commit } else { Statement::Rollback })
        }
    }
}

fn start_transaction(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.expect_word("TRANSACTION")?;
    let (mut read_only, mut consistent_snapshot) = (false, false);
    while !reader.is_end() {
        if reader.words(&["WITH", "CONSISTENT", "SNAPSHOT"]) {
            consistent_snapshot = true;
        } else if reader.words(&["READ", "ONLY"]) {
            read_only = true;
        } else if !reader.words(&["READ", "WRITE"]) {
            return Err(reader.expected("WITH CONSISTENT SNAPSHOT, READ ONLY or READ WRITE"));
        }
        if !reader.token(&Token::Comma) {
            break;
        }
    }
    Ok(Statement::Begin { read_only, consistent_snapshot })
}

/// `[AND [NO] CHAIN] [[NO] RELEASE]`, of which only the NO forms mean nothing.
fn end_of_transaction(reader: &mut Reader<'_>) -> Result<()> {
    if reader.words(&["AND", "CHAIN"]) {
        return Err(Error::unsupported("AND CHAIN"));
    }
    reader.words(&["AND", "NO", "CHAIN"]);
    reader.words(&["NO", "RELEASE"]);
    if reader.word("RELEASE") {
        return Err(Error::unsupported("COMMIT or ROLLBACK … RELEASE"));
    }
    Ok(())
}

/// EXPLAIN [ANALYZE] [VERBOSE] [FORMAT = name] statement, or DESCRIBE table.
fn explain(reader: &mut Reader<'_>) -> Result<Statement> {
    let (mut analyze, mut verbose, mut format) = (false, false, None);
    loop {
        if reader.is_word("FORMAT") && reader.is_token_at(1, &Token::Eq) {
            reader.next();
            reader.next();
            format = Some(reader.name_or_string()?.to_uppercase());
            continue;
        }
        match reader.one_of(&["ANALYZE", "VERBOSE", "EXTENDED", "PARTITIONS"]) {
            Some("ANALYZE") => analyze = true,
            Some("VERBOSE") => verbose = true,
            Some(_) => {}
            None => break,
        }
    }
    if reader.words(&["FOR", "CONNECTION"]) {
        return Err(Error::unsupported("EXPLAIN FOR CONNECTION"));
    }
    const EXPLAINED: &[&str] = &["SELECT", "WITH", "TABLE", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE", "SHOW"];
    let is_statement = EXPLAINED.iter().any(|word| reader.is_word(word)) || matches!(reader.peek(), Token::LParen);
    if !is_statement {
        return show::describe(reader);
    }
    let statement = Box::new(statement(reader)?);
    Ok(Statement::Explain(Explain { analyze, verbose, format, statement }))
}

fn kill(reader: &mut Reader<'_>) -> Result<Statement> {
    let query_only = reader.one_of(&["QUERY", "CONNECTION"]) == Some("QUERY");
    Ok(Statement::Kill { id: Box::new(reader.expression()?), query_only })
}

/// FLUSH what: nothing is cached that a statement could see stale, so the words are read over.
fn flush(reader: &mut Reader<'_>) -> Result<Statement> {
    if reader.is_end() {
        return Err(reader.expected("what to flush"));
    }
    while !reader.is_end() {
        reader.next();
    }
    Ok(Statement::Flush)
}

/// LOCK TABLES t [[AS] alias] READ [LOCAL] | [LOW_PRIORITY] WRITE, …; UNLOCK TABLES.
fn lock(reader: &mut Reader<'_>, is_lock: bool) -> Result<Statement> {
    if reader.one_of(&["TABLES", "TABLE"]).is_none() {
        return Err(Error::unsupported(format!(
            "{} {}",
            if is_lock { "LOCK" } else { "UNLOCK" },
            reader.next_words(2)
        )));
    }
    if !is_lock {
        return Ok(Statement::UnlockTables);
    }
    let tables = reader.comma_separated(|reader| {
        let table = reader.table_name()?;
        let is_kind = |reader: &Reader<'_>| ["READ", "WRITE", "LOW_PRIORITY"].iter().any(|word| reader.is_word(word));
        if reader.word("AS") || !is_kind(reader) {
            reader.identifier()?;
        }
        reader.word("LOW_PRIORITY");
        if reader.one_of(&["READ", "WRITE"]).is_none() {
            return Err(reader.expected("READ or WRITE"));
        }
        reader.word("LOCAL");
        Ok(table)
    })?;
    Ok(Statement::LockTables(tables))
}
