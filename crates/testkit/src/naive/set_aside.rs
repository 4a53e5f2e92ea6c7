//! What the naive pool has set aside: allocations of users and reserves of teams, one kind of thing. Not here: who may spend it.

use super::{Allowed, NotAllowed, Pool, add, allow, of, take};
use ledger::{Overflow, Owner};
use std::collections::BTreeMap;
use types::{CreditsDelta, GrantId, ReallocationId, Timestamp, UserId};

#[derive(Clone, Debug)]
pub struct Allocation {
    /// The order in which they were given.
    pub(super) no: u64,
    pub(super) standing: u64,
    pub short: u64,
    pub overflows: bool,
    /// What is left of a seat's share, and no hand has touched it.
    pub of_seat: bool,
    pub used: u64,
    pub set_aside: BTreeMap<GrantId, u64>,
}

impl Allocation {
    pub fn unused(&self) -> u64 {
        self.set_aside.values().sum()
    }

    pub fn amount(&self) -> u64 {
        self.used + self.unused()
    }

    /// Its amount and what is missing from it when it is adjusted. What is lowered is first what it never got.
    pub(super) fn adjusted(&self, delta: &CreditsDelta) -> (u64, u64) {
        let (amount, short) = (self.amount(), self.short);
        match delta {
            CreditsDelta::Raise(by) => (amount + by.micros(), short),
            CreditsDelta::Lower(by) => {
                let from_short = short.min(by.micros());
                (amount.saturating_sub(by.micros() - from_short), short - from_short)
            }
        }
    }

    pub(super) fn spend(&mut self, grant: &GrantId, part: u64) {
        self.used += part;
        *self.set_aside.get_mut(grant).expect("it was set aside") -= part;
        self.set_aside.retain(|_, left| *left > 0);
    }
}

impl Pool {
    pub(super) fn allocations(&self) -> impl Iterator<Item = (Owner, &Allocation)> {
        let users = self.users.iter().filter_map(|(name, user)| Some((of(name), user.allocation.as_ref()?)));
        let teams = self.teams.iter();
        let teams =
            teams.filter_map(|(name, team)| Some((Owner::Team(name.clone()), team.reserve.as_ref()?)));
        users.chain(teams)
    }

    pub(super) fn allocation(&self, owner: &Owner) -> Option<&Allocation> {
        match owner {
            Owner::User(user) => self.users.get(user)?.allocation.as_ref(),
            Owner::Team(team) => self.teams.get(team)?.reserve.as_ref(),
        }
    }

    pub(super) fn place_of(&mut self, owner: &Owner) -> &mut Option<Allocation> {
        match owner {
            Owner::User(user) => &mut self.user(user).allocation,
            Owner::Team(team) => &mut self.teams.get_mut(team).expect("a known team").reserve,
        }
    }

    pub(super) fn allocation_mut(&mut self, owner: &Owner) -> &mut Allocation {
        self.place_of(owner).as_mut().expect("it is there")
    }

    pub(super) fn set_aside_on(&self, id: &GrantId) -> u64 {
        self.allocations().filter_map(|(_, allocation)| allocation.set_aside.get(id)).sum()
    }

    pub(super) fn fresh_allocation(&mut self, overflows: bool) -> Allocation {
        self.allocations_made += 1;
        let (no, set_aside) = (self.allocations_made, BTreeMap::new());
        Allocation { no, standing: 0, short: 0, overflows, of_seat: false, used: 0, set_aside }
    }

    /// All of them end. Answers those that come again, those first that were given first.
    pub(super) fn end_allocations(&mut self) -> Vec<(Owner, Allocation)> {
        let owners: Vec<Owner> = self.allocations().map(|(owner, _)| owner).collect();
        let take = |owner: Owner| {
            let allocation = self.place_of(&owner).take().expect("found above");
            (owner, allocation)
        };
        let mut ended: Vec<(Owner, Allocation)> = owners.into_iter().map(take).collect();
        ended.retain(|(_, a)| a.standing > 0 || !a.overflows);
        ended.sort_by_key(|(_, a)| a.no);
        ended
    }

    pub(super) fn renew(&mut self, owner: &Owner, ended: &Allocation, at: Timestamp) {
        let standing = ended.standing;
        let allocation = Allocation { standing, short: standing, ..self.fresh_allocation(ended.overflows) };
        *self.place_of(owner) = Some(allocation);
        self.make_up(owner, at);
    }

