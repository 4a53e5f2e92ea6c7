//! A pool without leases: grants, users, allocations and cycles as plain numbers of micro-credits, nothing ever out.
//!
//! Written from the surface's rules, not from the ledger's code, so that the two can be compared. A change is tried on
//! a copy and kept only if it is allowed. Not here: holders, lines, intents, keys.

mod overage;
mod plans;

pub use overage::places_of;
pub use plans::{Subscribed, plan};

use ledger::{
    Change, CycleEnds, Keep, Membership, NewGrant, OverageRule, Overflow, Term, WorkspaceSettings,
    is_of_overage,
};
use std::collections::BTreeMap;
use types::{CreditsDelta, CycleRule, GrantId, ReallocationId, Source, Timestamp, UserId};

#[derive(Clone, Debug)]
pub struct Pool {
    pub grants: BTreeMap<GrantId, Grant>,
    pub users: BTreeMap<UserId, User>,
    pub is_listed: bool,
    /// From 1.
    pub cycle: u32,
    /// When this cycle ends and those after it, as far as that is known.
    cycle_ends: Vec<Timestamp>,
    cycle_starts_at: Timestamp,
    calendar_starts_at: Timestamp,
    settled_to: Timestamp,
    subscribed: Option<Subscribed>,
    overage_rule: Option<OverageRule>,
    rule: Option<CycleRule>,
    /// With the cycle in which it was asked for.
    reallocations: BTreeMap<ReallocationId, (u32, (UserId, UserId, u64))>,
    allocations_made: u64,
}

#[derive(Clone, Debug)]
pub struct Grant {
    pub made: NewGrant,
    pub created_at: Timestamp,
    /// By cycle.
    spent: BTreeMap<u32, u64>,
    /// The cycle it ended with, of those that end with their cycle and are kept.
    rolled: Option<u32>,
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
    /// Spent beyond what there was, in this cycle.
    pub overage: u64,
    pub overage_rule: Option<OverageRule>,
    pub allocation: Option<Allocation>,
}

