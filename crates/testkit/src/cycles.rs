//! Cycles as histories have them: of so many days, by no calendar, and what of their ends is worth noting.
//!
//! Not here: what happens when one ends (`ledger`), what should have happened (`naive`).

use crate::checkers::{crossings_of_pooling, crossings_of_services, crossings_of_teams};
use crate::history::START;
use ledger::{CycleEnds, Workspace, limits};
use types::{CivilDate, CycleDays, CycleRule, Every, Timestamp, ZoneName};

const DAY_MS: i64 = 86_400_000;

/// A month on the day whose number is the days a cycle has here.
pub fn days_of(days: i64) -> CycleDays {
    let day = u8::try_from(days).expect("a day of the month");
    CycleDays { every: Every::Month, anchor: CivilDate::new(2026, 1, day).expect("a date") }
}

/// The next ends of cycles of that many days, counted from the beginning.
pub fn ends_of(days: CycleDays, after: Timestamp) -> CycleEnds {
    let length = i64::from(days.anchor.day()) * DAY_MS;
    let over = after.since_ms(START).div_euclid(length);
    let ends = (1_i64..).take(limits::CYCLE_ENDS_MAX).map(|n| START.plus_ms((over + n) * length)).collect();
    CycleEnds { rule: CycleRule::of(days, ZoneName::utc()), ends }
}

/// When the cycle began that `at` lies in, counted alike.
pub fn began(days: CycleDays, at: Timestamp) -> Timestamp {
    let length = i64::from(days.anchor.day()) * DAY_MS;
    START.plus_ms(at.since_ms(START).div_euclid(length) * length)
}

/// The rare crossings from one state of a pool to the next.
pub fn seen(was: &Workspace, now: &Workspace) -> Vec<&'static str> {
    let rolled = |grant: &ledger::Grant| grant.rolled.map(|rolled| (rolled.left, rolled.kept));
    let more_left = was.grants.iter().zip(&now.grants).any(
        |(was, now)| matches!((rolled(was), rolled(now)), (Some((then, _)), Some((left, _))) if left > then),
    );
    let kept =
        was.grants.iter().zip(&now.grants).any(|(was, now)| {
            was.rolled.is_none() && now.rolled.is_some_and(|rolled| !rolled.kept.is_zero())
        });
    let late = was.users.iter().any(|(name, was)| now.user(name).is_some_and(|now| now.late > was.late));
    let paid = |pool: &Workspace| pool.totals.for_overage;
    let drawn = now.overages.keys().any(|cycle| !was.overages.contains_key(cycle));
    let paid_late = now.overages.range(..now.cycle).any(|(cycle, is)| {
        was.cycle == now.cycle && was.overages.get(cycle).is_some_and(|was| was.paid() != is.paid())
    });
    let crossings = [
        ("overage was drawn", drawn),
        ("what came back paid for overage", paid(now) > paid(was)),
        ("what had paid for overage was free again", paid(now) < paid(was)),
        ("the bill of an ended cycle changed", paid_late),
        ("a cycle ended", now.cycle > was.cycle),
        ("a cycle ended with credits out", now.cycle > was.cycle && !was.totals.out.is_zero()),
        ("something was kept over a rollover", kept),
        ("a return of an ended cycle was carried", more_left),
        ("a charge of an ended cycle came late", late),
        ("an allocation was short", !now.short.is_empty()),
    ];
    let crossings =
        crossings.into_iter().chain(crossings_of_teams(was, now)).chain(crossings_of_pooling(was, now));
    let crossings = crossings.chain(crossings_of_services(was, now));
    crossings.filter(|(_, seen)| *seen).map(|(what, _)| what).collect()
}
