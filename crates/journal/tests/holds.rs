//! Holds on a simulated disk: what each operation means, at its bounds and one past them. Not here: random histories with
//! crashes (`hold_histories`), the line's other records (`scripts`).

mod holder;

use holder::*;
use journal::{Begun, EndOfHold, Ending, ExtendHold, OpenHold, Refused, Settle, SettleLate};
use platform::{Clock, Unsynced};
use types::{Credits, Durability, HoldNumber, IdempotencyKey, Shadowed, Source, Unit, WouldRefuse};

/// How a hold that is over ended, and what it was charged.
fn over<T: std::fmt::Debug>(answer: Result<T, Refused>) -> (EndOfHold, u64) {
    match answer {
        Err(Refused::HoldOver(over)) => (over.end, over.charged.micros()),
        other => panic!("{other:?}"),
    }
}

fn started(drawn: u64) -> (Machine, holder::Holder, journal::LineKey) {
    let machine = Machine::new(options());
    let holder = machine.start();
    let line = holder.line_with(1, "w", &[(shared(), credits(drawn))]);
    (machine, holder, line)
}

#[test]
fn a_hold_is_settled_once_and_what_it_did_not_need_is_above_the_watermark() {
    let (machine, holder, line) = started(100);
    let held = holder.hold(machine.wish(1, 40)).unwrap();
    assert_eq!((held.amount, held.expires_at.since_ms(machine.clock.now())), (credits(40), 60_000));
    let view = holder.run(holder.journal.line(line.clone())).unwrap();
    assert_eq!((view.held, view.used, view.watermark), (credits(40), Credits::ZERO, credits(100)));
    assert_eq!(holder.journal.open_holds(), 1);

    let ended = holder.end(held.number, machine.settle(15)).unwrap();
    assert_eq!(told(&ended), (EndOfHold::Settled, 15, 25));
    assert_eq!(ended.over.sources, [(Source::Shared, credits(15))]);
    let view = holder.run(holder.journal.line(line.clone())).unwrap();
    assert_eq!((view.held, view.used, view.watermark), (Credits::ZERO, credits(15), credits(75)));
    // What was on the word is still there: 60 were never spent on it.
    assert_eq!(view.arrived, credits(40), "so much was spent on the word, whatever became of it");
    assert_eq!(over(holder.end(held.number, machine.settle(15))), (EndOfHold::Settled, 15));
    assert_eq!(over(holder.end(held.number, machine.settle(40))), (EndOfHold::Settled, 15));
    assert_eq!(over(holder.end(held.number, machine.release())), (EndOfHold::Settled, 15));
    assert_eq!(over(holder.extend(machine.more(held.number, None, 40, 40))), (EndOfHold::Settled, 15));
    assert_eq!(holder.end(HoldNumber(999), machine.release()), Err(Refused::NoHold));
    assert_eq!(holder.journal.open_holds(), 0);
    let numbers = holder.run(holder.journal.close(line, credits(40))).unwrap();
    assert!(numbers.closed);
    assert_eq!((numbers.used(), numbers.returned()), (credits(15), credits(85)));
    assert_eq!(numbers.meters[0].1.calls, 1, "a settle is a call");
}

#[test]
fn settling_at_the_bounds_of_a_hold() {
    let (machine, holder, _) = started(100);
    let held = |amount| holder.hold(machine.wish(1, amount)).unwrap().number;
    let hold = held(10);
    assert_eq!(holder.end(hold, machine.settle(11)), Err(Refused::BeyondHold { held: credits(10) }));
    assert_eq!(told(&holder.end(hold, machine.settle(10)).unwrap()), (EndOfHold::Settled, 10, 0));
    let hold = held(10);
    let (units, day) = (Vec::new(), machine.clock.now().day());
    let capped = Ending::Settle(Settle { amount: credits(11), cap: true, shadow: None, units, day });
    assert_eq!(told(&holder.end(hold, capped).unwrap()), (EndOfHold::Settled, 10, 0));
    let hold = held(10);
    assert_eq!(
        holder.extend(machine.more(hold, None, 10, 11)),
        Err(Refused::BeyondHold { held: credits(10) })
    );
    let view = holder.extend(machine.more(hold, None, 0, 4)).unwrap();
    assert_eq!((view.facts.held, view.confirmed), (credits(10), credits(4)), "a hold never shrinks");
    let view = holder.extend(machine.more(hold, None, 0, 3)).unwrap();
    assert_eq!(view.confirmed, credits(4), "nor what is confirmed of it");
    assert_eq!(holder.end(hold, machine.settle(3)), Err(Refused::BelowConfirmed { confirmed: credits(4) }));
    assert_eq!(told(&holder.end(hold, machine.settle(4)).unwrap()), (EndOfHold::Settled, 4, 6));
    let hold = held(10);
    assert_eq!(told(&holder.end(hold, machine.settle(0)).unwrap()), (EndOfHold::Settled, 0, 10));
    let hold = held(10);
    holder.extend(machine.more(hold, None, 10, 10)).unwrap();
    assert_eq!(told(&holder.end(hold, machine.release()).unwrap()), (EndOfHold::Released, 10, 0));
}