#[derive(Clone, Debug)]
pub struct Allocation {
    /// The order in which they were given.
    no: u64,
    standing: u64,
    pub short: u64,
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
        self.made.amount.micros() + self.exposure - self.spent() - self.not_kept()
    }

    pub fn expired_and_voided(&self) -> (u64, u64) {
        match self.ended {
            None => (self.not_kept(), 0),
            Some(Ended::Expired) => (self.not_kept() + self.unspent(), 0),
            Some(Ended::Voided) => (self.not_kept(), self.unspent()),
        }
    }

    /// Whether credits came back to it at the price of an exposure, nobody knows out of which cycle: what its rule keeps of
    /// them cannot be said here.
    pub fn is_blurred(&self) -> bool {
        self.rolled.is_some() && self.exposure > 0
    }

    pub fn spent(&self) -> u64 {
        self.spent.values().sum()
    }

    /// Expired when its cycle ended, because its rule keeps no more.
    pub fn not_kept(&self) -> u64 {
        let (Some(cycle), Term::Cycle(rule)) = (self.rolled, self.made.term) else { return 0 };
        let spent_then: u64 = self.spent.range(..=cycle).map(|(_, amount)| amount).sum();
        let left = self.made.amount.micros() + self.exposure - spent_then;
        left - match rule.keep {
            Keep::None => 0,
            Keep::All => left,
            Keep::UpTo(most) => left.min(most.micros()),
            Keep::Percent(percent) => left * u64::from(percent) / 100,
        }
    }

    /// The cycle with which it ends, or with which its rule takes what is left.
    fn last_cycle(&self, now: u32) -> Option<u32> {
        match (self.made.term, self.rolled) {
            (Term::Lasting, _) => None,
            (Term::Cycle(_), None) => Some(now),
            (Term::Cycle(rule), Some(cycle)) => rule.cycles.map(|cycles| cycle + cycles),
        }
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

impl Default for Pool {
    fn default() -> Self {
        let (grants, users, cycle_ends, reallocations) = Default::default();
        let (is_listed, rule, allocations_made) = (false, None, 0);
        let (cycle, settled_to) = (1, Timestamp::from_millis(0));
        let (cycle_starts_at, calendar_starts_at) = (settled_to, settled_to);
        let (subscribed, overage_rule) = (None, None);
        Self {
            grants,
            users,
            is_listed,
            cycle,
            cycle_ends,
            cycle_starts_at,
            calendar_starts_at,
            settled_to,
            subscribed,
            overage_rule,
            rule,
            reallocations,
            allocations_made,
        }
    }
}

impl Pool {
    /// Does the change if it is allowed.
    pub fn change(&mut self, change: &Change, now: Timestamp) -> Allowed {
        self.settle(now);
        let mut next = self.clone();
        next.try_change(change, now)?;
        next.make_up_for_shortfalls(now);
        *self = next;
        Ok(())
    }

    fn try_change(&mut self, change: &Change, now: Timestamp) -> Allowed {
        match change {
            Change::PutWorkspace(settings) => {
                self.is_listed =
                    settings.membership.map_or(self.is_listed, |membership| membership == Membership::Listed);
                self.set_cycles(settings);
                Ok(())
            }
            Change::Plan(change) => self.change_plan(change, now),
            Change::SetOverage { user, rule } => self.set_overage(user.as_ref(), *rule),
            Change::MakeGrant(new) => self.make_grant(new, now),
            Change::VoidGrant { grant } => self.void(grant, now),
            Change::PutMember { user, ai_access, .. } => {
                let user = self.user(user);
                user.is_member = true;
                user.has_no_access = ai_access.map_or(user.has_no_access, |on| !on);
                self.pay_for_new_seats(now);
                Ok(())
            }
            Change::SetAllocation { user, amount, overflow } => {
                let standing = Some(amount.micros());
                self.set_allocation(user, amount.micros(), standing, 0, *overflow, now)
            }
            Change::AdjustAllocation { user, delta } => {
                let allocation = self.allocation(user).ok_or(NotAllowed)?;
                let (amount, short) = (allocation.amount(), allocation.short);
                let (amount, short) = match delta {
                    CreditsDelta::Raise(by) => (amount + by.micros(), short),
                    CreditsDelta::Lower(by) => {
                        let from_short = short.min(by.micros());
                        (amount.saturating_sub(by.micros() - from_short), short - from_short)
                    }
                };
                self.set_allocation(user, amount, None, short, None, now)
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

    /// All that time alone does: grants begin and end, cycles end, each at its instant.
    pub fn settle(&mut self, now: Timestamp) {
        loop {
            let instants =
                self.grants.values().flat_map(|grant| [Some(grant.starts_at()), grant.made.expires_at]);
            let instants = instants.flatten().filter(|at| *at > self.settled_to);
            let next = instants.chain(self.cycle_ends.first().copied()).min();
            let Some(at) = next.filter(|at| *at <= now) else { break };
            self.expire(at);
            if self.cycle_ends.first().is_some_and(|end| *end <= at) {
                self.roll_over(at);
            }
            self.settled_to = self.settled_to.max(at);
            self.make_up_for_shortfalls(self.settled_to);
        }
        self.settled_to = self.settled_to.max(now);
    }

    /// The first cycle began.
    pub fn began_at(&mut self, at: Timestamp) {
        if self.cycle == 1 {
            (self.cycle_starts_at, self.calendar_starts_at) = (at, at);
        }
    }

    /// The ends of this cycle and of the next ones were looked up.
    pub fn know_ends(&mut self, ends: &CycleEnds, now: Timestamp) {
        self.settle(now);
        self.cycle_ends.clone_from(&ends.ends);
        self.make_up_for_shortfalls(now);
    }

    pub fn cycle_ends_at(&self) -> Option<Timestamp> {
        self.cycle_ends.first().copied()
    }

    /// Ends the grants whose time is over, and what was set aside on them.
    fn expire(&mut self, now: Timestamp) {
        let is_over = |grant: &Grant| grant.made.expires_at.is_some_and(|end| end <= now);
        let due = self.grants.iter().filter(|(_, grant)| grant.ended.is_none() && is_over(grant));
        let due: Vec<GrantId> = due.map(|(id, _)| id.clone()).collect();
        for id in due {
            self.end(&id, Ended::Expired);
        }
    }

    fn set_cycles(&mut self, settings: &WorkspaceSettings) {
        if let (Some(_), Some(ends)) = (settings.cycle, &settings.ends)
            && self.rule.as_ref() != Some(&ends.rule)
        {
            self.rule = Some(ends.rule.clone());
            self.cycle_ends.clone_from(&ends.ends);
            self.calendar_starts_at = settings.began.unwrap_or(self.cycle_starts_at);
            let end = self.cycle_ends.first().copied();
            let over = |grant: &Grant| grant.made.expires_at.is_some_and(|at| end.is_none_or(|end| at < end));
            for allocation in self.users.values_mut().filter_map(|user| user.allocation.as_mut()) {
                let grants = &self.grants;
                let leaving: u64 = allocation
                    .set_aside
                    .iter()
                    .filter(|(id, _)| over(&grants[*id]))
                    .map(|(_, part)| part)
                    .sum();
                allocation.set_aside.retain(|id, _| !over(&grants[id]));
                allocation.short += leaving;
            }
        }
    }

    fn roll_over(&mut self, at: Timestamp) {
        let mut standing = Vec::new();
        for (name, user) in &mut self.users {
            (user.used, user.overage) = (0, 0);
            let comes_again = |a: &Allocation| a.standing > 0 || !a.overflows;
            standing.extend(user.allocation.take().filter(comes_again).map(|a| (a.no, name.clone(), a)));
        }
        standing.sort_by_key(|(no, ..)| *no);
        let cycle = self.cycle;
        let rolling =
            self.grants.iter_mut().filter(|(_, grant)| grant.ended.is_none() && grant.starts_at() < at);
        let mut over = Vec::new();
        for (id, grant) in rolling {
            let Term::Cycle(rule) = grant.made.term else { continue };
            let ends = if grant.rolled.is_some() {
                grant.last_cycle(cycle) == Some(cycle)
            } else {
                rule.keep == Keep::None
            };
            match ends {
                true => over.push(id.clone()),
                false => grant.rolled = grant.rolled.or(Some(cycle)),
            }
        }
        over.iter().for_each(|id| self.end(id, Ended::Expired));
        self.reallocations.retain(|_, (then, _)| *then == cycle);
        self.cycle += 1;
        self.cycle_ends.remove(0);
        (self.cycle_starts_at, self.calendar_starts_at) = (at, at);
        self.renew_plan(at);
        for (_, name, Allocation { standing, overflows, .. }) in standing {
            let allocation = Allocation { standing, short: standing, ..self.fresh_allocation(overflows) };
            self.user(&name).allocation = Some(allocation);
            self.make_up(&name, at);
        }
    }

    fn fresh_allocation(&mut self, overflows: bool) -> Allocation {
        self.allocations_made += 1;
        let (no, set_aside) = (self.allocations_made, BTreeMap::new());
        Allocation { no, standing: 0, short: 0, overflows, used: 0, set_aside }
    }

    fn make_up_for_shortfalls(&mut self, now: Timestamp) {
        let is_short = |(name, user): (&UserId, &User)| {
            let allocation = user.allocation.as_ref().filter(|a| a.short > 0)?;
            Some((allocation.no, name.clone()))
        };
        let mut short: Vec<_> = self.users.iter().filter_map(is_short).collect();
        short.sort();
        short.iter().for_each(|(_, user)| self.make_up(user, now));
    }

    /// What is missing is set aside as far as there is enough.
    fn make_up(&mut self, user: &UserId, now: Timestamp) {
        let short = self.allocation(user).map_or(0, |a| a.short);
        let missing = self.fund_parts(user, short, now);
        self.user(user).allocation.as_mut().expect("somebody's allocation is short").short = missing;
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
            let last = grant.last_cycle(self.cycle).map(|last| last.saturating_sub(self.cycle) as usize);
            let with_cycle = last.and_then(|later| self.cycle_ends.get(later).or(self.cycle_ends.last()));
            let end = [grant.made.expires_at.as_ref(), with_cycle].into_iter().flatten().min();
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
        let (spent, rolled, ended) = Default::default();
        let grant = Grant { made: new.clone(), created_at: now, spent, rolled, exposure: 0, ended };
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
        allow(self.fund_parts(user, amount, now) == 0)
    }

    /// The same as far as there is enough; answers what is missing.
    fn fund_parts(&mut self, user: &UserId, amount: u64, now: Timestamp) -> u64 {
        let mut missing = amount;
        for id in self.burn_order() {
            let grant = &self.grants[&id];
            let lasts = match (grant.made.expires_at, self.cycle_ends.first()) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(end), Some(cycle_end)) => end >= *cycle_end,
            };
            if lasts && grant.is_drawable(now) {
                let part = missing.min(self.free_on(&id));
                let allocation = self.user(user).allocation.as_mut().expect("an allocation is funded");
                add(&mut allocation.set_aside, &id, part);
                missing -= part;
            }
        }
        missing
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
        standing: Option<u64>,
        short: u64,
        overflow: Option<Overflow>,
        now: Timestamp,
    ) -> Allowed {
        allow(self.may_be_named(user))?;
        if self.allocation(user).is_none() {
            self.user(user).allocation = Some(self.fresh_allocation(false));
        }
        let allocation = self.user(user).allocation.as_mut().expect("made above");
        allocation.standing = standing.unwrap_or(allocation.standing);
        allocation.short = short;
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
        if let Some((_, known)) = self.reallocations.get(id) {
            return allow(*known == asked);
        }
        allow(from != to && self.may_be_named(from) && self.may_be_named(to))?;
        allow(self.allocation(from).ok_or(NotAllowed)?.unused() >= amount)?;
        if self.allocation(to).is_none() {
            self.user(to).allocation = Some(self.fresh_allocation(true));
        }
        let moved = self.release(from, amount);
        let recipient = self.user(to).allocation.as_mut().expect("made above");
        moved.iter().for_each(|(grant, part)| add(&mut recipient.set_aside, grant, *part));
        self.reallocations.insert(id.clone(), (self.cycle, asked));
        Ok(())
    }

    /// Spends `price` if it may be spent: own allocation first, then what is shared. Answers out of what.
    pub fn spend(
        &mut self,
        user: &UserId,
        price: u64,
        now: Timestamp,
    ) -> Option<Vec<(Source, GrantId, u64)>> {
        self.settle(now);
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
        let beyond = missing - from_shared.iter().map(|(_, part)| part).sum::<u64>();
        if beyond > 0 && !self.may_exceed(user, beyond) {
            return None;
        }
        let beyond = (Source::Overage, self.overage_id(), beyond);
        let from_own = from_own.into_iter().map(|(id, part)| (Source::Allocation, id, part));
        let from_shared = from_shared.into_iter().map(|(id, part)| (Source::Shared, id, part));
        let taken: Vec<_> =
            from_own.chain(from_shared).chain([beyond]).filter(|(_, _, part)| *part > 0).collect();
        for (source, id, part) in &taken {
            self.charge(user, id, *part, self.cycle);
            if *source == Source::Allocation {
                let allocation = self.user(user).allocation.as_mut().expect("it was spent from");
                allocation.used += part;
                *allocation.set_aside.get_mut(id).expect("it was set aside") -= part;
                allocation.set_aside.retain(|_, left| *left > 0);
            }
        }
        Some(taken)
    }

    /// Books what was spent on a grant in a cycle, whoever allowed it.
    pub fn charge(&mut self, user: &UserId, grant: &GrantId, amount: u64, cycle: u32) {
        if cycle == self.cycle {
            self.user(user).used += amount;
        }
        if is_of_overage(grant) {
            self.make_overage(grant, amount);
            if cycle == self.cycle {
                self.user(user).overage += amount;
            }
        }
        let grant = self.grants.get_mut(grant).expect("a known grant");
        *grant.spent.entry(cycle).or_default() += amount;
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
