//! The rows of INSERT … VALUES. Clients send them by the megabyte, nearly all plain literals: those are read straight
//! from the text, and only what is more than a literal goes through the tokenizer and the parser.

use std::ops::Range;

use sqlparser::ast::Value;

use super::ParseContext;
use super::dml::{insert_value, on_duplicate_key};
use super::mysql::DesirepathDialect;
use super::reader::Reader;
use super::script::{Piece, piece};
use super::source::{self, Source, syntax_error_at};
use super::statement::InsertValue;
use crate::error::Result;

/// Where the word VALUES of an INSERT stands; None if the text is no INSERT with VALUES.
pub(super) fn values_word(text: &str, context: &ParseContext<'_>) -> Option<Range<usize>> {
    let scanner =
        Scanner { text, no_backslash_escapes: context.no_backslash_escapes, ansi_quotes: context.ansi_quotes };
    let mut at = scanner.skip_blank(0);
    if !scanner.word_at(at).eq_ignore_ascii_case("INSERT") {
        return None;
    }
    let mut depth = 0_usize;
    loop {
        at = scanner.skip_blank(at);
        let word = scanner.word_at(at);
        if !word.is_empty() {
            let is = |keyword: &str| depth == 0 && word.eq_ignore_ascii_case(keyword);
            if is("VALUES") || is("VALUE") {
                return Some(at..at + word.len());
            }
            if ["SELECT", "WITH", "SET", "TABLE"].into_iter().any(is) {
                return None;
            }
            at += word.len();
            continue;
        }
        match text.as_bytes().get(at)? {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            b';' => return None,
            _ => {}
        }
        at = piece(text, at, context.no_backslash_escapes)?.1;
    }
}

/// The rows from byte `at` to the end of the statement, and how many parameters they have.
///
/// # Errors
/// 1064 with the place.
pub(super) fn read(
    dialect: &DesirepathDialect,
    text: &str,
    at: usize,
    context: &ParseContext<'_>,
) -> Result<(Vec<Vec<InsertValue>>, usize)> {
    let scanner =
        Scanner { text, no_backslash_escapes: context.no_backslash_escapes, ansi_quotes: context.ansi_quotes };
    let mut rows = RowReader { dialect, context, scanner, at, parameters: 0 };
    let mut read = Vec::new();
    let mut width = 0;
    loop {
        let row = rows.row(width)?;
        width = row.len();
        read.push(row);
        if !rows.byte(b',') {
            break;
        }
    }
    rows.end()?;
    Ok((read, rows.parameters))
}

/// Looks at the text without remembering a place.
#[derive(Clone, Copy)]
struct Scanner<'t> {
    text: &'t str,
    no_backslash_escapes: bool,
    ansi_quotes: bool,
}

impl<'t> Scanner<'t> {
    fn byte_at(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn skip_blank(&self, mut at: usize) -> usize {
        while let Some(byte) = self.byte_at(at) {
            if !(byte.is_ascii_whitespace() || matches!(byte, b'#' | b'-' | b'/')) {
                break;
            }
            match piece(self.text, at, self.no_backslash_escapes) {
                Some((Piece::Space | Piece::LineComment | Piece::BlockComment, end)) => at = end,
                _ => break,
            }
        }
        at
    }

    /// The unquoted word at `at`; empty if there is none.
    fn word_at(&self, at: usize) -> &'t str {
        let rest = &self.text[at..];
        let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$' | '@');
        &rest[..rest.find(|character| !is_part(character)).unwrap_or(rest.len())]
    }

    /// Whether the value ends here: a comma or a bracket follows.
    fn value_ends(&self, at: usize) -> bool {
        matches!(self.byte_at(self.skip_blank(at)), Some(b',' | b')'))
    }

    /// A plain literal at `at` and where it ends.
    fn literal(&self, at: usize) -> Option<(InsertValue, usize)> {
        let (value, end) = match self.byte_at(at)? {
            b'\'' => self.string(at)?,
            b'"' if !self.ansi_quotes => self.string(at)?,
            b'0'..=b'9' | b'.' | b'-' | b'+' => self.number(at)?,
            _ => self.word_literal(at)?,
        };
        self.value_ends(end).then_some((value, end))
    }