#[test]
fn an_extension_is_absolute_and_of_two_at_once_one_is_enough() {
    let (machine, holder, line) = started(100);
    let hold = holder.hold(machine.wish(1, 10)).unwrap().number;
    for freed in [0, 5] {
        let view = holder.extend(machine.more(hold, Some(spend_of(1, 5)), 15, 10)).unwrap();
        assert_eq!((view.facts.held, view.confirmed, view.freed), (credits(15), credits(10), credits(freed)));
        // What the second had spent in vain is above the watermark.
        let view = holder.run(holder.journal.line(line.clone())).unwrap();
        assert_eq!((view.watermark, view.freed), (credits(100 - freed), credits(freed)));
    }
    // And what a refused one had.
    let beyond = holder.extend(machine.more(hold, Some(spend_of(1, 2)), 17, 18));
    assert_eq!(beyond, Err(Refused::BeyondHold { held: credits(17) }));
    let view = holder.run(holder.journal.line(line.clone())).unwrap();
    assert_eq!((view.watermark, view.freed, view.arrived), (credits(93), credits(7), credits(22)));
    assert_eq!(told(&holder.end(hold, machine.settle(12)).unwrap()), (EndOfHold::Settled, 12, 3));
    let numbers = holder.run(holder.journal.close(line, credits(22))).unwrap();
    assert_eq!((numbers.closed, numbers.used(), numbers.returned()), (true, credits(12), credits(88)));
}

/// Its answer was on the way when the line was taken away.
#[test]
fn what_was_drawn_for_a_line_that_ends_goes_back_at_once() {
    let (machine, holder, line) = started(100);
    let hold = holder.hold(machine.wish(1, 40)).unwrap().number;
    holder.run(holder.journal.close(line.clone(), credits(40))).unwrap();
    for drawn in [130, 130, 120] {
        holder.run(holder.journal.install(line.clone(), vec![(shared(), credits(drawn))])).unwrap();
        let view = holder.run(holder.journal.line(line.clone())).unwrap();
        let numbers = (view.drawn, view.returned, view.held, view.watermark);
        assert_eq!(numbers, (credits(130), credits(90), credits(40), credits(40)), "{drawn}");
    }
    assert!(holder.end(hold, machine.settle(40)).unwrap().closed);
    let late = holder.run(holder.journal.install(line.clone(), vec![(shared(), credits(140))]));
    assert_eq!(late, Err(Refused::LineClosed(line)));
}

#[test]
fn a_hold_expires_at_its_time_and_not_before_and_may_be_settled_late_once() {
    let (machine, holder, line) = started(100);
    let hold = holder.hold(machine.wish(1, 40)).unwrap().number;
    machine.clock.advance_ms(TTL_MS - 1);
    assert_eq!(holder.expire(&machine), []);
    // It lasts anew.
    holder.extend(machine.more(hold, None, 40, 7)).unwrap();
    machine.clock.advance_ms(TTL_MS - 1);
    assert_eq!(holder.expire(&machine), []);
    machine.clock.advance_ms(1);
    let ended = holder.expire(&machine);
    assert_eq!(ended.iter().map(told).collect::<Vec<_>>(), [(EndOfHold::Expired, 7, 33)]);
    assert_eq!(over(holder.end(hold, machine.settle(20))), (EndOfHold::Expired, 7));
    let day = machine.clock.now().day();
    let late = |amount| SettleLate { hold, spend: spend_of(1, amount), units: Vec::new(), day };
    assert_eq!(holder.settle_late(late(34)), Err(Refused::BeyondHold { held: credits(40) }));
    let ended = holder.settle_late(late(13)).unwrap();
    assert_eq!(told(&ended), (EndOfHold::SettledLate, 20, 0));
    assert_eq!(over(holder.settle_late(late(1))), (EndOfHold::SettledLate, 20));
    let numbers = holder.run(holder.journal.close(line, credits(40 + 34 + 13 + 1))).unwrap();
    assert_eq!((numbers.closed, numbers.used(), numbers.returned()), (true, credits(20), credits(80)));
}

