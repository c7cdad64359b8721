//! INSERT, UPDATE and DELETE. The rows of INSERT … VALUES have a reader of their own, `insert_rows`.

use sqlparser::ast::{Expr, UnaryOperator, Value, ValueWithSpan};
use sqlparser::tokenizer::Token;

use super::insert_rows;
use super::mysql::DesirepathDialect;
use super::reader::Reader;
use super::source::{self, Source};
use super::statement::{Delete, Insert, InsertSource, InsertValue, Statement, TableName, Update, is_default};
use super::{ParseContext, Prepared};
use crate::error::{Error, Result};

/// Reads INSERT … VALUES, whose rows may be tens of megabytes, row by row; None for any other statement.
///
/// # Errors
/// As [`parse`](super::parse).
pub(super) fn insert_values(
    dialect: &DesirepathDialect,
    source: &Source<'_>,
    context: &ParseContext<'_>,
) -> Result<Option<Prepared>> {
    let Some(values) = insert_rows::values_word(source.text(), context) else { return Ok(None) };
    let head = Source::part(source.text(), 0..values.start);
    let tokens = source::tokens(dialect, &head)?;
    let mut reader = Reader::new(dialect, &head, context, tokens)?;
    reader.expect_word("INSERT")?;
    let (table, columns) = target(&mut reader)?;
    reader.end()?;
    let (rows, parameters) = insert_rows::read(dialect, source.text(), values.end, context)?;
    let insert = Insert { table, columns, source: InsertSource::Values(rows) };
    Ok(Some(Prepared { statement: Statement::Insert(insert), parameters }))
}

/// INSERT; the word has been taken.
pub(super) fn insert(reader: &mut Reader<'_>) -> Result<Statement> {
    let (table, mut columns) = target(reader)?;
    let source = if reader.one_of(&["VALUES", "VALUE"]).is_some() {
        InsertSource::Values(reader.comma_separated(|reader| {
            reader.word("ROW");
            reader.bracketed(value)
        })?)
    } else if reader.word("SET") {
        if !columns.is_empty() {
            return Err(reader.expected("VALUES or a query"));
        }
        let assignments = reader.comma_separated(|reader| {
            columns.push(column(reader)?);
            reader.expect_token(&Token::Eq)?;
            value(reader)
        })?;
        InsertSource::Values(vec![assignments])
    } else {
        InsertSource::Query(reader.query()?)
    };
    if reader.is_word("ON") || reader.is_word("AS") {
        return Err(on_duplicate_key());
    }
    Ok(Statement::Insert(Insert { table, columns, source }))
}

pub(super) fn on_duplicate_key() -> Error {
    Error::unsupported("INSERT … ON DUPLICATE KEY UPDATE; keys are not enforced")
}

