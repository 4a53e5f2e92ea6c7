//! Long random runs of one thread against the naive escrow: every answer must be the same, for one word
//! and for two, four and eight. Threads are not here: see `loom` and `stress`.
#![cfg(not(any(loom, feature = "shuttle")))]

#[path = "model/naive.rs"]
mod naive;

use escrow::{BALANCE_MAX, Epoch, NoSpend, Refused, Striped, Stripes, Words};
use naive::{Dice, Naive};

const STEPS: u64 = 200_000;

/// What a run has seen, so that one that never met a case can't pass.
#[derive(Default, Debug)]
struct Met {
    spent: u64,
    short: u64,
    sealed: u64,
    wrong_epoch: u64,
    open: u64,
    too_much: u64,
    gathered: u64,
}

type Make = fn(Epoch) -> Words;

fn kinds() -> [(&'static str, Make); 4] {
    [
        ("one", Words::one),
        ("two", |epoch| Words::striped(Stripes::Two, epoch)),
        ("four", |epoch| Words::striped(Stripes::Four, epoch)),
        ("eight", |epoch| Words::striped(Stripes::Eight, epoch)),
    ]
}

/// Small amounts mostly, so that they meet; sometimes the edges.
fn amount(dice: &mut Dice) -> u64 {
    match dice.below(40) {
        0 => 0,
        1 => BALANCE_MAX,
        2 => BALANCE_MAX + 1,
        3 => u64::MAX,
        4 => BALANCE_MAX - dice.below(1_000),
        _ => dice.below(1_000),
    }
}

/// The epoch that is now, mostly; else one that is near.
fn epoch(dice: &mut Dice, now: Epoch) -> Epoch {
    match dice.below(8) {
        0 => Epoch::new(now.number().wrapping_add(dice.below(5) as u16).wrapping_sub(2)),
        _ => now,
    }
}

/// A spend from any stripe, as threads would make it.
fn spend(words: &Words, dice: &mut Dice, amount: u64) -> Result<escrow::Spent, NoSpend> {
    let thread = if words.is_striped() { dice.roll() as usize } else { 0 };
    words.try_spend_at(thread, amount)
}

fn run(name: &str, words: &Words, naive: &mut Naive, seed: u64) -> Met {
    let mut dice = Dice(seed);
    let mut met = Met::default();
    let (mut deposited, mut spent, mut taken) = (0u128, 0u128, 0u128);
    for step in 0..STEPS {
        let amount = amount(&mut dice);
        let meant = epoch(&mut dice, naive.now());
        let mut refused = None;
        match dice.below(100) {
            0..=59 => {
                let (had, now) = (naive.balance as u64, naive.now());
                let answer = spend(words, &mut dice, amount);
                assert_eq!(answer.is_ok(), naive.spend(amount), "{name} step {step}: {answer:?} of {had}");
                match answer {
                    Ok(answer) => {
                        assert_eq!(answer.epoch, now);
                        assert!(answer.left <= had - amount, "a stripe never has more than all together");
                        if words.stripes() == 1 {
                            assert_eq!(answer.left, had - amount);
                        }
                        spent += u128::from(amount);
                        met.spent += 1;
                        met.gathered += u64::from(amount > had / 2);
                    }
                    Err(NoSpend::Short { epoch, left }) => {
                        assert_eq!((epoch, left), (now, had), "a refusal tells all there is");
                        met.short += 1;
                    }
                    Err(NoSpend::Sealed { epoch }) => {
                        assert!(naive.sealed() && epoch == now);
                        met.sealed += 1;
                    }
                    Err(NoSpend::Stray { .. }) => panic!("{name}: a stray with one thread"),
                }
            }
            60..=84 => {
                let answer = words.deposit(meant, amount);
                assert_eq!(answer, naive.deposit(meant, amount), "{name} step {step}: deposit {amount}");
                deposited += u128::from(if answer.is_ok() { amount } else { 0 });
                refused = answer.err();
            }
            85..=91 => {
                let answer = words.withdraw(meant, amount);
                assert_eq!(answer, naive.withdraw(meant, amount), "{name} step {step}: keep {amount}");
                taken += u128::from(answer.unwrap_or(0));
                refused = answer.err();
            }
            92..=94 => {
                let answer = words.seal(meant);
                assert_eq!(answer, naive.seal(meant), "{name} step {step}: seal");
                taken += u128::from(answer.unwrap_or(0));
                refused = answer.err();
            }
            _ => {
                let answer = words.open(meant);
                assert_eq!(answer, naive.open(meant), "{name} step {step}: open");
                refused = answer.err();
            }
        }
        match refused {
            Some(Refused::Sealed { .. }) => met.sealed += 1,
            Some(Refused::Open { .. }) => met.open += 1,
            Some(Refused::WrongEpoch { .. }) => met.wrong_epoch += 1,
            Some(Refused::TooMuch { .. }) => met.too_much += 1,
            None => {}
        }
        let now = words.observe();
        assert_eq!((now.epoch, now.sealed), (naive.now(), naive.sealed()), "{name} step {step}");
        assert_eq!(u128::from(now.balance), naive.balance, "{name} step {step}");
        assert_eq!(deposited, spent + taken + naive.balance, "{name} step {step}: every credit is somewhere");
    }
    met
}

#[test]
fn one_thread_sees_exactly_what_the_naive_escrow_does() {
    for (name, make) in kinds() {
        for seed in 1..=4 {
            // The last seed starts just before the epoch wraps, and crosses that.
            let start = if seed == 4 { Epoch::new(u16::MAX - 200) } else { Epoch::START };
            let mut naive = Naive::new(start);
            let met = run(name, &make(start), &mut naive, seed);
            assert!(seed != 4 || naive.epoch > 65_536, "the wrap was crossed");
            let all =
                [met.spent, met.short, met.sealed, met.wrong_epoch, met.open, met.too_much, met.gathered];
            assert!(all.iter().all(|times| *times > 100), "{name}: {met:?}");
        }
    }
}

/// The larger the amounts beside the balance, the more a spend must gather: down to the last credit.
#[test]
fn a_striped_balance_is_spendable_to_the_last_credit_from_any_stripe() {
    let mut dice = Dice(7);
    for stripes in [Stripes::Two, Stripes::Four, Stripes::Eight] {
        for home in 0..stripes.count() {
            let words = Striped::new(stripes, Epoch::START);
            let epoch = words.open(Epoch::START).expect("it is sealed");
            let mut left = 0;
            for _ in 0..stripes.count() {
                let part = dice.below(1_000);
                left = words.deposit(epoch, part).expect("it is open");
            }
            while left > 0 {
                let amount = 1 + dice.below(left);
                words.try_spend_at(home, amount).expect("together the stripes have it");
                left -= amount;
            }
            let short = words.try_spend_at(home, 1);
            assert_eq!(short, Err(NoSpend::Short { epoch, left: 0 }));
        }
    }
}
