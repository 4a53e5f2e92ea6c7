//! What became of a listed load's requests, beside what a single counter without leases and faults would have said at the
//! same moment. Not here: the asking (`clients`), the sentences (`oracle`).

use super::World;
use super::words::{Charge, Consume, Index, index_of};
use crate::outcome::FirstRefusal;
use ledger::{Line, Overflow, User, Workspace};
use testkit::told::Told;
use types::{LineId, Source, Timestamp, UserId};

/// What a single counter that knew every charge would let this user spend, in micro-credits: whatever is out on a line is
/// as good as available, and what was charged and not yet reported is spent.
pub fn a_single_counter_has(pool: &Workspace, told: &Told, user: &UserId, now: Timestamp) -> u64 {
    let entry = pool.user(user);
    let allocation = entry.and_then(|entry| entry.allocation.as_ref());
    let may_share = allocation.is_none_or(|allocation| allocation.overflow == Overflow::Shared);
    let shared = if may_share { pool.shared_at(now) } else { types::Credits::ZERO };
    let chain = pool.remaining_of(user, shared).micros();
    let own = |line: &Line| line.user == *user;
    let mut unreported = 0;
    let mut elsewhere = 0;
    for (id, line) in pool.lines.iter().filter(|(_, line)| !line.written_off) {
        let spent = spent_and_not_reported(told, *id, line);
        if own(line) {
            unreported += spent;
        } else if may_share && pool.is_member(user) && entry.is_none_or(User::has_access) {
            let left = line.outstanding().micros().saturating_sub(spent);
            elsewhere += left.min(line.outstanding_from(Source::Shared).micros());
        }
    }
    let room = entry.map_or(u64::MAX, |entry| match entry.limit {
        Some((limit, _)) => limit.micros().saturating_sub(entry.used.micros()),
        None => u64::MAX,
    });
    (chain + elsewhere).min(room).saturating_sub(unreported)
}

/// What clients were told on a line and the ledger has not heard of.
pub fn spent_and_not_reported(told: &Told, id: LineId, line: &Line) -> u64 {
    let reported: u64 = line.backings.iter().map(|n| n.used.micros() + n.unattributed.micros()).sum();
    told.on_line.get(&id).copied().unwrap_or_default().saturating_sub(reported)
}

impl World {
    pub fn was_asked(&self) {
        self.served.borrow_mut().asked += 1;
    }

    pub fn was_charged(&self, consume: &Consume, charge: &Charge) {
        if self.load_is_over.get() {
            return;
        }
        let oracle = self.oracle.borrow();
        let granted =
            oracle.state.workspace(&consume.workspace).map_or(0, |pool| pool.totals.amount.micros());
        let spent = oracle.told_of(&consume.workspace).map_or(0, |told| told.total);
        let mut served = self.served.borrow_mut();
        let local = u64::from(charge.local);
        served.charged += 1;
        served.local += local;
        if u128::from(spent) * 100 <= u128::from(granted) * 95 {
            served.charged_until_95 += 1;
            served.local_until_95 += local;
        }
    }

    /// A request ended without a charge.
    pub fn was_refused(&self, consume: &Consume, reason: &str) {
        if self.load_is_over.get() {
            return;
        }
        let oracle = self.oracle.borrow();
        let mut served = self.served.borrow_mut();
        *served.refused.entry(reason.to_owned()).or_default() += 1;
        let (Some(pool), Some(told)) =
            (oracle.state.workspace(&consume.workspace), oracle.told_of(&consume.workspace))
        else {
            return;
        };
        if a_single_counter_has(pool, told, &consume.user, oracle.state.now) < consume.price.micros() {
            return;
        }
        *served.falsely.entry(reason.to_owned()).or_default() += 1;
        let (spent, granted) = (told.total, pool.totals.amount.micros());
        let first = FirstRefusal { at_ms: self.time.now_ms(), spent, granted };
        served.first_false_refusal.get_or_insert(first);
    }

    /// Out on lines of nodes that are down, or that the leader does not hear or reach; as the ledger knows it.
    pub fn out_of_reach(&self) -> u64 {
        let now_ms = self.time.now_ms();
        let leader = self.led.get().1;
        let away = |node: Index| {
            let net = self.net.borrow();
            let cut = leader
                .is_some_and(|leader| net.is_cut(leader, node, now_ms) || net.is_cut(node, leader, now_ms));
            !self.nodes[node].is_up() || self.time.is_paused(node + 1) || cut
        };
        let away: Vec<bool> = (0..self.nodes.len()).map(away).collect();
        if !away.contains(&true) {
            return 0;
        }
        let oracle = self.oracle.borrow();
        let lines = oracle.state.workspaces.values().flat_map(|pool| &pool.lines);
        let lines = lines.filter(|(id, line)| !line.written_off && away[index_of(id.holder.node)]);
        lines.map(|(_, line)| line.outstanding().micros()).sum()
    }

    /// The load is over: whoever is served later is served because everything heals.
    pub fn load_ended(&self) {
        self.load_is_over.set(true);
        let oracle = self.oracle.borrow();
        let mut served = self.served.borrow_mut();
        served.granted = oracle.state.workspaces.values().map(|pool| pool.totals.amount.micros()).sum();
        let told = oracle.state.workspaces.keys().filter_map(|id| oracle.told_of(id));
        served.spent = told.map(|told| told.total).sum();
        served.under_way = self.requests.get();
        served.stranded_at_end = self.out_of_reach();
    }
}
