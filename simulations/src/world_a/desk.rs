//! What the leader of the shard does for holders and administrators: the product's `actors/desk.rs` on virtual time.
//! Volatile: a new leader finds frozen lines in the ledger and starts over. Not here: agreement (`shard`).

use super::World;
use super::dues;
use super::film::Step as Film;
use super::node::Running;
use super::rounds::Rounds;
use super::shard::Committed;
use super::words::{
    Answer, BatchAnswer, Index, LeaderAnswer, LeaderRefusal, LeaderRequest, Recall, RecallAnswer, Request,
    id_of, index_of,
};
use crate::crossings::Crossing;
use leasing::{RecallLine, Short, Wave, choose, frozen_lines, shared_lines};
use ledger::{
    Applied, Command, HolderBatch, HolderStatus, Line, LineMessage, LineResult, Outcome, Rejection, State,
    Wish, Workspace,
};
use platform::Clock;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use types::planted::{Mistake, is_planted};
use types::{Credits, Durability, HolderId, LineId, LineNumber, NodeId, WorkspaceId};

pub const PATIENCE_MS: u64 = 500;
const RECALL_LINES_MAX: usize = 200;
pub const SWEEP_MS: u64 = 1_000;

#[derive(Default)]
pub struct Desk {
    heard: RefCell<BTreeMap<NodeId, u64>>,
    pub rounds: Rounds,
    /// `true`: nobody was told what became of a command about it.
    watched: RefCell<BTreeMap<WorkspaceId, bool>>,
    /// Lines that were taken away and are known to be sealed: what is out of them is held.
    sealed: RefCell<BTreeSet<(WorkspaceId, LineId)>>,
    to_sweep: tokio::sync::Notify,
    leads: Cell<bool>,
}

type Answered = Result<LeaderAnswer, LeaderRefusal>;

pub fn state<T>(world: &World, me: Index, see: impl FnOnce(&State) -> T) -> T {
    let replica = world.nodes[me].replica.as_ref().expect("only replicas lead").borrow();
    see(&replica.state)
}

pub async fn answer(world: &Rc<World>, me: &Rc<Running>, request: LeaderRequest, within_ms: u64) -> Answered {
    if world.nodes[me.node].replica.is_none() {
        return Err(LeaderRefusal::NotLeader { leader: None });
    }
    match request {
        LeaderRequest::Batch(batch) => batch_of(world, me, batch, within_ms).await.map(LeaderAnswer::Batch),
        LeaderRequest::Command(command) => {
            let committed = command_of(world, me, *command, within_ms).await?;
            Ok(LeaderAnswer::Applied { index: committed.index, applied: committed.applied })
        }
        LeaderRequest::Renew { holder } => {
            read(world, me, within_ms).await?;
            let status = |state: &State| {
                let status = state.holders.get(&holder).map(|record| record.status);
                (status, owes(state, &me.desk.sealed.borrow(), holder))
            };
            let (status, owes) = state(world, me.node, status);
            match status {
                // What was taken away is given back first: an administrator was told until when it may be spent.
                Some(HolderStatus::Active) if owes && !is_planted(Mistake::SessionByBatch) => {
                    me.desk.to_sweep.notify_one();
                    Err(LeaderRefusal::Unknown)
                }
                Some(HolderStatus::Active) => {
                    hear(me, holder.node);
                    Ok(LeaderAnswer::Renewed)
                }
                Some(HolderStatus::Fenced) if is_planted(Mistake::FencedNeverLearns) => {
                    Ok(LeaderAnswer::Renewed)
                }
                Some(HolderStatus::Fenced) => Err(LeaderRefusal::Rejected(Rejection::Fenced)),
                None => Err(LeaderRefusal::Rejected(Rejection::Unregistered)),
            }
        }
        LeaderRequest::Read { workspace } => {
            read(world, me, within_ms).await?;
            let used = |state: &State| {
                state.workspace(&workspace).map_or(Credits::ZERO, |workspace| workspace.totals.used)
            };
            let index = world.nodes[me.node].replica.as_ref().map_or(0, |replica| replica.borrow().applied);
            Ok(LeaderAnswer::Read { index, used: state(world, me.node, used) })
        }
    }
}

