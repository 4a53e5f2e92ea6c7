//! Instants and days as text: RFC 3339 in UTC, at most milliseconds. Not here: clocks, time zones, calendars.

use crate::json::word::Word;
use std::fmt;
use types::{Day, Timestamp};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat};

/// Why a text is no instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadInstant {
    #[error("a time is RFC 3339 in UTC, for example 2026-11-30T23:59:59Z")]
    Shape,
    #[error("a time is given to the millisecond at most")]
    TooFine,
    #[error("there is no such date or time of day")]
    NoSuchTime,
}

/// Why a text is no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day is a date, for example 2026-11-30")]
pub struct BadDay;

/// A stretch of time: 1 to 366 days at most, told in one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(u64);

impl Span {
    pub const fn ms(self) -> u64 {
        self.0
    }
}

/// Why a text is no stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stretch of time is 10d, 36h, 90m or 45s: a second at least, 366 days at most")]
pub struct BadSpan;

const SPAN_SECONDS_MAX: u64 = 366 * 86_400;

/// Whether `text` has digits where `shape` has zeros, and the same characters elsewhere.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits =
        |(given, wanted): (u8, u8)| if wanted == b'0' { given.is_ascii_digit() } else { given == wanted };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

impl Word for Timestamp {
    type Bad = BadInstant;
    const NAME: &'static str = "Time";

    fn read(text: &str) -> Result<Self, BadInstant> {
        let seconds = text.strip_suffix('Z').ok_or(BadInstant::Shape)?;
        let (seconds, fraction) =
            seconds.split_once('.').map_or((seconds, "0"), |(s, fraction)| (s, fraction));
        let digits = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
        if !has_shape(seconds, "0000-00-00T00:00:00") || !digits {
            return Err(BadInstant::Shape);
        }
        if fraction.len() > 3 {
            return Err(BadInstant::TooFine);
        }
        // A leap second would come back as another text.
        if seconds.ends_with("60") {
            return Err(BadInstant::NoSuchTime);
        }
        let read: jiff::Timestamp = text.parse().map_err(|_| BadInstant::NoSuchTime)?;
        Ok(Self::from_millis(read.as_millisecond()))
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a calendar of four-digit years cannot say is shown as its end.
        let last = if self.millis() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        write!(f, "{}", jiff::Timestamp::from_millisecond(self.millis()).unwrap_or(last))
    }

    fn describe(schema: ObjectBuilder) -> ObjectBuilder {
        schema
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339 in UTC, ending in Z, to the millisecond."))
            .examples(["2026-11-30T23:59:59Z"])
    }
}

impl Word for Span {
    type Bad = BadSpan;
    const NAME: &'static str = "Span";

    fn read(text: &str) -> Result<Self, BadSpan> {
        let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
        let told = units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
        let (count, seconds) = told.ok_or(BadSpan)?;
        let digits = (1..=9).contains(&count.len()) && count.bytes().all(|byte| byte.is_ascii_digit());
        let count: u64 = count.parse().ok().filter(|_| digits).ok_or(BadSpan)?;
        let seconds = count * seconds;
        if (1..=SPAN_SECONDS_MAX).contains(&seconds) { Ok(Self(seconds * 1_000)) } else { Err(BadSpan) }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0 / 1_000)
    }

    fn describe(schema: ObjectBuilder) -> ObjectBuilder {
        schema.description(Some("A second to 366 days, in one unit: d, h, m or s.")).examples(["10d"])
    }
}

impl Word for Day {
    type Bad = BadDay;
    const NAME: &'static str = "Day";

    fn read(text: &str) -> Result<Self, BadDay> {
        if !has_shape(text, "0000-00-00") {
            return Err(BadDay);
        }
        Timestamp::read(&format!("{text}T00:00:00Z")).map(Timestamp::day).map_err(|_| BadDay)
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = crate::json::Shown(&self.starts_at()).to_string();
        f.write_str(text.split_once('T').map_or(&*text, |(date, _)| date))
    }

    fn describe(schema: ObjectBuilder) -> ObjectBuilder {
        schema
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
            .description(Some("A UTC day."))
            .examples(["2026-11-30"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Shown;
    use proptest::prelude::*;

    #[test]
    fn stretches_of_time_to_their_bounds() {
        for (text, seconds) in
            [("1s", 1), ("90m", 5_400), ("36h", 129_600), ("10d", 864_000), ("366d", 31_622_400)]
        {
            assert_eq!(Span::read(text).map(Span::ms), Ok(seconds * 1_000), "{text}");
        }
        for text in
            ["", "d", "0s", "367d", "31622401s", "-1d", "1.5d", "1 d", "10", "10w", "9999999999d", "+1d"]
        {
            assert_eq!(Span::read(text), Err(BadSpan), "{text}");
        }
        assert_eq!(Shown(&Span::read("2m").unwrap()).to_string(), "120s");
    }

    #[test]
    fn instants_are_rfc_3339_in_utc() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.5Z", 500),
            ("1970-01-01T00:00:00.005Z", 5),
            ("2026-02-28T23:59:59.999Z", 1_772_323_199_999),
            ("1969-12-31T23:59:59Z", -1_000),
        ] {
            assert_eq!(Timestamp::read(text), Ok(Timestamp::from_millis(ms)), "{text}");
            assert_eq!(Shown(&Timestamp::from_millis(ms)).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_instant() {
        use BadInstant::{NoSuchTime, Shape, TooFine};
        for (text, why) in [
            ("", Shape),
            ("Z", Shape),
            ("2026-11-30", Shape),
            ("2026-11-30T00:00:00", Shape),
            ("2026-11-30T00:00:00+00:00", Shape),
            ("2026-11-30 00:00:00Z", Shape),
            ("2026-11-30t00:00:00Z", Shape),
            ("2026-11-30T00:00:00z", Shape),
            ("2026-11-30T00:00:00.Z", Shape),
            ("2026-11-30T00:00Z", Shape),
            ("1764460800", Shape),
            ("2026-11-30T00:00:00.0000Z", TooFine),
            ("2026-02-29T00:00:00Z", NoSuchTime),
            ("2026-13-01T00:00:00Z", NoSuchTime),
            ("2026-11-30T24:00:00Z", NoSuchTime),
            ("2026-12-31T23:59:60Z", NoSuchTime),
        ] {
            assert_eq!(Timestamp::read(text), Err(why), "{text}");
        }
    }

    #[test]
    fn days_there_and_back() {
        for (text, day) in [("1970-01-01", 0), ("2024-02-29", 19_782), ("1969-12-31", -1)] {
            assert_eq!(Day::read(text), Ok(Day(day)), "{text}");
            assert_eq!(Shown(&Day(day)).to_string(), text);
        }
        for text in ["2026-02-29", "2026-1-1", "2026-11-30Z", "today", ""] {
            assert_eq!(Day::read(text), Err(BadDay), "{text}");
        }
    }

    #[test]
    fn an_instant_beyond_every_calendar_is_still_shown() {
        assert!(Shown(&Timestamp::from_millis(i64::MAX)).to_string().starts_with("9999-12-30T"));
    }

    proptest! {
        #[test]
        fn every_instant_of_four_digit_years(ms in 0..253_402_207_200_000_i64) {
            let at = Timestamp::from_millis(ms);
            prop_assert_eq!(Timestamp::read(&Shown(&at).to_string()), Ok(at));
        }
    }
}
