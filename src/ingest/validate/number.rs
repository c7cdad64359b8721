//! Values to integers, decimals and doubles, as MySQL's strict mode converts them. Knows nothing of columns: ranges are
//! the caller's.

use super::Problem;
use super::calendar::{self, ZoneClock};
use super::format;
use super::reader::Value;

/// Significant digits kept of a number; of what follows only the first can change a stored value, by rounding.
const DIGITS_MAX: u32 = 38;
/// Exponents beyond this are as good as infinite for 38 digits.
const EXPONENT_MAX: i32 = 10_000;

/// An exact number: `digits` times ten to the power of minus `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact {
    pub negative: bool,
    pub digits: u128,
    pub scale: i32,
    /// Whether a digit of 5 or more was left out after the last.
    pub rounds_up: bool,
}

impl Exact {
    fn integer(value: i128) -> Self {
        Exact { negative: value < 0, digits: value.unsigned_abs(), scale: 0, rounds_up: false }
    }

    /// The unscaled value at another scale, halves rounded away from zero; None when it does not fit.
    pub fn rescaled(self, scale: i32) -> Option<i128> {
        let digits = if self.digits == 0 {
            0
        } else if self.scale == scale {
            self.digits + u128::from(self.rounds_up)
        } else if self.scale < scale {
            let factor = 10_u128.checked_pow(scale.checked_sub(self.scale)?.unsigned_abs())?;
            self.digits.checked_mul(factor)?
        } else {
            match 10_u128.checked_pow((self.scale - scale).unsigned_abs()) {
                // The remainder is below 10^38, so its double fits.
                Some(divisor) => self.digits / divisor + u128::from(self.digits % divisor * 2 >= divisor),
                None => 0,
            }
        };
        let magnitude = i128::try_from(digits).ok()?;
        Some(if self.negative { -magnitude } else { magnitude })
    }
}

/// A number at the start of a text.
#[derive(Debug, Clone, Copy)]
pub struct NumberText {
    pub number: Exact,
    /// The bytes that made it.
    pub start: usize,
    pub end: usize,
    /// Whether only white space follows.
    pub whole: bool,
}

/// Reads `[+-]digits[.digits][e[+-]digits]` after white space; None when there is no digit.
pub fn parse_number(text: &[u8]) -> Option<NumberText> {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let mut at = start + usize::from(matches!(text[start], b'+' | b'-'));
    let mut number = Exact { negative: text[start] == b'-', ..Exact::integer(0) };
    let (mut kept, mut left_out, mut any, mut after_point) = (0, false, false, false);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'0'..=b'9' if kept < DIGITS_MAX => {
                number.digits = number.digits * 10 + u128::from(byte - b'0');
                kept += u32::from(number.digits > 0);
                number.scale += i32::from(after_point);
            }
            b'0'..=b'9' => {
                number.rounds_up |= !left_out && byte >= b'5';
                left_out = true;
                number.scale -= i32::from(!after_point);
            }
            b'.' if !after_point => after_point = true,
            _ => break,
        }
        any |= byte != b'.';
        at += 1;
    }
    if !any {
        return None;
    }
    if let Some((exponent, length)) = parse_exponent(&text[at..]) {
        number.scale -= exponent;
        at += length;
    }
    let whole = text[at..].iter().all(u8::is_ascii_whitespace);
    Some(NumberText { number, start, end: at, whole })
}

fn parse_exponent(text: &[u8]) -> Option<(i32, usize)> {
    let (b'e' | b'E') = *text.first()? else { return None };
    let signed = matches!(text.get(1), Some(b'+' | b'-'));
    let digits = &text[1 + usize::from(signed)..];
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let magnitude = digits[..count]
        .iter()
        .fold(0_i32, |number, byte| (number.saturating_mul(10)).saturating_add(i32::from(byte - b'0')))
        .min(EXPONENT_MAX);
    let exponent = if text[1] == b'-' { -magnitude } else { magnitude };
    Some((exponent, 1 + usize::from(signed) + count))
}

/// The value as an integer: decimals and texts round halves away from zero, doubles to the even neighbour.
pub fn integer(value: Value<'_>, clock: &mut ZoneClock) -> Result<i128, Problem> {
    match value {
        Value::Signed(value) => Ok(i128::from(value)),
        Value::Unsigned(value) => Ok(i128::from(value)),
        Value::Float(value) => double_to_integer(f64::from(value)),
        Value::Double(value) => double_to_integer(value),
        Value::Bytes(text) => {
            let parsed = parse_number(text).ok_or(Problem::Incorrect("integer"))?;
            let number = parsed.number.rescaled(0).ok_or(Problem::OutOfRange)?;
            if parsed.whole { Ok(number) } else { Err(Problem::Truncated) }
        }
        other => exact(other, clock)?.ok_or(Problem::Incorrect("integer"))?.rescaled(0).ok_or(Problem::OutOfRange),
    }
}

/// The value as a decimal's unscaled value at `scale`, halves rounded away from zero.
pub fn decimal(value: Value<'_>, scale: i8, clock: &mut ZoneClock) -> Result<i128, Problem> {
    let number = match value {
        Value::Bytes(text) => match parse_number(text) {
            Some(parsed) if parsed.whole => parsed.number,
            _ => return Err(Problem::Incorrect("decimal")),
        },
        other => exact(other, clock)?.ok_or(Problem::Incorrect("decimal"))?,
    };
    number.rescaled(i32::from(scale)).ok_or(Problem::OutOfRange)
}

