//! Column names. MySQL names an expression without alias by its text (`COUNT(*)`, `DATE(t)`, a string by itself), and
//! tools read columns by that name; DataFusion prints the planned expression. MySQL allows a name twice; DataFusion
//! does not. The names can go when DataFusion keeps an expression's text, the marks when it allows duplicates.

use std::collections::HashMap;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, Value, ValueWithSpan, VisitMut, VisitorMut};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use super::functions::CALLS_WITHOUT_BRACKETS;
use crate::dialect::reader::TokenList;
use crate::dialect::source::Source;

/// Follows a name that occurred in the select list before; what comes from there on is ours alone, see [`shown_name`].
pub const DUPLICATE_MARK: char = '\u{1f}';

/// Characters of a name made from text, as in MySQL.
const NAME_CHARACTERS_MAX: usize = 256;

/// The name of a result column as people see it.
pub fn shown_name(name: &str) -> &str {
    name.split(DUPLICATE_MARK).next().unwrap_or(name)
}

/// Gives every unnamed expression of every SELECT an alias, and every duplicate one of its own.
pub(in crate::dialect) fn name_select_items(query: &mut Query, source: &Source<'_>, tokens: &TokenList<'_>) {
    struct Namer<'n> {
        source: &'n Source<'n>,
        tokens: &'n TokenList<'n>,
    }
    impl VisitorMut for Namer<'_> {
        type Break = ();

        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            name_items(select, self.source, self.tokens);
            mark_duplicates(&mut select.projection);
            ControlFlow::Continue(())
        }
    }
    let _: ControlFlow<()> = query.visit(&mut Namer { source, tokens });
}

fn name_items(select: &mut Select, source: &Source<'_>, tokens: &TokenList<'_>) {
    let first = tokens.find(select.select_token.0.span).map(|token| token + 1);
    let ranges = first.map(|first| item_ranges(tokens, first)).unwrap_or_default();
    let is_aligned = ranges.len() == select.projection.len();
    for (at, item) in select.projection.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        if is_column(expr) {
            continue;
        }
        let name = match ranges.get(at) {
            Some(&(start, end)) if is_aligned => text_name(expr, source, tokens, start, end),
            _ => expr.to_string(),
        };
        let name: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
        let expr = std::mem::replace(expr, Expr::Value(Value::Null.into()));
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('`', name) };
    }
}

/// A string is named by its first part, anything else by its text.
fn text_name(expr: &Expr, source: &Source<'_>, tokens: &TokenList<'_>, start: usize, end: usize) -> String {
    if let Expr::Value(ValueWithSpan { value, .. }) = expr
        && !matches!(value, Value::HexStringLiteral(_))
        && let Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) | Token::NationalStringLiteral(text) =
            &tokens.get(start).token
    {
        return text.clone();
    }
    source.slice(tokens.get(start).span.start, tokens.get(end).span.end).to_owned()
}

/// The first and last token of each item of the select list that starts at token `first`.
fn item_ranges(tokens: &TokenList<'_>, first: usize) -> Vec<(usize, usize)> {
    let mut start = first;
    while is_modifier(&tokens.get(start).token) {
        start += 1;
    }
    let (mut ranges, mut at, mut depth) = (Vec::new(), start, 0_usize);
    loop {
        match &tokens.get(at).token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace if depth > 0 => depth -= 1,
            Token::RParen | Token::EOF | Token::SemiColon => break,
            Token::Comma if depth == 0 => {
                ranges.push((start, at.saturating_sub(1).max(start)));
                start = at + 1;
            }
            Token::Word(_) if depth == 0 && ends_list(tokens, at) => break,
            _ => {}
        }
        at += 1;
    }
    ranges.push((start, at.saturating_sub(1).max(start)));
    ranges
}

fn is_modifier(token: &Token) -> bool {
    let Token::Word(word) = token else { return false };
    word.quote_style.is_none()
        && (matches!(word.keyword, Keyword::ALL | Keyword::DISTINCT | Keyword::DISTINCTROW)
            || matches!(word.keyword, Keyword::HIGH_PRIORITY | Keyword::STRAIGHT_JOIN)
            || matches!(word.keyword, Keyword::SQL_SMALL_RESULT | Keyword::SQL_BIG_RESULT | Keyword::SQL_BUFFER_RESULT)
            || matches!(word.keyword, Keyword::SQL_NO_CACHE | Keyword::SQL_CALC_FOUND_ROWS))
}

/// Whether the word ends a select list.
fn ends_list(tokens: &TokenList<'_>, at: usize) -> bool {
    let Token::Word(word) = &tokens.get(at).token else { return false };
    let is_name = word.quote_style.is_some() || at > 0 && tokens.get(at - 1).token == Token::Period;
    if is_name {
        return false;
    }
    match word.keyword {
        Keyword::GROUP | Keyword::ORDER => {
            matches!(&tokens.get(at + 1).token, Token::Word(next) if next.keyword == Keyword::BY)
        }
        Keyword::FROM
        | Keyword::INTO
        | Keyword::WHERE
        | Keyword::HAVING
        | Keyword::LIMIT
        | Keyword::UNION
        | Keyword::EXCEPT
        | Keyword::INTERSECT
        | Keyword::FOR
        | Keyword::LOCK
        | Keyword::WINDOW
        | Keyword::QUALIFY => true,
        _ => false,
    }
}

/// Whether the expression is a column: it keeps its name, and its qualifier, without an alias.
fn is_column(expr: &Expr) -> bool {
    let first = match expr {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(parts) => match parts.first() {
            Some(first) => first,
            None => return false,
        },
        _ => return false,
    };
    let is_call = CALLS_WITHOUT_BRACKETS.contains(&first.value.to_ascii_lowercase().as_str());
    first.quote_style.is_some() || !(first.value.starts_with('@') || is_call)
}

/// Marks the second and later items of one name. `a.id` and `b.id` are told apart by their qualifiers.
fn mark_duplicates(projection: &mut [SelectItem]) {
    let has_wildcard =
        projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    let mut seen: HashMap<String, Vec<Option<String>>> = HashMap::new();
    for (at, item) in projection.iter_mut().enumerate() {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let Some((qualifier, name)) = column_name(expr) else { continue };
                let others = seen.entry(name.to_lowercase()).or_default();
                let clashes = |other: &Option<String>| other.is_none() || qualifier.is_none() || *other == qualifier;
                // A wildcard brings the column as well.
                if has_wildcard || others.iter().any(clashes) {
                    let expr = std::mem::replace(expr, Expr::Value(Value::Null.into()));
                    *item = SelectItem::ExprWithAlias { expr, alias: marked(&name, at) };
                } else {
                    others.push(qualifier);
                }
            }
            SelectItem::ExprWithAlias { alias, .. } => {
                let others = seen.entry(alias.value.to_lowercase()).or_default();
                if others.is_empty() {
                    others.push(None);
                } else {
                    *alias = marked(&alias.value, at);
                }
            }
            _ => {}
        }
    }
}

/// The qualifier, in lower case, and the name of a column.
fn column_name(expr: &Expr) -> Option<(Option<String>, String)> {
    match expr {
        Expr::Identifier(ident) => Some((None, ident.value.clone())),
        Expr::CompoundIdentifier(parts) => {
            let (name, qualifiers) = parts.split_last()?;
            let qualifier = qualifiers.last().map(|qualifier| qualifier.value.to_lowercase());
            Some((qualifier, name.value.clone()))
        }
        _ => None,
    }
}

fn marked(name: &str, at: usize) -> Ident {
    Ident::with_quote('`', format!("{name}{DUPLICATE_MARK}{at}"))
}
