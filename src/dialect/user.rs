//! Accounts: CREATE USER, ALTER USER, DROP USER, SET PASSWORD.

use sqlparser::tokenizer::Token;

use super::reader::Reader;
use super::statement::{Authentication, Secret, SecretKind, Statement, UserName, UserSpecification};
use crate::error::{Error, Result};

/// The host of an account that names none.
const ANY_HOST: &str = "%";

/// CREATE USER; CREATE has been taken.
pub(super) fn create(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.expect_word("USER")?;
    let if_not_exists = reader.condition_words(&["IF", "NOT", "EXISTS"])?;
    let users = reader.comma_separated(specification)?;
    options(reader)?;
    if users.iter().any(|user| user.user.is_none()) {
        return Err(Error::unsupported("CREATE USER USER()"));
    }
    Ok(Statement::CreateUser { users, if_not_exists })
}

/// ALTER USER; ALTER has been taken.
pub(super) fn alter(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.expect_word("USER")?;
    let if_exists = reader.condition_words(&["IF", "EXISTS"])?;
    let users = reader.comma_separated(specification)?;
    options(reader)?;
    Ok(Statement::AlterUser { users, if_exists })
}

/// DROP USER; DROP has been taken.
pub(super) fn drop(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.expect_word("USER")?;
    let if_exists = reader.condition_words(&["IF", "EXISTS"])?;
    Ok(Statement::DropUser { users: reader.comma_separated(user_name)?, if_exists })
}

/// SET PASSWORD [FOR user] = 'password'; SET has been taken.
pub(super) fn set_password(reader: &mut Reader<'_>) -> Result<Statement> {
    reader.expect_word("PASSWORD")?;
    let user = if reader.word("FOR") { account(reader)? } else { None };
    if reader.words(&["TO", "RANDOM"]) {
        return Err(Error::unsupported("SET PASSWORD TO RANDOM"));
    }
    reader.assignment_sign()?;
    let password = Secret(reader.string()?);
    unsupported_words(reader, "SET PASSWORD")?;
    Ok(Statement::SetPassword { user, password })
}

/// `'name'@'host'`, `name@host` or `name`.
fn user_name(reader: &mut Reader<'_>) -> Result<UserName> {
    let name = match reader.peek() {
        Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => reader.string()?,
        Token::Word(word) if word.quote_style.is_none() => {
            let word = word.value.clone();
            if word.starts_with('@') {
                return Err(reader.expected("a user name"));
            }
            // The lexer takes name@host for one word.
            if let Some((name, host)) = word.split_once('@') {
                let (name, host) = (name.to_owned(), host.to_owned());
                reader.next();
                let host = if host.is_empty() { reader.name_or_string()? } else { host };
                return Ok(UserName { name, host: host.to_lowercase() });
            }
            reader.identifier()?
        }
        _ => reader.identifier()?,
    };
    let host = match reader.peek() {
        Token::AtSign => {
            reader.next();
            reader.name_or_string()?
        }
        Token::Word(word) if word.quote_style.is_none() && word.value.starts_with('@') => {
            let host = word.value[1..].to_owned();
            reader.next();
            host
        }
        _ => ANY_HOST.to_owned(),
    };
    Ok(UserName { name, host: host.to_lowercase() })
}

/// A user name, or USER() and CURRENT_USER[()] for the user of the session.
pub(super) fn account(reader: &mut Reader<'_>) -> Result<Option<UserName>> {
    let is_call = reader.is_token_at(1, &Token::LParen) && reader.is_token_at(2, &Token::RParen);
    let is_session = reader.is_word("CURRENT_USER") || reader.is_word("USER") && is_call;
    if !is_session {
        return user_name(reader).map(Some);
    }
    for _ in 0..if is_call { 3 } else { 1 } {
        reader.next();
    }
    Ok(None)
}

fn specification(reader: &mut Reader<'_>) -> Result<UserSpecification> {
    let user = account(reader)?;
    if !reader.word("IDENTIFIED") {
        return Ok(UserSpecification { user, authentication: None });
    }
    let plugin = if reader.word("WITH") { Some(reader.name_or_string()?.to_lowercase()) } else { None };
    let secret = if reader.words(&["BY", "RANDOM", "PASSWORD"]) {
        return Err(Error::unsupported("IDENTIFIED BY RANDOM PASSWORD"));
    } else if reader.words(&["BY", "PASSWORD"]) {
        Some(SecretKind::Hash(Secret(reader.string()?)))
    } else if reader.word("BY") {
        Some(SecretKind::Password(Secret(reader.string()?)))
    } else if reader.word("AS") {
        Some(SecretKind::Hash(Secret(reader.string()?)))
    } else {
        None
    };
    if plugin.is_none() && secret.is_none() {
        return Err(reader.expected("BY or WITH"));
    }
    unsupported_words(reader, "IDENTIFIED")?;
    Ok(UserSpecification { user, authentication: Some(Authentication { plugin, secret }) })
}

/// Two passwords at a time, and a second factor, are not there.
fn unsupported_words(reader: &Reader<'_>, statement: &str) -> Result<()> {
    for words in [["REPLACE", ""], ["RETAIN", "CURRENT"], ["AND", "IDENTIFIED"]] {
        if reader.is_word(words[0]) {
            return Err(Error::unsupported(format!("{statement} … {}", words.join(" ").trim())));
        }
    }
    Ok(())
}

/// What may follow the users: only what asks for nothing.
fn options(reader: &mut Reader<'_>) -> Result<()> {
    reader.words(&["REQUIRE", "NONE"]);
    reader.words(&["ACCOUNT", "UNLOCK"]);
    reader.words(&["PASSWORD", "EXPIRE", "NEVER"]);
    if reader.is_end() {
        return Ok(());
    }
    match reader.next_words(2) {
        words if words.is_empty() => Err(reader.expected("the end of the statement")),
        words => Err(Error::unsupported(format!("CREATE or ALTER USER … {words}"))),
    }
}
