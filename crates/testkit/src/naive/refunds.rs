//! Refunds in the naive pool: what is given back was never spent; and what pays for overage, which they change.

use super::{Allowed, Pool, add, allow};
use std::collections::BTreeMap;
use types::{Credits, GrantId, Source, Timestamp, UserId};

/// Who had overage in one cycle.
pub(super) type Accounts = BTreeMap<UserId, Account>;

#[derive(Clone, Debug)]
pub(super) struct Account {
    pub made: u64,
    pub shares: bool,
    /// Whose allocation he spent when he had some last.
    pub spends_by: UserId,
    /// Grant, the allocation it was set aside for, amount; the last at the end.
    pub paid: Vec<(GrantId, Option<u64>, u64)>,
}

/// The number of the allocation that a user spends by, and how often it was another one or another's before.
pub type Spending = (Option<u64>, u64);

/// A charge that is refunded.
#[derive(Clone, Debug)]
pub struct Spent {
    pub user: UserId,
    pub cycle: u32,
    /// In the order in which they burned.
    pub parts: Vec<(Source, GrantId, u64)>,
    /// Which allocation it was that the user had.
    pub allocation: Spending,
    /// Refunded before.
    pub refunded: u64,
}

impl Spent {
    /// What `amount` more takes, the last part first.
    pub fn latest(&self, amount: u64) -> Vec<(Source, GrantId, u64)> {
        let (mut before, mut left, mut latest) = (self.refunded, amount, Vec::new());
        for (source, grant, part) in self.parts.iter().rev() {
            let gone = before.min(*part);
            let taken = left.min(*part - gone);
            (before, left) = (before - gone, left - taken);
            latest.push((*source, grant.clone(), taken));
        }
        latest.retain(|(_, _, taken)| *taken > 0);
        latest
    }

    pub fn left(&self) -> u64 {
        self.parts.iter().map(|(_, _, part)| part).sum::<u64>() - self.refunded
    }
}

impl Account {
    fn unpaid(&self) -> u64 {
        self.made - self.paid.iter().map(|(_, _, part)| part).sum::<u64>()
    }
}

impl Pool {
    pub fn refund(&mut self, spent: &Spent, amount: u64, now: Timestamp) -> Allowed {
        self.settle(now);
        allow(spent.cycle + 1 >= self.cycle && amount > 0 && amount <= spent.left())?;
        for (source, grant, part) in spent.latest(amount) {
            self.give_back(spent, source, &grant, part, now);
            if spent.cycle == self.cycle {
                self.user(&spent.user).refunded += part;
                if let Some(whose) = self.spent_by(spent).filter(|whose| *whose != spent.user) {
                    let whose = self.user(&whose);
                    whose.by_services = whose.by_services.saturating_sub(part);
                }
            }
        }
        // What comes back to a seat's part is his first.
        self.parts_follow();
        let owner = super::of(&self.spends_by(&spent.user));
        if self.allocation(&owner).is_some_and(|allocation| allocation.of_seat) {
            self.make_up(&owner, now);
        }
        self.make_up_for_shortfalls(now);
        Ok(())
    }

    /// Whose allocation he spent; of a service that spends another one since nobody knows.
    fn spent_by(&self, spent: &Spent) -> Option<UserId> {
        let is_service = self.users.get(&spent.user).is_some_and(|user| user.service.is_some());
        let is_before = is_service && spent.allocation.1 != self.allocation_of(&spent.user).1;
        (!is_before).then(|| self.spends_by(&spent.user))
    }

    fn give_back(&mut self, spent: &Spent, source: Source, grant: &GrantId, part: u64, now: Timestamp) {
        let Spent { user, cycle, allocation, .. } = spent;
        let same = *cycle == self.cycle && *allocation == self.allocation_of(user);
        let is_of_share = *cycle == self.cycle && matches!(source, Source::Allocation | Source::Shared);
        if let Some(whose) = self.spent_by(spent).filter(|_| is_of_share) {
            self.of_share_falls(&whose, part);
        }
        match source {
            Source::Overage => self.strike(user, *cycle, grant, part, now),
            Source::Allocation if same && allocation.0.is_some() => {
                let whose = self.spends_by(user);
                self.user(&whose).allocation.as_mut().expect("the same one").used -= part;
                self.comes_back_to(&whose, *cycle, grant, part, now);
            }
            Source::Allocation | Source::Reserve(_) | Source::Shared => {
                let pays = self.pay(*cycle, grant, None, part, now);
                self.unspend(grant, *cycle, part - pays);
            }
        }
    }

