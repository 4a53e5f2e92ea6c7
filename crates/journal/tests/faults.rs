//! What the journal does when its disk fails, fills up or rots. Not here: what is true after random histories.

mod holder;

use holder::*;
use journal::{Begun, Charge, JournalFault, Refused};
use platform::{Clock, Surely, Unsynced};
use std::path::Path;
use types::{Durability, Timestamp};

const ROUNDS: u64 = 6_000;

fn spend(holder: &holder::Holder, times: u64) {
    for _ in 0..times {
        holder.charge(chat(1, 1, Durability::Local)).unwrap();
    }
}

#[test]
fn segments_follow_each_other_and_old_ones_go() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100_000))]);
    let first = machine.segments();
    spend(&holder, ROUNDS);
    assert!(holder.journal.sequence() > ROUNDS / 2, "a new segment is durable");
    let last = machine.segments();
    assert_eq!(last.len(), 1);
    assert!(last[0] > first[0]);
    machine.kill(holder);
    let holder = machine.start();
    assert!(holder.recovered.exact);
    assert_eq!(holder.recovered.lines[0].used, credits(ROUNDS));
}

#[test]
fn living_keys_keep_their_segment_or_are_carried() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100_000))]);
    holder.keys.expire(Some(Surely::exactly(machine.clock.now())));
    let keyed = |key: &str| {
        let Begun::Fresh(guard) = holder.begin("w", key, 1) else { panic!("{key} is new") };
        let shadowed = types::Shadowed { code: types::WouldRefuse::Exhausted, would_have_cost: credits(9) };
        let (amount, units) = if key == "lonely" { (0, shadowed.units()) } else { (2, Vec::new()) };
        let charge = chat(1, amount, Durability::Local);
        holder.charge(Charge { key: Some(guard), at: machine.clock.now(), units, ..charge }).unwrap()
    };
    // One key in a segment of plain charges is carried; segments full of keys stay.
    let lonely = keyed("lonely");
    let many: Vec<_> = (0..1_600).map(|n| keyed(&format!("k{n}"))).collect();
    spend(&holder, ROUNDS);
    let held = machine.segments().len();
    assert!((2..=5).contains(&held), "{held} segments");
    assert!(machine.disk.used_bytes() < 4 * 1_600 * 600 + 2 * 96 * 1024, "{}", machine.disk.used_bytes());

    machine.power_loss(holder, Unsynced::Lost);
    let holder = machine.start();
    let replayed = |key: &str| match holder.begin("w", key, 1) {
        Begun::Replay(again) => {
            Some((again.line, again.sequence, again.amount, again.sources.clone(), again.shadow))
        }
        _ => None,
    };
    let told = |c: &journal::Charged| Some((c.line, c.sequence, c.amount, c.sources.clone(), c.shadow));
    assert!(lonely.shadow.is_some());
    assert_eq!(replayed("lonely"), told(&lonely));
    for (n, charged) in many.iter().enumerate() {
        assert_eq!(replayed(&format!("k{n}")), told(charged), "k{n}");
    }

    machine.clock.advance_ms(KEY_WINDOW_MS);
    machine.kill(holder);
    let holder = machine.start();
    assert!(machine.segments().len() > 1, "nobody has said that the window is over");
    holder.keys.expire(Some(Surely::exactly(machine.clock.now())));
    assert_eq!(holder.keys.bytes(), 0);
    holder.line_with(1, "w", &[(shared(), credits(100_000))]);
    spend(&holder, ROUNDS);
    assert_eq!(machine.segments().len(), 1, "keys expired, segments go");
}

