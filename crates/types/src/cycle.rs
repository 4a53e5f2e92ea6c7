//! How often a workspace's cycles come, as its administrator says it. Not here: the instants (`calendar`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name of a zone, in bytes.
pub const ZONE_BYTES_MAX: usize = 64;

/// A day of the Gregorian calendar, year 1970 to 9998, in no zone. Written `2026-01-31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilDate {
    year: u16,
    month: u8,
    day: u8,
}

/// Why a text or three numbers are no date, or a text no name of a zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCycle {
    #[error("a date is written year-month-day, such as 2026-01-31; this is {0:?}")]
    NotADate(String),
    #[error("years are {min} to {max}, this is {0}", min = CivilDate::YEAR_MIN, max = CivilDate::YEAR_MAX)]
    Year(u16),
    #[error("there is no {0:04}-{1:02}-{2:02}")]
    NoSuchDay(u16, u8, u8),
    #[error(
        "a zone is an IANA name such as Europe/Berlin or UTC, of at most {ZONE_BYTES_MAX} letters, digits and / _ + - ; \
         this is {0:?}"
    )]
    NotAZone(String),
}

impl CivilDate {
    pub const YEAR_MIN: u16 = 1970;
    /// The year after it still begins within what RFC 3339 can say, in every zone.
    pub const YEAR_MAX: u16 = 9998;

    pub const fn new(year: u16, month: u8, day: u8) -> Result<Self, BadCycle> {
        if year < Self::YEAR_MIN || year > Self::YEAR_MAX {
            return Err(BadCycle::Year(year));
        }
        if month == 0 || month > 12 || day == 0 || day > days_in_month(year, month) {
            return Err(BadCycle::NoSuchDay(year, month, day));
        }
        Ok(Self { year, month, day })
    }

    pub const fn year(self) -> u16 {
        self.year
    }

    /// 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// 1 to 31.
    pub const fn day(self) -> u8 {
        self.day
    }
}

/// 28 to 31; `month` is 1 to 12.
pub const fn days_in_month(year: u16, month: u8) -> u8 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl FromStr for CivilDate {
    type Err = BadCycle;

    fn from_str(text: &str) -> Result<Self, BadCycle> {
        let wrong = || BadCycle::NotADate(text.chars().take(32).collect());
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits);
            part.filter(|part| part.bytes().all(|b| b.is_ascii_digit())).ok_or_else(wrong)
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        if parts.next().is_some() {
            return Err(wrong());
        }
        let number = |digits: &str| digits.parse::<u16>().map_err(|_| wrong());
        let small = |digits: &str| digits.parse::<u8>().map_err(|_| wrong());
        Self::new(number(year)?, small(month)?, small(day)?)
    }
}

impl fmt::Display for CivilDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// The name of an IANA time zone: its form alone is checked here, whether it exists is `calendar`'s to know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneName(Arc<str>);

impl ZoneName {
    pub fn parse(text: &str) -> Result<Self, BadCycle> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
        if text.is_empty() || text.len() > ZONE_BYTES_MAX || !text.chars().all(allowed) {
            return Err(BadCycle::NotAZone(text.chars().take(ZONE_BYTES_MAX).collect()));
        }
        Ok(Self(text.into()))
    }

    pub fn utc() -> Self {
        Self("UTC".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long a cycle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Every {
    Month,
    Year,
}

/// How long cycles are and on which day they begin, in whatever zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CycleDays {
    pub every: Every,
    pub anchor: CivilDate,
}

/// When a workspace's cycles begin: every month or year on the day of `anchor`, in `zone`. Calendar months are those with
/// an anchor on a 1st. Only the day counts (and the month, of years): an anchor long ago and one to come say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleRule {
    pub every: Every,
    pub anchor: CivilDate,
    pub zone: ZoneName,
}

impl CycleRule {
    pub fn of(days: CycleDays, zone: ZoneName) -> Self {
        let CycleDays { every, anchor } = days;
        Self { every, anchor, zone }
    }

    pub fn days(&self) -> CycleDays {
        CycleDays { every: self.every, anchor: self.anchor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        for text in ["1970-01-01", "2024-02-29", "2026-12-31", "9998-12-31"] {
            assert_eq!(text.parse::<CivilDate>().unwrap().to_string(), text);
        }
        let why = |text: &str| text.parse::<CivilDate>().unwrap_err();
        for text in
            ["", "2026", "2026-1-31", "26-01-31", "2026-01-31 ", "2026-01-31-1", "+026-01-31", "2026/01/31"]
        {
            assert_eq!(why(text), BadCycle::NotADate(text.into()), "{text}");
        }
        assert_eq!(why("1969-12-31"), BadCycle::Year(1969));
        assert_eq!(why("9999-01-01"), BadCycle::Year(9999));
        for (text, year, month, day) in [
            ("2026-02-29", 2026, 2, 29),
            ("2100-02-29", 2100, 2, 29),
            ("2026-04-31", 2026, 4, 31),
            ("2026-13-01", 2026, 13, 1),
            ("2026-00-01", 2026, 0, 1),
            ("2026-01-00", 2026, 1, 0),
        ] {
            assert_eq!(why(text), BadCycle::NoSuchDay(year, month, day));
        }
        assert_eq!(why("2026-02-30").to_string(), "there is no 2026-02-30");
    }

    #[test]
    fn zones_have_the_form_of_a_name() {
        for text in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12"] {
            assert_eq!(ZoneName::parse(text).unwrap().as_str(), text);
        }
        let longest = "a".repeat(ZONE_BYTES_MAX);
        assert!(ZoneName::parse(&longest).is_ok());
        for text in ["", "Europe/Berlin ", "../etc/passwd", "+02:00", &format!("{longest}a")] {
            assert!(matches!(ZoneName::parse(text), Err(BadCycle::NotAZone(_))), "{text}");
        }
    }
}
