//! Cycles: when one ends and what happens then.
//!
//! A boundary is reached with the first entry for the workspace whose time is not before it, whatever that entry asks
//! for: nothing is decided by the books of a cycle that is over. When boundaries come was looked up in the calendar by
//! whoever proposed them, and stands in the state before it is needed; nothing here knows a zone. A cycle whose end is not
//! known goes on until it is.
//!
//! At a boundary, always in this order:
//!
//! 1. Grants whose own window ends there expire.
//! 2. Transfer intents end: what is still owed lapses.
//! 3. Every open line is frozen and recalled. It may still report, return and close, on the books of its own cycle.
//! 4. Allocations and reserves end, and what was set aside is free.
//! 5. What is left of grants that end with the cycle goes by their rule: kept, or expired. What their lines still return
//!    goes by the same rule. Other grants are kept whole.
//! 6. The next cycle begins. Nobody has used anything in it.
//! 7. The plan gives what it owes for it.
//! 8. Where credits for seats are not pooled each seat has its part.
//! 9. Standing allocations and reserves are set aside anew, those first that were given first. What the pool has too little for is
//!    `short`, and is made up for, in the same order, as soon as anything is free.
//!
//! Not here: the rule of the calendar (`calendar`), who notices that it is time (the leader).

use crate::allocation::{Allocation, Overflow, Owner};
use crate::command::{CycleEnds, WorkspaceSettings};
use crate::grant::{Grant, GrantState};
use crate::limits;
use crate::line::Growth;
use crate::outcome::{Event, Outcome, Rejection};
use crate::workspace::Workspace;
use types::planted::{Mistake, is_planted};
use types::{Credits, CycleNumber, GrantNo, LineId, Timestamp};

/// What was charged, by how it came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub used: Credits,
    pub unattributed: Credits,
    pub written_off: Credits,
}

/// A standing allocation or reserve between two cycles.
struct Standing {
    owner: Owner,
    amount: Credits,
    overflow: Overflow,
}

impl Workspace {
    /// `None`: it has no end, or none that is known yet.
    pub fn cycle_ends_at(&self) -> Option<Timestamp> {
        self.cycle_ends.first().copied()
    }

    /// Makes happen what is due, each thing at its own instant. A grant that begins is not a change; what was short may be
    /// made up for by it.
    pub(crate) fn settle_due(&mut self, at: Timestamp, events: &mut Vec<Event>) {
        let at = if is_planted(Mistake::BoundaryEarly) { at.plus_ms(5_000) } else { at };
        while let Some(due) = self.next_due.filter(|due| *due <= at) {
            self.begun_to = self.begun_to.max(due);
            self.expire(due, events);
            if self.cycle_ends_at().is_some_and(|end| end <= due) {
                self.roll_over(due, events);
                if is_planted(Mistake::RollsTwice) && !self.cycle_ends.is_empty() {
                    self.roll_over(due, events);
                }
            }
            // An end that was looked up late lies before what has begun since.
            self.make_up_for_shortfalls(self.begun_to);
            self.look_ahead();
        }
    }

    /// Notes what is due next.
    pub fn look_ahead(&mut self) {
        self.next_due = self.first_due();
    }

    pub(crate) fn first_due(&self) -> Option<Timestamp> {
        let live = self.grants.iter().filter(|grant| grant.state == GrantState::Live);
        let begins = |grant: &Grant| Some(grant.starts_at).filter(|start| *start > self.begun_to);
        let instants = live.flat_map(|grant| [grant.expires_at, begins(grant)]).flatten();
        let clock = self.clock.wanted_at().filter(|at| *at > self.begun_to);
        instants.chain(self.cycle_ends_at()).chain(clock).min()
    }

    /// Ends the grants whose time is over. Allocations that stood on them shrink with them.
    fn expire(&mut self, at: Timestamp, events: &mut Vec<Event>) {
        let over = |g: &&Grant| g.state == GrantState::Live && g.is_over(at);
        let due: Vec<GrantNo> = self.grants.iter().filter(over).map(|g| g.no).collect();
        for no in due {
            let shrunk = self.free_what_is_set_aside_on(no);
            // Of an allocation it is gone; a seat's part is what is left of its share, and missing.
            for (owner, _) in &shrunk {
                if let Owner::User(user) = owner {
                    self.part_follows(user);
                }
            }
            let revision = self.next_revision();
            self.on_grant(no, |g| g.end(GrantState::Expired, revision));
            self.grant_ended();
            let lines = self.lines_on(no);
            self.recall(&lines, events);
        }
    }

    /// Nothing is set aside on this grant any more. Answers whose it was, and how much.
    fn free_what_is_set_aside_on(&mut self, no: GrantNo) -> Vec<(Owner, Credits)> {
        let mut freed = Vec::new();
        let earmarked = self.grant(no).books.earmarked;
        if earmarked.is_zero() {
            return freed;
        }
        let on_it = self.allocations().map(|(owner, allocation)| (owner, allocation.earmarks.on(no)));
        freed.extend(on_it.filter(|(_, amount)| !amount.is_zero()));
        for (owner, amount) in &freed {
            self.allocation_mut(owner).expect("found above").earmarks.remove(no, *amount);
        }
        self.on_grant(no, |g| g.release(earmarked));
        freed
    }

