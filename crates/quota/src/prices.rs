//! The prices as this node has them: which are in force, which a call was opened under, and how they are changed. Not here:
//! sums and rounding (`pricing`), which changes are lawful (`ledger`).

use crate::{CardState, CardView, PriceAnswer, PriceCommand, Quota, Quote, QuotePart, Refusal};
use actors::LeaderRequest;
use ledger::{Command, DatedCard, Meta, Outcome, State};
use pricing::{NoQuote, PriceList, RateCard};
use replication::{Group, GroupId};
use std::sync::Arc;
use types::{Feature, Model, PriceVersion, Timestamp, Unit, WorkspaceId};

/// What prices the calls of one workspace.
#[derive(Clone, Debug)]
pub(crate) struct Prices {
    card: Arc<RateCard>,
    own: Option<Arc<RateCard>>,
}

impl Quota {
    fn meta(&self) -> Result<&Group, Refusal> {
        self.shards().replica().group(GroupId::Meta).ok_or(Refusal::NoLeader)
    }

    /// Until when prices have come into force: what the nodes agree on as the time, or that of the group's last entry
    /// where this node is behind it, so that what was put at once is in force where it is known.
    fn price_time(&self, state: &State) -> Timestamp {
        self.clock().now().max(state.now)
    }

    /// The prices in force; or those of a version, for what was opened under it.
    pub(crate) fn prices_for(
        &self,
        workspace: &WorkspaceId,
        version: Option<PriceVersion>,
    ) -> Result<Prices, Refusal> {
        self.meta()?.peek(|state| match version {
            // Nothing was heard of the meta group yet: what has no price here may have one.
            None if state.now == Timestamp::from_millis(0) => Err(Refusal::NoLeader),
            None => Ok(Prices::at(&state.meta, workspace, self.price_time(state))),
            Some(version) => {
                Prices::of(&state.meta, workspace, version).ok_or(Refusal::NotFound("price version"))
            }
        })
    }

    /// The prices that were in force at an instant, as far as they are still kept.
    pub(crate) fn prices_then(&self, workspace: &WorkspaceId, at: Timestamp) -> Result<Prices, Refusal> {
        self.meta()?.peek(|state| {
            if state.now == Timestamp::from_millis(0) {
                return Err(Refusal::NoLeader);
            }
            Prices::then(&state.meta, workspace, at)
        })
    }

    /// The rate card in force. Version 0, without prices: none was ever put.
    #[expect(clippy::unused_async, reason = "the same shape as the other verbs")]
    pub async fn rate_card(&self) -> Result<CardView, Refusal> {
        self.meta()?.peek(|state| {
            let now = self.price_time(state);
            let none = || CardView {
                version: 0,
                effective_at: None,
                state: CardState::InForce,
                list: PriceList::default(),
            };
            Ok(state.meta.card_at(now).map_or_else(none, |dated| view(&state.meta, dated, now)))
        })
    }

    /// Every rate card that is kept, by when it comes into force.
    #[expect(clippy::unused_async, reason = "the same shape as the other verbs")]
    pub async fn rate_cards(&self) -> Result<Vec<CardView>, Refusal> {
        self.meta()?.peek(|state| {
            let now = self.price_time(state);
            Ok(state.meta.cards.iter().map(|dated| view(&state.meta, dated, now)).collect())
        })
    }

    #[expect(clippy::unused_async, reason = "the same shape as the other verbs")]
    pub async fn rate_card_of(&self, version: u64) -> Result<CardView, Refusal> {
        self.meta()?.peek(|state| {
            let dated = state.meta.card_of(version).ok_or(Refusal::NotFound("rate card"))?;
            Ok(view(&state.meta, dated, self.price_time(state)))
        })
    }

    /// A workspace's own prices.
    pub async fn own_prices(&self, workspace: &WorkspaceId) -> Result<CardView, Refusal> {
        let own = self.meta()?.peek(|state| {
            let dated = state.meta.own_prices(workspace)?;
            Some(CardView {
                version: dated.card.version(),
                effective_at: Some(dated.effective_at),
                state: CardState::InForce,
                list: dated.card.list().clone(),
            })
        });
        match own {
            Some(own) => Ok(own),
            None => {
                self.workspace(workspace, false).await?;
                Err(Refusal::NotFound("prices of its own"))
            }
        }
    }

