//! Random histories of holds, with crashes at every call of the disk, against a model that only remembers what it was told.
//! Not here: what each operation means (`holds`).

mod holder;

use holder::*;
use journal::{EndOfHold, Ended, OpenHold, Refused, SettleLate, Spend};
use platform::{Clock, Unsynced};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use types::{Credits, Durability, HoldNumber, Source};

#[derive(Clone, Debug)]
enum Step {
    Open(u64),
    Extend { which: usize, more: u64, confirm: u64 },
    Settle { which: usize, part: u64 },
    Release(usize),
    Late { which: usize, part: u64 },
    Charge(u64),
    Wait(u32),
    Close,
    Forget,
    Fill,
    Kill,
    Power(Unsynced),
    KillAfter(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let unsynced = prop_oneof![Just(Unsynced::Lost), any::<u64>().prop_map(Unsynced::Scattered)];
    let step = prop_oneof![
        8 => (1..20_u64).prop_map(Step::Open),
        8 => (0..6_usize, 0..10_u64, 0..10_u64)
            .prop_map(|(which, more, confirm)| Step::Extend { which, more, confirm }),
        5 => (0..6_usize, 0..30_u64).prop_map(|(which, part)| Step::Settle { which, part }),
        2 => (0..6_usize).prop_map(Step::Release),
        3 => (0..6_usize, 0..30_u64).prop_map(|(which, part)| Step::Late { which, part }),
        5 => (0..9_u64).prop_map(Step::Charge),
        2 => (1..50_000_u32).prop_map(Step::Wait),
        2 => Just(Step::Close),
        2 => Just(Step::Forget),
        1 => Just(Step::Fill),
        1 => Just(Step::Kill),
        2 => unsynced.prop_map(Step::Power),
        3 => (0..12_u64).prop_map(Step::KillAfter),
    ];
    prop::collection::vec(step, 1..80)
}

/// What a client was told of its hold. Two where the last step was not answered: one of them is true.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    held: u64,
    confirmed: u64,
    end: Option<(EndOfHold, u64)>,
}

struct World {
    machine: Machine,
    holder: Option<holder::Holder>,
    holds: BTreeMap<HoldNumber, Vec<Told>>,
    /// The line that is spent from, what is on its word, and what was spent on it.
    handle: u32,
    word: u64,
    spent: u64,
    crashes: u64,
    late: u64,
}

impl World {
    fn new() -> Self {
        let machine =
            Machine::new(journal::Options { segment_bytes: 24 * 1024, tail_bytes: 2_048, ..options() });
        let holder = Some(machine.start());
        let mut world = Self {
            machine,
            holder,
            holds: BTreeMap::new(),
            handle: 0,
            word: 0,
            spent: 0,
            crashes: 0,
            late: 0,
        };
        world.open_line();
        world
    }

    fn holder(&self) -> &holder::Holder {
        self.holder.as_ref().unwrap()
    }

    fn open_line(&mut self) {
        self.handle += 1;
        (self.word, self.spent) = (500, 0);
        self.holder().line_with(self.handle, "w", &[(shared(), credits(300)), (own(), credits(200))]);
    }

    fn take(&mut self, amount: u64) -> Option<Spend> {
        self.word = self.word.checked_sub(amount)?;
        self.spent += amount;
        Some(spend_of(self.handle, amount))
    }

    fn nth(&self, which: usize) -> Option<HoldNumber> {
        self.holds.keys().rev().nth(which).copied()
    }

    /// What is surely so of a hold, unless the process has just died over it.
    fn known(&self, hold: HoldNumber) -> Told {
        self.holds[&hold].last().unwrap().clone()
    }

    /// The step was answered, refused, or nobody knows: then either is possible.
    fn note(&mut self, hold: HoldNumber, before: Told, after: Told, refused: Option<Refused>) {
        let possible = match refused {
            None => vec![after],
            Some(Refused::Stopped { .. }) => vec![before, after],
            Some(Refused::HoldOver(over)) => {
                vec![Told { end: Some((over.end, over.charged.micros())), ..before }]
            }
            Some(_) => vec![before],
        };
        self.holds.insert(hold, possible);
    }

    fn extend(&mut self, which: usize, more: u64, confirm: u64) {
        let Some(hold) = self.nth(which) else { return };
        let before = self.known(hold);
        let to = before.held + more;
        let confirmed = (before.confirmed + confirm).min(to);
        let spend = if more == 0 { None } else { self.take(more) };
        if more > 0 && spend.is_none() {
            return;
        }
        let answer = self.holder().extend(self.machine.more(hold, spend, to, confirmed));
        let after = Told { held: to, confirmed, ..before.clone() };
        if let Ok(view) = &answer {
            assert_eq!((view.facts.held.micros(), view.confirmed.micros()), (to, confirmed));
            assert_eq!(before.end, None, "an extension of a hold that is over");
        }
        self.note(hold, before, after, answer.err());
    }

