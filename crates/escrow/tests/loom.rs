//! Every interleaving (up to three preemptions) of a few steps on an escrow, and the same scenarios on
//! twins with a planted mistake, which must fail. Long random runs are not here: see `stress`.
//!
//! `RUSTFLAGS="--cfg loom --cfg tokio_unstable" CARGO_TARGET_DIR=target-loom \
//!  cargo test -p escrow --release --test loom -- --nocapture` prints how many were explored.
#![cfg(loom)]

#[path = "loom/twin.rs"]
mod twin;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use escrow::{Epoch, Escrow, NoSpend, Refused, Striped, Stripes};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;

use twin::{AnyEpoch, Faithful, Forgetful, LoadThenStore, Misplacing, Naive, Pair, Purse, Twin, Unordered};

/// How often something was seen over all executions of a model; kept outside what loom explores.
#[derive(Clone)]
struct Seen(std::sync::Arc<AtomicUsize>);

impl Seen {
    fn never() -> Seen {
        Seen(std::sync::Arc::new(AtomicUsize::new(0)))
    }
    fn note(&self, happened: bool) {
        self.0.fetch_add(usize::from(happened), Relaxed);
    }
    fn must_have(&self, what: &str) {
        assert!(self.0.load(Relaxed) > 0, "never seen in any execution: {what}");
    }
}

/// Explores the scenario; fewer executions than `at_least` mean that it has stopped testing anything.
fn explore(name: &str, at_least: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let executions = Seen::never();
    let count = executions.clone();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        count.note(true);
        scenario();
    });
    let executions = executions.0.load(Relaxed);
    println!("{name}: {executions} executions");
    assert!(executions >= at_least, "{name}: only {executions} executions");
}

fn filled<P: Purse>(balance: u64) -> (Arc<P>, Epoch) {
    let purse = P::new();
    let epoch = purse.open(Epoch::START).expect("a new one is sealed in START");
    purse.deposit(epoch, balance).expect("it is open");
    (Arc::new(purse), epoch)
}

/// Stripes with a balance each.
fn filled_pair<P: Pair>(balances: &[u64]) -> (Arc<P>, Epoch) {
    let pair = P::new();
    let epoch = pair.open(Epoch::START).expect("a new one is sealed in START");
    for balance in balances {
        pair.deposit(epoch, *balance).expect("it is open");
    }
    (Arc::new(pair), epoch)
}

/// What one spender got, told apart by epoch.
#[derive(Clone, Copy, Default)]
struct Got {
    old: u64,
    new: u64,
    stray: u64,
}

fn tally(answer: Result<Epoch, NoSpend>, amount: u64, old: Epoch) -> Got {
    match answer {
        Ok(epoch) if epoch == old => Got { old: amount, ..Got::default() },
        Ok(_) => Got { new: amount, ..Got::default() },
        Err(NoSpend::Stray { epoch, amount }) => {
            assert!(epoch == old && amount > 0, "a stray is of the epoch it was taken in");
            Got { stray: amount, ..Got::default() }
        }
        Err(NoSpend::Short { .. } | NoSpend::Sealed { .. }) => Got::default(),
    }
}

// ── One word ────────────────────────────────────────────────────────────────────────────────────

/// Three spend 6 of 10: one gets it.
fn spend_spend<P: Purse>() {
    let (purse, _) = filled::<P>(10);
    let spend = |purse: Arc<P>| move || purse.spend(6).is_ok();
    let others = [thread::spawn(spend(purse.clone())), thread::spawn(spend(purse.clone()))];
    let mine = purse.spend(6).is_ok();
    let winners = others.into_iter().map(|t| t.join().unwrap()).filter(|won| *won).count();
    assert_eq!(winners + usize::from(mine), 1, "only one fits");
    assert_eq!(purse.balance(), 4, "only one was debited");
}

/// 6 are there, 4 come: a spend of 10 succeeds only after the deposit, and nothing gets lost.
fn spend_deposit<P: Purse>() {
    let (purse, epoch) = filled::<P>(6);
    let (large, small) = (purse.clone(), purse.clone());
    let large = thread::spawn(move || if large.spend(10).is_ok() { 10 } else { 0 });
    let small = thread::spawn(move || if small.spend(3).is_ok() { 3 } else { 0 });
    purse.deposit(epoch, 4).expect("it is open");
    let spent = large.join().unwrap() + small.join().unwrap();
    assert_eq!(spent + purse.balance(), 10, "every credit is somewhere");
    assert!(spent > 0, "whoever comes first finds enough for the small one");
}

