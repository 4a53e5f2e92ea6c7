//! What can be read of a workspace, as plain data. Not here: freshness, sessions, who may read.

use crate::grant::GrantState;
use crate::outcome::{AllocationAnswer, Pending, PlanAnswer};
use crate::plan::Due;
use crate::pooling::Pooling;
use crate::service::Service;
use crate::workspace::Workspace;
use crate::{IntentNo, Membership, Overflow, Role};
use std::collections::BTreeMap;
use types::{
    Credits, CycleNumber, CycleRule, Durability, Enforcement, GrantNo, LineId, Meter, Metered, NodeId,
    Revision, Source, TeamId, Timestamp, UserId, Window, WorkspaceId, ZoneName,
};

/// The summary of a pool. `granted + refunded = used + held + remaining`, `remaining = available + leased`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceView {
    pub id: WorkspaceId,
    pub name: String,
    pub membership: Membership,
    pub durability: Durability,
    pub enforcement: Enforcement,
    pub pooling: Pooling,
    pub cycle: CycleNumber,
    pub cycle_starts_at: Timestamp,
    pub cycle_ends_at: Option<Timestamp>,
    pub timezone: ZoneName,
    pub cycle_rule: Option<CycleRule>,
    /// What this cycle had and has to spend: net of expired and voided, with exposure.
    pub granted: Credits,
    /// In this cycle. Includes unattributed and written off.
    pub used: Credits,
    /// Of what was charged in this cycle: `granted + refunded = used + held + remaining`.
    pub refunded: Credits,
    pub held: Credits,
    pub available: Credits,
    /// Out on lines and not held.
    pub leased: Credits,
    /// Out by node, held or not.
    pub leased_by_node: BTreeMap<NodeId, Credits>,
    pub allocated: Credits,
    /// Missing from allocations and reserves, because the pool had too little.
    pub short: Credits,
    /// Set aside for teams, used of that, and out of it.
    pub reserved: Credits,
    pub shared: Credits,
    pub unattributed: Credits,
    pub written_off: Credits,
    pub exposure: Credits,
    pub pending: Credits,
    pub revision: Revision,
    pub at: Timestamp,
    /// Usage of this cycle that was told of later and that nothing paid for; not in `used`.
    pub uncovered: Credits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    pub user: UserId,
    /// `false`: known by his allocation, limit or use, but never made a member.
    pub listed: bool,
    pub ai_access: bool,
    pub team: Option<TeamId>,
    pub role: Role,
    pub service: Option<Service>,
    pub allocation: Option<Credits>,
    pub overflow: Option<Overflow>,
    /// Missing from his allocation, because the pool had too little.
    pub short: Credits,
    pub pending: Credits,
    /// Set aside in the reserves that he may draw on.
    pub reserve: Credits,
    /// That of the cycle.
    pub limit: Option<Credits>,
    /// In this cycle.
    pub used: Credits,
    /// Of what was charged in this cycle.
    pub refunded: Credits,
    /// Out on lines for this user.
    pub leased: Credits,
    /// What he could spend at most over the whole chain, leases of his own included; overage is not.
    pub remaining: Credits,
    pub revision: Revision,
}

/// Usage of one user on one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    pub user: UserId,
    pub meter: Meter,
    pub metered: Metered,
}

impl Workspace {
    pub fn view(&self, at: Timestamp) -> WorkspaceView {
        let totals = &self.totals;
        let sum = |parts: &[Credits]| Credits::checked_sum(parts.iter().copied()).expect("parts of one pool");
        let before = &self.spent_before;
        let unattributed = totals.unattributed.saturating_sub(before.unattributed);
        let written_off = totals.written_off.saturating_sub(before.written_off);
        let used = sum(&[totals.used.saturating_sub(before.used), unattributed, written_off]);
        let refunded = totals.refunded.saturating_sub(self.refunded_before);
        let open = || self.lines.values().filter(|line| !line.written_off);
        let held = Credits::checked_sum(open().map(|line| line.held.min(line.outstanding())))
            .expect("parts of one pool");
        let (available, earmarked) = self.usable(at);
        let mut leased_by_node = BTreeMap::new();
        for (id, line) in &self.lines {
            let out = line.outstanding();
            if !out.is_zero() {
                leased_by_node.entry(id.holder.node).or_insert(Credits::ZERO).grow(out);
            }
        }
        let of_users = self.users.values().filter_map(|u| u.allocation.as_ref());
        let allocated = of_users.map(crate::Allocation::amount);
        let reserves = self.teams.values().filter_map(|team| team.reserve.as_ref());
        let reserved = reserves.map(crate::Allocation::amount);
        let short = self
            .short
            .values()
            .filter_map(|owner| self.allocation_of(owner))
            .fold(Credits::ZERO, |sum, a| sum.saturating_add(a.short));
        let pending = self.intents.values().map(crate::Intent::pending);
        WorkspaceView {
            id: self.id.clone(),
            name: self.name.clone(),
            membership: self.membership,
            durability: self.durability,
            enforcement: self.enforcement,
            pooling: self.pooling,
            cycle: self.cycle,
            cycle_starts_at: self.cycle_starts_at,
            cycle_ends_at: self.cycle_ends_at(),
            timezone: self.timezone.clone(),
            cycle_rule: self.cycle_rule.clone(),
            granted: sum(&[used, available, totals.out]).saturating_sub(refunded),
            used,
            refunded,
            held,
            available,
            leased: totals.out.saturating_sub(held),
            leased_by_node,
            allocated: Credits::checked_sum(allocated).expect("funded by one pool"),
            short,
            reserved: Credits::checked_sum(reserved).expect("funded by one pool"),
            shared: available.saturating_sub(earmarked),
            unattributed,
            written_off,
            exposure: totals.exposure,
            pending: Credits::checked_sum(pending).expect("parts of one pool"),
            revision: self.settings,
            at,
            uncovered: self.uncovered.get(&self.cycle).copied().unwrap_or(Credits::ZERO),
        }
    }

