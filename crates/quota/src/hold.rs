//! Holds: credits set aside for a call whose price is not known yet; extended, settled, released.
//!
//! A hold is opened where a consume of the same request would be decided, and lives there: its id names the node, and what
//! is asked of it goes there, one hop. Its arithmetic is the journal's. Not here: the end of its time, which comes with the
//! supervisor's tick (`actors`).

use crate::consume::{Attempt, command_hash, not_booked, not_charged};
use crate::route::Route;
use crate::shadow::NoCredits;
use crate::{
    Consume, EndOfHold, ExtendHold, HoldAnswer, HoldCommand, HoldEnd, HoldOpened, HoldState, OpenHold,
    PriceBy, Quota, Refusal, SettleHold, Shortfall, UsedBy,
};
use actors::{Handle, PeerFault};
use escrow::Spent;
use journal::{Begun, Ending, HoldFacts, HoldOver, HoldView, KeyGuard, Permit, Refused, Spend};
use placement::MembershipEpoch;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use types::planted::{Mistake, is_planted};
use types::{
    Credits, Durability, Enforcement, Feature, HoldId, Model, Shadowed, UserId, WorkspaceId, WouldRefuse,
};

/// The shortest time to live of a hold: it ends with the first tick after it, of one second each.
pub const HOLD_TTL_MS_MIN: u32 = 1_000;
/// The longest. An extension counts it anew, so it bounds how long a client may be silent; and by so much longer than a
/// session what was taken away may be pending.
pub const HOLD_TTL_MS_MAX: u32 = 300_000;

impl Quota {
    pub async fn open_hold(&self, open: OpenHold) -> Result<HoldOpened, Refusal> {
        let home = match self.route(&open.consume) {
            Route::Here(_) => return self.decide_hold(open).await,
            Route::Home(home) => home,
        };
        self.counts().note_forwarded();
        let (within, is_keyed) = (self.forward_within(), open.consume.key.is_some());
        match self.peers().open_hold(home, self.membership().epoch(), open.clone(), within).await {
            Ok(answer) => answer,
            Err(PeerFault::Unreachable(_)) if !is_keyed => self.decide_hold(open).await,
            Err(PeerFault::Unreachable(_)) => Err(Refusal::HomeUnreachable),
            Err(PeerFault::Unknown(_)) => Err(Refusal::OutcomeUnknown),
        }
    }

    /// Opens what another node forwarded: here, or not at all.
    pub async fn open_hold_forwarded(
        &self,
        epoch: MembershipEpoch,
        open: OpenHold,
    ) -> Result<HoldOpened, Refusal> {
        if epoch < self.membership().epoch() {
            return Err(Refusal::HomeUnreachable);
        }
        self.decide_hold(open).await
    }

    /// What is asked of a hold is done by the node that has it.
    pub async fn hold(&self, command: HoldCommand) -> Result<HoldAnswer, Refusal> {
        let hold = command.hold();
        if hold.node == self.node() {
            return self.hold_forwarded(command).await;
        }
        let is_release = matches!(command, HoldCommand::Release { .. });
        if !self.listed().iter().any(|node| node.id == hold.node) {
            return if is_release { Ok(unknown(hold)) } else { Err(Refusal::NotFound("hold")) };
        }
        self.counts().note_forwarded();
        match self.peers().hold(hold.node, command, self.forward_within()).await {
            Ok(answer) => answer,
            Err(PeerFault::Unreachable(_)) => Err(Refusal::HolderUnreachable),
            Err(PeerFault::Unknown(_)) => Err(Refusal::OutcomeUnknown),
        }
    }

    /// Here, or not at all. One hop, never two.
    pub async fn hold_forwarded(&self, command: HoldCommand) -> Result<HoldAnswer, Refusal> {
        if command.hold().node != self.node() {
            return Err(Refusal::HolderUnreachable);
        }
        // Until the ledger has looked at this disk it may be an older copy, which would answer otherwise than before.
        let is_known = self.holder().is_known(command.workspace()).await;
        if !is_known && !is_planted(Mistake::OlderDiskEndsHolds) {
            return Err(Refusal::HolderUnreachable);
        }
        match command {
            HoldCommand::Extend(extend) => self.extend(extend).await.map(HoldAnswer::Extended),
            HoldCommand::Settle(settle) => self.settle(settle).await.map(HoldAnswer::Ended),
            HoldCommand::Release { workspace, hold } => self.release(&workspace, hold).await,
        }
    }