/// The value as a finite double.
pub fn double(value: Value<'_>, clock: &mut ZoneClock) -> Result<f64, Problem> {
    let number = match value {
        Value::Signed(value) => value as f64,
        Value::Unsigned(value) => value as f64,
        Value::Float(value) => f64::from(value),
        Value::Double(value) => value,
        Value::Bytes(text) => {
            let parsed = parse_number(text).ok_or(Problem::Incorrect("double"))?;
            if !parsed.whole {
                return Err(Problem::Truncated);
            }
            read_double(&text[parsed.start..parsed.end])?
        }
        Value::Decimal(_, _) | Value::WideDecimal(_, _) => {
            let mut text = Vec::new();
            value.write_text(clock, &mut text);
            read_double(&text)?
        }
        other => {
            let number = exact(other, clock)?.ok_or(Problem::Incorrect("double"))?;
            let magnitude = number.digits as f64 / 10_f64.powi(number.scale);
            if number.negative { -magnitude } else { magnitude }
        }
    };
    if number.is_finite() { Ok(number) } else { Err(Problem::OutOfRange) }
}

/// The value as a YEAR: 0, or 1901 to 2155; one and two digits mean 1970 to 2069.
pub fn year(value: Value<'_>, clock: &mut ZoneClock) -> Result<i16, Problem> {
    let short_text = match value {
        Value::Bytes(text) => text.trim_ascii().len() <= 2,
        _ => false,
    };
    let number = match value {
        Value::Date(days) => i128::from(calendar::civil_date(i64::from(days)).year),
        Value::Moment { micros, zoned, .. } => {
            let local = if zoned { clock.local_micros(micros) } else { micros };
            i128::from(calendar::civil_date(calendar::split_micros(local).0).year)
        }
        other => integer(other, clock)?,
    };
    match i16::try_from(number) {
        Ok(0) if short_text => Ok(2000),
        Ok(year @ (0 | 1901..=2155)) => Ok(year),
        Ok(short @ 1..=69) => Ok(2000 + short),
        Ok(short @ 70..=99) => Ok(1900 + short),
        _ => Err(Problem::OutOfRange),
    }
}

/// The value as an exact number; None for what is not a number at all. Dates read as `20260105`, moments as
/// `20260105103000.000000`, times as `103000`.
pub fn exact(value: Value<'_>, clock: &mut ZoneClock) -> Result<Option<Exact>, Problem> {
    let number = match value {
        Value::Signed(value) => Exact::integer(i128::from(value)),
        Value::Unsigned(value) => Exact::integer(i128::from(value)),
        Value::Decimal(unscaled, scale) => Exact { scale: i32::from(scale), ..Exact::integer(unscaled) },
        Value::WideDecimal(unscaled, scale) => {
            let narrow = unscaled.to_i128().ok_or(Problem::OutOfRange)?;
            Exact { scale: i32::from(scale), ..Exact::integer(narrow) }
        }
        Value::Float(value) => double_digits(f64::from(value))?,
        Value::Double(value) => double_digits(value)?,
        Value::Date(days) => Exact::integer(date_number(i64::from(days))),
        Value::Moment { micros, zoned, .. } => {
            let (days, time) = calendar::split_micros(if zoned { clock.local_micros(micros) } else { micros });
            let seconds = i128::from(time.hour) * 10_000 + i128::from(time.minute) * 100 + i128::from(time.second);
            let micros = (date_number(days) * 1_000_000 + seconds) * 1_000_000 + i128::from(time.micros);
            Exact { scale: 6, ..Exact::integer(micros) }
        }
        Value::Time { micros, .. } => {
            let magnitude = i128::from(micros.unsigned_abs());
            let seconds = magnitude / 1_000_000;
            let clock = seconds / 3600 * 10_000 + seconds / 60 % 60 * 100 + seconds % 60;
            let number = Exact::integer(clock * 1_000_000 + magnitude % 1_000_000);
            Exact { scale: 6, negative: micros < 0, ..number }
        }
        Value::Bytes(text) => return Ok(parse_number(text).map(|parsed| parsed.number)),
        Value::Null | Value::Nested(_, _) => return Ok(None),
    };
    Ok(Some(number))
}

fn date_number(days: i64) -> i128 {
    let date = calendar::civil_date(days);
    i128::from(date.year) * 10_000 + i128::from(date.month) * 100 + i128::from(date.day)
}

fn double_to_integer(value: f64) -> Result<i128, Problem> {
    // No integer column reaches 10^20.
    if value.is_finite() && value.abs() < 1e20 { Ok(value.round_ties_even() as i128) } else { Err(Problem::OutOfRange) }
}

/// A double's shortest digits: what MySQL makes a decimal of.
fn double_digits(value: f64) -> Result<Exact, Problem> {
    if !value.is_finite() {
        return Err(Problem::OutOfRange);
    }
    let mut text = Vec::with_capacity(24);
    format::double(value, &mut text);
    parse_number(&text).map(|parsed| parsed.number).ok_or(Problem::OutOfRange)
}

fn read_double(text: &[u8]) -> Result<f64, Problem> {
    let text = std::str::from_utf8(text).map_err(|_| Problem::Incorrect("double"))?;
    text.parse().map_err(|_| Problem::Incorrect("double"))
}