    /// What is available at `at`, and how much of that is set aside. What has not begun yet, or has expired by the clock
    /// but not yet by an entry, is not counted.
    fn usable(&self, at: Timestamp) -> (Credits, Credits) {
        let (mut available, mut earmarked) = (self.totals.available, self.totals.earmarked);
        for other in self.grants.iter().filter(|g| g.state == GrantState::Live && !g.is_drawable(at)) {
            available.shrink(other.books.available);
            earmarked.shrink(other.books.earmarked);
        }
        (available, earmarked)
    }

    /// What anybody may draw on at `at` who has no allocation that says otherwise.
    pub fn shared_at(&self, at: Timestamp) -> Credits {
        let (available, earmarked) = self.usable(at);
        available.saturating_sub(earmarked)
    }

    /// `None`: nothing is known of this user. `shared`: what is shared at `at`.
    pub fn member_view(&self, user: &UserId, shared: Credits, at: Timestamp) -> Option<MemberView> {
        let entry = self.user(user)?;
        let member = entry.member.as_deref();
        let allocation = entry.allocation.as_ref();
        Some(MemberView {
            user: user.clone(),
            listed: member.is_some(),
            ai_access: entry.has_access(),
            team: member.and_then(|m| m.team.clone()),
            role: member.map_or(Role::Member, |m| m.role),
            service: entry.service().cloned(),
            allocation: allocation.map(crate::Allocation::amount),
            overflow: allocation.map(|a| a.overflow_in(self.pooling)),
            short: allocation.map_or(Credits::ZERO, |a| a.short),
            pending: allocation.map_or(Credits::ZERO, |a| a.pledged),
            reserve: self.set_aside_in_reserves(user),
            limit: entry.limit(Window::Cycle),
            used: entry.used,
            refunded: entry.refunded,
            leased: entry.out,
            remaining: self.remaining_of(user, shared, at),
            revision: member.map_or(Revision(0), |m| m.revision),
        })
    }

    /// What a user could spend at most over the whole chain: what he may draw, and what is out for him. `shared`: what is
    /// shared at `at`.
    pub fn remaining_of(&self, user: &UserId, shared: Credits, at: Timestamp) -> Credits {
        let entry = self.user(user);
        if !self.is_member(user) || !self.may_spend(user) {
            return Credits::ZERO;
        }
        let whose = self.chain_user(user);
        let allocation = whose.and_then(|u| u.allocation.as_ref());
        let out = entry.map_or(Credits::ZERO, |u| u.out);
        let lines = entry.map_or(&[][..], |u| &u.lines[..]).iter().map(|id| &self.lines[id]);
        let promised = lines.flat_map(|line| {
            let is_his = line.allocation.is_some() && line.allocation == allocation.map(|a| a.no);
            let counts = move |p: &&crate::Pledge| is_his || matches!(p.source, Source::Reserve(_));
            line.pledges.iter().filter(counts)
        });
        let pledged = promised.map(|p| p.amount).fold(Credits::ZERO, Credits::saturating_add);
        let own = allocation.map_or(Credits::ZERO, |a| a.earmarks.total());
        let shared = if self.chain_may_share(whose) { shared } else { Credits::ZERO };
        let chain = out.saturating_sub(pledged).saturating_add(own).saturating_add(shared);
        let chain = chain.saturating_add(self.set_aside_in_reserves(user));
        chain.min(self.left_under_limits(user, at))
    }