/// Two spend while the owner seals.
fn spend_seal<P: Purse>() {
    let (purse, epoch) = filled::<P>(10);
    let returned = Arc::new(AtomicBool::new(false));
    let spender = |amount| {
        let (purse, returned) = (purse.clone(), returned.clone());
        thread::spawn(move || {
            let too_late = returned.load(Ordering::Acquire);
            let spent = purse.spend(amount).is_ok();
            assert!(!(too_late && spent), "no spend after seal has returned");
            if spent { amount } else { 0 }
        })
    };
    let spenders = [spender(4), spender(7)];
    let taken = purse.seal(epoch).expect("nobody else seals");
    returned.store(true, Ordering::Release);
    let spent: u64 = spenders.map(|t| t.join().unwrap()).iter().sum();
    assert_eq!(spent + taken, 10, "every credit is somewhere");
    assert_eq!(purse.balance(), 0, "a sealed escrow is empty");
}

/// A deposit for the old epoch comes while the owner seals, opens anew and fills.
fn late_deposit<P: Purse>() {
    let (purse, old) = filled::<P>(10);
    let (late, spender) = (purse.clone(), purse.clone());
    let late = thread::spawn(move || if late.deposit(old, 5).is_ok() { 5 } else { 0 });
    let spender = thread::spawn(move || tally(spender.spend(1), 1, old));
    let taken = purse.seal(old).expect("nobody else seals");
    let new = purse.open(old.next()).expect("nobody else opens");
    purse.deposit(new, 1).expect("nobody else seals");
    let (landed, got) = (late.join().unwrap(), spender.join().unwrap());
    assert_eq!(got.new + purse.balance(), 1, "nothing late has landed in the new epoch");
    assert_eq!(got.old + taken, 10 + landed, "the old epoch is exact");
}

/// What was written before the deposit is seen by who spends it.
fn handover<P: Purse>() {
    let (purse, epoch) = filled::<P>(0);
    let watermark = Arc::new(AtomicU64::new(0));
    let (spender, mark) = (purse.clone(), watermark.clone());
    let spender = thread::spawn(move || {
        if spender.spend(10).is_ok() {
            assert_eq!(mark.load(Ordering::Relaxed), 10, "spent ahead of the watermark");
        }
    });
    let small = purse.clone();
    let small = thread::spawn(move || small.spend(1).is_ok());
    watermark.store(10, Ordering::Relaxed);
    purse.deposit(epoch, 11).expect("it is open");
    spender.join().unwrap();
    small.join().unwrap();
}

#[test]
fn of_three_spends_only_one_fits() {
    explore("spend × spend × spend", 50, spend_spend::<Escrow>);
}

#[test]
fn a_spend_meets_a_deposit() {
    explore("spend × spend × deposit", 50, spend_deposit::<Escrow>);
}

#[test]
fn no_spend_after_the_seal() {
    explore("spend × spend × seal", 50, spend_seal::<Escrow>);
}

#[test]
fn a_late_deposit_never_lands_in_a_new_epoch() {
    explore("deposit × spend × seal, reopen", 100, late_deposit::<Escrow>);
}

#[test]
fn a_spend_sees_what_came_before_the_deposit() {
    explore("watermark, deposit × spend × spend", 50, handover::<Escrow>);
}

#[test]
fn a_withdrawal_leaves_what_it_says() {
    explore("spend × spend × withdraw", 50, || {
        let (purse, epoch) = filled::<Escrow>(10);
        let spender = |amount| {
            let purse = purse.clone();
            thread::spawn(move || if purse.try_spend(amount).is_ok() { amount } else { 0 })
        };
        let spenders = [spender(4), spender(3)];
        let taken = purse.withdraw(epoch, 5).expect("nobody seals");
        assert!(purse.observe().balance <= 5, "everything above was taken");
        let spent: u64 = spenders.map(|t| t.join().unwrap()).iter().sum();
        assert_eq!(spent + taken + purse.balance(), 10, "every credit is somewhere");
        assert!(taken <= 5, "what was to be kept was not taken");
    });
}

