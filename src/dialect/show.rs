//! SHOW and DESCRIBE: each is a query over information_schema with MySQL's column names, so that there is one door for
//! metadata. A new SHOW is an arm of [`show`] and usually a [`Listing`].

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Value, VisitMut, VisitorMut};
use sqlparser::tokenizer::Token;

use super::column_definition::quoted;
use super::mysql::DesirepathDialect;
use super::reader::Reader;
use super::show_columns::{
    self, EVENT_COLUMNS, INDEX_COLUMNS, INFORMATION_SCHEMA, Listing, ROUTINE_COLUMNS, TABLE_STATUS_COLUMNS,
    TRIGGER_COLUMNS,
};
use super::source::{self, Source};
use super::statement::{Requirement, Show, Statement, TableName};
use super::{ParseContext, rewrite, user};
use crate::error::{Error, Result};

impl Show {
    /// Writes the database and the table as the catalog spells them: a name may be written in another case.
    pub fn respell(&mut self, database: &str, table: Option<&str>) {
        struct Respelling<'n> {
            database: &'n str,
            table: Option<&'n str>,
        }
        impl VisitorMut for Respelling<'_> {
            type Break = ();

            fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
                let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = expr else {
                    return ControlFlow::Continue(());
                };
                let Expr::Identifier(column) = left.as_ref() else { return ControlFlow::Continue(()) };
                let actual = match column.value.as_str() {
                    "TABLE_SCHEMA" | "object_schema" => Some(self.database),
                    "object_name" => self.table.or(Some(self.database)),
                    "TABLE_NAME" => self.table,
                    _ => None,
                };
                if let (Some(actual), Expr::Value(written)) = (actual, right.as_mut()) {
                    written.value = Value::SingleQuotedString(actual.to_owned());
                }
                ControlFlow::Continue(())
            }
        }
        let _: ControlFlow<()> = self.query.visit(&mut Respelling { database, table });
    }
}

/// `LIKE 'pattern'` or `WHERE condition` at the end of a SHOW.
enum Filter {
    None,
    Like(String),
    Where(Box<Expr>),
}

fn filter(reader: &mut Reader<'_>) -> Result<Filter> {
    if reader.word("LIKE") {
        return Ok(Filter::Like(reader.string()?));
    }
    if reader.word("WHERE") {
        return Ok(Filter::Where(Box::new(reader.condition()?)));
    }
    Ok(Filter::None)
}

/// Kinds of SHOW without a word in front.
const KINDS: &[&str] = &[
    "DATABASES",
    "SCHEMAS",
    "CREATE",
    "INDEX",
    "INDEXES",
    "KEYS",
    "TABLE",
    "WARNINGS",
    "ERRORS",
    "COUNT",
    "GRANTS",
    "FUNCTION",
    "PROCEDURE",
    "EVENTS",
    "TRIGGERS",
    "ENGINES",
    "STORAGE",
    "CHARACTER",
    "CHARSET",
    "COLLATION",
    "PLUGINS",
];

/// SHOW; the word has been taken.
pub(super) fn show(reader: &mut Reader<'_>) -> Result<Statement> {
    let is_extended = reader.word("EXTENDED");
    let is_full = reader.word("FULL");
    if let Some(what) = reader.one_of(&["COLUMNS", "FIELDS"]) {
        return if is_extended {
            Err(Error::unsupported(format!("SHOW EXTENDED {what}")))
        } else {
            columns(reader, is_full)
        };
    }
    if reader.word("TABLES") {
        return tables(reader, is_full);
    }
    if reader.word("PROCESSLIST") {
        return listed(reader, show_columns::processes(is_full), "");
    }
    let scope = reader.one_of(&["GLOBAL", "SESSION", "LOCAL"]);
    if let Some(what) = reader.one_of(&["VARIABLES", "STATUS"]) {
        return variables(reader, what, scope == Some("GLOBAL"));
    }
    let Some(kind) = KINDS.iter().find(|kind| reader.is_word(kind)).filter(|_| !is_full && scope.is_none()) else {
        let words = reader.next_words(2);
        if words.is_empty() {
            return Err(reader.expected("what to show"));
        }
        return Err(Error::unsupported(format!("SHOW {words}")));
    };
    reader.next();
    show_kind(reader, kind)
}

