//! The rule, one sentence after the other; `starts` has all of it.

use calendar::{Calendar, Start, UnknownZone};
use proptest::prelude::*;
use types::{CivilDate, CycleRule, Every, Timestamp, ZoneName};

fn calendar(every: Every, anchor: &str, zone: &str) -> Calendar {
    let (anchor, zone) = (anchor.parse().expect("a date"), ZoneName::parse(zone).expect("a name"));
    Calendar::new(&CycleRule { every, anchor, zone }).expect("a zone")
}

fn instant(text: &str) -> Timestamp {
    let read: jiff::Timestamp = text.parse().expect("an instant");
    Timestamp::from_millis(read.as_millisecond())
}

/// So many beginnings after an instant, as date and UTC.
fn after(calendar: &Calendar, at: &str, count: usize) -> Vec<String> {
    let starts =
        std::iter::successors(calendar.next_after(instant(at)), |start| calendar.next_after(start.at));
    let text = |Start { at, date }: Start| {
        let at = jiff::Timestamp::from_millisecond(at.millis()).expect("an instant");
        format!("{date} {at}")
    };
    starts.take(count).map(text).collect()
}

#[test]
fn after_a_short_month_the_day_is_the_anchors_again() {
    let monthly = calendar(Every::Month, "2026-01-31", "UTC");
    assert_eq!(
        after(&monthly, "2027-12-31T00:00:00Z", 5),
        [
            "2028-01-31 2028-01-31T00:00:00Z",
            "2028-02-29 2028-02-29T00:00:00Z",
            "2028-03-31 2028-03-31T00:00:00Z",
            "2028-04-30 2028-04-30T00:00:00Z",
            "2028-05-31 2028-05-31T00:00:00Z",
        ]
    );
    let yearly = calendar(Every::Year, "2024-02-29", "UTC");
    assert_eq!(
        after(&yearly, "2026-02-28T00:00:00Z", 3),
        [
            "2027-02-28 2027-02-28T00:00:00Z",
            "2028-02-29 2028-02-29T00:00:00Z",
            "2029-02-28 2029-02-28T00:00:00Z"
        ]
    );
}

#[test]
fn an_anchor_long_ago_and_one_to_come_say_the_same() {
    let [past, to_come] =
        ["1970-01-15", "2200-06-15"].map(|anchor| calendar(Every::Month, anchor, "Asia/Tokyo"));
    let from = "2026-06-14T14:59:59.999Z";
    assert_eq!(after(&past, from, 1), ["2026-06-15 2026-06-14T15:00:00Z"]);
    assert_eq!(after(&past, from, 30), after(&to_come, from, 30));
}

#[test]
fn a_cycle_ends_at_the_instant_at_which_the_next_begins() {
    let monthly = calendar(Every::Month, "2026-03-01", "Europe/Berlin");
    assert_eq!(after(&monthly, "2026-02-28T22:59:59.999Z", 1), ["2026-03-01 2026-02-28T23:00:00Z"]);
    assert_eq!(
        after(&monthly, "2026-02-28T23:00:00Z", 1),
        ["2026-04-01 2026-03-31T22:00:00Z"],
        "by summer time"
    );
}

#[test]
fn where_midnight_comes_twice_the_first_counts() {
    // At one o'clock of summer time Havana puts its clocks back to midnight.
    let monthly = calendar(Every::Month, "2026-01-01", "America/Havana");
    assert_eq!(after(&monthly, "2026-10-31T12:00:00Z", 1), ["2026-11-01 2026-11-01T04:00:00Z"]);
}

#[test]
fn where_there_is_no_midnight_the_day_begins_when_clocks_have_been_put_forward() {
    let monthly = calendar(Every::Month, "2026-01-29", "Asia/Beirut");
    assert_eq!(after(&monthly, "2026-03-28T12:00:00Z", 1), ["2026-03-29 2026-03-28T22:00:00Z"]);
    // Liberia put its clocks forward by 44 minutes and a half.
    let monthly = calendar(Every::Month, "1970-01-07", "Africa/Monrovia");
    assert_eq!(after(&monthly, "1972-01-01T00:00:00Z", 1), ["1972-01-07 1972-01-07T00:44:30Z"]);
}

#[test]
fn where_a_day_is_left_out_the_next_one_begins_the_cycle() {
    // Samoa went from the 29th to the 31st of December 2011.
    let monthly = calendar(Every::Month, "2011-01-30", "Pacific/Apia");
    assert_eq!(
        after(&monthly, "2011-12-01T00:00:00Z", 2),
        ["2011-12-30 2011-12-30T10:00:00Z", "2012-01-30 2012-01-29T10:00:00Z"]
    );
    let next_day = calendar(Every::Month, "2011-01-31", "Pacific/Apia");
    assert_eq!(after(&next_day, "2011-12-01T00:00:00Z", 1), ["2011-12-31 2011-12-30T10:00:00Z"]);
}

#[test]
fn before_the_first_year_and_after_the_last_there_is_nothing() {
    let monthly = calendar(Every::Month, "2026-01-31", "UTC");
    assert_eq!(after(&monthly, "9998-12-30T23:59:59Z", 2), ["9998-12-31 9998-12-31T00:00:00Z"]);
    assert_eq!(monthly.next_after(Timestamp::from_millis(i64::MAX)), None);
    assert_eq!(monthly.next_after(Timestamp::from_millis(i64::MIN)), None);
    assert_eq!(after(&monthly, "1970-01-01T00:00:00Z", 1), ["1970-01-31 1970-01-31T00:00:00Z"]);
}

#[test]
fn what_is_no_zone_is_named() {
    let zone = ZoneName::parse("Europe/Atlantis").expect("the form of a name");
    let rule = CycleRule {
        every: Every::Month,
        anchor: CivilDate::new(2026, 1, 1).expect("a date"),
        zone: zone.clone(),
    };
    let why = Calendar::new(&rule).expect_err("no such place");
    assert_eq!(why, UnknownZone(zone));
    assert_eq!(
        why.to_string(),
        format!(
            "Europe/Atlantis is no time zone of the IANA database {}; names are such as Europe/Berlin, America/New_York or UTC",
            calendar::DATABASE
        )
    );
}

proptest! {
    #[test]
    fn each_instant_lies_in_one_cycle(
        zone in prop::sample::select(calendar::zones()),
        yearly: bool,
        month in 1_u8..=12,
        day in 1_u8..=31,
        at_ms in 0_i64..7_000_000_000_000,
    ) {
        let every = if yearly { Every::Year } else { Every::Month };
        let anchor = CivilDate::new(2024, month, day.min(types::days_in_month(2024, month))).unwrap();
        let rule = CycleRule { every, anchor, zone: ZoneName::parse(&zone).unwrap() };
        let calendar = Calendar::new(&rule).unwrap();
        let at = Timestamp::from_millis(at_ms);
        let end = calendar.next_after(at).unwrap();
        prop_assert!(end.at > at);
        prop_assert_eq!(calendar.next_after(end.at.plus_ms(-1)), Some(end), "nothing lies between");
        prop_assert!(calendar.next_after(end.at).unwrap() > end);
        let longest_days = if yearly { 367 } else { 33 };
        prop_assert!(end.at.since_ms(at) <= longest_days * 86_400_000);
    }
}
