//! A naive holder that only remembers what it was told. It never looks into the journal; after every start it compares
//! what it was told with what was recovered. Not here: which steps a history has.

use crate::holder::{self, Machine, backing, chat, credits, line, open_wish, options, workspace};
use journal::{Begun, Charge, Charged, HandleNo, LineKey, OpenLine, Refused};
use platform::{Clock, Unsynced};
use std::collections::BTreeMap;
use types::{Backing, Credits, Durability, Source};

/// How far a watermark runs ahead of what is spent.
pub const CHUNK: u64 = 40;
pub const USERS: u32 = 3;
pub const KEYS: u8 = 12;

#[derive(Clone, Debug)]
pub enum Step {
    Draw {
        user: u32,
        grant: u32,
        more: u64,
    },
    Raise {
        user: u32,
    },
    /// Several at once, so that some share a write and a sync.
    Charge {
        user: u32,
        amounts: Vec<u64>,
        disk: bool,
        key: Option<u8>,
    },
    /// So many free calls that the segment fills up.
    Burst {
        user: u32,
        calls: u64,
    },
    GiveBack {
        user: u32,
        balance: u64,
        above: u64,
    },
    Report {
        user: u32,
        fresh: bool,
    },
    Close {
        user: u32,
    },
    Forget {
        user: u32,
    },
    Kill,
    KillAfter(u64),
    PowerLoss(Unsynced),
    FailSyncs(u64),
    FailWrites(u64),
    FillDisk,
    FreeDisk,
}

/// What must have happened in a run, or the run has shown nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub acknowledged: u64,
    pub returned: u64,
    pub closed: u64,
    pub replayed: u64,
    pub in_doubt: u64,
    pub stopped: u64,
    pub exact: u64,
    pub rounded: u64,
    pub rolled: u64,
    pub full: u64,
}

/// What the model was told of one line.
#[derive(Clone, Debug, Default)]
struct Told {
    epoch: u16,
    drawn: BTreeMap<Backing, u64>,
    /// What the escrow's word has, and what was ever spent on it in this life, answered or not.
    word: u64,
    used: u64,
    unattributed: u64,
    watermark: u64,
    returned: u64,
    acknowledged: u64,
    acknowledged_disk: u64,
    /// Sent and refused or never answered: charged or not.
    in_doubt: u64,
    /// Spent on the word and refused by a full disk: not charged, and off the word until the line closes.
    abandoned: u64,
    return_in_doubt: u64,
    close_asked: bool,
    closed: bool,
    forget_asked: bool,
}

impl Told {
    fn drawn(&self) -> u64 {
        self.drawn.values().sum()
    }

    fn installs(&self) -> Vec<(Backing, Credits)> {
        self.drawn.iter().map(|(backing, drawn)| (*backing, credits(*drawn))).collect()
    }
}

pub struct World {
    pub machine: Machine,
    holder: Option<holder::Holder>,
    lines: BTreeMap<LineKey, Told>,
    current: BTreeMap<u32, LineKey>,
    epoch: u16,
    /// What keys were answered, and whether a power failure may have taken it.
    pub keys: BTreeMap<u8, (Charged, bool)>,
    sequence: u64,
    pub seen: Seen,
}

fn name(user: u32) -> &'static str {
    ["w0", "w1", "w0"][user as usize]
}

fn person(user: u32) -> &'static str {
    ["ann", "ann", "bob"][user as usize]
}

#[derive(Clone, Copy, PartialEq)]
pub enum Crash {
    Kill,
    Power,
}

impl World {
    pub fn new() -> Self {
        // The shortest segments, so that histories cross many.
        let machine =
            Machine::new(journal::Options { segment_bytes: 18 * 1024, tail_bytes: 2_048, ..options() });
        let holder = machine.start();
        holder.registered("0");
        let holder = Some(holder);
        let (lines, current, keys) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { machine, holder, lines, current, epoch: 1, keys, sequence: 0, seen: Seen::default() }
    }

