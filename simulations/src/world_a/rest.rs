//! After the faults: everything heals, and must come to rest within the bounds of the protocol. Not here: the sentences
//! at rest (`testkit`).

use super::World;
use super::admins::{administer, command_until_answered, user_id};
use super::consume;
use super::film::Step;
use super::shard::ELECTION_MS;
use super::streams::TTL_MS;
use super::words::{Charge, Consume, Index, Refusal};
use ledger::{Change, Command, GrantKind, NewGrant, Pooling, WorkspaceSettings};
use std::rc::Rc;
use types::{CivilDate, Credits, CycleDays, Every, GrantId, LineId, Source, UserId, WorkspaceId};

/// A process that could not start is started again within this; then all run.
const START_MS: u64 = 1_200;
/// A new leader serves within this.
const LEADER_MS: u64 = 2_000;
const REPORTS_MS: u64 = 5_000;
const RECALL_MS: u64 = 1_000;
const DRAIN_MS: u64 = 3_000;
/// Requests that were under way when the faults ended.
const STRAGGLERS_MS: u64 = 20_000;
/// From a hold's time to its end, what a disk takes included.
const HOLDS_MS: u64 = 2_000;
/// What ends within this is not counted on.
const SOON_MS: i64 = 60_000;
const GIFT: u64 = 1_000_000_000;
/// Credits that one charge can have, a little less than a balance can hold.
const CHARGE_MAX: u64 = 200_000_000;
/// Numbers of changes beyond those of the plan.
const NUMBERS_FROM: u64 = 1 << 40;

pub async fn come_to_rest(world: Rc<World>) {
    world.time.sleep(world.config.run_ms + 50).await;
    world.heal();
    world.film(Step::Calm, 0, 0, 0);
    world.time.sleep(START_MS + LEADER_MS).await;
    if !world.is_led() {
        return world.broken("a new leader serves in 2 s", "nobody leads".into());
    }
    let workspaces: Vec<WorkspaceId> = world.oracle.borrow().state.workspaces.keys().cloned().collect();
    let mut number = NUMBERS_FROM;
    for workspace in &workspaces {
        number += 1;
        no_cycle_ends_meanwhile(&world, number, workspace).await;
        number += 1;
        all_is_pooled(&world, number, workspace).await;
        number += 1;
        give(&world, number, workspace).await;
    }
    every_node_serves(&world, &workspaces).await;
    wait_for_stragglers(&world).await;
    holds_end(&world).await;
    world.time.sleep(REPORTS_MS).await;
    reports_have_converged(&world).await;
    for workspace in &workspaces {
        number += 1;
        recall_is_quick(&world, number, workspace).await;
        nothing_is_refused_falsely(&world, workspace).await;
    }
    all_drain(&world).await;
    for workspace in &workspaces {
        let tick = Command::Tick { workspace: workspace.clone() };
        command_until_answered(&world, 0, tick, 10_000).await;
    }
    let now_ms = world.time.now_ms();
    world.oracle.borrow_mut().judge_rest(now_ms);
}

fn up(world: &World) -> Vec<Index> {
    world.nodes.iter().filter(|node| node.is_up()).map(|node| node.index).collect()
}

/// From now on cycles are long: what is given now is there until the last question.
async fn no_cycle_ends_meanwhile(world: &Rc<World>, number: u64, workspace: &WorkspaceId) {
    let has_cycles = |pool: &ledger::Workspace| pool.cycle_rule.is_some();
    if !world.oracle.borrow().state.workspace(workspace).is_some_and(has_cycles) {
        return;
    }
    let anchor = CivilDate::new(2026, 1, 31).expect("a date");
    let cycle = Some(CycleDays { every: Every::Year, anchor });
    let change = Change::PutWorkspace(WorkspaceSettings { cycle, ..WorkspaceSettings::unchanged() });
    let node = up(world).first().copied().unwrap_or(0);
    let asked = administer(world, number, node, workspace.clone(), change);
    if world.time.within(LEADER_MS, asked).await.is_none() {
        world.broken("a change is answered once faults have stopped", format!("cycles of {workspace}"));
    }
}

/// Whoever asks from now on has no seat.
async fn all_is_pooled(world: &Rc<World>, number: u64, workspace: &WorkspaceId) {
    let is_pooled = |pool: &ledger::Workspace| pool.pooling == Pooling::Pooled;
    if world.oracle.borrow().state.workspace(workspace).is_none_or(is_pooled) {
        return;
    }
    let node = up(world).first().copied().unwrap_or(0);
    let asked = administer(world, number, node, workspace.clone(), Change::SetPooling(Pooling::Pooled));
    if world.time.within(LEADER_MS, asked).await.is_none() {
        world.broken("a change is answered once faults have stopped", format!("pooling of {workspace}"));
    }
}