/// A machine whose clock is a day fast for a while: while it is, the journal is opened, and goes on in new segments.
#[test]
fn no_clock_of_the_machine_makes_a_key_charge_twice() {
    let machine = Machine::new(options());
    let mut holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(100_000))]);
    let Begun::Fresh(guard) = holder.begin("w", "k", 1) else { panic!("it is new") };
    let truth = machine.clock.now();
    let told = Charge { key: Some(guard), at: truth, ..chat(1, 2, Durability::Disk) };
    let told = holder.charge(told).unwrap().sequence;
    let again = |holder: &Holder, when: &str| match holder.begin("w", "k", 1) {
        Begun::Replay(again) => assert_eq!(again.sequence, told, "{when}"),
        _ => panic!("{when}: it is forgotten"),
    };
    for turn in 0..2 {
        machine.clock.set_wall(truth.plus_ms(25 * i64::from(KEY_WINDOW_MS)));
        machine.kill(holder);
        holder = machine.start();
        again(&holder, "opened with a fast clock");
        holder.run(holder.journal.attach(line.clone(), journal::HandleNo(1), 1)).unwrap();
        let before = machine.segments();
        spend(&holder, ROUNDS);
        assert_ne!(machine.segments(), before, "a new segment with a fast clock");
        again(&holder, "in a new segment");
        machine.clock.set_wall(truth.plus_ms(turn));
        holder.keys.expire(Some(Surely::exactly(machine.clock.now())));
        again(&holder, "the clock is right again");
        machine.kill(holder);
        holder = machine.start();
        again(&holder, "opened with the right clock");
    }
}

/// By a clock that says `at`.
fn use_key(holder: &Holder, at: Timestamp) {
    let Begun::Fresh(guard) = holder.begin("w", "k", 1) else { panic!("it is new") };
    holder.charge(Charge { key: Some(guard), at, ..chat(1, 2, Durability::Disk) }).unwrap();
}

#[test]
fn a_slow_clock_of_most_cuts_no_window_short_while_the_process_runs() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100))]);
    let truth = machine.clock.now();
    // All that was heard until now is slow, and so is what is known to have passed.
    let slow = truth.plus_ms(-25 * i64::from(KEY_WINDOW_MS));
    holder.keys.expire(Some(Surely::exactly(slow)));
    use_key(&holder, slow);
    holder.keys.expire(Some(Surely::exactly(truth)));
    machine.clock.advance_ms(KEY_WINDOW_MS - 1);
    holder.keys.expire(Some(Surely::exactly(machine.clock.now())));
    assert!(matches!(holder.begin("w", "k", 1), Begun::Replay(_)));
    machine.clock.advance_ms(1);
    holder.keys.expire(Some(Surely::exactly(machine.clock.now())));
    assert!(matches!(holder.begin("w", "k", 1), Begun::Fresh(_)));
}

/// A node that starts with a slow clock and has heard nobody: its date would be wrong, so it has none.
#[test]
fn what_is_used_before_the_time_is_known_is_kept_for_a_window_after_each_start() {
    let machine = Machine::new(options());
    let mut holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100))]);
    let truth = machine.clock.now();
    let at = truth.plus_ms(-25 * i64::from(KEY_WINDOW_MS));
    use_key(&holder, at);
    for _start in 0..2 {
        machine.kill(holder);
        holder = machine.start();
        machine.clock.advance_ms(KEY_WINDOW_MS - 1);
        for now in [None, Some(Surely::exactly(truth.plus_ms(1_000 * i64::from(KEY_WINDOW_MS))))] {
            holder.keys.expire(now);
            assert!(matches!(holder.begin("w", "k", 1), Begun::Replay(_)));
        }
    }
    machine.clock.advance_ms(1);
    holder.keys.expire(None);
    assert!(matches!(holder.begin("w", "k", 1), Begun::Fresh(_)));
}

/// A clock that was a year fast dated it: no year is waited for.
#[test]
fn what_a_fast_clock_has_dated_is_kept_for_a_window_after_the_start() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100))]);
    let truth = machine.clock.now();
    let fast = truth.plus_ms(1_000 * i64::from(KEY_WINDOW_MS));
    holder.keys.expire(Some(Surely { from: truth, to: fast }));
    use_key(&holder, truth);
    machine.kill(holder);
    let holder = machine.start();
    machine.clock.advance_ms(KEY_WINDOW_MS - 1);
    holder.keys.expire(Some(Surely { from: truth, to: fast }));
    assert!(matches!(holder.begin("w", "k", 1), Begun::Replay(_)));
    machine.clock.advance_ms(1);
    holder.keys.expire(Some(Surely { from: truth, to: fast }));
    assert!(matches!(holder.begin("w", "k", 1), Begun::Fresh(_)));
}