    fn forward_within(&self) -> Duration {
        Duration::from_millis(self.options().forward_ms)
    }

    async fn decide_hold(&self, open: OpenHold) -> Result<HoldOpened, Refusal> {
        let OpenHold { consume, ttl_ms } = open;
        if !(HOLD_TTL_MS_MIN..=HOLD_TTL_MS_MAX).contains(&ttl_ms) {
            let bounds = format!("{HOLD_TTL_MS_MIN} to {HOLD_TTL_MS_MAX}");
            return Err(Refusal::Invalid(format!("a hold's ttl_ms is {bounds}")));
        }
        let key = match self.begin_hold(&consume, ttl_ms)? {
            HoldKey::None => None,
            HoldKey::Fresh(guard) => Some(guard),
            HoldKey::Replay(opened) => return Ok(opened),
        };
        // Before any credits are won: those of a refused one are free again only when their line closes.
        let room = self.holder().journal().room_for_hold(consume.workspace.clone(), consume.user.clone());
        room.await.map_err(|why| self.refused(why))?;
        // What it is settled under, whatever comes into force meanwhile.
        let prices = self.prices_for(&consume.workspace, None)?.version();
        let price = self.price_of(&consume, Some(prices))?;
        let Consume { workspace, user, feature, model, .. } = &consume;
        let Won { handle, permit, spend, shadow } =
            self.won_or_counted(workspace, user, feature, model.as_ref(), price.charge).await?;
        let durability = consume.durability.unwrap_or_else(|| handle.durability());
        let wish = journal::OpenHold {
            spend,
            feature: consume.feature.clone(),
            model: consume.model.clone(),
            prices,
            durability,
            ttl_ms,
            at: self.clock().now(),
            key,
            shadow: shadow.map(|code| Shadowed { code, would_have_cost: price.charge }),
        };
        match permit.hold(wish).await {
            Ok(held) => {
                shadow.into_iter().for_each(|code| self.counts().note_would_refuse(code));
                Ok(self.opened(&held))
            }
            Err(why) => {
                handle.hold_freed();
                Err(self.refused(why))
            }
        }
    }

    fn begin_hold(&self, consume: &Consume, ttl_ms: u32) -> Result<HoldKey, Refusal> {
        let Some(key) = &consume.key else { return Ok(HoldKey::None) };
        let verb = format!("hold for {ttl_ms} ms");
        let hash = command_hash(verb.as_bytes(), consume);
        match self.holder().keys().begin(&consume.workspace, &consume.user, key, hash) {
            Begun::Fresh(guard) => Ok(HoldKey::Fresh(guard)),
            Begun::ReplayHold(held) => Ok(HoldKey::Replay(self.opened(&held))),
            Begun::Conflict | Begun::Replay(_) => Err(Refusal::KeyConflict),
            Begun::InFlight => Err(Refusal::KeyInFlight),
            Begun::Full => Err(Refusal::KeyWindowFull),
        }
    }

    fn opened(&self, held: &journal::Held) -> HoldOpened {
        let hold = HoldId { node: self.node(), number: held.number };
        let journal::Held { amount, expires_at, cycle, shadow, .. } = *held;
        HoldOpened { hold, held: amount, expires_at, cycle, shadow }
    }

