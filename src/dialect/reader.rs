//! A statement being read: sqlparser's parser over our tokens, with the small steps that statements of our own need,
//! and errors in MySQL's words. What comes out of [`Reader::query`] and [`Reader::expression`] is rewritten already.

use sqlparser::ast::{Expr, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::mysql::{self, DesirepathDialect};
use super::source::{Source, check_shape, syntax_error};
use super::statement::TableName;
use super::{ParseContext, rewrite};
use crate::error::{Error, Kind, Result};

/// Expressions, queries and tables inside each other that the parser follows; each level costs stack.
const NESTING_MAX: usize = 200;

/// Reads one statement.
pub(super) struct Reader<'t> {
    parser: Parser<'t>,
    dialect: &'t DesirepathDialect,
    source: &'t Source<'t>,
    context: &'t ParseContext<'t>,
    tokens: usize,
}

impl<'t> Reader<'t> {
    /// # Errors
    /// `Unsupported` when the statement is more deeply built than the parser can follow.
    pub(super) fn new(
        dialect: &'t DesirepathDialect,
        source: &'t Source<'t>,
        context: &'t ParseContext<'t>,
        tokens: Vec<TokenWithSpan>,
    ) -> Result<Self> {
        check_shape(&tokens)?;
        let count = tokens.len();
        dialect.allow_attempts(count);
        let parser = Parser::new(dialect).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(tokens);
        Ok(Reader { parser, dialect, source, context, tokens: count })
    }

    /// The session's database.
    ///
    /// # Errors
    /// 1046 when there is none.
    pub(super) fn database(&self) -> Result<String> {
        match self.context.database {
            Some(database) => Ok(database.to_owned()),
            None => Err(Error::new(Kind::NoDatabaseSelected, "No database selected")),
        }
    }

    // What comes next

    pub(super) fn peek(&self) -> &Token {
        &self.parser.peek_token_ref().token
    }

    /// Whether the next token but `skip` is this word, unquoted; `word` is in upper case.
    pub(super) fn is_word_at(&self, skip: usize, word: &str) -> bool {
        match &self.parser.peek_nth_token_ref(skip).token {
            Token::Word(next) => next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word),
            _ => false,
        }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    pub(super) fn is_token_at(&self, skip: usize, token: &Token) -> bool {
        self.parser.peek_nth_token_ref(skip).token == *token
    }

