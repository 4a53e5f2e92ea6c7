//! Holds on a node: opened where a consume would be decided, asked for where they live; as the product's `quota/hold.rs`,
//! without keys. What was said of them is judged here. Not here: their arithmetic, which is the journal's, nor the
//! clients (`streams`).

use super::World;
use super::consume::{self, Attempt, FORWARD_MS, WAIT_MS};
use super::handle::Handle;
use super::messages::AllocationMessage;
use super::node::Running;
use super::pool::PoolMessage;
use super::words::{
    Answer, Consume, HoldAsked, HoldSays, HoldWish, OpenHold, PeerFault, Refusal, Request, index_of,
};
use crate::crossings::Crossing;
use journal::{
    EndOfHold, Ended, Ending, ExtendHold, HoldOver, HoldView, Permit, Refused, Settle, SettleLate, Spend,
};
use platform::Clock;
use std::collections::BTreeSet;
use std::rc::Rc;
use testkit::holds::{End, Found, HoldName, Over};
use types::planted::{Mistake, is_planted};
use types::{Credits, Durability, Feature, LineId, PriceVersion, UserId, WorkspaceId};

type Opening = Result<HoldName, Refusal>;
type Saying = Result<HoldSays, Refusal>;

const PRICES: PriceVersion = PriceVersion { card: 1, own: None };

pub async fn open(world: Rc<World>, me: Rc<Running>, open: OpenHold) -> Opening {
    let Consume { workspace, user, .. } = &open.consume;
    let home = consume::home_of(&world, workspace, user);
    let feature = consume::feature_of(&open.consume);
    if home == me.node || consume::is_regular(&me, workspace, user, &feature) {
        return decide(&me, &open).await;
    }
    match world.call(me.node, home, Request::OpenHold(open.clone()), FORWARD_MS).await {
        Ok(Answer::OpenHold(answer)) => answer,
        Ok(_) | Err(PeerFault::Unreachable) => decide(&me, &open).await,
        Err(PeerFault::Unknown) => Err(Refusal::OutcomeUnknown),
    }
}

/// What is asked of a hold is done by the node that has it: one hop.
pub async fn hold(world: Rc<World>, me: Rc<Running>, asked: HoldAsked) -> Saying {
    let node = index_of(asked.hold.0.node);
    if node == me.node {
        return hold_here(&me, asked).await;
    }
    match world.call(me.node, node, Request::Hold(asked), FORWARD_MS).await {
        Ok(Answer::Hold(answer)) => answer,
        Ok(_) | Err(PeerFault::Unreachable) => Err(Refusal::HolderUnreachable),
        Err(PeerFault::Unknown) => Err(Refusal::OutcomeUnknown),
    }
}

/// Wins credits on the user's word, and waits for them where it must.
async fn won<'a>(
    me: &'a Rc<Running>,
    (workspace, user): (&WorkspaceId, &UserId),
    feature: &Feature,
    amount: Credits,
) -> Result<(Rc<Handle>, Permit<'a>, Spend), Refusal> {
    let end_ms = me.time.now_ms() + WAIT_MS;
    loop {
        let handle = me.activate(workspace, user, feature).await.ok_or(Refusal::Overloaded)?;
        match consume::try_win(me, &handle, amount) {
            Ok((permit, spent)) => {
                let spend = Spend { handle: handle.no, epoch: spent.epoch.number(), amount };
                return Ok((handle, permit, spend));
            }
            Err(Attempt::Refused(refusal)) => return Err(refusal),
            Err(Attempt::Short) => {
                let left = end_ms.saturating_sub(me.time.now_ms());
                let waited =
                    me.time.within(left, consume::wait_for_credits(me, &handle, feature, amount)).await;
                waited.unwrap_or(Err(Refusal::CreditsUnreachable))?;
            }
        }
    }
}