/// `[LOW_PRIORITY | DELAYED | HIGH_PRIORITY] [IGNORE] [INTO] table [(columns)]`.
fn target(reader: &mut Reader<'_>) -> Result<(TableName, Vec<String>)> {
    reader.one_of(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY"]);
    if reader.word("IGNORE") {
        return Err(Error::unsupported("INSERT IGNORE; a row that does not fit refuses the statement"));
    }
    reader.word("INTO");
    let table = reader.table_name()?;
    if reader.is_word("PARTITION") {
        return Err(Error::unsupported("INSERT … PARTITION (…)"));
    }
    let is_query = ["SELECT", "WITH", "TABLE", "VALUES"].iter().any(|word| reader.is_word_at(1, word))
        || reader.is_token_at(1, &Token::LParen);
    if !matches!(reader.peek(), Token::LParen) || is_query {
        return Ok((table, Vec::new()));
    }
    if reader.is_token_at(1, &Token::RParen) {
        reader.next();
        reader.next();
        return Ok((table, Vec::new()));
    }
    Ok((table, reader.bracketed(column)?))
}

/// A column name, qualified or not.
fn column(reader: &mut Reader<'_>) -> Result<String> {
    let mut name = reader.identifier()?;
    while reader.token(&Token::Period) {
        name = reader.identifier()?;
    }
    Ok(name)
}

fn value(reader: &mut Reader<'_>) -> Result<InsertValue> {
    Ok(insert_value(reader.expression()?))
}

/// The smallest form of a value.
pub(super) fn insert_value(expr: Expr) -> InsertValue {
    match expr {
        expr if is_default(&expr) => InsertValue::Default,
        Expr::Value(ValueWithSpan { value, .. }) if !matches!(value, Value::Placeholder(_)) => {
            InsertValue::Literal(value)
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match *expr {
            Expr::Value(ValueWithSpan { value: Value::Number(digits, long), .. }) => {
                InsertValue::Literal(Value::Number(format!("-{digits}"), long))
            }
            inner => InsertValue::Expr(Box::new(Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(inner) })),
        },
        other => InsertValue::Expr(Box::new(other)),
    }
}

/// DELETE; the word has been taken.
pub(super) fn delete(reader: &mut Reader<'_>) -> Result<Statement> {
    modifiers(reader, "DELETE", &["LOW_PRIORITY", "QUICK"])?;
    if !reader.word("FROM") {
        return Err(Error::unsupported("DELETE of several tables"));
    }
    let table = reader.table_name()?;
    if reader.is_word("USING") || reader.is_token_at(0, &Token::Comma) || reader.is_token_at(0, &Token::Period) {
        return Err(Error::unsupported("DELETE of several tables"));
    }
    let alias = alias(reader)?;
    let selection = selection(reader, "DELETE")?;
    Ok(Statement::Delete(Delete { table, alias, selection }))
}

/// UPDATE; the word has been taken.
pub(super) fn update(reader: &mut Reader<'_>) -> Result<Statement> {
    modifiers(reader, "UPDATE", &["LOW_PRIORITY"])?;
    let table = reader.table_name()?;
    let alias = alias(reader)?;
    if !reader.word("SET") {
        let joins = ["JOIN", "INNER", "LEFT", "RIGHT", "CROSS", "NATURAL"].iter().any(|word| reader.is_word(word));
        if joins || reader.is_token_at(0, &Token::Comma) {
            return Err(Error::unsupported("UPDATE of several tables"));
        }
        return Err(reader.expected("SET"));
    }
    let assignments = reader.comma_separated(|reader| {
        let name = column(reader)?;
        reader.expect_token(&Token::Eq)?;
        Ok((name, reader.expression()?))
    })?;
    let selection = selection(reader, "UPDATE")?;
    Ok(Statement::Update(Update { table, alias, assignments, selection }))
}

fn modifiers(reader: &mut Reader<'_>, statement: &str, harmless: &[&'static str]) -> Result<()> {
    while reader.one_of(harmless).is_some() {}
    if reader.word("IGNORE") {
        return Err(Error::unsupported(format!("{statement} IGNORE")));
    }
    Ok(())
}

fn alias(reader: &mut Reader<'_>) -> Result<Option<String>> {
    let is_explicit = reader.word("AS");
    let clauses = ["WHERE", "SET", "ORDER", "LIMIT", "JOIN", "INNER", "LEFT", "RIGHT", "CROSS", "NATURAL", "PARTITION"];
    let is_name = matches!(reader.peek(), Token::Word(_)) && !clauses.iter().any(|word| reader.is_word(word));
    if is_explicit || is_name { reader.identifier().map(Some) } else { Ok(None) }
}

/// `[WHERE condition]`; ORDER BY and LIMIT would choose rows by an order that files do not have.
fn selection(reader: &mut Reader<'_>, statement: &str) -> Result<Option<Expr>> {
    let selection = if reader.word("WHERE") { Some(reader.condition()?) } else { None };
    for clause in ["ORDER", "LIMIT", "PARTITION"] {
        if reader.is_word(clause) {
            return Err(Error::unsupported(format!("{statement} … {clause}")));
        }
    }
    Ok(selection)
}
