//! DATE_FORMAT and STR_TO_DATE: MySQL's format letters, in English names.

use std::fmt::Write;

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Date32Type, Field};
use datafusion::error::Result;
use datafusion::logical_expr::ReturnFieldArgs;

use crate::error::Error;
use crate::functions::mysql_date::week;
use crate::functions::mysql_function::{Call, MysqlFunction, field, returns_datetime, returns_text};
use crate::functions::mysql_time_text::full_year;

pub const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub fn functions() -> Vec<MysqlFunction> {
    vec![
        MysqlFunction::new("date_format", 2..=2, returns_text, |call| {
            let (times, formats) = (call.times(0)?, call.texts(1)?);
            call.make_texts(|row, text| format(&times.time(row)?, formats.get(row)?, text))
        }),
        MysqlFunction::new("str_to_date", 2..=2, parsed_type, parsed),
    ]
}

/// Appends a time by a format; None is never the answer, so that it can end a closure over NULLs.
pub fn format(time: &NaiveDateTime, format: &str, text: &mut String) -> Option<()> {
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let Some(letter) = letters.next() else {
            text.push('%');
            break;
        };
        letter_of(time, letter, text).ok()?;
    }
    Some(())
}

fn letter_of(time: &NaiveDateTime, letter: char, text: &mut String) -> std::fmt::Result {
    let day_name = DAYS[time.weekday().num_days_from_sunday() as usize];
    let month_name = MONTHS[time.month0() as usize];
    let (afternoon, hour12) = time.hour12();
    let half = if afternoon { "PM" } else { "AM" };
    let clock = |text: &mut String, hour| write!(text, "{hour:02}:{:02}:{:02}", time.minute(), time.second());
    match letter {
        'Y' => write!(text, "{:04}", time.year()),
        'y' => write!(text, "{:02}", time.year() % 100),
        'm' => write!(text, "{:02}", time.month()),
        'c' => write!(text, "{}", time.month()),
        'M' => text.write_str(month_name),
        'b' => text.write_str(&month_name[..3]),
        'd' => write!(text, "{:02}", time.day()),
        'e' => write!(text, "{}", time.day()),
        'D' => {
            let suffix = match (time.day() % 10, time.day() / 10) {
                (_, 1) => "th",
                (1, _) => "st",
                (2, _) => "nd",
                (3, _) => "rd",
                _ => "th",
            };
            write!(text, "{}{suffix}", time.day())
        }
        'j' => write!(text, "{:03}", time.ordinal()),
        'W' => text.write_str(day_name),
        'a' => text.write_str(&day_name[..3]),
        'w' => write!(text, "{}", time.weekday().num_days_from_sunday()),
        'U' => write!(text, "{:02}", week(time.date(), 0, false).1),
        'u' => write!(text, "{:02}", week(time.date(), 1, false).1),
        'V' => write!(text, "{:02}", week(time.date(), 2, false).1),
        'v' => write!(text, "{:02}", week(time.date(), 3, false).1),
        'X' => write!(text, "{:04}", week(time.date(), 2, false).0),
        'x' => write!(text, "{:04}", week(time.date(), 3, false).0),
        'H' => write!(text, "{:02}", time.hour()),
        'k' => write!(text, "{}", time.hour()),
        'h' | 'I' => write!(text, "{hour12:02}"),
        'l' => write!(text, "{hour12}"),
        'i' => write!(text, "{:02}", time.minute()),
        's' | 'S' => write!(text, "{:02}", time.second()),
        'f' => write!(text, "{:06}", time.nanosecond() / 1_000),
        'p' => text.write_str(half),
        'T' => clock(text, time.hour()),
        'r' => {
            clock(text, hour12)?;
            write!(text, " {half}")
        }
        other => text.write_char(other),
    }
}

/// The type of STR_TO_DATE follows a constant format: a date, a DATETIME, a DATETIME(6) with %f.
fn parsed_type(args: &ReturnFieldArgs) -> Result<Field> {
    let format = args.scalar_arguments[1].and_then(|format| format.try_as_str().flatten());
    let Some(format) = format else { return returns_datetime(6) };
    let letters: Vec<char> = format.split('%').skip(1).filter_map(|part| part.chars().next()).collect();
    let any = |of: &str| letters.iter().any(|letter| of.contains(*letter));
    match (any("YyXxmcMbdeDjUuVv"), any("HkhIlisSpTrf"), any("f")) {
        (true, true, true) => returns_datetime(6),
        (true, true, false) => returns_datetime(0),
        (true, false, _) => field(DataType::Date32),
        (false, true, _) => Err(Error::unsupported("STR_TO_DATE with a time of day only").into()),
        (false, false, _) => returns_datetime(0),
    }
}

fn parsed(call: &Call) -> Result<ArrayRef> {
    let (texts, formats) = (call.texts(0)?, call.texts(1)?);
    let time = |row: usize| parse(texts.get(row)?, formats.get(row)?);
    match call.returns {
        DataType::Date32 => call.make_dates(|row| time(row).map(|time| Date32Type::from_naive_date(time.date()))),
        _ => call.make_times(|row| time(row).map(|time| time.and_utc().timestamp_micros())),
    }
}

/// What a format found in a text.
#[derive(Default)]
struct Found {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    weekday_from_sunday: Option<u32>,
    /// Week and its mode of WEEK().
    week: Option<(u32, u8)>,
    week_year: Option<i32>,
    hour: u32,
    twelve_hours: bool,
    afternoon: bool,
    minute: u32,
    second: u32,
    micros: u32,
}

