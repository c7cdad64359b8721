//! The lexical surface of MySQL's SQL: where quotes and comments end. Splits a script into its statements and opens
//! version comments. Understands no statement.

use std::borrow::Cow;

/// Version comments up to this are executed: `/*!80036 … */`. It is the version the server calls itself.
const VERSION_MAX: u32 = 80_036;

/// Digits a version in a comment may have.
const VERSION_DIGITS_MAX: usize = 6;

/// One statement of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptStatement<'t> {
    /// The statement without its delimiter and the white space and comments around it.
    pub text: &'t str,
    /// The line of the script it starts on, from 1.
    pub line: usize,
}

/// How a script is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScriptOptions {
    /// sql_mode NO_BACKSLASH_ESCAPES.
    pub no_backslash_escapes: bool,
    /// Whether the mysql client's own syntax holds: DELIMITER lines, and `\g` and `\G` as delimiters.
    pub delimiter_command: bool,
}

/// The statements of `text` in order; empty ones are left out.
pub fn split(text: &str, options: ScriptOptions) -> Vec<ScriptStatement<'_>> {
    let mut splitter = Splitter { text, options, delimiter: ";", at: 0, line: 1, counted: 0 };
    std::iter::from_fn(|| splitter.next()).collect()
}

/// Replaces the marks of version comments (`/*!40101 … */`) by blanks, and those for other servers (`/*M! … */`, a
/// newer version) wholly. Mysqldump, the JDBC drivers and Perl put whole statements and single words in them. No
/// position moves.
pub fn open_version_comments(text: &str, no_backslash_escapes: bool) -> Cow<'_, str> {
    if !text.contains("/*!") && !text.contains("/*M!") {
        return Cow::Borrowed(text);
    }
    let mut opened = String::with_capacity(text.len());
    let mut at = 0;
    while let Some((piece, end)) = piece(text, at, no_backslash_escapes) {
        let part = &text[at..end];
        match (piece, version_comment(part)) {
            (Piece::BlockComment, Some(inside)) => {
                blank(&mut opened, &part[..inside.start]);
                opened.push_str(&part[inside.clone()]);
                blank(&mut opened, &part[inside.end..]);
            }
            _ => opened.push_str(part),
        }
        at = end;
    }
    Cow::Owned(opened)
}

fn blank(out: &mut String, part: &str) {
    out.extend(part.chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
}

/// The part of a comment that is to be executed; None for a comment that is one.
fn version_comment(comment: &str) -> Option<std::ops::Range<usize>> {
    let start = match comment {
        _ if comment.starts_with("/*!") => 3,
        _ if comment.starts_with("/*M!") => return Some(comment.len()..comment.len()),
        _ => return None,
    };
    let digits = comment[start..].bytes().take(VERSION_DIGITS_MAX).take_while(u8::is_ascii_digit).count();
    // Fewer than five digits are no version but a number.
    let digits = if digits < VERSION_DIGITS_MAX - 1 { 0 } else { digits };
    let version = comment[start..start + digits].parse().unwrap_or(0);
    if version > VERSION_MAX {
        return Some(comment.len()..comment.len());
    }
    let end = if comment.ends_with("*/") { comment.len() - 2 } else { comment.len() };
    Some(start + digits..end.max(start + digits))
}

fn is_executed(comment: &str) -> bool {
    version_comment(comment).is_some_and(|inside| !inside.is_empty())
}

/// A stretch of text that is read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Quoted,
    /// To the end of the line, which is not part of it.
    LineComment,
    BlockComment,
    Space,
    Character,
}

