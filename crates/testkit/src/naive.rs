//! A pool without leases: grants, users, allocations and cycles as plain numbers of micro-credits, nothing ever out.
//!
//! Written from the surface's rules, not from the ledger's code, so that the two can be compared. A change is tried on
//! a copy and kept only if it is allowed. Not here: holders, lines, intents, keys.

mod imports;
mod limits;
mod overage;
mod parts;
mod plans;
mod pooling;
mod refunds;
mod services;
mod set_aside;
mod teams;

pub use imports::Covered;
pub use overage::places_of;
pub use plans::{Subscribed, plan};
pub use refunds::{Spending, Spent};
pub use set_aside::Allocation;
pub use teams::Team;

use limits::{Scoped, scopes_at};
use parts::{add, take};

use crate::holder::feature_at;
use crate::windows::Charges;
use ledger::{
    Change, CycleEnds, Keep, Membership, NewGrant, OverageRule, Owner, Pooling, Subject, Term,
    WorkspaceSettings, is_of_overage,
};
use std::collections::BTreeMap;
use types::{CycleRule, GrantId, ReallocationId, Source, TeamId, Timestamp, UserId, Window};

#[derive(Clone, Debug)]
pub struct Pool {
    pub grants: BTreeMap<GrantId, Grant>,
    pub users: BTreeMap<UserId, User>,
    pub teams: BTreeMap<TeamId, Team>,
    pub is_listed: bool,
    /// From 1.
    pub cycle: u32,
    /// When this cycle ends and those after it, as far as that is known.
    cycle_ends: Vec<Timestamp>,
    cycle_starts_at: Timestamp,
    calendar_starts_at: Timestamp,
    /// When the cycle before this one began.
    before_starts_at: Option<Timestamp>,
    settled_to: Timestamp,
    subscribed: Option<Subscribed>,
    pooling: Pooling,
    overage_rule: Option<OverageRule>,
    charges: Charges,
    /// Features and models.
    scopes: BTreeMap<Subject, Scoped>,
    rule: Option<CycleRule>,
    /// With the cycle in which it was asked for.
    reallocations: BTreeMap<ReallocationId, (u32, (UserId, UserId, u64))>,
    allocations_made: u64,
    /// Overage by cycle.
    accounts: BTreeMap<u32, refunds::Accounts>,
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
    pub limits: BTreeMap<Window, u64>,
    pub used: u64,
    /// Of what was used in this cycle.
    pub refunded: u64,
    /// Spent beyond what there was, in this cycle.
    pub overage: u64,
    pub overage_rule: Option<OverageRule>,
    /// What he may have of the credits for seats in this cycle, what he used counted in; left free where he has no access.
    share: Option<u64>,
    /// Used in this cycle of his own and of what is shared.
    of_share: u64,
    pub allocation: Option<Allocation>,
    pub team: Option<TeamId>,
    service: Option<services::Service>,
    /// How often it was another chain that he spent by, or another allocation.
    chains: u64,
    /// Charged to services that spend by his in this cycle, refunds off.
    by_services: u64,
}

