//! What became of a listed load's requests, beside what a single counter without leases and faults would have said at the
//! same moment. Not here: the asking (`clients`), the sentences (`oracle`).

use super::World;
use super::admins::{AdminStep, Wanted, workspace_id};
use super::words::{Charge, Consume, Index, index_of};
use crate::outcome::FirstRefusal;
use ledger::{Change, Line, Membership, Recipient, User, Workspace};
use std::collections::BTreeMap;
use testkit::told::Told;
use types::{LineId, Source, Timestamp, UserId, WorkspaceId};

/// Why a request was not served that had no answer when the load ended.
const UNDER_WAY: &str = "under-way";

/// Requests, while they last, and what a single counter would have done meanwhile.
#[derive(Default)]
pub struct Requests {
    open: BTreeMap<u64, Open>,
    /// Spent of what was lost here: in micro-credits, by workspace.
    spent_of_lost: BTreeMap<WorkspaceId, u64>,
}

/// A request that has not ended.
struct Open {
    consume: Consume,
    /// When it came.
    would_be: WouldBe,
}

/// What a single counter would have said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WouldBe {
    Refused,
    /// Out of credits that are lost here, and were not lost there.
    ChargedToLost,
    Charged,
}

/// What a single counter that knew every charge would let this user spend, in micro-credits: whatever is out on a line is
/// as good as available, what was charged and not yet reported is spent, and what is promised away out of a line is
/// already his to whom it was promised; and it would still have what was lost with a machine's memory or disk, and that it
/// has not spent meanwhile (`still_there`).
pub fn a_single_counter_has(
    pool: &Workspace,
    told: &Told,
    user: &UserId,
    now: Timestamp,
    still_there: u64,
) -> u64 {
    let whose = pool.chain_of(user);
    let entry = pool.user(whose);
    let has_access = [user, whose].iter().all(|name| pool.user(name).is_none_or(User::has_access));
    if !pool.is_member(user) || !has_access {
        return 0;
    }
    let allocation = entry.and_then(|entry| entry.allocation.as_ref());
    let may_share = pool.may_share(user);
    let shared = if may_share { pool.shared_at(now).micros() } else { 0 };
    let shared = shared + if may_share { still_there } else { 0 };
    let own = allocation.map_or(0, |allocation| allocation.earmarks.total().micros());
    let mut all = own + shared;
    let mut unreported = 0;
    for (id, line) in pool.lines.iter().filter(|(_, line)| !line.written_off) {
        let spent = spent_and_not_reported(told, *id, line);
        // What is spent of a line is spent of what was not promised away first.
        let left = line.outstanding().micros().saturating_sub(spent);
        let promised = left.min(line.pledged().micros());
        if line.draws_on() == whose {
            all += left - promised;
            unreported += spent;
        } else if may_share {
            all += (left - promised).min(line.outstanding_from(Source::Shared).micros());
        }
        let mut promised_left = promised;
        for pledge in &line.pledges {
            let amount = pledge.amount.micros().min(promised_left);
            promised_left -= amount;
            let to = pool.intents.get(&pledge.intent).map(|intent| &intent.to);
            let is_his = match to {
                Some(Recipient::Allocation(recipient, _)) => recipient == whose,
                Some(Recipient::Shared) => may_share,
                None => false,
            };
            all += if is_his { amount } else { 0 };
        }
    }
    let limit =
        |entry: &User| Some((entry.limit(types::Window::Cycle)?, entry.used.saturating_add(entry.late)));
    match entry.and_then(limit) {
        Some((limit, used)) => all.min(limit.micros().saturating_sub(used.micros() + unreported)),
        None => all,
    }
}

/// Booked as gone without a charge that anybody was told of, in micro-credits: with lines that were rounded up or written
/// off. What was used is not lost, though its answer may be.
pub fn lost(pool: &Workspace, told: &Told) -> u64 {
    let totals = &pool.totals;
    let without_a_charge = totals.unattributed.micros() + totals.written_off.micros();
    let lines = pool.lines.iter().filter(|(_, line)| !line.written_off);
    let unreported: u64 = lines.map(|(id, line)| spent_and_not_reported(told, *id, line)).sum();
    let reported = told.total.saturating_sub(unreported);
    (totals.used.micros() + without_a_charge).saturating_sub(reported).min(without_a_charge)
}