    fn holder(&self) -> &holder::Holder {
        self.holder.as_ref().unwrap()
    }

    pub fn run(&mut self, step: &Step) {
        match step {
            Step::Draw { user, grant, more } => self.draw(*user, *grant, *more),
            Step::Raise { user } => self.raise(*user),
            Step::Charge { user, amounts, disk, key } => self.charge(*user, amounts, *disk, *key),
            Step::GiveBack { user, balance, above } => self.give_back(*user, *balance, *above),
            Step::Report { user, fresh } => self.report(*user, *fresh),
            Step::Close { user } => self.close(*user),
            Step::Forget { user } => self.forget(*user),
            Step::Kill => self.crash(Crash::Kill, Unsynced::Lost),
            Step::PowerLoss(unsynced) => self.crash(Crash::Power, *unsynced),
            Step::KillAfter(calls) => self.machine.disk.kill_after(*calls),
            Step::FailSyncs(count) => self.machine.disk.fail_syncs(*count),
            Step::FailWrites(count) => self.machine.disk.fail_writes(*count),
            Step::Burst { user, calls } => self.burst(*user, *calls),
            Step::FillDisk => self.machine.disk.set_capacity_bytes(Some(self.machine.disk.used_bytes())),
            Step::FreeDisk => self.machine.disk.set_capacity_bytes(None),
        }
        let journal = self.holder().journal.clone();
        let reserved = journal.reserve().map(|_| ());
        match reserved {
            Ok(_) => {}
            Err(Refused::StorageFull { .. }) => self.seen.full += 1,
            Err(_) => {
                self.seen.stopped += 1;
                self.crash(Crash::Kill, Unsynced::Lost);
            }
        }
        let sequence = self.holder().journal.sequence();
        assert!(sequence >= self.sequence, "the sequence went from {} to {sequence}", self.sequence);
        self.sequence = sequence;
    }

    fn told(&mut self, user: u32) -> Option<(LineKey, &mut Told)> {
        let line = self.current.get(&user)?.clone();
        let told = self.lines.get_mut(&line)?;
        (!told.close_asked).then_some((line, told))
    }

    fn draw(&mut self, user: u32, grant: u32, more: u64) {
        if self.told(user).is_none() {
            self.epoch += 1;
            let wish = OpenLine {
                epoch: self.epoch,
                user: holder::user(person(user)),
                ..open_wish(user, name(user))
            };
            let holder = self.holder();
            let Ok(number) = holder.run(holder.journal.open_line(wish)) else { return };
            let line = line(name(user), number.0);
            let highest =
                self.lines.keys().filter(|key| key.workspace == line.workspace).map(|key| key.number).max();
            assert!(highest < Some(number), "{number:?} was used before");
            self.lines.insert(line.clone(), Told { epoch: self.epoch, ..Told::default() });
            self.current.insert(user, line);
        }
        let Some((line, told)) = self.told(user) else { return };
        let source = if grant == 3 { Source::Allocation } else { Source::Shared };
        *told.drawn.entry(backing(source, grant)).or_default() += more;
        let drawn = told.installs();
        let holder = self.holder();
        let _lost_or_known = holder.run(holder.journal.install(line, drawn));
    }

    fn raise(&mut self, user: u32) {
        let Some((line, told)) = self.told(user) else { return };
        let ahead_of = told.used - told.abandoned + told.unattributed;
        let to = (ahead_of + CHUNK).min(told.drawn() - told.returned - told.return_in_doubt);
        if to <= told.watermark {
            return;
        }
        let holder = self.holder();
        let raised = holder.run(holder.journal.raise_watermark(line, credits(to)));
        let Some((_, told)) = self.told(user) else { return };
        match raised {
            Ok(by) => {
                assert_eq!(told.watermark + by.micros(), to);
                told.watermark = to;
                told.word += by.micros();
            }
            Err(Refused::BeyondDrawn { .. }) => panic!("the model knows better: {told:?}"),
            Err(_) => {}
        }
    }

