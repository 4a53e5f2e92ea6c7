//! A consume on a node: routed, keyed, spent on the word, booked in the journal, answered; as the product's
//! `quota/consume.rs` and `route.rs`. Not here: refills (`allocation`), clients (`clients`).

use super::World;
use super::handle::{Handle, micros};
use super::messages::{AllocationMessage, Denied};
use super::node::Running;
use super::words::{Answer, Charge, Consume, Index, PeerFault, Refusal, Request};
use crate::crossings::Crossing;
use escrow::{NoSpend, Spent};
use futures::channel::oneshot;
use journal::{Begun, Charged, KeyGuard, Permit, Refused};
use ledger::DenialReason;
use platform::Clock;
use std::rc::Rc;
use types::{Credits, Durability, Feature, Meter, UserId, WorkspaceId};

pub const WAIT_MS: u64 = 5_000;
pub const FORWARD_MS: u64 = 6_000;
pub const CONFIRM_MS: u64 = 2_000;
const GENERATION_MS: u64 = 2_000;
const REGULAR_FROM: u32 = 3;

type Charging = Result<Charge, Refusal>;

pub async fn consume(world: Rc<World>, me: Rc<Running>, consume: Consume) -> Charging {
    if consume.key.is_none() && is_regular(&me, &consume.workspace, &consume.user, &feature_of(&consume)) {
        return decide(&me, &consume).await;
    }
    let home = home_of(&world, &consume.workspace, &consume.user);
    if home == me.node {
        return decide(&me, &consume).await;
    }
    match world.call(me.node, home, Request::Consume(consume.clone()), FORWARD_MS).await {
        Ok(Answer::Consume(answer)) => answer,
        Ok(_) | Err(PeerFault::Unreachable) if consume.key.is_none() => decide(&me, &consume).await,
        Ok(_) | Err(PeerFault::Unreachable) => Err(Refusal::HomeUnreachable),
        Err(PeerFault::Unknown) => Err(Refusal::OutcomeUnknown),
    }
}

pub fn is_regular(me: &Running, workspace: &WorkspaceId, user: &UserId, feature: &Feature) -> bool {
    if me.find(workspace, user, feature).is_some() {
        return true;
    }
    let now_ms = me.clock.boottime_ms();
    let mut strays = me.strays.borrow_mut();
    let entry = strays.entry((workspace.clone(), user.clone())).or_insert((0, now_ms));
    if now_ms.saturating_sub(entry.1) >= 2 * GENERATION_MS {
        *entry = (0, now_ms);
    }
    entry.0 += 1;
    entry.0 >= REGULAR_FROM
}

/// Where keyed requests of this user are decided.
pub fn home_of(world: &World, workspace: &WorkspaceId, user: &UserId) -> Index {
    let homes = world.homes(workspace, user);
    let home = homes.iter().find(|node| !world.nodes[**node].forgotten.get());
    home.copied().unwrap_or(homes[0])
}

pub fn command_hash(consume: &Consume) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&consume.price.micros().to_le_bytes());
    hasher.update(&[consume.feature, consume.durability.map_or(9, |durability| durability as u8)]);
    *hasher.finalize().as_bytes()
}

/// Decided here, or not at all.
pub async fn decide(me: &Rc<Running>, consume: &Consume) -> Charging {
    let mut key = None;
    if let Some(wanted) = &consume.key {
        match me.keys.begin(&consume.workspace, &consume.user, wanted, command_hash(consume)) {
            Begun::Fresh(guard) => key = Some(guard),
            Begun::Replay(charged) => {
                confirmed(me, consume, &charged).await?;
                return Ok(charge_of(me, &charged, true, true));
            }
            // Its holds have no keys.
            Begun::Conflict | Begun::ReplayHold(_) => return Err(Refusal::KeyConflict),
            Begun::InFlight => return Err(Refusal::KeyInFlight),
            Begun::Full => return Err(Refusal::KeyWindowFull),
        }
    }
    let (end_ms, feature) = (me.time.now_ms() + WAIT_MS, feature_of(consume));
    let mut local = true;
    loop {
        let handle =
            me.activate(&consume.workspace, &consume.user, &feature).await.ok_or(Refusal::Overloaded)?;
        match try_here(me, &handle, consume, &mut key).await {
            Ok(charged) => return Ok(charge_of(me, &charged, local, false)),
            Err(Attempt::Refused(refusal)) => return Err(refusal),
            Err(Attempt::Short) => {
                local = false;
                let left = end_ms.saturating_sub(me.time.now_ms());
                let waited =
                    me.time.within(left, wait_for_credits(me, &handle, &feature, consume.price)).await;
                waited.unwrap_or(Err(Refusal::CreditsUnreachable))?;
            }
        }
    }
}

pub enum Attempt {
    Short,
    Refused(Refusal),
}

