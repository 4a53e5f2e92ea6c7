//! Administrators' changes: settings, grants, members, allocations, reallocations, limits.
//!
//! Each change is decided against the books as they are; what is out on leases becomes a transfer intent. Not here:
//! the writing (`commit`), replay of keys (`state`), what returns do to intents (`intent`).

use crate::allocation::{Earmarks, Overflow, Owner};
use crate::command::{Change, GrantKind, Membership, NewGrant, Role, WorkspaceSettings};
use crate::grant::{Grant, GrantState};
use crate::import::NewImport;
use crate::limits;
use crate::outcome::{Outcome, Rejection};
use crate::overage::{OverageRule, is_of_overage};
use crate::plan::{PlanChange, is_of_plan};
use crate::pooling::Pooling;
use crate::refund::Refunding;
use crate::rollover::Term;
use crate::service::ServiceChange;
use crate::team::DecidedTeam;
use crate::window::Subject;
use crate::workspace::{Member, Workspace};
use std::collections::BTreeMap;
use types::planted::{Mistake, is_planted};
use types::{
    Credits, CreditsDelta, Enforcement, GrantId, GrantNo, LineId, ReallocationId, Revision, Source, TeamId,
    Timestamp, UserId, Window,
};

/// A decided change: nothing in it can be refused any more.
#[derive(Debug)]
pub(crate) enum Decided {
    Replay(Outcome),
    Settings {
        settings: WorkspaceSettings,
        freeze: Vec<LineId>,
    },
    MakeGrant(NewGrant),
    VoidGrant {
        grant: GrantNo,
        rebacked: Vec<(Owner, Earmarks)>,
        freeze: Vec<LineId>,
    },
    Member {
        user: UserId,
        member: Member,
        freeze: Vec<LineId>,
    },
    Allocation {
        user: UserId,
        standing: Option<Credits>,
        overflow: Overflow,
        shift: Shift,
        short: Credits,
        freeze: Vec<LineId>,
    },
    RemoveAllocation {
        user: UserId,
        shift: Shift,
    },
    Reallocate {
        id: ReallocationId,
        from: UserId,
        to: UserId,
        amount: Credits,
        shift: Shift,
    },
    Limits {
        of: Subject,
        by_window: BTreeMap<Window, Credits>,
        freeze: Vec<LineId>,
    },
    Team {
        team: TeamId,
        change: DecidedTeam,
    },
    Plan {
        change: PlanChange,
        freeze: Vec<LineId>,
    },
    Pooling {
        mode: Pooling,
        freeze: Vec<LineId>,
    },
    Overage {
        user: Option<UserId>,
        rule: Option<OverageRule>,
        freeze: Vec<LineId>,
    },
    Refund(Box<Refunding>),
    Imports(Vec<NewImport>),
}

/// How an allocation changes: what is newly set aside, what is released at once, what is promised out of lines.
#[derive(Debug, Default)]
pub(crate) struct Shift {
    pub(crate) fund: Earmarks,
    pub(crate) release: Earmarks,
    pub(crate) pledge: Vec<(LineId, Credits)>,
}

pub(crate) type Decision = Result<Decided, Rejection>;