fn show_kind(reader: &mut Reader<'_>, kind: &str) -> Result<Statement> {
    match kind {
        "DATABASES" | "SCHEMAS" => databases(reader),
        "CREATE" => create(reader),
        "INDEX" | "INDEXES" | "KEYS" => indexes(reader),
        "TABLE" => table_status(reader),
        "WARNINGS" | "ERRORS" => warnings(reader, kind),
        "COUNT" => warning_count(reader),
        "GRANTS" => grants(reader),
        "FUNCTION" | "PROCEDURE" => routines(reader, kind),
        "EVENTS" => nothing(reader, EVENT_COLUMNS),
        "TRIGGERS" => nothing(reader, TRIGGER_COLUMNS),
        "STORAGE" => {
            reader.expect_word("ENGINES")?;
            listed(reader, show_columns::engines(), "ENGINE")
        }
        "ENGINES" => listed(reader, show_columns::engines(), "ENGINE"),
        "CHARACTER" => {
            reader.expect_word("SET")?;
            listed(reader, show_columns::character_sets(), "CHARACTER_SET_NAME")
        }
        "CHARSET" => listed(reader, show_columns::character_sets(), "CHARACTER_SET_NAME"),
        "COLLATION" => listed(reader, show_columns::collations(), "COLLATION_NAME"),
        _ => listed(reader, show_columns::plugins(), "PLUGIN_NAME"),
    }
}

/// DESCRIBE table [column | 'pattern']; the word has been taken.
pub(super) fn describe(reader: &mut Reader<'_>) -> Result<Statement> {
    let table = reader.table_name()?;
    let pattern = match reader.peek() {
        Token::EOF | Token::SemiColon => None,
        _ => Some(reader.name_or_string()?),
    };
    let filter = pattern.map_or(Filter::None, Filter::Like);
    table_columns(reader, table, false, filter)
}

/// A query made here, read like any other.
fn query_of(sql: &str) -> Result<Box<sqlparser::ast::Query>> {
    let context = ParseContext::default();
    let dialect = DesirepathDialect::new(&context);
    let source = Source::new(sql, false);
    let tokens = source::tokens(&dialect, &source)?;
    Reader::new(&dialect, &source, &context, tokens)?.query()
}

fn shown(sql: &str, filter: Filter, requires: Requirement) -> Result<Statement> {
    let mut query = query_of(sql)?;
    if let Filter::Where(condition) = filter {
        rewrite::filter_by_aliases(&mut query, *condition);
    }
    Ok(Statement::Show(Show { query, requires }))
}

/// A listing that a filter may follow; LIKE looks at `like_column`.
fn listed(reader: &mut Reader<'_>, listing: Listing, like_column: &str) -> Result<Statement> {
    let filter = filter(reader)?;
    finish(listing, like_column, filter, Requirement::Nothing)
}

fn finish(listing: Listing, like_column: &str, filter: Filter, requires: Requirement) -> Result<Statement> {
    let listing = match &filter {
        Filter::Like(pattern) if like_column.is_empty() => {
            return Err(Error::unsupported(format!("LIKE '{pattern}' in this SHOW")));
        }
        // Names in LIKE compare without case, as in MySQL.
        Filter::Like(pattern) => {
            listing.condition(format!("LOWER({like_column}) LIKE {}", quoted(&pattern.to_lowercase())))
        }
        _ => listing,
    };
    shown(&listing.sql(), filter, requires)
}

/// `[FROM | IN] database`, else the session's.
fn database(reader: &mut Reader<'_>) -> Result<String> {
    match reader.one_of(&["FROM", "IN"]) {
        Some(_) => reader.identifier().map(spelled),
        None => reader.database().map(spelled),
    }
}

/// `FROM table [FROM database]`.
fn table(reader: &mut Reader<'_>) -> Result<TableName> {
    if reader.one_of(&["FROM", "IN"]).is_none() {
        return Err(reader.expected("FROM"));
    }
    let mut table = reader.table_name()?;
    if reader.one_of(&["FROM", "IN"]).is_some() {
        table.database = Some(reader.identifier()?);
    }
    Ok(table)
}

/// The table with its database; tables of information_schema have upper-case names.
fn qualified(reader: &Reader<'_>, table: TableName) -> Result<(String, String)> {
    let database = match table.database {
        Some(database) => spelled(database),
        None => spelled(reader.database()?),
    };
    let name = if database == INFORMATION_SCHEMA { table.name.to_uppercase() } else { table.name };
    Ok((database, name))
}

