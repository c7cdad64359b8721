//! MySQL's grammar of expressions and queries, as hooks over sqlparser's MySqlDialect: what that one does not read,
//! reads with the wrong precedence, or reads and MySQL does not have. Statements that are no queries have files of
//! their own.

use std::any::TypeId;
use std::cell::Cell;

use sqlparser::ast::{
    CastKind, DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Interval,
    UnaryOperator,
};
use sqlparser::dialect::{Dialect, MySqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Infix operators one statement (one row of INSERT … VALUES) may have. Their tree leans to the left, and dropping a
/// deeper one would overflow a thread's stack.
pub const OPERATORS_MAX: u32 = 10_000;

/// What [`OPERATORS_MAX`] says when it is exceeded; the reader turns it into a proper error.
pub const TOO_MANY_OPERATORS: &str = "expression with more than 10000 operators";

/// Times that an operand may be begun for each token, and for a short text. Where sqlparser fails inside FLOOR(…) it
/// reads the same again as a plain call, so that nested calls with a mistake inside would take two to the power of
/// their depth.
const ATTEMPTS_PER_TOKEN: usize = 16;
const ATTEMPTS_MIN: usize = 10_000;

/// What is said when they are used up.
pub const TOO_MANY_ATTEMPTS: &str = "expression that is read again and again";

/// The names of the infix operators that are words, as tokens of their own.
pub const DIV: &str = "DIV";
pub const MOD: &str = "MOD";

/// Binds tighter than any operator.
pub const TIGHTEST: u8 = 60;

/// MySQL's lowest to highest binding, where it differs from sqlparser's table.
mod precedence {
    pub const ASSIGN: u8 = 2;
    pub const OR: u8 = 5;
    pub const XOR: u8 = 7;
    pub const AND: u8 = 10;
    pub const BIT_OR: u8 = 21;
    pub const BIT_AND: u8 = 22;
    pub const SHIFT: u8 = 23;
    pub const MULTIPLY: u8 = 40;
    pub const BIT_XOR: u8 = 42;
    /// `||` where it joins strings.
    pub const CONCAT: u8 = 43;
    /// Unary minus, `~`, BINARY.
    pub const UNARY: u8 = 44;
    /// `->`, `->>`, and the second bracket of `f(…)(…)`.
    pub const POSTFIX: u8 = 50;
}

/// The dialect of one statement.
#[derive(Debug)]
pub struct DesirepathDialect {
    base: MySqlDialect,
    ansi_quotes: bool,
    backslash_escapes: bool,
    pipes_as_concat: bool,
    operators: Cell<u32>,
    /// How often an operand may still be begun.
    attempts: Cell<usize>,
}

impl DesirepathDialect {
    /// A dialect for a session's sql_mode.
    pub fn new(context: &super::ParseContext<'_>) -> Self {
        DesirepathDialect {
            base: MySqlDialect {},
            ansi_quotes: context.ansi_quotes,
            backslash_escapes: !context.no_backslash_escapes,
            pipes_as_concat: context.pipes_as_concat,
            operators: Cell::new(0),
            attempts: Cell::new(ATTEMPTS_MIN),
        }
    }

    /// Allows the work that reading so many tokens may take.
    pub fn allow_attempts(&self, tokens: usize) {
        self.attempts.set(tokens.saturating_mul(ATTEMPTS_PER_TOKEN).saturating_add(ATTEMPTS_MIN));
    }

    /// Starts counting operators anew: the next expression does not hang below the ones before.
    pub fn forget_operators(&self) {
        self.operators.set(0);
    }

    fn prefix(&self, parser: &mut Parser) -> Result<Option<Expr>, ParserError> {
        match self.attempts.get().checked_sub(1) {
            Some(left) => self.attempts.set(left),
            None => return Err(ParserError::ParserError(TOO_MANY_ATTEMPTS.to_owned())),
        }
        let (next, after) = (parser.peek_token_ref(), parser.peek_nth_token_ref(1));
        match &next.token {
            Token::Minus | Token::Plus | Token::Tilde | Token::ExclamationMark => unary(parser).map(Some),
            Token::AtSign => quoted_user_variable(parser).map(Some),
            Token::Word(word) if word.quote_style.is_none() => match (word.keyword, &after.token) {
                (Keyword::INTERVAL, _) => interval(parser).map(Some),
                (Keyword::CAST, Token::LParen) => cast(parser).map(Some),
                (Keyword::BINARY, Token::LParen) => Ok(None), // the function, or a bracket: both end up the same
                (Keyword::BINARY, _) => binary(parser).map(Some),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn infix(&self, parser: &mut Parser, left: &Expr) -> Result<Option<Expr>, ParserError> {
        self.operators.set(self.operators.get() + 1);
        if self.operators.get() > OPERATORS_MAX {
            return Err(ParserError::ParserError(TOO_MANY_OPERATORS.to_owned()));
        }
        match parser.peek_token_ref().token {
            Token::LParen => second_bracket(parser, left).map(Some),
            _ => Ok(None),
        }
    }

    fn precedence(&self, token: &Token, next: &Token) -> Option<u8> {
        Some(match token {
            Token::Word(word) if word.quote_style.is_some() => return None,
            Token::Word(word) => match word.keyword {
                Keyword::OR => precedence::OR,
                Keyword::XOR => precedence::XOR,
                Keyword::AND => precedence::AND,
                // Other dialects' operators: here these words may only end the expression.
                Keyword::ILIKE | Keyword::SIMILAR | Keyword::OVERLAPS | Keyword::OPERATOR | Keyword::AT => 0,
                _ => return None,
            },
            Token::CustomBinaryOperator(_) => precedence::MULTIPLY, // DIV and MOD
            Token::StringConcat if self.pipes_as_concat => precedence::CONCAT,
            Token::StringConcat => precedence::OR,
            Token::Overlap => precedence::AND,
            Token::Assignment => precedence::ASSIGN,
            Token::Pipe => precedence::BIT_OR,
            Token::Ampersand => precedence::BIT_AND,
            Token::ShiftLeft | Token::ShiftRight => precedence::SHIFT,
            Token::Caret => precedence::BIT_XOR,
            Token::Arrow | Token::LongArrow => precedence::POSTFIX,
            // Only `f(…)(…)` has a bracket behind an expression, and there an argument list follows.
            Token::LParen if *next != Token::RParen => precedence::POSTFIX,
            Token::DoubleColon | Token::Colon | Token::ExclamationMark | Token::Sharp | Token::Tilde => 0,
            _ => return None,
        })
    }
}

/// `-x`, `+x`, `~x`, `!x`: all bind tighter than any binary operator.
fn unary(parser: &mut Parser) -> Result<Expr, ParserError> {
    let op = match parser.next_token().token {
        Token::Minus => UnaryOperator::Minus,
        Token::Plus => UnaryOperator::Plus,
        Token::Tilde => UnaryOperator::BitwiseNot,
        _ => UnaryOperator::BangNot,
    };
    let expr = parser.parse_subexpr(precedence::UNARY)?;
    Ok(Expr::UnaryOp { op, expr: Box::new(expr) })
}

/// `INTERVAL expr unit`, with MySQL's two-part units.
fn interval(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.advance_token();
    let value = parser.parse_expr()?;
    let unit = parser.parse_identifier()?;
    let known = super::rewrite::intervals::is_unit(&unit.value);
    if unit.quote_style.is_some() || !known {
        return Err(ParserError::ParserError(format!("expected a unit of time, found: {unit}{}", unit.span.start)));
    }
    Ok(Expr::Interval(Interval {
        value: Box::new(value),
        leading_field: Some(DateTimeField::Custom(unit)),
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    }))
}

/// `CAST(expr AS type [CHARACTER SET name])`.
fn cast(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.advance_token();
    parser.expect_token(&Token::LParen)?;
    let expr = parser.parse_expr()?;
    parser.expect_keyword_is(Keyword::AS)?;
    let data_type = parser.parse_data_type()?;
    if matches!(data_type, DataType::Signed | DataType::Unsigned) {
        let _ = parser.parse_keyword(Keyword::INT); // sqlparser knows SIGNED INTEGER only
    }
    if parser.parse_keywords(&[Keyword::CHARACTER, Keyword::SET]) || parser.parse_keyword(Keyword::CHARSET) {
        parser.parse_identifier()?;
    }
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None })
}

/// `BINARY expr`.
fn binary(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.advance_token();
    let expr = parser.parse_subexpr(precedence::UNARY)?;
    Ok(Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type: DataType::Binary(None),
        array: false,
        format: None,
    })
}

/// `@'name'`, `` @`name` ``: the at sign and the name are two tokens.
fn quoted_user_variable(parser: &mut Parser) -> Result<Expr, ParserError> {
    let at = parser.next_token();
    let token = parser.next_token();
    let name = match token.token {
        Token::SingleQuotedString(name) | Token::DoubleQuotedString(name) => name,
        Token::Word(word) if word.quote_style.is_some() => word.value,
        _ => return parser.expected("the name of a user variable", token),
    };
    Ok(Expr::Identifier(sqlparser::ast::Ident::with_span(at.span, format!("@{name}"))))
}

/// ClickHouse's `f(parameters)(arguments)`.
fn second_bracket(parser: &mut Parser, left: &Expr) -> Result<Expr, ParserError> {
    let Expr::Function(first) = left else {
        return parser.expected_ref("an operator", parser.peek_token_ref());
    };
    if first.over.is_some() || first.parameters != FunctionArguments::None || !has_plain_arguments(first) {
        return parser.expected_ref("an operator", parser.peek_token_ref());
    }
    let Expr::Function(second) = parser.parse_function(first.name.clone())? else {
        return parser.expected_ref("arguments", parser.peek_token_ref());
    };
    Ok(Expr::Function(Function { parameters: first.args.clone(), ..second }))
}

/// Whether every argument is a literal: the hook lends the function, so its arguments are copied, and a deep tree is
/// not.
fn has_plain_arguments(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    list.args.iter().all(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Interval(interval))) => {
            matches!(interval.value.as_ref(), Expr::Value(_))
        }
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => matches!(expr, Expr::Value(_)),
        _ => false,
    })
}

