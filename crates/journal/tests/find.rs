//! Charges that are looked up: in which segment ever they stand, as long as it is there. Not here: who asks (`quota`).

mod holder;

use holder::*;
use journal::{LineKey, Looked, SettleLate, Wanted};
use platform::Unsynced;
use types::{Durability, HoldNumber, LineNumber, Source};

fn wanted(line: &LineKey, sequence: u64) -> Wanted {
    Wanted::Charge { line: line.clone(), sequence }
}

fn hold(hold: HoldNumber) -> Wanted {
    Wanted::Hold { workspace: workspace("w"), hold }
}

impl Holder {
    fn find(&self, wanted: Wanted) -> Looked {
        self.run(self.journal.find(wanted)).unwrap()
    }

    /// By line, source and amount.
    fn parts(&self, wanted: Wanted) -> Vec<(u64, Source, u64)> {
        let Looked::Found(found) = self.find(wanted) else { panic!("it is not found") };
        assert_eq!((found.user, found.meter.feature.as_str()), (user("ann"), "chat"));
        found.parts.iter().map(|p| (p.line.0, p.backing.source, p.amount.micros())).collect()
    }
}

fn keeping(past_bytes_max: u64) -> Machine {
    Machine::new(journal::Options { past_bytes_max, segment_bytes: 24 * 1024, ..options() })
}

#[test]
fn a_charge_is_found_with_what_it_drew_until_its_segment_goes() {
    let machine = keeping(40 * 1024);
    let holder = machine.start();
    let drawn = [(backing(Source::Allocation, 2), credits(3)), (shared(), credits(100_000))];
    let line = holder.line_with(1, "w", &drawn);
    let first = holder.charge(chat(1, 5, Durability::Local)).unwrap();
    let own_and_shared = vec![(1, Source::Allocation, 3), (1, Source::Shared, 2)];
    assert_eq!(holder.parts(wanted(&line, first.sequence)), own_and_shared);
    assert_eq!(holder.find(wanted(&line, 2)), Looked::Unknown, "not yet");
    assert_eq!(holder.find(wanted(&LineKey { number: LineNumber(2), ..line.clone() }, 1)), Looked::Unknown);
    assert_eq!(
        holder.find(wanted(&LineKey { workspace: workspace("x"), ..line.clone() }, 1)),
        Looked::Unknown
    );

    // Closed and forgotten, in the next segment and after a restart.
    holder.run(holder.journal.close(line.clone(), credits(5))).unwrap();
    holder.run(holder.journal.forget(line.clone())).unwrap();
    assert_eq!(holder.find(wanted(&line, 2)), Looked::Unknown, "its last one was the first");
    machine.kill(holder);
    let holder = machine.start();
    assert_eq!(holder.parts(wanted(&line, 1)), own_and_shared);
    let other = holder.line_with(1, "w", &[(shared(), credits(100_000))]);
    let charges = |n: u64| (0..n).for_each(|_| drop(holder.charge(chat(1, 1, Durability::Local)).unwrap()));
    let segments = machine.segments().len();
    while machine.segments().len() < segments + 1 {
        charges(50);
    }
    let last = holder.charge(chat(1, 7, Durability::Local)).unwrap().sequence;
    for (sequence, amount) in [(1, 1), (last / 2, 1), (last, 7)] {
        assert_eq!(holder.parts(wanted(&other, sequence)), [(2, Source::Shared, amount)], "{sequence}");
    }
    assert_eq!(holder.parts(wanted(&line, 1)), own_and_shared, "two segments back");

    // What is kept is bounded, and the oldest go first.
    let mut rounds = 0;
    while holder.find(wanted(&line, 1)) != Looked::Gone {
        charges(200);
        rounds += 1;
        assert!(rounds < 100, "past segments never go: {:?}", machine.segments());
    }
    let newest = holder.charge(chat(1, 9, Durability::Local)).unwrap().sequence;
    assert_eq!(holder.parts(wanted(&other, newest)), [(2, Source::Shared, 9)]);
    assert!(machine.segments().len() <= 4, "{:?}", machine.segments());
}

#[test]
fn a_journal_that_keeps_no_past_finds_what_its_segment_has() {
    let machine = keeping(0);
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(100))]);
    holder.charge(chat(1, 5, Durability::Local)).unwrap();
    assert_eq!(holder.parts(wanted(&line, 1)), [(1, Source::Shared, 5)]);
    machine.kill(holder);
    let holder = machine.start();
    assert_eq!(holder.find(wanted(&line, 1)), Looked::Gone);
}

#[test]
fn what_a_power_failure_took_is_lost_and_what_was_synced_is_found() {
    let machine = keeping(1 << 20);
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(100))]);
    holder.charge(chat(1, 5, Durability::Disk)).unwrap();
    holder.charge(chat(1, 6, Durability::Local)).unwrap();
    machine.power_loss(holder, Unsynced::Lost);
    let holder = machine.start();
    assert_eq!(holder.parts(wanted(&line, 1)), [(1, Source::Shared, 5)]);
    assert_eq!(holder.find(wanted(&line, 2)), Looked::Lost);
}

#[test]
fn a_hold_is_found_by_its_end_and_by_what_was_settled_late() {
    let machine = keeping(1 << 20);
    let holder = machine.start();
    holder.line_with(1, "w", &[(shared(), credits(1_000))]);
    let settled = holder.hold(machine.wish(1, 40)).unwrap().number;
    assert_eq!(holder.find(hold(settled)), Looked::Open);
    holder.end(settled, machine.settle(15)).unwrap();
    let released = holder.hold(machine.wish(1, 10)).unwrap().number;
    holder.end(released, machine.release()).unwrap();
    assert_eq!(holder.find(hold(released)), Looked::Unknown, "nothing was charged for it");
    let expired = holder.hold(machine.wish(1, 30)).unwrap().number;
    holder.extend(machine.more(expired, None, 30, 4)).unwrap();
    machine.clock.advance_ms(TTL_MS);
    holder.expire(&machine);
    assert_eq!(holder.parts(hold(expired)), [(1, Source::Shared, 4)]);
    machine.kill(holder);
    let holder = machine.start();
    assert_eq!(holder.parts(hold(settled)), [(1, Source::Shared, 15)], "in the past");
    assert_eq!(holder.parts(hold(expired)), [(1, Source::Shared, 4)]);
    let line = line("w", 1);
    holder.run(holder.journal.attach(line, journal::HandleNo(1), 1)).unwrap();
    let day = platform::Clock::now(&*machine.clock).day();
    holder.settle_late(SettleLate { hold: expired, spend: spend_of(1, 6), units: Vec::new(), day }).unwrap();
    let both = vec![(1, Source::Shared, 6), (1, Source::Shared, 4)];
    assert_eq!(holder.parts(hold(expired)), both);
    machine.kill(holder);
    let holder = machine.start();
    assert_eq!(holder.parts(hold(expired)), both, "two segments back and one");
    assert_eq!(holder.find(hold(HoldNumber(9_999))), Looked::Unknown);
    assert_eq!(holder.find(Wanted::Hold { workspace: workspace("x"), hold: settled }), Looked::Unknown);
}
