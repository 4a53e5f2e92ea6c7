//! Refunds: what was told to be charged is looked up at its node and given back by the ledger, as the product's
//! `quota/refund.rs`. Not here: what must come of them (`testkit::refunds`), when they are asked for (`changes`).

use super::World;
use super::consume::{CONFIRM_MS, FORWARD_MS};
use super::film::Step as Film;
use super::node::{Running, Unavailable};
use super::words::{
    Answer, FindCharge, Found, Index, LeaderAnswer, LeaderRequest, PeerFault, Refusal, Request, index_of,
};
use journal::{FoundPart, LineKey, Looked, Wanted};
use ledger::{AdminCommand, Applied, Change, ChargePart, Command, NewRefund, Rejection};
use std::rc::Rc;
use testkit::checkers::Broken;
use testkit::told::ChargeName;
use types::{AnyCharge, ChargeId, Credits, LineNumber, RefundId, WorkspaceId};

/// Which charge, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundWish {
    pub pick: u64,
    /// `None`: all that is left of it.
    pub part_percent: Option<u64>,
    /// It is asked for again when it was answered.
    pub again: bool,
}

/// Until an administrator gives up.
const PATIENCE_MS: u64 = 15_000;
const AGAIN_MS: u64 = 300;

/// A refund of something that somebody was told.
pub async fn ask(
    world: &Rc<World>,
    number: u64,
    node: Index,
    workspace: WorkspaceId,
    wish: RefundWish,
) -> Option<Applied> {
    let (name, told) = {
        let oracle = world.oracle.borrow();
        let (name, _, micros) = oracle.told_of(&workspace)?.pick(wish.pick)?;
        (name, micros)
    };
    let part = |percent: u64| Credits::from_micros((told * percent / 100).max(1)).expect("a part of it");
    // Every third has no name: it may be asked for once.
    let id = (!number.is_multiple_of(3)).then(|| RefundId::parse(&format!("f{number}")).expect("a valid id"));
    let asked = AskRefund { workspace, name, told, amount: wish.part_percent.map(part), id };
    world.film(Film::AdminAsked, node, number, told);
    let first = until_answered(world, node, &asked).await?;
    world.film(Film::AdminAnswered, node, number, u64::from(first.result.is_ok()));
    world.count_change(first.result.is_ok());
    if wish.again && first.result.is_ok() && asked.id.is_some() {
        let again = until_answered(world, (node + 1) % world.config.nodes, &asked).await;
        // Two cycles later it is remembered no more.
        let is_too_late = |again: &Applied| again.result == Err(Rejection::ChargeTooOld);
        if again.as_ref().is_some_and(|again| again.result != first.result && !is_too_late(again)) {
            let what = format!("{:?}, and then {:?}", first.result, again.map(|again| again.result));
            world.broken("S7 a refund that is asked again is answered the same", what);
        }
    }
    Some(first)
}

#[derive(Clone)]
struct AskRefund {
    workspace: WorkspaceId,
    name: ChargeName,
    told: u64,
    amount: Option<Credits>,
    id: Option<RefundId>,
}

async fn until_answered(world: &Rc<World>, node: Index, asked: &AskRefund) -> Option<Applied> {
    let end_ms = world.time.now_ms() + PATIENCE_MS;
    let begun = world.oracle.borrow().order.begin();
    let mut at = node;
    while world.time.now_ms() < end_ms {
        let (then, wanted) = (world.clone(), asked.clone());
        let answer = world.on_node(at, |running| refund(then, running, wanted)).await;
        match answer {
            Some(Ok((index, applied))) => {
                let mut oracle = world.oracle.borrow_mut();
                let verdict = oracle.order.wrote(begun, index);
                oracle.judge(verdict, world.time.now_ms());
                return Some(applied);
            }
            Some(Err(refusal)) if !refusal.may_pass() => return None,
            // It may have been made, and would be made again.
            Some(Err(Refusal::OutcomeUnknown)) | None if asked.id.is_none() => return None,
            Some(Err(_)) | None => {}
        }
        at = (at + 1) % world.config.nodes;
        world.time.sleep(AGAIN_MS).await;
    }
    None
}

