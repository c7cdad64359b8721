//! Statement bytes to text. Clients write binary values as `_binary'<any bytes>'` (PyMySQL, Go, Node), so a statement
//! need not be UTF-8: a quoted literal that is not becomes `X'..'`, anything else is error 1300. No SQL is understood
//! here but quotes and comments.

use crate::error::{Error, Kind, Result};

/// How many bytes of a wrong text the message shows.
const SHOWN_BYTES_MAX: usize = 6;

/// The text of a statement; `backslash_escapes` is off under sql_mode NO_BACKSLASH_ESCAPES.
///
/// # Errors
/// `InvalidText` when bytes outside quotes are not UTF-8.
pub fn statement_text(bytes: &[u8], backslash_escapes: bool) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => text(with_hex_literals(bytes, backslash_escapes)),
    }
}

/// A name or another short text.
///
/// # Errors
/// `InvalidText` when it is not UTF-8.
pub fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let wrong = &error.as_bytes()[error.utf8_error().valid_up_to()..];
        Error::new(Kind::InvalidText, format!("Invalid utf8mb4 character string: '{}'", shown(wrong)))
    })
}

/// Copies a statement, writing each quoted literal that is not UTF-8 as `X'..'`.
fn with_hex_literals(statement: &[u8], backslash_escapes: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(statement.len() * 2);
    let mut at = 0;
    while at < statement.len() {
        let rest = &statement[at..];
        let length = match rest[0] {
            quote @ (b'\'' | b'"') => {
                let Some(literal) = Literal::read(rest, quote, backslash_escapes) else { break };
                let raw = &rest[..literal.length];
                if std::str::from_utf8(raw).is_ok() {
                    out.extend_from_slice(raw)
                } else {
                    literal.write_hex(&mut out)
                }
                at += literal.length;
                continue;
            }
            b'`' => length_until(rest, 1, b"`"),
            b'#' => length_until(rest, 1, b"\n"),
            b'-' if rest.starts_with(b"-- ") || rest.starts_with(b"--\t") || rest.starts_with(b"--\n") => {
                length_until(rest, 2, b"\n")
            }
            // The inside of /*! */ is executed, so it is read on.
            b'/' if rest.starts_with(b"/*") && !rest.starts_with(b"/*!") => length_until(rest, 2, b"*/"),
            _ => 1,
        };
        out.extend_from_slice(&rest[..length]);
        at += length;
    }
    out.extend_from_slice(&statement[at..]);
    out
}

/// Bytes up to and including the first `end` at or after `from`; all of them if there is none.
fn length_until(bytes: &[u8], from: usize, end: &[u8]) -> usize {
    let found = bytes[from..].windows(end.len()).position(|window| window == end);
    found.map_or(bytes.len(), |position| from + position + end.len())
}

/// A quoted literal: its length in the statement with quotes, and the bytes it stands for.
struct Literal {
    length: usize,
    value: Vec<u8>,
}

impl Literal {
    /// Reads the literal that starts `bytes`; None if it never ends.
    fn read(bytes: &[u8], quote: u8, backslash_escapes: bool) -> Option<Literal> {
        let mut value = Vec::new();
        let mut at = 1;
        while at < bytes.len() {
            let (byte, next) = (bytes[at], bytes.get(at + 1).copied());
            match (byte, next) {
                (b'\\', Some(escaped)) if backslash_escapes => {
                    unescape(escaped, &mut value);
                    at += 2;
                }
                (byte, Some(next)) if byte == quote && next == quote => {
                    value.push(quote);
                    at += 2;
                }
                (byte, _) if byte == quote => return Some(Literal { length: at + 1, value }),
                (byte, _) => {
                    value.push(byte);
                    at += 1;
                }
            }
        }
        None
    }

    /// Appends `X'..'`, in place of a `_binary` that introduced the literal.
    fn write_hex(&self, out: &mut Vec<u8>) {
        const INTRODUCER: &[u8] = b"_binary";
        let before = out.trim_ascii_end().len();
        if before >= INTRODUCER.len() && out[before - INTRODUCER.len()..before].eq_ignore_ascii_case(INTRODUCER) {
            out.truncate(before - INTRODUCER.len());
        }
        out.extend_from_slice(b"X'");
        for byte in &self.value {
            out.extend([byte >> 4, byte & 15].map(|digit| b"0123456789ABCDEF"[usize::from(digit)]));
        }
        out.push(b'\'');
    }
}

/// MySQL's backslash escapes in a string literal.
fn unescape(escaped: u8, value: &mut Vec<u8>) {
    match escaped {
        b'0' => value.push(0),
        b'b' => value.push(8),
        b'n' => value.push(b'\n'),
        b'r' => value.push(b'\r'),
        b't' => value.push(b'\t'),
        b'Z' => value.push(26),
        b'%' | b'_' => value.extend([b'\\', escaped]),
        other => value.push(other),
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.iter().take(SHOWN_BYTES_MAX).map(|byte| format!("\\x{byte:02X}")).collect()
}
