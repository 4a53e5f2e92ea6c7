//! Usage that happened elsewhere and is told of later: charged at once, without a line, to the cycle it happened in.
//!
//! Each item stands alone, and is charged once: ids are remembered for as long as what they name may still be told of. It may be
//! told of within the grace, and until the cycle after its own is over. What has happened cannot be refused any more, so neither
//! limits nor access are asked; limits count it in the windows that it happened in and that still run, and nowhere else.
//!
//! **What pays**: whatever of the usage's cycle had not run out when it happened. First what has run out since, as if it had
//! been told of in time: nobody else can use it. Then, where that cycle is this one, the chain of the user as it is now: own
//! allocation, reserves, what is shared, overage where a rule allows it. Of the cycle before, what is shared of grants that were
//! there then and still are; its allocations are over, and its overage is billed. What is out on leases is not waited for. What
//! nothing pays for is *uncovered*: it is no grant's, and has its own line in the books of the cycle. So no grant is overdrawn.
//!
//! Not here: prices (`quota`), charges of holders (`draw`), refunds of those (`refund`).

use crate::grant::{Grant, GrantState};
use crate::limits;
use crate::outcome::{Outcome, Rejection, Retry};
use crate::rollover::Term;
use crate::window::Added;
use crate::workspace::Workspace;
use crate::{GrantKind, Used};
use std::collections::BTreeSet;
use types::planted::{Mistake, is_planted};
use types::{
    Backing, Credits, CycleNumber, Feature, GrantId, ImportId, Meter, Metered, Model, Source, Timestamp,
    Unit, UserId,
};

/// One item as it is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImport {
    pub id: ImportId,
    pub user: UserId,
    pub feature: Feature,
    pub model: Option<Model>,
    pub units: Vec<(Unit, u64)>,
    /// `None`: nobody knows a price for it. Where it was told of before, that does not matter.
    pub charge: Option<Credits>,
    pub happened_at: Timestamp,
    /// Hash of all that was said of it, not of what it costs: prices may have changed since it was told of first.
    pub body: [u8; 32],
}

/// An item that was charged, as it was answered and is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub user: UserId,
    /// The one it happened in.
    pub cycle: CycleNumber,
    pub charged: Credits,
    /// What paid, in the order in which it burned: the first ones, at most [`limits::IMPORT_PARTS_SHOWN`].
    pub from: Vec<ImportedFrom>,
    /// Of what was charged: what nothing paid for.
    pub uncovered: Credits,
    pub happened_at: Timestamp,
    pub at: Timestamp,
}

/// A part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedFrom {
    pub from: Source,
    pub grant: GrantId,
    pub amount: Credits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRecord {
    pub body: [u8; 32],
    pub import: Import,
}

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportAnswer {
    pub id: ImportId,
    pub result: ImportResult,
    /// Of one that was charged, now or before. Left out of what is kept under a key: it is kept by its id.
    pub import: Option<Box<Import>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportResult {
    Charged,
    /// It was told of before, and charged then.
    Repeated,
    /// Something else was told of under this id before.
    Conflict,
    Refused(ImportRefusal),
}

/// Why an item has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefusal {
    #[error(
        "this usage is too old: usage can be told of for 45 days, and until the cycle after its own is over"
    )]
    TooOld,
    #[error("this usage is yet to happen, by the time that the nodes agree on; tell of it when it has")]
    InFuture,
    #[error("{0} is no member of this workspace, and its membership is listed; add the member first")]
    UnknownUser(UserId),
    #[error("no price is known for this usage when it happened; say the amount")]
    Unpriced,
    #[error("a workspace has at most {} users", limits::USERS_MAX)]
    TooManyUsers,
    #[error(
        "a workspace remembers at most {} imports; those that can be told of no more are forgotten, so try again later",
        limits::IMPORTS_MAX
    )]
    TooManyImports,
    #[error(
        "one item may not pass 281474976.710655 credits; the grants of one workspace, and what none of them covered, \
         may not pass 999999999999.999999 credits in sum"
    )]
    TooMuch,
}

impl ImportRefusal {
    pub const fn retry(&self) -> Retry {
        match self {
            Self::TooOld => Retry::Never,
            Self::UnknownUser(_) | Self::Unpriced | Self::TooManyUsers | Self::TooMuch => Retry::AfterChange,
            Self::InFuture | Self::TooManyImports => Retry::Later,
        }
    }
}

/// An item that was decided.
struct Importing {
    cycle: CycleNumber,
    charge: Credits,
    takes: Vec<Take>,
    uncovered: Credits,
}

