//! Races on one word. Not here: several words (`striped`), their owner's bell (`words`).

use escrow::{Epoch, Escrow, NoSpend};

use super::twin::{AnyEpoch, Faithful, LoadThenStore, Purse, Twin};
use super::{sum, turns};
use crate::under::{Arc, AtomicBool, AtomicU64, MORE, Ordering, explore, thread};

fn filled<P: Purse>(balance: u64) -> (Arc<P>, Epoch) {
    let purse = P::new();
    let epoch = purse.open(Epoch::START).expect("a new one is sealed in START");
    purse.deposit(epoch, balance).expect("it is open");
    (Arc::new(purse), epoch)
}

/// Spends so much so often as threads do; what that came to.
fn spender<P: Purse>(purse: &Arc<P>, amount: u64) -> thread::JoinHandle<u64> {
    let purse = purse.clone();
    turns(move || if purse.spend(amount).is_ok() { amount } else { 0 })
}

/// All spend 6 of 10: one gets it.
fn spend_spend<P: Purse>() {
    let (purse, _) = filled::<P>(10);
    let others: Vec<_> = (0..2 + MORE).map(|_| spender(&purse, 6)).collect();
    let mine = if purse.spend(6).is_ok() { 6 } else { 0 };
    assert_eq!(sum(others) + mine, 6, "only one fits");
    assert_eq!(purse.balance(), 4, "only one was debited");
}

/// 6 are there, 4 come: a spend of 10 succeeds only after the deposit, and nothing gets lost.
fn spend_deposit<P: Purse>() {
    let (purse, epoch) = filled::<P>(6);
    let large = spender(&purse, 10);
    let small: Vec<_> = (0..1 + MORE).map(|_| spender(&purse, 3)).collect();
    purse.deposit(epoch, 4).expect("it is open");
    let spent = sum([large]) + sum(small);
    assert_eq!(spent + purse.balance(), 10, "every credit is somewhere");
    assert!(spent > 0, "whoever comes first finds enough for a small one");
}

/// Some spend while the owner seals.
fn spend_seal<P: Purse>() {
    let (purse, epoch) = filled::<P>(10);
    let returned = Arc::new(AtomicBool::new(false));
    let spender = |amount| {
        let (purse, returned) = (purse.clone(), returned.clone());
        turns(move || {
            let too_late = returned.load(Ordering::Acquire);
            let spent = purse.spend(amount).is_ok();
            assert!(!(too_late && spent), "no spend after seal has returned");
            if spent { amount } else { 0 }
        })
    };
    let spenders: Vec<_> = [4, 7, 1, 2, 3].into_iter().take(2 + MORE).map(spender).collect();
    let taken = purse.seal(epoch).expect("nobody else seals");
    returned.store(true, Ordering::Release);
    assert_eq!(sum(spenders) + taken, 10, "every credit is somewhere");
    assert_eq!(purse.balance(), 0, "a sealed escrow is empty");
}

/// A deposit for the old epoch comes while the owner seals, opens anew and fills.
fn late_deposit<P: Purse>() {
    let (purse, old) = filled::<P>(10);
    let (late, new_spends) = (purse.clone(), Arc::new(AtomicU64::new(0)));
    let late = turns(move || if late.deposit(old, 5).is_ok() { 5 } else { 0 });
    let spender = |_| {
        let (purse, new_spends) = (purse.clone(), new_spends.clone());
        turns(move || match purse.spend(1) {
            Ok(epoch) if epoch == old => 1,
            Ok(_) => {
                new_spends.fetch_add(1, Ordering::Relaxed);
                0
            }
            Err(NoSpend::Stray { .. }) => panic!("one word makes no strays"),
            Err(NoSpend::Short { .. } | NoSpend::Sealed { .. }) => 0,
        })
    };
    let spenders: Vec<_> = (0..1 + MORE).map(spender).collect();
    let taken = purse.seal(old).expect("nobody else seals");
    let new = purse.open(old.next()).expect("nobody else opens");
    purse.deposit(new, 1).expect("nobody else seals");
    let (landed, in_old) = (sum([late]), sum(spenders));
    let in_new = new_spends.load(Ordering::Relaxed);
    assert_eq!(in_new + purse.balance(), 1, "nothing late has landed in the new epoch");
    assert_eq!(in_old + taken, 10 + landed, "the old epoch is exact");
}

/// What was written before the deposit is seen by who spends it.
fn handover<P: Purse>() {
    let (purse, epoch) = filled::<P>(0);
    let watermark = Arc::new(AtomicU64::new(0));
    let (spender, mark) = (purse.clone(), watermark.clone());
    let spender = turns(move || {
        if spender.spend(10).is_ok() {
            assert_eq!(mark.load(Ordering::Relaxed), 10, "spent ahead of the watermark");
        }
        0
    });
    let small: Vec<_> = (0..1 + MORE).map(|_| self::spender(&purse, 1)).collect();
    watermark.store(10, Ordering::Relaxed);
    purse.deposit(epoch, 11).expect("it is open");
    sum([spender]);
    sum(small);
}

#[test]
fn of_several_spends_only_one_fits() {
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
        let spenders: Vec<_> =
            [4, 3, 1, 1, 2].into_iter().take(2 + MORE).map(|amount| spender(&purse, amount)).collect();
        let taken = purse.withdraw(epoch, 5).expect("nobody seals");
        assert!(purse.observe().balance <= 5, "everything above was taken");
        assert_eq!(sum(spenders) + taken + purse.balance(), 10, "every credit is somewhere");
        assert!(taken <= 5, "what was to be kept was not taken");
    });
}

#[test]
fn a_reallocation_moves_only_what_was_not_spent() {
    explore("donor's spend × seal, deposit × recipient's spends", 100, || {
        let (donor, from) = filled::<Escrow>(10);
        let (recipient, to) = filled::<Escrow>(2);
        let one_then_other = |purse: &Arc<Escrow>, amounts: [u64; 2]| {
            let purse = purse.clone();
            turns(move || amounts.into_iter().filter(|amount| purse.try_spend(*amount).is_ok()).sum())
        };
        let gives = one_then_other(&donor, [4, 3]);
        let gets = one_then_other(&recipient, [8, 2]);
        let more: Vec<_> = (0..MORE).map(|_| spender(&recipient, 1)).collect();
        let moved = donor.seal(from).expect("nobody else seals");
        recipient.deposit(to, moved).expect("nobody seals it");
        let spent = sum([gives, gets]) + sum(more);
        assert_eq!(spent + donor.balance() + recipient.balance(), 12, "the sum over both is exact");
        assert_eq!(donor.balance(), 0, "a sealed donor is empty");
    });
}

// ── Twins: each planted mistake must be found, or the races above check nothing ──────────────────

#[test]
fn a_twin_without_a_flaw_passes() {
    explore("twin without a flaw, spends", 50, spend_spend::<Twin<Faithful>>);
    explore("twin without a flaw, deposit", 50, spend_deposit::<Twin<Faithful>>);
    explore("twin without a flaw, seal", 50, spend_seal::<Twin<Faithful>>);
    explore("twin without a flaw, late deposit", 50, late_deposit::<Twin<Faithful>>);
    explore("twin without a flaw, watermark", 50, handover::<Twin<Faithful>>);
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

/// A mistake in the order of memory alone: no schedule shows it.
#[cfg(loom)]
#[test]
#[should_panic(expected = "ahead of the watermark")]
fn missing_order_is_caught() {
    explore("twin", 0, handover::<Twin<super::twin::Unordered>>);
}