/// A place in the journal, and the credits off the word.
pub fn try_win<'a>(me: &'a Running, handle: &Handle, price: Credits) -> Result<(Permit<'a>, Spent), Attempt> {
    if !me.may_spend() {
        return Err(Attempt::Short);
    }
    let permit = me.journal.reserve().map_err(|why| Attempt::Refused(not_booked(&why)))?;
    match handle.try_spend(price) {
        Ok(spent) => Ok((permit, spent)),
        Err(NoSpend::Short { .. } | NoSpend::Sealed { .. }) => Err(Attempt::Short),
        Err(NoSpend::Stray { epoch, amount }) => {
            permit.stray(handle.no, epoch.number(), micros(amount));
            Err(Attempt::Short)
        }
    }
}

async fn try_here(
    me: &Rc<Running>,
    handle: &Rc<Handle>,
    consume: &Consume,
    key: &mut Option<KeyGuard>,
) -> Result<Charged, Attempt> {
    let spent_ms = me.time.now_ms();
    let (permit, spent) = try_win(me, handle, consume.price)?;
    let (at_least, at_most) = handle.remaining(spent.left);
    let now = me.clock.now();
    let durability = consume.durability.unwrap_or_else(|| handle.durability());
    let meter = Meter { feature: feature_of(consume), model: None, day: now.day() };
    let charge = journal::Charge {
        handle: handle.no,
        epoch: spent.epoch.number(),
        amount: consume.price,
        meter,
        units: Vec::new(),
        at: now,
        key: key.take(),
        durability,
        remaining_at_least: at_least,
        remaining_at_most: at_most,
    };
    me.world().asked_to_charge(&consume.workspace, &consume.user, consume.price);
    let charged = permit.charge(charge).await;
    if durability != Durability::Local {
        me.disk_is_slow().await;
    }
    let charged = charged.map_err(|why| {
        Attempt::Refused(match why {
            Refused::Stopped { .. } => Refusal::OutcomeUnknown,
            other => not_booked(&other),
        })
    })?;
    me.world().was_spent(me, consume, charged.line, spent_ms);
    confirmed(me, consume, &charged).await.map_err(Attempt::Refused)?;
    Ok(charged)
}

pub fn feature_of(consume: &Consume) -> Feature {
    let feature = ["chat", "image", "search"][usize::from(consume.feature % 3)];
    Feature::parse(feature).expect("a valid id")
}

/// `quorum`: answered when the report that holds it is committed.
async fn confirmed(me: &Rc<Running>, consume: &Consume, charged: &Charged) -> Result<(), Refusal> {
    if charged.durability != Durability::Quorum {
        return Ok(());
    }
    let confirmed = me.confirm(&consume.workspace, charged.line);
    match me.time.within(CONFIRM_MS, confirmed).await {
        Some(true) => Ok(()),
        Some(false) | None => Err(Refusal::OutcomeUnknown),
    }
}

fn charge_of(me: &Running, charged: &Charged, local: bool, replayed: bool) -> Charge {
    Charge {
        holder: me.holder,
        line: charged.line,
        sequence: charged.sequence,
        amount: charged.amount,
        durability: charged.durability,
        local,
        replayed,
    }
}

pub async fn wait_for_credits(
    me: &Rc<Running>,
    handle: &Rc<Handle>,
    feature: &Feature,
    amount: Credits,
) -> Result<(), Refusal> {
    if !me.may_spend() {
        me.saw(Crossing::SessionIsOver);
        if !me.renew().await {
            return Err(Refusal::CreditsUnreachable);
        }
    }
    let (reply, answer) = oneshot::channel();
    let answer = if handle.tell(AllocationMessage::Want { amount, reply }) {
        answer.await.unwrap_or(Err(Denied::Gone))
    } else {
        Err(Denied::Gone)
    };
    match answer {
        Ok(()) => Ok(()),
        Err(Denied::Gone) => {
            let again = me.activate(&handle.workspace, &handle.user, feature).await;
            again.map(|_| ()).ok_or(Refusal::Overloaded)
        }
        Err(Denied::Ledger { denial, cut_off }) => {
            let about_credits = matches!(
                denial.reason,
                DenialReason::Exhausted
                    | DenialReason::AllocationExhausted
                    | DenialReason::LimitReached(_)
                    | DenialReason::OverageCapReached
            );
            if (cut_off && about_credits) || denial.reason.ends_the_line() {
                return Err(Refusal::CreditsUnreachable);
            }
            Err(Refusal::Denied(denial.reason))
        }
        Err(Denied::Unreachable) => Err(Refusal::CreditsUnreachable),
        Err(Denied::UnknownWorkspace) => Err(Refusal::UnknownWorkspace),
        Err(Denied::Overloaded) => Err(Refusal::Overloaded),
        Err(Denied::Storage) => Err(Refusal::StorageUnavailable),
    }
}

pub fn not_booked(why: &Refused) -> Refusal {
    match why {
        Refused::Overloaded => Refusal::Overloaded,
        _ => Refusal::StorageUnavailable,
    }
}