    /// Whether the text ends here, or a semicolon does it.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.peek(), Token::EOF | Token::SemiColon)
    }

    /// The words from here on, for a message: `ALTER TABLE` or `DROP VIEW`.
    pub(super) fn next_words(&self, most: usize) -> String {
        let mut words = Vec::new();
        while words.len() < most {
            match &self.parser.peek_nth_token_ref(words.len()).token {
                Token::Word(word) if word.quote_style.is_none() => words.push(word.value.to_uppercase()),
                _ => break,
            }
        }
        words.join(" ")
    }

    // Steps

    /// Takes the next token.
    pub(super) fn next(&mut self) -> Token {
        self.parser.next_token().token
    }

    /// Takes this word if it comes next; `word` is in upper case.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.parser.advance_token();
        }
        found
    }

    /// Takes these words if they all come next.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(skip, word)| self.is_word_at(skip, word));
        if found {
            words.iter().for_each(|_| self.parser.advance_token());
        }
        found
    }

    /// Takes one of these words if it comes next, and says which.
    pub(super) fn one_of(&mut self, words: &[&'static str]) -> Option<&'static str> {
        words.iter().find(|word| self.word(word)).copied()
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.word(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    pub(super) fn token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    pub(super) fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.token(token) { Ok(()) } else { Err(self.expected(&format!("'{token}'"))) }
    }

    /// `IF EXISTS` or `IF NOT EXISTS`, as `words` says.
    pub(super) fn condition_words(&mut self, words: &[&str]) -> Result<bool> {
        if self.words(words) {
            return Ok(true);
        }
        if self.is_word("IF") { Err(self.expected(&words.join(" "))) } else { Ok(false) }
    }

    /// A list of one or more, separated by commas.
    pub(super) fn comma_separated<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// A list of one or more in brackets.
    pub(super) fn bracketed<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect_token(&Token::LParen)?;
        let items = self.comma_separated(item)?;
        self.expect_token(&Token::RParen)?;
        Ok(items)
    }

    /// The name of a thing: a word or a quoted identifier.
    pub(super) fn identifier(&mut self) -> Result<String> {
        match self.peek() {
            Token::Word(word) if word.quote_style.is_some() || !is_reserved(word.keyword) => {
                let name = word.value.clone();
                self.parser.advance_token();
                Ok(name)
            }
            _ => Err(self.expected("a name")),
        }
    }

    /// A name, which may also be written as a string.
    pub(super) fn name_or_string(&mut self) -> Result<String> {
        match self.peek() {
            Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => self.string(),
            _ => self.identifier(),
        }
    }

    pub(super) fn string(&mut self) -> Result<String> {
        match self.peek() {
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => {
                let text = text.clone();
                self.parser.advance_token();
                Ok(text)
            }
            _ => Err(self.expected("a string")),
        }
    }

    pub(super) fn integer(&mut self) -> Result<u64> {
        if let Token::Number(digits, _) = self.peek()
            && let Ok(number) = digits.parse()
        {
            self.parser.advance_token();
            return Ok(number);
        }
        Err(self.expected("a whole number"))
    }

    /// `@name`, `@@scope.name`, as an expression reads it.
    pub(super) fn variable(&mut self) -> Result<Expr> {
        self.parsed(|parser| parser.parse_subexpr(mysql::TIGHTEST))
    }

    /// `=` or `:=`.
    pub(super) fn assignment_sign(&mut self) -> Result<()> {
        if self.token(&Token::Eq) || self.token(&Token::Assignment) { Ok(()) } else { Err(self.expected("'='")) }
    }

    /// Whether the token after `skip` others ends a value of a list.
    pub(super) fn ends_value(&self, skip: usize) -> bool {
        matches!(self.parser.peek_nth_token_ref(skip).token, Token::EOF | Token::SemiColon | Token::Comma)
    }

    /// `[database.]table`.
    pub(super) fn table_name(&mut self) -> Result<TableName> {
        let first = self.identifier()?;
        if self.token(&Token::Period) {
            return Ok(TableName { database: Some(first), name: self.identifier()? });
        }
        Ok(TableName { database: None, name: first })
    }

    // Parts that sqlparser reads

    /// A query, named after its text and rewritten.
    pub(super) fn query(&mut self) -> Result<Box<Query>> {
        self.dialect.forget_operators();
        let mut query = self.parsed(|parser| parser.parse_query())?;
        self.query_tail(&mut query)?;
        rewrite::name_select_items(&mut query, self.source, &TokenList { parser: &self.parser, count: self.tokens });
        rewrite::query(&mut query, self.context)?;
        Ok(query)
    }

    /// What MySQL allows behind a query and sqlparser does not know.
    fn query_tail(&mut self, query: &mut Query) -> Result<()> {
        if self.is_word("INTO") {
            return Err(Error::unsupported(format!("SELECT … {}", self.next_words(2))));
        }
        self.words(&["LOCK", "IN", "SHARE", "MODE"]);
        query.locks.clear(); // rows are never locked: a statement reads one version of each table
        Ok(())
    }

    /// An expression, rewritten.
    pub(super) fn expression(&mut self) -> Result<Expr> {
        let mut expr = self.raw_expression()?;
        rewrite::expression(&mut expr, self.context)?;
        Ok(expr)
    }

    /// An expression that decides: numbers count as true unless they are 0.
    pub(super) fn condition(&mut self) -> Result<Expr> {
        let mut expr = self.raw_expression()?;
        rewrite::condition(&mut expr, self.context)?;
        Ok(expr)
    }

    /// An expression as sqlparser reads it.
    pub(super) fn raw_expression(&mut self) -> Result<Expr> {
        self.dialect.forget_operators();
        self.parsed(|parser| parser.parse_expr())
    }

    /// The value of a DEFAULT: what follows it are attributes, so it ends before any operator.
    pub(super) fn raw_default(&mut self) -> Result<Expr> {
        self.dialect.forget_operators();
        self.parsed(|parser| parser.parse_subexpr(mysql::TIGHTEST))
    }

    fn parsed<T>(&mut self, read: impl FnOnce(&mut Parser<'t>) -> Result<T, ParserError>) -> Result<T> {
        read(&mut self.parser).map_err(|error| self.parser_error(&error))
    }

    // Positions and errors

    /// Where the next token starts.
    pub(super) fn location(&self) -> Location {
        self.parser.peek_token_ref().span.start
    }

    /// The source text from a location to the end of the last token taken.
    pub(super) fn text_since(&self, start: Location) -> &'t str {
        self.source.slice(start, self.parser.get_current_token().span.end)
    }

    /// The statement must end here.
    pub(super) fn end(&mut self) -> Result<()> {
        while self.token(&Token::SemiColon) {}
        match self.peek() {
            Token::EOF => Ok(()),
            _ => Err(self.expected("the end of the statement")),
        }
    }

    /// Error 1064 at the next token.
    pub(super) fn expected(&self, what: &str) -> Error {
        let token = self.parser.peek_token_ref();
        let location = if token.token == Token::EOF { Location::empty() } else { token.span.start };
        syntax_error(self.source, &format!("expected {what}"), location)
    }

    fn parser_error(&self, error: &ParserError) -> Error {
        let text = match error {
            ParserError::RecursionLimitExceeded => {
                return Error::unsupported(format!("statement nested more than {NESTING_MAX} levels deep"));
            }
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        };
        if text == mysql::TOO_MANY_OPERATORS || text == mysql::TOO_MANY_ATTEMPTS {
            return Error::unsupported(text);
        }
        let (what, location) = match text.rsplit_once(" at Line: ") {
            Some((what, place)) => (what, parse_location(place)),
            None => (text.as_str(), self.parser.peek_token_ref().span.start),
        };
        // sqlparser says "Expected: x, found: y"; the quoted rest of the text shows what was found.
        let what = match what.strip_prefix("Expected: ") {
            Some(rest) => format!("expected {}", rest.split(", found: ").next().unwrap_or(rest)),
            None => what.split(", found: ").next().unwrap_or(what).to_owned(),
        };
        syntax_error(self.source, &what, location)
    }
}

/// Reads "3, Column: 14".
fn parse_location(text: &str) -> Location {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let parsed = text.split_once(", Column: ").and_then(|(line, column)| Some((number(line)?, number(column)?)));
    parsed.map_or(Location::empty(), |(line, column)| Location::new(line, column))
}

/// Words that cannot be a name without quotes, because a statement of ours would be misread.
fn is_reserved(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::ADD
            | Keyword::ALL
            | Keyword::ALTER
            | Keyword::AND
            | Keyword::AS
            | Keyword::BETWEEN
            | Keyword::BY
            | Keyword::CREATE
            | Keyword::DEFAULT
            | Keyword::DELETE
            | Keyword::DROP
            | Keyword::EXISTS
            | Keyword::FOR
            | Keyword::FROM
            | Keyword::GROUP
            | Keyword::IF
            | Keyword::IGNORE
            | Keyword::IN
            | Keyword::INSERT
            | Keyword::INTO
            | Keyword::IS
            | Keyword::LIKE
            | Keyword::LIMIT
            | Keyword::NOT
            | Keyword::NULL
            | Keyword::ON
            | Keyword::OR
            | Keyword::ORDER
            | Keyword::SELECT
            | Keyword::SET
            | Keyword::TABLE
            | Keyword::UPDATE
            | Keyword::USING
            | Keyword::VALUES
            | Keyword::WHERE
            | Keyword::WITH
    )
}

/// The tokens of the statement, by their number.
pub(super) struct TokenList<'p> {
    parser: &'p Parser<'p>,
    count: usize,
}

impl TokenList<'_> {
    pub(super) fn get(&self, at: usize) -> &TokenWithSpan {
        self.parser.token_at(at)
    }

    /// The number of the token that starts there.
    pub(super) fn find(&self, span: Span) -> Option<usize> {
        let key = |location: Location| (location.line, location.column);
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = (low + high) / 2;
            match key(self.get(middle).span.start).cmp(&key(span.start)) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}
