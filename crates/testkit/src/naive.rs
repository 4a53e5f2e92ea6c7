//! A pool without leases: grants, users and allocations as plain numbers of micro-credits, nothing ever out.
//!
//! Written from the surface's rules, not from the ledger's code, so that the two can be compared. A change is tried on
//! a copy and kept only if it is allowed. Not here: holders, lines, intents, keys.

use ledger::{Change, Membership, NewGrant, Overflow};
use std::collections::BTreeMap;
use types::{CreditsDelta, GrantId, ReallocationId, Source, Timestamp, UserId};

#[derive(Clone, Debug)]
pub struct Pool {
    pub grants: BTreeMap<GrantId, Grant>,
    pub users: BTreeMap<UserId, User>,
    pub is_listed: bool,
    pub cycle_ends_at: Option<Timestamp>,
    reallocations: BTreeMap<ReallocationId, (UserId, UserId, u64)>,
}

#[derive(Clone, Debug)]
pub struct Grant {
    pub made: NewGrant,
    pub created_at: Timestamp,
    pub spent: u64,
    /// Given back although it may have been spent.
    pub exposure: u64,
    pub ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Expired,
    Voided,
}

#[derive(Clone, Debug, Default)]
pub struct User {
    pub is_member: bool,
    pub has_no_access: bool,
    pub limit: Option<u64>,
    pub used: u64,
    pub allocation: Option<Allocation>,
}

#[derive(Clone, Debug)]
pub struct Allocation {
    pub overflows: bool,
    pub used: u64,
    pub set_aside: BTreeMap<GrantId, u64>,
}

impl Grant {
    /// Neither spent nor ended.
    pub fn left(&self) -> u64 {
        if self.ended.is_some() { 0 } else { self.unspent() }
    }

    /// Where the grant has ended, this is what expired or was voided.
    pub fn unspent(&self) -> u64 {
        self.made.amount.micros() + self.exposure - self.spent
    }

    fn starts_at(&self) -> Timestamp {
        self.made.starts_at.unwrap_or(self.created_at)
    }

    fn is_drawable(&self, now: Timestamp) -> bool {
        self.ended.is_none() && self.starts_at() <= now && self.made.expires_at.is_none_or(|end| now < end)
    }
}

impl Allocation {
    pub fn unused(&self) -> u64 {
        self.set_aside.values().sum()
    }

    pub fn amount(&self) -> u64 {
        self.used + self.unused()
    }
}

/// A change that is not allowed. Why does not matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAllowed;

type Allowed = Result<(), NotAllowed>;

fn allow(condition: bool) -> Allowed {
    if condition { Ok(()) } else { Err(NotAllowed) }
}

impl Pool {
    pub fn new(cycle_ends_at: Option<Timestamp>) -> Self {
        let (grants, users, reallocations) = Default::default();
        Self { grants, users, is_listed: false, cycle_ends_at, reallocations }
    }

    /// Does the change if it is allowed.
    pub fn change(&mut self, change: &Change, now: Timestamp) -> Allowed {
        let mut next = self.clone();
        next.expire(now);
        next.try_change(change, now)?;
        *self = next;
        Ok(())
    }

    fn try_change(&mut self, change: &Change, now: Timestamp) -> Allowed {
        match change {
            Change::PutWorkspace(settings) => {
                self.is_listed =
                    settings.membership.map_or(self.is_listed, |membership| membership == Membership::Listed);
                Ok(())
            }
            Change::MakeGrant(new) => self.make_grant(new, now),
            Change::VoidGrant { grant } => self.void(grant, now),
            Change::PutMember { user, ai_access, .. } => {
                let user = self.user(user);
                user.is_member = true;
                user.has_no_access = ai_access.map_or(user.has_no_access, |on| !on);
                Ok(())
            }
            Change::SetAllocation { user, amount, overflow } => {
                self.set_allocation(user, amount.micros(), *overflow, now)
            }
            Change::AdjustAllocation { user, delta } => {
                let amount = self.allocation(user).ok_or(NotAllowed)?.amount();
                let amount = match delta {
                    CreditsDelta::Raise(by) => amount + by.micros(),
                    CreditsDelta::Lower(by) => amount.saturating_sub(by.micros()),
                };
                self.set_allocation(user, amount, None, now)
            }
            Change::RemoveAllocation { user } => allow(self.user(user).allocation.take().is_some()),
            Change::Reallocate { id, from, to, amount } => self.reallocate(id, from, to, amount.micros()),
            Change::SetLimit { user, amount } => {
                allow(self.may_be_named(user))?;
                self.user(user).limit = amount.map(|amount| amount.micros());
                Ok(())
            }
        }
    }

