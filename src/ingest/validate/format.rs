//! The text MySQL shows for numbers, dates and times, appended to a byte buffer without allocating. Pure.

use std::fmt::{self, Write};

use arrow::datatypes::i256;

use super::calendar::{self, ClockTime, MICROS_PER_SECOND};

/// MySQL prints a DOUBLE without exponent when its point stands at most this far from the first digit (DBL_DIG).
const POINT_DISTANCE_MAX: i32 = 15;
/// Significant digits of a FLOAT in text (FLT_DIG).
const FLOAT_DIGITS: usize = 6;

/// The numbers 00 to 99, so that one division yields two digits.
static PAIRS: [u8; 200] = pairs();

const fn pairs() -> [u8; 200] {
    let mut table = [0; 200];
    let mut number = 0;
    while number < 100 {
        table[number * 2] = b'0' + (number / 10) as u8;
        table[number * 2 + 1] = b'0' + (number % 10) as u8;
        number += 1;
    }
    table
}

/// Appends an unsigned integer.
pub fn unsigned(value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let start = fill(value, &mut digits);
    out.extend_from_slice(&digits[start..]);
}

/// Appends a signed integer.
pub fn signed(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(value.unsigned_abs(), out);
}

/// Appends a decimal: `unscaled` times ten to the power of minus `scale`, with exactly `scale` digits after the point.
pub fn decimal(unscaled: i128, scale: i8, out: &mut Vec<u8>) {
    if unscaled < 0 {
        out.push(b'-');
    }
    let magnitude = unscaled.unsigned_abs();
    let mut digits = [0; 60];
    let start = match u64::try_from(magnitude) {
        Ok(small) => fill(small, &mut digits),
        Err(_) => fill_wide(magnitude, &mut digits),
    };
    place_point(&digits[start..], scale, out);
}

/// Appends a decimal of more than 38 digits.
pub fn wide_decimal(unscaled: i256, scale: i8, out: &mut Vec<u8>) {
    if let Some(narrow) = unscaled.to_i128() {
        return decimal(narrow, scale, out);
    }
    let text = unscaled.to_string();
    match text.strip_prefix('-') {
        Some(digits) => {
            out.push(b'-');
            place_point(digits.as_bytes(), scale, out);
        }
        None => place_point(text.as_bytes(), scale, out),
    }
}

/// Appends a DOUBLE: the shortest digits that read back as the same value; `1e20` form far from the point. What MySQL
/// cannot hold (NaN, infinities) is spelt as most languages' number parsers take it.
pub fn double(value: f64, out: &mut Vec<u8>) {
    if sign_or_special(value, out) {
        return;
    }
    let magnitude = value.abs();
    if short_double(magnitude, out) {
        return;
    }
    let mut text = StackText::default();
    // Rust's exponent form has the shortest digits that read back as the same value, and always fits.
    let _ = write!(text, "{magnitude:e}");
    scientific(text.as_bytes(), out);
}

/// Appends a FLOAT: at most six significant digits, as MySQL shows them.
pub fn float(value: f32, out: &mut Vec<u8>) {
    let value = f64::from(value);
    if sign_or_special(value, out) {
        return;
    }
    let magnitude = value.abs();
    if magnitude < 1e6 && magnitude.fract() == 0.0 {
        return unsigned(magnitude as u64, out);
    }
    let mut text = StackText::default();
    let _ = write!(text, "{magnitude:.*e}", FLOAT_DIGITS - 1);
    scientific(text.as_bytes(), out);
}

/// Appends a date, given in days since 1970-01-01: `2026-01-05`.
pub fn date(days: i64, out: &mut Vec<u8>) {
    let civil = calendar::civil_date(days);
    match civil.year {
        0..=9999 => {
            pair((civil.year / 100) as u8, out);
            pair((civil.year % 100) as u8, out);
        }
        // No MySQL date, but an expression may get here; a wrong digit would be worse than a long year.
        other => signed(other, out),
    }
    out.push(b'-');
    pair(civil.month, out);
    out.push(b'-');
    pair(civil.day, out);
}

/// Appends a DATETIME, given in microseconds since 1970-01-01, with exactly `digits` digits of fraction.
pub fn datetime(micros: i64, digits: u8, out: &mut Vec<u8>) {
    let (days, time) = calendar::split_micros(micros);
    date(days, out);
    out.push(b' ');
    clock_time(time, digits, out);
}

/// Appends a TIME, given in microseconds, with exactly `digits` digits of fraction: `-838:59:59.000000`.
pub fn time(micros: i64, digits: u8, out: &mut Vec<u8>) {
    if micros < 0 {
        out.push(b'-');
    }
    let magnitude = micros.unsigned_abs();
    let seconds = magnitude / MICROS_PER_SECOND as u64;
    match seconds / 3600 {
        hours @ 0..=99 => pair(hours as u8, out),
        hours => unsigned(hours, out),
    }
    out.push(b':');
    pair((seconds / 60 % 60) as u8, out);
    out.push(b':');
    pair((seconds % 60) as u8, out);
    fraction((magnitude % MICROS_PER_SECOND as u64) as u32, digits, out);
}

/// Appends `value` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD.
pub fn json_string(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for part in value.utf8_chunks() {
        for &byte in part.valid().as_bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0x08 => out.extend_from_slice(b"\\b"),
                0x0c => out.extend_from_slice(b"\\f"),
                0..=0x1f => {
                    out.extend_from_slice(b"\\u00");
                    out.push(b'0' + (byte >> 4));
                    out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
                }
                _ => out.push(byte),
            }
        }
        if !part.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

