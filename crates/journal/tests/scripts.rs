//! What each operation does and refuses, one script each. Not here: crashes at random points (`histories`).

mod holder;

use holder::*;
use journal::{Begun, Charge, HandleNo, Journal, LineKey, LineNumbers, Permit, Refused};
use platform::{Surely, Unsynced};
use std::collections::BTreeSet;
use tokio::task::JoinHandle;
use types::{
    CycleNumber, Durability, Feature, LineNumber, METERS_PER_LINE_MAX, Metered, RESERVED_UNITS, Revision,
    Scope, Shadowed, Source, Timestamp, UNITS_PER_METER_MAX, Unit, WouldRefuse,
};

#[test]
fn a_line_is_spent_in_order_and_given_back_from_the_other_end() {
    let machine = Machine::new(options());
    let holder = machine.start();
    // Arrival is overage, shared 1, shared 2, allocation; spending order is by source, then arrival.
    let drawn = [
        (backing(Source::Overage, 9), credits(10)),
        (backing(Source::Shared, 1), credits(10)),
        (backing(Source::Shared, 2), credits(10)),
        (backing(Source::Allocation, 1), credits(10)),
    ];
    let line = holder.line_with(1, "w", &drawn);
    let charged = holder.charge(chat(1, 25, Durability::Local)).unwrap();
    assert_eq!(
        charged.sources,
        [(Source::Allocation, credits(10)), (Source::Shared, credits(15))],
        "two grants of one source are one source"
    );
    assert_eq!((charged.line, charged.sequence, charged.cycle), (LineNumber(1), 1, CycleNumber(3)));
    assert_eq!(
        holder.charge(chat(1, 0, Durability::Local)).unwrap().sources,
        [],
        "a price of zero is a price"
    );

    let numbers = holder.run(holder.journal.give_back(line.clone(), credits(12), credits(0))).unwrap();
    let returned: Vec<_> = numbers.backings.iter().map(|b| b.returned.micros()).collect();
    assert_eq!(returned, [10, 0, 2, 0]);
    assert_eq!(numbers.meters.len(), 1);
    let metered = &numbers.meters[0].1;
    assert_eq!((metered.credits, metered.calls, metered.units[0].1), (credits(25), 2, 2));
    let paid: Vec<_> = metered.by_grant.iter().map(|(grant, part)| (grant.0, part.micros())).collect();
    assert_eq!(paid, [(1, 20), (2, 5)], "of each grant, whatever it was drawn from");

    let numbers = holder.run(holder.journal.close(line.clone(), credits(25))).unwrap();
    assert!(numbers.closed);
    assert_eq!((numbers.used(), numbers.returned()), (credits(25), credits(15)));
    assert_eq!(holder.charge(chat(1, 1, Durability::Local)), Err(Refused::NoLine));
    assert_eq!(holder.run(holder.journal.close(line.clone(), credits(25))).unwrap(), numbers, "asked again");
    assert_eq!(
        holder.run(holder.journal.raise_watermark(line.clone(), credits(1))),
        Err(Refused::LineClosed(line.clone()))
    );
    holder.run(holder.journal.forget(line.clone())).unwrap();
    assert_eq!(holder.run(holder.journal.forget(line.clone())), Err(Refused::NoLine));
    assert_eq!(holder.run(holder.journal.open_line(open_wish(1, "w"))), Ok(LineNumber(2)));
}

#[test]
fn drawn_merges_by_the_larger_number_and_bounds_the_watermark() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(10))]);
    for (drawn, known) in [(15, 15), (12, 15), (15, 15)] {
        let view =
            holder.run(holder.journal.install(line.clone(), vec![(shared(), credits(drawn))])).unwrap();
        assert_eq!(view.drawn, credits(known));
    }
    let raise = |to| holder.run(holder.journal.raise_watermark(line.clone(), credits(to)));
    assert_eq!(raise(15), Ok(credits(5)));
    assert_eq!(raise(15), Ok(credits(0)), "asked again");
    assert_eq!(raise(16), Err(Refused::BeyondDrawn { wanted: credits(16), possible: credits(15) }));
    holder.run(holder.journal.give_back(line.clone(), credits(4), credits(0))).unwrap();
    assert_eq!(raise(12), Err(Refused::BeyondDrawn { wanted: credits(12), possible: credits(11) }));
}