    fn user(&mut self, user: &UserId) -> &mut User {
        self.users.entry(user.clone()).or_default()
    }

    fn allocation(&self, user: &UserId) -> Option<&Allocation> {
        self.users.get(user)?.allocation.as_ref()
    }

    fn may_be_named(&self, user: &UserId) -> bool {
        !self.is_listed || self.users.get(user).is_some_and(|user| user.is_member)
    }

    /// Ends the grants whose time is over, and what was set aside on them.
    pub fn expire(&mut self, now: Timestamp) {
        let is_over = |grant: &Grant| grant.made.expires_at.is_some_and(|end| end <= now);
        let due = self.grants.iter().filter(|(_, grant)| grant.ended.is_none() && is_over(grant));
        let due: Vec<GrantId> = due.map(|(id, _)| id.clone()).collect();
        for id in due {
            self.end(&id, Ended::Expired);
        }
    }

    fn end(&mut self, id: &GrantId, how: Ended) {
        self.grants.get_mut(id).expect("a known grant").ended = Some(how);
        for allocation in self.users.values_mut().filter_map(|user| user.allocation.as_mut()) {
            allocation.set_aside.remove(id);
        }
    }

    /// Priority, soonest expiry (none last), unpaid before paid, created, id.
    fn burn_order(&self) -> Vec<GrantId> {
        let mut order: Vec<(&GrantId, &Grant)> = self.grants.iter().collect();
        order.sort_by_key(|(id, grant)| {
            let end = grant.made.expires_at;
            (grant.made.priority, end.is_none(), end, grant.made.paid, grant.created_at, *id)
        });
        order.into_iter().map(|(id, _)| id.clone()).collect()
    }

    fn set_aside_on(&self, id: &GrantId) -> u64 {
        let allocations = self.users.values().filter_map(|user| user.allocation.as_ref());
        allocations.filter_map(|allocation| allocation.set_aside.get(id)).sum()
    }

    /// Left of a grant and set aside for nobody.
    fn free_on(&self, id: &GrantId) -> u64 {
        self.grants[id].left() - self.set_aside_on(id)
    }

    fn make_grant(&mut self, new: &NewGrant, now: Timestamp) -> Allowed {
        if let Some(known) = self.grants.get(&new.id) {
            let starts_at = Some(new.starts_at.unwrap_or(known.created_at));
            let asked = NewGrant { starts_at, ..new.clone() };
            return allow(asked == NewGrant { starts_at: Some(known.starts_at()), ..known.made.clone() });
        }
        let starts_at = new.starts_at.unwrap_or(now);
        allow(new.expires_at.is_none_or(|end| end > now && end > starts_at))?;
        let grant = Grant { made: new.clone(), created_at: now, spent: 0, exposure: 0, ended: None };
        self.grants.insert(new.id.clone(), grant);
        Ok(())
    }

    fn void(&mut self, id: &GrantId, now: Timestamp) -> Allowed {
        if self.grants.get(id).ok_or(NotAllowed)?.ended.is_some() {
            return Ok(());
        }
        let stands_on_it = |user: &User| Some(*user.allocation.as_ref()?.set_aside.get(id)?);
        let standing: Vec<(UserId, u64)> =
            self.users.iter().filter_map(|(name, user)| Some((name.clone(), stands_on_it(user)?))).collect();
        self.end(id, Ended::Voided);
        standing.iter().try_for_each(|(user, amount)| self.fund(user, *amount, now))
    }

