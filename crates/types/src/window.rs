//! What a limit counts in, and what clocks of a zone show, as far as it was looked up. Not here: who looks it up
//! (`calendar`), what is counted (`ledger`).

use crate::{Timestamp, ZoneName};
use std::fmt;
use std::str::FromStr;

/// Most changes of a zone's clocks that are kept: of no zone less than five years.
pub const CLOCK_CHANGES_MAX: usize = 24;
/// The clocks are looked up again when fewer changes than these are to come.
const CHANGES_AHEAD: usize = 4;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What a limit counts in. Each instant lies in one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// Of UTC, whatever the zone.
    Hour,
    /// From midnight to midnight by the clocks of the zone.
    Day,
    /// From the midnight that begins a Monday.
    Week,
    /// Of the workspace.
    Cycle,
}

/// A text that is no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a window is one of: hour day week cycle")]
pub struct BadWindow;

impl Window {
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Cycle];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Cycle => "cycle",
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Window {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        Self::ALL.into_iter().find(|window| window.as_str() == text).ok_or(BadWindow)
    }
}

/// When something begins and when what comes after it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// The hour of UTC that an instant lies in.
pub const fn hour_of(at: Timestamp) -> Span {
    let from = Timestamp::from_millis(at.millis().div_euclid(HOUR_MS).saturating_mul(HOUR_MS));
    Span { from, to: from.plus_ms(HOUR_MS) }
}

/// How far a zone's clocks are ahead of UTC, and from when on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneClock {
    pub zone: ZoneName,
    /// In seconds, before the first change that is known.
    ahead_s: i32,
    /// Ascending. After the last one clocks stay as they are.
    changes: Vec<(Timestamp, i32)>,
}

/// Such changes no zone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the changes of a zone's clocks ascend, are at most {CLOCK_CHANGES_MAX}, and move them by less than two days"
)]
pub struct BadClock;

impl ZoneClock {
    pub fn new(zone: ZoneName, ahead_s: i32, changes: Vec<(Timestamp, i32)>) -> Result<Self, BadClock> {
        const AHEAD_S_MAX: u32 = 2 * 24 * 3_600;
        let mut all = changes.iter().map(|(_, ahead_s)| *ahead_s).chain([ahead_s]);
        let good = changes.len() <= CLOCK_CHANGES_MAX
            && changes.is_sorted_by(|(a, _), (b, _)| a < b)
            && all.all(|ahead_s| ahead_s.unsigned_abs() < AHEAD_S_MAX);
        if good { Ok(Self { zone, ahead_s, changes }) } else { Err(BadClock) }
    }

    pub fn utc() -> Self {
        Self { zone: ZoneName::utc(), ahead_s: 0, changes: Vec::new() }
    }

    pub const fn ahead_s(&self) -> i32 {
        self.ahead_s
    }

    pub fn changes(&self) -> &[(Timestamp, i32)] {
        &self.changes
    }

    /// From then on the next changes are to be looked up. `None`: all there are are known.
    pub fn wanted_at(&self) -> Option<Timestamp> {
        let full = self.changes.len() >= CLOCK_CHANGES_MAX;
        full.then(|| self.changes[CLOCK_CHANGES_MAX.saturating_sub(CHANGES_AHEAD)].0)
    }

    /// The day that an instant lies in. It begins at the first instant at which clocks show its date or a later one.
    pub fn day_of(&self, at: Timestamp) -> Span {
        let day = self.day_shown(at);
        Span { from: self.begins(day), to: self.begins(day.saturating_add(1)) }
    }

    /// The week that an instant lies in: it begins with its Monday.
    pub fn week_of(&self, at: Timestamp) -> Span {
        let day = self.day_shown(at);
        // 1970-01-01 was a Thursday.
        let monday = day.saturating_sub(day.saturating_add(3).rem_euclid(7));
        Span { from: self.begins(monday), to: self.begins(monday.saturating_add(7)) }
    }