struct Take {
    backing: Backing,
    amount: Credits,
    /// Of what has run out since, or of an earlier cycle.
    is_late: bool,
}

impl Workspace {
    pub(crate) fn decide_imports(items: &[NewImport]) -> Result<(), Rejection> {
        let max = limits::IMPORT_ITEMS_MAX;
        if items.len() > max { Err(Rejection::TooMany { what: "imports at once", max }) } else { Ok(()) }
    }

    pub(crate) fn commit_imports(&mut self, items: Vec<NewImport>, at: Timestamp) -> Outcome {
        self.forget_imports(at);
        let answers = items.into_iter().map(|new| self.import(new, at)).collect();
        Outcome::Imported(answers)
    }

    fn import(&mut self, new: NewImport, at: Timestamp) -> ImportAnswer {
        let id = new.id.clone();
        if let Some(known) = self.imports.get(&id) {
            let same = known.body == new.body;
            let import = same.then(|| Box::new(known.import.clone()));
            let result = if same { ImportResult::Repeated } else { ImportResult::Conflict };
            return ImportAnswer { id, result, import };
        }
        match self.decide_import(&new, at) {
            Err(why) => ImportAnswer { id, result: ImportResult::Refused(why), import: None },
            Ok(plan) => {
                let import = Some(Box::new(self.commit_import(new, plan, at)));
                ImportAnswer { id, result: ImportResult::Charged, import }
            }
        }
    }

    /// The cycle that this instant lies in, of those whose usage can still be told of.
    pub fn cycle_at(&self, happened_at: Timestamp) -> Option<CycleNumber> {
        if happened_at >= self.usage_begins_at() {
            return Some(self.cycle);
        }
        let before = self.cycle.0.checked_sub(1).map(CycleNumber)?;
        self.previous_starts_at.filter(|begins| happened_at >= *begins).map(|_| before)
    }

    /// Usage from here on is this cycle's. The first one's usage may be older than the workspace: it begins where the calendar
    /// has that cycle begin, and anywhere while there is no rule of cycles.
    pub(crate) fn usage_begins_at(&self) -> Timestamp {
        match &self.cycle_rule {
            _ if self.cycle > CycleNumber::FIRST => self.cycle_starts_at,
            Some(_) => self.calendar_starts_at.min(self.cycle_starts_at),
            None => Timestamp::from_millis(i64::MIN),
        }
    }

    fn decide_import(&self, new: &NewImport, at: Timestamp) -> Result<Importing, ImportRefusal> {
        if new.happened_at > at {
            return Err(ImportRefusal::InFuture);
        }
        let cycle = self.cycle_at(new.happened_at).filter(|_| !is_past_grace(new.happened_at, at));
        let cycle = cycle.ok_or(ImportRefusal::TooOld)?;
        let charge = new.charge.ok_or(ImportRefusal::Unpriced)?;
        if !self.is_member(&new.user) {
            return Err(ImportRefusal::UnknownUser(new.user.clone()));
        }
        if self.user(&new.user).is_none() && self.users.len() >= limits::USERS_MAX {
            return Err(ImportRefusal::TooManyUsers);
        }
        if self.imports.len() >= limits::IMPORTS_MAX {
            return Err(ImportRefusal::TooManyImports);
        }
        if charge.micros() > limits::IMPORT_MICROS_MAX || self.given_in_all().checked_add(charge).is_none() {
            return Err(ImportRefusal::TooMuch);
        }
        let (takes, uncovered) = self.cover(&new.user, cycle, new.happened_at, charge, at);
        Ok(Importing { cycle, charge, takes, uncovered })
    }

    /// What pays for it, and how much of it nothing does.
    fn cover(
        &self,
        user: &UserId,
        cycle: CycleNumber,
        happened_at: Timestamp,
        charge: Credits,
        at: Timestamp,
    ) -> (Vec<Take>, Credits) {
        let mut missing = charge;
        let mut takes = Vec::new();
        let mut take = |backing: Backing, there: Credits, is_late: bool| {
            let amount = there.min(missing);
            missing.shrink(amount);
            if !amount.is_zero() {
                takes.push(Take { backing, amount, is_late });
            }
        };
        let late = |state: GrantState| {
            let there = self.grants_in_burn_order().filter(move |grant| grant.state == state);
            there.filter(|grant| self.was_there(grant, cycle, happened_at))
        };
        let shared = |grant: &Grant| Backing { source: Source::Shared, grant: grant.no };
        for grant in late(GrantState::Expired) {
            take(shared(grant), grant.late_room(cycle), true);
        }
        if cycle < self.cycle {
            for grant in late(GrantState::Live) {
                take(shared(grant), grant.late_room(cycle), true);
            }
        } else {
            for (backing, there) in self.chain(user, at) {
                take(backing, there, false);
            }
            if let Some(room) = self.overage_room(user) {
                take(self.overage_backing(), room, false);
            }
        }
        (takes, missing)
    }