    fn charge(&mut self, user: u32, amounts: &[u64], disk: bool, key: Option<u8>) {
        let durability = if disk { Durability::Disk } else { Durability::Local };
        // Nothing is spent without a permit.
        let journal = self.holder().journal.clone();
        let permits: Vec<_> = amounts.iter().filter_map(|_| journal.reserve().ok()).collect();
        let permitted = permits.len() == amounts.len();
        let Some((line, told)) = self.told(user) else { return };
        let epoch = told.epoch;
        let mut spent = Vec::new();
        for amount in amounts.iter().filter(|_| permitted) {
            if *amount <= told.word {
                told.word -= amount;
                told.used += amount;
                spent.push(*amount);
            }
        }
        let guard = match key.filter(|_| !spent.is_empty()) {
            None => None,
            Some(key) => match self.begin(user, key) {
                Some(guard) => Some((key, guard)),
                None => {
                    let (_, told) = self.told(user).unwrap();
                    told.word += spent.iter().sum::<u64>();
                    told.used -= spent.iter().sum::<u64>();
                    return;
                }
            },
        };
        let (keyed, mut guard) = guard.map_or((None, None), |(key, guard)| (Some(key), Some(guard)));
        let now = self.machine.clock.now();
        let holder = self.holder();
        let answers: Vec<_> = holder.run(async {
            let mut charging = Vec::new();
            for (amount, permit) in spent.iter().zip(permits) {
                let charge = Charge {
                    epoch,
                    amount: credits(*amount),
                    at: now,
                    key: guard.take(),
                    ..chat(user, *amount, durability)
                };
                charging.push(permit.charge(charge));
            }
            let mut answers = Vec::new();
            for one in charging {
                answers.push(one.await);
            }
            answers
        });
        if let (Some(key), Some(Ok(charged))) = (keyed, answers.first()) {
            self.keys.insert(slot_of(user, key), (charged.clone(), disk));
        }
        self.seen.acknowledged += answers.iter().filter(|answer| answer.is_ok()).count() as u64;
        self.seen.in_doubt += answers.iter().filter(|answer| answer.is_err()).count() as u64;
        let told = self.lines.get_mut(&line).unwrap();
        for (amount, answer) in spent.iter().zip(answers) {
            match answer {
                Ok(charged) => {
                    assert_eq!((charged.line, charged.amount), (line.number, credits(*amount)));
                    assert_eq!(charged.sources.iter().map(|(_, part)| part.micros()).sum::<u64>(), *amount);
                    told.acknowledged += amount;
                    told.acknowledged_disk += if disk { *amount } else { 0 };
                }
                Err(Refused::StorageFull { .. }) => told.abandoned += amount,
                Err(_) => told.in_doubt += amount,
            }
        }
    }

    fn burst(&mut self, user: u32, calls: u64) {
        let Some((_, told)) = self.told(user) else { return };
        let epoch = told.epoch;
        let holder = self.holder();
        let first = self.machine.segments().pop();
        holder.run(async {
            for _ in 0..calls {
                let Ok(permit) = holder.journal.reserve() else { break };
                let free = Charge { epoch, ..chat(user, 0, Durability::Local) };
                if permit.charge(free).await.is_err() {
                    break;
                }
            }
        });
        self.seen.rolled += u64::from(self.machine.segments().pop() != first);
    }