impl Dialect for DesirepathDialect {
    /// sqlparser's own checks for MySQL hold for us.
    fn dialect(&self) -> TypeId {
        TypeId::of::<MySqlDialect>()
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.base.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.base.is_identifier_part(ch)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`' || (ch == '"' && self.ansi_quotes)
    }

    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        Some('`')
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        self.backslash_escapes
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        self.prefix(parser).transpose()
    }

    fn parse_infix(&self, parser: &mut Parser, expr: &Expr, _precedence: u8) -> Option<Result<Expr, ParserError>> {
        self.infix(parser, expr).transpose()
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        let (token, next) = (parser.peek_token_ref(), parser.peek_nth_token_ref(1));
        self.precedence(&token.token, &next.token).map(Ok)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.base.prec_value(precedence)
    }

    fn is_table_factor_alias(&self, explicit: bool, keyword: &Keyword, parser: &mut Parser) -> bool {
        // `SELECT … FROM t LOCK IN SHARE MODE`, `FROM t INTO OUTFILE …`
        (explicit || !matches!(keyword, Keyword::LOCK | Keyword::INTO))
            && self.base.is_table_factor_alias(explicit, keyword, parser)
    }

    /// Version comments are opened before the text is taken apart, so that positions in it stay true.
    fn supports_multiline_comment_hints(&self) -> bool {
        false
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn supports_bang_not_operator(&self) -> bool {
        true
    }

    fn supports_group_by_with_modifier(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        true
    }

    // What MySqlDialect says of itself; a wrapper has to repeat it.
    fn ignores_wildcard_escapes(&self) -> bool {
        true
    }
    fn supports_string_literal_concatenation(&self) -> bool {
        true
    }
    fn supports_numeric_prefix(&self) -> bool {
        true
    }
    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }
    fn require_interval_qualifier(&self) -> bool {
        true
    }
    fn supports_limit_comma(&self) -> bool {
        true
    }
    fn supports_table_hints(&self) -> bool {
        true
    }
    fn requires_single_line_comment_whitespace(&self) -> bool {
        true
    }
    fn supports_match_against(&self) -> bool {
        true
    }
    fn supports_select_modifiers(&self) -> bool {
        true
    }
    fn supports_data_type_signed_suffix(&self) -> bool {
        true
    }
    fn supports_cross_join_constraint(&self) -> bool {
        true
    }
    fn supports_double_ampersand_operator(&self) -> bool {
        true
    }
    fn supports_binary_kw_as_cast(&self) -> bool {
        true
    }
}
