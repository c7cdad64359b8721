//! Values to dates and moments, as MySQL's strict mode converts them: its text forms (`2026-1-5 10:00`, `20260105`,
//! `2026-01-05T10:00:00.5+02:00`), its number forms (20260105), and its refusal of dates that do not exist.

use super::Problem;
use super::calendar::{self, MICROS_PER_DAY, MICROS_PER_SECOND, ZoneClock};
use super::number;
use super::reader::Value;

/// A point in time: what a wall clock shows, or an instant; microseconds since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    Local(i64),
    Instant(i64),
}

/// Days since 1970-01-01 of the value's date; a time of day is rounded to seconds, then dropped.
pub fn date(value: Value<'_>, clock: &mut ZoneClock) -> Result<i32, Problem> {
    let micros = match point(value).ok_or(Problem::IncorrectTemporal("date"))? {
        Point::Local(micros) => micros,
        Point::Instant(micros) => clock.local_micros(micros),
    };
    let days = calendar::round_micros(micros, 0).div_euclid(MICROS_PER_DAY);
    if (calendar::FIRST_DAY..=calendar::LAST_DAY).contains(&days) {
        Ok(days as i32)
    } else {
        Err(Problem::IncorrectTemporal("date"))
    }
}

/// Microseconds of the value's wall clock, rounded to `fraction` digits; an instant is shown by `clock`.
pub fn datetime(value: Value<'_>, fraction: u8, clock: &mut ZoneClock) -> Result<i64, Problem> {
    let micros = match point(value).ok_or(Problem::IncorrectTemporal("datetime"))? {
        Point::Local(micros) => micros,
        Point::Instant(micros) => clock.local_micros(micros),
    };
    in_range(calendar::round_micros(micros, fraction))
}

/// Microseconds UTC of the value, rounded to `fraction` digits; a wall clock is read in the zone of `clock`. An hour
/// that the zone skips is refused.
pub fn timestamp(value: Value<'_>, fraction: u8, clock: &mut ZoneClock) -> Result<i64, Problem> {
    let micros = match point(value).ok_or(Problem::IncorrectTemporal("datetime"))? {
        Point::Local(micros) => clock.utc_micros(micros).ok_or(Problem::IncorrectTemporal("datetime"))?,
        Point::Instant(micros) => micros,
    };
    in_range(calendar::round_micros(micros, fraction))
}

/// Whether the moment lies in MySQL's years 0 to 9999.
pub fn is_in_range(micros: i64) -> bool {
    (calendar::FIRST_DAY..=calendar::LAST_DAY).contains(&micros.div_euclid(MICROS_PER_DAY))
}

fn in_range(micros: i64) -> Result<i64, Problem> {
    if is_in_range(micros) { Ok(micros) } else { Err(Problem::IncorrectTemporal("datetime")) }
}

fn point(value: Value<'_>) -> Option<Point> {
    match value {
        Value::Moment { micros, zoned: true, .. } => Some(Point::Instant(micros)),
        Value::Moment { micros, .. } => Some(Point::Local(micros)),
        Value::Date(days) => i64::from(days).checked_mul(MICROS_PER_DAY).map(Point::Local),
        Value::Bytes(text) => parse_moment(text),
        Value::Signed(_)
        | Value::Unsigned(_)
        | Value::Float(_)
        | Value::Double(_)
        | Value::Decimal(_, _)
        | Value::WideDecimal(_, _) => number_moment(value).map(Point::Local),
        Value::Null | Value::Time { .. } | Value::Nested(_, _) => None,
    }
}

/// The fields of a moment before they are checked.
#[derive(Debug, Clone, Copy, Default)]
struct Fields {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    /// Rounded from the seventh digit, so it may be a whole second.
    micros: u32,
}

impl Fields {
    fn local_micros(self) -> Option<i64> {
        if self.hour > 23 || self.minute > 59 || self.second > 59 || self.month > 12 || self.day > 31 {
            return None;
        }
        let days = calendar::days_of(i64::from(self.year), self.month as u8, self.day as u8)?;
        let seconds = i64::from(self.hour * 3600 + self.minute * 60 + self.second);
        Some(days * MICROS_PER_DAY + seconds * MICROS_PER_SECOND + i64::from(self.micros))
    }
}