    /// Sets `amount` more aside, on grants that last to the end of the cycle, in burn order.
    fn fund(&mut self, user: &UserId, amount: u64, now: Timestamp) -> Allowed {
        let mut missing = amount;
        for id in self.burn_order() {
            let grant = &self.grants[&id];
            let lasts = match (grant.made.expires_at, self.cycle_ends_at) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(end), Some(cycle_end)) => end >= cycle_end,
            };
            if lasts && grant.is_drawable(now) {
                let part = missing.min(self.free_on(&id));
                let allocation = self.user(user).allocation.as_mut().expect("an allocation is funded");
                add(&mut allocation.set_aside, &id, part);
                missing -= part;
            }
        }
        allow(missing == 0)
    }

    /// Takes `amount` out of what is set aside, last in burn order first.
    fn release(&mut self, user: &UserId, amount: u64) -> Vec<(GrantId, u64)> {
        let order = self.burn_order();
        let allocation = self.user(user).allocation.as_mut().expect("an allocation gives up");
        let mut released = take(&mut allocation.set_aside, order.iter().rev(), amount);
        released.retain(|(_, part)| *part > 0);
        released
    }

    fn set_allocation(
        &mut self,
        user: &UserId,
        amount: u64,
        overflow: Option<Overflow>,
        now: Timestamp,
    ) -> Allowed {
        allow(self.may_be_named(user))?;
        let fresh = Allocation { overflows: false, used: 0, set_aside: BTreeMap::new() };
        let allocation = self.user(user).allocation.get_or_insert(fresh);
        allocation.overflows = overflow.map_or(allocation.overflows, |overflow| overflow == Overflow::Shared);
        let now_is = allocation.amount();
        if amount > now_is {
            return self.fund(user, amount - now_is, now);
        }
        // What is used stays used.
        let unused = allocation.unused();
        self.release(user, unused.min(now_is - amount));
        Ok(())
    }

    fn reallocate(&mut self, id: &ReallocationId, from: &UserId, to: &UserId, amount: u64) -> Allowed {
        let asked = (from.clone(), to.clone(), amount);
        if let Some(known) = self.reallocations.get(id) {
            return allow(*known == asked);
        }
        allow(from != to && self.may_be_named(from) && self.may_be_named(to))?;
        allow(self.allocation(from).ok_or(NotAllowed)?.unused() >= amount)?;
        let fresh = Allocation { overflows: true, used: 0, set_aside: BTreeMap::new() };
        let moved = self.release(from, amount);
        let recipient = self.user(to).allocation.get_or_insert(fresh);
        moved.iter().for_each(|(grant, part)| add(&mut recipient.set_aside, grant, *part));
        self.reallocations.insert(id.clone(), asked);
        Ok(())
    }

    /// Spends `price` if it may be spent: own allocation first, then what is shared. Answers out of what.
    pub fn spend(
        &mut self,
        user: &UserId,
        price: u64,
        now: Timestamp,
    ) -> Option<Vec<(Source, GrantId, u64)>> {
        self.expire(now);
        let known = self.users.get(user).cloned().unwrap_or_default();
        let over_limit = known.limit.is_some_and(|limit| known.used + price > limit);
        if !self.may_be_named(user) || known.has_no_access || over_limit {
            return None;
        }
        let mut order = self.burn_order();
        order.retain(|id| self.grants[id].is_drawable(now));
        let mut own = known.allocation.as_ref().map_or_else(BTreeMap::new, |a| a.set_aside.clone());
        let shares = known.allocation.as_ref().is_none_or(|a| a.overflows);
        let free = |id: &GrantId| if shares { self.free_on(id) } else { 0 };
        let mut shared: BTreeMap<GrantId, u64> = order.iter().map(|id| (id.clone(), free(id))).collect();
        let from_own = take(&mut own, order.iter(), price);
        let missing = price - from_own.iter().map(|(_, part)| part).sum::<u64>();
        let from_shared = take(&mut shared, order.iter(), missing);
        if from_shared.iter().map(|(_, part)| part).sum::<u64>() < missing {
            return None;
        }
        let from_own = from_own.into_iter().map(|(id, part)| (Source::Allocation, id, part));
        let from_shared = from_shared.into_iter().map(|(id, part)| (Source::Shared, id, part));
        let taken: Vec<_> = from_own.chain(from_shared).filter(|(_, _, part)| *part > 0).collect();
        for (source, id, part) in &taken {
            self.charge(user, id, *part);
            if *source == Source::Allocation {
                let allocation = self.user(user).allocation.as_mut().expect("it was spent from");
                allocation.used += part;
                *allocation.set_aside.get_mut(id).expect("it was set aside") -= part;
                allocation.set_aside.retain(|_, left| *left > 0);
            }
        }
        Some(taken)
    }

    /// Books what was spent on a grant, whoever allowed it.
    pub fn charge(&mut self, user: &UserId, grant: &GrantId, amount: u64) {
        self.user(user).used += amount;
        self.grants.get_mut(grant).expect("a known grant").spent += amount;
    }
}

fn add(parts: &mut BTreeMap<GrantId, u64>, id: &GrantId, amount: u64) {
    if amount > 0 {
        *parts.entry(id.clone()).or_default() += amount;
    }
}

/// Takes up to `amount` out of the parts, in the order given.
fn take<'a>(
    parts: &mut BTreeMap<GrantId, u64>,
    order: impl Iterator<Item = &'a GrantId>,
    amount: u64,
) -> Vec<(GrantId, u64)> {
    let mut missing = amount;
    let mut taken = Vec::new();
    for id in order {
        let Some(part) = parts.get_mut(id) else { continue };
        let now = missing.min(*part);
        *part -= now;
        missing -= now;
        taken.push((id.clone(), now));
    }
    parts.retain(|_, left| *left > 0);
    taken
}