async fn read(world: &Rc<World>, me: &Rc<Running>, within_ms: u64) -> Result<(), LeaderRefusal> {
    let replica = world.nodes[me.node].replica.as_ref().expect("only replicas lead");
    let leader = replica.borrow().leader.filter(|leader| *leader != me.node);
    let confirmed = replica.borrow_mut().confirm();
    world.after_raft(me.node);
    let Some(confirmed) = confirmed else { return Err(LeaderRefusal::NotLeader { leader }) };
    match me.time.within(within_ms, confirmed).await {
        Some(Ok(())) => Ok(()),
        _ => Err(LeaderRefusal::NotLeader { leader: None }),
    }
}

fn hear(me: &Running, node: NodeId) {
    me.desk.heard.borrow_mut().insert(node, me.clock.boottime_ms());
}

fn is_heard(world: &World, me: &Running, node: NodeId) -> bool {
    let quiet_ms = (world.config.session_ttl_ms / 10).max(3_000);
    let heard = me.desk.heard.borrow().get(&node).copied();
    heard.is_some_and(|then| me.clock.boottime_ms().saturating_sub(then) < quiet_ms)
}

pub async fn propose(
    world: &Rc<World>,
    me: &Rc<Running>,
    command: Command,
    within_ms: u64,
) -> Result<Committed, LeaderRefusal> {
    let workspaces: Vec<WorkspaceId> = match command {
        Command::Forget { holder, .. } => state(world, me.node, |state| state.with_lines_of(holder)),
        _ => command.workspace().cloned().into_iter().collect(),
    };
    let replica = world.nodes[me.node].replica.as_ref().expect("only replicas lead");
    let leader = replica.borrow().leader.filter(|leader| *leader != me.node);
    let proposed = replica.borrow_mut().propose(world.agreed_now(me.node), command);
    world.after_raft(me.node);
    let Some(answer) = proposed else { return Err(LeaderRefusal::NotLeader { leader }) };
    let Some(Ok(committed)) = me.time.within(within_ms, answer).await else {
        world.saw(Crossing::ProposalIsUnknown);
        workspaces.into_iter().for_each(|workspace| watch(me, workspace, true));
        return Err(LeaderRefusal::Unknown);
    };
    if !committed.applied.events.is_empty() {
        workspaces.into_iter().for_each(|workspace| watch(me, workspace, false));
    }
    Ok(committed)
}

fn watch(me: &Running, workspace: WorkspaceId, in_doubt: bool) {
    *me.desk.watched.borrow_mut().entry(workspace).or_default() |= in_doubt;
    me.desk.to_sweep.notify_one();
}

// ---- batches of holders

async fn batch_of(
    world: &Rc<World>,
    me: &Rc<Running>,
    batch: HolderBatch,
    within_ms: u64,
) -> Result<BatchAnswer, LeaderRefusal> {
    hear(me, batch.holder.node);
    let end_ms = me.time.now_ms() + within_ms;
    let mut batch = HolderBatch { recalled: false, ..batch };
    let waits = who_waits(&batch);
    if me.desk.rounds.is_running(&batch.workspace) {
        only_what_is_needed(&mut batch);
    }
    let committed = propose(world, me, Command::Holder(batch.clone()), within_ms).await?;
    let (mut answer, short) = batch_answer(world, me, &batch, committed.applied)?;
    if !short.iter().any(|short| waits.contains(&short.line.number)) {
        return Ok(answer);
    }
    let began_ms = me.time.now_ms();
    let rounds = me.desk.rounds.of(&batch.workspace);
    let round = rounds.join(short);
    only_what_is_needed(&mut batch);
    let left = end_ms.saturating_sub(me.time.now_ms());
    let Some(_turn) = me.time.within(left, rounds.turn()).await else { return Err(LeaderRefusal::Unknown) };
    loop {
        let left = end_ms.saturating_sub(me.time.now_ms());
        let committed = propose(world, me, Command::Holder(batch.clone()), left).await?;
        let (again, short) = batch_answer(world, me, &batch, committed.applied)?;
        answer = again;
        if short.is_empty() {
            world.round_ended(me.time.now_ms() - began_ms, true);
            return Ok(answer);
        }
        let young_ms = me.policy.young_ms;
        let Some((wave, of_all)) = rounds.next_wave(&round, world.agreed_now(me.node), young_ms) else {
            if may_have_overage(world, me, &batch, &short) {
                batch.recalled = true;
                let left = end_ms.saturating_sub(me.time.now_ms());
                let committed = propose(world, me, Command::Holder(batch.clone()), left).await?;
                (answer, _) = batch_answer(world, me, &batch, committed.applied)?;
            }
            answer.cut_off = round.is_cut_off();
            world.round_ended(me.time.now_ms() - began_ms, false);
            return Ok(answer);
        };
        let all_answered = fetch(world, me, &batch.workspace, wave, &of_all).await;
        round.end_wave(all_answered);
    }
}

