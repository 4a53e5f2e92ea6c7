//! Usage that a history tells of later: what must come of each item, and what was booked. Not here: what paid for it (`naive`),
//! when it is told of (`workload`).

use super::{History, broken, credits, same};
use crate::checkers::Verdict;
use crate::naive::Taken;
use crate::workload::{Pace, Told};
use ledger::{
    AdminCommand, Change, Command, Import, ImportAnswer, ImportRefusal, ImportResult, NewImport, Outcome,
    limits,
};
use std::collections::BTreeMap;
use types::{Credits, CycleNumber, Feature, GrantId, ImportId, Source, Timestamp, UserId};

#[derive(Debug, Default)]
pub struct Imports {
    /// Charged, by name, with what was answered.
    known: BTreeMap<ImportId, (NewImport, Import)>,
    /// All that was told of, so that it is told of again.
    told: Vec<Vec<NewImport>>,
    /// By user, grant and cycle.
    pub booked: BTreeMap<(UserId, GrantId, u32), u64>,
    pub uncovered: BTreeMap<(UserId, u32), u64>,
}

impl History {
    fn item(&self, told: &Told) -> NewImport {
        let Told { user, amount, ago_ms, name } = told;
        let happened_at = self.at.plus_ms(-ago_ms);
        let mut body = [0; 32];
        let said = format!("{user} {amount:?} {}", happened_at.millis());
        for (i, byte) in said.bytes().enumerate() {
            body[i % 32] = u8::wrapping_add(u8::wrapping_mul(body[i % 32], 31), byte);
        }
        NewImport {
            id: ImportId::parse(&format!("i{name}")).expect("a valid id"),
            user: user.clone(),
            feature: Feature::parse("told-later").expect("a valid id"),
            model: None,
            units: Vec::new(),
            charge: amount.map(credits),
            happened_at,
            body,
        }
    }

    pub(super) fn import(&mut self, items: &[Told]) -> Verdict {
        let items: Vec<NewImport> = items.iter().map(|told| self.item(told)).collect();
        self.imports.told.push(items.clone());
        self.tell(items)
    }

    pub(super) fn import_again(&mut self, pick: usize) -> Verdict {
        let Some(at) = self.imports.told.len().checked_sub(pick % self.imports.told.len().max(1) + 1) else {
            return Ok(());
        };
        self.tell(self.imports.told[at].clone())
    }

    fn tell(&mut self, items: Vec<NewImport>) -> Verdict {
        let (change, workspace) = (Change::ImportUsage(items.clone()), self.workspace.clone());
        let admin = AdminCommand { workspace, keyed: None, if_match: None, change };
        self.naive.settle(self.at);
        let applied = self.apply(Command::Admin(admin))?;
        let Ok(Outcome::Imported(answers)) = applied.result else {
            return Err(broken("items are answered one by one", format!("{:?}", applied.result)));
        };
        same("each item is answered", "answers", answers.len(), items.len())?;
        for (item, answer) in items.into_iter().zip(answers) {
            self.judge(item, answer)?;
        }
        if self.pace == Pace::Prompt { self.compare() } else { Ok(()) }
    }

    fn judge(&mut self, item: NewImport, answer: ImportAnswer) -> Verdict {
        let ImportAnswer { id, result, import } = answer;
        let tell = format!("{item:?}");
        same("an answer has its item's id", &tell, &id, &item.id)?;
        let expected = self.expected(&item);
        same("an item is decided as expected", &tell, &result, &expected)?;
        self.saw(match &expected {
            ImportResult::Charged => "imported",
            ImportResult::Repeated => "imported again",
            ImportResult::Conflict => "imported under a name that is taken",
            ImportResult::Refused(ImportRefusal::TooOld) => "import too old",
            ImportResult::Refused(ImportRefusal::InFuture) => "import of what is yet to happen",
            ImportResult::Refused(_) => "import refused otherwise",
        });
        let before = self.imports.known.get(&item.id).map(|(_, import)| import.clone());
        match (expected, import) {
            (ImportResult::Charged, Some(import)) => self.book(item, *import, &tell),
            (ImportResult::Repeated, Some(import)) => {
                same("what is told of again is answered again", &tell, Some(*import), before)
            }
            (_, import) => same("what was not charged was not charged", &tell, import, None),
        }
    }