#[test]
fn reports_say_what_is_synced_and_no_more() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(10))]);
    holder.charge(chat(1, 3, Durability::Local)).unwrap();
    let used = |fresh| {
        let numbers = holder.run(holder.journal.numbers(vec![line.clone()], fresh)).unwrap();
        numbers[0].used().micros()
    };
    let sequence = holder.journal.sequence();
    assert_eq!(used(false), 0);
    assert_eq!(used(true), 3);
    assert_eq!(holder.journal.sequence(), sequence + 1);
    let syncs = machine.disk.syncs();
    assert_eq!(used(true), 3);
    assert_eq!(machine.disk.syncs(), syncs, "there was nothing to sync");
    holder.charge(chat(1, 4, Durability::Disk)).unwrap();
    assert_eq!(used(false), 7);
}

/// Six credits are spent of the line, their charge is on its way, and the line is to be closed.
async fn close_that_waits<'a>(
    holder: &'a holder::Holder,
    line: &LineKey,
) -> (Permit<'a>, JoinHandle<Result<LineNumbers, Refused>>) {
    let permit = holder.journal.reserve().unwrap();
    let (journal, line) = (holder.journal.clone(), line.clone());
    let closing = tokio::spawn(async move { journal.close(line, credits(6)).await });
    holder.journal.sync().await.unwrap();
    (permit, closing)
}

#[test]
fn a_close_waits_for_the_charges_on_their_way() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(10))]);
    holder.run(async {
        let (permit, closing) = close_that_waits(&holder, &line).await;
        tokio::task::yield_now().await;
        assert!(!closing.is_finished());
        permit.charge(chat(1, 6, Durability::Local)).await.unwrap();
        let numbers = closing.await.unwrap().unwrap();
        assert_eq!((numbers.used(), numbers.returned()), (credits(6), credits(4)));
    });
}

/// Who takes a line up after its actor has failed closes it himself, when he is done with it.
#[test]
fn an_attachment_ends_a_close_that_waits() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(10))]);
    holder.run(async {
        let (permit, closing) = close_that_waits(&holder, &line).await;
        holder.journal.attach(line.clone(), HandleNo(1), 3).await.unwrap();
        closing.await.unwrap().unwrap_err();
        permit.charge(chat(1, 6, Durability::Local)).await.unwrap();
        let view = holder.journal.lines().await.unwrap().remove(0);
        assert_eq!((view.line, view.used, view.closed), (line, credits(6), false));
    });
}

/// What the word is filled with next counts on the watermark that an actor raised before it failed.
#[test]
fn an_attachment_is_answered_once_the_disk_has_what_it_shows() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(10))]);
    holder.charge(chat(1, 4, Durability::Local)).unwrap();
    let behind = holder.journal.sequence();
    let view = holder.run(holder.journal.attach(line, HandleNo(1), 3)).unwrap();
    assert_eq!(view.used, credits(4));
    assert!(holder.journal.sequence() > behind);
}

#[test]
fn a_forgotten_line_hides_no_other_ones_numbers() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let (gone, left) = (holder.line_with(1, "w", &[]), holder.line_with(2, "w", &[(shared(), credits(10))]));
    holder.run(async {
        holder.journal.close(gone.clone(), credits(0)).await.unwrap();
        holder.journal.forget(gone.clone()).await.unwrap();
        for fresh in [true, false] {
            let numbers = holder.journal.numbers(vec![gone.clone(), left.clone()], fresh).await.unwrap();
            let lines: Vec<_> = numbers.into_iter().map(|numbers| numbers.line).collect();
            assert_eq!(lines, std::slice::from_ref(&left));
        }
    });
}

#[test]
fn many_syncs_are_one() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100))]);
    let syncs = machine.disk.syncs();
    holder.run(async {
        let charge = || holder.journal.reserve().unwrap().charge(chat(1, 1, Durability::Disk));
        let all: Vec<_> = (0..16).map(|_| charge()).collect();
        for one in all {
            one.await.unwrap();
        }
    });
    assert_eq!(machine.disk.syncs(), syncs + 1);
}

