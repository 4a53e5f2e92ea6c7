//! Races on several words that act as one balance. Not here: one word (`one`), going over to several (`words`).

use escrow::{Epoch, NoSpend, Refused, Striped, Stripes};

use super::twin::{Forgetful, Misplacing, Naive, Pair};
use super::{Seen, sum, turns};
use crate::under::{Arc, AtomicBool, MORE, Ordering, TURNS, explore, thread};

/// Two stripes with a balance each.
fn filled<P: Pair>(balances: &[u64]) -> (Arc<P>, Epoch) {
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

impl Got {
    fn and(self, other: Got) -> Got {
        Got { old: self.old + other.old, new: self.new + other.new, stray: self.stray + other.stray }
    }
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

/// Spends so much at a stripe, so often as threads do.
fn spender<P: Pair>(pair: &Arc<P>, at: usize, amount: u64, old: Epoch) -> thread::JoinHandle<Got> {
    let pair = pair.clone();
    let once = move || tally(pair.spend_at(at, amount), amount, old);
    thread::spawn(move || (0..TURNS).map(|_| once()).fold(Got::default(), Got::and))
}

fn got(threads: impl IntoIterator<Item = thread::JoinHandle<Got>>) -> Got {
    threads.into_iter().map(|thread| thread.join().unwrap()).fold(Got::default(), Got::and)
}

/// Small spenders on both stripes, beyond the fewest that make a race.
fn more<P: Pair>(pair: &Arc<P>, old: Epoch) -> Vec<thread::JoinHandle<Got>> {
    (0..MORE).map(|at| spender(pair, at % 2, 1, old)).collect()
}

/// Each of two needs more than either stripe has.
fn gather_gather<P: Pair>(amount: u64) {
    let (pair, _) = filled::<P>(&[5, 5]);
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
    let (pair, epoch) = filled::<P>(&[5, 5]);
    // With others beside the two, a refusal may be pessimistic.
    let enough = MORE == 0 && 7 + home <= 10;
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
    let more = more(&pair, epoch);
    let taken = pair.seal(epoch).expect("nobody else seals");
    returned.store(true, Ordering::Release);
    let gatherer = gatherer.join().unwrap();
    let all = gatherer.and(other.join().unwrap()).and(got(more));
    assert_eq!(all.old + all.stray + taken, 10, "every credit is somewhere");
    assert_eq!(pair.balance(), 0, "sealed stripes are empty");
    stray.note(gatherer.stray > 0);
    gathered.note(gatherer.old > 0);
}

/// A gatherer of the old epoch comes back while the owner has sealed, opened anew and filled.
fn gather_reopen<P: Pair>(stray: &Seen) {
    let (pair, old) = filled::<P>(&[5, 5]);
    let gatherer = pair.clone();
    let gatherer = thread::spawn(move || tally(gatherer.spend_at(1, 7), 7, old));
    let more = more(&pair, old);
    let taken = pair.seal(old).expect("nobody else seals");
    let new = pair.open(old.next()).expect("nobody else opens");
    pair.deposit(new, 8).expect("nobody else seals");
    let gatherer = gatherer.join().unwrap();
    let all = gatherer.and(got(more));
    assert_eq!(all.new + pair.balance(), 8, "nothing of the old epoch has landed in the new one");
    assert_eq!(all.old + all.stray + taken, 10, "the old epoch is exact");
    stray.note(gatherer.stray > 0);
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
        let (pair, epoch) = filled::<Striped>(&[4, 4]);
        let gatherer = pair.clone();
        let gatherer = thread::spawn(move || tally(gatherer.spend_at(1, 7), 7, epoch));
        let spender = spender(&pair, 0, 3, epoch);
        let more = more(&pair, epoch);
        pair.deposit(epoch, 1).expect("nobody seals");
        let (gathered, spent) = (gatherer.join().unwrap().old, spender.join().unwrap().old);
        assert_eq!(gathered + spent + got(more).old + pair.balance(), 9, "every credit is somewhere");
        saw_both.note(gathered == 7);
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
        let (pair, epoch) = filled::<Striped>(&[5, 5]);
        let gatherer = pair.clone();
        let gatherer = thread::spawn(move || tally(gatherer.spend_at(1, 6), 6, epoch));
        let mut spenders = more(&pair, epoch);
        spenders.push(spender(&pair, 0, 2, epoch));
        let taken = pair.withdraw(epoch, 4).expect("nobody seals");
        let spent = gatherer.join().unwrap().old + got(spenders).old;
        assert_eq!(spent + taken + pair.balance(), 10, "every credit is somewhere");
    });
}

#[test]
fn of_several_owners_one_seals_and_one_opens() {
    let opened = Seen::never();
    let saw_opened = opened.clone();
    explore("seal × seal × open", 50, move || {
        let (pair, old) = filled::<Striped>(&[5, 5]);
        let (sealers, opener) = (Arc::new(AtomicBool::new(false)), pair.clone());
        let others: Vec<_> = (0..1 + MORE)
            .map(|_| {
                let (pair, won) = (pair.clone(), sealers.clone());
                turns(move || {
                    let taken = pair.seal(old);
                    assert!(taken.is_err() || !won.swap(true, Ordering::Relaxed), "only one of them seals");
                    taken.unwrap_or(0)
                })
            })
            .collect();
        let opener = thread::spawn(move || opener.open(old.next()));
        let mine = pair.seal(old);
        let (taken, reopened) = (sum(others), opener.join().unwrap());
        let other_won = sealers.load(Ordering::Relaxed);
        assert!(mine.is_ok() != other_won, "one of all seals");
        assert_eq!(mine.unwrap_or(0) + taken, 10, "who seals gets all");
        let now = pair.observe();
        match reopened {
            Ok(new) => assert!(now.epoch == new && !now.sealed, "open means: all stripes are"),
            Err(_) => assert!(now.epoch == old.next() && now.sealed, "sealed means: all stripes are"),
        }
        let next: Result<Epoch, Refused> = reopened.or_else(|_| pair.open(old.next()));
        let next = next.expect("all are sealed");
        assert_eq!(pair.deposit(next, 3), Ok(3), "and it goes on");
        assert_eq!(pair.seal(next), Ok(3));
        saw_opened.note(reopened.is_ok());
    });
    opened.must_have("the opener came right after the seal");
}

// ── Twins: each planted mistake must be found, or the races above check nothing ──────────────────

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
