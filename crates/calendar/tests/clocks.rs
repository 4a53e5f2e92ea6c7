//! Days by a zone's clock begin where the calendar has them begin, in every zone.

use calendar::{Calendar, clock, zones};
use types::{CivilDate, CycleRule, Every, Timestamp, ZoneName};

/// 2026-01-01T00:00:00Z.
const FROM: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn zone(name: &str) -> ZoneName {
    ZoneName::parse(name).expect("a name")
}

/// The beginnings of all days of two years in a zone, as cycles that begin on each day of the month have them.
fn days(name: &str) -> Vec<Timestamp> {
    let to = FROM.plus_ms(2 * 365 * DAY_MS);
    let of_month = |day: u8| {
        let anchor = CivilDate::new(2026, 1, day).expect("January has it");
        let rule = CycleRule { every: Every::Month, anchor, zone: zone(name) };
        let calendar = Calendar::new(&rule).expect("a zone");
        calendar.starts_after(FROM).map(|start| start.at).take_while(|at| *at < to).collect::<Vec<_>>()
    };
    let mut days: Vec<Timestamp> = (1..=31).flat_map(of_month).collect();
    days.sort_unstable();
    days.dedup();
    days
}

#[test]
fn days_begin_where_the_calendar_has_them_begin() {
    let zones = zones();
    assert!(zones.len() > 400, "{}", zones.len());
    for name in zones {
        let clock = clock(&zone(&name), FROM).expect("a zone");
        let days = days(&name);
        assert!(days.len() > 2 * 365 - 3, "{name}: {}", days.len());
        for pair in days.windows(2) {
            let [from, to] = pair else { unreachable!("windows of two") };
            for at in [*from, to.plus_ms(-1)] {
                let span = clock.day_of(at);
                assert_eq!((span.from, span.to), (*from, *to), "{name} at {}", at.millis());
                let week = clock.week_of(at);
                assert!(week.from <= span.from && span.to <= week.to, "{name} at {}", at.millis());
                assert!(days.binary_search(&week.from).is_ok() || week.from < days[0], "{name}");
            }
        }
    }
}

#[test]
fn a_clock_says_when_it_is_to_be_looked_up_again() {
    let berlin = clock(&zone("Europe/Berlin"), FROM).expect("a zone");
    let wanted = berlin.wanted_at().expect("clocks change twice a year");
    let years = wanted.since_ms(FROM) / (365 * DAY_MS);
    assert!((9..=11).contains(&years), "{years}");
    let again = clock(&zone("Europe/Berlin"), wanted).expect("a zone");
    for at in [wanted, wanted.plus_ms(7 * DAY_MS), wanted.plus_ms(-7 * DAY_MS)] {
        assert_eq!(again.day_of(at), berlin.day_of(at));
        assert_eq!(again.week_of(at), berlin.week_of(at));
    }
    assert!(again.wanted_at() > berlin.wanted_at());
    assert_eq!(clock(&zone("Asia/Tokyo"), FROM).expect("a zone").wanted_at(), None);
    assert!(clock(&zone("Mars/Olympus"), FROM).is_err());
}