/// Reads a date with or without a time from text; None when it is not one, or names a day that does not exist.
///
/// Accepted: fields apart by any punctuation, or digits only in 6, 8, 10, 12 or 14 places; `T` or blanks between date
/// and time; a fraction of any length; an offset `±hh:mm`. Beyond MySQL, `Z` is read as `+00:00`, because events in
/// JSON are written so.
pub fn parse_moment(text: &[u8]) -> Option<Point> {
    let (text, offset_seconds) = split_offset(text.trim_ascii());
    let run = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fields, has_time) = match text.get(run) {
        None | Some(b'.' | b'T' | b't') if run > 4 => parse_compact(text, run)?,
        _ => parse_delimited(text)?,
    };
    let local = fields.local_micros()?;
    match offset_seconds {
        None => Some(Point::Local(local)),
        Some(offset) if has_time => Some(Point::Instant(local - offset * MICROS_PER_SECOND)),
        Some(_) => None,
    }
}

/// Cuts `Z` or `±hh:mm` off the end. A date's last field (`2026-01-05`) has no colon, so it is not mistaken for one.
fn split_offset(text: &[u8]) -> (&[u8], Option<i64>) {
    if let [rest @ .., b'Z' | b'z'] = text {
        return (rest.trim_ascii_end(), Some(0));
    }
    if let [rest @ .., sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = text
        && [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit())
        && rest.contains(&b':')
    {
        let digit = |byte: &u8| i64::from(byte - b'0');
        let (hours, minutes) = (digit(h1) * 10 + digit(h2), digit(m1) * 10 + digit(m2));
        let seconds = hours * 3600 + minutes * 60;
        // MySQL's limits are -13:59 and +14:00.
        if minutes <= 59 && (seconds <= 13 * 3600 + 59 * 60 || (*sign == b'+' && seconds == 14 * 3600)) {
            return (rest.trim_ascii_end(), Some(if *sign == b'-' { -seconds } else { seconds }));
        }
    }
    (text, None)
}

/// `20260105`, `260105`, `20260105103000.5`, `20260105T103000`: `run` is the number of digits it starts with.
fn parse_compact(text: &[u8], run: usize) -> Option<(Fields, bool)> {
    let (digits, mut rest) = text.split_at(run);
    let (date, mut time) = match run {
        6 | 8 => digits.split_at(run),
        10 | 12 => digits.split_at(6),
        14 => digits.split_at(8),
        _ => return None,
    };
    if let [b'T' | b't', after @ ..] = rest {
        let count = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !time.is_empty() {
            return None;
        }
        (time, rest) = after.split_at(count);
    }
    let (year, month_and_day) = date.split_at(date.len() - 4);
    let mut fields = Fields {
        year: full_year(two_or_four(year)?, year.len()),
        month: two_or_four(&month_and_day[..2])?,
        day: two_or_four(&month_and_day[2..])?,
        ..Fields::default()
    };
    let (hour, minute, second) = match time.len() {
        0 => return rest.is_empty().then_some((fields, false)),
        2 => (time, &b"00"[..], &b"00"[..]),
        4 => (&time[..2], &time[2..], &b"00"[..]),
        6 => (&time[..2], &time[2..4], &time[4..]),
        _ => return None,
    };
    (fields.hour, fields.minute, fields.second) = (two_or_four(hour)?, two_or_four(minute)?, two_or_four(second)?);
    match rest {
        [] => Some((fields, true)),
        [b'.', digits @ ..] if time.len() == 6 => {
            fields.micros = parse_fraction(digits)?;
            Some((fields, true))
        }
        _ => None,
    }
}

/// `2026-01-05`, `26.1.5`, `2026/01/05 10:30`, `2026-01-05T10:30:00.5`.
fn parse_delimited(text: &[u8]) -> Option<(Fields, bool)> {
    let (year, year_digits, rest) = take_number(text, 4)?;
    let (month, _, rest) = take_number(after_punctuation(rest)?, 2)?;
    let (day, _, rest) = take_number(after_punctuation(rest)?, 2)?;
    let mut fields = Fields { year: full_year(year, year_digits), month, day, ..Fields::default() };
    let time = match rest {
        [] => return Some((fields, false)),
        [b'T' | b't', time @ ..] => time,
        [b' ' | b'\t', ..] => rest.trim_ascii_start(),
        _ => return None,
    };
    let (hour, _, rest) = take_number(time, 2)?;
    fields.hour = hour;
    if rest.is_empty() {
        return Some((fields, true));
    }
    let (minute, _, rest) = take_number(after_punctuation(rest)?, 2)?;
    fields.minute = minute;
    if rest.is_empty() {
        return Some((fields, true));
    }
    let (second, _, rest) = take_number(after_punctuation(rest)?, 2)?;
    fields.second = second;
    match rest {
        [] => Some((fields, true)),
        [b'.', digits @ ..] => {
            fields.micros = parse_fraction(digits)?;
            Some((fields, true))
        }
        _ => None,
    }
}

/// Years of one or two digits mean 1970 to 2069.
fn full_year(year: u32, digits: usize) -> u32 {
    match year {
        _ if digits > 2 => year,
        0..=69 => 2000 + year,
        _ => 1900 + year,
    }
}

/// A number of one to `most` digits, its digit count, and what follows; None when more digits follow.
fn take_number(text: &[u8], most: usize) -> Option<(u32, usize, &[u8])> {
    let count = text.iter().take(most + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 || count > most {
        return None;
    }
    let number = text[..count].iter().fold(0, |number, byte| number * 10 + u32::from(byte - b'0'));
    Some((number, count, &text[count..]))
}

fn after_punctuation(text: &[u8]) -> Option<&[u8]> {
    match text {
        [first, rest @ ..] if first.is_ascii_punctuation() => Some(rest),
        _ => None,
    }
}

fn two_or_four(digits: &[u8]) -> Option<u32> {
    take_number(digits, 4).map(|(number, _, _)| number)
}

/// Microseconds of a fraction's digits, rounded at the seventh.
fn parse_fraction(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| digits.get(at).map_or(0, |byte| u32::from(byte - b'0'));
    let micros = (0..6).fold(0, |micros, at| micros * 10 + digit(at));
    Some(micros + u32::from(digit(6) >= 5))
}

/// 20260105, 260105, 20260105103000, 260105103000, with a fraction if the number has one.
fn number_moment(value: Value<'_>) -> Option<i64> {
    // A number has no time zone, so any clock does.
    let micros = match value {
        Value::Signed(whole) => i128::from(whole) * 1_000_000,
        Value::Unsigned(whole) => i128::from(whole) * 1_000_000,
        other => number::exact(other, &mut ZoneClock::new(chrono_tz::Tz::UTC)).ok()??.rescaled(6)?,
    };
    let whole = i64::try_from(micros.div_euclid(1_000_000)).ok()?;
    let (date, time) = match whole {
        101..=691_231 => (whole + 20_000_000, 0),
        700_101..=991_231 => (whole + 19_000_000, 0),
        10_000_101..=99_991_231 => (whole, 0),
        101_000_000..=691_231_235_959 => (whole / 1_000_000 + 20_000_000, whole % 1_000_000),
        700_101_000_000..=991_231_235_959 => (whole / 1_000_000 + 19_000_000, whole % 1_000_000),
        10_000_101_000_000..=99_991_231_235_959 => (whole / 1_000_000, whole % 1_000_000),
        _ => return None,
    };
    let fields = Fields {
        year: (date / 10_000) as u32,
        month: (date / 100 % 100) as u32,
        day: (date % 100) as u32,
        hour: (time / 10_000) as u32,
        minute: (time / 100 % 100) as u32,
        second: (time % 100) as u32,
        micros: micros.rem_euclid(1_000_000) as u32,
    };
    fields.local_micros()
}