    fn roll_over(&mut self, at: Timestamp, events: &mut Vec<Event>) {
        let ended = self.cycle;
        self.end_intents(ended);
        let open: Vec<LineId> = self.lines.keys().copied().collect();
        if !is_planted(Mistake::EndedLinesDraw) {
            self.recall(&open, events);
        }
        let standing = self.end_allocations();
        self.roll_grants(ended, at);
        self.previous_starts_at = Some(self.usage_begins_at());
        self.cycle = ended.next();
        (self.cycle_starts_at, self.calendar_starts_at) = (at, at);
        self.cycle_ends.remove(0);
        self.spent_before = self.spent();
        for user in self.users.values_mut() {
            user.past.grow(user.used);
            (user.used, user.late) = (Credits::ZERO, Credits::ZERO);
            (user.share, user.of_share) = (None, Credits::ZERO);
            if let Some(services) = &mut user.by_services {
                services.used = Credits::ZERO;
            }
        }
        self.teams.values_mut().for_each(|team| team.used = Credits::ZERO);
        self.by_feature.values_mut().chain(self.by_model.values_mut()).for_each(|of| of.used = Credits::ZERO);
        self.users.retain(|_, user| !user.is_nobody());
        self.forget_refunds();
        self.forget_imports_of_earlier_cycles();
        self.close_overage_accounts();
        self.sort_burn_order();
        self.renew_plan(at);
        let by_hand = standing.iter().filter_map(|standing| match &standing.owner {
            Owner::User(user) => Some(user.clone()),
            Owner::Team(_) => None,
        });
        let (seats, owed) = self.seats_paid();
        self.share_out(owed, seats, &by_hand.collect());
        standing.into_iter().for_each(|standing| self.renew(standing));
    }

    /// What is still owed lapses. Reallocations are remembered to the end of the cycle after theirs.
    fn end_intents(&mut self, ended: CycleNumber) {
        for line in self.lines.values_mut() {
            line.pledges.clear();
        }
        for intent in self.intents.values_mut() {
            intent.lapsed.grow(intent.pending());
            intent.lines.clear();
        }
        self.intents.retain(|_, intent| intent.reallocation.is_some() && intent.cycle == ended);
        let Self { reallocations, intents, .. } = self;
        reallocations.retain(|_, no| intents.contains_key(no));
    }

    /// Releases all that is set aside. Answers the allocations that come again, those first that were given first.
    fn end_allocations(&mut self) -> Vec<Standing> {
        self.short.clear();
        self.reserves.clear();
        let owners: Vec<Owner> = self.allocations().map(|(owner, _)| owner).collect();
        let end = |owner: Owner| {
            let allocation = self.place_of(&owner).take()?;
            Some((owner, allocation))
        };
        let mut ended: Vec<(Owner, Allocation)> = owners.into_iter().filter_map(end).collect();
        ended.sort_by_key(|(_, allocation)| allocation.no);
        for (_, allocation) in &ended {
            for (grant, amount) in allocation.earmarks.iter() {
                self.on_grant(grant, |g| g.release(amount));
            }
        }
        // None of one's own and then what is shared: as if he had none.
        let comes_again =
            |(_, a): &(Owner, Allocation)| !a.standing.is_zero() || a.overflow == Overflow::None;
        let standing = |(owner, a): (Owner, Allocation)| {
            let Allocation { standing: amount, overflow, .. } = a;
            Standing { owner, amount, overflow }
        };
        ended.into_iter().filter(comes_again).map(standing).collect()
    }

    /// Grants that began before `at` and end with their cycle. Those that begin with the next one or later wait for theirs.
    fn roll_grants(&mut self, ended: CycleNumber, at: Timestamp) {
        let begun = |g: &&Grant| g.state == GrantState::Live && g.starts_at < at;
        let rolling: Vec<GrantNo> = self.grants.iter().filter(begun).map(|g| g.no).collect();
        for no in rolling {
            let revision = self.next_revision();
            self.on_grant(no, |g| g.roll(ended, revision));
        }
        self.grant_ended();
    }

    /// Gives what stands its next life: to begin with all of it is missing.
    fn renew(&mut self, standing: Standing) {
        let Standing { owner, amount, overflow } = standing;
        let revision = self.next_revision();
        let allocation = self.give_allocation(&owner, overflow);
        (allocation.standing, allocation.revision) = (amount, revision);
        self.set_short(&owner, amount);
    }

    /// So much is missing from the allocation or reserve.
    pub(crate) fn set_short(&mut self, owner: &Owner, short: Credits) {
        let allocation = self.allocation_mut(owner).expect("somebody's allocation is short");
        allocation.short = short;
        let no = allocation.no;
        if short.is_zero() {
            self.short.remove(&no);
        } else {
            self.short.insert(no, owner.clone());
        }
    }