/// Of three clocks one is slow and one is not heard: nobody knows which of the two that are left is right.
#[test]
fn a_key_is_dated_by_the_latest_time_it_may_be() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100))]);
    let truth = machine.clock.now();
    let slow = truth.plus_ms(-25 * i64::from(KEY_WINDOW_MS));
    holder.keys.expire(Some(Surely { from: slow, to: truth }));
    use_key(&holder, slow);
    machine.kill(holder);
    let holder = machine.start();
    holder.keys.expire(Some(Surely::exactly(truth.plus_ms(i64::from(KEY_WINDOW_MS) - 1))));
    assert!(matches!(holder.begin("w", "k", 1), Begun::Replay(_)));
    holder.keys.expire(Some(Surely::exactly(truth.plus_ms(i64::from(KEY_WINDOW_MS)))));
    assert!(matches!(holder.begin("w", "k", 1), Begun::Fresh(_)));
}

/// One that is told a year too late, once, dates nothing that comes after it.
#[test]
fn a_clock_that_was_fast_for_a_moment_keeps_later_keys_no_longer() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100))]);
    let truth = machine.clock.now();
    holder.keys.expire(Some(Surely::exactly(truth.plus_ms(1_000 * i64::from(KEY_WINDOW_MS)))));
    holder.keys.expire(Some(Surely::exactly(truth)));
    use_key(&holder, truth);
    machine.clock.advance_ms(KEY_WINDOW_MS);
    holder.keys.expire(Some(Surely::exactly(machine.clock.now())));
    assert_eq!(holder.keys.bytes(), 0);
}

/// What was used by a clock that is a day slow, is kept for a window from what is known to have passed.
#[test]
fn a_slow_clock_cuts_no_window_short() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100))]);
    let truth = machine.clock.now();
    holder.keys.expire(Some(Surely::exactly(truth)));
    let Begun::Fresh(guard) = holder.begin("w", "k", 1) else { panic!("it is new") };
    let at = truth.plus_ms(-25 * i64::from(KEY_WINDOW_MS));
    holder.charge(Charge { key: Some(guard), at, ..chat(1, 2, Durability::Disk) }).unwrap();
    holder.keys.expire(Some(Surely::exactly(truth)));
    assert!(matches!(holder.begin("w", "k", 1), Begun::Replay(_)));
    machine.kill(holder);
    let holder = machine.start();
    holder.keys.expire(Some(Surely::exactly(truth.plus_ms(i64::from(KEY_WINDOW_MS) - 1))));
    assert!(matches!(holder.begin("w", "k", 1), Begun::Replay(_)));
    holder.keys.expire(Some(Surely::exactly(truth.plus_ms(i64::from(KEY_WINDOW_MS)))));
    assert!(matches!(holder.begin("w", "k", 1), Begun::Fresh(_)));
}

#[test]
fn a_full_disk_takes_returns_and_no_charges_until_there_is_room() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(100_000))]);
    machine.disk.set_capacity_bytes(Some(machine.disk.used_bytes()));
    let mut spent = 0;
    let refused = loop {
        match holder.charge(chat(1, 1, Durability::Local)) {
            Ok(_) => spent += 1,
            Err(why) => break why,
        }
    };
    assert!(matches!(refused, Refused::StorageFull { .. }), "{refused}");
    assert!(spent > 1_000, "{spent}");

    // Permits that were given before are refused at the tail, without effect.
    holder.run(holder.journal.numbers(vec![line.clone()], true)).unwrap();
    let numbers = holder.run(holder.journal.give_back(line.clone(), credits(7), credits(0))).unwrap();
    assert_eq!((numbers.used(), numbers.returned()), (credits(spent), credits(7)));
    assert!(matches!(holder.journal.reserve(), Err(Refused::StorageFull { .. })));

    machine.disk.set_capacity_bytes(None);
    // The first refusal after that made the writer look.
    let _refused = holder.journal.reserve();
    holder.run(holder.journal.lines()).unwrap();
    holder.charge(chat(1, 1, Durability::Disk)).unwrap();
    let numbers = holder.run(holder.journal.close(line, credits(spent + 1))).unwrap();
    assert_eq!(numbers.used(), credits(spent + 1));
}

