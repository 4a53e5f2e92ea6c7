//! The rate card as this node has it, and what it says of a consume. Not here: rounding (`pricing`).

use crate::{Consume, Price, Quota, Quote, QuotePart, RateCardView, Refusal};
use actors::LeaderRequest;
use ledger::{Command, Outcome};
use pricing::{NoQuote, RateCard};
use replication::GroupId;
use std::sync::{Arc, RwLock};
use types::{Revision, Unit};

/// The card that was parsed last, with its revision.
#[derive(Debug)]
pub(crate) struct Prices(RwLock<Arc<RateCard>>);

impl Prices {
    pub fn new() -> Self {
        Self(RwLock::new(Arc::new(RateCard::empty())))
    }

    /// The card of this revision, parsed once.
    fn of(&self, revision: Revision, prices: impl FnOnce() -> Vec<Price>) -> Arc<RateCard> {
        let known = self.0.read().expect("nobody panics holding it").clone();
        if known.version() == revision.0 {
            return known;
        }
        match RateCard::new(revision.0, prices()) {
            Ok(card) => {
                let card = Arc::new(card);
                *self.0.write().expect("nobody panics holding it") = card.clone();
                card
            }
            Err(why) => {
                // Checked before it was committed: another version of this program did not agree.
                tracing::error!(%why, "the committed rate card is not usable; the former one stays");
                known
            }
        }
    }
}

impl Quota {
    pub(crate) fn rate_card_now(&self) -> Arc<RateCard> {
        let Some(meta) = self.shards().replica().group(GroupId::Meta) else {
            return self.prices().of(Revision(0), Vec::new);
        };
        let revision = meta.peek(|state| state.meta.rate_card);
        self.prices().of(revision, || meta.peek(|state| state.meta.prices.clone()))
    }

    #[expect(clippy::unused_async, reason = "the same shape as the other verbs")]
    pub async fn rate_card(&self) -> Result<RateCardView, Refusal> {
        let meta = self.shards().replica().group(GroupId::Meta).ok_or(Refusal::NoLeader)?;
        let view = |state: &ledger::State| RateCardView {
            prices: state.meta.prices.clone(),
            revision: state.meta.rate_card,
        };
        Ok(meta.peek(view))
    }

    /// Replaces the card, all of it. Answered when it is committed; nodes price by it as soon as they applied it.
    pub async fn set_rate_card(
        &self,
        prices: Vec<Price>,
        if_match: Option<Revision>,
    ) -> Result<Revision, Refusal> {
        RateCard::new(0, prices.clone()).map_err(|why| Refusal::Invalid(why.to_string()))?;
        let command = Command::SetRateCard { prices, if_match };
        match self.command(GroupId::Meta, LeaderRequest::Command(Box::new(command))).await? {
            Outcome::RateCard { revision } => Ok(revision),
            _ => Err(Refusal::OutcomeUnknown),
        }
    }
}

pub(crate) fn priced(card: &RateCard, consume: &Consume, usage: &[(Unit, u64)]) -> Result<Quote, Refusal> {
    let quote = card.quote(&consume.feature, consume.model.as_ref(), usage).map_err(|why| match why {
        NoQuote::Unpriced { feature, model, unit } => Refusal::Unpriced { feature, model, unit },
        NoQuote::NoUsage => {
            Refusal::Invalid("usage names no unit; say what was used, or give an amount".into())
        }
        NoQuote::TooLarge => Refusal::Invalid("this usage costs more than any pool can hold".into()),
    })?;
    let part = |line: pricing::QuoteLine| QuotePart {
        unit: line.unit,
        units: line.units,
        per: line.per,
        credits: line.credits,
    };
    Ok(Quote { charge: quote.charge, parts: quote.lines.into_iter().map(part).collect() })
}