    /// Sets aside what is missing from allocations, as far as what has come can fund it.
    pub(crate) fn make_up_for_shortfalls(&mut self, at: Timestamp) {
        while let Some(owner) = self.short.values().next().cloned() {
            self.make_up(&owner, at);
            // What the first one still misses nobody behind him gets.
            if self.short.values().next() == Some(&owner) {
                return;
            }
        }
    }

    pub(crate) fn make_up(&mut self, owner: &Owner, at: Timestamp) {
        let short = self.short_of(owner);
        let is_of_seat = self.allocation_of(owner).is_some_and(|allocation| allocation.of_seat);
        // What is given for seats is there for them first.
        let first = if is_of_seat { self.grants_for_seats() } else { Vec::new() };
        let (fund, missing) = self.fundable_from(&first, short, at);
        self.earmark_for(owner, &fund);
        self.set_short(owner, missing);
    }

    fn short_of(&self, owner: &Owner) -> Credits {
        self.allocation_of(owner).map_or(Credits::ZERO, |a| a.short)
    }

    /// Charged in all cycles.
    pub fn spent(&self) -> Spent {
        let totals = &self.totals;
        Spent { used: totals.used, unattributed: totals.unattributed, written_off: totals.written_off }
    }

    /// A line of an earlier cycle tells late what was charged on it.
    pub(crate) fn charge_before(&mut self, step: &Growth) {
        self.spent_before.used.grow(step.used);
        self.spent_before.unattributed.grow(step.unattributed);
    }

    /// Where settings make another rule, it has to come with its ends.
    pub(crate) fn decide_cycles(&self, settings: &WorkspaceSettings, at: Timestamp) -> Result<(), Rejection> {
        let rule = settings.rule_after(&self.timezone, self.cycle_rule.as_ref());
        if rule == self.cycle_rule {
            return Ok(());
        }
        let are_its_own =
            |known: &&CycleEnds| Some(&known.rule) == rule.as_ref() && is_ascending(&known.ends);
        let known = settings.ends.as_ref().filter(are_its_own).ok_or(Rejection::CyclesChanged)?;
        let are_to_come = known.ends.first().is_none_or(|first| *first > at);
        if are_to_come { Ok(()) } else { Err(Rejection::CyclesChanged) }
    }

    pub(crate) fn commit_cycles(&mut self, settings: &WorkspaceSettings, at: Timestamp) {
        let rule = settings.rule_after(&self.timezone, self.cycle_rule.as_ref());
        if let Some(zone) = &settings.timezone {
            self.timezone.clone_from(zone);
        }
        if let Some(clock) = settings.clock.as_ref().filter(|clock| clock.zone == self.timezone) {
            self.clock.clone_from(clock);
            self.look_ahead();
        }
        if rule != self.cycle_rule {
            self.cycle_rule = rule;
            self.term_goes_by_rule();
            self.cycle_ends = settings.ends.as_ref().expect("decided with its ends").ends.clone();
            self.calendar_starts_at = settings.began.unwrap_or(self.cycle_starts_at).min(at);
            self.ends_changed();
            self.leave_what_no_longer_lasts();
            self.make_up_for_shortfalls(at);
        }
    }

    /// R12: what is set aside on grants that end before the cycle now does is free again, and missing.
    fn leave_what_no_longer_lasts(&mut self) {
        let end = self.cycle_ends_at();
        let ends_before = |no: &GrantNo| !self.grant(*no).lasts_to(end);
        let leaving: Vec<GrantNo> = self.burn_order.iter().copied().filter(ends_before).collect();
        for no in leaving {
            for (owner, amount) in self.free_what_is_set_aside_on(no) {
                let short = self.short_of(&owner).checked_add(amount);
                self.set_short(&owner, short.expect("parts of one pool sum within its bound"));
            }
        }
    }

    /// What comes after this cycle is replaced; when this one ends was told, and stays.
    pub(crate) fn set_cycle_ends(
        &mut self,
        cycle: CycleNumber,
        known: &CycleEnds,
        at: Timestamp,
    ) -> Result<Outcome, Rejection> {
        let CycleEnds { rule, ends } = known;
        let goes_on = match (self.cycle_ends_at(), ends.first()) {
            (Some(known), first) => first == Some(&known),
            (None, first) => first.is_none_or(|first| *first > self.cycle_starts_at),
        };
        if self.cycle != cycle || self.cycle_rule.as_ref() != Some(rule) || !goes_on || !is_ascending(ends) {
            return Err(Rejection::CyclesChanged);
        }
        self.cycle_ends.clone_from(ends);
        self.ends_changed();
        // While no end was known, only grants without one could back an allocation.
        self.make_up_for_shortfalls(at);
        Ok(Outcome::Ticked)
    }

    fn ends_changed(&mut self) {
        self.sort_burn_order();
        self.look_ahead();
    }
}

fn is_ascending(ends: &[Timestamp]) -> bool {
    ends.len() <= limits::CYCLE_ENDS_MAX && ends.is_sorted_by(|a, b| a < b)
}
