//! SET: lists of assignments with scopes, NAMES, CHARACTER SET, TRANSACTION, PASSWORD.

use sqlparser::ast::{Expr, Ident, Value};
use sqlparser::tokenizer::Token;

use super::reader::Reader;
use super::rewrite;
use super::statement::{Assignment, Scope, SetValue, Statement, Variable};
use super::user;
use crate::error::{Error, Result};

/// SET; the word has been taken.
pub(super) fn set(reader: &mut Reader<'_>) -> Result<Statement> {
    if reader.is_word("PASSWORD") {
        return user::set_password(reader);
    }
    for words in [["DEFAULT", "ROLE"], ["STATEMENT", ""], ["RESOURCE", "GROUP"], ["ROLE", ""]] {
        let is_assignment = reader.is_token_at(1, &Token::Eq) || reader.is_token_at(1, &Token::Assignment);
        let second = words[1].is_empty() || reader.is_word_at(1, words[1]);
        if reader.is_word(words[0]) && second && !is_assignment {
            return Err(Error::unsupported(format!("SET {}", words.join(" ").trim())));
        }
    }
    Ok(Statement::Set(reader.comma_separated(assignment)?))
}

fn assignment(reader: &mut Reader<'_>) -> Result<Assignment> {
    let is_list_word = !reader.is_token_at(1, &Token::Eq) && !reader.is_token_at(1, &Token::Assignment);
    if is_list_word && reader.word("NAMES") {
        return names(reader);
    }
    if is_list_word && (reader.words(&["CHARACTER", "SET"]) || reader.word("CHARSET")) {
        return Ok(Assignment::CharacterSet(name_or_default(reader)?));
    }
    let scope = match reader.one_of(&["SESSION", "LOCAL", "GLOBAL", "PERSIST", "PERSIST_ONLY"]) {
        Some("SESSION" | "LOCAL") => Some(Scope::Session),
        Some("GLOBAL") => Some(Scope::Global),
        Some(_) => Some(Scope::Persist),
        None => None,
    };
    if reader.is_word("TRANSACTION") && !reader.is_token_at(1, &Token::Eq) {
        reader.next();
        return transaction(reader, scope);
    }
    variable(reader, scope)
}

/// `NAMES 'utf8mb4' [COLLATE 'x']`.
fn names(reader: &mut Reader<'_>) -> Result<Assignment> {
    let charset = name_or_default(reader)?;
    let collation = if reader.word("COLLATE") { name_or_default(reader)? } else { None };
    Ok(Assignment::Names { charset, collation })
}

fn name_or_default(reader: &mut Reader<'_>) -> Result<Option<String>> {
    if reader.word("DEFAULT") {
        return Ok(None);
    }
    reader.name_or_string().map(|name| Some(name.to_lowercase()))
}

/// `ISOLATION LEVEL …, READ ONLY | READ WRITE`.
fn transaction(reader: &mut Reader<'_>, scope: Option<Scope>) -> Result<Assignment> {
    let (mut isolation, mut read_only) = (None, None);
    loop {
        if reader.words(&["ISOLATION", "LEVEL"]) {
            const LEVELS: [&[&str]; 4] =
                [&["READ", "UNCOMMITTED"], &["READ", "COMMITTED"], &["REPEATABLE", "READ"], &["SERIALIZABLE"]];
            let Some(level) = LEVELS.iter().find(|level| reader.words(level)) else {
                return Err(reader.expected("an isolation level"));
            };
            isolation = Some(level.join("-"));
        } else if reader.words(&["READ", "ONLY"]) {
            read_only = Some(true);
        } else if reader.words(&["READ", "WRITE"]) {
            read_only = Some(false);
        } else {
            return Err(reader.expected("ISOLATION LEVEL, READ ONLY or READ WRITE"));
        }
        if !reader.token(&Token::Comma) {
            return Ok(Assignment::Transaction { scope, isolation, read_only });
        }
    }
}

/// `name = value`, `@name := value`, `@@session.name = value`.
fn variable(reader: &mut Reader<'_>, scope: Option<Scope>) -> Result<Assignment> {
    let is_at = match reader.peek() {
        Token::AtSign => true,
        Token::Word(word) => word.quote_style.is_none() && word.value.starts_with('@'),
        _ => return Err(reader.expected("a variable")),
    };
    if is_at {
        // The name is read as an expression would be, so that both agree on what it is.
        let target = reader.variable()?;
        reader.assignment_sign()?;
        return match rewrite::variable(&target) {
            Some(Variable::User(name)) => Ok(Assignment::User { name, value: reader.expression()? }),
            Some(Variable::System { scope, name }) => system(reader, scope.unwrap_or(Scope::Session), name),
            _ => Err(reader.expected("a variable")),
        };
    }
    let mut name = reader.identifier()?.to_lowercase();
    while reader.token(&Token::Period) {
        name = format!("{name}.{}", reader.identifier()?.to_lowercase());
    }
    reader.assignment_sign()?;
    system(reader, scope.unwrap_or(Scope::Session), name)
}

fn system(reader: &mut Reader<'_>, scope: Scope, name: String) -> Result<Assignment> {
    if reader.word("DEFAULT") {
        return Ok(Assignment::System { scope, name, value: SetValue::Default });
    }
    // ON and BINARY are words of the grammar elsewhere.
    let bare = ["ON", "ALL", "BINARY", "ROW"].iter().find(|word| reader.is_word(word) && reader.ends_value(1));
    if let Some(word) = bare.copied() {
        reader.next();
        return Ok(Assignment::System { scope, name, value: SetValue::Expr(text(word)) });
    }
    let value = match reader.expression()? {
        Expr::Identifier(Ident { value, quote_style, .. }) if !(value.starts_with('@') && quote_style.is_none()) => {
            text(&value)
        }
        other => other,
    };
    Ok(Assignment::System { scope, name, value: SetValue::Expr(value) })
}

fn text(word: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(word.to_owned()).into())
}