    fn string(&self, start: usize) -> Option<(InsertValue, usize)> {
        let bytes = self.text.as_bytes();
        let quote = bytes[start];
        let mut text = String::new();
        let (mut from, mut at) = (start + 1, start + 1);
        loop {
            match *bytes.get(at)? {
                b'\\' if !self.no_backslash_escapes => {
                    text.push_str(&self.text[from..at]);
                    let escaped = self.text[at + 1..].chars().next()?;
                    unescape(escaped, &mut text);
                    at += 1 + escaped.len_utf8();
                    from = at;
                }
                byte if byte == quote => {
                    text.push_str(&self.text[from..at]);
                    at += 1;
                    if bytes.get(at) != Some(&quote) {
                        return Some((InsertValue::Literal(Value::SingleQuotedString(text)), at));
                    }
                    from = at; // a doubled quote is one
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    fn number(&self, start: usize) -> Option<(InsertValue, usize)> {
        let rest = &self.text.as_bytes()[start..];
        let sign = usize::from(matches!(rest.first(), Some(b'-' | b'+')));
        let digits = |from: usize| rest[from.min(rest.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = digits(sign);
        let mut end = sign + whole;
        if rest.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            if whole + fraction == 0 {
                return None;
            }
            end += 1 + fraction;
        } else if whole == 0 {
            return None;
        }
        if matches!(rest.get(end), Some(b'e' | b'E')) {
            let exponent_sign = usize::from(matches!(rest.get(end + 1), Some(b'-' | b'+')));
            let exponent = digits(end + 1 + exponent_sign);
            if exponent == 0 {
                return None;
            }
            end += 1 + exponent_sign + exponent;
        }
        let text = self.text[start..start + end].trim_start_matches('+');
        Some((InsertValue::Literal(Value::Number(text.to_owned(), false)), start + end))
    }

    /// NULL, TRUE, FALSE, DEFAULT, X'…'.
    fn word_literal(&self, at: usize) -> Option<(InsertValue, usize)> {
        let word = self.word_at(at);
        let end = at + word.len();
        let value = match word.len() {
            1 if word.eq_ignore_ascii_case("x") && self.byte_at(end) == Some(b'\'') => {
                let length = self.text[end + 1..].find('\'')?;
                let digits = &self.text[end + 1..end + 1 + length];
                let is_hex = digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let value = is_hex.then(|| Value::HexStringLiteral(digits.to_owned()))?;
                return Some((InsertValue::Literal(value), end + length + 2));
            }
            4 if word.eq_ignore_ascii_case("null") => Value::Null,
            4 if word.eq_ignore_ascii_case("true") => Value::Boolean(true),
            5 if word.eq_ignore_ascii_case("false") => Value::Boolean(false),
            7 if word.eq_ignore_ascii_case("default") => return Some((InsertValue::Default, end)),
            _ => return None,
        };
        Some((InsertValue::Literal(value), end))
    }

    /// Where a value that is no literal ends.
    fn value_end(&self, start: usize) -> usize {
        let (mut at, mut depth) = (start, 0_usize);
        while let Some((piece, end)) = piece(self.text, at, self.no_backslash_escapes) {
            if piece == Piece::Character {
                match self.byte_at(at) {
                    Some(b'(' | b'[') => depth += 1,
                    Some(b',' | b')') if depth == 0 => return at,
                    Some(b')' | b']') => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            at = end;
        }
        at
    }
}

/// MySQL's escapes; before `%` and `_` the backslash stays, for LIKE.
fn unescape(escaped: char, text: &mut String) {
    match escaped {
        '0' => text.push('\0'),
        'b' => text.push('\u{8}'),
        'n' => text.push('\n'),
        'r' => text.push('\r'),
        't' => text.push('\t'),
        'Z' => text.push('\u{1a}'),
        '%' | '_' => text.extend(['\\', escaped]),
        other => text.push(other),
    }
}

/// Reads rows one after the other.
struct RowReader<'t> {
    dialect: &'t DesirepathDialect,
    context: &'t ParseContext<'t>,
    scanner: Scanner<'t>,
    at: usize,
    parameters: usize,
}

impl RowReader<'_> {
    /// Takes this byte if it comes next.
    fn byte(&mut self, byte: u8) -> bool {
        self.at = self.scanner.skip_blank(self.at);
        let found = self.scanner.byte_at(self.at) == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// `[ROW] (value, …)`; `width` values are likely.
    fn row(&mut self, width: usize) -> Result<Vec<InsertValue>> {
        let mut row = Vec::with_capacity(width);
        self.at = self.scanner.skip_blank(self.at);
        if self.scanner.word_at(self.at).eq_ignore_ascii_case("ROW") {
            self.at += 3;
        }
        if !self.byte(b'(') {
            return Err(self.expected("'('"));
        }
        if self.byte(b')') {
            return Ok(row);
        }
        loop {
            row.push(self.value()?);
            if self.byte(b')') {
                return Ok(row);
            }
            if !self.byte(b',') {
                return Err(self.expected("',' or ')'"));
            }
        }
    }

    fn value(&mut self) -> Result<InsertValue> {
        self.at = self.scanner.skip_blank(self.at);
        if let Some((value, end)) = self.scanner.literal(self.at) {
            self.at = end;
            return Ok(value);
        }
        let end = self.scanner.value_end(self.at);
        let source = Source::part(self.scanner.text, self.at..end);
        let mut tokens = source::tokens(self.dialect, &source)?;
        self.parameters = source::number_parameters(&mut tokens, self.parameters);
        let mut reader = Reader::new(self.dialect, &source, self.context, tokens)?;
        let expr = reader.expression()?;
        reader.end()?;
        self.at = end;
        Ok(insert_value(expr))
    }

    /// Nothing but semicolons may follow the rows.
    fn end(&mut self) -> Result<()> {
        let next = self.scanner.word_at(self.scanner.skip_blank(self.at));
        if next.eq_ignore_ascii_case("ON") || next.eq_ignore_ascii_case("AS") {
            return Err(on_duplicate_key());
        }
        while self.byte(b';') {}
        if self.at < self.scanner.text.len() {
            return Err(self.expected("',' or the end of the statement"));
        }
        Ok(())
    }

    fn expected(&self, what: &str) -> crate::error::Error {
        syntax_error_at(self.scanner.text, &format!("expected {what}"), self.at)
    }
}
