//! Consume: spend a known price now. Price it, find who decides, win the word, book it, answer.
//!
//! The way of most consumes touches no actor's mailbox and no Raft: handle → word → journal → back. Not here: refills
//! (`actors`), prices themselves (`pricing`).

use crate::route::Route;
use crate::shadow::NoCredits;
use crate::{Charge, Consume, PriceBy, Quota, Quote, Refusal, Remaining};
use actors::{Denied, Handle, PeerFault};
use escrow::{NoSpend, Spent};
use futures::StreamExt;
use journal::{Begun, Charged, KeyGuard, Permit, Refused};
use ledger::{Denial, DenialReason};
use placement::MembershipEpoch;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use types::{
    ChargeId, Credits, Durability, Feature, LineNumber, Meter, Model, PriceVersion, Shadowed, Unit, UserId,
    WorkspaceId,
};

/// Largest single charge: what fits on one word.
pub const CHARGE_MICROS_MAX: u64 = escrow::BALANCE_MAX;
/// Items of a batch that are under way at once.
const BATCH_WIDTH: usize = 64;

impl Quota {
    pub async fn consume(&self, consume: Consume) -> Result<Charge, Refusal> {
        match self.route(&consume) {
            Route::Here(handle) => self.decide(consume, handle).await,
            Route::Home(home) => {
                self.counts().note_forwarded();
                let within = Duration::from_millis(self.options().forward_ms);
                let forwarded =
                    self.peers().consume(home, self.membership().epoch(), consume.clone(), within).await;
                match forwarded {
                    Ok(answer) => answer,
                    Err(PeerFault::Unreachable(_)) if consume.key.is_none() => {
                        self.decide(consume, None).await
                    }
                    Err(PeerFault::Unreachable(_)) => Err(Refusal::HomeUnreachable),
                    Err(PeerFault::Unknown(_)) => Err(Refusal::OutcomeUnknown),
                }
            }
        }
    }

    /// Decides what another node forwarded: here, or not at all. One hop, never two.
    pub async fn consume_forwarded(
        &self,
        epoch: MembershipEpoch,
        consume: Consume,
    ) -> Result<Charge, Refusal> {
        if epoch < self.membership().epoch() {
            return Err(Refusal::HomeUnreachable);
        }
        self.decide(consume, None).await
    }

    /// In order; each item on its own.
    pub async fn consume_batch(&self, items: Vec<Consume>) -> Vec<Result<Charge, Refusal>> {
        let each = items.into_iter().map(|item| self.consume(item));
        futures::stream::iter(each).buffered(BATCH_WIDTH).collect().await
    }

    /// The price, without effect; the same code as consume. By the prices in force, or those of a version.
    #[expect(clippy::unused_async, reason = "the same shape as the other verbs")]
    pub async fn quote(&self, consume: Consume, version: Option<PriceVersion>) -> Result<Quote, Refusal> {
        self.price_of(&consume, version)
    }

    /// `version`: of the prices that a call was opened under; `None`: what is in force now.
    pub(crate) fn price_of(
        &self,
        consume: &Consume,
        version: Option<PriceVersion>,
    ) -> Result<Quote, Refusal> {
        let quote = match &consume.price {
            PriceBy::Amount(charge) => {
                Quote { charge: *charge, minimum: None, parts: Vec::new(), price_version: None }
            }
            PriceBy::Usage(usage) => {
                let prices = self.prices_for(&consume.workspace, version)?;
                prices.quote(&consume.feature, consume.model.as_ref(), usage)?
            }
        };
        if quote.charge.micros() > CHARGE_MICROS_MAX {
            let most = Credits::from_micros(CHARGE_MICROS_MAX).unwrap_or(Credits::MAX);
            return Err(Refusal::Invalid(format!("a single charge is at most {most} credits; split it")));
        }
        Ok(quote)
    }

    async fn decide(&self, consume: Consume, handle: Option<Arc<Handle>>) -> Result<Charge, Refusal> {
        // The key first: what was answered under it stands, whatever it would cost now.
        let key = match self.begin_key(&consume) {
            KeyState::None => None,
            KeyState::Fresh(guard) => Some(guard),
            KeyState::Replay(charged) => return self.replay(&consume, &charged).await,
            KeyState::Refused(refusal) => return Err(refusal),
        };
        let price = self.price_of(&consume, None)?;
        let mut key = key;
        let mut spending = Spending {
            amount: price.charge,
            shadow: None,
            price_version: price.price_version,
            consume: &consume,
        };
        match self.spend(&spending, handle, &mut key).await {
            // Asked again for nothing, and counted.
            Err(NoCredits::Shadow(code, _)) => {
                let shadowed = Shadowed { code, would_have_cost: price.charge };
                (spending.amount, spending.shadow) = (Credits::ZERO, Some(shadowed));
                let charge = self.spend(&spending, None, &mut key).await.map_err(NoCredits::refusal)?;
                self.counts().note_would_refuse(code);
                Ok(charge)
            }
            decided => decided.map_err(NoCredits::refusal),
        }
    }

