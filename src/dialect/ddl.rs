//! CREATE, ALTER, DROP and OPTIMIZE of databases and tables.

use sqlparser::tokenizer::Token;

use super::column_definition::{self, ColumnDefinition};
use super::reader::Reader;
use super::statement::{AlterOperation, CreateTable, KeyClause, KeyKind, Statement, TableName};
use super::table_options;
use crate::error::{Error, Kind, Result};
use crate::storage::types::Column;

/// CREATE … ; the word has been taken.
pub(super) fn create(reader: &mut Reader<'_>) -> Result<Statement> {
    if reader.one_of(&["DATABASE", "SCHEMA"]).is_some() {
        let if_not_exists = reader.condition_words(&["IF", "NOT", "EXISTS"])?;
        let name = reader.identifier()?;
        table_options::database_options(reader)?;
        return Ok(Statement::CreateDatabase { name, if_not_exists });
    }
    if reader.word("TABLE") {
        return create_table(reader);
    }
    Err(Error::unsupported(format!("CREATE {}", kind_of_object(&reader.next_words(KIND_WORDS_MAX)))))
}

/// Words up to the kind of an object: CREATE OR REPLACE VIEW.
const KIND_WORDS_MAX: usize = 6;

/// `OR REPLACE VIEW v AS` is about a `OR REPLACE VIEW`.
fn kind_of_object(words: &str) -> String {
    const KINDS: &[&str] = &[
        "EVENT",
        "FUNCTION",
        "INDEX",
        "LOGFILE",
        "PROCEDURE",
        "ROLE",
        "SERVER",
        "SYSTEM",
        "TABLE",
        "TABLESPACE",
        "TRIGGER",
        "VIEW",
    ];
    let words: Vec<&str> = words.split(' ').collect();
    let end = words.iter().position(|word| KINDS.contains(word)).unwrap_or(0);
    words[..=end].join(" ")
}

/// DROP …; the word has been taken.
pub(super) fn drop(reader: &mut Reader<'_>) -> Result<Statement> {
    if reader.one_of(&["DATABASE", "SCHEMA"]).is_some() {
        let if_exists = reader.condition_words(&["IF", "EXISTS"])?;
        return Ok(Statement::DropDatabase { name: reader.identifier()?, if_exists });
    }
    if reader.one_of(&["TABLE", "TABLES"]).is_some() {
        let if_exists = reader.condition_words(&["IF", "EXISTS"])?;
        let tables = reader.comma_separated(Reader::table_name)?;
        reader.one_of(&["RESTRICT", "CASCADE"]);
        return Ok(Statement::DropTable { tables, if_exists });
    }
    Err(Error::unsupported(format!("DROP {}", reader.next_words(1))))
}