/// What clients were told on a line and the ledger has not heard of.
pub fn spent_and_not_reported(told: &Told, id: LineId, line: &Line) -> u64 {
    let reported: u64 = line.backings.iter().map(|n| n.used.micros() + n.unattributed.micros()).sum();
    told.on_line.get(&id).copied().unwrap_or_default().saturating_sub(reported)
}

impl World {
    /// A request begins; what is answered names it to the others.
    pub fn was_asked(&self, consume: &Consume) -> u64 {
        let would_be = self.would_be(consume);
        let mut served = self.served.borrow_mut();
        served.asked += 1;
        let open = Open { consume: consume.clone(), would_be };
        self.listed.borrow_mut().open.insert(served.asked, open);
        served.asked
    }

    /// What a single counter would say now.
    fn would_be(&self, consume: &Consume) -> WouldBe {
        let (oracle, price) = (self.oracle.borrow(), consume.price.micros());
        let (pool, told) = (oracle.state.workspace(&consume.workspace), oracle.told_of(&consume.workspace));
        let (Some(pool), Some(told)) = (pool, told) else {
            // Faults have kept the pool from being made: a counter that knows none would have it by now.
            let is_planned = self.planned(&consume.workspace) >= price;
            return if is_planned { WouldBe::Charged } else { WouldBe::Refused };
        };
        let whose = pool.user(pool.chain_of(&consume.user));
        let allocation = whose.and_then(|whose| whose.allocation.as_ref());
        let is_simple = pool.membership == Membership::Open && pool.user(&consume.user).is_none_or(is_plain);
        // Far from its end a pool is not worth the walk over its lines.
        let plenty = allocation.is_none() && is_simple && pool.shared_at(oracle.state.now).micros() >= price;
        let has =
            |still_there| a_single_counter_has(pool, told, &consume.user, oracle.state.now, still_there);
        if plenty || has(0) >= price {
            return WouldBe::Charged;
        }
        let spent = self.listed.borrow().spent_of_lost.get(&consume.workspace).copied().unwrap_or(0);
        match lost(pool, told).saturating_sub(spent) {
            0 => WouldBe::Refused,
            still_there if has(still_there) >= price => WouldBe::ChargedToLost,
            _ => WouldBe::Refused,
        }
    }

    /// What the plan has granted until now.
    fn planned(&self, workspace: &WorkspaceId) -> u64 {
        let now_ms = self.time.now_ms();
        let granted = |step: &AdminStep| match &step.what {
            Wanted::Change { workspace: at, change: Change::MakeGrant(grant) }
                if step.at_ms <= now_ms && workspace_id(*at) == *workspace =>
            {
                grant.amount.micros()
            }
            _ => 0,
        };
        let setup = self.config.setup.iter().flatten();
        setup.chain(&self.config.changes).map(granted).sum()
    }

