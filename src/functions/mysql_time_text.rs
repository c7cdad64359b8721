//! Dates and times as MySQL reads them from text and prints them. No time zones beyond an offset written in the text.

use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// Appends `2024-01-31` or, with `digits` of fraction, `2024-01-31 10:00:00[.fff]`.
pub fn write(time: &NaiveDateTime, digits: Option<u32>, text: &mut String) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = write!(text, "{:04}-{:02}-{:02}", time.year(), time.month(), time.day());
    if let Some(digits) = digits {
        let _ = write!(text, " {:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
        write_fraction(time, digits, text);
    }
}

/// Appends `.fff` with that many digits, nothing for 0.
fn write_fraction(time: &NaiveDateTime, digits: u32, text: &mut String) {
    use std::fmt::Write;
    if digits > 0 {
        let micros = time.nanosecond() / 1_000;
        let width = digits as usize;
        let _ = write!(text, ".{:0width$}", micros / 10u32.pow(6 - digits.min(6)));
    }
}

/// Reads a date or datetime: `2024-1-5`, `2024-01-05 10:00:00.5`, `2024-01-05T10:00:00+02:00`, `20240105`,
/// `20240105100000`, two-digit years, any punctuation between the parts. What follows a complete value is ignored.
/// The second part of the answer is the offset from UTC in minutes if one is written. None for what is no date
/// (also `2024-02-30` and zero dates).
pub fn parse(text: &str) -> Option<(NaiveDateTime, Option<i32>)> {
    let mut reader = Reader { rest: text.trim_start() };
    let first = reader.digits(14)?;
    let delimited = reader.rest.starts_with(|c: char| c.is_ascii_punctuation()) && first.len() <= 4;
    let (date, time) = if delimited {
        let year = year(first)?;
        reader.punctuation()?;
        let month = reader.number(2)?;
        reader.punctuation()?;
        let day = reader.number(2)?;
        (NaiveDate::from_ymd_opt(year, month, day)?, reader.clock()?)
    } else {
        let (date, clock) = match first.len() {
            6 => (first, ""),
            8 => (first, ""),
            12 => first.split_at(6),
            14 => first.split_at(8),
            _ => return None,
        };
        let (years, rest) = date.split_at(date.len() - 4);
        let date = NaiveDate::from_ymd_opt(year(years)?, rest[..2].parse().ok()?, rest[2..].parse().ok()?)?;
        let time = if clock.is_empty() {
            reader.clock()?
        } else {
            let part = |at: usize| clock[at..at + 2].parse::<u32>().ok();
            (NaiveTime::from_hms_opt(part(0)?, part(2)?, part(4)?)?, reader.fraction())
        };
        (date, time)
    };
    let (time, micros) = time;
    // A seventh digit may round up into the next day.
    let time = date.and_time(time).checked_add_signed(Duration::microseconds(micros))?;
    (0..=9999).contains(&time.year()).then_some((time, reader.offset()))
}

/// Reads a time of day where MySQL expects one: `10:05:03.5`, or the time of a datetime.
pub fn parse_clock(text: &str) -> Option<NaiveDateTime> {
    let mut reader = Reader { rest: text.trim_start() };
    let first = reader.digits(14)?;
    if first.len() <= 3 && reader.rest.starts_with(':') {
        let mut reader = Reader { rest: text.trim_start() };
        let (time, micros) = reader.clock()?;
        return NaiveDate::default().and_time(time).checked_add_signed(Duration::microseconds(micros));
    }
    parse(text).map(|(time, _)| time)
}

/// The year meant by one to four digits.
fn year(digits: &str) -> Option<i32> {
    let number: i32 = digits.parse().ok()?;
    Some(match digits.len() {
        4 => number,
        1 | 2 => full_year(number),
        _ => return None,
    })
}

/// Two-digit years: 70 to 99 are of the last century.
pub fn full_year(number: i32) -> i32 {
    if number < 70 { 2000 + number } else { 1900 + number }
}

/// What is left to read.
struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    /// One to `most` digits.
    fn digits(&mut self, most: usize) -> Option<&'t str> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        (count > 0).then_some(digits)
    }

    fn number(&mut self, most: usize) -> Option<u32> {
        self.digits(most)?.parse().ok()
    }

    fn punctuation(&mut self) -> Option<()> {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_punctuation());
        (rest.len() < self.rest.len()).then(|| self.rest = rest)
    }

    /// The time of day if there is one, else midnight; a wrong one is None.
    fn clock(&mut self) -> Option<(NaiveTime, i64)> {
        let start = self.rest.trim_start_matches([' ', 'T', 't']);
        if !start.starts_with(|c: char| c.is_ascii_digit()) {
            return Some((NaiveTime::MIN, 0));
        }
        self.rest = start;
        let hour = self.number(2)?;
        let mut part = || match self.rest.starts_with(':') {
            true => {
                self.rest = &self.rest[1..];
                self.number(2)
            }
            false => Some(0),
        };
        let time = NaiveTime::from_hms_opt(hour, part()?, part()?)?;
        Some((time, self.fraction()))
    }

    /// `.fff` as microseconds, rounded; 0 when there is none.
    fn fraction(&mut self) -> i64 {
        let Some(rest) = self.rest.strip_prefix('.') else { return 0 };
        self.rest = rest;
        let digits = self.digits(usize::MAX).unwrap_or_default();
        let digit = |at: usize| digits.as_bytes().get(at).map_or(0, |byte| i64::from(byte - b'0'));
        let micros = (0..6).fold(0, |micros, at| micros * 10 + digit(at));
        micros + i64::from(digit(6) >= 5)
    }

    /// `+hh:mm` or `-hh:mm` in minutes.
    fn offset(&mut self) -> Option<i32> {
        let sign = match self.rest.bytes().next()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let hours = self.number(2)?;
        self.rest = self.rest.strip_prefix(':')?;
        let minutes = self.number(2)?;
        (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes) as i32)
    }
}