async fn give(world: &Rc<World>, number: u64, workspace: &WorkspaceId) {
    // What allocations are short of is set aside out of it at once.
    let short = world.oracle.borrow().state.workspace(workspace).map_or(0, |pool| {
        let allocations = pool.users.values().filter_map(|user| user.allocation.as_ref());
        allocations.map(|allocation| allocation.short.micros()).sum()
    });
    let grant = NewGrant {
        id: GrantId::parse(&format!("gift{number}")).expect("a valid id"),
        kind: GrantKind::Correction,
        amount: Credits::from_micros(GIFT + short).expect("a small number"),
        priority: ledger::limits::PRIORITY_DEFAULT,
        paid: false,
        starts_at: None,
        expires_at: None,
        term: ledger::Term::Lasting,
        price: None,
    };
    let node = up(world).first().copied().unwrap_or(0);
    let gift = administer(world, number, node, workspace.clone(), Change::MakeGrant(grant));
    if world.time.within(LEADER_MS, gift).await.is_none() {
        world.broken("a change is answered once faults have stopped", format!("a grant for {workspace}"));
    }
}

async fn spend(
    world: &Rc<World>,
    node: Index,
    workspace: &WorkspaceId,
    user: &UserId,
    price: Credits,
    within_ms: u64,
) -> Option<Result<Charge, Refusal>> {
    let consume = Consume {
        workspace: workspace.clone(),
        user: user.clone(),
        price,
        feature: 0,
        key: None,
        durability: None,
    };
    let (then, wanted) = (world.clone(), consume.clone());
    let asked = world.on_node(node, |running| consume::consume(then, running, wanted));
    let answer = world.time.within(within_ms, asked).await.flatten();
    if let Some(Ok(charge)) = &answer {
        let now_ms = world.time.now_ms();
        world.oracle.borrow_mut().told(&consume, charge, false, now_ms);
    }
    answer
}

/// A draw with credits available is answered within two elections, at every node.
async fn every_node_serves(world: &Rc<World>, workspaces: &[WorkspaceId]) {
    let within_ms = 2 * ELECTION_MS.1 + 500 + 40 * world.config.distances.most_us() / 1_000;
    let one = Credits::from_micros(1).expect("one");
    let asks =
        up(world).into_iter().flat_map(|node| workspaces.iter().map(move |workspace| (node, workspace)));
    let asks = asks.map(|(node, workspace)| async move {
        let answer = spend(world, node, workspace, &user_id(1_000 + node), one, within_ms).await;
        if !matches!(answer, Some(Ok(_))) {
            let what = format!("node {node} in {workspace}: {answer:?}");
            world.broken("a draw with credits available is answered within two elections", what);
        }
    });
    futures::future::join_all(asks).await;
}

async fn wait_for_stragglers(world: &Rc<World>) {
    let end_ms = world.time.now_ms() + STRAGGLERS_MS;
    while world.requests.get() > 0 && world.time.now_ms() < end_ms {
        world.time.sleep(100).await;
    }
    if world.requests.get() > 0 {
        world.broken("requests end once faults have stopped", format!("{} are open", world.requests.get()));
    }
}

/// Holds that nobody asks for any more end with the tick after their time.
async fn holds_end(world: &Rc<World>) {
    let is_open = || {
        up(world)
            .into_iter()
            .any(|node| world.nodes[node].running().is_some_and(|running| running.journal.open_holds() > 0))
    };
    let end_ms = world.time.now_ms() + u64::from(TTL_MS.1) + HOLDS_MS;
    while is_open() && world.time.now_ms() < end_ms {
        world.time.sleep(100).await;
    }
    if is_open() {
        world.broken("a hold ends when its time is up", "some are open".into());
    }
}

/// Reports converge within 5 s: the ledger knows of each line what its disk knows.
async fn reports_have_converged(world: &Rc<World>) {
    for node in up(world) {
        let lines = world.on_node(node, |running| async move { running.journal.lines().await }).await;
        let Some(Ok(lines)) = lines else { continue };
        for view in lines.iter().filter(|view| !view.closed) {
            let id = LineId { holder: world.nodes[node].holder, number: view.line.number };
            let oracle = world.oracle.borrow();
            let known = oracle.state.workspace(&view.line.workspace).and_then(|w| w.lines.get(&id));
            let known: u64 = known.map_or(0, |line| {
                line.backings.iter().map(|n| n.used.micros() + n.unattributed.micros()).sum()
            });
            let spent = view.used.micros() + view.unattributed.micros();
            drop(oracle);
            if known != spent {
                let what = format!("{id:?}: spent {spent}, the ledger knows {known}");
                world.broken("reports converge in 5 s", what);
            }
        }
    }
}