#[test]
fn a_charge_is_short_on_the_disk() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(1_000_000_000))]);
    let written = || {
        let content = machine.disk.content(&machine.segments()[0]).unwrap();
        content.iter().rposition(|byte| *byte != 0).unwrap()
    };
    let usage = |name: &str, count| (Unit::parse(name).unwrap(), count);
    let charge = || {
        let units = vec![usage("input_token", 1_200), usage("output_token", 300)];
        Charge { units, ..chat(1, 1_500_000, Durability::Local) }
    };
    holder.charge(charge()).unwrap();
    let before = written();
    holder.charge(charge()).unwrap();
    assert_eq!(written() - before, 33, "frame 8, header 2, record 23");
    let keyed = |key: &str| {
        let Begun::Fresh(guard) = holder.begin("w", key, 1) else { panic!("a new key") };
        holder.charge(Charge { key: Some(guard), ..charge() }).unwrap();
        written()
    };
    let before = keyed("req-0123456789abcdef");
    assert_eq!(keyed("req-fedcba9876543210") - before, 33 + 65, "key 21, hash 32, time 9, three more");
}

#[test]
fn the_queue_refuses_before_anything_is_spent() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100))]);
    let permits: Vec<_> = (0..64).map(|_| holder.journal.reserve().unwrap()).collect();
    assert_eq!(holder.journal.reserve().unwrap_err(), Refused::Overloaded);
    drop(permits);
    assert!(holder.journal.reserve().is_ok());
}

#[test]
fn meters_and_units_beyond_their_bounds_are_other() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(1_000))]);
    let at = |day: i64| Timestamp::from_millis(day * 86_400_000);
    let charge = |feature: &str, day, units| {
        let charge = Charge { meter: meter(feature, at(day)), units, ..chat(1, 1, Durability::Local) };
        holder.charge(charge).unwrap();
    };
    for n in 0..66 {
        charge(&format!("f{n}"), 1, vec![]);
    }
    charge("f0", 1, vec![]);
    for day in 2..80 {
        charge("late", day, vec![]);
    }
    let units =
        |range: std::ops::Range<u64>| range.map(|n| (Unit::parse(&format!("u{n}")).unwrap(), n)).collect();
    charge("f0", 1, units(0..63));
    charge("f0", 1, units(10..20));
    // With `other` f0 has brought 16 to the line; 48 more keep their names.
    for feature in 1..=4 {
        charge(&format!("f{feature}"), 1, units(100 * feature..100 * feature + 15));
    }
    let holder = {
        machine.kill(holder);
        machine.start()
    };
    assert!(holder.recovered.exact);
    let numbers = holder.run(holder.journal.numbers(vec![line], true)).unwrap().remove(0);
    let of = |feature: &str, day| {
        let wanted = meter(feature, at(day));
        numbers.meters.iter().find(|(meter, _)| *meter == wanted).map(|(_, metered)| metered)
    };
    assert_eq!(numbers.meters.len(), METERS_PER_LINE_MAX);
    assert_eq!(of("f63", 1).unwrap().calls, 1);
    assert!(of("f64", 1).is_none());
    assert_eq!(of("other", 1).unwrap().calls, 2);
    assert_eq!(of("other", 64).unwrap().calls, 1 + 15, "the last day that has a meter takes what is left");
    let f0 = of("f0", 1).unwrap();
    let count = |metered: &Metered, unit: &str| {
        metered.units.iter().find(|(u, _)| u.as_str() == unit).map(|(_, count)| *count)
    };
    assert_eq!((f0.calls, f0.units.len()), (4, UNITS_PER_METER_MAX));
    assert_eq!((count(f0, "u14"), count(f0, "u15")), (Some(14 + 14), None));
    assert_eq!(count(f0, "other"), Some((15..63).sum::<u64>() + (15..20).sum::<u64>()));
    assert_eq!((count(of("f3", 1).unwrap(), "u314"), of("f3", 1).unwrap().units.len()), (Some(314), 15));
    let f4 = of("f4", 1).unwrap();
    assert_eq!((count(f4, "u402"), count(f4, "u403")), (Some(402), None));
    assert_eq!(count(f4, "other"), Some((403..415).sum()));
    let sum: u64 = numbers.meters.iter().map(|(_, metered)| metered.credits.micros()).sum();
    assert_eq!(sum, numbers.used().micros());
}