#[test]
fn whoever_comes_when_the_time_is_up_finds_it_expired_though_nobody_has_looked() {
    let (machine, holder, _) = started(100);
    let hold = holder.hold(machine.wish(1, 40)).unwrap().number;
    holder.extend(machine.more(hold, None, 40, 5)).unwrap();
    machine.clock.advance_ms(TTL_MS);
    assert_eq!(over(holder.end(hold, machine.settle(20))), (EndOfHold::Expired, 5));
    assert_eq!(over(holder.look(hold)), (EndOfHold::Expired, 5));
    let other = holder.hold(machine.wish(1, 3)).unwrap().number;
    machine.clock.advance_ms(TTL_MS);
    assert_eq!(over(holder.extend(machine.more(other, None, 3, 3))), (EndOfHold::Expired, 0));
}

#[test]
fn over_a_restart_a_hold_lasts_as_long_as_its_wall_says_and_never_longer_than_anew() {
    for (wall_ms, due_ms) in
        [(0_i64, TTL_MS), (20_000, TTL_MS - 20_000), (-86_400_000, TTL_MS), (86_400_000, 0)]
    {
        let (machine, holder, _) = started(100);
        let hold = holder.hold(machine.wish(1, 40)).unwrap().number;
        machine.power_loss(holder, Unsynced::Lost);
        machine.clock.set_wall(machine.clock.now().plus_ms(wall_ms));
        let holder = machine.start();
        if let Some(before) = due_ms.checked_sub(1) {
            machine.clock.advance_ms(before);
            assert_eq!(holder.expire(&machine), [], "{wall_ms}");
            machine.clock.advance_ms(1);
        }
        let ended = holder.expire(&machine);
        assert_eq!(ended.iter().map(|e| e.over.facts.number).collect::<Vec<_>>(), [hold], "{wall_ms}");
    }
}

#[test]
fn a_line_with_an_open_hold_ends_and_closes_with_it() {
    for crash in [None, Some(Unsynced::Lost)] {
        let (machine, mut holder, line) = started(100);
        let hold = holder.hold(machine.wish(1, 40)).unwrap().number;
        holder.charge(chat(1, 5, Durability::Local)).unwrap();
        let numbers = holder.run(holder.journal.close(line.clone(), credits(45))).unwrap();
        assert_eq!((numbers.closed, numbers.held, numbers.returned()), (false, credits(40), credits(55)));
        assert_eq!(
            holder.run(holder.journal.raise_watermark(line.clone(), credits(60))),
            Err(Refused::LineClosed(line.clone()))
        );
        assert_eq!(holder.charge(chat(1, 1, Durability::Local)), Err(Refused::NoLine));
        if let Some(unsynced) = crash {
            machine.power_loss(holder, unsynced);
            holder = machine.start();
            assert_eq!((holder.recovered.exact, holder.recovered.rounded.len()), (false, 0));
        } else {
            machine.kill(holder);
            holder = machine.start();
        }
        let view = &holder.recovered.lines[0];
        assert!(view.is_ending && !view.closed && view.held == credits(40));
        // It neither grows nor lasts longer.
        let before = holder.look(hold).unwrap();
        assert!(before.is_ending);
        machine.clock.advance_ms(1);
        let after = holder.extend(machine.more(hold, None, 40, 10)).unwrap();
        assert_eq!((after.confirmed, after.expires_at), (credits(10), before.expires_at));
        assert_eq!(holder.extend(machine.more(hold, None, 41, 10)), Err(Refused::HoldEnding));
        let ended = holder.end(hold, machine.settle(30)).unwrap();
        assert_eq!((told(&ended), ended.closed), ((EndOfHold::Settled, 30, 10), true));
        let numbers = holder.run(holder.journal.close(line, Credits::ZERO)).unwrap();
        assert_eq!((numbers.closed, numbers.used(), numbers.returned()), (true, credits(35), credits(65)));
    }
}