    /// Overage that was never made: first goes what nobody has paid for.
    fn strike(&mut self, user: &UserId, cycle: u32, grant: &GrantId, part: u64, now: Timestamp) {
        let account = self.accounts.get_mut(&cycle).and_then(|all| all.get_mut(user)).expect("he had some");
        let mut free = part.saturating_sub(account.unpaid());
        account.made -= part;
        let mut freed = Vec::new();
        while free > 0 {
            let (grant, allocation, paid) = account.paid.pop().expect("so much is paid for");
            let taken = free.min(paid);
            if paid > taken {
                account.paid.push((grant.clone(), allocation, paid - taken));
            }
            free -= taken;
            freed.push((grant, allocation, taken));
        }
        self.unspend(grant, cycle, part);
        let made = &mut self.grants.get_mut(grant).expect("it was spent").made.amount;
        *made = Credits::from_micros(made.micros() - part).expect("less than it was");
        if cycle == self.cycle {
            self.user(user).overage -= part;
        }
        for (grant, allocation, part) in freed {
            let has_it = |name: &&UserId| allocation.is_some() && self.number_of(name) == allocation;
            if let Some(whose) = self.users.keys().find(has_it).cloned() {
                self.user(&whose).allocation.as_mut().expect("he has it").used -= part;
                self.of_share_falls(&whose, part);
                self.comes_back_to(&whose, cycle, &grant, part, now);
            } else {
                let pays = self.pay(cycle, &grant, None, part, now);
                self.unspend(&grant, cycle, part - pays);
            }
        }
    }

    /// What comes back to an allocation pays for overage on it first.
    fn comes_back_to(&mut self, whose: &UserId, cycle: u32, grant: &GrantId, part: u64, now: Timestamp) {
        let pays = self.pay(cycle, grant, Some(whose), part, now);
        self.user(whose).allocation.as_mut().expect("he has it").used += pays;
        self.user(whose).of_share += pays;
        self.unspend(grant, cycle, part - pays);
        self.set_aside(whose, grant, part - pays);
    }

    fn of_share_falls(&mut self, user: &UserId, by: u64) {
        let user = self.user(user);
        user.of_share = user.of_share.saturating_sub(by);
    }

    /// How much of what came back pays for overage of its cycle: of one user, or of all who may share.
    fn pay(&mut self, cycle: u32, id: &GrantId, whose: Option<&UserId>, amount: u64, now: Timestamp) -> u64 {
        let grant = &self.grants[id];
        let is_over = grant.made.expires_at.is_some_and(|end| end <= now);
        if is_over || grant.ended == Some(super::Ended::Voided) {
            return 0;
        }
        let allocation = whose.and_then(|user| self.number_of(user));
        let mut left = amount;
        for account in self.accounts.entry(cycle).or_default().values_mut() {
            let pays = left.min(account.unpaid());
            if pays == 0 || whose.map_or(!account.shares, |whose| *whose != account.spends_by) {
                continue;
            }
            left -= pays;
            match account.paid.iter_mut().find(|(grant, of, _)| (grant, *of) == (id, allocation)) {
                Some((_, _, paid)) => *paid += pays,
                None => account.paid.push((id.clone(), allocation, pays)),
            }
        }
        amount - left
    }

    fn unspend(&mut self, grant: &GrantId, cycle: u32, amount: u64) {
        if amount > 0 {
            let grant = self.grants.get_mut(grant).expect("it was spent");
            *grant.spent.get_mut(&cycle).expect("in that cycle") -= amount;
        }
    }

    /// Set aside again where that lasts, else missing.
    fn set_aside(&mut self, user: &UserId, id: &GrantId, amount: u64) {
        let grant = &self.grants[id];
        if grant.ended.is_some() {
            return;
        }
        let end = self.cycle_ends.first();
        let lasts = grant.made.expires_at.is_none_or(|over| end.is_some_and(|end| over >= *end));
        let allocation = self.user(user).allocation.as_mut().expect("he has one");
        if lasts {
            add(&mut allocation.set_aside, id, amount);
        } else {
            allocation.short += amount;
        }
    }

    /// So much of what was charged was given back, whoever decided it.
    pub fn uncharge(&mut self, grant: &GrantId, amount: u64, cycle: u32) {
        self.unspend(grant, cycle, amount);
    }
}