    async fn spend(
        &self,
        spending: &Spending<'_>,
        mut handle: Option<Arc<Handle>>,
        key: &mut Option<KeyGuard>,
    ) -> Result<Charge, NoCredits> {
        let end = Instant::now() + Duration::from_millis(self.holder().options().wait_ms);
        let consume = spending.consume;
        let (feature, model) = (&consume.feature, consume.model.as_ref());
        let mut has_waited = false;
        loop {
            let handle = match handle.take() {
                Some(handle) => handle,
                None => self.active_handle(&consume.workspace, &consume.user, feature, model).await?,
            };
            match self.try_here(&handle, spending, key).await {
                Ok(charge) => return Ok(charge),
                Err(Attempt::Refused(refusal)) => return Err(refusal.into()),
                Err(Attempt::Short) => {
                    if !std::mem::replace(&mut has_waited, true) {
                        self.counts().note_waited();
                    }
                    self.wait_for_credits(&handle, feature, model, spending.amount, end).await?;
                }
            }
        }
    }

    pub(crate) async fn active_handle(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        feature: &Feature,
        model: Option<&Model>,
    ) -> Result<Arc<Handle>, Refusal> {
        if let Some(handle) = self.holder().find_for(workspace, user, feature, model) {
            return Ok(handle);
        }
        self.holder().activate_for(workspace, user, feature, model).await.ok_or(Refusal::Overloaded)
    }

    /// A place in the journal first, then the spend: so that nothing is refused after it for want of one.
    pub(crate) fn win(&self, handle: &Handle, amount: Credits) -> Result<(Permit<'_>, Spent), Attempt> {
        if !self.holder().may_spend(handle) {
            return Err(Attempt::Short);
        }
        let permit = self.holder().journal().reserve().map_err(|why| Attempt::Refused(not_booked(why)))?;
        match handle.try_spend(amount) {
            Ok(spent) => Ok((permit, spent)),
            Err(NoSpend::Short { .. } | NoSpend::Sealed { .. }) => Err(Attempt::Short),
            Err(NoSpend::Stray { epoch, amount }) => {
                let amount = Credits::from_micros(amount).unwrap_or(Credits::MAX);
                permit.stray(handle.no, epoch.number(), amount);
                Err(Attempt::Short)
            }
        }
    }

    /// One try: the spend, then its record.
    async fn try_here(
        &self,
        handle: &Handle,
        spending: &Spending<'_>,
        key: &mut Option<KeyGuard>,
    ) -> Result<Charge, Attempt> {
        let Spending { consume, amount, .. } = *spending;
        let (permit, spent) = self.win(handle, amount)?;
        let (at_least, at_most) = handle.remaining(spent.left);
        let now = self.clock().now();
        let durability = consume.durability.unwrap_or_else(|| handle.durability());
        let meter = Meter { feature: consume.feature.clone(), model: consume.model.clone(), day: now.day() };
        let charge = journal::Charge {
            handle: handle.no,
            epoch: spent.epoch.number(),
            amount,
            meter,
            units: spending.units(),
            at: now,
            key: key.take(),
            durability,
            remaining_at_least: at_least,
            remaining_at_most: at_most,
        };
        let charged = permit.charge(charge).await.map_err(|why| Attempt::Refused(not_charged(why)))?;
        self.confirmed(consume, &charged).await.map_err(Attempt::Refused)?;
        // What is answered under a key is answered again from what the journal keeps of it.
        let price_version = spending.price_version.filter(|_| consume.key.is_none());
        Ok(Charge { price_version, ..self.charge_of(&charged) })
    }

    /// `quorum`: answered when the report that holds it is committed.
    async fn confirmed(&self, consume: &Consume, charged: &Charged) -> Result<(), Refusal> {
        self.committed(&consume.workspace, charged.line, charged.durability).await
    }