/// Opened here, or not at all.
pub async fn decide(me: &Rc<Running>, open: &OpenHold) -> Opening {
    let OpenHold { consume, ttl_ms } = open;
    let Consume { workspace, user, price, .. } = consume;
    me.journal.room_for_hold(workspace.clone(), user.clone()).await.map_err(|why| refused(&why))?;
    let (handle, permit, spend) = won(me, (workspace, user), &consume::feature_of(consume), *price).await?;
    let (spent_ms, now) = (me.time.now_ms(), me.clock.now());
    let wish = journal::OpenHold {
        spend,
        feature: consume::feature_of(consume),
        model: None,
        prices: PRICES,
        durability: Durability::Local,
        ttl_ms: *ttl_ms,
        at: now,
        key: None,
        shadow: None,
    };
    let world = me.world();
    world.asked_to_charge(workspace, user, *price);
    let held = permit.hold(wish).await;
    me.disk_is_slow().await;
    let held = held.map_err(|why| {
        handle.tell(AllocationMessage::Freed);
        refused(&why)
    })?;
    world.was_spent(me, consume, held.line, spent_ms);
    let name = (me.holder, held.number);
    let line = LineId { holder: me.holder, number: held.line };
    let mut oracle = world.oracle.borrow_mut();
    let verdict = oracle.holds_of(workspace).1.opened(name, user, line, held.amount.micros());
    oracle.judge(verdict, me.time.now_ms());
    Ok(name)
}

/// Here, or not at all.
pub async fn hold_here(me: &Rc<Running>, asked: HoldAsked) -> Saying {
    let HoldAsked { workspace, hold, what } = asked;
    if hold.0 != me.holder {
        return Err(Refusal::NoHold);
    }
    if !me.knows_cluster() && !is_planted(Mistake::OlderDiskEndsHolds) {
        return Err(Refusal::HolderUnreachable);
    }
    let view = match look(me, &workspace, hold).await? {
        Ok(view) => view,
        Err(over) => return of_one_that_is_over(me, &workspace, hold, &over, what).await,
    };
    let day = me.clock.now().day();
    let ending = match what {
        HoldWish::Extend { to, confirmed } => {
            return extend(me, &workspace, hold, &view, (to, confirmed)).await;
        }
        HoldWish::Settle { amount, cap } => {
            Ending::Settle(Settle { amount, cap, shadow: None, units: Vec::new(), day })
        }
        HoldWish::Release => Ending::Release { day },
    };
    me.world().oracle.borrow_mut().holds_of(&workspace).1.asked_to_end(hold);
    let ended = me.journal.end_hold(hold.1, ending).await;
    me.disk_is_slow().await;
    match ended {
        Ok(ended) => {
            me.hold_ended(&ended);
            Ok(HoldSays::Over { charged: ended.over.charged })
        }
        Err(Refused::HoldOver(over)) => of_one_that_is_over(me, &workspace, hold, &over, what).await,
        Err(why) => Err(refused(&why)),
    }
}

async fn look(
    me: &Rc<Running>,
    workspace: &WorkspaceId,
    hold: HoldName,
) -> Result<Result<HoldView, HoldOver>, Refusal> {
    match me.journal.hold(hold.1).await {
        Ok(view) if view.facts.workspace == *workspace => Ok(Ok(view)),
        Err(Refused::HoldOver(over)) if over.facts.workspace == *workspace => {
            me.hold_is_over(&over);
            Ok(Err(*over))
        }
        Ok(_) | Err(Refused::HoldOver(_)) => Err(Refusal::NoHold),
        Err(why) => Err(refused(&why)),
    }
}

/// Settled twice is the same answer; what had expired is settled late.
async fn of_one_that_is_over(
    me: &Rc<Running>,
    workspace: &WorkspaceId,
    hold: HoldName,
    over: &HoldOver,
    what: HoldWish,
) -> Saying {
    me.world().hold_is_over(me, over);
    match (over.end, what) {
        (EndOfHold::Settled | EndOfHold::SettledLate, HoldWish::Settle { .. }) | (_, HoldWish::Release) => {
            Ok(HoldSays::Over { charged: over.charged })
        }
        (EndOfHold::Expired, HoldWish::Settle { amount, cap }) => {
            settle_late(me, workspace, hold, over, (amount, cap)).await
        }
        (_, HoldWish::Extend { .. }) | (EndOfHold::Released, HoldWish::Settle { .. }) => {
            Err(Refusal::HoldOver)
        }
    }
}