    /// Whether a grant was one of that cycle's and had not run out by then.
    fn was_there(&self, grant: &Grant, cycle: CycleNumber, happened_at: Timestamp) -> bool {
        let is_now = cycle == self.cycle;
        let had_begun = is_now || grant.starts_at < self.cycle_starts_at;
        let had_time = grant.expires_at.is_none_or(|end| end > happened_at);
        let was_of_it = match (grant.term, grant.rolled) {
            (Term::Lasting, _) => true,
            (Term::Cycle(_), Some(rolled)) => rolled.last.is_none_or(|last| last >= cycle),
            // Of the cycle it began in, and of no other.
            (Term::Cycle(_), None) => {
                let began = grant.starts_at.max(grant.created_at);
                let is_of_this = began >= self.cycle_starts_at;
                is_of_this == is_now && self.previous_starts_at.is_none_or(|begins| began >= begins)
            }
        };
        grant.kind != GrantKind::Overage && had_begun && had_time && was_of_it
    }

    fn commit_import(&mut self, new: NewImport, plan: Importing, at: Timestamp) -> Import {
        let NewImport { id, user, feature, model, units, charge: _, happened_at, body } = new;
        let Importing { cycle, charge, takes, uncovered } = plan;
        let before = self.totals.used;
        for take in &takes {
            self.commit_take(&user, cycle, take, at);
        }
        let covered = charge.checked_sub(uncovered).expect("decided as a part of it");
        assert_eq!(self.totals.used.checked_sub(before), Some(covered), "S1: an import is booked once");
        let in_cycle = if cycle < self.cycle { Credits::ZERO } else { charge };
        if cycle < self.cycle {
            self.user_mut(&user).past.grow(charge);
            self.spent_before.used.grow(covered);
        } else {
            self.user_mut(&user).used.grow(charge);
        }
        self.part_follows(&user);
        if let Some(whose) = self.other_chain_of(&user) {
            let services = self.user_mut(&whose).by_services_mut();
            services.charged.grow(charge);
            services.used.grow(in_cycle);
        }
        if !uncovered.is_zero() {
            self.uncovered.entry(cycle).or_insert(Credits::ZERO).grow(uncovered);
        }
        let meter = Meter { feature, model, day: happened_at.day() };
        let by_grant = takes.iter().map(|take| (take.backing.grant, take.amount)).collect();
        self.meter(&user, meter.clone(), Metered { credits: charge, calls: 1, units, by_grant });
        self.count_import(&user, &meter, Added { amount: charge, in_cycle, happened_at }, at);
        self.drop_nobody(&user);
        let part = |take: &Take| ImportedFrom {
            from: take.backing.source,
            grant: self.grant(take.backing.grant).id.clone(),
            amount: take.amount,
        };
        let from = takes.iter().take(limits::IMPORT_PARTS_SHOWN).map(part).collect();
        let import = Import { user, cycle, charged: charge, from, uncovered, happened_at, at };
        // Histories find it where one tells of something again (`testkit/history/imports`); no world tells of usage later yet.
        if !is_planted(Mistake::ImportTwice) {
            self.import_order.insert((happened_at, id.clone()));
            self.imports.insert(id, ImportRecord { body, import: import.clone() });
        }
        import
    }

    fn commit_take(&mut self, user: &UserId, cycle: CycleNumber, take: &Take, at: Timestamp) {
        let Take { backing, amount, is_late } = *take;
        if is_late {
            self.on_grant(backing.grant, |grant| grant.charge_late(amount, cycle));
            return;
        }
        let behind = self.drawn_by(user, backing.source);
        if backing.source == Source::Overage {
            self.make_overage(backing, user, amount, at);
        }
        self.on_grant(backing.grant, |grant| {
            grant.draw(amount, behind.is_some());
            grant.book_used(amount, Credits::ZERO);
        });
        if let Some((owner, no)) = behind {
            let set_aside = self.current_allocation(&owner, no).expect("drawn on it");
            set_aside.earmarks.remove(backing.grant, amount);
            set_aside.used.grow(amount);
        }
        if matches!(backing.source, Source::Allocation | Source::Shared) {
            let whose = self.chain_of(user).clone();
            self.user_mut(&whose).of_share.grow(amount);
        }
    }