impl Workspace {
    pub(crate) fn decide(&self, change: &Change, if_match: Option<Revision>, at: Timestamp) -> Decision {
        if let Change::MakeGrant(new) = change {
            is_for_anybody(new)?;
        }
        if let Some(answered) = self.answered_before(change) {
            return answered.map(Decided::Replay);
        }
        let (resource, user) = self.target(change);
        if let Some(expected) = if_match
            && expected != resource
        {
            return Err(Rejection::Stale { now: resource });
        }
        if let Some(user) = user
            && self.user(user).is_none()
            && self.users.len() >= limits::USERS_MAX
        {
            return Err(Rejection::TooMany { what: "users", max: limits::USERS_MAX });
        }
        match change {
            Change::PutWorkspace(settings) => self.decide_settings(settings, at),
            Change::MakeGrant(grant) => self.decide_grant(grant, at),
            Change::VoidGrant { grant } => self.decide_void(grant, at),
            Change::PutMember { user, ai_access, team, role, service } => {
                let team = team.as_ref().map(Option::as_ref);
                self.decide_member(user, *ai_access, team, *role, service)
            }
            Change::SetAllocation { user, amount, overflow } => {
                let short = Credits::ZERO;
                self.decide_allocation(user, *amount, Some(*amount), short, *overflow, at)
            }
            Change::AdjustAllocation { user, delta } => self.decide_adjust(user, *delta, at),
            Change::RemoveAllocation { user } => self.decide_remove_allocation(user),
            Change::Reallocate { id, from, to, amount } => self.decide_reallocate(id, from, to, *amount),
            Change::SetLimit { of, window, amount } => self.decide_limit(of, Some(*window), *amount, at),
            Change::LiftLimits { of } => self.decide_limit(of, None, None, at),
            Change::Plan(change) => {
                let freeze = self.decide_plan(change)?;
                Ok(Decided::Plan { change: change.clone(), freeze })
            }
            Change::SetPooling(mode) => self.decide_pooling(*mode),
            Change::Team { team, change } => self.decide_team(team, change, at),
            Change::SetOverage { user, rule } => {
                let freeze = self.decide_overage(user.as_ref(), *rule)?;
                Ok(Decided::Overage { user: user.clone(), rule: *rule, freeze })
            }
            Change::Refund(new) => Ok(Decided::Refund(Box::new(self.decide_refund(new)?))),
            Change::ImportUsage(items) => {
                Self::decide_imports(items)?;
                Ok(Decided::Imports(items.clone()))
            }
        }
    }

    /// What a grant or reallocation of this id was answered at first; ids are permanent.
    fn answered_before(&self, change: &Change) -> Option<Result<Outcome, Rejection>> {
        let (answer, what) = match change {
            Change::MakeGrant(new) => {
                let known = self.grant(*self.grant_ids.get(&new.id)?);
                let answer = || Outcome::Grant(Box::new(known.answer_when_made()));
                (known.was_made_as(new).then(answer), "grant")
            }
            Change::Reallocate { id, from, to, amount } => {
                let first = self.intents[self.reallocations.get(id)?].first_answer.as_ref();
                let first = first.expect("a reallocation keeps its first answer");
                let same = (&first.from, &first.to, &first.asked) == (from, to, amount);
                (same.then(|| Outcome::Reallocation(first.clone())), "reallocation")
            }
            Change::Refund(new) => (self.refunded_before(new)?, "refund"),
            Change::PutWorkspace(_)
            | Change::VoidGrant { .. }
            | Change::PutMember { .. }
            | Change::SetAllocation { .. }
            | Change::AdjustAllocation { .. }
            | Change::RemoveAllocation { .. }
            | Change::SetLimit { .. }
            | Change::LiftLimits { .. }
            | Change::Plan(_)
            | Change::SetPooling(_)
            | Change::Team { .. }
            | Change::SetOverage { .. }
            // Each item of its own id.
            | Change::ImportUsage(_) => return None,
        };
        Some(answer.ok_or(Rejection::IdConflict { what }))
    }