impl User {
    fn has_seat(&self) -> bool {
        self.is_member && !self.has_no_access && self.service.is_none()
    }
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

/// Out of which link of the chain, of which grant, how much.
pub type Taken = Vec<(Source, GrantId, u64)>;

/// A change that is not allowed. Why does not matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAllowed;

type Allowed = Result<(), NotAllowed>;

fn allow(condition: bool) -> Allowed {
    if condition { Ok(()) } else { Err(NotAllowed) }
}

impl Default for Pool {
    fn default() -> Self {
        let (grants, users, teams, cycle_ends, reallocations) = Default::default();
        let (is_listed, rule, allocations_made) = (false, None, 0);
        let (cycle, settled_to) = (1, Timestamp::from_millis(0));
        let (cycle_starts_at, calendar_starts_at) = (settled_to, settled_to);
        let (subscribed, overage_rule, charges, scopes, accounts) = Default::default();
        let pooling = Pooling::Pooled;
        Self {
            grants,
            users,
            teams,
            is_listed,
            cycle,
            cycle_ends,
            cycle_starts_at,
            calendar_starts_at,
            before_starts_at: None,
            settled_to,
            subscribed,
            pooling,
            overage_rule,
            charges,
            scopes,
            rule,
            reallocations,
            allocations_made,
            accounts,
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
            Change::SetPooling(mode) => {
                self.set_pooling(*mode);
                Ok(())
            }
            // By what was spent, not by what a holder says: [`Pool::refund`].
            // The same, one by one: [`Pool::import`].
            Change::Refund(_) | Change::ImportUsage(_) => Err(NotAllowed),
            Change::SetOverage { user, rule } => self.set_overage(user.as_ref(), *rule),
            Change::MakeGrant(new) => self.make_grant(new, now),
            Change::VoidGrant { grant } => self.void(grant, now),
            Change::Team { team, change } => self.change_team(team, change, now),
            Change::PutMember { user, ai_access, team, service, role: _ } => {
                self.join(user, team.as_ref())?;
                let had_seat = self.user(user).has_seat();
                self.serve(user, service)?;
                let (before, known) = (self.seats_paid(), self.user(user));
                known.is_member = true;
                known.has_no_access = ai_access.map_or(known.has_no_access, |on| !on);
                self.pay_for_new_seats(now);
                self.seat_moves(user, had_seat, before);
                Ok(())
            }
            Change::SetAllocation { user, amount, overflow } => {
                let standing = Some(amount.micros());
                self.set_allocation(user, amount.micros(), standing, 0, *overflow, now)
            }
            Change::AdjustAllocation { user, delta } => {
                let allocation = self.allocation(&of(user)).ok_or(NotAllowed)?;
                let (amount, short) = allocation.adjusted(delta);
                self.set_allocation(user, amount, None, short, None, now)
            }
            Change::RemoveAllocation { user } => {
                let taken = self.user(user).allocation.take_if(|allocation| !allocation.of_seat);
                self.user(user).chains += u64::from(taken.ok_or(NotAllowed)?.used > 0);
                self.give_part(user);
                Ok(())
            }
            Change::Reallocate { id, from, to, amount } => self.reallocate(id, from, to, amount.micros()),
            Change::SetLimit { of, window, amount } => self.set_limit(of, Some(*window), *amount),
            Change::LiftLimits { of } => self.set_limit(of, None, None),
        }
    }

