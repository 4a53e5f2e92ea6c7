//! Usage that is told of later, in the naive pool: what a grant could have paid is found by trying. Not here: what is told twice.

use super::{Ended, Grant, Pool, Taken};
use ledger::{Owner, Subject, Term, is_of_overage};
use types::{Feature, Source, Timestamp, UserId};

/// What paid for usage, and how much of it nothing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    pub cycle: u32,
    pub paid: Taken,
    pub uncovered: u64,
}

impl Grant {
    /// Whether so much more could have been spent of it in that cycle, with so much of it set aside now.
    fn could_pay(&self, more: u64, cycle: u32, set_aside: u64) -> bool {
        let mut tried = self.clone();
        *tried.spent.entry(cycle).or_default() += more;
        let given = tried.made.amount.micros() + tried.exposure;
        let spent_then = tried.rolled.map_or(0, |own| tried.spent.range(..=own).map(|(_, part)| part).sum());
        if spent_then > given || tried.spent() > given {
            return false;
        }
        let gone = tried.spent() + tried.not_kept();
        gone + set_aside <= given
    }
}

impl Pool {
    /// The cycle that usage of then belongs to, of this one and the one before.
    pub fn cycle_of(&self, happened_at: Timestamp) -> Option<u32> {
        if happened_at >= self.usage_begins_at() {
            return Some(self.cycle);
        }
        self.before_starts_at.filter(|begins| happened_at >= *begins).map(|_| self.cycle - 1)
    }

    pub(super) fn usage_begins_at(&self) -> Timestamp {
        match &self.rule {
            _ if self.cycle > 1 => self.cycle_starts_at,
            Some(_) => self.calendar_starts_at.min(self.cycle_starts_at),
            // It began whenever.
            None => Timestamp::from_millis(i64::MIN),
        }
    }

    /// Charges what has happened, whoever may spend.
    pub fn import(
        &mut self,
        user: &UserId,
        feature: &Feature,
        amount: u64,
        happened_at: Timestamp,
        now: Timestamp,
    ) -> Option<Covered> {
        self.settle(now);
        let cycle = self.cycle_of(happened_at)?;
        let mut missing = amount;
        let mut paid = Vec::new();
        let mut late = |pool: &Self, ended: Option<Ended>, missing: &mut u64| {
            for id in pool.burn_order() {
                let grant = &pool.grants[&id];
                if grant.ended != ended || !pool.was_there(grant, cycle, happened_at) {
                    continue;
                }
                let set_aside = if ended.is_none() { pool.set_aside_on(&id) } else { 0 };
                let part = (0..=*missing).rev().find(|part| grant.could_pay(*part, cycle, set_aside));
                *missing -= part.unwrap_or(0);
                paid.push((Source::Shared, id, part.unwrap_or(0)));
            }
        };
        late(self, Some(Ended::Expired), &mut missing);
        let (mut links, mut his) = (Vec::new(), Vec::new());
        if cycle < self.cycle {
            late(self, None, &mut missing);
        } else {
            let (chain, there) = self.chain_of(user, missing, now);
            missing -= there.iter().map(|(_, _, part)| part).sum::<u64>();
            his.clone_from(&there);
            paid.extend(there);
            links = chain;
            let beyond = (1..=missing).rev().find(|part| self.may_exceed(user, *part)).unwrap_or(0);
            paid.push((Source::Overage, self.overage_id(), beyond));
            missing -= beyond;
        }
        paid.retain(|(_, _, part)| *part > 0);
        for (source, id, part) in &paid {
            self.charge(user, id, *part, cycle);
            if let Some((_, owner)) = links.iter().find(|(link, _): &&(Source, Owner)| link == source) {
                self.allocation_mut(owner).spend(id, *part);
            }
        }
        self.counts_as_his(user, &his);
        self.make_up_for_shortfalls(now);
        self.leave_uncovered(user, missing, cycle);
        let in_cycle = if cycle == self.cycle { amount } else { 0 };
        self.counts(user, vec![Subject::Feature(feature.clone())], (amount, in_cycle), happened_at);
        Some(Covered { cycle, paid, uncovered: missing })
    }

    /// Nothing paid for it, whoever says so.
    pub fn leave_uncovered(&mut self, user: &UserId, amount: u64, cycle: u32) {
        if cycle == self.cycle {
            self.counts_on_his_chain(user, amount);
        }
    }

    /// Whether a grant was one of that cycle's and had time left when it happened.
    fn was_there(&self, grant: &Grant, cycle: u32, happened_at: Timestamp) -> bool {
        let is_now = cycle == self.cycle;
        let began = grant.starts_at().max(grant.created_at);
        let of_it = match (grant.made.term, grant.rolled) {
            (Term::Lasting, _) => true,
            (Term::Cycle(_), Some(_)) => grant.last_cycle(self.cycle).is_none_or(|last| last >= cycle),
            (Term::Cycle(_), None) => {
                let is_of_this = began >= self.cycle_starts_at;
                is_of_this == is_now && self.before_starts_at.is_none_or(|begins| began >= begins)
            }
        };
        let had_begun = is_now || grant.starts_at() < self.cycle_starts_at;
        let had_time = grant.made.expires_at.is_none_or(|end| end > happened_at);
        of_it && had_begun && had_time && !is_of_overage(&grant.made.id)
    }
}