    /// A key that is free; a used one must answer what it was answered.
    pub fn begin(&mut self, user: u32, key: u8) -> Option<journal::KeyGuard> {
        let name_of_key = types::IdempotencyKey::parse(&format!("k{key}")).unwrap();
        let (workspace, person) = (workspace(name(user)), holder::user(person(user)));
        let begun = self.holder().keys.begin(&workspace, &person, &name_of_key, [key; 32]);
        let slot = slot_of(user, key);
        let known = self.keys.get(&slot);
        match begun {
            Begun::Fresh(guard) => {
                assert!(known.is_none(), "key {key} forgot {known:?}");
                Some(guard)
            }
            Begun::Replay(again) => {
                self.seen.replayed += 1;
                if let Some((answer, _)) = known {
                    assert_eq!(&Charged { position: answer.position, ..(*again).clone() }, answer);
                } else {
                    // Its answer never came; from now on it is this one, as durable as it was asked to be.
                    let disk = again.durability == Durability::Disk;
                    self.keys.insert(slot, ((*again).clone(), disk));
                }
                None
            }
            Begun::InFlight => {
                assert!(self.holder().journal.reserve().is_err(), "nothing is in flight between steps");
                None
            }
            Begun::Conflict | Begun::Full | Begun::ReplayHold(_) => panic!("none of them can be here"),
        }
    }

    fn give_back(&mut self, user: u32, balance: u64, above: u64) {
        let Some((line, told)) = self.told(user) else { return };
        let balance = balance.min(told.word);
        let above = above.min(told.drawn() - told.returned - told.return_in_doubt - told.watermark);
        told.word -= balance;
        told.watermark -= balance;
        let holder = self.holder();
        let answer = holder.run(holder.journal.give_back(line.clone(), credits(balance), credits(above)));
        let told = self.lines.get_mut(&line).unwrap();
        match answer {
            Ok(numbers) => {
                self.seen.returned += 1;
                told.returned += balance + above;
                assert_eq!(numbers.returned(), credits(told.returned));
            }
            Err(_) => told.return_in_doubt += balance + above,
        }
    }

    fn report(&mut self, user: u32, fresh: bool) {
        let Some((line, told)) = self.told(user) else { return };
        let told = told.clone();
        let holder = self.holder();
        let Ok(numbers) = holder.run(holder.journal.numbers(vec![line], fresh)) else { return };
        let used = numbers[0].used().micros();
        assert!(
            used <= told.acknowledged + told.in_doubt && used >= told.acknowledged_disk,
            "{used} {told:?}"
        );
        if fresh {
            assert!(used >= told.acknowledged);
        }
        let metered: u64 = numbers[0].meters.iter().map(|(_, metered)| metered.credits.micros()).sum();
        assert_eq!(metered, used);
    }

    fn close(&mut self, user: u32) {
        let Some((line, told)) = self.told(user) else { return };
        (told.close_asked, told.word) = (true, 0);
        let spent = credits(told.used);
        let holder = self.holder();
        let answer = holder.run(holder.journal.close(line.clone(), spent));
        let told = self.lines.get_mut(&line).unwrap();
        if let Ok(numbers) = answer {
            self.seen.closed += 1;
            told.closed = true;
            assert!(numbers.closed && numbers.used().micros() >= told.acknowledged);
            let all = numbers.used().micros() + numbers.unattributed().micros() + numbers.returned().micros();
            let drawn: u64 = numbers.backings.iter().map(|numbers| numbers.drawn.micros()).sum();
            assert_eq!(all, drawn, "nothing is left open");
            told.returned = numbers.returned().micros();
        }
    }

    fn forget(&mut self, user: u32) {
        let Some(line) = self.current.get(&user).cloned() else { return };
        let told = self.lines.get_mut(&line).unwrap();
        if told.closed && !told.forget_asked {
            told.forget_asked = true;
            let holder = self.holder();
            let _gone_or_not = holder.run(holder.journal.forget(line));
        }
    }