/// A meter and a line that are full of units have room for what is reserved, and only for that.
#[test]
fn reserved_units_have_places_of_their_own() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(1_000))]);
    let charge = |holder: &Holder, feature: &str, amount, units| {
        let meter = meter(feature, Timestamp::from_millis(0));
        holder.charge(Charge { meter, units, ..chat(1, amount, Durability::Local) }).unwrap()
    };
    let own =
        |n: std::ops::Range<u64>| n.map(|n| (Unit::parse(&format!("u{n}")).unwrap(), 1)).collect::<Vec<_>>();
    for feature in 0..6 {
        charge(&holder, &format!("f{feature}"), 1, own(100 * feature..100 * feature + 20));
    }
    for code in WouldRefuse::ALL {
        let shadowed = Shadowed { code, would_have_cost: credits(5) };
        assert_eq!(charge(&holder, "f0", 0, shadowed.units()).shadow, Some(shadowed));
        assert_eq!(charge(&holder, "f0", 0, shadowed.units()).shadow, Some(shadowed), "{code} once more");
    }
    assert_eq!(charge(&holder, "f0", 1, own(900..901)).shadow, None);
    let holder = {
        machine.kill(holder);
        machine.start()
    };
    let numbers = holder.run(holder.journal.numbers(vec![line], true)).unwrap().remove(0);
    let f0 = &numbers.meters.iter().find(|(meter, _)| meter.feature.as_str() == "f0").unwrap().1;
    assert_eq!(f0.units.len(), UNITS_PER_METER_MAX + RESERVED_UNITS);
    let (used, shadow) = f0.clone().split();
    assert_eq!((used.calls, used.units.len()), (2, UNITS_PER_METER_MAX));
    let other = used.units.iter().find(|(unit, _)| unit.as_str() == "other");
    assert_eq!(other.map(|(_, count)| *count), Some(5 + 1), "one past the bound is `other`");
    assert_eq!(shadow.by_code, WouldRefuse::ALL.map(|code| (code, 2)));
    assert_eq!(shadow.would_have_cost, credits(2 * 5 * WouldRefuse::ALL.len() as u64));
}

#[test]
fn lines_backings_and_attachments_have_bounds() {
    let machine = Machine::new(journal::Options { lines_max: 2, ..options() });
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(1))]);
    assert_eq!(holder.run(holder.journal.open_line(open_wish(1, "w"))), Err(Refused::Occupied));
    let second = holder.line_with(2, "w", &[(shared(), credits(1))]);
    assert_eq!(holder.run(holder.journal.open_line(open_wish(3, "w"))), Err(Refused::TooManyLines));
    let attach = |line: &journal::LineKey, epoch| {
        holder.run(holder.journal.attach(line.clone(), HandleNo(1), epoch)).map(|_| ())
    };
    assert_eq!(attach(&second, 1), Err(Refused::Occupied));
    assert_eq!(attach(&second, 2), Ok(()));
    assert_eq!(attach(&line, 1), Ok(()));

    let many = |n: u32| (0..n).map(|grant| (backing(Source::Shared, grant), credits(1))).collect();
    let install = |n| holder.run(holder.journal.install(line.clone(), many(n))).map(|_| ());
    assert_eq!(install(129), Err(Refused::TooManyBackings));
    assert_eq!(install(128), Ok(()));
}