#[test]
fn a_close_waits_for_holds_on_their_way() {
    let (machine, holder, line) = started(100);
    let permit = holder.journal.reserve().unwrap();
    let (numbers, held) = holder.run(async {
        let journal = holder.journal.clone();
        let closing = tokio::spawn(async move { journal.close(line, credits(40)).await });
        tokio::task::yield_now().await;
        let held = permit.hold(machine.wish(1, 40)).await.unwrap();
        (closing.await.unwrap().unwrap(), held)
    });
    assert_eq!((numbers.closed, numbers.held, numbers.returned()), (false, credits(40), credits(60)));
    assert!(holder.end(held.number, machine.release()).unwrap().closed);
}

#[test]
fn as_many_holds_as_there_may_be_and_one_more() {
    let bounds = journal::Options { holds_max: 3, holds_per_user_max: 2, ..options() };
    let machine = Machine::new(bounds);
    let holder = machine.start();
    for (handle, name) in [(1, "w"), (2, "v")] {
        holder.line_with(handle, name, &[(shared(), credits(100))]);
    }
    let first = holder.hold(machine.wish(1, 1)).unwrap();
    holder.hold(machine.wish(1, 1)).unwrap();
    assert_eq!(holder.hold(machine.wish(1, 1)), Err(Refused::TooManyHoldsOfUser { most: 2 }));
    holder.hold(machine.wish(2, 1)).unwrap();
    assert_eq!(holder.hold(machine.wish(2, 1)), Err(Refused::TooManyHolds { most: 3 }));
    holder.end(first.number, machine.release()).unwrap();
    holder.hold(machine.wish(1, 1)).unwrap();
}

#[test]
fn a_key_and_its_hold_are_one_record_and_live_through_segments() {
    let (machine, holder, _) = started(100_000);
    let key = IdempotencyKey::parse("k").unwrap();
    let begin =
        |holder: &holder::Holder, hash| holder.keys.begin(&workspace("w"), &user("ann"), &key, [hash; 32]);
    let Begun::Fresh(guard) = begin(&holder, 1) else { panic!("it is new") };
    let shadow = Some(Shadowed { code: WouldRefuse::AccessDisabled, would_have_cost: credits(3) });
    let held = holder.hold(OpenHold { key: Some(guard), shadow, ..machine.wish(1, 10) }).unwrap();
    assert!(matches!(begin(&holder, 2), Begun::Conflict));
    for _ in 0..6_000 {
        holder.charge(chat(1, 1, Durability::Local)).unwrap();
    }
    let over_before = holder.hold(machine.wish(1, 9)).unwrap().number;
    holder.end(over_before, machine.settle(4)).unwrap();
    let replays = |holder: &holder::Holder| match begin(holder, 1) {
        Begun::ReplayHold(again) => assert_eq!(*again, held),
        other => panic!("{other:?}"),
    };
    replays(&holder);
    machine.power_loss(holder, Unsynced::Lost);
    let holder = machine.start();
    replays(&holder);
    assert_eq!(holder.look(held.number).unwrap().facts.held, credits(10));
    assert_eq!(holder.look(held.number).unwrap().facts.prices.to_string(), "7.9");
    assert_eq!(over(holder.look(over_before)), (EndOfHold::Settled, 4), "how it ended is known too");
}

/// What a line reports of what would have been refused: calls, and what they would have cost.
fn counted(holder: &holder::Holder, line: &journal::LineKey) -> (u64, u64, u64) {
    let numbers = holder.run(holder.journal.numbers(vec![line.clone()], true)).unwrap().remove(0);
    let Some((_, metered)) = numbers.meters.into_iter().next() else { return (0, 0, 0) };
    let (used, shadow) = metered.split();
    (used.calls, shadow.calls(), shadow.would_have_cost.micros())
}