    fn settle(&mut self, which: usize, part: u64) {
        let Some(hold) = self.nth(which) else { return };
        let before = self.known(hold);
        let answer = self.holder().end(hold, self.machine.settle(part));
        if let Ok(ended) = &answer {
            assert!(before.end.is_none() && (before.confirmed..=before.held).contains(&part), "{before:?}");
            assert_eq!(told(ended), (EndOfHold::Settled, part, before.held - part));
        }
        let after = Told { end: Some((EndOfHold::Settled, part)), ..before.clone() };
        self.note(hold, before, after, answer.err());
    }

    fn release(&mut self, which: usize) {
        let Some(hold) = self.nth(which) else { return };
        let before = self.known(hold);
        let answer = self.holder().end(hold, self.machine.release());
        let after = Told { end: Some((EndOfHold::Released, before.confirmed)), ..before.clone() };
        self.note(hold, before, after, answer.err());
    }

    fn late(&mut self, which: usize, part: u64) {
        let expired = |told: &Told| matches!(told.end, Some((EndOfHold::Expired, _)));
        let of_expired: Vec<_> =
            self.holds.keys().copied().filter(|hold| expired(&self.known(*hold))).collect();
        let Some(hold) = of_expired.into_iter().rev().nth(which) else { return };
        let before = self.known(hold);
        let (_, charged) = before.end.unwrap();
        let amount = part.min(before.held - charged);
        let Some(spend) = self.take(amount) else { return };
        let day = self.machine.clock.now().day();
        let answer = self.holder().settle_late(SettleLate { hold, spend, units: Vec::new(), day });
        self.late += u64::from(answer.is_ok());
        let after = Told { end: Some((EndOfHold::SettledLate, charged + amount)), ..before.clone() };
        self.note(hold, before, after, answer.err());
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Open(amount) => {
                let Some(spend) = self.take(*amount) else { return };
                let wish = OpenHold { spend, ..self.machine.wish(self.handle, *amount) };
                if let Ok(held) = self.holder().hold(wish) {
                    let told = Told { held: *amount, confirmed: 0, end: None };
                    assert_eq!(
                        self.holds.insert(held.number, vec![told]),
                        None,
                        "S10: a number was used twice"
                    );
                }
            }
            Step::Extend { which, more, confirm } => self.extend(*which, *more, *confirm),
            Step::Settle { which, part } => self.settle(*which, *part),
            Step::Release(which) => self.release(*which),
            Step::Late { which, part } => self.late(*which, *part),
            Step::Charge(amount) => {
                if self.take(*amount).is_some() {
                    let _in_doubt = self.holder().charge(chat(self.handle, *amount, Durability::Local));
                }
            }
            Step::Wait(ms) => {
                self.machine.clock.advance_ms(*ms);
                let day = self.machine.clock.now().day();
                let expired = self.holder().run(self.holder().journal.expire_holds(day, BTreeSet::new()));
                for ended in expired.unwrap_or_default() {
                    if self.holds.contains_key(&ended.over.facts.number) {
                        self.expired(&ended);
                    }
                }
            }
            Step::Close => {
                let lines = self.holder().run(self.holder().journal.lines()).unwrap_or_default();
                if let Some(view) = lines.into_iter().find(|view| !view.attached.is_empty()) {
                    let closing = self.holder().journal.close(view.line, credits(self.spent));
                    if self.holder().run(closing).is_ok() {
                        self.open_line_unless_dead();
                    }
                }
            }
            Step::Forget => self.forget_closed(),
            Step::Fill => {
                for _ in 0..400 {
                    let _in_doubt = self.holder().charge(chat(self.handle, 0, Durability::Local));
                }
            }
            Step::Kill => self.crash(None),
            Step::Power(unsynced) => self.crash(Some(*unsynced)),
            Step::KillAfter(calls) => self.machine.disk.kill_after(*calls),
        }
        if self.holder().journal.reserve().is_err() {
            self.crash(None);
        }
        self.check_lines();
    }

    fn open_line_unless_dead(&mut self) {
        if self.holder().journal.reserve().is_ok() {
            let wish = open_wish(self.handle + 1, "w");
            if self.holder().run(self.holder().journal.open_line(wish)).is_err() {
                return;
            }
            self.handle += 1;
            (self.word, self.spent) = (0, 0);
            self.fill_word();
        }
    }

    fn fill_word(&mut self) {
        let lines = self.holder().run(self.holder().journal.lines()).unwrap_or_default();
        let Some(view) = lines.into_iter().find(|view| !view.attached.is_empty()) else { return };
        let journal = &self.holder().journal;
        let filled = self.holder().run(async {
            journal.install(view.line.clone(), vec![(shared(), credits(300)), (own(), credits(200))]).await?;
            journal.raise_watermark(view.line.clone(), credits(500)).await
        });
        self.word = filled.map_or(0, Credits::micros);
    }

    fn expired(&mut self, ended: &Ended) {
        let hold = ended.over.facts.number;
        let before = self.known(hold);
        assert_eq!(told(ended), (EndOfHold::Expired, before.confirmed, before.held - before.confirmed));
        self.holds.insert(hold, vec![Told { end: Some((EndOfHold::Expired, before.confirmed)), ..before }]);
    }

    fn forget_closed(&mut self) {
        let journal = self.holder().journal.clone();
        self.holder().run(async {
            for view in journal.lines().await.unwrap_or_default() {
                if view.closed {
                    let _stopped = journal.forget(view.line).await;
                }
            }
        });
    }

    /// S4, S5 of each line.
    fn check_lines(&self) {
        for view in self.holder().run(self.holder().journal.lines()).unwrap_or_default() {
            let gone = view.used.micros() + view.unattributed.micros() + view.held.micros();
            assert!(gone <= view.watermark.micros(), "{view:?}");
            assert!(view.watermark.micros() + view.returned.micros() <= view.drawn.micros(), "{view:?}");
            assert!(!view.closed || view.held.is_zero(), "{view:?}");
        }
    }

    fn crash(&mut self, power: Option<Unsynced>) {
        self.crashes += 1;
        let holder = self.holder.take().unwrap();
        match power {
            None => self.machine.kill(holder),
            Some(unsynced) => self.machine.power_loss(holder, unsynced),
        }
        self.holder = Some(self.machine.start());
        let known: Vec<HoldNumber> = self.holds.keys().copied().collect();
        for hold in known {
            let now = match self.holder().look(hold) {
                Ok(view) => {
                    let (held, confirmed) = (view.facts.held.micros(), view.confirmed.micros());
                    Told { held, confirmed, end: None }
                }
                Err(Refused::HoldOver(over)) => {
                    let before = self.known(hold);
                    let end = Some((over.end, over.charged.micros()));
                    Told { held: over.facts.held.micros(), confirmed: before.confirmed, end }
                }
                Err(other) => panic!("{hold:?} is lost: {other}"),
            };
            // Nobody was told when it expired on the way.
            let expires =
                |told: &Told| Told { end: Some((EndOfHold::Expired, told.confirmed)), ..told.clone() };
            let possible = &self.holds[&hold];
            let may = |told: &Told| {
                *told == now
                    || told.end.is_none() && expires(told) == now
                    || told.end == now.end && told.end.is_some() && told.held == now.held
            };
            assert!(possible.iter().any(may), "{now:?} after a crash, not one of {possible:?}");
            self.holds.insert(hold, vec![now]);
        }
        let held: u64 =
            self.holds.values().map(|told| if told[0].end.is_none() { told[0].held } else { 0 }).sum();
        let lines = self.holder().recovered.lines.clone();
        let on_lines: u64 = lines.iter().map(|view| view.held.micros()).sum();
        assert!(on_lines >= held, "lines hold {on_lines}, clients were told of {held}");
        self.holder().registered("0");
        // Who takes the line up would go on with it; here another one is opened.
        for view in lines.into_iter().filter(|view| !view.closed && !view.is_ending) {
            self.holder().run(self.holder().journal.close(view.line, view.arrived)).unwrap();
        }
        self.open_line();
    }

    /// Everything ends: what was drawn is used, lost in detail, or returned.
    fn finish(mut self) -> (u64, u64) {
        self.crash(None);
        self.machine.clock.advance_ms(2 * TTL_MS);
        for ended in self.holder().expire(&self.machine) {
            if self.holds.contains_key(&ended.over.facts.number) {
                self.expired(&ended);
            }
        }
        assert_eq!(self.holder().journal.open_holds(), 0);
        let lines = self.holder().run(self.holder().journal.lines()).unwrap();
        for view in lines {
            let closing = self.holder().journal.close(view.line.clone(), view.arrived);
            let numbers = self.holder().run(closing).unwrap();
            let sum = |f: fn(&journal::BackingNumbers) -> Credits| {
                numbers.backings.iter().map(|b| f(b).micros()).sum::<u64>()
            };
            assert!(numbers.closed && numbers.held.is_zero() && numbers.confirmed.is_zero());
            assert_eq!(sum(|b| b.drawn), sum(|b| b.used) + sum(|b| b.unattributed) + sum(|b| b.returned));
        }
        (self.crashes, self.late)
    }
}

fn own() -> types::Backing {
    backing(Source::Allocation, 2)
}

#[test]
fn through_any_history_with_crashes_a_hold_is_what_its_client_was_told() {
    let seen = std::cell::Cell::new((0, 0));
    let config = ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() };
    let run = proptest::test_runner::TestRunner::new(config).run(&steps(), |steps| {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        let (crashes, late) = world.finish();
        seen.set((seen.get().0 + crashes, seen.get().1 + late));
        Ok(())
    });
    run.unwrap_or_else(|why| panic!("{why}"));
    let (crashes, late) = seen.get();
    assert!(crashes > 1_000 && late > 20, "{crashes} crashes, {late} settled late: too little was tried");
}