    pub(super) fn make_up_for_shortfalls(&mut self, now: Timestamp) {
        self.parts_follow();
        let short = self.allocations().filter(|(_, a)| a.short > 0);
        let mut short: Vec<(u64, Owner)> = short.map(|(owner, a)| (a.no, owner)).collect();
        short.sort();
        short.iter().for_each(|(_, owner)| self.make_up(owner, now));
    }

    /// What is missing is set aside as far as there is enough.
    pub(super) fn make_up(&mut self, owner: &Owner, now: Timestamp) {
        let short = self.allocation(owner).map_or(0, |a| a.short);
        let is_of_seat = self.allocation(owner).is_some_and(|a| a.of_seat);
        // A seat's first from what is there for seats.
        let for_seats = if is_of_seat { self.given_by_plan(1) } else { Vec::new() };
        let missing = self.fund_parts(owner, for_seats, short, now);
        let order = self.burn_order();
        self.allocation_mut(owner).short = self.fund_parts(owner, order, missing, now);
    }

    /// Sets `amount` more aside, on grants that last to the end of the cycle, in burn order.
    pub(super) fn fund(&mut self, owner: &Owner, amount: u64, now: Timestamp) -> Allowed {
        let order = self.burn_order();
        allow(self.fund_parts(owner, order, amount, now) == 0)
    }

    /// The same as far as there is enough; answers what is missing.
    fn fund_parts(&mut self, owner: &Owner, order: Vec<GrantId>, amount: u64, now: Timestamp) -> u64 {
        let mut missing = amount;
        for id in order {
            let grant = &self.grants[&id];
            let lasts = match (grant.made.expires_at, self.cycle_ends.first()) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(end), Some(cycle_end)) => end >= *cycle_end,
            };
            if lasts && grant.is_drawable(now) {
                let part = missing.min(self.free_on(&id));
                add(&mut self.allocation_mut(owner).set_aside, &id, part);
                missing -= part;
            }
        }
        missing
    }

    /// Takes `amount` out of what is set aside, last in burn order first.
    pub(super) fn release(&mut self, owner: &Owner, amount: u64) -> Vec<(GrantId, u64)> {
        let order = self.burn_order();
        let mut released = take(&mut self.allocation_mut(owner).set_aside, order.iter().rev(), amount);
        released.retain(|(_, part)| *part > 0);
        released
    }

    pub(super) fn set_allocation(
        &mut self,
        user: &UserId,
        amount: u64,
        standing: Option<u64>,
        short: u64,
        overflow: Option<Overflow>,
        now: Timestamp,
    ) -> Allowed {
        allow(self.may_be_named(user))?;
        let overflows = overflow.map(|overflow| overflow == Overflow::Shared);
        self.set(&of(user), amount, standing, short, overflows, now)
    }

    pub(super) fn set(
        &mut self,
        owner: &Owner,
        amount: u64,
        standing: Option<u64>,
        short: u64,
        overflows: Option<bool>,
        now: Timestamp,
    ) -> Allowed {
        if self.allocation(owner).is_none() {
            *self.place_of(owner) = Some(self.fresh_allocation(false));
        }
        let allocation = self.allocation_mut(owner);
        allocation.standing = standing.unwrap_or(allocation.standing);
        allocation.short = short;
        allocation.of_seat = false;
        allocation.overflows = overflows.unwrap_or(allocation.overflows);
        let now_is = allocation.amount();
        if amount > now_is {
            return self.fund(owner, amount - now_is, now);
        }
        // What is used stays used.
        let unused = allocation.unused();
        self.release(owner, unused.min(now_is - amount));
        Ok(())
    }

    pub(super) fn reallocate(
        &mut self,
        id: &ReallocationId,
        from: &UserId,
        to: &UserId,
        amount: u64,
    ) -> Allowed {
        let asked = (from.clone(), to.clone(), amount);
        if let Some((_, known)) = self.reallocations.get(id) {
            return allow(*known == asked);
        }
        allow(from != to && self.may_be_named(from) && self.may_be_named(to))?;
        allow(self.allocation(&of(from)).ok_or(NotAllowed)?.unused() >= amount)?;
        if self.allocation(&of(to)).is_none() {
            self.user(to).allocation = Some(self.fresh_allocation(true));
        }
        let moved = self.release(&of(from), amount);
        self.allocation_mut(&of(from)).of_seat = false;
        let recipient = self.allocation_mut(&of(to));
        recipient.of_seat = false;
        moved.iter().for_each(|(grant, part)| add(&mut recipient.set_aside, grant, *part));
        self.reallocations.insert(id.clone(), (self.cycle, asked));
        Ok(())
    }
}