    /// Metered as usage of a folded line is.
    fn meter(&mut self, user: &UserId, meter: Meter, metered: Metered) {
        let used = Used { by_backing: Vec::new(), by_meter: vec![(meter, metered)] };
        for (meter, metered) in self.counted(&used).into_owned() {
            let no = self.meter_number(&meter);
            self.usage.entry(user.clone()).or_default().entry(no).or_default().add(&metered);
        }
    }

    /// Of all cycles: what nothing paid for.
    pub fn uncovered_in_all(&self) -> Credits {
        Credits::checked_sum(self.uncovered.values().copied()).expect("bounded with what was given")
    }

    /// All that was given, and what was charged beyond it: the sum is bounded.
    pub(crate) fn given_in_all(&self) -> Credits {
        let (given, _) = self.totals.sides();
        let given = given.expect("S1 holds of the totals");
        given.checked_add(self.uncovered_in_all()).expect("bounded wherever one of them grows")
    }

    /// What can be told of no more need not be remembered: it is refused as too old.
    fn forget_imports(&mut self, at: Timestamp) {
        while let Some((happened_at, _)) = self.import_order.first()
            && is_past_grace(*happened_at, at)
        {
            if let Some((_, id)) = self.import_order.pop_first() {
                self.imports.remove(&id);
            }
        }
    }

    /// A cycle has begun: usage of the one before the last can be told of no more.
    pub(crate) fn forget_imports_of_earlier_cycles(&mut self) {
        let (now, begins) = (self.cycle, self.previous_starts_at);
        // By when it happened, too: a cycle's end that is looked up late may lie before it.
        let may_be_told_again = |import: &Import| {
            import.cycle.next() >= now || begins.is_some_and(|begins| import.happened_at >= begins)
        };
        self.imports.retain(|_, record| may_be_told_again(&record.import));
        self.import_order = self.ordered_imports();
    }

    /// Counted again.
    pub fn ordered_imports(&self) -> BTreeSet<(Timestamp, ImportId)> {
        self.imports.iter().map(|(id, record)| (record.import.happened_at, id.clone())).collect()
    }

    /// Kept under a key: what was charged is kept by its id.
    pub(crate) fn without_imports(outcome: &Outcome) -> Option<Outcome> {
        let Outcome::Imported(answers) = outcome else { return None };
        let bare = |answer: &ImportAnswer| ImportAnswer { import: None, ..answer.clone() };
        Some(Outcome::Imported(answers.iter().map(bare).collect()))
    }

    /// What was kept under a key, as it was answered: as long as it is remembered.
    pub(crate) fn with_imports(&self, outcome: Outcome) -> Outcome {
        let Outcome::Imported(mut answers) = outcome else { return outcome };
        for answer in &mut answers {
            if matches!(answer.result, ImportResult::Charged | ImportResult::Repeated) {
                answer.import = self.imports.get(&answer.id).map(|known| Box::new(known.import.clone()));
            }
        }
        Outcome::Imported(answers)
    }

    /// For `violations`.
    pub(crate) fn what_is_uncovered_is_of_users(&self) -> Option<String> {
        let totals = &self.totals;
        let of_pool = [totals.used, totals.unattributed, totals.written_off]
            .into_iter()
            .chain(self.uncovered.values().copied());
        let of_pool = Credits::checked_sum(of_pool);
        let of_users = Credits::checked_sum(self.users.values().map(crate::User::charged));
        (of_pool != of_users).then(|| format!("users were charged {of_users:?}, the pool {of_pool:?}"))
    }

    /// For `violations`.
    pub(crate) fn imports_are_remembered_in_order(&self) -> Option<String> {
        let is_of_its_cycle = |record: &ImportRecord| {
            let Import { cycle, uncovered, charged, .. } = &record.import;
            let booked = self.uncovered.get(cycle).copied().unwrap_or(Credits::ZERO);
            let may_be_told_again = cycle.next() >= self.cycle
                || self.previous_starts_at.is_some_and(|begins| record.import.happened_at >= begins);
            *uncovered <= booked && uncovered <= charged && may_be_told_again
        };
        if let Some((id, record)) = self.imports.iter().find(|(_, record)| !is_of_its_cycle(record)) {
            return Some(format!("{id}: {record:?}, uncovered {:?}", self.uncovered));
        }
        let counted = self.ordered_imports();
        (counted != self.import_order).then(|| format!("{} in order", self.import_order.len()))
    }
}

fn is_past_grace(happened_at: Timestamp, at: Timestamp) -> bool {
    at.since_ms(happened_at) > limits::IMPORT_GRACE_MS
}
