//! Real threads, millions of steps, and the sum at the end exact to the last micro-credit. Which
//! interleavings happen is left to the machine; `loom` has the small ones, all of them.
#![cfg(not(any(loom, feature = "shuttle")))]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use escrow::{Epoch, NoSpend, Stripes, Words};

const SPENDERS: u64 = 3;
/// How often the owner deposits; with that its work is bounded, and spenders stop when it does.
const ROUNDS: u64 = 900_000;
const ROUNDS_PER_EPOCH: u64 = 32;
/// In so many rich epochs the owner lets that much be spent before it seals, however busy the machine.
const PATIENT_EPOCHS: u64 = 50;
const PATIENCE: u64 = 10_000;

// Epochs stay below the wrap here, so that they can be compared as numbers.
const _: () = assert!(2 * (ROUNDS / ROUNDS_PER_EPOCH + 1) < 65_536);

#[derive(Default, Debug)]
struct Sums {
    spends: u64,
    spent: u64,
    too_late: u64,
    stray: u64,
    refused: u64,
}

#[derive(Default, Debug)]
struct Owned {
    deposited: u64,
    taken: u64,
    seals: u64,
}

/// Spends amounts of 1..=64, so that stripes run short and gather; counts what is spent in an epoch
/// whose seal had returned before.
fn spend(words: &Words, number: u64, sealed_below: &AtomicU64, done: &AtomicBool) -> Sums {
    let mut sums = Sums::default();
    for i in 0.. {
        let amount = 1 + (i * 7 + number) % 64;
        let closed = sealed_below.load(Ordering::Acquire);
        match words.try_spend(amount) {
            Ok(spent) => {
                sums.too_late += u64::from(u64::from(spent.epoch.number()) < closed);
                sums.spent += amount;
                sums.spends += 1;
            }
            Err(NoSpend::Stray { amount, .. }) => sums.stray += amount,
            Err(NoSpend::Short { .. } | NoSpend::Sealed { .. }) => sums.refused += 1,
        }
        if done.load(Ordering::Relaxed) {
            break;
        }
    }
    sums
}

/// Deposits, withdraws, seals and reopens. Rich and poor epochs take turns: in a rich one spenders go on
/// while the owner isn't running, in a poor one they fight for the last credits.
fn own(words: &Words, sealed_below: &AtomicU64) -> Owned {
    let mut owned = Owned::default();
    let mut epoch = words.open(Epoch::START).expect("new ones are sealed");
    for round in 0..ROUNDS {
        let rich = owned.seals.is_multiple_of(2);
        let amount = if rich { 1_000_000 } else { 40 + round % 100 };
        let left = words.deposit(epoch, amount).expect("the owner is alone");
        owned.deposited += amount;
        if !rich && round % 16 == 3 {
            owned.taken += words.withdraw(epoch, 30).expect("the owner is alone");
        }
        if round % ROUNDS_PER_EPOCH == ROUNDS_PER_EPOCH - 1 {
            if rich && owned.seals < 2 * PATIENT_EPOCHS {
                while words.observe().balance > left - PATIENCE {
                    thread::yield_now();
                }
            }
            owned.taken += words.seal(epoch).expect("the owner is alone");
            owned.seals += 1;
            sealed_below.store(u64::from(epoch.next().number()), Ordering::Release);
            epoch = words.open(epoch.next()).expect("the owner is alone");
        }
    }
    owned
}

fn run(name: &str, words: &Words) {
    let (sealed_below, done) = (&AtomicU64::new(0), &AtomicBool::new(false));
    let (sums, owned) = thread::scope(|scope| {
        let spender = |number| scope.spawn(move || spend(words, number, sealed_below, done));
        let spenders: Vec<_> = (0..SPENDERS).map(spender).collect();
        let owned = own(words, sealed_below);
        done.store(true, Ordering::Relaxed);
        let mut sums = Sums::default();
        for one in spenders.into_iter().map(|thread| thread.join().expect("a spender has failed")) {
            sums.spends += one.spends;
            sums.too_late += one.too_late;
            sums.spent += one.spent;
            sums.stray += one.stray;
            sums.refused += one.refused;
        }
        (sums, owned)
    });
    let rest = words.seal(words.observe().epoch).expect("left open, and nobody else is there");
    println!("{name}: {owned:?}, {sums:?}, rest {rest}");
    assert_eq!(sums.too_late, 0, "{name}: no spend after seal has returned");
    let accounted = sums.spent + sums.stray + owned.taken + rest;
    assert_eq!(owned.deposited, accounted, "{name}: every credit is somewhere");
    assert!(sums.spent > PATIENT_EPOCHS * PATIENCE / 2, "{name}: hardly anything has happened: {sums:?}");
}

#[test]
fn one_word_is_exact_under_real_threads() {
    run("one", &Words::one(Epoch::START));
}

#[test]
fn two_stripes_are_exact_under_real_threads() {
    run("two", &Words::striped(Stripes::Two, Epoch::START));
}

#[test]
fn eight_stripes_are_exact_under_real_threads() {
    run("eight", &Words::striped(Stripes::Eight, Epoch::START));
}