    /// The revision of the resource that is changed, and the user it would make known.
    fn target<'a>(&self, change: &'a Change) -> (Revision, Option<&'a UserId>) {
        let of_user = |user: &UserId, pick: fn(&crate::User) -> Option<Revision>| {
            self.user(user).and_then(pick).unwrap_or(Revision(0))
        };
        match change {
            Change::PutWorkspace(_) => (self.settings, None),
            Change::MakeGrant(grant) => (self.grant_revision(&grant.id), None),
            Change::VoidGrant { grant } => (self.grant_revision(grant), None),
            Change::PutMember { user, .. } => {
                (of_user(user, |u| u.member.as_ref().map(|m| m.revision)), Some(user))
            }
            Change::SetAllocation { user, .. }
            | Change::AdjustAllocation { user, .. }
            | Change::RemoveAllocation { user } => {
                (of_user(user, |u| u.allocation.as_ref().map(|a| a.revision)), Some(user))
            }
            Change::Reallocate { from, to, .. } => {
                (of_user(from, |u| u.allocation.as_ref().map(|a| a.revision)), Some(to))
            }
            Change::SetLimit { of, .. } | Change::LiftLimits { of } => {
                let user = match of {
                    Subject::User(user) => Some(user),
                    Subject::Team(_) | Subject::Feature(_) | Subject::Model(_) => None,
                };
                (self.limits_revision(of), user)
            }
            Change::Team { team, .. } => (self.team_revision(team), None),
            Change::Plan(_) => (self.subscription.as_ref().map_or(Revision(0), |s| s.revision), None),
            Change::SetPooling(_) => (self.pooling_set, None),
            Change::Refund(_) | Change::ImportUsage(_) => (Revision(0), None),
            Change::SetOverage { user: None, .. } => {
                (self.overage_rule.map_or(Revision(0), |(_, r)| r), None)
            }
            Change::SetOverage { user: Some(user), rule } => {
                (of_user(user, |u| u.overage_rule.map(|(_, r)| r)), rule.is_some().then_some(user))
            }
        }
    }

    fn grant_revision(&self, id: &GrantId) -> Revision {
        self.grant_ids.get(id).map_or(Revision(0), |no| self.grant(*no).revision)
    }

    fn decide_settings(&self, settings: &WorkspaceSettings, at: Timestamp) -> Decision {
        self.decide_cycles(settings, at)?;
        // Once membership is listed, strangers hold no lines.
        let lists = settings.membership == Some(Membership::Listed);
        let is_stranger = |line: &crate::Line| self.user(&line.user).is_none_or(|u| u.member.is_none());
        // What was counted for who may not spend, or for what the plan does not have, is counted no more once it is refused.
        let enforces =
            settings.enforcement == Some(Enforcement::On) && self.enforcement == Enforcement::Shadow;
        let may_not = |line: &crate::Line| {
            let is_in_plan = self.plan_without(&line.scope).is_none();
            !self.is_member(&line.user) || !self.may_spend(&line.user) || !is_in_plan
        };
        let ends = |line: &crate::Line| lists && is_stranger(line) || enforces && may_not(line);
        let freeze = self.lines.iter().filter(|(_, line)| ends(line)).map(|(id, _)| *id).collect();
        Ok(Decided::Settings { settings: settings.clone(), freeze })
    }

    fn decide_grant(&self, new: &NewGrant, at: Timestamp) -> Decision {
        if self.grants.len() >= limits::GRANTS_MAX {
            return Err(Rejection::TooMany { what: "grants", max: limits::GRANTS_MAX });
        }
        let starts_at = new.starts_at.unwrap_or(at);
        if new.expires_at.is_some_and(|end| end <= at || end <= starts_at) {
            return Err(Rejection::NeverValid);
        }
        if let Term::Cycle(rule) = new.term
            && !rule.is_valid()
        {
            return Err(Rejection::BadRollover);
        }
        if self.given_in_all().checked_add(new.amount).is_none() {
            return Err(Rejection::TooMuch);
        }
        Ok(Decided::MakeGrant(new.clone()))
    }

    fn decide_void(&self, id: &GrantId, at: Timestamp) -> Decision {
        let no = *self.grant_ids.get(id).ok_or(Rejection::UnknownGrant)?;
        if is_of_overage(id) {
            return Err(Rejection::OverageIsNoGrant);
        }
        if self.grant(no).state != GrantState::Live {
            return Ok(Decided::VoidGrant { grant: no, rebacked: Vec::new(), freeze: Vec::new() });
        }
        // Allocations that stand on it must stand on something else first.
        let mut taken = Earmarks::default();
        let mut rebacked = Vec::new();
        for (owner, allocation) in self.allocations() {
            let on_this = allocation.earmarks.on(no);
            if on_this.is_zero() {
                continue;
            }
            let other = self.fund(on_this, Some(no), &taken, at).map_err(|_| {
                let earmarked = self.grant(no).books.earmarked;
                let free = self.fundable(Some(no), at);
                Rejection::GrantBacksAllocations { earmarked, missing: earmarked.saturating_sub(free) }
            })?;
            for (grant, amount) in other.iter() {
                taken.add(grant, amount);
            }
            rebacked.push((owner, other));
        }
        Ok(Decided::VoidGrant { grant: no, rebacked, freeze: self.lines_on(no) })
    }

    /// Open lines with something out on a grant.
    pub(crate) fn lines_on(&self, no: GrantNo) -> Vec<LineId> {
        let out_on = |line: &crate::Line| {
            line.backings
                .iter()
                .any(|numbers| numbers.backing.grant == no && !numbers.outstanding().is_zero())
        };
        self.lines.iter().filter(|(_, line)| out_on(line)).map(|(id, _)| *id).collect()
    }

    fn decide_member(
        &self,
        user: &UserId,
        ai_access: Option<bool>,
        team: Option<Option<&TeamId>>,
        role: Option<Role>,
        service: &ServiceChange,
    ) -> Decision {
        let known = self.user(user).and_then(|u| u.member.as_deref().cloned());
        let was = known.unwrap_or(Member {
            ai_access: true,
            team: None,
            role: Role::Member,
            service: None,
            revision: Revision(0),
        });
        let member = Member {
            ai_access: ai_access.unwrap_or(was.ai_access),
            team: team.map_or_else(|| was.team.clone(), Option::<&TeamId>::cloned),
            role: role.unwrap_or(was.role),
            service: self.decide_service(user, was.service.as_deref(), service)?.map(Box::new),
            revision: was.revision,
        };
        if let Some(team) = member.team.as_ref().filter(|team| was.team.as_ref() != Some(team)) {
            self.may_be_in(team)?;
        }
        let takes_seat = member.ai_access && member.service.is_none();
        let more = !self.user(user).is_some_and(crate::User::has_seat) && takes_seat;
        self.may_have_seats(self.pooling, self.seats.saturating_add(u64::from(more)))?;
        // A line's team is fixed for its life, and a user without access holds no lines.
        let has_moved = member.team != was.team && !is_planted(Mistake::MovedMembersDraw);
        let chain_changed = !member.ai_access || has_moved || self.changes_chain(user, &member);
        let freeze = if chain_changed { self.lines_of(user, |_| true) } else { Vec::new() };
        Ok(Decided::Member { user: user.clone(), member, freeze })
    }

    /// Of all lines that draw on his chain, and of his own.
    pub(crate) fn lines_of(&self, user: &UserId, which: impl Fn(&crate::Line) -> bool) -> Vec<LineId> {
        let lines = self.user(user).into_iter().flat_map(crate::User::all_lines);
        lines.copied().filter(|id| which(&self.lines[id])).collect()
    }

    fn decide_adjust(&self, user: &UserId, delta: CreditsDelta, at: Timestamp) -> Decision {
        let allocation = self.user(user).and_then(|u| u.allocation.as_ref());
        let allocation = allocation.ok_or_else(|| Rejection::NoAllocation(user.clone()))?;
        let (amount, short) = allocation.adjusted(delta)?;
        self.decide_allocation(user, amount, None, short, None, at)
    }

    fn decide_allocation(
        &self,
        user: &UserId,
        amount: Credits,
        standing: Option<Credits>,
        short: Credits,
        overflow: Option<Overflow>,
        at: Timestamp,
    ) -> Decision {
        if !self.is_member(user) {
            return Err(Rejection::UnknownUser(user.clone()));
        }
        let known = self.user(user).and_then(|u| u.allocation.as_ref());
        let shift = self.shift_to(&Owner::User(user.clone()), amount, at)?;
        let overflow = overflow.or(known.map(|a| a.overflow)).unwrap_or(Overflow::None);
        // A line that drew on what is shared, or beyond it, may not go on with it when its user no longer may.
        let keeps_to_himself = overflow == Overflow::None;
        let is_named = self.user(user).is_some_and(|u| u.overage_rule.is_some());
        let freeze = self.lines_of(user, |line| {
            let is_beyond = line.backings.iter().any(|n| match n.backing.source {
                Source::Reserve(_) | Source::Shared => !n.outstanding().is_zero(),
                Source::Allocation | Source::Overage => false,
            });
            keeps_to_himself && (is_beyond || !is_named && !line.outstanding_from(Source::Overage).is_zero())
        });
        Ok(Decided::Allocation { user: user.clone(), standing, overflow, shift, short, freeze })
    }

    fn decide_remove_allocation(&self, user: &UserId) -> Decision {
        // A seat's part is nothing that somebody could take away: it would be there again.
        let allocation = self.user(user).and_then(|u| u.allocation.as_ref()).filter(|a| !a.of_seat);
        let allocation = allocation.ok_or_else(|| Rejection::NoAllocation(user.clone()))?;
        let (release, pledge) = self.give_up(&Owner::User(user.clone()), allocation.unused());
        Ok(Decided::RemoveAllocation {
            user: user.clone(),
            shift: Shift { release, pledge, ..Shift::default() },
        })
    }

    fn decide_reallocate(
        &self,
        id: &ReallocationId,
        from: &UserId,
        to: &UserId,
        amount: Credits,
    ) -> Decision {
        if from == to {
            return Err(Rejection::SameUser);
        }
        if self.reallocations.len() >= limits::REALLOCATIONS_MAX {
            return Err(Rejection::TooMany {
                what: "reallocations in this cycle and the one before",
                max: limits::REALLOCATIONS_MAX,
            });
        }
        for user in [from, to] {
            if !self.is_member(user) {
                return Err(Rejection::UnknownUser(user.clone()));
            }
        }
        let donor = self.user(from).and_then(|u| u.allocation.as_ref());
        let available = donor.ok_or_else(|| Rejection::NoAllocation(from.clone()))?.unused();
        if available < amount {
            return Err(Rejection::InsufficientAllocation { user: from.clone(), available });
        }
        let (release, pledge) = self.give_up(&Owner::User(from.clone()), amount);
        let shift = Shift { release, pledge, ..Shift::default() };
        Ok(Decided::Reallocate { id: id.clone(), from: from.clone(), to: to.clone(), amount, shift })
    }

    /// What of the pool could back another allocation to the end of the cycle.
    pub fn fundable(&self, without: Option<GrantNo>, at: Timestamp) -> Credits {
        let grants = self.grants_in_burn_order();
        let able = grants.filter(|g| Some(g.no) != without && g.may_back(self.cycle_ends_at(), at));
        Credits::checked_sum(able.map(Grant::shared)).expect("parts of one pool sum within its bound")
    }

    /// Earmarks of `amount` on grants that last, in burn order, beside what is already `taken`.
    pub(crate) fn fund(
        &self,
        amount: Credits,
        without: Option<GrantNo>,
        taken: &Earmarks,
        at: Timestamp,
    ) -> Result<Earmarks, Rejection> {
        let (earmarks, missing) = self.fundable_parts(amount, without, taken, at);
        if missing.is_zero() {
            return Ok(earmarks);
        }
        Err(Rejection::InsufficientShared {
            available: self.fundable(without, at),
            elsewhere: self.shared_out.saturating_add(self.paid_for_what_is_out()),
        })
    }

    /// The same as far as there is enough, and what is missing.
    pub(crate) fn fundable_parts(
        &self,
        amount: Credits,
        without: Option<GrantNo>,
        taken: &Earmarks,
        at: Timestamp,
    ) -> (Earmarks, Credits) {
        let others = self.grants_in_burn_order().filter(|grant| Some(grant.no) != without);
        self.fundable_on(others, amount, taken, at)
    }

    /// The same from these grants first.
    pub(crate) fn fundable_from(
        &self,
        first: &[GrantNo],
        amount: Credits,
        at: Timestamp,
    ) -> (Earmarks, Credits) {
        let rest = self.grants_in_burn_order().filter(|grant| !first.contains(&grant.no));
        let grants = first.iter().map(|no| self.grant(*no)).chain(rest);
        self.fundable_on(grants, amount, &Earmarks::default(), at)
    }

    fn fundable_on<'a>(
        &self,
        grants: impl Iterator<Item = &'a Grant>,
        amount: Credits,
        taken: &Earmarks,
        at: Timestamp,
    ) -> (Earmarks, Credits) {
        let mut missing = amount;
        let mut earmarks = Earmarks::default();
        for grant in grants {
            if missing.is_zero() {
                break;
            }
            if grant.may_back(self.cycle_ends_at(), at) {
                let part = missing.min(grant.shared().saturating_sub(taken.on(grant.no)));
                earmarks.add(grant.no, part);
                missing.shrink(part);
            }
        }
        (earmarks, missing)
    }
}

fn is_for_anybody(new: &NewGrant) -> Result<(), Rejection> {
    if is_of_plan(&new.id) || is_of_overage(&new.id) {
        return Err(Rejection::ReservedId);
    }
    if new.kind == GrantKind::Overage { Err(Rejection::OverageIsNoGrant) } else { Ok(()) }
}