    /// By what was told of before, when it happened, and who may be named.
    fn expected(&mut self, item: &NewImport) -> ImportResult {
        let (at, now) = (self.at, self.pool().cycle);
        let is_old = |happened_at: Timestamp| at.since_ms(happened_at) > limits::IMPORT_GRACE_MS;
        let is_over = |import: &Import| is_old(import.happened_at) || import.cycle.next() < now;
        self.imports.known.retain(|_, (_, import)| !is_over(import));
        if let Some((known, _)) = self.imports.known.get(&item.id) {
            return if known.body == item.body { ImportResult::Repeated } else { ImportResult::Conflict };
        }
        ImportResult::Refused(if item.happened_at > at {
            ImportRefusal::InFuture
        } else if is_old(item.happened_at) || self.naive.cycle_of(item.happened_at).is_none() {
            ImportRefusal::TooOld
        } else if item.charge.is_none() {
            ImportRefusal::Unpriced
        } else if !self.pool().is_member(&item.user) {
            ImportRefusal::UnknownUser(item.user.clone())
        } else {
            return ImportResult::Charged;
        })
    }

    fn book(&mut self, item: NewImport, import: Import, tell: &str) -> Verdict {
        let amount = item.charge.map_or(0, Credits::micros);
        let parts: Taken =
            import.from.iter().map(|part| (part.from, part.grant.clone(), part.amount.micros())).collect();
        let sum = parts.iter().map(|(_, _, part)| part).sum::<u64>() + import.uncovered.micros();
        same("what paid and what is uncovered are what was charged", tell, sum, amount)?;
        let cycle = self.naive.cycle_of(item.happened_at).map(CycleNumber);
        same("it is charged to the cycle it happened in", tell, Some(import.cycle), cycle)?;
        if import.cycle < self.pool().cycle {
            self.saw("imported into the cycle before");
        }
        if !import.uncovered.is_zero() {
            self.saw("uncovered");
            self.nothing_was_left_for(&item.user, import.cycle, tell)?;
        }
        for (what, from) in [
            ("an import took of an allocation", Source::Allocation),
            ("an import was overage", Source::Overage),
        ] {
            if parts.iter().any(|(source, ..)| *source == from) {
                self.saw(what);
            }
        }
        let ended = |grant: &GrantId| {
            let no = self.pool().grant_ids[grant];
            self.pool().grant(no).state == ledger::GrantState::Expired
        };
        if parts.iter().any(|(_, grant, _)| ended(grant)) {
            self.saw("what had run out paid for an import");
        }
        if self.pace == Pace::Prompt {
            let naive = self.naive.import(&item.user, &item.feature, amount, item.happened_at, self.at);
            let naive = naive.map(|covered| (covered.cycle, covered.paid, covered.uncovered));
            let ledger = (import.cycle.0, parts, import.uncovered.micros());
            same("an import is paid for as without leases", tell, Some(ledger), naive)?;
        } else {
            for (_, grant, part) in parts {
                *self.imports.booked.entry((item.user.clone(), grant, import.cycle.0)).or_default() += part;
            }
            let uncovered = self.imports.uncovered.entry((item.user.clone(), import.cycle.0)).or_default();
            *uncovered += import.uncovered.micros();
        }
        self.imports.known.insert(item.id.clone(), (item, import));
        Ok(())
    }

    /// Nothing is uncovered while the user's chain has something in the ledger.
    fn nothing_was_left_for(&self, user: &UserId, cycle: CycleNumber, tell: &str) -> Verdict {
        let pool = self.pool();
        if cycle != pool.cycle {
            return Ok(());
        }
        let own = pool.user(pool.chain_of(user)).and_then(|user| user.allocation.as_ref());
        let own_left = own.map_or(Credits::ZERO, |own| own.earmarks.total());
        let reserved = pool.reserves_for(user).map(|(_, reserve)| reserve.earmarks.total());
        let reserved = Credits::checked_sum(reserved);
        let shares = own.is_none_or(|own| own.overflow == ledger::Overflow::Shared)
            && pool.pooling != ledger::Pooling::PerSeat;
        let shared = if shares { pool.shared_at(self.at) } else { Credits::ZERO };
        let beyond = pool.overage_room(user).unwrap_or(Credits::ZERO);
        let left = (own_left, reserved, shared, beyond);
        let none = (Credits::ZERO, Some(Credits::ZERO), Credits::ZERO, Credits::ZERO);
        same("nothing is uncovered that something could pay for", tell, left, none)
    }

    /// At rest: what was told of later is spent as well.
    pub(super) fn import_naively(&mut self) {
        for ((user, grant, cycle), amount) in &self.imports.booked {
            self.naive.charge(user, grant, *amount, *cycle);
        }
        for ((user, cycle), amount) in &self.imports.uncovered {
            self.naive.leave_uncovered(user, *amount, *cycle);
        }
    }
}