#[test]
fn a_reallocation_moves_only_what_was_not_spent() {
    explore("donor's spend × seal, deposit × recipient's spends", 100, || {
        let (donor, from) = filled::<Escrow>(10);
        let (recipient, to) = filled::<Escrow>(2);
        let (gives, gets) = (donor.clone(), recipient.clone());
        let gives = thread::spawn(move || [4, 3].map(|n| if gives.try_spend(n).is_ok() { n } else { 0 }));
        let gets = thread::spawn(move || [8, 2].map(|n| if gets.try_spend(n).is_ok() { n } else { 0 }));
        let moved = donor.seal(from).expect("nobody else seals");
        recipient.deposit(to, moved).expect("nobody seals it");
        let spent: u64 = [gives.join().unwrap(), gets.join().unwrap()].iter().flatten().sum();
        assert_eq!(spent + donor.balance() + recipient.balance(), 12, "the sum over both is exact");
        assert_eq!(donor.balance(), 0, "a sealed donor is empty");
    });
}

// ── Several words ───────────────────────────────────────────────────────────────────────────────

/// Each of two needs more than either stripe has.
fn gather_gather<P: Pair>(amount: u64) {
    let (pair, _) = filled_pair::<P>(&[5, 5]);
    let other = pair.clone();
    let other = thread::spawn(move || other.spend_at(1, amount).is_ok());
    let mine = pair.spend_at(0, amount).is_ok();
    let other = other.join().unwrap();
    assert!(!(mine && other), "only one fits");
    assert!(mine || other, "of two gatherers one finds what the other left");
    assert_eq!(pair.balance(), 10 - amount, "only one was debited");
}

/// One gathers 7, one spends `home` or gathers it, the owner seals.
fn gather_seal<P: Pair>(home: u64, stray: &Seen, gathered: &Seen) {
    let (pair, epoch) = filled_pair::<P>(&[5, 5]);
    let enough = 7 + home <= 10;
    let returned = Arc::new(AtomicBool::new(false));
    let spender = |stripe, amount| {
        let (pair, returned) = (pair.clone(), returned.clone());
        thread::spawn(move || {
            let too_late = returned.load(Ordering::Acquire);
            let answer = pair.spend_at(stripe, amount);
            assert!(!enough || !matches!(answer, Err(NoSpend::Short { .. })), "sealed, not short");
            let got = tally(answer, amount, epoch);
            assert!(!too_late || got.old == 0, "no spend after seal has returned");
            got
        })
    };
    let (gatherer, other) = (spender(1, 7), spender(0, home));
    let taken = pair.seal(epoch).expect("nobody else seals");
    returned.store(true, Ordering::Release);
    let (got, other) = (gatherer.join().unwrap(), other.join().unwrap());
    assert_eq!(got.old + got.stray + other.old + other.stray + taken, 10, "every credit is somewhere");
    assert_eq!(pair.balance(), 0, "sealed stripes are empty");
    stray.note(got.stray > 0);
    gathered.note(got.old > 0);
}

/// A gatherer of the old epoch comes back while the owner has sealed, opened anew and filled.
fn gather_reopen<P: Pair>(stray: &Seen) {
    let (pair, old) = filled_pair::<P>(&[5, 5]);
    let gatherer = pair.clone();
    let gatherer = thread::spawn(move || tally(gatherer.spend_at(1, 7), 7, old));
    let taken = pair.seal(old).expect("nobody else seals");
    let new = pair.open(old.next()).expect("nobody else opens");
    pair.deposit(new, 8).expect("nobody else seals");
    let got = gatherer.join().unwrap();
    assert_eq!(got.new + pair.balance(), 8, "nothing of the old epoch has landed in the new one");
    assert_eq!(got.old + got.stray + taken, 10, "the old epoch is exact");
    stray.note(got.stray > 0);
}

#[test]
fn of_two_gatherers_one_gets_all() {
    explore("gather all × gather all", 100, || gather_gather::<Striped>(10));
}

#[test]
fn of_two_gatherers_one_gets_most() {
    explore("gather 6 × gather 6", 100, || gather_gather::<Striped>(6));
}