    fn user(&mut self, user: &UserId) -> &mut User {
        self.users.entry(user.clone()).or_default()
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
            let teams = self.teams.values_mut().filter_map(|team| team.reserve.as_mut());
            let users = self.users.values_mut().filter_map(|user| user.allocation.as_mut());
            for allocation in users.chain(teams) {
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
        for user in self.users.values_mut() {
            (user.used, user.refunded, user.overage, user.by_services) = (0, 0, 0, 0);
            (user.share, user.of_share) = (None, 0);
        }
        self.teams.values_mut().for_each(|team| team.used = 0);
        self.scopes.values_mut().for_each(|scope| scope.used = 0);
        let standing = self.end_allocations();
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
        self.before_starts_at = Some(self.usage_begins_at());
        self.cycle += 1;
        self.cycle_ends.remove(0);
        (self.cycle_starts_at, self.calendar_starts_at) = (at, at);
        self.renew_plan(at);
        let by_hand = standing.iter().filter_map(|(owner, _)| match owner {
            Owner::User(user) => Some(user.clone()),
            Owner::Team(_) => None,
        });
        self.share_out(&by_hand.collect());
        self.make_up_for_shortfalls(at);
        standing.into_iter().for_each(|(owner, allocation)| self.renew(&owner, &allocation, at));
    }

    fn end(&mut self, id: &GrantId, how: Ended) {
        self.grants.get_mut(id).expect("a known grant").ended = Some(how);
        let owners: Vec<Owner> = self.allocations().map(|(owner, _)| owner).collect();
        for owner in owners {
            self.allocation_mut(&owner).set_aside.remove(id);
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
        let on_it = self.allocations().filter_map(|(owner, a)| Some((owner, *a.set_aside.get(id)?)));
        let standing: Vec<(Owner, u64)> = on_it.collect();
        self.end(id, Ended::Voided);
        standing.iter().try_for_each(|(owner, amount)| self.fund(owner, *amount, now))
    }

    /// Spends `price` if it may be spent: own allocation first, then reserves from the innermost team's on, then what is shared.
    /// Answers out of what.
    pub fn spend(&mut self, user: &UserId, price: u64, now: Timestamp) -> Option<Taken> {
        self.settle(now);
        let known = self.users.get(user).cloned().unwrap_or_default();
        let whose = self.spends_by(user);
        let is_off = self.users.get(&whose).is_some_and(|whose| whose.has_no_access);
        let passes = self.passes_a_limit(user, price, now);
        if !self.may_be_named(user)
            || known.has_no_access
            || is_off
            || passes
            || !self.plan_has(&feature_at(price))
        {
            return None;
        }
        let (links, mut taken) = self.chain_of(user, price, now);
        let missing = price - taken.iter().map(|(_, _, part)| part).sum::<u64>();
        if missing > 0 && !self.may_exceed(user, missing) {
            return None;
        }
        taken.push((Source::Overage, self.overage_id(), missing));
        taken.retain(|(_, _, part)| *part > 0);
        self.counts(user, scopes_at(price), (price, price), now);
        for (source, id, part) in &taken {
            self.charge(user, id, *part, self.cycle);
            if let Some((_, owner)) = links.iter().find(|(link, _)| link == source) {
                self.allocation_mut(owner).spend(id, *part);
            }
        }
        self.counts_as_his(user, &taken);
        self.make_up_for_shortfalls(now);
        Some(taken)
    }

    /// So much of his share is used.
    fn counts_as_his(&mut self, user: &UserId, taken: &[(Source, GrantId, u64)]) {
        let his = taken.iter().filter(|(source, ..)| matches!(source, Source::Allocation | Source::Shared));
        let whose = self.spends_by(user);
        self.user(&whose).of_share += his.map(|(_, _, part)| part).sum::<u64>();
    }

    /// What a user's chain has of so much: the links in their order, and what each gives.
    fn chain_of(&self, user: &UserId, price: u64, now: Timestamp) -> (Vec<(Source, Owner)>, Taken) {
        let user = &self.spends_by(user);
        let mut order = self.burn_order();
        order.retain(|id| self.grants[id].is_drawable(now));
        let shares = self.may_share(user);
        let mut links = vec![(Source::Allocation, of(user))];
        if self.allocation(&of(user)).is_none_or(|a| a.overflows) {
            links.extend(self.reserves_for(user));
        }
        let (mut taken, mut missing) = (Vec::new(), price);
        for (source, owner) in &links {
            let mut there = self.allocation(owner).map_or_else(BTreeMap::new, |a| a.set_aside.clone());
            for (id, part) in take(&mut there, order.iter(), missing) {
                missing -= part;
                taken.push((*source, id, part));
            }
        }
        let free = |id: &GrantId| if shares { self.free_on(id) } else { 0 };
        let mut shared: BTreeMap<GrantId, u64> = order.iter().map(|id| (id.clone(), free(id))).collect();
        let shared = take(&mut shared, order.iter(), missing).into_iter();
        taken.extend(shared.map(|(id, part)| (Source::Shared, id, part)));
        (links, taken)
    }

    /// Books what was spent on a grant in a cycle, whoever allowed it.
    pub fn charge(&mut self, user: &UserId, grant: &GrantId, amount: u64, cycle: u32) {
        if cycle == self.cycle {
            self.counts_on_his_chain(user, amount);
        }
        if is_of_overage(grant) {
            self.make_overage(user, grant, amount, cycle);
            if cycle == self.cycle {
                self.user(user).overage += amount;
            }
        }
        let grant = self.grants.get_mut(grant).expect("a known grant");
        *grant.spent.entry(cycle).or_default() += amount;
    }
}

fn of(user: &UserId) -> Owner {
    Owner::User(user.clone())
}
