//! Races between those who spend from a line and its owner: who rests and is told, who raises what was above, who goes
//! over to several words. Not here: the steps of a word (`one`, `striped`).

use escrow::{NoSpend, Words};

use super::twin_words::{
    CountsAnew, FIRST, Faithful, LeavesOpen, Line, LooksFirst, RaisesFirst, TwinLine, Two,
};
use super::{Seen, sum, turns};
use crate::under::{Arc, AtomicBool, AtomicU64, MORE, Ordering, TURNS, explore, thread};

/// Each spends once, and tells the owner when the bell rings or when he gets nothing. The owner rests, and looks again
/// whenever he was told. In the end, when nobody tells him any more, he knows what is there, as far as it is below low
/// water: else a consume that waits for him would wait on.
fn rest<L: Line>(low_water: u64, amounts: [u64; 2], unseen: &Seen) {
    let (line, told) = (Arc::new(L::filled()), Arc::new(AtomicU64::new(0)));
    let spender = |(at, amount)| {
        let (line, told) = (line.clone(), told.clone());
        thread::spawn(move || {
            let answer = line.spend(at, amount);
            if answer.is_ok_and(|(_, _, rings)| !rings) {
                return amount;
            }
            told.fetch_add(1, Ordering::AcqRel);
            answer.map_or(0, |_| amount)
        })
    };
    let spenders: Vec<_> = amounts.into_iter().chain([1; MORE]).enumerate().map(spender).collect();
    let mut knows = line.rest(low_water);
    for _ in 0..TURNS {
        if told.swap(0, Ordering::AcqRel) > 0 {
            knows = line.rest(low_water);
        }
    }
    let spent = sum(spenders);
    unseen.note(knows + spent > 10);
    if told.swap(0, Ordering::AcqRel) > 0 {
        knows = line.rest(low_water);
    }
    let now = line.balance();
    assert_eq!(now + spent, 10, "every credit is somewhere");
    assert!(knows == now || now >= low_water, "the owner rests and does not know of a spend");
}

/// The owner puts what is above on the word, in parts, while others spend and say what is left.
fn raise<L: Line>() {
    let line = Arc::new(L::filled());
    line.set_above(6 * TURNS);
    let all = 10 + 6 * TURNS;
    let spender = |at| {
        let line = line.clone();
        turns(move || match line.spend(at, 2) {
            Ok((_, left, _)) => {
                assert!(line.with_above(left) <= all - 2, "a credit was told twice");
                2
            }
            Err(_) => 0,
        })
    };
    let spenders: Vec<_> = (0..2 + MORE).map(spender).collect();
    for turn in 1..=TURNS {
        line.raise(6, 6 * (TURNS - turn));
    }
    assert_eq!(sum(spenders) + line.with_above(line.balance()), all, "every credit is somewhere");
}

/// The owner ends the line and goes over to several words for the next one, with 7; some spend all the while.
fn spread<L: Line>(old_spends: &Seen, new_spends: &Seen) {
    let (line, told) = (Arc::new(L::filled()), Arc::new(AtomicBool::new(false)));
    let in_new = Arc::new(AtomicU64::new(0));
    let spender = |(at, amount)| {
        let (line, told, in_new) = (line.clone(), told.clone(), in_new.clone());
        turns(move || {
            let is_told = told.load(Ordering::Acquire);
            match line.spend(at, amount) {
                Ok((epoch, ..)) if epoch == FIRST => {
                    assert!(!is_told, "the line that ended is exact: nothing is spent from it");
                    amount
                }
                Ok(_) => {
                    in_new.fetch_add(amount, Ordering::Relaxed);
                    0
                }
                Err(NoSpend::Sealed { .. }) => {
                    assert!(!is_told, "who was told that there is more finds the new words");
                    0
                }
                Err(NoSpend::Short { .. }) => 0,
                Err(NoSpend::Stray { .. }) => panic!("nobody seals the new words"),
            }
        })
    };
    let spenders: Vec<_> = [3, 4, 1, 2, 5].into_iter().take(2 + MORE).enumerate().map(spender).collect();
    let taken = line.spread(7);
    told.store(true, Ordering::Release);
    let in_old = sum(spenders);
    let in_new = in_new.load(Ordering::Relaxed);
    assert_eq!(in_old + taken, 10, "the line that ended is exact");
    assert_eq!(in_new + line.balance(), 7, "the new line is exact");
    old_spends.note(in_old > 0);
    new_spends.note(in_new > 0);
}

