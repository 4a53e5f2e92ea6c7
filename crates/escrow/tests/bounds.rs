//! Every limit of an escrow, at the bound and one past it; and sizes. Random runs are not here.
#![cfg(not(any(loom, feature = "shuttle")))]

use escrow::word::Word;
use escrow::{BALANCE_MAX, Bell, Epoch, Escrow, NoSpend, Places, Refused, Spent, Striped, Stripes, Words};

fn both() -> [Words; 2] {
    [Words::one(Epoch::START), Words::striped(Stripes::Two, Epoch::START)]
}

#[test]
fn sizes() {
    assert_eq!(size_of::<Word>(), 8);
    assert_eq!(size_of::<Escrow>(), 8);
    assert_eq!(size_of::<Striped>(), 16, "on the heap: 128 bytes a stripe");
    assert_eq!(size_of::<Words>(), 48, "an idle allocation stays small");
    assert_eq!(size_of::<Spent>(), 16);
    assert!(size_of::<Result<Spent, NoSpend>>() <= 24);
}

#[test]
fn the_largest_balance_fits_and_one_more_does_not() {
    for words in both() {
        let epoch = words.open(Epoch::START).expect("new ones are sealed");
        assert_eq!(words.deposit(epoch, BALANCE_MAX + 1), Err(Refused::TooMuch { left: 0 }));
        assert_eq!(words.deposit(epoch, u64::MAX), Err(Refused::TooMuch { left: 0 }));
        assert_eq!(words.deposit(epoch, BALANCE_MAX), Ok(BALANCE_MAX));
        assert_eq!(words.deposit(epoch, 1), Err(Refused::TooMuch { left: BALANCE_MAX }));
        assert_eq!(words.deposit(epoch, 0), Ok(BALANCE_MAX));
        let now = words.observe();
        assert_eq!((now.epoch, now.balance), (epoch, BALANCE_MAX), "the balance has not run into the epoch");
        let short = NoSpend::Short { epoch, left: BALANCE_MAX };
        assert_eq!(words.try_spend(BALANCE_MAX + 1), Err(short));
        assert_eq!(words.try_spend(u64::MAX), Err(short));
        assert_eq!(words.try_spend(BALANCE_MAX), Ok(Spent { epoch, left: 0 }));
    }
}

/// Two deposits of half each fall on two stripes; together they are bounded as one word is.
#[test]
fn the_bound_is_on_the_sum_over_stripes() {
    let words = Striped::new(Stripes::Eight, Epoch::START);
    let epoch = words.open(Epoch::START).expect("it is sealed");
    let half = BALANCE_MAX / 2;
    assert_eq!(words.deposit(epoch, half), Ok(half));
    assert_eq!(words.deposit(epoch, half), Ok(2 * half));
    assert_eq!(words.deposit(epoch, 2), Err(Refused::TooMuch { left: 2 * half }));
    assert_eq!(words.deposit(epoch, 1), Ok(BALANCE_MAX));
    assert_eq!(words.try_spend_at(5, BALANCE_MAX), Ok(Spent { epoch, left: 0 }), "all in one spend");
}

#[test]
fn an_amount_of_nothing_succeeds_while_open_only() {
    for words in both() {
        assert_eq!(words.try_spend(0), Err(NoSpend::Sealed { epoch: Epoch::START }));
        let epoch = words.open(Epoch::START).expect("new ones are sealed");
        assert_eq!(words.try_spend(0), Ok(Spent { epoch, left: 0 }));
        assert_eq!(words.try_spend(1), Err(NoSpend::Short { epoch, left: 0 }));
        assert_eq!(words.deposit(epoch, 0), Ok(0));
        assert_eq!(words.withdraw(epoch, 0), Ok(0));
        assert_eq!(words.seal(epoch), Ok(0));
        assert_eq!(words.try_spend(0), Err(NoSpend::Sealed { epoch: epoch.next() }));
        assert_eq!(words.deposit(epoch, 0), Err(Refused::Sealed { now: epoch.next() }));
    }
}

