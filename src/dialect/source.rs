//! The text of a statement and its tokens: places in it, parameters, what the parser cannot be asked to follow, and
//! errors in MySQL's words. Reads no statement.

use std::borrow::Cow;
use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::mysql::{self, DesirepathDialect};
use super::script;
use crate::error::{Error, Kind, Result};

/// SELECTs that one statement may join by UNION, EXCEPT and INTERSECT; they nest like operators.
const SET_OPERATORS_MAX: usize = 200;

/// Brackets around joins inside each other; a level costs some 80 KiB of stack in a debug build.
const JOIN_BRACKETS_MAX: usize = 12;

/// Characters of the statement that an error quotes, as in MySQL.
const NEAR_CHARACTERS_MAX: usize = 80;

/// A text and where its lines start, so that the parser's line and column become an offset.
#[derive(Debug)]
pub(super) struct Source<'t> {
    text: Cow<'t, str>,
    line_starts: Vec<usize>,
    is_ascii: bool,
    /// The whole text and where this one starts in it, for a part of a statement.
    whole: Option<(&'t str, usize)>,
}

impl<'t> Source<'t> {
    /// The text with its version comments opened; every position stays what it was.
    pub(super) fn new(text: &'t str, no_backslash_escapes: bool) -> Self {
        Source::of(script::open_version_comments(text, no_backslash_escapes), None)
    }

    /// A part of a text; errors show its place in the whole.
    pub(super) fn part(whole: &'t str, range: Range<usize>) -> Self {
        let start = range.start;
        Source::of(Cow::Borrowed(&whole[range]), Some((whole, start)))
    }

    fn of(text: Cow<'t, str>, whole: Option<(&'t str, usize)>) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let is_ascii = text.is_ascii();
        Source { text, line_starts, is_ascii, whole }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The byte at a location; the end of the text for one beyond it.
    pub(super) fn offset(&self, location: Location) -> usize {
        let Some(line) = (location.line as usize).checked_sub(1) else { return self.text.len() };
        let Some(&start) = self.line_starts.get(line) else { return self.text.len() };
        let column = (location.column as usize).saturating_sub(1);
        if self.is_ascii {
            return (start + column).min(self.text.len());
        }
        self.text[start..].char_indices().nth(column).map_or(self.text.len(), |(at, _)| start + at)
    }

    /// The whole text and the byte in it at a location.
    fn place(&self, location: Location) -> (&str, usize) {
        match self.whole {
            Some((whole, start)) => (whole, start + self.offset(location)),
            None => (&self.text, self.offset(location)),
        }
    }

    /// The source text between two locations, without white space around it.
    pub(super) fn slice(&self, start: Location, end: Location) -> &str {
        self.text.get(self.offset(start)..self.offset(end)).unwrap_or_default().trim()
    }
}

/// The tokens of a text, without white space and comments.
///
/// # Errors
/// 1064 where the text cannot be taken apart.
pub(super) fn tokens(dialect: &DesirepathDialect, source: &Source<'_>) -> Result<Vec<TokenWithSpan>> {
    let mut tokens = Vec::new();
    let done = Tokenizer::new(dialect, source.text()).tokenize_with_location_into_buf(&mut tokens);
    if let Err(error) = done {
        return Err(syntax_error(source, &error.message.to_lowercase(), error.location));
    }
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    mark_word_operators(&mut tokens);
    Ok(tokens)
}

/// Makes the infix operators DIV and MOD tokens of their own: sqlparser reads DIV with the wrong precedence and MOD not
/// at all, and its hook for infix operators would have us copy everything left of them.
fn mark_word_operators(tokens: &mut [TokenWithSpan]) {
    for at in 0..tokens.len() {
        let Token::Word(word) = &tokens[at].token else { continue };
        let is_div = word.keyword == Keyword::DIV;
        if word.quote_style.is_some() || !(is_div || word.value.eq_ignore_ascii_case("mod")) {
            continue;
        }
        let before = at.checked_sub(1).map(|before| &tokens[before].token);
        let is_operator = match before {
            None | Some(Token::Period) => false,
            _ if is_div || tokens.get(at + 1).is_none_or(|after| after.token != Token::LParen) => true,
            Some(Token::Word(word)) => word.quote_style.is_some() || word.keyword == Keyword::NoKeyword,
            Some(Token::RParen | Token::RBracket | Token::Number(..) | Token::Placeholder(_)) => true,
            Some(Token::SingleQuotedString(_) | Token::DoubleQuotedString(_)) => true,
            _ => false,
        };
        if is_operator {
            let name = if is_div { mysql::DIV } else { mysql::MOD };
            tokens[at].token = Token::CustomBinaryOperator(name.to_owned());
        }
    }
}

/// Numbers the parameters: DataFusion calls them `$1`, `$2`, …. `count` of them came before; returns how many there
/// are now.
pub(super) fn number_parameters(tokens: &mut [TokenWithSpan], mut count: usize) -> usize {
    for token in tokens {
        if let Token::Placeholder(name) = &mut token.token
            && name == "?"
        {
            count += 1;
            *name = format!("${count}");
        }
    }
    count
}

/// MySQL's error 1064: what is wrong, the text from there on, and the line.
pub(super) fn syntax_error(source: &Source<'_>, what: &str, location: Location) -> Error {
    let (text, at) = source.place(location);
    syntax_error_at(text, what, at)
}

/// The same for a byte of a text.
pub(super) fn syntax_error_at(text: &str, what: &str, at: usize) -> Error {
    let near: String = text[at..].chars().take(NEAR_CHARACTERS_MAX).collect();
    let (near, line) = (near.trim_end(), text[..at].matches('\n').count() + 1);
    Error::new(Kind::Syntax, format!("You have an error in your SQL syntax; {what} near '{near}' at line {line}"))
}

/// What the parser cannot be asked to follow: it nests a UNION and a join in brackets without looking at its stack.
pub(super) fn check_shape(tokens: &[TokenWithSpan]) -> Result<()> {
    let keyword = |at: usize| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) => word.keyword,
        _ => Keyword::NoKeyword,
    };
    let (mut unions, mut joins, mut open) = (0, 0, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::Word(_) => {
                let is_union = matches!(keyword(at), Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT);
                unions += usize::from(is_union);
            }
            Token::LParen => {
                let before = at.checked_sub(1);
                let is_relation = before.is_some_and(|before| {
                    matches!(keyword(before), Keyword::FROM | Keyword::JOIN)
                        || tokens[before].token == Token::LParen && open.last() == Some(&true)
                });
                let is_join = is_relation && !matches!(keyword(at + 1), Keyword::SELECT | Keyword::WITH);
                open.push(is_join);
                joins += usize::from(is_join);
                if joins > JOIN_BRACKETS_MAX {
                    return Err(Error::unsupported(format!("joins inside more than {JOIN_BRACKETS_MAX} brackets")));
                }
            }
            Token::RParen => joins -= usize::from(open.pop() == Some(true)),
            _ => {}
        }
    }
    if unions > SET_OPERATORS_MAX {
        return Err(Error::unsupported(format!("more than {SET_OPERATORS_MAX} UNIONs in one statement")));
    }
    Ok(())
}
