//! Every limit of an escrow, at the bound and one past it; and sizes. Random runs are not here.
#![cfg(not(loom))]

use escrow::word::Word;
use escrow::{BALANCE_MAX, Epoch, Escrow, NoSpend, Refused, Spent, Striped, Stripes, Words};

fn both() -> [Words; 2] {
    [Words::one(Epoch::START), Words::striped(Stripes::Two, Epoch::START)]
}

#[test]
fn sizes() {
    assert_eq!(size_of::<Word>(), 8);
    assert_eq!(size_of::<Escrow>(), 8);
    assert_eq!(size_of::<Striped>(), 16, "on the heap: 128 bytes a stripe");
    assert_eq!(size_of::<Words>(), 16, "an idle allocation stays small");
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

/// Changing over: who still has the old words finds them sealed, and epochs count on.
#[test]
fn a_hot_allocation_gets_stripes_when_it_is_reopened() {
    let cold = Words::one(Epoch::START);
    let first = cold.open(Epoch::START).expect("it is sealed");
    cold.deposit(first, 10).expect("it is open");
    let moved = cold.seal(first).expect("it is open");
    let hot = Words::striped(Stripes::for_threads(3), cold.observe().epoch);
    let second = hot.open(cold.observe().epoch).expect("made in that epoch");
    assert_eq!(hot.deposit(second, moved), Ok(10));
    assert_eq!((cold.stripes(), hot.stripes()), (1, 4));
    assert_ne!(first, second);
    assert_eq!(cold.try_spend(1), Err(NoSpend::Sealed { epoch: first.next() }));
    assert_eq!(hot.deposit(first, 1), Err(Refused::WrongEpoch { now: second }));
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