/// The piece at `at` and where it ends; None at the end of the text.
pub(super) fn piece(text: &str, at: usize, no_backslash_escapes: bool) -> Option<(Piece, usize)> {
    let bytes = text.as_bytes();
    let first = *bytes.get(at)?;
    let rest = &bytes[at + 1..];
    let line_end = || at + 1 + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    Some(match first {
        b'\'' | b'"' => (Piece::Quoted, quoted_end(bytes, at, !no_backslash_escapes)),
        b'`' => (Piece::Quoted, quoted_end(bytes, at, false)),
        b'#' => (Piece::LineComment, line_end()),
        b'-' if rest.first() == Some(&b'-') && rest.get(1).is_none_or(u8::is_ascii_whitespace) => {
            (Piece::LineComment, line_end())
        }
        b'/' if rest.first() == Some(&b'*') => {
            let end = text.get(at + 2..).and_then(|inside| inside.find("*/"));
            (Piece::BlockComment, end.map_or(bytes.len(), |end| at + 2 + end + 2))
        }
        byte if byte.is_ascii_whitespace() => (Piece::Space, at + 1),
        _ => (Piece::Character, at + text[at..].chars().next().map_or(1, char::len_utf8)),
    })
}

/// The end of the quoted text that starts at `start`; the end of the text if it is not closed. A doubled quote counts
/// as two quoted texts side by side, which is all the same here.
fn quoted_end(bytes: &[u8], start: usize, backslash_escapes: bool) -> usize {
    let quote = bytes[start];
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if backslash_escapes => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Walks through a script.
struct Splitter<'t> {
    text: &'t str,
    options: ScriptOptions,
    delimiter: &'t str,
    at: usize,
    /// The line of `counted`.
    line: usize,
    counted: usize,
}

impl<'t> Splitter<'t> {
    fn next(&mut self) -> Option<ScriptStatement<'t>> {
        loop {
            self.skip_blank();
            if self.at >= self.text.len() {
                return None;
            }
            if self.options.delimiter_command && self.delimiter_line() {
                continue;
            }
            let (start, end) = (self.at, self.statement_end());
            if start < end {
                return Some(ScriptStatement { text: &self.text[start..end], line: self.line_of(start) });
            }
        }
    }

    /// Skips white space and comments; a version comment for us is no comment.
    fn skip_blank(&mut self) {
        while let Some((piece, end)) = self.piece() {
            let skip = match piece {
                Piece::Space | Piece::LineComment => true,
                Piece::BlockComment => !is_executed(&self.text[self.at..end]),
                Piece::Quoted | Piece::Character => false,
            };
            if !skip {
                break;
            }
            self.at = end;
        }
    }

    /// Reads `DELIMITER //` at the start of a statement.
    fn delimiter_line(&mut self) -> bool {
        const COMMAND: &str = "delimiter";
        let rest = &self.text[self.at..];
        let is_command = rest.get(..COMMAND.len()).is_some_and(|word| word.eq_ignore_ascii_case(COMMAND))
            && rest[COMMAND.len()..].starts_with([' ', '\t']);
        if !is_command {
            return false;
        }
        let line = rest.lines().next().unwrap_or_default();
        if let Some(delimiter) = line[COMMAND.len()..].split_whitespace().next() {
            self.delimiter = delimiter;
        }
        self.at += line.len();
        true
    }

    /// Moves behind the next delimiter; returns where the last thing before it ends.
    fn statement_end(&mut self) -> usize {
        let mut end = self.at;
        while let Some((piece, next)) = self.piece() {
            if let Some(length) = self.delimiter_length(piece) {
                self.at += length;
                return end;
            }
            let counts = match piece {
                Piece::Space | Piece::LineComment => false,
                Piece::BlockComment => is_executed(&self.text[self.at..next]),
                Piece::Quoted | Piece::Character => true,
            };
            self.at = next;
            if counts {
                end = next;
            }
        }
        end
    }

    fn delimiter_length(&self, piece: Piece) -> Option<usize> {
        let rest = &self.text[self.at..];
        if rest.starts_with(self.delimiter) && piece != Piece::Quoted {
            return Some(self.delimiter.len());
        }
        let is_go = self.options.delimiter_command && (rest.starts_with("\\g") || rest.starts_with("\\G"));
        is_go.then_some(2)
    }

    fn piece(&self) -> Option<(Piece, usize)> {
        piece(self.text, self.at, self.options.no_backslash_escapes)
    }

    fn line_of(&mut self, at: usize) -> usize {
        self.line += self.text[self.counted..at].matches('\n').count();
        self.counted = at;
        self.line
    }
}
