//! Administrators: the asking until there is an answer. Not here: which changes (`changes`), what one means (`ledger`).

use super::World;
use super::film::Step as Film;
use super::node::Unavailable;
use super::refunds::{self, RefundWish};
use super::words::{Index, LeaderAnswer, LeaderRequest};
use crate::crossings::Crossing;
use ledger::{AdminCommand, Applied, Change, Command, ForgetMode, KeyedBy};
use std::rc::Rc;
use types::{IdempotencyKey, UserId, WorkspaceId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminStep {
    pub at_ms: u64,
    /// Where it is asked first.
    pub node: Index,
    pub what: Wanted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Change {
        workspace: usize,
        change: Change,
    },
    /// An operator has lost patience with a node that does not answer.
    Forget {
        node: Index,
        mode: ForgetMode,
    },
    /// A linearizable read.
    Read {
        workspace: usize,
    },
    Refund {
        workspace: usize,
        wish: RefundWish,
    },
}

pub fn workspace_id(at: usize) -> WorkspaceId {
    let usual = ["acme", "bolt", "cube"].get(at);
    WorkspaceId::parse(usual.unwrap_or(&&*format!("pool{at}"))).expect("a valid id")
}

pub fn user_id(at: usize) -> UserId {
    UserId::parse(&format!("u{at}")).expect("a valid id")
}

/// Until an administrator gives up.
const PATIENCE_MS: u64 = 30_000;

/// Numbers of the changes that set up what a run needs.
const SETUP_FROM: u64 = 1 << 50;
const SETUP_AGAIN_MS: u64 = 200;
const SETUP_AT_MS: u64 = 800;
const AT_ONCE: usize = 50;

/// Makes the pools of a plan: what is refused, because there is no leader yet or faults are on, is asked for again.
pub async fn set_up(world: Rc<World>) {
    world.time.sleep(SETUP_AT_MS).await;
    let mut number = SETUP_FROM;
    for stage in world.config.setup.clone() {
        for steps in stage.chunks(AT_ONCE) {
            let from = number;
            number += steps.len() as u64;
            let asked =
                (from..).zip(steps.iter().cloned()).map(|(number, step)| until_done(&world, number, step));
            futures::future::join_all(asked).await;
        }
    }
}

async fn until_done(world: &Rc<World>, mut number: u64, step: AdminStep) {
    let Wanted::Change { workspace, change } = step.what else { return };
    let end_ms = world.config.run_ms;
    while world.time.now_ms() < end_ms {
        let answered = administer(world, number, step.node, workspace_id(workspace), change.clone()).await;
        if answered.is_some_and(|applied| applied.result.is_ok()) {
            return;
        }
        world.time.sleep(SETUP_AGAIN_MS).await;
        // A change that was answered has used up its number.
        number += SETUP_FROM;
    }
}

/// Carries a step out: asks until there is an answer.
pub async fn carry_out(world: Rc<World>, number: u64, step: AdminStep) {
    match step.what {
        Wanted::Change { workspace, change } => {
            administer(&world, number, step.node, workspace_id(workspace), change).await;
        }
        Wanted::Forget { node, mode } => {
            // The product refuses to forget a node that answers.
            let up = world.nodes[node].is_up() && !world.time.is_paused(node + 1);
            let now_ms = world.time.now_ms();
            let cut =
                (0..world.config.replicas).all(|replica| world.net.borrow().is_cut(replica, node, now_ms));
            if !up || cut {
                world.forget(node, mode).await;
            }
        }
        Wanted::Read { workspace } => read(&world, step.node, workspace_id(workspace)).await,
        Wanted::Refund { workspace, wish } => {
            refunds::ask(&world, number, step.node, workspace_id(workspace), wish).await;
        }
    }
}

pub async fn administer(
    world: &Rc<World>,
    number: u64,
    node: Index,
    workspace: WorkspaceId,
    change: Change,
) -> Option<Applied> {
    let key = IdempotencyKey::parse(&format!("a{number}")).expect("a valid key");
    let mut command_hash = [0; 32];
    command_hash[..8].copy_from_slice(&number.to_le_bytes());
    // What has an id of its own may be repeated without a key; the rest has one mostly.
    let has_id = matches!(change, Change::MakeGrant(_) | Change::Reallocate { .. } | Change::ImportUsage(_));
    let needs_key = !number.is_multiple_of(3) || matches!(change, Change::PutWorkspace(_));
    let keyed = (!has_id && needs_key).then(|| KeyedBy { key: key.clone(), command_hash });
    let may_repeat = has_id || keyed.is_some();
    let command = Command::Admin(AdminCommand { workspace, keyed, if_match: None, change });
    world.film(Film::AdminAsked, node, number, 0);
    let answered = if may_repeat {
        command_until_answered(world, node, command, PATIENCE_MS).await
    } else {
        command_once(world, node, command).await.map(|applied| (applied, false))
    };
    let (applied, was_unknown) = answered?;
    if was_unknown && world.oracle.borrow().was_applied(&key) > 1 {
        world.saw(Crossing::UnknownProposalCommits);
    }
    world.film(Film::AdminAnswered, node, number, u64::from(applied.result.is_ok()));
    world.count_change(applied.result.is_ok());
    Some(applied)
}

/// Asks at one node after the other until the ledger has answered; and whether it was unknown meanwhile. Only for
/// commands that may be repeated.
pub async fn command_until_answered(
    world: &Rc<World>,
    node: Index,
    command: Command,
    within_ms: u64,
) -> Option<(Applied, bool)> {
    let begun = world.oracle.borrow().order.begin();
    let end_ms = world.time.now_ms() + within_ms;
    let (mut at, mut unknown) = (node, false);
    while world.time.now_ms() < end_ms {
        let request = LeaderRequest::Command(Box::new(command.clone()));
        let asked = world.on_node(at, |running| async move { running.ask_leader(request, true).await }).await;
        match asked {
            Some(Ok(LeaderAnswer::Applied { index, applied })) => {
                let mut oracle = world.oracle.borrow_mut();
                let verdict = oracle.order.wrote(begun, index);
                oracle.judge(verdict, world.time.now_ms());
                return Some((applied, unknown));
            }
            Some(Err(Unavailable::Unknown)) => unknown = true,
            Some(_) | None => {}
        }
        at = (at + 1) % world.config.nodes;
        world.time.sleep(100).await;
    }
    None
}

/// Asks once: what is unknown then stays so.
async fn command_once(world: &Rc<World>, node: Index, command: Command) -> Option<Applied> {
    let begun = world.oracle.borrow().order.begin();
    let request = LeaderRequest::Command(Box::new(command));
    let asked = world.on_node(node, |running| async move { running.ask_leader(request, false).await }).await;
    let Some(Ok(LeaderAnswer::Applied { index, applied })) = asked else { return None };
    let mut oracle = world.oracle.borrow_mut();
    let verdict = oracle.order.wrote(begun, index);
    oracle.judge(verdict, world.time.now_ms());
    Some(applied)
}

async fn read(world: &Rc<World>, node: Index, workspace: WorkspaceId) {
    let begun = world.oracle.borrow().order.begin();
    let request = LeaderRequest::Read { workspace };
    let asked = world.on_node(node, |running| async move { running.ask_leader(request, true).await }).await;
    if let Some(Ok(LeaderAnswer::Read { index, used })) = asked {
        let mut oracle = world.oracle.borrow_mut();
        let verdict = oracle.order.read(begun, index);
        oracle.judge(verdict, world.time.now_ms());
        drop(oracle);
        world.film(Film::AdminAnswered, node, index, used.micros());
    }
}
