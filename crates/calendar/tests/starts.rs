//! Every beginning of 1970 to 2100 in every zone, against what Python's zoneinfo and dateutil say (`starts.py` wrote
//! `starts.txt`).

use calendar::{Calendar, zones};
use std::collections::BTreeSet;
use std::io::Write;
use types::{CivilDate, CycleRule, Every, Timestamp, ZoneName};

const SAID: &str = include_str!("starts.txt");
/// 1970-02-01T12:00:00Z: after the February beginnings of every zone.
const FROM: Timestamp = Timestamp::from_millis((31 * 24 + 12) * 3_600_000);

/// Name of a zone, checksum.
fn said() -> Vec<(&'static str, &'static str)> {
    let lines = SAID.lines().skip(1);
    lines.map(|line| line.split_once(' ').expect("a name and a checksum")).collect()
}

fn date(text: &str) -> CivilDate {
    text.parse().expect("a date")
}

fn anchors() -> Vec<(Every, CivilDate)> {
    let months = (1..=31).map(|day| (Every::Month, CivilDate::new(1970, 1, day).expect("January has it")));
    months.chain(["1972-02-29", "1970-12-30"].map(|day| (Every::Year, date(day)))).collect()
}

/// All of a zone's beginnings, and how many there are.
fn checksum(zone: &str) -> (String, usize) {
    let (mut hasher, mut count) = (crc32fast::Hasher::new(), 0);
    let mut text = Vec::new();
    for (every, anchor) in anchors() {
        let rule = CycleRule { every, anchor, zone: ZoneName::parse(zone).expect("a name") };
        let calendar = Calendar::new(&rule).expect("a zone");
        let starts = std::iter::successors(calendar.next_after(FROM), |start| calendar.next_after(start.at));
        let starts = starts.skip_while(|start| start.date < date("1970-03-01"));
        text.clear();
        for start in starts.take_while(|start| start.date <= date("2100-12-31")) {
            writeln!(text, "{}", start.at.millis()).expect("memory takes it");
            count += 1;
        }
        hasher.update(&text);
    }
    (format!("{:08x}", hasher.finalize()), count)
}

/// Zones that begin with these letters: the halves take about as long.
fn compare(is_mine: impl Fn(&str) -> bool) {
    let mut wrong = Vec::new();
    for (zone, said) in said().into_iter().filter(|(zone, _)| is_mine(zone)) {
        let (ours, count) = checksum(zone);
        assert_eq!(count, 31 * (131 * 12 - 2) + 131 + 130, "{zone}");
        if ours != said {
            wrong.push(zone);
        }
    }
    assert!(wrong.is_empty(), "{} zones differ: {wrong:?}", wrong.len());
}

#[test]
fn cycles_begin_when_python_says_in_america() {
    compare(|zone| zone.starts_with("America"));
}

#[test]
fn cycles_begin_when_python_says_elsewhere() {
    compare(|zone| !zone.starts_with("America"));
}

#[test]
fn both_know_the_same_zones_of_the_same_database() {
    assert_eq!(SAID.lines().next(), Some(format!("tzdata {}", calendar::DATABASE).as_str()));
    let ours: BTreeSet<String> = zones().into_iter().collect();
    let theirs: BTreeSet<String> = said().iter().map(|(zone, _)| (*zone).to_owned()).collect();
    assert_eq!(ours, theirs);
    assert!(ours.len() > 590);
}

#[test]
fn an_instant_lies_between_the_last_beginning_and_the_next() {
    for zone in zones() {
        for (every, anchor) in
            [(Every::Month, "1970-01-01"), (Every::Month, "1970-01-31"), (Every::Year, "1972-02-29")]
        {
            let rule =
                CycleRule { every, anchor: date(anchor), zone: ZoneName::parse(&zone).expect("a name") };
            let calendar = Calendar::new(&rule).expect("a zone");
            let mut last = calendar.next_after(FROM).expect("there are more");
            while let Some(next) = calendar.next_after(last.at).filter(|next| next.date <= date("2100-12-31"))
            {
                for at in [last.at, next.at.plus_ms(-1)] {
                    assert_eq!(calendar.last_until(at), Some(last), "{zone}, {anchor}, {at:?}");
                }
                last = next;
            }
        }
    }
}