#[test]
fn a_hold_that_would_have_been_refused_is_counted_once_when_it_ends() {
    let (machine, holder, line) = started(100);
    let shadow = Some(Shadowed { code: WouldRefuse::Exhausted, would_have_cost: credits(40) });
    let open = |holder: &holder::Holder| {
        let held = holder.hold(OpenHold { shadow, ..machine.wish(1, 0) }).unwrap();
        assert_eq!((held.amount, held.shadow), (Credits::ZERO, shadow));
        held.number
    };
    let hold = open(&holder);
    assert_eq!(counted(&holder, &line), (0, 0, 0), "it has not ended");
    // It gets no more, though somebody has won credits for it; what it has not is not confirmed.
    let view = holder.extend(machine.more(hold, Some(spend_of(1, 10)), 50, 45)).unwrap();
    assert_eq!((view.facts.held, view.confirmed, view.freed), (Credits::ZERO, Credits::ZERO, credits(10)));
    assert_eq!(view.facts.shadow.map(|shadow| shadow.would_have_cost), Some(credits(50)));
    let beyond = holder.extend(machine.more(hold, None, 0, 51));
    assert_eq!(beyond, Err(Refused::BeyondHold { held: Credits::ZERO }));
    let ended = holder.end(hold, machine.settle(47)).unwrap();
    assert_eq!(told(&ended), (EndOfHold::Settled, 0, 0));
    let settled = Some(Shadowed { code: WouldRefuse::Exhausted, would_have_cost: credits(47) });
    assert_eq!(ended.over.facts.shadow, settled, "what it would have cost is known now");
    assert_eq!(counted(&holder, &line), (0, 1, 47));

    // Released: nobody went on. Expired: somebody may have.
    let (released, expired) = (open(&holder), open(&holder));
    holder.end(released, machine.release()).unwrap();
    assert_eq!(counted(&holder, &line), (0, 2, 47));
    machine.kill(holder);
    let holder = machine.start();
    let Err(Refused::HoldOver(again)) = holder.end(hold, machine.settle(47)) else { panic!("it has ended") };
    assert_eq!(again.facts.shadow, settled);
    machine.clock.advance_ms(TTL_MS);
    assert_eq!(over(holder.look(expired)), (EndOfHold::Expired, 0));
    assert_eq!(counted(&holder, &line), (0, 3, 87));
}

#[test]
fn a_hold_keeps_what_it_has_where_more_would_have_been_refused() {
    let (machine, holder, line) = started(100);
    let open = || holder.hold(machine.wish(1, 10)).unwrap().number;
    let more = |hold, to, confirmed| {
        let shadow = Some(WouldRefuse::LimitReached);
        holder.extend(ExtendHold { shadow, ..machine.more(hold, None, to, confirmed) }).unwrap()
    };
    let hold = open();
    let view = more(hold, 25, 12);
    assert_eq!(
        (view.facts.held, view.confirmed),
        (credits(10), credits(10)),
        "confirmed is what is set aside"
    );
    assert_eq!(holder.end(hold, machine.settle(9)), Err(Refused::BelowConfirmed { confirmed: credits(10) }));
    let ended = holder.end(hold, machine.settle(24)).unwrap();
    assert_eq!(told(&ended), (EndOfHold::Settled, 10, 0));
    assert_eq!(counted(&holder, &line), (0, 1, 14));
    // Time is up with a part confirmed: that is charged, and the rest was lacking.
    let hold = open();
    more(hold, 25, 4);
    machine.clock.advance_ms(TTL_MS);
    assert_eq!(over(holder.look(hold)), (EndOfHold::Expired, 4));
    assert_eq!(counted(&holder, &line), (0, 2, 29));
    // Beyond a hold that nobody has refused anything.
    let settle = |amount, shadow| {
        let (units, day) = (vec![(Unit::parse("token").unwrap(), 7)], machine.clock.now().day());
        Ending::Settle(Settle { amount: credits(amount), cap: false, shadow, units, day })
    };
    let exceeded = Some(WouldRefuse::HoldExceeded);
    let ended = holder.end(open(), settle(13, exceeded)).unwrap();
    assert_eq!((told(&ended), counted(&holder, &line)), ((EndOfHold::Settled, 10, 0), (0, 3, 32)));
    let ended = holder.end(open(), settle(10, exceeded)).unwrap();
    assert_eq!(
        (ended.over.facts.shadow, counted(&holder, &line)),
        (None, (1, 3, 32)),
        "at its bound it is none"
    );
}