/// Whether more than what is included may be drawn by anybody who is still short.
fn may_have_overage(world: &World, me: &Running, batch: &HolderBatch, short: &[Short]) -> bool {
    let may = |pool: &Workspace| short.iter().any(|short| pool.overage_room(&short.user).is_some());
    state(world, me.node, |state| state.workspace(&batch.workspace).is_some_and(may))
}

/// Whether the holder may still spend of what was taken away from it.
fn owes(state: &State, sealed: &BTreeSet<(WorkspaceId, LineId)>, holder: HolderId) -> bool {
    let open = state.workspaces.iter().filter(|(_, workspace)| workspace.frozen_out > 0);
    open.into_iter().any(|(workspace, pool)| {
        let owed = |(id, line): (&LineId, &Line)| {
            let out = line.outstanding();
            let waits = || sealed.contains(&(workspace.clone(), *id)) && out <= line.held;
            id.holder == holder && line.frozen && !line.written_off && !out.is_zero() && !waits()
        };
        pool.lines.iter().any(owed)
    })
}

/// The lines whose draws ask for what is needed alone.
fn who_waits(batch: &HolderBatch) -> BTreeSet<LineNumber> {
    batch.lines.iter().filter(|line| line.wish.is_need_alone()).map(|line| line.number).collect()
}

/// Takes the part ahead of need off every draw.
fn only_what_is_needed(batch: &mut HolderBatch) {
    for line in &mut batch.lines {
        if let Wish::Draw { target, floor, need } = &mut line.wish {
            *target = (*target).min((*need).max(*floor));
        }
    }
}

fn batch_answer(
    world: &World,
    me: &Running,
    batch: &HolderBatch,
    applied: Applied,
) -> Result<(BatchAnswer, Vec<Short>), LeaderRefusal> {
    let lines = match applied.result {
        Ok(Outcome::Lines(lines)) => lines,
        Ok(_) => return Err(LeaderRefusal::Unknown),
        Err(rejection) => return Err(LeaderRefusal::Rejected(rejection)),
    };
    let answered = batch.lines.iter().zip(&lines);
    let short = answered
        .filter_map(|(message, line)| Short::of(batch.line_id(message), message, &line.result))
        .collect();
    let now = world.agreed_now(me.node);
    let (elsewhere, durability, limited) = state(world, me.node, |state| {
        let Some(workspace) = state.workspace(&batch.workspace) else {
            return (vec![Credits::ZERO; batch.lines.len()], Durability::Local, None);
        };
        let shared = workspace.shared_at(now);
        let beyond = |message: &LineMessage| {
            let line = LineId { holder: batch.holder, number: message.number };
            let here = workspace.lines.get(&line).map_or(Credits::ZERO, Line::outstanding);
            let in_scope = workspace.left_in_scope(line, &message.scope, now);
            workspace.remaining_of(&message.user, shared, now).min(in_scope).saturating_sub(here)
        };
        let is_of_another = |message: &LineMessage| message.scope.list != workspace.limited.list();
        let limited = batch.lines.iter().any(is_of_another).then(|| workspace.limited.clone());
        (batch.lines.iter().map(beyond).collect(), workspace.durability, limited)
    });
    Ok((BatchAnswer { lines, elsewhere, durability, cut_off: false, limited }, short))
}