async fn extend(
    me: &Rc<Running>,
    workspace: &WorkspaceId,
    hold: HoldName,
    view: &HoldView,
    (to, confirmed): (Credits, Credits),
) -> Saying {
    let (world, user) = (me.world(), &view.facts.user);
    let lacking = to.saturating_sub(view.facts.held);
    if view.is_ending && !lacking.is_zero() {
        return Err(Refusal::HoldEnding);
    }
    let (permit, won) = if lacking.is_zero() {
        (me.journal.reserve().map_err(|why| refused(&why))?, None)
    } else {
        let (handle, permit, spend) = won(me, (workspace, user), &view.facts.feature, lacking).await?;
        (permit, Some((handle, spend)))
    };
    world.asked_to_hold_more(workspace, hold, (to, confirmed), lacking);
    let more = ExtendHold {
        hold: hold.1,
        spend: won.as_ref().map(|(_, spend)| *spend),
        to,
        confirmed,
        refresh: me.may_spend(),
        at: me.clock.now(),
        shadow: None,
    };
    let extended = permit.extend(more).await;
    me.disk_is_slow().await;
    let freed = match &extended {
        Ok(view) => view.freed,
        // A journal that stopped may have written it.
        Err(Refused::Stopped { .. }) => Credits::ZERO,
        Err(_) => lacking,
    };
    if let Some((handle, _)) = won.filter(|_| extended.is_err() || !freed.is_zero()) {
        handle.tell(AllocationMessage::Freed);
    }
    world.held_less(workspace, hold, freed);
    let view = extended.map_err(|why| refused(&why))?;
    let (held, confirmed) = (view.facts.held, view.confirmed);
    let mut oracle = world.oracle.borrow_mut();
    let verdict = oracle.holds_of(workspace).1.extended(hold, held.micros(), confirmed.micros());
    oracle.judge(verdict, me.time.now_ms());
    oracle.saw(Crossing::HoldIsExtended);
    Ok(HoldSays::Held { held, confirmed })
}

async fn settle_late(
    me: &Rc<Running>,
    workspace: &WorkspaceId,
    hold: HoldName,
    over: &HoldOver,
    (amount, cap): (Credits, bool),
) -> Saying {
    if amount > over.facts.held && !cap {
        return Err(Refusal::HoldExceeded);
    }
    let rest = amount.min(over.facts.held).saturating_sub(over.charged);
    let (handle, permit, spend) = won(me, (workspace, &over.facts.user), &over.facts.feature, rest).await?;
    let world = me.world();
    world.oracle.borrow_mut().holds_of(workspace).0.asked(&over.facts.user, Credits::ZERO);
    world.asked_to_hold_more(workspace, hold, (Credits::ZERO, Credits::ZERO), rest);
    let day = me.clock.now().day();
    let settled = permit.settle_late(SettleLate { hold: hold.1, spend, units: Vec::new(), day }).await;
    me.disk_is_slow().await;
    match settled {
        Ok(ended) => {
            me.saw(Crossing::HoldIsSettledLate);
            world.hold_is_over(me, &ended.over);
            Ok(HoldSays::Over { charged: ended.over.charged })
        }
        Err(why) => {
            handle.tell(AllocationMessage::Freed);
            if !matches!(why, Refused::Stopped { .. }) {
                world.held_less(workspace, hold, rest);
            }
            match why {
                // Somebody else has settled it meanwhile.
                Refused::HoldOver(over) => {
                    world.hold_is_over(me, &over);
                    Ok(HoldSays::Over { charged: over.charged })
                }
                why => Err(refused(&why)),
            }
        }
    }
}

fn refused(why: &Refused) -> Refusal {
    match why {
        Refused::HoldOver(_) => Refusal::HoldOver,
        Refused::NoHold => Refusal::NoHold,
        Refused::HoldEnding => Refusal::HoldEnding,
        Refused::BeyondHold { .. } | Refused::BelowConfirmed { .. } => Refusal::HoldExceeded,
        Refused::NoLine | Refused::TooManyHolds { .. } | Refused::TooManyHoldsOfUser { .. } => {
            Refusal::Overloaded
        }
        Refused::Stopped { .. } => Refusal::OutcomeUnknown,
        other => consume::not_booked(other),
    }
}

impl Running {
    /// Tells those whom the end of a hold concerns.
    pub fn hold_ended(self: &Rc<Self>, ended: &Ended) {
        self.world().hold_is_over(self, &ended.over);
        let facts = &ended.over.facts;
        if ended.closed {
            self.saw(Crossing::LineClosesWithItsHold);
            let _gone = self.pool(&facts.workspace).unbounded_send(PoolMessage::HoldEnded);
        } else if let Some(handle) =
            self.find(&facts.workspace, &facts.user, &facts.feature).filter(|_| !ended.freed.is_zero())
        {
            handle.tell(AllocationMessage::Freed);
        }
    }

    /// It may have ended just now, because its time was up when somebody asked for it.
    fn hold_is_over(self: &Rc<Self>, over: &HoldOver) {
        let facts = &over.facts;
        let _gone = self.pool(&facts.workspace).unbounded_send(PoolMessage::HoldEnded);
        if let Some(handle) = self.find(&facts.workspace, &facts.user, &facts.feature) {
            handle.tell(AllocationMessage::Freed);
        }
    }

