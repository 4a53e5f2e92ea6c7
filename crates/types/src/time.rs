//! Instants as plain numbers. Nobody here reads a clock: time is an argument.

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const MS_PER_DAY: i64 = 86_400_000;

impl Timestamp {
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this; zero where `earlier` is later.
    pub const fn since_ms(self, earlier: Self) -> i64 {
        let ms = self.0.saturating_sub(earlier.0);
        if ms > 0 { ms } else { 0 }
    }

    /// The UTC day this instant falls on.
    pub const fn day(self) -> Day {
        // Years 1970 to far beyond 9999 fit; outside them the nearest representable day is taken.
        let days = self.0.div_euclid(MS_PER_DAY);
        Day(if days > i32::MAX as i64 {
            i32::MAX
        } else if days < i32::MIN as i64 {
            i32::MIN
        } else {
            days as i32
        })
    }
}

/// A UTC day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The first day of this day's month, in the Gregorian calendar (days to civil and back, after H. Hinnant).
    pub const fn first_of_month(self) -> Self {
        let shifted = self.0 as i64 + 719_468;
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day_of_month = day_of_year - (153 * month + 2) / 5;
        Self((self.0 as i64 - day_of_month) as i32)
    }

    pub const fn starts_at(self) -> Timestamp {
        Timestamp(self.0 as i64 * MS_PER_DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_on_their_first_day() {
        // 2024-02-29, 2024-03-01, 1970-01-31, 2000-12-31, 1969-12-31
        for (day, first) in [(19_782, 19_754), (19_783, 19_783), (30, 0), (11_322, 11_292), (-1, -31)] {
            assert_eq!(Day(day).first_of_month(), Day(first), "{day}");
        }
        let mut firsts = 0;
        for day in 0..146_097 {
            firsts += i32::from(Day(day).first_of_month() == Day(day));
        }
        assert_eq!(firsts, 4_800, "400 years have 4,800 months");
    }

    #[test]
    fn days_turn_at_midnight_utc() {
        assert_eq!(Timestamp::from_millis(MS_PER_DAY - 1).day(), Day(0));
        assert_eq!(Timestamp::from_millis(MS_PER_DAY).day(), Day(1));
        assert_eq!(Timestamp::from_millis(-1).day(), Day(-1));
        assert_eq!(Day(20_000).starts_at().day(), Day(20_000));
    }
}
