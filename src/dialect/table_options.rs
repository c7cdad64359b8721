//! What stands behind the columns of CREATE TABLE, behind CREATE DATABASE and behind a key.

use sqlparser::tokenizer::Token;

use super::reader::Reader;
use super::statement::CreateTable;
use crate::error::{Error, Result};

/// Options of other storage engines: accepted and forgotten, so that a dump loads.
const HARMLESS: &[&str] = &[
    "AUTOEXTEND_SIZE",
    "AUTO_INCREMENT",
    "AVG_ROW_LENGTH",
    "CHECKSUM",
    "DELAY_KEY_WRITE",
    "ENGINE",
    "KEY_BLOCK_SIZE",
    "MAX_ROWS",
    "MIN_ROWS",
    "PACK_KEYS",
    "ROW_FORMAT",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
];

/// The options of a table, up to its query or the end.
///
/// # Errors
/// 1235 with the name of an unknown option.
pub(super) fn read(reader: &mut Reader<'_>, create: &mut CreateTable) -> Result<()> {
    loop {
        let is_query =
            ["AS", "IGNORE", "REPLACE", "SELECT", "WITH", "TABLE", "VALUES"].iter().any(|word| reader.is_word(word));
        if reader.is_end() || is_query || !matches!(reader.peek(), Token::Word(_)) {
            return Ok(());
        }
        option(reader, create)?;
        reader.token(&Token::Comma);
    }
}

fn option(reader: &mut Reader<'_>, create: &mut CreateTable) -> Result<()> {
    if let Some(collation) = charset_or_collation(reader)? {
        create.warnings.extend(collation_warning(&collation));
        return Ok(());
    }
    let words = reader.next_words(2);
    if words.starts_with("PARTITION BY") {
        return Err(Error::unsupported("CREATE TABLE … PARTITION BY; event tables are partitioned by day"));
    }
    let name = reader.identifier()?.to_uppercase();
    reader.token(&Token::Eq);
    match name.as_str() {
        "USER_COLUMN" => create.user_column = Some(reader.name_or_string()?),
        "TIME_COLUMN" => create.time_column = Some(reader.name_or_string()?),
        "EVENT_COLUMN" => create.event_column = Some(reader.name_or_string()?),
        "LOCATION" => create.location = Some(reader.string()?),
        "COMMENT" => create.comment = reader.string()?,
        _ if HARMLESS.contains(&name.as_str()) => {
            let value = reader.next();
            if !matches!(value, Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_)) {
                return Err(reader.expected(&format!("the value of {name}")));
            }
        }
        _ => return Err(Error::unsupported(format!("table option {name}"))),
    }
    Ok(())
}

/// `[DEFAULT] CHARSET | CHARACTER SET | COLLATE [=] name`, if that comes next; returns the collation, or an empty text.
fn charset_or_collation(reader: &mut Reader<'_>) -> Result<Option<String>> {
    let start = usize::from(reader.is_word("DEFAULT"));
    let is_collate = reader.is_word_at(start, "COLLATE");
    let is_charset = reader.is_word_at(start, "CHARSET");
    let is_character_set = reader.is_word_at(start, "CHARACTER") && reader.is_word_at(start + 1, "SET");
    if !(is_collate || is_charset || is_character_set) {
        return Ok(None);
    }
    for _ in 0..start + 1 + usize::from(is_character_set) {
        reader.next();
    }
    reader.token(&Token::Eq);
    let name = reader.name_or_string()?;
    Ok(Some(if is_collate { name } else { String::new() }))
}

/// What to tell of a collation that is not honoured.
pub(super) fn collation_warning(collation: &str) -> Option<String> {
    let is_exact = collation.is_empty()
        || collation.eq_ignore_ascii_case("binary")
        || collation.to_ascii_lowercase().ends_with("_bin");
    (!is_exact).then(|| format!("COLLATE {collation} is not honoured: text compares as in utf8mb4_bin"))
}

/// `[DEFAULT] CHARACTER SET x COLLATE y ENCRYPTION z` of a database.
pub(super) fn database_options(reader: &mut Reader<'_>) -> Result<()> {
    while !reader.is_end() {
        if charset_or_collation(reader)?.is_some() {
            continue;
        }
        let words = reader.next_words(2);
        return Err(Error::unsupported(format!("CREATE DATABASE … {words}")));
    }
    Ok(())
}

/// `USING BTREE`, `COMMENT '…'`, `KEY_BLOCK_SIZE n`, `VISIBLE` behind a key: read over.
pub(super) fn key_options(reader: &mut Reader<'_>) -> Result<()> {
    loop {
        if reader.word("USING") {
            reader.identifier()?;
        } else if reader.word("COMMENT") {
            reader.string()?;
        } else if reader.word("KEY_BLOCK_SIZE") {
            reader.token(&Token::Eq);
            reader.integer()?;
        } else if reader.one_of(&["VISIBLE", "INVISIBLE"]).is_none() {
            return Ok(());
        }
    }
}