    pub(crate) async fn committed(
        &self,
        workspace: &WorkspaceId,
        line: LineNumber,
        durability: Durability,
    ) -> Result<(), Refusal> {
        if durability != Durability::Quorum {
            return Ok(());
        }
        let within = Duration::from_millis(self.options().confirm_ms);
        let confirmed = self.holder().confirm(workspace, line);
        match tokio::time::timeout(within, confirmed).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Refusal::OutcomeUnknown),
        }
    }

    async fn replay(&self, consume: &Consume, charged: &Charged) -> Result<Charge, Refusal> {
        self.confirmed(consume, charged).await?;
        Ok(self.charge_of(charged))
    }

    fn charge_of(&self, charged: &Charged) -> Charge {
        Charge {
            id: ChargeId { node: self.node(), line: charged.line, sequence: charged.sequence },
            charged: charged.amount,
            sources: charged.sources.clone(),
            remaining: Remaining { at_least: charged.remaining_at_least, at_most: charged.remaining_at_most },
            durability: charged.durability,
            cycle: charged.cycle,
            price_version: None,
            shadow: charged.shadow,
        }
    }

    /// Waits until another try is worth it, or says why none is.
    pub(crate) async fn wait_for_credits(
        &self,
        handle: &Handle,
        feature: &Feature,
        model: Option<&Model>,
        amount: Credits,
        end: Instant,
    ) -> Result<(), NoCredits> {
        let unreachable = |available| {
            NoCredits::Refused(Refusal::CreditsUnreachable { user: handle.user.clone(), available })
        };
        let wait = async {
            if !self.holder().may_spend(handle) && !self.holder().renew(handle).await {
                return Err(unreachable(handle.have()));
            }
            match handle.want(amount).await {
                Ok(()) => Ok(()),
                Err(Denied::Gone) => {
                    // Passivated or rebuilt at this very moment, or of a list that does not hold any more: the handle gets its actor
                    // again, or another one is made.
                    let (workspace, user) = (&handle.workspace, &handle.user);
                    let again = self.holder().activate_for(workspace, user, feature, model).await;
                    again.map(|_| ()).ok_or(Refusal::Overloaded.into())
                }
                Err(Denied::Ledger { denial, cut_off, enforcement }) => {
                    let about_credits = match denial.reason {
                        DenialReason::Exhausted
                        | DenialReason::AllocationExhausted
                        | DenialReason::LimitReached(_)
                        | DenialReason::OverageCapReached => true,
                        DenialReason::AccessDisabled
                        | DenialReason::FeatureNotInPlan(_)
                        | DenialReason::UnknownUser
                        | DenialReason::Frozen
                        | DenialReason::ScopesChanged => false,
                    };
                    if cut_off && about_credits {
                        return Err(unreachable(denial.available));
                    }
                    let features = || {
                        let limited = self.holder().limited(&handle.workspace);
                        limited.iter().flat_map(|limited| limited.allowed.iter().flatten()).cloned().collect()
                    };
                    let Denial { reason, available, .. } = denial;
                    let refusal =
                        Refusal::from_denial(reason.clone(), &handle.user, available, feature, features);
                    Err(NoCredits::denied(&reason, enforcement, refusal))
                }
                Err(Denied::Unreachable { have }) => Err(unreachable(have)),
                Err(Denied::UnknownWorkspace) => Err(Refusal::UnknownWorkspace.into()),
                Err(Denied::Overloaded) => Err(Refusal::Overloaded.into()),
                Err(Denied::Storage(why)) => Err(Refusal::StorageUnavailable(why).into()),
            }
        };
        let left = end.saturating_duration_since(Instant::now());
        tokio::time::timeout(left, wait).await.unwrap_or_else(|_| Err(unreachable(handle.have())))
    }

    fn begin_key(&self, consume: &Consume) -> KeyState {
        let Some(key) = &consume.key else { return KeyState::None };
        match self.holder().keys().begin(
            &consume.workspace,
            &consume.user,
            key,
            command_hash(b"consume", consume),
        ) {
            Begun::Fresh(guard) => KeyState::Fresh(guard),
            Begun::Replay(charged) => KeyState::Replay(charged),
            // Only a command that opens a hold has its hash.
            Begun::Conflict | Begun::ReplayHold(_) => KeyState::Refused(Refusal::KeyConflict),
            Begun::InFlight => KeyState::Refused(Refusal::KeyInFlight),
            Begun::Full => KeyState::Refused(Refusal::KeyWindowFull),
        }
    }
}

/// What is spent for a consume: its price, or nothing where it would have been refused.
struct Spending<'a> {
    consume: &'a Consume,
    amount: Credits,
    shadow: Option<Shadowed>,
    price_version: Option<PriceVersion>,
}

impl Spending<'_> {
    /// What it is counted in.
    fn units(&self) -> Vec<(Unit, u64)> {
        match (&self.shadow, &self.consume.price) {
            (Some(shadowed), _) => shadowed.units(),
            (None, PriceBy::Amount(_)) => Vec::new(),
            (None, PriceBy::Usage(usage)) => usage.clone(),
        }
    }
}

pub(crate) enum Attempt {
    /// Not enough on the word, or no session.
    Short,
    Refused(Refusal),
}

enum KeyState {
    None,
    Fresh(KeyGuard),
    Replay(Arc<Charged>),
    Refused(Refusal),
}

/// After the spend. A journal that stopped has written the charge or not; only a restart shows it.
pub(crate) fn not_charged(why: Refused) -> Refusal {
    match why {
        Refused::Stopped { .. } => Refusal::OutcomeUnknown,
        other => not_booked(other),
    }
}

/// Before the spend: nothing was charged.
pub(crate) fn not_booked(why: Refused) -> Refusal {
    match why {
        Refused::Overloaded => Refusal::Overloaded,
        other => Refusal::StorageUnavailable(other.to_string()),
    }
}

/// The parsed command, hashed: fields in a fixed order, each with its length before it.
pub(crate) fn command_hash(verb: &[u8], consume: &Consume) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    field(verb);
    field(consume.feature.as_str().as_bytes());
    field(consume.model.as_ref().map_or("", |model| model.as_str()).as_bytes());
    consume.price.told(&mut field);
    field(match consume.durability {
        None => b"as declared",
        Some(Durability::Local) => b"local",
        Some(Durability::Disk) => b"disk",
        Some(Durability::Quorum) => b"quorum",
    });
    *hasher.finalize().as_bytes()
}