#[test]
fn a_withdrawal_keeps_what_it_is_told() {
    for words in both() {
        let epoch = words.open(Epoch::START).expect("new ones are sealed");
        words.deposit(epoch, 60).expect("it is open");
        words.deposit(epoch, 40).expect("it is open");
        assert_eq!(words.withdraw(epoch, 101), Ok(0));
        assert_eq!(words.withdraw(epoch, 100), Ok(0));
        assert_eq!(words.withdraw(epoch, 99), Ok(1));
        assert_eq!(words.withdraw(epoch, 0), Ok(99));
        assert_eq!(words.observe().balance, 0);
        assert_eq!(words.withdraw(epoch.next().next(), 0), Err(Refused::WrongEpoch { now: epoch }));
        assert_eq!(words.withdraw(epoch.sealed(), 0), Err(Refused::WrongEpoch { now: epoch }));
    }
}

#[test]
fn a_step_meant_for_another_epoch_changes_nothing() {
    for words in both() {
        let old = words.open(Epoch::START).expect("new ones are sealed");
        words.deposit(old, 5).expect("it is open");
        assert_eq!(words.open(Epoch::START), Err(Refused::Open { now: old }));
        assert_eq!(words.seal(old), Ok(5));
        let sealed = old.next();
        assert_eq!(words.seal(old), Err(Refused::Sealed { now: sealed }));
        assert_eq!(words.seal(sealed), Err(Refused::Sealed { now: sealed }));
        assert_eq!(words.open(old), Err(Refused::WrongEpoch { now: sealed }));
        let new = words.open(sealed).expect("it is sealed in that");
        for (name, answer) in [
            ("deposit", words.deposit(old, 1)),
            ("withdraw", words.withdraw(old, 0)),
            ("seal", words.seal(old)),
        ] {
            assert_eq!(answer, Err(Refused::WrongEpoch { now: new }), "{name}");
        }
        assert_eq!(words.observe().balance, 0);
    }
}

#[test]
fn epochs_wrap_from_the_last_sealed_one_to_the_first() {
    for make in [Words::one, |epoch| Words::striped(Stripes::Two, epoch)] {
        let last = Epoch::new(u16::MAX - 1);
        let words: Words = make(last);
        assert_eq!(words.deposit(last, 9), Ok(9));
        assert_eq!(words.seal(last), Ok(9));
        assert_eq!(words.observe().epoch, Epoch::new(u16::MAX));
        assert_eq!(words.open(Epoch::new(u16::MAX)), Ok(Epoch::new(0)));
        assert_eq!(words.deposit(last, 9), Err(Refused::WrongEpoch { now: Epoch::new(0) }));
        assert_eq!(words.deposit(Epoch::new(0), 3), Ok(3));
    }
}

/// The documented bound of the wrap: the same number comes again after 32,768 reopenings, not before.
#[test]
fn an_epoch_comes_again_after_32768_reopenings() {
    let words = Words::one(Epoch::START);
    let first = words.open(Epoch::START).expect("it is sealed");
    let mut epoch = first;
    for reopening in 1..=32_768 {
        words.seal(epoch).expect("it is open");
        epoch = words.open(epoch.next()).expect("it is sealed");
        assert_eq!(epoch == first, reopening == 32_768);
    }
}