#[test]
fn a_charge_let_in_before_the_disk_was_full_is_refused_at_the_tail_and_comes_back_with_the_close() {
    let machine = Machine::new(journal::Options { queue_max: 4_096, segment_bytes: 68 * 1024, ..options() });
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(100_000))]);
    machine.disk.set_capacity_bytes(Some(machine.disk.used_bytes()));
    let (mut spent, mut refused) = (0, 0);
    holder.run(async {
        let permits: Vec<_> = (0..4_096).map(|_| holder.journal.reserve().unwrap()).collect();
        let charging: Vec<_> =
            permits.into_iter().map(|permit| permit.charge(chat(1, 1, Durability::Local))).collect();
        for one in charging {
            match one.await {
                Ok(_) => spent += 1,
                Err(Refused::StorageFull { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
    });
    assert!(spent > 1_000 && refused > 0, "{spent} {refused}");
    let numbers = holder.run(holder.journal.close(line, credits(4_096))).unwrap();
    assert_eq!(numbers.used(), credits(spent));
    assert_eq!(numbers.returned(), credits(100_000 - spent));
    machine.power_loss(holder, Unsynced::Lost);
    machine.disk.set_capacity_bytes(None);
    let holder = machine.start();
    assert!(holder.recovered.lines[0].closed, "the tail is on the disk");
}

#[test]
fn a_failed_sync_or_write_is_not_tried_again() {
    for (syncs, writes) in [(1, 0), (0, 1)] {
        let machine = Machine::new(options());
        let holder = machine.start();
        let line = holder.line_with(1, "w", &[(shared(), credits(1_000))]);
        let Begun::Fresh(guard) = holder.begin("w", "a", 1) else { panic!("a new key") };
        let charge = Charge { key: Some(guard), at: machine.clock.now(), ..chat(1, 5, Durability::Local) };
        holder.charge(charge).unwrap();
        let before = machine.segments();
        machine.disk.fail_syncs(syncs);
        machine.disk.fail_writes(writes);
        let Begun::Fresh(guard) = holder.begin("w", "b", 1) else { panic!("a new key") };
        let charge = Charge { key: Some(guard), at: machine.clock.now(), ..chat(1, 6, Durability::Disk) };
        holder.charge(charge).unwrap();
        assert_ne!(machine.segments().last(), before.last(), "a new segment has taken over");
        holder.charge(chat(1, 1, Durability::Local)).unwrap();
        holder.run(holder.journal.raise_watermark(line, credits(1_000))).unwrap();

        machine.power_loss(holder, Unsynced::Lost);
        let holder = machine.start();
        assert!(holder.recovered.lines[0].used >= credits(11), "both are on the disk");
        assert!(
            matches!(holder.begin("w", "a", 1), Begun::Replay(_)),
            "the key was not synced when it failed"
        );
        assert!(matches!(holder.begin("w", "b", 1), Begun::Replay(_)));
    }
}

#[test]
fn a_journal_that_cannot_go_on_stops_and_is_not_trusted_afterwards() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(1_000))]);
    holder.charge(chat(1, 5, Durability::Local)).unwrap();
    machine.disk.fail_syncs(2);
    let refused = holder.charge(chat(1, 6, Durability::Disk)).unwrap_err();
    assert!(matches!(refused, Refused::Stopped { .. }));
    assert!(matches!(holder.journal.reserve(), Err(Refused::Stopped { .. })));
    assert!(matches!(holder.run(holder.journal.lines()), Err(Refused::Stopped { .. })));
    assert!(matches!(holder.run(holder.journal.close(line, credits(11))), Err(Refused::Stopped { .. })));
    machine.kill(holder);
    let holder = machine.start();
    assert!(!holder.recovered.exact, "the page cache may have dropped what could not be synced");
    assert_eq!(
        holder.recovered.lines[0].used.micros() + holder.recovered.lines[0].unattributed.micros(),
        1_000
    );
    machine.kill(holder);
    assert!(machine.start().recovered.exact);
}