    pub fn was_charged(&self, number: u64, consume: &Consume, charge: &Charge) {
        // After the load it is among those that were under way.
        if self.listed.borrow_mut().open.remove(&number).is_none() {
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

    /// A request ended without a charge: falsely, if a single counter would have charged it when it came or now.
    pub fn was_refused(&self, number: u64, reason: &str) {
        let Some(open) = self.listed.borrow_mut().open.remove(&number) else { return };
        let would_be = self.would_be(&open.consume).max(open.would_be);
        let oracle = self.oracle.borrow();
        let mut served = self.served.borrow_mut();
        *served.refused.entry(reason.to_owned()).or_default() += 1;
        match would_be {
            WouldBe::Refused => return,
            WouldBe::ChargedToLost => {
                let mut requests = self.listed.borrow_mut();
                let spent = requests.spent_of_lost.entry(open.consume.workspace.clone()).or_default();
                *spent += open.consume.price.micros();
            }
            WouldBe::Charged => {}
        }
        *served.falsely.entry(reason.to_owned()).or_default() += 1;
        let spent = oracle.told_of(&open.consume.workspace).map_or(0, |told| told.total);
        let granted = oracle.state.workspace(&open.consume.workspace);
        let granted = granted.map_or(0, |pool| pool.totals.amount.micros());
        let first = FirstRefusal { at_ms: self.time.now_ms(), spent, granted };
        served.first_false_refusal.get_or_insert(first);
    }

    /// Out on lines of nodes that are down, or that do not reach a majority of the ledger's replicas; as the ledger knows
    /// it.
    pub fn out_of_reach(&self) -> u64 {
        let now_ms = self.time.now_ms();
        let is_up = |node: Index| self.nodes[node].is_up() && !self.time.is_paused(node + 1);
        let net = self.net.borrow();
        let reaches = |node: Index, replica: Index| {
            let is_cut = net.is_cut(node, replica, now_ms) || net.is_cut(replica, node, now_ms);
            is_up(replica) && (node == replica || !is_cut)
        };
        let majority = self.config.replicas / 2 + 1;
        let replicas =
            |node: Index| (0..self.config.replicas).filter(|replica| reaches(node, *replica)).count();
        // While no majority is up nobody is further away than the others.
        let is_there = (0..self.config.replicas).filter(|replica| is_up(*replica)).count() >= majority;
        let away = |node: Index| !is_up(node) || (is_there && replicas(node) < majority);
        let away: Vec<bool> = (0..self.nodes.len()).map(away).collect();
        if !away.contains(&true) {
            return 0;
        }
        let oracle = self.oracle.borrow();
        let lines = oracle.state.workspaces.values().flat_map(|pool| &pool.lines);
        let lines = lines.filter(|(id, line)| !line.written_off && away[index_of(id.holder.node)]);
        lines.map(|(_, line)| line.outstanding().micros()).sum()
    }

    /// The load is over: whoever is served later is served because everything heals, and counts as not served.
    pub fn load_ended(&self) {
        let open: Vec<u64> = self.listed.borrow().open.keys().copied().collect();
        open.into_iter().for_each(|number| self.was_refused(number, UNDER_WAY));
        let out_of_reach = self.out_of_reach();
        let oracle = self.oracle.borrow();
        let mut served = self.served.borrow_mut();
        served.granted = oracle.state.workspaces.values().map(|pool| pool.totals.amount.micros()).sum();
        let told = oracle.state.workspaces.keys().filter_map(|id| oracle.told_of(id));
        served.spent = told.map(|told| told.total).sum();
        served.stranded_at_end = out_of_reach;
        let pools = oracle.state.workspaces.iter();
        let lost = pools.filter_map(|(id, pool)| Some(lost(pool, oracle.told_of(id)?)));
        served.lost = lost.sum();
    }
}

/// Nothing says how much this user may spend.
fn is_plain(user: &User) -> bool {
    user.has_access() && user.limits.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{
        AdminCommand, Command, ForgetMode, GrantKind, HolderBatch, LineMessage, NewGrant, Overflow, State,
    };
    use ledger::{Subject, Used, Wish, WorkspaceSettings};
    use types::{Credits, CycleNumber, DiskId, GrantId, HolderId, LineNumber, NodeId, ReallocationId};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const HOLDER: HolderId = HolderId { node: NodeId(3), disk: DiskId(7) };

    fn whole(credits: u64) -> Credits {
        Credits::whole(credits).unwrap()
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    struct Desk {
        state: State,
        told: Told,
    }

    impl Desk {
        /// A pool of 100 credits.
        fn new() -> Self {
            let mut desk = Self { state: State::new(), told: Told::default() };
            let settings =
                WorkspaceSettings { membership: Some(Membership::Open), ..WorkspaceSettings::unchanged() };
            desk.change(Change::PutWorkspace(settings));
            desk.change(Change::MakeGrant(NewGrant {
                id: GrantId::parse("g").unwrap(),
                kind: GrantKind::Plan,
                amount: whole(100),
                priority: ledger::limits::PRIORITY_DEFAULT,
                paid: true,
                starts_at: None,
                expires_at: None,
                term: ledger::Term::Lasting,
                price: None,
            }));
            desk.apply(&Command::Register { holder: HOLDER, journal_sequence: 0 });
            desk
        }

        fn apply(&mut self, command: &Command) {
            self.state.apply(NOW, command).result.unwrap();
        }

        fn change(&mut self, change: Change) {
            let workspace = workspace_id(0);
            self.apply(&Command::Admin(AdminCommand { workspace, keyed: None, if_match: None, change }));
        }

        fn allocate(&mut self, name: &str, credits: u64, overflow: Overflow) {
            let (user, amount) = (user(name), whole(credits));
            self.change(Change::SetAllocation { user, amount, overflow: Some(overflow) });
        }

        /// A line of this user that has drawn so much, of which so much was charged and not reported.
        fn line(&mut self, number: u64, name: &str, drawn: u64, charged: u64) {
            let line = LineMessage {
                number: LineNumber(number),
                user: user(name),
                cycle: CycleNumber(1),
                scope: types::Scope::ANYTHING,
                returned: Vec::new(),
                used: Used { by_backing: Vec::new(), by_meter: Vec::new() },
                held: Credits::ZERO,
                confirmed: Credits::ZERO,
                wish: Wish::Draw { target: whole(drawn), floor: whole(drawn), need: whole(drawn) },
            };
            let workspace = workspace_id(0);
            let batch = HolderBatch {
                holder: HOLDER,
                journal_sequence: 1,
                workspace,
                lines: vec![line],
                recalled: false,
            };
            self.apply(&Command::Holder(batch));
            let id = LineId { holder: HOLDER, number: LineNumber(number) };
            if charged > 0 {
                self.told.charged(&user(name), (id, 1), whole(charged)).unwrap();
            }
        }

        fn has(&self, name: &str) -> u64 {
            let pool = self.state.workspace(&workspace_id(0)).unwrap();
            a_single_counter_has(pool, &self.told, &user(name), NOW, lost(pool, &self.told)) / 1_000_000
        }
    }

    #[test]
    fn what_is_out_is_as_good_as_there_but_for_what_was_charged() {
        let mut desk = Desk::new();
        assert_eq!(desk.has("ada"), 100);
        desk.line(1, "ada", 30, 10);
        assert_eq!((desk.has("ada"), desk.has("bob")), (90, 90));
        desk.line(2, "bob", 50, 50);
        assert_eq!((desk.has("ada"), desk.has("bob")), (40, 40));
    }

    #[test]
    fn what_is_set_aside_is_his_alone() {
        let mut desk = Desk::new();
        desk.allocate("ada", 40, Overflow::None);
        desk.allocate("bob", 10, Overflow::Shared);
        desk.line(1, "ada", 15, 5);
        assert_eq!((desk.has("ada"), desk.has("bob"), desk.has("eve")), (35, 60, 50));
    }

    #[test]
    fn what_is_promised_away_is_his_to_whom_it_was_promised() {
        let mut desk = Desk::new();
        desk.allocate("ada", 60, Overflow::None);
        desk.allocate("bob", 10, Overflow::None);
        desk.line(1, "ada", 60, 20);
        let id = ReallocationId::parse("r").unwrap();
        let (from, to) = (user("ada"), user("bob"));
        desk.change(Change::Reallocate { id, from, to, amount: whole(30) });
        assert_eq!((desk.has("ada"), desk.has("bob"), desk.has("eve")), (10, 40, 30));
        // A cut that nobody gets flows back to what is shared.
        desk.allocate("ada", 20, Overflow::None);
        assert_eq!((desk.has("ada"), desk.has("bob"), desk.has("eve")), (0, 40, 40));
    }

    #[test]
    fn limits_access_and_losses_count() {
        let mut desk = Desk::new();
        desk.line(1, "ada", 30, 10);
        desk.change(Change::SetLimit {
            of: Subject::User(user("ada")),
            window: types::Window::Cycle,
            amount: Some(whole(25)),
        });
        assert_eq!(desk.has("ada"), 15);
        let off = Change::PutMember {
            user: user("bob"),
            ai_access: Some(false),
            team: None,
            role: None,
            service: ledger::ServiceChange::NONE,
        };
        desk.change(off);
        assert_eq!(desk.has("bob"), 0);
        desk.apply(&Command::Forget { holder: HOLDER, mode: ForgetMode::Charge });
        assert_eq!(desk.has("eve"), 90, "one counter would not have lost what lay on the line");
        let pool = desk.state.workspace(&workspace_id(0)).unwrap();
        assert_eq!(lost(pool, &desk.told), 20_000_000);
        let spent_there = 15_000_000;
        let still_there = lost(pool, &desk.told) - spent_there;
        assert_eq!(a_single_counter_has(pool, &desk.told, &user("eve"), NOW, still_there), 75_000_000);
    }

    #[test]
    fn what_was_used_is_not_lost_though_its_answer_is() {
        let mut desk = Desk::new();
        desk.line(1, "ada", 30, 10);
        let mut pool = desk.state.workspace(&workspace_id(0)).unwrap().clone();
        assert_eq!(lost(&pool, &desk.told), 0);
        pool.totals.used = whole(25);
        assert_eq!(lost(&pool, &desk.told), 0);
        pool.totals.unattributed = whole(3);
        assert_eq!(lost(&pool, &desk.told), 3_000_000);
    }
}