async fn fetch(
    world: &Rc<World>,
    me: &Rc<Running>,
    workspace: &WorkspaceId,
    wave: Wave,
    short: &[Short],
) -> bool {
    let is_last = wave == Wave::All;
    let choose_lines = |state: &State| {
        let workspace = state.workspace(workspace);
        workspace.map(|workspace| choose(workspace, short, wave)).unwrap_or_default()
    };
    let mut lines = state(world, me.node, choose_lines);
    if is_last && !lines.is_empty() && some_are_young(world, me, workspace) {
        me.time.sleep(u64::try_from(me.policy.young_ms).unwrap_or(0)).await;
        lines = state(world, me.node, choose_lines);
    }
    let within_ms = if is_last { PATIENCE_MS } else { me.policy.round_ms };
    recall_lines(world, me, workspace, lines, within_ms).await.is_empty()
}

fn some_are_young(world: &World, me: &Running, workspace: &WorkspaceId) -> bool {
    let now = world.agreed_now(me.node);
    let young = |w: &Workspace| w.lines.values().any(|line| now.since_ms(line.heard_at) < me.policy.young_ms);
    state(world, me.node, |state| state.workspace(workspace).is_some_and(young))
}

async fn recall_lines(
    world: &Rc<World>,
    me: &Rc<Running>,
    workspace: &WorkspaceId,
    lines: Vec<RecallLine>,
    within_ms: u64,
) -> BTreeSet<NodeId> {
    let mut by_node: BTreeMap<NodeId, Vec<RecallLine>> = BTreeMap::new();
    for line in lines {
        by_node.entry(line.line.holder.node).or_default().push(line);
    }
    let in_parts = |(node, lines): (NodeId, Vec<RecallLine>)| {
        let parts: Vec<_> = lines.chunks(RECALL_LINES_MAX).map(<[_]>::to_vec).collect();
        parts.into_iter().map(move |part| (node, part))
    };
    let ask = |(node, lines): (NodeId, Vec<RecallLine>)| {
        let asked: BTreeSet<LineId> = lines.iter().map(|line| line.line).collect();
        let frozen: BTreeSet<LineId> =
            lines.iter().filter(|line| line.frozen).map(|line| line.line).collect();
        let recall = Recall { workspace: workspace.clone(), lines };
        let heard = is_heard(world, me, node);
        let patience_ms = if heard { within_ms } else { within_ms.min(me.policy.round_ms) };
        async move {
            let answer = ask_back(world, me, node, recall, patience_ms).await;
            let Some(answer) = answer else { return (node, asked) };
            hear(me, node);
            let booked = book_answer(world, me, workspace, answer, within_ms.max(PATIENCE_MS)).await;
            let sealed = frozen.intersection(&booked).map(|line| (workspace.clone(), *line));
            me.desk.sealed.borrow_mut().extend(sealed);
            (node, asked.difference(&booked).copied().collect())
        }
    };
    let owed = futures::future::join_all(by_node.into_iter().flat_map(in_parts).map(ask)).await;
    let mut silent = BTreeSet::new();
    for (node, asked) in owed {
        let is_there = |w: &Workspace| asked.iter().any(|line| w.lines.contains_key(line));
        if state(world, me.node, |state| state.workspace(workspace).is_some_and(is_there)) {
            silent.insert(node);
        }
    }
    silent
}

async fn ask_back(
    world: &Rc<World>,
    me: &Rc<Running>,
    node: NodeId,
    recall: Recall,
    within_ms: u64,
) -> Option<RecallAnswer> {
    me.film(Film::RecallSent, u64::from(node.0), recall.lines.len() as u64);
    if node == id_of(me.node) {
        return me.time.within(within_ms, me.recall(recall)).await;
    }
    match world.call(me.node, index_of(node), Request::Recall(recall), within_ms).await {
        Ok(Answer::Recall(answer)) => Some(answer),
        _ => None,
    }
}

async fn book_answer(
    world: &Rc<World>,
    me: &Rc<Running>,
    workspace: &WorkspaceId,
    answer: RecallAnswer,
    within_ms: u64,
) -> BTreeSet<LineId> {
    let RecallAnswer { holder, journal_sequence, lines } = answer;
    let mut booked = BTreeSet::new();
    if lines.is_empty() {
        return booked;
    }
    let batch =
        HolderBatch { holder, journal_sequence, workspace: workspace.clone(), lines, recalled: false };
    if let Ok(committed) = propose(world, me, Command::Holder(batch), within_ms).await
        && let Ok(Outcome::Lines(answers)) = committed.applied.result
    {
        let taken = answers.iter().filter(|line| !matches!(line.result, LineResult::Rejected(_)));
        booked.extend(taken.map(|line| LineId { holder, number: line.number }));
    }
    booked
}