/// OPTIMIZE [NO_WRITE_TO_BINLOG | LOCAL] TABLE a, b; the first word has been taken.
pub(super) fn optimize(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.one_of(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
    if reader.one_of(&["TABLE", "TABLES"]).is_none() {
        return Err(reader.expected("TABLE"));
    }
    Ok(Statement::Optimize { tables: reader.comma_separated(Reader::table_name)? })
}

/// ALTER TABLE t ADD [COLUMN] …; the first word has been taken.
pub(super) fn alter(reader: &mut Reader<'_>) -> Result<Statement> {
    if !reader.word("TABLE") {
        return Err(Error::unsupported(format!("ALTER {}", reader.next_words(1))));
    }
    let table = reader.table_name()?;
    let mut operations = Vec::new();
    loop {
        alter_operation(reader, &mut operations)?;
        if !reader.token(&Token::Comma) {
            return Ok(Statement::AlterTable { table, operations });
        }
    }
}

fn alter_operation(reader: &mut Reader<'_>, operations: &mut Vec<AlterOperation>) -> Result<()> {
    const NO_COLUMN: &[&str] =
        &["CONSTRAINT", "PRIMARY", "UNIQUE", "KEY", "INDEX", "FOREIGN", "CHECK", "FULLTEXT", "SPATIAL", "PARTITION"];
    let is_key = NO_COLUMN.iter().any(|word| reader.is_word_at(1, word));
    if !reader.is_word("ADD") || is_key {
        return Err(Error::unsupported(format!("ALTER TABLE … {}", reader.next_words(2))));
    }
    reader.next();
    reader.word("COLUMN");
    let if_not_exists = reader.condition_words(&["IF", "NOT", "EXISTS"])?;
    let definitions = if matches!(reader.peek(), Token::LParen) {
        reader.bracketed(column_definition::read)?
    } else {
        vec![column_definition::read(reader)?]
    };
    for ColumnDefinition { column, key, .. } in definitions {
        if key.is_some() {
            return Err(Error::unsupported(format!("ALTER TABLE … ADD COLUMN {} with a key", column.name)));
        }
        operations.push(AlterOperation::AddColumn { column, if_not_exists });
    }
    if reader.is_word("FIRST") || reader.is_word("AFTER") {
        let place = reader.next_words(1);
        return Err(Error::unsupported(format!("ALTER TABLE … ADD COLUMN … {place}; new columns are the last")));
    }
    Ok(())
}

/// CREATE TABLE; the words have been taken.
fn create_table(reader: &mut Reader<'_>) -> Result<Statement> {
    let if_not_exists = reader.condition_words(&["IF", "NOT", "EXISTS"])?;
    let mut create = CreateTable {
        table: reader.table_name()?,
        if_not_exists,
        columns: Vec::new(),
        keys: Vec::new(),
        user_column: None,
        time_column: None,
        event_column: None,
        location: None,
        comment: String::new(),
        query: None,
        like: None,
        warnings: Vec::new(),
    };
    if let Some(like) = like(reader)? {
        create.like = Some(like);
        return Ok(Statement::CreateTable(Box::new(create)));
    }
    if matches!(reader.peek(), Token::LParen) && !is_query_in_brackets(reader) {
        definitions(reader, &mut create)?;
    }
    table_options::read(reader, &mut create)?;
    query(reader, &mut create)?;
    if create.columns.is_empty() && create.query.is_none() && create.location.is_none() {
        return Err(Error::new(Kind::Syntax, "A table must have at least 1 column"));
    }
    finish(&mut create)?;
    Ok(Statement::CreateTable(Box::new(create)))
}

fn like(reader: &mut Reader<'_>) -> Result<Option<TableName>> {
    if reader.word("LIKE") {
        return Ok(Some(reader.table_name()?));
    }
    if matches!(reader.peek(), Token::LParen) && reader.is_word_at(1, "LIKE") {
        reader.next();
        reader.next();
        let table = reader.table_name()?;
        reader.expect_token(&Token::RParen)?;
        return Ok(Some(table));
    }
    Ok(None)
}

fn is_query_in_brackets(reader: &Reader<'_>) -> bool {
    ["SELECT", "WITH", "TABLE", "VALUES"].iter().any(|word| reader.is_word_at(1, word))
        || reader.is_token_at(1, &Token::LParen)
}

/// `[IGNORE | REPLACE] [AS] query`.
fn query(reader: &mut Reader<'_>, create: &mut CreateTable) -> Result<()> {
    if let Some(word) = reader.one_of(&["IGNORE", "REPLACE"]) {
        return Err(Error::unsupported(format!("CREATE TABLE … {word} SELECT")));
    }
    let is_query = reader.word("AS")
        || matches!(reader.peek(), Token::LParen)
        || ["SELECT", "WITH", "TABLE", "VALUES"].iter().any(|word| reader.is_word(word));
    if is_query {
        create.query = Some(reader.query()?);
    }
    Ok(())
}

/// The columns and keys in brackets.
fn definitions(reader: &mut Reader<'_>, create: &mut CreateTable) -> Result<()> {
    reader.expect_token(&Token::LParen)?;
    loop {
        if !key(reader, create)? {
            let definition = column_definition::read(reader)?;
            if let Some(kind) = definition.key {
                create.keys.push(KeyClause {
                    kind,
                    name: String::new(),
                    columns: vec![definition.column.name.clone()],
                });
            }
            create.warnings.extend(definition.warning);
            create.columns.push(definition.column);
        }
        if !reader.token(&Token::Comma) {
            return reader.expect_token(&Token::RParen);
        }
    }
}

/// A key clause, if one comes next.
fn key(reader: &mut Reader<'_>, create: &mut CreateTable) -> Result<bool> {
    const KINDS: &[&str] = &["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"];
    let mut constraint_name = None;
    if reader.word("CONSTRAINT") {
        let is_named = !KINDS.iter().any(|kind| reader.is_word(kind));
        constraint_name = if is_named { Some(reader.identifier()?) } else { None };
        if !KINDS.iter().any(|kind| reader.is_word(kind)) {
            return Err(reader.expected("PRIMARY KEY, UNIQUE, FOREIGN KEY or CHECK"));
        }
    }
    let is_check = reader.is_word("CHECK") && reader.is_token_at(1, &Token::LParen);
    let is_foreign = reader.is_word("FOREIGN") && reader.is_word_at(1, "KEY");
    let is_special = (reader.is_word("FULLTEXT") || reader.is_word("SPATIAL"))
        && ["KEY", "INDEX"].iter().any(|word| reader.is_word_at(1, word))
        || ["FULLTEXT", "SPATIAL"].iter().any(|word| reader.is_word(word)) && reader.is_token_at(1, &Token::LParen);
    if is_check || is_foreign || is_special {
        return Err(Error::unsupported(format!("CREATE TABLE with {}", reader.next_words(2))));
    }
    let kind = if reader.words(&["PRIMARY", "KEY"]) {
        KeyKind::Primary
    } else if reader.word("UNIQUE") {
        reader.one_of(&["KEY", "INDEX"]);
        KeyKind::Unique
    } else if reader.one_of(&["KEY", "INDEX"]).is_some() {
        KeyKind::Index
    } else {
        return Ok(false);
    };
    let mut name = constraint_name;
    if !matches!(reader.peek(), Token::LParen) && !reader.is_word("USING") {
        name = Some(reader.identifier()?);
    }
    key_type(reader)?;
    let columns = reader.bracketed(key_column)?;
    table_options::key_options(reader)?;
    create.keys.push(KeyClause { kind, name: name.unwrap_or_default(), columns });
    Ok(true)
}

fn key_type(reader: &mut Reader<'_>) -> Result<()> {
    if reader.word("USING") && reader.one_of(&["BTREE", "HASH"]).is_none() {
        return Err(reader.expected("BTREE or HASH"));
    }
    Ok(())
}

/// `column[(length)] [ASC | DESC]`.
fn key_column(reader: &mut Reader<'_>) -> Result<String> {
    if matches!(reader.peek(), Token::LParen) {
        return Err(Error::unsupported("KEY of an expression"));
    }
    let name = reader.identifier()?;
    if reader.token(&Token::LParen) {
        reader.integer()?;
        reader.expect_token(&Token::RParen)?;
    }
    reader.one_of(&["ASC", "DESC"]);
    Ok(name)
}

/// Checks names and gives keys theirs; the columns of a PRIMARY KEY are NOT NULL.
fn finish(create: &mut CreateTable) -> Result<()> {
    for (at, column) in create.columns.iter().enumerate() {
        let is_known = |other: &Column| other.name.eq_ignore_ascii_case(&column.name);
        if create.columns[..at].iter().any(is_known) {
            return Err(Error::new(Kind::DuplicateColumn, format!("Duplicate column name '{}'", column.name)));
        }
    }
    if create.keys.iter().filter(|key| key.kind == KeyKind::Primary).count() > 1 {
        return Err(Error::new(Kind::Syntax, "Multiple primary key defined"));
    }
    for at in 0..create.keys.len() {
        for name in create.keys[at].columns.clone() {
            let column = create.columns.iter_mut().find(|column| column.name.eq_ignore_ascii_case(&name));
            let Some(column) = column else {
                let message = format!("Key column '{name}' doesn't exist in table");
                return Err(Error::new(Kind::UnknownColumn, message));
            };
            if create.keys[at].kind == KeyKind::Primary {
                column.nullable = false;
            }
        }
        let name = key_name(&create.keys, at);
        create.keys[at].name = name;
    }
    if !create.keys.is_empty() {
        create.warnings.push("PRIMARY KEY, UNIQUE and KEY clauses are kept, not enforced".to_owned());
    }
    Ok(())
}

/// MySQL's rule: PRIMARY, the given name, or the first column's with a number if that is taken.
fn key_name(keys: &[KeyClause], at: usize) -> String {
    let key = &keys[at];
    if key.kind == KeyKind::Primary {
        return "PRIMARY".to_owned();
    }
    if !key.name.is_empty() {
        return key.name.clone();
    }
    let first = key.columns.first().cloned().unwrap_or_default();
    let is_taken =
        |name: &str| keys.iter().enumerate().any(|(other, key)| other != at && key.name.eq_ignore_ascii_case(name));
    (1..)
        .map(|count| if count == 1 { first.clone() } else { format!("{first}_{count}") })
        .find(|name| !is_taken(name))
        .unwrap_or(first)
}