#[test]
fn a_key_answers_again_what_it_was_answered() {
    let machine = Machine::new(options());
    let mut holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100))]);
    let mut answers = Vec::new();
    for (key, durability) in [("a", Durability::Local), ("b", Durability::Disk)] {
        let Begun::Fresh(guard) = holder.begin("w", key, 1) else { panic!("a new key") };
        assert!(matches!(holder.begin("w", key, 1), Begun::InFlight));
        assert!(matches!(holder.begin("w", key, 2), Begun::Conflict));
        answers.push(holder.charge(Charge { key: Some(guard), ..chat(1, 5, durability) }).unwrap());
    }
    let shadowed = Shadowed { code: WouldRefuse::LimitReached, would_have_cost: credits(7) };
    let Begun::Fresh(guard) = holder.begin("w", "c", 1) else { panic!("a new key") };
    let nothing = Charge { key: Some(guard), units: shadowed.units(), ..chat(1, 0, Durability::Local) };
    answers.push(holder.charge(nothing).unwrap());
    assert_eq!(answers[2].shadow, Some(shadowed));
    for life in 0..2 {
        for (key, answer) in ["a", "b", "c"].iter().zip(&answers) {
            let Begun::Replay(again) = holder.begin("w", key, 1) else {
                panic!("life {life}: {key} was used")
            };
            assert_eq!(&journal::Charged { position: answer.position, ..(*again).clone() }, answer);
            assert!(matches!(holder.begin("w", key, 2), Begun::Conflict));
        }
        machine.kill(holder);
        holder = machine.start();
    }
    let Begun::Fresh(guard) = holder.begin("other", "a", 1) else { panic!("another workspace, another key") };
    let view = holder.recovered.lines[0].clone();
    holder.run(holder.journal.attach(view.line, HandleNo(1), 1)).unwrap();
    assert_eq!(
        holder.charge(Charge { key: Some(guard), ..chat(1, 1, Durability::Local) }),
        Err(Refused::OtherScope)
    );
    assert!(matches!(holder.begin("other", "a", 1), Begun::Fresh(_)), "a refusal leaves no trace");
}

#[test]
fn the_key_window_is_full_before_it_forgets() {
    let machine = Machine::new(journal::Options { keys_bytes_max: 2 * (512 + 5), ..options() });
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(100))]);
    let use_key = |holder: &holder::Holder, key: &str| match holder.begin("w", key, 1) {
        Begun::Fresh(guard) => {
            let at = platform::Clock::now(machine.clock.as_ref());
            holder.charge(Charge { key: Some(guard), at, ..chat(1, 1, Durability::Disk) }).unwrap();
            "fresh"
        }
        Begun::Replay(_) | Begun::ReplayHold(_) => "replay",
        Begun::Full => "full",
        Begun::Conflict | Begun::InFlight => "odd",
    };
    holder.keys.expire(Some(Surely::exactly(platform::Clock::now(machine.clock.as_ref()))));
    let uses: Vec<_> = ["a", "b", "c", "a"].iter().map(|key| use_key(&holder, key)).collect();
    assert_eq!(uses, ["fresh", "fresh", "full", "replay"]);
    machine.clock.advance_ms(KEY_WINDOW_MS - 1);
    holder.keys.expire(Some(Surely::exactly(platform::Clock::now(machine.clock.as_ref()))));
    assert_eq!(use_key(&holder, "c"), "full");
    machine.clock.advance_ms(1);
    holder.keys.expire(Some(Surely::exactly(platform::Clock::now(machine.clock.as_ref()))));
    assert_eq!(holder.keys.bytes(), 0);
    assert_eq!(use_key(&holder, "c"), "fresh");
    machine.kill(holder);
    let holder = machine.start();
    assert_eq!(holder.keys.bytes(), 3 * (512 + 5), "what is on the disk counts until somebody says the time");
    assert_eq!(use_key(&holder, "d"), "full");
    holder.keys.expire(Some(Surely::exactly(platform::Clock::now(machine.clock.as_ref()))));
    assert_eq!(holder.keys.bytes(), 512 + 5);
    holder.run(holder.journal.attach(line, HandleNo(1), 1)).unwrap();
    assert_eq!(use_key(&holder, "d"), "fresh");
}

#[test]
fn a_power_failure_rounds_up_to_the_watermark_once() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let scope = Scope { list: Revision(300), feature: Feature::parse("chat").ok(), model: None };
    let wish = journal::OpenLine { scope: scope.clone(), ..open_wish(1, "w") };
    let number = holder.run(holder.journal.open_line(wish)).unwrap();
    let line = line("w", number.0);
    holder.run(holder.journal.install(line.clone(), vec![(shared(), credits(50))])).unwrap();
    holder.run(holder.journal.raise_watermark(line.clone(), credits(20))).unwrap();
    holder.charge(chat(1, 5, Durability::Disk)).unwrap();
    holder.charge(chat(1, 7, Durability::Local)).unwrap();
    machine.power_loss(holder, Unsynced::Lost);
    let holder = machine.start();
    assert!(!holder.recovered.exact);
    assert_eq!(holder.recovered.rounded, [(line.clone(), credits(15))]);
    let view = &holder.recovered.lines[0];
    assert_eq!((view.used, view.unattributed, view.watermark), (credits(5), credits(15), credits(20)));
    assert_eq!(view.scope, scope);
    machine.power_loss(holder, Unsynced::Lost);
    let holder = machine.start();
    assert_eq!(holder.recovered.rounded, []);
    assert_eq!(holder.recovered.lines[0].unattributed, credits(15), "not counted twice");
    let numbers = holder.run(holder.journal.close(line, credits(5))).unwrap();
    assert_eq!(numbers.returned(), credits(30));
}