/// Reads a text by a format. None when they do not fit or there is no such date; what follows in the text is ignored.
fn parse(text: &str, format: &str) -> Option<NaiveDateTime> {
    let mut found = Found::default();
    read_by(text, format, &mut found)?;
    found.time()
}

/// Reads as far as the text goes and returns what is left of it.
fn read_by<'t>(text: &'t str, format: &str, found: &mut Found) -> Option<&'t str> {
    let mut rest = text.trim_start();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        if letter == '%' {
            rest = found.read(letters.next()?, rest)?;
        } else if !letter.is_whitespace() {
            rest = rest.strip_prefix(letter)?;
        }
    }
    Some(rest)
}

/// One to `most` digits.
fn number(text: &str, most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(count);
    Some((digits.parse().ok()?, rest))
}

/// The place of the name that the text begins with, without regard to case.
fn named<'t>(text: &'t str, names: &[&str], letters: Option<usize>) -> Option<(u32, &'t str)> {
    names.iter().enumerate().find_map(|(at, name)| {
        let name = &name[..letters.unwrap_or(name.len())];
        let start = text.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| (at as u32, &text[name.len()..]))
    })
}

impl Found {
    fn read<'t>(&mut self, letter: char, text: &'t str) -> Option<&'t str> {
        let read = |most: usize| number(text, most);
        let (value, rest) = match letter {
            'Y' | 'X' | 'x' => read(4)?,
            'y' | 'm' | 'c' | 'd' | 'e' | 'D' | 'H' | 'k' | 'h' | 'I' | 'l' | 'i' | 's' | 'S' | 'U' | 'u' | 'V'
            | 'v' => read(2)?,
            'j' => read(3)?,
            'w' => read(1)?,
            'M' => named(text, &MONTHS, None)?,
            'b' => named(text, &MONTHS, Some(3))?,
            'W' => named(text, &DAYS, None)?,
            'a' => named(text, &DAYS, Some(3))?,
            'p' => named(text, &["AM", "PM"], None)?,
            'f' => {
                let digits = text.bytes().take(6).take_while(u8::is_ascii_digit).count();
                let (value, rest) = number(text, 6)?;
                (value * 10u32.pow(6 - digits as u32), rest)
            }
            'T' => return read_by(text, "%H:%i:%S", self),
            'r' => return read_by(text, "%I:%i:%S %p", self),
            '%' => return text.strip_prefix('%'),
            _ => return None,
        };
        let mut rest = rest;
        match letter {
            'Y' | 'y' => {
                let digits = text.len() - rest.len();
                self.year = Some(if digits <= 2 { full_year(value as i32) } else { value as i32 });
            }
            'X' | 'x' => self.week_year = Some(value as i32),
            'm' | 'c' => self.month = Some(value),
            'M' | 'b' => self.month = Some(value + 1),
            'd' | 'e' => self.day = Some(value),
            'D' => {
                self.day = Some(value);
                rest = rest.get(2..)?;
            }
            'j' => self.day_of_year = Some(value),
            'w' | 'W' | 'a' => self.weekday_from_sunday = Some(value),
            'U' => self.week = Some((value, 0)),
            'u' => self.week = Some((value, 1)),
            'V' => self.week = Some((value, 2)),
            'v' => self.week = Some((value, 3)),
            'H' | 'k' => self.hour = value,
            'h' | 'I' | 'l' => (self.hour, self.twelve_hours) = (value, true),
            'p' => self.afternoon = value == 1,
            'i' => self.minute = value,
            's' | 'S' => self.second = value,
            _ => self.micros = value,
        }
        Some(rest)
    }

    fn time(&self) -> Option<NaiveDateTime> {
        let hour = match (self.twelve_hours, self.hour) {
            (false, hour) => hour,
            (true, hour @ 1..=12) => hour % 12 + if self.afternoon { 12 } else { 0 },
            (true, _) => return None,
        };
        let time = NaiveTime::from_hms_micro_opt(hour, self.minute, self.second, self.micros)?;
        Some(self.date()?.and_time(time))
    }

    fn date(&self) -> Option<NaiveDate> {
        if let (Some((week, mode)), Some(weekday)) = (self.week, self.weekday_from_sunday) {
            return self.day_in_week(week, mode, weekday);
        }
        match self.day_of_year {
            Some(day) => NaiveDate::from_yo_opt(self.year?, day),
            None => NaiveDate::from_ymd_opt(self.year?, self.month?, self.day?),
        }
    }

    fn day_in_week(&self, number: u32, mode: u8, weekday_from_sunday: u32) -> Option<NaiveDate> {
        // %V and %v go with %X and %x, %U and %u with %Y.
        let year = if mode >= 2 { self.week_year? } else { self.year? };
        if weekday_from_sunday > 6 || number > 53 || number == 0 && mode >= 2 {
            return None;
        }
        let monday = mode & 1 != 0;
        // 7 January is never before the first day of week 1 and at most 9 days after it.
        let anchor = NaiveDate::from_ymd_opt(year, 1, 7)?;
        let in_week = if monday { (weekday_from_sunday + 6) % 7 } else { weekday_from_sunday };
        let anchor_in_week =
            if monday { anchor.weekday().num_days_from_monday() } else { anchor.weekday().num_days_from_sunday() };
        let anchor_week = i64::from(week(anchor, mode, false).1);
        let start = anchor - Days::new(u64::from(anchor_in_week));
        let days = (i64::from(number) - anchor_week) * 7 + i64::from(in_week);
        start.checked_add_signed(chrono::Duration::days(days))
    }
}