/// Every single bit of what is durable: found out, or harmless.
#[test]
fn damage_in_the_middle_refuses_to_open() {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(1_000))]);
    for _ in 0..3 {
        holder.charge(chat(1, 5, Durability::Disk)).unwrap();
        holder.charge(chat(1, 5, Durability::Local)).unwrap();
    }
    holder.run(holder.journal.sync()).unwrap();
    holder.charge(chat(1, 5, Durability::Local)).unwrap();
    machine.power_loss(holder, Unsynced::FirstBytes(18 + 9));
    let path = machine.segments().pop().unwrap();
    let content = machine.disk.content(&path).unwrap();
    let written = content.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // Behind the last sync stand its mark and the torn record.
    let synced = written - 9 - 18;
    for byte in 0..written {
        machine.disk.flip_bit(&path, byte, (byte % 8) as u8);
        let opened = machine.try_start();
        if byte < synced {
            let damaged = matches!(&opened, Err(JournalFault::Damaged { file, offset, .. })
                if Path::new(file).file_name() == path.file_name() && *offset <= byte as u64);
            assert!(damaged, "byte {byte} of {synced}: {:?}", opened.map(|holder| holder.recovered));
        } else {
            let holder = opened.unwrap_or_else(|fault| panic!("byte {byte} was never promised: {fault}"));
            let view = &holder.recovered.lines[0];
            assert_eq!((view.used.micros(), view.unattributed.micros()), (30, 970));
            assert_eq!(view.line, line);
            machine.kill(holder);
            // Back to before that start.
            machine.disk.remove_all_but(&path, &content);
            continue;
        }
        machine.disk.flip_bit(&path, byte, (byte % 8) as u8);
    }
}

#[test]
fn a_torn_tail_is_not_trusted_even_in_the_same_boot() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(1_000))]);
    spend(&holder, 2);
    machine.kill(holder);
    let path = machine.segments().pop().unwrap();
    let content = machine.disk.content(&path).unwrap();
    let last = content.iter().rposition(|byte| *byte != 0).unwrap();
    machine.disk.flip_bit(&path, last, 0);
    let holder = machine.start();
    assert!(!holder.recovered.exact);
    let view = &holder.recovered.lines[0];
    assert_eq!((view.used, view.unattributed), (credits(1), credits(999)));
}

#[test]
fn damage_in_an_older_segment_that_has_keys_refuses_to_open() {
    let machine = Machine::new(options());
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(100_000))]);
    for n in 0..1_600 {
        let Begun::Fresh(guard) = holder.begin("w", &format!("k{n}"), 1) else { panic!("a new key") };
        let charge = Charge { key: Some(guard), at: machine.clock.now(), ..chat(1, 2, Durability::Local) };
        holder.charge(charge).unwrap();
    }
    machine.kill(holder);
    let older = machine.segments().remove(0);
    let bytes = machine.disk.content(&older).unwrap().len();
    for byte in [0, bytes / 2, bytes - 1] {
        machine.disk.flip_bit(&older, byte, 3);
        assert!(matches!(machine.try_start().err(), Some(JournalFault::Damaged { .. })), "byte {byte}");
        machine.disk.flip_bit(&older, byte, 3);
    }
    machine.start();
}

#[test]
fn another_disks_journal_is_refused() {
    let machine = Machine::new(options());
    machine.kill(machine.start());
    let directory = platform::Disk::directory(&machine.disk, Path::new(DATA)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let opening = journal::Journal::open(options(), directory, types::DiskId(8), machine.clock.clone());
    assert!(matches!(runtime.block_on(opening), Err(JournalFault::OtherDisk { .. })));
    let short = journal::Options { segment_bytes: 4 * 1024 + 16 * 1024 - 1, ..options() };
    let machine = Machine::new(short);
    assert!(matches!(machine.try_start().err(), Some(JournalFault::SegmentTooShort { .. })));
}
