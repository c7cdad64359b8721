//! The proleptic Gregorian calendar as plain arithmetic, and the offsets of a session's time zone with a small cache.
//! Parses and prints nothing.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const SECONDS_PER_DAY: i64 = 86_400;
pub const MICROS_PER_DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;

/// Days since 1970-01-01 of 0000-01-01, MySQL's first date.
pub const FIRST_DAY: i64 = -719_528;
/// Days since 1970-01-01 of 9999-12-31, MySQL's last date.
pub const LAST_DAY: i64 = 2_932_896;

/// A date of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CivilDate {
    pub year: i64,
    pub month: u8,
    pub day: u8,
}

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockTime {
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub micros: u32,
}

/// The date that lies `days` after 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub fn civil_date(days: i64) -> CivilDate {
    let shifted = days + 719_468; // days since 0000-03-01
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    CivilDate { year, month: month as u8, day: day as u8 }
}

/// Days since 1970-01-01, or None when there is no such date.
pub fn days_of(year: i64, month: u8, day: u8) -> Option<i64> {
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Splits microseconds since 1970-01-01 00:00:00 into whole days and the time of day.
pub fn split_micros(micros: i64) -> (i64, ClockTime) {
    let days = micros.div_euclid(MICROS_PER_DAY);
    let rest = micros.rem_euclid(MICROS_PER_DAY);
    let seconds = (rest / MICROS_PER_SECOND) as u32;
    let time = ClockTime {
        hour: (seconds / 3600) as u8,
        minute: (seconds / 60 % 60) as u8,
        second: (seconds % 60) as u8,
        micros: (rest % MICROS_PER_SECOND) as u32,
    };
    (days, time)
}

/// Rounds to `digits` digits after the second, halves to the later, as MySQL does.
pub fn round_micros(micros: i64, digits: u8) -> i64 {
    let unit = fraction_unit(digits);
    let below = micros.rem_euclid(unit);
    if below == 0 {
        micros
    } else if below * 2 >= unit {
        micros.saturating_add(unit - below)
    } else {
        micros.saturating_sub(below)
    }
}

/// Microseconds of one step of a column with that many fraction digits.
pub fn fraction_unit(digits: u8) -> i64 {
    10_i64.pow(6 - u32::from(digits.min(6)))
}

fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days whose offset is remembered; a power of two.
const CACHED_DAYS: usize = 64;

/// A time zone with the offsets of the days seen last, since a look-up costs as much as printing the row.
#[derive(Debug, Clone)]
pub struct ZoneClock {
    zone: Tz,
    is_utc: bool,
    /// By day modulo its length: the UTC day, and its offset if that is the same from its first second to its last.
    days: Box<[(i64, Option<i64>); CACHED_DAYS]>,
}

impl ZoneClock {
    pub fn new(zone: Tz) -> Self {
        let is_utc = zone == Tz::UTC || zone == Tz::Etc__UTC;
        ZoneClock { zone, is_utc, days: Box::new([(i64::MIN, None); CACHED_DAYS]) }
    }

    pub fn is_utc(&self) -> bool {
        self.is_utc
    }

    /// The zone's wall clock at an instant; both in microseconds since 1970-01-01.
    pub fn local_micros(&mut self, utc_micros: i64) -> i64 {
        if self.is_utc {
            return utc_micros;
        }
        let offset = self.offset_seconds(utc_micros.div_euclid(MICROS_PER_SECOND));
        utc_micros.saturating_add(offset * MICROS_PER_SECOND)
    }

    /// The instant at which the zone's wall clock shows `local_micros`; the earlier one when it does so twice, None
    /// when it never does (the hour that is skipped in spring).
    pub fn utc_micros(&mut self, local_micros: i64) -> Option<i64> {
        if self.is_utc {
            return Some(local_micros);
        }
        let seconds = local_micros.div_euclid(MICROS_PER_SECOND);
        let before = self.offset_seconds(seconds - SECONDS_PER_DAY);
        let after = self.offset_seconds(seconds + SECONDS_PER_DAY);
        let offset = if before == after { before } else { self.offset_of_local(seconds)? };
        local_micros.checked_sub(offset * MICROS_PER_SECOND)
    }

    fn offset_seconds(&mut self, utc_seconds: i64) -> i64 {
        let day = utc_seconds.div_euclid(SECONDS_PER_DAY);
        let slot = day.rem_euclid(CACHED_DAYS as i64) as usize;
        if self.days[slot].0 != day {
            let first = offset_at(self.zone, day * SECONDS_PER_DAY);
            let last = offset_at(self.zone, day * SECONDS_PER_DAY + SECONDS_PER_DAY - 1);
            self.days[slot] = (day, (first == last).then_some(first));
        }
        match self.days[slot].1 {
            Some(offset) => offset,
            None => offset_at(self.zone, utc_seconds),
        }
    }

    fn offset_of_local(&self, local_seconds: i64) -> Option<i64> {
        let local = naive(local_seconds)?;
        match self.zone.offset_from_local_datetime(&local) {
            LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => {
                Some(i64::from(offset.fix().local_minus_utc()))
            }
            LocalResult::None => None,
        }
    }
}

/// The zone's offset at an instant; 0 beyond the years chrono knows.
fn offset_at(zone: Tz, utc_seconds: i64) -> i64 {
    match naive(utc_seconds) {
        Some(utc) => i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()),
        None => 0,
    }
}

fn naive(seconds: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp(seconds, 0).map(|moment| moment.naive_utc())
}