/// A line's whole life: raised, rested on, recalled in part, ended, spread, filled anew, while some spend.
fn life() {
    let words = Arc::new(<Words as Line>::filled());
    let stray = Arc::new(AtomicU64::new(0));
    let spender = |(at, amount)| {
        let (words, stray) = (words.clone(), stray.clone());
        turns(move || match words.try_spend_at(at, amount) {
            Ok(spent) => {
                words.rings(spent);
                amount
            }
            Err(NoSpend::Stray { amount, .. }) => {
                stray.fetch_add(amount, Ordering::Relaxed);
                0
            }
            Err(NoSpend::Short { .. } | NoSpend::Sealed { .. }) => 0,
        })
    };
    let spenders: Vec<_> = [6, 3, 5, 2, 4].into_iter().take(1 + MORE).enumerate().map(spender).collect();
    words.raise(FIRST, 4, 0).expect("nobody else seals");
    words.rest(u64::MAX);
    let mut taken = words.withdraw(FIRST, 7).expect("nobody else seals");
    taken += Line::spread(&*words, 8);
    let second = words.rest(3).epoch;
    taken += words.seal(second).expect("nobody else seals");
    let spent = sum(spenders);
    assert_eq!(spent + taken + stray.load(Ordering::Relaxed), 10 + 4 + 8, "every credit is somewhere");
    assert!(words.observe().sealed && words.observe().balance == 0, "sealed and empty");
}

#[test]
fn an_owner_who_rests_knows_every_spend_or_is_told() {
    let unseen = Seen::never();
    let saw_unseen = unseen.clone();
    explore("spend, ring × spend, ring × rest", 100, move || rest::<Words>(u64::MAX, [3, 2], &saw_unseen));
    unseen.must_have("a spend came after the look");
}

#[test]
fn an_owner_who_rests_is_told_below_low_water() {
    let unseen = Seen::never();
    let saw_unseen = unseen.clone();
    explore("spend × spend, ring × rest at 8", 100, move || rest::<Words>(8, [1, 2], &saw_unseen));
    unseen.must_have("a spend came after the look");
}

#[test]
fn an_owner_of_several_words_knows_every_gather_or_is_told() {
    let unseen = Seen::never();
    let saw_unseen = unseen.clone();
    explore("gather, ring × spend, ring × rest", 500, move || rest::<Two>(u64::MAX, [6, 2], &saw_unseen));
    unseen.must_have("a spend came after the look");
}

#[test]
fn what_is_raised_is_never_told_twice() {
    explore("spend, tell × spend, tell × raise", 100, raise::<Words>);
}

#[test]
fn who_goes_over_to_several_words_loses_no_credit() {
    let (old, new) = (Seen::never(), Seen::never());
    let (saw_old, saw_new) = (old.clone(), new.clone());
    explore("spend × spend × seal, spread", 500, move || spread::<Words>(&saw_old, &saw_new));
    old.must_have("a spend before the change");
    new.must_have("a spend after it");
}

#[test]
fn a_line_is_exact_over_its_whole_life() {
    explore("spend × raise, rest, withdraw, spread, seal", 100, life);
}

// ── Twins: each planted mistake must be found, or the races above check nothing ──────────────────

#[test]
fn a_twin_without_a_flaw_passes() {
    type Twin = TwinLine<Faithful>;
    explore("twin without a flaw, rest", 100, || rest::<Twin>(u64::MAX, [3, 2], &Seen::never()));
    explore("twin without a flaw, raise", 100, raise::<Twin>);
    explore("twin without a flaw, spread", 500, || spread::<Twin>(&Seen::never(), &Seen::never()));
}

#[test]
#[should_panic(expected = "does not know of a spend")]
fn looking_before_resting_is_caught() {
    explore("twin", 0, || rest::<TwinLine<LooksFirst>>(u64::MAX, [3, 2], &Seen::never()));
}

/// A mistake in the order of memory alone: no schedule shows it. On a processor one in some hundred meetings does.
#[cfg(loom)]
#[test]
#[should_panic(expected = "does not know of a spend")]
fn a_look_out_of_turn_is_caught() {
    use super::twin_words::LooksOutOfTurn;
    explore("twin", 0, || rest::<TwinLine<LooksOutOfTurn>>(u64::MAX, [3, 2], &Seen::never()));
}

#[test]
#[should_panic(expected = "a credit was told twice")]
fn raising_before_lowering_is_caught() {
    explore("twin", 0, raise::<TwinLine<RaisesFirst>>);
}

#[test]
#[should_panic(expected = "the line that ended is exact")]
fn words_left_open_are_caught() {
    explore("twin", 0, || spread::<TwinLine<LeavesOpen>>(&Seen::never(), &Seen::never()));
}

#[test]
#[should_panic(expected = "the line that ended is exact")]
fn epochs_counted_anew_are_caught() {
    explore("twin", 0, || spread::<TwinLine<CountsAnew>>(&Seen::never(), &Seen::never()));
}