#[test]
fn of_two_gatherers_on_four_stripes_one_gets_all() {
    explore("gather all × gather all on four", 100, || {
        let four = Striped::new(Stripes::Four, Epoch::START);
        let epoch = four.open(Epoch::START).expect("a new one is sealed in START");
        for balance in [1, 3, 3, 3] {
            four.deposit(epoch, balance).expect("it is open");
        }
        let four = Arc::new(four);
        let other = four.clone();
        let other = thread::spawn(move || other.try_spend_at(1, 10).is_ok());
        let mine = four.try_spend_at(2, 10).is_ok();
        assert!(mine != other.join().unwrap(), "exactly one");
        assert_eq!(four.observe().balance, 0, "and it got all");
    });
}

/// A spender at the gatherer's home takes of what the gatherer has counted on, while there is enough for
/// both: the gatherer must look further, at stripe 0 (two stripes) or at one it had not asked (four).
#[test]
fn a_gatherer_whose_home_is_spent_from_looks_further() {
    let both_are_served = |stripes, balances: &'static [u64], home, gathered, spent| {
        move || {
            let words = Striped::new(stripes, Epoch::START);
            let epoch = words.open(Epoch::START).expect("a new one is sealed in START");
            for balance in balances {
                words.deposit(epoch, *balance).expect("it is open");
            }
            let words = Arc::new(words);
            let other = words.clone();
            let other = thread::spawn(move || other.try_spend_at(home, spent).is_ok());
            let gatherer = words.try_spend_at(home, gathered).is_ok();
            assert!(gatherer && other.join().unwrap(), "enough for both");
            assert_eq!(words.observe().balance + gathered + spent, 10, "every credit is somewhere");
        }
    };
    explore("gather × spend, two", 10, both_are_served(Stripes::Two, &[5, 5], 1, 6, 2));
    explore("gather × spend, four", 10, both_are_served(Stripes::Four, &[1, 1, 4, 4], 2, 5, 4));
}

#[test]
fn a_gatherer_and_two_spenders_share_exactly() {
    let (both, refused) = (Seen::never(), Seen::never());
    let (saw_both, saw_refused) = (both.clone(), refused.clone());
    explore("gather × spend × deposit", 100, move || {
        let (pair, epoch) = filled_pair::<Striped>(&[4, 4]);
        let (gatherer, spender) = (pair.clone(), pair.clone());
        let gatherer = thread::spawn(move || tally(gatherer.spend_at(1, 7), 7, epoch).old);
        let spender = thread::spawn(move || tally(spender.spend_at(0, 3), 3, epoch).old);
        pair.deposit(epoch, 1).expect("nobody seals");
        let (gathered, spent) = (gatherer.join().unwrap(), spender.join().unwrap());
        assert_eq!(gathered + spent + pair.balance(), 9, "every credit is somewhere");
        saw_both.note(gathered + spent == 7);
        saw_refused.note(gathered == 0);
    });
    both.must_have("the gatherer got all it needed");
    refused.must_have("the spender was faster");
}

#[test]
fn a_seal_meets_a_gatherer_and_the_strays_are_counted() {
    let (stray, gathered) = (Seen::never(), Seen::never());
    let (saw_stray, saw_gathered) = (stray.clone(), gathered.clone());
    explore("gather × spend × seal", 500, move || gather_seal::<Striped>(2, &saw_stray, &saw_gathered));
    stray.must_have("a gatherer with credits in hand was sealed out");
    gathered.must_have("a gatherer was faster than the seal");
}

#[test]
fn a_seal_meets_two_gatherers() {
    let (stray, gathered) = (Seen::never(), Seen::never());
    let (saw_stray, saw_gathered) = (stray.clone(), gathered.clone());
    explore("gather × gather × seal", 500, move || gather_seal::<Striped>(6, &saw_stray, &saw_gathered));
    stray.must_have("a gatherer with credits in hand was sealed out");
    gathered.must_have("a gatherer was faster than the seal");
}

#[test]
fn nothing_gathered_in_an_old_epoch_lands_in_a_new_one() {
    let stray = Seen::never();
    let saw_stray = stray.clone();
    explore("gather × seal, reopen, deposit", 500, move || gather_reopen::<Striped>(&saw_stray));
    stray.must_have("a gatherer with credits in hand was sealed out");
}