/// Any case of `information_schema` is that one.
fn spelled(database: String) -> String {
    if database.eq_ignore_ascii_case(INFORMATION_SCHEMA) { INFORMATION_SCHEMA.to_owned() } else { database }
}

/// Restricts a listing to one table, and says that it must exist.
fn of_table(reader: &Reader<'_>, listing: Listing, table: TableName) -> Result<(Listing, Requirement)> {
    let (database, name) = qualified(reader, table)?;
    let listing = listing.named("TABLE_SCHEMA", &database).named("TABLE_NAME", &name);
    Ok((listing, Requirement::Table(TableName { database: Some(database), name })))
}

fn with_pattern(name: &str, filter: &Filter) -> String {
    match filter {
        Filter::Like(pattern) => format!("{name} ({pattern})"),
        _ => name.to_owned(),
    }
}

fn databases(reader: &mut Reader<'_>) -> Result<Statement> {
    let filter = filter(reader)?;
    let name = with_pattern("Database", &filter);
    let listing = Listing::new("SCHEMATA", &[(&name, "SCHEMA_NAME")], "SCHEMA_NAME");
    finish(listing, "SCHEMA_NAME", filter, Requirement::Nothing)
}

fn tables(reader: &mut Reader<'_>, is_full: bool) -> Result<Statement> {
    let database = database(reader)?;
    let filter = filter(reader)?;
    let name = with_pattern(&format!("Tables_in_{database}"), &filter);
    let mut columns = vec![(name.as_str(), "TABLE_NAME")];
    if is_full {
        columns.push(("Table_type", "TABLE_TYPE"));
    }
    let listing = Listing::new("TABLES", &columns, "TABLE_NAME").named("TABLE_SCHEMA", &database);
    finish(listing, "TABLE_NAME", filter, Requirement::Database(database))
}

fn columns(reader: &mut Reader<'_>, is_full: bool) -> Result<Statement> {
    let table = table(reader)?;
    let filter = filter(reader)?;
    table_columns(reader, table, is_full, filter)
}

fn table_columns(reader: &Reader<'_>, table: TableName, is_full: bool, filter: Filter) -> Result<Statement> {
    let mut columns = vec![("Field", "COLUMN_NAME"), ("Type", "COLUMN_TYPE")];
    if is_full {
        columns.push(("Collation", "COLLATION_NAME"));
    }
    columns.extend([("Null", "IS_NULLABLE"), ("Key", "COLUMN_KEY"), ("Default", "COLUMN_DEFAULT"), ("Extra", "EXTRA")]);
    if is_full {
        columns.extend([("Privileges", "PRIVILEGES"), ("Comment", "COLUMN_COMMENT")]);
    }
    let (listing, requires) = of_table(reader, Listing::new("COLUMNS", &columns, "ORDINAL_POSITION"), table)?;
    finish(listing, "COLUMN_NAME", filter, requires)
}

fn indexes(reader: &mut Reader<'_>) -> Result<Statement> {
    let table = table(reader)?;
    let listing = Listing::new("STATISTICS", INDEX_COLUMNS, "NON_UNIQUE, INDEX_NAME, SEQ_IN_INDEX");
    let (listing, requires) = of_table(reader, listing, table)?;
    let filter = filter(reader)?;
    finish(listing, "INDEX_NAME", filter, requires)
}

fn table_status(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.expect_word("STATUS")?;
    let database = database(reader)?;
    let listing = Listing::new("TABLES", TABLE_STATUS_COLUMNS, "TABLE_NAME").named("TABLE_SCHEMA", &database);
    let filter = filter(reader)?;
    finish(listing, "TABLE_NAME", filter, Requirement::Database(database))
}

/// SHOW CREATE TABLE, SHOW CREATE DATABASE [IF NOT EXISTS].
fn create(reader: &mut Reader<'_>) -> Result<Statement> {
    const TABLE: &str = "create_statements";
    if reader.one_of(&["DATABASE", "SCHEMA"]).is_some() {
        reader.condition_words(&["IF", "NOT", "EXISTS"])?;
        let name = reader.identifier().map(spelled)?;
        let columns = [("Database", "object_name"), ("Create Database", "create_statement")];
        let listing = Listing::new(TABLE, &columns, "").named("object_name", &name);
        let listing = listing.condition("object_type = 'DATABASE'".to_owned());
        return finish(listing, "", Filter::None, Requirement::Database(name));
    }
    if !reader.word("TABLE") {
        return Err(Error::unsupported(format!("SHOW CREATE {}", reader.next_words(1))));
    }
    let table = reader.table_name()?;
    let (database, name) = qualified(reader, table)?;
    let columns = [("Table", "object_name"), ("Create Table", "create_statement")];
    let listing = Listing::new(TABLE, &columns, "").condition("object_type = 'TABLE'".to_owned());
    let listing = listing.named("object_schema", &database).named("object_name", &name);
    let requires = Requirement::Table(TableName { database: Some(database), name });
    finish(listing, "", Filter::None, requires)
}