// ---- administrators

async fn command_of(
    world: &Rc<World>,
    me: &Rc<Running>,
    mut command: Command,
    within_ms: u64,
) -> Result<Committed, LeaderRefusal> {
    dues::with_ends(&mut command, world.agreed_now(me.node));
    let end_ms = me.time.now_ms() + within_ms;
    if let Command::Register { holder, .. } = &command {
        hear(me, holder.node);
    }
    let committed = propose(world, me, command.clone(), within_ms).await?;
    let Err(Rejection::InsufficientShared { elsewhere, .. }) = &committed.applied.result else {
        return Ok(committed);
    };
    let Some(workspace) = command.workspace().filter(|_| !elsewhere.is_zero()).cloned() else {
        return Ok(committed);
    };
    // A raise must not fail for credits that lie idle on leases.
    let rounds = me.desk.rounds.of(&workspace);
    let left = end_ms.saturating_sub(me.time.now_ms());
    let Some(_turn) = me.time.within(left, rounds.turn()).await else { return Err(LeaderRefusal::Unknown) };
    let lines =
        state(world, me.node, |state| state.workspace(&workspace).map(shared_lines).unwrap_or_default());
    recall_lines(world, me, &workspace, lines, me.policy.round_ms).await;
    let left = end_ms.saturating_sub(me.time.now_ms());
    let again = propose(world, me, command, left).await?;
    if again.applied.result.is_ok() {
        world.saw(Crossing::RaiseIsServedByRecall);
    }
    Ok(again)
}

/// Sees to recalls after changes, again each second until nothing is frozen, while this node leads.
pub async fn keep_sweeping(world: Rc<World>, me: Rc<Running>) {
    loop {
        let _either = me.time.within(SWEEP_MS, me.desk.to_sweep.notified()).await;
        let leads = world.nodes[me.node].replica.as_ref().is_some_and(|replica| replica.borrow().is_leader());
        if leads && !me.desk.leads.replace(true) {
            take_over(&world, &me);
        } else if !leads {
            me.desk.leads.set(false);
        }
        let watched = std::mem::take(&mut *me.desk.watched.borrow_mut());
        for (workspace, in_doubt) in watched {
            let settled = !in_doubt || !leads || settle(&world, &me, &workspace).await;
            let lines = state(&world, me.node, |state| {
                state.workspace(&workspace).map(frozen_lines).unwrap_or_default()
            });
            if lines.is_empty() {
                me.desk.sealed.borrow_mut().retain(|(of, _)| *of != workspace);
            }
            if leads && (!lines.is_empty() || !settled) {
                recall_lines(&world, &me, &workspace, lines, me.policy.round_ms).await;
                *me.desk.watched.borrow_mut().entry(workspace).or_default() |= !settled;
            }
        }
    }
}

/// Whether all that was proposed about a workspace before is applied, or never will be.
async fn settle(world: &Rc<World>, me: &Rc<Running>, workspace: &WorkspaceId) -> bool {
    let replica = world.nodes[me.node].replica.as_ref().expect("only replicas lead");
    let tick = Command::Tick { workspace: workspace.clone() };
    let proposed = replica.borrow_mut().propose(world.agreed_now(me.node), tick);
    world.after_raft(me.node);
    let Some(answer) = proposed else { return false };
    matches!(me.time.within(PATIENCE_MS, answer).await, Some(Ok(_)))
}

/// What was under way at the old leader's desk is found in the ledger; every session counts as renewed.
fn take_over(world: &World, me: &Running) {
    let now = me.clock.boottime_ms();
    let (nodes, open) = state(world, me.node, |state| {
        let nodes: Vec<NodeId> = state.holders.keys().map(|holder| holder.node).collect();
        let open = state.workspaces.iter().filter(|(_, w)| w.frozen_out > 0).map(|(id, _)| id.clone());
        (nodes, open.collect::<Vec<_>>())
    });
    me.desk.heard.borrow_mut().extend(nodes.into_iter().map(|node| (node, now)));
    for workspace in open {
        world.saw(Crossing::NewLeaderFindsFrozenLines);
        watch(me, workspace, false);
    }
}