    /// With the tick: those whose time is up.
    pub fn expire_holds(self: &Rc<Self>) {
        if self.journal.open_holds() == 0
            || (!self.knows_cluster() && !is_planted(Mistake::OlderDiskEndsHolds))
        {
            return;
        }
        let me = self.clone();
        self.spawn(async move {
            if let Ok(ended) = me.journal.expire_holds(me.clock.now().day(), BTreeSet::new()).await {
                me.disk_is_slow().await;
                ended.iter().for_each(|ended| me.hold_ended(ended));
            }
        });
    }

    /// S11: what was told of holds is found after a start.
    pub async fn find_holds(self: Rc<Self>) {
        let world = self.world();
        let names: Vec<(WorkspaceId, HoldName)> = {
            let oracle = world.oracle.borrow();
            let of = |holds: &testkit::holds::Holds| {
                holds.of(self.holder).map(|(name, _)| name).collect::<Vec<_>>()
            };
            oracle
                .all_holds()
                .flat_map(|(id, holds)| of(holds).into_iter().map(|name| (id.clone(), name)))
                .collect()
        };
        for (workspace, name) in names {
            let found = match self.journal.hold(name.1).await {
                Ok(view) => {
                    self.saw(Crossing::HoldIsOpenAfterRestart);
                    Found::Open { held: view.facts.held.micros(), confirmed: view.confirmed.micros() }
                }
                Err(Refused::HoldOver(over)) => Found::Over(over_of(&over)),
                Err(Refused::NoHold) => Found::Unknown,
                // It has stopped.
                Err(_) => return,
            };
            let mut oracle = world.oracle.borrow_mut();
            let verdict = oracle.holds_of(&workspace).1.found(name, found);
            oracle.judge(verdict, self.time.now_ms());
        }
    }
}

fn over_of(over: &HoldOver) -> Over {
    let end = match over.end {
        EndOfHold::Settled => End::Settled,
        EndOfHold::Released => End::Released,
        EndOfHold::Expired => End::Expired,
        EndOfHold::SettledLate => End::SettledLate,
    };
    Over { end, charged: over.charged.micros() }
}

impl World {
    /// A hold is over, as its holder answers; durable by then.
    fn hold_is_over(&self, me: &Running, over: &HoldOver) {
        let facts = &over.facts;
        let name = (me.holder, facts.number);
        let mut oracle = self.oracle.borrow_mut();
        let (told, holds) = oracle.holds_of(&facts.workspace);
        let was_told = holds.get(name).is_some_and(|hold| hold.over.is_some());
        let more = match holds.ended(name, over_of(over)) {
            Ok(more) => more,
            Err(broken) => return oracle.judge(Err(broken), me.time.now_ms()),
        };
        // Both parts of one that was settled late stand on one line where nobody was told of the first.
        let on_one_line = over.charged_on == facts.line || was_told;
        let line = on_one_line.then_some(LineId { holder: me.holder, number: over.charged_on });
        let verdict = told.charged_for_hold(&facts.user, line, more);
        // Late settles that are under way have asked for their part already.
        if let Some(hold) = holds.get_mut(name).filter(|_| !was_told) {
            told.asked_less(&facts.user, hold.asked - over.charged.micros());
            hold.asked = over.charged.micros();
        }
        oracle.judge(verdict, me.time.now_ms());
        if over.end == EndOfHold::Expired {
            oracle.saw(Crossing::HoldExpires);
        }
    }

    fn asked_to_hold_more(
        &self,
        workspace: &WorkspaceId,
        name: HoldName,
        (to, confirmed): (Credits, Credits),
        more: Credits,
    ) {
        let mut oracle = self.oracle.borrow_mut();
        let (told, holds) = oracle.holds_of(workspace);
        holds.asked_to_extend(name, to.micros(), confirmed.micros());
        if let Some(hold) = holds.get_mut(name) {
            hold.asked += more.micros();
            told.asked_more(&hold.user, more);
        }
    }

    fn held_less(&self, workspace: &WorkspaceId, name: HoldName, less: Credits) {
        let mut oracle = self.oracle.borrow_mut();
        let (told, holds) = oracle.holds_of(workspace);
        if let Some(hold) = holds.get_mut(name) {
            // Its end may have counted it meanwhile, by what is charged.
            let charged = hold.over.map_or(0, |over| over.charged);
            let less = less.micros().min(hold.asked - charged);
            hold.asked -= less;
            told.asked_less(&hold.user, less);
        }
    }
}