#[test]
fn a_striped_withdrawal_is_exact() {
    explore("gather × spend × withdraw", 500, || {
        let (pair, epoch) = filled_pair::<Striped>(&[5, 5]);
        let (gatherer, spender) = (pair.clone(), pair.clone());
        let gatherer = thread::spawn(move || tally(gatherer.spend_at(1, 6), 6, epoch).old);
        let spender = thread::spawn(move || tally(spender.spend_at(0, 2), 2, epoch).old);
        let taken = pair.withdraw(epoch, 4).expect("nobody seals");
        let spent = gatherer.join().unwrap() + spender.join().unwrap();
        assert_eq!(spent + taken + pair.balance(), 10, "every credit is somewhere");
    });
}

#[test]
fn of_several_owners_one_seals_and_one_opens() {
    let opened = Seen::never();
    let saw_opened = opened.clone();
    explore("seal × seal × open", 50, move || {
        let (pair, old) = filled_pair::<Striped>(&[5, 5]);
        let (a, b) = (pair.clone(), pair.clone());
        let a = thread::spawn(move || a.seal(old));
        let b = thread::spawn(move || b.open(old.next()));
        let mine = pair.seal(old);
        let (other, reopened) = (a.join().unwrap(), b.join().unwrap());
        let refused = |seal: &Result<u64, Refused>| seal.is_err();
        assert!(refused(&mine) != refused(&other), "one of two seals");
        assert_eq!(mine.unwrap_or(0) + other.unwrap_or(0), 10, "who seals gets all");
        let now = pair.observe();
        match reopened {
            Ok(new) => assert!(now.epoch == new && !now.sealed, "open means: all stripes are"),
            Err(_) => assert!(now.epoch == old.next() && now.sealed, "sealed means: all stripes are"),
        }
        let next = reopened.or_else(|_| pair.open(old.next())).expect("all are sealed");
        assert_eq!(pair.deposit(next, 3), Ok(3), "and it goes on");
        assert_eq!(pair.seal(next), Ok(3));
        saw_opened.note(reopened.is_ok());
    });
    opened.must_have("the opener came right after the seal");
}

// ── Twins: each planted mistake must be found, or the models above check nothing ─────────────────

#[test]
fn a_twin_without_a_flaw_passes() {
    explore("twin: faithful", 50, spend_spend::<Twin<Faithful>>);
    explore("twin: faithful", 50, spend_deposit::<Twin<Faithful>>);
    explore("twin: faithful", 50, spend_seal::<Twin<Faithful>>);
    explore("twin: faithful", 50, late_deposit::<Twin<Faithful>>);
    explore("twin: faithful", 50, handover::<Twin<Faithful>>);
}

#[test]
#[should_panic(expected = "only one fits")]
fn load_then_store_is_caught_by_spends() {
    explore("twin", 0, spend_spend::<Twin<LoadThenStore>>);
}

#[test]
#[should_panic(expected = "every credit is somewhere")]
fn load_then_store_is_caught_by_a_deposit() {
    explore("twin", 0, spend_deposit::<Twin<LoadThenStore>>);
}

#[test]
#[should_panic(expected = "every credit is somewhere")]
fn load_then_store_is_caught_by_a_seal() {
    explore("twin", 0, spend_seal::<Twin<LoadThenStore>>);
}

#[test]
#[should_panic(expected = "landed in the new epoch")]
fn an_unchecked_epoch_is_caught() {
    explore("twin", 0, late_deposit::<Twin<AnyEpoch>>);
}

#[test]
#[should_panic(expected = "ahead of the watermark")]
fn missing_order_is_caught() {
    explore("twin", 0, handover::<Twin<Unordered>>);
}

#[test]
#[should_panic(expected = "every credit is somewhere")]
fn forgotten_strays_are_caught() {
    explore("twin", 0, || gather_seal::<Naive<Forgetful>>(2, &Seen::never(), &Seen::never()));
}

#[test]
#[should_panic(expected = "landed in the new one")]
fn strays_put_into_a_new_epoch_are_caught() {
    explore("twin", 0, || gather_reopen::<Naive<Misplacing>>(&Seen::never()));
}

#[test]
#[should_panic(expected = "of two gatherers one finds")]
fn putting_back_at_home_instead_of_one_place_is_caught() {
    explore("twin", 0, || gather_gather::<Naive<Forgetful>>(6));
}