    /// Wins credits on the user's word, and waits for them where it must.
    async fn won(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        feature: &Feature,
        model: Option<&Model>,
        amount: Credits,
    ) -> Result<Won<'_>, NoCredits> {
        let end = Instant::now() + Duration::from_millis(self.holder().options().wait_ms);
        let mut has_waited = false;
        loop {
            let handle = self.active_handle(workspace, user, feature, model).await?;
            match self.win(&handle, amount) {
                Ok((permit, Spent { epoch, .. })) => {
                    let spend = Spend { handle: handle.no, epoch: epoch.number(), amount };
                    return Ok(Won { handle, permit, spend, shadow: None });
                }
                Err(Attempt::Refused(refusal)) => return Err(refusal.into()),
                Err(Attempt::Short) => {
                    if !std::mem::replace(&mut has_waited, true) {
                        self.counts().note_waited();
                    }
                    self.wait_for_credits(&handle, feature, model, amount, end).await?;
                }
            }
        }
    }

    /// The same; in shadow mode nothing is won where it would have been refused.
    async fn won_or_counted(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        feature: &Feature,
        model: Option<&Model>,
        amount: Credits,
    ) -> Result<Won<'_>, Refusal> {
        match self.won(workspace, user, feature, model, amount).await {
            Err(NoCredits::Shadow(code, _)) => {
                let nothing = self.won(workspace, user, feature, model, Credits::ZERO).await;
                nothing.map(|won| Won { shadow: Some(code), ..won }).map_err(NoCredits::refusal)
            }
            won => won.map_err(NoCredits::refusal),
        }
    }

    /// An open hold of this workspace.
    async fn look(
        &self,
        workspace: &WorkspaceId,
        hold: HoldId,
    ) -> Result<Result<HoldView, HoldOver>, Refusal> {
        match self.holder().journal().hold(hold.number).await {
            Ok(view) if view.facts.workspace == *workspace => Ok(Ok(view)),
            Err(Refused::HoldOver(over)) if over.facts.workspace == *workspace => {
                self.holder().hold_is_over(&over.facts);
                Ok(Err(*over))
            }
            Ok(_) | Err(Refused::HoldOver(_) | Refused::NoHold) => Err(Refusal::NotFound("hold")),
            Err(why) => Err(not_booked(why)),
        }
    }

    async fn extend(&self, extend: ExtendHold) -> Result<HoldState, Refusal> {
        let ExtendHold { workspace, hold, amount, confirmed } = extend;
        let view = self.look(&workspace, hold).await?.map_err(|over| over_already(&over))?;
        if amount.micros() > crate::CHARGE_MICROS_MAX {
            return Err(Refusal::Invalid("a single hold has at most what a single charge may cost".into()));
        }
        let lacked = view.facts.shadow.map_or(Credits::ZERO, |shadow| shadow.would_have_cost);
        let most = view.facts.held.saturating_add(lacked).max(amount);
        if confirmed > most {
            return Err(Refusal::Invalid(format!(
                "{confirmed} are confirmed, and the hold has {most}: raise its amount with it"
            )));
        }
        // What would have been refused before gets no more: with enforcement on it would have gone no further.
        let is_shadow = view.facts.shadow.is_some();
        let lacking = if is_shadow { Credits::ZERO } else { amount.saturating_sub(view.facts.held) };
        if view.is_ending && !lacking.is_zero() {
            return Err(Refusal::HoldEnding);
        }
        let HoldFacts { user, feature, model, .. } = &view.facts;
        let reserve = || self.holder().journal().reserve().map_err(not_booked);
        let (permit, won, shadow) = if lacking.is_zero() {
            (reserve()?, None, None)
        } else {
            match self.won(&workspace, user, feature, model.as_ref(), lacking).await {
                Ok(Won { handle, permit, spend, .. }) => (permit, Some((handle, spend)), None),
                Err(NoCredits::Shadow(code, _)) => (reserve()?, None, Some(code)),
                Err(NoCredits::Refused(refusal)) => return Err(refusal),
            }
        };
        let more = journal::ExtendHold {
            hold: hold.number,
            spend: won.as_ref().map(|(_, spend)| *spend),
            to: amount,
            confirmed,
            refresh: self.holder().has_session(&workspace),
            at: self.clock().now(),
            shadow,
        };
        let extended = permit.extend(more).await;
        if let Some((handle, _)) = won
            && extended.as_ref().map_or(true, |view| !view.freed.is_zero())
        {
            handle.hold_freed();
        }
        let view = extended.map_err(|why| self.refused(why))?;
        shadow.into_iter().for_each(|code| self.counts().note_would_refuse(code));
        let HoldView { facts, confirmed, expires_at, .. } = view;
        Ok(HoldState { hold, held: facts.held, confirmed, expires_at, shadow: facts.shadow })
    }

    async fn settle(&self, settle: SettleHold) -> Result<HoldEnd, Refusal> {
        let SettleHold { workspace, hold, used, shortfall } = settle;
        let view = match self.look(&workspace, hold).await? {
            Ok(view) => view,
            Err(over) => return self.settle_again(hold, over, &used, shortfall).await,
        };
        let amount = self.cost_of(&view.facts, &used)?;
        let shadow = self.exceeded(&view.facts, amount, shortfall).await;
        let wish = journal::Settle {
            amount,
            cap: shortfall == Shortfall::Cap,
            shadow,
            units: units_of(&used),
            day: self.clock().now().day(),
        };
        match self.holder().end_hold(hold.number, Ending::Settle(wish)).await {
            Ok(ended) => {
                shadow.into_iter().for_each(|code| self.counts().note_would_refuse(code));
                self.ended(hold, &ended).await
            }
            Err(Refused::HoldOver(over)) => self.settle_again(hold, *over, &used, shortfall).await,
            Err(why) => Err(self.refused(why)),
        }
    }

    /// Whether it costs more than is held, where that is refused with enforcement on and counted in shadow mode. Where the
    /// leader does not say which it is, it is refused: it can still be settled.
    async fn exceeded(&self, facts: &HoldFacts, cost: Credits, shortfall: Shortfall) -> Option<WouldRefuse> {
        if cost <= facts.held || shortfall == Shortfall::Cap || facts.shadow.is_some() {
            return None;
        }
        let summary = self.workspace(&facts.workspace, false).await.ok()?;
        (summary.view.enforcement == Enforcement::Shadow).then_some(WouldRefuse::HoldExceeded)
    }

    /// Settled twice is the same answer; what had expired is settled late.
    async fn settle_again(
        &self,
        hold: HoldId,
        over: HoldOver,
        used: &UsedBy,
        shortfall: Shortfall,
    ) -> Result<HoldEnd, Refusal> {
        match over.end {
            journal::EndOfHold::Settled | journal::EndOfHold::SettledLate => {
                let HoldFacts { workspace, durability, .. } = &over.facts;
                self.committed(workspace, over.charged_on, *durability).await?;
                Ok(end_of(hold, &over))
            }
            journal::EndOfHold::Released => Err(over_already(&over)),
            journal::EndOfHold::Expired => self.settle_late(hold, &over, used, shortfall).await,
        }
    }

    async fn settle_late(
        &self,
        hold: HoldId,
        over: &HoldOver,
        used: &UsedBy,
        shortfall: Shortfall,
    ) -> Result<HoldEnd, Refusal> {
        let HoldOver { facts, charged, .. } = over;
        let cost = self.cost_of(facts, used)?;
        let exceeded = self.exceeded(facts, cost, shortfall).await;
        let is_counted = exceeded.is_some() || facts.shadow.is_some();
        if cost > facts.held && shortfall == Shortfall::Reject && !is_counted {
            return Err(Refusal::HoldExceeded { held: facts.held });
        }
        let rest = cost.min(facts.held).saturating_sub(*charged);
        if rest.is_zero() && facts.shadow.is_some() {
            // What it would have cost was counted when its time was up.
            return Ok(end_of(hold, over));
        }
        let HoldFacts { workspace, user, feature, model, .. } = facts;
        let won = self.won_or_counted(workspace, user, feature, model.as_ref(), rest).await?;
        let Won { handle, permit, spend, shadow } = won;
        let code = shadow.or(exceeded).filter(|_| facts.shadow.is_none());
        let would_have_cost = cost.saturating_sub(*charged).saturating_sub(spend.amount);
        let counted = code.map(|code| Shadowed { code, would_have_cost }.units());
        let (units, day) = (counted.unwrap_or_else(|| units_of(used)), self.clock().now().day());
        code.into_iter().for_each(|code| self.counts().note_would_refuse(code));
        match permit.settle_late(journal::SettleLate { hold: hold.number, spend, units, day }).await {
            Ok(ended) => self.ended(hold, &ended).await,
            Err(why) => {
                handle.hold_freed();
                match why {
                    // Somebody else has settled it meanwhile.
                    Refused::HoldOver(over) => Ok(end_of(hold, &over)),
                    why => Err(self.refused(why)),
                }
            }
        }
    }

    async fn release(&self, workspace: &WorkspaceId, hold: HoldId) -> Result<HoldAnswer, Refusal> {
        match self.look(workspace, hold).await {
            Err(Refusal::NotFound(_)) => return Ok(unknown(hold)),
            Err(why) => return Err(why),
            Ok(Err(over)) => return Ok(HoldAnswer::Ended(end_of(hold, &over))),
            Ok(Ok(_open)) => {}
        }
        let day = self.clock().now().day();
        match self.holder().end_hold(hold.number, Ending::Release { day }).await {
            Ok(ended) => self.ended(hold, &ended).await.map(HoldAnswer::Ended),
            Err(Refused::HoldOver(over)) => Ok(HoldAnswer::Ended(end_of(hold, &over))),
            Err(Refused::NoHold) => Ok(unknown(hold)),
            Err(why) => Err(self.refused(why)),
        }
    }

    /// By the prices that the hold was opened under, as long as they are kept.
    fn cost_of(&self, facts: &HoldFacts, used: &UsedBy) -> Result<Credits, Refusal> {
        let usage = match used {
            UsedBy::Amount(amount) => return Ok(*amount),
            UsedBy::Usage(usage) => usage.clone(),
        };
        let consume = Consume {
            workspace: facts.workspace.clone(),
            user: facts.user.clone(),
            feature: facts.feature.clone(),
            model: facts.model.clone(),
            price: PriceBy::Usage(usage),
            durability: None,
            key: None,
        };
        match self.price_of(&consume, Some(facts.prices)) {
            Ok(price) => Ok(price.charge),
            // Not that there is no such hold: it can still be settled.
            Err(Refusal::NotFound(_)) => Err(Refusal::Conflict(format!(
                "the prices that the hold was opened under, version {}, are not kept any more; settle it by `amount`",
                facts.prices
            ))),
            Err(why) => Err(why),
        }
    }

    async fn ended(&self, hold: HoldId, ended: &journal::Ended) -> Result<HoldEnd, Refusal> {
        let HoldFacts { workspace, durability, .. } = &ended.over.facts;
        self.committed(workspace, ended.over.charged_on, *durability).await?;
        Ok(end_of(hold, &ended.over))
    }

    fn refused(&self, why: Refused) -> Refusal {
        match why {
            Refused::HoldOver(over) => over_already(&over),
            Refused::NoHold => Refusal::NotFound("hold"),
            Refused::HoldEnding => Refusal::HoldEnding,
            Refused::BeyondHold { held } => Refusal::HoldExceeded { held },
            Refused::BelowConfirmed { confirmed } => {
                Refusal::Invalid(format!("{confirmed} credits of the hold are confirmed: it costs no less"))
            }
            why @ (Refused::TooManyHolds { .. } | Refused::TooManyHoldsOfUser { .. }) => {
                Refusal::TooManyHolds(why.to_string())
            }
            // The line ended between the spend and its record: nothing is held, and asking again finds the next line.
            Refused::NoLine => Refusal::Overloaded,
            other => not_charged(other),
        }
    }
}