    /// The stretches between changes: from when, before when, how far ahead.
    fn stretches(&self) -> impl DoubleEndedIterator<Item = (i64, i64, i64)> + '_ {
        let from = |i: usize| match i.checked_sub(1) {
            None => i64::MIN,
            Some(before) => self.changes[before].0.millis(),
        };
        (0..=self.changes.len()).map(move |i| {
            let to = self.changes.get(i).map_or(i64::MAX, |(at, _)| at.millis());
            let ahead = i.checked_sub(1).map_or(self.ahead_s, |before| self.changes[before].1);
            (from(i), to, i64::from(ahead).saturating_mul(1_000))
        })
    }

    /// The latest date that clocks have shown so far, counted from 1970-01-01: where they are put back over a midnight, the
    /// new day has begun with the first one.
    fn day_shown(&self, at: Timestamp) -> i64 {
        let at = at.millis();
        let shown = |ms: i64, ahead: i64| ms.saturating_add(ahead).div_euclid(DAY_MS);
        let until_now = self.stretches().rev().skip_while(|(from, ..)| *from > at).take(2);
        let latest = until_now.map(|(_, to, ahead)| shown(at.min(to.saturating_sub(1)), ahead));
        latest.max().unwrap_or(0)
    }

    fn begins(&self, day: i64) -> Timestamp {
        let midnight = day.saturating_mul(DAY_MS);
        let first = self.stretches().find_map(|(from, to, ahead)| {
            let instant = midnight.saturating_sub(ahead).max(from);
            (instant < to).then_some(instant)
        });
        Timestamp::from_millis(first.unwrap_or(midnight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(hours * HOUR_MS)
    }

    fn hours(span: Span) -> (i64, i64) {
        (span.from.millis() / HOUR_MS, span.to.millis() / HOUR_MS)
    }

    fn clock(ahead: i32, changes: &[(i64, i32)]) -> ZoneClock {
        let changes = changes.iter().map(|(hour, ahead)| (at(*hour), ahead * 3_600)).collect();
        ZoneClock::new(ZoneName::utc(), ahead * 3_600, changes).unwrap()
    }

    #[test]
    fn windows_begin_where_the_ones_before_them_end() {
        let utc = ZoneClock::utc();
        assert_eq!(hours(hour_of(at(5).plus_ms(-1))), (4, 5));
        assert_eq!(hours(hour_of(at(5))), (5, 6));
        assert_eq!(hours(utc.day_of(at(24).plus_ms(-1))), (0, 24));
        assert_eq!(hours(utc.day_of(at(24))), (24, 48));
        // The first Monday was the 5th of January 1970.
        assert_eq!(hours(utc.week_of(at(4 * 24).plus_ms(-1))), (-3 * 24, 4 * 24));
        assert_eq!(hours(utc.week_of(at(4 * 24))), (4 * 24, 11 * 24));
    }

    #[test]
    fn a_day_is_as_long_as_clocks_make_it() {
        // Two hours ahead; put back by one at 25:00 UTC, which is 03:00 of the second day there.
        let berlin = clock(2, &[(25, 1)]);
        assert_eq!(hours(berlin.day_of(at(21))), (-2, 22));
        assert_eq!(hours(berlin.day_of(at(22))), (22, 47), "25 hours");
        assert_eq!(hours(berlin.day_of(at(47))), (47, 71));
        assert_eq!(hours(berlin.week_of(at(22))), (-3 * 24 - 2, 4 * 24 - 1));
        // Put forward from midnight to one o'clock: the day begins then.
        let forward = clock(0, &[(24, 1)]);
        assert_eq!(hours(forward.day_of(at(24))), (24, 47));
        // Put back from midnight to eleven in the evening: the second midnight is the first that is shown.
        let back = clock(1, &[(23, 0)]);
        assert_eq!(hours(back.day_of(at(23))), (-1, 24));
        // Put back at half past: the new day had begun, and goes on though clocks show the old one again.
        let half = |hour: i64| at(hour).plus_ms(HOUR_MS / 2);
        let late = ZoneClock::new(ZoneName::utc(), 3_600, vec![(half(23), 0)]).unwrap();
        assert_eq!(hours(late.day_of(half(23))), (23, 48));
        // A whole day is left out.
        let over = clock(-10, &[(34, 14)]);
        assert_eq!(hours(over.day_of(at(33))), (10, 34));
        assert_eq!(hours(over.day_of(at(34))), (34, 58));
    }

    #[test]
    fn what_no_clock_does_is_none() {
        let changes = |count: usize| (0..count).map(|i| (at(i as i64), 0)).collect::<Vec<_>>();
        let new = |ahead_s, changes| ZoneClock::new(ZoneName::utc(), ahead_s, changes).map(|_| ());
        assert_eq!(new(0, changes(CLOCK_CHANGES_MAX)), Ok(()));
        assert_eq!(new(0, changes(CLOCK_CHANGES_MAX + 1)), Err(BadClock));
        assert_eq!(new(0, vec![(at(1), 0), (at(1), 0)]), Err(BadClock));
        assert_eq!((new(172_799, vec![]), new(-172_800, vec![])), (Ok(()), Err(BadClock)));
        let wanted = |count| ZoneClock::new(ZoneName::utc(), 0, changes(count)).unwrap().wanted_at();
        assert_eq!(wanted(CLOCK_CHANGES_MAX - 1), None);
        assert_eq!(wanted(CLOCK_CHANGES_MAX), Some(at(20)));
    }

    #[test]
    fn windows_are_read_as_they_are_written() {
        for window in Window::ALL {
            assert_eq!(window.to_string().parse(), Ok(window));
        }
        assert_eq!("month".parse::<Window>(), Err(BadWindow));
    }
}