/// A recall of a reachable holder takes at most a second.
async fn recall_is_quick(world: &Rc<World>, number: u64, workspace: &WorkspaceId) {
    let Some(node) = up(world).first().copied() else { return };
    let user = user_id(1_000 + node);
    let one = Credits::from_micros(1).expect("one");
    let spent = spend(world, node, workspace, &user, one, 3_000).await;
    if !matches!(spent, Some(Ok(_))) {
        return world
            .broken("once all is well everybody is served", format!("{user} in {workspace}: {spent:?}"));
    }
    let off = Change::PutMember {
        user: user.clone(),
        ai_access: Some(false),
        team: None,
        role: None,
        service: ledger::ServiceChange::NONE,
    };
    administer(world, number, node, workspace.clone(), off).await;
    let slack_ms = 4 * world.config.distances.most_us() / 1_000 + world.config.sync_us / 1_000;
    world.time.sleep(RECALL_MS + slack_ms).await;
    let oracle = world.oracle.borrow();
    let lines = oracle.state.workspace(workspace).and_then(|w| w.user(&user)).map(|user| user.lines.clone());
    drop(oracle);
    if lines.as_ref().is_some_and(|lines| !lines.is_empty()) {
        world
            .broken("a reachable holder is recalled within 1 s", format!("{user} in {workspace}: {lines:?}"));
    }
}

/// Whoever asks for all that is shared gets it, though it lies idle on other holders.
async fn nothing_is_refused_falsely(world: &Rc<World>, workspace: &WorkspaceId) {
    let nodes = up(world);
    let (Some(first), Some(last)) = (nodes.first().copied(), nodes.last().copied()) else { return };
    if first == last {
        return;
    }
    let some = Credits::from_micros(GIFT / 1_000).expect("a small number");
    for turn in 0..3 {
        spend(world, first, workspace, &user_id(2_000 + turn), some, 3_000).await;
    }
    // Until they have reported what they spent.
    world.time.sleep(2_500).await;
    let price = {
        let oracle = world.oracle.borrow();
        let Some(pool) = oracle.state.workspace(workspace) else { return };
        let is_up = |line: &LineId| world.nodes[super::words::index_of(line.holder.node)].is_up();
        if pool.lines.iter().any(|(id, line)| !line.written_off && !is_up(id)) {
            // What a lost holder has comes back with the operator's word only.
            return;
        }
        // Of grants that do not end meanwhile.
        let soon = oracle.state.now.plus_ms(SOON_MS);
        let lasts = |n: &&ledger::BackingNumbers| {
            n.backing.source == Source::Shared && pool.grant(n.backing.grant).is_drawable(soon)
        };
        let out = pool.lines.values().flat_map(|line| &line.backings).filter(lasts);
        let out = out.fold(Credits::ZERO, |sum, n| sum.saturating_add(n.outstanding()));
        // What comes back pays first for what was used beyond it.
        let all = pool.shared_at(soon).saturating_add(out.saturating_sub(pool.unpaid_overage(pool.cycle)));
        all.min(Credits::whole(CHARGE_MAX).expect("a bound"))
    };
    let answer = spend(world, last, workspace, &user_id(3_000), price, 6_000).await;
    if !matches!(answer, Some(Ok(_))) {
        let what = format!("{price} at node {last} in {workspace}: {answer:?}");
        world.broken("nobody is refused what lies idle elsewhere", what);
    }
}

/// A drain ends, and then no line is open but those of lost disks.
async fn all_drain(world: &Rc<World>) {
    let drains = up(world).into_iter().map(|node| async move {
        let drained = world.on_node(node, |running| async move { running.drain(DRAIN_MS).await }).await;
        if drained != Some(true) {
            world.broken("a drain ends", format!("node {node}: {drained:?}"));
        }
    });
    futures::future::join_all(drains).await;
    let oracle = world.oracle.borrow();
    let mut left = Vec::new();
    for (id, workspace) in &oracle.state.workspaces {
        let open = workspace.lines.iter().filter(|(line, entry)| {
            let node = &world.nodes[super::words::index_of(line.holder.node)];
            !entry.written_off && !node.gone.get()
        });
        left.extend(open.map(|(line, _)| format!("{line:?} of {id}")));
    }
    drop(oracle);
    if !left.is_empty() {
        world.broken("after a drain no line is open", left.join(", "));
    }
}