/// Credits that were won on a user's word, and a place in the journal; nothing of them where it would have been refused.
struct Won<'a> {
    handle: Arc<Handle>,
    permit: Permit<'a>,
    spend: Spend,
    shadow: Option<WouldRefuse>,
}

enum HoldKey {
    None,
    Fresh(KeyGuard),
    Replay(HoldOpened),
}

impl HoldCommand {
    fn hold(&self) -> HoldId {
        match self {
            Self::Extend(extend) => extend.hold,
            Self::Settle(settle) => settle.hold,
            Self::Release { hold, .. } => *hold,
        }
    }

    fn workspace(&self) -> &WorkspaceId {
        match self {
            Self::Extend(extend) => &extend.workspace,
            Self::Settle(settle) => &settle.workspace,
            Self::Release { workspace, .. } => workspace,
        }
    }
}

fn units_of(used: &UsedBy) -> Vec<(types::Unit, u64)> {
    match used {
        UsedBy::Amount(_) => Vec::new(),
        UsedBy::Usage(usage) => usage.clone(),
    }
}

fn over_already(over: &HoldOver) -> Refusal {
    let how = match over.end {
        journal::EndOfHold::Settled | journal::EndOfHold::SettledLate => "settled",
        journal::EndOfHold::Released => "released",
        journal::EndOfHold::Expired => "expired",
    };
    Refusal::HoldOver(format!("it was {how}, and {} were charged", over.charged))
}

fn end_of(hold: HoldId, over: &HoldOver) -> HoldEnd {
    HoldEnd {
        hold,
        end: match over.end {
            journal::EndOfHold::Settled => EndOfHold::Settled,
            journal::EndOfHold::Released => EndOfHold::Released,
            journal::EndOfHold::Expired => EndOfHold::Expired,
            journal::EndOfHold::SettledLate => EndOfHold::SettledLate,
        },
        charged: over.charged,
        freed: over.facts.held.saturating_sub(over.charged),
        sources: over.sources.clone(),
        durability: over.facts.durability.max(Durability::Disk),
        cycle: Some(over.facts.cycle),
        shadow: over.facts.shadow,
    }
}

/// Release of a hold that nobody knows is success: whatever it had is free.
fn unknown(hold: HoldId) -> HoldAnswer {
    HoldAnswer::Ended(HoldEnd {
        hold,
        end: EndOfHold::Unknown,
        charged: Credits::ZERO,
        freed: Credits::ZERO,
        sources: Vec::new(),
        durability: Durability::Disk,
        cycle: None,
        shadow: None,
    })
}