async fn refund(world: Rc<World>, me: Rc<Running>, asked: AskRefund) -> Result<(u64, Applied), Refusal> {
    let (line, sequence) = asked.name;
    let charge = ChargeId { node: line.holder.node, line: line.number, sequence };
    let find = FindCharge { workspace: asked.workspace.clone(), charge };
    let found = find_charge(&world, &me, find).await?;
    // Another disk under the same node's name has another charge of that number, if any.
    if found.holder == line.holder {
        let sum: u64 = found.parts.iter().map(|part| part.amount.micros()).sum();
        if sum != asked.told {
            let what = format!("{charge}: told {}, found {:?}", asked.told, found.parts);
            let broken = Broken { sentence: "a charge is looked up as it was told", what };
            world.oracle.borrow_mut().judge(Err(broken), me.time.now_ms());
        }
    }
    let Found { holder, user, parts } = found;
    let new = NewRefund {
        id: asked.id.clone(),
        holder,
        charge: AnyCharge::Consume(charge),
        user,
        parts,
        amount: asked.amount,
    };
    let change = Change::Refund(Box::new(new));
    let command = AdminCommand { workspace: asked.workspace, keyed: None, if_match: None, change };
    let request = LeaderRequest::Command(Box::new(Command::Admin(command)));
    match me.ask_leader(request, asked.id.is_some()).await {
        Ok(LeaderAnswer::Applied { index, applied }) => Ok((index, applied)),
        Ok(_) | Err(Unavailable::Unknown) => Err(Refusal::OutcomeUnknown),
        Err(Unavailable::NoLeader) => Err(Refusal::HolderUnreachable),
        Err(Unavailable::Rejected(_)) => Err(Refusal::NoCharge),
    }
}

/// One hop.
async fn find_charge(world: &Rc<World>, me: &Rc<Running>, find: FindCharge) -> Result<Found, Refusal> {
    let node = index_of(find.charge.node);
    if node == me.node {
        return find_here(me, find).await;
    }
    if world.nodes[node].forgotten.get() {
        return Err(Refusal::NoCharge);
    }
    match world.call(me.node, node, Request::FindCharge(find), FORWARD_MS).await {
        Ok(Answer::FoundCharge(answer)) => answer,
        Ok(_) | Err(PeerFault::Unreachable | PeerFault::Unknown) => Err(Refusal::HolderUnreachable),
    }
}

/// Here, or not at all; answered once the ledger has heard of it.
pub async fn find_here(me: &Rc<Running>, find: FindCharge) -> Result<Found, Refusal> {
    let FindCharge { workspace, charge } = find;
    if me.world().nodes[me.node].forgotten.get() {
        return Err(Refusal::NoCharge);
    }
    let line = LineKey { workspace: workspace.clone(), number: charge.line };
    let looked = me.journal.find(Wanted::Charge { line, sequence: charge.sequence }).await;
    me.disk_is_slow().await;
    let found = match looked.map_err(|_| Refusal::StorageUnavailable)? {
        Looked::Found(found) => *found,
        Looked::Open | Looked::Lost | Looked::Unknown | Looked::Gone => return Err(Refusal::NoCharge),
    };
    let mut lines: Vec<LineNumber> = found.parts.iter().map(|part| part.line).collect();
    lines.dedup();
    for line in lines {
        let confirmed = me.time.within(CONFIRM_MS, me.confirm(&workspace, line)).await;
        if confirmed != Some(true) {
            return Err(Refusal::HolderUnreachable);
        }
    }
    let part = |part: FoundPart| {
        let FoundPart { line, cycle, backing, amount } = part;
        ChargePart { line, cycle, backing, amount }
    };
    Ok(Found { holder: me.holder, user: found.user, parts: found.parts.into_iter().map(part).collect() })
}