/// Clients were told the numbers of charges that are lost: nobody else may be told them.
#[test]
fn a_power_failure_closes_lines_so_that_no_charge_is_numbered_twice() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(50))]);
    let told = holder.charge(chat(1, 3, Durability::Local)).unwrap();
    machine.power_loss(holder, Unsynced::Lost);
    let holder = machine.start();
    let view = &holder.recovered.lines[0];
    assert!(view.closed && view.line == line, "{view:?}");
    let next = holder.line_with(1, "w", &[(shared(), credits(50))]);
    assert!(next.number > line.number);
    let again = holder.charge(chat(1, 3, Durability::Local)).unwrap();
    assert_ne!((told.line, told.sequence), (again.line, again.sequence));
}

#[test]
fn a_rolled_back_disk_shows_however_many_records_its_opening_adds() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.registered("0");
    for handle in 1..=20 {
        holder.line_with(handle, "w", &[(shared(), credits(50))]);
    }
    let (image, then) = (machine.disk.image(), holder.journal.sequence());
    for _ in 0..3 {
        holder.charge(chat(1, 1, Durability::Disk)).unwrap();
    }
    let reported = holder.journal.sequence();
    machine.kill(holder);
    let found =
        |machine: &Machine| Journal::find_registration(machine.directory().as_ref(), DISK_ID).unwrap();
    assert_eq!(found(&machine), reported);
    let machine = Machine { disk: image, ..machine };
    let files = machine.directory().list().unwrap();
    assert_eq!((found(&machine), found(&machine)), (then, then), "looking at it changes nothing");
    assert_eq!(machine.directory().list().unwrap(), files);
    let holder = machine.start();
    assert_eq!(holder.journal.registration("0"), then);
    assert!(then < reported && reported < holder.recovered.sequence);
    // It ends before anybody has registered it; the next one finds the records it wrote.
    machine.kill(holder);
    assert_eq!(found(&machine), then);
    let holder = machine.start();
    assert_eq!(holder.journal.registration("0"), then);
}

#[test]
fn a_kill_forgets_nothing() {
    let machine = Machine::new(options());
    let mut holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(50))]);
    let (mut sequences, mut spent) = (BTreeSet::new(), 0);
    for _ in 0..5 {
        holder.charge(chat(1, 3, Durability::Local)).unwrap();
        spent += 3;
        let sequence = holder.journal.sequence();
        machine.kill(holder);
        holder = machine.start();
        assert!(holder.recovered.exact && holder.recovered.sequence > sequence);
        assert!(sequences.insert(holder.recovered.sequence));
        let view = holder.recovered.lines[0].clone();
        assert_eq!((view.used, view.unattributed), (credits(spent), credits(0)));
        assert_eq!(holder.charge(chat(1, 1, Durability::Local)), Err(Refused::NoLine), "nobody attached it");
        holder.run(holder.journal.attach(view.line, HandleNo(1), 1)).unwrap();
    }
    assert_eq!(machine.segments().len(), 1, "a crash loop leaks nothing");
}

#[test]
fn more_than_there_is_stops_the_journal() {
    for give_back in [true, false] {
        let machine = Machine::new(options());
        let holder = machine.start();
        let line = holder.line_with(1, "w", &[(shared(), credits(10))]);
        let refused = if give_back {
            holder.run(holder.journal.give_back(line, credits(11), credits(0))).unwrap_err()
        } else {
            holder.charge(chat(1, 11, Durability::Local)).unwrap_err()
        };
        assert!(matches!(refused, Refused::Stopped { .. }), "{refused}");
        assert!(matches!(holder.journal.reserve(), Err(Refused::Stopped { .. })));
        machine.kill(holder);
        assert!(!machine.start().recovered.exact, "nobody knows what the mistake spent");
    }
}