    pub fn crash(&mut self, crash: Crash, unsynced: Unsynced) {
        let holder = self.holder.take().unwrap();
        match crash {
            Crash::Kill => self.machine.kill(holder),
            Crash::Power => self.machine.power_loss(holder, unsynced),
        }
        self.machine.disk.fail_syncs(0);
        self.machine.disk.set_capacity_bytes(None);
        self.machine.disk.fail_writes(0);
        let holder = self.machine.start();
        let recovered = holder.recovered.clone();
        self.holder = Some(holder);
        assert!(recovered.sequence > self.sequence, "{} {}", recovered.sequence, self.sequence);
        let found = self.holder().journal.registration("0");
        assert!(found >= self.sequence, "what was durable is found");
        self.holder().registered("0");
        for (line, unattributed) in &recovered.rounded {
            assert!(unattributed.micros() <= CHUNK, "{line:?} was rounded up by {unattributed:?}");
        }
        assert!(!recovered.exact || recovered.rounded.is_empty());
        self.seen.exact += u64::from(recovered.exact);
        self.seen.rounded += recovered.rounded.len() as u64;
        if crash == Crash::Power {
            assert!(!recovered.exact);
            self.keys.retain(|_, (_, disk)| *disk);
        }
        let found: BTreeMap<LineKey, _> =
            recovered.lines.iter().map(|view| (view.line.clone(), view.clone())).collect();
        for (line, told) in &mut self.lines {
            let Some(view) = found.get(line) else {
                assert!(told.forget_asked, "{line:?} is lost: {told:?}");
                continue;
            };
            check_recovered(told, view, recovered.exact);
        }
        for line in found.keys() {
            // An opening that was never answered.
            self.lines.entry(line.clone()).or_insert_with(|| Told { close_asked: true, ..Told::default() });
        }
        self.attach_again();
    }

    fn attach_again(&mut self) {
        self.epoch += 1;
        let epoch = self.epoch;
        for user in 0..USERS {
            if let Some((line, told)) = self.told(user) {
                told.epoch = epoch;
                told.word = told.watermark - told.used - told.unattributed;
                let drawn = told.installs();
                let holder = self.holder();
                holder.run(holder.journal.attach(line.clone(), HandleNo(user), epoch)).unwrap();
                // Every message of the ledger says again what is drawn; an installation is not synced.
                holder.run(holder.journal.install(line, drawn)).unwrap();
            }
        }
    }
}

pub fn slot_of(user: u32, key: u8) -> u8 {
    user as u8 * 100 + key
}

fn check_recovered(told: &mut Told, view: &journal::LineView, exact: bool) {
    let micros = Credits::micros;
    let (used, unattributed, returned) =
        (micros(view.used), micros(view.unattributed), micros(view.returned));
    assert!(told.acknowledged_disk <= used, "a charge that was on the disk is lost: {view:?} {told:?}");
    assert!(told.acknowledged <= used + unattributed, "acknowledged charges are lost: {view:?} {told:?}");
    assert!(used <= told.acknowledged + told.in_doubt, "charged and never spent: {view:?} {told:?}");
    assert!(unattributed >= told.unattributed, "unattributed went back: {view:?} {told:?}");
    if exact {
        assert!(
            told.acknowledged <= used && unattributed == told.unattributed,
            "not exact: {view:?} {told:?}"
        );
    }
    if !exact {
        // On the same line lost charges' numbers would be told again.
        assert!(view.closed && used + unattributed + returned == micros(view.drawn), "goes on: {view:?}");
    } else if !told.close_asked {
        assert!(returned >= told.returned, "a return is lost: {view:?} {told:?}");
        assert!(returned <= told.returned + told.return_in_doubt, "returned unasked: {view:?} {told:?}");
    }
    assert!(view.closed || !told.closed, "a closed line is open again: {view:?}");
    assert!(micros(view.drawn) <= told.drawn(), "{view:?} {told:?}");
    assert!(used + unattributed + returned <= micros(view.drawn));
    told.closed |= view.closed;
    told.close_asked |= view.closed;
    (told.used, told.unattributed, told.returned) = (used, unattributed, returned);
    (told.watermark, told.return_in_doubt, told.abandoned) = (micros(view.watermark), 0, 0);
    (told.acknowledged, told.in_doubt) = (used.max(told.acknowledged.min(used)), 0);
    told.acknowledged_disk = used;
}