    fn set_aside_in_reserves(&self, user: &UserId) -> Credits {
        let parts = self.reserves_for(user).map(|(_, reserve)| reserve.earmarks.total());
        Credits::checked_sum(parts).expect("parts of one pool")
    }

    /// What usage sums up from, by user and number of its meter: first that of folded lines, then that of open ones.
    pub fn usage_parts(&self) -> impl Iterator<Item = (&UserId, u32, &Metered)> {
        let folded = self.usage.iter();
        let folded = folded.flat_map(|(user, meters)| meters.iter().map(move |(no, part)| (user, *no, part)));
        let open = self.lines.values();
        folded.chain(open.flat_map(|line| line.meters.iter().map(|(no, part)| (&line.user, *no, part))))
    }

    /// All usage the ledger knows: of folded lines and of open ones.
    pub fn usage_rows(&self) -> Vec<UsageRow> {
        let mut rows: BTreeMap<(&UserId, u32), Metered> = BTreeMap::new();
        for (user, meter, metered) in self.usage_parts() {
            rows.entry((user, meter)).or_default().add(metered);
        }
        let row = |((user, meter), metered): ((&UserId, u32), Metered)| UsageRow {
            user: user.clone(),
            meter: self.meters[meter as usize].clone(),
            metered,
        };
        rows.into_iter().map(row).collect()
    }

    pub fn plan_answer(&self, at: Timestamp) -> PlanAnswer {
        let known = self.subscription.as_deref();
        PlanAnswer {
            plan: known.and_then(|s| s.plan.clone()),
            next: known.and_then(|s| s.next.clone()),
            cycle_ends_at: self.cycle_ends_at(),
            seats: self.seats,
            seats_paid: known.map_or(0, |s| s.seats),
            allowance: known.map_or_else(Due::default, |s| s.allowance),
            for_seats: known.map_or_else(Due::default, |s| s.for_seats),
            cost: known.and_then(|s| s.cost).map(|cost| cost.owed),
            term: self.term_goes_on_for(),
            cycle_rule: self.cycle_rule.clone(),
            revision: known.map_or(Revision(0), |s| s.revision),
            at,
        }
    }

    pub fn allocation_answer(&self, user: &UserId, at: Timestamp) -> AllocationAnswer {
        let allocation = self.user(user).and_then(|u| u.allocation.as_ref());
        AllocationAnswer {
            user: user.clone(),
            amount: allocation.map(crate::Allocation::amount),
            standing: allocation.map_or(Credits::ZERO, |a| a.standing),
            overflow: allocation.map_or(Overflow::Shared, |a| a.overflow_in(self.pooling)),
            of_seat: allocation.is_some_and(|a| a.of_seat),
            used: allocation.map_or(Credits::ZERO, |a| a.used),
            short: allocation.map_or(Credits::ZERO, |a| a.short),
            pending: self.pending_from_user(user),
            revision: allocation.map_or(self.revision, |a| a.revision),
            at,
        }
    }

    /// What is promised away out of a user's lines, by node.
    fn pending_from_user(&self, user: &UserId) -> Vec<Pending> {
        let lines = self.user(user).into_iter().flat_map(crate::User::all_lines);
        let lines = lines.filter(|id| self.lines[*id].draws_on() == user);
        let own = |id: &LineId| self.lines[id].pledged_from(Source::Allocation);
        self.pending_by_node(lines.map(|id| (*id, own(id))))
    }

    pub(crate) fn pending_of_intent(&self, no: IntentNo) -> Vec<Pending> {
        let Some(intent) = self.intents.get(&no) else { return Vec::new() };
        let of_line = |id: &LineId| {
            let pledges = self.lines.get(id).map_or(&[][..], |line| &line.pledges[..]);
            let owed = pledges.iter().filter(|p| p.intent == no).map(|p| p.amount);
            (*id, Credits::checked_sum(owed).expect("parts of one pool"))
        };
        self.pending_by_node(intent.lines.iter().map(of_line))
    }

    pub(crate) fn pending_on(&self, grant: GrantNo) -> Vec<Pending> {
        self.pending_by_node(self.lines.iter().map(|(id, line)| {
            let on_grant = line.backings.iter().filter(|n| n.backing.grant == grant);
            (*id, Credits::checked_sum(on_grant.map(|n| n.outstanding())).expect("parts of one pool"))
        }))
    }

    pub(crate) fn pending_by_node(&self, parts: impl Iterator<Item = (LineId, Credits)>) -> Vec<Pending> {
        let mut by_node: BTreeMap<NodeId, Credits> = BTreeMap::new();
        for (id, amount) in parts.filter(|(_, amount)| !amount.is_zero()) {
            by_node.entry(id.holder.node).or_insert(Credits::ZERO).grow(amount);
        }
        by_node.into_iter().map(|(node, amount)| Pending { node, amount }).collect()
    }
}