    /// Answered when it is committed; nodes know of it as soon as they applied it.
    pub async fn change_prices(&self, command: PriceCommand) -> Result<PriceAnswer, Refusal> {
        if let Some(workspace) = command.change.workspace() {
            self.workspace(workspace, false).await?;
        }
        match self.command(GroupId::Meta, LeaderRequest::Command(Box::new(Command::Prices(command)))).await? {
            Outcome::Prices(answer) => Ok(answer),
            _ => Err(Refusal::OutcomeUnknown),
        }
    }
}

fn view(meta: &Meta, dated: &DatedCard, now: Timestamp) -> CardView {
    let version = dated.card.version();
    let in_force = meta.card_at(now).map(|dated| dated.card.version());
    let state = if in_force == Some(version) {
        CardState::InForce
    } else if dated.effective_at > now {
        CardState::Scheduled
    } else {
        CardState::Replaced
    };
    CardView { version, effective_at: Some(dated.effective_at), state, list: dated.card.list().clone() }
}

impl Prices {
    fn at(meta: &Meta, workspace: &WorkspaceId, at: Timestamp) -> Self {
        let card = meta.card_at(at).map_or_else(|| Arc::new(RateCard::empty()), |dated| dated.card.clone());
        Self { card, own: meta.own_prices(workspace).map(|dated| dated.card.clone()) }
    }

    /// What was replaced so long ago that it is not kept has no prices here, and is not taken for what came after it.
    fn then(meta: &Meta, workspace: &WorkspaceId, at: Timestamp) -> Result<Self, Refusal> {
        let unknown = |what: &str| {
            Refusal::Invalid(format!("{what} in force then, if there were any, are not kept any more"))
        };
        if meta.card_at(at).is_none() && !meta.cards.is_empty() {
            return Err(unknown("the rate card's prices"));
        }
        let lists = meta.own.get(workspace).map_or(&[][..], |lists| &lists[..]);
        let begun = lists.partition_point(|dated| dated.effective_at <= at);
        if begun == 0 && !lists.is_empty() {
            return Err(unknown("the workspace's own prices"));
        }
        let own = begun.checked_sub(1).and_then(|last| lists.get(last));
        let own = own.filter(|dated| dated.card.list().entries() > 0).map(|dated| dated.card.clone());
        Ok(Self { own, ..Self::at(meta, workspace, at) })
    }

    /// `None`: one of the two is not kept any more, or never was.
    fn of(meta: &Meta, workspace: &WorkspaceId, version: PriceVersion) -> Option<Self> {
        let card = match version.card {
            0 => Arc::new(RateCard::empty()),
            card => meta.card_of(card)?.card.clone(),
        };
        let own = match version.own {
            None => None,
            Some(own) => Some(meta.own_prices_of(workspace, own)?.card.clone()),
        };
        Some(Self { card, own })
    }

    pub(crate) fn version(&self) -> PriceVersion {
        PriceVersion { card: self.card.version(), own: self.own.as_ref().map(|own| own.version()) }
    }

    pub(crate) fn quote(
        &self,
        feature: &Feature,
        model: Option<&Model>,
        usage: &[(Unit, u64)],
    ) -> Result<Quote, Refusal> {
        let quote = self.card.quote_with(self.own.as_deref(), feature, model, usage);
        let quote = quote.map_err(|why| match why {
            NoQuote::Unpriced { feature, model, unit } => Refusal::Unpriced { feature, model, unit },
            NoQuote::NoUsage => {
                Refusal::Invalid("usage names no unit; say what was used, or give an amount".into())
            }
            NoQuote::TooLarge => Refusal::Invalid("this usage costs more than any pool can hold".into()),
        })?;
        let pricing::Quote { charge, minimum, lines, version } = quote;
        let part = |line: pricing::QuoteLine| QuotePart {
            unit: line.unit,
            units: line.units,
            per: line.per,
            credits: line.credits,
        };
        let parts = lines.into_iter().map(part).collect();
        Ok(Quote { charge, minimum, parts, price_version: Some(version) })
    }
}