fn clock_time(time: ClockTime, digits: u8, out: &mut Vec<u8>) {
    pair(time.hour, out);
    out.push(b':');
    pair(time.minute, out);
    out.push(b':');
    pair(time.second, out);
    fraction(time.micros, digits, out);
}

fn fraction(micros: u32, digits: u8, out: &mut Vec<u8>) {
    if digits == 0 {
        return;
    }
    let six = [(micros / 10_000) as u8, (micros / 100 % 100) as u8, (micros % 100) as u8];
    out.push(b'.');
    let start = out.len();
    six.into_iter().for_each(|two| pair(two, out));
    out.truncate(start + usize::from(digits.min(6)));
}

/// Appends two digits of a number below 100.
fn pair(value: u8, out: &mut Vec<u8>) {
    let at = usize::from(value) * 2;
    out.extend_from_slice(&PAIRS[at..at + 2]);
}

/// Writes the digits of `value` at the end of `digits` and gives the position of the first.
fn fill<const N: usize>(mut value: u64, digits: &mut [u8; N]) -> usize {
    let mut at = N;
    while value >= 100 {
        let two = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[two..two + 2]);
    }
    if value >= 10 {
        let two = value as usize * 2;
        digits[at - 2..at].copy_from_slice(&PAIRS[two..two + 2]);
        at - 2
    } else {
        digits[at - 1] = b'0' + value as u8;
        at - 1
    }
}

/// The same for up to 39 digits, nineteen at a time, because division of 128 bits is slow.
fn fill_wide(mut value: u128, digits: &mut [u8; 60]) -> usize {
    const CHUNK: u128 = 10_000_000_000_000_000_000;
    let mut end = digits.len();
    loop {
        let mut chunk = [b'0'; 20];
        let start = fill((value % CHUNK) as u64, &mut chunk);
        value /= CHUNK;
        let from = if value == 0 { start } else { 1 };
        let length = chunk.len() - from;
        digits[end - length..end].copy_from_slice(&chunk[from..]);
        end -= length;
        if value == 0 {
            return end;
        }
    }
}

/// Appends `digits` with a point before the last `scale` of them, or with zeros after them for a negative scale.
fn place_point(digits: &[u8], scale: i8, out: &mut Vec<u8>) {
    let scale_digits = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.extend_from_slice(digits);
        if digits != b"0" {
            out.resize(out.len() + scale_digits, b'0');
        }
    } else if digits.len() > scale_digits {
        let (whole, rest) = digits.split_at(digits.len() - scale_digits);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(rest);
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + scale_digits - digits.len(), b'0');
        out.extend_from_slice(digits);
    }
}

/// Appends a minus sign if there is one; true when the value is not finite and has been written whole.
fn sign_or_special(value: f64, out: &mut Vec<u8>) -> bool {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
        return true;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value.is_infinite() {
        out.extend_from_slice(b"Infinity");
        return true;
    }
    false
}

/// Most doubles in practice are whole or have few decimals. If `n / 10^k` gives the value back and n has at most 15
/// digits, then its digits are the shortest: no two decimals of up to 15 digits share a double.
fn short_double(magnitude: f64, out: &mut Vec<u8>) -> bool {
    for (power, scale) in [(1.0, 0), (1e2, 2), (1e6, 6)] {
        let scaled = (magnitude * power).round();
        if scaled >= 1e15 {
            return false;
        }
        if scaled / power == magnitude {
            let mut digits = [0; 20];
            let start = fill(scaled as u64, &mut digits);
            place_point(&digits[start..], scale, out);
            if scale > 0 {
                trim_zeros(out);
            }
            return true;
        }
    }
    false
}

/// Lays out Rust's `d.ddde±x` as MySQL does: plain when the point is near, else `d.dddex`.
fn scientific(text: &[u8], out: &mut Vec<u8>) {
    let at = text.iter().position(|&byte| byte == b'e').unwrap_or(text.len());
    let exponent = std::str::from_utf8(text.get(at + 1..).unwrap_or_default())
        .ok()
        .and_then(|digits| digits.parse::<i32>().ok())
        .unwrap_or(0);
    let mut digits = [0; 24];
    let mut length = 0;
    for &byte in text[..at].iter().filter(|byte| byte.is_ascii_digit()).take(digits.len()) {
        digits[length] = byte;
        length += 1;
    }
    while length > 1 && digits[length - 1] == b'0' {
        length -= 1;
    }
    let digits = &digits[..length];
    let point = exponent + 1; // digits before the point
    if (1 - POINT_DISTANCE_MAX..=POINT_DISTANCE_MAX).contains(&point) {
        place_point(digits, (length as i32 - point) as i8, out);
    } else {
        out.push(digits[0]);
        if length > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'e');
        signed(i64::from(exponent), out);
    }
}

/// Removes zeros at the end of a fraction, and the point if nothing is left of it.
fn trim_zeros(out: &mut Vec<u8>) {
    while out.last() == Some(&b'0') {
        out.pop();
    }
    if out.last() == Some(&b'.') {
        out.pop();
    }
}

/// Room for the longest exponent form of a double.
#[derive(Default)]
struct StackText {
    bytes: [u8; 32],
    length: usize,
}

impl StackText {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for StackText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