fn variables(reader: &mut Reader<'_>, what: &str, is_global: bool) -> Result<Statement> {
    let table = match what {
        "STATUS" => "session_status",
        _ if is_global => "global_variables",
        _ => "session_variables",
    };
    let columns = [("Variable_name", "VARIABLE_NAME"), ("Value", "VARIABLE_VALUE")];
    listed(reader, Listing::new(table, &columns, "VARIABLE_NAME"), "VARIABLE_NAME")
}

fn warnings(reader: &mut Reader<'_>, kind: &str) -> Result<Statement> {
    let columns = [("Level", "level"), ("Code", "code"), ("Message", "message")];
    let mut listing = Listing::new("warnings", &columns, "");
    if kind == "ERRORS" {
        listing = listing.condition("level = 'Error'".to_owned());
    }
    let mut sql = listing.sql();
    if reader.word("LIMIT") {
        let first = reader.integer()?;
        match reader.token(&Token::Comma) {
            true => sql.push_str(&format!(" LIMIT {first}, {}", reader.integer()?)),
            false => sql.push_str(&format!(" LIMIT {first}")),
        }
    }
    shown(&sql, Filter::None, Requirement::Nothing)
}

/// SHOW COUNT(*) WARNINGS.
fn warning_count(reader: &mut Reader<'_>) -> Result<Statement> {
    for token in [Token::LParen, Token::Mul, Token::RParen] {
        reader.expect_token(&token)?;
    }
    let (condition, name) = match reader.one_of(&["WARNINGS", "ERRORS"]) {
        Some("WARNINGS") => ("", "warning_count"),
        Some(_) => (" WHERE level = 'Error'", "error_count"),
        None => return Err(reader.expected("WARNINGS or ERRORS")),
    };
    let sql = format!("SELECT COUNT(*) AS `@@session.{name}` FROM {INFORMATION_SCHEMA}.warnings{condition}");
    shown(&sql, Filter::None, Requirement::Nothing)
}

/// There are no grants yet: whoever may log in may do everything.
fn grants(reader: &mut Reader<'_>) -> Result<Statement> {
    let user = if reader.word("FOR") { user::account(reader)? } else { None };
    let (name, account) = match user {
        Some(user) => {
            (format!("Grants for {}@{}", user.name, user.host), quoted(&format!("{}@{}", user.name, user.host)))
        }
        None => ("Grants for CURRENT_USER".to_owned(), "CURRENT_USER()".to_owned()),
    };
    let sql = format!(
        "SELECT CONCAT('GRANT ALL PRIVILEGES ON *.* TO `', REPLACE({account}, '@', '`@`'), '` WITH GRANT OPTION') \
         AS `{}`",
        name.replace('`', "``")
    );
    shown(&sql, Filter::None, Requirement::Nothing)
}

fn routines(reader: &mut Reader<'_>, kind: &str) -> Result<Statement> {
    reader.expect_word("STATUS")?;
    let listing = Listing::new("ROUTINES", ROUTINE_COLUMNS, "ROUTINE_SCHEMA, ROUTINE_NAME");
    listed(reader, listing.condition(format!("ROUTINE_TYPE = '{kind}'")), "ROUTINE_NAME")
}

/// Objects that do not exist here: no rows, but the columns.
fn nothing(reader: &mut Reader<'_>, columns: &[&str]) -> Result<Statement> {
    let mut requires = Requirement::Nothing;
    if reader.one_of(&["FROM", "IN"]).is_some() {
        requires = Requirement::Database(reader.identifier()?);
    }
    filter(reader)?;
    let columns: Vec<String> = columns.iter().map(|name| format!("'' AS `{name}`")).collect();
    shown(&format!("SELECT {} WHERE 1 = 0", columns.join(", ")), Filter::None, requires)
}