/// Changing over: the one word stays sealed, and epochs count on.
#[test]
fn a_hot_allocation_gets_stripes_when_it_is_reopened() {
    let words = Words::one(Epoch::START);
    let first = words.open(Epoch::START).expect("it is sealed");
    words.deposit(first, 10).expect("it is open");
    let (four, eight) = (Stripes::for_threads(3), Stripes::Eight);
    assert_eq!(words.spread(four, first), Err(Refused::Open { now: first }), "not while it is spent from");
    let moved = words.seal(first).expect("it is open");
    let sealed = first.next();
    assert_eq!(words.spread(four, Epoch::START), Err(Refused::WrongEpoch { now: sealed }));
    assert_eq!((words.stripes(), words.is_striped()), (1, false), "refused, so nothing has changed");
    assert_eq!(words.spread(four, sealed), Ok(()));
    assert_eq!(words.try_spend(1), Err(NoSpend::Sealed { epoch: sealed }), "made sealed");
    let second = words.open(sealed).expect("made in that epoch");
    assert_eq!(words.deposit(second, moved), Ok(10));
    assert_eq!((words.stripes(), words.observe().balance), (4, 10));
    assert_eq!(words.deposit(first, 1), Err(Refused::WrongEpoch { now: second }));
    assert_eq!(words.spread(eight, sealed), Ok(()), "once and for good");
    assert_eq!((words.stripes(), words.observe().balance), (4, 10));
}

#[test]
fn a_bell_rings_below_its_mark_and_once() {
    let bell = Bell::silent();
    assert!(!bell.rings(0), "silent until it is set");
    bell.set(5);
    assert!(!bell.rings(5), "at the mark");
    assert!(bell.rings(4), "one below it");
    assert!(!bell.rings(0), "somebody has told the owner");
    bell.set(u64::MAX);
    assert!(bell.rings(BALANCE_MAX), "each spend");
    bell.set(5);
    bell.set(0);
    assert!(!bell.rings(0), "0 is silent");
}

#[test]
fn who_rests_is_told_by_the_spend_that_passes_the_mark() {
    for words in both() {
        let stripes = words.stripes() as u64;
        let epoch = words.open(Epoch::START).expect("new ones are sealed");
        words.deposit(epoch, 10).expect("it is open");
        // Where the deposit fell.
        let ring = |amount| words.rings(words.try_spend_at(0, amount).expect("it is there"));
        assert!(!ring(1), "nobody rests yet");
        let now = words.rest(6 * stripes);
        assert_eq!((now.epoch, now.balance, now.sealed), (epoch, 9, false));
        assert_eq!([ring(3), ring(1), ring(1)], [false, true, false], "6, 5 and 4 are left");
        assert_eq!(words.rest(6 * stripes).balance, 4, "what came meanwhile is in the look");
        assert!(ring(1));
    }
}

#[test]
fn what_was_above_is_told_once() {
    for words in both() {
        let epoch = words.open(Epoch::START).expect("new ones are sealed");
        words.set_above(30);
        assert_eq!(words.with_above(0), 30);
        words.raise(epoch, 20, 10).expect("it is open");
        assert_eq!(words.with_above(words.observe().balance), 30);
        assert_eq!(words.with_above(u64::MAX), u64::MAX);
    }
}

#[test]
fn places_are_taken_up_to_the_bound() {
    let places = Places::free();
    assert!(!places.take(0), "there is none");
    assert!(places.take(2) && places.take(2), "at the bound");
    assert!(!places.take(2), "one past it");
    assert_eq!(places.taken(), 2, "a refusal takes nothing");
    places.leave();
    assert!(places.take(2) && !places.take(2));
    assert!(places.take(3) && places.take(u64::MAX));
}

#[test]
fn stripes_follow_threads_up_to_eight() {
    let stripes = [0, 2, 3, 4, 5, 8, 9, usize::MAX].map(|threads| Stripes::for_threads(threads).count());
    assert_eq!(stripes, [2, 2, 4, 4, 8, 8, 8, 8]);
}

#[test]
fn every_no_says_what_would_help() {
    let epoch = Epoch::new(4);
    let texts = [
        NoSpend::Short { epoch, left: 7 }.to_string(),
        NoSpend::Sealed { epoch }.to_string(),
        NoSpend::Stray { epoch, amount: 7 }.to_string(),
        Refused::Sealed { now: epoch }.to_string(),
        Refused::Open { now: epoch }.to_string(),
        Refused::WrongEpoch { now: epoch }.to_string(),
        Refused::TooMuch { left: 7 }.to_string(),
    ];
    for text in &texts {
        assert!(text.contains('4') || text.contains('7'), "{text}");
    }
}
